/* SPDX-License-Identifier: MIT */
/*
 * WordPiece as BERT has it: control characters go, white space separates, accents are stripped,
 * letters become small, each punctuation mark and each Chinese character is a word of its own; then
 * each word is spelled with the longest tokens that fit, from left to right, or is unknown.
 *
 * In GGUF the beginning of a word is marked, with U+2581 in front of it, and continuations are bare
 * (BERT's own files mark continuations, with ##).
 */
#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/work.h"

#define WORD_CHARS_MAX	100	/* a longer word is unknown: BERT's own limit */
#define DECOMPOSED_MAX	18	/* code points of one character, at most */

int wordpiece_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	static const char lower[] = "tokenizer.ggml.normalizer.lowercase";
	static const char strip[] = "tokenizer.ggml.normalizer.strip_accents";
	int r;

	tok->lowercase = true;
	r = gguf_get_bool(gguf, lower, &tok->lowercase);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no boolean", lower);
	tok->strip_accents = tok->lowercase;
	r = gguf_get_bool(gguf, strip, &tok->strip_accents);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no boolean", strip);
	if (tok->unk == TOK_NONE)
		return error_set(error, -EBADMSG, "tokenizer: no token for unknown words");
	return 0;
}

static bool is_white(uint32_t c)
{
	return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == 0xa0 || c == 0x1680 ||
	       (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 || c == 0x202f ||
	       c == 0x205f || c == 0x3000;
}

/* the blocks that BERT takes for Chinese; 2b920 is what its tokenizer has, the block is 2b820 */
static bool is_chinese(uint32_t c)
{
	return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) ||
	       (c >= 0x20000 && c <= 0x2a6df) || (c >= 0x2a700 && c <= 0x2b73f) ||
	       (c >= 0x2b740 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) ||
	       (c >= 0xf900 && c <= 0xfaff) || (c >= 0x2f800 && c <= 0x2fa1f);
}

static bool is_punctuation(uint32_t c, utf8proc_category_t category)
{
	if (c < 0x80)
		return (c >= 0x21 && c <= 0x2f) || (c >= 0x3a && c <= 0x40) ||
		       (c >= 0x5b && c <= 0x60) || (c >= 0x7b && c <= 0x7e);
	return category >= UTF8PROC_CATEGORY_PC && category <= UTF8PROC_CATEGORY_PO;
}

static bool is_dropped(uint32_t c, utf8proc_category_t category)
{
	return !c || c == 0xfffd || category == UTF8PROC_CATEGORY_CC ||
	       category == UTF8PROC_CATEGORY_CF || category == UTF8PROC_CATEGORY_CO;
}

/* ---- spelling a word ---- */

static bool is_mark(const char *text, size_t len)
{
	return len >= TOK_SPACE_LEN && !memcmp(text, TOK_SPACE, TOK_SPACE_LEN);
}

/* the longest token at @at of the marked word; its end in @ret_end */
static uint32_t longest(const struct tokenizer *tok, const char *word, size_t len, size_t at,
			size_t *ret_end)
{
	size_t least = at ? at : TOK_SPACE_LEN;	/* more than the mark alone */

	/* a token that is marked can't go on with a word */
	if (at && is_mark(word + at, len - at))
		return TOK_NONE;
	for (size_t end = MIN(len, at + tok->text_len_max); end > least; end--) {
		uint32_t id;

		if (end < len && ((unsigned char)word[end] & 0xc0) == 0x80)
			continue;	/* inside of a character */
		id = table_find(&tok->by_text, word + at, end - at);
		if (id != TABLE_NONE && tok_is_text(tok, id)) {
			*ret_end = end;
			return id;
		}
	}
	return TOK_NONE;
}

/* @word begins with the mark */
static int push_word(struct tok_work *work, const char *word, size_t len, size_t n_chars)
{
	size_t count = work->ids->count, at = 0, end = 0;

	for (; n_chars <= WORD_CHARS_MAX && at < len; at = end) {
		uint32_t id = longest(work->tok, word, len, at, &end);
		int r;

		if (id == TOK_NONE)
			break;
		r = tok_push(work, id);
		if (r < 0)
			return r;
	}
	if (at == len)
		return 0;
	work->ids->count = count;
	return tok_push(work, work->tok->unk);
}

/* ---- cutting a text into words ---- */

struct word {
	char text[TOK_SPACE_LEN + (WORD_CHARS_MAX + 1) * UTF8_MAX];
	size_t len, n_chars;		/* without what is over the limit */
};

static void word_start(struct word *word)
{
	memcpy(word->text, TOK_SPACE, TOK_SPACE_LEN);
	word->len = TOK_SPACE_LEN;
	word->n_chars = 0;
}

static void word_add(struct word *word, uint32_t c)
{
	if (word->n_chars > WORD_CHARS_MAX)
		return;
	word->n_chars++;
	word->len += utf8_encode(c, word->text + word->len);
}

static int word_end(struct tok_work *work, struct word *word)
{
	int r = 0;

	if (word->n_chars)
		r = push_word(work, word->text, word->len, word->n_chars);
	word_start(word);
	return r;
}

/* one code point, normalised */
static int add_code(struct tok_work *work, struct word *word, uint32_t c)
{
	const struct tokenizer *tok = work->tok;
	utf8proc_category_t category = utf8proc_category((utf8proc_int32_t)c);
	int r;

	if (tok->strip_accents && category == UTF8PROC_CATEGORY_MN)
		return 0;
	if (tok->lowercase)
		c = (uint32_t)utf8proc_tolower((utf8proc_int32_t)c);
	if (!is_punctuation(c, category) && !is_chinese(c)) {
		word_add(word, c);
		return 0;
	}
	r = word_end(work, word);
	if (r < 0)
		return r;
	word_add(word, c);
	return word_end(work, word);
}

static int add_char(struct tok_work *work, struct word *word, uint32_t c)
{
	utf8proc_int32_t codes[DECOMPOSED_MAX];
	utf8proc_ssize_t n;
	int boundary = 0, r = 0;

	if (is_white(c))
		return word_end(work, word);
	if (is_dropped(c, utf8proc_category((utf8proc_int32_t)c)))
		return 0;
	if (!work->tok->strip_accents || c < 0x80)
		return add_code(work, word, c);
	n = utf8proc_decompose_char((utf8proc_int32_t)c, codes, DECOMPOSED_MAX, UTF8PROC_DECOMPOSE,
				    &boundary);
	if (n < 0 || n > DECOMPOSED_MAX)
		return add_code(work, word, c);
	for (utf8proc_ssize_t i = 0; r >= 0 && i < n; i++)
		r = add_code(work, word, (uint32_t)codes[i]);
	return r;
}

int wordpiece_encode(struct tok_work *work, const char *text, size_t len)
{
	struct word word;
	int r = 0;

	word_start(&word);
	for (size_t i = 0; r >= 0 && i < len; i += utf8_len(text[i]))
		r = add_char(work, &word, utf8_decode(text + i));
	return r < 0 ? r : word_end(work, &word);
}
