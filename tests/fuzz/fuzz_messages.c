/* SPDX-License-Identifier: MIT */
/*
 * Request messages. The first byte chooses: an even one sends the rest to the socket transport as a
 * client would, with a server behind it that answers; an odd one takes the rest as what a FETCH
 * brought, and gives it to the scheduler over an engine of toy models. Nothing may crash, each
 * request must end once, and nothing may be left when the client is gone.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "base/log.h"
#include "ipc/broker.h"
#include "ipc/device.h"
#include "ipc/socket.h"
#include "sched/sched.h"
#include "tests/unit/sched_engine.h"

#define FUZZ_HELD	64
#define FUZZ_TURNS	5000
#define FUZZ_INPUT_MAX	(64 << 10)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(bool good, const char *what)
{
	if (good)
		return;
	fprintf(stderr, "fuzz_messages: %s\n", what);
	abort();
}

/* ---- the socket ---- */

/** struct fuzz_held - a request the server has, and how far its answer is */
static struct fuzz_held {
	uint64_t id;
	unsigned int commits;
	bool steps;
	bool cancelled;
	bool paused;
} helds[FUZZ_HELD];

static struct loop *loop;
static struct socket_server *server;

static struct fuzz_held *held_find(uint64_t id)
{
	size_t i;

	for (i = 0; i < FUZZ_HELD; i++)
		if (helds[i].id == id)
			return &helds[i];
	return NULL;
}

static void on_request(struct ipc_sink *sink, struct ipc *ipc, const struct llm_event *event,
		       uint8_t *data)
{
	struct fuzz_held *held = held_find(0);

	(void)sink;
	(void)ipc;
	free(data);
	check(held, "more requests than a file may have");
	*held = (struct fuzz_held){ .id = event->id, .steps = event->op < LLM_OP_CONTROL };
}

static void on_cancelled(struct ipc_sink *sink, struct ipc *ipc, uint64_t id, uint64_t time_ns)
{
	(void)sink;
	(void)ipc;
	(void)time_ns;
	check(held_find(id), "a cancel of a request that nobody has");
	held_find(id)->cancelled = true;
}

static void on_resume(struct ipc_sink *sink, struct ipc *ipc, uint64_t id)
{
	(void)sink;
	(void)ipc;
	check(held_find(id) && held_find(id)->paused, "a resume of what is not paused");
	held_find(id)->paused = false;
}

static void on_reclaim(struct ipc_sink *sink, struct ipc *ipc, uint64_t id)
{
	(void)sink;
	(void)ipc;
	(void)id;
	check(false, "nobody waits for memory over the socket");
}

static void on_reclaim_kept(struct ipc_sink *sink, struct ipc *ipc, uint64_t cgroup_id,
			    uint32_t region, uint64_t bytes)
{
	(void)sink;
	(void)ipc;
	(void)cgroup_id;
	(void)region;
	(void)bytes;
	check(false, "nobody waits for memory over the socket");
}

static void on_committed(struct ipc_sink *sink, struct ipc *ipc, uint64_t id, int result)
{
	(void)sink;
	(void)ipc;
	(void)id;
	(void)result;
	check(false, "a pending commit on the socket");
}

static struct ipc_sink sink = {
	.request = on_request,
	.cancelled = on_cancelled,
	.resume = on_resume,
	.reclaim = on_reclaim,
	.reclaim_kept = on_reclaim_kept,
	.committed = on_committed,
};

/* memory, as a step would take it; what is left of it goes with the request's end */
static void held_charge(struct ipc *ipc, struct fuzz_held *held)
{
	struct llm_charge charge = { .size = sizeof(charge), .id = held->id, .bytes = 1000 };
	int r = ipc->ops->charge(ipc, &charge);

	check(r == (held->cancelled ? LLM_VERDICT_CANCELLED : LLM_VERDICT_CONTINUE),
	      "a charge was refused");
	if (r != LLM_VERDICT_CONTINUE)
		return;
	charge.bytes = 999;
	check(!ipc->ops->uncharge(ipc, &charge), "what is held can not be given back");
	charge.bytes = UINT64_MAX;
	check(ipc->ops->uncharge(ipc, &charge) == -EINVAL, "more was given back than is held");
}

/* a few pieces, then the end; a paused one waits unless it is cancelled */
static void held_commit(struct ipc *ipc, struct fuzz_held *held)
{
	static const char text[30000];
	struct llm_commit commit = {
		.size = sizeof(commit),
		.id = held->id,
		.data = (uintptr_t)text,
		.data_len = sizeof(text),
	};
	int r;

	if (held->paused && !held->cancelled)
		return;
	if (held->steps)
		held_charge(ipc, held);
	if (held->commits++ == 4 || held->cancelled)
		commit.flags = LLM_COMMIT_END;
	held->paused = true;
	r = ipc->ops->commit(ipc, &commit);
	check(r >= 0 && r <= LLM_VERDICT_CANCELLED, "a commit was refused");
	held->paused = held->paused && r == LLM_VERDICT_PAUSE;
	if (commit.flags & LLM_COMMIT_END)
		*held = (struct fuzz_held){ .id = 0 };
}

