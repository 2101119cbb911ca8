/* SPDX-License-Identifier: MIT */
/*
 * Speed of the engine alone, without device, daemon or text: prefill (tokens a second into an empty
 * sequence, one row of logits at the end) and decode (one token at a time, logits each time).
 *
 *	llmos_bench -m MODEL [-t THREADS] [-i ISA] [-p TOKENS] [-n TOKENS] [-d DEPTH] [-r REPEAT]
 *	llmos_bench -m MODEL -g TEXT     what the model makes of TEXT, greedily
 *	llmos_bench -m MODEL -c [-C DIR] measure on command: bench_peer.py runs two programs in turn
 *
 * A command is a line "pp TOKENS", "tg TOKENS DEPTH" or "batch SEQS TOKENS"; the answer is a line
 * with the seconds it took. What lies at a depth is kept from one command to the next. The first
 * line is "ready ISA THREADS PACKED", the last of these where packed weights came from: with -C they
 * are kept in a folder, as the daemon keeps them, and found there by the next start.
 */
#include <getopt.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "engine/engine.h"

#define SEQS_MAX	64U

static const char *const packed_names[] = {
	[ENGINE_PACKED_NONE] = "none",
	[ENGINE_PACKED_MEMORY] = "memory",
	[ENGINE_PACKED_KEPT] = "kept",
	[ENGINE_PACKED_FOUND] = "found",
};

struct bench {
	struct engine *engine;
	struct engine_model *model;
	struct engine_model_info info;
	const char *path;
	const char *text;
	unsigned int threads;
	const char *isa, *pack_cache;
	unsigned int prefill, decode, depth, repeat;
	bool on_command;
	struct engine_seq *deep;	/* of the last "tg" */
};

static double now_s(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec * 1e-9;
}

static int fail(const char *what, int r)
{
	fprintf(stderr, "llmos_bench: %s: %s\n", what, strerror(-r));
	return r;
}

/* token_at() - an id like any other: the cost of a token does not depend on it */
static uint32_t token_at(const struct bench *b, unsigned int i)
{
	return (uint32_t)((i * 2654435761ULL + 12345) % b->info.vocab);
}

/* feed() - append @count tokens, a batch at a time; logits after the last one */
static int feed(struct bench *b, struct engine_seq *seq, unsigned int count)
{
	uint32_t tokens[512];
	int r;

	r = engine_seq_reserve(seq, engine_seq_length(seq) + count);
	while (count && r >= 0) {
		const unsigned int n = MIN(count, (unsigned int)ARRAY_SIZE(tokens));
		struct engine_item item = {
			.seq = seq, .tokens = tokens, .count = n,
			.logits_from = count == n ? n - 1 : n,
		};

		for (unsigned int i = 0; i < n; i++)
			tokens[i] = token_at(b, engine_seq_length(seq) + i);
		r = engine_step(b->model, &item, 1);
		count -= n;
	}
	return r;
}

static int measure_prefill(struct bench *b, unsigned int count, double *ret)
{
	struct engine_seq *seq;
	double start;
	int r;

	r = engine_seq_new(b->model, &seq);
	if (r < 0)
		return r;
	start = now_s();
	r = feed(b, seq, count);
	*ret = now_s() - start;
	engine_seq_free(seq);
	return r;
}

/* go_to() - a sequence of @depth tokens, what there was of it already or from its beginning */
static int go_to(struct bench *b, unsigned int depth)
{
	int r = 0;

	if (!b->deep)
		r = engine_seq_new(b->model, &b->deep);
	if (r < 0)
		return r;
	if (engine_seq_length(b->deep) > depth)
		engine_seq_truncate(b->deep, depth);
	return feed(b, b->deep, depth - engine_seq_length(b->deep));
}

static int measure_decode(struct bench *b, unsigned int count, unsigned int depth, double *ret)
{
	double start;
	int r;

	r = go_to(b, depth);
	if (r >= 0)
		r = engine_seq_reserve(b->deep, depth + count);
	start = now_s();
	for (unsigned int i = 0; i < count && r >= 0; i++)
		r = feed(b, b->deep, 1);
	*ret = now_s() - start;
	return r;
}

/* measure_batch() - @seqs sequences decode @count tokens each, side by side */
static int measure_batch(struct bench *b, unsigned int seqs, unsigned int count, double *ret)
{
	struct engine_item items[SEQS_MAX] = { 0 };
	uint32_t tokens[SEQS_MAX];
	double start;
	int r = 0;

	seqs = MIN(seqs, SEQS_MAX);
	for (unsigned int i = 0; i < seqs && r >= 0; i++) {
		r = engine_seq_new(b->model, &items[i].seq);
		items[i].tokens = &tokens[i];
		items[i].count = 1;
		if (r >= 0)
			r = engine_seq_reserve(items[i].seq, count);
	}
	start = now_s();
	for (unsigned int i = 0; i < count && r >= 0; i++) {
		for (unsigned int j = 0; j < seqs; j++)
			tokens[j] = token_at(b, i * seqs + j);
		r = engine_step(b->model, items, seqs);
	}
	*ret = now_s() - start;
	for (unsigned int i = 0; i < seqs; i++)
		engine_seq_free(items[i].seq);
	return r;
}

