/* SPDX-License-Identifier: MIT */
/*
 * tokenizer.json of each kind: the ids of texts that go wrong easily are those of the library that
 * made the files. Then every part that changes an id, and is not known, is refused by name.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "hub_test.h"
#include "model/tokenizer_json.h"
#include "tokenizer/nfc.h"
#include "tokenizer/tokenizer.h"

/* ---- ids ---- */

static struct tokenizer *open_tokenizer(struct tokenizer_files *files, uint32_t n_vocab)
{
	struct error error = { "" };
	struct tokenizer *tok = NULL;
	struct gguf *gguf = NULL;

	assert_int_equal(gguf_new(&gguf), 0);
	if (tokenizer_json_load(gguf, files, n_vocab, &error) < 0 ||
	    tok_new(&tok, gguf, &error) < 0)
		fail_msg("%s", error.text);
	gguf_free(gguf);
	return tok;
}

static void check_ids(const struct tokenizer *tok, const char *text, size_t len, const json_t *want)
{
	struct tok_ids ids = { 0 };

	assert_int_equal(tok_encode(tok, text, len, TOK_BOS | TOK_SPECIAL, SIZE_MAX, &ids), 0);
	for (size_t i = 0; i < MAX(ids.count, json_array_size(want)); i++) {
		uint32_t id = UINT32_MAX;

		assert_int_equal(json_get_u32(json_array_get(want, i), &id), 0);
		if (i >= ids.count || ids.ids[i] != id)
			fail_msg("'%s': id %zu is %u, not %u", text, i,
				 i < ids.count ? ids.ids[i] : UINT32_MAX, id);
	}
	free(ids.ids);
}

static void test_ids(void **state)
{
	const char *folder = hub_test_path(*state);
	struct tokenizer_files files = { .tokenizer = hub_test_json(folder, TOKENIZER_JSON) };
	json_t *cases = hub_test_json(folder, "ids.json");
	struct tokenizer *tok = open_tokenizer(&files, 0), *padded = open_tokenizer(&files, 400);

	assert_true(json_array_size(cases) > 50);
	for (size_t i = 0; i < json_array_size(cases); i++) {
		const json_t *text = json_array_get(json_array_get(cases, i), 0);
		const json_t *want = json_array_get(json_array_get(cases, i), 1);

		check_ids(tok, json_string_value(text), json_string_length(text), want);
		check_ids(padded, json_string_value(text), json_string_length(text), want);
	}
	/* rows of the embedding that no token has */
	assert_int_equal(tok_vocab(padded), 400);
	assert_int_equal(tok_find(padded, ""), TOK_NONE);
	tok_free(tok);
	tok_free(padded);
	json_decref(cases);
	tokenizer_files_done(&files);
}

/* ---- form C ---- */

