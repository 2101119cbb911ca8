/* SPDX-License-Identifier: MIT */
/*
 * Threads that compile grammars, and whose turn it is; see compiler.h. Lock: that of the compiler
 * protects the lists, the lines, and of each text whether it was begun. What was begun is its
 * thread's until it is among those that have ended.
 */
#include "sched/compiler.h"

#include <linux/llm.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"

#define COMPILER_NICE	5	/* steps have barriers, but somebody waits for it */
#define COMPILER_STACK	(8U << 20)	/* expressions are compiled as deep as they are nested */

/**
 * struct compiler - the threads
 * @more: a line has something for one of them, or it is over
 * @thread_count: threads that there are
 * @waiting_count: texts that wait
 * @idle_count: threads that do
 * @lines: those in which something waits: whose turn it is next comes first
 * @ended: texts, in that order
 */
struct compiler {
	int news_fd;
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_t threads[COMPILER_THREADS];
	unsigned int thread_count;
	unsigned int waiting_count;
	unsigned int idle_count;
	struct list lines;
	struct list ended;
	bool is_ending;
};

/* ---- with the lock held ---- */

/* behind all who wait by now */
static void line_up(struct compiler *compiler, struct compile_line *line)
{
	if (!list_empty(&line->waiting))
		list_append(&compiler->lines, &line->link);
}

/* Return: the next one of the first line of which none is being compiled; NULL: there is none */
static struct compiling *pick(struct compiler *compiler)
{
	struct compile_line *line;
	struct compiling *compiling;

	list_each(line, &compiler->lines, link) {
		if (line->is_running)
			continue;
		compiling = list_first(&line->waiting, struct compiling, link);
		list_remove(&compiling->link);
		list_remove(&line->link);
		compiling->is_begun = true;
		line->is_running = true;
		compiler->waiting_count--;
		line_up(compiler, line);
		return compiling;
	}
	return NULL;
}

static void end(struct compiler *compiler, struct compiling *compiling)
{
	compiling->line->is_running = false;
	list_append(&compiler->ended, &compiling->link);
}

/* ---- the threads ---- */

static uint64_t thread_ns(void)
{
	struct timespec time;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
	return (uint64_t)time.tv_sec * NS_PER_S + (uint64_t)time.tv_nsec;
}

static int compile(struct compiling *c)
{
	switch (c->type) {
	case LLM_OPTION_SCHEMA:
		return gram_new_schema(&c->grammar, c->text, c->len, &c->why);
	case LLM_OPTION_GRAMMAR:
		return gram_new_gbnf(&c->grammar, c->text, c->len, &c->why);
	default:
		return gram_new_json(&c->grammar, &c->why);
	}
}

/* without the lock in between, and while it wakes the loop, which would want that at once */
static void run(struct compiler *compiler, struct compiling *compiling)
{
	uint64_t begin_ns;

	pthread_mutex_unlock(&compiler->lock);
	begin_ns = thread_ns();
	compiling->result = compile(compiling);
	compiling->compute_ns = thread_ns() - begin_ns;
	pthread_mutex_lock(&compiler->lock);
	end(compiler, compiling);
	pthread_mutex_unlock(&compiler->lock);
	eventfd_write(compiler->news_fd, 1);
	pthread_mutex_lock(&compiler->lock);
}

static void *compiler_main(void *arg)
{
	struct compiler *compiler = arg;

	/* a thread's own, in Linux */
	(void)setpriority(PRIO_PROCESS, (id_t)syscall(SYS_gettid), COMPILER_NICE);
	pthread_mutex_lock(&compiler->lock);
	while (!compiler->is_ending) {
		struct compiling *compiling = pick(compiler);

		if (compiling) {
			run(compiler, compiling);
			continue;
		}
		compiler->idle_count++;
		pthread_cond_wait(&compiler->more, &compiler->lock);
		compiler->idle_count--;
	}
	pthread_mutex_unlock(&compiler->lock);
	return NULL;
}

static int start_thread(struct compiler *compiler)
{
	pthread_t *thread = &compiler->threads[compiler->thread_count];
	sigset_t all, before;
	pthread_attr_t attr;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setstacksize(&attr, COMPILER_STACK);
	/* signals are the loop's */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(thread, &attr, compiler_main, compiler);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_attr_destroy(&attr);
	if (r)
		return -r;
	pthread_setname_np(*thread, "llmos-compile");
	compiler->thread_count++;
	return 0;
}

/* ---- who asks ---- */

int compiler_new(struct compiler **ret, int news_fd)
{
	struct compiler *compiler = calloc(1, sizeof(*compiler));

	if (!compiler)
		return -ENOMEM;
	compiler->news_fd = news_fd;
	pthread_mutex_init(&compiler->lock, NULL);
	pthread_cond_init(&compiler->more, NULL);
	list_init(&compiler->lines);
	list_init(&compiler->ended);
	*ret = compiler;
	return 0;
}

void compiler_free(struct compiler *compiler)
{
	struct compiling *compiling;

	if (!compiler)
		return;
	pthread_mutex_lock(&compiler->lock);
	compiler->is_ending = true;
	pthread_cond_broadcast(&compiler->more);
	pthread_mutex_unlock(&compiler->lock);
	while (compiler->thread_count)
		pthread_join(compiler->threads[--compiler->thread_count], NULL);
	while ((compiling = compiler_take(compiler)))
		gram_free(steal_ptr(compiling->grammar));
	pthread_cond_destroy(&compiler->more);
	pthread_mutex_destroy(&compiler->lock);
	free(compiler);
}

void compile_line_init(struct compile_line *line)
{
	list_init(&line->link);
	list_init(&line->waiting);
	line->is_running = false;
}

int compiler_begin(struct compiler *compiler, struct compile_line *line,
		   struct compiling *compiling)
{
	int r = 0;

	compiling->line = line;
	pthread_mutex_lock(&compiler->lock);
	if (compiler->waiting_count >= compiler->idle_count &&
	    compiler->thread_count < COMPILER_THREADS)
		r = start_thread(compiler);
	if (compiler->thread_count) {
		r = 0;
		if (list_empty(&line->waiting))
			list_append(&compiler->lines, &line->link);
		list_append(&line->waiting, &compiling->link);
		compiler->waiting_count++;
		pthread_cond_signal(&compiler->more);
	}
	pthread_mutex_unlock(&compiler->lock);
	return r;
}

bool compiler_drop(struct compiler *compiler, struct compiling *compiling)
{
	bool is_dropped;

	pthread_mutex_lock(&compiler->lock);
	is_dropped = !compiling->is_begun;
	if (is_dropped) {
		list_remove(&compiling->link);
		compiler->waiting_count--;
		if (list_empty(&compiling->line->waiting))
			list_remove(&compiling->line->link);
	}
	pthread_mutex_unlock(&compiler->lock);
	return is_dropped;
}

struct compiling *compiler_take(struct compiler *compiler)
{
	struct compiling *compiling = NULL;

	pthread_mutex_lock(&compiler->lock);
	if (!list_empty(&compiler->ended)) {
		compiling = list_first(&compiler->ended, struct compiling, link);
		list_remove(&compiling->link);
	}
	pthread_mutex_unlock(&compiler->lock);
	return compiling;
}
