/* SPDX-License-Identifier: MIT */
/*
 * The promise of the engine, bit by bit: logits of a token do not depend on how its prompt was cut
 * into steps, on who else is in the step, on the number of threads, on guesses that were wrong, or
 * on what was in the cache before. For every instruction set and weight type, alone and mixed in one model. The
 * SIMD instruction sets agree with each other, too.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "engine/engine_internal.h"
#include "tests/numeric/engine_test.h"
#include "tests/unit/gguf_build.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED	true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED	true
#endif
#endif
#ifndef IS_SANITIZED
#define IS_SANITIZED	false
#endif

#define PROMPT		150	/* tokens: several pages, more than packed by one member alone */
#define OTHERS		5

static const uint32_t types[] = {
	KERN_F32, KERN_F16, KERN_BF16, KERN_Q8_0, KERN_Q4_0, KERN_Q4_1, KERN_Q5_0, KERN_Q5_1,
	KERN_Q4_K, KERN_Q5_K, KERN_Q6_K, KERN_Q2_K, KERN_Q3_K, KERN_IQ4_NL, KERN_IQ4_XS, KERN_MXFP4,
};

struct fixture {
	char path[64];
	int fd;
	const char *kv_type;
	uint32_t tokens[OTHERS + 1][PROMPT];
	float *want;		/* (PROMPT, vocab), fed in one step by one thread */
	size_t bytes;
};

static void open_engine(struct engine_test *t, const struct fixture *f, const char *isa,
			unsigned int threads)
{
	const struct engine_config config = {
		.isa = isa, .threads = threads, .kv_type = f->kv_type, .max_seqs = OTHERS + 1, .batch_tokens = 256,
		.logits_rows = 256,
	};

	engine_test_open(t, f->path, &config);
}

static void fixture_open(struct fixture *f, const struct llama_shape *shape, const char *isa,
			 const char *kv_type)
{
	struct engine_seq *seq;
	struct engine_test t;

	f->kv_type = kv_type;
	f->fd = llama_build(shape);
	gguf_build_path(f->fd, f->path, sizeof(f->path));
	for (uint32_t i = 0; i < ARRAY_SIZE(f->tokens); i++)
		for (uint32_t j = 0; j < PROMPT; j++)
			f->tokens[i][j] = (i * 7919 + j * (2 * i + 31)) % shape->vocab;
	f->bytes = (size_t)PROMPT * shape->vocab * sizeof(float);
	f->want = malloc(f->bytes);
	assert_non_null(f->want);
	open_engine(&t, f, isa, 1);
	seq = engine_test_seq(&t, PROMPT);
	engine_test_feed(&t, seq, f->tokens[0], PROMPT, PROMPT, f->want);
	engine_seq_free(seq);
	engine_test_close(&t);
	for (size_t i = 0; i < f->bytes / sizeof(float); i++)
		assert_true(f->want[i] - f->want[i] == 0);	/* finite */
	assert_memory_not_equal(f->want, (char *)f->want + f->bytes / PROMPT * 99,
				f->bytes / PROMPT);
}

static void fixture_close(struct fixture *f)
{
	free(f->want);
	close(f->fd);
}

/* poison() - NaN wherever the cache was not written: nothing may depend on it */
static void poison(struct engine_test *t)
{
	memset(t->model->kv.base, 0xff, t->model->kv.arena_bytes);
}

/* check_cuts() - steps of different sizes; each sequence gets the pages of the one before */
static void check_cuts(struct engine_test *t, const struct fixture *f)
{
	const unsigned int cuts[] = { PROMPT, 1, 7, 64, 33 };
	const size_t count = IS_SANITIZED ? 3 : ARRAY_SIZE(cuts);
	float *have = malloc(f->bytes);

	assert_non_null(have);
	for (size_t i = 0; i < count; i++) {
		struct engine_seq *seq = engine_test_seq(t, PROMPT);

		if (i % 2)
			poison(t);
		memset(have, 0xff, f->bytes);
		engine_test_feed(t, seq, f->tokens[0], PROMPT, cuts[i], have);
		if (memcmp(have, f->want, f->bytes))
			fail_msg("cut into steps of %u, the logits differ", cuts[i]);
		engine_seq_free(seq);
	}
	free(have);
}

