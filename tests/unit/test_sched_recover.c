/* SPDX-License-Identifier: MIT */
/*
 * A server dies at every commit there is, just before it takes effect and just after, and again
 * and again; the next one goes on. Whatever was asked for, the answer is the bytes of an undisturbed
 * one, ended once.
 */
#include <stdatomic.h>

#include "base/clock.h"
#include "sched/journal.h"
#include "sched_fixture.h"

#define CASES_MAX	16

/* how often undisturbed answers ended which way */
static unsigned int finishes[LLM_FINISH_CONTEXT + 1];

static int setup(void **state)
{
	(void)state;
	fixture_small("");
	memset(finishes, 0, sizeof(finishes));
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=60");
	return 0;
}

/* texts that repeat themselves, and are guessed ahead */
static int setup_guessed(void **state)
{
	const int r = setup(state);

	fixture_guess();
	return r;
}

/** struct outcome - what an undisturbed server answers */
struct outcome {
	struct bytes output;
	int status;
	enum llm_finish finish;
	uint32_t prompt_tokens;
	uint32_t output_tokens;
};

typedef void (*submit_fn)(void);

static void keep(struct outcome *outcome, struct test_request *request)
{
	assert_true(request->ended);
	outcome->output = request->output;
	request->output = (struct bytes){ 0 };
	outcome->status = request->status;
	outcome->finish = request->finish;
	outcome->prompt_tokens = request->event.prompt_tokens;
	outcome->output_tokens = request->event.output_tokens;
}

static void compare(const struct outcome *want, const struct test_request *got, unsigned int at)
{
	if (!got->ended || got->output.len != want->output.len ||
	    (want->output.len &&
	     memcmp(bytes_data(&got->output), bytes_data(&want->output), want->output.len)))
		fail_msg("died at commit %u: %zu bytes, undisturbed %zu, ended %d", at,
			 got->output.len, want->output.len, got->ended);
	assert_int_equal(got->status, want->status);
	assert_int_equal(got->finish, want->finish);
	assert_int_equal(got->event.prompt_tokens, want->prompt_tokens);
	assert_int_equal(got->event.output_tokens, want->output_tokens);
}

/* once undisturbed; then dying at each commit, before or after it */
static void everywhere(submit_fn submit, uint32_t journal_max, bool async)
{
	struct outcome want[CASES_MAX];
	unsigned int i, count, commits, at;

	test_broker_init(&broker);
	broker.ipc.max_journal_bytes = journal_max;
	submit();
	test_run_all(&broker, &config);
	count = broker.count;
	commits = broker.commits;
	assert_in_range(count, 1, CASES_MAX);
	for (i = 0; i < count; i++) {
		keep(&want[i], &broker.requests[i]);
		finishes[want[i].finish]++;
	}
	test_broker_free(&broker);
	for (at = 0; at < 2 * commits; at++) {
		test_broker_init(&broker);
		broker.ipc.max_journal_bytes = journal_max;
		broker.is_async = async;
		submit();
		broker.die_at = at / 2 + 1;
		broker.die_before = at % 2;
		test_run_all(&broker, &config);
		for (i = 0; i < count; i++)
			compare(&want[i], &broker.requests[i], at / 2 + 1);
		test_broker_free(&broker);
	}
	for (i = 0; i < count; i++)
		bytes_free(&want[i].output);
}

static void in_all_ways(submit_fn submit)
{
	everywhere(submit, 65536, false);
	everywhere(submit, 65536, true);
	/* with room for a few tokens only, or for none at all: they are sampled again */
	everywhere(submit, JOURNAL_HEADER_BYTES + 20, false);
}

/* ---- what is asked ---- */

static struct test_request *ask(const char *text, uint32_t max_tokens)
{
	struct test_request *request = test_ask(&broker, text);

	request->event.max_tokens = max_tokens;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	return request;
}

static void submit_greedy(void)
{
	ask("a prompt of more than twenty tokens, so that it takes two steps", 25);
}

