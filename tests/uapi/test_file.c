// SPDX-License-Identifier: MIT
/*
 * /dev/llm as a file: write a prompt, read the answer; from C and from sh.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/aio_abi.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>

static bool write_text(int fd, const char *text)
{
	return write(fd, text, strlen(text)) == (ssize_t)strlen(text);
}

static void test_steps(void)
{
	const int client = client_open_flags(O_NONBLOCK), server = server_open();
	const struct llm_features before = features(client);
	struct pollfd poller = { .fd = client, .events = POLLIN | POLLOUT };
	struct event event;
	char buf[64];

	is(read(client, buf, sizeof(buf)), 0, "nothing written: end of file");
	is(poll(&poller, 1, 0), 1, "poll");
	is(poller.revents, POLLOUT, "a prompt can be written, nothing can be read");
	is(write(client, "", 0), 0, "write nothing");
	ok(write_text(client, "Once "), "write");
	ok(write_text(client, "upon\n"), "write more");
	is(read(client, buf, 0), 0, "a read of nothing");
	is(features(client).submitted, before.submitted, "nothing is submitted yet");
	poller.events = POLLOUT;
	is(poll(&poller, 1, 0), 1, "poll for output");
	is(features(client).submitted, before.submitted, "does not submit");
	poller.events = POLLIN | POLLOUT;
	is(poll(&poller, 1, 0), 0, "poll for input: nothing yet");
	is(features(client).submitted, before.submitted + 1, "but that submits");
	fails(write(client, "x", 1), EBUSY, "a write now is refused");
	fails(read(client, buf, sizeof(buf)), EAGAIN, "read would wait");

	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 10, "fetch");
	is(event.head.flags, LLM_SUBMIT_FILE, "it is marked as a file's");
	is(event.head.op, LLM_OP_GENERATE, "operation");
	is(event.head.payload_type, LLM_PAYLOAD_TEXT, "payload type");
	is(event.head.model[0], 0, "default model");
	ok(!memcmp(event.data, "Once upon\n", 10), "the prompt as written");
	commit(server, event.head.id, "a time", 0);
	is(poll(&poller, 1, -1), 1, "poll");
	is(poller.revents, POLLIN, "there is input");
	ok(read(client, buf, 1) == 1 && buf[0] == 'a', "read a byte");
	ok(read(client, buf, sizeof(buf)) == 5 && !memcmp(buf, " time", 5), "read the rest");
	fails(read(client, buf, sizeof(buf)), EAGAIN, "no more yet");
	commit(server, event.head.id, "!", LLM_COMMIT_END);
	ok(read(client, buf, sizeof(buf)) == 1 && buf[0] == '!', "read the last byte");
	fails(write(client, "x", 1), EBUSY, "the end has not been read");
	is(poll(&poller, 1, -1), 1, "poll");
	is(poller.revents, POLLIN, "end of file is input");
	is(read(client, buf, sizeof(buf)), 0, "end of file");
	is(read(client, buf, sizeof(buf)), 0, "and again");

	ok(write_text(client, "next"), "write another prompt");
	fails(read(client, buf, sizeof(buf)), EAGAIN, "submit it by read");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 4, "fetch");
	ok(!memcmp(event.data, "next", 4), "nothing of the one before");
	commit(server, event.head.id, "half", 0);
	is(commit_status(server, event.head.id, -ENOENT), LLM_VERDICT_CONTINUE, "fail it");
	ok(read(client, buf, sizeof(buf)) == 4, "what was answered can be read");
	fails(read(client, buf, sizeof(buf)), ENOENT, "then comes the error");
	is(read(client, buf, sizeof(buf)), 0, "once");
	is(features(client).requests, before.requests, "nothing is left");
	close(client);
	close(server);
}

static void test_odd(void)
{
	const int client = client_open(), server = server_open();
	const size_t max = param_get("max_payload_bytes");
	struct iovec parts[2] = { { "two ", 4 }, { "parts", 5 } };
	char *large = calloc(1, max + 1), buf[16];
	struct event event;
	struct epoll_event ready = { .events = EPOLLIN };
	const int epoll = epoll_create1(EPOLL_CLOEXEC);

	must(large != NULL, "calloc");
	fails(lseek(client, 0, SEEK_SET), ESPIPE, "not seekable");
	fails(write(client, nowhere(), 4), EFAULT, "a bad address");
	is(write(client, large, max), (ssize_t)max, "as much as there may be");
	fails(write(client, "x", 1), EMSGSIZE, "a byte more is too much");
	is(read(client, buf, sizeof(buf)), 0, "and all of it is gone");
	fails(write(client, large, max + 1), EMSGSIZE, "too much at once");
	is(writev(client, parts, 2), 9, "writev");

	must(epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, client, &ready), "epoll");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 9,
	   "epoll for input submits");
	ok(!memcmp(event.data, "two parts", 9), "the parts joined");
	is(epoll_wait(epoll, &ready, 1, 0), 0, "nothing to read");
	commit(server, event.head.id, "z", LLM_COMMIT_END);
	is(epoll_wait(epoll, &ready, 1, -1), 1, "epoll wakes");
	fails(read(client, nowhere(), 4), EFAULT, "a bad address");
	ok(read(client, buf, sizeof(buf)) == 1 && buf[0] == 'z', "takes nothing away");
	is(read(client, buf, sizeof(buf)), 0, "end of file");

	is(write(client, large, max), (ssize_t)max, "write, and never read");
	close(epoll);
	close(client);
	close(server);
	free(large);
}

static void test_cancel(void)
{
	const int client = client_open(), server = server_open();
	struct event event;
	struct llm_read read_arg;
	char buf[16];
	pid_t pid;

	ok(write_text(client, "x"), "write");
	pid = fork();
	if (!pid) {
		child_must(read(client, buf, sizeof(buf)) == -1);
		child_must(errno == ECANCELED);
		child_must(read(client, buf, sizeof(buf)) == 0);
		_exit(0);
	}
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "read submits");
	is(event.head.pid, pid, "in the name of who reads");
	is(cancel(client, event.head.id, 0), 0, "cancel it by its id");
	is(wait_child(pid), 0, "read returns the error, once");
	is(commit_status(server, event.head.id, 0), LLM_VERDICT_CANCELLED, "the server lets go");

	ok(write_text(client, "y"), "write another");
	ok(read_all(client, 1ULL << 60, buf, 1, &read_arg) < 0 && errno == ENOENT, "READ of none");
	pid = fork();
	if (!pid) {
		child_must(read(client, buf, sizeof(buf)) == 0);
		_exit(0);
	}
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget all");
	is(wait_child(pid), 0, "read returns end of file");
	close(client);
	fetch(server, LLM_FETCH_NOTICE, &event);
	is(commit_status(server, event.head.id, 0), LLM_VERDICT_CANCELLED, "the server lets go");
	is(features(server).requests, 0, "nothing is left");
	close(server);
}

/* Whoever asked for input before there was a prompt submits it as well: he would wait for ever. */
static void test_armed_before(void)
{
	const int client = client_open(), server = server_open();
	const int epoll = epoll_create1(EPOLL_CLOEXEC);
	struct epoll_event ready = { .events = EPOLLIN };
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	struct event event;
	char buf[16];
	uint64_t who;

	must(epoll >= 0 && !epoll_ctl(epoll, EPOLL_CTL_ADD, client, &ready), "epoll");
	is(epoll_wait(epoll, &ready, 1, 0), 0, "nothing to read");
	ok(write_text(client, "in ") && write_text(client, "parts"), "then write");
	is(epoll_wait(epoll, &ready, 1, 0), 0, "nothing to read yet");
	is(fetch(server, LLM_FETCH_REQUEST | LLM_FETCH_NONBLOCK, &event),
	   sizeof(event.head) + 8, "but that submits");
	ok(!memcmp(event.data, "in parts", 8), "all of it");
	commit(server, event.head.id, "z", LLM_COMMIT_END);
	is(epoll_wait(epoll, &ready, 1, -1), 1, "there is an answer");
	is(ready.events, EPOLLIN, "to read");
	ok(read(client, buf, sizeof(buf)) == 1 && read(client, buf, sizeof(buf)) == 0, "read it");
	close(epoll);

	must(io_uring_queue_init(8, &ring, 0) == 0, "io_uring_queue_init");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_poll_add(sqe, client, POLLIN);
	sqe->user_data = 1;
	is(io_uring_submit(&ring), 1, "poll by io_uring");
	ok(write_text(client, "x"), "then write");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_nop(sqe);
	sqe->user_data = 2;
	is(uring_reap(&ring, &who), 0, "a completion comes");
	is(who, 2, "but not the poll's");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "that submits, too");
	is(event.head.pid, getpid(), "in the name of who polls");
	commit(server, event.head.id, "z", LLM_COMMIT_END);
	is(uring_reap(&ring, &who), POLLIN, "there is an answer");
	is(who, 1, "as the poll says");
	ok(read(client, buf, sizeof(buf)) == 1 && read(client, buf, sizeof(buf)) == 0, "read it");
	io_uring_queue_exit(&ring);
	close(client);
	close(server);
}

