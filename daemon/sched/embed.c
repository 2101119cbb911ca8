/* SPDX-License-Identifier: MIT */
/* The life of a request for vectors or labels; see embed.h. */
#include "sched/embed.h"

#include <math.h>
#include <string.h>

#include "base/utf8.h"
#include "sched/job.h"
#include "sched/journal.h"
#include "sched/record.h"


bool embed_is(const struct job *job)
{
	return job->event.op == LLM_OP_EMBED || job->event.op == LLM_OP_CLASSIFY;
}

static bool embed_classifies(const struct job *job)
{
	return job->event.op == LLM_OP_CLASSIFY;
}

void embed_free(struct embed *embed)
{
	if (!embed)
		return;
	free(embed->copy);
	free(embed->texts);
	free(embed->is_cut);
	free(embed->sum);
	free(embed->hidden);
	free(embed->values);
	free(embed);
}

/* ---- preparing ---- */

static enum engine_pooling embed_pooling(const struct job *job, const struct options *options)
{
	const struct engine_model_info *info = &job->model->info;

	if (embed_classifies(job) && info->label_pooling != ENGINE_POOL_NONE)
		return info->label_pooling;
	if (embed_classifies(job))
		return info->is_encoder ? ENGINE_POOL_FIRST : ENGINE_POOL_LAST;
	if (options->pooling)
		return (enum engine_pooling)options->pooling;
	if (info->pooling != ENGINE_POOL_NONE)
		return info->pooling;
	/* what most of either kind are trained with */
	return info->is_encoder ? ENGINE_POOL_MEAN : ENGINE_POOL_LAST;
}

_Static_assert((int)LLM_POOLING_MEAN == ENGINE_POOL_MEAN &&
	       (int)LLM_POOLING_FIRST == ENGINE_POOL_FIRST &&
	       (int)LLM_POOLING_LAST == ENGINE_POOL_LAST, "the same numbers");

static int embed_check(const struct job *job, const struct options *options, struct error *error)
{
	const struct engine_model_info *info = &job->model->info;
	const uint32_t type = job->event.payload_type;
	const char *name = job->model->name;

	if (type == LLM_PAYLOAD_CHAT || type > LLM_PAYLOAD_MAX)
		return error_set(error, -EINVAL, "payload type %u is no text", type);
	if (!job->answer.framed && !job->event.answer_buffer)
		return error_set(error, -EINVAL,
				 "vectors and labels are answered in records, or in a buffer, only");
	if (embed_classifies(job) && !info->labels)
		return error_set(error, -EOPNOTSUPP, "model '%s' has no labels", name);
	if (options->dims > info->width)
		return error_set(error, -EINVAL, "model '%s' makes vectors of %u elements, not %u",
				 name, info->width, options->dims);
	if (options->query && type != LLM_PAYLOAD_TEXT && type != LLM_PAYLOAD_RAW &&
	    type != LLM_PAYLOAD_BATCH)
		return error_set(error, -EINVAL, "a query goes with texts, not with tokens");
	if (options->query && !utf8_valid(options->query, options->query_len))
		return error_set(error, -EILSEQ, "the query is not valid UTF-8");
	/* others take the two as one text, in words that not every file has */
	if (options->query && !info->is_encoder && !tok_has_pair_words(job->model->tokenizer))
		return error_set(error, -EOPNOTSUPP,
				 "model '%s' takes no pairs: write query and text as one", name);
	if (options->query && tok_has_no_pairs(job->model->tokenizer))
		return error_set(error, -EOPNOTSUPP,
				 "model '%s': how its tokenizer puts two texts together is not supported",
				 name);
	return 0;
}

/* the name of a label, as much of it as is told, in whole characters; "" if it is no text */
static const char *embed_label(const struct job *job, uint32_t index, size_t *ret_len)
{
	const char *name = engine_label(job->model->gguf, index, ret_len);

	if (!utf8_valid(name, *ret_len))
		*ret_len = 0;
	if (*ret_len > LLM_LABEL_NAME_MAX) {
		*ret_len = LLM_LABEL_NAME_MAX;
		while (*ret_len && ((unsigned char)name[*ret_len] & 0xc0) == 0x80)
			(*ret_len)--;
	}
	return name;
}

/* bytes of the records that answer a text: the same for all of them */
static size_t embed_record_bytes(const struct job *job)
{
	const struct embed *embed = job->embed;
	size_t bytes = 0, len;

	if (!embed_classifies(job))
		return sizeof(struct llm_record) + sizeof(struct llm_embedding) +
			embed->value_count * sizeof(*embed->values);
	for (uint32_t i = 0; i < embed->value_count; i++) {
		embed_label(job, i, &len);
		bytes += sizeof(struct llm_record) + sizeof(struct llm_label) + len;
	}
	return bytes;
}

