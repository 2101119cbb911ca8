/* SPDX-License-Identifier: MIT */
/*
 * Hubs' folders of models that make vectors and labels: a BERT as sentence-transformers keeps it, a
 * BERT and a RoBERTa with heads give what transformers gives in float64, token for token and number
 * for number. Then what would make wrong vectors is refused by name.
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
#include "model/hub_modules.h"
#include "model/model.h"
#include "tokenizer/tokenizer.h"

#define WIDTH	32U

/* ---- the numbers ---- */

struct hub_engine {
	struct engine *engine;
	struct engine_model *model;
	struct engine_model_info info;
};

static void engine_open(struct hub_engine *e, const char *path)
{
	const struct engine_config config = { .threads = 1, .kv_type = "f32", .batch_tokens = 512,
					      .logits_rows = 1 };
	struct error error = { "" };

	assert_int_equal(engine_new(&e->engine, &config, NULL), 0);
	if (engine_model_load(e->engine, path, &e->model, &error) < 0)
		fail_msg("%s", error.text);
	engine_model_info(e->model, &e->info);
}

static void engine_close(struct hub_engine *e)
{
	engine_model_free(e->model);
	engine_free(e->engine);
}

static struct gguf *open_copy(const struct hub_copy *copy)
{
	struct error error = { "" };
	struct gguf *gguf = NULL;

	if (hub_open(&gguf, copy->path, &error) < 0)
		fail_msg("%s", error.text);
	return gguf;
}

/* ids of a text behind its query, as the scheduler puts them; the begin of the second in @second */
static void encode(const struct hub_engine *e, const json_t *fact, struct tok_ids *ids,
		   uint32_t *second)
{
	const struct tokenizer *tok = engine_model_tokenizer(e->model);
	const json_t *query = json_object_get(fact, "query"), *text = json_object_get(fact, "text");
	struct tok_ids end = { 0 }, rest = { 0 };

	*second = UINT32_MAX;
	if (!json_is_string(query)) {
		assert_int_equal(tok_encode(tok, json_string_value(text), json_string_length(text),
					    TOK_BOS, SIZE_MAX, ids), 0);
		return;
	}
	assert_int_equal(tok_encode(tok, json_string_value(query), json_string_length(query),
				    TOK_BOS, SIZE_MAX, ids), 0);
	assert_int_equal(tok_encode(tok, "", 0, TOK_BOS, SIZE_MAX, &end), 0);
	assert_int_equal(end.count, 2);
	assert_int_equal(tok_encode(tok, json_string_value(text), json_string_length(text), 0,
				    SIZE_MAX, &rest), 0);
	ids->ids = realloc(ids->ids, (ids->count + rest.count + 2) * sizeof(*ids->ids));
	assert_non_null(ids->ids);
	if (tok_pair_apart(tok))
		ids->ids[ids->count++] = end.ids[1];
	*second = (uint32_t)ids->count;
	memcpy(ids->ids + ids->count, rest.ids, rest.count * sizeof(*rest.ids));
	ids->count += rest.count;
	ids->ids[ids->count++] = end.ids[1];
	free(end.ids);
	free(rest.ids);
}

/* the hidden state that labels or a vector are made of; of several, their mean */
static void hidden_pooled(const struct hub_engine *e, const struct tok_ids *ids, uint32_t second,
			  float *to)
{
	const bool is_mean = e->info.labels && e->info.label_pooling == ENGINE_POOL_MEAN;
	const uint32_t count = (uint32_t)ids->count;
	const struct engine_text text = { .second = MIN(second, count), .end = count };
	struct engine_item item = {
		.tokens = ids->ids, .count = count, .logits_from = count, .texts = &text,
		.text_count = 1, .pooling = is_mean ? ENGINE_POOL_MEAN : ENGINE_POOL_FIRST,
	};

	assert_int_equal(engine_seq_new(e->model, &item.seq), 0);
	assert_int_equal(engine_seq_reserve(item.seq, count), 0);
	assert_int_equal(engine_step(e->model, &item, 1), 0);
	assert_int_equal(item.hidden_count, is_mean ? count : 1);
	memset(to, 0, e->info.width * sizeof(*to));
	for (uint32_t row = 0; row < item.hidden_count; row++)
		for (uint32_t i = 0; i < e->info.width; i++)
			to[i] += item.hidden[row * item.hidden_stride + i] /
				 (float)item.hidden_count;
	engine_seq_free(item.seq);
}

