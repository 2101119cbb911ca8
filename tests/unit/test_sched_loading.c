/* SPDX-License-Identifier: MIT */
/*
 * A model or an adapter that is loaded while others answer: that these go on, who waits, and that it
 * comes to an end whatever happens to its file, its requests and the scheduler meanwhile.
 */
#include <semaphore.h>
#include <unistd.h>

#include "sched/job.h"
#include "sched_fixture.h"

#define TEXT	"FAKE context=200 page=4 pages=64"
#define ONE	(6400 + 100)

static sem_t gate;

/* models are loaded when the test says so */
static void wait_at_gate(void)
{
	sem_wait(&gate);
}

static int setup(void **state)
{
	(void)state;
	fixture_begin("a");
	config.load_beside = true;
	fake_model(folder, "a.gguf", TEXT);
	fake_model(folder, "b.gguf", TEXT);
	fake_model(folder, "c.gguf", TEXT);
	sem_init(&gate, 0, 0);
	fake_on_load = wait_at_gate;
	return 0;
}

static int teardown(void **state)
{
	int r;

	/* a test that failed may have left it there */
	for (int i = 0; i < 8; i++)
		sem_post(&gate);
	r = fixture_end(state);
	sem_destroy(&gate);
	return r;
}

/* is a model's file being read that was not heard of yet? */
static bool is_opening(void)
{
	const struct model *model;

	list_each(model, models_list(broker.sched->models), link)
		if (model->opening)
			return true;
	return false;
}

/* all that can be done without a model that is being loaded; it must not be done meanwhile */
static void turns(void)
{
	fixture_turns();
	while (!broker.dead && is_opening()) {
		fixture_hear();
		fixture_turns();
	}
}

/* the thread is let go on, and the loop hears of it */
static void load(void)
{
	sem_post(&gate);
	fixture_hear();
}

/* a serves; the first request for a model begins to load it */
static void serve_a(void)
{
	struct test_request *request;

	test_broker_serve(&broker, &config);
	request = ask_model("a", "x", 2);
	turns();
	assert_false(request->ended);
	load();
	turns();
	answered(request);
}

static void test_others_go_on(void **state)
{
	struct test_request *waiting, *running, *later;

	(void)state;
	serve_a();
	waiting = ask_model("b", "for another one", 5);
	running = ask_model("a", "for this one", 20);
	turns();
	answered(running);
	/* who comes later, and is younger than who waits, too */
	later = ask_model("a", "and again", 7);
	turns();
	answered(later);
	assert_false(waiting->ended);
	assert_int_equal(waiting->event.output_tokens, 0);
	assert_int_equal(fixture_loaded(), 1);
	load();
	turns();
	answered(waiting);
	assert_int_equal(fixture_loaded(), 2);
	assert_int_equal(fake_counts.loads, 2);
}

/* one after the other, each once however many wait for it */
static void test_one_at_a_time(void **state)
{
	struct test_request *b[3], *c[3];

	(void)state;
	serve_a();
	for (size_t i = 0; i < 3; i++) {
		b[i] = ask_model("b", "x", 3);
		/* the first one whose file has been read is the first one that is loaded */
		turns();
		c[i] = ask_model("c", "y", 3);
	}
	turns();
	load();
	turns();
	for (size_t i = 0; i < 3; i++) {
		answered(b[i]);
		assert_false(c[i]->ended);
	}
	load();
	turns();
	for (size_t i = 0; i < 3; i++)
		answered(c[i]);
	assert_int_equal(fake_counts.loads, 3);
}

static void test_failure(void **state)
{
	struct test_request *first, *second, *fine;

	(void)state;
	serve_a();
	fake_model(folder, "b.gguf", TEXT " unloadable");
	first = ask_model("b", "x", 3);
	second = ask_model("b", "y", 3);
	turns();
	load();
	fine = ask_model("a", "z", 3);
	turns();
	failed(first, -EOPNOTSUPP);
	failed(second, -EOPNOTSUPP);
	answered(fine);
	assert_int_equal(fixture_loaded(), 1);
	/* it is another one by now */
	fake_model(folder, "b.gguf", TEXT " context=196");
	first = ask_model("b", "x", 3);
	turns();
	assert_false(first->ended);
	load();
	turns();
	answered(first);
}

/* a prompt that was read before its model was there is measured against what there is */
static void test_too_long(void **state)
{
	char text[300];
	struct test_request *request, *other;

	(void)state;
	serve_a();
	memset(text, 'x', sizeof(text) - 1);
	text[sizeof(text) - 1] = '\0';
	request = ask_model("b", text, 3);
	other = ask_model("b", text, 3);
	turns();
	load();
	turns();
	failed(request, -E2BIG);
	failed(other, -E2BIG);
}

