/* SPDX-License-Identifier: MIT */
/*
 * UTF-8 as Unicode defines it: no overlong forms, no surrogates, nothing past U+10FFFF. Checked
 * once at the door; what is behind it decodes without looking at bounds again.
 */
#ifndef LLMOS_BASE_UTF8_H
#define LLMOS_BASE_UTF8_H

#include "base/util.h"

#define UTF8_MAX	4		/* bytes of the longest character */

/** utf8_next() - length in bytes of the character at the start of @text, 0 if it is none */
size_t utf8_next(const char *text, size_t len);

/** utf8_valid() - is all of it UTF-8? Of no bytes: yes. */
bool utf8_valid(const char *text, size_t len);

/** utf8_len() - length in bytes of a character by its first byte; only in checked text */
static inline size_t utf8_len(char first)
{
	unsigned char c = (unsigned char)first;

	return c < 0xc0 ? 1 : c < 0xe0 ? 2 : c < 0xf0 ? 3 : 4;
}

/** utf8_decode() - the code point at @text; only in checked text */
static inline uint32_t utf8_decode(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	switch (utf8_len(*text)) {
	case 1:
		return p[0];
	case 2:
		return (p[0] & 0x1fU) << 6 | (p[1] & 0x3fU);
	case 3:
		return (p[0] & 0x0fU) << 12 | (p[1] & 0x3fU) << 6 | (p[2] & 0x3fU);
	default:
		return (p[0] & 0x07U) << 18 | (p[1] & 0x3fU) << 12 | (p[2] & 0x3fU) << 6 |
		       (p[3] & 0x3fU);
	}
}

/** utf8_encode() - write a code point into @buf of UTF8_MAX bytes; returns the length */
size_t utf8_encode(uint32_t code, char *buf);

#endif /* LLMOS_BASE_UTF8_H */
