/* SPDX-License-Identifier: MIT */
/*
 * The thread that finds out which tokens may follow, and its queue; see constrain.h. Lock: that of
 * the constrainer protects the queue, who is running, and of each constraint what was said and
 * whether it is ready. The matcher of a constraint is its thread's until it is ready.
 */
#include "sched/constrain.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/eventfd.h>

#include "base/list.h"
#include "grammar/matcher.h"

#define TURN_BRANCHES	20000	/* of the tree of tokens, before the next one's turn */
#define TURN_TOKENS	64	/* of an answer that is put together again, the same */

/**
 * struct constrainer - the thread
 * @queue: constraints that are not ready
 * @running: the one that the thread has
 * @more: something is in the queue, or it is over
 * @idle: nobody is running
 */
struct constrainer {
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t more;
	pthread_cond_t idle;
	struct list queue;
	struct constraint *running;
	bool ending;
	int fd;
};

/**
 * struct constraint - an answer
 * @link: in the queue
 * @said: tokens (said_count), of which the matcher knows known_count
 * @is_ready: it knows all of them, and what may follow
 * @is_going: it is being freed; its thread is to be done with it soon
 * @result: 0, or why that is not known
 */
struct constraint {
	struct list link;
	struct constrainer *owner;
	struct gram_matcher *matcher;
	uint32_t *said;
	size_t said_count;
	size_t said_capacity;
	size_t known_count;
	atomic_bool is_ready;
	atomic_bool is_going;
	int result;
};

/* ---- the thread ---- */

/* a turn without the lock: some tokens, and then some of the walk; 1: it is done */
static int turn(struct constraint *c, const uint32_t *said, size_t count, bool walks)
{
	int r = 0;

	for (size_t i = 0; !r && i < count && !c->is_going; i++)
		r = gram_matcher_advance(c->matcher, said[i]);
	return r < 0 || !walks || c->is_going ? r : gram_matcher_work(c->matcher, TURN_BRANCHES);
}

static void take_turn(struct constrainer *owner, struct constraint *c)
{
	const size_t count = MIN(c->said_count - c->known_count, (size_t)TURN_TOKENS);
	const bool walks = c->known_count + count == c->said_count;
	uint32_t said[TURN_TOKENS];
	int r;

	if (count)
		memcpy(said, c->said + c->known_count, count * sizeof(*said));
	c->known_count += count;
	owner->running = c;
	pthread_mutex_unlock(&owner->lock);
	r = turn(c, said, count, walks);
	pthread_mutex_lock(&owner->lock);
	owner->running = NULL;
	pthread_cond_signal(&owner->idle);
	if (c->is_going)	/* whoever waits for it would wait for all that is left to do */
		return;
	if (r >= 0 && (!r || c->known_count < c->said_count)) {
		list_append(&owner->queue, &c->link);
		return;
	}
	c->result = MIN(r, 0);
	atomic_store_explicit(&c->is_ready, true, memory_order_release);
	eventfd_write(owner->fd, 1);
}

static void *constrainer_main(void *arg)
{
	struct constrainer *owner = arg;

	pthread_mutex_lock(&owner->lock);
	while (!owner->ending) {
		struct constraint *c;

		if (list_empty(&owner->queue)) {
			pthread_cond_wait(&owner->more, &owner->lock);
			continue;
		}
		c = list_first(&owner->queue, struct constraint, link);
		list_remove(&c->link);
		take_turn(owner, c);
	}
	pthread_mutex_unlock(&owner->lock);
	return NULL;
}

static int start_thread(struct constrainer *owner)
{
	sigset_t all, before;
	int r;

	if (owner->has_thread)
		return 0;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&owner->thread, NULL, constrainer_main, owner);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r)
		return -r;
	pthread_setname_np(owner->thread, "llmos-grammar");
	owner->has_thread = true;
	return 0;
}

/* ---- its life ---- */

