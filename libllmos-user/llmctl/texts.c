/* SPDX-License-Identifier: MIT */
/* Texts that commands work on one by one; see texts.h. */
#include "texts.h"

#include <string.h>

/* of one request: its answer stays small, and is printed before the next are asked */
#define REQUEST_TEXTS_MAX	1024

void texts_free(struct texts *texts)
{
	free(texts->items);
	free(texts->lens);
	free(texts->input.data);
}

static int texts_add(struct texts *texts, size_t *capacity, const char *text, size_t len)
{
	if (texts->count == *capacity) {
		const size_t wanted = 2 * *capacity + 16;
		const char **items = reallocarray(texts->items, wanted, sizeof(*items));
		size_t *lens;

		if (!items)
			return -ENOMEM;
		texts->items = items;
		lens = reallocarray(texts->lens, wanted, sizeof(*lens));
		if (!lens)
			return -ENOMEM;
		texts->lens = lens;
		*capacity = wanted;
	}
	texts->items[texts->count] = text;
	texts->lens[texts->count++] = len;
	return 0;
}

/* what stands before each @end, and behind the last one */
static int texts_split(struct texts *texts, char end)
{
	const char *at = texts->input.data, *last = at + texts->input.len;
	size_t capacity = 0;
	int r = 0;

	while (!r && at < last) {
		const char *stop = memchr(at, end, last - at);

		r = texts_add(texts, &capacity, at, (stop ? stop : last) - at);
		at = stop ? stop + 1 : last;
	}
	return r;
}

int texts_read(struct texts *texts, bool nul, int argc, char **argv)
{
	size_t capacity = 0;
	int i, r = 0;

	for (i = 0; i < argc && !r; i++)
		r = texts_add(texts, &capacity, argv[i], strlen(argv[i]));
	if (!argc && input_is_terminal())
		return fail_operands("no text given");
	if (!argc) {
		texts->input.data = calloc(1, 1);
		r = texts->input.data ? 0 : -ENOMEM;
		if (!r)
			r = input_append_stdin(&texts->input, INPUT_BYTES_MAX);
		if (!r)
			r = texts_split(texts, nul ? '\0' : '\n');
	}
	if (r == -E2BIG)
		return fail(EX_DATAERR, "standard input: more than %u bytes", INPUT_BYTES_MAX);
	if (r < 0)
		return fail(exit_code(r), "standard input: %s", strerror(-r));
	return texts->count ? EX_OK : fail(EX_NOINPUT, "no text given");
}

size_t texts_fit(const struct texts *texts, size_t first, size_t max)
{
	size_t count = 0, bytes = 0;

	while (first + count < texts->count && count < REQUEST_TEXTS_MAX) {
		const size_t len = sizeof(uint32_t) + texts->lens[first + count];

		if (count && (len > max || bytes > max - len))
			break;
		bytes += len;
		count++;
	}
	return count;
}
