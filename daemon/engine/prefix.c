/* SPDX-License-Identifier: MIT */
/* Pages that outlive their sequences; see prefix.h. */
#include "engine/prefix.h"

#include <string.h>

/**
 * struct prefix_domain - who shares what is kept
 * @key: who
 * @link: in the store's list
 * @chain: among those of one bucket
 * @children: first pages
 * @idle: pages that no sequence uses, the one used longest ago first
 * @count: pages, idle or not
 */
struct prefix_domain {
	struct engine_domain key;
	struct list link;
	struct list chain;
	struct list children;
	struct list idle;
	uint32_t count;
};

/* ---- opening ---- */

static struct list *buckets_new(size_t count)
{
	struct list *buckets = calloc(count, sizeof(*buckets));

	for (size_t i = 0; buckets && i < count; i++)
		list_init(&buckets[i]);
	return buckets;
}

/* the links of a page or domain that is in no list */
static void page_init(struct prefix_page *page)
{
	list_init(&page->children);
	list_init(&page->sibling);
	list_init(&page->chain);
	list_init(&page->idle);
	list_init(&page->behind);
}

static void domain_init(struct prefix_domain *domain)
{
	list_init(&domain->link);
	list_init(&domain->chain);
	list_init(&domain->children);
	list_init(&domain->idle);
}

static int prefix_allocate(struct prefix *prefix)
{
	const size_t pages = prefix->kv->page_count, buckets = prefix->mask + 1;

	prefix->pages = calloc(pages, sizeof(*prefix->pages));
	prefix->tokens = calloc(pages, KV_PAGE_TOKENS * sizeof(*prefix->tokens));
	prefix->domains = calloc(prefix->limit, sizeof(*prefix->domains));
	prefix->buckets = buckets_new(buckets);
	prefix->domain_buckets = buckets_new(buckets);
	if (!prefix->pages || !prefix->tokens || !prefix->domains || !prefix->buckets ||
	    !prefix->domain_buckets)
		return -ENOMEM;
	return 0;
}

int prefix_open(struct prefix *prefix, struct kv *kv, uint32_t limit)
{
	*prefix = (struct prefix){ .kv = kv, .limit = MIN(limit, kv->page_count) };
	list_init(&prefix->active);
	list_init(&prefix->spare);
	list_init(&prefix->behind);
	if (!prefix->limit)
		return 0;
	while (prefix->mask + 1 < prefix->limit)
		prefix->mask = 2 * prefix->mask + 1;
	hash_key_init(&prefix->key);
	if (prefix_allocate(prefix) < 0) {
		prefix_close(prefix);
		return -ENOMEM;
	}
	for (uint32_t i = 0; i < kv->page_count; i++)
		page_init(&prefix->pages[i]);
	for (uint32_t i = 0; i < prefix->limit; i++) {
		domain_init(&prefix->domains[i]);
		list_append(&prefix->spare, &prefix->domains[i].link);
	}
	return 0;
}

void prefix_close(struct prefix *prefix)
{
	free(prefix->pages);
	free(prefix->tokens);
	free(prefix->domains);
	free(prefix->buckets);
	free(prefix->domain_buckets);
	*prefix = (struct prefix){ 0 };
}

size_t prefix_bytes(const struct prefix *prefix)
{
	if (!prefix->limit)
		return 0;
	return prefix->kv->page_count *
		       (sizeof(*prefix->pages) + KV_PAGE_TOKENS * sizeof(*prefix->tokens)) +
	       prefix->limit * sizeof(*prefix->domains) +
	       2 * (prefix->mask + 1) * sizeof(*prefix->buckets);
}

/* ---- domains ---- */

static bool domain_is(const struct prefix_domain *domain, const struct engine_domain *key)
{
	return domain->key.source == key->source && domain->key.group == key->group &&
	       domain->key.user == key->user;
}

static struct list *domain_bucket(const struct prefix *prefix, const struct engine_domain *key)
{
	uint64_t hash = hash_u64(&prefix->key, (uintptr_t)key->source);

	hash = hash_u64(&prefix->key, hash ^ key->group);
	return &prefix->domain_buckets[hash_u64(&prefix->key, hash ^ key->user) & prefix->mask];
}

static struct prefix_domain *domain_find(const struct prefix *prefix,
					 const struct engine_domain *key)
{
	struct prefix_domain *domain;
	struct list *bucket;

	if (!prefix->limit)
		return NULL;
	bucket = domain_bucket(prefix, key);
	list_each(domain, bucket, chain)
		if (domain_is(domain, key))
			return domain;
	return NULL;
}

