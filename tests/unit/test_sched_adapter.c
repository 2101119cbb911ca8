/* SPDX-License-Identifier: MIT */
/*
 * Adapters as the scheduler deals with them: what a request names, that nobody's answer depends on
 * what others name, that nothing is reused with other adapters than it was computed with, what is in
 * memory, and that an answer goes on with its adapters after any death of the server.
 */
#include <sys/stat.h>
#include <unistd.h>

#include "base/util.h"
#include "sched_fixture.h"

#define MODEL		"FAKE context=200 page=4 pages=64"
#define MODEL_BYTES	(6400 + sizeof(MODEL) - 1)
#define PROMPT		"0123456789abcdefghij"
#define ONE		1000000

static int setup(void **state)
{
	(void)state;
	fixture_small("");
	config.engine.prefix_percent = 50;
	fake_model(folder, "a.gguf", MODEL);
	fake_adapter(folder, "one.gguf", "ADAPTER seed=1 bytes=500");
	fake_adapter(folder, "two.gguf", "ADAPTER seed=2 bytes=500");
	fake_adapter(folder, "three.gguf", "ADAPTER seed=3 bytes=500");
	fake_adapter(folder, "broken.gguf", "something else");
	return 0;
}

/** struct named - an adapter in a request; @name: NULL ends a list */
struct named {
	const char *name;
	int32_t scale;
};

static struct test_request *submit(enum llm_op op, const struct named *named, const char *prompt)
{
	uint8_t payload[1024], option[256];
	struct test_request *request;
	size_t len = 0;

	for (; named && named->name; named++) {
		const struct llm_adapter adapter = { .scale = named->scale };

		memcpy(option, &adapter, sizeof(adapter));
		memcpy(option + sizeof(adapter), named->name, strlen(named->name));
		len = put_option(payload, len, LLM_OPTION_ADAPTER, option,
				 sizeof(adapter) + strlen(named->name));
	}
	len = put_option(payload, len, LLM_OPTION_END, "", 0);
	memcpy(payload + len, prompt, strlen(prompt));
	request = test_submit(&broker, op, LLM_PAYLOAD_RAW, payload, len + strlen(prompt));
	request->event.flags = LLM_SUBMIT_OPTIONS | LLM_SUBMIT_IGNORE_EOS;
	request->event.max_tokens = 12;
	request->event.cgroup_id = request->event.domain_cgroup = 1;
	request->event.uid = request->event.domain_uid = 1000;
	return request;
}

static struct test_request *ask(const struct named *named)
{
	return submit(LLM_OP_GENERATE, named, PROMPT);
}

static bool is_same(const struct bytes *a, const struct bytes *b)
{
	return a->len == b->len && !memcmp(bytes_data(a), bytes_data(b), a->len);
}

/* sets that differ in what is named, how much of it, and in which order */
static const struct named sets[][3] = {
	{ { NULL, 0 } },
	{ { "one", ONE } },
	{ { "one", ONE / 2 } },
	{ { "one", -ONE } },
	{ { "two", ONE } },
	{ { "one", ONE }, { "two", ONE } },
	{ { "two", ONE }, { "one", ONE } },
};

#define SETS	ARRAY_SIZE(sets)

/* outputs of each set, alone on a server that keeps nothing */
static void answers_alone(struct bytes *outputs)
{
	const unsigned int percent = config.engine.prefix_percent;

	config.engine.prefix_percent = 0;
	for (unsigned int i = 0; i < SETS; i++) {
		struct test_request *request;

		test_broker_init(&broker);
		test_broker_serve(&broker, &config);
		request = ask(sets[i]);
		test_run(&broker);
		answered(request);
		outputs[i] = (struct bytes){ 0 };
		assert_int_equal(bytes_append(&outputs[i], bytes_data(&request->output),
					   request->output.len), 0);
		test_broker_free(&broker);
	}
	for (unsigned int i = 0; i < SETS; i++)
		for (unsigned int j = 0; j < i; j++)
			assert_false(is_same(&outputs[i], &outputs[j]));
	config.engine.prefix_percent = percent;
	test_broker_init(&broker);
}

static void outputs_free(struct bytes *outputs)
{
	for (unsigned int i = 0; i < SETS; i++)
		bytes_free(&outputs[i]);
}

