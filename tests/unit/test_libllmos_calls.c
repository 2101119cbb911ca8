/* SPDX-License-Identifier: MIT */
/*
 * Tokens, models, processes and status, and the options of all calls: what goes out, what comes
 * back, what is refused before it goes out.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_llm.h"
#include "llmos.h"

static struct frames frames;

struct fixture {
	struct fake *fake;
	struct llmos *llmos;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	frames.len = 0;
	fixture->fake = fake_new();
	*state = fixture;
	return 0;
}

static void connect_to(struct fixture *fixture)
{
	fixture->fake->answer = frames.bytes;
	fixture->fake->answer_len = frames.len;
	fixture->fake->chunk = 13;
	fake_listen(fixture->fake);
	assert_int_equal(llmos_open(&fixture->llmos, fake_address(fixture->fake)), 0);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	llmos_free(fixture->llmos);
	fake_free(fixture->fake);
	free(fixture);
	return 0;
}

/* ---- options ---- */

struct number_case {
	struct llmos_generate_opts opts;
	int error;
	const char *says;
	struct llm_sampling want;
};

static void test_numbers(void **state)
{
	struct fixture *f = *state;
	struct number_case cases[] = {
		{ { .temperature = 0.7 }, 0, NULL, { .temperature = 700000 } },
		{ { .temperature = 100 }, 0, NULL, { .temperature = 100000000 } },
		{ { .temperature = 1e-9 }, 0, NULL, { 0 } },
		{ { .top_p = 1 }, 0, NULL, { .top_p = 1000000 } },
		/* the smallest share must not become "off" */
		{ { .top_p = 1e-300 }, 0, NULL, { .top_p = 1 } },
		{ { .repeat_penalty = 1e-9 }, 0, NULL, { .repeat_penalty = 1 } },
		{ { .min_p = 1e-300 }, 0, NULL, { 0 } },
		{ { .min_p = 0.05 }, 0, NULL, { .min_p = 50000 } },
		{ { .repeat_penalty = 1.1 }, 0, NULL, { .repeat_penalty = 1100000 } },
		{ { .seed = UINT64_MAX, .top_k = 40, .repeat_last_n = 7 }, 0, NULL,
		  { .seed = UINT64_MAX, .top_k = 40, .repeat_last_n = 7 } },
		{ { .top_logprobs = 20 }, 0, NULL, { .top_logprobs = 20 } },
		{ { .logprobs = true }, 0, NULL, { .top_logprobs = 1 } },
		{ { .temperature = -0.1 }, -EINVAL, "temperature '-0.1'", { 0 } },
		{ { .temperature = 100.1 }, -EINVAL, "temperature", { 0 } },
		{ { .temperature = NAN }, -EINVAL, "temperature 'nan'", { 0 } },
		{ { .temperature = INFINITY }, -EINVAL, "temperature 'inf'", { 0 } },
		{ { .top_p = 1.01 }, -EINVAL, "top_p '1.01'", { 0 } },
		{ { .top_p = NAN }, -EINVAL, "top_p", { 0 } },
		{ { .min_p = -1 }, -EINVAL, "min_p '-1'", { 0 } },
		{ { .repeat_penalty = -1 }, -EINVAL, "repeat_penalty", { 0 } },
		{ { .top_logprobs = 21 }, -EINVAL, "top_logprobs '21'", { 0 } },
	};
	size_t i;

	connect_to(f);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct number_case *c = &cases[i];

		c->opts.size = sizeof(c->opts);
		assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &c->opts), c->error);
		if (c->error)
			assert_non_null(strstr(llmos_error(f->llmos), c->says));
		else
			assert_memory_equal(&f->fake->submit.sampling, &c->want,
					    sizeof(c->want));
	}
}

static void test_flags(void **state)
{
	struct fixture *f = *state;
	const char *stop[] = { "END", "\n\n", NULL };

	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1,
				   LLMOS_OPTS(llmos_generate_opts, .raw = true, .special = true,
					      .no_bos = true, .ignore_eos = true,
					      .max_tokens = 9, .model = "some", .stop = stop,
					      .sched_class = LLMOS_IDLE, .no_wait = true)), 0);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_SPECIAL |
			 LLM_SUBMIT_NO_BOS | LLM_SUBMIT_IGNORE_EOS | LLM_SUBMIT_EDQUOT);
	assert_int_equal(f->fake->submit.sched_class, LLM_CLASS_IDLE);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_RAW);
	assert_int_equal(f->fake->submit.max_tokens, 9);
	assert_string_equal(f->fake->submit.model, "some");
	assert_int_equal(f->fake->submit.stop_len, 7);
	assert_memory_equal(f->fake->payload, "xEND\0\n\n", 8);
}

