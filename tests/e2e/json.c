// SPDX-License-Identifier: MIT
/*
 * json [PATH]: reads one JSON value from standard input, strictly, and prints what PATH names, for
 * suites that run where no other reader is. PATH is a chain of .key, [index], [key=value] (the
 * first element of an array whose member has that value) and [#] (the number of elements).
 * Strings are printed without quotes. Exit status: 0; 1 nothing there; 65 not JSON.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EX_DATAERR	65
#define DEPTH_MAX	64

/* a reader stands before a value; skipping one is reading one */
struct reader {
	const char *text;
	const char *at;
	unsigned int depth;
};

static void fail(const struct reader *reader, const char *what)
{
	fprintf(stderr, "json: %s at byte %td: '%.20s'\n", what, reader->at - reader->text,
		reader->at);
	exit(EX_DATAERR);
}

static void space(struct reader *reader)
{
	while (*reader->at && strchr(" \t\r\n", *reader->at))
		reader->at++;
}

static void expect(struct reader *reader, char c)
{
	space(reader);
	if (*reader->at != c)
		fail(reader, "unexpected character");
	reader->at++;
	space(reader);
}

static bool accept(struct reader *reader, char c)
{
	space(reader);
	if (*reader->at != c)
		return false;
	reader->at++;
	space(reader);
	return true;
}

static unsigned int hex4(struct reader *reader)
{
	unsigned int value = 0;

	for (int i = 0; i < 4; i++) {
		char c = *reader->at;

		value <<= 4;
		if (c >= '0' && c <= '9')
			value += c - '0';
		else if (c >= 'a' && c <= 'f')
			value += c - 'a' + 10;
		else if (c >= 'A' && c <= 'F')
			value += c - 'A' + 10;
		else
			fail(reader, "bad \\u");
		reader->at++;
	}
	return value;
}

static char *utf8_put(char *out, unsigned int c)
{
	if (c < 0x80) {
		*out++ = c;
	} else if (c < 0x800) {
		*out++ = 0xc0 | c >> 6;
		*out++ = 0x80 | (c & 0x3f);
	} else if (c < 0x10000) {
		*out++ = 0xe0 | c >> 12;
		*out++ = 0x80 | ((c >> 6) & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	} else {
		*out++ = 0xf0 | c >> 18;
		*out++ = 0x80 | ((c >> 12) & 0x3f);
		*out++ = 0x80 | ((c >> 6) & 0x3f);
		*out++ = 0x80 | (c & 0x3f);
	}
	return out;
}

static char *escape(struct reader *reader, char *out)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";
	const char *found;
	unsigned int c;

	if (*reader->at == 'u') {
		reader->at++;
		c = hex4(reader);
		if (c >= 0xd800 && c < 0xdc00) {
			if (reader->at[0] != '\\' || reader->at[1] != 'u')
				fail(reader, "half a surrogate pair");
			reader->at += 2;
			c = 0x10000 + ((c - 0xd800) << 10) + (hex4(reader) - 0xdc00);
		}
		return utf8_put(out, c);
	}
	found = *reader->at ? strchr(from, *reader->at) : NULL;
	if (!found)
		fail(reader, "bad escape");
	reader->at++;
	*out++ = to[found - from];
	return out;
}

/* a string, decoded; free() it */
static char *string(struct reader *reader)
{
	char *text, *out;

	if (*reader->at != '"')
		fail(reader, "string expected");
	text = malloc(strlen(reader->at) + 1);
	if (!text)
		fail(reader, "out of memory");
	reader->at++;
	out = text;
	while (*reader->at != '"') {
		if ((unsigned char)*reader->at < 0x20)
			fail(reader, "control character in a string");
		if (*reader->at == '\\') {
			reader->at++;
			out = escape(reader, out);
		} else {
			*out++ = *reader->at++;
		}
	}
	reader->at++;
	*out = '\0';
	return text;
}

static void digits(struct reader *reader)
{
	if (*reader->at < '0' || *reader->at > '9')
		fail(reader, "digit expected");
	while (*reader->at >= '0' && *reader->at <= '9')
		reader->at++;
}

static void number(struct reader *reader)
{
	if (*reader->at == '-')
		reader->at++;
	if (*reader->at == '0')
		reader->at++;
	else
		digits(reader);
	if (*reader->at == '.') {
		reader->at++;
		digits(reader);
	}
	if (*reader->at == 'e' || *reader->at == 'E') {
		reader->at++;
		if (*reader->at == '+' || *reader->at == '-')
			reader->at++;
		digits(reader);
	}
}

