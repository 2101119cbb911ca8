/* SPDX-License-Identifier: MIT */
/*
 * The life of a job: prepared from its event (and from the journal that an earlier server left),
 * advanced by rows of logits, finished for one reason. See job.h.
 */
#include "sched/job.h"

#include <math.h>
#include <string.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/log.h"
#include "model/gguf.h"
#include "sched/drafter.h"
#include "sched/journal.h"
#include "sched/options.h"
#include "sched/prompt.h"
#include "sched/record.h"

#define JOB_MILLION	1000000U

/* ---- birth, death, state ---- */

struct job *job_new(struct sched *sched, struct ipc *ipc, const struct llm_event *event,
		    uint8_t *data)
{
	struct job *job = calloc(1, sizeof(*job));

	if (!job)
		return NULL;
	job->ipc = ipc;
	job->event = *event;
	job->data = data;
	job->number = ++sched->last_number;
	job->sent_prompt_tokens = event->prompt_tokens;
	job->sent_output_tokens = event->output_tokens;
	job->answer.framed = event->flags & LLM_SUBMIT_RECORDS;
	job->answer.skip_bytes = event->output_bytes;
	list_init(&job->link);
	list_append(&sched->table[event->id % SCHED_TABLE_SIZE], &job->table_link);
	job_move(sched, job, JOB_ARRIVED);
	if (event->attempts > 1)
		sched->totals.recovered++;
	return job;
}

static void job_drop_constraint(struct sched *sched, struct job *job)
{
	if (job->grammar)
		job->compute_ns += grammars_bill(job->grammar);
	grammars_put(&sched->grammars, steal_ptr(job->grammar));
	constraint_free(steal_ptr(job->constraint));
}

void job_free(struct sched *sched, struct job *job)
{
	job_drop_seq(job);
	job_drop_constraint(sched, job);
	adapt_release(job);
	if (job->model)
		job->model->users--;
	list_remove(&job->link);
	list_remove(&job->table_link);
	answer_free(&job->answer);
	bytes_free(&job->journal);
	bytes_free(&job->sent_data);
	bytes_free(&job->sent_journal);
	bytes_free(&job->scores);
	bytes_free(&job->past);
	free(job->tokens.ids);
	embed_free(job->embed);
	opened_unref(job->opened);
	free(job->data);
	free(job);
}

/* what may follow is of no use to whoever is not stepped */
static void job_rest(const struct job *job)
{
	constraint_rest(job->constraint, job->state != JOB_ACTIVE || job->paused);
}

/* lists are in the order of age; most moves are to the end */
void job_move(struct sched *sched, struct job *job, enum job_state state)
{
	struct list *head = &sched->jobs[state], *at = head;

	list_remove(&job->link);
	while (at->prev != head && container_of(at->prev, struct job, link)->number > job->number)
		at = at->prev;
	list_insert(at, &job->link);
	job->state = state;
	job_rest(job);
}

bool job_is_control(const struct job *job)
{
	return job->event.op >= LLM_OP_CONTROL;
}

/* what came with it, and the tokens of that */
size_t job_bytes(const struct job *job)
{
	const struct llm_event *event = &job->event;

	return sizeof(*job) + event->data_len +
	       job->tokens.capacity * sizeof(*job->tokens.ids);
}

/* what an earlier server has left */
static const uint8_t *job_left(const struct job *job)
{
	size_t payload_len = job->event.flags & LLM_SUBMIT_BUFFER ? 0 : job->event.payload_len;

	return job->data + job->event.stop_len + payload_len;
}

void job_set_model(struct job *job, struct model *model)
{
	job->model = model;
	model->users++;
}

int job_new_row(struct job *job)
{
	if (!job->constraint)
		return 0;
	job->row = malloc((size_t)job->model->info.vocab * sizeof(*job->row));
	return job->row ? 0 : -ENOMEM;
}