static void test_nfc(void **state)
{
	static const struct {
		const char *from, *to;
	} cases[] = {
		{ "e\xcc\x81", "\xc3\xa9" }, { "\xe2\x84\xab", "\xc3\x85" },
		/* marks in the wrong order: U+0323 goes before U+0301 */
		{ "e\xcc\x81\xcc\xa3", "\xe1\xba\xb9\xcc\x81" },
		/* Hangul, and a singleton that is excluded from composition */
		{ "\xe1\x84\x80\xe1\x85\xa1\xe1\x86\xa8", "\xea\xb0\x81" },
		{ "\xe0\xa5\x98", "\xe0\xa4\x95\xe0\xa4\xbc" }, { "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char *to = NULL;
		size_t len = 0;

		assert_int_equal(nfc_normalise(cases[i].from, strlen(cases[i].from), &to, &len), 0);
		assert_int_equal(len, strlen(cases[i].to));
		assert_memory_equal(to, cases[i].to, len);
		free(to);
	}
	assert_true(nfc_is_plain("caf\xc3\xa9", 5));
	assert_false(nfc_is_plain("cafe\xcc\x81", 6));
}

/* a letter with half a million marks, which must not take the square of that */
static void test_nfc_marks(void **state)
{
	const size_t marks = 500000;
	char *text = malloc(1 + 4 * marks), *to = NULL;
	size_t len = 0;

	(void)state;
	assert_non_null(text);
	text[0] = 'x';
	for (size_t i = 0; i < marks; i++)
		memcpy(text + 1 + 4 * i, "\xcc\x81\xcc\xa3", 4);
	assert_int_equal(nfc_normalise(text, 1 + 4 * marks, &to, &len), 0);
	assert_int_equal(len, 3 + 4 * marks - 2);
	/* all of the lower class first; one of them is in the letter */
	assert_memory_equal(to + 3, "\xcc\xa3\xcc\xa3", 4);
	assert_memory_equal(to + len - 4, "\xcc\x81\xcc\x81", 4);
	free(text);
	free(to);
}

/* ---- kinds of bytes by their patterns ---- */

#define SPLIT(regex)	"{\"type\":\"Split\",\"pattern\":{\"Regex\":\"" regex "\"}," \
			"\"behavior\":\"Isolated\",\"invert\":false},"
#define STEPS		"{\"type\":\"Sequence\",\"pretokenizers\":[%s{\"type\":\"ByteLevel\"," \
			"\"add_prefix_space\":false,\"use_regex\":false}]}"

/* as files have them: two of these have the ends of lines themselves in their patterns */
static const struct {
	const char *name, *steps;
} splits[] = {
	{ "gpt-4o",
	  SPLIT("[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}"
	  "\\\\p{M}]*[\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
	  "[^\\\\r\\\\n\\\\p{L}\\\\p{N}]?[\\\\p{Lu}\\\\p{Lt}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]+["
	  "\\\\p{Ll}\\\\p{Lm}\\\\p{Lo}\\\\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|"
	  "\\\\p{N}{1,3}| ?[^\\\\s\\\\p{L}"
	  "\\\\p{N}]+[\\\\r\\\\n/]*|\\\\s*[\\\\r\\\\n]+|\\\\s+(?!\\\\S)|\\\\s+") },
	{ "deepseek-v3",
	  SPLIT("\\\\p{N}{1,3}")
	  SPLIT("[一-龥぀-ゟ゠-ヿ]+")
	  SPLIT("[!\\\"#$%&'()*+,\\\\-./:;<=>?@\\\\[\\\\\\\\\\\\]^_`{|}~][A-Za-z]+|"
	  "[^\\r\\n\\\\p{L}\\\\p{P}\\\\p{S}]?[\\\\p{L}\\\\p{M}]+|"
	  " ?[\\\\p{P}\\\\p{S}]+[\\r\\n]*|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+") },
	{ "deepseek-coder",
	  SPLIT("[\\r\\n]")
	  SPLIT("\\\\s?\\\\p{L}+")
	  SPLIT("\\\\s?\\\\p{P}+")
	  SPLIT("[一-龥ࠀ-一가-퟿]+")
	  "{\"type\":\"Digits\",\"individual_digits\":true}," },
	{ "seed-coder",
	  SPLIT("(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\\\p{L}\\\\p{N}]?\\\\p{L}+|\\\\p{N}{1}|"
	  " ?[^\\\\s\\\\p{L}\\\\p{N}\\r\\n]+|\\\\s*[\\r\\n]+|\\\\s+(?!\\\\S)|\\\\s+") },
};

static void test_splits(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(splits); i++) {
		struct tokenizer_files files = { 0 };
		struct error error = { "" };
		struct gguf_string pre;
		struct gguf *gguf;
		struct hub_copy copy;
		char value[2048];

		assert_in_range(snprintf(value, sizeof(value), STEPS, splits[i].steps), 1,
				sizeof(value) - 1);
		hub_copy_new(&copy, "bytes");
		hub_copy_set(&copy, TOKENIZER_JSON, "pre_tokenizer", value);
		assert_int_equal(tokenizer_files_read(&files, copy.path, NULL, NULL), 0);
		assert_int_equal(gguf_new(&gguf), 0);
		if (tokenizer_json_load(gguf, &files, 400, &error) < 0)
			fail_msg("%s", error.text);
		assert_int_equal(gguf_get_string(gguf, "tokenizer.ggml.pre", &pre), 0);
		if (pre.len != strlen(splits[i].name) || memcmp(pre.data, splits[i].name, pre.len))
			fail_msg("%s is taken for %.*s", splits[i].name, (int)pre.len, pre.data);
		gguf_free(gguf);
		tokenizer_files_done(&files);
		hub_copy_free(&copy);
	}
}

/* ---- what is refused ---- */

struct refused {
	const char *fixture, *path, *value;
	int want;
	const char *text;
};

#define X16	"xxxxxxxxxxxxxxxx"
#define X64	X16 X16 X16 X16
#define LONG	"\"" X64 X64 X64 X64 "\""

