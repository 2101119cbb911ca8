/* SPDX-License-Identifier: MIT */
/* That texts of a length are given the same time, and only as much as short ones may take. */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <setjmp.h>
#include <cmocka.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "sched/read_time.h"
#include "tok_test.h"

/* a clock that goes on by so much with each look at it; 0: the machine's own */
static uint64_t tick_ns;

int clock_gettime(clockid_t clock, struct timespec *ts)
{
	static uint64_t now_ns;

	if (!tick_ns)
		return (int)syscall(SYS_clock_gettime, clock, ts);
	now_ns = (now_ns ? now_ns : 100 * NS_PER_S) + tick_ns;
	ts->tv_sec = (time_t)(now_ns / NS_PER_S);
	ts->tv_nsec = (long)(now_ns % NS_PER_S);
	return 0;
}

static struct tokenizer *tokenizer_of(void (*write)(struct gguf_write *w))
{
	struct gguf_write w = { 0 };

	write(&w);
	return tok_of(&w, 0, NULL);
}

static void write_spm(struct gguf_write *w)
{
	gguf_write_spm(w, NULL);
}

static void write_bpe(struct gguf_write *w)
{
	gguf_write_bpe(w, "gpt-2", NULL);
}

/* each kind can be measured, whatever bytes its tokens are */
static void test_measure(void **state)
{
	void (*const kinds[])(struct gguf_write *w) = {
		write_spm, write_bpe, gguf_write_wordpiece, gguf_write_unigram,
	};

	(void)state;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(*kinds); i++) {
		struct tokenizer *tok = tokenizer_of(kinds[i]);
		struct read_time time = { 0 };

		read_time_measure(&time, tok);
		assert_int_not_equal(time.kib_ns, 0);
		/* by far not what a scheduler's slice would make of it */
		assert_true(time.kib_ns < NS_PER_S);
		tok_free(tok);
	}
}

static uint64_t waited(const struct read_time *time, uint64_t before_ns, size_t len)
{
	const uint64_t begin = clock_ns();

	read_time_wait(time, begin - before_ns, len);
	return clock_ns() - begin;
}

static void test_wait(void **state)
{
	const struct read_time time = { .kib_ns = 4 * NS_PER_MS };
	const struct read_time none = { 0 }, second = { .kib_ns = NS_PER_S };
	uint64_t short_ns;

	(void)state;
	tick_ns = 1000;
	assert_true(waited(&time, 0, 1024) >= 4 * NS_PER_MS);
	assert_true(waited(&time, 0, 2048) >= 8 * NS_PER_MS);
	/* what it has taken counts */
	assert_true(waited(&time, 3 * NS_PER_MS, 2048) >= 5 * NS_PER_MS);
	/* long ones are given what 4 KiB are, and no more */
	short_ns = waited(&time, 0, 4096);
	assert_true(short_ns >= 16 * NS_PER_MS);
	assert_in_range(waited(&time, 0, SIZE_MAX), short_ns - tick_ns, short_ns + tick_ns);
	/* nobody waits for what is past, nor without a measure */
	assert_true(waited(&second, 2 * NS_PER_S, 1024) <= 2 * tick_ns);
	assert_true(waited(&none, 0, SIZE_MAX) <= 2 * tick_ns);
	tick_ns = 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_measure),
		cmocka_unit_test(test_wait),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
