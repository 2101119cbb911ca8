/* SPDX-License-Identifier: MIT */
/* Packs the weights of a model; see pack.h. */
#include "engine/pack.h"

#include <stdatomic.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/threads.h"
#include "kernels/panel.h"
#include "model/gguf.h"

#define CHUNK_BYTES	((size_t)64 << 10)	/* of rows, packed by a member at a time */
#define ITEMS_MIN	64U

/* ---- the plan ---- */

struct planner {
	struct pack *pack;
	const struct kern_ops *ops;
	size_t room;
};

static int plan_grow(struct planner *p)
{
	const size_t room = MAX(p->room * 2, ITEMS_MIN);
	struct pack_item *items = reallocarray(p->pack->items, room, sizeof(*items));

	if (!items)
		return -ENOMEM;
	p->pack->items = items;
	p->room = room;
	return 0;
}

static int plan_matrix(struct planner *p, struct model_matrix *m)
{
	struct pack *pack = p->pack;
	size_t bytes;

	if (!m->w.rows || !p->ops->panel[m->type].mul)
		return 0;
	if (pack->count == p->room && plan_grow(p) < 0)
		return -ENOMEM;
	pack->items[pack->count++] = (struct pack_item){ .matrix = m, .offset = pack->bytes };
	if (!size_mul(&bytes, kern_panel_bytes(m->type, m->w.cols), kern_panel_count(m->w.rows)) ||
	    !size_add(&pack->bytes, pack->bytes, bytes))
		return -EOVERFLOW;
	if (!m->is_copy)
		pack->source_bytes += (size_t)m->w.rows * m->w.row_bytes;
	return 0;
}

static int plan_ffn(struct planner *p, struct model_ffn *ffn)
{
	int r = plan_matrix(p, &ffn->gate);

	if (r >= 0)
		r = plan_matrix(p, &ffn->up);
	if (r >= 0)
		r = plan_matrix(p, &ffn->down);
	return r;
}

static int plan_layer(struct planner *p, struct model_layer *l, uint32_t experts)
{
	struct model_matrix *const all[] = { &l->q, &l->k, &l->v, &l->o, &l->router };
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(all) && r >= 0; i++)
		r = plan_matrix(p, all[i]);
	if (r >= 0)
		r = plan_ffn(p, &l->ffn);
	for (uint32_t i = 0; i < experts && l->experts && r >= 0; i++)
		r = plan_ffn(p, &l->experts[i]);
	return r;
}

int pack_plan(struct pack *pack, struct model *model, const struct kern_ops *ops)
{
	struct planner p = { .pack = pack, .ops = ops };
	int r = 0;

	*pack = (struct pack){ 0 };
	for (uint32_t i = 0; i < model->hparams.layers && r >= 0; i++)
		r = plan_layer(&p, &model->layers[i], model->hparams.experts.count);
	return r < 0 ? r : plan_matrix(&p, &model->output);
}

/* ---- memory ---- */

int pack_alloc(struct pack *pack)
{
	void *base = mmap(NULL, pack->bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			  -1, 0);

	if (base == MAP_FAILED)
		return -ENOMEM;
	/* a stream of weights crosses a small page every few dozen cycles */
	(void)madvise(base, pack->bytes, MADV_HUGEPAGE);
	pack->base = pack->map = base;
	pack->map_bytes = pack->bytes;
	return 0;
}

void pack_unmap(struct pack *pack)
{
	if (pack->map)
		munmap(pack->map, pack->map_bytes);
	pack->base = pack->map = NULL;
	free(pack->kept);
	pack->kept = NULL;
	pack->map_bytes = 0;
}

void pack_close(struct pack *pack)
{
	pack_unmap(pack);
	free(pack->items);
	*pack = (struct pack){ 0 };
}

/* ---- packing ---- */

