/* SPDX-License-Identifier: MIT */
/*
 * Reading GGUF: one good file in full, and every way to be broken that the format offers. Files
 * are cut at each byte and have each byte changed; whatever still opens must be readable to its
 * end, which the sanitizers see to.
 */
#include <inttypes.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include <setjmp.h>
#include <cmocka.h>

#include "gguf_write.h"
#include "tests/unit/pages.h"

#define ALIGNMENT 32

static struct gguf *open_bytes(struct gguf_write *w, int want, const char *text)
{
	struct error error = { 0 };
	struct gguf *gguf = NULL;
	int r = gguf_open_memory(&gguf, w->data, w->size, &error);

	if (r != want)
		print_error("%d: %s\n", r, error.text);
	assert_int_equal(r, want);
	if (text && !strstr(error.text, text))
		fail_msg("'%s' does not say '%s'", error.text, text);
	return gguf;
}

static void refuse(struct gguf_write *w, int want, const char *text)
{
	assert_null(open_bytes(w, want, text));
	free(w->data);
	*w = (struct gguf_write){ 0 };
}

/* header, 14 keys and 3 tensors: 2x3 F32, 32 Q4_0, and one of a type that no one knows */
static void write_good(struct gguf_write *w, uint32_t version)
{
	gguf_write_header(w, version, 3, 14);
	gguf_write_key_string(w, "general.architecture", "llama");
	gguf_write_key_u32(w, "general.alignment", ALIGNMENT);
	gguf_write_key_u32(w, "llama.block_count", 7);
	gguf_write_key(w, "u8", GGUF_U8);
	gguf_write_bytes(w, "\xff", 1);
	gguf_write_key(w, "i8", GGUF_I8);
	gguf_write_bytes(w, "\xff", 1);
	gguf_write_key(w, "i16", GGUF_I16);
	gguf_write_bytes(w, "\x01\x02", 2);
	gguf_write_key(w, "u64", GGUF_U64);
	gguf_write_u64(w, 1ULL << 32);
	gguf_write_key(w, "f32", GGUF_F32);
	gguf_write_bytes(w, &(float){ 0.5f }, 4);
	gguf_write_key(w, "f64", GGUF_F64);
	gguf_write_bytes(w, &(double){ 1e300 }, 8);
	gguf_write_key_bool(w, "flag", 1);
	gguf_write_key(w, "text", GGUF_STRING);
	gguf_write_string(w, "a\0b\n\x1b[31m\xff", 10);
	gguf_write_key_array(w, "numbers", GGUF_I32, 9);
	for (uint32_t i = 0; i < 9; i++)
		gguf_write_u32(w, i - 1);
	gguf_write_key_array(w, "words", GGUF_STRING, 2);
	gguf_write_string(w, "one", 3);
	gguf_write_string(w, "", 0);
	gguf_write_key_array(w, "nothing", GGUF_U8, 0);
	gguf_write_tensor(w, "a.weight", 0, 0, 2, (uint64_t[]){ 2, 3 });
	gguf_write_tensor(w, "b.weight", 2, ALIGNMENT, 1, (uint64_t[]){ 32 });
	gguf_write_tensor(w, "odd", 999, 2 * ALIGNMENT, 4, (uint64_t[]){ 5, 1, 1, 1 });
	gguf_write_pad(w, ALIGNMENT);
	for (float f = 0; f < 6; f++)
		gguf_write_bytes(w, &f, sizeof(f));
	gguf_write_pad(w, ALIGNMENT);
	gguf_write_bytes(w, "\0\x3c" "0123456789abcdef", 18);
	gguf_write_pad(w, ALIGNMENT);
}

