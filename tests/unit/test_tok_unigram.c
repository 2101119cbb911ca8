/* SPDX-License-Identifier: MIT */
/*
 * Unigram vocabularies on a small one made here: the best way to spell a text, what is unknown,
 * what the map of characters does, and files that are wrong. Those that other programs made are in
 * test_tokenizer_json.c.
 */
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "base/base64.h"
#include "tok_test.h"
#include "tokenizer/charsmap.h"
#include "tokenizer/trie.h"
#include "tokenizer/unigram.h"
#include "tokenizer/vocab.h"

static struct tokenizer *unigram(void)
{
	struct gguf_write w = { 0 };

	gguf_write_unigram(&w);
	return tok_of(&w, 0, NULL);
}

/* ---- texts ---- */

static void test_spelling(void **state)
{
	struct tokenizer *tok = unigram();

	(void)state;
	assert_int_equal(tok_kind(tok), TOK_UNIGRAM);
	assert_string_equal(tok_kind_name(tok), "unigram");
	TOK_EXPECT(tok, "the fish", TOK_BOS, "<s>| the| fish|</s>");
	/* -9 is better than -5 - 5, and -12 - 5 than -9 - 9; of equal sums the first counts */
	TOK_EXPECT(tok, "aa", 0, " |aa");
	TOK_EXPECT(tok, "aaa", 0, " |aaa");
	TOK_EXPECT(tok, "aaaa", 0, " |a|aaa");
	TOK_EXPECT(tok, "th", 0, " t|h");
	/* what no file wants to be written is never a token */
	TOK_EXPECT(tok, "these", 0, " the|s|e");
	TOK_EXPECT(tok, "", TOK_BOS, "<s>|</s>");
	TOK_EXPECT(tok, " ", 0, "");
	tok_free(tok);
}

/* several unknown characters are one token, also across words, but not across known ones */
static void test_unknown(void **state)
{
	struct tokenizer *tok = unigram();

	(void)state;
	TOK_EXPECT(tok, "xyz", 0, " |<unk>");
	TOK_EXPECT(tok, "xaz", 0, " |<unk>|a|<unk>");
	TOK_EXPECT(tok, "\xf0\x9f\x98\x80\xf0\x9f\x98\x80 x", 0, " |<unk>| |<unk>");
	tok_expect(tok, "a\0a", 3, 0, " |a|<unk>|a");
	tok_free(tok);
}

/* @odd: the last token, besides those of a small vocabulary */
static struct tokenizer *making(struct vocab_token odd)
{
	const struct vocab_token tokens[] = {
		{ "<s>", 0, 3 }, { "</s>", 0, 3 }, { "<unk>", 0, 2 }, { TOK_SPACE, -3, 1 },
		{ "ma", -8, 1 }, { "king", -9, 1 }, { "mak", -6, 1 }, { "ing", -4, 1 },
		{ "m", -10, 1 }, { "a", -10, 1 }, { "k", -10, 1 }, { "i", -10, 1 }, { "n", -10, 1 },
		{ "g", -10, 1 }, { "Xm", -20, 1 }, odd,
	};
	struct gguf_write w = { 0 };

	gguf_write_header(&w, 3, 0, 4);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "t5");
	gguf_write_vocab(&w, tokens, ARRAY_SIZE(tokens));
	return tok_of(&w, 0, NULL);
}

/* what an unknown character counts for goes by normal tokens whose scores are numbers */
static void test_unknown_score(void **state)
{
	static const struct vocab_token odd[] = {
		{ "z", -11, 1 }, { "<x>", -1000, 3 }, { "<x>", -INFINITY, 3 }, { "<x>", NAN, 3 },
		{ "<x>", -1000, 5 }, { "<x>", -INFINITY, 4 }, { "z", -INFINITY, 1 },
		{ "z", NAN, 1 }, { "z", INFINITY, 1 },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(odd); i++) {
		struct tokenizer *tok = making(odd[i]);

		TOK_EXPECT(tok, "Ymaking", 0, " |<unk>|mak|ing");
		/* -30 - 6 is better than -20 - 10 - 10 */
		TOK_EXPECT(tok, "Xmak", 0, " |<unk>|mak");
		TOK_EXPECT(tok, "zmaking", 0, i ? " |<unk>|mak|ing" : " |z|mak|ing");
		tok_free(tok);
	}
}