/* check_guesses() - some right, some wrong: what is accepted is as good, and the rest forgotten */
static void check_guesses(struct engine_test *t, const struct fixture *f)
{
	struct engine_seq *seq = engine_test_seq(t, PROMPT);
	const size_t row = f->bytes / PROMPT;
	unsigned int at = 0;

	for (unsigned int step = 0; at < PROMPT; step++) {
		const unsigned int count = MIN(PROMPT - at, 1 + step % 7);
		const unsigned int right = 1 + step % count;
		uint32_t tokens[7];
		struct engine_item item = {
			.seq = seq, .tokens = tokens, .count = count, .tentative = count - 1,
		};

		for (unsigned int i = 0; i < count; i++)
			tokens[i] = f->tokens[i < right ? 0 : 1][at + i];
		assert_int_equal(engine_step(t->model, &item, 1), 0);
		if (memcmp(item.logits, (char *)f->want + at * row, right * row))
			fail_msg("with %u guesses at %u, the logits differ", count - 1, at);
		assert_int_equal(engine_seq_accept(seq, count), -EINVAL);
		assert_int_equal(engine_seq_accept(seq, right - 1), 0);
		at += right;
		assert_int_equal(engine_seq_length(seq), at);
	}
	engine_seq_truncate(seq, PROMPT - 1);
	assert_int_equal(engine_seq_accept(seq, 1), -EINVAL);
	engine_seq_free(seq);
}

/* check_company() - beside other sequences that are at other places of other prompts */
static void check_company(struct engine_test *t, const struct fixture *f)
{
	struct engine_item items[OTHERS + 1];
	float *have = malloc(f->bytes);
	unsigned int at = 0, step;

	assert_non_null(have);
	for (uint32_t i = 0; i < ARRAY_SIZE(items); i++)
		items[i] = (struct engine_item){ .seq = engine_test_seq(t, PROMPT) };
	for (step = 0; at < PROMPT; step++) {
		const unsigned int mine = MIN(PROMPT - at, 1 + step % 20);
		const unsigned int place = step % ARRAY_SIZE(items);
		struct engine_item order[ARRAY_SIZE(items)];
		unsigned int n = 0;

		for (uint32_t i = 0; i < ARRAY_SIZE(items); i++) {
			const unsigned int len = engine_seq_length(items[i].seq);
			const unsigned int count = i ? MIN(PROMPT - len, (step * i) % 9) : mine;

			items[i].tokens = f->tokens[i] + len;
			items[i].count = count;
			items[i].logits_from = i && i % 2 ? count : 0;
		}
		for (uint32_t i = 0; i < ARRAY_SIZE(items); i++)	/* mine in changing places */
			order[n++] = items[(i + ARRAY_SIZE(items) - place) % ARRAY_SIZE(items)];
		assert_int_equal(engine_step(t->model, order, n), 0);
		memcpy((char *)have + f->bytes / PROMPT * at, order[place].logits,
		       f->bytes / PROMPT * mine);
		at += mine;
	}
	if (memcmp(have, f->want, f->bytes))
		fail_msg("beside others, the logits differ");
	for (uint32_t i = 0; i < ARRAY_SIZE(items); i++)
		engine_seq_free(items[i].seq);
	free(have);
}

/* check_forgetting() - a sequence that is cut back and fed again continues as it would have */
static void check_forgetting(struct engine_test *t, const struct fixture *f)
{
	struct engine_seq *seq = engine_test_seq(t, PROMPT);
	float *have = malloc(f->bytes);
	const size_t row = f->bytes / PROMPT;

	assert_non_null(have);
	engine_test_feed(t, seq, f->tokens[1], PROMPT, PROMPT, have);
	engine_seq_truncate(seq, 0);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	engine_test_feed(t, seq, f->tokens[0], 100, 50, have);
	engine_seq_truncate(seq, 45);
	assert_int_equal(engine_seq_length(seq), 45);
	assert_int_equal(engine_seq_reserve(seq, PROMPT), 0);
	engine_test_feed(t, seq, f->tokens[0] + 45, PROMPT - 45, 11, have);
	assert_memory_equal(have, (char *)f->want + 45 * row, (PROMPT - 45) * row);
	engine_seq_free(seq);
	free(have);
}

/* check_last_only() - asking for fewer rows changes nothing in those that are asked for */
static void check_last_only(struct engine_test *t, const struct fixture *f)
{
	struct engine_seq *seq = engine_test_seq(t, PROMPT);
	struct engine_item item = { .seq = seq, .tokens = f->tokens[0], .count = 100,
				    .logits_from = 100 };

	assert_int_equal(engine_step(t->model, &item, 1), 0);
	assert_null(item.logits);
	item.tokens += 100;
	item.count = PROMPT - 100;
	item.logits_from = item.count - 2;
	assert_int_equal(engine_step(t->model, &item, 1), 0);
	assert_memory_equal(item.logits, (char *)f->want + f->bytes / PROMPT * (PROMPT - 2),
			    f->bytes / PROMPT * 2);
	engine_seq_free(seq);
}

