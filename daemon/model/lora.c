/* SPDX-License-Identifier: MIT */
/*
 * Binds an adapter to a model. Each tensor is half of a pair, whose name says which matrix it
 * adapts; that gives the shapes, which are checked before anything is copied. A pair of a matrix
 * that the model has in parts (queries, keys and values; gate and up) becomes one pair for each
 * part: they share A, and have their rows of B.
 */
#include "model/lora.h"

#include <ctype.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "model/lora_internal.h"

#define PARTS_MAX	3	/* of a fused matrix */
#define ALIGN		((size_t)KERN_ALIGN)

/** struct site - matrices of the model that one pair adapts: they are the parts of one */
struct site {
	uint32_t index[PARTS_MAX];	/* as lora_site() */
	const struct model_matrix *matrix[PARTS_MAX];
	uint32_t count;
};

/** struct binding - what is known while an adapter is being bound */
struct binding {
	const struct lora_file *file;
	const struct model *model;
	const struct kern_ops *ref;
	struct lora *lora;
	struct error *error;
	float alpha;			/* of the file, 0: the scale is 1 */
	size_t used;			/* of the copy's memory */
	uint64_t elems[KERN_TYPE_COUNT];
};

void lora_free(struct lora *lora)
{
	if (!lora)
		return;
	free(lora->pairs);
	free(lora->memory);
	free(lora);
}

static int fail(const struct binding *b, int r, const struct gguf_tensor *t, const char *why)
{
	return error_set(b->error, r, "adapter: tensor '%s' %s", gguf_show(t->name).text, why);
}

/* ---- names ---- */

static const char *const parts[] = {
	"attn_q", "attn_k", "attn_v", "attn_output", "ffn_gate", "ffn_up", "ffn_down",
};

/* layer_matrix() - of a layer, by its place in parts[] */
static const struct model_matrix *layer_matrix(const struct model_layer *l, enum lora_target target)
{
	const struct model_matrix *const all[] = {
		&l->q, &l->k, &l->v, &l->o, &l->ffn.gate, &l->ffn.up, &l->ffn.down,
	};

	return all[target];
}

static void add_part(struct site *site, const struct model *model, uint32_t layer,
		     enum lora_target target)
{
	const struct model_matrix *m = layer < model->hparams.layers ?
		layer_matrix(&model->layers[layer], target) : &model->output;

	site->index[site->count] = lora_site(layer, target);
	site->matrix[site->count++] = m;
}

/* find_in_layer() - what "attn_q" ... is; @rows of B tell a fused matrix from one of its parts */
static int find_in_layer(const struct binding *b, uint32_t layer, const char *part, size_t len,
			 uint64_t rows, struct site *site)
{
	const struct model_hparams *p = &b->model->hparams;

	if (len == 8 && !strncmp(part, "attn_qkv", len)) {
		for (uint32_t i = LORA_Q; i <= LORA_V; i++)
			add_part(site, b->model, layer, i);
		return 0;
	}
	if (b->model->layers[layer].experts && len >= 4 && !strncmp(part, "ffn_", 4))
		return -EOPNOTSUPP;
	for (uint32_t i = 0; i < LORA_TARGETS; i++) {
		if (strlen(parts[i]) != len || strncmp(part, parts[i], len))
			continue;
		if (i == LORA_UP && p->is_gated && rows == 2 * (uint64_t)p->ff_width)
			add_part(site, b->model, layer, LORA_GATE);
		add_part(site, b->model, layer, i);
		return site->matrix[0]->w.rows ? 0 : -ENOENT;
	}
	return -ENOENT;
}

/* find_site() - what the pair of @a adapts; @name is without suffix */
static int find_site(const struct binding *b, const char *name, size_t len, uint64_t rows,
		     struct site *site)
{
	static const char weight[] = ".weight", layers[] = "blk.";
	uint64_t layer = 0;
	const char *end;

	*site = (struct site){ 0 };
	if (len <= strlen(weight) || strncmp(name + len - strlen(weight), weight, strlen(weight)))
		return -ENOENT;
	len -= strlen(weight);
	end = name + len;
	if (len == 6 && !strncmp(name, "output", len)) {
		add_part(site, b->model, b->model->hparams.layers, 0);
		return 0;
	}
	if (len <= strlen(layers) || strncmp(name, layers, strlen(layers)))
		return -ENOENT;
	name += strlen(layers);
	/* a number has one way to be written */
	if (!isdigit((unsigned char)*name) || (*name == '0' && isdigit((unsigned char)name[1])))
		return -ENOENT;
	for (; name < end && isdigit((unsigned char)*name); name++) {
		layer = layer * 10 + (uint64_t)(*name - '0');
		if (layer >= b->model->hparams.layers)
			return -ENOENT;
	}
	if (name == end || *name++ != '.')
		return -ENOENT;
	return find_in_layer(b, (uint32_t)layer, name, (size_t)(end - name), rows, site);
}