/* everything a reader can reach */
static void read_all(const struct gguf *gguf)
{
	char key[64], value[64];
	unsigned int sum = 0;

	for (size_t i = 0; i < gguf_key_count(gguf); i++)
		assert_int_equal(gguf_key_print(gguf, i, key, sizeof(key), value, sizeof(value)),
				 0);
	for (size_t i = 0; i < gguf_tensor_count(gguf); i++) {
		const struct gguf_tensor *tensor = gguf_tensor_at(gguf, i);
		const unsigned char *data = tensor->data;

		assert_non_null(data);
		for (size_t j = 0; j < tensor->size_bytes; j++)
			sum += data[j];
		assert_true(!tensor->size_bytes || (uintptr_t)data % 8 == 0);
	}
	assert_true(sum < UINT_MAX);	/* so that all of it is read */
}

static void test_good(void **state)
{
	(void)state;
	for (uint32_t version = 2; version <= 3; version++) {
		struct gguf_write w = { 0 };
		const struct gguf_tensor *tensor;
		struct gguf *gguf;

		write_good(&w, version);
		gguf = open_bytes(&w, 0, NULL);
		assert_int_equal(gguf_size_bytes(gguf), w.size);
		assert_int_equal(gguf_key_count(gguf), 14);
		assert_int_equal(gguf_tensor_count(gguf), 3);
		read_all(gguf);
		tensor = gguf_tensor_find(gguf, "a.weight");
		assert_ptr_equal(tensor, gguf_tensor_at(gguf, 0));
		assert_int_equal(tensor->n_dims, 2);
		assert_int_equal(tensor->dims[0], 2);
		assert_int_equal(tensor->dims[1], 3);
		assert_int_equal(tensor->dims[2], 1);
		assert_int_equal(tensor->size_bytes, 24);
		assert_true(((const float *)tensor->data)[5] == 5.0f);
		assert_int_equal(gguf_tensor_find(gguf, "b.weight")->size_bytes, 18);
		assert_int_equal(gguf_tensor_find(gguf, "odd")->size_bytes, 0);
		assert_null(gguf_tensor_find(gguf, "a.weigh"));
		assert_null(gguf_tensor_at(gguf, 3));
		gguf_free(gguf);
		free(w.data);
	}
	gguf_free(NULL);
}

static void test_getters(void **state)
{
	struct gguf_write w = { 0 };
	struct gguf_string string;
	struct gguf_array array;
	struct gguf *gguf;
	uint32_t u = 77;
	float f = 77;
	bool b = false;

	(void)state;
	write_good(&w, 3);
	gguf = open_bytes(&w, 0, NULL);
	assert_int_equal(gguf_get_u32(gguf, "missing", &u), -ENOENT);
	assert_int_equal(gguf_get_u32(gguf, "text", &u), -EINVAL);
	assert_int_equal(gguf_get_u32(gguf, "i8", &u), -EINVAL);	/* -1 */
	assert_int_equal(gguf_get_u32(gguf, "u64", &u), -EINVAL);	/* 2^32 */
	assert_int_equal(gguf_get_u32(gguf, "f32", &u), -EINVAL);
	assert_int_equal(u, 77);
	assert_int_equal(gguf_get_u32(gguf, "u8", &u), 0);
	assert_int_equal(u, 255);
	assert_int_equal(gguf_get_u32(gguf, "i16", &u), 0);
	assert_int_equal(u, 513);
	assert_int_equal(gguf_get_arch_u32(gguf, "block_count", &u), 0);
	assert_int_equal(u, 7);
	assert_int_equal(gguf_get_arch_u32(gguf, "missing", &u), -ENOENT);
	assert_int_equal(gguf_get_f32(gguf, "f64", &f), -EINVAL);	/* no float */
	assert_int_equal(gguf_get_f32(gguf, "u8", &f), -EINVAL);
	assert_true(f == 77);
	assert_int_equal(gguf_get_f32(gguf, "f32", &f), 0);
	assert_true(f == 0.5f);
	assert_int_equal(gguf_get_bool(gguf, "u8", &b), -EINVAL);
	assert_int_equal(gguf_get_bool(gguf, "flag", &b), 0);
	assert_true(b);
	assert_int_equal(gguf_get_string(gguf, "text", &string), 0);
	assert_int_equal(string.len, 10);
	assert_int_equal(gguf_get_string(gguf, "words", &string), -EINVAL);
	assert_int_equal(gguf_get_array(gguf, "words", &array), 0);
	assert_int_equal(array.count, 2);
	assert_true(gguf_string_is(array.strings[0], "one"));
	assert_int_equal(array.strings[1].len, 0);
	assert_int_equal(gguf_get_array(gguf, "nothing", &array), 0);
	assert_int_equal(array.count, 0);
	gguf_free(gguf);
	free(w.data);
}