/* nobody wants it any more; it serves the next one */
static void test_cancelled(void **state)
{
	struct test_request *request;

	(void)state;
	serve_a();
	request = ask_model("b", "x", 3);
	turns();
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	turns();
	assert_true(request->ended);
	load();
	turns();
	assert_int_equal(fixture_loaded(), 2);
	request = ask_model("b", "x", 3);
	turns();
	answered(request);
	assert_int_equal(fake_counts.loads, 2);
}

static void test_vanished(void **state)
{
	char path[4096];
	struct test_request *request, *other;

	(void)state;
	serve_a();
	request = ask_model("b", "x", 3);
	turns();
	snprintf(path, sizeof(path), "%s/b.gguf", folder);
	assert_int_equal(unlink(path), 0);
	/* it is looked for; what is being loaded stays */
	other = ask_model("nothing", "x", 3);
	turns();
	failed(other, -ENOENT);
	load();
	turns();
	failed(request, -ESTALE);
	other = ask_model("b", "x", 3);
	turns();
	failed(other, -ENOENT);
	other = ask_model("a", "x", 3);
	turns();
	answered(other);
}

/* what is being loaded has its room already */
static void test_memory(void **state)
{
	struct test_request *a, *b, *c;

	(void)state;
	config.model_memory = 2 * ONE;
	serve_a();
	b = ask_model("b", "x", 3);
	turns();
	a = ask_model("a", "x", 30);
	c = ask_model("c", "x", 3);
	turns();
	answered(a);
	load();
	turns();
	answered(b);
	/* what c takes is not known before; then a makes way, which was idle longest */
	assert_false(c->ended);
	load();
	turns();
	answered(c);
	assert_int_equal(fixture_loaded(), 2);
	b = ask_model("b", "x", 3);
	turns();
	answered(b);
	/* it is known of a */
	a = ask_model("a", "x", 3);
	turns();
	assert_false(a->ended);
	assert_int_equal(fixture_loaded(), 1);
	load();
	turns();
	answered(a);
}

/* the server ends in the middle of it */
static void test_end(void **state)
{
	struct test_request *request;

	(void)state;
	serve_a();
	request = ask_model("b", "x", 3);
	turns();
	sem_post(&gate);
	test_broker_kill(&broker);
	assert_false(request->ended);
	/* the next one answers */
	test_broker_serve(&broker, &config);
	turns();
	load();
	turns();
	answered(request);
}

/* an answer goes on with the next server, which has yet to load its model: none of it is lost */
static void test_recovered(void **state)
{
	static const uint32_t limits[] = { 0, 50 };
	struct test_request *whole, *request;
	unsigned int i, at;

	(void)state;
	for (i = 0; i < 2; i++) {
		config.engine.context = limits[i];
		test_broker_serve(&broker, &config);
		/* the second one ends where the context does */
		whole = ask_model("a", "how does it go on?", i ? 0 : 60);
		turns();
		load();
		turns();
		assert_int_equal(whole->status, 0);
		assert_int_equal(whole->finish, i ? LLM_FINISH_CONTEXT : LLM_FINISH_LENGTH);
		for (at = 1; at < 30; at += 7) {
			request = ask_model("a", "how does it go on?", i ? 0 : 60);
			broker.die_at = broker.commits + at;
			turns();
			assert_true(broker.dead && request->journal.len && !request->ended);
			test_broker_kill(&broker);
			broker.die_at = 0;
			test_broker_serve(&broker, &config);
			turns();
			assert_false(request->ended);
			load();
			turns();
			assert_true(request->ended);
			assert_int_equal(request->status, 0);
			assert_int_equal(request->finish, whole->finish);
			assert_int_equal(request->output.len, whole->output.len);
			assert_memory_equal(bytes_data(&request->output),
					    bytes_data(&whole->output), whole->output.len);
		}
		test_broker_kill(&broker);
	}
}

/* the model has room for less than has been said by now: that is where the answer ends */
static void test_recovered_less(void **state)
{
	static const char prompt[] = "how does it go on?";
	struct test_request *request;
	size_t said;

	(void)state;
	test_broker_serve(&broker, &config);
	request = ask_model("a", prompt, 60);
	broker.die_at = 40;
	turns();
	load();
	turns();
	assert_true(broker.dead && !request->ended);
	said = request->journal.len;
	assert_true(said > 0);
	test_broker_kill(&broker);
	broker.die_at = 0;
	fake_context_max = 30;
	test_broker_serve(&broker, &config);
	turns();
	load();
	turns();
	fake_context_max = 0;
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->finish, LLM_FINISH_CONTEXT);
}

