/* SPDX-License-Identifier: MIT */
/*
 * llmctl: the table of commands, and the way to the one that is asked for.
 */
#include <fcntl.h>
#include <locale.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "help.h"
#include "llmctl.h"
#include "term.h"

#define GENERATE	(OPT_COMMON | OPT_SAMPLING | OPT_SYSTEM | OPT_CLASS | OPT_ADAPTERS)

const struct ctl_command ctl_commands[] = {
	{ "ask", GENERATE | OPT_JSON | OPT_MODEL | OPT_PROMPT | OPT_SPECIAL | OPT_LOGPROBS |
	  OPT_CHOICES | OPT_SESSION, help_ask, cmd_ask },
	{ "run", GENERATE | OPT_JSON | OPT_PROMPT | OPT_SPECIAL | OPT_LOGPROBS | OPT_CHOICES |
	  OPT_SESSION,
	  help_run, cmd_run },
	{ "chat", GENERATE | OPT_MODEL, help_chat, cmd_chat },
	{ "ls", OPT_COMMON | OPT_JSON, help_ls, cmd_ls },
	{ "show", OPT_COMMON | OPT_JSON, help_show, cmd_show },
	{ "ps", OPT_COMMON | OPT_JSON, help_ps, cmd_ps },
	{ "tokenize", OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_SPECIAL | OPT_IDS | OPT_BOS,
	  help_tokenize, cmd_tokenize },
	{ "detokenize", OPT_COMMON | OPT_JSON | OPT_MODEL, help_detokenize, cmd_detokenize },
	{ "score", OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_SPECIAL | OPT_NO_BOS |
		   OPT_LOGPROBS | OPT_CLASS | OPT_IDS | OPT_ADAPTERS,
	  help_score, cmd_score },
	{ "embed", OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_CLASS | OPT_VECTORS | OPT_TEXTS | OPT_RAW,
	  help_embed, cmd_embed },
	{ "rank", OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_CLASS | OPT_TEXTS | OPT_COUNT, help_rank,
	  cmd_rank },
	{ "classify", OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_CLASS | OPT_TEXTS, help_classify,
	  cmd_classify },
	{ "status", OPT_COMMON | OPT_JSON, help_status, cmd_status },
	{ "session", SESSION_OPTIONS | OPT_STOP, help_session, cmd_session },
	{ "quota", OPT_HELP | OPT_JSON | OPT_QUOTA, help_quota, cmd_quota },
	{ "top", OPT_HELP | OPT_JSON | OPT_ROUNDS | OPT_COUNT, help_top, cmd_top },
	{ "events", OPT_HELP | OPT_JSON | OPT_COUNT, help_events, cmd_events },
	{ "pressure", OPT_HELP | OPT_JSON | OPT_WATCH | OPT_COUNT, help_pressure, cmd_pressure },
	{ "version", OPT_HELP | OPT_JSON, help_version, cmd_version },
	{ "help", OPT_HELP, help_help, cmd_help },
	{ NULL, 0, NULL, NULL },
};

const struct ctl_command *ctl_find(const char *name)
{
	const struct ctl_command *command;

	for (command = ctl_commands; command->name; command++)
		if (!strcmp(command->name, name))
			return command;
	return NULL;
}

static int print_help(const char *text)
{
	int r;

	fputs(text, stdout);
	r = term_flush();
	return r < 0 ? fail(EX_IOERR, "write: %s", strerror(-r)) : EX_OK;
}

int cmd_help(struct options *options, int argc, char **argv)
{
	const struct ctl_command *command;

	(void)options;
	if (!argc)
		return print_help(help_main);
	command = ctl_find(argv[0]);
	if (!command)
		return fail(EX_USAGE, "command '%s' is not known", argv[0]);
	return print_help(command->help);
}

static int command_run(const struct ctl_command *command, struct options *options, int argc,
		       char **argv)
{
	int first;

	error_set_command(command->name);
	first = options_parse(options, command->options, command->options & OPT_STOP, argc, argv);
	if (first < 0)
		return EX_USAGE;
	if (options->help)
		return print_help(command->help);
	return command->run(options, argc - first, argv + first);
}

/*
 * A connection must not become the standard input, output or error that was closed. What fills
 * the gap can be read where it should be written: that gives EBADF, as the closed one would.
 */
static void fill_standard_fds(void)
{
	int fd;

	for (fd = STDIN_FILENO; fd <= STDERR_FILENO; fd++)
		if (fcntl(fd, F_GETFD) < 0 && errno == EBADF &&
		    open("/dev/null", fd == STDIN_FILENO ? O_WRONLY : O_RDONLY) < 0)
			return;
}

int main(int argc, char **argv)
{
	const struct ctl_command *command;
	struct options options;
	int first;

	fill_standard_fds();
	setlocale(LC_CTYPE, "");
	options_init(&options);
	first = options_parse(&options, OPT_COMMON | OPT_JSON | OPT_VERSION, true, argc, argv);
	if (first < 0)
		return EX_USAGE;
	if (options.help)
		return print_help(help_main);
	if (options.version)
		return cmd_version(&options, 0, argv);
	if (first == argc)
		return fail(EX_USAGE, "no command given (see llmctl --help)");
	command = ctl_find(argv[first]);
	if (!command)
		return fail(EX_USAGE, "command '%s' is not known (see llmctl --help)",
			    argv[first]);
	return command_run(command, &options, argc - first, argv + first);
}
