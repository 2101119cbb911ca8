// SPDX-License-Identifier: MIT
/*
 * limits FILE USER: that many requests of one connection, and of one user, are taken; the next ones
 * end with EBUSY at once, those before are not touched, and when they are gone there is room again.
 * The daemon is stopped while it all is asked, so that no request ends meanwhile.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define EXTRA		5
#define CONNS_MAX	64
#define REQUESTS_MAX	2048

static const struct llmos_generate_opts opts = {
	.size = sizeof(opts), .raw = true, .ignore_eos = true, .max_tokens = 400,
};
static struct e2e_answer answers[REQUESTS_MAX];
static struct llmos *conns[CONNS_MAX];

struct crowd {
	unsigned int count;	/* asked */
	unsigned int conns;
	unsigned int refused;	/* found by look() */
	unsigned int other;	/* ended some other way than EBUSY */
	unsigned int want;
};

static void ask(struct crowd *crowd, unsigned int conn)
{
	struct e2e_answer *answer = &answers[crowd->count++];
	int r = e2e_answer_start(conns[conn], answer, "Once", &opts);

	/* refused at once, or later by on_end: both are fine */
	if (r < 0) {
		answer->ended = true;
		answer->status = r;
	}
}

static bool look(void *arg)
{
	struct crowd *crowd = arg;

	crowd->refused = crowd->other = 0;
	for (unsigned int i = 0; i < crowd->conns; i++)
		llmos_dispatch(conns[i], 0);
	for (unsigned int i = 0; i < crowd->count; i++) {
		if (!answers[i].ended)
			continue;
		if (answers[i].status == -EBUSY)
			crowd->refused++;
		else
			crowd->other++;
	}
	return crowd->refused >= crowd->want;
}

static void leave(struct crowd *crowd)
{
	for (unsigned int i = 0; i < crowd->conns; i++)
		llmos_free(conns[i]);
	for (unsigned int i = 0; i < crowd->count; i++)
		free(answers[i].text);
	memset(answers, 0, sizeof(answers));
}

static void check(const char *what, unsigned int limit, unsigned int conns_count,
		  unsigned int per_conn, pid_t pid)
{
	struct crowd crowd = { .conns = conns_count };
	struct llmos_status status;
	bool soon;

	for (unsigned int i = 0; i < conns_count; i++)
		conns[i] = e2e_open();
	kill(pid, SIGSTOP);
	for (unsigned int i = 0; i < conns_count; i++)
		for (unsigned int j = 0; j < per_conn && crowd.count < limit + EXTRA; j++)
			ask(&crowd, i);
	kill(pid, SIGCONT);
	crowd.want = crowd.count - limit;
	soon = e2e_wait(10, look, &crowd);
	tap_ok(soon, "%s: %u asked, %u refused with EBUSY", what, crowd.count,
	       crowd.refused);
	tap_ok(crowd.refused == crowd.want, "%s: no more than those past %u", what, limit);
	leave(&crowd);
	tap_ok(e2e_settled(&status), "%s: all gone when they left", what);
}

int main(int argc, char **argv)
{
	unsigned int file = argc > 1 ? strtoul(argv[1], NULL, 10) : 64;
	unsigned int user = argc > 2 ? strtoul(argv[2], NULL, 10) : 256;
	pid_t pid = e2e_number("LLMOS_DAEMON_PID", 0);
	struct e2e_answer answer = { 0 };
	struct llmos *llmos;
	unsigned int conns_count;
	int r;

	if (!file || user < file || user + EXTRA > REQUESTS_MAX || user / file + 2 > CONNS_MAX)
		tap_bail("limits FILE USER");
	check("one file", file, 1, file + EXTRA, pid);
	conns_count = (user + EXTRA + file - 1) / file;
	check("one user", user, conns_count, file, pid);
	llmos = e2e_open();
	r = e2e_answer_get(llmos, &answer, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0 && answer.len, "there is room again (%s)", strerror(-r));
	e2e_answer_clear(&answer);
	llmos_free(llmos);
	return tap_done();
}
