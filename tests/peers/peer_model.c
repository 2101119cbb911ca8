/* SPDX-License-Identifier: MIT */
/*
 * What the engine makes of a model, for scripts that compare it with other programs:
 *
 *   peer_model ids MODEL      texts from stdin, each ended by a NUL, to a line of token ids each
 *   peer_model logits MODEL [CONTEXT]
 *                             token ids from stdin to their logits, (count, vocab) float32, on stdout
 *
 * MODEL is a GGUF file or a hub's folder. Control tokens that are spelled out in a text are read as
 * such, and what the model wants around a text is put there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "engine/engine.h"
#include "model/hub.h"
#include "tokenizer/tokenizer.h"

#define BATCH	64	/* tokens of a step */

static int fail(const struct error *error)
{
	fprintf(stderr, "peer_model: %s\n", error->text);
	return 1;
}

static char *read_all(size_t *ret_len)
{
	size_t capacity = 1 << 16, len = 0, n;
	char *text = malloc(capacity);

	while (text && (n = fread(text + len, 1, capacity - len, stdin))) {
		len += n;
		if (len == capacity)
			text = realloc(text, capacity *= 2);
	}
	*ret_len = len;
	return text;
}

static int print_ids(const char *path)
{
	_cleanup_free_ char *text = NULL;
	struct tokenizer *tok = NULL;
	struct error error = { "" };
	struct gguf *gguf = NULL;
	size_t len, at = 0;
	int r = model_file_open(&gguf, path, &error);

	if (r >= 0)
		r = tok_new(&tok, gguf, &error);
	gguf_free(gguf);
	if (r < 0)
		return fail(&error);
	text = read_all(&len);
	while (text && at < len) {
		size_t n = strnlen(text + at, len - at);
		struct tok_ids ids = { 0 };

		r = tok_encode(tok, text + at, n, TOK_BOS | TOK_SPECIAL, SIZE_MAX, &ids);
		if (r < 0)
			printf("error %d", r);
		for (size_t i = 0; r >= 0 && i < ids.count; i++)
			printf("%s%" PRIu32, i ? " " : "", ids.ids[i]);
		printf("\n");
		free(ids.ids);
		at += n + 1;
	}
	tok_free(tok);
	return text ? 0 : 1;
}

static int print_logits(const char *path, unsigned int context)
{
	const struct engine_config config = { .threads = 1, .kv_type = "f32", .context = context,
					      .batch_tokens = BATCH, .logits_rows = BATCH };
	struct engine_model_info info;
	struct engine_model *model = NULL;
	struct engine *engine = NULL;
	struct engine_seq *seq = NULL;
	struct error error = { "" };
	uint32_t ids[1024];
	unsigned int count = 0;
	int r;

	while (count < ARRAY_SIZE(ids) && scanf("%" SCNu32, &ids[count]) == 1)
		count++;
	r = engine_new(&engine, &config, &error);
	if (r >= 0)
		r = engine_model_load(engine, path, &model, &error);
	if (r < 0)
		return fail(&error);
	engine_model_info(model, &info);
	r = engine_seq_new(model, &seq);
	if (r >= 0)
		r = engine_seq_reserve(seq, count);
	for (unsigned int at = 0; r >= 0 && at < count; at += BATCH) {
		struct engine_item item = { .seq = seq, .tokens = ids + at,
					    .count = MIN(count - at, (unsigned int)BATCH) };

		r = engine_step(model, &item, 1);
		if (r >= 0)
			fwrite(item.logits, sizeof(float) * info.vocab, item.count, stdout);
	}
	if (r < 0)
		fprintf(stderr, "peer_model: %s\n", strerror(-r));
	engine_seq_free(seq);
	engine_model_free(model);
	engine_free(engine);
	return r < 0 || ferror(stdout);
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "ids"))
		return print_ids(argv[2]);
	if ((argc == 3 || argc == 4) && !strcmp(argv[1], "logits"))
		return print_logits(argv[2], argc == 4 ? (unsigned int)strtoul(argv[3], NULL, 10) : 0);
	fprintf(stderr, "usage: peer_model ids MODEL | logits MODEL [CONTEXT]\n");
	return 64;
}
