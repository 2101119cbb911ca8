/* SPDX-License-Identifier: MIT */
/* What a request asks about, as the ids that the model sees. */
#ifndef LLMOS_SCHED_PROMPT_H
#define LLMOS_SCHED_PROMPT_H

#include "ipc/ipc.h"
#include "sched/models.h"

/**
 * prompt_encode() - a request's payload as token ids
 * @model: open
 * @event: op, payload type and flags say how to read it
 * @ids: out, appended to; what is there is what was said before: the payload goes on from that
 * @ret_fresh: out, what the model says next begins a text of its own
 *
 * Return: 0; -EINVAL, -EILSEQ, -EOPNOTSUPP, -ENOMEM, each with its text.
 */
int prompt_encode(const struct model *model, const struct llm_event *event,
		  const uint8_t *payload, struct tok_ids *ids, bool *ret_fresh,
		  struct error *error);

#endif /* LLMOS_SCHED_PROMPT_H */
