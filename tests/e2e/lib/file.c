// SPDX-License-Identifier: MIT
/*
 * /dev/llm as a file. Reads are small, so that an answer takes many of them.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "file.h"

#define FILE_ROOM	(64 * 1024)

static int file_read_all(int fd, struct e2e_answer *answer)
{
	answer->text = calloc(1, FILE_ROOM);
	if (!answer->text)
		return -ENOMEM;
	for (;;) {
		size_t room = FILE_ROOM - 1 - answer->len;
		ssize_t n = read(fd, answer->text + answer->len, room < 100 ? room : 100);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : 0;
		answer->len += n;
		if (answer->progress)
			answer->progress(answer);
	}
}

int file_ask(struct e2e_answer *answer, const char *prompt)
{
	size_t len = strlen(prompt);
	int fd, r = 0;

	fd = open("/dev/llm", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (write(fd, prompt, len) != (ssize_t)len)
		r = -errno;
	if (r == 0)
		r = file_read_all(fd, answer);
	close(fd);
	return r;
}
