/* SPDX-License-Identifier: MIT */
/*
 * Sequences that go on with pages from the disk: bit for bit as if they had been computed, as far as
 * there are such, for whom they were computed alone; and what a read that comes too late may touch.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "engine/engine_internal.h"
#include "tests/numeric/engine_test.h"
#include "tests/unit/disk_gate.h"
#include "tests/unit/gguf_build.h"

#define PROMPT		150	/* tokens: four full pages and a part of a fifth */
#define PAGE		KV_PAGE_TOKENS
#define FULL		(4 * PAGE)
#define LONG		((SEQ_READS + 2) * PAGE)

static const int here;
static const struct engine_domain mine = { .source = &here, .group = 1, .user = 1000 };
static const struct engine_domain yours = { .source = &here, .group = 1, .user = 1001 };
static struct engine_payer payer = { (void *)&here, 1 };

static struct engine_test test;
static int file = -1, news = -1;
static uint32_t tokens[PROMPT];
static float *want, *have;		/* (PROMPT, vocab): of the prompt computed, and as it is now */
static size_t row_bytes;

static void on_ready(void *arg)
{
	(void)arg;
	eventfd_write(news, 1);
}

static void on_dropped(void *arg, const struct engine_payer *who, size_t bytes)
{
	(void)arg;
	(void)who;
	(void)bytes;
}

/* from where it is to the end of the text */
static void feed(struct engine_seq *seq, const uint32_t *text)
{
	const unsigned int length = engine_seq_length(seq);

	memset(have, 0xff, PROMPT * row_bytes);
	engine_test_feed(&test, seq, text + length, PROMPT - length, 33,
			 have + length * (row_bytes / sizeof(float)));
}

static void assert_same(unsigned int from)
{
	assert_memory_equal((char *)have + from * row_bytes, (char *)want + from * row_bytes,
			    (PROMPT - from) * row_bytes);
}

static int setup(void **state)
{
	const char *kv_type = *state;
	struct engine_config config = {
		.threads = 2, .max_seqs = 4, .batch_tokens = 256, .logits_rows = 256, .context = 320,
		.prefix_percent = 50, .prefix_dropped = on_dropped, .kv_type = kv_type,
		.swap_folder = "/var/tmp", .swap_bytes = 1 << 20, .swap_ready = on_ready,
	};
	struct llama_shape shape = llama_shape_small;
	struct engine_seq *seq;
	char path[64];

	news = eventfd(0, EFD_CLOEXEC);
	file = llama_build(&shape);
	gguf_build_path(file, path, sizeof(path));
	engine_test_open(&test, path, &config);
	assert_int_equal(test.info.swap_error, 0);
	for (unsigned int i = 0; i < PROMPT; i++)
		tokens[i] = (i * 7919 + 13) % shape.vocab;
	row_bytes = shape.vocab * sizeof(float);
	want = malloc(PROMPT * row_bytes);
	have = malloc(PROMPT * row_bytes);
	assert_true(want && have && news >= 0);
	seq = engine_test_seq(&test, PROMPT);
	feed(seq, tokens);
	memcpy(want, have, PROMPT * row_bytes);
	engine_seq_swap(seq, &mine, tokens, 0);
	engine_seq_free(seq);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	if (test.model) {
		engine_prefix_clear(test.model);
		engine_model_info(test.model, &test.info);
		assert_int_equal(test.info.kv_pages_used, 0);
		engine_test_close(&test);
	}
	disk_gate_open();
	while (disk_gate_file("/var/tmp") >= 0)
		usleep(200);
	close(file);
	close(news);
	free(want);
	free(have);
	return 0;
}

/* until all that was given to the swap is in the file */
static void settle(void)
{
	const struct swap_chain nothing = { { 0 }, 0 };
	bool busy;

	while (swap_writing(test.model->swap)) {
		swap_get(test.model->swap, &yours, &nothing, tokens, &busy);
		usleep(200);
	}
}

