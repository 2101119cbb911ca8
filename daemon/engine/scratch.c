/* SPDX-License-Identifier: MIT */
/*
 * Lays the scratch memory out twice with the same code: first on nothing, which tells its size, then
 * on the memory.
 */
#include "engine/scratch.h"

#include <sys/mman.h>

#include "kernels/kernels.h"

/** struct carver - hands out aligned pieces, or only counts while @base is 0 */
struct carver {
	uintptr_t base;
	size_t used;
	bool overflow;
};

static void *carve(struct carver *c, size_t rows, size_t row_bytes)
{
	const size_t at = c->used;
	size_t bytes;

	if (!size_mul(&bytes, rows, row_bytes) || !size_add(&bytes, bytes, KERN_ALIGN - 1) ||
	    !size_add(&c->used, c->used, bytes / KERN_ALIGN * KERN_ALIGN)) {
		c->overflow = true;
		return NULL;
	}
	return c->base ? (void *)(c->base + at) : NULL;
}

static float *carve_floats(struct carver *c, size_t rows, size_t stride)
{
	return carve(c, rows, stride * sizeof(float));
}

/* float_stride() - of rows of @elems float32 that start on cache lines */
static size_t float_stride(uint32_t elems)
{
	const size_t line = KERN_ALIGN / sizeof(float);

	return (elems + line - 1) / line * line;
}

size_t scratch_act_stride(const struct kern_ops *ops, const struct model_matrix *m)
{
	const size_t bytes = matrix_kernel(ops, m)->act_bytes(m->w.cols);

	return (bytes + KERN_ALIGN - 1) / KERN_ALIGN * KERN_ALIGN;
}

/** struct act_need - bytes of one form: for a whole step, and for a member */
struct act_need {
	size_t shared;
	size_t own;
};

static void act_need_matrix(struct act_need *need, const struct scratch_config *c,
			    const struct model_matrix *m, size_t rows)
{
	size_t stride, own;

	if (!m->w.rows)
		return;
	stride = scratch_act_stride(c->ops, m);
	own = stride * MAX(1U, ACT_OWN_ELEMS / m->w.cols);
	need->shared = MAX(need->shared, stride * rows);
	need->own = MAX(need->own, own);
}

/* pair_rows() - rows that go through feed-forward networks at once */
static size_t pair_rows(const struct scratch_config *c)
{
	return (size_t)c->tokens * MAX(1U, c->model->hparams.experts.used);
}

static struct act_need act_need(const struct scratch_config *c)
{
	struct act_need need = { 0 };

	act_need_matrix(&need, c, &c->model->output, c->tokens);
	act_need_matrix(&need, c, &c->model->head.dense, 1);
	act_need_matrix(&need, c, &c->model->head.labels, 1);
	for (uint32_t i = 0; i < c->model->hparams.layers; i++) {
		const struct model_layer *l = &c->model->layers[i];
		const struct model_ffn *ffn = l->experts ? l->experts : &l->ffn;
		const struct model_matrix *const all[] = { &l->q, &l->k, &l->v, &l->o, &l->router };
		const struct model_matrix *const inner[] = { &ffn->gate, &ffn->up, &ffn->down };

		for (size_t j = 0; j < ARRAY_SIZE(all); j++)
			act_need_matrix(&need, c, all[j], c->tokens);
		for (size_t j = 0; j < ARRAY_SIZE(inner); j++)
			act_need_matrix(&need, c, inner[j], pair_rows(c));
	}
	return need;
}

static void lay_out_experts(struct scratch *s, const struct scratch_config *c,
			    struct carver *carver)
{
	const struct model_experts *x = &c->model->hparams.experts;

	s->experts.stride = float_stride(x->count);
	s->experts.router = carve_floats(carver, c->tokens, s->experts.stride);
	s->experts.choices = carve(carver, pair_rows(c), sizeof(*s->experts.choices));
	s->experts.rows = carve(carver, pair_rows(c), sizeof(*s->experts.rows));
	s->experts.begin = carve(carver, x->count + 1, sizeof(*s->experts.begin));
	s->experts.active = carve(carver, x->count, sizeof(*s->experts.active));
}

