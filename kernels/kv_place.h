/* SPDX-License-Identifier: MIT */
/*
 * Where the elements of one key or value lie in a page, for those who write it. kernels/attn.h says
 * how a page is laid out.
 */
#ifndef LLMOS_KERNELS_KV_PLACE_H
#define LLMOS_KERNELS_KV_PLACE_H

#include <string.h>

#include "kernels/kernels.h"

/**
 * struct kern_kv_place - of a key or value
 * @elem: its first element (of Q4_0: its first byte, of two elements)
 * @elem_step: from one element, or such a byte, to the next
 * @scale: its first scale
 * @scale_step: from a scale to the next
 */
struct kern_kv_place {
	uint8_t *elem;
	size_t elem_step;
	uint8_t *scale;
	size_t scale_step;
};

static inline struct kern_kv_place kern_kv_key_place(const struct kern_kv *kv, void *plane,
						     uint32_t slot)
{
	const size_t size = kv->type == KERN_F32 ? 4 : kv->type == KERN_F16 ? 2 : 1;

	return (struct kern_kv_place){
		.elem = (uint8_t *)plane + slot * size,
		.elem_step = kv->page_tokens * size,
		.scale = (uint8_t *)plane + kern_kv_elem_bytes(kv) + (size_t)slot * 2,
		.scale_step = (size_t)kv->page_tokens * 2,
	};
}

static inline struct kern_kv_place kern_kv_value_place(const struct kern_kv *kv, void *plane,
						       uint32_t slot)
{
	const size_t size = kv->type == KERN_F32 ? 4 : kv->type == KERN_F16 ? 2 : 1;
	const size_t bytes = kern_kv_elem_bytes(kv);

	return (struct kern_kv_place){
		.elem = (uint8_t *)plane + bytes / kv->page_tokens * slot,
		.elem_step = size,
		.scale = (uint8_t *)plane + bytes + (size_t)slot * kern_kv_blocks(kv) * 2,
		.scale_step = 2,
	};
}

/** kern_kv_put_block() - block number @block, of @count whole numbers, Q8_0 or Q4_0 */
static inline void kern_kv_put_block(const struct kern_kv *kv, const struct kern_kv_place *place,
				     uint32_t block, const int8_t *x, uint32_t count, uint16_t scale)
{
	const uint32_t first = block * KERN_KV_BLOCK;

	memcpy(place->scale + block * place->scale_step, &scale, sizeof(scale));
	if (kv->type == KERN_Q8_0) {
		for (uint32_t i = 0; i < count; i++)
			place->elem[(first + i) * place->elem_step] = (uint8_t)x[i];
		return;
	}
	for (uint32_t i = 0; i < count; i += 2)
		place->elem[(first + i) / 2 * place->elem_step] =
			(uint8_t)((x[i] + 8) | (x[i + 1] + 8) << 4);
}

#endif /* LLMOS_KERNELS_KV_PLACE_H */
