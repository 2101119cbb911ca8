/* SPDX-License-Identifier: MIT */
/* Where the keys of hash.h come from. */
#include "base/hash.h"

#include <stdint.h>
#include <sys/random.h>
#include <time.h>

void hash_key_init(struct hash_key *key)
{
	ssize_t r = getrandom(key->secret, sizeof(key->secret), GRND_NONBLOCK);

	if (r != sizeof(key->secret)) {
		struct timespec now = { 0 };

		clock_gettime(CLOCK_MONOTONIC, &now);
		key->secret[0] = hash_mix((uint64_t)now.tv_nsec + 1, 0xd6e8feb86659fd93ULL);
		key->secret[1] = hash_mix((uintptr_t)key, 0xa0761d6478bd642fULL);
	}
	/* odd: a multiplication by it loses no bits */
	key->secret[1] |= 1;
}
