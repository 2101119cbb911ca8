/* SPDX-License-Identifier: MIT */
/*
 * Vectors of texts. They come one by one, in the order of the texts; a server that sends another
 * one, one too many, or vectors of several sizes breaks the protocol.
 */
#include <errno.h>
#include <string.h>

#include "opts.h"
#include "request.h"
#include "texts.h"

/**
 * struct vectors - what a struct llmos_embeddings is the first member of
 * @all: what the caller sees; its count grows as they come
 * @wanted: texts that were asked about
 */
struct vectors {
	struct llmos_embeddings all;
	size_t wanted;
};

void llmos_embeddings_free(struct llmos_embeddings *embeddings)
{
	if (!embeddings)
		return;
	free(embeddings->values);
	free(embeddings);
}

static void vectors_free(struct vectors **vectors)
{
	if (*vectors)
		llmos_embeddings_free(&(*vectors)->all);
}

/* the first one says how long all of them are */
static int vectors_begin(struct vectors *vectors, uint32_t dims)
{
	vectors->all.values = reallocarray(NULL, vectors->wanted, dims * sizeof(float));
	vectors->all.dims = dims;
	return vectors->all.values ? 0 : -ENOMEM;
}

static int vectors_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
			size_t len)
{
	struct vectors *vectors = request->sink_data;
	struct llm_embedding head;
	int r = 0;

	if (type != LLM_RECORD_EMBEDDING)
		return 0;
	if (len < sizeof(head))
		return -EPROTO;
	memcpy(&head, body, sizeof(head));
	if (!head.dims || head.dims > (len - sizeof(head)) / sizeof(float) ||
	    len - sizeof(head) != head.dims * sizeof(float) ||
	    head.index != vectors->all.count || vectors->all.count >= vectors->wanted ||
	    (vectors->all.dims && head.dims != vectors->all.dims))
		return -EPROTO;
	if (!vectors->all.dims)
		r = vectors_begin(vectors, head.dims);
	if (r < 0)
		return r;
	memcpy(vectors->all.values + vectors->all.count++ * head.dims, body + sizeof(head),
	       head.dims * sizeof(float));
	vectors->all.tokens += head.tokens;
	vectors->all.truncated += head.flags & LLM_EMBEDDING_TRUNCATED ? 1 : 0;
	return 0;
}

static void add_option(struct llmos_spec *spec, unsigned int type, const uint32_t *number)
{
	spec->options[spec->option_count++] = (struct llmos_option){
		.type = type,
		.data = number,
		.len = number ? sizeof(*number) : 0,
	};
}

/* what @opts asks for, beside what the model was made for; it must outlive @spec */
static int spec_options(struct llmos *llmos, struct llmos_spec *spec,
			const struct llmos_embed_opts *opts, const uint32_t *pooling)
{
	static const uint32_t not_normalized;
	int r = llmos_opts_class(llmos, opts->sched_class);

	if (r < 0)
		return r;
	if (*pooling > LLM_POOLING_LAST)
		return llmos_fail(llmos, -EINVAL, "pooling '%u'", *pooling);
	if (*pooling)
		add_option(spec, LLM_OPTION_POOLING, pooling);
	if (opts->raw)
		add_option(spec, LLM_OPTION_NORMALIZE, &not_normalized);
	if (opts->dims)
		add_option(spec, LLM_OPTION_DIMS, &opts->dims);
	if (opts->truncate)
		add_option(spec, LLM_OPTION_TRUNCATE, NULL);
	spec->model = opts->model;
	spec->sched_class = opts->sched_class;
	spec->flags = opts->no_wait ? LLM_SUBMIT_EDQUOT : 0;
	return 0;
}

static int embed_run(struct llmos *llmos, struct vectors *vectors, const struct llmos_spec *spec)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r = llmos_request_new(llmos, &request, spec, vectors_sink, vectors);

	if (r >= 0)
		r = llmos_request_run(request);
	if (r < 0)
		return r;
	if (vectors->all.count != vectors->wanted)
		return llmos_fail(llmos, -EPROTO, "'%zu' vectors of '%zu' texts",
				  vectors->all.count, vectors->wanted);
	return 0;
}

int llmos_embed(struct llmos *llmos, struct llmos_embeddings **ret, const char *const *texts,
		const size_t *lens, size_t count, const struct llmos_embed_opts *caller)
{
	_cleanup_(vectors_free) struct vectors *vectors = NULL;
	_cleanup_free_ uint8_t *payload = NULL;
	struct llmos_spec spec = {
		.op = LLM_OP_EMBED,
		.payload_type = LLM_PAYLOAD_BATCH,
	};
	struct llmos_embed_opts opts;
	uint32_t pooling;
	int r;

	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	pooling = r < 0 ? 0 : opts.pooling;
	if (r >= 0)
		r = spec_options(llmos, &spec, &opts, &pooling);
	if (r >= 0)
		r = llmos_texts_join(llmos, texts, lens, count, &payload, &spec.payload_len);
	if (r < 0)
		return r;
	vectors = calloc(1, sizeof(*vectors));
	if (!vectors)
		return llmos_fail(llmos, -ENOMEM, "vectors");
	vectors->wanted = count;
	spec.payload = payload;
	r = embed_run(llmos, vectors, &spec);
	if (r < 0)
		return r;
	*ret = &vectors->all;
	vectors = NULL;
	return 0;
}
