/* SPDX-License-Identifier: MIT */
/*
 * The thread that finds out which tokens may follow, and its queue; see constrain.h. Lock: that of
 * the constrainer protects the lists, who is running, what tenants have, and of each constraint all
 * but its matcher. That is its thread's, but for a look at the mask while it is read.
 */
#include "sched/constrain.h"

#include <limits.h>
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
 * @grammars: see constrainer_new()
 * @all: constraints, in order of age
 * @queue: those that are not ready
 * @short_of: those that are not ready, and wait for room
 * @state_bytes: of the states of all
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
	struct grammars *grammars;
	struct list all;
	struct list queue;
	struct list short_of;
	size_t state_bytes;
	struct constraint *running;
	bool ending;
	int fd;
};

/**
 * struct constraint - an answer
 * @link: in the queue, or among those without room
 * @age_link: in the list of all
 * @held: its grammar
 * @matcher: its states, or NULL: they are not known
 * @bytes: of these, as they were after its last turn
 * @had_bytes: of them when they were forgotten, at most
 * @rank: see rank_all()
 * @said: tokens (said_count), of which the matcher knows known_count
 * @is_ready: it knows all of them, and what may follow
 * @is_read: somebody looks at that just now
 * @rests: it is not needed for a while
 * @is_going: it is being freed; its thread is to be done with it soon
 * @result: 0, or why that is not known
 */
struct constraint {
	struct list link;
	struct list age_link;
	struct constrainer *owner;
	struct held_grammar *held;
	struct gram_vocab *vocab;
	bool fresh;
	struct gram_matcher *matcher;
	size_t bytes;
	size_t had_bytes;
	unsigned int rank;
	uint32_t *said;
	size_t said_count;
	size_t said_capacity;
	size_t known_count;
	atomic_bool is_ready;
	bool is_read;
	bool rests;
	atomic_bool is_going;
	int result;
};

/* ---- memory ---- */

/* there may be more room, or somebody who has to make some */
static void retry(struct constrainer *owner)
{
	if (list_empty(&owner->short_of))
		return;
	while (!list_empty(&owner->short_of))
		list_move(&owner->queue, owner->short_of.next);
	pthread_cond_signal(&owner->more);
}

static void count_bytes(struct constraint *c, size_t bytes)
{
	struct constrainer *owner = c->owner;
	const bool is_less = bytes < c->bytes;

	owner->state_bytes += bytes - c->bytes;
	c->bytes = bytes;
	if (is_less)
		retry(owner);
}

/* what is known of it; what was said stays, and with it all that there is to know */
static void forget(struct constraint *c)
{
	const bool was_ready = c->is_ready && !c->result;

	gram_matcher_free(c->matcher);
	c->matcher = NULL;
	c->known_count = 0;
	c->had_bytes = MAX(c->had_bytes, c->bytes);
	count_bytes(c, 0);
	if (was_ready) {
		atomic_store_explicit(&c->is_ready, false, memory_order_relaxed);
		if (!c->rests)
			list_append(&c->owner->queue, &c->link);
	}
}

/*
 * Who comes before whom: of each tenant the oldest that is needed, then the second of each, and so
 * on; of one rank the older. That does not depend on who has how much: if it did, two could make
 * way for each other in turn.
 */
static void rank_all(const struct constrainer *owner)
{
	struct constraint *c;

	list_each(c, &owner->all, age_link)
		c->held->tenant->ranked = 0;
	list_each(c, &owner->all, age_link)
		c->rank = c->rests ? UINT_MAX : c->held->tenant->ranked++;
}

/**
 * struct others - of a constraint
 * @before: bytes of the states of those that come before it
 * @least: of one of these, at least
 * @gone: of those behind it whose states can be forgotten
 * @last: of these, or NULL
 */
struct others {
	size_t before;
	size_t least;
	size_t gone;
	struct constraint *last;
};

static struct others look_at_others(const struct constrainer *owner, const struct constraint *c)
{
	struct others others = { .least = SIZE_MAX };
	struct constraint *other;
	bool is_younger = false;

	list_each(other, &owner->all, age_link) {
		is_younger |= other == c;
		if (other == c || !other->bytes)
			continue;
		if (other->rank < c->rank || (other->rank == c->rank && !is_younger)) {
			others.before += other->bytes;
			others.least = MIN(others.least, other->bytes);
		} else if (!other->is_read) {
			others.gone += other->bytes;
			if (!others.last || other->rank >= others.last->rank)
				others.last = other;
		}
	}
	return others;
}

/* bytes that the states of others may have beside the worst that one turn of it needs */
static size_t room_beside(const struct constrainer *owner, const struct constraint *c)
{
	const uint64_t own = gram_matcher_bytes_max(c->vocab) +
		atomic_load_explicit(&owner->grammars->bytes, memory_order_relaxed);

	return own < owner->grammars->max_bytes ? owner->grammars->max_bytes - own : 0;
}

/*
 * Whoever was forgotten would be so again, at the next turn of one that comes before him, if he
 * came back to what he had and that one found no room then: all of his answer for nothing.
 */
static bool can_stay(const struct constraint *c, const struct others *others, size_t room)
{
	return c->bytes || !others->before ||
	       others->before - others->least + c->had_bytes <= room;
}

/* false: it has to wait; who comes first never does, even where the grammars take too much */
static bool make_room(struct constrainer *owner, const struct constraint *c)
{
	/* grammars come and go meanwhile */
	const size_t room = room_beside(owner, c);
	struct others others;

	rank_all(owner);
	others = look_at_others(owner, c);
	/* nobody makes way where that is not enough */
	if (!can_stay(c, &others, room) || owner->state_bytes - c->bytes - others.gone > room)
		return false;
	while (owner->state_bytes - c->bytes > room) {
		forget(others.last);
		others = look_at_others(owner, c);
	}
	return true;
}

