/* SPDX-License-Identifier: MIT */
/* Loading adapters, and the memory that steps with them need; see adapter.h. */
#include "engine/adapter.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "engine/engine_internal.h"

/* ---- memory for steps ---- */

/* lay_out() - on @base, or only to learn the size; false: it can't be counted */
static bool lay_out(struct adapting *a, const struct engine_config *c, uintptr_t base)
{
	const size_t rows = (size_t)ENGINE_ADAPTERS_MAX * ADAPT_SITES * c->batch_tokens;
	const struct {
		size_t rows, bytes;
	} parts[] = {
		{ c->max_seqs, sizeof(*a->groups) },
		{ c->threads, sizeof(*a->members) },
		{ rows, a->packed_bytes },
		{ (size_t)c->threads * ADAPT_TILE, a->act_bytes },
		{ (size_t)c->threads * ADAPT_TILE, a->low_stride * sizeof(float) },
		{ (size_t)c->threads * ADAPT_TILE, ADAPT_OUTPUTS * sizeof(float) },
	};
	uintptr_t at[ARRAY_SIZE(parts)];
	size_t used = 0, bytes;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		at[i] = base + used;
		if (!size_mul(&bytes, parts[i].rows, parts[i].bytes) ||
		    !size_add(&bytes, bytes, KERN_ALIGN - 1) ||
		    !size_add(&used, used, bytes / KERN_ALIGN * KERN_ALIGN))
			return false;
	}
	a->bytes = used;
	if (!base)
		return used <= SIZE_MAX / 2;
	a->groups = (struct adapt_group *)at[0];
	a->members = (struct adapt_member *)at[1];
	a->packed = (char *)at[2];
	for (size_t i = 0; i < c->threads; i++)
		a->members[i] = (struct adapt_member){
			.act = (char *)at[3] + i * ADAPT_TILE * a->act_bytes,
			.low = (float *)at[4] + i * ADAPT_TILE * a->low_stride,
			.out = (float *)at[5] + i * ADAPT_TILE * ADAPT_OUTPUTS,
		};
	return true;
}

void adapting_close(struct adapting *a)
{
	if (a->memory)
		munmap(a->memory, a->bytes);
	*a = (struct adapting){ 0 };
}

