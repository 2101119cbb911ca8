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
#include <linux/llm.h>

#include "args.h"
#include "call.h"

static_assert(sizeof(struct llm_features) == 160);
static_assert(sizeof(struct llm_sampling) == 56);
static_assert(sizeof(struct llm_submit) == 224);
static_assert(sizeof(struct llm_read) == 120);
static_assert(sizeof(struct llm_submit_read) == 344);
static_assert(sizeof(struct llm_cancel) == 32);
static_assert(sizeof(struct llm_wait) == 48);
static_assert(sizeof(struct llm_request_info) == 176);
static_assert(sizeof(struct llm_list) == 56);
static_assert(sizeof(struct llm_event) == 264);
static_assert(sizeof(struct llm_fetch) == 40);
static_assert(sizeof(struct llm_pull) == 56);
static_assert(sizeof(struct llm_commit) == 112);
static_assert(sizeof(struct llm_setup) == 48);
static_assert(sizeof(struct llm_uring_cmd) == 16);

static_assert(offsetof(struct llm_features, submitted) == 64);
static_assert(offsetof(struct llm_submit, sampling) == 48);
static_assert(offsetof(struct llm_submit, id) == 168);
static_assert(offsetof(struct llm_read, submit_ns) == 56);
static_assert(offsetof(struct llm_wait, state) == 24);
static_assert(offsetof(struct llm_request_info, model) == 80);
static_assert(offsetof(struct llm_list, cursor) == 32);
static_assert(offsetof(struct llm_event, stop_len) == 176);
static_assert(offsetof(struct llm_pull, offset) == 32);
static_assert(offsetof(struct llm_commit, fetch_buf) == 64);

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
	err = copy_struct_from_user(&call->args, call->command->size, call->arg, call->size);
	if (err)
		return err;
	/* It may have been changed since. */
	*(u32 *)&call->args = call->size;
	return 0;
}

/** llm_args_write() - writes it back, as much as the caller knows; Return: 0; EFAULT */
int llm_args_write(const struct llm_call *call)
{
	size_t len = min_t(size_t, call->size, call->command->size);

	return copy_to_user(call->arg, &call->args, len) ? -EFAULT : 0;
}

/** llm_args_zero() - Return: all these bytes are zero */
bool llm_args_zero(const void *bytes, size_t len)
{
	return !memchr_inv(bytes, 0, len);
}
