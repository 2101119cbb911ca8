/* SPDX-License-Identifier: MIT */
/*
 * Writes answers as they come and shows foreign text safely.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <wchar.h>

#include "term.h"

bool term_is_terminal(void)
{
	return isatty(STDOUT_FILENO);
}

size_t term_columns(void)
{
	struct winsize size;

	if (!term_is_terminal())
		return SIZE_MAX;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) < 0 || size.ws_col < 20)
		return 80;
	return size.ws_col;
}

/* smallest character that takes this many bytes: anything below is overlong */
static const int32_t utf8_least[] = { 0, 0, 0x80, 0x800, 0x10000 };

size_t utf8_next(const char *text, size_t len, int32_t *ret_character)
{
	const unsigned char *bytes = (const unsigned char *)text;
	size_t need, i;
	int32_t c;

	if (!len)
		return 0;
	need = bytes[0] < 0x80 ? 1 : bytes[0] >= 0xf0 ? 4 : bytes[0] >= 0xe0 ? 3 : 2;
	*ret_character = -1;
	if ((bytes[0] & 0xc0) == 0x80 || bytes[0] > 0xf4 || need > len)
		return 1;
	c = need == 1 ? bytes[0] : bytes[0] & (0x7f >> need);
	for (i = 1; i < need; i++) {
		if ((bytes[i] & 0xc0) != 0x80)
			return 1;
		c = c << 6 | (bytes[i] & 0x3f);
	}
	if (c < utf8_least[need] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
		return 1;
	*ret_character = c;
	return need;
}

/* C0, DEL, C1, and the ones that reorder what is around them */
static bool is_control(int32_t c)
{
	return c < 0x20 || (c >= 0x7f && c < 0xa0) || (c >= 0x202a && c <= 0x202e) ||
	       (c >= 0x2066 && c <= 0x2069);
}

size_t term_width(const char *text, size_t len)
{
	size_t columns = 0, n;
	int32_t c;

	for (; (n = utf8_next(text, len, &c)); text += n, len -= n) {
		int width = c < 0 ? 1 : wcwidth((wchar_t)c);

		/* a locale that does not know it will show something of one column */
		columns += width < 0 ? 1 : (size_t)width;
	}
	return columns;
}

/* "\x1b\x5b"; Return: bytes written, four for each */
static size_t escape(char *to, const char *bytes, size_t len)
{
	static const char digits[] = "0123456789abcdef";
	size_t i;

	for (i = 0; i < len; i++) {
		*to++ = '\\';
		*to++ = 'x';
		*to++ = digits[(unsigned char)bytes[i] >> 4];
		*to++ = digits[(unsigned char)bytes[i] & 15];
	}
	return 4 * len;
}

void term_clean(char *to, size_t size, const char *text, size_t len)
{
	size_t n;
	int32_t c;

	/* a character takes 16 bytes at most, and the NUL one */
	for (; size > 16 && (n = utf8_next(text, len, &c)); text += n, len -= n) {
		size_t m = n;

		if (is_control(c))
			m = escape(to, text, n);
		else
			memcpy(to, text, n);
		to += m;
		size -= m;
	}
	*to = '\0';
}

int term_flush(void)
{
	if (fflush(stdout) || ferror(stdout))
		return errno ? -errno : -EIO;
	return 0;
}

/* a terminal or pipe that somebody else has made non-blocking is full for a while */
static bool waits_for_room(int error)
{
	struct pollfd room = { .fd = STDOUT_FILENO, .events = POLLOUT };

	return error == EAGAIN && (poll(&room, 1, -1) > 0 || errno == EINTR);
}

int term_write(const void *bytes, size_t len)
{
	const char *at = bytes;
	ssize_t n;

	while (len) {
		n = write(STDOUT_FILENO, at, len);
		if (n < 0 && (errno == EINTR || waits_for_room(errno)))
			continue;
		if (n < 0)
			return -errno;
		at += n;
		len -= n;
	}
	return 0;
}

int term_write_text(const char *text, size_t len)
{
	char shown[1024];
	size_t used = 0, n;
	int32_t c;
	int r;

	if (!term_is_terminal())
		return term_write(text, len);
	for (; (n = utf8_next(text, len, &c)); text += n, len -= n) {
		if (used + 16 > sizeof(shown)) {
			r = term_write(shown, used);
			if (r < 0)
				return r;
			used = 0;
		}
		if (is_control(c) && c != '\n' && c != '\t') {
			used += escape(shown + used, text, n);
		} else {
			memcpy(shown + used, text, n);
			used += n;
		}
	}
	return term_write(shown, used);
}
