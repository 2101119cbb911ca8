/* SPDX-License-Identifier: MIT */
/*
 * Which jobs have a sequence, and what each step is made of. A step serves one model; models take
 * turns. Every sequence that is generating gets its one token, and what is left of batch_tokens
 * goes to prompts, oldest first. Cache pages are taken as sequences grow; when there are none
 * left, the youngest gives its own back and is computed again later, which brings the same answer.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/job.h"

static bool batch_is_stepped(const struct job *job)
{
	return job->state == JOB_ACTIVE && !job->paused && !job->cancelled;
}

/* ---- sequences and pages ---- */

/* somebody whose pages can be had before anybody suffers: who is told to pause, youngest first */
static struct job *batch_find_paused(struct sched *sched, const struct model *model)
{
	struct job *job, *found = NULL;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->model == model && job->paused)
			found = job;
	return found;
}

static void batch_put_back(struct sched *sched, struct job *job)
{
	job_drop_seq(job);
	job->planned = 0;
	job_move(sched, job, JOB_WAITING);
}

static bool batch_evict_paused(struct sched *sched, const struct model *model)
{
	struct job *job = batch_find_paused(sched, model);

	if (!job)
		return false;
	batch_put_back(sched, job);
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
		if (r == -ENOSPC && batch_evict_paused(sched, job->model))
			continue;
		victim = batch_youngest(sched, job->model);
		if (r == -ENOSPC && victim != job) {
			batch_put_back(sched, victim);
			continue;
		}
		/* alone, or at the end of the context: all there is is its own already */
		if (r != -ENOSPC || batch_active(sched, job->model) == 1)
			job_finish(sched, job, LLM_FINISH_CONTEXT);
		else
			batch_put_back(sched, job);
		return -ENOSPC;
	}
}

/* ---- admission ---- */

static int batch_get_seq(struct sched *sched, struct job *job)
{
	int r;

	do {
		r = engine_seq_new(job->model->loaded, &job->seq);
	} while (r == -ENOSPC && batch_evict_paused(sched, job->model));
	return r;
}

/*
 * Pages for all that is known, and one for each neighbour to grow into: who is admitted should
 * not push out another at the next step.
 */
static bool batch_has_room(const struct sched *sched, const struct job *job)
{
	unsigned int active = batch_active(sched, job->model), page_tokens, need;
	struct engine_model_info info;

	if (!active)
		return true;
	engine_model_info(job->model->loaded, &info);
	page_tokens = MAX(info.page_tokens, 1U);
	need = (job->tokens.count + page_tokens) / page_tokens + active;
	return info.kv_pages - info.kv_pages_used >= need;
}

static int batch_admit_one(struct sched *sched, struct job *job)
{
	int r;

	while (!batch_has_room(sched, job))
		if (!batch_evict_paused(sched, job->model))
			return -ENOSPC;
	r = batch_get_seq(sched, job);
	if (r < 0)
		return r;
	do {
		r = engine_seq_reserve(job->seq, MIN(job->tokens.count,
						     (size_t)job->model->info.context_used));
	} while (r == -ENOSPC && batch_evict_paused(sched, job->model));
	if (r < 0) {
		job_drop_seq(job);
		return r;
	}
	job_move(sched, job, JOB_ACTIVE);
	return 0;
}

/* it waits although nobody of its model is active: no event would ever wake it */
static void batch_admit_failed(struct sched *sched, struct job *job, int r)
{
	struct error error;

	/* a part of the answer filled it */
	if (job->tokens.count > job->prompt_count) {
		job_finish(sched, job, LLM_FINISH_CONTEXT);
		return;
	}
	error_set(&error, -E2BIG, "%zu tokens do not fit into the cache of model '%s': %s",
		  job->tokens.count, job->model->name, strerror(-r));
	job_fail(sched, job, -E2BIG, &error);
}

void batch_admit(struct sched *sched)
{
	unsigned int active = batch_active(sched, NULL);
	struct job *job, *next;
	int r;

	list_each_safe(job, next, &sched->jobs[JOB_WAITING], link) {
		if (active >= sched->config.max_seqs)
			return;
		if (job->paused || job->cancelled || job->model->blocked == sched->turn + 1)
			continue;
		r = batch_admit_one(sched, job);
		if (!r) {
			active++;
		} else if (!batch_active(sched, job->model)) {
			batch_admit_failed(sched, job, r);
		} else {
			/* nobody younger passes by, or who needs much would wait for ever */
			job->model->blocked = sched->turn + 1;
		}
	}
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
	return job->tokens.count - engine_seq_length(job->seq);
}

/* rows of logits that feeding @count tokens brings */
static size_t batch_rows(const struct job *job, size_t count)
{
	size_t length = engine_seq_length(job->seq), row = job_next_row(job);

	return length + count > row ? length + count - MAX(row, length) : 0;
}

/* who is generating gets one token; there is always room for all of them */
static void batch_plan_decode(struct sched *sched, struct model *model, size_t *tokens,
			      size_t *rows)
{
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		job->planned = 0;
		if (job->model != model || !batch_is_stepped(job) || batch_left(job) != 1 ||
		    !*tokens || !*rows)
			continue;
		job->planned = 1;
		(*tokens)--;
		(*rows)--;
	}
}

static void batch_plan_prompts(struct sched *sched, struct model *model, size_t tokens,
			       size_t rows)
{
	struct job *job;

	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		size_t count, want;

		if (job->model != model || !batch_is_stepped(job) || job->planned)
			continue;
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
		};
		sched->members[count++] = job;
		/* whoever was next may have been put back */
		next = list_first(&job->link, struct job, link);
	}
	return count;
}

/* ---- making it ---- */

static void batch_begin(struct job *job, uint64_t now)
{
	job->steps[job->step_count++ % JOB_STEPS_KEPT] = now;
}

/* what the step brought to one job */
static void batch_take(struct sched *sched, struct job *job, const struct engine_item *item,
		       uint64_t job_ns)
{
	size_t vocab = job->model->info.vocab, i, rows = item->count - item->logits_from;
	size_t length = engine_seq_length(job->seq);

	job->compute_ns += job_ns;
	/* what of it was the prompt, and not the answer fed back */
	if (length - item->count < job->prompt_count)
		sched->totals.prompt_tokens += MIN(length, job->prompt_count) -
					       (length - item->count);
	for (i = 0; i < rows && !job->done; i++)
		job_take_row(sched, job, item->logits + i * vocab);
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

unsigned int batch_step(struct sched *sched)
{
	struct model *model = batch_choose_model(sched);
	size_t tokens = sched->config.batch_tokens, rows = sched->config.logits_rows, total = 0;
	uint64_t start_ns, step_ns;
	unsigned int count, i;
	int r;

	if (!model)
		return 0;
	model->turn = ++sched->turn;
	batch_plan_decode(sched, model, &tokens, &rows);
	batch_plan_prompts(sched, model, tokens, rows);
	count = batch_form(sched, model);
	if (!count)
		return 0;
	start_ns = clock_ns();
	for (i = 0; i < count; i++) {
		batch_begin(sched->members[i], start_ns);
		total += sched->items[i].count;
	}
	r = engine_step(model->loaded, sched->items, count);
	step_ns = clock_ns() - start_ns;
	batch_count(sched, step_ns);
	if (r < 0) {
		batch_failed(sched, count, r);
		return count;
	}
	for (i = 0; i < count; i++)
		batch_take(sched, sched->members[i], &sched->items[i],
			   step_ns * engine_threads(sched->engine) * sched->items[i].count /
			   total);
	return count;
}