static void check_print(const struct gguf *gguf, size_t index, size_t size, const char *key,
			const char *want)
{
	char name[64], value[64];

	assert_int_equal(gguf_key_print(gguf, index, name, sizeof(name), value, size), 0);
	assert_string_equal(name, key);
	assert_string_equal(value, want);
}

static void test_print(void **state)
{
	struct gguf_write w = { 0 };
	char buf[8];
	struct gguf *gguf;

	(void)state;
	write_good(&w, 3);
	gguf = open_bytes(&w, 0, NULL);
	check_print(gguf, 0, 64, "general.architecture", "llama");
	check_print(gguf, 4, 64, "i8", "-1");
	check_print(gguf, 7, 64, "f32", "0.5");
	check_print(gguf, 9, 64, "flag", "true");
	check_print(gguf, 10, 64, "text", "a\\x00b\\n\\x1b[31m\\xff");
	check_print(gguf, 10, 4, "text", "a\\x");
	check_print(gguf, 11, 64, "numbers", "[-1, 0, 1, 2, 3, 4, 5, 6, ... 9 in all]");
	check_print(gguf, 12, 64, "words", "[one, ]");
	check_print(gguf, 13, 64, "nothing", "[]");
	assert_int_equal(gguf_key_print(gguf, 14, buf, 8, buf, 8), -ENOENT);
	assert_int_equal(gguf_key_print(gguf, 0, buf, 0, buf, 8), -EINVAL);
	gguf_free(gguf);
	free(w.data);
}

/* ---- broken ---- */

static void test_header(void **state)
{
	static const struct {
		const char *bytes;
		int want;
		const char *text;
	} cases[] = {
		{ "", -EBADMSG, "cut off" },
		{ "GGU", -EBADMSG, "cut off" },
		{ "ELF\177....", -EBADMSG, "not a GGUF" },
		{ "FUGG....", -EOPNOTSUPP, "big-endian" },
		{ "tjgg....", -EOPNOTSUPP, "before GGUF" },
		{ "GGUF\1\0\0", -EOPNOTSUPP, "version 1 " },
		{ "GGUF\4\0\0", -EOPNOTSUPP, "version 4 " },
		{ "GGUF\0\0\0\3", -EOPNOTSUPP, "big-endian" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gguf_write w = { 0 };
		size_t len = strlen(cases[i].bytes);

		/* the versions above have NULs in them */
		gguf_write_bytes(&w, cases[i].bytes, len > 3 ? 8 : len);
		gguf_write_bytes(&w, "", 0);
		w.data = w.data ? w.data : malloc(1);
		refuse(&w, cases[i].want, cases[i].text);
	}
}

static void test_counts(void **state)
{
	static const uint64_t counts[] = { 1, 1 << 20, 1ULL << 32, INT64_MAX, UINT64_MAX };
	struct gguf_write w = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		gguf_write_header(&w, 3, counts[i], 0);
		refuse(&w, -EBADMSG, "tensors can't be");
		gguf_write_header(&w, 3, 0, counts[i]);
		refuse(&w, -EBADMSG, "keys can't be");
	}
}

