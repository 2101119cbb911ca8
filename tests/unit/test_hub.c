/* SPDX-License-Identifier: MIT */
/*
 * A hub's folder: a sharded Llama in BF16 with grouped heads and scaled frequencies reads as the
 * GGUF file it would be, and computes what transformers computes in float64. Then everything in it
 * that can be wrong or is not supported is refused by name.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "hub_test.h"
#include "kernels/kernels.h"
#include "model/hub_internal.h"
#include "model/model.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

#define LOGITS_VOCAB	310

static struct gguf *open_folder(const char *path)
{
	struct error error = { "" };
	struct gguf *gguf = NULL;

	if (model_file_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	return gguf;
}

static void test_keys(void **state)
{
	struct gguf *gguf = open_folder(hub_test_path("llama"));
	const struct gguf_tensor *t;
	struct gguf_string string;
	uint32_t u = 0;
	bool flag = false;
	float f = 0;

	(void)state;
	assert_int_equal(gguf_get_string(gguf, "general.architecture", &string), 0);
	assert_true(gguf_string_is(string, "llama"));
	assert_int_equal(gguf_get_string(gguf, "general.name", &string), 0);
	assert_true(gguf_string_is(string, "llama"));
	assert_int_equal(gguf_get_u32(gguf, "llama.attention.head_count_kv", &u), 0);
	assert_int_equal(u, 2);
	assert_int_equal(gguf_get_u32(gguf, "llama.rope.dimension_count", &u), 0);
	assert_int_equal(u, 8);
	assert_int_equal(gguf_get_f32(gguf, "llama.rope.freq_base", &f), 0);
	assert_true(f == 500000.0f);
	assert_int_equal(gguf_get_bool(gguf, "llmos.rope.neox", &flag), 0);
	assert_true(flag);
	/* in place, shapes turned round */
	t = gguf_tensor_find(gguf, "blk.1.ffn_down.weight");
	assert_non_null(t);
	assert_int_equal(t->type, KERN_BF16);
	assert_int_equal(t->dims[0], 48);
	assert_int_equal(t->dims[1], 32);
	assert_true(gguf_has(gguf, (uintptr_t)t->data));
	t = gguf_tensor_find(gguf, "rope_freqs.weight");
	assert_non_null(t);
	assert_int_equal(t->dims[0], 4);
	assert_false(gguf_has(gguf, (uintptr_t)t->data));
	/* two layers of nine, the embedding, the output and its norm, the divisors */
	assert_int_equal(gguf_tensor_count(gguf), 22);
	assert_true(gguf_size_bytes(gguf) > 70000);
	gguf_free(gguf);
}

static void test_logits(void **state)
{
	const struct engine_config config = { .threads = 2, .kv_type = "f32", .batch_tokens = 64,
					      .logits_rows = 64 };
	static float want[4 * LOGITS_VOCAB];
	json_t *facts = hub_test_json(hub_test_path("llama"), "logits.json");
	const json_t *list = json_object_get(facts, "ids"), *rows = json_object_get(facts, "rows");
	struct engine_item item = { 0 };
	struct engine_model *model = NULL;
	struct engine *engine = NULL;
	struct error error = { "" };
	double sum = 0, all = 0;
	uint32_t ids[64];
	FILE *file = fopen(hub_test_path("llama/logits.f32"), "r");

	(void)state;
	assert_non_null(file);
	assert_int_equal(fread(want, sizeof(want), 1, file), 1);
	fclose(file);
	for (size_t i = 0; i < json_array_size(list); i++)
		assert_int_equal(json_get_u32(json_array_get(list, i), &ids[i]), 0);
	assert_int_equal(engine_new(&engine, &config, NULL), 0);
	if (engine_model_load(engine, hub_test_path("llama"), &model, &error) < 0)
		fail_msg("%s", error.text);
	assert_int_equal(engine_seq_new(model, &item.seq), 0);
	assert_int_equal(engine_seq_reserve(item.seq, 64), 0);
	item.tokens = ids;
	item.count = (unsigned int)json_array_size(list);
	assert_int_equal(engine_step(model, &item, 1), 0);
	for (size_t i = 0; i < json_array_size(rows); i++) {
		uint32_t row = 0;

		assert_int_equal(json_get_u32(json_array_get(rows, i), &row), 0);
		for (uint32_t j = 0; j < LOGITS_VOCAB; j++) {
			double w = (double)want[i * LOGITS_VOCAB + j];
			double d = (double)item.logits[row * LOGITS_VOCAB + j] - w;

			sum += d * d;
			all += w * w;
		}
	}
	print_message("# relative rms %.2e\n", sqrt(sum / all));
	/* the bound that BF16 weights have everywhere */
	assert_true(sqrt(sum / all) < 7e-3);
	engine_seq_free(item.seq);
	engine_model_free(model);
	engine_free(engine);
	json_decref(facts);
}

