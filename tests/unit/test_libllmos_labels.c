/* SPDX-License-Identifier: MIT */
/*
 * Labels and order of texts: what goes out, what is made of what comes back, and servers that send
 * something else.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
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

static uint32_t label_flags;	/* of those that follow */

static void add_label(uint32_t index, uint32_t label, int32_t logit, const char *name)
{
	const struct llm_label head = {
		.index = index, .label = label,
		.flags = label_flags | (index ? LLM_EMBEDDING_TRUNCATED : 0),
		.logit = logit, .probability = 250000, .name_len = strlen(name),
	};
	uint8_t body[sizeof(head) + 32];

	memcpy(body, &head, sizeof(head));
	memcpy(body + sizeof(head), name, head.name_len);
	frames_add(&frames, LLM_RECORD_LABEL, body, sizeof(head) + head.name_len);
}

static const char *const texts[] = { "one", "second" };

/* ---- labels ---- */

static void test_classify(void **state)
{
	static const char *const names[] = { "calm", "angry", "" };
	struct fixture *f = *state;
	struct llmos_labels *labels = NULL;
	struct llm_option option;

	for (uint32_t i = 0; i < 6; i++)
		add_label(i / 3, i % 3, (int32_t)i * 1500000 - 3000000, names[i % 3]);
	connect_to(f);
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 2,
					LLMOS_OPTS(llmos_classify_opts, .model = "m",
						   .query = "why?", .query_len = 3)), 0);
	assert_int_equal(labels->count, 2);
	assert_int_equal(labels->label_count, 3);
	assert_int_equal(labels->truncated, 1);
	for (size_t i = 0; i < 6; i++) {
		assert_string_equal(labels->labels[i].name, names[i % 3]);
		assert_true(labels->labels[i].logit == (double)i * 1.5 - 3);
		assert_true(labels->labels[i].probability == 0.25);
	}
	llmos_labels_free(labels);
	llmos_labels_free(NULL);
	assert_int_equal(f->fake->submit.op, LLM_OP_CLASSIFY);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_BATCH);
	assert_string_equal(f->fake->submit.model, "m");
	/* the query, the end of options, then both texts */
	assert_int_equal(f->fake->submit.payload_len, 8 + 3 + 8 + 4 + 3 + 4 + 6);
	memcpy(&option, f->fake->payload, sizeof(option));
	assert_int_equal(option.type, LLM_OPTION_QUERY);
	assert_int_equal(option.len, 3);
	assert_memory_equal(f->fake->payload + sizeof(option), "why", 3);
	assert_memory_equal(f->fake->payload + 23, "one", 3);
}

static void test_one_text(void **state)
{
	struct fixture *f = *state;
	struct llmos_labels *labels = NULL;

	add_label(0, 0, -1, "a");
	add_label(0, 1, 1, "b");
	connect_to(f);
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 1,
					LLMOS_OPTS(llmos_classify_opts, .truncate = true)), 0);
	assert_int_equal(labels->count, 1);
	assert_int_equal(labels->label_count, 2);
	assert_int_equal(labels->truncated, 0);
	assert_string_equal(labels->labels[1].name, "b");
	llmos_labels_free(labels);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;
	struct llmos_labels *labels = NULL;
	struct llmos_ranking *ranking = NULL;

	connect_to(f);
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 0, NULL), -EINVAL);
	/* as after a read that failed */
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 2,
					LLMOS_OPTS(llmos_classify_opts, .query = "why?",
						   .query_len = SIZE_MAX)), -E2BIG);
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 2,
					LLMOS_OPTS(llmos_classify_opts, .sched_class = 9)),
			 -EINVAL);
	assert_int_equal(llmos_rerank(f->llmos, &ranking, texts, NULL, 2, NULL), -EINVAL);
	assert_non_null(strstr(llmos_error(f->llmos), "query"));
	assert_null(labels);
	assert_null(ranking);
}

/* servers that send something else than (two texts) times (some labels) */
static void test_hostile(void **state)
{
	static const struct {
		uint32_t index, label;
	} cases[][5] = {
		{ { 0, 0 }, { 9, 9 } },				/* a text too few */
		{ { 0, 0 }, { 1, 0 }, { 2, 0 }, { 9, 9 } },	/* one too many */
		{ { 1, 0 }, { 0, 0 }, { 9, 9 } },		/* another order */
		{ { 0, 1 }, { 9, 9 } },				/* no first label */
		{ { 0, 0 }, { 0, 2 }, { 1, 0 }, { 9, 9 } },	/* one is left out */
		{ { 0, 0 }, { 0, 1 }, { 1, 0 }, { 9, 9 } },	/* fewer for the second */
		{ { 0, 0 }, { 1, 0 }, { 1, 1 }, { 9, 9 } },	/* more for the second */
		{ { 0, 0 }, { 0, 0 }, { 9, 9 } },		/* twice */
		{ { 0, 0 }, { 1, 0 }, { 0, 1 }, { 9, 9 } },	/* back to the first */
		{ { 9, 9 } },					/* nothing */
	};

	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct llmos_labels *labels = NULL;
		int r;

		if (i) {
			teardown(state);
			setup(state);
		}
		for (size_t j = 0; cases[i][j].index != 9; j++)
			add_label(cases[i][j].index, cases[i][j].label, 0, "x");
		connect_to(*state);
		r = llmos_classify(((struct fixture *)*state)->llmos, &labels, texts, NULL, 2,
				   NULL);
		if (r != -EPROTO || labels)
			fail_msg("case %zu: %d", i, r);
	}
}

