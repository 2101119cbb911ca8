// SPDX-License-Identifier: MIT
/*
 * The ways a connection of libllmos can go: blocking by ioctl, asynchronous by io_uring, and
 * by ioctl again where io_uring is refused (a seccomp filter refuses it to a child). Each gives the
 * same answer, takes cancels and frees at any moment, and leaves nothing behind.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>
#include <linux/filter.h>
#include <linux/seccomp.h>

#include "lib/e2e.h"
#include "lib/tap.h"

#define REQUESTS	24
#define ROUNDS		40
#define ROUNDS_SLOW	10

/* fewer tokens where each is emulated: see main() */
static struct llmos_generate_opts story = {
	.size = sizeof(story), .raw = true, .max_tokens = 60,
};
static struct llmos_generate_opts endless = {
	.size = sizeof(endless), .raw = true, .max_tokens = 480, .ignore_eos = true,
};

static struct e2e_answer want;

/* by one blocking call: what all others are compared with */
static void test_blocking(void)
{
	struct llmos *llmos = e2e_open();
	char *text = NULL;
	int r = llmos_ask(llmos, &text, "Once upon a time", 16, &story);

	tap_ok(!r && text && *text, "a blocking question is answered");
	tap_ok(!strcmp(llmos_transport(llmos), e2e_device() ? "ioctl" : "socket"),
	       "by %s", llmos_transport(llmos));
	want.text = text;
	want.len = text ? strlen(text) : 0;
	llmos_free(llmos);
}

/* many on one connection, driven by poll() alone; false and why if any is not as it should be */
static bool ask_many(struct llmos *llmos, char why[128])
{
	static struct e2e_answer answers[REQUESTS];
	struct pollfd fd = { llmos_fd(llmos), POLLIN, 0 };
	unsigned int ended = 0, i;
	bool good = true;

	for (i = 0; i < REQUESTS; i++)
		if (e2e_answer_start(llmos, &answers[i], "Once upon a time", &story) < 0)
			tap_bail("start: %s", llmos_error(llmos));
	while (ended < REQUESTS) {
		if (poll(&fd, 1, (int)(60000 * e2e_scale())) == 0)
			tap_bail("%u of %u ended, and nothing more comes", ended, REQUESTS);
		if (llmos_dispatch(llmos, 0) < 0)
			tap_bail("dispatch: %s", llmos_error(llmos));
		for (ended = i = 0; i < REQUESTS; i++)
			ended += answers[i].ended;
	}
	for (i = 0; i < REQUESTS; i++) {
		if (good && (answers[i].status || !e2e_answer_equal(&answers[i], &want))) {
			snprintf(why, 128, "request %u: status %d, %zu bytes", i,
				 answers[i].status, answers[i].len);
			good = false;
		}
		e2e_answer_clear(&answers[i]);
	}
	return good;
}

static void test_many(void)
{
	struct llmos *llmos = e2e_open();
	char why[128] = "";
	bool good = ask_many(llmos, why);
	char *text = NULL;

	tap_ok(good, "%u at once by poll() get the same answer %s", REQUESTS, why);
	tap_ok(!strcmp(llmos_transport(llmos), e2e_device() ? "io_uring" : "socket"),
	       "by %s", llmos_transport(llmos));
	tap_ok(!llmos_ask(llmos, &text, "Once upon a time", 16, &story) && text &&
	       !strcmp(text, want.text), "a blocking question on the same connection");
	free(text);
	llmos_free(llmos);
}

/* from here on this process may not set up an io_uring */
static int refuse_io_uring(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_io_uring_setup, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { ARRAY_SIZE(filter), filter };

	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0 ||
	    prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program) < 0)
		return -errno;
	return 0;
}

static int refused_child(void)
{
	struct llmos *llmos;
	char why[128];
	int code;

	if (refuse_io_uring() < 0)
		return 77;
	llmos = e2e_open();
	code = ask_many(llmos, why) ? 0 : 1;
	if (strcmp(llmos_transport(llmos), e2e_device() ? "ioctl" : "socket"))
		code = 2;
	llmos_free(llmos);
	return code;
}

