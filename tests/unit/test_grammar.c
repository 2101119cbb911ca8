/* SPDX-License-Identifier: MIT */
/*
 * Grammars, construct by construct: texts that match and texts that do not, byte by byte through
 * the machine; and what is refused, with the words in which it is.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>
#include <time.h>

#include "grammar/machine.h"

#define TEXTS_MAX 12

/* ---- does a text match? ---- */

static bool matches(const struct grammar *grammar, const char *text)
{
	struct gram_machine m;
	uint32_t state;
	bool accepts;

	assert_int_equal(gram_machine_init(&m, grammar, &state), 0);
	for (; *text; text++)
		assert_int_equal(gram_machine_step(&m, state, (uint8_t)*text, &state), 0);
	accepts = gram_state(&m, state)->accepts;
	gram_machine_done(&m);
	return accepts;
}

/** struct example - a grammar, texts that match it, texts that do not */
struct example {
	const char *grammar;
	const char *good[TEXTS_MAX];
	const char *bad[TEXTS_MAX];
};

static void check_example(const struct example *e,
			  int (*make)(struct grammar **, const char *, size_t, struct error *))
{
	_cleanup_(gram_freep) struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = make(&grammar, e->grammar, strlen(e->grammar), &error);

	if (r < 0)
		fail_msg("%s: %d, %s", e->grammar, r, error.text);
	for (size_t i = 0; i < TEXTS_MAX && e->good[i]; i++)
		if (!matches(grammar, e->good[i]))
			fail_msg("%s does not match %s", e->grammar, e->good[i]);
	for (size_t i = 0; i < TEXTS_MAX && e->bad[i]; i++)
		if (matches(grammar, e->bad[i]))
			fail_msg("%s matches %s", e->grammar, e->bad[i]);
}

/** struct refusal - a text that is no grammar, and a part of the words that say why */
struct refusal {
	const char *grammar;
	int error;
	const char *words;
};

static void check_refusal(const struct refusal *e,
			  int (*make)(struct grammar **, const char *, size_t, struct error *))
{
	struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = make(&grammar, e->grammar, strlen(e->grammar), &error);

	gram_free(grammar);
	if (r != e->error || !strstr(error.text, e->words))
		fail_msg("%s: %d, '%s' is not %d, '%s'", e->grammar, r, error.text, e->error,
			 e->words);
}

/* ---- GBNF ---- */

