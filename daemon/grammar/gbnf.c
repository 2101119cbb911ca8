/* SPDX-License-Identifier: MIT */
/*
 * GBNF: rules as people write them for language models. A rule ends where a line does, unless a
 * group is open, the line ends in "|" or "::=", or the next one begins with "|"; "#" begins a
 * comment. Names are letters, digits,
 * "-" and "_".
 */
#include <string.h>

#include "base/table.h"
#include "base/utf8.h"
#include "grammar/build.h"
#include "grammar/grammar.h"
#include "grammar/grow.h"

#define CODE_SURROGATES	0xd800U
#define CODE_PAST	0xe000U

/**
 * struct gbnf - a text being read
 * @at, @end: what is left of it; checked UTF-8
 * @line: number of the line, from 1
 * @names: rules by name
 * @depth: groups that are open
 * @ranges: of the class being read
 */
struct gbnf {
	const char *at;
	const char *end;
	unsigned int line;
	struct gram_build build;
	struct table names;
	unsigned int depth;
	struct gram_range *ranges;
	size_t range_count;
	size_t range_capacity;
	struct error *error;
};

static void gbnf_done(struct gbnf *g)
{
	gram_build_done(&g->build);
	table_free(&g->names);
	free(g->ranges);
}

static char peek(const struct gbnf *g)
{
	return g->at < g->end ? *g->at : '\0';
}

static bool is_name(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
	       c == '-' || c == '_';
}

static int fail(struct gbnf *g, const char *what)
{
	if (g->at >= g->end)
		return error_set(g->error, -EINVAL, "grammar, line %u: %s, at its end", g->line,
				 what);
	return error_set(g->error, -EINVAL, "grammar, line %u: %s, before '%.*s'", g->line, what,
			 (int)utf8_len(*g->at), g->at);
}

/* spaces and comments; lines where the rule can not end there */
static void skip_space(struct gbnf *g, bool lines)
{
	for (; g->at < g->end; g->at++) {
		if (*g->at == '#') {
			const char *end = memchr(g->at, '\n', (size_t)(g->end - g->at));

			g->at = end ?: g->end;
			if (!end)
				return;
		}
		if (*g->at == '\n') {
			if (!lines)
				return;
			g->line++;
		} else if (*g->at != ' ' && *g->at != '\t' && *g->at != '\r') {
			return;
		}
	}
}

/* ---- characters ---- */

static int read_hex(struct gbnf *g, unsigned int digits, uint32_t *ret)
{
	uint32_t code = 0;

	for (; digits; digits--, g->at++) {
		const char c = peek(g);

		if (c >= '0' && c <= '9')
			code = code << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			code = code << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else
			return fail(g, "a hexadecimal digit is missing");
	}
	if (code > GRAM_CODE_MAX || (code >= CODE_SURROGATES && code < CODE_PAST))
		return fail(g, "an escape that is no character");
	*ret = code;
	return 0;
}

static int read_escape(struct gbnf *g, uint32_t *ret)
{
	const char c = peek(g);

	if (!c || !strchr("xuUnrt\\\"[]-^", c))
		return fail(g, "an unknown escape");
	g->at++;
	switch (c) {
	case 'x':
		return read_hex(g, 2, ret);
	case 'u':
		return read_hex(g, 4, ret);
	case 'U':
		return read_hex(g, 8, ret);
	case 'n':
		*ret = '\n';
		return 0;
	case 'r':
		*ret = '\r';
		return 0;
	case 't':
		*ret = '\t';
		return 0;
	default:
		*ret = (uint32_t)c;
		return 0;
	}
}

/* the next character of a literal or a class that ends with @close */
static int read_char(struct gbnf *g, char close, uint32_t *ret)
{
	if (g->at >= g->end || *g->at == '\n')
		return fail(g, close == '"' ? "a literal does not end" : "a class does not end");
	if (*g->at == '\\') {
		g->at++;
		return read_escape(g, ret);
	}
	*ret = utf8_decode(g->at);
	g->at += utf8_len(*g->at);
	return 0;
}

static int read_literal(struct gbnf *g, uint32_t *ret)
{
	const char *start = ++g->at;
	_cleanup_free_ char *bytes = NULL;
	size_t len = 0;
	int r = 0;

	/* no escape is shorter than its character */
	for (const char *p = start; p < g->end && *p != '"' && *p != '\n'; p++)
		len += *p == '\\' && p + 1 < g->end ? (p++, 2) : 1;
	bytes = malloc(len + UTF8_MAX);
	if (!bytes)
		return error_set(g->error, -ENOMEM, "grammar: %s", strerror(ENOMEM));
	len = 0;
	while (!r && peek(g) != '"') {
		uint32_t code = 0;

		r = read_char(g, '"', &code);
		if (!r)
			len += utf8_encode(code, bytes + len);
	}
	if (r < 0)
		return r;
	g->at++;
	*ret = gram_literal(&g->build, bytes, len);
	return 0;
}

