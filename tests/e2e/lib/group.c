// SPDX-License-Identifier: MIT
/* Groups of clients; see group.h. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "group.h"
#include "tap.h"

/** struct member - an answer of the group; @file: by which it comes */
struct member {
	struct llmos_request *request;
	unsigned int file;
	bool ended;
};

static _Atomic uint64_t *count;

struct group group_parse(char *text)
{
	struct group group = { .where = text };
	char *numbers = strchr(text, ':');

	if (!numbers || sscanf(numbers, ":%u:%u:%u", &group.files, &group.requests,
			       &group.share) != 3 ||
	    group.files < 1 || group.files > GROUP_FILES_MAX || group.requests < 1 ||
	    group.requests > GROUP_REQUESTS_MAX)
		tap_bail("group '%s' is not WHERE:FILES:REQUESTS:SHARE", text);
	*numbers = '\0';
	return group;
}

static void enter_cgroup(const char *folder)
{
	char path[4096];
	int fd;

	snprintf(path, sizeof(path), "%s/cgroup.procs", folder);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0 || write(fd, "0\n", 2) != 2)
		tap_bail("cgroup '%s': %s", folder, strerror(errno));
	close(fd);
}

static void become(uid_t uid)
{
	struct stat st;

	/* as a member of the group that may use the device */
	if (!stat("/dev/llm", &st) && setresgid(st.st_gid, st.st_gid, st.st_gid) < 0)
		tap_bail("group %u: %s", st.st_gid, strerror(errno));
	if (setresuid(uid, uid, uid) < 0)
		tap_bail("user %u: %s", uid, strerror(errno));
}

void group_enter(const char *where)
{
	uid_t uid;

	if (!strcmp(where, "here"))
		return;
	if (sscanf(where, "uid=%u", &uid) == 1)
		become(uid);
	else
		enter_cgroup(where);
}

static int on_token(void *userdata, const struct llmos_token *token)
{
	(void)userdata;
	(void)token;
	atomic_fetch_add_explicit(count, 1, memory_order_relaxed);
	return 0;
}

static void on_end(void *userdata, struct llmos_request *request, int status)
{
	struct member *member = userdata;

	(void)request;
	if (status < 0)
		tap_bail("an answer ended: %s", strerror(-status));
	member->ended = true;
}

static void member_start(struct llmos *llmos, struct member *member,
			 const struct llmos_generate_opts *caller)
{
	struct llmos_generate_opts opts = { .size = sizeof(opts), .raw = true, .ignore_eos = true,
					    .max_tokens = 480 };

	if (caller)
		opts = *caller;
	opts.logprobs = true;
	opts.on_token = on_token;
	opts.on_end = on_end;
	opts.userdata = member;
	llmos_request_free(member->request);
	member->ended = false;
	if (llmos_ask_start(llmos, &member->request, "Once", 4, &opts) < 0)
		tap_bail("%s", llmos_error(llmos));
}

static _Noreturn void group_run(const struct group *group)
{
	struct llmos **files = calloc(group->files, sizeof(*files));
	struct pollfd *fds = calloc(group->files, sizeof(*fds));
	size_t n = (size_t)group->files * group->requests;
	struct member *members = calloc(n, sizeof(*members));

	for (unsigned int i = 0; i < group->files; i++)
		files[i] = e2e_open();
	for (size_t i = 0; i < n; i++) {
		members[i].file = i % group->files;
		member_start(files[members[i].file], &members[i], group->opts);
	}
	for (;;) {
		for (unsigned int i = 0; i < group->files; i++)
			fds[i] = (struct pollfd){ llmos_fd(files[i]), POLLIN, 0 };
		poll(fds, group->files, -1);
		for (unsigned int i = 0; i < group->files; i++)
			if (fds[i].revents && llmos_dispatch(files[i], 0) < 0)
				tap_bail("%s", llmos_error(files[i]));
		for (size_t i = 0; i < n; i++)
			if (members[i].ended)
				member_start(files[members[i].file], &members[i], group->opts);
	}
}

void group_start(struct group *group)
{
	pid_t parent = getpid();

	group->tokens = mmap(NULL, sizeof(*group->tokens), PROT_READ | PROT_WRITE,
			     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (group->tokens == MAP_FAILED)
		tap_bail("mmap: %s", strerror(errno));
	group->pid = fork();
	if (group->pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (group->pid)
		return;
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	count = group->tokens;
	group_enter(group->where);
	group_run(group);
}

void group_end(struct group *group)
{
	if (group->pid <= 0)
		return;
	kill(group->pid, SIGKILL);
	waitpid(group->pid, NULL, 0);
	munmap(group->tokens, sizeof(*group->tokens));
	group->pid = 0;
}

uint64_t group_tokens(const struct group *group)
{
	if (waitpid(group->pid, NULL, WNOHANG) == group->pid)
		tap_bail("the clients at '%s' ended", group->where);
	return atomic_load_explicit(group->tokens, memory_order_relaxed);
}

/** struct goal - so many tokens of a group */
struct goal {
	const struct group *group;
	uint64_t tokens;
};

static bool reached(void *arg)
{
	const struct goal *goal = arg;

	return group_tokens(goal->group) >= goal->tokens;
}

void group_wait(struct group *group, uint64_t tokens, unsigned int seconds)
{
	struct goal goal = { group, tokens };

	if (!e2e_wait(seconds, reached, &goal))
		tap_bail("only %llu of %llu tokens at '%s'",
			 (unsigned long long)group_tokens(group), (unsigned long long)tokens,
			 group->where);
}
