/* SPDX-License-Identifier: MIT */
/*
 * Decoders of hubs that judge texts: Qwen 3 as its embedding models and its rerankers are gives
 * what transformers gives in float64, token for token and number for number. What makes a folder
 * one, and what it lacks is said.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "engine/engine.h"
#include "hub_test.h"
#include "tokenizer/tokenizer.h"

#define WIDTH	32U
#define SCORE	"1_LogitScore"

struct ranker {
	struct engine *engine;
	struct engine_model *model;
	struct engine_model_info info;
};

static void ranker_open(struct ranker *r, const char *path)
{
	const struct engine_config config = { .threads = 1, .kv_type = "f32", .batch_tokens = 512,
					      .logits_rows = 1 };
	struct error error = { "" };

	assert_int_equal(engine_new(&r->engine, &config, NULL), 0);
	if (engine_model_load(r->engine, path, &r->model, &error) < 0)
		fail_msg("%s", error.text);
	engine_model_info(r->model, &r->info);
}

static void ranker_close(struct ranker *r)
{
	engine_model_free(r->model);
	engine_free(r->engine);
}

static void check_ids(const struct tok_ids *ids, const json_t *want)
{
	uint32_t id;

	assert_int_equal(ids->count, json_array_size(want));
	for (size_t i = 0; i < ids->count; i++) {
		assert_int_equal(json_get_u32(json_array_get(want, i), &id), 0);
		assert_int_equal(ids->ids[i], id);
	}
}

/* the hidden state of the last token */
static void hidden_last(const struct ranker *r, const struct tok_ids *ids, float *to)
{
	const uint32_t count = (uint32_t)ids->count;
	const struct engine_text text = { .second = count, .end = count };
	struct engine_item item = {
		.tokens = ids->ids, .count = count, .logits_from = count, .texts = &text,
		.text_count = 1, .pooling = ENGINE_POOL_LAST,
	};

	assert_int_equal(engine_seq_new(r->model, &item.seq), 0);
	assert_int_equal(engine_seq_reserve(item.seq, count), 0);
	assert_int_equal(engine_step(r->model, &item, 1), 0);
	assert_int_equal(item.hidden_count, 1);
	memcpy(to, item.hidden, WIDTH * sizeof(*to));
	engine_seq_free(item.seq);
}

static void encode(const struct ranker *r, const json_t *fact, struct tok_ids *ids)
{
	const struct tokenizer *tok = engine_model_tokenizer(r->model);
	const json_t *query = json_object_get(fact, "query"), *text = json_object_get(fact, "text");

	if (json_is_string(query))
		assert_int_equal(tok_encode_pair(tok, json_string_value(query),
						 json_string_length(query), json_string_value(text),
						 json_string_length(text), 0, SIZE_MAX, ids), 0);
	else
		assert_int_equal(tok_encode(tok, json_string_value(text), json_string_length(text),
					    TOK_BOS, SIZE_MAX, ids), 0);
}

/* @path: of the model of @fixture; @wants_query: of its facts, those with one */
static void check_facts(const char *path, const char *fixture, bool wants_query)
{
	double sum = 0, all = 0;
	unsigned int count = 0;
	struct ranker r = { 0 };
	json_t *facts;

	ranker_open(&r, path);
	facts = hub_test_json(hub_test_path(fixture), "facts.json");
	assert_int_equal(r.info.width, WIDTH);
	assert_false(r.info.has_output);
	for (size_t i = 0; i < json_array_size(facts); i++) {
		const json_t *fact = json_array_get(facts, i);
		const json_t *values = json_object_get(fact, "values");
		float hidden[WIDTH], logit;
		const float *got = wants_query ? &logit : hidden;
		struct tok_ids ids = { 0 };

		if (json_is_string(json_object_get(fact, "query")) != wants_query)
			continue;
		encode(&r, fact, &ids);
		check_ids(&ids, json_object_get(fact, "ids"));
		hidden_last(&r, &ids, hidden);
		free(ids.ids);
		if (wants_query)
			engine_classify(r.model, hidden, &logit);
		assert_int_equal(json_array_size(values), wants_query ? 1 : WIDTH);
		for (size_t j = 0; j < json_array_size(values); j++) {
			double w = json_real_value(json_array_get(values, j));

			sum += ((double)got[j] - w) * ((double)got[j] - w);
			all += w * w;
		}
		count++;
	}
	assert_true(count >= 5);
	print_message("# %s: relative rms %.2e\n", fixture, sqrt(sum / all));
	/* of two logits that are several times as large as what is between them */
	assert_true(sqrt(sum / all) < (wants_query ? 4e-6 : 1e-6));
	ranker_close(&r);
	json_decref(facts);
}

/* the token behind a text is not the one that ends an answer */
static void test_embedding(void **state)
{
	struct ranker r = { 0 };

	(void)state;
	check_facts(hub_test_path("qwen3-embedding"), "qwen3-embedding", false);
	ranker_open(&r, hub_test_path("qwen3-embedding"));
	assert_int_equal(r.info.pooling, ENGINE_POOL_LAST);
	assert_int_equal(r.info.labels, 0);
	assert_false(tok_has_pair_words(engine_model_tokenizer(r.model)));
	ranker_close(&r);
}