/* a text without tokens is refused before there is anything to count them */
static void test_empty(void **state)
{
	static const enum llm_op ops[] = { LLM_OP_SCORE, LLM_OP_GENERATE };
	struct test_request *request;

	(void)state;
	serve_a();
	for (size_t i = 0; i < 2; i++) {
		request = test_submit(&broker, ops[i], LLM_PAYLOAD_TOKENS, "", 0);
		snprintf(request->event.model, sizeof(request->event.model), "b");
		request->event.flags |= LLM_SUBMIT_RECORDS;
		turns();
		failed(request, -EINVAL);
	}
	load();
	turns();
	assert_int_equal(fixture_loaded(), 2);
}

/* more wait for a model than there are slots: others are asked for all the same */
static void test_slots(void **state)
{
	struct test_request *waiting[4], *running;

	(void)state;
	config.slots = 2;
	serve_a();
	for (size_t i = 0; i < 4; i++)
		waiting[i] = ask_model("b", "x", 3);
	turns();
	running = ask_model("a", "x", 20);
	turns();
	/* two wait beside two slots, which two more have: a bound is needed somewhere */
	assert_false(running->taken);
	waiting[0]->cancelled = waiting[1]->cancelled = true;
	for (size_t i = 0; i < 2; i++)
		broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, waiting[i]->event.id, 1);
	turns();
	answered(running);
	load();
	turns();
	answered(waiting[2]);
	answered(waiting[3]);
}

/* who comes when a model has just been loaded does not take its room from whom it was loaded for */
static void test_fresh(void **state)
{
	struct test_request *b, *c;

	(void)state;
	/* of two, not even the file of the second one fits in */
	config.model_memory = 6400 + sizeof(TEXT) + 10;
	serve_a();
	b = ask_model("b", "x", 30);
	turns();
	load();
	c = ask_model("c", "x", 3);
	turns();
	answered(b);
	assert_false(c->ended);
	assert_int_equal(fake_counts.loads, 2);
	load();
	turns();
	answered(c);
	assert_int_equal(fake_counts.loads, 3);
}

/* a file that is replaced while it is loaded: neither half of one and half of the other */
static void test_replaced(void **state)
{
	struct test_request *request;

	(void)state;
	serve_a();
	request = ask_model("b", "x", 3);
	turns();
	fake_model(folder, "b.gguf", TEXT " context=100");
	load();
	turns();
	failed(request, -ESTALE);
	request = ask_model("b", "x", 3);
	turns();
	load();
	turns();
	answered(request);
}

/* what could not even be opened is not loaded; it is mended */
static void test_mended(void **state)
{
	struct test_request *request;

	(void)state;
	serve_a();
	fake_model(folder, "b.gguf", "no model");
	request = ask_model("b", "x", 3);
	turns();
	assert_true(request->ended);
	assert_int_not_equal(request->status, 0);
	fake_model(folder, "b.gguf", TEXT);
	request = ask_model("b", "x", 3);
	turns();
	assert_false(request->ended);
	load();
	turns();
	answered(request);
	assert_int_equal(fake_counts.loads, 2);
}

/* ---- adapters ---- */

static void adapters_begin(void)
{
	fake_adapter(folder, "one.gguf", "ADAPTER seed=1 bytes=500");
	fake_adapter(folder, "two.gguf", "ADAPTER seed=2 bytes=500");
	fake_adapter(folder, "broken.gguf", "something else");
	fake_on_adapter = wait_at_gate;
}

/* for @model with up to two adapters; @second may be NULL */
static struct test_request *ask_with(const char *model, const char *first, const char *second)
{
	const char *const names[] = { first, second };
	struct test_request *request;
	uint8_t payload[256], option[64];
	size_t len = 0;

	for (size_t i = 0; i < 2 && names[i]; i++) {
		const struct llm_adapter adapter = { .scale = 1000000 };

		memcpy(option, &adapter, sizeof(adapter));
		memcpy(option + sizeof(adapter), names[i], strlen(names[i]));
		len = put_option(payload, len, LLM_OPTION_ADAPTER, option,
				 sizeof(adapter) + strlen(names[i]));
	}
	len = put_option(payload, len, LLM_OPTION_END, NULL, 0);
	memcpy(payload + len, "a prompt", 8);
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, payload, len + 8);
	request->event.flags = LLM_SUBMIT_OPTIONS | LLM_SUBMIT_IGNORE_EOS;
	request->event.max_tokens = 6;
	snprintf(request->event.model, sizeof(request->event.model), "%s", model);
	return request;
}

