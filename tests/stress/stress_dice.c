// SPDX-License-Identifier: MIT
/* Chance, counts, and memory that comes and goes: see stress.h. */
#include "stress.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>

#define PAGE		ARENA_PAGE
#define GUARD_PAGES	2048U	/* more than any command's bytes */

struct stress *stress;
static uint8_t *arena;

/* Requests and buffers of this process: only it can do something with them. */
#define OWN		8U
_Thread_local uint32_t stress_file;
static _Atomic uint64_t own_ids[STRESS_FILES][OWN], own_buffers[STRESS_FILES][OWN];
static _Atomic uint32_t own_count;
static _Thread_local timer_t alarm_clock;

long stress_did(enum stress_kind kind, long result)
{
	atomic_fetch_add(&stress->tried[kind], 1);
	if (result >= 0)
		atomic_fetch_add(&stress->worked[kind], 1);
	else
		atomic_fetch_add(&stress->refused[kind][result > -STRESS_ERRNOS ? -result : 0], 1);
	atomic_fetch_add(&stress->done, 1);
	return result;
}

long stress_called(enum stress_kind kind, long result)
{
	return stress_did(kind, result < 0 ? -errno : result);
}

static void on_alarm(int sig)
{
	(void)sig;
}

void patience_make(void)
{
	const struct sigaction action = { .sa_handler = on_alarm };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGALRM };

	event._sigev_un._tid = gettid();
	if (sigaction(SIGALRM, &action, NULL) || timer_create(CLOCK_MONOTONIC, &event, &alarm_clock))
		_exit(3);
}

/* Again and again, for the first one may come before there is anything to stop. */
void patience(uint32_t us)
{
	const struct itimerspec often = { { 0, 20000000 }, { 0, us * 1000L } };

	timer_settime(alarm_clock, 0, &often, NULL);
}

uint32_t roll(struct dice *dice, uint32_t below)
{
	uint64_t x = dice->state += 0x9E3779B97F4A7C15ULL;

	x = (x ^ x >> 30) * 0xBF58476D1CE4E5B9ULL;
	x = (x ^ x >> 27) * 0x94D049BB133111EBULL;
	return (uint32_t)((x ^ x >> 31) % below);
}

uint64_t roll_number(struct dice *dice)
{
	static const uint64_t edges[] = { 0, 1, 7, 8, 4095, 4096, 4097, 0xffff, 1 << 20, INT32_MAX,
		UINT32_MAX, 1ULL << 32, INT64_MAX, UINT64_MAX - 4095, UINT64_MAX };

	return one_in(dice, 3) ? edges[roll(dice, sizeof(edges) / sizeof(edges[0]))] :
				 roll(dice, 1U << (1 + roll(dice, 18)));
}

/* One of those that are there, or 0. */
static uint64_t own_pick(struct dice *dice, _Atomic uint64_t *own)
{
	const uint32_t first = roll(dice, OWN);
	uint64_t id = 0;

	for (uint32_t i = 0; i < OWN && !id; i++)
		id = atomic_load(&own[(first + i) % OWN]);
	return id;
}

static void own_forget(_Atomic uint64_t *own, uint64_t id)
{
	for (uint32_t i = 0; i < OWN; i++) {
		uint64_t expected = id;

		atomic_compare_exchange_strong(&own[i], &expected, 0);
	}
}

uint64_t roll_own_id(struct dice *dice)
{
	return own_pick(dice, own_ids[stress_file]);
}

void forget_id(uint64_t id)
{
	own_forget(own_ids[stress_file], id);
}

uint64_t roll_id(struct dice *dice)
{
	uint64_t id = one_in(dice, 4) ? 0 : roll_own_id(dice);

	if (one_in(dice, 16))
		return roll_number(dice);
	return id ? id : atomic_load(&stress->ids[roll(dice, STRESS_IDS)]);
}

void known_id(uint64_t id)
{
	if (!id)
		return;
	atomic_store(&own_ids[stress_file][atomic_fetch_add(&own_count, 1) % OWN], id);
	atomic_store(&stress->ids[atomic_fetch_add(&stress->next_id, 1) % STRESS_IDS], id);
}

uint64_t roll_own_buffer(struct dice *dice)
{
	return own_pick(dice, own_buffers[stress_file]);
}

void forget_buffer(uint64_t id)
{
	own_forget(own_buffers[stress_file], id);
}

uint64_t roll_buffer(struct dice *dice)
{
	return one_in(dice, 16) ? roll_number(dice) : roll_own_buffer(dice);
}

void known_buffer(uint64_t id)
{
	atomic_store(&own_buffers[stress_file][atomic_fetch_add(&own_count, 1) % OWN], id);
}

uint64_t roll_address(struct dice *dice)
{
	const uint32_t at = roll(dice, ARENA_PAGES * PAGE);

	switch (roll(dice, 12)) {
	case 0:
		return roll_number(dice);
	case 1:
		return 0xffff888000000000ULL + at;
	case 2:
		return (uintptr_t)arena + ARENA_PAGES * PAGE - roll(dice, 64);
	case 3:
		return (uintptr_t)arena + (at & ~(PAGE - 1)) - roll(dice, 32);
	default:
		return (uintptr_t)arena + at;
	}
}

void spoil(struct dice *dice, void *bytes, size_t len)
{
	uint8_t *at = bytes;

	for (uint32_t n = 1 + roll(dice, 4); n; n--) {
		uint32_t where = roll(dice, (uint32_t)len);

		/* what decides most is at the start */
		if (one_in(dice, 2))
			where %= 48;
		at[where] ^= (uint8_t)(1U << roll(dice, 8));
	}
}

void arena_make(void)
{
	/* with nothing at both ends: what goes over an edge must not hit memory that matters */
	arena = mmap(NULL, (size_t)(ARENA_PAGES + 2 * GUARD_PAGES) * PAGE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (arena == MAP_FAILED)
		_exit(3);
	arena += (size_t)GUARD_PAGES * PAGE;
	if (mprotect(arena, (size_t)ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE))
		_exit(3);
	memset(arena, 'x', (size_t)ARENA_PAGES * PAGE);
}

uint8_t *arena_start(void)
{
	return arena;
}

void arena_change(struct dice *dice)
{
	static const int protections[] = { PROT_NONE, PROT_READ, PROT_READ | PROT_WRITE };
	const size_t first = roll(dice, ARENA_PAGES);
	const size_t len = (1 + roll(dice, (uint32_t)(ARENA_PAGES - first))) * PAGE;
	uint8_t *at = arena + first * PAGE;
	int r;

	if (stress->calm)
		return;
	switch (roll(dice, 5)) {
	case 0:
		r = mprotect(at, PAGE, protections[roll(dice, 3)]);
		break;
	case 1:
		r = madvise(at, len, MADV_DONTNEED);
		break;
	case 2:
		/* a hole would be filled by somebody else's mapping */
		r = mmap(at, PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) ==
		    MAP_FAILED ? -1 : 0;
		break;
	default:
		/* more often back to normal, or nothing would go well */
		r = mmap(arena, (size_t)ARENA_PAGES * PAGE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0) == MAP_FAILED ? -1 : 0;
	}
	stress_called(KIND_MEMORY, r);
}
