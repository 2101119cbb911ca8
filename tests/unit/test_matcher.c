/* SPDX-License-Identifier: MIT */
/*
 * Random grammars over a real vocabulary. What a random model says within the masks must match by a
 * matcher that is as plain as can be (sets of places in the text), which must also agree on where
 * the answer may end; and whatever matches must be sayable, however it is cut into tokens. The same
 * tokens bring the same masks, however the work is cut, and whoever else is at work.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "grammar/matcher.h"
#include "model/gguf.h"

#define RULES		4
#define NODES		64
#define TEXT_MAX	62	/* places in a text are bits of a word */
#define TOKENS_MAX	40
#define GRAMMARS	150
#define ANSWERS		4

static uint64_t dice;

static unsigned int roll(unsigned int n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned int)((dice * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n);
}

/* ---- random grammars ---- */

enum kind { LITERAL, CLASS, INVERTED, RULE, SEQUENCE, CHOICE, REPEAT };

/** struct node - LITERAL, CLASS: text; RULE: a; others: nodes a and b; REPEAT: a, least to most */
struct node {
	enum kind kind;
	char text[8];
	unsigned int a;
	unsigned int b;
	unsigned int least;
	unsigned int most;
};

static struct node nodes[NODES];
static unsigned int node_count;
static unsigned int rules[RULES];

static const char *const literals[] = { "a", "b", "ab", "the", " ", "\xc3\xa9", "", "ca" };

static unsigned int add_node(struct node node)
{
	assert_true(node_count < NODES);
	nodes[node_count] = node;
	return node_count++;
}

static unsigned int add_text(enum kind kind, const char *text)
{
	struct node node = { .kind = kind };

	snprintf(node.text, sizeof(node.text), "%s", text);
	return add_node(node);
}

/* a rule is used by those before it, or behind a letter, so that none begins with itself */
static unsigned int grow_node(unsigned int rule, unsigned int depth)
{
	static const char *const classes[] = { "a-c", "x", "a-z", " th" };
	unsigned int a, b;

	switch (depth && node_count < NODES - 16 ? roll(9) : roll(3)) {
	case 0:
	case 1:
		return add_text(LITERAL, literals[roll(sizeof(literals) / sizeof(*literals))]);
	case 2:
		return add_text(roll(4) ? CLASS : INVERTED, classes[roll(4)]);
	case 3:
		if (rule + 1 < RULES)
			return add_node((struct node){ .kind = RULE,
						       .a = rule + 1 + roll(RULES - rule - 1) });
		return add_text(LITERAL, "b");
	case 4:
		a = add_text(LITERAL, "(");
		b = add_node((struct node){ .kind = RULE, .a = roll(RULES) });
		return add_node((struct node){ .kind = SEQUENCE, .a = a, .b = b });
	case 5:
		a = grow_node(rule, depth - 1);
		b = roll(3);
		return add_node((struct node){ .kind = REPEAT, .a = a, .least = b,
					       .most = roll(2) ? b + roll(3) : TEXT_MAX });
	case 6:
	case 7:
		a = grow_node(rule, depth - 1);
		b = grow_node(rule, depth - 1);
		return add_node((struct node){ .kind = SEQUENCE, .a = a, .b = b });
	default:
		a = grow_node(rule, depth - 1);
		b = grow_node(rule, depth - 1);
		return add_node((struct node){ .kind = CHOICE, .a = a, .b = b });
	}
}

static void print_node(FILE *to, const struct node *node)
{
	switch (node->kind) {
	case LITERAL:
		fprintf(to, "\"%s\" ", node->text);
		break;
	case CLASS:
		fprintf(to, "[%s] ", node->text);
		break;
	case INVERTED:
		fprintf(to, "[^%s] ", node->text);
		break;
	case RULE:
		fprintf(to, "r%u ", node->a);
		break;
	case REPEAT:
		fputc('(', to);
		print_node(to, &nodes[node->a]);
		if (node->most == TEXT_MAX)
			fprintf(to, "){%u,} ", node->least);
		else
			fprintf(to, "){%u,%u} ", node->least, node->most);
		break;
	default:
		fputc('(', to);
		print_node(to, &nodes[node->a]);
		fputs(node->kind == CHOICE ? "| " : "", to);
		print_node(to, &nodes[node->b]);
		fputs(") ", to);
	}
}