static void test_tokenizer(void **state)
{
	static const struct chat_message hello = { CHAT_USER, "Hi", 2 };
	struct gguf *gguf = open_folder(hub_test_path("llama"));
	struct tok_ids ids = { 0 };
	struct tokenizer *tok = NULL;

	(void)state;
	assert_int_equal(tok_new(&tok, gguf, NULL), 0);
	assert_int_equal(tok_vocab(tok), LOGITS_VOCAB);
	assert_int_equal(tok_bos(tok), 0);
	assert_true(tok_add_bos(tok));
	assert_int_equal(tok_eos(tok), 1);
	/* config.json has a list of ends, the second of which is the added token */
	assert_true(tok_is_end(tok, 300));
	assert_true(tok_is_control(tok, 300));
	assert_false(tok_is_end(tok, 5));
	assert_int_equal(chat_detect(gguf), CHAT_CHATML);
	assert_int_equal(chat_encode(CHAT_CHATML, tok, &hello, 1, SIZE_MAX, &ids, NULL), 0);
	assert_true(ids.count > 2);
	free(ids.ids);
	tok_free(tok);
	gguf_free(gguf);
}

/* ---- what is refused ---- */

static void test_config_refused(void **state)
{
	static const struct {
		const char *path, *value;
		int want;
		const char *text;
	} cases[] = {
		{ "model_type", NULL, -EBADMSG, "'model_type' is missing" },
		{ "model_type", "\"mamba\"", -EOPNOTSUPP, "'model_type' is '\"mamba\"'" },
		{ "hidden_size", NULL, -EBADMSG, "'hidden_size' is missing" },
		{ "hidden_size", "\"32\"", -EBADMSG, "'hidden_size' is not a number" },
		{ "hidden_size", "32.5", -EBADMSG, "'hidden_size' is not a number" },
		{ "hidden_size", "-1", -EBADMSG, "'hidden_size' is not a number" },
		{ "hidden_size", "1e300", -EBADMSG, "'hidden_size' is not a number" },
		{ "num_attention_heads", "1.5", -EBADMSG, "'num_attention_heads' is not a number" },
		{ "num_hidden_layers", NULL, -EBADMSG, "'num_hidden_layers' is missing" },
		{ "vocab_size", NULL, -EBADMSG, "'vocab_size' is missing" },
		{ "head_dim", "100000", -EBADMSG, "heads of 100000" },
		{ "hidden_act", "\"relu\"", -EOPNOTSUPP, "'hidden_act' is '\"relu\"'" },
		{ "rms_norm_eps", "1e300", -EBADMSG, "'rms_norm_eps' is not a number" },
		{ "quantization_config", "{\"quant_method\":\"awq\"}", -EOPNOTSUPP, "'awq'" },
		{ "rope_parameters/rope_type", "\"spiral\"", -EOPNOTSUPP, "'spiral'" },
		{ "rope_parameters/factor", NULL, -EBADMSG, "'factor' is missing" },
		{ "rope_parameters/factor", "0", -EBADMSG, "'factor' is 0" },
		{ "rope_parameters/low_freq_factor", "9", -EOPNOTSUPP, "rope_scaling" },
		{ "rope_parameters/rope_theta", "0", -EBADMSG, "base 0" },
		{ "rope_parameters/partial_rotary_factor", "0.5", -EOPNOTSUPP,
		  "'partial_rotary_factor'" },
		{ "layer_types", "[\"full_attention\",\"sliding_attention\"]", -EOPNOTSUPP,
		  "'layer_types'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hub_copy copy;

		hub_copy_new(&copy, "llama");
		hub_copy_set(&copy, HUB_CONFIG, cases[i].path, cases[i].value);
		hub_copy_refuse(&copy, cases[i].want, cases[i].text);
		hub_copy_free(&copy);
	}
}

static void test_text_refused(void **state)
{
	static const struct {
		const char *text;
		int want;
		const char *why;
	} cases[] = {
		{ "[]", -EBADMSG, "not an object" }, { "{", -EBADMSG, "line 1" },
		{ "{} x", -EBADMSG, "line 1" }, { "{\"a\":1,\"a\":1}", -EBADMSG, "duplicate" },
		{ "{\"a\":\"\xff\"}", -EBADMSG, "line 1" }, { "null", -EBADMSG, "not an object" },
	};
	struct hub_copy copy;
	char *deep = malloc(100000);

	(void)state;
	hub_copy_new(&copy, "llama");
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		hub_copy_write(&copy, HUB_CONFIG, cases[i].text, strlen(cases[i].text));
		hub_copy_refuse(&copy, cases[i].want, cases[i].why);
	}
	memset(deep, '[', 100000);
	hub_copy_write(&copy, HUB_CONFIG, deep, 100000);
	hub_copy_refuse(&copy, -EBADMSG, "depth");
	hub_copy_write(&copy, HUB_CONFIG, deep, 0);
	hub_copy_refuse(&copy, -EBADMSG, "empty");
	hub_copy_remove(&copy, HUB_CONFIG);
	hub_copy_refuse(&copy, -ENOENT, HUB_CONFIG);
	free(deep);
	hub_copy_free(&copy);
	deep = calloc(1, JSON_CONFIG_MAX + 1);
	hub_copy_new(&copy, "llama");
	hub_copy_write(&copy, HUB_CONFIG, deep, JSON_CONFIG_MAX + 1);
	hub_copy_refuse(&copy, -E2BIG, "the limit is");
	hub_copy_free(&copy);
	free(deep);
}

