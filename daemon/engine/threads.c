/* SPDX-License-Identifier: MIT */
/*
 * Everything is one barrier. Workers wait at it for a run to begin, all members meet at it inside the
 * run, and the run ends at it. The last to arrive resets the chunk counter and opens the next
 * generation, which is what the others spin and sleep on.
 */
#include "engine/threads.h"

#include <limits.h>
#include <linux/futex.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>

#define CACHE_LINE	64
#define SPINS		600	/* pauses of 30 to 60 ns: some tens of microseconds */

struct threads {
	unsigned int count;
	unsigned int spins;		/* 0 where members outnumber processors */
	pthread_t *ids;			/* workers 1 to count - 1; [0] is unused */

	/* written by the caller between runs; the barrier publishes them */
	unsigned int members;
	threads_func func;
	void *arg;
	bool stop;

	_Alignas(CACHE_LINE) atomic_uint arrived;
	_Alignas(CACHE_LINE) atomic_uint generation;	/* the futex */
	atomic_uint sleepers;
	_Alignas(CACHE_LINE) atomic_uint next_chunk;
	_Alignas(CACHE_LINE) atomic_uint next_member;	/* numbers for workers as they start */
};

unsigned int threads_allowed(void)
{
	cpu_set_t set;
	int n;

	if (sched_getaffinity(0, sizeof(set), &set) < 0) {
		n = (int)sysconf(_SC_NPROCESSORS_ONLN);
		return n > 0 ? (unsigned int)n : 1;
	}
	n = CPU_COUNT(&set);
	return n > 0 ? (unsigned int)n : 1;
}

static void cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#else
	atomic_signal_fence(memory_order_seq_cst);
#endif
}

static void futex_wait(atomic_uint *word, unsigned int value)
{
	syscall(SYS_futex, word, FUTEX_WAIT_PRIVATE, value, NULL, NULL, 0);
}

static void futex_wake_all(atomic_uint *word)
{
	syscall(SYS_futex, word, FUTEX_WAKE_PRIVATE, INT_MAX, NULL, NULL, 0);
}

static void wait_generation(struct threads *t, unsigned int old)
{
	for (unsigned int i = 0; i < t->spins; i++) {
		if (atomic_load_explicit(&t->generation, memory_order_acquire) != old)
			return;
		cpu_relax();
	}
	/*
	 * Pairs with open_generation(): either it sees this sleeper and wakes it, or the kernel
	 * sees the new generation and does not let it sleep.
	 */
	atomic_fetch_add(&t->sleepers, 1);
	while (atomic_load(&t->generation) == old)
		futex_wait(&t->generation, old);
	atomic_fetch_sub(&t->sleepers, 1);
}

static void open_generation(struct threads *t, unsigned int old)
{
	atomic_store(&t->generation, old + 1);
	if (atomic_load(&t->sleepers))
		futex_wake_all(&t->generation);
}

/* meet() - the barrier of all members, whether in a run or around it */
static void meet(struct threads *t)
{
	unsigned int old = atomic_load_explicit(&t->generation, memory_order_relaxed);

	if (atomic_fetch_add_explicit(&t->arrived, 1, memory_order_acq_rel) + 1 < t->count) {
		wait_generation(t, old);
		return;
	}
	/* relaxed: the generation's store publishes both */
	atomic_store_explicit(&t->arrived, 0, memory_order_relaxed);
	atomic_store_explicit(&t->next_chunk, t->count, memory_order_relaxed);
	open_generation(t, old);
}

static void *worker_main(void *arg)
{
	struct threads *t = arg;
	unsigned int member = atomic_fetch_add(&t->next_member, 1);

	for (;;) {
		meet(t);
		if (t->stop)
			return NULL;
		t->func(t->arg, member);
		meet(t);
	}
}

/*
 * Signals are for the program's own threads, but for those that a thread brings upon itself: while
 * they are blocked no handler would ever see them.
 */
static void block_signals(sigset_t *before)
{
	static const int own[] = { SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS };
	sigset_t set;

	sigfillset(&set);
	for (size_t i = 0; i < ARRAY_SIZE(own); i++)
		sigdelset(&set, own[i]);
	pthread_sigmask(SIG_SETMASK, &set, before);
}

static int start_workers(struct threads *t)
{
	unsigned int started;
	sigset_t before;
	char name[16];
	int r = 0;

	block_signals(&before);
	for (started = 1; started < t->count; started++) {
		r = pthread_create(&t->ids[started], NULL, worker_main, t);
		if (r)
			break;
		snprintf(name, sizeof(name), "llmos-engine%u", started % 1000);
		pthread_setname_np(t->ids[started], name);
	}
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (!r)
		return 0;

	/* those that started wait for members that will never come: stand in for all of them */
	t->stop = true;
	atomic_fetch_add(&t->arrived, t->count - started);
	meet(t);
	for (unsigned int i = 1; i < started; i++)
		pthread_join(t->ids[i], NULL);
	return -r;
}

int threads_new(struct threads **ret, unsigned int count)
{
	struct threads *t;
	void *memory;
	int r;

	if (!count || count > THREADS_MAX)
		return -EINVAL;
	r = posix_memalign(&memory, CACHE_LINE, sizeof(*t));
	if (r)
		return -r;
	t = memset(memory, 0, sizeof(*t));
	t->count = count;
	t->members = 1;
	t->spins = count <= threads_allowed() ? SPINS : 0;
	atomic_init(&t->next_member, 1);
	t->ids = calloc(count, sizeof(*t->ids));
	if (!t->ids) {
		free(t);
		return -ENOMEM;
	}
	r = start_workers(t);
	if (r < 0) {
		free(t->ids);
		free(t);
		return r;
	}
	*ret = t;
	return 0;
}

void threads_free(struct threads *t)
{
	if (!t)
		return;
	t->stop = true;
	if (t->count > 1)
		meet(t);
	for (unsigned int i = 1; i < t->count; i++)
		pthread_join(t->ids[i], NULL);
	free(t->ids);
	free(t);
}

unsigned int threads_count(const struct threads *t)
{
	return t->count;
}

void threads_run(struct threads *t, unsigned int members, threads_func func, void *arg)
{
	t->members = members > 1 ? t->count : 1;
	if (t->members == 1) {
		atomic_store_explicit(&t->next_chunk, 1, memory_order_relaxed);
		func(arg, 0);
		return;
	}
	t->func = func;
	t->arg = arg;
	meet(t);
	func(arg, 0);
	meet(t);
}

unsigned int threads_members(const struct threads *t)
{
	return t->members;
}

void threads_barrier(struct threads *t)
{
	if (t->members > 1)
		meet(t);
	else
		atomic_store_explicit(&t->next_chunk, 1, memory_order_relaxed);
}

unsigned int threads_chunk_next(struct threads *t)
{
	if (t->members == 1) {
		unsigned int next = atomic_load_explicit(&t->next_chunk, memory_order_relaxed);

		atomic_store_explicit(&t->next_chunk, next + 1, memory_order_relaxed);
		return next;
	}
	return atomic_fetch_add_explicit(&t->next_chunk, 1, memory_order_relaxed);
}
