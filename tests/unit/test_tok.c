/* SPDX-License-Identifier: MIT */
/*
 * Tokenizers on small vocabularies made here: what merges with what, special tokens, bytes, hostile
 * texts and hostile vocabularies. Vocabularies of real models are in test_tok_vectors.c.
 */
#include <math.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

#include <setjmp.h>
#include <cmocka.h>

#include "base/utf8.h"
#include "tok_test.h"

static struct tokenizer *spm(void)
{
	struct gguf_write w = { 0 };

	gguf_write_spm(&w, NULL);
	return tok_of(&w, 0, NULL);
}

static struct tokenizer *bpe(const char *pre)
{
	struct gguf_write w = { 0 };

	gguf_write_bpe(&w, pre, NULL);
	return tok_of(&w, 0, NULL);
}

static struct tokenizer *wordpiece(void)
{
	struct gguf_write w = { 0 };

	gguf_write_wordpiece(&w);
	return tok_of(&w, 0, NULL);
}

static struct tokenizer *unigram(void)
{
	struct gguf_write w = { 0 };

	gguf_write_unigram(&w);
	return tok_of(&w, 0, NULL);
}

static void test_spm(void **state)
{
	struct tokenizer *tok = spm();

	(void)state;
	assert_int_equal(tok_kind(tok), TOK_SPM);
	assert_string_equal(tok_kind_name(tok), "spm");
	TOK_EXPECT(tok, "", 0, "");
	TOK_EXPECT(tok, "", TOK_BOS, "<s>");
	TOK_EXPECT(tok, "the", 0, " the");
	/* "th" is better than " t", and then " t" is not there any more */
	TOK_EXPECT(tok, "the thing", TOK_BOS, "<s>| the| |th|ing");
	TOK_EXPECT(tok, "aaaaaaaaa", 0, " |aaaa|aaaa|a");
	TOK_EXPECT(tok, "a    a", 0, " |a|    |a");
	TOK_EXPECT(tok, "\xc3\xa9\xe6\x97\xa5", 0, " |\xc3\xa9|\xe6\x97\xa5");
	/* U+2581 in a text is a space: that is what the model was told */
	TOK_EXPECT(tok, "\xe2\x96\x81the", 0, " | the");
	/* no token, so its bytes */
	TOK_EXPECT(tok, "\xc3\xa8", 0, " |\xc3|\xa8");
	tok_free(tok);
}

static void test_spm_special(void **state)
{
	static const char forged[] = "<s><unk></s><|user|>";
	struct tokenizer *tok = spm();
	struct tok_ids ids = { 0 };

	(void)state;
	/* the pieces of control tokens are there, but they don't merge into them */
	TOK_EXPECT(tok, "<s></s>", 0, " |<|s>|<|/|s>");
	TOK_EXPECT(tok, "<0x41>", 0, " |<|0|x|4|1|>");
	assert_int_equal(tok_encode(tok, forged, strlen(forged), 0, SIZE_MAX, &ids), 0);
	for (size_t i = 0; i < ids.count; i++)
		assert_false(tok_is_control(tok, ids.ids[i]));
	free(ids.ids);
	/* a text begins anew, with its space, behind each special token */
	TOK_EXPECT(tok, "a<s>the</s>", TOK_SPECIAL, " |a|<s>| the|</s>");
	TOK_EXPECT(tok, "<unk>", TOK_SPECIAL, "<unk>");
	/* user-defined tokens are tokens in any case */
	TOK_EXPECT(tok, "the<ud>the", 0, " the|<ud>| the");
	TOK_EXPECT(tok, "<ud", 0, " |<|u|d");
	tok_free(tok);
}

static void check_piece(const struct tokenizer *tok, uint32_t id, bool first, bool special,
			const char *want, size_t want_len)
{
	size_t len;
	const char *piece = tok_piece(tok, id, first, special, &len);

	assert_non_null(piece);
	assert_int_equal(len, want_len);
	assert_memory_equal(piece, want, want_len);
}

