/* SPDX-License-Identifier: MIT */
/*
 * Schemas in relation to others: what a reference points at, what two ask for together, and
 * whether they exclude each other. See schema.h.
 */
#include "grammar/schema.h"

#include <string.h>

#define DISJOINT_DEPTH_MAX	8

static int keep(struct schema *s, json_t *made)
{
	return made && !json_array_append_new(s->made, made) ? 0 : -ENOMEM;
}

int schema_without(struct schema *s, json_t *schema, const char *keyword, json_t **ret)
{
	int r = schema_work(s, schema_copy_work(schema));
	json_t *copy;

	*ret = NULL;
	if (r < 0)
		return r;
	copy = json_copy(schema);
	r = keep(s, copy);
	if (!r)
		json_object_del(copy, keyword);
	*ret = r < 0 ? NULL : copy;
	return r;
}

/* ---- references ---- */

/*
 * Of a JSON pointer as RFC 6901 has it, with no second way to spell any: else there would be rules
 * for each of them.
 */

/* a part with its escapes undone; @part has room for it; false: that is no escape */
static bool pointer_part(const char *text, size_t len, char *part, size_t *part_len)
{
	size_t n = 0;

	for (size_t i = 0; i < len; i++) {
		if (text[i] != '~') {
			part[n++] = text[i];
			continue;
		}
		if (++i == len || (text[i] != '0' && text[i] != '1'))
			return false;
		part[n++] = text[i] == '0' ? '~' : '/';
	}
	part[n] = '\0';
	*part_len = n;
	return true;
}

/* an index has digits only, and none before them that says nothing */
static bool is_index(const char *part, size_t len)
{
	return len && strspn(part, "0123456789") == len && (*part != '0' || len == 1);
}

static json_t *pointer_step(json_t *at, const char *part, size_t len)
{
	if (!json_is_array(at))
		return json_object_getn(at, part, len);
	return is_index(part, len) ? json_array_get(at, strtoul(part, NULL, 10)) : NULL;
}

int schema_resolve(struct schema *s, json_t *reference, json_t **ret)
{
	const char *text = json_string_value(reference), *at = text;
	_cleanup_free_ char *part = NULL;
	json_t *found = s->root;
	int r;

	if (!text)
		return error_set(s->error, -EINVAL, "schema: '$ref' is not a string");
	if (*at++ != '#' || (*at && *at != '/'))
		return schema_refused(s, text, "as a '$ref'");
	r = schema_work(s, json_string_length(reference) / 64);
	if (r < 0)
		return r;
	part = malloc(strlen(text) + 1);
	if (!part)
		return -ENOMEM;
	while (found && *at) {
		const size_t len = strcspn(++at, "/");
		size_t part_len;

		found = pointer_part(at, len, part, &part_len) ?
			pointer_step(found, part, part_len) : NULL;
		at += len;
	}
	if (!found)
		return error_set(s->error, -EINVAL, "schema: there is no '%.80s'", text);
	*ret = found;
	return 0;
}

/* ---- both at once ---- */

/* both schemas, for a part of what is described; NULL: no memory, or schema_work() says why */
static json_t *both_of(struct schema *s, json_t *a, json_t *b)
{
	const json_t *at = a;

	if (schema_equal(s, a, b))
		return json_incref(a);
	/* one within the other, once for each that is put together: no deeper than could be read */
	for (unsigned int depth = 0; at; depth++, at = json_array_get(json_object_get(at, "allOf"), 0))
		if (schema_work(s, depth < GRAM_NESTING_MAX / 2 ? 1 : SCHEMA_WORK_MAX) < 0)
			return NULL;
	return json_pack("{s:[O,O]}", "allOf", a, b);
}

static int merge_properties(struct schema *s, json_t *to, json_t *a, json_t *b)
{
	json_t *sum = json_copy(a), *value;
	const char *name;
	int r = sum ? 0 : -ENOMEM;

	json_object_foreach(b, name, value) {
		json_t *old = json_object_get(a, name);

		if (!r && json_object_set_new(sum, name, old ? both_of(s, old, value) :
							       json_incref(value)))
			r = schema_work(s, 0) ?: -ENOMEM;
	}
	if (json_object_set_new(to, "properties", sum))
		r = -ENOMEM;
	return r;
}

/* an array of what is in either, or in both */
static int merge_lists(struct schema *s, json_t *to, const char *keyword, json_t *a, json_t *b,
		       bool in_both)
{
	json_t *sum = in_both ? json_array() : json_copy(a), *value, *other;
	size_t i, k;
	int r = sum ? 0 : -ENOMEM;

	json_array_foreach(b, i, value) {
		bool found = false;

		json_array_foreach(a, k, other)
			found |= schema_equal(s, other, value);
		if (!r && found == in_both && json_array_append(sum, value))
			r = -ENOMEM;
	}
	if (json_object_set_new(to, keyword, sum))
		r = -ENOMEM;
	return r;
}