static const struct example gbnf[] = {
	{ "root ::= \"ab\"", { "ab" }, { "", "a", "abc", "b" } },
	{ "root ::= \"\"", { "" }, { "a" } },
	{ "root ::= \"a\" | \"b\" | \"\"", { "a", "b", "" }, { "ab", "c" } },
	{ "root ::= \"a\" |\n  \"b\"\n  | \"c\"\n", { "a", "b", "c" }, { "d" } },
	{ "# first\nroot ::= # here\n  x y # there\nx ::= \"1\"\r\ny ::= \"2\"", { "12" }, { "1" } },
	{ "root ::= (\"a\" # c\n  \"b\"\n)+", { "ab", "abab" }, { "", "aba" } },
	{ "root ::= [a-c]", { "a", "b", "c" }, { "d", "-", "" } },
	{ "root ::= [a-]", { "a", "-" }, { "b" } },
	{ "root ::= [-a]", { "a", "-" }, { "b" } },
	{ "root ::= [^a-c\\n]", { "d", "\xc3\xa9", "\xf0\x9f\x98\x80" },
	  { "a", "\n", "\xc3", "\x80", "\xed\xa0\x80", "\xf4\x90\x80\x80", "dd" } },
	{ "root ::= [\\x41\\u00e9\\U0001F600\\]\\\\]",
	  { "A", "\xc3\xa9", "\xf0\x9f\x98\x80", "]", "\\" }, { "B", "\xc3\xa8", "x" } },
	{ "root ::= \"\\x41\\n\\t\\r\\\"\\\\\"", { "A\n\t\r\"\\" }, { "A" } },
	{ "root ::= \"\\u20ac\\xff\"", { "\xe2\x82\xac\xc3\xbf" }, { "\xe2\x82\xac\xff" } },
	{ "root ::= .", { "a", "\n", "\xe2\x82\xac" }, { "", "ab", "\xff", "\xc0\x80" } },
	{ "root ::= [\xc3\xa0-\xc3\xa9\xce\xb1-\xcf\x89]", { "\xc3\xa0", "\xc3\xa9", "\xce\xbf",
							     "\xcf\x80" }, { "\xc3\xaa", "e" } },
	{ "root ::= \"a\"*", { "", "a", "aaaa" }, { "b" } },
	{ "root ::= \"a\"+", { "a", "aaaa" }, { "", "b" } },
	{ "root ::= \"a\"?", { "", "a" }, { "aa" } },
	{ "root ::= \"a\"{3}", { "aaa" }, { "", "aa", "aaaa" } },
	{ "root ::= \"a\"{2,}", { "aa", "aaaaa" }, { "", "a" } },
	{ "root ::= \"a\"{ 1 , 3 } \"b\"", { "ab", "aab", "aaab" }, { "b", "aaaab" } },
	{ "root ::= \"a\"{,2}", { "", "a", "aa" }, { "aaa" } },
	{ "root ::= \"a\"{0}", { "" }, { "a" } },
	{ "root ::= (\"a\"? \"b\"?)*", { "", "ab", "ba", "bbaa" }, { "c" } },
	{ "root ::= ((\"a\"*)*)* \"b\"", { "b", "aab" }, { "a" } },
	{ "root ::= \"a\"+? \"b\"", { "b", "ab", "aab" }, { "a" } },
	{ "root ::= \"(\" root \")\" | \"\"", { "", "()", "((()))" }, { "(", "())" } },
	{ "root ::= e\ne ::= t ([-+] t)*\nt ::= [0-9]+ | \"(\" e \")\"",
	  { "1", "1+22-(3-4)", "((7))" }, { "", "1+", "(1", "1)" } },
	/* where alternatives begin alike, however deep */
	{ "root ::= t \"+\" root | t\nt ::= \"x\" | \"(\" root \")\"",
	  { "x", "((((((((x))))))))", "(x+(x))+x" }, { "(x", "x+", "()" } },
	/* ambiguous in every letter */
	{ "root ::= \"a\" root \"x\" | \"a\" root \"y\" | \"a\" root | \"\"",
	  { "", "a", "aaax", "aaxy" }, { "x", "axy" } },
	{ "root ::= s s\ns ::= \"a\" | \"b\" s s | \"c\"?", { "", "a", "baa", "bbaaa", "cc" },
	  { "aaa", "x" } },
	{ "root ::= \"if \" c (\" else \" c)?\nc ::= \"x\" | root",
	  { "if x", "if if x else x", "if if x else x else x" }, { "if", "else x" } },
	/* a rule that never ends is no way to go, but not in the way */
	{ "root ::= \"a\" | \"b\" loop\nloop ::= \"b\" loop", { "a" }, { "b", "bb" } },
	{ "root ::= \"a\" | []", { "a" }, { "" } },
	{ "root ::= x_1-Y\nx_1-Y ::= \"z\"", { "z" }, { "y" } },
};

static void gbnf_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(gbnf) / sizeof(gbnf[0]); i++)
		check_example(&gbnf[i], gram_new_gbnf);
}

static const struct refusal no_gbnf[] = {
	{ "", -EINVAL, "no rule 'root'" },
	{ "# nothing", -EINVAL, "no rule 'root'" },
	{ "a ::= \"x\"", -EINVAL, "no rule 'root'" },
	{ "root ::= x", -EINVAL, "rule 'x' is not defined" },
	{ "root ::= \"a\"\nroot ::= \"b\"", -EINVAL, "line 2: rule 'root' is there twice" },
	{ "root = \"a\"", -EINVAL, "line 1: '::=' is missing, before '='" },
	{ "\n\nroot ::= \"a", -EINVAL, "line 3: a literal does not end" },
	{ "root ::= \"a\nb\"", -EINVAL, "a literal does not end" },
	{ "root ::= [a", -EINVAL, "a class does not end" },
	{ "root ::= [b-a]", -EINVAL, "a range that ends before it begins" },
	{ "root ::= (\"a\"", -EINVAL, "')' is missing, at its end" },
	{ "root ::= \"a\")", -EINVAL, "a group ends that did not begin" },
	{ "root ::= *", -EINVAL, "is missing, before '*'" },
	{ "root ::= \"a\"{", -EINVAL, "a number is missing" },
	{ "root ::= \"a\"{2,1}", -EINVAL, "at most less than at least" },
	{ "root ::= \"a\"{2", -EINVAL, "'}' is missing" },
	{ "root ::= \"a\"{4294967295}", -EINVAL, "too large" },
	{ "root ::= \"\\q\"", -EINVAL, "an unknown escape, before 'q'" },
	{ "root ::= \"\\x4\"", -EINVAL, "a hexadecimal digit is missing" },
	{ "root ::= \"\\ud800\"", -EINVAL, "no character" },
	{ "root ::= \"\\U00110000\"", -EINVAL, "no character" },
	{ "root ::= \"a\" ! \"b\"", -EINVAL, "before '!'" },
	{ "root ::= \"\xff\"", -EILSEQ, "UTF-8" },
	{ "root ::= root \"a\" | \"a\"", -EINVAL, "rule 'root' begins with itself" },
	{ "root ::= a\na ::= b \"x\" | \"y\"\nb ::= \"\" a", -EINVAL, "begins with itself" },
	{ "root ::= a \"x\"\na ::= \"z\"? a \"y\" | \"q\"", -EINVAL, "rule 'a' begins with itself" },
	{ "root ::= (root)*", -EINVAL, "rule 'root' begins with itself" },
	{ "root ::= \"a\" root", -EINVAL, "no answer that ends" },
	{ "root ::= []", -EINVAL, "no answer that ends" },
	{ "root ::= \"a\"{300000}", -E2BIG, "states" },
	{ "root ::= (((\"a\"{1000}){1000}){1000}){1000}", -E2BIG, "states" },
	{ "root ::= ((((\"\"){4000000}){4000000}){4000000}){4000000}", -E2BIG, "states" },
};

