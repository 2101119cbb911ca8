/* SPDX-License-Identifier: MIT */
/*
 * Pages on the disk: what comes back is what went there, for whom it was kept alone; what is old
 * makes way; and a disk that is full, broken or slow costs pages and nothing else.
 */
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <setjmp.h>
#include <cmocka.h>

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "engine/swap.h"
#include "engine/swap_io.h"
#include "tests/unit/disk_gate.h"

#define PAGE_BYTES	4096
#define PLACES		8

static const struct engine_domain one = { .source = &one, .group = 1, .user = 1000 };
static char folder[] = "/var/tmp/llmos-swap.XXXXXX";
static struct swap *swap;
static int news = -1;

static void ready(void *arg)
{
	eventfd_write(*(int *)arg, 1);
}

/* ---- before and after ---- */

static int setup(void **state)
{
	(void)state;
	disk_gate_open();
	strcpy(folder + strlen(folder) - 6, "XXXXXX");
	news = eventfd(0, EFD_CLOEXEC);
	if (!mkdtemp(folder) || news < 0 ||
	    swap_open(&swap, folder, PLACES * PAGE_BYTES, PAGE_BYTES, ready, &news) < 0)
		return -1;
	while (disk_gate_file(folder) < 0)
		usleep(200);
	return 0;
}

/* and nobody stands before the gate any more */
static void close_swap(void)
{
	disk_gate_open();
	swap_close(swap);
	swap = NULL;
	while (disk_gate_file(folder) >= 0)
		usleep(200);
}

static int teardown(void **state)
{
	(void)state;
	close_swap();
	close(news);
	return rmdir(folder);
}

/* ---- pages ---- */

static void fill_tokens(uint32_t *tokens, uint32_t number)
{
	for (uint32_t i = 0; i < KV_PAGE_TOKENS; i++)
		tokens[i] = number * KV_PAGE_TOKENS + i;
}

static void fill_page(char *page, uint32_t number)
{
	for (size_t i = 0; i < PAGE_BYTES; i++)
		page[i] = (char)(number * 37 + i * 11 + (i >> 8));
}

static struct swap_chain chain_of(uint32_t number)
{
	uint32_t tokens[KV_PAGE_TOKENS];

	fill_tokens(tokens, number);
	return swap_extend(swap, (struct swap_chain){ { 0 }, 0 }, tokens);
}

static void put(const struct engine_domain *domain, uint32_t number)
{
	const struct swap_chain chain = chain_of(number);
	uint32_t tokens[KV_PAGE_TOKENS];
	char page[PAGE_BYTES];

	fill_tokens(tokens, number);
	fill_page(page, number);
	swap_put(swap, domain, &chain, tokens, page);
}

static uint32_t get(const struct engine_domain *domain, uint32_t number)
{
	const struct swap_chain chain = chain_of(number);
	uint32_t tokens[KV_PAGE_TOKENS];
	bool busy;

	fill_tokens(tokens, number);
	return swap_get(swap, domain, &chain, tokens, &busy);
}

/* waits for the word of the thread; Return: as swap_take() */
static int take(uint32_t buffer, char *page)
{
	struct pollfd poll_fd = { .fd = news, .events = POLLIN };
	eventfd_t count;
	int r;

	while (!(r = swap_take(swap, buffer, page))) {
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
		eventfd_read(news, &count);
	}
	return r;
}

/* Return: it came back, as it was */
static bool has(const struct engine_domain *domain, uint32_t number)
{
	char page[PAGE_BYTES], want[PAGE_BYTES];
	const uint32_t buffer = get(domain, number);
	int r;

	if (buffer == SWAP_NONE)
		return false;
	memset(page, 0, sizeof(page));
	r = take(buffer, page);
	if (r < 0)
		return false;
	fill_page(want, number);
	assert_memory_equal(page, want, sizeof(page));
	return true;
}

/* until all that was put has been written, or could not be */
static void settle(void)
{
	while (swap_writing(swap)) {
		(void)get(&one, 1000000);
		usleep(200);
	}
}

/* ---- tests ---- */

static void test_comes_back(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PLACES; i++)
		put(&one, i);
	settle();
	for (uint32_t i = PLACES; i-- > 0;)
		assert_true(has(&one, i));
	assert_true(has(&one, 3));
	assert_int_equal(swap_stats(swap).pages, PLACES);
	assert_int_equal(swap_stats(swap).written, PLACES);
	assert_int_equal(swap_stats(swap).read, PLACES + 1);
	assert_int_equal(swap_stats(swap).failed, 0);
	/* what is there already is not written again */
	put(&one, 3);
	assert_true(has(&one, 3));
	assert_int_equal(swap_stats(swap).written, PLACES);
}