static void test_keys(void **state)
{
	struct gguf_write w = { 0 };
	char name[300];

	(void)state;
	gguf_write_header(&w, 3, 0, 2);
	gguf_write_key_u32(&w, "same", 1);
	gguf_write_key_u32(&w, "same", 2);
	refuse(&w, -EBADMSG, "'same' is there twice");

	gguf_write_header(&w, 3, 0, 1);
	gguf_write_string(&w, "a\0b", 3);
	gguf_write_u32(&w, GGUF_U32);
	gguf_write_u32(&w, 1);
	refuse(&w, -EBADMSG, "'a\\x00b' contains a NUL");

	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_u32(&w, "", 1);
	refuse(&w, -EBADMSG, "length of 0");

	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_u32(&w, name, 1);
	refuse(&w, -EBADMSG, "length of 299");

	gguf_write_header(&w, 3, 0, 1);
	gguf_write_u64(&w, UINT64_MAX);
	gguf_write_bytes(&w, name, 32);
	refuse(&w, -EBADMSG, "cut off");

	for (uint32_t type = 13; type; type *= 2) {
		gguf_write_header(&w, 3, 0, 1);
		gguf_write_key(&w, "key", type);
		gguf_write_u64(&w, 0);
		refuse(&w, -EBADMSG, "unknown type");
	}

	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_bool(&w, "key", 2);
	gguf_write_u64(&w, 0);
	refuse(&w, -EBADMSG, "not a boolean");
}

static void test_arrays(void **state)
{
	static const uint64_t counts[] = { 9, 1ULL << 61, 1ULL << 62, UINT64_MAX };
	struct gguf_write w = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(counts); i++) {
		gguf_write_header(&w, 3, 0, 1);
		gguf_write_key_array(&w, "key", GGUF_U32, counts[i]);
		gguf_write_bytes(&w, "0123456789abcdef0123456789abcdef", 32);
		refuse(&w, -EBADMSG, NULL);
		gguf_write_header(&w, 3, 0, 1);
		gguf_write_key_array(&w, "key", GGUF_STRING, counts[i]);
		gguf_write_bytes(&w, "0123456789abcdef0123456789abcdef", 32);
		refuse(&w, -EBADMSG, NULL);
	}
	/* an array of arrays of arrays ... */
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key(&w, "deep", GGUF_ARRAY);
	for (int i = 0; i < 100000; i++) {
		gguf_write_u32(&w, GGUF_ARRAY);
		gguf_write_u64(&w, 1);
	}
	refuse(&w, -EOPNOTSUPP, "'deep': arrays of arrays");

	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_array(&w, "key", 77, 0);
	refuse(&w, -EBADMSG, "unknown type 77");
}

static void test_alignment(void **state)
{
	static const uint32_t bad[] = { 0, 1, 4, 24, 33, 1U << 21, UINT32_MAX };
	static const uint32_t good[] = { 8, 16, 64, 4096 };
	struct gguf_write w = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		gguf_write_header(&w, 3, 0, 1);
		gguf_write_key_u32(&w, "general.alignment", bad[i]);
		refuse(&w, -EBADMSG, "alignment");
	}
	for (size_t i = 0; i < ARRAY_SIZE(good); i++) {
		gguf_write_header(&w, 3, 1, 1);
		gguf_write_key_u32(&w, "general.alignment", good[i]);
		gguf_write_tensor(&w, "t", 0, good[i], 1, (uint64_t[]){ 1 });
		gguf_write_pad(&w, good[i]);
		gguf_write_bytes(&w, "", 1);
		gguf_write_pad(&w, good[i]);
		gguf_write_u32(&w, 42);
		{
			struct gguf *gguf = open_bytes(&w, 0, NULL);

			assert_int_equal(*(const uint32_t *)gguf_tensor_at(gguf, 0)->data, 42);
			gguf_free(gguf);
			free(w.data);
			w = (struct gguf_write){ 0 };
		}
	}
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_string(&w, "general.alignment", "32");
	refuse(&w, -EBADMSG, "not a size");
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_u32(&w, "split.count", 2);
	refuse(&w, -EOPNOTSUPP, "one of 2 files");
}

