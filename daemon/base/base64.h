/* SPDX-License-Identifier: MIT */
/* Base64 as RFC 4648 has it, with padding: how JSON files write bytes. */
#ifndef LLMOS_BASE_BASE64_H
#define LLMOS_BASE_BASE64_H

#include "base/util.h"

/** base64_room() - bytes that @len characters stand for, at most */
static inline size_t base64_room(size_t len)
{
	return len / 4 * 3;
}

/**
 * base64_decode() - the bytes of a text
 * @to: base64_room(@len) bytes
 * @ret_len: how many there are
 *
 * Return: 0; -EINVAL it is none: another character, missing padding, bits behind the last byte.
 */
int base64_decode(const char *text, size_t len, uint8_t *to, size_t *ret_len);

#endif /* LLMOS_BASE_BASE64_H */
