/* SPDX-License-Identifier: MIT */
/* The scheduler's door: what comes in from the transports, and one turn of work; see sched.h. */
#include "sched/sched.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/drafter.h"
#include "sched/job.h"

#define SCHED_AHEAD		4	/* a newcomer finds an open door though all slots are taken */
#define SCHED_AHEAD_NS		(5 * NS_PER_MS)	/* between pages that are written ahead */
#define SCHED_AHEAD_WAIT_NS	NS_PER_S	/* at most, where the disk does not get on */
#define SCHED_PARKED_MAX	1024U	/* requests that wait for news, beside the slots */
#define SCHED_PARKED_BYTES	((size_t)64 << 20)	/* that these take */
#define SCHED_PREPARE_NS	(5 * NS_PER_MS)	/* tokenizing between two steps */

/* ---- what comes in ---- */

static struct sched *to_sched(struct ipc_sink *sink)
{
	return container_of(sink, struct sched, sink);
}

static struct job *sched_find(struct sched *sched, const struct ipc *ipc, uint64_t id)
{
	struct job *job;

	list_each(job, &sched->table[id % SCHED_TABLE_SIZE], table_link)
		if (job->ipc == ipc && job->event.id == id)
			return job;
	return NULL;
}

/* no memory even to remember it: its end is all that can be said */
static void sched_refuse(struct ipc *ipc, const struct llm_event *event, int status)
{
	const struct llm_commit commit = {
		.size = sizeof(commit),
		.flags = LLM_COMMIT_END,
		.id = event->id,
		.status = status,
		.prompt_tokens = event->prompt_tokens,
		.output_tokens = event->output_tokens,
	};
	int r = ipc->ops->commit(ipc, &commit);

	if (r < 0 && r != IPC_PENDING)
		log_error("request %llu: its end can not be told: %s",
			  (unsigned long long)event->id, strerror(-r));
}

static void sched_request(struct ipc_sink *sink, struct ipc *ipc, const struct llm_event *event,
			  uint8_t *data)
{
	if (job_new(to_sched(sink), ipc, event, data))
		return;
	free(data);
	sched_refuse(ipc, event, -ENOMEM);
}

/* how many steps were begun for it after that moment */
static unsigned int sched_steps_since(const struct job *job, uint64_t time_ns)
{
	unsigned int i, count = 0;

	for (i = 0; i < MIN(job->step_count, (unsigned int)JOB_STEPS_KEPT); i++)
		count += job->steps[i] > time_ns;
	return count;
}

static void sched_cancelled(struct ipc_sink *sink, struct ipc *ipc, uint64_t id,
			    uint64_t time_ns)
{
	struct sched *sched = to_sched(sink);
	struct job *job = sched_find(sched, ipc, id);

	if (!job)
		return;
	job->cancelled = true;
	sched->cancels = true;
	sched->totals.cancel_steps_max = MAX(sched->totals.cancel_steps_max,
					     sched_steps_since(job, time_ns));
}

static void sched_resume(struct ipc_sink *sink, struct ipc *ipc, uint64_t id)
{
	struct sched *sched = to_sched(sink);
	struct job *job = sched_find(sched, ipc, id);

	if (!job)
		return;
	/* it may overtake the verdict that it answers */
	if (job->committing && !job->paused)
		job->resumed = true;
	job_resume(sched, job);
}

/* also if it goes on already: what it gives back is computed again */
static void sched_reclaim(struct ipc_sink *sink, struct ipc *ipc, uint64_t id)
{
	struct sched *sched = to_sched(sink);
	struct job *job = sched_find(sched, ipc, id);

	if (!job)
		return;
	if (job->state == JOB_ACTIVE) {
		reuse_swap(job, 0);
		batch_put_back(sched, job);
	} else {
		charge_settle(job);
	}
}

static void sched_reclaim_kept(struct ipc_sink *sink, struct ipc *ipc, uint64_t cgroup_id,
			       uint32_t region, uint64_t bytes)
{
	/* nothing is kept elsewhere */
	if (region == 0)
		reuse_reclaim(to_sched(sink), ipc, cgroup_id, bytes);
}

static void sched_session_ended(struct ipc_sink *sink, struct ipc *ipc, uint64_t session)
{
	reuse_forget(to_sched(sink), ipc, session);
}

static void sched_committed(struct ipc_sink *sink, struct ipc *ipc, uint64_t id, int result)
{
	struct sched *sched = to_sched(sink);
	struct job *job = sched_find(sched, ipc, id);

	if (job && job->committing)
		job_committed(sched, job, result);
}

