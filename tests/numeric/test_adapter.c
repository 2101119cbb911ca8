/* SPDX-License-Identifier: MIT */
/*
 * Adapters of every architecture: the engine's logits against the exact ones of a model that they are
 * merged into, and the same bits whatever adapters the others in a step have, however a text is cut
 * into steps and whatever the number of threads. Who has none gets the bits of a model without.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/numeric/engine_test.h"
#include "tests/numeric/exact.h"
#include "tests/unit/lora_build.h"

#define TOKENS		75U
#define ADAPTERS	3U
#define SETS		5U

/* ranks below, at and above what a vector holds, each with weights of another type */
static const struct lora_shape shapes[ADAPTERS] = {
	{ .rank = 8, .type = KERN_F32, .alpha = 16, .seed = 11, .has_output = true },
	{ .rank = 5, .type = KERN_F16, .alpha = 3, .seed = 12 },
	{ .rank = 33, .type = KERN_BF16, .seed = 13, .has_output = true },
};

/** struct set - adapters of one sequence, and their scales */
static const struct set {
	unsigned int count;
	unsigned int adapter[ADAPTERS];
	float scale[ADAPTERS];
} sets[SETS] = {
	{ 0 },
	{ 1, { 0 }, { 1 } },
	{ 1, { 1 }, { -0.5f } },
	{ 2, { 2, 0 }, { 0.75f, 1.5f } },
	{ 3, { 0, 1, 2 }, { 1, 1, 1 } },
};

/** struct fixture - files of a model and of its adapters */
struct fixture {
	const struct arch_shape *shape;
	int model, adapters[ADAPTERS];
};

/** struct adapted - an engine with all of them */
struct adapted {
	struct engine_test t;
	struct engine_adapter *adapters[ADAPTERS];
	struct engine_adapter_use uses[SETS][ADAPTERS];
};

static void fixture_open(struct fixture *f)
{
	f->model = arch_build(f->shape, KERN_F32);
	for (unsigned int i = 0; i < ADAPTERS; i++)
		f->adapters[i] = lora_build(f->shape, &shapes[i]);
}

static void fixture_close(struct fixture *f)
{
	close(f->model);
	for (unsigned int i = 0; i < ADAPTERS; i++)
		close(f->adapters[i]);
}

static void adapted_open(struct adapted *a, const struct fixture *f, const char *isa,
			 unsigned int threads)
{
	const struct engine_config config = {
		.isa = isa, .threads = threads, .max_seqs = 2 * SETS, .batch_tokens = 512,
		.logits_rows = 512, .context = f->shape->context,
	};
	struct error error = { 0 };
	char path[64];

	gguf_build_path(f->model, path, sizeof(path));
	engine_test_open(&a->t, path, &config);
	for (unsigned int i = 0; i < ADAPTERS; i++) {
		gguf_build_path(f->adapters[i], path, sizeof(path));
		if (engine_adapter_load(a->t.model, path, &a->adapters[i], &error) < 0)
			fail_msg("%s", error.text);
	}
	for (unsigned int i = 0; i < SETS; i++)
		for (unsigned int j = 0; j < sets[i].count; j++)
			a->uses[i][j] = (struct engine_adapter_use){
				a->adapters[sets[i].adapter[j]], sets[i].scale[j],
			};
}

static void adapted_close(struct adapted *a)
{
	for (unsigned int i = 0; i < ADAPTERS; i++)
		engine_adapter_free(a->adapters[i]);
	engine_test_close(&a->t);
}

static void fill_tokens(const struct fixture *f, uint32_t *tokens)
{
	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = (i * 29 + i * i * 7 + 3) % f->shape->vocab;
}

static struct engine_item item_of(const struct adapted *a, unsigned int set, struct engine_seq *seq,
				  const uint32_t *tokens, unsigned int count)
{
	return (struct engine_item){
		.seq = seq, .tokens = tokens, .count = count, .adapters = a->uses[set],
		.adapter_count = sets[set].count,
	};
}