/* one tensor before 64 bytes of data */
static void one_tensor(struct gguf_write *w, uint32_t type, uint64_t offset, uint32_t n_dims,
		       const uint64_t *dims)
{
	gguf_write_header(w, 3, 1, 0);
	gguf_write_tensor(w, "t", type, offset, n_dims, dims);
	gguf_write_pad(w, ALIGNMENT);
	for (int i = 0; i < 8; i++)
		gguf_write_u64(w, 0);
}

static void test_shapes(void **state)
{
	static const uint64_t dims[][4] = {
		{ 0, 1, 1, 1 }, { 1, 0, 1, 1 }, { 1ULL << 32, 1ULL << 32, 1, 1 },
		{ 1ULL << 31, 1ULL << 31, 2, 1 }, { UINT64_MAX, 1, 1, 1 },
		{ 1ULL << 16, 1ULL << 16, 1ULL << 16, 1ULL << 16 },
	};
	struct gguf_write w = { 0 };
	struct gguf *gguf;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(dims); i++) {
		one_tensor(&w, 0, 0, 4, dims[i]);
		refuse(&w, -EBADMSG, "dimension");
		one_tensor(&w, 999, 0, 4, dims[i]);	/* whatever the type */
		refuse(&w, -EBADMSG, "dimension");
	}
	one_tensor(&w, 0, 0, 1, (uint64_t[]){ 1ULL << 61 });	/* bytes overflow, elements not */
	refuse(&w, -EBADMSG, "");
	one_tensor(&w, 0, 0, 1, (uint64_t[]){ 1ULL << 62 });
	refuse(&w, -EBADMSG, "too big");
	one_tensor(&w, 0, 0, 5, (uint64_t[]){ 1, 1, 1, 1, 1 });
	refuse(&w, -EBADMSG, "5 dimensions");
	one_tensor(&w, 2, 0, 1, (uint64_t[]){ 48 });
	refuse(&w, -EBADMSG, "in blocks of 32");
	one_tensor(&w, 0, 0, 0, NULL);
	gguf = open_bytes(&w, 0, NULL);
	assert_int_equal(gguf_tensor_at(gguf, 0)->size_bytes, 4);
	gguf_free(gguf);
	free(w.data);
}

static void two_tensors(struct gguf_write *w, uint64_t first, uint64_t second)
{
	gguf_write_header(w, 3, 2, 0);
	gguf_write_tensor(w, "first", 0, first, 1, (uint64_t[]){ 16 });
	gguf_write_tensor(w, "second", 0, second, 1, (uint64_t[]){ 1 });
	gguf_write_pad(w, ALIGNMENT);
	for (int i = 0; i < 16; i++)
		gguf_write_u64(w, 0);
}

static void test_places(void **state)
{
	struct gguf_write w = { 0 };
	struct gguf *gguf;

	(void)state;
	one_tensor(&w, 0, 4, 1, (uint64_t[]){ 1 });
	refuse(&w, -EBADMSG, "not a multiple of 32");
	one_tensor(&w, 0, 64, 1, (uint64_t[]){ 1 });
	refuse(&w, -EBADMSG, "cut off: tensor 't'");
	one_tensor(&w, 0, UINT64_MAX - 31, 1, (uint64_t[]){ 16 });
	refuse(&w, -EBADMSG, "cut off: tensor 't'");
	one_tensor(&w, 999, 96, 1, (uint64_t[]){ 1 });	/* of no known size, but not there */
	refuse(&w, -EBADMSG, "cut off");
	two_tensors(&w, 0, 0);
	refuse(&w, -EBADMSG, "overlap");
	two_tensors(&w, 0, 32);
	refuse(&w, -EBADMSG, "overlap");
	two_tensors(&w, 32, 64);
	refuse(&w, -EBADMSG, "overlap");
	two_tensors(&w, 0, 64);
	gguf = open_bytes(&w, 0, NULL);
	gguf_free(gguf);
	free(w.data);
	w = (struct gguf_write){ 0 };
	two_tensors(&w, 32, 0);		/* in any order */
	gguf = open_bytes(&w, 0, NULL);
	gguf_free(gguf);
	free(w.data);
	w = (struct gguf_write){ 0 };
	gguf_write_header(&w, 3, 2, 0);
	gguf_write_tensor(&w, "t", 0, 0, 1, (uint64_t[]){ 1 });
	gguf_write_tensor(&w, "t", 0, 32, 1, (uint64_t[]){ 1 });
	gguf_write_pad(&w, 64);
	refuse(&w, -EBADMSG, "tensor 't' is there twice");
}

