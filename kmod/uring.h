/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Commands by IORING_OP_URING_CMD, of both devices.
 */
#ifndef LLM_URING_H
#define LLM_URING_H

struct io_uring_cmd;
struct llm_client;
struct llm_command;
struct llm_server;

int llm_uring_issue(struct io_uring_cmd *cmd, unsigned int issue_flags,
		    const struct llm_command *command, struct llm_client *client,
		    struct llm_server *server);
int llm_uring_cancel(struct io_uring_cmd *cmd, unsigned int issue_flags);

#endif /* LLM_URING_H */
