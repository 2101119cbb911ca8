/* SPDX-License-Identifier: MIT */
/*
 * Which jobs have a sequence, and what each step is made of. A step serves one model; models take
 * turns. Every sequence that is generating gets its one token, and what is left of batch_tokens
 * goes to prompts, but no more than the time that a step may take allows. Who is paused keeps his
 * sequence and its pages. Pages are taken as sequences grow, once they were charged to whoever
 * asked; when there are none left, those who are paused lose theirs, as many as are needed, and then
 * the youngest gives its own back; they are computed again later, which brings the same answer.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/drafter.h"
#include "sched/job.h"

#define BATCH_SLEEP_TURNS	256
#define BATCH_DRAFTED		4	/* answers made at once, past which guesses cost more than they give */

static bool batch_is_going(const struct job *job)
{
	return job->state == JOB_ACTIVE && !job->paused && !job->cancelled;
}

static bool batch_is_stepped(const struct job *job)
{
	return batch_is_going(job) && !job->has_row && !job->is_fetching;
}

/* ---- sequences and pages ---- */

static unsigned int batch_page_tokens(const struct model *model)
{
	return MAX(model->info.page_tokens, 1U);
}

/*
 * Whose pages can be had before anybody suffers: of those told to pause, the one that will go on
 * last. That is who has slept for much longer than pauses last, for his reader may never come; else
 * who began to pause last, for the others come before him.
 */
static struct job *batch_find_paused(struct sched *sched, const struct model *model)
{
	const uint64_t long_turns = 4 * sched->pause_turns + BATCH_SLEEP_TURNS;
	struct job *job, *found = NULL;
	bool sleeps = false;

	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		if (job->model != model || !job->paused)
			continue;
		if (sched->turn - job->paused_turn > long_turns) {
			if (!sleeps || job->paused_turn < found->paused_turn)
				found = job;
			sleeps = true;
		} else if (!found || (!sleeps && job->paused_turn >= found->paused_turn)) {
			found = job;
		}
	}
	return found;
}

void batch_put_back(struct sched *sched, struct job *job)
{
	job_drop_seq(job);
	charge_settle(job);
	job->planned = 0;
	job_move(sched, job, JOB_WAITING);
}

/* somebody else needs its pages: it may have them back, or computes them again */
static void batch_give_way(struct sched *sched, struct job *job)
{
	reuse_swap(job, 0);
	batch_put_back(sched, job);
}

/* a sequence of somebody who is paused */
static bool batch_evict_paused(struct sched *sched, const struct model *model)
{
	struct job *job = batch_find_paused(sched, model);

	if (!job)
		return false;
	/* it is sequences that are short: his pages may be there yet when he goes on */
	reuse_leave(sched, job);
	batch_put_back(sched, job);
	return true;
}

/* at least a page of somebody who is paused: what he loses is computed again when he goes on */
static bool batch_shrink_paused(struct sched *sched, const struct model *model)
{
	struct job *job = batch_find_paused(sched, model);
	unsigned int length;

	if (!job)
		return false;
	length = engine_seq_length(job->seq);
	if (length)
		length = (length - 1) / batch_page_tokens(model) * batch_page_tokens(model);
	if (!length) {
		batch_give_way(sched, job);
		return true;
	}
	reuse_swap(job, length);
	engine_seq_truncate(job->seq, length);
	charge_settle(job);
	return true;
}

static struct job *batch_youngest(struct sched *sched, const struct model *model)
{
	struct job *job, *found = NULL;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->model == model)
			found = job;
	return found;
}

static unsigned int batch_active(const struct sched *sched, const struct model *model)
{
	const struct job *job;
	unsigned int count = 0;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (!model || job->model == model)
			count += !job->paused;
	return count;
}

/*
 * Make room for @tokens of a job that is active. Return: 0; -ENOSPC it has been put back itself,
 * or is finished, because it has everything there is.
 */
static int batch_reserve(struct sched *sched, struct job *job, unsigned int tokens)
{
	for (;;) {
		struct job *victim;
		int r;

		r = engine_seq_reserve(job->seq, tokens);
		if (!r)
			return 0;
		if (r == -ENOSPC && (drafter_make_room(sched, job->model) ||
				     batch_shrink_paused(sched, job->model)))
			continue;
		victim = batch_youngest(sched, job->model);
		if (r == -ENOSPC && victim != job) {
			batch_give_way(sched, victim);
			continue;
		}
		/* alone, or at the end of the context: all there is is its own already */
		if (r != -ENOSPC || batch_active(sched, job->model) == 1)
			job_finish(sched, job, LLM_FINISH_CONTEXT);
		else
			batch_give_way(sched, job);
		return -ENOSPC;
	}
}