/* @path: of a model that has to have the facts of @fixture */
static void check_model(const char *path, const char *fixture, uint32_t labels)
{
	struct hub_engine e = { 0 };
	double sum = 0, all = 0;
	json_t *facts;

	engine_open(&e, path);
	facts = hub_test_json(hub_test_path(fixture), "facts.json");
	assert_true(e.info.is_encoder);
	assert_false(e.info.has_output);
	assert_int_equal(e.info.labels, labels);
	assert_int_equal(e.info.width, WIDTH);
	assert_in_range(json_array_size(facts), 10, 12);
	for (size_t i = 0; i < json_array_size(facts); i++) {
		const json_t *fact = json_array_get(facts, i), *want = json_object_get(fact, "ids");
		const json_t *values = json_object_get(fact, "values");
		float hidden[WIDTH], logits[8];
		const float *got = labels ? logits : hidden;
		struct tok_ids ids = { 0 };
		uint32_t second, id;

		encode(&e, fact, &ids, &second);
		assert_int_equal(ids.count, json_array_size(want));
		for (size_t j = 0; j < ids.count; j++) {
			assert_int_equal(json_get_u32(json_array_get(want, j), &id), 0);
			assert_int_equal(ids.ids[j], id);
		}
		hidden_pooled(&e, &ids, second, hidden);
		free(ids.ids);
		if (labels)
			engine_classify(e.model, hidden, logits);
		assert_int_equal(json_array_size(values), labels ?: WIDTH);
		for (size_t j = 0; j < json_array_size(values); j++) {
			double w = json_real_value(json_array_get(values, j));

			sum += ((double)got[j] - w) * ((double)got[j] - w);
			all += w * w;
		}
	}
	print_message("# %s: relative rms %.2e\n", fixture, sqrt(sum / all));
	assert_true(sqrt(sum / all) < 1e-6);
	engine_close(&e);
	json_decref(facts);
}

static void check_facts(const char *fixture, uint32_t labels)
{
	check_model(hub_test_path(fixture), fixture, labels);
}

static void test_encoder(void **state)
{
	struct hub_engine e = { 0 };

	(void)state;
	check_facts("encoder", 0);
	engine_open(&e, hub_test_path("encoder"));
	assert_int_equal(e.info.pooling, ENGINE_POOL_FIRST);
	assert_int_equal(e.info.context, 48);
	engine_close(&e);
}

static void test_labels(void **state)
{
	struct hub_engine e = { 0 };
	const char *name;
	size_t len = 0;

	(void)state;
	check_facts("labels", 3);
	engine_open(&e, hub_test_path("labels"));
	assert_int_equal(e.info.context, 64);
	assert_true(e.info.has_several_labels);
	name = engine_label(engine_model_gguf(e.model), 1, &len);
	assert_int_equal(len, 5);
	assert_memory_equal(name, "angry", 5);
	engine_close(&e);
}

/* its positions begin behind the number of the padding token, and two texts are further apart */
static void test_reranker(void **state)
{
	struct hub_engine e = { 0 };

	(void)state;
	check_facts("reranker", 1);
	engine_open(&e, hub_test_path("reranker"));
	assert_int_equal(e.info.context, 63);
	assert_false(e.info.has_several_labels);
	engine_close(&e);
}

#define CROSS	"{\"model_type\":\"CrossEncoder\",\"activation_fn\":"

