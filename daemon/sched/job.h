/* SPDX-License-Identifier: MIT */
/*
 * A job is a request while this server has it, from its event to the commit of its end. It is in
 * one of the lists of struct sched, its state's, in order of age. Only files of this room use it.
 */
#ifndef LLMOS_SCHED_JOB_H
#define LLMOS_SCHED_JOB_H

#include "base/list.h"
#include "sched/adapters.h"
#include "sched/answer.h"
#include "sched/constrain.h"
#include "sched/draft.h"
#include "sched/embed.h"
#include "sched/models.h"
#include "sched/options.h"
#include "sched/past.h"
#include "sched/sched.h"
#include "sched/session.h"

#define SCHED_TABLE_SIZE	256	/* a power of two */
#define SCHED_IPCS_MAX		4
#define SCHED_FETCH_NS		NS_PER_S	/* without a page from the swap */
#define SCHED_RETRY_NS		UINT64_C(20000000)
#define SCHED_TURN_TRIES	50	/* commits without memory: one second */
#define SCHED_COMMIT_TRIES	250	/* five seconds */
#define JOB_STEPS_KEPT		8

/**
 * enum job_state - where a job is
 * @JOB_ARRIVED: nobody has looked at it
 * @JOB_OPENING: a model's file is being read, or its grammar compiled; it is looked at again behind
 *	that
 * @JOB_WAITING: its prompt is in tokens; waits for a sequence and cache pages, also again
 * @JOB_ACTIVE: has a sequence and takes part in steps (unless it is paused)
 * @JOB_FINISHING: nothing is left to compute; the rest of its answer and its end to be committed
 */
enum job_state {
	JOB_ARRIVED,
	JOB_OPENING,
	JOB_WAITING,
	JOB_ACTIVE,
	JOB_FINISHING,
	JOB_STATES,
};

/**
 * struct job_shift - what becomes of a text that outgrows the context; see shift.c
 * @is_on: it goes on
 * @fits: @head is known, and the prompt is in the context; @unread and @dropped are right
 * @keep: tokens at its beginning that stay, as asked for; 0: @system
 * @system: of these, those up to the first question
 * @head: those that stay
 * @context: tokens of the model's context, as it was then
 * @unread: tokens of the prompt that had gone before it was read
 * @dropped: tokens behind the head that have gone, @unread among them
 * @told: the text up to there is in job->past, as far as it belongs there
 */
struct job_shift {
	bool is_on;
	bool fits;
	uint32_t keep;
	size_t system;
	size_t head;
	size_t context;
	size_t unread;
	size_t dropped;
	size_t told;
};

