/* SPDX-License-Identifier: MIT */
/*
 * Pages of the key-value cache that had to make way, in a file: one that nobody else can open,
 * since it never had a name, and that goes with the process. A page is found by who may have it,
 * by its tokens and a hash of all before it, as the prefix store finds one by walking there; it
 * holds the bytes that it had in the cache, so nobody can tell by an answer whether its pages were
 * read back or computed.
 *
 * Nobody waits for the disk. A page on its way there is copied into a buffer first, and where none
 * is free it is not kept; one on its way back is read into a buffer, and whoever wants it is told
 * when it is there. A thread moves buffers (swap_io.h); what has not been written yet is not read
 * but copied. What can not be written, or not be read, has to be computed again, as if there were
 * no file; so has what would take longer to read than to compute, and what does not come at all.
 *
 * The calls belong to the thread that steps the model; they allocate nothing after swap_open().
 */
#ifndef LLMOS_ENGINE_SWAP_H
#define LLMOS_ENGINE_SWAP_H

#include "engine/engine.h"
#include "engine/kv.h"

#define SWAP_NONE	UINT32_MAX	/* no buffer */

struct swap;

/**
 * struct swap_chain - all tokens up to the end of a page, hashed; all zero: none
 * @hash: with two keys
 * @pages: number of them
 */
struct swap_chain {
	uint64_t hash[2];
	uint32_t pages;
};

/**
 * struct swap_stats - how it is
 * @pages: in the file, or on their way there, some of which are in the cache yet; @bytes: of these
 * @memory_bytes: that it takes beside the file
 * @written: so far, @read: that came back, and @failed: that could not be written or read, or not
 *	in time
 */
struct swap_stats {
	uint32_t pages;
	uint64_t bytes;
	size_t memory_bytes;
	uint64_t written;
	uint64_t read;
	uint64_t failed;
};

/**
 * swap_open() - a file for pages of @page_bytes
 * @folder: where
 * @bytes: that it may take; less than a page: -EINVAL
 * @ready: called by a thread of its own each time a page that was asked for has come, or will not,
 *	and if there can be no file, but not after swap_close(); it must not call the swap. NULL:
 *	nobody waits
 *
 * Waits for no file: there is one later, or swap_error(). Return: 0; -ENOMEM, -EAGAIN.
 */
int swap_open(struct swap **ret, const char *folder, uint64_t bytes, size_t page_bytes,
	      void (*ready)(void *arg), void *arg);
/** swap_close() - what was asked for is not done any more; waits for nothing; takes NULL */
void swap_close(struct swap *swap);
/**
 * swap_error() - why there can be no file, -errno; 0: there is one, or will be
 *
 * -EOPNOTSUPP: the file system has none without names. Nothing is kept then.
 */
int swap_error(const struct swap *swap);
struct swap_stats swap_stats(const struct swap *swap);
/** swap_writing() - pages on their way there, whoever may have them by now */
unsigned int swap_writing(const struct swap *swap);

/** swap_extend() - @chain, and one page more; @tokens: (KV_PAGE_TOKENS) of it */
struct swap_chain swap_extend(const struct swap *swap, struct swap_chain chain,
			      const uint32_t *tokens);
/** swap_pace() - computing a page takes that long now; 0: not known, swapping is worth it */
void swap_pace(struct swap *swap, uint64_t page_ns);
/**
 * swap_put() - keep a page, if there is a buffer and it is worth it
 * @chain: up to its end
 * @page: (page_bytes), copied
 */
void swap_put(struct swap *swap, const struct engine_domain *domain,
	      const struct swap_chain *chain, const uint32_t *tokens, const char *page);
/**
 * swap_ahead() - how many pages may be put now, though nobody needs their room yet
 * @ret_busy: out: none, but that may change soon, for the disk is at something
 *
 * None that is in the file loses its place for them, none is tried that may not be worth it, and
 * the buffers are left to those that have to make way.
 */
unsigned int swap_ahead(struct swap *swap, bool *ret_busy);
/**
 * swap_get() - ask for a page
 *
 * Return: the buffer that it comes in, to be given to swap_take() or swap_cancel(); SWAP_NONE: it is
 * not kept, or is not worth it; or there is no buffer now and *ret_busy is set.
 */
uint32_t swap_get(struct swap *swap, const struct engine_domain *domain,
		  const struct swap_chain *chain, const uint32_t *tokens, bool *ret_busy);
/**
 * swap_take() - the page that was asked for
 * @to: (page_bytes)
 *
 * Return: 1: it is there; 0: not yet; -EIO it will not come. The buffer is the swap's again if not 0.
 */
int swap_take(struct swap *swap, uint32_t buffer, char *to);
/** swap_is_there() - swap_take() would not return 0 */
bool swap_is_there(struct swap *swap, uint32_t buffer);
/** swap_cancel() - it is not wanted any more */
void swap_cancel(struct swap *swap, uint32_t buffer);
/**
 * swap_give_up() - a page that was asked for did not come in time
 *
 * Nothing is asked of the disk any more until it is through with what it is doing.
 */
void swap_give_up(struct swap *swap);
/** swap_is_stuck() - that is how it is: what was asked for is not worth waiting for */
bool swap_is_stuck(struct swap *swap);
/** swap_forget() - pages of a domain, whatever their adapters */
void swap_forget(struct swap *swap, const struct engine_domain *domain);

#endif /* LLMOS_ENGINE_SWAP_H */
