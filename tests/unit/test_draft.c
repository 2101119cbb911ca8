// SPDX-License-Identifier: MIT
/* Guesses: what followed where the text was the same before, as many as pay. */
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/util.h"
#include "sched/draft.h"

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

/* a text of letters */
static unsigned int guess(struct draft *draft, const char *text, unsigned int max, char *ret)
{
	uint32_t tokens[256];
	size_t i, count = strlen(text);
	unsigned int n;

	for (i = 0; i < count; i++)
		tokens[i] = (uint8_t)text[i];
	n = draft_find(draft, tokens, count, max);
	assert_int_equal(n, draft->count);
	for (i = 0; i < n; i++)
		ret[i] = (char)draft->ids[i];
	ret[n] = '\0';
	return n;
}

static void assert_guess(const char *text, unsigned int max, const char *want)
{
	struct draft draft = { .luck[DRAFT_LOOKUP].tries = DRAFT_MAX };
	char got[DRAFT_MAX + 1];

	guess(&draft, text, max, got);
	assert_string_equal(got, want);
}

static void test_find(void **state)
{
	(void)state;
	assert_guess("abcdefabc", 3, "def");
	assert_guess("abcdefabc", 16, "defabc");
	/* the latest, also one that overlaps the end */
	assert_guess("abcXabcYabc", 1, "Y");
	assert_guess("aaaaa", 4, "a");
	assert_guess("xyxyxy", 8, "xy");
	/* two are not enough; nothing before is the same; too short */
	assert_guess("zbcdefabc", 8, "");
	assert_guess("abcdef", 8, "");
	assert_guess("abc", 8, "");
	assert_guess("", 8, "");
	assert_guess("abcdefabc", 0, "");
}

/* against the plain way to say the same */
static void test_random(void **state)
{
	(void)state;
	for (int round = 0; round < 2000; round++) {
		const unsigned int max = draw(20);
		struct draft draft = { .luck[DRAFT_LOOKUP].tries = 1 + draw(DRAFT_MAX) };
		size_t count = draw(60), at, best = 0;
		uint32_t tokens[60];
		unsigned int want = 0;

		for (size_t i = 0; i < count; i++)
			tokens[i] = draw(3);
		for (at = 3; at < count; at++)
			if (!memcmp(tokens + at - 3, tokens + count - 3, 3 * sizeof(*tokens)))
				best = at;
		if (best)
			want = MIN(max, draft.luck[DRAFT_LOOKUP].tries);
		want = MIN(want, (unsigned int)(count - best));
		assert_int_equal(draft_find(&draft, tokens, count, max), want);
		assert_memory_equal(draft.ids, tokens + best, want * sizeof(*tokens));
	}
}

/* a very long text is not searched from end to end */
static void test_far(void **state)
{
	enum { COUNT = 20000 };
	static uint32_t tokens[COUNT];
	struct draft draft = { .luck[DRAFT_LOOKUP].tries = 4 };

	(void)state;
	for (uint32_t i = 0; i < COUNT; i++)
		tokens[i] = i;
	memcpy(tokens + COUNT - 3, tokens + 100, 3 * sizeof(*tokens));
	assert_int_equal(draft_find(&draft, tokens, COUNT, 4), 0);
	memcpy(tokens + COUNT - 3, tokens + COUNT - 1000, 3 * sizeof(*tokens));
	assert_int_equal(draft_find(&draft, tokens, COUNT, 4), 4);
	assert_int_equal(draft.ids[0], COUNT - 997);
}

/* one step: how many were tried */
static unsigned int tried(struct draft *draft, unsigned int right)
{
	char got[DRAFT_MAX + 1];
	const unsigned int n = guess(draft, "abcdefghijklmnopqrstuvwxyzabc", DRAFT_MAX, got);

	draft_learn(draft, MIN(n, right));
	return n;
}

static void test_learn(void **state)
{
	struct draft draft = { .count = 0 };
	unsigned int tries = 0;

	(void)state;
	assert_int_equal(tried(&draft, 99), 2);
	assert_int_equal(tried(&draft, 99), 4);
	assert_int_equal(tried(&draft, 99), 8);
	assert_int_equal(tried(&draft, 99), 16);
	assert_int_equal(tried(&draft, 5), 16);
	assert_int_equal(tried(&draft, 6), 6);
	/* wrong, and wrong again: one more each time, and then left out more and more often */
	assert_int_equal(tried(&draft, 0), 12);
	assert_int_equal(tried(&draft, 0), 1);
	assert_int_equal(tried(&draft, 0), 0);
	for (int i = 0; i < 10000; i++)
		tries += tried(&draft, 0);
	assert_in_range(tries, 10000 / 66, 10000 / 64 + 8);
	/* until it is right for once */
	while (!tried(&draft, 1))
		;
	assert_int_equal(tried(&draft, 2), 2);
	assert_int_equal(tried(&draft, 4), 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_find),
		cmocka_unit_test(test_random),
		cmocka_unit_test(test_far),
		cmocka_unit_test(test_learn),
	};
	const char *given = getenv("LLMOS_SEED");

	seed = given ? strtoull(given, NULL, 10) : (uint64_t)time(NULL);
	printf("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("draft", tests, NULL, NULL);
}
