// SPDX-License-Identifier: MIT
/*
 * latency [-d] [-r ROUNDS] [-n TRIPS] [-w WAY]: the round trip of a request that costs nothing, by
 * each way there is: /dev/llm by io_uring (one at a time, and 32 deep) and by ioctl, each with a
 * request that waits for nobody and with one that competes for the server's slots, against
 * ping-pongs over a Unix socket and over TCP, and HTTP with keep-alive, both on loopback. The ways
 * take turns, ROUNDS times TRIPS each, or only that WAY (0, 1, ...); printed are the median of the
 * rounds and their spread. The server behind /dev/llm is latency_server, so that the broker is
 * measured; with -d it is whatever server runs already.
 *
 * Says TAP. Where there is no /dev/llm, only the others are measured, and that is said.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <linux/llm.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define DEEP		32
#define ROUNDS_MAX	101
#define PING		64
#define HTTP_ROOM	1024

/* ---- the device ---- */

#define FILES		2
static int device_fds[FILES] = { -1, -1 };
static unsigned int device_files = 1;	/* used in turn */
static struct io_uring device_ring;
static uint32_t device_op = LLM_OP_NOP;
static struct llm_submit_read commands[DEEP];
static char nothing[DEEP][8];	/* with no room a READ would not wait */

static struct llm_submit_read *command_reset(unsigned int i)
{
	commands[i] = (struct llm_submit_read){
		.submit = { .size = sizeof(struct llm_submit_read), .op = device_op },
		.read = {
			.size = sizeof(struct llm_read),
			.flags = LLM_READ_ALL,
			.buf = (uintptr_t)nothing[i],
			.buf_len = sizeof(nothing[i]),
		},
	};
	return &commands[i];
}

static int command_check(const struct llm_submit_read *command, int r)
{
	if (r < 0)
		return r;
	if (!(command->read.out_flags & LLM_READ_END) || command->read.status)
		return command->read.status ?: -EPROTO;
	return 0;
}

static int device_open(void)
{
	for (int i = 0; i < FILES; i++) {
		device_fds[i] = open("/dev/llm", O_RDWR | O_CLOEXEC);
		if (device_fds[i] < 0)
			return -errno;
	}
	return io_uring_queue_init(2 * DEEP, &device_ring,
				   IORING_SETUP_SINGLE_ISSUER | IORING_SETUP_DEFER_TASKRUN);
}

static int ioctl_trips(unsigned int trips)
{
	int r = 0;

	for (unsigned int i = 0; i < trips && r == 0; i++) {
		struct llm_submit_read *command = command_reset(0);

		r = ioctl(device_fds[0], LLM_IOC_SUBMIT_AND_READ, command);
		r = command_check(command, r < 0 ? -errno : r);
	}
	return r;
}

static int uring_queue(unsigned int i)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&device_ring);
	struct llm_uring_cmd bytes = {
		.arg = (uintptr_t)command_reset(i),
		.arg_len = sizeof(struct llm_submit_read),
	};

	if (!sqe)
		return -EBUSY;
	io_uring_prep_rw(IORING_OP_URING_CMD, sqe, device_fds[i % device_files], NULL, 0, 0);
	sqe->cmd_op = LLM_IOC_SUBMIT_AND_READ;
	memcpy(sqe->cmd, &bytes, sizeof(bytes));
	io_uring_sqe_set_data64(sqe, i);
	return 0;
}

/* keep @depth on their way until @trips have come back */
static int uring_trips(unsigned int trips, unsigned int depth)
{
	unsigned int queued = 0, back = 0;
	struct io_uring_cqe *cqe;
	int r = 0;

	while (queued < depth && queued < trips && r == 0)
		r = uring_queue(queued++);
	while (back < trips && r == 0) {
		unsigned int head, count = 0;

		r = io_uring_submit_and_wait(&device_ring, 1);
		if (r < 0)
			break;
		r = 0;
		io_uring_for_each_cqe(&device_ring, head, cqe) {
			unsigned int i = cqe->user_data;

			count++;
			r = command_check(&commands[i], cqe->res);
			if (r == 0 && queued < trips) {
				r = uring_queue(i);
				queued++;
			}
			if (r < 0)
				break;
		}
		io_uring_cq_advance(&device_ring, count);
		back += count;
	}
	return r;
}

static int uring_one(unsigned int trips)
{
	return uring_trips(trips, 1);
}

static int uring_deep(unsigned int trips)
{
	return uring_trips(trips, DEEP);
}

/* those who ask take turns: no two requests in a row are of the same file */
static int uring_deep_turns(unsigned int trips)
{
	int r;

	device_files = FILES;
	r = uring_trips(trips, DEEP);
	device_files = 1;
	return r;
}

/* ---- bytes to and fro ---- */

