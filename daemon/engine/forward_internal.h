/* SPDX-License-Identifier: MIT */
/*
 * One member's view of a step in progress. All members run the same code; what the one computes is
 * read by the others after the next barrier.
 */
#ifndef LLMOS_ENGINE_FORWARD_INTERNAL_H
#define LLMOS_ENGINE_FORWARD_INTERNAL_H

#include "engine/engine_internal.h"

/**
 * struct pass - see above
 * @rows: (row_count) which tokens of the step still count: all of them, until the last layer
 *	needs only those whose logits are wanted. Row i of y, gate and up is of token rows[i];
 *	x, q, k, v and attn have a row for every token
 */
struct pass {
	struct engine_model *model;
	const struct kern_ops *ops;
	struct threads *threads;
	struct scratch *s;
	struct scratch_member *own;
	uint32_t member;
	const uint32_t *rows;
	uint32_t row_count;
};

/** struct acts - packed activations for the matrices they were packed for, in their order */
struct acts {
	const char *data[ACT_FORMS];
	size_t stride[ACT_FORMS];
};

/** struct packing - what is to be packed: rows[i] of @src, normalised by @norm if it is not NULL */
struct packing {
	const float *src;
	size_t stride;
	const uint32_t *rows;		/* NULL: 0, 1, 2, ... */
	const float *norm;
};

/**
 * pass_pack() - pack activations for matrices that share them
 *
 * Small inputs are packed by each member for itself, larger ones together, then all meet.
 */
struct acts pass_pack(struct pass *p, const struct packing *what,
		      const struct model_matrix *const *matrices, uint32_t count);

/** struct chunks - outputs of a matrix cut up for the members */
struct chunks {
	uint32_t rows;			/* of a chunk, the last one may have fewer */
	uint32_t count;
};

/** pass_chunks() - cut @m into chunks of a multiple of @unit outputs */
struct chunks pass_chunks(const struct pass *p, const struct model_matrix *m, uint32_t unit);

/** pass_mul() - outputs [begin, end) of all of the pass's rows, bias added */
void pass_mul(const struct pass *p, const struct model_matrix *m, const char *act, size_t stride,
	      uint32_t begin, uint32_t end, float *y, size_t y_stride);

/** pass_attend() - q, and the cache up to each token, to attn, for the pass's rows; all meet */
void pass_attend(struct pass *p, uint32_t layer);

#endif /* LLMOS_ENGINE_FORWARD_INTERNAL_H */
