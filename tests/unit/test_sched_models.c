// SPDX-License-Identifier: MIT
/*
 * Several models and less memory than they want: who is unloaded, who waits for whom, and that no
 * answer is another one for it.
 */
#include <unistd.h>

#include "sched_fixture.h"

/* a model takes 64 pages of 100 bytes, and its file */
#define TEXT	"FAKE context=200 page=4 pages=64"
#define ONE	(6400 + 100)

static int setup(void **state)
{
	(void)state;
	fixture_begin("");
	fake_model(folder, "a.gguf", TEXT);
	fake_model(folder, "b.gguf", TEXT);
	fake_model(folder, "c.gguf", TEXT);
	return 0;
}

static void serve_models(unsigned int models)
{
	config.model_memory = models * ONE;
	test_broker_serve(&broker, &config);
}

/* one request, and how many models were loaded for it */
static unsigned int loads_for(const char *model)
{
	const unsigned int before = fake_counts.loads;
	struct test_request *request = ask_model(model, "x", 3);

	test_run(&broker);
	answered(request);
	return fake_counts.loads - before;
}

static void test_least_recently_used(void **state)
{
	(void)state;
	serve_models(2);
	assert_int_equal(loads_for("a"), 1);
	assert_int_equal(loads_for("b"), 1);
	assert_int_equal(loads_for("a"), 0);
	assert_int_equal(fixture_loaded(), 2);
	assert_int_equal(loads_for("c"), 1);
	assert_int_equal(fixture_loaded(), 2);
	/* b had to go: its last step was before a's */
	assert_int_equal(loads_for("a"), 0);
	assert_int_equal(loads_for("b"), 1);
	assert_int_equal(loads_for("a"), 0);
	assert_int_equal(loads_for("c"), 1);
}

static void test_room_for_all(void **state)
{
	(void)state;
	serve_models(3);
	for (int i = 0; i < 2; i++)
		for (const char *name = "a\0b\0c\0"; *name; name += 2)
			loads_for(name);
	assert_int_equal(fake_counts.loads, 3);
	assert_int_equal(fixture_loaded(), 3);
}

/* who is being answered is not disturbed, and who came later does not keep the other waiting */
static void test_waits_for_answers(void **state)
{
	struct test_request *first, *other, *later;

	(void)state;
	serve_models(1);
	first = ask_model("a", "first", 40);
	while (first->event.output_tokens < 5)
		assert_true(test_turn(&broker));
	other = ask_model("b", "other", 10);
	later = ask_model("a", "later", 100);
	while (!first->ended) {
		assert_true(test_turn(&broker));
		assert_int_equal(other->event.output_tokens, 0);
		assert_int_equal(later->event.output_tokens, 0);
		assert_int_equal(fixture_loaded(), 1);
	}
	while (!other->ended) {
		assert_true(test_turn(&broker) || other->ended);
		assert_int_equal(later->event.output_tokens, 0);
	}
	test_run(&broker);
	answered(first);
	answered(other);
	answered(later);
	/* once more than models took turns: what the other one takes was not known */
	assert_int_equal(fake_counts.loads, 4);
}

/* whose reader does not come makes way, and goes on with the same words */
static void test_paused_makes_way(void **state)
{
	struct test_request *request;
	struct bytes want = { 0 };

	(void)state;
	serve_models(1);
	request = ask_model("a", "a story", 60);
	test_run(&broker);
	answered(request);
	bytes_swap(&want, &request->output);
	broker.unread_max = 30;
	request = ask_model("a", "a story", 60);
	test_run(&broker);
	assert_false(request->ended);
	broker.unread_max = 0;
	assert_int_equal(loads_for("b"), 1);
	assert_int_equal(fake_counts.seqs, 0);
	assert_false(request->ended);
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, request->event.id);
	test_run(&broker);
	answered(request);
	assert_int_equal(request->output.len, want.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&want), want.len);
	assert_int_equal(fake_counts.loads, 3);
	bytes_free(&want);
}

/* what is kept of a model is nobody's memory any more */
static void test_kept_goes(void **state)
{
	(void)state;
	config.engine.prefix_percent = 50;
	serve_models(1);
	ask_model("a", "a prompt of several pages", 3)->event.domain_cgroup = 1;
	test_run(&broker);
	assert_true(test_kept(&broker) > 0);
	assert_int_equal(loads_for("b"), 1);
	assert_int_equal(fake_counts.kept, 0);
	assert_int_equal(test_kept(&broker), 0);
}

