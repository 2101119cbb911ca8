/* SPDX-License-Identifier: MIT */
/*
 * Requests whose grammar is being compiled: who else gets on meanwhile, whatever it takes, and that
 * each of them comes to an end.
 */
#include "grammar_gate.h"
#include "sched/job.h"
#include "sched_fixture.h"

#define TEXT	"FAKE context=200 page=4 pages=64"

static int setup(void **state)
{
	(void)state;
	fixture_begin("a");
	config.slots = 1;
	config.engine.max_seqs = 1;
	serve(TEXT);
	broker.leaves_grammars = true;
	grammar_gate_close();
	return 0;
}

static int teardown(void **state)
{
	/* a test that failed may have left somebody there */
	grammar_gate_open();
	return fixture_end(state);
}

static struct test_request *ask_held(const char *grammar, unsigned int tokens)
{
	uint8_t payload[256];
	struct test_request *request;
	size_t len = put_option(payload, 0, LLM_OPTION_GRAMMAR, grammar, strlen(grammar));

	len = put_option(payload, len, LLM_OPTION_END, NULL, 0);
	memcpy(payload + len, "a prompt", 8);
	request = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, payload, len + 8);
	request->event.flags = LLM_SUBMIT_OPTIONS | LLM_SUBMIT_RECORDS;
	request->event.max_tokens = tokens;
	request->event.domain_cgroup = 3;
	request->event.domain_uid = 1000;
	return request;
}

static void cancel(struct test_request *request)
{
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	fixture_turns();
}

/* from now on, turns wait for what is being compiled, as usual */
static void let_all_go(void)
{
	grammar_gate_open();
	broker.leaves_grammars = false;
	fixture_turns();
}

/* the only slot is for those who can be stepped */
static void test_others_go_on(void **state)
{
	struct test_request *held, *others[3];

	(void)state;
	held = ask_held("a", 3);
	for (unsigned int i = 0; i < ARRAY_SIZE(others); i++) {
		others[i] = ask_model("a", "for another one", 5);
		fixture_turns();
		answered(others[i]);
		assert_int_equal(broker.spare, 1);
	}
	assert_string_equal(grammar_gate_wait(1), "a");
	assert_false(held->ended);
	let_all_go();
	answered(held);
	assert_int_equal(broker.spare, 0);
	assert_int_equal(broker.sched->grammars.bytes, 0);
}

/* it is compiled once for all who ask, also who comes while nobody waits any more */
static void test_once(void **state)
{
	struct test_request *held[3];

	(void)state;
	held[0] = ask_held("a", 3);
	held[1] = ask_held("a", 3);
	fixture_turns();
	grammar_gate_wait(1);
	cancel(held[0]);
	cancel(held[1]);
	held[2] = ask_held("a", 3);
	let_all_go();
	answered(held[2]);
	assert_string_equal(grammar_gate_begun(), "a");
}

/* who goes is told at once, begun or not; nothing is left of him when it is done */
static void test_cancelled(void **state)
{
	struct test_request *begun, *waiting;

	(void)state;
	begun = ask_held("a", 3);
	fixture_turns();
	grammar_gate_wait(1);
	waiting = ask_held("b", 3);
	fixture_turns();
	cancel(waiting);
	failed(waiting, -ECANCELED);
	cancel(begun);
	failed(begun, -ECANCELED);
	assert_int_equal(broker.spare, 0);
	assert_true(broker.sched->grammars.bytes > 0);
	grammar_gate_open();
	while (broker.sched->grammars.bytes)
		fixture_hear();
	assert_string_equal(grammar_gate_begun(), "a");
}

/* in the words of the compiler, to each of them */
static void test_failed(void **state)
{
	struct test_request *bad[2];

	(void)state;
	bad[0] = ask_held("A", 3);
	bad[1] = ask_held("A", 3);
	let_all_go();
	assert_error(bad[0], -EINVAL, GRAMMAR_GATE_WHY);
	assert_error(bad[1], -EINVAL, GRAMMAR_GATE_WHY);
}

/* the next server has it again, and compiles it again */
static void test_server_dies(void **state)
{
	struct test_request *held;

	(void)state;
	held = ask_held("a", 3);
	fixture_turns();
	grammar_gate_wait(1);
	grammar_gate_open();
	test_broker_kill(&broker);
	assert_false(held->ended);
	test_broker_serve(&broker, &config);
	let_all_go();
	answered(held);
	assert_string_equal(grammar_gate_begun(), "aa");
}

/* a model that is replaced meanwhile is the new one for it */
static void test_model_replaced(void **state)
{
	struct test_request *held;

	(void)state;
	held = ask_held("a", 3);
	fixture_turns();
	grammar_gate_wait(1);
	fake_model(folder, "a.gguf", TEXT " layers=2");
	let_all_go();
	answered(held);
	assert_string_equal(grammar_gate_begun(), "a");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_others_go_on, setup, teardown),
		cmocka_unit_test_setup_teardown(test_once, setup, teardown),
		cmocka_unit_test_setup_teardown(test_cancelled, setup, teardown),
		cmocka_unit_test_setup_teardown(test_failed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_server_dies, setup, teardown),
		cmocka_unit_test_setup_teardown(test_model_replaced, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_grammar", tests, NULL, NULL);
}
