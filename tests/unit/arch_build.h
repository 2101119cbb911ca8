/* SPDX-License-Identifier: MIT */
/*
 * Makes GGUF files of small random models of every architecture, with keys and tensors named as the
 * converters name them, whole or with one thing wrong. Include cmocka before this.
 */
#ifndef LLMOS_TESTS_UNIT_ARCH_BUILD_H
#define LLMOS_TESTS_UNIT_ARCH_BUILD_H

#include "tests/unit/gguf_build.h"

/** struct arch_shape - a model to make; what is 0 or false it does not have */
struct arch_shape {
	const char *name;		/* of the case */
	const char *arch;
	uint32_t layers, width, heads, kv_heads, head_dim, ff_width, vocab, context;
	uint32_t window, experts, experts_used, expert_width;
	uint32_t dense;			/* first layers that have no experts, as others do */
	const char *local;		/* a letter for each layer, 'w' where it has the window */
	bool is_fused;			/* queries, keys and values, gate and up */
	bool has_head_norms, has_post_norms, has_qkv_biases, has_output, has_positions;
	bool has_layer_norms;		/* and biases everywhere, and no gate */
	bool has_factors;		/* two sets of divisors, the first one up to half the context */
	float scaling;			/* linear, of the rope */
	float score_cap, logit_cap;
};

#define ARCH_SIZES(kv, dim)	.width = 64, .heads = 4, .kv_heads = (kv), .head_dim = (dim), \
				.ff_width = 96, .vocab = 48, .context = 128

/* heads of a size that the engine makes a multiple of 8 */
#define ARCH_NARROW(dim)	.width = 64, .heads = 8, .kv_heads = 2, .head_dim = (dim), \
				.ff_width = 96, .vocab = 48, .context = 128

static const struct arch_shape arch_shapes[] = {
	{ .name = "llama", .arch = "llama", ARCH_SIZES(2, 32), .layers = 2, .has_output = true },
	{ .name = "mistral", .arch = "llama", ARCH_SIZES(2, 32), .layers = 2, .window = 40 },
	{ .name = "mixtral", .arch = "llama", ARCH_SIZES(2, 32), .layers = 2, .experts = 4,
	  .experts_used = 2 },
	{ .name = "smollm3", .arch = "smollm3", ARCH_SIZES(2, 32), .layers = 5 },
	{ .name = "qwen2", .arch = "qwen2", ARCH_SIZES(2, 32), .layers = 2, .has_qkv_biases = true },
	{ .name = "qwen3", .arch = "qwen3", ARCH_SIZES(2, 32), .layers = 2, .has_head_norms = true,
	  .has_output = true },
	{ .name = "qwen3moe", .arch = "qwen3moe", ARCH_SIZES(2, 32), .layers = 2, .has_head_norms = true,
	  .experts = 8, .experts_used = 3, .expert_width = 32 },
	{ .name = "qwen2-window", .arch = "qwen2", ARCH_SIZES(1, 16), .layers = 3, .window = 16,
	  .has_qkv_biases = true, .local = "-ww" },
	{ .name = "qwen3moe-mixed", .arch = "qwen3moe", ARCH_SIZES(2, 32), .layers = 3,
	  .has_head_norms = true, .experts = 8, .experts_used = 3, .expert_width = 32, .dense = 1 },
	{ .name = "llama-narrow", .arch = "llama", ARCH_NARROW(20), .layers = 2 },
	{ .name = "qwen3-narrow", .arch = "qwen3", ARCH_NARROW(12), .layers = 2,
	  .has_head_norms = true },
	{ .name = "phi3-narrow", .arch = "phi3", ARCH_NARROW(4), .layers = 2, .window = 33,
	  .is_fused = true },
	{ .name = "gemma", .arch = "gemma", ARCH_SIZES(2, 32), .layers = 2 },
	{ .name = "gemma2", .arch = "gemma2", ARCH_SIZES(2, 32), .layers = 4, .window = 16,
	  .has_post_norms = true, .score_cap = 2, .logit_cap = 3 },
	{ .name = "gemma3", .arch = "gemma3", ARCH_SIZES(2, 32), .layers = 6, .window = 16,
	  .has_post_norms = true, .has_head_norms = true, .scaling = 8 },
	{ .name = "phi3", .arch = "phi3", ARCH_SIZES(2, 16), .layers = 2, .window = 33,
	  .is_fused = true, .has_output = true },
	{ .name = "phi3-long", .arch = "phi3", ARCH_SIZES(2, 16), .layers = 2,
	  .is_fused = true, .has_output = true, .has_factors = true },
	{ .name = "gpt2", .arch = "gpt2", ARCH_SIZES(4, 16), .layers = 2,
	  .is_fused = true, .has_layer_norms = true, .has_positions = true },
};