static void gbnf_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(no_gbnf) / sizeof(no_gbnf[0]); i++)
		check_refusal(&no_gbnf[i], gram_new_gbnf);
}

/* ---- JSON ---- */

static int make_json(struct grammar **ret, const char *text, size_t len, struct error *error)
{
	(void)text;
	(void)len;
	return gram_new_json(ret, error);
}

static void json_matches(void **state)
{
	static const struct example any = {
		"any JSON",
		{ "{}", "[]", "[1, -2.50e+3,\n  \"a\\u00e9\\ud83d\\ude00\\n\", true, false, null]",
		  "{\"a\": {\"b\":[]}, \"\": 0}", "\"\xc3\xa9\"", "0", "{ }" },
		{ "", "{", "[1,]", "01", "\"\\ud83d\"", "\"\\u0000\"", "\"\t\"", "{\"a\":1,}", "1 ",
		  "nul", "[1 2]" },
	};

	(void)state;
	check_example(&any, make_json);
}

/* ---- schemas ---- */

static const struct example schemas[] = {
	{ "true", { "1", "{}" }, { "" } },
	{ "{}", { "1", "{}", "\"x\"" }, { "" } },
	{ "{\"type\":\"null\"}", { "null" }, { "0" } },
	{ "{\"type\":[\"boolean\",\"null\"]}", { "null", "true", "false" }, { "0" } },
	{ "{\"type\":\"integer\"}", { "0", "-1", "1234567890123456" },
	  { "1.0", "-0", "01", "", "-", "12345678901234567" } },
	{ "{\"type\":\"number\"}", { "0", "-1.5", "1e9", "2E-3" }, { ".5", "1.", "+1", "1e" } },
	{ "{\"type\":\"integer\",\"minimum\":0}", { "0", "7", "9999999999999999" }, { "-1" } },
	{ "{\"type\":\"integer\",\"minimum\":13,\"maximum\":2047}",
	  { "13", "19", "20", "99", "100", "999", "1000", "1999", "2047" },
	  { "12", "2048", "9999", "1", "013" } },
	{ "{\"type\":\"integer\",\"exclusiveMinimum\":-12,\"exclusiveMaximum\":3}",
	  { "-11", "-1", "0", "2" }, { "-12", "3", "-20", "-0" } },
	{ "{\"type\":\"integer\",\"minimum\":0.5,\"maximum\":1.5}", { "1" }, { "0", "2" } },
	{ "{\"type\":\"integer\",\"maximum\":-100}", { "-100", "-123", "-1000" }, { "-99", "1" } },
	{ "{\"type\":\"string\"}", { "\"\"", "\"a b\"" }, { "a", "\"" } },
	{ "{\"type\":\"string\",\"minLength\":2,\"maxLength\":3}",
	  { "\"ab\"", "\"\xc3\xa9\xc3\xa9\xc3\xa9\"", "\"\\n\\u00e9\"", "\"\\ud83d\\ude00a\"" },
	  { "\"a\"", "\"abcd\"", "\"\\n\"" } },
	{ "{\"type\":\"string\",\"minLength\":2,\"maxLength\":2,\"title\":\"t\"}", { "\"ab\"" },
	  { "\"a\"" } },
	{ "{\"type\":\"string\",\"pattern\":\"^a+(b|c)?\\\\d{2}$\"}", { "\"aa12\"", "\"ab00\"" },
	  { "\"b12\"", "\"a1\"", "\"a123\"", "\"xa12\"" } },
	{ "{\"type\":\"string\",\"pattern\":\"b\"}", { "\"b\"", "\"abc\"", "\"\\nb\\\"\"" },
	  { "\"ac\"", "\"\"" } },
	{ "{\"type\":\"string\",\"pattern\":\"^a|b$\"}", { "\"ax\"", "\"xb\"" }, { "\"xay\"" } },
	{ "{\"type\":\"string\",\"pattern\":\"^[^\\\"x]\\\\s\\\\/$\"}",
	  { "\"a\\n/\"", "\"\\\\ /\"" }, { "\"x /\"", "\"\\\" /\"", "\"a\n/\"" } },
	{ "{\"type\":\"string\",\"pattern\":\"^(?:[\\\\w.-]+)@\\\\u0041*?$\"}", { "\"a.b-c@AA\"" },
	  { "\"@\"" } },
	{ "{\"type\":\"string\",\"format\":\"date\"}",
	  { "\"2024-02-29\"", "\"2000-02-29\"", "\"1999-12-31\"", "\"2023-02-28\"" },
	  { "\"2023-02-29\"", "\"1900-02-29\"", "\"2024-13-01\"", "\"2024-04-31\"",
	    "\"2024-1-01\"" } },
	{ "{\"type\":\"string\",\"format\":\"date-time\"}",
	  { "\"2024-02-29T23:59:59Z\"", "\"2024-02-29T00:00:00.125+02:00\"" },
	  { "\"2024-02-29\"", "\"2024-02-29T24:00:00Z\"", "\"2024-02-29T00:00:00\"" } },
	{ "{\"type\":\"string\",\"format\":\"time\"}", { "\"12:30:00Z\"" }, { "\"12:30Z\"" } },
	{ "{\"type\":\"string\",\"format\":\"uuid\"}",
	  { "\"123e4567-e89b-12d3-a456-426614174000\"" }, { "\"123e4567\"" } },
	{ "{\"type\":\"string\",\"format\":\"ipv4\"}", { "\"10.0.255.1\"" }, { "\"256.0.0.1\"" } },
	{ "{\"type\":\"string\",\"format\":\"ipv6\"}",
	  { "\"::\"", "\"::1\"", "\"2001:db8::ff00:42:8329\"", "\"1:2:3:4:5:6:7:8\"", "\"1:2:3:4:5:6:7::\"",
	    "\"fe80::\"", "\"::2:3:4:5:6:7:8\"" },
	  { "\"\"", "\":\"", "\":::\"", "\"1::2::3\"", "\"1:2:3:4:5:6:7\"", "\"1:2:3:4:5:6:7:8:9\"",
	    "\"12345::\"" } },
	{ "{\"type\":\"string\",\"format\":\"hostname\"}",
	  { "\"localhost\"", "\"www.example.com\"", "\"a-b.c1\"", "\"7.de\"" },
	  { "\"\"", "\"-a\"", "\"a-\"", "\"a..b\"", "\"a_b\"", "\"a.\"" } },
	{ "{\"type\":\"string\",\"format\":\"email\"}",
	  { "\"me@example.com\"", "\"first.last+tag@mail.a-b.org\"" },
	  { "\"me\"", "\"@example.com\"", "\"me@\"", "\"me@host\"", "\".me@a.de\"", "\"a..b@c.de\"",
	    "\"a@b@c.de\"" } },
	{ "{\"type\":\"string\",\"format\":\"uri\"}",
	  { "\"https://example.com\"", "\"http://example.com:8080/a/b%20c?q=1&r=/#top\"",
	    "\"mailto:me@example.com\"", "\"urn:isbn:0451450523\"", "\"file:/etc/passwd\"" },
	  { "\"\"", "\"example.com\"", "\"http:\"", "\"://x\"", "\"http://a b\"", "\"http://h:p/\"",
	    "\"http://h/%zz\"", "\"a:b#c#d\"" } },
	{ "{\"type\":\"string\",\"format\":\"duration\"}",
	  { "\"P1Y2M3DT4H5M6S\"", "\"PT36H\"", "\"P4W\"", "\"P1Y\"", "\"P2M\"", "\"P3D\"", "\"P1DT6S\"" },
	  { "\"P\"", "\"PT\"", "\"P1\"", "\"P1Y3D\"", "\"PT1H6S\"", "\"P1W2D\"", "\"P1S\"", "\"1D\"" } },
	{ "{\"type\":\"integer\",\"format\":\"uint8\"}", { "0", "255" }, { "-1", "256" } },
	{ "{\"type\":\"integer\",\"format\":\"int32\"}", { "-2147483648", "2147483647" },
	  { "-2147483649", "2147483648" } },
	{ "{\"type\":\"integer\",\"format\":\"int32\",\"minimum\":7,\"maximum\":5e9}",
	  { "7", "2147483647" }, { "6", "2147483648" } },
	{ "{\"type\":\"integer\",\"format\":\"int64\"}", { "-9007199254740992", "9007199254740992" },
	  { "9007199254740993", "1.0" } },
	{ "{\"type\":\"integer\",\"format\":\"uuid\"}", { "1" }, { "\"1\"" } },
	{ "{\"enum\":[1,\"a\\\"b\",null,{\"k\":[0.1]}]}",
	  { "1", "\"a\\\"b\"", "null", "{\"k\":[0.1]}" }, { "2", "{}" } },
	{ "{\"type\":\"string\",\"enum\":[1,\"a\"]}", { "\"a\"" }, { "1" } },
	{ "{\"const\":\"x\"}", { "\"x\"" }, { "\"y\"" } },
	{ "{\"type\":\"array\"}", { "[]", "[1, {}]" }, { "{}" } },
	{ "{\"type\":\"array\",\"items\":{\"type\":\"integer\"},\"minItems\":1,\"maxItems\":3}",
	  { "[1]", "[1,2]", "[1, 2, 3]" }, { "[]", "[1,2,3,4]", "[\"a\"]" } },
	{ "{\"type\":\"array\",\"maxItems\":0}", { "[]" }, { "[1]" } },
	{ "{\"type\":\"array\",\"prefixItems\":[{\"const\":1},{\"const\":2}],\"items\":{\"const\":3},"
	  "\"minItems\":1}", { "[1]", "[1,2]", "[1,2,3]", "[1,2,3,3]" }, { "[]", "[2]", "[1,3]" } },
	{ "{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"items\":false}", { "[]", "[1]" },
	  { "[1,1]" } },
	{ "{\"type\":\"array\",\"prefixItems\":[{\"const\":1}],\"minItems\":2,\"maxItems\":2}",
	  { "[1,{}]" }, { "[1]", "[1,1,1]" } },
	{ "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2},"
	  "\"c\":{\"const\":3}},\"required\":[\"b\"]}",
	  { "{\"b\":2}", "{\"a\":1,\"b\":2}", "{\"a\": 1, \"b\": 2, \"c\": 3}", "{\"b\":2,\"c\":3}" },
	  { "{}", "{\"a\":1}", "{\"c\":3}", "{\"b\":2,}", "{\"b\":2,\"a\":1}", "{\"b\":2,\"d\":1}" } },
	{ "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1}}}", { "{}", "{\"a\":1}" },
	  { "{\"b\":1}", "{\"a\":1,\"a\":1}" } },
	{ "{\"type\":\"object\",\"properties\":{\"ab\":{\"const\":1},\"ac\":true},"
	  "\"additionalProperties\":{\"const\":0}}",
	  { "{}", "{\"ab\":1}", "{\"x\":0}", "{\"a\":0,\"\":0,\"abc\":0}", "{\"ab\":1,\"\xc3\xa9\":0}" },
	  { "{\"ab\":0}", "{\"x\":1}", "{\"\\u0061b\":0}", "{\"ac\":1,\"ab\":0}" } },
	{ "{\"additionalProperties\":{\"type\":\"null\"}}", { "{}", "{\"x\":null}" }, { "{\"x\":1}" } },
	{ "{\"type\":\"object\",\"required\":[\"x\"]}", { "{\"x\":[]}", "{\"x\":1,\"y\":2}" },
	  { "{}", "{\"y\":1}" } },
	{ "{\"anyOf\":[{\"type\":\"integer\"},{\"type\":\"string\",\"maxLength\":1}]}",
	  { "1", "\"a\"" }, { "\"ab\"", "null" } },
	{ "{\"oneOf\":[{\"type\":\"integer\"},{\"const\":null}]}", { "1", "null" }, { "true" } },
	{ "{\"oneOf\":[{\"type\":\"object\",\"properties\":{\"t\":{\"const\":1}},\"required\":[\"t\"]},"
	  "{\"type\":\"object\",\"properties\":{\"t\":{\"const\":2}},\"required\":[\"t\"]}]}",
	  { "{\"t\":1}", "{\"t\":2}" }, { "{\"t\":3}", "{}" } },
	{ "{\"type\":\"object\",\"properties\":{\"a\":{\"const\":1},\"b\":{\"const\":2}},"
	  "\"anyOf\":[{\"required\":[\"a\"]},{\"required\":[\"b\"]}]}",
	  { "{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}" }, { "{}" } },
	{ "{\"allOf\":[{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}},"
	  "\"required\":[\"a\"]},{\"properties\":{\"b\":{\"const\":2},\"a\":{\"maximum\":5}},"
	  "\"required\":[\"b\"]}]}",
	  { "{\"a\":5,\"b\":2}" }, { "{\"a\":6,\"b\":2}", "{\"a\":5}" } },
	{ "{\"allOf\":[{\"type\":[\"number\",\"null\"]},{\"type\":[\"integer\",\"string\"]}]}",
	  { "1" }, { "1.5", "null", "\"a\"" } },
	{ "{\"$defs\":{\"n\":{\"type\":\"object\",\"properties\":{\"v\":{\"const\":0},\"next\":"
	  "{\"anyOf\":[{\"$ref\":\"#/$defs/n\"},{\"type\":\"null\"}]}},\"required\":[\"v\",\"next\"]}},"
	  "\"$ref\":\"#/$defs/n\"}",
	  { "{\"v\":0,\"next\":null}", "{\"v\":0,\"next\":{\"v\":0,\"next\":null}}" },
	  { "{\"v\":0}", "{\"v\":0,\"next\":{}}" } },
	{ "{\"type\":\"array\",\"items\":{\"$ref\":\"#\"}}", { "[]", "[[],[[]]]" }, { "[1]" } },
	{ "{\"$ref\":\"#/$defs/a~1b\",\"$defs\":{\"a/b\":{\"const\":1}},\"description\":\"d\"}",
	  { "1" }, { "2" } },
	{ "{\"$ref\":\"#/$defs/a\",\"maximum\":3,\"$defs\":{\"a\":{\"type\":\"integer\",\"minimum\":2}}}",
	  { "2", "3" }, { "1", "4" } },
	{ "{\"minLength\":1}", { "\"a\"" }, { "\"\"" } },
	{ "{\"anyOf\":[false,{\"const\":1}],\"uniqueItems\":false,\"x-note\":1}", { "1" }, { "2" } },
};

