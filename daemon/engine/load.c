/* SPDX-License-Identifier: MIT */
/* Loads a model: the file, its tokenizer, the cache, the sequences and the scratch memory. */
#include <stdio.h>
#include <string.h>

#include "engine/engine_internal.h"
#include "engine/pack_cache.h"
#include "model/hub.h"

#define ENCODER_TOKENS	2048	/* a text of an encoder is one step: of so many tokens, or batch_tokens */
#define MEMORY_SHARE	4	/* of the memory there is, the cache takes this part at most */
#define PACK_SHARE_PARTS 3	/* and packed weights three */
#define PACK_SHARE_OF	4

static uint32_t kv_type(const struct engine_model *m)
{
	if (m->engine->kv_type == ENGINE_KV_AUTO)
		return m->model->is_f32 ? KERN_F32 : KERN_F16;
	return m->engine->kv_type;
}

/* has_no_vocabulary() - the file says itself that it knows no text, only ids */
static bool has_no_vocabulary(const struct gguf *gguf)
{
	struct gguf_string kind;

	return gguf_get_string(gguf, "tokenizer.ggml.model", &kind) >= 0 &&
		gguf_string_is(kind, "no_vocab");
}

static int load_tokenizer(struct engine_model *m, struct error *error)
{
	int r = 0;

	m->chat = CHAT_NONE;
	if (!m->tokenizer && has_no_vocabulary(m->gguf))
		return 0;
	if (!m->tokenizer)
		r = tok_new(&m->tokenizer, m->gguf, error);
	if (r < 0)
		return r;
	if (tok_vocab(m->tokenizer) != m->model->hparams.vocab)
		return error_set(error, -EBADMSG, "model: %u tokens, but embeddings for %u",
				 tok_vocab(m->tokenizer), m->model->hparams.vocab);
	m->chat = chat_detect(m->gguf);
	return 0;
}

static uint64_t matrix_work(const struct model_matrix *m)
{
	return (uint64_t)m->w.rows * m->w.cols;
}

static uint64_t ffn_work(const struct model_ffn *f)
{
	return matrix_work(&f->gate) + matrix_work(&f->up) + matrix_work(&f->down);
}

static void count_work(struct engine_model *m)
{
	const struct model_layer *l = m->model->layers;

	m->token_work = matrix_work(&m->model->output);
	for (uint32_t i = 0; i < m->model->hparams.layers; i++, l++)
		m->token_work += matrix_work(&l->q) + matrix_work(&l->k) + matrix_work(&l->v) +
			matrix_work(&l->o) + matrix_work(&l->router) +
			(l->experts ? ffn_work(l->experts) * m->model->hparams.experts.used
				    : ffn_work(&l->ffn));
}

/* size_pages() - how many pages the cache gets, and what that leaves of the context */
static int size_pages(struct engine_model *m, size_t page_bytes, uint32_t *ret, struct error *error)
{
	const struct engine_config *c = &m->engine->config;
	const struct model_rope *rope = &m->model->hparams.rope;
	const uint32_t encoder_max = MAX(c->batch_tokens, (uint32_t)ENCODER_TOKENS);
	const size_t limit = memory_limit();
	uint64_t wanted, pages;
	size_t bytes = c->kv_bytes;

	m->context = m->model->hparams.context;
	if (m->model->hparams.is_encoder)
		m->context = MIN(m->context, encoder_max);
	if (c->context)
		m->context = MIN(m->context, c->context);
	else if (rope->divisors_long)	/* more costs quality, so it must be asked for */
		m->context = MIN(m->context, rope->original_context);
	wanted = (m->context - 1) / KV_PAGE_TOKENS + 1;
	pages = wanted * c->kv_seqs;
	if (bytes > limit)
		return error_set(error, -ENOMEM,
				 "model: a cache of '%zu' bytes is more than the %zu there are",
				 bytes, limit);
	if (!bytes)
		bytes = limit / MEMORY_SHARE;
	pages = MIN(pages, bytes / page_bytes);
	pages = MIN(pages, UINT32_MAX);
	if (!pages)
		return error_set(error, -ENOMEM,
				 "model: %u tokens of cache take %zu bytes, but only %zu are allowed",
				 KV_PAGE_TOKENS, page_bytes, bytes);
	m->seq_pages_max = (uint32_t)MIN(wanted, pages);
	m->context = MIN(m->context, m->seq_pages_max * KV_PAGE_TOKENS);
	m->step_tokens = c->batch_tokens;
	if (m->model->hparams.is_encoder)
		m->step_tokens = MAX(m->step_tokens, m->context);
	*ret = (uint32_t)pages;
	return 0;
}

