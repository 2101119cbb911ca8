/* SPDX-License-Identifier: MIT */
/*
 * The engine: models in memory, sequences with their key-value cache, and steps that advance many
 * sequences at once, and a store of prefixes that were computed before. It knows nothing of
 * requests, clients or devices. One thread calls it; it spreads a step over its own pool of
 * threads.
 *
 * Results do not depend on company: the logits of a token are the same bits whatever else is in
 * the step, however a prompt is cut into steps, and whatever the number of threads. A sequence
 * that is recomputed from its tokens, or begins with pages that another one has computed,
 * continues as it would have.
 */
#ifndef LLMOS_ENGINE_ENGINE_H
#define LLMOS_ENGINE_ENGINE_H

#include "base/util.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

struct engine;
struct engine_adapter;
struct engine_model;
struct engine_payer;
struct engine_seq;
struct gguf;

/**
 * struct engine_config - how an engine is built; a number that is 0 has a default
 * @threads: that compute, the caller's included; 0: one for each processor it may run on
 * @isa: instruction set to use at most ("ref", "avx2", "avx512", ...), NULL: what the environment's
 *	LLMOS_ISA says, or the best there is
 * @kv_type: "auto", "f32", "f16", "q8_0" or "q4_0"; NULL and auto: f32 for models of F32 weights,
 *	else f16
 * @kv_bytes: key-value cache of one model; 0: enough for @kv_seqs sequences of the model's context,
 *	but at most a quarter of the memory there is
 * @kv_seqs: see @kv_bytes; 0: @max_seqs
 * @context: tokens a sequence may have at most; 0: as the model was made for
 * @max_seqs: sequences at once
 * @batch_tokens: tokens of one step at most, which bounds how long it takes
 * @logits_rows: rows of logits that one step can return at most
 * @prefix_bytes: of one model's cache, kept at most for sequences to come; 0: see @prefix_percent
 * @prefix_percent: of one model's cache, the same; both 0: nothing is kept
 * @prefix_dropped: told of what is kept no longer, however that came; NULL: nobody wants to know.
 *	It must not call the engine
 * @prefix_arg: its argument
 * @swap_folder: where pages of the cache go that make way, in a file without a name; NULL: nowhere
 * @swap_bytes: of one model's cache, kept there at most; 0: none
 * @swap_ready: called by any thread when engine_seq_fetch() has something new to say, or a model's
 *	info.swap_error has; NULL: nobody waits. @swap_arg: its argument
 * @pack_cache: folder in which packed weights are kept for the next start, NULL: none
 * @pack_cache_bytes: that they may take there; 0: a quarter of the file system
 * @progress: called by the thread that steps, once for each layer of a step, or NULL: a step of a
 *	large model on a small machine takes minutes
 * @progress_arg: its argument
 */
struct engine_config {
	unsigned int threads;
	const char *isa;
	const char *kv_type;
	size_t kv_bytes;
	unsigned int kv_seqs;
	unsigned int context;
	unsigned int max_seqs;
	unsigned int batch_tokens;
	unsigned int logits_rows;
	size_t prefix_bytes;
	unsigned int prefix_percent;
	void (*prefix_dropped)(void *arg, const struct engine_payer *payer, size_t bytes);
	void *prefix_arg;
	const char *swap_folder;
	uint64_t swap_bytes;
	void (*swap_ready)(void *arg);
	void *swap_arg;
	const char *pack_cache;
	uint64_t pack_cache_bytes;
	void (*progress)(void *arg);
	void *progress_arg;
};

int engine_new(struct engine **ret, const struct engine_config *config, struct error *error);
void engine_free(struct engine *engine);	/* after its models */
DEFINE_CLEANUP(struct engine *, engine_free);
const char *engine_isa(const struct engine *engine);
unsigned int engine_threads(const struct engine *engine);

/** engine_memory_bytes() - this process may use: what there is, and what its cgroups allow */
size_t engine_memory_bytes(void);

/**
 * engine_model_load() - map a GGUF file and make it ready to step
 *
 * May be called by another thread while models of the engine are stepped; one model at a time.
 *
 * Return: 0; -ENOENT ..., -EBADMSG broken file, -EOPNOTSUPP architecture, weight type or tokenizer
 * that is not supported (the text names it), -ENOMEM, what reading weights gives that are packed.
 */
int engine_model_load(struct engine *engine, const char *path, struct engine_model **ret,
		      struct error *error);
/**
 * engine_model_load_opened() - the same, of a file that was opened and whose tokenizer was made
 * @path: of the file, to recognise it by
 * @gguf: it; the caller's, as is @tokenizer, and both outlive the model
 */
