/* SPDX-License-Identifier: MIT */
/*
 * The text half of models that also see: the same tensors and settings as of the model alone, from
 * either way of naming them, and what is said where nothing is.
 */
#include <stdarg.h>
#include <stdint.h>
#include <stddef.h>

#include <setjmp.h>
#include <cmocka.h>

#include "hub_test.h"
#include "model/hub_internal.h"

/* how a writer names what the fixture calls "model." and "lm_head." */
struct naming {
	const char *model, *head, *picture;
};

static const struct naming namings[] = {
	{ "language_model.model.", "language_model.lm_head.", "vision_tower.conv.weight" },
	{ "model.language_model.", "lm_head.", "model.vision_tower.conv.weight" },
	{ "language_model.model.", "language_model.lm_head.", "multi_modal_projector.norm.weight" },
};

static void rename_one(char *to, size_t size, const char *name, const struct naming *naming)
{
	if (!strncmp(name, "model.", 6))
		snprintf(to, size, "%s%s", naming->model, name + 6);
	else
		snprintf(to, size, "%s%s", naming->head, name + 8);
}

/* every shard has a tensor of the other half, of a type that no text has */
static void rename_shard(const struct hub_copy *copy, const char *file, const struct naming *naming,
			 json_t *map)
{
	char path[PATH_MAX], name[256], *bytes, *text, *out;
	json_t *header, *value, *renamed = json_object();
	const char *key;
	uint64_t len;
	size_t size, text_len;
	FILE *in;

	snprintf(path, sizeof(path), "%s/%s", copy->path, file);
	in = fopen(path, "re");
	assert_non_null(in);
	bytes = malloc(1 << 20);
	size = fread(bytes, 1, 1 << 20, in);
	fclose(in);
	memcpy(&len, bytes, sizeof(len));
	header = json_loadb(bytes + 8, len, 0, NULL);
	json_object_foreach(header, key, value) {
		if (!strcmp(key, "__metadata__"))
			continue;
		rename_one(name, sizeof(name), key, naming);
		json_object_set(renamed, name, value);
		json_object_set_new(map, name, json_string(file));
	}
	snprintf(name, sizeof(name), "%s.%zu", naming->picture, json_object_size(map));
	json_object_set_new(renamed, name,
			    json_pack("{s:s, s:[i], s:[i,i]}", "dtype", "F8_E4M3", "shape", 8,
				      "data_offsets", (int)(size - 8 - len),
				      (int)(size - len)));
	json_object_set_new(map, name, json_string(file));
	text = json_dumps(renamed, JSON_COMPACT);
	text_len = (strlen(text) + 7) / 8 * 8;
	out = calloc(1, 8 + text_len + size - 8 - len + 8);
	memcpy(out, &(uint64_t){ text_len }, 8);
	memset(out + 8, ' ', text_len);
	memcpy(out + 8, text, strlen(text));
	memcpy(out + 8 + text_len, bytes + 8 + len, size - 8 - len);
	hub_copy_write(copy, file, out, 8 + text_len + size - len);
	free(out);
	free(text);
	free(bytes);
	json_decref(header);
	json_decref(renamed);
}

/* the fixture as the text half of a model that also sees */
static void compound_new(struct hub_copy *copy, const struct naming *naming)
{
	json_t *text, *config, *index = json_pack("{s:{}}", "weight_map");
	char *dump;

	hub_copy_new(copy, "llama");
	text = hub_test_json(copy->path, HUB_CONFIG);
	for (int i = 1; i <= 3; i++) {
		char file[64];

		snprintf(file, sizeof(file), "model-%05d-of-00003.safetensors", i);
		rename_shard(copy, file, naming, json_object_get(index, "weight_map"));
	}
	dump = json_dumps(index, 0);
	hub_copy_write(copy, HUB_INDEX, dump, strlen(dump));
	free(dump);
	json_object_set_new(text, "model_type", json_string("mistral"));
	json_object_set_new(text, "sliding_window", json_null());
	/* said of both halves */
	config = json_pack("{s:s, s:[s], s:O, s:{}, s:O}", "model_type", "mistral3",
			   "architectures", "Mistral3ForConditionalGeneration", "eos_token_id",
			   json_object_get(text, "eos_token_id"), "vision_config", "text_config",
			   text);
	json_object_del(text, "eos_token_id");
	json_object_del(text, "architectures");
	dump = json_dumps(config, 0);
	hub_copy_write(copy, HUB_CONFIG, dump, strlen(dump));
	free(dump);
	json_decref(config);
	json_decref(index);
	json_decref(text);
}