/* a byte that is a token is none that is unknown, whichever others there are */
static void test_bytes(void **state)
{
	struct tokenizer *tok = making((struct vocab_token){ "<0x59>", 0, 6 });
	struct tok_ids ids = { 0 };
	const uint32_t byte = tok_find(tok, "<0x59>"), unknown = tok_find(tok, "<unk>");
	const uint32_t want[] = { tok_find(tok, TOK_SPACE), byte, byte, unknown, byte, unknown };

	(void)state;
	assert_int_equal(tok_encode(tok, "YYZZYZ", 6, 0, SIZE_MAX, &ids), 0);
	assert_int_equal(ids.count, ARRAY_SIZE(want));
	assert_memory_equal(ids.ids, want, sizeof(want));
	free(ids.ids);
	tok_free(tok);
}

static void test_spaces(void **state)
{
	struct tokenizer *tok = unigram();

	(void)state;
	TOK_EXPECT(tok, "  the \t  fish  ", 0, " the| fish");
	TOK_EXPECT(tok, "\xc2\xa0the", 0, " the");
	TOK_EXPECT(tok, "the<ud>fish", 0, " the|<ud>| fish");
	tok_free(tok);
}

/* of strings that begin at one place the longest is replaced */
static void test_map(void **state)
{
	struct tokenizer *tok = unigram();

	(void)state;
	TOK_EXPECT(tok, "\xef\xac\x81sh", 0, " fish");
	TOK_EXPECT(tok, "t\xc2\xadhe", 0, " the");
	TOK_EXPECT(tok, "e\xcc\x81", 0, " |\xc3\xa9");
	TOK_EXPECT(tok, "o\xcc\x88", 0, " |\xc3\xb6");
	TOK_EXPECT(tok, "o\xcc\x88\xcc\x84", 0, " |\xc8\xab");
	tok_free(tok);
}

/* a control token comes out of a text where it may, and never by way of the map */
static void test_control(void **state)
{
	struct tokenizer *tok = unigram();

	(void)state;
	TOK_EXPECT(tok, "a<s>a", TOK_SPECIAL, " |a|<s>| |a");
	TOK_EXPECT(tok, "<s>", 0, " |<|s|>");
	TOK_EXPECT(tok, "\xef\xbc\x9cs\xef\xbc\x9e", TOK_SPECIAL, " |<|s|>");
	assert_true(tok_pair_apart(tok));
	tok_free(tok);
}

/* time goes by the length of a text, and by what a token may have */
static void test_long(void **state)
{
	const size_t len = 1 << 20;
	struct tokenizer *tok = unigram();
	char *text = malloc(len);
	struct tok_ids ids = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'a', len);
	assert_int_equal(tok_encode(tok, text, len, 0, SIZE_MAX, &ids), 0);
	/* as few as there can be, of threes, and what is left */
	assert_int_equal(ids.count, 1 + (len + 2) / 3);
	assert_int_equal(tok_encode(tok, text, len, 0, 2 * ids.count - 1, &ids), -E2BIG);
	assert_int_equal(ids.count, 1 + (len + 2) / 3);
	free(ids.ids);
	free(text);
	tok_free(tok);
}

/* what has no spaces is spelled up to a bound, however few tokens it were; what has, beyond it */
static void test_piece_max(void **state)
{
	const size_t most = UNIGRAM_PIECE_MAX - TOK_SPACE_LEN;
	struct tokenizer *tok = unigram();
	char *text = malloc(most + 2);
	struct tok_ids ids = { 0 };

	(void)state;
	assert_non_null(text);
	memset(text, 'x', most + 2);
	assert_int_equal(tok_encode(tok, text, most, 0, SIZE_MAX, &ids), 0);
	assert_int_equal(ids.count, 2);
	assert_int_equal(tok_encode(tok, text, most + 1, 0, SIZE_MAX, &ids), -E2BIG);
	assert_int_equal(ids.count, 2);
	text[most / 2] = ' ';
	assert_int_equal(tok_encode(tok, text, most + 2, 0, SIZE_MAX, &ids), 0);
	assert_int_equal(ids.count, 6);
	free(ids.ids);
	free(text);
	tok_free(tok);
}