int engine_model_load_opened(struct engine *engine, const char *path, struct gguf *gguf,
			     struct tokenizer *tokenizer, struct engine_model **ret,
			     struct error *error);
void engine_model_free(struct engine_model *model);	/* after its sequences */
DEFINE_CLEANUP(struct engine_model *, engine_model_free);

/** enum engine_pooling - whose hidden states of a text are wanted */
enum engine_pooling {
	ENGINE_POOL_NONE,		/* of info.pooling: the model does not say */
	ENGINE_POOL_MEAN,		/* all */
	ENGINE_POOL_FIRST,		/* that of the first token */
	ENGINE_POOL_LAST,		/* that of the last one */
};

/** enum engine_packed - where packed weights come from */
enum engine_packed {
	ENGINE_PACKED_NONE,		/* all weights are multiplied from the file */
	ENGINE_PACKED_MEMORY,
	ENGINE_PACKED_KEPT,		/* packed, and kept for the next start */
	ENGINE_PACKED_FOUND,		/* as they were kept */
};

/**
 * struct engine_swapped - pages that went to the disk so far
 * @out: were written; @in: came back, as often as they did; @failed: could not, or not in time
 */
struct engine_swapped {
	uint64_t out;
	uint64_t in;
	uint64_t failed;
};

/** struct engine_model_info - facts about a model; see struct llm_model_info for the units */
struct engine_model_info {
	uint64_t parameters;
	uint64_t file_bytes;
	uint64_t memory_bytes;
	uint32_t context;		/* of the model */
	uint32_t context_used;		/* of a sequence here */
	uint32_t layers;
	uint32_t width;
	uint32_t heads;
	uint32_t kv_heads;
	uint32_t ff_width;
	uint32_t vocab;
	uint32_t kv_pages;
	uint32_t kv_pages_used;		/* by sequences; the others can be had */
	uint32_t kv_pages_kept;		/* of the others, for sequences to come */
	uint32_t kv_pages_swapped;	/* beside them, on the disk */
	uint64_t swap_bytes;		/* of these */
	struct engine_swapped swapped;
	int swap_error;			/* why there is no place for them, -errno: known later */
	uint32_t page_tokens;
	uint32_t step_tokens;		/* of a step at most, 0 unless loaded */
	uint32_t labels;		/* 0: it has none */
	bool has_several_labels;	/* of a text: they don't exclude each other */
	bool is_score_logit;		/* of one label: texts are ranked by its logit as it is */
	enum engine_pooling pooling;	/* that it was made for */
	enum engine_pooling label_pooling;	/* of its labels, where the file says it */
	bool is_encoder;		/* no logits, no prefixes: texts only */
	bool has_output;		/* it makes text */
	uint64_t packed_bytes;		/* in place of the file's, counted in file_bytes */
	enum engine_packed packed;
	char arch[32];
	char weights[16];
};

void engine_model_info(const struct engine_model *model, struct engine_model_info *ret);
/** engine_file_info() - the same from an open file that is not loaded; 0 or as model_load */
int engine_file_info(const struct gguf *gguf, struct engine_model_info *ret, struct error *error);
/** engine_model_tokenizer() - NULL if the file says that it has no vocabulary ("no_vocab") */
const struct tokenizer *engine_model_tokenizer(const struct engine_model *model);
/** engine_model_pack_note() - why packed weights were not found or not kept; "": no reason */
const char *engine_model_pack_note(const struct engine_model *model);
/** engine_model_has() - does this address lie in a file that it maps? Safe in a signal handler. */
bool engine_model_has(const struct engine_model *model, uintptr_t address);
/**
 * engine_model_lost() - a page of a file that it maps can't be read any more
 *
 * If it is of packed weights, they are not kept any longer: the next start packs them anew, and does
 * not end at the same page. Safe in a signal handler.
 */
void engine_model_lost(const struct engine_model *model, uintptr_t address);
enum chat_template engine_model_chat(const struct engine_model *model);
const struct gguf *engine_model_gguf(const struct engine_model *model);

/* ---- adapters ---- */

#define ENGINE_ADAPTERS_MAX	4	/* at once, for one sequence */

/**
 * engine_adapter_read() - read a LoRA adapter for a model, from a file or a folder
 *
 * By any thread, while the model stays and is stepped. It is of no use before
 * engine_adapter_ready(). Return: 0 or as lora_open().
 */
int engine_adapter_read(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error);
/**
 * engine_adapter_ready() - take what steps with it need; not within one
 *
 * That is counted in engine_model_info.memory_bytes until the model's last adapter is freed.
 * Return: 0 or -ENOMEM.
 */
