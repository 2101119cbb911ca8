/* SPDX-License-Identifier: MIT */
/*
 * What it costs to know which tokens may follow: for each vocabulary named (GGUF files), the time to
 * build its tree, and of random answers under any JSON, and under a schema, the time for a token's
 * step and mask: mean, median, worst.
 *
 *   grammar_bench FILE...
 */
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "grammar/matcher.h"
#include "model/gguf.h"

#define TOKENS	400

static const char schema[] =
	"{\"type\":\"object\",\"properties\":{\"name\":{\"type\":\"string\",\"maxLength\":60},"
	"\"age\":{\"type\":\"integer\",\"minimum\":0,\"maximum\":120},\"tags\":{\"type\":\"array\","
	"\"items\":{\"enum\":[\"red\",\"green\",\"blue\"]},\"maxItems\":5},"
	"\"note\":{\"type\":\"string\"}},\"required\":[\"name\",\"age\"]}";

static uint64_t dice = 88172645463325252;

static uint32_t roll(uint32_t n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (uint32_t)((dice * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n);
}

static uint32_t choose(const struct gram_vocab *vocab, const struct gram_matcher *m)
{
	uint32_t nth = roll(gram_matcher_count(m));

	for (uint32_t id = 0; id < vocab->size; id++)
		if (gram_matcher_mask(m)[id / 32] >> id % 32 & 1 && !nth--)
			return id;
	return TOK_NONE;
}

static int compare_times(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

static int make_grammar(struct grammar **ret, bool has_schema)
{
	return has_schema ? gram_new_schema(ret, schema, strlen(schema), NULL) :
			    gram_new_json(ret, NULL);
}

/* one answer; returns how many tokens it had */
static size_t answer(struct gram_vocab *vocab, bool has_schema, uint64_t *times, size_t max)
{
	_cleanup_(gram_matcher_freep) struct gram_matcher *m = NULL;
	struct grammar *grammar;
	size_t count = 0;

	if (make_grammar(&grammar, has_schema) < 0 ||
	    gram_matcher_new(&m, grammar, vocab, false) < 0)
		return 0;
	while (count < max) {
		uint64_t start_ns = clock_ns();
		uint32_t id;

		if (gram_matcher_work(m, SIZE_MAX) < 0 || !gram_matcher_count(m))
			break;
		times[count] = clock_ns() - start_ns;
		id = choose(vocab, m);
		start_ns = clock_ns();
		if (gram_matcher_advance(m, id) < 0)
			break;		/* it ends the answer */
		times[count++] += clock_ns() - start_ns;
	}
	return count;
}

static void measure(struct gram_vocab *vocab, bool has_schema)
{
	static uint64_t times[TOKENS];
	uint64_t sum = 0;
	size_t count = 0, tries = 0;

	while (count < TOKENS && tries++ < TOKENS)
		count += answer(vocab, has_schema, times + count, TOKENS - count);
	if (!count)
		return;
	for (size_t i = 0; i < count; i++)
		sum += times[i];
	qsort(times, count, sizeof(*times), compare_times);
	printf("  %-6s  mean %7.1f us  median %7.1f us  worst %7.1f us  (%zu tokens)\n",
	       has_schema ? "schema" : "json", (double)sum / (double)count / 1e3,
	       (double)times[count / 2] / 1e3, (double)times[count - 1] / 1e3, count);
}

static int run(const char *path)
{
	_cleanup_(gram_vocab_unrefp) struct gram_vocab *vocab = NULL;
	_cleanup_(tok_freep) struct tokenizer *tok = NULL;
	_cleanup_(gguf_freep) struct gguf *gguf = NULL;
	struct error error = { "" };
	uint64_t start_ns;

	if (gguf_open(&gguf, path, &error) < 0 || tok_new(&tok, gguf, &error) < 0) {
		fprintf(stderr, "grammar_bench: %s\n", error.text);
		return 1;
	}
	start_ns = clock_ns();
	if (gram_vocab_new(&vocab, tok, tok_vocab(tok)) < 0)
		return 1;
	printf("%s: %u tokens, %zu branches, built in %.1f ms\n", path, vocab->token_count,
	       vocab->tree.branch_count, (double)(clock_ns() - start_ns) / 1e6);
	measure(vocab, false);
	measure(vocab, true);
	return 0;
}

int main(int argc, char **argv)
{
	for (int i = 1; i < argc; i++)
		if (run(argv[i]))
			return 1;
	return argc < 2;
}
