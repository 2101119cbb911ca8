/* SPDX-License-Identifier: MIT */
/*
 * What architectures have besides a Llama, in files that are almost right: every key out of its
 * bounds, every tensor missing or of another shape. And what becomes of keys that have one value
 * for each layer, fused and stacked tensors, windows and their patterns.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "model/model.h"
#include "tests/unit/arch_build.h"

/** struct bound - a file, and the model that is bound to it */
struct bound {
	struct gguf *gguf;
	struct model *model;
	struct error error;
	int r;
};

static struct bound bind_build(struct gguf_build *b)
{
	const int fd = gguf_build_finish(b);
	struct bound m = { 0 };
	char path[64];

	gguf_build_path(fd, path, sizeof(path));
	m.r = gguf_open(&m.gguf, path, &m.error);
	close(fd);
	if (m.r >= 0)
		m.r = model_new(&m.model, m.gguf, &m.error);
	return m;
}

static void unbind(struct bound *m)
{
	model_free(m->model);
	gguf_free(m->gguf);
}

static void refuse(struct gguf_build *b, int r, const char *text)
{
	struct bound m = bind_build(b);

	if (m.r != r || !strstr(m.error.text, text))
		fail_msg("wanted %d and '%s', have %d and '%s'", r, text, m.r, m.error.text);
	assert_null(m.model);
	unbind(&m);
}

static struct bound accept(struct gguf_build *b)
{
	struct bound m = bind_build(b);

	if (m.r < 0)
		fail_msg("%s", m.error.text);
	return m;
}

/* begin() - all keys but @skip */
static struct gguf_build begin(const struct arch_shape *s, const char *skip)
{
	struct gguf_build b = { .skip = skip };

	arch_build_keys(&b, s);
	b.skip = NULL;
	return b;
}

/* matrices of heads that are too short become copies; others stay where they are */
static void check_padding(struct model *model)
{
	const struct model_hparams *p = &model->hparams;
	struct model_layer *l = &model->layers[p->layers - 1];
	const bool is_short = p->head_elems != p->head_dim;
	const size_t before = model->copied_bytes, o_bytes =
		(size_t)p->width * p->heads * p->head_dim * sizeof(float);
	struct error error = { "" };

	assert_false(l->q.is_copy);
	assert_int_equal(model_pad_heads(model, &error), 0);
	assert_int_equal(l->q.w.rows, p->heads * p->head_dim);
	assert_int_equal(l->v.w.rows, p->kv_heads * p->head_dim);
	assert_int_equal(l->o.w.cols, p->heads * p->head_dim);
	assert_int_equal(l->q.is_copy, is_short);
	assert_int_equal(l->o.is_copy, is_short);
	assert_true(model->copied_bytes >= before + is_short * p->layers * o_bytes);
	if (!is_short)
		assert_int_equal(model->copied_bytes, before);
	model_drop_copy(model, &l->o);
	model_drop_copy(model, &l->o);
	assert_int_equal(!l->o.w.data, is_short);
}

static void test_all(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(arch_shapes); i++) {
		const struct arch_shape *s = &arch_shapes[i];
		struct gguf_build b = begin(s, NULL);
		struct bound m;

		arch_build_tensors(&b, s, KERN_F16);
		m = accept(&b);
		assert_string_equal(m.model->hparams.arch, s->arch);
		assert_int_equal(m.model->hparams.head_elems, s->head_dim);
		assert_int_equal(m.model->hparams.head_dim, (s->head_dim + 7) / 8 * 8);
		/* whoever wants facts only reads no weights, and takes no memory for them */
		assert_int_equal(m.model->layers[0].q.w.rows, s->heads * s->head_dim);
		assert_true(gguf_has(m.gguf, (uintptr_t)m.model->layers[0].q.w.data));
		check_padding(m.model);
		assert_int_equal(!!m.model->layers[1].q_norm, s->has_head_norms);
		assert_int_equal(!!m.model->layers[1].ffn_post_norm.weight, s->has_post_norms);
		assert_int_equal(!!m.model->layers[1].experts, !!s->experts);
		assert_int_equal(m.model->hparams.rope.dim, s->has_positions ? 0 : s->head_dim);
		assert_int_equal(m.model->hparams.rope.is_neox, strcmp(s->arch, "llama") &&
								strcmp(s->arch, "smollm3") &&
								strcmp(s->arch, "gpt2"));
		for (uint32_t j = 0; j < s->layers; j++)
			assert_int_equal(m.model->layers[j].has_no_rope,
					 !strcmp(s->arch, "smollm3") && j == 3);
		assert_string_equal(m.model->weights, "F16");
		unbind(&m);
	}
}

