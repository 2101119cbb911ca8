/* SPDX-License-Identifier: MIT */
/* The configuration file: what it may say, and that every mistake names its file, line and value. */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/config.h"
#include "base/log.h"

static char path[] = "/tmp/llmos-config.XXXXXX";

static int setup(void **state)
{
	int fd = mkstemp(path);

	(void)state;
	if (fd < 0)
		return -1;
	close(fd);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	return unlink(path);
}

static int read_text(struct config *config, const char *text, struct error *error)
{
	FILE *file = fopen(path, "w");

	assert_non_null(file);
	fputs(text, file);
	fclose(file);
	config_init(config);
	*error = (struct error){ "" };
	return config_read(config, path, error);
}

static void test_all_keys(void **state)
{
	struct config config;
	struct error error;

	(void)state;
	assert_int_equal(read_text(&config,
				   "# a comment\n"
				   "[daemon]\n"
				   "models = /srv/models\n"
				   "default_model=small ; the small one\n"
				   "  device = none\n"
				   "listen = unix:/run/a\n"
				   "listen = unix:/run/b c\n"
				   "user = llmos\n"
				   "isa = avx2\n"
				   "kv_type = f32\n"
				   "log_level = debug\n"
				   "threads = 3\n"
				   "slots = 4\n"
				   "sequences = 40\n"
				   "order = arrival\n"
				   "batch_tokens = 99\n"
				   "step_ms = 0\n"
				   "context = 2048\n"
				   "kv_memory = 3G\n"
				   "prefix_cache = no\n"
				   "prefix_memory = 25%\n"
				   "grammar_memory = 1G\n"
				   "pack_cache = /srv/cache\n"
				   "pack_cache_size = 20G\n"
				   "preload = yes\n", &error), 0);
	assert_string_equal(config.models, "/srv/models");
	assert_string_equal(config.default_model, "small");
	assert_string_equal(config.device, "none");
	assert_int_equal(config.listen_count, 2);
	assert_string_equal(config.listen[0], "unix:/run/a");
	assert_string_equal(config.listen[1], "unix:/run/b c");
	assert_string_equal(config.user, "llmos");
	assert_string_equal(config.isa, "avx2");
	assert_string_equal(config.kv_type, "f32");
	assert_int_equal(config.log_level, LOG_DEBUG);
	assert_int_equal(config.threads, 3);
	assert_int_equal(config.slots, 4);
	assert_int_equal(config.sequences, 40);
	assert_string_equal(config.order, "arrival");
	assert_int_equal(config.batch_tokens, 99);
	assert_int_equal(config.step_ms, 0);
	assert_int_equal(config.context, 2048);
	assert_true(config.kv_memory == UINT64_C(3) << 30);
	assert_false(config.prefix_cache);
	assert_int_equal(config.prefix_percent, 25);
	assert_int_equal(config.prefix_memory, 0);
	assert_true(config.grammar_memory == UINT64_C(1) << 30);
	assert_string_equal(config.pack_cache, "/srv/cache");
	assert_true(config.pack_cache_size == UINT64_C(20) << 30);
	assert_true(config.preload);
}

static void test_defaults(void **state)
{
	struct config config;
	struct error error;

	(void)state;
	assert_int_equal(read_text(&config, "", &error), 0);
	assert_string_equal(config.device, "auto");
	assert_int_equal(config.slots, 16);
	assert_int_equal(config.sequences, 0);
	assert_string_equal(config.order, "fair");
	assert_int_equal(config.listen_count, 0);
	assert_false(config.preload);
	assert_string_equal(config.pack_cache, "auto");
	assert_int_equal(config.pack_cache_size, 0);
	assert_true(config.prefix_cache);
	assert_int_equal(config.prefix_percent, 50);
	assert_int_equal(config.prefix_memory, 0);
	/* of bytes and a percentage the last one counts */
	assert_int_equal(read_text(&config, "[daemon]\nprefix_memory = 7M\n", &error), 0);
	assert_int_equal(config.prefix_memory, 7 << 20);
	assert_int_equal(config.prefix_percent, 0);
	assert_int_equal(config_set(&config, "prefix_memory", "100%", &error), 0);
	assert_int_equal(config.prefix_memory, 0);
	assert_int_equal(config.prefix_percent, 100);
}

