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

#define FILES	8	/* by the first letters of their names */

static sem_t file_gates[FILES], arrived, gate;

/* files are read when the test says so, each by itself */
static void wait_at_file(const char *path)
{
	sem_post(&arrived);
	sem_wait(&file_gates[strrchr(path, '/')[1] - 'a']);
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
	for (int i = 0; i < FILES; i++)
		sem_init(&file_gates[i], 0, 0);
	sem_init(&arrived, 0, 0);
	sem_init(&gate, 0, 0);
	return 0;
}

static int teardown(void **state)
{
	int r;

	/* a test that failed may have left them there */
	for (int i = 0; i < 8; i++) {
		for (int file = 0; file < FILES; file++)
			sem_post(&file_gates[file]);
		sem_post(&gate);
	}
	r = fixture_end(state);
	for (int i = 0; i < FILES; i++)
		sem_destroy(&file_gates[i]);
	sem_destroy(&arrived);
	sem_destroy(&gate);
	return r;
}

/* that file is read, and the loop hears of it */
static void read_file(char name)
{
	sem_post(&file_gates[name - 'a']);
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

static struct llm_status status_now(void)
{
	struct llm_status status;

	sched_fill_status(broker.sched, &status);
	return status;
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
	read_file('b');
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

/* a file that is read waits for no model that is loaded */
static void test_beside_load(void **state)
{
	struct test_request *b, *c, *texts;

	(void)state;
	serve_a_alone();
	b = ask_model("b", "x", 3);
	fixture_turns();
	read_file('b');
	fixture_turns();
	/* b is being loaded */
	c = ask_model("c", "x", 3);
	texts = ask_control(LLM_OP_TOKENIZE, "c", "some text");
	fixture_turns();
	read_file('c');
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
	for (char name = 'b'; name <= 'c'; name++) {
		fixture_turns();
		assert_false(list->ended);
		running = ask_model("a", "for this one", 20);
		fixture_turns();
		answered(running);
		read_file(name);
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
	for (char name = 'd'; name <= 'g'; name++) {
		const char file[] = { name, '.', 'g', 'g', 'u', 'f', '\0' };

		fake_model(folder, file, TEXT);
	}
	serve_a_alone();
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	/* b, c and d are being read, and one more may be */
	texts = ask_control(LLM_OP_TOKENIZE, "g", "some text");
	fixture_turns();
	read_file('g');
	fixture_turns();
	ended_well(texts);
	texts = ask_control(LLM_OP_TOKENIZE, "f", "some text");
	fixture_turns();
	read_file('f');
	fixture_turns();
	ended_well(texts);
	for (char name = 'b'; name <= 'e'; name++) {
		assert_false(list->ended);
		read_file(name);
		fixture_turns();
	}
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 7);
	assert_int_equal(fake_counts.opens, 6);
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
	read_file('b');
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
	read_file('c');
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
	read_file('b');
	fixture_turns();
	failed(first, -EMFILE);
	assert_error(second, -EMFILE, "b.gguf");
	assert_int_equal(fake_counts.opens, 1);
	fake_open_error = 0;
	fake_clock_ns += 2 * NS_PER_S;
	second = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	read_file('b');
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
	/* who finds it replaced, and waits for nothing; the file that it was may be read for ever */
	sem_wait(&arrived);
	fake_on_open = NULL;
	other = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	fixture_hear();
	fixture_turns();
	ended_well(request);
	ended_well(other);
	memcpy(&info, record_at(request, LLM_RECORD_MODEL, 0, &len), sizeof(info));
	assert_int_equal(info.context, 100);
	assert_int_equal(info.file_bytes, strlen(TEXT " context=100"));
	/* when it has been, nobody minds */
	read_file('b');
	fixture_turns();
	other = ask_control(LLM_OP_TOKENIZE, "b", "x");
	fixture_turns();
	ended_well(other);
	assert_int_equal(fake_counts.opens, 2);
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
		read_file('b');
		fixture_turns();
	}
	assert_error(request, -ESTALE, "being written");
	assert_true(i > 2);
	assert_false(other->ended);
	read_file('c');
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
	read_file('b');
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
	read_file('b');
	fixture_turns();
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	fixture_turns();
	assert_true(request->ended);
	fake_model(folder, "b.gguf", TEXT " context=100");
	request = ask_model("b", "x", 3);
	fixture_turns();
	read_file('b');
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
	read_file('b');
	fixture_turns();
	assert_int_equal(fixture_loaded(), 1);
	last = ask_model("c", "x", 3);
	fixture_turns();
	sem_post(&file_gates['c' - 'a']);
	test_broker_kill(&broker);
	assert_false(last->ended);
	test_broker_serve(&broker, &config);
	fixture_turns();
	read_file('c');
	fixture_turns();
	load();
	fixture_turns();
	answered(last);
}

/* many more wait for a file, and then for a model, than there are slots: who does not is answered */
static void test_crowd(void **state)
{
	struct test_request *waiting[20], *running;

	(void)state;
	config.slots = 2;
	serve_a_alone();
	broker.ipc.is_fair = true;
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++) {
		waiting[i] = ask_model("b", "x", 3);
		fixture_turns();
	}
	assert_int_equal(broker.spare, ARRAY_SIZE(waiting));
	assert_int_equal(status_now().slots_busy, 0);
	running = ask_model("a", "x", 20);
	fixture_turns();
	answered(running);
	read_file('b');
	fixture_turns();
	/* the same while it is loaded, and nobody has been judged yet */
	assert_int_equal(broker.spare, ARRAY_SIZE(waiting));
	running = ask_model("a", "x", 20);
	fixture_turns();
	answered(running);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(waiting[i]->commits, 0);
	sem_post(&gate);
	fixture_hear();
	test_turn(&broker);
	/* all have been by the end of the first step, though there is room for a few of them only */
	assert_int_equal(broker.spare, 0);
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(waiting[i]->commits, 1);
	fixture_turns();
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		answered(waiting[i]);
}

