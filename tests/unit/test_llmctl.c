/* SPDX-License-Identifier: MIT */
/*
 * The parts of llmctl that look at foreign bytes: JSON, the terminal, tables, options, token ids.
 */
#include <fcntl.h>
#include <math.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* before cmocka, which has a macro of the name of a function here */
#include "libllmos-user/llmctl/help.h"
#include "libllmos-user/llmctl/json.h"
#include "libllmos-user/llmctl/llmctl.h"
#include "libllmos-user/llmctl/table.h"
#include "libllmos-user/llmctl/term.h"

#include <cmocka.h>

/* ---- standard output, caught ---- */

static int saved_stdout = -1;
static FILE *caught;

static void catch_start(void)
{
	fflush(stdout);
	caught = tmpfile();
	assert_non_null(caught);
	saved_stdout = dup(STDOUT_FILENO);
	assert_true(dup2(fileno(caught), STDOUT_FILENO) >= 0);
}

/* NUL-terminated; free() it */
static char *catch_end(void)
{
	char *text = calloc(1, 65536);

	assert_non_null(text);
	fflush(stdout);
	dup2(saved_stdout, STDOUT_FILENO);
	close(saved_stdout);
	rewind(caught);
	assert_true(fread(text, 1, 65535, caught) < 65535);
	fclose(caught);
	return text;
}

static void assert_caught(const char *want)
{
	char *got = catch_end();

	assert_string_equal(got, want);
	free(got);
}

/* ---- UTF-8 ---- */

static void test_utf8(void **state)
{
	static const struct { const char *bytes; size_t len, n; int32_t c; } cases[] = {
		{ "", 0, 0, 0 },
		{ "a", 1, 1, 'a' },
		{ "\0", 1, 1, 0 },
		{ "\xc3\xa4", 2, 2, 0xe4 },
		{ "\xe2\x82\xac", 3, 3, 0x20ac },
		{ "\xf0\x9f\x98\x80", 4, 4, 0x1f600 },
		{ "\xf4\x8f\xbf\xbf", 4, 4, 0x10ffff },
		{ "\xc3", 1, 1, -1 },
		{ "\xc3(", 2, 1, -1 },
		{ "\x80", 1, 1, -1 },
		{ "\xc0\x80", 2, 1, -1 },
		{ "\xe0\x80\x80", 3, 1, -1 },
		{ "\xed\xa0\x80", 3, 1, -1 },
		{ "\xf4\x90\x80\x80", 4, 1, -1 },
		{ "\xf8\x88\x80\x80", 4, 1, -1 },
		{ "\xff", 1, 1, -1 },
		{ "\xe2\x82\xac", 2, 1, -1 },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		int32_t c = 0;

		assert_int_equal(utf8_next(cases[i].bytes, cases[i].len, &c), cases[i].n);
		assert_int_equal(c, cases[i].c);
	}
}

static void test_clean(void **state)
{
	char to[64], small[20];

	(void)state;
	term_clean(to, sizeof(to), "a\x1b[31m\xc3\xa4\n", 9);
	assert_string_equal(to, "a\\x1b[31m\xc3\xa4\\x0a");
	/* C1 as UTF-8, a lone byte, an override of direction */
	term_clean(to, sizeof(to), "\xc2\x9b" "1m\x9b\xe2\x80\xae", 8);
	assert_string_equal(to, "\\xc2\\x9b1m\\x9b\\xe2\\x80\\xae");
	/* cut, but terminated */
	term_clean(small, sizeof(small), "\x01\x01\x01\x01\x01\x01\x01\x01", 8);
	assert_true(strlen(small) < sizeof(small));
	assert_memory_equal(small, "\\x01", 4);
}

/* into a pipe or a file, an answer is what it is */
static void test_write_text(void **state)
{
	(void)state;
	catch_start();
	assert_int_equal(term_write_text("a\x1b[2J\xff\n", 7), 0);
	assert_caught("a\x1b[2J\xff\n");
}