static void test_shards_refused(void **state)
{
	static const char lm_head[] = "weight_map/lm_head.weight";
	struct hub_copy copy;
	char again[PATH_MAX];

	(void)state;
	hub_copy_new(&copy, "llama");
	/* a shard under a second name */
	assert_true(snprintf(again, sizeof(again), "%s/again.safetensors", copy.path) > 0);
	assert_int_equal(symlink("model-00002-of-00003.safetensors", again), 0);
	hub_copy_set(&copy, HUB_INDEX, "weight_map/model.layers.0.input_layernorm.weight",
		     "\"again.safetensors\"");
	hub_copy_refuse(&copy, -EBADMSG, "is another shard as well");
	hub_copy_set(&copy, HUB_INDEX, "weight_map/model.layers.0.input_layernorm.weight",
		     "\"model-00002-of-00003.safetensors\"");
	hub_copy_set(&copy, HUB_INDEX, lm_head, "\"../x.safetensors\"");
	hub_copy_refuse(&copy, -EBADMSG, "'lm_head.weight' is in no file");
	hub_copy_set(&copy, HUB_INDEX, lm_head, "7");
	hub_copy_refuse(&copy, -EBADMSG, "is in no file");
	hub_copy_set(&copy, HUB_INDEX, lm_head, "\"model-00009-of-00003.safetensors\"");
	hub_copy_refuse(&copy, -ENOENT, "model-00009");
	hub_copy_set(&copy, HUB_INDEX, lm_head, "\"model-00002-of-00003.safetensors\"");
	hub_copy_refuse(&copy, -EBADMSG, "'lm_head.weight' is not in");
	hub_copy_set(&copy, HUB_INDEX, lm_head, NULL);
	hub_copy_refuse(&copy, -EBADMSG, "'lm_head.weight' is missing");
	hub_copy_set(&copy, HUB_INDEX, "weight_map/model.embed_tokens.weight", NULL);
	hub_copy_set(&copy, HUB_CONFIG, "tie_word_embeddings", "true");
	hub_copy_refuse(&copy, -EBADMSG, "no embedding");
	hub_copy_set(&copy, HUB_INDEX, "weight_map", NULL);
	hub_copy_refuse(&copy, -EBADMSG, "'weight_map' is missing");
	hub_copy_remove(&copy, HUB_INDEX);
	hub_copy_refuse(&copy, -ENOENT, "neither");
	hub_copy_free(&copy);
	/* a shard that was not there in full */
	hub_copy_new(&copy, "llama");
	hub_copy_write(&copy, "model-00002-of-00003.safetensors", "\x10\0\0\0\0\0\0\0{}", 10);
	hub_copy_refuse(&copy, -EBADMSG, "cut off");
	hub_copy_free(&copy);
}

