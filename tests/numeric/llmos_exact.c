/* SPDX-License-Identifier: MIT */
/*
 * llmos_exact: how far the engine's logits are from the exact ones, for any model file and text.
 *
 *	llmos_exact [-c CONTEXT] [-i ISA] [-k f32|f16|auto] [-a ADAPTER[=SCALE]]... [-o FILE] [-e FILE]
 *		MODEL TOKEN...
 *	llmos_exact ... -t TEXT MODEL
 *
 * Prints the relative rms of the logits behind all tokens. -o writes the exact ones as float64, -e
 * the engine's as float32, both (tokens, vocabulary). -a adds an adapter, a GGUF file or a folder of
 * PEFT, whose tensors must be named as the model's are. Not installed.
 */
#include <getopt.h>
#include <stdio.h>
#include <string.h>

#include "engine/engine.h"
#include "model/gguf.h"
#include "model/lora_internal.h"
#include "tests/numeric/exact.h"

#define TOKENS_MAX	4096

struct options {
	struct engine_config config;
	const char *exact_path, *engine_path, *text, *model;
	char *adapters[ENGINE_ADAPTERS_MAX];
	unsigned int adapter_count;
};

/** struct adapters - of both: loaded, and as files */
struct adapters {
	struct engine_adapter *loaded[ENGINE_ADAPTERS_MAX];
	struct engine_adapter_use uses[ENGINE_ADAPTERS_MAX];
	struct lora_file files[ENGINE_ADAPTERS_MAX];
	struct exact_adapter exact[ENGINE_ADAPTERS_MAX];
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

static void adapters_close(struct adapters *a)
{
	for (unsigned int i = 0; i < ENGINE_ADAPTERS_MAX; i++) {
		engine_adapter_free(a->loaded[i]);
		lora_file_close(&a->files[i]);
	}
}

/* adapters_open() - each for the engine, and its file for the exact pass; 0 or -errno */
static int adapters_open(const struct options *o, struct engine_model *model, const char *arch,
			 struct adapters *a, struct error *error)
{
	for (unsigned int i = 0; i < o->adapter_count; i++) {
		char *path = o->adapters[i], *scale = strrchr(path, '=');
		struct lora_file *file = &a->files[i];
		int r;

		if (scale)
			*scale++ = '\0';
		a->exact[i].scale = scale ? strtod(scale, NULL) : 1;
		r = engine_adapter_load(model, path, &a->loaded[i], error);
		if (r >= 0)
			r = lora_file_open(file, path, arch, error);
		if (r < 0)
			return r;
		a->exact[i].gguf = file->gguf;
		a->exact[i].scales = file->scales;
		a->uses[i].adapter = a->loaded[i];
		a->uses[i].scale = (float)a->exact[i].scale;
	}
	return 0;
}

/* run() - all tokens in one step; the engine's logits, then the exact ones, then both compared */
static int run(const struct options *o, struct engine_model *model, const uint32_t *tokens,
	       size_t count)
{
	_cleanup_(adapters_close) struct adapters adapters = { 0 };
	struct engine_model_info info;
	struct engine_item item = {
		.tokens = tokens, .count = (unsigned int)count, .adapters = adapters.uses,
		.adapter_count = o->adapter_count,
	};
	struct error error = { 0 };
	double *exact;
	size_t vocab = 0;
	int r;

	engine_model_info(model, &info);
	if (adapters_open(o, model, info.arch, &adapters, &error) < 0)
		return fail(o->model, error.text);
	if (engine_seq_new(model, &item.seq) < 0 ||
	    engine_seq_reserve(item.seq, item.count) < 0 || engine_step(model, &item, 1) < 0)
		return fail(o->model, "the engine refuses these tokens");
	exact = exact_logits_adapted(engine_model_gguf(model), adapters.exact, o->adapter_count,
				     tokens, count, info.context_used, &vocab);
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

	while ((c = getopt(argc, argv, "a:c:i:k:o:e:t:")) >= 0) {
		switch (c) {
		case 'a':
			if (o.adapter_count == ENGINE_ADAPTERS_MAX)
				return fail(optarg, "one adapter too many");
			o.adapters[o.adapter_count++] = optarg;
			break;
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
