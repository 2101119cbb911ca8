/* SPDX-License-Identifier: MIT */
/*
 * What SentencePiece replaces in a text before it is cut: a list of strings and what stands in
 * their place, as its model files hold it. It begins with the size of a double array (Aoe, "An
 * Efficient Digital Search Algorithm by Using a Double-Array Structure", 1989) whose leaves are
 * places in the texts behind it, each of which ends with a NUL. The bytes are hostile; a struct
 * charsmap has a copy of them and is immutable.
 */
#ifndef LLMOS_TOKENIZER_CHARSMAP_H
#define LLMOS_TOKENIZER_CHARSMAP_H

#include "base/util.h"

#define CHARSMAP_TEXT_MAX	64	/* bytes in the place of a string; Unicode has 33 */

struct charsmap {
	uint32_t *units;		/* (unit_count) */
	size_t unit_count;
	char *texts;			/* (text_bytes), the last one a NUL */
	size_t text_bytes;
};

/**
 * charsmap_load() - copy and check one
 *
 * Return: 0; -EBADMSG its sizes contradict each other, or its texts are too long or no UTF-8;
 * -ENOMEM.
 */
int charsmap_load(struct charsmap *map, const void *data, size_t size_bytes, struct error *error);
void charsmap_done(struct charsmap *map);

/**
 * charsmap_find() - what stands in the place of a string that @text begins with
 * @longest: of several such strings the longest one, else the shortest
 * @ret_text: @ret_len bytes, UTF-8, which may be none at all
 *
 * Return: bytes of the string that is replaced, 0: there is none.
 */
size_t charsmap_find(const struct charsmap *map, const char *text, size_t len, bool longest,
		     const char **ret_text, size_t *ret_len);

#endif /* LLMOS_TOKENIZER_CHARSMAP_H */