/* what an earlier server has answered is not computed again */
static int embed_resume(struct job *job, struct error *error)
{
	struct embed *embed = job->embed;
	const size_t row_bytes = embed->value_count * sizeof(*embed->values);
	const size_t record_bytes = embed_record_bytes(job);
	uint64_t answered;

	if (!job->event.answer_buffer && !embed_classifies(job) &&
	    record_bytes > LLM_RECORD_BYTES_MAX)
		return error_set(error, -E2BIG,
				 "a vector of %u elements has no room in a record: ask for fewer, or give a buffer",
				 embed->value_count);
	if (job->event.answer_buffer) {
		answered = job->event.answer_bytes / row_bytes;
		job->scores_bytes = answered * row_bytes;
	} else {
		answered = job->event.output_bytes / record_bytes;
		job->answer.skip_bytes = job->event.output_bytes % record_bytes;
	}
	if (answered > embed->count)
		return error_set(error, -ESTALE, "%llu texts were answered, there are %u",
				 (unsigned long long)answered, embed->count);
	embed->answered = (uint32_t)answered;
	return buffer_check(job, &(struct buffer_rows){
		embed_classifies(job) ? "logits" : "vectors", "texts", embed->count, row_bytes },
		error);
}

int embed_prepare(struct job *job, struct options *options, const uint8_t *payload, size_t len,
		  uint8_t **copy, struct error *error)
{
	const struct engine_model_info *info = &job->model->info;
	struct embed *embed;
	int r = embed_check(job, options, error);

	if (r < 0)
		return r;
	embed = job->embed = calloc(1, sizeof(*embed));
	if (!embed)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	embed->copy = steal_ptr(*copy);
	embed->payload = payload;
	embed->payload_len = len;
	embed->query = options->query;
	embed->query_len = options->query_len;
	embed->pooling = embed_pooling(job, options);
	embed->is_raw = options->is_raw;
	embed->truncates = options->truncates;
	embed->value_count = embed_classifies(job) ? info->labels : options->dims ?: info->width;
	embed->sum = calloc(info->width, sizeof(*embed->sum));
	embed->hidden = calloc(info->width, sizeof(*embed->hidden));
	embed->values = calloc(embed->value_count, sizeof(*embed->values));
	if (!embed->sum || !embed->hidden || !embed->values)
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	r = embed_count_texts(embed, job->event.payload_type, error);
	return r < 0 ? r : embed_resume(job, error);
}

/* ---- before a step ---- */

/* places that the job's sequence may have, and so tokens of a text */
static uint32_t embed_room(const struct job *job)
{
	const struct engine_model_info *info = &job->model->info;
	const uint64_t room = (uint64_t)info->kv_pages * info->page_tokens;

	return (uint32_t)MIN((uint64_t)info->context_used, room);
}

static void embed_clear(struct job *job)
{
	job->tokens.count = 0;
	job->prompt_count = 0;
	job->embed->text_count = 0;
	job->embed->done = 0;
}

static int embed_make_room(struct embed *embed)
{
	const uint32_t capacity = MAX(16U, embed->text_capacity * 2);
	struct engine_text *texts;
	bool *is_cut;

	if (embed->text_count < embed->text_capacity)
		return 0;
	texts = realloc(embed->texts, capacity * sizeof(*texts));
	if (texts)
		embed->texts = texts;
	is_cut = realloc(embed->is_cut, capacity * sizeof(*is_cut));
	if (is_cut)
		embed->is_cut = is_cut;
	if (!texts || !is_cut)
		return -ENOMEM;
	embed->text_capacity = capacity;
	return 0;
}

/*
 * embed_fill() - texts for a step that has @budget tokens left: as many as it takes whole, or one;
 * none where all of the budget went to such as were answered already
 * @ret_skipped: out, tokens of these
 *
 * Return: 0, or why a text can't be read.
 */
static int embed_fill(struct job *job, size_t budget, bool is_first, size_t *ret_skipped,
		      struct error *error)
{
	const bool is_whole = job->model->info.is_encoder;
	const uint32_t room = embed_room(job);
	struct embed *embed = job->embed;
	size_t used = 0;

