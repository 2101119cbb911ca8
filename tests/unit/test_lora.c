/* SPDX-License-Identifier: MIT */
/*
 * Adapters' files, whole and with one thing wrong: what is refused names the tensor or key, and rows
 * of queries and keys come in the model's order, whichever the file has.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "model/gguf_build.h"
#include "model/lora_internal.h"
#include "model/safetensors.h"
#include "tests/unit/lora_build.h"

static const struct lora_shape good = { .rank = 4, .type = KERN_F32, .alpha = 8, .seed = 3 };

static struct gguf *open_fd(int fd)
{
	struct gguf *gguf = NULL;
	char path[64];

	gguf_build_path(fd, path, sizeof(path));
	assert_int_equal(gguf_open(&gguf, path, NULL), 0);
	close(fd);
	return gguf;
}

/* an adapter of @matrix alone, of A (rank, cols) and B (rows, rank) */
static int one_pair(const char *matrix, uint32_t rank, uint32_t rows, uint32_t cols, uint32_t type,
		    const char *skip)
{
	struct gguf_build b = { .rng = 5, .skip = skip };
	char name[96];

	lora_build_keys(&b, "llama", &good);
	snprintf(name, sizeof(name), "%s.lora_a", matrix);
	gguf_build_matrix(&b, name, type, rank, cols);
	snprintf(name, sizeof(name), "%s.lora_b", matrix);
	gguf_build_matrix(&b, name, type, rows, rank);
	return gguf_build_finish(&b);
}

static void refused(const char *shape, int fd, int status, const char *why)
{
	struct gguf *gguf = open_fd(arch_build(arch_shape_find(shape), KERN_F32));
	struct lora_file file = { .gguf = open_fd(fd) };
	struct error error = { "" };
	struct model *model = NULL;
	struct lora *lora = NULL;

	assert_int_equal(model_new(&model, gguf, NULL), 0);
	assert_int_equal(lora_bind(&lora, &file, model, &error), status);
	if (!strstr(error.text, why))
		fail_msg("'%s' does not say '%s'", error.text, why);
	lora_file_close(&file);
	model_free(model);
	gguf_free(gguf);
}

static void test_refused(void **state)
{
	static const char q[] = "blk.1.attn_q.weight";

	(void)state;
	refused("llama", one_pair(q, 4, 127, 64, KERN_F32, NULL), -EBADMSG, "attn_q.weight.lora_b");
	refused("llama", one_pair(q, 4, 128, 65, KERN_F32, NULL), -EBADMSG, "attn_q.weight.lora_a");
	refused("llama", one_pair(q, 4097, 128, 64, KERN_F32, NULL), -EBADMSG, "rank 4097");
	refused("llama", one_pair(q, 4, 128, 64, KERN_F32, "blk.1.attn_q.weight.lora_b"), -EBADMSG,
		"other half");
	refused("llama", one_pair("blk.2.attn_q.weight", 4, 128, 64, KERN_F32, NULL), -EBADMSG,
		"does not have");
	refused("llama", one_pair("blk.99999999999.attn_q.weight", 4, 128, 64, KERN_F32, NULL),
		-EBADMSG, "does not have");
	refused("llama", one_pair("blk.1.attn_norm.weight", 4, 64, 64, KERN_F32, NULL), -EBADMSG,
		"does not have");
	refused("llama", one_pair("token_embd.weight", 4, 48, 64, KERN_F32, NULL), -EOPNOTSUPP,
		"embedding");
	refused("mixtral", one_pair("blk.1.ffn_up.weight", 4, 96, 64, KERN_F32, NULL), -EOPNOTSUPP,
		"experts");
	refused("llama-narrow", one_pair(q, 4, 160, 64, KERN_F32, NULL), -EOPNOTSUPP,
		"adapts heads of 20 elements");
	refused("llama-narrow", one_pair("blk.1.attn_output.weight", 4, 64, 160, KERN_F32, NULL),
		-EOPNOTSUPP, "adapts heads of 20 elements");
	refused("gpt2", one_pair("blk.1.ffn_gate.weight", 4, 96, 64, KERN_F32, NULL), -EBADMSG,
		"does not have");
}