/* ---- files ---- */

static void write_file(struct gguf_write *w, size_t keys, const char *unknown)
{
	const struct vocab_token tokens[] = {
		{ "<s>", 0, 3 }, { "</s>", 0, 3 }, { unknown, 0, 2 }, { "a", -1, 1 },
	};

	gguf_write_header(w, 3, 0, 4 + keys);
	gguf_write_key_string(w, "tokenizer.ggml.model", "t5");
	gguf_write_vocab(w, tokens, ARRAY_SIZE(tokens));
}

/* Unicode's forms, among the steps that a text is given to */
static void test_forms(void **state)
{
	static const struct vocab_token tokens[] = {
		{ "<s>", 0, 3 }, { "</s>", 0, 3 }, { "<unk>", 0, 2 }, { TOK_SPACE, -1, 1 },
		{ "f", -1, 1 }, { "i", -1, 1 }, { "\xef\xac\x81", -1, 1 }, { "\xc3\xa9", -1, 1 },
		{ "1", -1, 1 },
	};
	static const struct {
		const char *steps, *text, *want;
	} cases[] = {
		/* the ligature fi, e with an accent apart, a circled one, a no-break space */
		{ "NFKC;", "\xef\xac\x81", " |f|i" },
		{ "NFC;", "\xef\xac\x81", " |\xef\xac\x81" },
		{ "", "e\xcc\x81", " |<unk>" },
		{ "NFKC;", "e\xcc\x81", " |\xc3\xa9" },
		{ "NFC;", "e\xcc\x81", " |\xc3\xa9" },
		{ "NFKC;", "\xe2\x91\xa0\xc3\xa9", " |1|\xc3\xa9" },
		{ "NFKC;StripRight;", "1\xc2\xa0", " |1" },
		{ "NFKC;", "", "" },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gguf_write w = { 0 };
		struct tokenizer *tok;

		gguf_write_header(&w, 3, 0, 5);
		gguf_write_key_string(&w, "tokenizer.ggml.model", "t5");
		gguf_write_vocab(&w, tokens, ARRAY_SIZE(tokens));
		gguf_write_key_string(&w, "llmos.tokenizer.steps", cases[i].steps);
		tok = tok_of(&w, 0, NULL);
		tok_expect(tok, cases[i].text, strlen(cases[i].text), 0, cases[i].want);
		tok_free(tok);
	}
}

static void test_bad_file(void **state)
{
	static const uint8_t map[] = { 4, 0, 0, 0, 0, 0, 0, 0, 'a', 0xff, 0 };
#define THREE "Collapse;Collapse;Collapse;"
	static const char *const steps[] = {
		"Map;", "Strip;", "Collapse", "StripLeft;x", THREE THREE THREE,
	};
	struct gguf_write w = { 0 };
	char text[300];

	(void)state;
	write_file(&w, 0, "unk");
	assert_null(tok_of(&w, -EBADMSG, "no token for what is unknown"));
	write_file(&w, 1, "<unk>");
	gguf_write_key_array(&w, "tokenizer.ggml.precompiled_charsmap", GGUF_U8, sizeof(map));
	gguf_write_bytes(&w, map, sizeof(map));
	assert_null(tok_of(&w, -EBADMSG, "no UTF-8"));
	write_file(&w, 1, "<unk>");
	gguf_write_key_string(&w, "tokenizer.ggml.precompiled_charsmap", "x");
	assert_null(tok_of(&w, -EBADMSG, "has no bytes"));
	write_file(&w, 1, "<unk>");
	gguf_write_key_bool(&w, "tokenizer.ggml.treat_whitespace_as_suffix", 1);
	assert_null(tok_of(&w, -EOPNOTSUPP, "treat_whitespace_as_suffix"));
	for (size_t i = 0; i < ARRAY_SIZE(steps); i++) {
		write_file(&w, 1, "<unk>");
		gguf_write_key_string(&w, "llmos.tokenizer.steps", steps[i]);
		assert_null(tok_of(&w, -EBADMSG, "steps that are none"));
	}
	/* one key too few */
	gguf_write_header(&w, 3, 0, 2);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "t5");
	gguf_write_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
	gguf_write_string(&w, "<unk>", 5);
	assert_null(tok_of(&w, -EBADMSG, "'tokenizer.ggml.scores' is missing"));
	memset(text, 'a', sizeof(text));
	gguf_write_header(&w, 3, 0, 4);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "t5");
	text[256] = 0;
	gguf_write_vocab(&w, (struct vocab_token[]){ { "<unk>", 0, 2 }, { text, -1, 1 } }, 2);
	assert_null(tok_of(&w, -EOPNOTSUPP, "token 1 has 256 bytes"));
}