struct ipc_sink *sched_sink(struct sched *sched)
{
	return &sched->sink;
}

int sched_attach(struct sched *sched, struct ipc *ipc)
{
	if (sched->ipc_count == SCHED_IPCS_MAX)
		return -E2BIG;
	sched->ipcs[sched->ipc_count++] = ipc;
	return 0;
}

/* ---- one turn ---- */

static void sched_apply_cancels(struct sched *sched)
{
	struct job *job, *next;
	int state;

	if (!sched->cancels)
		return;
	sched->cancels = false;
	for (state = 0; state < JOB_STATES; state++)
		list_each_safe(job, next, &sched->jobs[state], link)
			if (job->cancelled && job->status != -ECANCELED)
				job_cancel(sched, job);
}

static uint64_t sched_sooner(uint64_t first_ns, bool is_due, uint64_t ns)
{
	return is_due && (!first_ns || ns < first_ns) ? ns : first_ns;
}

/* who was waiting for a grammar that was compiled */
static void sched_compiled(struct sched *sched)
{
	struct job *job, *next;

	list_each_safe(job, next, &sched->jobs[JOB_OPENING], link)
		if (job->grammar && !job_awaits_grammar(job))
			job_move(sched, job, JOB_ARRIVED);
}

/* whose model's file may have been read by now; @lists: those who wait for all files, or the others */
static void sched_look_again(struct sched *sched, bool lists)
{
	struct job *job, *next;

	list_each_safe(job, next, &sched->jobs[JOB_OPENING], link)
		if (lists == (job->event.op == LLM_OP_MODELS) && !job_awaits_grammar(job))
			job_move(sched, job, JOB_ARRIVED);
}

/* when the first list of those that wait for files waits no longer, 0: none does */
static uint64_t sched_list_due_ns(const struct sched *sched)
{
	const struct job *job;
	uint64_t first_ns = 0;

	list_each(job, &sched->jobs[JOB_OPENING], link)
		if (job->event.op == LLM_OP_MODELS)
			first_ns = sched_sooner(first_ns, true, control_list_due_ns(sched, job));
	return first_ns;
}

static bool sched_lists_due(const struct sched *sched)
{
	const uint64_t due_ns = sched_list_due_ns(sched);

	return due_ns && (sched->lists_due || clock_ns() >= due_ns);
}

static void sched_prepare(struct sched *sched)
{
	uint64_t start_ns;

	/* who wants a single file does not wait for one who wants them all */
	if (list_empty(&sched->jobs[JOB_ARRIVED]) && sched_lists_due(sched)) {
		sched->lists_due = false;
		sched_look_again(sched, true);
	}
	if (list_empty(&sched->jobs[JOB_ARRIVED]))
		return;
	start_ns = clock_ns();
	do {
		job_prepare(sched, list_first(&sched->jobs[JOB_ARRIVED], struct job, link));
	} while (!list_empty(&sched->jobs[JOB_ARRIVED]) &&
		 clock_ns() - start_ns < SCHED_PREPARE_NS);
}

/* is the commit that is awaited, or the next one now, its end? That gives back what it was charged */
static bool sched_end_is_next(const struct job *job)
{
	if (job->committing)
		return job->sent_end;
	return !job->paused && job->answer.out.len <= job->ipc->max_commit_bytes;
}

static void sched_flush(struct sched *sched)
{
	struct job *job, *next;

	list_each_safe(job, next, &sched->jobs[JOB_WAITING], link)
		if (job->asks_verdict)
			job_flush(sched, job);
	list_each_safe(job, next, &sched->jobs[JOB_ACTIVE], link)
		job_flush(sched, job);
	list_each_safe(job, next, &sched->jobs[JOB_FINISHING], link) {
		if (!sched_end_is_next(job))
			charge_settle(job);
		job_flush(sched, job);
	}
}

/* can it not be stepped before there is news of a file, a grammar or a model? */
static bool sched_awaits_news(const struct job *job, bool loading)
{
	/* who is looked at again waits until that has been done */
	if (job->state == JOB_ARRIVED)
		return job->is_parked;
	return job->state == JOB_OPENING ||
	       (loading && job->state == JOB_WAITING &&
		(!job->model->loaded || job->awaits_load));
}

/*
 * Who waits for a file, a grammar or a model takes no slot from those who do not, up to a bound on
 * what that costs; and takes one again behind that, of which there may be too few.
 */
