/* SPDX-License-Identifier: MIT */
/*
 * Byte strings that grow, and where a stream of UTF-8 may be cut.
 */
#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "text.h"

int llmos_text_append(struct llmos_text *text, const char *bytes, size_t len)
{
	size_t size = text->size ? text->size : 256;
	char *grown;

	if (len > LLMOS_TEXT_MAX - text->len)
		return -EMSGSIZE;
	/* one more, so that it can always be terminated */
	while (size < text->len + len + 1)
		size *= 2;
	if (size != text->size) {
		grown = realloc(text->bytes, size);
		if (!grown)
			return -ENOMEM;
		text->bytes = grown;
		text->size = size;
	}
	if (len)
		memcpy(text->bytes + text->len, bytes, len);
	text->len += len;
	return 0;
}

void llmos_text_consume(struct llmos_text *text, size_t len)
{
	if (!len)
		return;
	memmove(text->bytes, text->bytes + len, text->len - len);
	text->len -= len;
}

void llmos_text_done(struct llmos_text *text)
{
	free(text->bytes);
	*text = (struct llmos_text){ 0 };
}

char *llmos_text_take(struct llmos_text *text)
{
	char *bytes;

	if (llmos_text_append(text, "", 0) < 0)
		return NULL;
	bytes = text->bytes;
	bytes[text->len] = '\0';
	*text = (struct llmos_text){ 0 };
	return bytes;
}

/* bytes of the character that @lead begins, 0 if none can begin with it (RFC 3629) */
static size_t utf8_expected(unsigned char lead)
{
	if (lead < 0x80)
		return 1;
	if (lead >= 0xc2 && lead <= 0xdf)
		return 2;
	if (lead >= 0xe0 && lead <= 0xef)
		return 3;
	if (lead >= 0xf0 && lead <= 0xf4)
		return 4;
	return 0;
}

/* can @second follow @lead? Excludes overlong forms, surrogates and what is past U+10FFFF */
static bool utf8_second_fits(unsigned char lead, unsigned char second)
{
	switch (lead) {
	case 0xe0: return second >= 0xa0 && second <= 0xbf;
	case 0xed: return second >= 0x80 && second <= 0x9f;
	case 0xf0: return second >= 0x90 && second <= 0xbf;
	case 0xf4: return second >= 0x80 && second <= 0x8f;
	default:   return second >= 0x80 && second <= 0xbf;
	}
}

size_t llmos_utf8_whole(const char *bytes, size_t len)
{
	size_t tail;

	for (tail = 1; tail <= 3 && tail <= len; tail++) {
		const unsigned char *lead = (const unsigned char *)bytes + len - tail;

		if ((*lead & 0xc0) == 0x80)
			continue;
		if (utf8_expected(*lead) <= tail)
			return len;
		if (tail > 1 && !utf8_second_fits(*lead, lead[1]))
			return len;
		return len - tail;
	}
	return len;
}
