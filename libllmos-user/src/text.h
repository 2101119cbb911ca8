/* SPDX-License-Identifier: MIT */
/*
 * Growing byte strings, and the cut of UTF-8 streams at character boundaries. Used by the
 * requests of a connection; no state of their own.
 */
#ifndef LLMOS_TEXT_H
#define LLMOS_TEXT_H

#include <stddef.h>

/* an answer is never held in memory past this */
#define LLMOS_TEXT_MAX	(64U * 1024 * 1024)

/** struct llmos_text - a byte string that grows; all zero is the empty one */
struct llmos_text {
	char *bytes;
	size_t len;
	size_t size;
};

/* Return: 0; -ENOMEM; -EMSGSIZE it would pass LLMOS_TEXT_MAX */
int llmos_text_append(struct llmos_text *text, const char *bytes, size_t len);
/* remove from the front */
void llmos_text_consume(struct llmos_text *text, size_t len);
void llmos_text_done(struct llmos_text *text);
/* give the bytes away, NUL-terminated; the text is empty afterwards; NULL: no memory */
char *llmos_text_take(struct llmos_text *text);

/*
 * How many of the bytes can be handed out without cutting a character: all but a tail of up to
 * three bytes that more bytes could complete. Bytes that are no UTF-8 count as whole.
 */
size_t llmos_utf8_whole(const char *bytes, size_t len);

#endif /* LLMOS_TEXT_H */