/* what an answer is held to stands in front of the prompt */
static void test_constraints(void **state)
{
	static const struct {
		struct llmos_generate_opts opts;
		struct llm_option head;
	} cases[] = {
		{ { .grammar = "root ::= \"a\"" }, { LLM_OPTION_GRAMMAR, 12 } },
		{ { .schema = "{}" }, { LLM_OPTION_SCHEMA, 2 } },
		{ { .any_json = true }, { LLM_OPTION_JSON, 0 } },
	};
	static const struct llm_option end = { LLM_OPTION_END, 0 };
	struct fixture *f = *state;
	size_t i;

	connect_to(f);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		const char *text = cases[i].opts.grammar ?: cases[i].opts.schema ?: "";
		struct llmos_generate_opts opts = cases[i].opts;
		const uint8_t *at = (const uint8_t *)f->fake->payload;

		opts.size = sizeof(opts);
		assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5, &opts), 0);
		assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_OPTIONS);
		assert_int_equal(f->fake->submit.payload_len,
				 sizeof(cases[i].head) + strlen(text) + sizeof(end) + 5);
		at = (const uint8_t *)f->fake->payload;
		assert_memory_equal(at, &cases[i].head, sizeof(cases[i].head));
		assert_memory_equal(at + sizeof(cases[i].head), text, strlen(text));
		at += sizeof(cases[i].head) + strlen(text);
		assert_memory_equal(at, &end, sizeof(end));
		assert_memory_equal(at + sizeof(end), "hello", 5);
		opts.ignore_eos = true;
		assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5, &opts), -EINVAL);
		opts.ignore_eos = false;
		opts.any_json = true;
		opts.schema = "{}";
		assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5, &opts), -EINVAL);
		assert_non_null(strstr(llmos_error(f->llmos), "more than one"));
	}
}

/* adapters stand in front of the prompt, in the order in which they are named, of scores too */
static void test_adapters(void **state)
{
	static const struct llmos_adapter adapters[] = { { "one", 1 }, { "second", -0.25 } };
	static const struct {
		struct llm_option option;
		struct llm_adapter adapter;
		char name[3];
	} __attribute__((packed)) first = { { LLM_OPTION_ADAPTER, 7 }, { 1000000 }, "one" };
	static const struct {
		struct llm_option option;
		struct llm_adapter adapter;
		char name[6];
		struct llm_option end;
	} __attribute__((packed)) second = {
		{ LLM_OPTION_ADAPTER, 10 }, { -250000 }, "second", { LLM_OPTION_END, 0 },
	};
	struct fixture *f = *state;
	struct llmos_tokens *tokens = NULL;

	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
				   LLMOS_OPTS(llmos_generate_opts, .adapters = adapters,
					      .adapter_count = 2)), 0);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_OPTIONS);
	assert_int_equal(f->fake->submit.payload_len, sizeof(first) + sizeof(second) + 5);
	assert_memory_equal(f->fake->payload, &first, sizeof(first));
	assert_memory_equal(f->fake->payload + sizeof(first), &second, sizeof(second));
	assert_memory_equal(f->fake->payload + sizeof(first) + sizeof(second), "hello", 5);
	(void)llmos_score(f->llmos, &tokens, "hello", 5,
			  LLMOS_OPTS(llmos_score_opts, .adapters = adapters, .adapter_count = 2));
	llmos_tokens_free(tokens);
	assert_int_equal(f->fake->submit.op, LLM_OP_SCORE);
	assert_memory_equal(f->fake->payload + sizeof(first), &second, sizeof(second));
}

