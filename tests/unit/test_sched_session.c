/* SPDX-License-Identifier: MIT */
/*
 * Sessions, as the scheduler deals with them: a turn goes on with what was said before without
 * computing it again, as if all had been asked at once; forks go their own ways, and none finds
 * what the other one asked; what ends badly leaves nothing behind; whenever the server dies, the
 * conversation is the same. And who else has what is kept for it: nobody.
 */
#include "base/util.h"
#include "sched/job.h"
#include "sched/past.h"
#include "sched_fixture.h"

#define PAGE	4
#define FIRST	"0123456789abcdefghij"
#define SECOND	" and then?"

static int setup(void **state)
{
	(void)state;
	fixture_small("a");
	config.engine.prefix_percent = 50;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=90");
	return 0;
}

/* texts that repeat themselves, and are guessed ahead */
static int setup_guessed(void **state)
{
	const int r = setup(state);

	fixture_guess();
	return r;
}

static struct test_request *ask(struct test_session *session, const char *text)
{
	struct test_request *request = test_in(session, test_ask(&broker, text));

	request->event.cgroup_id = 1;
	request->event.domain_cgroup = 1;
	request->event.domain_uid = 1000;
	request->event.max_tokens = 5;
	request->event.flags |= LLM_SUBMIT_IGNORE_EOS;
	return request;
}

/* Return: tokens with which it began */
static unsigned int run(struct test_request *request, int status)
{
	const unsigned int before = fake_counts.reused;

	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, status);
	return fake_counts.reused - before;
}

static void assert_same_past(const struct test_session *a, const struct test_session *b)
{
	assert_int_equal(a->past.len, b->past.len);
	assert_memory_equal(bytes_data(&a->past), bytes_data(&b->past), a->past.len);
}

/* the same tokens at once, outside of any session: its past, as it is, and a text */
static struct test_request *ask_at_once(const struct test_session *session, const char *text)
{
	uint32_t ids[256];
	size_t count, i;
	struct past past;
	struct test_request *request;

	assert_int_equal(past_read(&past, bytes_data(&session->past), session->past.len), 0);
	assert_string_equal(past.model, "a");
	assert_true(past.count + strlen(text) <= ARRAY_SIZE(ids));
	for (count = 0; count < past.count; count++)
		ids[count] = past_id(&past, count);
	for (i = 0; text[i]; i++)
		ids[count++] = (uint8_t)text[i];
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_TOKENS, ids,
			      count * sizeof(*ids));
	request->event.max_tokens = 5;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	return request;
}

/* ---- going on ---- */

static void test_goes_on(void **state)
{
	struct test_session *session;
	struct test_request *first, *second, *whole;
	unsigned int fed;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	first = ask(session, FIRST);
	assert_int_equal(run(first, 0), 0);
	/* the beginning of a text, the text, and the answer, of which the last token was not fed */
	assert_int_equal(session->tokens, 1 + strlen(FIRST) + 5);
	assert_int_equal(session->past.len, PAST_HEADER_BYTES + 4 * session->tokens);
	assert_int_equal(broker.kept[1], (session->tokens - 1) / PAGE * FAKE_PAGE_BYTES);
	whole = ask_at_once(session, SECOND);
	assert_int_equal(run(whole, 0), 0);
	fed = fake_counts.tokens;
	second = ask(session, SECOND);
	assert_int_equal(run(second, 0), (26 - 1) / PAGE * PAGE);
	assert_same_output(second, whole);
	/* what is behind the last full page, the turn, and the answer */
	if (!fake_forgets)
		assert_int_equal(fake_counts.tokens - fed,
				 26 - 24 + strlen(SECOND) + 4);
	assert_int_equal(second->event.prompt_tokens, 26 + strlen(SECOND));
	assert_int_equal(session->tokens, 26 + strlen(SECOND) + 5);
	assert_int_equal(session->turns, 2);
}

/* nothing at all, which is a wish to hear more */
static void test_goes_on_with_nothing(void **state)
{
	struct test_session *session;
	struct test_request *second, *whole;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	whole = ask_at_once(session, "");
	run(whole, 0);
	second = ask(session, "");
	run(second, 0);
	assert_same_output(second, whole);
}

