/* SPDX-License-Identifier: MIT */
/*
 * Makes a model of a file: hyperparameters, then all tensors. A tensor that nobody asked for is an
 * error too: it would mean that the model computes something we do not.
 */
#include "model/model.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/bind.h"

#define LAYER_TENSORS_MIN	6	/* of a layer whose matrices are fused */

void model_free(struct model *model)
{
	if (!model)
		return;
	for (uint32_t i = 0; model->layers && i < model->hparams.layers; i++)
		free(model->layers[i].experts);
	model_copies_free(model);
	free(model->layers);
	free(model);
}

static int bind_layers(struct binder *b)
{
	const uint32_t layers = b->model->hparams.layers;
	int r = 0;

	/* before memory is taken for as many layers as the file claims to have */
	if (layers > gguf_tensor_count(b->gguf) / LAYER_TENSORS_MIN)
		return error_set(b->error, -EBADMSG,
				 "model: %u layers need more than the %zu tensors there are", layers,
				 gguf_tensor_count(b->gguf));
	b->model->layers = calloc(layers, sizeof(*b->model->layers));
	if (!b->model->layers)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < layers && r >= 0; i++)
		r = bind_layer(b, i);
	return r;
}

/* bind_embedding() - which also tells the size of the vocabulary */
static int bind_embedding(struct binder *b)
{
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, "token_embd.weight");
	struct model_hparams *p = &b->model->hparams;
	uint32_t vocab_key;

	if (!t)
		return bind_missing(b, "token_embd.weight");
	if (!t->dims[1] || t->dims[1] > MODEL_VOCAB_MAX)
		return error_set(b->error, -EBADMSG,
				 "model: 'token_embd.weight' has %" PRIu64 " tokens", t->dims[1]);
	p->vocab = (uint32_t)t->dims[1];
	if (gguf_get_arch_u32(b->gguf, "vocab_size", &vocab_key) >= 0 && vocab_key != p->vocab)
		return error_set(b->error, -EBADMSG,
				 "model: 'vocab_size' is %u, but 'token_embd.weight' has %u tokens",
				 vocab_key, p->vocab);
	return bind_matrix(b, "token_embd.weight", p->vocab, p->width, &b->model->embedding);
}

/* bind_positions() - of learned positions, as many as the context at least */
static int bind_positions(struct binder *b)
{
	static const char name[] = "position_embd.weight";
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	const struct model_hparams *p = &b->model->hparams;

	if (!p->has_positions)
		return 0;
	if (!t)
		return bind_missing(b, name);
	if (t->dims[1] < p->context || t->dims[1] > MODEL_CONTEXT_MAX)
		return error_set(b->error, -EBADMSG,
				 "model: '%s' has %" PRIu64 " positions for a context of %u", name,
				 t->dims[1], p->context);
	return bind_matrix(b, name, (uint32_t)t->dims[1], p->width, &b->model->positions);
}

/* bind_types() - of tokens, and the norm behind the embedding */
static int bind_types(struct binder *b)
{
	static const char name[] = "token_types.weight";
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	struct model *m = b->model;
	int r = 0;

	if (!m->hparams.has_sum_norms && !m->hparams.has_embedding_norm)
		return 0;
	if (t && (!t->dims[1] || t->dims[1] > MODEL_TOKEN_TYPES_MAX))
		return error_set(b->error, -EBADMSG, "model: '%s' has %" PRIu64 " types", name,
				 t->dims[1]);
	if (t)
		r = bind_matrix(b, name, (uint32_t)t->dims[1], m->hparams.width, &m->types);
	return r < 0 ? r : bind_norm(b, "token_embd_norm", &m->embedding_norm);
}

/* is_contrast() - a decoder that ranks by how it would answer: by these two words */
static bool is_contrast(const struct binder *b, const struct model_head *head)
{
	const struct model_hparams *p = &b->model->hparams;

	return p->is_ranker && !p->is_encoder && head->labels.w.rows == 2 &&
	       gguf_string_is(model_label(b->gguf, 0), "yes") &&
	       gguf_string_is(model_label(b->gguf, 1), "no");
}