/* where the context is full: nothing is said of how many stay, or it is */
static void test_context_shift(void **state)
{
	static const struct llm_option plain[] = { { LLM_OPTION_CONTEXT_SHIFT, 0 },
						   { LLM_OPTION_END, 0 } };
	static const struct {
		struct llm_option option;
		__u32 keep;
		struct llm_option end;
	} keeping = { { LLM_OPTION_CONTEXT_SHIFT, 4 }, 7, { LLM_OPTION_END, 0 } };
	struct fixture *f = *state;

	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
				   LLMOS_OPTS(llmos_generate_opts, .context_shift = true)), 0);
	assert_int_equal(f->fake->submit.payload_len, sizeof(plain) + 5);
	assert_memory_equal(f->fake->payload, plain, sizeof(plain));
	assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
				   LLMOS_OPTS(llmos_generate_opts, .context_shift = true,
					      .keep_tokens = 7)), 0);
	assert_int_equal(f->fake->submit.payload_len, sizeof(keeping) + 5);
	assert_memory_equal(f->fake->payload, &keeping, sizeof(keeping));
	assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
				   LLMOS_OPTS(llmos_generate_opts, .keep_tokens = 7)), -EINVAL);
	assert_non_null(strstr(llmos_error(f->llmos), "context_shift"));
}

static void test_bad_adapters(void **state)
{
	static const char long_name[] =
		"0123456789012345678901234567890123456789012345678901234567890123";
	static const struct {
		struct llmos_adapter adapters[5];
		size_t count;
	} cases[] = {
		{ { { "a", 1 }, { "b", 1 }, { "c", 1 }, { "d", 1 }, { "e", 1 } }, 5 },
		{ { { "", 1 } }, 1 },
		{ { { NULL, 1 } }, 1 },
		{ { { long_name, 1 } }, 1 },
		{ { { "a", 101 } }, 1 },
		{ { { "a", -101 } }, 1 },
		{ { { "a", __builtin_nan("") } }, 1 },
	};
	struct fixture *f = *state;

	connect_to(f);
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
		assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
					   LLMOS_OPTS(llmos_generate_opts,
						      .adapters = cases[i].adapters,
						      .adapter_count = cases[i].count)), -EINVAL);
	assert_int_equal(llmos_ask(f->llmos, NULL, "hello", 5,
				   LLMOS_OPTS(llmos_generate_opts, .adapter_count = 1)), -EINVAL);
}

static void test_bad_strings(void **state)
{
	struct fixture *f = *state;
	static char large[8192];
	const char *stop[] = { large, NULL }, *none[] = { "", NULL };
	struct llmos_generate_opts opts = { .size = sizeof(opts), .stop = stop };

	connect_to(f);
	memset(large, 's', sizeof(large) - 1);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -E2BIG);
	opts.stop = none;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -EINVAL);
	opts.stop = NULL;
	opts.model = large;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -ENAMETOOLONG);
	large[63] = '\0';
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), 0);
	large[63] = 's';
	large[64] = '\0';
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -ENAMETOOLONG);
	/* exactly as many bytes of stop strings as there may be */
	large[64] = 's';
	large[LLM_STOP_BYTES_MAX - 1] = '\0';
	opts.model = NULL;
	opts.stop = stop;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), 0);
	assert_int_equal(f->fake->submit.stop_len, LLM_STOP_BYTES_MAX);
}

/* callers of other versions of this library */
static void test_sizes(void **state)
{
	struct fixture *f = *state;
	struct {
		struct llmos_generate_opts opts;
		uint64_t future;
	} newer = { .opts.size = sizeof(newer), .opts.max_tokens = 3 };
	size_t older[2] = { sizeof(older), 0 };

	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &newer.opts), 0);
	assert_int_equal(f->fake->submit.max_tokens, 3);
	newer.future = 1;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &newer.opts), -E2BIG);
	assert_non_null(strstr(llmos_error(f->llmos), "option"));
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, (void *)older), 0);
	older[0] = 0;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, (void *)older), -EINVAL);
	older[0] = SIZE_MAX;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, (void *)older), -EINVAL);
}

static void test_payload_limit(void **state)
{
	struct fixture *f = *state;
	static char prompt[1001];

	f->fake->max_payload = 1000;
	connect_to(f);
	assert_int_equal(llmos_payload_max(f->llmos), 1000);
	assert_int_equal(llmos_ask(f->llmos, NULL, prompt, 1000, NULL), 0);
	assert_int_equal(llmos_ask(f->llmos, NULL, prompt, 1001, NULL), -E2BIG);
	assert_non_null(strstr(llmos_error(f->llmos), "1001"));
	assert_int_equal(llmos_detokenize(f->llmos, &(char *){ NULL }, NULL,
					  (uint32_t *)prompt, 251, NULL), -E2BIG);
}