/* one weight of an adapter, whichever its type */
static void test_no_number(void **state)
{
	static const struct {
		uint32_t type;
		uint32_t bits;
		size_t size;
	} cases[] = {
		{ KERN_F32, 0x7fc00000, 4 }, { KERN_F32, 0xff800000, 4 }, { KERN_F16, 0x7c00, 2 },
		{ KERN_F16, 0xfe01, 2 }, { KERN_BF16, 0x7f80, 2 }, { KERN_BF16, 0xffc0, 2 },
		/* the scale of the first block */
		{ KERN_Q8_0, 0x7e00, 2 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		/* B is the last tensor, and its rows are of the rank: blocks have 32 */
		int fd = one_pair("blk.1.attn_q.weight", 32, 128, 64, cases[i].type, NULL);
		const size_t row = kern_row_bytes(kern_type_info(cases[i].type), 32);
		off_t at = lseek(fd, 0, SEEK_END) - (off_t)row;

		assert_true(at > 0);
		assert_int_equal(pwrite(fd, &cases[i].bits, cases[i].size, at), cases[i].size);
		refused("llama", fd, -EBADMSG,
			"'blk.1.attn_q.weight.lora_b' has a weight that is no number");
	}
}

/* a head of the model has its pairs side by side: row 2i is row i of the file, 2i + 1 row i + 16 */
static void test_order(void **state)
{
	struct gguf *gguf = open_fd(arch_build(arch_shape_find("llama"), KERN_F32));
	struct lora_file file = {
		.gguf = open_fd(one_pair("blk.1.attn_k.weight", 4, 64, 64, KERN_F32, NULL)),
	};
	struct model *model = NULL;
	struct lora *near = NULL, *far = NULL;
	const float *a, *b;

	(void)state;
	assert_int_equal(model_new(&model, gguf, NULL), 0);
	assert_int_equal(lora_bind(&near, &file, model, NULL), 0);
	file.is_neox = true;
	assert_int_equal(lora_bind(&far, &file, model, NULL), 0);
	a = near->pairs[lora_site(1, LORA_K)].b.w.data;
	b = far->pairs[lora_site(1, LORA_K)].b.w.data;
	for (uint32_t row = 0; row < 64; row++) {
		const uint32_t in_head = row % 32;
		const uint32_t from = row - in_head + in_head / 2 + (in_head % 2 ? 16 : 0);

		assert_memory_equal(b + row * 4, a + from * 4, 4 * sizeof(float));
	}
	lora_free(near);
	lora_free(far);
	lora_file_close(&file);
	model_free(model);
	gguf_free(gguf);
}

static void test_settings(void **state)
{
	static const struct {
		const char *text;
		int status;
		const char *why;
	} cases[] = {
		{ "{\"peft_type\":\"LORA\"}", 0, "" },
		{ "{\"peft_type\":\"IA3\"}", -EOPNOTSUPP, "IA3" },
		{ "{\"peft_type\":\"LORA\",\"use_dora\":true}", -EOPNOTSUPP, "use_dora" },
		{ "{\"peft_type\":\"LORA\",\"use_rslora\":true,\"use_dora\":false,"
		  "\"use_bdlora\":null}", 0, "" },
		{ "{\"peft_type\":\"LORA\",\"use_qalora\":true}", -EOPNOTSUPP, "use_qalora" },
		{ "{\"peft_type\":\"LORA\",\"use_what_is_to_come\":{\"n\":2}}", -EOPNOTSUPP,
		  "use_what_is_to_come" },
		{ "{\"peft_type\":\"LORA\",\"kasa_config\":{\"beta\":0.1}}", -EOPNOTSUPP,
		  "kasa_config" },
		{ "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"OLoRA\"}", -EOPNOTSUPP,
		  "init_lora_weights" },
		{ "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"eva\"}", 0, "" },
		{ "{\"peft_type\":\"LORA\",\"bias\":\"all\"}", -EOPNOTSUPP, "bias" },
		{ "{\"peft_type\":\"LORA\",\"modules_to_save\":[\"x\"]}", -EOPNOTSUPP,
		  "modules_to_save" },
		{ "{\"peft_type\":\"LORA\",\"init_lora_weights\":\"pissa_niter_4\"}", -EOPNOTSUPP,
		  "init_lora_weights" },
		{ "{\"peft_type\":\"LORA\",\"lora_alpha\":\"8\"}", -EBADMSG, "lora_alpha" },
		{ "[]", -EBADMSG, "object" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = { "" };
		struct lora_peft peft;
		json_t *json = json_loads(cases[i].text, JSON_DECODE_INT_AS_REAL, NULL);

		assert_non_null(json);
		assert_int_equal(lora_peft_config(&peft, json, &error), cases[i].status);
		assert_non_null(strstr(error.text, cases[i].why));
		json_decref(json);
	}
}

/* bind_named() - a pair for @module's queries, as PEFT calls it, to the model of shape "llama" */
static int bind_named(const char *module, const struct model *model, struct error *error)
{
	enum { A = 4 * 64 * sizeof(float), B = 128 * 4 * sizeof(float) };
	_cleanup_(safetensors_freep) struct safetensors *tensors = NULL;
	_cleanup_(lora_file_close) struct lora_file file = { 0 };
	_cleanup_(lora_freep) struct lora *lora = NULL;
	struct lora_peft peft = { .alpha = 8 };
	char *header = NULL, *data;
	uint64_t len;
	int r;

	assert_true(asprintf(&header, "{\"base_model.model.%s.lora_A.weight\":{\"dtype\":\"F32\","
			     "\"shape\":[4,64],\"data_offsets\":[0,%d]},"
			     "\"base_model.model.%s.lora_B.weight\":{\"dtype\":\"F32\","
			     "\"shape\":[128,4],\"data_offsets\":[%d,%d]}}", module, (int)A, module,
			     (int)A, (int)(A + B)) > 0);
	len = strlen(header);
	data = calloc(1, sizeof(len) + len + A + B);
	assert_non_null(data);
	memcpy(data, &len, sizeof(len));
	memcpy(data + sizeof(len), header, len);
	assert_int_equal(safetensors_open_memory(&tensors, data, sizeof(len) + len + A + B, NULL),
			 0);
	assert_int_equal(gguf_new(&file.gguf), 0);
	r = lora_peft_tensors(&file, &peft, tensors, model->hparams.arch, error);
	if (r >= 0)
		r = lora_bind(&lora, &file, model, error);
	if (r >= 0)
		assert_int_equal(lora->pairs[lora_site(1, LORA_Q)].a.w.rows, 4);
	free(header);
	free(data);
	return r;
}

/* modules have names in front that depend on what the adapter was trained in */
static void test_names(void **state)
{
	static const struct {
		const char *module;
		int status;
	} cases[] = {
		{ "model.layers.1.self_attn.q_proj", 0 },
		{ "layers.1.self_attn.q_proj", 0 },
		{ "model.language_model.layers.1.self_attn.q_proj", 0 },
		{ "language_model.model.layers.1.self_attn.q_proj", 0 },
		{ "model.vision_tower.layers.1.self_attn.q_proj", -EBADMSG },
		{ "model.layers.2.self_attn.q_proj", -EBADMSG },
		{ "model.layers.01.self_attn.q_proj", -EBADMSG },
		{ "model.layers.18446744073709551617.self_attn.q_proj", -EBADMSG },
		{ "model.layers.1.self_attn.q_projection", -EBADMSG },
		{ "model.layers.1.input_layernorm", -EBADMSG },
	};
	struct gguf *gguf = open_fd(arch_build(arch_shape_find("llama"), KERN_F32));
	struct model *model = NULL;

	(void)state;
	assert_int_equal(model_new(&model, gguf, NULL), 0);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = { "" };
		int r = bind_named(cases[i].module, model, &error);

		if (r != cases[i].status || (r && !strstr(error.text, "does not have")))
			fail_msg("%s: %d: %s", cases[i].module, r, error.text);
	}
	model_free(model);
	gguf_free(gguf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_no_number),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_names),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
