/* SPDX-License-Identifier: MIT */
/*
 * A model in several GGUF files: what they are called, that their tensors are one model's, and each
 * way in which they can fail to belong together.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <cmocka.h>

#include "gguf_write.h"

#define ALIGNMENT	32
#define PARTS		3

static char folder[64];

/* what the @number'th of @count files says of itself, and the tensor that it has */
struct part {
	uint32_t number, count, total;
	const char *tensor;
};

static const struct part good[PARTS] = {
	{ 0, PARTS, PARTS, "a" }, { 1, PARTS, PARTS, "b" }, { 2, PARTS, PARTS, "c" },
};

static const char *path_of(uint32_t number, uint32_t count)
{
	static char path[128];
	char *name = gguf_part_name("model", 5, number, count);

	assert_non_null(name);
	snprintf(path, sizeof(path), "%s/%s", folder, name);
	free(name);
	return path;
}

static void write_part(const char *path, const struct part *part)
{
	struct gguf_write w = { 0 };
	const float value = (float)part->number;
	FILE *file = fopen(path, "we");

	gguf_write_header(&w, 3, 1, 4);
	gguf_write_key_string(&w, "general.architecture", part->number ? "none" : "llama");
	gguf_write_key_u32(&w, "split.no", part->number);
	gguf_write_key_u32(&w, "split.count", part->count);
	gguf_write_key_u32(&w, "split.tensors.count", part->total);
	gguf_write_tensor(&w, part->tensor, 0, 0, 1, (uint64_t[]){ 1 });
	gguf_write_pad(&w, ALIGNMENT);
	gguf_write_bytes(&w, &value, sizeof(value));
	gguf_write_pad(&w, ALIGNMENT);
	assert_non_null(file);
	assert_int_equal(fwrite(w.data, w.size, 1, file), 1);
	assert_int_equal(fclose(file), 0);
	free(w.data);
}

static void write_all(const struct part *parts)
{
	for (uint32_t i = 0; i < PARTS; i++)
		write_part(path_of(i + 1, PARTS), &parts[i]);
}

static int setup(void **state)
{
	(void)state;
	strcpy(folder, "/tmp/test_gguf_parts.XXXXXX");
	assert_non_null(mkdtemp(folder));
	write_all(good);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	for (uint32_t i = 0; i < PARTS; i++)
		unlink(path_of(i + 1, PARTS));
	return rmdir(folder);
}

static void refuse(const char *path, int want, const char *text)
{
	struct gguf *gguf = NULL;
	struct error error = { 0 };

	assert_int_equal(gguf_open(&gguf, path, &error), want);
	assert_null(gguf);
	if (!strstr(error.text, text))
		fail_msg("'%s' does not say '%s'", error.text, text);
}

static void test_names(void **state)
{
	static const char *const none[] = {
		"", ".gguf", "-00001-of-00002.gguf", "x-0001-of-00002.gguf", "x-00001-of-0002.gguf",
		"x-00001-of-00002.ggu", "x-00001-of-00002gguf.", "x-00001_of-00002.gguf",
		"x-0000a-of-00002.gguf", "x-00001-of-0000-.gguf", "x_00001-of-00002.gguf",
		"x-00000-of-00002.gguf", "x-00003-of-00002.gguf", "x-00000-of-00000.gguf",
		"x-00001-of-00002.gguf.gguf",
	};
	struct gguf_part part;
	char *name;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(none); i++)
		if (gguf_part_of(none[i], &part))
			fail_msg("'%s' is none", none[i]);
	assert_true(gguf_part_of("x-00001-of-00001.gguf", &part));
	assert_true(gguf_part_of("/a/x-00002-of-00003-00012-of-99999.gguf", &part));
	assert_int_equal(part.len, strlen("/a/x-00002-of-00003"));
	assert_int_equal(part.number, 12);
	assert_int_equal(part.count, 99999);
	name = gguf_part_name("/a/xyz", 4, 12, 99999);
	assert_string_equal(name, "/a/x-00012-of-99999.gguf");
	free(name);
}

static void test_one_model(void **state)
{
	static const char *const names[] = { "a", "b", "c" };
	struct gguf_identity identity, again;
	struct gguf_string arch;
	struct gguf *gguf = NULL;
	struct stat st;

	(void)state;
	assert_int_equal(gguf_open(&gguf, path_of(1, PARTS), NULL), 0);
	assert_int_equal(gguf_tensor_count(gguf), PARTS);
	for (size_t i = 0; i < PARTS; i++) {
		const struct gguf_tensor *tensor = gguf_tensor_find(gguf, names[i]);

		assert_non_null(tensor);
		assert_ptr_equal(tensor, gguf_tensor_at(gguf, i));
		assert_true(*(const float *)tensor->data == (float)i);
		assert_true(gguf_has(gguf, (uintptr_t)tensor->data));
	}
	assert_null(gguf_tensor_find(gguf, "d"));
	/* keys are the first one's */
	assert_int_equal(gguf_get_string(gguf, "general.architecture", &arch), 0);
	assert_int_equal(arch.len, 5);
	assert_int_equal(gguf_key_count(gguf), 4);
	assert_int_equal(stat(path_of(1, PARTS), &st), 0);
	assert_int_equal(gguf_size_bytes(gguf), PARTS * (size_t)st.st_size);
	assert_int_equal(gguf_identify(gguf, &identity), 0);
	assert_int_equal(identity.size_bytes, PARTS * (size_t)st.st_size);
	gguf_free(gguf);
	/* it is another model if another one of its files is */
	write_part(path_of(3, PARTS), &(struct part){ 2, PARTS, PARTS, "d" });
	assert_int_equal(gguf_open(&gguf, path_of(1, PARTS), NULL), 0);
	assert_int_equal(gguf_identify(gguf, &again), 0);
	assert_int_equal(again.inode, identity.inode);
	assert_int_not_equal(again.head, identity.head);
	gguf_free(gguf);
}