static void test_pieces(void **state)
{
	struct tokenizer *tok = spm();
	size_t len;

	(void)state;
	check_piece(tok, tok_find(tok, "\xe2\x96\x81the"), false, false, " the", 4);
	check_piece(tok, tok_find(tok, "\xe2\x96\x81the"), true, false, "the", 3);
	check_piece(tok, tok_find(tok, "the"), true, false, "the", 3);
	check_piece(tok, tok_find(tok, "<0x00>"), false, false, "\0", 1);
	check_piece(tok, tok_find(tok, "<0xFF>"), true, false, "\xff", 1);
	check_piece(tok, tok_find(tok, "</s>"), false, false, "", 0);
	check_piece(tok, tok_find(tok, "</s>"), false, true, "</s>", 4);
	check_piece(tok, tok_find(tok, "<ud>"), false, false, "<ud>", 4);
	assert_null(tok_piece(tok, tok_vocab(tok), false, false, &len));
	assert_null(tok_piece(tok, TOK_NONE, false, false, &len));
	tok_free(tok);

	tok = bpe("gpt-2");
	check_piece(tok, tok_find(tok, "\xc4\xa0the"), true, false, " the", 4);
	check_piece(tok, tok_find(tok, "\xc3\x83\xc2\xa9"), false, false, "\xc3\xa9", 2);
	tok_free(tok);

	tok = wordpiece();
	check_piece(tok, tok_find(tok, "\xe2\x96\x81the"), false, false, " the", 4);
	check_piece(tok, tok_find(tok, "\xe2\x96\x81the"), true, false, "the", 3);
	check_piece(tok, tok_find(tok, "able"), false, false, "able", 4);
	tok_free(tok);
}

static void test_meaning(void **state)
{
	struct tokenizer *tok = spm();

	(void)state;
	assert_int_equal(tok_bos(tok), tok_find(tok, "<s>"));
	assert_int_equal(tok_eos(tok), tok_find(tok, "</s>"));
	assert_true(tok_add_bos(tok));
	assert_true(tok_is_end(tok, tok_eos(tok)));
	assert_false(tok_is_end(tok, tok_bos(tok)));
	assert_false(tok_is_end(tok, TOK_NONE));
	assert_false(tok_is_control(tok, TOK_NONE));
	assert_int_equal(tok_find(tok, "no such token"), TOK_NONE);
	tok_free(tok);

	tok = bpe("gpt-2");
	assert_false(tok_add_bos(tok));
	/* a step of the merges, but no token */
	assert_int_equal(tok_find(tok, "xyz"), TOK_NONE);
	/* the end of a turn is known by its text */
	assert_true(tok_is_end(tok, tok_find(tok, "<|im_end|>")));
	assert_true(tok_is_control(tok, tok_find(tok, "<|im_start|>")));
	tok_free(tok);

	tok = bpe("llama3");
	assert_true(tok_add_bos(tok));
	TOK_EXPECT(tok, "", TOK_BOS, "<s>");
	tok_free(tok);
}

static void test_bpe(void **state)
{
	struct tokenizer *tok = bpe("gpt-2");

	(void)state;
	assert_int_equal(tok_kind(tok), TOK_BPE);
	TOK_EXPECT(tok, "", TOK_BOS, "");
	TOK_EXPECT(tok, "the the thing", 0, "the| the| t|h|ing");
	TOK_EXPECT(tok, "aaaaaaa", 0, "aaaa|aa|a");
	/* through a step that is no token; where it stays, it falls apart into bytes */
	TOK_EXPECT(tok, "xyzw", 0, "xyzw");
	TOK_EXPECT(tok, "xyzv", 0, "x|y|z|v");
	TOK_EXPECT(tok, "\xc3\xa9\xc3\xa8", 0, "\xc3\xa9|\xc3|\xa8");
	TOK_EXPECT(tok, "whole", 0, "w|h|o|l|e");
	TOK_EXPECT(tok, "<|im_start|>a", TOK_SPECIAL, "<|im_start|>|a");
	TOK_EXPECT(tok, "<ud><ud", 0, "<ud>|<|u|d");
	tok_free(tok);

	/* a word that is a token needs no merges here */
	tok = bpe("llama-bpe");
	TOK_EXPECT(tok, "whole", 0, "whole");
	tok_free(tok);
}