/* who is told to pause by that does, and goes on when he may */
static void test_crowd_pauses(void **state)
{
	struct test_request *waiting[20];

	(void)state;
	config.slots = 2;
	serve_a_alone();
	broker.ipc.is_fair = true;
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		waiting[i] = ask_model("b", "x", 3);
	fixture_turns();
	broker.pause_in = 2;
	read_file('b');
	fixture_turns();
	load();
	fixture_turns();
	for (size_t i = 0; i < ARRAY_SIZE(waiting); i++)
		answered(waiting[i]);
	assert_int_equal(broker.spare, 0);
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
	read_file('b');
	fixture_turns();
	load();
	fixture_turns();
	for (size_t i = 0; i < 2; i++)
		answered(waiting[i]);
}

/* facts of the @index'th model or adapter of a list */
static struct llm_model_info listed(const struct test_request *list, size_t index)
{
	struct llm_model_info info;
	const uint8_t *body;
	size_t len;

	body = record_at(list, LLM_RECORD_MODEL, index, &len);
	assert_non_null(body);
	assert_int_equal(len, sizeof(info));
	memcpy(&info, body, sizeof(info));
	return info;
}

/* a disk that does not answer: only who wants what is on it waits, and what waits is told of */
static void test_hung(void **state)
{
	struct test_request *waiting, *list, *other;

	(void)state;
	serve_a_alone();
	fake_clock_ns = 100 * NS_PER_S;
	waiting = ask_control(LLM_OP_TOKENIZE, "b", "x");
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	assert_int_equal(status_now().reading_ns, 0);
	other = ask_model("c", "y", 3);
	fixture_turns();
	read_file('c');
	fixture_turns();
	load();
	fixture_turns();
	answered(other);
	assert_false(list->ended);
	assert_true(sched_retry_ns(broker.sched));
	fake_clock_ns = sched_retry_ns(broker.sched);
	fixture_turns();
	fake_clock_ns += NS_PER_S;
	fixture_turns();
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 3);
	assert_true(listed(list, 1).flags & LLM_MODEL_BROKEN);
	assert_non_null(strstr(listed(list, 1).error, "is being read"));
	assert_false(listed(list, 2).flags & LLM_MODEL_BROKEN);
	assert_string_equal(status_now().reading, "b");
	assert_in_range(status_now().reading_ns, 100 * NS_PER_S, 101 * NS_PER_S);
	/* told once */
	assert_int_equal(sched_retry_ns(broker.sched), 0);
	assert_false(waiting->ended);
	read_file('b');
	fixture_turns();
	ended_well(waiting);
	assert_string_equal(status_now().reading, "");
	assert_int_equal(fake_counts.opens, 2);
}