/* read beside the steps of others, once for all who wait; the answer is that of one read at once */
static void test_adapter(void **state)
{
	struct test_request *waiting, *running, *other, *later, *here;

	(void)state;
	adapters_begin();
	serve_a();
	waiting = ask_with("a", "one", NULL);
	running = ask_model("a", "for this one", 20);
	other = ask_with("a", "one", NULL);
	turns();
	answered(running);
	later = ask_model("a", "and again", 7);
	turns();
	answered(later);
	assert_false(waiting->ended || other->ended);
	assert_int_equal(fake_counts.adapters, 0);
	load();
	turns();
	answered(waiting);
	answered(other);
	assert_int_equal(fake_counts.adapter_loads, 1);
	test_broker_kill(&broker);
	config.load_beside = false;
	sem_post(&gate);
	sem_post(&gate);
	test_broker_serve(&broker, &config);
	here = ask_with("a", "one", NULL);
	test_run(&broker);
	answered(here);
	assert_same_output(waiting, here);
}

/* two for one answer, where there is room for two and no more: none makes way for the other */
static void test_adapter_two(void **state)
{
	struct test_request *both, *other;

	(void)state;
	adapters_begin();
	config.model_memory = 6400 + sizeof(TEXT) - 1 + 1000;
	serve_a();
	both = ask_with("a", "one", "two");
	turns();
	/* what is being read has its room already, and who comes later waits for it */
	other = ask_with("a", "two", "one");
	for (unsigned int i = 0; i < 2; i++) {
		turns();
		assert_false(both->ended);
		load();
	}
	turns();
	answered(both);
	answered(other);
	assert_int_equal(fake_counts.adapter_loads, 2);
}

/* where there is room for one alone, that is said, and neither makes way for the other by turns */
static void test_adapter_too_many(void **state)
{
	struct test_request *both;

	(void)state;
	adapters_begin();
	config.model_memory = 6400 + sizeof(TEXT) - 1 + 600;
	serve_a();
	both = ask_with("a", "one", "two");
	for (unsigned int i = 0; i < 2; i++) {
		turns();
		assert_false(both->ended);
		load();
	}
	turns();
	failed(both, -ENOMEM);
	assert_int_equal(fake_counts.adapter_loads, 2);
}

/* a model waits for it, and its own model does not go meanwhile */
static void test_adapter_and_model(void **state)
{
	struct test_request *adapted, *model;

	(void)state;
	adapters_begin();
	config.model_memory = 6400 + sizeof(TEXT) - 1 + 600;
	serve_a();
	adapted = ask_with("a", "one", NULL);
	turns();
	model = ask_model("b", "x", 3);
	turns();
	assert_int_equal(fixture_loaded(), 1);
	load();
	turns();
	answered(adapted);
	assert_false(model->ended);
	load();
	turns();
	answered(model);
	assert_int_equal(fake_counts.adapters, 0);
}

/* all who waited are told, others are not held up, and it can be mended */
static void test_adapter_broken(void **state)
{
	struct test_request *first, *second, *good, *torn;

	(void)state;
	adapters_begin();
	serve_a();
	first = ask_with("a", "broken", NULL);
	second = ask_with("a", "broken", NULL);
	turns();
	assert_false(first->ended);
	load();
	turns();
	failed(first, -EBADMSG);
	failed(second, -EBADMSG);
	fake_adapter(folder, "broken.gguf", "ADAPTER seed=4 bytes=400, mended");
	good = ask_with("a", "broken", NULL);
	turns();
	load();
	turns();
	answered(good);
	/* replaced while it is read: who named it as it was is told, who comes then has the new one */
	torn = ask_with("a", "one", NULL);
	turns();
	fake_adapter(folder, "one.gguf", "ADAPTER seed=5 bytes=300, another one");
	load();
	turns();
	failed(torn, -ESTALE);
	good = ask_with("a", "one", NULL);
	turns();
	load();
	turns();
	answered(good);
}

/* nobody wants it any more; then the server ends in the middle of another one */
static void test_adapter_cancelled(void **state)
{
	struct test_request *request, *last;

	(void)state;
	adapters_begin();
	serve_a();
	request = ask_with("a", "one", NULL);
	turns();
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	turns();
	assert_true(request->ended);
	load();
	turns();
	request = ask_with("a", "one", NULL);
	turns();
	answered(request);
	assert_int_equal(fake_counts.adapter_loads, 1);
	last = ask_with("a", "two", NULL);
	turns();
	sem_post(&gate);
	test_broker_kill(&broker);
	assert_false(last->ended);
	test_broker_serve(&broker, &config);
	turns();
	load();
	turns();
	load();
	turns();
	answered(last);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_one_at_a_time, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_too_long, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_vanished, setup, teardown),
		cmocka_unit_test_setup_teardown(test_memory, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovered, setup, teardown),
		cmocka_unit_test_setup_teardown(test_recovered_less, setup, teardown),
		cmocka_unit_test_setup_teardown(test_empty, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
		cmocka_unit_test_setup_teardown(test_fresh, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_mended, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_two, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_too_many, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_and_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_broken, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_cancelled, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_loading", tests, NULL, NULL);
}
