/* SPDX-License-Identifier: MIT */
/*
 * Tokens with a meaning: begin, end, separator, unknown, and those that end a turn. Files name the
 * first few by key; the rest are known by their texts alone.
 */
#include <ctype.h>
#include <inttypes.h>
#include <string.h>

#include "model/gguf.h"
#include "tokenizer/vocab.h"

/* ends of answers that files do not always name by key */
static const char *const end_texts[] = {
	"<|im_end|>", "<|eot_id|>", "<|eom_id|>", "<end_of_turn>", "<|end|>", "<|endoftext|>",
	"<|end_of_text|>", "<EOT>",
	("<\xef\xbd\x9c" "end\xe2\x96\x81of\xe2\x96\x81sentence\xef\xbd\x9c>"),
};

/*
 * Words of chat templates. Where a vocabulary has them, they are control tokens, whatever the file
 * says: text in which they are found can forge turns.
 */
static const char *const turn_texts[] = {
	"<|im_start|>", "<|start_header_id|>", "<|end_header_id|>", "<start_of_turn>", "<|system|>",
	"<|user|>", "<|assistant|>", "[INST]", "[/INST]", "[SYSTEM_PROMPT]", "[/SYSTEM_PROMPT]",
	"<|im_sep|>", "<\xef\xbd\x9cUser\xef\xbd\x9c>",
	("<\xef\xbd\x9c" "Assistant\xef\xbd\x9c>"),
};

/* ends as well, but some vocabularies have them as HTML: only where they are control tokens */
static const char *const end_texts_if_control[] = { "</s>", "<eos>" };

/* an id given by key: *ret stays as it is where the file has none */
static int get_id(const struct tokenizer *tok, const struct gguf *gguf, const char *key,
		  uint32_t *ret, struct error *error)
{
	uint32_t id;
	int r = gguf_get_u32(gguf, key, &id);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no token id", key);
	if (id >= tok->n_vocab)
		return error_set(error, -EBADMSG,
				 "tokenizer: key '%s' is %" PRIu32 ", the vocabulary has %" PRIu32,
				 key, id, tok->n_vocab);
	*ret = id;
	return 0;
}

static int get_flag(const struct gguf *gguf, const char *key, bool *ret, struct error *error)
{
	int r = gguf_get_bool(gguf, key, ret);

	if (r < 0 && r != -ENOENT)
		return error_set(error, -EBADMSG, "tokenizer: key '%s' is no boolean", key);
	return 0;
}

static int load_ids(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	/* where two keys have one meaning, the later one wins */
	const struct {
		const char *key;
		uint32_t *ret;
	} keys[] = {
		{ "tokenizer.ggml.cls_token_id", &tok->bos },
		{ "tokenizer.ggml.bos_token_id", &tok->bos },
		{ "tokenizer.ggml.eos_token_id", &tok->eos },
		{ "tokenizer.ggml.separator_token_id", &tok->sep },
		{ "tokenizer.ggml.seperator_token_id", &tok->sep },	/* as GGUF spells it */
		{ "tokenizer.ggml.unknown_token_id", &tok->unk },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r = get_id(tok, gguf, keys[i].key, keys[i].ret, error);

		if (r < 0)
			return r;
	}
	return 0;
}

/* what the kind says where the file says nothing */
static void default_ids(struct tokenizer *tok)
{
	tok->bos = tok->eos = tok->sep = tok->unk = TOK_NONE;
	if (tok->kind == TOK_SPM || tok->kind == TOK_UNIGRAM) {
		tok->bos = tok_find(tok, "<s>");
		tok->eos = tok_find(tok, "</s>");
		tok->unk = tok_find(tok, "<unk>");
		tok->sep = tok->kind == TOK_UNIGRAM ? tok->eos : TOK_NONE;
	} else if (tok->kind == TOK_WORDPIECE) {
		tok->bos = tok_find(tok, "[CLS]");
		tok->sep = tok_find(tok, "[SEP]");
		tok->unk = tok_find(tok, "[UNK]");
	}
}

/* a token that the file gives a meaning is none that people may write, even if it says so too */
static void mark_meaning(struct tokenizer *tok, uint32_t id)
{
	if (id != TOK_NONE && tok->types[id] == TOK_TYPE_USER_DEFINED)
		tok->types[id] = TOK_TYPE_CONTROL;
}

static void mark_end(struct tokenizer *tok, uint32_t id)
{
	if (id == TOK_NONE)
		return;
	mark_meaning(tok, id);
	tok->attrs[id] |= TOK_ATTR_END;
}

/* generation_config.json may list any number of them */
static int mark_listed_ends(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	struct gguf_array array;
	uint32_t id;
	int r = gguf_get_array(gguf, TOK_KEY_ENDS, &array);

	if (r == -ENOENT)
		return 0;
	if (r < 0 || array.type != GGUF_U32)
		return error_set(error, -EBADMSG, "tokenizer: key '" TOK_KEY_ENDS "' has no ids");
	for (uint64_t i = 0; i < array.count; i++) {
		memcpy(&id, (const char *)array.data + i * sizeof(id), sizeof(id));
		if (id >= tok->n_vocab)
			return error_set(error, -EBADMSG,
					 "tokenizer: key '" TOK_KEY_ENDS "' has %" PRIu32
					 ", the vocabulary has %" PRIu32, id, tok->n_vocab);
		mark_end(tok, id);
	}
	return 0;
}