/* adapting_reserve() - enough for @lora and all before it; not within a step. 0 or -ENOMEM */
static int adapting_reserve(struct engine_model *model, const struct lora *lora)
{
	const uint32_t sites = lora_site(model->model->hparams.layers, 0) + 1;
	const size_t line = KERN_ALIGN / sizeof(float);
	const struct kern_ops *ops = model->engine->ops;
	struct adapting a = {
		.users = model->adapting.users,
		.act_bytes = model->adapting.act_bytes,
		.packed_bytes = model->adapting.packed_bytes,
		.low_stride = MAX(model->adapting.low_stride,
				  (lora->rank + line - 1) / line * line),
	};
	void *memory;

	for (uint32_t i = 0; i < sites; i++) {
		const struct lora_pair *pair = &lora->pairs[i];

		if (!pair->a.w.rows)
			continue;
		a.act_bytes = MAX(a.act_bytes, scratch_act_stride(ops, &pair->a));
		a.packed_bytes = MAX(a.packed_bytes, scratch_act_stride(ops, &pair->b));
	}
	if (model->adapting.memory && a.act_bytes == model->adapting.act_bytes &&
	    a.packed_bytes == model->adapting.packed_bytes &&
	    a.low_stride == model->adapting.low_stride)
		return 0;
	if (!lay_out(&a, &model->engine->config, 0))
		return -ENOMEM;
	memory = mmap(NULL, a.bytes, PROT_READ | PROT_WRITE,
		      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (memory == MAP_FAILED)
		return -ENOMEM;
	a.memory = memory;
	(void)lay_out(&a, &model->engine->config, (uintptr_t)memory);
	adapting_close(&model->adapting);
	model->adapting = a;
	return 0;
}

/* ---- loading ---- */

int engine_adapter_read(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error)
{
	_cleanup_(engine_adapter_freep) struct engine_adapter *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return error_set(error, -ENOMEM, "adapter: %s", strerror(ENOMEM));
	r = lora_open(&a->lora, path, model->model, error);
	if (r < 0)
		return r;
	a->model = model;
	*ret = steal_ptr(a);
	return 0;
}

int engine_adapter_ready(struct engine_adapter *adapter, struct error *error)
{
	const int r = adapting_reserve(adapter->model, adapter->lora);

	if (r < 0)
		return error_set(error, r, "adapter: can't take memory for steps: %s",
				 strerror(-r));
	adapter->id = ++adapter->model->engine->last_adapter;
	adapter->model->adapting.users++;
	return 0;
}

int engine_adapter_load(struct engine_model *model, const char *path, struct engine_adapter **ret,
			struct error *error)
{
	_cleanup_(engine_adapter_freep) struct engine_adapter *a = NULL;
	int r = engine_adapter_read(model, path, &a, error);

	if (!r)
		r = engine_adapter_ready(a, error);
	if (!r)
		*ret = steal_ptr(a);
	return r;
}

void engine_adapter_free(struct engine_adapter *adapter)
{
	if (!adapter)
		return;
	/* one that was only read takes no part in steps */
	if (adapter->id && !--adapter->model->adapting.users)
		adapting_close(&adapter->model->adapting);
	lora_free(adapter->lora);
	free(adapter);
}

void engine_adapter_info(const struct engine_adapter *adapter, struct engine_adapter_info *ret)
{
	*ret = (struct engine_adapter_info){
		.id = adapter->id,
		.parameters = adapter->lora->parameters,
		.memory_bytes = adapter->lora->bytes,
		.rank = adapter->lora->rank,
	};
	snprintf(ret->arch, sizeof(ret->arch), "%s", adapter->model->model->hparams.arch);
	snprintf(ret->weights, sizeof(ret->weights), "%s", adapter->lora->weights);
}

int engine_adapter_file_info(const char *path, struct engine_adapter_info *ret,
			     struct error *error)
{
	struct lora_info info;
	int r = lora_read_info(&info, path, error);

	if (r < 0)
		return r;
	*ret = (struct engine_adapter_info){ .parameters = info.parameters, .rank = info.rank };
	snprintf(ret->arch, sizeof(ret->arch), "%s", info.arch);
	snprintf(ret->weights, sizeof(ret->weights), "%s", info.weights);
	return 0;
}

int engine_adapter_file_open(const char *path, struct gguf **ret, struct error *error)
{
	return lora_read_keys(ret, path, error);
}

struct engine_adapter_key engine_adapter_key(const struct engine_adapter_use *use)
{
	struct engine_adapter_key key = { .id = use->adapter->id };

	memcpy(&key.scale, &use->scale, sizeof(use->scale));
	return key;
}

/* ---- items ---- */

int adapting_check(const struct engine_model *model, const struct engine_item *item)
{
	if (item->adapter_count > ENGINE_ADAPTERS_MAX)
		return -EINVAL;
	for (unsigned int i = 0; i < item->adapter_count; i++)
		if (!item->adapters[i].adapter || item->adapters[i].adapter->model != model ||
		    !isfinite(item->adapters[i].scale))
			return -EINVAL;
	return 0;
}

bool adapting_is_same(const struct engine_item *a, const struct engine_item *b)
{
	if (a->adapter_count != b->adapter_count)
		return false;
	for (unsigned int i = 0; i < a->adapter_count; i++)
		if (a->adapters[i].adapter != b->adapters[i].adapter ||
		    memcmp(&a->adapters[i].scale, &b->adapters[i].scale, sizeof(float)))
			return false;
	return true;
}
