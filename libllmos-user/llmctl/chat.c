/* SPDX-License-Identifier: MIT */
/*
 * llmctl chat: a conversation. It lives here, message by message. Where the server has sessions, what
 * was said goes on in one, and only what is new is sent with a question; where it has none, where
 * its template can not go on so, or what was said is not what the session has, all of it is.
 */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "answer.h"
#include "line.h"
#include "llmctl.h"
#include "session.h"
#include "term.h"

/* looks at Ctrl-C this often, should it come just before a wait begins */
#define CHAT_TICK_MS	500

/**
 * struct chat - a conversation
 * @options: of the command line
 * @line: where questions come from
 * @llmos: the connection, NULL: to be made anew
 * @system: what every conversation begins with, owned, or NULL
 * @messages: said so far; texts are owned
 * @count: number of them
 * @session: in which the first @said of them were said, or NULL
 * @no_session: there is none for this conversation
 * @code: exit code of the last thing that went wrong
 * @over: leave
 */
struct chat {
	struct options *options;
	struct line *line;
	struct llmos *llmos;
	char *system;
	struct llmos_message *messages;
	size_t count;
	struct llmos_session *session;
	size_t said;
	bool no_session;
	int code;
	bool over;
};

/* for a person, who can do without it */
static void say(const char *text)
{
	term_write(text, strlen(text));
}

/* ---- messages ---- */

static int chat_add(struct chat *chat, enum llmos_role role, const char *text)
{
	struct llmos_message *grown;
	char *copy = strdup(text);

	grown = copy ? reallocarray(chat->messages, chat->count + 1, sizeof(*grown)) : NULL;
	if (!grown) {
		free(copy);
		return fail(EX_OSERR, "message: %s", strerror(ENOMEM));
	}
	chat->messages = grown;
	grown[chat->count].role = role;
	grown[chat->count++].text = copy;
	return EX_OK;
}

static void chat_drop(struct chat *chat, size_t keep)
{
	while (chat->count > keep)
		free((void *)chat->messages[--chat->count].text);
}

/* it goes on without, or in another one */
static void chat_leave(struct chat *chat)
{
	llmos_session_free(chat->session);
	chat->session = NULL;
	chat->said = 0;
}

static int chat_reset(struct chat *chat)
{
	chat_leave(chat);
	chat->no_session = false;
	chat_drop(chat, 0);
	return chat->system ? chat_add(chat, LLMOS_SYSTEM, chat->system) : EX_OK;
}

static int chat_set_system(struct chat *chat, const char *text)
{
	char *copy = text ? strdup(text) : NULL;

	if (text && !copy)
		return fail(EX_OSERR, "message: %s", strerror(ENOMEM));
	free(chat->system);
	chat->system = copy;
	return chat_reset(chat);
}

static void chat_done(struct chat *chat)
{
	chat_leave(chat);
	chat_drop(chat, 0);
	free(chat->messages);
	free(chat->system);
	llmos_free(chat->llmos);
	line_free(chat->line);
}

/* ---- one question ---- */

/* until the answer ends; Ctrl-C cancels it; its status */
static int chat_wait(const struct chat *chat, struct llmos_request *request)
{
	int r = 0;

	while (!llmos_request_done(request)) {
		if (interrupt_taken())
			llmos_request_cancel(request);
		r = llmos_dispatch(chat->llmos, CHAT_TICK_MS);
		if (r < 0 && r != -EINTR && !llmos_request_done(request))
			return r;
	}
	return llmos_request_wait(request);
}

static int chat_run(struct chat *chat, struct answer *answer)
{
	struct llmos_generate_opts opts = options_generate(chat->options);
	_cleanup_(request_freep) struct llmos_request *request = NULL;
	int r;

	if (!chat->options->class_given)
		opts.sched_class = LLMOS_INTERACTIVE;
	answer_init(answer, chat->options, &opts);
	answer->collect = true;
	opts.session = chat->session;
	r = llmos_chat_start(chat->llmos, &request, chat->messages + chat->said,
			     chat->count - chat->said, &opts);
	return r < 0 ? r : chat_wait(chat, request);
}

static bool is_lost(int r)
{
	return r == -ECONNRESET || r == -EPROTO || r == -EPIPE;
}

/* what would be no other outside of the session: a connection, a quota, the machine, the model */
static bool is_of_session(int r)
{
	static const int others[] = {
		ECANCELED, EDQUOT, EBUSY, EAGAIN, EINTR, ENOMEM, EIO, ENOENT, EACCES,
	};

	for (size_t i = 0; i < sizeof(others) / sizeof(*others); i++)
		if (r == -others[i])
			return false;
	return r < 0 && !is_lost(r);
}

/* in the session, if there can be one; what is wrong with that is no reason not to answer */
static int chat_ask(struct chat *chat, struct answer *answer)
{
	bool is_first;
	int r;

	if (!chat->session && !chat->no_session)
		chat->no_session = llmos_session_new(chat->llmos, &chat->session) < 0;
	is_first = !chat->said;
	r = chat_run(chat, answer);
	if (!is_of_session(r) || !chat->session || answer->text.len)
		return r;
	/* its template can not go on, or what was said there is of no use any more */
	chat_leave(chat);
	answer_done(answer);
	r = chat_run(chat, answer);
	chat->no_session |= is_first && r >= 0;
	return r;
}

