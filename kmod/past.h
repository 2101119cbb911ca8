/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A past: what a conversation consists of so far, as bytes that only a server understands. It never
 * changes once it is there; what comes after it is another past, which shares all its full pages
 * with this one. So a fork is one more reference, and who copies from a past needs no lock.
 *
 * The broker's lock protects the counts of references to pasts. Pages count for themselves, because
 * a past is built and freed without the lock.
 */
#ifndef LLM_PAST_H
#define LLM_PAST_H

#include <linux/list.h>
#include <linux/refcount.h>
#include <linux/types.h>
#include <linux/uio.h>

struct llm_session;

/**
 * struct llm_leaflet - a part of a past
 * @refs: pasts that have it
 * @data: LLM_LEAFLET_BYTES, or fewer in the last one of a past
 */
struct llm_leaflet {
	refcount_t refs;
	u8 data[];
};

/**
 * struct llm_past - a past
 * @refs: sessions and requests that have it, and who is about to make a longer one of it
 * @maker: constant; the session it was made in, which counts it; NULL before that
 * @node: in a struct llm_trash
 * @len: constant; bytes
 * @tokens: constant; that its server counted
 * @count: constant; of @leaflets
 * @leaflets: constant; with a reference to each
 */
struct llm_past {
	u32 refs;
	struct llm_session *maker;
	struct list_head node;
	u32 len;
	u32 tokens;
	u32 count;
	struct llm_leaflet *leaflets[];
};

int llm_past_build(const struct llm_past *base, const void __user *from, u32 len, u32 tokens,
		   struct llm_past **ret_past);
size_t llm_past_copy(const struct llm_past *past, size_t offset, size_t len, struct iov_iter *to);
void llm_past_free(struct llm_past *past);
void llm_pasts_free(struct list_head *pasts);

/** llm_past_len() - Return: its bytes; none if there is no past */
static inline u32 llm_past_len(const struct llm_past *past)
{
	return past ? past->len : 0;
}

#endif /* LLM_PAST_H */
