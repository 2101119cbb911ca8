/* SPDX-License-Identifier: MIT */
/*
 * Requests that are paused, go on or are cancelled, at any point of their lives: answers are the
 * same, slots and pages come back, and no other request is held up.
 */
#include "sched_fixture.h"

static int setup(void **state)
{
	(void)state;
	fixture_begin("");
	return 0;
}

static struct llm_status status_now(void)
{
	struct llm_status status;

	sched_fill_status(broker.sched, &status);
	return status;
}

/* ---- pause ---- */

static void pause_and_resume(bool async)
{
	struct test_request *slow, *fast;
	unsigned int steps;
	size_t len;

	broker.is_async = async;
	serve("FAKE context=400 pages=400");
	broker.unread_max = 30;
	slow = test_ask(&broker, "slow");
	slow->event.max_tokens = 60;
	slow->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	len = slow->output.len;
	steps = fake_counts.steps;
	assert_false(slow->ended);
	assert_in_range(len, 30, 60);
	/* it does not hold a slot, and does not keep others from theirs */
	assert_int_equal(status_now().slots_busy, 0);
	broker.unread_max = 0;
	fast = test_ask(&broker, "fast");
	fast->event.max_tokens = 10;
	fast->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	assert_true(fast->ended);
	assert_int_equal(slow->output.len, len);
	assert_int_equal(fake_counts.steps, steps + 10);
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, slow->event.id);
	test_run(&broker);
	assert_true(slow->ended);
	assert_int_equal(slow->event.output_tokens, 60);
}

static void test_pause(void **state)
{
	(void)state;
	pause_and_resume(false);
}

static void test_pause_async(void **state)
{
	(void)state;
	pause_and_resume(true);
}

/* the resume comes before the verdict that it answers */
static void test_resume_overtakes(void **state)
{
	struct test_request *request;

	(void)state;
	broker.is_async = true;
	serve("FAKE context=400 pages=400");
	request = test_ask(&broker, "x");
	request->event.max_tokens = 20;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	while (request->event.output_tokens < 5)
		test_turn(&broker);
	while (!request->waiting)
		test_turn(&broker);
	request->pending = LLM_VERDICT_PAUSE;
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, request->event.id);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->event.output_tokens, 20);
}

/* slow readers in all slots: their sequences are taken for those who read, and given back */
static void test_paused_give_way(void **state)
{
	struct bytes want = { 0 };
	unsigned int i;

	(void)state;
	config.slots = config.engine.max_seqs = 2;
	serve("FAKE context=100 page=4 pages=50");
	test_ask(&broker, "slow")->event.max_tokens = 40;
	test_run(&broker);
	bytes_swap(&want, &broker.requests[0].output);
	broker.unread_max = 10;
	for (i = 1; i <= 4; i++)
		test_ask(&broker, "slow")->event.max_tokens = 40;
	test_run(&broker);
	broker.unread_max = 0;
	for (i = 1; i <= 4; i++) {
		assert_false(broker.requests[i].ended);
		broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, i + 1);
	}
	test_run(&broker);
	for (i = 1; i <= 4; i++) {
		const struct bytes *output = &broker.requests[i].output;

		assert_int_equal(output->len, want.len);
		assert_memory_equal(bytes_data(output), bytes_data(&want), want.len);
	}
	bytes_free(&want);
}

/*
 * A fair broker gives and takes slots at every moment, in the middle of prompts as well: each answer
 * is the one without, with room for all that are paused, with room for few, and with hardly any.
 * Return: tokens that were computed more than once.
 */