static void test_mistakes(void **state)
{
	static const struct {
		const char *text;
		unsigned int line;
		const char *part;
	} cases[] = {
		{ "[daemon]\nthreds = 3\n", 2, "unknown key 'threds'" },
		{ "\n\n[daemon]\n\nthreads = many\n", 5, "threads: 'many' is not a number" },
		{ "[daemon]\nthreads = -1\n", 2, "'-1'" },
		{ "[daemon]\nthreads = 1025\n", 2, "between 0 and 1024" },
		{ "[daemon]\nthreads = 3x\n", 2, "'3x'" },
		{ "[daemon]\nthreads =\n", 2, "''" },
		{ "[daemon]\nthreads = 99999999999999999999999\n", 2, "9999" },
		{ "[daemon]\nslots = 0\n", 2, "between 1 and" },
		{ "[daemon]\nkv_memory = 3T\n", 2, "'3T' is not a number of bytes" },
		{ "[daemon]\nkv_memory = 99999999999G\n", 2, "'99999999999G'" },
		{ "[daemon]\ngrammar_memory = 127M\n", 2, "'127M' is not between" },
		{ "[daemon]\nprefix_memory = 101%\n", 2, "'101%' is more than 100%" },
		{ "[daemon]\nprefix_memory = -1%\n", 2, "'-1%' is neither bytes" },
		{ "[daemon]\nprefix_memory = 5 %\n", 2, "'5 %' is neither bytes" },
		{ "[daemon]\nprefix_memory = %\n", 2, "'%' is neither bytes" },
		{ "[daemon]\nprefix_memory = 2097152G\n", 2, "'2097152G'" },
		{ "[daemon]\nprefix_cache = maybe\n", 2, "'maybe' is neither yes nor no" },
		{ "[daemon]\nsequences = 4097\n", 2, "between 0 and 4096" },
		{ "[daemon]\norder = random\n", 2, "order: 'random' is none of fair arrival" },
		{ "[daemon]\nkv_type = q8\n", 2, "kv_type: 'q8' is none of auto f32 f16 q8_0 q4_0" },
		{ "[daemon]\nkv_type = auto f32\n", 2, "'auto f32'" },
		{ "[daemon]\nlisten = /run/a\n", 2, "'/run/a' is not unix:PATH" },
		{ "[daemon]\nlisten = unix:\n", 2, "'unix:'" },
		{ "[daemon]\npreload = maybe\n", 2, "'maybe' is neither yes nor no" },
		{ "[daemon]\nlog_level = loud\n", 2, "'loud'" },
		{ "[demon]\nthreads = 3\n", 2, "section 'demon'" },
		{ "threads = 3\n", 1, "section ''" },
		{ "[daemon]\nthreads\n", 2, "key = value" },
		{ "[daemon\nthreads = 1\n", 1, "key = value" },
		{ "[daemon]\nthreads = 1\nthreads = x\nslots = y\n", 3, "'x'" },
	};
	struct config config;
	struct error error;
	char where[64];
	size_t i;

	(void)state;
	for (i = 0; i < ARRAY_SIZE(cases); i++) {
		assert_int_equal(read_text(&config, cases[i].text, &error), -EINVAL);
		snprintf(where, sizeof(where), "%s:%u: ", path, cases[i].line);
		if (!strstr(error.text, cases[i].part) ||
		    strncmp(error.text, where, strlen(where)))
			fail_msg("'%s': '%s'", cases[i].text, error.text);
	}
}

static void test_long_lines(void **state)
{
	struct config config;
	struct error error;
	char text[2048];

	(void)state;
	strcpy(text, "[daemon]\nmodels = ");
	memset(text + strlen("[daemon]\nmodels = "), 'x', 1000);
	strcpy(text + 1018, "\n");
	assert_int_equal(read_text(&config, text, &error), -EINVAL);
	assert_non_null(strstr(error.text, ":2: "));
	assert_non_null(strstr(error.text, "too long"));
}

static void test_no_file(void **state)
{
	struct config config;
	struct error error = { "" };

	(void)state;
	config_init(&config);
	assert_int_equal(config_read(&config, "/nowhere/llmosd.conf", &error), -ENOENT);
	assert_non_null(strstr(error.text, "/nowhere/llmosd.conf"));
	assert_int_equal(config_read(&config, "/", &error), -EIO);
}

static void test_too_many_sockets(void **state)
{
	struct config config;
	struct error error;
	char text[1024] = "[daemon]\n";
	int i;

	(void)state;
	for (i = 0; i <= CONFIG_LISTEN_MAX; i++)
		strcat(text, "listen = unix:/s\n");
	assert_int_equal(read_text(&config, text, &error), -EINVAL);
	assert_non_null(strstr(error.text, "one socket too many"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_all_keys), cmocka_unit_test(test_defaults),
		cmocka_unit_test(test_mistakes), cmocka_unit_test(test_long_lines),
		cmocka_unit_test(test_no_file), cmocka_unit_test(test_too_many_sockets),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("config", tests, setup, teardown);
}
