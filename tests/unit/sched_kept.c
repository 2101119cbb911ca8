/* SPDX-License-Identifier: MIT */
/* The prefix store of the engine for tests of the scheduler: a list of texts, an entry a page. */
#include "sched_engine_internal.h"

#include <string.h>

unsigned int fake_kept_in_use(const struct engine_model *model)
{
	unsigned int i, count = 0;

	for (i = 0; i < FAKE_KEPT; i++)
		count += model->kept[i].is_kept && model->kept[i].users;
	return count;
}

void fake_leave_kept(struct engine_seq *seq, unsigned int keep)
{
	while (seq->kept_count > keep) {
		struct fake_kept *kept = seq->kept[--seq->kept_count];

		if (!--kept->users)
			kept->left = ++seq->model->clock;
	}
}

static void kept_forget(struct engine_model *model, struct fake_kept *kept, bool tell)
{
	const struct engine_config *config = &model->engine->config;

	kept->is_kept = false;
	model->kept_count--;
	fake_counts.kept--;
	if (!tell)
		return;
	fake_counts.pages--;
	config->prefix_dropped(config->prefix_arg, &kept->payer, FAKE_PAGE_BYTES);
}

/* the one that has been idle for longest: the end of a text is left before its beginning */
static struct fake_kept *kept_idle(struct engine_model *model, const struct engine_payer *payer)
{
	struct fake_kept *found = NULL;
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && !kept->users && (!found || kept->left < found->left) &&
		    (!payer || (kept->payer.source == payer->source &&
				kept->payer.group == payer->group)))
			found = kept;
	}
	return found;
}

static bool kept_is_behind(const struct fake_kept *kept, const struct fake_kept *front)
{
	const struct engine_domain at = kept->length > front->length ?
		engine_domain_at(&kept->domain, front->length - 1, 1) : kept->domain;

	return kept->is_kept && kept->length > front->length &&
	       at.source == front->domain.source && at.group == front->domain.group &&
	       at.user == front->domain.user &&
	       !memcmp(kept->domain.adapters, front->domain.adapters,
		       sizeof(front->domain.adapters)) &&
	       !memcmp(kept->tokens, front->tokens, front->length * sizeof(*front->tokens));
}

/* with what is behind it */
bool fake_evict(struct engine_model *model, const struct engine_payer *payer)
{
	struct fake_kept *kept = kept_idle(model, payer);
	unsigned int i;

	for (i = 0; kept && i < FAKE_KEPT; i++)
		if (kept_is_behind(&model->kept[i], kept))
			kept_forget(model, &model->kept[i], true);
	if (kept)
		kept_forget(model, kept, true);
	return kept;
}

/* of the page that ends there */
static struct engine_domain fake_domain(const struct engine_model *model,
					const struct engine_domain *domain, unsigned int length)
{
	return engine_domain_at(domain, length - model->gguf->page, model->gguf->page);
}

static struct fake_kept *kept_find(const struct engine_model *model,
				   const struct engine_domain *whose, const uint32_t *tokens,
				   unsigned int length)
{
	const struct engine_domain where = fake_domain(model, whose, length), *domain = &where;
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		const struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && kept->domain.source == domain->source &&
		    kept->domain.group == domain->group && kept->domain.user == domain->user &&
		    !memcmp(kept->domain.adapters, domain->adapters, sizeof(domain->adapters)) &&
		    kept->length == length &&
		    !memcmp(kept->tokens, tokens, length * sizeof(*tokens)))
			return (struct fake_kept *)kept;
	}
	return NULL;
}

unsigned int engine_prefix_find(const struct engine_model *model,
				const struct engine_domain *domain, const uint32_t *tokens,
				unsigned int count)
{
	unsigned int page = model->gguf->page, at = 0;

	while (at + page <= count && kept_find(model, domain, tokens, at + page))
		at += page;
	return at;
}

