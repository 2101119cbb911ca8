/* SPDX-License-Identifier: MIT */
/*
 * llmctl at a terminal: the real program behind a pseudo-terminal, asking a server that answers
 * what the test wants. Waits only for what must appear.
 */
#include <errno.h>
#include <limits.h>
#include <poll.h>
#include <pty.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_llm.h"

#define PATIENCE_MS	20000
#define CTRL_C		"\x03"
#define CTRL_D		"\x04"

static struct frames frames;

/** struct terminal - a program behind a pseudo-terminal, and all it has shown */
struct terminal {
	struct fake *fake;
	char home[64];
	pid_t pid;
	int fd;
	char seen[64 * 1024];
	size_t len;
	size_t at;	/* what is before was looked at */
};

static int setup(void **state)
{
	struct terminal *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	frames.len = 0;
	t->fake = fake_new();
	t->fd = -1;
	strcpy(t->home, "/tmp/llmos-home.XXXXXX");
	assert_non_null(mkdtemp(t->home));
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct terminal *t = *state;
	char command[128];

	if (t->pid > 0) {
		kill(t->pid, SIGKILL);
		waitpid(t->pid, NULL, 0);
	}
	if (t->fd >= 0)
		close(t->fd);
	fake_free(t->fake);
	snprintf(command, sizeof(command), "rm -rf '%s'", t->home);
	free(t);
	return system(command);
}

