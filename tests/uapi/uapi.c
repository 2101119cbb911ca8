// SPDX-License-Identifier: MIT
/*
 * What the programs in this folder share: see uapi.h. Each program links it.
 */
#include "uapi.h"

#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <liburing.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

/* ---- TAP ---- */

static int tap_count, tap_failed;

static void tap_print(bool good, const char *name, va_list args)
{
	printf("%sok %d - ", good ? "" : "not ", ++tap_count);
	vprintf(name, args);
	printf("\n");
	if (!good)
		tap_failed++;
}

bool tap_ok(bool good, const char *file, int line, const char *what, const char *name, ...)
{
	const int err = errno;
	va_list args;

	va_start(args, name);
	tap_print(good, name, args);
	va_end(args);
	if (!good)
		printf("# %s:%d: %s (errno: %s)\n", file, line, what, strerror(err));
	fflush(stdout);
	return good;
}

bool tap_is(long long value, long long want, const char *file, int line, const char *what,
	    const char *name, ...)
{
	const int err = errno;
	va_list args;

	va_start(args, name);
	tap_print(value == want, name, args);
	va_end(args);
	if (value != want)
		printf("# %s:%d: %s is %lld, not %lld (errno: %s)\n", file, line, what, value, want,
		       strerror(err));
	fflush(stdout);
	return value == want;
}

bool tap_fails(long long value, int want, const char *file, int line, const char *what,
	       const char *name, ...)
{
	const int err = errno;
	const bool good = value == -1 && err == want;
	va_list args;

	va_start(args, name);
	tap_print(good, name, args);
	va_end(args);
	if (!good)
		printf("# %s:%d: %s is %lld (%s), not %s\n", file, line, what, value,
		       value == -1 ? strerror(err) : "no error", strerror(want));
	fflush(stdout);
	return good;
}

void tap_skip(const char *name, const char *why)
{
	printf("ok %d - %s # SKIP %s\n", ++tap_count, name, why);
	fflush(stdout);
}

void tap_note(const char *format, ...)
{
	va_list args;

	printf("# ");
	va_start(args, format);
	vprintf(format, args);
	va_end(args);
	printf("\n");
	fflush(stdout);
}

int tap_done(void)
{
	printf("1..%d\n", tap_count);
	fflush(stdout);
	return tap_failed > 0;
}

void must(bool good, const char *what)
{
	if (good)
		return;
	printf("Bail out! %s: %s\n", what, strerror(errno));
	fflush(stdout);
	exit(1);
}

void child_failed(const char *file, int line, const char *what)
{
	fprintf(stderr, "# child: %s:%d: %s (errno: %s)\n", file, line, what, strerror(errno));
	_exit(1);
}

