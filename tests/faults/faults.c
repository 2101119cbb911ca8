// SPDX-License-Identifier: MIT
/*
 * Each operation is made again and again in a world of its own: each time another thing in the
 * kernel fails, the first, the second, until nothing is left that could. Whatever fails, the caller
 * is told so and all is as it was: no request, no session, no server, nothing charged, no quota.
 * What was allocated and forgotten is found by who runs this in a machine with kmemleak.
 */
#include "tests/uapi/uapi.h"
#include "tests/uapi/uapi_fault.h"
#include "tests/uapi/uapi_netlink.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

#define MOST	500U	/* things that can fail in one operation */
#define BYTES	9000U	/* more than a chunk of a prompt or an answer */
#define CGROUP	"faults"

static unsigned int nth;
static bool hit;
static char *page, big[BYTES], answer[2 * BYTES];
static struct event event;
/* of the world that an operation is made in */
static int client, server, other;
static int chat = -1, fork_of = -1;	/* sessions */

/* One call in which the nth thing fails. Its result, or -errno; what comes after goes well. */
#define armed(call)									\
	({										\
		long r_;								\
		fault_arm(nth);								\
		r_ = (long)(call);							\
		r_ = r_ < 0 ? -errno : r_;						\
		hit = fault_disarm();							\
		r_;									\
	})

static long open_client(void)
{
	return armed(other = open("/dev/llm", O_RDWR | O_CLOEXEC));
}

static long open_server(void)
{
	close(server);
	server = -1;
	return armed(server = open("/dev/llmd", O_RDWR | O_CLOEXEC));
}

static long do_submit(void)
{
	struct llm_submit submit = submit_init(big, BYTES);

	submit.stop = (uintptr_t)"stop";
	submit.stop_len = 5;
	return armed(ioctl(client, LLM_IOC_SUBMIT, &submit));
}

static long do_submit_control(void)
{
	struct llm_submit submit = submit_init(big, 1);

	submit.op = LLM_OP_NOP;
	return armed(ioctl(client, LLM_IOC_SUBMIT, &submit));
}

static long do_submit_read(void)
{
	struct llm_submit_read both = {
		.submit = submit_init(big, 100),
		.read = read_init(0, answer, sizeof(answer)),
	};
	long r;

	both.submit.size = sizeof(both);
	both.read.flags = LLM_READ_NONBLOCK;
	r = armed(ioctl(client, LLM_IOC_SUBMIT_AND_READ, &both));
	/* nobody answers it: that is how it should end */
	return r == -EAGAIN ? 0 : r;
}

static long do_write(void)
{
	return armed(write(client, big, BYTES));
}

static long do_read_of_file(void)
{
	long r;

	must(write(client, big, BYTES) == BYTES, "write");
	must(!fcntl(client, F_SETFL, O_NONBLOCK), "O_NONBLOCK");
	r = armed(read(client, answer, sizeof(answer)));
	return r == -EAGAIN && !hit ? 0 : r;
}

static long do_poll(void)
{
	struct pollfd polls = { client, POLLIN, 0 };

	long r;

	must(write(client, big, 1) == 1, "write");
	r = armed(poll(&polls, 1, 0));
	/* read() would say what was wrong */
	return polls.revents & POLLERR ? -ENOMEM : r;
}

static long do_epoll(void)
{
	struct epoll_event want = { .events = EPOLLIN };
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	long r;

	must(epoll >= 0 && write(client, big, 1) == 1, "epoll");
	r = armed(epoll_ctl(epoll, EPOLL_CTL_ADD, client, &want));
	close(epoll);
	return r;
}

static long do_list(void)
{
	static struct llm_request_info infos[4];
	struct llm_list list = { .size = sizeof(list), .buf = (uintptr_t)infos,
				 .entry_size = sizeof(infos[0]), .capacity = 4 };

	must(submit_text(client, "listed"), "submit");
	return armed(ioctl(client, LLM_IOC_LIST, &list));
}

static long do_cancel(void)
{
	const uint64_t id = submit_text(client, "cancelled");

	must(id, "submit");
	return armed(cancel(client, id, LLM_CANCEL_FORGET));
}

static long do_close(void)
{
	long r;

	must(submit_text(client, "closed") && fetch(server, LLM_FETCH_REQUEST, &event) > 0 &&
	     submit_text(client, "closed as well"), "requests");
	r = armed(close(client));
	client = -1;
	return r;
}