/* the words that a pre-tokenizer makes show in what can't merge across them */
static void test_pretok(void **state)
{
	static const struct {
		const char *pre, *text, *want;
	} cases[] = {
		{ "gpt-2", "a1234", "a|123|4" },
		{ "llama-bpe", "a1234", "a|123|4" },
		{ "qwen2", "a1234", "a|1|2|3|4" },
		{ "smollm", "a1234", "a|1|2|3|4" },
		{ "default", "a1234", "a|123|4" },
		{ "tekken", "a1234", "a|1|2|3|4" },
		{ "gpt-4o", "a1234", "a|123|4" },
		{ "deepseek-v3", "a1234", "a|123|4" },
		{ "deepseek-coder", "a1234", "a|1|2|3|4" },
		{ "seed-coder", "a1234", "a|1|2|3|4" },
		/* where words end: at capitals, at signs, at marks */
		{ "gpt-4o", "aaAaa", "aa|A|aa" },
		{ "gpt-4o", "xyzwThe", "xyzw|T|he" },
		{ "llama-bpe", "a-the", "a|-|the" },
		{ "gpt-4o", "a\n\nthe", "a|\n\n|the" },
		{ "deepseek-v3", "a\n\nthe", "a|\n\n|the" },
		{ "deepseek-coder", "a\n\nthe", "a|\n|\n|the" },
		{ "seed-coder", "a\n\nthe", "a|\n\n|the" },
		{ "deepseek-coder", "a  the", "a| | the" },
		/* of a row of spaces the last belongs to the word */
		{ "gpt-2", "a    the", "a|  | | the" },
		{ "smollm", "1    1", "1|  |  |1" },
		{ "gpt-2", "a\n\nthe", "a|\n|\n|the" },
		{ "llama-bpe", "a\n\nthe", "a|\n\n|the" },
		{ "qwen2", "a \n\nthe", "a| |\n\n|the" },
		{ "gpt-2", "a  ", "a|  " },
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct tokenizer *tok = bpe(cases[i].pre);

		print_message("# %zu: %s\n", i, cases[i].pre);
		tok_expect(tok, cases[i].text, strlen(cases[i].text), 0, cases[i].want);
		tok_free(tok);
	}
}

static void test_pretok_names(void **state)
{
	static const char *const names[] = {
		"", "default", "gpt-2", "phi-2", "llama3", "llama-v3", "llama-bpe", "smaug-bpe",
		"qwen2", "deepseek-r1-qwen", "smollm", "starcoder", "command-r", "tekken",
		"gpt-4o", "llama4", "deepseek-v3", "hunyuan-dense", "deepseek-coder", "seed-coder",
		"roberta-bpe",
	};
	struct gguf_write w = { 0 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct tokenizer *tok = bpe(names[i]);

		TOK_EXPECT(tok, "the the", 0, "the| the");
		tok_free(tok);
	}
	gguf_write_bpe(&w, "no\x1bsuch", NULL);
	assert_null(tok_of(&w, -EOPNOTSUPP, "pre-tokenizer 'no\\x1bsuch'"));
}

static void test_wordpiece(void **state)
{
	struct tokenizer *tok = wordpiece();
	char text[512];

	(void)state;
	assert_int_equal(tok_kind(tok), TOK_WORDPIECE);
	TOK_EXPECT(tok, "The cats!", TOK_BOS, "[CLS]| the| cat|s| !|[SEP]");
	TOK_EXPECT(tok, "unaffable", 0, " un|aff|able");
	TOK_EXPECT(tok, "Caf\xc3\xa9", 0, " cafe");
	TOK_EXPECT(tok, "Cafe\xcc\x81", 0, " cafe");
	TOK_EXPECT(tok, "\xe4\xbd\xa0\xe5\xa5\xbdthe", 0, " \xe4\xbd\xa0| \xe5\xa5\xbd| the");
	TOK_EXPECT(tok, "\xd0\x96", 0, " \xd0\xb6");
	TOK_EXPECT(tok, "\xc4\xb0", 0, " i");		/* I with a dot above */
	TOK_EXPECT(tok, "the\tcat\xc2\xa0the\xe3\x80\x80" "a", 0, " the| cat| the| a");
	TOK_EXPECT(tok, "t\xe2\x80\x8bhe", 0, " the");	/* U+200B is no white space but a control */
	TOK_EXPECT(tok, "t\x01he\x0b", 0, " the");
	tok_expect(tok, "t\0he", 4, 0, " the");
	TOK_EXPECT(tok, "xyz the", 0, "[UNK]| the");
	TOK_EXPECT(tok, "thex", 0, "[UNK]");		/* all of the word or nothing */
	TOK_EXPECT(tok, "!'", 0, " !| '");
	TOK_EXPECT(tok, " \n ", 0, "");
	TOK_EXPECT(tok, "the[SEP]the", TOK_SPECIAL, " the|[SEP]| the");
	/* words are marked in the vocabulary, not by what people write */
	TOK_EXPECT(tok, "un\xe2\x96\x81the", 0, "[UNK]");
	memset(text, 'a', sizeof(text));
	tok_expect(tok, text, 5, 0, " a|aa|aa");
	tok_expect(tok, text, 101, 0, "[UNK]");
	tok_free(tok);
}

