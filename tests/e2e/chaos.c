// SPDX-License-Identifier: MIT
/*
 * Clients ask at random and are killed at random, and so is the daemon; every stream that survives
 * equals, byte for byte, the one recorded before anything was disturbed. Over the device the
 * daemon's death must not be seen by any client; over the socket each may lose its connection. In
 * the end nothing is left: no request, slot, page or descriptor. What is killed when depends on the
 * seed and on how many pieces of answers have come, not on a clock.
 *
 *   LLMOS_SEED          of everything random; printed
 *   LLMOS_CHAOS_ROUNDS  operations of each client (30)
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <linux/llm.h>

#include "lib/cases.h"
#include "lib/stuck.h"
#include "lib/tap.h"
#include "lib/worker.h"

#define WORKERS		6
#define STALL_S		60
#define STUCK_S		50	/* before that ends the test */
#define WRONG_SHOWN	10

struct slot {
	pid_t pid;
	unsigned int left;	/* operations to do */
	bool ended;
};

static struct chaos_truth truth;
static struct slot slots[WORKERS];
static struct e2e_random dice;
static uint64_t seed;
static int reports[2];
static pid_t daemon_pid;
static unsigned int worker_kills, daemon_kills, wrong, lost, done, pieces;
static bool daemon_died, worker_died;

static void slot_start(unsigned int i)
{
	uint64_t own_seed = e2e_random(&dice);

	slots[i].pid = fork();
	if (slots[i].pid < 0)
		tap_bail("fork: %s", strerror(errno));
	if (slots[i].pid == 0) {
		close(reports[0]);
		worker_run(&truth, i, own_seed, slots[i].left, reports[1]);
	}
}

static void slot_kill(unsigned int i)
{
	if (slots[i].ended || slots[i].pid <= 0)
		return;
	stuck_beat("the end of a client that was killed");
	kill(slots[i].pid, SIGKILL);
	waitpid(slots[i].pid, NULL, 0);
	worker_kills++;
	slot_start(i);
}

/* a daemon that is dead before it is killed has crashed */
static void daemon_check(void)
{
	int status;

	if (waitpid(daemon_pid, &status, WNOHANG) != daemon_pid)
		return;
	tap_note("the daemon ended by itself: status %#x", status);
	daemon_died = true;
	daemon_pid = e2e_daemon_spawn();
}

static void daemon_kill(void)
{
	daemon_check();
	stuck_beat("the end of a daemon that was killed");
	e2e_daemon_end(daemon_pid, SIGKILL);
	daemon_pid = e2e_daemon_spawn();
	daemon_kills++;
	/* sometimes the next one dies while it starts */
	if (e2e_below(&dice, 4) == 0) {
		struct timespec nap = { .tv_nsec = e2e_below(&dice, 20 * 1000 * 1000) };

		nanosleep(&nap, NULL);
		stuck_beat("the end of a daemon that was killed as it began");
		e2e_daemon_end(daemon_pid, SIGKILL);
		daemon_pid = e2e_daemon_spawn();
		daemon_kills++;
	}
}

/* what a report means; true if it counts as an event */
static bool take(const struct report *report)
{
	struct slot *slot = &slots[report->worker % WORKERS];

	switch (report->kind) {
	case REPORT_PIECE:
		pieces++;
		return true;
	case REPORT_WRONG:
		if (wrong++ < WRONG_SHOWN)
			tap_note("client %u: %.*s", report->worker, WORKER_TEXT, report->text);
		break;
	case REPORT_LOST:
		lost++;
		break;
	case REPORT_DONE:
		done++;
		break;
	case REPORT_END:
		slot->ended = true;
		if (slot->pid > 0)
			waitpid(slot->pid, NULL, 0);
		return false;
	}
	if (slot->left)
		slot->left--;
	return true;
}

static bool all_ended(void)
{
	for (unsigned int i = 0; i < WORKERS; i++)
		if (!slots[i].ended)
			return false;
	return true;
}