static void schema_matches(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(schemas) / sizeof(schemas[0]); i++)
		check_example(&schemas[i], gram_new_schema);
}

static const struct refusal no_schemas[] = {
	{ "", -EINVAL, "schema, line 1" },
	{ "{\"type\":", -EINVAL, "schema, line 1" },
	{ "{\"type\":\"null\",\"type\":\"null\"}", -EINVAL, "duplicate" },
	{ "1", -EINVAL, "neither an object nor a boolean" },
	{ "false", -EINVAL, "no answer that ends" },
	{ "{\"type\":\"text\"}", -EINVAL, "type 'text' is not known" },
	{ "{\"type\":7}", -EINVAL, "'type'" },
	{ "{\"not\":{}}", -EOPNOTSUPP, "'not' is not supported" },
	{ "{\"if\":{}}", -EOPNOTSUPP, "'if' is not supported" },
	{ "{\"nullable\":true}", -EOPNOTSUPP, "'nullable' is not supported" },
	{ "{\"uniqueItems\":true}", -EOPNOTSUPP, "'uniqueItems' is not supported" },
	{ "{\"properties\":{\"a\":{\"patternProperties\":{}}}}", -EOPNOTSUPP, "'patternProperties'" },
	{ "{\"type\":\"integer\",\"multipleOf\":2}", -EOPNOTSUPP, "'multipleOf'" },
	{ "{\"type\":\"number\",\"minimum\":0}", -EOPNOTSUPP, "'minimum' of a number" },
	{ "{\"type\":\"string\",\"format\":\"idn-email\"}", -EOPNOTSUPP, "'idn-email' as a 'format'" },
	{ "{\"format\":\"int32\"}", -EOPNOTSUPP, "'int32' as a 'format'" },
	{ "{\"type\":\"string\",\"pattern\":\"(?=a)\"}", -EOPNOTSUPP, "look around" },
	{ "{\"type\":\"string\",\"pattern\":\"\\\\bx\"}", -EOPNOTSUPP, "escape" },
	{ "{\"type\":\"string\",\"pattern\":\"(a)\\\\1\"}", -EOPNOTSUPP, "escape" },
	{ "{\"type\":\"string\",\"pattern\":\"a(^b)\"}", -EOPNOTSUPP, "within" },
	{ "{\"type\":\"string\",\"pattern\":\"(a\"}", -EINVAL, "')' is missing" },
	{ "{\"type\":\"string\",\"pattern\":\"a)\"}", -EINVAL, "did not begin" },
	{ "{\"type\":\"string\",\"pattern\":\"[a\"}", -EINVAL, "class" },
	{ "{\"type\":\"string\",\"pattern\":\"a\",\"minLength\":2}", -EOPNOTSUPP, "beside a length" },
	{ "{\"type\":\"string\",\"minLength\":-1}", -EINVAL, "'minLength' is not a count" },
	{ "{\"type\":\"string\",\"minLength\":1000000}", -E2BIG, "states" },
	{ "{\"type\":\"array\",\"items\":[{}]}", -EOPNOTSUPP, "'items' that is an array" },
	{ "{\"enum\":[\"a\"],\"minLength\":1}", -EOPNOTSUPP, "beside 'enum'" },
	{ "{\"$ref\":\"http://x/y\"}", -EOPNOTSUPP, "as a '$ref'" },
	{ "{\"$ref\":\"#/$defs/x\"}", -EINVAL, "there is no '#/$defs/x'" },
	{ "{\"$ref\":\"#/x-a/00\",\"x-a\":[{}]}", -EINVAL, "there is no '#/x-a/00'" },
	{ "{\"$ref\":\"#/x-a/+0\",\"x-a\":[{}]}", -EINVAL, "there is no '#/x-a/+0'" },
	{ "{\"$ref\":\"#/x-a/ 0\",\"x-a\":[{}]}", -EINVAL, "there is no '#/x-a/ 0'" },
	{ "{\"$ref\":\"#/x-a~\",\"x-a~\":{}}", -EINVAL, "there is no '#/x-a~'" },
	{ "{\"$ref\":\"#\"}", -EINVAL, "no answer that ends" },
	{ "{\"$ref\":\"#/$defs/a\",\"$defs\":{\"a\":{\"$ref\":\"#/$defs/a\",\"minimum\":1}}}",
	  -EOPNOTSUPP, "'$ref' beside other keywords" },
	{ "{\"type\":\"object\",\"properties\":{\"a\":{\"$ref\":\"#\"}},\"required\":[\"a\"]}", -EINVAL,
	  "no answer that ends" },
	{ "{\"oneOf\":[{\"type\":\"integer\"},{\"type\":\"number\"}]}", -EOPNOTSUPP, "hold at once" },
	{ "{\"allOf\":[{\"additionalProperties\":false},{\"properties\":{\"a\":{}}}]}", -EOPNOTSUPP,
	  "'additionalProperties'" },
	{ "{\"allOf\":[{\"pattern\":\"a\"},{\"pattern\":\"b\"}]}", -EOPNOTSUPP, "'pattern'" },
	{ "{\"type\":\"integer\",\"minimum\":3,\"maximum\":2}", -EINVAL, "no answer that ends" },
	{ "{\"type\":\"array\",\"minItems\":3,\"maxItems\":2}", -EINVAL, "no answer that ends" },
};