/* ---- hostile texts ---- */

static void test_bad_text(void **state)
{
	static const char *const invalid[] = {
		"\xff", "a\xc3", "\xed\xa0\x80", "\xc0\x80", "\xf8",
	};
	struct tokenizer *toks[] = { spm(), bpe("gpt-2"), wordpiece(), unigram() };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(toks); i++) {
		struct tok_ids ids = { 0 };

		for (size_t j = 0; j < ARRAY_SIZE(invalid); j++)
			assert_int_equal(tok_encode(toks[i], invalid[j], strlen(invalid[j]), 0,
						    SIZE_MAX, &ids), -EILSEQ);
		assert_int_equal(ids.count, 0);
		/* the limit is on all there is, and what was there stays */
		assert_int_equal(tok_encode(toks[i], "the cats", 8, 0, SIZE_MAX, &ids), 0);
		{
			size_t count = ids.count;

			assert_int_equal(tok_encode(toks[i], "the cats", 8, 0, 2 * count - 1, &ids),
					 -E2BIG);
			assert_int_equal(ids.count, count);
			assert_int_equal(tok_encode(toks[i], "the cats", 8, 0, 2 * count, &ids), 0);
			assert_int_equal(ids.count, 2 * count);
			assert_memory_equal(ids.ids, ids.ids + count, count * sizeof(*ids.ids));
		}
		free(ids.ids);
		tok_free(toks[i]);
	}
}

static double cpu_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static double encode_seconds(const struct tokenizer *tok, const char *text, size_t len)
{
	struct tok_ids ids = { 0 };
	double start = cpu_seconds();

	assert_int_equal(tok_encode(tok, text, len, 0, SIZE_MAX, &ids), 0);
	start = cpu_seconds() - start;
	free(ids.ids);
	return start;
}

/* 32 times the text may take 32 times 1.3 as long; squares would take 1024 times */
static void test_long_text(void **state)
{
	static const char *const texts[] = {
		"a", " ", "1", "\n", "!", "\xc3\xa9", "\xe2\x96\x81", "aA", " \n", "a ", "'s", "<",
		"<|im_start",
	};
	enum { BIG = 1 << 20 };
	struct tokenizer *toks[] = { spm(), bpe("gpt-2"), bpe("llama-bpe"), bpe("smollm"),
				     bpe("tekken"), bpe("default"), wordpiece(),
				     unigram() };
	char *text = malloc(BIG);

	(void)state;
	assert_non_null(text);
	for (size_t i = 0; i < ARRAY_SIZE(texts); i++) {
		/* the whole megabyte of the first; the others make their point sooner */
		size_t n = strlen(texts[i]), big = (i ? BIG / 8 : BIG) / n * n;
		size_t small = big / 32 / n * n;

		for (size_t j = 0; j < big; j += n)
			memcpy(text + j, texts[i], n);
		for (size_t j = 0; j < ARRAY_SIZE(toks); j++) {
			double few = encode_seconds(toks[j], text, small);
			double many = encode_seconds(toks[j], text, big);

			if (many > 250 * few + 0.2)
				fail_msg("'%s' %zu: %.3f s for %zu bytes, %.3f s for %zu",
					 texts[i], j, few, small, many, big);
		}
	}
	for (size_t j = 0; j < ARRAY_SIZE(toks); j++)
		tok_free(toks[j]);
	free(text);
}

static uint64_t next_random(uint64_t *rng)
{
	*rng ^= *rng << 13;
	*rng ^= *rng >> 7;
	*rng ^= *rng << 17;
	return *rng;
}

