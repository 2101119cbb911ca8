/* SPDX-License-Identifier: MIT */
/* The arena of the key-value cache: mapped without reserve, handed out in pages from a stack. */
#include "engine/kv.h"

#include <string.h>
#include <sys/mman.h>

#define SMALL_BYTES	((size_t)2 << 20)	/* from the beginning on, which is taken first */

size_t kv_page_bytes(uint32_t layers, uint32_t kv_heads, const struct kern_kv *form)
{
	size_t bytes = kern_kv_plane_bytes(form);

	if (!size_mul(&bytes, bytes, 2) || !size_mul(&bytes, bytes, kv_heads) ||
	    !size_mul(&bytes, bytes, layers))
		return 0;
	return bytes;
}

/*
 * Attention walks through megabytes of it; where there are no huge pages, small ones do. The first
 * few tokens of all take less than a huge page, which would be much beside a small model.
 */
static void advise_arena(void *base, size_t bytes)
{
	const size_t small = MIN(bytes, SMALL_BYTES);

	(void)madvise(base, small, MADV_NOHUGEPAGE);
	if (bytes > small)
		(void)madvise((char *)base + small, bytes - small, MADV_HUGEPAGE);
}

int kv_open(struct kv *kv, uint32_t pages, uint32_t layers, uint32_t kv_heads,
	    const struct kern_kv *form)
{
	struct kv new = { .page_count = pages, .form = *form };
	void *base;

	new.page_bytes = kv_page_bytes(layers, kv_heads, form);
	new.plane_bytes = kern_kv_plane_bytes(form);
	if (!pages || !new.page_bytes ||
	    !size_mul(&new.arena_bytes, new.page_bytes, pages) || new.arena_bytes > SIZE_MAX / 2)
		return -EOVERFLOW;
	new.layer_bytes = new.page_bytes / layers;
	new.free_pages = calloc(pages, sizeof(*new.free_pages));
	new.holders = calloc(pages, sizeof(*new.holders));
	if (!new.free_pages || !new.holders) {
		kv_close(&new);
		return -ENOMEM;
	}
	base = mmap(NULL, new.arena_bytes, PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (base == MAP_FAILED) {
		kv_close(&new);
		return -ENOMEM;
	}
	advise_arena(base, new.arena_bytes);
	new.base = base;
	for (uint32_t i = 0; i < pages; i++)
		new.free_pages[i] = pages - 1 - i;
	new.free_count = pages;
	*kv = new;
	return 0;
}

void kv_close(struct kv *kv)
{
	if (kv->base)
		munmap(kv->base, kv->arena_bytes);
	free(kv->free_pages);
	free(kv->holders);
	*kv = (struct kv){ 0 };
}

uint32_t kv_take(struct kv *kv)
{
	const uint32_t page = kv->free_pages[--kv->free_count];

	kv->holders[page] = 1;
	return page;
}

uint32_t kv_share(struct kv *kv, uint32_t page)
{
	return ++kv->holders[page];
}

uint32_t kv_give(struct kv *kv, uint32_t page)
{
	if (--kv->holders[page])
		return kv->holders[page];
	kv->free_pages[kv->free_count++] = page;
	return 0;
}

void kv_copy(struct kv *kv, uint32_t to, uint32_t from)
{
	memcpy(kv_page(kv, to), kv_page(kv, from), kv->page_bytes);
}
