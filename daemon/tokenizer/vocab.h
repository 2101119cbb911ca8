/* SPDX-License-Identifier: MIT */
/*
 * The inside of a tokenizer, shared by the files of this room: the vocabulary as the model file has
 * it, copied out of the mapping, so that a tokenizer does not depend on the file it came from.
 */
#ifndef LLMOS_TOKENIZER_VOCAB_H
#define LLMOS_TOKENIZER_VOCAB_H

#include "base/table.h"
#include "tokenizer/tokenizer.h"

struct gguf;
struct pretok;
struct bpe;
struct unigram;
struct chat_style;
struct pair_words;

/* what SentencePiece and GGUF write for a space */
#define TOK_SPACE	"\xe2\x96\x81"
#define TOK_SPACE_LEN	3

/* kinds of tokens, numbered as in the file */
enum tok_type {
	TOK_TYPE_NORMAL = 1,
	TOK_TYPE_UNKNOWN = 2,
	TOK_TYPE_CONTROL = 3,
	TOK_TYPE_USER_DEFINED = 4,	/* text that is always one token */
	TOK_TYPE_UNUSED = 5,
	TOK_TYPE_BYTE = 6,
};

/* where SPM puts a space before a text that is not there; only with add_space_prefix */
enum tok_prefix {
	TOK_PREFIX_ALWAYS,		/* each text between special tokens */
	TOK_PREFIX_UNLESS_SPACE,	/* but for those that begin with one */
	TOK_PREFIX_FIRST,		/* only what all begins with, unless with a space */
};

#define TOK_ATTR_END	(1U << 0)	/* ends an answer */
#define TOK_ATTR_LSTRIP	(1U << 1)	/* swallows the white space before it, */
#define TOK_ATTR_RSTRIP	(1U << 2)	/* or after it, where it is parsed from text */

/** struct tok_texts - strings by token id, in one piece of memory */
struct tok_texts {
	char *bytes;
	uint32_t *at;			/* (n_vocab + 1): where each starts */
};

struct tokenizer {
	enum tok_kind kind;
	uint32_t n_vocab;
	struct tok_texts texts;		/* as in the file */
	struct tok_texts pieces;	/* as in running text */
	uint8_t *types, *attrs;
	float *scores;			/* SPM: never NaN */
	struct table by_text;		/* may hold ids past n_vocab: see bpe.c */
	size_t text_len_max;
	uint32_t bos, eos, sep, unk;
	uint32_t byte_ids[256];		/* the token of a single byte, or TOK_NONE */
	bool add_bos, add_eos, add_sep, add_space_prefix, pair_apart, no_pairs;
	bool ignore_merges;		/* BPE: a word that is a token is that token */
	bool nfc;			/* BPE: texts are brought to Unicode's form C */
	bool lowercase, strip_accents;	/* WordPiece */
	bool words_apart;		/* SPM, unigram: no token spans two words */
	bool spaces_apart;		/* SPM, unigram: each space begins a word */
	enum tok_prefix prefix;		/* SPM; unigram: the first or the last of these */
	uint32_t *specials;		/* sorted by text */
	size_t special_count;
	uint64_t special_first[4];	/* set of their first bytes */
	struct bpe *bpe;		/* BPE; SPM that merges in a given order, not by scores */
	struct pretok *pretok;
	struct unigram *unigram;
	struct chat_style *chat;	/* of the file's chat template */
	struct pair_words *pair;	/* of its template for a query and a text, NULL: none */
};

static inline const char *tok_text(const struct tok_texts *texts, uint32_t id, size_t *ret_len)
{
	*ret_len = texts->at[id + 1] - texts->at[id];
	return texts->bytes + texts->at[id];
}

/** tok_is_text() - may this token come out of ordinary text? */
static inline bool tok_is_text(const struct tokenizer *tok, uint32_t id)
{
	return id < tok->n_vocab && tok->types[id] != TOK_TYPE_CONTROL &&
	       tok->types[id] != TOK_TYPE_UNKNOWN && tok->types[id] != TOK_TYPE_BYTE;
}

/* vocab.c: everything that does not depend on the kind */
int vocab_load(struct tokenizer *tok, const struct gguf *gguf, struct error *error);
/** vocab_byte() - the byte that a text like "<0x0A>" names, -1 if it names none */
int vocab_byte(const char *text, size_t len);
/** vocab_load_scores() - (n_vocab), never NaN; of kinds that vocab_load() loads none for */
int vocab_load_scores(struct tokenizer *tok, const struct gguf *gguf, double *scores,
		      struct error *error);
/* vocab_ids.c: the tokens with a meaning, and which of them to add to a text */
int vocab_load_ids(struct tokenizer *tok, const struct gguf *gguf, struct error *error);

/* piece.c */
int pieces_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error);

/* special.c */
int specials_build(struct tokenizer *tok, struct error *error);
/**
 * specials_find() - the first token at or after @pos that is spelled out in the text; of several
 * at one place the longest
 *
 * Return: its id, its place in @ret_at; TOK_NONE if there is none.
 */
uint32_t specials_find(const struct tokenizer *tok, const char *text, size_t len, size_t pos,
		       unsigned int flags, size_t *ret_at);

/** struct tok_part - text, or a token */
struct tok_part {
	const char *text;
	size_t len;
	uint32_t id;			/* TOK_NONE: it is text */
};

/**
 * tok_encode_parts() - append the ids of all parts
 *
 * Texts that follow each other are one text. Control tokens are not looked for in them. Errors as
 * tok_encode().
 */
int tok_encode_parts(const struct tokenizer *tok, const struct tok_part *parts, size_t count,
		     size_t max, struct tok_ids *ids);

#define TOK_KEY_STRIPS		"llmos.tokenizer.strips"	/* TOK_ATTR_?STRIP, a byte a token */
#define TOK_KEY_ENDS		"llmos.tokenizer.end_ids"	/* more tokens that end an answer */
/* merges of SPM, in the place of scores: tokenizer.json has them, GGUF does not */
#define TOK_KEY_SPM_MERGES	"llmos.tokenizer.merges"

/* words around a query and a text */
#define TOK_KEY_PAIR		"tokenizer.chat_template.rerank"

/* of unigram vocabularies: what is done to a text, see unigram.h; without, it is as GGUF has it */
#define TOK_KEY_STEPS		"llmos.tokenizer.steps"
#define TOK_KEY_WHITE_APART	"llmos.tokenizer.white_apart"
#define TOK_KEY_SPACES_APART	"llmos.tokenizer.spaces_apart"
#define TOK_KEY_PREFIX_FIRST	"llmos.tokenizer.prefix_first"
/* (n_vocab) F64, in the place of scores in float32 */
#define TOK_KEY_SCORES		"llmos.tokenizer.scores"

struct tok_work;

/* one per kind: build what it needs; encode a fragment that contains no special tokens */
int spm_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error);
/** spm_encode() - @at_start: nothing was before this fragment */
int spm_encode(struct tok_work *work, const char *text, size_t len, bool at_start);
int bpe_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error);
int bpe_encode(struct tok_work *work, const char *text, size_t len);
void bpe_free(struct bpe *bpe);
int wordpiece_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error);
int wordpiece_encode(struct tok_work *work, const char *text, size_t len);
int unigram_build(struct tokenizer *tok, const struct gguf *gguf, struct error *error);
/** unigram_encode() - @at_start as of spm_encode() */
int unigram_encode(struct tok_work *work, const char *text, size_t len, bool at_start);
void unigram_free(struct unigram *unigram);

#endif /* LLMOS_TOKENIZER_VOCAB_H */
