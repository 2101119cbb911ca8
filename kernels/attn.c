// SPDX-License-Identifier: MIT
/*
 * What is the same for all instruction sets: sizes of the cache, and the parts of a query's keys
 * one behind the other.
 */
#include "kernels/kernels.h"

size_t kern_kv_elem_bytes(const struct kern_kv *kv)
{
	const size_t elems = (size_t)kv->head_dim * kv->page_tokens;

	switch (kv->type) {
	case KERN_F32:
		return elems * 4;
	case KERN_F16:
		return elems * 2;
	case KERN_Q8_0:
		return elems;
	case KERN_Q4_0:
		return elems / 2;
	}
	return 0;
}

size_t kern_kv_plane_bytes(const struct kern_kv *kv)
{
	const size_t bytes = kern_kv_elem_bytes(kv);

	if (kv->type == KERN_F32 || kv->type == KERN_F16 || !bytes)
		return bytes;
	return bytes + (size_t)kern_kv_blocks(kv) * kv->page_tokens * 2;
}

uint32_t kern_kv_block_turned(const struct kern_kv *kv)
{
	if (kv->type != KERN_Q8_0 && kv->type != KERN_Q4_0)
		return 0;
	/* the greatest power of two that divides it */
	return kv->head_dim & -kv->head_dim;
}

static size_t aligned(size_t bytes)
{
	return (bytes + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

/* outputs and sums of a part, sums so far, and what ops->attn_part() wants */
size_t kern_attn_scratch_bytes(const struct kern_kv *kv, uint32_t rows)
{
	return aligned((size_t)rows * kv->head_dim * sizeof(float)) +
	       2 * aligned(rows * sizeof(struct kern_attn_sum)) + kern_attn_part_bytes(kv, rows);
}

void kern_attn_end(float *out, const struct kern_attn_sum *all, uint32_t head_dim)
{
	const float factor = all->sum == 0 ? 0 : 1 / all->sum;

	for (uint32_t i = 0; i < head_dim; i++)
		out[i] = all->sum == 0 ? 0 : out[i] * factor;
}

/* join_part() - of all rows that attend to something there */
static void join_part(const struct kern_ops *ops, const struct kern_attn *a, uint32_t part,
		      const float *out, struct kern_attn_sum *all, const struct kern_attn_sum *sums)
{
	const uint32_t head_dim = a->kv.head_dim;

	for (uint32_t i = 0, row = 0; i < a->queries; i++) {
		const struct kern_span s = kern_span_of_part(a->spans[i], part);

		for (uint32_t g = 0; g < a->group; g++, row++)
			if (s.begin < s.end)
				ops->attn_join(a->out + i * a->stride + g * head_dim, &all[row],
					       out + (size_t)row * head_dim, &sums[row], head_dim);
	}
}

void kern_attn(const struct kern_ops *ops, const struct kern_attn *a)
{
	const uint32_t rows = a->queries * a->group, head_dim = a->kv.head_dim;
	struct kern_attn_sum *sums, *all;
	struct kern_attn part = *a;
	uint32_t begin = UINT32_MAX, end = 0;
	float *out = a->scratch;

	sums = (void *)((char *)out + aligned((size_t)rows * head_dim * sizeof(float)));
	all = (void *)((char *)sums + aligned(rows * sizeof(*sums)));
	part.scratch = (char *)all + aligned(rows * sizeof(*all));
	for (uint32_t i = 0; i < a->queries; i++) {
		const struct kern_span s = a->spans[i];

		for (uint32_t g = 0; g < a->group; g++)
			all[i * a->group + g] = kern_attn_none();
		if (s.begin >= s.end)
			continue;
		begin = s.begin < begin ? s.begin : begin;
		end = s.end > end ? s.end : end;
	}
	for (uint32_t p = begin / KERN_ATTN_KEYS; p * (uint64_t)KERN_ATTN_KEYS < end; p++) {
		const uint64_t first = (p + 1) * (uint64_t)KERN_ATTN_KEYS;

		part.next = first < end ? a->k_pages[first / a->kv.page_tokens] : a->next;
		ops->attn_part(&part, p, out, sums);
		join_part(ops, a, p, out, all, sums);
	}
	for (uint32_t row = 0; row < rows; row++)
		kern_attn_end(a->out + row / a->group * a->stride + row % a->group * head_dim,
			      &all[row], head_dim);
}
