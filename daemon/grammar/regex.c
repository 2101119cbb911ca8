/* SPDX-License-Identifier: MIT */
/* Patterns of strings; see regex.h. */
#include "grammar/regex.h"

#include <string.h>

#include "base/utf8.h"
#include "grammar/grow.h"
#include "grammar/json.h"

/**
 * struct regex - a pattern being read
 * @at, @end: what is left of it
 * @text, @len: all of it, for errors
 * @depth: groups that are open
 * @ranges: of the class being read
 */
struct regex {
	struct gram_build *build;
	const char *at;
	const char *end;
	const char *text;
	size_t len;
	unsigned int depth;
	struct gram_range *ranges;
	size_t range_count;
	size_t range_capacity;
	struct error *error;
};

static const struct gram_range digits[] = { { '0', '9' } };
static const struct gram_range words[] = { { '0', '9' }, { 'A', 'Z' }, { '_', '_' }, { 'a', 'z' } };
static const struct gram_range spaces[] = {
	{ 0x09, 0x0d }, { ' ', ' ' }, { 0xa0, 0xa0 }, { 0x1680, 0x1680 }, { 0x2000, 0x200a },
	{ 0x2028, 0x2029 }, { 0x202f, 0x202f }, { 0x205f, 0x205f }, { 0x3000, 0x3000 },
	{ 0xfeff, 0xfeff },
};
static const struct gram_range line_ends[] = {
	{ '\n', '\n' }, { '\r', '\r' }, { 0x2028, 0x2029 },
};

static char peek(const struct regex *x)
{
	return x->at < x->end ? *x->at : '\0';
}

static int fail(struct regex *x, int r, const char *what)
{
	return error_set(x->error, r, "pattern '%.*s': %s", (int)MIN(x->len, (size_t)80), x->text,
			 what);
}

/* ---- classes ---- */

static int add_ranges(struct regex *x, const struct gram_range *ranges, size_t count, bool inverted)
{
	struct gram_range *grown = grow(x->ranges, &x->range_capacity,
					x->range_count + 2 * count + 2, sizeof(*grown));

	if (!grown)
		return fail(x, -ENOMEM, strerror(ENOMEM));
	x->ranges = grown;
	grown += x->range_count;
	if (inverted) {
		count = gram_invert(ranges, count, grown);
	} else if (count) {
		memcpy(grown, ranges, count * sizeof(*ranges));
	}
	x->range_count += count;
	return 0;
}

static int add_char(struct regex *x, uint32_t code)
{
	const struct gram_range range = { code, code };

	return add_ranges(x, &range, 1, false);
}

static uint32_t take_class(struct regex *x)
{
	const uint32_t node = gram_json_class(x->build, x->ranges, x->range_count);

	x->range_count = 0;
	return node;
}

/* ---- escapes ---- */

static int read_hex(struct regex *x, unsigned int count, uint32_t *ret)
{
	const bool braced = !count;
	uint32_t code = 0;

	for (count = braced ? 6 : count; count; count--, x->at++) {
		const char c = peek(x);

		if (c >= '0' && c <= '9')
			code = code << 4 | (uint32_t)(c - '0');
		else if ((c | 0x20) >= 'a' && (c | 0x20) <= 'f')
			code = code << 4 | (uint32_t)((c | 0x20) - 'a' + 10);
		else if (braced && c == '}')
			break;
		else
			return fail(x, -EINVAL, "a hexadecimal digit is missing");
	}
	if (braced && peek(x) != '}')
		return fail(x, -EINVAL, "'}' is missing");
	x->at += braced;
	if (code > GRAM_CODE_MAX || (code >= 0xd800 && code <= 0xdfff))
		return fail(x, -EOPNOTSUPP, "an escape that is no character");
	*ret = code;
	return 0;
}

static int read_unicode(struct regex *x, uint32_t *ret)
{
	if (peek(x) != '{')
		return read_hex(x, 4, ret);
	x->at++;
	return read_hex(x, 0, ret);
}

/* \d and the like, whose ranges are added; false: it is another escape */
static bool read_named_class(struct regex *x, char c, int *r)
{
	switch (c) {
	case 'd':
	case 'D':
		*r = add_ranges(x, digits, ARRAY_SIZE(digits), c == 'D');
		return true;
	case 'w':
	case 'W':
		*r = add_ranges(x, words, ARRAY_SIZE(words), c == 'W');
		return true;
	case 's':
	case 'S':
		*r = add_ranges(x, spaces, ARRAY_SIZE(spaces), c == 'S');
		return true;
	default:
		return false;
	}
}