/**
 * struct job - a request
 * @link: in its state's list
 * @table_link: in the table, by id
 * @ipc: who brought it
 * @event: as it came
 * @data: stop strings, payload unless it is in a buffer, journal
 * @number: order of arrival: the age
 * @paused: not stepped and not committed until it is resumed
 * @resumed: the resume came before the commit's verdict that asks for the pause
 * @cancelled: only its end is to be committed
 * @committing: a commit's result is awaited
 * @retry: the last commit found no memory: the same again, from @retry_ns on
 * @shortages: commits that found none, one after the other
 * @is_short: it was told to pause by a charge; a commit before the next one would cost it what was
 *	reserved for it
 * @reuses_nothing: what it used of the prefix store was asked back
 *
 * What is computed:
 * @model: NULL until it is prepared
 * @seq: NULL unless it is active, or paused and not evicted
 * @charged_bytes: for the pages of that; see charge.c
 * @tokens: prompt and answer, without what @shift says has gone; those behind the sequence's length
 *	are yet to be fed
 * @prompt_count: tokens of the prompt, also of what has gone
 * @shift: what goes when they are more than the model's context
 * @pushed: GENERATE: tokens of the answer spelled; SCORE: tokens reported
 * @adapters: that are added to the model; bound while it has a sequence
 * @adapter_count: number of them
 * @uses: the same for the engine, while they are bound
 * @params: sampling
 * @fresh: the answer begins a text, and has no bytes yet
 * @grammar: what the answer is to be held to, until there is @constraint
 * @constraint: what the answer is held to, or NULL
 * @row: with a constraint and a sequence: room for logits that are put aside (vocab)
 * @has_row: there are such: it is not stepped until the constraint is ready
 * @is_fetching: pages of it may come from the swap: it is not stepped until that is over, or none
 *	has come until @fetch_until_ns
 * @awaits_load: an adapter for it is to be loaded, or its model is
 * @is_parked: it waits for a file, a grammar or a model, and takes no slot meanwhile
 * @asks_verdict: it takes one again: it is committed even if there is nothing to tell
 * @embed: EMBED, CLASSIFY: its texts; @tokens are those of the next step then. Else NULL
 * @planned: tokens it takes part with in the step that is being formed
 * @stepped: tokens that its last step computed
 * @draft: of @planned, the last ones: guesses
 * @draft_seq: of the draft model, or NULL
 * @draft_of: that model, or NULL
 * @draft_valid: tokens of that which are the job's, if there are so many
 * @draft_bytes: of charged_bytes, for its pages
 * @drafts_nothing: there was no room for that, or a quota against it
 * @turn: of its last step
 * @paused_turn: in which it was told to pause
 *
 * What it has to do with a session:
 * @line: in which pages are kept for it; 0: it belongs to no session
 * @base: the cache domain in which the first @base_tokens of its text are kept: its system prompt
 * @is_guest: that is not whoever asks's own; see reuse.c
 * @past_count: of its tokens, those that were the session's before
 * @reach: tokens that have been computed for it, though they may have to be again
 * @past: bytes to append to the session's past with the commit of its end
 *
 * What is answered:
 * @answer: bytes to commit, and held ones
 * @journal: bytes to commit to the journal
 * @journal_bytes: of it in all
 * @scores: what is to be written into the client's buffer
 * @scores_bytes: of these, written
 * @done: nothing more will be added to the answer
 * @next: of a control operation: index of the next item to answer with
 * @listed: MODELS: the last one that was told of; they are in the order of names
 * @lists_adapters: MODELS: all models were told of, and @listed is an adapter
 * @list_ns: MODELS: when it was begun
 * @opened: SHOW: an adapter's file
 * @status, @finish: of the end
 * @sent_data, @sent_journal, @sent_end: the commit that is awaited
 * @sent_prompt_tokens, @sent_output_tokens: as last committed
 * @compute_ns: not told yet
 * @sent_compute_ns: of these, in the commit that is under way
 *
 * @steps: when its last steps began; @step_count: how many there were
 */
struct job {
	struct list link;
	struct list table_link;
	struct ipc *ipc;
	struct llm_event event;
	uint8_t *data;
	uint64_t number;
	enum job_state state;
	bool paused;
	bool resumed;
	bool cancelled;
	bool committing;
	bool retry;
	unsigned int shortages;
	uint64_t retry_ns;
	bool is_short;
	bool reuses_nothing;

	struct model *model;
	struct engine_seq *seq;
	size_t charged_bytes;
	struct tok_ids tokens;
	size_t prompt_count;
	struct job_shift shift;
	size_t pushed;
	struct {
		struct adapter *adapter;
		struct adapter_bound *bound;
		int32_t scale;
	} adapters[LLM_ADAPTERS_MAX];
	unsigned int adapter_count;
	struct engine_adapter_use uses[LLM_ADAPTERS_MAX];
	struct sample_params params;
	bool fresh;
	struct held_grammar *grammar;
	struct constraint *constraint;
	float *row;
	bool has_row;
	bool is_fetching;
	uint64_t fetch_until_ns;
	bool awaits_load;
	bool is_parked;
	bool asks_verdict;
	struct embed *embed;
	unsigned int planned;
	unsigned int stepped;
	struct draft draft;
	struct engine_seq *draft_seq;
	struct model *draft_of;
	size_t draft_valid;
	size_t draft_bytes;
	bool drafts_nothing;
	uint64_t turn;
	uint64_t paused_turn;

	uint64_t line;
	struct engine_domain_base base;
	size_t base_tokens;
	bool is_guest;
	size_t past_count;
	size_t reach;
	struct bytes past;

	struct answer answer;
	struct bytes journal;
	size_t journal_bytes;
	struct bytes scores;
	size_t scores_bytes;
	bool done;
	size_t next;
	char listed[LLM_MODEL_NAME_MAX];
	bool lists_adapters;
	uint64_t list_ns;
	struct opened *opened;
	int status;
	enum llm_finish finish;
	struct bytes sent_data;
	struct bytes sent_journal;
	bool sent_end;
	uint32_t sent_prompt_tokens;
	uint32_t sent_output_tokens;
	uint64_t compute_ns;
	uint64_t sent_compute_ns;

