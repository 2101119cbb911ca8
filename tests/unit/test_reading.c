/* SPDX-License-Identifier: MIT */
/*
 * Files on a disk that fails: whichever read of an adapter, of a tokenizer or of settings fails, or
 * finds the file cut off, is an error that says so; nothing is touched that is not there.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <sys/syscall.h>

#include "base/mapped.h"
#include "model/gguf_cursor.h"
#include "model/lora_internal.h"
#include "tests/unit/hub_test.h"
#include "tests/unit/lora_build.h"

#define READS_MAX	64	/* of one file or folder */

/* of all reads since disk_arm(), which one fails, and how: 0 bytes are the end of the file */
static unsigned int reads, failing;
static ssize_t failure;

/* in place of the C library's */
ssize_t pread(int fd, void *data, size_t len, off_t at)
{
	if (++reads != failing)
		/* short reads are no failure */
		return syscall(SYS_pread64, fd, data, MIN(len, (size_t)100000), at);
	if (failure < 0)
		errno = EIO;
	return failure;
}

static void disk_arm(unsigned int nth, ssize_t how)
{
	reads = 0;
	failing = nth;
	failure = how;
}

/* what is opened of @path for @model, where it is an adapter; then freed */
typedef int open_fn(const char *path, const struct model *model, struct error *error);

static int open_adapter(const char *path, const struct model *model, struct error *error)
{
	struct lora *lora = NULL;
	int r = lora_open(&lora, path, model, error);

	assert_int_equal(!r, !!lora);
	lora_free(lora);
	return r;
}

static int open_facts(const char *path, const struct model *model, struct error *error)
{
	struct lora_info info;

	(void)model;
	return lora_read_info(&info, path, error);
}

static int open_folder(const char *path, const struct model *model, struct error *error)
{
	struct gguf *gguf = NULL;
	int r = hub_open(&gguf, path, error);

	(void)model;
	assert_int_equal(!r, !!gguf);
	gguf_free(gguf);
	return r;
}

/* every read in turn; @least of them there are */
static void fails_everywhere(open_fn *open, const char *path, const struct model *model,
			     unsigned int least)
{
	static const struct {
		ssize_t failure;
		int status;
		const char *why;
	} ways[] = {
		{ -1, -EIO, "can't be read" },
		{ 0, -EBADMSG, "cut off" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct error error = { "" };
		unsigned int nth;
		int r = -1;

		for (nth = 1; r < 0 && nth < READS_MAX; nth++) {
			disk_arm(nth, ways[i].failure);
			r = open(path, model, &error);
			if (!r)
				break;
			if (r != ways[i].status)
				fail_msg("read %u: status %d: %s", nth, r, error.text);
			if (!strstr(error.text, ways[i].why))
				fail_msg("read %u: '%s' does not say '%s'", nth, error.text,
					 ways[i].why);
		}
		disk_arm(0, 0);
		assert_int_equal(r, 0);
		assert_true(nth > least);
	}
}

/* a model, and an adapter of it as a GGUF file, with all that is open for them */
struct fixture {
	struct gguf *gguf;
	struct model *model;
	char path[64];
	int fd;
};

static void fixture_open(struct fixture *f, const char *shape)
{
	static const struct lora_shape adapter = {
		.rank = 4, .type = KERN_F16, .alpha = 8, .seed = 3, .has_output = true,
	};
	int fd = arch_build(arch_shape_find(shape), KERN_F32);

	gguf_build_path(fd, f->path, sizeof(f->path));
	assert_int_equal(gguf_open(&f->gguf, f->path, NULL), 0);
	close(fd);
	assert_int_equal(model_new(&f->model, f->gguf, NULL), 0);
	f->fd = lora_build(arch_shape_find(shape), &adapter);
	gguf_build_path(f->fd, f->path, sizeof(f->path));
}

static void fixture_close(struct fixture *f)
{
	model_free(f->model);
	gguf_free(f->gguf);
	close(f->fd);
}

static void test_adapter_file(void **state)
{
	static const char *const shapes[] = { "llama", "phi3" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(shapes); i++) {
		struct fixture f;

		fixture_open(&f, shapes[i]);
		/* what is before the tensors, and each of them */
		fails_everywhere(open_adapter, f.path, f.model, 9);
		fails_everywhere(open_facts, f.path, f.model, 1);
		fixture_close(&f);
	}
}

static void test_adapter_folder(void **state)
{
	struct gguf *gguf = NULL;
	struct model *model = NULL;
	char path[PATH_MAX];

	(void)state;
	assert_int_equal(hub_open(&gguf, hub_test_path("llama"), NULL), 0);
	assert_int_equal(model_new(&model, gguf, NULL), 0);
	snprintf(path, sizeof(path), "%s", hub_test_path("adapters/plain"));
	/* the settings, the length of the header, the header, and two halves at least */
	fails_everywhere(open_adapter, path, model, 5);
	fails_everywhere(open_facts, path, NULL, 3);
	model_free(model);
	gguf_free(gguf);
}

/* the tensor that could not be read is named */
static void test_named(void **state)
{
	struct error error = { "" };
	struct fixture f;

	(void)state;
	fixture_open(&f, "llama");
	disk_arm(2, -1);
	assert_int_equal(open_adapter(f.path, f.model, &error), -EIO);
	disk_arm(0, 0);
	assert_non_null(strstr(error.text, "adapter: tensor 'blk.0.attn_q.weight.lora_a'"));
	fixture_close(&f);
}

static void test_model_folder(void **state)
{
	static const char *const folders[] = { "llama", "multilingual", "encoder" };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(folders); i++)
		fails_everywhere(open_folder, hub_test_path(folders[i]), NULL, 2);
}