/* behind a backslash, a character */
static int read_escape(struct regex *x, uint32_t *ret)
{
	static const char from[] = "nrtfv", to[] = "\n\r\t\f\v";
	const char c = peek(x), *found;

	if (!c)
		return fail(x, -EINVAL, "it ends with a backslash");
	found = strchr(from, c);
	if (found) {
		*ret = (uint8_t)to[found - from];
	} else if (c == 'x' || c == 'u') {
		x->at++;
		return c == 'x' ? read_hex(x, 2, ret) : read_unicode(x, ret);
	} else if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9')) {
		return fail(x, -EOPNOTSUPP, "an escape that is not supported");
	} else {
		*ret = utf8_decode(x->at);
		x->at += utf8_len(*x->at) - 1;
	}
	x->at++;
	return 0;
}

/* one member of a class: *ret_code GRAM_NONE where it was a class itself */
static int read_member(struct regex *x, uint32_t *ret_code)
{
	int r = 0;

	*ret_code = GRAM_NONE;
	if (x->at >= x->end)
		return fail(x, -EINVAL, "a class does not end");
	if (*x->at != '\\') {
		*ret_code = utf8_decode(x->at);
		x->at += utf8_len(*x->at);
		return 0;
	}
	x->at++;
	if (peek(x) == 'b') {
		*ret_code = '\b';
		x->at++;
		return 0;
	}
	if (!read_named_class(x, peek(x), &r))
		return read_escape(x, ret_code);
	x->at++;
	return r;
}

static int read_class(struct regex *x, uint32_t *ret)
{
	_cleanup_free_ struct gram_range *others = NULL;
	bool inverted;
	int r = 0;

	x->at++;
	inverted = peek(x) == '^';
	x->at += inverted;
	x->range_count = 0;
	while (!r && peek(x) != ']') {
		uint32_t first, last;

		r = read_member(x, &first);
		if (r < 0 || first == GRAM_NONE)
			continue;
		last = first;
		if (peek(x) == '-' && x->at + 1 < x->end && x->at[1] != ']') {
			x->at++;
			r = read_member(x, &last);
			if (!r && (last == GRAM_NONE || last < first))
				r = fail(x, -EINVAL, "a range that ends before it begins");
		}
		if (!r)
			r = add_ranges(x, &(struct gram_range){ first, last }, 1, false);
	}
	if (r < 0)
		return r;
	x->at++;
	if (inverted) {
		others = calloc(x->range_count + 1, sizeof(*others));
		if (!others)
			return fail(x, -ENOMEM, strerror(ENOMEM));
		memcpy(others, x->ranges ?: others, x->range_count * sizeof(*others));
		r = (int)x->range_count;
		x->range_count = 0;
		r = add_ranges(x, others, (size_t)r, true);
	}
	*ret = take_class(x);
	return r;
}

/* ---- the rest ---- */

static int read_choice(struct regex *x, uint32_t *ret);

static int read_group(struct regex *x, uint32_t *ret)
{
	int r;

	x->at++;
	if (peek(x) == '?') {
		if (x->end - x->at < 2 || x->at[1] != ':')
			return fail(x, -EOPNOTSUPP, "a look around, or a group with a name");
		x->at += 2;
	}
	r = read_choice(x, ret);
	if (!r && peek(x) != ')')
		return fail(x, -EINVAL, "')' is missing");
	x->at += !r;
	return r;
}

static int read_atom(struct regex *x, uint32_t *ret)
{
	const char c = peek(x);
	uint32_t code = 0;
	int r = 0;

	x->range_count = 0;
	switch (c) {
	case '(':
		return read_group(x, ret);
	case '[':
		return read_class(x, ret);
	case '.':
		x->at++;
		r = add_ranges(x, line_ends, ARRAY_SIZE(line_ends), true);
		break;
	case '^':
	case '$':
		return fail(x, -EOPNOTSUPP, "'^' or '$' within it");
	case '*':
	case '+':
	case '?':
	case '{':
		return fail(x, -EINVAL, "a repetition of nothing");
	case '\\':
		x->at++;
		if (read_named_class(x, peek(x), &r)) {
			x->at++;
			break;
		}
		r = read_escape(x, &code);
		if (!r)
			r = add_char(x, code);
		break;
	default:
		r = add_char(x, utf8_decode(x->at));
		x->at += utf8_len(c);
	}
	if (!r)
		*ret = take_class(x);
	return r;
}

