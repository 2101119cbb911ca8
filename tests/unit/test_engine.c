/* SPDX-License-Identifier: MIT */
/*
 * The engine's bookkeeping: configuration, what a step refuses, sequences and their pages, models
 * that do not fit, and that a step allocates nothing.
 */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdatomic.h>

#include "tests/numeric/engine_test.h"
#include "tests/unit/gguf_build.h"

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define IS_SANITIZED	true
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define IS_SANITIZED	true
#endif
#endif

static atomic_uint allocations;

#ifndef IS_SANITIZED
#define IS_SANITIZED	false

/* these stand before libc's */
void *__libc_malloc(size_t size);
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *p, size_t size);
void *__libc_memalign(size_t align, size_t size);

void *malloc(size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_calloc(count, size);
}

void *realloc(void *p, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	return __libc_realloc(p, size);
}

int posix_memalign(void **ret, size_t align, size_t size)
{
	atomic_fetch_add(&allocations, 1);
	*ret = __libc_memalign(align, size);
	return *ret ? 0 : ENOMEM;
}
#endif

static int open_small(struct engine_test *t, const struct engine_config *config)
{
	struct llama_shape shape = llama_shape_small;
	char path[64];
	int fd;

	shape.type = shape.value_type = KERN_Q8_0;
	fd = llama_build(&shape);
	gguf_build_path(fd, path, sizeof(path));
	engine_test_open(t, path, config);
	return fd;
}

static void close_small(struct engine_test *t, int fd)
{
	engine_test_close(t);
	close(fd);
}

static void refuse_config(const struct engine_config *config, const char *text)
{
	struct engine *engine = NULL;
	struct error error = { 0 };

	assert_int_equal(engine_new(&engine, config, &error), -EINVAL);
	assert_null(engine);
	assert_non_null(strstr(error.text, text));
}

static void test_config(void **state)
{
	struct engine *engine = NULL;
	struct error error = { 0 };

	(void)state;
	refuse_config(&(struct engine_config){ .threads = 5000 }, "'5000'");
	refuse_config(&(struct engine_config){ .max_seqs = UINT_MAX }, "max_seqs");
	refuse_config(&(struct engine_config){ .batch_tokens = UINT_MAX }, "batch_tokens");
	refuse_config(&(struct engine_config){ .logits_rows = UINT_MAX }, "logits_rows");
	refuse_config(&(struct engine_config){ .isa = "sse9" }, "'sse9'");
	refuse_config(&(struct engine_config){ .kv_type = "f64" }, "'f64'");
	assert_int_equal(engine_new(&engine, &(struct engine_config){ .isa = "ref" }, &error), 0);
	assert_string_equal(engine_isa(engine), "ref");
	assert_true(engine_threads(engine) >= 1);
	engine_free(engine);
	engine_free(NULL);
	assert_int_equal(setenv("LLMOS_ISA", "ref", 1), 0);
	assert_int_equal(engine_new(&engine, &(struct engine_config){ 0 }, &error), 0);
	assert_string_equal(engine_isa(engine), "ref");
	engine_free(engine);
	assert_int_equal(setenv("LLMOS_ISA", "nonsense", 1), 0);
	refuse_config(&(struct engine_config){ 0 }, "'nonsense'");
	unsetenv("LLMOS_ISA");
}

static void test_info(void **state)
{
	const struct engine_config config = { .threads = 1, .max_seqs = 3, .context = 100 };
	struct engine_model_info info = { 0 };
	struct error error = { 0 };
	struct engine_test t;
	int fd = open_small(&t, &config);

	(void)state;
	assert_int_equal(t.info.context, 512);
	assert_int_equal(t.info.context_used, 100);
	assert_int_equal(t.info.kv_pages, 3 * 4);
	assert_int_equal(t.info.kv_pages_used, 0);
	assert_int_equal(t.info.page_tokens, 32);
	assert_string_equal(t.info.arch, "llama");
	assert_string_equal(t.info.weights, "Q8_0");
	assert_int_equal(t.info.parameters,
			 320 * 256 + 256 +
			 3 * (2 * 256 + 2 * 256 * 256 + 2 * 64 * 256 + 3 * 512 * 256));
	assert_true(t.info.memory_bytes > 0);
	assert_int_equal(engine_file_info(engine_model_gguf(t.model), &info, &error), 0);
	assert_int_equal(info.parameters, t.info.parameters);
	assert_int_equal(info.context_used, 0);
	assert_int_equal(info.memory_bytes, 0);
	assert_null(engine_model_tokenizer(t.model));
	assert_int_equal(engine_model_chat(t.model), CHAT_NONE);
	close_small(&t, fd);
}

