/* SPDX-License-Identifier: MIT */
/* Pages in a file; see swap.h. */
#include "engine/swap.h"

#include <stdlib.h>
#include <string.h>

#include "base/hash.h"
#include "base/list.h"
#include "base/util.h"
#include "engine/swap_io.h"

#define SWAP_PAGES_MAX		(1U << 20)
#define SWAP_BYTE_NS		5	/* of a disk that was not tried yet: 200 MB/s */
#define SWAP_TRIES		64U	/* one in so many pages is tried though it was not worth it */
#define SWAP_REST		1024U	/* pages that are not written after one that could not be */
#define SWAP_AHEAD		8U	/* pages at a time that do not have to make way yet */
#define SWAP_LATE		16U	/* no page counts for more times what computing takes */

/**
 * struct swap_page - a place in the file
 * @chain_link: in a bucket; @age: in the order of use, or among the free ones
 * @generation: how often it was given to a page: who asked for one before asked for another
 * @buffer: that it is on its way in
 * @is_written: its bytes are there; else it is on its way
 */
struct swap_page {
	struct list chain_link;
	struct list age;
	struct engine_domain domain;
	struct swap_chain chain;
	uint32_t tokens[KV_PAGE_TOKENS];
	uint32_t generation;
	uint32_t buffer;
	bool is_used;
	bool is_written;
};

/**
 * struct swap - see swap.h
 * @pages: (page_count) places; @spare: those without a page, @used: the others, the one that was
 *	used longest ago first
 * @buckets: (mask + 1) places by what they hold
 * @compute_ns: a page takes to be computed; @read_ns, @write_ns: to be read and to be written,
 *	which into memory of the kernel may be fast where the disk is not
 * @rest: pages that are not written yet, after one that could not be
 * @is_stuck: the disk is doing nothing but what it did when it had done @stuck_moves
 */
struct swap {
	struct swap_io *io;
	size_t page_bytes;
	struct swap_page *pages;
	uint32_t page_count;
	struct list spare;
	struct list used;
	struct list *buckets;
	size_t mask;
	struct hash_key keys[2];
	uint64_t compute_ns;
	uint64_t read_ns;
	uint64_t write_ns;
	unsigned int tries;
	unsigned int rest;
	bool is_stuck;
	uint64_t stuck_moves;
	struct swap_stats stats;
};

/* ---- opening ---- */

static int swap_allocate(struct swap *swap)
{
	uint32_t i;

	swap->pages = calloc(swap->page_count, sizeof(*swap->pages));
	while (swap->mask + 1 < swap->page_count)
		swap->mask = 2 * swap->mask + 1;
	swap->buckets = calloc(swap->mask + 1, sizeof(*swap->buckets));
	if (!swap->pages || !swap->buckets)
		return -ENOMEM;
	swap->stats.memory_bytes = swap->page_count * sizeof(*swap->pages) +
				   (swap->mask + 1) * sizeof(*swap->buckets);
	for (i = 0; i <= swap->mask; i++)
		list_init(&swap->buckets[i]);
	for (i = 0; i < swap->page_count; i++) {
		list_init(&swap->pages[i].chain_link);
		list_append(&swap->spare, &swap->pages[i].age);
	}
	return 0;
}

int swap_open(struct swap **ret, const char *folder, uint64_t bytes, size_t page_bytes,
	      void (*ready)(void *arg), void *arg)
{
	struct swap *swap;
	int r;

	if (!page_bytes || bytes / page_bytes < 1)
		return -EINVAL;
	swap = calloc(1, sizeof(*swap));
	if (!swap)
		return -ENOMEM;
	swap->page_bytes = page_bytes;
	swap->page_count = (uint32_t)MIN(bytes / page_bytes, (uint64_t)SWAP_PAGES_MAX);
	swap->read_ns = swap->write_ns = page_bytes * SWAP_BYTE_NS;
	list_init(&swap->spare);
	list_init(&swap->used);
	hash_key_init(&swap->keys[0]);
	hash_key_init(&swap->keys[1]);
	r = swap_io_open(&swap->io, folder, page_bytes, ready, arg);
	if (!r)
		r = swap_allocate(swap);
	if (r < 0) {
		swap_close(swap);
		return r;
	}
	*ret = swap;
	return 0;
}

