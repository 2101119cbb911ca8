/* SPDX-License-Identifier: MIT */
/*
 * A model as a GGUF file describes it: what its architecture computes, as data, its sizes, and its
 * weights bound by name, every shape checked against them. Vectors (norms and biases) are copies in
 * float32; matrices stay in the file's mapping, until whoever loads it puts packed ones in their
 * place. A struct model is immutable from then on and must not outlive its file.
 */
#ifndef LLMOS_MODEL_MODEL_H
#define LLMOS_MODEL_MODEL_H

#include "base/list.h"
#include "base/util.h"
#include "kernels/kernels.h"

struct gguf;
struct gguf_string;

/* bounds that no real model comes near, and within which sizes can't overflow */
#define MODEL_WIDTH_MAX		(1U << 20)
#define MODEL_FF_MAX		(1U << 22)
#define MODEL_HEADS_MAX		(1U << 12)
#define MODEL_HEAD_DIM_MAX	(1U << 12)
#define MODEL_VOCAB_MAX		(1U << 24)
#define MODEL_CONTEXT_MAX	(1U << 27)
#define MODEL_TOKEN_TYPES_MAX	256U
#define MODEL_LABELS_MAX	4096U
#define MODEL_EXPERTS_MAX	(1U << 10)
#define MODEL_EXPERTS_USED_MAX	64U	/* by a token: choosing them takes its square */

enum model_rope_scaling {
	MODEL_ROPE_NONE,
	MODEL_ROPE_LINEAR,
	MODEL_ROPE_YARN,
};

/**
 * struct model_rope - rotary position embedding
 * @dim: elements of a head that are turned, even; 0: none
 * @is_neox: pairs are (i, i + dim / 2), else (2i, 2i + 1)
 * @freq_base: of pair 0
 * @scaling: how positions beyond the original context are squeezed
 * @factor: of linear and yarn scaling, how many times the context was stretched
 * @attn_factor: multiplies the length of what is turned, whatever the scaling
 * @beta_fast: yarn, turns within the original context above which a pair keeps its frequency
 * @beta_slow: yarn, turns below which it is scaled by all of @factor
 * @has_real_ends: yarn, the ramp between the two ends anywhere, else at whole pairs
 * @original_context: yarn, tokens before stretching
 * @divisors: (dim / 2) of each pair's frequency (Llama 3, Phi-3), NULL: none
 * @divisors_long: (dim / 2) in place of @divisors where sequences may be longer than
 *	@original_context (Phi-3), NULL: the same
 */
struct model_rope {
	uint32_t dim;
	bool is_neox;
	float freq_base;
	enum model_rope_scaling scaling;
	float factor;
	float attn_factor;
	float beta_fast;
	float beta_slow;
	bool has_real_ends;
	uint32_t original_context;
	const float *divisors;
	const float *divisors_long;
};

enum model_norm_kind {
	MODEL_NORM_RMS,
	MODEL_NORM_LAYER,		/* with a bias */
};

enum model_act {
	MODEL_ACT_SILU,
	MODEL_ACT_GELU,			/* approximated by tanh */
	MODEL_ACT_GELU_ERF,
};

/** enum model_head_act - the function between the matrices of a head */
enum model_head_act {
	MODEL_HEAD_TANH,
	MODEL_HEAD_RELU,
	MODEL_HEAD_GELU,		/* by erf */
};

/** enum model_pooling - what a text's vector is made of; by GGUF's numbers */
enum model_pooling {
	MODEL_POOL_NONE = 0,		/* the file does not say */
	MODEL_POOL_MEAN = 1,
	MODEL_POOL_FIRST = 2,
	MODEL_POOL_LAST = 3,
	MODEL_POOL_RANK = 4,		/* in files only: there are labels, for ranking */
};

/**
 * struct model_window - which layers see only the tokens just before a token
 * @tokens: that such a layer sees, the token itself included; 0: there are no such layers. In an
 *	encoder half of them before a token, and half of them behind it, and the token
 * @period: of so many layers, the last one sees all; 0: none does. Without @is_local
 * @is_local: (layers) bool, which layers are such; NULL: see @period
 * @sees_all_first: of @period layers the first one sees all, not the last
 * @has_rope: such layers turn by a rope of their own, model_hparams.rope_local
 */
