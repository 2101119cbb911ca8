/* SPDX-License-Identifier: MIT */
/* The team of threads: everyone runs, barriers hold, chunks are taken once, teams come and go. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>

#include "engine/threads.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED	true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED	true
#endif
#endif

#ifndef IS_SANITIZED
#define IS_SANITIZED	false

/* stands before libc's: the thread of this number fails, 0: none */
static unsigned int failing_thread;
static unsigned int created_threads;

int pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*start)(void *), void *arg)
{
	int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);

	if (++created_threads == failing_thread)
		return EAGAIN;
	*(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
	return real(thread, attr, start, arg);
}
#else
static unsigned int failing_thread, created_threads;
#endif

#define MEMBERS_MAX	16
#define ROUNDS		200
#define CHUNKS		100

static const unsigned int sizes[] = { 1, 2, 3, 8, MEMBERS_MAX };

struct work {
	struct threads *threads;
	atomic_uint runs[MEMBERS_MAX];
	unsigned int slots[MEMBERS_MAX];	/* plain: the barrier orders them */
	atomic_uint taken[CHUNKS];
	atomic_uint errors;
};

static void run_once(void *arg, unsigned int member)
{
	struct work *w = arg;

	atomic_fetch_add(&w->runs[member], 1);
}

static void run_rounds(void *arg, unsigned int member)
{
	struct work *w = arg;
	const unsigned int members = threads_members(w->threads);

	for (unsigned int round = 1; round <= ROUNDS; round++) {
		w->slots[member] = round;
		threads_barrier(w->threads);
		for (unsigned int i = 0; i < members; i++)
			if (w->slots[i] != round)
				atomic_fetch_add(&w->errors, 1);
		threads_barrier(w->threads);
	}
}

static void run_chunks(void *arg, unsigned int member)
{
	struct work *w = arg;

	for (unsigned int round = 0; round < ROUNDS; round++) {
		for (unsigned int c = member; c < CHUNKS; c = threads_chunk_next(w->threads))
			atomic_fetch_add(&w->taken[c], 1);
		threads_barrier(w->threads);
	}
}

static void look_at_mask(void *arg, unsigned int member)
{
	struct work *w = arg;
	sigset_t set;

	pthread_sigmask(SIG_SETMASK, NULL, &set);
	if (sigismember(&set, SIGBUS) || sigismember(&set, SIGSEGV))
		atomic_fetch_add(&w->errors, 1);
	atomic_fetch_add(&w->runs[member], !sigismember(&set, SIGTERM));
}

/* a worker that touches a page which is gone must find the program's handler */
static void test_signals(void **state)
{
	struct work w = { 0 };

	(void)state;
	assert_int_equal(threads_new(&w.threads, 2), 0);
	threads_run(w.threads, 2, look_at_mask, &w);
	threads_free(w.threads);
	assert_int_equal(w.errors, 0);
	assert_int_equal(w.runs[0], 1);
	assert_int_equal(w.runs[1], 0);
}

static void test_everyone_runs(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct work w = { 0 };

		assert_int_equal(threads_new(&w.threads, sizes[i]), 0);
		assert_int_equal(threads_count(w.threads), sizes[i]);
		for (unsigned int run = 0; run < ROUNDS; run++)
			threads_run(w.threads, run % 2 ? 1 : sizes[i], run_once, &w);
		for (unsigned int m = 0; m < MEMBERS_MAX; m++) {
			const unsigned int want = m == 0 ? ROUNDS : m < sizes[i] ? ROUNDS / 2 : 0;

			assert_int_equal(w.runs[m], want);
		}
		threads_free(w.threads);
	}
}

static void test_barrier(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct work w = { 0 };

		assert_int_equal(threads_new(&w.threads, sizes[i]), 0);
		threads_run(w.threads, sizes[i], run_rounds, &w);
		threads_run(w.threads, 1, run_rounds, &w);
		assert_int_equal(w.errors, 0);
		threads_free(w.threads);
	}
}

static void test_chunks(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		struct work w = { 0 };

		assert_int_equal(threads_new(&w.threads, sizes[i]), 0);
		threads_run(w.threads, sizes[i], run_chunks, &w);
		threads_run(w.threads, 1, run_chunks, &w);
		for (unsigned int c = 0; c < CHUNKS; c++)
			assert_int_equal(w.taken[c], 2 * ROUNDS);
		threads_free(w.threads);
	}
}

static void test_teams_come_and_go(void **state)
{
	struct threads *threads = NULL;

	(void)state;
	for (unsigned int i = 0; i < 50; i++) {
		struct work w = { 0 };

		assert_int_equal(threads_new(&w.threads, 1 + i % 5), 0);
		if (i % 2)
			threads_run(w.threads, 5, run_once, &w);
		threads_free(w.threads);
	}
	threads_free(NULL);
	assert_int_equal(threads_new(&threads, 0), -EINVAL);
	assert_int_equal(threads_new(&threads, THREADS_MAX + 1), -EINVAL);
	assert_null(threads);
	assert_true(threads_allowed() >= 1);
}

/* a team that can't be completed: those that started are sent home */
static void test_no_more_threads(void **state)
{
	struct threads *threads = NULL;

	(void)state;
	if (IS_SANITIZED) {
		print_message("# the sanitizer wants its own pthread_create()\n");
		skip();
	}
	for (unsigned int i = 1; i < 6; i++) {
		created_threads = 0;
		failing_thread = i;
		assert_int_equal(threads_new(&threads, 6), -EAGAIN);
		assert_null(threads);
	}
	failing_thread = 0;
	assert_int_equal(threads_new(&threads, 6), 0);
	threads_free(threads);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_signals),
		cmocka_unit_test(test_everyone_runs),
		cmocka_unit_test(test_barrier),
		cmocka_unit_test(test_chunks),
		cmocka_unit_test(test_teams_come_and_go),
		cmocka_unit_test(test_no_more_threads),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
