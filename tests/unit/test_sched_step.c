// SPDX-License-Identifier: MIT
/*
 * What a step takes: how many tokens of prompts beside those who are in the middle of an answer, and
 * how many that are guessed.
 */
#include "base/clock.h"
#include "sched/job.h"
#include "sched/pace.h"
#include "sched_fixture.h"

static int setup(void **state)
{
	(void)state;
	fixture_begin("");
	return 0;
}

static struct test_request *ask(const char *text, unsigned int tokens)
{
	struct test_request *request = test_ask(&broker, text);

	request->event.max_tokens = tokens;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	return request;
}

/* ---- who waits for what may follow ---- */

static bool somebody_is_held(void)
{
	const struct job *job;

	list_each(job, &broker.sched->jobs[JOB_ACTIVE], link)
		if (job_is_held(job))
			return true;
	return false;
}

static void ask_held(const char *grammar)
{
	const struct llm_option head = { LLM_OPTION_GRAMMAR, (uint32_t)strlen(grammar) };
	const struct llm_option end = { .type = LLM_OPTION_END };
	static uint8_t payload[40000];
	size_t len = 0;

	memcpy(payload, &head, sizeof(head));
	len += sizeof(head);
	memcpy(payload + len, grammar, head.len);
	len += head.len;
	memcpy(payload + len, &end, sizeof(end));
	len += sizeof(end);
	memcpy(payload + len, "a prompt", 8);
	test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, payload, len + 8)->event.flags =
		LLM_SUBMIT_OPTIONS;
}

/* a round; Return: turns that began with somebody held */
static unsigned int run_held(const char *grammar)
{
	unsigned int i, held = 0, idle = 0, first = broker.count;
	const uint64_t begin = broker.sched->totals.steps;
	bool more = true;

	for (i = 0; i < 4; i++)
		ask_held(grammar);
	for (i = 0; more; i++) {
		const uint64_t steps = broker.sched->totals.steps;
		const bool was_held = somebody_is_held();

		assert_true(i < 10000);
		more = test_turn(&broker);
		held += was_held;
		idle += was_held && broker.sched->totals.steps == steps && somebody_is_held();
	}
	for (i = first; i < broker.count; i++) {
		assert_true(broker.requests[i].ended);
		assert_int_equal(broker.requests[i].status, 0);
	}
	/* the turn behind a step looks once whether that has made room */
	assert_true(idle <= broker.sched->totals.steps - begin);
	return held;
}

/* while it is found out what may follow, nobody runs in circles, also not for those without room */
static void test_held_is_idle(void **state)
{
	static char words[32768] = "root ::= \"\"";
	unsigned int i, held = 0;
	size_t len = strlen(words);

	(void)state;
	/* so many that it takes a while to find which of them may go on */
	for (i = 0; i < 2000; i++)
		len += snprintf(words + len, sizeof(words) - len, " | \"%c%u.\"", 'a' + i % 3, i);
	serve("FAKE context=40 page=4 pages=5");
	for (i = 0; i < 10 || !held; i++) {
		assert_true(i < (TEST_REQUESTS_MAX - 4) / 4);
		held += run_held(words);
	}
}

/* ---- how long a step takes ---- */

/* most tokens that one step took, from the @skip'th on, until @request has ended */
static unsigned int most_tokens(const struct test_request *request, unsigned int skip)
{
	unsigned int i, before, most = 0;

	for (i = 0; !request->ended; i++) {
		before = fake_counts.tokens;
		assert_true(test_turn(&broker) || request->ended);
		if (i >= skip)
			most = MAX(most, fake_counts.tokens - before);
	}
	return most;
}

static struct test_request *long_prompt(void)
{
	static uint8_t text[3900];
	struct test_request *prompt;

	memset(text, 'x', sizeof(text));
	prompt = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	prompt->event.max_tokens = 1;
	return prompt;
}

/* on a slower moment of the machine it takes fewer, but never less than pays */
static void test_bounded(void **state)
{
	struct test_request *stream;
	unsigned int most, alone;

	(void)state;
	config.engine.batch_tokens = 256;
	config.step_ns = 10 * NS_PER_MS;
	fake_clock_ns = NS_PER_S;
	serve("FAKE context=4000 pages=4000");
	fake_token_ns = NS_PER_MS / 4;
	alone = most_tokens(long_prompt(), 8);
	assert_in_range(alone, PACE_TOKENS_LEAST, 161);
	stream = ask("stream", 2000);
	while (stream->event.output_tokens < 1)
		assert_true(test_turn(&broker));
	most = most_tokens(long_prompt(), 8);
	assert_in_range(most, PACE_TOKENS_LEAST + 1, 41);
	assert_false(stream->ended);
	stream->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, stream->event.id, clock_ns());
	test_run(&broker);
}