static const struct refused refused[] = {
	{ "bytes", "model", NULL, -EBADMSG, "'model' is missing" },
	{ "bytes", "model/type", "\"Unigram\"", -EOPNOTSUPP, "not supported for Unigram" },
	{ "bytes", "model/type", "\"WordLevel\"", -EOPNOTSUPP, "model 'WordLevel'" },
	{ "bytes", "model/dropout", "0.1", -EOPNOTSUPP, "dropout" },
	{ "bytes", "model/end_of_word_suffix", "\"</w>\"", -EOPNOTSUPP, "marks in words" },
	{ "bytes", "model/vocab", "[]", -EBADMSG, "'vocab' is missing" },
	{ "bytes", "model/vocab", "{\"a\":0,\"b\":0}", -EBADMSG, "two tokens are number 0" },
	{ "bytes", "model/vocab", "{\"a\":-1}", -EBADMSG, "id of 'a'" },
	{ "bytes", "model/vocab", "{\"a\":4000000000}", -EBADMSG, "number 4000000000 of" },
	{ "bytes", "model/merges", NULL, -EBADMSG, "'merges' are missing" },
	{ "bytes", "model/merges", "[\"a b c\"]", -EBADMSG, "merge 0 is no pair" },
	{ "bytes", "model/merges", "[[\"a\",\"b\"],[\"a\"]]", -EBADMSG, "merge 1 is no pair" },
	{ "bytes", "model/merges", "[[\"a\",7]]", -EBADMSG, "merge 0 is no pair" },
	{ "bytes", "model/merges", "[\" a\"]", -EBADMSG, "merge 0 is no pair" },
	{ "bytes", "model/unk_token", "\"nobody\"", -EBADMSG, "what is unknown" },
	{ "bytes", "normalizer", "{\"type\":\"NFKC\"}", -EOPNOTSUPP, "NFKC" },
	{ "bytes", "normalizer", "{\"type\":\"Lowercase\"}", -EOPNOTSUPP, "Lowercase" },
	{ "bytes", "pre_tokenizer", "null", -EOPNOTSUPP, "'NFC;' with pre-tokenizer ''" },
	{ "bytes", "pre_tokenizer/pretokenizers/0/pattern/Regex", "\"\\\\w+\"", -EOPNOTSUPP,
	  "\\\\w+" },
	{ "bytes", "pre_tokenizer/pretokenizers/0/behavior", "\"Removed\"", -EOPNOTSUPP, "Split" },
	{ "bytes", "pre_tokenizer/pretokenizers/1/add_prefix_space", "true", -EOPNOTSUPP,
	  "ByteLevel" },
	{ "bytes", "pre_tokenizer/pretokenizers/0", "{\"type\":\"Whitespace\"}", -EOPNOTSUPP,
	  "Whitespace" },
	{ "bytes", "pre_tokenizer/pretokenizers/0", "{\"type\":\"Digits\"}", -EOPNOTSUPP, "Digits" },
	{ "bytes", "pre_tokenizer/pretokenizers", "7", -EBADMSG, "are no steps" },
	{ "bytes", "added_tokens/0/content", "7", -EBADMSG, "has no text" },
	{ "bytes", "added_tokens/0/content", LONG, -EOPNOTSUPP, "has 256 bytes" },
	{ "bytes", "added_tokens/0/id", "1", -EBADMSG, "is number 0 and 1" },
	{ "bytes", "added_tokens/0/single_word", "true", -EOPNOTSUPP, "single word" },
	{ "bytes", "post_processor", "{\"type\":\"Odd\"}", -EOPNOTSUPP, "post-processor 'Odd'" },
	{ "spm", "model/byte_fallback", "false", -EOPNOTSUPP, "neither has bytes" },
	{ "spm", "model/ignore_merges", "true", -EOPNOTSUPP, "'ignore_merges'" },
	{ "spm", "model/vocab/<0x41>", NULL, -EBADMSG, "the byte <0x41>" },
	{ "spm", "normalizer/normalizers/0/prepend", "\"x\"", -EOPNOTSUPP, "Prepend" },
	{ "spm", "normalizer/normalizers/1/content", "\"x\"", -EOPNOTSUPP, "Replace" },
	{ "spm", "pre_tokenizer", "{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\"}",
	  -EOPNOTSUPP, "with pre-tokenizer 'MetaAlwaysSplit;'" },
	{ "spm", "post_processor/special_tokens/<s>/ids", "[1,2]", -EOPNOTSUPP, "around a text" },
	{ "spm", "post_processor/special_tokens/<s>/ids", "[99999]", -EBADMSG, "'<s>' is none" },
	{ "spm", "post_processor/single", "[]", -EOPNOTSUPP, "around a text" },
	{ "spm", "post_processor/single/0", "{\"Sequence\":{\"id\":\"B\"}}", -EOPNOTSUPP,
	  "around a text" },
	{ "spm-first", "pre_tokenizer/prepend_scheme", "\"odd\"", -EOPNOTSUPP, "odd" },
	{ "spm-first", "pre_tokenizer/replacement", "\"_\"", -EOPNOTSUPP, "Metaspace" },
	{ "unigram", "model/unk_id", NULL, -EBADMSG, "what is unknown" },
	{ "unigram", "model/unk_id", "9999", -EBADMSG, "what is unknown" },
	{ "unigram", "model/vocab", "{}", -EBADMSG, "'vocab' is missing" },
	{ "unigram", "model/vocab/4", "[\"<s>\",0]", -EBADMSG, "'<s>' is number 0 and 4" },
	{ "unigram", "model/vocab/4", "[\"x\"]", -EBADMSG, "token 4 is no text" },
	{ "unigram", "model/vocab/4", "[7,\"x\"]", -EBADMSG, "token 4 is no text" },
	{ "unigram", "model/byte_fallback", "true", -EBADMSG, "the byte <0x00>" },
	{ "unigram", "normalizer/normalizers/0/precompiled_charsmap", "\"A\"", -EBADMSG,
	  "no base64" },
	{ "unigram", "normalizer/normalizers/1", "{\"type\":\"NFKD\"}", -EOPNOTSUPP, "NFKD" },
	{ "unigram", "normalizer/normalizers/1", "{\"type\":\"Prepend\",\"prepend\":\"\u2581\"}",
	  -EOPNOTSUPP, "'Map;Prepend;CollapseMark;' with pre-tokenizer" },
	{ "unigram", "normalizer/normalizers/2/content", "\"x\"", -EOPNOTSUPP, "Replace" },
	{ "unigram", "normalizer/normalizers/2/pattern", "{\"Regex\":\" +\"}", -EOPNOTSUPP,
	  "Replace" },
	{ "unigram", "pre_tokenizer", "{\"type\":\"Sequence\",\"pretokenizers\":[{\"type\":"
	  "\"WhitespaceSplit\"},{\"type\":\"Metaspace\",\"replacement\":\"\\u2581\","
	  "\"prepend_scheme\":\"first\"}]}", -EOPNOTSUPP, "'Words;MetaFirstSplit;'" },
	{ "unigram", "pre_tokenizer", "null", -EOPNOTSUPP, "with pre-tokenizer ''" },
	{ "wordpiece", "model/continuing_subword_prefix", "\"@@\"", -EOPNOTSUPP, "as BERT has it" },
	{ "wordpiece", "model/max_input_chars_per_word", "7", -EOPNOTSUPP, "as BERT has it" },
	{ "wordpiece", "model/unk_token", NULL, -EBADMSG, "what is unknown" },
	{ "wordpiece", "normalizer/clean_text", "false", -EOPNOTSUPP, "BertNormalizer" },
	{ "wordpiece", "normalizer/handle_chinese_chars", "false", -EOPNOTSUPP, "BertNormalizer" },
	{ "wordpiece", "pre_tokenizer", "null", -EOPNOTSUPP, "'Bert;' with pre-tokenizer ''" },
	{ "wordpiece", "post_processor/single/1", "{\"SpecialToken\":{\"id\":\"[SEP]\"}}",
	  -EOPNOTSUPP, "around a text" },
};