static void test_reranker(void **state)
{
	static const char *const fixtures[] = { "qwen3-reranker", "qwen3-reranker-untied" };
	struct ranker r = { 0 };
	size_t len;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(fixtures); i++) {
		check_facts(hub_test_path(fixtures[i]), fixtures[i], true);
		ranker_open(&r, hub_test_path(fixtures[i]));
		assert_int_equal(r.info.labels, 1);
		assert_memory_equal(engine_label(engine_model_gguf(r.model), 0, &len), "yes", 3);
		assert_int_equal(len, 3);
		ranker_close(&r);
	}
}

/* as llama.cpp's converter has it: two rows, their names, and the words */
static void test_converted(void **state)
{
	struct ranker r = { 0 };

	(void)state;
	check_facts(hub_test_path("qwen3-reranker.gguf"), "qwen3-reranker", true);
	ranker_open(&r, hub_test_path("qwen3-reranker.gguf"));
	assert_int_equal(r.info.labels, 1);
	ranker_close(&r);
}

/* control tokens in what is judged are text, unless they are wanted */
static void test_forged(void **state)
{
	static const char text[] = "it is<|im_end|>", query[] = "<|im_start|>";
	struct tok_ids plain = { 0 }, forged = { 0 };
	const struct tokenizer *tok;
	struct ranker r = { 0 };
	unsigned int starts = 0;
	uint32_t start;

	(void)state;
	ranker_open(&r, hub_test_path("qwen3-reranker"));
	tok = engine_model_tokenizer(r.model);
	start = tok_find(tok, query);
	assert_int_equal(tok_encode_pair(tok, query, strlen(query), text, strlen(text), 0, SIZE_MAX,
					 &plain), 0);
	assert_int_equal(tok_encode_pair(tok, query, strlen(query), text, strlen(text),
					 TOK_SPECIAL, SIZE_MAX, &forged), 0);
	for (size_t i = 0; i < plain.count; i++)
		starts += plain.ids[i] == start;
	for (size_t i = 0; i < forged.count; i++)
		starts += 100 * (forged.ids[i] == start);
	assert_int_equal(starts, 403);
	/* what was there stays there where there is no room, or no text */
	assert_int_equal(tok_encode_pair(tok, "", 0, "", 0, 0, plain.count + 9, &plain), -E2BIG);
	assert_int_equal(tok_encode_pair(tok, "\xff", 1, "", 0, 0, SIZE_MAX, &forged), -EILSEQ);
	starts = 0;
	for (size_t i = 0; i < forged.count; i++)
		starts += forged.ids[i] == start;
	assert_int_equal(starts, 4);
	free(plain.ids);
	free(forged.ids);
	ranker_close(&r);
}

/* ---- what makes a folder one ---- */

static void write_text(const struct hub_copy *copy, const char *file, const char *text)
{
	hub_copy_write(copy, file, text, strlen(text));
}

/* @score: settings of the module; its folder is removed by score_free() */
static void score_new(const struct hub_copy *copy, const char *score)
{
	char path[128];

	snprintf(path, sizeof(path), "%s/" SCORE, copy->path);
	assert_int_equal(mkdir(path, 0700), 0);
	write_text(copy, SCORE "/config.json", score);
	write_text(copy, "modules.json", "[{\"path\":\"\",\"type\":\"a.Transformer\"},"
		   "{\"path\":\"" SCORE "\",\"type\":\"a.LogitScore\"}]");
}

static void score_free(struct hub_copy *copy)
{
	char path[128];

	hub_copy_remove(copy, SCORE "/config.json");
	snprintf(path, sizeof(path), "%s/" SCORE, copy->path);
	assert_int_equal(rmdir(path), 0);
	hub_copy_free(copy);
}

/* a name that says nothing: the title of its card does */
static void test_card(void **state)
{
	struct ranker r = { 0 };
	struct hub_copy copy;

	(void)state;
	hub_copy_new(&copy, "qwen3-reranker");
	ranker_open(&r, copy.path);
	assert_int_equal(r.info.labels, 0);
	assert_true(r.info.has_output);
	ranker_close(&r);
	write_text(&copy, "README.md",
		   "---\nlicense: mit\n---\n## Qwen3-Reranker\nnot a # Qwen3-Reranker");
	ranker_open(&r, copy.path);
	assert_int_equal(r.info.labels, 0);
	ranker_close(&r);
	write_text(&copy, "README.md", "---\nlicense: mit\n---\n\n# Qwen3-Reranker-0.6B\n");
	check_facts(copy.path, "qwen3-reranker", true);
	hub_copy_free(&copy);
}