int wait_child(pid_t pid)
{
	int status;

	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ---- time and chance ---- */

uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

uint64_t random_seed(void)
{
	const char *given = getenv("LLMOS_SEED");
	uint64_t seed = given && *given ? strtoull(given, NULL, 0) : now_ns() ^ (uint64_t)getpid();

	tap_note("LLMOS_SEED=%" PRIu64, seed);
	return seed;
}

/* splitmix64 */
uint64_t random_next(uint64_t *state)
{
	uint64_t z = *state += 0x9e3779b97f4a7c15;

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

bool is_slow(void)
{
	const char *slow = getenv("LLMOS_SLOW");

	return slow && atoi(slow) > 1;
}

void *nowhere(void)
{
	return (void *)8;
}

void become_user(uid_t uid)
{
	struct stat status;

	child_must(!stat("/dev/llm", &status));
	child_must(!setgroups(1, &status.st_gid));
	child_must(!setresgid(uid, uid, uid));
	child_must(!setresuid(uid, uid, uid));
}

/* ---- the devices ---- */

int client_open_flags(int flags)
{
	const int fd = open("/dev/llm", O_RDWR | O_CLOEXEC | flags);

	must(fd >= 0, "open /dev/llm");
	return fd;
}

int client_open(void)
{
	return client_open_flags(0);
}

int server_open(void)
{
	int fd = -1;

	must(eventually((fd = open("/dev/llmd", O_RDWR | O_CLOEXEC)) >= 0 || errno != EBUSY),
	     "open /dev/llmd");
	must(fd >= 0, "open /dev/llmd");
	return fd;
}

static struct {
	char name[32];
	unsigned long value;
} param_saved[16];
static size_t param_count;
static pid_t param_owner;

static bool param_write(const char *name, unsigned long value)
{
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/llm/parameters/%s", name);
	file = fopen(path, "w");
	if (!file)
		return false;
	fprintf(file, "%lu\n", value);
	return fclose(file) == 0;
}

static void param_restore(void)
{
	if (getpid() != param_owner)
		return;
	while (param_count > 0) {
		param_count--;
		param_write(param_saved[param_count].name, param_saved[param_count].value);
	}
}

unsigned long param_get(const char *name)
{
	unsigned long value = 0;
	char path[96];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/module/llm/parameters/%s", name);
	file = fopen(path, "r");
	must(file && fscanf(file, "%lu", &value) == 1, path);
	fclose(file);
	return value;
}

static bool param_is_saved(const char *name)
{
	for (size_t i = 0; i < param_count; i++)
		if (!strcmp(param_saved[i].name, name))
			return true;
	return false;
}

void param_set(const char *name, unsigned long value)
{
	if (!param_count) {
		param_owner = getpid();
		atexit(param_restore);
	}
	if (!param_is_saved(name)) {
		must(param_count < ARRAY_LEN(param_saved), "too many parameters");
		snprintf(param_saved[param_count].name, sizeof(param_saved[0].name), "%s", name);
		param_saved[param_count++].value = param_get(name);
	}
	must(param_write(name, value), name);
}

bool is_open_refused(const char *path, int flags, int want)
{
	const int fd = open(path, flags | O_CLOEXEC);

	if (fd >= 0)
		close(fd);
	return fd < 0 && errno == want;
}

/* ---- commands ---- */

struct llm_submit submit_init(const void *payload, size_t len)
{
	return (struct llm_submit) {
		.size = sizeof(struct llm_submit),
		.payload_type = LLM_PAYLOAD_RAW,
		.payload = (uintptr_t)payload,
		.payload_len = (uint32_t)len,
	};
}

struct llm_read read_init(uint64_t id, void *buf, size_t len)
{
	return (struct llm_read) {
		.size = sizeof(struct llm_read),
		.id = id,
		.buf = (uintptr_t)buf,
		.buf_len = (uint32_t)len,
	};
}

struct llm_fetch fetch_init(uint32_t flags, void *buf, size_t len)
{
	return (struct llm_fetch) {
		.size = sizeof(struct llm_fetch),
		.flags = flags,
		.buf = (uintptr_t)buf,
		.buf_len = (uint32_t)len,
	};
}

struct llm_commit commit_init(uint64_t id, const void *data, size_t len)
{
	return (struct llm_commit) {
		.size = sizeof(struct llm_commit),
		.id = id,
		.data = (uintptr_t)data,
		.data_len = (uint32_t)len,
	};
}

struct llm_features features(int fd)
{
	struct llm_features f = { .size = sizeof(f) };

	must(ioctl(fd, LLM_IOC_GET_FEATURES, &f) == 0, "GET_FEATURES");
	return f;
}

uint64_t submit_op(int fd, uint32_t op, const char *text)
{
	struct llm_submit submit = submit_init(text, strlen(text));

	submit.op = op;
	if (ioctl(fd, LLM_IOC_SUBMIT, &submit) < 0)
		return 0;
	return submit.id;
}

uint64_t submit_text(int fd, const char *text)
{
	return submit_op(fd, LLM_OP_GENERATE, text);
}

int cancel(int fd, uint64_t id, uint32_t flags)
{
	struct llm_cancel arg = { .size = sizeof(arg), .flags = flags, .id = id };

	return ioctl(fd, LLM_IOC_CANCEL, &arg);
}

int wait_for(int fd, uint64_t id, uint32_t flags, uint64_t deadline_ns, struct llm_wait *ret_wait)
{
	*ret_wait = (struct llm_wait) {
		.size = sizeof(*ret_wait),
		.flags = flags,
		.id = id,
		.deadline_ns = deadline_ns,
	};
	return ioctl(fd, LLM_IOC_WAIT, ret_wait);
}

ssize_t read_all(int fd, uint64_t id, void *buf, size_t room, struct llm_read *ret_read)
{
	size_t done = 0;
	char spill[64];

	do {
		const bool full = done == room;

		*ret_read = read_init(id, full ? spill : (char *)buf + done,
				      full ? sizeof(spill) : room - done);
		if (ioctl(fd, LLM_IOC_READ, ret_read) < 0)
			return -1;
		if (full && ret_read->len) {
			errno = EOVERFLOW;
			return -1;
		}
		done += ret_read->len;
	} while (!(ret_read->out_flags & LLM_READ_END));
	return (ssize_t)done;
}

int fetch(int fd, uint32_t flags, struct event *ret_event)
{
	struct llm_fetch arg = fetch_init(flags, ret_event, sizeof(*ret_event));

	memset(ret_event, 0, sizeof(*ret_event));
	return ioctl(fd, LLM_IOC_FETCH, &arg);
}

int commit(int fd, uint64_t id, const char *text, uint32_t flags)
{
	struct llm_commit arg = commit_init(id, text, text ? strlen(text) : 0);

	arg.flags = flags;
	return ioctl(fd, LLM_IOC_COMMIT, &arg);
}

int commit_status(int fd, uint64_t id, int status)
{
	struct llm_commit arg = commit_init(id, NULL, 0);

	arg.flags = LLM_COMMIT_END;
	arg.status = status;
	return ioctl(fd, LLM_IOC_COMMIT, &arg);
}

int state_of(int fd, uint64_t id, struct llm_request_info *ret_info)
{
	struct llm_request_info info;
	struct llm_list list = {
		.size = sizeof(list),
		.buf = (uintptr_t)&info,
		.entry_size = sizeof(info),
		.capacity = 1,
		.cursor = id - 1,
	};

	if (ioctl(fd, LLM_IOC_LIST, &list) < 0 || !list.count || info.id != id)
		return -1;
	if (ret_info)
		*ret_info = info;
	return (int)info.state;
}

/* ---- io_uring ---- */

struct io_uring_sqe *uring_queue(struct io_uring *ring, int fd, unsigned int cmd, void *arg,
				 uint64_t user_data)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(ring);
	struct llm_uring_cmd *uring_cmd;

	must(sqe != NULL, "io_uring_get_sqe");
	memset(sqe, 0, sizeof(*sqe));
	sqe->opcode = IORING_OP_URING_CMD;
	sqe->fd = fd;
	sqe->cmd_op = cmd;
	sqe->user_data = user_data;
	uring_cmd = (struct llm_uring_cmd *)sqe->cmd;
	uring_cmd->arg = (uintptr_t)arg;
	uring_cmd->arg_len = *(uint32_t *)arg;
	return sqe;
}

int uring_reap(struct io_uring *ring, uint64_t *ret_data)
{
	struct io_uring_cqe *cqe;
	int rc;

	do
		rc = io_uring_submit_and_wait(ring, 1);
	while (rc == -EINTR);
	must(rc >= 0, "io_uring_submit_and_wait");
	must(io_uring_peek_cqe(ring, &cqe) == 0, "io_uring_peek_cqe");
	rc = cqe->res;
	if (ret_data)
		*ret_data = cqe->user_data;
	io_uring_cqe_seen(ring, cqe);
	return rc;
}

int uring_call(struct io_uring *ring, int fd, unsigned int cmd, void *arg)
{
	uring_queue(ring, fd, cmd, arg, 0);
	return uring_reap(ring, NULL);
}

int call(struct io_uring *ring, int fd, unsigned int cmd, void *arg)
{
	int rc;

	if (ring)
		return uring_call(ring, fd, cmd, arg);
	rc = ioctl(fd, cmd, arg);
	return rc < 0 ? -errno : rc;
}
