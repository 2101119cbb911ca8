/* SPDX-License-Identifier: MIT */
/*
 * A request from SUBMIT to the last byte of its answer. ask.c, tokens.c, models.c and status.c make
 * one, each with a function that takes the records of the answer.
 */
#ifndef LLMOS_REQUEST_H
#define LLMOS_REQUEST_H

#include "internal.h"
#include "records.h"
#include "text.h"

#define LLMOS_OPTIONS_MAX	8

/** struct llmos_option - an option: enum llm_option_type, and data (len) */
struct llmos_option {
	unsigned int type;
	const void *data;
	size_t len;
};

/**
 * struct llmos_spec - what to submit; the pointers are copied from
 * @op: enum llm_op
 * @payload_type: enum llm_payload
 * @flags: LLM_SUBMIT_*; RECORDS is added
 * @max_tokens: 0: no limit
 * @payload: bytes of @payload_len
 * @options: in front of it (option_count)
 * @stop: stop strings, NULL-terminated array, or NULL
 * @sampling: all zero is greedy
 * @model: NULL or empty: the default
 * @sched_class: enum llm_class
 * @buffer: has the payload, at @payload_offset; 0: it is at @payload
 * @session: that it is a turn of, or asks about; NULL: none
 * @answer_buffer: for what the server may write at @answer_offset, @answer_len bytes; 0: nothing
 */
struct llmos_spec {
	unsigned int op;
	unsigned int payload_type;
	unsigned int flags;
	uint32_t max_tokens;
	const void *payload;
	size_t payload_len;
	struct llmos_option options[LLMOS_OPTIONS_MAX];
	size_t option_count;
	const char *const *stop;
	struct llm_sampling sampling;
	const char *model;
	unsigned int sched_class;
	uint64_t buffer;
	uint64_t payload_offset;
	const struct llmos_session *session;
	uint64_t answer_buffer;
	uint64_t answer_offset;
	uint64_t answer_len;
};

/** struct llmos_adapter_data - an option's data; lives as long as its spec */
struct llmos_adapter_data {
	struct llm_adapter head;
	char name[LLM_MODEL_NAME_MAX];
};

/**
 * llmos_spec_adapters() - add an option for each adapter
 * @data: (LLM_ADAPTERS_MAX) room for what the options point at
 *
 * Return: 0; -EINVAL too many, no name, or a scale out of range.
 */
int llmos_spec_adapters(struct llmos *llmos, struct llmos_spec *spec,
			const struct llmos_adapter *adapters, size_t count,
			struct llmos_adapter_data *data);

/* Take a record. Return: 0; -errno the answer is no good */
typedef int (*llmos_sink_fn)(struct llmos_request *request, unsigned int type,
			     const uint8_t *body, size_t len);

/**
 * struct llmos_request - a request
 * @link: in its connection's requests
 * @llmos: its connection
 * @submit: its SUBMIT, until that is done
 * @read: its READ, used again for each
 * @in_flight: the one of them that is on its way, or NULL
 * @id: the broker's number, 0 before it is known
 * @sink: takes the records
 * @sink_data: for @sink
 * @records: reader of the answer
 * @error: the server's line about a failure
 * @status: 0 or -errno, once it is done
 * @usage: as the last READ said
 * @finish: as the last READ said
 * @answer_bytes: of the answer buffer, as the last READ said
 * @done: it has ended for the caller
 * @in_session: it names a session
 * @forgotten: the broker knows it no more
 * @cancel_wanted: cancel as soon as @id is known
 * @muted: a callback wants no more: the rest of the answer is dropped
 * @free_wanted: freed inside one of its callbacks
 * @busy: its callbacks may be running
 * @unbounded: keep the whole answer; else at most REQUEST_KEEP_MAX is kept unread
 * @keep: the answer is kept in @text
 * @text: kept and not yet taken by the caller
 * @held: the beginning of a character whose end has not come
 * @opts: callbacks of a generation
 */
struct llmos_request {
	struct llmos_list link;
	struct llmos *llmos;
	struct llmos_command *submit;
	struct llmos_command *read;
	struct llmos_command *in_flight;
	uint64_t id;
	llmos_sink_fn sink;
	void *sink_data;
	struct llmos_records records;
	char *error;
	int status;
	struct llmos_usage usage;
	enum llmos_finish finish;
	uint64_t answer_bytes;
	bool done;
	bool in_session;
	bool forgotten;
	bool cancel_wanted;
	bool muted;
	bool free_wanted;
	bool busy;
	bool unbounded;
	bool keep;
	struct llmos_text text;
	struct llmos_text held;
	struct llmos_generate_opts opts;
};

int llmos_request_new(struct llmos *llmos, struct llmos_request **ret,
		      const struct llmos_spec *spec, llmos_sink_fn sink, void *sink_data);
int llmos_request_start(struct llmos_request *request);
/* start and wait; the status */
int llmos_request_run(struct llmos_request *request);
/* a sink that hands text and tokens to the callbacks, and keeps the text if asked to */
int llmos_request_stream(struct llmos_request *request, unsigned int type,
			 const uint8_t *body, size_t len);
/* a sink that keeps the text of an answer and passes over everything else */
int llmos_request_keep_text(struct llmos_request *request, unsigned int type,
			    const uint8_t *body, size_t len);

#endif /* LLMOS_REQUEST_H */