/* a copy of exactly that many bytes, so that reading past them is noticed */
static int open_copy(const char *data, size_t size, struct gguf **ret)
{
	char *copy = malloc(size ? size : 1);
	int r;

	assert_non_null(copy);
	if (size)
		memcpy(copy, data, size);
	r = gguf_open_memory(ret, copy, size, NULL);
	if (r >= 0) {
		read_all(*ret);
		gguf_free(*ret);
	}
	free(copy);
	return r;
}

static void test_cut_at_each_byte(void **state)
{
	struct gguf_write w = { 0 };
	size_t needed;
	struct gguf *gguf;

	(void)state;
	write_good(&w, 3);
	gguf = open_bytes(&w, 0, NULL);
	/* up to the place of the last tensor, whose type has no size: the next multiple of 32 */
	needed = (size_t)((const char *)gguf_tensor_find(gguf, "odd")->data - w.data);
	gguf_free(gguf);
	for (size_t size = 0; size <= w.size; size++)
		assert_int_equal(open_copy(w.data, size, &gguf), size < needed ? -EBADMSG : 0);
	free(w.data);
}

static void test_change_each_byte(void **state)
{
	static const unsigned char changes[] = { 0x00, 0x01, 0x7f, 0x80, 0xff, 0x09, 0x20 };
	struct gguf_write w = { 0 };
	size_t opened = 0, refused = 0;
	struct gguf *gguf;

	(void)state;
	write_good(&w, 3);
	for (size_t i = 0; i < w.size; i++) {
		char byte = w.data[i];

		for (size_t j = 0; j < ARRAY_SIZE(changes); j++) {
			w.data[i] = (char)changes[j];
			if (open_copy(w.data, w.size, &gguf) >= 0)
				opened++;
			else
				refused++;
		}
		w.data[i] = byte;
	}
	print_message("# %zu opened, %zu refused\n", opened, refused);
	assert_true(opened > 1000 && refused > 1000);
	free(w.data);
}

/* ---- files ---- */

static void test_files(void **state)
{
	struct gguf_write w = { 0 };
	struct error error = { 0 };
	char path[] = "/tmp/test_gguf.XXXXXX";
	struct gguf *gguf = NULL;
	int fd = mkstemp(path);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(gguf_open(&gguf, path, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "is empty"));
	assert_int_equal(write(fd, "not", 3), 3);
	assert_int_equal(gguf_open(&gguf, path, &error), -EBADMSG);
	assert_non_null(strstr(error.text, path));
	write_good(&w, 3);
	assert_int_equal(pwrite(fd, w.data, w.size, 0), w.size);
	assert_int_equal(gguf_open(&gguf, path, &error), 0);
	read_all(gguf);
	gguf_free(gguf);
	close(fd);
	unlink(path);
	assert_int_equal(gguf_open(&gguf, path, &error), -ENOENT);
	assert_non_null(strstr(error.text, "No such file"));
	assert_int_equal(gguf_open(&gguf, "/", &error), -EISDIR);
	assert_int_equal(gguf_open(&gguf, "/dev/null", &error), -EBADMSG);
	assert_int_equal(gguf_open(&gguf, "/dev/null", NULL), -EBADMSG);
	assert_int_equal(gguf_open_memory(&gguf, w.data + 1, w.size - 1, &error), -EINVAL);
	free(w.data);
}

