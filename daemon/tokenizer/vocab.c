/* SPDX-License-Identifier: MIT */
/*
 * Loading the vocabulary of a model file: texts, types and scores of the tokens. The file's arrays
 * must agree in length; beyond that nothing is expected of them.
 */
#include "tokenizer/vocab.h"

#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "model/gguf.h"

#define VOCAB_MAX	(1U << 24)

static int get_tokens(const struct gguf *gguf, struct gguf_array *ret, struct error *error)
{
	static const char key[] = "tokenizer.ggml.tokens";
	int r = gguf_get_array(gguf, key, ret);

	if (r == -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is missing", key);
	if (r < 0 || ret->type != GGUF_STRING)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no list of strings", key);
	if (!ret->count || ret->count > VOCAB_MAX)
		return error_set(error, -EBADMSG, "tokenizer: a vocabulary of %" PRIu64 " tokens",
				 ret->count);
	return 0;
}

static int copy_texts(struct tokenizer *tok, const struct gguf_string *strings, struct error *error)
{
	size_t size = 0;

	for (uint32_t i = 0; i < tok->n_vocab; i++)
		if (!size_add(&size, size, strings[i].len))
			return error_set(error, -EBADMSG, "tokenizer: vocabulary too big");
	if (size > UINT32_MAX)
		return error_set(error, -EBADMSG, "tokenizer: a vocabulary of %zu bytes", size);
	tok->texts.bytes = malloc(size + 1);
	tok->texts.at = calloc((size_t)tok->n_vocab + 1, sizeof(*tok->texts.at));
	if (!tok->texts.bytes || !tok->texts.at)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	for (uint32_t i = 0, at = 0; i < tok->n_vocab; i++) {
		memcpy(tok->texts.bytes + at, strings[i].data, strings[i].len);
		at += (uint32_t)strings[i].len;
		tok->texts.at[i + 1] = at;
		tok->text_len_max = MAX(tok->text_len_max, strings[i].len);
	}
	return 0;
}

/* of two tokens with one text the first is found; a token without text is never looked up */
static int index_texts(struct tokenizer *tok, struct error *error)
{
	int r = table_init(&tok->by_text, tok->n_vocab);

	for (uint32_t i = 0; r >= 0 && i < tok->n_vocab; i++) {
		size_t len;
		const char *text = tok_text(&tok->texts, i, &len);

		if (len)
			r = table_add(&tok->by_text, text, len, i);
		if (r == -EEXIST)
			r = 0;
	}
	return r < 0 ? error_set(error, r, "tokenizer: %s", strerror(-r)) : 0;
}

/* small numbers without a sign are the same bytes, and some writers have them */
static bool is_element_type(enum gguf_value_type have, enum gguf_value_type want)
{
	return have == want || (have == GGUF_U32 && want == GGUF_I32);
}

/* an array that has one element of @type for each token; its count is 0 where there is none */
static int get_parallel(const struct tokenizer *tok, const struct gguf *gguf, const char *key,
			enum gguf_value_type type, struct gguf_array *ret, struct error *error)
{
	int r = gguf_get_array(gguf, key, ret);

	if (r == -ENOENT) {
		*ret = (struct gguf_array){ 0 };
		return 0;
	}
	if (r < 0 || !is_element_type(ret->type, type))
		return error_set(error, -EBADMSG, "tokenizer: key '%s' has the wrong type", key);
	if (ret->count != tok->n_vocab)
		return error_set(error, -EBADMSG,
				 "tokenizer: key '%s' has %" PRIu64 " elements for %" PRIu32
				 " tokens", key, ret->count, tok->n_vocab);
	return 0;
}

static int load_types(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array array;
	int32_t type;
	int r = get_parallel(tok, gguf, "tokenizer.ggml.token_type", GGUF_I32, &array, error);

	if (r < 0)
		return r;
	tok->types = malloc(tok->n_vocab);
	tok->attrs = calloc(tok->n_vocab, 1);
	if (!tok->types || !tok->attrs)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	memset(tok->types, TOK_TYPE_NORMAL, tok->n_vocab);
	for (uint64_t i = 0; i < array.count; i++) {
		memcpy(&type, (const char *)array.data + i * sizeof(type), sizeof(type));
		if (type >= TOK_TYPE_NORMAL && type <= TOK_TYPE_BYTE)
			tok->types[i] = (uint8_t)type;
	}
	return 0;
}

/* float32, as GGUF has them, or as precise as tokenizer.json does */
int vocab_load_scores(struct tokenizer *tok, const struct gguf *gguf, double *scores,
		      struct error *error)
{
	static const char key[] = "tokenizer.ggml.scores";
	struct gguf_array precise, array = { 0 };
	float score;
	int r = get_parallel(tok, gguf, TOK_KEY_SCORES, GGUF_F64, &precise, error);

	if (r >= 0 && !precise.count)
		r = get_parallel(tok, gguf, key, GGUF_F32, &array, error);
	if (r < 0)
		return r;
	if (!precise.count && !array.count)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is missing", key);
	if (precise.count)
		memcpy(scores, precise.data, tok->n_vocab * sizeof(*scores));
	for (uint64_t i = 0; i < array.count; i++) {
		memcpy(&score, (const char *)array.data + i * sizeof(score), sizeof(score));
		scores[i] = (double)score;
	}
	for (uint32_t i = 0; i < tok->n_vocab; i++)
		if (isnan(scores[i]))
			scores[i] = -INFINITY;
	return 0;
}

static int load_scores(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array array;
	float score;
	int r = get_parallel(tok, gguf, "tokenizer.ggml.scores", GGUF_F32, &array, error);

	if (r < 0)
		return r;
	if (!array.count)
		return error_set(error, -EBADMSG,
				 "tokenizer: key 'tokenizer.ggml.scores' is missing");
	tok->scores = calloc(tok->n_vocab, sizeof(*tok->scores));
	if (!tok->scores)
		return error_set(error, -ENOMEM, "tokenizer: %s", strerror(ENOMEM));
	for (uint64_t i = 0; i < array.count; i++) {
		memcpy(&score, (const char *)array.data + i * sizeof(score), sizeof(score));
		tok->scores[i] = isnan(score) ? -INFINITY : score;
	}
	return 0;
}

static bool hex_digit(char c, unsigned int *ret)
{
	if (c >= '0' && c <= '9')
		*ret = (unsigned int)(c - '0');
	else if (c >= 'A' && c <= 'F')
		*ret = (unsigned int)(c - 'A') + 10;
	else if (c >= 'a' && c <= 'f')
		*ret = (unsigned int)(c - 'a') + 10;
	else
		return false;
	return true;
}

int vocab_byte(const char *text, size_t len)
{
	unsigned int high, low;

	if (len != 6 || memcmp(text, "<0x", 3) || text[5] != '>' || !hex_digit(text[3], &high) ||
	    !hex_digit(text[4], &low))
		return -1;
	return (int)(high << 4 | low);
}

/* of two tokens for one byte the first is used */
static int load_bytes(struct tokenizer *tok, struct error *error)
{
	for (uint32_t i = 0; i < tok->n_vocab; i++) {
		size_t len;
		const char *text = tok_text(&tok->texts, i, &len);
		int byte = vocab_byte(text, len);

		if (tok->types[i] == TOK_TYPE_BYTE && byte < 0)
			return error_set(error, -EBADMSG,
					 "tokenizer: token %" PRIu32 " is no byte", i);
		if (byte >= 0 && tok->byte_ids[byte] == TOK_NONE &&
		    (tok->types[i] == TOK_TYPE_BYTE || tok->kind == TOK_SPM))
			tok->byte_ids[byte] = i;
	}
	return 0;
}

static bool has_key(const struct gguf *gguf, const char *key)
{
	struct gguf_array array;

	return gguf_get_array(gguf, key, &array) != -ENOENT;
}

int vocab_load(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array tokens;
	int r = get_tokens(gguf, &tokens, error);

	if (r < 0)
		return r;
	tok->n_vocab = (uint32_t)tokens.count;
	for (size_t i = 0; i < ARRAY_SIZE(tok->byte_ids); i++)
		tok->byte_ids[i] = TOK_NONE;
	if ((r = copy_texts(tok, tokens.strings, error)) < 0 ||
	    (r = index_texts(tok, error)) < 0 ||
	    (r = load_types(tok, gguf, error)) < 0)
		return r;
	if (tok->kind == TOK_SPM && !has_key(gguf, TOK_KEY_SPM_MERGES) &&
	    (r = load_scores(tok, gguf, error)) < 0)
		return r;
	return load_bytes(tok, error);
}
