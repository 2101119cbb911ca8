/* SPDX-License-Identifier: MIT */
/*
 * The scheduler: takes requests from the transports, forms the steps of the models, turns tokens
 * into answers and commits them. Batching is continuous: a request joins at the next step and
 * leaves when it is done. Called by the daemon's loop alone; nothing here waits.
 */
#ifndef LLMOS_SCHED_SCHED_H
#define LLMOS_SCHED_SCHED_H

#include "engine/engine.h"
#include "ipc/ipc.h"

struct sched;

/**
 * struct sched_config - how to serve
 * @engine: how the engine is built; max_seqs is the number of requests that keep their place in the
 *	cache, 0: four for each slot
 * @slots: requests stepped at once, 0: 16
 * @step_ns: that a step may take, as far as the tokens of prompts in it can be chosen, 0: as long as
 *	batch_tokens of them take
 * @draft_tokens: of an answer, guessed ahead in one step at most, 0: none
 * @draft_model: the model that guesses for the others, where the text itself gives no guess; NULL or
 *	"": none
 * @models: folder of the models
 * @adapters: folder of the adapters; NULL: "adapters" in that of the models, if it is there
 * @model_memory: bytes that all loaded models and adapters may take, their files included; 0: three
 *	quarters of what there is, or more where one of them needs it
 * @grammar_memory: bytes that what answers are held to may take, see sched/grammars.h; 0: its
 *	default
 * @default_model: "": the only one, else the first by name
 * @busy: told before all wait for a model to be loaded, and after with NULL; may be NULL
 * @load_beside: models are loaded while others answer, by a thread; sched_preload() waits for it
 */
struct sched_config {
	struct engine_config engine;
	unsigned int slots;
	uint64_t step_ns;
	unsigned int draft_tokens;
	const char *draft_model;
	uint64_t model_memory;
	uint64_t grammar_memory;
	const char *models;
	const char *adapters;
	const char *default_model;
	void (*busy)(const char *name);
	bool load_beside;
};

/** sched_fill_config() - put the defaults where a configuration has 0, and bounds where it needs them */
void sched_fill_config(struct sched_config *config);
int sched_new(struct sched **ret, const struct sched_config *config, struct error *error);
/** sched_free() - after its transports; what it holds is forgotten without a word to them */
void sched_free(struct sched *sched);
DEFINE_CLEANUP(struct sched *, sched_free);

/** sched_sink() - for the transports */
struct ipc_sink *sched_sink(struct sched *sched);
/** sched_attach() - @ipc lives until sched_free(); 0 or -E2BIG */
int sched_attach(struct sched *sched, struct ipc *ipc);

/** sched_preload() - load a model now, "" the default one */
int sched_preload(struct sched *sched, const char *name, struct error *error);

/**
 * sched_step() - apply what has come, make one step of one model, commit what it brought
 *
 * Return: there is more to do now; false: nothing until a transport brings news, or until
 * sched_retry_ns().
 */
bool sched_step(struct sched *sched);
/** sched_retry_ns() - when to call sched_step() although nothing has come, 0: never */
uint64_t sched_retry_ns(const struct sched *sched);

/**
 * sched_fd() - a descriptor that polls readable when sched_step() has something to do that no
 * transport brought
 */
int sched_fd(const struct sched *sched);
/** sched_heard() - it was */
void sched_heard(struct sched *sched);

void sched_fill_status(struct sched *sched, struct llm_status *status);

#endif /* LLMOS_SCHED_SCHED_H */
