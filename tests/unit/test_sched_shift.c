/* SPDX-License-Identifier: MIT */
/*
 * The scheduler over a small engine: texts that outgrow the context. What follows at each place is
 * what a fresh prompt of the tokens that are left is followed by, with the same probability; alone
 * and in company, guessed ahead or not, whenever the server dies; and what is counted, charged and
 * told to a session.
 */
#include "sched/past.h"
#include "sched_fixture.h"

#define CONTEXT		24
#define PAGE		4
#define MODEL		"FAKE context=24 page=4 pages=40"
#define TOKENS		90
#define TEXT_MAX	512

static int setup(void **state)
{
	(void)state;
	fixture_small("a");
	fake_model(folder, "a.gguf", MODEL);
	return 0;
}

/* ---- what is asked ---- */

/* @keep: SIZE_MAX: not said */
static struct test_request *submit(enum llm_op op, enum llm_payload type, const void *text,
				   size_t len, size_t keep)
{
	const uint32_t number = (uint32_t)keep;
	struct test_request *request;
	uint8_t payload[4096];
	size_t at;

	at = put_option(payload, 0, LLM_OPTION_CONTEXT_SHIFT, &number,
			keep == SIZE_MAX ? 0 : sizeof(number));
	at = put_option(payload, at, LLM_OPTION_END, NULL, 0);
	assert_true(at + len <= sizeof(payload));
	memcpy(payload + at, text, len);
	request = test_submit(&broker, op, type, payload, at + len);
	request->event.flags = LLM_SUBMIT_OPTIONS | LLM_SUBMIT_IGNORE_EOS | LLM_SUBMIT_RECORDS;
	request->event.max_tokens = TOKENS;
	request->event.sampling.top_logprobs = 1;
	request->event.cgroup_id = request->event.domain_cgroup = 1;
	request->event.uid = request->event.domain_uid = 1000;
	return request;
}

static struct test_request *ask(const char *text, size_t keep)
{
	return submit(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, strlen(text), keep);
}

/* ---- what should be answered ---- */

/** struct told - an answer's tokens, as its records tell them */
struct told {
	uint32_t ids[TEXT_MAX];
	int32_t logprobs[TEXT_MAX];
	size_t count;
};

static struct told told_of(const struct test_request *request)
{
	const uint8_t *data = bytes_data(&request->output);
	struct told told = { 0 };
	struct llm_record head;
	struct llm_token token;
	size_t at;

	for (at = 0; at < request->output.len; at += sizeof(head) + head.len) {
		memcpy(&head, data + at, sizeof(head));
		if (head.type != LLM_RECORD_TOKEN)
			continue;
		assert_true(told.count < TEXT_MAX && head.len >= sizeof(token));
		memcpy(&token, data + at + sizeof(head), sizeof(token));
		told.ids[told.count] = token.id;
		told.logprobs[told.count++] = token.logprob;
	}
	return told;
}

/* of a text of that many tokens, those behind the head that are gone */
static size_t gone(size_t count, size_t head)
{
	const size_t step = (CONTEXT - head) / 2;
	size_t dropped = 0;

	while (count - dropped > CONTEXT)
		dropped += step;
	return dropped;
}

/* the same by fresh prompts of what is left, one for each token */
static void assert_as_fresh(const struct test_request *request, const uint32_t *prompt,
			    size_t count, size_t head)
{
	const struct told told = told_of(request);
	const unsigned int place = broker.count;
	uint32_t text[TEXT_MAX], left[CONTEXT];
	size_t i;

	assert_int_equal(told.count, TOKENS);
	memcpy(text, prompt, count * sizeof(*text));
	for (i = 0; i < told.count; i++, count++) {
		const size_t dropped = gone(count, head);
		struct test_request *fresh;
		struct told next;

		memcpy(left, text, MIN(head, count) * sizeof(*left));
		if (count > head)
			memcpy(left + head, text + head + dropped,
			       (count - head - dropped) * sizeof(*left));
		broker.count = place;
		fresh = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_TOKENS, left,
				    (count - dropped) * sizeof(*left));
		fresh->event.flags = LLM_SUBMIT_IGNORE_EOS | LLM_SUBMIT_RECORDS;
		fresh->event.max_tokens = 1;
		fresh->event.sampling.top_logprobs = 1;
		test_run(&broker);
		assert_int_equal(fresh->status, 0);
		next = told_of(fresh);
		assert_int_equal(next.count, 1);
		assert_int_equal(next.ids[0], told.ids[i]);
		assert_int_equal(next.logprobs[0], told.logprobs[i]);
		text[count] = told.ids[i];
		bytes_free(&fresh->output);
		bytes_free(&fresh->journal);
		memset(fresh, 0, sizeof(*fresh));
	}
}

