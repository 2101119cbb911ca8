// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of bytes.c: the kernel's own iterators and user memory that gives out half-way; its
 * unit tests in user space know neither.
 */
#include <kunit/test.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/uaccess.h>
#include <linux/uio.h>

#include "../bytes.h"

#define LLM_TEST_LEN	(3 * PAGE_SIZE + 7)	/* of which no chunk is a divisor */

static u8 llm_test_byte(size_t index)
{
	return index * 31 + (index >> 8);
}

static u8 *llm_test_pattern(struct kunit *test)
{
	u8 *pattern = kunit_kmalloc(test, LLM_TEST_LEN, GFP_KERNEL);

	KUNIT_ASSERT_NOT_NULL(test, pattern);
	for (size_t i = 0; i < LLM_TEST_LEN; i++)
		pattern[i] = llm_test_byte(i);
	return pattern;
}

/* In through iterators of odd lengths, out from any place over the bounds of chunks. */
static void llm_bytes_test_iter(struct kunit *test)
{
	u8 *pattern = llm_test_pattern(test);
	u8 *out = kunit_kzalloc(test, LLM_TEST_LEN, GFP_KERNEL);
	struct llm_bytes bytes;
	struct iov_iter iter;
	struct kvec part;

	KUNIT_ASSERT_NOT_NULL(test, out);
	llm_bytes_init(&bytes);
	for (size_t done = 0, n; done < LLM_TEST_LEN; done += n) {
		n = min_t(size_t, LLM_TEST_LEN - done, 1 + done % 1999);
		part = (struct kvec) { .iov_base = pattern + done, .iov_len = n };
		iov_iter_kvec(&iter, ITER_SOURCE, &part, 1, n);
		KUNIT_ASSERT_EQ(test, llm_bytes_read_iter(&bytes, &iter, n), 0);
	}
	KUNIT_EXPECT_EQ(test, bytes.len, LLM_TEST_LEN);
	KUNIT_EXPECT_EQ(test, llm_bytes_last(&bytes), llm_test_byte(LLM_TEST_LEN - 1));
	for (size_t start = 0; start < LLM_TEST_LEN; start += 977) {
		part = (struct kvec) { .iov_base = out, .iov_len = LLM_TEST_LEN - start };
		iov_iter_kvec(&iter, ITER_DEST, &part, 1, part.iov_len);
		KUNIT_EXPECT_EQ(test, llm_bytes_write_iter(&bytes, start, part.iov_len, &iter),
				part.iov_len);
		KUNIT_EXPECT_MEMEQ(test, out, pattern + start, part.iov_len);
	}
	llm_bytes_free(&bytes);
	KUNIT_EXPECT_TRUE(test, list_empty(&bytes.chunks));
}

/* The last page is not there: an append takes nothing, and what is handed out is counted. */
static void llm_bytes_test_fault(struct kunit *test)
{
	const unsigned long addr = kunit_vm_mmap(test, NULL, 0, 4 * PAGE_SIZE, PROT_READ | PROT_WRITE,
						 MAP_ANONYMOUS | MAP_PRIVATE, 0);
	void __user *user = (void __user *)addr;
	u8 *pattern = llm_test_pattern(test);
	struct llm_bytes bytes;
	struct iov_iter iter;

	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_EQ(test, copy_to_user(user, pattern, LLM_TEST_LEN), 0);
	KUNIT_ASSERT_EQ(test, vm_munmap(addr + 3 * PAGE_SIZE, PAGE_SIZE), 0);
	llm_bytes_init(&bytes);
	KUNIT_ASSERT_EQ(test, llm_bytes_read_user(&bytes, user, 100), 0);
	KUNIT_EXPECT_EQ(test, llm_bytes_read_user(&bytes, user, LLM_TEST_LEN), -EFAULT);
	KUNIT_EXPECT_EQ(test, bytes.len, 100);
	KUNIT_EXPECT_EQ(test, llm_bytes_last(&bytes), llm_test_byte(99));
	KUNIT_ASSERT_EQ(test, llm_bytes_read_user(&bytes, user, 3 * PAGE_SIZE), 0);
	KUNIT_ASSERT_EQ(test, import_ubuf(ITER_DEST, user + PAGE_SIZE, 3 * PAGE_SIZE, &iter), 0);
	KUNIT_EXPECT_EQ(test, llm_bytes_write_iter(&bytes, 0, 3 * PAGE_SIZE, &iter), 2 * PAGE_SIZE);
	llm_bytes_free(&bytes);
}

static struct kunit_case llm_bytes_cases[] = {
	KUNIT_CASE(llm_bytes_test_iter),
	KUNIT_CASE(llm_bytes_test_fault),
	{}
};

static struct kunit_suite llm_bytes_suite = {
	.name = "llm_bytes",
	.test_cases = llm_bytes_cases,
};

kunit_test_suite(llm_bytes_suite);
