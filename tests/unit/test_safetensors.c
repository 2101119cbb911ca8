/* SPDX-License-Identifier: MIT */
/*
 * Reading safetensors: one good file in full, every way to be broken that the format offers, and
 * the good file cut at each byte and with each byte changed; whatever still opens must be readable
 * to its end, which the sanitizers see to.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <cmocka.h>

#include "kernels/kernels.h"
#include "model/safetensors.h"

static const char good[] =
	"{\"__metadata__\":{\"format\":\"pt\"},"
	"\"a\":{\"dtype\":\"F32\",\"shape\":[2,3],\"data_offsets\":[0,24]},"
	"\"scalar\":{\"dtype\":\"I64\",\"shape\":[],\"data_offsets\":[30,38]},"
	"\"b\":{\"dtype\":\"BF16\",\"shape\":[3],\"data_offsets\":[24,30]},"
	"\"empty\":{\"dtype\":\"F16\",\"shape\":[0,7],\"data_offsets\":[38,38]}}   ";

struct bytes_file {
	unsigned char data[2048];
	size_t size;
};

static void make(struct bytes_file *f, const char *header, size_t header_len, size_t data_bytes)
{
	memset(f, 0, sizeof(*f));
	assert_true(8 + header_len + data_bytes <= sizeof(f->data));
	f->data[0] = (unsigned char)(header_len & 0xff);
	f->data[1] = (unsigned char)(header_len >> 8);
	memcpy(f->data + 8, header, header_len);
	for (size_t i = 0; i < data_bytes; i++)
		f->data[8 + header_len + i] = (unsigned char)i;
	f->size = 8 + header_len + data_bytes;
}

static void refuse(const struct bytes_file *f, int want, const char *text)
{
	struct safetensors *file = NULL;
	struct error error = { "" };
	int r = safetensors_open_memory(&file, f->data, f->size, &error);

	if (r != want || !strstr(error.text, text))
		fail_msg("%d '%s', not %d with '%s'", r, error.text, want, text);
	assert_null(file);
}

static void refuse_header(const char *header, size_t data_bytes, int want, const char *text)
{
	struct bytes_file f;

	make(&f, header, strlen(header), data_bytes);
	refuse(&f, want, text);
}

static void read_all(const struct safetensors *file)
{
	unsigned int sum = 0;

	for (size_t i = 0; i < safetensors_count(file); i++) {
		const struct safetensor *t = safetensors_at(file, i);

		assert_ptr_equal(safetensors_find(file, t->name), t);
		assert_non_null(t->dtype);
		for (size_t j = 0; j < t->size_bytes; j++)
			sum += (unsigned char)t->data[j];
	}
	assert_true(sum < UINT32_MAX);	/* so that all of it is read */
}

static void test_good(void **state)
{
	struct safetensors *file = NULL;
	const struct safetensor *t;
	struct bytes_file f;

	(void)state;
	make(&f, good, sizeof(good) - 1, 38);
	assert_int_equal(safetensors_open_memory(&file, f.data, f.size, NULL), 0);
	assert_int_equal(safetensors_count(file), 4);
	read_all(file);
	t = safetensors_find(file, "a");
	assert_int_equal(t->type, KERN_F32);
	assert_int_equal(t->n_dims, 2);
	assert_int_equal(t->shape[0], 2);
	assert_int_equal(t->shape[1], 3);
	assert_int_equal(t->shape[2], 1);
	assert_int_equal(t->data[5], 5);
	t = safetensors_find(file, "b");
	assert_int_equal(t->type, KERN_BF16);
	assert_int_equal(t->size_bytes, 6);
	assert_int_equal(t->data[0], 24);
	t = safetensors_find(file, "scalar");
	assert_int_equal(t->type, -1);
	assert_string_equal(t->dtype, "I64");
	assert_int_equal(t->n_dims, 0);
	assert_int_equal(safetensors_find(file, "empty")->size_bytes, 0);
	assert_null(safetensors_find(file, "__metadata__"));
	assert_null(safetensors_at(file, 4));
	assert_null(safetensors_steal(file).data);
	safetensors_free(file);
	safetensors_free(NULL);
}

static void test_header(void **state)
{
	struct bytes_file f = { .size = 7 };

	(void)state;
	refuse(&f, -EBADMSG, "7 bytes are no safetensors file");
	f.size = 8;
	refuse(&f, -EBADMSG, "header");
	make(&f, "{}", 2, 0);
	f.data[0] = 3;
	refuse(&f, -EBADMSG, "cut off: a header of 3 bytes, 2 are left");
	memset(f.data, 0xff, 8);
	refuse(&f, -EBADMSG, "cut off");
	refuse_header("[]", 0, -EBADMSG, "not an object");
	refuse_header("{} {}", 0, -EBADMSG, "header");
	refuse_header("{\"a\":", 0, -EBADMSG, "header");
	refuse_header("{}", 3, -EBADMSG, "3 bytes at the end");
}