static inline const struct arch_shape *arch_shape_find(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(arch_shapes); i++)
		if (!strcmp(arch_shapes[i].name, name))
			return &arch_shapes[i];
	fail_msg("no architecture '%s'", name);
	return NULL;
}

struct arch_key {
	char text[96];
};

static inline struct arch_key arch_key(const struct arch_shape *s, const char *suffix)
{
	struct arch_key key;

	snprintf(key.text, sizeof(key.text), "%s.%s", s->arch, suffix);
	return key;
}

static inline void arch_build_number(struct gguf_build *b, const struct arch_shape *s,
				     const char *suffix, uint32_t value)
{
	if (value)
		gguf_build_u32(b, arch_key(s, suffix).text, value);
}

static inline void arch_build_real(struct gguf_build *b, const struct arch_shape *s,
				   const char *suffix, float value)
{
	if (value != 0)
		gguf_build_f32(b, arch_key(s, suffix).text, value);
}

static inline void arch_build_local(struct gguf_build *b, const struct arch_shape *s)
{
	bool is_local[16];

	if (!s->local)
		return;
	for (uint32_t i = 0; i < s->layers; i++)
		is_local[i] = s->local[i] == 'w';
	gguf_build_array(b, arch_key(s, "attention.sliding_window_pattern").text, GGUF_BOOL,
			 is_local, sizeof(*is_local), s->layers);
}

static inline bool arch_has_experts(const struct arch_shape *s, uint32_t layer)
{
	return s->experts && layer >= s->dense;
}

static inline void arch_build_keys(struct gguf_build *b, const struct arch_shape *s)
{
	gguf_build_string(b, "general.architecture", s->arch);
	gguf_build_string(b, "tokenizer.ggml.model", "no_vocab");
	arch_build_number(b, s, "context_length", s->context);
	arch_build_number(b, s, "block_count", s->layers);
	arch_build_number(b, s, "embedding_length", s->width);
	arch_build_number(b, s, "feed_forward_length", s->ff_width);
	arch_build_number(b, s, "attention.head_count", s->heads);
	if (s->kv_heads != s->heads)
		arch_build_number(b, s, "attention.head_count_kv", s->kv_heads);
	if (s->head_dim != s->width / s->heads) {
		arch_build_number(b, s, "attention.key_length", s->head_dim);
		arch_build_number(b, s, "attention.value_length", s->head_dim);
	}
	arch_build_real(b, s, s->has_layer_norms ? "attention.layer_norm_epsilon"
						 : "attention.layer_norm_rms_epsilon", 1e-5f);
	arch_build_number(b, s, "attention.sliding_window", s->window);
	arch_build_local(b, s);
	arch_build_number(b, s, "expert_count", s->experts);
	arch_build_number(b, s, "expert_used_count", s->experts_used);
	arch_build_number(b, s, "expert_feed_forward_length", s->expert_width);
	arch_build_real(b, s, "attn_logit_softcapping", s->score_cap);
	arch_build_real(b, s, "final_logit_softcapping", s->logit_cap);
	arch_build_real(b, s, "rope.scaling.factor", s->scaling);
	if (s->has_factors) {
		arch_build_number(b, s, "rope.scaling.original_context_length", s->context / 2);
		arch_build_real(b, s, "rope.scaling.attn_factor", 1.1f);
	}
}

static inline void arch_build_norm(struct gguf_build *b, const struct arch_shape *s,
				   const char *prefix, uint32_t elems)
{
	char name[80];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	gguf_build_vector(b, name, KERN_F32, elems, 1);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	if (s->has_layer_norms)
		gguf_build_vector(b, name, KERN_F32, elems, 0);
}

static inline void arch_build_part(struct gguf_build *b, const struct arch_shape *s, uint32_t type,
				   uint32_t layer, const char *part, uint32_t rows, uint32_t cols)
{
	char name[80];

	snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, part);
	gguf_build_matrix(b, name, type, rows, cols);
	snprintf(name, sizeof(name), "blk.%u.%s.bias", layer, part);
	if (s->has_layer_norms ||
	    (s->has_qkv_biases && strchr("qkv", part[5]) && part[6] == 0))
		gguf_build_vector(b, name, KERN_F32, rows, 0);
}

static inline void arch_build_layer_norm(struct gguf_build *b, const struct arch_shape *s,
					 uint32_t layer, const char *part, uint32_t elems)
{
	char name[64];

	snprintf(name, sizeof(name), "blk.%u.%s", layer, part);
	arch_build_norm(b, s, name, elems);
}

