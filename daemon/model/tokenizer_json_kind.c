/* SPDX-License-Identifier: MIT */
/*
 * Which kind of tokenizer a tokenizer.json describes. Its normalizer and its pre-tokenizer are
 * sequences of steps; each step that is known in all its settings is written as a word, and the words
 * of both must be one of a few sentences. So nothing is overlooked, and nothing guessed.
 */
#include <stdio.h>
#include <string.h>

#include "model/tokenizer_json_internal.h"

#define DEPTH_MAX	4	/* sequences within sequences */

/** struct words - the steps, each with a ';' behind it */
struct words {
	char text[128];
	size_t len;
};

static struct gguf_shown show(const char *text)
{
	return gguf_show((struct gguf_string){ text, strlen(text) });
}

static int unknown(struct reader *r, const char *what, const json_t *step)
{
	_cleanup_free_ char *text = json_dumps(step, JSON_ENCODE_ANY | JSON_COMPACT |
						   JSON_ENSURE_ASCII);

	return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON ": %s '%.120s' is not supported", what,
			 text ? text : "?");
}

static int add_word(struct reader *r, struct words *words, const char *word)
{
	int n = snprintf(words->text + words->len, sizeof(words->text) - words->len, "%s;", word);

	if (n < 0 || (size_t)n >= sizeof(words->text) - words->len)
		return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON ": too many steps");
	words->len += (size_t)n;
	return 0;
}

static bool flag_is(const json_t *step, const char *key, bool fallback, bool want)
{
	const json_t *json = json_object_get(step, key);

	return (json_is_boolean(json) ? json_is_true(json) : fallback) == want;
}

/* ---- pre-tokenizers ---- */

#define CONTRACTION	"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define BY_DIGITS(digits) \
		CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
		"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"
#define UPPER	"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER	"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

#define ENDS		CONTRACTION "?"
#define BY_CASE(ends, digits) \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" ends "|" \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" ends "|" digits \
		"| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+"

/*
 * As the files write them; what they are in this daemon stands in tokenizer/pretok.c. Some write
 * the ends of lines themselves where others write \r and \n.
 */
static const struct {
	const char *pattern;
	const char *word;
} patterns[] = {
	{ "'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^\\s\\p{L}\\p{N}]+|\\s+(?!\\S)|\\s+",
	  "GPT2" },
	{ BY_DIGITS("\\p{N}{1,3}"), "Llama3" },
	{ BY_DIGITS("\\p{N}"), "Qwen2" },
	{ BY_CASE("", "\\p{N}"), "Tekken" },
	{ BY_CASE(ENDS, "\\p{N}{1,3}"), "GPT4o" },
	{ "\\p{N}{1,3}", "Numbers" },
	{ "[一-龥぀-ゟ゠-ヿ]+", "CJ" },
	{ "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|"
	  "[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+| ?[\\p{P}\\p{S}]+[\\r\\n]*|"
	  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "DeepSeek3" },
	{ "[\\r\\n]", "Lines" },
	{ "\\s?\\p{L}+", "Letters" },
	{ "\\s?\\p{P}+", "Signs" },
	{ "[一-龥ࠀ-一가-퟿]+", "CJK" },
	{ CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\\r\\n]+|"
	  "\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+", "SeedCoder" },
};

static bool is_pattern(const json_t *regex, const char *pattern)
{
	const char *text = json_string_value(regex);

	for (; text && *text; text++, pattern++) {
		const char *escaped = *text == '\r' ? "\\r" : *text == '\n' ? "\\n" : NULL;

		if (escaped ? strncmp(pattern, escaped, 2) : *pattern != *text)
			return false;
		pattern += escaped ? 1 : 0;
	}
	return text && !*pattern;
}

static int add_split(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *pattern = json_object_get(step, "pattern");
	const json_t *regex = json_object_get(pattern, "Regex");
	const json_t *behavior = json_object_get(step, "behavior");

	/* normalizers have left no space to split at */
	if (json_is(json_object_get(pattern, "String"), " ") &&
	    json_is(behavior, "MergedWithPrevious") && flag_is(step, "invert", false, false))
		return add_word(r, words, "Spaces");
	/* patterns match everything: matches alone, or all but what is between, are the same */
	if (!(json_is(behavior, "Isolated") && flag_is(step, "invert", false, false)) &&
	    !(json_is(behavior, "Removed") && flag_is(step, "invert", false, true)))
		return unknown(r, "pre-tokenizer", step);
	for (size_t i = 0; i < ARRAY_SIZE(patterns); i++)
		if (is_pattern(regex, patterns[i].pattern))
			return add_word(r, words, patterns[i].word);
	return unknown(r, "pre-tokenizer", json_is_string(regex) ? regex : step);
}