/* feed() - the whole text in steps of @chunk, alone */
static void feed(struct adapted *a, const struct fixture *f, unsigned int set, unsigned int chunk,
		 float *logits)
{
	const size_t vocab = f->shape->vocab;
	struct engine_seq *seq = engine_test_seq(&a->t, TOKENS);
	uint32_t tokens[TOKENS];

	fill_tokens(f, tokens);
	for (unsigned int at = 0; at < TOKENS; at += chunk) {
		struct engine_item item = item_of(a, set, seq, tokens + at, MIN(chunk, TOKENS - at));

		assert_int_equal(engine_step(a->t.model, &item, 1), 0);
		memcpy(logits + at * vocab, item.logits, item.count * vocab * sizeof(*logits));
	}
	engine_seq_free(seq);
}

/* ---- exact ---- */

static double *exact(const struct fixture *f, unsigned int set)
{
	struct exact_adapter adapters[ADAPTERS];
	struct gguf *model = NULL, *files[ADAPTERS] = { NULL };
	uint32_t tokens[TOKENS];
	char path[64];
	double *logits;
	size_t vocab;

	gguf_build_path(f->model, path, sizeof(path));
	assert_int_equal(gguf_open(&model, path, NULL), 0);
	for (unsigned int i = 0; i < sets[set].count; i++) {
		gguf_build_path(f->adapters[sets[set].adapter[i]], path, sizeof(path));
		assert_int_equal(gguf_open(&files[i], path, NULL), 0);
		adapters[i] = (struct exact_adapter){
			.gguf = files[i], .scale = (double)sets[set].scale[i],
		};
	}
	fill_tokens(f, tokens);
	logits = exact_logits_adapted(model, adapters, sets[set].count, tokens, TOKENS,
				      f->shape->context, &vocab);
	assert_non_null(logits);
	assert_int_equal(vocab, f->shape->vocab);
	for (unsigned int i = 0; i < sets[set].count; i++)
		gguf_free(files[i]);
	gguf_free(model);
	return logits;
}

/*
 * What is allowed: float32 sums, or where a table multiplies BF16, and F16, in parts of 8 bits what
 * these lose of an activation: 2^-9 of one part, 2^-16 of two.
 */
static double tolerance(const char *isa, const struct set *set)
{
	for (unsigned int i = 0; i < set->count; i++) {
		const enum kern_type type = shapes[set->adapter[i]].type;

		if (!strcmp(isa, "avx512bf16") && type == KERN_BF16)
			return 0x1p-8;
		if (!strncmp(isa, "amx", 3) && (type == KERN_BF16 || type == KERN_F16))
			return 0x1p-15;
	}
	return 1e-5;
}

/* how many tokens are off by more than that */
static unsigned int rows_off(const struct fixture *f, const float *logits, const double *truth,
			     double limit)
{
	const uint32_t vocab = f->shape->vocab;
	unsigned int count = 0;

	for (size_t i = 0; i < TOKENS; i++)
		count += !(exact_rms(logits + i * vocab, truth + i * vocab, vocab) <= limit);
	return count;
}

static void check_exact(const struct fixture *f, const char *isa, double *const *truth)
{
	const size_t count = (size_t)TOKENS * f->shape->vocab;
	float *logits = calloc(count, sizeof(*logits));
	float *plain = calloc(count, sizeof(*plain));
	struct adapted a;

	assert_true(logits && plain);
	adapted_open(&a, f, isa, 2);
	for (unsigned int set = 0; set < SETS; set++) {
		double rms;

		feed(&a, f, set, TOKENS, logits);
		rms = exact_rms(logits, truth[set], count);
		if (!set)
			memcpy(plain, logits, count * sizeof(*plain));
		print_message("# %s with %u adapters on %s: relative rms %.2e, without them %.2e\n",
			      f->shape->name, sets[set].count, isa, rms,
			      exact_rms(plain, truth[set], count));
		/* where 8 bits decide between two experts, a token may go to the other one */
		if (f->shape->experts && tolerance(isa, &sets[set]) > 1e-5)
			assert_in_range(rows_off(f, logits, truth[set],
						 tolerance(isa, &sets[set])), 0, TOKENS / 8);
		else
			assert_true(rms <= tolerance(isa, &sets[set]));
		/* they do something at all */
		assert_true(!set || exact_rms(plain, truth[set], count) > 1e-2);
	}
	adapted_close(&a);
	free(logits);
	free(plain);
}

