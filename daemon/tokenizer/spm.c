/* SPDX-License-Identifier: MIT */
/*
 * SentencePiece BPE: spaces become U+2581, characters merge into the tokens with the best scores,
 * or in the order of a list, where the model came with one, and what is no token in the end is
 * spelt in bytes. Control tokens and bytes can't be merged from text, even where their names could.
 */
#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/bpe.h"
#include "tokenizer/merge.h"
#include "tokenizer/words.h"

static int load_merges(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array merges;

	if (gguf_get_array(gguf, TOK_KEY_SPM_MERGES, &merges) == -ENOENT)
		return 0;
	tok->bpe = calloc(1, sizeof(*tok->bpe));
	if (!tok->bpe)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	return bpe_merges_load(tok, tok->bpe, gguf, TOK_KEY_SPM_MERGES, error);
}

/* how spaces are treated, of which GGUF's own keys know less */
static int load_spaces(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	static const char key[] = "llmos.tokenizer.space_prefix";
	static const char apart[] = TOK_KEY_SPACES_APART;
	struct gguf_string prefix = { .data = "always", .len = 6 };
	int r = gguf_get_string(gguf, key, &prefix);

	if (gguf_string_is(prefix, "unless-space"))
		tok->prefix = TOK_PREFIX_UNLESS_SPACE;
	else if (gguf_string_is(prefix, "first"))
		tok->prefix = TOK_PREFIX_FIRST;
	else if (!gguf_string_is(prefix, "always") || r == -EINVAL)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no way to do it", key);
	r = gguf_get_bool(gguf, apart, &tok->spaces_apart);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no boolean", apart);
	return 0;
}

int spm_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	int r = load_spaces(tok, gguf, error);

	if (r >= 0)
		r = load_merges(tok, gguf, error);
	if (r < 0)
		return r;
	tok->words_apart = words_are_apart(tok);
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

static bool merges_lookup(const struct tokenizer *tok, const char *word,
			  const struct merge_symbol *left, const struct merge_symbol *right,
			  uint32_t *ret_id, uint32_t *ret_order)
{
	const struct bpe_merge *merge = bpe_merge_find(tok->bpe, left->id, right->id);

	(void)word;
	if (!merge || !tok_is_text(tok, merge->id))
		return false;
	*ret_id = merge->id;
	*ret_order = merge->rank;
	return true;
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
	merge_run(work, word, tok->bpe ? merges_lookup : spm_lookup);
	for (uint32_t i = 0; r >= 0 && i != MERGE_END; i = work->symbols[i].next) {
		const struct merge_symbol *symbol = &work->symbols[i];

		if (symbol->id != TOK_NONE)
			r = tok_push(work, symbol->id);
		else
			r = tok_push_bytes(work, word + symbol->at, symbol->len);
	}
	return r;
}

static bool wants_prefix(const struct tokenizer *tok, const char *text, size_t len, bool at_start)
{
	if (!tok->add_space_prefix || (tok->prefix == TOK_PREFIX_FIRST && !at_start))
		return false;
	return tok->prefix == TOK_PREFIX_ALWAYS || !(*text == ' ' || words_is_space(text, len));
}

/* the text with its spaces escaped, and one before it where the model wants that, in work->text */
static int escape(struct tok_work *work, const char *text, size_t len, bool at_start,
		  size_t *ret_len)
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
	if (wants_prefix(work->tok, text, len, at_start)) {
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

int spm_encode(struct tok_work *work, const char *text, size_t len, bool at_start)
{
	size_t escaped, n;
	int r = escape(work, text, len, at_start, &escaped);

	if (r >= 0 && escaped >= UINT32_MAX)
		r = -E2BIG;
	for (size_t at = 0; r >= 0 && at < escaped; at += n) {
		n = escaped - at;
		if (work->tok->spaces_apart)
			n = words_next_space(work->text + at, n);
		else if (work->tok->words_apart)
			n = words_end(work->text + at, n);
		r = encode_word(work, work->text + at, n);
	}
	return r;
}
