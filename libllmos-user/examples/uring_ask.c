/* SPDX-License-Identifier: MIT */
/*
 * A question in a program that has an event loop: the connection's descriptor is polled beside
 * others (here a signal's), and llmos_dispatch() is called when it is readable. Over the device
 * the answer comes by io_uring. --verbose tells which way it went, and how long it took.
 */
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include <llmos.h>

static int on_text(void *userdata, const char *text, size_t len)
{
	char *last = userdata;

	*last = text[len - 1];
	/* at once: the point is to see it grow */
	while (len) {
		ssize_t n = write(STDOUT_FILENO, text, len);

		if (n < 0)
			return -1;
		text += n;
		len -= (size_t)n;
	}
	return 0;
}

/* readable when Ctrl-C was pressed */
static int interrupt_fd(void)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGINT);
	sigprocmask(SIG_BLOCK, &set, NULL);
	return signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
}

static int drive(struct llmos *llmos, struct llmos_request *request)
{
	struct pollfd fds[] = {
		{ .fd = llmos_fd(llmos), .events = POLLIN },
		{ .fd = interrupt_fd(), .events = POLLIN },
	};
	int r = 0;

	while (r >= 0 && !llmos_request_done(request)) {
		if (poll(fds, 2, -1) < 0)
			continue;
		if (fds[1].revents) {
			llmos_request_cancel(request);
			/* once is enough */
			fds[1].fd = -1;
		}
		if (fds[0].revents)
			r = llmos_dispatch(llmos, 0);
	}
	/* the status of what is done, without waiting */
	return r < 0 ? r : llmos_request_wait(request);
}

static void report(const struct llmos *llmos, const struct llmos_request *request)
{
	struct llmos_usage usage = { .size = sizeof(usage) };
	double seconds;

	if (llmos_request_usage(request, &usage) < 0)
		return;
	seconds = (double)(usage.end_ns - usage.submit_ns) / 1e9;
	fprintf(stderr, "%s by %s: request %llu, %u tokens in, %u out, %.2f s\n",
		llmos_address(llmos), llmos_transport(llmos),
		(unsigned long long)llmos_request_id(request), usage.prompt_tokens,
		usage.output_tokens, seconds);
}

static int ask(struct llmos *llmos, const char *question, bool verbose)
{
	struct llmos_request *request;
	char last = '\n';
	int r;

	r = llmos_ask_start(llmos, &request, question, strlen(question),
			    LLMOS_OPTS(llmos_generate_opts, .on_text = on_text,
				       .userdata = &last));
	if (r < 0)
		return r;
	r = drive(llmos, request);
	if (last != '\n')
		on_text(&last, "\n", 1);
	if (verbose)
		report(llmos, request);
	llmos_request_free(request);
	return r;
}

int main(int argc, char **argv)
{
	bool verbose = argc == 3 && !strcmp(argv[1], "--verbose");
	struct llmos *llmos;
	int r;

	if (argc != 2 + verbose) {
		fprintf(stderr, "usage: %s [--verbose] QUESTION\n", argv[0]);
		return 64;
	}
	r = llmos_open(&llmos, NULL);
	if (r < 0) {
		fprintf(stderr, "%s: connect to '%s': %s\n", argv[0], llmos_default_address(),
			strerror(-r));
		return 69;
	}
	r = ask(llmos, argv[1 + verbose], verbose);
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], llmos_error(llmos));
	llmos_free(llmos);
	return r < 0;
}
