// SPDX-License-Identifier: MIT
/*
 * Keys and values on their way into the cache: copied, rounded to nearest-even F16, or to blocks
 * with a scale. kernels/attn.h has the layout and the rules.
 */
#include "kernels/cpu/simd_avx2.h"
#include "kernels/half.h"
#include "kernels/kv_place.h"

#define HALF_MAX	0x7bff
#define HALF_NAN	0x7e00

static void put_f32(const struct kern_kv_place *place, const float *x, uint32_t n)
{
	if (place->elem_step == sizeof(*x)) {
		memcpy(place->elem, x, n * sizeof(*x));
		return;
	}
	for (uint32_t i = 0; i < n; i++)
		memcpy(place->elem + i * place->elem_step, &x[i], sizeof(*x));
}

/* eight at a time: a head has a multiple of them */
static void put_f16(const struct kern_kv_place *place, const float *x, uint32_t n)
{
	for (uint32_t i = 0; i < n; i += 8) {
		const __m128i v =
			_mm256_cvtps_ph(_mm256_loadu_ps(x + i), _MM_FROUND_TO_NEAREST_INT);
		uint16_t halves[8];

		if (place->elem_step == sizeof(*halves)) {
			_mm_storeu_si128((__m128i *)(void *)(place->elem + i * 2), v);
			continue;
		}
		_mm_storeu_si128((__m128i *)(void *)halves, v);
		for (uint32_t j = 0; j < 8; j++)
			memcpy(place->elem + (i + j) * place->elem_step, &halves[j],
			       sizeof(*halves));
	}
}

/* struct extent - least and greatest element, or 0 */
struct extent {
	float low;
	float high;
	bool is_finite;
};

KERN_INLINE float reduce8_max(__m256 v)
{
	__m128 m = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));

	m = _mm_max_ps(m, _mm_movehl_ps(m, m));
	return _mm_cvtss_f32(_mm_max_ss(m, _mm_movehdup_ps(m)));
}

static struct extent extent_of(const float *x, uint32_t count)
{
	__m256 high = _mm256_setzero_ps(), low = high, odd = high;

	for (uint32_t i = 0; i < count; i += 8) {
		const __m256 v = _mm256_loadu_ps(x + i);

		high = _mm256_max_ps(high, v);
		low = _mm256_max_ps(low, _mm256_sub_ps(_mm256_setzero_ps(), v));
		/* v - v is NaN where v is not finite, and 0 where it is */
		odd = _mm256_or_ps(odd, _mm256_sub_ps(v, v));
	}
	return (struct extent){
		.low = -reduce8_max(low),
		.high = reduce8_max(high),
		.is_finite = !_mm256_movemask_ps(_mm256_cmp_ps(odd, odd, _CMP_UNORD_Q)),
	};
}

/* the F16 that is at least @x >= 0; the greatest finite one for all above */
static uint16_t half_above(float x)
{
	const __m128i h = _mm_cvtps_ph(_mm_set_ss(x), _MM_FROUND_TO_POS_INF | _MM_FROUND_NO_EXC);
	const uint16_t half = (uint16_t)_mm_extract_epi16(h, 0);

	return half > HALF_MAX ? HALF_MAX : half;
}

static uint16_t scale_of(uint32_t type, const float *x, uint32_t count)
{
	const struct extent e = extent_of(x, count);
	const bool is_above = e.high >= -e.low;
	const float far = is_above ? e.high : -e.low;

	if (!e.is_finite)
		return HALF_NAN;
	if (type == KERN_Q8_0)
		return half_above(far / 127);
	return half_above(far / 8) | (is_above ? 0x8000 : 0);
}

/* whole numbers of a block whose scale is @scale, within [low, high] */
static void quantize(int8_t *y, const float *x, uint32_t count, uint16_t scale, float low,
		     float high)
{
	const float d = _cvtsh_ss(scale);
	const __m256 inverse = _mm256_set1_ps(1 / d);

	if (d == 0 || d != d) {
		memset(y, 0, count);
		return;
	}
	for (uint32_t i = 0; i < count; i += 8) {
		__m256 q = _mm256_mul_ps(_mm256_loadu_ps(x + i), inverse);
		__m256i whole;
		__m128i words;

		q = _mm256_max_ps(_mm256_min_ps(q, _mm256_set1_ps(high)), _mm256_set1_ps(low));
		whole = _mm256_cvtps_epi32(q);
		words = _mm_packs_epi32(_mm256_castsi256_si128(whole),
					_mm256_extracti128_si256(whole, 1));
		_mm_storel_epi64((__m128i *)(void *)(y + i), _mm_packs_epi16(words, words));
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
	if (kv->type == KERN_F32)
		put_f32(place, x, kv->head_dim);
	else if (kv->type == KERN_F16)
		put_f16(place, x, kv->head_dim);
	else
		put_blocks(kv, place, x);
}

void kern_store_key_avx2(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x)
{
	const struct kern_kv_place place = kern_kv_key_place(kv, plane, slot);

	put(kv, &place, x);
}

void kern_store_value_avx2(void *plane, const struct kern_kv *kv, uint32_t slot, const float *x)
{
	const struct kern_kv_place place = kern_kv_value_place(kv, plane, slot);

	put(kv, &place, x);
}