static char *random_grammar(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	node_count = 0;
	fputs("root ::= r0\n", to);
	for (unsigned int i = 0; i < RULES; i++)
		rules[i] = grow_node(i, 4);
	for (unsigned int i = 0; i < RULES; i++) {
		fprintf(to, "r%u ::= ", i);
		print_node(to, &nodes[rules[i]]);
		fputc('\n', to);
	}
	fclose(to);
	return text;
}

/* ---- the plain matcher: from a set of places in a text to those behind a match ---- */

static bool in_class(const char *class, unsigned char c)
{
	for (; *class; class++) {
		if (class[1] == '-') {
			if (c >= (unsigned char)class[0] && c <= (unsigned char)class[2])
				return true;
			class += 2;
		} else if (c == (unsigned char)*class) {
			return true;
		}
	}
	return false;
}

static uint64_t plain(const struct node *node, const char *text, size_t len, uint64_t from)
{
	uint64_t to = 0, now = from;
	size_t n;

	if (!from)
		return 0;
	switch (node->kind) {
	case LITERAL:
		n = strlen(node->text);
		for (size_t i = 0; i + n <= len; i++)
			if (from >> i & 1 && !memcmp(text + i, node->text, n))
				to |= UINT64_C(1) << (i + n);
		return to;
	case CLASS:
	case INVERTED:
		for (size_t i = 0; i < len; i++) {
			const unsigned char c = (unsigned char)text[i];

			n = c < 0x80 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
			if (from >> i & 1 && i + n <= len && (c < 0x80 || c >= 0xc0) &&
			    in_class(node->text, c) == (node->kind == CLASS))
				to |= UINT64_C(1) << (i + n);
		}
		return to;
	case RULE:
		return plain(&nodes[rules[node->a]], text, len, from);
	case SEQUENCE:
		return plain(&nodes[node->b], text, len, plain(&nodes[node->a], text, len, from));
	case CHOICE:
		return plain(&nodes[node->a], text, len, from) |
		       plain(&nodes[node->b], text, len, from);
	default:
		for (unsigned int i = 0; i < node->least; i++)
			now = plain(&nodes[node->a], text, len, now);
		for (unsigned int i = node->least; i <= node->most && (now & ~to); i++) {
			const uint64_t fresh = now & ~to;

			to |= now;
			now = i < node->most ? plain(&nodes[node->a], text, len, fresh) : 0;
		}
		return to;
	}
}

static bool plain_matches(const char *text, size_t len)
{
	return plain(&nodes[rules[0]], text, len, 1) >> len & 1;
}

/* a text that matches; false: it became too long */
static bool spell(const struct node *node, char *text, size_t *len, unsigned int depth)
{
	unsigned int count;

	if (depth > 40 || *len > TEXT_MAX - 8)
		return false;
	switch (node->kind) {
	case LITERAL:
		memcpy(text + *len, node->text, strlen(node->text));
		*len += strlen(node->text);
		return true;
	case CLASS:
		text[(*len)++] = node->text[0];
		return true;
	case INVERTED:
		memcpy(text + *len, "\xf0\x9f\x98\x80", 4);
		*len += 4;
		return true;
	case RULE:
		return spell(&nodes[rules[node->a]], text, len, depth + 1);
	case SEQUENCE:
		return spell(&nodes[node->a], text, len, depth + 1) &&
		       spell(&nodes[node->b], text, len, depth + 1);
	case CHOICE:
		return spell(&nodes[roll(2) ? node->a : node->b], text, len, depth + 1);
	default:
		count = node->least + roll(MIN(node->most - node->least, 3U) + 1);
		for (unsigned int i = 0; i < count; i++)
			if (!spell(&nodes[node->a], text, len, depth + 1))
				return false;
		return true;
	}
}

/* ---- a vocabulary ---- */

static struct gguf *gguf;
static struct tokenizer *tok;
static struct gram_vocab *vocab;

static int open_vocab(const char *path)
{
	struct error error = { "" };

	if (gguf_open(&gguf, path, &error) < 0)
		return -1;
	assert_int_equal(tok_new(&tok, gguf, &error), 0);
	assert_int_equal(gram_vocab_new(&vocab, tok, tok_vocab(tok) + 5), 0);
	return 0;
}

