/* SPDX-License-Identifier: MIT */
/* Steps of the engine for tests of the scheduler: a hash of all tokens so far is what it computes. */
#include "sched_engine_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

static uint64_t mix(uint64_t h)
{
	h ^= h >> 31;
	h *= UINT64_C(0x9e3779b97f4a7c15);
	return h ^ h >> 29;
}

/* bytes that make text, words often, an end now and then */
static void row(float *logits, uint64_t h)
{
	uint32_t id;

	for (id = 0; id < FAKE_VOCAB; id++) {
		float noise = (float)(mix(h + id * 7919) % 4096) / 1024.0f;

		logits[id] = noise - (id >= FAKE_WORDS || (id >= 'a' && id <= 'p') ? 0.0f : 6.0f);
	}
	logits[FAKE_EOS] = h % 61 ? -9.0f : 9.0f;
	logits[FAKE_BOS] = -20.0f;
}

int engine_seq_accept(struct engine_seq *seq, unsigned int count)
{
	if (count > seq->tentative)
		return -EINVAL;
	seq->tentative -= count;
	seq->length += count;
	fake_counts.accepted += count;
	return 0;
}

/* texts in order, each from a page's begin on; an encoder's are whole */
static bool texts_are_good(const struct engine_model *model, const struct engine_item *item)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, n, at = 0;

	if (item->logits_from != item->count || item->tentative)
		return false;
	for (i = 0; i < item->text_count; i++) {
		const struct engine_text *t = &item->texts[i];
		const bool is_in = t->begin < to && t->end > from;

		if (t->begin < at || t->begin % model->gguf->page || t->end <= t->begin ||
		    t->second < t->begin || t->second > t->end ||
		    t->end - t->begin > fake_context(model))
			return false;
		if (model->gguf->encoder && is_in && (t->begin < from || t->end > to))
			return false;
		for (n = MAX(t->begin, from); n < MIN(t->end, to); n++)
			if (item->tokens[n - from] >= FAKE_VOCAB)
				return false;
		at = t->end;
	}
	return true;
}

/* tokens of an item that are computed */
static unsigned int item_tokens(const struct engine_item *item)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, count = 0;

	if (!item->texts)
		return item->count;
	for (i = 0; i < item->text_count; i++) {
		const unsigned int begin = MAX(item->texts[i].begin, from);
		const unsigned int end = MIN(item->texts[i].end, to);

		count += end > begin ? end - begin : 0;
	}
	return count;
}

static bool item_is_good(const struct engine_model *model, const struct engine_item *item)
{
	const struct engine_seq *seq = item->seq;
	unsigned int i;

	if (!item->count || item->logits_from > item->count || item->tentative > item->count || seq->model != model || !seq->used ||
	    seq->length < seq->kept_count * model->gguf->page ||
	    seq->length + item->count > (seq->kept_count + seq->pages) * model->gguf->page)
		return false;
	if (item->texts)
		return texts_are_good(model, item);
	if (model->gguf->encoder)
		return false;
	for (i = 0; i < item->count; i++)
		if (item->tokens[i] >= FAKE_VOCAB)
			return false;
	for (i = 0; i < item->adapter_count; i++)
		if (item->adapters[i].adapter->model != model)
			return false;
	return item->adapter_count <= ENGINE_ADAPTERS_MAX;
}

/* what the adapters of an item make of its hashes; 0: there are none */
static uint64_t adapted(const struct engine_item *item)
{
	uint64_t h = 0;
	unsigned int i;

	for (i = 0; i < item->adapter_count; i++)
		h = mix(h + 977 * item->adapters[i].adapter->seed +
			(uint64_t)(int64_t)(item->adapters[i].scale * 1000));
	return h;
}

static void compute(unsigned int tokens)
{
	/* by the fake clock only: the machine's is everybody's */
	if (fake_clock_ns)
		atomic_fetch_add(&fake_clock_ns, tokens * fake_token_ns);
}