static int add_metaspace(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *scheme = json_object_get(step, "prepend_scheme");
	const bool is_split = flag_is(step, "split", true, true);

	if (!json_is(json_object_get(step, "replacement"), "\xe2\x96\x81"))
		return unknown(r, "pre-tokenizer", step);
	if (json_is(scheme, "never") ||
	    (json_is_none(scheme) && flag_is(step, "add_prefix_space", true, false)))
		return add_word(r, words, is_split ? "MetaNeverSplit" : "MetaNever");
	if (json_is(scheme, "first"))
		return add_word(r, words, is_split ? "MetaFirstSplit" : "MetaFirst");
	if (!json_is_none(scheme) && !json_is(scheme, "always"))
		return unknown(r, "pre-tokenizer", step);
	return add_word(r, words, is_split ? "MetaAlwaysSplit" : "MetaAlways");
}

static int add_pre_tokenizer(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *type = json_object_get(step, "type");

	if (json_is(type, "ByteLevel") && flag_is(step, "add_prefix_space", true, false))
		return add_word(r, words, flag_is(step, "use_regex", true, true) ? "GPT2;Bytes" :
										   "Bytes");
	if (json_is(type, "Digits") && flag_is(step, "individual_digits", false, true))
		return add_word(r, words, "Digits");
	if (json_is(type, "Split"))
		return add_split(r, words, step);
	if (json_is(type, "Metaspace"))
		return add_metaspace(r, words, step);
	if (json_is(type, "BertPreTokenizer"))
		return add_word(r, words, "Bert");
	if (json_is(type, "WhitespaceSplit"))
		return add_word(r, words, "Words");
	return unknown(r, "pre-tokenizer", step);
}

/* ---- normalizers ---- */

/* programs build the step anew from these, whatever it says: both must say the same */
static int check_bert(struct reader *r, bool lowercase, bool strips)
{
	const struct {
		const char *key;
		bool is;
	} flags[] = {
		{ "do_lower_case", lowercase }, { "strip_accents", strips },
		{ "tokenize_chinese_chars", true },
	};

	for (size_t i = 0; i < ARRAY_SIZE(flags); i++) {
		const json_t *json = json_object_get(r->files->settings, flags[i].key);

		if (json_is_boolean(json) && json_is_true(json) != flags[i].is)
			return error_set(r->error, -EOPNOTSUPP,
					 "tokenizer_config.json: '%s' is not what " TOKENIZER_JSON
					 " says", flags[i].key);
	}
	return 0;
}

static int add_bert(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *strip = json_object_get(step, "strip_accents");
	const bool lowercase = flag_is(step, "lowercase", true, true);
	const bool strips = json_is_boolean(strip) ? json_is_true(strip) : lowercase;
	int e;

	if (flag_is(step, "clean_text", true, false) ||
	    flag_is(step, "handle_chinese_chars", true, false))
		return unknown(r, "normalizer", step);
	e = check_bert(r, lowercase, strips);
	if (e < 0)
		return e;
	e = gguf_add_bool(r->gguf, "tokenizer.ggml.normalizer.lowercase", lowercase);
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "tokenizer.ggml.normalizer.strip_accents", strips);
	return e < 0 ? reader_added(r, e) : add_word(r, words, "Bert");
}

static int add_replace(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *pattern = json_object_get(step, "pattern");
	const json_t *content = json_object_get(step, "content");

	if (json_is(json_object_get(pattern, "String"), " ") && json_is(content, "\xe2\x96\x81"))
		return add_word(r, words, "Replace");
	if (json_is(json_object_get(pattern, "Regex"), " {2,}") && json_is(content, " "))
		return add_word(r, words, "Collapse");
	if (json_is(json_object_get(pattern, "Regex"), " {2,}") &&
	    json_is(content, "\xe2\x96\x81"))
		return add_word(r, words, "CollapseMark");
	return unknown(r, "normalizer", step);
}

static int add_strip(struct reader *r, struct words *words, const json_t *step)
{
	int e = 0;

	if (flag_is(step, "strip_left", true, true))
		e = add_word(r, words, "StripLeft");
	if (e >= 0 && flag_is(step, "strip_right", true, true))
		e = add_word(r, words, "StripRight");
	return e;
}