/* two texts are apart where a file says so, or is older than that key; one has one end */
static void test_ends(void **state)
{
	static const struct {
		int sep;			/* -1: the file does not say */
		bool apart;
	} cases[] = { { -1, true }, { 0, false }, { 1, true } };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct gguf_write w = { 0 };
		struct tokenizer *tok;

		write_file(&w, 1 + (cases[i].sep >= 0), "<unk>");
		gguf_write_key_u32(&w, "tokenizer.ggml.seperator_token_id", 1);
		if (cases[i].sep >= 0)
			gguf_write_key_bool(&w, "tokenizer.ggml.add_sep_token",
					    (unsigned char)cases[i].sep);
		tok = tok_of(&w, 0, NULL);
		assert_int_equal(tok_pair_apart(tok), cases[i].apart);
		TOK_EXPECT(tok, "a", TOK_BOS, "<s>|<unk>|a|</s>");
		tok_free(tok);
	}
}

/* ---- the map by itself ---- */

static void test_charsmap(void **state)
{
	static uint8_t data[CHARSMAP_MAX];
	const size_t bytes = gguf_write_charsmap(data);
	struct error error = { "" };
	struct charsmap map = { 0 };
	const char *text = NULL;
	uint32_t array, leaf;
	size_t len = 0;

	(void)state;
	assert_int_equal(charsmap_load(&map, data, bytes, &error), 0);
	assert_int_equal(charsmap_find(&map, "o\xcc\x88\xcc\x84", 5, true, &text, &len), 5);
	assert_memory_equal(text, "\xc8\xab", len);
	assert_int_equal(charsmap_find(&map, "o\xcc\x88\xcc\x84", 5, false, &text, &len), 3);
	assert_memory_equal(text, "\xc3\xb6", len);
	assert_int_equal(charsmap_find(&map, "o\xcc\x88\xcc\x84", 4, true, &text, &len), 3);
	assert_int_equal(charsmap_find(&map, "\xc2\xad", 2, true, &text, &len), 2);
	assert_int_equal(len, 0);
	assert_int_equal(charsmap_find(&map, "o", 1, true, &text, &len), 0);
	assert_int_equal(charsmap_find(&map, "", 1, true, &text, &len), 0);
	charsmap_done(&map);
	/* cut off anywhere it is refused, or finds nothing outside */
	for (size_t cut = 0; cut < bytes; cut += cut < 16 || cut > bytes - 64 ? 1 : 997) {
		const int r = charsmap_load(&map, data, cut, NULL);

		if (!r)
			charsmap_find(&map, "\xef\xac\x81", 3, true, &text, &len);
		else
			assert_int_equal(r, -EBADMSG);
		charsmap_done(&map);
	}
	/* a leaf that points into a character is none */
	memcpy(&array, data, sizeof(array));
	assert_int_equal(charsmap_load(&map, data, bytes, &error), 0);
	assert_int_equal(charsmap_find(&map, "e\xcc\x81", 3, true, &text, &len), 3);
	leaf = 1U << 31 | (uint32_t)(text - map.texts);
	charsmap_done(&map);
	for (size_t i = 1; i <= array / 4; i++) {
		uint32_t unit;

		memcpy(&unit, data + i * 4, sizeof(unit));
		unit += unit == leaf;
		memcpy(data + i * 4, &unit, sizeof(unit));
	}
	assert_int_equal(charsmap_load(&map, data, bytes, &error), 0);
	assert_int_equal(charsmap_find(&map, "e\xcc\x81", 3, true, &text, &len), 0);
	charsmap_done(&map);
	/* as is one that points behind the texts */
	for (size_t i = 1; i <= array / 4; i++) {
		uint32_t unit;

		memcpy(&unit, data + i * 4, sizeof(unit));
		unit = unit >> 31 ? 0xffffffffU : unit;
		memcpy(data + i * 4, &unit, sizeof(unit));
	}
	assert_int_equal(charsmap_load(&map, data, bytes, &error), 0);
	assert_int_equal(charsmap_find(&map, "\xef\xac\x81", 3, true, &text, &len), 0);
	charsmap_done(&map);
}