static void test_exact(void **state)
{
	struct fixture *f = *state;
	double *truth[SETS];

	fixture_open(f);
	for (unsigned int set = 0; set < SETS; set++)
		truth[set] = exact(f, set);
	for (size_t i = 0; i < ARRAY_SIZE(engine_test_isas); i++)
		if (engine_test_has_isa(engine_test_isas[i]))
			check_exact(f, engine_test_isas[i], truth);
	for (unsigned int set = 0; set < SETS; set++)
		free(truth[set]);
	fixture_close(f);
}

/* ---- the same bits ---- */

/* check_mixed() - two sequences of each set in every step, in an order that tears them apart */
static void check_mixed(const struct fixture *f, unsigned int threads, unsigned int chunk,
			float *const *alone)
{
	const size_t vocab = f->shape->vocab;
	struct engine_seq *seqs[2 * SETS];
	uint32_t tokens[TOKENS];
	struct adapted a;

	adapted_open(&a, f, NULL, threads);
	fill_tokens(f, tokens);
	for (unsigned int i = 0; i < 2 * SETS; i++)
		seqs[i] = engine_test_seq(&a.t, TOKENS);
	for (unsigned int at = 0; at < TOKENS; at += chunk) {
		const unsigned int count = MIN(chunk, TOKENS - at);
		struct engine_item items[2 * SETS];

		for (unsigned int i = 0; i < 2 * SETS; i++) {
			items[i] = item_of(&a, i % SETS, seqs[i], tokens + at, count);
			/* of some, the last row alone is wanted */
			items[i].logits_from = i < SETS ? 0 : count - 1;
		}
		assert_int_equal(engine_step(a.t.model, items, 2 * SETS), 0);
		for (unsigned int i = 0; i < 2 * SETS; i++) {
			const unsigned int from = items[i].logits_from;

			if (memcmp(items[i].logits, alone[i % SETS] + (at + from) * vocab,
				   (count - from) * vocab * sizeof(float)))
				fail_msg("other bits of set %u at %u with %u threads in steps of %u",
					 i % SETS, at, threads, chunk);
		}
	}
	for (unsigned int i = 0; i < 2 * SETS; i++)
		engine_seq_free(seqs[i]);
	adapted_close(&a);
}

static void test_same_bits(void **state)
{
	static const struct {
		unsigned int threads, chunk;
	} cuts[] = { { 1, 1 }, { 3, 1 }, { 3, 7 }, { 8, 37 } };
	struct fixture *f = *state;
	const size_t bytes = (size_t)TOKENS * f->shape->vocab * sizeof(float);
	float *alone[SETS], *other = malloc(bytes);
	struct engine_test t;
	struct adapted a;
	char path[64];
	uint32_t tokens[TOKENS];

	fixture_open(f);
	adapted_open(&a, f, NULL, 1);
	for (unsigned int set = 0; set < SETS; set++) {
		alone[set] = malloc(bytes);
		assert_non_null(alone[set]);
		feed(&a, f, set, TOKENS, alone[set]);
		feed(&a, f, set, 11, other);
		assert_memory_equal(alone[set], other, bytes);
	}
	adapted_close(&a);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++)
		check_mixed(f, cuts[i].threads, cuts[i].chunk, alone);
	/* a model to which no adapter was ever loaded */
	gguf_build_path(f->model, path, sizeof(path));
	engine_test_open(&t, path, &(struct engine_config){
		.threads = 2, .max_seqs = 1, .logits_rows = TOKENS, .context = f->shape->context });
	fill_tokens(f, tokens);
	engine_test_feed(&t, engine_test_seq(&t, TOKENS), tokens, TOKENS, TOKENS, other);
	assert_memory_equal(alone[0], other, bytes);
	engine_test_close(&t);
	for (unsigned int set = 0; set < SETS; set++)
		free(alone[set]);
	free(other);
	fixture_close(f);
}

