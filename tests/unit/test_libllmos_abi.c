/* SPDX-License-Identifier: MIT */
/*
 * The shared library exports what llmos.h declares, no more and no less, and under the version that
 * libllmos.map gives it; and each call has its manual page. Runs in the repository, beside the library it was built with.
 */
#include <dlfcn.h>
#include <elf.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

#define HEADER	"libllmos-user/include/llmos.h"
#define MAP	"libllmos-user/libllmos.map"
#define NAMES_MAX	256

struct names {
	char name[NAMES_MAX][64];
	size_t count;
};

static void names_add(struct names *names, const char *name, size_t len)
{
	assert_true(names->count < NAMES_MAX && len < sizeof(names->name[0]));
	memcpy(names->name[names->count], name, len);
	names->name[names->count++][len] = '\0';
}

static int names_compare(const void *a, const void *b)
{
	return strcmp(a, b);
}

static void names_sort(struct names *names)
{
	qsort(names->name, names->count, sizeof(names->name[0]), names_compare);
}

static void names_equal(struct names *a, const char *where_a, struct names *b, const char *where_b)
{
	size_t i;

	names_sort(a);
	names_sort(b);
	for (i = 0; i < a->count && i < b->count; i++)
		if (strcmp(a->name[i], b->name[i]))
			fail_msg("'%s' in %s, '%s' in %s", a->name[i], where_a, b->name[i],
				 where_b);
	assert_int_equal(a->count, b->count);
	assert_true(a->count > 10);
}

static char *read_whole(const char *path)
{
	FILE *file = fopen(path, "re");
	char *text = calloc(1, 1 << 20);

	if (!file)
		fail_msg("no '%s' (this runs in the repository)", path);
	assert_non_null(text);
	assert_true(fread(text, 1, (1 << 20) - 1, file) > 0);
	fclose(file);
	return text;
}

static size_t name_len(const char *text)
{
	return strspn(text, "abcdefghijklmnopqrstuvwxyz_0123456789");
}

/* the name in front of the first parenthesis behind each LLMOS_API */
static void names_of_header(struct names *names)
{
	char *text = read_whole(HEADER), *at = text;

	while ((at = strstr(at, "\nLLMOS_API "))) {
		const char *end = strchr(at + 1, '('), *name = end;

		assert_non_null(end);
		while (name_len(name - 1))
			name--;
		names_add(names, name, end - name);
		at++;
	}
	free(text);
}

static void names_of_map(struct names *names)
{
	char *text = read_whole(MAP), *at = text;

	while ((at = strstr(at, "\n\tllmos_"))) {
		at += 2;
		assert_int_equal(at[name_len(at)], ';');
		names_add(names, at, name_len(at));
	}
	free(text);
}

/* ---- the library ---- */

static void *open_library(void)
{
	char path[PATH_MAX];
	ssize_t n = readlink("/proc/self/exe", path, sizeof(path) - 64);
	void *library;
	int up;

	assert_true(n > 0);
	path[n] = '\0';
	/* build/tests/unit/NAME */
	for (up = 0; up < 3; up++)
		*strrchr(path, '/') = '\0';
	strcat(path, "/libllmos.so.0");
	library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	if (!library)
		fail_msg("%s", dlerror());
	return library;
}

/* an address of the dynamic section; some loaders relocate these, some do not */
static const void *dynamic_at(const struct link_map *map, ElfW(Addr) value)
{
	return (const void *)(value < map->l_addr ? map->l_addr + value : value);
}

/* number of dynamic symbols: the highest one in the GNU hash table's chains, plus one */
static size_t symbol_count(const uint32_t *hash)
{
	uint32_t buckets = hash[0], offset = hash[1], words = hash[2], last = 0, i;
	const uint32_t *bucket = hash + 4 + words * (sizeof(ElfW(Addr)) / 4);
	const uint32_t *chain = bucket + buckets;

	for (i = 0; i < buckets; i++)
		if (bucket[i] > last)
			last = bucket[i];
	if (!last)
		return 0;
	while (!(chain[last - offset] & 1))
		last++;
	return last + 1;
}

static void names_of_library(void *library, struct names *names)
{
	const struct link_map *map;
	const ElfW(Sym) *symbols = NULL;
	const ElfW(Dyn) *entry;
	const uint32_t *hash = NULL;
	const char *strings = NULL;
	size_t i, count;

	assert_int_equal(dlinfo(library, RTLD_DI_LINKMAP, &map), 0);
	for (entry = map->l_ld; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			symbols = dynamic_at(map, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_STRTAB)
			strings = dynamic_at(map, entry->d_un.d_ptr);
		else if (entry->d_tag == DT_GNU_HASH)
			hash = dynamic_at(map, entry->d_un.d_ptr);
	}
	assert_true(symbols && strings && hash);
	count = symbol_count(hash);
	for (i = 1; i < count; i++) {
		const char *name = strings + symbols[i].st_name;

		if (symbols[i].st_shndx != SHN_UNDEF && symbols[i].st_shndx != SHN_ABS)
			names_add(names, name, strlen(name));
	}
}

static void test_map(void **state)
{
	static struct names header, map;

	(void)state;
	names_of_header(&header);
	names_of_map(&map);
	names_equal(&header, HEADER, &map, MAP);
}

static void test_exports(void **state)
{
	static struct names header, exported;
	void *library = open_library();

	(void)state;
	names_of_header(&header);
	names_of_library(library, &exported);
	names_equal(&header, HEADER, &exported, "the library");
	dlclose(library);
}

static void test_version(void **state)
{
	void *library = open_library();
	const char *(*version)(void);
	size_t i;
	static struct names header;

	(void)state;
	names_of_header(&header);
	for (i = 0; i < header.count; i++)
		if (!dlvsym(library, header.name[i], "LLMOS_0.1"))
			fail_msg("'%s' is not of LLMOS_0.1", header.name[i]);
	version = (const char *(*)(void))dlsym(library, "llmos_version");
	assert_string_equal(version(), LLMOS_VERSION);
	dlclose(library);
}

/* each call has a manual page that tells how it is called and what it returns */
static void test_manual(void **state)
{
	static struct names header;
	size_t i;

	(void)state;
	names_of_header(&header);
	for (i = 0; i < header.count; i++) {
		char path[128], name[80], *text;

		snprintf(path, sizeof(path), "Documentation/man/%s.3", header.name[i]);
		snprintf(name, sizeof(name), "%s(", header.name[i]);
		text = read_whole(path);
		if (!strstr(text, name) || !strstr(text, ".SH RETURN VALUE") ||
		    !strstr(text, ".SH SYNOPSIS"))
			fail_msg("'%s' does not tell of '%s'", path, header.name[i]);
		free(text);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_exports),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_manual),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