static void schema_refuses(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(no_schemas) / sizeof(no_schemas[0]); i++)
		check_refusal(&no_schemas[i], gram_new_schema);
}

/* ---- what is large ---- */

/* schemas of which there are more combinations than anyone can wait for */
static char *combined(const char *format, unsigned int count, const char *root)
{
	char *text = NULL;
	size_t len = 0;
	FILE *to = open_memstream(&text, &len);

	assert_non_null(to);
	fprintf(to, "{\"$defs\":{\"d%u\":{\"type\":\"string\"}", count);
	for (unsigned int i = 0; i < count; i++) {
		fprintf(to, ",\"d%u\":", i);
		for (const char *p = format; *p; p++)
			if (*p == '@')
				fprintf(to, "%u", i + 1);
			else
				fputc(*p, to);
	}
	fprintf(to, "},%s}", root);
	fclose(to);
	return text;
}

/* @part @count times, between the others; to be freed */
static char *repeated(const char *before, const char *part, size_t count, const char *after)
{
	const size_t len = strlen(part);
	char *text = malloc(strlen(before) + len * count + strlen(after) + 1), *at;

	assert_non_null(text);
	at = stpcpy(text, before);
	for (size_t i = 0; i < count; i++, at += len)
		memcpy(at, part, len);
	strcpy(at, after);
	return text;
}

