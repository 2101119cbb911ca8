/* SPDX-License-Identifier: MIT */
/*
 * Tokens with a meaning. What is put around a text stands in tokenizer.json; tokenizer_config.json
 * may overrule it, and names begin and end by their texts; generation_config.json and config.json
 * name them by number, and know of more ends.
 */
#include <string.h>

#include "model/tokenizer_json_internal.h"

#define ENDS_MAX	64

/* ---- by text ---- */

/* a string, or an object with the string in it */
static uint32_t find_named(const struct reader *r, const json_t *file, const char *key)
{
	const json_t *json = json_object_get(file, key);

	return reader_find(r, json_is_object(json) ? json_object_get(json, "content") : json);
}

static uint32_t find_text(const struct reader *r, const char *key)
{
	uint32_t id = find_named(r, r->files->settings, key);

	return id != TABLE_NONE ? id : find_named(r, r->files->specials, key);
}

/* ---- by number ---- */

/* a number, or a list of them; those that are no tokens can't come out of the model either */
static size_t read_ids(const struct reader *r, const json_t *file, const char *key, uint32_t *ids,
		       size_t count)
{
	const json_t *json = json_object_get(file, key);
	const size_t n = json_is_array(json) ? json_array_size(json) : 1;

	for (size_t i = 0; i < n && count < ENDS_MAX; i++) {
		uint32_t id;

		if (json_get_u32(json_is_array(json) ? json_array_get(json, i) : json, &id) >= 0 &&
		    id < r->n_vocab)
			ids[count++] = id;
	}
	return count;
}

static uint32_t find_number(const struct reader *r, const char *key)
{
	uint32_t ids[ENDS_MAX];

	if (read_ids(r, r->files->generation, key, ids, 0) ||
	    read_ids(r, r->files->config, key, ids, 0))
		return ids[0];
	return TABLE_NONE;
}

static int add_ends(struct reader *r)
{
	uint32_t ids[ENDS_MAX], *kept;
	size_t count = read_ids(r, r->files->generation, "eos_token_id", ids, 0);

	count = read_ids(r, r->files->config, "eos_token_id", ids, count);
	kept = gguf_alloc(r->gguf, count * sizeof(*kept) + 1);
	if (!kept)
		return reader_added(r, -ENOMEM);
	memcpy(kept, ids, count * sizeof(*kept));
	return reader_added(r, gguf_add_array(r->gguf, "llmos.tokenizer.end_ids", GGUF_U32, kept,
					      count));
}

/* ---- what is put around a text ---- */

static int refuse_around(struct reader *r)
{
	return error_set(r->error, -EOPNOTSUPP,
			 TOKENIZER_JSON ": what is put around a text is not supported");
}

/* a token of a template, by its name in the template's own list */
static int read_special(struct reader *r, const json_t *processor, const json_t *piece,
			uint32_t *ret)
{
	const char *name = json_string_value(json_object_get(piece, "id"));
	const json_t *special = json_object_get(json_object_get(processor, "special_tokens"),
						name ? name : "");
	const json_t *ids = json_object_get(special, "ids");

	if (json_array_size(ids) != 1 || *ret != TABLE_NONE)
		return refuse_around(r);
	if (json_get_u32(json_array_get(ids, 0), ret) < 0 || *ret >= r->n_vocab)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": token '%s' is none",
				 json_show(json_object_get(piece, "id")).text);
	return 0;
}

/* at most one token before the text, and one behind */
static int read_template(struct reader *r, const json_t *processor, uint32_t *before,
			 uint32_t *behind)
{
	const json_t *pieces = json_object_get(processor, "single");
	bool had_text = false;
	int e = 0;

	for (size_t i = 0; e >= 0 && i < json_array_size(pieces); i++) {
		const json_t *piece = json_array_get(pieces, i);
		const json_t *special = json_object_get(piece, "SpecialToken");
		const json_t *text = json_object_get(piece, "Sequence");

		if (special)
			e = read_special(r, processor, special, had_text ? behind : before);
		else if (text && !had_text && json_is(json_object_get(text, "id"), "A"))
			had_text = true;
		else
			return refuse_around(r);
	}
	return e < 0 || had_text ? e : refuse_around(r);
}

/* a piece of a template as a number: a token, or one of these */
#define PIECE_A		((uint64_t)UINT32_MAX + 1)
#define PIECE_B		((uint64_t)UINT32_MAX + 2)
#define PIECE_OTHER	((uint64_t)UINT32_MAX + 3)
#define PIECES_MAX	6U

static uint64_t piece_of(const json_t *processor, const json_t *piece)
{
	const json_t *text = json_object_get(json_object_get(piece, "Sequence"), "id");
	const json_t *special = json_object_get(piece, "SpecialToken");
	const char *name = json_string_value(json_object_get(special, "id"));
	const json_t *ids = json_object_get(
		json_object_get(json_object_get(processor, "special_tokens"), name ? name : ""),
		"ids");
	uint32_t id;

	if (text)
		return json_is(text, "A") ? PIECE_A : json_is(text, "B") ? PIECE_B : PIECE_OTHER;
	if (json_array_size(ids) != 1 || json_get_u32(json_array_get(ids, 0), &id) < 0)
		return PIECE_OTHER;
	return id;
}

/* two texts as one is: what is before it, one, what is behind it (@times), the other, and that again */
static bool is_pair(const json_t *processor, uint32_t before, uint32_t behind, unsigned int times)
{
	const json_t *pieces = json_object_get(processor, "pair");
	uint64_t wanted[PIECES_MAX];
	size_t count = 0;

	if (behind == TABLE_NONE)
		return false;
	if (before != TABLE_NONE)
		wanted[count++] = before;
	wanted[count++] = PIECE_A;
	for (unsigned int i = 0; i < times; i++)
		wanted[count++] = behind;
	wanted[count++] = PIECE_B;
	wanted[count++] = behind;
	if (json_array_size(pieces) != count)
		return false;
	for (size_t i = 0; i < count; i++)
		if (piece_of(processor, json_array_get(pieces, i)) != wanted[i])
			return false;
	return true;
}

