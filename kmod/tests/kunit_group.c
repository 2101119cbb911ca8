// SPDX-License-Identifier: GPL-2.0-only
/*
 * KUnit tests of group.c and identity.c: who holds whom, and for how long. The cgroups do not exist,
 * as those that were removed while a request of theirs runs.
 */
#include <kunit/test.h>
#include <linux/cgroup.h>
#include <linux/cred.h>
#include <linux/pid.h>
#include <linux/refcount.h>
#include <linux/sched/signal.h>

#include "../broker.h"
#include "../client.h"
#include "../group.h"
#include "../identity.h"

/* Numbers that no cgroup has. */
#define LLM_TEST_ID(n)	(U64_MAX - 1000 + (n))

static const struct llm_lineage llm_test_lineage = {
	.depth = 3,
	.ids = { LLM_TEST_ID(0), LLM_TEST_ID(1), LLM_TEST_ID(2) },
};

static unsigned int llm_test_groups(void)
{
	unsigned int count = 0;

	spin_lock(&llm_broker.lock);
	for (unsigned int i = 0; i < llm_test_lineage.depth; i++)
		count += !!llm_group_find(llm_test_lineage.ids[i]);
	spin_unlock(&llm_broker.lock);
	return count;
}

static void llm_test_group_put(struct llm_group *group)
{
	spin_lock(&llm_broker.lock);
	llm_group_put(group);
	spin_unlock(&llm_broker.lock);
}

/* The last one that holds a group ends it, and those above it. */
static void llm_group_test_lifetime(struct kunit *test)
{
	struct llm_group *first, *second;

	KUNIT_ASSERT_EQ(test, llm_test_groups(), 0);
	KUNIT_ASSERT_EQ(test, llm_group_make(&llm_test_lineage, &first), 0);
	KUNIT_EXPECT_EQ(test, llm_test_groups(), 3);
	KUNIT_EXPECT_EQ(test, first->id, LLM_TEST_ID(2));
	KUNIT_EXPECT_EQ(test, first->parent->id, LLM_TEST_ID(1));
	KUNIT_EXPECT_EQ(test, first->parent->parent->id, LLM_TEST_ID(0));
	KUNIT_EXPECT_NULL(test, first->parent->parent->parent);
	KUNIT_ASSERT_EQ(test, llm_group_make(&llm_test_lineage, &second), 0);
	KUNIT_EXPECT_PTR_EQ(test, first, second);
	KUNIT_EXPECT_EQ(test, first->refs, 2);
	llm_test_group_put(first);
	KUNIT_EXPECT_EQ(test, llm_test_groups(), 3);
	llm_test_group_put(second);
	KUNIT_EXPECT_EQ(test, llm_test_groups(), 0);
}

/* A leaf holds its user and his cgroup; the file may be closed before it goes. */
static void llm_group_test_leaf(struct kunit *test)
{
	struct llm_client *client = llm_client_create();
	struct llm_leaf *first, *second, *urgent;

	KUNIT_ASSERT_NOT_NULL(test, client);
	KUNIT_ASSERT_EQ(test, llm_leaf_get(client, GLOBAL_ROOT_UID, LLM_CLASS_NORMAL,
					   &llm_test_lineage, &first), 0);
	KUNIT_ASSERT_EQ(test, llm_leaf_get(client, GLOBAL_ROOT_UID, LLM_CLASS_NORMAL,
					   &llm_test_lineage, &second), 0);
	KUNIT_ASSERT_EQ(test, llm_leaf_get(client, GLOBAL_ROOT_UID, LLM_CLASS_INTERACTIVE,
					   &llm_test_lineage, &urgent), 0);
	KUNIT_EXPECT_PTR_EQ(test, first, second);
	KUNIT_EXPECT_PTR_NE(test, first, urgent);
	KUNIT_EXPECT_PTR_EQ(test, first->member, urgent->member);
	llm_client_destroy(client);
	spin_lock(&llm_broker.lock);
	llm_leaf_put(first);
	llm_leaf_put(urgent);
	spin_unlock(&llm_broker.lock);
	KUNIT_EXPECT_EQ(test, llm_test_groups(), 3);
	spin_lock(&llm_broker.lock);
	llm_leaf_put(second);
	spin_unlock(&llm_broker.lock);
	KUNIT_EXPECT_EQ(test, llm_test_groups(), 0);
}

/* Where the test runs: its cgroup exists, with all those above it. */
static void llm_group_test_lineage(struct kunit *test)
{
	struct llm_lineage *mine = kunit_kzalloc(test, sizeof(*mine), GFP_KERNEL);
	struct llm_lineage *found = kunit_kzalloc(test, sizeof(*found), GFP_KERNEL);
	u64 id;

	KUNIT_ASSERT_NOT_NULL(test, mine);
	KUNIT_ASSERT_NOT_NULL(test, found);
	llm_lineage_take(mine);
	KUNIT_ASSERT_GT(test, mine->depth, 0);
	rcu_read_lock();
	id = cgroup_id(task_dfl_cgroup(current));
	rcu_read_unlock();
	KUNIT_EXPECT_EQ(test, mine->ids[mine->depth - 1], id);
	KUNIT_ASSERT_EQ(test, llm_lineage_find(id, found), 0);
	KUNIT_EXPECT_MEMEQ(test, found, mine, sizeof(*found));
	KUNIT_EXPECT_EQ(test, llm_lineage_find(LLM_TEST_ID(0), found), -ENOENT);
}

static void llm_group_test_identity(struct kunit *test)
{
	struct pid *pid = task_tgid(current);
	const unsigned int refs = refcount_read(&pid->count);
	struct llm_identity who;

	llm_identity_take(&who, current_euid(), llm_identity_cgroup());
	KUNIT_EXPECT_PTR_EQ(test, who.pid, pid);
	KUNIT_EXPECT_TRUE(test, uid_eq(who.uid, current_euid()));
	KUNIT_EXPECT_EQ(test, who.cgroup_id, llm_identity_cgroup());
	KUNIT_EXPECT_EQ(test, refcount_read(&pid->count), refs + 1);
	KUNIT_EXPECT_EQ(test, llm_pid_for_reader(who.pid), (u32)task_tgid_nr(current));
	llm_identity_drop(&who);
	KUNIT_EXPECT_EQ(test, refcount_read(&pid->count), refs);
	KUNIT_EXPECT_NULL(test, who.pid);
	KUNIT_EXPECT_NULL(test, who.memcg);
}

static struct kunit_case llm_group_cases[] = {
	KUNIT_CASE(llm_group_test_lifetime),
	KUNIT_CASE(llm_group_test_leaf),
	KUNIT_CASE(llm_group_test_lineage),
	KUNIT_CASE(llm_group_test_identity),
	{}
};

static struct kunit_suite llm_group_suite = {
	.name = "llm_group",
	.test_cases = llm_group_cases,
};

kunit_test_suite(llm_group_suite);
