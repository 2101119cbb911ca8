/* SPDX-License-Identifier: MIT */
/*
 * Grammars while threads compile them: whose turn it is, who shares one that is not there yet, who
 * is charged, and what is left when nobody wants it any more.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cmocka.h>

#include "grammar_gate.h"
#include "sched/grammars.h"

#define WAIT_MS	60000

static struct grammars grammars;
static int news = -1;
static struct error why;

static int begin(void **state)
{
	(void)state;
	why = (struct error){ "" };
	news = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	grammars_init(&grammars, 0);
	grammar_gate_close();
	return news < 0 ? -1 : grammars_start(&grammars, news);
}

static int end(void **state)
{
	(void)state;
	grammar_gate_open();
	grammars_done(&grammars);
	close(news);
	return list_empty(&grammars.tenants) && !grammars.bytes ? 0 : -1;
}

static int try_get(struct held_grammar **ret, uint32_t user, const char *text, bool is_owed)
{
	const struct llm_event event = {
		.domain_cgroup = 7, .domain_uid = user, .uid = user, .journal_len = is_owed,
	};

	return grammars_get(ret, &grammars, NULL, &event, LLM_OPTION_GRAMMAR, text, strlen(text),
			    &why);
}

static struct held_grammar *get(uint32_t user, const char *text)
{
	struct held_grammar *held = NULL;

	assert_int_equal(try_get(&held, user, text, false), 0);
	return held;
}

static void put(struct held_grammar *held)
{
	grammars_put(&grammars, held);
}

static void hear(void)
{
	struct pollfd fd = { news, POLLIN, 0 };
	eventfd_t count;

	assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
	eventfd_read(news, &count);
	grammars_heard(&grammars);
}

/* its gate is opened, and it is compiled; Return: grammars_check() */
static int compiled(const struct held_grammar *held)
{
	grammar_gate_pass(*held->text);
	while (!held->is_ended)
		hear();
	return grammars_check(held, &why);
}

/* whoever sends many gets one at a time, and one in each round */
static void test_turns(void **state)
{
	struct held_grammar *held[7];

	(void)state;
	held[0] = get(1, "a");
	assert_string_equal(grammar_gate_wait(1), "a");
	held[1] = get(1, "b");
	held[2] = get(1, "c");
	held[3] = get(2, "m");
	assert_string_equal(grammar_gate_wait(2), "am");
	held[4] = get(2, "n");
	held[5] = get(3, "x");
	held[6] = get(4, "y");
	assert_int_equal(compiled(held[0]), 0);
	assert_string_equal(grammar_gate_wait(3), "amb");
	assert_int_equal(compiled(held[1]), 0);
	/* the second user's first one is still under way, the first one's third comes behind all */
	assert_string_equal(grammar_gate_wait(4), "ambx");
	assert_int_equal(compiled(held[3]), 0);
	assert_string_equal(grammar_gate_wait(5), "ambxn");
	assert_int_equal(compiled(held[5]), 0);
	assert_string_equal(grammar_gate_wait(6), "ambxny");
	assert_int_equal(compiled(held[6]), 0);
	assert_string_equal(grammar_gate_wait(7), "ambxnyc");
	assert_int_equal(compiled(held[4]), 0);
	assert_int_equal(compiled(held[2]), 0);
	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		put(held[i]);
}

/* who asks for the same while it is compiled waits for that; another user has his own */
static void test_once(void **state)
{
	struct held_grammar *first, *second, *others, *gone;
	size_t bytes;

	(void)state;
	first = get(1, "a");
	grammar_gate_wait(1);
	bytes = grammars.bytes;
	second = get(1, "a");
	assert_ptr_equal(first, second);
	assert_int_equal(grammars.bytes, bytes);
	assert_int_equal(grammars_check(first, &why), -EINPROGRESS);
	others = get(2, "a");
	assert_ptr_not_equal(first, others);
	put(first);
	assert_int_equal(compiled(second), 0);
	assert_non_null(second->grammar);
	assert_int_equal(compiled(others), 0);
	assert_string_equal(grammar_gate_begun(), "aa");
	/* one that nobody waits for is that of whoever comes before it ends */
	gone = get(1, "b");
	grammar_gate_wait(3);
	put(gone);
	assert_ptr_equal(get(1, "b"), gone);
	assert_int_equal(compiled(gone), 0);
	assert_string_equal(grammar_gate_begun(), "aab");
	put(gone);
	put(second);
	put(others);
}

