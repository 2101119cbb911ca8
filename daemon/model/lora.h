/* SPDX-License-Identifier: MIT */
/*
 * A LoRA adapter: for some matrices W of a model, two small ones, A (r, cols) and B (rows, r), such
 * that the model computes W x + scale * B (A x). It comes as a GGUF file (general.type "adapter",
 * adapter.type "lora", tensors NAME.lora_a and NAME.lora_b), or as a folder that PEFT wrote
 * (adapter_config.json, adapter_model.safetensors). Either is hostile. What is here is a copy, in
 * memory of its own, bound to one model and checked against its shapes; it is immutable, and goes
 * before its model does. Source: Hu et al., "LoRA: Low-Rank Adaptation of Large Language Models"
 * (2021); Kalajdzievski, "A Rank Stabilization Scaling Factor" (2023).
 */
#ifndef LLMOS_MODEL_LORA_H
#define LLMOS_MODEL_LORA_H

#include "model/model.h"

#define LORA_RANK_MAX	4096U

/**
 * enum lora_target - matrices of a layer that can be adapted
 *
 * Those that are multiplied with the same activations follow each other.
 */
enum lora_target {
	LORA_Q,
	LORA_K,
	LORA_V,
	LORA_O,
	LORA_GATE,
	LORA_UP,
	LORA_DOWN,
	LORA_TARGETS,
};

/**
 * struct lora_pair - of one matrix; without rows in @a: it is not adapted
 * @a: (r, cols of the matrix)
 * @b: (rows of the matrix, r)
 * @scale: what B (A x) is multiplied by, as it was trained
 */
struct lora_pair {
	struct model_matrix a;
	struct model_matrix b;
	float scale;
};

/**
 * struct lora - see above
 * @pairs: (layers * LORA_TARGETS + 1) by lora_site(); the last one is the output's
 * @rank: the largest there is
 * @parameters: number of weights
 * @weights: name of the type that holds most of them
 * @bytes: of memory that it takes
 */
struct lora {
	struct lora_pair *pairs;
	void *memory;
	uint32_t rank;
	uint64_t parameters;
	const char *weights;
	size_t bytes;
};

/** lora_site() - where a matrix stands in struct lora.pairs; of layer @layers: the output */
static inline uint32_t lora_site(uint32_t layer, enum lora_target target)
{
	return layer * LORA_TARGETS + target;
}

/**
 * lora_open() - read an adapter for a model
 * @path: of a GGUF file, or of a folder
 *
 * Return: 0; -ENOENT ..., -EBADMSG broken, or not of this model (the text names the key or tensor),
 * -EOPNOTSUPP a variant that is not supported, -E2BIG, -ENOMEM.
 */
int lora_open(struct lora **ret, const char *path, const struct model *model, struct error *error);
void lora_free(struct lora *lora);
DEFINE_CLEANUP(struct lora *, lora_free);

/** struct lora_info - facts of a file, as far as they are known without its model */
struct lora_info {
	uint64_t parameters;
	uint32_t rank;
	char arch[32];
	char weights[16];
};

/** lora_read_info() - whatever the file says; 0 or as lora_open() */
int lora_read_info(struct lora_info *ret, const char *path, struct error *error);

/** lora_read_keys() - an open file's keys, for show; of a folder, the settings that matter */
int lora_read_keys(struct gguf **ret, const char *path, struct error *error);

#endif /* LLMOS_MODEL_LORA_H */