void job_drop_seq(struct job *job)
{
	adapt_unbind(job);
	drafter_drop(job);
	if (!job->seq)
		return;
	engine_seq_free(job->seq);
	job->seq = NULL;
	/* they are computed again */
	job->has_row = false;
	free(job->row);
	job->row = NULL;
	job->is_fetching = false;
}

/* ---- pauses ---- */

void job_pause(struct sched *sched, struct job *job)
{
	job->paused = true;
	job->paused_turn = sched->turn;
	job_rest(job);
}

void job_resume(struct sched *sched, struct job *job)
{
	uint64_t turns = sched->turn - job->paused_turn;

	if (!job->paused)
		return;
	job->paused = false;
	job_rest(job);
	/* a running mean, whose last few count most */
	sched->pause_turns = (7 * sched->pause_turns + turns) / 8;
}

/* ---- the end ---- */

void job_finish(struct sched *sched, struct job *job, enum llm_finish finish)
{
	if (answer_flush(&job->answer) < 0 || turn_end(job) < 0) {
		job_fail(sched, job, -ENOMEM, NULL);
		return;
	}
	/* of texts, there is no answer that is only shorter */
	if (finish == LLM_FINISH_CONTEXT && embed_is(job)) {
		job_fail(sched, job, -E2BIG, NULL);
		return;
	}
	reuse_leave(sched, job);
	job_drop_seq(job);
	job_drop_constraint(sched, job);
	job->done = true;
	job->finish = finish;
	job_move(sched, job, JOB_FINISHING);
}

void job_fail(struct sched *sched, struct job *job, int r, const struct error *why)
{
	job_drop_seq(job);
	job_drop_constraint(sched, job);
	log_debug("request %llu: %s", (unsigned long long)job->event.id, strerror(-r));
	if (job->answer.framed && why && *why->text)
		record_error(&job->answer.out, why->text);
	job->done = true;
	job->status = r;
	job->finish = LLM_FINISH_NONE;
	job_move(sched, job, JOB_FINISHING);
}

void job_cancel(struct sched *sched, struct job *job)
{
	reuse_leave(sched, job);
	job_drop_seq(job);
	job_drop_constraint(sched, job);
	bytes_clear(&job->answer.out);
	bytes_clear(&job->journal);
	bytes_clear(&job->scores);
	if (!job->committing) {
		bytes_clear(&job->sent_data);
		bytes_clear(&job->sent_journal);
		job->retry = false;
	}
	job->done = true;
	job->status = -ECANCELED;
	job->finish = LLM_FINISH_NONE;
	job_move(sched, job, JOB_FINISHING);
}

/* ---- preparing ---- */

static float job_real(uint32_t millionths)
{
	return (float)((double)millionths / JOB_MILLION);
}

static int job_prepare_sampling(struct job *job, struct error *error)
{
	const struct llm_sampling *sampling = &job->event.sampling;

	if (sampling->top_p > JOB_MILLION)
		return error_set(error, -EINVAL, "top_p of %u millionths is more than 1",
				 sampling->top_p);
	if (sampling->min_p > JOB_MILLION)
		return error_set(error, -EINVAL, "min_p of %u millionths is more than 1",
				 sampling->min_p);
	if (sampling->top_logprobs > LLM_LOGPROBS_MAX)
		return error_set(error, -EINVAL, "top_logprobs of %u is more than %d",
				 sampling->top_logprobs, LLM_LOGPROBS_MAX);
	job->params = (struct sample_params){
		.seed = sampling->seed,
		.temperature = job_real(sampling->temperature),
		.top_p = job_real(sampling->top_p),
		.min_p = job_real(sampling->min_p),
		.repeat_penalty = job_real(sampling->repeat_penalty),
		.top_k = sampling->top_k,
		.repeat_last_n = sampling->repeat_last_n,
	};
	job->answer.tokens = job->answer.framed && sampling->top_logprobs;
	return 0;
}