	uint64_t steps[JOB_STEPS_KEPT];
	unsigned int step_count;
};

/** struct sched - see sched.h; @totals: the counters of LLM_RECORD_STATUS */
struct sched {
	struct ipc_sink sink;
	struct engine_config config;
	unsigned int slots;
	uint64_t step_ns;		/* that a step may take, 0: as long as it likes */
	char draft_name[LLM_MODEL_NAME_MAX]; /* of who guesses for others; "": nobody does */
	struct model *draft_model;	/* while it does */
	uint64_t draft_look_ns;		/* when its files are looked at again */
	uint64_t draft_turn;		/* before which it is not tried to load it */
	unsigned int draft_tokens;	/* guessed ahead for one job in one step at most */
	struct engine *engine;
	struct models *models;
	struct adapters *adapters;
	struct grammars grammars;
	struct constrainer *constrainer;
	struct sessions sessions;
	struct ipc *ipcs[SCHED_IPCS_MAX];
	unsigned int parked;			/* requests that take no slot */
	unsigned int spared[SCHED_IPCS_MAX];	/* of them, as each transport was told */
	unsigned int ipc_count;
	struct list jobs[JOB_STATES];
	struct list table[SCHED_TABLE_SIZE];
	uint64_t last_number;
	uint64_t turn;			/* of steps: models take turns */
	uint64_t admissions;		/* rounds of them */
	uint64_t pause_turns;		/* that pauses have been lasting */
	uint64_t ahead_ns;		/* when more pages may be written ahead, 0: none are left */
	uint64_t ahead_wait_ns;		/* between two times, while the disk is at something else */
	bool lists_due;			/* a file was read that lists of models may wait for */
	uint64_t opened_ns;		/* when the last file was read */
	bool cancels;			/* some job has been cancelled since the last step */
	struct engine_item *items;	/* (slots): the step that is being formed */
	struct job **members;		/* (max_seqs): who could take part, then who does */
	struct llm_status totals;
};

/* job.c: life of a job, and what its tokens do to it */

struct job *job_new(struct sched *sched, struct ipc *ipc, const struct llm_event *event,
		    uint8_t *data);
void job_free(struct sched *sched, struct job *job);
void job_move(struct sched *sched, struct job *job, enum job_state state);
bool job_is_control(const struct job *job);
/** job_bytes() - of memory that it takes before it computes anything, about */
size_t job_bytes(const struct job *job);
/**
 * job_prepare() - from ARRIVED to WAITING, or to FINISHING if there is nothing to compute
 *
 * To OPENING, and as if nothing had been done, where a file has to be read before, or a grammar
 * compiled.
 */
void job_prepare(struct sched *sched, struct job *job);
/** job_finish() - nothing is left to compute */
void job_finish(struct sched *sched, struct job *job, enum llm_finish finish);
/** job_fail() - the same, with an error and one line that says what was wrong */
void job_fail(struct sched *sched, struct job *job, int r, const struct error *why);
/** job_pause() - not stepped and not committed until job_resume() */
void job_pause(struct sched *sched, struct job *job);
void job_resume(struct sched *sched, struct job *job);
/** job_cancel() - the same, for a job that nobody wants any more */
void job_cancel(struct sched *sched, struct job *job);
/** job_set_model() - it uses that model from now on */
void job_set_model(struct job *job, struct model *model);
/** job_awaits_grammar() - it is being compiled, and was not heard of yet */
bool job_awaits_grammar(const struct job *job);
/** job_new_row() - it has a sequence: with a constraint, its logits may be put aside; 0, -ENOMEM */
int job_new_row(struct job *job);
/**
 * job_drop_seq() - give its sequence and pages back; its tokens are fed again later
 *
 * What was charged for them is still to be settled, unless its end is committed next.
 */
void job_drop_seq(struct job *job);
/** job_check_size() - can it ever be computed? Its model is loaded. 0, or why not */
int job_check_size(struct job *job, struct error *error);
/** job_next_row() - first index in tokens behind which logits are wanted */
size_t job_next_row(const struct job *job);
/**
 * job_draft_room() - how many tokens may be guessed for it now, @max at most
 *
 * A known answer is fed as it is, of one that is held to a grammar it is not known yet what may
 * follow, and guesses take no page of their own. There is room for them behind its tokens.
 */
