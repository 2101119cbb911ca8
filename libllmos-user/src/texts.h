/* SPDX-License-Identifier: MIT */
/* Several texts in one payload, as LLM_PAYLOAD_BATCH has them. */
#ifndef LLMOS_TEXTS_H
#define LLMOS_TEXTS_H

#include "internal.h"

/**
 * llmos_texts_join() - the payload of (count) texts
 * @lens: bytes of each, NULL: they end with a NUL
 * @ret: free() it
 *
 * Return: 0; -EINVAL no text, -E2BIG more than a payload may have, -ENOMEM.
 */
int llmos_texts_join(struct llmos *llmos, const char *const *texts, const size_t *lens,
		     size_t count, uint8_t **ret, size_t *ret_len);

#endif /* LLMOS_TEXTS_H */
