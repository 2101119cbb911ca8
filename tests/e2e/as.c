// SPDX-License-Identifier: MIT
/*
 * as [-g CGROUP-FOLDER] [-n DESCRIPTORS] USER COMMAND...: runs a command as another user with that
 * user's groups, in another cgroup or with fewer descriptors if asked; the process id stays, so that
 * a suite knows whom to look for. "-" keeps the user. Ctrl-C works again, which a shell turns off for what it starts in the background.
 */
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static int enter_cgroup(const char *folder)
{
	char path[4096];
	int fd, r = 0;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0\n", 2) != 2) {
		fprintf(stderr, "as: cgroup '%s': %s\n", folder, strerror(errno));
		r = -1;
	}
	if (fd >= 0)
		close(fd);
	return r;
}

static int limit_descriptors(const char *count)
{
	struct rlimit limit = { strtoul(count, NULL, 10), strtoul(count, NULL, 10) };

	if (setrlimit(RLIMIT_NOFILE, &limit) == 0)
		return 0;
	fprintf(stderr, "as: '%s' descriptors: %s\n", count, strerror(errno));
	return -1;
}

static int become(const char *name)
{
	struct passwd *user = getpwnam(name);

	if (!user) {
		fprintf(stderr, "as: no user '%s'\n", name);
		return -1;
	}
	if (initgroups(name, user->pw_gid) < 0 || setgid(user->pw_gid) < 0 ||
	    setuid(user->pw_uid) < 0) {
		fprintf(stderr, "as: become '%s': %s\n", name, strerror(errno));
		return -1;
	}
	return 0;
}

int main(int argc, char **argv)
{
	int arg = 1;

	for (; argc > arg + 1 && argv[arg][0] == '-' && argv[arg][1]; arg += 2) {
		int r = -1;

		if (strcmp(argv[arg], "-g") == 0)
			r = enter_cgroup(argv[arg + 1]);
		else if (strcmp(argv[arg], "-n") == 0)
			r = limit_descriptors(argv[arg + 1]);
		if (r < 0)
			return 125;
	}
	if (argc < arg + 2) {
		fprintf(stderr, "usage: as [-g CGROUP-FOLDER] [-n DESCRIPTORS] USER COMMAND...\n");
		return 64;
	}
	if (strcmp(argv[arg], "-") != 0 && become(argv[arg]) < 0)
		return 125;
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(argv[arg + 1], argv + arg + 1);
	fprintf(stderr, "as: '%s': %s\n", argv[arg + 1], strerror(errno));
	return 127;
}
