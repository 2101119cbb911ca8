/* SPDX-License-Identifier: MIT */
/*
 * Byte-level BPE: the pre-tokenizer cuts a text into words, and in each word bytes merge into
 * tokens, in the order in which the merges were learned.
 */
#include "tokenizer/bpe.h"

#include <string.h>

#include "tokenizer/merge.h"
#include "tokenizer/nfc.h"
#include "tokenizer/pretok.h"

void bpe_free(struct bpe *bpe)
{
	if (!bpe)
		return;
	free(bpe->slots);
	table_free(&bpe->by_piece);
	free(bpe->extra);
	free(bpe);
}

/* user-defined tokens are cut out before, and are not spelled in bytes */
static int index_pieces(struct tokenizer *tok, struct bpe *bpe)
{
	int r = table_init(&bpe->by_piece, tok->n_vocab);

	for (uint32_t i = 0; r >= 0 && i < tok->n_vocab; i++) {
		size_t len;
		const char *piece = tok_text(&tok->pieces, i, &len);

		if (len && tok_is_text(tok, i) && tok->types[i] != TOK_TYPE_USER_DEFINED)
			r = table_add(&bpe->by_piece, piece, len, i);
		if (r == -EEXIST)
			r = 0;
	}
	return r;
}

int bpe_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	int r;

	tok->bpe = calloc(1, sizeof(*tok->bpe));
	if (!tok->bpe)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	if (tok->ignore_merges) {
		r = index_pieces(tok, tok->bpe);
		if (r < 0)
			return error_set(error, r, "tokenizer: %s", strerror(-r));
	}
	return bpe_merges_load(tok, tok->bpe, gguf, "tokenizer.ggml.merges", error);
}

static bool bpe_lookup(const struct tokenizer *tok, const char *word,
		       const struct merge_symbol *left, const struct merge_symbol *right,
		       uint32_t *ret_id, uint32_t *ret_order)
{
	const struct bpe_merge *merge = bpe_merge_find(tok->bpe, left->id, right->id);

	(void)word;
	if (!merge)
		return false;
	*ret_id = merge->id;
	*ret_order = merge->rank;
	return true;
}

/* a symbol that is no token falls back to its bytes; a byte without a token has no spelling */
static int push_symbol(struct tok_work *work, const char *word, const struct merge_symbol *symbol)
{
	int r = 0;

	if (tok_is_text(work->tok, symbol->id))
		return tok_push(work, symbol->id);
	for (uint32_t i = 0; r >= 0 && i < symbol->len; i++) {
		uint32_t id = work->tok->byte_ids[(unsigned char)word[symbol->at + i]];

		if (id != TOK_NONE)
			r = tok_push(work, id);
	}
	return r;
}

static int encode_word(struct tok_work *work, const char *word, size_t len)
{
	const struct bpe *bpe = work->tok->bpe;
	int r;

	if (work->tok->ignore_merges) {
		uint32_t id = table_find(&bpe->by_piece, word, len);

		if (id != TABLE_NONE)
			return tok_push(work, id);
	}
	r = merge_start(work, len);
	if (r < 0)
		return r;
	for (size_t i = 0; i < len; i++)
		merge_add(work, i, 1, bpe->symbol_ids[(unsigned char)word[i]]);
	merge_run(work, word, bpe_lookup);
	for (uint32_t i = 0; r >= 0 && i != MERGE_END; i = work->symbols[i].next)
		r = push_symbol(work, word, &work->symbols[i]);
	return r;
}

static int encode_words(struct tok_work *work, const char *text, size_t len)
{
	const uint32_t *ends;
	size_t count;
	int r = 0;

	if (!work->pretok)
		r = pretok_work_new(&work->pretok, work->tok->pretok);
	if (r >= 0)
		r = pretok_split(work->pretok, text, len, &ends, &count);
	for (size_t i = 0, at = 0; r >= 0 && i < count; at = ends[i++])
		r = encode_word(work, text + at, ends[i] - at);
	return r;
}

int bpe_encode(struct tok_work *work, const char *text, size_t len)
{
	_cleanup_free_ char *normal = NULL;
	int r;

	if (!work->tok->nfc || nfc_is_plain(text, len))
		return encode_words(work, text, len);
	r = nfc_normalise(text, len, &normal, &len);
	return r < 0 ? r : encode_words(work, normal, len);
}
