/* SPDX-License-Identifier: MIT */
/*
 * What the fuzzers of the kinds of tokenizers have in common. The first byte of an input
 * chooses, the rest is the text: it is encoded unless it is no UTF-8, to ids that exist, without
 * control tokens unless they are asked for (but for what is unknown), and where the kind loses
 * nothing it comes back.
 */
#ifndef LLMOS_TESTS_FUZZ_TOK_FUZZ_H
#define LLMOS_TESTS_FUZZ_TOK_FUZZ_H

#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tests/unit/gguf_write.h"
#include "tokenizer/tokenizer.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

/* the tokenizer of a file that was written here, which is freed */
static inline struct tokenizer *fuzz_tokenizer(struct gguf_write *w)
{
	struct tokenizer *tok = NULL;
	struct gguf *gguf = NULL;

	require(!gguf_open_memory(&gguf, w->data, w->size, NULL));
	require(!tok_new(&tok, gguf, NULL));
	gguf_free(gguf);
	free(w->data);
	return tok;
}

/* U+2581 is what SPM has for a space: it comes back as one */
static inline size_t unescape(char *text, size_t len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (len - i >= 3 && !memcmp(text + i, "\xe2\x96\x81", 3)) {
			text[n++] = ' ';
			i += 2;
		} else {
			text[n++] = text[i];
		}
	}
	return n;
}

static inline void require_same(const struct tokenizer *tok, const struct tok_ids *ids, char *text,
				size_t len)
{
	bool is_spm = tok_kind(tok) == TOK_SPM;
	uint32_t user_defined = tok_find(tok, "<ud>");
	size_t at = 0;

	if (is_spm)
		len = unescape(text, len);
	for (size_t i = 0; i < ids->count; i++) {
		bool anew = !i || (is_spm && ids->ids[i - 1] == user_defined);
		size_t n;
		const char *piece = tok_piece(tok, ids->ids[i], anew, false, &n);

		require(n <= len - at && !memcmp(piece, text + at, n));
		at += n;
	}
	require(at == len);
}

static inline void fuzz_encode(const struct tokenizer *tok, unsigned int flags, const uint8_t *data,
			       size_t size)
{
	/* these know an unknown token, and change a text before it is cut */
	const bool is_lossy = tok_kind(tok) == TOK_WORDPIECE || tok_kind(tok) == TOK_UNIGRAM;
	const uint32_t unknown = !is_lossy ? TOK_NONE :
		tok_find(tok, tok_kind(tok) == TOK_UNIGRAM ? "<unk>" : "[UNK]");
	char *text = malloc(size ? size : 1);
	struct tok_ids ids = { 0 };
	size_t count;
	int r;

	require(text && (!is_lossy || unknown != TOK_NONE));
	if (size)
		memcpy(text, data, size);
	r = tok_encode(tok, text, size, flags, SIZE_MAX, &ids);
	require(r == (utf8_valid(text, size) ? 0 : -EILSEQ));
	count = ids.count;
	for (size_t i = 0; i < count; i++) {
		size_t len;

		require(tok_piece(tok, ids.ids[i], !i, true, &len));
		require(flags || ids.ids[i] == unknown || !tok_is_control(tok, ids.ids[i]));
	}
	if (count) {
		require(tok_encode(tok, text, size, flags, 2 * count - 1, &ids) == -E2BIG);
		require(ids.count == count);
	}
	if (!r && !flags && !is_lossy)
		require_same(tok, &ids, text, size);
	free(ids.ids);
	free(text);
}

#endif /* LLMOS_TESTS_FUZZ_TOK_FUZZ_H */