static long do_close_server(void)
{
	long r;

	must(submit_text(client, "handed back") && fetch(server, LLM_FETCH_REQUEST, &event) > 0 &&
	     commit(server, event.head.id, "some", 0) >= 0, "a request");
	r = armed(close(server));
	server = -1;
	return r;
}

/* ---- buffers ---- */

static struct llm_register page_register(void)
{
	return (struct llm_register){ .size = sizeof(struct llm_register),
				      .flags = LLM_BUFFER_WRITE, .addr = (uintptr_t)page,
				      .len = 4 * 4096 };
}

static long do_register(void)
{
	struct llm_register arg = page_register();

	return armed(ioctl(client, LLM_IOC_REGISTER, &arg));
}

static long do_register_memfd(void)
{
	struct llm_register arg = page_register();
	long r;

	arg.flags = LLM_BUFFER_MEMFD;
	arg.addr = 0;
	arg.fd = memfd_create("faults", MFD_CLOEXEC);
	must(arg.fd >= 0 && !ftruncate(arg.fd, 4 * 4096), "memfd");
	r = armed(ioctl(client, LLM_IOC_REGISTER, &arg));
	close(arg.fd);
	return r;
}

static long do_unregister(void)
{
	struct llm_register arg = page_register();
	struct llm_unregister end = { .size = sizeof(end) };

	must(!ioctl(client, LLM_IOC_REGISTER, &arg), "REGISTER");
	end.buffer = arg.buffer;
	return armed(ioctl(client, LLM_IOC_UNREGISTER, &end));
}

/* A request in a buffer, which the server has. Return: where the buffer can be mapped. */
static uint64_t fetch_in_buffer(void)
{
	struct llm_register arg = page_register();
	struct llm_submit submit = submit_init(NULL, 4096);

	must(!ioctl(client, LLM_IOC_REGISTER, &arg), "REGISTER");
	submit.flags = LLM_SUBMIT_BUFFER;
	submit.buffer = arg.buffer;
	must(!ioctl(client, LLM_IOC_SUBMIT, &submit), "SUBMIT");
	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
	return event.head.buffer;
}

static long do_submit_in_buffer(void)
{
	struct llm_register arg = page_register();
	struct llm_submit submit = submit_init(NULL, 4096);

	must(!ioctl(client, LLM_IOC_REGISTER, &arg), "REGISTER");
	submit.flags = LLM_SUBMIT_BUFFER;
	submit.buffer = arg.buffer;
	return armed(ioctl(client, LLM_IOC_SUBMIT, &submit));
}

static long do_map(void)
{
	const uint64_t at = fetch_in_buffer();
	void *map = MAP_FAILED;
	const long r = armed((map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, server, (off_t)at)) ==
			     MAP_FAILED ? -1 : 0);

	if (map != MAP_FAILED)
		munmap(map, 4096);
	return r;
}

/* The fault handler, by way of a system call: EFAULT, and no signal. */
static long do_touch(void)
{
	const uint64_t at = fetch_in_buffer();
	const int sink = memfd_create("sink", MFD_CLOEXEC);
	void *map = mmap(NULL, 4096, PROT_READ, MAP_SHARED, server, (off_t)at);
	long r;

	must(sink >= 0 && map != MAP_FAILED && write(sink, big, 4096) == 4096, "a mapping");
	r = armed(pwrite(sink, map, 4096, 0));
	munmap(map, 4096);
	close(sink);
	return r == -EFAULT && hit ? -ENOMEM : r;
}

/* ---- the server ---- */

static long do_fetch(void)
{
	struct llm_fetch arg = fetch_init(LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event,
					  sizeof(event));

	must(submit_text(client, "fetched"), "submit");
	return armed(ioctl(server, LLM_IOC_FETCH, &arg));
}

static void have_request(void)
{
	must(submit_text(client, "had") && fetch(server, LLM_FETCH_REQUEST, &event) > 0, "FETCH");
}

static long do_pull(void)
{
	struct llm_pull arg = { .size = sizeof(arg), .buf = (uintptr_t)answer, .buf_len = 100 };

	have_request();
	arg.id = event.head.id;
	return armed(ioctl(server, LLM_IOC_PULL, &arg));
}