/* memory_of() - a model with heads of that many elements */
static uint64_t memory_of(uint32_t head_dim, uint32_t type, const char *isa)
{
	const struct engine_config config = {
		.threads = 1, .max_seqs = 1, .context = 64, .isa = isa,
	};
	struct llama_shape shape = llama_shape_small;
	struct engine_test t;
	uint64_t bytes;
	char path[64];
	int fd;

	shape.head_dim = head_dim;
	shape.type = shape.value_type = type;
	fd = llama_build(&shape);
	gguf_build_path(fd, path, sizeof(path));
	engine_test_open(&t, path, &config);
	bytes = t.info.memory_bytes;
	assert_int_equal(t.info.packed,
			 strcmp(isa, "ref") ? ENGINE_PACKED_MEMORY : ENGINE_PACKED_NONE);
	close_small(&t, fd);
	return bytes;
}

static void check_memory(uint32_t type, const char *isa)
{
	/* of three layers, with heads of 24: queries, keys and values, and attn_output as F32 */
	const uint64_t copies = 3 * ((8 + 2 + 2) * 24 * kern_row_bytes(kern_type_info(type), 256) +
				     256 * 8 * 24 * sizeof(float));
	const uint64_t more = memory_of(20, type, isa) - memory_of(24, type, isa);

	assert_in_range(more, copies - copies / 10, copies + copies / 10);
}

/* what heads were made longer for is memory, and is there once: as copies, or in panels */
static void test_long_heads(void **state)
{
	(void)state;
	check_memory(KERN_F32, "ref");
	check_memory(KERN_Q8_0, "ref");
	if (engine_test_has_isa("avx512vnni"))
		check_memory(KERN_Q8_0, "avx512vnni");
}

static void test_sequences(void **state)
{
	/* room for 6 pages: a sequence may have 4, so that two do not fit */
	const struct engine_config config = {
		.threads = 1, .max_seqs = 2, .context = 100, .kv_type = "f16",
		.kv_bytes = 6 * 2 * 3 * 2 * 32 * 32 * 2,
	};
	struct engine_seq *a, *b, *c = NULL;
	struct engine_test t;
	int fd = open_small(&t, &config);

	(void)state;
	assert_int_equal(t.info.kv_pages, 6);
	assert_int_equal(engine_seq_new(t.model, &a), 0);
	assert_int_equal(engine_seq_new(t.model, &b), 0);
	assert_int_equal(engine_seq_new(t.model, &c), -ENOSPC);
	assert_null(c);
	assert_int_equal(engine_seq_reserve(a, 101), -E2BIG);
	assert_int_equal(engine_seq_reserve(a, UINT_MAX), -E2BIG);
	assert_int_equal(engine_seq_reserve(a, 100), 0);
	assert_int_equal(engine_seq_reserve(a, 100), 0);
	assert_int_equal(engine_seq_reserve(b, 65), -ENOSPC);
	assert_int_equal(engine_seq_reserve(b, 64), 0);
	engine_model_info(t.model, &t.info);
	assert_int_equal(t.info.kv_pages_used, 6);
	engine_seq_truncate(a, 1);	/* nothing is in it: all pages go back */
	assert_int_equal(engine_seq_reserve(b, 65), 0);
	engine_seq_free(b);
	engine_seq_free(a);
	engine_seq_free(a);
	engine_seq_free(NULL);
	engine_model_info(t.model, &t.info);
	assert_int_equal(t.info.kv_pages_used, 0);
	assert_int_equal(engine_seq_new(t.model, &c), 0);
	assert_int_equal(engine_seq_length(c), 0);
	engine_seq_free(c);
	close_small(&t, fd);
}