static void stall(void)
{
	struct llmos_status status;
	int r;

	tap_note("nothing happened for %u s, seed %llu", STALL_S * e2e_scale(),
		 (unsigned long long)seed);
	/* a daemon that hangs never answers */
	alarm(STALL_S * e2e_scale());
	r = e2e_status(&status);
	tap_note("status: %d, %u requests, %u slots busy", r, status.requests, status.slots_busy);
	tap_bail("nothing happened for too long");
}

/* a worker that ended without a word has crashed */
static void workers_check(void)
{
	for (unsigned int i = 0; i < WORKERS; i++) {
		int status;

		if (slots[i].ended || slots[i].pid <= 0 ||
		    waitpid(slots[i].pid, &status, WNOHANG) != slots[i].pid)
			continue;
		/* its last report may still be in the pipe */
		if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
			slots[i].pid = 0;
			continue;
		}
		tap_note("client %u ended by itself: status %#x", i, status);
		worker_died = true;
		slot_start(i);
	}
}

static void run(void)
{
	unsigned int events = 0, next = 20;

	while (!all_ended()) {
		struct pollfd fd = { reports[0], POLLIN, 0 };
		struct report report;

		stuck_beat("a report of a client");
		if (poll(&fd, 1, STALL_S * 1000 * e2e_scale()) == 0)
			stall();
		if (read(reports[0], &report, sizeof(report)) != sizeof(report))
			continue;
		events += take(&report);
		workers_check();
		if (events < next)
			continue;
		if (e2e_below(&dice, e2e_device() ? 3 : 8) == 0)
			daemon_kill();
		else
			slot_kill(e2e_below(&dice, WORKERS));
		next = events + 1 + e2e_below(&dice, 150);
	}
}

/* descriptors of the first daemon, once it had served every kind of operation: the fewest there are */
static int fds_at_first;

static bool fds_count(void *arg)
{
	const int fds = e2e_fd_count(daemon_pid);

	(void)arg;
	if (fds > 0 && (!fds_at_first || fds < fds_at_first))
		fds_at_first = fds;
	return false; /* connections may still be closing: look on until the time is up */
}

static bool fds_are_back(void *arg)
{
	const int fds = e2e_fd_count(daemon_pid);

	(void)arg;
	return fds > 0 && fds <= fds_at_first;
}

static void try_fresh(void)
{
	struct chaos_truth again = { 0 };
	pid_t pid = 0;
	int end;

	stuck_beat("a fresh daemon");
	if (e2e_daemon_start(&pid) < 0)
		tap_bail("no fresh daemon");
	chaos_record(&again);
	for (size_t i = 0; i < E2E_CASES; i++)
		tap_ok(e2e_answer_equal(&again.answers[i], &truth.answers[i]),
		       "case %zu is the same as in the beginning", i);
	chaos_forget(&again);
	end = e2e_daemon_end(pid, SIGTERM);
	tap_ok(WIFEXITED(end) && WEXITSTATUS(end) == 0, "a fresh daemon ends well (%#x)", end);
}

/* bytes of a page of the cache: 32 tokens, keys and values of each layer and head in float32 */
static uint64_t page_bytes(void)
{
	struct llmos *llmos = e2e_open();
	struct llmos_models *models;
	uint64_t bytes = 0;

	if (llmos_models(llmos, &models) < 0 || !models->count)
		tap_bail("models: %s", llmos_error(llmos));
	bytes = (uint64_t)models->models[0].layers * models->models[0].kv_heads * 2 * 32 * 4 *
		models->models[0].width / models->models[0].heads;
	llmos_models_free(models);
	llmos_free(llmos);
	return bytes;
}

static struct llm_features broker_features(void)
{
	struct llm_features features = { .size = sizeof(features) };
	int fd = open("/dev/llm", O_RDWR | O_CLOEXEC);

