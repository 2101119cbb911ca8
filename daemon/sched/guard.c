/* SPDX-License-Identifier: MIT */
/* What to do when mapped memory loses its pages; see guard.h. */
#include "sched/guard.h"

#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/uio.h>
#include <unistd.h>

#include "base/log.h"
#include "base/util.h"
#include "engine/engine.h"

#define GUARD_MODELS	64
#define GUARD_STATUS	74	/* EX_IOERR */

/* read by a signal handler: an entry counts once its name is set, which is done last */
static struct guard_entry {
	const struct engine_model *model;
	const char *volatile name;
} guards[GUARD_MODELS];

/* whose file this thread opens: its pages are nobody's yet */
static __thread const char *volatile guard_opened;

/* whose weights a team of threads is packing; one model at a time */
static const char *volatile guard_loaded;

/* where a copy that this thread makes goes on if it meets a lost page; NULL: it makes none */
static __thread sigjmp_buf *volatile guard_copying;

/* in one piece: others write to the same place */
static void guard_print(const char *name)
{
	const char *const parts[] = {
		log_is_journal() ? "<2>model '" : "llmosd: model '", name,
		"': a page of its file can not be read any more (truncated, or a disk error); "
		"ending to be restarted\n",
	};
	struct iovec iov[ARRAY_SIZE(parts)];
	size_t i;

	for (i = 0; i < ARRAY_SIZE(parts); i++)
		iov[i] = (struct iovec){ (void *)(uintptr_t)parts[i], strlen(parts[i]) };
	if (writev(STDERR_FILENO, iov, ARRAY_SIZE(iov)) < 0)
		return;
}

/* the name of whose page it was, and what can be done for the next start */
static const char *guard_find(uintptr_t address)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guards); i++) {
		if (!guards[i].name || !engine_model_has(guards[i].model, address))
			continue;
		engine_model_lost(guards[i].model, address);
		return guards[i].name;
	}
	return guard_opened ? guard_opened : guard_loaded;
}

/* Threads that compute together meet lost pages together: the first one tells, for all. */
static void guard_handle(int signal, siginfo_t *info, void *context)
{
	static atomic_flag is_told = ATOMIC_FLAG_INIT;
	const char *name;

	(void)signal;
	(void)context;
	if (guard_copying)
		siglongjmp(*guard_copying, 1);
	while (atomic_flag_test_and_set(&is_told))
		pause();
	name = guard_find((uintptr_t)info->si_addr);
	guard_print(name ? name : "?");
	_exit(GUARD_STATUS);
}

int guard_install(void)
{
	struct sigaction action = { .sa_sigaction = guard_handle, .sa_flags = SA_SIGINFO };

	return sigaction(SIGBUS, &action, NULL) < 0 ? -errno : 0;
}

/* a signal is what ends it: the mask is to be as it was */
int guard_copy(void *to, const void *from, size_t len)
{
	sigjmp_buf lost;

	if (sigsetjmp(lost, 1)) {
		guard_copying = NULL;
		return -EFAULT;
	}
	guard_copying = &lost;
	atomic_signal_fence(memory_order_seq_cst);
	memcpy(to, from, len);
	atomic_signal_fence(memory_order_seq_cst);
	guard_copying = NULL;
	return 0;
}

void guard_opening(const char *name)
{
	guard_opened = name;
}

void guard_loading(const char *name)
{
	guard_loaded = name;
	guard_opened = name;
}

void guard_add(const char *name, const struct engine_model *model)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guards); i++) {
		if (guards[i].name)
			continue;
		guards[i].model = model;
		guards[i].name = name;
		return;
	}
}

void guard_remove(const char *name)
{
	size_t i;

	for (i = 0; i < ARRAY_SIZE(guards); i++)
		if (guards[i].name == name)
			guards[i].name = NULL;
}
