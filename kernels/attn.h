/* SPDX-License-Identifier: MIT */
/*
 * Attention over a key-value cache that lies in pages: how a page holds the keys and values of one
 * head, and in which parts a sum over them is made.
 *
 * A page's keys lie element by element, so that a vector holds an element of many keys; its values
 * lie key by key:
 *
 *	keys	(head_dim, page_tokens) elements
 *	values	(page_tokens, head_dim) elements
 *
 * F32 and F16 are what they say. Q8_0 and Q4_0 are blocks of up to 32 elements of one key or value,
 * the last one of a head with what is left; a scale for each lies behind all elements, as F16:
 *
 *	keys	(blocks, page_tokens) scales
 *	values	(page_tokens, blocks) scales
 *
 * An element of Q8_0 is a signed byte, -127 to 127. Of Q4_0 there are two in a byte, 2i in the lower
 * half and 2i + 1 in the upper, 8 more than what they are, -8 to 7; keys have (head_dim / 2,
 * page_tokens) of such bytes. A scale is rounded away from zero, so that no element is out of range:
 * Q8_0 is half a scale off at most; Q4_0 too, but for elements that are further than 7.5 scales on
 * the side that reaches to 7 only: a whole one. A block with an element that is not finite is NaN.
 *
 * A query's keys are cut into parts of KERN_ATTN_KEYS, counted from the first key of the sequence:
 * each part is computed as if it were alone, and they are joined from the first to the last. So
 * parts may be computed by different threads, and queries side by side, and the bits are the same.
 */
#ifndef LLMOS_KERNELS_ATTN_H
#define LLMOS_KERNELS_ATTN_H

#include <stddef.h>
#include <stdint.h>

struct kern_ops;

#define KERN_ATTN_KEYS	256	/* of a part; bits of results depend on it */
#define KERN_ATTN_ROWS	64	/* queries times heads, of one struct kern_attn at most */
#define KERN_KV_BLOCK	32

#define KERN_ATTN_NEAR	128	/* keys further away than this have the bias of this distance */
#define KERN_ATTN_BIAS	(2 * KERN_ATTN_NEAR + 1)

/**
 * struct kern_kv - how keys and values are stored
 * @type: KERN_F32, KERN_F16, KERN_Q8_0 or KERN_Q4_0
 * @head_dim: elements, a multiple of 8
 * @page_tokens: keys of a page: 32, 64, 128 or 256
 */
struct kern_kv {
	uint32_t type;
	uint32_t head_dim;
	uint32_t page_tokens;
};

static inline uint32_t kern_kv_blocks(const struct kern_kv *kv)
{
	return (kv->head_dim + KERN_KV_BLOCK - 1) / KERN_KV_BLOCK;
}

/**
 * kern_kv_block_turned() - elements of a head that ops->hadamard() takes together; 0: none
 *
 * Where there are blocks, keys and values are turned before they are stored, so are queries, and what
 * attention gives is turned back: scores and outputs stay what they were, and an element that stands
 * out of its head, as models have some, does not coarsen all others of its block.
 */
uint32_t kern_kv_block_turned(const struct kern_kv *kv);

/** kern_kv_elem_bytes() - of all elements of the keys, or the values, of one head in a page */
size_t kern_kv_elem_bytes(const struct kern_kv *kv);
/** kern_kv_plane_bytes() - of these and their scales; 0: no type of a cache */
size_t kern_kv_plane_bytes(const struct kern_kv *kv);

/** struct kern_span - keys [begin, end) of a sequence */
struct kern_span {
	uint32_t begin;
	uint32_t end;
};

/** kern_span_of_part() - what a span has of a part, counted from the first key of the part */
static inline struct kern_span kern_span_of_part(struct kern_span span, uint32_t part)
{
	const uint32_t first = part * KERN_ATTN_KEYS;
	struct kern_span s;

	s.begin = span.begin > first ? span.begin - first : 0;
	s.end = span.end > first ? span.end - first : 0;
	if (s.end > KERN_ATTN_KEYS)
		s.end = KERN_ATTN_KEYS;
	if (s.begin > s.end)
		s.begin = s.end;
	return s;
}

/** struct kern_attn_sum - of exp(score - max), where max is the greatest score; -inf: no score is */
struct kern_attn_sum {
	float max;
	float sum;
};

/**
 * struct kern_attn - attention of some queries, for the heads that share one key-value head
 * @q: (queries, group, head_dim) float32, rotated; queries are @stride floats apart
 * @out: as @q: softmax(q k^T * scale) v
 * @stride: of @q and @out, floats
 * @k_pages: for each page of the sequence, keys of this head, rotated; those that are read are there
 * @v_pages: for each page of the sequence, values of this head
 * @spans: (queries) keys that each one attends to. Those of the same pages that none attends to
 *	are memory, as numbers of any value
 * @queries: of one sequence; queries * group is KERN_ATTN_ROWS at most
 * @group: query heads
 * @next: a plane that is read after these pages, by whoever does so; NULL: it isn't known
 * @kv: of the cache
 * @scale: of the scores, usually 1 / sqrt(head_dim)
 * @bias: (group, KERN_ATTN_BIAS) float32 that are added to scaled scores, by how far a key is from
 *	the query: first those KERN_ATTN_NEAR before it, and further; NULL: none
 * @first: with @bias: key that stands where the first query does; others follow one by one
 * @softcap: scores become softcap * tanh(score / softcap); 0: they stay as they are
 * @scratch: kern_attn_scratch_bytes() for as many rows, KERN_ALIGN aligned
 */
struct kern_attn {
	const float *q;
	float *out;
	size_t stride;
	const void *const *k_pages;
	const void *const *v_pages;
	const struct kern_span *spans;
	uint32_t queries;
	uint32_t group;
	const void *next;
	struct kern_kv kv;
	float scale;
	const float *bias;
	uint32_t first;
	float softcap;
	void *scratch;
};

/** kern_attn_distance() - place of @key's bias for the query that stands where @query does */
static inline uint32_t kern_attn_distance(uint32_t query, uint32_t key)
{
	if (key > query)
		return KERN_ATTN_NEAR + (key - query < KERN_ATTN_NEAR ? key - query :
								       KERN_ATTN_NEAR);
	return KERN_ATTN_NEAR - (query - key < KERN_ATTN_NEAR ? query - key : KERN_ATTN_NEAR);
}

/** kern_attn_part_bytes() - of scratch that ops->attn_part() needs for so many rows */
static inline size_t kern_attn_part_bytes(const struct kern_kv *kv, uint32_t rows)
{
	return ((size_t)rows * KERN_ATTN_KEYS + (size_t)kv->page_tokens * kv->head_dim) *
	       sizeof(float);
}

/** kern_attn_scratch_bytes() - of scratch that kern_attn() needs for so many rows */
size_t kern_attn_scratch_bytes(const struct kern_kv *kv, uint32_t rows);

/** kern_attn_none() - what sums are before the first part is joined */
static inline struct kern_attn_sum kern_attn_none(void)
{
	return (struct kern_attn_sum){ -__builtin_inff(), 0 };
}

/** kern_attn_end() - all parts of a row are joined: out, (head_dim), becomes what attention gives */
void kern_attn_end(float *out, const struct kern_attn_sum *all, uint32_t head_dim);

/**
 * kern_attn() - attention of all queries, written to @out
 *
 * A head none of whose keys has a score above -inf gets zeros.
 */
void kern_attn(const struct kern_ops *ops, const struct kern_attn *a);

#endif /* LLMOS_KERNELS_ATTN_H */