static int transfer(int fd, char *buf, size_t len, bool out)
{
	while (len) {
		ssize_t n = out ? write(fd, buf, len) : read(fd, buf, len);

		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		buf += n;
		len -= n;
	}
	return 0;
}

/* ---- a Unix socket ---- */

static void ping_serve(int fd)
{
	char buf[PING];

	while (transfer(fd, buf, sizeof(buf), false) == 0 &&
	       transfer(fd, buf, sizeof(buf), true) == 0)
		;
}

static int ping_trips(int fd, unsigned int trips)
{
	char buf[PING] = { 0 };
	int r = 0;

	for (unsigned int i = 0; i < trips && r == 0; i++) {
		r = transfer(fd, buf, sizeof(buf), true);
		if (r == 0)
			r = transfer(fd, buf, sizeof(buf), false);
	}
	return r;
}

static int unix_fd = -1;

static int unix_open(void)
{
	int fds[2];

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) < 0)
		return -errno;
	if (fork() == 0) {
		close(fds[0]);
		ping_serve(fds[1]);
		_exit(0);
	}
	close(fds[1]);
	unix_fd = fds[0];
	return 0;
}

static int unix_trips(unsigned int trips)
{
	return ping_trips(unix_fd, trips);
}

/* ---- TCP on loopback ---- */

static int tcp_fd = -1;

/* a connection to a child that runs @serve on its other end */
static int tcp_connect(void (*serve)(int fd), int *ret_fd)
{
	struct sockaddr_in in = { .sin_family = AF_INET, .sin_addr = { htonl(INADDR_LOOPBACK) } };
	socklen_t len = sizeof(in);
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), one = 1;

	if (listener < 0 || bind(listener, (struct sockaddr *)&in, len) < 0 ||
	    listen(listener, 1) < 0 || getsockname(listener, (struct sockaddr *)&in, &len) < 0)
		return -errno;
	if (fork() == 0) {
		int fd = accept(listener, NULL, NULL);

		setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		if (fd >= 0)
			serve(fd);
		_exit(0);
	}
	*ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (*ret_fd < 0 || connect(*ret_fd, (struct sockaddr *)&in, len) < 0)
		return -errno;
	setsockopt(*ret_fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	close(listener);
	return 0;
}

static int tcp_trips(unsigned int trips)
{
	return ping_trips(tcp_fd, trips);
}

/* ---- HTTP, a connection kept alive ---- */

static const char http_request[] =
	"POST /nop HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n"
	"Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}";
static const char http_reply[] =
	"HTTP/1.1 200 OK\r\nConnection: keep-alive\r\nContent-Type: application/json\r\n"
	"Content-Length: 2\r\n\r\n{}";
static int http_fd = -1;

/* one message: a head, and as many bytes behind it as its Content-Length says */
static int http_message(int fd)
{
	char buf[HTTP_ROOM + 1];
	size_t len = 0;

	for (;;) {
		ssize_t n = read(fd, buf + len, HTTP_ROOM - len);
		char *end, *body;

		if (n <= 0)
			return n ? -errno : -ECONNRESET;
		len += n;
		buf[len] = '\0';
		end = strstr(buf, "\r\n\r\n");
		if (end) {
			body = strcasestr(buf, "\r\nContent-Length:");
			if (!body || body > end)
				return -EPROTO;
			if (len >= end + 4 - buf + strtoul(body + 17, NULL, 10))
				return 0;
		}
		if (len == HTTP_ROOM)
			return -EMSGSIZE;
	}
}

static void http_serve(int fd)
{
	while (http_message(fd) == 0 &&
	       transfer(fd, (char *)http_reply, sizeof(http_reply) - 1, true) == 0)
		;
}

static int http_trips(unsigned int trips)
{
	int r = 0;

	for (unsigned int i = 0; i < trips && r == 0; i++) {
		r = transfer(http_fd, (char *)http_request, sizeof(http_request) - 1, true);
		if (r == 0)
			r = http_message(http_fd);
	}
	return r;
}

/* ---- taking turns ---- */

static struct way {
	const char *name;
	int (*trips)(unsigned int trips);
	bool device;
	bool competes;
	double ns[ROUNDS_MAX];
} ways[] = {
	{ .name = "/dev/llm, io_uring", .trips = uring_one, .device = true },
	{ .name = "/dev/llm, io_uring, 32 deep", .trips = uring_deep, .device = true },
	{ .name = "/dev/llm, ioctl", .trips = ioctl_trips, .device = true },
	{ .name = "the same in fair order", .trips = uring_one, .device = true, .competes = true },
	{ .name = "and 32 deep", .trips = uring_deep, .device = true, .competes = true },
	{ .name = "and by two files in turn", .trips = uring_deep_turns, .device = true,
	  .competes = true },
	{ .name = "and by ioctl", .trips = ioctl_trips, .device = true, .competes = true },
	{ .name = "Unix socket, ping-pong", .trips = unix_trips },
	{ .name = "TCP, ping-pong, loopback", .trips = tcp_trips },
	{ .name = "HTTP, keep-alive, loopback", .trips = http_trips },
};

