// SPDX-License-Identifier: MIT
/*
 * Everything at once, and most of it wrong: unprivileged threads that share files and rings and
 * send well-formed, half-formed and senseless commands, fork, close and die; against a server
 * that does the same. Nothing is asserted but that the kernel survives it, which the kernel log
 * tells, that it ends, and that nothing is left.
 */
#include "uapi.h"
#include "uapi_netlink.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define FILES 4
#define THREADS 3

struct actor {
	uint64_t state;
	int ops;
	int fds[FILES];
	bool serves;
	struct io_uring ring;
	bool has_ring;
	/* Structs in use by parked commands stay where they are. */
	char args[64][512];
	unsigned int next_arg;
};

static const unsigned int client_cmds[] = {
	LLM_IOC_GET_FEATURES, LLM_IOC_SUBMIT, LLM_IOC_SUBMIT, LLM_IOC_READ, LLM_IOC_READ,
	LLM_IOC_SUBMIT_AND_READ, LLM_IOC_CANCEL, LLM_IOC_WAIT, LLM_IOC_LIST, LLM_IOC_REGISTER,
	LLM_IOC_UNREGISTER,
};
static const unsigned int server_cmds[] = {
	LLM_IOC_GET_FEATURES, LLM_IOC_FETCH, LLM_IOC_FETCH, LLM_IOC_FETCH, LLM_IOC_PULL,
	LLM_IOC_COMMIT, LLM_IOC_COMMIT, LLM_IOC_COMMIT, LLM_IOC_COMMIT_AND_FETCH,
	LLM_IOC_SETUP, LLM_IOC_CHARGE, LLM_IOC_CHARGE, LLM_IOC_UNCHARGE,
};

/* The id of a request that somebody has just submitted; known to all. */
static volatile uint64_t *recent_id;
/* A buffer that somebody has just registered, and the cgroup of all. */
static volatile uint64_t *recent_buffer, *cgroup_id;

/*
 * Where the kernel may write: some memory, and behind it as much of nothing as a length can say.
 * It lies where an address with one wrong bit leads out of it to nothing, not to this program.
 */
#define ROOM_AT		0x300000000000ULL
#define ROOM_BYTES	65536ULL
#define NOTHING_BYTES	(1ULL << 33)

static uint64_t roll(struct actor *actor, uint64_t sides)
{
	return random_next(&actor->state) % sides;
}

static uintptr_t some_address(struct actor *actor)
{
	switch (roll(actor, 12)) {
	case 0: return 0;
	case 1: return (uintptr_t)nowhere();
	case 2: return UINTPTR_MAX - roll(actor, 64);
	default: return (uintptr_t)ROOM_AT + roll(actor, 64);
	}
}

static uint64_t some_buffer(struct actor *actor)
{
	return roll(actor, 16) ? *recent_buffer - roll(actor, 4) / 3 * 4096 :
				 random_next(&actor->state);
}

static uint32_t some_len(struct actor *actor)
{
	switch (roll(actor, 8)) {
	case 0: return 0;
	case 1: return (uint32_t)random_next(&actor->state);
	case 2: return (uint32_t)roll(actor, 1 << 21);
	default: return (uint32_t)roll(actor, 8192);
	}
}

static uint64_t some_id(struct actor *actor)
{
	return roll(actor, 16) ? *recent_id - roll(actor, 12) : random_next(&actor->state);
}

/* A payload in a buffer, an answer in one. */
static void some_buffers(struct actor *actor, struct llm_submit *submit)
{
	if (roll(actor, 3) == 0) {
		submit->flags = LLM_SUBMIT_BUFFER;
		submit->buffer = some_buffer(actor);
		submit->payload = roll(actor, 9000);
		submit->payload_len = some_len(actor) % 9000;
	}
	if (roll(actor, 3) == 0) {
		submit->answer_buffer = some_buffer(actor);
		submit->answer_len = roll(actor, 9000);
	}
}