/* a cache smaller than the context: sequences are as long as what there is */
static void test_small_cache(void **state)
{
	const size_t page = 2 * 3 * 2 * 32 * 32 * 2;
	struct engine_config config = { .threads = 1, .max_seqs = 2, .kv_bytes = 3 * page + 1 };
	struct engine_model *model = NULL;
	struct engine *engine = NULL;
	struct error error = { 0 };
	struct engine_test t;
	char path[64];
	int fd = open_small(&t, &config);

	(void)state;
	assert_int_equal(t.info.context_used, 96);
	engine_test_close(&t);
	gguf_build_path(fd, path, sizeof(path));
	config.kv_bytes = page - 1;
	assert_int_equal(engine_new(&engine, &config, &error), 0);
	assert_int_equal(engine_model_load(engine, path, &model, &error), -ENOMEM);
	assert_non_null(strstr(error.text, "cache"));
	engine_free(engine);
	config.kv_bytes = SIZE_MAX / 4;
	assert_int_equal(engine_new(&engine, &config, &error), 0);
	assert_int_equal(engine_model_load(engine, path, &model, &error), -ENOMEM);
	assert_non_null(strstr(error.text, "more than the"));
	assert_null(model);
	engine_free(engine);
	close(fd);
}

static void refuse_step(struct engine_test *t, struct engine_item *items, unsigned int count, int r)
{
	unsigned int before[4];

	for (unsigned int i = 0; i < count; i++)
		before[i] = items[i].seq ? engine_seq_length(items[i].seq) : 0;
	assert_int_equal(engine_step(t->model, items, count), r);
	for (unsigned int i = 0; i < count; i++)
		assert_int_equal(before[i], items[i].seq ? engine_seq_length(items[i].seq) : 0);
}

static void test_step_refusals(void **state)
{
	const struct engine_config config = {
		.threads = 2, .max_seqs = 3, .batch_tokens = 40, .logits_rows = 5, .context = 64,
	};
	const uint32_t good[64] = { 1, 2, 3 }, bad[2] = { 1, 320 };
	struct engine_test t, other;
	int fd = open_small(&t, &config), other_fd = open_small(&other, &config);
	struct engine_seq *a = engine_test_seq(&t, 64), *b = engine_test_seq(&t, 32);
	struct engine_seq *foreign = engine_test_seq(&other, 64);
	struct engine_item ok = { .seq = a, .tokens = good, .count = 3, .logits_from = 2 };

	(void)state;
	refuse_step(&t, (struct engine_item[]){ ok, ok }, 2, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = NULL } }, 1, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = foreign, .tokens = good, .count = 1 } }, 1,
		    -EINVAL);
	refuse_step(&t, (struct engine_item[]){ ok, { .seq = b, .tokens = bad, .count = 2,
						      .logits_from = 2 } }, 2, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = a, .tokens = good, .count = 41,
						  .logits_from = 41 } }, 1, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = a, .tokens = good, .count = 20,
						  .logits_from = 20 },
						{ .seq = b, .tokens = good, .count = 21,
						  .logits_from = 21 } }, 2, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = a, .tokens = good, .count = 6 } }, 1,
		    -EINVAL);
	refuse_step(&t, (struct engine_item[]){ { .seq = a, .tokens = good, .count = 3,
						  .logits_from = 4 } }, 1, -EINVAL);
	refuse_step(&t, (struct engine_item[]){ ok, { .seq = b, .tokens = good, .count = 33,
						      .logits_from = 33 } }, 2, -ENOSPC);
	/* and all of it left nothing behind */
	assert_int_equal(engine_step(t.model, &ok, 1), 0);
	assert_int_equal(engine_seq_length(a), 3);
	assert_non_null(ok.logits);
	ok.count = ok.logits_from = 0;
	assert_int_equal(engine_step(t.model, &ok, 1), 0);
	assert_null(ok.logits);
	assert_int_equal(engine_step(t.model, NULL, 0), 0);
	engine_seq_free(a);
	refuse_step(&t, (struct engine_item[]){ { .seq = a, .tokens = good, .count = 1 } }, 1,
		    -EINVAL);
	engine_seq_free(b);
	engine_seq_free(foreign);
	close_small(&other, other_fd);
	close_small(&t, fd);
}