static void test_whose(void **state)
{
	struct engine_domain others[4] = { one, one, one, one };
	const struct swap_chain chain = chain_of(1);
	struct swap_chain behind;
	uint32_t tokens[KV_PAGE_TOKENS];
	bool busy;

	(void)state;
	others[0].source = NULL;
	others[1].group++;
	others[2].user++;
	others[3].adapters[0].id = 7;
	put(&one, 1);
	for (size_t i = 0; i < ARRAY_SIZE(others); i++)
		assert_false(has(&others[i], 1));
	assert_false(has(&one, 2));
	/* the same page behind another one */
	fill_tokens(tokens, 1);
	behind = swap_extend(swap, chain, tokens);
	assert_int_equal(swap_get(swap, &one, &behind, tokens, &busy), SWAP_NONE);
	assert_true(has(&one, 1));
	put(&others[3], 2);
	put(&others[1], 3);
	swap_forget(swap, &one);
	assert_false(has(&one, 1));
	assert_false(has(&others[3], 2));
	assert_true(has(&others[1], 3));
}

static void test_oldest_goes(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PLACES; i++) {
		put(&one, i);
		assert_true(has(&one, i));
	}
	/* one that was wanted, and one that had to make way again */
	assert_true(has(&one, 0));
	put(&one, 1);
	put(&one, 20);
	put(&one, 21);
	assert_false(has(&one, 2));
	assert_false(has(&one, 3));
	for (uint32_t i = 4; i < PLACES; i++)
		assert_true(has(&one, i));
	assert_true(has(&one, 0));
	assert_true(has(&one, 1));
	assert_true(has(&one, 20));
	assert_int_equal(swap_stats(swap).pages, PLACES);
}

