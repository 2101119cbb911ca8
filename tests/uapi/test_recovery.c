// SPDX-License-Identifier: MIT
/*
 * The death of a server: what was committed stays, what was not is asked of the next one, and
 * nothing is answered twice; and what happens if no next one comes.
 */
#include "uapi.h"

#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

static int client;
static char buf[64];

static bool journal(int server, uint64_t id, const char *data, const char *text)
{
	struct llm_commit arg = commit_init(id, data, strlen(data));

	arg.journal = (uintptr_t)text;
	arg.journal_len = (uint32_t)strlen(text);
	arg.prompt_tokens = 3;
	arg.output_tokens = (uint32_t)strlen(text);
	return ioctl(server, LLM_IOC_COMMIT, &arg) == LLM_VERDICT_CONTINUE;
}

static void test_journal(void)
{
	int server = server_open();
	const uint64_t recovered = features(client).recovered;
	const uint64_t id = submit_text(client, "prompt");
	struct llm_request_info info;
	struct event event;
	struct llm_read read;
	uint64_t first;

	fetch(server, LLM_FETCH_REQUEST, &event);
	ok(journal(server, id, "one ", "11"), "commit data and journal");
	ok(journal(server, id, "two ", "222"), "and more");
	state_of(client, id, &info);
	first = info.dispatch_ns;
	close(server);
	is(state_of(client, id, &info), LLM_STATE_QUEUED, "without a server it waits");
	is(features(client).recovered, recovered + 1, "as recovered");
	read = read_init(id, buf, sizeof(buf));
	is(ioctl(client, LLM_IOC_READ, &read), 0, "what was committed can be read meanwhile");
	ok(read.len == 8 && !memcmp(buf, "one two ", 8), "all of it");

	server = server_open();
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 6 + 5, "fetch it again");
	is(event.head.id, id, "the same request");
	ok(event.head.payload_len == 6 && !memcmp(event.data, "prompt", 6), "the prompt");
	ok(event.head.journal_len == 5 && !memcmp(event.data + 6, "11222", 5), "the journal");
	is(event.head.output_bytes, 8, "the bytes committed, read or not");
	is(event.head.prompt_tokens, 3, "prompt tokens");
	is(event.head.output_tokens, 3, "output tokens");
	is(event.head.attempts, 2, "the second attempt");
	{
		struct llm_pull pull = {
			.size = sizeof(pull), .id = id, .buf = (uintptr_t)buf, .buf_len = 4,
			.offset = 4,
		};

		is(ioctl(server, LLM_IOC_PULL, &pull), 4, "PULL across prompt and journal");
		ok(!memcmp(buf, "pt11", 4), "the right bytes");
	}
	ok(journal(server, id, "three", "333"), "go on");
	fails(commit(server, id, NULL, LLM_COMMIT_END), EINVAL, "totals never go back");
	{
		struct llm_commit arg = commit_init(id, NULL, 0);

		arg.flags = LLM_COMMIT_END;
		arg.prompt_tokens = 3;
		arg.output_tokens = 3;
		is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "end it");
	}
	is(read_all(client, id, buf, sizeof(buf), &read), 5, "read the rest");
	is(read.dispatch_ns, first, "it was first dispatched when it was");
	close(server);
}

static void test_order(void)
{
	int server = server_open();
	uint64_t ids[6];
	struct event event;

	for (int i = 0; i < 4; i++)
		ids[i] = submit_text(client, "x");
	for (int i = 0; i < 3; i++)
		fetch(server, LLM_FETCH_REQUEST, &event);
	/* One of each state: running, paused or running, cancelling, queued. */
	cancel(client, ids[1], 0);
	close(server);
	for (int i = 4; i < 6; i++)
		ids[i] = submit_text(client, "x");
	server = server_open();
	for (int i = 0; i < 6; i++) {
		if (i == 1)
			continue;
		fetch(server, LLM_FETCH_REQUEST, &event);
		is(event.head.id, ids[i], "oldest first");
		is(event.head.attempts, i < 4 && i != 3 ? 2 : 1, "attempts");
	}
	fails(fetch(server, LLM_FETCH_EVENTS | LLM_FETCH_NONBLOCK, &event), EAGAIN,
	      "the cancelled one is gone, with its notice");
	is(cancel(client, 0, LLM_CANCEL_ALL | LLM_CANCEL_FORGET), 0, "forget them");
	close(server);
	is(features(client).requests, 0, "with the server they are gone");
}

