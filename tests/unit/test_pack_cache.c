/* SPDX-License-Identifier: MIT */
/*
 * Packed weights on the disk: the second start finds them and computes the same bits; a file that
 * is cut off, changed, of another model, or in hands of others is packed anew; where nothing can be
 * kept the model is loaded all the same; and the folder stays within its bound.
 */
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/file.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include "model/gguf.h"
#include "tests/numeric/engine_test.h"
#include "tests/unit/pages.h"

#define TOKENS		12U
#define HEADER_BYTES	4096

static char root[64], model_path[128], other_path[128], folder[128];
static float *truth;		/* (TOKENS, vocab), without a folder */

static void copy_file(const char *from, const char *to)
{
	char command[1024];

	snprintf(command, sizeof(command), "cp '%s' '%s'", from, to);
	assert_int_equal(system(command), 0);
}

static void empty_folder(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -rf '%s'", folder);
	assert_int_equal(system(command), 0);
}

/* load() - and what is computed with it against what it should be */
static void load_bounded(struct engine_test *t, const char *path, const char *pack_cache,
			 uint64_t bytes)
{
	const struct engine_config config = {
		.threads = 2, .max_seqs = 1, .logits_rows = TOKENS, .context = 64,
		.pack_cache = pack_cache, .pack_cache_bytes = bytes,
	};
	uint32_t tokens[TOKENS];
	float *logits;

	engine_test_open(t, path, &config);
	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = (i * 37 + 5) % t->info.vocab;
	logits = calloc((size_t)TOKENS * t->info.vocab, sizeof(*logits));
	assert_non_null(logits);
	engine_test_feed(t, engine_test_seq(t, TOKENS), tokens, TOKENS, 5, logits);
	if (!truth)
		truth = logits;
	assert_memory_equal(logits, truth, (size_t)TOKENS * t->info.vocab * sizeof(*logits));
	if (logits != truth)
		free(logits);
}

static enum engine_packed load_as(const char *path, uint64_t bytes)
{
	struct engine_test t;
	enum engine_packed packed;

	load_bounded(&t, path, folder, bytes);
	packed = t.info.packed;
	assert_true(packed == ENGINE_PACKED_NONE || t.info.packed_bytes > 0);
	/* what is not as hoped for is told */
	if (*engine_model_pack_note(t.model))
		fprintf(stderr, "# %s\n", engine_model_pack_note(t.model));
	else
		assert_int_not_equal(packed, ENGINE_PACKED_MEMORY);
	engine_test_close(&t);
	return packed;
}

static enum engine_packed load(void)
{
	return load_as(model_path, 0);
}

/* the file of a folder that has one; how many there are */
static unsigned int kept_file(char *ret, size_t size)
{
	DIR *dir = opendir(folder);
	const struct dirent *entry;
	unsigned int count = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)))
		if (entry->d_name[0] != '.') {
			snprintf(ret, size, "%s/%s", folder, entry->d_name);
			count++;
		}
	closedir(dir);
	return count;
}

static void kept_new(char *ret, size_t size)
{
	empty_folder();
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	assert_int_equal(kept_file(ret, size), 1);
}

static void change_byte(const char *path, off_t at)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);
	uint8_t byte;

	assert_true(fd >= 0);
	assert_int_equal(pread(fd, &byte, 1, at), 1);
	byte ^= 0x10;
	assert_int_equal(pwrite(fd, &byte, 1, at), 1);
	close(fd);
}

static off_t size_of(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_size;
}

static void test_second_start(void **state)
{
	char kept[512];
	struct stat st;

	(void)state;
	kept_new(kept, sizeof(kept));
	assert_int_equal(stat(kept, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0600);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0700);
	assert_int_equal(load(), ENGINE_PACKED_FOUND);
	assert_int_equal(load(), ENGINE_PACKED_FOUND);
	/* two of one process at once share it */
	assert_int_equal(kept_file(kept, sizeof(kept)), 1);
}

static void test_sizes(void **state)
{
	struct engine_test t;
	char kept[512];

	(void)state;
	kept_new(kept, sizeof(kept));
	load_bounded(&t, model_path, folder, 0);
	assert_int_equal(size_of(kept), t.info.packed_bytes + HEADER_BYTES);
	assert_true(t.info.packed_bytes > t.info.file_bytes / 2);
	assert_true(t.info.packed_bytes < t.info.file_bytes * 11 / 10);
	engine_test_close(&t);
}