/* as the scheduler does it: again whenever there is news; Return: tokens that it has then */
static unsigned int fetch(struct engine_seq *seq, const struct engine_domain *domain,
			  const uint32_t *text, unsigned int count)
{
	struct pollfd fd = { .fd = news, .events = POLLIN };
	eventfd_t number;

	while (engine_seq_fetch(seq, domain, text, count)) {
		assert_int_equal(poll(&fd, 1, 60000), 1);
		eventfd_read(news, &number);
	}
	assert_int_equal(seq->read_count, 0);
	return engine_seq_length(seq);
}

/* of whole pages before the last token, as far as they go; once from memory, once from the disk */
static void test_exact(void **state)
{
	(void)state;
	for (unsigned int round = 0; round < 2; round++) {
		for (unsigned int count = 1; count < PROMPT; count += 37) {
			struct engine_seq *seq = engine_test_seq(&test, PROMPT);

			assert_int_equal(fetch(seq, &mine, tokens, count), count / PAGE * PAGE);
			feed(seq, tokens);
			assert_same(count / PAGE * PAGE);
			engine_seq_free(seq);
		}
		settle();
	}
	engine_model_info(test.model, &test.info);
	assert_int_equal(test.info.kv_pages_swapped, 4);
	assert_int_equal(test.info.swapped.out, 4);
	assert_int_equal(test.info.swapped.in, 2 * (0 + 1 + 2 + 3 + 4));
	assert_int_equal(test.info.swapped.failed, 0);
}

/* for whom it was computed, with the same text before it */
static void test_whose(void **state)
{
	struct engine_seq *seq = engine_test_seq(&test, PROMPT);
	uint32_t other[PROMPT];

	(void)state;
	settle();
	assert_int_equal(fetch(seq, &yours, tokens, PROMPT - 1), 0);
	memcpy(other, tokens, sizeof(other));
	other[2 * PAGE + 5] ^= 1;
	assert_int_equal(fetch(seq, &mine, other, PROMPT - 1), 2 * PAGE);
	engine_seq_truncate(seq, 0);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	other[0] ^= 1;
	assert_int_equal(fetch(seq, &mine, other, PROMPT - 1), 0);
	/* a line that has ended has nothing there any more */
	engine_prefix_forget(test.model, &mine);
	assert_int_equal(fetch(seq, &mine, tokens, PROMPT - 1), 0);
	feed(seq, tokens);
	assert_same(0);
	engine_seq_free(seq);
}

/* behind what the prefix store has, and of a sequence that only gives up its end */
static void test_behind(void **state)
{
	struct engine_seq *seq;

	(void)state;
	settle();
	engine_prefix_forget(test.model, &mine);
	seq = engine_test_seq(&test, PROMPT);
	feed(seq, tokens);
	engine_seq_swap(seq, &mine, tokens, 2 * PAGE);
	settle();
	engine_model_info(test.model, &test.info);
	assert_int_equal(test.info.kv_pages_swapped, 2);
	engine_seq_truncate(seq, 2 * PAGE);
	assert_true(engine_seq_keep(seq, &mine, &payer, tokens) > 0);
	engine_seq_free(seq);
	assert_int_equal(engine_seq_new(test.model, &seq), 0);
	assert_int_equal(engine_seq_begin(seq, &mine, tokens, PROMPT - 1), 2 * PAGE);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	assert_int_equal(fetch(seq, &mine, tokens, PROMPT - 1), FULL);
	feed(seq, tokens);
	assert_same(FULL);
	/* kept pages have not made way */
	engine_seq_swap(seq, &yours, tokens, 0);
	engine_model_info(test.model, &test.info);
	assert_int_equal(test.info.kv_pages_swapped, 4);
	engine_seq_free(seq);
}

