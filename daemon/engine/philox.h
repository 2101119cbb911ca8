/* SPDX-License-Identifier: MIT */
/*
 * Random numbers as a function of a key and a counter, without state: Philox4x32-10 of Salmon et al.,
 * "Parallel Random Numbers: As Easy as 1, 2, 3" (2011).
 */
#ifndef LLMOS_ENGINE_PHILOX_H
#define LLMOS_ENGINE_PHILOX_H

#include <stdint.h>

struct philox {
	uint32_t word[4];
};

static inline struct philox philox_round(struct philox c, uint32_t key0, uint32_t key1)
{
	const uint64_t a = (uint64_t)0xd2511f53 * c.word[0];
	const uint64_t b = (uint64_t)0xcd9e8d57 * c.word[2];

	return (struct philox){ {
		(uint32_t)(b >> 32) ^ c.word[1] ^ key0, (uint32_t)b,
		(uint32_t)(a >> 32) ^ c.word[3] ^ key1, (uint32_t)a,
	} };
}

/** philox() - the random block of a counter under a key */
static inline struct philox philox(struct philox counter, uint32_t key0, uint32_t key1)
{
	for (int round = 0; round < 10; round++) {
		counter = philox_round(counter, key0, key1);
		key0 += 0x9e3779b9;
		key1 += 0xbb67ae85;
	}
	return counter;
}

/** philox_uniform() - the number in [0, 1) that belongs to a position in a seed's sequence */
static inline double philox_uniform(uint64_t seed, uint64_t position)
{
	const struct philox r = philox((struct philox){ { (uint32_t)position,
							  (uint32_t)(position >> 32) } },
				       (uint32_t)seed, (uint32_t)(seed >> 32));
	const uint64_t bits = (uint64_t)r.word[1] << 32 | r.word[0];

	return (double)(bits >> 11) * 0x1p-53;
}

#endif /* LLMOS_ENGINE_PHILOX_H */