static void sched_park(struct sched *sched)
{
	const bool loading = models_is_loading(sched->models);
	unsigned int state, count = 0;
	size_t bytes = 0;
	struct job *job;

	for (state = JOB_ARRIVED; state <= JOB_ACTIVE; state++)
		list_each(job, &sched->jobs[state], link) {
			const bool was = job->is_parked;

			job->is_parked = !job->paused && !job_is_control(job) &&
					 count < SCHED_PARKED_MAX && bytes < SCHED_PARKED_BYTES &&
					 sched_awaits_news(job, loading);
			count += job->is_parked;
			bytes += job->is_parked ? job_bytes(job) : 0;
			job->asks_verdict |= was && !job->is_parked && job->ipc->is_fair;
		}
	sched->parked = count;
}

/* jobs that have a slot: they compute, or will as soon as they can; of one transport, or all */
static unsigned int sched_slots_busy(const struct sched *sched, const struct ipc *ipc)
{
	unsigned int state, count = 0;
	const struct job *job;

	for (state = JOB_ARRIVED; state <= JOB_ACTIVE; state++)
		list_each(job, &sched->jobs[state], link)
			count += !job->paused && !job->is_parked && !job_is_control(job) &&
				 (!ipc || job->ipc == ipc);
	return count;
}

static unsigned int sched_parked(const struct sched *sched, const struct ipc *ipc)
{
	unsigned int state, count = 0;
	const struct job *job;

	for (state = JOB_ARRIVED; state <= JOB_ACTIVE; state++)
		list_each(job, &sched->jobs[state], link)
			count += job->is_parked && job->ipc == ipc;
	return count;
}

static void sched_spare(struct sched *sched)
{
	/* nobody waits for these, nor has: this is asked several times with each request */
	if (!sched->parked && list_empty(&sched->jobs[JOB_OPENING]) &&
	    !models_is_loading(sched->models))
		return;
	sched_park(sched);
	for (unsigned int i = 0; i < sched->ipc_count; i++) {
		struct ipc *ipc = sched->ipcs[i];
		const unsigned int count = sched_parked(sched, ipc);

		if (count == sched->spared[i] || !ipc->ops->spare)
			continue;
		sched->spared[i] = count;
		ipc->ops->spare(ipc, count);
	}
}

static void sched_want(struct sched *sched)
{
	unsigned int i;

	sched_spare(sched);
	/* each takes what the ones before it have left */
	for (i = 0; i < sched->ipc_count; i++) {
		struct ipc *ipc = sched->ipcs[i];
		unsigned int busy = MIN(sched_slots_busy(sched, ipc->is_fair ? ipc : NULL),
					sched->slots);

		ipc->ops->want(ipc, sched->slots - busy + (ipc->is_fair ? SCHED_AHEAD : 0));
	}
}

/* is there something that sched_step() would do, without news? @changed: see batch_step() */
static bool sched_has_work(const struct sched *sched, bool changed)
{
	/* until there is news of it no model is begun */
	const bool loading = models_is_loading(sched->models);
	bool held = false, waiting = false;
	const struct job *job;

	if (sched->cancels || !list_empty(&sched->jobs[JOB_ARRIVED]))
		return true;
	if (sched_lists_due(sched))
		return true;
	list_each(job, &sched->jobs[JOB_ACTIVE], link) {
		if (!job->paused && !job_is_held(job) && !job->is_fetching)
			return true;
		held |= !job->paused;
	}
	list_each(job, &sched->jobs[JOB_WAITING], link)
		waiting |= !job->paused &&
			   !(loading && (!job->model->loaded || job->awaits_load));
	/* who waits and is not admitted waits for one who is active, and has nothing new to try */
	if (waiting && (changed || !held))
		return true;
	list_each(job, &sched->jobs[JOB_FINISHING], link)
		if (!job->committing && !job->retry && (!job->paused || job->cancelled))
			return true;
	return false;
}

/* pages that may have to make way soon go to the disk while that has nothing else to do */
static void sched_write_ahead(struct sched *sched)
{
	const uint64_t now = clock_ns();
	bool more = false, any = false;
	struct model *model;

	if (now < sched->ahead_ns)
		return;
	list_each(model, models_list(sched->models), link) {
		bool has_more = false;

		any |= model->loaded && engine_swap_ahead(model->loaded, &has_more);
		more |= has_more;
	}
	if (any || !more)
		sched->ahead_wait_ns = SCHED_AHEAD_NS;
	else
		sched->ahead_wait_ns = MIN(2 * sched->ahead_wait_ns, SCHED_AHEAD_WAIT_NS);
	sched->ahead_ns = more ? now + sched->ahead_wait_ns : 0;
}