static int read_number(struct regex *x, uint32_t *ret)
{
	const char *start = x->at;
	uint64_t number = 0;

	for (; peek(x) >= '0' && peek(x) <= '9'; x->at++)
		number = MIN(number * 10 + (uint64_t)(*x->at - '0'), (uint64_t)GRAM_ENDLESS - 1);
	*ret = (uint32_t)number;
	return x->at == start ? fail(x, -EINVAL, "a number is missing") : 0;
}

static int read_bounds(struct regex *x, uint32_t *least, uint32_t *most)
{
	int r = read_number(x, least);

	*most = *least;
	if (!r && peek(x) == ',') {
		x->at++;
		*most = GRAM_ENDLESS;
		if (peek(x) != '}')
			r = read_number(x, most);
	}
	if (r < 0)
		return r;
	if (peek(x) != '}' || *most < *least)
		return fail(x, -EINVAL, "a repetition is malformed");
	x->at++;
	return 0;
}

static int read_repeat(struct regex *x, uint32_t *part)
{
	uint32_t least = 0, most = GRAM_ENDLESS;
	const char c = peek(x);
	int r = 0;

	if (!c || !strchr("*+?{", c))
		return 0;
	x->at++;
	if (c == '{')
		r = read_bounds(x, &least, &most);
	else if (c == '+')
		least = 1;
	else if (c == '?')
		most = 1;
	if (r < 0)
		return r;
	/* a lazy one matches the same */
	if (peek(x) == '?')
		x->at++;
	*part = gram_repeat(x->build, *part, least, most);
	return 0;
}

static uint32_t anything(struct gram_build *build)
{
	const struct gram_range all = { 0, GRAM_CODE_MAX };

	return gram_repeat(build, gram_json_class(build, &all, 1), 0, GRAM_ENDLESS);
}

static int read_sequence(struct regex *x, uint32_t *ret)
{
	const bool is_top = !x->depth;
	bool ends = false;

	*ret = gram_sequence(x->build);
	if (is_top && peek(x) == '^')
		x->at++;
	else if (is_top)
		gram_add(x->build, *ret, anything(x->build));
	while (x->at < x->end && *x->at != '|' && *x->at != ')') {
		uint32_t part = GRAM_NONE;
		int r;

		ends = is_top && *x->at == '$' && (x->at + 1 == x->end || x->at[1] == '|');
		if (ends) {
			x->at++;
			break;
		}
		r = read_atom(x, &part);
		if (!r)
			r = read_repeat(x, &part);
		if (r < 0)
			return r;
		gram_add(x->build, *ret, part);
	}
	if (is_top && !ends)
		gram_add(x->build, *ret, anything(x->build));
	return 0;
}

/* as deep as groups are nested */
static int read_alternatives(struct regex *x, uint32_t *ret)
{
	*ret = gram_choice(x->build);
	for (;; x->at++) {
		uint32_t one;
		int r = read_sequence(x, &one);

		if (r < 0)
			return r;
		gram_add(x->build, *ret, one);
		if (peek(x) != '|')
			return 0;
	}
}

static int read_choice(struct regex *x, uint32_t *ret)
{
	int r;

	if (++x->depth > GRAM_NESTING_MAX)
		return fail(x, -E2BIG, "its groups are nested too deep");
	r = read_alternatives(x, ret);
	x->depth--;
	return r;
}

int gram_regex(struct gram_build *build, const char *pattern, size_t len, uint32_t *ret,
	       struct error *error)
{
	struct regex x = {
		.build = build,
		.at = pattern,
		.end = pattern + len,
		.text = pattern,
		.len = len,
		.error = error,
	};
	int r;

	if (!utf8_valid(pattern, len) || memchr(pattern, '\0', len))
		return fail(&x, -EILSEQ, "not text in UTF-8");
	r = read_alternatives(&x, ret);
	if (!r && x.at < x.end)
		r = fail(&x, -EINVAL, "a group ends that did not begin");
	free(x.ranges);
	return r;
}