/* into one that somebody has made non-blocking, it is all of it, however late it is read */
static void test_write_full(void **state)
{
	static char text[1 << 20], got[1 << 16];
	int fds[2], status, full = 0;
	size_t len = 0;
	ssize_t n;
	pid_t pid;

	(void)state;
	assert_int_equal(pipe(fds), 0);
	assert_int_equal(fcntl(fds[1], F_SETFL, O_NONBLOCK), 0);
	memset(text, 'x', sizeof(text));
	fflush(stdout);
	pid = fork();
	assert_true(pid >= 0);
	if (!pid) {
		close(fds[0]);
		dup2(fds[1], STDOUT_FILENO);
		_exit(term_write(text, sizeof(text)) ? 1 : 0);
	}
	while (full < fcntl(fds[1], F_GETPIPE_SZ)) {
		assert_int_equal(ioctl(fds[0], FIONREAD, &full), 0);
		sched_yield();
	}
	close(fds[1]);
	while ((n = read(fds[0], got, sizeof(got))) > 0)
		len += (size_t)n;
	assert_int_equal(n, 0);
	assert_int_equal(len, sizeof(text));
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

/* ---- JSON ---- */

static void test_json(void **state)
{
	struct json json = { 0 };

	(void)state;
	catch_start();
	json_object(&json, NULL);
	json_string(&json, "a\"b", "\\ \" / \n \t \x01 \x7f \xc2\x85 \xc3\xa4");
	json_array(&json, "list");
	json_number(&json, NULL, UINT64_MAX);
	json_real(&json, NULL, NAN);
	json_real(&json, NULL, -INFINITY);
	json_real(&json, NULL, -0.5);
	json_object(&json, NULL);
	json_end_object(&json);
	json_array(&json, NULL);
	json_end_array(&json);
	json_bool(&json, NULL, true);
	json_end_array(&json);
	json_null(&json, "none");
	json_end_object(&json);
	assert_int_equal(json_done(&json), 0);
	assert_caught("{\"a\\\"b\":\"\\\\ \\\" / \\n \\u0009 \\u0001 \\u007f \\u0085 \xc3\xa4\","
		      "\"list\":[18446744073709551615,null,null,-0.5,{},[],true],\"none\":null}\n");
}

static void test_json_bytes(void **state)
{
	struct json json = { 0 };

	(void)state;
	catch_start();
	json_object(&json, NULL);
	json_text(&json, "text", "a\xf0\x9f\0", 4);
	json_text(&json, "good", "\0", 1);
	json_end_object(&json);
	assert_int_equal(json_done(&json), 0);
	assert_caught("{\"text\":\"a\\ufffd\\ufffd\\u0000\",\"bytes\":[97,240,159,0],"
		      "\"good\":\"\\u0000\"}\n");
}

/* every byte, alone and in pairs: the quotes stay closed and no raw control gets out */
static void test_json_any(void **state)
{
	struct json json = { 0 };
	unsigned int a, b;
	char *got, *at;

	(void)state;
	for (a = 0; a < 256; a++) {
		catch_start();
		json_array(&json, NULL);
		for (b = 0; b < 256; b += 5) {
			char bytes[] = { (char)a, (char)b };

			json_object(&json, NULL);
			json_text(&json, "t", bytes, 2);
			json_end_object(&json);
		}
		json_end_array(&json);
		assert_int_equal(json_done(&json), 0);
		got = catch_end();
		for (at = got; *at && *at != '\n'; at++)
			assert_true((unsigned char)*at >= 0x20 && *at != 0x7f);
		assert_string_equal(at, "\n");
		free(got);
	}
}

/* ---- tables ---- */

static void test_table(void **state)
{
	static const struct table_column columns[] = {
		{ .title = "N", .right = true },
		{ .title = "NAME", .shrink = 4 },
		{ .title = "END", .right = true },
	};
	struct table *table = table_new(columns, 3);

	(void)state;
	table_add(table, "%d", 5);
	table_add(table, "%s", "x\ny");
	table_add(table, "%s", "ab");
	table_add(table, "%d", 1234);
	table_add(table, "%s", "\xc3\xa4");
	table_add(table, "%s", "c");
	catch_start();
	assert_int_equal(table_print(table), 0);
	assert_caught("   N  NAME    END\n"
		      "   5  x\\x0ay   ab\n"
		      "1234  \xc3\xa4         c\n");
	table_free(table);
	table_free(NULL);
}

static void test_units(void **state)
{
	char buf[16];

	(void)state;
	format_units(buf, 999, 1000);
	assert_string_equal(buf, "999");
	format_units(buf, 1000, 1000);
	assert_string_equal(buf, "1.0K");
	format_units(buf, 134515008, 1000);
	assert_string_equal(buf, "135M");
	format_units(buf, 1536, 1024);
	assert_string_equal(buf, "1.5K");
	format_units(buf, UINT64_MAX, 1024);
	assert_string_equal(buf, "16.0E");
	format_age(buf, 0);
	assert_string_equal(buf, "0s");
	format_age(buf, 127000000000U);
	assert_string_equal(buf, "2m07s");
	format_age(buf, 15120000000000U);
	assert_string_equal(buf, "4h12m");
	format_age(buf, UINT64_MAX);
	assert_string_equal(buf, "213503d23h");
}

/* ---- options ---- */

static int parse(struct options *options, unsigned int groups, const char *const *words)
{
	char *argv[32];
	int argc = 0, saved = dup(STDERR_FILENO), null = open("/dev/null", O_WRONLY), r;

	while (words[argc]) {
		argv[argc] = (char *)words[argc];
		argc++;
	}
	argv[argc] = NULL;
	options_init(options);
	dup2(null, STDERR_FILENO);
	r = options_parse(options, groups, false, argc, argv);
	dup2(saved, STDERR_FILENO);
	close(saved);
	close(null);
	return r;
}

#define WORDS(...) ((const char *const[]){ "ask", __VA_ARGS__, NULL })
#define ALL	(OPT_COMMON | OPT_JSON | OPT_MODEL | OPT_SAMPLING | OPT_PROMPT | OPT_SYSTEM | \
		 OPT_SPECIAL | OPT_LOGPROBS)