size_t engine_prefix_drop(struct engine_model *model, const struct engine_payer *payer,
			  size_t bytes)
{
	size_t dropped = 0;

	while (dropped < bytes && fake_evict(model, payer))
		dropped += FAKE_PAGE_BYTES;
	return dropped;
}

void engine_prefix_forget(struct engine_model *model, const struct engine_domain *domain)
{
	unsigned int i;

	for (i = 0; i < FAKE_KEPT; i++) {
		struct fake_kept *kept = &model->kept[i];

		if (kept->is_kept && !kept->users && kept->domain.source == domain->source &&
		    kept->domain.group == domain->group && kept->domain.user == domain->user)
			kept_forget(model, kept, true);
	}
}

unsigned int engine_seq_begin(struct engine_seq *seq, const struct engine_domain *domain,
			      const uint32_t *tokens, unsigned int count)
{
	unsigned int page = seq->model->gguf->page;
	struct fake_kept *kept;

	fake_counts.broken_promises += seq->pages || seq->length;
	while (seq->length + page <= count &&
	       (kept = kept_find(seq->model, domain, tokens, seq->length + page))) {
		kept->users++;
		seq->kept[seq->kept_count++] = kept;
		seq->length += page;
		memcpy(seq->hash, kept->hash, seq->length * sizeof(*seq->hash));
	}
	fake_counts.reused += seq->length;
	return seq->length;
}

size_t engine_seq_kept_bytes(const struct engine_seq *seq, const struct engine_payer *payer)
{
	size_t bytes = 0;
	unsigned int i;

	for (i = 0; i < seq->kept_count; i++)
		if (!payer || (seq->kept[i]->payer.source == payer->source &&
			       seq->kept[i]->payer.group == payer->group))
			bytes += FAKE_PAGE_BYTES;
	return bytes;
}

static struct fake_kept *kept_new(struct engine_model *model, unsigned int length)
{
	const unsigned int max = model->gguf->pages * model->engine->config.prefix_percent / 100;
	unsigned int i;

	if (length > FAKE_TEXT || (model->kept_count >= max && !fake_evict(model, NULL)))
		return NULL;
	for (i = 0; i < FAKE_KEPT && model->kept_count < max; i++)
		if (!model->kept[i].is_kept)
			return &model->kept[i];
	return NULL;
}

size_t engine_seq_keep(struct engine_seq *seq, const struct engine_domain *domain,
		       const struct engine_payer *payer, const uint32_t *tokens)
{
	struct engine_model *model = seq->model;
	unsigned int page = model->gguf->page;
	size_t bytes = 0;

	while ((seq->kept_count + 1) * page <= seq->length) {
		unsigned int length = (seq->kept_count + 1) * page;
		struct fake_kept *kept = kept_find(model, domain, tokens, length);

		if (kept) {
			fake_set_pages(seq, seq->pages - 1);
		} else {
			kept = kept_new(model, length);
			if (!kept)
				break;
			*kept = (struct fake_kept){ .is_kept = true, .payer = *payer,
						    .length = length };
			kept->domain = fake_domain(model, domain, length);
			memcpy(kept->tokens, tokens, length * sizeof(*tokens));
			memcpy(kept->hash, seq->hash, length * sizeof(*kept->hash));
			model->kept_count++;
			/* a page of its own becomes one of the store's */
			fake_counts.kept++;
			model->pages_used--;
			seq->pages--;
			bytes += FAKE_PAGE_BYTES;
		}
		kept->users++;
		seq->kept[seq->kept_count++] = kept;
	}
	return bytes;
}

void engine_seq_unkeep(struct engine_seq *seq, size_t bytes)
{
	for (; bytes; bytes -= FAKE_PAGE_BYTES) {
		kept_forget(seq->model, seq->kept[--seq->kept_count], false);
		seq->model->pages_used++;
		seq->pages++;
	}
}

void engine_prefix_clear(struct engine_model *model)
{
	while (fake_evict(model, NULL))
		;
}
