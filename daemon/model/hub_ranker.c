/* SPDX-License-Identifier: MIT */
/* Decoders that rank; see hub_ranker.h. */
#include "model/hub_ranker.h"

#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/mapped.h"
#include "model/model.h"

#define CARD		"README.md"
#define CARD_MAX	(64U << 10)	/* bytes of it that are read */

/* what Qwen3-Reranker was trained with, by its authors' card, and llama.cpp's converter has it */
static const char qwen3_words[] =
	"<|im_start|>system\nJudge whether the Document meets the requirements based on the Query "
	"and the Instruct provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n"
	"<|im_start|>user\n<Instruct>: Given a web search query, retrieve relevant passages that "
	"answer the query\n<Query>: {query}\n<Document>: {document}<|im_end|>\n"
	"<|im_start|>assistant\n<think>\n\n</think>\n\n";
/* of a chat template that has them for roles of a query and a document */
static const char qwen3_mark[] = "Judge whether the Document meets the requirements";
static const char qwen3_name[] = "qwen3-reranker";

/* ---- whether it is one ---- */

/* its folder's name, or the title of the card in it */
static bool is_named(const char *folder)
{
	const char *name = strrchr(folder, '/');

	return strcasestr(name ? name + 1 : folder, qwen3_name);
}

static int read_card(const char *folder, bool *ret, struct error *error)
{
	_cleanup_free_ char *text = NULL;
	struct error why = { "" };
	struct mapped card = { 0 };
	char path[PATH_MAX];
	struct stat st;
	size_t len;
	int r;

	if (snprintf(path, sizeof(path), "%s/" CARD, folder) >= (int)sizeof(path) ||
	    stat(path, &st) < 0 || !S_ISREG(st.st_mode) || !st.st_size)
		return 0;
	r = mapped_open_read(&card, path, error);
	if (r < 0)
		return r;
	len = MIN(card.size_bytes, (size_t)CARD_MAX);
	r = mapped_fill(&card, 0, len, &why);
	text = r < 0 ? NULL : strndup(card.data, len);
	mapped_close(&card);
	if (r < 0)
		return error_set(error, r, "'" CARD "': %s", why.text);
	if (!text)
		return error_set(error, -ENOMEM, "'" CARD "': %s", strerror(ENOMEM));
	for (const char *line = text; line && !*ret; line = strchr(line, '\n')) {
		line += *line == '\n';
		*ret = !strncmp(line, "# ", 2) &&
		       !strncasecmp(line + 2, qwen3_name, strlen(qwen3_name));
	}
	return 0;
}

int hub_ranker_find(struct hub_config *c, struct hub_ranker *ranker, const struct hub_score *score,
		    const char *folder)
{
	int r = 0;

	if (c->arch->kind != HUB_DECODER || c->is_base) {
		if (score->is_said)
			return error_set(c->error, -EOPNOTSUPP,
					 HUB_MODULES ": 'LogitScore' of a model without an output");
		return 0;
	}
	if (!strcmp(c->arch->arch, "qwen3")) {
		ranker->is_qwen3 = is_named(folder);
		if (!ranker->is_qwen3)
			r = read_card(folder, &ranker->is_qwen3, c->error);
	}
	ranker->score = *score;
	if (score->is_said && c->is_classifier)
		return error_set(c->error, -EOPNOTSUPP,
				 HUB_MODULES ": 'LogitScore' of a model that has labels");
	if (r >= 0 && !c->is_classifier && (ranker->is_qwen3 || score->is_said))
		c->ranker = ranker;
	return r;
}

/* ---- its output ---- */

int hub_ranker_take(const struct hub_config *c, const struct safetensor *output)
{
	if (output->n_dims != 2 || output->shape[1] != c->width)
		return error_set(c->error, -EBADMSG, "tensor '%s' is no matrix of this model",
				 gguf_show((struct gguf_string){ output->name,
								 strlen(output->name) }).text);
	if (c->ranker->output.data)
		return error_set(c->error, -EBADMSG, "the output is there under two names");
	c->ranker->output = *output;
	return 0;
}

