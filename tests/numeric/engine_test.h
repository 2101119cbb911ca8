/* SPDX-License-Identifier: MIT */
/*
 * What tests of the engine share: an engine with one model, and a prompt fed through it in a given
 * way. Include cmocka before this.
 */
#ifndef LLMOS_TESTS_NUMERIC_ENGINE_TEST_H
#define LLMOS_TESTS_NUMERIC_ENGINE_TEST_H

#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "kernels/kernels.h"

struct engine_test {
	struct engine *engine;
	struct engine_model *model;
	struct engine_model_info info;
};

static const char *const engine_test_isas[] = {
	"ref", "avx2", "avx512", "avx512vnni", "avx512bf16", "amx", "amx-emulated",
};

/* engine_test_has_isa() - the table is there, and no lesser one stands in for it */
static inline bool engine_test_has_isa(const char *isa)
{
	const struct kern_ops *ops = kern_ops_get(isa);

	return ops && !strcmp(ops->name, isa);
}

static inline const char *engine_test_data(void)
{
	const char *dir = getenv("LLMOS_TEST_DATA");

	return dir ? dir : "../shared/data";
}

static inline void engine_test_open(struct engine_test *t, const char *path,
				    const struct engine_config *config)
{
	struct error error = { 0 };

	memset(t, 0, sizeof(*t));
	if (engine_new(&t->engine, config, &error) < 0)
		fail_msg("%s", error.text);
	if (engine_model_load(t->engine, path, &t->model, &error) < 0)
		fail_msg("%s", error.text);
	engine_model_info(t->model, &t->info);
}

static inline void engine_test_close(struct engine_test *t)
{
	engine_model_free(t->model);
	engine_free(t->engine);
	memset(t, 0, sizeof(*t));
}

static inline struct engine_seq *engine_test_seq(struct engine_test *t, unsigned int reserve)
{
	struct engine_seq *seq;

	assert_int_equal(engine_seq_new(t->model, &seq), 0);
	assert_int_equal(engine_seq_reserve(seq, reserve), 0);
	return seq;
}

/* engine_test_feed() - tokens in steps of @chunk, the logits after each to @logits (count, vocab) */
static inline void engine_test_feed(struct engine_test *t, struct engine_seq *seq,
				    const uint32_t *tokens, unsigned int count, unsigned int chunk,
				    float *logits)
{
	for (unsigned int at = 0; at < count; at += chunk) {
		struct engine_item item = {
			.seq = seq, .tokens = tokens + at, .count = MIN(chunk, count - at),
		};

		assert_int_equal(engine_step(t->model, &item, 1), 0);
		assert_non_null(item.logits);
		memcpy(logits + (size_t)at * t->info.vocab, item.logits,
		       (size_t)item.count * t->info.vocab * sizeof(*logits));
	}
}

static inline uint32_t engine_test_argmax(const float *logits, uint32_t vocab)
{
	uint32_t best = 0;

	for (uint32_t i = 1; i < vocab; i++)
		if (logits[i] > logits[best])
			best = i;
	return best;
}

#endif /* LLMOS_TESTS_NUMERIC_ENGINE_TEST_H */
