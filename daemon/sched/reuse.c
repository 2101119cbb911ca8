/* SPDX-License-Identifier: MIT */
/*
 * What a job has computed and somebody may want again: the pages that its sequence has filled are
 * kept when it ends, or as soon as somebody else could use them, and a later job of the same cache
 * domain that begins with the same tokens begins with them. Who comes while they are being computed
 * waits for them. The broker says what a domain is; the transport is a part of it.
 *
 * Kept pages are charged to the cgroup of whoever had them computed, until they are dropped. Who
 * uses them is not charged for them again, so a job has its own pages in its books, and a cgroup
 * those that are kept, which is what the engine says that each of them holds.
 *
 * The turns of a session have a domain of their own, that of its line. But two forks may ask
 * different things of it, and the one is not to learn what the other has asked: a turn finds what
 * was its session's past, which whoever asks has anyway, and what it has had computed itself.
 *
 * But for the system prompt: that of a line is kept in the cache domain of whoever asked first, its
 * base, so that all sessions of his share it, and what is not a session with them. Whoever asks in
 * another domain is a guest there: he is not to learn whether others have that system prompt as
 * well, so he finds it only where the line has something behind it, which would have gone with it;
 * else it is his domain that is the base from then on.
 */
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "sched/job.h"
#include "tokenizer/chat.h"

#define REUSE_OVERFLOW_UID	65534U

/* that of a line of sessions, which no transport's domains can be equal to */
static struct engine_domain session_domain(uint64_t line)
{
	static const char source;

	return (struct engine_domain){ .source = &source, .group = line };
}

/* that of whoever asks; false: he shares with nobody, or the broker does not say who it is */
static bool reuse_own(const struct job *job, struct engine_domain_base *ret)
{
	const struct llm_event *event = &job->event;

	/* a user whom this server's user namespace does not know is many */
	if (!event->domain_cgroup || event->domain_uid == REUSE_OVERFLOW_UID)
		return false;
	*ret = (struct engine_domain_base){
		.source = job->ipc,
		.group = event->domain_cgroup,
		.user = event->domain_uid,
	};
	return true;
}

static bool reuse_same(const struct engine_domain_base *a, const struct engine_domain_base *b)
{
	return a->source == b->source && a->group == b->group && a->user == b->user;
}

/* of the system prompt, what a shift has left */
static unsigned int reuse_base_tokens(const struct job *job)
{
	return (unsigned int)(job->shift.dropped ? MIN(job->base_tokens, job->shift.head) :
						   job->base_tokens);
}

/* false: it shares with nobody */
static bool reuse_domain(const struct job *job, struct engine_domain *ret)
{
	struct engine_domain_base own;

	if (job->event.flags & LLM_SUBMIT_SESSION) {
		*ret = session_domain(job->line);
		ret->base = job->base;
		ret->base_tokens = reuse_base_tokens(job);
		return job->line && adapt_domain(job, ret);
	}
	/* where several texts lie in a sequence, its tokens are no prefix */
	if (embed_is(job) || !reuse_own(job, &own))
		return false;
	*ret = (struct engine_domain){ .source = own.source, .group = own.group, .user = own.user };
	return adapt_domain(job, ret);
}

int reuse_set_base(struct sched *sched, struct job *job)
{
	struct session_base *base = sessions_base(&sched->sessions, job->ipc, job->event.session);
	struct engine_domain_base own;
	size_t tokens;
	int r;

	if (!base || !reuse_own(job, &own))
		return 0;
	r = chat_find_system(job->model->chat, job->model->tokenizer, job->tokens.ids,
			     job->tokens.count, &tokens);
	if (r < 0)
		return r;
	if (!base->is_set)
		*base = (struct session_base){ .is_set = true, .domain = own };
	job->base = base->domain;
	job->base_tokens = tokens;
	job->is_guest = !reuse_same(&base->domain, &own);
	return 0;
}

/* a guest has found nothing: it is kept where he is at home, from now on */
static void reuse_move_base(struct sched *sched, struct job *job)
{
	struct session_base *base = sessions_base(&sched->sessions, job->ipc, job->event.session);

	job->is_guest = false;
	if (!reuse_own(job, &job->base))
		job->base_tokens = 0;
	else if (base)
		base->domain = job->base;
}

/* tokens of it that need no row of logits, and that it may find */
static unsigned int reuse_max(const struct job *job)
{
	const size_t max = MIN(job_next_row(job), job->tokens.count);
	/* what has gone is the past's first, but for its head */
	const size_t head = MIN(job->past_count, job->shift.head);
	const size_t gone = MIN(job->shift.dropped, job->past_count - head);
	size_t own = MAX(job->past_count - gone, job->reach);

	if (!job->is_guest)
		own = MAX(own, (size_t)reuse_base_tokens(job));
	return job->line ? MIN(max, own) : max;
}