bool sched_step(struct sched *sched)
{
	bool changed;

	sched_apply_cancels(sched);
	sched_want(sched);
	sched_prepare(sched);
	batch_admit(sched);
	changed = batch_step(sched);
	sched_write_ahead(sched);
	if (models_openers(sched->models))
		openers_tell(models_openers(sched->models));
	/* before their ends are committed, so that these fetch the next ones */
	sched_want(sched);
	sched_flush(sched);
	return sched_has_work(sched, changed);
}

uint64_t sched_retry_ns(const struct sched *sched)
{
	const struct job *job;
	struct openers *openers = models_openers(sched->models);
	const uint64_t tell_ns = openers ? openers_tell_ns(openers) : 0;
	uint64_t first_ns = sched->ahead_ns;
	int state;

	first_ns = sched_sooner(first_ns, tell_ns, tell_ns);
	first_ns = sched_sooner(first_ns, sched_list_due_ns(sched), sched_list_due_ns(sched));
	for (state = JOB_ACTIVE; state < JOB_STATES; state++)
		list_each(job, &sched->jobs[state], link) {
			first_ns = sched_sooner(first_ns, job->retry, job->retry_ns);
			first_ns = sched_sooner(first_ns, state == JOB_ACTIVE && job->is_fetching,
						job->fetch_until_ns);
		}
	return first_ns;
}

int sched_fd(const struct sched *sched)
{
	return constrainer_fd(sched->constrainer);
}

void sched_heard(struct sched *sched)
{
	struct openers *openers = models_openers(sched->models);
	bool is_opened;

	constrainer_heard(sched->constrainer);
	is_opened = openers && openers_heard(openers);
	/* who guesses for others may be ready sooner than he would be asked again */
	if (models_heard(sched->models) && sched->draft_turn != UINT64_MAX)
		sched->draft_turn = 0;
	adapters_heard(sched->adapters);
	if (grammars_heard(&sched->grammars))
		sched_compiled(sched);
	if (!is_opened)
		return;
	sched->opened_ns = clock_ns();
	sched->lists_due = true;
	sched_look_again(sched, false);
}

int sched_preload(struct sched *sched, const char *name, struct error *error)
{
	struct model *model;
	int r;

	r = models_find(sched->models, name, &model, error);
	return r < 0 ? r : models_load_now(sched->models, model, error);
}

/* ---- how it is ---- */

static void sched_add_swapped(struct llm_status *status, struct engine_swapped more)
{
	status->swapped_out += more.out;
	status->swapped_in += more.in;
	status->swap_failed += more.failed;
}

void sched_fill_status(struct sched *sched, struct llm_status *status)
{
	struct model *model;
	const char *slowest;
	uint64_t reading_ns;

	*status = sched->totals;
	status->slots_busy = sched_slots_busy(sched, NULL);
	status->models_loaded = models_loaded(sched->models);
	status->grammar_bytes = constrainer_bytes(sched->constrainer);
	slowest = models_slowest(sched->models, &reading_ns);
	if (slowest) {
		status->reading_ns = reading_ns;
		snprintf(status->reading, sizeof(status->reading), "%s", slowest);
	}
	sched_add_swapped(status, engine_swapped(sched->engine));
	list_each(model, models_list(sched->models), link) {
		struct engine_model_info info;

		if (!model->loaded)
			continue;
		engine_model_info(model->loaded, &info);
		status->kv_pages += info.kv_pages;
		status->kv_pages_used += info.kv_pages_used;
		status->kv_pages_kept += info.kv_pages_kept;
		status->kv_pages_swapped += info.kv_pages_swapped;
		status->swap_bytes += info.swap_bytes;
		sched_add_swapped(status, info.swapped);
	}
}

static void sched_fill_totals(struct sched *sched)
{
	struct llm_status *totals = &sched->totals;

	totals->size = sizeof(*totals);
	totals->pid = getpid();
	totals->start_ns = clock_ns();
	totals->slots = sched->slots;
	totals->threads = engine_threads(sched->engine);
	snprintf(totals->version, sizeof(totals->version), "%s", LLMOS_VERSION);
	snprintf(totals->isa, sizeof(totals->isa), "%s", engine_isa(sched->engine));
}

/* ---- birth and death ---- */

