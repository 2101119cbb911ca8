// SPDX-License-Identifier: MIT
/*
 * Attention to a part of the keys, the truth: scores, softmax and sums in double, and no scratch
 * but a slice of the output: the scores are computed anew for each slice.
 */
#include <math.h>

#include "kernels/half.h"
#include "kernels/ref/ref.h"

#define SLICE	64	/* elements of the output at a time */

/** struct row - one head of one query, which stands where key @at does, and what it attends to */
struct row {
	const struct kern_attn *a;
	const float *q;
	const float *bias;
	uint32_t at;
	uint32_t begin;
	uint32_t end;
};

/*
 * Element @at of a plane in which @scale is the number of its scale. Which half of a byte of Q4_0 it
 * is tells @odd.
 */
static double load(const struct kern_kv *kv, const uint8_t *plane, size_t at, bool odd, size_t scale)
{
	const uint8_t *scales = plane + kern_kv_elem_bytes(kv);
	double d;

	if (kv->type == KERN_F32)
		return ((const float *)(const void *)plane)[at];
	if (kv->type == KERN_F16)
		return kern_half_to_float(((const uint16_t *)(const void *)plane)[at]);
	d = kern_half_to_float(kern_load_u16(scales + scale * 2));
	if (kv->type == KERN_Q8_0)
		return d * (int8_t)plane[at];
	return d * ((plane[at] >> (odd ? 4 : 0) & 0xf) - 8);
}

static double load_key(const struct kern_attn *a, uint32_t token, uint32_t i)
{
	const uint32_t tokens = a->kv.page_tokens, slot = token % tokens;
	const uint32_t line = a->kv.type == KERN_Q4_0 ? i / 2 : i;

	return load(&a->kv, a->k_pages[token / tokens], (size_t)line * tokens + slot, i % 2,
		    (size_t)(i / KERN_KV_BLOCK) * tokens + slot);
}

static double load_value(const struct kern_attn *a, uint32_t token, uint32_t i)
{
	const uint32_t tokens = a->kv.page_tokens, slot = token % tokens;
	const size_t at = (size_t)slot * a->kv.head_dim + i;

	return load(&a->kv, a->v_pages[token / tokens], a->kv.type == KERN_Q4_0 ? at / 2 : at, i % 2,
		    (size_t)slot * kern_kv_blocks(&a->kv) + i / KERN_KV_BLOCK);
}

static double score(const struct row *row, uint32_t token)
{
	const struct kern_attn *a = row->a;
	double sum = 0;

	for (uint32_t i = 0; i < a->kv.head_dim; i++)
		sum += row->q[i] * load_key(a, token, i);
	sum *= a->scale;
	if (row->bias)
		sum += row->bias[kern_attn_distance(row->at, token)];
	return a->softcap == 0 ? sum : a->softcap * tanh(sum / a->softcap);
}

/* out[begin, begin + count) of one row; Return: the sum of the weights */
static double attend(const struct row *row, float *out, double max, uint32_t begin, uint32_t count)
{
	double acc[SLICE] = {0};
	double sum = 0;

	for (uint32_t t = row->begin; t < row->end; t++) {
		double p = exp(score(row, t) - max);

		sum += p;
		for (uint32_t i = 0; i < count; i++)
			acc[i] += p * load_value(row->a, t, begin + i);
	}
	for (uint32_t i = 0; i < count; i++)
		out[begin + i] = (float)acc[i];
	return sum;
}

static struct kern_attn_sum attend_row(const struct row *row, float *out)
{
	const uint32_t head_dim = row->a->kv.head_dim;
	double max = -INFINITY, sum = 0;

	for (uint32_t t = row->begin; t < row->end; t++)
		max = fmax(max, score(row, t));
	for (uint32_t i = 0; i < head_dim; i += SLICE)
		sum = attend(row, out, max == -INFINITY ? 0 : (float)max, i,
			     head_dim - i < SLICE ? head_dim - i : SLICE);
	return (struct kern_attn_sum){(float)max, (float)sum};
}

void kern_attn_part_ref(const struct kern_attn *a, uint32_t part, float *out,
			struct kern_attn_sum *sums)
{
	const uint32_t first = part * KERN_ATTN_KEYS;

	for (uint32_t i = 0, r = 0; i < a->queries; i++) {
		const struct kern_span s = kern_span_of_part(a->spans[i], part);

		for (uint32_t g = 0; g < a->group; g++, r++) {
			const struct row row = {
				.a = a,
				.q = a->q + i * a->stride + (size_t)g * a->kv.head_dim,
				.bias = a->bias ? a->bias + (size_t)g * KERN_ATTN_BIAS : NULL,
				.at = a->first + i,
				.begin = first + s.begin,
				.end = first + s.end,
			};

			if (s.begin < s.end)
				sums[r] = attend_row(&row, out + (size_t)r * a->kv.head_dim);
		}
	}
}

void kern_attn_join_ref(float *out, struct kern_attn_sum *all, const float *part,
			const struct kern_attn_sum *sum, uint32_t head_dim)
{
	const double max = fmax(all->max, sum->max), top = max == -INFINITY ? 0 : max;
	const double old = exp(all->max - top), new = exp(sum->max - top);

	if (all->sum == 0) {
		memcpy(out, part, head_dim * sizeof(*out));
		*all = *sum;
		return;
	}
	for (uint32_t i = 0; i < head_dim; i++)
		out[i] = (float)(out[i] * old + part[i] * new);
	*all = (struct kern_attn_sum){(float)max, (float)(all->sum * old + sum->sum * new)};
}
