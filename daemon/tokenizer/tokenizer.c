/* SPDX-License-Identifier: MIT */
/*
 * The door of this room: builds a tokenizer from a model file, cuts texts at the tokens that are
 * spelled out in them, and hands what lies between to the kind of tokenizer that the model has.
 */
#include "tokenizer/tokenizer.h"

#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/chat_style.h"
#include "tokenizer/pair.h"
#include "tokenizer/pretok.h"
#include "tokenizer/work.h"

static const char *const kind_names[] = {
	[TOK_SPM] = "spm", [TOK_BPE] = "bpe", [TOK_WORDPIECE] = "wordpiece",
	[TOK_UNIGRAM] = "unigram",
};

void tok_free(struct tokenizer *tok)
{
	if (!tok)
		return;
	table_free(&tok->by_text);
	bpe_free(tok->bpe);
	pretok_free(tok->pretok);
	unigram_free(tok->unigram);
	if (tok->chat)
		chat_style_free(tok->chat);
	free(tok->chat);
	pair_free(tok->pair);
	free(tok->texts.bytes);
	free(tok->texts.at);
	free(tok->pieces.bytes);
	free(tok->pieces.at);
	free(tok->types);
	free(tok->attrs);
	free(tok->scores);
	free(tok->specials);
	free(tok);
}

static int load_kind(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	static const char key[] = "tokenizer.ggml.model";
	struct gguf_string model;
	int r = gguf_get_string(gguf, key, &model);

	if (r == -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is missing", key);
	if (r < 0)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no string", key);
	if (gguf_string_is(model, "llama"))
		tok->kind = TOK_SPM;
	else if (gguf_string_is(model, "gpt2"))
		tok->kind = TOK_BPE;
	else if (gguf_string_is(model, "bert"))
		tok->kind = TOK_WORDPIECE;
	else if (gguf_string_is(model, "t5"))
		tok->kind = TOK_UNIGRAM;
	else
		return error_set(error, -EOPNOTSUPP, "tokenizer '%s' is not supported",
				 gguf_show(model).text);
	tok->add_bos = tok->kind != TOK_BPE;
	tok->add_sep = tok->kind == TOK_WORDPIECE;
	tok->add_eos = tok->kind == TOK_UNIGRAM;
	tok->add_space_prefix = tok->kind == TOK_SPM || tok->kind == TOK_UNIGRAM;
	return 0;
}

/* false where the key is no boolean; *ret stays as it is where there is none */
static bool get_flag(const struct gguf *gguf, const char *key, bool *ret)
{
	return gguf_get_bool(gguf, key, ret) != -EINVAL;
}

static int load_pretok(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_string name = { .data = "" };
	struct pretok_traits traits;
	int r;

	if (tok->kind != TOK_BPE)
		return 0;
	r = gguf_get_string(gguf, "tokenizer.ggml.pre", &name);
	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG,
				 "tokenizer: key 'tokenizer.ggml.pre' is no string");
	r = pretok_new(&tok->pretok, name.data, name.len, &traits, error);
	if (r < 0)
		return r;
	tok->add_bos = traits.add_bos;
	tok->ignore_merges = traits.ignore_merges;
	/* tokenizer.json says both itself */
	if (!get_flag(gguf, "llmos.tokenizer.ignore_merges", &tok->ignore_merges) ||
	    !get_flag(gguf, "llmos.tokenizer.nfc", &tok->nfc))
		return error_set(error, -EBADMSG, "tokenizer: a key of BPE is no boolean");
	return 0;
}

static int build_kind(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	switch (tok->kind) {
	case TOK_SPM:
		return spm_build(tok, gguf, error);
	case TOK_BPE:
		return bpe_build(tok, gguf, error);
	case TOK_UNIGRAM:
		return unigram_build(tok, gguf, error);
	default:
		return wordpiece_build(tok, gguf, error);
	}
}

static int load_chat(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	tok->chat = calloc(1, sizeof(*tok->chat));
	if (!tok->chat || chat_style_load(tok->chat, gguf) < 0 || pair_load(tok, gguf) < 0)
		return error_set(error, -ENOMEM, "chat template: %s", strerror(ENOMEM));
	return 0;
}

