/* SPDX-License-Identifier: MIT */
/* A scanner that knows Jinja's blocks and strings, and nothing else of the language. */
#include "tokenizer/jinja.h"

#include <ctype.h>
#include <string.h>

struct scanner {
	const char *text;
	size_t len, pos;
	char *out;			/* of at least 2 * len bytes: a newline becomes two */
	size_t n;
};

static bool is_at(const struct scanner *s, const char *what)
{
	size_t n = strlen(what);

	return s->len - s->pos >= n && !memcmp(s->text + s->pos, what, n);
}

static void put(struct scanner *s, char c)
{
	s->out[s->n++] = c ? c : ' ';
}

static void skip_comment(struct scanner *s)
{
	while (s->pos < s->len && !is_at(s, "#}"))
		s->pos++;
	s->pos = MIN(s->pos + 2, s->len);
}

/* at its opening quote */
static void scan_string(struct scanner *s)
{
	char quote = s->text[s->pos++];

	put(s, '\'');
	while (s->pos < s->len && s->text[s->pos] != quote) {
		char c = s->text[s->pos++];

		if (c == '\n') {
			put(s, '\\');
			put(s, 'n');
			continue;
		}
		put(s, c);
		if (c == '\\' && s->pos < s->len)
			put(s, s->text[s->pos++]);
	}
	put(s, '\'');
	s->pos = MIN(s->pos + 1, s->len);
}

/* ['name'] at the end of the output becomes .name */
static void join_field(struct scanner *s)
{
	size_t close = s->n - 2, i = close;

	if (s->n < 5 || s->out[close] != '\'')
		return;
	while (i && (isalnum((unsigned char)s->out[i - 1]) || s->out[i - 1] == '_'))
		i--;
	if (i < 2 || i == close || isdigit((unsigned char)s->out[i]) || s->out[i - 1] != '\'' ||
	    s->out[i - 2] != '[')
		return;
	s->out[i - 2] = '.';
	memmove(s->out + i - 1, s->out + i, close - i);
	s->n -= 3;
}

/* behind {{ or {% */
static void scan_block(struct scanner *s, const char *end)
{
	if (s->pos < s->len && s->text[s->pos] == '-')
		s->pos++;
	while (s->pos < s->len && !is_at(s, end)) {
		char c = s->text[s->pos];

		if (c == '\'' || c == '"') {
			scan_string(s);
			continue;
		}
		s->pos++;
		if (isspace((unsigned char)c) || (c == '-' && is_at(s, end)))
			continue;
		put(s, c);
		if (c == ']')
			join_field(s);
	}
}

char *jinja_normalise(const char *text, size_t len)
{
	struct scanner s = { .text = text, .len = len };
	size_t size;

	if (!size_mul(&size, len, 2) || !size_add(&size, size, 16))
		return NULL;
	s.out = malloc(size);
	if (!s.out)
		return NULL;
	while (s.pos < len) {
		const char *end = is_at(&s, "{{") ? "}}" : is_at(&s, "{%") ? "%}" : NULL;

		if (is_at(&s, "{#")) {
			skip_comment(&s);
			continue;
		}
		put(&s, s.text[s.pos++]);
		if (!end)
			continue;
		put(&s, s.text[s.pos++]);
		scan_block(&s, end);
		for (; *end && s.pos < len; end++)
			put(&s, s.text[s.pos++]);
	}
	s.out[s.n] = 0;
	return s.out;
}
