/* SPDX-License-Identifier: MIT */
/*
 * Answers that are held to a grammar. Which tokens may come next is found out by a thread of its
 * own, while the model's step for them runs; nobody waits for it: whose tokens are not known when
 * his logits are there puts these aside. Grammars whose tokens take long take turns. Called by the
 * scheduler's thread.
 *
 * What is known of an answer in its grammar, its states, can take much memory, and is a function of
 * the grammar and of what was said: so it may be forgotten and found again. All of it is bounded,
 * together with the grammars. Where there is no room the states of answers that rest go first, then
 * those of whoever comes last: the oldest answer of each tenant comes before the second of any. Who
 * comes after all that take the room waits.
 */
#ifndef LLMOS_SCHED_CONSTRAIN_H
#define LLMOS_SCHED_CONSTRAIN_H

#include "grammar/vocab.h"
#include "sched/grammars.h"

struct constrainer;
struct constraint;

/**
 * constrainer_new() - without a thread before the first constraint; 0 or -errno
 * @grammars: whose bytes count, too, and who says how many there may be in all
 */
int constrainer_new(struct constrainer **ret, struct grammars *grammars);
/** constrainer_free() - after its constraints */
void constrainer_free(struct constrainer *constrainer);
/** constrainer_wake() - make its descriptor readable; any thread may */
void constrainer_wake(struct constrainer *constrainer);
/** constrainer_fd() - readable when a constraint has become ready; constrainer_heard() clears it */
int constrainer_fd(const struct constrainer *constrainer);
void constrainer_heard(struct constrainer *constrainer);
/** constrainer_bytes() - of all grammars and states, as they were between two turns */
size_t constrainer_bytes(struct constrainer *constrainer);

/**
 * constraint_new() - hold an answer to a grammar; it rests
 * @held: is taken over, also where this fails
 * @vocab: of the model; it takes a reference
 * @fresh: see gram_matcher_new()
 *
 * Return: 0, -ENOMEM, -EAGAIN no thread.
 */
int constraint_new(struct constraint **ret, struct constrainer *constrainer,
		   struct held_grammar *held, struct gram_vocab *vocab, bool fresh);
/** constraint_free() - may wait for what its thread is just doing, some milliseconds at most */
void constraint_free(struct constraint *constraint);
/** constraint_rest() - it is not needed for a while, or it is again; NULL is fine */
void constraint_rest(struct constraint *constraint, bool rests);

/** constraint_say() - the answer's next token, which none that ends it is; 0 or -ENOMEM */
int constraint_say(struct constraint *constraint, uint32_t id);
/** constraint_is_ready() - is it known what may follow? It may be forgotten again */
bool constraint_is_ready(const struct constraint *constraint);
/**
 * constraint_mask() - the tokens that may follow
 * @ret: one bit for each token, valid until the next constraint_say() or constraint_rest()
 * @ret_can_end: the answer matches as it is
 *
 * Return: how many there are; -EAGAIN it is not ready, -EILSEQ what was said does not match, -E2BIG
 * the grammar is too ambiguous, -ENOMEM.
 */
int64_t constraint_mask(struct constraint *constraint, const uint32_t **ret, bool *ret_can_end);

#endif /* LLMOS_SCHED_CONSTRAIN_H */
