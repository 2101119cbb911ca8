/* SPDX-License-Identifier: MIT */
/*
 * Values of GGUF keys: their sizes, loading them from unaligned bytes, and printing them for
 * people. What is printed comes from a stranger's file and goes to terminals and logs, so control
 * characters and broken UTF-8 are escaped.
 */
#include <endian.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/utf8.h"
#include "model/gguf_internal.h"

#define SHOWN_ELEMENTS	8	/* of an array */

size_t gguf_value_size(enum gguf_value_type type)
{
	switch (type) {
	case GGUF_U8:
	case GGUF_I8:
	case GGUF_BOOL:
		return 1;
	case GGUF_U16:
	case GGUF_I16:
		return 2;
	case GGUF_U32:
	case GGUF_I32:
	case GGUF_F32:
		return 4;
	case GGUF_U64:
	case GGUF_I64:
	case GGUF_F64:
		return 8;
	default:
		return 0;
	}
}

void gguf_value_load(struct gguf_key *key, const void *p)
{
	size_t size = gguf_value_size(key->type);
	uint64_t bits = 0;
	uint32_t word;
	float f;

	memcpy(&bits, p, size);
	bits = le64toh(bits);
	switch (key->type) {
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		key->i = (int64_t)(bits << (64 - 8 * size)) >> (64 - 8 * size);
		break;
	case GGUF_F32:
		word = (uint32_t)bits;
		memcpy(&f, &word, sizeof(f));
		key->f = (double)f;
		break;
	default:		/* a double is its bits */
		key->u = bits;
		break;
	}
}

/* ---- printing ---- */

struct printer {
	char *text;
	size_t size, len;	/* len may run past size: what does not fit is not written */
};

static _printf_(2, 3) void print(struct printer *p, const char *format, ...)
{
	size_t room = p->len < p->size ? p->size - p->len : 0;
	va_list ap;
	int n;

	va_start(ap, format);
	n = vsnprintf(room ? p->text + p->len : NULL, room, format, ap);
	va_end(ap);
	if (n > 0)
		p->len += (size_t)n;
}

static bool is_full(const struct printer *p)
{
	return p->len >= p->size;
}

static void print_string(struct printer *p, struct gguf_string s)
{
	size_t i = 0;

	while (i < s.len && !is_full(p)) {
		size_t n = utf8_next(s.data + i, s.len - i);
		unsigned char c = (unsigned char)s.data[i];
		/* U+0080 to U+009F are control characters too */
		bool is_c1 = n == 2 && c == 0xc2 && (unsigned char)s.data[i + 1] < 0xa0;

		if (c == '\n')
			print(p, "\\n");
		else if (c == '\t')
			print(p, "\\t");
		else if (!n || c < 0x20 || c == 0x7f || is_c1)
			print(p, "\\x%02x", c);
		else if (p->len + n >= p->size)
			break;	/* no half a character at the end */
		else
			print(p, "%.*s", (int)n, s.data + i);
		i += n && !is_c1 ? n : 1;
	}
}

struct gguf_shown gguf_show(struct gguf_string s)
{
	struct gguf_shown shown = { 0 };
	struct printer p = { .text = shown.text, .size = sizeof(shown.text) };

	print_string(&p, s);
	return shown;
}

static void print_scalar(struct printer *p, const struct gguf_key *key)
{
	switch (key->type) {
	case GGUF_I8:
	case GGUF_I16:
	case GGUF_I32:
	case GGUF_I64:
		print(p, "%" PRId64, key->i);
		break;
	case GGUF_F32:
	case GGUF_F64:
		print(p, "%.*g", key->type == GGUF_F32 ? 9 : 17, key->f);
		break;
	case GGUF_BOOL:
		print(p, "%s", key->u ? "true" : "false");
		break;
	case GGUF_STRING:
		print_string(p, key->string);
		break;
	default:
		print(p, "%" PRIu64, key->u);
		break;
	}
}

static void print_array(struct printer *p, const struct gguf_array *array)
{
	struct gguf_key element = { .type = array->type };
	size_t size = gguf_value_size(array->type);

	print(p, "[");
	for (size_t i = 0; i < array->count && i < SHOWN_ELEMENTS && !is_full(p); i++) {
		if (array->type == GGUF_STRING)
			element.string = array->strings[i];
		else
			gguf_value_load(&element, (const char *)array->data + i * size);
		print(p, "%s", i ? ", " : "");
		print_scalar(p, &element);
	}
	if (array->count > SHOWN_ELEMENTS)
		print(p, ", ... %" PRIu64 " in all", array->count);
	print(p, "]");
}

int gguf_key_print(const struct gguf *gguf, size_t index, char *key, size_t key_size, char *value,
		   size_t value_size)
{
	struct printer key_printer = { .text = key, .size = key_size };
	struct printer printer = { .text = value, .size = value_size };
	const struct gguf_key *found;

	if (index >= gguf->key_count)
		return -ENOENT;
	if (!key_size || !value_size)
		return -EINVAL;
	*key = *value = 0;
	found = &gguf->keys[index];
	print_string(&key_printer, found->name);
	if (found->type == GGUF_ARRAY)
		print_array(&printer, &found->array);
	else
		print_scalar(&printer, found);
	return 0;
}