/* labels without end */
static void test_endless(void **state)
{
	struct fixture *f = *state;
	struct llmos_labels *labels = NULL;

	for (uint32_t i = 0; i <= 4096; i++)
		add_label(0, i, 0, "");
	connect_to(f);
	f->fake->chunk = 0;
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 1, NULL), -EPROTO);
	assert_null(labels);
}

/* a name that is longer, or shorter, than its record */
static void test_cut(void **state)
{
	struct fixture *f = *state;
	struct llmos_labels *labels = NULL;
	struct llm_label head = { .name_len = 5 };

	frames_add(&frames, LLM_RECORD_LABEL, &head, sizeof(head));
	connect_to(f);
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 1, NULL), -EPROTO);
	teardown(state);
	setup(state);
	frames_add(&frames, LLM_RECORD_LABEL, &head, sizeof(head) - 4);
	connect_to(*state);
	f = *state;
	assert_int_equal(llmos_classify(f->llmos, &labels, texts, NULL, 1, NULL), -EPROTO);
	assert_null(labels);
}

/* ---- order ---- */

static void test_rerank(void **state)
{
	static const int32_t logits[] = { -2000000, 7000000, -2000000, 9000000 };
	static const size_t want[] = { 3, 1, 0, 2 };
	const char *const four[] = { "a", "b", "c", "d" };
	struct llmos_ranking *ranking = NULL;
	struct fixture *f = *state;

	for (uint32_t i = 0; i < 4; i++)
		add_label(i, 0, logits[i], "");
	connect_to(f);
	assert_int_equal(llmos_rerank(f->llmos, &ranking, four, NULL, 4,
				      LLMOS_OPTS(llmos_classify_opts, .query = "q",
						 .query_len = 1)), 0);
	assert_int_equal(ranking->count, 4);
	assert_int_equal(ranking->truncated, 3);
	assert_float_equal(ranking->ranks[0].score, 0.99987661, 1e-8);
	assert_float_equal(ranking->ranks[2].score, 0.11920292, 1e-8);
	for (size_t i = 0; i < 4; i++) {
		assert_int_equal(ranking->ranks[i].index, want[i]);
		assert_true(ranking->ranks[i].logit == logits[want[i]] / 1e6);
		assert_true(ranking->ranks[i].probability == 0.25);
	}
	llmos_ranking_free(ranking);
	llmos_ranking_free(NULL);
}

/* a model whose scores are logits */
static void test_rerank_logits(void **state)
{
	struct llmos_ranking *ranking = NULL;
	struct fixture *f = *state;

	label_flags = LLM_LABEL_LOGIT;
	add_label(0, 0, -2500000, "");
	add_label(1, 0, 4000000, "");
	label_flags = 0;
	connect_to(f);
	assert_int_equal(llmos_rerank(f->llmos, &ranking, texts, NULL, 2,
				      LLMOS_OPTS(llmos_classify_opts, .query = "q",
						 .query_len = 1)), 0);
	assert_int_equal(ranking->truncated, 1);
	for (size_t i = 0; i < 2; i++) {
		assert_int_equal(ranking->ranks[i].index, 1 - i);
		assert_true(ranking->ranks[i].score == (i ? -2.5 : 4));
		assert_true(ranking->ranks[i].logit == ranking->ranks[i].score);
	}
	llmos_ranking_free(ranking);
}

/* of a model that ranks nothing the first text is enough; the others are not waited for */
static void test_rerank_labels(void **state)
{
	struct llmos_ranking *ranking = NULL;
	struct fixture *f = *state;

	add_label(0, 0, 0, "x");
	add_label(0, 1, 0, "y");
	f->fake->endless = true;
	connect_to(f);
	assert_int_equal(llmos_rerank(f->llmos, &ranking, texts, NULL, 2,
				      LLMOS_OPTS(llmos_classify_opts, .query = "q",
						 .query_len = 1)), -EOPNOTSUPP);
	assert_non_null(strstr(llmos_error(f->llmos), "several labels"));
	assert_null(ranking);
	assert_int_equal(f->fake->cancels, 1);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_classify),
		TEST(test_one_text),
		TEST(test_refused),
		TEST(test_hostile),
		TEST(test_endless),
		TEST(test_cut),
		TEST(test_rerank),
		TEST(test_rerank_logits),
		TEST(test_rerank_labels),
	};

	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