/* tensor_count() - of a whole file */
static uint64_t tensor_count(const struct arch_shape *s)
{
	struct gguf_build b = begin(s, NULL);
	uint64_t count;

	arch_build_tensors(&b, s, KERN_F16);
	count = b.tensor_count;
	close(gguf_build_finish(&b));
	return count;
}

/* each tensor of each architecture left out, where it has one of that name */
static void test_missing(void **state)
{
	static const char *const parts[] = {
		"blk.1.attn_norm.weight", "blk.1.attn_q.weight", "blk.1.attn_qkv.weight",
		"blk.1.attn_q_norm.weight", "blk.1.attn_k_norm.weight", "blk.1.attn_output.weight",
		"blk.1.post_attention_norm.weight", "blk.1.ffn_norm.weight",
		"blk.1.ffn_gate.weight", "blk.1.ffn_up.weight", "blk.1.ffn_down.weight",
		"blk.1.post_ffw_norm.weight", "blk.1.ffn_gate_exps.weight",
		"blk.1.ffn_up_exps.weight", "blk.1.ffn_down_exps.weight",
		"blk.1.attn_norm.bias", "output_norm.weight", "position_embd.weight",
	};
	uint32_t refused = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(arch_shapes); i++)
		for (size_t j = 0; j < ARRAY_SIZE(parts); j++) {
			const struct arch_shape *s = &arch_shapes[i];
			struct gguf_build b = begin(s, NULL);
			struct bound m;
			bool had;

			b.skip = parts[j];
			arch_build_tensors(&b, s, KERN_F16);
			had = b.tensor_count != tensor_count(s);
			m = bind_build(&b);
			if (had ? m.r != -EBADMSG || !strstr(m.error.text, "is missing") : m.r < 0)
				fail_msg("%s without %s: %d '%s'", s->name, parts[j], m.r,
					 m.error.text);
			refused += had;
			unbind(&m);
		}
	assert_true(refused > 80);
}

static void refuse_key(const char *name, const char *suffix, uint32_t value, int r,
		       const char *text)
{
	const struct arch_shape *s = arch_shape_find(name);
	struct arch_key key = arch_key(s, suffix);
	struct gguf_build b = begin(s, key.text);

	gguf_build_u32(&b, key.text, value);
	arch_build_tensors(&b, s, KERN_F32);
	refuse(&b, r, text);
}

static void test_keys(void **state)
{
	(void)state;
	refuse_key("qwen3moe", "expert_count", 0, -EBADMSG, "expert_count");
	refuse_key("qwen3moe", "expert_count", 7, -EBADMSG, "ffn_gate_inp");
	refuse_key("qwen3moe", "expert_count", 1 << 20, -EBADMSG, "expert_count");
	refuse_key("qwen3moe", "expert_used_count", 0, -EBADMSG, "expert_used_count");
	refuse_key("qwen3moe", "expert_used_count", 9, -EBADMSG, "expert_used_count");
	refuse_key("qwen3moe", "expert_feed_forward_length", 64, -EBADMSG, "ffn_gate_exps");
	refuse_key("qwen3moe", "expert_feed_forward_length", 0, -EBADMSG, "expert_feed_forward");
	refuse_key("gemma2", "attention.sliding_window", UINT32_MAX, -EBADMSG, "sliding_window");
	refuse_key("gemma2", "attn_logit_softcapping", 1, -EBADMSG, "attn_logit_softcapping");
	refuse_key("gpt2", "context_length", 4096, -EBADMSG, "128 positions");
	refuse_key("gpt2", "attention.layer_norm_epsilon", 1, -EBADMSG, "layer_norm_epsilon");
	refuse_key("phi3-long", "attention.head_count_kv", 4, -EBADMSG, "attn_qkv");
}

