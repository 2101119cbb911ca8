/* SPDX-License-Identifier: MIT */
/*
 * A writer of JSON (RFC 8259), for output only.
 */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "json.h"
#include "term.h"

/* Return: all of it was UTF-8 */
static bool json_quoted(const char *text, size_t len)
{
	bool whole = true;
	size_t n;
	int32_t c;

	putchar('"');
	for (; (n = utf8_next(text, len, &c)); text += n, len -= n) {
		if (c < 0) {
			fputs("\\ufffd", stdout);
			whole = false;
		} else if (c == '"' || c == '\\') {
			printf("\\%c", (char)c);
		} else if (c == '\n') {
			fputs("\\n", stdout);
		} else if (c < 0x20 || c == 0x7f || (c >= 0x80 && c < 0xa0)) {
			printf("\\u%04x", (unsigned int)c);
		} else {
			fwrite(text, 1, n, stdout);
		}
	}
	putchar('"');
	return whole;
}

static void json_key(struct json *json, const char *key)
{
	if (json->comma)
		putchar(',');
	json->comma = true;
	if (!key)
		return;
	json_quoted(key, strlen(key));
	putchar(':');
}

void json_object(struct json *json, const char *key)
{
	json_key(json, key);
	putchar('{');
	json->comma = false;
}

void json_end_object(struct json *json)
{
	putchar('}');
	json->comma = true;
}

void json_array(struct json *json, const char *key)
{
	json_key(json, key);
	putchar('[');
	json->comma = false;
}

void json_end_array(struct json *json)
{
	putchar(']');
	json->comma = true;
}

void json_string(struct json *json, const char *key, const char *text)
{
	json_key(json, key);
	json_quoted(text, strlen(text));
}

void json_text(struct json *json, const char *key, const char *text, size_t len)
{
	size_t i;

	json_key(json, key);
	if (json_quoted(text, len))
		return;
	json_array(json, "bytes");
	for (i = 0; i < len; i++)
		json_number(json, NULL, (unsigned char)text[i]);
	json_end_array(json);
}

void json_number(struct json *json, const char *key, uint64_t number)
{
	json_key(json, key);
	printf("%" PRIu64, number);
}

void json_real(struct json *json, const char *key, double number)
{
	json_key(json, key);
	if (isfinite(number))
		printf("%.9g", number);
	else
		fputs("null", stdout);
}

void json_bool(struct json *json, const char *key, bool value)
{
	json_key(json, key);
	fputs(value ? "true" : "false", stdout);
}

void json_null(struct json *json, const char *key)
{
	json_key(json, key);
	fputs("null", stdout);
}

int json_done(struct json *json)
{
	putchar('\n');
	json->comma = false;
	return term_flush();
}