/* no more than it has pages for */
static void test_pages(void **state)
{
	struct engine_seq *seq = engine_test_seq(&test, 2 * PAGE);

	(void)state;
	settle();
	assert_int_equal(fetch(seq, &mine, tokens, PROMPT - 1), 2 * PAGE);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	assert_int_equal(fetch(seq, &mine, tokens, PROMPT - 1), FULL);
	feed(seq, tokens);
	assert_same(FULL);
	/* in the middle of a page there is nothing to go on with */
	engine_seq_truncate(seq, PAGE + 3);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	assert_int_equal(engine_seq_fetch(seq, &mine, tokens, PROMPT - 1), 0);
	assert_int_equal(engine_seq_length(seq), PAGE + 3);
	engine_seq_free(seq);
}

/* what comes after it was given up is nobody's: neither the pages' that it was for, nor another's */
static void test_too_late(void **state)
{
	struct engine_seq *seq = engine_test_seq(&test, PROMPT), *next;

	(void)state;
	settle();
	disk_gate_close(test.model->kv.page_bytes);
	assert_int_equal(engine_seq_fetch(seq, &mine, tokens, PROMPT - 1), 1);
	disk_gate_wait();
	assert_int_equal(engine_seq_fetch(seq, &mine, tokens, PROMPT - 1), 1);
	engine_seq_fetch_stop(seq);
	assert_int_equal(engine_seq_length(seq), 0);
	feed(seq, tokens);
	assert_same(0);
	/* nobody else waits for that disk */
	next = engine_test_seq(&test, PROMPT);
	assert_int_equal(engine_seq_fetch(next, &mine, tokens, PROMPT - 1), 0);
	disk_gate_open();
	while (swap_is_stuck(test.model->swap))
		usleep(200);
	assert_string_equal(disk_gate_moves(), "r0 ");
	engine_seq_truncate(seq, PROMPT - 1);
	engine_test_feed(&test, seq, tokens + PROMPT - 1, 1, 1, have);
	assert_memory_equal(have, (char *)want + (PROMPT - 1) * row_bytes, row_bytes);
	engine_seq_free(seq);
	assert_int_equal(fetch(next, &mine, tokens, PROMPT - 1), FULL);
	engine_model_info(test.model, &test.info);
	assert_int_equal(test.info.swapped.failed, 1);
	engine_seq_free(next);
}

/* who was waiting beside the one who gave up does not go on doing so */
static void test_beside(void **state)
{
	struct engine_seq *first = engine_test_seq(&test, PROMPT);
	struct engine_seq *second = engine_test_seq(&test, PROMPT);

	(void)state;
	settle();
	disk_gate_close(test.model->kv.page_bytes);
	assert_int_equal(engine_seq_fetch(first, &mine, tokens, PROMPT - 1), 1);
	assert_int_equal(engine_seq_fetch(second, &mine, tokens, PROMPT - 1), 1);
	disk_gate_wait();
	engine_seq_fetch_stop(first);
	assert_int_equal(engine_seq_fetch(second, &mine, tokens, PROMPT - 1), 0);
	assert_int_equal(second->read_count, 0);
	engine_seq_free(first);
	engine_seq_free(second);
	/* a model goes with its disk hanging */
	engine_test_close(&test);
	assert_true(disk_gate_file("/var/tmp") >= 0);
}

/* more than a few pages that are all there: others have their turn between them, and it goes on */
static void test_takes_turns(void **state)
{
	struct engine_seq *seq = engine_test_seq(&test, LONG), *next;
	struct pollfd fd = { .fd = news, .events = POLLIN };
	const size_t page_bytes = test.model->kv.page_bytes;
	uint32_t text[LONG];

	(void)state;
	for (unsigned int i = 0; i < LONG; i++)
		text[i] = (i * 6007 + 5) % test.info.vocab;
	for (unsigned int at = 0; at < LONG; at += PAGE)
		engine_test_feed(&test, seq, text + at, PAGE, PAGE, have);
	settle();
	disk_gate_close(page_bytes);
	engine_seq_swap(seq, &mine, text, 0);
	next = engine_test_seq(&test, LONG);
	/* none of them comes from the thread: who has more to say says so himself */
	assert_int_equal(poll(&fd, 1, 0), 0);
	assert_int_equal(engine_seq_fetch(next, &mine, text, LONG), 1);
	assert_int_equal(engine_seq_length(next), SEQ_READS * PAGE);
	assert_int_equal(poll(&fd, 1, 0), 1);
	assert_int_equal(engine_seq_fetch(next, &mine, text, LONG), 0);
	assert_int_equal(engine_seq_length(next), LONG);
	for (unsigned int i = 0; i < LONG / PAGE; i++)
		assert_memory_equal(kv_page(&test.model->kv, next->pages[i]),
				    kv_page(&test.model->kv, seq->pages[i]), page_bytes);
	engine_seq_free(next);
	engine_seq_free(seq);
}