	if (fd < 0 || ioctl(fd, LLM_IOC_GET_FEATURES, &features) < 0)
		tap_bail("/dev/llm: %s", strerror(errno));
	close(fd);
	return features;
}

/* what the last daemon kept goes with its file, which may be there longer than its process */
static bool server_has_left(void *arg)
{
	const struct llm_features features = broker_features();

	(void)arg;
	return !features.server_pid && !features.memory_host && !features.memory_device;
}

/* what llm.ko counts for the daemon, against what that has kept: for requests, it holds nothing */
static void ledger_check(uint64_t pages)
{
	const uint64_t bytes = pages ? pages * page_bytes() : 0;
	const struct llm_features features = broker_features();

	tap_ok(features.memory_host == bytes && !features.memory_device,
	       "%llu bytes are charged, %llu pages kept",
	       (unsigned long long)(features.memory_host + features.memory_device),
	       (unsigned long long)pages);
}

static void aftermath(void)
{
	struct llmos_status status = { 0 };
	bool back;
	int end;

	daemon_check();
	stuck_beat("the last daemon's begin");
	e2e_daemon_wait(daemon_pid);
	stuck_beat("what is left");
	tap_ok(e2e_settled(&status), "nothing is left: %u requests, %u slots, %u pages",
	       status.requests, status.slots_busy, status.kv_pages_used);
	if (e2e_device())
		ledger_check(status.kv_pages_kept);
	tap_ok(status.cancel_steps_max <= 1, "at most %u step was begun for a cancelled request",
	       status.cancel_steps_max);
	/* it may still have to notice that connections were closed */
	back = e2e_wait(10, fds_are_back, NULL);
	tap_ok(back, "the daemon has %d descriptors, the first one %d", e2e_fd_count(daemon_pid),
	       fds_at_first);
	stuck_beat("the last daemon's end");
	end = e2e_daemon_end(daemon_pid, SIGTERM);
	tap_ok(WIFEXITED(end) && WEXITSTATUS(end) == 0, "the daemon ends well (%#x)", end);
	/* it has closed its file, but the kernel takes back what it had parked there in its own time */
	if (e2e_device()) {
		tap_ok(e2e_wait(10, server_has_left, NULL), "it serves no more, and keeps nothing");
		ledger_check(0);
	}
	try_fresh();
}

int main(void)
{
	unsigned int rounds = e2e_number("LLMOS_CHAOS_ROUNDS", 30);

	seed = e2e_number("LLMOS_SEED", e2e_now_ns() & 0xffffffff);
	tap_note("LLMOS_SEED=%llu LLMOS_CHAOS_ROUNDS=%u", (unsigned long long)seed, rounds);
	dice.state = seed;
	stuck_watch(STUCK_S * e2e_scale());
	if (pipe2(reports, O_CLOEXEC) < 0)
		tap_bail("pipe: %s", strerror(errno));
	if (e2e_daemon_start(&daemon_pid) < 0)
		tap_bail("llmosd does not start");
	chaos_record(&truth);
	e2e_watch(1, fds_count, NULL);
	for (unsigned int i = 0; i < WORKERS; i++) {
		slots[i].left = rounds;
		slot_start(i);
	}
	run();
	tap_note("%u operations, %u pieces, %u lost with the daemon; killed: %u clients, %u daemons",
		 done, pieces, lost, worker_kills, daemon_kills);
	tap_ok(wrong == 0, "every stream is its undisturbed self (%u wrong)", wrong);
	tap_ok(done > WORKERS * rounds / 4, "%u operations went well", done);
	tap_ok(worker_kills && daemon_kills, "%u clients and %u daemons were killed", worker_kills,
	       daemon_kills);
	tap_ok(!daemon_died && !worker_died, "none died by itself");
	if (e2e_device())
		tap_ok(lost == 0, "nobody saw a daemon die");
	aftermath();
	chaos_forget(&truth);
	stuck_end();
	return tap_done();
}
