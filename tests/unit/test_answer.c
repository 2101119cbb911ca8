/* SPDX-License-Identifier: MIT */
/*
 * Stop strings and the bytes of an answer, against the plain way to say the same: spell everything,
 * search, cut. Random strings over few letters, so that beginnings of stop strings are everywhere.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sched/answer.h"
#include "sched/record.h"

static uint64_t seed;

static uint32_t draw(uint32_t below)
{
	seed = seed * UINT64_C(6364136223846793005) + 1442695040888963407;
	return (uint32_t)(seed >> 33) % below;
}

static size_t draw_text(char *text, size_t max)
{
	size_t i, len = 1 + draw(max);

	for (i = 0; i < len; i++)
		text[i] = (char)('a' + draw(3));
	text[len] = '\0';
	return len;
}

/* the answer up to where the first stop string to be complete begins; the longest of those */
static size_t plain_cut(const char *text, size_t len, const char *stops, size_t stops_len)
{
	size_t end, best = 0;

	for (end = 1; end <= len; end++) {
		const char *stop;

		for (stop = stops; stop < stops + stops_len; stop += strlen(stop) + 1) {
			size_t n = strlen(stop);

			if (n <= end && !memcmp(text + end - n, stop, n))
				best = n > best ? n : best;
		}
		if (best)
			return end - best;
	}
	return len;
}

static void assert_records(const struct answer *answer, const char *text, size_t len)
{
	const uint8_t *data = bytes_data(&answer->out);
	size_t at = 0, seen = 0, tokens_text = 0;
	struct llm_record head;
	struct llm_token token;

	while (at < answer->out.len) {
		memcpy(&head, data + at, sizeof(head));
		at += sizeof(head);
		if (head.type == LLM_RECORD_TEXT) {
			assert_true(seen + head.len <= len);
			assert_memory_equal(data + at, text + seen, head.len);
			seen += head.len;
		} else {
			assert_int_equal(head.type, LLM_RECORD_TOKEN);
			memcpy(&token, data + at, sizeof(token));
			tokens_text += token.text_len;
		}
		at += head.len;
	}
	assert_int_equal(seen, len);
	assert_true(!answer->tokens || tokens_text == len);
}

static void one_answer(bool framed, bool tokens)
{
	char stops[256], text[2048], piece[8];
	struct answer answer = { .framed = framed, .tokens = tokens };
	const struct sample_token token = { .id = 1 };
	size_t i, stops_len = 0, len = 0, n, want;
	int r = 0;

	for (i = draw(4); i; i--)
		stops_len += draw_text(stops + stops_len, 6) + 1;
	assert_int_equal(stop_init(&answer.stops, (const uint8_t *)stops, stops_len), 0);
	for (i = 0; i < 40 && !r; i++) {
		n = draw(5) ? draw_text(piece, 5) : 0;
		memcpy(text + len, piece, n);
		len += n;
		r = answer_push(&answer, &token, &token, 1, piece, n);
		assert_true(r >= 0);
		/* what has been let go is never more than what will stay */
		assert_true(framed || answer.out.len <= plain_cut(text, len, stops, stops_len));
	}
	want = plain_cut(text, len, stops, stops_len);
	assert_int_equal(r, want < len);
	assert_int_equal(answer_flush(&answer), 0);
	if (framed) {
		assert_records(&answer, text, want);
	} else {
		assert_int_equal(answer.out.len, want);
		if (want)
			assert_memory_equal(bytes_data(&answer.out), text, want);
	}
	answer_free(&answer);
}

static void test_random(void **state)
{
	unsigned int i;

	(void)state;
	for (i = 0; i < 60000; i++)
		one_answer(i % 3 > 0, i % 3 == 2);
}