static void submit_sampled(void)
{
	struct test_request *request = ask("sampled", 25);

	request->event.sampling = (struct llm_sampling){
		.seed = 99,
		.temperature = 1200000,
		.top_k = 50,
		.top_p = 950000,
		.repeat_penalty = 1200000,
		.repeat_last_n = 8,
	};
}

/* strings that the answers of submit_stop() contain: they begin and end inside of tokens */
static char stops[3][16];

static void submit_stop(void)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(stops); i++) {
		struct test_request *request = ask(i == 1 ? "another" : i ? "third" : "a prompt", 40);

		/* some that only begin to come */
		test_add_stop(request, "sto-");
		test_add_stop(request, "the cat sat");
		if (*stops[i])
			test_add_stop(request, stops[i]);
	}
}

static void find_stops(void)
{
	unsigned int i;

	memset(stops, 0, sizeof(stops));
	test_broker_init(&broker);
	submit_stop();
	test_run_all(&broker, &config);
	for (i = 0; i < ARRAY_SIZE(stops); i++) {
		const struct bytes *output = &broker.requests[i].output;

		assert_true(output->len > 50);
		snprintf(stops[i], sizeof(stops[i]), "%.*s", 9 + (int)i,
			 (const char *)bytes_data(output) + 20 + 7 * i);
	}
	test_broker_free(&broker);
}

static void submit_records(void)
{
	ask("records", 20)->event.flags |= LLM_SUBMIT_RECORDS;
	test_add_stop(&broker.requests[0], "ab");
}

static void submit_logprobs(void)
{
	struct test_request *request = ask("log-probabilities", 20);

	request->event.flags |= LLM_SUBMIT_RECORDS;
	request->event.sampling.top_logprobs = 4;
	test_add_stop(request, "stopx");
	test_add_stop(request, "op");
}

static void submit_to_the_end(void)
{
	unsigned int i;

	/* until the model ends it, or its context is full */
	for (i = 0; i < 3; i++)
		test_ask(&broker, i == 1 ? "to the end" : i ? "third" : "x");
}

static void submit_score(void)
{
	static const char text[] = "a text whose tokens are given log-probabilities, in several steps";
	struct test_request *request;

	request = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, text, sizeof(text) - 1);
	request->event.flags = LLM_SUBMIT_RECORDS;
	request->event.sampling.top_logprobs = 2;
}

static void submit_control(void)
{
	static uint8_t text[6000];
	struct test_request *request;

	memset(text, 'x', sizeof(text));
	request = test_submit(&broker, LLM_OP_TOKENIZE, LLM_PAYLOAD_TEXT, text, sizeof(text));
	request->event.flags = LLM_SUBMIT_RECORDS;
	request = test_submit(&broker, LLM_OP_SHOW, LLM_PAYLOAD_TEXT, NULL, 0);
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_submit(&broker, LLM_OP_NOP, LLM_PAYLOAD_TEXT, NULL, 0);
}

/* more than there are slots and pages for */
static void submit_crowd(void)
{
	char text[64];
	unsigned int i;

	for (i = 0; i < 7; i++) {
		snprintf(text, sizeof(text), "number %u of a crowd with a prompt each", i);
		ask(text, 12 + i)->event.sampling = (struct llm_sampling){
			.seed = i + 1,
			.temperature = i % 2 ? 800000 : 0,
		};
	}
}

/* answers that are held to a grammar, one with its log-probabilities, and one that is cut off */
static void hold(enum llm_option_type type, const char *grammar, uint32_t max_tokens,
		 unsigned int seed)
{
	const struct llm_option head = { .type = type, .len = (uint32_t)strlen(grammar) };
	const struct llm_option end = { .type = LLM_OPTION_END };
	struct test_request *request;
	uint8_t payload[256];
	size_t len = sizeof(head);

	memcpy(payload, &head, sizeof(head));
	memcpy(payload + len, grammar, head.len);
	len += head.len;
	memcpy(payload + len, &end, sizeof(end));
	len += sizeof(end);
	memcpy(payload + len, "a prompt", 8);
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, payload, len + 8);
	request->event.flags = LLM_SUBMIT_OPTIONS;
	request->event.max_tokens = max_tokens;
	request->event.sampling = (struct llm_sampling){
		.seed = seed,
		.temperature = seed ? 1500000 : 0,
		.top_k = seed % 2 ? 30 : 0,
	};
}

