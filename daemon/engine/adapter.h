/* SPDX-License-Identifier: MIT */
/*
 * Adapters in a step. Tokens with the same adapters stand next to each other in it and form a group,
 * so that each adapter's matrices are read once for all of them; tokens without pay nothing. What a
 * step needs for that is taken when an adapter is loaded, and kept until the model's last one goes.
 */
#ifndef LLMOS_ENGINE_ADAPTER_H
#define LLMOS_ENGINE_ADAPTER_H

#include "engine/engine.h"
#include "engine/scratch.h"
#include "model/lora.h"

#define ADAPT_TILE	16U	/* tokens whose activations a member packs at once */
#define ADAPT_OUTPUTS	256U	/* outputs that it adds at once */
#define ADAPT_SITES	3U	/* matrices that are multiplied with the same activations */

/** struct engine_adapter - an adapter in memory, for one model; immutable */
struct engine_adapter {
	struct engine_model *model;
	struct lora *lora;
	uint64_t id;
};

/** struct adapt_group - tokens of a step with the same adapters */
struct adapt_group {
	const struct engine_adapter_use *uses;
	uint32_t use_count;
	uint32_t token_begin, token_end;	/* in scratch.tokens */
	uint32_t row_begin, row_end;		/* in scratch.rows */
};

/** struct adapt_member - memory of one member of the team */
struct adapt_member {
	char *act;		/* (ADAPT_TILE) packed activations for A */
	float *low;		/* (ADAPT_TILE, low_stride) */
	float *out;		/* (ADAPT_TILE, ADAPT_OUTPUTS) */
};

/**
 * struct adapting - what the adapters of a model compute in; all zero while there is none
 * @users: adapters that are ready
 * @groups: (max_seqs)
 * @group_count: of this step
 * @act_bytes: of a row of packed activations for A, at most
 * @packed_bytes: of a row of A x, packed for B, at most
 * @low_stride: of struct adapt_member.low: the largest rank
 * @packed: (ENGINE_ADAPTERS_MAX, ADAPT_SITES, batch_tokens) rows of packed_bytes
 * @members: (threads)
 */
struct adapting {
	uint32_t users;
	void *memory;
	size_t bytes;
	struct adapt_group *groups;
	uint32_t group_count;
	size_t act_bytes, packed_bytes, low_stride;
	char *packed;
	struct adapt_member *members;
};

void adapting_close(struct adapting *a);

/** adapting_check() - may an item of @model use these? 0 or -EINVAL */
int adapting_check(const struct engine_model *model, const struct engine_item *item);

/** adapting_is_same() - the same adapters, with the same scales, in the same order */
bool adapting_is_same(const struct engine_item *a, const struct engine_item *b);

#endif /* LLMOS_ENGINE_ADAPTER_H */