/* there are only so many threads for a disk: who comes later waits for one of them */
static void test_bound(void **state)
{
	struct test_request *texts[5];

	(void)state;
	fake_model(folder, "d.gguf", TEXT);
	fake_model(folder, "e.gguf", TEXT);
	fake_model(folder, "f.gguf", TEXT);
	serve_a_alone();
	for (size_t i = 0; i < 5; i++) {
		const char name[] = { 'b' + i, '\0' };

		texts[i] = ask_control(LLM_OP_TOKENIZE, name, "x");
	}
	fixture_turns();
	/* f's gate is open, but nobody goes there */
	sem_post(&file_gates['f' - 'a']);
	read_file('c');
	fixture_turns();
	ended_well(texts[1]);
	fixture_hear();
	fixture_turns();
	ended_well(texts[4]);
	assert_false(texts[0]->ended || texts[2]->ended || texts[3]->ended);
	for (size_t i = 0; i < 5; i++)
		if (!texts[i]->ended)
			read_file('b' + (char)i);
	fixture_turns();
	for (size_t i = 0; i < 5; i++)
		ended_well(texts[i]);
}

/* what an adapter's file says is read in the same way, once, and again when it is another one */
static void test_adapters(void **state)
{
	struct test_request *list, *shown[2], *running;

	(void)state;
	fake_adapter(folder, "d.gguf", "ADAPTER seed=1 bytes=8");
	fake_adapter(folder, "e.gguf", "no adapter");
	serve_a_alone();
	shown[0] = ask_control(LLM_OP_SHOW, "d", "");
	shown[1] = ask_control(LLM_OP_SHOW, "d", "");
	list = ask_control(LLM_OP_MODELS, "", "");
	running = ask_model("a", "for this one", 20);
	fixture_turns();
	answered(running);
	assert_false(list->ended || shown[0]->ended || shown[1]->ended);
	read_file('b');
	read_file('c');
	fixture_turns();
	read_file('d');
	fixture_turns();
	for (size_t i = 0; i < 2; i++) {
		ended_well(shown[i]);
		assert_int_equal(listed(shown[i], 0).width, 8);
	}
	assert_same_output(shown[0], shown[1]);
	assert_false(list->ended);
	read_file('e');
	fixture_turns();
	ended_well(list);
	assert_int_equal(record_count(list, LLM_RECORD_MODEL), 5);
	assert_int_equal(listed(list, 3).flags, LLM_MODEL_ADAPTER);
	assert_int_equal(listed(list, 4).flags, LLM_MODEL_ADAPTER | LLM_MODEL_BROKEN);
	assert_string_equal(listed(list, 4).error, "not an adapter");
	/* known by now, but for the one that is another one */
	fake_adapter(folder, "e.gguf", "ADAPTER seed=2 bytes=16");
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	assert_false(list->ended);
	read_file('e');
	fixture_turns();
	ended_well(list);
	assert_int_equal(listed(list, 4).flags, LLM_MODEL_ADAPTER);
}

/* of an adapter whose disk does not answer, too, a list says so and ends */
static void test_adapter_hung(void **state)
{
	struct test_request *list, *shown;

	(void)state;
	fake_adapter(folder, "d.gguf", "ADAPTER seed=1 bytes=8");
	serve_a_alone();
	fake_clock_ns = 100 * NS_PER_S;
	list = ask_control(LLM_OP_MODELS, "", "");
	fixture_turns();
	read_file('b');
	read_file('c');
	fixture_turns();
	assert_false(list->ended);
	for (int i = 0; i < 3; i++)
		sem_wait(&arrived);
	shown = ask_control(LLM_OP_SHOW, "d", "");
	fixture_turns();
	fake_clock_ns += 11 * NS_PER_S;
	fixture_turns();
	ended_well(list);
	assert_int_equal(listed(list, 3).flags, LLM_MODEL_ADAPTER | LLM_MODEL_BROKEN);
	assert_non_null(strstr(listed(list, 3).error, "is being read"));
	assert_string_equal(status_now().reading, "d");
	assert_false(shown->ended);
	/* it is mended under the same name */
	fake_adapter(folder, "d.gguf", "ADAPTER seed=1 bytes=160");
	fake_on_open = NULL;
	list = ask_control(LLM_OP_SHOW, "d", "");
	fixture_turns();
	fixture_hear();
	fixture_turns();
	ended_well(list);
	ended_well(shown);
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
		cmocka_unit_test_setup_teardown(test_crowd, setup, teardown),
		cmocka_unit_test_setup_teardown(test_crowd_pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(test_hung, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bound, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapters, setup, teardown),
		cmocka_unit_test_setup_teardown(test_adapter_hung, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_opening", tests, NULL, NULL);
}