/* ---- admission ---- */

static int batch_get_seq(struct sched *sched, struct job *job)
{
	int r;

	do {
		r = engine_seq_new(job->model->loaded, &job->seq);
	} while (r == -ENOSPC && (drafter_make_room(sched, job->model) ||
				  batch_evict_paused(sched, job->model)));
	return r < 0 ? r : job_new_row(job);
}

/*
 * Pages for all that is known, and one for each neighbour to grow into: who is admitted should
 * not push out another at the next step. Those that can be had: the free ones, and @more.
 */
static bool batch_has_room(const struct sched *sched, const struct job *job, uint64_t more)
{
	unsigned int active = batch_active(sched, job->model), page_tokens, need;
	struct engine_model_info info;

	if (!active)
		return true;
	engine_model_info(job->model->loaded, &info);
	page_tokens = MAX(info.page_tokens, 1U);
	need = (shift_window(job) + page_tokens) / page_tokens + active;
	return info.kv_pages - info.kv_pages_used + more >= need;
}

/* pages of those who are paused, at most: some may have a part in the same ones */
static uint64_t batch_paused_pages(const struct sched *sched, const struct model *model)
{
	const unsigned int page_tokens = batch_page_tokens(model);
	const struct job *job;
	uint64_t pages = 0;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->model == model && job->paused)
			pages += (engine_seq_length(job->seq) + page_tokens - 1) / page_tokens;
	return pages;
}

static void batch_leave_seq(struct job *job)
{
	job_drop_seq(job);
	charge_settle(job);
}

/* Return: 0; 1: who asked has to wait, or it has failed; -ENOSPC ... there is no room here */
static int batch_admit_one(struct sched *sched, struct job *job)
{
	const unsigned int tokens = (unsigned int)shift_window(job);
	int r;

	if (!batch_has_room(sched, job, 0))
		drafter_make_room(sched, job->model);
	/* nobody loses pages for one who gets in neither way, or who may not have them */
	if (!batch_has_room(sched, job, batch_paused_pages(sched, job->model)))
		return -ENOSPC;
	reuse_gather(sched, job);
	if (!charge_take(sched, job, tokens))
		return 1;
	while (!batch_has_room(sched, job, 0)) {
		if (!batch_shrink_paused(sched, job->model)) {
			batch_leave_seq(job);
			return -ENOSPC;
		}
	}
	r = batch_get_seq(sched, job);
	if (!r) {
		reuse_begin(sched, job);
		/* less may be kept than a moment ago */
		if (!charge_take(sched, job, tokens)) {
			batch_leave_seq(job);
			return 1;
		}
		do {
			r = engine_seq_reserve(job->seq, tokens);
		} while (r == -ENOSPC && batch_shrink_paused(sched, job->model));
	}
	if (r < 0) {
		batch_leave_seq(job);
		return r;
	}
	charge_settle(job);
	job_move(sched, job, JOB_ACTIVE);
	reuse_fetch_begin(job);
	return 0;
}

/* it waits although nobody of its model is active: no event would ever wake it */
static void batch_admit_failed(struct sched *sched, struct job *job, int r)
{
	struct error error;

	/* a part of the answer filled it */
	if (job->tokens.count + job->shift.dropped > job->prompt_count) {
		job_finish(sched, job, LLM_FINISH_CONTEXT);
		return;
	}
	error_set(&error, -E2BIG, "%zu tokens do not fit into the cache of model '%s': %s",
		  job->tokens.count, job->model->name, strerror(-r));
	job_fail(sched, job, -E2BIG, &error);
}

/* may its weights go? Not while somebody is stepped */
static bool batch_may_unload(const struct sched *sched, const struct model *model)
{
	const struct job *job;

	if (models_is_reading(sched->models, model))
		return false;
	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->model == model && batch_is_going(job))
			return false;
	/* who it was loaded for has his turn first */
	if (model->is_fresh)
		list_each(job, &sched->jobs[JOB_WAITING], link)
			if (job->model == model && !job->paused && !job->cancelled)
				return false;
	return model->loaded;
}

