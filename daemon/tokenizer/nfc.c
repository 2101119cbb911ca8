/* SPDX-License-Identifier: MIT */
/*
 * Forms C and KC: decompose, order the marks on each letter by their classes, compose. The library's
 * own ordering takes the square of the number of marks, and texts are hostile, so it is done here.
 */
#include "tokenizer/nfc.h"

#include <string.h>
#include <utf8proc.h>

#include "base/utf8.h"

#define DECOMPOSED_MAX	18	/* code points of one character, at most */
#define FIRST_UNSTABLE	0x300	/* no code point below composes with what is before it */

bool nfc_is_plain(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i += utf8_len(text[i]))
		if ((unsigned char)text[i] >= 0xcc && utf8_decode(text + i) >= FIRST_UNSTABLE)
			return false;
	return true;
}

static unsigned int mark_class(utf8proc_int32_t code)
{
	return (unsigned int)utf8proc_get_property(code)->combining_class & 0xff;
}

/* by class, those of one class in their order: marks have 255 classes */
static void order_marks(utf8proc_int32_t *codes, utf8proc_int32_t *copy, size_t count)
{
	size_t at[257] = { 0 };

	for (size_t i = 0; i < count; i++)
		at[mark_class(codes[i]) + 1]++;
	for (size_t i = 1; i < ARRAY_SIZE(at); i++)
		at[i] += at[i - 1];
	for (size_t i = 0; i < count; i++)
		copy[at[mark_class(codes[i])]++] = codes[i];
	memcpy(codes, copy, count * sizeof(*codes));
}

/* few marks are ordered in place: most letters have one or two */
static void order_run(utf8proc_int32_t *codes, utf8proc_int32_t *copy, size_t count)
{
	if (count > 64) {
		order_marks(codes, copy, count);
		return;
	}
	for (size_t i = 1; i < count; i++) {
		utf8proc_int32_t code = codes[i];
		size_t j = i;

		for (; j && mark_class(codes[j - 1]) > mark_class(code); j--)
			codes[j] = codes[j - 1];
		codes[j] = code;
	}
}

static void order_all(utf8proc_int32_t *codes, utf8proc_int32_t *copy, size_t count)
{
	for (size_t i = 0, end; i < count; i = end + 1) {
		for (end = i; end < count && mark_class(codes[end]); end++)
			;
		if (end - i > 1)
			order_run(codes + i, copy, end - i);
	}
}

static int decompose(const char *text, size_t len, utf8proc_option_t form, utf8proc_int32_t *codes,
		     size_t max, size_t *ret_count)
{
	size_t count = 0;
	int boundary = 0;

	for (size_t i = 0; i < len; i += utf8_len(text[i])) {
		utf8proc_int32_t code = (utf8proc_int32_t)utf8_decode(text + i);
		utf8proc_ssize_t n;

		if (max - count < DECOMPOSED_MAX)
			return -E2BIG;
		n = utf8proc_decompose_char(code, codes + count, DECOMPOSED_MAX,
					    form, &boundary);
		if (n < 0 || n > DECOMPOSED_MAX) {
			codes[count] = code;
			n = 1;
		}
		count += (size_t)n;
	}
	*ret_count = count;
	return 0;
}

/* what a character becomes, at most: canonically, four */
static size_t decomposed_one(uint32_t code, utf8proc_option_t form)
{
	utf8proc_int32_t codes[DECOMPOSED_MAX];
	utf8proc_ssize_t n;
	int boundary = 0;

	if (code < 0x80)
		return 1;
	if (!(form & UTF8PROC_COMPAT))
		return 4;
	n = utf8proc_decompose_char((utf8proc_int32_t)code, codes, DECOMPOSED_MAX, form, &boundary);
	return n < 1 || n > DECOMPOSED_MAX ? 1 : (size_t)n;
}

/* the characters of @text, and what they decompose into, at most */
static size_t decomposed_max(const char *text, size_t len, utf8proc_option_t form)
{
	size_t n = DECOMPOSED_MAX;

	for (size_t i = 0; i < len; i += utf8_len(text[i]))
		n += decomposed_one(utf8_decode(text + i), form);
	return n;
}

static int normalise(const char *text, size_t len, utf8proc_option_t form, char **ret,
		     size_t *ret_len)
{
	_cleanup_free_ utf8proc_int32_t *codes = NULL;
	_cleanup_free_ char *out = NULL;
	size_t max, count = 0, n = 0, bytes;
	utf8proc_ssize_t composed;
	int r;

	if (len > SIZE_MAX / 64)
		return -E2BIG;
	max = decomposed_max(text, len, form);
	if (!size_mul(&bytes, max, 2 * sizeof(*codes)))
		return -E2BIG;
	codes = malloc(bytes);
	if (!codes)
		return -ENOMEM;
	r = decompose(text, len, form, codes, max, &count);
	if (r < 0)
		return r;
	order_all(codes, codes + max, count);
	composed = utf8proc_normalize_utf32(codes, (utf8proc_ssize_t)count,
					    UTF8PROC_COMPOSE | UTF8PROC_STABLE);
	if (composed < 0)
		return -ENOMEM;
	out = malloc((size_t)composed * UTF8_MAX + 1);
	if (!out)
		return -ENOMEM;
	for (utf8proc_ssize_t i = 0; i < composed; i++)
		n += utf8_encode((uint32_t)codes[i], out + n);
	*ret = steal_ptr(out);
	*ret_len = n;
	return 0;
}

int nfc_normalise(const char *text, size_t len, char **ret, size_t *ret_len)
{
	return normalise(text, len, UTF8PROC_DECOMPOSE, ret, ret_len);
}

int nfkc_normalise(const char *text, size_t len, char **ret, size_t *ret_len)
{
	return normalise(text, len, UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT, ret, ret_len);
}