static int setup(void **state)
{
	(void)state;
	if (open_vocab("models/stories260K-f32.gguf") < 0)
		fail_msg("no models/stories260K-f32.gguf (this runs in the repository)");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gram_vocab_unref(vocab);
	tok_free(tok);
	gguf_free(gguf);
	vocab = NULL;
	tok = NULL;
	gguf = NULL;
	return 0;
}

static bool has(const uint32_t *mask, uint32_t id)
{
	return mask[id / 32] >> id % 32 & 1;
}

static const uint32_t *mask_of(struct gram_matcher *m, size_t branches)
{
	const uint32_t *mask;
	uint32_t count = 0;
	int r;

	do {
		r = gram_matcher_work(m, branches);
	} while (!r);
	assert_int_equal(r, 1);
	mask = gram_matcher_mask(m);
	for (size_t i = 0; i < gram_vocab_words(vocab); i++)
		count += (uint32_t)__builtin_popcount(mask[i]);
	assert_int_equal(count, gram_matcher_count(m));
	assert_true(gram_matcher_bytes(m) <= gram_matcher_bytes_max(vocab));
	return mask;
}

/* one of the tokens in a mask, TOK_NONE if there is none */
static uint32_t choose(const uint32_t *mask)
{
	uint32_t seen = 0, chosen = TOK_NONE;

	for (uint32_t id = 0; id < vocab->size; id++)
		if (has(mask, id) && !roll(++seen))
			chosen = id;
	return chosen;
}

static struct gram_matcher *matcher_of(const char *text, bool fresh)
{
	struct gram_matcher *m = NULL;
	struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = gram_new_gbnf(&grammar, text, strlen(text), &error);

	/* calls of what never ends happen */
	if (r < 0 && (r != -EINVAL || !strstr(error.text, "no answer that ends")))
		fail_msg("%s: %s", text, error.text);
	if (r < 0)
		return NULL;
	assert_int_equal(gram_matcher_new(&m, grammar, vocab, fresh), 0);
	return m;
}

/* ---- what is said matches, and matches where it may end ---- */

static void say_something(const char *grammar)
{
	const bool fresh = roll(2);
	struct gram_matcher *m = matcher_of(grammar, fresh), *again;
	uint32_t ids[TOKENS_MAX];
	char text[TEXT_MAX];
	size_t len = 0, count = 0, piece_len;

	if (!m)
		return;
	while (count < TOKENS_MAX) {
		const uint32_t *mask = mask_of(m, 1 + roll(2000));
		const uint32_t id = choose(mask);
		const char *piece;

		if (gram_matcher_can_end(m) != plain_matches(text, len))
			fail_msg("%s: '%.*s' %s", grammar, (int)len, text,
				 gram_matcher_can_end(m) ? "may end" : "may not end");
		for (size_t i = 0; i < vocab->end_count; i++)
			assert_int_equal(has(mask, vocab->ends[i]), gram_matcher_can_end(m));
		/* there are tokens for all bytes, but a text does not begin with a space */
		if (id == TOK_NONE && fresh && !count)
			break;
		assert_int_not_equal(id, TOK_NONE);
		if (tok_is_end(tok, id))
			break;
		piece = tok_piece(tok, id, fresh && !count, false, &piece_len);
		assert_true(piece_len > 0);
		if (len + piece_len >= TEXT_MAX)
			break;
		memcpy(text + len, piece, piece_len);
		len += piece_len;
		ids[count++] = id;
		assert_int_equal(gram_matcher_advance(m, id), 0);
	}
	/* from the tokens alone it is where it was */
	again = matcher_of(grammar, fresh);
	for (size_t i = 0; i < count; i++)
		assert_int_equal(gram_matcher_advance(again, ids[i]), 0);
	assert_memory_equal(mask_of(again, SIZE_MAX), mask_of(m, 1),
			    gram_vocab_words(vocab) * sizeof(uint32_t));
	gram_matcher_free(again);
	gram_matcher_free(m);
}

/* ---- what matches can be said ---- */

