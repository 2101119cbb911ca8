/* SPDX-License-Identifier: MIT */
/*
 * How a family of chat templates spells a conversation, as data: what stands before and after the
 * text of each role, and what becomes of a system message. Found out from the template's program
 * once, when the tokenizer is built; belongs to the tokenizer.
 */
#ifndef LLMOS_TOKENIZER_CHAT_STYLE_H
#define LLMOS_TOKENIZER_CHAT_STYLE_H

#include "tokenizer/chat.h"

#define CHAT_ROLES	3

enum chat_system {
	CHAT_SYSTEM_TURN,		/* a turn of its own */
	CHAT_SYSTEM_FIRST_USER,		/* in front of the first user message */
	CHAT_SYSTEM_LAST_USER,		/* in front of the last message, if that is the user's */
	CHAT_SYSTEM_HEAD,		/* before all turns, without words around it */
	CHAT_SYSTEM_REFUSED,
};

/** struct chat_turn - before, the text, after, the end token, rest; NULL: nothing */
struct chat_turn {
	const char *before, *after, *rest;
	bool has_eos;
	bool is_trimmed;		/* white space around the text goes */
};

/** chat_system_is_apart() - is the system message no part of a question? */
static inline bool chat_system_is_apart(enum chat_system system)
{
	return system == CHAT_SYSTEM_TURN || system == CHAT_SYSTEM_HEAD;
}

struct chat_style {
	enum chat_template tmpl;
	struct chat_turn turns[CHAT_ROLES];
	const char *prompt;		/* after the last message: the assistant's turn begins */
	const char *first_system;	/* replaces before for a system message that comes first */
	char *default_system;		/* where the first message is none; NULL: there is none */
	enum chat_system system;
	bool has_bos;
	bool bos_each_turn;		/* of the user */
	bool alternates;		/* user, assistant, user, ... or it can't be spelled */
	bool trims_joined;		/* system and user text are trimmed as one */
	bool skips_empty_system;
	bool drops_thoughts;		/* of answers before the last question, but in a session */
	bool drops_last_thoughts;	/* and of those behind it */
	bool keeps_lines;		/* between a thought that is left out and the answer */
};

/**
 * chat_style_load() - the style of a model file's template
 *
 * Return: 0, also where there is no template or it is not recognised (tmpl says so); -ENOMEM.
 */
int chat_style_load(struct chat_style *style, const struct gguf *gguf);
/** chat_style_default() - the most common spelling of a family */
struct chat_style chat_style_default(enum chat_template tmpl);
static inline void chat_style_free(struct chat_style *style)
{
	free(style->default_system);
	style->default_system = NULL;
}

#endif /* LLMOS_TOKENIZER_CHAT_STYLE_H */