static void test_chat(void **state)
{
	struct test_session *session;
	struct test_request *request;
	struct past past;
	uint32_t want[] = { FAKE_BOS, 'a' };
	unsigned int i;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=90 chat=chatml");
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	request = ask(session, "a");
	request->event.payload_type = LLM_PAYLOAD_TEXT;
	run(request, 0);
	assert_int_equal(session->tokens, 2 + 5);
	request = ask(session, "b");
	request->event.payload_type = LLM_PAYLOAD_TEXT;
	run(request, 0);
	assert_int_equal(past_read(&past, bytes_data(&session->past), session->past.len), 0);
	for (i = 0; i < ARRAY_SIZE(want); i++)
		assert_int_equal(past_id(&past, i), want[i]);
	/* the answer was cut off: what the template has behind one comes first */
	assert_int_equal(past_id(&past, 7), FAKE_EOS);
	assert_int_equal(past_id(&past, 8), FAKE_BOS);
	assert_int_equal(past_id(&past, 9), 'b');
	assert_int_equal(past.count, 2 + 5 + 3 + 5);
}

/* read and not answered, and then gone on with */
static void test_append(void **state)
{
	struct test_session *session;
	struct test_request *request, *whole;
	unsigned int fed;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	request = ask(session, FIRST);
	request->event.op = LLM_OP_APPEND;
	run(request, 0);
	assert_int_equal(request->output.len, 0);
	assert_int_equal(request->finish, LLM_FINISH_STOP);
	assert_int_equal(request->event.prompt_tokens, 21);
	assert_int_equal(session->tokens, 21);
	fed = fake_counts.tokens;
	assert_int_equal(fed, 21);
	whole = ask_at_once(session, SECOND);
	run(whole, 0);
	request = ask(session, SECOND);
	assert_int_equal(run(request, 0), 20);
	assert_same_output(request, whole);
	/* nothing is as good as no turn */
	request = ask(session, "");
	request->event.op = LLM_OP_APPEND;
	run(request, 0);
	assert_int_equal(session->turns, 2);
	/* where to? */
	request = test_ask(&broker, FIRST);
	request->event.op = LLM_OP_APPEND;
	run(request, -EINVAL);
	request = ask(session, FIRST);
	request->event.op = LLM_OP_SCORE;
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, -EOPNOTSUPP);
}

/* ---- forks ---- */

static void test_forks(void **state)
{
	struct test_session *session, *fork, *other;
	struct test_request *request, *a, *b;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	fork = test_session(&broker, session);
	a = ask(fork, " one way, and far");
	/* its past is found, as it was computed before the fork */
	assert_int_equal(run(a, 0), 24);
	b = ask(session, " another way!");
	assert_int_equal(run(b, 0), 24);
	assert_int_equal(fork->past_session, fork->id);
	assert_int_equal(session->past_session, session->id);
	assert_int_equal(fork->tokens, 26 + 17 + 5);
	assert_int_equal(session->tokens, 26 + 13 + 5);
	/* each goes on with its own */
	assert_int_equal(run(ask(fork, SECOND), 0), (26 + 17 + 4) / PAGE * PAGE);
	assert_int_equal(run(ask(session, SECOND), 0), (26 + 13 + 4) / PAGE * PAGE);
	/* who asks what another fork has asked does not learn that it was asked */
	other = test_session(&broker, session);
	run(ask(session, "the same question"), 0);
	request = ask(other, "the same question");
	assert_int_equal(run(request, 0), (int)(26 + 13 + 5 + 10 + 4) / PAGE * PAGE);
	assert_same_past(other, session);
}

/* a fork of a fork, of which the server has not heard before */
static void test_fork_unheard(void **state)
{
	struct test_session *session, *fork;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	test_broker_kill(&broker);
	test_broker_serve(&broker, &config);
	fork = test_session(&broker, session);
	fork = test_session(&broker, fork);
	assert_int_equal(run(ask(fork, SECOND), 0), 0);
	/* what the fork computed of the common past serves the other, too */
	assert_int_equal(run(ask(session, SECOND), 0), 24);
	assert_same_past(fork, session);
}

/* ---- who else ---- */