/* is somebody older waiting for his model to be loaded? */
static bool job_must_queue(const struct sched *sched)
{
	const struct job *job;

	list_each(job, &sched->jobs[JOB_WAITING], link)
		if (!job->model->loaded && !job->paused && !job->cancelled)
			return true;
	return false;
}

static int job_prepare_model(struct sched *sched, struct job *job, const char *name,
			     struct error *error)
{
	struct model *model;
	int r;

	r = models_find(sched->models, name, &model, error);
	if (!r)
		r = job_must_queue(sched) ? -EAGAIN : models_load(sched->models, model, error);
	/* until there is room its prompt can be looked at; see batch_admit() */
	if (r == -EAGAIN || r == -EINPROGRESS)
		r = models_open(sched->models, model, error);
	if (!r)
		job_set_model(job, model);
	return r;
}

static int job_check_empty(const struct job *job, struct error *error)
{
	if (job->tokens.count)
		return 0;
	return error_set(error, -EINVAL,
			 "the prompt is empty, and model '%s' has no token to begin with",
			 job->model->name);
}

int job_check_size(struct job *job, struct error *error)
{
	const struct engine_model_info *info = &job->model->info;
	size_t room = (size_t)info->kv_pages * info->page_tokens;

	/* texts are looked at one by one, when it is their turn */
	if (embed_is(job))
		return 0;
	if (job->shift.is_on)
		return shift_fit(job, error);
	if (job->tokens.count > info->context_used)
		return error_set(error, -E2BIG,
				 "the prompt has %zu tokens, model '%s' takes %u here",
				 job->tokens.count, job->model->name, info->context_used);
	if (job->tokens.count > room)
		return error_set(error, -E2BIG,
				 "the prompt has %zu tokens, the cache of model '%s' has room for %zu",
				 job->tokens.count, job->model->name, room);
	return 0;
}

/* an empty prompt begins with the token that begins a text, where the model has one */
static int job_prepare_empty(struct job *job)
{
	uint32_t bos = tok_bos(job->model->tokenizer);

	if (job->tokens.count || bos == TOK_NONE || job->event.op != LLM_OP_GENERATE ||
	    job->event.flags & LLM_SUBMIT_NO_BOS || job->event.payload_type == LLM_PAYLOAD_TOKENS)
		return 0;
	if (!job->tokens.ids) {
		job->tokens.ids = malloc(sizeof(bos));
		if (!job->tokens.ids)
			return -ENOMEM;
		job->tokens.capacity = 1;
	}
	job->tokens.ids[job->tokens.count++] = bos;
	return 0;
}

bool job_awaits_grammar(const struct job *job)
{
	return job->grammar && !job->grammar->is_ended;
}

/* -EINPROGRESS: it is being compiled; whatever is in the client's buffer then, this is it */
static int job_get_grammar(struct sched *sched, struct job *job, const struct options *options,
			   struct error *error)
{
	int r = 0;

	if (!job->grammar && options->grammar_type)
		r = grammars_get(&job->grammar, &sched->grammars, job->ipc, &job->event,
				 options->grammar_type, options->grammar, options->grammar_len,
				 error);
	/* what came of it is told behind what is wrong with the prompt */
	return !r && job_awaits_grammar(job) ? -EINPROGRESS : r;
}

/* its grammar was compiled, or could not be */
static int job_constrain(struct sched *sched, struct job *job, struct error *error)
{
	struct gram_vocab *vocab;
	int r;

	job->compute_ns += grammars_bill(job->grammar);
	r = grammars_check(job->grammar, error);
	if (r < 0)
		return r;
	r = models_vocab(job->model, &vocab);
	if (!r)
		r = constraint_new(&job->constraint, sched->constrainer, steal_ptr(job->grammar),
				   vocab, job->fresh);
	return r < 0 ? error_set(error, r, "the grammar: %s", strerror(-r)) : 0;
}

