/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Bytes of an answer on their way to a reader.
 */
#ifndef LLM_READ_H
#define LLM_READ_H

#include <linux/types.h>

#include "bytes.h"

struct llm_request;
struct llm_trash;

/**
 * struct llm_answer - what was detached
 * @req: from which; with a reference
 * @bytes: at least @len of them
 * @len: bytes to copy
 * @last: there will be no more
 */
struct llm_answer {
	struct llm_request *req;
	struct llm_bytes bytes;
	u32 len;
	bool last;
};

void llm_answer_detach(struct llm_request *req, u32 room, struct llm_answer *ret_answer);
void llm_answer_finish(struct llm_answer *answer, bool taken, bool forget,
		       struct llm_trash *trash);

#endif /* LLM_READ_H */
