/* SPDX-License-Identifier: MIT */
/*
 * Packed weights of a model: what the table of operations multiplies faster in panels than as rows
 * in the file (kernels/panel.h) is packed once, when the model is loaded, and stands in for the
 * file from then on. Results are the same bits. Matrices are laid out in the order in which a step
 * needs them; what can't be packed stays in the file. All of it belongs to the thread that loads.
 */
#ifndef LLMOS_ENGINE_PACK_H
#define LLMOS_ENGINE_PACK_H

#include "kernels/kernels.h"
#include "model/model.h"

struct gguf;
struct threads;

/** struct pack_item - a matrix, and where its panels go */
struct pack_item {
	struct model_matrix *matrix;
	size_t offset;
};

/**
 * struct pack - the packed weights of one model
 * @items: (count), in the order of their offsets
 * @bytes: of all panels
 * @source_bytes: of the rows in the file that they stand in for
 * @base: the panels; NULL: none
 * @map: what is mapped, @base in it (@map_bytes)
 * @kept: path of the file that is mapped, or is to become it; NULL: memory, or not known
 */
struct pack {
	struct pack_item *items;
	size_t count;
	size_t bytes;
	size_t source_bytes;
	uint8_t *base;
	uint8_t *map;
	size_t map_bytes;
	char *kept;
};

/**
 * pack_plan() - lay out what @ops takes in panels
 *
 * Return: 0, also where that is nothing (@bytes is 0); -ENOMEM; -EOVERFLOW more bytes than there
 * can be. pack_close() in any case.
 */
int pack_plan(struct pack *pack, struct model *model, const struct kern_ops *ops);
/** pack_alloc() - memory for the panels; -ENOMEM */
int pack_alloc(struct pack *pack);
/**
 * pack_fill() - pack every matrix into @base, without mapping the file's pages for that
 * @gguf: whose tensors they are
 *
 * Return: 0; -ENOMEM no room for a few rows of each thread; as gguf_read(), with its text.
 */
int pack_fill(struct pack *pack, struct threads *threads, const struct gguf *gguf,
	      struct error *error);
/**
 * pack_apply() - @model multiplies by the panels in @base from now on; it must not outlive them
 * @gguf: of the model: what the panels stand in for need not stay mapped
 */
void pack_apply(struct pack *pack, struct model *model, const struct gguf *gguf);
/** pack_unmap() - without panels again; before pack_apply() */
void pack_unmap(struct pack *pack);
void pack_close(struct pack *pack);

#endif /* LLMOS_ENGINE_PACK_H */