/* The end of a ring, as that of the test before, interrupts like a signal, some time later. */
static int aio_wait(aio_context_t aio, struct io_event *ret_done)
{
	int rc;

	do
		rc = (int)syscall(SYS_io_getevents, aio, 1, 1, ret_done, NULL);
	while (rc < 0 && errno == EINTR);
	return rc;
}

/* The kernel polls in its own name for who uses Linux AIO: that must not ask in its name. */
static void test_aio_poll(void)
{
	const int client = client_open(), server = server_open();
	struct iocb iocb = {
		.aio_fildes = (uint32_t)client,
		.aio_lio_opcode = IOCB_CMD_POLL,
		.aio_buf = POLLIN,
	}, *iocbs = &iocb;
	aio_context_t aio = 0;
	struct io_event done;
	struct event event;
	char buf[16];
	int strangers = 0;

	if (syscall(SYS_io_setup, 4, &aio)) {
		tap_skip("Linux AIO", strerror(errno));
		close(client);
		close(server);
		return;
	}
	for (int i = 0; i < 100; i++) {
		must(syscall(SYS_io_submit, aio, 1, &iocbs) == 1, "io_submit");
		must(write_text(client, "x"), "write");
		if (i % 2)
			sched_yield();
		must(read(client, buf, 0) == 0, "read nothing");
		{
			struct pollfd poller = { .fd = client, .events = POLLIN };

			must(poll(&poller, 1, 0) == 0, "poll");
		}
		must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "fetch");
		strangers += event.head.pid != (uint32_t)getpid();
		commit(server, event.head.id, "z", LLM_COMMIT_END);
		must(aio_wait(aio, &done) == 1, "io_getevents");
		strangers += done.res != POLLIN;
		must(read(client, buf, 4) == 1 && read(client, buf, 4) == 0, "read");
	}
	is(strangers, 0, "Linux AIO: each request is its submitter's");
	syscall(SYS_io_destroy, aio);
	close(client);
	close(server);
}