static void program_path(char path[PATH_MAX])
{
	ssize_t n = readlink("/proc/self/exe", path, PATH_MAX - 16);
	int up;

	assert_true(n > 0);
	path[n] = '\0';
	/* build/tests/unit/NAME */
	for (up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/llmctl");
}

static void run(struct terminal *t, char **argv)
{
	struct winsize size = { .ws_row = 24, .ws_col = 80 };
	char path[PATH_MAX];

	t->fake->answer = frames.bytes;
	t->fake->answer_len = frames.len;
	fake_listen(t->fake);
	program_path(path);
	t->pid = forkpty(&t->fd, NULL, NULL, &size);
	assert_true(t->pid >= 0);
	if (t->pid)
		return;
	setenv("HOME", t->home, 1);
	unsetenv("XDG_STATE_HOME");
	setenv("TERM", "dumb", 1);
	setenv("LC_ALL", "C.UTF-8", 1);
	setenv("LLMOS_ADDRESS", fake_address(t->fake), 1);
	setenv("INPUTRC", "/dev/null", 1);
	execv(path, argv);
	_exit(127);
}

static void type(const struct terminal *t, const char *keys)
{
	assert_int_equal(write(t->fd, keys, strlen(keys)), strlen(keys));
}

/* more of what it shows; false at its end */
static bool look(struct terminal *t)
{
	struct pollfd fd = { .fd = t->fd, .events = POLLIN };
	ssize_t n;

	if (poll(&fd, 1, PATIENCE_MS) <= 0)
		fail_msg("nothing more after '%s'", t->seen);
	n = read(t->fd, t->seen + t->len, sizeof(t->seen) - 1 - t->len);
	if (n <= 0)
		return false;
	t->len += n;
	t->seen[t->len] = '\0';
	return true;
}

/* until this appears behind what was looked at before */
static void expect(struct terminal *t, const char *text)
{
	char *found;

	while (!(found = strstr(t->seen + t->at, text)))
		if (!look(t))
			fail_msg("'%s' did not come: '%s'", text, t->seen + t->at);
	t->at = found - t->seen + strlen(text);
}

/* its exit code, once it has shown all */
static int ended(struct terminal *t)
{
	int status;

	while (look(t))
		;
	assert_int_equal(waitpid(t->pid, &status, 0), t->pid);
	t->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static char *const chat[] = { "llmctl", "chat", NULL };

static const char *last_message(const struct fake *fake)
{
	const struct llm_submit *submit = &fake->submit;

	return memmem(fake->payload, submit->payload_len, "second", 6) ? "second" : "first";
}

static void test_chat(void **state)
{
	struct terminal *t = *state;
	char history[128];
	struct stat st;

	frames_text(&frames, "An answer.");
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "first question\n");
	expect(t, "An answer.");
	expect(t, "> ");
	assert_string_equal(last_message(t->fake), "first");
	type(t, "second question\n");
	expect(t, "An answer.");
	expect(t, "> ");
	/* the whole conversation went along: three messages */
	assert_int_equal(t->fake->submit.payload_len, 3 * sizeof(struct llm_message) + 14 + 10 + 15);
	type(t, "/reset\n");
	expect(t, "> ");
	type(t, "second\n");
	expect(t, "An answer.");
	expect(t, "> ");
	assert_int_equal(t->fake->submit.payload_len, sizeof(struct llm_message) + 6);
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
	snprintf(history, sizeof(history), "%s/.local/state/llmos/history", t->home);
	assert_int_equal(stat(history, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(st.st_size >= 20);
	*strrchr(history, '/') = '\0';
	assert_int_equal(stat(history, &st), 0);
	assert_int_equal(st.st_mode & 0777, 0700);
}

static void say_and_hear(struct terminal *t, const char *line)
{
	type(t, line);
	expect(t, "An answer.");
	expect(t, "> ");
}

/* where there are sessions, only what is new goes along; what is forgotten is, there too */
static void test_session(void **state)
{
	const size_t one = sizeof(struct llm_message);
	struct terminal *t = *state;

	frames_text(&frames, "An answer.");
	t->fake->has_sessions = true;
	run(t, (char **)chat);
	expect(t, "> ");
	say_and_hear(t, "first question\n");
	assert_int_equal(t->fake->sessions, 1);
	assert_true(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(t->fake->submit.payload_len, one + 14);
	say_and_hear(t, "second question\n");
	assert_int_equal(t->fake->sessions, 1);
	assert_true(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(t->fake->submit.payload_len, one + 15);
	/* what was said there is of no use any more: all goes along, and to another session then */
	t->fake->session_result = -ESTALE;
	say_and_hear(t, "third question\n");
	assert_false(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(t->fake->submit.payload_len, 5 * one + 14 + 10 + 15 + 10 + 14);
	t->fake->session_result = 0;
	say_and_hear(t, "more\n");
	assert_int_equal(t->fake->sessions, 2);
	assert_true(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(t->fake->submit.payload_len, 7 * one + 14 + 10 + 15 + 10 + 14 + 10 + 4);
	type(t, "/reset\n");
	expect(t, "> ");
	say_and_hear(t, "second\n");
	assert_int_equal(t->fake->sessions, 3);
	assert_int_equal(t->fake->submit.payload_len, one + 6);
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
}

/* a template that can not go on in a session is asked so once, until something else is begun */
static void test_no_session(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "An answer.");
	t->fake->has_sessions = true;
	t->fake->session_result = -EINVAL;
	run(t, (char **)chat);
	expect(t, "> ");
	say_and_hear(t, "first\n");
	assert_int_equal(t->fake->submits, 2);
	say_and_hear(t, "second\n");
	assert_int_equal(t->fake->submits, 3);
	assert_int_equal(t->fake->sessions, 1);
	assert_false(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_int_equal(t->fake->submit.payload_len, 3 * sizeof(struct llm_message) + 5 + 10 + 6);
	t->fake->session_result = 0;
	type(t, "/reset\n");
	expect(t, "> ");
	say_and_hear(t, "first\n");
	assert_int_equal(t->fake->sessions, 2);
	assert_true(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
}

/* a turn that was cut short is none of the session's; the next one says it all, in another one */
static void test_session_cancelled(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "never ending ");
	t->fake->has_sessions = true;
	t->fake->endless = true;
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "first\n");
	expect(t, "never ending never ending");
	type(t, CTRL_C);
	expect(t, "\n> ");
	t->fake->endless = false;
	type(t, "second\n");
	expect(t, "never ending");
	expect(t, "> ");
	assert_int_equal(t->fake->sessions, 2);
	assert_true(t->fake->submit.flags & LLM_SUBMIT_SESSION);
	assert_non_null(memmem(t->fake->payload, t->fake->submit.payload_len, "first", 5));
	assert_non_null(memmem(t->fake->payload, t->fake->submit.payload_len, "second", 6));
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
}

/* Ctrl-C ends the answer; the conversation goes on */
static void test_cancel_answer(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "never ending ");
	t->fake->endless = true;
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "first\n");
	expect(t, "never ending never ending");
	type(t, CTRL_C);
	expect(t, "\n> ");
	assert_int_equal(t->fake->cancels, 1);
	type(t, "/exit\n");
	assert_int_equal(ended(t), 0);
}

/* also while it waits and nothing comes */
static void test_cancel_waiting(void **state)
{
	struct terminal *t = *state;
	struct pollfd parked = { .fd = t->fake->parked_fd, .events = POLLIN };

	t->fake->hold = true;
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "first\n");
	assert_int_equal(poll(&parked, 1, PATIENCE_MS), 1);
	type(t, CTRL_C);
	expect(t, "\n> ");
	assert_int_equal(t->fake->cancels, 1);
	type(t, "/exit\n");
	assert_int_equal(ended(t), 0);
}

/* at the prompt it gives up the line */
static void test_give_up_line(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "ok");
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "half a thought");
	expect(t, "thought");
	type(t, CTRL_C);
	expect(t, "^C\r\n> ");
	type(t, "second\n");
	expect(t, "ok\r\n> ");
	assert_int_equal(t->fake->submit.payload_len, sizeof(struct llm_message) + 6);
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
}

/* a server that dies costs an answer, not the conversation */
static void test_server_dies(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "An answer.");
	t->fake->evil = FAKE_CLOSE;
	t->fake->evil_command = _IOC_NR(LLM_IOC_READ);
	run(t, (char **)chat);
	expect(t, "> ");
	type(t, "first\n");
	expect(t, "llmctl: chat: ");
	expect(t, "Connection reset by peer");
	expect(t, "> ");
	t->fake->evil = FAKE_GOOD;
	type(t, "second\n");
	expect(t, "An answer.");
	expect(t, "> ");
	assert_int_equal(t->fake->submit.payload_len, sizeof(struct llm_message) + 6);
	type(t, CTRL_D);
	assert_int_equal(ended(t), 0);
}