static long commit_big(uint32_t flags)
{
	struct llm_commit arg;

	have_request();
	arg = commit_init(event.head.id, big, BYTES);
	arg.journal = (uintptr_t)big;
	arg.journal_len = BYTES;
	arg.flags = flags;
	return armed(ioctl(server, LLM_IOC_COMMIT, &arg));
}

static long do_commit(void)
{
	return commit_big(0);
}

static long do_commit_end(void)
{
	return commit_big(LLM_COMMIT_END);
}

static long do_commit_fetch(void)
{
	struct llm_commit arg;
	long r;

	have_request();
	arg = commit_init(event.head.id, big, BYTES);
	arg.flags = LLM_COMMIT_END;
	arg.fetch_buf = (uintptr_t)&event;
	arg.fetch_len = sizeof(event);
	arg.fetch_flags = LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK;
	r = armed(ioctl(server, LLM_IOC_COMMIT_AND_FETCH, &arg));
	return r == -EAGAIN && !hit ? 0 : r;
}

static long do_read(void)
{
	struct llm_read arg;

	have_request();
	must(commit(server, event.head.id, "text", LLM_COMMIT_END) >= 0, "COMMIT");
	arg = read_init(event.head.id, answer, sizeof(answer));
	return armed(ioctl(client, LLM_IOC_READ, &arg));
}

static long do_charge(void)
{
	struct llm_charge arg = { .size = sizeof(arg), .bytes = 4096 };

	have_request();
	arg.id = event.head.id;
	return armed(ioctl(server, LLM_IOC_CHARGE, &arg));
}

static long do_keep(void)
{
	struct llm_charge arg = { .size = sizeof(arg), .bytes = 4096 };

	have_request();
	arg.id = event.head.id;
	must(!ioctl(server, LLM_IOC_CHARGE, &arg), "CHARGE");
	arg.flags = LLM_CHARGE_KEEP;
	return armed(ioctl(server, LLM_IOC_CHARGE, &arg));
}

static long do_setup(void)
{
	static const struct llm_region regions[2] = { { .name = "host" }, { .name = "faults0" } };
	struct llm_setup arg = { .size = sizeof(arg), .slots = 1, .sequences = 2,
				 .regions = (uintptr_t)regions, .region_count = 2 };

	return armed(ioctl(server, LLM_IOC_SETUP, &arg));
}

/* ---- sessions ---- */

static int session(uint32_t flags, int of, struct llm_session_cmd *ret_info)
{
	*ret_info = (struct llm_session_cmd){ .size = sizeof(*ret_info), .flags = flags,
					      .fd = of };
	return ioctl(client, LLM_IOC_SESSION, ret_info);
}

static void have_session(void)
{
	struct llm_session_cmd arg;

	must(!session(0, -1, &arg), "SESSION");
	chat = arg.fd;
}

static int session_submit(uint64_t *ret_id)
{
	struct llm_submit arg = submit_init("next", 4);
	int r;

	arg.flags = LLM_SUBMIT_SESSION;
	arg.session = chat;
	r = ioctl(client, LLM_IOC_SUBMIT, &arg);
	*ret_id = arg.id;
	return r;
}

/* A request of the session, which the server has, with all that was said before or part of that. */
static uint64_t have_turn(void)
{
	uint64_t id;

	must(!session_submit(&id) && fetch(server, LLM_FETCH_REQUEST, &event) > 0, "a turn");
	return id;
}

/* The last COMMIT of a turn, which adds more than a chunk to the past. */
static struct llm_commit turn_end(uint64_t id)
{
	struct llm_commit arg = commit_init(id, "answer", 6);

	arg.flags = LLM_COMMIT_END;
	arg.session = (uintptr_t)big;
	arg.session_len = BYTES;
	arg.session_tokens = event.head.session_len / 4 + BYTES / 4;
	return arg;
}

static void have_past(void)
{
	struct llm_commit arg;

	have_session();
	arg = turn_end(have_turn());
	must(!ioctl(server, LLM_IOC_COMMIT, &arg), "a past");
}

static long do_session(void)
{
	struct llm_session_cmd arg;
	const long r = armed(session(0, -1, &arg));

	chat = r < 0 ? -1 : arg.fd;
	return r;
}