static int merge_types(struct schema *s, json_t *to, json_t *a, json_t *b)
{
	json_t *left = json_is_array(a) ? json_incref(a) : json_pack("[O]", a);
	json_t *right = json_is_array(b) ? json_incref(b) : json_pack("[O]", b);
	json_t *number = json_string("number"), *integer = json_string("integer"), *value;
	json_t *sum = json_array();
	size_t i;
	int r = left && right && number && integer && sum ? 0 : -ENOMEM;

	json_array_foreach(left, i, value) {
		const json_t *pair[] = { value, schema_equal(s, value, number) ? integer :
				   schema_equal(s, value, integer) ? number : value };
		json_t *other;
		size_t k;

		json_array_foreach(right, k, other) {
			/* an integer is a number */
			json_t *less = schema_equal(s, other, integer) ? other : value;

			if (!r && (schema_equal(s, pair[0], other) || schema_equal(s, pair[1], other)) &&
			    json_array_append(sum, less))
				r = -ENOMEM;
		}
	}
	if (json_object_set_new(to, "type", sum))
		r = -ENOMEM;
	json_decref(left);
	json_decref(right);
	json_decref(number);
	json_decref(integer);
	return r;
}

static bool starts_with(const char *text, const char *start)
{
	return !strncmp(text, start, strlen(start));
}

/* a bound: the stricter one */
static bool merge_bound(json_t *to, const char *keyword, json_t *a, json_t *b)
{
	const bool is_least = starts_with(keyword, "min") || !strcmp(keyword, "exclusiveMinimum");
	const bool is_most = starts_with(keyword, "max") || !strcmp(keyword, "exclusiveMaximum");

	if ((!is_least && !is_most) || !json_is_number(a) || !json_is_number(b))
		return false;
	if ((json_number_value(b) > json_number_value(a)) == is_least)
		json_object_set(to, keyword, b);
	return true;
}

static int merge_keyword(struct schema *s, json_t *to, const char *keyword, json_t *a, json_t *b)
{
	if (schema_is_note(keyword) || schema_equal(s, a, b) || merge_bound(to, keyword, a, b))
		return 0;
	if (!strcmp(keyword, "properties") && json_is_object(a) && json_is_object(b))
		return merge_properties(s, to, a, b);
	if (!strcmp(keyword, "type"))
		return merge_types(s, to, a, b);
	if (json_is_array(a) && json_is_array(b)) {
		if (!strcmp(keyword, "required"))
			return merge_lists(s, to, keyword, a, b, false);
		if (!strcmp(keyword, "enum"))
			return merge_lists(s, to, keyword, a, b, true);
		if (!strcmp(keyword, "allOf"))
			return merge_lists(s, to, keyword, a, b, false);
	}
	return schema_work(s, 0) ?:
	       schema_refused(s, keyword, "in two schemas that are to hold at once");
}

/* what "additionalProperties" of the one says of properties that only the other one knows */
static int check_closed(struct schema *s, json_t *closed, json_t *other)
{
	const json_t *more = json_object_get(closed, "additionalProperties");
	const json_t *mine = json_object_get(closed, "properties");
	const char *name;
	json_t *value;

	if (!more || json_is_true(more))
		return 0;
	json_object_foreach(json_object_get(other, "properties"), name, value)
		if (!json_object_get(mine, name))
			return schema_refused(s, "additionalProperties",
					      "in one of several schemas that are to hold at once");
	return 0;
}

/* without a reference on top; as many may follow one another as schemas may be nested */
static int without_reference(struct schema *s, json_t **schema)
{
	for (unsigned int i = 0; json_object_get(*schema, "$ref"); i++) {
		json_t *target, *rest = NULL;
		int r = schema_resolve(s, json_object_get(*schema, "$ref"), &target);

		if (i == GRAM_NESTING_MAX)
			return error_set(s->error, -EINVAL, "schema: a '$ref' to itself");
		if (!r)
			r = schema_without(s, *schema, "$ref", &rest);
		if (r < 0)
			return r;
		if (schema_asks(rest))
			return schema_refused(s, "$ref", "beside other keywords within 'allOf'");
		*schema = target;
	}
	return 0;
}

static uint64_t members(const json_t *schema, const char *keyword)
{
	const json_t *value = json_object_get(schema, keyword);

	return json_object_size(value) + json_array_size(value);
}

/* what merge_properties() and merge_lists() have to look at */
static uint64_t merge_steps(const json_t *a, const json_t *b)
{
	static const char *const lists[] = { "required", "enum", "allOf", "type" };
	uint64_t steps = 8 + schema_copy_work(a) + schema_copy_work(b) +
			 schema_copy_work(json_object_get(a, "properties")) +
			 schema_copy_work(json_object_get(b, "properties"));

	for (size_t i = 0; i < ARRAY_SIZE(lists); i++)
		steps += members(a, lists[i]) * members(b, lists[i]) + members(a, lists[i]) +
			 members(b, lists[i]);
	return steps;
}

