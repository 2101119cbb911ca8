/* SPDX-License-Identifier: MIT */
/* Strings, numbers and arrays of JSON schemas; see schema.h. */
#include "grammar/schema.h"

#include <math.h>
#include <string.h>

#include "grammar/regex.h"

#define NUMBER_EXACT	9007199254740992.0	/* up to which a double has all integers */

int schema_count(struct schema *s, const json_t *schema, const char *keyword, uint32_t *ret)
{
	const json_t *value = json_object_get(schema, keyword);
	const double count = json_number_value(value);

	if (!value)
		return 0;
	if (!json_is_number(value) || count < 0 || count != floor(count))
		return error_set(s->error, -EINVAL, "schema: '%s' is not a count", keyword);
	*ret = count >= (double)(GRAM_ENDLESS - 1) ? GRAM_ENDLESS - 1 : (uint32_t)count;
	return 0;
}

/* ---- strings ---- */

/** struct schema_format - a format, as a pattern */
struct schema_format {
	const char *name;
	const char *pattern;
};

#define YEAR	"[1-9][0-9]{3}"
#define LEAP	"([1-9][0-9](0[48]|[2468][048]|[13579][26])|([2468][048]|[13579][26])00)"
#define DATE	"((" YEAR ")-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" \
		"(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))|" LEAP "-02-29)"
#define CLOCK	"([01][0-9]|2[0-3]):[0-5][0-9]"
#define TIME	CLOCK ":[0-5][0-9](\\.[0-9]{1,9})?(Z|[+-]" CLOCK ")"
#define BYTE	"(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
/* RFC 3339, appendix A: what is left out may be so from either end, not in between */
#define COUNT	"[0-9]{1,9}"
#define MINUTES	COUNT "M(" COUNT "S)?"
#define HOURS	COUNT "H(" MINUTES ")?"
#define WITHIN	"T(" HOURS "|" MINUTES "|" COUNT "S)"
#define MONTHS	COUNT "M(" COUNT "D)?"
#define YEARS	COUNT "Y(" MONTHS ")?"
/* RFC 1123: at most 63 bytes in a label, and 253 in all */
#define LABEL	"[A-Za-z0-9](-?[A-Za-z0-9]){0,14}"
#define HOST	LABEL "(\\." LABEL "){0,7}"
/* RFC 5321: at most 64 bytes before the sign, and 254 in all */
#define ATOM	"[A-Za-z0-9_%+-]{1,20}"
/* RFC 4291 */
#define WORD	"[0-9a-fA-F]{1,4}"
#define BEFORE(n)	"(" WORD ":){1," n "}"
#define AFTER(n)	"(:" WORD "){1," n "}"
/* RFC 3986, without users and addresses in brackets */
#define PLAIN	"[A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2}"
#define LETTERS	"(" PLAIN ")"
#define STEPS	"(/" LETTERS "*)*"
#define QUERY	"(" PLAIN "|[/?])*"

