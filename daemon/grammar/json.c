/* SPDX-License-Identifier: MIT */
/* What JSON is made of; see json.h. */
#include "grammar/json.h"

#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "grammar/grammar.h"

#define SPACE_INDENT	20
#define EXPONENT_DIGITS	2

void gram_json_init(struct gram_json *json, struct gram_build *build)
{
	*json = (struct gram_json){ build, GRAM_NONE, GRAM_NONE, GRAM_NONE, GRAM_NONE, GRAM_NONE,
				    GRAM_NONE };
}

/* the rule, made at its first use */
static uint32_t use(struct gram_json *json, uint32_t *rule, uint32_t (*make)(struct gram_json *))
{
	if (*rule == GRAM_NONE && !json->build->error) {
		*rule = gram_rule(json->build, NULL, 0);
		gram_define(json->build, *rule, make(json));
	}
	return gram_use(json->build, *rule);
}

/* ---- space, strings ---- */

static uint32_t make_space(struct gram_json *json)
{
	static const struct gram_range blanks[] = { { ' ', ' ' }, { '\t', '\t' } };
	struct gram_build *b = json->build;
	const uint32_t list = gram_choice(b);

	gram_add(b, list, gram_text(b, ""));
	gram_add(b, list, gram_text(b, " "));
	gram_add(b, list, gram_pair(b, gram_text(b, "\n"),
				    gram_repeat(b, gram_class(b, blanks, ARRAY_SIZE(blanks)), 0,
						SPACE_INDENT)));
	return list;
}

uint32_t gram_json_space(struct gram_json *json)
{
	return use(json, &json->space, make_space);
}

/* characters that have to be escaped */
static const struct gram_range special[] = { { 0, 0x1f }, { '"', '"' }, { '\\', '\\' } };

static uint32_t hex(struct gram_build *b, const char *digits)
{
	struct gram_range ranges[22];	/* both cases of letters */
	size_t count = 0;

	for (; *digits; digits++)
		ranges[count++] = (struct gram_range){ (uint8_t)*digits, (uint8_t)*digits };
	return gram_class(b, ranges, count);
}

static uint32_t hex_any(struct gram_build *b, uint32_t count)
{
	return gram_repeat(b, hex(b, "0123456789abcdefABCDEF"), count, count);
}

/*
 * "\u" and four digits: a character that is no surrogate, or two of them that make a character.
 * Many who read JSON stumble over NUL, so it is left out.
 */
static uint32_t make_escape(struct gram_build *b)
{
	const uint32_t list = gram_choice(b);
	uint32_t pair = gram_sequence(b), low = gram_choice(b), zero = gram_choice(b);

	gram_add(b, list, gram_pair(b, hex(b, "123456789abcefABCEF"), hex_any(b, 3)));
	gram_add(b, list, gram_pair(b, hex(b, "dD"), gram_pair(b, hex(b, "01234567"),
								hex_any(b, 2))));
	gram_add(b, zero, gram_pair(b, hex(b, "123456789abcdefABCDEF"), hex_any(b, 2)));
	gram_add(b, low, gram_pair(b, hex(b, "123456789abcdefABCDEF"), hex_any(b, 1)));
	gram_add(b, low, gram_pair(b, gram_text(b, "0"), hex(b, "123456789abcdefABCDEF")));
	gram_add(b, zero, gram_pair(b, gram_text(b, "0"), low));
	gram_add(b, list, gram_pair(b, gram_text(b, "0"), zero));
	gram_add(b, pair, hex(b, "dD"));
	gram_add(b, pair, hex(b, "89abAB"));
	gram_add(b, pair, hex_any(b, 2));
	gram_add(b, pair, gram_text(b, "\\u"));
	gram_add(b, pair, hex(b, "dD"));
	gram_add(b, pair, hex(b, "cdefCDEF"));
	gram_add(b, pair, hex_any(b, 2));
	gram_add(b, list, pair);
	return gram_pair(b, gram_text(b, "u"), list);
}

static uint32_t make_character(struct gram_json *json)
{
	struct gram_range plain[2 * ARRAY_SIZE(special) + 2];
	struct gram_build *b = json->build;
	const uint32_t list = gram_choice(b);
	uint32_t escape = gram_choice(b);

	gram_add(b, list, gram_class(b, plain, gram_invert(special, ARRAY_SIZE(special), plain)));
	gram_add(b, escape, hex(b, "\"\\/bfnrt"));
	gram_add(b, escape, make_escape(b));
	gram_add(b, list, gram_pair(b, gram_text(b, "\\"), escape));
	return list;
}

