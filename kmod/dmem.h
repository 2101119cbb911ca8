/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel's own ledger of device memory, the dmem controller of cgroups, where there is one.
 * Each region is registered there as "llm/NAME", and what the server holds for a cgroup's requests
 * is charged there as well, so that dmem.max binds it and dmem.current shows it.
 *
 * The controller charges the cgroup of the current task, so the server can not do it: clients pay,
 * whenever they come by. A group is paid for in advance when it submits, in units, and again by
 * whoever reads, waits or polls when that runs short. A charge that is not paid for waits. A client
 * that is not there to pay has credit, which all such clients share.
 */
#ifndef LLM_DMEM_H
#define LLM_DMEM_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/llm.h>

struct llm_client;
struct llm_group;
struct llm_ledger;
struct llm_request;
struct llm_trash;

#ifdef CONFIG_CGROUP_DMEM

/**
 * struct llm_dmem_account - what was paid in the name of a group; the broker's lock protects it
 * @paid: bytes by region
 * @credit: bytes by region that its own processes hold and have not paid
 * @refused: bits of regions where the last payment failed, while something is held there
 * @bonds: what was charged, by region and pool
 * @holder_node: in llm_dmem.holders, with a reference to the group, while there are @bonds
 * @surplus_node: in llm_dmem.surplus, while more was paid than is needed
 */
struct llm_dmem_account {
	u64 paid[LLM_REGIONS_MAX];
	u64 credit[LLM_REGIONS_MAX];
	u32 refused;
	struct list_head bonds;
	struct list_head holder_node;
	struct list_head surplus_node;
};

void llm_dmem_init(void);
void llm_dmem_exit(void);
void llm_dmem_register(unsigned int region, const char *name, u64 bytes);
void llm_dmem_unregister(unsigned int region);
bool llm_dmem_idle(unsigned int region);

void llm_dmem_account_init(struct llm_dmem_account *account);
bool llm_dmem_covers(struct llm_request *req, unsigned int region, struct llm_trash *trash);
void llm_dmem_defer(struct llm_request *req, unsigned int region, u64 bytes,
		    struct llm_trash *trash);
void llm_dmem_forgive(struct llm_request *req);
bool llm_dmem_may_retry(struct llm_request *req);
void llm_dmem_settle(struct llm_group *group);

bool llm_dmem_owes(const struct llm_client *client);
void llm_dmem_pay_dues(struct llm_client *client);
void llm_dmem_prepay(struct llm_request *req);

#else

struct llm_dmem_account {
};

static inline void llm_dmem_init(void)
{
}

static inline void llm_dmem_exit(void)
{
}

static inline void llm_dmem_register(unsigned int region, const char *name, u64 bytes)
{
}

static inline void llm_dmem_unregister(unsigned int region)
{
}

static inline bool llm_dmem_idle(unsigned int region)
{
	return true;
}

static inline void llm_dmem_account_init(struct llm_dmem_account *account)
{
}

static inline bool llm_dmem_covers(struct llm_request *req, unsigned int region,
				   struct llm_trash *trash)
{
	return true;
}

static inline void llm_dmem_defer(struct llm_request *req, unsigned int region, u64 bytes,
				  struct llm_trash *trash)
{
}

static inline void llm_dmem_forgive(struct llm_request *req)
{
}

static inline bool llm_dmem_may_retry(struct llm_request *req)
{
	return true;
}

static inline void llm_dmem_settle(struct llm_group *group)
{
}

static inline bool llm_dmem_owes(const struct llm_client *client)
{
	return false;
}

static inline void llm_dmem_pay_dues(struct llm_client *client)
{
}

static inline void llm_dmem_prepay(struct llm_request *req)
{
}

#endif /* CONFIG_CGROUP_DMEM */

#endif /* LLM_DMEM_H */