/* is_slow() - less is asked of it, since the engine around it is the same */
static bool is_slow(const char *isa)
{
	return !strcmp(isa, "ref") || IS_SANITIZED;
}

static void check_shape(const struct llama_shape *shape, const char *isa, const char *kv_type)
{
	struct engine_test t;
	struct fixture f;

	fixture_open(&f, shape, isa, kv_type);
	for (unsigned int threads = is_slow(isa) ? 2 : 1; threads <= (is_slow(isa) ? 2 : 3);
	     threads++) {
		open_engine(&t, &f, isa, threads);
		check_cuts(&t, &f);
		check_guesses(&t, &f);
		check_company(&t, &f);
		check_forgetting(&t, &f);
		check_last_only(&t, &f);
		engine_test_close(&t);
	}
	fixture_close(&f);
}

static struct llama_shape shape_for(const char *isa)
{
	struct llama_shape shape = llama_shape_small;

	if (is_slow(isa))
		shape.layers = IS_SANITIZED ? 2 : 1;
	return shape;
}

static void test_types(void **state)
{
	if (!engine_test_has_isa(*state) || (IS_SANITIZED && !strcmp(*state, "ref"))) {
		print_message("# no %s here\n", (const char *)*state);
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct llama_shape shape = shape_for(*state);

		if (is_slow(*state) && i % (IS_SANITIZED ? 5 : 8))
			continue;
		shape.type = types[i];
		shape.value_type = types[(i + 3) % ARRAY_SIZE(types)];
		shape.seed = i + 1;
		check_shape(&shape, *state, NULL);
	}
}

/* what tables for BF16 do in a way of their own; the rest is the code of avx512vnni */
static void test_bf16_tables(void **state)
{
	static const uint32_t own[] = { KERN_BF16, KERN_F16 };

	if (!engine_test_has_isa(*state)) {
		print_message("# no %s here\n", (const char *)*state);
		skip();
	}
	for (size_t i = 0; i < (IS_SANITIZED ? 1 : ARRAY_SIZE(own)); i++) {
		struct llama_shape shape = llama_shape_small;

		shape.layers = 1;
		shape.type = own[i];
		shape.value_type = own[!i];
		shape.seed = i + 1;
		check_shape(&shape, *state, NULL);
	}
}

/* sizes that fit no vector: 172 and 72 are what small models have; float types only take them */
static void test_odd_sizes(void **state)
{
	struct llama_shape shape = shape_for(*state);

	if (!engine_test_has_isa(*state) || (IS_SANITIZED && !strcmp(*state, "ref")))
		skip();
	shape.width = 72;
	shape.heads = 9;
	shape.kv_heads = 3;
	shape.head_dim = 8;
	shape.ff_width = 172;
	shape.vocab = 301;
	shape.has_biases = true;
	shape.has_output = true;
	shape.has_rope_freqs = true;
	shape.vector_type = KERN_F16;
	for (uint32_t i = 0; i < 3; i++) {
		shape.type = types[i];
		shape.value_type = types[(i + 1) % 3];
		check_shape(&shape, *state, NULL);
	}
}

/* caches of every type, heads of two blocks and a half */
static void test_caches(void **state)
{
	static const char *const kv_types[] = { "f32", "f16", "q8_0", "q4_0" };
	struct llama_shape shape = shape_for(*state);

	if (!engine_test_has_isa(*state) || (IS_SANITIZED && !strcmp(*state, "ref")))
		skip();
	shape.layers = 1;
	for (size_t i = 0; i < ARRAY_SIZE(kv_types); i++) {
		shape.head_dim = i % 2 ? 80 : 64;
		shape.heads = 6;
		shape.kv_heads = i < 2 ? 1 : 2;
		check_shape(&shape, *state, kv_types[i]);
	}
}

/*
 * check_deep() - behind @depth tokens, some guesses and then a token: with one thread, then with
 * several, who have parts of the keys each
 */
