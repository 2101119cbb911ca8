/* SPDX-License-Identifier: MIT */
/*
 * The memory a step computes in, in one piece that is sized and taken at load. Shared arrays have a
 * row for each token of a step; each member of the team has some of its own. Rows start on cache
 * lines, so that members who write neighbouring rows do not disturb each other.
 */
#ifndef LLMOS_ENGINE_SCRATCH_H
#define LLMOS_ENGINE_SCRATCH_H

#include "base/util.h"
#include "kernels/kernels.h"
#include "model/model.h"

struct engine_seq;

/* forms of packed activations that one input can be wanted in: query, key and value may all differ */
#define ACT_FORMS	3
/* inputs up to this many elements in all are packed by each member for itself */
#define ACT_OWN_ELEMS	4096

/**
 * struct step_token - a token of the step
 * @position: in its text
 * @place: in its sequence
 * @begin: place of the first token of its text
 * @end: place behind the last token that it sees
 */
struct step_token {
	const struct engine_seq *seq;
	uint32_t id;
	uint32_t type;
	uint32_t position;
	uint32_t place;
	uint32_t begin;
	uint32_t end;
};

/** struct act_buffer - packed activations: for each form, rows of a size the form decides */
struct act_buffer {
	char *form[ACT_FORMS];
};

/** struct scratch_member - of one member of the team */
struct scratch_member {
	float *row;			/* (width) a normalised token */
	struct act_buffer act;
	void *attn;			/* scratch for kern_attn */
	uint32_t *tiles;		/* (T + 1) rows that tiles of attention begin with */
	const void **k_pages;		/* (pages of a sequence) */
	const void **v_pages;
};

/** struct scratch_angles - what pairs are turned by: (T, rope_stride) each */
struct scratch_angles {
	float *cos, *sin;
};

/** struct expert_choice - an expert of a token, and the pair they make */
struct expert_choice {
	uint32_t expert;
	uint32_t pair;
	float weight;
};

/**
 * struct scratch_experts - nothing where there are none; P: pairs, T times experts of a token
 * @stride: of @router
 * @router: (T, stride)
 * @choices: (P) of each row, one behind the other
 * @rows: (P) token of each pair; pairs of one expert follow each other
 * @begin: (experts + 1) first pair of each expert
 * @active: (experts) those that have pairs
 * @active_count: of this layer
 */
struct scratch_experts {
	size_t stride;
	float *router;
	struct expert_choice *choices;
	uint32_t *rows;
	uint32_t *begin;
	uint32_t *active;
	uint32_t active_count;
};

/* queries times heads that a member attends with at once */
#define ATTN_TILE_ROWS	32
/* per member: with fewer tasks attention is cut further */
#define ATTN_TASKS_EACH	4
/* rows whose keys are cut into parts, at most */
#define ATTN_SPLIT_ROWS	8

/**
 * struct scratch_split - parts of attention that have yet to be joined, where there are several members
 * @rows: of a step that there is room for
 * @out: (parts of the context, heads, rows, head_dim)
 * @sums: (parts of the context, heads, rows)
 */
struct scratch_split {
	uint32_t rows;
	float *out;
	struct kern_attn_sum *sums;
};

/** struct scratch_config - what decides its size */
struct scratch_config {
	const struct model *model;
	const struct kern_ops *ops;
	uint32_t members;
	uint32_t tokens;		/* of a step */
	uint32_t logits_rows;
	uint32_t context;
	struct kern_kv kv;
	uint32_t seq_pages;
};

/**
 * struct scratch - see above; T stands for the tokens of a step
 * @tokens: (T)
 * @token_count: of this step
 * @rows: (T) tokens whose logits are wanted, then those whose hidden states are
 * @row_count: of this step
 * @logits_count: of these, the first ones
 * @all: (T) 0, 1, 2, ...
 * @x: (T, width_stride) the residual stream
 * @y: (T or P, width_stride) what is added to it; in the end the hidden states of @rows
 * @q: (T, q_stride)
 * @k: (T, kv_stride)
 * @v: (T, kv_stride)
 * @attn: (T, q_stride)
 * @gate: (T or P, ff_stride)
 * @up: (T or P, ff_stride)
 * @angles: of the model's rope, and of the one that layers with a window may have
 * @logits: (logits_rows, vocab)
 */
struct scratch {
	void *memory;
	size_t bytes;
	struct step_token *tokens;
	uint32_t token_count;
	uint32_t *rows;
	uint32_t row_count;
	uint32_t logits_count;
	uint32_t *all;
	size_t width_stride, q_stride, kv_stride, ff_stride, rope_stride;
	float *x, *y, *q, *k, *v, *attn, *gate, *up, *logits;
	struct scratch_angles angles[2];
	struct scratch_experts experts;
	struct act_buffer act;
	struct scratch_split split;
	struct scratch_member *members;
};

/** matrix_kernel() - what multiplies by a matrix */
static inline const struct kern_matmul *matrix_kernel(const struct kern_ops *ops,
						      const struct model_matrix *m)
{
	return m->is_packed ? &ops->panel[m->type] : &ops->matmul[m->type];
}

/** scratch_act_stride() - distance of packed rows of activations for a matrix */
size_t scratch_act_stride(const struct kern_ops *ops, const struct model_matrix *m);

int scratch_open(struct scratch *scratch, const struct scratch_config *config);
void scratch_close(struct scratch *scratch);

#endif /* LLMOS_ENGINE_SCRATCH_H */
