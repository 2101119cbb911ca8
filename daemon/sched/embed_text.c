/* SPDX-License-Identifier: MIT */
/*
 * The texts of a payload, one by one, from bytes to tokens in a job's sequence. The payload is the
 * client's: its frame is checked as a whole before the first text is answered, the texts themselves
 * when it is their turn.
 */
#include <string.h>

#include "sched/embed.h"
#include "sched/job.h"

/** struct embed_text - a text where it lies */
struct embed_text {
	const uint8_t *data;
	size_t len;			/* bytes */
};

static bool embed_is_batch(uint32_t payload_type)
{
	return payload_type == LLM_PAYLOAD_BATCH || payload_type == LLM_PAYLOAD_BATCH_TOKENS;
}

/* embed_next() - the text at @at, which moves behind it; -EINVAL: the payload ends before it does */
static int embed_next(const struct embed *embed, uint32_t payload_type, size_t *at,
		      struct embed_text *ret)
{
	const size_t unit = payload_type == LLM_PAYLOAD_BATCH_TOKENS ? sizeof(uint32_t) : 1;
	uint32_t count;

	if (!embed_is_batch(payload_type)) {
		*ret = (struct embed_text){ embed->payload, embed->payload_len };
		*at = embed->payload_len;
		return 0;
	}
	if (embed->payload_len - *at < sizeof(count))
		return -EINVAL;
	memcpy(&count, embed->payload + *at, sizeof(count));
	*at += sizeof(count);
	if (count > (embed->payload_len - *at) / unit)
		return -EINVAL;
	*ret = (struct embed_text){ embed->payload + *at, count * unit };
	*at += ret->len;
	return 0;
}

int embed_count_texts(struct embed *embed, uint32_t payload_type, struct error *error)
{
	struct embed_text text;
	size_t at = 0;

	if (!embed_is_batch(payload_type)) {
		embed->count = 1;
		return 0;
	}
	for (embed->count = 0; at < embed->payload_len; embed->count++)
		if (embed_next(embed, payload_type, &at, &text) < 0)
			return error_set(error, -EINVAL, "text %u: it is cut off", embed->count);
	return embed->count ? 0 : error_set(error, -EINVAL, "there is no text");
}

/* ---- tokens ---- */

/* what follows a text: its end tokens, as the model wants them */
static int embed_tail(const struct job *job, struct tok_ids *ids)
{
	const struct tokenizer *tok = job->model->tokenizer;
	int r = tok_encode(tok, "", 0, TOK_BOS, SIZE_MAX, ids);

	if (!r && ids->count && tok_add_bos(tok)) {
		ids->count--;
		memmove(ids->ids, ids->ids + 1, ids->count * sizeof(*ids->ids));
	}
	return r;
}

