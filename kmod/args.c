// SPDX-License-Identifier: GPL-2.0-only
/*
 * The structs of the contract on their way in and out: see args.h. The asserts are the contract's
 * layout: it can grow at the ends that its sizes announce, and change nowhere.
 */
#include <linux/build_bug.h>
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/stddef.h>
#include <linux/string.h>
#include <linux/uaccess.h>
#include <linux/unaligned.h>
#include <linux/llm.h>

#include "args.h"
#include "call.h"

static_assert(sizeof(struct llm_features) == 160);
static_assert(sizeof(struct llm_sampling) == 56);
static_assert(sizeof(struct llm_option) == 8);
static_assert(sizeof(struct llm_submit) == 224);
static_assert(sizeof(struct llm_read) == 120);
static_assert(sizeof(struct llm_submit_read) == 344);
static_assert(sizeof(struct llm_register) == 64);
static_assert(sizeof(struct llm_unregister) == 32);
static_assert(sizeof(struct llm_session_cmd) == 144);
static_assert(sizeof(struct llm_cancel) == 32);
static_assert(sizeof(struct llm_wait) == 48);
static_assert(sizeof(struct llm_request_info) == 176);
static_assert(sizeof(struct llm_list) == 56);
static_assert(sizeof(struct llm_event) == 344);
static_assert(sizeof(struct llm_fetch) == 40);
static_assert(sizeof(struct llm_pull) == 56);
static_assert(sizeof(struct llm_commit) == 112);
static_assert(sizeof(struct llm_region) == 32);
static_assert(sizeof(struct llm_setup) == 48);
static_assert(sizeof(struct llm_charge) == 64);
static_assert(sizeof(struct llm_uring_cmd) == 16);

static_assert(offsetof(struct llm_features, submitted) == 64);
static_assert(offsetof(struct llm_submit, sampling) == 48);
static_assert(offsetof(struct llm_submit, id) == 168);
static_assert(offsetof(struct llm_submit, session) == 180);
static_assert(offsetof(struct llm_read, submit_ns) == 56);
static_assert(offsetof(struct llm_wait, state) == 24);
static_assert(offsetof(struct llm_request_info, model) == 80);
static_assert(offsetof(struct llm_list, cursor) == 32);
static_assert(offsetof(struct llm_event, stop_len) == 176);
static_assert(offsetof(struct llm_event, session) == 312);
static_assert(offsetof(struct llm_pull, offset) == 32);
static_assert(offsetof(struct llm_commit, fetch_buf) == 64);
static_assert(offsetof(struct llm_commit, session) == 88);

/* Copies words from or to the caller, four at a time; jumps to @fault. */
#define llm_words_each(copy, count, fault)						\
	do {										\
		size_t i_ = 0;								\
											\
		for (; i_ + 4 <= (count); i_ += 4) {					\
			copy(i_, fault);						\
			copy(i_ + 1, fault);						\
			copy(i_ + 2, fault);						\
			copy(i_ + 3, fault);						\
		}									\
		for (; i_ < (count); i_++)						\
			copy(i_, fault);						\
	} while (0)

/* word @i between what the two functions below call @to and @from */
#define llm_word_read(i, fault) unsafe_get_user(to[i], &from[i], fault)
#define llm_word_write(i, fault)							\
	unsafe_put_user(get_unaligned((const u64 *)from + (i)), (u64 __user *)to + (i), fault)

/*
 * A struct is short and made of words: copying it as such is quicker than what suits any memory.
 * Return: 0; EFAULT.
 */
static int llm_words_read(u64 *to, const u64 __user *from, size_t count)
{
	if (!user_read_access_begin(from, count * sizeof(*from)))
		return -EFAULT;
	llm_words_each(llm_word_read, count, fault);
	user_read_access_end();
	return 0;
fault:
	user_read_access_end();
	return -EFAULT;
}

/**
 * llm_words_write() - copies a struct, or a part of one, to its reader
 * @to: where
 * @from: aligned to 4 bytes
 * @len: bytes, a multiple of 4
 *
 * Context: sleeps.
 * Return: 0; EFAULT.
 */
int llm_words_write(void __user *to, const void *from, size_t len)
{
	const size_t count = len / sizeof(u64);

	if (!user_write_access_begin(to, len))
		return -EFAULT;
	llm_words_each(llm_word_write, count, fault);
	if (len % sizeof(u64))
		unsafe_put_user(*((const u32 *)from + 2 * count), (u32 __user *)to + 2 * count,
				fault);
	user_write_access_end();
	return 0;
fault:
	user_write_access_end();
	return -EFAULT;
}

/**
 * llm_args_read() - reads the caller's struct
 * @call: its args and size are filled in
 *
 * Context: sleeps.
 * Return: 0; EINVAL shorter than any struct, E2BIG longer than what is known and not zero there,
 * or longer than a page, EFAULT.
 */
int llm_args_read(struct llm_call *call)
{
	int err;

	if (get_user(call->size, (u32 __user *)call->arg))
		return -EFAULT;
	if (call->size < 2 * sizeof(u32))
		return -EINVAL;
	if (call->size > PAGE_SIZE)
		return -E2BIG;
	if (call->size == call->command->size && call->size % sizeof(u64) == 0)
		err = llm_words_read((u64 *)&call->args, call->arg, call->size / sizeof(u64));
	else
		err = copy_struct_from_user(&call->args, call->command->size, call->arg,
					    call->size);
	if (err)
		return err;
	/* It may have been changed since. */
	*(u32 *)&call->args = call->size;
	return 0;
}

/** llm_args_write() - writes it back, as much as the caller knows; Return: 0; EFAULT */
int llm_args_write(const struct llm_call *call)
{
	return llm_args_write_part(call, 0, call->command->size);
}

/**
 * llm_args_write_part() - writes back some of it
 * @call: the rest of its struct is as the caller has it
 * @start: first byte
 * @end: behind the last one; what the caller does not know of is left out
 *
 * Context: sleeps.
 * Return: 0; EFAULT.
 */
int llm_args_write_part(const struct llm_call *call, size_t start, size_t end)
{
	end = min_t(size_t, end, call->size);
	if (start >= end)
		return 0;
	if (start % sizeof(u32) == 0 && end % sizeof(u32) == 0)
		return llm_words_write(call->arg + start, (const u8 *)&call->args + start,
				       end - start);
	return copy_to_user(call->arg + start, (const u8 *)&call->args + start, end - start) ?
	       -EFAULT : 0;
}
