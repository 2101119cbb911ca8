/* SPDX-License-Identifier: MIT */
/*
 * Random schemas over a real vocabulary: whatever a random model says within the masks is JSON that
 * a small checker finds valid. The checker reads the schema as the standard does, and knows
 * nothing of grammars.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <jansson.h>
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/utf8.h"
#include "grammar/matcher.h"
#include "model/gguf.h"

#define SCHEMAS		120
#define ANSWERS		3
#define TOKENS_MAX	400
#define TEXT_MAX	8192

static uint64_t dice;

static unsigned int roll(unsigned int n)
{
	dice ^= dice << 13;
	dice ^= dice >> 7;
	dice ^= dice << 17;
	return (unsigned int)((dice * UINT64_C(0x2545f4914f6cdd1d) >> 33) % n);
}

/* ---- random schemas ---- */

static const char *const names[] = { "a", "ab", "b", "name", "\xc3\xa9", "x y" };

static json_t *random_schema(unsigned int depth);

static json_t *random_string(void)
{
	const unsigned int least = roll(4);

	return roll(2) ? json_pack("{s:s}", "type", "string") :
	       json_pack("{s:s,s:i,s:i}", "type", "string", "minLength", least, "maxLength",
			 least + roll(6));
}

static json_t *random_integer(void)
{
	const int least = (int)roll(3000) - 1500;

	return roll(3) ? json_pack("{s:s,s:i,s:i}", "type", "integer", "minimum", least, "maximum",
				   least + (int)roll(roll(2) ? 10 : 4000)) :
			 json_pack("{s:s,s:i}", "type", "integer", "exclusiveMinimum", least);
}

static json_t *random_array(unsigned int depth)
{
	const unsigned int least = roll(3);
	json_t *schema = json_pack("{s:s,s:o,s:i,s:i}", "type", "array", "items",
				   random_schema(depth - 1), "minItems", least, "maxItems",
				   least + roll(3));

	if (!roll(3))
		json_object_set_new(schema, "prefixItems",
				    json_pack("[o]", random_schema(depth - 1)));
	return schema;
}

static json_t *random_object(unsigned int depth)
{
	json_t *schema = json_pack("{s:s}", "type", "object"), *properties = json_object();
	json_t *required = json_array();

	for (unsigned int i = roll(4); i; i--) {
		const char *name = names[roll(sizeof(names) / sizeof(names[0]))];

		json_object_set_new(properties, name, random_schema(depth - 1));
		if (roll(2))
			json_array_append_new(required, json_string(name));
	}
	json_object_set_new(schema, "properties", properties);
	json_object_set_new(schema, "required", required);
	if (!roll(3))
		json_object_set_new(schema, "additionalProperties",
				    roll(2) ? json_false() : random_schema(0));
	return schema;
}

static json_t *random_schema(unsigned int depth)
{
	switch (roll(depth ? 9 : 5)) {
	case 0:
		return random_string();
	case 1:
		return random_integer();
	case 2:
		return json_pack("{s:[s,s]}", "type", "boolean", "null");
	case 3:
		return json_pack("{s:[i,s,n,f]}", "enum", (int)roll(100), "q\"\\\n\xc3\xa9", 2.5);
	case 4:
		return json_pack("{s:s}", "type", "number");
	case 5:
		return random_array(depth);
	case 6:
		return json_pack("{s:[o,o]}", "anyOf", random_schema(depth - 1),
				 random_schema(depth - 1));
	default:
		return random_object(depth);
	}
}

/* ---- the checker ---- */

static bool is_valid(json_t *schema, json_t *value);

static bool is_integer(const json_t *value)
{
	return json_is_integer(value) ||
	       (json_is_real(value) && json_real_value(value) == floor(json_real_value(value)));
}

static bool has_type(const char *type, const json_t *value)
{
	switch (type[0]) {
	case 'o':
		return json_is_object(value);
	case 'a':
		return json_is_array(value);
	case 's':
		return json_is_string(value);
	case 'i':
		return is_integer(value);
	case 'b':
		return json_is_boolean(value);
	default:
		return type[2] == 'l' ? json_is_null(value) : json_is_number(value);
	}
}

static bool type_holds(const json_t *type, const json_t *value)
{
	bool any = !type || (json_is_string(type) && has_type(json_string_value(type), value));

	for (size_t i = 0; i < json_array_size(type); i++)
		any |= has_type(json_string_value(json_array_get(type, i)), value);
	return any;
}

static bool bound_holds(json_t *schema, const char *keyword, double number, double sign)
{
	const json_t *bound = json_object_get(schema, keyword);

	return !bound || sign * (number - json_number_value(bound)) >= 0;
}

static size_t characters(const char *text)
{
	size_t count = 0;

	for (; *text; text += utf8_len(*text))
		count++;
	return count;
}

static bool is_object_valid(json_t *schema, json_t *value)
{
	json_t *properties = json_object_get(schema, "properties"), *member;
	json_t *more = json_object_get(schema, "additionalProperties");
	const char *name;
	size_t i;

	json_array_foreach(json_object_get(schema, "required"), i, member)
		if (!json_object_get(value, json_string_value(member)))
			return false;
	json_object_foreach(value, name, member) {
		json_t *mine = json_object_get(properties, name);

		if (!is_valid(mine ?: more ?: json_true(), member))
			return false;
	}
	return true;
}

