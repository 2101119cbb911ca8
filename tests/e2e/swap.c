// SPDX-License-Identifier: MIT
/*
 * swap alone|together FOLDER
 *
 * Eight answers of some pages each, written to a file each in FOLDER: one after the other, or all
 * asked while the daemon stands still, so that it has all of them at once when it goes on.
 */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lib/e2e.h"
#include "lib/tap.h"

#define STREAMS		8
#define PROMPT_BYTES	512
#define SENTENCES	9

static struct llmos_generate_opts opts_of(unsigned int stream)
{
	return (struct llmos_generate_opts){
		.size = sizeof(struct llmos_generate_opts), .raw = true, .ignore_eos = true,
		.max_tokens = 150, .temperature = 0.8, .seed = stream + 1,
	};
}

static void write_prompt(char prompt[PROMPT_BYTES], unsigned int stream)
{
	size_t at = snprintf(prompt, PROMPT_BYTES, "Child number %u went to the park. ",
			     stream + 1);

	for (unsigned int i = 0; i < SENTENCES; i++)
		at += snprintf(prompt + at, PROMPT_BYTES - at,
			       "It saw a big tree and a small dog there. ");
}

static void save(const char *folder, unsigned int stream, const struct e2e_answer *answer)
{
	char path[4096];
	FILE *file;

	if (answer->status < 0 || !answer->len)
		tap_bail("answer %u: %zu bytes: %s", stream, answer->len,
			 strerror(-answer->status));
	snprintf(path, sizeof(path), "%s/%u", folder, stream);
	file = fopen(path, "we");
	if (!file || fwrite(answer->text, 1, answer->len, file) != answer->len || fclose(file))
		tap_bail("'%s': %s", path, strerror(errno));
}

static void start(struct llmos *llmos, struct e2e_answer *answer, unsigned int stream)
{
	const struct llmos_generate_opts opts = opts_of(stream);
	char prompt[PROMPT_BYTES];

	write_prompt(prompt, stream);
	if (e2e_answer_start(llmos, answer, prompt, &opts) < 0)
		tap_bail("answer %u: %s", stream, llmos_error(llmos));
}

static void finish(struct llmos *llmos, struct e2e_answer *answer)
{
	/* what became of it is in the answer */
	while (!answer->ended && llmos_request_wait(answer->request) == -EINTR)
		;
	if (!answer->ended)
		tap_bail("wait: %s", llmos_error(llmos));
}

int main(int argc, char **argv)
{
	static struct e2e_answer answers[STREAMS];
	const bool together = argc == 3 && !strcmp(argv[1], "together");
	const pid_t pid = e2e_number("LLMOS_DAEMON_PID", 0);
	struct llmos *llmos;

	if (argc != 3 || (!together && strcmp(argv[1], "alone")))
		return 64;
	llmos = e2e_open();
	if (together && (pid <= 0 || kill(pid, SIGSTOP) < 0))
		tap_bail("the daemon is %d", (int)pid);
	for (unsigned int i = 0; i < STREAMS; i++) {
		start(llmos, &answers[i], i);
		if (!together)
			finish(llmos, &answers[i]);
	}
	if (together)
		kill(pid, SIGCONT);
	for (unsigned int i = 0; i < STREAMS; i++) {
		finish(llmos, &answers[i]);
		save(argv[2], i, &answers[i]);
		e2e_answer_clear(&answers[i]);
	}
	llmos_free(llmos);
	return 0;
}
