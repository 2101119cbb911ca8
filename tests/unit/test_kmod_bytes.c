// SPDX-License-Identifier: MIT
/*
 * Strings in chunks: what goes in comes out, however it is cut, also when memory gives out.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmod/bytes.h"

static char source[20000], target[20000];

static void fill(void)
{
	for (size_t i = 0; i < sizeof(source); i++)
		source[i] = (char)(i * 7 + i / 251);
}

static void assert_content(const struct llm_bytes *bytes, size_t from, size_t len)
{
	struct iov_iter iter = { .at = target, .count = len };

	assert_int_equal(bytes->len, len);
	assert_int_equal(llm_bytes_write_iter(bytes, 0, len, &iter), len);
	assert_memory_equal(target, source + from, len);
}

static void test_copies(void **state)
{
	static const size_t lens[] = { 0, 1, 483, 484, 485, 4000, 4067, 4068, 4069, 20000 };
	struct llm_bytes bytes;

	(void)state;
	for (size_t i = 0; i < sizeof(lens) / sizeof(lens[0]); i++) {
		llm_bytes_init(&bytes);
		assert_int_equal(llm_bytes_last(&bytes), -1);
		assert_int_equal(llm_bytes_read_user(&bytes, source, lens[i]), 0);
		assert_content(&bytes, 0, lens[i]);
		if (lens[i])
			assert_int_equal(llm_bytes_last(&bytes), (uint8_t)source[lens[i] - 1]);
		llm_bytes_free(&bytes);
		assert_int_equal(bytes.len, 0);
	}
	assert_int_equal(kshim_allocs, 0);
}

static void test_parts(void **state)
{
	struct llm_bytes bytes;

	(void)state;
	llm_bytes_init(&bytes);
	assert_int_equal(llm_bytes_read_user(&bytes, source, sizeof(source)), 0);
	for (size_t offset = 0; offset < sizeof(source); offset += 997)
		for (size_t len = 0; len <= sizeof(source) - offset; len += 1231) {
			struct iov_iter iter = { .at = target, .count = len };

			assert_int_equal(llm_bytes_write_iter(&bytes, offset, len, &iter), len);
			assert_memory_equal(target, source + offset, len);
			assert_int_equal(iter.count, 0);
		}
	llm_bytes_free(&bytes);
}

/* Tokens of a few bytes must not take a chunk each. */
static void test_append(void **state)
{
	struct llm_bytes bytes, tail;
	size_t done = 0;
	int most = 0;

	(void)state;
	llm_bytes_init(&bytes);
	for (size_t n = 1; done + n <= sizeof(source); n = n % 13 + 1) {
		llm_bytes_init(&tail);
		assert_int_equal(llm_bytes_read_user(&tail, source + done, n), 0);
		llm_bytes_append(&bytes, &tail);
		assert_int_equal(tail.len, 0);
		llm_bytes_free(&tail);
		done += n;
		most = kshim_allocs > most ? kshim_allocs : most;
	}
	assert_content(&bytes, 0, done);
	assert_in_range(most, 1, 20000 / 400);
	llm_bytes_free(&bytes);

	/* Long ones move as they are. */
	llm_bytes_init(&bytes);
	for (done = 0; done + 3000 <= sizeof(source); done += 3000) {
		llm_bytes_init(&tail);
		assert_int_equal(llm_bytes_read_user(&tail, source + done, 3000), 0);
		llm_bytes_append(&bytes, &tail);
		llm_bytes_free(&tail);
	}
	assert_content(&bytes, 0, done);
	llm_bytes_free(&bytes);
	assert_int_equal(kshim_allocs, 0);
}

static void test_detach(void **state)
{
	struct list_head trash = LIST_HEAD_INIT(trash);
	struct llm_bytes bytes, head;
	size_t read = 0;

	(void)state;
	llm_bytes_init(&bytes);
	assert_int_equal(llm_bytes_read_user(&bytes, source, sizeof(source)), 0);
	for (size_t n = 1; read < sizeof(source); n = n * 2 % 6007) {
		n = min(n, sizeof(source) - read);
		llm_bytes_init(&head);
		llm_bytes_detach(&bytes, n, &head);
		assert_true(head.len >= n);
		assert_int_equal(head.len + bytes.len, sizeof(source) - read);
		/* Once as if the copy had failed. */
		llm_bytes_attach(&bytes, &head);
		assert_content(&bytes, read, sizeof(source) - read);
		llm_bytes_detach(&bytes, n, &head);
		llm_bytes_skip(&head, n, &trash);
		llm_bytes_attach(&bytes, &head);
		read += n;
		assert_content(&bytes, read, sizeof(source) - read);
	}
	assert_true(list_empty(&bytes.chunks));
	llm_chunks_free(&trash);
	assert_int_equal(kshim_allocs, 0);
}

static void test_failures(void **state)
{
	struct llm_bytes bytes;

	(void)state;
	llm_bytes_init(&bytes);
	assert_int_equal(llm_bytes_read_user(&bytes, source, 5000), 0);
	for (int i = 0; i < 3; i++) {
		kshim_fail_alloc = i;
		assert_int_equal(llm_bytes_read_user(&bytes, source + 5000, 12000), -ENOMEM);
		kshim_fail_alloc = -1;
		assert_content(&bytes, 0, 5000);
		kshim_fail_copy = i;
		assert_int_equal(llm_bytes_read_user(&bytes, source + 5000, 12000), -EFAULT);
		kshim_fail_copy = -1;
		assert_content(&bytes, 0, 5000);
	}
	assert_int_equal(llm_bytes_read_user(&bytes, (void *)8, 1), -EFAULT);
	assert_int_equal(llm_bytes_read_user(&bytes, source + 5000, 12000), 0);
	assert_content(&bytes, 0, 17000);
	{
		struct iov_iter iter = { .at = target, .count = 17000 };

		kshim_fail_copy = 2;
		assert_in_range(llm_bytes_write_iter(&bytes, 0, 17000, &iter), 1, 16999);
		kshim_fail_copy = -1;
	}
	llm_bytes_free(&bytes);
	assert_int_equal(kshim_allocs, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_copies), cmocka_unit_test(test_parts),
		cmocka_unit_test(test_append), cmocka_unit_test(test_detach),
		cmocka_unit_test(test_failures),
	};

	fill();
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("kmod_bytes", tests, NULL, NULL);
}