static int add_range(struct gbnf *g, uint32_t first, uint32_t last)
{
	struct gram_range *grown = grow(g->ranges, &g->range_capacity, g->range_count + 1,
					sizeof(*grown));

	if (!grown)
		return error_set(g->error, -ENOMEM, "grammar: %s", strerror(ENOMEM));
	g->ranges = grown;
	grown[g->range_count++] = (struct gram_range){ first, last };
	return 0;
}

static int read_range(struct gbnf *g)
{
	uint32_t first = 0, last;
	int r = read_char(g, ']', &first);

	if (r < 0)
		return r;
	last = first;
	if (peek(g) == '-' && g->at + 1 < g->end && g->at[1] != ']') {
		g->at++;
		r = read_char(g, ']', &last);
	}
	if (!r && last < first)
		return fail(g, "a range that ends before it begins");
	return r < 0 ? r : add_range(g, first, last);
}

static int read_class(struct gbnf *g, uint32_t *ret)
{
	_cleanup_free_ struct gram_range *others = NULL;
	bool inverted;
	int r = 0;

	g->at++;
	g->range_count = 0;
	inverted = peek(g) == '^';
	g->at += inverted;
	while (!r && peek(g) != ']')
		r = read_range(g);
	if (r < 0)
		return r;
	g->at++;
	if (!inverted) {
		*ret = gram_class(&g->build, g->ranges, g->range_count);
		return 0;
	}
	others = calloc(2 * g->range_count + 2, sizeof(*others));
	if (!others)
		return error_set(g->error, -ENOMEM, "grammar: %s", strerror(ENOMEM));
	*ret = gram_class(&g->build, others, gram_invert(g->ranges, g->range_count, others));
	return 0;
}

/* ---- rules ---- */

static int read_rule_name(struct gbnf *g, uint32_t *ret)
{
	const char *name = g->at;
	size_t len;
	int r;

	while (g->at < g->end && is_name(*g->at))
		g->at++;
	len = (size_t)(g->at - name);
	*ret = table_find(&g->names, name, len);
	if (*ret != TABLE_NONE)
		return 0;
	*ret = gram_rule(&g->build, name, len);
	if (*ret == GRAM_NONE)
		return error_set(g->error, g->build.error, "grammar: %s",
				 strerror(-g->build.error));
	r = table_add(&g->names, name, len, *ret);
	return r < 0 ? error_set(g->error, r, "grammar: %s", strerror(-r)) : 0;
}

static int read_number(struct gbnf *g, uint32_t *ret)
{
	uint64_t number = 0;
	const char *start = g->at;

	for (; peek(g) >= '0' && peek(g) <= '9'; g->at++)
		number = MIN(number * 10 + (uint64_t)(*g->at - '0'), (uint64_t)UINT32_MAX);
	if (g->at == start)
		return fail(g, "a number is missing");
	if (number >= GRAM_ENDLESS)
		return fail(g, "a number that is too large");
	*ret = (uint32_t)number;
	return 0;
}

/* {n} {n,} {n,m} {,m} */
static int read_bounds(struct gbnf *g, uint32_t *ret_least, uint32_t *ret_most)
{
	int r = 0;

	g->at++;
	skip_space(g, true);
	*ret_least = 0;
	if (peek(g) != ',')
		r = read_number(g, ret_least);
	if (r < 0)
		return r;
	*ret_most = *ret_least;
	skip_space(g, true);
	if (peek(g) == ',') {
		g->at++;
		skip_space(g, true);
		*ret_most = GRAM_ENDLESS;
		if (peek(g) != '}')
			r = read_number(g, ret_most);
		skip_space(g, true);
	}
	if (r < 0)
		return r;
	if (peek(g) != '}')
		return fail(g, "'}' is missing");
	if (*ret_most < *ret_least)
		return fail(g, "a repetition of at most less than at least");
	g->at++;
	return 0;
}

static int read_repeat(struct gbnf *g, bool is_group, uint32_t *part)
{
	for (;;) {
		uint32_t least = 0, most = GRAM_ENDLESS;
		int r = 0;

		switch (peek(g)) {
		case '*':
			g->at++;
			break;
		case '+':
			least = 1;
			g->at++;
			break;
		case '?':
			most = 1;
			g->at++;
			break;
		case '{':
			r = read_bounds(g, &least, &most);
			break;
		default:
			return 0;
		}
		if (r < 0)
			return r;
		/* each one is a level of the expression */
		if (++g->depth > GRAM_NESTING_MAX)
			return error_set(g->error, -E2BIG, "grammar, line %u: too deep", g->line);
		*part = gram_repeat(&g->build, *part, least, most);
		skip_space(g, is_group);
	}
}

