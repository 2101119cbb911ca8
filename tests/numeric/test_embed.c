/* SPDX-License-Identifier: MIT */
/*
 * Hidden states of texts: those of an encoder against a forward pass in double that is written out
 * here, and the same bits whatever else lies in the sequence, in the step, and whatever the number
 * of threads, for an encoder and for a decoder.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "tests/numeric/engine_test.h"
#include "tests/numeric/exact.h"
#include "tests/unit/arch_build.h"

#define WIDTH	64U
#define HEADS	4U
#define HEAD	(WIDTH / HEADS)
#define HIDDEN	96U
#define VOCAB	48U
#define CONTEXT	128U
#define LAYERS	2U
#define PAGE	32U

/* ---- a small random BERT ---- */

static void build_norm(struct gguf_build *b, const char *prefix)
{
	char name[96];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	gguf_build_vector(b, name, KERN_F32, WIDTH, 1);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	gguf_build_vector(b, name, KERN_F32, WIDTH, 0.1f);
}

static void build_part(struct gguf_build *b, uint32_t type, uint32_t layer, const char *part,
		       uint32_t rows, uint32_t cols)
{
	char name[96];

	snprintf(name, sizeof(name), "blk.%u.%s.weight", layer, part);
	gguf_build_matrix(b, name, type, rows, cols);
	snprintf(name, sizeof(name), "blk.%u.%s.bias", layer, part);
	gguf_build_vector(b, name, KERN_F32, rows, 0.05f);
}

static int build_bert(uint32_t type, bool has_head)
{
	struct gguf_build b = { 0 };
	char name[96];

	gguf_build_string(&b, "general.architecture", "bert");
	gguf_build_string(&b, "tokenizer.ggml.model", "no_vocab");
	gguf_build_u32(&b, "bert.context_length", CONTEXT);
	gguf_build_u32(&b, "bert.block_count", LAYERS);
	gguf_build_u32(&b, "bert.embedding_length", WIDTH);
	gguf_build_u32(&b, "bert.feed_forward_length", HIDDEN);
	gguf_build_u32(&b, "bert.attention.head_count", HEADS);
	gguf_build_f32(&b, "bert.attention.layer_norm_epsilon", 1e-12f);
	gguf_build_u32(&b, "bert.pooling_type", 2);
	b.rng = 7;
	b.finer = 2;
	gguf_build_matrix(&b, "token_embd.weight", type, VOCAB, WIDTH);
	gguf_build_matrix(&b, "position_embd.weight", KERN_F32, CONTEXT, WIDTH);
	gguf_build_matrix(&b, "token_types.weight", KERN_F32, 2, WIDTH);
	build_norm(&b, "token_embd_norm");
	for (uint32_t i = 0; i < LAYERS; i++) {
		build_part(&b, type, i, "attn_q", WIDTH, WIDTH);
		build_part(&b, type, i, "attn_k", WIDTH, WIDTH);
		build_part(&b, type, i, "attn_v", WIDTH, WIDTH);
		build_part(&b, type, i, "attn_output", WIDTH, WIDTH);
		snprintf(name, sizeof(name), "blk.%u.attn_output_norm", i);
		build_norm(&b, name);
		build_part(&b, type, i, "ffn_up", HIDDEN, WIDTH);
		build_part(&b, type, i, "ffn_down", WIDTH, HIDDEN);
		snprintf(name, sizeof(name), "blk.%u.layer_output_norm", i);
		build_norm(&b, name);
	}
	if (has_head) {
		gguf_build_matrix(&b, "cls.weight", type, WIDTH, WIDTH);
		gguf_build_vector(&b, "cls.bias", KERN_F32, WIDTH, 0.1f);
		gguf_build_matrix(&b, "cls.output.weight", type, 3, WIDTH);
		gguf_build_vector(&b, "cls.output.bias", KERN_F32, 3, 0.1f);
	}
	return gguf_build_finish(&b);
}

/* ---- the truth ---- */

static const struct gguf *file;

/* elements [row * cols, (row + 1) * cols) of a tensor */
static void truth_row(const char *name, uint32_t row, uint32_t cols, double *to)
{
	const struct gguf_tensor *t = gguf_tensor_find(file, name);
	float x[HIDDEN];

	assert_non_null(t);
	assert_true(cols <= HIDDEN);
	kern_ops_get("ref")->dequant_row[t->type](
		x, (const char *)t->data +
			   row * kern_row_bytes(kern_type_info(t->type), t->dims[0]), cols);
	for (uint32_t i = 0; i < cols; i++)
		to[i] = (double)x[i];
}

