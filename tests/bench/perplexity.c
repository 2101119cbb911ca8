// SPDX-License-Identifier: MIT
/*
 * Perplexity of a text, as llama.cpp counts it, so that figures can be compared: the text is one
 * run of tokens, cut into windows of so many; each is computed by itself, and its second half is
 * what counts. Where the model's texts begin with a token of their own, so does each window.
 *
 *	perplexity [-t THREADS] [-i ISA] [-k KV_TYPE] [-c WINDOW] [-n WINDOWS] MODEL TEXT
 *
 * With -l LOGITS the logits of the first window's second half are written to that file: float32,
 * (WINDOW / 2 - 1, vocab); with -p NLL the negative log-probabilities of all tokens that count:
 * float64. perplexity_peer.py does the same with the peer, and compares.
 */
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "tokenizer/tokenizer.h"

#define TEXT_MAX	(64U << 20)	/* bytes */
#define STEP_TOKENS	128U

struct run {
	const char *model_path;
	const char *text_path;
	const char *logits_path, *nll_path;
	struct engine_config config;
	unsigned int window;
	unsigned int windows;
	struct engine *engine;
	struct engine_model *model;
	struct engine_model_info info;
	struct tok_ids tokens;
	FILE *logits, *nll;
	double sum;		/* of negative log-probabilities */
	double squares;
	unsigned long count;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "perplexity: %s: %s\n", what, why);
	return -1;
}

/* natural; in double: the sum over a vocabulary is what the figure depends on */
static double log_probability(const float *logits, uint32_t vocab, uint32_t id)
{
	float max = logits[0];
	double sum = 0;

	for (uint32_t i = 1; i < vocab; i++)
		max = logits[i] > max ? logits[i] : max;
	for (uint32_t i = 0; i < vocab; i++)
		sum += exp((double)logits[i] - (double)max);
	return (double)logits[id] - (double)max - log(sum);
}

static void take_row(struct run *run, const float *logits, uint32_t next)
{
	const double nll = -log_probability(logits, run->info.vocab, next);

	if (run->nll)
		fwrite(&nll, sizeof(nll), 1, run->nll);
	run->sum += nll;
	run->squares += nll * nll;
	run->count++;
	if (run->logits)
		fwrite(logits, sizeof(*logits), run->info.vocab, run->logits);
}

/* rows of one step: what they say of the tokens behind them, as far as these count */
static void take_step(struct run *run, const struct engine_item *item, const uint32_t *tokens,
		      unsigned int at)
{
	for (unsigned int i = item->logits_from; i < item->count; i++)
		if (at + i + 1 < run->window)
			take_row(run, item->logits + (size_t)(i - item->logits_from) *
							     run->info.vocab,
				 tokens[at + i + 1]);
}

static int one_window(struct run *run, const uint32_t *text)
{
	const struct tokenizer *tok = engine_model_tokenizer(run->model);
	const unsigned int first = run->window / 2;
	uint32_t *tokens = malloc(run->window * sizeof(*tokens));
	struct engine_seq *seq = NULL;
	int r = tokens ? engine_seq_new(run->model, &seq) : -ENOMEM;

	if (!r)
		r = engine_seq_reserve(seq, run->window);
	if (!r)
		memcpy(tokens, text, run->window * sizeof(*tokens));
	if (!r && tok_add_bos(tok))
		tokens[0] = tok_bos(tok);
	for (unsigned int at = 0; !r && at < run->window; at += STEP_TOKENS) {
		const unsigned int count = MIN(STEP_TOKENS, run->window - at);
		struct engine_item item = {
			.seq = seq, .tokens = tokens + at, .count = count,
			.logits_from = first > at ? MIN(first - at, count) : 0,
		};

		r = engine_step(run->model, &item, 1);
		if (!r)
			take_step(run, &item, tokens, at);
	}
	if (seq)
		engine_seq_free(seq);
	free(tokens);
	return r;
}

