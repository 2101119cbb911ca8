/* SPDX-License-Identifier: MIT */
/*
 * Every architecture, with weights of F32, F16 and Q8_0: the engine's logits against the exact ones,
 * and the same bits however the text is cut into steps, whatever the number of threads and whoever
 * else is in the step. The text is longer than the windows and than two pages of the cache.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/numeric/engine_test.h"
#include "tests/numeric/exact.h"
#include "tests/unit/arch_build.h"

#define TOKENS	75U

/**
 * struct arch_type - weights, and how near the logits must be; of a mixture of experts apart
 *
 * Activations of 8 bits let a router prefer another expert where two are nearly alike, and models
 * as narrow as these do not average that away: where they come to 5e-2, llama.cpp comes to 1e-1.
 */
struct arch_type {
	uint32_t type;
	double tolerance;
	double tolerance_experts;
};

static const struct arch_type types[] = {
	{ KERN_F32, 1e-5, 1e-5 },
	{ KERN_F16, 9e-4, 9e-4 },
	{ KERN_Q8_0, 2.5e-2, 5e-2 },
};

/** struct arch_case - a model; fd: its file */
struct arch_case {
	const struct arch_shape *shape;
	const struct arch_type *type;
	int fd;
};

static void fill_tokens(const struct arch_shape *s, uint32_t *tokens, uint32_t seed)
{
	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = (i * 29 + i * i * 7 + seed) % s->vocab;
}

static void open_model(struct engine_test *t, const struct arch_case *c, const char *isa,
		       unsigned int threads, unsigned int context)
{
	const struct engine_config config = {
		.isa = isa, .threads = threads, .max_seqs = 2, .logits_rows = 2 * TOKENS,
		.batch_tokens = 2 * TOKENS, .context = context,
	};
	char path[64];

	gguf_build_path(c->fd, path, sizeof(path));
	engine_test_open(t, path, &config);
	assert_string_equal(t->info.arch, c->shape->arch);
}

/* engine_rms() - of one instruction set */
static double engine_rms(const struct arch_case *c, const char *isa, unsigned int context,
			 const uint32_t *tokens, uint32_t count, const double *exact)
{
	struct engine_seq *seq;
	struct engine_test t;
	float *logits;
	double rms;

	open_model(&t, c, isa, 2, context);
	assert_int_equal(t.info.context_used, context);
	logits = calloc((size_t)count * t.info.vocab, sizeof(*logits));
	assert_non_null(logits);
	seq = engine_test_seq(&t, count);
	engine_test_feed(&t, seq, tokens, count, count, logits);
	rms = exact_rms(logits, exact, (size_t)count * t.info.vocab);
	engine_seq_free(seq);
	engine_test_close(&t);
	free(logits);
	return rms;
}

