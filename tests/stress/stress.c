// SPDX-License-Identifier: MIT
/*
 * stress [-m] [-f PERCENT] [-n OPERATIONS] [-t SECONDS] [-s SEED]: everybody at once is hostile,
 * for so many operations, and on until some of each kind have gone well, but so long at most; then
 * all of them are killed, and the broker must be as if nothing had been: no request, nothing charged,
 * and the next client is served. What the kernel has to say about it (KASAN, lockdep, a leak) is found
 * by who runs this in a machine. Says TAP; runs as root.
 *
 * With -m no mapping changes under a command, and none of a buffer is made by the server: User-Mode
 * Linux copies to a page that it has looked up before, and falls if that is the page of zeroes by
 * then; and it walks an address space without its lock when two unmap something of it at once.
 *
 * With -f so many in a hundred of what can fail in the kernel does (uapi_fault.h), for everybody but
 * who tends to them. With -m as well nobody runs another program or has an io_uring: where the memory
 * for a page fault is short, User-Mode Linux looks for the page in a table that is not there, and
 * io_uring forgets nodes of its tables; kernels that let only the module's calls fail do all of it.
 */
#include "stress.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/uapi/uapi.h"
#include "tests/uapi/uapi_fault.h"
#include "tests/uapi/uapi_netlink.h"

#define CLIENTS		5U
#define SERVER		CLIENTS
#define ADMIN		(CLIENTS + 1)
#define CURIOUS		(CLIENTS + 2)
#define WORKERS		(CLIENTS + 3)
#define CGROUPS		"/sys/fs/cgroup/stress"
#define FIRST_UID	2000U
#define IDLE_ROUNDS	100U
#define FAR_AWAY	((void *)0x155554aaa000)

static const char *const kind_names[KINDS] = {
	"open", "close", "features", "submit", "read", "submit and read", "cancel", "wait", "list",
	"register", "unregister", "session", "session passed", "raw ioctl", "write", "file read",
	"poll", "other file operations",
	"io_uring submit", "io_uring exit", "memory changes", "fork", "fetch", "commit", "pull",
	"setup", "charge", "keep", "uncharge", "server mmap", "netlink", "quota", "kill", "move", "cgroup",
};

static pid_t workers[WORKERS];
static struct dice dice;
static uint64_t generation;

/* Who spoils his own memory falls, which is nobody's news. */
static void on_fall(int sig)
{
	(void)sig;
	_exit(0);
}

static void worker_main(uint32_t which)
{
	static const int signals[] = { SIGSEGV, SIGBUS, SIGILL, SIGFPE, SIGABRT };
	const struct sigaction action = { .sa_handler = on_fall };
	struct dice own = { stress->seed * 1000003 + which + generation * WORKERS };

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* one serves many; who tends to all comes before everybody, see main() */
	setpriority(PRIO_PROCESS, 0, which == SERVER ? -5 : 0);
	for (size_t i = 0; i < ARRAY_LEN(signals); i++)
		sigaction(signals[i], &action, NULL);
	if (stress->faults)
		fault_join();
	if (which < CLIENTS || which == CURIOUS)
		become_user(FIRST_UID + which % 3);
	if (which < CLIENTS)
		client_main(&own);
	else if (which == SERVER)
		server_main(&own);
	else
		netlink_main(&own, which == ADMIN);
	_exit(0);
}

static void worker_start(uint32_t which)
{
	generation++;
	workers[which] = fork();
	must(workers[which] >= 0, "fork");
	if (!workers[which])
		worker_main(which);
}

/* Those that died are started again; what they left behind is not ours to wait for. */
static void workers_tend(void)
{
	for (uint32_t i = 0; i < WORKERS; i++) {
		int status;

		if (waitpid(workers[i], &status, WNOHANG) == workers[i])
			worker_start(i);
	}
}

static void cgroup_name(char *name, size_t len)
{
	if (one_in(&dice, 2))
		snprintf(name, len, CGROUPS "/%u", roll(&dice, 4));
	else
		snprintf(name, len, CGROUPS "/%u/%u", roll(&dice, 4), roll(&dice, 2));
}

static void step_move(void)
{
	char name[64], path[96], pid[16];
	int fd;

	cgroup_name(name, sizeof(name));
	snprintf(path, sizeof(path), "%s/cgroup.procs", name);
	fd = open(path, O_WRONLY | O_CLOEXEC);
	if (fd < 0)
		return;
	snprintf(pid, sizeof(pid), "%d", workers[roll(&dice, CLIENTS)]);
	stress_called(KIND_MOVE, write(fd, pid, strlen(pid)));
	close(fd);
}