unsigned int reuse_find(const struct job *job)
{
	const unsigned int base = reuse_base_tokens(job);
	struct engine_domain domain;
	unsigned int found;

	if (job->reuses_nothing || !reuse_domain(job, &domain))
		return 0;
	found = engine_prefix_find(job->model->loaded, &domain, job->tokens.ids, reuse_max(job));
	return job->is_guest && found <= base ? 0 : found;
}

void reuse_begin(struct sched *sched, struct job *job)
{
	struct engine_domain domain;
	unsigned int found;

	if (job->is_guest && !reuse_find(job))
		reuse_move_base(sched, job);
	if (job->reuses_nothing || !reuse_domain(job, &domain))
		return;
	found = engine_seq_begin(job->seq, &domain, job->tokens.ids, reuse_max(job));
	/* what anybody may read does not tell found from computed */
	sched->totals.prompt_tokens += MIN(found, shift_prompt(job));
	sched->totals.reused_tokens += MIN(found, shift_prompt(job));
}

/* ---- what had to make way ---- */

void reuse_swap(struct job *job, unsigned int from)
{
	struct engine_domain domain;

	if (!job->seq || job->reuses_nothing || !reuse_domain(job, &domain))
		return;
	job->reach = MAX(job->reach, (size_t)engine_seq_length(job->seq));
	engine_seq_swap(job->seq, &domain, job->tokens.ids, from);
}

void reuse_fetch_begin(struct job *job)
{
	job->is_fetching = !embed_is(job);
	job->fetch_until_ns = clock_ns() + SCHED_FETCH_NS;
}

/* pages of its own that come no more: it is computed, as it would be without a swap */
static void reuse_give_up(const struct job *job)
{
	log_warning("request %llu: nothing came from the swap for %llu ms, the rest is computed",
		    (unsigned long long)job->event.id,
		    (unsigned long long)(SCHED_FETCH_NS / NS_PER_MS));
	engine_seq_fetch_stop(job->seq);
}

/* what comes from there counts as found, and does so once */
bool reuse_fetch(struct sched *sched, struct job *job)
{
	const size_t before = engine_seq_length(job->seq);
	struct engine_domain domain;
	size_t after;
	int r = 0;

	if (!job->reuses_nothing && reuse_domain(job, &domain))
		r = engine_seq_fetch(job->seq, &domain, job->tokens.ids, reuse_max(job));
	if (r && engine_seq_length(job->seq) > before)
		job->fetch_until_ns = clock_ns() + SCHED_FETCH_NS;
	if (r && clock_ns() >= job->fetch_until_ns) {
		reuse_give_up(job);
		r = 0;
	}
	after = MIN((size_t)engine_seq_length(job->seq), shift_prompt(job));
	after -= MIN(before, after);
	sched->totals.prompt_tokens += after;
	sched->totals.reused_tokens += after;
	job->is_fetching = r;
	return !r;
}

/* ---- what others are computing ---- */

/* tokens at the beginning of both that are kept in one place, if they are the same */
static size_t reuse_shared(const struct job *a, const struct job *b)
{
	struct engine_domain one, other;
	struct engine_domain_base first, second;
	size_t limit = SIZE_MAX;

	if (!reuse_domain(a, &one) || !reuse_domain(b, &other) ||
	    memcmp(one.adapters, other.adapters, sizeof(one.adapters)))
		return 0;
	first = (struct engine_domain_base){ one.source, one.group, one.user };
	second = (struct engine_domain_base){ other.source, other.group, other.user };
	if (reuse_same(&first, &second))
		return !one.base_tokens || reuse_same(&one.base, &other.base) ? limit : 0;
	if (a->is_guest || b->is_guest)
		return 0;
	if (one.base_tokens) {
		first = one.base;
		limit = one.base_tokens;
	}
	if (other.base_tokens) {
		second = other.base;
		limit = MIN(limit, (size_t)other.base_tokens);
	}
	return reuse_same(&first, &second) ? limit : 0;
}

/* tokens with which both begin; 0: too few for one to wait for the other, or to give pages up */
static size_t reuse_common(const struct job *job, const struct job *other)
{
	size_t max = MIN(reuse_max(job), other->tokens.count), count = 0;

	if (other == job || other->model != job->model || !other->seq || other->reuses_nothing ||
	    job->reuses_nothing)
		return 0;
	max = MIN(max, reuse_shared(job, other));
	while (count < max && job->tokens.ids[count] == other->tokens.ids[count])
		count++;
	return count >= job->model->info.page_tokens && 2 * count >= job->tokens.count ? count : 0;
}

/* is there a store at all? */
static bool reuse_keeps(const struct sched *sched)
{
	return sched->config.prefix_bytes || sched->config.prefix_percent;
}

bool reuse_is_coming(const struct sched *sched, const struct job *job)
{
	const struct job *other;

	if (!reuse_keeps(sched))
		return false;
	list_each(other, &sched->jobs[JOB_ACTIVE], link) {
		const size_t common = reuse_common(job, other);
		const size_t length = common ? engine_seq_length(other->seq) : 0;

		/* it takes no longer than to compute them; of those who have not begun, the oldest does */
		if (common && !other->paused && !other->cancelled && !other->is_fetching &&
		    length + job->model->info.page_tokens <= common &&
		    (length || other->number < job->number))
			return true;
	}
	return false;
}

