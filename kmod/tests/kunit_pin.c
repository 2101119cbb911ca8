// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of pin.c: what becomes of pages and of the ledgers they are billed to, which nobody
 * sees from outside the kernel. Each runs in a thread with an address space of its own.
 */
#include <kunit/test.h>
#include <linux/capability.h>
#include <linux/cred.h>
#include <linux/mm.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/sched/user.h>
#include <linux/uaccess.h>

#include "../pin.h"

#define LLM_TEST_PAGES	4UL
#define LLM_TEST_LEN	(LLM_TEST_PAGES << PAGE_SHIFT)
#define LLM_TEST_OTHERS	64UL /* more than a processor puts aside */

static unsigned long llm_test_memory(struct kunit *test)
{
	const unsigned long addr = kunit_vm_mmap(test, NULL, 0, LLM_TEST_LEN, PROT_READ | PROT_WRITE,
						 MAP_ANONYMOUS | MAP_PRIVATE, 0);

	KUNIT_ASSERT_NE(test, addr, 0);
	KUNIT_ASSERT_FALSE(test, IS_ERR_VALUE(addr));
	return addr;
}

/*
 * A page of the current process, with a reference. A new page has one more, until so many others
 * have come that its processor sorts them in: they come here, and not while references are counted.
 */
static struct page *llm_test_page(struct kunit *test, unsigned long addr)
{
	const unsigned long others = kunit_vm_mmap(test, NULL, 0, LLM_TEST_OTHERS << PAGE_SHIFT,
						   PROT_READ | PROT_WRITE,
						   MAP_ANONYMOUS | MAP_PRIVATE, 0);
	struct page *page;

	KUNIT_ASSERT_NE(test, others, 0);
	KUNIT_ASSERT_EQ(test, get_user_pages_fast(addr, 1, FOLL_WRITE, &page), 1);
	for (unsigned long i = 0; i < LLM_TEST_OTHERS; i++)
		KUNIT_ASSERT_EQ(test, put_user(1, (u8 __user *)(others + i * PAGE_SIZE)), 0);
	return page;
}

static void llm_pin_test_pins(struct kunit *test)
{
	const unsigned long addr = llm_test_memory(test);
	struct page *page = llm_test_page(test, addr);
	const int refs = page_count(page);
	struct llm_pin pin;

	KUNIT_ASSERT_EQ(test, llm_pin_memory(&pin, addr, LLM_TEST_LEN, true), 0);
	KUNIT_EXPECT_EQ(test, pin.count, LLM_TEST_PAGES);
	KUNIT_EXPECT_PTR_EQ(test, pin.pages[0], page);
	KUNIT_EXPECT_TRUE(test, folio_maybe_dma_pinned(page_folio(page)));
	KUNIT_EXPECT_GT(test, page_count(page), refs);
	KUNIT_EXPECT_EQ(test, atomic64_read(&current->mm->pinned_vm), LLM_TEST_PAGES);
	llm_pin_release(&pin);
	KUNIT_EXPECT_NULL(test, pin.pages);
	KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(page_folio(page)));
	KUNIT_EXPECT_EQ(test, page_count(page), refs);
	KUNIT_EXPECT_EQ(test, atomic64_read(&current->mm->pinned_vm), 0);
	put_page(page);
}

/* The second half is not there: the first is let go of. */
static void llm_pin_test_half(struct kunit *test)
{
	const unsigned long addr = llm_test_memory(test);
	struct page *page = llm_test_page(test, addr);
	const int refs = page_count(page);
	struct llm_pin pin;

	KUNIT_ASSERT_EQ(test, vm_munmap(addr + LLM_TEST_LEN / 2, LLM_TEST_LEN / 2), 0);
	KUNIT_EXPECT_EQ(test, llm_pin_memory(&pin, addr, LLM_TEST_LEN, true), -EFAULT);
	KUNIT_EXPECT_FALSE(test, folio_maybe_dma_pinned(page_folio(page)));
	KUNIT_EXPECT_EQ(test, page_count(page), refs);
	KUNIT_EXPECT_EQ(test, atomic64_read(&current->mm->pinned_vm), 0);
	put_page(page);
}