/* ---- bounds ---- */

static void test_bounds(void **state)
{
	struct fixture f = { .shape = *state };
	struct engine_adapter_use five[5], bad;
	struct engine_adapter_info info, again;
	struct adapted a, b;
	struct engine_item item;
	struct engine_seq *seq;
	const uint32_t token = 1;
	char path[64];

	fixture_open(&f);
	adapted_open(&a, &f, NULL, 1);
	adapted_open(&b, &f, NULL, 1);
	seq = engine_test_seq(&a.t, 1);
	item = item_of(&a, 1, seq, &token, 1);
	for (unsigned int i = 0; i < ARRAY_SIZE(five); i++)
		five[i] = a.uses[1][0];
	item.adapters = five;
	item.adapter_count = 5;
	assert_int_equal(engine_step(a.t.model, &item, 1), -EINVAL);
	bad = (struct engine_adapter_use){ b.adapters[0], 1 };
	item.adapters = &bad;
	item.adapter_count = 1;
	assert_int_equal(engine_step(a.t.model, &item, 1), -EINVAL);
	bad = (struct engine_adapter_use){ a.adapters[0], __builtin_inff() };
	assert_int_equal(engine_step(a.t.model, &item, 1), -EINVAL);
	bad.adapter = NULL;
	assert_int_equal(engine_step(a.t.model, &item, 1), -EINVAL);
	assert_int_equal(engine_seq_length(seq), 0);
	bad = a.uses[1][0];
	assert_int_equal(engine_step(a.t.model, &item, 1), 0);
	engine_seq_free(seq);
	/* each has an id of its own, also the same file again */
	engine_adapter_info(a.adapters[0], &info);
	assert_int_equal(info.rank, 8);
	assert_string_equal(info.weights, "F32");
	engine_adapter_free(a.adapters[0]);
	gguf_build_path(f.adapters[0], path, sizeof(path));
	assert_int_equal(engine_adapter_load(a.t.model, path, &a.adapters[0], NULL), 0);
	engine_adapter_info(a.adapters[0], &again);
	assert_int_not_equal(info.id, again.id);
	assert_int_equal(info.parameters, again.parameters);
	adapted_close(&a);
	adapted_close(&b);
	fixture_close(&f);
}

#define CASES	ARRAY_SIZE(arch_shapes)

int main(void)
{
	static struct fixture fixtures[CASES];
	static char names[2 * CASES][64];
	static struct CMUnitTest tests[2 * CASES + 1];
	size_t n = 0;

	for (size_t i = 0; i < CASES; i++) {
		fixtures[i].shape = &arch_shapes[i];
		snprintf(names[n], sizeof(names[n]), "exact_%s", arch_shapes[i].name);
		tests[n] = (struct CMUnitTest){ names[n], test_exact, NULL, NULL, &fixtures[i] };
		n++;
		snprintf(names[n], sizeof(names[n]), "same_bits_%s", arch_shapes[i].name);
		tests[n] = (struct CMUnitTest){ names[n], test_same_bits, NULL, NULL, &fixtures[i] };
		n++;
	}
	tests[n] = (struct CMUnitTest){ "bounds", test_bounds, NULL, NULL,
					(void *)&arch_shapes[0] };
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