static int embed_add_ids(struct tok_ids *to, const uint32_t *ids, size_t count)
{
	size_t capacity = MAX(to->capacity * 2, to->count + count + 64);
	uint32_t *grown;

	if (count > to->capacity - to->count) {
		grown = realloc(to->ids, capacity * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		to->ids = grown;
		to->capacity = capacity;
	}
	if (count)
		memcpy(to->ids + to->count, ids, count * sizeof(*ids));
	to->count += count;
	return 0;
}

/* about so many bytes of a text, no character torn */
static size_t embed_text_bytes(const struct embed_text *text, size_t bytes)
{
	if (bytes >= text->len)
		return text->len;
	while (bytes && (text->data[bytes] & 0xc0) == 0x80)
		bytes--;
	return bytes;
}

/* tokens of the beginning of a text: more than @max, or all; some take no bytes, some many */
static int embed_encode_some(const struct job *job, const struct embed_text *text,
			     unsigned int flags, size_t max, struct tok_ids *all)
{
	size_t bytes, len;
	int r;

	if (!size_mul(&bytes, max, models_piece_max(job->model)))
		bytes = text->len;
	for (bytes = MAX(bytes, (size_t)64);; bytes *= 2) {
		len = embed_text_bytes(text, bytes);
		all->count = 0;
		r = tok_encode(job->model->tokenizer, (const char *)text->data, len, flags,
			       SIZE_MAX, all);
		if (r < 0 || all->count > max || len == text->len)
			return r;
	}
}

/* the first tokens of a text that has too many, and its end */
static int embed_cut(struct job *job, const struct embed_text *text, unsigned int flags,
		     const struct tok_ids *tail, size_t max)
{
	struct tok_ids all = { 0 };
	int r;

	if (max < tail->count)
		return -E2BIG;
	r = embed_encode_some(job, text, flags & ~TOK_BOS, max, &all);
	max -= tail->count;
	if (!r && flags & TOK_BOS && tok_add_bos(job->model->tokenizer) && max) {
		const uint32_t bos = tok_bos(job->model->tokenizer);

		r = embed_add_ids(&job->tokens, &bos, 1);
		max--;
	}
	if (!r)
		r = embed_add_ids(&job->tokens, all.ids, MIN(all.count, max));
	if (!r)
		r = embed_add_ids(&job->tokens, tail->ids, tail->count);
	free(all.ids);
	return r;
}

/* embed_encode() - a text behind what is there, @max tokens of it at most; 1: it was cut */
static int embed_encode(struct job *job, const struct embed_text *text, unsigned int flags,
			const struct tok_ids *tail, size_t max)
{
	const size_t begin = job->tokens.count;
	int r;

	if (flags & TOK_BOS || max >= tail->count) {
		const size_t room = flags & TOK_BOS ? max : max - tail->count;

		r = tok_encode(job->model->tokenizer, (const char *)text->data, text->len, flags,
			       begin + room, &job->tokens);
		if (!r && !(flags & TOK_BOS))
			r = embed_add_ids(&job->tokens, tail->ids, tail->count);
	} else {
		r = -E2BIG;
	}
	if (r != -E2BIG || !job->embed->truncates)
		return r;
	job->tokens.count = begin;
	r = embed_cut(job, text, flags, tail, max);
	return r < 0 ? r : 1;
}

/* embed_read_ids() - a text that comes as tokens; 1: it was cut */
static int embed_read_ids(struct job *job, const struct embed_text *text, size_t max)
{
	const uint32_t vocab = job->model->info.vocab;
	size_t count = text->len / sizeof(uint32_t);
	uint32_t id;
	int r = 0;

	if (text->len % sizeof(id))
		return -EINVAL;
	if (count > max && !job->embed->truncates)
		return -E2BIG;
	for (size_t i = 0; i < MIN(count, max) && !r; i++) {
		memcpy(&id, text->data + i * sizeof(id), sizeof(id));
		r = id < vocab ? embed_add_ids(&job->tokens, &id, 1) : -EINVAL;
	}
	return r ?: count > max;
}

/* a beginning of a text behind the query, and the words behind it: @max tokens together */
static int embed_cut_pair(struct job *job, const struct embed_text *text, unsigned int flags,
			  size_t max)
{
	const struct tokenizer *tok = job->model->tokenizer;
	const struct embed *embed = job->embed;
	_cleanup_free_ uint32_t *ids = NULL;
	size_t bytes, len = 0, end_count;
	const uint32_t *end = tok_pair_end(tok, &end_count);
	struct tok_ids all = { 0 };
	int r = tok_encode_pair(tok, embed->query, embed->query_len, "", 0, flags, max, &all);

	if (!size_mul(&bytes, max, models_piece_max(job->model)))
		bytes = text->len;
	for (bytes = MAX(bytes, (size_t)64); !r && all.count <= max && len < text->len;) {
		len = embed_text_bytes(text, bytes);
		bytes *= 2;
		all.count = 0;
		r = tok_encode_pair(tok, embed->query, embed->query_len, (const char *)text->data,
				    len, flags, SIZE_MAX, &all);
	}
	ids = all.ids;
	max = MIN(max, all.count);
	if (!r && max < end_count)
		r = -E2BIG;
	if (!r)
		r = embed_add_ids(&job->tokens, ids, max - end_count);
	return r ?: embed_add_ids(&job->tokens, end, end_count);
}

/* embed_read_pair() - a text behind the query, in the words that the model has; 1: it was cut */
static int embed_read_pair(struct job *job, const struct embed_text *text, unsigned int flags,
			   size_t max)
{
	const struct embed *embed = job->embed;
	int r = tok_encode_pair(job->model->tokenizer, embed->query, embed->query_len,
				(const char *)text->data, text->len, flags,
				job->tokens.count + max, &job->tokens);

	if (r != -E2BIG || !embed->truncates)
		return r;
	r = embed_cut_pair(job, text, flags, max);
	return r < 0 ? r : 1;
}

/* embed_read_words() - one that comes as text, behind the query where there is one */
static int embed_read_words(struct job *job, const struct embed_text *text, size_t max,
			    uint32_t *ret_second)
{
	const struct embed *embed = job->embed;
	const struct embed_text query = { (const uint8_t *)embed->query, embed->query_len };
	const size_t begin = job->tokens.count;
	_cleanup_free_ uint32_t *tail_ids = NULL;
	struct tok_ids tail = { 0 };
	unsigned int flags = 0;
	int r = 0;

	if (query.data && tok_has_pair_words(job->model->tokenizer))
		return embed_read_pair(job, text, job->event.flags & LLM_SUBMIT_SPECIAL ?
				       TOK_SPECIAL : 0, max);
	if (!(job->event.flags & LLM_SUBMIT_NO_BOS)) {
		flags |= TOK_BOS;
		r = embed_tail(job, &tail);
		tail_ids = tail.ids;
	}
	if (job->event.flags & LLM_SUBMIT_SPECIAL)
		flags |= TOK_SPECIAL;
	if (!r && query.data) {
		r = tok_encode(job->model->tokenizer, embed->query, embed->query_len, flags,
			       begin + max, &job->tokens);
		if (!r && tok_pair_apart(job->model->tokenizer))
			r = embed_add_ids(&job->tokens, tail.ids, tail.count);
		if (!r && job->tokens.count - begin > max)
			r = -E2BIG;
		*ret_second = (uint32_t)job->tokens.count;
		max -= job->tokens.count - begin;
		flags &= ~TOK_BOS;
	}
	return r < 0 ? r : embed_encode(job, text, flags, &tail, max);
}

static int embed_failed(const struct job *job, uint32_t max, int r, struct error *error)
{
	const uint32_t index = job->embed->next.index;

	switch (r) {
	case -E2BIG:
		return error_set(error, r,
				 "text %u has more than %u tokens%s, model '%s' takes no more", index,
				 max, job->embed->query ? " with its query" : "", job->model->name);
	case -EILSEQ:
		return error_set(error, r, "text %u is not valid UTF-8", index);
	case -EINVAL:
		return error_set(error, r, "text %u is no array of tokens of model '%s'", index,
				 job->model->name);
	default:
		return error_set(error, r, "text %u: %s", index, strerror(-r));
	}
}

int embed_read_text(struct job *job, uint32_t max, struct engine_text *ret, bool *ret_cut,
		    struct error *error)
{
	static const uint32_t nothing[256];
	const uint32_t type = job->event.payload_type, page = MAX(job->model->info.page_tokens, 1U);
	struct embed *embed = job->embed;
	struct embed_text text;
	uint32_t second = 0;
	size_t begin, gap;
	int r = embed_next(embed, type, &embed->next.at, &text);

	if (r < 0)
		return embed_failed(job, max, -EINVAL, error);
	for (gap = -job->tokens.count % page; gap && !r; gap -= MIN(gap, ARRAY_SIZE(nothing)))
		r = embed_add_ids(&job->tokens, nothing, MIN(gap, ARRAY_SIZE(nothing)));
	begin = job->tokens.count;
	if (!r)
		r = type == LLM_PAYLOAD_TOKENS || type == LLM_PAYLOAD_BATCH_TOKENS ?
			embed_read_ids(job, &text, max) :
			embed_read_words(job, &text, max, &second);
	if (r < 0)
		return embed_failed(job, max, r, error);
	if (job->tokens.count == begin)
		return error_set(error, -EINVAL,
				 "text %u is empty, and model '%s' has no token to begin with",
				 embed->next.index, job->model->name);
	*ret = (struct engine_text){
		.begin = (uint32_t)begin,
		.second = second ?: (uint32_t)job->tokens.count,
		.end = (uint32_t)job->tokens.count,
	};
	*ret_cut = r > 0;
	embed->next.index++;
	return 0;
}
