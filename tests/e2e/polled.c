/* SPDX-License-Identifier: MIT */
/*
 * polled CGROUP COUNT: watches the cgroup's pressure and takes COUNT events, one each time the
 * descriptor of events polls readable; 1: it did not, though there was one to take.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libllmos-user/include/llmos.h"

#define WAIT_MS	20000

/* Return: 0, else said what */
static int take(struct llmos_admin *admin, int fd)
{
	struct pollfd poll_fd = { .fd = fd, .events = POLLIN };
	struct llmos_event event = { .size = sizeof(event) };
	int r = poll(&poll_fd, 1, WAIT_MS);

	if (r != 1 || !(poll_fd.revents & POLLIN)) {
		r = llmos_events_next(admin, &event, 0);
		fprintf(stderr, "polled: not readable, and there are %d\n", r);
		return -1;
	}
	r = llmos_events_next(admin, &event, 0);
	if (r < 0) {
		fprintf(stderr, "polled: %s\n", llmos_admin_error(admin));
		return -1;
	}
	return r == 1 ? 0 : take(admin, fd);
}

int main(int argc, char **argv)
{
	struct llmos_watch_opts opts = {
		.size = sizeof(opts), .stall_ns = 150000000, .window_ns = 1000000000,
	};
	struct llmos_admin *admin = NULL;
	uint64_t id = 0;
	int count, fd, r;

	if (argc != 3)
		return 2;
	count = atoi(argv[2]);
	r = llmos_admin_open(&admin);
	if (r < 0) {
		fprintf(stderr, "polled: %s\n", strerror(-r));
		return 2;
	}
	fd = llmos_events_fd(admin);
	r = fd < 0 ? fd : llmos_cgroup_id(admin, &id, argv[1]);
	if (!r)
		r = llmos_watch(admin, id, &opts);
	if (r < 0)
		fprintf(stderr, "polled: %s\n", llmos_admin_error(admin));
	while (!r && count--)
		r = take(admin, fd);
	llmos_admin_free(admin);
	return r ? 1 : 0;
}
