/* SPDX-License-Identifier: MIT */
/* The broker for tests of the scheduler; see sched_broker.h. */
#include "sched_broker.h"

#include <stdarg.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include <poll.h>
#include <sys/mman.h>

#include "base/list.h"
#include "sched/job.h"
#include "sched_engine.h"

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

static bool appends(const struct test_request *request)
{
	return request->session && (request->event.op == LLM_OP_GENERATE ||
				    request->event.op == LLM_OP_APPEND);
}

/* a turn becomes part of the past with the commit of its end, or not at all */
static int take_turn(struct test_broker *broker, struct test_request *request,
		     const struct llm_commit *commit)
{
	struct test_session *session = request->session;

	assert_true(!commit->session == !commit->session_len);
	assert_true(!commit->session_len == !commit->session_tokens);
	if (!commit->session_len)
		return 0;
	assert_true(appends(request) && commit->flags & LLM_COMMIT_END && !commit->status);
	if (request->cancelled)
		return 0;
	if (session->past.len + commit->session_len > broker->ipc.max_session_bytes)
		return -E2BIG;
	assert_int_equal(bytes_append(&session->past, (const void *)(uintptr_t)commit->session,
				      commit->session_len), 0);
	assert_true(commit->session_tokens > session->tokens);
	session->tokens = commit->session_tokens;
	session->past_session = session->id;
	session->turns++;
	return 0;
}

static unsigned int roll(struct test_broker *broker, unsigned int n)
{
	broker->dice ^= broker->dice << 13;
	broker->dice ^= broker->dice >> 7;
	broker->dice ^= broker->dice << 17;
	return (broker->dice * 0x2545f4914f6cdd1dULL >> 33) % n;
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
		assert_true(!commit->answer_bytes ||
			    commit->answer_bytes >= request->event.answer_bytes);
		request->event.answer_bytes = MAX(request->event.answer_bytes, commit->answer_bytes);
	}
	/* who goes on without asking again would lose what was reserved for it */
	assert_true(!request->reserve || request->cancelled || commit->flags & LLM_COMMIT_END);
	request->reserve = 0;
	if (commit->flags & LLM_COMMIT_END) {
		assert_false(request->ended);
		request->held = 0;
		request->wants = 0;
		request->ended = true;
		request->taken = false;
		request->status = request->cancelled && request->status != -EDQUOT ?
				  -ECANCELED : request->status ? request->status : commit->status;
		request->finish = commit->finish;
	}
	if (request->cancelled)
		return LLM_VERDICT_CANCELLED;
	/* who goes on after he was told to pause breaks the rules of a fair broker */
	assert_false(request->paused);
	if (broker->pause_in && !request->ended && !roll(broker, broker->pause_in)) {
		request->paused = true;
		return LLM_VERDICT_PAUSE;
	}
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
		broker->retried = true;
		return r;
	}
	if ((broker->full && (commit->data_len || commit->journal_len || commit->session_len)) ||
	    (broker->full_past && commit->session_len)) {
		broker->starved++;
		broker->retried = true;
		return -ENOMEM;
	}
	broker->commits++;
	broker->dead = broker->commits == broker->die_at;
	if (broker->dead && broker->die_before)
		return IPC_PENDING;
	r = take_turn(broker, request, commit);
	if (!r)
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

/* ---- memory ---- */

uint64_t test_held(const struct test_broker *broker)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < broker->count; i++)
		sum += broker->requests[i].held;
	return sum;
}

uint64_t test_kept(const struct test_broker *broker)
{
	uint64_t sum = 0;
	unsigned int i;

	for (i = 0; i < TEST_GROUPS; i++)
		sum += broker->kept[i];
	return sum;
}

static bool has_room(const struct test_broker *broker, uint64_t bytes)
{
	uint64_t sum = test_held(broker) + test_kept(broker);
	unsigned int i;

	for (i = 0; i < broker->count; i++)
		sum += broker->requests[i].reserve;
	return !broker->memory_max || sum + bytes <= broker->memory_max;
}