static void test_refused(void **state)
{
	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(refused); i++) {
		const struct refused *c = &refused[i];
		struct tokenizer_files files = { 0 };
		struct error error = { "" };
		struct gguf *gguf = NULL;
		struct hub_copy copy;
		int r;

		hub_copy_new(&copy, c->fixture);
		hub_copy_set(&copy, TOKENIZER_JSON, c->path, c->value);
		assert_int_equal(tokenizer_files_read(&files, copy.path, NULL, NULL), 0);
		assert_int_equal(gguf_new(&gguf), 0);
		r = tokenizer_json_load(gguf, &files, 400, &error);
		if (r != c->want || !strstr(error.text, c->text))
			fail_msg("%s %s: %d '%s', not %d with '%s'", c->path, c->value, r,
				 error.text, c->want, c->text);
		gguf_free(gguf);
		tokenizer_files_done(&files);
		hub_copy_free(&copy);
	}
}

/* two texts as one is put around, or it is said that it is not so */
static void test_pairs(void **state)
{
	static const char two[] = "[{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},"
				  "{\"Sequence\":{\"id\":\"%s\",\"type_id\":0}},%s"
				  "{\"Sequence\":{\"id\":\"%s\",\"type_id\":1}},"
				  "{\"SpecialToken\":{\"id\":\"%s\",\"type_id\":1}}]";
	static const char sep[] = "{\"SpecialToken\":{\"id\":\"[SEP]\",\"type_id\":0}},";
	static const char cls[] = "{\"SpecialToken\":{\"id\":\"[CLS]\",\"type_id\":0}},";
	const struct {
		const char *first, *between[2], *second, *end;
		bool has_none, is_apart;
	} cases[] = {
		{ "A", { sep, "" }, "B", "[SEP]", false, false },
		{ "A", { sep, sep }, "B", "[SEP]", false, true },
		{ "A", { "", "" }, "B", "[SEP]", true, false },
		{ "A", { sep, cls }, "B", "[SEP]", true, false },
		{ "A", { cls, "" }, "B", "[SEP]", true, false },
		{ "B", { sep, "" }, "A", "[SEP]", true, false },
		{ "A", { sep, "" }, "B", "[CLS]", true, false },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		char between[256], value[1024];
		struct tokenizer_files files = { 0 };
		struct tokenizer *tok;
		struct hub_copy copy;

		snprintf(between, sizeof(between), "%s%s", cases[i].between[0],
			 cases[i].between[1]);
		snprintf(value, sizeof(value), two, cases[i].first, between, cases[i].second,
			 cases[i].end);
		hub_copy_new(&copy, "wordpiece");
		hub_copy_set(&copy, TOKENIZER_JSON, "post_processor/pair", value);
		assert_int_equal(tokenizer_files_read(&files, copy.path, NULL, NULL), 0);
		tok = open_tokenizer(&files, 400);
		if (tok_has_no_pairs(tok) != cases[i].has_none ||
		    tok_pair_apart(tok) != cases[i].is_apart)
			fail_msg("%s", value);
		tok_free(tok);
		tokenizer_files_done(&files);
		hub_copy_free(&copy);
	}
}

