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

#define OPEN_S	60

/** struct member - an answer of the group; @file: by which it comes; @counts: what is made of it */
struct member {
	struct llmos_request *request;
	unsigned int file;
	bool counts;
	bool ended;
};

/** struct clients - what the process of a group has */
struct clients {
	const struct group *group;
	struct llmos **files;
	struct member *members;
	size_t count;
	int orders;
};

enum order { ORDER_ASK, ORDER_LEAVE };

/* of the group whose process this is */
static struct group_tally *tally;
static bool leaving;

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
	atomic_fetch_add_explicit(&tally->tokens, 1, memory_order_relaxed);
	return 0;
}

static void on_end(void *userdata, struct llmos_request *request, int status)
{
	struct llmos_usage usage = { .size = sizeof(usage) };
	struct member *member = userdata;

	if (status < 0 && !(leaving && status == -ECANCELED))
		tap_bail("an answer ended: %s", strerror(-status));
	if (llmos_request_usage(request, &usage) < 0)
		tap_bail("no usage");
	if (tally->ends < GROUP_ENDS_MAX)
		tally->end_ns[tally->ends++] = usage.end_ns;
	if (member->counts)
		atomic_fetch_add(&tally->made, usage.output_tokens);
	member->ended = true;
}

static void member_start(struct clients *clients, struct member *member)
{
	struct llmos_generate_opts opts = { .size = sizeof(opts), .raw = true, .ignore_eos = true,
					    .max_tokens = 480 };
	struct llmos *llmos = clients->files[member->file];

	if (clients->group->opts)
		opts = *clients->group->opts;
	opts.logprobs = true;
	opts.on_token = on_token;
	opts.on_end = on_end;
	opts.userdata = member;
	llmos_request_free(member->request);
	member->ended = false;
	member->counts = true;
	if (llmos_ask_start(llmos, &member->request, "Once", 4, &opts) < 0)
		tap_bail("%s", llmos_error(llmos));
}

static void members_cancel(struct clients *clients)
{
	leaving = true;
	for (size_t i = 0; i < clients->count; i++) {
		struct member *member = &clients->members[i];

		/* one that has no number yet has nothing either, while the daemon stands still */
		member->counts = llmos_request_id(member->request);
		if (!member->ended && llmos_request_cancel(member->request) < 0)
			tap_bail("%s", llmos_error(clients->files[member->file]));
	}
	atomic_store(&tally->phase, GROUP_CANCELLED);
}

static void obey(struct clients *clients)
{
	uint8_t order;

	if (read(clients->orders, &order, 1) != 1)
		_exit(1);
	if (order == ORDER_LEAVE) {
		members_cancel(clients);
		return;
	}
	for (size_t i = 0; i < clients->count; i++)
		member_start(clients, &clients->members[i]);
	atomic_store(&tally->phase, GROUP_ASKED);
}

/* those that have ended begin again; or, where the group leaves, are waited for */
static void members_renew(struct clients *clients)
{
	size_t ended = 0;

	for (size_t i = 0; i < clients->count; i++) {
		if (!clients->members[i].ended)
			continue;
		ended++;
		if (!leaving)
			member_start(clients, &clients->members[i]);
	}
	if (leaving && ended == clients->count)
		atomic_store(&tally->phase, GROUP_LEFT);
}

static _Noreturn void group_run(const struct group *group, int orders)
{
	struct clients clients = { .group = group, .orders = orders };
	struct pollfd *fds = calloc(group->files + 1, sizeof(*fds));

	clients.count = (size_t)group->files * group->requests;
	clients.files = calloc(group->files, sizeof(*clients.files));
	clients.members = calloc(clients.count, sizeof(*clients.members));
	if (!fds || !clients.files || !clients.members)
		tap_bail("no memory for a group");
	for (unsigned int i = 0; i < group->files; i++)
		clients.files[i] = e2e_open();
	for (size_t i = 0; i < clients.count; i++)
		clients.members[i].file = i % group->files;
	atomic_store(&tally->phase, GROUP_OPEN);
	for (;;) {
		for (unsigned int i = 0; i < group->files; i++)
			fds[i] = (struct pollfd){ llmos_fd(clients.files[i]), POLLIN, 0 };
		fds[group->files] = (struct pollfd){ orders, POLLIN, 0 };
		poll(fds, group->files + 1, -1);
		for (unsigned int i = 0; i < group->files; i++)
			if (fds[i].revents && llmos_dispatch(clients.files[i], 0) < 0)
				tap_bail("%s", llmos_error(clients.files[i]));
		members_renew(&clients);
		if (fds[group->files].revents)
			obey(&clients);
	}
}

static void group_fork(struct group *group)
{
	pid_t parent = getpid();
	int ends[2];

	group->tally = mmap(NULL, sizeof(*group->tally), PROT_READ | PROT_WRITE,
			    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (group->tally == MAP_FAILED)
		tap_bail("mmap: %s", strerror(errno));
	if (pipe2(ends, O_CLOEXEC) < 0)
		tap_bail("pipe: %s", strerror(errno));
	group->pid = fork();
	if (group->pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (group->pid) {
		close(ends[0]);
		group->orders = ends[1];
		return;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1);
	close(ends[1]);
	tally = group->tally;
	group_enter(group->where);
	group_run(group, ends[0]);
}

static void group_order(const struct group *group, enum order order)
{
	const uint8_t byte = order;

	if (write(group->orders, &byte, 1) != 1)
		tap_bail("the clients at '%s' can not be told: %s", group->where, strerror(errno));
}

/* bails out where there is nobody any more */
static void group_check(const struct group *group)
{
	if (waitpid(group->pid, NULL, WNOHANG) == group->pid)
		tap_bail("the clients at '%s' ended", group->where);
}

enum group_phase group_phase(const struct group *group)
{
	group_check(group);
	return atomic_load(&group->tally->phase);
}

static bool is_open(void *arg)
{
	return group_phase(arg) == GROUP_OPEN;
}

void group_open(struct group *group)
{
	group_fork(group);
	if (!e2e_wait(OPEN_S, is_open, group))
		tap_bail("the clients at '%s' have no connection", group->where);
}

void group_ask(struct group *group)
{
	group_order(group, ORDER_ASK);
}

void group_leave(struct group *group)
{
	group_order(group, ORDER_LEAVE);
}

static bool has_left(void *arg)
{
	return group_phase(arg) == GROUP_LEFT;
}

void group_finish(struct group *group, unsigned int seconds)
{
	group_leave(group);
	if (!e2e_wait(seconds, has_left, group))
		tap_bail("what the clients at '%s' have cancelled does not end", group->where);
	if (group->tally->ends == GROUP_ENDS_MAX)
		tap_bail("too many answers at '%s'", group->where);
}

unsigned int group_ended(const struct group *group, uint64_t from_ns, uint64_t until_ns)
{
	unsigned int count = 0;

	for (size_t i = 0; i < group->tally->ends; i++)
		count += group->tally->end_ns[i] > from_ns && group->tally->end_ns[i] < until_ns;
	return count;
}

void group_start(struct group *group)
{
	group_fork(group);
	group_ask(group);
}

void group_end(struct group *group)
{
	if (group->pid <= 0)
		return;
	kill(group->pid, SIGKILL);
	waitpid(group->pid, NULL, 0);
	close(group->orders);
	munmap(group->tally, sizeof(*group->tally));
	group->pid = 0;
}

uint64_t group_tokens(const struct group *group)
{
	group_check(group);
	return atomic_load_explicit(&group->tally->tokens, memory_order_relaxed);
}

uint64_t group_made(const struct group *group)
{
	return atomic_load(&group->tally->made);
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