static void check_deep(const struct llama_shape *shape, const char *isa, const char *kv_type)
{
	const unsigned int depth = shape->context - 16, guesses = 5;
	const size_t bytes = (guesses + 1) * shape->vocab * sizeof(float);
	uint32_t *tokens = malloc(sizeof(*tokens) * shape->context);
	float *want = malloc(bytes);
	struct fixture f = { .kv_type = kv_type };

	assert_true(tokens && want);
	for (unsigned int i = 0; i < shape->context; i++)
		tokens[i] = (i * 7919 + i * i) % shape->vocab;
	f.fd = llama_build(shape);
	gguf_build_path(f.fd, f.path, sizeof(f.path));
	for (unsigned int threads = 1; threads <= 4; threads++) {
		struct engine_item item = { .tokens = tokens, .logits_from = 0 };
		struct engine_test t;

		open_engine(&t, &f, isa, threads);
		poison(&t);
		item.seq = engine_test_seq(&t, shape->context);
		for (unsigned int at = 0; at < depth; at += item.count) {
			item.tokens = tokens + at;
			item.count = item.logits_from = MIN(depth - at, 200U + threads);
			assert_int_equal(engine_step(t.model, &item, 1), 0);
		}
		item.tokens = tokens + depth;
		item.count = guesses;
		item.logits_from = 0;
		assert_int_equal(engine_step(t.model, &item, 1), 0);
		if (threads == 1)
			memcpy(want, item.logits, bytes / (guesses + 1) * guesses);
		else
			assert_memory_equal(want, item.logits, bytes / (guesses + 1) * guesses);
		item.tokens += guesses;
		item.count = 1;
		assert_int_equal(engine_step(t.model, &item, 1), 0);
		if (threads == 1)
			memcpy(want + (size_t)guesses * shape->vocab, item.logits,
			       bytes / (guesses + 1));
		else
			assert_memory_equal(want + (size_t)guesses * shape->vocab, item.logits,
					    bytes / (guesses + 1));
		engine_seq_free(item.seq);
		engine_test_close(&t);
	}
	close(f.fd);
	free(tokens);
	free(want);
}

static void test_depth(void **state)
{
	static const char *const kv_types[] = { "f32", "q8_0" };
	struct llama_shape shape = shape_for(*state);

	if (!engine_test_has_isa(*state) || !strcmp(*state, "ref"))
		skip();
	shape.layers = 1;
	shape.context = 1400;
	for (size_t i = 0; i < ARRAY_SIZE(kv_types); i++) {
		shape.kv_heads = 1 + (uint32_t)i;
		check_deep(&shape, *state, kv_types[i]);
	}
}

/* a stream may go on where there is another instruction set */
static void test_instruction_sets(void **state)
{
	static const char *const others[] = { "avx512", "avx512vnni" };

	(void)state;
	if (!engine_test_has_isa("avx512")) {
		print_message("# no two instruction sets here\n");
		skip();
	}
	for (size_t i = 0; i < ARRAY_SIZE(types); i += IS_SANITIZED ? 5 : 1) {
		struct llama_shape shape = llama_shape_small;
		struct fixture avx2, other;

		shape.layers = 1;
		shape.type = types[i];
		shape.value_type = types[(i + 4) % ARRAY_SIZE(types)];
		shape.seed = i + 1;
		fixture_open(&avx2, &shape, "avx2", NULL);
		for (size_t j = 0; j < ARRAY_SIZE(others); j++) {
			if (!engine_test_has_isa(others[j]))
				continue;
			fixture_open(&other, &shape, others[j], NULL);
			if (memcmp(other.want, avx2.want, avx2.bytes))
				fail_msg("%s and avx2 differ for type %u", others[j], types[i]);
			fixture_close(&other);
		}
		fixture_close(&avx2);
	}
}

#define TESTS_OF(isa)                                                                              \
	cmocka_unit_test_prestate(test_types, (void *)isa),                                        \
		cmocka_unit_test_prestate(test_odd_sizes, (void *)isa),                            \
		cmocka_unit_test_prestate(test_caches, (void *)isa),                               \
		cmocka_unit_test_prestate(test_depth, (void *)isa)

#define BF16_TESTS_OF(isa)                                                                         \
	cmocka_unit_test_prestate(test_bf16_tables, (void *)isa),                                  \
		cmocka_unit_test_prestate(test_odd_sizes, (void *)isa)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TESTS_OF("ref"), TESTS_OF("avx2"), TESTS_OF("avx512"), TESTS_OF("avx512vnni"),
		BF16_TESTS_OF("avx512bf16"), BF16_TESTS_OF("amx"), BF16_TESTS_OF("amx-emulated"),
		cmocka_unit_test(test_instruction_sets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
