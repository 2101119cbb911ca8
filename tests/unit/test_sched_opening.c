/* SPDX-License-Identifier: MIT */
/*
 * A model's file that is read while others answer: who waits for it, what is told of it, and that
 * it comes to an end whatever happens to the file, its requests and the scheduler meanwhile.
 */
#include <semaphore.h>
#include <unistd.h>

#include "base/clock.h"
#include "sched_fixture.h"

#define TEXT	"FAKE context=200 page=4 pages=64"

static sem_t file_gate, gate;

/* files are read when the test says so */
static void wait_at_file(void)
{
	sem_wait(&file_gate);
}

/* and so are models loaded */
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
	sem_init(&file_gate, 0, 0);
	sem_init(&gate, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	int r;

	/* a test that failed may have left them there */
	for (int i = 0; i < 8; i++) {
		sem_post(&file_gate);
		sem_post(&gate);
	}
	r = fixture_end(state);
	sem_destroy(&file_gate);
	sem_destroy(&gate);
	return r;
}

/* the file of the next model is read, and the loop hears of it */
static void read_file(void)
{
	sem_post(&file_gate);
	fixture_hear();
}

/* the thread is let go on, and the loop hears of it */
static void load(void)
{
	sem_post(&gate);
	fixture_hear();
}

/* a serves; who asks for others waits at the gates from now on */
static void serve_a_alone(void)
{
	struct test_request *request;

	test_broker_serve(&broker, &config);
	request = ask_model("a", "x", 2);
	fixture_turns();
	fixture_hear();
	fixture_turns();
	fixture_hear();
	fixture_turns();
	answered(request);
	fake_on_open = wait_at_file;
	fake_on_load = wait_at_gate;
	fake_counts.opens = 0;
}

static struct test_request *ask_control(enum llm_op op, const char *model, const char *text)
{
	struct test_request *request = test_submit(&broker, op, LLM_PAYLOAD_RAW, text,
						   strlen(text));

	snprintf(request->event.model, sizeof(request->event.model), "%s", model);
	request->event.flags |= LLM_SUBMIT_RECORDS;
	return request;
}

static void ended_well(const struct test_request *request)
{
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
}

/* while a file is read nobody waits but for it, and it is read once for all who ask */
static void test_others_go_on(void **state)
{
	struct test_request *waiting, *texts, *shown, *running;

	(void)state;
	serve_a_alone();
	waiting = ask_model("b", "for another one", 5);
	texts = ask_control(LLM_OP_TOKENIZE, "b", "some text");
	shown = ask_control(LLM_OP_SHOW, "b", "");
	running = ask_model("a", "for this one", 20);
	fixture_turns();
	answered(running);
	running = ask_control(LLM_OP_TOKENIZE, "a", "some text");
	fixture_turns();
	ended_well(running);
	assert_false(waiting->ended || texts->ended || shown->ended);
	read_file();
	fixture_turns();
	ended_well(texts);
	ended_well(shown);
	assert_same_output(texts, running);
	assert_false(waiting->ended);
	load();
	fixture_turns();
	answered(waiting);
	assert_int_equal(fake_counts.opens, 1);
	assert_int_equal(fake_counts.loads, 2);
}

/* a file that is read waits for no model that is loaded, and two are read one after the other */
static void test_beside_load(void **state)
{
	struct test_request *b, *c, *texts;

	(void)state;
	serve_a_alone();
	b = ask_model("b", "x", 3);
	fixture_turns();
	read_file();
	fixture_turns();
	/* b is being loaded */
	c = ask_model("c", "x", 3);
	texts = ask_control(LLM_OP_TOKENIZE, "c", "some text");
	fixture_turns();
	read_file();
	fixture_turns();
	ended_well(texts);
	assert_false(b->ended || c->ended);
	load();
	fixture_turns();
	answered(b);
	load();
	fixture_turns();
	answered(c);
	assert_int_equal(fake_counts.opens, 2);
}

