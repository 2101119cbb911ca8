/* SPDX-License-Identifier: MIT */
/*
 * Chat templates: how a conversation is spelled for a model. The template programs in model files
 * are never run; the well-known formats are recognised by what they contain, and rendered here.
 */
#ifndef LLMOS_TOKENIZER_CHAT_H
#define LLMOS_TOKENIZER_CHAT_H

#include "tokenizer/tokenizer.h"

enum chat_template {
	CHAT_NONE,		/* the file has no template */
	CHAT_UNKNOWN,		/* it has one that is not recognised */
	CHAT_CHATML,
	CHAT_SMOLLM2,		/* ChatML with a default system message */
	CHAT_LLAMA2,
	CHAT_LLAMA3,
	CHAT_MISTRAL,
	CHAT_GEMMA,
	CHAT_PHI3,
	CHAT_ZEPHYR,
	CHAT_PHI4,		/* ChatML with another token between role and text */
	CHAT_DEEPSEEK,		/* R1, and what was distilled from it */
};

enum chat_role { CHAT_SYSTEM = 0, CHAT_USER = 1, CHAT_ASSISTANT = 2 };	/* as enum llm_role */

struct chat_message {
	enum chat_role role;
	const char *text;
	size_t len;
};

/** chat_detect() - recognise the template of a model file */
enum chat_template chat_detect(const struct gguf *gguf);
const char *chat_name(enum chat_template tmpl);		/* "chatml"; "" for CHAT_NONE, "unknown" */

/**
 * chat_encode() - append the ids of a conversation, ready for the assistant to speak
 *
 * Text of the messages is never parsed for special tokens: a user can't forge a turn. The begin
 * token is put in front where the template has it. Of answers before the last question, thoughts up
 * to "</think>" are left out where the template does so (Qwen 3; DeepSeek R1, of all answers); a
 * session keeps them.
 *
 * Return: 0; -EINVAL roles in an order that the template can't express, -EILSEQ, -E2BIG as
 * tok_encode(), -EOPNOTSUPP CHAT_NONE and CHAT_UNKNOWN.
 */
int chat_encode(enum chat_template tmpl, const struct tokenizer *tok,
		const struct chat_message *messages, size_t count, size_t max, struct tok_ids *ids,
		struct error *error);

/**
 * chat_encode_next() - append the ids of the next turns of a conversation that ends with an answer
 * @last: the last token of that conversation
 * @messages: what is said now; the user's first, where the template wants them in turn
 *
 * If @last ends an answer it stands for whatever the template has there; else the answer was cut
 * off, and what the template puts behind one comes first. Nothing that stands at the beginning of a
 * conversation alone is put in. Where a template writes one turn behind the other, the ids are
 * those that chat_encode() has there for all of the conversation.
 *
 * Return: as chat_encode().
 */
int chat_encode_next(enum chat_template tmpl, const struct tokenizer *tok, uint32_t last,
		     const struct chat_message *messages, size_t count, size_t max,
		     struct tok_ids *ids, struct error *error);
/**
 * chat_find_head() - the tokens of a conversation that the rest of it rests on
 * @ids: of a conversation, or of its beginning (count)
 * @ret: number of them: those before the first question; where the template puts the system message
 *	into that, as text that no token tells from the question's, all of the first question. 0:
 *	they were not found, or the system message stands elsewhere
 *
 * Return: 0 or -ENOMEM.
 */
int chat_find_head(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		   size_t count, size_t *ret);
/**
 * chat_find_system() - the same, without a question: what stands before the first one
 * @ret: 0 also where the template puts the system message into the first question
 *
 * Return: 0 or -ENOMEM.
 */
int chat_find_system(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		     size_t count, size_t *ret);
/**
 * chat_check_session() - can a conversation that begins so be gone on with turn by turn?
 *
 * Return: 0; -EOPNOTSUPP the template would spell what has been said in another way later.
 */
int chat_check_session(enum chat_template tmpl, const struct tokenizer *tok,
		       const struct chat_message *messages, size_t count, struct error *error);

#endif /* LLMOS_TOKENIZER_CHAT_H */
