/* SPDX-License-Identifier: MIT */
/*
 * Decoders of hubs that rank texts by how they would answer a question: the logit of "yes" less
 * that of "no", both rows of the output, which is all that is kept of it. Which words are tokens
 * for this sentence-transformers says, or, of Qwen3-Reranker, its name.
 */
#ifndef LLMOS_MODEL_HUB_RANKER_H
#define LLMOS_MODEL_HUB_RANKER_H

#include "model/hub_internal.h"
#include "model/hub_modules.h"

/**
 * struct hub_ranker - what is known of one while a folder is being read
 * @is_qwen3: its words are those of Qwen3-Reranker
 * @score: its tokens; none: by name
 * @output: where its data is set, the matrix of the output, in a file that the model keeps
 */
struct hub_ranker {
	bool is_qwen3;
	struct hub_score score;
	struct safetensor output;
};

/**
 * hub_ranker_find() - is what is in a folder such a model? Then c->ranker is @ranker
 * @ranker: zeroed
 * @score: as sentence-transformers has it
 *
 * Settings are there already, weights not yet. Return: 0; -EOPNOTSUPP, or as mapped_open_read().
 */
int hub_ranker_find(struct hub_config *c, struct hub_ranker *ranker, const struct hub_score *score,
		    const char *folder);
/** hub_ranker_take() - the output; 0 or -EBADMSG: it is no matrix of this model, or there twice */
int hub_ranker_take(const struct hub_config *c, const struct safetensor *output);
/** hub_ranker_load() - labels, and words around two texts, once tokens and weights are there */
int hub_ranker_load(const struct hub_config *c, const struct hub_ranker *ranker);

#endif /* LLMOS_MODEL_HUB_RANKER_H */
