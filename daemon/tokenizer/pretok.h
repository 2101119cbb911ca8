/* SPDX-License-Identifier: MIT */
/*
 * Pre-tokenizers: the patterns that cut a text into words before byte-level BPE merges inside each
 * of them. A struct pretok is immutable and shared; each encoding has matching buffers of its own.
 */
#ifndef LLMOS_TOKENIZER_PRETOK_H
#define LLMOS_TOKENIZER_PRETOK_H

#include "base/util.h"

struct pretok;
struct pretok_work;

/** struct pretok_traits - what else depends on the name of a pre-tokenizer */
struct pretok_traits {
	bool add_bos;			/* unless the file says otherwise */
	bool ignore_merges;		/* a word that is a token is not built from merges */
};

/**
 * pretok_new() - the one that a file names
 * @name: not NUL-terminated; of no bytes: the file names none
 *
 * Return: 0; -EOPNOTSUPP none of that name is known, -ENOMEM.
 */
int pretok_new(struct pretok **ret, const char *name, size_t len, struct pretok_traits *traits,
	       struct error *error);
void pretok_free(struct pretok *pretok);

int pretok_work_new(struct pretok_work **ret, const struct pretok *pretok);
void pretok_work_free(struct pretok_work *work);

/**
 * pretok_split() - cut a text into words that together are the text
 * @text: UTF-8, checked
 * @ends: where each word ends, in bytes; valid until the next call with @work
 *
 * Return: 0; -E2BIG the text asks for too much backtracking, -ENOMEM.
 */
int pretok_split(struct pretok_work *work, const char *text, size_t len, const uint32_t **ret_ends,
		 size_t *ret_count);

#endif /* LLMOS_TOKENIZER_PRETOK_H */
