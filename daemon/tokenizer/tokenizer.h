/* SPDX-License-Identifier: MIT */
/*
 * Text to token ids and back, exactly as the model was trained with: SentencePiece-style SPM,
 * byte-level BPE (pre-tokenizers gpt-2, llama-bpe, qwen2, smollm), WordPiece and unigram
 * vocabularies, built from the keys of a GGUF file. A struct tokenizer is immutable after tok_new()
 * and may be shared by threads; the caller's text is hostile, and so was the file.
 */
#ifndef LLMOS_TOKENIZER_TOKENIZER_H
#define LLMOS_TOKENIZER_TOKENIZER_H

#include "base/util.h"

struct gguf;
struct tokenizer;

#define TOK_NONE	UINT32_MAX

/* bytes of a token that is spelled out in a text; bounds the work at each byte of one */
#define TOK_SPECIAL_LEN_MAX	255

enum tok_kind { TOK_SPM, TOK_BPE, TOK_WORDPIECE, TOK_UNIGRAM };

/* tok_encode() flags */
#define TOK_BOS		(1U << 0)	/* add begin (and for WordPiece or where the file says so,
					 * end) tokens as the file asks
					 */
#define TOK_SPECIAL	(1U << 1)	/* control tokens written in the text become those tokens */
#define TOK_INNER	(1U << 2)	/* the text goes on from another one: none is begun */

/** struct tok_ids - a growing array of ids; zero-initialise, free ids with free() */
struct tok_ids {
	uint32_t *ids;
	size_t count;
	size_t capacity;
};

/**
 * tok_new() - build the tokenizer of a model file
 *
 * Return: 0; -EBADMSG the keys are missing or contradict each other, -EOPNOTSUPP a model or
 * pre-tokenizer that is not supported (the text names it), -ENOMEM.
 */
int tok_new(struct tokenizer **ret, const struct gguf *gguf, struct error *error);
void tok_free(struct tokenizer *tok);
DEFINE_CLEANUP(struct tokenizer *, tok_free);

enum tok_kind tok_kind(const struct tokenizer *tok);
const char *tok_kind_name(const struct tokenizer *tok);	/* as enum tok_kind */
uint32_t tok_vocab(const struct tokenizer *tok);
uint32_t tok_bos(const struct tokenizer *tok);		/* TOK_NONE if there is none */
uint32_t tok_eos(const struct tokenizer *tok);
bool tok_add_bos(const struct tokenizer *tok);		/* the file asks for it */
/** tok_pair_apart() - of two texts in one, what ends the first stands there twice */
bool tok_pair_apart(const struct tokenizer *tok);
/** tok_has_no_pairs() - the file puts two texts together in a way that is not known */
bool tok_has_no_pairs(const struct tokenizer *tok);
/** tok_has_pair_words() - a query and a text are put into words of the file's own */
bool tok_has_pair_words(const struct tokenizer *tok);
/** tok_is_end() - does this token end an answer (eos, end of turn, ...)? */
bool tok_is_end(const struct tokenizer *tok, uint32_t id);
bool tok_is_control(const struct tokenizer *tok, uint32_t id);
/** tok_find() - the id of a token by its exact text in the vocabulary, TOK_NONE if there is none */
uint32_t tok_find(const struct tokenizer *tok, const char *text);

/**
 * tok_encode() - append the ids of @text to @ids
 *
 * Time is at most n log n in @len.
 *
 * Return: 0; -EILSEQ @text is not UTF-8, -E2BIG more than @max ids in @ids, or more bytes in one
 * piece than a unigram vocabulary spells at once (UNIGRAM_PIECE_MAX), -ENOMEM.
 */
int tok_encode(const struct tokenizer *tok, const char *text, size_t len, unsigned int flags,
	       size_t max, struct tok_ids *ids);

/**
 * tok_encode_pair() - append the ids of a query and a text in the words that the file has for them
 * @flags: TOK_SPECIAL: control tokens in either of them count
 *
 * What is between two control tokens is encoded as one text. Only where tok_has_pair_words().
 * Return: as tok_encode().
 */
int tok_encode_pair(const struct tokenizer *tok, const char *query, size_t query_len,
		    const char *text, size_t len, unsigned int flags, size_t max,
		    struct tok_ids *ids);
/** tok_pair_end() - (*ret_count) ids of the words behind the text, by themselves */
const uint32_t *tok_pair_end(const struct tokenizer *tok, size_t *ret_count);

/**
 * tok_piece() - the bytes a token stands for
 * @first: it is the first of a text (SPM and WordPiece drop the space before it)
 * @special: spell out control tokens; else they are empty
 * @ret_len: number of bytes
 *
 * Return: the bytes, valid as long as the tokenizer; NULL if @id is not a token.
 */
const char *tok_piece(const struct tokenizer *tok, uint32_t id, bool first, bool special,
		      size_t *ret_len);

#endif /* LLMOS_TOKENIZER_TOKENIZER_H */