/* a token that is only added has no score, so it does not tell what unknown characters count for */
static void test_unigram_added(void **state)
{
	static const char vocab[] =
		"[[\"<s>\",0.0],[\"<pad>\",0.0],[\"</s>\",0.0],[\"<unk>\",0.0],"
		"[\"\xe2\x96\x81\",-3.0],[\"ma\",-8.0],[\"king\",-9.0],[\"mak\",-6.0],"
		"[\"ing\",-4.0],[\"m\",-10.0],[\"a\",-10.0],[\"k\",-10.0],[\"i\",-10.0],"
		"[\"n\",-10.0],[\"g\",-10.0]]";
	static const uint32_t want[] = { 4, 3, 7, 8, 15, 4, 7 };
	static const char text[] = "Xmaking<extra>mak";
	struct tokenizer_files files = {
		.tokenizer = hub_test_json(hub_test_path("unigram"), TOKENIZER_JSON),
	};
	json_t *added = json_object_get(files.tokenizer, "added_tokens");
	json_t *model = json_object_get(files.tokenizer, "model");
	json_t *extra = json_pack("{s:f,s:s,s:b}", "id", 15.0, "content", "<extra>", "special", 1);
	struct tok_ids ids = { 0 };
	struct tokenizer *tok;

	(void)state;
	assert_int_equal(json_object_set_new(model, "vocab",
					     json_loads(vocab, JSON_DECODE_INT_AS_REAL, NULL)), 0);
	assert_int_equal(json_array_remove(added, json_array_size(added) - 1), 0);
	assert_int_equal(json_array_append_new(added, extra), 0);
	tok = open_tokenizer(&files, 0);
	assert_int_equal(tok_encode(tok, text, strlen(text), TOK_SPECIAL, SIZE_MAX, &ids), 0);
	assert_int_equal(ids.count, ARRAY_SIZE(want));
	assert_memory_equal(ids.ids, want, sizeof(want));
	free(ids.ids);
	tok_free(tok);
	tokenizer_files_done(&files);
}

