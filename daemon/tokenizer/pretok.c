/* SPDX-License-Identifier: MIT */
/*
 * Pre-tokenizers are sequences of patterns. Each pattern cuts every piece that the one before it
 * left: its matches become pieces, and so does what lies between them. A match never looks beyond
 * its piece, because the libraries that the models were trained with split in the same way.
 *
 * The patterns are those of the models' own tokenizer files. White space is spelled out instead of
 * written \s, because what PCRE2 takes for white space is not quite the White_Space of Unicode.
 * JIT code is used where the process may make it; the interpreter gives the same answers.
 */
#include "tokenizer/pretok.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "model/gguf.h"

#define STEPS_MAX	5

/* white space, for use inside of [...] */
#define S	"\\t-\\r \\x{85}\\x{a0}\\x{1680}\\x{2000}-\\x{200a}" \
		"\\x{2028}\\x{2029}\\x{202f}\\x{205f}\\x{3000}"
/* the alternatives that most patterns end with: white space but for its last, if text follows */
#define SPACES	"[" S "]+(?=[" S "]|\\z)|[" S "]+"
#define CONTRACTION	"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
#define UPPER	"[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]"
#define LOWER	"[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]"

#define GPT2	"'s|'t|'re|'ve|'m|'ll|'d| ?\\p{L}+| ?\\p{N}+| ?[^" S "\\p{L}\\p{N}]+|" SPACES
#define BY_DIGITS(digits) \
		CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|" digits \
		"| ?[^" S "\\p{L}\\p{N}]+[\\r\\n]*|[" S "]*[\\r\\n]+|" SPACES
/* a word begins at a capital after a small letter; what may end it, how long numbers are */
#define BY_CASE(ends, digits) \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "*" LOWER "+" ends "|" \
		"[^\\r\\n\\p{L}\\p{N}]?" UPPER "+" LOWER "*" ends "|" \
		digits "| ?[^" S "\\p{L}\\p{N}]+[\\r\\n/]*|[" S "]*[\\r\\n]+|" SPACES
/* one sign before letters is of the word, and a mark is a letter */
#define DEEPSEEK3 \
		"[!-/:-@\\[-`{-~][A-Za-z]+|[^\\r\\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+|" \
		" ?[\\p{P}\\p{S}]+[\\r\\n]*|[" S "]*[\\r\\n]+|" SPACES
#define SEED_CODER \
		CONTRACTION "|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}" \
		"| ?[^" S "\\p{L}\\p{N}\\r\\n]+|[" S "]*[\\r\\n]+|" SPACES

enum pattern {
	P_GPT2, P_LLAMA3, P_QWEN2, P_SMOLLM, P_TEKKEN, P_GPT4O, P_DEEPSEEK3, P_DEEPSEEK_CODER,
	P_SEED_CODER, P_DEFAULT,
};

static const char *const patterns[][STEPS_MAX] = {
	[P_GPT2] = { GPT2 },
	[P_LLAMA3] = { BY_DIGITS("\\p{N}{1,3}") },
	[P_QWEN2] = { BY_DIGITS("\\p{N}") },
	[P_SMOLLM] = { "\\p{N}", GPT2 },
	[P_TEKKEN] = { BY_CASE("", "\\p{N}") },
	[P_GPT4O] = { BY_CASE(CONTRACTION "?", "\\p{N}{1,3}") },
	/* Chinese and Japanese; then the same up to Korean */
	[P_DEEPSEEK3] = {
		"\\p{N}{1,3}", "[\\x{4e00}-\\x{9fa5}\\x{3040}-\\x{30ff}]+", DEEPSEEK3,
	},
	[P_DEEPSEEK_CODER] = {
		"[\\r\\n]", "[" S "]?\\p{L}+", "[" S "]?\\p{P}+",
		"[\\x{0800}-\\x{9fa5}\\x{ac00}-\\x{d7ff}]+", "\\p{N}",
	},
	[P_SEED_CODER] = { SEED_CODER },
	/* what files from before pre-tokenizers had names are read with */
	[P_DEFAULT] = { "[\\p{P}$+<=>^~|]+", GPT2, "\\p{N}+", "[0-9][0-9][0-9]" },
};