/* read_head_keys() - what the labels mean */
static int read_head_keys(const struct binder *b, struct model_head *head)
{
	const struct {
		const char *key;
		bool *ret;
	} keys[] = {
		{ "llmos.classifier.several", &head->is_several },
		{ "llmos.classifier.score_logit", &head->is_score_logit },
	};

	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		int r = gguf_get_bool(b->gguf, keys[i].key, keys[i].ret);

		if (r < 0 && r != -ENOENT)
			return error_set(b->error, -EBADMSG, "model: key '%s' is no boolean",
					 keys[i].key);
	}
	return 0;
}

/* bind_head() - which labels a pooled vector, where there is one */
static int bind_head(struct binder *b)
{
	static const char name[] = "cls.output.weight";
	const struct gguf_tensor *t = gguf_tensor_find(b->gguf, name);
	const uint32_t width = b->model->hparams.width;
	struct model_head *head = &b->model->head;
	int r = 0;

	if (gguf_tensor_find(b->gguf, "cls.weight")) {
		r = bind_matrix(b, "cls.weight", width, width, &head->dense);
		if (r >= 0)
			r = bind_vector(b, "cls.bias", width, true, &head->dense.bias);
	}
	if (r >= 0 && gguf_tensor_find(b->gguf, "cls.norm.weight"))
		r = bind_norm(b, "cls.norm", &head->norm);
	if (r < 0 || !t)
		return r;
	if (!t->dims[1] || t->dims[1] > MODEL_LABELS_MAX)
		return error_set(b->error, -EBADMSG, "model: '%s' has %" PRIu64 " labels", name,
				 t->dims[1]);
	r = read_head_keys(b, head);
	if (r < 0)
		return r;
	r = bind_matrix(b, name, (uint32_t)t->dims[1], width, &head->labels);
	head->is_contrast = r >= 0 && is_contrast(b, head);
	return r < 0 ? r : bind_vector(b, "cls.output.bias", head->labels.w.rows, true,
				       &head->labels.bias);
}

struct gguf_string model_label(const struct gguf *gguf, uint32_t index)
{
	struct gguf_string none = { .data = "" }, arch;
	struct gguf_array names;
	char key[128];

	if (gguf_get_string(gguf, "general.architecture", &arch) < 0)
		return none;
	snprintf(key, sizeof(key), "%s.classifier.output_labels", gguf_show(arch).text);
	if (gguf_get_array(gguf, key, &names) < 0 || names.type != GGUF_STRING ||
	    index >= names.count)
		return none;
	return names.strings[index];
}

#define BIAS_BUCKETS	32U
#define BIAS_EXACT	8U		/* on each side, distances that have a bucket of their own */

/*
 * bias_bucket() - which one a distance is in, as T5 has it: half of them are for keys behind the
 * query, and those further than BIAS_EXACT are evenly spread over the logarithms up to 128
 */
static uint32_t bias_bucket(uint32_t place)
{
	const bool is_behind = place > KERN_ATTN_NEAR;
	const uint32_t far = is_behind ? place - KERN_ATTN_NEAR : KERN_ATTN_NEAR - place;
	uint32_t bucket = far < BIAS_EXACT ? far : BIAS_EXACT;

	/* 8 + floor(8 log(far / 8) / log(128 / 8)), which has whole numbers at powers of sqrt(2) */
	while (far >= BIAS_EXACT && bucket < BIAS_BUCKETS / 2 - 1 &&
	       far * far >= BIAS_EXACT * BIAS_EXACT << (bucket + 1 - BIAS_EXACT))
		bucket++;
	return bucket + (is_behind ? BIAS_BUCKETS / 2 : 0);
}

/* bind_bias() - of scores: of a bucket for each head, here of a distance */
static int bind_bias(struct binder *b)
{
	const uint32_t heads = b->model->hparams.heads;
	struct model_matrix buckets;
	float *rows, *bias;
	int r;

	if (!b->model->hparams.has_attn_bias)
		return 0;
	r = bind_matrix(b, "attn_rel_b.weight", BIAS_BUCKETS, heads, &buckets);
	if (r < 0)
		return r;
	rows = model_copy_new(b->model, (size_t)BIAS_BUCKETS * heads);
	bias = model_copy_new(b->model, (size_t)KERN_ATTN_BIAS * heads);
	if (!rows || !bias)
		return error_set(b->error, -ENOMEM, "model: %s", strerror(ENOMEM));
	for (uint32_t i = 0; i < BIAS_BUCKETS; i++)
		b->ref->dequant_row[buckets.type](rows + (size_t)i * heads,
						  (const char *)buckets.w.data +
						  i * buckets.w.row_bytes, heads);
	for (uint32_t head = 0; head < heads; head++)
		for (uint32_t i = 0; i < KERN_ATTN_BIAS; i++)
			bias[(size_t)head * KERN_ATTN_BIAS + i] =
				rows[(size_t)bias_bucket(i) * heads + head];
	b->model->attn_bias = bias;
	return 0;
}

