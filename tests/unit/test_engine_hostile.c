/* SPDX-License-Identifier: MIT */
/*
 * A good model file with some bytes changed, thousands of times: it is refused with a line of text,
 * or it loads, and then a step with it does no harm, whatever comes out. (What "harm" is, the
 * sanitizers know best.)
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <time.h>

#include "tests/numeric/engine_test.h"
#include "tests/unit/gguf_build.h"

#define ROUNDS	1500

static uint64_t seed;

struct tally {
	unsigned int loaded, refused;
};

static uint64_t next(uint64_t *state)
{
	struct gguf_build b = { .rng = *state };
	const uint64_t value = gguf_build_random(&b);

	*state = b.rng;
	return value;
}

/* change() - a few bytes, words or bits of the first @size bytes */
static void change(uint64_t *rng, char *data, size_t size)
{
	static const uint32_t words[] = { 0, 1, 0x7fffffff, 0x80000000, 0xffffffff, 0x7f800000,
					  0x7fc00000, 64, 65536 };
	const unsigned int count = 1 + next(rng) % 3;

	for (unsigned int i = 0; i < count; i++) {
		const size_t at = next(rng) % (size - 8);

		switch (next(rng) % 4) {
		case 0:
			data[at] ^= (char)(1 << next(rng) % 8);
			break;
		case 1:
			data[at] = (char)next(rng);
			break;
		case 2:
			memcpy(data + at, &words[next(rng) % ARRAY_SIZE(words)], 4);
			break;
		default:
			data[at]++;
		}
	}
}

static void step_once(struct engine_model *model)
{
	const uint32_t tokens[3] = { 0 };
	struct engine_model_info info;
	struct engine_item item = { .tokens = tokens, .count = 3 };
	struct sampler *sampler;
	struct sample_token token;

	engine_model_info(model, &info);
	assert_int_equal(engine_seq_new(model, &item.seq), 0);
	item.count = MIN(3U, info.context_used);
	assert_int_equal(engine_seq_reserve(item.seq, item.count), 0);
	assert_int_equal(engine_step(model, &item, 1), 0);
	assert_int_equal(sampler_new(&sampler, info.vocab), 0);
	token = sampler_pick(sampler, &(struct sample_params){ .temperature = 1, .top_p = 0.9f },
			     item.logits, tokens, item.count, 0, NULL, 0);
	assert_true(token.id < info.vocab);
	sampler_free(sampler);
	engine_seq_free(item.seq);
}

static void try_file(struct engine *engine, const char *data, size_t size, struct tally *tally)
{
	struct engine_model *model = NULL;
	struct error error = { 0 };
	char path[64];
	int fd = memfd_create("hostile", MFD_CLOEXEC);
	int r;

	assert_true(fd >= 0);
	assert_int_equal(write(fd, data, size), size);
	gguf_build_path(fd, path, sizeof(path));
	r = engine_model_load(engine, path, &model, &error);
	close(fd);
	if (r < 0) {
		assert_null(model);
		assert_true(r == -EBADMSG || r == -EOPNOTSUPP || r == -ENOMEM);
		assert_true(strlen(error.text) > 10);
		tally->refused++;
		return;
	}
	step_once(model);
	engine_model_free(model);
	tally->loaded++;
}

/* @whole: change the weights as well, not only what is before them */
static void hammer(const struct llama_shape *shape, bool whole)
{
	const struct engine_config config = {
		.threads = 1, .max_seqs = 1, .batch_tokens = 4, .logits_rows = 4, .context = 64,
	};
	int fd = llama_build(shape);
	const size_t size = (size_t)lseek(fd, 0, SEEK_END);
	char *good = malloc(size), *bad = malloc(size);
	struct tally tally = { 0 };
	struct engine *engine;
	uint64_t rng = seed;

	assert_true(good && bad);
	assert_int_equal(pread(fd, good, size, 0), size);
	assert_int_equal(engine_new(&engine, &config, NULL), 0);
	for (unsigned int i = 0; i < ROUNDS; i++) {
		memcpy(bad, good, size);
		change(&rng, bad, whole ? size : MIN(size, 3000U));
		try_file(engine, bad, i % 50 == 49 ? next(&rng) % size : size, &tally);
	}
	print_message("# %u loaded, %u refused\n", tally.loaded, tally.refused);
	assert_true(tally.loaded > ROUNDS / 20);
	assert_true(tally.refused > (whole ? ROUNDS / 100 : ROUNDS / 20));
	engine_free(engine);
	free(good);
	free(bad);
	close(fd);
}

static struct llama_shape tiny(uint32_t type)
{
	struct llama_shape s = llama_shape_small;

	s.layers = 1;
	s.width = 64;
	s.heads = 4;
	s.kv_heads = 2;
	s.head_dim = 16;
	s.ff_width = 96;
	s.vocab = 40;
	s.type = s.value_type = type;
	s.has_biases = s.has_rope_freqs = true;
	return s;
}

static void test_keys_and_shapes(void **state)
{
	const struct llama_shape shape = tiny(KERN_F32);

	(void)state;
	hammer(&shape, false);
}

static void test_weights(void **state)
{
	const struct llama_shape shape = tiny(KERN_Q4_1);

	(void)state;
	hammer(&shape, true);
}

/* any bytes are weights: scales without end and NaN among them are no error of the file */
static void test_noise(void **state)
{
	const struct engine_config config = {
		.threads = 1, .max_seqs = 1, .batch_tokens = 4, .logits_rows = 4, .context = 64,
	};
	struct llama_shape shape = tiny(0);
	struct tally tally = { 0 };
	unsigned int count = 0;
	struct engine *engine;
	uint64_t rng = seed;

	(void)state;
	shape.width = shape.ff_width = 256;
	shape.head_dim = 64;
	shape.has_rope_freqs = false;	/* these are checked */
	assert_int_equal(engine_new(&engine, &config, NULL), 0);
	for (uint32_t type = 0; type < KERN_TYPE_COUNT; type++) {
		size_t size;
		char *data;
		int fd;

		if (!kern_type_info(type))
			continue;
		shape.type = shape.value_type = type;
		fd = llama_build(&shape);
		size = (size_t)lseek(fd, 0, SEEK_END);
		data = malloc(size);
		assert_non_null(data);
		assert_int_equal(pread(fd, data, size, 0), size);
		for (unsigned int i = 0; i < 5; i++, count++) {
			/* keys and shapes are in the first half */
			for (size_t at = size / 2; at < size; at++)
				data[at] = (char)next(&rng);
			try_file(engine, data, size, &tally);
		}
		free(data);
		close(fd);
	}
	assert_int_equal(tally.loaded, count);
	engine_free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_keys_and_shapes),
		cmocka_unit_test(test_weights),
		cmocka_unit_test(test_noise),
	};
	const char *text = getenv("LLMOS_TEST_SEED");

	seed = text ? strtoull(text, NULL, 0) : (uint64_t)time(NULL);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	print_message("# LLMOS_TEST_SEED=%llu\n", (unsigned long long)seed);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
