// SPDX-License-Identifier: MIT
/*
 * Clients of every kind, killed at moments that a seed chooses, among others that are not and whose
 * answers must not suffer; and the server with them.
 */
#include "uapi.h"

#include <fcntl.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define CLIENTS 8

static char answer[65536];

static void check(uint64_t seed, size_t len, size_t want)
{
	child_must(len == want);
	child_must(gen_matches(seed, answer, len));
}

static size_t ask_prompt(char *prompt, size_t room, uint64_t *state, uint64_t *ret_seed)
{
	const size_t len = random_next(state) % (is_slow() ? 5000 : 20000);

	*ret_seed = random_next(state) % 1000;
	snprintf(prompt, room, "gen %llu %zu %llu", (unsigned long long)*ret_seed, len,
		 (unsigned long long)(1 + random_next(state) % 200));
	return len;
}

static void ask_ioctl(int fd, uint64_t *state)
{
	struct llm_read last;
	uint64_t seed, id;
	char prompt[64];
	const size_t want = ask_prompt(prompt, sizeof(prompt), state, &seed);
	ssize_t len;

	id = submit_text(fd, prompt);
	child_must(id);
	if (random_next(state) % 4 == 0) {
		child_must(!cancel(fd, id, LLM_CANCEL_FORGET));
		return;
	}
	len = read_all(fd, id, answer, sizeof(answer), &last);
	child_must(len >= 0 && !last.status);
	check(seed, (size_t)len, want);
}

static void ask_uring(int fd, uint64_t *state)
{
	struct llm_submit_read both;
	struct io_uring ring;
	uint64_t seed;
	char prompt[64];
	const size_t want = ask_prompt(prompt, sizeof(prompt), state, &seed);

	both.submit = submit_init(prompt, strlen(prompt));
	both.submit.size = sizeof(both);
	both.read = read_init(0, answer, sizeof(answer));
	both.read.flags = LLM_READ_ALL;
	child_must(!io_uring_queue_init(4, &ring, 0));
	child_must(!uring_call(&ring, fd, LLM_IOC_SUBMIT_AND_READ, &both));
	child_must(both.read.out_flags == LLM_READ_END && !both.read.status);
	check(seed, both.read.len, want);
	io_uring_queue_exit(&ring);
}

static void ask_file(int fd, uint64_t *state)
{
	struct pollfd poller = { .fd = fd, .events = POLLIN };
	size_t len = 0;
	uint64_t seed;
	char prompt[64];
	const size_t want = ask_prompt(prompt, sizeof(prompt), state, &seed);
	ssize_t n;

	child_must(write(fd, prompt, strlen(prompt)) == (ssize_t)strlen(prompt));
	do {
		if (random_next(state) % 2)
			child_must(poll(&poller, 1, -1) == 1);
		n = read(fd, answer + len, sizeof(answer) - len);
		child_must(n >= 0);
		len += (size_t)n;
	} while (n);
	check(seed, len, want);
}

/* Asks in each way in turn; for ever, or @rounds times. */
static pid_t client_start(uint64_t seed, int rounds)
{
	static void (*const ways[])(int fd, uint64_t *state) = { ask_ioctl, ask_uring, ask_file };
	const pid_t pid = fork();

	must(pid >= 0, "fork");
	if (!pid) {
		const int fd = client_open();

		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (int i = 0; !rounds || i < rounds; i++)
			ways[random_next(&seed) % ARRAY_LEN(ways)](fd, &seed);
		_exit(0);
	}
	return pid;
}

int main(void)
{
	const int kills = is_slow() ? 40 : 200, survivors = 3;
	uint64_t state = random_seed();
	const int client = client_open();
	pid_t victims[CLIENTS], others[3], server = server_start(true);
	struct llm_features f;
	int bad = 0;

	param_set("max_unread_bytes", 4096);
	for (int i = 0; i < CLIENTS; i++)
		victims[i] = client_start(random_next(&state), 0);
	for (int i = 0; i < survivors; i++)
		others[i] = client_start(random_next(&state), is_slow() ? 5 : 40);
	for (int i = 0; i < kills; i++) {
		const int which = (int)(random_next(&state) % CLIENTS);

		usleep((useconds_t)(random_next(&state) % 10000));
		if (random_next(&state) % 16 == 0) {
			server_stop(server);
			server = server_start(random_next(&state) % 2);
			continue;
		}
		kill(victims[which], SIGKILL);
		/* Whatever ended it before the kill is a failure of its own. */
		bad += wait_child(victims[which]) != 128 + SIGKILL;
		victims[which] = client_start(random_next(&state), 0);
	}
	for (int i = 0; i < survivors; i++)
		is(wait_child(others[i]), 0, "client %d got every answer whole", i);
	for (int i = 0; i < CLIENTS; i++) {
		kill(victims[i], SIGKILL);
		bad += wait_child(victims[i]) != 128 + SIGKILL;
	}
	is(bad, 0, "and so did those that were killed, until then");
	ok(eventually(features(client).requests == 0), "nothing is left");
	f = features(client);
	is(f.submitted, f.ended, "all that were submitted have ended");
	tap_note("%llu requests, %llu cancelled, %llu recovered", (unsigned long long)f.submitted,
		 (unsigned long long)f.cancelled, (unsigned long long)f.recovered);
	server_stop(server);
	close(client);
	return tap_done();
}
