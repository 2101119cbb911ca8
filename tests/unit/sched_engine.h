/* SPDX-License-Identifier: MIT */
/*
 * An engine small enough to reason about, for tests of the scheduler: its "models" are text files,
 * its logits a hash of the tokens so far, its cache pages a counter, its prefix store a list of whole
 * texts. It keeps the promises of engine.h, and counts each time that a caller does not keep its own.
 */
#ifndef TESTS_SCHED_ENGINE_H
#define TESTS_SCHED_ENGINE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* the vocabulary: a token for each byte, then these */
enum {
	FAKE_BOS = 256,
	FAKE_EOS = 257,
	FAKE_WORDS = 258,	/* of a few letters each, see sched_engine.c */
	FAKE_VOCAB = 272,
};

#define FAKE_WIDTH	8	/* of a hidden state: element 0 is the token's id, 1 its place in the text,
				 * 2 the tokens it sees, the rest a hash of these
				 */
#define FAKE_PAGE_BYTES	100	/* of the cache, as the engine tells */

struct fake_counts {
	unsigned int broken_promises;	/* of the caller */
	unsigned int steps;
	unsigned int step_tokens_max;
	unsigned int step_items_max;
	unsigned int opens;		/* of model files */
	unsigned int loads;
	unsigned int truncates;
	unsigned int tokens;		/* fed, in all steps */
	unsigned int accepted;		/* of these, guesses that were right */
	unsigned int seqs;		/* that exist */
	unsigned int pages;		/* that are taken, by sequences or to be kept */
	unsigned int kept;		/* of these, to be kept */
	unsigned int reused;		/* tokens with which sequences began */
	unsigned int swapped;		/* tokens, to make way */
	unsigned int fetched;		/* of these, tokens that came back */
	unsigned int fetches_stopped;
	unsigned int adapters;		/* in memory */
	unsigned int adapter_loads;
	size_t encoded_bytes;		/* of texts that were made into tokens */
	char models[256];		/* first letter of each step's model, the last 255 */
};

extern struct fake_counts fake_counts;
/* called at the start of each step; NULL: nothing */
extern void (*fake_on_step)(void);
/* called when a model's or an adapter's file begins to be read, maybe by a thread; NULL: nothing */
extern void (*fake_on_open)(const char *path);
/* what the next files that are read are found to be, -errno; 0: what they are */
extern int fake_open_error;
/* called when a model begins to be loaded, maybe by another thread; NULL: nothing */
extern void (*fake_on_load)(void);
/* the same for an adapter */
extern void (*fake_on_adapter)(void);
/* tokens of context that a loaded model has memory for; 0: for all */
extern unsigned int fake_context_max;
/* memory that a model takes beside, while it has adapters */
extern size_t fake_adapt_bytes;
/* logits depend on the last token alone: texts repeat themselves, and can be guessed */
extern bool fake_forgets;
/* nothing comes back from the swap */
extern bool fake_swap_hangs;
/* pages that could be written ahead yet, one at a time */
extern unsigned int fake_ahead;
/* what the clock says, which goes on by what is done and not with the machine's; 0: the time */
extern _Atomic uint64_t fake_clock_ns;
/* how long each token of a step takes by the fake clock */
extern uint64_t fake_token_ns;
/* what the next engine_step() returns, once */
extern int fake_step_error;
/* no logit of this step is a number, counted as fake_counts.steps; 0: never */
extern unsigned int fake_nan_step;

/** fake_reset() - all of these but the counts are as at first */
void fake_reset(void);

/**
 * fake_model() - write a model file into a folder
 * @text: "context=64 page=4 pages=32 chat=none bos=1 encoder=0 labels=0 wrong=0 other=0 blank=0",
 *	any of these, in any order. One in @wrong of its rows of logits is not that of the other models;
 *	with other=1 one of its tokens has another text, with blank=1 spaces make no token, with
 *	pairs=1 a query and a text are {query|text}
 */
void fake_model(const char *folder, const char *name, const char *text);
/** fake_adapter() - an adapter, in the folder "adapters" in it: "ADAPTER seed=5 bytes=100" */
void fake_adapter(const char *folder, const char *name, const char *text);
/** fake_folder() - an empty folder; fake_folder_remove() with all that is in it */
const char *fake_folder(void);
void fake_folder_remove(void);

#endif /* TESTS_SCHED_ENGINE_H */