static void skip(struct reader *reader);

static void skip_members(struct reader *reader, char end, bool keys)
{
	if (++reader->depth > DEPTH_MAX)
		fail(reader, "too deep");
	reader->at++;
	if (!accept(reader, end)) {
		do {
			if (keys) {
				space(reader);
				free(string(reader));
				expect(reader, ':');
			}
			skip(reader);
		} while (accept(reader, ','));
		expect(reader, end);
	}
	reader->depth--;
}

static void skip(struct reader *reader)
{
	static const char *const words[] = { "true", "false", "null" };

	space(reader);
	if (*reader->at == '{') {
		skip_members(reader, '}', true);
		return;
	}
	if (*reader->at == '[') {
		skip_members(reader, ']', false);
		return;
	}
	if (*reader->at == '"') {
		free(string(reader));
		return;
	}
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		if (strncmp(reader->at, words[i], strlen(words[i])) == 0) {
			reader->at += strlen(words[i]);
			return;
		}
	}
	number(reader);
}

/* stand before the value of @key */
static bool enter_key(struct reader *reader, const char *key, size_t len)
{
	space(reader);
	if (*reader->at != '{')
		return false;
	reader->at++;
	if (accept(reader, '}'))
		return false;
	do {
		char *name;
		bool same;

		space(reader);
		name = string(reader);
		same = strlen(name) == len && memcmp(name, key, len) == 0;
		free(name);
		expect(reader, ':');
		if (same)
			return true;
		skip(reader);
	} while (accept(reader, ','));
	return false;
}

static char *value_text(struct reader *reader)
{
	const char *start;

	space(reader);
	if (*reader->at == '"')
		return string(reader);
	start = reader->at;
	skip(reader);
	return strndup(start, reader->at - start);
}

static bool member_is(struct reader reader, const char *key, size_t key_len, const char *value,
		      size_t value_len)
{
	char *text;
	bool same;

	if (!enter_key(&reader, key, key_len))
		return false;
	text = value_text(&reader);
	same = text && strlen(text) == value_len && memcmp(text, value, value_len) == 0;
	free(text);
	return same;
}

/* @index of an array; the number of elements if it is behind the end */
static bool enter_element(struct reader *reader, const char *what, size_t len, size_t *ret_count)
{
	const char *equals = memchr(what, '=', len);
	size_t index = equals || *what == '#' ? SIZE_MAX : strtoul(what, NULL, 10);

	*ret_count = 0;
	space(reader);
	if (*reader->at != '[')
		return false;
	reader->at++;
	if (accept(reader, ']'))
		return false;
	do {
		space(reader);
		if (*ret_count == index)
			return true;
		if (equals && member_is(*reader, what, equals - what, equals + 1,
					what + len - equals - 1))
			return true;
		skip(reader);
		++*ret_count;
	} while (accept(reader, ','));
	return false;
}

static int find(struct reader *reader, const char *path)
{
	while (*path) {
		size_t len, count;

		if (*path == '.') {
			len = strcspn(path + 1, ".[");
			if (!enter_key(reader, path + 1, len))
				return 1;
			path += 1 + len;
		} else if (*path == '[' && strchr(path, ']')) {
			bool found;

			len = strcspn(path + 1, "]");
			found = enter_element(reader, path + 1, len, &count);
			if (path[1] == '#') {
				printf("%zu\n", count);
				return 0;
			}
			if (!found)
				return 1;
			path += len + 2;
		} else {
			fprintf(stderr, "json: bad path '%s'\n", path);
			return 64;
		}
	}
	char *text = value_text(reader);

	puts(text);
	free(text);
	return 0;
}

int main(int argc, char **argv)
{
	size_t room = 0;
	char *text = NULL;
	struct reader reader;
	ssize_t n;
	int r;

	n = getdelim(&text, &room, '\0', stdin);
	if (n <= 0 || strlen(text) != (size_t)n) {
		fprintf(stderr, "json: empty input, or a NUL in it\n");
		free(text);
		return EX_DATAERR;
	}
	reader = (struct reader){ .text = text, .at = text };
	skip(&reader);
	space(&reader);
	if (*reader.at)
		fail(&reader, "something behind the value");
	reader = (struct reader){ .text = text, .at = text };
	r = find(&reader, argc > 1 ? argv[1] : "");
	free(text);
	return r;
}