/* what a score is, by the three places that may say so, as CrossEncoder of 6.2.0 reads them */
static void test_scores(void **state)
{
	static const char settings[] = "config_sentence_transformers.json";
	static const char own[] = "sentence_transformers";
	static const char old[] = "sbert_ce_default_activation_function";
	static const char modules[] = "[{\"path\":\"\",\"type\":\"Transformer\"}]";
	static const struct {
		const char *settings, *own, *old;
		int want;		/* 1: the logit */
	} cases[] = {
		{ NULL, NULL, NULL, 0 },
		{ NULL, NULL, "\"torch.nn.modules.linear.Identity\"", 1 },
		{ NULL, NULL, "\"torch.nn.modules.activation.Sigmoid\"", 0 },
		{ NULL, NULL, "null", 0 },
		{ NULL, "{\"activation_fn\":\"torch.nn.modules.linear.Identity\"}", NULL, 1 },
		{ NULL, "{\"activation_fn\":\"torch.nn.modules.activation.Sigmoid\"}",
		  "\"torch.nn.modules.linear.Identity\"", 0 },
		{ NULL, "{\"version\":\"4.0.1\"}", "\"torch.nn.modules.linear.Identity\"", 1 },
		{ NULL, "{\"activation_fn\":null}", "\"torch.nn.modules.linear.Identity\"", 0 },
		{ CROSS "\"torch.nn.modules.linear.Identity\"}",
		  "{\"activation_fn\":\"torch.nn.modules.activation.Sigmoid\"}", NULL, 1 },
		{ "{\"activation_fn\":\"torch.nn.modules.linear.Identity\"}", NULL, NULL, 0 },
		{ "{\"prompts\":{}}", NULL, NULL, 0 },
		{ NULL, NULL, "\"torch.nn.modules.activation.Tanh\"", -EOPNOTSUPP },
		{ CROSS "\"torch.nn.SigmoidOfANameThatIsLongerThanWhatIsKeptOfItWhichIsNoReason\"}",
		  NULL, NULL, -EOPNOTSUPP },
		/* what is not torch's is not run, and counts for nothing */
		{ CROSS "\"custom.Sigmoids\"}", NULL, NULL, 0 },
		{ CROSS "\"custom.Tanh\"}", NULL, "\"torch.nn.modules.linear.Identity\"", 1 },
		{ NULL, NULL, "\"custom.Identity\"", 0 },
		{ NULL, "{\"activation_fn\":\"custom.Tanh\"}",
		  "\"torch.nn.modules.linear.Identity\"", 0 },
		{ CROSS "\"torch.nn.modules.linear.Identity\"}", NULL, NULL, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hub_engine e = { 0 };
		struct hub_copy copy;

		hub_copy_new(&copy, "reranker");
		if (cases[i].settings)
			hub_copy_write(&copy, settings, cases[i].settings,
				       strlen(cases[i].settings));
		/* without this one nobody reads the settings: last of all it is left out */
		if (cases[i].settings && i < ARRAY_SIZE(cases) - 1)
			hub_copy_write(&copy, HUB_MODULES, modules, strlen(modules));
		if (cases[i].own)
			hub_copy_set(&copy, HUB_CONFIG, own, cases[i].own);
		if (cases[i].old)
			hub_copy_set(&copy, HUB_CONFIG, old, cases[i].old);
		if (cases[i].want < 0) {
			hub_copy_refuse(&copy, cases[i].want, "scores that are made by");
		} else {
			engine_open(&e, copy.path);
			if (e.info.is_score_logit != cases[i].want)
				fail_msg("case %zu: %d", i, e.info.is_score_logit);
			engine_close(&e);
		}
		hub_copy_free(&copy);
	}
	/* of several labels it says nothing */
	for (unsigned int i = 0; i < 2; i++) {
		struct hub_copy copy;

		hub_copy_new(&copy, "labels");
		hub_copy_set(&copy, HUB_CONFIG, old, i ? "\"a.Softmax\"" : "\"a.Identity\"");
		gguf_free(open_copy(&copy));
		hub_copy_free(&copy);
	}
}

/* the same with a unigram vocabulary; all tokens are of one type */
static void test_multilingual(void **state)
{
	struct hub_engine e = { 0 };

	(void)state;
	check_facts("multilingual", 1);
	engine_open(&e, hub_test_path("multilingual"));
	assert_int_equal(e.info.context, 64);
	engine_close(&e);
	/* and the same model as a converter has it */
	check_model(hub_test_path("multilingual.gguf"), "multilingual", 1);
}

/* names of its own, no types of tokens, and another function before the labels */
static void test_distilled(void **state)
{
	struct hub_engine e = { 0 };
	float hidden[WIDTH], logits[2];
	struct hub_copy copy;

	(void)state;
	check_facts("distilled", 2);
	/* what is no number does not become one */
	for (size_t i = 0; i < WIDTH; i++)
		hidden[i] = NAN;
	engine_open(&e, hub_test_path("distilled"));
	engine_classify(e.model, hidden, logits);
	assert_true(isnan(logits[0]) && isnan(logits[1]));
	engine_close(&e);
	hub_copy_new(&copy, "distilled");
	hub_copy_set(&copy, HUB_CONFIG, "activation", "\"relu\"");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "'activation'");
	hub_copy_free(&copy);
}

/* what distances are worth, up to where all further ones are the same */
static void test_mpnet(void **state)
{
	static const struct {
		const char *key, *value;
	} refused[] = {
		{ "relative_attention_num_buckets", "64" }, { "pad_token_id", "0" },
		{ "hidden_act", "\"relu\"" },
	};
	struct hub_engine e = { 0 };
	struct hub_copy copy;

	(void)state;
	check_facts("mpnet", 0);
	engine_open(&e, hub_test_path("mpnet"));
	assert_int_equal(e.info.context, 320);
	assert_string_equal(e.info.arch, "mpnet");
	engine_close(&e);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		hub_copy_new(&copy, "mpnet");
		hub_copy_set(&copy, HUB_CONFIG, refused[i].key, refused[i].value);
		hub_copy_refuse(&copy, -EOPNOTSUPP, refused[i].key);
		hub_copy_free(&copy);
	}
}

