/* SPDX-License-Identifier: MIT */
/*
 * JSON schemas as grammars: what a schema as a whole asks for. What is not understood is refused,
 * never left out: an answer that came out is valid. See grammar.h.
 */
#include "grammar/schema.h"

#include <string.h>

#include "grammar/grammar.h"

#define SCHEMA_DEPTH_MAX	4096		/* of values that are compared; as read: 2048 */

/* keywords that ask for something and are understood */
static const char *const known[] = {
	"$ref", "type", "enum", "const", "allOf", "anyOf", "oneOf", "properties", "required",
	"additionalProperties", "items", "prefixItems", "minItems", "maxItems", "minLength",
	"maxLength", "pattern", "format", "minimum", "maximum", "exclusiveMinimum",
	"exclusiveMaximum",
};

/* keywords that ask for nothing */
static const char *const notes[] = {
	"$defs", "definitions", "$schema", "$id", "$comment", "title", "description", "default",
	"example", "examples", "deprecated", "readOnly", "writeOnly", "contentEncoding",
	"contentMediaType",
};

/** struct schema_type - a type, the keywords that are about it, and what makes it */
struct schema_type {
	const char *name;
	int (*add)(struct schema *s, json_t *schema, uint32_t *ret);
	const char *keywords[8];
};

static int add_null(struct schema *s, json_t *schema, uint32_t *ret)
{
	(void)schema;
	*ret = gram_text(&s->build, "null");
	return 0;
}

static int add_boolean(struct schema *s, json_t *schema, uint32_t *ret)
{
	(void)schema;
	*ret = gram_choice(&s->build);
	gram_add(&s->build, *ret, gram_text(&s->build, "true"));
	gram_add(&s->build, *ret, gram_text(&s->build, "false"));
	return 0;
}

static const struct schema_type types[] = {
	{ "object", schema_object, { "properties", "required", "additionalProperties" } },
	{ "array", schema_array, { "items", "prefixItems", "minItems", "maxItems" } },
	{ "string", schema_string, { "minLength", "maxLength", "pattern", "format" } },
	{ "number", schema_number,
	  { "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum" } },
	{ "integer", schema_integer, { NULL } },
	{ "boolean", add_boolean, { NULL } },
	{ "null", add_null, { NULL } },
};

static bool is_one_of(const char *keyword, const char *const *list, size_t count)
{
	for (size_t i = 0; i < count; i++)
		if (!strcmp(list[i], keyword))
			return true;
	return false;
}

bool schema_is_note(const char *keyword)
{
	return is_one_of(keyword, notes, ARRAY_SIZE(notes)) || !strncmp(keyword, "x-", 2);
}

int schema_refused(struct schema *s, const char *keyword, const char *why)
{
	return error_set(s->error, -EOPNOTSUPP, "schema: '%.60s'%s%s is not supported", keyword,
			 why ? " " : "", why ?: "");
}

int schema_work(struct schema *s, uint64_t steps)
{
	s->work += steps;
	if (s->build.error)
		return s->build.error;
	return s->work > SCHEMA_WORK_MAX ?
	       error_set(s->error, -E2BIG, "schema: there is too much to put together") : 0;
}

uint64_t schema_copy_work(const json_t *object)
{
	uint64_t work = 0;
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)object, name, value)
		work += 4 + strlen(name) / 16;
	return work;
}

static bool is_same(struct schema *s, const json_t *a, const json_t *b, unsigned int depth);

static bool is_same_object(struct schema *s, const json_t *a, const json_t *b, unsigned int depth)
{
	const char *name;
	json_t *value;

	if (json_object_size(a) != json_object_size(b))
		return false;
	json_object_foreach((json_t *)a, name, value) {
		const json_t *other = json_object_get(b, name);

		s->work += 1 + strlen(name) / 16;
		if (!other || !is_same(s, value, other, depth))
			return false;
	}
	return true;
}

static bool is_same_array(struct schema *s, const json_t *a, const json_t *b, unsigned int depth)
{
	json_t *value;
	size_t i;

	if (json_array_size(a) != json_array_size(b))
		return false;
	json_array_foreach((json_t *)a, i, value)
		if (!is_same(s, value, json_array_get(b, i), depth))
			return false;
	return true;
}