static void test_options(void **state)
{
	struct options options;
	struct llmos_generate_opts opts;

	(void)state;
	assert_int_equal(parse(&options, ALL, WORDS("-m", "model", "--temperature=0.5", "-n", "7",
						    "--stop", "a", "--stop", "b", "--logprobs",
						    "--seed", "18446744073709551615", "x")), 13);
	opts = options_generate(&options);
	assert_string_equal(opts.model, "model");
	assert_true(opts.temperature == 0.5);
	assert_int_equal(opts.max_tokens, 7);
	assert_int_equal(opts.seed, UINT64_MAX);
	assert_true(opts.logprobs);
	assert_int_equal(opts.top_logprobs, 0);
	assert_string_equal(opts.stop[1], "b");
	assert_null(opts.stop[2]);
	assert_int_equal(parse(&options, ALL, WORDS("--logprobs=3", "--", "-n")), 3);
	assert_int_equal(options_generate(&options).top_logprobs, 3);
	assert_int_equal(parse(&options, ALL, WORDS("--temp", "1", "x")), 3);
}

static void test_bad_options(void **state)
{
	struct options options;

	(void)state;
	assert_int_equal(parse(&options, ALL, WORDS("-n", "-1")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n", "4294967296")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n", "7x")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n", "")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n", "+7")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n", " 7")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-n")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-t", "warm")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("-t", "1e999")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("--logprobs=21")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("--stop", "")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("--raw=1")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("--nothing")), -1);
	/* known, but not to this command */
	assert_int_equal(parse(&options, ALL & ~OPT_JSON, WORDS("--json")), -1);
	assert_int_equal(parse(&options, ALL, WORDS("--bos")), -1);
}

static void test_ids(void **state)
{
	char text[] = "1, 2\t3\n4294967295,,", over[] = "4294967296", word[] = "1 x", none[] = " ,";
	struct bytes bytes = { text, sizeof(text) - 1 };
	int saved = dup(STDERR_FILENO);
	uint32_t *ids;
	size_t count;

	(void)state;
	assert_int_equal(input_ids(&bytes, &ids, &count), 0);
	assert_int_equal(count, 4);
	assert_int_equal(ids[0], 1);
	assert_int_equal(ids[3], UINT32_MAX);
	free(ids);
	assert_non_null(freopen("/dev/null", "w", stderr));
	bytes = (struct bytes){ over, sizeof(over) - 1 };
	assert_int_equal(input_ids(&bytes, &ids, &count), EX_DATAERR);
	bytes = (struct bytes){ word, sizeof(word) - 1 };
	assert_int_equal(input_ids(&bytes, &ids, &count), EX_DATAERR);
	bytes = (struct bytes){ none, sizeof(none) - 1 };
	assert_int_equal(input_ids(&bytes, &ids, &count), EX_NOINPUT);
	bytes = (struct bytes){ (char *)"1\0002", 3 };
	assert_int_equal(input_ids(&bytes, &ids, &count), EX_DATAERR);
	fflush(stderr);
	dup2(saved, STDERR_FILENO);
	close(saved);
}

/* ---- help ---- */

static void check_screen(const char *name, const char *text)
{
	size_t lines = 0, columns = 0;

	for (; *text; text++) {
		columns = *text == '\n' ? 0 : columns + 1;
		lines += *text == '\n';
		if (columns > 80)
			fail_msg("help of '%s': line %zu is too long", name, lines + 1);
	}
	if (lines > 24)
		fail_msg("help of '%s': %zu lines", name, lines);
}

static void test_help(void **state)
{
	static const char *const texts[] = {
		help_main, help_ask, help_run, help_chat, help_ls, help_show, help_ps,
		help_tokenize, help_detokenize, help_score, help_session, help_status, help_version, help_help,
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		assert_memory_equal(texts[i], "Usage: llmctl ", 14);
		check_screen(strndupa(texts[i], 24), texts[i]);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_utf8),
		cmocka_unit_test(test_clean),
		cmocka_unit_test(test_write_text),
		cmocka_unit_test(test_write_full),
		cmocka_unit_test(test_json),
		cmocka_unit_test(test_json_bytes),
		cmocka_unit_test(test_json_any),
		cmocka_unit_test(test_table),
		cmocka_unit_test(test_units),
		cmocka_unit_test(test_options),
		cmocka_unit_test(test_bad_options),
		cmocka_unit_test(test_ids),
		cmocka_unit_test(test_help),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
