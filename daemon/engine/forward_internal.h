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
 *	needs only those whose logits are wanted. Row i of y, gate and up is of token rows[i]
 *	(or of pair i, where there are experts); x, q, k, v and attn have a row for every token
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
	const struct model_norm *norm;
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

/** struct product - what is multiplied: @rows packed activations, and where it goes */
struct product {
	const char *act;
	size_t stride;
	uint32_t rows;
	float *y;
	size_t y_stride;
};

/** pass_mul() - outputs [begin, end) of all rows, bias added */
void pass_mul(const struct pass *p, const struct model_matrix *m, const struct product *what,
	      uint32_t begin, uint32_t end);

/** pass_norm() - one row of the model's width, normalised; @y may be @x */
void pass_norm(const struct pass *p, const struct model_norm *norm, float *y, const float *x);

/** pass_activate() - columns [begin, end) of gate and up to the hidden state, in gate, @rows rows */
void pass_activate(const struct pass *p, uint32_t row, uint32_t rows, uint32_t begin, uint32_t end);

/** pass_attend() - q, and the cache up to each token, to attn, for the pass's rows; all meet */
void pass_attend(struct pass *p, uint32_t layer);

/** pass_feed_forward() - x through the feed-forward network, added to x; all meet */
void pass_feed_forward(struct pass *p, const struct model_layer *l, uint32_t layer);
/** pass_experts() - the same where there are experts */
void pass_experts(struct pass *p, const struct model_layer *l);

/**
 * pass_mul_into_x() - multiply by @m, normalise by @post where it is one, add to x; all meet
 * @site: of @m
 */
void pass_mul_into_x(struct pass *p, const struct model_matrix *m, uint32_t site,
		     const struct packing *what, const struct model_norm *post);

/**
 * pass_shrink() - A x of all tokens that have adapters; all meet, if there are any
 * @what: the activations x
 * @site: as lora_site(), the first of @count matrices that they are multiplied with
 */
void pass_shrink(struct pass *p, const struct packing *what, uint32_t site, uint32_t count);
/**
 * pass_expand() - B of that, added to outputs [begin, end) of one of these matrices
 * @site: of this one
 * @slot: its place among them
 * @y: (rows of the pass, y_stride)
 */
void pass_expand(const struct pass *p, uint32_t site, uint32_t slot, uint32_t begin, uint32_t end,
		 float *y, size_t y_stride);

#endif /* LLMOS_ENGINE_FORWARD_INTERNAL_H */