/* Return: whether it is to wait, or CANCELLED */
static int no_room(struct test_request *request, uint64_t bytes)
{
	if (request->event.flags & LLM_SUBMIT_EDQUOT) {
		request->cancelled = true;
		request->status = -EDQUOT;
		return LLM_VERDICT_CANCELLED;
	}
	request->paused = true;
	request->wants = bytes;
	return LLM_VERDICT_PAUSE;
}

/* what a request holds is its cgroup's, whatever state it is in */
static int test_keep(struct test_broker *broker, struct test_request *request, uint64_t bytes)
{
	int r = broker->keep_error;

	broker->keep_error = 0;
	if (r)
		return r;
	assert_true(bytes <= request->held && request->event.cgroup_id < TEST_GROUPS);
	request->held -= bytes;
	broker->kept[request->event.cgroup_id] += bytes;
	broker->keeps++;
	return LLM_VERDICT_CONTINUE;
}

/* memory that it can do without */
static int test_try(struct test_broker *broker, struct test_request *request, uint64_t bytes)
{
	const uint64_t max_each = broker->memory_max_each;

	broker->tries++;
	if (broker->try_error)
		return broker->try_error;
	broker->charges++;
	request->cancelled |= broker->try_cancels;
	if (request->cancelled)
		return LLM_VERDICT_CANCELLED;
	request->reserve = 0;
	if ((max_each && request->held + bytes > max_each) ||
	    (broker->memory_max && request->held + bytes > broker->memory_max))
		return -EDQUOT;
	if (!has_room(broker, bytes) || (broker->short_in && !roll(broker, broker->short_in)))
		return -EAGAIN;
	request->held += bytes;
	return LLM_VERDICT_CONTINUE;
}

static int test_charge(struct ipc *ipc, const struct llm_charge *charge)
{
	struct test_broker *broker = to_broker(ipc);
	struct test_request *request = find(broker, charge->id);
	uint64_t reserve, max_each = broker->memory_max_each;

	if (broker->dead)
		return LLM_VERDICT_CONTINUE;
	if (!request)
		return -ENOENT;
	assert_int_equal(charge->size, sizeof(*charge));
	assert_true(charge->bytes && !charge->region && !charge->cgroup_id);
	if (charge->flags == LLM_CHARGE_KEEP)
		return test_keep(broker, request, charge->bytes);
	if (charge->flags == LLM_CHARGE_TRY)
		return test_try(broker, request, charge->bytes);
	assert_int_equal(charge->flags, 0);
	/* its verdict would be one of two, and who waits already does not ask again */
	assert_false(request->waiting);
	broker->charges++;
	if (request->cancelled)
		return LLM_VERDICT_CANCELLED;
	assert_false(request->paused);
	reserve = request->reserve;
	request->reserve = 0;
	if ((max_each && request->held + charge->bytes > max_each) ||
	    (broker->memory_max && request->held + charge->bytes > broker->memory_max))
		return -EDQUOT;
	if (reserve < charge->bytes && (!has_room(broker, charge->bytes) ||
					(broker->short_in && !roll(broker, broker->short_in))))
		return no_room(request, charge->bytes);
	request->held += charge->bytes;
	return LLM_VERDICT_CONTINUE;
}

static int test_uncharge(struct ipc *ipc, const struct llm_charge *charge)
{
	struct test_broker *broker = to_broker(ipc);
	struct test_request *request = find(broker, charge->id);

	if (broker->dead)
		return 0;
	assert_int_equal(charge->size, sizeof(*charge));
	if (!charge->id) {
		assert_true(charge->cgroup_id < TEST_GROUPS && charge->bytes && !charge->flags &&
			    charge->bytes <= broker->kept[charge->cgroup_id]);
		broker->kept[charge->cgroup_id] -= charge->bytes;
		return 0;
	}
	if (!request)
		return -ENOENT;
	assert_true(charge->bytes && charge->bytes <= request->held && !charge->flags);
	request->held -= charge->bytes;
	broker->uncharges++;
	return 0;
}

