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
#include <unistd.h>

#include <setjmp.h>
#include <cmocka.h>

#include "base/utf8.h"
#include "model/gguf.h"
#include "tokenizer/chat.h"
#include "tokenizer/tokenizer.h"

#define SEPARATOR "\n__ggml_vocab_test__\n"

static const char *data_dir(void)
{
	const char *dir = getenv("LLMOS_TEST_DATA");

	return dir ? dir : "../shared/data";
}

#define TEXT_MAX	(1U << 20)

/* at most a megabyte, with a NUL behind it */
static char *read_file(const char *path, size_t *ret_len)
{
	FILE *file = fopen(path, "r");
	char *text = malloc(TEXT_MAX + 1);

	if (!file || !text) {
		free(text);
		return NULL;
	}
	*ret_len = fread(text, 1, TEXT_MAX, file);
	text[*ret_len] = 0;
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

static struct tokenizer *open_vocabulary(const char *name, char *path, size_t size)
{
	struct error error = { 0 };
	struct tokenizer *tok = NULL;
	struct gguf *gguf = NULL;

	snprintf(path, size, "%s/vocab/ggml-vocab-%s.gguf", data_dir(), name);
	if (gguf_open(&gguf, path, &error) < 0 || tok_new(&tok, gguf, &error) < 0)
		fail_msg("%s", error.text);
	gguf_free(gguf);
	return tok;
}

static size_t check_vectors(const struct tokenizer *tok, const char *text, const char *line)
{
	size_t count = 0;

	while (text) {
		const char *end = strstr(text, SEPARATOR), *line_end = strchr(line, '\n');

		assert_non_null(line_end);
		check_vector(tok, text, end ? (size_t)(end - text) : strlen(text), line, line_end);
		count++;
		text = end ? end + strlen(SEPARATOR) : NULL;
		line = line_end + 1;
		if (text && !*text)
			break;
	}
	return count;
}

/* whole corpora come back as they were */
static void check_corpora(const struct tokenizer *tok)
{
	static const char *const names[] = {
		"tinyshakespeare.txt", "wikitext-2.valid.txt", "tldr-pages.en.md",
		"war-and-peace.gutenberg.txt", "nl2bash.cm", "tinystories_1000.json",
	};
	char path[PATH_MAX];

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct tok_ids ids = { 0 };
		char *text;
		size_t len;

		snprintf(path, sizeof(path), "%s/corpora/%s", data_dir(), names[i]);
		text = read_file(path, &len);
		if (!text)
			fail_msg("can't read '%s'", path);
		while (len && !utf8_valid(text, len))	/* half a character at the end */
			len--;
		assert_true(len > 100000);
		assert_int_equal(tok_encode(tok, text, len, 0, SIZE_MAX, &ids), 0);
		assert_true(ids.count < len / 2);
		check_round_trip(tok, text, len, &ids);
		free(ids.ids);
		free(text);
	}
}

static void check_vocabulary(const char *name, enum tok_kind kind)
{
	char path[PATH_MAX], list[PATH_MAX + 8];
	struct tokenizer *tok = open_vocabulary(name, path, sizeof(path));
	char *inputs, *outputs;
	size_t len, count;

	assert_int_equal(tok_kind(tok), kind);
	snprintf(list, sizeof(list), "%s.inp", path);
	inputs = read_file(list, &len);
	snprintf(list, sizeof(list), "%s.out", path);
	outputs = read_file(list, &len);
	if (!inputs || !outputs)
		fail_msg("no vectors beside '%s'", path);
	count = check_vectors(tok, inputs, outputs);
	print_message("# %s: %zu vectors\n", name, count);
	assert_true(count >= 40);
	free(inputs);
	free(outputs);
	if (kind != TOK_WORDPIECE)
		check_corpora(tok);
	tok_free(tok);
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

/* the template that this model's file really has: ChatML, with a default system message */
static void test_qwen2_chat(void **state)
{
	static const struct chat_message hello = { CHAT_USER, "Hello", 5 };
	static const char want[] = "<|im_start|>system\nYou are a helpful assistant<|im_end|>\n"
				   "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n";
	struct tok_ids ids = { 0 }, want_ids = { 0 };
	char path[PATH_MAX];
	struct tokenizer *tok = open_vocabulary("qwen2", path, sizeof(path));
	struct gguf *gguf = NULL;

	(void)state;
	assert_int_equal(gguf_open(&gguf, path, NULL), 0);
	assert_int_equal(chat_detect(gguf), CHAT_CHATML);
	gguf_free(gguf);
	assert_int_equal(chat_encode(CHAT_CHATML, tok, &hello, 1, SIZE_MAX, &ids, NULL), 0);
	assert_int_equal(tok_encode(tok, want, strlen(want), TOK_SPECIAL, SIZE_MAX, &want_ids), 0);
	assert_int_equal(ids.count, want_ids.count);
	assert_memory_equal(ids.ids, want_ids.ids, ids.count * sizeof(*ids.ids));
	assert_true(tok_is_end(tok, tok_find(tok, "<|im_end|>")));
	assert_true(tok_is_end(tok, tok_find(tok, "<|endoftext|>")));
	free(ids.ids);
	free(want_ids.ids);
	tok_free(tok);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spm),
		cmocka_unit_test(test_gpt2),
		cmocka_unit_test(test_llama_bpe),
		cmocka_unit_test(test_qwen2),
		cmocka_unit_test(test_bert),
		cmocka_unit_test(test_qwen2_chat),
	};

	char path[PATH_MAX];

	/* all of the test data or none: a vocabulary that is missing alone is a failure */
	snprintf(path, sizeof(path), "%s/vocab", data_dir());
	if (access(path, R_OK) < 0) {
		printf("1..0 # SKIP no test data at '%s' (LLMOS_TEST_DATA)\n", path);
		return 0;
	}
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