/* What a server says is an errno that user space can see, and no more than that. */
static void test_status(void)
{
	const int client = client_open_flags(O_NONBLOCK), server = server_open();
	static const int hidden[] = { 512, 513, 514, 516, 517, 529, 530, 4095, 4096 };
	struct event event;
	char buf[16];

	ok(write_text(client, "x"), "write");
	fails(read(client, buf, sizeof(buf)), EAGAIN, "read");
	fetch(server, LLM_FETCH_REQUEST, &event);
	for (size_t i = 0; i < ARRAY_LEN(hidden); i++)
		fails(commit_status(server, event.head.id, -hidden[i]), EINVAL,
		      "a status of %d is the kernel's own", -hidden[i]);
	is(commit_status(server, event.head.id, -EAGAIN), LLM_VERDICT_CONTINUE, "a busy server");
	fails(read(client, buf, sizeof(buf)), EBUSY, "is not an answer that may still come");
	is(read(client, buf, sizeof(buf)), 0, "the error comes once");
	close(client);
	close(server);
}

static void test_uring_file(void)
{
	const pid_t server = server_start(true);
	const int client = client_open();
	struct io_uring_cqe *cqe;
	struct io_uring_sqe *sqe;
	struct io_uring ring;
	size_t done = 0;
	char buf[4096];
	int n = 1;

	must(io_uring_queue_init(8, &ring, 0) == 0, "io_uring_queue_init");
	sqe = io_uring_get_sqe(&ring);
	io_uring_prep_write(sqe, client, "gen 3 3000 200", 14, (uint64_t)-1);
	io_uring_submit_and_wait(&ring, 1);
	must(io_uring_peek_cqe(&ring, &cqe) == 0, "peek");
	is(cqe->res, 14, "write by io_uring");
	io_uring_cqe_seen(&ring, cqe);
	while (n > 0) {
		sqe = io_uring_get_sqe(&ring);
		io_uring_prep_read(sqe, client, buf + done, (unsigned int)(sizeof(buf) - done),
				   (uint64_t)-1);
		io_uring_submit_and_wait(&ring, 1);
		must(io_uring_peek_cqe(&ring, &cqe) == 0, "peek");
		n = cqe->res;
		io_uring_cqe_seen(&ring, cqe);
		if (n > 0)
			done += (size_t)n;
	}
	is(n, 0, "read by io_uring, to the end of file");
	ok(done == 3000 && gen_matches(3, buf, done), "all of it");
	io_uring_queue_exit(&ring);
	close(client);
	server_stop(server);
}