static void test_nobody_else(void **state)
{
	struct test_session *session, *stranger;
	struct test_request *request;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	/* of the same user and cgroup, with the same text */
	request = ask(session, FIRST);
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	request->session = NULL;
	assert_int_equal(run(request, 0), 0);
	stranger = test_session(&broker, NULL);
	assert_int_equal(run(ask(stranger, FIRST), 0), 0);
	/* nor does a session find what was computed elsewhere */
	stranger = test_session(&broker, NULL);
	assert_int_equal(run(ask(stranger, FIRST), 0), 0);
}

/* what is kept for a line goes with the last that has a part of it */
static void test_end(void **state)
{
	struct test_session *session, *fork;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	fork = test_session(&broker, session);
	run(ask(fork, SECOND), 0);
	assert_true(test_kept(&broker) > 6 * FAKE_PAGE_BYTES);
	test_session_end(&broker, session);
	assert_true(test_kept(&broker) > 6 * FAKE_PAGE_BYTES);
	test_session_end(&broker, fork);
	assert_int_equal(test_kept(&broker), 0);
	/* it was told already, and never heard of */
	test_session_end(&broker, fork);
	fork->id = 12345;
	test_session_end(&broker, fork);
}

/* ---- a system prompt ---- */

#define SYSTEM		"one of 15 bytes"	/* and the beginning of a turn: four pages */
#define SYSTEM_TOKENS	16U

/* a conversation, or the next turn of one where @system is NULL */
static struct test_request *ask_chat(struct test_session *session, uint32_t user,
				     const char *system, const char *question)
{
	const char *const texts[] = { system, question };
	uint8_t payload[256];
	size_t len = 0;
	struct test_request *request;

	for (unsigned int i = system ? 0 : 1; i < 2; i++) {
		const struct llm_message head = { i ? LLM_ROLE_USER : LLM_ROLE_SYSTEM,
						  (uint32_t)strlen(texts[i]) };

		assert_true(len + sizeof(head) + head.len <= sizeof(payload));
		memcpy(payload + len, &head, sizeof(head));
		memcpy(payload + len + sizeof(head), texts[i], head.len);
		len += sizeof(head) + head.len;
	}
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_CHAT, payload, len);
	if (session)
		test_in(session, request);
	request->event.cgroup_id = 1;
	request->event.domain_cgroup = 1;
	request->event.domain_uid = user;
	request->event.max_tokens = 5;
	request->event.flags |= LLM_SUBMIT_IGNORE_EOS;
	return request;
}

static unsigned int run_chat(struct test_session *session, uint32_t user, const char *system,
			     const char *question)
{
	return run(ask_chat(session, user, system, question), 0);
}

/* a turn finds all of the past, but for its last page, and the last token that was not fed */
static void assert_goes_on(struct test_session *session, uint32_t user)
{
	const unsigned int found = (session->tokens - 1) / PAGE * PAGE;

	assert_int_equal(run_chat(session, user, NULL, "more"), found);
}

static void serve_chats(void)
{
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=90 chat=chatml");
	test_broker_serve(&broker, &config);
}

/* sessions of one user share it, with what is no session, too; those of two users share nothing */
static void test_system_prompt(void **state)
{
	struct test_session *first, *other;

	(void)state;
	serve_chats();
	first = test_session(&broker, NULL);
	assert_int_equal(run_chat(first, 1000, SYSTEM, "a question"), 0);
	assert_int_equal(run_chat(test_session(&broker, NULL), 1000, SYSTEM, "another one"),
			 SYSTEM_TOKENS);
	assert_int_equal(run_chat(NULL, 1000, SYSTEM, "no session"), SYSTEM_TOKENS);
	/* what was asked behind it stays with the session that was asked */
	assert_int_equal(run_chat(test_session(&broker, NULL), 1000, SYSTEM, "a question"),
			 SYSTEM_TOKENS);
	assert_int_equal(run_chat(NULL, 1000, SYSTEM, "a question"), SYSTEM_TOKENS);
	/* another user has to compute it himself, once */
	other = test_session(&broker, NULL);
	assert_int_equal(run_chat(other, 1001, SYSTEM, "a question"), 0);
	assert_int_equal(run_chat(test_session(&broker, NULL), 1001, SYSTEM, "a question"),
			 SYSTEM_TOKENS);
	assert_int_equal(run_chat(NULL, 1002, SYSTEM, "a question"), 0);
	assert_int_equal(run_chat(test_session(&broker, NULL), 1002, SYSTEM, "a question"),
			 SYSTEM_TOKENS);
	/* both go on with all of their past, but for its last page */
	assert_goes_on(first, 1000);
	assert_goes_on(other, 1001);
}

