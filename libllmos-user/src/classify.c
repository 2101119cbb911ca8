/* SPDX-License-Identifier: MIT */
/*
 * Labels of texts. They come text by text, of each in the model's order; a server that sends
 * another one, or not the same number for each text, breaks the protocol.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "opts.h"
#include "request.h"
#include "texts.h"

#define MILLION		1e6
#define LABELS_MAX	4096U	/* bounds what a broken server can make us hold */

/**
 * struct label_table - what a struct llmos_labels is the first member of
 * @all: what the caller sees; its count grows as texts come
 * @wanted: texts that were asked about
 * @capacity: labels there is room for
 * @used: labels that are there
 * @names: (name_count) of the labels of the first text, which are those of all
 * @is_ranking: of one label alone: nobody waits for the others of a model that has several
 * @has_several: that has come to light
 */
struct label_table {
	struct llmos_labels all;
	size_t wanted;
	size_t capacity;
	size_t used;
	char **names;
	size_t name_count;
	bool is_ranking;
	bool has_several;
};

void llmos_labels_free(struct llmos_labels *labels)
{
	struct label_table *table;
	size_t i;

	if (!labels)
		return;
	table = llmos_container(labels, struct label_table, all);
	for (i = 0; i < table->name_count; i++)
		free(table->names[i]);
	free(table->names);
	free(labels->labels);
	free(table);
}

static void table_free(struct label_table **table)
{
	if (*table)
		llmos_labels_free(&(*table)->all);
}

static int table_add_name(struct label_table *table, const char *name, size_t len)
{
	char **names = reallocarray(table->names, table->name_count + 1, sizeof(*names));

	if (!names)
		return -ENOMEM;
	table->names = names;
	names[table->name_count] = strndup(name, len);
	if (!names[table->name_count])
		return -ENOMEM;
	table->name_count++;
	return 0;
}

static int table_make_room(struct label_table *table)
{
	const size_t capacity = table->capacity ? 2 * table->capacity : 16;
	struct llmos_label *labels;

	if (table->used < table->capacity)
		return 0;
	labels = reallocarray(table->all.labels, capacity, sizeof(*labels));
	if (!labels)
		return -ENOMEM;
	table->all.labels = labels;
	table->capacity = capacity;
	return 0;
}

/* the first label of a text ends the one before, and the second text says how many all have */
static int table_begin_text(struct label_table *table, const struct llm_label *label)
{
	struct llmos_labels *all = &table->all;

	if (label->index != all->count || all->count >= table->wanted)
		return -EPROTO;
	if (all->count == 1)
		all->label_count = table->used;
	if (table->used != all->count * all->label_count)
		return -EPROTO;
	all->count++;
	all->truncated += label->flags & LLM_EMBEDDING_TRUNCATED ? 1 : 0;
	all->ranks_by_logit = label->flags & LLM_LABEL_LOGIT;
	return 0;
}

static int labels_sink(struct llmos_request *request, unsigned int type, const uint8_t *body,
		       size_t len)
{
	struct label_table *table = request->sink_data;
	struct llm_label label;
	int r = 0;

	if (type != LLM_RECORD_LABEL)
		return 0;
	if (len < sizeof(label))
		return -EPROTO;
	memcpy(&label, body, sizeof(label));
	if (label.name_len != len - sizeof(label) || label.name_len > LLM_LABEL_NAME_MAX ||
	    label.label >= LABELS_MAX)
		return -EPROTO;
	if (!label.label)
		r = table_begin_text(table, &label);
	else if (label.index + 1ULL != table->all.count)
		r = -EPROTO;
	if (r < 0)
		return r;
	if (label.label != table->used - (table->all.count - 1) * table->all.label_count)
		return -EPROTO;
	if (!label.index)
		r = table_add_name(table, (const char *)body + sizeof(label), label.name_len);
	else if (label.label >= table->all.label_count)
		return -EPROTO;
	if (r >= 0)
		r = table_make_room(table);
	if (r < 0)
		return r;
	table->all.labels[table->used++] = (struct llmos_label){
		.name = table->names[label.label],
		.logit = label.logit / MILLION,
		.probability = label.probability / MILLION,
	};
	if (table->is_ranking && label.label) {
		table->has_several = true;
		request->muted = true;
	}
	return 0;
}

static int table_finish(struct llmos *llmos, struct label_table *table)
{
	struct llmos_labels *all = &table->all;

	if (all->count == 1)
		all->label_count = table->used;
	if (all->count != table->wanted || table->used != all->count * all->label_count)
		return llmos_fail(llmos, -EPROTO, "'%zu' labels of '%zu' texts, '%zu' are there",
				  table->used, table->wanted, all->count);
	return 0;
}