static int check_site(const struct binding *b, const struct gguf_tensor *a, int r)
{
	if (gguf_string_is(a->name, "token_embd.weight" LORA_SUFFIX_A))
		return fail(b, -EOPNOTSUPP, a, "adapts the embedding, which is not supported");
	if (r == -EOPNOTSUPP)
		return fail(b, r, a, "adapts experts or their router, which is not supported");
	return r < 0 ? fail(b, -EBADMSG, a, "is of a matrix that the model does not have") : 0;
}

/* ---- shapes ---- */

static int check_type(const struct binding *b, const struct gguf_tensor *t)
{
	const struct kern_type_info *info = kern_type_info(t->type);

	if (!info || !b->ref->matmul[t->type].mul)
		return error_set(b->error, -EOPNOTSUPP,
				 "adapter: tensor '%s' has weights of type %u, which is not supported",
				 gguf_show(t->name).text, t->type);
	return 0;
}

/* check_shape() - @t is (rows, cols), in whole blocks */
static int check_shape(const struct binding *b, const struct gguf_tensor *t, uint64_t rows,
		       uint64_t cols)
{
	size_t row_bytes, bytes;

	if (t->dims[0] != cols || t->dims[1] != rows || t->dims[2] != 1 || t->dims[3] != 1)
		return error_set(b->error, -EBADMSG,
				 "adapter: tensor '%s' is (%" PRIu64 ", %" PRIu64 ", %" PRIu64
				 ", %" PRIu64 "), not (%" PRIu64 ", %" PRIu64 ", 1, 1)",
				 gguf_show(t->name).text, t->dims[0], t->dims[1], t->dims[2],
				 t->dims[3], cols, rows);
	row_bytes = kern_row_bytes(kern_type_info(t->type), cols);
	if (!row_bytes || !size_mul(&bytes, row_bytes, rows) || bytes != t->size_bytes)
		return error_set(b->error, -EBADMSG,
				 "adapter: tensor '%s' has %zu bytes for %" PRIu64 " rows of %" PRIu64,
				 gguf_show(t->name).text, t->size_bytes, rows, cols);
	return 0;
}

/* check_heads() - those that were made longer are as an adapter does not have them */
static int check_heads(const struct binding *b, const struct gguf_tensor *a,
		       const struct site *site)
{
	const struct model_hparams *p = &b->model->hparams;

	if (p->head_dim == p->head_elems)
		return 0;
	for (uint32_t i = 0; i < site->count; i++)
		if (site->index[i] < lora_site(p->layers, 0) &&
		    site->index[i] % LORA_TARGETS <= LORA_O)
			return error_set(b->error, -EOPNOTSUPP,
					 "adapter: tensor '%s' adapts heads of %u elements, "
					 "which is not supported",
					 gguf_show(a->name).text, p->head_elems);
	return 0;
}

static int check_pair(const struct binding *b, const struct gguf_tensor *a,
		      const struct gguf_tensor *other, const struct site *site)
{
	const uint64_t rank = a->dims[1];
	uint64_t rows = 0;
	int r;

	if (!rank || rank > LORA_RANK_MAX)
		return error_set(b->error, -EBADMSG, "adapter: tensor '%s' has rank %" PRIu64
				 ", not 1 to %u", gguf_show(a->name).text, rank, LORA_RANK_MAX);
	for (uint32_t i = 0; i < site->count; i++)
		rows += site->matrix[i]->w.rows;
	r = check_heads(b, a, site);
	if (r >= 0)
		r = check_type(b, a);
	if (r >= 0)
		r = check_type(b, other);
	if (r >= 0)
		r = check_shape(b, a, rank, site->matrix[0]->w.cols);
	return r < 0 ? r : check_shape(b, other, rows, rank);
}

/* ---- copies ---- */

/* take() - room for @bytes; the memory was sized for all tensors */
static char *take(struct binding *b, size_t bytes)
{
	char *at = (char *)b->lora->memory + b->used;

	b->used += (bytes + ALIGN - 1) / ALIGN * ALIGN;
	return at;
}

static struct model_matrix matrix_of(const struct gguf_tensor *t, const char *data)
{
	return (struct model_matrix){
		.type = t->type,
		.w = {
			.data = data,
			.row_bytes = kern_row_bytes(kern_type_info(t->type), t->dims[0]),
			.rows = (uint32_t)t->dims[1],
			.cols = (uint32_t)t->dims[0],
		},
	};
}

/* fetch() - have a tensor's bytes, to copy them from; they are dropped after that */
static int fetch(const struct binding *b, const struct gguf_tensor *t)
{
	struct error why = { "" };
	int r = gguf_fetch(b->file->gguf, t, &why);

	return r < 0 ? fail(b, r, t, why.text) : 0;
}