static int find_token(const struct hub_config *c, const char *text, uint32_t *ret)
{
	struct gguf_array tokens;

	if (gguf_get_array(c->gguf, "tokenizer.ggml.tokens", &tokens) >= 0 &&
	    tokens.type == GGUF_STRING)
		for (uint64_t i = 0; i < tokens.count; i++)
			if (gguf_string_is(tokens.strings[i], text)) {
				*ret = (uint32_t)i;
				return 0;
			}
	return error_set(c->error, -EBADMSG, "there is no token '%s' to rank by", text);
}

/* what can't be read is an error here, where a listing may look, and not a signal */
static int copy_row(const struct hub_config *c, const char *row, size_t bytes, char *to)
{
	const struct gguf_tensor tensor = { .data = row, .size_bytes = bytes };
	struct error why = { "" };
	int r = gguf_fetch(c->gguf, &tensor, &why);

	if (r < 0)
		return error_set(c->error, r, "the output: %s", why.text);
	memcpy(to, row, bytes);
	return 0;
}

/* rows of the output, as a head of so many labels */
static int add_rows(const struct hub_config *c, const uint32_t *ids, uint32_t count)
{
	const struct safetensor *output = &c->ranker->output;
	const size_t row_bytes = output->size_bytes / output->shape[0];
	char *rows = gguf_alloc(c->gguf, count * row_bytes);
	int r = 0;

	if (!rows)
		return error_set(c->error, -ENOMEM, "%s", strerror(ENOMEM));
	for (uint32_t i = 0; i < count && r >= 0; i++) {
		if (ids[i] >= output->shape[0])
			return error_set(c->error, -EBADMSG,
					 "token %u to rank by is none of %" PRIu64, ids[i],
					 output->shape[0]);
		r = copy_row(c, output->data + ids[i] * row_bytes, row_bytes, rows + i * row_bytes);
	}
	if (r < 0)
		return r;
	r = gguf_add_tensor(c->gguf, "cls.output.weight", (uint32_t)output->type, 2,
			    (const uint64_t[]){ c->width, count }, rows);
	return r < 0 ? error_set(c->error, r, "'cls.output.weight': %s", strerror(-r)) : 0;
}

static int add_labels(const struct hub_config *c, uint32_t count)
{
	static const struct gguf_string names[] = { { "yes", 3 }, { "no", 2 } };
	char key[64];
	int r;

	snprintf(key, sizeof(key), "%s.classifier.output_labels", c->arch->arch);
	r = gguf_add_strings(c->gguf, key, names, count);
	return r < 0 ? error_set(c->error, r, "'%s': %s", key, strerror(-r)) :
		       hub_add_u32(c, "pooling_type", MODEL_POOL_RANK);
}

static int add_head(const struct hub_config *c)
{
	const struct hub_score *score = &c->ranker->score;
	uint32_t ids[] = { score->yes, score->no };
	int r = 0;

	if (!c->ranker->output.data)
		return error_set(c->error, -EBADMSG, "tensor 'lm_head.weight' is missing");
	if (!score->is_said) {
		r = find_token(c, "yes", &ids[0]);
		if (r >= 0)
			r = find_token(c, "no", &ids[1]);
	}
	if (r >= 0)
		r = add_rows(c, ids, score->has_no_other ? 1 : 2);
	if (r >= 0)
		r = hub_labels_add_score(c);
	return r < 0 ? r : add_labels(c, score->has_no_other ? 1 : 2);
}

/* ---- its words ---- */

static bool has_mark(const struct hub_config *c)
{
	struct gguf_string chat;

	return gguf_get_string(c->gguf, "tokenizer.chat_template", &chat) >= 0 &&
	       memmem(chat.data, chat.len, qwen3_mark, strlen(qwen3_mark));
}

int hub_ranker_load(const struct hub_config *c, const struct hub_ranker *ranker)
{
	static const char key[] = "tokenizer.chat_template.rerank";
	int r = c->ranker ? add_head(c) : 0;

	if (r < 0 || (!ranker->is_qwen3 && !(c->ranker && has_mark(c))))
		return r;
	r = gguf_add_string(c->gguf, key, qwen3_words, strlen(qwen3_words));
	return r < 0 ? error_set(c->error, r, "'%s': %s", key, strerror(-r)) : 0;
}