uint32_t gram_json_character(struct gram_json *json)
{
	return use(json, &json->character, make_character);
}

static uint32_t quote(struct gram_build *b, uint32_t inner)
{
	return gram_pair(b, gram_text(b, "\""), gram_pair(b, inner, gram_text(b, "\"")));
}

static uint32_t make_string(struct gram_json *json)
{
	return quote(json->build, gram_repeat(json->build, gram_json_character(json), 0,
					      GRAM_ENDLESS));
}

uint32_t gram_json_string(struct gram_json *json)
{
	return use(json, &json->string, make_string);
}

/* as it is written where it has to be escaped; returns its length */
static size_t spell_special(uint32_t code, char text[8])
{
	static const char *const names[] = { ['\b'] = "\\b", ['\t'] = "\\t", ['\n'] = "\\n",
					     ['\f'] = "\\f", ['\r'] = "\\r" };

	if (code == '"' || code == '\\')
		return (size_t)sprintf(text, "\\%c", (char)code);
	if (code < ARRAY_SIZE(names) && names[code])
		return (size_t)sprintf(text, "%s", names[code]);
	return (size_t)sprintf(text, "\\u%04x", code);
}

static bool in_ranges(uint32_t code, const struct gram_range *ranges, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (code >= ranges[i].first && code <= ranges[i].last)
			return true;
	return false;
}

static bool is_special(uint32_t code)
{
	return in_ranges(code, special, ARRAY_SIZE(special));
}

/* those of the ranges that need no escape: not (not these, or special) */
static uint32_t plain_class(struct gram_build *b, const struct gram_range *ranges, size_t count)
{
	const size_t others_max = 2 * count + 2 + ARRAY_SIZE(special);
	_cleanup_free_ struct gram_range *others = calloc(others_max, sizeof(*others));
	_cleanup_free_ struct gram_range *plain = calloc(2 * others_max + 2, sizeof(*plain));
	size_t n;

	if (!others || !plain) {
		b->error = b->error ?: -ENOMEM;
		return GRAM_NONE;
	}
	n = gram_invert(ranges, count, others);
	memcpy(others + n, special, sizeof(special));
	n = gram_invert(others, n + ARRAY_SIZE(special), plain);
	return gram_class(b, plain, n);
}

uint32_t gram_json_class(struct gram_build *b, const struct gram_range *ranges, size_t count)
{
	const uint32_t list = gram_choice(b);

	gram_add(b, list, plain_class(b, ranges, count));
	for (uint32_t code = 1; code <= '\\'; code++) {
		char text[8];

		if (is_special(code) && in_ranges(code, ranges, count))
			gram_add(b, list, gram_literal(b, text, spell_special(code, text)));
	}
	return list;
}

uint32_t gram_json_quoted(struct gram_build *b, const char *text, size_t len)
{
	_cleanup_free_ char *quoted = malloc(6 * len + 3);
	size_t n = 0;

	if (!quoted) {
		b->error = b->error ?: -ENOMEM;
		return GRAM_NONE;
	}
	quoted[n++] = '"';
	for (size_t i = 0; i < len; i++) {
		char special_text[8];
		const uint8_t byte = (uint8_t)text[i];

		if (is_special(byte)) {
			const size_t special_len = spell_special(byte, special_text);

			memcpy(quoted + n, special_text, special_len);
			n += special_len;
		} else {
			quoted[n++] = text[i];
		}
	}
	quoted[n++] = '"';
	return gram_literal(b, quoted, n);
}

/* ---- strings that are none of some others ---- */

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/*
 * What may follow where @names agree in their first @at bytes: an other character and then
 * anything, one of theirs and then what may follow that, or the end if no name ends here. Names are
 * sorted.
 */