static void drop(const struct binding *b, const struct gguf_tensor *t)
{
	gguf_drop(b->file->gguf, t->data, t->size_bytes);
}

/* reorder() - rows of whole heads, from one order of the pairs that are turned to the other */
static void reorder(char *to, const char *from, size_t row_bytes, uint32_t heads, uint32_t head_dim,
		    bool to_neox)
{
	const uint32_t half = head_dim / 2;

	for (uint32_t h = 0; h < heads; h++)
		for (uint32_t i = 0; i < head_dim; i++) {
			const size_t near = (size_t)h * head_dim + i;
			const size_t far = (size_t)h * head_dim + i % 2 * half + i / 2;

			memcpy(to + (to_neox ? far : near) * row_bytes,
			       from + (to_neox ? near : far) * row_bytes, row_bytes);
		}
}

/* order_b() - bring the rows of queries and keys into the model's order, from @t as it is */
static int order_b(const struct binding *b, const struct gguf_tensor *t, const struct site *site,
		   char *data, size_t row_bytes)
{
	const struct model_hparams *p = &b->model->hparams;
	size_t at = 0;

	for (uint32_t i = 0; i < site->count; i++) {
		const uint32_t target = site->index[i] % LORA_TARGETS;
		const uint32_t rows = site->matrix[i]->w.rows;

		/* the output stands behind the layers, where a layer's queries would */
		if (site->index[i] < lora_site(p->layers, 0) &&
		    (target == LORA_Q || target == LORA_K)) {
			if (p->rope.dim != p->head_dim)
				return fail(b, -EOPNOTSUPP, t,
					    "is of heads that are turned in part, in another order");
			reorder(data + at, (const char *)t->data + at, row_bytes,
				rows / p->head_dim, p->head_dim, p->rope.is_neox);
		}
		at += rows * row_bytes;
	}
	return 0;
}

/* check_finite() - one weight that is no number makes all logits none */
static int check_finite(const struct binding *b, const struct gguf_tensor *t)
{
	_cleanup_free_ float *row = calloc(t->dims[0], sizeof(*row));
	const size_t row_bytes = kern_row_bytes(kern_type_info(t->type), t->dims[0]);

	if (!row)
		return error_set(b->error, -ENOMEM, "adapter: %s", strerror(ENOMEM));
	for (uint64_t r = 0; r < t->dims[1]; r++) {
		b->ref->dequant_row[t->type](row, (const char *)t->data + r * row_bytes,
					     (uint32_t)t->dims[0]);
		for (uint64_t i = 0; i < t->dims[0]; i++)
			if (!isfinite(row[i]))
				return fail(b, -EBADMSG, t, "has a weight that is no number");
	}
	return 0;
}

/* copy() - a tensor, as a matrix */
static int copy(struct binding *b, const struct gguf_tensor *t, const struct site *site,
		struct model_matrix *ret)
{
	const struct model_rope *rope = &b->model->hparams.rope;
	char *data = take(b, t->size_bytes);
	int r = fetch(b, t);

	if (r >= 0)
		r = check_finite(b, t);
	if (r < 0)
		return r;
	memcpy(data, t->data, t->size_bytes);
	*ret = matrix_of(t, data);
	if (site && b->file->is_neox != rope->is_neox && rope->dim)
		r = order_b(b, t, site, data, ret->w.row_bytes);
	drop(b, t);
	return r;
}

static int scale_of(const struct binding *b, const struct gguf_tensor *a, float *ret)
{
	if (b->file->scales)
		*ret = b->file->scales[a - gguf_tensor_at(b->file->gguf, 0)];
	else
		*ret = b->alpha != 0 ? b->alpha / (float)a->dims[1] : 1;
	return isfinite(*ret) ? 0 : fail(b, -EBADMSG, a, "has a scale that is no number");
}

static int bind_pair(struct binding *b, const struct gguf_tensor *a, const struct gguf_tensor *other,
		     const struct site *site)
{
	struct lora_pair all = { 0 };
	uint32_t at = 0;
	int r;

	for (uint32_t i = 0; i < site->count; i++)
		if (b->lora->pairs[site->index[i]].a.w.rows)
			return fail(b, -EBADMSG, a, "adapts what another one adapts, too");
	r = scale_of(b, a, &all.scale);
	if (r < 0)
		return r;
	r = copy(b, a, NULL, &all.a);
	if (r >= 0)
		r = copy(b, other, site, &all.b);
	if (r < 0)
		return r;
	for (uint32_t i = 0; i < site->count; i++) {
		struct lora_pair *pair = &b->lora->pairs[site->index[i]];

		*pair = all;
		pair->b.w.rows = site->matrix[i]->w.rows;
		pair->b.w.data = (const char *)all.b.w.data + at * all.b.w.row_bytes;
		at += pair->b.w.rows;
	}
	b->lora->rank = MAX(b->lora->rank, all.a.w.rows);
	b->elems[a->type] += a->dims[0] * a->dims[1];
	b->elems[other->type] += other->dims[0] * other->dims[1];
	return 0;
}

