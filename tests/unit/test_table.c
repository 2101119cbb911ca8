/* SPDX-License-Identifier: MIT */
/* The hash table and the UTF-8 of daemon/base, against what is obviously right. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <setjmp.h>
#include <cmocka.h>

#include "base/table.h"
#include "base/utf8.h"

static void test_table(void **state)
{
	enum { COUNT = 50000 };
	static char keys[COUNT][8];
	struct table table;

	(void)state;
	assert_int_equal(table_init(&table, 0), 0);	/* grows from nothing */
	for (uint32_t i = 0; i < COUNT; i++) {
		int len = snprintf(keys[i], sizeof(keys[i]), "%x", i * 7);

		assert_int_equal(table_find(&table, keys[i], (size_t)len), TABLE_NONE);
		assert_int_equal(table_add(&table, keys[i], (size_t)len, i), 0);
		assert_int_equal(table_add(&table, keys[i], (size_t)len, i + 1), -EEXIST);
	}
	for (uint32_t i = 0; i < COUNT; i++)
		assert_int_equal(table_find(&table, keys[i], strlen(keys[i])), i);
	assert_int_equal(table_find(&table, "nope", 4), TABLE_NONE);
	assert_int_equal(table_find(&table, "", 0), TABLE_NONE);
	assert_int_equal(table_add(&table, "", 0, 99), 0);
	assert_int_equal(table_find(&table, NULL, 0), 99);
	assert_int_equal(table_find(&table, "\0", 1), TABLE_NONE);
	table_free(&table);
	assert_int_equal(table_find(&table, "0", 1), TABLE_NONE);
	assert_int_equal(table_init(&table, SIZE_MAX), -E2BIG);
}

/* every code point there and back, and every surrogate refused */
static void test_utf8_all(void **state)
{
	char buf[UTF8_MAX];

	(void)state;
	for (uint32_t c = 0; c < 0x110000; c++) {
		size_t len = utf8_encode(c, buf);

		assert_int_equal(utf8_next(buf, len), c >= 0xd800 && c < 0xe000 ? 0 : len);
		assert_int_equal(utf8_next(buf, len - 1), 0);
		assert_int_equal(utf8_len(buf[0]), len);
		assert_int_equal(utf8_decode(buf), c);
	}
}

static void test_utf8_invalid(void **state)
{
	static const char *const invalid[] = {
		"\x80", "\xbf", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf",
		"\xf0\x80\x80\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
		"\xff", "\xc3", "\xc3(", "\xe2\x82", "\xe2(\xa1", "\xf0\x9f\x98", "\xed\xa0\x80",
		"\xfe",
	};
	char text[64];

	(void)state;
	assert_true(utf8_valid("", 0));
	assert_true(utf8_valid("a\0b", 3));
	for (size_t i = 0; i < ARRAY_SIZE(invalid); i++) {
		assert_false(utf8_valid(invalid[i], strlen(invalid[i])));
		/* at every place among ASCII, which is read eight bytes at a time */
		for (size_t at = 0; at < 20; at++) {
			memset(text, 'x', sizeof(text));
			memcpy(text + at, invalid[i], strlen(invalid[i]));
			assert_false(utf8_valid(text, 32));
			assert_true(utf8_valid(text, at));
		}
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_utf8_all),
		cmocka_unit_test(test_utf8_invalid),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
