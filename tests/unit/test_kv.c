/* SPDX-License-Identifier: MIT */
/* The arena of the key-value cache: every page is handed out once, and none overlaps another. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <string.h>

#include "engine/kv.h"
#include "tests/unit/pages.h"

#define PAGES	7
#define LAYERS	3
#define HEADS	2
#define DIM	24

static void test_sizes(void **state)
{
	const size_t plane = KV_PAGE_TOKENS * DIM;
	const struct {
		struct kern_kv form;
		size_t bytes;
	} cases[] = {
		{ kv_form(KERN_F32, DIM), plane * 4 },
		{ kv_form(KERN_F16, DIM), plane * 2 },
		/* a block that is not full has a scale as well */
		{ kv_form(KERN_Q8_0, DIM), plane + KV_PAGE_TOKENS * 2 },
		{ kv_form(KERN_Q4_0, DIM), plane / 2 + KV_PAGE_TOKENS * 2 },
		{ kv_form(KERN_Q4_K, DIM), 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(kv_page_bytes(LAYERS, HEADS, &cases[i].form),
				 cases[i].bytes * 2 * HEADS * LAYERS);
	assert_int_equal(kv_page_bytes(UINT32_MAX, UINT32_MAX, &cases[1].form), 0);
}

static void test_refusals(void **state)
{
	const struct kern_kv form = kv_form(KERN_F16, DIM), long_form = kv_form(KERN_F16, 1 << 10);
	const struct kern_kv wide = kv_form(KERN_F32, 1 << 8), none = kv_form(KERN_Q4_K, DIM);
	struct kv kv = { 0 };

	(void)state;
	assert_int_equal(kv_open(&kv, 0, LAYERS, HEADS, &form), -EOVERFLOW);
	assert_int_equal(kv_open(&kv, 1, LAYERS, HEADS, &none), -EOVERFLOW);
	assert_int_equal(kv_open(&kv, 1, UINT32_MAX, UINT32_MAX, &form), -EOVERFLOW);
	assert_int_equal(kv_open(&kv, UINT32_MAX, 1 << 20, 1 << 10, &long_form), -EOVERFLOW);
	/* more than there are addresses */
	assert_int_equal(kv_open(&kv, UINT32_MAX, 1 << 10, 1 << 5, &wide), -ENOMEM);
	assert_null(kv.base);
	kv_close(&kv);
}

/* each plane is filled with its own number; afterwards all still have theirs */
static void test_planes_are_disjoint(void **state)
{
	const struct kern_kv form = kv_form(KERN_Q8_0, DIM);
	struct kv kv;
	uint32_t pages[PAGES];
	unsigned char mark = 0;

	(void)state;
	assert_int_equal(kv_open(&kv, PAGES, LAYERS, HEADS, &form), 0);
	for (uint32_t i = 0; i < PAGES; i++) {
		pages[i] = kv_take(&kv);
		assert_true(pages[i] < PAGES);
		for (uint32_t layer = 0; layer < LAYERS; layer++) {
			for (uint32_t head = 0; head < HEADS; head++) {
				memset(kv_keys(&kv, pages[i], layer, head), ++mark, kv.plane_bytes);
				memset(kv_values(&kv, pages[i], layer, head), ++mark,
				       kv.plane_bytes);
			}
		}
	}
	assert_int_equal(kv.free_count, 0);
	mark = 0;
	for (uint32_t i = 0; i < PAGES; i++) {
		for (uint32_t at = 0; at < LAYERS * HEADS; at++) {
			const char *keys = kv_keys(&kv, pages[i], at / HEADS, at % HEADS);
			const char *values = kv_values(&kv, pages[i], at / HEADS, at % HEADS);

			mark++;
			for (size_t j = 0; j < kv.plane_bytes; j++)
				assert_int_equal((unsigned char)keys[j], mark);
			mark++;
			for (size_t j = 0; j < kv.plane_bytes; j++)
				assert_int_equal((unsigned char)values[j], mark);
		}
	}
	for (uint32_t i = 0; i < PAGES; i++)
		kv_give(&kv, pages[i]);
	assert_int_equal(kv.free_count, PAGES);
	kv_close(&kv);
}

/* pages are taken from the front, which a few tokens must not fill with a huge page */
static void test_huge_pages(void **state)
{
	const struct kern_kv form = kv_form(KERN_F32, 1 << 10);
	const size_t small = (size_t)2 << 20;
	struct kv kv;

	(void)state;
	assert_int_equal(kv_open(&kv, 64, 1, 1, &form), 0);
	assert_true(kv.arena_bytes > 2 * small);
	assert_int_equal(kv_take(&kv), 0);
	if (!pages_have_flag((uintptr_t)kv.base + small, " hg")) {
		print_message("# a kernel without large pages\n");
		kv_close(&kv);
		skip();
	}
	assert_true(pages_have_flag((uintptr_t)kv.base, " nh"));
	assert_true(pages_have_flag((uintptr_t)kv.base + small - 1, " nh"));
	assert_true(pages_have_flag((uintptr_t)kv.base + kv.arena_bytes - 1, " hg"));
	kv_close(&kv);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_sizes),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_planes_are_disjoint),
		cmocka_unit_test(test_huge_pages),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