static void test_has_no_name(void **state)
{
	const int fd = disk_gate_file(folder);
	struct dirent *entry;
	struct stat st;
	DIR *dir;

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(fstat(fd, &st), 0);
	assert_int_equal(st.st_nlink, 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
	dir = opendir(folder);
	assert_non_null(dir);
	while ((entry = readdir(dir)))
		assert_int_equal(entry->d_name[0], '.');
	closedir(dir);
}

/* no room behind the second page: the others are lost, and it is not tried at once again */
static void test_full_disk(void **state)
{
	struct rlimit before, limit;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 2 * PAGE_BYTES;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	for (uint32_t i = 0; i < 4; i++)
		put(&one, i);
	settle();
	assert_true(has(&one, 0));
	assert_true(has(&one, 1));
	assert_false(has(&one, 2));
	assert_false(has(&one, 3));
	/* the last one may not have been tried any more */
	assert_in_range(swap_stats(swap).failed, 1, 2);
	assert_int_equal(swap_stats(swap).pages, 2);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	put(&one, 5);
	settle();
	assert_false(has(&one, 5));
	/* but later */
	for (uint32_t i = 0; i < 2000; i++)
		put(&one, 100 + i % 3);
	assert_true(has(&one, 100));
	assert_true(has(&one, 0));
}

/* where nothing has to make way, what need not yet is what it is tried with again */
static void test_full_disk_ahead(void **state)
{
	struct rlimit before, limit;
	unsigned int tries = 0;
	bool busy;

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	limit = before;
	limit.rlim_cur = 0;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	put(&one, 1);
	settle();
	assert_int_equal(swap_stats(swap).failed, 1);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	while (!swap_ahead(swap, &busy)) {
		assert_true(busy);
		assert_true(++tries <= 1024);
	}
	assert_true(tries > 10);
	put(&one, 1);
	settle();
	assert_true(has(&one, 1));
}

/* what can not be read is not kept either */
static void test_broken_disk(void **state)
{
	(void)state;
	put(&one, 0);
	put(&one, 1);
	settle();
	assert_true(has(&one, 1));
	assert_int_equal(ftruncate(disk_gate_file(folder), PAGE_BYTES), 0);
	assert_false(has(&one, 1));
	assert_int_equal(swap_stats(swap).pages, 1);
	assert_int_equal(swap_stats(swap).failed, 1);
	assert_true(has(&one, 0));
	put(&one, 1);
	assert_true(has(&one, 1));
}

/* there, as soon as the thread is through with what has all buffers; it is put there if it is not */
static bool has_in_time(uint32_t number)
{
	for (unsigned int i = 0; i < 10000; i++) {
		put(&one, number);
		if (has(&one, number))
			return true;
		usleep(1000);
	}
	return false;
}

static void test_not_wanted(void **state)
{
	uint32_t buffers[300], count = 0;
	char page[PAGE_BYTES];
	uint32_t tokens[KV_PAGE_TOKENS];
	const struct swap_chain chain = chain_of(0);
	bool busy = false;

	(void)state;
	fill_tokens(tokens, 0);
	put(&one, 0);
	settle();
	assert_true(has(&one, 0));
	while (count < ARRAY_SIZE(buffers)) {
		buffers[count] = swap_get(swap, &one, &chain, tokens, &busy);
		if (buffers[count] == SWAP_NONE)
			break;
		count++;
	}
	/* all that there are; a page that makes way is lost then */
	assert_true(count >= 4 && busy);
	put(&one, 9);
	assert_false(has(&one, 9));
	assert_int_equal(take(buffers[0], page), 1);
	for (uint32_t i = 1; i < count; i++)
		swap_cancel(swap, buffers[i]);
	assert_true(has_in_time(9));
	assert_true(has_in_time(0));
}

/* where to compute takes no time, only one in so many is tried */
static void test_not_worth_it(void **state)
{
	unsigned int found = 0;

	(void)state;
	put(&one, 0);
	settle();
	assert_true(has(&one, 0));
	swap_pace(swap, 1);
	for (uint32_t i = 0; i < 40; i++)
		found += has(&one, 0);
	assert_in_range(found, 0, 2);
	put(&one, 1);
	swap_pace(swap, UINT64_C(1000000000000));
	assert_true(has(&one, 0));
	assert_false(has(&one, 1));
	swap_pace(swap, 0);
	put(&one, 1);
	assert_true(has(&one, 1));
}

static void test_refused(void **state)
{
	struct pollfd poll_fd = { .fd = news, .events = POLLIN };
	const size_t with_file = swap_stats(swap).memory_bytes;
	struct swap *other = NULL;
	bool busy;

	(void)state;
	assert_int_equal(swap_open(&other, folder, PAGE_BYTES - 1, PAGE_BYTES, NULL, NULL),
			 -EINVAL);
	assert_null(other);
	close_swap();
	assert_int_equal(swap_open(&swap, "/nonexistent", 1 << 20, PAGE_BYTES, ready, &news), 0);
	/* who waits is told, and nothing is kept from then on */
	assert_int_equal(poll(&poll_fd, 1, 60000), 1);
	assert_int_equal(swap_error(swap), -ENOENT);
	put(&one, 1);
	assert_int_equal(swap_stats(swap).pages, 0);
	assert_false(has(&one, 1));
	assert_int_equal(swap_ahead(swap, &busy), 0);
	assert_false(busy);
	/* it has places for many pages, and no buffers */
	close_swap();
	assert_int_equal(swap_open(&swap, "/nonexistent", PLACES * PAGE_BYTES, PAGE_BYTES, ready,
				   &news), 0);
	while (!swap_error(swap))
		assert_int_equal(poll(&poll_fd, 1, 60000), 1);
	assert_true(swap_stats(swap).memory_bytes + SWAP_BUFFERS_MAX * PAGE_BYTES == with_file);
}

/* what need not make way yet takes nothing from what has to, or had to */
static void test_ahead(void **state)
{
	bool busy;

	(void)state;
	assert_int_equal(swap_ahead(swap, &busy), PLACES);
	put(&one, 0);
	settle();
	assert_int_equal(swap_ahead(swap, &busy), PLACES - 1);
	assert_false(busy);
	/* the disk has something to do */
	disk_gate_close(PAGE_BYTES);
	put(&one, 1);
	disk_gate_wait();
	assert_int_equal(swap_ahead(swap, &busy), 0);
	assert_true(busy);
	disk_gate_open();
	settle();
	/* what computing is faster than is not even tried */
	swap_pace(swap, 1);
	for (unsigned int i = 0; i < 200; i++)
		assert_int_equal(swap_ahead(swap, &busy), 0);
	assert_false(busy);
	swap_pace(swap, 0);
	/* the file is full */
	for (unsigned int i = 2; i < PLACES; i++)
		put(&one, i);
	settle();
	assert_int_equal(swap_ahead(swap, &busy), 0);
	assert_false(busy);
	/* and has room again */
	swap_forget(swap, &one);
	assert_int_equal(swap_ahead(swap, &busy), PLACES);
}

/* a file system on which nothing can be opened: nobody waits for that */
static void test_open_hangs(void **state)
{
	(void)state;
	close_swap();
	disk_gate_close(PAGE_BYTES);
	assert_int_equal(swap_open(&swap, folder, 2 * PAGE_BYTES, PAGE_BYTES, ready, &news), 0);
	put(&one, 0);
	disk_gate_wait();
	assert_true(disk_gate_file(folder) < 0);
	assert_int_equal(swap_error(swap), 0);
	/* what was to be written is there, and no more is than there are places */
	put(&one, 1);
	put(&one, 2);
	assert_false(has(&one, 0));
	assert_true(has(&one, 1));
	assert_true(has(&one, 2));
	disk_gate_open();
	settle();
	assert_string_equal(disk_gate_moves(), "w1 w0 ");
	assert_true(has(&one, 1));
	assert_true(has(&one, 2));
	assert_int_equal(swap_stats(swap).failed, 0);
	/* nor does who closes wait */
	close_swap();
	disk_gate_close(PAGE_BYTES);
	assert_int_equal(swap_open(&swap, folder, 2 * PAGE_BYTES, PAGE_BYTES, ready, &news), 0);
	put(&one, 0);
	disk_gate_wait();
	swap_close(swap);
	swap = NULL;
}

/* closed with pages on their way */
static void test_close(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < 100; i++)
		put(&one, i);
	(void)get(&one, 99);
}