static struct gguf *open_folder(const char *path)
{
	struct error error = { "" };
	struct gguf *gguf = NULL;

	if (hub_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	return gguf;
}

static void test_text_half(void **state)
{
	struct gguf *alone = open_folder(hub_test_path("llama")), *half;
	struct gguf_array got, want;
	struct hub_copy copy;
	uint32_t window = 1;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(namings); i++) {
		compound_new(&copy, &namings[i]);
		half = open_folder(copy.path);
		assert_int_equal(gguf_tensor_count(half), gguf_tensor_count(alone));
		for (size_t j = 0; j < gguf_tensor_count(alone); j++) {
			const struct gguf_tensor *whole = gguf_tensor_at(alone, j), *t;
			char name[256];

			snprintf(name, sizeof(name), "%.*s", (int)whole->name.len, whole->name.data);
			t = gguf_tensor_find(half, name);
			if (!t)
				fail_msg("'%s' is not there", name);
			assert_int_equal(t->type, whole->type);
			assert_memory_equal(t->dims, whole->dims, sizeof(t->dims));
			assert_int_equal(t->size_bytes, whole->size_bytes);
			assert_memory_equal(t->data, whole->data, t->size_bytes);
		}
		assert_int_equal(gguf_get_u32(half, "llama.attention.sliding_window", &window), 0);
		assert_int_equal(window, 0);
		/* what ends an answer is said of all */
		assert_int_equal(gguf_get_array(alone, "llmos.tokenizer.end_ids", &want), 0);
		assert_int_equal(gguf_get_array(half, "llmos.tokenizer.end_ids", &got), 0);
		assert_int_equal(want.count, 2);
		assert_int_equal(got.count, 2);
		assert_memory_equal(got.data, want.data, 2 * sizeof(uint32_t));
		gguf_free(half);
		hub_copy_free(&copy);
	}
	gguf_free(alone);
}

static void test_refused(void **state)
{
	struct hub_copy copy;

	(void)state;
	compound_new(&copy, &namings[0]);
	hub_copy_set(&copy, HUB_CONFIG, "text_config/model_type", "\"ministral3\"");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "a 'mistral3' of 'ministral3' is not supported");
	hub_copy_set(&copy, HUB_CONFIG, "text_config", "[]");
	hub_copy_refuse(&copy, -EBADMSG, "'text_config' is missing");
	hub_copy_set(&copy, HUB_CONFIG, "text_config", NULL);
	hub_copy_refuse(&copy, -EBADMSG, "'text_config' is missing");
	hub_copy_free(&copy);
	compound_new(&copy, &namings[0]);
	hub_copy_set(&copy, HUB_CONFIG, "quantization_config", "{\"quant_method\":\"gptq\"}");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "quantized with 'gptq'");
	hub_copy_free(&copy);
	/* a model alone has no second half */
	compound_new(&copy, &namings[0]);
	hub_copy_set(&copy, HUB_CONFIG, "text_config/model_type", "\"llama\"");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "a 'mistral3' of 'llama' is not supported");
	hub_copy_free(&copy);
	hub_copy_new(&copy, "llama");
	hub_copy_write(&copy, HUB_WEIGHTS, "\x5a\0\0\0\0\0\0\0"
		       "{\"language_model.model.norm.weight\":{\"dtype\":\"F32\",\"shape\":[1],"
		       "\"data_offsets\":[0,4]}}      \0\0\0\0", 8 + 90 + 4);
	hub_copy_refuse(&copy, -EOPNOTSUPP, "is of a variant that is not supported");
	hub_copy_free(&copy);
}