/* how many pages of the cache may be kept for sequences to come */
static uint32_t size_prefix(const struct engine_model *m)
{
	const struct engine_config *c = &m->engine->config;
	const uint64_t pages = m->kv.page_count;

	if (c->prefix_bytes)
		return MIN(pages, c->prefix_bytes / m->kv.page_bytes);
	return pages * MIN(c->prefix_percent, 100U) / 100;
}

/* a cache that has nowhere to go when it makes way is as good, but slower: why is told */
static void open_swap(struct engine_model *m)
{
	const struct engine_config *c = &m->engine->config;

	if (m->engine->swap_folder && !m->model->hparams.is_encoder)
		m->swap_error = swap_open(&m->swap, m->engine->swap_folder, c->swap_bytes,
					  m->kv.page_bytes, c->swap_ready, c->swap_arg);
}

static int load_cache(struct engine_model *m, struct error *error)
{
	const struct model_hparams *p = &m->model->hparams;
	const struct kern_kv form = kv_form(kv_type(m), p->head_dim);
	size_t page_bytes = kv_page_bytes(p->layers, p->kv_heads, &form);
	uint32_t pages = 0;
	int r;

	if (!page_bytes)
		return error_set(error, -ENOMEM, "model: cache: %s", strerror(EOVERFLOW));
	r = size_pages(m, page_bytes, &pages, error);
	if (r < 0)
		return r;
	r = kv_open(&m->kv, pages, p->layers, p->kv_heads, &form);
	if (r >= 0)
		r = prefix_open(&m->prefix, &m->kv, size_prefix(m));
	if (r >= 0)
		open_swap(m);
	m->prefix.swap = m->swap;
	m->prefix.dropped = m->engine->config.prefix_dropped;
	m->prefix.dropped_arg = m->engine->config.prefix_arg;
	if (r >= 0)
		r = seq_pool_open(m);
	if (r < 0)
		return error_set(error, -ENOMEM,
				 "model: can't take %u pages of %zu bytes for the cache: %s", pages,
				 page_bytes, strerror(-r));
	return 0;
}

/* load_ropes() - which divisors count is decided here, once for all sequences */
static int load_ropes(struct engine_model *m)
{
	struct model_rope rope = m->model->hparams.rope;
	int r;

	if (rope.divisors_long && m->context > rope.original_context)
		rope.divisors = rope.divisors_long;
	r = rope_open(&m->ropes[0], &rope);
	return r < 0 ? r : rope_open(&m->ropes[1], &m->model->hparams.rope_local);
}

static int load_scratch(struct engine_model *m, struct error *error)
{
	const struct engine_config *c = &m->engine->config;
	const struct scratch_config config = {
		.model = m->model,
		.ops = m->engine->ops,
		.members = c->threads,
		.tokens = m->step_tokens,
		.logits_rows = c->logits_rows,
		.context = m->context,
		.kv = m->kv.form,
		.seq_pages = m->seq_pages_max,
	};
	int r;

	r = load_ropes(m);
	if (r >= 0)
		r = scratch_open(&m->scratch, &config);
	if (r < 0)
		return error_set(error, -ENOMEM, "model: can't take memory for steps: %s",
				 strerror(-r));
	return 0;
}

/*
 * fill_pack() - by a team of its own: the engine's may be in the middle of a step. 0; -ENOMEM: there
 * is no room for that; else there are weights that can't be read. Then there is no map any more.
 */
static int fill_pack(struct engine_model *m, struct error *error)
{
	_cleanup_(threads_freep) struct threads *team = NULL;
	int r;

	if (threads_new(&team, engine_threads(m->engine)) < 0 && threads_new(&team, 1) < 0) {
		r = -ENOMEM;
	} else {
		/* few bytes were read so far, but each brought megabytes along */
		gguf_drop_files(m->gguf);
		r = pack_fill(&m->pack, team, m->gguf, error);
	}
	if (r < 0)
		pack_unmap(&m->pack);
	return r;
}

/* keep_pack() - pack into a file, and map that: 1; 0: it can't be kept; < 0: as fill_pack() */
static int keep_pack(struct engine_model *m, const struct pack_source *source, struct error *error)
{
	struct pack_cache cache = PACK_CACHE_INIT;
	int r, filled = 0;

	r = pack_cache_begin(&cache, &m->pack, source, m->engine->pack_cache,
			     m->engine->config.pack_cache_bytes, &m->pack_note);
	if (r >= 0) {
		filled = fill_pack(m, error);
		r = filled < 0 ? filled : pack_cache_commit(&cache, &m->pack, &m->pack_note);
	}
	pack_cache_end(&cache);
	if (filled < 0 && filled != -ENOMEM)
		return filled;
	return r >= 0;
}