static inline void arch_build_attention(struct gguf_build *b, const struct arch_shape *s,
					uint32_t type, uint32_t i)
{
	const uint32_t q = s->heads * s->head_dim, kv = s->kv_heads * s->head_dim;

	arch_build_layer_norm(b, s, i, "attn_norm", s->width);
	if (s->is_fused) {
		arch_build_part(b, s, type, i, "attn_qkv", q + 2 * kv, s->width);
	} else {
		arch_build_part(b, s, type, i, "attn_q", q, s->width);
		arch_build_part(b, s, type, i, "attn_k", kv, s->width);
		arch_build_part(b, s, type, i, "attn_v", kv, s->width);
	}
	if (s->has_head_norms) {
		arch_build_layer_norm(b, s, i, "attn_q_norm", s->head_dim);
		arch_build_layer_norm(b, s, i, "attn_k_norm", s->head_dim);
	}
	arch_build_part(b, s, type, i, "attn_output", s->width, q);
	if (s->has_post_norms)
		arch_build_layer_norm(b, s, i, "post_attention_norm", s->width);
}

static inline void arch_build_experts(struct gguf_build *b, const struct arch_shape *s,
				      uint32_t type, uint32_t i)
{
	const uint32_t width = s->expert_width ? s->expert_width : s->ff_width;
	char name[64];

	/* decided: at a near-tie, rounding would choose another expert */
	snprintf(name, sizeof(name), "blk.%u.ffn_gate_inp.weight", i);
	gguf_build_tensor_info(b, name, KERN_F32, 2, (uint64_t[]){ s->width, s->experts });
	for (uint32_t j = 0; j < s->experts * s->width; j++)
		gguf_build_elem(b, KERN_F32, 2, 0);
	snprintf(name, sizeof(name), "blk.%u.ffn_gate_exps.weight", i);
	gguf_build_stack(b, name, type, s->experts, width, s->width);
	snprintf(name, sizeof(name), "blk.%u.ffn_up_exps.weight", i);
	gguf_build_stack(b, name, type, s->experts, width, s->width);
	snprintf(name, sizeof(name), "blk.%u.ffn_down_exps.weight", i);
	gguf_build_stack(b, name, type, s->experts, s->width, width);
}

static inline void arch_build_ffn(struct gguf_build *b, const struct arch_shape *s, uint32_t type,
				  uint32_t i)
{
	if (!s->is_fused)
		arch_build_part(b, s, type, i, "ffn_gate", s->ff_width, s->width);
	arch_build_part(b, s, type, i, "ffn_up",
			s->ff_width * (s->is_fused && !s->has_layer_norms ? 2 : 1), s->width);
	arch_build_part(b, s, type, i, "ffn_down", s->width, s->ff_width);
}

static inline void arch_build_layer(struct gguf_build *b, const struct arch_shape *s, uint32_t type,
				    uint32_t i)
{
	arch_build_attention(b, s, type, i);
	arch_build_layer_norm(b, s, i, "ffn_norm", s->width);
	if (arch_has_experts(s, i))
		arch_build_experts(b, s, type, i);
	else
		arch_build_ffn(b, s, type, i);
	if (s->has_post_norms)
		arch_build_layer_norm(b, s, i, "post_ffw_norm", s->width);
}

static inline void arch_build_tensors(struct gguf_build *b, const struct arch_shape *s,
				      uint32_t type)
{
	b->rng = 1;
	b->finer = 2;
	gguf_build_matrix(b, "token_embd.weight", type, s->vocab, s->width);
	if (s->has_positions)
		gguf_build_matrix(b, "position_embd.weight", KERN_F32, s->context, s->width);
	for (uint32_t i = 0; i < s->layers; i++)
		arch_build_layer(b, s, type, i);
	arch_build_norm(b, s, "output_norm", s->width);
	if (s->has_output)
		gguf_build_matrix(b, "output.weight", type, s->vocab, s->width);
	if (s->has_factors) {
		gguf_build_vector(b, "rope_factors_short.weight", KERN_F32, s->head_dim / 2, 1.5f);
		gguf_build_vector(b, "rope_factors_long.weight", KERN_F32, s->head_dim / 2, 4);
	}
}

/* arch_build() - a whole model with matrices of @type, as a descriptor */
static inline int arch_build(const struct arch_shape *s, uint32_t type)
{
	struct gguf_build b = { 0 };

	arch_build_keys(&b, s);
	arch_build_tensors(&b, s, type);
	return gguf_build_finish(&b);
}

#endif /* LLMOS_TESTS_UNIT_ARCH_BUILD_H */