/* ---- tokens ---- */

static void test_tokenize(void **state)
{
	struct fixture *f = *state;
	struct llmos_tokens *tokens;
	char name[8];
	uint32_t i;

	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		frames_token(&frames, i * 3, 0, name, strlen(name), NULL, 0);
	}
	connect_to(f);
	assert_int_equal(llmos_tokenize(f->llmos, &tokens, "text\0more", 9, NULL), 0);
	assert_int_equal(f->fake->submit.op, LLM_OP_TOKENIZE);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_NO_BOS);
	assert_memory_equal(f->fake->payload, "text\0more", 9);
	assert_int_equal(tokens->count, 300);
	for (i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "t%u", i);
		assert_int_equal(tokens->tokens[i].id, i * 3);
		assert_int_equal(tokens->tokens[i].text_len, strlen(name));
		assert_memory_equal(tokens->tokens[i].text, name, strlen(name));
	}
	llmos_tokens_free(tokens);
	assert_int_equal(llmos_tokenize(f->llmos, &tokens, "x", 1,
					LLMOS_OPTS(llmos_tokenize_opts, .bos = true,
						   .special = true, .model = "m")), 0);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_SPECIAL);
	llmos_tokens_free(tokens);
}

static void test_detokenize(void **state)
{
	struct fixture *f = *state;
	const uint32_t ids[] = { 1, 2, 0xffffffff };
	size_t len;
	char *text;

	frames_add(&frames, LLM_RECORD_TEXT, "a\0b\xff", 4);
	connect_to(f);
	assert_int_equal(llmos_detokenize(f->llmos, &text, &len, ids, 3, NULL), 0);
	assert_int_equal(len, 4);
	assert_memory_equal(text, "a\0b\xff", 5);
	free(text);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_TOKENS);
	assert_memory_equal(f->fake->payload, ids, sizeof(ids));
}

static void test_score(void **state)
{
	struct fixture *f = *state;
	const struct llm_alternative top[] = { { 8, -1 }, { 9, -2000000 } };
	const uint32_t ids[] = { 4, 5 };
	struct llmos_tokens *tokens;

	frames_token(&frames, 4, LLM_LOGPROB_NONE, "", 0, NULL, 0);
	frames_token(&frames, 5, -250000, "five", 4, top, 2);
	connect_to(f);
	assert_int_equal(llmos_score(f->llmos, &tokens, "text", 4,
				     LLMOS_OPTS(llmos_score_opts, .top_logprobs = 2)), 0);
	assert_int_equal(f->fake->submit.op, LLM_OP_SCORE);
	assert_int_equal(f->fake->submit.sampling.top_logprobs, 2);
	assert_true(isnan(tokens->tokens[0].logprob));
	assert_null(tokens->tokens[0].top);
	assert_true(fabs(tokens->tokens[1].logprob + 0.25) < 1e-12);
	assert_int_equal(tokens->tokens[1].top[1].id, 9);
	assert_true(fabs(tokens->tokens[1].top[1].logprob + 2) < 1e-12);
	llmos_tokens_free(tokens);
	assert_int_equal(llmos_score_ids(f->llmos, &tokens, ids, 2, NULL), 0);
	assert_int_equal(f->fake->submit.payload_len, 8);
	llmos_tokens_free(tokens);
	assert_int_equal(llmos_score_ids(f->llmos, &tokens, ids, 2,
					 LLMOS_OPTS(llmos_score_opts, .no_bos = true)), -EINVAL);
}

static void test_tokens_corrupt(void **state)
{
	struct fixture *f = *state;
	struct llmos_tokens *tokens = NULL;

	frames_token(&frames, 1, 0, "good", 4, NULL, 0);
	frames_add(&frames, LLM_RECORD_TOKEN, "short", 5);
	connect_to(f);
	assert_int_equal(llmos_tokenize(f->llmos, &tokens, "x", 1, NULL), -EPROTO);
	assert_null(tokens);
}

/* ---- vectors ---- */

