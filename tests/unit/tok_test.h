/* SPDX-License-Identifier: MIT */
/* What the tests of tokenizers and chat templates share. Include cmocka before this. */
#ifndef LLMOS_TESTS_UNIT_TOK_TEST_H
#define LLMOS_TESTS_UNIT_TOK_TEST_H

#include <stdio.h>
#include <string.h>

#include "gguf_write.h"
#include "tokenizer/tokenizer.h"

/* the tokenizer of what was written, which is freed; @want: what tok_new() has to return */
static inline struct tokenizer *tok_of(struct gguf_write *w, int want, const char *text)
{
	struct tokenizer *tok = NULL;
	struct error error = { 0 };
	struct gguf *gguf = NULL;
	int r;

	if (gguf_open_memory(&gguf, w->data, w->size, &error) < 0)
		fail_msg("%s", error.text);
	r = tok_new(&tok, gguf, &error);
	if (r != want)
		print_error("%d: %s\n", r, error.text);
	assert_int_equal(r, want);
	if (text && !strstr(error.text, text))
		fail_msg("'%s' does not say '%s'", error.text, text);
	gguf_free(gguf);
	/* a tokenizer does not need the file any more */
	memset(w->data, 0xee, w->size);
	free(w->data);
	*w = (struct gguf_write){ 0 };
	return tok;
}

/* ids as text, control tokens spelled out; @separator between tokens */
static inline char *tok_text_of(const struct tokenizer *tok, const struct tok_ids *ids,
				const char *separator)
{
	char *text = NULL;
	size_t size = 0;
	FILE *file = open_memstream(&text, &size);

	assert_non_null(file);
	for (size_t i = 0; i < ids->count; i++) {
		size_t len;
		const char *piece = tok_piece(tok, ids->ids[i], false, true, &len);

		assert_non_null(piece);
		fprintf(file, "%s", i ? separator : "");
		fwrite(piece, 1, len, file);
	}
	fclose(file);
	return text;
}

/* encode @text; its tokens have to be @want, joined by | */
static inline void tok_expect(const struct tokenizer *tok, const char *text, size_t len,
			      unsigned int flags, const char *want)
{
	struct tok_ids ids = { 0 };
	char *have;

	assert_int_equal(tok_encode(tok, text, len, flags, SIZE_MAX, &ids), 0);
	have = tok_text_of(tok, &ids, "|");
	assert_string_equal(have, want);
	free(have);
	free(ids.ids);
}

#define TOK_EXPECT(tok, text, flags, want)	\
	tok_expect(tok, text, sizeof(text) - 1, flags, want)

#endif /* LLMOS_TESTS_UNIT_TOK_TEST_H */