static int read_choice(struct gbnf *g, bool is_group, uint32_t *ret);

static int read_part(struct gbnf *g, uint32_t *ret)
{
	int r;

	switch (peek(g)) {
	case '"':
		return read_literal(g, ret);
	case '[':
		return read_class(g, ret);
	case '.':
		g->at++;
		*ret = gram_range(&g->build, 0, GRAM_CODE_MAX);
		return 0;
	case '(':
		g->at++;
		r = read_choice(g, true, ret);
		if (!r && peek(g) != ')')
			r = fail(g, "')' is missing");
		g->at += !r;
		return r;
	default:
		break;
	}
	if (!is_name(peek(g)))
		return fail(g, "a literal, a class, a name or a group is missing");
	r = read_rule_name(g, ret);
	if (!r)
		*ret = gram_use(&g->build, *ret);
	return r;
}

static bool ends_sequence(char c)
{
	return c == '|' || c == ')' || c == '\n';
}

static int read_sequence(struct gbnf *g, bool is_group, uint32_t *ret)
{
	const unsigned int depth = g->depth;

	*ret = gram_sequence(&g->build);
	while (g->at < g->end && !ends_sequence(*g->at)) {
		uint32_t part = GRAM_NONE;
		int r = read_part(g, &part);

		if (r < 0)
			return r;
		skip_space(g, is_group);
		r = read_repeat(g, is_group, &part);
		if (r < 0)
			return r;
		g->depth = depth;
		gram_add(&g->build, *ret, part);
		skip_space(g, is_group);
	}
	return 0;
}

/* is there one more alternative, perhaps on a line of its own? */
static bool next_alternative(struct gbnf *g)
{
	const struct gbnf here = *g;

	skip_space(g, true);
	if (peek(g) == '|') {
		g->at++;
		return true;
	}
	g->at = here.at;
	g->line = here.line;
	return false;
}

/* as deep as groups are nested */
static int read_choice(struct gbnf *g, bool is_group, uint32_t *ret)
{
	if (++g->depth > GRAM_NESTING_MAX)
		return error_set(g->error, -E2BIG, "grammar, line %u: too deep", g->line);
	*ret = gram_choice(&g->build);
	for (;;) {
		uint32_t one;
		int r;

		skip_space(g, true);
		r = read_sequence(g, is_group, &one);
		if (r < 0)
			return r;
		gram_add(&g->build, *ret, one);
		if (!next_alternative(g))
			break;
	}
	g->depth--;
	return 0;
}

static int read_rule(struct gbnf *g)
{
	uint32_t rule, body;
	int r;

	if (!is_name(peek(g)))
		return fail(g, "the name of a rule is missing");
	r = read_rule_name(g, &rule);
	if (r < 0)
		return r;
	if (g->build.rules[rule].body != GRAM_NONE)
		return error_set(g->error, -EINVAL, "grammar, line %u: rule '%.80s' is there twice",
				 g->line, g->build.rules[rule].name);
	skip_space(g, false);
	if (g->end - g->at < 3 || memcmp(g->at, "::=", 3))
		return fail(g, "'::=' is missing");
	g->at += 3;
	r = read_choice(g, false, &body);
	if (r < 0)
		return r;
	if (peek(g) == ')')
		return fail(g, "a group ends that did not begin");
	gram_define(&g->build, rule, body);
	return 0;
}

static int read_grammar(struct gbnf *g)
{
	int r = 0;

	skip_space(g, true);
	while (!r && g->at < g->end && !g->build.error) {
		r = read_rule(g);
		skip_space(g, true);
	}
	return r;
}

int gram_new_gbnf(struct grammar **ret, const char *text, size_t len, struct error *error)
{
	_cleanup_(gbnf_done) struct gbnf g = {
		.at = text,
		.end = text + len,
		.line = 1,
		.error = error,
	};
	uint32_t root;
	int r;

	if (len > GRAM_TEXT_MAX)
		return error_set(error, -E2BIG, "a grammar of more than %u bytes", GRAM_TEXT_MAX);
	if (!utf8_valid(text, len) || memchr(text, '\0', len))
		return error_set(error, -EILSEQ, "the grammar is not text in UTF-8");
	r = table_init(&g.names, 64);
	if (r < 0)
		return error_set(error, r, "grammar: %s", strerror(-r));
	r = read_grammar(&g);
	if (r < 0)
		return r;
	root = table_find(&g.names, "root", 4);
	if (root == TABLE_NONE)
		return error_set(error, -EINVAL, "the grammar has no rule 'root'");
	return gram_compile(ret, &g.build, root, error);
}