/* A cgroup with processes in it is not removed, so its requests are what outlives it. */
static void step_cgroup(void)
{
	char name[64];

	cgroup_name(name, sizeof(name));
	if (stress_called(KIND_CGROUP, mkdir(name, 0755)) == -EEXIST && one_in(&dice, 2))
		stress_called(KIND_CGROUP, rmdir(name));
}

/* Limits that requests come up against while they are under way. */
static void step_param(void)
{
	param_set("max_unread_bytes", 4096U << roll(&dice, 7));
	param_set("max_journal_bytes", 4096U << roll(&dice, 9));
	param_set("max_requests_file", 16 + roll(&dice, 256));
}

static void step(void)
{
	workers_tend();
	if (one_in(&dice, 8))
		stress_called(KIND_KILL, kill(workers[roll(&dice, WORKERS)], SIGKILL));
	if (one_in(&dice, 3))
		step_move();
	if (one_in(&dice, 3))
		step_cgroup();
	if (one_in(&dice, 100))
		step_param();
}

static bool can_go_well(enum stress_kind kind)
{
	switch (kind) {
	case KIND_RAW_IOCTL:
		return false;
	case KIND_MEMORY:
	case KIND_SERVER_MMAP:
		return !stress->calm;
	case KIND_URING:
	case KIND_URING_EXIT:
		return !stress_all_fails();
	default:
		return true;
	}
}

/* Who is given little of the processor has tried less of some kinds than of others. */
static bool is_enough(void)
{
	if (atomic_load(&stress->done) < stress->target)
		return false;
	for (int i = 0; i < KINDS; i++)
		if (can_go_well((enum stress_kind)i) && !atomic_load(&stress->worked[i]))
			return false;
	return true;
}

/*
 * Of the others, to one of ours: seldom in a long run, for to start a process anew takes as long as
 * hundreds of them.
 */
static uint64_t operations_a_step(void)
{
	const uint64_t some = stress->target / 1000;

	return some < 40 ? 40 : some > 200 ? 200 : some;
}

/*
 * The more the others do, the more is done to them; and now and then a little in any case: it may be
 * what they wait for.
 */
static void steps(void)
{
	static uint64_t done;
	static unsigned int idle;

	if (++idle >= IDLE_ROUNDS) {
		step();
		idle = 0;
	}
	while (done < atomic_load(&stress->done) && !is_enough()) {
		step();
		done += operations_a_step();
		idle = 0;
	}
	workers_tend();
	usleep(2000);
}

static void end_all(void)
{
	char name[64];

	atomic_store(&stress->stop, true);
	for (uint32_t i = 0; i < WORKERS; i++)
		kill(workers[i], SIGKILL);
	for (uint32_t i = 0; i < WORKERS; i++)
		waitpid(workers[i], NULL, 0);
	/* children of theirs go by themselves */
	for (uint32_t i = 0; i < 4; i++) {
		for (uint32_t j = 0; j < 2; j++) {
			snprintf(name, sizeof(name), CGROUPS "/%u/%u", i, j);
			ok(eventually(!rmdir(name) || errno == ENOENT), "%s goes", name);
		}
		snprintf(name, sizeof(name), CGROUPS "/%u", i);
		ok(eventually(!rmdir(name) || errno == ENOENT), "%s goes", name);
	}
	ok(eventually(!rmdir(CGROUPS) || errno == ENOENT), "all cgroups go");
}

static bool nobody_left(void)
{
	const int fd = client_open();
	const struct llm_features all = features(fd);

	close(fd);
	/* what was kept goes with the server's file, which may be there longer than its process */
	return !all.requests && !all.server_pid && !all.memory_host && !all.memory_device &&
	       all.submitted == all.ended;
}

/* What the kernel says of the whole machine: nothing is in flight, queued or charged. */
static void check_ledger(int nl)
{
	static struct nl_msg msg;
	static struct nl_answer answer;
	struct nl_group root;

	is(nl_quota_reset_all(nl), 0, "all quotas are reset");
	is(nl_group_get(nl, cgroup_id_of(""), &root), 0, "the root can be asked");
	is(root.usage[LLM_NL_A_USAGE_IN_FLIGHT], 0, "nothing is in flight");
	is(root.usage[LLM_NL_A_USAGE_QUEUED], 0, "nothing is queued");
	is(root.usage[LLM_NL_A_USAGE_RUNNING], 0, "nothing runs");
	is(root.usage[LLM_NL_A_USAGE_MEMORY], 0, "nothing is charged");
	nl_begin(&msg, LLM_NL_CMD_REQUEST_GET, NLM_F_DUMP);
	is(nl_talk(nl, &msg, &answer, NULL, NULL), 0, "the requests can be dumped");
	is(answer.count, 0, "there is none");
}