static void expect(char *text, int wanted,
		   int (*make)(struct grammar **, const char *, size_t, struct error *))
{
	struct grammar *grammar = NULL;
	struct error error = { "" };
	int r = make(&grammar, text, strlen(text), &error);

	gram_free(grammar);
	if (r != wanted || (r < 0 && !*error.text))
		fail_msg("%.40s...: %d, '%s'", text, r, error.text);
	free(text);
}

static void large(void **state)
{
	(void)state;
	expect(repeated("root ::= ", "\"a\" ", 200000, ""), 0, gram_new_gbnf);
	expect(repeated("root ::= ", "\"a\" ", 262140, ""), 0, gram_new_gbnf);
	expect(repeated("root ::= ", "\"a\" ", 300000, ""), -E2BIG, gram_new_gbnf);
	expect(repeated("root ::= \"", "x", 1 << 20, "\""), -E2BIG, gram_new_gbnf);
	expect(repeated("root ::= ", "(", 500000, ""), -E2BIG, gram_new_gbnf);
	expect(repeated("root ::= \"a\"", "*", 500000, ""), -E2BIG, gram_new_gbnf);
	expect(repeated("root ::= \"a\"", "| \"a\"", 200000, ""), 0, gram_new_gbnf);
	expect(repeated("root ::= [", "a-z", 300000, "]"), 0, gram_new_gbnf);
	expect(repeated("root ::= ", "x ", 100000, "\nx ::= \"a\"?"), 0, gram_new_gbnf);
	expect(repeated("", "[", 500000, ""), -EINVAL, gram_new_schema);
	expect(repeated("", "{\"anyOf\":[", 1000, ""), -EINVAL, gram_new_schema);
	expect(repeated("{\"enum\":[0", ",1", 400000, "]}"), 0, gram_new_schema);
	/* each has twice the schemas of the one before, put together with something else */
	expect(combined("{\"maxLength\":9,\"anyOf\":[{\"$ref\":\"#/$defs/d@\"},"
			"{\"$ref\":\"#/$defs/d@\"}]}", 40, "\"$ref\":\"#/$defs/d0\""),
	       -E2BIG, gram_new_schema);
	expect(combined("{\"type\":\"object\",\"required\":[\"a\",\"b\"],\"properties\":{\"a\":{\"$ref\":"
			"\"#/$defs/d@\"},\"b\":{\"$ref\":\"#/$defs/d@\"}}}", 8,
			"\"oneOf\":[{\"$ref\":\"#/$defs/d0\"},{\"$ref\":\"#/$defs/d0\"}]"),
	       -EOPNOTSUPP, gram_new_schema);
	expect(repeated("{\"allOf\":[{\"enum\":[0", ",1", 100000,
			"]},{\"enum\":[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23]}]}"),
	       -E2BIG, gram_new_schema);
	expect(repeated("{\"allOf\":[true", ",{\"properties\":{},\"required\":[\"a\"]}", 20000, "]}"), 0,
	       gram_new_schema);
	/* items one behind the other are no nesting */
	expect(repeated("{\"prefixItems\":[{}", ",{}", 3000, "]}"), 0, gram_new_schema);
	expect(repeated("{\"prefixItems\":[{}", ",{}", 300000, "]}"), -E2BIG, gram_new_schema);
	expect(repeated("{\"prefixItems\":[{\"$ref\":\"#/prefixItems/0\"}", ",{}", 9, "]}"),
	       -EINVAL, gram_new_schema);
	expect(repeated("{\"pattern\":\"", "(", 200000, "\"}"), -E2BIG, gram_new_schema);
	expect(repeated("{\"pattern\":\"", "a?", 100000, "\"}"), 0, gram_new_schema);
}