static void test_trie(void **state)
{
	static const char *const words[] = { "ab", "a", "abc", "b", "ab", "\xff", "ba" };
	struct tok_texts texts = { .bytes = (char[]){ "abaabcbab\xff" "ba" },
				   .at = (uint32_t[]){ 0, 2, 3, 6, 7, 9, 10, 12 } };
	uint32_t ids[] = { 6, 5, 4, 3, 2, 1, 0 };
	struct trie trie = { 0 };

	(void)state;
	assert_int_equal(trie_build(&trie, &texts, ids, ARRAY_SIZE(ids)), 0);
	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		uint32_t node = TRIE_ROOT;

		for (const char *p = words[i]; *p; p++) {
			node = trie_step(&trie, node, (uint8_t)*p);
			assert_int_not_equal(node, TRIE_NONE);
		}
		/* of two with one text the first */
		assert_int_equal(trie.nodes[node].id, i == 4 ? 0 : i);
		assert_int_equal(trie_step(&trie, node, 'z'), TRIE_NONE);
	}
	assert_int_equal(trie.nodes[TRIE_ROOT].id, TOK_NONE);
	trie_free(&trie);
	assert_int_equal(trie_build(&trie, &texts, ids, 0), 0);
	assert_int_equal(trie_step(&trie, TRIE_ROOT, 'a'), TRIE_NONE);
	trie_free(&trie);
}

static void test_base64(void **state)
{
	static const struct {
		const char *text, *want;	/* NULL: none */
	} cases[] = {
		{ "", "" }, { "Zg==", "f" }, { "Zm8=", "fo" }, { "Zm9v", "foo" },
		{ "Zm9vYmE=", "fooba" }, { "+/+/", "\xfb\xff\xbf" }, { "Zg", NULL },
		{ "Zg=", NULL }, { "Z===", NULL }, { "====", NULL }, { "Zh==", NULL },
		{ "Zm9=", NULL },
		{ "Zm9v\n", NULL }, { "Zm=v", NULL }, { "Zm-v", NULL },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		const size_t len = strlen(cases[i].text);
		uint8_t *to = malloc(base64_room(len) + 1);
		size_t n = 0;
		int r;

		assert_non_null(to);
		r = base64_decode(cases[i].text, len, to, &n);
		if (r != (cases[i].want ? 0 : -EINVAL))
			fail_msg("'%s': %d", cases[i].text, r);
		if (cases[i].want) {
			assert_int_equal(n, strlen(cases[i].want));
			assert_memory_equal(to, cases[i].want, n);
		}
		free(to);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spelling),
		cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_unknown_score),
		cmocka_unit_test(test_bytes),
		cmocka_unit_test(test_spaces),
		cmocka_unit_test(test_map),
		cmocka_unit_test(test_control),
		cmocka_unit_test(test_long),
		cmocka_unit_test(test_piece_max),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_bad_file),
		cmocka_unit_test(test_ends),
		cmocka_unit_test(test_charsmap),
		cmocka_unit_test(test_trie),
		cmocka_unit_test(test_base64),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