/* Mostly right, so that most of it gets past the first check. */
static void *some_arg(struct actor *actor, unsigned int cmd)
{
	void *arg = actor->args[actor->next_arg++ % ARRAY_LEN(actor->args)];
	const uint64_t id = some_id(actor);

	memset(arg, 0, sizeof(actor->args[0]));
	switch (cmd) {
	case LLM_IOC_SUBMIT:
		*(struct llm_submit *)arg = submit_init((void *)some_address(actor),
							some_len(actor) % 65536);
		((struct llm_submit *)arg)->op = roll(actor, 2) ? 0 : (uint32_t)roll(actor, 256);
		some_buffers(actor, arg);
		break;
	case LLM_IOC_SUBMIT_AND_READ: {
		struct llm_submit_read *both = arg;

		both->submit = submit_init((void *)some_address(actor), roll(actor, 100));
		both->read = read_init(0, (void *)some_address(actor), some_len(actor) % 8000);
		both->read.flags = (uint32_t)roll(actor, 4);
		break;
	}
	case LLM_IOC_READ:
		*(struct llm_read *)arg = read_init(id, (void *)some_address(actor),
						    some_len(actor) % 8000);
		((struct llm_read *)arg)->flags = (uint32_t)roll(actor, 4);
		break;
	case LLM_IOC_CANCEL:
		((struct llm_cancel *)arg)->flags = (uint32_t)roll(actor, 4);
		if (!(((struct llm_cancel *)arg)->flags & LLM_CANCEL_ALL))
			((struct llm_cancel *)arg)->id = id;
		break;
	case LLM_IOC_WAIT:
		*(struct llm_wait *)arg = (struct llm_wait) {
			.flags = (uint32_t)roll(actor, 4),
			.id = roll(actor, 2) ? id : 0,
			.deadline_ns = now_ns() + roll(actor, 5000000),
		};
		break;
	case LLM_IOC_LIST:
		*(struct llm_list *)arg = (struct llm_list) {
			.buf = some_address(actor),
			.entry_size = sizeof(struct llm_request_info),
			.capacity = (uint32_t)roll(actor, 40),
			.cursor = roll(actor, 2) ? 0 : id,
		};
		break;
	case LLM_IOC_REGISTER:
		*(struct llm_register *)arg = (struct llm_register) {
			.flags = (uint32_t)roll(actor, 2),
			.addr = some_address(actor) & ~4095ULL,
			.len = roll(actor, 5) * 4096,
		};
		break;
	case LLM_IOC_UNREGISTER:
		((struct llm_unregister *)arg)->buffer = some_buffer(actor);
		break;
	case LLM_IOC_SETUP:
		((struct llm_setup *)arg)->slots = (uint32_t)roll(actor, 8);
		((struct llm_setup *)arg)->sequences = (uint32_t)roll(actor, 16);
		break;
	case LLM_IOC_CHARGE:
	case LLM_IOC_UNCHARGE: {
		struct llm_charge *charge = arg;

		charge->bytes = 1 + roll(actor, 100);
		if (cmd == LLM_IOC_UNCHARGE && roll(actor, 2))
			charge->cgroup_id = *cgroup_id;
		else
			charge->id = id;
		if (cmd == LLM_IOC_CHARGE)
			charge->flags = roll(actor, 4) ? 0 : 1U << roll(actor, 3);
		break;
	}
	case LLM_IOC_FETCH:
		*(struct llm_fetch *)arg = fetch_init((uint32_t)(1 + roll(actor, 7)),
						      (void *)some_address(actor), some_len(actor));
		break;
	case LLM_IOC_PULL:
		*(struct llm_pull *)arg = (struct llm_pull) {
			.id = id,
			.buf = some_address(actor),
			.buf_len = some_len(actor),
			.offset = some_len(actor),
		};
		break;
	case LLM_IOC_COMMIT:
	case LLM_IOC_COMMIT_AND_FETCH: {
		struct llm_commit *commit_arg = arg;

		*commit_arg = commit_init(id, (void *)some_address(actor), some_len(actor) % 8000);
		commit_arg->journal = some_address(actor);
		commit_arg->journal_len = (uint32_t)roll(actor, 100);
		commit_arg->flags = roll(actor, 4) == 0 ? LLM_COMMIT_END : 0;
		if (cmd == LLM_IOC_COMMIT_AND_FETCH) {
			commit_arg->flags = LLM_COMMIT_END;
			commit_arg->fetch_buf = some_address(actor);
			commit_arg->fetch_len = some_len(actor);
			commit_arg->fetch_flags = 1 + (uint32_t)roll(actor, 7);
		}
		break;
	}
	}
	*(uint32_t *)arg = _IOC_SIZE(cmd);
	/* Then something goes wrong. */
	if (roll(actor, 4) == 0)
		((uint8_t *)arg)[roll(actor, _IOC_SIZE(cmd))] ^= (uint8_t)(1 << roll(actor, 8));
	return arg;
}