/* ["<s>", 0] */
static int read_pair(struct reader *r, const json_t *pair, uint32_t *ret)
{
	if (*ret != TABLE_NONE)
		return refuse_around(r);
	if (json_get_u32(json_array_get(pair, 1), ret) < 0 || *ret >= r->n_vocab)
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": token '%s' is none",
				 json_show(json_array_get(pair, 0)).text);
	return 0;
}

static int read_processor(struct reader *r, const json_t *processor, uint32_t *before,
			  uint32_t *behind)
{
	const json_t *type = json_object_get(processor, "type");
	int e;

	/* moves what programs mark in a text, and no token */
	if (json_is_none(processor) || json_is(type, "ByteLevel"))
		return 0;
	if (json_is(type, "TemplateProcessing")) {
		e = read_template(r, processor, before, behind);
		r->is_pair_apart = e >= 0 && is_pair(processor, *before, *behind, 2);
		r->has_no_pairs = !r->is_pair_apart &&
				  (e < 0 || !is_pair(processor, *before, *behind, 1));
		return e;
	}
	if (!json_is(type, "BertProcessing") && !json_is(type, "RobertaProcessing"))
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": post-processor '%s' is not supported",
				 json_show(type).text);
	r->is_pair_apart = json_is(type, "RobertaProcessing");
	e = read_pair(r, json_object_get(processor, "cls"), before);
	return e < 0 ? e : read_pair(r, json_object_get(processor, "sep"), behind);
}

static int load_around(struct reader *r)
{
	const json_t *processor = json_object_get(r->files->tokenizer, "post_processor");
	const json_t *list = json_object_get(processor, "processors");
	uint32_t before = TABLE_NONE, behind = TABLE_NONE;
	int e = 0;

	if (!json_is(json_object_get(processor, "type"), "Sequence"))
		e = read_processor(r, processor, &before, &behind);
	else
		for (size_t i = 0; e >= 0 && i < json_array_size(list); i++)
			e = read_processor(r, json_array_get(list, i), &before, &behind);
	if (e < 0)
		return e;
	if (before != TABLE_NONE)
		r->bos = before;
	r->add_bos = before != TABLE_NONE;
	r->add_eos = behind != TABLE_NONE && behind == r->eos;
	r->add_sep = behind != TABLE_NONE && behind != r->eos;
	r->sep = r->add_sep ? behind : TABLE_NONE;
	return 0;
}

/* what programs build anew from these settings, whatever tokenizer.json has */
static void load_settings(struct reader *r)
{
	const json_t *bos = json_object_get(r->files->settings, "add_bos_token");
	const json_t *eos = json_object_get(r->files->settings, "add_eos_token");

	if (json_is_boolean(bos) && r->bos != TABLE_NONE)
		r->add_bos = json_is_true(bos);
	if (json_is_boolean(eos) && r->eos != TABLE_NONE && !r->add_sep)
		r->add_eos = json_is_true(eos);
}

/* ---- the chat template ---- */

static const json_t *named_template(const json_t *list)
{
	for (size_t i = 0; i < json_array_size(list); i++) {
		const json_t *item = json_array_get(list, i);

		if (json_is(json_object_get(item, "name"), "default"))
			return json_object_get(item, "template");
	}
	return NULL;
}

static int add_chat(struct reader *r)
{
	static const char key[] = "tokenizer.chat_template";
	const json_t *json = json_object_get(r->files->settings, "chat_template");

	if (r->files->chat)
		return reader_added(r, gguf_add_string(r->gguf, key, r->files->chat,
						       r->files->chat_len));
	if (json_is_array(json))
		json = named_template(json);
	if (!json_is_string(json))
		return 0;
	return reader_added(r, gguf_add_string(r->gguf, key, json_string_value(json),
					       json_string_length(json)));
}

/* ---- all of it ---- */

static int add_keys(struct reader *r)
{
	const struct {
		const char *key;
		uint32_t id;
	} ids[] = {
		{ "tokenizer.ggml.bos_token_id", r->bos }, { "tokenizer.ggml.eos_token_id", r->eos },
		{ "tokenizer.ggml.seperator_token_id", r->sep },
		{ "tokenizer.ggml.unknown_token_id", r->unk },
	};
	int e = 0;

	for (size_t i = 0; e >= 0 && i < ARRAY_SIZE(ids); i++)
		if (ids[i].id != TABLE_NONE)
			e = gguf_add_u32(r->gguf, ids[i].key, ids[i].id);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "tokenizer.ggml.add_bos_token", r->add_bos);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "tokenizer.ggml.add_eos_token", r->add_eos);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "tokenizer.ggml.add_sep_token", r->add_sep);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.pair_apart", r->is_pair_apart);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.no_pairs", r->has_no_pairs);
	return reader_added(r, e);
}

int tokenizer_ids_load(struct reader *r)
{
	int e;

	r->bos = find_text(r, "bos_token");
	r->eos = find_text(r, "eos_token");
	if (r->bos == TABLE_NONE)
		r->bos = find_number(r, "bos_token_id");
	if (r->eos == TABLE_NONE)
		r->eos = find_number(r, "eos_token_id");
	e = load_around(r);
	if (e < 0)
		return e;
	load_settings(r);
	if ((e = add_keys(r)) < 0 || (e = add_ends(r)) < 0)
		return e;
	return add_chat(r);
}