void swap_close(struct swap *swap)
{
	if (!swap)
		return;
	swap_io_close(swap->io);
	free(swap->pages);
	free(swap->buckets);
	free(swap);
}

int swap_error(const struct swap *swap)
{
	return swap_io_error(swap->io);
}

struct swap_stats swap_stats(const struct swap *swap)
{
	struct swap_stats stats = swap->stats;

	stats.bytes = (uint64_t)stats.pages * swap->page_bytes;
	stats.memory_bytes += swap_io_bytes(swap->io);
	return stats;
}

unsigned int swap_writing(const struct swap *swap)
{
	unsigned int count = 0;

	for (unsigned int i = 0; i < swap_io_count(swap->io); i++) {
		const struct swap_buffer *buffer = swap_io_at(swap->io, i);

		count += buffer->is_write &&
			 swap_io_state(swap->io, buffer) != SWAP_BUFFER_FREE;
	}
	return count;
}

/* ---- places ---- */

static struct list *swap_bucket(const struct swap *swap, const struct swap_chain *chain)
{
	return &swap->buckets[chain->hash[0] & swap->mask];
}

static bool same_user(const struct engine_domain *a, const struct engine_domain *b)
{
	return a->source == b->source && a->group == b->group && a->user == b->user;
}

static struct swap_page *page_find(const struct swap *swap, const struct engine_domain *domain,
				   const struct swap_chain *chain, const uint32_t *tokens)
{
	struct swap_page *page;

	list_each(page, swap_bucket(swap, chain), chain_link)
		if (page->chain.hash[0] == chain->hash[0] &&
		    page->chain.hash[1] == chain->hash[1] && page->chain.pages == chain->pages &&
		    same_user(&page->domain, domain) &&
		    !memcmp(page->domain.adapters, domain->adapters, sizeof(domain->adapters)) &&
		    !memcmp(page->tokens, tokens, sizeof(page->tokens)))
			return page;
	return NULL;
}

/* what is on its way to a place, as long as it is; NULL: nothing is */
static struct swap_buffer *page_write(const struct swap *swap, const struct swap_page *page)
{
	return page->is_written ? NULL : swap_io_at(swap->io, page->buffer);
}

static void page_free(struct swap *swap, struct swap_page *page)
{
	struct swap_buffer *write = page_write(swap, page);

	if (write)
		swap_io_drop(swap->io, write);
	list_remove(&page->chain_link);
	list_move(&swap->spare, &page->age);
	page->is_used = false;
	page->is_written = false;
	page->generation++;
	swap->stats.pages--;
}

/* a place for a page; the one that was used longest ago loses its own */
static struct swap_page *page_new(struct swap *swap, const struct engine_domain *domain,
				  const struct swap_chain *chain, const uint32_t *tokens)
{
	struct swap_page *page;

	if (list_empty(&swap->spare))
		page_free(swap, list_first(&swap->used, struct swap_page, age));
	page = list_first(&swap->spare, struct swap_page, age);
	list_move(&swap->used, &page->age);
	page->domain = *domain;
	page->chain = *chain;
	memcpy(page->tokens, tokens, sizeof(page->tokens));
	page->is_used = true;
	page->generation++;
	list_append(swap_bucket(swap, chain), &page->chain_link);
	swap->stats.pages++;
	return page;
}

/* ---- buffers ---- */

/*
 * One that hung says that the disk is slow, but not for how long: the next good ones have to be
 * able to say something else.
 */