static long do_session_fork(void)
{
	struct llm_session_cmd arg;
	long r;

	have_past();
	r = armed(session(LLM_SESSION_FORK, chat, &arg));
	fork_of = r < 0 ? -1 : arg.fd;
	must(r < 0 || arg.bytes == BYTES, "a fork has the past");
	return r;
}

/* What fails leaves it as it was: not sealed. */
static long do_session_seal(void)
{
	struct llm_session_cmd arg;
	long r;

	have_past();
	r = armed(session(LLM_SESSION_SEAL, chat, &arg));
	/* it may be sealed where only the caller could not be told */
	must(!session(LLM_SESSION_INFO, chat, &arg), "INFO");
	must(r == -EFAULT || !(arg.out_flags & LLM_SESSION_SEALED) == (r < 0), "sealed, or not");
	return r;
}

static long do_session_submit(void)
{
	struct llm_session_cmd arg;
	uint64_t id;
	long r;

	have_past();
	r = armed(session_submit(&id));
	must(!session(LLM_SESSION_INFO, chat, &arg), "INFO");
	/* who could not be told has no request: it is gone at once, and others may ask */
	must(!(arg.out_flags & LLM_SESSION_BUSY) == (r < 0), "busy, or not");
	return r;
}

static long do_fetch_past(void)
{
	struct llm_fetch arg = fetch_init(LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event,
					  sizeof(event));
	uint64_t id;

	have_past();
	must(!session_submit(&id), "SUBMIT");
	return armed(ioctl(server, LLM_IOC_FETCH, &arg));
}

static long do_pull_past(void)
{
	struct llm_pull arg = { .size = sizeof(arg), .buf = (uintptr_t)answer, .buf_len = BYTES };
	long r;

	have_past();
	arg.id = have_turn();
	/* behind the payload */
	arg.offset = event.head.payload_len;
	r = armed(ioctl(server, LLM_IOC_PULL, &arg));
	must(r < 0 || !memcmp(answer, big, BYTES), "the past");
	return r;
}

/* A turn is part of the past as a whole or not at all, and what failed can be made again. */
static long commit_turn(uint64_t bytes)
{
	struct llm_commit arg = turn_end(have_turn());
	struct llm_session_cmd info;
	const long r = armed(ioctl(server, LLM_IOC_COMMIT, &arg));

	must(!session(LLM_SESSION_INFO, chat, &info), "INFO");
	if (r < 0) {
		must(info.bytes == bytes && info.out_flags == LLM_SESSION_BUSY, "as it was");
		must(!ioctl(server, LLM_IOC_COMMIT, &arg), "the same COMMIT");
		must(!session(LLM_SESSION_INFO, chat, &info), "INFO");
	}
	must(info.bytes == bytes + BYTES && !info.out_flags, "a turn more");
	return r;
}

static long do_first_turn(void)
{
	have_session();
	return commit_turn(0);
}

static long do_second_turn(void)
{
	have_past();
	return commit_turn(BYTES);
}

/* Over a socket: who gets it has the same session. */
static long do_session_pass(void)
{
	char control[CMSG_SPACE(sizeof(int))] = "";
	struct iovec part = { "x", 1 };
	struct msghdr msg = {
		.msg_iov = &part, .msg_iovlen = 1,
		.msg_control = control, .msg_controllen = sizeof(control),
	};
	struct cmsghdr *head = CMSG_FIRSTHDR(&msg);
	int pair[2];
	long r;

	have_past();
	must(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), "socketpair");
	*head = (struct cmsghdr){ .cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS,
				  .cmsg_len = CMSG_LEN(sizeof(int)) };
	memcpy(CMSG_DATA(head), &chat, sizeof(chat));
	r = armed(sendmsg(pair[0], &msg, 0));
	/* it is in flight, or nowhere: it ends with the socket either way */
	close(pair[0]);
	close(pair[1]);
	return r < 0 ? r : 0;
}

static long do_session_close(void)
{
	long r;

	have_past();
	have_turn();
	r = armed(close(chat));
	chat = -1;
	return r;
}

/* ---- io_uring ---- */

static long ring_submit(struct io_uring *ring, int fd, unsigned int cmd, void *arg)
{
	long r;

	uring_queue(ring, fd, cmd, arg, 1);
	fault_arm(nth);
	r = io_uring_submit(ring);
	hit = fault_disarm();
	if (r == 0)
		r = -EAGAIN;
	return r < 0 ? r : 0;
}

