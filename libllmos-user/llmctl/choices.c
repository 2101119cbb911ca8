/* SPDX-License-Identifier: MIT */
/*
 * llmctl ask --choices, --best-of.
 */
#include <stdio.h>
#include <string.h>

#include "answer.h"
#include "choices.h"
#include "json.h"
#include "term.h"

bool choices_wanted(const struct options *options)
{
	return options->choices || options->best_of;
}

static int print_json(const struct llmos_choices *choices)
{
	struct json json = { 0 };
	size_t i;

	json_object(&json, NULL);
	json_array(&json, "choices");
	for (i = 0; i < choices->count; i++) {
		const struct llmos_choice *choice = &choices->choices[i];

		json_object(&json, NULL);
		json_text(&json, "text", choice->text, choice->len);
		json_string(&json, "finish", finish_name(choice->finish));
		json_number(&json, "tokens", choice->tokens);
		json_real(&json, "logprob", choice->logprob);
		json_end_object(&json);
	}
	json_end_array(&json);
	json_end_object(&json);
	return json_done(&json);
}

/* a heading as head(1) writes it, unless there is only one */
static int print_text(const struct llmos_choices *choices)
{
	size_t i;
	int r = 0;

	for (i = 0; !r && i < choices->count; i++) {
		const struct llmos_choice *choice = &choices->choices[i];
		char heading[40];
		int len = 0;

		if (choices->count > 1)
			len = snprintf(heading, sizeof(heading), "%s==> %zu <==\n", i ? "\n" : "",
				       i + 1);
		r = len ? term_write(heading, (size_t)len) : 0;
		if (!r && choice->len)
			r = term_write_text(choice->text, choice->len);
		if (!r && choice->len && choice->text[choice->len - 1] != '\n')
			r = term_write("\n", 1);
	}
	return r;
}

int choices_run(struct llmos *llmos, const struct options *options, const struct bytes *prompt,
		const struct llmos_generate_opts *opts)
{
	const struct llmos_message messages[] = {
		{ LLMOS_SYSTEM, options->system },
		{ LLMOS_USER, prompt->data },
	};
	const uint32_t count = options->choices ? options->choices : 1;
	struct llmos_choices *choices;
	int r;

	if (options->logprobs >= 0)
		return fail(EX_USAGE, "option '--logprobs' and '--%s' exclude each other",
			    options->choices ? "choices" : "best-of");
	if (options->system)
		r = llmos_chat_choices(llmos, &choices, messages, 2, count, options->best_of,
				       opts);
	else
		r = llmos_ask_choices(llmos, &choices, prompt->data, prompt->len, count,
				      options->best_of, opts);
	if (r < 0)
		return fail_llmos(llmos, r);
	r = options->json ? print_json(choices) : print_text(choices);
	llmos_choices_free(choices);
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}