/* all that there is, one after the other, and what can not be read as well */
static void test_list(void **state)
{
	struct llm_model_info info;
	struct test_request *list, *running;
	size_t len;

	(void)state;
	fake_model(folder, "b.gguf", "no model");
	serve_a_alone();
	list = ask_control(LLM_OP_MODELS, "", "");
	for (unsigned int i = 0; i < 2; i++) {
		fixture_turns();
		assert_false(list->ended);
		running = ask_model("a", "for this one", 20);
		fixture_turns();
		answered(running);
		read_file();
	}
	fixture_turns();
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 3);
	for (size_t i = 0; i < 3; i++) {
		const uint8_t *body = record_at(list, LLM_RECORD_MODEL, i, &len);

		assert_int_equal(len, sizeof(info));
		memcpy(&info, body, sizeof(info));
		assert_int_equal(info.name[0], 'a' + i);
		assert_int_equal(!!(info.flags & LLM_MODEL_BROKEN), i == 1);
		assert_int_equal(!*info.error, i != 1);
	}
	assert_int_equal(fake_counts.opens, 2);
}

/* who wants one file does not wait until all have been read for a list, though he came later */
static void test_list_gives_way(void **state)
{
	struct test_request *list, *texts;

	(void)state;
	fake_model(folder, "d.gguf", TEXT);
	serve_a_alone();
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	texts = ask_control(LLM_OP_TOKENIZE, "d", "some text");
	fixture_turns();
	read_file();
	fixture_turns();
	assert_false(texts->ended);
	read_file();
	fixture_turns();
	ended_well(texts);
	assert_false(list->ended);
	read_file();
	fixture_turns();
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 4);
	assert_int_equal(fake_counts.opens, 3);
}

/* who waits for a list goes away in the middle of it, and then so does what is being read */
static void test_list_cancelled(void **state)
{
	struct test_request *list;
	char path[512];

	(void)state;
	serve_a_alone();
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	read_file();
	fixture_turns();
	/* c is being read */
	list->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, list->event.id, 1);
	fixture_turns();
	failed(list, -ECANCELED);
	assert_int_equal(list->output.len, 0);
	snprintf(path, sizeof(path), "%s/c.gguf", folder);
	assert_int_equal(unlink(path), 0);
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	assert_false(list->ended);
	read_file();
	fixture_turns();
	ended_well(list);
	assert_int_equal(fake_counts.opens, 2);
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 2);
}

/* what is wrong with the moment, not with the file, is told to who waited, and tried again */
static void test_failure(void **state)
{
	struct test_request *first, *second;

	(void)state;
	serve_a_alone();
	fake_clock_ns = NS_PER_S;
	fake_open_error = -EMFILE;
	first = ask_model("b", "x", 3);
	second = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	read_file();
	fixture_turns();
	failed(first, -EMFILE);
	assert_error(second, -EMFILE, "b.gguf");
	assert_int_equal(fake_counts.opens, 1);
	fake_open_error = 0;
	fake_clock_ns += 2 * NS_PER_S;
	second = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	read_file();
	fixture_turns();
	ended_well(second);
	assert_int_equal(fake_counts.opens, 2);
}

/* it is another one by the time that it has been read: that is what who waited gets */
static void test_replaced(void **state)
{
	struct test_request *request, *other;
	struct llm_model_info info;
	size_t len;

	(void)state;
	serve_a_alone();
	request = ask_control(LLM_OP_SHOW, "b", "");
	fixture_turns();
	fake_model(folder, "b.gguf", TEXT " context=100");
	/* who finds it replaced */
	other = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	read_file();
	fixture_turns();
	assert_false(request->ended || other->ended);
	read_file();
	fixture_turns();
	ended_well(request);
	ended_well(other);
	memcpy(&info, record_at(request, LLM_RECORD_MODEL, 0, &len), sizeof(info));
	assert_int_equal(info.context, 100);
	assert_int_equal(info.file_bytes, strlen(TEXT " context=100"));
}

