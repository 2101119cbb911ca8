/* SPDX-License-Identifier: MIT */
/* The same time for each text of a length; see read_time.h. */
#include "sched/read_time.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/utf8.h"

#define SAMPLES		15	/* texts; the median is not that of a busy neighbour */
#define SAMPLE_BYTES	1024
#define BASE_NS		5000	/* what a text takes however short it is */

/* tokens picked at random, so that no branch is foreseen; the same ones at each start */
static size_t sample_text(const struct tokenizer *tokenizer, uint64_t *random, char *text)
{
	const uint32_t vocab = tok_vocab(tokenizer);
	size_t at = 0, len;

	for (unsigned int tries = 0; tries < SAMPLE_BYTES; tries++) {
		const char *piece;

		*random = *random * 6364136223846793005ULL + 1442695040888963407ULL;
		piece = tok_piece(tokenizer, (uint32_t)((*random >> 33) % vocab), false, false, &len);
		/* half a character is no text */
		if (!piece || !len || !utf8_valid(piece, len))
			continue;
		if (len > SAMPLE_BYTES - at)
			break;
		memcpy(text + at, piece, len);
		at += len;
	}
	return at;
}

static int compare(const void *a, const void *b)
{
	const uint64_t *x = a, *y = b;

	return *x < *y ? -1 : *x > *y;
}

void read_time_measure(struct read_time *time, const struct tokenizer *tokenizer)
{
	struct tok_ids ids = { 0 };
	uint64_t samples[SAMPLES], random = 1;
	char text[SAMPLE_BYTES];

	time->kib_ns = 0;
	if (!tok_vocab(tokenizer))
		return;
	for (unsigned int i = 0; i < SAMPLES; i++) {
		const size_t len = sample_text(tokenizer, &random, text);
		const uint64_t begin = clock_ns();

		ids.count = 0;
		if (!len || tok_encode(tokenizer, text, len, 0, SIZE_MAX, &ids) < 0)
			goto out;
		samples[i] = (clock_ns() - begin) * SAMPLE_BYTES / len;
	}
	qsort(samples, SAMPLES, sizeof(*samples), compare);
	time->kib_ns = samples[SAMPLES / 2] * 5 / 4;
out:
	free(ids.ids);
}

void read_time_wait(const struct read_time *time, uint64_t begin_ns, size_t len)
{
	const uint64_t bytes = len < READ_TIME_BYTES ? len : READ_TIME_BYTES;
	const uint64_t until = begin_ns + BASE_NS + time->kib_ns * bytes / 1024;

	if (!time->kib_ns)
		return;
	while (clock_ns() < until)
		;
}