static const struct {
	const char *name;
	enum pattern pattern;
	struct pretok_traits traits;
} names[] = {
	{ "", P_DEFAULT, { 0 } },
	{ "default", P_DEFAULT, { 0 } },
	{ "gpt-2", P_GPT2, { 0 } },
	{ "phi-2", P_GPT2, { 0 } },
	{ "mpt", P_GPT2, { 0 } },
	{ "modern-bert", P_GPT2, { 0 } },
	{ "olmo", P_GPT2, { 0 } },
	{ "jais", P_GPT2, { 0 } },
	{ "trillion", P_GPT2, { 0 } },
	{ "gigachat", P_GPT2, { 0 } },
	{ "mellum", P_GPT2, { 0 } },
	{ "exaone4", P_GPT2, { 0 } },
	{ "a.x-4.0", P_GPT2, { 0 } },
	{ "granite-docling", P_GPT2, { 0 } },
	{ "roberta-bpe", P_GPT2, { 0 } },
	{ "llama3", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "llama-v3", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "llama-bpe", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "falcon3", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "falcon-h1", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "pixtral", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "midm-2.0", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "lfm2", P_LLAMA3, { .add_bos = true, .ignore_merges = true } },
	{ "dbrx", P_LLAMA3, { 0 } },
	{ "smaug-bpe", P_LLAMA3, { 0 } },
	{ "chatglm-bpe", P_LLAMA3, { 0 } },
	{ "glm4", P_LLAMA3, { .ignore_merges = true } },
	{ "qwen2", P_QWEN2, { 0 } },
	{ "deepseek-r1-qwen", P_QWEN2, { 0 } },
	{ "stablelm2", P_QWEN2, { 0 } },
	{ "megrez", P_QWEN2, { 0 } },
	{ "hunyuan", P_QWEN2, { 0 } },
	{ "kormo", P_QWEN2, { 0 } },
	{ "grok-2", P_QWEN2, { 0 } },
	{ "smollm", P_SMOLLM, { 0 } },
	{ "starcoder", P_SMOLLM, { 0 } },
	{ "refact", P_SMOLLM, { 0 } },
	{ "command-r", P_SMOLLM, { 0 } },
	{ "codeshell", P_SMOLLM, { 0 } },
	{ "exaone", P_SMOLLM, { 0 } },
	{ "minerva-7b", P_SMOLLM, { 0 } },
	{ "gpt-4o", P_GPT4O, { 0 } },
	{ "llama4", P_GPT4O, { 0 } },
	{ "kanana2", P_GPT4O, { 0 } },
	{ "deepseek-v3", P_DEEPSEEK3, { 0 } },
	{ "hunyuan-dense", P_DEEPSEEK3, { 0 } },
	{ "deepseek-coder", P_DEEPSEEK_CODER, { 0 } },
	{ "seed-coder", P_SEED_CODER, { 0 } },
	{ "tekken", P_TEKKEN, { .add_bos = true, .ignore_merges = true } },
};

struct pretok {
	struct pretok_step {
		pcre2_code *code;
		bool has_jit;
	} steps[STEPS_MAX];
	size_t step_count;
};

void pretok_free(struct pretok *pretok)
{
	if (!pretok)
		return;
	for (size_t i = 0; i < pretok->step_count; i++)
		pcre2_code_free(pretok->steps[i].code);
	free(pretok);
}
DEFINE_CLEANUP(struct pretok *, pretok_free);

static int step_compile(struct pretok_step *step, const char *pattern, struct error *error)
{
	PCRE2_UCHAR text[128];
	size_t at;
	int code;

	step->code = pcre2_compile((PCRE2_SPTR)pattern, PCRE2_ZERO_TERMINATED,
				   PCRE2_UTF | PCRE2_NEVER_BACKSLASH_C, &code, &at, NULL);
	if (!step->code) {
		pcre2_get_error_message(code, text, sizeof(text));
		return error_set(error, code == PCRE2_ERROR_HEAP_FAILED ? -ENOMEM : -EOPNOTSUPP,
				 "pre-tokenizer: pattern at %zu: %s", at, text);
	}
	step->has_jit = !pcre2_jit_compile(step->code, PCRE2_JIT_COMPLETE);
	return 0;
}

int pretok_new(struct pretok **ret, const char *name, size_t len, struct pretok_traits *traits,
	       struct error *error)
{
	_cleanup_(pretok_freep) struct pretok *pretok = calloc(1, sizeof(*pretok));
	size_t i = 0;

	if (!pretok)
		return error_set(error, -ENOMEM, "pre-tokenizer: %s", strerror(ENOMEM));
	while (strlen(names[i].name) != len || memcmp(names[i].name, name, len))
		if (++i == ARRAY_SIZE(names))
			return error_set(error, -EOPNOTSUPP,
					 "pre-tokenizer '%s' is not supported",
					 gguf_show((struct gguf_string){ name, len }).text);
	for (const char *const *p = patterns[names[i].pattern];
	     pretok->step_count < STEPS_MAX && p[pretok->step_count]; pretok->step_count++) {
		int r = step_compile(&pretok->steps[pretok->step_count], p[pretok->step_count],
				     error);

		if (r < 0)
			return r;
	}
	*traits = names[i].traits;
	*ret = steal_ptr(pretok);
	return 0;
}