static void say_this(const char *grammar, const char *text, size_t len)
{
	struct gram_matcher *m = matcher_of(grammar, false);
	size_t at = 0;

	if (!m)
		return;
	while (at < len) {
		uint32_t seen = 0, chosen = TOK_NONE;
		size_t chosen_len = 0, piece_len;
		const uint32_t *mask = mask_of(m, SIZE_MAX);

		for (uint32_t id = 0; id < tok_vocab(tok); id++) {
			const char *piece = tok_piece(tok, id, false, false, &piece_len);

			if (!piece_len || piece_len > len - at || tok_is_end(tok, id) ||
			    memcmp(piece, text + at, piece_len))
				continue;
			if (!has(mask, id))
				fail_msg("%s: '%.*s' does not go on with '%.*s'", grammar, (int)at,
					 text, (int)piece_len, piece);
			if (roll(++seen))
				continue;
			chosen = id;
			chosen_len = piece_len;
		}
		assert_int_not_equal(chosen, TOK_NONE);
		assert_int_equal(gram_matcher_advance(m, chosen), 0);
		at += chosen_len;
	}
	assert_true(gram_matcher_can_end(m));
	gram_matcher_free(m);
}

static void random_grammars(void **state)
{
	(void)state;
	for (unsigned int i = 0; i < GRAMMARS; i++) {
		char *grammar = random_grammar(), text[TEXT_MAX + 8];

		for (unsigned int k = 0; k < ANSWERS; k++) {
			size_t len = 0;

			say_something(grammar);
			if (!spell(&nodes[rules[0]], text, &len, 0))
				continue;
			assert_true(plain_matches(text, len));
			say_this(grammar, text, len);
		}
		free(grammar);
	}
}

/* ---- what does not match ---- */

static void refused_tokens(void **state)
{
	struct gram_matcher *m = matcher_of("root ::= \"ab\"", false);

	(void)state;
	assert_int_equal(gram_matcher_advance(m, tok_eos(tok)), -EILSEQ);
	assert_int_equal(gram_matcher_advance(m, tok_bos(tok)), -EILSEQ);
	assert_int_equal(gram_matcher_advance(m, tok_find(tok, "b")), -EILSEQ);
	assert_int_equal(gram_matcher_advance(m, vocab->size - 1), -EILSEQ);
	assert_int_equal(gram_matcher_advance(m, UINT32_MAX), -EILSEQ);
	assert_int_equal(gram_matcher_advance(m, tok_find(tok, "a")), 0);
	assert_int_equal(gram_matcher_advance(m, tok_find(tok, "b")), 0);
	assert_true(gram_matcher_can_end(m));
	mask_of(m, 1);
	assert_int_equal(gram_matcher_count(m), vocab->end_count);
	gram_matcher_free(m);
}

/* ---- what would take for ever is bounded, and ends the same way whatever was before ---- */

static void hostile(void **state)
{
	static const char *const texts[] = {
		/* each letter may be one of many places */
		"root ::= (\"a\"{0,200} \"a\"{0,200} \"b\"){0,200}",
		"root ::= s s s s s s s s\ns ::= (\"a\" s \"a\" | \"a\" s | \"a\" \"a\"? s s | \"\")",
		"root ::= (((((((((\"a\"?){1,9})?){1,9})?){1,9})?){1,9})?){1,4} \"b\"",
		"root ::= \"a\" root \"b\" | \"a\" root \"c\" | \"a\" root | [^z] root? | \"\"",
		"root ::= .{0,5000} \"x\" .{0,5000}",
	};
	uint32_t a = tok_find(tok, "a");
	clock_t start = clock();

	(void)state;
	for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
		struct gram_matcher *warm = matcher_of(texts[i], false), *cold;
		int r = 0, again;
		size_t said;

		assert_non_null(warm);
		for (said = 0; r >= 0 && said < 60; said++) {
			do {
				r = gram_matcher_work(warm, 5000);
			} while (!r);
			if (r > 0)
				r = gram_matcher_advance(warm, a);
		}
		assert_true(r >= 0 || r == -E2BIG);
		cold = matcher_of(texts[i], false);
		again = 0;
		for (size_t k = 0; !again && k < said; k++)
			again = gram_matcher_advance(cold, a);
		if (!again)
			do {
				again = gram_matcher_work(cold, SIZE_MAX);
			} while (!again);
		if (r >= 0)
			assert_int_equal(again, 1);
		gram_matcher_free(cold);
		gram_matcher_free(warm);
	}
	/* minutes would be a hang; instrumented, it is still seconds */
	assert_true((clock() - start) / CLOCKS_PER_SEC < 60);
}