/* what was not begun goes at once, the rest when it ends, and the next of its user pays for it */
static void test_nobody_waits(void **state)
{
	struct held_grammar *begun, *waiting, *next;
	uint64_t own_ns;
	size_t bytes;

	(void)state;
	begun = get(1, "a");
	grammar_gate_wait(1);
	bytes = grammars.bytes;
	waiting = get(1, "b");
	assert_true(grammars.bytes > bytes);
	put(waiting);
	assert_int_equal(grammars.bytes, bytes);
	put(begun);
	assert_int_equal(grammars.bytes, bytes);
	next = get(1, "c");
	grammar_gate_pass('a');
	assert_int_equal(compiled(next), 0);
	assert_string_equal(grammar_gate_begun(), "ac");
	own_ns = next->compute_ns;
	assert_true(own_ns > 0);
	assert_true(grammars_bill(next) > own_ns);
	assert_int_equal(grammars_bill(next), 0);
	put(next);
}

/* all who wait are told, and who comes later has it tried again */
static void test_failed(void **state)
{
	struct held_grammar *first, *second, *later;

	(void)state;
	first = get(1, "A");
	second = get(1, "A");
	assert_int_equal(compiled(first), -EINVAL);
	assert_string_equal(why.text, GRAMMAR_GATE_WHY);
	why = (struct error){ "" };
	assert_int_equal(grammars_check(second, &why), -EINVAL);
	assert_string_equal(why.text, GRAMMAR_GATE_WHY);
	later = get(1, "A");
	assert_ptr_not_equal(later, first);
	assert_int_equal(compiled(later), -EINVAL);
	assert_string_equal(grammar_gate_begun(), "AA");
	put(first);
	put(second);
	put(later);
}

/* where there was room for a text, but is none for what comes of it */
static void test_room(void **state)
{
	struct held_grammar *first, *second, *owed;
	size_t text_bytes, bytes;

	(void)state;
	first = get(1, "a");
	text_bytes = grammars.bytes;
	assert_int_equal(compiled(first), 0);
	bytes = grammars.bytes;
	assert_true(bytes > 2 * text_bytes);
	/* that of one user: as much as is left free then, of a half */
	grammars.max_bytes = 2 * (2 * (2 * bytes) - 1);
	second = get(1, "b");
	assert_int_equal(compiled(second), -EBUSY);
	assert_non_null(strstr(why.text, "the grammars of your other requests take"));
	assert_int_equal(grammars.bytes, bytes + text_bytes);
	put(second);
	/* an answer that was begun goes on, and who asks for the same with it */
	second = get(1, "b");
	assert_int_equal(try_get(&owed, 1, "b", true), 0);
	assert_ptr_equal(second, owed);
	assert_int_equal(compiled(owed), 0);
	assert_int_equal(grammars_check(second, &why), 0);
	assert_int_equal(grammars.bytes, 2 * bytes);
	put(second);
	put(owed);
	/* nor is there always room for a text */
	grammars.max_bytes = 2 * (2 * bytes + text_bytes);
	assert_int_equal(try_get(&second, 1, "c", false), -EBUSY);
	assert_string_equal(grammar_gate_begun(), "abb");
	put(first);
}

/* what nobody has heard of ends with everything */
static void test_end(void **state)
{
	struct held_grammar *held[3] = { get(1, "a"), get(2, "b"), get(1, "c") };

	(void)state;
	grammar_gate_wait(2);
	grammar_gate_pass('b');
	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		put(held[i]);
	assert_true(grammars.bytes > 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_turns), TEST(test_once), TEST(test_nobody_waits), TEST(test_failed),
		TEST(test_room), TEST(test_end),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("grammars", tests, NULL, NULL);
}
