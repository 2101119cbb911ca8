/* SPDX-License-Identifier: MIT */
/* Arrays that grow by doubling. */
#ifndef LLMOS_GRAMMAR_GROW_H
#define LLMOS_GRAMMAR_GROW_H

#include "base/util.h"

/**
 * grow_to() - see to it that an array has room
 * @capacity: in and out, of elements
 * @most: elements past which it has room for @count only, and none ahead of need
 *
 * Return: where the array is now; NULL: no memory, and it is as it was.
 */
static inline void *grow_to(void *array, size_t *capacity, size_t count, size_t most,
			    size_t element_bytes)
{
	size_t wanted = MAX(*capacity * 2, (size_t)16), bytes;
	void *grown;

	if (count <= *capacity)
		return array;
	wanted = MIN(wanted, most);
	wanted = MAX(wanted, count);
	if (!size_mul(&bytes, wanted, element_bytes))
		return NULL;
	grown = realloc(array, bytes);
	if (grown)
		*capacity = wanted;
	return grown;
}

/** grow() - the same for an array without such a bound */
static inline void *grow(void *array, size_t *capacity, size_t count, size_t element_bytes)
{
	return grow_to(array, capacity, count, SIZE_MAX, element_bytes);
}

#endif /* LLMOS_GRAMMAR_GROW_H */