static void check_service(void)
{
	const pid_t server = server_start(true);
	const int fd = client_open();
	const uint64_t id = submit_text(fd, "and now?");
	struct llm_read read;
	char text[64];

	is(read_all(fd, id, text, sizeof(text), &read), strlen("and now?"), "the next one is served");
	is(read.status, 0, "well");
	close(fd);
	server_stop(server);
}

/* Why most of a kind were refused, so that one who tunes the dice sees where they end. */
static void refusals(enum stress_kind kind, char *text, size_t len)
{
	uint64_t below = UINT64_MAX;
	size_t used = 0;

	text[0] = '\0';
	for (int n = 0; n < 5; n++) {
		int most = -1;

		for (int i = 0; i < STRESS_ERRNOS; i++)
			if (stress->refused[kind][i] < below &&
			    (most < 0 || stress->refused[kind][i] > stress->refused[kind][most]))
				most = i;
		if (most < 0 || !stress->refused[kind][most])
			break;
		below = stress->refused[kind][most];
		used += (size_t)snprintf(text + used, len - used, " %s %llu",
					 strerrorname_np(most) ? strerrorname_np(most) : "other",
					 (unsigned long long)below);
	}
}

static void check_kinds(void)
{
	for (int i = 0; i < KINDS; i++) {
		char text[160];

		refusals((enum stress_kind)i, text, sizeof(text));
		tap_note("%-24s %9llu tried, %9llu not refused;%s", kind_names[i],
			 (unsigned long long)atomic_load(&stress->tried[i]),
			 (unsigned long long)atomic_load(&stress->worked[i]), text);
	}
	for (int i = 0; i < KINDS; i++)
		if (can_go_well((enum stress_kind)i))
			ok(atomic_load(&stress->worked[i]), "%s: some went well", kind_names[i]);
}

static void share(void)
{
	/* where no address that is a little wrong leads */
	stress = mmap(FAR_AWAY, sizeof(*stress), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	must(stress != MAP_FAILED, "shared memory");
	stress->target = 100000;
	stress->seed = random_seed();
}

/* Return: they are understood. */
static bool arguments(int argc, char **argv, uint64_t *ret_seconds)
{
	int option;

	while ((option = getopt(argc, argv, "mf:n:t:s:")) != -1) {
		if (option == 'm')
			stress->calm = true;
		else if (option == 'f')
			stress->faults = (uint32_t)strtoul(optarg, NULL, 10);
		else if (option == 'n')
			stress->target = strtoull(optarg, NULL, 10);
		else if (option == 't')
			*ret_seconds = strtoull(optarg, NULL, 10);
		else if (option == 's')
			stress->seed = strtoull(optarg, NULL, 10);
		else
			return false;
	}
	return optind == argc;
}

/* What the kernel has allocated, in KiB: from one run to a longer one it must not grow. */
static unsigned long slab_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "re");
	unsigned long kib = 0;
	char line[128];

	while (file && !kib && fgets(line, sizeof(line), file))
		sscanf(line, "Slab: %lu kB", &kib);
	if (file)
		fclose(file);
	return kib;
}

static void run(uint64_t seconds)
{
	const uint64_t start = now_ns(), until = start + seconds * 1000000000ULL;
	uint64_t millions = 0;

	setpriority(PRIO_PROCESS, 0, -10);
	for (uint32_t i = 0; i < WORKERS; i++)
		worker_start(i);
	fault_shower(stress->faults);
	while (!is_enough() && now_ns() < until) {
		steps();
		if (atomic_load(&stress->done) / 1000000 > millions)
			tap_note("%llu000000 operations after %llu s", (unsigned long long)++millions,
				 (unsigned long long)(now_ns() - start) / 1000000000);
	}
	fault_shower(0);
	ok(atomic_load(&stress->done) >= stress->target, "%llu operations in %llu s",
	   (unsigned long long)atomic_load(&stress->done),
	   (unsigned long long)(now_ns() - start) / 1000000000);
	end_all();
}

int main(int argc, char **argv)
{
	const unsigned long slab = slab_kib();
	uint64_t seconds = 120;
	int nl;

	share();
	if (!arguments(argc, argv, &seconds))
		return 64;
	dice.state = stress->seed;
	tap_note("seed %llu, %llu operations, %llu s at most", (unsigned long long)stress->seed,
		 (unsigned long long)stress->target, (unsigned long long)seconds);
	must(!stress->faults || fault_begin(), "failures on order");
	must(!mkdir(CGROUPS, 0755) || errno == EEXIST, CGROUPS);
	nl = nl_open();
	must(nl >= 0, "the family \"llm\"");
	param_set("recover_timeout_s", 5);
	run(seconds);
	ok(eventually(nobody_left()), "no request and no server is left");
	check_ledger(nl);
	check_service();
	check_kinds();
	tap_note("slab: %lu KiB before, %lu KiB after", slab, slab_kib());
	return tap_done();
}