static uint32_t other_rest(struct gram_build *b, const char *const *names, size_t count, size_t at,
			   unsigned int depth)
{
	const uint32_t list = gram_choice(b);
	_cleanup_free_ struct gram_range *mine = calloc(count + ARRAY_SIZE(special) + 1,
							sizeof(*mine));
	_cleanup_free_ struct gram_range *others = calloc(2 * (count + ARRAY_SIZE(special)) + 2,
							  sizeof(*others));
	struct gram_range plain[2 * ARRAY_SIZE(special) + 2];
	size_t n = 0, i = 0, end;

	if (!mine || !others || depth > GRAM_NESTING_MAX) {
		b->error = b->error ?: !mine || !others ? -ENOMEM : -E2BIG;
		return GRAM_NONE;
	}
	for (; i < count && !names[i][at]; i++)
		;
	if (!i)
		gram_add(b, list, gram_text(b, ""));
	for (; i < count; i = end) {
		const uint32_t code = utf8_decode(names[i] + at);
		const size_t len = utf8_len(names[i][at]);

		for (end = i + 1; end < count; end++)
			if (strncmp(names[end] + at, names[i] + at, len))
				break;
		mine[n++] = (struct gram_range){ code, code };
		if (!is_special(code))
			gram_add(b, list,
				 gram_pair(b, gram_literal(b, names[i] + at, len),
					   other_rest(b, names + i, end - i, at + len,
						      depth + 1)));
	}
	memcpy(mine + n, special, sizeof(special));
	n = gram_invert(mine, n + ARRAY_SIZE(special), others);
	i = gram_invert(special, ARRAY_SIZE(special), plain);
	gram_add(b, list, gram_pair(b, gram_class(b, others, n),
				    gram_repeat(b, gram_class(b, plain, i), 0, GRAM_ENDLESS)));
	return list;
}

uint32_t gram_json_other_key(struct gram_build *b, const char *const *names, size_t count)
{
	_cleanup_free_ const char **sorted = calloc(count + 1, sizeof(*sorted));

	if (!sorted) {
		b->error = b->error ?: -ENOMEM;
		return GRAM_NONE;
	}
	if (count)
		memcpy(sorted, names, count * sizeof(*sorted));
	qsort(sorted, count, sizeof(*sorted), compare_names);
	return quote(b, other_rest(b, sorted, count, 0, 0));
}

/* ---- numbers ---- */

static uint32_t digits(struct gram_build *b, char first, char last, uint32_t least, uint32_t most)
{
	return gram_repeat(b, gram_range(b, (uint8_t)first, (uint8_t)last), least, most);
}

#define LONGEST	19	/* digits of a number */

static const char nines[LONGEST + 1] = "9999999999999999999";
static const char zeros[LONGEST + 1] = "0000000000000000000";

/* of as many digits as both have, from the one to the other */
static uint32_t between(struct gram_build *b, const char *least, const char *most)
{
	const size_t left = strlen(least);
	uint32_t list;

	if (!left)
		return gram_text(b, "");
	if (*least == *most)
		return gram_pair(b, digits(b, *least, *least, 1, 1),
				 between(b, least + 1, most + 1));
	if (strspn(least + 1, "0") == left - 1 && strspn(most + 1, "9") == left - 1)
		return gram_pair(b, digits(b, *least, *most, 1, 1),
				 digits(b, '0', '9', (uint32_t)left - 1, (uint32_t)left - 1));
	list = gram_choice(b);
	gram_add(b, list, gram_pair(b, digits(b, *least, *least, 1, 1),
				    between(b, least + 1, &nines[LONGEST + 1 - left])));
	if (*least + 1 <= *most - 1)
		gram_add(b, list, gram_pair(b, digits(b, *least + 1, *most - 1, 1, 1),
					    digits(b, '0', '9', (uint32_t)left - 1,
						   (uint32_t)left - 1)));
	gram_add(b, list, gram_pair(b, digits(b, *most, *most, 1, 1),
				    between(b, &zeros[LONGEST + 1 - left], most + 1)));
	return list;
}

/* from @least to @most, length by length */
static uint32_t naturals(struct gram_build *b, uint64_t least, uint64_t most)
{
	const uint32_t list = gram_choice(b);
	uint64_t end = 9;

	while (least <= most) {
		char low[24], high[24];

		while (end < least)
			end = end * 10 + 9;
		snprintf(low, sizeof(low), "%llu", (unsigned long long)least);
		snprintf(high, sizeof(high), "%llu", (unsigned long long)MIN(end, most));
		gram_add(b, list, between(b, low, high));
		least = end + 1;
	}
	return list;
}

uint32_t gram_json_integers(struct gram_build *b, const int64_t *least, const int64_t *most)
{
	const int64_t end = 9999999999999999;	/* JSON_INTEGER_DIGITS of them */
	const int64_t low = least ? MAX(*least, -end) : -end, high = most ? MIN(*most, end) : end;
	const uint32_t list = gram_choice(b);

	if (low > high)
		return list;
	if (high >= 0)
		gram_add(b, list, naturals(b, (uint64_t)MAX(low, (int64_t)0), (uint64_t)high));
	if (low < 0)
		gram_add(b, list, gram_pair(b, gram_text(b, "-"),
					    naturals(b, (uint64_t)-MIN(high, (int64_t)-1),
						     (uint64_t)-low)));
	return list;
}

static uint32_t make_integer(struct gram_json *json)
{
	return gram_json_integers(json->build, NULL, NULL);
}