/* who waits for a page does not wait for all that is being written */
static void test_reads_first(void **state)
{
	char page[PAGE_BYTES], want[PAGE_BYTES];
	uint32_t buffer;

	(void)state;
	put(&one, 0);
	settle();
	disk_gate_close(PAGE_BYTES);
	for (uint32_t i = 1; i < 5; i++)
		put(&one, i);
	disk_gate_wait();
	buffer = get(&one, 0);
	assert_int_not_equal(buffer, SWAP_NONE);
	assert_int_equal(swap_take(swap, buffer, page), 0);
	disk_gate_open();
	assert_int_equal(take(buffer, page), 1);
	fill_page(want, 0);
	assert_memory_equal(page, want, sizeof(page));
	settle();
	assert_string_equal(disk_gate_moves(), "w1 r0 w2 w3 w4 ");
}

/* what is on its way to the disk is there at once, and for whoever may have it alone */
static void test_not_written_yet(void **state)
{
	const struct engine_domain other = { .source = &one, .group = 1, .user = 1001 };

	(void)state;
	disk_gate_close(PAGE_BYTES);
	put(&one, 1);
	put(&one, 2);
	disk_gate_wait();
	assert_true(has(&one, 1));
	assert_true(has(&one, 2));
	assert_false(has(&other, 2));
	assert_int_equal(swap_stats(swap).read, 2);
	assert_int_equal(swap_stats(swap).written, 0);
	/* one that nobody may have any more is not written */
	swap_forget(swap, &one);
	assert_false(has(&one, 1));
	disk_gate_open();
	settle();
	assert_string_equal(disk_gate_moves(), "w0 ");
	assert_int_equal(swap_stats(swap).pages, 0);
	assert_false(has(&one, 1));
}

/* a read that does not come: nothing else is asked for, until it does; it writes into nothing then */
static void test_gives_up(void **state)
{
	char page[PAGE_BYTES], untouched[PAGE_BYTES];
	uint32_t first, second;

	(void)state;
	put(&one, 0);
	put(&one, 1);
	settle();
	memset(page, 0x55, sizeof(page));
	memset(untouched, 0x55, sizeof(untouched));
	disk_gate_close(PAGE_BYTES);
	first = get(&one, 0);
	second = get(&one, 1);
	disk_gate_wait();
	assert_false(swap_is_stuck(swap));
	assert_int_equal(swap_take(swap, first, page), 0);
	swap_give_up(swap);
	assert_true(swap_is_stuck(swap));
	assert_int_equal(swap_stats(swap).failed, 1);
	swap_cancel(swap, first);
	swap_cancel(swap, second);
	assert_int_equal(get(&one, 1), SWAP_NONE);
	put(&one, 2);
	assert_int_equal(swap_stats(swap).pages, 2);
	disk_gate_open();
	while (swap_is_stuck(swap))
		usleep(200);
	assert_memory_equal(page, untouched, sizeof(page));
	/* what nobody wanted any more was not read */
	assert_string_equal(disk_gate_moves(), "r0 ");
	assert_true(has(&one, 0));
	assert_true(has(&one, 1));
	put(&one, 2);
	assert_true(has(&one, 2));
	/* when nothing is under way, there is nothing to wait for */
	settle();
	swap_give_up(swap);
	assert_false(swap_is_stuck(swap));
}

