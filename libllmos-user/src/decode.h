/* SPDX-License-Identifier: MIT */
/*
 * What the kernel's messages say: attributes of <linux/llm_netlink.h> read into the structs of
 * llmos.h, and quotas written as attributes. What a kernel does not send is left at its default,
 * what this library does not know is passed over.
 */
#ifndef LLMOS_DECODE_H
#define LLMOS_DECODE_H

#include "llmos.h"

struct nl_msg;
struct nlattr;

/* Return: 0; -EPROTO attributes that are malformed, or those a group can not be without missing */
int llmos_decode_group(struct nlattr *attrs, int len, struct llmos_group *ret);
int llmos_decode_event(struct nlattr *attrs, int len, struct llmos_event *ret);

/* append LLM_NL_A_QUOTA. Return: 0; -EINVAL a region without a name, -ENOMEM */
int llmos_encode_quota(struct nl_msg *message, const struct llmos_quota *quota);

#endif /* LLMOS_DECODE_H */