int constrainer_new(struct constrainer **ret)
{
	struct constrainer *owner = calloc(1, sizeof(*owner));

	if (!owner)
		return -ENOMEM;
	owner->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (owner->fd < 0) {
		int r = -errno;

		free(owner);
		return r;
	}
	pthread_mutex_init(&owner->lock, NULL);
	pthread_cond_init(&owner->more, NULL);
	pthread_cond_init(&owner->idle, NULL);
	list_init(&owner->queue);
	*ret = owner;
	return 0;
}

void constrainer_free(struct constrainer *owner)
{
	if (!owner)
		return;
	if (owner->has_thread) {
		pthread_mutex_lock(&owner->lock);
		owner->ending = true;
		pthread_cond_signal(&owner->more);
		pthread_mutex_unlock(&owner->lock);
		pthread_join(owner->thread, NULL);
	}
	pthread_cond_destroy(&owner->idle);
	pthread_cond_destroy(&owner->more);
	pthread_mutex_destroy(&owner->lock);
	close(owner->fd);
	free(owner);
}

void constrainer_wake(struct constrainer *owner)
{
	eventfd_write(owner->fd, 1);
}

int constrainer_fd(const struct constrainer *owner)
{
	return owner->fd;
}

void constrainer_heard(struct constrainer *owner)
{
	eventfd_t count;

	eventfd_read(owner->fd, &count);
}

/* ---- constraints ---- */

/* with the lock */
static void enqueue(struct constraint *c)
{
	atomic_store_explicit(&c->is_ready, false, memory_order_relaxed);
	list_append(&c->owner->queue, &c->link);
	pthread_cond_signal(&c->owner->more);
}

int constraint_new(struct constraint **ret, struct constrainer *owner, struct grammar *grammar,
		   struct gram_vocab *vocab, bool fresh)
{
	struct gram_matcher *matcher = NULL;
	struct constraint *c;
	int r;

	r = gram_matcher_new(&matcher, grammar, vocab, fresh);
	if (!r)
		r = start_thread(owner);
	c = r < 0 ? NULL : calloc(1, sizeof(*c));
	if (!c) {
		gram_matcher_free(matcher);
		return r < 0 ? r : -ENOMEM;
	}
	c->owner = owner;
	c->matcher = matcher;
	list_init(&c->link);
	pthread_mutex_lock(&owner->lock);
	enqueue(c);
	pthread_mutex_unlock(&owner->lock);
	*ret = c;
	return 0;
}

void constraint_free(struct constraint *c)
{
	if (!c)
		return;
	c->is_going = true;
	pthread_mutex_lock(&c->owner->lock);
	while (c->owner->running == c)
		pthread_cond_wait(&c->owner->idle, &c->owner->lock);
	list_remove(&c->link);
	pthread_mutex_unlock(&c->owner->lock);
	gram_matcher_free(c->matcher);
	free(c->said);
	free(c);
}

int constraint_say(struct constraint *c, uint32_t id)
{
	int r = 0;

	pthread_mutex_lock(&c->owner->lock);
	if (c->said_count == c->said_capacity) {
		const size_t capacity = MAX((size_t)64, c->said_capacity * 2);
		uint32_t *grown = realloc(c->said, capacity * sizeof(*grown));

		if (grown) {
			c->said = grown;
			c->said_capacity = capacity;
		} else {
			r = -ENOMEM;
		}
	}
	if (!r) {
		c->said[c->said_count++] = id;
		if (c->is_ready && !c->result)
			enqueue(c);
	}
	pthread_mutex_unlock(&c->owner->lock);
	return r;
}

bool constraint_is_ready(const struct constraint *c)
{
	return atomic_load_explicit(&c->is_ready, memory_order_acquire);
}

int64_t constraint_mask(const struct constraint *c, const uint32_t **ret, bool *ret_can_end)
{
	if (c->result < 0)
		return c->result;
	*ret = gram_matcher_mask(c->matcher);
	*ret_can_end = gram_matcher_can_end(c->matcher);
	return gram_matcher_count(c->matcher);
}