static void swap_learn(const struct swap *swap, uint64_t *ns, uint64_t took_ns)
{
	const uint64_t usual_ns = swap->compute_ns ? swap->compute_ns : *ns;

	*ns = (7 * *ns + MIN(took_ns, SWAP_LATE * usual_ns)) / 8;
}

/* a page was written, or could not be */
static void swap_written(struct swap *swap, const struct swap_buffer *buffer)
{
	struct swap_page *page = &swap->pages[buffer->place];

	if (buffer->result < 0) {
		swap->stats.failed++;
		swap->rest = SWAP_REST;
	} else {
		swap->stats.written++;
		swap_learn(swap, &swap->write_ns, buffer->took_ns);
	}
	/* another one may have its place meanwhile */
	if (!page->is_used || page->generation != buffer->generation)
		return;
	page->is_written = !buffer->result;
	if (buffer->result < 0)
		page_free(swap, page);
}

/* those that are done and nobody waits for; what came too late tells how slow the disk is */
static void swap_reap(struct swap *swap)
{
	struct swap_buffer *done[SWAP_BUFFERS_MAX];
	const unsigned int count = swap_io_done(swap->io, done);

	for (unsigned int i = 0; i < count; i++) {
		if (!done[i]->is_write && !done[i]->is_orphan)
			continue;
		if (done[i]->is_write)
			swap_written(swap, done[i]);
		else if (!done[i]->result && done[i]->took_ns)
			swap_learn(swap, &swap->read_ns, done[i]->took_ns);
		swap_io_free(swap->io, done[i]);
	}
}

static void buffer_set(const struct swap *swap, struct swap_buffer *buffer,
		       const struct swap_page *page)
{
	buffer->place = (uint32_t)(page - swap->pages);
	buffer->generation = page->generation;
	buffer->is_orphan = false;
}

/* ---- pages ---- */

struct swap_chain swap_extend(const struct swap *swap, struct swap_chain chain,
			      const uint32_t *tokens)
{
	const size_t bytes = KV_PAGE_TOKENS * sizeof(*tokens);

	for (unsigned int i = 0; i < 2; i++)
		chain.hash[i] = hash_u64(&swap->keys[i], chain.hash[i] ^
						hash_bytes(&swap->keys[i], tokens, bytes));
	chain.pages++;
	return chain;
}

void swap_pace(struct swap *swap, uint64_t page_ns)
{
	swap->compute_ns = page_ns;
}

/* is it cheaper than to compute it? How fast the disk is has to be tried now and then */
static bool swap_is_worth(struct swap *swap, uint64_t move_ns)
{
	return !swap->compute_ns || move_ns <= swap->compute_ns || !(++swap->tries % SWAP_TRIES);
}

bool swap_is_stuck(struct swap *swap)
{
	bool busy;

	if (swap->is_stuck)
		swap->is_stuck = swap_io_moves(swap->io, &busy) == swap->stuck_moves && busy;
	return swap->is_stuck;
}

void swap_give_up(struct swap *swap)
{
	bool busy;

	swap->stuck_moves = swap_io_moves(swap->io, &busy);
	swap->is_stuck = busy;
	swap->stats.failed += busy;
}

void swap_put(struct swap *swap, const struct engine_domain *domain,
	      const struct swap_chain *chain, const uint32_t *tokens, const char *data)
{
	struct swap_buffer *buffer;
	struct swap_page *page;

	swap_reap(swap);
	page = page_find(swap, domain, chain, tokens);
	if (page) {
		list_move(&swap->used, &page->age);
		return;
	}
	if (swap->rest) {
		swap->rest--;
		return;
	}
	if (swap_error(swap) || swap_is_stuck(swap) ||
	    !swap_is_worth(swap, MAX(swap->read_ns, swap->write_ns)))
		return;
	/* before a page loses its place for it */
	buffer = swap_io_take(swap->io, true);
	if (!buffer)
		return;
	page = page_new(swap, domain, chain, tokens);
	page->buffer = swap_io_index(swap->io, buffer);
	buffer_set(swap, buffer, page);
	memcpy(buffer->data, data, swap->page_bytes);
	swap_io_ask(swap->io, buffer);
}

