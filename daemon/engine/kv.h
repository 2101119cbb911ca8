/* SPDX-License-Identifier: MIT */
/*
 * The key-value cache of one model: an arena of pages, taken at load and never grown. A page holds
 * the keys and values of KV_PAGE_TOKENS tokens of one sequence, for all layers and heads:
 *
 *	(layers, kv_heads, {keys, values}) planes
 *
 * so that each head's keys lie together, as kernels/attn.h has them, and a page is one stretch of
 * memory. Keys are stored as the scores want them, normalised and rotated to their positions; where
 * blocks are rounded, keys and values are turned first (kern_kv_block_turned()). A page
 * may have several holders: sequences that share it, and the prefix store. It is written only while
 * it has one. Belongs to the thread that steps the model; inside a step its members write disjoint
 * parts.
 */
#ifndef LLMOS_ENGINE_KV_H
#define LLMOS_ENGINE_KV_H

#include "base/util.h"
#include "kernels/kernels.h"

#define KV_PAGE_TOKENS	32
#define KV_PAGE_NONE	UINT32_MAX	/* no page */

/**
 * struct kv - see above
 * @base: the arena; memory is taken when a page is first written
 * @page_bytes: of a page
 * @layer_bytes: of a layer within a page
 * @plane_bytes: of the keys, or the values, of one head within a layer, scales included
 * @page_count: pages of the arena
 * @free_pages: stack of the numbers of free pages
 * @free_count: height of that stack
 * @holders: of each page; 0: it is free
 * @form: of a plane, with KV_PAGE_TOKENS keys or values
 */
struct kv {
	char *base;
	size_t arena_bytes;
	size_t page_bytes;
	size_t layer_bytes;
	size_t plane_bytes;
	uint32_t page_count;
	uint32_t *free_pages;
	uint32_t free_count;
	uint32_t *holders;
	struct kern_kv form;
};

/** kv_form() - of planes for heads of @head_dim elements stored as @type */
static inline struct kern_kv kv_form(enum kern_type type, uint32_t head_dim)
{
	return (struct kern_kv){ type, head_dim, KV_PAGE_TOKENS };
}

/** kv_page_bytes() - what a page takes; 0 if that overflows, or @form is none of a cache */
size_t kv_page_bytes(uint32_t layers, uint32_t kv_heads, const struct kern_kv *form);

/** kv_open() - take an arena of @pages pages: 0, -ENOMEM, -EOVERFLOW */
int kv_open(struct kv *kv, uint32_t pages, uint32_t layers, uint32_t kv_heads,
	    const struct kern_kv *form);
void kv_close(struct kv *kv);

/** kv_take() - a free page, with one holder; there must be one */
uint32_t kv_take(struct kv *kv);
/** kv_share() - one more holder of a page that has some; Return: how many it has now */
uint32_t kv_share(struct kv *kv, uint32_t page);
/** kv_give() - one holder less; without any the page is free; Return: how many are left */
uint32_t kv_give(struct kv *kv, uint32_t page);
/** kv_copy() - what @from holds is in @to as well */
void kv_copy(struct kv *kv, uint32_t to, uint32_t from);

/** kv_page() - all of a page (page_bytes) */
static inline char *kv_page(const struct kv *kv, uint32_t page)
{
	return kv->base + page * kv->page_bytes;
}

/** kv_keys() - the plane of one head's keys in one page; that of the values follows */
static inline char *kv_keys(const struct kv *kv, uint32_t page, uint32_t layer, uint32_t head)
{
	return kv_page(kv, page) + layer * kv->layer_bytes + head * 2 * kv->plane_bytes;
}

static inline char *kv_values(const struct kv *kv, uint32_t page, uint32_t layer, uint32_t head)
{
	return kv_keys(kv, page, layer, head) + kv->plane_bytes;
}

#endif /* LLMOS_ENGINE_KV_H */