static bool is_same(struct schema *s, const json_t *a, const json_t *b, unsigned int depth)
{
	/* what is put together from schemas may be nested deeper than what was read */
	s->work += depth ? 1 : SCHEMA_WORK_MAX;
	if (s->work > SCHEMA_WORK_MAX)
		return false;
	if (a == b)
		return true;
	if (json_is_object(a) && json_is_object(b))
		return is_same_object(s, a, b, depth - 1);
	if (json_is_array(a) && json_is_array(b))
		return is_same_array(s, a, b, depth - 1);
	if (json_is_string(a) && json_is_string(b))
		s->work += json_string_length(a) / 32;
	return json_equal(a, b);
}

bool schema_equal(struct schema *s, const json_t *a, const json_t *b)
{
	return is_same(s, a, b, SCHEMA_DEPTH_MAX);
}

uint32_t schema_rule(struct schema *s, uint32_t body)
{
	const uint32_t rule = gram_rule(&s->build, NULL, 0);

	if (rule != GRAM_NONE)
		gram_define(&s->build, rule, body);
	return rule;
}

static int check_keywords(struct schema *s, json_t *schema)
{
	const char *keyword;
	json_t *value;
	int r = schema_work(s, schema_copy_work(schema));

	if (r < 0)
		return r;
	json_object_foreach(schema, keyword, value) {
		if (!strcmp(keyword, "uniqueItems") && json_is_false(value))
			continue;
		if (!is_one_of(keyword, known, ARRAY_SIZE(known)) && !schema_is_note(keyword))
			return schema_refused(s, keyword, NULL);
	}
	return 0;
}

bool schema_asks(const json_t *schema)
{
	const char *keyword;
	json_t *value;

	json_object_foreach((json_t *)schema, keyword, value)
		if (!schema_is_note(keyword) && strcmp(keyword, "uniqueItems"))
			return true;
	return false;
}

/* ---- values that are told one by one ---- */

const char *schema_type_of(const json_t *value)
{
	switch (json_typeof(value)) {
	case JSON_OBJECT:
		return "object";
	case JSON_ARRAY:
		return "array";
	case JSON_STRING:
		return "string";
	case JSON_INTEGER:
		return "integer";
	case JSON_REAL:
		return "number";
	case JSON_NULL:
		return "null";
	default:
		return "boolean";
	}
}

static bool type_is(const json_t *name, const char *type)
{
	if (!json_is_string(name))
		return false;
	return !strcmp(json_string_value(name), type) ||
	       (!strcmp(type, "integer") && !strcmp(json_string_value(name), "number"));
}

bool schema_allows_type(const json_t *schema, const char *type)
{
	const json_t *wanted = json_object_get(schema, "type");
	size_t i;

	if (!wanted || type_is(wanted, type))
		return true;
	for (i = 0; i < json_array_size(wanted); i++)
		if (type_is(json_array_get(wanted, i), type))
			return true;
	return false;
}

/* as few digits as bring the same number back */
static char *spell_value(json_t *value)
{
	for (size_t digits = 15; digits <= 17; digits++) {
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT |
					JSON_REAL_PRECISION(digits));
		json_t *back = text ? json_loads(text, JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL) :
				      NULL;
		const bool same = back && json_equal(back, value);

		json_decref(back);
		if (same || !text || digits == 17)
			return text;
		free(text);
	}
	return NULL;
}

static int add_value(struct schema *s, uint32_t list, json_t *value)
{
	char *text = spell_value(value);

	if (!text)
		return -ENOMEM;
	gram_add(&s->build, list, gram_text(&s->build, text));
	free(text);
	return 0;
}

static bool is_value_keyword(const char *keyword)
{
	return !strcmp(keyword, "enum") || !strcmp(keyword, "const") || !strcmp(keyword, "type");
}

static int add_values(struct schema *s, json_t *schema, uint32_t *ret)
{
	json_t *one = json_object_get(schema, "const"), *many = json_object_get(schema, "enum");
	const char *keyword;
	json_t *value;
	size_t i;
	int r = 0;

	json_object_foreach(schema, keyword, value)
		if (!is_value_keyword(keyword) && !schema_is_note(keyword))
			return schema_refused(s, keyword, "beside 'enum' or 'const'");
	if (many && !json_is_array(many))
		return error_set(s->error, -EINVAL, "schema: 'enum' is not an array");
	r = schema_work(s, (1 + json_array_size(many)) *
			(1 + json_array_size(json_object_get(schema, "type"))));
	if (r < 0)
		return r;
	*ret = gram_choice(&s->build);
	if (one && !many)
		return schema_allows_type(schema, schema_type_of(one)) ?
		       add_value(s, *ret, one) : 0;
	json_array_foreach(many, i, value)
		if (!r && schema_allows_type(schema, schema_type_of(value)) &&
		    (!one || schema_equal(s, one, value)))
			r = add_value(s, *ret, value);
	return r;
}