static void test_long_header(void **state)
{
	size_t size = SAFETENSORS_HEADER_MAX + 9;
	struct safetensors *file = NULL;
	unsigned char *data = malloc(size);

	(void)state;
	assert_non_null(data);
	memset(data, ' ', size);
	for (int i = 0; i < 8; i++)
		data[i] = (unsigned char)((SAFETENSORS_HEADER_MAX + 1ULL) >> 8 * i);
	assert_int_equal(safetensors_open_memory(&file, data, size, NULL), -E2BIG);
	free(data);
}

#define T(fields)	"{\"a\":{" fields "}}"

static void test_tensors(void **state)
{
	static const struct {
		const char *header;
		size_t bytes;
		int want;
		const char *text;
	} cases[] = {
		{ "{\"a\":7}", 0, -EBADMSG, "'a' is not an object" },
		{ "{\"\":{}}", 0, -EBADMSG, "name has 0 bytes" },
		{ "{\"a\":{},\"a\":{}}", 0, -EBADMSG, "duplicate" },
		{ T(""), 0, -EBADMSG, "'a' has no dtype" },
		{ T("\"dtype\":3"), 0, -EBADMSG, "'a' has no dtype" },
		{ T("\"dtype\":\"F12\""), 0, -EOPNOTSUPP, "dtype 'F12' is not known" },
		{ T("\"dtype\":\"F32\""), 0, -EBADMSG, "'a' has no shape" },
		{ T("\"dtype\":\"F32\",\"shape\":[1,1,1,1,1]"), 4, -EOPNOTSUPP, "5 dimensions" },
		{ T("\"dtype\":\"F32\",\"shape\":[-1]"), 4, -EBADMSG, "dimension 0" },
		{ T("\"dtype\":\"F32\",\"shape\":[1.5]"), 4, -EBADMSG, "dimension 0" },
		{ T("\"dtype\":\"F32\",\"shape\":[\"1\"]"), 4, -EBADMSG, "dimension 0" },
		{ T("\"dtype\":\"F32\",\"shape\":[1e17]"), 4, -EBADMSG, "dimension 0" },
		{ T("\"dtype\":\"F32\",\"shape\":[1]"), 4, -EBADMSG, "are no place" },
		{ T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]"), 4, -EBADMSG,
		  "are no place" },
		{ T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,0]"), 4, -EBADMSG,
		  "are no place" },
		{ T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,null]"), 4, -EBADMSG,
		  "are no place" },
		{ T("\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]"), 4, -EBADMSG,
		  "ends at 8, there are 4" },
		{ T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,3]"), 4, -EBADMSG,
		  "not what its shape says" },
		/* 2^53 * 2^53 * 4 is 0 in 64 bits */
		{ T("\"dtype\":\"F32\",\"shape\":[9007199254740992,9007199254740992],"
		    "\"data_offsets\":[0,0]"), 0, -EBADMSG, "not what its shape says" },
		{ T("\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[4,8]"), 8, -EBADMSG,
		  "leaves a hole" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[2,6]}}", 6, -EBADMSG,
		  "'b' overlaps" },
		{ "{\"a\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]},"
		  "\"b\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[0,4]}}", 4, -EBADMSG,
		  "overlaps" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++)
		refuse_header(cases[i].header, cases[i].bytes, cases[i].want, cases[i].text);
}

static void test_cut_and_changed(void **state)
{
	struct bytes_file f;
	unsigned int opened = 0;

	(void)state;
	make(&f, good, sizeof(good) - 1, 38);
	for (size_t size = 0; size < f.size; size++) {
		unsigned char *copy = malloc(size + 1);
		struct safetensors *file = NULL;

		memcpy(copy, f.data, size);
		assert_true(safetensors_open_memory(&file, copy, size, NULL) < 0);
		free(copy);
	}
	for (size_t i = 0; i < f.size * 3; i++) {
		static const unsigned char bits[] = { 0x01, 0x10, 0x80 };
		struct safetensors *file = NULL;

		f.data[i / 3] ^= bits[i % 3];
		if (!safetensors_open_memory(&file, f.data, f.size, NULL)) {
			read_all(file);
			opened++;
		}
		safetensors_free(file);
		f.data[i / 3] ^= bits[i % 3];
	}
	/* the weights, the names, the metadata */
	assert_true(opened > 38 * 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),
		cmocka_unit_test(test_header),
		cmocka_unit_test(test_long_header),
		cmocka_unit_test(test_tensors),
		cmocka_unit_test(test_cut_and_changed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