/* each one keeps a page at least: where there is room for a page, there is one to spare */
static struct prefix_domain *domain_new(struct prefix *prefix, const struct engine_domain *key)
{
	struct prefix_domain *domain = list_first(&prefix->spare, struct prefix_domain, link);

	domain->key = *key;
	domain->key.base = (struct engine_domain_base){ 0 };
	domain->key.base_tokens = 0;
	list_move(&prefix->active, &domain->link);
	list_append(domain_bucket(prefix, key), &domain->chain);
	return domain;
}

static void domain_release(struct prefix *prefix, struct prefix_domain *domain)
{
	list_remove(&domain->chain);
	list_move(&prefix->spare, &domain->link);
}

/* of those that have something idle; NULL: none has */
static struct prefix_domain *domain_largest(const struct prefix *prefix)
{
	struct prefix_domain *domain, *largest = NULL;

	list_each(domain, &prefix->active, link)
		if (!list_empty(&domain->idle) && (!largest || domain->count > largest->count))
			largest = domain;
	return largest;
}

/* ---- pages ---- */

static uint32_t page_number(const struct prefix *prefix, const struct prefix_page *page)
{
	return page - prefix->pages;
}

static uint32_t *page_tokens(const struct prefix *prefix, uint32_t number)
{
	return prefix->tokens + (size_t)number * KV_PAGE_TOKENS;
}

static struct prefix_page *page_at(const struct prefix *prefix, uint32_t number)
{
	return number == KV_PAGE_NONE ? NULL : &prefix->pages[number];
}

/* @key: with the adapters, which only first pages differ in */
static struct list *page_bucket(const struct prefix *prefix, const struct prefix_domain *domain,
				const struct engine_domain *key, uint32_t parent,
				const uint32_t *tokens)
{
	const uint64_t where = (uint64_t)(domain - prefix->domains) << 32 | parent;
	uint64_t hash = hash_bytes(&prefix->key, tokens, KV_PAGE_TOKENS * sizeof(*tokens));

	if (parent == KV_PAGE_NONE)
		hash ^= hash_bytes(&prefix->key, key->adapters, sizeof(key->adapters));
	return &prefix->buckets[hash_u64(&prefix->key, hash ^ where) & prefix->mask];
}

static void page_unlink(struct prefix *prefix, struct prefix_page *page)
{
	struct prefix_domain *domain = page->domain;

	list_remove(&page->sibling);
	list_remove(&page->chain);
	list_remove(&page->idle);
	list_remove(&page->behind);
	page->domain = NULL;
	page->parent = NULL;
	prefix->count--;
	if (!--domain->count)
		domain_release(prefix, domain);
}

/* its bytes may be wanted again */
static void page_swap(struct prefix *prefix, const struct prefix_page *page)
{
	const uint32_t number = page_number(prefix, page);
	struct engine_domain key = page->domain->key;

	memcpy(key.adapters, page->adapters, sizeof(key.adapters));
	swap_put(prefix->swap, &key, &page->text, page_tokens(prefix, number),
		 kv_page(prefix->kv, number));
}

/* an idle one with nothing behind it; frees it */
static void page_drop(struct prefix *prefix, struct prefix_page *page)
{
	const struct engine_payer payer = page->payer;

	page_unlink(prefix, page);
	prefix->idle_count--;
	kv_give(prefix->kv, page_number(prefix, page));
	if (prefix->dropped)
		prefix->dropped(prefix->dropped_arg, &payer, prefix->kv->page_bytes);
}

/* bytes of these that @payer was charged for; @ret_others: some of them were another domain's */
static size_t page_drop_with_children(struct prefix *prefix, struct prefix_page *top,
				      const struct engine_payer *payer, bool *ret_others)
{
	const struct prefix_domain *domain = top->domain;
	struct prefix_page *page = top, *parent;
	size_t bytes = 0;

	for (;;) {
		while (!list_empty(&page->children))
			page = list_first(&page->children, struct prefix_page, sibling);
		if (page->payer.source == payer->source && page->payer.group == payer->group)
			bytes += prefix->kv->page_bytes;
		parent = page->parent;
		*ret_others |= page->domain != domain;
		if (prefix->swap)
			page_swap(prefix, page);
		page_drop(prefix, page);
		if (page == top)
			return bytes;
		page = parent;
	}
}

static bool page_has_adapters(const struct prefix_page *page, const struct engine_domain *key)
{
	return !memcmp(page->adapters, key->adapters, sizeof(page->adapters));
}

