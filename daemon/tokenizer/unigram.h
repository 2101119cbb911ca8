/* SPDX-License-Identifier: MIT */
/*
 * A unigram vocabulary: each token has the logarithm of a probability, and a text becomes those
 * tokens whose sum is the highest (Kudo, "Subword Regularization", 2018). What is done to a text
 * before differs between the two kinds of files that have such vocabularies: see unigram_text.c.
 */
#ifndef LLMOS_TOKENIZER_UNIGRAM_H
#define LLMOS_TOKENIZER_UNIGRAM_H

#include "base/bytes.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/trie.h"

/* bytes of a token; a position of a text is looked at as often */
#define UNIGRAM_TOKEN_MAX	255U
#define UNIGRAM_STEPS_MAX	8U

/*
 * Bytes that are spelled at once: a word, or where tokens go across words all of a text between
 * special tokens. Each byte takes 16 more.
 */
#define UNIGRAM_PIECE_MAX	(((size_t)4 << 20) - 1)

/* what tokenizer.json says is done to a text, one after the other */
enum unigram_step {
	UNIGRAM_MAP,			/* the map of characters, cluster by cluster */
	UNIGRAM_COLLAPSE,		/* several spaces become one, */
	UNIGRAM_COLLAPSE_MARK,		/* or U+2581 */
	UNIGRAM_STRIP_LEFT,		/* white space goes from the beginning, */
	UNIGRAM_STRIP_RIGHT,		/* or from the end */
	UNIGRAM_NFC,			/* Unicode's form C, */
	UNIGRAM_NFKC,			/* or KC */
};

/**
 * struct unigram - what a tokenizer of this kind has besides its vocabulary
 * @scores: (n_vocab), as precise as the file has them: ties are decided by the last bit
 * @unknown_score: of a character that is no token
 * @has_steps: @steps are what is done to a text, and @is_white_apart; else it is as GGUF has it
 * @is_white_apart: white space ends a word and goes
 * @merges_spaces: GGUF: spaces before, between and behind words count as one before each
 */
struct unigram {
	struct trie trie;
	double *scores;
	double unknown_score;
	struct charsmap map;
	bool has_map;
	bool has_steps;
	enum unigram_step steps[UNIGRAM_STEPS_MAX];
	size_t step_count;
	bool is_white_apart;
	bool merges_spaces;
};

/**
 * struct unigram_node - the best way to spell a text up to one of its bytes
 * @len: bytes of its last token; 0: there is no way
 */
struct unigram_node {
	double score;
	uint32_t id;
	uint8_t len;
};
_Static_assert(UNIGRAM_TOKEN_MAX <= UINT8_MAX, "fits struct unigram_node");

/** struct unigram_work - buffers of one encoding; zero-initialise */
struct unigram_work {
	struct bytes text[2];		/* before and behind a step */
	struct unigram_node *nodes;
	size_t node_capacity;
	bool was_unknown;		/* GGUF: the last token; several in a row are one */
};

void unigram_work_done(struct unigram_work *work);

/** unigram_load_text() - the keys about texts; errors as tok_new() */
int unigram_load_text(struct tokenizer *tok, const struct gguf *gguf, struct error *error);

/**
 * unigram_normalise() - a text as tokenizer.json or GGUF have it spelled
 *
 * What follows is up to the kind of file: with steps, spaces are still there and no U+2581 was put
 * before anything.
 *
 * Return: 0, what became of it in work->text[0]; -ENOMEM.
 */
int unigram_normalise(const struct tokenizer *tok, struct unigram_work *work, const char *text,
		      size_t len);

/** unigram_is_white() - does this character separate words, as Unicode has it? */
bool unigram_is_white(uint32_t code);

#endif /* LLMOS_TOKENIZER_UNIGRAM_H */