void sched_fill_config(struct sched_config *config)
{
	struct engine_config *engine = &config->engine;

	if (!config->slots)
		config->slots = 16;
	if (!engine->max_seqs)
		engine->max_seqs = 4 * config->slots;
	engine->max_seqs = MAX(engine->max_seqs, config->slots);
	/* who is paused shares the pages of those who are stepped */
	engine->kv_seqs = config->slots;
	if (!engine->batch_tokens)
		engine->batch_tokens = 128;
	/* a prompt always finds room beside those that generate */
	engine->batch_tokens = MAX(engine->batch_tokens, config->slots + 1);
	if (!engine->logits_rows)
		engine->logits_rows = config->slots + 32;
}

/* by another thread */
static void sched_news(void *arg)
{
	constrainer_wake(arg);
}

static int sched_init(struct sched *sched, const struct sched_config *config,
		      struct error *error)
{
	int r;

	sched->items = calloc(sched->slots, sizeof(*sched->items));
	sched->members = calloc(sched->config.max_seqs, sizeof(*sched->members));
	if (!sched->items || !sched->members)
		return error_set(error, -ENOMEM, "scheduler: %s", strerror(ENOMEM));
	r = constrainer_new(&sched->constrainer, &sched->grammars);
	if (r < 0)
		return error_set(error, r, "scheduler: %s", strerror(-r));
	r = grammars_start(&sched->grammars, constrainer_fd(sched->constrainer));
	if (r < 0)
		return error_set(error, r, "scheduler: %s", strerror(-r));
	sched->config.swap_ready = sched_news;
	sched->config.swap_arg = sched->constrainer;
	r = engine_new(&sched->engine, &sched->config, error);
	if (r < 0)
		return r;
	r = models_new(&sched->models, sched->engine, config->models, config->default_model,
		       error);
	if (r < 0)
		return r;
	r = adapters_new(&sched->adapters, config->adapters, config->models, sched->models, error);
	if (r < 0)
		return r;
	models_set_busy(sched->models, config->busy);
	if (config->load_beside) {
		r = models_load_beside(sched->models, constrainer_fd(sched->constrainer));
		if (r < 0)
			return error_set(error, r, "scheduler: %s", strerror(-r));
	}
	if (config->draft_model && *config->draft_model && sched->draft_tokens) {
		r = drafter_open(sched, config->draft_model, error);
		if (r < 0)
			return r;
	}
	models_set_memory(sched->models,
			  config->model_memory ? config->model_memory :
						 engine_memory_bytes() / 4 * 3,
			  config->model_memory, batch_make_room, sched);
	sched_fill_totals(sched);
	return 0;
}

int sched_new(struct sched **ret, const struct sched_config *config, struct error *error)
{
	struct sched *sched = calloc(1, sizeof(*sched));
	struct sched_config filled = *config;
	size_t i;
	int r;

	if (!sched)
		return error_set(error, -ENOMEM, "scheduler: %s", strerror(ENOMEM));
	sched->sink = (struct ipc_sink){
		.request = sched_request,
		.cancelled = sched_cancelled,
		.resume = sched_resume,
		.reclaim = sched_reclaim,
		.reclaim_kept = sched_reclaim_kept,
		.session_ended = sched_session_ended,
		.committed = sched_committed,
	};
	for (i = 0; i < ARRAY_SIZE(sched->jobs); i++)
		list_init(&sched->jobs[i]);
	for (i = 0; i < ARRAY_SIZE(sched->table); i++)
		list_init(&sched->table[i]);
	sessions_init(&sched->sessions);
	grammars_init(&sched->grammars, config->grammar_memory);
	sched_fill_config(&filled);
	sched->config = filled.engine;
	sched->config.prefix_dropped = reuse_dropped;
	sched->slots = filled.slots;
	sched->step_ns = filled.step_ns;
	sched->draft_tokens = MIN(filled.draft_tokens, DRAFT_MAX);
	sched->ahead_wait_ns = SCHED_AHEAD_NS;
	r = sched_init(sched, config, error);
	if (r < 0) {
		sched_free(sched);
		return r;
	}
	*ret = sched;
	return 0;
}

void sched_free(struct sched *sched)
{
	int state;

	if (!sched)
		return;
	for (state = 0; state < JOB_STATES; state++)
		while (!list_empty(&sched->jobs[state]))
			job_free(sched, list_first(&sched->jobs[state], struct job, link));
	sessions_free(&sched->sessions);
	adapters_free(sched->adapters);
	models_free(sched->models);
	engine_free(sched->engine);
	/* it is told of what the swaps of models have read, and of what was compiled */
	grammars_done(&sched->grammars);
	constrainer_free(sched->constrainer);
	free(sched->items);
	free(sched->members);
	free(sched);
}