#define HELD_GRAMMAR	"root ::= [ab]{3} \"-\" ([0-9]{4} | \"the end\")"
#define HELD_SCHEMA	"{\"type\":\"array\",\"items\":{\"type\":\"integer\",\"maximum\":99," \
			"\"minimum\":10},\"minItems\":2,\"maxItems\":4}"

static void submit_held(void)
{
	unsigned int i;

	for (i = 0; i < 3; i++)
		hold(LLM_OPTION_GRAMMAR, HELD_GRAMMAR, 0, i);
	hold(LLM_OPTION_SCHEMA, HELD_SCHEMA, 0, 7);
	hold(LLM_OPTION_SCHEMA, "{\"type\":\"string\",\"minLength\":40}", 5, 8);
	broker.requests[2].event.flags |= LLM_SUBMIT_RECORDS;
	broker.requests[2].event.sampling.top_logprobs = 2;
	ask("among others", 12);
}

static bool is_held_to(const struct bytes *output)
{
	char text[64] = "";

	memcpy(text, bytes_data(output), MIN(output->len, sizeof(text) - 1));
	if (strspn(text, "ab") != 3 || text[3] != '-')
		return false;
	return !strcmp(text + 4, "the end") || (strspn(text + 4, "0123456789") == 4 && !text[8]);
}

static void test_held_to_grammar(void **state)
{
	unsigned int i;

	(void)state;
	test_broker_init(&broker);
	submit_held();
	test_run_all(&broker, &config);
	for (i = 0; i < 4; i++) {
		assert_int_equal(broker.requests[i].status, 0);
		assert_int_equal(broker.requests[i].finish, LLM_FINISH_STOP);
	}
	for (i = 0; i < 2; i++)
		assert_true(is_held_to(&broker.requests[i].output));
	assert_int_equal(broker.requests[4].finish, LLM_FINISH_LENGTH);
	assert_int_equal(broker.requests[4].event.output_tokens, 5);
	test_broker_free(&broker);
	in_all_ways(submit_held);
	everywhere(submit_held, 0, false);
}

/* what is no grammar, or can not be one here, is told in words */
static void test_held_to_nothing(void **state)
{
	static const struct {
		enum llm_option_type type;
		const char *grammar;
		int status;
	} cases[] = {
		{ LLM_OPTION_GRAMMAR, "root ::=  (", -EINVAL },
		{ LLM_OPTION_SCHEMA, "{\"not\":{}}", -EOPNOTSUPP },
		{ LLM_OPTION_JSON, "x", -EINVAL },
		{ LLM_OPTION_END, "x", -EINVAL },
		{ 4711, "", -EINVAL },
	};
	unsigned int i;

	(void)state;
	test_broker_init(&broker);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		hold(cases[i].type, cases[i].grammar, 4, 0);
	/* an answer without an end, another operation, twice, heads that are cut off */
	for (; i < ARRAY_SIZE(cases) + 5; i++)
		hold(LLM_OPTION_JSON, "", 4, 0);
	broker.requests[i - 5].data[sizeof(struct llm_option)] = LLM_OPTION_JSON;
	broker.requests[i - 4].event.flags |= LLM_SUBMIT_IGNORE_EOS;
	broker.requests[i - 3].event.op = LLM_OP_SCORE;
	broker.requests[i - 3].event.flags |= LLM_SUBMIT_RECORDS;
	broker.requests[i - 2].event.payload_len = 2 * sizeof(struct llm_option) - 1;
	broker.requests[i - 1].data[sizeof(uint32_t)] = 200;
	test_run_all(&broker, &config);
	for (i = 0; i < broker.count; i++) {
		assert_true(broker.requests[i].ended);
		assert_int_equal(broker.requests[i].status,
				 i < ARRAY_SIZE(cases) ? cases[i].status : -EINVAL);
	}
	test_broker_free(&broker);
}

