/* SPDX-License-Identifier: MIT */
/* Packs the weights of a model; see pack.h. */
#include "engine/pack.h"

#include <string.h>
#include <sys/mman.h>

#include "engine/threads.h"
#include "kernels/panel.h"
#include "model/gguf.h"

#define STAGE_BYTES	((size_t)2 << 20)	/* at least, packed before the pages go */
#define CHUNK_BYTES	((size_t)64 << 10)	/* of them, taken by a member at a time */
#define CHUNKS_EACH	4			/* for a member at least, so that none waits long */
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

struct filling {
	struct pack *pack;
	struct threads *threads;
	const struct gguf *gguf;
};

/* fill_stage() - panels [begin, end) of one matrix; all meet */
static void fill_stage(const struct filling *f, unsigned int member, const struct pack_item *item,
		       uint32_t begin, uint32_t end)
{
	const struct model_matrix *m = item->matrix;
	const size_t rows_bytes = KERN_PANEL_ROWS * m->w.row_bytes;
	const uint32_t chunk = (uint32_t)MAX(CHUNK_BYTES / rows_bytes, 1U);
	const uint32_t chunks = (end - begin - 1) / chunk + 1;
	const uint64_t last_row = MIN((uint64_t)end * KERN_PANEL_ROWS, m->w.rows);

	for (unsigned int c = member; c < chunks; c = threads_chunk_next(f->threads)) {
		const uint32_t from = begin + c * chunk;

		kern_panel_pack(m->type, f->pack->base + item->offset, &m->w, from,
				MIN(from + chunk, end));
	}
	threads_barrier(f->threads);
	if (!member)
		gguf_drop(f->gguf, (const char *)m->w.data + begin * rows_bytes,
			  (size_t)last_row * m->w.row_bytes - begin * rows_bytes);
}

static void fill_member(void *arg, unsigned int member)
{
	const struct filling *f = arg;
	const size_t stage_bytes =
		MAX(STAGE_BYTES, threads_count(f->threads) * CHUNKS_EACH * CHUNK_BYTES);

	for (size_t i = 0; i < f->pack->count; i++) {
		const struct pack_item *item = &f->pack->items[i];
		const struct kern_weights *w = &item->matrix->w;
		const uint32_t panels = kern_panel_count(w->rows);
		/* of wide rows as many panels as there are members, each of which takes one */
		const uint32_t stage =
			(uint32_t)MAX(stage_bytes / (KERN_PANEL_ROWS * w->row_bytes),
				      threads_count(f->threads));

		for (uint32_t begin = 0; begin < panels; begin += stage)
			fill_stage(f, member, item, begin, MIN(begin + stage, panels));
	}
}

void pack_fill(struct pack *pack, struct threads *threads, const struct gguf *gguf)
{
	struct filling f = { .pack = pack, .threads = threads, .gguf = gguf };

	threads_run(threads, threads_count(threads), fill_member, &f);
}

void pack_apply(struct pack *pack, struct model *model, const struct gguf *gguf)
{
	const bool is_tied = model->embedding.w.data == model->output.w.data;

	for (size_t i = 0; i < pack->count; i++) {
		const struct pack_item *item = &pack->items[i];
		struct model_matrix *m = item->matrix;

		gguf_drop(gguf, m->w.data, (size_t)m->w.rows * m->w.row_bytes);
		m->w.data = pack->base + item->offset;
		m->w.row_bytes = kern_panel_bytes(m->type, m->w.cols) / KERN_PANEL_ROWS;
		m->is_packed = true;
	}
	if (is_tied)
		model->embedding = model->output;
}