/* most layers see a few tokens around each, by another rope; the mean of all has the labels */
static void test_modern(void **state)
{
	static const struct {
		const char *key, *value;
	} refused[] = {
		{ "hidden_activation", "\"relu\"" }, { "classifier_activation", "\"relu\"" },
		{ "classifier_pooling", "\"max\"" }, { "rope_scaling", "{\"factor\":2}" },
		{ "rope_parameters", "{\"rope_theta\":10000}" },
		{ "layer_types", "[\"full_attention\"]" },
		{ "layer_types/1", "\"chunked_attention\"" },
	};
	struct hub_engine e = { 0 };
	struct hub_copy copy;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		char name[32];

		snprintf(name, sizeof(name), "'%.*s'", (int)strcspn(refused[i].key, "/"),
			 refused[i].key);
		hub_copy_new(&copy, "modern");
		hub_copy_set(&copy, HUB_CONFIG, refused[i].key, refused[i].value);
		hub_copy_refuse(&copy, -EOPNOTSUPP, name);
		hub_copy_free(&copy);
	}
	/* as early writers had it: a period in place of a list, bases by names of their own */
	hub_copy_new(&copy, "modern");
	hub_copy_set(&copy, HUB_CONFIG, "layer_types", NULL);
	hub_copy_set(&copy, HUB_CONFIG, "rope_parameters", NULL);
	hub_copy_set(&copy, HUB_CONFIG, "global_attn_every_n_layers", "3");
	hub_copy_set(&copy, HUB_CONFIG, "global_rope_theta", "160000.0");
	hub_copy_set(&copy, HUB_CONFIG, "local_rope_theta", "10000.0");
	check_model(copy.path, "modern", 2);
	hub_copy_free(&copy);
	check_facts("modern", 2);
	engine_open(&e, hub_test_path("modern"));
	assert_int_equal(e.info.label_pooling, ENGINE_POOL_MEAN);
	assert_int_equal(e.info.context, 128);
	engine_close(&e);
}

/* its settings by the names that transformers has, and by those of the authors */
static void test_nomic(void **state)
{
	static const struct {
		const char *from, *to, *value;
	} renamed[] = {
		{ "hidden_size", "n_embd", "32" }, { "intermediate_size", "n_inner", "48" },
		{ "num_attention_heads", "n_head", "2" }, { "num_hidden_layers", "n_layer", "2" },
		{ "max_position_embeddings", "n_positions", "64" },
		{ "hidden_act", "activation_function", "\"swiglu\"" },
		{ "layer_norm_eps", "layer_norm_epsilon", "1e-12" },
		{ "rope_parameters", "rotary_emb_base", "1000" },
		{ "head_dim", "rotary_emb_fraction", "1.0" },
	};
	static const struct {
		const char *key, *value;
	} refused[] = {
		{ "activation_function", "\"gelu\"" }, { "rotary_scaling_factor", "2.0" },
		{ "rotary_emb_fraction", "0.5" }, { "prenorm", "true" }, { "num_experts", "8" },
		{ "rope_parameters", "{\"rope_type\":\"linear\"}" },
	};
	struct hub_copy copy;

	(void)state;
	check_facts("nomic", 0);
	hub_copy_new(&copy, "nomic");
	for (size_t i = 0; i < ARRAY_SIZE(renamed); i++) {
		hub_copy_set(&copy, HUB_CONFIG, renamed[i].from, NULL);
		hub_copy_set(&copy, HUB_CONFIG, renamed[i].to, renamed[i].value);
	}
	hub_copy_set(&copy, HUB_CONFIG, "rotary_scaling_factor", "null");
	check_model(copy.path, "nomic", 0);
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		struct hub_copy bad;
		char name[32];

		snprintf(name, sizeof(name), "'%s'", refused[i].key);
		hub_copy_new(&bad, "nomic");
		hub_copy_set(&bad, HUB_CONFIG, "hidden_act", NULL);
		hub_copy_set(&bad, HUB_CONFIG, "activation_function", "\"swiglu\"");
		hub_copy_set(&bad, HUB_CONFIG, refused[i].key, refused[i].value);
		hub_copy_refuse(&bad, -EOPNOTSUPP, name);
		hub_copy_free(&bad);
	}
	hub_copy_free(&copy);
}

#define LONG	90U			/* tokens of a text, over several pages and windows */
#define BEHIND	32U			/* where it begins behind another one: with a page */
#define FIRST	30U			/* tokens of that other one */