/* of a conversation, its system message with what is around it is kept if nothing else is asked for */
static int job_prepare_shift(struct job *job, const struct options *options)
{
	const uint32_t payload = job->event.payload_type;
	const bool is_chat = payload == LLM_PAYLOAD_CHAT || payload == LLM_PAYLOAD_TEXT;

	job->shift = (struct job_shift){ .is_on = true, .keep = options->keep };
	return !is_chat || options->keep ? 0 :
	       chat_find_head(job->model->chat, job->model->tokenizer, job->tokens.ids,
			      job->tokens.count, &job->shift.system);
}

static int job_prepare_prompt(struct sched *sched, struct job *job, struct error *error)
{
	struct options options = { 0 };
	struct llm_event event = job->event;
	_cleanup_free_ uint8_t *copy = NULL;
	const uint8_t *payload;
	size_t skip = 0;
	int r;

	if (!job->model->info.has_output)
		return error_set(error, -EOPNOTSUPP,
				 "model '%s' is %s: it makes vectors of texts, and no text",
				 job->model->name, job->model->info.is_encoder ? "an encoder" :
				 "without an output");
	r = buffer_payload(job, &payload, &copy, error);
	if (!r && event.flags & LLM_SUBMIT_OPTIONS)
		r = options_read(&event, payload, &options, &skip, error);
	event.payload_len -= skip;
	/* it need not fit into the context; its bytes are bounded all the same */
	if (options.shifts)
		event.flags &= ~LLM_SUBMIT_BUFFER;
	if (!r)
		r = adapt_find(sched, job, &options, error);
	if (!r)
		r = job_get_grammar(sched, job, &options, error);
	if (!r)
		r = prompt_encode(job->model, &event, payload + skip, &job->tokens, &job->fresh,
				  error);
	if (!r && job->grammar)
		r = job_constrain(sched, job, error);
	if (!r)
		r = job_prepare_empty(job);
	job->prompt_count = job->tokens.count;
	if (!r)
		r = job_check_empty(job, error);
	if (!r && job->line)
		r = reuse_set_base(sched, job);
	if (!r && options.shifts)
		r = job_prepare_shift(job, &options);
	if (!r && job->model->loaded)
		r = job_check_size(job, error);
	return r;
}

/* room for @count more tokens; it grows by doubling: no allocation in nearly every step */
static int job_make_room(struct job *job, size_t count)
{
	struct tok_ids *tokens = &job->tokens;
	size_t capacity = MAX((size_t)64, tokens->capacity * 2);
	uint32_t *ids;

	if (count <= tokens->capacity - tokens->count)
		return 0;
	ids = realloc(tokens->ids, capacity * sizeof(*ids));
	if (!ids)
		return -ENOMEM;
	tokens->ids = ids;
	tokens->capacity = capacity;
	return 0;
}

static int job_add_token(struct job *job, uint32_t id)
{
	int r = job_make_room(job, 1);

	if (r < 0)
		return r;
	job->tokens.ids[job->tokens.count++] = id;
	return 0;
}

/* ---- GENERATE ---- */

static int job_choose_seed(struct job *job)
{
	while (!job->params.seed)
		if (getrandom(&job->params.seed, sizeof(job->params.seed), 0) < 0 &&
		    errno != EINTR)
			return -errno;
	return 0;
}

static int job_begin_journal(struct job *job)
{
	struct journal head = {
		.seed = job->params.seed,
		.model_bytes = job->model->size_bytes + adapt_bytes(job),
	};

	if (job->ipc->max_journal_bytes < JOURNAL_HEADER_BYTES)
		return 0;
	memcpy(head.model, job->model->name, sizeof(head.model));
	job->journal_bytes = JOURNAL_HEADER_BYTES;
	return journal_begin(&job->journal, &head);
}

/* what does not fit in is sampled again by the next server, with the same outcome */
static int job_journal_token(struct job *job, uint32_t id)
{
	if (!job->journal_bytes ||
	    job->journal_bytes + sizeof(id) > job->ipc->max_journal_bytes)
		return 0;
	job->journal_bytes += sizeof(id);
	return journal_add(&job->journal, id);
}

