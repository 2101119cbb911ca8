/* SPDX-License-Identifier: MIT */
/*
 * Where a model lies: which entries of the folder are one, or one together, and which of several
 * forms under one name counts.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <cmocka.h>

#include "sched/model_place.h"

#define MARKER	"config.json"
#define ANY	UINT64_MAX	/* of a size */

static char top[64], folder[96];

static const char *at(const char *file)
{
	static char path[256];

	snprintf(path, sizeof(path), "%s/%s", folder, file);
	return path;
}

static void put(const char *file, size_t len)
{
	FILE *f = fopen(at(file), "we");

	assert_non_null(f);
	for (size_t i = 0; i < len; i++)
		fputc('x', f);
	assert_int_equal(fclose(f), 0);
}

static int setup(void **state)
{
	(void)state;
	strcpy(top, "/tmp/test_model_place.XXXXXX");
	assert_non_null(mkdtemp(top));
	snprintf(folder, sizeof(folder), "%s/models", top);
	return mkdir(folder, 0700);
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf '%s'", top);
	return system(command);
}

static void named(const char *entry, int want, const char *want_name)
{
	char name[32] = "";

	assert_int_equal(model_place_name(folder, MARKER, entry, name, sizeof(name)), want);
	if (!want)
		assert_string_equal(name, want_name);
}

static void found(const char *name, const char *want, uint64_t size_bytes)
{
	struct model_place place;
	struct error error = { 0 };
	int r = model_place_find(folder, MARKER, name, &place, &error);

	if (r < 0)
		fail_msg("%s: %d: %s", name, r, error.text);
	assert_string_equal(place.path, at(want));
	assert_int_equal(place.size_bytes, size_bytes);
	assert_true(place.changed_ns);
	free(place.path);
}

static void refused(const char *name, int want, const char *text, uint64_t size_bytes)
{
	struct model_place place;
	struct error error = { 0 };

	assert_int_equal(model_place_find(folder, MARKER, name, &place, &error), want);
	assert_null(place.path);
	if (size_bytes != ANY)
		assert_int_equal(place.size_bytes, size_bytes);
	if (!strstr(error.text, text))
		fail_msg("'%s' does not say '%s'", error.text, text);
}

static void test_names(void **state)
{
	(void)state;
	named("a.gguf", 0, "a");
	named("a-00001-of-00003.gguf", 0, "a");
	named("a-00003-of-00003.gguf", 0, "a");
	named("a-00004-of-00003.gguf", 0, "a-00004-of-00003");
	named(".a.gguf", -ENOENT, NULL);
	named(".gguf", -ENOENT, NULL);
	named("readme", -ENOENT, NULL);
	named("a-00001-of-00003", -ENOENT, NULL);
	named("a-name-of-thirty-two-characters-.gguf", -ENAMETOOLONG, NULL);
	named("a-name-of-thirty-two-characters--00001-of-00003.gguf", -ENAMETOOLONG, NULL);
	named("a-name-of-thirty-one-characters-00001-of-00003.gguf", 0,
	      "a-name-of-thirty-one-characters");
	assert_int_equal(mkdir(at("hub"), 0700), 0);
	named("hub", -ENOENT, NULL);
	put("hub/" MARKER, 1);
	named("hub", 0, "hub");
}

static void test_forms(void **state)
{
	(void)state;
	refused("m", -ENOENT, "m.gguf': No such file", 0);
	put("m-00001-of-00002.gguf", 3);
	put("m-00002-of-00002.gguf", 5);
	found("m", "m-00001-of-00002.gguf", 8);
	/* a folder comes before it, and a file before that */
	assert_int_equal(mkdir(at("m"), 0700), 0);
	put("m/" MARKER, 1);
	put("m/model.safetensors", 7);
	found("m", "m", 7);
	put("m.gguf", 2);
	found("m", "m.gguf", 2);
	/* names that begin alike are others */
	put("mm-00001-of-00001.gguf", 4);
	found("mm", "mm-00001-of-00001.gguf", 4);
	refused("m-00001-of-00001", -ENOENT, "No such file", 0);
}

static void test_parts(void **state)
{
	(void)state;
	put("m-00001-of-00003.gguf", 3);
	put("m-00003-of-00003.gguf", 5);
	refused("m", -EBADMSG, "m-00002-of-00003.gguf': No such file", 3);
	/* a link may lead to where the folder is, and no farther */
	assert_int_equal(symlink("m-00001-of-00003.gguf", at("m-00002-of-00003.gguf")), 0);
	found("m", "m-00001-of-00003.gguf", 11);
	unlink(at("m-00002-of-00003.gguf"));
	assert_int_equal(symlink("/etc/passwd", at("m-00002-of-00003.gguf")), 0);
	refused("m", -EPERM, "points out of the models folder", ANY);
	unlink(at("m-00002-of-00003.gguf"));
	assert_int_equal(mkdir(at("m-00002-of-00003.gguf"), 0700), 0);
	refused("m", -EBADMSG, "is not a file", ANY);
	/* of two sets the smaller one, each time: what a folder is read like is by chance */
	put("m-00001-of-00001.gguf", 9);
	found("m", "m-00001-of-00001.gguf", 9);
}

/* a name of its own for what is split: all of it is found, and must be in the folder */
static void test_linked(void **state)
{
	(void)state;
	assert_int_equal(mkdir(at("store"), 0700), 0);
	put("store/big-00001-of-00002.gguf", 3);
	put("store/big-00002-of-00002.gguf", 5);
	assert_int_equal(symlink("store/big-00001-of-00002.gguf", at("m.gguf")), 0);
	found("m", "store/big-00001-of-00002.gguf", 8);
	unlink(at("store/big-00002-of-00002.gguf"));
	refused("m", -EBADMSG, "big-00002-of-00002.gguf': No such file", 3);
	assert_int_equal(symlink("/etc/passwd", at("store/big-00002-of-00002.gguf")), 0);
	refused("m", -EPERM, "points out of the models folder", ANY);
	/* any other one is not where to begin, which who opens it says */
	unlink(at("m.gguf"));
	put("store/big-00003-of-00003.gguf", 7);
	assert_int_equal(symlink("store/big-00003-of-00003.gguf", at("m.gguf")), 0);
	found("m", "store/big-00003-of-00003.gguf", 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_names, setup, teardown),
		cmocka_unit_test_setup_teardown(test_forms, setup, teardown),
		cmocka_unit_test_setup_teardown(test_parts, setup, teardown),
		cmocka_unit_test_setup_teardown(test_linked, setup, teardown),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
