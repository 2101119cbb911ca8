/* SPDX-License-Identifier: MIT */
/*
 * Fuzzes what sentence-transformers keeps beside a model. The texts up to each of four NULs are
 * modules.json, the settings of the pooling or the score, those of a text's length, and the
 * tokenizer's; what follows them are those of all. A folder that is accepted must be one in this
 * folder, a pooling one that there is.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "model/hub_modules.h"
#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition)
{
	if (!condition)
		abort();
}

static void check_folder(const char *name)
{
	require(!name || (*name && *name != '.' && !strchr(name, '/')));
}

/* the next text, NULL where it is no JSON; @data moves behind it */
static json_t *next(const uint8_t **data, size_t *size)
{
	const uint8_t *end = *size ? memchr(*data, 0, *size) : NULL;
	const size_t len = end ? (size_t)(end - *data) : *size;
	json_t *json = NULL;

	json_parse(&json, (const char *)*data, len, JSON_CONFIG_MAX, "fuzz", NULL);
	*data += end ? len + 1 : len;
	*size -= end ? len + 1 : len;
	return json;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	json_t *list = next(&data, &size), *pooling = next(&data, &size);
	json_t *sentence = next(&data, &size), *tokenizer = next(&data, &size);
	json_t *settings = next(&data, &size);
	struct hub_modules modules = { 0 };
	struct hub_module_paths paths = { 0 };

	hub_modules_read(list, &paths, NULL);
	require(!paths.pooling || !paths.score);
	check_folder(paths.pooling);
	check_folder(paths.score);
	if (!hub_score_read(pooling, &modules.score, NULL))
		require(modules.score.is_said);
	if (!hub_pooling_read(pooling, &modules.pooling, NULL))
		require(modules.pooling >= MODEL_POOL_MEAN && modules.pooling <= MODEL_POOL_LAST);
	hub_sentence_read(&modules, sentence, tokenizer, NULL);
	hub_activation_read(&modules, settings);
	require(!strchr(modules.activation, '.'));
	json_decref(list);
	json_decref(pooling);
	json_decref(sentence);
	json_decref(tokenizer);
	json_decref(settings);
	return 0;
}
