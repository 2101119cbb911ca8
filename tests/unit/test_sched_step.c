// SPDX-License-Identifier: MIT
/* What a step takes: how many tokens of prompts beside those who are in the middle of an answer. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "sched/pace.h"
#include "sched_broker.h"
#include "sched_engine.h"

static const char *folder;
static struct test_broker broker;
static struct sched_config config;

static int setup(void **state)
{
	(void)state;
	folder = fake_folder();
	memset(&fake_counts, 0, sizeof(fake_counts));
	config = (struct sched_config){ .models = folder, .default_model = "" };
	test_broker_init(&broker);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	fake_token_ns = 0;
	test_broker_free(&broker);
	fake_folder_remove();
	return fake_counts.broken_promises || fake_counts.seqs || fake_counts.pages ? -1 : 0;
}

static void serve(const char *model)
{
	fake_model(folder, "a.gguf", model);
	test_broker_serve(&broker, &config);
}

static struct test_request *ask(const char *text, unsigned int tokens)
{
	struct test_request *request = test_ask(&broker, text);

	request->event.max_tokens = tokens;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	return request;
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
	serve("FAKE context=4000 pages=4000");
	fake_token_ns = NS_PER_MS / 20;
	assert_int_equal(most_tokens(long_prompt(), 0), 256);
	test_run(&broker);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
		cmocka_unit_test_setup_teardown(test_unbounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