/* a file that is being written: whoever asks for it is told, and nobody else waits for that long */
static void test_written(void **state)
{
	struct test_request *request, *other;
	char text[64];
	unsigned int i;

	(void)state;
	serve_a_alone();
	fake_clock_ns = NS_PER_S;
	request = ask_control(LLM_OP_TOKENIZE, "b", "x");
	other = ask_control(LLM_OP_TOKENIZE, "c", "x");
	fixture_turns();
	for (i = 0; i < 20 && !request->ended; i++) {
		/* cut off, and longer each time */
		snprintf(text, sizeof(text), "no model %0*u", (int)i + 1, i);
		fake_model(folder, "b.gguf", text);
		read_file();
		fixture_turns();
	}
	assert_error(request, -ESTALE, "being written");
	assert_true(i > 2);
	assert_false(other->ended);
	read_file();
	fixture_turns();
	ended_well(other);
	/* it is whole, which is found out behind a pause */
	fake_model(folder, "b.gguf", TEXT);
	request = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	assert_error(request, -ESTALE, "being written");
	fake_clock_ns += 2 * NS_PER_S;
	request = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	read_file();
	fixture_turns();
	ended_well(request);
}

/* a file that is replaced while nobody is left who asked, and the one that it was is loaded */
static void test_outdated(void **state)
{
	struct test_request *request;

	(void)state;
	serve_a_alone();
	request = ask_model("b", "x", 3);
	fixture_turns();
	read_file();
	fixture_turns();
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	fixture_turns();
	assert_true(request->ended);
	fake_model(folder, "b.gguf", TEXT " context=100");
	request = ask_model("b", "x", 3);
	fixture_turns();
	read_file();
	fixture_turns();
	/* of the old one nobody hears; the new one waits for its turn */
	load();
	fixture_turns();
	assert_false(request->ended);
	load();
	fixture_turns();
	answered(request);
	assert_int_equal(fake_counts.loads, 3);
}

/* nobody waits for it any more, and the server ends in the middle of another one */
static void test_end(void **state)
{
	struct test_request *request, *last;

	(void)state;
	serve_a_alone();
	request = ask_model("b", "x", 3);
	fixture_turns();
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	fixture_turns();
	assert_true(request->ended);
	read_file();
	fixture_turns();
	assert_int_equal(fixture_loaded(), 1);
	last = ask_model("c", "x", 3);
	fixture_turns();
	sem_post(&file_gate);
	test_broker_kill(&broker);
	assert_false(last->ended);
	test_broker_serve(&broker, &config);
	fixture_turns();
	read_file();
	fixture_turns();
	load();
	fixture_turns();
	answered(last);
}

/* who waits for a file takes no slot from those who do not */
static void test_slots(void **state)
{
	struct test_request *waiting[2], *running;

	(void)state;
	config.slots = 2;
	serve_a_alone();
	for (size_t i = 0; i < 2; i++)
		waiting[i] = ask_model("b", "x", 3);
	fixture_turns();
	running = ask_model("a", "x", 20);
	fixture_turns();
	answered(running);
	read_file();
	fixture_turns();
	load();
	fixture_turns();
	for (size_t i = 0; i < 2; i++)
		answered(waiting[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_beside_load, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_gives_way, setup, teardown),
		cmocka_unit_test_setup_teardown(test_list_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failure, setup, teardown),
		cmocka_unit_test_setup_teardown(test_replaced, setup, teardown),
		cmocka_unit_test_setup_teardown(test_written, setup, teardown),
		cmocka_unit_test_setup_teardown(test_outdated, setup, teardown),
		cmocka_unit_test_setup_teardown(test_end, setup, teardown),
		cmocka_unit_test_setup_teardown(test_slots, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_opening", tests, NULL, NULL);
}
