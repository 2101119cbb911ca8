/* SPDX-License-Identifier: MIT */
/*
 * llmos_exact: how far the engine's logits are from the exact ones, for any model file and text.
 *
 *	llmos_exact [-c CONTEXT] [-i ISA] [-k f32|f16|auto] [-o FILE] [-e FILE] MODEL TOKEN...
 *	llmos_exact ... -t TEXT MODEL
 *
 * Prints the relative rms of the logits behind all tokens. -o writes the exact ones as float64, -e
 * the engine's as float32, both (tokens, vocabulary). Not installed.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "model/gguf.h"
#include "tests/numeric/exact.h"

#define TOKENS_MAX	4096

struct options {
	struct engine_config config;
	const char *exact_path, *engine_path, *text, *model;
};

static int fail(const char *what, const char *why)
{
	fprintf(stderr, "llmos_exact: %s: %s\n", what, why);
	return 1;
}

static int write_all(const char *path, const void *data, size_t bytes)
{
	FILE *file = path ? fopen(path, "wb") : NULL;
	bool is_written;

	if (!path)
		return 0;
	is_written = file && fwrite(data, 1, bytes, file) == bytes;
	if (file)
		is_written = !fclose(file) && is_written;
	return is_written ? 0 : fail(path, strerror(errno));
}

/* run() - all tokens in one step; the engine's logits, then the exact ones, then both compared */
static int run(const struct options *o, struct engine_model *model, const uint32_t *tokens,
	       size_t count)
{
	struct engine_model_info info;
	struct engine_item item = { .tokens = tokens, .count = (unsigned int)count };
	double *exact;
	size_t vocab = 0;
	int r;

	engine_model_info(model, &info);
	if (engine_seq_new(model, &item.seq) < 0 ||
	    engine_seq_reserve(item.seq, item.count) < 0 || engine_step(model, &item, 1) < 0)
		return fail(o->model, "the engine refuses these tokens");
	exact = exact_logits(engine_model_gguf(model), tokens, count, info.context_used, &vocab);
	if (!exact || vocab != info.vocab) {
		free(exact);
		return fail(o->model, "not known exactly");
	}
	r = write_all(o->exact_path, exact, count * vocab * sizeof(*exact));
	if (!r)
		r = write_all(o->engine_path, item.logits, count * vocab * sizeof(*item.logits));
	printf("%s %s: relative rms %.3e of %zu tokens' logits\n", info.arch, info.weights,
	       exact_rms(item.logits, exact, count * vocab), count);
	free(exact);
	engine_seq_free(item.seq);
	return r;
}

static int load_and_run(const struct options *o, char **words)
{
	_cleanup_(engine_freep) struct engine *engine = NULL;
	_cleanup_(engine_model_freep) struct engine_model *model = NULL;
	struct tok_ids ids = { 0 };
	struct error error = { 0 };
	int r;

	if (engine_new(&engine, &o->config, &error) < 0 ||
	    engine_model_load(engine, o->model, &model, &error) < 0)
		return fail(o->model, error.text);
	if (o->text && !engine_model_tokenizer(model))
		return fail(o->model, "has no vocabulary");
	if (o->text && tok_encode(engine_model_tokenizer(model), o->text, strlen(o->text), TOK_BOS,
				  TOKENS_MAX, &ids) < 0)
		return fail(o->model, "can't encode the text");
	if (!o->text)
		ids.ids = calloc(TOKENS_MAX, sizeof(*ids.ids));
	for (; !o->text && ids.ids && *words && ids.count < TOKENS_MAX; words++)
		ids.ids[ids.count++] = (uint32_t)strtoul(*words, NULL, 10);
	r = ids.count ? run(o, model, ids.ids, ids.count) : fail(o->model, "no tokens");
	free(ids.ids);
	return r;
}

int main(int argc, char **argv)
{
	struct options o = {
		.config = { .batch_tokens = TOKENS_MAX, .logits_rows = TOKENS_MAX, .max_seqs = 1 },
	};
	int c;

	while ((c = getopt(argc, argv, "c:i:k:o:e:t:")) >= 0) {
		switch (c) {
		case 'c':
			o.config.context = (unsigned int)strtoul(optarg, NULL, 10);
			break;
		case 'i':
			o.config.isa = optarg;
			break;
		case 'k':
			o.config.kv_type = optarg;
			break;
		case 'o':
			o.exact_path = optarg;
			break;
		case 'e':
			o.engine_path = optarg;
			break;
		case 't':
			o.text = optarg;
			break;
		default:
			return 2;
		}
	}
	if (optind >= argc)
		return fail("usage", "llmos_exact [OPTION...] MODEL TOKEN...");
	o.model = argv[optind];
	return load_and_run(&o, argv + optind + 1);
}