/* side by side, each gets what it gets alone */
static void test_company(void **state)
{
	struct test_request *requests[2 * SETS];
	struct bytes alone[SETS];

	(void)state;
	answers_alone(alone);
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < 2 * SETS; i++)
		requests[i] = ask(sets[i % SETS]);
	test_run(&broker);
	for (unsigned int i = 0; i < 2 * SETS; i++) {
		answered(requests[i]);
		assert_true(is_same(&requests[i]->output, &alone[i % SETS]));
	}
	assert_int_equal(fake_counts.adapters, 2);
	outputs_free(alone);
}

/* one after the other: what the same user has computed is found with the same adapters alone */
static void test_prefix(void **state)
{
	struct bytes alone[SETS];

	(void)state;
	/* what all of them have computed finds room */
	fake_model(folder, "a.gguf", "FAKE context=200 page=4 pages=200");
	answers_alone(alone);
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < 2 * SETS; i++) {
		const unsigned int before = fake_counts.reused;
		struct test_request *request = ask(sets[i % SETS]);

		test_run(&broker);
		answered(request);
		assert_true(is_same(&request->output, &alone[i % SETS]));
		/* five pages of the prompt, once they are there */
		assert_int_equal(fake_counts.reused - before, i < SETS ? 0 : 20);
	}
	outputs_free(alone);
}

/* scores are of the model with its adapters, too */
static void test_score(void **state)
{
	struct test_request *requests[2];

	(void)state;
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < 2; i++) {
		requests[i] = submit(LLM_OP_SCORE, sets[i], PROMPT);
		requests[i]->event.flags = LLM_SUBMIT_OPTIONS | LLM_SUBMIT_RECORDS;
	}
	test_run(&broker);
	for (unsigned int i = 0; i < 2; i++)
		assert_int_equal(requests[i]->status, 0);
	assert_int_equal(requests[0]->output.len, requests[1]->output.len);
	assert_false(is_same(&requests[0]->output, &requests[1]->output));
}

/* killed at each commit, before or after it takes effect */
static void test_recovery(void **state)
{
	struct bytes alone[SETS];
	unsigned int deaths = 0;

	(void)state;
	answers_alone(alone);
	for (unsigned int die_at = 1; die_at < 40; die_at++) {
		test_broker_init(&broker);
		broker.die_at = die_at;
		broker.die_before = die_at % 2;
		for (unsigned int i = 0; i < SETS; i++)
			ask(sets[i]);
		test_run_all(&broker, &config);
		for (unsigned int i = 0; i < SETS; i++) {
			answered(&broker.requests[i]);
			assert_true(is_same(&broker.requests[i].output, &alone[i]));
			deaths += broker.requests[i].event.attempts > 1;
		}
		test_broker_free(&broker);
	}
	assert_true(deaths > 40);
	test_broker_init(&broker);
	outputs_free(alone);
}

/* another file under the same name, when the server comes back: the answer can't go on */
static void test_replaced(void **state)
{
	struct test_request *request, *other;

	(void)state;
	broker.die_at = 3;
	request = ask(sets[1]);
	test_broker_serve(&broker, &config);
	test_run(&broker);
	assert_true(broker.dead);
	test_broker_kill(&broker);
	broker.die_at = 0;
	fake_adapter(folder, "one.gguf", "ADAPTER seed=11 bytes=5000");
	test_broker_serve(&broker, &config);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ESTALE);
	/* who comes now gets the new one */
	other = ask(sets[1]);
	test_run(&broker);
	answered(other);
	assert_int_equal(fake_counts.adapters, 1);
	fake_adapter(folder, "one.gguf", "ADAPTER seed=1 bytes=500");
	request = ask(sets[1]);
	test_run(&broker);
	answered(request);
	assert_false(is_same(&request->output, &other->output));
	assert_int_equal(fake_counts.adapters, 1);
}

static void remove_adapters(void)
{
	static const char *const names[] = { "one", "two", "three", "broken" };
	char path[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(names); i++) {
		snprintf(path, sizeof(path), "%s/adapters/%s.gguf", folder, names[i]);
		assert_int_equal(unlink(path), 0);
	}
	snprintf(path, sizeof(path), "%s/adapters", folder);
	assert_int_equal(rmdir(path), 0);
}

