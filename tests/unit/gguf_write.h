/* SPDX-License-Identifier: MIT */
/*
 * Writes GGUF files for tests, valid or not: whatever is added is written as it is told. Used by
 * unit tests and fuzzers, so it needs nothing of either. It runs out of memory by abort().
 */
#ifndef LLMOS_TESTS_UNIT_GGUF_WRITE_H
#define LLMOS_TESTS_UNIT_GGUF_WRITE_H

#include <stddef.h>
#include <stdint.h>

#include "model/gguf.h"

/** struct gguf_write - zero-initialise, add; free data */
struct gguf_write {
	char *data;
	size_t size, capacity;
};

void gguf_write_bytes(struct gguf_write *w, const void *data, size_t size);
void gguf_write_u32(struct gguf_write *w, uint32_t value);
void gguf_write_u64(struct gguf_write *w, uint64_t value);
void gguf_write_string(struct gguf_write *w, const char *data, size_t len);

/** gguf_write_header() - magic number, version, counts */
void gguf_write_header(struct gguf_write *w, uint32_t version, uint64_t tensors, uint64_t keys);
/** gguf_write_key() - a key's name and type; its value comes after it */
void gguf_write_key(struct gguf_write *w, const char *name, uint32_t type);
void gguf_write_key_u32(struct gguf_write *w, const char *name, uint32_t value);
void gguf_write_key_bool(struct gguf_write *w, const char *name, unsigned char value);
void gguf_write_key_string(struct gguf_write *w, const char *name, const char *value);
void gguf_write_key_array(struct gguf_write *w, const char *name, uint32_t type, uint64_t count);
void gguf_write_tensor(struct gguf_write *w, const char *name, uint32_t type, uint64_t offset,
		       uint32_t n_dims, const uint64_t *dims);
void gguf_write_pad(struct gguf_write *w, size_t alignment);

/** struct vocab_token - one token of a vocabulary to write; type 0: normal */
struct vocab_token {
	const char *text;
	float score;
	int32_t type;
};

/** gguf_write_vocab() - tokens, scores and types: three keys */
void gguf_write_vocab(struct gguf_write *w, const struct vocab_token *tokens, size_t count);

/*
 * Small whole vocabularies, as files. Each has a token for each byte, control tokens and a
 * user-defined one; @template may be NULL.
 */
void gguf_write_spm(struct gguf_write *w, const char *template);
void gguf_write_bpe(struct gguf_write *w, const char *pre, const char *template);
void gguf_write_wordpiece(struct gguf_write *w);
/** gguf_write_unigram() - with a map of characters: see gguf_write_charsmap() */
void gguf_write_unigram(struct gguf_write *w);

#define CHARSMAP_MAX	65536U		/* bytes of a map */
/**
 * gguf_write_charsmap() - a map of characters as SentencePiece writes it
 * @to: CHARSMAP_MAX bytes
 *
 * The ligature fi becomes two letters, a soft hyphen nothing, a tab and U+00A0 a space, an e and a
 * combining acute one character; of "o" with a diaeresis and a macron behind it, the shorter string
 * and the longer one both have something else in their place. Return: its bytes.
 */
size_t gguf_write_charsmap(uint8_t *to);

#endif /* LLMOS_TESTS_UNIT_GGUF_WRITE_H */