/* a file asks for large pages, but where it is read a few bytes here and there */
static void test_pages(void **state)
{
	const uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	char path[] = "/tmp/test_gguf.XXXXXX";
	struct gguf_write w = { 0 };
	struct gguf *gguf = NULL;
	int fd = mkstemp(path);
	const char *data;
	uintptr_t first;

	(void)state;
	assert_true(fd >= 0);
	write_good(&w, 3);
	assert_int_equal(pwrite(fd, w.data, w.size, 0), w.size);
	assert_int_equal(ftruncate(fd, (off_t)(w.size + 8 * page)), 0);
	free(w.data);
	assert_int_equal(gguf_open(&gguf, path, NULL), 0);
	close(fd);
	unlink(path);
	data = gguf_tensor_at(gguf, 0)->data;
	first = (uintptr_t)data / page * page;
	if (!pages_have_flag(first, " hg")) {
		print_message("# a kernel without large pages\n");
		gguf_free(gguf);
		skip();
	}
	gguf_scatter(gguf, data + 1, 3 * page);
	assert_true(pages_have_flag(first, " hg"));
	assert_true(pages_have_flag(first + page, " nh"));
	assert_false(pages_have_flag(first + page, " hg"));
	assert_true(pages_have_flag(first + 4 * page, " hg"));
	/* memory that is no file's is left as it is */
	gguf_scatter(gguf, &w, sizeof(w));
	gguf_scatter(gguf, (const char *)first + page, 64 * page);
	assert_true(pages_have_flag(first + 4 * page, " hg"));
	gguf_free(gguf);
}

/* bytes that are copied don't map their pages, and those that are mapped can be given back */
static void test_reading_once(void **state)
{
	const size_t page = (size_t)sysconf(_SC_PAGESIZE), size = 4 * page;
	char path[] = "/tmp/test_gguf.XXXXXX", buffer[32];
	struct gguf_write w = { 0 };
	struct gguf *gguf = NULL;
	struct error error = { "" };
	int fd = mkstemp(path);
	const void *there;
	const char *data;

	(void)state;
	assert_true(fd >= 0);
	write_good(&w, 3);
	assert_int_equal(pwrite(fd, w.data, w.size, 0), w.size);
	assert_int_equal(ftruncate(fd, (off_t)(w.size + size)), 0);
	assert_int_equal(gguf_open(&gguf, path, NULL), 0);
	unlink(path);
	data = gguf_tensor_at(gguf, 0)->data;
	assert_true(pages_resident_kib((uintptr_t)data) > 0);
	gguf_drop_files(gguf);
	assert_int_equal(pages_resident_kib((uintptr_t)data), 0);
	assert_int_equal(gguf_read(gguf, data, sizeof(buffer), buffer, &there, &error), 0);
	assert_ptr_equal(there, buffer);
	assert_int_equal(pages_resident_kib((uintptr_t)data), 0);
	assert_memory_equal(data, buffer, sizeof(buffer));
	/* memory that is no file's is where it is */
	assert_int_equal(gguf_read(gguf, w.data, sizeof(buffer), buffer, &there, &error), 0);
	assert_ptr_equal(there, w.data);
	assert_int_equal(ftruncate(fd, 1), 0);
	assert_int_equal(gguf_read(gguf, data, sizeof(buffer), buffer, &there, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "gguf: cut off at byte"));
	close(fd);
	free(w.data);
	gguf_free(gguf);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_getters),
		cmocka_unit_test(test_print),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_counts),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_arrays),
		cmocka_unit_test(test_alignment),
		cmocka_unit_test(test_shapes),
		cmocka_unit_test(test_places),
		cmocka_unit_test(test_cut_at_each_byte),
		cmocka_unit_test(test_change_each_byte),
		cmocka_unit_test(test_files),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_reading_once),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