/* read or mapped, it is the same adapter, byte for byte */
static void test_same(void **state)
{
	struct lora *mapped = NULL, *read = NULL;
	struct lora_file file = { 0 };
	struct fixture f;

	(void)state;
	fixture_open(&f, "qwen2");
	file.is_neox = true;
	assert_int_equal(gguf_open(&file.gguf, f.path, NULL), 0);
	assert_int_equal(lora_bind(&mapped, &file, f.model, NULL), 0);
	assert_int_equal(lora_open(&read, f.path, f.model, NULL), 0);
	assert_int_equal(read->bytes, mapped->bytes);
	for (uint32_t i = 0; i <= lora_site(f.model->hparams.layers, 0); i++) {
		const struct lora_pair *a = &read->pairs[i], *b = &mapped->pairs[i];

		assert_int_equal(a->a.w.rows, b->a.w.rows);
		if (!a->a.w.rows)
			continue;
		assert_memory_equal(a->a.w.data, b->a.w.data, a->a.w.rows * a->a.w.row_bytes);
		assert_memory_equal(a->b.w.data, b->b.w.data, a->b.w.rows * a->b.w.row_bytes);
	}
	lora_free(mapped);
	lora_free(read);
	lora_file_close(&file);
	fixture_close(&f);
}

/* of a file that is mapped, what is gone is an error before it is touched */
static void test_mapped(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE);
	struct error error = { "" };
	struct mapped mapped = { 0 };
	char path[64];
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, 3 * (off_t)page), 0);
	gguf_build_path(fd, path, sizeof(path));
	assert_int_equal(mapped_open(&mapped, path, &error), 0);
	assert_int_equal(mapped_fill(&mapped, 0, 3 * page, &error), 0);
	if (madvise((void *)(uintptr_t)mapped.data, page, MADV_POPULATE_READ) < 0) {
		mapped_close(&mapped);
		close(fd);
		skip();
	}
	assert_int_equal(ftruncate(fd, (off_t)page), 0);
	assert_int_equal(mapped_fill(&mapped, 1, page - 1, &error), 0);
	assert_int_equal(mapped_fill(&mapped, page, 1, &error), -EIO);
	assert_non_null(strstr(error.text, "can't be read"));
	assert_int_equal(mapped_fill(&mapped, page - 1, page, NULL), -EIO);
	mapped_close(&mapped);
	close(fd);
}

/* a file is read up to a size, and not beyond */
static void test_bounds(void **state)
{
	struct error error = { "" };
	struct mapped mapped = { 0 };
	char path[64];
	int fd = memfd_create("test", MFD_CLOEXEC);

	(void)state;
	assert_int_equal(write(fd, "four", 4), 4);
	gguf_build_path(fd, path, sizeof(path));
	assert_int_equal(mapped_read_all(&mapped, path, 3, &error), -E2BIG);
	assert_null(mapped.data);
	assert_non_null(strstr(error.text, "4 bytes, the limit is 3"));
	assert_int_equal(mapped_read_all(&mapped, path, 4, NULL), 0);
	assert_memory_equal(mapped.data, "four", 4);
	mapped_close(&mapped);
	/* of a terabyte that an adapter pretends to have, nothing is read but its first bytes */
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	disk_arm(0, 0);
	assert_int_equal(open_facts(path, NULL, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "not a GGUF file"));
	assert_int_equal(reads, 1);
	close(fd);
}

/* an array of 2^40 bytes among the keys: no more than so many are read before the tensors */
static void test_head(void **state)
{
	struct gguf_build b = { .rng = 5 };
	uint64_t count = (uint64_t)1 << 39;
	struct error error = { "" };
	char path[64], *at;
	char head[512];
	ssize_t len;
	int fd;

	(void)state;
	gguf_build_array(&b, "huge", GGUF_U8, "", 1, 1);
	gguf_build_matrix(&b, "weights", KERN_F32, 4, 4);
	fd = gguf_build_finish(&b);
	gguf_build_path(fd, path, sizeof(path));
	len = syscall(SYS_pread64, fd, head, sizeof(head), 0);
	at = memmem(head, (size_t)len, "huge", 4);
	assert_non_null(at);
	assert_int_equal(pwrite(fd, &count, sizeof(count), at + 4 + 4 + 4 - head), sizeof(count));
	assert_int_equal(ftruncate(fd, (off_t)1 << 40), 0);
	assert_int_equal(open_facts(path, NULL, &error), -E2BIG);
	assert_non_null(strstr(error.text, "before the tensors"));
	/* up to the last byte of so many: behind it there are no tensors, but zeros */
	count = GGUF_HEAD_MAX - 1000;
	assert_int_equal(pwrite(fd, &count, sizeof(count), at + 4 + 4 + 4 - head), sizeof(count));
	assert_int_equal(open_facts(path, NULL, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "has a length of 0"));
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_adapter_file),
		cmocka_unit_test(test_adapter_folder),
		cmocka_unit_test(test_named),
		cmocka_unit_test(test_model_folder),
		cmocka_unit_test(test_same),
		cmocka_unit_test(test_mapped),
		cmocka_unit_test(test_bounds),
		cmocka_unit_test(test_head),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