unsigned int job_draft_room(struct job *job, unsigned int max);
/**
 * job_draft() - guess its next tokens by lookup, @max at most, and lay them behind those it has
 *
 * Return: how many, which are job->draft.count as well.
 */
unsigned int job_draft(struct job *job, unsigned int max);
/** job_take_row() - logits behind that index; may finish the job, or put them aside */
void job_take_row(struct sched *sched, struct job *job, const float *logits);
/** job_is_held() - its logits were put aside, and its constraint is not ready yet */
bool job_is_held(const struct job *job);

/* shift.c: a text that outgrows the context */

/** shift_context() - tokens of it that the model can see at once; its model is loaded */
size_t shift_context(const struct job *job);
/** shift_window() - of those that are known, how many its sequence may have before a shift */
size_t shift_window(const struct job *job);
/**
 * shift_fit() - its model is loaded: what of its text is too much goes, before any of it is read
 *
 * Return: 0, also where it does not shift; -E2BIG it keeps too much, -ENOMEM.
 */
int shift_fit(struct job *job, struct error *error);
/** shift_make() - after a token was chosen: shift if it is time; true: it was, or it has failed */
bool shift_make(struct sched *sched, struct job *job);
/** shift_tell() - a session's past grows by the text up to token @end; 0 or -ENOMEM */
int shift_tell(struct job *job, size_t end);
/** shift_prompt() - first tokens of job->tokens that were there to be read, not chosen */
size_t shift_prompt(const struct job *job);
/** shift_prompt_tokens() - tokens read, in all, when its sequence has @fed; those again, too */
uint64_t shift_prompt_tokens(const struct job *job, size_t fed);

/* turn.c: a job that goes on with a session */

/** turn_appends() - does it become a part of its session's past? */
bool turn_appends(const struct job *job);
/** turn_read() - the past that came with it, zeroed where there is none; 0, -EBADMSG */
int turn_read(const struct job *job, struct past *ret, struct error *error);
/** turn_add_past() - its tokens, of which there are none yet, begin with those; its model is set */
int turn_add_past(struct job *job, const struct past *past, struct error *error);
/**
 * turn_begin() - the same, for a job that appends, if the past is one of its model
 *
 * Return: 0, also without a session; -EINVAL it names another model, -ESTALE the model is not what
 * it was, -ENOENT, -ENOMEM.
 */
int turn_begin(struct sched *sched, struct job *job, const struct past *past,
	       struct error *error);
/** turn_end() - it has ended well: make what its session's past grows by; 0 or -ENOMEM */
int turn_end(struct job *job);

/* adapt.c: adapters of a job */

/** adapt_find() - those that its options name; 0, or why one can not be used */
int adapt_find(struct sched *sched, struct job *job, const struct options *options,
	       struct error *error);
/** adapt_bind() - all of them in memory for its model, which is loaded; as adapter_bind() */
int adapt_bind(struct sched *sched, struct job *job, struct error *error);
/** adapt_unbind() - they may be unloaded again */
void adapt_unbind(struct job *job);
/** adapt_release() - it names none any more */
void adapt_release(struct job *job);
/** adapt_domain() - what of a domain it can reuse; false: nothing, they are not bound */
bool adapt_domain(const struct job *job, struct engine_domain *domain);
/** adapt_used() - it was in a step */
void adapt_used(struct job *job);
/** adapt_bytes() - of their files, which tells whether they are still the same */
uint64_t adapt_bytes(const struct job *job);
/** adapt_make_room() - unload the one that was idle longest, since before @turn; false: none was */
bool adapt_make_room(struct sched *sched, uint64_t turn);

/* charge.c: who pays for cache pages */

/**
 * charge_take() - charge what a sequence of @tokens has for itself, before it does
 *
 * Return: it is charged; false: not now, and the job is paused, failed, or to be asked again.
 */
bool charge_take(struct sched *sched, struct job *job, unsigned int tokens);
/**
 * charge_take_draft() - the same for @tokens of the draft model's sequence
 *
 * Nobody waits for that. Return: it is charged; false: there was no room (drafts_nothing).
 */
bool charge_take_draft(struct sched *sched, struct job *job, unsigned int tokens);
/** charge_settle() - uncharge what its sequence does not hold, or not any more */
void charge_settle(struct job *job);

