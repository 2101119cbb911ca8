/* SPDX-License-Identifier: MIT */
/*
 * llmctl embed, rank and classify: vectors, order and labels of texts. Many texts become several
 * requests, one after the other, each as large as one may be.
 */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "term.h"
#include "texts.h"

/* bytes of a request that options may need beside the texts */
#define OPTIONS_BYTES	256

static size_t texts_room(const struct llmos *llmos, size_t query_len)
{
	const size_t max = llmos_payload_max(llmos), taken = OPTIONS_BYTES + query_len;

	return max > taken ? max - taken : 0;
}

/* the server counts texts within a request */
static int fail_texts(const struct llmos *llmos, int error, size_t first)
{
	if (!first)
		return fail_llmos(llmos, error);
	return fail(exit_code(error), "of the texts from number %zu on: %s", first,
		    llmos_error(llmos));
}

static int finish_output(int r)
{
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

/* ---- embed ---- */

/** struct embed_sum - of all requests */
struct embed_sum {
	uint32_t dims;
	uint64_t tokens;
	uint64_t truncated;
};

static void vector_print(const float *values, uint32_t dims)
{
	uint32_t i;

	for (i = 0; i < dims; i++)
		printf("%s%.9g", i ? " " : "", (double)values[i]);
	putchar('\n');
}

static void vector_print_json(struct json *json, const float *values, uint32_t dims)
{
	uint32_t i;

	json_array(json, NULL);
	for (i = 0; i < dims; i++)
		json_real(json, NULL, (double)values[i]);
	json_end_array(json);
}

static int vectors_print(const struct options *options, struct json *json,
			 const struct llmos_embeddings *vectors)
{
	size_t i;

	if (options->raw)
		return term_write(vectors->values,
				  vectors->count * vectors->dims * sizeof(*vectors->values));
	for (i = 0; i < vectors->count; i++) {
		const float *values = vectors->values + i * vectors->dims;

		if (options->json)
			vector_print_json(json, values, vectors->dims);
		else
			vector_print(values, vectors->dims);
	}
	return options->json ? 0 : term_flush();
}

static struct llmos_embed_opts embed_opts(const struct options *options)
{
	return (struct llmos_embed_opts){
		.size = sizeof(struct llmos_embed_opts),
		.model = options->model,
		.pooling = options->pooling,
		.dims = options->dims,
		.raw = options->not_normal,
		.truncate = options->truncate,
		.sched_class = options->sched_class,
		.no_wait = options->no_wait,
	};
}

static int embed_all(struct llmos *llmos, const struct options *options, const struct texts *texts,
		     struct json *json, struct embed_sum *sum)
{
	const struct llmos_embed_opts opts = embed_opts(options);
	const size_t room = texts_room(llmos, 0);
	size_t first, count;
	int r;

	for (first = 0; first < texts->count; first += count) {
		_cleanup_(embeddings_freep) struct llmos_embeddings *vectors = NULL;

		count = texts_fit(texts, first, room);
		r = llmos_embed(llmos, &vectors, texts->items + first, texts->lens + first, count,
				&opts);
		if (r < 0)
			return fail_texts(llmos, r, first);
		if (!first && options->json) {
			json_object(json, NULL);
			json_array(json, "embeddings");
		}
		sum->dims = vectors->dims;
		sum->tokens += vectors->tokens;
		sum->truncated += vectors->truncated;
		r = vectors_print(options, json, vectors);
		if (r < 0)
			return finish_output(r);
	}
	return EX_OK;
}

int cmd_embed(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(texts_free) struct texts texts = { 0 };
	struct embed_sum sum = { 0 };
	struct json json = { 0 };
	int code;

	if (options->raw && options->json)
		return fail(EX_USAGE, "option '--raw' and '--json' exclude each other");
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = texts_read(&texts, options->nul, argc, argv);
	if (!code)
		code = embed_all(llmos, options, &texts, &json, &sum);
	if (code || !options->json)
		return code;
	json_end_array(&json);
	json_number(&json, "dims", sum.dims);
	json_number(&json, "tokens", sum.tokens);
	json_number(&json, "truncated", sum.truncated);
	json_end_object(&json);
	return finish_output(json_done(&json));
}

/* ---- rank ---- */

/** struct rank - a text's place, which goes by @order; @probability is NAN where there is none */
struct rank {
	size_t index;
	double order;
	double score;
	double probability;
};

static int compare_ranks(const void *a, const void *b)
{
	const struct rank *x = a, *y = b;

	if (x->order != y->order)
		return x->order < y->order ? 1 : -1;
	return x->index < y->index ? -1 : x->index > y->index;
}

/* what orders texts with that model: its label, or vectors; of several labels none does */
static int check_labels(const struct llmos_model *model, bool *ret)
{
	if (model->labels > 1)
		return fail(EX_UNAVAILABLE,
			    "model '%s' has '%u' labels, none of which puts texts in order; see 'llmctl classify'",
			    model->name, model->labels);
	*ret = model->has_labels;
	return EX_OK;
}

/* whether a model can label texts; one that nobody knows is refused when it is asked */
static int find_labels(struct llmos *llmos, const char *model, bool *ret)
{
	_cleanup_(models_freep) struct llmos_models *models = NULL;
	int r = llmos_models(llmos, &models);
	size_t i;

	if (r < 0)
		return fail_llmos(llmos, r);
	for (i = 0; i < models->count; i++)
		if (model ? !strcmp(models->models[i].name, model) : models->models[i].is_default)
			return check_labels(&models->models[i], ret);
	return EX_OK;
}

/* by a model that was trained for it */
static int rank_by_label(struct llmos *llmos, const struct options *options, const char *query,
			 const struct texts *texts, struct rank *ranks)
{
	const struct llmos_classify_opts opts = {
		.size = sizeof(opts),
		.model = options->model,
		.query = query,
		.query_len = strlen(query),
		.truncate = options->truncate,
		.sched_class = options->sched_class,
		.no_wait = options->no_wait,
	};
	const size_t room = texts_room(llmos, opts.query_len);
	size_t first, count, i;
	int r;

	for (first = 0; first < texts->count; first += count) {
		_cleanup_(ranking_freep) struct llmos_ranking *ranking = NULL;

		count = texts_fit(texts, first, room);
		r = llmos_rerank(llmos, &ranking, texts->items + first, texts->lens + first, count,
				 &opts);
		if (r < 0)
			return fail_texts(llmos, r, first);
		for (i = 0; i < ranking->count; i++)
			/* logits tell apart what is 1 to the last bit as a score */
			ranks[first + i] = (struct rank){
				first + ranking->ranks[i].index, ranking->ranks[i].logit,
				ranking->ranks[i].score, ranking->ranks[i].probability,
			};
	}
	return EX_OK;
}

static double dot(const float *a, const float *b, uint32_t dims)
{
	double sum = 0;
	uint32_t i;

	for (i = 0; i < dims; i++)
		sum += (double)a[i] * (double)b[i];
	return sum;
}

/* by the angle between two vectors, which have length 1 */
static int rank_by_vector(struct llmos *llmos, const struct options *options, const char *query,
			  const struct texts *texts, struct rank *ranks)
{
	_cleanup_(embeddings_freep) struct llmos_embeddings *wanted = NULL;
	const struct llmos_embed_opts opts = embed_opts(options);
	const size_t room = texts_room(llmos, 0);
	size_t first, count, i;
	int r = llmos_embed(llmos, &wanted, &query, NULL, 1, &opts);

	if (r < 0)
		return fail_llmos(llmos, r);
	for (first = 0; first < texts->count; first += count) {
		_cleanup_(embeddings_freep) struct llmos_embeddings *vectors = NULL;

		count = texts_fit(texts, first, room);
		r = llmos_embed(llmos, &vectors, texts->items + first, texts->lens + first, count,
				&opts);
		if (r < 0)
			return fail_texts(llmos, r, first);
		if (vectors->dims != wanted->dims)
			return fail(EX_PROTOCOL, "vectors of %u and %u elements", vectors->dims,
				    wanted->dims);
		for (i = 0; i < count; i++) {
			const double score = dot(wanted->values, vectors->values + i * vectors->dims,
						 vectors->dims);

			if (!isfinite(score))
				return fail(EX_PROTOCOL, "a vector that is none");
			ranks[first + i] = (struct rank){ first + i, score, score, NAN };
		}
	}
	return EX_OK;
}

static int ranks_print_json(const struct texts *texts, const struct rank *ranks, size_t count)
{
	struct json json = { 0 };
	size_t i;

	json_array(&json, NULL);
	for (i = 0; i < count; i++) {
		const size_t index = ranks[i].index;

		json_object(&json, NULL);
		json_number(&json, "index", index);
		json_real(&json, "score", ranks[i].score);
		if (!isnan(ranks[i].probability)) {
			json_real(&json, "logit", ranks[i].order);
			json_real(&json, "probability", ranks[i].probability);
		}
		json_text(&json, "text", texts->items[index], texts->lens[index]);
		json_end_object(&json);
	}
	json_end_array(&json);
	return json_done(&json);
}

/* a text as it came, and what ended it */
static int ranks_print(const struct texts *texts, const struct rank *ranks, size_t count, char end)
{
	size_t i;
	int r = 0;

	for (i = 0; i < count && !r; i++) {
		const size_t index = ranks[i].index;

		printf("%.6f\t", ranks[i].score);
		r = term_flush();
		if (!r)
			r = term_write_text(texts->items[index], texts->lens[index]);
		if (!r)
			r = term_write(&end, 1);
	}
	return r;
}

int cmd_rank(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(texts_free) struct texts texts = { 0 };
	_cleanup_free_ struct rank *ranks = NULL;
	bool has_labels = false;
	size_t count;
	int code;

	if (!argc)
		return fail_operands("no query given");
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = texts_read(&texts, options->nul, argc - 1, argv + 1);
	if (!code)
		code = find_labels(llmos, options->model, &has_labels);
	if (code)
		return code;
	ranks = calloc(texts.count, sizeof(*ranks));
	if (!ranks)
		return fail(EX_OSERR, "%s", strerror(ENOMEM));
	code = has_labels ? rank_by_label(llmos, options, argv[0], &texts, ranks) :
			    rank_by_vector(llmos, options, argv[0], &texts, ranks);
	if (code)
		return code;
	qsort(ranks, texts.count, sizeof(*ranks), compare_ranks);
	count = options->count && options->count < texts.count ? options->count : texts.count;
	return finish_output(options->json ? ranks_print_json(&texts, ranks, count) :
			     ranks_print(&texts, ranks, count, options->nul ? '\0' : '\n'));
}

/* ---- classify ---- */

static void labels_print_json(struct json *json, const struct llmos_label *labels, size_t count)
{
	size_t i;

	json_array(json, NULL);
	for (i = 0; i < count; i++) {
		json_object(json, NULL);
		json_string(json, "label", labels[i].name);
		json_real(json, "probability", labels[i].probability);
		json_real(json, "logit", labels[i].logit);
		json_end_object(json);
	}
	json_end_array(json);
}

/* the likeliest; a model without names has numbers */
static void labels_print(const struct llmos_label *labels, size_t count)
{
	size_t i, best = 0;
	char shown[512];

	for (i = 1; i < count; i++)
		if (labels[i].logit > labels[best].logit)
			best = i;
	term_clean(shown, sizeof(shown), labels[best].name, strlen(labels[best].name));
	if (*shown)
		printf("%s\t%.6f\n", shown, labels[best].probability);
	else
		printf("%zu\t%.6f\n", best, labels[best].probability);
}

static int classify_all(struct llmos *llmos, const struct options *options,
			const struct texts *texts, struct json *json)
{
	const struct llmos_classify_opts opts = {
		.size = sizeof(opts),
		.model = options->model,
		.truncate = options->truncate,
		.sched_class = options->sched_class,
		.no_wait = options->no_wait,
	};
	const size_t room = texts_room(llmos, 0);
	size_t first, count, i;
	int r;

	for (first = 0; first < texts->count; first += count) {
		_cleanup_(labels_freep) struct llmos_labels *labels = NULL;

		count = texts_fit(texts, first, room);
		r = llmos_classify(llmos, &labels, texts->items + first, texts->lens + first, count,
				   &opts);
		if (r < 0)
			return fail_texts(llmos, r, first);
		if (!first && options->json)
			json_array(json, NULL);
		for (i = 0; i < count; i++)
			if (options->json)
				labels_print_json(json, labels->labels + i * labels->label_count,
						  labels->label_count);
			else
				labels_print(labels->labels + i * labels->label_count,
					     labels->label_count);
		if (!options->json && (r = term_flush()) < 0)
			return finish_output(r);
	}
	return EX_OK;
}

int cmd_classify(struct options *options, int argc, char **argv)
{
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_(texts_free) struct texts texts = { 0 };
	struct json json = { 0 };
	int code;

	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = texts_read(&texts, options->nul, argc, argv);
	if (!code)
		code = classify_all(llmos, options, &texts, &json);
	if (code || !options->json)
		return code;
	json_end_array(&json);
	return finish_output(json_done(&json));
}
