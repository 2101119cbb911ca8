/* SPDX-License-Identifier: MIT */
/*
 * What tests of hubs' folders share: the fixtures in tests/hub, and a copy of one to break. Include
 * cmocka before this.
 */
#ifndef LLMOS_TESTS_UNIT_HUB_TEST_H
#define LLMOS_TESTS_UNIT_HUB_TEST_H

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/hub.h"
#include "model/json.h"

/* hub_test_path() - of a fixture; the buffer is used again by the next call */
static inline const char *hub_test_path(const char *name)
{
	static char path[PATH_MAX];
	const char *root = getenv("LLMOS_SRC");

	snprintf(path, sizeof(path), "%s/tests/hub/%s", root ? root : ".", name);
	return path;
}

static inline json_t *hub_test_json(const char *folder, const char *file)
{
	struct error error = { "" };
	json_t *json = NULL;

	if (json_read(&json, folder, file, 1 << 20, &error) < 0)
		fail_msg("%s", error.text);
	return json;
}

/* a folder of links to the files of a fixture, which a test replaces some of */
struct hub_copy {
	char path[64];
};

static inline void hub_copy_new(struct hub_copy *copy, const char *fixture)
{
	char *from = realpath(hub_test_path(fixture), NULL);
	struct dirent *entry;
	DIR *dir;

	assert_non_null(from);
	snprintf(copy->path, sizeof(copy->path), "/tmp/llmos-hub-XXXXXX");
	assert_non_null(mkdtemp(copy->path));
	dir = opendir(from);
	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char old[PATH_MAX + 256], new[PATH_MAX];

		if (entry->d_name[0] == '.')
			continue;
		snprintf(old, sizeof(old), "%s/%s", from, entry->d_name);
		snprintf(new, sizeof(new), "%s/%s", copy->path, entry->d_name);
		assert_int_equal(symlink(old, new), 0);
	}
	closedir(dir);
	free(from);
}

static inline void hub_copy_free(struct hub_copy *copy)
{
	struct dirent *entry;
	DIR *dir = opendir(copy->path);

	assert_non_null(dir);
	while ((entry = readdir(dir))) {
		char path[PATH_MAX];

		snprintf(path, sizeof(path), "%s/%s", copy->path, entry->d_name);
		if (entry->d_name[0] != '.')
			unlink(path);
	}
	closedir(dir);
	assert_int_equal(rmdir(copy->path), 0);
}

static inline void hub_copy_remove(const struct hub_copy *copy, const char *file)
{
	char path[PATH_MAX];

	snprintf(path, sizeof(path), "%s/%s", copy->path, file);
	unlink(path);
}

static inline void hub_copy_write(const struct hub_copy *copy, const char *file, const void *data,
				  size_t size)
{
	char path[PATH_MAX];
	FILE *out;

	hub_copy_remove(copy, file);
	snprintf(path, sizeof(path), "%s/%s", copy->path, file);
	out = fopen(path, "w");
	assert_non_null(out);
	assert_int_equal(fwrite(data, 1, size, out), size);
	assert_int_equal(fclose(out), 0);
}

/* hub_copy_set() - a value in a JSON file, by the keys that lead to it; NULL: away with it */
static inline void hub_copy_set(const struct hub_copy *copy, const char *file, const char *path,
				const char *value)
{
	json_t *json = hub_test_json(copy->path, file), *at = json;
	char keys[128], *key = keys, *dot, *text;

	snprintf(keys, sizeof(keys), "%s", path);
	for (; (dot = strchr(key, '/')); key = dot + 1) {
		*dot = 0;
		at = json_is_array(at) ? json_array_get(at, (size_t)atoi(key)) :
					 json_object_get(at, key);
		assert_non_null(at);
	}
	if (value && json_is_array(at))
		assert_int_equal(json_array_set_new(at, (size_t)atoi(key),
						    json_loads(value, JSON_DECODE_ANY, NULL)), 0);
	else if (value)
		assert_int_equal(json_object_set_new(at, key,
						     json_loads(value, JSON_DECODE_ANY, NULL)), 0);
	else
		json_object_del(at, key);
	text = json_dumps(json, 0);
	hub_copy_write(copy, file, text, strlen(text));
	free(text);
	json_decref(json);
}

/* hub_copy_refuse() - it must not open, and the error must say @text */
static inline void hub_copy_refuse(const struct hub_copy *copy, int want, const char *text)
{
	struct error error = { "" };
	struct gguf *gguf = NULL;
	int r = hub_open(&gguf, copy->path, &error);

	if (r != want || !strstr(error.text, text))
		fail_msg("%d '%s', not %d with '%s'", r, error.text, want, text);
	assert_null(gguf);
}

#endif /* LLMOS_TESTS_UNIT_HUB_TEST_H */