/* reuse.c: what was computed before */

/** reuse_set_base() - its tokens are known: where is its system prompt kept? 0 or -ENOMEM */
int reuse_set_base(struct sched *sched, struct job *job);
/** reuse_find() - tokens at its beginning that need not be computed, as things are */
unsigned int reuse_find(const struct job *job);
/** reuse_begin() - its sequence, which is empty, begins with those */
void reuse_begin(struct sched *sched, struct job *job);
/** reuse_is_coming() - most of what it begins with is just being computed for somebody else */
bool reuse_is_coming(const struct sched *sched, const struct job *job);
/** reuse_gather() - what others have computed of what it begins with can be found from now on */
void reuse_gather(struct sched *sched, const struct job *job);
/** reuse_begin_late() - the same as reuse_begin(), for a job that has its pages, but nothing in them */
void reuse_begin_late(struct sched *sched, struct job *job);
/** reuse_keep() - the full pages of its sequence, if it has one, outlive it */
void reuse_keep(struct job *job);
/** reuse_leave() - the same, before it gives it back: what can not be kept goes to the swap */
void reuse_leave(const struct sched *sched, struct job *job);
/** reuse_swap() - full pages of its sequence, from token @from on, go to the swap before they go */
void reuse_swap(struct job *job, unsigned int from);
/** reuse_fetch_begin() - the swap is asked for its pages from the next turn on */
void reuse_fetch_begin(struct job *job);
/** reuse_fetch() - go on with what comes from there; true: it was over */
bool reuse_fetch(struct sched *sched, struct job *job);
/** reuse_dropped() - for struct engine_config: pages are kept no longer, and not charged */
void reuse_dropped(void *arg, const struct engine_payer *payer, size_t bytes);
/** reuse_reclaim() - give up pages that are charged to a cgroup, @bytes of them */
void reuse_reclaim(struct sched *sched, struct ipc *ipc, uint64_t cgroup_id, uint64_t bytes);
/** reuse_forget() - nobody has a past of that session any more */
void reuse_forget(struct sched *sched, struct ipc *ipc, uint64_t session);

/* buffer.c: memory of clients */

/**
 * buffer_payload() - where the payload is; its model must be open
 * @ret_copy: to be freed by the caller after use; NULL: it is part of the job
 */
int buffer_payload(const struct job *job, const uint8_t **ret, uint8_t **ret_copy,
		   struct error *error);
/** struct buffer_rows - "@what" of "@of", @count of them and @bytes each */
struct buffer_rows {
	const char *what;
	const char *of;
	size_t count;
	size_t bytes;
};

/** buffer_check() - is there room for all of them? */
int buffer_check(const struct job *job, const struct buffer_rows *rows, struct error *error);
/** buffer_score() - one more; 0 or -ENOMEM */
int buffer_score(struct job *job, float logprob);
/** buffer_flush() - write what there is before the commit that tells of it; may fail the job */
void buffer_flush(struct sched *sched, struct job *job);

/* commit.c: from a job to its transport */

/** job_flush() - commit what there is to commit; may free the job */
void job_flush(struct sched *sched, struct job *job);
/** job_committed() - result of a commit; may free the job */
void job_committed(struct sched *sched, struct job *job, int result);

/* control.c: operations that need no step */

/** control_start() - 0; -EINPROGRESS a model's file has to be read first: call it again then */
int control_start(struct sched *sched, struct job *job);
/** control_list_due_ns() - until when a list of models waits for the next file */
uint64_t control_list_due_ns(const struct sched *sched, const struct job *job);
/** control_fill() - more of a long answer; sets done with the last of it */
void control_fill(struct sched *sched, struct job *job);

/* batch.c: which jobs have sequences, and the steps */

/** batch_admit() - from WAITING to ACTIVE, as many as there is room for */
void batch_admit(struct sched *sched);
/** batch_make_room() - for models_set_memory(), @arg is the sched */
bool batch_make_room(void *arg, const struct model *model);
/** batch_put_back() - from ACTIVE to WAITING: its pages are given back */
void batch_put_back(struct sched *sched, struct job *job);
/**
 * batch_step() - one step of one model
 *
 * Return: anything has changed, if only who has pages; false: all who are active are paused, or
 * wait for what may follow.
 */
bool batch_step(struct sched *sched);

#endif /* LLMOS_SCHED_JOB_H */