/* A command that is done at once. */
static long do_ring_submit(void)
{
	struct llm_submit submit = submit_init(big, BYTES);
	struct io_uring ring;
	long r;

	must(!io_uring_queue_init(4, &ring, 0), "io_uring");
	r = ring_submit(&ring, client, LLM_IOC_SUBMIT, &submit);
	if (!r)
		r = uring_reap(&ring, NULL);
	io_uring_queue_exit(&ring);
	return r;
}

/* And one that waits, and goes down with its ring. */
static long do_ring_park(void)
{
	struct llm_fetch arg = fetch_init(LLM_FETCH_NOTICE, &event, sizeof(event));
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	long r;

	must(!io_uring_queue_init(4, &ring, 0), "io_uring");
	r = ring_submit(&ring, server, LLM_IOC_FETCH, &arg);
	if (!r && !io_uring_peek_cqe(&ring, &cqe))
		r = cqe->res;
	io_uring_queue_exit(&ring);
	return r;
}

/* ---- netlink ---- */

/* What the kernel allocates for the talking itself is in it: an answer may be lost with ENOBUFS. */
static long netlink(int (*talk)(int fd, uint64_t cgroup))
{
	const uint64_t cgroup = cgroup_id_of(CGROUP);
	const int fd = nl_open();
	long r;

	must(fd >= 0, "the family \"llm\"");
	fault_arm(nth);
	r = talk(fd, cgroup);
	hit = fault_disarm();
	close(fd);
	return r;
}

static int quota_talk(int fd, uint64_t cgroup)
{
	return nl_quota_set(fd, cgroup, LLM_NL_A_QUOTA_WEIGHT, 200ULL, LLM_NL_A_QUOTA_MEMORY,
			    1ULL << 30, 0);
}

static int get_talk(int fd, uint64_t cgroup)
{
	struct nl_group group;

	return nl_group_get(fd, cgroup, &group);
}

static int dump_talk(int fd, uint64_t cgroup)
{
	static struct nl_msg msg;
	static struct nl_answer all;

	(void)cgroup;
	nl_begin(&msg, LLM_NL_CMD_GROUP_GET, NLM_F_DUMP);
	return nl_talk(fd, &msg, &all, NULL, NULL);
}

static int watch_talk(int fd, uint64_t cgroup)
{
	return nl_watch(fd, cgroup, false, 100000000, 1000000000);
}

static long do_quota_set(void)
{
	return netlink(quota_talk);
}

static void have_quota(void)
{
	const int fd = nl_open();

	must(fd >= 0 && !quota_talk(fd, cgroup_id_of(CGROUP)), "a quota");
	close(fd);
}

static long do_group_get(void)
{
	have_quota();
	return netlink(get_talk);
}

static long do_group_dump(void)
{
	have_quota();
	return netlink(dump_talk);
}

static long do_watch(void)
{
	have_quota();
	return netlink(watch_talk);
}

/* ---- all of them ---- */

