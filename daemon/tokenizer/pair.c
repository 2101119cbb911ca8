/* SPDX-License-Identifier: MIT */
/* Two texts by the words of a template; see pair.h. */
#include "tokenizer/pair.h"

#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/script.h"

static const char query_place[] = "{query}", text_place[] = "{document}";

void pair_free(struct pair_words *pair)
{
	if (!pair)
		return;
	free(pair->before);
	free(pair->end.ids);
	free(pair);
}

/* false: it is no template for two texts */
static bool split(struct pair_words *pair)
{
	char *query = strstr(pair->before, query_place);
	char *text = query ? strstr(query, text_place) : NULL;

	if (!text)
		return false;
	pair->between = query + strlen(query_place);
	pair->behind = text + strlen(text_place);
	pair->before_len = (size_t)(query - pair->before);
	pair->between_len = (size_t)(text - pair->between);
	pair->behind_len = strlen(pair->behind);
	*query = *text = 0;
	/* a place of its own for each */
	return !strstr(pair->before, text_place) && !strstr(pair->between, query_place) &&
	       !strstr(pair->behind, query_place) && !strstr(pair->behind, text_place);
}

static int encode_end(struct tokenizer *tok, struct pair_words *pair)
{
	_cleanup_(script_done) struct script script = { .tok = tok };
	int r = script_add_words(&script, pair->behind, pair->behind_len);

	return r < 0 ? r : tok_encode_parts(tok, script.parts, script.count, SIZE_MAX, &pair->end);
}

int pair_load(struct tokenizer *tok, const struct gguf *gguf)
{
	struct gguf_string words;
	struct pair_words *pair;
	int r = gguf_get_string(gguf, TOK_KEY_PAIR, &words);

	if (r == -ENOENT)
		return 0;
	tok->no_pairs = true;
	if (r < 0 || words.len > PAIR_WORDS_MAX || memchr(words.data, 0, words.len) ||
	    !utf8_valid(words.data, words.len))
		return 0;
	pair = calloc(1, sizeof(*pair));
	if (pair)
		pair->before = strndup(words.data, words.len);
	if (!pair || !pair->before) {
		pair_free(pair);
		return -ENOMEM;
	}
	r = split(pair) ? encode_end(tok, pair) : -EINVAL;
	if (r < 0) {
		pair_free(pair);
		return r == -ENOMEM ? r : 0;
	}
	tok->pair = pair;
	tok->no_pairs = false;
	return 0;
}

bool tok_has_pair_words(const struct tokenizer *tok)
{
	return tok->pair;
}

const uint32_t *tok_pair_end(const struct tokenizer *tok, size_t *ret_count)
{
	*ret_count = tok->pair->end.count;
	return tok->pair->end.ids;
}

/* a text of the caller's */
static int add_said(struct script *script, const char *text, size_t len, unsigned int flags)
{
	return flags & TOK_SPECIAL ? script_add_words(script, text, len) :
				     script_add_text(script, text, len);
}

int tok_encode_pair(const struct tokenizer *tok, const char *query, size_t query_len,
		    const char *text, size_t len, unsigned int flags, size_t max,
		    struct tok_ids *ids)
{
	_cleanup_(script_done) struct script script = { .tok = tok };
	const struct pair_words *pair = tok->pair;
	int r = script_add_words(&script, pair->before, pair->before_len);

	if (r >= 0)
		r = add_said(&script, query, query_len, flags);
	if (r >= 0)
		r = script_add_words(&script, pair->between, pair->between_len);
	if (r >= 0)
		r = add_said(&script, text, len, flags);
	if (r >= 0)
		r = script_add_words(&script, pair->behind, pair->behind_len);
	return r < 0 ? r : tok_encode_parts(tok, script.parts, script.count, max, ids);
}
