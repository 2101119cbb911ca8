/* SPDX-License-Identifier: MIT */
/* Arrays that grow by doubling. */
#ifndef LLMOS_GRAMMAR_GROW_H
#define LLMOS_GRAMMAR_GROW_H

#include "base/util.h"

/**
 * grow() - see to it that an array has room
 * @capacity: in and out, of elements
 *
 * Return: where the array is now; NULL: no memory, and it is as it was.
 */
static inline void *grow(void *array, size_t *capacity, size_t count, size_t element_bytes)
{
	size_t wanted = MAX(count, *capacity * 2), bytes;
	void *grown;

	if (count <= *capacity)
		return array;
	wanted = MAX(wanted, (size_t)16);
	if (!size_mul(&bytes, wanted, element_bytes))
		return NULL;
	grown = realloc(array, bytes);
	if (grown)
		*capacity = wanted;
	return grown;
}

#endif /* LLMOS_GRAMMAR_GROW_H */