/* whatever part has been sent already, the rest is the rest */
static void test_skip(void **state)
{
	static const char text[] = "abcabacaba";
	const struct sample_token token = { .id = 1, .logprob = -0.5f };
	struct bytes whole = { 0 };
	size_t skip, i;

	(void)state;
	for (skip = 0; !skip || skip <= whole.len; skip++) {
		struct answer answer = { .framed = true, .tokens = true, .skip_bytes = skip };

		assert_int_equal(stop_init(&answer.stops, (const uint8_t *)"bab", 4), 0);
		for (i = 0; i < sizeof(text) - 1; i++)
			assert_int_equal(answer_push(&answer, &token, &token, 1, text + i, 1), 0);
		assert_int_equal(answer_flush(&answer), 0);
		if (!skip && !whole.len)
			bytes_append(&whole, bytes_data(&answer.out), answer.out.len);
		assert_int_equal(answer.out.len, whole.len - skip);
		if (answer.out.len)
			assert_memory_equal(bytes_data(&answer.out), bytes_data(&whole) + skip,
					    answer.out.len);
		answer_free(&answer);
	}
	bytes_free(&whole);
}

static void test_malformed(void **state)
{
	struct stop_set set;

	(void)state;
	assert_int_equal(stop_init(&set, (const uint8_t *)"a", 1), -EINVAL);
	assert_int_equal(stop_init(&set, (const uint8_t *)"", 1), -EINVAL);
	assert_int_equal(stop_init(&set, (const uint8_t *)"a\0\0b", 5), -EINVAL);
	assert_int_equal(stop_init(&set, (const uint8_t *)"a\0b", 3), -EINVAL);
	assert_int_equal(stop_init(&set, NULL, 0), 0);
	assert_int_equal(stop_byte(&set, 'a'), 0);
	assert_int_equal(stop_pending(&set), 0);
	stop_free(&set);
}

/* the most and the longest there can be: a step a byte all the same */
static void test_large(void **state)
{
	static char many[4096], one[4096];
	struct stop_set set;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(many); i += 2)
		memcpy(many + i, "b", 2);
	assert_int_equal(stop_init(&set, (const uint8_t *)many, sizeof(many)), 0);
	assert_int_equal(stop_byte(&set, 'a'), 0);
	assert_int_equal(stop_byte(&set, 'b'), 1);
	stop_free(&set);
	memset(one, 'a', sizeof(one) - 1);
	assert_int_equal(stop_init(&set, (const uint8_t *)one, sizeof(one)), 0);
	for (i = 1; i < sizeof(one) - 1; i++)
		assert_int_equal(stop_byte(&set, 'a'), 0);
	assert_int_equal(stop_pending(&set), sizeof(one) - 2);
	assert_int_equal(stop_byte(&set, 'b'), 0);
	assert_int_equal(stop_pending(&set), 0);
	for (i = 1; i < sizeof(one) - 1; i++)
		assert_int_equal(stop_byte(&set, 'a'), 0);
	assert_int_equal(stop_byte(&set, 'a'), sizeof(one) - 1);
	stop_free(&set);
}

static void test_cut(void **state)
{
	struct bytes out = { 0 };
	size_t first, second;

	(void)state;
	assert_int_equal(record_text(&out, "abc", 3), 0);
	first = out.len;
	assert_int_equal(record_text(&out, "defg", 4), 0);
	second = out.len;
	assert_int_equal(record_cut(bytes_data(&out), out.len, first - 1), 0);
	assert_int_equal(record_cut(bytes_data(&out), out.len, first), first);
	assert_int_equal(record_cut(bytes_data(&out), out.len, second - 1), first);
	assert_int_equal(record_cut(bytes_data(&out), out.len, 1000), second);
	assert_int_equal(record_cut(bytes_data(&out), 5, 1000), 0);
	bytes_free(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_random), cmocka_unit_test(test_skip),
		cmocka_unit_test(test_malformed), cmocka_unit_test(test_large),
		cmocka_unit_test(test_cut),
	};
	const char *given = getenv("LLMOS_SEED");

	seed = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL);
	printf("# LLMOS_SEED=%llu\n", (unsigned long long)seed);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("answer", tests, NULL, NULL);
}