static void truth_linear(const char *prefix, const double *x, uint32_t cols, double *y,
			 uint32_t rows)
{
	double w[HIDDEN], bias[HIDDEN];
	char name[96];

	snprintf(name, sizeof(name), "%s.bias", prefix);
	truth_row(name, 0, rows, bias);
	snprintf(name, sizeof(name), "%s.weight", prefix);
	for (uint32_t r = 0; r < rows; r++) {
		truth_row(name, r, cols, w);
		y[r] = bias[r];
		for (uint32_t c = 0; c < cols; c++)
			y[r] += w[c] * x[c];
	}
}

static void truth_norm(const char *prefix, double *x)
{
	double w[WIDTH], bias[WIDTH], mean = 0, square = 0;
	char name[96];

	snprintf(name, sizeof(name), "%s.weight", prefix);
	truth_row(name, 0, WIDTH, w);
	snprintf(name, sizeof(name), "%s.bias", prefix);
	truth_row(name, 0, WIDTH, bias);
	for (uint32_t i = 0; i < WIDTH; i++)
		mean += x[i] / WIDTH;
	for (uint32_t i = 0; i < WIDTH; i++)
		square += (x[i] - mean) * (x[i] - mean) / WIDTH;
	for (uint32_t i = 0; i < WIDTH; i++)
		x[i] = (x[i] - mean) / sqrt(square + 1e-12) * w[i] + bias[i];
}

struct layer_name {
	char text[64];
};

static struct layer_name in_layer(uint32_t layer, const char *part)
{
	struct layer_name name;

	snprintf(name.text, sizeof(name.text), "blk.%u.%s", layer, part);
	return name;
}

static void truth_attention(uint32_t layer, double (*x)[WIDTH], uint32_t count)
{
	static double q[CONTEXT][WIDTH], k[CONTEXT][WIDTH], v[CONTEXT][WIDTH];
	double mixed[WIDTH], out[WIDTH], p[CONTEXT];

	for (uint32_t t = 0; t < count; t++) {
		truth_linear(in_layer(layer, "attn_q").text, x[t], WIDTH, q[t], WIDTH);
		truth_linear(in_layer(layer, "attn_k").text, x[t], WIDTH, k[t], WIDTH);
		truth_linear(in_layer(layer, "attn_v").text, x[t], WIDTH, v[t], WIDTH);
	}
	for (uint32_t t = 0; t < count; t++) {
		memset(mixed, 0, sizeof(mixed));
		for (uint32_t at = 0; at < WIDTH; at += HEAD) {
			double sum = 0;

			for (uint32_t s = 0; s < count; s++) {
				p[s] = 0;
				for (uint32_t i = at; i < at + HEAD; i++)
					p[s] += q[t][i] * k[s][i] / sqrt(HEAD);
				p[s] = exp(p[s]);
				sum += p[s];
			}
			for (uint32_t s = 0; s < count; s++)
				for (uint32_t i = at; i < at + HEAD; i++)
					mixed[i] += p[s] / sum * v[s][i];
		}
		truth_linear(in_layer(layer, "attn_output").text, mixed, WIDTH, out, WIDTH);
		for (uint32_t i = 0; i < WIDTH; i++)
			x[t][i] += out[i];
		truth_norm(in_layer(layer, "attn_output_norm").text, x[t]);
	}
}

static void truth_feed_forward(uint32_t layer, double *x)
{
	double up[HIDDEN], down[WIDTH];

	truth_linear(in_layer(layer, "ffn_up").text, x, WIDTH, up, HIDDEN);
	for (uint32_t i = 0; i < HIDDEN; i++)
		up[i] *= (1 + erf(up[i] / sqrt(2))) / 2;
	truth_linear(in_layer(layer, "ffn_down").text, up, HIDDEN, down, WIDTH);
	for (uint32_t i = 0; i < WIDTH; i++)
		x[i] += down[i];
	truth_norm(in_layer(layer, "layer_output_norm").text, x);
}