/* as the smaller one of those that see is published: most of it goes without saying */
static void test_defaults(void **state)
{
	static const char text[] =
		"{\"model_type\":\"gemma3\",\"eos_token_id\":[1,106],\"text_config\":{"
		"\"hidden_size\":2560,\"intermediate_size\":10240,\"model_type\":\"gemma3_text\","
		"\"num_hidden_layers\":34,\"rope_scaling\":{\"factor\":8.0,\"rope_type\":\"linear\"},"
		"\"sliding_window\":1024},\"vision_config\":{\"hidden_size\":1152}}";
	static const struct {
		const char *key;
		uint32_t want;
	} numbers[] = {
		{ "embedding_length", 2560 }, { "feed_forward_length", 10240 },
		{ "block_count", 34 }, { "attention.head_count", 8 },
		{ "attention.head_count_kv", 4 }, { "attention.key_length", 256 },
		{ "context_length", 131072 }, { "attention.sliding_window", 1024 },
		{ "vocab_size", 262208 },
	};
	struct error error = { "" };
	struct hub_config c = { .error = &error };
	json_t *json = NULL;
	float f = 0;

	(void)state;
	assert_int_equal(json_parse(&json, text, strlen(text), JSON_CONFIG_MAX, "test", NULL), 0);
	assert_int_equal(hub_compound_unfold(&json, &c.is_compound, &error), 0);
	assert_true(c.is_compound);
	/* for the tokenizer */
	assert_int_equal(json_array_size(json_object_get(json, "eos_token_id")), 2);
	assert_int_equal(gguf_new(&c.gguf), 0);
	c.json = json;
	if (hub_config_load(&c) < 0)
		fail_msg("%s", error.text);
	assert_true(c.is_tied);
	for (size_t i = 0; i < ARRAY_SIZE(numbers); i++) {
		uint32_t u = 0;

		assert_int_equal(gguf_get_arch_u32(c.gguf, numbers[i].key, &u), 0);
		assert_int_equal(u, numbers[i].want);
	}
	assert_int_equal(gguf_get_arch_f32(c.gguf, "rope.freq_base", &f), 0);
	assert_true(f == 1e6f);
	assert_int_equal(gguf_get_arch_f32(c.gguf, "rope.freq_base_swa", &f), 0);
	assert_true(f == 1e4f);
	assert_int_equal(gguf_get_arch_f32(c.gguf, "rope.scaling.factor", &f), 0);
	assert_true(f == 8.0f);
	assert_int_equal(gguf_get_arch_f32(c.gguf, "attention.scale", &f), 0);
	assert_true(f == 0.0625f);
	gguf_free(c.gguf);
	json_decref(json);
}

/* of the text and of all: each where it counts */
static void test_which_counts(void **state)
{
	static const char text[] =
		"{\"model_type\":\"mistral3\",\"tie_word_embeddings\":true,\"hidden_size\":1,\"a\":1,"
		"\"text_config\":{\"tie_word_embeddings\":false,\"hidden_size\":2}}";
	struct error error = { "" };
	json_t *json = NULL;
	bool is_compound = false;

	(void)state;
	assert_int_equal(json_parse(&json, text, strlen(text), JSON_CONFIG_MAX, "test", NULL), 0);
	assert_int_equal(hub_compound_unfold(&json, &is_compound, &error), 0);
	assert_true(json_is_true(json_object_get(json, "tie_word_embeddings")));
	assert_true(json_real_value(json_object_get(json, "hidden_size")) == 2);
	assert_true(json_real_value(json_object_get(json, "a")) == 1);
	assert_string_equal(json_string_value(json_object_get(json, "model_type")), "mistral");
	json_decref(json);
	json = json_pack("{s:s}", "model_type", "llama");
	assert_int_equal(hub_compound_unfold(&json, &is_compound, &error), 0);
	assert_false(is_compound);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text_half),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_which_counts),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
