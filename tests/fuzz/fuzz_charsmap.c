/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes maps of characters: the first byte says how many of the last ones are a text. What is
 * found in a map that was accepted lies in it, is UTF-8, and stands for no more than there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/charsmap.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void find(const struct charsmap *map, const char *text, size_t len, bool longest)
{
	const char *found = NULL;
	size_t found_len = 0;
	const size_t n = charsmap_find(map, text, len, longest, &found, &found_len);

	require(n <= len);
	if (!n)
		return;
	require(found >= map->texts && found_len <= CHARSMAP_TEXT_MAX &&
		found_len < map->text_bytes - (size_t)(found - map->texts));
	require(utf8_valid(found, found_len));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const size_t len = size ? MIN((size_t)data[0], size - 1) : 0;
	struct charsmap map = { 0 };
	int r;

	if (!size)
		return 0;
	r = charsmap_load(&map, data + 1, size - 1 - len, NULL);
	require(r == 0 || r == -EBADMSG);
	for (size_t at = 0; !r && at < len; at++) {
		find(&map, (const char *)data + size - len + at, len - at, true);
		find(&map, (const char *)data + size - len + at, len - at, false);
	}
	charsmap_done(&map);
	return 0;
}