static void test_shell(void)
{
	const pid_t server = server_start(true);
	static char buf[65536];
	FILE *shell;
	size_t n;

	shell = popen("exec 3<>/dev/llm; echo 'Once upon a time' >&3; cat <&3", "r");
	must(shell != NULL, "popen");
	n = fread(buf, 1, sizeof(buf), shell);
	ok(n == 17 && !memcmp(buf, "Once upon a time\n", 17), "a shell gets its answer");
	is(pclose(shell), 0, "and no error");

	shell = popen("exec 3<>/dev/llm; printf 'gen 5 50000 1000' >&3; cat <&3; "
		      "printf 'gen 6 10 1' >&3; cat <&3; cat <&3", "r");
	must(shell != NULL, "popen");
	n = fread(buf, 1, sizeof(buf), shell);
	ok(n == 50010 && gen_matches(5, buf, 50000) && gen_matches(6, buf + 50000, 10),
	   "two questions on one descriptor");
	is(pclose(shell), 0, "and no error");

	is(system("cat </dev/llm"), 0, "without a question cat does not hang");
	shell = popen("exec 3<>/dev/llm; printf 'fail 2' >&3; cat <&3 2>&1", "r");
	must(shell != NULL, "popen");
	n = fread(buf, 1, sizeof(buf) - 1, shell);
	buf[n] = '\0';
	ok(strstr(buf, "No such file") != NULL, "cat tells the error");
	ok(pclose(shell) != 0, "and fails");
	ok(eventually(!system("exec 3<>/dev/llm; printf 'gen 1 100000000 4000' >&3; "
			      "head -c 100000 <&3 >/dev/null")), "a shell that stops reading");
	server_stop(server);
}

int main(void)
{
	char buf[8];
	const int client = client_open();

	test_steps();
	test_odd();
	test_cancel();
	test_armed_before();
	test_aio_poll();
	test_status();
	test_uring_file();
	test_shell();
	is(read(client, buf, sizeof(buf)), 0, "a file without a prompt is at its end");
	ok(eventually(features(client).requests == 0), "nothing is left");
	close(client);
	return tap_done();
}