static void test_greedy(void **state)
{
	(void)state;
	in_all_ways(submit_greedy);
	everywhere(submit_greedy, 0, false);
}

static void test_sampled(void **state)
{
	(void)state;
	in_all_ways(submit_sampled);
	everywhere(submit_sampled, 0, false);
}

static void test_stop(void **state)
{
	(void)state;
	find_stops();
	in_all_ways(submit_stop);
	assert_true(finishes[LLM_FINISH_STOP_STRING] >= 6);
}

static void test_records(void **state)
{
	(void)state;
	in_all_ways(submit_records);
}

static void test_logprobs(void **state)
{
	(void)state;
	in_all_ways(submit_logprobs);
}

static void test_to_the_end(void **state)
{
	(void)state;
	in_all_ways(submit_to_the_end);
	assert_true(finishes[LLM_FINISH_STOP] && finishes[LLM_FINISH_CONTEXT]);
}

static void test_score(void **state)
{
	(void)state;
	in_all_ways(submit_score);
}

static void test_control(void **state)
{
	(void)state;
	in_all_ways(submit_control);
}

static void test_crowd(void **state)
{
	(void)state;
	everywhere(submit_crowd, 65536, false);
}

/* ---- again and again ---- */

static void test_every_third_commit(void **state)
{
	struct outcome want;
	unsigned int deaths = 0;

	(void)state;
	test_broker_init(&broker);
	submit_sampled();
	test_run_all(&broker, &config);
	keep(&want, &broker.requests[0]);
	test_broker_free(&broker);
	test_broker_init(&broker);
	submit_sampled();
	while (!broker.requests[0].ended) {
		test_broker_serve(&broker, &config);
		broker.die_at = broker.commits + 3;
		broker.die_before = deaths % 2;
		test_run(&broker);
		test_broker_kill(&broker);
		assert_true(deaths++ < 100);
	}
	assert_true(deaths > 5);
	compare(&want, &broker.requests[0], 0);
	test_broker_free(&broker);
	bytes_free(&want.output);
}

/* a seed that the server chose is kept */
static void test_chosen_seed(void **state)
{
	struct journal journal;
	struct outcome want;
	struct test_request *request;

	(void)state;
	test_broker_init(&broker);
	submit_sampled();
	broker.requests[0].event.sampling.seed = 0;
	broker.die_at = 9;
	test_run_all(&broker, &config);
	request = &broker.requests[0];
	assert_int_equal(journal_read(&journal, bytes_data(&request->journal),
				      request->journal.len), 0);
	assert_true(journal.seed);
	assert_int_equal(journal.count, 25);
	keep(&want, request);
	request->journal.len = 0;
	request->ended = false;
	request->event.output_bytes = 0;
	request->event.prompt_tokens = 0;
	request->event.output_tokens = 0;
	request->event.sampling.seed = journal.seed;
	broker.die_at = 0;
	test_run_all(&broker, &config);
	compare(&want, request, 9);
	test_broker_free(&broker);
	bytes_free(&want.output);
}

static struct test_request *half_answered(void)
{
	struct test_request *request;

	test_broker_init(&broker);
	request = ask("x", 20);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	broker.die_at = 10;
	test_broker_serve(&broker, &config);
	test_run(&broker);
	test_broker_kill(&broker);
	assert_true(request->output.len && !request->ended);
	return request;
}

/* another file under the same name: what it would say is no continuation */
static void test_model_replaced(void **state)
{
	struct test_request *request = half_answered();
	size_t len = request->output.len;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=60 and more of it");
	test_run_all(&broker, &config);
	assert_true(request->ended);
	assert_int_equal(request->status, -ESTALE);
	assert_true(request->output.len > len);
	assert_non_null(memmem(bytes_data(&request->output) + len, request->output.len - len,
			       "replaced", 8));
	test_broker_free(&broker);
}