static size_t spell(uint32_t *ids, const char *text)
{
	size_t i;

	ids[0] = FAKE_BOS;
	for (i = 0; text[i]; i++)
		ids[i + 1] = (uint8_t)text[i];
	return i + 1;
}

static void answered_long(const struct test_request *request)
{
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->finish, LLM_FINISH_LENGTH);
	assert_int_equal(request->event.output_tokens, TOKENS);
}

/* those read for the prompt, and again after each shift: all but the whole pages of the head */
static size_t read_tokens(size_t count, size_t head)
{
	const size_t step = (CONTEXT - head) / 2, unread = gone(count, head);
	const size_t shifts = (gone(count + TOKENS - 1, head) - unread) / step;

	return count - unread + shifts * (CONTEXT + 1 - step - head / PAGE * PAGE);
}

/* ---- tests ---- */

static void as_fresh(const char *text, size_t keep, size_t head)
{
	struct test_request *request;
	uint32_t prompt[TEXT_MAX];
	size_t count = spell(prompt, text);
	struct llm_status status;

	test_broker_serve(&broker, &config);
	request = ask(text, keep);
	test_run(&broker);
	answered_long(request);
	assert_int_equal(request->event.prompt_tokens, read_tokens(count, head));
	sched_fill_status(broker.sched, &status);
	assert_int_equal(status.prompt_tokens, read_tokens(count, head));
	assert_int_equal(status.output_tokens, TOKENS);
	assert_as_fresh(request, prompt, count, head);
}

static void test_goes_on(void **state)
{
	(void)state;
	as_fresh("Once upon", SIZE_MAX, 1);
}

static void test_keeps(void **state)
{
	(void)state;
	as_fresh("Once upon", 5, 5);
}

/* half of the context, the most that can stay; some of it is of the answer */
static void test_keeps_most(void **state)
{
	(void)state;
	as_fresh("Once", CONTEXT / 2, CONTEXT / 2);
}

static void test_long_prompt(void **state)
{
	(void)state;
	as_fresh("Once upon a time there was a prompt that has more than the context", 3, 3);
}

/* the context is full, and the first token of the answer is too much */
static void test_full_prompt(void **state)
{
	(void)state;
	as_fresh("Once upon a time there ", 3, 3);
}

static void test_guessed(void **state)
{
	(void)state;
	fake_forgets = true;
	config.draft_tokens = 8;
	as_fresh("Once upon", 5, 5);
	assert_true(fake_counts.accepted > 0);
}

/* what stands before the first question stays if nothing is said */
static void test_keeps_system(void **state)
{
	static const struct { struct llm_message head; char text[6]; } chat[] = {
		{ { .role = LLM_ROLE_SYSTEM, .len = 6 }, "system" },
		{ { .role = LLM_ROLE_USER, .len = 6 }, "a user" },
	};
	uint32_t prompt[TEXT_MAX];
	struct test_request *request;
	uint8_t payload[64];
	size_t len = 0, count = 0, i, at;

	(void)state;
	fake_model(folder, "a.gguf", MODEL " chat=chatml");
	for (i = 0; i < 2; i++) {
		memcpy(payload + len, &chat[i].head, sizeof(chat[i].head));
		len += sizeof(chat[i].head);
		memcpy(payload + len, chat[i].text, 6);
		len += 6;
		prompt[count++] = FAKE_BOS;
		for (at = 0; at < 6; at++)
			prompt[count++] = (uint8_t)chat[i].text[at];
	}
	test_broker_serve(&broker, &config);
	request = submit(LLM_OP_GENERATE, LLM_PAYLOAD_CHAT, payload, len, SIZE_MAX);
	test_run(&broker);
	answered_long(request);
	assert_as_fresh(request, prompt, count, 7);
}