static const struct schema_format formats[] = {
	{ "date", "^" DATE "$" },
	{ "time", "^" TIME "$" },
	{ "date-time", "^" DATE "T" TIME "$" },
	{ "uuid", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$" },
	{ "ipv4", "^" BYTE "(\\." BYTE "){3}$" },
	{ "ipv6", "^((" WORD ":){7}" WORD "|" BEFORE("7") ":|" BEFORE("6") AFTER("1") "|"
		  BEFORE("5") AFTER("2") "|" BEFORE("4") AFTER("3") "|" BEFORE("3") AFTER("4") "|"
		  BEFORE("2") AFTER("5") "|" BEFORE("1") AFTER("6") "|:(" AFTER("7") "|:))$" },
	{ "hostname", "^" HOST "$" },
	{ "email", "^" ATOM "(\\." ATOM "){0,2}@" LABEL "(\\." LABEL "){1,5}$" },
	{ "uri", "^[a-z][a-z0-9+.-]{0,15}:(//" HOST "(:[0-9]{1,5})?" STEPS "|/(" LETTERS "+" STEPS
		 ")?|" LETTERS "+" STEPS ")(\\?" QUERY ")?(#" QUERY ")?$" },
	{ "duration", "^P((" COUNT "D|" MONTHS "|" YEARS ")(" WITHIN ")?|" WITHIN "|" COUNT "W)$" },
};

/** struct integer_format - a format of integers, as its bounds; wide ones as far as numbers are exact */
static const struct integer_format {
	const char *name;
	int64_t least, most;
} integer_formats[] = {
	{ "int8", INT8_MIN, INT8_MAX }, { "uint8", 0, UINT8_MAX },
	{ "int16", INT16_MIN, INT16_MAX }, { "uint16", 0, UINT16_MAX },
	{ "int32", INT32_MIN, INT32_MAX }, { "uint32", 0, UINT32_MAX },
	{ "int64", -(int64_t)NUMBER_EXACT, (int64_t)NUMBER_EXACT },
	{ "uint64", 0, (int64_t)NUMBER_EXACT },
};

static int add_pattern(struct schema *s, const char *pattern, size_t len, uint32_t *ret)
{
	uint32_t inner = GRAM_NONE;
	int r = schema_work(s, len / 4);

	if (!r)
		r = gram_regex(&s->build, pattern, len, &inner, s->error);
	if (r < 0)
		return r;
	*ret = gram_sequence(&s->build);
	gram_add(&s->build, *ret, gram_text(&s->build, "\""));
	gram_add(&s->build, *ret, inner);
	gram_add(&s->build, *ret, gram_text(&s->build, "\""));
	return 0;
}

static int add_format(struct schema *s, const json_t *format, uint32_t *ret)
{
	const char *name = json_string_value(format);

	if (!name)
		return error_set(s->error, -EINVAL, "schema: 'format' is not a string");
	for (size_t i = 0; i < ARRAY_SIZE(formats); i++)
		if (!strcmp(formats[i].name, name))
			return add_pattern(s, formats[i].pattern, strlen(formats[i].pattern), ret);
	return schema_refused(s, name, "as a 'format'");
}

int schema_string(struct schema *s, json_t *schema, uint32_t *ret)
{
	const json_t *pattern = json_object_get(schema, "pattern");
	const json_t *format = json_object_get(schema, "format");
	const bool has_len = json_object_get(schema, "minLength") ||
			     json_object_get(schema, "maxLength");
	uint32_t least = 0, most = GRAM_ENDLESS;
	int r;

	if ((pattern && format) || ((pattern || format) && has_len))
		return schema_refused(s, pattern ? "pattern" : "format",
				      format && pattern ? "beside 'format'" :
							  "beside a length");
	if (format)
		return add_format(s, format, ret);
	if (pattern && !json_is_string(pattern))
		return error_set(s->error, -EINVAL, "schema: 'pattern' is not a string");
	if (pattern)
		return add_pattern(s, json_string_value(pattern), json_string_length(pattern),
				   ret);
	if (!has_len) {
		*ret = gram_json_string(&s->json);
		return 0;
	}
	r = schema_count(s, schema, "minLength", &least);
	if (!r)
		r = schema_count(s, schema, "maxLength", &most);
	*ret = gram_sequence(&s->build);
	gram_add(&s->build, *ret, gram_text(&s->build, "\""));
	gram_add(&s->build, *ret, least > most ? gram_choice(&s->build) :
		 gram_repeat(&s->build, gram_json_character(&s->json), least, most));
	gram_add(&s->build, *ret, gram_text(&s->build, "\""));
	return r;
}

/* ---- numbers ---- */

/**
 * add_bound() - make a bound of integers stricter
 * @is_least: it is one from below
 * @shift: what is added to a bound that is an integer: 0, or 1 or -1 where it is itself left out
 */
static int add_bound(struct schema *s, const json_t *schema, const char *keyword, bool is_least,
		     int shift, bool *has, int64_t *bound)
{
	const json_t *value = json_object_get(schema, keyword);
	double number = json_number_value(value);
	int64_t mine;

	if (!value)
		return 0;
	if (!json_is_number(value))
		return error_set(s->error, -EINVAL, "schema: '%s' is not a number", keyword);
	number = fmax(-NUMBER_EXACT, fmin(NUMBER_EXACT, number));
	mine = (int64_t)(is_least ? ceil(number) : floor(number));
	if (number == floor(number))
		mine += shift;
	if (!*has || (is_least ? mine > *bound : mine < *bound))
		*bound = mine;
	*has = true;
	return 0;
}

/* format_bounds() - of a format that is about integers; false: it is not, and asks for nothing here */
static bool format_bounds(const json_t *schema, int64_t *least, int64_t *most)
{
	const char *name = json_string_value(json_object_get(schema, "format"));

	for (size_t i = 0; name && i < ARRAY_SIZE(integer_formats); i++) {
		if (strcmp(integer_formats[i].name, name))
			continue;
		*least = integer_formats[i].least;
		*most = integer_formats[i].most;
		return true;
	}
	return false;
}

int schema_integer(struct schema *s, json_t *schema, uint32_t *ret)
{
	int64_t least = 0, most = 0;
	bool has_least = format_bounds(schema, &least, &most), has_most = has_least;
	int r;

	r = add_bound(s, schema, "minimum", true, 0, &has_least, &least);
	if (!r)
		r = add_bound(s, schema, "exclusiveMinimum", true, 1, &has_least, &least);
	if (!r)
		r = add_bound(s, schema, "maximum", false, 0, &has_most, &most);
	if (!r)
		r = add_bound(s, schema, "exclusiveMaximum", false, -1, &has_most, &most);
	if (r < 0)
		return r;
	*ret = has_least || has_most ?
	       gram_json_integers(&s->build, has_least ? &least : NULL, has_most ? &most : NULL) :
	       gram_json_integer(&s->json);
	return 0;
}

int schema_number(struct schema *s, json_t *schema, uint32_t *ret)
{
	static const char *const bounds[] = { "minimum", "maximum", "exclusiveMinimum",
					      "exclusiveMaximum" };

	for (size_t i = 0; i < ARRAY_SIZE(bounds); i++)
		if (json_object_get(schema, bounds[i]))
			return schema_refused(s, bounds[i],
					      "of a number that need not be an integer");
	*ret = gram_json_number(&s->json);
	return 0;
}

/* ---- arrays ---- */

/* items behind the first ones: @least to @most of them, each behind a comma */
static int add_items(struct schema *s, json_t *items, uint32_t least, uint32_t most, uint32_t *ret)
{
	uint32_t item = GRAM_NONE;
	int r = schema_add(s, items, &item);

	*ret = gram_repeat(&s->build, gram_json_comma(&s->json, item), least, most);
	return r;
}

/**
 * struct array - what an array consists of
 * @first: the schemas of its first items, or NULL
 * @first_count: of these, no more than it may have items
 * @items: the schema of all others
 * @least, @most: items
 */
struct array {
	json_t *first;
	uint32_t first_count;
	json_t *items;
	uint32_t least;
	uint32_t most;
};

/*
 * From the end to the beginning: what follows an item is a part of what it needs to be there. Each
 * is a rule, for there may be more items than expressions can be nested.
 */
static int add_elements(struct schema *s, const struct array *a, uint32_t *ret)
{
	const uint32_t count = MAX(a->first_count, 1U);
	uint32_t rest, i;
	int r;

	r = a->most > count ?
	    add_items(s, a->items, a->least > count ? a->least - count : 0,
		      a->most == GRAM_ENDLESS ? a->most : a->most - count, &rest) :
	    (rest = gram_text(&s->build, ""), 0);
	for (i = count; !r && i-- > 0;) {
		uint32_t item = GRAM_NONE;

		r = schema_add(s, i < a->first_count ? json_array_get(a->first, i) : a->items,
			       &item);
		if (i)
			item = gram_json_comma(&s->json, item);
		rest = gram_pair(&s->build, item, rest);
		if (i >= a->least)
			rest = gram_maybe(&s->build, rest);
		rest = gram_use(&s->build, schema_rule(s, rest));
	}
	*ret = rest;
	return r;
}

static int read_array(struct schema *s, json_t *schema, struct array *a)
{
	int r;

	*a = (struct array){
		.first = json_object_get(schema, "prefixItems"),
		.items = json_object_get(schema, "items"),
		.most = GRAM_ENDLESS,
	};
	if (json_is_array(a->items))
		return schema_refused(s, "items", "that is an array");
	if (a->first && !json_is_array(a->first))
		return error_set(s->error, -EINVAL, "schema: 'prefixItems' is not an array");
	r = schema_count(s, schema, "minItems", &a->least);
	if (!r)
		r = schema_count(s, schema, "maxItems", &a->most);
	a->first_count = (uint32_t)json_array_size(a->first);
	/* where nothing is said of more items, there are none, unless there have to be */
	if ((!a->items && a->first_count >= a->least && a->first_count) ||
	    json_is_false(a->items))
		a->most = MIN(a->most, a->first_count);
	a->first_count = MIN(a->first_count, a->most);
	return r;
}

int schema_array(struct schema *s, json_t *schema, uint32_t *ret)
{
	uint32_t inner = GRAM_NONE;
	json_t *any = json_true();
	struct array a;
	int r = read_array(s, schema, &a);

	if (r < 0)
		return r;
	if (!a.items)
		a.items = any;
	if (a.least > a.most)
		inner = gram_choice(&s->build);
	else if (!a.most)
		inner = gram_text(&s->build, "");
	else
		r = add_elements(s, &a, &inner);
	*ret = gram_json_enclose(&s->json, '[', inner, ']');
	return r;
}