/* the model or the adapter that was idle longest makes way, for @model */
bool batch_make_room(void *arg, const struct model *model)
{
	struct model *other, *found = NULL;
	struct sched *sched = arg;
	struct job *job, *next;

	list_each(other, models_list(sched->models), link)
		if (other != model && batch_may_unload(sched, other) &&
		    (!found || other->turn < found->turn))
			found = other;
	if (adapt_make_room(sched, found ? found->turn : UINT64_MAX))
		return true;
	if (!found)
		return false;
	/* who is paused is computed again when he goes on */
	list_each_safe(job, next, &sched->jobs[JOB_ACTIVE], link)
		if (job->model == found)
			batch_put_back(sched, job);
	drafter_make_room(sched, found);
	models_unload(found);
	return true;
}

/* is there no room for the token that would come next? */
static bool batch_is_full(const struct job *job)
{
	return !embed_is(job) && !job->shift.is_on && job->tokens.count > job->prompt_count &&
	       job_next_row(job) >= job->model->info.context_used;
}

/*
 * Return: 0; -EINPROGRESS it is being loaded, or another model is; -EAGAIN others are being stepped,
 * and there is no memory beside them; else it failed
 */
static int batch_load(struct sched *sched, struct job *job)
{
	struct error error = { "" };
	int r;

	r = models_load(sched->models, job->model, &error);
	/* what an earlier server has said may be more than the model takes here */
	if (!r && batch_is_full(job)) {
		job_finish(sched, job, LLM_FINISH_CONTEXT);
		return -E2BIG;
	}
	/* what was read when it was not loaded */
	if (!r && (job->shift.is_on || job->tokens.count == job->prompt_count))
		r = job_check_size(job, &error);
	if (!r)
		r = adapt_bind(sched, job, &error);
	if (r < 0 && r != -EAGAIN && r != -EINPROGRESS)
		job_fail(sched, job, r, &error);
	return r;
}

static void batch_admit_all(struct sched *sched)
{
	unsigned int active = batch_active(sched, NULL);
	struct job *job, *next;
	int r;

	sched->admissions++;
	list_each_safe(job, next, &sched->jobs[JOB_WAITING], link) {
		if (active >= sched->config.max_seqs)
			return;
		if (job->paused || job->cancelled || job->model->blocked == sched->admissions)
			continue;
		r = batch_load(sched, job);
		job->awaits_load = r == -EINPROGRESS;
		/* nobody younger gets in, so that those who are stepped come to an end */
		if (r == -EAGAIN)
			return;
		if (r < 0)	/* others need not wait for his model */
			continue;
		r = batch_admit_one(sched, job);
		if (r && job->state == JOB_WAITING)
			adapt_unbind(job);
		if (r >= 0) {
			active += !r;
		} else if (!batch_active(sched, job->model)) {
			batch_admit_failed(sched, job, r);
		} else {
			/* nobody younger passes by, or who needs much would wait for ever */
			job->model->blocked = sched->admissions;
		}
	}
}

void batch_admit(struct sched *sched)
{
	struct model *model;

	batch_admit_all(sched);
	list_each(model, models_list(sched->models), link)
		model->is_fresh = false;
	adapters_settle(sched->adapters);
}

/* ---- forming a step ---- */

static struct model *batch_choose_model(struct sched *sched)
{
	struct model *found = NULL;
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (batch_is_stepped(job) && (!found || job->model->turn < found->turn))
			found = job->model;
	return found;
}

static size_t batch_left(const struct job *job)
{
	return shift_window(job) - engine_seq_length(job->seq);
}

/* rows of logits that feeding @count tokens brings */
static size_t batch_rows(const struct job *job, size_t count)
{
	size_t length = engine_seq_length(job->seq), row = job_next_row(job);

	return length + count > row ? length + count - MAX(row, length) : 0;
}

/* whose step is longer ago; of the same step, who is older */
static bool batch_before(const struct job *a, const struct job *b)
{
	return a->turn != b->turn ? a->turn < b->turn : a->number < b->number;
}

/*
 * Who could take part, whose last step is longest ago first: nearly all were in the last one, and
 * come in the order of age already. Where two transports fill all slots each, everybody is in every
 * other step.
 */
static unsigned int batch_choose_jobs(struct sched *sched, struct model *model)
{
	unsigned int count = 0, at;
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		job->planned = 0;
		job->draft.count = 0;
		if (job->model != model || !batch_is_stepped(job))
			continue;
		/* he takes no place of those that he waits for */
		if (!engine_seq_length(job->seq) && reuse_is_coming(sched, job))
			continue;
		for (at = count++; at && batch_before(job, sched->members[at - 1]); at--)
			sched->members[at] = sched->members[at - 1];
		sched->members[at] = job;
	}
	return MIN(count, sched->slots);
}

