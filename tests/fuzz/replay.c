/* SPDX-License-Identifier: MIT */
/*
 * Feeds each file of a corpus to a fuzz target, without a fuzzer: what was found once stays fixed.
 * The program's name says which corpus: replay_NAME reads tests/fuzz/corpus/NAME, below LLMOS_SRC
 * or else the current directory; an argument names another folder. Prints TAP.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static int is_file(const struct dirent *entry)
{
	return entry->d_name[0] != '.';
}

/* the file in memory of exactly its size, so that sanitizers see what reads past it */
static uint8_t *read_file(const char *path, size_t *ret_size)
{
	FILE *file = fopen(path, "r");
	struct stat st;
	uint8_t *data;

	if (!file)
		return NULL;
	if (fstat(fileno(file), &st) < 0) {
		fclose(file);
		return NULL;
	}
	*ret_size = (size_t)st.st_size;
	data = malloc(*ret_size ? *ret_size : 1);
	if (data && fread(data, 1, *ret_size, file) != *ret_size) {
		free(data);
		data = NULL;
	}
	fclose(file);
	return data;
}

static int replay_file(const char *dir, const char *name, int number)
{
	char path[PATH_MAX + NAME_MAX + 2];
	uint8_t *data;
	size_t size;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	data = read_file(path, &size);
	if (!data) {
		printf("not ok %d - %s: %s\n", number, name, strerror(errno));
		return 1;
	}
	/* a target that is not content ends the program; this says where */
	printf("# %s, %zu bytes\n", name, size);
	fflush(stdout);
	LLVMFuzzerTestOneInput(data, size);
	free(data);
	printf("ok %d - %s\n", number, name);
	return 0;
}

static void corpus_dir(const char *program, char *path, size_t size)
{
	const char *root = getenv("LLMOS_SRC"), *name = strrchr(program, '/');

	name = name ? name + 1 : program;
	if (!strncmp(name, "replay_", 7))
		name += 7;
	snprintf(path, size, "%s/tests/fuzz/corpus/%s", root ? root : ".", name);
}

int main(int argc, char **argv)
{
	struct dirent **entries;
	char dir[PATH_MAX];
	int n, failed = 0;

	if (argc > 1)
		snprintf(dir, sizeof(dir), "%s", argv[1]);
	else
		corpus_dir(argv[0], dir, sizeof(dir));
	n = scandir(dir, &entries, is_file, alphasort);
	if (n <= 0) {
		printf("1..1\nnot ok 1 - no corpus at '%s': %s\n", dir,
		       n < 0 ? strerror(errno) : "it is empty");
		return 1;
	}
	printf("1..%d\n", n);
	for (int i = 0; i < n; i++) {
		failed += replay_file(dir, entries[i]->d_name, i + 1);
		free(entries[i]);
	}
	free(entries);
	return failed ? 1 : 0;
}