static bool is_array_valid(json_t *schema, json_t *value)
{
	json_t *first = json_object_get(schema, "prefixItems"), *item;
	json_t *items = json_object_get(schema, "items");
	size_t i;

	json_array_foreach(value, i, item)
		if (!is_valid(i < json_array_size(first) ? json_array_get(first, i) :
							   items ?: json_true(), item))
			return false;
	return bound_holds(schema, "minItems", (double)json_array_size(value), 1) &&
	       bound_holds(schema, "maxItems", (double)json_array_size(value), -1);
}

static bool is_valid(json_t *schema, json_t *value)
{
	json_t *any = json_object_get(schema, "anyOf"), *list = json_object_get(schema, "enum");
	const json_t *above = json_object_get(schema, "exclusiveMinimum");
	bool found = !any, listed = !list;
	json_t *one;
	size_t i;

	if (json_is_boolean(schema))
		return json_is_true(schema);
	json_array_foreach(any, i, one)
		found |= is_valid(one, value);
	json_array_foreach(list, i, one)
		listed |= json_equal(one, value);
	if (!found || !listed || !type_holds(json_object_get(schema, "type"), value))
		return false;
	if (json_is_object(value))
		return is_object_valid(schema, value);
	if (json_is_array(value))
		return is_array_valid(schema, value);
	if (json_is_string(value))
		return bound_holds(schema, "minLength", (double)characters(json_string_value(value)),
				   1) &&
		       bound_holds(schema, "maxLength", (double)characters(json_string_value(value)),
				   -1);
	return !json_is_number(value) ||
	       (bound_holds(schema, "minimum", json_number_value(value), 1) &&
		bound_holds(schema, "maximum", json_number_value(value), -1) &&
		(!above || json_number_value(value) > json_number_value(above)));
}

/* ---- answers ---- */

static struct gguf *gguf;
static struct tokenizer *tok;
static struct gram_vocab *vocab;

static int setup(void **state)
{
	(void)state;
	if (gguf_open(&gguf, "models/stories260K-f32.gguf", NULL) < 0)
		fail_msg("no models/stories260K-f32.gguf (this runs in the repository)");
	assert_int_equal(tok_new(&tok, gguf, NULL), 0);
	assert_int_equal(gram_vocab_new(&vocab, tok, tok_vocab(tok)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gram_vocab_unref(vocab);
	tok_free(tok);
	gguf_free(gguf);
	return 0;
}

/* an end is taken where it is allowed, mostly: answers are short */
static uint32_t choose(const struct gram_matcher *m)
{
	uint32_t nth = roll(gram_matcher_count(m));

	if (gram_matcher_can_end(m) && roll(4))
		return vocab->ends[0];
	for (uint32_t id = 0; id < vocab->size; id++)
		if (gram_matcher_mask(m)[id / 32] >> id % 32 & 1 && !nth--)
			return id;
	return TOK_NONE;
}

/* a random answer; false: it did not end in time */
static bool say(struct gram_matcher *m, char *text, size_t *ret_len)
{
	size_t len = 0, piece_len;

	for (unsigned int i = 0; i < TOKENS_MAX; i++) {
		const char *piece;
		uint32_t id;

		assert_int_equal(gram_matcher_work(m, SIZE_MAX), 1);
		assert_true(gram_matcher_count(m) > 0);
		id = choose(m);
		if (tok_is_end(tok, id)) {
			*ret_len = len;
			return true;
		}
		piece = tok_piece(tok, id, false, false, &piece_len);
		if (len + piece_len > TEXT_MAX)
			return false;
		memcpy(text + len, piece, piece_len);
		len += piece_len;
		assert_int_equal(gram_matcher_advance(m, id), 0);
	}
	return false;
}

static bool check_answer(json_t *schema, const char *spelled)
{
	_cleanup_(gram_matcher_freep) struct gram_matcher *m = NULL;
	struct error error = { "" };
	struct grammar *grammar;
	char text[TEXT_MAX];
	json_t *value;
	size_t len;
	int r;

	r = gram_new_schema(&grammar, spelled, strlen(spelled), &error);
	/* a property that the schema asks for and does not allow */
	if (r == -EINVAL && strstr(error.text, "no answer that ends"))
		return false;
	if (r < 0)
		fail_msg("%s: %s", spelled, error.text);
	assert_int_equal(gram_matcher_new(&m, grammar, vocab, false), 0);
	if (!say(m, text, &len))
		return false;
	value = json_loadb(text, len, JSON_DECODE_ANY | JSON_REJECT_DUPLICATES, NULL);
	/* names of other properties may come twice, which JSON allows */
	if (!value)
		value = json_loadb(text, len, JSON_DECODE_ANY, NULL);
	if (!value)
		fail_msg("%s: no JSON: %.*s", spelled, (int)len, text);
	if (!is_valid(schema, value))
		fail_msg("%s: not valid: %.*s", spelled, (int)len, text);
	json_decref(value);
	return true;
}

static void random_schemas(void **state)
{
	unsigned int checked = 0;

	(void)state;
	for (unsigned int i = 0; i < SCHEMAS; i++) {
		json_t *schema = random_schema(3);
		char *spelled = json_dumps(schema, JSON_COMPACT);

		assert_non_null(spelled);
		for (unsigned int k = 0; k < ANSWERS; k++)
			checked += check_answer(schema, spelled);
		free(spelled);
		json_decref(schema);
	}
	print_message("# %u answers of %u came to their end\n", checked, SCHEMAS * ANSWERS);
	assert_true(checked > SCHEMAS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(random_schemas),
	};
	const char *given = getenv("LLMOS_TEST_SEED");

	dice = given ? strtoull(given, NULL, 0) : (uint64_t)time(NULL) * 2654435761U + 1;
	print_message("# LLMOS_TEST_SEED=%llu\n", (unsigned long long)dice);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, setup, teardown);
}
