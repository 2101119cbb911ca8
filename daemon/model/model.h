/* SPDX-License-Identifier: MIT */
/*
 * A model of the Llama family as a GGUF file describes it: its hyperparameters, and its weights
 * bound by name, every shape checked against them. Weights stay in the file's mapping; only vectors
 * that are not float32 there (some norms and biases) are copies. A struct model is immutable after
 * model_new() and must not outlive its file.
 */
#ifndef LLMOS_MODEL_MODEL_H
#define LLMOS_MODEL_MODEL_H

#include "base/util.h"
#include "kernels/kernels.h"

struct gguf;

/* bounds that no real model comes near, and within which sizes can't overflow */
#define MODEL_WIDTH_MAX		(1U << 20)
#define MODEL_FF_MAX		(1U << 22)
#define MODEL_HEADS_MAX		(1U << 12)
#define MODEL_HEAD_DIM_MAX	(1U << 12)
#define MODEL_VOCAB_MAX		(1U << 24)
#define MODEL_CONTEXT_MAX	(1U << 27)

enum model_rope_scaling {
	MODEL_ROPE_NONE,
	MODEL_ROPE_LINEAR,
	MODEL_ROPE_YARN,
};

/**
 * struct model_rope - rotary position embedding
 * @neox: pairs are (i, i + dim / 2), else (2i, 2i + 1)
 * @dim: elements of a head that are turned, even
 * @freq_base: of pair 0
 * @scaling: how positions beyond the original context are squeezed
 * @factor: of linear and yarn scaling, how many times the context was stretched
 * @attn_factor: multiplies the length of what is turned, whatever the scaling
 * @beta_fast: yarn, turns within the original context above which a pair keeps its frequency
 * @beta_slow: yarn, turns below which it is scaled by all of @factor
 * @original_context: yarn, tokens before stretching
 * @divisors: (dim / 2) of each pair's frequency (Llama 3), NULL: none
 */
struct model_rope {
	bool neox;
	uint32_t dim;
	float freq_base;
	enum model_rope_scaling scaling;
	float factor;
	float attn_factor;
	float beta_fast;
	float beta_slow;
	uint32_t original_context;
	const float *divisors;
};

/** struct model_hparams - sizes; all are at least 1 and below the bounds above */
struct model_hparams {
	uint32_t context;
	uint32_t layers;
	uint32_t width;
	uint32_t heads;
	uint32_t kv_heads;		/* divides heads */
	uint32_t head_dim;		/* a multiple of 8 */
	uint32_t ff_width;
	uint32_t vocab;
	float norm_eps;
	struct model_rope rope;
};

/** struct model_matrix - weights of one type, and what is added to each output (NULL: nothing) */
struct model_matrix {
	enum kern_type type;
	struct kern_weights w;
	const float *bias;		/* (w.rows) */
};

struct model_layer {
	const float *attn_norm;		/* (width) */
	struct model_matrix q;		/* (heads * head_dim, width) */
	struct model_matrix k;		/* (kv_heads * head_dim, width) */
	struct model_matrix v;		/* (kv_heads * head_dim, width) */
	struct model_matrix o;		/* (width, heads * head_dim) */
	const float *ffn_norm;		/* (width) */
	struct model_matrix gate;	/* (ff_width, width) */
	struct model_matrix up;		/* (ff_width, width) */
	struct model_matrix down;	/* (width, ff_width) */
};

/**
 * struct model - see above
 * @embedding: (vocab, width)
 * @output: (vocab, width), the embedding where the file has no other
 * @parameters: number of weights
 * @weights: name of the type that holds most of them
 * @is_f32: all matrices are float32
 */
struct model {
	struct model_hparams hparams;
	struct model_matrix embedding;
	struct model_matrix output;
	const float *output_norm;
	struct model_layer *layers;
	uint64_t parameters;
	const char *weights;
	bool is_f32;
	struct model_copy *copies;
};

/**
 * model_new() - bind the weights of a file
 *
 * Return: 0; -EBADMSG a key or tensor is missing, or does not fit the others; -EOPNOTSUPP an
 * architecture, weight type or variant that is not supported (the text names it); -ENOMEM.
 */
int model_new(struct model **ret, const struct gguf *gguf, struct error *error);
void model_free(struct model *model);
DEFINE_CLEANUP(struct model *, model_free);

/** model_read_hparams() - the part of model_new() that reads keys; vocab is left 0 */
int model_read_hparams(struct model_hparams *ret, const struct gguf *gguf, struct error *error);

#endif /* LLMOS_MODEL_MODEL_H */
