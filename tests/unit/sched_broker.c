/* SPDX-License-Identifier: MIT */
/* The broker for tests of the scheduler; see sched_broker.h. */
#include "sched_broker.h"

#include <stdarg.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/list.h"

#define TEST_TURNS_MAX	200000

static struct test_broker *to_broker(struct ipc *ipc)
{
	return container_of(ipc, struct test_broker, ipc);
}

static struct test_request *find(struct test_broker *broker, uint64_t id)
{
	if (!id || id > broker->count)
		return NULL;
	return broker->requests[id - 1].taken ? &broker->requests[id - 1] : NULL;
}

static void check_commit(const struct test_request *request, const struct llm_commit *commit,
			 const struct ipc *ipc)
{
	bool end = commit->flags & LLM_COMMIT_END;

	assert_int_equal(commit->size, sizeof(*commit));
	assert_false(request->waiting);
	assert_true(commit->data_len + commit->journal_len <= ipc->max_commit_bytes);
	assert_true(request->journal.len + commit->journal_len <= ipc->max_journal_bytes);
	assert_true(commit->prompt_tokens >= request->event.prompt_tokens);
	assert_true(commit->output_tokens >= request->event.output_tokens);
	assert_true(end || (!commit->status && !commit->finish));
	assert_true(commit->status <= 0 && (!commit->status || !commit->finish));
}

static int take(struct test_broker *broker, struct test_request *request,
		const struct llm_commit *commit)
{
	int r;

	request->commits++;
	if (!request->cancelled) {
		r = bytes_append(&request->output, (const void *)(uintptr_t)commit->data,
				 commit->data_len);
		assert_int_equal(r, 0);
		r = bytes_append(&request->journal, (const void *)(uintptr_t)commit->journal,
				 commit->journal_len);
		assert_int_equal(r, 0);
		request->event.prompt_tokens = commit->prompt_tokens;
		request->event.output_tokens = commit->output_tokens;
		request->event.output_bytes = request->output.len;
	}
	if (commit->flags & LLM_COMMIT_END) {
		assert_false(request->ended);
		request->ended = true;
		request->taken = false;
		request->status = request->cancelled ? -ECANCELED : commit->status;
		request->finish = commit->finish;
	}
	if (request->cancelled)
		return LLM_VERDICT_CANCELLED;
	return broker->unread_max && request->output.len >= broker->unread_max &&
	       !request->ended ? LLM_VERDICT_PAUSE : LLM_VERDICT_CONTINUE;
}

static int test_commit(struct ipc *ipc, const struct llm_commit *commit)
{
	struct test_broker *broker = to_broker(ipc);
	struct test_request *request = find(broker, commit->id);
	int r;

	if (broker->dead)
		return IPC_PENDING;
	if (!request)
		return -ENOENT;
	check_commit(request, commit, ipc);
	if (broker->refuse) {
		r = broker->refuse;
		broker->refuse = 0;
		return r;
	}
	broker->commits++;
	broker->dead = broker->commits == broker->die_at;
	if (broker->dead && broker->die_before)
		return IPC_PENDING;
	r = take(broker, request, commit);
	if (broker->dead)
		return IPC_PENDING;
	if (!broker->is_async)
		return r;
	request->waiting = true;
	request->pending = r;
	request->sent = (const uint8_t *)(uintptr_t)commit->data;
	request->sent_len = commit->data_len;
	if (request->sent_len)
		memcpy(request->sent_copy, request->sent, request->sent_len);
	return IPC_PENDING;
}

static void test_want(struct ipc *ipc, unsigned int count)
{
	to_broker(ipc)->wanted = count;
}

static void test_ipc_free(struct ipc *ipc)
{
	(void)ipc;
}

static const struct ipc_ops test_ops = {
	.want = test_want,
	.commit = test_commit,
	.free = test_ipc_free,
};

void test_broker_init(struct test_broker *broker)
{
	memset(broker, 0, sizeof(*broker));
	broker->ipc = (struct ipc){
		.ops = &test_ops,
		.name = "test",
		.max_commit_bytes = 65536,
		.max_journal_bytes = 65536,
	};
}