/* two at once: the second one waits for what the first one computes */
static void test_system_prompt_at_once(void **state)
{
	struct test_session *a, *b;
	unsigned int reused = fake_counts.reused;

	(void)state;
	serve_chats();
	a = test_session(&broker, NULL);
	b = test_session(&broker, NULL);
	ask_chat(a, 1000, SYSTEM, "one");
	ask_chat(b, 1000, SYSTEM, "two");
	ask_chat(NULL, 1000, SYSTEM, "six");
	ask_chat(test_session(&broker, NULL), 1001, SYSTEM, "one");
	test_run(&broker);
	assert_int_equal(fake_counts.reused - reused, 2 * SYSTEM_TOKENS);
}

/* who goes on with somebody else's session finds its past, and not whether he has such others */
static void test_guest(void **state)
{
	struct test_session *session;

	(void)state;
	serve_chats();
	session = test_session(&broker, NULL);
	run_chat(session, 1000, SYSTEM, "a question");
	assert_goes_on(session, 1001);
	/* all of it goes, and the system prompt is computed again for another session */
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, 100 * FAKE_PAGE_BYTES);
	assert_int_equal(test_kept(&broker), 0);
	assert_int_equal(run_chat(test_session(&broker, NULL), 1000, SYSTEM, "another one"), 0);
	assert_int_equal(run_chat(session, 1001, NULL, "again"), 0);
	/* from now on it is kept where the guest is at home, also for his own */
	assert_int_equal(run_chat(test_session(&broker, NULL), 1001, SYSTEM, "mine"),
			 SYSTEM_TOKENS);
	assert_goes_on(session, 1001);
	/* the host is the guest now */
	assert_goes_on(session, 1000);
	test_session_end(&broker, session);
}

/* ---- memory is short ---- */

static void test_reclaimed(void **state)
{
	struct test_session *session;
	struct test_request *second, *whole;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	whole = ask_at_once(session, SECOND);
	run(whole, 0);
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, 100 * FAKE_PAGE_BYTES);
	assert_int_equal(test_kept(&broker), 0);
	second = ask(session, SECOND);
	assert_int_equal(run(second, 0), 0);
	assert_same_output(second, whole);
}

/* ---- what goes wrong ---- */

static void test_all_or_nothing(void **state)
{
	struct test_session *session, *twin;
	struct test_request *request;
	size_t len;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	twin = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	run(ask(twin, FIRST), 0);
	len = session->past.len;
	/* cancelled in the middle */
	request = ask(session, SECOND);
	request->event.max_tokens = 60;
	while (request->output.len < 3)
		test_turn(&broker);
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 0);
	run(request, -ECANCELED);
	assert_int_equal(session->past.len, len);
	/* longer than the context */
	request = ask(session, FIRST FIRST FIRST FIRST FIRST FIRST);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, -E2BIG);
	assert_int_equal(session->past.len, len);
	/* not text */
	run(ask(session, "\xff"), -EILSEQ);
	/* another model */
	fake_model(folder, "b.gguf", "FAKE context=120 page=4 pages=60");
	request = ask(session, SECOND);
	memcpy(request->event.model, "b", 2);
	run(request, -EINVAL);
	request = ask(session, SECOND);
	memcpy(request->event.model, "zzz", 4);
	run(request, -ENOENT);
	assert_int_equal(session->past.len, len);
	/* and it goes on as if nothing had been */
	request = ask(session, SECOND);
	memcpy(request->event.model, "a", 2);
	run(request, 0);
	run(ask(twin, SECOND), 0);
	assert_same_past(session, twin);
}

/* the broker takes no more: the answer is there, but as one that failed */
static void test_too_long(void **state)
{
	struct test_session *session;
	struct test_request *request;
	size_t len;

	(void)state;
	broker.ipc.max_session_bytes = PAST_HEADER_BYTES + 4 * 40;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	len = session->past.len;
	request = ask(session, SECOND);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	broker.retried = true;
	/* it is told a moment later */
	while (!request->ended)
		test_turn(&broker);
	assert_int_equal(request->status, -E2BIG);
	assert_int_equal(session->past.len, len);
	assert_non_null(memmem(bytes_data(&request->output), request->output.len,
			       "the session would be longer", 27));
	run(ask(session, "!"), 0);
	assert_int_equal(session->turns, 2);
}