static void check_exact(const struct arch_case *c, unsigned int context)
{
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	const double tolerance = c->shape->experts ? c->type->tolerance_experts
						   : c->type->tolerance;
	const uint32_t count = MIN(TOKENS, context);
	uint32_t tokens[TOKENS];
	struct error error = { 0 };
	double *exact, rms;
	char path[64];
	size_t vocab;

	gguf_build_path(c->fd, path, sizeof(path));
	if (gguf_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	fill_tokens(c->shape, tokens, 3);
	exact = exact_logits(gguf, tokens, count, context, &vocab);
	assert_non_null(exact);
	assert_int_equal(vocab, c->shape->vocab);
	for (size_t i = 0; i < ARRAY_SIZE(engine_test_isas); i++) {
		if (!engine_test_has_isa(engine_test_isas[i]))
			continue;
		rms = engine_rms(c, engine_test_isas[i], context, tokens, count, exact);
		print_message("# %s %s on %s: relative rms %.2e (at most %.1e)\n", c->shape->name,
			      kern_type_info(c->type->type)->name, engine_test_isas[i], rms,
			      tolerance);
		assert_true(rms <= tolerance);
	}
	free(exact);
}

static void test_exact(void **state)
{
	struct arch_case *c = *state;

	c->fd = arch_build(c->shape, c->type->type);
	check_exact(c, c->shape->context);
	if (c->shape->has_factors)	/* short sequences only: the other divisors */
		check_exact(c, c->shape->context / 2);
	close(c->fd);
}

/* ---- the same bits ---- */

/* run_cut() - logits of the text fed in steps of @chunk */
static void run_cut(const struct arch_case *c, unsigned int threads, unsigned int chunk,
		    float *logits)
{
	uint32_t tokens[TOKENS];
	struct engine_test t;
	struct engine_seq *seq;

	open_model(&t, c, NULL, threads, 0);
	fill_tokens(c->shape, tokens, 3);
	seq = engine_test_seq(&t, MIN(TOKENS, t.info.context_used));
	engine_test_feed(&t, seq, tokens, MIN(TOKENS, t.info.context_used), chunk, logits);
	engine_seq_free(seq);
	engine_test_close(&t);
}

/* run_late() - the first half one by one, by one member; then steps of several by several */
static void run_late(const struct arch_case *c, float *logits)
{
	uint32_t tokens[TOKENS], count, half;
	struct engine_test t;
	struct engine_seq *seq;

	open_model(&t, c, NULL, 8, 0);
	count = MIN(TOKENS, t.info.context_used);
	half = count / 2;
	fill_tokens(c->shape, tokens, 3);
	seq = engine_test_seq(&t, count);
	engine_test_feed(&t, seq, tokens, half, 1, logits);
	engine_test_feed(&t, seq, tokens + half, count - half, 7,
			 logits + (size_t)half * t.info.vocab);
	engine_seq_free(seq);
	engine_test_close(&t);
}

/* run_beside() - the same with another sequence in every step, one token ahead of it in line */
static void run_beside(const struct arch_case *c, unsigned int chunk, float *logits)
{
	uint32_t tokens[2][TOKENS], count;
	struct engine_seq *seqs[2];
	struct engine_test t;

	open_model(&t, c, NULL, 3, 0);
	count = MIN(TOKENS, t.info.context_used);
	for (uint32_t i = 0; i < 2; i++) {
		fill_tokens(c->shape, tokens[i], i ? 3 : 17);
		seqs[i] = engine_test_seq(&t, count);
	}
	for (uint32_t at = 0; at < count; at += chunk) {
		struct engine_item items[2];

		for (uint32_t i = 0; i < 2; i++)
			items[i] = (struct engine_item){
				.seq = seqs[i], .tokens = tokens[i] + at,
				.count = MIN(chunk, count - at),
			};
		assert_int_equal(engine_step(t.model, items, 2), 0);
		memcpy(logits + (size_t)at * t.info.vocab, items[1].logits,
		       (size_t)items[1].count * t.info.vocab * sizeof(*logits));
	}
	engine_seq_free(seqs[0]);
	engine_seq_free(seqs[1]);
	engine_test_close(&t);
}

static void test_invariance(void **state)
{
	static const struct {
		unsigned int threads, chunk;
	} cuts[] = { { 3, 1 }, { 1, 7 }, { 3, 33 }, { 8, 7 }, { 8, 12 } };
	struct arch_case *c = *state;
	const size_t count = (size_t)TOKENS * c->shape->vocab;
	float *whole, *cut;

	c->fd = arch_build(c->shape, c->type->type);
	whole = calloc(count, sizeof(*whole));
	cut = calloc(count, sizeof(*cut));
	assert_true(whole && cut);
	run_cut(c, 1, TOKENS, whole);
	for (size_t i = 0; i < ARRAY_SIZE(cuts); i++) {
		run_cut(c, cuts[i].threads, cuts[i].chunk, cut);
		if (memcmp(whole, cut, count * sizeof(*cut)))
			fail_msg("other bits with %u threads in steps of %u", cuts[i].threads,
				 cuts[i].chunk);
	}
	run_late(c, cut);
	assert_memory_equal(whole, cut, count * sizeof(*cut));
	run_beside(c, 7, cut);
	assert_memory_equal(whole, cut, count * sizeof(*cut));
	close(c->fd);
	free(whole);
	free(cut);
}

#define TYPE_COUNT	ARRAY_SIZE(types)
#define CASE_COUNT	(ARRAY_SIZE(arch_shapes) * TYPE_COUNT)

int main(void)
{
	static struct arch_case cases[CASE_COUNT];
	static char names[2 * CASE_COUNT][64];
	static struct CMUnitTest tests[2 * CASE_COUNT];
	size_t n = 0;

	for (size_t i = 0; i < CASE_COUNT; i++) {
		struct arch_case *c = &cases[i];
		const char *type = kern_type_info(types[i % TYPE_COUNT].type)->name;

		c->shape = &arch_shapes[i / TYPE_COUNT];
		c->type = &types[i % TYPE_COUNT];
		snprintf(names[n], sizeof(names[n]), "exact_%s_%s", c->shape->name, type);
		tests[n] = (struct CMUnitTest){ names[n], test_exact, NULL, NULL, c };
		n++;
		snprintf(names[n], sizeof(names[n]), "same_bits_%s_%s", c->shape->name, type);
		tests[n] = (struct CMUnitTest){ names[n], test_invariance, NULL, NULL, c };
		n++;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