static void socket_turn(int client)
{
	struct ipc *ipc = socket_server_ipc(server);
	static char drain[1 << 16];
	size_t i;

	check(loop_run(loop, false) >= 0, "the loop is broken");
	ipc->ops->want(ipc, 4);
	for (i = 0; i < FUZZ_HELD; i++)
		if (helds[i].id)
			held_commit(ipc, &helds[i]);
	socket_server_flush(server);
	while (client >= 0 && recv(client, drain, sizeof(drain), MSG_DONTWAIT) > 0)
		;
}

static void fuzz_socket(const uint8_t *data, size_t size)
{
	size_t sent = 0, i;
	int fds[2];

	if (!loop) {
		check(!loop_new(&loop, NULL), "no loop");
		check(!socket_server_new(&server, loop, &sink), "no server");
	}
	check(!socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds), "no sockets");
	check(!socket_server_connect(server, fds[0]), "no connection");
	for (i = 0; sent < size && i < 64; i++) {
		ssize_t n = send(fds[1], data + sent, size - sent, MSG_NOSIGNAL);

		sent += n > 0 ? (size_t)n : 0;
		socket_turn(fds[1]);
	}
	for (i = 0; i < 4; i++)
		socket_turn(fds[1]);
	close(fds[1]);
	for (i = 0; i < 4; i++)
		socket_turn(-1);
	for (i = 0; i < FUZZ_HELD; i++)
		check(!helds[i].id, "a request outlives its client");
}

/* ---- events ---- */

static struct sched *sched;
static unsigned int ends;

static int event_commit(struct ipc *ipc, const struct llm_commit *commit)
{
	check(commit->id == 1 && !ends, "a commit for a request that has ended");
	check(commit->data_len + commit->journal_len <= ipc->max_commit_bytes, "too much at once");
	ends += commit->flags & LLM_COMMIT_END;
	return LLM_VERDICT_CONTINUE;
}

static void event_want(struct ipc *ipc, unsigned int count)
{
	(void)ipc;
	(void)count;
}

static const struct ipc_ops event_ops = { .want = event_want, .commit = event_commit };
static struct ipc event_ipc = {
	.ops = &event_ops,
	.name = "fuzz",
	.max_commit_bytes = 65536,
	.max_journal_bytes = 4096,
};

static void remove_folder(void)
{
	sched_free(sched);
	socket_server_free(server);
	loop_free(loop);
	fake_folder_remove();
}

static void event_start(void)
{
	struct sched_config config = { .models = fake_folder(), .default_model = "" };
	struct error error = { "" };

	fake_model(config.models, "a.gguf", "FAKE");
	fake_model(config.models, "b.gguf", "FAKE chat=chatml bos=0 pages=6");
	fake_model(config.models, "c.gguf", "nonsense");
	config.engine.batch_tokens = 17;
	config.engine.logits_rows = 20;
	check(!sched_new(&sched, &config, &error), error.text);
	check(!sched_attach(sched, &event_ipc), "too many transports");
	event_ipc.sink = sched_sink(sched);
}

static void fuzz_event(const uint8_t *data, size_t size)
{
	struct llm_event event;
	uint8_t *copy;
	size_t total;
	int offset, i;

	offset = device_check_event(data, size, &event);
	if (offset < 0 || event.type != LLM_EVENT_REQUEST)
		return;
	/* what has not come with the event would be pulled, and it is zero here */
	total = (size_t)event.stop_len + event.payload_len + event.journal_len;
	if (total > FUZZ_INPUT_MAX)
		return;
	copy = calloc(1, total + 1);
	memcpy(copy, data + offset, event.data_len);
	event.id = 1;
	ends = 0;
	event_ipc.sink->request(event_ipc.sink, &event_ipc, &event, copy);
	for (i = 0; sched_step(sched); i++)
		check(i < FUZZ_TURNS, "a request does not end");
	check(ends == 1, "a request did not end");
	check(!fake_counts.broken_promises && !fake_counts.seqs && !fake_counts.pages,
	      "the engine was misused, or something of it is left");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!sched) {
		log_open(LOG_ERROR);
		event_start();
		atexit(remove_folder);
	}
	if (!size || size > FUZZ_INPUT_MAX)
		return 0;
	if (*data % 2)
		fuzz_event(data + 1, size - 1);
	else
		fuzz_socket(data + 1, size - 1);
	return 0;
}
