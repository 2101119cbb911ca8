/* SPDX-License-Identifier: MIT */
/*
 * Caches of every type: how far the engine's logits are from the exact ones, of models with heads of
 * several sizes in which, as in real ones, an element of each key and value stands far out of the
 * others. Nothing else is rounded here: weights are F32.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/numeric/engine_test.h"
#include "tests/numeric/exact.h"
#include "tests/unit/gguf_build.h"

#define TOKENS	75U	/* more than two pages */

/** struct kv_case - a type of the cache, and how near the logits must be */
struct kv_case {
	const char *type;
	double tolerance;
};

/* where heads are not turned before they are rounded, Q8_0 comes to 6e-3 and more, Q4_0 to 1.2e-1 */
static const struct kv_case kv_cases[] = {
	{ "f32", 1e-6 },
	{ "f16", 3e-4 },
	{ "q8_0", 4e-3 },
	{ "q4_0", 7e-2 },
};

static const uint32_t head_dims[] = { 20, 32, 64, 80, 96, 128 };

static double engine_rms(int fd, const struct kv_case *c, const char *isa, const uint32_t *tokens,
			 const double *exact)
{
	const struct engine_config config = {
		.isa = isa, .threads = 2, .logits_rows = TOKENS, .batch_tokens = TOKENS,
		.kv_type = c->type,
	};
	struct engine_test t;
	struct engine_seq *seq;
	float *logits;
	char path[64];
	double rms;

	gguf_build_path(fd, path, sizeof(path));
	engine_test_open(&t, path, &config);
	logits = calloc((size_t)TOKENS * t.info.vocab, sizeof(*logits));
	assert_non_null(logits);
	seq = engine_test_seq(&t, TOKENS);
	engine_test_feed(&t, seq, tokens, TOKENS, TOKENS, logits);
	rms = exact_rms(logits, exact, (size_t)TOKENS * t.info.vocab);
	engine_seq_free(seq);
	engine_test_close(&t);
	free(logits);
	return rms;
}

static void check_head_dim(uint32_t head_dim, const char *isa)
{
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	struct llama_shape shape = llama_shape_small;
	uint32_t tokens[TOKENS];
	struct error error = { 0 };
	double *exact;
	char path[64];
	size_t vocab;
	int fd;

	shape.head_dim = head_dim;
	shape.has_biases = true;
	shape.outlier = 20;
	fd = llama_build(&shape);
	gguf_build_path(fd, path, sizeof(path));
	if (gguf_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = (i * 29 + i * i * 7 + 3) % shape.vocab;
	exact = exact_logits(gguf, tokens, TOKENS, shape.context, &vocab);
	assert_non_null(exact);
	for (size_t i = 0; i < ARRAY_SIZE(kv_cases); i++) {
		const double rms = engine_rms(fd, &kv_cases[i], isa, tokens, exact);

		print_message("# heads of %u in %s on %s: relative rms %.2e (at most %.0e)\n",
			      head_dim, kv_cases[i].type, isa, rms, kv_cases[i].tolerance);
		assert_true(rms <= kv_cases[i].tolerance);
	}
	free(exact);
	close(fd);
}

static void test_outliers(void **state)
{
	if (!engine_test_has_isa(*state))
		skip();
	for (size_t i = 0; i < ARRAY_SIZE(head_dims); i++)
		check_head_dim(head_dims[i], *state);
}

#define KV_TEST(isa)	{ "kv_types_" isa, test_outliers, NULL, NULL, (void *)(uintptr_t)(isa) }

int main(void)
{
	const struct CMUnitTest tests[] = {
		KV_TEST("ref"), KV_TEST("avx2"), KV_TEST("avx512"), KV_TEST("avx512vnni"),
		KV_TEST("avx512bf16"), KV_TEST("amx"),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