/* ---- the thread ---- */

/* a turn without the lock: tokens (*count, out: how many), then some of the walk; 1: it is done */
static int turn(struct constraint *c, const uint32_t *said, size_t *count, bool walks)
{
	const size_t all = *count;
	int r = 0;

	*count = 0;
	if (!c->matcher)
		r = gram_matcher_new(&c->matcher, gram_ref(c->held->grammar), c->vocab, c->fresh);
	if (r < 0)
		return r;
	*count = all;
	r = gram_matcher_catch_up(c->matcher, said, count, TURN_BRANCHES);
	if (r < 0 || !walks || *count < all || c->is_going)
		return r;
	return gram_matcher_work(c->matcher, TURN_BRANCHES);
}

static void take_turn(struct constrainer *owner, struct constraint *c)
{
	uint32_t said[TURN_TOKENS];
	size_t count;
	bool walks;
	int r;

	if (!make_room(owner, c)) {
		list_append(&owner->short_of, &c->link);
		return;
	}
	count = MIN(c->said_count - c->known_count, (size_t)TURN_TOKENS);
	walks = c->known_count + count == c->said_count;
	if (count)
		memcpy(said, c->said + c->known_count, count * sizeof(*said));
	owner->running = c;
	pthread_mutex_unlock(&owner->lock);
	r = turn(c, said, &count, walks);
	pthread_mutex_lock(&owner->lock);
	owner->running = NULL;
	c->known_count += count;
	pthread_cond_signal(&owner->idle);
	count_bytes(c, c->matcher ? gram_matcher_bytes(c->matcher) : 0);
	if (c->is_going)	/* whoever waits for it would wait for all that is left to do */
		return;
	if (r >= 0 && (!r || c->known_count < c->said_count)) {
		if (!c->rests)
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

int constrainer_new(struct constrainer **ret, struct grammars *grammars)
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
	owner->grammars = grammars;
	list_init(&owner->all);
	list_init(&owner->queue);
	list_init(&owner->short_of);
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

size_t constrainer_bytes(struct constrainer *owner)
{
	size_t bytes;

	pthread_mutex_lock(&owner->lock);
	bytes = owner->state_bytes;
	pthread_mutex_unlock(&owner->lock);
	return bytes + atomic_load_explicit(&owner->grammars->bytes, memory_order_relaxed);
}

/* ---- constraints ---- */

/* with the lock; not ready means that there is something to find out */
static void enqueue(struct constraint *c)
{
	if (c->rests || c->is_ready || c->owner->running == c || !list_empty(&c->link))
		return;
	list_append(&c->owner->queue, &c->link);
	pthread_cond_signal(&c->owner->more);
}

int constraint_new(struct constraint **ret, struct constrainer *owner, struct held_grammar *held,
		   struct gram_vocab *vocab, bool fresh)
{
	const int r = start_thread(owner);
	struct constraint *c = r < 0 ? NULL : calloc(1, sizeof(*c));

	if (!c) {
		grammars_put(owner->grammars, held);
		return r < 0 ? r : -ENOMEM;
	}
	c->owner = owner;
	c->held = held;
	c->vocab = gram_vocab_ref(vocab);
	c->fresh = fresh;
	c->rests = true;
	list_init(&c->link);
	pthread_mutex_lock(&owner->lock);
	list_append(&owner->all, &c->age_link);
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
	list_remove(&c->age_link);
	count_bytes(c, 0);
	grammars_put(c->owner->grammars, c->held);
	/* others of its tenant have another rank */
	retry(c->owner);
	pthread_mutex_unlock(&c->owner->lock);
	gram_matcher_free(c->matcher);
	gram_vocab_unref(c->vocab);
	free(c->said);
	free(c);
}

void constraint_rest(struct constraint *c, bool rests)
{
	if (!c || c->rests == rests)
		return;
	pthread_mutex_lock(&c->owner->lock);
	c->rests = rests;
	c->is_read = false;
	if (rests)
		list_remove(&c->link);
	/* it may make room, and others of its tenant have another rank */
	retry(c->owner);
	if (!rests)
		enqueue(c);
	pthread_mutex_unlock(&c->owner->lock);
}

int constraint_say(struct constraint *c, uint32_t id)
{
	int r = 0;

	pthread_mutex_lock(&c->owner->lock);
	c->is_read = false;
	retry(c->owner);
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
		if (!c->result) {
			atomic_store_explicit(&c->is_ready, false, memory_order_relaxed);
			enqueue(c);
		}
	}
	pthread_mutex_unlock(&c->owner->lock);
	return r;
}

bool constraint_is_ready(const struct constraint *c)
{
	return atomic_load_explicit(&c->is_ready, memory_order_acquire);
}

int64_t constraint_mask(struct constraint *c, const uint32_t **ret, bool *ret_can_end)
{
	int64_t count = -EAGAIN;

	pthread_mutex_lock(&c->owner->lock);
	if (c->is_ready) {
		count = c->result;
		c->is_read = !c->result;
	}
	pthread_mutex_unlock(&c->owner->lock);
	if (count < 0)
		return count;
	*ret = gram_matcher_mask(c->matcher);
	*ret_can_end = gram_matcher_can_end(c->matcher);
	return gram_matcher_count(c->matcher);
}