/* what is read and not mapped is a single file: of others nobody looks how many there are */
static void test_read(void **state)
{
	struct error error = { "" };
	struct gguf *gguf = NULL;

	(void)state;
	assert_int_equal(gguf_open_read(&gguf, path_of(1, PARTS), &error), -EOPNOTSUPP);
	assert_non_null(strstr(error.text, "model-00001-of-00003.gguf': one of 3 files"));
	assert_null(gguf);
	write_part(path_of(1, 1), &(struct part){ 0, 1, 1, "a" });
	assert_int_equal(gguf_open_read(&gguf, path_of(1, 1), NULL), 0);
	gguf_free(gguf);
	unlink(path_of(1, 1));
	/* by its name it is one of several, by what is in it not */
	write_part(path_of(2, PARTS), &(struct part){ 0, 1, 1, "a" });
	assert_int_equal(gguf_open_read(&gguf, path_of(2, PARTS), &error), -EBADMSG);
	assert_non_null(strstr(error.text, "2 of 3 by its name"));
}

static void test_alone(void **state)
{
	const char *one = path_of(1, 1);
	struct gguf *gguf = NULL;
	char path[128];

	(void)state;
	/* one of one is a model like any other */
	write_part(one, &(struct part){ 0, 1, 1, "a" });
	assert_int_equal(gguf_open(&gguf, one, NULL), 0);
	assert_int_equal(gguf_tensor_count(gguf), 1);
	gguf_free(gguf);
	/* one of several has its place in its name */
	write_part(one, &good[0]);
	refuse(one, -EBADMSG, "file 1 of 3 by what is in it, 1 of 1 by its name");
	unlink(one);
	snprintf(path, sizeof(path), "%s/model.gguf", folder);
	write_part(path, &good[0]);
	refuse(path, -EOPNOTSUPP, "one of 3 files, which are to be called NAME-00001-of-00003.gguf");
	unlink(path);
	refuse(path_of(2, PARTS), -EOPNOTSUPP, "not the first of its 3 files");
}

static void test_not_together(void **state)
{
	static const struct {
		struct part parts[PARTS];
		const char *text;
	} bad[] = {
		{ { { 0, 3, 3, "a" }, { 1, 3, 3, "a" }, { 2, 3, 3, "c" } },
		  "tensor 'a' is in a file before it, too" },
		{ { { 0, 3, 3, "a" }, { 2, 3, 3, "b" }, { 1, 3, 3, "c" } },
		  "file 3 of 3 by what is in it, 2 of 3 by its name" },
		{ { { 0, 3, 3, "a" }, { 1, 3, 3, "b" }, { 2, 4, 3, "c" } },
		  "file 3 of 4 by what is in it, 3 of 3 by its name" },
		{ { { 0, 2, 3, "a" }, { 1, 3, 3, "b" }, { 2, 3, 3, "c" } },
		  "file 1 of 2 by what is in it, 1 of 3 by its name" },
		{ { { 1, 3, 3, "a" }, { 1, 3, 3, "b" }, { 2, 3, 3, "c" } },
		  "file 2 of 3 by what is in it, 1 of 3 by its name" },
		{ { { UINT32_MAX, 3, 3, "a" }, { 1, 3, 3, "b" }, { 2, 3, 3, "c" } },
		  "file 4294967296 of 3 by what is in it" },
		{ { { 0, 3, 4, "a" }, { 1, 3, 3, "b" }, { 2, 3, 3, "c" } },
		  "there are to be 4 tensors in all files, and there are 3" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		write_all(bad[i].parts);
		refuse(path_of(1, PARTS), -EBADMSG, bad[i].text);
	}
	write_all(good);
	unlink(path_of(2, PARTS));
	refuse(path_of(1, PARTS), -ENOENT, "model-00002-of-00003.gguf");
	assert_int_equal(symlink("/dev/null", path_of(2, PARTS)), 0);
	refuse(path_of(1, PARTS), -EBADMSG, "model-00002-of-00003.gguf' is not a regular file");
}

static void test_in_memory(void **state)
{
	struct gguf_write w = { 0 };
	struct gguf *gguf = NULL;
	struct error error = { 0 };

	(void)state;
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_u32(&w, "split.count", 2);
	assert_int_equal(gguf_open_memory(&gguf, w.data, w.size, &error), -EOPNOTSUPP);
	assert_string_equal(error.text, "one of 2 files");
	free(w.data);
	w = (struct gguf_write){ 0 };
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_string(&w, "split.count", "2");
	assert_int_equal(gguf_open_memory(&gguf, w.data, w.size, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "split.count"));
	free(w.data);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),
		cmocka_unit_test_setup_teardown(test_one_model, setup, teardown),
		cmocka_unit_test_setup_teardown(test_read, setup, teardown),
		cmocka_unit_test_setup_teardown(test_alone, setup, teardown),
		cmocka_unit_test_setup_teardown(test_not_together, setup, teardown),
		cmocka_unit_test(test_in_memory),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
