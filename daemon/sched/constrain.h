/* SPDX-License-Identifier: MIT */
/*
 * Answers that are held to a grammar. Which tokens may come next is found out by a thread of its
 * own, while the model's step for them runs; nobody waits for it: whose tokens are not known when
 * his logits are there puts these aside. Grammars whose tokens take long take turns. Called by the
 * scheduler's thread.
 */
#ifndef LLMOS_SCHED_CONSTRAIN_H
#define LLMOS_SCHED_CONSTRAIN_H

#include "grammar/grammar.h"
#include "grammar/vocab.h"
#include "ipc/ipc.h"

struct constrainer;
struct constraint;

/** constrainer_new() - without a thread before the first constraint; 0 or -errno */
int constrainer_new(struct constrainer **ret);
/** constrainer_free() - after its constraints */
void constrainer_free(struct constrainer *constrainer);
/** constrainer_wake() - make its descriptor readable; any thread may */
void constrainer_wake(struct constrainer *constrainer);
/** constrainer_fd() - readable when a constraint has become ready; constrainer_heard() clears it */
int constrainer_fd(const struct constrainer *constrainer);
void constrainer_heard(struct constrainer *constrainer);

/**
 * constraint_new() - hold an answer to a grammar
 * @grammar: is taken over, also where this fails
 * @vocab: of the model; it takes a reference
 * @fresh: see gram_matcher_new()
 */
int constraint_new(struct constraint **ret, struct constrainer *constrainer,
		   struct grammar *grammar, struct gram_vocab *vocab, bool fresh);
/** constraint_free() - may wait for what its thread is just doing, some milliseconds at most */
void constraint_free(struct constraint *constraint);

/** constraint_say() - the answer's next token, which none that ends it is; 0 or -ENOMEM */
int constraint_say(struct constraint *constraint, uint32_t id);
/** constraint_is_ready() - is it known what may follow all that was said? */
bool constraint_is_ready(const struct constraint *constraint);
/**
 * constraint_mask() - the tokens that may follow, once it is ready
 * @ret: one bit for each token, valid until the next constraint_say()
 * @ret_can_end: the answer matches as it is
 *
 * Return: how many there are; -EILSEQ what was said does not match, -E2BIG the grammar is too
 * ambiguous, -ENOMEM.
 */
int64_t constraint_mask(const struct constraint *constraint, const uint32_t **ret,
			bool *ret_can_end);

#endif /* LLMOS_SCHED_CONSTRAIN_H */
