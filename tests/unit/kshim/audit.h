/* SPDX-License-Identifier: MIT */
/*
 * The ledger of memory, kept a second time by what the commands of the server returned, and summed
 * up along the tree of tenants. Called by the driver.
 */
#ifndef AUDIT_H
#define AUDIT_H

#include "kmod/call.h"

/* Requests above this id are not followed. */
#define AUDIT_IDS	4096
#define AUDIT_REGIONS	LLM_REGIONS_MAX

void audit_start(void);
/* What a CHARGE or UNCHARGE did. */
void audit_note(const struct llm_call *call, int rc);
/* Ends the program if what is charged is not what is held. Return: charges that wait. */
u32 audit_check(void);
/* What a test may charge, give back or keep: likely to exist. */
u64 audit_some_cgroup(u32 random);

#endif /* AUDIT_H */