/* as the scheduler does it: now and then, while there is more; Return: pages */
static unsigned int write_ahead(void)
{
	unsigned int count = 0;
	bool more = true;

	while (more) {
		count += engine_swap_ahead(test.model, &more);
		settle();
	}
	return count;
}

/* as if one idle page had not been written yet; Return: how many there were */
static unsigned int write_again(void)
{
	struct prefix *prefix = &test.model->prefix;
	unsigned int count = 0;

	for (struct list *at = prefix->behind.next; at != &prefix->behind; at = at->next)
		count++;
	for (uint32_t i = 0; i < prefix->kv->page_count; i++)
		if (prefix->pages[i].domain && !list_empty(&prefix->pages[i].idle)) {
			prefix->pages[i].is_ahead = false;
			list_move(&prefix->behind, &prefix->pages[i].behind);
			return count;
		}
	fail_msg("nothing is idle");
	return count;
}

/* what is idle is on the disk before it has to make way, where that may be soon */
static void test_ahead(void **state)
{
	struct engine_seq *others[8], *seq;
	unsigned int count = 0;
	bool more;

	(void)state;
	settle();
	seq = engine_test_seq(&test, PROMPT);
	feed(seq, tokens);
	assert_int_equal(engine_seq_keep(seq, &yours, &payer, tokens),
			 4 * test.model->kv.page_bytes);
	/* in use, and then with half of the cache free */
	assert_int_equal(write_ahead(), 0);
	engine_seq_free(seq);
	assert_true(test.model->kv.free_count >= test.model->kv.page_count / 2);
	assert_int_equal(write_ahead(), 0);
	while (test.model->kv.free_count >= test.model->kv.page_count / 2) {
		assert_true(count < 3);
		others[count++] = engine_test_seq(&test, 320);
	}
	/* not while the disk is at something else */
	disk_gate_close(test.model->kv.page_bytes);
	assert_int_equal(engine_swap_ahead(test.model, &more), 4);
	assert_false(more);
	disk_gate_wait();
	assert_int_equal(write_again(), 0);
	assert_int_equal(engine_swap_ahead(test.model, &more), 0);
	assert_true(more);
	disk_gate_open();
	settle();
	assert_int_equal(write_ahead(), 1);
	/* then nothing is to be written any more */
	assert_int_equal(engine_prefix_drop(test.model, &payer, SIZE_MAX),
			 4 * test.model->kv.page_bytes);
	assert_int_equal(swap_writing(test.model->swap), 0);
	while (count)
		engine_seq_free(others[--count]);
	seq = engine_test_seq(&test, PROMPT);
	assert_int_equal(fetch(seq, &yours, tokens, PROMPT - 1), FULL);
	feed(seq, tokens);
	assert_same(FULL);
	engine_seq_free(seq);
	engine_model_info(test.model, &test.info);
	assert_int_equal(test.info.swapped.out, 8);
	assert_int_equal(test.info.swapped.in, 4);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
#define TEST_F16(f) { #f "_f16", f, setup, teardown, (void *)"f16" }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_exact), TEST_F16(test_exact), TEST(test_whose), TEST(test_behind),
		TEST(test_pages), TEST(test_too_late), TEST(test_beside),
		TEST(test_takes_turns), TEST(test_ahead),
	};

	/* a disk that is waited for in vain */
	alarm(300);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