/**
 * struct filling - one pack_fill()
 * @buffers: for the rows of a chunk, @buffer_bytes for each member
 * @has_failed: rows can't be read: nothing else is packed
 * @result: 0, or why, as @error says; set by whoever is the first
 */
struct filling {
	struct pack *pack;
	struct threads *threads;
	const struct gguf *gguf;
	char *buffers;
	size_t buffer_bytes;
	atomic_bool has_failed;
	int result;
	struct error *error;
};

/* chunk_panels() - that a member packs at a time: of wide rows it is one */
static uint32_t chunk_panels(const struct kern_weights *w)
{
	return (uint32_t)MAX(CHUNK_BYTES / KERN_PANEL_ROWS / w->row_bytes, 1U);
}

/* fill_chunk() - panels [begin, end) of one matrix */
static void fill_chunk(struct filling *f, unsigned int member, const struct pack_item *item,
		       uint32_t begin, uint32_t end)
{
	const struct model_matrix *m = item->matrix;
	const uint32_t first = begin * KERN_PANEL_ROWS;
	struct kern_weights rows = m->w;
	struct error why = { "" };
	int r;

	if (f->has_failed)
		return;
	rows.rows = MIN((end - begin) * KERN_PANEL_ROWS, m->w.rows - first);
	r = gguf_read(f->gguf, (const char *)m->w.data + first * m->w.row_bytes,
		      rows.rows * rows.row_bytes, f->buffers + member * f->buffer_bytes, &rows.data,
		      &why);
	if (r < 0) {
		if (!atomic_exchange(&f->has_failed, true))
			f->result = error_set(f->error, r, "%s", why.text);
		return;
	}
	kern_panel_pack(m->type,
			f->pack->base + item->offset + begin * kern_panel_bytes(m->type, m->w.cols),
			&rows, 0, end - begin);
}

static void fill_member(void *arg, unsigned int member)
{
	struct filling *f = arg;

	for (size_t i = 0; i < f->pack->count; i++) {
		const struct pack_item *item = &f->pack->items[i];
		const uint32_t panels = kern_panel_count(item->matrix->w.rows);
		const uint32_t chunk = chunk_panels(&item->matrix->w);
		const uint32_t chunks = (panels - 1) / chunk + 1;

		for (uint32_t c = member; c < chunks; c = threads_chunk_next(f->threads))
			fill_chunk(f, member, item, c * chunk, MIN((c + 1) * chunk, panels));
		threads_barrier(f->threads);
	}
}

int pack_fill(struct pack *pack, struct threads *threads, const struct gguf *gguf,
	      struct error *error)
{
	struct filling f = { .pack = pack, .threads = threads, .gguf = gguf, .error = error };
	size_t bytes;

	for (size_t i = 0; i < pack->count; i++) {
		const struct kern_weights *w = &pack->items[i].matrix->w;

		f.buffer_bytes = MAX(f.buffer_bytes,
				     chunk_panels(w) * KERN_PANEL_ROWS * w->row_bytes);
	}
	if (!size_mul(&bytes, f.buffer_bytes, threads_count(threads)))
		return -ENOMEM;
	f.buffers = malloc(bytes);
	if (!f.buffers)
		return -ENOMEM;
	threads_run(threads, threads_count(threads), fill_member, &f);
	free(f.buffers);
	return f.result;
}

void pack_apply(struct pack *pack, struct model *model, const struct gguf *gguf)
{
	const bool is_tied = model->embedding.w.data == model->output.w.data;

	for (size_t i = 0; i < pack->count; i++) {
		const struct pack_item *item = &pack->items[i];
		struct model_matrix *m = item->matrix;

		model_drop_copy(model, m);
		m->w.data = pack->base + item->offset;
		m->w.row_bytes = kern_panel_bytes(m->type, m->w.cols) / KERN_PANEL_ROWS;
		m->is_packed = true;
	}
	if (is_tied)
		model->embedding = model->output;
	gguf_drop_files(gguf);
}