struct model_window {
	uint32_t tokens;
	uint32_t period;
	const uint8_t *is_local;
	bool sees_all_first;
	bool has_rope;
};

/**
 * struct model_experts - feed-forward networks of which a token passes some
 * @count: in a layer, but those of one network that all tokens pass; 0: all layers are such
 * @used: by a token
 * @width: of an expert's hidden state
 * @scale: of what comes out
 * @is_normed: the weights of those used are made to add up to one
 */
struct model_experts {
	uint32_t count;
	uint32_t used;
	uint32_t width;
	float scale;
	bool is_normed;
};

/**
 * struct model_hparams - sizes, which are at least 1 and below the bounds above, and what a layer
 * computes
 * @arch: name of the architecture
 * @head_dim: a multiple of 8
 * @head_elems: of which a file has so many, and the others are zero
 * @kv_heads: divides @heads
 * @is_gated: the hidden state is act(gate) * up, else act(up)
 * @has_head_norms: queries and keys are normalised, head by head, before they are turned
 * @has_post_norms: what attention and feed-forward network give is normalised before it is added
 * @has_positions: learned vectors of positions are added to the embedding
 * @is_encoder: each token of a text sees all of it; there is no output
 * @has_output: it makes text; without, vectors and labels only
 * @has_embedding_norm: one stands behind the embedding; those with sum norms have it anyway
 * @has_bare_norms: norms may have no bias, and the first layer takes the embedding as it is
 * @has_sum_norms: norms stand behind the sums of embeddings and of each half of a layer, not before
 *	what is added
 * @has_attn_bias: scores have something added to them, by how far a key is from a query
 * @head_act: between the two matrices of its labels, where it has such
 * @pooling: what the model was made for
 * @label_pooling: what its labels are of; none: of an encoder's first token, or the last one
 * @is_ranker: it was made to rank texts, and a decoder for nothing else: it has no output then
 * @embedding_scale: of the embedding
 * @attn_scale: of the scores
 * @attn_softcap: of the scores, 0: none; see struct kern_attn
 * @logit_softcap: of the logits, 0: none
 */
struct model_hparams {
	const char *arch;
	uint32_t context;
	uint32_t layers;
	uint32_t width;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t head_dim;
	uint32_t head_elems;
	uint32_t ff_width;
	uint32_t vocab;
	enum model_norm_kind norm;
	enum model_act act;
	bool is_gated;
	bool has_head_norms;
	bool has_post_norms;
	bool has_positions;
	bool is_encoder;
	bool has_output;
	bool has_embedding_norm;
	bool has_bare_norms;
	bool has_sum_norms;
	bool has_attn_bias;
	enum model_head_act head_act;
	enum model_pooling pooling;
	enum model_pooling label_pooling;
	bool is_ranker;
	float norm_eps;
	float embedding_scale;
	float attn_scale;
	float attn_softcap;
	float logit_softcap;
	struct model_rope rope;
	struct model_rope rope_local;
	uint32_t plain_period;		/* of so many layers, the last one turns nothing; 0: all do */
	struct model_window window;
	struct model_experts experts;
};

/**
 * struct model_matrix - weights of one type, and what is added to each output (NULL: nothing)
 * @is_packed: they are panels (kernels/panel.h) and not in the file
 * @is_copy: they are in memory of their own, in which they begin
 */
struct model_matrix {
	enum kern_type type;
	bool is_packed;
	bool is_copy;
	struct kern_weights w;
	const float *bias;		/* (w.rows) */
};

/** struct model_norm - (width) each; bias: NULL but for MODEL_NORM_LAYER; weight: NULL: no norm */
struct model_norm {
	const float *weight;
	const float *bias;
};

/** struct model_ffn - a feed-forward network, or one expert; F: its hidden width */
struct model_ffn {
	struct model_matrix gate;	/* (F, width), without rows where there is no gate */
	struct model_matrix up;		/* (F, width) */
	struct model_matrix down;	/* (width, F) */
};

/**
 * struct model_layer - what the architecture does not have is zero
 * @window: tokens it sees, 0: all
 * @has_local_rope: turned by rope_local
 * @has_no_rope: queries and keys are not turned at all
 */