static void frames_vector(uint32_t index, uint32_t dims, const float *values, uint32_t flags)
{
	const struct llm_embedding head = {
		.index = index, .flags = flags, .tokens = 3, .dims = dims,
	};
	uint8_t body[sizeof(head) + 16];

	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), values, 8);
	frames_add(&frames, LLM_RECORD_EMBEDDING, body, sizeof(head) + 8);
}

static void test_embed(void **state)
{
	struct fixture *f = *state;
	const float values[] = { 0.5f, -0.25f, 1, 2 };
	const char *const texts[] = { "one", "second" };
	const size_t lens[] = { 2, 6 };
	struct llmos_embeddings *vectors = NULL;
	struct llm_option option;
	uint32_t len;

	frames_vector(0, 2, values, 0);
	frames_vector(1, 2, values + 2, LLM_EMBEDDING_TRUNCATED);
	connect_to(f);
	assert_int_equal(llmos_embed(f->llmos, &vectors, texts, lens, 2,
				     LLMOS_OPTS(llmos_embed_opts, .truncate = true)), 0);
	assert_int_equal(vectors->count, 2);
	assert_int_equal(vectors->dims, 2);
	assert_int_equal(vectors->tokens, 6);
	assert_int_equal(vectors->truncated, 1);
	assert_memory_equal(vectors->values, values, sizeof(values));
	llmos_embeddings_free(vectors);
	llmos_embeddings_free(NULL);
	assert_int_equal(f->fake->submit.op, LLM_OP_EMBED);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_BATCH);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS | LLM_SUBMIT_OPTIONS);
	/* the option, the end of options, then both texts */
	assert_int_equal(f->fake->submit.payload_len, 8 + 8 + 4 + 2 + 4 + 6);
	memcpy(&option, f->fake->payload, sizeof(option));
	assert_int_equal(option.type, LLM_OPTION_TRUNCATE);
	memcpy(&len, f->fake->payload + 16, sizeof(len));
	assert_int_equal(len, 2);
	assert_memory_equal(f->fake->payload + 20, "on", 2);
	assert_memory_equal(f->fake->payload + 26, "second", 6);
	assert_int_equal(llmos_embed(f->llmos, &vectors, texts, NULL, 0, NULL), -EINVAL);
	assert_int_equal(llmos_embed(f->llmos, &vectors, texts, NULL, 2,
				     LLMOS_OPTS(llmos_embed_opts, .pooling = 4)), -EINVAL);
}

/* a server that answers something else */
static void refuse_vectors(struct fixture *f)
{
	const char *const texts[] = { "one", "two" };
	struct llmos_embeddings *vectors = NULL;

	connect_to(f);
	assert_int_equal(llmos_embed(f->llmos, &vectors, texts, NULL, 2, NULL), -EPROTO);
	assert_null(vectors);
}

static void test_embed_one_less(void **state)
{
	const float values[2] = { 1, 2 };

	frames_vector(0, 2, values, 0);
	refuse_vectors(*state);
}

static void test_embed_one_more(void **state)
{
	const float values[2] = { 1, 2 };

	for (uint32_t i = 0; i < 3; i++)
		frames_vector(i, 2, values, 0);
	refuse_vectors(*state);
}

static void test_embed_order(void **state)
{
	const float values[2] = { 1, 2 };

	frames_vector(1, 2, values, 0);
	frames_vector(0, 2, values, 0);
	refuse_vectors(*state);
}

static void test_embed_sizes(void **state)
{
	const float values[2] = { 1, 2 };

	frames_vector(0, 0x40000002, values, 0);
	refuse_vectors(*state);
}

/* ---- models ---- */

static void add_model(const char *name, uint32_t flags)
{
	struct llm_model_info info = {
		.size = sizeof(info),
		.flags = flags,
		.parameters = 260032,
		.file_bytes = 1 << 20,
		.context = 512,
		.vocab = 512,
		.labels = flags & LLM_MODEL_LABELS ? 3 : 0,
		.arch = "llama",
		.weights = "F32",
		.tokenizer = "spm",
	};

	snprintf(info.name, sizeof(info.name), "%s", name);
	frames_add(&frames, LLM_RECORD_MODEL, &info, sizeof(info));
}