static void by_ioctl(struct actor *actor, int fd, unsigned int cmd)
{
	void *arg = some_arg(actor, cmd);

	/* What would sleep for ever is somebody else's test. */
	if (cmd == LLM_IOC_READ || cmd == LLM_IOC_SUBMIT_AND_READ) {
		struct llm_read *read_arg = cmd == LLM_IOC_READ ? arg :
					    &((struct llm_submit_read *)arg)->read;

		read_arg->flags |= LLM_READ_NONBLOCK;
	} else if (cmd == LLM_IOC_FETCH) {
		((struct llm_fetch *)arg)->flags |= LLM_FETCH_NONBLOCK;
	} else if (cmd == LLM_IOC_COMMIT_AND_FETCH) {
		((struct llm_commit *)arg)->fetch_flags |= LLM_FETCH_NONBLOCK;
	} else if (cmd == LLM_IOC_WAIT) {
		((struct llm_wait *)arg)->deadline_ns = now_ns() + 1000000;
	}
	if (ioctl(fd, cmd, arg) < 0)
		return;
	if (cmd == LLM_IOC_SUBMIT)
		*recent_id = ((struct llm_submit *)arg)->id;
	if (cmd == LLM_IOC_REGISTER)
		*recent_buffer = ((struct llm_register *)arg)->buffer;
}

/* Maps what somebody has registered, looks at it, and may leave it so. */
static void by_map(struct actor *actor, int fd)
{
	const char *vehicle = getenv("LLMOS_VEHICLE");
	const size_t len = 4096 * (1 + roll(actor, 4));
	char *seen;

	/*
	 * When two threads take something out of one address space at once, User-Mode Linux walks
	 * its mappings without their lock, and lockdep says so.
	 */
	if (vehicle && !strcmp(vehicle, "uml-debug"))
		return;
	seen = mmap(NULL, len, roll(actor, 2) ? PROT_READ : PROT_READ | PROT_WRITE, MAP_SHARED, fd,
		    (off_t)some_buffer(actor));
	if (seen == MAP_FAILED)
		return;
	/* The kernel reads it as a path, and raises no signal if there is nothing. */
	for (int i = 0; i < 4; i++)
		access(seen + roll(actor, len), F_OK);
	if (roll(actor, 4))
		munmap(seen, len);
}

static void by_uring(struct actor *actor, int fd, unsigned int cmd)
{
	const struct iovec room = { (void *)ROOM_AT, ROOM_BYTES };
	struct io_uring_sqe *sqe;
	struct io_uring_cqe *cqe;

	if (!actor->has_ring) {
		if (io_uring_queue_init(64, &actor->ring, 0))
			return;
		actor->has_ring = true;
		if (roll(actor, 2))
			io_uring_register_buffers(&actor->ring, &room, 1);
	}
	sqe = uring_queue(&actor->ring, fd, cmd, some_arg(actor, cmd), 0);
	sqe->flags |= roll(actor, 8) ? 0 : IOSQE_ASYNC;
	if (roll(actor, 8) == 0)
		sqe->uring_cmd_flags = IORING_URING_CMD_FIXED;
	io_uring_submit(&actor->ring);
	while (!io_uring_peek_cqe(&actor->ring, &cqe))
		io_uring_cqe_seen(&actor->ring, cqe);
	if (roll(actor, 200) == 0) {
		io_uring_queue_exit(&actor->ring);
		actor->has_ring = false;
	}
}

static void by_file(struct actor *actor, int fd)
{
	struct pollfd poller = { .fd = fd, .events = (short)roll(actor, 8) };

	switch (roll(actor, 3)) {
	case 0:
		if (write(fd, (void *)some_address(actor), some_len(actor)) < 0)
			return;
		break;
	case 1:
		if (read(fd, (void *)some_address(actor), some_len(actor)) < 0)
			return;
		break;
	default:
		poll(&poller, 1, 0);
	}
}

static void some_child(struct actor *actor, int fd)
{
	const pid_t pid = fork();

	if (!pid) {
		actor->has_ring = false;
		by_ioctl(actor, fd, LLM_IOC_SUBMIT);
		by_uring(actor, fd, LLM_IOC_READ);
		if (roll(actor, 2))
			execl("/bin/true", "true", NULL);
		_exit(0);
	}
	if (pid > 0)
		waitpid(pid, NULL, 0);
}

