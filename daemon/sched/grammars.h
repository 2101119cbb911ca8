/* SPDX-License-Identifier: MIT */
/*
 * Compiled grammars, while requests are held to them. Requests of one cache domain with the same
 * text share one; nobody learns from the time that it takes what others are held to. All of them
 * together are bounded, and so is what one domain may have: as much as it then leaves free. So
 * whoever has many leaves room for those who come after him, without a share that is put aside for
 * anybody. Owned by the scheduler's thread, but for what struct grammars_tenant says.
 */
#ifndef LLMOS_SCHED_GRAMMARS_H
#define LLMOS_SCHED_GRAMMARS_H

#include <stdatomic.h>

#include "base/hash.h"
#include "base/list.h"
#include "grammar/grammar.h"
#include "ipc/ipc.h"
#include "sched/compiler.h"

#define GRAMMARS_BYTES_LEAST	(UINT64_C(128) << 20)	/* that leave room for the worst of each */
#define GRAMMARS_BYTES		(UINT64_C(256) << 20)	/* where nothing is said */

/**
 * struct grammars - see above
 * @tenants: who has some
 * @key: of the hashes of texts
 * @max_bytes: that grammars and states may take together; grammars no more than half of it
 * @bytes: of all grammars and their texts; any thread may read it
 * @compiler: of them
 */
struct grammars {
	struct list tenants;
	struct hash_key key;
	uint64_t max_bytes;
	atomic_size_t bytes;
	struct compiler *compiler;
};

/**
 * struct grammars_tenant - a cache domain that has some
 * @link: in the list of all
 * @source: transport
 * @group, @user: the domain there
 * @held: its grammars
 * @bytes: of these
 * @line: those that have yet to be compiled
 * @owed_ns: of a processor, for grammars that nobody waited for any more
 * @ranked: of its answers: the constrainer's, under its lock
 */
struct grammars_tenant {
	struct list link;
	const struct ipc *source;
	uint64_t group;
	uint32_t user;
	struct list held;
	size_t bytes;
	struct compile_line line;
	uint64_t owed_ns;
	unsigned int ranked;
};

/**
 * struct held_grammar - a grammar
 * @link: in its tenant's list
 * @tenant: whose it is
 * @users: requests that are held to it, or will be; 0: it ends for nobody
 * @type: enum llm_option_type
 * @text: of it (len)
 * @hash: of that, so that not all texts are compared
 * @is_shared: somebody else may find it
 * @is_owed: a part of an answer was given already: there is always room
 * @is_ended: it was compiled, or could not be
 * @compiling: until then
 * @result: 0, or why not, also for want of room; @why says it in words
 * @grammar: it
 * @bytes: that are counted for it
 * @compute_ns: of a processor, that nobody was charged for
 */
struct held_grammar {
	struct list link;
	struct grammars_tenant *tenant;
	unsigned int users;
	uint32_t type;
	char *text;
	size_t len;
	uint64_t hash;
	bool is_shared;
	bool is_owed;
	bool is_ended;
	struct compiling compiling;
	int result;
	struct error why;
	struct grammar *grammar;
	size_t bytes;
	uint64_t compute_ns;
};

/**
 * grammars_init() - without a thread before the first grammar
 * @max_bytes: 0: GRAMMARS_BYTES; GRAMMARS_BYTES_LEAST at least
 */
void grammars_init(struct grammars *grammars, uint64_t max_bytes);
/**
 * grammars_start() - before the first one
 * @news_fd: an eventfd that is written to when grammars_heard() is to be called
 *
 * Return: 0 or -ENOMEM.
 */
int grammars_start(struct grammars *grammars, int news_fd);
/** grammars_done() - after all were put; waits for those that are just being compiled */
void grammars_done(struct grammars *grammars);
/**
 * grammars_get() - what an answer is to be held to, once it has been compiled
 * @event: whose, and whether a part of the answer was given already: then there is always room
 * @type: LLM_OPTION_GRAMMAR, _SCHEMA or _JSON
 * @text: of it (len), which is copied
 *
 * Return: 0, see grammars_check(); -EBUSY no room for the text beside the others of the same
 * domain, -ENOMEM, -EAGAIN no thread.
 */
int grammars_get(struct held_grammar **ret, struct grammars *grammars, const struct ipc *ipc,
		 const struct llm_event *event, uint32_t type, const char *text, size_t len,
		 struct error *error);
/**
 * grammars_check() - how that went
 *
 * Return: 0; -EINPROGRESS it is being compiled, or waits for its turn; as gram_new_gbnf() and
 * gram_new_schema(); -EBUSY no room beside the others of the same domain, -ENOMEM.
 */
int grammars_check(const struct held_grammar *held, struct error *error);
/**
 * grammars_bill() - nanoseconds of a processor to charge to whoever has it now
 *
 * Each is told of once. Also those of grammars of the same domain that nobody wanted any more when
 * they had been compiled.
 */
uint64_t grammars_bill(struct held_grammar *held);
/** grammars_put() - a request is no longer held to it; NULL is fine */
void grammars_put(struct grammars *grammars, struct held_grammar *held);
/** grammars_heard() - was any compiled, or could not be, since the last call? */
bool grammars_heard(struct grammars *grammars);

#endif /* LLMOS_SCHED_GRAMMARS_H */
