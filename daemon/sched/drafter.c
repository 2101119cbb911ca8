// SPDX-License-Identifier: MIT
/* Guesses of a smaller model; see drafter.h. */
#include "sched/drafter.h"

#include <string.h>

#include "base/clock.h"
#include "base/log.h"

#define DRAFTER_JOBS		4U	/* guessed for at once */
#define DRAFTER_LOOK_NS		NS_PER_S	/* between two looks at its files */
#define DRAFTER_RETRY_TURNS	1024U	/* after which a model that found no room is tried again */

int drafter_open(struct sched *sched, const char *name, struct error *error)
{
	struct model *model;
	int r;

	r = models_find(sched->models, name, &model, error);
	if (!r)
		memcpy(sched->draft_name, model->name, sizeof(sched->draft_name));
	return r;
}

void drafter_drop(struct job *job)
{
	if (!job->draft_seq)
		return;
	engine_seq_free(job->draft_seq);
	job->draft_seq = NULL;
	job->draft_of->users--;
	job->draft_of = NULL;
}

bool drafter_make_room(struct sched *sched, const struct model *model)
{
	bool any = false;
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		if (job->draft_of != model)
			continue;
		drafter_drop(job);
		charge_settle(job);
		any = true;
	}
	return any;
}

/* ---- which models it can guess for ---- */

/* the same tokens by the same numbers */
static bool same_vocabulary(const struct tokenizer *a, const struct tokenizer *b)
{
	const uint32_t vocab = tok_vocab(a);

	if (tok_vocab(b) != vocab)
		return false;
	for (uint32_t id = 0; id < vocab; id++) {
		size_t a_len = 0, b_len = 0;
		const char *a_text = tok_piece(a, id, false, true, &a_len);
		const char *b_text = tok_piece(b, id, false, true, &b_len);

		if (!a_text != !b_text || a_len != b_len ||
		    (a_text && memcmp(a_text, b_text, a_len)))
			return false;
	}
	return true;
}

static bool drafter_fits(struct model *draft, struct model *model)
{
	const bool has_output = draft->info.has_output;
	struct error error;

	if (model->draft_checked_ns == model->changed_ns && model->draft_checked_ns)
		return model->draft_fits;
	model->draft_checked_ns = model->changed_ns;
	model->draft_fits = has_output && draft->tokenizer && model->tokenizer &&
			    same_vocabulary(draft->tokenizer, model->tokenizer);
	if (!model->draft_fits) {
		error_set(&error, -EINVAL,
			  has_output ? "its tokens are not those of draft model '%s'" :
				       "draft model '%s' makes no text", draft->name);
		log_warning("model '%s': no guesses: %s", model->name, error.text);
	}
	return model->draft_fits;
}

/* it is looked for in each step of others, and its files seldom change */
static int drafter_find(struct sched *sched, struct model **ret, struct error *error)
{
	const uint64_t now = clock_ns();
	int r;

	if (now < sched->draft_look_ns) {
		*ret = models_known(sched->models, sched->draft_name);
		if (*ret && (*ret)->loaded)
			return 0;
	}
	r = models_find(sched->models, sched->draft_name, ret, error);
	sched->draft_look_ns = now + DRAFTER_LOOK_NS;
	return r;
}

/* Return: it can be stepped, for answers of @model */
static bool drafter_is_ready(struct sched *sched, struct model *model)
{
	struct error error = { "" };
	struct model *draft;
	int r;

	if (!*sched->draft_name || !strcmp(sched->draft_name, model->name) ||
	    sched->turn < sched->draft_turn)
		return false;
	r = drafter_find(sched, &draft, &error);
	if (!r && !draft->loaded)
		r = models_load(sched->models, draft, &error);
	if (r < 0) {
		sched->draft_turn = sched->turn + DRAFTER_RETRY_TURNS;
		if (r != -EAGAIN && r != -EINPROGRESS)
			log_warning("draft model '%s': %s", sched->draft_name, error.text);
		return false;
	}
	sched->draft_model = draft;
	return drafter_fits(draft, model);
}

/* ---- guesses ---- */

/**
 * struct guesser - a job that is guessed for
 * @want: guesses
 * @feed: tokens of the job that the draft model reads first
 */
struct guesser {
	struct job *job;
	unsigned int want;
	unsigned int feed;
};

/* the draft model's sequence, with the pages that it needs; false: no guesses this time */
static bool guesser_reserve(struct sched *sched, struct job *job, unsigned int tokens)
{
	if (charge_take_draft(sched, job, tokens) &&
	    !engine_seq_reserve(job->draft_seq, tokens))
		return true;
	job->drafts_nothing = true;
	drafter_drop(job);
	charge_settle(job);
	if (job->paused || job->cancelled || job->done)
		job->planned = 0;
	return false;
}

static bool guesser_open(struct sched *sched, struct job *job)
{
	if (job->draft_seq)
		return true;
	if (engine_seq_new(sched->draft_model->loaded, &job->draft_seq) < 0)
		return false;
	job->draft_of = sched->draft_model;
	job->draft_of->users++;
	return true;
}

