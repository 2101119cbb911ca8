/* SPDX-License-Identifier: MIT */
/*
 * What commands work on: operands, standard input, token ids.
 */
#include <string.h>
#include <unistd.h>

#include "llmctl.h"

int input_join(struct bytes *bytes, int argc, char **argv)
{
	size_t len = 0;
	char *to;
	int i;

	for (i = 0; i < argc; i++)
		len += strlen(argv[i]) + 1;
	to = malloc(len + 1);
	if (!to)
		return -ENOMEM;
	bytes->data = to;
	for (i = 0; i < argc; i++) {
		if (i)
			*to++ = ' ';
		to = stpcpy(to, argv[i]);
	}
	*to = '\0';
	bytes->len = to - bytes->data;
	return 0;
}

bool input_is_terminal(void)
{
	return isatty(STDIN_FILENO);
}

int input_append_stdin(struct bytes *bytes, size_t max)
{
	size_t size = bytes->len + 1;
	ssize_t n;

	if (input_is_terminal())
		return 0;
	for (;;) {
		if (bytes->len + 1 >= size) {
			char *grown = realloc(bytes->data, size += size / 2 + 4096);

			if (!grown)
				return -ENOMEM;
			bytes->data = grown;
		}
		n = read(STDIN_FILENO, bytes->data + bytes->len, size - bytes->len - 1);
		if (n < 0 && errno == EINTR)
			continue;
		/* closed is as good as empty */
		if (n < 0 && errno != EBADF)
			return -errno;
		if (n <= 0)
			break;
		bytes->len += n;
		if (bytes->len > max)
			return -E2BIG;
	}
	bytes->data[bytes->len] = '\0';
	return 0;
}

int input_ids(const struct bytes *text, uint32_t **ret_ids, size_t *ret_count)
{
	_cleanup_free_ uint32_t *ids = NULL;
	size_t count = 0;
	char *word, *save = NULL;

	if (memchr(text->data, '\0', text->len))
		return fail(EX_DATAERR, "token ids: a NUL byte is not a number");
	/* at most one id for every other byte */
	ids = calloc(text->len / 2 + 1, sizeof(*ids));
	if (!ids)
		return fail(EX_OSERR, "token ids: %s", strerror(ENOMEM));
	for (word = strtok_r(text->data, " ,\t\r\n", &save); word;
	     word = strtok_r(NULL, " ,\t\r\n", &save)) {
		uint64_t id;
		int r = parse_u64(word, UINT32_MAX, &id);

		if (r < 0)
			return fail(EX_DATAERR, "token id '%.40s': %s", word, strerror(-r));
		ids[count++] = (uint32_t)id;
	}
	if (!count)
		return fail(EX_NOINPUT, "no token ids given");
	*ret_ids = ids;
	*ret_count = count;
	ids = NULL;
	return EX_OK;
}
