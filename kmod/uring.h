/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands by IORING_OP_URING_CMD, of both devices.
 */
#ifndef LLM_URING_H
#define LLM_URING_H

#include <linux/spinlock.h>
#include <linux/types.h>

struct io_uring_cmd;
struct iov_iter;
struct llm_call;
struct llm_client;
struct llm_command;
struct llm_server;
struct llm_uring_call;

/**
 * struct llm_uring_pool - a file's spare calls
 * @lock: protects the rest, and each command's pointer to its call; taken outside the broker's
 * @first: linked by their next
 * @count: of them
 */
struct llm_uring_pool {
	spinlock_t lock; /* see above */
	struct llm_uring_call *first;
	u32 count;
};

void llm_uring_pool_init(struct llm_uring_pool *pool);
void llm_uring_pool_empty(struct llm_uring_pool *pool);
int llm_uring_issue(struct io_uring_cmd *cmd, unsigned int issue_flags,
		    const struct llm_command *command, struct llm_client *client,
		    struct llm_server *server);
int llm_uring_import(struct llm_call *call, int direction, u64 addr, size_t len,
		     struct iov_iter *ret_iter);
int llm_uring_init(void);
void llm_uring_exit(void);
int llm_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags,
		     struct llm_uring_pool *pool);

#endif /* LLM_URING_H */