static void lay_out_members(struct scratch *s, const struct scratch_config *c, struct carver *carver,
			    size_t act_bytes)
{
	s->members = carve(carver, c->members, sizeof(*s->members));
	for (uint32_t i = 0; i < c->members; i++) {
		struct scratch_member m = {
			.row = carve_floats(carver, 1, s->width_stride),
			.attn = carve(carver, 1, kern_attn_scratch_bytes(&c->kv, ATTN_TILE_ROWS)),
			.tiles = carve(carver, (size_t)c->tokens + 1, sizeof(uint32_t)),
			.k_pages = carve(carver, c->seq_pages, sizeof(void *)),
			.v_pages = carve(carver, c->seq_pages, sizeof(void *)),
		};

		for (uint32_t form = 0; form < ACT_FORMS; form++)
			m.act.form[form] = carve(carver, 1, act_bytes);
		if (carver->base)
			s->members[i] = m;
	}
}

static void lay_out_split(struct scratch *s, const struct scratch_config *c, struct carver *carver)
{
	const struct model_hparams *p = &c->model->hparams;
	const size_t parts = (c->context - 1) / KERN_ATTN_KEYS + 1;
	const uint32_t enough = MAX(1U, c->members * ATTN_TASKS_EACH / p->kv_heads);
	size_t rows;

	if (c->members == 1)
		return;
	s->split.rows = MIN(enough, (uint32_t)ATTN_SPLIT_ROWS);
	if (!size_mul(&rows, parts * s->split.rows, p->heads))
		carver->overflow = true;
	s->split.out = carve_floats(carver, rows, p->head_dim);
	s->split.sums = carve(carver, rows, sizeof(*s->split.sums));
}

/* ff_width() - of the widest hidden state: layers with experts may be among others, or be all */
static uint32_t ff_width(const struct model *model)
{
	uint32_t width = 0;

	for (uint32_t i = 0; i < model->hparams.layers; i++)
		width = MAX(width, model->layers[i].experts ? model->hparams.experts.width
							    : model->hparams.ff_width);
	return width;
}

static void lay_out(struct scratch *s, const struct scratch_config *c, struct carver *carver)
{
	const struct model_hparams *p = &c->model->hparams;
	const struct act_need need = act_need(c);
	const size_t t = c->tokens;

	s->width_stride = float_stride(p->width);
	s->q_stride = float_stride(p->heads * p->head_dim);
	s->kv_stride = float_stride(p->kv_heads * p->head_dim);
	s->ff_stride = float_stride(ff_width(c->model));
	s->rope_stride = float_stride(p->rope.dim / 2);
	s->tokens = carve(carver, t, sizeof(*s->tokens));
	s->rows = carve(carver, t, sizeof(*s->rows));
	s->all = carve(carver, t, sizeof(*s->all));
	s->x = carve_floats(carver, t, s->width_stride);
	s->y = carve_floats(carver, pair_rows(c), s->width_stride);
	s->q = carve_floats(carver, t, s->q_stride);
	s->k = carve_floats(carver, t, s->kv_stride);
	s->v = carve_floats(carver, t, s->kv_stride);
	s->attn = carve_floats(carver, t, s->q_stride);
	s->gate = carve_floats(carver, pair_rows(c), s->ff_stride);
	s->up = carve_floats(carver, pair_rows(c), s->ff_stride);
	for (size_t i = 0; i < ARRAY_SIZE(s->angles); i++) {
		s->angles[i].cos = carve_floats(carver, t, s->rope_stride);
		s->angles[i].sin = carve_floats(carver, t, s->rope_stride);
	}
	if (p->experts.count)
		lay_out_experts(s, c, carver);
	s->logits = carve_floats(carver, p->has_output ? c->logits_rows : 0, p->vocab);
	for (uint32_t form = 0; form < ACT_FORMS; form++)
		s->act.form[form] = carve(carver, 1, need.shared);
	lay_out_split(s, c, carver);
	lay_out_members(s, c, carver, need.own);
}

int scratch_open(struct scratch *scratch, const struct scratch_config *config)
{
	struct carver carver = { 0 };
	struct scratch s = { 0 };
	void *memory;

	lay_out(&s, config, &carver);
	if (carver.overflow || carver.used > SIZE_MAX / 2)
		return -EOVERFLOW;
	s.bytes = carver.used;
	memory = mmap(NULL, s.bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	/* small pages, whatever others get: one token takes a row of each piece (adr/0015) */
	(void)madvise(memory, s.bytes, MADV_NOHUGEPAGE);
	s.memory = memory;
	carver = (struct carver){ .base = (uintptr_t)memory };
	lay_out(&s, config, &carver);
	for (uint32_t i = 0; i < config->tokens; i++)
		s.all[i] = i;
	*scratch = s;
	return 0;
}

void scratch_close(struct scratch *s)
{
	if (s->memory)
		munmap(s->memory, s->bytes);
	*s = (struct scratch){ 0 };
}