/* @second: from this token on they are of the second type */
static void truth_forward(const uint32_t *tokens, uint32_t count, uint32_t second,
			  double (*x)[WIDTH])
{
	double row[WIDTH];

	for (uint32_t t = 0; t < count; t++) {
		truth_row("token_embd.weight", tokens[t], WIDTH, x[t]);
		truth_row("position_embd.weight", t, WIDTH, row);
		for (uint32_t i = 0; i < WIDTH; i++)
			x[t][i] += row[i];
		truth_row("token_types.weight", t >= second, WIDTH, row);
		for (uint32_t i = 0; i < WIDTH; i++)
			x[t][i] += row[i];
		truth_norm("token_embd_norm", x[t]);
	}
	for (uint32_t layer = 0; layer < LAYERS; layer++) {
		truth_attention(layer, x, count);
		for (uint32_t t = 0; t < count; t++)
			truth_feed_forward(layer, x[t]);
	}
}

/* ---- the engine ---- */

static void fill_tokens(uint32_t *tokens, uint32_t count, uint32_t seed)
{
	for (uint32_t i = 0; i < count; i++)
		tokens[i] = (i * 29 + i * i * 7 + seed) % VOCAB;
}

static void open_fd(struct engine_test *t, int fd, const char *isa, unsigned int threads)
{
	const struct engine_config config = {
		.isa = isa, .threads = threads, .max_seqs = 2, .batch_tokens = 150,
	};
	char path[64];

	gguf_build_path(fd, path, sizeof(path));
	engine_test_open(t, path, &config);
}

/* one text by itself, from the begin of an empty sequence; hidden states of @pooling to @out */
static unsigned int run_alone(struct engine_test *t, const uint32_t *tokens, uint32_t count,
			      uint32_t second, enum engine_pooling pooling, float *out)
{
	const struct engine_text text = { .second = second, .end = count };
	struct engine_seq *seq = engine_test_seq(t, count);
	struct engine_item item = {
		.seq = seq, .tokens = tokens, .count = count, .logits_from = count,
		.texts = &text, .text_count = 1, .pooling = pooling,
	};

	assert_int_equal(engine_step(t->model, &item, 1), 0);
	for (unsigned int i = 0; i < item.hidden_count; i++)
		memcpy(out + i * WIDTH, item.hidden + i * item.hidden_stride,
		       WIDTH * sizeof(*out));
	engine_seq_free(seq);
	return item.hidden_count;
}

static const struct {
	uint32_t type;
	double tolerance;
} types[] = { { KERN_F32, 1e-5 }, { KERN_F16, 9e-4 }, { KERN_Q8_0, 2.5e-2 } };