int schema_merge(struct schema *s, json_t *a, json_t *b, json_t **ret)
{
	const char *keyword;
	json_t *value, *sum;
	int r;

	r = without_reference(s, &a);
	if (!r)
		r = without_reference(s, &b);
	if (!r)
		r = schema_work(s, merge_steps(a, b));
	if (r < 0)
		return r;
	if (json_is_boolean(a) || json_is_boolean(b)) {
		*ret = json_is_false(a) || json_is_true(b) ? a : b;
		return 0;
	}
	if (!json_is_object(a) || !json_is_object(b))
		return error_set(s->error, -EINVAL, "schema: neither an object nor a boolean");
	r = check_closed(s, a, b);
	if (!r)
		r = check_closed(s, b, a);
	sum = json_copy(a);
	if (!r)
		r = keep(s, sum);
	else
		json_decref(sum);
	json_object_foreach(b, keyword, value) {
		json_t *old = r < 0 ? NULL : json_object_get(sum, keyword);

		if (r < 0)
			break;
		if (old)
			r = merge_keyword(s, sum, keyword, json_object_get(a, keyword), value);
		else if (json_object_set(sum, keyword, value))
			r = -ENOMEM;
	}
	*ret = sum;
	return r;
}

/* ---- one or the other ---- */

static bool types_overlap(const json_t *a, const json_t *b)
{
	static const char *const names[] = { "object", "array", "string", "integer", "number",
					     "boolean", "null" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (schema_allows_type(a, names[i]) && schema_allows_type(b, names[i]))
			return true;
	return false;
}

static bool is_in(struct schema *s, const json_t *values, const json_t *value)
{
	json_t *other;
	size_t i;

	json_array_foreach((json_t *)values, i, other)
		if (schema_equal(s, other, value) ||
		    (json_is_number(other) && json_is_number(value) &&
		     json_number_value(other) == json_number_value(value)))
			return true;
	return false;
}

/* the values that a schema lists, as a new array; NULL: it does not */
static json_t *values_of(const json_t *schema)
{
	json_t *one = json_object_get(schema, "const"), *many = json_object_get(schema, "enum");

	if (one)
		return json_pack("[O]", one);
	return json_is_array(many) ? json_incref(many) : NULL;
}

static bool values_disjoint(struct schema *s, const json_t *a, const json_t *b)
{
	json_t *left = values_of(a), *right = values_of(b), *value;
	bool disjoint = left || right;
	size_t i;

	if (left && right) {
		json_array_foreach(left, i, value)
			disjoint &= !is_in(s, right, value);
	} else {
		const json_t *other = left ? b : a;

		if (schema_work(s, json_array_size(left ?: right) * (1 + members(other, "type"))))
			disjoint = false;
		/* of the one it is known which, of the other their type */
		for (i = 0; disjoint && i < json_array_size(left ?: right); i++) {
			value = json_array_get(left ?: right, i);
			disjoint &= !schema_allows_type(other, schema_type_of(value));
		}
	}
	json_decref(left);
	json_decref(right);
	return disjoint && !schema_work(s, 0);
}

static bool requires(const json_t *schema, const char *name)
{
	json_t *value;
	size_t i;

	json_array_foreach(json_object_get(schema, "required"), i, value)
		if (json_is_string(value) && !strcmp(json_string_value(value), name))
			return true;
	return false;
}

/* whatever is valid in it is an object */
static bool is_object_only(const json_t *schema)
{
	const json_t *type = json_object_get(schema, "type");

	return json_is_string(type) && !strcmp(json_string_value(type), "object");
}

/* a property that both must have and that can not be the same, or that one must not have */
static bool properties_disjoint(struct schema *s, json_t *a, json_t *b, unsigned int depth)
{
	json_t *mine = json_object_get(a, "properties"), *theirs = json_object_get(b, "properties");
	json_t *value;
	size_t i;

	json_array_foreach(json_object_get(a, "required"), i, value) {
		const char *name = schema_work(s, 1 + json_string_length(value) / 16) < 0 ? NULL :
				   json_string_value(value);
		json_t *left = name ? json_object_get(mine, name) : NULL;
		json_t *right = name ? json_object_get(theirs, name) : NULL;

		if (!name)
			continue;
		if (!right && json_is_false(json_object_get(b, "additionalProperties")))
			return true;
		if (left && right && requires(b, name) &&
		    schema_disjoint(s, left, right, depth + 1))
			return true;
	}
	return false;
}

bool schema_disjoint(struct schema *s, json_t *a, json_t *b, unsigned int depth)
{
	if (depth > DISJOINT_DEPTH_MAX || without_reference(s, &a) < 0 ||
	    without_reference(s, &b) < 0 || schema_work(s, merge_steps(a, b)) < 0)
		return false;
	if (json_is_false(a) || json_is_false(b))
		return true;
	if (!json_is_object(a) || !json_is_object(b))
		return false;
	if (!types_overlap(a, b) || values_disjoint(s, a, b))
		return true;
	return is_object_only(a) && is_object_only(b) &&
	       (properties_disjoint(s, a, b, depth) || properties_disjoint(s, b, a, depth));
}
