/* SPDX-License-Identifier: MIT */
/*
 * Spelling a conversation as its model was trained with. The words of a template become tokens of
 * their own where the vocabulary has such tokens; what people wrote is never searched for them. All
 * text between two tokens is encoded as one, whoever wrote which part of it, because that is how
 * it was encoded in training.
 */
#include "tokenizer/chat.h"

#include <string.h>

#include "base/utf8.h"
#include "tokenizer/chat_style.h"
#include "tokenizer/script.h"
#include "tokenizer/work.h"

static const char *const names[] = {
	[CHAT_NONE] = "", [CHAT_UNKNOWN] = "unknown", [CHAT_CHATML] = "chatml",
	[CHAT_SMOLLM2] = "smollm2", [CHAT_LLAMA2] = "llama2", [CHAT_LLAMA3] = "llama3",
	[CHAT_MISTRAL] = "mistral", [CHAT_GEMMA] = "gemma", [CHAT_PHI3] = "phi3",
	[CHAT_ZEPHYR] = "zephyr", [CHAT_PHI4] = "phi4", [CHAT_DEEPSEEK] = "deepseek",
};

static const char *const role_names[] = {
	[CHAT_SYSTEM] = "system", [CHAT_USER] = "user", [CHAT_ASSISTANT] = "assistant",
};

enum chat_template chat_detect(const struct gguf *gguf)
{
	struct chat_style style;
	enum chat_template tmpl;

	if (chat_style_load(&style, gguf) < 0)
		return CHAT_UNKNOWN;
	tmpl = style.tmpl;
	chat_style_free(&style);
	return tmpl;
}

const char *chat_name(enum chat_template tmpl)
{
	return tmpl < ARRAY_SIZE(names) ? names[tmpl] : "unknown";
}

/* ---- the parts of a conversation ---- */

/* words of the template, if there are any */
static int add_words(struct script *script, const char *words)
{
	return words ? script_add_words(script, words, strlen(words)) : 0;
}

/* white space as the templates' trim has it: that of Unicode, and the separators of ASCII */
static bool is_white(uint32_t c)
{
	return (c >= 0x09 && c <= 0x0d) || (c >= 0x1c && c <= 0x20) || c == 0x85 || c == 0xa0 ||
	       c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 || c == 0x2029 ||
	       c == 0x202f || c == 0x205f || c == 0x3000;
}

static void trim_left(const char **text, size_t *len)
{
	while (*len && is_white(utf8_decode(*text))) {
		size_t n = utf8_len(**text);

		*text += n;
		*len -= n;
	}
}

static void trim_right(const char *text, size_t *len)
{
	while (*len) {
		size_t n = 1;

		while (((unsigned char)text[*len - n] & 0xc0) == 0x80)
			n++;
		if (!is_white(utf8_decode(text + *len - n)))
			break;
		*len -= n;
	}
}

/* a system message inside of the user's; @is_last: nothing follows that would stop the trimming */
static int add_system(struct script *script, const struct chat_message *system, bool is_last)
{
	const struct chat_turn *turn = &script->style->turns[CHAT_SYSTEM];
	size_t len = strlen(turn->after);
	int r;

	if (is_last)
		trim_right(turn->after, &len);
	if ((r = add_words(script, turn->before)) < 0 ||
	    (r = script_add_text(script, system->text, system->len)) < 0)
		return r;
	return script_add_text(script, turn->after, len);
}

static int add_turn(struct script *script, const struct chat_message *message,
		    const struct chat_message *system, const char *before)
{
	const struct chat_style *style = script->style;
	const struct chat_turn *turn = &style->turns[message->role];
	const char *text = message->text;
	size_t len = message->len;
	int r;

	if (turn->is_trimmed) {
		trim_right(text, &len);
		if (!system || !style->trims_joined)
			trim_left(&text, &len);
	}
	if ((style->bos_each_turn && message->role == CHAT_USER &&
	     (r = script_add_token(script, tok_bos(script->tok))) < 0) ||
	    (r = add_words(script, before)) < 0)
		return r;
	if (system && (r = add_system(script, system, !len && style->trims_joined)) < 0)
		return r;
	if ((r = script_add_text(script, text, len)) < 0 ||
	    (r = add_words(script, turn->after)) < 0 ||
	    (turn->has_eos && (r = script_add_token(script, tok_eos(script->tok))) < 0))
		return r;
	return add_words(script, turn->rest);
}

/* ---- the conversation ---- */