/* mostly what the vocabularies know, some of what they don't */
static size_t random_text(uint64_t *rng, char *text, size_t max)
{
	static const char *const parts[] = {
		"the", " ", "a", "xyzw", "\n", "12", "\xc3\xa9", "<ud>", "<s>", "</s",
		"<|im_start|>", "'s", "  ", "\xe6\x97\xa5",
	};
	size_t len = 0;

	while (len + 16 < max && next_random(rng) % 40) {
		uint64_t choice = next_random(rng) % 32;
		uint32_t c = (uint32_t)(next_random(rng) >> (43 + choice % 14));

		if (choice < ARRAY_SIZE(parts)) {
			memcpy(text + len, parts[choice], strlen(parts[choice]));
			len += strlen(parts[choice]);
		} else if (c < 0x110000 && (c < 0xd800 || c >= 0xe000) && c != 0x2581) {
			len += utf8_encode(c, text + len);
		}
	}
	return len;
}

static void check_round_trip(const struct tokenizer *tok, const char *text, size_t len)
{
	struct tok_ids ids = { 0 };
	size_t at = 0;
	/* SPM puts a space behind <ud> too, which its pieces do not tell from others */
	bool is_spm = tok_kind(tok) == TOK_SPM;

	assert_int_equal(tok_encode(tok, text, len, 0, SIZE_MAX, &ids), 0);
	for (size_t i = 0; i < ids.count; i++) {
		bool anew = !i || (is_spm && ids.ids[i - 1] == tok_find(tok, "<ud>"));
		size_t n;
		const char *piece = tok_piece(tok, ids.ids[i], anew, false, &n);

		assert_non_null(piece);
		assert_true(n <= len - at);
		assert_memory_equal(piece, text + at, n);
		at += n;
	}
	assert_int_equal(at, len);
	free(ids.ids);
}

static void test_round_trip(void **state)
{
	struct tokenizer *toks[] = { spm(), bpe("gpt-2"), bpe("llama-bpe"), bpe("qwen2"),
				     bpe("smollm"), bpe("default"), bpe("tekken") };
	uint64_t seed = (uint64_t)time(NULL) | 1, rng = seed;
	char text[512];

	(void)state;
	print_message("# seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 3000; i++) {
		size_t len = random_text(&rng, text, sizeof(text));

		for (size_t j = 0; j < ARRAY_SIZE(toks); j++)
			check_round_trip(toks[j], text, len);
	}
	for (size_t j = 0; j < ARRAY_SIZE(toks); j++)
		tok_free(toks[j]);
}

/* ---- hostile vocabularies ---- */

static void write_two(struct gguf_write *w, const char *model, uint64_t keys)
{
	static const struct vocab_token tokens[] = { { "<unk>", 0, 2 }, { "a", 0, 1 } };

	gguf_write_header(w, 3, 0, keys);
	gguf_write_key_string(w, "tokenizer.ggml.model", model);
	gguf_write_vocab(w, tokens, ARRAY_SIZE(tokens));
}

static void test_bad_vocab(void **state)
{
	struct gguf_write w = { 0 };

	(void)state;
	gguf_write_header(&w, 3, 0, 0);
	tok_of(&w, -EBADMSG, "'tokenizer.ggml.model' is missing");
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "rwkv");
	tok_of(&w, -EOPNOTSUPP, "tokenizer 'rwkv'");
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_u32(&w, "tokenizer.ggml.model", 1);
	tok_of(&w, -EBADMSG, "no string");
	gguf_write_header(&w, 3, 0, 1);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	tok_of(&w, -EBADMSG, "'tokenizer.ggml.tokens' is missing");
	gguf_write_header(&w, 3, 0, 2);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	gguf_write_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 0);
	tok_of(&w, -EBADMSG, "vocabulary of 0 tokens");
	gguf_write_header(&w, 3, 0, 2);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	gguf_write_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
	gguf_write_string(&w, "a", 1);
	tok_of(&w, -EBADMSG, "'tokenizer.ggml.scores' is missing");
	gguf_write_header(&w, 3, 0, 3);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	gguf_write_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 1);
	gguf_write_string(&w, "a", 1);
	gguf_write_key_array(&w, "tokenizer.ggml.scores", GGUF_F32, 2);
	gguf_write_u64(&w, 0);
	tok_of(&w, -EBADMSG, "2 elements for 1 tokens");
	write_two(&w, "gpt2", 4);
	tok_of(&w, -EBADMSG, "'tokenizer.ggml.merges' is missing");
	write_two(&w, "gpt2", 5);
	gguf_write_key_array(&w, "tokenizer.ggml.merges", GGUF_STRING, 2);
	gguf_write_string(&w, "a b", 3);
	gguf_write_string(&w, " b", 2);
	tok_of(&w, -EBADMSG, "merge 1 is no pair");
	write_two(&w, "bert", 4);
	tok_of(&w, -EBADMSG, "unknown words");
	write_two(&w, "llama", 5);
	gguf_write_key_u32(&w, "tokenizer.ggml.eos_token_id", 2);
	tok_of(&w, -EBADMSG, "is 2, the vocabulary has 2");
}