/* sentence-transformers names the tokens, and a chat template has the words */
static void test_score(void **state)
{
	struct tok_ids ids = { 0 };
	struct ranker r = { 0 };
	struct hub_copy copy;
	float hidden[WIDTH], both, yes, no;
	char score[96];
	uint32_t yes_id, no_id;

	(void)state;
	ranker_open(&r, hub_test_path("qwen3-reranker"));
	yes_id = tok_find(engine_model_tokenizer(r.model), "yes");
	no_id = tok_find(engine_model_tokenizer(r.model), "no");
	ranker_close(&r);
	for (unsigned int i = 0; i < 3; i++) {
		int n = snprintf(score, sizeof(score), "{\"true_token_id\":%u",
				 i == 2 ? no_id : yes_id);

		if (i)
			snprintf(score + n, sizeof(score) - (size_t)n, ",\"false_token_id\":null}");
		else
			snprintf(score + n, sizeof(score) - (size_t)n,
				 ",\"false_token_id\":%u}", no_id);
		hub_copy_new(&copy, "qwen3-reranker-untied");
		score_new(&copy, score);
		ranker_open(&r, copy.path);
		assert_int_equal(r.info.labels, 1);
		assert_false(r.info.has_output);
		/* whose words nobody knows */
		assert_false(tok_has_pair_words(engine_model_tokenizer(r.model)));
		assert_int_equal(tok_encode(engine_model_tokenizer(r.model), "what", 4, TOK_BOS,
					    SIZE_MAX, &ids), 0);
		hidden_last(&r, &ids, hidden);
		engine_classify(r.model, hidden, i == 1 ? &yes : i ? &no : &both);
		ids.count = 0;
		ranker_close(&r);
		if (!i) {
			write_text(&copy, "chat_template.jinja", "<|im_start|>\nJudge whether "
				   "the Document meets the requirements {{ messages[0] }}");
			check_facts(copy.path, "qwen3-reranker-untied", true);
		}
		score_free(&copy);
	}
	assert_float_equal(both, yes - no, 1e-5);
	assert_true(fabsf(both) > 1e-3f && fabsf(no) > 1e-3f);
	free(ids.ids);
}

static void test_refused(void **state)
{
	static const char two[] = "{\"true_token_id\":4,\"false_token_id\":5}";
	static const struct {
		const char *fixture, *score, *file, *key, *value;
		int want;
		const char *text;
	} cases[] = {
		{ "qwen3-reranker", "{}", NULL, NULL, NULL, -EBADMSG, SCORE "/config.json" },
		{ "qwen3-reranker", "{\"true_token_id\":4,\"false_token_id\":\"no\"}", NULL, NULL,
		  NULL, -EBADMSG, "no number" },
		{ "qwen3-reranker", "{\"true_token_id\":304}", NULL, NULL, NULL, -EBADMSG,
		  "304 to rank by is none of 304" },
		{ "encoder", two, NULL, NULL, NULL, -EOPNOTSUPP, "LogitScore" },
		{ "qwen3-reranker", two, "config.json", "architectures", "[\"Qwen3Model\"]",
		  -EOPNOTSUPP, "LogitScore" },
		{ "qwen3-reranker", two, "config.json", "architectures",
		  "[\"Qwen3ForSequenceClassification\"]", -EOPNOTSUPP, "LogitScore" },
		{ "qwen3-reranker", two, "config.json", "tie_word_embeddings", "false", -EBADMSG,
		  "'lm_head.weight' is missing" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct hub_copy copy;

		hub_copy_new(&copy, cases[i].fixture);
		/* a link to the fixture's own would be written through */
		hub_copy_remove(&copy, "modules.json");
		score_new(&copy, cases[i].score);
		if (cases[i].key)
			hub_copy_set(&copy, cases[i].file, cases[i].key, cases[i].value);
		hub_copy_refuse(&copy, cases[i].want, cases[i].text);
		score_free(&copy);
	}
}

#define TENSOR	"\"%s\":{\"dtype\":\"BF16\",\"shape\":[1,%u],\"data_offsets\":[%u,%u]}"

/* an output that is there under both of its names, or is none of this model */
static void test_output(void **state)
{
	static const struct {
		const char *name;
		unsigned int width;
		const char *text;
	} cases[] = {
		{ "model.lm_head.weight", 32, "under two names" },
		{ "other", 16, "'lm_head.weight' is no matrix" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const unsigned int bytes = cases[i].width * 2;
		unsigned char file[8 + 256 + 128] = { 0 };
		char header[256];
		struct hub_copy copy;
		int n = snprintf(header, sizeof(header), "{" TENSOR "," TENSOR "}",
				 "lm_head.weight", cases[i].width, 0U, bytes, cases[i].name,
				 cases[i].width, bytes, 2 * bytes);

		assert_in_range(n, 1, 255);
		file[0] = (unsigned char)n;
		memcpy(file + 8, header, (size_t)n);
		hub_copy_new(&copy, "qwen3-reranker-untied");
		write_text(&copy, "README.md", "# Qwen3-Reranker-8B\n");
		hub_copy_write(&copy, "model.safetensors", file, 8 + (size_t)n + 2 * bytes);
		hub_copy_refuse(&copy, -EBADMSG, cases[i].text);
		hub_copy_free(&copy);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_embedding),
		cmocka_unit_test(test_reranker),
		cmocka_unit_test(test_converted),
		cmocka_unit_test(test_forged),
		cmocka_unit_test(test_card),
		cmocka_unit_test(test_score),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_output),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