/* what is kept goes first: as much as is missing, of one cgroup after the other */
static void reclaim_kept(struct test_broker *broker, uint64_t bytes)
{
	unsigned int i;

	for (i = 0; i < TEST_GROUPS && bytes; i++) {
		uint64_t ask = MIN(bytes, broker->kept[i]), before = broker->kept[i];

		if (!ask)
			continue;
		broker->kept_reclaims++;
		broker->ipc.sink->reclaim_kept(broker->ipc.sink, &broker->ipc, i, 0, ask);
		assert_true(broker->kept[i] + ask <= before);
		bytes -= ask;
	}
}

/* the oldest who waits gets room, if there is some; else the youngest who stands still gives way */
static void make_room(struct test_broker *broker)
{
	struct test_request *oldest = NULL, *youngest = NULL;
	unsigned int i;

	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		if (request->wants && !oldest)
			oldest = request;
		if (request->paused && request->held)
			youngest = request;
	}
	if (!oldest)
		return;
	if (has_room(broker, oldest->wants)) {
		oldest->reserve = oldest->wants;
		oldest->wants = 0;
	} else if (test_kept(broker)) {
		reclaim_kept(broker, oldest->wants);
	} else if (youngest > oldest && !roll(broker, 4)) {
		broker->reclaims++;
		broker->ipc.sink->reclaim(broker->ipc.sink, &broker->ipc, youngest->event.id);
		assert_int_equal(youngest->held, 0);
	}
}

static int test_view(struct ipc *ipc, uint64_t offset, size_t len, bool write,
		     struct ipc_view *ret)
{
	return ipc_view_open(to_broker(ipc)->memfd, offset, len, write, ret);
}

static void test_want(struct ipc *ipc, unsigned int count)
{
	to_broker(ipc)->wanted = count;
}

static void test_spare(struct ipc *ipc, unsigned int count)
{
	to_broker(ipc)->spare = count;
}

static void test_ipc_free(struct ipc *ipc)
{
	(void)ipc;
}

static const struct ipc_ops test_ops = {
	.want = test_want,
	.spare = test_spare,
	.commit = test_commit,
	.charge = test_charge,
	.uncharge = test_uncharge,
	.view = test_view,
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
		.max_session_bytes = 65536,
	};
	broker->dice = 1;
	broker->memfd = memfd_create("buffers", MFD_CLOEXEC);
	assert_true(broker->memfd >= 0);
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
	for (i = 0; i < broker->session_count; i++)
		bytes_free(&broker->sessions[i].past);
	broker->count = broker->session_count = 0;
	if (broker->memfd >= 0)
		close(broker->memfd);
	broker->memfd = -1;
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
	memset(broker->kept, 0, sizeof(broker->kept));
	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		request->taken = false;
		request->waiting = false;
		request->paused = false;
		request->held = 0;
		request->reserve = 0;
		request->wants = 0;
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

struct test_session *test_session(struct test_broker *broker, const struct test_session *from)
{
	struct test_session *session = &broker->sessions[broker->session_count++];

	assert_true(broker->session_count <= TEST_SESSIONS_MAX);
	session->id = 100 + broker->session_count;
	if (!from)
		return session;
	session->past_session = from->past_session;
	session->tokens = from->tokens;
	if (from->past.len)
		assert_int_equal(bytes_append(&session->past, bytes_data(&from->past),
					      from->past.len), 0);
	return session;
}

struct test_request *test_in(struct test_session *session, struct test_request *request)
{
	request->session = session;
	request->event.flags |= LLM_SUBMIT_SESSION;
	request->event.session = session->id;
	return request;
}

void test_session_end(struct test_broker *broker, struct test_session *session)
{
	broker->ipc.sink->session_ended(broker->ipc.sink, &broker->ipc, session->id);
}

void test_buffer(struct test_broker *broker, struct test_request *request, uint64_t offset)
{
	struct llm_event *event = &request->event;
	const uint8_t *payload = request->data + event->stop_len;

	assert_int_equal(pwrite(broker->memfd, payload, event->payload_len, offset),
			 event->payload_len);
	event->flags |= LLM_SUBMIT_BUFFER;
	event->buffer_len = offset + event->payload_len;
	event->payload_offset = offset;
}

