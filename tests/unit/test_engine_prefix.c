/* SPDX-License-Identifier: MIT */
/*
 * Sequences that begin with kept pages: bit for bit as if all of them had been computed, whoever
 * else uses these pages, wherever the text goes on differently, and however short of pages the
 * cache is. What is kept is never written.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "engine/engine_internal.h"
#include "tests/numeric/engine_test.h"
#include "tests/unit/gguf_build.h"

#define PROMPT		150	/* tokens: four full pages and a part of a fifth */
#define FULL		128
#define PAGE_BYTES	(3 * 2 * 2 * 32 * 32 * 4)	/* of llama_shape_small, in F32 */

static const int here;
static const struct engine_domain mine = { .source = &here, .group = 1, .user = 1000 };
static const struct engine_domain yours = { .source = &here, .group = 1, .user = 1001 };
static struct engine_payer payer = { (void *)&here, 1 };

struct fixture {
	struct engine_test t;
	int fd;
	uint32_t tokens[PROMPT];
	float *want, *have;		/* (PROMPT, vocab) */
	size_t row_bytes;
	size_t dropped;
};

static void on_dropped(void *arg, const struct engine_payer *who, size_t bytes)
{
	struct fixture *f = arg;

	assert_ptr_equal(who->source, &here);
	assert_int_equal(who->group, 1);
	f->dropped += bytes;
}

static void feed(struct fixture *f, struct engine_seq *seq, const uint32_t *tokens,
		 unsigned int count, unsigned int chunk)
{
	const unsigned int length = engine_seq_length(seq);

	memset(f->have, 0xff, PROMPT * f->row_bytes);
	assert_int_equal(engine_seq_reserve(seq, count), 0);
	engine_test_feed(&f->t, seq, tokens + length, count - length, chunk,
			 f->have + length * (f->row_bytes / sizeof(float)));
}

/* the logits from @from on are those of a sequence that nobody helped */
static void assert_same(const struct fixture *f, unsigned int from, unsigned int count)
{
	assert_memory_equal((char *)f->have + from * f->row_bytes,
			    (char *)f->want + from * f->row_bytes, (count - from) * f->row_bytes);
}

static void open_fixture(struct fixture *f, size_t kv_bytes, uint32_t type)
{
	struct engine_config config = {
		.threads = 2, .max_seqs = 6, .batch_tokens = 256, .logits_rows = 256,
		.context = 320, .kv_bytes = kv_bytes, .prefix_percent = 100,
		.prefix_dropped = on_dropped, .prefix_arg = f,
	};
	struct llama_shape shape = llama_shape_small;
	struct engine_seq *seq;
	char path[64];

	memset(f, 0, sizeof(*f));
	shape.type = shape.value_type = type;
	f->fd = llama_build(&shape);
	gguf_build_path(f->fd, path, sizeof(path));
	engine_test_open(&f->t, path, &config);
	for (unsigned int i = 0; i < PROMPT; i++)
		f->tokens[i] = (i * 7919 + 13) % shape.vocab;
	f->row_bytes = shape.vocab * sizeof(float);
	f->want = malloc(PROMPT * f->row_bytes);
	f->have = malloc(PROMPT * f->row_bytes);
	assert_true(f->want && f->have);
	seq = engine_test_seq(&f->t, PROMPT);
	feed(f, seq, f->tokens, PROMPT, PROMPT);
	memcpy(f->want, f->have, PROMPT * f->row_bytes);
	engine_seq_free(seq);
}

static void close_fixture(struct fixture *f)
{
	assert_true(prefix_check(&f->t.model->prefix));
	engine_model_info(f->t.model, &f->t.info);
	assert_int_equal(f->t.info.kv_pages_used, 0);
	engine_test_close(&f->t);
	close(f->fd);
	free(f->want);
	free(f->have);
}

static struct engine_seq *seq_new(struct fixture *f)
{
	struct engine_seq *seq;

	assert_int_equal(engine_seq_new(f->t.model, &seq), 0);
	return seq;
}

/* the prompt, computed and kept by somebody who is gone; Return: bytes that were new */
static size_t keep_prompt(struct fixture *f, const struct engine_domain *domain)
{
	struct engine_seq *seq = seq_new(f);
	size_t bytes;

	feed(f, seq, f->tokens, PROMPT, 64);
	bytes = engine_seq_keep(seq, domain, &payer, f->tokens);
	engine_seq_free(seq);
	return bytes;
}