static void test_unbounded(void **state)
{
	(void)state;
	config.engine.batch_tokens = 256;
	fake_clock_ns = NS_PER_S;
	serve("FAKE context=4000 pages=4000");
	fake_token_ns = NS_PER_MS / 20;
	assert_int_equal(most_tokens(long_prompt(), 0), 256);
	test_run(&broker);
}

/* ---- what is guessed ---- */

/** struct way - of asking; @steps: that it took without guesses, and with them */
struct way {
	struct llm_sampling sampling;
	const char *stop;
	uint32_t max_tokens;
	uint32_t flags;
	unsigned int steps[2];
};

/* the answer to it, and in how many steps it came */
static struct bytes answer(struct way *way, bool guesses, enum llm_finish *ret_finish)
{
	struct test_request *request;
	struct bytes output;
	unsigned int steps;

	config.draft_tokens = guesses ? 8 : 0;
	test_broker_free(&broker);
	test_broker_init(&broker);
	test_broker_serve(&broker, &config);
	request = test_ask(&broker, "the answer to it");
	request->event.sampling = way->sampling;
	request->event.max_tokens = way->max_tokens;
	request->event.flags |= way->flags;
	if (way->stop)
		test_add_stop(request, way->stop);
	steps = fake_counts.steps;
	test_run(&broker);
	way->steps[guesses] = fake_counts.steps - steps;
	assert_true(request->ended);
	*ret_finish = request->finish;
	output = request->output;
	request->output = (struct bytes){ 0 };
	return output;
}

static void same_answer(struct way *way)
{
	enum llm_finish finishes[2];
	struct bytes plain = answer(way, false, &finishes[0]);
	struct bytes guessed = answer(way, true, &finishes[1]);

	assert_int_equal(finishes[0], finishes[1]);
	assert_int_equal(plain.len, guessed.len);
	assert_memory_equal(bytes_data(&plain), bytes_data(&guessed), plain.len);
	assert_true(way->steps[1] <= way->steps[0]);
	bytes_free(&plain);
	bytes_free(&guessed);
}

/* in the same words, whatever is asked for; a text that repeats itself in fewer steps */
static void test_guesses(void **state)
{
	static const struct llm_sampling greedy, warm = {
		.seed = 7, .temperature = 300000, .top_k = 4,
	}, hot = {
		.seed = 8, .temperature = 1500000, .repeat_penalty = 1100000, .repeat_last_n = 16,
	};
	struct way ways[] = {
		{ .sampling = greedy, .max_tokens = 200, .flags = LLM_SUBMIT_IGNORE_EOS },
		{ .sampling = greedy, .max_tokens = 33, .flags = LLM_SUBMIT_IGNORE_EOS },
		{ .sampling = warm, .max_tokens = 200, .flags = LLM_SUBMIT_IGNORE_EOS },
		{ .sampling = hot, .max_tokens = 200 },
		{ .sampling = warm, .max_tokens = 200, .stop = "t" },
		{ .sampling = warm, .max_tokens = 5000, .flags = LLM_SUBMIT_IGNORE_EOS },
	};
	unsigned int i;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=600 page=16 pages=60");
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		same_answer(&ways[i]);
	fake_forgets = true;
	fake_counts.accepted = 0;
	for (i = 0; i < ARRAY_SIZE(ways); i++)
		same_answer(&ways[i]);
	assert_true(fake_counts.accepted > 150);
	assert_true(ways[0].steps[1] < ways[0].steps[0] / 3);
}

/* where many are answered at once, a step has no room for guesses */
static void test_guesses_of_a_crowd(void **state)
{
	unsigned int i;

	(void)state;
	config.draft_tokens = 8;
	fake_forgets = true;
	serve("FAKE context=600 page=16 pages=200");
	for (i = 0; i < 8; i++)
		ask("the same thing again, the same thing again", 100);
	test_run(&broker);
	assert_int_equal(fake_counts.accepted, 0);
	ask("the same thing again, the same thing again", 100);
	test_run(&broker);
	assert_true(fake_counts.accepted > 0);
}

/* ---- guesses of another model ---- */

