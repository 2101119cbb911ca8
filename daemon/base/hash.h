/* SPDX-License-Identifier: MIT */
/*
 * A keyed hash for tables whose keys come from hostile files: the key is drawn once per table from
 * the kernel's random numbers, so that nobody can prepare keys that all fall into one slot. It is
 * fast and good enough for that; it is not a cryptographic hash and its values are never stored.
 */
#ifndef LLMOS_BASE_HASH_H
#define LLMOS_BASE_HASH_H

#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct hash_key {
	uint64_t secret[2];
};

/** hash_key_init() - draw a key; falls back on the clock and addresses where there is no entropy */
void hash_key_init(struct hash_key *key);

/** hash_mix() - multiply two words to 128 bits and fold the halves together */
static inline uint64_t hash_mix(uint64_t a, uint64_t b)
{
	__extension__ typedef unsigned __int128 wide;
	wide product = (wide)a * b;

	return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t hash_u64(const struct hash_key *key, uint64_t value)
{
	uint64_t h = hash_mix(value ^ key->secret[0], key->secret[1]);

	return hash_mix(h ^ key->secret[1], 0x9e3779b97f4a7c15ULL);
}

static inline uint64_t hash_bytes(const struct hash_key *key, const void *data, size_t len)
{
	const unsigned char *p = data;
	uint64_t h = key->secret[1] ^ len, word;

	for (; len >= sizeof(word); len -= sizeof(word), p += sizeof(word)) {
		memcpy(&word, p, sizeof(word));
		h = hash_mix(h ^ word ^ key->secret[0], key->secret[1]);
	}
	word = 0;
	if (len)
		memcpy(&word, p, len);
	h = hash_mix(h ^ word ^ key->secret[0], key->secret[1]);
	return hash_mix(h ^ key->secret[1], 0x9e3779b97f4a7c15ULL);
}

#endif /* LLMOS_BASE_HASH_H */
