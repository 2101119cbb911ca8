/* SPDX-License-Identifier: MIT */
/* Where models lie; see model_place.h. */
#include "sched/model_place.h"

#include <dirent.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include "base/clock.h"
#include "model/gguf.h"

#define FILE_SUFFIX	".gguf"

static bool has_suffix(const char *name, const char *suffix)
{
	size_t len = strlen(name), n = strlen(suffix);

	return len > n && !strcmp(name + len - n, suffix);
}

/* "<folder>/<file>", without links; NULL: errno says why */
static char *resolve(const char *folder, const char *file)
{
	_cleanup_free_ char *path = NULL;

	if (asprintf(&path, "%s/%s", folder, file) < 0) {
		path = NULL;
		errno = ENOMEM;
		return NULL;
	}
	return realpath(path, NULL);
}

static bool is_inside(const char *directory, const char *path)
{
	size_t len = strlen(directory);

	return !strncmp(path, directory, len) && path[len] == '/';
}

static uint64_t changed_ns(const struct stat *st)
{
	return (uint64_t)st->st_ctim.tv_sec * NS_PER_S + (uint64_t)st->st_ctim.tv_nsec;
}

/* ---- names ---- */

static bool is_hub_folder(const char *directory, const char *entry, const char *marker)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (asprintf(&path, "%s/%s/%s", directory, entry, marker) < 0) {
		path = NULL;
		return false;
	}
	return !lstat(path, &st);
}

int model_place_name(const char *directory, const char *marker, const char *entry, char *name,
		     size_t size)
{
	size_t len = strlen(entry);
	struct gguf_part part;

	if (*entry == '.')
		return -ENOENT;
	if (gguf_part_of(entry, &part))
		len = part.len;
	else if (has_suffix(entry, FILE_SUFFIX))
		len -= strlen(FILE_SUFFIX);
	else if (!is_hub_folder(directory, entry, marker))
		return -ENOENT;
	if (len >= size)
		return -ENAMETOOLONG;
	snprintf(name, size, "%.*s", (int)len, entry);
	return 0;
}

/* ---- a file ---- */

/* one file in a folder that is the models folder, or in it */
static int find_file(const char *directory, const char *folder, const char *file,
		     struct model_place *ret, struct error *error)
{
	_cleanup_free_ char *real = resolve(folder, file);
	struct stat st;

	if (!real || stat(real, &st) < 0)
		return error_set(error, -errno, "'%s/%s': %s", folder, file, strerror(errno));
	ret->size_bytes = (uint64_t)st.st_size;
	ret->device = st.st_dev;
	ret->changed_ns = changed_ns(&st);
	if (!is_inside(directory, real))
		return error_set(error, -EPERM, "'%s/%s' points out of the models folder", folder,
				 file);
	if (!S_ISREG(st.st_mode))
		return error_set(error, -EBADMSG, "'%s/%s' is not a file", folder, file);
	ret->path = steal_ptr(real);
	return 0;
}

/* ---- several files ---- */

/* of how many files this model is made, by the name of its first one; 0: there is none */
static uint32_t count_parts(const char *directory, const char *name)
{
	const struct dirent *entry;
	struct gguf_part part;
	DIR *dir = opendir(directory);
	uint32_t count = 0;

	if (!dir)
		return 0;
	while ((entry = readdir(dir)))
		if (gguf_part_of(entry->d_name, &part) && part.len == strlen(name) &&
		    !memcmp(entry->d_name, name, part.len) &&
		    (!count || part.count < count))
			count = part.count;
	closedir(dir);
	return count;
}

/* What is at fault with one of them is so with the model: that it is not there, above all. */
static int find_parts(const char *directory, const char *folder, const char *name, uint32_t count,
		      struct model_place *ret, struct error *error)
{
	_cleanup_free_ char *first = gguf_part_name(name, strlen(name), 1, count);
	_cleanup_free_ char *path = NULL;

	for (uint32_t i = 1; i <= count; i++) {
		_cleanup_free_ char *file = gguf_part_name(name, strlen(name), i, count);
		struct model_place part = { 0 };
		struct error inner;
		int r = file ? find_file(directory, folder, file, &part, &inner) : -ENOMEM;

		free(part.path);
		if (i == 1)
			ret->device = part.device;
		ret->size_bytes += part.size_bytes;
		ret->changed_ns = MAX(ret->changed_ns, part.changed_ns);
		if (!file)
			return error_set(error, r, "%s", strerror(ENOMEM));
		if (r < 0)
			return error_set(error, r == -ENOENT ? -EBADMSG : r, "%s", inner.text);
	}
	/* the others are found by the name of the first one, not by that of what it may point at */
	if (!first || asprintf(&path, "%s/%s", folder, first) < 0) {
		path = NULL;
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	}
	ret->path = steal_ptr(path);
	return 0;
}