/* no memory for it in the name of who made the session: as above, after a while */
static void test_no_memory(void **state)
{
	struct test_session *session;
	struct test_request *request;
	unsigned int turns;
	size_t len;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	run(ask(session, FIRST), 0);
	len = session->past.len;
	request = ask(session, SECOND);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	broker.full_past = true;
	for (turns = 0; !request->ended; turns++) {
		assert_true(turns < 1000);
		test_turn(&broker);
		test_hurry(&broker);
	}
	assert_int_equal(broker.starved, SCHED_TURN_TRIES);
	assert_int_equal(request->status, -ENOMEM);
	assert_int_equal(session->past.len, len);
	assert_non_null(memmem(bytes_data(&request->output), request->output.len,
			       "no memory for what the session", 30));
	broker.full_past = false;
	run(ask(session, "!"), 0);
	assert_int_equal(session->turns, 2);
}

static void set_past(struct test_session *session, const char *model, uint64_t model_bytes,
		     uint32_t id)
{
	bytes_free(&session->past);
	session->past = (struct bytes){ 0 };
	assert_int_equal(past_begin(&session->past, model, model_bytes), 0);
	assert_int_equal(past_add(&session->past, &id, 1), 0);
	session->past_session = session->id;
}

/* a past comes from the broker, but who knows what it has been given */
static void test_hostile_past(void **state)
{
	struct test_session *session, *good;
	struct test_request *request;
	struct past past;
	size_t len;

	(void)state;
	test_broker_serve(&broker, &config);
	good = test_session(&broker, NULL);
	run(ask(good, FIRST), 0);
	assert_int_equal(past_read(&past, bytes_data(&good->past), good->past.len), 0);
	session = test_session(&broker, NULL);
	for (len = 1; len < PAST_HEADER_BYTES + 4; len++) {
		if (len == PAST_HEADER_BYTES)
			continue;
		assert_int_equal(past_read(&past, bytes_data(&good->past), len), -EBADMSG);
	}
	assert_int_equal(past_read(&past, bytes_data(&good->past), 0), -ENOENT);
	assert_int_equal(bytes_append(&session->past, "?", 1), 0);
	run(ask(session, SECOND), -EBADMSG);
	assert_int_equal(past_read(&past, bytes_data(&good->past), good->past.len), 0);
	set_past(session, "a", past.model_bytes, FAKE_VOCAB);
	run(ask(session, SECOND), -ESTALE);
	set_past(session, "a", past.model_bytes + 1, 'x');
	run(ask(session, SECOND), -ESTALE);
	set_past(session, "", past.model_bytes, 'x');
	run(ask(session, SECOND), -EBADMSG);
	set_past(session, "../a", past.model_bytes, 'x');
	run(ask(session, SECOND), -EINVAL);
	set_past(session, "gone", past.model_bytes, 'x');
	run(ask(session, SECOND), -ENOENT);
	request = ask(session, "");
	request->event.op = LLM_OP_SESSION_TOKENS;
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, -ENOENT);
	set_past(session, "a", past.model_bytes, 'x');
	run(ask(session, SECOND), 0);
}

/* ---- what there is ---- */

static unsigned int count_records(const struct test_request *request, unsigned int type,
				  uint32_t *ids)
{
	const uint8_t *at = bytes_data(&request->output);
	const uint8_t *end = at + request->output.len;
	unsigned int count = 0;
	struct llm_record head;
	struct llm_token token;

	for (; at < end; at += head.len) {
		memcpy(&head, at, sizeof(head));
		at += sizeof(head);
		if (head.type != type)
			continue;
		if (type == LLM_RECORD_TOKEN) {
			memcpy(&token, at, sizeof(token));
			ids[count] = token.id;
		}
		count++;
	}
	return count;
}

