/* SPDX-License-Identifier: MIT */
/*
 * Unigram vocabularies of a tokenizer.json: XLM-RoBERTa and what was made of it. Tokens are a list
 * with a score each, ids are places in it. What is done to a text before is kept as words, for
 * tokenizer/unigram_text.c.
 */
#include <inttypes.h>
#include <math.h>
#include <string.h>

#include "base/base64.h"
#include "model/tokenizer_json_internal.h"

#define TYPE_NORMAL	1		/* as GGUF numbers them */

int tokenizer_map_load(struct reader *r, const json_t *step)
{
	const json_t *json = json_object_get(step, "precompiled_charsmap");
	const char *text = json_string_value(json);
	const size_t len = json_string_length(json);
	uint8_t *map = gguf_alloc(r->gguf, base64_room(len) + 1);
	size_t bytes = 0;

	if (!map)
		return reader_added(r, -ENOMEM);
	if (!text || base64_decode(text, len, map, &bytes) < 0)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": 'precompiled_charsmap' is no base64");
	return reader_added(r, gguf_add_array(r->gguf, "tokenizer.ggml.precompiled_charsmap",
					      GGUF_U8, map, bytes));
}

/* are all words of @normal steps that a text may be given to before such a vocabulary? */
static bool are_steps(const char *normal)
{
	static const char *const known[] = {
		"Map;", "Collapse;", "CollapseMark;", "StripLeft;", "StripRight;", "NFC;", "NFKC;",
	};

	while (*normal) {
		size_t i = 0;

		while (strncmp(normal, known[i], strlen(known[i])))
			if (++i == ARRAY_SIZE(known))
				return false;
		normal += strlen(known[i]);
	}
	return true;
}

int tokenizer_unigram_find(struct reader *r, const char *normal, const char *pre)
{
	static const struct {
		const char *pre;
		bool white_apart, has_prefix, spaces_apart, is_first;
	} known[] = {
		{ "Words;MetaAlwaysSplit;", true, true, true, false },
		{ "Words;MetaAlways;", true, true, false, false },
		{ "Words;MetaNeverSplit;", true, false, true, false },
		{ "Words;MetaNever;", true, false, false, false },
		{ "MetaAlwaysSplit;", false, true, true, false },
		{ "MetaAlways;", false, true, false, false },
		{ "MetaNeverSplit;", false, false, true, false },
		{ "MetaNever;", false, false, false, false },
		{ "MetaFirstSplit;", false, true, true, true },
		{ "MetaFirst;", false, true, false, true },
	};
	size_t i = 0;
	int e;

	while (i < ARRAY_SIZE(known) && strcmp(known[i].pre, pre))
		i++;
	if (i == ARRAY_SIZE(known) || !are_steps(normal))
		return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON
				 ": normalizer '%s' with pre-tokenizer '%s' is not supported for "
				 "Unigram", normal, pre);
	r->kind = KIND_UNIGRAM;
	e = gguf_add_string(r->gguf, "llmos.tokenizer.steps", normal, strlen(normal));
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.white_apart", known[i].white_apart);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.spaces_apart", known[i].spaces_apart);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "tokenizer.ggml.add_space_prefix", known[i].has_prefix);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.prefix_first", known[i].is_first);
	return reader_added(r, e);
}

/* ["text", score] */
static int load_one(struct reader *r, const json_t *pair, uint32_t id, double *score)
{
	const json_t *json = json_array_get(pair, 0), *value = json_array_get(pair, 1);
	const char *text = json_string_value(json);
	const size_t len = json_string_length(json);
	int e;

	if (json_array_size(pair) != 2 || !text || !json_is_real(value))
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": token %" PRIu32 " is no text with a score", id);
	e = tokenizer_set_text(r, id, text, len);
	if (e < 0)
		return e;
	*score = json_real_value(value);
	r->types[id] = TYPE_NORMAL;
	e = len ? table_add(&r->ids, text, len, id) : 0;
	if (e == -EEXIST)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": token '%s' is number %" PRIu32 " and %" PRIu32,
				 json_show(json).text, table_find(&r->ids, text, len), id);
	return reader_added(r, e);
}

int tokenizer_unigram_load(struct reader *r, const json_t *vocab)
{
	const size_t count = json_array_size(vocab);
	double *scores = gguf_alloc(r->gguf, r->n_vocab * sizeof(*scores));
	int e = 0;

	if (!scores)
		return reader_added(r, -ENOMEM);
	/* tokens that are only added have no score: nothing is spelled with them */
	for (uint32_t i = 0; i < r->n_vocab; i++)
		scores[i] = -INFINITY;
	if (count > UINT32_MAX)
		return reader_added(r, -E2BIG);
	for (size_t i = 0; e >= 0 && i < count; i++) {
		double score = 0;

		e = load_one(r, json_array_get(vocab, i), (uint32_t)i, &score);
		if (e >= 0)
			scores[i] = score;
	}
	if (e < 0)
		return e;
	if (json_get_u32(json_object_get(r->model, "unk_id"), &r->unk) < 0 || r->unk >= count)
		return error_set(r->error, -EBADMSG,
				 TOKENIZER_JSON ": the token for what is unknown is none");
	return reader_added(r, gguf_add_array(r->gguf, "llmos.tokenizer.scores", GGUF_F64, scores,
					      r->n_vocab));
}
