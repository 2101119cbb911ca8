/* SPDX-License-Identifier: MIT */
/*
 * llmctl ask and run: one prompt, one answer, written out as it comes.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "choices.h"
#include "llmctl.h"
#include "session.h"
#include "term.h"

/* operands, a blank line, standard input; of the latter without its last newline */
static int ask_prompt(struct bytes *prompt, size_t max, int argc, char **argv)
{
	struct bytes joined = { 0 };
	size_t before;
	int r;

	r = input_join(&joined, argc, argv);
	if (r < 0)
		return r;
	prompt->data = malloc(joined.len + 3);
	if (!prompt->data) {
		free(joined.data);
		return -ENOMEM;
	}
	memcpy(prompt->data, joined.data, joined.len + 1);
	free(joined.data);
	prompt->len = joined.len;
	if (joined.len)
		memcpy(prompt->data + joined.len, "\n\n", 3), prompt->len += 2;
	before = prompt->len;
	r = input_append_stdin(prompt, max);
	if (r < 0)
		return r;
	if (prompt->len > before && prompt->data[prompt->len - 1] == '\n')
		prompt->len--;
	if (prompt->len == before)
		prompt->len = joined.len;
	prompt->data[prompt->len] = '\0';
	return 0;
}

static int ask_read_prompt(struct bytes *prompt, size_t max, int argc, char **argv)
{
	int r;

	if (!argc && input_is_terminal())
		return fail_operands("no prompt given");
	r = ask_prompt(prompt, max, argc, argv);
	if (r == -E2BIG)
		return fail(EX_DATAERR, "prompt and standard input: more than %zu bytes", max);
	if (r < 0)
		return fail(r == -ENOMEM ? EX_OSERR : EX_IOERR, "standard input: %s",
			    strerror(-r));
	if (!prompt->len)
		return fail(EX_NOINPUT, "the prompt is empty");
	return EX_OK;
}

static int ask_with_system(struct llmos *llmos, const struct options *options,
			   const struct bytes *prompt, const struct llmos_generate_opts *opts)
{
	struct llmos_message messages[] = {
		{ LLMOS_SYSTEM, options->system },
		{ LLMOS_USER, prompt->data },
	};

	return llmos_chat(llmos, NULL, messages, 2, opts);
}

int cmd_ask(struct options *options, int argc, char **argv)
{
	_cleanup_(session_freep) struct llmos_session *session = NULL;
	_cleanup_(llmos_freep) struct llmos *llmos = NULL;
	_cleanup_free_ char *constraint = NULL;
	struct llmos_generate_opts opts;
	_cleanup_(answer_done) struct answer answer = { 0 };
	_cleanup_(bytes_freep) struct bytes prompt = { 0 };
	int code, r;

	if (options->system && (options->raw || options->special))
		return fail(EX_USAGE, "option '--system' and '--%s' exclude each other",
			    options->raw ? "raw" : "special");
	code = options_read_constraint(options, &constraint);
	if (code)
		return code;
	code = session_open(options, &session);
	if (code)
		return code;
	/* one question at a time is answered in a session, and once */
	if (session && choices_wanted(options))
		return fail(EX_USAGE, "several answers, in a session: it goes on from one");
	opts = options_generate(options);
	opts.session = session;
	llmos = connect_llmos(options, &code);
	if (!llmos)
		return code;
	code = ask_read_prompt(&prompt, llmos_payload_max(llmos), argc, argv);
	if (code)
		return code;
	if (options->system && memchr(prompt.data, '\0', prompt.len))
		return fail(EX_DATAERR, "prompt: a NUL byte in it");
	if (choices_wanted(options))
		return choices_run(llmos, options, &prompt, &opts);
	answer_init(&answer, options, &opts);
	r = options->system ? ask_with_system(llmos, options, &prompt, &opts) :
			      llmos_ask(llmos, NULL, prompt.data, prompt.len, &opts);
	return answer_finish(&answer, llmos, r);
}

int cmd_run(struct options *options, int argc, char **argv)
{
	if (argc < 1)
		return fail_operands("no model given");
	options->model = argv[0];
	return cmd_ask(options, argc - 1, argv + 1);
}