static int add_normalizer(struct reader *r, struct words *words, const json_t *step)
{
	const json_t *type = json_object_get(step, "type");

	if (json_is(type, "NFC"))
		return add_word(r, words, "NFC");
	if (json_is(type, "NFKC"))
		return add_word(r, words, "NFKC");
	if (json_is(type, "Prepend") && json_is(json_object_get(step, "prepend"), "\xe2\x96\x81"))
		return add_word(r, words, "Prepend");
	if (json_is(type, "Replace"))
		return add_replace(r, words, step);
	if (json_is(type, "Strip"))
		return add_strip(r, words, step);
	if (json_is(type, "Precompiled")) {
		int e = tokenizer_map_load(r, step);

		return e < 0 ? e : add_word(r, words, "Map");
	}
	if (json_is(type, "BertNormalizer"))
		return add_bert(r, words, step);
	return unknown(r, "normalizer", step);
}

/* ---- all steps ---- */

typedef int add_step(struct reader *r, struct words *words, const json_t *step);

static int add_steps(struct reader *r, struct words *words, const json_t *step, const char *list,
		     add_step *add, unsigned int depth)
{
	const json_t *steps = json_object_get(step, list);

	if (json_is_none(step))
		return 0;
	if (!json_is(json_object_get(step, "type"), "Sequence"))
		return add(r, words, step);
	if (depth == DEPTH_MAX || !json_is_array(steps))
		return error_set(r->error, -EBADMSG, TOKENIZER_JSON ": '%s' are no steps", list);
	for (size_t i = 0; i < json_array_size(steps); i++) {
		int e = add_steps(r, words, json_array_get(steps, i), list, add, depth + 1);

		if (e < 0)
			return e;
	}
	return 0;
}

static int refuse_steps(struct reader *r, const struct words *normal, const struct words *pre)
{
	return error_set(r->error, -EOPNOTSUPP,
			 TOKENIZER_JSON ": normalizer '%s' with pre-tokenizer '%s' is not supported",
			 normal->text, pre->text);
}

/* ---- the kinds ---- */

static int find_bytes(struct reader *r, const struct words *normal, const struct words *pre)
{
	static const struct {
		const char *pre;
		const char *name;
	} known[] = {
		{ "GPT2;Bytes;", "gpt-2" }, { "Digits;GPT2;Bytes;", "smollm" },
		{ "Llama3;Bytes;", "llama-bpe" }, { "Qwen2;Bytes;", "qwen2" },
		{ "Tekken;Bytes;", "tekken" }, { "GPT4o;Bytes;", "gpt-4o" },
		{ "Numbers;CJ;DeepSeek3;Bytes;", "deepseek-v3" },
		{ "Lines;Letters;Signs;CJK;Digits;Bytes;", "deepseek-coder" },
		{ "SeedCoder;Bytes;", "seed-coder" },
	};
	const bool nfc = !strcmp(normal->text, "NFC;");
	int e;

	if (*normal->text && !nfc)
		return refuse_steps(r, normal, pre);
	for (size_t i = 0; i < ARRAY_SIZE(known); i++) {
		if (strcmp(known[i].pre, pre->text))
			continue;
		r->kind = KIND_BYTES;
		e = gguf_add_string(r->gguf, "tokenizer.ggml.pre", known[i].name,
				    strlen(known[i].name));
		if (e >= 0)
			e = gguf_add_bool(r->gguf, "llmos.tokenizer.nfc", nfc);
		if (e >= 0)
			e = gguf_add_bool(r->gguf, "llmos.tokenizer.ignore_merges",
					  flag_is(r->model, "ignore_merges", false, true));
		return reader_added(r, e);
	}
	return refuse_steps(r, normal, pre);
}

