/* SPDX-License-Identifier: MIT */
/* Several texts in one payload; see texts.h. */
#include <errno.h>
#include <string.h>

#include "texts.h"

static int texts_len(struct llmos *llmos, const char *const *texts, const size_t *lens,
		     size_t count, size_t *ret_len)
{
	const size_t max = llmos->features.max_payload_bytes;
	size_t len = 0, i;

	if (!count)
		return llmos_fail(llmos, -EINVAL, "no text");
	for (i = 0; i < count; i++) {
		const size_t text = lens ? lens[i] : strlen(texts[i]);

		if (text > max || len + sizeof(uint32_t) > max - text)
			return llmos_fail(llmos, -E2BIG, "'%zu' texts (the limit is %zu bytes)",
					  count, max);
		len += sizeof(uint32_t) + text;
	}
	*ret_len = len;
	return 0;
}

int llmos_texts_join(struct llmos *llmos, const char *const *texts, const size_t *lens,
		     size_t count, uint8_t **ret, size_t *ret_len)
{
	uint8_t *at;
	size_t i;
	int r = texts_len(llmos, texts, lens, count, ret_len);

	if (r < 0)
		return r;
	at = malloc(*ret_len);
	if (!at)
		return llmos_fail(llmos, -ENOMEM, "texts");
	*ret = at;
	for (i = 0; i < count; i++) {
		const uint32_t len = lens ? lens[i] : strlen(texts[i]);

		at = mempcpy(at, &len, sizeof(len));
		at = mempcpy(at, texts[i], len);
	}
	return 0;
}
