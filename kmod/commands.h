/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The commands: what a struct llm_command points at. Each stands in the file of its noun.
 */
#ifndef LLM_COMMANDS_H
#define LLM_COMMANDS_H

#include <linux/types.h>
#include <linux/llm.h>

#include "call.h"

struct llm_bytes;
struct llm_client;

#define LLM_CLIENT_COMMANDS	10
#define LLM_SERVER_COMMANDS	8

extern const struct llm_command llm_client_commands[LLM_CLIENT_COMMANDS];
extern const struct llm_command llm_server_commands[LLM_SERVER_COMMANDS];

int llm_features_start(struct llm_call *call);
int llm_list_start(struct llm_call *call);

int llm_submit_start(struct llm_call *call);
int llm_submit_read_start(struct llm_call *call);
bool llm_submit_read_parks(const struct llm_call *call);
int llm_submit_prompt(struct llm_client *client, struct llm_bytes *prompt, u64 *ret_id);

int llm_read_start(struct llm_call *call);
int llm_read_attempt(struct llm_call *call, bool park);
int llm_wait_start(struct llm_call *call);
int llm_wait_attempt(struct llm_call *call, bool park);
int llm_cancel_start(struct llm_call *call);

int llm_register_start(struct llm_call *call);
int llm_unregister_start(struct llm_call *call);
int llm_session_start(struct llm_call *call);

int llm_fetch_start(struct llm_call *call);
void llm_fetch_begin(struct llm_call *call);
bool llm_fetch_parks(const struct llm_call *call);
int llm_fetch_attempt(struct llm_call *call, bool park);
void llm_fetch_abandon(struct llm_call *call);
int llm_pull_start(struct llm_call *call);
int llm_commit_start(struct llm_call *call);
int llm_commit_fetch_start(struct llm_call *call);
int llm_charge_start(struct llm_call *call);
int llm_uncharge_start(struct llm_call *call);
int llm_fetch_check(const struct llm_fetch *fetch);

#endif /* LLM_COMMANDS_H */
