/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structs of the contract on their way in and out. Size and unknown tail are handled here;
 * what the fields mean is checked by each command.
 */
#ifndef LLM_ARGS_H
#define LLM_ARGS_H

#include <linux/types.h>

struct llm_call;

int llm_args_read(struct llm_call *call);
int llm_args_write(const struct llm_call *call);
bool llm_args_zero(const void *bytes, size_t len);

#endif /* LLM_ARGS_H */