int engine_adapter_ready(struct engine_adapter *adapter, struct error *error);
/** engine_adapter_load() - both; not within a step */
int engine_adapter_load(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error);
void engine_adapter_free(struct engine_adapter *adapter);	/* before its model */
DEFINE_CLEANUP(struct engine_adapter *, engine_adapter_free);

/**
 * struct engine_adapter_info - facts about an adapter
 * @id: of it, and of no other one that this engine has ever loaded; 0: it is not loaded
 * @memory_bytes: that it takes, 0 unless it is loaded
 * @rank: the largest of its matrices
 * @arch: of the models that it is for; "": the file does not say
 */
struct engine_adapter_info {
	uint64_t id;
	uint64_t parameters;
	uint64_t memory_bytes;
	uint32_t rank;
	char arch[32];
	char weights[16];
};

void engine_adapter_info(const struct engine_adapter *adapter, struct engine_adapter_info *ret);
/** engine_adapter_file_info() - the same of a file or folder, as far as it says; 0 or as load */
int engine_adapter_file_info(const char *path, struct engine_adapter_info *ret,
			     struct error *error);
/** engine_adapter_file_open() - its keys; 0 or as load */
int engine_adapter_file_open(const char *path, struct gguf **ret, struct error *error);

/** struct engine_adapter_use - an adapter, and how much of it: 1: as it was trained */
struct engine_adapter_use {
	const struct engine_adapter *adapter;
	float scale;
};

/* ---- sequences ---- */

/** engine_seq_new() - an empty sequence; -ENOSPC max_seqs are taken. Allocates nothing. */
int engine_seq_new(struct engine_model *model, struct engine_seq **ret);
void engine_seq_free(struct engine_seq *seq);
/** engine_seq_length() - tokens in its cache */
unsigned int engine_seq_length(const struct engine_seq *seq);
/**
 * engine_seq_reserve() - take cache pages for @tokens in all
 *
 * Return: 0; -ENOSPC no pages left now, -E2BIG longer than context_used.
 */
int engine_seq_reserve(struct engine_seq *seq, unsigned int tokens);
/** engine_seq_bytes() - of the pages that it has for itself: not those that are kept */
size_t engine_seq_bytes(const struct engine_seq *seq);
/** engine_kv_bytes() - of the pages that a sequence of @tokens holds */
size_t engine_kv_bytes(const struct engine_model *model, unsigned int tokens);
/** engine_seq_bytes_for() - of those that it will have for itself, once reserved for @tokens */
size_t engine_seq_bytes_for(const struct engine_seq *seq, unsigned int tokens);
/** engine_seq_truncate() - forget all but the first @tokens and give their pages back */
void engine_seq_truncate(struct engine_seq *seq, unsigned int tokens);

/* ---- prefixes ---- */

/** struct engine_adapter_key - an adapter by its id, and the bits of its scale; 0: none */
struct engine_adapter_key {
	uint64_t id;
	uint64_t scale;
};

/** engine_adapter_key() - of a use */
struct engine_adapter_key engine_adapter_key(const struct engine_adapter_use *use);

/**
 * struct engine_domain - who may reuse what was computed for whom: who has the same one
 *
 * Compared, never looked into. Nothing that is kept in one domain has an influence on what another
 * one finds, but for the room that there is for all: see daemon/engine/prefix.h for who loses.
 *
 * @adapters: what keys and values depend on beside the tokens, as they are used, zero behind the
 *	last one: within a domain, what was computed with some is found with the same alone
 * @base: in which whole pages of the first @base_tokens of a text are kept, so that others can begin
 *	with them, too; those behind them are this one's. What is behind a page goes with it
 * @base_tokens: 0: all are its own
 */
struct engine_domain {
	const void *source;
	uint64_t group;
	uint32_t user;
	struct engine_adapter_key adapters[ENGINE_ADAPTERS_MAX];
	struct engine_domain_base {
		const void *source;
		uint64_t group;
		uint32_t user;
	} base;
	unsigned int base_tokens;
};

/** engine_domain_at() - that of the page that begins with token @at */
static inline struct engine_domain engine_domain_at(const struct engine_domain *domain,
						    unsigned int at, unsigned int page_tokens)
{
	struct engine_domain ret = *domain;

	if (at >= ret.base_tokens || page_tokens > ret.base_tokens - at)
		return ret;
	ret.source = ret.base.source;
	ret.group = ret.base.group;
	ret.user = ret.base.user;
	ret.base = (struct engine_domain_base){ 0 };
	ret.base_tokens = 0;
	return ret;
}

