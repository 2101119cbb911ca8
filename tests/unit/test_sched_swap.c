/* SPDX-License-Identifier: MIT */
/*
 * The scheduler over a small engine: requests whose pages had to make way get them back from the
 * swap, so that less is computed; who waits for them delays nobody, and no answer depends on it.
 */
#include "sched_fixture.h"

#define CROWD	6

static int setup(void **state)
{
	(void)state;
	fixture_small("a");
	return 0;
}

static void submit_crowd(void)
{
	struct test_request *request;
	char text[80];
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		snprintf(text, sizeof(text), "%u asks for something that takes a few pages", i);
		request = test_ask(&broker, text);
		request->event.max_tokens = 40;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		request->event.sampling.temperature = i % 2 ? 900000 : 0;
		request->event.sampling.seed = i + 1;
		request->event.cgroup_id = request->event.domain_cgroup = 1;
		request->event.uid = request->event.domain_uid = 1000;
	}
}

static void crowd_alone(struct bytes *alone)
{
	unsigned int i;

	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=300");
	submit_crowd();
	test_run_all(&broker, &config);
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(broker.requests[i].status, 0);
		alone[i] = broker.requests[i].output;
		broker.requests[i].output = (struct bytes){ 0 };
	}
	test_broker_free(&broker);
	test_broker_init(&broker);
}

/* Return: tokens that were computed */
static unsigned int crowd_same(const struct bytes *alone)
{
	unsigned int i;

	fake_counts.tokens = fake_counts.fetched = fake_counts.swapped = 0;
	submit_crowd();
	test_run_all(&broker, &config);
	for (i = 0; i < CROWD; i++) {
		const struct test_request *request = &broker.requests[i];

		assert_true(request->ended);
		assert_int_equal(request->status, 0);
		assert_int_equal(request->output.len, alone[i].len);
		assert_memory_equal(bytes_data(&request->output), bytes_data(&alone[i]),
				    alone[i].len);
	}
	test_broker_free(&broker);
	test_broker_init(&broker);
	return fake_counts.tokens;
}

static void test_less_is_computed(void **state)
{
	struct bytes alone[CROWD];
	unsigned int without, with, i;

	(void)state;
	crowd_alone(alone);
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=40");
	without = crowd_same(alone);
	assert_int_equal(fake_counts.swapped, 0);
	config.engine.swap_bytes = 1 << 20;
	with = crowd_same(alone);
	assert_true(fake_counts.swapped > 0 && fake_counts.fetched > 0);
	if (with + fake_counts.fetched / 2 > without)
		fail_msg("%u tokens computed, %u without a swap", with, without);
	for (i = 0; i < CROWD; i++)
		bytes_free(&alone[i]);
}

static struct test_request *ask_long(void)
{
	struct test_request *request;

	request = test_ask(&broker, "a text of more pages than the store may keep");
	request->event.max_tokens = 4;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	request->event.cgroup_id = request->event.domain_cgroup = 1;
	request->event.uid = request->event.domain_uid = 1000;
	return request;
}

/* what the store has no room for when a request ends is on the disk; without a store, nothing is */
static void test_no_room_to_keep(void **state)
{
	unsigned int computed;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=40");
	config.engine.swap_bytes = 1 << 20;
	config.engine.prefix_percent = 10;
	test_broker_serve(&broker, &config);
	fake_counts.tokens = fake_counts.fetched = fake_counts.swapped = 0;
	ask_long();
	test_run(&broker);
	computed = fake_counts.tokens;
	assert_int_equal(broker.kept[1], 4 * FAKE_PAGE_BYTES);
	assert_true(fake_counts.swapped > 4 * 4);
	ask_long();
	test_run(&broker);
	assert_true(fake_counts.fetched > 4 * 4);
	assert_int_equal(fake_counts.tokens, 2 * computed - fake_counts.fetched - 4 * 4);
	test_broker_free(&broker);
	test_broker_init(&broker);
	config.engine.prefix_percent = 0;
	test_broker_serve(&broker, &config);
	fake_counts.swapped = 0;
	ask_long();
	test_run(&broker);
	assert_int_equal(fake_counts.swapped, 0);
}

/* pauses, late verdicts, a quota, a prefix store, guesses: never another answer */
static void test_in_all_ways(void **state)
{
	struct bytes alone[CROWD];
	unsigned int at, fetched = 0;

	(void)state;
	crowd_alone(alone);
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=40");
	config.engine.swap_bytes = 1 << 20;
	for (at = 0; at < 48; at++) {
		config.engine.prefix_percent = at % 2 ? 50 : 0;
		config.draft_tokens = at % 3 ? 8 : 0;
		broker.is_async = at & 4;
		broker.pause_in = at & 8 ? 5 : 0;
		broker.memory_max = at & 16 ? (uint64_t)30 * FAKE_PAGE_BYTES : 0;
		broker.die_at = at & 32 ? 40 + at : 0;
		broker.dice = at + 1;
		crowd_same(alone);
		fetched += fake_counts.fetched;
	}
	assert_true(fetched > 1000);
	for (at = 0; at < CROWD; at++)
		bytes_free(&alone[at]);
}

/* a disk that does not answer: whoever waits for it is computed, once his time is over */
static void test_hangs(void **state)
{
	struct bytes alone[CROWD];
	unsigned int i;

	(void)state;
	crowd_alone(alone);
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=40");
	config.engine.swap_bytes = 1 << 20;
	fake_swap_hangs = true;
	assert_true(crowd_same(alone) > 0);
	assert_true(fake_counts.swapped > 0);
	assert_true(fake_counts.fetches_stopped >= CROWD);
	assert_int_equal(fake_counts.fetched, 0);
	for (i = 0; i < CROWD; i++)
		bytes_free(&alone[i]);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_less_is_computed), TEST(test_no_room_to_keep),
		TEST(test_in_all_ways), TEST(test_hangs),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