static int serve_commands(struct bench *b)
{
	char line[128];
	unsigned int n, m;
	double seconds;
	int r;

	printf("ready %s %u %s\n", engine_isa(b->engine), engine_threads(b->engine),
	       packed_names[b->info.packed]);
	fflush(stdout);
	while (fgets(line, sizeof(line), stdin)) {
		if (sscanf(line, "pp %u", &n) == 1)
			r = measure_prefill(b, n, &seconds);
		else if (sscanf(line, "tg %u %u", &n, &m) == 2)
			r = measure_decode(b, n, m, &seconds);
		else if (sscanf(line, "batch %u %u", &n, &m) == 2)
			r = measure_batch(b, n, m, &seconds);
		else
			r = -EINVAL;
		if (r < 0)
			return fail(line, r);
		printf("%.9f\n", seconds);
		fflush(stdout);
	}
	return 0;
}

static int run_once(struct bench *b, bool is_shown)
{
	double prefill = 0, decode = 0;
	int r;

	r = measure_prefill(b, b->prefill, &prefill);
	if (r >= 0)
		r = measure_decode(b, b->decode, b->depth, &decode);
	if (r < 0)
		return fail("step", r);
	if (is_shown)
		printf("pp%u %.1f tok/s   tg%u %.1f tok/s\n", b->prefill, b->prefill / prefill,
		       b->decode, b->decode / decode);
	return 0;
}

static int run_repeated(struct bench *b)
{
	int r;

	printf("%s: %.1f M weights (%s), %s, %u threads\n", b->path,
	       (double)b->info.parameters / 1e6, b->info.weights, engine_isa(b->engine),
	       engine_threads(b->engine));
	r = run_once(b, false);		/* the file comes into memory */
	for (unsigned int i = 0; i < b->repeat && r >= 0; i++)
		r = run_once(b, true);
	return r;
}

static void print_piece(const struct bench *b, uint32_t id, bool first)
{
	size_t len;
	const char *piece = tok_piece(engine_model_tokenizer(b->model), id, first, true, &len);

	if (piece)
		fwrite(piece, 1, len, stdout);
	fflush(stdout);
}

static int generate_from(struct bench *b, struct engine_seq *seq, const struct tok_ids *ids)
{
	const struct sample_params greedy = { 0 };
	_cleanup_(sampler_freep) struct sampler *sampler = NULL;
	struct engine_item item = {
		.seq = seq, .tokens = ids->ids, .count = (unsigned int)ids->count,
		.logits_from = (unsigned int)ids->count - 1,
	};
	struct sample_token next;
	int r;

	r = sampler_new(&sampler, b->info.vocab);
	for (unsigned int i = 0; i < b->decode && r >= 0; i++) {
		r = engine_seq_reserve(seq, engine_seq_length(seq) + item.count);
		if (r >= 0)
			r = engine_step(b->model, &item, 1);
		if (r < 0)
			break;
		next = sampler_pick(sampler, &greedy, item.logits, NULL, 0, i, NULL, 0);
		if (tok_is_end(engine_model_tokenizer(b->model), next.id))
			break;
		print_piece(b, next.id, false);
		item.tokens = &next.id;
		item.count = 1;
		item.logits_from = 0;
	}
	printf("\n");
	return r;
}

static int generate(struct bench *b)
{
	const struct tokenizer *tok = engine_model_tokenizer(b->model);
	struct tok_ids ids = { 0 };
	struct engine_seq *seq = NULL;
	int r;

	if (!tok)
		return fail("the model knows no text", -EOPNOTSUPP);
	r = tok_encode(tok, b->text, strlen(b->text), TOK_BOS | TOK_SPECIAL, 512, &ids);
	if (r >= 0 && !ids.count)
		r = -EINVAL;
	if (r >= 0)
		r = engine_seq_new(b->model, &seq);
	for (size_t i = 0; r >= 0 && i < ids.count; i++)
		print_piece(b, ids.ids[i], i == 0);
	if (r >= 0)
		r = generate_from(b, seq, &ids);
	engine_seq_free(seq);
	free(ids.ids);
	return r < 0 ? fail(b->text, r) : 0;
}

static bool parse_options(struct bench *b, int argc, char **argv)
{
	int c;

	while ((c = getopt(argc, argv, "m:t:i:p:n:d:r:g:cC:")) != -1) {
		switch (c) {
		case 'm': b->path = optarg; break;
		case 't': b->threads = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'i': b->isa = optarg; break;
		case 'p': b->prefill = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'n': b->decode = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'd': b->depth = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'r': b->repeat = (unsigned int)strtoul(optarg, NULL, 10); break;
		case 'g': b->text = optarg; break;
		case 'c': b->on_command = true; break;
		case 'C': b->pack_cache = optarg; break;
		default: return false;
		}
	}
	return b->path && optind == argc;
}

int main(int argc, char **argv)
{
	struct bench b = { .prefill = 256, .decode = 64, .repeat = 5 };
	struct engine_config config = {
		.max_seqs = SEQS_MAX, .batch_tokens = 512, .logits_rows = SEQS_MAX,
	};
	struct error error;
	int r;

	if (!parse_options(&b, argc, argv)) {
		fprintf(stderr, "usage: llmos_bench -m MODEL [-t THREADS] [-i ISA] [-p TOKENS] "
			"[-n TOKENS] [-d DEPTH] [-r REPEAT] [-C DIR] [-g TEXT | -c]\n");
		return 64;
	}
	config.threads = b.threads;
	config.isa = b.isa;
	config.pack_cache = b.pack_cache;
	r = engine_new(&b.engine, &config, &error);
	if (r >= 0)
		r = engine_model_load(b.engine, b.path, &b.model, &error);
	if (r < 0) {
		fprintf(stderr, "llmos_bench: %s\n", error.text);
	} else {
		engine_model_info(b.model, &b.info);
		r = b.on_command ? serve_commands(&b) : b.text ? generate(&b) : run_repeated(&b);
	}
	engine_seq_free(b.deep);
	engine_model_free(b.model);
	engine_free(b.engine);
	return r < 0;
}
