/* SPDX-License-Identifier: MIT */
/* What the files of tokenizer_json share. No one else includes this. */
#ifndef LLMOS_MODEL_TOKENIZER_JSON_INTERNAL_H
#define LLMOS_MODEL_TOKENIZER_JSON_INTERNAL_H

#include "base/table.h"
#include "model/tokenizer_json.h"

enum tokenizer_kind { KIND_BYTES, KIND_SPM, KIND_WORDPIECE, KIND_UNIGRAM };

/** struct reader - what is known of a tokenizer while it is being read */
struct reader {
	struct gguf *gguf;
	const struct tokenizer_files *files;
	const json_t *model;		/* "model" of tokenizer.json */
	enum tokenizer_kind kind;
	uint32_t n_vocab;
	bool is_padded;			/* the embedding says how many tokens there are */
	struct gguf_string *texts;	/* (n_vocab), NULL: no token has this id */
	int32_t *types;			/* (n_vocab) */
	uint8_t *strips;		/* (n_vocab) */
	struct table ids;		/* by text, as the files write them */
	uint32_t bos, eos, sep, unk;	/* TABLE_NONE: there is none */
	bool add_bos, add_sep, add_eos;
	bool is_pair_apart;		/* of two texts, the first one ends twice */
	bool has_no_pairs;		/* what is put around two texts is not known */
	struct error *error;
};

/* the token of this text, TABLE_NONE: there is none */
static inline uint32_t reader_find(const struct reader *r, const json_t *text)
{
	return json_is_string(text) ? table_find(&r->ids, json_string_value(text),
						 json_string_length(text)) : TABLE_NONE;
}

static inline bool json_is_none(const json_t *json)
{
	return !json || json_is_null(json);
}

/** tokenizer_kind_find() - the kind, and its keys about pre-tokenizers and normalizers */
int tokenizer_kind_find(struct reader *r);
/** tokenizer_set_text() - token @id, which must be in range and not be there yet, has this text */
int tokenizer_set_text(struct reader *r, uint32_t id, const char *text, size_t len);
/** tokenizer_vocab_load() - tokens, their kinds, merges */
int tokenizer_vocab_load(struct reader *r);
/** tokenizer_ids_load() - begin, end, what is put around a text, the chat template */
int tokenizer_ids_load(struct reader *r);

/* tokenizer_json_unigram.c */

/** tokenizer_map_load() - the normalizer that replaces strings by a map; it must be in base64 */
int tokenizer_map_load(struct reader *r, const json_t *step);
/**
 * tokenizer_unigram_find() - the keys of a unigram vocabulary
 * @normal: words of its normalizer, each with a ';' behind it
 * @pre: of its pre-tokenizer
 */
int tokenizer_unigram_find(struct reader *r, const char *normal, const char *pre);
/** tokenizer_unigram_load() - its tokens and their scores, and which one is unknown */
int tokenizer_unigram_load(struct reader *r, const json_t *vocab);

/** reader_added() - what an addition of a key brought, as an error */
int reader_added(struct reader *r, int e);

#endif /* LLMOS_MODEL_TOKENIZER_JSON_INTERNAL_H */