/* @form with many of @part, up to three times, and many of @again */
static char *twice(const char *form, const char *part, size_t count, const char *again,
		   size_t again_count)
{
	char *a = repeated("", part, count, ""), *b = repeated("", again, again_count, "");
	const size_t size = strlen(form) + 3 * strlen(a) + strlen(b) + 1;
	char *text = malloc(size);

	assert_non_null(text);
	snprintf(text, size, form, a, b);
	free(a);
	free(b);
	return text;
}

/* small things that are referred to often, each time to do again what takes long */
static void laborious(void **state)
{
	const clock_t start = clock();

	(void)state;
	/* what is copied without its reference */
	expect(twice("{\"x-b\":{\"$ref\":\"#/x-c\",\"x-%s\":0},\"x-c\":{},\"allOf\":[{}%s]}", "k",
		     200000, ",{\"$ref\":\"#/x-b\"}", 40000), -E2BIG, gram_new_schema);
	/* what is compared */
	expect(twice("{\"x-a\":[0%1$s],\"x-b\":{\"const\":[0%1$s]},\"const\":[0%1$s],\"allOf\":[{}%2$s]}",
		     ",0", 100000, ",{\"$ref\":\"#/x-b\"}", 20000), -E2BIG, gram_new_schema);
	/* what is put together with the one before */
	expect(repeated("{\"allOf\":[{}", ",{\"properties\":{\"\":{\"x-\":0}}},"
			"{\"properties\":{\"\":{\"x-\":1}}}", 10000, "]}"), -E2BIG, gram_new_schema);
	/* types again and again */
	expect(twice("{\"type\":[\"object\"%s],\"required\":[\"a\"%s]}", ",\"object\"", 40000,
		     ",\"a\"", 100000), -E2BIG, gram_new_schema);
	expect(twice("{\"type\":[\"object\"%s],\"enum\":[0%s]}", ",\"object\"", 40000, ",0",
		     200000), -E2BIG, gram_new_schema);
	/* minutes would be a hang; instrumented, it is still seconds */
	assert_true((clock() - start) / CLOCKS_PER_SEC < 30);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(gbnf_matches),
		cmocka_unit_test(gbnf_refuses),
		cmocka_unit_test(json_matches),
		cmocka_unit_test(schema_matches),
		cmocka_unit_test(schema_refuses),
		cmocka_unit_test(large),
		cmocka_unit_test(laborious),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("grammar", tests, NULL, NULL);
}