/* ---- patterns of windows ---- */

static void check_windows(const struct bound *m, const char *local)
{
	for (uint32_t i = 0; i < m->model->hparams.layers; i++)
		assert_int_equal(m->model->layers[i].window, local[i] == '1' ? 16 : 0);
}

static void test_windows(void **state)
{
	static const bool list[] = { true, false, false, true };
	const struct arch_shape *s = arch_shape_find("gemma2");
	const char *key = "gemma2.attention.sliding_window_pattern";
	struct gguf_build b = begin(s, NULL);
	struct bound m;

	(void)state;
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	check_windows(&m, "1010");
	unbind(&m);

	b = begin(s, NULL);
	gguf_build_u32(&b, key, 4);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	check_windows(&m, "1110");
	unbind(&m);

	b = begin(s, NULL);
	gguf_build_array(&b, key, GGUF_BOOL, list, 1, 4);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	check_windows(&m, "1001");
	unbind(&m);

	b = begin(s, NULL);
	gguf_build_array(&b, key, GGUF_BOOL, list, 1, 3);
	arch_build_tensors(&b, s, KERN_F32);
	refuse(&b, -EBADMSG, "sliding_window_pattern");

	s = arch_shape_find("gemma3");
	b = begin(s, NULL);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	check_windows(&m, "111110");
	assert_true(m.model->layers[4].has_local_rope && !m.model->layers[5].has_local_rope);
	unbind(&m);
}

/* ---- several spellings of one thing ---- */

static void test_layer_arrays(void **state)
{
	static const uint32_t same[] = { 2, 2 }, others[] = { 2, 4 };
	const struct arch_shape *s = arch_shape_find("llama");
	const char *key = "llama.attention.head_count_kv";
	struct gguf_build b = begin(s, key);
	struct bound m;

	(void)state;
	gguf_build_array(&b, key, GGUF_U32, same, sizeof(*same), 2);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	assert_int_equal(m.model->hparams.kv_heads, 2);
	unbind(&m);

	b = begin(s, key);
	gguf_build_array(&b, key, GGUF_U32, others, sizeof(*others), 2);
	arch_build_tensors(&b, s, KERN_F32);
	refuse(&b, -EOPNOTSUPP, "differs from layer to layer");

	b = begin(s, key);
	gguf_build_array(&b, key, GGUF_U32, same, sizeof(*same), 0);
	arch_build_tensors(&b, s, KERN_F32);
	refuse(&b, -EOPNOTSUPP, "head_count_kv");
}

static void test_rope_style(void **state)
{
	const struct arch_shape *s = arch_shape_find("llama");
	struct gguf_build b = begin(s, NULL);
	struct bound m;

	(void)state;
	gguf_build_bool(&b, "llmos.rope.neox", true);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	assert_true(m.model->hparams.rope.is_neox);
	unbind(&m);

	b = begin(s, NULL);
	gguf_build_u32(&b, "llmos.rope.neox", 1);
	arch_build_tensors(&b, s, KERN_F32);
	refuse(&b, -EBADMSG, "llmos.rope.neox");
}