static int spec_options(struct llmos *llmos, struct llmos_spec *spec,
			const struct llmos_classify_opts *opts)
{
	int r = llmos_opts_class(llmos, opts->sched_class);

	if (r < 0)
		return r;
	if (opts->query && opts->query_len > llmos->features.max_payload_bytes)
		return llmos_fail(llmos, -E2BIG, "a query of '%zu' bytes, more than '%u'",
				  opts->query_len, llmos->features.max_payload_bytes);
	if (opts->query)
		spec->options[spec->option_count++] = (struct llmos_option){
			.type = LLM_OPTION_QUERY, .data = opts->query, .len = opts->query_len,
		};
	if (opts->truncate)
		spec->options[spec->option_count++] = (struct llmos_option){
			.type = LLM_OPTION_TRUNCATE,
		};
	spec->model = opts->model;
	spec->sched_class = opts->sched_class;
	spec->flags = opts->no_wait ? LLM_SUBMIT_EDQUOT : 0;
	return 0;
}

static int classify_run(struct llmos *llmos, struct label_table *table,
			const struct llmos_spec *spec)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r = llmos_request_new(llmos, &request, spec, labels_sink, table);

	if (r >= 0)
		r = llmos_request_run(request);
	if (table->has_several)
		return llmos_fail(llmos, -EOPNOTSUPP, "a model of several labels ranks nothing");
	return r < 0 ? r : table_finish(llmos, table);
}

static int classify(struct llmos *llmos, struct llmos_labels **ret, const char *const *texts,
		    const size_t *lens, size_t count, const struct llmos_classify_opts *caller,
		    bool is_ranking)
{
	_cleanup_(table_free) struct label_table *table = NULL;
	_cleanup_free_ uint8_t *payload = NULL;
	struct llmos_spec spec = {
		.op = LLM_OP_CLASSIFY,
		.payload_type = LLM_PAYLOAD_BATCH,
	};
	struct llmos_classify_opts opts;
	int r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);

	if (r >= 0)
		r = spec_options(llmos, &spec, &opts);
	if (r >= 0)
		r = llmos_texts_join(llmos, texts, lens, count, &payload, &spec.payload_len);
	if (r < 0)
		return r;
	table = calloc(1, sizeof(*table));
	if (!table)
		return llmos_fail(llmos, -ENOMEM, "labels");
	table->wanted = count;
	table->is_ranking = is_ranking;
	spec.payload = payload;
	r = classify_run(llmos, table, &spec);
	if (r < 0)
		return r;
	*ret = &table->all;
	table = NULL;
	return 0;
}

int llmos_classify(struct llmos *llmos, struct llmos_labels **ret, const char *const *texts,
		   const size_t *lens, size_t count, const struct llmos_classify_opts *opts)
{
	return classify(llmos, ret, texts, lens, count, opts, false);
}

/* ---- ranking ---- */

void llmos_ranking_free(struct llmos_ranking *ranking)
{
	if (!ranking)
		return;
	free(ranking->ranks);
	free(ranking);
}

static int compare_ranks(const void *a, const void *b)
{
	const struct llmos_rank *x = a, *y = b;

	if (x->logit != y->logit)
		return x->logit < y->logit ? 1 : -1;
	return x->index < y->index ? -1 : x->index > y->index;
}

static struct llmos_ranking *ranking_of(const struct llmos_labels *labels)
{
	struct llmos_ranking *ranking = calloc(1, sizeof(*ranking));
	size_t i;

	if (ranking)
		ranking->ranks = calloc(labels->count, sizeof(*ranking->ranks));
	if (!ranking || !ranking->ranks) {
		llmos_ranking_free(ranking);
		return NULL;
	}
	for (i = 0; i < labels->count; i++) {
		const double logit = labels->labels[i].logit;

		/* of what is far below zero, millionths would leave nothing */
		ranking->ranks[i] = (struct llmos_rank){
			i, logit, labels->labels[i].probability,
			labels->ranks_by_logit ? logit : 1 / (1 + exp(-logit)),
		};
	}
	ranking->count = labels->count;
	ranking->truncated = labels->truncated;
	qsort(ranking->ranks, ranking->count, sizeof(*ranking->ranks), compare_ranks);
	return ranking;
}

int llmos_rerank(struct llmos *llmos, struct llmos_ranking **ret, const char *const *texts,
		 const size_t *lens, size_t count, const struct llmos_classify_opts *caller)
{
	struct llmos_ranking *ranking;
	struct llmos_labels *labels = NULL;
	struct llmos_classify_opts opts;
	int r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);

	if (r < 0)
		return r;
	if (!opts.query)
		return llmos_fail(llmos, -EINVAL, "no query");
	r = classify(llmos, &labels, texts, lens, count, caller, true);
	if (r < 0)
		return r;
	ranking = ranking_of(labels);
	llmos_labels_free(labels);
	if (!ranking)
		return llmos_fail(llmos, -ENOMEM, "ranks");
	*ret = ranking;
	return 0;
}