static void test_refused(void)
{
	pid_t pid = fork();
	int status;

	if (!pid)
		_exit(refused_child());
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		tap_bail("fork: %s", strerror(errno));
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		tap_skip("without io_uring, by ioctl", "no seccomp filters here");
	else
		tap_ok(WIFEXITED(status) && !WEXITSTATUS(status),
		       "without io_uring the same answers by ioctl (wait status %#x)", status);
}

/* cancels, frees and closes at random moments, requests in every state */
static void test_disorder(void)
{
	struct e2e_random random = { e2e_number("LLMOS_SEED", 1) };
	const unsigned int rounds = e2e_scale() > 1 ? ROUNDS_SLOW : ROUNDS;
	struct llmos_status status;
	unsigned int round, i;

	for (round = 0; round < rounds; round++) {
		struct llmos *llmos = e2e_open();
		struct llmos_request *requests[8] = { NULL };

		for (i = 0; i < 8; i++)
			if (llmos_ask_start(llmos, &requests[i], "Once", 4, &endless) < 0)
				tap_bail("start: %s", llmos_error(llmos));
		for (i = e2e_below(&random, 30); i; i--)
			if (llmos_dispatch(llmos, (int)e2e_below(&random, 3)) < 0)
				tap_bail("dispatch: %s", llmos_error(llmos));
		for (i = 0; i < 8; i++) {
			switch (e2e_below(&random, 4)) {
			case 0:
				llmos_request_cancel(requests[i]);
				break;
			case 1:
				llmos_request_free(requests[i]);
				break;
			case 2:
				llmos_request_cancel(requests[i]);
				if (llmos_request_wait(requests[i]) > 0)
					tap_bail("a status above zero");
				break;
			}
		}
		/* the rest is the connection's to end */
		llmos_free(llmos);
	}
	tap_ok(e2e_settled(&status), "%u rounds of disorder leave nothing (seed %llu)", rounds,
	       (unsigned long long)e2e_number("LLMOS_SEED", 1));
	tap_note("requests %u, slots %u, pages %u", status.requests, status.slots_busy,
		 status.kv_pages_used);
}

static void on_alarm(int signal)
{
	(void)signal;
}

/* a signal ends a wait, not the request; a connection freed then leaves nothing */
static void test_interrupted(void)
{
	struct sigaction action = { .sa_handler = on_alarm };
	struct llmos_status status;
	struct llmos_request *request;
	struct llmos *llmos = e2e_open();
	pid_t child;
	int r;

	sigaction(SIGUSR1, &action, NULL);
	r = llmos_ask_start(llmos, &request, "Once", 4, &endless);
	if (r < 0)
		tap_bail("start: %s", llmos_error(llmos));
	child = fork();
	if (!child) {
		/* until it is heard: the answer is over at the latest */
		for (;;) {
			kill(getppid(), SIGUSR1);
			usleep(2000);
		}
	}
	r = llmos_request_wait(request);
	kill(child, SIGKILL);
	waitpid(child, NULL, 0);
	tap_ok(r == -EINTR || (!r && llmos_request_done(request)),
	       "a signal ends a wait (%d)", r);
	do {
		r = llmos_request_wait(request);
	} while (r == -EINTR);
	tap_ok(!r && llmos_request_finish(request) == LLMOS_FINISH_LENGTH,
	       "and the request goes on to its end");
	llmos_request_free(request);
	llmos_free(llmos);
	tap_ok(e2e_settled(&status), "nothing is left");
}

int main(void)
{
	story.max_tokens = e2e_tokens(story.max_tokens);
	endless.max_tokens = e2e_tokens(endless.max_tokens);
	test_blocking();
	test_many();
	test_refused();
	test_disorder();
	test_interrupted();
	free(want.text);
	return tap_done();
}