/* a token that the embedding has no row for: added ones are left out, the model's own are not */
static void test_rows(void **state)
{
	const char *folder = hub_test_path("bytes");
	struct tokenizer_files files = { .tokenizer = hub_test_json(folder, TOKENIZER_JSON) };
	struct error error = { "" };
	struct tokenizer *tok = open_tokenizer(&files, 300);
	struct gguf *gguf = NULL;

	(void)state;
	assert_int_equal(tok_find(tok, "<|end|>"), TOK_NONE);
	tok_free(tok);
	assert_int_equal(gguf_new(&gguf), 0);
	assert_int_equal(tokenizer_json_load(gguf, &files, 200, &error), -EBADMSG);
	assert_non_null(strstr(error.text, "of 200"));
	gguf_free(gguf);
	tokenizer_files_done(&files);
}

/* settings of three files, and which of them wins */
static void test_settings(void **state)
{
	struct tokenizer_files files = {
		.tokenizer = hub_test_json(hub_test_path("spm"), TOKENIZER_JSON),
		.settings = json_loads("{\"bos_token\":\"<unk>\",\"eos_token\":{\"content\":\"</s>\"},"
				       "\"add_bos_token\":false,\"chat_template\":[{\"name\":\"default\","
				       "\"template\":\"one\"}]}", 0, NULL),
		.generation = json_loads("{\"eos_token_id\":[7,99999,8]}", JSON_DECODE_INT_AS_REAL,
					 NULL),
	};
	struct tokenizer *tok = open_tokenizer(&files, 0);

	(void)state;
	/* what stands before a text is the beginning, and is not put there any more */
	assert_int_equal(tok_bos(tok), 1);
	assert_false(tok_add_bos(tok));
	assert_int_equal(tok_eos(tok), 2);
	assert_true(tok_is_end(tok, 2) && tok_is_end(tok, 7) && tok_is_end(tok, 8));
	assert_false(tok_is_end(tok, 9));
	tok_free(tok);
	tokenizer_files_done(&files);
}

/* an added token that marks spaces is spelled with them, and found as it is written */
static void test_added_spaces(void **state)
{
	struct tokenizer_files files = {
		.tokenizer = hub_test_json(hub_test_path("spm"), TOKENIZER_JSON),
	};
	static const char text[] = "\xe2\x96\x81\xe2\x96\x81|";
	json_t *added = json_object_get(files.tokenizer, "added_tokens");
	struct tokenizer *tok;
	struct tok_ids ids = { 0 };
	uint32_t id;
	size_t len;

	(void)state;
	assert_int_equal(json_array_append_new(added, json_pack("{s:f,s:s,s:b}", "id", 399.0,
								"content", text, "special", 0)), 0);
	tok = open_tokenizer(&files, 400);
	id = tok_find(tok, text);
	assert_int_equal(id, 399);
	assert_memory_equal(tok_piece(tok, id, false, false, &len), "  |", 3);
	assert_int_equal(len, 3);
	assert_int_equal(tok_encode(tok, text, strlen(text), 0, SIZE_MAX, &ids), 0);
	assert_int_equal(ids.count, 1);
	assert_int_equal(ids.ids[0], 399);
	free(ids.ids);
	tok_free(tok);
	tokenizer_files_done(&files);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		{ "ids_bytes", test_ids, NULL, NULL, "bytes" },
		{ "ids_llama", test_ids, NULL, NULL, "llama" },
		{ "ids_spm", test_ids, NULL, NULL, "spm" },
		{ "ids_spm_first", test_ids, NULL, NULL, "spm-first" },
		{ "ids_unigram", test_ids, NULL, NULL, "unigram" },
		{ "ids_unigram_first", test_ids, NULL, NULL, "unigram-first" },
		{ "ids_wordpiece", test_ids, NULL, NULL, "wordpiece" },
		cmocka_unit_test(test_nfc),
		cmocka_unit_test(test_nfc_marks),
		cmocka_unit_test(test_splits),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_pairs),
		cmocka_unit_test(test_unigram_added),
		cmocka_unit_test(test_rows),
		cmocka_unit_test(test_settings),
		cmocka_unit_test(test_added_spaces),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