void test_broker_free(struct test_broker *broker)
{
	unsigned int i;

	if (broker->sched)
		test_broker_kill(broker);
	for (i = 0; i < broker->count; i++) {
		bytes_free(&broker->requests[i].journal);
		bytes_free(&broker->requests[i].output);
	}
}

void test_broker_serve(struct test_broker *broker, const struct sched_config *config)
{
	struct error error = { "" };

	if (sched_new(&broker->sched, config, &error) < 0)
		fail_msg("%s", error.text);
	broker->ipc.sink = sched_sink(broker->sched);
	assert_int_equal(sched_attach(broker->sched, &broker->ipc), 0);
	broker->dead = false;
	broker->wanted = 0;
	sched_step(broker->sched);
}

void test_broker_kill(struct test_broker *broker)
{
	unsigned int i;

	sched_free(broker->sched);
	broker->sched = NULL;
	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		request->taken = false;
		request->waiting = false;
		if (request->cancelled && !request->ended) {
			request->ended = true;
			request->status = -ECANCELED;
		}
	}
}

/* ---- requests ---- */

struct test_request *test_submit(struct test_broker *broker, enum llm_op op,
				 enum llm_payload type, const void *payload, size_t len)
{
	struct test_request *request = &broker->requests[broker->count++];

	assert_true(broker->count <= TEST_REQUESTS_MAX && len <= sizeof(request->data));
	request->event = (struct llm_event){
		.size = sizeof(request->event),
		.type = LLM_EVENT_REQUEST,
		.id = broker->count,
		.op = op,
		.payload_type = type,
		.payload_len = len,
	};
	if (len)
		memcpy(request->data, payload, len);
	return request;
}

struct test_request *test_ask(struct test_broker *broker, const char *text)
{
	return test_submit(broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, strlen(text));
}

void test_add_stop(struct test_request *request, const char *stop)
{
	struct llm_event *event = &request->event;
	size_t len = strlen(stop) + 1;

	memmove(request->data + event->stop_len + len, request->data + event->stop_len,
		event->payload_len);
	memcpy(request->data + event->stop_len, stop, len);
	event->stop_len += len;
}

static void deliver(struct test_broker *broker, struct test_request *request)
{
	struct llm_event *event = &request->event;
	size_t len = event->stop_len + event->payload_len;
	uint8_t *data = malloc(len + request->journal.len + 1);

	memcpy(data, request->data, len);
	if (request->journal.len)
		memcpy(data + len, bytes_data(&request->journal), request->journal.len);
	event->journal_len = request->journal.len;
	event->data_len = len + request->journal.len;
	event->attempts++;
	request->taken = true;
	broker->ipc.sink->request(broker->ipc.sink, &broker->ipc, event, data);
}

static struct test_request *due(struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		if (!request->taken && !request->ended &&
		    (request->event.op >= LLM_OP_CONTROL || broker->wanted))
			return request;
	}
	return NULL;
}

static void deliver_due(struct test_broker *broker)
{
	struct test_request *request;

	while ((request = due(broker))) {
		broker->wanted -= request->event.op < LLM_OP_CONTROL;
		deliver(broker, request);
	}
}

static void tell_pending(struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		if (!request->waiting)
			continue;
		/* the bytes were to stay as they are until now */
		if (request->sent_len)
			assert_memory_equal(request->sent, request->sent_copy, request->sent_len);
		request->waiting = false;
		broker->ipc.sink->committed(broker->ipc.sink, &broker->ipc, request->event.id,
					    request->pending);
	}
}

static bool is_waiting(const struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->count; i++)
		if (broker->requests[i].waiting)
			return true;
	return false;
}

bool test_turn(struct test_broker *broker)
{
	bool more;

	tell_pending(broker);
	deliver_due(broker);
	more = sched_step(broker->sched);
	return (more || due(broker) || is_waiting(broker)) && !broker->dead;
}

void test_run(struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; test_turn(broker); i++)
		assert_true(i < TEST_TURNS_MAX);
}

void test_run_all(struct test_broker *broker, const struct sched_config *config)
{
	for (;;) {
		if (!broker->sched)
			test_broker_serve(broker, config);
		test_run(broker);
		if (!broker->dead)
			return;
		test_broker_kill(broker);
	}
}