uint32_t prefix_find(const struct prefix *prefix, const struct engine_domain *domain,
		     uint32_t parent, const uint32_t *tokens)
{
	const struct prefix_domain *where = domain_find(prefix, domain);
	const struct prefix_page *page;
	struct list *bucket;

	if (!where)
		return KV_PAGE_NONE;
	bucket = page_bucket(prefix, where, domain, parent, tokens);
	list_each(page, bucket, chain) {
		const uint32_t number = page_number(prefix, page);

		if (page->domain == where && page->parent == page_at(prefix, parent) &&
		    (page->parent || page_has_adapters(page, domain)) &&
		    !memcmp(page_tokens(prefix, number), tokens,
			    KV_PAGE_TOKENS * sizeof(*tokens)))
			return number;
	}
	return KV_PAGE_NONE;
}

void prefix_use(struct prefix *prefix, uint32_t page)
{
	if (kv_share(prefix->kv, page) > 2)
		return;
	list_remove(&prefix->pages[page].idle);
	list_remove(&prefix->pages[page].behind);
	prefix->idle_count--;
}

void prefix_leave(struct prefix *prefix, uint32_t page)
{
	struct prefix_page *left = &prefix->pages[page];

	if (kv_give(prefix->kv, page) > 1)
		return;
	list_append(&left->domain->idle, &left->idle);
	if (!left->is_ahead)
		list_append(&prefix->behind, &left->behind);
	prefix->idle_count++;
}

/* ---- room ---- */

/* whose page goes when the store is full and @own wants to keep one more; NULL: nobody's */
static struct prefix_domain *domain_to_shrink(const struct prefix *prefix,
					      struct prefix_domain *own)
{
	struct prefix_domain *domain, *largest = domain_largest(prefix);
	uint32_t domains = own ? 0 : 1;

	list_each(domain, &prefix->active, link)
		domains++;
	/* nobody is pushed below an equal share, nor below what the other has then */
	if (largest && largest->count > (own ? own->count : 0) + 1 &&
	    largest->count > prefix->limit / domains)
		return largest;
	return own && !list_empty(&own->idle) ? own : NULL;
}

/* what other domains have behind its page was used no later than that */
static void domain_shrink(struct prefix *prefix, struct prefix_domain *domain)
{
	struct prefix_page *page = list_first(&domain->idle, struct prefix_page, idle);
	const struct engine_payer payer = page->payer;
	bool others = false;

	page_drop_with_children(prefix, page, &payer, &others);
}

/* may a page of @where, which is @domain's, be behind that one? */
static bool page_may_follow(const struct prefix_page *parent, const struct prefix_domain *where,
			    const struct engine_domain *domain)
{
	const struct engine_domain *front;

	if (!parent || parent->domain == where)
		return true;
	front = &parent->domain->key;
	return domain->base_tokens && front->source == domain->base.source &&
	       front->group == domain->base.group && front->user == domain->base.user;
}

bool prefix_keep(struct prefix *prefix, const struct engine_domain *domain,
		 const struct engine_payer *payer, uint32_t parent, const uint32_t *tokens,
		 uint32_t page)
{
	struct prefix_domain *where = domain_find(prefix, domain), *victim;
	struct prefix_page *kept;

	if (!prefix->limit || !page_may_follow(page_at(prefix, parent), where, domain))
		return false;
	if (prefix->count == prefix->limit) {
		victim = domain_to_shrink(prefix, where);
		if (!victim)
			return false;
		domain_shrink(prefix, victim);
		/* that may have been its last one */
		where = domain_find(prefix, domain);
	}
	if (!where)
		where = domain_new(prefix, domain);
	kept = &prefix->pages[page];
	kept->domain = where;
	kept->parent = page_at(prefix, parent);
	kept->is_ahead = false;
	kept->payer = *payer;
	memcpy(kept->adapters, domain->adapters, sizeof(kept->adapters));
	memcpy(page_tokens(prefix, page), tokens, KV_PAGE_TOKENS * sizeof(*tokens));
	if (prefix->swap)
		kept->text = swap_extend(prefix->swap, kept->parent ? kept->parent->text :
							(struct swap_chain){ 0 }, tokens);
	list_append(kept->parent ? &kept->parent->children : &where->children, &kept->sibling);
	list_append(page_bucket(prefix, where, domain, parent, tokens), &kept->chain);
	where->count++;
	prefix->count++;
	kv_share(prefix->kv, page);
	return true;
}

void prefix_unkeep(struct prefix *prefix, uint32_t page)
{
	page_unlink(prefix, &prefix->pages[page]);
	kv_give(prefix->kv, page);
}