static void test_too_large(void **state)
{
	struct test_request *request;

	(void)state;
	fake_model(folder, "d.gguf", "FAKE context=200 page=4 pages=200");
	serve_models(2);
	assert_int_equal(loads_for("a"), 1);
	request = ask_model("d", "x", 3);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ENOMEM);
	/* no reason to take it for broken, nor to disturb who needs less */
	assert_int_equal(loads_for("b") + loads_for("a"), 2);
	request = ask_model("d", "x", 3);
	test_run(&broker);
	assert_int_equal(request->status, -ENOMEM);
}

static void test_long_prompt(void **state)
{
	char text[300];
	struct test_request *request;

	(void)state;
	memset(text, 'x', sizeof(text));
	serve_models(1);
	ask_model("a", "first", 20);
	test_turn(&broker);
	/* its model is not there when its prompt is counted */
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	strcpy(request->event.model, "b");
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -E2BIG);
}

/* a file that changes: the new one is used as soon as nobody needs the old one */
static void test_replaced(void **state)
{
	struct test_request *first, *second;

	(void)state;
	serve_models(3);
	first = ask_model("a", "first", 40);
	while (first->event.output_tokens < 5)
		assert_true(test_turn(&broker));
	fake_model(folder, "a.gguf", TEXT " anew");
	second = ask_model("a", "second", 5);
	test_run(&broker);
	answered(first);
	answered(second);
	assert_int_equal(fake_counts.loads, 1);
	assert_int_equal(loads_for("a"), 1);
	assert_int_equal(loads_for("a"), 0);
	assert_int_equal(fixture_loaded(), 1);
}

/* it was unloaded, and whoever waits for it has looked at the file that was there */
static void test_replaced_meanwhile(void **state)
{
	struct test_request *request;

	(void)state;
	serve_models(1);
	broker.unread_max = 30;
	request = ask_model("a", "a story", 60);
	test_run(&broker);
	assert_false(request->ended);
	broker.unread_max = 0;
	assert_int_equal(loads_for("b"), 1);
	fake_model(folder, "a.gguf", TEXT " anew");
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, request->event.id);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ESTALE);
	assert_int_equal(loads_for("a"), 1);
}

/* a file that is gone does not keep the others from their turn */
static void test_gone_meanwhile(void **state)
{
	struct test_request *request;
	char path[300];

	(void)state;
	serve_models(1);
	broker.unread_max = 30;
	request = ask_model("a", "a story", 60);
	test_run(&broker);
	broker.unread_max = 0;
	snprintf(path, sizeof(path), "%s/a.gguf", folder);
	assert_int_equal(unlink(path), 0);
	assert_int_equal(loads_for("b"), 1);
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, request->event.id);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ESTALE);
}

/* a long answer about its tokens is being read when it turns out to be too large */
static void test_tokens_of_too_large(void **state)
{
	static char text[60000];
	struct test_request *reader, *request;

	(void)state;
	fake_model(folder, "d.gguf", "FAKE context=200 page=4 pages=200");
	serve_models(2);
	broker.unread_max = 30;
	memset(text, 'x', sizeof(text));
	reader = test_submit(&broker, LLM_OP_TOKENIZE, LLM_PAYLOAD_TEXT, text, sizeof(text));
	reader->event.flags |= LLM_SUBMIT_RECORDS;
	strcpy(reader->event.model, "d");
	test_run(&broker);
	assert_false(reader->ended);
	broker.unread_max = 0;
	request = ask_model("d", "x", 3);
	test_run(&broker);
	assert_int_equal(request->status, -ENOMEM);
	broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, reader->event.id);
	test_run(&broker);
	assert_true(reader->ended);
	assert_int_equal(reader->status, 0);
}

/* many of three models, where one fits: all come to an end */
static void test_crowd(void **state)
{
	struct test_request *requests[30];
	unsigned int i;

	(void)state;
	config.slots = 4;
	serve_models(1);
	broker.pause_in = 10;
	for (i = 0; i < ARRAY_SIZE(requests); i++)
		requests[i] = ask_model(i % 3 == 0 ? "a" : i % 3 == 1 ? "b" : "c", "a prompt", 3 + i);
	test_run_all(&broker, &config);
	for (i = 0; i < ARRAY_SIZE(requests); i++)
		answered(requests[i]);
	assert_true(fake_counts.loads >= 3);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_least_recently_used), TEST(test_room_for_all),
		TEST(test_waits_for_answers), TEST(test_paused_makes_way), TEST(test_kept_goes),
		TEST(test_too_large), TEST(test_long_prompt), TEST(test_replaced),
		TEST(test_replaced_meanwhile), TEST(test_gone_meanwhile),
		TEST(test_tokens_of_too_large), TEST(test_crowd),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_models", tests, NULL, NULL);
}