static void test_tokens(void **state)
{
	struct test_session *session;
	struct test_request *request;
	struct past past;
	uint32_t ids[256];
	unsigned int i;

	(void)state;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	request = test_in(session, test_submit(&broker, LLM_OP_SESSION_TOKENS, 0, NULL, 0));
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, 0);
	assert_int_equal(request->output.len, 0);
	run(ask(session, FIRST), 0);
	request = test_in(session, test_submit(&broker, LLM_OP_SESSION_TOKENS, 0, NULL, 0));
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, 0);
	assert_int_equal(count_records(request, LLM_RECORD_MODEL, NULL), 1);
	assert_int_equal(count_records(request, LLM_RECORD_TOKEN, ids), session->tokens);
	assert_int_equal(past_read(&past, bytes_data(&session->past), session->past.len), 0);
	for (i = 0; i < past.count; i++)
		assert_int_equal(ids[i], past_id(&past, i));
	assert_int_equal(session->turns, 1);
	request = test_submit(&broker, LLM_OP_SESSION_TOKENS, 0, NULL, 0);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	run(request, -EINVAL);
	/* it says what it tells about by more than bytes */
	run(test_in(session, test_submit(&broker, LLM_OP_SESSION_TOKENS, 0, NULL, 0)), -EINVAL);
	/* operations that have nothing to do with one say so */
	request = test_in(session, test_submit(&broker, LLM_OP_NOP, 0, NULL, 0));
	run(request, -EOPNOTSUPP);
}

/* ---- the server dies ---- */

struct outcome {
	struct bytes outputs[3];
	struct bytes past;
};

static void conversation(void)
{
	struct test_session *session = test_session(&broker, NULL);
	static const char *const texts[] = { FIRST, SECOND, "?" };
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(texts); i++) {
		struct test_request *request = ask(session, texts[i]);

		test_run_all(&broker, &config);
		assert_true(request->ended);
		assert_int_equal(request->status, 0);
	}
	assert_int_equal(session->turns, ARRAY_SIZE(texts));
}

static void conversation_again(struct outcome *outcome, bool compare)
{
	unsigned int i;

	conversation();
	for (i = 0; i < ARRAY_SIZE(outcome->outputs); i++) {
		struct bytes *have = &broker.requests[i].output, *want = &outcome->outputs[i];

		if (!compare) {
			bytes_swap(have, want);
			continue;
		}
		assert_int_equal(have->len, want->len);
		assert_memory_equal(bytes_data(have), bytes_data(want), want->len);
	}
	if (!compare) {
		bytes_swap(&broker.sessions[0].past, &outcome->past);
		return;
	}
	assert_int_equal(broker.sessions[0].past.len, outcome->past.len);
	assert_memory_equal(bytes_data(&broker.sessions[0].past), bytes_data(&outcome->past),
			    outcome->past.len);
}

/* at each commit there is, just before it takes effect and just after */
static void test_dies(void **state)
{
	struct outcome outcome = { 0 };
	unsigned int commits, at, i;

	(void)state;
	conversation_again(&outcome, false);
	commits = broker.commits;
	assert_true(commits > 6);
	for (at = 0; at < 4 * commits; at++) {
		test_broker_free(&broker);
		test_broker_init(&broker);
		broker.is_async = at >= 2 * commits;
		broker.die_at = at / 2 % commits + 1;
		broker.die_before = at % 2;
		conversation_again(&outcome, true);
	}
	for (i = 0; i < ARRAY_SIZE(outcome.outputs); i++)
		bytes_free(&outcome.outputs[i]);
	bytes_free(&outcome.past);
}

int main(void)
{
#define TEST(f)		cmocka_unit_test_setup_teardown(f, setup, fixture_end)
#define GUESSED(f)	{ #f "_guessed", f, setup_guessed, fixture_end, NULL }
	const struct CMUnitTest tests[] = {
		TEST(test_goes_on),
		GUESSED(test_goes_on),
		TEST(test_goes_on_with_nothing),
		TEST(test_chat),
		TEST(test_append),
		TEST(test_forks),
		TEST(test_fork_unheard),
		TEST(test_nobody_else),
		TEST(test_system_prompt),
		TEST(test_system_prompt_at_once),
		TEST(test_guest),
		TEST(test_end),
		TEST(test_reclaimed),
		TEST(test_all_or_nothing),
		TEST(test_too_long),
		TEST(test_no_memory),
		TEST(test_hostile_past),
		TEST(test_tokens),
		TEST(test_dies),
		GUESSED(test_dies),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