bool prefix_evict(struct prefix *prefix)
{
	struct prefix_domain *victim = domain_largest(prefix);

	if (!victim)
		return false;
	domain_shrink(prefix, victim);
	return true;
}

bool prefix_is_behind(const struct prefix *prefix)
{
	return prefix->swap && !list_empty(&prefix->behind) &&
	       prefix->kv->free_count < prefix->kv->page_count / 2;
}

unsigned int prefix_write_ahead(struct prefix *prefix, unsigned int max)
{
	unsigned int count = 0;

	for (; count < max && prefix_is_behind(prefix); count++) {
		struct prefix_page *page = list_first(&prefix->behind, struct prefix_page, behind);

		page_swap(prefix, page);
		page->is_ahead = true;
		list_remove(&page->behind);
	}
	return count;
}

/* a domain's; what is behind a page is older, so the next one stays, or is another domain's */
static size_t domain_drop(struct prefix *prefix, struct prefix_domain *domain,
			  const struct engine_payer *payer, size_t bytes, bool *ret_others)
{
	struct prefix_page *page, *next;
	size_t dropped = 0;

	list_each_safe(page, next, &domain->idle, idle) {
		if (dropped >= bytes)
			break;
		if (page->payer.source == payer->source && page->payer.group == payer->group)
			dropped += page_drop_with_children(prefix, page, payer, ret_others);
	}
	return dropped;
}

size_t prefix_drop(struct prefix *prefix, const struct engine_payer *payer, size_t bytes)
{
	struct prefix_domain *domain, *next;
	size_t dropped = 0;
	bool again;

	do {
		again = false;
		list_each_safe(domain, next, &prefix->active, link) {
			if (dropped < bytes)
				dropped += domain_drop(prefix, domain, payer, bytes - dropped,
						       &again);
			/* the next one may be gone with what was behind these */
			if (again)
				break;
		}
	} while (again);
	return dropped;
}

void prefix_forget(struct prefix *prefix, const struct engine_domain *domain)
{
	struct prefix_domain *where;

	/* with its last page the domain is gone, so look each time */
	while ((where = domain_find(prefix, domain)) && !list_empty(&where->idle))
		page_drop(prefix, list_first(&where->idle, struct prefix_page, idle));
}

/* ---- checking ---- */

/* what is behind a page: its own, findable, and older where it is idle */
static bool check_page(const struct prefix *prefix, const struct prefix_domain *domain,
		       const struct prefix_page *page)
{
	const uint32_t number = page_number(prefix, page);
	const uint32_t parent = page->parent ? page_number(prefix, page->parent) : KV_PAGE_NONE;
	const bool is_idle = !list_empty(&page->idle);
	const bool is_behind = !list_empty(&page->behind);
	struct engine_domain key = domain->key;

	memcpy(key.adapters, page->adapters, sizeof(key.adapters));
	if (page->domain != domain || !prefix->kv->holders[number] ||
	    is_idle != (prefix->kv->holders[number] == 1) ||
	    is_behind != (is_idle && !page->is_ahead))
		return false;
	if (page->parent && !list_empty(&page->parent->idle) && !is_idle)
		return false;
	return prefix_find(prefix, &key, parent, page_tokens(prefix, number)) == number;
}

/* children before parents */
static bool check_order(const struct prefix_domain *domain)
{
	const struct prefix_page *page, *behind;

	list_each(page, &domain->idle, idle)
		for (behind = list_first(&page->idle, struct prefix_page, idle);
		     &behind->idle != &domain->idle;
		     behind = list_first(&behind->idle, struct prefix_page, idle))
			if (behind->parent == page)
				return false;
	return true;
}

bool prefix_check(const struct prefix *prefix)
{
	const struct prefix_domain *domain;
	uint32_t count = 0, idle = 0, pages = 0;

	if (!prefix->limit)
		return !prefix->count && !prefix->idle_count;
	list_each(domain, &prefix->active, link) {
		const struct prefix_page *page;

		if (!domain->count || !check_order(domain))
			return false;
		count += domain->count;
		list_each(page, &domain->idle, idle)
			idle++;
	}
	for (uint32_t i = 0; i < prefix->kv->page_count; i++) {
		const struct prefix_page *page = &prefix->pages[i];

		if (!page->domain)
			continue;
		pages++;
		if (!check_page(prefix, page->domain, page))
			return false;
	}
	return count == prefix->count && pages == count && idle == prefix->idle_count &&
	       count <= prefix->limit;
}