static int mark_ends(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	static const char *const keys[] = {
		"tokenizer.ggml.eot_token_id", "tokenizer.ggml.eom_token_id",
	};

	int r;

	mark_meaning(tok, tok->bos);
	mark_meaning(tok, tok->sep);
	mark_end(tok, tok->eos);
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		uint32_t id = TOK_NONE;

		r = get_id(tok, gguf, keys[i], &id, error);
		if (r < 0)
			return r;
		mark_end(tok, id);
	}
	r = mark_listed_ends(tok, gguf, error);
	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(end_texts); i++) {
		uint32_t id = tok_find(tok, end_texts[i]);

		if (id != TOK_NONE)
			tok->types[id] = TOK_TYPE_CONTROL;
		mark_end(tok, id);
	}
	for (size_t i = 0; i < ARRAY_SIZE(turn_texts); i++) {
		uint32_t id = tok_find(tok, turn_texts[i]);

		if (id != TOK_NONE)
			tok->types[id] = TOK_TYPE_CONTROL;
	}
	for (size_t i = 0; i < ARRAY_SIZE(end_texts_if_control); i++) {
		uint32_t id = tok_find(tok, end_texts_if_control[i]);

		if (id != TOK_NONE && tok->types[id] == TOK_TYPE_CONTROL)
			mark_end(tok, id);
	}
	return 0;
}

/* does the name contain "phi-3" or "phi3", in any case? */
static bool is_phi3(const struct gguf *gguf)
{
	struct gguf_string name;
	char lower[128];
	size_t n;

	if (gguf_get_string(gguf, "general.name", &name) < 0)
		return false;
	n = MIN(name.len, sizeof(lower) - 1);
	for (size_t i = 0; i < n; i++)
		lower[i] = (char)tolower((unsigned char)name.data[i]);
	lower[n] = 0;
	return strstr(lower, "phi-3") || strstr(lower, "phi3");
}

/* tokenizer.json says of each token what it strips; false where that did not say it */
static bool load_attrs(struct tokenizer *tok, const struct gguf *gguf)
{
	struct gguf_array array;

	if (gguf_get_array(gguf, TOK_KEY_STRIPS, &array) < 0 || array.type != GGUF_U8 ||
	    array.count != tok->n_vocab)
		return false;
	for (uint32_t i = 0; i < tok->n_vocab; i++)
		tok->attrs[i] |= ((const uint8_t *)array.data)[i] &
				 (TOK_ATTR_LSTRIP | TOK_ATTR_RSTRIP);
	return true;
}

/*
 * GGUF has no place for the stripping of white space around special tokens. Of the families here
 * Phi-3 has it: behind all of them but these.
 */
static void mark_strips(struct tokenizer *tok, const struct gguf *gguf)
{
	static const char *const kept[] = { "<unk>", "<s>", "<|endoftext|>" };
	uint32_t end = tok_find(tok, "</s>");

	if (load_attrs(tok, gguf) || !is_phi3(gguf))
		return;
	for (uint32_t i = 0; i < tok->n_vocab; i++)
		if (tok->types[i] == TOK_TYPE_CONTROL || tok->types[i] == TOK_TYPE_USER_DEFINED)
			tok->attrs[i] |= TOK_ATTR_RSTRIP;
	if (end != TOK_NONE)
		tok->attrs[end] |= TOK_ATTR_RSTRIP;
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		uint32_t id = tok_find(tok, kept[i]);

		if (id != TOK_NONE)
			tok->attrs[id] &= (uint8_t)~TOK_ATTR_RSTRIP;
	}
}

/*
 * GGUF's "add_sep" is about two texts: the first one ends with eos and then with sep. A text by
 * itself has sep at its end in WordPiece alone, which has no other end.
 */
static void settle_ends(struct tokenizer *tok, const struct gguf *gguf)
{
	bool is_said = false;

	if (gguf_get_bool(gguf, "llmos.tokenizer.pair_apart", &is_said) != -ENOENT ||
	    !tok->add_eos)
		return;
	if (tok->kind == TOK_WORDPIECE) {
		tok->add_eos = !tok->add_sep;
		return;
	}
	tok->pair_apart = tok->add_sep;
	/* writers before that key put nothing else in models of this kind */
	if (tok->kind == TOK_UNIGRAM &&
	    gguf_get_bool(gguf, "tokenizer.ggml.add_sep_token", &is_said) == -ENOENT)
		tok->pair_apart = true;
	tok->add_sep = false;
}

int vocab_load_ids(struct tokenizer *tok, const struct gguf *gguf, struct error *error)
{
	int r;

	default_ids(tok);
	if ((r = load_ids(tok, gguf, error)) < 0 || (r = mark_ends(tok, gguf, error)) < 0 ||
	    (r = get_flag(gguf, "tokenizer.ggml.add_bos_token", &tok->add_bos, error)) < 0 ||
	    (r = get_flag(gguf, "tokenizer.ggml.add_eos_token", &tok->add_eos, error)) < 0 ||
	    (r = get_flag(gguf, "tokenizer.ggml.add_sep_token", &tok->add_sep, error)) < 0 ||
	    (r = get_flag(gguf, "tokenizer.ggml.add_space_prefix", &tok->add_space_prefix,
			  error)) < 0 ||
	    (r = get_flag(gguf, "llmos.tokenizer.pair_apart", &tok->pair_apart, error)) < 0 ||
	    (r = get_flag(gguf, "llmos.tokenizer.no_pairs", &tok->no_pairs, error)) < 0)
		return r;
	tok->add_bos &= tok->bos != TOK_NONE;
	tok->add_eos &= tok->eos != TOK_NONE;
	tok->add_sep &= tok->sep != TOK_NONE;
	settle_ends(tok, gguf);
	mark_strips(tok, gguf);
	return 0;
}
