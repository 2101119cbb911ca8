// SPDX-License-Identifier: GPL-2.0-only
/*
 * Pasts: see past.h. All of it works on what nobody else can see yet, or can not change any more.
 */
#include <linux/errno.h>
#include <linux/math.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "past.h"

#define LLM_LEAFLET_BYTES	(PAGE_SIZE - sizeof(struct llm_leaflet))

/* It is charged to who made the session: his full cgroup fails the turn, and has no victims. */
#define LLM_PAST_GFP		(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

static void llm_leaflet_put(struct llm_leaflet *leaflet)
{
	if (refcount_dec_and_test(&leaflet->refs))
		kfree(leaflet);
}

/** llm_past_free() - nobody has it any more */
void llm_past_free(struct llm_past *past)
{
	for (u32 i = 0; i < past->count; i++)
		llm_leaflet_put(past->leaflets[i]);
	kvfree(past);
}

/** llm_pasts_free() - frees a list of them; without the lock */
void llm_pasts_free(struct list_head *pasts)
{
	struct llm_past *past, *next;

	list_for_each_entry_safe(past, next, pasts, node) {
		llm_past_free(past);
		cond_resched();
	}
	INIT_LIST_HEAD(pasts);
}

/* One that begins with the last bytes of @base, if its last leaflet is not full. */
static struct llm_leaflet *llm_leaflet_create(const struct llm_past *base, u32 used,
					      const void __user *from, u32 len)
{
	struct llm_leaflet *leaflet;

	leaflet = kmalloc(struct_size(leaflet, data, used + len), LLM_PAST_GFP);
	if (!leaflet)
		return ERR_PTR(-ENOMEM);
	refcount_set(&leaflet->refs, 1);
	if (used)
		memcpy(leaflet->data, base->leaflets[base->count - 1]->data, used);
	if (copy_from_user(leaflet->data + used, from, len)) {
		kfree(leaflet);
		return ERR_PTR(-EFAULT);
	}
	return leaflet;
}

/* Adds what comes after @base, of which @past has all full leaflets. Return: 0; ENOMEM, EFAULT. */
static int llm_past_fill(struct llm_past *past, const struct llm_past *base,
			 const void __user *from, u32 len)
{
	u32 used = llm_past_len(base) % LLM_LEAFLET_BYTES;

	while (len) {
		const u32 n = min_t(u32, len, LLM_LEAFLET_BYTES - used);
		struct llm_leaflet *leaflet = llm_leaflet_create(base, used, from, n);

		if (IS_ERR(leaflet))
			return PTR_ERR(leaflet);
		past->leaflets[past->count++] = leaflet;
		from += n;
		len -= n;
		used = 0;
	}
	return 0;
}

/**
 * llm_past_build() - makes a longer past
 * @base: what it begins with; NULL: nothing
 * @from: what comes after it
 * @len: bytes of that, not 0; with @base far below a quarter of the range
 * @tokens: of the whole
 * @ret_past: it, which nobody has yet
 *
 * Context: sleeps; charges the memory to the active memory cgroup.
 * Return: 0; ENOMEM, EFAULT.
 */
int llm_past_build(const struct llm_past *base, const void __user *from, u32 len, u32 tokens,
		   struct llm_past **ret_past)
{
	const u32 total = llm_past_len(base) + len, full = llm_past_len(base) / LLM_LEAFLET_BYTES;
	const u32 room = DIV_ROUND_UP(total, LLM_LEAFLET_BYTES);
	struct llm_past *past;
	int err;

	past = kvzalloc(struct_size(past, leaflets, room), LLM_PAST_GFP);
	if (!past)
		return -ENOMEM;
	past->len = total;
	past->tokens = tokens;
	for (past->count = 0; past->count < full;) {
		struct llm_leaflet *leaflet = base->leaflets[past->count];

		refcount_inc(&leaflet->refs);
		past->leaflets[past->count++] = leaflet;
	}
	err = llm_past_fill(past, base, from, len);
	if (err) {
		llm_past_free(past);
		return err;
	}
	*ret_past = past;
	return 0;
}

/**
 * llm_past_copy() - copies a part of a past to user memory
 * @past: may be NULL if @len is 0
 * @offset: of the first byte
 * @len: bytes; the past has them
 * @to: where to
 *
 * Context: sleeps.
 * Return: bytes copied; less than @len if user memory gave out.
 */
size_t llm_past_copy(const struct llm_past *past, size_t offset, size_t len, struct iov_iter *to)
{
	size_t done = 0;

	while (done < len) {
		const size_t at = (offset + done) % LLM_LEAFLET_BYTES;
		const size_t n = min_t(size_t, len - done, LLM_LEAFLET_BYTES - at);
		const struct llm_leaflet *leaflet =
			past->leaflets[(offset + done) / LLM_LEAFLET_BYTES];
		const size_t copied = copy_to_iter(leaflet->data + at, n, to);

		done += copied;
		if (copied != n)
			break;
	}
	return done;
}
