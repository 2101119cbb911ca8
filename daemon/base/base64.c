/* SPDX-License-Identifier: MIT */
/* Decoding base64; see base64.h. */
#include "base/base64.h"

/* what a character stands for, -1: nothing */
static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

/* of a text's last four characters, how many are padding */
static size_t padding(const char *text, size_t len)
{
	if (!len || text[len - 1] != '=')
		return 0;
	return text[len - 2] == '=' ? 2 : 1;
}

int base64_decode(const char *text, size_t len, uint8_t *to, size_t *ret_len)
{
	const size_t pad = len % 4 ? 0 : padding(text, len), digits = len - pad;
	uint32_t bits = 0;
	size_t n = 0;

	if (len % 4)
		return -EINVAL;
	for (size_t i = 0; i < digits; i++) {
		const int d = digit(text[i]);

		if (d < 0)
			return -EINVAL;
		bits = bits << 6 | (uint32_t)d;
		/* a byte is whole with each digit of four but the first */
		if (i % 4)
			to[n++] = (uint8_t)(bits >> (6 - i % 4 * 2));
	}
	if (pad && bits & (pad == 1 ? 3 : 15))
		return -EINVAL;
	*ret_len = n;
	return 0;
}
