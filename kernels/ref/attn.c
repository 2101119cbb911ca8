// SPDX-License-Identifier: MIT
/*
 * Attention of one token, the truth: scores, softmax and sums in double, and no scratch but a
 * slice of the output: the scores are computed anew for each slice.
 *
 * A head none of whose keys has a score above -inf gets zeros.
 */
#include <math.h>

#include "kernels/half.h"
#include "kernels/ref/ref.h"

#define SLICE	64	/* elements of the output at a time */

static double load(const struct kern_attn *a, const void *const *pages, uint32_t token, uint32_t i)
{
	const void *page = pages[token / a->page_tokens];
	size_t index = (size_t)(token % a->page_tokens) * a->head_dim + i;

	if (a->kv_f16)
		return kern_half_to_float(((const uint16_t *)page)[index]);
	return ((const float *)page)[index];
}

static double score(const struct kern_attn *a, const float *q, uint32_t token)
{
	double sum = 0;

	for (uint32_t i = 0; i < a->head_dim; i++)
		sum += q[i] * load(a, a->k_pages, token, i);
	sum *= a->scale;
	return a->softcap == 0 ? sum : a->softcap * tanh(sum / a->softcap);
}

/* out[begin, begin + count) of one head */
static void attend(const struct kern_attn *a, const float *q, float *out, double max,
		   uint32_t begin, uint32_t count)
{
	double acc[SLICE] = {0};
	double sum = 0;

	for (uint32_t t = a->first; t < a->tokens; t++) {
		double p = exp(score(a, q, t) - max);

		sum += p;
		for (uint32_t i = 0; i < count; i++)
			acc[i] += p * load(a, a->v_pages, t, begin + i);
	}
	for (uint32_t i = 0; i < count; i++)
		out[begin + i] = sum == 0 ? 0 : (float)(acc[i] / sum);
}

void kern_attn_ref(const struct kern_attn *a)
{
	for (uint32_t g = 0; g < a->group; g++) {
		const float *q = a->q + (size_t)g * a->head_dim;
		double max = -INFINITY;

		for (uint32_t t = a->first; t < a->tokens; t++)
			max = fmax(max, score(a, q, t));
		if (max == -INFINITY)
			max = 0;
		for (uint32_t i = 0; i < a->head_dim; i += SLICE)
			attend(a, q, a->out + (size_t)g * a->head_dim, max, i,
			       a->head_dim - i < SLICE ? a->head_dim - i : SLICE);
	}
}
