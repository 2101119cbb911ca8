/* SPDX-License-Identifier: MIT */
/*
 * Open addressing with linear probing; at most three quarters of the slots are taken. A key of no
 * bytes points at a byte of its own, because NULL marks a free slot.
 */
#include "base/table.h"

#include <string.h>

static const char empty_key[1];

static bool slot_is(const struct table_slot *slot, const char *data, size_t len)
{
	return slot->len == len && !memcmp(slot->data, data, len);
}

static struct table_slot *slot_find(const struct table *table, const char *data, size_t len)
{
	size_t i = hash_bytes(&table->key, data, len) & table->mask;

	while (table->slots[i].data && !slot_is(&table->slots[i], data, len))
		i = (i + 1) & table->mask;
	return &table->slots[i];
}

static int table_alloc(struct table *table, size_t n_slots)
{
	struct table_slot *slots = calloc(n_slots, sizeof(*slots));

	if (!slots)
		return -ENOMEM;
	table->slots = slots;
	table->mask = n_slots - 1;
	return 0;
}

int table_init(struct table *table, size_t count)
{
	size_t n_slots = 16;

	if (count >= UINT32_MAX)
		return -E2BIG;
	while (n_slots - n_slots / 4 < count)
		n_slots *= 2;
	*table = (struct table){ 0 };
	hash_key_init(&table->key);
	return table_alloc(table, n_slots);
}

void table_free(struct table *table)
{
	free(table->slots);
	*table = (struct table){ 0 };
}

static int table_grow(struct table *table)
{
	struct table old = *table;
	int r = table_alloc(table, (old.mask + 1) * 2);

	if (r < 0)
		return r;
	for (size_t i = 0; i <= old.mask; i++)
		if (old.slots[i].data)
			*slot_find(table, old.slots[i].data, old.slots[i].len) = old.slots[i];
	free(old.slots);
	return 0;
}

int table_add(struct table *table, const char *data, size_t len, uint32_t value)
{
	struct table_slot *slot;

	if (len > UINT32_MAX || table->count >= UINT32_MAX - 1)
		return -E2BIG;
	if (!len)
		data = empty_key;
	if (table->count + 1 > table->mask - table->mask / 4) {
		int r = table_grow(table);

		if (r < 0)
			return r;
	}
	slot = slot_find(table, data, len);
	if (slot->data)
		return -EEXIST;
	*slot = (struct table_slot){ .data = data, .len = (uint32_t)len, .value = value };
	table->count++;
	return 0;
}

uint32_t table_find(const struct table *table, const char *data, size_t len)
{
	const struct table_slot *slot;

	if (!table->slots)
		return TABLE_NONE;
	slot = slot_find(table, len ? data : empty_key, len);
	return slot->data ? slot->value : TABLE_NONE;
}