static void refused(struct test_request *request, int status)
{
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, status);
}

static void test_refused(void **state)
{
	struct test_request *request;

	(void)state;
	fake_model(folder, "small.gguf", "FAKE context=2 page=4 pages=40");
	test_broker_serve(&broker, &config);
	refused(ask("keeps too much", CONTEXT / 2 + 1), -E2BIG);
	refused(ask("keeps nothing", 0), -EINVAL);
	request = ask("a", SIZE_MAX);
	strcpy(request->event.model, "small");
	refused(request, -E2BIG);
	request = submit(LLM_OP_SCORE, LLM_PAYLOAD_RAW, "text", 4, SIZE_MAX);
	refused(request, -EINVAL);
	/* who does not ask for it ends as before */
	request = test_ask(&broker, "ends");
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	refused(request, 0);
	assert_int_equal(request->finish, LLM_FINISH_CONTEXT);
}

/* ---- in company ---- */

#define CROWD	6

static void submit_crowd(void)
{
	static const size_t keeps[CROWD] = { SIZE_MAX, 3, 12, 5, SIZE_MAX, 7 };
	struct test_request *request;
	char text[64];
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		snprintf(text, sizeof(text), "%u asks%s", i, i % 2 ? " for something longer" : "");
		request = ask(text, keeps[i]);
		request->event.sampling = (struct llm_sampling){
			.seed = i + 1,
			.temperature = i % 3 ? 900000 : 0,
			.repeat_penalty = i == 4 ? 1300000 : 0,
			.top_logprobs = i == 2 ? 3 : 0,
		};
	}
}

static void crowd_alone(struct bytes *alone)
{
	unsigned int i;

	submit_crowd();
	test_run_all(&broker, &config);
	for (i = 0; i < CROWD; i++) {
		answered_long(&broker.requests[i]);
		alone[i] = broker.requests[i].output;
		broker.requests[i].output = (struct bytes){ 0 };
	}
	test_broker_free(&broker);
	test_broker_init(&broker);
}

static void crowd_same(const struct bytes *alone, unsigned int at)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		const struct test_request *request = &broker.requests[i];

		answered_long(request);
		if (request->output.len != alone[i].len ||
		    memcmp(bytes_data(&request->output), bytes_data(&alone[i]), alone[i].len))
			fail_msg("request %u, case %u: another answer", i, at);
	}
}

static void crowd_free(struct bytes *alone)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++)
		bytes_free(&alone[i]);
}

