/* SPDX-License-Identifier: MIT */
/* Putting parts one behind the other; see script.h. */
#include "tokenizer/script.h"

#include "tokenizer/work.h"

void script_done(struct script *script)
{
	free(script->parts);
}

static int add_part(struct script *script, struct tok_part part)
{
	int r = tok_grow(&script->parts, &script->capacity, script->count + 1,
			 sizeof(*script->parts));

	if (r < 0)
		return r;
	script->parts[script->count++] = part;
	return 0;
}

int script_add_text(struct script *script, const char *text, size_t len)
{
	return len ? add_part(script, (struct tok_part){ .text = text, .len = len,
							 .id = TOK_NONE }) : 0;
}

int script_add_token(struct script *script, uint32_t id)
{
	return id == TOK_NONE ? 0 : add_part(script, (struct tok_part){ .id = id });
}

int script_add_words(struct script *script, const char *words, size_t len)
{
	size_t pos = 0, at, token_len;
	uint32_t id;
	int r;

	while ((id = specials_find(script->tok, words, len, pos, TOK_SPECIAL, &at)) != TOK_NONE) {
		if ((r = script_add_text(script, words + pos, at - pos)) < 0 ||
		    (r = script_add_token(script, id)) < 0)
			return r;
		tok_text(&script->tok->texts, id, &token_len);
		pos = at + token_len;
	}
	return script_add_text(script, words + pos, len - pos);
}
