/* SPDX-License-Identifier: MIT */
/* Messages on standard error; one write each, so that lines of two processes never mix. */
#include "base/log.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

#define LOG_LINE_MAX	512

static enum log_level log_max = LOG_INFO;
static bool log_to_journal;

/* JOURNAL_STREAM names the device and inode of the stream that the journal reads */
static bool log_stream_is_journal(void)
{
	const char *stream = getenv("JOURNAL_STREAM");
	unsigned long long dev, ino;
	struct stat st;

	if (!stream || sscanf(stream, "%llu:%llu", &dev, &ino) != 2)
		return false;
	if (fstat(STDERR_FILENO, &st) < 0)
		return false;
	return st.st_dev == dev && st.st_ino == ino;
}

void log_open(enum log_level max)
{
	log_max = max;
	log_to_journal = log_stream_is_journal();
}

bool log_is_journal(void)
{
	return log_to_journal;
}

/* a value in a message may come from a file or a client: no control bytes in a log */
static void log_clean(char *line, size_t len)
{
	size_t i;

	for (i = 0; i < len; i++)
		if ((unsigned char)line[i] < ' ' || line[i] == 0x7f)
			line[i] = '?';
}

void log_write(enum log_level level, const char *format, ...)
{
	char line[LOG_LINE_MAX];
	size_t head, len;
	va_list ap;
	int n;

	if (level > log_max)
		return;
	n = log_to_journal ? snprintf(line, sizeof(line), "<%d>", level) :
			     snprintf(line, sizeof(line), "llmosd: ");
	head = n;
	va_start(ap, format);
	n = vsnprintf(line + head, sizeof(line) - head - 1, format, ap);
	va_end(ap);
	n = MAX(n, 0);
	len = head + MIN((size_t)n, sizeof(line) - head - 2);
	log_clean(line + head, len - head);
	line[len++] = '\n';
	if (write(STDERR_FILENO, line, len) < 0)
		return;		/* nobody listens */
}