/*
 * The folder is gone while somebody is being answered, and somebody waits who named another one:
 * who has it in memory gets his answer, who has not is told, and nobody else notices.
 */
static void test_vanished(void **state)
{
	struct test_request *request, *same, *waits, *late, *plain, *list;
	struct bytes alone[SETS];

	(void)state;
	answers_alone(alone);
	/* there is room for one at a time */
	config.model_memory = MODEL_BYTES + 600;
	test_broker_serve(&broker, &config);
	request = ask(sets[1]);
	same = ask(sets[1]);
	waits = ask(sets[4]);
	do {
		assert_true(test_turn(&broker));
	} while (!request->event.output_tokens);
	assert_true(waits->taken);
	assert_int_equal(fake_counts.adapters, 1);
	remove_adapters();
	list = test_submit(&broker, LLM_OP_MODELS, LLM_PAYLOAD_RAW, "", 0);
	list->event.flags = LLM_SUBMIT_RECORDS;
	plain = ask(NULL);
	test_run(&broker);
	answered(request);
	assert_true(is_same(&request->output, &alone[1]));
	answered(same);
	assert_true(is_same(&same->output, &alone[1]));
	assert_true(waits->ended);
	assert_int_equal(waits->status, -ESTALE);
	assert_int_equal(list->status, 0);
	answered(plain);
	assert_true(is_same(&plain->output, &alone[0]));
	/* nobody names it any more: it goes, and its memory with it */
	late = ask(sets[1]);
	test_run(&broker);
	assert_int_equal(late->status, -ENOENT);
	assert_int_equal(fake_counts.adapters, 0);
	/* and comes back with its folder */
	fake_adapter(folder, "one.gguf", "ADAPTER seed=1 bytes=500");
	late = ask(sets[1]);
	test_run(&broker);
	answered(late);
	assert_true(is_same(&late->output, &alone[1]));
	outputs_free(alone);
}

/* ---- what is refused ---- */

static void test_names(void **state)
{
	static const struct {
		struct named named[6];
		int status;
	} cases[] = {
		{ { { "nobody", ONE } }, -ENOENT },
		{ { { "../adapters/one", ONE } }, -EINVAL },
		{ { { "..", ONE } }, -EINVAL },
		{ { { "", ONE } }, -EINVAL },
		{ { { "one", ONE }, { "one", 1 } }, -EINVAL },
		{ { { "broken", ONE } }, -EBADMSG },
		{ { { "one", 1 }, { "two", 1 }, { "three", 1 }, { "b", 1 }, { "c", 1 } }, -E2BIG },
		{ { { "0123456789012345678901234567890123456789012345678901234567890123", 1 } },
		  -EINVAL },
	};
	struct test_request *append, *good;
	unsigned int i;

	(void)state;
	test_broker_serve(&broker, &config);
	for (i = 0; i < ARRAY_SIZE(cases); i++)
		ask(cases[i].named);
	append = submit(LLM_OP_APPEND, sets[1], PROMPT);
	good = ask((struct named[]){ { "three", INT32_MIN }, { NULL, 0 } });
	test_run(&broker);
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_true(broker.requests[i].ended);
		assert_int_equal(broker.requests[i].status, cases[i].status);
	}
	assert_int_equal(append->status, -EINVAL);
	answered(good);
	/* what names none that there is loads none */
	assert_int_equal(fake_counts.adapter_loads, 1);
}

/* a name with a NUL in it, and a head that is cut off */
static void test_torn(void **state)
{
	struct test_request *nul, *torn;

	(void)state;
	test_broker_serve(&broker, &config);
	nul = ask(sets[1]);
	nul->data[sizeof(struct llm_option) + sizeof(struct llm_adapter) + 1] = 0;
	torn = ask(sets[1]);
	torn->data[offsetof(struct llm_option, len)] = 3;
	test_run(&broker);
	assert_int_equal(nul->status, -EINVAL);
	assert_int_equal(torn->status, -EINVAL);
}