/* @is_first: nothing was said before it; @turn: even where it is the user's */
static int check_message(const struct chat_style *style, const struct chat_message *message,
			 size_t index, bool is_first, size_t turn, struct error *error)
{
	const char *name = chat_name(style->tmpl);
	bool is_turn = style->system == CHAT_SYSTEM_TURN || message->role != CHAT_SYSTEM;

	if ((unsigned int)message->role >= CHAT_ROLES)
		return error_set(error, -EINVAL, "message %zu has the unknown role %u", index + 1,
				 (unsigned int)message->role);
	if (message->role == CHAT_SYSTEM && style->system == CHAT_SYSTEM_REFUSED)
		return error_set(error, -EINVAL, "chat template '%s' has no system messages", name);
	if (message->role == CHAT_SYSTEM && style->system != CHAT_SYSTEM_TURN && !is_first)
		return error_set(error, -EINVAL,
				 "chat template '%s' has a system message at the start only", name);
	if (style->alternates && is_turn && !(message->role == CHAT_SYSTEM && is_first) &&
	    message->role != (turn % 2 ? CHAT_ASSISTANT : CHAT_USER))
		return error_set(error, -EINVAL,
				 "chat template '%s' wants user and assistant in turn: message %zu "
				 "is of the %s", name, index + 1, role_names[message->role]);
	if (!utf8_valid(message->text, message->len))
		return error_set(error, -EILSEQ, "message %zu is not UTF-8", index + 1);
	return 0;
}

/* @goes_on: the conversation has begun, and the last word was the assistant's */
static int check_messages(const struct chat_style *style, const struct chat_message *messages,
			  size_t count, bool goes_on, struct error *error)
{
	size_t turn = 0;

	if (!count)
		return error_set(error, -EINVAL, "a conversation without messages");
	for (size_t i = 0; i < count; i++) {
		int r = check_message(style, &messages[i], i, !i && !goes_on, turn, error);

		if (r < 0)
			return r;
		turn += messages[i].role != CHAT_SYSTEM;
	}
	if (!turn && style->system != CHAT_SYSTEM_TURN)
		return error_set(error, -EINVAL,
				 "chat template '%s' wants a user message after that of the system",
				 chat_name(style->tmpl));
	return 0;
}

/* the template's own system message, where the first of the conversation is none */
static bool has_default_system(const struct chat_style *style, const struct chat_message *first)
{
	static const char mark[] = "<<SYS>>";

	if (!style->default_system || first->role == CHAT_SYSTEM)
		return false;
	/* Llama 2 takes one that the user has spelled out for another */
	return style->tmpl != CHAT_LLAMA2 ||
	       !memmem(first->text, first->len, mark, strlen(mark));
}

/* what was said aloud: all that is behind the last thought; @keeps_lines: those between, too */
static struct chat_message without_thoughts(const struct chat_message *message, bool keeps_lines)
{
	static const char end[] = "</think>";
	struct chat_message aloud = *message;
	const char *p;

	while ((p = memmem(aloud.text, aloud.len, end, strlen(end)))) {
		aloud.len -= (size_t)(p + strlen(end) - aloud.text);
		aloud.text = p + strlen(end);
	}
	while (!keeps_lines && aloud.text != message->text && aloud.len && *aloud.text == '\n') {
		aloud.text++;
		aloud.len--;
	}
	return aloud;
}

/* the index behind the last question's */
static size_t behind_question(const struct chat_message *messages, size_t count)
{
	while (count && messages[count - 1].role != CHAT_USER)
		count--;
	return count;
}

/* the index behind the last answer whose thoughts are left out */
static size_t count_dropped(const struct chat_style *style, const struct chat_message *messages,
			    size_t count)
{
	if (!style->drops_thoughts)
		return 0;
	return style->drops_last_thoughts ? count : behind_question(messages, count);
}

/* @own: the template's system message for a user's turn, or NULL */
static int add_messages(struct script *script, const struct chat_message *messages, size_t count,
			const struct chat_message *own)
{
	const struct chat_style *style = script->style;
	const size_t dropped = count_dropped(style, messages, count);
	const struct chat_message *system = own;
	size_t i = 0;
	int r = 0;

	if (style->system != CHAT_SYSTEM_TURN && messages[0].role == CHAT_SYSTEM)
		system = &messages[i++];
	if (style->system == CHAT_SYSTEM_HEAD && system) {
		r = script_add_text(script, system->text, system->len);
		system = NULL;
	}
	for (size_t first = i; r >= 0 && i < count; i++) {
		const struct chat_message *message = &messages[i];
		struct chat_message aloud;
		bool takes = style->system == CHAT_SYSTEM_LAST_USER ? i == count - 1 : i == first;
		const char *before = style->turns[message->role].before;

		if (message->role == CHAT_SYSTEM && !i && style->first_system)
			before = style->first_system;
		if (message->role == CHAT_SYSTEM && style->skips_empty_system && !message->len)
			continue;
		if (message->role == CHAT_ASSISTANT && i < dropped) {
			aloud = without_thoughts(message, style->keeps_lines);
			message = &aloud;
		}
		r = add_turn(script, message,
			     takes && message->role == CHAT_USER ? system : NULL, before);
	}
	return r;
}