static char *const ask[] = { "llmctl", "ask", "x", NULL };

/* a model does not drive the terminal, nor does its server's error */
static void test_escapes(void **state)
{
	struct terminal *t = *state;

	frames_text(&frames, "a\x1b]0;owned\x07\tb\xc2\x9b" "31m\xe2\x80\xae\n\xff");
	run(t, (char **)ask);
	expect(t, "a\\x1b]0;owned\\x07");
	expect(t, "b\\xc2\\x9b31m\\xe2\\x80\\xae\r\n\\xff\r\n");
	assert_int_equal(ended(t), 0);
	assert_null(strchr(t->seen, '\x1b'));
}

static void test_error_escapes(void **state)
{
	struct terminal *t = *state;

	frames_add(&frames, LLM_RECORD_ERROR, "model\x1b[2J\xff 'x'", 14);
	t->fake->status = -ENOENT;
	run(t, (char **)ask);
	expect(t, "llmctl: ask: model [2J\\xff 'x'");
	assert_int_equal(ended(t), 66);
	assert_null(strchr(t->seen, '\x1b'));
}

/* without a prompt a terminal is not read from */
static void test_ask_nothing(void **state)
{
	struct terminal *t = *state;
	char *const nothing[] = { "llmctl", "ask", NULL };

	run(t, (char **)nothing);
	expect(t, "llmctl: ask: no prompt given");
	assert_int_equal(ended(t), 64);
}

/* columns fit the terminal */
static void test_ps_fits(void **state)
{
	struct terminal *t = *state;
	char *const ps[] = { "llmctl", "ps", NULL };
	struct llm_request_info info = {
		.id = 1,
		.cgroup_id = 0xffffffffffffU,
		.pid = 4194304,
		.uid = 4294967294,
		.state = LLM_STATE_CANCELLING,
		.prompt_tokens = 1000000,
		.output_tokens = 1000000,
	};
	const char *line, *end;

	memset(info.model, 'm', sizeof(info.model) - 1);
	t->fake->list = &info;
	t->fake->list_count = 1;
	run(t, (char **)ps);
	assert_int_equal(ended(t), 0);
	for (line = t->seen; (end = strstr(line, "\r\n")); line = end + 2)
		if (end - line > 80)
			fail_msg("a line of %td columns", end - line);
	assert_non_null(strstr(t->seen, "cancelling"));
	assert_non_null(strstr(t->seen, "mmmm~"));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_chat),
		TEST(test_session),
		TEST(test_no_session),
		TEST(test_session_cancelled),
		TEST(test_cancel_answer),
		TEST(test_cancel_waiting),
		TEST(test_give_up_line),
		TEST(test_server_dies),
		TEST(test_escapes),
		TEST(test_error_escapes),
		TEST(test_ask_nothing),
		TEST(test_ps_fits),
	};

	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
