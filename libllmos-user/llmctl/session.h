/* SPDX-License-Identifier: MIT */
/* The session that a command goes on with. */
#ifndef LLMCTL_SESSION_H
#define LLMCTL_SESSION_H

#include "llmctl.h"

#define SAVED_MAX	(8U << 20)	/* bytes of a saved session */

static inline void session_freep(struct llmos_session **session)
{
	llmos_session_free(*session);
}

/* --session, else $LLMOS_SESSION, else NULL; Return: exit code, said what */
int session_open(const struct options *options, struct llmos_session **ret);
/*
 * What llmctl session save has written; @text is changed, and *ret_model a part of it.
 * Return: exit code, said what
 */
int session_saved_parse(struct bytes *text, const char **ret_model, uint32_t **ret_ids,
			size_t *ret_count);

#endif /* LLMCTL_SESSION_H */