	embed_clear(job);
	embed->first = embed->next;
	while (embed->next.index < embed->count && used < budget) {
		const struct embed_cursor cursor = embed->next;
		const size_t count = job->tokens.count;
		struct engine_text text;
		bool is_cut, fits;
		uint32_t len;
		int r = embed_make_room(embed);

		if (!r)
			r = embed_read_text(job, room, &text, &is_cut, error);
		if (r < 0)
			return r;
		len = text.end - text.begin;
		/* to read it takes time as well: others are not to wait for all of them at once */
		if (cursor.index < embed->answered) {
			embed->tokens += len;
			used += len;
			*ret_skipped += len;
			embed->first = embed->next;
			embed_clear(job);
			continue;
		}
		/* the first one may be longer than the step, or than its share of it */
		fits = used + len <= budget && text.end <= room;
		if (!fits && (embed->text_count || (is_whole && !is_first))) {
			embed->next = cursor;
			job->tokens.count = count;
			break;
		}
		embed->is_cut[embed->text_count] = is_cut;
		embed->texts[embed->text_count++] = text;
		used += len;
	}
	job->prompt_count = job->tokens.count;
	return 0;
}

size_t embed_plan(struct sched *sched, struct job *job, size_t budget, bool is_first)
{
	const size_t length = engine_seq_length(job->seq);
	struct embed *embed = job->embed;
	struct error error = { "" };
	struct engine_item item;
	size_t skipped = 0;
	int r;

	job->planned = 0;
	if (!budget)
		return 0;
	if (!length) {
		if (embed->text_count)
			embed->next = embed->first;
		r = embed_fill(job, budget, is_first, &skipped, &error);
		if (r < 0) {
			job_fail(sched, job, r, &error);
			return 0;
		}
		if (!embed->text_count && embed->next.index == embed->count) {
			/* an earlier server has answered all */
			job_finish(sched, job, LLM_FINISH_STOP);
			return 0;
		}
	}
	job->planned = (unsigned int)(job->tokens.count - length);
	if (embed->text_count == 1 && !job->model->info.is_encoder)
		job->planned = (unsigned int)MIN((size_t)job->planned, budget);
	item = (struct engine_item){ .seq = job->seq, .count = job->planned };
	embed_item(job, &item);
	return skipped + embed_item_tokens(&item);
}

void embed_item(const struct job *job, struct engine_item *item)
{
	item->logits_from = item->count;
	item->tentative = 0;
	item->texts = job->embed->texts;
	item->text_count = job->embed->text_count;
	item->pooling = job->embed->pooling;
}

unsigned int embed_item_tokens(const struct engine_item *item)
{
	const uint32_t from = engine_seq_length(item->seq), to = from + item->count;
	unsigned int tokens = 0;

	for (unsigned int i = 0; i < item->text_count; i++) {
		const uint32_t begin = MAX(item->texts[i].begin, from);
		const uint32_t end = MIN(item->texts[i].end, to);

		tokens += end > begin ? end - begin : 0;
	}
	return tokens;
}

uint64_t embed_fed(const struct job *job)
{
	return job->embed ? job->embed->tokens + job->embed->pooled : 0;
}

/* ---- after a step ---- */

static uint32_t embed_millionths(double share)
{
	return (uint32_t)lrint(share * 1e6);
}

static int32_t embed_logit(float logit)
{
	return (int32_t)lrint(fmax(-2147, fmin(2147, (double)logit)) * 1e6);
}

/* a label that excludes no other has a probability of its own, those that do share one */
static double embed_probability(const float *logits, uint32_t count, uint32_t label, bool is_own)
{
	double max = (double)logits[0], sum = 0;

	if (count == 1 || is_own)
		return 1 / (1 + exp(-(double)logits[label]));
	for (uint32_t i = 1; i < count; i++)
		max = MAX(max, (double)logits[i]);
	for (uint32_t i = 0; i < count; i++)
		sum += exp((double)logits[i] - max);
	return exp((double)logits[label] - max) / sum;
}

static int embed_record_labels(const struct job *job, struct llm_embedding head,
			       struct bytes *record)
{
	const struct embed *embed = job->embed;
	const bool is_logit = embed->value_count == 1 && job->model->info.is_score_logit;
	int r = 0;

	for (uint32_t i = 0; i < embed->value_count && !r; i++) {
		size_t len;
		const char *name = embed_label(job, i, &len);
		const struct llm_label label = {
			.index = head.index,
			.flags = head.flags | (is_logit ? LLM_LABEL_LOGIT : 0),
			.label = i,
			.logit = embed_logit(embed->values[i]),
			.probability = embed_millionths(
				embed_probability(embed->values, embed->value_count, i,
						  job->model->info.has_several_labels)),
			.name_len = (uint32_t)len,
		};

		r = record_label(record, &label, name);
	}
	return r;
}