void reuse_gather(struct sched *sched, const struct job *job)
{
	struct job *other;

	if (!reuse_keeps(sched))
		return;
	list_each(other, &sched->jobs[JOB_ACTIVE], link) {
		if (!reuse_common(job, other))
			continue;
		reuse_keep(other);
		/* what was kept already it does not need for itself */
		charge_settle(other);
	}
}

void reuse_begin_late(struct sched *sched, struct job *job)
{
	reuse_gather(sched, job);
	if (!reuse_find(job))
		return;
	engine_seq_truncate(job->seq, 0);
	reuse_begin(sched, job);
	/* as many as before, in all; there is room for what it has just given back */
	if (engine_seq_reserve(job->seq, (unsigned int)shift_window(job)) < 0)
		log_debug("request %llu: it takes its pages as it grows",
			  (unsigned long long)job->event.id);
	charge_settle(job);
}

/* ---- keeping ---- */

/* from its books to its cgroup's */
static int reuse_charge(struct job *job, size_t bytes)
{
	const struct llm_charge charge = {
		.size = sizeof(charge),
		.flags = LLM_CHARGE_KEEP,
		.id = job->event.id,
		.bytes = bytes,
	};

	return job->ipc->ops->charge(job->ipc, &charge);
}

void reuse_keep(struct job *job)
{
	const struct engine_payer payer = { job->ipc, job->event.cgroup_id };
	struct engine_domain domain;
	size_t bytes;
	int r;

	if (!job->seq || !reuse_domain(job, &domain))
		return;
	job->reach = MAX(job->reach, (size_t)engine_seq_length(job->seq));
	bytes = engine_seq_keep(job->seq, &domain, &payer, job->tokens.ids);
	if (!bytes)
		return;
	r = reuse_charge(job, bytes);
	if (r == LLM_VERDICT_CONTINUE) {
		job->charged_bytes -= bytes;
		return;
	}
	engine_seq_unkeep(job->seq, bytes);
	/* who is no longer this server's keeps nothing */
	if (r != -ENOENT)
		log_debug("request %llu: %zu bytes can not be kept: %s",
			  (unsigned long long)job->event.id, bytes, strerror(r < 0 ? -r : EPROTO));
}

/* what there is no room for in the store may have some on the disk */
void reuse_leave(const struct sched *sched, struct job *job)
{
	reuse_keep(job);
	if (reuse_keeps(sched))
		reuse_swap(job, 0);
}

void reuse_dropped(void *arg, const struct engine_payer *payer, size_t bytes)
{
	struct ipc *ipc = payer->source;
	const struct llm_charge charge = {
		.size = sizeof(charge),
		.cgroup_id = payer->group,
		.bytes = bytes,
	};
	int r = ipc->ops->uncharge(ipc, &charge);

	(void)arg;
	if (r < 0 && r != -ENOENT)
		log_error("%s: %zu bytes kept for cgroup %llu can not be uncharged: %s", ipc->name,
			  bytes, (unsigned long long)payer->group, strerror(-r));
}

/* ---- giving back ---- */

static size_t reuse_drop(struct sched *sched, const struct engine_payer *payer, size_t bytes)
{
	struct model *model;
	size_t dropped = 0;

	list_each(model, models_list(sched->models), link)
		if (model->loaded && dropped < bytes)
			dropped += engine_prefix_drop(model->loaded, payer, bytes - dropped);
	return dropped;
}

/* the youngest who uses pages that this one is charged for */
static struct job *reuse_find_user(const struct sched *sched, const struct engine_payer *payer)
{
	struct job *job, *found = NULL;

	list_each(job, &sched->jobs[JOB_ACTIVE], link)
		if (job->seq && engine_seq_kept_bytes(job->seq, payer))
			found = job;
	return found;
}

void reuse_reclaim(struct sched *sched, struct ipc *ipc, uint64_t cgroup_id, uint64_t bytes)
{
	const struct engine_payer payer = { ipc, cgroup_id };
	struct job *job;
	uint64_t given = reuse_drop(sched, &payer, bytes);

	/*
	 * Who waits for it may himself be using it: he is computed again, and finds nothing any more,
	 * or he would have to begin anew for each page that is asked for.
	 */
	while (given < bytes && (job = reuse_find_user(sched, &payer))) {
		job->reuses_nothing = true;
		batch_put_back(sched, job);
		given += reuse_drop(sched, &payer, bytes - given);
	}
}

void reuse_forget(struct sched *sched, struct ipc *ipc, uint64_t session)
{
	const uint64_t line = sessions_end(&sched->sessions, ipc, session);
	const struct engine_domain domain = session_domain(line);
	struct model *model;

	if (!line)
		return;
	list_each(model, models_list(sched->models), link)
		if (model->loaded)
			engine_prefix_forget(model->loaded, &domain);
}
