// SPDX-License-Identifier: MIT
/*
 * An answer as it comes in: collected whole, compared byte for byte with another.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "e2e.h"
#include "tap.h"

static int answer_text(void *userdata, const char *text, size_t len)
{
	struct e2e_answer *answer = userdata;

	if (answer->len + len + 1 > answer->room) {
		size_t room = 2 * (answer->len + len + 1);
		char *grown = realloc(answer->text, room);

		if (!grown)
			return -ENOMEM;
		answer->text = grown;
		answer->room = room;
	}
	memcpy(answer->text + answer->len, text, len);
	answer->len += len;
	answer->text[answer->len] = '\0';
	if (answer->progress)
		answer->progress(answer);
	return answer->stop_after && answer->len >= answer->stop_after;
}

static void answer_end(void *userdata, struct llmos_request *request, int status)
{
	struct e2e_answer *answer = userdata;

	(void)request;
	answer->status = status;
	answer->ended = true;
}

int e2e_answer_start(struct llmos *llmos, struct e2e_answer *answer, const char *prompt,
		     const struct llmos_generate_opts *opts)
{
	struct llmos_generate_opts own = *opts;

	own.on_text = answer_text;
	own.on_end = answer_end;
	own.userdata = answer;
	return llmos_ask_start(llmos, &answer->request, prompt, strlen(prompt), &own);
}

int e2e_answer_get(struct llmos *llmos, struct e2e_answer *answer, const char *prompt,
		   const struct llmos_generate_opts *opts)
{
	int r = e2e_answer_start(llmos, answer, prompt, opts);

	if (r < 0)
		return r;
	r = llmos_request_wait(answer->request);
	llmos_request_free(answer->request);
	answer->request = NULL;
	return r;
}

void e2e_answer_clear(struct e2e_answer *answer)
{
	llmos_request_free(answer->request);
	free(answer->text);
	*answer = (struct e2e_answer){ 0 };
}

bool e2e_answer_equal(const struct e2e_answer *a, const struct e2e_answer *b)
{
	return a->len == b->len && (!a->len || memcmp(a->text, b->text, a->len) == 0);
}

bool e2e_answer_begins(const struct e2e_answer *a, const struct e2e_answer *b)
{
	return a->len <= b->len && (!a->len || memcmp(a->text, b->text, a->len) == 0);
}

void e2e_answer_differ(const struct e2e_answer *got, const struct e2e_answer *want)
{
	size_t at = 0, from;

	while (at < got->len && at < want->len && got->text[at] == want->text[at])
		at++;
	from = at > 20 ? at - 20 : 0;
	tap_note("differs at byte %zu: got %zu bytes '%.60s'", at, got->len,
		 got->len > from ? got->text + from : "");
	tap_note("wanted %zu bytes '%.60s'", want->len,
		 want->len > from ? want->text + from : "");
}

char *e2e_long_prompt(unsigned int tokens)
{
	/* one token each in the small model's vocabulary, see test_tokens.sh */
	static const char word[] = " Lily";
	size_t len = sizeof(word) - 1;
	char *text = malloc(tokens * len + 1), *end = text;

	if (!text)
		tap_bail("out of memory");
	/* the tokenizer puts the first space there itself */
	for (unsigned int i = 0; i < tokens; i++)
		end = mempcpy(end, i ? word : word + 1, i ? len : len - 1);
	*end = '\0';
	return text;
}