int tok_new(struct tokenizer **ret, const struct gguf *gguf, struct error *error)
{
	_cleanup_(tok_freep) struct tokenizer *tok = calloc(1, sizeof(*tok));
	int r;

	if (!tok)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	if ((r = load_kind(tok, gguf, error)) < 0 ||
	    (r = load_pretok(tok, gguf, error)) < 0 ||
	    (r = vocab_load(tok, gguf, error)) < 0 ||
	    (r = vocab_load_ids(tok, gguf, error)) < 0 ||
	    (r = pieces_build(tok, gguf, error)) < 0 ||
	    (r = specials_build(tok, error)) < 0 ||
	    (r = build_kind(tok, gguf, error)) < 0 ||
	    (r = load_chat(tok, gguf, error)) < 0)
		return r;
	*ret = steal_ptr(tok);
	return 0;
}

enum tok_kind tok_kind(const struct tokenizer *tok)
{
	return tok->kind;
}

const char *tok_kind_name(const struct tokenizer *tok)
{
	return kind_names[tok->kind];
}

uint32_t tok_vocab(const struct tokenizer *tok)
{
	return tok->n_vocab;
}

uint32_t tok_bos(const struct tokenizer *tok)
{
	return tok->bos;
}

uint32_t tok_eos(const struct tokenizer *tok)
{
	return tok->eos;
}

bool tok_add_bos(const struct tokenizer *tok)
{
	return tok->add_bos;
}

bool tok_has_no_pairs(const struct tokenizer *tok)
{
	return tok->no_pairs;
}

bool tok_pair_apart(const struct tokenizer *tok)
{
	return tok->pair_apart;
}

bool tok_is_end(const struct tokenizer *tok, uint32_t id)
{
	return id < tok->n_vocab && tok->attrs[id] & TOK_ATTR_END;
}

bool tok_is_control(const struct tokenizer *tok, uint32_t id)
{
	return id < tok->n_vocab &&
	       (tok->types[id] == TOK_TYPE_CONTROL || tok->types[id] == TOK_TYPE_UNKNOWN);
}

uint32_t tok_find(const struct tokenizer *tok, const char *text)
{
	uint32_t id = table_find(&tok->by_text, text, strlen(text));

	return id < tok->n_vocab ? id : TOK_NONE;
}

const char *tok_piece(const struct tokenizer *tok, uint32_t id, bool first, bool special,
		      size_t *ret_len)
{
	const char *piece;

	if (id >= tok->n_vocab)
		return NULL;
	piece = tok_text(&tok->pieces, id, ret_len);
	if (tok_is_control(tok, id)) {
		if (!special)
			*ret_len = 0;
		return piece;
	}
	if (first && *ret_len && *piece == ' ' && tok->types[id] != TOK_TYPE_USER_DEFINED &&
	    (tok->add_space_prefix || tok->kind == TOK_WORDPIECE)) {
		(*ret_len)--;
		return piece + 1;
	}
	return piece;
}

/* ---- encoding ---- */

static bool is_white(char c)
{
	return c == ' ' || (c >= '\t' && c <= '\r');
}

/* text without special tokens */
static int encode_fragment(struct tok_work *work, const char *text, size_t len, bool at_start)
{
	if (!len)
		return 0;
	switch (work->tok->kind) {
	case TOK_SPM:
		return spm_encode(work, text, len, at_start);
	case TOK_BPE:
		return bpe_encode(work, text, len);
	case TOK_UNIGRAM:
		return unigram_encode(work, text, len, at_start);
	default:
		return wordpiece_encode(work, text, len);
	}
}

/* the tokens that strip swallow white space around: *pos and *end move together */
static void strip_left(const struct tokenizer *tok, uint32_t id, const char *text, size_t *pos,
		       size_t end)
{
	while (tok->attrs[id] & TOK_ATTR_RSTRIP && *pos < end && is_white(text[*pos]))
		(*pos)++;
}

static void strip_right(const struct tokenizer *tok, uint32_t id, const char *text, size_t pos,
			size_t *end)
{
	while (tok->attrs[id] & TOK_ATTR_LSTRIP && *end > pos && is_white(text[*end - 1]))
		(*end)--;
}