static int find_spm(struct reader *r, const struct words *normal, const struct words *pre)
{
	static const struct {
		const char *normal, *pre;
		const char *prefix;		/* NULL: none */
		bool spaces_apart;
	} known[] = {
		{ "Prepend;Replace;", "", "always", false },
		{ "Replace;", "", NULL, false },
		{ "Replace;", "Spaces;", NULL, false },
		{ "", "MetaNever;", NULL, false },
		{ "", "MetaNeverSplit;", NULL, true },
		{ "", "MetaFirst;", "first", false },
		{ "", "MetaFirstSplit;", "first", true },
		{ "", "MetaAlways;", "unless-space", false },
		{ "", "MetaAlwaysSplit;", "unless-space", true },
	};
	size_t i = 0;
	int e;

	while (strcmp(known[i].normal, normal->text) || strcmp(known[i].pre, pre->text))
		if (++i == ARRAY_SIZE(known))
			return refuse_steps(r, normal, pre);
	if (flag_is(r->model, "byte_fallback", false, false))
		return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON
				 ": BPE that neither has bytes nor falls back to them is not supported");
	if (flag_is(r->model, "ignore_merges", false, true))
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": 'ignore_merges' is only supported with bytes");
	r->kind = KIND_SPM;
	e = gguf_add_bool(r->gguf, "tokenizer.ggml.add_space_prefix", known[i].prefix);
	if (e >= 0 && known[i].prefix)
		e = gguf_add_string(r->gguf, "llmos.tokenizer.space_prefix", known[i].prefix,
				    strlen(known[i].prefix));
	if (e >= 0)
		e = gguf_add_bool(r->gguf, "llmos.tokenizer.spaces_apart", known[i].spaces_apart);
	return reader_added(r, e);
}

static bool is_empty(const json_t *json)
{
	return json_is_none(json) || json_is(json, "");
}

static int find_bpe(struct reader *r, const struct words *normal, const struct words *pre)
{
	const json_t *dropout = json_object_get(r->model, "dropout");

	if (!json_is_none(dropout) && !(json_is_real(dropout) && json_real_value(dropout) == 0))
		return error_set(r->error, -EOPNOTSUPP, TOKENIZER_JSON ": BPE with dropout");
	if (!is_empty(json_object_get(r->model, "continuing_subword_prefix")) ||
	    !is_empty(json_object_get(r->model, "end_of_word_suffix")))
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": BPE with marks in words is not supported");
	if (strstr(pre->text, "Bytes;"))
		return find_bytes(r, normal, pre);
	return find_spm(r, normal, pre);
}

static int find_wordpiece(struct reader *r, const struct words *normal, const struct words *pre)
{
	const json_t *max = json_object_get(r->model, "max_input_chars_per_word");

	if (strcmp(normal->text, "Bert;") || strcmp(pre->text, "Bert;"))
		return refuse_steps(r, normal, pre);
	if (!json_is(json_object_get(r->model, "continuing_subword_prefix"), "##") ||
	    (max && json_real_value(max) != 100))
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": WordPiece is only supported as BERT has it");
	r->kind = KIND_WORDPIECE;
	return 0;
}

/* early writers did not name the type */
static const char *type_of(const json_t *model)
{
	const json_t *type = json_object_get(model, "type");

	if (json_is_string(type))
		return json_string_value(type);
	if (json_object_get(model, "merges"))
		return "BPE";
	if (json_object_get(model, "unk_id"))
		return "Unigram";
	return json_object_get(model, "continuing_subword_prefix") ? "WordPiece" : "?";
}

int tokenizer_kind_find(struct reader *r)
{
	static const char *const names[] = {
		[KIND_BYTES] = "gpt2", [KIND_SPM] = "llama", [KIND_WORDPIECE] = "bert",
		[KIND_UNIGRAM] = "t5",
	};
	struct words normal = { 0 }, pre = { 0 };
	const char *type = type_of(r->model), *name;
	int e;

	if (strcmp(type, "BPE") && strcmp(type, "WordPiece") && strcmp(type, "Unigram"))
		return error_set(r->error, -EOPNOTSUPP,
				 TOKENIZER_JSON ": model '%s' is not supported", show(type).text);
	e = add_steps(r, &normal, json_object_get(r->files->tokenizer, "normalizer"), "normalizers",
		      add_normalizer, 0);
	if (e >= 0)
		e = add_steps(r, &pre, json_object_get(r->files->tokenizer, "pre_tokenizer"),
			      "pretokenizers", add_pre_tokenizer, 0);
	if (e >= 0 && *type == 'U')
		e = tokenizer_unigram_find(r, normal.text, pre.text);
	else if (e >= 0)
		e = *type == 'B' ? find_bpe(r, &normal, &pre) : find_wordpiece(r, &normal, &pre);
	if (e < 0)
		return e;
	name = names[r->kind];
	return reader_added(r, gguf_add_string(r->gguf, "tokenizer.ggml.model", name, strlen(name)));
}