static void test_timeout(void)
{
	uint64_t old, young, running;
	struct llm_read read;
	struct event event;
	struct llm_wait wait;
	int server;

	param_set("recover_timeout_s", 1);
	server = server_open();
	running = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	commit(server, running, "part", 0);
	old = submit_text(client, "x");
	close(server);
	young = submit_op(client, LLM_OP_NOP, "x");
	is(wait_for(client, young, LLM_WAIT_END, 0, &wait), 0, "nobody comes");
	is(wait_for(client, old, LLM_WAIT_NONBLOCK, 0, &wait), 0, "older ones ended before");
	is(read_all(client, running, buf, sizeof(buf), &read), 4, "what was answered can be read");
	is(read.status, -ECONNRESET, "and the reason");
	is(read_all(client, old, buf, sizeof(buf), &read), 0, "nothing of the queued one");
	is(read.status, -ECONNRESET, "and the reason");
	ok(read.end_ns - read.submit_ns >= 1000000000, "after a second");
	is(read_all(client, young, buf, sizeof(buf), &read), 0, "nor of the late one");
	ok(read.end_ns - read.submit_ns >= 1000000000, "after a second of its own");

	param_set("recover_timeout_s", 1000);
	old = submit_text(client, "x");
	fails(wait_for(client, old, LLM_WAIT_END, now_ns() + 50000000, &wait), ETIME, "it waits");
	param_set("recover_timeout_s", 0);
	is(wait_for(client, old, LLM_WAIT_END, 0, &wait), 0,
	   "a shorter time holds for who waits already");
	cancel(client, old, LLM_CANCEL_FORGET);
	old = submit_text(client, "x");
	is(wait_for(client, old, LLM_WAIT_END, 0, &wait), 0, "no time at all");
	cancel(client, old, LLM_CANCEL_FORGET);
	param_set("recover_timeout_s", 1000);
	server = server_open();
	old = submit_text(client, "x");
	param_set("recover_timeout_s", 0);
	fails(wait_for(client, old, LLM_WAIT_END, now_ns() + 50000000, &wait), ETIME,
	      "with a server nothing expires");
	close(server);
	is(wait_for(client, old, LLM_WAIT_END, 0, &wait), 0, "without it does");
	cancel(client, old, LLM_CANCEL_FORGET);
	param_set("recover_timeout_s", 60);
}

#define STREAMS 6

/*
 * A server is killed again and again under some streams, at moments that a seed chooses: each time
 * so much more has been read. It is never far ahead of what is read, so that it has not made all of
 * it before it has died as often as it should.
 */
static void test_kill(bool by_uring)
{
	const uint64_t length = is_slow() ? 8000 : 60000, most = length / 64;
	const unsigned long unread = param_get("max_unread_bytes");
	const int rounds = 20;
	uint64_t state = random_seed(), ids[STREAMS], done[STREAMS] = {}, read_bytes = 0;
	uint64_t next = random_next(&state) % (STREAMS * length / (2 * rounds));
	char *answers[STREAMS];
	struct llm_read read;
	int ended = 0, killed = 0;
	pid_t pid;

	param_set("max_unread_bytes", 4096);
	pid = server_start(by_uring);
	for (int i = 0; i < STREAMS; i++) {
		snprintf(buf, sizeof(buf), "gen %d %llu 13", i, (unsigned long long)length);
		ids[i] = submit_text(client, buf);
		answers[i] = malloc(length + 1);
		must(ids[i] && answers[i], "submit");
	}
	while (ended < STREAMS) {
		const int i = (int)(random_next(&state) % STREAMS);

		if (ids[i]) {
			read = read_init(ids[i], answers[i] + done[i],
					 length + 1 - done[i] < most ? length + 1 - done[i] : most);
			read.flags = LLM_READ_NONBLOCK;
			if (!ioctl(client, LLM_IOC_READ, &read)) {
				done[i] += read.len;
				read_bytes += read.len;
				if (read.out_flags & LLM_READ_END) {
					is(read.status, 0, "stream %d", i);
					ids[i] = 0;
					ended++;
				}
			} else if (errno != EAGAIN) {
				ok(false, "READ of stream %d", i);
				break;
			}
		}
		if (killed < rounds && read_bytes >= next) {
			server_stop(pid);
			pid = server_start(by_uring);
			killed++;
			/* in the end all of them come before all has been read */
			next = read_bytes + random_next(&state) % (STREAMS * length / (2 * rounds));
		}
	}
	server_stop(pid);
	for (int i = 0; i < STREAMS; i++) {
		ok(done[i] == length && gen_matches((uint64_t)i, answers[i], length),
		   "stream %d, byte for byte, after %d deaths", i, killed);
		free(answers[i]);
	}
	is(killed, rounds, "the server did die");
	param_set("max_unread_bytes", unread);
}

int main(void)
{
	client = client_open();
	test_journal();
	test_order();
	test_timeout();
	test_kill(false);
	test_kill(true);
	is(features(client).requests, 0, "nothing is left");
	close(client);
	return tap_done();
}