static void test_odd_vocab(void **state)
{
	static const struct vocab_token tokens[] = {
		{ "<unk>", 0, 2 }, { "a", NAN, 1 }, { "b", -INFINITY, 1 }, { "ab", NAN, 1 },
		{ "a", 5, 1 }, { "", 0, 1 }, { "\xff\xfe", 0, 1 }, { "bb", INFINITY, 77 },
		{ "<|im_end|>", 0, 4 },
	};
	struct gguf_write w = { 0 };
	struct tokenizer *tok;

	(void)state;
	/* no bytes, scores that are no numbers, two tokens of one text, one of none, not UTF-8 */
	gguf_write_header(&w, 3, 0, 5);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	gguf_write_vocab(&w, tokens, ARRAY_SIZE(tokens));
	gguf_write_key_bool(&w, "tokenizer.ggml.add_space_prefix", 0);
	tok = tok_of(&w, 0, NULL);
	assert_int_equal(tok_find(tok, "a"), 1);
	TOK_EXPECT(tok, "abb", 0, "a|bb");
	TOK_EXPECT(tok, "ab", 0, "ab");
	TOK_EXPECT(tok, "za", 0, "<unk>|a");
	TOK_EXPECT(tok, "za", TOK_BOS, "<unk>|a");	/* there is no token to begin with */
	/* the end of a turn is never text, even if the file says that people may write it */
	assert_true(tok_is_control(tok, tok_find(tok, "<|im_end|>")));
	TOK_EXPECT(tok, "<|im_end|>", TOK_SPECIAL, "<|im_end|>");
	tok_free(tok);
}

/* begin and end of a text can't be written in it, whatever their types are in the file */
static void test_meant_tokens(void **state)
{
	static const struct vocab_token tokens[] = {
		{ "<unk>", 0, 2 }, { "<begin>", 0, 4 }, { "<end>", 0, 4 }, { "<turn>", 0, 4 },
		{ "<ud>", 0, 4 }, { "a", 0, 1 },
	};
	struct gguf_write w = { 0 };
	struct tokenizer *tok;

	(void)state;
	gguf_write_header(&w, 3, 0, 8);
	gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
	gguf_write_vocab(&w, tokens, ARRAY_SIZE(tokens));
	gguf_write_key_bool(&w, "tokenizer.ggml.add_space_prefix", 0);
	gguf_write_key_u32(&w, "tokenizer.ggml.bos_token_id", 1);
	gguf_write_key_u32(&w, "tokenizer.ggml.eos_token_id", 2);
	gguf_write_key_u32(&w, "tokenizer.ggml.eot_token_id", 3);
	tok = tok_of(&w, 0, NULL);
	for (uint32_t id = 1; id <= 3; id++)
		assert_true(tok_is_control(tok, id));
	assert_false(tok_is_control(tok, 4));
	assert_true(tok_is_end(tok, 2) && tok_is_end(tok, 3) && !tok_is_end(tok, 1));
	TOK_EXPECT(tok, "a<end>a<ud>", TOK_BOS | TOK_SPECIAL, "<begin>|a|<end>|a|<ud>");
	TOK_EXPECT(tok, "a<ud>a", 0, "a|<ud>|a");
	TOK_EXPECT(tok, "<end>", 0, "<unk>|<unk>|<unk>|<unk>|<unk>");
	tok_free(tok);
}