/* ---- types ---- */

static int add_type(struct schema *s, json_t *schema, const char *name, uint32_t *ret)
{
	int r = schema_work(s, 8);

	if (r < 0)
		return r;
	for (size_t i = 0; i < ARRAY_SIZE(types); i++)
		if (!strcmp(types[i].name, name))
			return types[i].add(s, schema, ret);
	return error_set(s->error, -EINVAL, "schema: type '%.60s' is not known", name);
}

/* of each type that is named */
static int add_named_types(struct schema *s, json_t *schema, json_t *names, uint32_t *ret)
{
	json_t *name;
	size_t i;

	if (json_is_string(names))
		return add_type(s, schema, json_string_value(names), ret);
	if (!json_is_array(names))
		return error_set(s->error, -EINVAL, "schema: 'type' is no name of a type");
	*ret = gram_choice(&s->build);
	json_array_foreach(names, i, name) {
		uint32_t one = GRAM_NONE;
		int r = json_is_string(name) ?
			add_type(s, schema, json_string_value(name), &one) :
			error_set(s->error, -EINVAL, "schema: 'type' is no name of a type");

		if (r < 0)
			return r;
		gram_add(&s->build, *ret, one);
	}
	return 0;
}

/* where no type is named, of those that its keywords are about: others would be valid, too */
static int add_implied_types(struct schema *s, json_t *schema, uint32_t *ret)
{
	bool any = false;

	*ret = gram_choice(&s->build);
	for (size_t i = 0; i < ARRAY_SIZE(types); i++) {
		uint32_t one = GRAM_NONE;
		bool about = false;
		int r;

		for (size_t k = 0; types[i].keywords[k]; k++)
			about |= json_object_get(schema, types[i].keywords[k]) != NULL;
		if (!about)
			continue;
		r = types[i].add(s, schema, &one);
		if (r < 0)
			return r;
		gram_add(&s->build, *ret, one);
		any = true;
	}
	if (!any)
		gram_add(&s->build, *ret, gram_json_value(&s->json));
	return 0;
}

/* ---- references, and schemas of schemas ---- */

static int add_reference(struct schema *s, json_t *reference, uint32_t *ret)
{
	const char *name = json_string_value(reference);
	uint32_t rule, body;
	json_t *target;
	int r;

	r = schema_resolve(s, reference, &target);
	if (r < 0)
		return r;
	rule = table_find(&s->refs, name, strlen(name));
	if (rule == TABLE_NONE) {
		rule = gram_rule(&s->build, name, strlen(name));
		if (rule == GRAM_NONE)
			return s->build.error;
		r = table_add(&s->refs, name, strlen(name), rule);
		if (!r)
			r = schema_add(s, target, &body);
		if (r < 0)
			return r;
		gram_define(&s->build, rule, body);
	}
	*ret = gram_use(&s->build, rule);
	return 0;
}

static int add_referred(struct schema *s, json_t *schema, uint32_t *ret)
{
	json_t *reference = json_object_get(schema, "$ref"), *rest = NULL;
	json_t *target = NULL;
	int r = schema_without(s, schema, "$ref", &rest);

	if (!r && !schema_asks(rest))
		return add_reference(s, reference, ret);
	if (!r)
		r = schema_resolve(s, reference, &target);
	if (!r)
		r = schema_merge(s, rest, target, &target);
	return r < 0 ? r : schema_add(s, target, ret);
}

static int add_all(struct schema *s, json_t *schema, uint32_t *ret)
{
	json_t *parts = json_object_get(schema, "allOf"), *part, *sum;
	size_t i;
	int r = schema_without(s, schema, "allOf", &sum);

	if (r < 0)
		return r;
	if (!json_is_array(parts))
		return error_set(s->error, -EINVAL, "schema: 'allOf' is not an array");
	json_array_foreach(parts, i, part)
		if (!r)
			r = schema_merge(s, sum, part, &sum);
	return r < 0 ? r : schema_add(s, sum, ret);
}