/* tokens that a text may have; while its model is being loaded, as it will be */
static size_t job_context(const struct sched *sched, const struct job *job)
{
	const struct engine_model_info *info = &job->model->info;

	if (info->context_used)
		return info->context_used;
	return sched->config.context ? MIN(sched->config.context, info->context) : info->context;
}

/* the answer's next token: spell it, and see whether that is the end */
static void job_push(struct sched *sched, struct job *job, const struct sample_token *token,
		     const struct sample_token *top)
{
	const struct tokenizer *tok = job->model->tokenizer;
	bool is_end = tok_is_end(tok, token->id) && !(job->event.flags & LLM_SUBMIT_IGNORE_EOS);
	const char *text;
	size_t len = 0;
	int r;

	text = tok_piece(tok, token->id, job->fresh, false, &len);
	if (!text || is_end)
		len = 0;
	if (len)
		job->fresh = false;
	job->pushed++;
	r = answer_push(&job->answer, token, top, job->event.sampling.top_logprobs, text, len);
	if (r < 0)
		job_fail(sched, job, r, NULL);
	else if (r > 0)
		job_finish(sched, job, LLM_FINISH_STOP_STRING);
	else if (is_end)
		job_finish(sched, job, LLM_FINISH_STOP);
	else if (job->pushed == job->event.max_tokens)
		job_finish(sched, job, LLM_FINISH_LENGTH);
	else if (!job->shift.is_on &&
		 job->prompt_count + job->pushed > job_context(sched, job))
		job_finish(sched, job, LLM_FINISH_CONTEXT);
	else if (job->constraint && constraint_say(job->constraint, token->id) < 0)
		job_fail(sched, job, -ENOMEM, NULL);
}

bool job_is_held(const struct job *job)
{
	return job->has_row && !constraint_is_ready(job->constraint);
}

/* why an answer that is held to a grammar does not go on */
static void job_constraint_failed(struct sched *sched, struct job *job, int64_t r)
{
	struct error error = { "" };

	if (!r)
		r = error_set(&error, -EOPNOTSUPP,
			      "model '%s' has no token with which the answer could go on to match its grammar",
			      job->model->name);
	else if (r == -E2BIG)
		error_set(&error, -E2BIG, "the grammar is too ambiguous");
	else if (r == -EILSEQ)
		r = error_set(&error, -ESTALE, "the journal of the answer does not match its grammar");
	else
		error_set(&error, (int)r, "the grammar: %s", strerror((int)-r));
	job_fail(sched, job, (int)r, &error);
}

/* the tokens that may follow; false: the logits were put aside, or the job has ended */
static bool job_mask(struct sched *sched, struct job *job, const float *logits)
{
	bool can_end = false;
	int64_t count = constraint_mask(job->constraint, &job->params.mask, &can_end);

	if (count == -EAGAIN) {
		if (logits != job->row)
			memcpy(job->row, logits, job->model->info.vocab * sizeof(*logits));
		job->has_row = true;
		return false;
	}
	if (count > 0)
		return true;
	/* a model without a token that ends an answer */
	if (!count && can_end)
		job_finish(sched, job, LLM_FINISH_STOP);
	else
		job_constraint_failed(sched, job, count);
	return false;
}