static void check_step(const struct engine_model *model, const struct engine_item *items,
		       unsigned int count)
{
	const struct engine_config *config = &model->engine->config;
	unsigned int i, tokens = 0, rows = 0;

	for (i = 0; i < count; i++) {
		fake_counts.broken_promises += !item_is_good(model, &items[i]);
		tokens += item_tokens(&items[i]);
		rows += items[i].count - items[i].logits_from;
	}
	fake_counts.broken_promises += !count || count > config->max_seqs ||
				       tokens > (model->gguf->encoder ?
						MAX(config->batch_tokens, fake_context(model)) :
						config->batch_tokens) ||
				       rows > config->logits_rows;
	compute(tokens);
	fake_counts.steps++;
	fake_counts.tokens += tokens;
	fake_counts.step_tokens_max = MAX(fake_counts.step_tokens_max, tokens);
	fake_counts.step_items_max = MAX(fake_counts.step_items_max, count);
	snprintf(fake_counts.models + strlen(fake_counts.models), 2, "%.1s",
		 strlen(fake_counts.models) < sizeof(fake_counts.models) - 1 ? model->name : "");
}

static void hidden_row(const struct engine_model *model, const struct engine_text *t,
		       unsigned int place, uint32_t id, float *x)
{
	const unsigned int sees = model->gguf->encoder ? t->end - t->begin : place - t->begin + 1;
	uint64_t h = mix(id * 31 + place - t->begin + (place >= t->second ? 7777 : 0));

	x[0] = (float)id;
	x[1] = (float)(place - t->begin);
	x[2] = (float)sees;
	for (unsigned int i = 3; i < FAKE_WIDTH; i++)
		x[i] = (float)(mix(h + i) % 1000) / 8.0f;
	if (fake_nan_step == fake_counts.steps)
		x[3] = NAN;
}

static float *step_texts(const struct engine_model *model, struct engine_item *item, float *hidden)
{
	const unsigned int from = item->seq->length, to = from + item->count;
	unsigned int i, place;

	item->hidden = hidden;
	item->hidden_stride = FAKE_WIDTH;
	for (i = 0; i < item->text_count; i++) {
		const struct engine_text *t = &item->texts[i];

		for (place = MAX(t->begin, from); place < MIN(t->end, to); place++) {
			if ((item->pooling == ENGINE_POOL_FIRST && place != t->begin) ||
			    (item->pooling == ENGINE_POOL_LAST && place + 1 != t->end))
				continue;
			hidden_row(model, t, place, item->tokens[place - from], hidden);
			hidden += FAKE_WIDTH;
			item->hidden_count++;
		}
	}
	item->seq->length += item->count;
	return hidden;
}

/* label i: element i of the hidden state, less 100 */
void engine_classify(struct engine_model *model, const float *x, float *ret)
{
	for (unsigned int i = 0; i < model->gguf->labels; i++)
		ret[i] = x[i] - 100;
}

const char *engine_label(const struct gguf *gguf, uint32_t index, size_t *ret_len)
{
	static const char *const names[] = { "good", "bad" };

	*ret_len = index < gguf->labels && index < 2 ? strlen(names[index]) : 0;
	return *ret_len ? names[index] : "";
}

int engine_step(struct engine_model *model, struct engine_item *items, unsigned int count)
{
	float *logits = model->logits, *hidden = model->hidden;
	unsigned int i, n;

	if (fake_on_step)
		fake_on_step();
	check_step(model, items, count);
	if (fake_step_error) {
		int r = fake_step_error;

		fake_step_error = 0;
		return r;
	}
	for (i = 0; i < count; i++) {
		struct engine_seq *seq = items[i].seq;

		if (items[i].texts) {
			hidden = step_texts(model, &items[i], hidden);
			continue;
		}
		/* not before all that comes has come */
		fake_counts.broken_promises += seq->is_fetching;
		items[i].logits = logits;
		for (n = 0; n < items[i].count; n++) {
			uint64_t h = seq->length ? seq->hash[seq->length - 1] : 1;

			h = mix(h * 31 + items[i].tokens[n] + 1) ^ adapted(&items[i]);
			seq->hash[seq->length++] = h;
			if (n < items[i].logits_from)
				continue;
			h = fake_forgets ? mix(items[i].tokens[n]) : h;
			/* as a smaller model may be */
			row(logits, model->gguf->wrong && !(h % model->gguf->wrong) ? h + 1 : h);
			if (fake_nan_step == fake_counts.steps)
				for (uint32_t id = 0; id < FAKE_VOCAB; id++)
					logits[id] = NAN;
			logits += FAKE_VOCAB;
		}
		seq->length -= items[i].tentative;
		seq->tentative = items[i].tentative;
	}
	return 0;
}
