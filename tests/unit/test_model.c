/* SPDX-License-Identifier: MIT */
/*
 * Model files that are almost right: every hyperparameter out of its bounds, every tensor missing or
 * of another shape or type. Each is refused with a line that names the thing; none is computed with.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "model/model.h"
#include "tests/unit/gguf_build.h"

static struct llama_shape tiny(void)
{
	struct llama_shape s = llama_shape_small;

	s.layers = 2;
	s.width = 64;
	s.heads = 4;
	s.kv_heads = 2;
	s.head_dim = 16;
	s.ff_width = 96;
	s.vocab = 40;
	return s;
}

/* bind() - what model_new() says of a file, which it closes */
static int bind_file(int fd, struct model **ret, struct gguf **ret_gguf, struct error *error)
{
	struct gguf *gguf = NULL;
	char path[64];
	int r;

	gguf_build_path(fd, path, sizeof(path));
	r = gguf_open(&gguf, path, error);
	close(fd);
	if (r < 0)
		return r;
	r = model_new(ret, gguf, error);
	if (r < 0 || !ret_gguf)
		gguf_free(gguf);
	else
		*ret_gguf = gguf;
	return r;
}

/* refuse() - the file is refused with @r, and the text contains @text */
static void refuse(int fd, int r, const char *text)
{
	struct model *model = NULL;
	struct error error = { 0 };
	const int have = bind_file(fd, &model, NULL, &error);

	if (have != r || !strstr(error.text, text))
		fail_msg("wanted %d and '%s', have %d and '%s'", r, text, have, error.text);
	assert_null(model);
}

static struct gguf_build begin(const struct llama_shape *s, const char *skip)
{
	struct gguf_build b = { .skip = skip };

	llama_build_keys(&b, s);
	b.skip = NULL;
	return b;
}

static void refuse_u32(const char *key, uint32_t value, int r, const char *text)
{
	const struct llama_shape s = tiny();
	struct gguf_build b = begin(&s, key);

	gguf_build_u32(&b, key, value);
	llama_build_tensors(&b, &s);
	refuse(gguf_build_finish(&b), r, text);
}

static void refuse_f32(const char *key, float value, const char *text)
{
	const struct llama_shape s = tiny();
	struct gguf_build b = begin(&s, key);

	gguf_build_f32(&b, key, value);
	llama_build_tensors(&b, &s);
	refuse(gguf_build_finish(&b), -EBADMSG, text);
}

static void refuse_string(const char *key, const char *value, int r, const char *text)
{
	const struct llama_shape s = tiny();
	struct gguf_build b = begin(&s, key);

	gguf_build_string(&b, key, value);
	llama_build_tensors(&b, &s);
	refuse(gguf_build_finish(&b), r, text);
}