/* kept_pack() - the panels from the folder for them, or into it; 0: neither, see the note */
static int kept_pack(struct engine_model *m, const char *path, struct error *error)
{
	const struct pack_source source = { .path = path, .gguf = m->gguf };
	int r;

	r = pack_cache_find(&m->pack, &source, m->engine->pack_cache, &m->pack_note);
	if (r >= 0) {
		m->packed = ENGINE_PACKED_FOUND;
		return 1;
	}
	/* that there is none yet needs no word */
	if (r == -ENOENT)
		m->pack_note.text[0] = '\0';
	r = keep_pack(m, &source, error);
	if (r > 0)
		m->packed = ENGINE_PACKED_KEPT;
	return r;
}

/* memory_pack() - in memory; 0: that would be most of it, and pages of a file can be given back */
static int memory_pack(struct engine_model *m, struct error *error)
{
	int r;

	if (m->pack.bytes / PACK_SHARE_PARTS > memory_limit() / PACK_SHARE_OF ||
	    pack_alloc(&m->pack) < 0)
		return 0;
	r = fill_pack(m, error);
	if (r < 0)
		return r == -ENOMEM ? 0 : r;
	m->packed = ENGINE_PACKED_MEMORY;
	return 1;
}

/* load_pack() - weights that are multiplied faster in panels */
static int load_pack(struct engine_model *m, const char *path, struct error *error)
{
	const struct kern_weights *embedding = &m->model->embedding.w;
	int r;

	/* megabytes would come from the disk for a row */
	if (embedding->data != m->model->output.w.data)
		gguf_scatter(m->gguf, embedding->data,
			     (size_t)embedding->rows * embedding->row_bytes);
	r = pack_plan(&m->pack, m->model, m->engine->ops);
	if (r < 0)
		return error_set(error, -ENOMEM, "model: can't take memory for its weights: %s",
				 strerror(-r));
	if (!m->pack.bytes)
		return 0;
	if (m->engine->pack_cache)
		r = kept_pack(m, path, error);
	if (!r)
		r = memory_pack(m, error);
	if (r > 0)
		pack_apply(&m->pack, m->model, m->gguf);
	return MIN(r, 0);
}

/* load_rest() - all but the file */
static int load_rest(struct engine_model *m, const char *path, struct error *error)
{
	int r;

	r = model_new(&m->model, m->gguf, error);
	if (r >= 0)
		r = model_pad_heads(m->model, error);
	if (r >= 0)
		r = load_tokenizer(m, error);
	if (r >= 0)
		r = load_pack(m, path, error);
	if (r >= 0)
		r = load_cache(m, error);
	if (r >= 0)
		r = load_scratch(m, error);
	if (r >= 0)
		count_work(m);
	return r;
}

/* load() - @gguf NULL: of the file at @path, whose tokenizer is made, too */
static int load(struct engine *engine, const char *path, struct gguf *gguf,
		struct tokenizer *tokenizer, struct engine_model **ret, struct error *error)
{
	_cleanup_(engine_model_freep) struct engine_model *m = calloc(1, sizeof(*m));
	int r = 0;

	if (!m)
		return error_set(error, -ENOMEM, "model: %s", strerror(ENOMEM));
	m->engine = engine;
	m->gguf = gguf;
	m->tokenizer = tokenizer;
	m->is_borrowed = gguf;
	if (!gguf)
		r = model_file_open(&m->gguf, path, error);
	if (r >= 0)
		r = load_rest(m, path, error);
	if (r < 0)
		return r;
	*ret = steal_ptr(m);
	return 0;
}

int engine_model_load(struct engine *engine, const char *path, struct engine_model **ret,
		      struct error *error)
{
	return load(engine, path, NULL, NULL, ret, error);
}

int engine_model_load_opened(struct engine *engine, const char *path, struct gguf *gguf,
			     struct tokenizer *tokenizer, struct engine_model **ret,
			     struct error *error)
{
	return load(engine, path, gguf, tokenizer, ret, error);
}

static struct engine_swapped swapped_of(const struct swap_stats *stats)
{
	return (struct engine_swapped){ stats->written, stats->read, stats->failed };
}

/* one that was never served may be freed by another thread, and has nothing to add */
static void swapped_add(struct engine_swapped *sum, struct engine_swapped more)
{
	if (!more.out && !more.in && !more.failed)
		return;
	sum->out += more.out;
	sum->in += more.in;
	sum->failed += more.failed;
}

struct engine_swapped engine_swapped(const struct engine *engine)
{
	return engine->swapped;
}