/* one F32 tensor of (2, 3), or what stands in for it */
static void write_one(const struct hub_copy *copy, const char *name, const char *dtype,
		      const char *shape, size_t bytes)
{
	char file[512] = { 0 }, header[400];
	int n = snprintf(header, sizeof(header),
			 "{\"%s\":{\"dtype\":\"%s\",\"shape\":%s,\"data_offsets\":[0,%zu]}}", name,
			 dtype, shape, bytes);

	file[0] = (char)(n & 0xff);
	file[1] = (char)(n >> 8);
	memcpy(file + 8, header, (size_t)n);
	hub_copy_write(copy, HUB_WEIGHTS, file, 8 + (size_t)n + bytes);
}

static void test_tensors_refused(void **state)
{
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "llama");
	write_one(&copy, "model.layers.0.mlp.mystery.weight", "F32", "[2,3]", 24);
	hub_copy_refuse(&copy, -EOPNOTSUPP, "mystery.weight' is of a variant");
	write_one(&copy, "model.norm.weight", "F8_E4M3", "[24]", 24);
	hub_copy_refuse(&copy, -EOPNOTSUPP, "is F8_E4M3");
	write_one(&copy, "model.norm.weight", "I64", "[3]", 24);
	hub_copy_refuse(&copy, -EOPNOTSUPP, "is I64");
	write_one(&copy, "model.norm.weight", "F32", "[0]", 0);
	hub_copy_refuse(&copy, -EBADMSG, "has no elements");
	write_one(&copy, "model.norm.weight", "F32", "[]", 4);
	hub_copy_refuse(&copy, -EBADMSG, "has no elements");
	/* what is computed, and what nobody asks for */
	write_one(&copy, "model.layers.0.self_attn.rotary_emb.inv_freq", "I64", "[3]", 24);
	hub_copy_refuse(&copy, -EBADMSG, "'lm_head.weight' is missing");
	hub_copy_free(&copy);
}

/* two names for one tensor in GGUF */
static void test_twice(void **state)
{
	static const char header[] =
		"{\"norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4]},"
		"\"model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]}}";
	char file[8 + sizeof(header) - 1 + 8] = { (char)(sizeof(header) - 1) };
	struct hub_copy copy;

	(void)state;
	memcpy(file + 8, header, sizeof(header) - 1);
	hub_copy_new(&copy, "llama");
	hub_copy_write(&copy, HUB_WEIGHTS, file, sizeof(file));
	hub_copy_refuse(&copy, -EBADMSG, "twice");
	hub_copy_free(&copy);
}

/* ---- what is changed on the way ---- */

static void test_names(void **state)
{
	const struct hub_arch *moe = hub_arch_find("qwen3_moe"), *gpt2 = hub_arch_find("gpt2");
	enum hub_change change = HUB_AS_IS;
	char name[64];

	(void)state;
	assert_int_equal(hub_name_map(moe, "model.layers.12.mlp.experts.3.up_proj.weight", name,
				      sizeof(name), &change), 0);
	assert_string_equal(name, "blk.12.ffn_up.3.weight");
	assert_int_equal(hub_name_map(gpt2, "transformer.h.7.attn.c_attn.bias", name, sizeof(name),
				      &change), 0);
	assert_string_equal(name, "blk.7.attn_qkv.bias");
	assert_int_equal(change, HUB_TRANSPOSE);
	/* stored without the prefix; a mask, not a bias */
	assert_int_equal(hub_name_map(gpt2, "h.7.attn.bias", name, sizeof(name), &change), 0);
	assert_int_equal(change, HUB_IGNORE);
	assert_int_equal(hub_name_map(gpt2, "h.7.attn", name, sizeof(name), &change), 0);
	assert_int_equal(hub_name_map(gpt2, "h.x.ln_1.weight", name, sizeof(name), &change),
			 -ENOENT);
	assert_int_equal(hub_name_map(gpt2, "h.1.ln_1", name, sizeof(name), &change), -ENOENT);
	assert_int_equal(hub_name_map(gpt2, "wte.weight", name, 4, &change), -ENOENT);
}

