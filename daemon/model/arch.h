/* SPDX-License-Identifier: MIT */
/*
 * Architectures by the names that files give them: what each computes differently from the others,
 * as data, and a reader of the keys that it alone has. One file for each family of them.
 */
#ifndef LLMOS_MODEL_ARCH_H
#define LLMOS_MODEL_ARCH_H

#include "model/keys.h"
#include "model/model.h"

/**
 * struct model_arch - see above
 * @hparams: what is fixed for the architecture
 * @read: the keys of its own, once those that all have are read: 0 or as keys_u32(). NULL: none
 */
struct model_arch {
	const char *name;
	struct model_hparams hparams;
	int (*read)(struct model_hparams *p, const struct keys *keys);
};

/* each ends with a name that is NULL */
extern const struct model_arch model_arch_llama[];
extern const struct model_arch model_arch_qwen[];
extern const struct model_arch model_arch_gemma[];
extern const struct model_arch model_arch_phi[];
extern const struct model_arch model_arch_gpt2[];
extern const struct model_arch model_arch_bert[];

/** model_read_window() - a sliding window on all layers, where the file has one */
int model_read_window(struct model_hparams *p, const struct keys *keys);
/** model_read_experts() - how many, and how wide; @is_required: not without them */
int model_read_experts(struct model_hparams *p, const struct keys *keys, bool is_required);

#endif /* LLMOS_MODEL_ARCH_H */
