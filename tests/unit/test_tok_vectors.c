/* SPDX-License-Identifier: MIT */
/*
 * Five vocabularies of real models against ids that another program computed: every vector must
 * come out exactly, and what is encoded losslessly must come back. The data are no part of the
 * repository; without them this skips.
 */
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#include <setjmp.h>
#include <cmocka.h>

#include "model/gguf.h"
#include "tokenizer/tokenizer.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

static const char *data_dir(void)
{
	const char *dir = getenv("LLMOS_TEST_DATA");

	return dir ? dir : "../shared/data";
}

static char *read_file(const char *path)
{
	FILE *file = fopen(path, "r");
	char *text;
	size_t n;

	if (!file)
		return NULL;
	text = calloc(1, 1 << 16);
	n = text ? fread(text, 1, (1 << 16) - 1, file) : 0;
	assert_true(n < (1 << 16) - 1);
	fclose(file);
	return text;
}

static void print_ids(const char *what, const uint32_t *ids, size_t count)
{
	fprintf(stderr, "# %s:", what);
	for (size_t i = 0; i < count; i++)
		fprintf(stderr, " %u", ids[i]);
	fprintf(stderr, "\n");
}

static size_t parse_ids(const char *line, const char *end, uint32_t *ids, size_t max)
{
	size_t count = 0;

	while (line < end) {
		char *next;
		unsigned long id = strtoul(line, &next, 10);

		if (next == line || next > end)
			break;
		assert_true(count < max);
		ids[count++] = (uint32_t)id;
		line = next;
	}
	return count;
}

static void check_round_trip(const struct tokenizer *tok, const char *text, size_t len,
			     const struct tok_ids *ids)
{
	char *decoded = malloc(len * 4 + 16);
	size_t at = 0;

	assert_non_null(decoded);
	for (size_t i = 0; i < ids->count; i++) {
		size_t n;
		const char *piece = tok_piece(tok, ids->ids[i], !i, true, &n);

		assert_non_null(piece);
		assert_true(at + n <= len * 4 + 16);
		memcpy(decoded + at, piece, n);
		at += n;
	}
	assert_int_equal(at, len);
	assert_memory_equal(decoded, text, len);
	free(decoded);
}

static void check_vector(const struct tokenizer *tok, const char *text, size_t len,
			 const char *line, const char *line_end)
{
	struct tok_ids ids = { 0 };
	uint32_t want[512];
	size_t count = parse_ids(line, line_end, want, ARRAY_SIZE(want));

	assert_int_equal(tok_encode(tok, text, len, 0, SIZE_MAX, &ids), 0);
	if (ids.count != count || (count && memcmp(ids.ids, want, count * sizeof(*want)))) {
		fprintf(stderr, "# text: '%.*s'\n", (int)len, text);
		print_ids("want", want, count);
		print_ids("have", ids.ids, ids.count);
		fail();
	}
	if (tok_kind(tok) != TOK_WORDPIECE)
		check_round_trip(tok, text, len, &ids);
	free(ids.ids);
}

static void check_vocabulary(const char *name, enum tok_kind kind)
{
	char path[PATH_MAX], list[PATH_MAX + 8];
	char *inputs, *outputs, *text, *line;
	struct error error = { 0 };
	struct tokenizer *tok = NULL;
	struct gguf *gguf = NULL;
	size_t count = 0;

	snprintf(path, sizeof(path), "%s/vocab/ggml-vocab-%s.gguf", data_dir(), name);
	snprintf(list, sizeof(list), "%s.inp", path);
	inputs = read_file(list);
	snprintf(list, sizeof(list), "%s.out", path);
	outputs = read_file(list);
	if (!inputs || !outputs) {
		print_message("# no test data at '%s'\n", path);
		skip();
	}
	if (gguf_open(&gguf, path, &error) < 0)
		fail_msg("%s", error.text);
	if (tok_new(&tok, gguf, &error) < 0)
		fail_msg("%s", error.text);
	gguf_free(gguf);
	assert_int_equal(tok_kind(tok), kind);
	for (text = inputs, line = outputs; text;) {
		char *end = strstr(text, SEPARATOR);
		char *line_end = strchr(line, '\n');

		assert_non_null(line_end);
		/* the last one is ended by the separator's first newline */
		check_vector(tok, text, end ? (size_t)(end - text) : strlen(text), line, line_end);
		count++;
		text = end ? end + strlen(SEPARATOR) : NULL;
		line = line_end + 1;
		if (text && !*text)
			break;
	}
	assert_true(count >= 40);
	print_message("# %s: %zu vectors\n", name, count);
	tok_free(tok);
	free(inputs);
	free(outputs);
}

static void test_spm(void **state)
{
	(void)state;
	check_vocabulary("llama-spm", TOK_SPM);
}

static void test_gpt2(void **state)
{
	(void)state;
	check_vocabulary("gpt-2", TOK_BPE);
}

static void test_llama_bpe(void **state)
{
	(void)state;
	check_vocabulary("llama-bpe", TOK_BPE);
}

static void test_qwen2(void **state)
{
	(void)state;
	check_vocabulary("qwen2", TOK_BPE);
}

static void test_bert(void **state)
{
	(void)state;
	check_vocabulary("bert-bge", TOK_WORDPIECE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spm),
		cmocka_unit_test(test_gpt2),
		cmocka_unit_test(test_llama_bpe),
		cmocka_unit_test(test_qwen2),
		cmocka_unit_test(test_bert),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
