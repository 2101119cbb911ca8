/* SPDX-License-Identifier: MIT */
/*
 * What the parts of the small engine know of each other: sched_file.c (models as text files, their
 * tokens and turns), sched_engine.c (engines, models, adapters), sched_seq.c (sequences and the
 * swap), sched_kept.c (the prefix store) and sched_compute.c (steps). Tests see sched_engine.h.
 */
#ifndef TESTS_SCHED_ENGINE_INTERNAL_H
#define TESTS_SCHED_ENGINE_INTERNAL_H

#include "sched_engine.h"

#include "engine/engine.h"
#include "model/gguf.h"
#include "model/hub.h"

/* a model's file, see fake_model() */
struct gguf {
	char text[512];
	char chat[16];
	unsigned int context;
	unsigned int page;
	unsigned int pages;
	unsigned int bos;
	unsigned int encoder;
	unsigned int labels;
	unsigned int wrong;
	unsigned int other;
	unsigned int blank;
	unsigned int pairs;
	size_t size_bytes;
};

struct tokenizer {
	bool bos;
	bool other;
	bool blank;
	bool pairs;
};

#define FAKE_KEPT	256	/* pages kept at most */
#define FAKE_TEXT	512	/* tokens of a text that is kept, at most */

/* a page that is kept: the text that ends with it */
struct fake_kept {
	bool is_kept;
	struct engine_domain domain;
	struct engine_payer payer;
	uint32_t tokens[FAKE_TEXT];
	uint64_t hash[FAKE_TEXT];
	unsigned int length;
	unsigned int users;
	unsigned int left;		/* when the last one went */
};

struct engine_seq {
	struct engine_model *model;
	bool used;
	unsigned int length;
	unsigned int tentative;
	unsigned int pages;		/* of its own */
	unsigned int kept_count;
	bool is_fetching;
	struct fake_kept *kept[FAKE_KEPT];
	uint64_t hash[4096];		/* of the tokens so far, by length */
};

#define FAKE_SWAPPED	32

/* a text that had to make way */
struct fake_swapped {
	struct engine_domain domain;
	unsigned int count;
	uint32_t tokens[FAKE_TEXT];
	uint64_t hash[FAKE_TEXT];
};

struct engine_model {
	struct engine *engine;
	struct gguf *gguf;
	char name[64];
	struct fake_swapped swapped[FAKE_SWAPPED];
	unsigned int swapped_next;
	struct engine_seq *seqs;
	unsigned int pages_used;	/* by sequences, each for itself */
	struct fake_kept kept[FAKE_KEPT];
	unsigned int kept_count;
	unsigned int clock;
	float *logits;
	float *hidden;
	unsigned int adapters;		/* that are ready */
};

struct engine_adapter {
	struct engine_model *model;
	uint64_t seed;
	uint64_t id;
	uint64_t bytes;
};

struct engine {
	struct engine_config config;
	uint64_t last_adapter;
};

/** fake_tokenizer() - of a model file; nobody's to free */
const struct tokenizer *fake_tokenizer(const struct gguf *gguf);
/** fake_context() - tokens of a text that fit into a loaded model */
unsigned int fake_context(const struct engine_model *model);
/** fake_set_pages() - pages of its own */
void fake_set_pages(struct engine_seq *seq, unsigned int pages);
/** fake_leave_kept() - but for the first @keep, it does not use pages of the store any more */
void fake_leave_kept(struct engine_seq *seq, unsigned int keep);
/** fake_kept_in_use() - kept pages that sequences have */
unsigned int fake_kept_in_use(const struct engine_model *model);
/** fake_evict() - of @payer or of anybody (NULL); false: there is none that can go */
bool fake_evict(struct engine_model *model, const struct engine_payer *payer);

#endif /* TESTS_SCHED_ENGINE_INTERNAL_H */