void engine_model_free(struct engine_model *m)
{
	if (!m)
		return;
	adapting_close(&m->adapting);
	scratch_close(&m->scratch);
	rope_close(&m->ropes[0]);
	rope_close(&m->ropes[1]);
	seq_pool_close(m);
	prefix_close(&m->prefix);
	if (m->swap) {
		const struct swap_stats stats = swap_stats(m->swap);

		swapped_add(&m->engine->swapped, swapped_of(&stats));
	}
	swap_close(m->swap);
	kv_close(&m->kv);
	model_free(m->model);
	pack_close(&m->pack);
	if (!m->is_borrowed) {
		tok_free(m->tokenizer);
		gguf_free(m->gguf);
	}
	free(m);
}

static void info_of_model(struct engine_model_info *info, const struct model *model,
			  const struct gguf *gguf)
{
	const struct model_hparams *p = &model->hparams;

	*info = (struct engine_model_info){
		.parameters = model->parameters,
		.file_bytes = gguf_size_bytes(gguf),
		.context = p->context,
		.layers = p->layers,
		.width = p->width,
		.heads = p->heads,
		.kv_heads = p->kv_heads,
		.ff_width = p->experts.count ? p->experts.width : p->ff_width,
		.vocab = p->vocab,
		.page_tokens = KV_PAGE_TOKENS,
		.labels = model_label_count(model),
		.has_several_labels = model->head.is_several,
		.is_score_logit = model->head.is_score_logit,
		.pooling = (enum engine_pooling)p->pooling,
		.label_pooling = (enum engine_pooling)p->label_pooling,
		.is_encoder = p->is_encoder,
		.has_output = p->has_output,
	};
	snprintf(info->arch, sizeof(info->arch), "%s", p->arch);
	snprintf(info->weights, sizeof(info->weights), "%s", model->weights);
}

void engine_model_info(const struct engine_model *m, struct engine_model_info *ret)
{
	const struct swap_stats swap = m->swap ? swap_stats(m->swap) : (struct swap_stats){ 0 };

	info_of_model(ret, m->model, m->gguf);
	ret->context_used = m->context;
	ret->step_tokens = m->step_tokens;
	ret->packed = m->packed;
	ret->packed_bytes = m->pack.base ? m->pack.bytes : 0;
	ret->kv_pages = m->kv.page_count;
	ret->kv_pages_used = m->kv.page_count - m->kv.free_count - m->prefix.idle_count;
	ret->kv_pages_kept = m->prefix.idle_count;
	ret->kv_pages_swapped = swap.pages;
	ret->swap_bytes = swap.bytes;
	ret->swapped = swapped_of(&swap);
	ret->swap_error = m->swap ? swap_error(m->swap) : m->swap_error;
	/* panels stand in for pages of the file: what counts is by how much they are more */
	ret->memory_bytes = (m->pack.base ? m->pack.bytes - m->pack.source_bytes : 0) +
		m->model->copied_bytes +
		m->kv.arena_bytes + m->scratch.bytes + m->adapting.bytes +
		prefix_bytes(&m->prefix) + swap.memory_bytes +
		m->kv.page_count * (sizeof(*m->kv.free_pages) + sizeof(*m->kv.holders)) +
		m->engine->config.max_seqs *
			(sizeof(*m->seqs) + m->seq_pages_max * sizeof(*m->seq_pages));
}

int engine_file_info(const struct gguf *gguf, struct engine_model_info *ret, struct error *error)
{
	_cleanup_(model_freep) struct model *model = NULL;
	int r;

	r = model_new(&model, gguf, error);
	if (r < 0)
		return r;
	info_of_model(ret, model, gguf);
	return 0;
}

const struct tokenizer *engine_model_tokenizer(const struct engine_model *m)
{
	return m->tokenizer;
}

const char *engine_model_pack_note(const struct engine_model *m)
{
	return m->pack_note.text;
}

static bool is_packed(const struct engine_model *m, uintptr_t address)
{
	return m->pack.map && address - (uintptr_t)m->pack.map < m->pack.map_bytes;
}

bool engine_model_has(const struct engine_model *m, uintptr_t address)
{
	return (m->gguf && gguf_has(m->gguf, address)) || is_packed(m, address);
}

void engine_model_lost(const struct engine_model *m, uintptr_t address)
{
	if (is_packed(m, address) && m->pack.kept)
		(void)unlink(m->pack.kept);
}

enum chat_template engine_model_chat(const struct engine_model *m)
{
	return m->chat;
}

const struct gguf *engine_model_gguf(const struct engine_model *m)
{
	return m->gguf;
}