static int read_tokens(struct run *run)
{
	_cleanup_free_ char *text = malloc(TEXT_MAX);
	FILE *file = fopen(run->text_path, "re");
	size_t len;
	int r;

	if (!text || !file) {
		if (file)
			fclose(file);
		return fail(run->text_path, strerror(errno));
	}
	len = fread(text, 1, TEXT_MAX, file);
	fclose(file);
	r = tok_encode(engine_model_tokenizer(run->model), text, len, TOK_BOS, SIZE_MAX,
		       &run->tokens);
	return r < 0 ? fail(run->text_path, strerror(-r)) : 0;
}

static int load(struct run *run)
{
	struct error error = { "" };
	int r;

	run->config.max_seqs = 1;
	run->config.batch_tokens = STEP_TOKENS;
	run->config.logits_rows = STEP_TOKENS;
	run->config.context = run->window;
	r = engine_new(&run->engine, &run->config, &error);
	if (!r)
		r = engine_model_load(run->engine, run->model_path, &run->model, &error);
	if (r < 0)
		return fail(run->model_path, error.text);
	engine_model_info(run->model, &run->info);
	if (!engine_model_tokenizer(run->model))
		return fail(run->model_path, "no tokenizer");
	if (run->info.context_used < run->window)
		return fail(run->model_path, "the window is longer than its context");
	return 0;
}

static int open_output(const char *path, FILE **ret)
{
	if (!path)
		return 0;
	*ret = fopen(path, "we");
	return *ret ? 0 : fail(path, strerror(errno));
}

static int close_output(const char *path, FILE **file)
{
	const bool is_bad = *file && (ferror(*file) | fclose(*file));

	*file = NULL;
	return is_bad ? fail(path, "cannot be written") : 0;
}

static int measure(struct run *run)
{
	const size_t there = run->tokens.count / run->window;
	double mean, error;

	if (!there)
		return fail(run->text_path, "less than one window");
	if (run->windows > there || !run->windows)
		run->windows = (unsigned int)there;
	if (open_output(run->logits_path, &run->logits) < 0 ||
	    open_output(run->nll_path, &run->nll) < 0)
		return -1;
	for (unsigned int i = 0; i < run->windows; i++) {
		const int r = one_window(run, run->tokens.ids + (size_t)i * run->window);

		if (r < 0)
			return fail("a step", strerror(-r));
		if (close_output(run->logits_path, &run->logits) < 0)
			return -1;
		mean = run->sum / (double)run->count;
		fprintf(stderr, "\r%u of %u: %.4f ", i + 1, run->windows, exp(mean));
	}
	if (close_output(run->nll_path, &run->nll) < 0)
		return -1;
	mean = run->sum / (double)run->count;
	error = sqrt((run->squares / (double)run->count - mean * mean) /
		     (double)(run->count - 1));
	fprintf(stderr, "\r");
	printf("perplexity %.6f error %.6f tokens %zu counted %lu windows %u isa %s\n", exp(mean),
	       exp(mean) * error, run->tokens.count, run->count, run->windows,
	       engine_isa(run->engine));
	return 0;
}

static int parse(struct run *run, int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "t:i:k:c:n:l:p:")) != -1) {
		switch (option) {
		case 't': run->config.threads = (unsigned int)atoi(optarg); break;
		case 'i': run->config.isa = optarg; break;
		case 'k': run->config.kv_type = optarg; break;
		case 'c': run->window = (unsigned int)atoi(optarg); break;
		case 'n': run->windows = (unsigned int)atoi(optarg); break;
		case 'l': run->logits_path = optarg; break;
		case 'p': run->nll_path = optarg; break;
		default: return -1;
		}
	}
	if (argc - optind != 2 || run->window < 4)
		return fail("usage", "perplexity [-t THREADS] [-i ISA] [-k KV_TYPE] [-c WINDOW] "
				     "[-n WINDOWS] [-l LOGITS] [-p NLL] MODEL TEXT");
	run->model_path = argv[optind];
	run->text_path = argv[optind + 1];
	return 0;
}

int main(int argc, char **argv)
{
	struct run run = { .window = 512 };
	int r = parse(&run, argc, argv);

	if (!r)
		r = load(&run);
	if (!r)
		r = read_tokens(&run);
	if (!r)
		r = measure(&run);
	free(run.tokens.ids);
	engine_model_free(run.model);
	engine_free(run.engine);
	return r < 0;
}
