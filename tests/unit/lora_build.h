/* SPDX-License-Identifier: MIT */
/*
 * Makes GGUF files of small random adapters for the models of arch_build.h, whole or with one thing
 * wrong. Include cmocka before this.
 */
#ifndef LLMOS_TESTS_UNIT_LORA_BUILD_H
#define LLMOS_TESTS_UNIT_LORA_BUILD_H

#include "tests/unit/arch_build.h"

/** struct lora_shape - an adapter to make; @rank: of all pairs; @alpha: 0: the file has none */
struct lora_shape {
	uint32_t rank;
	uint32_t type;
	float alpha;
	uint64_t seed;
	bool has_output;
};

/* lora_build_pair() - of a matrix (rows, cols) */
static inline void lora_build_pair(struct gguf_build *b, const struct lora_shape *l,
				   const char *matrix, uint32_t rows, uint32_t cols)
{
	char name[96];

	snprintf(name, sizeof(name), "%s.weight.lora_a", matrix);
	gguf_build_matrix(b, name, l->type, l->rank, cols);
	snprintf(name, sizeof(name), "%s.weight.lora_b", matrix);
	gguf_build_matrix(b, name, l->type, rows, l->rank);
}

static inline void lora_build_layer(struct gguf_build *b, const struct arch_shape *s,
				    const struct lora_shape *l, uint32_t layer)
{
	const uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;
	const bool is_gate_fused = s->is_fused && !s->has_layer_norms;
	const bool is_whole = !(s->head_dim % 8);	/* others can't be adapted */
	const bool has_experts = arch_has_experts(s, layer);
	const struct {
		const char *name;
		uint32_t rows, cols;
	} matrices[] = {
		{ "attn_qkv", s->is_fused && is_whole ? q + 2 * kv : 0, s->width },
		{ "attn_q", s->is_fused || !is_whole ? 0 : q, s->width },
		{ "attn_k", s->is_fused || !is_whole ? 0 : kv, s->width },
		{ "attn_v", s->is_fused || !is_whole ? 0 : kv, s->width },
		{ "attn_output", is_whole ? s->width : 0, q },
		{ "ffn_gate", s->is_fused || has_experts ? 0 : s->ff_width, s->width },
		{ "ffn_up", has_experts ? 0 : (is_gate_fused ? 2 : 1) * s->ff_width, s->width },
		{ "ffn_down", has_experts ? 0 : s->width, s->ff_width },
	};
	char name[64];

	for (size_t i = 0; i < ARRAY_SIZE(matrices); i++) {
		snprintf(name, sizeof(name), "blk.%u.%s", layer, matrices[i].name);
		if (matrices[i].rows)
			lora_build_pair(b, l, name, matrices[i].rows, matrices[i].cols);
	}
}

static inline void lora_build_keys(struct gguf_build *b, const char *arch,
				   const struct lora_shape *l)
{
	gguf_build_string(b, "general.type", "adapter");
	gguf_build_string(b, "general.architecture", arch);
	gguf_build_string(b, "adapter.type", "lora");
	if (l->alpha != 0)
		gguf_build_f32(b, "adapter.lora.alpha", l->alpha);
}

/* lora_build() - for all matrices that can be adapted, as a descriptor */
static inline int lora_build(const struct arch_shape *s, const struct lora_shape *l)
{
	struct gguf_build b = { .rng = l->seed };

	lora_build_keys(&b, s->arch, l);
	for (uint32_t i = 0; i < s->layers; i++)
		lora_build_layer(&b, s, l, i);
	if (l->has_output)
		lora_build_pair(&b, l, "output", s->vocab, s->width);
	return gguf_build_finish(&b);
}

#endif /* LLMOS_TESTS_UNIT_LORA_BUILD_H */