/* too few pages for all, pauses, a quota, prefixes that are kept */
static void test_crowd(void **state)
{
	struct bytes alone[CROWD];
	unsigned int at;

	(void)state;
	crowd_alone(alone);
	for (at = 0; at < 24; at++) {
		fake_model(folder, "a.gguf", at % 2 ? "FAKE context=24 page=4 pages=13" : MODEL);
		config.engine.prefix_percent = at % 4 < 2 ? 50 : 0;
		config.draft_tokens = at % 3 ? 8 : 0;
		broker.is_async = at & 4;
		broker.pause_in = at & 8 ? 5 : 0;
		broker.memory_max = at & 16 ? (uint64_t)14 * FAKE_PAGE_BYTES : 0;
		broker.dice = at + 1;
		submit_crowd();
		test_run_all(&broker, &config);
		crowd_same(alone, at);
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
	crowd_free(alone);
}

/* killed at each commit, before or after it takes effect; with a journal of all or of a few tokens */
static void test_recovery(void **state)
{
	unsigned int die_at, deaths = 0;
	struct bytes alone[CROWD];

	(void)state;
	crowd_alone(alone);
	for (die_at = 1; die_at < 600; die_at += 3) {
		broker.die_at = die_at;
		broker.die_before = die_at % 2;
		broker.ipc.max_journal_bytes = die_at % 5 ? 65536 : 88 + 4 * 40;
		submit_crowd();
		test_run_all(&broker, &config);
		crowd_same(alone, die_at);
		deaths += broker.requests[0].event.attempts > 1;
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
	assert_true(deaths > 50);
	crowd_free(alone);
}

/* ---- sessions ---- */

static size_t past_of(const struct test_session *session, uint32_t *ids)
{
	struct past past;
	size_t i;

	assert_int_equal(past_read(&past, bytes_data(&session->past), session->past.len), 0);
	assert_true(past.count <= TEXT_MAX);
	for (i = 0; i < past.count; i++)
		ids[i] = past_id(&past, i);
	return past.count;
}

/* its past has all that was said, and a turn begins with what is left of it */
static void test_session_past(void **state)
{
	uint32_t text[TEXT_MAX], ids[TEXT_MAX];
	struct test_request *request;
	struct test_session *session;
	struct told told;
	size_t count, i, turn;

	(void)state;
	config.engine.prefix_percent = 50;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	count = 0;
	for (turn = 0; turn < 3; turn++) {
		request = test_in(session, ask(turn ? "more" : "Once upon", 4));
		test_run(&broker);
		answered_long(request);
		/* a question is a text of its own, as the past has no end of a turn here */
		i = spell(ids, turn ? "more" : "Once upon");
		memcpy(text + count, turn ? ids + 1 : ids, (i - !!turn) * sizeof(*ids));
		count += i - !!turn;
		told = told_of(request);
		memcpy(text + count, told.ids, told.count * sizeof(*ids));
		count += told.count;
		assert_int_equal(session->tokens, count);
		assert_int_equal(past_of(session, ids), count);
		assert_memory_equal(ids, text, count * sizeof(*ids));
	}
	/* who does not go on so is told that it is too long */
	request = test_in(session, test_ask(&broker, "more"));
	refused(request, -E2BIG);
	test_session_end(&broker, session);
	/* the last turn is what a fresh text of all before it is followed by */
	assert_as_fresh(&broker.requests[2], text, count - TOKENS, 4);
}

/* a text that is too long is appended as one that grew so would be, and read as much of as is left */
static void test_append(void **state)
{
	uint32_t text[TEXT_MAX], ids[TEXT_MAX];
	struct test_request *request;
	struct test_session *session;
	size_t count = spell(text, "a text that has many more tokens than the context of the model takes");
	size_t more = spell(ids, "more");

	(void)state;
	config.engine.prefix_percent = 50;
	test_broker_serve(&broker, &config);
	session = test_session(&broker, NULL);
	request = test_in(session, test_submit(&broker, LLM_OP_APPEND, LLM_PAYLOAD_TOKENS, text,
					       count * sizeof(*text)));
	refused(request, -E2BIG);
	assert_int_equal(session->tokens, 0);
	request = test_in(session, submit(LLM_OP_APPEND, LLM_PAYLOAD_TOKENS, text,
					  count * sizeof(*text), 4));
	request->event.max_tokens = 0;
	request->event.sampling.top_logprobs = 0;
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->event.prompt_tokens, count - gone(count, 4));
	assert_int_equal(session->tokens, count);
	assert_int_equal(past_of(session, ids), count);
	assert_memory_equal(ids, text, count * sizeof(*ids));
	request = test_in(session, ask("more", 4));
	test_run(&broker);
	answered_long(request);
	spell(ids, "more");
	memcpy(text + count, ids + 1, (more - 1) * sizeof(*ids));
	assert_as_fresh(request, text, count + more - 1, 4);
	/* an answer's options are none for it */
	request = test_submit(&broker, LLM_OP_APPEND, LLM_PAYLOAD_RAW, ids,
			      put_option((uint8_t *)ids, 0, LLM_OPTION_JSON, NULL, 0));
	request->event.flags = LLM_SUBMIT_OPTIONS;
	refused(test_in(session, request), -EINVAL);
	test_session_end(&broker, session);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_goes_on), TEST(test_keeps), TEST(test_keeps_most),
		TEST(test_long_prompt), TEST(test_full_prompt), TEST(test_guessed),
		TEST(test_keeps_system), TEST(test_refused), TEST(test_crowd),
		TEST(test_recovery), TEST(test_session_past), TEST(test_append),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
