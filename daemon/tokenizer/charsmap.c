/* SPDX-License-Identifier: MIT */
/* Walking a map of SentencePiece; see charsmap.h. */
#include "tokenizer/charsmap.h"

#include <string.h>

#include "base/utf8.h"

/*
 * A unit of the array. Of a node: its label in the lowest byte (bit 31 is clear), whether a string
 * ends here, and how far its children are. Of a leaf: bit 31, and a place in the texts.
 */
static uint32_t unit_label(uint32_t unit)
{
	return unit & 0x800000ffU;
}

static bool unit_has_leaf(uint32_t unit)
{
	return unit & 1U << 8;
}

/* scaled by 256 where bit 9 says so */
static uint32_t unit_offset(uint32_t unit)
{
	return unit >> 10 << (unit & 1U << 9 ? 8 : 0);
}

static uint32_t unit_value(uint32_t unit)
{
	return unit & 0x7fffffffU;
}

void charsmap_done(struct charsmap *map)
{
	free(map->units);
	free(map->texts);
	*map = (struct charsmap){ 0 };
}

static int check_texts(const struct charsmap *map, struct error *error)
{
	size_t len;

	for (size_t i = 0; i < map->text_bytes; i += len + 1) {
		len = strlen(map->texts + i);
		if (len > CHARSMAP_TEXT_MAX)
			return error_set(error, -EBADMSG,
					 "tokenizer: its map of characters has texts of %zu bytes",
					 len);
		if (!utf8_valid(map->texts + i, len))
			return error_set(error, -EBADMSG,
					 "tokenizer: its map of characters is no UTF-8");
	}
	return 0;
}

int charsmap_load(struct charsmap *map, const void *data, size_t size_bytes, struct error *error)
{
	uint32_t array_bytes = 0;

	if (size_bytes >= sizeof(array_bytes))
		memcpy(&array_bytes, data, sizeof(array_bytes));
	if (size_bytes < sizeof(array_bytes) || !array_bytes || array_bytes % sizeof(uint32_t) ||
	    array_bytes > size_bytes - sizeof(array_bytes))
		return error_set(error, -EBADMSG,
				 "tokenizer: its map of characters has %zu bytes, an array of %u",
				 size_bytes, array_bytes);
	map->unit_count = array_bytes / sizeof(uint32_t);
	map->text_bytes = size_bytes - sizeof(array_bytes) - array_bytes + 1;
	map->units = malloc(array_bytes);
	map->texts = malloc(map->text_bytes);
	if (!map->units || !map->texts)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	memcpy(map->units, (const char *)data + sizeof(array_bytes), array_bytes);
	memcpy(map->texts, (const char *)data + sizeof(array_bytes) + array_bytes,
	       map->text_bytes - 1);
	map->texts[map->text_bytes - 1] = 0;
	return check_texts(map, error);
}

/* the text of the leaf below a node; false where the array is broken, or what it points at */
static bool leaf_text(const struct charsmap *map, uint32_t node, const char **ret_text,
		      size_t *ret_len)
{
	uint32_t at;

	if (node >= map->unit_count)
		return false;
	at = unit_value(map->units[node]);
	/* the middle of a character is the beginning of no text */
	if (at >= map->text_bytes || ((unsigned char)map->texts[at] & 0xc0) == 0x80)
		return false;
	*ret_text = map->texts + at;
	*ret_len = strlen(*ret_text);
	return true;
}

size_t charsmap_find(const struct charsmap *map, const char *text, size_t len, bool longest,
		     const char **ret_text, size_t *ret_len)
{
	uint32_t node = unit_offset(map->units[0]);
	size_t found = 0;

	for (size_t i = 0; i < len && text[i] && (longest || !found); i++) {
		const uint32_t byte = (unsigned char)text[i];
		uint32_t unit;

		node ^= byte;
		if (node >= map->unit_count)
			break;
		unit = map->units[node];
		if (unit_label(unit) != byte)
			break;
		node ^= unit_offset(unit);
		if (unit_has_leaf(unit) && leaf_text(map, node, ret_text, ret_len))
			found = i + 1;
	}
	return found;
}
