/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The file way: write() gathers a prompt, read() and poll() submit it, read() returns the answer.
 */
#ifndef LLM_STREAM_H
#define LLM_STREAM_H

#include <linux/poll.h>
#include <linux/types.h>

struct iov_iter;
struct kiocb;
struct llm_client;

ssize_t llm_stream_write(struct llm_client *client, struct iov_iter *from, bool nonblock);
ssize_t llm_stream_read(struct llm_client *client, struct iov_iter *to, bool nonblock);
__poll_t llm_stream_poll(struct llm_client *client, bool for_input);

#endif /* LLM_STREAM_H */
