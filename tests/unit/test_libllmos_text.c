/* SPDX-License-Identifier: MIT */
/*
 * Where a stream of UTF-8 may be cut, and strings that grow.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libllmos-user/src/text.h"

struct cut {
	const char *bytes;
	size_t len;
	size_t whole;
};

#define CUT(bytes, whole) { bytes, sizeof(bytes) - 1, whole }

static void test_whole(void **state)
{
	static const struct cut cuts[] = {
		CUT("", 0),
		CUT("abc", 3),
		CUT("a\xc3", 1),
		CUT("a\xc3\xa4", 3),
		CUT("\xe2\x82", 0),
		CUT("\xe2\x82\xac", 3),
		CUT("\xf0\x9f\x98", 0),
		CUT("\xf0\x9f\x98\x80", 4),
		CUT("x\xf0\x9f", 1),
		CUT("x\xf0", 1),
		/* nothing can complete these */
		CUT("\x80", 1),
		CUT("a\xff", 2),
		CUT("\xc0", 1),
		CUT("\xc1", 1),
		CUT("\xf5", 1),
		CUT("\xe0\x80", 2),
		CUT("\xed\xa0", 2),
		CUT("\xf0\x80\x80", 3),
		CUT("\xf4\x90", 2),
		CUT("\x80\x80\x80\x80", 4),
		/* and these something can */
		CUT("\xe0\xa0", 0),
		CUT("\xed\x9f", 0),
		CUT("\xf4\x8f\xbf", 0),
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cuts) / sizeof(cuts[0]); i++)
		assert_int_equal(llmos_utf8_whole(cuts[i].bytes, cuts[i].len), cuts[i].whole);
}

/* every valid character: held back until its last byte, then handed out */
static void test_every_character(void **state)
{
	uint32_t c;

	(void)state;
	for (c = 0; c <= 0x10ffff; c++) {
		size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4, i;
		char bytes[4];

		if (c >= 0xd800 && c <= 0xdfff)
			continue;
		for (i = n - 1; i; i--)
			bytes[i] = (char)(0x80 | (c >> (6 * (n - 1 - i)) & 0x3f));
		bytes[0] = (char)(n == 1 ? c : ((0xf00U >> n & 0xff) | c >> (6 * (n - 1))));
		for (i = 1; i < n; i++)
			assert_int_equal(llmos_utf8_whole(bytes, i), 0);
		assert_int_equal(llmos_utf8_whole(bytes, n), n);
	}
}

static void test_append(void **state)
{
	struct llmos_text text = { 0 };
	char *taken;
	int i;

	(void)state;
	for (i = 0; i < 1000; i++)
		assert_int_equal(llmos_text_append(&text, "0123456789", 10), 0);
	assert_int_equal(text.len, 10000);
	llmos_text_consume(&text, 9995);
	assert_int_equal(llmos_text_append(&text, "!", 1), 0);
	taken = llmos_text_take(&text);
	assert_string_equal(taken, "56789!");
	assert_int_equal(text.len, 0);
	free(taken);
	taken = llmos_text_take(&text);
	assert_string_equal(taken, "");
	free(taken);
}

static void test_append_bounded(void **state)
{
	struct llmos_text text = { 0 };

	(void)state;
	assert_int_equal(llmos_text_append(&text, "x", (size_t)LLMOS_TEXT_MAX + 1), -EMSGSIZE);
	assert_int_equal(llmos_text_append(&text, "x", 1), 0);
	assert_int_equal(llmos_text_append(&text, "x", LLMOS_TEXT_MAX), -EMSGSIZE);
	assert_int_equal(text.len, 1);
	llmos_text_done(&text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_whole),
		cmocka_unit_test(test_every_character),
		cmocka_unit_test(test_append),
		cmocka_unit_test(test_append_bounded),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