/* the context is 40 tokens, which end within a page: the page's rest is not for use */
static void test_context_end(void **state)
{
	const struct engine_config config = { .threads = 1, .max_seqs = 1, .context = 40,
					      .logits_rows = 64 };
	const uint32_t tokens[64] = { 1 };
	struct engine_test t;
	int fd = open_small(&t, &config);
	struct engine_item item = { .seq = engine_test_seq(&t, 40), .tokens = tokens, .count = 41 };

	(void)state;
	refuse_step(&t, &item, 1, -ENOSPC);
	item.count = 40;
	assert_int_equal(engine_step(t.model, &item, 1), 0);
	item.count = 1;
	refuse_step(&t, &item, 1, -ENOSPC);
	engine_seq_free(item.seq);
	close_small(&t, fd);
}

static void test_no_allocation(void **state)
{
	const struct engine_config config = { .threads = 2, .max_seqs = 4, .logits_rows = 8 };
	const struct sample_params params = { .temperature = 1, .top_p = 0.9f, .min_p = 0.01f,
					      .top_k = 50, .repeat_penalty = 1.1f };
	const uint32_t tokens[64] = { 5, 6, 7 };
	_cleanup_(sampler_freep) struct sampler *sampler = NULL;
	struct sample_token top[5];
	struct engine_test t;
	int fd = open_small(&t, &config);
	unsigned int before;

	(void)state;
	if (IS_SANITIZED) {
		close_small(&t, fd);
		print_message("# the sanitizer wants its own malloc()\n");
		skip();
	}
	assert_int_equal(sampler_new(&sampler, t.info.vocab), 0);
	before = allocations;
	assert_true(before > 0);
	for (unsigned int round = 0; round < 20; round++) {
		struct engine_item items[4] = { 0 };
		bool ok = true;

		for (unsigned int i = 0; i < 4; i++) {
			ok = ok && !engine_seq_new(t.model, &items[i].seq) &&
				!engine_seq_reserve(items[i].seq, 64);
			items[i].tokens = tokens;
			items[i].count = 1 + 9 * i + round;
			items[i].logits_from = items[i].count - 1;
		}
		ok = ok && !engine_step(t.model, items, 4);
		for (unsigned int i = 0; ok && i < 4; i++)
			sampler_pick(sampler, &params, items[i].logits, tokens, 64, round, top, 5);
		for (unsigned int i = 0; i < 4; i++)
			engine_seq_free(items[i].seq);
		if (!ok || allocations != before)
			fail_msg("%u allocations", allocations - before);
	}
	close_small(&t, fd);
}

static void test_load_refusals(void **state)
{
	struct llama_shape shape = llama_shape_small;
	struct engine_model *model = NULL;
	struct engine *engine = NULL;
	struct error error = { 0 };
	char path[64];
	int fd;

	(void)state;
	assert_int_equal(engine_new(&engine, &(struct engine_config){ .threads = 1 }, &error), 0);
	assert_int_equal(engine_model_load(engine, "/nonexistent.gguf", &model, &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nonexistent.gguf"));
	/* a context no machine has the cache for is cut to what there is */
	shape.context = 1 << 27;
	shape.layers = 1;
	fd = llama_build(&shape);
	gguf_build_path(fd, path, sizeof(path));
	if (engine_model_load(engine, path, &model, &error) < 0)
		fail_msg("%s", error.text);
	engine_model_free(model);
	close(fd);
	engine_free(engine);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_config),
		cmocka_unit_test(test_info),
		cmocka_unit_test(test_long_heads),
		cmocka_unit_test(test_sequences),
		cmocka_unit_test(test_small_cache),
		cmocka_unit_test(test_step_refusals),
		cmocka_unit_test(test_context_end),
		cmocka_unit_test(test_no_allocation),
		cmocka_unit_test(test_load_refusals),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