static void job_take_generated(struct sched *sched, struct job *job, const float *logits)
{
	const size_t at = job_next_row(job) + 1;
	struct sample_token top[LLM_LOGPROBS_MAX], token;
	unsigned int top_count = job->answer.tokens ? job->event.sampling.top_logprobs : 0;
	int r;

	if (job->constraint && at >= job->tokens.count && !job_mask(sched, job, logits))
		return;
	token = sampler_pick(job->model->sampler, &job->params, logits, job->tokens.ids,
			     at, job->pushed, top, top_count);
	job->params.mask = NULL;
	if (isnan(logits[token.id])) {
		struct error error = { "" };

		r = error_set(&error, -EIO, "model '%s': none of its logits is a number",
			      job->model->name);
		job_fail(sched, job, r, &error);
		return;
	}
	if (at < job->tokens.count) {
		/* an earlier server has chosen; only its probability was to be found again */
		uint32_t id = job->tokens.ids[at];

		if (id != token.id)
			token.logprob = sampler_score(job->model->sampler, logits, id, top,
						      top_count);
		token.id = id;
	} else {
		r = job_add_token(job, token.id);
		if (!r)
			r = job_journal_token(job, token.id);
		if (r < 0) {
			job_fail(sched, job, r, NULL);
			return;
		}
		sched->totals.output_tokens++;
	}
	job_push(sched, job, &token, top);
}

/*
 * Go on where an earlier server stopped. Its tokens are known; without their probabilities to
 * report they can be spelled at once, else their logits are computed again.
 */
static int job_replay(struct sched *sched, struct job *job, const struct journal *journal)
{
	size_t i;
	int r;

	job->params.seed = journal->seed;
	job->journal_bytes = job->event.journal_len;
	for (i = 0; i < journal->count; i++) {
		r = job_add_token(job, journal_id(journal, i));
		if (r < 0)
			return r;
	}
	for (i = 0; i < journal->count && !job->answer.tokens && !job->done; i++) {
		const struct sample_token token = { .id = journal_id(journal, i) };

		job_push(sched, job, &token, NULL);
	}
	if (!job->done)
		shift_make(sched, job);
	return 0;
}

/* is what an earlier server left of use with what is here now? */
static int job_check_journal(const struct job *job, const struct journal *journal,
			     struct error *error)
{
	uint32_t vocab = job->model->info.vocab;
	size_t i;

	if (journal->model_bytes != job->model->size_bytes + adapt_bytes(job))
		return error_set(error, -ESTALE, "model '%s'%s was replaced during the answer",
				 job->model->name, job->adapter_count ? " or its adapter" : "");
	for (i = 0; i < journal->count; i++)
		if (journal_id(journal, i) >= vocab)
			return error_set(error, -ESTALE,
					 "token %u in the journal of the answer: model '%s' has %u",
					 journal_id(journal, i), job->model->name, vocab);
	return 0;
}

static int job_prepare_generate(struct sched *sched, struct job *job, struct error *error)
{
	char name[LLM_MODEL_NAME_MAX];
	struct journal journal;
	struct past past;
	bool recovered;
	int r;

	r = turn_read(job, &past, error);
	if (r < 0)
		return r;
	recovered = !journal_read(&journal, job_left(job), job->event.journal_len);
	memcpy(name, recovered ? journal.model : *past.model ? past.model : job->event.model,
	       sizeof(name));
	r = job_prepare_sampling(job, error);
	if (!r)
		r = stop_init(&job->answer.stops, job->data, job->event.stop_len);
	if (r == -EINVAL && !*error->text)
		error_set(error, r, "a stop string is empty or does not end");
	if (!r)
		r = job_prepare_model(sched, job, name, error);
	if (!r)
		r = turn_begin(sched, job, &past, error);
	if (!r)
		r = job_prepare_prompt(sched, job, error);
	if (r < 0)
		return r;
	if (!recovered) {
		r = job_choose_seed(job);
		return r < 0 ? r : job_begin_journal(job);
	}
	r = job_check_journal(job, &journal, error);
	return r < 0 ? r : job_replay(sched, job, &journal);
}

/* ---- APPEND ---- */

static int job_prepare_append(struct sched *sched, struct job *job, struct error *error)
{
	struct past past;
	int r;

	if (!turn_appends(job))
		return error_set(error, -EINVAL, "there is no session to append to");
	if (job->event.stop_len)
		return error_set(error, -EINVAL, "what has no answer has no end of one");
	r = turn_read(job, &past, error);
	if (!r)
		r = job_prepare_model(sched, job, *past.model ? past.model : job->event.model,
				      error);
	if (!r)
		r = turn_begin(sched, job, &past, error);
	if (!r)
		r = job_prepare_prompt(sched, job, error);
	/* nothing to read */
	if (!r && job->prompt_count == job->past_count)
		job_finish(sched, job, LLM_FINISH_STOP);
	return r;
}