static bool same_text(struct way *way)
{
	enum llm_finish finishes[2];
	struct bytes plain, guessed;
	bool same;

	config.draft_model = NULL;
	plain = answer(way, false, &finishes[0]);
	config.draft_model = "b";
	guessed = answer(way, true, &finishes[1]);
	same = finishes[0] == finishes[1] && plain.len == guessed.len &&
	       !memcmp(bytes_data(&plain), bytes_data(&guessed), plain.len);
	bytes_free(&plain);
	bytes_free(&guessed);
	return same;
}

static void test_draft_model(void **state)
{
	static const struct llm_sampling greedy, warm = {
		.seed = 7, .temperature = 300000, .top_k = 4,
	};
	static const char *const drafts[] = {
		"FAKE context=600 page=16 pages=60 it is always right",
		"FAKE context=600 page=8 pages=200 wrong=3",
		"FAKE context=600 page=16 pages=60 wrong=1",
		/* not for all of the answer; not even for one page */
		"FAKE context=100 page=16 pages=60",
		"FAKE context=600 page=16 pages=4",
		/* other tokens */
		"FAKE context=600 page=16 pages=60 other=1",
		/* makes no text */
		"FAKE context=600 page=16 pages=60 encoder=1",
	};
	struct way ways[] = {
		{ .sampling = greedy, .max_tokens = 200, .flags = LLM_SUBMIT_IGNORE_EOS },
		{ .sampling = warm, .max_tokens = 200 },
		{ .sampling = warm, .max_tokens = 200, .stop = "t" },
		{ .sampling = greedy, .max_tokens = 5000, .flags = LLM_SUBMIT_IGNORE_EOS },
	};
	unsigned int i, k;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=600 page=16 pages=60");
	config.default_model = "a";
	for (i = 0; i < ARRAY_SIZE(drafts); i++) {
		fake_model(folder, "b.gguf", drafts[i]);
		fake_counts.accepted = 0;
		for (k = 0; k < ARRAY_SIZE(ways); k++)
			assert_true(same_text(&ways[k]));
		print_message("# draft model %u: %u guesses were right\n", i, fake_counts.accepted);
		if (!i)
			assert_true(fake_counts.accepted > 600);
		else if (i == 1)
			assert_in_range(fake_counts.accepted, 200, 900);
		else if (i == 2)
			assert_true(fake_counts.accepted < 40);
		else if (i >= 5)
			assert_true(fake_counts.accepted < 10);
	}
	/* it is asked itself, too */
	fake_model(folder, "b.gguf", drafts[0]);
	config.default_model = "b";
	assert_true(same_text(&ways[0]));
	fake_counts.accepted = 0;
	assert_true(same_text(&ways[1]));
	assert_int_equal(fake_counts.accepted, 0);
}

/* guesses that were right in an answer of @tokens */
static unsigned int guessed_right(unsigned int tokens)
{
	struct test_request *request = ask_model("a", "once upon a time", tokens);

	fake_counts.accepted = 0;
	test_run(&broker);
	answered(request);
	return fake_counts.accepted;
}

/* not in each step, but now and then: another one is found within a second */
static void test_draft_model_replaced(void **state)
{
	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=600 page=16 pages=60");
	fake_model(folder, "b.gguf", "FAKE context=600 page=16 pages=60");
	config.default_model = "a";
	config.draft_tokens = 8;
	config.draft_model = "b";
	fake_clock_ns = NS_PER_S;
	test_broker_serve(&broker, &config);
	assert_true(guessed_right(50) > 0);
	fake_model(folder, "b.gguf", "no model any more");
	assert_true(guessed_right(50) > 0);
	fake_clock_ns += NS_PER_S;
	assert_int_equal(guessed_right(50), 0);
}

static void no_such_draft_model(void **state)
{
	struct error error = { "" };
	struct sched *sched;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=600 page=16 pages=60");
	config.draft_tokens = 8;
	config.draft_model = "b";
	assert_int_equal(sched_new(&sched, &config, &error), -ENOENT);
	assert_non_null(strstr(error.text, "'b'"));
}