static void check_exact(uint32_t type)
{
	struct engine_seq *seq;
	struct fixture f;
	size_t page;

	open_fixture(&f, 0, type);
	page = engine_kv_bytes(f.t.model, 1);
	assert_int_equal(engine_prefix_find(f.t.model, &mine, f.tokens, PROMPT), 0);
	assert_int_equal(keep_prompt(&f, &mine), 4 * page);
	assert_int_equal(engine_prefix_find(f.t.model, &mine, f.tokens, PROMPT), FULL);
	assert_int_equal(engine_prefix_find(f.t.model, &mine, f.tokens, FULL - 1), 96);
	assert_int_equal(engine_prefix_find(f.t.model, &yours, f.tokens, PROMPT), 0);
	for (unsigned int chunk = 1; chunk <= 64; chunk *= 4) {
		seq = seq_new(&f);
		assert_int_equal(engine_seq_begin(seq, &mine, f.tokens, PROMPT - 1), FULL);
		assert_int_equal(engine_seq_length(seq), FULL);
		assert_int_equal(engine_seq_bytes(seq), 0);
		assert_int_equal(engine_seq_bytes_for(seq, PROMPT), page);
		feed(&f, seq, f.tokens, PROMPT, chunk);
		assert_same(&f, FULL, PROMPT);
		assert_int_equal(engine_seq_bytes(seq), page);
		assert_int_equal(engine_seq_kept_bytes(seq, &payer), 4 * page);
		/* there is nothing new to keep */
		assert_int_equal(engine_seq_keep(seq, &mine, &payer, f.tokens), 0);
		engine_seq_free(seq);
	}
	assert_int_equal(f.dropped, 0);
	close_fixture(&f);
}

static void test_exact(void **state)
{
	(void)state;
	check_exact(KERN_F32);
	check_exact(KERN_Q8_0);
	check_exact(KERN_Q4_K);
}

/* several use it at once, in one step, each with an end of its own; then each end is kept, too */
static void test_branches(void **state)
{
	enum { BRANCHES = 4 };
	struct engine_item items[BRANCHES] = { 0 };
	uint32_t texts[BRANCHES][PROMPT];
	struct engine_seq *alone;
	struct fixture f;

	(void)state;
	open_fixture(&f, 0, KERN_F32);
	keep_prompt(&f, &mine);
	for (unsigned int i = 0; i < BRANCHES; i++) {
		memcpy(texts[i], f.tokens, sizeof(texts[i]));
		/* they part in different pages, one in the middle of one */
		for (unsigned int at = 32 * i + 7 * (i == 2); at < PROMPT; at++)
			texts[i][at] = (texts[i][at] + i + 1) % f.t.info.vocab;
		items[i].seq = seq_new(&f);
		assert_int_equal(engine_seq_begin(items[i].seq, &mine, texts[i], PROMPT - 1),
				 32 * i);
		items[i].tokens = texts[i] + 32 * i;
		items[i].count = 40;
		items[i].logits_from = 39;
		assert_int_equal(engine_seq_reserve(items[i].seq, 32 * i + 40), 0);
	}
	assert_int_equal(engine_step(f.t.model, items, BRANCHES), 0);
	for (unsigned int i = 0; i < BRANCHES; i++) {
		memcpy(f.want + i * f.t.info.vocab, items[i].logits, f.row_bytes);
		assert_true(engine_seq_keep(items[i].seq, &mine, &payer, texts[i]) > 0);
	}
	for (unsigned int i = 0; i < BRANCHES; i++)
		engine_seq_free(items[i].seq);
	for (unsigned int i = 0; i < BRANCHES; i++) {
		alone = seq_new(&f);
		feed(&f, alone, texts[i], 32 * i + 40, 33);
		assert_memory_equal((char *)f.have + (32 * i + 39) * f.row_bytes,
				    f.want + i * f.t.info.vocab, f.row_bytes);
		engine_seq_free(alone);
		assert_int_equal(engine_prefix_find(f.t.model, &mine, texts[i], PROMPT),
				 32 * i + 32);
	}
	/* and the prompt is what it was */
	assert_int_equal(engine_prefix_find(f.t.model, &mine, f.tokens, PROMPT), FULL);
	close_fixture(&f);
}