#define WAYS (sizeof(ways) / sizeof(ways[0]))
#define UNIX_WAY 7

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return now.tv_sec * 1000000000ULL + now.tv_nsec;
}

static int by_size(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static long only_way = -1;
static bool own_server = true;	/* a real one would generate something */

static bool left_out(unsigned int way, bool device)
{
	return (ways[way].device && !device) || (ways[way].competes && !own_server) ||
	       (only_way >= 0 && way != only_way);
}

static int measure(unsigned int rounds, unsigned int trips, bool device)
{
	for (unsigned int round = 0; round <= rounds; round++) {
		for (unsigned int i = 0; i < WAYS; i++) {
			uint64_t start = now_ns();
			int r;

			if (left_out(i, device))
				continue;
			device_op = ways[i].competes ? LLM_OP_GENERATE : LLM_OP_NOP;
			r = ways[i].trips(trips);
			if (r < 0) {
				printf("# %s: %s\n", ways[i].name, strerror(-r));
				return r;
			}
			/* the first round warms up */
			if (round)
				ways[i].ns[round - 1] = (double)(now_ns() - start) / trips;
		}
	}
	return 0;
}

static void print(unsigned int rounds, bool device)
{
	double base;

	for (unsigned int i = 0; i < WAYS; i++)
		qsort(ways[i].ns, rounds, sizeof(double), by_size);
	base = ways[UNIX_WAY].ns[rounds / 2];
	printf("# %-28s %10s %21s %8s\n", "a request that costs nothing", "median us",
	       "spread us", "/ Unix");
	for (unsigned int i = 0; i < WAYS; i++) {
		double median = ways[i].ns[rounds / 2];

		if (left_out(i, device))
			continue;
		printf("# %-28s %10.2f %10.2f..%9.2f %8.2f\n", ways[i].name, median / 1e3,
		       ways[i].ns[0] / 1e3, ways[i].ns[rounds - 1] / 1e3, median / base);
	}
}

/* latency_server lies beside this program */
static int server_start(const char *self, pid_t *ret_pid)
{
	char path[4096], byte;
	const char *slash = strrchr(self, '/');
	int fds[2];

	snprintf(path, sizeof(path), "%.*slatency_server", slash ? (int)(slash + 1 - self) : 0,
		 self);
	if (pipe(fds) < 0)
		return -errno;
	*ret_pid = fork();
	if (*ret_pid == 0) {
		dup2(fds[1], STDOUT_FILENO);
		close(fds[0]);
		close(fds[1]);
		execl(path, path, "64", NULL);
		fprintf(stderr, "latency: '%s': %s\n", path, strerror(errno));
		_exit(127);
	}
	close(fds[1]);
	if (read(fds[0], &byte, 1) != 1)
		return -ESRCH;
	close(fds[0]);
	return 0;
}

int main(int argc, char **argv)
{
	unsigned long rounds = 15, trips = 200;
	bool device;
	pid_t server = 0;
	int option, r = 0;

	while ((option = getopt(argc, argv, "dr:n:w:")) != -1) {
		if (option == 'd')
			own_server = false;
		else if (option == 'r')
			rounds = strtoul(optarg, NULL, 10);
		else if (option == 'n')
			trips = strtoul(optarg, NULL, 10);
		else if (option == 'w')
			only_way = strtol(optarg, NULL, 10);
		else
			return 64;
	}
	if (rounds < 1 || rounds > ROUNDS_MAX || trips < DEEP || trips > 10000000 ||
	    only_way >= (long)WAYS)
		return 64;
	signal(SIGPIPE, SIG_IGN);
	device = access("/dev/llm", R_OK | W_OK) == 0;
	if (device && own_server)
		r = server_start(argv[0], &server);
	if (r == 0 && device)
		r = device_open();
	if (r == 0)
		r = unix_open();
	if (r == 0)
		r = tcp_connect(ping_serve, &tcp_fd);
	if (r == 0)
		r = tcp_connect(http_serve, &http_fd);
	if (r == 0)
		r = measure(rounds, trips, device);
	if (r < 0)
		printf("# %s\n", strerror(-r));
	else
		print(rounds, device);
	printf("%sok 1 - every round trip came back\n", r < 0 ? "not " : "");
	printf("ok 2 - /dev/llm was measured%s\n1..2\n", device ? "" : " # SKIP no /dev/llm here");
	if (server > 0) {
		kill(server, SIGKILL);
		waitpid(server, NULL, 0);
	}
	return r < 0;
}