static void test_changes(void **state)
{
	static const float given[6] = { 1, 2, 3, 4, 5, 6 };
	struct safetensor t = { .name = "h.0.mlp.c_fc.weight", .dtype = "F32", .type = KERN_F32,
				.n_dims = 2, .shape = { 2, 3, 1, 1 }, .size_bytes = 24 };
	struct error error = { "" };
	struct hub_config c = { .arch = hub_arch_find("gpt2"), .width = 2, .error = &error };
	const struct gguf_tensor *found;
	char odd[25];

	(void)state;
	assert_int_equal(gguf_new(&c.gguf), 0);
	memcpy(odd + 1, given, sizeof(given));
	t.data = odd + 1;
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), 0);
	found = gguf_tensor_find(c.gguf, "blk.0.ffn_up.weight");
	assert_non_null(found);
	/* two inputs, three outputs */
	assert_int_equal(found->dims[0], 2);
	assert_int_equal(found->dims[1], 3);
	assert_memory_equal(found->data, ((float[]){ 1, 4, 2, 5, 3, 6 }), 24);
	/* in place but for its place, which is odd */
	t.name = "wte.weight";
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), 0);
	found = gguf_tensor_find(c.gguf, "token_embd.weight");
	assert_int_equal((uintptr_t)found->data % 4, 0);
	assert_memory_equal(found->data, given, 24);
	assert_int_equal(found->dims[0], 3);
	/* Gemma's norms, from BF16 */
	c.arch = hub_arch_find("gemma2");
	t = (struct safetensor){ .name = "model.norm.weight", .dtype = "BF16", .type = KERN_BF16,
				 .n_dims = 1, .shape = { 2, 1, 1, 1 }, .size_bytes = 4,
				 .data = (const char *)(uint16_t[]){ 0x3f80, 0xbf00 } };
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), 0);
	found = gguf_tensor_find(c.gguf, "output_norm.weight");
	assert_int_equal(found->type, KERN_F32);
	assert_memory_equal(found->data, ((float[]){ 2, 0.5f }), 8);
	/* no vector */
	t.name = "model.layers.0.input_layernorm.weight";
	t.n_dims = 2;
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), -EBADMSG);
	assert_non_null(strstr(error.text, "is no vector of a norm"));
	t.n_dims = 1;
	t.shape[0] = MODEL_WIDTH_MAX + 1;
	t.size_bytes = 2 * t.shape[0];
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), -EBADMSG);
	gguf_free(c.gguf);
}

/* larger than a tile, and no multiple of one; then sizes that are not the model's */
static void test_transpose(void **state)
{
	enum { ROWS = 37, COLS = 53 };
	static uint16_t given[ROWS * COLS];
	struct error error = { "" };
	struct hub_config c = { .arch = hub_arch_find("gpt2"), .width = ROWS, .error = &error };
	struct safetensor t = { .name = "h.0.mlp.c_fc.weight", .dtype = "F16", .type = KERN_F16,
				.n_dims = 2, .shape = { ROWS, COLS, 1, 1 },
				.data = (const char *)given, .size_bytes = sizeof(given) };
	const uint16_t *to;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(given); i++)
		given[i] = (uint16_t)i;
	assert_int_equal(gguf_new(&c.gguf), 0);
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), 0);
	to = gguf_tensor_find(c.gguf, "blk.0.ffn_up.weight")->data;
	for (size_t row = 0; row < ROWS; row++)
		for (size_t col = 0; col < COLS; col++)
			assert_int_equal(to[col * ROWS + row], given[row * COLS + col]);
	c.width = ROWS + 1;
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), -EBADMSG);
	assert_non_null(strstr(error.text, "sizes that " HUB_CONFIG " does not have"));
	c.width = COLS / 4;
	assert_int_equal(hub_tensor_add(c.gguf, &c, &t), -EBADMSG);
	gguf_free(c.gguf);
}