/** struct engine_payer - who is charged for what is kept; as struct engine_domain */
struct engine_payer {
	void *source;
	uint64_t group;
};

/**
 * engine_prefix_find() - how much of a prompt is kept
 * @tokens: the prompt (count)
 *
 * Return: tokens of whole pages, @count at most.
 */
unsigned int engine_prefix_find(const struct engine_model *model,
				const struct engine_domain *domain, const uint32_t *tokens,
				unsigned int count);
/**
 * engine_seq_swap() - copy its full pages to the swap, before it gives them back
 * @tokens: its own (length)
 * @from: token at which the first of them begins, or before that
 *
 * Waits for nothing, and keeps what it can; without a swap, nothing.
 */
void engine_seq_swap(const struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int from);
/**
 * engine_seq_fetch() - go on with what the swap has of a text
 * @seq: has pages for it, of which only whole ones are filled
 * @tokens: the text (count)
 *
 * To be called until it says that it is over, with the same text, before the sequence is stepped;
 * its length grows as pages come, by a few in one call. What does not come is to be computed.
 * Return: 1: more may come, config.swap_ready() is called then, or was; 0: it is over.
 */
int engine_seq_fetch(struct engine_seq *seq, const struct engine_domain *domain,
		     const uint32_t *tokens, unsigned int count);
/**
 * engine_seq_fetch_stop() - it has waited for long enough: what has not come is to be computed
 *
 * Until the disk does something again, no other sequence waits for it either.
 */
void engine_seq_fetch_stop(struct engine_seq *seq);
/** engine_swapped() - of models that were freed, together */
struct engine_swapped engine_swapped(const struct engine *engine);
/** engine_swap_pace() - to compute a token takes that long now: what takes longer to read is not */
void engine_swap_pace(struct engine_model *model, uint64_t token_ns);
/**
 * engine_swap_ahead() - a few kept pages go to the disk before they have to make way
 * @ret_more: out: there are more, and it should be asked again soon
 *
 * Only while the disk has nothing else to do, and little of the cache is free. Return: how many.
 */
unsigned int engine_swap_ahead(struct engine_model *model, bool *ret_more);
/**
 * engine_prefix_drop() - give up kept pages that no sequence uses
 * @payer: who is charged for them
 * @bytes: so many at least, if there are
 *
 * Return: bytes that @payer is not charged for any more.
 */
size_t engine_prefix_drop(struct engine_model *model, const struct engine_payer *payer,
			  size_t bytes);
/** engine_prefix_forget() - give up what is kept in a domain, with any adapters, and not used */
void engine_prefix_forget(struct engine_model *model, const struct engine_domain *domain);
/** engine_prefix_clear() - give up all that no sequence uses */
void engine_prefix_clear(struct engine_model *model);
/**
 * engine_seq_begin() - let an empty sequence begin with what engine_prefix_find() finds
 *
 * Return: tokens that it has.
 */
unsigned int engine_seq_begin(struct engine_seq *seq, const struct engine_domain *domain,
			      const uint32_t *tokens, unsigned int count);
/** engine_seq_kept_bytes() - of the kept pages that it uses; of one payer, or NULL: of all */
size_t engine_seq_kept_bytes(const struct engine_seq *seq, const struct engine_payer *payer);
/**
 * engine_seq_keep() - keep its full pages, which it goes on using
 * @domain: the same in all calls for this sequence
 * @payer: who is charged for what is new
 * @tokens: that are in it (engine_seq_length)
 *
 * Where the same pages are kept already, it uses those from now on and its own are free.
 *
 * Return: bytes of its own pages that are kept from now on.
 */
size_t engine_seq_keep(struct engine_seq *seq, const struct engine_domain *domain,
		       const struct engine_payer *payer, const uint32_t *tokens);
/** engine_seq_unkeep() - they are its own again, as engine_seq_keep() just returned them */
void engine_seq_unkeep(struct engine_seq *seq, size_t bytes);

/* ---- steps ---- */

/**
 * struct engine_text - one of several texts that lie in a sequence, and know nothing of each other
 * @begin: place of its first token, a multiple of page_tokens
 * @second: place from which tokens are of the second type (a pair of texts); else @end
 * @end: place behind its last token; a step takes a text of an encoder as a whole
 */
struct engine_text {
	uint32_t begin;
	uint32_t second;
	uint32_t end;
};