/* another default: the answer stays with the model that began it */
static void test_default_changed(void **state)
{
	struct test_request *request = half_answered();

	(void)state;
	fake_model(folder, "Z.gguf", "FAKE context=120 page=4 pages=60 bos=0");
	test_run_all(&broker, &config);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->event.output_tokens, 20);
	test_broker_free(&broker);
}

/* journals that no llmosd of this kind has written: from the start, leaving out what was sent */
static void test_foreign_journal(void **state)
{
	struct outcome want;
	unsigned int i;

	(void)state;
	test_broker_init(&broker);
	submit_greedy();
	test_run_all(&broker, &config);
	keep(&want, &broker.requests[0]);
	test_broker_free(&broker);
	for (i = 0; i < 4; i++) {
		struct bytes *journal = &broker.requests[0].journal;

		test_broker_init(&broker);
		submit_greedy();
		broker.die_at = 12;
		test_broker_serve(&broker, &config);
		test_run(&broker);
		test_broker_kill(&broker);
		if (i == 0)
			journal->memory[journal->start] ^= 1;	/* magic */
		else if (i == 1)
			journal->memory[journal->start + 4] ^= 2;	/* version */
		else if (i == 2)
			journal->len = JOURNAL_HEADER_BYTES - 1;
		else
			journal->len--;
		broker.ipc.max_journal_bytes += 65536;
		test_run_all(&broker, &config);
		compare(&want, &broker.requests[0], 12);
		test_broker_free(&broker);
	}
	bytes_free(&want.output);
}

static void step_slowly(void)
{
	atomic_fetch_add(&fake_clock_ns, 30 * NS_PER_MS);
}

/*
 * What is computed again brings nothing new for as long as that takes, but the broker hears of it
 * now and then: compute time counts, and others may have a better claim to the slot.
 */
static void test_recomputing_is_told(void **state)
{
	struct test_request *request;
	unsigned int commits, tokens;

	(void)state;
	config.engine.batch_tokens = 4;
	fake_clock_ns = NS_PER_S;
	test_broker_init(&broker);
	request = test_ask(&broker, "01234567890123456789012345678901234567890123456789");
	request->event.max_tokens = 12;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_broker_serve(&broker, &config);
	while (request->event.output_tokens < 4)
		assert_true(test_turn(&broker));
	test_broker_kill(&broker);
	commits = request->commits;
	tokens = request->event.output_tokens;
	test_broker_serve(&broker, &config);
	fake_on_step = step_slowly;
	/* 54 tokens by 4 a step */
	while (request->event.output_tokens == tokens)
		assert_true(test_turn(&broker));
	fake_on_step = NULL;
	assert_in_range(request->commits - commits, 3, 6);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	test_broker_free(&broker);
}

/* ids past the vocabulary are no reason to read past a table */
static void test_wild_ids(void **state)
{
	struct test_request *request = half_answered();
	uint8_t *journal = request->journal.memory + request->journal.start;

	(void)state;
	memset(journal + JOURNAL_HEADER_BYTES, 0xff, 4);
	test_run_all(&broker, &config);
	assert_true(request->ended);
	assert_int_equal(request->status, -ESTALE);
	test_broker_free(&broker);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, fixture_end)
#define GUESSED(f)	{ #f "_guessed", f, setup_guessed, fixture_end, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_greedy), TEST(test_sampled), TEST(test_stop), TEST(test_records),
		TEST(test_logprobs), TEST(test_to_the_end), TEST(test_score),
		TEST(test_control), TEST(test_crowd), TEST(test_every_third_commit),
		TEST(test_chosen_seed), TEST(test_model_replaced), TEST(test_default_changed),
		TEST(test_foreign_journal), TEST(test_recomputing_is_told), TEST(test_wild_ids),
		TEST(test_held_to_grammar), TEST(test_held_to_nothing),
		GUESSED(test_greedy), GUESSED(test_sampled), GUESSED(test_stop),
		GUESSED(test_records), GUESSED(test_logprobs),
		GUESSED(test_held_to_grammar), GUESSED(test_score), GUESSED(test_crowd), GUESSED(test_every_third_commit),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_recover", tests, NULL, NULL);
}
