/* SPDX-License-Identifier: MIT */
/*
 * tokenizer.json to the keys that a GGUF file would have for the same tokenizer. What it describes
 * must be one of the kinds that the tokenizers know, in every part that changes an id: a part that is
 * not known is an error that names it, never a guess. The files are hostile.
 */
#ifndef LLMOS_MODEL_TOKENIZER_JSON_H
#define LLMOS_MODEL_TOKENIZER_JSON_H

#include "model/gguf_build.h"
#include "model/json.h"

#define TOKENIZER_JSON		"tokenizer.json"
#define TOKENIZER_JSON_MAX	(64U << 20)	/* bytes; vocabularies of 260,000 tokens take 34 MB */

/**
 * struct tokenizer_files - what hubs have about a tokenizer; NULL: a file is not there
 * @tokenizer: tokenizer.json
 * @settings: tokenizer_config.json
 * @specials: special_tokens_map.json
 * @generation: generation_config.json
 * @config: config.json, which is not owned
 * @chat: chat_template.jinja, (chat_len) bytes
 */
struct tokenizer_files {
	json_t *tokenizer;
	json_t *settings;
	json_t *specials;
	json_t *generation;
	const json_t *config;
	char *chat;
	size_t chat_len;
};

/** tokenizer_files_read() - all that are there; errors as json_read() */
int tokenizer_files_read(struct tokenizer_files *files, const char *folder, const json_t *config,
			 struct error *error);
void tokenizer_files_done(struct tokenizer_files *files);

/**
 * tokenizer_json_load() - add the keys
 * @n_vocab: rows of the embedding; ids that are missing are tokens that nothing becomes. 0: as many
 *	as there are
 *
 * Return: 0; -EBADMSG a file is broken (the text says where), -EOPNOTSUPP a kind of tokenizer, or a
 * part of one, that is not supported, -ENOMEM.
 */
int tokenizer_json_load(struct gguf *gguf, const struct tokenizer_files *files, uint32_t n_vocab,
			struct error *error);

#endif /* LLMOS_MODEL_TOKENIZER_JSON_H */