/* ---- SCORE ---- */

/* who gave a buffer wants none, but for what has no place there */
static bool job_wants_records(const struct job *job)
{
	return job->answer.framed &&
	       (!job->event.answer_buffer || job->event.sampling.top_logprobs);
}

static int job_report(struct job *job, uint32_t id, float logprob,
		      const struct sample_token *top, unsigned int top_count)
{
	const struct sample_token token = { .id = id, .logprob = logprob };
	struct bytes record = { 0 };
	const char *text;
	size_t len = 0;
	int r;

	r = buffer_score(job, logprob);
	if (r < 0 || !job_wants_records(job)) {
		job->pushed++;
		return r;
	}
	text = tok_piece(job->model->tokenizer, id, !job->pushed, true, &len);
	r = record_token(&record, &token, top, top_count, text, text ? len : 0);
	if (!r)
		r = answer_append(&job->answer, &record);
	bytes_free(&record);
	job->pushed++;
	return r;
}

static int job_prepare_score(struct sched *sched, struct job *job, struct error *error)
{
	int r;

	if (!job->answer.framed && !job->event.answer_buffer)
		return error_set(error, -EINVAL,
				 "scores are answered in records, or in a buffer, only");
	r = job_prepare_sampling(job, error);
	if (!r)
		r = job_prepare_model(sched, job, job->event.model, error);
	if (!r)
		r = job_prepare_prompt(sched, job, error);
	if (!r)
		r = buffer_check(job, &(struct buffer_rows){
			"log-probabilities", "tokens", job->tokens.count, sizeof(int32_t) }, error);
	if (!r)
		r = job_report(job, job->tokens.ids[0], NAN, NULL, 0);
	if (!r && job->tokens.count == 1)
		job_finish(sched, job, LLM_FINISH_STOP);
	return r;
}

static void job_take_score(struct sched *sched, struct job *job, const float *logits)
{
	unsigned int top_count = job->event.sampling.top_logprobs;
	struct sample_token top[LLM_LOGPROBS_MAX];
	uint32_t id = job->tokens.ids[job->pushed];
	float logprob;
	int r;

	logprob = sampler_score(job->model->sampler, logits, id, top, top_count);
	r = job_report(job, id, logprob, top, top_count);
	if (r < 0)
		job_fail(sched, job, r, NULL);
	else if (job->pushed == job->tokens.count)
		job_finish(sched, job, LLM_FINISH_STOP);
}

/* ---- EMBED, CLASSIFY ---- */

static int job_prepare_texts(struct job *job, struct error *error)
{
	struct options options = { 0 };
	_cleanup_free_ uint8_t *copy = NULL;
	const uint8_t *payload;
	size_t skip = 0;
	int r = buffer_payload(job, &payload, &copy, error);

	if (!r && job->event.flags & LLM_SUBMIT_OPTIONS)
		r = options_read(&job->event, payload, &options, &skip, error);
	return r < 0 ? r : embed_prepare(job, &options, payload + skip,
					 job->event.payload_len - skip, &copy, error);
}

static int job_prepare_embed(struct sched *sched, struct job *job, struct error *error)
{
	char name[LLM_MODEL_NAME_MAX];
	struct journal journal;
	bool recovered;
	int r;

	recovered = !journal_read(&journal, job_left(job), job->event.journal_len);
	memcpy(name, recovered ? journal.model : job->event.model, sizeof(name));
	r = job_prepare_model(sched, job, name, error);
	if (!r)
		r = job_prepare_texts(job, error);
	if (r < 0)
		return r;
	if (!recovered)
		return job_begin_journal(job);
	job->journal_bytes = job->event.journal_len;
	return job_check_journal(job, &journal, error);
}

