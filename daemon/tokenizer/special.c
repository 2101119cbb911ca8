/* SPDX-License-Identifier: MIT */
/*
 * Tokens that are spelled out in a text: user-defined ones always, control tokens where the caller
 * allows it. They are cut out before anything else happens to the text, the leftmost first, and of
 * several at one place the longest.
 *
 * The tokens are kept sorted; those that begin with what was read so far are a range that narrows
 * byte by byte. A set of first bytes keeps ordinary text away from that.
 */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/vocab.h"

static bool is_special(const struct tokenizer *tok, uint32_t id)
{
	size_t len;

	tok_text(&tok->texts, id, &len);
	return len && len <= TOK_SPECIAL_LEN_MAX &&
	       (tok->types[id] == TOK_TYPE_CONTROL || tok->types[id] == TOK_TYPE_UNKNOWN ||
		tok->types[id] == TOK_TYPE_USER_DEFINED);
}

/* of equal texts the token that was there first */
static int by_text(const void *a, const void *b, void *arg)
{
	const struct tokenizer *tok = arg;
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	size_t x_len, y_len;
	const char *x_text = tok_text(&tok->texts, x, &x_len);
	const char *y_text = tok_text(&tok->texts, y, &y_len);
	int r = memcmp(x_text, y_text, MIN(x_len, y_len));

	if (r)
		return r;
	if (x_len != y_len)
		return x_len < y_len ? -1 : 1;
	return (x > y) - (x < y);
}

int specials_build(struct tokenizer *tok, struct error *error)
{
	size_t count = 0;

	for (uint32_t i = 0; i < tok->n_vocab; i++)
		count += is_special(tok, i);
	tok->specials = calloc(count + 1, sizeof(*tok->specials));
	if (!tok->specials)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		unsigned char first;

		if (!is_special(tok, i))
			continue;
		first = (unsigned char)tok->texts.bytes[tok->texts.at[i]];
		tok->special_first[first / 64] |= 1ULL << first % 64;
		tok->specials[tok->special_count++] = i;
	}
	qsort_r(tok->specials, count, sizeof(*tok->specials), by_text, tok);
	return 0;
}

/* the first in [low, high) whose byte at @depth is at least @byte; texts end before all bytes */
static size_t lower_bound(const struct tokenizer *tok, size_t low, size_t high, size_t depth,
			  unsigned int byte)
{
	while (low < high) {
		size_t middle = low + (high - low) / 2, len;
		const char *text = tok_text(&tok->texts, tok->specials[middle], &len);

		if (len <= depth || (unsigned char)text[depth] < byte)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static bool is_wanted(const struct tokenizer *tok, uint32_t id, unsigned int flags)
{
	return tok->types[id] == TOK_TYPE_USER_DEFINED || flags & TOK_SPECIAL;
}

/* the longest token that @text begins with */
static uint32_t match(const struct tokenizer *tok, const char *text, size_t text_len,
		      unsigned int flags)
{
	size_t low = 0, high = tok->special_count;
	uint32_t found = TOK_NONE;

	for (size_t depth = 0; depth < text_len; depth++) {
		unsigned int byte = (unsigned char)text[depth];
		size_t len;

		low = lower_bound(tok, low, high, depth, byte);
		high = lower_bound(tok, low, high, depth, byte + 1);
		if (low == high)
			break;
		/* a text that ends here sorts before those that go on */
		tok_text(&tok->texts, tok->specials[low], &len);
		if (len == depth + 1 && is_wanted(tok, tok->specials[low], flags))
			found = tok->specials[low];
	}
	return found;
}

uint32_t specials_find(const struct tokenizer *tok, const char *text, size_t len, size_t pos,
		       unsigned int flags, size_t *ret_at)
{
	for (; tok->special_count && pos < len; pos++) {
		unsigned char c = (unsigned char)text[pos];
		uint32_t id;

		if (!(tok->special_first[c / 64] >> c % 64 & 1))
			continue;
		id = match(tok, text + pos, len - pos, flags);
		if (id != TOK_NONE) {
			*ret_at = pos;
			return id;
		}
	}
	return TOK_NONE;
}
