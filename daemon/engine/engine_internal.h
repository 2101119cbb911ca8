/* SPDX-License-Identifier: MIT */
/* What the files of the engine share. Nobody else includes this. */
#ifndef LLMOS_ENGINE_ENGINE_INTERNAL_H
#define LLMOS_ENGINE_ENGINE_INTERNAL_H

#include "engine/adapter.h"
#include "engine/engine.h"
#include "engine/kv.h"
#include "engine/pack.h"
#include "engine/prefix.h"
#include "engine/rope.h"
#include "engine/scratch.h"
#include "engine/threads.h"
#include "kernels/kernels.h"
#include "model/gguf.h"
#include "model/model.h"

#define ENGINE_KV_AUTO	KERN_TYPE_COUNT		/* what suits the weights */
#define SEQ_READS	8	/* pages of a sequence on their way from the swap at once */

/** struct engine - immutable after engine_new(), except for what its threads do, and numbers */
struct engine {
	struct engine_config config;	/* with defaults filled in; no strings */
	char *pack_cache;
	char *swap_folder;
	struct engine_swapped swapped;	/* of models that were freed */
	uint32_t kv_type;		/* enum kern_type, or ENGINE_KV_AUTO */
	const struct kern_ops *ops;
	struct threads *threads;
	uint64_t last_adapter;		/* number of adapters that were ever loaded */
};

/**
 * struct engine_seq - a sequence, in use or on its model's list of free ones
 * @model: it belongs to
 * @next_free: on that list
 * @pages: (model->seq_pages_max) numbers of its cache pages, in order
 * @page_count: pages it has
 * @kept_count: of these, the first ones that the prefix store keeps: they are not written
 * @length: tokens in its cache, page_count * KV_PAGE_TOKENS at most
 * @tentative: guesses behind those, in the pages that it has
 * @reads: pages that were asked of the swap, in their order (read_count), the next of which is
 *	page @length / KV_PAGE_TOKENS
 * @read_next: page to ask for next; @read_chain: the tokens before it. Both count while @is_reading
 * @is_used: not on the list
 * @in_step: an item of the step being checked names it
 */
struct engine_seq {
	struct engine_model *model;
	struct engine_seq *next_free;
	uint32_t *pages;
	uint32_t page_count;
	uint32_t kept_count;
	uint32_t length;
	uint32_t tentative;
	uint32_t reads[SEQ_READS];
	unsigned int read_count;
	uint32_t read_next;
	struct swap_chain read_chain;
	bool is_reading;
	bool is_used;
	bool in_step;
};

struct engine_model {
	struct engine *engine;
	struct gguf *gguf;
	struct tokenizer *tokenizer;
	bool is_borrowed;		/* these two are somebody else's */
	enum chat_template chat;
	struct model *model;
	struct pack pack;
	enum engine_packed packed;
	struct error pack_note;
	struct rope ropes[2];		/* the second one of layers with a window */
	uint32_t context;		/* tokens of a sequence at most */
	uint32_t seq_pages_max;
	uint32_t step_tokens;		/* of a step at most */
	uint64_t token_work;		/* multiplications a token takes, its attention left out */
	struct kv kv;
	struct prefix prefix;
	struct swap *swap;		/* NULL: there is none */
	int swap_error;			/* why not */
	struct engine_seq *seqs;	/* (config.max_seqs) */
	struct engine_seq *free_seqs;
	uint32_t *seq_pages;		/* behind seqs[].pages */
	struct scratch scratch;
	struct adapting adapting;
};

/** seq_pool_open() - make the sequences of a model: 0, -ENOMEM */
int seq_pool_open(struct engine_model *model);
void seq_pool_close(struct engine_model *model);

/** seq_swap_cancel() - what was asked of the swap for it is not wanted any more */
void seq_swap_cancel(struct engine_seq *seq);

/** memory_limit() - bytes this process may use: what there is, and what its cgroups allow */
size_t memory_limit(void);

/** forward() - compute the step laid out in model->scratch.step, which was checked */
void forward(struct engine_model *model);

#endif /* LLMOS_ENGINE_ENGINE_INTERNAL_H */