static bool guesser_init(struct sched *sched, struct guesser *guesser, struct job *job,
			 unsigned int max)
{
	const unsigned int feed_max = MAX(1U, sched->config.batch_tokens / DRAFTER_JOBS);
	unsigned int behind, length;

	if (job->drafts_nothing || job->planned != 1 || job->draft.count)
		return false;
	max = draft_may_try(&job->draft, DRAFT_MODEL, job_draft_room(job, max));
	if (!max)
		return false;
	if (!guesser_open(sched, job))
		return false;
	length = engine_seq_length(job->draft_seq);
	if (length > MIN(job->draft_valid, job->tokens.count - 1)) {
		length = (unsigned int)MIN(job->draft_valid, job->tokens.count - 1);
		engine_seq_truncate(job->draft_seq, length);
		charge_settle(job);
	}
	behind = (unsigned int)(job->tokens.count - length);
	/* a long prompt takes several turns, and only then there are guesses */
	*guesser = (struct guesser){
		.job = job,
		.want = behind <= feed_max ? max : 0,
		.feed = MIN(behind, feed_max),
	};
	if (!guesser_reserve(sched, job, length + guesser->feed + MAX(guesser->want, 1U) - 1))
		return false;
	job->draft_valid = length + guesser->feed;
	return true;
}

static uint32_t likeliest(const float *logits, uint32_t vocab)
{
	uint32_t id, best = 0;

	for (id = 1; id < vocab; id++)
		if (logits[id] > logits[best])
			best = id;
	return best;
}

/* one step of the draft model: what is to be read, or the last guess */
static int guessers_step(struct sched *sched, struct guesser *guessers, unsigned int count,
			 bool first)
{
	struct model *draft = sched->draft_model;
	struct engine_item items[DRAFTER_JOBS];
	struct guesser *who[DRAFTER_JOBS];
	unsigned int i, n = 0;
	int r;

	for (i = 0; i < count; i++) {
		struct guesser *guesser = &guessers[i];
		struct job *job = guesser->job;
		const unsigned int length = engine_seq_length(job->draft_seq);

		if (!first && job->draft.count >= guesser->want)
			continue;
		items[n] = (struct engine_item){
			.seq = job->draft_seq,
			.tokens = first ? job->tokens.ids + length :
					  &job->draft.ids[job->draft.count - 1],
			.count = first ? guesser->feed : 1,
		};
		items[n].logits_from = items[n].count - !!guesser->want;
		who[n++] = guesser;
	}
	if (!n)
		return 0;
	r = engine_step(draft->loaded, items, n);
	for (i = 0; !r && i < n; i++) {
		struct draft *guess = &who[i]->job->draft;

		if (who[i]->want)
			guess->ids[guess->count++] = likeliest(items[i].logits, draft->info.vocab);
	}
	return r < 0 ? r : (int)n;
}

static void guessers_failed(struct sched *sched, struct guesser *guessers, unsigned int count,
			    int r)
{
	unsigned int i;

	log_error("draft model '%s': a step failed: %s", sched->draft_model->name, strerror(-r));
	sched->draft_turn = UINT64_MAX;
	for (i = 0; i < count; i++)
		guessers[i].job->draft.count = 0;
	drafter_make_room(sched, sched->draft_model);
}

static void guessers_run(struct sched *sched, struct guesser *guessers, unsigned int count)
{
	const uint64_t start_ns = clock_ns();
	unsigned int i;
	int r;

	for (i = 0; i < count; i++)
		guessers[i].job->draft.source = DRAFT_MODEL;
	r = guessers_step(sched, guessers, count, true);
	while (r > 0)
		r = guessers_step(sched, guessers, count, false);
	for (i = 0; i < count; i++)
		guessers[i].job->compute_ns += (clock_ns() - start_ns) *
					       engine_threads(sched->engine) / count;
	if (r < 0)
		guessers_failed(sched, guessers, count, r);
}

void drafter_guess(struct sched *sched, struct job **members, unsigned int count, size_t *tokens,
		   size_t *rows)
{
	struct guesser guessers[DRAFTER_JOBS];
	unsigned int i, n = 0;

	if (!count || !drafter_is_ready(sched, members[0]->model))
		return;
	sched->draft_model->turn = sched->turn;
	for (i = 0; i < count && n < DRAFTER_JOBS; i++) {
		size_t max = MIN(*tokens, *rows);

		/* prompts go on beside them */
		max -= MIN(max, (size_t)PACE_TOKENS_LEAST);
		max = MIN(max, sched->draft_tokens);
		if (!max || !guesser_init(sched, &guessers[n], members[i], (unsigned int)max))
			continue;
		*tokens -= guessers[n].want;
		*rows -= guessers[n].want;
		n++;
	}
	if (!n)
		return;
	guessers_run(sched, guessers, n);
	for (i = 0; i < n; i++) {
		struct job *job = guessers[i].job;

		memcpy(job->tokens.ids + job->tokens.count, job->draft.ids,
		       job->draft.count * sizeof(*job->draft.ids));
		job->planned += job->draft.count;
	}
}

void drafter_learn(struct job *job, unsigned int right)
{
	/* of what the draft model has read, its own guesses that were right */
	if (job->draft.source == DRAFT_MODEL && job->draft.count)
		job->draft_valid += right;
	draft_learn(&job->draft, right);
}