static void add_meta(const char *key, const char *value)
{
	struct llm_meta meta = { strlen(key), strlen(value) };
	uint8_t body[1024];

	memcpy(body, &meta, sizeof(meta));
	memcpy(body + sizeof(meta), key, meta.key_len);
	memcpy(body + sizeof(meta) + meta.key_len, value, meta.value_len);
	frames_add(&frames, LLM_RECORD_META, body, sizeof(meta) + meta.key_len + meta.value_len);
}

static void test_models(void **state)
{
	struct fixture *f = *state;
	struct llmos_models *models;

	add_model("one", LLM_MODEL_LOADED | LLM_MODEL_DEFAULT);
	add_model("two", 0);
	add_model("three", LLM_MODEL_BROKEN);
	add_model("four", LLM_MODEL_ENCODER | LLM_MODEL_LABELS);
	add_model("five", LLM_MODEL_ADAPTER);
	connect_to(f);
	assert_int_equal(llmos_models(f->llmos, &models), 0);
	assert_int_equal(f->fake->submit.op, LLM_OP_MODELS);
	assert_int_equal(models->count, 5);
	assert_string_equal(models->models[0].name, "one");
	assert_true(models->models[0].loaded && models->models[0].is_default);
	assert_string_equal(models->models[0].error, "");
	assert_false(models->models[1].loaded || models->models[1].is_default);
	assert_string_equal(models->models[2].error, "broken");
	assert_int_equal(models->models[2].parameters, 260032);
	assert_string_equal(models->models[1].arch, "llama");
	assert_false(models->models[1].is_adapter || models->models[3].is_adapter);
	assert_true(models->models[4].is_adapter);
	assert_int_equal(models->models[3].labels, 3);
	assert_int_equal(models->models[0].labels, 0);
	llmos_models_free(models);
}

static void test_show(void **state)
{
	struct fixture *f = *state;
	struct llmos_models *models;
	char key[16];
	int i;

	add_model("one", 0);
	for (i = 0; i < 37; i++) {
		snprintf(key, sizeof(key), "key.%d", i);
		add_meta(key, i % 2 ? "value" : "");
	}
	connect_to(f);
	assert_int_equal(llmos_show(f->llmos, &models, "one"), 0);
	assert_string_equal(f->fake->submit.model, "one");
	assert_int_equal(models->models[0].meta_count, 37);
	assert_string_equal(models->models[0].meta_keys[36], "key.36");
	assert_string_equal(models->models[0].meta_values[35], "value");
	assert_string_equal(models->models[0].meta_values[36], "");
	llmos_models_free(models);
}

static void test_show_corrupt(void **state)
{
	struct fixture *f = *state;
	struct llmos_models *models = NULL;

	/* a key before any model */
	add_meta("key", "value");
	add_model("one", 0);
	connect_to(f);
	assert_int_equal(llmos_show(f->llmos, &models, "one"), -EPROTO);
	/* no model, two models */
	f->fake->answer_len = 0;
	assert_int_equal(llmos_show(f->llmos, &models, "one"), -EPROTO);
	frames.len = 0;
	add_model("one", 0);
	add_model("two", 0);
	f->fake->answer_len = frames.len;
	assert_int_equal(llmos_show(f->llmos, &models, "one"), -EPROTO);
	assert_null(models);
}

/* ---- processes ---- */

static void test_ps(void **state)
{
	struct fixture *f = *state;
	static struct llm_request_info infos[200];
	struct llmos_processes *processes;
	size_t i;

	for (i = 0; i < 200; i++) {
		infos[i] = (struct llm_request_info){
			.id = 10 + 3 * i,
			.cgroup_id = 1 + i % 3,
			.pid = 1000 + i,
			.uid = 7,
			.state = i % 5,
			.prompt_tokens = i,
			.sched_class = i % 4,
		};
		memset(infos[i].model, 'm', sizeof(infos[i].model));
	}
	f->fake->list = infos;
	f->fake->list_count = 200;
	connect_to(f);
	assert_int_equal(llmos_ps(f->llmos, &processes), 0);
	assert_int_equal(processes->count, 200);
	for (i = 0; i < 200; i++) {
		assert_int_equal(processes->processes[i].id, 10 + 3 * i);
		assert_int_equal(processes->processes[i].pid, 1000 + i);
		assert_int_equal(processes->processes[i].state, i % 5);
		assert_int_equal(processes->processes[i].sched_class, i % 4 % 3);
		assert_non_null(processes->processes[i].cgroup);
		assert_int_equal(strlen(processes->processes[i].model), 63);
	}
	llmos_processes_free(processes);
	f->fake->list_count = 0;
	assert_int_equal(llmos_ps(f->llmos, &processes), 0);
	assert_int_equal(processes->count, 0);
	llmos_processes_free(processes);
}