/* exactly one is to hold: where two could, it would have to be known which */
static int check_exclusive(struct schema *s, json_t *parts)
{
	const size_t count = json_array_size(parts);

	if (count > 64)
		return schema_refused(s, "oneOf", "of more than 64 schemas");
	for (size_t i = 0; i < count; i++)
		for (size_t k = 0; k < i; k++)
			if (!schema_disjoint(s, json_array_get(parts, i),
					     json_array_get(parts, k), 0))
				return schema_refused(s, "oneOf",
						      "of schemas that may hold at once");
	return 0;
}

static int add_any(struct schema *s, json_t *schema, const char *keyword, uint32_t *ret)
{
	json_t *parts = json_object_get(schema, keyword), *part, *rest;
	size_t i;
	int r = schema_without(s, schema, keyword, &rest);
	const bool has_rest = !r && schema_asks(rest);

	if (!json_is_array(parts))
		return error_set(s->error, -EINVAL, "schema: '%s' is not an array", keyword);
	if (!r && !strcmp(keyword, "oneOf"))
		r = check_exclusive(s, parts);
	*ret = gram_choice(&s->build);
	json_array_foreach(parts, i, part) {
		uint32_t one = GRAM_NONE;
		json_t *both = part;

		if (!r && has_rest)
			r = schema_merge(s, rest, part, &both);
		if (!r)
			r = schema_add(s, both, &one);
		if (r < 0)
			return r;
		gram_add(&s->build, *ret, one);
	}
	return r;
}

static int add_object_schema(struct schema *s, json_t *schema, uint32_t *ret)
{
	json_t *names = json_object_get(schema, "type");
	int r = check_keywords(s, schema);

	if (r < 0)
		return r;
	if (json_object_get(schema, "$ref"))
		return add_referred(s, schema, ret);
	if (json_object_get(schema, "allOf"))
		return add_all(s, schema, ret);
	if (json_object_get(schema, "anyOf"))
		return add_any(s, schema, "anyOf", ret);
	if (json_object_get(schema, "oneOf"))
		return add_any(s, schema, "oneOf", ret);
	if (json_object_get(schema, "const") || json_object_get(schema, "enum"))
		return add_values(s, schema, ret);
	return names ? add_named_types(s, schema, names, ret) : add_implied_types(s, schema, ret);
}

int schema_add(struct schema *s, json_t *schema, uint32_t *ret)
{
	int r = schema_work(s, 8);

	if (r < 0)
		return r;
	if (json_is_true(schema)) {
		*ret = gram_json_value(&s->json);
		return 0;
	}
	if (json_is_false(schema)) {
		*ret = gram_choice(&s->build);
		return 0;
	}
	if (!json_is_object(schema))
		return error_set(s->error, -EINVAL, "schema: neither an object nor a boolean");
	if (++s->depth > GRAM_NESTING_MAX / 2)
		return error_set(s->error, -E2BIG, "schema: nested too deep");
	r = add_object_schema(s, schema, ret);
	s->depth--;
	return r;
}

/* ---- all of it ---- */

static void schema_done(struct schema *s)
{
	gram_build_done(&s->build);
	table_free(&s->refs);
	json_decref(s->made);
	json_decref(s->root);
}

static int schema_load(struct schema *s, const char *text, size_t len)
{
	json_error_t why;

	s->made = json_array();
	if (!s->made || table_init(&s->refs, 16) < 0)
		return error_set(s->error, -ENOMEM, "schema: %s", strerror(ENOMEM));
	s->root = json_loadb(text, len, JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &why);
	if (!s->root)
		return error_set(s->error, -EINVAL, "schema, line %d: %.120s", why.line, why.text);
	return 0;
}

int gram_new_schema(struct grammar **ret, const char *text, size_t len, struct error *error)
{
	_cleanup_(schema_done) struct schema s = { .error = error };
	uint32_t root, body = GRAM_NONE;
	int r;

	if (len > GRAM_TEXT_MAX)
		return error_set(error, -E2BIG, "a schema of more than %u bytes", GRAM_TEXT_MAX);
	gram_json_init(&s.json, &s.build);
	r = schema_load(&s, text, len);
	if (r < 0)
		return r;
	root = gram_rule(&s.build, NULL, 0);
	r = schema_add(&s, s.root, &body);
	if (r == -ENOMEM)
		return error_set(error, r, "schema: %s", strerror(-r));
	if (r < 0 && !s.build.error)
		return r;
	if (!r && root != GRAM_NONE)
		gram_define(&s.build, root, body);
	return gram_compile(ret, &s.build, root, error);
}
