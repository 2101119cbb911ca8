/* SPDX-License-Identifier: MIT */
/*
 * Attention to a part of the keys, what is the same for all instruction sets: the rows (heads of
 * queries) that are computed side by side, and which keys of a page each of them attends to.
 */
#ifndef LLMOS_KERNELS_CPU_ATTN_H
#define LLMOS_KERNELS_CPU_ATTN_H

#include "kernels/cpu/simd_avx2.h"
#include "kernels/half.h"

#define ATTN_ROWS	4	/* side by side */

/** enum attn_form - what numbers of a page are where they are used */
enum attn_form {
	ATTN_F16,
	ATTN_F32,
	ATTN_WIDE,	/* float32 that was made of them just before */
};

/**
 * struct attn_rows - up to four rows, and what they have of one page
 * @q: (head_dim) queries
 * @weights: scores, and what becomes of them, from the first key of the page
 * @out: (head_dim) outputs
 * @span: keys of the page that each one attends to
 * @any: from the first to the last key that one of them attends to
 * @common: keys that all attend to
 * @head: where the row's keys before those end
 * @tail: where its keys behind those begin
 * @has_edges: some row has keys that not all have
 * @ahead: the plane that is read after this one
 */
struct attn_rows {
	const float *q[ATTN_ROWS];
	float *weights[ATTN_ROWS];
	float *out[ATTN_ROWS];
	struct kern_span span[ATTN_ROWS];
	struct kern_span any;
	struct kern_span common;
	uint32_t head[ATTN_ROWS];
	uint32_t tail[ATTN_ROWS];
	bool has_edges;
	const uint8_t *ahead;
};

/** kern_kv_scale() - of a block */
KERN_INLINE float kern_kv_scale(const uint8_t *p)
{
	return _cvtsh_ss(kern_load_u16(p));
}

/* a span within the page of @tokens keys that begins with key @first */
KERN_INLINE struct kern_span attn_span_of_page(struct kern_span s, uint32_t first, uint32_t tokens)
{
	const uint32_t end = first + tokens;

	s.begin = s.begin > first ? s.begin : first;
	s.end = s.end < end ? s.end : end;
	if (s.begin > s.end)
		s.begin = s.end = first;
	return (struct kern_span){ s.begin - first, s.end - first };
}

/* attn_meet() - the keys that all rows attend to, and what each one has besides */
KERN_INLINE void attn_meet(struct attn_rows *r, uint32_t rows)
{
	struct kern_span all = r->span[0], any = { UINT32_MAX, 0 };

	for (uint32_t h = 0; h < rows; h++) {
		if (r->span[h].begin < r->span[h].end) {
			any.begin = r->span[h].begin < any.begin ? r->span[h].begin : any.begin;
			any.end = r->span[h].end > any.end ? r->span[h].end : any.end;
		}
		all.begin = r->span[h].begin > all.begin ? r->span[h].begin : all.begin;
		all.end = r->span[h].end < all.end ? r->span[h].end : all.end;
	}
	if (all.begin > all.end)
		all.end = all.begin;
	for (uint32_t h = 0; h < rows; h++) {
		const struct kern_span s = r->span[h];
		const bool meets = all.begin < all.end;

		r->head[h] = meets ? all.begin : s.end;
		r->tail[h] = meets ? all.end : s.end;
	}
	r->any = any;
	r->has_edges = any.begin != all.begin || any.end != all.end;
	r->common = all;
}

/** struct attn_part - a call in progress */
struct attn_part {
	const struct kern_attn *a;
	uint32_t part;
	float *out;
	float *scores;
	float *wide;
	uint32_t rows;
	struct kern_span all;		/* keys of the part that any row attends to */
};

KERN_INLINE struct kern_span attn_row_span(const struct attn_part *p, uint32_t row)
{
	return kern_span_of_part(p->a->spans[row / p->a->group], p->part);
}

/* attn_rows_at() - rows from @row on, and their keys of the page that begins with key @first */
KERN_INLINE void attn_rows_at(const struct attn_part *p, uint32_t row, uint32_t rows, uint32_t first,
			      const uint8_t *ahead, struct attn_rows *ret)
{
	const struct kern_attn *a = p->a;

	for (uint32_t h = 0; h < rows; h++, row++) {
		ret->q[h] = a->q + row / a->group * a->stride +
			    (size_t)(row % a->group) * a->kv.head_dim;
		ret->weights[h] = p->scores + (size_t)row * KERN_ATTN_KEYS + first;
		ret->out[h] = p->out + (size_t)row * a->kv.head_dim;
		ret->span[h] = attn_span_of_page(attn_row_span(p, row), first, a->kv.page_tokens);
	}
	attn_meet(ret, rows);
	ret->ahead = ahead;
}

KERN_INLINE struct attn_part attn_part_begin(const struct kern_attn *a, uint32_t part, float *out)
{
	struct attn_part p = {
		.a = a, .part = part, .out = out, .scores = a->scratch,
		.rows = a->queries * a->group, .all = { UINT32_MAX, 0 },
	};

	p.wide = p.scores + (size_t)p.rows * KERN_ATTN_KEYS;
	for (uint32_t i = 0; i < a->queries; i++) {
		const struct kern_span s = kern_span_of_part(a->spans[i], part);

		if (s.begin == s.end)
			continue;
		p.all.begin = s.begin < p.all.begin ? s.begin : p.all.begin;
		p.all.end = s.end > p.all.end ? s.end : p.all.end;
	}
	return p;
}

/*
 * attn_ask() - for @bytes of a plane that is read later
 *
 * Planes are a few KiB, each in another page of the cache: too short for the processor to see where
 * they go on. So while one is read, the next one is asked for, into the second-level cache.
 */
KERN_INLINE void attn_ask(const uint8_t *plane, size_t at, size_t bytes)
{
	for (size_t i = 0; i < bytes; i += 64)
		_mm_prefetch((const char *)plane + at + i, _MM_HINT_T1);
}

/* attn_ask_elems() - the same for @count numbers, from number @at; those made of others are here */
KERN_INLINE void attn_ask_elems(const uint8_t *plane, size_t at, size_t count, enum attn_form form)
{
	const size_t size = form == ATTN_F16 ? 2 : 4;

	if (form != ATTN_WIDE)
		attn_ask(plane, at * size, count * size);
}

/* attn_add_bias() - to the scores of a row: its keys are far before it, around it, far behind it */
KERN_INLINE void attn_add_bias(const struct attn_part *p, uint32_t row, struct kern_span s)
{
	const uint32_t query = p->a->first + row / p->a->group, part = p->part * KERN_ATTN_KEYS;
	const float *bias = p->a->bias + (size_t)(row % p->a->group) * KERN_ATTN_BIAS;
	const float before = bias[0], behind = bias[KERN_ATTN_BIAS - 1];
	float *scores = p->scores + (size_t)row * KERN_ATTN_KEYS;
	uint32_t t = s.begin, at;

	for (; t < s.end && part + t + KERN_ATTN_NEAR < query; t++)
		scores[t] += before;
	at = kern_attn_distance(query, part + t);
	for (; t < s.end && part + t <= query + KERN_ATTN_NEAR; t++)
		scores[t] += bias[at++];
	for (; t < s.end; t++)
		scores[t] += behind;
}

/* attn_is_wide() - float32 of a page is made before it is used: for that many rows it pays */
KERN_INLINE bool attn_is_wide(const struct kern_attn *a)
{
	if (a->kv.type == KERN_F16)
		return a->queries * a->group > ATTN_ROWS;
	return a->kv.type != KERN_F32;
}

#endif /* LLMOS_KERNELS_CPU_ATTN_H */