/* panels stand in for the file: its pages are not mapped as well, however they came about */
static void test_source_unmapped(void **state)
{
	const char *const folders[] = {
		[ENGINE_PACKED_MEMORY] = NULL,
		[ENGINE_PACKED_KEPT] = folder,
		[ENGINE_PACKED_FOUND] = folder,
	};

	(void)state;
	empty_folder();
	for (unsigned int i = ENGINE_PACKED_MEMORY; i < ARRAY_SIZE(folders); i++) {
		const struct gguf_tensor *tensor;
		struct engine_test t;

		load_bounded(&t, model_path, folders[i], 0);
		assert_int_equal(t.info.packed, i);
		tensor = gguf_tensor_at(engine_model_gguf(t.model), 0);
		assert_true(pages_resident_kib((uintptr_t)tensor->data) <
			    t.info.file_bytes / 1024 / 8);
		engine_test_close(&t);
	}
}

static void test_truncated(void **state)
{
	static const off_t lengths[] = { 0, 1, 100, HEADER_BYTES - 1, HEADER_BYTES };
	char kept[512];

	(void)state;
	for (size_t i = 0; i <= ARRAY_SIZE(lengths); i++) {
		kept_new(kept, sizeof(kept));
		assert_int_equal(truncate(kept, i < ARRAY_SIZE(lengths) ? lengths[i]
									: size_of(kept) - 1),
				 0);
		assert_int_equal(load(), ENGINE_PACKED_KEPT);
		assert_int_equal(load(), ENGINE_PACKED_FOUND);
	}
	kept_new(kept, sizeof(kept));
	assert_int_equal(truncate(kept, size_of(kept) + 4096), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
}

/* each field of the header, the path, what is unused, and the checksum */
static void test_header(void **state)
{
	static const off_t places[] = {
		0, 7, 8, 12, 16, 24, 32, 40, 48, 56, 64, 72, 80, 2000, 3143, 3144, 4000,
		HEADER_BYTES - 8, HEADER_BYTES - 1,
	};
	char kept[512];

	(void)state;
	kept_new(kept, sizeof(kept));
	for (size_t i = 0; i < ARRAY_SIZE(places); i++) {
		change_byte(kept, places[i]);
		assert_int_equal(load(), ENGINE_PACKED_KEPT);
		assert_int_equal(load(), ENGINE_PACKED_FOUND);
	}
}

/* another file under the same name: of other size, time or inode */
static void test_source_replaced(void **state)
{
	const struct timespec times[2] = { { 1000000, 0 }, { 1000000, 0 } };
	char kept[512], new_path[160];

	(void)state;
	kept_new(kept, sizeof(kept));
	snprintf(new_path, sizeof(new_path), "%s.new", model_path);
	copy_file(model_path, new_path);
	assert_int_equal(rename(new_path, model_path), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	assert_int_equal(load(), ENGINE_PACKED_FOUND);
	assert_int_equal(utimensat(AT_FDCWD, model_path, times, 0), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	assert_int_equal(kept_file(kept, sizeof(kept)), 1);
}

static void test_not_ours(void **state)
{
	char kept[512], link[300];

	(void)state;
	kept_new(kept, sizeof(kept));
	assert_int_equal(chmod(kept, 0620), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	/* a link is not followed, wherever it leads */
	snprintf(link, sizeof(link), "%s/aside", root);
	assert_int_equal(rename(kept, link), 0);
	assert_int_equal(symlink(link, kept), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	assert_int_equal(load(), ENGINE_PACKED_FOUND);
	if (!geteuid()) {
		assert_int_equal(chown(kept, 12345, 0), 0);
		assert_int_equal(load(), ENGINE_PACKED_KEPT);
	}
	/* nor a folder into which others may write */
	assert_int_equal(chmod(folder, 0777), 0);
	assert_int_equal(load(), ENGINE_PACKED_MEMORY);
	assert_int_equal(chmod(folder, 0700), 0);
	assert_int_equal(load(), ENGINE_PACKED_FOUND);
	assert_int_equal(unlink(link), 0);
}

/* nothing can be kept: it is loaded all the same, and nothing is left behind */
static void test_no_room(void **state)
{
	struct rlimit limit, small;
	char kept[512];

	(void)state;
	empty_folder();
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
	small = limit;
	small.rlim_cur = 100000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_int_equal(load(), ENGINE_PACKED_MEMORY);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
	assert_int_equal(kept_file(kept, sizeof(kept)), 0);
	assert_int_equal(load_as(model_path, 100000), ENGINE_PACKED_MEMORY);
	assert_int_equal(kept_file(kept, sizeof(kept)), 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
}

static void test_bad_folder(void **state)
{
	char saved[sizeof(folder)];

	(void)state;
	strcpy(saved, folder);
	snprintf(folder, sizeof(folder), "%.60s/none/there", root);
	assert_int_equal(load(), ENGINE_PACKED_MEMORY);
	snprintf(folder, sizeof(folder), "%.127s", model_path);
	assert_int_equal(load(), ENGINE_PACKED_MEMORY);
	strcpy(folder, saved);
}

/* another process writes there: this one does without */
static void test_locked(void **state)
{
	char kept[512];
	int fd;

	(void)state;
	kept_new(kept, sizeof(kept));
	assert_int_equal(unlink(kept), 0);
	fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(flock(fd, LOCK_EX), 0);
	assert_int_equal(load(), ENGINE_PACKED_MEMORY);
	close(fd);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
}

/* the older one goes for the newer one; and what is left of a crash, and of models that are gone */
static void test_bound(void **state)
{
	char kept[512], part[512];
	uint64_t bytes;
	int fd;

	(void)state;
	kept_new(kept, sizeof(kept));
	bytes = (uint64_t)size_of(kept);
	copy_file(model_path, other_path);
	assert_int_equal(load_as(other_path, 2 * bytes), ENGINE_PACKED_KEPT);
	assert_int_equal(load_as(model_path, 2 * bytes), ENGINE_PACKED_FOUND);
	assert_int_equal(load_as(other_path, 2 * bytes), ENGINE_PACKED_FOUND);
	assert_int_equal(unlink(kept), 0);
	assert_int_equal(load_as(model_path, 2 * bytes - 1), ENGINE_PACKED_KEPT);
	assert_int_equal(kept_file(part, sizeof(part)), 1);
	assert_string_equal(part, kept);
	/* the other model goes, and with it what was kept of it, when somebody looks */
	assert_int_equal(load_as(other_path, 0), ENGINE_PACKED_KEPT);
	assert_int_equal(kept_file(part, sizeof(part)), 2);
	assert_int_equal(unlink(other_path), 0);
	snprintf(part, sizeof(part), "%s/0123456789abcdef.panels.part", folder);
	fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	/* but nothing of anybody else */
	snprintf(part, sizeof(part), "%s/0123.part", folder);
	fd = open(part, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
	assert_true(fd >= 0);
	close(fd);
	change_byte(kept, 0);
	assert_int_equal(load(), ENGINE_PACKED_KEPT);
	snprintf(part, sizeof(part), "%s/0123.part", folder);
	assert_int_equal(unlink(part), 0);
	assert_int_equal(kept_file(part, sizeof(part)), 1);
	assert_string_equal(part, kept);
}

/* @t's logits are those of the truth, in a sequence that is new, and free afterwards */
static void compare_with_truth(struct engine_test *t)
{
	struct engine_seq *seq = engine_test_seq(t, TOKENS);
	const size_t bytes = (size_t)TOKENS * t->info.vocab * sizeof(float);
	uint32_t tokens[TOKENS];
	float *logits = malloc(bytes);

	assert_non_null(logits);
	for (uint32_t i = 0; i < TOKENS; i++)
		tokens[i] = (i * 37 + 5) % t->info.vocab;
	engine_test_feed(t, seq, tokens, TOKENS, 5, logits);
	assert_memory_equal(logits, truth, bytes);
	free(logits);
	engine_seq_free(seq);
}

struct beside {
	struct engine *engine;
	struct engine_model *model;
	atomic_bool is_ended;
	struct error error;
};

static void *load_beside(void *arg)
{
	struct beside *b = arg;

	if (engine_model_load(b->engine, other_path, &b->model, &b->error) < 0)
		b->model = NULL;
	b->is_ended = true;
	return NULL;
}

/* one model is packed while another one is stepped: both compute what they do alone */
static void test_beside(void **state)
{
	const struct engine_config config = {
		.threads = 2, .max_seqs = 2, .logits_rows = TOKENS, .context = 64,
	};
	struct engine_test t;
	unsigned int steps = 0;

	(void)state;
	copy_file(model_path, other_path);
	engine_test_open(&t, model_path, &config);
	for (unsigned int i = 0; i < 10; i++) {
		struct beside b = { .engine = t.engine };
		struct engine_test other = t;
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, load_beside, &b), 0);
		do {
			compare_with_truth(&t);
			steps++;
		} while (!b.is_ended);
		pthread_join(thread, NULL);
		if (!b.model)
			fail_msg("%s", b.error.text);
		other.model = b.model;
		compare_with_truth(&other);
		engine_model_free(b.model);
	}
	fprintf(stderr, "# %u texts computed beside ten models that were packed\n", steps);
	engine_test_close(&t);
}

/* the descriptor that a file is open under */
static int fd_of(const char *path)
{
	DIR *dir = opendir("/proc/self/fd");
	const struct dirent *entry;
	int fd = -1;

	assert_non_null(dir);
	while (fd < 0 && (entry = readdir(dir))) {
		char link[300], target[512] = "";

		snprintf(link, sizeof(link), "/proc/self/fd/%s", entry->d_name);
		if (readlink(link, target, sizeof(target) - 1) > 0 && !strcmp(target, path))
			fd = atoi(entry->d_name);
	}
	closedir(dir);
	assert_true(fd >= 0);
	return fd;
}

/* weights that can't be read are an error of the load, with a folder and without; none are kept */
static void test_source_unreadable(void **state)
{
	char *const folders[] = { folder, NULL };
	struct tokenizer *tokenizer = NULL;
	struct gguf *gguf = NULL;
	int sink = open("/dev/null", O_WRONLY | O_CLOEXEC), fd;
	char kept[512];

	(void)state;
	empty_folder();
	copy_file(model_path, other_path);
	assert_int_equal(gguf_open(&gguf, other_path, NULL), 0);
	assert_int_equal(tok_new(&tokenizer, gguf, NULL), 0);
	fd = fd_of(other_path);
	assert_true(dup2(sink, fd) == fd);
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++) {
		const struct engine_config config = { .threads = 2, .pack_cache = folders[i] };
		struct engine_model *model = NULL;
		struct error error = { "" };
		struct engine *engine;

		assert_int_equal(engine_new(&engine, &config, NULL), 0);
		assert_int_equal(engine_model_load_opened(engine, other_path, gguf, tokenizer,
							  &model, &error), -EBADF);
		assert_null(model);
		assert_non_null(strstr(error.text, "gguf: can't be read at byte"));
		engine_free(engine);
	}
	assert_int_equal(kept_file(kept, sizeof(kept)), 0);
	tok_free(tokenizer);
	gguf_free(gguf);
	close(sink);
}

static int set_up(void **state)
{
	struct engine_test t;
	char source[512];

	(void)state;
	snprintf(root, sizeof(root), "/tmp/llmos-pack-XXXXXX");
	assert_non_null(mkdtemp(root));
	snprintf(model_path, sizeof(model_path), "%s/model.gguf", root);
	snprintf(other_path, sizeof(other_path), "%s/other.gguf", root);
	snprintf(folder, sizeof(folder), "%s/kept", root);
	snprintf(source, sizeof(source), "%s/models/stories3M-q8_0.gguf", engine_test_data());
	if (access(source, R_OK) < 0)
		return 0;
	copy_file(source, model_path);
	load_bounded(&t, model_path, NULL, 0);
	/* a table without panels has nothing to keep */
	if (t.info.packed == ENGINE_PACKED_NONE)
		assert_int_equal(unlink(model_path), 0);
	else
		assert_int_equal(t.info.packed, ENGINE_PACKED_MEMORY);
	engine_test_close(&t);
	return 0;
}

static int tear_down(void **state)
{
	char command[128];

	(void)state;
	free(truth);
	snprintf(command, sizeof(command), "rm -rf '%s'", root);
	return system(command) ? -1 : 0;
}

static int need_panels(void **state)
{
	(void)state;
	if (access(model_path, R_OK) < 0) {
		fprintf(stderr, "# SKIP: no models/stories3M-q8_0.gguf in LLMOS_TEST_DATA, or no "
				"instructions for panels\n");
		skip();
	}
	return 0;
}

#define TEST(function)	cmocka_unit_test_setup(function, need_panels)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_second_start), TEST(test_sizes),     TEST(test_truncated),
		TEST(test_header),	 TEST(test_source_replaced), TEST(test_not_ours),
		TEST(test_no_room),	 TEST(test_bad_folder), TEST(test_locked),
		TEST(test_bound),	 TEST(test_beside),	TEST(test_source_unmapped),
		TEST(test_source_unreadable),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, set_up, tear_down);
}
