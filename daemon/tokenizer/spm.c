/* SPDX-License-Identifier: MIT */
/*
 * SentencePiece BPE: spaces become U+2581, characters merge into the tokens with the best scores,
 * and what is no token in the end is spelled in bytes. Control tokens and bytes can't be merged
 * from text, even where their names could.
 *
 * In most vocabularies U+2581 stands only at the beginning of a token, or all over it. Then nothing
 * merges across the beginning of a word, and each word (with the spaces before it) is merged by
 * itself: the same tokens, in a fraction of the memory.
 */
#include <string.h>

#include "base/utf8.h"
#include "tokenizer/merge.h"

static bool is_space(const char *text, size_t len)
{
	return len >= TOK_SPACE_LEN && !memcmp(text, TOK_SPACE, TOK_SPACE_LEN);
}

/* the next beginning of a word: a space behind something else */
static size_t word_end(const char *text, size_t len)
{
	size_t pos = 0;

	while (is_space(text + pos, len - pos))
		pos += TOK_SPACE_LEN;
	while (pos < len) {
		const char *p = memchr(text + pos, TOK_SPACE[0], len - pos);

		if (!p)
			return len;
		pos = (size_t)(p - text);
		if (is_space(p, len - pos))
			return pos;
		pos++;
	}
	return len;
}

int spm_build(struct tokenizer *tok, struct error *error)
{
	(void)error;
	tok->words_apart = true;
	for (uint32_t i = 0; i < tok->n_vocab && tok->words_apart; i++) {
		size_t len;
		const char *text = tok_text(&tok->texts, i, &len);

		if (tok_is_text(tok, i))
			tok->words_apart = word_end(text, len) == len;
	}
	return 0;
}

/* a float as a number that grows as the float falls */
static uint32_t order_of(float score)
{
	uint32_t bits;

	score += 0.0f;	/* no negative zero */
	memcpy(&bits, &score, sizeof(bits));
	return bits & 0x80000000U ? bits : ~bits & 0x7fffffffU;
}

static bool spm_lookup(const struct tokenizer *tok, const char *word,
		       const struct merge_symbol *left, const struct merge_symbol *right,
		       uint32_t *ret_id, uint32_t *ret_order)
{
	size_t len = (size_t)left->len + right->len;

	if (len > tok->text_len_max)
		return false;
	*ret_id = table_find(&tok->by_text, word + left->at, len);
	if (*ret_id == TABLE_NONE || !tok_is_text(tok, *ret_id))
		return false;
	*ret_order = order_of(tok->scores[*ret_id]);
	return true;
}

/* a character that is no token: its bytes, or where the vocabulary lacks one of them, unknown */
static int push_bytes(struct tok_work *work, const char *text, size_t len)
{
	const struct tokenizer *tok = work->tok;
	int r = 0;

	for (size_t i = 0; i < len; i++)
		if (tok->byte_ids[(unsigned char)text[i]] == TOK_NONE)
			return tok->unk == TOK_NONE ? 0 : tok_push(work, tok->unk);
	for (size_t i = 0; r >= 0 && i < len; i++)
		r = tok_push(work, tok->byte_ids[(unsigned char)text[i]]);
	return r;
}

static int encode_word(struct tok_work *work, const char *word, size_t len)
{
	const struct tokenizer *tok = work->tok;
	int r = merge_start(work, len);

	if (r < 0)
		return r;
	for (size_t at = 0, n; at < len; at += n) {
		uint32_t id;

		n = utf8_len(word[at]);
		id = table_find(&tok->by_text, word + at, n);
		merge_add(work, at, n, id != TABLE_NONE && tok_is_text(tok, id) ? id : TOK_NONE);
	}
	merge_run(work, word, spm_lookup);
	for (uint32_t i = 0; r >= 0 && i != MERGE_END; i = work->symbols[i].next) {
		const struct merge_symbol *symbol = &work->symbols[i];

		if (symbol->id != TOK_NONE)
			r = tok_push(work, symbol->id);
		else
			r = push_bytes(work, word + symbol->at, symbol->len);
	}
	return r;
}

/* the text with its spaces escaped, and one before it where the model wants that, in work->text */
static int escape(struct tok_work *work, const char *text, size_t len, size_t *ret_len)
{
	size_t n = len, pos = 0;
	int r;

	for (size_t i = 0; i < len; i++)
		if (text[i] == ' ' && !size_add(&n, n, TOK_SPACE_LEN - 1))
			return -E2BIG;
	if (!size_add(&n, n, TOK_SPACE_LEN))
		return -E2BIG;
	r = tok_grow(&work->text, &work->text_capacity, n, 1);
	if (r < 0)
		return r;
	if (work->tok->add_space_prefix) {
		memcpy(work->text, TOK_SPACE, TOK_SPACE_LEN);
		pos = TOK_SPACE_LEN;
	}
	for (size_t i = 0; i < len; i++) {
		if (text[i] != ' ') {
			work->text[pos++] = text[i];
			continue;
		}
		memcpy(work->text + pos, TOK_SPACE, TOK_SPACE_LEN);
		pos += TOK_SPACE_LEN;
	}
	*ret_len = pos;
	return 0;
}

int spm_encode(struct tok_work *work, const char *text, size_t len)
{
	size_t escaped, n;
	int r = escape(work, text, len, &escaped);

	if (r >= 0 && escaped >= UINT32_MAX)
		r = -E2BIG;
	for (size_t at = 0; r >= 0 && at < escaped; at += n) {
		n = escaped - at;
		if (work->tok->words_apart)
			n = word_end(work->text + at, n);
		r = encode_word(work, work->text + at, n);
	}
	return r;
}
