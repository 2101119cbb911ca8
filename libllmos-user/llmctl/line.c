/* SPDX-License-Identifier: MIT */
/*
 * The line editor: readline's callback interface, so that Ctrl-C is seen while waiting for a key
 * and ends the line, not the program. The history lies in ${XDG_STATE_HOME:-~/.local/state}/llmos.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <readline/history.h>
#include <readline/readline.h>

#include "line.h"
#include "llmctl.h"

#define HISTORY_LINES_MAX	1000

/**
 * struct line - a reader of lines
 * @edits: a person is there
 * @history: path of the history, NULL: none is kept
 * @added: lines added to it
 * @got: what the editor handed over, owned; NULL: the end of input
 * @done: it did
 */
struct line {
	bool edits;
	char *history;
	int added;
	char *got;
	bool done;
};

/* readline's callback has no argument of its own */
static struct line *editing;

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal)
{
	(void)signal;
	interrupted = 1;
}

void interrupt_catch(void)
{
	/* without SA_RESTART: whatever waits is to come back */
	struct sigaction action = { .sa_handler = on_interrupt }, before;

	sigemptyset(&action.sa_mask);
	/* who started us may want it ignored */
	if (!sigaction(SIGINT, NULL, &before) && before.sa_handler != SIG_IGN)
		sigaction(SIGINT, &action, NULL);
}

bool interrupt_taken(void)
{
	bool taken = interrupted;

	interrupted = 0;
	return taken;
}

/* ---- history ---- */

/* make the folders of a path below the first @skip bytes, for the user alone */
static int make_folders(char *path, size_t skip)
{
	char *slash;

	for (slash = strchr(path + skip, '/'); slash; slash = strchr(slash + 1, '/')) {
		int r;

		*slash = '\0';
		r = mkdir(path, 0700);
		*slash = '/';
		if (r < 0 && errno != EEXIST)
			return -errno;
	}
	return 0;
}

static char *history_path(void)
{
	const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
	const struct passwd *passwd;
	char *path = NULL;
	size_t skip;
	int n;

	/* the specification of base directories: a relative path is to be ignored */
	if (state && *state == '/') {
		skip = 1;
		n = asprintf(&path, "%s/llmos/history", state);
	} else {
		passwd = home && *home == '/' ? NULL : getpwuid(getuid());
		home = passwd ? passwd->pw_dir : home;
		if (!home || *home != '/')
			return NULL;
		skip = strlen(home) + 1;
		n = asprintf(&path, "%s/.local/state/llmos/history", home);
	}
	if (n < 0)
		return NULL;
	if (make_folders(path, skip) < 0) {
		free(path);
		return NULL;
	}
	return path;
}

/* what a person asked is nobody else's business */
static void history_open(struct line *line)
{
	int fd;

	using_history();
	line->history = history_path();
	if (!line->history)
		return;
	fd = open(line->history, O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0 || fchmod(fd, 0600) < 0) {
		free(line->history);
		line->history = NULL;
	} else {
		read_history(line->history);
	}
	if (fd >= 0)
		close(fd);
}

/* only what is new: another conversation may have added to it meanwhile */
static void history_save(const struct line *line)
{
	if (append_history(line->added, line->history))
		return;
	if (history_truncate_file(line->history, HISTORY_LINES_MAX))
		return;
	/* it may be another file now */
	chmod(line->history, 0600);
}

/* ---- the reader ---- */

int line_new(struct line **ret)
{
	struct line *line = calloc(1, sizeof(*line));

	if (!line)
		return -ENOMEM;
	line->edits = isatty(STDIN_FILENO) && isatty(STDOUT_FILENO);
	if (line->edits) {
		rl_readline_name = "llmctl";
		/* ours sees Ctrl-C; file names are not what one talks about */
		rl_catch_signals = 0;
		rl_bind_key('\t', rl_insert);
		history_open(line);
	}
	*ret = line;
	return 0;
}

void line_free(struct line *line)
{
	if (!line)
		return;
	if (line->history && line->added)
		history_save(line);
	free(line->history);
	free(line->got);
	free(line);
}

bool line_edits(const struct line *line)
{
	return line->edits;
}

static void on_line(char *text)
{
	editing->got = text;
	editing->done = true;
	rl_callback_handler_remove();
}

/* wait for a key or Ctrl-C; the signal is let in only while waiting, so that none is missed */
static int wait_for_key(void)
{
	struct pollfd poll_fd = { .fd = STDIN_FILENO, .events = POLLIN };
	sigset_t blocked, normal;
	int r;

	sigemptyset(&blocked);
	sigaddset(&blocked, SIGINT);
	sigprocmask(SIG_BLOCK, &blocked, &normal);
	r = interrupted ? -EINTR : ppoll(&poll_fd, 1, NULL, &normal) < 0 ? -errno : 0;
	sigprocmask(SIG_SETMASK, &normal, NULL);
	return r;
}

static void give_up_line(void)
{
	rl_free_line_state();
	rl_callback_sigcleanup();
	rl_replace_line("", 0);
	rl_callback_handler_remove();
	fputs("^C\n", stdout);
	fflush(stdout);
}

static int line_edit(struct line *line, const char *prompt, char **ret)
{
	int r;

	editing = line;
	line->done = false;
	line->got = NULL;
	rl_callback_handler_install(prompt, on_line);
	while (!line->done) {
		r = wait_for_key();
		if (r == -EINTR && interrupt_taken()) {
			give_up_line();
			return -EINTR;
		}
		/* a resized window */
		if (r == -EINTR)
			continue;
		if (r < 0) {
			rl_callback_handler_remove();
			return r;
		}
		rl_callback_read_char();
	}
	if (!line->got)
		return -ENODATA;
	if (*line->got) {
		add_history(line->got);
		line->added++;
	}
	*ret = line->got;
	line->got = NULL;
	return 0;
}

static int append_byte(struct bytes *bytes, size_t *size, int c)
{
	char *grown;

	if (!c)
		return -EILSEQ;
	if (bytes->len == INPUT_BYTES_MAX)
		return -E2BIG;
	if (bytes->len + 1 >= *size) {
		grown = realloc(bytes->data, *size += *size / 2 + 256);
		if (!grown)
			return -ENOMEM;
		bytes->data = grown;
	}
	bytes->data[bytes->len++] = (char)c;
	bytes->data[bytes->len] = '\0';
	return 0;
}

/* from a pipe or a file; what a signal or an error cuts off is no line */
static int line_take(char **ret)
{
	_cleanup_(bytes_freep) struct bytes line = { 0 };
	size_t size = 0;
	int c, r = 0;

	errno = 0;
	while (!r && (c = getc(stdin)) != EOF && c != '\n')
		r = append_byte(&line, &size, c);
	if (r < 0)
		return r;
	if (ferror(stdin) || interrupted)
		return interrupt_taken() ? -EINTR : errno ? -errno : -EIO;
	if (c == EOF && !line.len)
		return -ENODATA;
	*ret = line.data ? line.data : strdup("");
	line.data = NULL;
	return *ret ? 0 : -ENOMEM;
}

int line_read(struct line *line, const char *prompt, char **ret)
{
	return line->edits ? line_edit(line, prompt, ret) : line_take(ret);
}
