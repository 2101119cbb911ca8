/* SPDX-License-Identifier: MIT */
/*
 * What the two targets for adapters share: small models to bind them to, chosen by the first byte
 * of the input, and what must be true of an adapter that was accepted.
 */
#ifndef LLMOS_TESTS_FUZZ_LORA_FUZZ_H
#define LLMOS_TESTS_FUZZ_LORA_FUZZ_H

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/util.h"

static inline void require(bool condition)
{
	if (!condition)
		abort();
}

/* what makes models asks for cmocka's */
#define assert_non_null(pointer)	require((pointer) != NULL)
#define assert_true(condition)		require(condition)
#define assert_int_equal(a, b)		require((uintmax_t)(a) == (uintmax_t)(b))
#define fail_msg(...)			(fprintf(stderr, __VA_ARGS__), abort())

#include "model/lora_internal.h"
#include "tests/unit/arch_build.h"

#define LORA_FUZZ_ANY	0x80	/* of the first byte: no model, but facts alone */

/** lora_fuzz_model() - by the first byte of an input; they are made once. NULL: LORA_FUZZ_ANY */
static inline const struct model *lora_fuzz_model(uint8_t which)
{
	static const char *const names[] = { "llama", "mixtral", "qwen2", "phi3", "gpt2" };
	static struct model *models[ARRAY_SIZE(names)];
	static struct gguf *files[ARRAY_SIZE(names)];
	const size_t i = which % LORA_FUZZ_ANY % ARRAY_SIZE(names);
	char path[64];
	int fd;

	if (which & LORA_FUZZ_ANY)
		return NULL;
	if (models[i])
		return models[i];
	fd = arch_build(arch_shape_find(names[i]), KERN_F32);
	gguf_build_path(fd, path, sizeof(path));
	require(!gguf_open(&files[i], path, NULL));
	require(!model_new(&models[i], files[i], NULL));
	close(fd);
	return models[i];
}

static inline const struct model_matrix *lora_fuzz_matrix(const struct model *model, uint32_t site)
{
	const struct model_layer *l = &model->layers[site / LORA_TARGETS];

	if (site / LORA_TARGETS == model->hparams.layers)
		return &model->output;
	switch (site % LORA_TARGETS) {
	case LORA_Q:
		return &l->q;
	case LORA_K:
		return &l->k;
	case LORA_V:
		return &l->v;
	case LORA_O:
		return &l->o;
	case LORA_GATE:
		return &l->ffn.gate;
	case LORA_UP:
		return &l->ffn.up;
	default:
		return &l->ffn.down;
	}
}

/* every byte of it lies in the adapter's memory: sanitizers see where it does not */
static inline void lora_fuzz_read(const struct model_matrix *matrix)
{
	const unsigned char *data = matrix->w.data;
	unsigned int sum = 0;

	require(matrix->w.row_bytes ==
		kern_row_bytes(kern_type_info(matrix->type), matrix->w.cols));
	for (size_t i = 0; i < matrix->w.rows * matrix->w.row_bytes; i++)
		sum += data[i];
	require(sum < UINT32_MAX);
}

/** lora_fuzz_bind() - bind an open file to a model, where that can be */
static inline void lora_fuzz_bind(const struct lora_file *file, const struct model *model)
{
	struct error error = { "" };
	struct lora *lora = NULL;
	uint32_t pairs = 0, rank = 0;
	int r = lora_bind(&lora, file, model, &error);

	require(r <= 0 && !r == !*error.text && !r == !!lora);
	for (uint32_t i = 0; lora && i <= lora_site(model->hparams.layers, 0); i++) {
		const struct lora_pair *pair = &lora->pairs[i];
		const struct model_matrix *matrix = lora_fuzz_matrix(model, i);

		if (!pair->a.w.rows)
			continue;
		require(pair->a.w.cols == matrix->w.cols && pair->b.w.rows == matrix->w.rows);
		require(pair->b.w.cols == pair->a.w.rows && isfinite(pair->scale));
		lora_fuzz_read(&pair->a);
		lora_fuzz_read(&pair->b);
		rank = MAX(rank, pair->a.w.rows);
		pairs++;
	}
	require(!lora || (pairs && rank == lora->rank && rank <= LORA_RANK_MAX &&
			  lora->parameters && *lora->weights));
	lora_free(lora);
}

/** lora_fuzz_info() - what is shown of a file, whatever it is an adapter of */
static inline void lora_fuzz_info(const struct lora_file *file)
{
	struct lora_info info;

	lora_file_info(file, &info);
	require(info.rank <= LORA_RANK_MAX && *info.weights &&
		strnlen(info.arch, sizeof(info.arch)) < sizeof(info.arch));
}

#endif /* LLMOS_TESTS_FUZZ_LORA_FUZZ_H */