static void test_ps_repeats(void **state)
{
	struct fixture *f = *state;
	struct llm_request_info infos[2] = { { .id = 1 }, { .id = 2 } };
	struct llmos_processes *processes = NULL;

	f->fake->list = infos;
	f->fake->list_count = 2;
	f->fake->list_same = true;
	connect_to(f);
	assert_int_equal(llmos_ps(f->llmos, &processes), -EPROTO);
	assert_null(processes);
}

/* ---- status ---- */

static void add_status(void)
{
	struct llm_status status = {
		.size = sizeof(status),
		.pid = 1,
		.version = "9.8.7",
		.isa = "avx2",
		.steps = 11,
		.ended = 5,
		.slots = 4,
		.reading_ns = 17,
	};

	/* a server that forgets the end */
	memset(status.reading, 'r', sizeof(status.reading));
	frames_add(&frames, LLM_RECORD_STATUS, &status, sizeof(status));
}

static void test_status(void **state)
{
	struct fixture *f = *state;
	struct llmos_status status = { .size = sizeof(status) };
	struct {
		size_t size;
		uint32_t abi_version;
		uint32_t server_pid;
		uint32_t guard;
	} older = { .size = 16, .guard = 0x5555 };

	add_status();
	connect_to(f);
	assert_int_equal(llmos_get_status(f->llmos, &status), 0);
	assert_int_equal(status.size, sizeof(status));
	assert_int_equal(status.server_pid, 4242);
	assert_string_equal(status.version, "9.8.7");
	assert_int_equal(status.steps, 11);
	assert_int_equal(status.server_ended, 5);
	assert_int_equal(status.slots, 4);
	assert_int_equal(status.reading_ns, 17);
	assert_int_equal(strlen(status.reading), LLM_MODEL_NAME_MAX - 1);
	/* a caller with a shorter struct gets what fits */
	assert_int_equal(llmos_get_status(f->llmos, (struct llmos_status *)&older), 0);
	assert_int_equal(older.server_pid, 4242);
	assert_int_equal(older.guard, 0x5555);
	older.size = 1;
	assert_int_equal(llmos_get_status(f->llmos, (struct llmos_status *)&older), -EINVAL);
}

static void test_status_without_server(void **state)
{
	struct fixture *f = *state;
	struct llmos_status status = { .size = sizeof(status) };

	f->fake->server_pid = 0;
	connect_to(f);
	assert_int_equal(llmos_get_status(f->llmos, &status), 0);
	assert_int_equal(status.server_pid, 0);
	assert_int_equal(status.max_requests, 1024);
	assert_string_equal(status.version, "");
	/* nothing was submitted */
	assert_int_equal(f->fake->next_id, 0);
}

static void test_status_of_silent_server(void **state)
{
	struct fixture *f = *state;
	struct llmos_status status = { .size = sizeof(status) };

	f->fake->silent = true;
	connect_to(f);
	assert_int_equal(llmos_get_status(f->llmos, &status), 0);
	assert_int_equal(status.server_pid, 4242);
	assert_string_equal(status.version, "");
	assert_int_equal(llmos_nop(f->llmos), 0);
	assert_int_equal(f->fake->forgets, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_numbers),
		TEST(test_flags),
		TEST(test_constraints),
		TEST(test_adapters),
		TEST(test_bad_adapters),
		TEST(test_context_shift),
		TEST(test_bad_strings),
		TEST(test_sizes),
		TEST(test_payload_limit),
		TEST(test_tokenize),
		TEST(test_detokenize),
		TEST(test_score),
		TEST(test_embed),
		TEST(test_embed_one_less),
		TEST(test_embed_one_more),
		TEST(test_embed_order),
		TEST(test_embed_sizes),
		TEST(test_tokens_corrupt),
		TEST(test_models),
		TEST(test_show),
		TEST(test_show_corrupt),
		TEST(test_ps),
		TEST(test_ps_repeats),
		TEST(test_status),
		TEST(test_status_without_server),
		TEST(test_status_of_silent_server),
	};

	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
