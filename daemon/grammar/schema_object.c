/* SPDX-License-Identifier: MIT */
/*
 * Objects of JSON schemas: properties in the order in which the schema has them, each there or not,
 * then others where the schema asks for them. See schema.h.
 */
#include "grammar/schema.h"

#include <string.h>

/**
 * struct property - a property that is described
 * @name: of it
 * @schema: of its value
 * @is_required: it is never left out
 */
struct property {
	const char *name;
	json_t *schema;
	bool is_required;
};

/**
 * struct object - what an object consists of
 * @properties: in their order (count)
 * @others: schema of all other properties; NULL: there are none
 */
struct object {
	struct property *properties;
	size_t count;
	json_t *others;
};

/* ---- what there is ---- */

static int find_required(struct schema *s, struct object *o, json_t *required, struct table *names)
{
	json_t *value;
	size_t i;

	json_array_foreach(required, i, value) {
		const char *name = json_string_value(value);
		uint32_t at;

		if (!name)
			return error_set(s->error, -EINVAL,
					 "schema: 'required' has what is no name");
		if (schema_work(s, 1 + json_string_length(value) / 16) < 0)
			return -E2BIG;
		at = table_find(names, name, strlen(name));
		if (at == TABLE_NONE) {
			/* it must be there, and all that is said of it is said of others */
			at = (uint32_t)o->count;
			o->properties[o->count++] = (struct property){ name, o->others, true };
			if (table_add(names, name, strlen(name), at) < 0)
				return -ENOMEM;
		}
		o->properties[at].is_required = true;
	}
	return 0;
}

static int find_properties(struct schema *s, struct object *o, json_t *properties,
			   json_t *required)
{
	_cleanup_(table_free) struct table names = { 0 };
	const size_t max = json_object_size(properties) + json_array_size(required);
	const char *name;
	json_t *value;
	int r = schema_work(s, schema_copy_work(properties));

	if (r < 0)
		return r;
	o->properties = calloc(max + 1, sizeof(*o->properties));
	r = o->properties ? table_init(&names, max) : -ENOMEM;
	json_object_foreach(properties, name, value) {
		if (!r)
			r = table_add(&names, name, strlen(name), (uint32_t)o->count);
		if (!r)
			o->properties[o->count++] = (struct property){ name, value, false };
	}
	return r < 0 ? r : find_required(s, o, required, &names);
}

static int read_object(struct schema *s, json_t *schema, struct object *o)
{
	json_t *properties = json_object_get(schema, "properties");
	json_t *required = json_object_get(schema, "required");
	json_t *others = json_object_get(schema, "additionalProperties");
	int r;

	if (properties && !json_is_object(properties))
		return error_set(s->error, -EINVAL, "schema: 'properties' is not an object");
	if (required && !json_is_array(required))
		return error_set(s->error, -EINVAL, "schema: 'required' is not an array");
	/* of those that must be there it is said nothing where others are not mentioned */
	o->others = others ?: json_true();
	r = find_properties(s, o, properties, required);
	if (json_is_false(others) || (!others && properties))
		o->others = NULL;
	return r;
}

/* ---- members ---- */

static int add_member(struct schema *s, const struct property *property, uint32_t *ret)
{
	uint32_t value = GRAM_NONE;
	int r = schema_add(s, property->schema, &value);

	*ret = gram_json_member(&s->json,
				gram_json_quoted(&s->build, property->name,
						 strlen(property->name)), value);
	return r;
}

static int add_other(struct schema *s, const struct object *o, uint32_t *ret)
{
	_cleanup_free_ const char **names = calloc(o->count + 1, sizeof(*names));
	uint32_t value = GRAM_NONE;
	int r = names ? schema_add(s, o->others, &value) : -ENOMEM;

	for (size_t i = 0; !r && i < o->count; i++)
		names[i] = o->properties[i].name;
	*ret = r < 0 ? GRAM_NONE :
	       gram_json_member(&s->json, gram_json_other_key(&s->build, names, o->count), value);
	return r;
}

/**
 * struct tail - what an object may have from some property on, as rules
 * @rest: where something stands before it
 * @begin: where nothing does
 */
struct tail {
	uint32_t rest;
	uint32_t begin;
};

static int add_end(struct schema *s, const struct object *o, struct tail *ret)
{
	struct gram_build *b = &s->build;
	uint32_t member, rule;
	int r;

	if (!o->others) {
		ret->rest = ret->begin = schema_rule(s, gram_text(b, ""));
		return 0;
	}
	r = add_other(s, o, &member);
	if (r < 0)
		return r;
	rule = schema_rule(s, member);
	ret->rest = schema_rule(s, gram_repeat(b, gram_json_comma(&s->json, gram_use(b, rule)), 0,
					   GRAM_ENDLESS));
	ret->begin = schema_rule(s, gram_maybe(b, gram_pair(b, gram_use(b, rule),
							gram_use(b, ret->rest))));
	return 0;
}

/* one property more in front */
static int add_front(struct schema *s, const struct property *property, struct tail *tail)
{
	struct gram_build *b = &s->build;
	const uint32_t rest = tail->rest;
	uint32_t member, rule, with, without;
	int r = add_member(s, property, &member);

	if (r < 0)
		return r;
	rule = schema_rule(s, member);
	with = gram_json_comma(&s->json, gram_use(b, rule));
	if (!property->is_required)
		with = gram_maybe(b, with);
	tail->rest = schema_rule(s, gram_pair(b, with, gram_use(b, rest)));
	with = gram_pair(b, gram_use(b, rule), gram_use(b, rest));
	if (!property->is_required) {
		without = gram_use(b, tail->begin);
		tail->begin = gram_choice(b);
		gram_add(b, tail->begin, with);
		gram_add(b, tail->begin, without);
		with = tail->begin;
	}
	tail->begin = schema_rule(s, with);
	return 0;
}

int schema_object(struct schema *s, json_t *schema, uint32_t *ret)
{
	struct tail tail = { GRAM_NONE, GRAM_NONE };
	struct object o = { 0 };
	int r = read_object(s, schema, &o);

	if (!r)
		r = add_end(s, &o, &tail);
	for (size_t i = o.count; !r && i-- > 0;)
		r = add_front(s, &o.properties[i], &tail);
	free(o.properties);
	if (r < 0)
		return r;
	*ret = gram_json_enclose(&s->json, '{', gram_use(&s->build, tail.begin), '}');
	return 0;
}