/* @at_start: nothing was before this text */
static int encode_text(struct tok_work *work, const char *text, size_t len, unsigned int flags,
		       bool at_start)
{
	const struct tokenizer *tok = work->tok;
	size_t pos = 0, at, end, special_len;
	uint32_t id;

	while ((id = specials_find(tok, text, len, pos, flags, &at)) != TOK_NONE) {
		int r;

		end = at;
		strip_right(tok, id, text, pos, &end);
		r = encode_fragment(work, text + pos, end - pos, at_start && !pos);
		if (r >= 0)
			r = tok_push(work, id);
		if (r < 0)
			return r;
		tok_text(&tok->texts, id, &special_len);
		pos = at + special_len;
		strip_left(tok, id, text, &pos, len);
	}
	return encode_fragment(work, text + pos, len - pos, at_start && !pos);
}

/* the tokens that the file wants around a text */
static int push_ends(struct tok_work *work, unsigned int flags, bool at_start)
{
	const struct tokenizer *tok = work->tok;
	int r = 0;

	if (!(flags & TOK_BOS))
		return 0;
	if (at_start)
		return tok->add_bos ? tok_push(work, tok->bos) : 0;
	if (tok->add_sep)
		r = tok_push(work, tok->sep);
	if (r >= 0 && tok->add_eos)
		r = tok_push(work, tok->eos);
	return r;
}

int tok_encode(const struct tokenizer *tok, const char *text, size_t len, unsigned int flags,
	       size_t max, struct tok_ids *ids)
{
	_cleanup_(tok_work_free) struct tok_work work = { .tok = tok, .ids = ids, .max = max };
	size_t count = ids->count;
	int r;

	if (!utf8_valid(text, len))
		return -EILSEQ;
	if ((r = push_ends(&work, flags, true)) < 0 ||
	    (r = encode_text(&work, text, len, flags, !(flags & TOK_INNER))) < 0 ||
	    (r = push_ends(&work, flags, false)) < 0) {
		ids->count = count;	/* what was appended before is still there */
		return r;
	}
	return 0;
}

/* the texts from *index on, up to the next token, as one */
static int join_texts(const struct tok_part *parts, size_t count, size_t *index, char **text,
		      size_t *capacity, size_t *ret_len)
{
	size_t len = 0;

	for (; *index < count && parts[*index].id == TOK_NONE; (*index)++) {
		const struct tok_part *part = &parts[*index];
		size_t end;
		int r;

		if (!size_add(&end, len, part->len))
			return -E2BIG;
		r = tok_grow(text, capacity, end, 1);
		if (r < 0)
			return r;
		memcpy(*text + len, part->text, part->len);
		len = end;
	}
	*ret_len = len;
	return 0;
}

static int encode_parts(struct tok_work *work, const struct tok_part *parts, size_t count)
{
	const struct tokenizer *tok = work->tok;
	_cleanup_free_ char *text = NULL;
	size_t capacity = 0, i = 0;
	int r = 0;

	while (r >= 0 && i < count) {
		uint32_t before = i ? parts[i - 1].id : TOK_NONE;
		size_t pos = 0, end = 0;

		r = join_texts(parts, count, &i, &text, &capacity, &end);
		if (r < 0)
			break;
		if (before != TOK_NONE)
			strip_left(tok, before, text, &pos, end);
		if (i < count)
			strip_right(tok, parts[i].id, text, pos, &end);
		r = end > pos ? encode_text(work, text + pos, end - pos, 0,
					    before == TOK_NONE) : 0;
		if (r >= 0 && i < count)
			r = tok_push(work, parts[i++].id);
	}
	return r;
}

int tok_encode_parts(const struct tokenizer *tok, const struct tok_part *parts, size_t count,
		     size_t max, struct tok_ids *ids)
{
	_cleanup_(tok_work_free) struct tok_work work = { .tok = tok, .ids = ids, .max = max };
	size_t before = ids->count;
	int r;

	for (size_t i = 0; i < count; i++)
		if (parts[i].id == TOK_NONE && !utf8_valid(parts[i].text, parts[i].len))
			return -EILSEQ;
	r = encode_parts(&work, parts, count);
	if (r < 0)
		ids->count = before;
	return r < 0 ? r : 0;
}
