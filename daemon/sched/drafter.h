/* SPDX-License-Identifier: MIT */
/*
 * Guesses of a smaller model: it has a sequence of its own for each answer, is a few tokens ahead
 * of it, and what it finds likeliest is tried in the answer's next step. Its pages are charged to
 * whoever asked; where there is no room for them, there are no guesses. (Leviathan, Kalman, Matias,
 * "Fast Inference from Transformers via Speculative Decoding", 2023.)
 */
#ifndef LLMOS_SCHED_DRAFTER_H
#define LLMOS_SCHED_DRAFTER_H

#include "sched/job.h"

/**
 * drafter_open() - find the model that guesses for others
 *
 * Return: 0; -ENOENT there is none of that name.
 */
int drafter_open(struct sched *sched, const char *name, struct error *error);
/**
 * drafter_guess() - guess for those who take part in the step with one token and have no guesses
 * @members: (count) of one model
 * @tokens: that are left of the step
 * @rows: of logits, that are left of it
 *
 * Guesses are laid behind the tokens of each, and added to what it takes part with.
 */
void drafter_guess(struct sched *sched, struct job **members, unsigned int count, size_t *tokens,
		   size_t *rows);
/** drafter_learn() - the first @right of its guesses were what the model chose */
void drafter_learn(struct job *job, unsigned int right);
/** drafter_drop() - give its sequence of the draft model back; what was charged is to be settled */
void drafter_drop(struct job *job);
/** drafter_make_room() - all of these, if that is what @model is; Return: there were some */
bool drafter_make_room(struct sched *sched, const struct model *model);

#endif /* LLMOS_SCHED_DRAFTER_H */
