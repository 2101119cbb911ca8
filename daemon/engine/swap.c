/* SPDX-License-Identifier: MIT */
/* Pages in a file; see swap.h. */
#include "engine/swap.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/hash.h"
#include "base/list.h"

#define SWAP_BUFFER_BYTES	(UINT64_C(64) << 20)	/* of all buffers together, about */
#define SWAP_BUFFERS_LEAST	4U
#define SWAP_BUFFERS_MAX	256U
#define SWAP_PAGES_MAX		(1U << 20)
#define SWAP_BYTE_NS		5	/* of a disk that was not tried yet: 200 MB/s */
#define SWAP_TRIES		64U	/* one in so many pages is tried though it was not worth it */
#define SWAP_REST		1024U	/* pages that are not written after one that could not be */

/**
 * struct swap_page - a place in the file
 * @chain_link: in a bucket; @age: in the order of use, or among the free ones
 * @generation: how often it was given to a page: who asked for one before asked for another
 * @is_written: its bytes are there; else it is on its way
 */
struct swap_page {
	struct list chain_link;
	struct list age;
	struct engine_domain domain;
	struct swap_chain chain;
	uint32_t tokens[KV_PAGE_TOKENS];
	uint32_t generation;
	bool is_used;
	bool is_written;
};

enum buffer_state {
	BUFFER_FREE,
	BUFFER_ASKED,		/* the thread's */
	BUFFER_DONE,
};

/**
 * struct swap_buffer - a page on its way
 * @link: while it is the thread's: in the queue
 * @state: under the lock
 * @result: 0 or -errno, when done; @took_ns: the time that was
 * @place: in the file; @generation: of that
 * @is_orphan: nobody waits for it
 */
struct swap_buffer {
	struct list link;
	enum buffer_state state;
	int result;
	uint64_t took_ns;
	uint32_t place;
	uint32_t generation;
	bool is_write;
	bool is_orphan;
	char *data;
};

/**
 * struct swap - see swap.h
 * @lock: @queue, @stop and the state of buffers; @work: there is some
 * @pages: (page_count) places; @spare: those without a page, @used: the others, the one that was
 *	used longest ago first
 * @buckets: (mask + 1) places by what they hold
 * @compute_ns: a page takes to be computed; @move_ns: to be read or written
 * @rest: pages that are not written yet, after one that could not be
 */
struct swap {
	int fd;
	size_t page_bytes;
	void (*ready)(void *arg);
	void *arg;
	pthread_t thread;
	bool has_thread;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list queue;
	bool stop;

	struct swap_page *pages;
	uint32_t page_count;
	struct list spare;
	struct list used;
	struct list *buckets;
	size_t mask;
	struct hash_key keys[2];
	struct swap_buffer *buffers;
	unsigned int buffer_count;
	char *memory;
	size_t memory_bytes;
	uint64_t compute_ns;
	uint64_t move_ns;
	unsigned int tries;
	unsigned int rest;
	struct swap_stats stats;
};

/* ---- the thread ---- */

