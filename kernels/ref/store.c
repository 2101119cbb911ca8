// SPDX-License-Identifier: MIT
/*
 * Keys and values on their way into the cache: copied, rounded to nearest-even F16, or to blocks
 * with a scale. kernels/attn.h has the layout and the rules.
 */
#include <math.h>

#include "kernels/half.h"
#include "kernels/kv_place.h"
#include "kernels/ref/ref.h"

#define HALF_MAX	0x7bff
#define HALF_NAN	0x7e00

/* the F16 that is at least @x >= 0; the greatest finite one for all above */
static uint16_t half_above(float x)
{
	uint16_t h = kern_half_of_float(x);

	if (kern_half_to_float(h) < x)
		h++;
	return h > HALF_MAX ? HALF_MAX : h;
}

/*
 * The scale of a block. Q4_0 reaches further below zero than above: its scale has the sign that
 * puts the element that is furthest from zero there.
 */
static uint16_t scale_of(uint32_t type, const float *x, uint32_t count)
{
	float low = 0, high = 0, far;

	for (uint32_t i = 0; i < count; i++) {
		if (!isfinite(x[i]))
			return HALF_NAN;
		low = x[i] < low ? x[i] : low;
		high = x[i] > high ? x[i] : high;
	}
	far = high >= -low ? high : -low;
	if (type == KERN_Q8_0)
		return half_above(far / 127);
	return half_above(far / 8) | (high >= -low ? 0x8000 : 0);
}

/* whole numbers of a block whose scale is @scale, within [low, high] */
static void quantize(int8_t *y, const float *x, uint32_t count, uint16_t scale, float low,
		     float high)
{
	const float d = kern_half_to_float(scale), inverse = 1 / d;
	const bool is_zero = d == 0 || isnan(d);

	for (uint32_t i = 0; i < count; i++) {
		const float q = is_zero ? 0 : rintf(x[i] * inverse);

		y[i] = (int8_t)(q < low ? low : q > high ? high : q);
	}
}

static void put_blocks(const struct kern_kv *kv, const struct kern_kv_place *place, const float *x)
{
	const bool is_q8 = kv->type == KERN_Q8_0;

	for (uint32_t i = 0; i < kv->head_dim; i += KERN_KV_BLOCK) {
		const uint32_t left = kv->head_dim - i;
		const uint32_t count = left < KERN_KV_BLOCK ? left : KERN_KV_BLOCK;
		const uint16_t scale = scale_of(kv->type, x + i, count);
		int8_t y[KERN_KV_BLOCK];

		quantize(y, x + i, count, scale, is_q8 ? -127 : -8, is_q8 ? 127 : 7);
		kern_kv_put_block(kv, place, i / KERN_KV_BLOCK, y, count, scale);
	}
}

static void put(const struct kern_kv *kv, const struct kern_kv_place *place, const float *x)
{
	if (kv->type == KERN_Q8_0 || kv->type == KERN_Q4_0) {
		put_blocks(kv, place, x);
		return;
	}
	for (uint32_t i = 0; i < kv->head_dim; i++) {
		const uint16_t half = kern_half_of_float(x[i]);
		const bool is_f16 = kv->type == KERN_F16;

		memcpy(place->elem + i * place->elem_step, is_f16 ? (const void *)&half : &x[i],
		       is_f16 ? sizeof(half) : sizeof(x[i]));
	}
}

void kern_store_key_ref(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x)
{
	const struct kern_kv_place place = kern_kv_key_place(kv, plane, slot);

	put(kv, &place, x);
}

void kern_store_value_ref(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x)
{
	const struct kern_kv_place place = kern_kv_value_place(kv, plane, slot);

	put(kv, &place, x);
}