/* without a folder there are none, and that is no error until one is named */
static void test_no_folder(void **state)
{
	struct test_request *request, *plain;
	char path[128];

	(void)state;
	snprintf(path, sizeof(path), "%s/nowhere", folder);
	config.adapters = path;
	assert_int_equal(sched_new(&broker.sched, &config, NULL), -ENOENT);
	broker.sched = NULL;
	config.adapters = NULL;
	fake_folder_remove();
	assert_int_equal(mkdir(folder, 0755), 0);
	fake_model(folder, "a.gguf", MODEL);
	test_broker_serve(&broker, &config);
	request = ask(sets[1]);
	plain = ask(NULL);
	test_run(&broker);
	assert_int_equal(request->status, -ENOENT);
	answered(plain);
}

/* ---- memory ---- */

/* there is room for the model and two of them: who was idle longest goes */
static void test_evicted(void **state)
{
	static const char *const names[] = { "one", "two", "three" };
	struct bytes first[3] = { { 0 } };

	(void)state;
	config.model_memory = MODEL_BYTES + 1100;
	config.engine.prefix_percent = 0;
	test_broker_serve(&broker, &config);
	for (unsigned int round = 0; round < 4; round++)
		for (unsigned int i = 0; i < 3; i++) {
			struct test_request *request =
				ask((struct named[]){ { names[i], ONE }, { NULL, 0 } });

			test_run(&broker);
			answered(request);
			if (!round)
				assert_int_equal(bytes_append(&first[i], bytes_data(&request->output),
							   request->output.len), 0);
			assert_true(is_same(&first[i], &request->output));
			assert_true(fake_counts.adapters <= 2);
		}
	assert_int_equal(fake_counts.loads, 1);
	assert_int_equal(fake_counts.adapter_loads, 12);
	for (unsigned int i = 0; i < 3; i++)
		bytes_free(&first[i]);
}

/* what steps with them take is the model's, and counted as long as it has one */
static void test_memory_of_steps(void **state)
{
	const struct named one[] = { { "one", ONE }, { NULL, 0 } };
	struct test_request *request;

	(void)state;
	fake_adapt_bytes = 300;
	config.model_memory = MODEL_BYTES + 500 + 299;
	test_broker_serve(&broker, &config);
	request = ask(one);
	test_run(&broker);
	assert_int_equal(request->status, -ENOMEM);
	assert_int_equal(fake_counts.adapters, 0);
	/* without adapters there is as much room as before */
	request = ask(NULL);
	test_run(&broker);
	answered(request);
	test_broker_kill(&broker);
	config.model_memory++;
	test_broker_serve(&broker, &config);
	request = ask(one);
	test_run(&broker);
	answered(request);
	/* the first one makes way for the second, and what it took for steps is not taken twice */
	request = ask((struct named[]){ { "two", ONE }, { NULL, 0 } });
	test_run(&broker);
	answered(request);
	assert_int_equal(fake_counts.adapters, 1);
}

/* a model goes with its adapters while those who asked for them are told to pause */
static void test_goes_with_model(void **state)
{
	struct test_request *requests[12];

	(void)state;
	fake_adapt_bytes = 300;
	fake_model(folder, "b.gguf", MODEL);
	config.model_memory = MODEL_BYTES + 900;
	broker.pause_in = 2;
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++) {
		requests[i] = ask((struct named[]){ { i % 4 ? "one" : "two", ONE }, { NULL, 0 } });
		strcpy(requests[i]->event.model, i % 2 ? "b" : "a");
	}
	test_run(&broker);
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		answered(requests[i]);
	assert_true(fake_counts.loads > 2);
}

/* all at once: who finds no room waits until another one has ended */
static void test_wait_for_room(void **state)
{
	struct test_request *requests[9];

	(void)state;
	config.model_memory = MODEL_BYTES + 600;
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		requests[i] = ask((struct named[]){
			{ i % 3 == 0 ? "one" : i % 3 == 1 ? "two" : "three", ONE }, { NULL, 0 } });
	test_run(&broker);
	for (unsigned int i = 0; i < ARRAY_SIZE(requests); i++)
		answered(requests[i]);
	assert_int_equal(fake_counts.adapters, 1);
}