/* ---- all of them ---- */

static bool has_suffix(struct gguf_string name, const char *suffix)
{
	const size_t len = strlen(suffix);

	return name.len > len && !memcmp(name.data + name.len - len, suffix, len);
}

/* other_half() - NULL: it is not there */
static const struct gguf_tensor *other_half(const struct gguf *gguf, const struct gguf_tensor *t,
					    const char *suffix)
{
	char name[256];

	if (t->name.len >= sizeof(name))
		return NULL;
	snprintf(name, sizeof(name), "%.*s%s", (int)(t->name.len - strlen(suffix)), t->name.data,
		 suffix);
	return gguf_tensor_find(gguf, name);
}

static int bind_tensor(struct binding *b, const struct gguf_tensor *t)
{
	const bool is_a = has_suffix(t->name, LORA_SUFFIX_A);
	const struct gguf_tensor *other;
	struct site site;
	int r;

	if (!is_a && !has_suffix(t->name, LORA_SUFFIX_B))
		return fail(b, -EOPNOTSUPP, t, "is neither " LORA_SUFFIX_A " nor " LORA_SUFFIX_B
			    " of a matrix, which is not supported");
	other = other_half(b->file->gguf, t, is_a ? LORA_SUFFIX_B : LORA_SUFFIX_A);
	if (!other)
		return fail(b, -EBADMSG, t, "is there without its other half");
	if (!is_a)
		return 0;
	r = find_site(b, t->name.data, t->name.len - strlen(LORA_SUFFIX_A), other->dims[1], &site);
	r = check_site(b, t, r);
	if (r >= 0)
		r = check_pair(b, t, other, &site);
	return r < 0 ? r : bind_pair(b, t, other, &site);
}

/* size_memory() - a copy of all tensors, whatever they are: they lie within their file */
static int size_memory(struct binding *b)
{
	const size_t pairs = (size_t)b->model->hparams.layers * LORA_TARGETS + 1;
	size_t bytes = ALIGN;

	for (size_t i = 0; i < gguf_tensor_count(b->file->gguf); i++)
		if (!size_add(&bytes, bytes, gguf_tensor_at(b->file->gguf, i)->size_bytes) ||
		    !size_add(&bytes, bytes, ALIGN))
			return error_set(b->error, -ENOMEM, "adapter: %s", strerror(EOVERFLOW));
	bytes = bytes / ALIGN * ALIGN;
	b->lora->pairs = calloc(pairs, sizeof(*b->lora->pairs));
	b->lora->memory = aligned_alloc(ALIGN, bytes);
	if (!b->lora->pairs || !b->lora->memory)
		return error_set(b->error, -ENOMEM, "adapter: %zu bytes: %s", bytes,
				 strerror(ENOMEM));
	b->lora->bytes = bytes + pairs * sizeof(*b->lora->pairs) + sizeof(*b->lora);
	return 0;
}

static void summarize(struct binding *b)
{
	uint32_t most = 0;

	for (uint32_t type = 0; type < KERN_TYPE_COUNT; type++) {
		b->lora->parameters += b->elems[type];
		if (b->elems[type] > b->elems[most])
			most = type;
	}
	b->lora->weights = kern_type_info(most)->name;
}

int lora_bind(struct lora **ret, const struct lora_file *file, const struct model *model,
	      struct error *error)
{
	_cleanup_(lora_freep) struct lora *lora = calloc(1, sizeof(*lora));
	struct binding b = {
		.file = file, .model = model, .ref = kern_ops_get("ref"), .lora = lora,
		.error = error,
	};
	int r;

	if (!lora)
		return error_set(error, -ENOMEM, "adapter: %s", strerror(ENOMEM));
	r = gguf_get_f32(file->gguf, "adapter.lora.alpha", &b.alpha);
	if (r == -EINVAL)
		return error_set(error, -EBADMSG, "adapter: key 'adapter.lora.alpha' is no number");
	r = size_memory(&b);
	for (size_t i = 0; r >= 0 && i < gguf_tensor_count(file->gguf); i++)
		r = bind_tensor(&b, gguf_tensor_at(file->gguf, i));
	if (r < 0)
		return r;
	if (!lora->rank)
		return error_set(error, -EBADMSG, "adapter: there are no tensors");
	summarize(&b);
	*ret = steal_ptr(lora);
	return 0;
}