static int embed_report(struct job *job, const struct engine_text *text)
{
	const struct embed *embed = job->embed;
	const struct llm_embedding head = {
		.index = embed->first.index + embed->done,
		.flags = embed->is_cut[embed->done] ? LLM_EMBEDDING_TRUNCATED : 0,
		.tokens = text->end - text->begin,
		.dims = embed->value_count,
	};
	struct bytes record = { 0 };
	int r;

	if (job->event.answer_buffer)
		return bytes_append(&job->scores, embed->values,
				    embed->value_count * sizeof(*embed->values));
	r = embed_classifies(job) ? embed_record_labels(job, head, &record)
				  : record_embedding(&record, &head, embed->values);
	if (!r)
		r = answer_append(&job->answer, &record);
	bytes_free(&record);
	return r;
}

/* embed_values() - from what was added up to what is answered; false: it is not a number */
static bool embed_values(struct job *job, const struct engine_text *text)
{
	const uint32_t width = job->model->info.width;
	struct embed *embed = job->embed;
	double scale = 1, square = 0;
	bool is_finite = true;

	if (embed->pooling == ENGINE_POOL_MEAN)
		scale = 1.0 / (text->end - text->begin);
	for (uint32_t i = 0; i < width; i++)
		embed->hidden[i] = (float)(embed->sum[i] * scale);
	if (embed_classifies(job)) {
		engine_classify(job->model->loaded, embed->hidden, embed->values);
	} else {
		for (uint32_t i = 0; i < embed->value_count; i++)
			square += embed->sum[i] * scale * embed->sum[i] * scale;
		if (!embed->is_raw && square > 0)
			scale /= sqrt(square);
		for (uint32_t i = 0; i < embed->value_count; i++)
			embed->values[i] = (float)(embed->sum[i] * scale);
	}
	for (uint32_t i = 0; i < embed->value_count; i++)
		is_finite = is_finite && isfinite(embed->values[i]);
	return is_finite;
}

/* embed_answer() - a text whose hidden states are all there; 0 or -errno */
static int embed_answer(struct job *job, const struct engine_text *text, struct error *error)
{
	struct embed *embed = job->embed;
	int r;

	if (!embed_values(job, text))
		return error_set(error, -EIO, "text %u: model '%s' gives what is not a number",
				 embed->first.index + embed->done, job->model->name);
	r = embed_report(job, text);
	memset(embed->sum, 0, job->model->info.width * sizeof(*embed->sum));
	embed->tokens += text->end - text->begin;
	embed->pooled = 0;
	embed->done++;
	return r;
}

/* embed_wants() - is there a row for this place? */
static bool embed_wants(const struct embed *embed, const struct engine_text *text, uint32_t place)
{
	if (embed->pooling == ENGINE_POOL_FIRST)
		return place == text->begin;
	return embed->pooling == ENGINE_POOL_MEAN || place + 1 == text->end;
}

/*
 * embed_pool() - hidden states of a text's places [begin, end)
 *
 * A sequence that was put back is fed again, and gives the same bits: what was added up is not added
 * again. Return: rows that were there.
 */
static unsigned int embed_pool(struct job *job, const struct engine_text *text, uint32_t begin,
			       uint32_t end, const struct engine_item *item, unsigned int row)
{
	const uint32_t width = job->model->info.width;
	struct embed *embed = job->embed;
	unsigned int rows = 0;

	for (uint32_t place = begin; place < end; place++) {
		const float *x = item->hidden + (row + rows) * item->hidden_stride;

		if (!embed_wants(embed, text, place))
			continue;
		rows++;
		if (place < embed->pooled)
			continue;
		for (uint32_t i = 0; i < width; i++)
			embed->sum[i] += (double)x[i];
	}
	embed->pooled = MAX(embed->pooled, end);
	return rows;
}

void embed_take(struct sched *sched, struct job *job, const struct engine_item *item)
{
	const uint32_t to = engine_seq_length(job->seq), from = to - item->count;
	struct embed *embed = job->embed;
	struct error error = { "" };
	unsigned int row = 0;
	int r = 0;

	for (uint32_t i = embed->done; i < embed->text_count && !r; i++) {
		const struct engine_text *text = &embed->texts[i];
		const uint32_t begin = MAX(text->begin, from), end = MIN(text->end, to);

		if (end <= begin)
			break;
		row += embed_pool(job, text, begin, end, item, row);
		if (end == text->end)
			r = embed_answer(job, text, &error);
	}
	if (r < 0) {
		job_fail(sched, job, r, &error);
		return;
	}
	if (embed->done < embed->text_count)
		return;
	embed_clear(job);
	engine_seq_truncate(job->seq, 0);
	charge_settle(job);
	if (embed->next.index == embed->count)
		job_finish(sched, job, LLM_FINISH_STOP);
}