uint32_t gram_json_integer(struct gram_json *json)
{
	return use(json, &json->integer, make_integer);
}

static uint32_t make_number(struct gram_json *json)
{
	static const struct gram_range letter[] = { { 'e', 'e' }, { 'E', 'E' } };
	static const struct gram_range sign[] = { { '+', '+' }, { '-', '-' } };
	struct gram_build *b = json->build;
	const uint32_t list = gram_sequence(b);
	const uint32_t whole = gram_choice(b), exponent = gram_sequence(b);

	gram_add(b, whole, gram_text(b, "0"));
	gram_add(b, whole, gram_pair(b, digits(b, '1', '9', 1, 1),
				     digits(b, '0', '9', 0, JSON_INTEGER_DIGITS - 1)));
	gram_add(b, exponent, gram_class(b, letter, ARRAY_SIZE(letter)));
	gram_add(b, exponent, gram_maybe(b, gram_class(b, sign, ARRAY_SIZE(sign))));
	gram_add(b, exponent, digits(b, '0', '9', 1, EXPONENT_DIGITS));
	gram_add(b, list, gram_maybe(b, gram_text(b, "-")));
	gram_add(b, list, whole);
	gram_add(b, list, gram_maybe(b, gram_pair(b, gram_text(b, "."),
						  digits(b, '0', '9', 1, JSON_INTEGER_DIGITS))));
	gram_add(b, list, gram_maybe(b, exponent));
	return list;
}

uint32_t gram_json_number(struct gram_json *json)
{
	return use(json, &json->number, make_number);
}

/* ---- what has parts ---- */

uint32_t gram_json_member(struct gram_json *json, uint32_t key, uint32_t value)
{
	struct gram_build *b = json->build;
	const uint32_t list = gram_sequence(b);

	gram_add(b, list, key);
	gram_add(b, list, gram_text(b, ":"));
	gram_add(b, list, gram_json_space(json));
	gram_add(b, list, value);
	return list;
}

uint32_t gram_json_comma(struct gram_json *json, uint32_t item)
{
	struct gram_build *b = json->build;
	const uint32_t list = gram_sequence(b);

	gram_add(b, list, gram_text(b, ","));
	gram_add(b, list, gram_json_space(json));
	gram_add(b, list, item);
	return list;
}

uint32_t gram_json_enclose(struct gram_json *json, char open, uint32_t inner, char close)
{
	struct gram_build *b = json->build;
	const uint32_t list = gram_sequence(b);

	gram_add(b, list, gram_literal(b, &open, 1));
	gram_add(b, list, gram_json_space(json));
	gram_add(b, list, inner);
	gram_add(b, list, gram_json_space(json));
	gram_add(b, list, gram_literal(b, &close, 1));
	return list;
}

static uint32_t any_member(struct gram_json *json)
{
	return gram_json_member(json, gram_json_string(json), gram_json_value(json));
}

uint32_t gram_json_object(struct gram_json *json)
{
	struct gram_build *b = json->build;
	const uint32_t rest = gram_repeat(b, gram_json_comma(json, any_member(json)), 0,
					  GRAM_ENDLESS);

	return gram_json_enclose(json, '{',
				 gram_maybe(b, gram_pair(b, any_member(json), rest)), '}');
}

uint32_t gram_json_array(struct gram_json *json)
{
	struct gram_build *b = json->build;
	const uint32_t rest = gram_repeat(b, gram_json_comma(json, gram_json_value(json)), 0,
					  GRAM_ENDLESS);

	return gram_json_enclose(json, '[',
				 gram_maybe(b, gram_pair(b, gram_json_value(json), rest)), ']');
}

static uint32_t make_value(struct gram_json *json)
{
	static const char *const words[] = { "true", "false", "null" };
	struct gram_build *b = json->build;
	const uint32_t list = gram_choice(b);

	gram_add(b, list, gram_json_object(json));
	gram_add(b, list, gram_json_array(json));
	gram_add(b, list, gram_json_string(json));
	gram_add(b, list, gram_json_number(json));
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		gram_add(b, list, gram_text(b, words[i]));
	return list;
}

uint32_t gram_json_value(struct gram_json *json)
{
	return use(json, &json->value, make_value);
}

int gram_new_json(struct grammar **ret, struct error *error)
{
	_cleanup_(gram_build_done) struct gram_build build = { 0 };
	struct gram_json json;
	uint32_t root;

	gram_json_init(&json, &build);
	gram_json_value(&json);
	root = json.value;
	return gram_compile(ret, &build, root, error);
}