/* the connection of the last answer may be gone: a new server may be there */
static int chat_connect(struct chat *chat)
{
	int code = EX_OK;

	if (!chat->llmos)
		chat->llmos = connect_llmos(chat->options, &code);
	return code;
}

static int chat_answer(struct chat *chat, const char *question)
{
	_cleanup_(answer_done) struct answer answer = { 0 };
	size_t before = chat->count;
	int r, code = chat_connect(chat);

	if (code)
		return code;
	code = chat_add(chat, LLMOS_USER, question);
	if (code)
		return code;
	r = chat_ask(chat, &answer);
	if (r == -ECANCELED && !answer.error) {
		/* what was said stays said; the terminal has shown ^C behind it */
		code = EX_INTERRUPTED;
		if (line_edits(chat->line) ? term_write("\n", 1) < 0 : answer_end_line(&answer) < 0)
			code = EX_IOERR;
	} else {
		code = answer_finish(&answer, chat->llmos, r);
		if (r == -E2BIG && line_edits(chat->line))
			say("(/reset forgets what was said)\n");
	}
	if (is_lost(r)) {
		/* over the socket the session has gone with its server */
		chat_leave(chat);
		chat->no_session = false;
		llmos_free(chat->llmos);
		chat->llmos = NULL;
	}
	/* an answer that failed was never given */
	if ((r < 0 && r != -ECANCELED) || !answer.text.len || answer.error) {
		if (r >= 0)
			chat_leave(chat);
		chat_drop(chat, before);
		return code;
	}
	/* a turn that was cut short is none of the session's, but stays said here */
	if (r < 0)
		chat_leave(chat);
	r = chat_add(chat, LLMOS_ASSISTANT, answer.text.data);
	if (!r && chat->session)
		chat->said = chat->count;
	return r ? r : code;
}

/* ---- what is for llmctl itself ---- */

static int chat_command(struct chat *chat, const char *text)
{
	if (!strcmp(text, "/exit") || !strcmp(text, "/quit") || !strcmp(text, "/bye")) {
		chat->over = true;
	} else if (!strcmp(text, "/reset")) {
		return chat_reset(chat);
	} else if (!strncmp(text, "/system ", 8)) {
		return chat_set_system(chat, text + 8);
	} else if (!strcmp(text, "/help") || !strcmp(text, "/?")) {
		say("/reset         forget what was said\n"
		    "/system TEXT   begin anew with this system message\n"
		    "/exit          leave; so does Ctrl-D\n"
		    "//...          say something that begins with /\n"
		    "Ctrl-C ends an answer, or gives up a line.\n");
	} else {
		return fail(EX_USAGE, "command '%s' is not known (see /help)", text);
	}
	return EX_OK;
}

static int chat_line(struct chat *chat, const char *text)
{
	const char *at = text + strspn(text, " \t");

	if (!*at)
		return EX_OK;
	if (at[0] == '/' && at[1] != '/')
		return chat_command(chat, at);
	return chat_answer(chat, at[0] == '/' ? at + 1 : text);
}

static int fail_line(int r)
{
	if (r == -EILSEQ)
		return fail(EX_DATAERR, "standard input: a NUL byte in it");
	if (r == -E2BIG)
		return fail(EX_DATAERR, "standard input: a line of more than %u bytes",
			    INPUT_BYTES_MAX);
	return fail(r == -ENOMEM ? EX_OSERR : EX_IOERR, "standard input: %s", strerror(-r));
}

static void chat_loop(struct chat *chat)
{
	int r, code;

	while (!chat->over) {
		_cleanup_free_ char *text = NULL;

		r = line_read(chat->line, "> ", &text);
		if (r == -EINTR && line_edits(chat->line))
			continue;
		if (r == -EINTR)
			chat->code = EX_INTERRUPTED;
		else if (r < 0 && r != -ENODATA)
			chat->code = fail_line(r);
		if (r < 0)
			break;
		code = chat_line(chat, text);
		/* a person sees what went wrong and goes on; a script must not */
		if (code && !line_edits(chat->line)) {
			chat->code = code;
			break;
		}
	}
	if (line_edits(chat->line) && !chat->over)
		term_write("\n", 1);
}

int cmd_chat(struct options *options, int argc, char **argv)
{
	_cleanup_(chat_done) struct chat chat = { .options = options };
	_cleanup_free_ char *constraint = NULL;
	int r, code;

	if (argc)
		return fail_operands("no operand expected");
	(void)argv;
	code = options_read_constraint(options, &constraint);
	if (!code)
		code = chat_set_system(&chat, options->system);
	if (!code)
		code = chat_connect(&chat);
	if (code)
		return code;
	interrupt_catch();
	r = line_new(&chat.line);
	if (r < 0)
		return fail(exit_code(r), "standard input: %s", strerror(-r));
	if (line_edits(chat.line))
		say("Ctrl-C ends an answer, /help tells more.\n");
	chat_loop(&chat);
	return chat.code;
}