static void test_exact_encoder(void **state)
{
	static const uint32_t lengths[] = { 1, 7, 32, 75, CONTEXT };
	static double truth[CONTEXT][WIDTH];
	static float hidden[CONTEXT * WIDTH];
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	const size_t type = (size_t)(uintptr_t)*state;
	const int fd = build_bert(types[type].type, false);
	struct error error = { "" };
	uint32_t tokens[CONTEXT];
	char path[64];

	gguf_build_path(fd, path, sizeof(path));
	if (gguf_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	file = gguf;
	fill_tokens(tokens, CONTEXT, 3);
	for (size_t i = 0; i < ARRAY_SIZE(lengths); i++) {
		const uint32_t count = lengths[i], second = count - count / 3;

		truth_forward(tokens, count, second, truth);
		for (size_t j = 0; j < ARRAY_SIZE(engine_test_isas); j++) {
			struct engine_test t;
			double rms;

			if (!engine_test_has_isa(engine_test_isas[j]))
				continue;
			open_fd(&t, fd, engine_test_isas[j], 2);
			assert_true(t.info.is_encoder);
			assert_int_equal(t.info.pooling, ENGINE_POOL_FIRST);
			assert_int_equal(t.info.labels, 0);
			assert_int_equal(run_alone(&t, tokens, count, second, ENGINE_POOL_MEAN,
						   hidden), count);
			rms = exact_rms(hidden, truth[0], (size_t)count * WIDTH);
			print_message("# bert %s, %u tokens on %s: relative rms %.2e (at most %.1e)\n",
				      kern_type_info(types[type].type)->name, count,
				      engine_test_isas[j], rms, types[type].tolerance);
			assert_true(rms <= types[type].tolerance);
			engine_test_close(&t);
		}
	}
	close(fd);
}

/* ---- the same bits ---- */

#define TEXTS	4U

static const uint32_t lengths[TEXTS] = { 9, 1, 32, 23 };

/* texts one behind the other, each from a page's begin on; what lies between is no token */
static uint32_t lay_out(struct engine_text *texts, uint32_t *tokens)
{
	uint32_t at = 0;

	memset(tokens, 0xff, 2 * CONTEXT * sizeof(*tokens));
	for (uint32_t i = 0; i < TEXTS; i++) {
		texts[i] = (struct engine_text){
			.begin = at, .second = at + lengths[i] / 2 + 1, .end = at + lengths[i],
		};
		texts[i].second = MIN(texts[i].second, texts[i].end);
		fill_tokens(tokens + at, lengths[i], i * 5);
		at = (at + lengths[i] + PAGE - 1) / PAGE * PAGE;
	}
	return texts[TEXTS - 1].end;
}

/* all at once, beside a sequence that is one text where the model has logits */
static void run_together(struct engine_test *t, enum engine_pooling pooling, float *out)
{
	struct engine_seq *seq, *other = engine_test_seq(t, 20);
	struct engine_text texts[TEXTS];
	uint32_t tokens[2 * CONTEXT], beside[20], end = lay_out(texts, tokens);
	const struct engine_text whole = { .second = 20, .end = 20 };
	struct engine_item items[2] = {
		{ .texts = texts, .text_count = TEXTS, .pooling = pooling, .tokens = tokens,
		  .count = end, .logits_from = end },
		{ .seq = other, .tokens = beside, .count = 20, .logits_from = 18 },
	};

	fill_tokens(beside, 20, 11);
	if (t->info.is_encoder) {
		items[1].texts = &whole;
		items[1].text_count = 1;
		items[1].logits_from = 20;
	}
	seq = items[0].seq = engine_test_seq(t, end);
	assert_int_equal(engine_step(t->model, items, 2), 0);
	assert_int_equal(engine_seq_length(seq), end);
	for (unsigned int i = 0; i < items[0].hidden_count; i++)
		memcpy(out + i * WIDTH, items[0].hidden + i * items[0].hidden_stride,
		       WIDTH * sizeof(*out));
	engine_seq_free(seq);
	engine_seq_free(other);
}

static void check_same(int fd, enum engine_pooling pooling)
{
	static float together[2 * CONTEXT * WIDTH], alone[2 * CONTEXT * WIDTH];
	unsigned int rows = 0;
	struct engine_test t;

	open_fd(&t, fd, NULL, 1);
	for (uint32_t i = 0; i < TEXTS; i++) {
		struct engine_text texts[TEXTS];
		uint32_t tokens[2 * CONTEXT];

		lay_out(texts, tokens);
		rows += run_alone(&t, tokens + texts[i].begin, lengths[i],
				  texts[i].second - texts[i].begin, pooling, alone + rows * WIDTH);
	}
	engine_test_close(&t);
	assert_int_equal(rows, pooling == ENGINE_POOL_MEAN ? 65 : TEXTS);
	for (unsigned int threads = 1; threads <= 3; threads += 2) {
		memset(together, 0, sizeof(together));
		open_fd(&t, fd, NULL, threads);
		run_together(&t, pooling, together);
		engine_test_close(&t);
		assert_memory_equal(together, alone, rows * WIDTH * sizeof(float));
	}
}

static void test_same_bits(void **state)
{
	const size_t type = (size_t)(uintptr_t)*state;
	const int fds[] = {
		build_bert(types[type].type, false),
		arch_build(arch_shape_find("llama"), types[type].type),
		arch_build(arch_shape_find("gemma2"), types[type].type),
	};

	for (size_t i = 0; i < ARRAY_SIZE(fds); i++) {
		check_same(fds[i], ENGINE_POOL_MEAN);
		check_same(fds[i], ENGINE_POOL_FIRST);
		check_same(fds[i], ENGINE_POOL_LAST);
		close(fds[i]);
	}
}

/* a decoder's text in several steps */
static void test_cut_decoder(void **state)
{
	const int fd = arch_build(arch_shape_find("llama"), KERN_F32);
	const struct engine_text text = { .second = 75, .end = 75 };
	static float whole[75 * WIDTH], cut[75 * WIDTH];
	struct engine_seq *seq;
	uint32_t tokens[75];
	struct engine_test t;

	(void)state;
	fill_tokens(tokens, 75, 1);
	open_fd(&t, fd, NULL, 2);
	assert_int_equal(run_alone(&t, tokens, 75, 75, ENGINE_POOL_MEAN, whole), 75);
	seq = engine_test_seq(&t, 75);
	for (uint32_t at = 0; at < 75; at += 7) {
		struct engine_item item = {
			.seq = seq, .tokens = tokens + at, .count = MIN(7U, 75 - at),
			.logits_from = MIN(7U, 75 - at), .texts = &text, .text_count = 1,
			.pooling = ENGINE_POOL_MEAN,
		};

		assert_int_equal(engine_step(t.model, &item, 1), 0);
		assert_int_equal(item.hidden_count, item.count);
		for (uint32_t i = 0; i < item.count; i++)
			memcpy(cut + (at + i) * WIDTH, item.hidden + i * item.hidden_stride,
			       WIDTH * sizeof(*cut));
	}
	assert_memory_equal(cut, whole, sizeof(whole));
	engine_seq_free(seq);
	engine_test_close(&t);
	close(fd);
}

static void test_head(void **state)
{
	const int fd = build_bert(KERN_F32, true);
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	double x[WIDTH], dense[WIDTH], truth[3];
	float hidden[WIDTH], logits[3];
	struct error error = { "" };
	struct engine_test t;
	char path[64];

	(void)state;
	gguf_build_path(fd, path, sizeof(path));
	assert_int_equal(gguf_open(&gguf, path, &error), 0);
	file = gguf;
	for (uint32_t i = 0; i < WIDTH; i++) {
		hidden[i] = (float)sin(i);
		x[i] = (double)hidden[i];
	}
	truth_linear("cls", x, WIDTH, dense, WIDTH);
	for (uint32_t i = 0; i < WIDTH; i++)
		dense[i] = tanh(dense[i]);
	truth_linear("cls.output", dense, WIDTH, truth, 3);
	open_fd(&t, fd, NULL, 1);
	assert_int_equal(t.info.labels, 3);
	engine_classify(t.model, hidden, logits);
	assert_true(exact_rms(logits, truth, 3) < 1e-5);
	engine_test_close(&t);
	close(fd);
}

/* what a step does not take: then no sequence has changed */
static void test_refused(void **state)
{
	const int fd = build_bert(KERN_F32, false);
	static const struct engine_text bad[] = {
		{ 0, 4, 40 },		/* goes on behind the step */
		{ 1, 4, 8 },		/* not where a page begins */
		{ 0, 9, 8 },		/* a second part behind its end */
		{ 0, 0, 0 },		/* nothing */
	};
	struct engine_test t;
	struct engine_seq *seq;
	uint32_t tokens[64];

	(void)state;
	fill_tokens(tokens, 64, 1);
	open_fd(&t, fd, NULL, 1);
	seq = engine_test_seq(&t, 64);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct engine_item item = {
			.seq = seq, .tokens = tokens, .count = 32, .logits_from = 32,
			.texts = &bad[i], .text_count = 1, .pooling = ENGINE_POOL_MEAN,
		};

		assert_int_equal(engine_step(t.model, &item, 1), -EINVAL);
		assert_int_equal(engine_seq_length(seq), 0);
		/* nor does it say how it would go on */
		item.texts = NULL;
		assert_int_equal(engine_step(t.model, &item, 1), -EINVAL);
	}
	/* a token that there is none of */
	tokens[5] = VOCAB;
	assert_int_equal(engine_step(t.model, &(struct engine_item){
		.seq = seq, .tokens = tokens, .count = 32, .logits_from = 32,
		.texts = &(struct engine_text){ 0, 8, 8 }, .text_count = 1 }, 1), -EINVAL);
	engine_seq_free(seq);
	engine_test_close(&t);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_prestate(test_exact_encoder, (void *)0),
		cmocka_unit_test_prestate(test_exact_encoder, (void *)1),
		cmocka_unit_test_prestate(test_exact_encoder, (void *)2),
		cmocka_unit_test_prestate(test_same_bits, (void *)0),
		cmocka_unit_test_prestate(test_same_bits, (void *)1),
		cmocka_unit_test_prestate(test_same_bits, (void *)2),
		cmocka_unit_test(test_cut_decoder),
		cmocka_unit_test(test_head),
		cmocka_unit_test(test_refused),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