static void *act(void *arg)
{
	struct actor *actor = arg;

	for (int i = 0; i < actor->ops; i++) {
		const size_t which = roll(actor, actor->serves ? 1 : FILES);
		const int fd = actor->fds[which];
		const unsigned int cmd = actor->serves ?
			server_cmds[roll(actor, ARRAY_LEN(server_cmds))] :
			client_cmds[roll(actor, ARRAY_LEN(client_cmds))];
		const uint64_t kind = roll(actor, 100);

		if (kind < 50)
			by_ioctl(actor, fd, cmd);
		else if (kind < 80)
			by_uring(actor, fd, cmd);
		else if (kind < 90 && actor->serves)
			by_map(actor, fd);
		else if (kind < 98)
			by_file(actor, fd);
		else if (kind == 98 && roll(actor, 4) == 0)
			some_child(actor, fd);
		else if (!actor->serves && roll(actor, 4) == 0) {
			/* Under the feet of the other threads. */
			const int fresh = open("/dev/llm", O_RDWR | O_NONBLOCK | O_CLOEXEC);

			if (fresh >= 0) {
				dup3(fresh, fd, O_CLOEXEC);
				close(fresh);
			}
		}
	}
	return NULL;
}

static pid_t start(uint64_t seed, int ops, bool serves)
{
	const pid_t pid = fork();
	static struct actor actors[THREADS];
	pthread_t threads[THREADS];
	int fds[FILES];

	must(pid >= 0, "fork");
	if (pid)
		return pid;
	if (serves)
		fds[0] = server_open();
	else
		become_user(4000 + (uid_t)(seed % 3));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	for (int i = 0; i < FILES && !serves; i++)
		fds[i] = client_open_flags(O_NONBLOCK);
	for (int i = 0; i < THREADS; i++) {
		actors[i] = (struct actor) { .state = seed + (uint64_t)i, .ops = ops,
					     .serves = serves };
		memcpy(actors[i].fds, fds, sizeof(fds));
		pthread_create(&threads[i], NULL, act, &actors[i]);
	}
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	/* Rings and parked commands are left to the exit. */
	_exit(0);
}

static bool room_map(void)
{
	void *room = mmap((void *)ROOM_AT, ROOM_BYTES + NOTHING_BYTES, PROT_NONE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0);

	recent_id = mmap(NULL, 4096, PROT_READ | PROT_WRITE,
			 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	recent_buffer = recent_id + 1;
	cgroup_id = recent_id + 2;
	return recent_id != MAP_FAILED && room == (void *)ROOM_AT && !mprotect(room, ROOM_BYTES, PROT_READ | PROT_WRITE);
}

int main(void)
{
	const int ops = is_slow() ? 1000 : 10000, rounds = 3;
	uint64_t state = random_seed();
	const int client = client_open(), nl = nl_open();

	must(room_map(), "mmap");
	must(nl >= 0, "the family \"llm\"");
	*cgroup_id = cgroup_id_of("");
	/* so little that somebody always waits for it */
	must(!*cgroup_id || !nl_quota_set(nl, *cgroup_id, LLM_NL_A_QUOTA_MEMORY, 500ULL, 0),
	     "QUOTA_SET");
	param_set("max_unread_bytes", 8192);
	param_set("max_requests_user", 40);
	param_set("max_requests_file", 20);
	for (int i = 0; i < rounds; i++) {
		const uint64_t seed = random_next(&state);
		const pid_t one = start(seed, ops, false), two = start(seed + 1, ops, false);
		pid_t server = start(seed + 2, ops, true);

		if (roll(&(struct actor) { .state = state }, 2)) {
			usleep(20000);
			kill(server, SIGKILL);
			wait_child(server);
			server = start(seed + 3, ops, true);
		}
		is(wait_child(one), 0, "one came to its end");
		is(wait_child(two), 0, "two came to its end");
		kill(server, SIGKILL);
		wait_child(server);
		ok(eventually(features(client).requests == 0), "nothing is left");
		ok(eventually(features(client).memory_host == 0), "nothing is charged");
	}
	{
		const struct llm_features f = features(client);

		is(f.submitted, f.ended, "all that were submitted have ended");
		tap_note("%llu requests, %llu cancelled, %llu recovered",
			 (unsigned long long)f.submitted, (unsigned long long)f.cancelled,
			 (unsigned long long)f.recovered);
	}
	must(!nl_quota_reset_all(nl), "QUOTA_RESET");
	close(nl);
	close(client);
	return tap_done();
}