/* more than there will ever be */
static void test_no_room(void **state)
{
	struct test_request *one, *two, *plain;

	(void)state;
	config.model_memory = MODEL_BYTES + 600;
	test_broker_serve(&broker, &config);
	fake_adapter(folder, "big.gguf", "ADAPTER seed=4 bytes=900");
	two = ask(sets[5]);
	one = ask(sets[1]);
	plain = ask(NULL);
	test_run(&broker);
	assert_int_equal(two->status, -ENOMEM);
	answered(one);
	answered(plain);
}

/* another model needs the memory: an adapter goes with its model */
static void test_with_model(void **state)
{
	struct test_request *request;

	(void)state;
	fake_model(folder, "b.gguf", MODEL);
	config.model_memory = MODEL_BYTES + 1100;
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < 4; i++) {
		request = ask(sets[5]);
		strcpy(request->event.model, i % 2 ? "b" : "a");
		test_run(&broker);
		answered(request);
		assert_int_equal(fake_counts.adapters, 2);
	}
	assert_int_equal(fake_counts.loads, 4);
	/* and both models have the same one, where there is room */
	test_broker_kill(&broker);
	config.model_memory = 0;
	test_broker_serve(&broker, &config);
	for (unsigned int i = 0; i < 2; i++) {
		request = ask(sets[1]);
		strcpy(request->event.model, i ? "b" : "a");
	}
	test_run(&broker);
	assert_int_equal(fake_counts.adapters, 2);
}

/* ---- listed ---- */

static bool find_info(const struct bytes *output, const char *name, struct llm_model_info *ret)
{
	struct llm_record head;
	size_t at = 0;

	for (; at + sizeof(head) <= output->len; at += sizeof(head) + head.len) {
		memcpy(&head, bytes_data(output) + at, sizeof(head));
		if (head.type != LLM_RECORD_MODEL)
			continue;
		assert_int_equal(head.len, sizeof(*ret));
		memcpy(ret, bytes_data(output) + at + sizeof(head), sizeof(*ret));
		if (!strcmp(ret->name, name))
			return true;
	}
	return false;
}

static void test_listed(void **state)
{
	struct test_request *list, *show, *nobody;
	struct llm_model_info info;

	(void)state;
	test_broker_serve(&broker, &config);
	ask(sets[1]);
	test_run(&broker);
	list = test_submit(&broker, LLM_OP_MODELS, LLM_PAYLOAD_TEXT, "", 0);
	list->event.flags = LLM_SUBMIT_RECORDS;
	show = test_submit(&broker, LLM_OP_SHOW, LLM_PAYLOAD_TEXT, "", 0);
	show->event.flags = LLM_SUBMIT_RECORDS;
	strcpy(show->event.model, "two");
	nobody = test_submit(&broker, LLM_OP_SHOW, LLM_PAYLOAD_TEXT, "", 0);
	nobody->event.flags = LLM_SUBMIT_RECORDS;
	strcpy(nobody->event.model, "nobody");
	test_run(&broker);
	assert_true(find_info(&list->output, "a", &info));
	assert_int_equal(info.flags & LLM_MODEL_ADAPTER, 0);
	assert_true(find_info(&list->output, "one", &info));
	assert_int_equal(info.flags, LLM_MODEL_ADAPTER | LLM_MODEL_LOADED);
	assert_int_equal(info.memory_bytes, 500);
	assert_int_equal(info.width, 8);
	assert_string_equal(info.arch, "fake");
	assert_true(find_info(&list->output, "two", &info));
	assert_int_equal(info.flags, LLM_MODEL_ADAPTER);
	assert_true(find_info(&list->output, "broken", &info));
	assert_int_equal(info.flags, LLM_MODEL_ADAPTER | LLM_MODEL_BROKEN);
	assert_string_equal(info.error, "not an adapter");
	assert_true(find_info(&show->output, "two", &info));
	assert_int_equal(show->status, 0);
	assert_int_equal(nobody->status, -ENOENT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_company), TEST(test_prefix), TEST(test_score), TEST(test_recovery),
		TEST(test_replaced), TEST(test_vanished), TEST(test_names), TEST(test_torn),
		TEST(test_no_folder), TEST(test_evicted), TEST(test_memory_of_steps),
		TEST(test_goes_with_model), TEST(test_wait_for_room), TEST(test_no_room),
		TEST(test_with_model), TEST(test_listed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