/* cut within a kept page, it goes on in a copy; who shares the page does not notice */
static void test_copy(void **state)
{
	uint32_t other[PROMPT];
	struct engine_seq *cut, *alone;
	struct fixture f;
	size_t page;

	(void)state;
	open_fixture(&f, 0, KERN_F32);
	page = engine_kv_bytes(f.t.model, 1);
	keep_prompt(&f, &mine);
	memcpy(other, f.tokens, sizeof(other));
	for (unsigned int at = 75; at < PROMPT; at++)
		other[at] = (other[at] + 5) % f.t.info.vocab;
	alone = seq_new(&f);
	feed(&f, alone, other, PROMPT, PROMPT);
	memcpy(f.want, f.have, PROMPT * f.row_bytes);
	engine_seq_free(alone);
	cut = seq_new(&f);
	assert_int_equal(engine_seq_begin(cut, &mine, f.tokens, PROMPT), FULL);
	engine_seq_truncate(cut, 75);
	/* before it is reserved it must not be written */
	assert_int_equal(engine_step(f.t.model, &(struct engine_item){
		.seq = cut, .tokens = other + 75, .count = 1, .logits_from = 1 }, 1), -ENOSPC);
	assert_int_equal(engine_seq_bytes_for(cut, 75), 0);
	assert_int_equal(engine_seq_bytes_for(cut, 76), page);
	feed(&f, cut, other, PROMPT, 16);
	assert_same(&f, 75, PROMPT);
	assert_int_equal(engine_seq_bytes(cut), 3 * page);
	assert_int_equal(engine_seq_kept_bytes(cut, NULL), 2 * page);
	engine_seq_keep(cut, &mine, &payer, other);
	engine_seq_free(cut);
	assert_int_equal(engine_prefix_find(f.t.model, &mine, other, PROMPT), FULL);
	/* the original */
	alone = seq_new(&f);
	feed(&f, alone, f.tokens, PROMPT, PROMPT);
	memcpy(f.want, f.have, PROMPT * f.row_bytes);
	engine_seq_free(alone);
	cut = seq_new(&f);
	assert_int_equal(engine_seq_begin(cut, &mine, f.tokens, PROMPT), FULL);
	feed(&f, cut, f.tokens, PROMPT, 22);
	assert_same(&f, FULL, PROMPT);
	engine_seq_free(cut);
	close_fixture(&f);
}

/* two compute the same side by side: one copy is kept, both go on */
static void test_same_twice(void **state)
{
	struct engine_seq *a, *b;
	struct fixture f;
	size_t page;

	(void)state;
	open_fixture(&f, 0, KERN_F32);
	page = engine_kv_bytes(f.t.model, 1);
	a = seq_new(&f);
	b = seq_new(&f);
	feed(&f, a, f.tokens, 140, 50);
	feed(&f, b, f.tokens, 140, 60);
	assert_int_equal(engine_seq_keep(a, &mine, &payer, f.tokens), 4 * page);
	assert_int_equal(engine_seq_keep(b, &mine, &payer, f.tokens), 0);
	assert_int_equal(engine_seq_bytes(b), page);
	engine_model_info(f.t.model, &f.t.info);
	assert_int_equal(f.t.info.kv_pages_used, 4 + 2);
	engine_seq_free(a);
	feed(&f, b, f.tokens, PROMPT, 1);
	assert_same(&f, 140, PROMPT);
	engine_seq_free(b);
	/* what could not be charged is its own again */
	a = seq_new(&f);
	feed(&f, a, f.tokens, PROMPT, PROMPT);
	assert_int_equal(engine_seq_keep(a, &yours, &payer, f.tokens), 4 * page);
	engine_seq_unkeep(a, 4 * page);
	assert_int_equal(engine_seq_bytes(a), 5 * page);
	assert_int_equal(engine_prefix_find(f.t.model, &yours, f.tokens, PROMPT), 0);
	engine_seq_free(a);
	close_fixture(&f);
}

/* ten pages in all: what is kept makes way for sequences, and only what nobody uses */
static void test_eviction(void **state)
{
	struct engine_seq *user, *hungry;
	struct fixture f;

	(void)state;
	open_fixture(&f, 10 * PAGE_BYTES, KERN_F32);
	assert_int_equal(f.t.info.kv_pages, 10);
	keep_prompt(&f, &mine);
	keep_prompt(&f, &yours);
	engine_model_info(f.t.model, &f.t.info);
	assert_int_equal(f.t.info.kv_pages_used, 0);
	assert_int_equal(f.t.info.kv_pages_kept, 8);
	user = seq_new(&f);
	assert_int_equal(engine_seq_begin(user, &mine, f.tokens, PROMPT - 1), FULL);
	hungry = seq_new(&f);
	assert_int_equal(engine_seq_reserve(hungry, 7 * 32), -ENOSPC);
	assert_int_equal(f.dropped, 0);
	assert_int_equal(engine_seq_reserve(hungry, 6 * 32), 0);
	assert_int_equal(f.dropped, 4 * PAGE_BYTES);
	assert_int_equal(engine_prefix_find(f.t.model, &yours, f.tokens, PROMPT), 0);
	assert_int_equal(engine_prefix_drop(f.t.model, &payer, SIZE_MAX), 0);
	engine_seq_free(hungry);
	feed(&f, user, f.tokens, PROMPT, 7);
	assert_same(&f, FULL, PROMPT);
	engine_seq_free(user);
	assert_int_equal(engine_prefix_drop(f.t.model, &payer, SIZE_MAX), 4 * PAGE_BYTES);
	assert_int_equal(engine_prefix_find(f.t.model, &mine, f.tokens, PROMPT), 0);
	close_fixture(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_exact),
		cmocka_unit_test(test_branches),
		cmocka_unit_test(test_copy),
		cmocka_unit_test(test_same_twice),
		cmocka_unit_test(test_eviction),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