/* a key that is missing is the architecture's default, null is none */
static void test_defaults(void **state)
{
#define SIZES	"\"hidden_size\":32,\"num_attention_heads\":2,\"num_hidden_layers\":6," \
		"\"max_position_embeddings\":99,\"intermediate_size\":64,\"vocab_size\":9," \
		"\"rms_norm_eps\":1e-6,\"hidden_act\":\"silu\""
#define GEMMA	"\"hidden_activation\":\"gelu_pytorch_tanh\",\"query_pre_attn_scalar\":16," SIZES
	static const struct {
		const char *type, *arch, *text;
		uint32_t window;
		float base;
	} cases[] = {
		{ "mistral", "llama", SIZES, 4096, 1e4f },
		{ "mistral", "llama", SIZES ",\"sliding_window\":null", 0, 1e4f },
		{ "mistral", "llama", SIZES ",\"sliding_window\":7,\"rope_theta\":5e5", 7, 5e5f },
		{ "mixtral", "llama", SIZES ",\"num_local_experts\":4,\"num_experts_per_tok\":2", 0,
		  1e6f },
		{ "phi3", "phi3", SIZES, 0, 1e4f },
		{ "gemma2", "gemma2", GEMMA, 4096, 1e4f },
		{ "gemma2", "gemma2", GEMMA ",\"sliding_window\":null", 0, 1e4f },
		{ "gemma3_text", "gemma3", GEMMA, 4096, 1e6f },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = { "" };
		struct hub_config c = { .error = &error };
		char text[1024];
		uint32_t window = UINT32_MAX;
		json_t *json = NULL;
		float base = 0;

		snprintf(text, sizeof(text), "{\"model_type\":\"%s\",%s}", cases[i].type,
			 cases[i].text);
		assert_int_equal(json_parse(&json, text, strlen(text), JSON_CONFIG_MAX, "test",
					    NULL), 0);
		assert_int_equal(gguf_new(&c.gguf), 0);
		c.json = json;
		if (hub_config_load(&c) < 0)
			fail_msg("%s: %s", cases[i].type, error.text);
		assert_int_equal(gguf_get_arch_u32(c.gguf, "attention.sliding_window", &window), 0);
		assert_int_equal(window, cases[i].window);
		assert_int_equal(gguf_get_arch_f32(c.gguf, "rope.freq_base", &base), 0);
		assert_true(base == cases[i].base);
		gguf_free(c.gguf);
		json_decref(json);
	}
}

/* small texts that would be large once parsed; what is in strings does not count */
static void test_values(void **state)
{
	const size_t max = 3000, most = max / JSON_VALUE_BYTES;
	struct error error = { "" };
	json_t *json = NULL;
	char text[3000];
	size_t len = 0;

	(void)state;
	text[len++] = '[';
	for (size_t i = 0; i < most - 2; i++, len += 2)
		memcpy(text + len, "1,", 2);
	memcpy(text + len, "1]", 2);
	assert_int_equal(json_parse(&json, text, len + 2, max, "test", &error), 0);
	json_decref(json);
	memcpy(text + len, "1,1]", 4);
	assert_int_equal(json_parse(&json, text, len + 4, max, "test", &error), -E2BIG);
	assert_non_null(strstr(error.text, "values"));
	len = 1;
	for (size_t i = 0; i < most / 4; i++, len += 3)
		memcpy(text + len, "{},", 3);
	memcpy(text + len - 1, "]", 1);
	assert_int_equal(json_parse(&json, text, len, max, "test", &error), -E2BIG);
	memset(text, ',', max);
	memcpy(text, "[\"\\\"{", 5);
	memcpy(text + max - 4, "\\\\\"]", 4);
	assert_int_equal(json_parse(&json, text, max, max, "test", &error), 0);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_logits),
		cmocka_unit_test(test_tokenizer),
		cmocka_unit_test(test_config_refused),
		cmocka_unit_test(test_text_refused),
		cmocka_unit_test(test_shards_refused),
		cmocka_unit_test(test_tensors_refused),
		cmocka_unit_test(test_twice),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_changes),
		cmocka_unit_test(test_transpose),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_values),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