static int add_all(struct script *script, const struct chat_message *messages, size_t count)
{
	const struct chat_style *style = script->style;
	struct chat_message own = { 0 };
	int r = 0;

	if (style->has_bos && (r = script_add_token(script, tok_bos(script->tok))) < 0)
		return r;
	if (has_default_system(style, messages)) {
		own = (struct chat_message){ .role = CHAT_SYSTEM, .text = style->default_system,
					     .len = strlen(style->default_system) };
		if (style->system == CHAT_SYSTEM_TURN)
			r = add_turn(script, &own, NULL, style->first_system ?:
				     style->turns[CHAT_SYSTEM].before);
	}
	if (r >= 0)
		r = add_messages(script, messages, count,
				 own.text && style->system != CHAT_SYSTEM_TURN ? &own : NULL);
	return r < 0 ? r : add_words(script, style->prompt);
}

/* ---- what follows in a session ---- */

static bool is_end_part(const struct script *script, const struct tok_part *part)
{
	return part->id != TOK_NONE && tok_is_end(script->tok, part->id);
}

/*
 * What stands behind the assistant's text, as far as the model has not said it itself: with the
 * token that ends its answer it has said all up to where the template has such a token.
 */
static int add_closing(struct script *script, uint32_t last)
{
	const struct chat_turn *turn = &script->style->turns[CHAT_ASSISTANT];
	const size_t first = script->count;
	size_t skip = 0, i;
	int r;

	if ((r = add_words(script, turn->after)) < 0 ||
	    (turn->has_eos && (r = script_add_token(script, tok_eos(script->tok))) < 0))
		return r;
	if (tok_is_end(script->tok, last)) {
		skip = script->count - first;
		for (i = first; i < script->count; i++) {
			if (is_end_part(script, &script->parts[i])) {
				skip = i + 1 - first;
				break;
			}
		}
	}
	memmove(script->parts + first, script->parts + first + skip,
		(script->count - first - skip) * sizeof(*script->parts));
	script->count -= skip;
	return add_words(script, turn->rest);
}

/* the token before is part of it, for it decides how the text behind it is encoded */
static int add_next(struct script *script, uint32_t last, const struct chat_message *messages,
		    size_t count)
{
	const struct chat_style *style = script->style;
	int r = script_add_token(script, last);

	if (r >= 0)
		r = add_closing(script, last);
	for (size_t i = 0; r >= 0 && i < count; i++) {
		if (messages[i].role == CHAT_SYSTEM && style->skips_empty_system &&
		    !messages[i].len)
			continue;
		r = add_turn(script, &messages[i], NULL, style->turns[messages[i].role].before);
	}
	return r < 0 ? r : add_words(script, style->prompt);
}

static int encode_next(const struct script *script, size_t max, struct tok_ids *ids)
{
	const size_t before = ids->count;
	int r = tok_encode_parts(script->tok, script->parts, script->count,
				 max == SIZE_MAX ? max : max + 1, ids);

	if (r < 0)
		return r;
	memmove(ids->ids + before, ids->ids + before + 1,
		(ids->count - before - 1) * sizeof(*ids->ids));
	ids->count--;
	return 0;
}

/* ---- the door ---- */

static int check_template(enum chat_template tmpl, const struct chat_style *style,
			  struct error *error)
{
	if (tmpl == CHAT_NONE || !style->turns[CHAT_USER].before)
		return error_set(error, -EOPNOTSUPP, tmpl == CHAT_NONE ?
				 "the model has no chat template" :
				 "the model's chat template is not known");
	return 0;
}

static int encode_failed(int r, struct error *error)
{
	return error_set(error, r, "can't encode the conversation: %s", strerror(-r));
}