/* experts_apart() - layer @i's experts, one tensor each; expert 1 of layer 1 has weights of @odd */
static void experts_apart(struct gguf_build *b, const struct arch_shape *s, uint32_t i,
			  uint32_t odd)
{
	static const char *const parts[] = { "ffn_gate", "ffn_up", "ffn_down" };
	char name[64];

	for (uint32_t part = 0; part < ARRAY_SIZE(parts); part++)
		for (uint32_t e = 0; e < s->experts; e++) {
			snprintf(name, sizeof(name), "blk.%u.%s.%u.weight", i, parts[part], e);
			gguf_build_matrix(b, name, i && e == 1 ? odd : (uint32_t)KERN_F32,
					  part < 2 ? s->ff_width : s->width,
					  part < 2 ? s->width : s->ff_width);
		}
}

static void build_apart(struct gguf_build *b, const struct arch_shape *s, uint32_t odd)
{
	*b = begin(s, NULL);
	gguf_build_matrix(b, "token_embd.weight", KERN_F32, s->vocab, s->width);
	for (uint32_t i = 0; i < s->layers; i++) {
		arch_build_attention(b, s, KERN_F32, i);
		arch_build_layer_norm(b, s, i, "ffn_norm", s->width);
		arch_build_part(b, s, KERN_F32, i, "ffn_gate_inp", s->experts, s->width);
		experts_apart(b, s, i, odd);
	}
	arch_build_norm(b, s, "output_norm", s->width);
}

static void test_experts_apart(void **state)
{
	const struct arch_shape *s = arch_shape_find("mixtral");
	struct gguf_build b;
	struct bound m;

	(void)state;
	build_apart(&b, s, KERN_F32);
	m = accept(&b);
	for (uint32_t e = 0; e < s->experts; e++)
		assert_ptr_equal(m.model->layers[1].experts[e].up.w.data,
				 gguf_tensor_find(m.gguf, (const char *[]){
					 "blk.1.ffn_up.0.weight", "blk.1.ffn_up.1.weight",
					 "blk.1.ffn_up.2.weight", "blk.1.ffn_up.3.weight" }[e])->data);
	unbind(&m);
	build_apart(&b, s, KERN_F16);
	refuse(&b, -EOPNOTSUPP, "experts of layer 1");
}

/* what is fused or stacked is bound where it lies */
static void test_views(void **state)
{
	const struct arch_shape *s = arch_shape_find("gpt2");
	struct gguf_build b = begin(s, NULL);
	const struct model_layer *l;
	const float *bias;
	const char *qkv;
	struct bound m;

	(void)state;
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	l = &m.model->layers[1];
	qkv = gguf_tensor_find(m.gguf, "blk.1.attn_qkv.weight")->data;
	assert_ptr_equal(l->q.w.data, qkv);
	assert_ptr_equal(l->v.w.data, qkv + 2 * 64 * 64 * sizeof(float));
	/* vectors are copies */
	bias = gguf_tensor_find(m.gguf, "blk.1.attn_qkv.bias")->data;
	assert_ptr_not_equal(l->q.bias, bias);
	assert_memory_equal(l->q.bias, bias, 64 * sizeof(float));
	assert_memory_equal(l->v.bias, bias + 2 * 64, 64 * sizeof(float));
	assert_memory_not_equal(l->v.bias, bias, 64 * sizeof(float));
	assert_int_equal(l->ffn.gate.w.rows, 0);
	unbind(&m);
	s = arch_shape_find("qwen3moe");
	b = begin(s, NULL);
	arch_build_tensors(&b, s, KERN_F32);
	m = accept(&b);
	l = &m.model->layers[1];
	assert_ptr_equal(l->experts[7].down.w.data,
			 (const char *)gguf_tensor_find(m.gguf, "blk.1.ffn_down_exps.weight")->data +
				 7 * 64 * 32 * sizeof(float));
	unbind(&m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_missing),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_windows),
		cmocka_unit_test(test_layer_arrays),
		cmocka_unit_test(test_rope_style),
		cmocka_unit_test(test_experts_apart),
		cmocka_unit_test(test_views),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