/* ways that part and meet at each level are not counted one by one */
static void parted(void **state)
{
	struct gram_matcher *m =
		matcher_of("root ::= (s*){2,}\ns ::= \"a\" root \"b\"?", false);
	const uint32_t a = tok_find(tok, "a"), b = tok_find(tok, "b");

	(void)state;
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(has(mask_of(m, SIZE_MAX), a));
		assert_int_equal(gram_matcher_advance(m, a), 0);
	}
	for (unsigned int i = 0; i < 100; i++) {
		assert_true(has(mask_of(m, SIZE_MAX), b));
		assert_int_equal(gram_matcher_advance(m, b), 0);
	}
	assert_false(has(mask_of(m, SIZE_MAX), b));
	assert_true(gram_matcher_can_end(m));
	gram_matcher_free(m);
}

/* an answer that is put together again: so many steps at a time, and then where it was */
static void caught_up(void **state)
{
	struct gram_matcher *m = matcher_of("root ::= (\"a\"? | \"b\"){2000}", false), *again;
	const uint32_t a = tok_find(tok, "a"), b = tok_find(tok, "b");
	uint32_t ids[64];
	size_t done = 0, count;
	unsigned int calls = 0;

	(void)state;
	for (size_t i = 0; i < 64; i++) {
		ids[i] = i % 3 ? a : b;
		assert_int_equal(gram_matcher_advance(m, ids[i]), 0);
	}
	again = matcher_of("root ::= (\"a\"? | \"b\"){2000}", false);
	for (; done < 64; done += count, calls++) {
		count = 64 - done;
		assert_int_equal(gram_matcher_catch_up(again, ids + done, &count, 20000), 0);
		assert_in_range(count, 1, 63);
	}
	assert_true(calls > 2);
	assert_memory_equal(mask_of(again, SIZE_MAX), mask_of(m, SIZE_MAX),
			    gram_vocab_words(vocab) * sizeof(uint32_t));
	gram_matcher_free(again);
	gram_matcher_free(m);
	/* what is known costs nothing; what does not match is not passed */
	m = matcher_of("root ::= \"a\"*", false);
	for (size_t i = 0; i < 64; i++)
		ids[i] = i == 40 ? b : a;
	count = 40;
	assert_int_equal(gram_matcher_catch_up(m, ids, &count, 20000), 0);
	assert_int_equal(count, 40);
	count = 24;
	assert_int_equal(gram_matcher_catch_up(m, ids + 36, &count, 20000), -EILSEQ);
	assert_int_equal(count, 4);
	gram_matcher_free(m);
}

/* as deep as it goes, and not deeper */
static void deep(void **state)
{
	struct gram_matcher *m = matcher_of("root ::= \"a\" root \"b\" | \"c\"", false);
	const uint32_t a = tok_find(tok, "a"), b = tok_find(tok, "b"), c = tok_find(tok, "c");
	unsigned int depth = 0;

	(void)state;
	for (; has(mask_of(m, SIZE_MAX), a); depth++)
		assert_int_equal(gram_matcher_advance(m, a), 0);
	assert_int_equal(depth, 1024);
	assert_int_equal(gram_matcher_advance(m, c), 0);
	for (; depth; depth--) {
		assert_false(gram_matcher_can_end(m));
		assert_int_equal(gram_matcher_advance(m, b), 0);
	}
	assert_true(gram_matcher_can_end(m));
	gram_matcher_free(m);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_grammars),
		cmocka_unit_test(refused_tokens),
		cmocka_unit_test(hostile),
		cmocka_unit_test(parted),
		cmocka_unit_test(caught_up),
		cmocka_unit_test(deep),
	};
	const char *given = getenv("LLMOS_TEST_SEED");

	dice = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;
	print_message("# LLMOS_TEST_SEED=%llu\n", (unsigned long long)dice);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