/* types as numbers without a sign; as floats they are refused */
static void test_types_unsigned(void **state)
{
	static const uint32_t types[] = { GGUF_U32, GGUF_F32 };

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		struct gguf_write w = { 0 };
		struct tokenizer *tok;

		gguf_write_header(&w, 3, 0, 4);
		gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
		gguf_write_key_array(&w, "tokenizer.ggml.tokens", GGUF_STRING, 2);
		gguf_write_string(&w, "<unk>", 5);
		gguf_write_string(&w, "<x>", 3);
		gguf_write_key_array(&w, "tokenizer.ggml.scores", GGUF_F32, 2);
		gguf_write_u64(&w, 0);
		gguf_write_key_array(&w, "tokenizer.ggml.token_type", types[i], 2);
		gguf_write_u32(&w, 2);
		gguf_write_u32(&w, 3);
		tok = tok_of(&w, i ? -EBADMSG : 0, i ? "token_type' has the wrong type" : NULL);
		assert_true(i || (tok_is_control(tok, 1) && tok_is_control(tok, 0)));
		tok_free(tok);
	}
}

/* Phi-3 has special tokens that swallow the white space behind them; only its name tells */
static void test_strip(void **state)
{
	static const struct vocab_token tokens[] = {
		{ "<unk>", 0, 2 }, { "<s>", 0, 3 }, { "</s>", 0, 3 }, { "<|user|>", 0, 3 },
		{ "\xe2\x96\x81", 0, 1 }, { "a", 0, 1 }, { "\n", 0, 1 },
	};
	static const char *const names[] = { "Phi-3-mini", "Other" };
	static const char *const wants[] = {
		"<s>| | |a|<|user|>| |a", "<s>| | |a|<|user|>| | |\n|a",
	};

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		struct gguf_write w = { 0 };
		struct tokenizer *tok;

		gguf_write_header(&w, 3, 0, 5);
		gguf_write_key_string(&w, "general.name", names[i]);
		gguf_write_key_string(&w, "tokenizer.ggml.model", "llama");
		gguf_write_vocab(&w, tokens, ARRAY_SIZE(tokens));
		tok = tok_of(&w, 0, NULL);
		TOK_EXPECT(tok, "<s> a<|user|> \na", TOK_SPECIAL, wants[i]);
		tok_free(tok);
	}
}

/* whatever a vocabulary says, it is refused, or it works */
static void test_changed_vocab(void **state)
{
	static const char text[] = "the thing <ud>12 caf\xc3\xa9 <s> xyzw\n\n    aaaa \xe6\x97\xa5";
	uint64_t seed = (uint64_t)time(NULL) | 1, rng = seed;
	size_t built = 0;

	(void)state;
	print_message("# seed %llu\n", (unsigned long long)seed);
	for (int i = 0; i < 800; i++) {
		struct gguf_write w = { 0 };
		struct tokenizer *tok = NULL;
		struct tok_ids ids = { 0 };
		struct gguf *gguf = NULL;

		if (i % 4 == 0)
			gguf_write_spm(&w, NULL);
		else if (i % 4 == 1)
			gguf_write_bpe(&w, "smollm", NULL);
		else if (i % 4 == 2)
			gguf_write_wordpiece(&w);
		else
			gguf_write_unigram(&w);
		for (uint64_t n = next_random(&rng) % 4 + 1; n; n--)
			w.data[next_random(&rng) % w.size] = (char)next_random(&rng);
		if (gguf_open_memory(&gguf, w.data, w.size, NULL) >= 0 &&
		    tok_new(&tok, gguf, NULL) >= 0) {
			built++;
			assert_int_equal(tok_encode(tok, text, sizeof(text) - 1,
						    TOK_BOS | TOK_SPECIAL, SIZE_MAX, &ids), 0);
			free(tok_text_of(tok, &ids, ""));
		}
		free(ids.ids);
		tok_free(tok);
		gguf_free(gguf);
		free(w.data);
	}
	print_message("# %zu of 800 built\n", built);
	assert_true(built > 30 && built < 800);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spm),
		cmocka_unit_test(test_spm_special),
		cmocka_unit_test(test_pieces),
		cmocka_unit_test(test_meaning),
		cmocka_unit_test(test_bpe),
		cmocka_unit_test(test_pretok),
		cmocka_unit_test(test_pretok_names),
		cmocka_unit_test(test_wordpiece),
		cmocka_unit_test(test_bad_text),
		cmocka_unit_test(test_long_text),
		cmocka_unit_test(test_round_trip),
		cmocka_unit_test(test_bad_vocab),
		cmocka_unit_test(test_odd_vocab),
		cmocka_unit_test(test_meant_tokens),
		cmocka_unit_test(test_types_unsigned),
		cmocka_unit_test(test_strip),
		cmocka_unit_test(test_changed_vocab),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