int chat_encode(enum chat_template tmpl, const struct tokenizer *tok,
		const struct chat_message *messages, size_t count, size_t max, struct tok_ids *ids,
		struct error *error)
{
	const struct chat_style other = chat_style_default(tmpl);
	_cleanup_(script_done) struct script script = {
		.tok = tok,
		.style = tok->chat->tmpl == tmpl ? tok->chat : &other,
	};
	int r;

	r = check_template(tmpl, &other, error);
	if (!r)
		r = check_messages(script.style, messages, count, false, error);
	if (r < 0)
		return r;
	r = add_all(&script, messages, count);
	if (r >= 0)
		r = tok_encode_parts(tok, script.parts, script.count, max, ids);
	return r < 0 ? encode_failed(r, error) : 0;
}

int chat_encode_next(enum chat_template tmpl, const struct tokenizer *tok, uint32_t last,
		     const struct chat_message *messages, size_t count, size_t max,
		     struct tok_ids *ids, struct error *error)
{
	const struct chat_style other = chat_style_default(tmpl);
	_cleanup_(script_done) struct script script = {
		.tok = tok,
		.style = tok->chat->tmpl == tmpl ? tok->chat : &other,
	};
	int r;

	r = check_template(tmpl, &other, error);
	if (!r)
		r = check_messages(script.style, messages, count, true, error);
	if (r < 0)
		return r;
	r = add_next(&script, last, messages, count);
	if (r >= 0)
		r = encode_next(&script, max, ids);
	return r < 0 ? encode_failed(r, error) : 0;
}

int chat_check_session(enum chat_template tmpl, const struct tokenizer *tok,
		       const struct chat_message *messages, size_t count, struct error *error)
{
	if (tok->chat->tmpl == tmpl && tok->chat->system == CHAT_SYSTEM_LAST_USER && count &&
	    messages[0].role == CHAT_SYSTEM)
		return error_set(error, -EOPNOTSUPP,
				 "chat template '%s' moves the system message to the last turn: "
				 "a session can't have one", chat_name(tmpl));
	return 0;
}

/* words of the template, without the white space at their ends, which may be one with what follows */
static int encode_mark(const struct tokenizer *tok, const struct chat_style *style,
		       const char *words, struct tok_ids *ids)
{
	_cleanup_(script_done) struct script script = { .tok = tok, .style = style };
	_cleanup_free_ char *mark = NULL;
	size_t len = words ? strlen(words) : 0;
	int r;

	while (len && is_white((unsigned char)words[len - 1]))
		len--;
	while (len && is_white((unsigned char)*words)) {
		words++;
		len--;
	}
	mark = strndup(words ? words : "", len);
	if (!mark)
		return -ENOMEM;
	r = add_words(&script, mark);
	return r < 0 ? r : tok_encode_parts(tok, script.parts, script.count, SIZE_MAX, ids);
}

/* where the first of them begins that is @mark; @count: nowhere */
static size_t find_mark(const uint32_t *ids, size_t count, const struct tok_ids *mark)
{
	for (size_t at = 0; mark->count && at + mark->count <= count; at++)
		if (!memcmp(ids + at, mark->ids, mark->count * sizeof(*ids)))
			return at;
	return count;
}

static const struct chat_style *find_style(enum chat_template tmpl, const struct tokenizer *tok,
					   struct chat_style *other)
{
	*other = chat_style_default(tmpl);
	return tok->chat->tmpl == tmpl ? tok->chat : other;
}

int chat_find_head(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		   size_t count, size_t *ret)
{
	struct chat_style other;
	const struct chat_style *style = find_style(tmpl, tok, &other);
	const bool is_joined = style->system == CHAT_SYSTEM_FIRST_USER;
	const struct chat_turn *question = &style->turns[CHAT_USER];
	struct tok_ids mark = { 0 };
	size_t at;
	int r;

	*ret = 0;
	if (!question->before || (!chat_system_is_apart(style->system) && !is_joined))
		return 0;
	r = encode_mark(tok, style, is_joined ? question->after : question->before, &mark);
	at = r ? count : find_mark(ids, count, &mark);
	if (at < count)
		*ret = is_joined ? at + mark.count : at;
	free(mark.ids);
	return r == -ENOMEM ? r : 0;
}

int chat_find_system(enum chat_template tmpl, const struct tokenizer *tok, const uint32_t *ids,
		     size_t count, size_t *ret)
{
	struct chat_style other;

	*ret = 0;
	if (!chat_system_is_apart(find_style(tmpl, tok, &other)->system))
		return 0;
	return chat_find_head(tmpl, tok, ids, count, ret);
}