struct model_layer {
	uint32_t window;
	bool has_local_rope;
	bool has_no_rope;
	struct model_norm attn_norm;
	struct model_matrix q;		/* (heads * head_dim, width), once heads are padded */
	struct model_matrix k;		/* (kv_heads * head_dim, width) */
	struct model_matrix v;		/* (kv_heads * head_dim, width) */
	const float *q_norm;		/* (head_elems) */
	const float *k_norm;		/* (head_elems) */
	struct model_matrix o;		/* (width, heads * head_dim) */
	struct model_norm attn_post_norm;
	struct model_norm attn_sum_norm;
	struct model_norm ffn_norm;
	struct model_ffn ffn;
	struct model_matrix router;	/* (experts.count, width) */
	struct model_ffn *experts;	/* (experts.count), all of the same types */
	struct model_norm ffn_post_norm;
	struct model_norm ffn_sum_norm;
};

/**
 * struct model_head - labels of a pooled vector; without rows in @labels there are none
 * @norm: behind @dense and its function; may be missing
 * @is_several: a text may have several of them, or none
 * @is_contrast: there are two, "yes" and "no", which are told as one: how much the first one is
 *	above the second
 * @is_score_logit: texts are ranked by the logit of their one label as it is, else by its logistic
 *	function
 */
struct model_head {
	struct model_matrix dense;	/* (width, width); may be missing */
	struct model_norm norm;
	struct model_matrix labels;	/* (labels, width) */
	bool is_several;
	bool is_contrast;
	bool is_score_logit;
};

/**
 * struct model - see above
 * @embedding: (vocab, width)
 * @positions: (at least context, width)
 * @types: (token types, width), added to the embedding of each token, as its type says
 * @output: (vocab, width), the embedding where the file has no other; nothing in an encoder
 * @embedding_norm: behind the sum of all these
 * @attn_bias: (heads, KERN_ATTN_BIAS) as struct kern_attn has it, NULL: none
 * @parameters: number of weights
 * @weights: name of the type that holds most of them
 * @is_f32: all matrices are float32
 * @copies: what could not be used in place, @copied_bytes in all
 */
struct model {
	struct model_hparams hparams;
	struct model_matrix embedding;
	struct model_matrix positions;
	struct model_matrix types;
	struct model_norm embedding_norm;
	struct model_matrix output;
	struct model_norm output_norm;
	const float *attn_bias;
	struct model_head head;
	struct model_layer *layers;
	uint64_t parameters;
	const char *weights;
	bool is_f32;
	struct list copies;
	size_t copied_bytes;
};

/**
 * model_new() - bind the weights of a file
 *
 * Matrices stay where they are, and are not read. Before anybody computes with heads of a size that
 * kernels do not have, model_pad_heads() makes them longer.
 *
 * Return: 0; -EBADMSG a key or tensor is missing, or does not fit the others; -EOPNOTSUPP an
 * architecture, weight type or variant that is not supported (the text names it); -ENOMEM.
 */
int model_new(struct model **ret, const struct gguf *gguf, struct error *error);
/**
 * model_pad_heads() - heads of head_elems become heads of head_dim (pad.c)
 *
 * Their matrices are copied for that; where they are as long as that, nothing is done.
 *
 * Return: 0 or -ENOMEM.
 */
int model_pad_heads(struct model *model, struct error *error);
/** model_drop_copy() - a matrix will not be read any more; nothing where it is in the file */
void model_drop_copy(struct model *model, struct model_matrix *m);
void model_free(struct model *model);
DEFINE_CLEANUP(struct model *, model_free);

/** model_label_count() - that texts are told: 0: it has none */
static inline uint32_t model_label_count(const struct model *model)
{
	return model->head.is_contrast ? 1 : model->head.labels.w.rows;
}

/** model_label() - what a file calls one of its labels; nothing where it has no names */
struct gguf_string model_label(const struct gguf *gguf, uint32_t index);

/** model_read_hparams() - the part of model_new() that reads keys; vocab is left 0 */
int model_read_hparams(struct model_hparams *ret, const struct gguf *gguf, struct error *error);

#endif /* LLMOS_MODEL_MODEL_H */
