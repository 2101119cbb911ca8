// SPDX-License-Identifier: MIT
/*
 * The past of a session, as a broker hands it back: whatever it has been given, what is read lies
 * in it, and what was read is the same when it is written again.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sched/past.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_past: %s\n", what);
	abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	/* of its own size: a byte beyond it is found out */
	uint8_t *copy = calloc(1, size ? size : 1);
	struct bytes again = { 0 };
	struct past past;
	size_t i;
	int r;

	check(copy != NULL, "no memory");
	if (size)
		memcpy(copy, data, size);
	r = past_read(&past, copy, size);
	check(r == 0 || r == (size ? -EBADMSG : -ENOENT), "an error of its own");
	if (!r) {
		check(PAST_HEADER_BYTES + past.count * sizeof(uint32_t) == size, "tokens");
		check(*past.model && strnlen(past.model, sizeof(past.model)) < sizeof(past.model),
		      "the name of the model");
		check(!past_begin(&again, past.model, past.model_bytes), "no memory");
		for (i = 0; i < past.count; i++) {
			const uint32_t id = past_id(&past, i);

			check(!past_add(&again, &id, 1), "no memory");
		}
		check(again.len == size, "its length");
		/* what is behind the name's NUL is not read */
		check(!memcmp(bytes_data(&again) + PAST_HEADER_BYTES, copy + PAST_HEADER_BYTES,
			      size - PAST_HEADER_BYTES), "its tokens");
		bytes_free(&again);
	}
	free(copy);
	return 0;
}