/* A link may lead to the first of several: then all of them are the model. */
static int find_linked(const char *directory, const char *file, struct model_place *ret,
		       struct error *error)
{
	_cleanup_free_ char *first = NULL;
	struct gguf_part part;
	char *name;
	int r = find_file(directory, directory, file, ret, error);

	if (r < 0 || !gguf_part_of(ret->path, &part) || part.number != 1 || part.count == 1)
		return r;
	first = ret->path;
	*ret = (struct model_place){ 0 };
	first[part.len] = '\0';
	name = strrchr(first, '/');
	*name++ = '\0';
	return find_parts(directory, first, name, part.count, ret, error);
}

/* ---- a folder ---- */

/* files that opening a model may read */
static bool is_read(const char *file)
{
	return has_suffix(file, ".json") || has_suffix(file, ".safetensors") ||
	       has_suffix(file, ".jinja") || !strcmp(file, "README.md");
}

static int look_at(const char *directory, const char *folder, const char *file,
		   struct model_place *place, struct error *error)
{
	_cleanup_free_ char *real = resolve(folder, file);
	struct stat st;

	if (!real || stat(real, &st) < 0)
		return error_set(error, -errno, "'%s/%s': %s", folder, file, strerror(errno));
	place->changed_ns = MAX(place->changed_ns, changed_ns(&st));
	if (has_suffix(file, ".safetensors"))
		place->size_bytes += (uint64_t)st.st_size;
	if (!is_inside(directory, real))
		return error_set(error, -EPERM, "'%s/%s' points out of the models folder", folder,
				 file);
	return 0;
}

/* a folder in the folder may have settings of its own: of how vectors are pooled */
static bool has_settings(const char *folder, const char *entry, char *file, size_t size)
{
	_cleanup_free_ char *path = NULL;
	struct stat st;

	if (*entry == '.' || snprintf(file, size, "%s/config.json", entry) >= (int)size ||
	    asprintf(&path, "%s/%s", folder, file) < 0) {
		path = NULL;
		return false;
	}
	return !lstat(path, &st);
}

/* all files, also behind one that is wrong: what is seen decides whether anything has changed */
static int look_at_all(const char *directory, struct model_place *place, struct error *error)
{
	const struct dirent *entry;
	struct error first;
	DIR *dir = opendir(place->path);
	int r = 0;

	if (!dir)
		return error_set(error, -errno, "'%s': %s", place->path, strerror(errno));
	while ((entry = readdir(dir))) {
		const char *file = entry->d_name;
		char inner[NAME_MAX + 16];
		int e = 0;

		if (has_settings(place->path, file, inner, sizeof(inner)))
			file = inner;
		if (is_read(file))
			e = look_at(directory, place->path, file, place, &first);
		if (e < 0 && !r)
			r = error_set(error, e, "%s", first.text);
	}
	closedir(dir);
	return r;
}

static int find_folder(const char *directory, const char *name, struct model_place *ret,
		       struct error *error)
{
	_cleanup_free_ char *real = resolve(directory, name);
	struct stat st;
	int r;

	if (!real || stat(real, &st) < 0)
		return error_set(error, -errno, "'%s/%s': %s", directory, name, strerror(errno));
	ret->device = st.st_dev;
	ret->changed_ns = changed_ns(&st);
	if (!is_inside(directory, real))
		return error_set(error, -EPERM, "'%s/%s' points out of the models folder", directory,
				 name);
	ret->path = steal_ptr(real);
	r = look_at_all(directory, ret, error);
	if (r < 0) {
		free(ret->path);
		ret->path = NULL;
	}
	return r;
}

int model_place_find(const char *directory, const char *marker, const char *name,
		     struct model_place *ret, struct error *error)
{
	_cleanup_free_ char *file = NULL, *path = NULL;
	struct stat st;
	uint32_t parts;

	*ret = (struct model_place){ 0 };
	if (asprintf(&file, "%s" FILE_SUFFIX, name) < 0) {
		file = NULL;
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	}
	if (asprintf(&path, "%s/%s", directory, file) < 0) {
		path = NULL;
		return error_set(error, -ENOMEM, "%s", strerror(ENOMEM));
	}
	if (!lstat(path, &st))
		return find_linked(directory, file, ret, error);
	if (is_hub_folder(directory, name, marker))
		return find_folder(directory, name, ret, error);
	parts = count_parts(directory, name);
	return parts ? find_parts(directory, directory, name, parts, ret, error) :
		       find_file(directory, directory, file, ret, error);
}