/* @allocates: the module does, so something of its own must have failed */
static const struct operation {
	const char *name;
	long (*make)(void);
	bool allocates;
} operations[] = {
	{ "open /dev/llm", open_client, true },
	{ "open /dev/llmd", open_server, true },
	{ "SUBMIT", do_submit, true },
	{ "SUBMIT of a control request", do_submit_control, true },
	{ "SUBMIT_AND_READ", do_submit_read, true },
	{ "write", do_write, true },
	{ "read after a write", do_read_of_file, true },
	{ "poll after a write", do_poll, true },
	{ "epoll after a write", do_epoll, true },
	{ "LIST", do_list, true },
	{ "CANCEL", do_cancel, false },
	{ "close", do_close, false },
	{ "close of /dev/llmd", do_close_server, false },
	{ "REGISTER", do_register, true },
	{ "REGISTER of a memfd", do_register_memfd, true },
	{ "UNREGISTER", do_unregister, false },
	{ "SUBMIT in a buffer", do_submit_in_buffer, true },
	{ "mmap of a buffer", do_map, false },
	{ "a fault in a buffer", do_touch, false },
	{ "FETCH", do_fetch, false },
	{ "PULL", do_pull, false },
	{ "COMMIT", do_commit, true },
	{ "COMMIT of the end", do_commit_end, true },
	{ "COMMIT_AND_FETCH", do_commit_fetch, true },
	{ "READ", do_read, false },
	{ "CHARGE", do_charge, false },
	{ "CHARGE to keep", do_keep, false },
	{ "SETUP", do_setup, false },
	{ "SESSION", do_session, true },
	{ "SESSION, forked", do_session_fork, true },
	{ "SESSION, sealed", do_session_seal, false },
	{ "SUBMIT in a session", do_session_submit, true },
	{ "FETCH of a past", do_fetch_past, false },
	{ "PULL of a past", do_pull_past, false },
	{ "COMMIT of the first turn", do_first_turn, true },
	{ "COMMIT of another turn", do_second_turn, true },
	{ "a session in a message", do_session_pass, false },
	{ "close of a session", do_session_close, false },
	{ "SUBMIT by io_uring", do_ring_submit, true },
	{ "FETCH by io_uring", do_ring_park, true },
	{ "a quota", do_quota_set, true },
	{ "a group", do_group_get, true },
	{ "all groups", do_group_dump, false },
	{ "a watch", do_watch, true },
};

static void close_if(int *fd)
{
	if (*fd >= 0)
		close(*fd);
	*fd = -1;
}

static bool nothing_left(void)
{
	const int fd = client_open(), nl = nl_open();
	struct llm_features all;
	struct nl_group root;
	bool good;

	must(nl >= 0, "netlink");
	all = features(fd);
	good = !all.requests && !all.sessions && !all.server_pid && !all.memory_host &&
	       all.submitted == all.ended && !nl_group_get(nl, cgroup_id_of(""), &root) &&
	       !root.usage[LLM_NL_A_USAGE_QUEUED] && !root.usage[LLM_NL_A_USAGE_IN_FLIGHT];
	close(nl);
	close(fd);
	return good;
}

static bool is_expected(long r)
{
	switch (r) {
	case -ENOMEM:
	case -ENOBUFS:
	case -EAGAIN:
		return true;
	case -EFAULT:
		return fault_has_copies();
	default:
		return false;
	}
}

/* In a cgroup that nobody has asked from before, so that all that a first request needs is made. */
static long make_once(const struct operation *operation)
{
	long r;
	int nl;

	client = client_open();
	server = server_open();
	other = -1;
	r = operation->make();
	close_if(&other);
	close_if(&fork_of);
	close_if(&chat);
	close_if(&client);
	close_if(&server);
	nl = nl_open();
	must(nl >= 0 && !nl_quota_reset_all(nl), "quotas are reset");
	close(nl);
	return r;
}

static void try_all(const struct operation *operation)
{
	unsigned int failed = 0, tolerated = 0, wrong = 0, left = 0;
	long r;

	for (nth = 1; nth < MOST; nth++) {
		r = make_once(operation);
		left += !eventually(nothing_left());
		if (!hit)
			break;
		failed += r < 0;
		tolerated += r >= 0;
		if (r < 0 && !is_expected(r)) {
			tap_note("%s: number %u: %s", operation->name, nth, strerror((int)-r));
			wrong++;
		}
	}
	tap_note("%s: %u failed, %u did not matter", operation->name, failed, tolerated);
	ok(!hit && r >= 0, "%s: goes well in the end (%ld)", operation->name, r);
	is(wrong, 0, "%s: says what was wrong", operation->name);
	is(left, 0, "%s: leaves nothing", operation->name);
	if (operation->allocates)
		ok(failed, "%s: fails", operation->name);
}

int main(void)
{
	if (!fault_begin()) {
		tap_skip("failures on order", "this kernel has none");
		return tap_done();
	}
	page = mmap(NULL, 4 * 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	must(page != MAP_FAILED, "mmap");
	memset(page, 'p', 4 * 4096);
	must(cgroup_make(CGROUP) && cgroup_enter(CGROUP), CGROUP);
	for (size_t i = 0; i < ARRAY_LEN(operations); i++)
		try_all(&operations[i]);
	must(cgroup_enter(""), "the root cgroup");
	ok(eventually(cgroup_remove(CGROUP)), "the cgroup goes");
	return tap_done();
}