/* stands before the gate for @us at least, then comes too late; @buffer: a read, else a write */
static void come_late(uint32_t buffer, unsigned int us)
{
	disk_gate_wait();
	usleep(us);
	if (buffer != SWAP_NONE)
		swap_cancel(swap, buffer);
	disk_gate_open();
	while (buffer != SWAP_NONE && !swap_is_there(swap, buffer))
		usleep(200);
	settle();
}

static bool asks(uint32_t number)
{
	const uint32_t buffer = get(&one, number);

	if (buffer != SWAP_NONE)
		swap_cancel(swap, buffer);
	return buffer != SWAP_NONE;
}

/*
 * A read that nobody waited for any more tells how slow the disk is, which writes into memory of
 * the kernel do not make up for; but it tells no more than that.
 */
static void test_learns_from_late_reads(void **state)
{
	uint32_t buffer;

	(void)state;
	put(&one, 0);
	settle();
	disk_gate_close(PAGE_BYTES);
	buffer = get(&one, 0);
	assert_int_not_equal(buffer, SWAP_NONE);
	swap_pace(swap, 1000000);
	come_late(buffer, 20000);
	assert_false(asks(0));
	swap_pace(swap, 2000000);
	assert_false(asks(0));
	swap_pace(swap, 0);
	for (uint32_t i = 1; i < PLACES; i++) {
		put(&one, i);
		settle();
	}
	swap_pace(swap, 2000000);
	assert_false(asks(0));
	swap_pace(swap, 2020000);
	assert_true(asks(0));
}

/* one write that hung does not mean that all do */
static void test_learns_from_late_writes(void **state)
{
	(void)state;
	disk_gate_close(PAGE_BYTES);
	put(&one, 0);
	swap_pace(swap, 1000000);
	come_late(SWAP_NONE, 20000);
	swap_pace(swap, 2000000);
	put(&one, 1);
	assert_int_equal(swap_stats(swap).pages, 1);
	swap_pace(swap, 2020000);
	put(&one, 1);
	assert_int_equal(swap_stats(swap).pages, 2);
	/* nor does it say anything of reads */
	swap_pace(swap, 1000000);
	assert_true(asks(0));
}

/* reads leave all buffers to writes that there are for both, as long as they have others */
static void test_read_buffers(void **state)
{
	uint32_t buffers[300], all = 0, reads, places = 1;

	(void)state;
	close_swap();
	assert_int_equal(swap_open(&swap, folder, 400 * PAGE_BYTES, PAGE_BYTES, ready, &news), 0);
	put(&one, 0);
	settle();
	disk_gate_close(PAGE_BYTES);
	while ((buffers[all] = get(&one, 0)) != SWAP_NONE)
		assert_true(++all < ARRAY_SIZE(buffers));
	/* the first one is being moved, and stays; with it, so many as there are for reads alone */
	disk_gate_wait();
	for (reads = all; reads > 1; reads--)
		swap_cancel(swap, buffers[reads - 1]);
	while (reads < all / 4) {
		buffers[reads] = get(&one, 0);
		assert_int_not_equal(buffers[reads++], SWAP_NONE);
	}
	while (swap_stats(swap).pages == places)
		put(&one, places++);
	assert_int_equal(swap_writing(swap), all - reads);
}

/* nobody waits for a thread that hangs, nor hears of it; it tidies up behind itself */
static void test_close_while_it_hangs(void **state)
{
	eventfd_t count;

	(void)state;
	put(&one, 0);
	settle();
	disk_gate_close(PAGE_BYTES);
	assert_int_not_equal(get(&one, 0), SWAP_NONE);
	put(&one, 1);
	disk_gate_wait();
	swap_close(swap);
	swap = NULL;
	assert_true(disk_gate_file(folder) >= 0);
	disk_gate_open();
	while (disk_gate_file(folder) >= 0)
		usleep(200);
	assert_string_equal(disk_gate_moves(), "r0 ");
	assert_int_equal(fcntl(news, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(eventfd_read(news, &count), -1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_comes_back), TEST(test_whose), TEST(test_oldest_goes),
		TEST(test_has_no_name), TEST(test_full_disk), TEST(test_full_disk_ahead),
		TEST(test_broken_disk),
		TEST(test_not_wanted), TEST(test_not_worth_it), TEST(test_refused),
		TEST(test_ahead),
		TEST(test_close), TEST(test_reads_first), TEST(test_not_written_yet),
		TEST(test_gives_up), TEST(test_close_while_it_hangs),
		TEST(test_open_hangs), TEST(test_learns_from_late_reads),
		TEST(test_learns_from_late_writes), TEST(test_read_buffers),
	};

	/* a disk that is waited for in vain */
	alarm(300);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