/* ---- splitting ---- */

struct ends {
	uint32_t *at;
	size_t count, capacity;
};

struct pretok_work {
	const struct pretok *pretok;
	pcre2_match_data *data;
	pcre2_match_context *context;
	struct ends ends[2];		/* the pieces of a step, and of the one before */
};

void pretok_work_free(struct pretok_work *work)
{
	if (!work)
		return;
	pcre2_match_data_free(work->data);
	pcre2_match_context_free(work->context);
	free(work->ends[0].at);
	free(work->ends[1].at);
	free(work);
}

int pretok_work_new(struct pretok_work **ret, const struct pretok *pretok)
{
	struct pretok_work *work = calloc(1, sizeof(*work));

	if (!work)
		return -ENOMEM;
	work->pretok = pretok;
	work->data = pcre2_match_data_create(1, NULL);
	work->context = pcre2_match_context_create(NULL);
	if (!work->data || !work->context) {
		pretok_work_free(work);
		return -ENOMEM;
	}
	*ret = work;
	return 0;
}

static int push_end(struct ends *ends, size_t at)
{
	if (ends->count == ends->capacity) {
		size_t n = MAX(ends->capacity * 2, (size_t)64), size;
		uint32_t *p;

		if (!size_mul(&size, n, sizeof(*p)))
			return -ENOMEM;
		p = realloc(ends->at, size);
		if (!p)
			return -ENOMEM;
		ends->at = p;
		ends->capacity = n;
	}
	ends->at[ends->count++] = (uint32_t)at;
	return 0;
}

/* 1 and the place of a match, 0 if there is none */
static int match(struct pretok_work *work, const struct pretok_step *step, const char *text,
		 size_t len, size_t pos, size_t *ret_start, size_t *ret_end)
{
	PCRE2_SPTR subject = (PCRE2_SPTR)text;
	const PCRE2_SIZE *range;
	int r = PCRE2_ERROR_JIT_STACKLIMIT;

	if (step->has_jit)
		r = pcre2_jit_match(step->code, subject, len, pos, 0, work->data, work->context);
	if (r == PCRE2_ERROR_JIT_STACKLIMIT)
		r = pcre2_match(step->code, subject, len, pos, PCRE2_NO_UTF_CHECK | PCRE2_NO_JIT,
				work->data, work->context);
	if (r == PCRE2_ERROR_NOMATCH)
		return 0;
	if (r < 0)
		return r == PCRE2_ERROR_NOMEMORY ? -ENOMEM : -E2BIG;
	range = pcre2_get_ovector_pointer(work->data);
	*ret_start = range[0];
	*ret_end = range[1];
	return 1;
}

/* cuts text[begin..end): each match and each gap is a piece */
static int split_piece(struct pretok_work *work, const struct pretok_step *step, const char *text,
		       size_t begin, size_t end, struct ends *to)
{
	size_t pos = 0, len = end - begin, from, until;
	int r = 0;

	while (pos < len) {
		r = match(work, step, text + begin, len, pos, &from, &until);
		if (r <= 0)
			break;
		/* no pattern matches nothing; if one did, this would not end */
		if (until <= pos)
			until = pos + utf8_len(text[begin + pos]);
		if (from > pos && (r = push_end(to, begin + from)) < 0)
			return r;
		r = push_end(to, begin + until);
		if (r < 0)
			return r;
		pos = until;
	}
	if (r < 0)
		return r;
	return pos < len ? push_end(to, end) : 0;
}

int pretok_split(struct pretok_work *work, const char *text, size_t len, const uint32_t **ret_ends,
		 size_t *ret_count)
{
	struct ends *from = &work->ends[0], *to = &work->ends[1];
	int r;

	if (len >= UINT32_MAX)
		return -E2BIG;
	/* room for going back over the whole text a few times within one match, and not more */
	pcre2_set_match_limit(work->context, (uint32_t)MIN(len * 8 + 10000, (size_t)UINT32_MAX));
	from->count = 0;
	r = push_end(from, len);
	for (size_t i = 0; r >= 0 && i < work->pretok->step_count; i++) {
		struct ends *done = to;

		to->count = 0;
		for (size_t j = 0; r >= 0 && j < from->count; j++)
			r = split_piece(work, &work->pretok->steps[i], text,
					j ? from->at[j - 1] : 0, from->at[j], to);
		to = from;
		from = done;
	}
	if (r < 0)
		return r;
	*ret_ends = from->at;
	*ret_count = from->count;
	return 0;
}