/* who is generating gets one token; there is always room for all of them. Return: how many do */
static unsigned int batch_plan_decode(struct sched *sched, unsigned int count, size_t *tokens,
				      size_t *rows)
{
	unsigned int i, decoding = 0;

	for (i = 0; i < count; i++) {
		struct job *job = sched->members[i];

		if (embed_is(job) || batch_left(job) != 1 || !*tokens || !*rows)
			continue;
		job->planned = 1;
		decoding++;
		(*tokens)--;
		(*rows)--;
	}
	return decoding;
}

/* where few are generating, a step has room for what they are likely to say next */
static void batch_plan_drafts(struct sched *sched, unsigned int count, size_t *tokens,
			      size_t *rows)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct job *job = sched->members[i];
		size_t max = MIN(*tokens, *rows);

		/* prompts go on beside them */
		max -= MIN(max, (size_t)PACE_TOKENS_LEAST);
		if (!job->planned)
			continue;
		job->planned += job_draft(job, (unsigned int)MIN(max, sched->draft_tokens));
		*tokens -= job->draft.count;
		*rows -= job->draft.count;
	}
	drafter_guess(sched, sched->members, count, tokens, rows);
}

/* what is left goes to prompts: who got nothing of it in this step comes first in the next */
static void batch_plan_prompts(struct sched *sched, unsigned int members, size_t tokens,
			       size_t rows)
{
	bool is_first = true;
	unsigned int i;

	for (i = 0; i < members; i++) {
		struct job *job = sched->members[i];
		size_t count, want;

		/* the guesses of one may have found that he was cancelled */
		if (job->planned || !batch_is_going(job))
			continue;
		if (embed_is(job)) {
			tokens -= MIN(tokens, embed_plan(sched, job, tokens, is_first));
			is_first = is_first && !job->planned;
			continue;
		}
		is_first = false;
		if (!engine_seq_length(job->seq))
			reuse_begin_late(sched, job);
		count = MIN(batch_left(job), tokens);
		want = batch_rows(job, count);
		/* as many rows as there are; the tokens before the first row bring none */
		if (want > rows) {
			count -= want - rows;
			want = rows;
		}
		job->planned = count;
		tokens -= count;
		rows -= want;
	}
}

/* who has to wait until it is charged, or has failed over that, takes no part */
static void batch_charge(struct sched *sched, unsigned int count)
{
	unsigned int i;

	for (i = 0; i < count; i++) {
		struct job *job = sched->members[i];

		/* guesses take no page of their own */
		if (job->planned &&
		    !charge_take(sched, job, engine_seq_length(job->seq) + job->planned -
						     job->draft.count))
			job->planned = 0;
	}
}

/* oldest first, so that it is the youngest who gives way */
static unsigned int batch_form(struct sched *sched, struct model *model)
{
	struct job *job, *next;
	unsigned int count = 0;

	list_each_safe(job, next, &sched->jobs[JOB_ACTIVE], link) {
		size_t length, row;

		if (job->model != model || !job->planned || !job->seq)
			continue;
		length = engine_seq_length(job->seq);
		if (batch_reserve(sched, job, length + job->planned) < 0)
			break;
		row = job_next_row(job);
		sched->items[count] = (struct engine_item){
			.seq = job->seq,
			.tokens = job->tokens.ids + length,
			.count = job->planned,
			.logits_from = row > length ? MIN(row - length, (size_t)job->planned) : 0,
			.tentative = job->draft.count,
			.adapters = job->uses,
			.adapter_count = job->adapter_count,
		};
		if (embed_is(job))
			embed_item(job, &sched->items[count]);
		sched->members[count++] = job;
		/* whoever was next may have been put back */
		next = list_first(&job->link, struct job, link);
	}
	return count;
}

/* ---- making it ---- */

static void batch_begin(struct sched *sched, struct job *job, uint64_t now)
{
	job->turn = sched->turn;
	adapt_used(job);
	job->steps[job->step_count++ % JOB_STEPS_KEPT] = now;
}

/* was the guess behind row @row the token that the model chose? Then the next row counts, too */
static bool batch_was_right(struct job *job, size_t row)
{
	return !job->done && row < job->draft.count &&
	       job->tokens.ids[job->tokens.count - 1] == job->draft.ids[row] &&
	       !engine_seq_accept(job->seq, 1);
}

