/* SPDX-License-Identifier: MIT */
/*
 * The prefix store of one model: full pages of the key-value cache that outlive their sequence, so
 * that a later one which begins with the same tokens need not compute them. They form a radix tree
 * for each cache domain, a page's worth of tokens an edge; a page is only ever found by walking
 * from the beginning within one domain, and compared token by token. Where adapters were used, they
 * are compared with the first page: what a domain keeps with different ones counts as one.
 *
 * Pages that no sequence uses are idle: each domain lists its own in order of last use, and because
 * a walk ends its use at the far end first, a page is always newer there than the pages behind it.
 * So the oldest idle page of a domain has nothing behind it, and can go.
 *
 * A domain may have a base: its texts begin in that, and behind a page of the base are pages of its
 * own. These go with it, and were used no later, in whichever list they are.
 *
 * Who has to give a page: when the store is full, the domain that keeps most, which is the one that
 * wants to keep more unless another has more than it. So whoever keeps no more than an equal share
 * loses nothing to what others keep. Sequences that need pages take them from whoever keeps most.
 *
 * Allocates nothing after it was opened. Belongs to the thread that steps the model.
 */
#ifndef LLMOS_ENGINE_PREFIX_H
#define LLMOS_ENGINE_PREFIX_H

#include "base/hash.h"
#include "base/list.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/swap.h"

struct prefix_domain;

/**
 * struct prefix_page - what the store knows of a page of the cache
 * @domain: where it is kept; NULL: it is not
 * @parent: the page before it; NULL: it is the first
 * @children: pages behind it
 * @sibling: among the parent's children
 * @chain: among those of one bucket
 * @idle: in the domain's list; in none while a sequence uses it
 * @payer: who is charged for it
 * @adapters: of a first page, what it was computed with; those behind it were, too
 * @text: the tokens up to its end, with @swap
 * @behind: in the store's list of those that are idle, and were not given to @swap yet
 * @is_ahead: it was given to @swap before it had to make way
 */
struct prefix_page {
	struct prefix_domain *domain;
	struct prefix_page *parent;
	struct list children;
	struct list sibling;
	struct list chain;
	struct list idle;
	struct list behind;
	struct engine_payer payer;
	struct engine_adapter_key adapters[ENGINE_ADAPTERS_MAX];
	struct swap_chain text;
	bool is_ahead;
};

/**
 * struct prefix - the store
 * @kv: whose pages; idle ones have the store as their one holder
 * @pages: (kv->page_count)
 * @tokens: (kv->page_count, KV_PAGE_TOKENS)
 * @domains: (limit) of them are used or in @spare
 * @active: domains that keep something
 * @spare: the others
 * @buckets: (mask + 1) pages by their domain, parent and tokens
 * @domain_buckets: (mask + 1) domains by who they are
 * @limit: pages it may keep
 * @count: pages it keeps
 * @idle_count: of these, idle
 * @swap: where pages go that make way; NULL: they are lost
 * @behind: idle ones that were not given to it, the one used longest ago first
 * @dropped: told of each page that it keeps no longer, with its payer; NULL: nobody is
 */
struct prefix {
	struct kv *kv;
	struct prefix_page *pages;
	uint32_t *tokens;
	struct prefix_domain *domains;
	struct list active;
	struct list spare;
	struct list *buckets;
	struct list *domain_buckets;
	size_t mask;
	struct hash_key key;
	uint32_t limit;
	uint32_t count;
	uint32_t idle_count;
	struct swap *swap;
	struct list behind;
	void (*dropped)(void *arg, const struct engine_payer *payer, size_t bytes);
	void *dropped_arg;
};

/** prefix_open() - keep at most @limit pages of @kv, which must outlive it: 0, -ENOMEM */
int prefix_open(struct prefix *prefix, struct kv *kv, uint32_t limit);
void prefix_close(struct prefix *prefix);
/** prefix_bytes() - memory it takes itself */
size_t prefix_bytes(const struct prefix *prefix);

/**
 * prefix_find() - the page of these tokens
 * @parent: the page before it, or KV_PAGE_NONE
 * @tokens: (KV_PAGE_TOKENS)
 *
 * Return: its number; KV_PAGE_NONE: it is not kept.
 */
uint32_t prefix_find(const struct prefix *prefix, const struct engine_domain *domain,
		     uint32_t parent, const uint32_t *tokens);
/** prefix_use() - a sequence uses a page that is kept, and all before it already */
void prefix_use(struct prefix *prefix, uint32_t page);
/** prefix_leave() - it does not any more, nor any that is behind it */
void prefix_leave(struct prefix *prefix, uint32_t page);
/**
 * prefix_keep() - keep a page of a sequence, which goes on using it
 * @parent: as for prefix_find(); used by that sequence as well
 *
 * The page is not there yet: prefix_find() was asked. May drop others.
 *
 * Return: it is kept; false: there is no room, or the parent is neither the domain's nor its base's.
 */
bool prefix_keep(struct prefix *prefix, const struct engine_domain *domain,
		 const struct engine_payer *payer, uint32_t parent, const uint32_t *tokens,
		 uint32_t page);
/** prefix_unkeep() - undo that, before anybody else uses the page; nobody is told */
void prefix_unkeep(struct prefix *prefix, uint32_t page);
/** prefix_evict() - free the idle page that is needed least; false: there is none */
bool prefix_evict(struct prefix *prefix);
/**
 * prefix_write_ahead() - give idle pages to the swap before they have to make way
 * @max: of them
 *
 * Those that go first, while few pages of the cache are free: less than half. Return: how many.
 */
unsigned int prefix_write_ahead(struct prefix *prefix, unsigned int max);
/** prefix_is_behind() - would that find any? */
bool prefix_is_behind(const struct prefix *prefix);
/**
 * prefix_drop() - free idle pages that @payer is charged for, and what is behind them
 * @bytes: so many at least
 *
 * Return: bytes that the payer was charged for and is not any more.
 */
size_t prefix_drop(struct prefix *prefix, const struct engine_payer *payer, size_t bytes);
/** prefix_forget() - free all idle pages of a domain, whatever their adapters */
void prefix_forget(struct prefix *prefix, const struct engine_domain *domain);
/** prefix_check() - is the whole structure as it should be? For tests: walks all of it */
bool prefix_check(const struct prefix *prefix);

static inline const struct engine_payer *prefix_payer(const struct prefix *prefix, uint32_t page)
{
	return &prefix->pages[page].payer;
}

#endif /* LLMOS_ENGINE_PREFIX_H */