/**
 * struct engine_item - what a step does for one sequence
 * @seq: in one item of a step only; its pages are reserved
 * @tokens: ids to append (count)
 * @count: number of them
 * @logits_from: logits are wanted after tokens[logits_from] and each one behind it; count: none
 * @tentative: of the tokens, the last ones that are guesses (count at most): they are computed, but
 *	belong to the sequence only once engine_seq_accept() says so
 * @adapters: of its model, that are added to it for these tokens (adapter_count)
 * @adapter_count: number of them, ENGINE_ADAPTERS_MAX at most
 * @logits: out, (count - logits_from, vocab) float32, valid until the next step
 * @texts: (text_count) NULL: the sequence is one text, of which logits may be wanted. Else: texts in
 *	order, of which hidden states are wanted and no logits. Of @tokens, those that lie in none of
 *	them, and what an encoder has beyond the last text, are not looked at
 * @text_count: number of them
 * @pooling: which hidden states
 * @hidden: out, (hidden_count, width) float32, hidden_stride apart, in the order of the tokens, valid
 *	until the next step
 */
struct engine_item {
	struct engine_seq *seq;
	const uint32_t *tokens;
	unsigned int count;
	unsigned int logits_from;
	unsigned int tentative;
	const struct engine_adapter_use *adapters;
	unsigned int adapter_count;
	const float *logits;
	const struct engine_text *texts;
	unsigned int text_count;
	enum engine_pooling pooling;
	const float *hidden;
	unsigned int hidden_count;
	size_t hidden_stride;
};

/**
 * engine_step() - append each item's tokens to its sequence
 *
 * The tokens that are looked at add up to info.step_tokens at most and the wanted rows of logits to
 * logits_rows. Allocates nothing.
 *
 * Return: 0; -EINVAL a token that is not in the vocabulary or a bound that does not hold, -ENOSPC
 * pages not reserved: then no sequence has changed.
 */
int engine_step(struct engine_model *model, struct engine_item *items, unsigned int count);

/**
 * engine_seq_accept() - the next @count of what the last step computed as guesses belong to it
 *
 * Until its next step, and until it is truncated or kept: then what was not accepted is forgotten.
 *
 * Return: 0; -EINVAL there are not so many.
 */
int engine_seq_accept(struct engine_seq *seq, unsigned int count);

/**
 * engine_classify() - how well each label of a model fits a text
 * @x: (width) hidden state: of the first token with an encoder, else of the last one
 * @ret: (info.labels) logits
 *
 * Not while a step runs. Allocates nothing.
 */
void engine_classify(struct engine_model *model, const float *x, float *ret);
/** engine_label() - what the file calls a label: bytes, not terminated; *ret_len 0: it does not */
const char *engine_label(const struct gguf *gguf, uint32_t index, size_t *ret_len);

/* ---- sampling (engine/sample.c) ---- */

/**
 * struct sample_params - as struct llm_sampling, in real numbers; all zero is greedy
 * @mask: tokens that may be chosen, one bit for each, at least one of them; NULL: all
 */
struct sample_params {
	uint64_t seed;
	float temperature;
	float top_p;
	float min_p;
	float repeat_penalty;
	uint32_t top_k;
	uint32_t repeat_last_n;
	const uint32_t *mask;
};

struct sample_token {
	uint32_t id;
	float logprob;		/* natural, of the model's distribution before any change */
};

struct sampler;			/* scratch for one vocabulary; one thread */

int sampler_new(struct sampler **ret, uint32_t vocab);
void sampler_free(struct sampler *sampler);
DEFINE_CLEANUP(struct sampler *, sampler_free);

/**
 * sampler_pick() - choose the next token
 * @logits: (vocab)
 * @history: ids of prompt and answer so far, for the repetition penalty
 * @position: number of the token within the answer: the random number is a function of the seed
 *	and this alone, so that a recovered answer goes on as it would have
 * @top: out, the @top_count likeliest tokens, may be NULL with 0; places beyond the vocabulary get
 *	TOK_NONE
 *
 * Order: repetition penalty, mask, temperature, top-k, top-p, min-p. Ties go to the lower id. Where
 * none of the tokens of the mask is possible, it is the lowest of them.
 */
struct sample_token sampler_pick(struct sampler *sampler, const struct sample_params *params,
				 const float *logits, const uint32_t *history,
				 size_t history_count, uint64_t position,
				 struct sample_token *top, size_t top_count);
/** sampler_score() - log-probability of one token, and the likeliest ones */
float sampler_score(struct sampler *sampler, const float *logits, uint32_t id,
		    struct sample_token *top, size_t top_count);

#endif /* LLMOS_ENGINE_ENGINE_H */