static unsigned int pause_at_random(const char *model, bool async)
{
	struct bytes alone[16] = { 0 };
	unsigned int i, tokens = 0;

	broker.is_async = async;
	broker.dice = 0x9e3779b97f4a7c15ULL;
	config.slots = 3;
	config.engine.batch_tokens = 8;
	serve(model);
	for (i = 0; i < 2 * ARRAY_SIZE(alone); i++) {
		struct test_request *request;
		char prompt[64];

		snprintf(prompt, sizeof(prompt), "a prompt of a few steps, number %u",
			 i % (unsigned int)ARRAY_SIZE(alone));
		request = test_ask(&broker, prompt);
		request->event.max_tokens = 40;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		/* not greedy: the place in the random numbers is kept as well */
		request->event.sampling.seed = i % 2 ? 7 : 0;
		request->event.sampling.temperature = i % 2 ? 900000 : 0;
		if (i >= ARRAY_SIZE(alone))
			continue;
		test_run(&broker);
		bytes_swap(&alone[i], &request->output);
	}
	broker.pause_in = 4;
	test_run(&broker);
	for (i = 0; i < ARRAY_SIZE(alone); i++) {
		struct test_request *request = &broker.requests[ARRAY_SIZE(alone) + i];

		assert_int_equal(request->status, 0);
		assert_int_equal(request->event.output_tokens, 40);
		assert_int_equal(request->output.len, alone[i].len);
		assert_memory_equal(bytes_data(&request->output), bytes_data(&alone[i]),
				    alone[i].len);
		bytes_free(&alone[i]);
		tokens += request->event.prompt_tokens + 40 - 1;
	}
	assert_true(fake_counts.step_items_max <= 3);
	return fake_counts.tokens - 2 * tokens;
}

static void test_pause_at_random(void **state)
{
	(void)state;
	/* nothing is computed twice */
	assert_int_equal(pause_at_random("FAKE context=100 page=4 pages=400", false), 0);
}

static void test_pause_at_random_async(void **state)
{
	(void)state;
	assert_int_equal(pause_at_random("FAKE context=100 page=4 pages=400", true), 0);
}

static void test_pause_under_pressure(void **state)
{
	unsigned int twice;

	(void)state;
	twice = pause_at_random("FAKE context=100 page=4 pages=60", true);
	assert_true(twice > 0 && fake_counts.truncates > 0);
}

static void test_pause_without_room(void **state)
{
	(void)state;
	assert_true(pause_at_random("FAKE context=100 page=4 pages=21", false) > 0);
}

/* ---- cancel ---- */

static void cancel(struct test_request *request)
{
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
}

static void test_cancel(void **state)
{
	struct test_request *request;
	unsigned int steps;
	size_t len;

	(void)state;
	serve("FAKE context=4000 pages=4000");
	request = test_ask(&broker, "x");
	request->event.max_tokens = 2000;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	while (request->event.output_tokens < 5)
		test_turn(&broker);
	steps = fake_counts.steps;
	len = request->output.len;
	cancel(request);
	test_run(&broker);
	/* not one step more, not one byte more */
	assert_int_equal(fake_counts.steps, steps);
	assert_int_equal(request->output.len, len);
	assert_true(request->ended);
	assert_int_equal(request->status, -ECANCELED);
	assert_int_equal(status_now().cancelled, 1);
	/* at the time of the cancel none had begun since; time 1 is before all of them */
	assert_int_equal(status_now().cancel_steps_max, MIN(steps, 8U));
}

static void test_cancel_by_verdict(void **state)
{
	struct test_request *request;
	unsigned int steps;

	(void)state;
	broker.is_async = true;
	serve("FAKE context=4000 pages=4000");
	request = test_ask(&broker, "x");
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	request->event.max_tokens = 2000;
	while (request->event.output_tokens < 5)
		test_turn(&broker);
	request->cancelled = true;
	steps = fake_counts.steps;
	test_run(&broker);
	assert_true(request->ended);
	assert_true(fake_counts.steps <= steps + 2);
}

static void test_cancel_everywhere(void **state)
{
	unsigned int i, turns;

	(void)state;
	config.slots = config.engine.max_seqs = 2;
	serve("FAKE context=100 page=4 pages=10");
	for (i = 0; i < 40; i++) {
		struct test_request *request = test_ask(&broker, "some prompt of a few tokens");

		request->event.max_tokens = 30;
		/* at every moment of its life: waiting, in its prompt, generating, put back */
		for (turns = 0; turns < i; turns++)
			test_turn(&broker);
		if (!request->ended && request->taken)
			cancel(request);
		else if (!request->ended) {
			request->cancelled = true;
			request->ended = true;
		}
	}
	test_run(&broker);
	for (i = 0; i < 40; i++)
		assert_true(broker.requests[i].ended);
	assert_int_equal(status_now().slots_busy, 0);
	assert_int_equal(fake_counts.pages, 0);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_pause), TEST(test_pause_async), TEST(test_resume_overtakes),
		TEST(test_paused_give_way), TEST(test_pause_at_random),
		TEST(test_pause_at_random_async), TEST(test_pause_under_pressure),
		TEST(test_pause_without_room), TEST(test_cancel), TEST(test_cancel_by_verdict),
		TEST(test_cancel_everywhere),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