static int bind_output(struct binder *b)
{
	struct model *m = b->model;
	int r;

	if (m->hparams.has_sum_norms)
		return 0;
	r = bind_norm(b, "output_norm", &m->output_norm);
	if (r < 0 || m->hparams.is_encoder)
		return r;
	if (!gguf_tensor_find(b->gguf, "output.weight")) {
		m->output = m->embedding;
		return 0;
	}
	return bind_matrix(b, "output.weight", m->hparams.vocab, m->hparams.width, &m->output);
}

/* bind_divisors() - of the frequencies of a rope; *ret stays NULL where there are none */
static int bind_divisors(struct binder *b, const char *name, const float **ret)
{
	const uint32_t pairs = b->model->hparams.rope.dim / 2;
	int r;

	r = bind_vector(b, name, pairs, true, ret);
	if (r < 0 || !*ret)
		return r;
	for (uint32_t i = 0; i < pairs; i++)
		if (!isfinite((*ret)[i]) || (*ret)[i] <= 0)
			return error_set(b->error, -EBADMSG, "model: '%s' holds %g for pair %u",
					 name, (double)(*ret)[i], i);
	return 0;
}

static int bind_rope(struct binder *b)
{
	struct model_rope *rope = &b->model->hparams.rope;
	int r;

	if (!rope->dim)
		return 0;
	r = bind_divisors(b, "rope_freqs.weight", &rope->divisors);
	if (r < 0 || rope->divisors)
		return r;
	r = bind_divisors(b, "rope_factors_short.weight", &rope->divisors);
	if (r >= 0)
		r = bind_divisors(b, "rope_factors_long.weight", &rope->divisors_long);
	return r;
}

/* check_unbound() - names the first tensor that nobody asked for */
static int check_unbound(struct binder *b)
{
	for (size_t i = 0; i < gguf_tensor_count(b->gguf); i++)
		if (!b->is_bound[i])
			return error_set(b->error, -EOPNOTSUPP,
					 "model: tensor '%s' is of a variant that is not supported",
					 gguf_show(gguf_tensor_at(b->gguf, i)->name).text);
	return 0;
}

static void summarize_types(struct binder *b)
{
	uint32_t most = 0;

	b->model->is_f32 = true;
	for (uint32_t type = 0; type < KERN_TYPE_COUNT; type++) {
		b->model->parameters += b->type_elems[type];
		if (b->type_elems[type] > b->type_elems[most])
			most = type;
		if (b->type_elems[type] && type != KERN_F32)
			b->model->is_f32 = false;
	}
	b->model->weights = kern_type_info(most)->name;
}

int model_new(struct model **ret, const struct gguf *gguf, struct error *error)
{
	_cleanup_(model_freep) struct model *m = calloc(1, sizeof(*m));
	_cleanup_free_ bool *is_bound = calloc(gguf_tensor_count(gguf) + 1, sizeof(*is_bound));
	struct binder b = {
		.model = m, .gguf = gguf, .ref = kern_ops_get("ref"), .error = error,
		.is_bound = is_bound,
	};
	int r;

	if (m)
		list_init(&m->copies);
	if (!m || !is_bound)
		return error_set(error, -ENOMEM, "model: %s", strerror(ENOMEM));
	r = model_read_hparams(&m->hparams, gguf, error);
	if (r >= 0)
		r = bind_embedding(&b);
	if (r >= 0)
		r = bind_positions(&b);
	if (r >= 0)
		r = bind_types(&b);
	if (r >= 0)
		r = bind_bias(&b);
	if (r >= 0)
		r = bind_layers(&b);
	if (r >= 0)
		r = bind_output(&b);
	if (r >= 0)
		r = bind_head(&b);
	if (r >= 0)
		r = bind_rope(&b);
	if (r >= 0)
		r = check_unbound(&b);
	if (r < 0)
		return r;
	summarize_types(&b);
	*ret = steal_ptr(m);
	return 0;
}
