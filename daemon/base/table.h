/* SPDX-License-Identifier: MIT */
/*
 * A hash table from byte strings to 32-bit numbers. The bytes of the keys stay where they are and
 * must outlive the table; nothing is ever removed. Whoever fills it owns it; filled, it may be read
 * by any number of threads. Growth doubles, so that filling is linear in the number of keys.
 */
#ifndef LLMOS_BASE_TABLE_H
#define LLMOS_BASE_TABLE_H

#include "base/hash.h"
#include "base/util.h"

#define TABLE_NONE	UINT32_MAX

struct table_slot {
	const char *data;		/* NULL: free */
	uint32_t len;
	uint32_t value;
};

/** struct table - zero-initialise, then table_init() */
struct table {
	struct table_slot *slots;
	size_t mask;			/* number of slots - 1 */
	size_t count;
	struct hash_key key;
};

/** table_init() - with room for @count keys before it must grow; -ENOMEM, -E2BIG */
int table_init(struct table *table, size_t count);
void table_free(struct table *table);

/**
 * table_add() - add a key
 * @value: anything but TABLE_NONE
 *
 * Return: 0; -EEXIST it is there already (and stays as it is), -ENOMEM, -E2BIG.
 */
int table_add(struct table *table, const char *data, size_t len, uint32_t value);
/** table_find() - the value of a key, TABLE_NONE if it is not there */
uint32_t table_find(const struct table *table, const char *data, size_t len);

#endif /* LLMOS_BASE_TABLE_H */