static void deliver(struct test_broker *broker, struct test_request *request)
{
	struct llm_event *event = &request->event;
	size_t len = event->stop_len +
		     (event->flags & LLM_SUBMIT_BUFFER ? 0 : event->payload_len);
	const struct test_session *session = request->session;
	const size_t past_len = session ? session->past.len : 0;
	uint8_t *data = malloc(len + request->journal.len + past_len + 1);

	memcpy(data, request->data, len);
	if (request->journal.len)
		memcpy(data + len, bytes_data(&request->journal), request->journal.len);
	len += request->journal.len;
	if (past_len)
		memcpy(data + len, bytes_data(&session->past), past_len);
	event->journal_len = request->journal.len;
	event->session_len = past_len;
	event->past_session = past_len ? session->past_session : 0;
	event->data_len = len + past_len;
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

		if (!request->waiting || (broker->late_in && !roll(broker, broker->late_in)))
			continue;
		/* the bytes were to stay as they are until now */
		if (request->sent_len)
			assert_memory_equal(request->sent, request->sent_copy, request->sent_len);
		request->waiting = false;
		broker->ipc.sink->committed(broker->ipc.sink, &broker->ipc, request->event.id,
					    request->pending);
	}
}

/* somebody who was told to pause may go on, now and then before he has heard that he was */
static void resume_some(struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->count; i++) {
		struct test_request *request = &broker->requests[i];

		if (!request->paused || request->ended || request->wants || roll(broker, 4))
			continue;
		request->paused = false;
		broker->ipc.sink->resume(broker->ipc.sink, &broker->ipc, request->event.id);
	}
}

static bool is_waiting(const struct test_broker *broker)
{
	unsigned int i;

	for (i = 0; i < broker->count; i++)
		if (broker->requests[i].waiting ||
		    (broker->requests[i].paused && !broker->requests[i].ended))
			return true;
	return false;
}

/* the disk does not answer: what the loop was told to wake up for is due */
static void expire_fetches(const struct test_broker *broker)
{
	struct job *job;

	list_each(job, &broker->sched->jobs[JOB_ACTIVE], link) {
		if (!job->is_fetching)
			continue;
		assert_in_range(sched_retry_ns(broker->sched), 1, job->fetch_until_ns);
		job->fetch_until_ns = 1;
	}
}

/*
 * Some request waits for its grammar, an answer for what that allows, or for its pages: as the
 * daemon's loop does, until the scheduler has news.
 */
static bool is_held(const struct test_broker *broker)
{
	struct pollfd news = { .fd = sched_fd(broker->sched), .events = POLLIN };
	const struct job *job;
	bool held = false;

	list_each(job, &broker->sched->jobs[JOB_ACTIVE], link)
		held |= (job->has_row || job->is_fetching) && !job->paused;
	list_each(job, &broker->sched->jobs[JOB_OPENING], link)
		held |= job_awaits_grammar(job) && !broker->leaves_grammars;
	if (!held)
		return false;
	if (fake_swap_hangs) {
		expire_fetches(broker);
		return true;
	}
	assert_int_equal(poll(&news, 1, 60000), 1);
	sched_heard(broker->sched);
	return true;
}

bool test_turn(struct test_broker *broker)
{
	bool more;

	make_room(broker);
	resume_some(broker);
	tell_pending(broker);
	deliver_due(broker);
	more = sched_step(broker->sched);
	if (!more && !broker->dead)
		more = is_held(broker);
	if (!broker->dead && !broker->retried)
		assert_int_equal(test_held(broker) + test_kept(broker),
				 (uint64_t)fake_counts.pages * FAKE_PAGE_BYTES);
	if (!broker->dead)
		assert_int_equal(test_kept(broker), (uint64_t)fake_counts.kept * FAKE_PAGE_BYTES);
	return (more || due(broker) || is_waiting(broker)) && !broker->dead;
}

void test_hurry(struct test_broker *broker)
{
	struct job *job;
	int state;

	for (state = 0; state < JOB_STATES; state++)
		list_each(job, &broker->sched->jobs[state], link)
			job->retry_ns = 0;
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