static void test_good(void **state)
{
	struct llama_shape s = tiny();
	struct model *model = NULL;
	struct gguf *gguf = NULL;
	struct error error = { 0 };

	(void)state;
	s.has_biases = s.has_output = s.has_rope_freqs = true;
	s.vector_type = KERN_F16;
	s.type = KERN_Q8_0;
	s.value_type = KERN_F32;
	if (bind_file(llama_build(&s), &model, &gguf, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(model->hparams.layers, 2);
	assert_int_equal(model->hparams.vocab, 40);
	assert_int_equal(model->hparams.rope.dim, 16);
	assert_string_equal(model->weights, "Q8_0");
	assert_false(model->is_f32);
	assert_non_null(model->hparams.rope.divisors);
	assert_ptr_not_equal(model->output.w.data, model->embedding.w.data);
	for (uint32_t i = 0; i < 2; i++) {
		assert_non_null(model->layers[i].q.bias);
		assert_int_equal(model->layers[i].v.type, KERN_F32);
		for (uint32_t j = 0; j < s.width; j++)
			assert_true(model->layers[i].attn_norm.weight[j] > 0.7f &&
				    model->layers[i].attn_norm.weight[j] < 1.3f);
	}
	model_free(model);
	gguf_free(gguf);
	model_free(NULL);
}

static void test_defaults(void **state)
{
	const struct llama_shape s = tiny();
	struct gguf_build b = { 0 };
	struct model *model = NULL;
	struct gguf *gguf = NULL;
	struct error error = { 0 };

	(void)state;
	gguf_build_string(&b, "general.architecture", "llama");
	gguf_build_u32(&b, "llama.context_length", 77);
	gguf_build_u32(&b, "llama.block_count", s.layers);
	gguf_build_u32(&b, "llama.embedding_length", s.width);
	gguf_build_u32(&b, "llama.feed_forward_length", s.ff_width);
	gguf_build_u32(&b, "llama.attention.head_count", s.heads);
	gguf_build_u32(&b, "llama.attention.head_count_kv", s.kv_heads);
	gguf_build_f32(&b, "llama.attention.layer_norm_rms_epsilon", 1e-6f);
	llama_build_tensors(&b, &s);
	if (bind_file(gguf_build_finish(&b), &model, &gguf, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(model->hparams.head_dim, 16);
	assert_int_equal(model->hparams.rope.dim, 16);
	assert_float_equal(model->hparams.rope.freq_base, 10000, 0);
	assert_float_equal(model->hparams.rope.factor, 1, 0);
	assert_int_equal(model->hparams.rope.original_context, 77);
	assert_ptr_equal(model->output.w.data, model->embedding.w.data);
	assert_true(model->is_f32);
	assert_null(model->layers[0].q.bias);
	model_free(model);
	gguf_free(gguf);
}

static void test_bad_numbers(void **state)
{
	static const char *const sizes[] = {
		"llama.context_length", "llama.block_count", "llama.embedding_length",
		"llama.feed_forward_length", "llama.attention.head_count",
		"llama.attention.head_count_kv", "llama.attention.key_length",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(sizes); i++) {
		const char *name = sizes[i] + strlen("llama.");

		refuse_u32(sizes[i], 0, -EBADMSG, name);
		if (strcmp(name, "block_count"))
			refuse_u32(sizes[i], UINT32_MAX, -EBADMSG, name);
	}
	refuse_u32("llama.context_length", 1U << 31, -EBADMSG, "context_length");
	refuse_u32("llama.block_count", 3, -EBADMSG, "blk.2.attn_norm.weight' is missing");
	refuse_u32("llama.block_count", 4, -EBADMSG, "4 layers need more");
	refuse_u32("llama.block_count", 1, -EOPNOTSUPP, "a variant that is not");
	refuse_u32("llama.block_count", UINT32_MAX, -EBADMSG, "4294967295 layers need more");
	refuse_u32("llama.embedding_length", 128, -EBADMSG, "token_embd.weight");
	refuse_u32("llama.feed_forward_length", 97, -EBADMSG, "ffn_gate");
	refuse_u32("llama.attention.head_count", 3, -EBADMSG, "3 heads can't share 2");
	refuse_u32("llama.attention.head_count", 8, -EBADMSG, "attn_q");
	refuse_u32("llama.attention.head_count_kv", 3, -EBADMSG, "4 heads can't share 3");
	refuse_u32("llama.attention.head_count_kv", 4, -EBADMSG, "attn_k");
	refuse_u32("llama.attention.key_length", 12, -EOPNOTSUPP, "heads of 12 and 16");
	refuse_u32("llama.attention.value_length", 8, -EOPNOTSUPP, "heads of 16 and 8");
	refuse_u32("llama.rope.dimension_count", 0, -EBADMSG, "rope.dimension_count");
	refuse_u32("llama.rope.dimension_count", 18, -EBADMSG, "rope.dimension_count");
	refuse_u32("llama.rope.dimension_count", 15, -EBADMSG, "not even");
	refuse_u32("llama.vocab_size", 41, -EBADMSG, "vocab_size");
	refuse_u32("llama.expert_count", 8, -EBADMSG, "expert_used_count");
	refuse_u32("llama.rope.scaling.original_context_length", 0, -EBADMSG, "original_context");
}

static void test_bad_reals(void **state)
{
	(void)state;
	refuse_f32("llama.rope.freq_base", 0, "rope.freq_base");
	refuse_f32("llama.rope.freq_base", -1, "rope.freq_base");
	refuse_f32("llama.rope.freq_base", __builtin_nanf(""), "rope.freq_base");
	refuse_f32("llama.rope.freq_base", __builtin_inff(), "rope.freq_base");
	refuse_f32("llama.attention.layer_norm_rms_epsilon", -1e-5f, "layer_norm_rms_epsilon");
	refuse_f32("llama.attention.layer_norm_rms_epsilon", __builtin_nanf(""), "rms_epsilon");
	refuse_f32("llama.rope.scaling.factor", -2, "rope.scaling.factor");
	refuse_f32("llama.rope.scaling.factor", 1e30f, "rope.scaling.factor");
	refuse_f32("llama.rope.scale_linear", __builtin_inff(), "rope.scale_linear");
}

static void test_other_models(void **state)
{
	(void)state;
	refuse_string("general.architecture", "t5", -EOPNOTSUPP, "'t5'");
	refuse_string("general.architecture", "\x1b[2J\n", -EOPNOTSUPP, "architecture");
	refuse_string("llama.rope.scaling.type", "longrope", -EOPNOTSUPP, "'longrope'");
	refuse_string("llama.embedding_length", "big", -EOPNOTSUPP, "embedding_length");
	refuse_u32("llama.rope.scaling.type", 1, -EBADMSG, "rope.scaling.type");
	refuse_u32("llama.rope.freq_base", 10000, -EBADMSG, "not a floating-point number");
	refuse_u32("general.architecture", 1, -EBADMSG, "general.architecture");
}

static void test_missing_keys(void **state)
{
	static const char *const keys[] = {
		"general.architecture", "llama.context_length", "llama.block_count",
		"llama.embedding_length", "llama.feed_forward_length",
		"llama.attention.head_count", "llama.attention.layer_norm_rms_epsilon",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		const struct llama_shape s = tiny();
		struct gguf_build b = begin(&s, keys[i]);
		const char *dot = strchr(keys[i], '.');

		llama_build_tensors(&b, &s);
		refuse(gguf_build_finish(&b), -EBADMSG, dot + 1);
		b = begin(&s, keys[i]);
		llama_build_tensors(&b, &s);
		refuse(gguf_build_finish(&b), -EBADMSG, "is missing");
	}
}

static const char *const tensors[] = {
	"token_embd.weight", "output_norm.weight", "blk.0.attn_norm.weight", "blk.1.attn_q.weight",
	"blk.1.attn_k.weight", "blk.0.attn_v.weight", "blk.1.attn_output.weight",
	"blk.1.ffn_norm.weight", "blk.0.ffn_gate.weight", "blk.0.ffn_up.weight",
	"blk.1.ffn_down.weight",
};

static void test_missing_tensors(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tensors); i++) {
		const struct llama_shape s = tiny();
		struct gguf_build b = begin(&s, NULL);

		b.rename = tensors[i];
		llama_build_tensors(&b, &s);
		refuse(gguf_build_finish(&b), -EBADMSG, tensors[i]);
	}
}

/* one tensor of another shape or type in place of the right one */
static void refuse_tensor(const char *name, uint32_t type, uint32_t n_dims, const uint64_t *dims,
			  int r)
{
	const struct llama_shape s = tiny();
	struct gguf_build b = begin(&s, NULL);
	const uint64_t elems = dims[0] * (n_dims > 1 ? dims[1] : 1) * (n_dims > 2 ? dims[2] : 1);
	char zero = 0;

	b.skip = name;
	llama_build_tensors(&b, &s);
	gguf_build_tensor_info(&b, name, type, n_dims, dims);
	for (uint64_t i = 0; i < elems * 4; i++)
		gguf_bytes_add(&b.tensors, &zero, 1);
	refuse(gguf_build_finish(&b), r, name);
}

static void test_bad_shapes(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(tensors); i++) {
		refuse_tensor(tensors[i], KERN_F32, 1, (uint64_t[]){ 8 }, -EBADMSG);
		refuse_tensor(tensors[i], KERN_F32, 2, (uint64_t[]){ 32, 32 }, -EBADMSG);
		refuse_tensor(tensors[i], KERN_F32, 3, (uint64_t[]){ 64, 40, 2 }, -EBADMSG);
	}
	/* transposed */
	refuse_tensor("blk.0.ffn_up.weight", KERN_F32, 2, (uint64_t[]){ 96, 64 }, -EBADMSG);
	refuse_tensor("rope_freqs.weight", KERN_F32, 1, (uint64_t[]){ 9 }, -EBADMSG);
	/* zeros: a frequency divided by them */
	refuse_tensor("rope_freqs.weight", KERN_F32, 1, (uint64_t[]){ 8 }, -EBADMSG);
}

static void test_bad_types(void **state)
{
	(void)state;
	refuse_tensor("blk.0.attn_q.weight", 2000, 2, (uint64_t[]){ 64, 64 }, -EOPNOTSUPP);
	refuse_tensor("blk.0.attn_q.weight", 24, 2, (uint64_t[]){ 64, 64 }, -EOPNOTSUPP);
	refuse_tensor("blk.0.attn_norm.weight", KERN_Q8_0, 1, (uint64_t[]){ 64 }, -EOPNOTSUPP);
}

/* what we would not compute with must not be passed over */
static void test_unknown_tensors(void **state)
{
	static const char *const names[] = {
		"blk.0.attn_q_norm.weight", "blk.2.attn_q.weight", "blk.00.attn_q.weight",
		"blk.0.ffn_gate_inp.weight", "vision.weight", "output.bias", "blk.0.",
	};
	const struct llama_shape s = tiny();

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct gguf_build b = begin(&s, NULL);

		llama_build_tensors(&b, &s);
		gguf_build_vector(&b, names[i], KERN_F32, 64, 0);
		refuse(gguf_build_finish(&b), -EOPNOTSUPP, names[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_bad_numbers),
		cmocka_unit_test(test_bad_reals),
		cmocka_unit_test(test_other_models),
		cmocka_unit_test(test_missing_keys),
		cmocka_unit_test(test_missing_tensors),
		cmocka_unit_test(test_bad_shapes),
		cmocka_unit_test(test_bad_types),
		cmocka_unit_test(test_unknown_tensors),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