unsigned int swap_ahead(struct swap *swap, bool *ret_busy)
{
	const unsigned int room = swap->page_count - swap->stats.pages;
	const unsigned int share = MAX(swap_io_count(swap->io) / 4, 1U);
	const uint64_t move_ns = MAX(swap->read_ns, swap->write_ns);
	unsigned int max;

	*ret_busy = false;
	swap_reap(swap);
	if (!room || swap_error(swap) || swap_is_stuck(swap) ||
	    (swap->compute_ns && move_ns > swap->compute_ns))
		return 0;
	/* where nothing has to make way, nobody else would try a disk again that was full */
	if (swap->rest) {
		swap->rest -= MIN(swap->rest, SWAP_AHEAD);
		*ret_busy = true;
		return 0;
	}
	*ret_busy = swap_io_is_busy(swap->io);
	if (*ret_busy)
		return 0;
	max = MIN(room, share);
	return MIN(max, SWAP_AHEAD);
}

uint32_t swap_get(struct swap *swap, const struct engine_domain *domain,
		  const struct swap_chain *chain, const uint32_t *tokens, bool *ret_busy)
{
	const struct swap_buffer *write;
	struct swap_buffer *buffer;
	struct swap_page *page;

	*ret_busy = false;
	swap_reap(swap);
	page = page_find(swap, domain, chain, tokens);
	if (!page)
		return SWAP_NONE;
	/* what is on its way there need not come back from there */
	write = page_write(swap, page);
	if (!write && (swap_is_stuck(swap) || !swap_is_worth(swap, swap->read_ns)))
		return SWAP_NONE;
	buffer = swap_io_take(swap->io, false);
	if (!buffer) {
		*ret_busy = true;
		return SWAP_NONE;
	}
	list_move(&swap->used, &page->age);
	buffer_set(swap, buffer, page);
	if (write) {
		memcpy(buffer->data, write->data, swap->page_bytes);
		swap_io_fill(swap->io, buffer);
	} else {
		swap_io_ask(swap->io, buffer);
	}
	return swap_io_index(swap->io, buffer);
}

int swap_take(struct swap *swap, uint32_t number, char *to)
{
	struct swap_buffer *buffer = swap_io_at(swap->io, number);
	struct swap_page *page = &swap->pages[buffer->place];
	const bool is_same = page->is_used && page->generation == buffer->generation;
	int r;

	if (swap_io_state(swap->io, buffer) != SWAP_BUFFER_DONE)
		return 0;
	/* another one may have its place, and have been written there before this one was read */
	r = !buffer->result && buffer->took_ns && !is_same ? -EIO : buffer->result;
	if (!r) {
		swap->stats.read++;
		if (buffer->took_ns)
			swap_learn(swap, &swap->read_ns, buffer->took_ns);
		memcpy(to, buffer->data, swap->page_bytes);
	} else {
		swap->stats.failed++;
		if (is_same)
			page_free(swap, page);
	}
	swap_io_free(swap->io, buffer);
	return r ? -EIO : 1;
}

bool swap_is_there(struct swap *swap, uint32_t number)
{
	return swap_io_state(swap->io, swap_io_at(swap->io, number)) == SWAP_BUFFER_DONE;
}

void swap_cancel(struct swap *swap, uint32_t number)
{
	struct swap_buffer *buffer = swap_io_at(swap->io, number);

	buffer->is_orphan = !swap_io_drop(swap->io, buffer);
	swap_reap(swap);
}

void swap_forget(struct swap *swap, const struct engine_domain *domain)
{
	struct swap_page *page, *next;

	list_each_safe(page, next, &swap->used, age)
		if (same_user(&page->domain, domain))
			page_free(swap, page);
}
