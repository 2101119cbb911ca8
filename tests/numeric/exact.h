/* SPDX-License-Identifier: MIT */
/*
 * The exact logits of a model: a forward pass in double over its weights, plain loops written from
 * the papers and the models' first implementations. It shares the reader of files and the decoding
 * of weights with the engine, and nothing else: no bound, no shape and no formula of it. Slow, and
 * for files that are trusted.
 */
#ifndef LLMOS_TESTS_NUMERIC_EXACT_H
#define LLMOS_TESTS_NUMERIC_EXACT_H

#include <stddef.h>
#include <stdint.h>

struct gguf;

/**
 * struct exact_adapter - a LoRA adapter, merged into the weights that its tensors name
 * @scales: (tensors of @gguf) of each pair by its A; NULL: what the file's alpha says
 * @scale: of the request
 */
struct exact_adapter {
	const struct gguf *gguf;
	const float *scales;
	double scale;
};

/**
 * exact_logits() - logits behind each token of a text
 * @tokens: (count)
 * @context: tokens that a sequence may have, which decides between sets of frequencies where a
 *	model has two
 * @ret_vocab: logits of a token
 *
 * Return: (count, vocab), to be freed; NULL: the model is not known here, or no memory.
 */
double *exact_logits(const struct gguf *gguf, const uint32_t *tokens, size_t count,
		     uint32_t context, size_t *ret_vocab);

/** exact_logits_adapted() - the same with adapters, which name weights as the model does */
double *exact_logits_adapted(const struct gguf *gguf, const struct exact_adapter *adapters,
			     size_t adapter_count, const uint32_t *tokens, size_t count,
			     uint32_t context, size_t *ret_vocab);

/** exact_rms() - |x - truth| / |truth| of @count logits */
double exact_rms(const float *x, const double *truth, size_t count);

#endif /* LLMOS_TESTS_NUMERIC_EXACT_H */