/* four at a time, who are told to pause, are short of memory, and lose their server */
static void test_draft_model_of_a_crowd(void **state)
{
	struct bytes want[12];
	unsigned int i, round;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=200 page=8 pages=60");
	fake_model(folder, "b.gguf", "FAKE context=200 page=4 pages=95 wrong=8");
	config.default_model = "a";
	config.slots = 4;
	config.draft_tokens = 8;
	for (round = 0; round < 40; round++) {
		test_broker_free(&broker);
		test_broker_init(&broker);
		config.draft_model = round ? "b" : NULL;
		broker.dice = round;
		/* the first with the draft model alone has nothing in its way */
		if (round > 1) {
			broker.pause_in = round % 3 ? 5 : 0;
			broker.short_in = round % 4 ? 7 : 0;
			broker.memory_max = round % 5 ? 0 : 30 * FAKE_PAGE_BYTES;
			broker.memory_max_each = round % 7 ? 0 : 18 * FAKE_PAGE_BYTES;
			broker.is_async = round % 2;
			broker.die_at = round % 6 ? 0 : 5 + round;
		}
		for (i = 0; i < ARRAY_SIZE(want); i++)
			ask("the question of somebody", 60 + i)->event.sampling =
				(struct llm_sampling){
					.seed = i + 1,
					.temperature = i % 3 ? 0 : 200000,
				};
		test_run_all(&broker, &config);
		for (i = 0; i < ARRAY_SIZE(want); i++) {
			struct test_request *request = &broker.requests[i];

			assert_true(request->ended);
			assert_int_equal(request->status, 0);
			if (!round) {
				want[i] = request->output;
				request->output = (struct bytes){ 0 };
				continue;
			}
			assert_int_equal(request->output.len, want[i].len);
			assert_memory_equal(bytes_data(&request->output), bytes_data(&want[i]),
					    want[i].len);
		}
	}
	print_message("# %u guesses were right\n", fake_counts.accepted);
	assert_true(fake_counts.accepted > 1000);
	for (i = 0; i < ARRAY_SIZE(want); i++)
		bytes_free(&want[i]);
}

/* a broker that does not know of memory that one can do without: no guesses, and nothing else */
static void test_draft_model_uncharged(void **state)
{
	static const int errors[] = { -EINVAL, -EDQUOT, -EAGAIN, LLM_VERDICT_PAUSE };
	struct way plain = { .max_tokens = 100, .flags = LLM_SUBMIT_IGNORE_EOS };
	enum llm_finish finish;
	struct bytes want;
	unsigned int i, k;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=200 page=8 pages=60");
	fake_model(folder, "b.gguf", "FAKE context=200 page=4 pages=95");
	config.default_model = "a";
	want = answer(&plain, false, &finish);
	config.draft_model = "b";
	config.draft_tokens = 8;
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		test_broker_free(&broker);
		test_broker_init(&broker);
		test_broker_serve(&broker, &config);
		broker.try_error = errors[i];
		fake_counts.accepted = 0;
		/* somebody's prompt is in the same step, for his guesses to go wrong in */
		for (k = 0; k < 3; k++)
			ask("the answer to it", 100);
		test_run(&broker);
		assert_in_range(broker.tries, 1, 3);
		assert_int_equal(fake_counts.accepted, 0);
		for (k = 0; k < 3; k++) {
			assert_true(broker.requests[k].ended);
			assert_int_equal(broker.requests[k].status, 0);
			assert_int_equal(broker.requests[k].output.len, want.len);
			assert_memory_equal(bytes_data(&broker.requests[k].output),
					    bytes_data(&want), want.len);
		}
	}
	bytes_free(&want);
}

/* who turns out to be cancelled when guesses for him are charged is in no step after that */
static void test_draft_model_cancelled(void **state)
{
	struct test_request *request;
	unsigned int tokens;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=200 page=8 pages=60");
	fake_model(folder, "b.gguf", "FAKE context=200 page=4 pages=95");
	config.default_model = "a";
	config.draft_model = "b";
	config.draft_tokens = 8;
	test_broker_serve(&broker, &config);
	request = ask("the answer to it", 100);
	broker.try_cancels = true;
	do {
		tokens = fake_counts.tokens;
		test_turn(&broker);
	} while (!broker.tries);
	assert_int_equal(fake_counts.tokens, tokens);
	test_run(&broker);
	assert_int_equal(fake_counts.tokens, tokens);
	assert_true(request->ended);
	assert_int_equal(request->status, -ECANCELED);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_held_is_idle, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_bounded, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_unbounded, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_guesses, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_guesses_of_a_crowd, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_draft_model, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_draft_model_replaced, setup, fixture_end),
		cmocka_unit_test_setup_teardown(no_such_draft_model, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_draft_model_of_a_crowd, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_draft_model_uncharged, setup, fixture_end),
		cmocka_unit_test_setup_teardown(test_draft_model_cancelled, setup, fixture_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_step", tests, NULL, NULL);
}
