/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The structs of the contract on their way in and out. Size and unknown tail are handled here;
 * what the fields mean is checked by each command.
 */
#ifndef LLM_ARGS_H
#define LLM_ARGS_H

#include <linux/types.h>
#include <linux/unaligned.h>

struct llm_call;

/** llm_args_zero() - Return: all these bytes are zero */
static inline bool llm_args_zero(const void *bytes, size_t len)
{
	const u8 *byte = bytes;
	u64 sum = 0;

	for (; len >= sizeof(sum); len -= sizeof(sum), byte += sizeof(sum))
		sum |= get_unaligned((const u64 *)byte);
	while (len--)
		sum |= *byte++;
	return !sum;
}

int llm_args_read(struct llm_call *call);
int llm_args_write(const struct llm_call *call);
int llm_args_write_part(const struct llm_call *call, size_t start, size_t end);
int llm_words_write(void __user *to, const void *from, size_t len);

#endif /* LLM_ARGS_H */
