/* SPDX-License-Identifier: MIT */
/*
 * The two 16-bit floats in plain integer arithmetic, for code that must not need any instruction
 * set: kernels/ref and the tests. Rounding is to nearest even; NaN stays NaN and becomes quiet.
 */
#ifndef LLMOS_KERNELS_HALF_H
#define LLMOS_KERNELS_HALF_H

#include <stdint.h>
#include <string.h>

static inline float kern_float_of_bits(uint32_t bits)
{
	float f;

	memcpy(&f, &bits, sizeof(f));
	return f;
}

static inline uint32_t kern_bits_of_float(float f)
{
	uint32_t bits;

	memcpy(&bits, &f, sizeof(bits));
	return bits;
}

/** kern_half_to_float() - the value of an IEEE binary16 */
static inline float kern_half_to_float(uint16_t h)
{
	uint32_t sign = (uint32_t)(h & 0x8000) << 16;
	uint32_t exponent = h >> 10 & 0x1f;
	uint32_t mantissa = h & 0x3ff;

	if (exponent == 0x1f)
		return kern_float_of_bits(sign | 0x7f800000 | mantissa << 13 |
					  (mantissa ? 0x400000 : 0));
	if (!exponent) {
		float f = (float)mantissa * 0x1p-24f;

		return sign ? -f : f;
	}
	return kern_float_of_bits(sign | (exponent + 112) << 23 | mantissa << 13);
}

/** kern_half_of_float() - the nearest IEEE binary16 */
static inline uint16_t kern_half_of_float(float f)
{
	uint32_t bits = kern_bits_of_float(f);
	uint16_t sign = bits >> 16 & 0x8000;
	uint32_t magnitude = bits & 0x7fffffff;
	uint32_t shift, rest, half;

	if (magnitude > 0x7f800000)
		return sign | 0x7e00 | (magnitude >> 13 & 0x3ff);
	if (magnitude >= 0x477ff000)	/* 65520, halfway between the greatest half and infinity */
		return sign | 0x7c00;
	if (magnitude < 0x33000000)	/* 2^-25, half of the least half */
		return sign;
	if (magnitude >= 0x38800000)	/* 2^-14, normal */
		return sign | ((magnitude - 0x38000000 + 0xfff + (magnitude >> 13 & 1)) >> 13);
	shift = 126 - (magnitude >> 23);
	rest = (magnitude & 0x7fffff) | 0x800000;
	half = rest >> shift;
	rest &= (1u << shift) - 1;
	if (rest > 1u << (shift - 1) || (rest == 1u << (shift - 1) && (half & 1)))
		half++;
	return sign | half;
}

static inline float kern_bf16_to_float(uint16_t h)
{
	return kern_float_of_bits((uint32_t)h << 16);
}

static inline uint16_t kern_load_u16(const void *p)
{
	uint16_t v;

	memcpy(&v, p, sizeof(v));
	return v;
}

#endif /* LLMOS_KERNELS_HALF_H */