/* Somebody who may not pin as much as he likes; to be given back with revert_creds() and put. */
static const struct cred *llm_test_drop_rights(struct kunit *test, struct cred **ret_mine)
{
	struct cred *mine = prepare_creds();

	KUNIT_ASSERT_NOT_NULL(test, mine);
	cap_lower(mine->cap_effective, CAP_IPC_LOCK);
	*ret_mine = mine;
	return override_creds(mine);
}

static void llm_pin_test_bill(struct kunit *test)
{
	struct rlimit *limit = &current->signal->rlim[RLIMIT_MEMLOCK];
	const struct rlimit before = *limit;
	const long locked = atomic_long_read(&current_user()->locked_vm);
	const unsigned long addr = llm_test_memory(test);
	const struct cred *old;
	struct llm_pin first, second;
	struct cred *mine;

	old = llm_test_drop_rights(test, &mine);
	limit->rlim_cur = (locked + LLM_TEST_PAGES) << PAGE_SHIFT;
	KUNIT_EXPECT_EQ(test, llm_pin_memory(&first, addr, LLM_TEST_LEN, true), 0);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm),
			locked + LLM_TEST_PAGES);
	KUNIT_EXPECT_EQ(test, llm_pin_memory(&second, addr, PAGE_SIZE, true), -ENOMEM);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm),
			locked + LLM_TEST_PAGES);
	llm_pin_release(&first);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm), locked);
	KUNIT_EXPECT_EQ(test, llm_pin_memory(&second, addr, PAGE_SIZE, true), 0);
	llm_pin_release(&second);
	KUNIT_EXPECT_EQ(test, atomic_long_read(&current_user()->locked_vm), locked);
	KUNIT_EXPECT_EQ(test, atomic64_read(&current->mm->pinned_vm), 0);
	*limit = before;
	revert_creds(old);
	put_cred(mine);
}

/* What is copied is what is there now, from any byte and over the bounds of pages. */
static void llm_pin_test_copy(struct kunit *test)
{
	const unsigned long addr = llm_test_memory(test);
	u8 *bytes = kunit_kzalloc(test, 2 * PAGE_SIZE, GFP_KERNEL);
	struct kvec part = { .iov_base = bytes, .iov_len = PAGE_SIZE + 2 };
	struct iov_iter to;
	struct llm_pin pin;

	KUNIT_ASSERT_NOT_NULL(test, bytes);
	KUNIT_ASSERT_EQ(test, llm_pin_memory(&pin, addr, LLM_TEST_LEN, false), 0);
	memset(page_address(pin.pages[0]), 'a', PAGE_SIZE);
	memset(page_address(pin.pages[1]), 'b', PAGE_SIZE);
	memset(page_address(pin.pages[2]), 'c', PAGE_SIZE);
	iov_iter_kvec(&to, ITER_DEST, &part, 1, part.iov_len);
	KUNIT_EXPECT_EQ(test, llm_pin_copy(&pin, PAGE_SIZE - 1, PAGE_SIZE + 2, &to), PAGE_SIZE + 2);
	KUNIT_EXPECT_EQ(test, bytes[0], 'a');
	KUNIT_EXPECT_EQ(test, bytes[1], 'b');
	KUNIT_EXPECT_EQ(test, bytes[PAGE_SIZE], 'b');
	KUNIT_EXPECT_EQ(test, bytes[PAGE_SIZE + 1], 'c');
	KUNIT_EXPECT_EQ(test, bytes[PAGE_SIZE + 2], 0);
	llm_pin_release(&pin);
}

static struct kunit_case llm_pin_cases[] = {
	KUNIT_CASE(llm_pin_test_pins),
	KUNIT_CASE(llm_pin_test_half),
	KUNIT_CASE(llm_pin_test_bill),
	KUNIT_CASE(llm_pin_test_copy),
	{}
};

static struct kunit_suite llm_pin_suite = {
	.name = "llm_pin",
	.test_cases = llm_pin_cases,
};

kunit_test_suite(llm_pin_suite);