/* the hidden states of a text, (LONG, WIDTH), by itself or behind another one */
static void hidden_of(const char *fixture, uint32_t vocab, unsigned int threads, bool is_alone,
		      float *to)
{
	const struct engine_config config = { .threads = threads, .kv_type = "f32",
					      .batch_tokens = 512, .logits_rows = 1 };
	const uint32_t begin = is_alone ? 0 : BEHIND;
	const struct engine_text texts[] = {
		{ .end = FIRST, .second = FIRST }, { .begin = begin, .end = begin + LONG,
					       .second = begin + LONG },
	};
	uint32_t ids[BEHIND + LONG] = { 0 };
	struct engine_item item = {
		.tokens = ids, .count = begin + LONG, .logits_from = begin + LONG,
		.texts = texts + is_alone, .text_count = is_alone ? 1 : 2,
		.pooling = ENGINE_POOL_MEAN,
	};
	struct engine_model *model;
	struct engine *engine;

	for (uint32_t i = 0; i < LONG; i++)
		ids[begin + i] = (7 * i * i + 3 * i) % vocab;
	assert_int_equal(engine_new(&engine, &config, NULL), 0);
	assert_int_equal(engine_model_load(engine, hub_test_path(fixture), &model, NULL), 0);
	assert_int_equal(engine_seq_new(model, &item.seq), 0);
	assert_int_equal(engine_seq_reserve(item.seq, item.count), 0);
	assert_int_equal(engine_step(model, &item, 1), 0);
	assert_int_equal(item.hidden_count, is_alone ? LONG : FIRST + LONG);
	for (uint32_t i = 0; i < LONG; i++)
		memcpy(to + i * WIDTH,
		       item.hidden + (item.hidden_count - LONG + i) * item.hidden_stride,
		       WIDTH * sizeof(*to));
	engine_seq_free(item.seq);
	engine_model_free(model);
	engine_free(engine);
}

static void check_company(const char *fixture, uint32_t vocab)
{
	static float one[LONG * WIDTH], other[LONG * WIDTH];

	hidden_of(fixture, vocab, 1, true, one);
	for (unsigned int threads = 1; threads <= 3; threads++)
		for (unsigned int is_alone = 0; is_alone <= 1; is_alone++) {
			memset(other, 0, sizeof(other));
			hidden_of(fixture, vocab, threads, is_alone, other);
			assert_memory_equal(one, other, sizeof(one));
		}
}

/*
 * Windows that end on both sides, and what distances are worth, are the same bits in any company,
 * for any number of threads.
 */
static void test_company(void **state)
{
	(void)state;
	check_company("modern", 300);
	check_company("mpnet", 80);
}

/* ---- what differs between writers ---- */

static uint32_t key_of(const struct hub_copy *copy, const char *key)
{
	struct gguf *gguf = open_copy(copy);
	uint32_t value = 0;

	assert_int_equal(gguf_get_u32(gguf, key, &value), 0);
	gguf_free(gguf);
	return value;
}

/* the length of a text: of the model, of its own file, of the tokenizer's, whichever is there */
static void test_context(void **state)
{
	static const char key[] = "bert.context_length", own[] = "sentence_bert_config.json";
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "encoder");
	assert_int_equal(key_of(&copy, key), 48);
	hub_copy_set(&copy, own, "max_seq_length", "4096");
	assert_int_equal(key_of(&copy, key), 64);
	hub_copy_set(&copy, own, "max_seq_length", "null");
	assert_int_equal(key_of(&copy, key), 64);
	hub_copy_set(&copy, "tokenizer_config.json", "model_max_length", "40");
	assert_int_equal(key_of(&copy, key), 40);
	hub_copy_set(&copy, "tokenizer_config.json", "model_max_length", "1e30");
	assert_int_equal(key_of(&copy, key), 64);
	hub_copy_remove(&copy, own);
	assert_int_equal(key_of(&copy, key), 64);
	hub_copy_remove(&copy, HUB_MODULES);
	hub_copy_set(&copy, "tokenizer_config.json", "model_max_length", "40");
	assert_int_equal(key_of(&copy, key), 64);
	hub_copy_free(&copy);
}

/* a shorter text changes no frequency, also where these depend on what the model was made for */
static void test_context_rope(void **state)
{
	static const char modules[] = "[{\"path\":\"\",\"type\":\"Transformer\"}]";
	static const char sentence[] = "{\"max_seq_length\":16}";
	static const char original[] = "llama.rope.scaling.original_context_length";
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "llama");
	hub_copy_set(&copy, HUB_CONFIG, "rope_parameters",
		     "{\"rope_type\":\"yarn\",\"factor\":4,\"rope_theta\":10000}");
	assert_int_equal(key_of(&copy, "llama.context_length"), 128);
	assert_int_equal(key_of(&copy, original), 128);
	hub_copy_write(&copy, HUB_MODULES, modules, strlen(modules));
	hub_copy_write(&copy, "sentence_bert_config.json", sentence, strlen(sentence));
	assert_int_equal(key_of(&copy, "llama.context_length"), 16);
	assert_int_equal(key_of(&copy, original), 128);
	hub_copy_free(&copy);
}