/* rows of an answer, the last of which follow guesses */
static void batch_take_guessed(struct sched *sched, struct job *job, const float *logits,
			       size_t vocab)
{
	unsigned int right = 0;

	do {
		job_take_row(sched, job, logits + right * vocab);
	} while (batch_was_right(job, right) && ++right);
	drafter_learn(job, right);
}

/* of an item, what the step computes */
static unsigned int batch_item_tokens(const struct job *job, const struct engine_item *item)
{
	return embed_is(job) ? embed_item_tokens(item) : item->count;
}

/* what the step brought to one job */
static void batch_take(struct sched *sched, struct job *job, const struct engine_item *item,
		       uint64_t job_ns)
{
	size_t vocab = job->model->info.vocab, i, rows = item->count - item->logits_from;
	size_t length = engine_seq_length(job->seq), before;

	before = length - (item->count - item->tentative);
	job->compute_ns += job_ns;
	if (embed_is(job)) {
		sched->totals.prompt_tokens += job->stepped;
		embed_take(sched, job, item);
		return;
	}
	/* what of it was the prompt, and not the answer fed back */
	if (before < shift_prompt(job))
		sched->totals.prompt_tokens += MIN(length, shift_prompt(job)) - before;
	if (item->tentative)
		batch_take_guessed(sched, job, item->logits, vocab);
	for (i = 0; i < rows && !item->tentative && !job->done; i++)
		job_take_row(sched, job, item->logits + i * vocab);
	shift_make(sched, job);
}

static void batch_count(struct sched *sched, uint64_t step_ns)
{
	sched->totals.steps++;
	sched->totals.step_ns += step_ns;
	sched->totals.step_max_ns = MAX(sched->totals.step_max_ns, step_ns);
}

static void batch_failed(struct sched *sched, unsigned int count, int r)
{
	struct error error;
	unsigned int i;

	log_error("model '%s': a step failed: %s", sched->members[0]->model->name, strerror(-r));
	error_set(&error, -EIO, "a step of the model failed: %s", strerror(-r));
	for (i = 0; i < count; i++)
		job_fail(sched, sched->members[i], -EIO, &error);
}

/* logits that were put aside until it was known which tokens may follow; were there some? */
static bool batch_take_held(struct sched *sched)
{
	struct job *job, *next;
	bool taken = false;

	list_each_safe(job, next, &sched->jobs[JOB_ACTIVE], link) {
		if (!job->has_row || !batch_is_going(job) || job_is_held(job))
			continue;
		job->has_row = false;
		job_take_row(sched, job, job->row);
		shift_make(sched, job);
		taken = true;
	}
	return taken;
}

/* pages from the swap; has anybody who waited for such something to do now? */
static bool batch_fetch(struct sched *sched)
{
	bool over = false;
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->is_fetching)
			over |= reuse_fetch(sched, job);
	return over;
}

bool batch_step(struct sched *sched)
{
	size_t tokens = sched->config.batch_tokens, rows = sched->config.logits_rows, total = 0;
	uint64_t start_ns, step_ns;
	unsigned int count, decoding, i;
	struct model *model;
	bool taken;
	int r;

	taken = batch_take_held(sched);
	taken |= batch_fetch(sched);
	model = batch_choose_model(sched);
	if (!model)
		return taken;
	model->turn = ++sched->turn;
	count = batch_choose_jobs(sched, model);
	decoding = batch_plan_decode(sched, count, &tokens, &rows);
	if (decoding <= BATCH_DRAFTED && sched->draft_tokens)
		batch_plan_drafts(sched, count, &tokens, &rows);
	tokens = MIN(tokens, pace_tokens(&model->pace, sched->step_ns, decoding));
	batch_plan_prompts(sched, count, tokens, rows);
	batch_charge(sched, count);
	count = batch_form(sched, model);
	if (!count)
		return true;
	start_ns = clock_ns();
	for (i = 0; i < count; i++) {
		batch_begin(sched, sched->members[i], start_ns);
		sched->members[i]->stepped = batch_item_tokens(sched->members[i], &sched->items[i]);
		total += sched->members[i]->stepped;
	}
	r = engine_step(model->loaded, sched->items, count);
	step_ns = clock_ns() - start_ns;
	batch_count(sched, step_ns);
	pace_learn(&model->pace, total, step_ns);
	engine_swap_pace(model->loaded, model->pace.token_ns);
	if (r < 0) {
		batch_failed(sched, count, r);
		return true;
	}
	for (i = 0; i < count; i++)
		batch_take(sched, sched->members[i], &sched->items[i],
			   step_ns * engine_threads(sched->engine) *
				   sched->members[i]->stepped / total);
	return true;
}