/* all of a page, however often a signal or a quota of the disk cuts in */
static int swap_move(const struct swap *swap, const struct swap_buffer *buffer)
{
	const off_t at = (off_t)buffer->place * (off_t)swap->page_bytes;
	size_t done = 0;
	ssize_t n;

	while (done < swap->page_bytes) {
		char *data = buffer->data + done;
		const size_t left = swap->page_bytes - done;

		n = buffer->is_write ? pwrite(swap->fd, data, left, at + (off_t)done) :
				       pread(swap->fd, data, left, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

static void *swap_run(void *arg)
{
	struct swap *swap = arg;

	pthread_mutex_lock(&swap->lock);
	for (;;) {
		struct swap_buffer *buffer;
		uint64_t start_ns;
		bool is_read;
		int r;

		while (!swap->stop && list_empty(&swap->queue))
			pthread_cond_wait(&swap->work, &swap->lock);
		if (swap->stop)
			break;
		buffer = list_first(&swap->queue, struct swap_buffer, link);
		list_remove(&buffer->link);
		is_read = !buffer->is_write;
		pthread_mutex_unlock(&swap->lock);
		start_ns = clock_ns();
		r = swap_move(swap, buffer);
		pthread_mutex_lock(&swap->lock);
		buffer->took_ns = clock_ns() - start_ns;
		buffer->result = r;
		buffer->state = BUFFER_DONE;
		if (is_read && swap->ready)
			swap->ready(swap->arg);
	}
	pthread_mutex_unlock(&swap->lock);
	return NULL;
}

/* no signal of the daemon is the thread's */
static int swap_start(struct swap *swap)
{
	sigset_t all, before;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	r = pthread_create(&swap->thread, NULL, swap_run, swap);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	swap->has_thread = !r;
	if (!r)
		pthread_setname_np(swap->thread, "llmos-swap");
	return -r;
}

static void swap_ask(struct swap *swap, struct swap_buffer *buffer)
{
	pthread_mutex_lock(&swap->lock);
	buffer->state = BUFFER_ASKED;
	list_append(&swap->queue, &buffer->link);
	pthread_cond_signal(&swap->work);
	pthread_mutex_unlock(&swap->lock);
}

static enum buffer_state buffer_state(struct swap *swap, const struct swap_buffer *buffer)
{
	enum buffer_state state;

	pthread_mutex_lock(&swap->lock);
	state = buffer->state;
	pthread_mutex_unlock(&swap->lock);
	return state;
}

/* ---- opening ---- */

static int swap_allocate(struct swap *swap)
{
	uint32_t i;

	swap->pages = calloc(swap->page_count, sizeof(*swap->pages));
	while (swap->mask + 1 < swap->page_count)
		swap->mask = 2 * swap->mask + 1;
	swap->buckets = calloc(swap->mask + 1, sizeof(*swap->buckets));
	swap->buffer_count = (unsigned int)MIN(SWAP_BUFFER_BYTES / swap->page_bytes,
					       (uint64_t)SWAP_BUFFERS_MAX);
	swap->buffer_count = MAX(swap->buffer_count, SWAP_BUFFERS_LEAST);
	swap->buffers = calloc(swap->buffer_count, sizeof(*swap->buffers));
	if (!swap->pages || !swap->buckets || !swap->buffers ||
	    !size_mul(&swap->memory_bytes, swap->page_bytes, swap->buffer_count))
		return -ENOMEM;
	swap->memory = mmap(NULL, swap->memory_bytes, PROT_READ | PROT_WRITE,
			    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (swap->memory == MAP_FAILED) {
		swap->memory = NULL;
		return -ENOMEM;
	}
	swap->stats.memory_bytes = swap->memory_bytes +
				   swap->page_count * sizeof(*swap->pages) +
				   (swap->mask + 1) * sizeof(*swap->buckets);
	for (i = 0; i <= swap->mask; i++)
		list_init(&swap->buckets[i]);
	for (i = 0; i < swap->page_count; i++) {
		list_init(&swap->pages[i].chain_link);
		list_append(&swap->spare, &swap->pages[i].age);
	}
	for (i = 0; i < swap->buffer_count; i++) {
		list_init(&swap->buffers[i].link);
		swap->buffers[i].data = swap->memory + (size_t)i * swap->page_bytes;
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
	swap->move_ns = page_bytes * SWAP_BYTE_NS;
	swap->ready = ready;
	swap->arg = arg;
	pthread_mutex_init(&swap->lock, NULL);
	pthread_cond_init(&swap->work, NULL);
	list_init(&swap->queue);
	list_init(&swap->spare);
	list_init(&swap->used);
	hash_key_init(&swap->keys[0]);
	hash_key_init(&swap->keys[1]);
	swap->fd = open(folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	r = swap->fd < 0 ? -errno : swap_allocate(swap);
	if (!r)
		r = swap_start(swap);
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
	if (swap->has_thread) {
		pthread_mutex_lock(&swap->lock);
		swap->stop = true;
		pthread_cond_signal(&swap->work);
		pthread_mutex_unlock(&swap->lock);
		pthread_join(swap->thread, NULL);
	}
	if (swap->fd >= 0)
		close(swap->fd);
	if (swap->memory)
		munmap(swap->memory, swap->memory_bytes);
	pthread_cond_destroy(&swap->work);
	pthread_mutex_destroy(&swap->lock);
	free(swap->pages);
	free(swap->buckets);
	free(swap->buffers);
	free(swap);
}

struct swap_stats swap_stats(const struct swap *swap)
{
	return swap->stats;
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

static void page_free(struct swap *swap, struct swap_page *page)
{
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

static void swap_learn(struct swap *swap, uint64_t took_ns)
{
	swap->move_ns = (7 * swap->move_ns + took_ns) / 8;
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
		swap_learn(swap, buffer->took_ns);
	}
	/* another one may have its place meanwhile */
	if (!page->is_used || page->generation != buffer->generation)
		return;
	page->is_written = !buffer->result;
	if (buffer->result < 0)
		page_free(swap, page);
}

/* those that are done and nobody waits for */
static void swap_reap(struct swap *swap)
{
	unsigned int i;

	for (i = 0; i < swap->buffer_count; i++) {
		struct swap_buffer *buffer = &swap->buffers[i];

		if (!buffer->is_write && !buffer->is_orphan)
			continue;
		if (buffer_state(swap, buffer) != BUFFER_DONE)
			continue;
		if (buffer->is_write)
			swap_written(swap, buffer);
		buffer->is_write = buffer->is_orphan = false;
		buffer->state = BUFFER_FREE;
	}
}

static struct swap_buffer *buffer_new(struct swap *swap, const struct swap_page *page)
{
	unsigned int i;

	for (i = 0; i < swap->buffer_count; i++) {
		struct swap_buffer *buffer = &swap->buffers[i];

		if (buffer_state(swap, buffer) != BUFFER_FREE)
			continue;
		if (page) {
			buffer->place = (uint32_t)(page - swap->pages);
			buffer->generation = page->generation;
		}
		return buffer;
	}
	return NULL;
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
static bool swap_is_worth(struct swap *swap)
{
	return !swap->compute_ns || swap->move_ns <= swap->compute_ns ||
	       !(++swap->tries % SWAP_TRIES);
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
	if (!swap_is_worth(swap) || !buffer_new(swap, NULL))
		return;
	page = page_new(swap, domain, chain, tokens);
	buffer = buffer_new(swap, page);
	buffer->is_write = true;
	memcpy(buffer->data, data, swap->page_bytes);
	swap_ask(swap, buffer);
}

uint32_t swap_get(struct swap *swap, const struct engine_domain *domain,
		  const struct swap_chain *chain, const uint32_t *tokens, bool *ret_busy)
{
	struct swap_buffer *buffer;
	struct swap_page *page;

	*ret_busy = false;
	swap_reap(swap);
	page = page_find(swap, domain, chain, tokens);
	if (!page || !swap_is_worth(swap))
		return SWAP_NONE;
	buffer = buffer_new(swap, page);
	if (!buffer) {
		*ret_busy = true;
		return SWAP_NONE;
	}
	list_move(&swap->used, &page->age);
	/* one that is on its way there is written before it is read */
	swap_ask(swap, buffer);
	return (uint32_t)(buffer - swap->buffers);
}

int swap_take(struct swap *swap, uint32_t number, char *to)
{
	struct swap_buffer *buffer = &swap->buffers[number];
	const struct swap_page *page = &swap->pages[buffer->place];
	int r;

	if (buffer_state(swap, buffer) != BUFFER_DONE)
		return 0;
	/* whether it was written at all is known before that it was read */
	swap_reap(swap);
	r = buffer->result;
	if (!r && (!page->is_written || page->generation != buffer->generation))
		r = -EIO;
	buffer->state = BUFFER_FREE;
	if (r < 0) {
		swap->stats.failed++;
		if (page->is_used && page->generation == buffer->generation)
			page_free(swap, &swap->pages[buffer->place]);
		return -EIO;
	}
	swap->stats.read++;
	swap_learn(swap, buffer->took_ns);
	memcpy(to, buffer->data, swap->page_bytes);
	return 1;
}

void swap_cancel(struct swap *swap, uint32_t number)
{
	swap->buffers[number].is_orphan = true;
	swap_reap(swap);
}

void swap_forget(struct swap *swap, const struct engine_domain *domain)
{
	struct swap_page *page, *next;

	list_each_safe(page, next, &swap->used, age)
		if (same_user(&page->domain, domain))
			page_free(swap, page);
}