static void test_names(void **state)
{
	static const struct {
		const char *from, *to;
	} names[] = {
		{ "bert.embeddings.LayerNorm.gamma", "token_embd_norm.weight" },
		{ "embeddings.LayerNorm.beta", "token_embd_norm.bias" },
		{ "encoder.layer.11.output.LayerNorm.weight", "blk.11.layer_output_norm.weight" },
		{ "bert.encoder.layer.0.attention.self.value.bias", "blk.0.attn_v.bias" },
		{ "bert.embeddings.position_ids", NULL },
		{ "cls.predictions.transform.LayerNorm.gamma", NULL },
		{ "cls.predictions.bias", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		enum hub_change change = HUB_AS_IS;
		char to[64] = "";

		assert_int_equal(hub_name_map(hub_arch_find("bert"), names[i].from, to, sizeof(to),
					      &change), 0);
		if (names[i].to)
			assert_string_equal(to, names[i].to);
		assert_int_equal(change == HUB_IGNORE, !names[i].to);
	}
}

static json_t *parse(const char *text)
{
	json_t *json = json_loads(text, JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL, NULL);

	assert_non_null(json);
	return json;
}

static void test_pooling(void **state)
{
	static const struct {
		const char *text;
		int want;
		uint32_t pooling;
	} cases[] = {
		{ "{\"pooling_mode_cls_token\":true}", 0, MODEL_POOL_FIRST },
		{ "{\"pooling_mode_mean_tokens\":true,\"pooling_mode_cls_token\":false}", 0,
		  MODEL_POOL_MEAN },
		{ "{\"pooling_mode_lasttoken\":true}", 0, MODEL_POOL_LAST },
		{ "{\"word_embedding_dimension\":32}", 0, MODEL_POOL_MEAN },
		{ "{\"pooling_mode\":\"cls\"}", 0, MODEL_POOL_FIRST },
		{ "{\"pooling_mode\":[\"lasttoken\"]}", 0, MODEL_POOL_LAST },
		{ "{\"pooling_mode\":\"mean\",\"pooling_mode_cls_token\":true}", 0,
		  MODEL_POOL_MEAN },
		{ "{\"pooling_mode\":[\"cls\",\"mean\"]}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode\":\"max\"}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode\":\"best\"}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode\":null}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode_weightedmean_tokens\":true}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode_mean_sqrt_len_tokens\":true}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode_max_tokens\":true}", -EOPNOTSUPP, 0 },
		{ "{\"pooling_mode_cls_token\":true,\"pooling_mode_mean_tokens\":true}",
		  -EOPNOTSUPP, 0 },
		{ "[]", -EBADMSG, 0 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = { "" };
		json_t *json = parse(cases[i].text);
		uint32_t pooling = 0;
		int r = hub_pooling_read(json, &pooling, &error);

		if (r != cases[i].want || (!r && pooling != cases[i].pooling))
			fail_msg("%s: %d, %u '%s'", cases[i].text, r, pooling, error.text);
		json_decref(json);
	}
}

#define MODULE(path, class) "{\"path\":\"" path "\",\"type\":\"x.y." class "\"}"

static void test_modules(void **state)
{
	static const struct {
		const char *text;
		int want;
		const char *path, *error;
		bool is_score;
	} cases[] = {
		{ "[" MODULE("", "Transformer") "]", 0, NULL, NULL, false },
		{ "[" MODULE("", "Transformer") "," MODULE("1_Pooling", "Pooling") "]", 0,
		  "1_Pooling", NULL, false },
		{ "[" MODULE("", "Transformer") "," MODULE("p", "Pooling") ","
		  MODULE("2", "Normalize") "]", 0, "p", NULL, false },
		{ "[" MODULE("", "Transformer") "," MODULE("1_LogitScore", "LogitScore") "]", 0,
		  "1_LogitScore", NULL, true },
		{ "[" MODULE("", "Transformer") "," MODULE("1", "LogitScore") ","
		  MODULE("2", "Normalize") "]", -EOPNOTSUPP, NULL, "x.y.Normalize", false },
		{ "[" MODULE("", "Transformer") "," MODULE("1", "LogitScore") ","
		  MODULE("2", "Pooling") "]", -EOPNOTSUPP, NULL, "x.y.Pooling", false },
		{ "[]", -EBADMSG, NULL, "no modules", false },
		{ "{}", -EBADMSG, NULL, "no modules", false },
		{ "[7]", -EOPNOTSUPP, NULL, "module '?'", false },
		{ "[" MODULE("0_Transformer", "Transformer") "]", -EOPNOTSUPP, NULL, "x.y.Transf",
		  false },
		{ "[" MODULE("", "Transformer") "," MODULE("1", "Dense") "]", -EOPNOTSUPP, NULL,
		  "x.y.Dense", false },
		{ "[" MODULE("", "Transformer") "," MODULE("1", "Normalize") "]", -EOPNOTSUPP,
		  NULL, "x.y.Normalize", false },
		{ "[" MODULE("", "Transformer") "," MODULE("1", "Pooling") ","
		  MODULE("2", "Pooling") "]", -EOPNOTSUPP, NULL, "x.y.Pooling", false },
		{ "[" MODULE("1", "Pooling") "," MODULE("", "Transformer") "]", -EOPNOTSUPP, NULL,
		  "x.y.Pooling", false },
		{ "[" MODULE("", "Transformer") "," MODULE("../1", "Pooling") "]", -EBADMSG, NULL,
		  "'../1' is no folder", false },
		{ "[" MODULE("", "Transformer") "," MODULE("..", "Pooling") "]", -EBADMSG, NULL,
		  "'..' is no folder", false },
		{ "[" MODULE("", "Transformer") "," MODULE("", "Pooling") "]", -EBADMSG, NULL,
		  "'' is no folder", false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct error error = { "" };
		json_t *json = parse(cases[i].text);
		struct hub_module_paths paths = { 0 };
		int r = hub_modules_read(json, &paths, &error);
		const char *path = paths.score ?: paths.pooling;

		if (r != cases[i].want || !path != !cases[i].path ||
		    !paths.score != !cases[i].is_score || (path && strcmp(path, cases[i].path)) ||
		    (r < 0 && !strstr(error.text, cases[i].error)))
			fail_msg("%s: %d, '%s' '%s'", cases[i].text, r, path ?: "", error.text);
		json_decref(json);
	}
}

/* ---- what is refused ---- */

static void test_refused(void **state)
{
	static const struct {
		const char *fixture, *file, *path, *value;
		int want;
		const char *text;
	} cases[] = {
		{ "encoder", HUB_CONFIG, "hidden_act", "\"relu\"", -EOPNOTSUPP, "'hidden_act'" },
		{ "encoder", HUB_CONFIG, "is_decoder", "true", -EOPNOTSUPP, "'is_decoder'" },
		{ "encoder", HUB_CONFIG, "position_embedding_type", "\"relative_key\"", -EOPNOTSUPP,
		  "'position_embedding_type'" },
		{ "encoder", HUB_CONFIG, "architectures", "[\"BertForTokenClassification\"]",
		  -EOPNOTSUPP, "'architectures'" },
		{ "encoder", HUB_CONFIG, "architectures", "[\"BertForSequenceClassification\"]",
		  -EBADMSG, "labels is missing" },
		{ "encoder", HUB_CONFIG, "model_type", "\"deberta-v2\"", -EOPNOTSUPP,
		  "'model_type'" },
		{ "encoder", HUB_MODULES, "2/type", "\"a.Dense\"", -EOPNOTSUPP, "a.Dense" },
		{ "encoder", HUB_MODULES, "1/path", "\"nothing\"", -ENOENT, "nothing/config.json" },
		{ "encoder", "sentence_bert_config.json", "max_seq_length", "0", -EBADMSG,
		  "'max_seq_length'" },
		{ "encoder", "tokenizer_config.json", "do_lower_case", "false", -EOPNOTSUPP,
		  "'do_lower_case'" },
		{ "encoder", "tokenizer_config.json", "strip_accents", "false", -EOPNOTSUPP,
		  "'strip_accents'" },
		{ "labels", HUB_CONFIG, "architectures", "[\"BertModel\"]", -EOPNOTSUPP,
		  "is for a task" },
		{ "labels", HUB_CONFIG, "id2label/2", NULL, -EBADMSG, "names 2 labels" },
		{ "labels", HUB_CONFIG, "id2label/2", "7", -EBADMSG, "no label 2" },
		{ "labels", HUB_CONFIG, "problem_type", "\"ranking\"", -EOPNOTSUPP,
		  "'problem_type'" },
		{ "reranker", HUB_CONFIG, "pad_token_id", "65", -EOPNOTSUPP, "'pad_token_id'" },
		{ "reranker", HUB_CONFIG, "pad_token_id", "4294967295", -EOPNOTSUPP,
		  "'pad_token_id'" },
		{ "reranker", HUB_CONFIG, "max_position_embeddings", "0", -EOPNOTSUPP,
		  "'pad_token_id'" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hub_copy copy;

		hub_copy_new(&copy, cases[i].fixture);
		hub_copy_set(&copy, cases[i].file, cases[i].path, cases[i].value);
		hub_copy_refuse(&copy, cases[i].want, cases[i].text);
		hub_copy_free(&copy);
	}
}

/* letters that sentence-transformers makes small, before a tokenizer that leaves them */
static void test_letters(void **state)
{
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "encoder");
	hub_copy_remove(&copy, "tokenizer_config.json");
	hub_copy_set(&copy, "tokenizer.json", "normalizer/lowercase", "false");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "'do_lower_case'");
	hub_copy_set(&copy, "sentence_bert_config.json", "do_lower_case", "false");
	gguf_free(open_copy(&copy));
	hub_copy_free(&copy);
}

/* ---- decoders ---- */

/* a head of @rows in a file of its own; it stands for the output */
static void write_score(const struct hub_copy *copy, unsigned int rows)
{
	char file[512] = { 0 }, header[256];
	const size_t bytes = (size_t)rows * 32 * 2;
	int n = snprintf(header, sizeof(header), "{\"score.weight\":{\"dtype\":\"BF16\","
			 "\"shape\":[%u,32],\"data_offsets\":[0,%zu]}}", rows, bytes);

	file[0] = (char)n;
	memcpy(file + 8, header, (size_t)n);
	hub_copy_write(copy, "score.safetensors", file, 8 + (size_t)n + bytes);
	hub_copy_set(copy, HUB_INDEX, "weight_map/lm_head.weight", NULL);
	hub_copy_set(copy, HUB_INDEX, "weight_map/score.weight", "\"score.safetensors\"");
}

static void test_decoder_labels(void **state)
{
	struct hub_engine e = { 0 };
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "llama");
	write_score(&copy, 2);
	hub_copy_refuse(&copy, -EOPNOTSUPP, "'score.weight' is for a task");
	hub_copy_set(&copy, HUB_CONFIG, "architectures", "[\"LlamaForSequenceClassification\"]");
	engine_open(&e, copy.path);
	assert_int_equal(e.info.labels, 2);
	assert_false(e.info.is_encoder);
	assert_false(e.info.has_output);
	assert_false(e.info.has_several_labels);
	engine_close(&e);
	hub_copy_free(&copy);
}

static int step_for_logits(const struct hub_engine *e)
{
	static const uint32_t id = 1;
	struct engine_item item = { .tokens = &id, .count = 1 };
	int r;

	assert_int_equal(engine_seq_new(e->model, &item.seq), 0);
	assert_int_equal(engine_seq_reserve(item.seq, 1), 0);
	r = engine_step(e->model, &item, 1);
	engine_seq_free(item.seq);
	return r;
}

/* one that was saved for its hidden states alone */
static void test_decoder_base(void **state)
{
	struct hub_engine e = { 0 };
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "llama");
	engine_open(&e, copy.path);
	assert_true(e.info.has_output);
	assert_int_equal(step_for_logits(&e), 0);
	engine_close(&e);
	hub_copy_set(&copy, HUB_INDEX, "weight_map/lm_head.weight", NULL);
	hub_copy_refuse(&copy, -EBADMSG, "'lm_head.weight' is missing");
	hub_copy_set(&copy, HUB_CONFIG, "architectures", "[\"LlamaModel\"]");
	engine_open(&e, copy.path);
	assert_false(e.info.has_output);
	/* there is no memory for what it does not give */
	assert_int_equal(step_for_logits(&e), -EINVAL);
	assert_int_equal(e.info.pooling, ENGINE_POOL_NONE);
	engine_close(&e);
	hub_copy_set(&copy, HUB_CONFIG, "is_causal", "false");
	hub_copy_refuse(&copy, -EOPNOTSUPP, "'is_causal'");
	hub_copy_free(&copy);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_encoder),
		cmocka_unit_test(test_labels),
		cmocka_unit_test(test_reranker),
		cmocka_unit_test(test_scores),
		cmocka_unit_test(test_multilingual),
		cmocka_unit_test(test_distilled),
		cmocka_unit_test(test_mpnet),
		cmocka_unit_test(test_modern),
		cmocka_unit_test(test_company),
		cmocka_unit_test(test_nomic),
		cmocka_unit_test(test_context),
		cmocka_unit_test(test_context_rope),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_pooling),
		cmocka_unit_test(test_modules),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_letters),
		cmocka_unit_test(test_decoder_labels),
		cmocka_unit_test(test_decoder_base),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
