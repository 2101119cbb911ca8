/* SPDX-License-Identifier: MIT */
/*
 * Requests for vectors and labels: a payload of one text or many, each of which is answered by
 * itself. Texts are read as they come to be computed: as many as a step takes lie in the sequence,
 * each from the begin of a page on, and are forgotten after it; what is longer than a step lies
 * there alone until all of it was fed. A server that goes on for another one counts by the bytes
 * that were answered which texts it can leave out. Only files of this room use it.
 */
#ifndef LLMOS_SCHED_EMBED_H
#define LLMOS_SCHED_EMBED_H

#include "engine/engine.h"
#include "sched/options.h"

struct job;
struct sched;

/** struct embed_cursor - where a payload is being read */
struct embed_cursor {
	size_t at;			/* bytes */
	uint32_t index;			/* of the next text */
};

/**
 * struct embed - what a job has for this
 * @copy: of a payload in a buffer, or NULL
 * @payload: (payload_len) behind the options, in the event's data or @copy
 * @query: (query_len) goes before each text, NULL: nothing does; lies there too
 * @count: texts of the payload
 * @next: to be read; @first: where the texts in the sequence begin
 * @answered: texts that an earlier server has answered: they are only counted
 * @texts: (text_count) in the sequence
 * @is_cut: (text_count) too long, and not whole
 * @done: of these, those that are answered
 * @tokens: of all texts answered
 * @pooled: place in the sequence up to which hidden states were looked at
 * @sum: (width) of them
 * @hidden: (width) what is made of it
 * @values: (value_count) what is answered for a text: the vector, or logits
 */
struct embed {
	uint8_t *copy;
	const uint8_t *payload;
	size_t payload_len;
	const char *query;
	size_t query_len;
	enum engine_pooling pooling;
	bool is_raw;
	bool truncates;
	uint32_t count;
	struct embed_cursor next, first;
	uint32_t answered;
	struct engine_text *texts;
	bool *is_cut;
	uint32_t text_count, text_capacity;
	uint32_t done;
	uint64_t tokens;
	uint32_t pooled;
	double *sum;
	float *hidden;
	float *values;
	uint32_t value_count;
};

#define EMBED_PAYLOAD_MAX	(16U << 20)	/* bytes of one: it is read as a whole */

/** embed_is() - is a job such a request? */
bool embed_is(const struct job *job);
void embed_free(struct embed *embed);

/**
 * embed_prepare() - read what is asked for; the model is open
 * @options: what stood before the payload
 * @payload: the rest, in the event's data or @copy, which belongs to the job from now on
 */
int embed_prepare(struct job *job, struct options *options, const uint8_t *payload, size_t len,
		  uint8_t **copy, struct error *error);
/**
 * embed_plan() - which tokens of it the next step takes: job->planned, which is places in the
 * sequence
 * @budget: tokens of the step that are left
 * @is_first: nobody else takes part yet: a text that can't be cut may take more than that
 *
 * Return: tokens that will be computed; 0 where the job failed, or takes no part.
 */
size_t embed_plan(struct sched *sched, struct job *job, size_t budget, bool is_first);
/** embed_item() - the planned part of a step; seq, tokens and count are there */
void embed_item(const struct job *job, struct engine_item *item);
/** embed_fed() - tokens of its texts that were computed */
uint64_t embed_fed(const struct job *job);
/** embed_item_tokens() - of an item, those that are computed */
unsigned int embed_item_tokens(const struct engine_item *item);
/** embed_take() - what a step has brought; may finish the job */
void embed_take(struct sched *sched, struct job *job, const struct engine_item *item);

/* embed_text.c: from the payload to the sequence */

/** embed_count_texts() - the frame of a payload is sound; 0 or -EINVAL */
int embed_count_texts(struct embed *embed, uint32_t payload_type, struct error *error);
/**
 * embed_read_text() - lay the next text behind those in job->tokens, where its page begins
 * @max: tokens it may have
 * @ret_cut: it has more, and is cut off
 *
 * Return: 0; -E2BIG, -EINVAL, -EILSEQ, -ENOMEM, which name the text.
 */
int embed_read_text(struct job *job, uint32_t max, struct engine_text *ret, bool *ret_cut,
		    struct error *error);

#endif /* LLMOS_SCHED_EMBED_H */