/* ---- all ---- */

static int job_prepare_op(struct sched *sched, struct job *job, struct error *error)
{
	switch (job->event.op) {
	case LLM_OP_GENERATE:
		return job_prepare_generate(sched, job, error);
	case LLM_OP_APPEND:
		return job_prepare_append(sched, job, error);
	case LLM_OP_SCORE:
		return job_prepare_score(sched, job, error);
	case LLM_OP_EMBED:
	case LLM_OP_CLASSIFY:
		return job_prepare_embed(sched, job, error);
	default:
		if (job_is_control(job))
			return control_start(sched, job);
		return error_set(error, -EOPNOTSUPP, "operation %u is not known", job->event.op);
	}
}

/* as if it had not been looked at; a grammar that is being compiled for it stays */
static void job_put_off(struct sched *sched, struct job *job)
{
	stop_free(&job->answer.stops);
	adapt_release(job);
	if (job->model)
		steal_ptr(job->model)->users--;
	free(steal_ptr(job->tokens.ids));
	job->tokens = (struct tok_ids){ 0 };
	job->past_count = 0;
	job_move(sched, job, JOB_OPENING);
}

void job_prepare(struct sched *sched, struct job *job)
{
	struct error error = { "" };
	int r;

	if (job->event.flags & LLM_SUBMIT_OPTIONS && job_is_control(job)) {
		r = error_set(&error, -EINVAL, "this operation has no options");
		job_fail(sched, job, r, &error);
		return;
	}
	if (job->event.flags & LLM_SUBMIT_SESSION && !turn_appends(job) &&
	    job->event.op != LLM_OP_SESSION_TOKENS) {
		r = error_set(&error, -EOPNOTSUPP, "this operation is none for a session");
		job_fail(sched, job, r, &error);
		return;
	}
	r = job_prepare_op(sched, job, &error);
	if (r == -EINPROGRESS) {
		job_put_off(sched, job);
	} else if (r < 0) {
		job_fail(sched, job, r, &error);
	} else if (job->state == JOB_ARRIVED) {
		job_move(sched, job, JOB_WAITING);
	}
}

size_t job_next_row(const struct job *job)
{
	/* the row behind a token tells about the next one */
	return job->event.op == LLM_OP_SCORE ? job->pushed - 1 :
					       job->prompt_count - 1 + job->pushed -
						       job->shift.dropped;
}

/* tokens that the answer may still have, and that the sequence's last page has room for */
unsigned int job_draft_room(struct job *job, unsigned int max)
{
	const size_t page = MAX(job->model->info.page_tokens, 1U), count = job->tokens.count;
	const size_t context = shift_context(job);
	size_t room = (count + page - 1) / page * page - count;

	if (job->constraint || job->event.op != LLM_OP_GENERATE ||
	    count != job_next_row(job) + 1 || count >= context)
		return 0;
	room = MIN(room, (size_t)job->event.max_tokens - job->pushed - 1);
	room = MIN(room, context - count);
	room = MIN(room, (size_t)max);
	return room && !job_make_room(job, DRAFT_MAX) ? (unsigned int)room : 0;
}

unsigned int job_draft(struct job *job, unsigned int max)
{
	struct draft *draft = &job->draft;

	draft->count = 0;
	max = job_draft_room(job, max);
	if (!max)
		return 0;
	draft_find(draft, job->tokens.ids, job->tokens.count, max);
	memcpy(job->tokens.ids + job->tokens.count, draft->ids, draft->count * sizeof(*draft->ids));
	return draft->count;
}

void job_take_row(struct sched *sched, struct job *job, const float *logits)
{
	if (job->event.op == LLM_OP_SCORE)
		job_take_score(sched, job, logits);
	else if (job->event.op == LLM_OP_APPEND)
		job_finish(sched, job, LLM_FINISH_STOP);
	else
		job_take_generated(sched, job, logits);
}
