// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one file, one user and all of them together may take: see limits.h. Called by whoever
 * admits and frees requests and prompts; the counts belong to the broker's lock.
 */
#include <linux/errno.h>
#include <linux/hash.h>
#include <linux/lockdep.h>
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/slab.h>

#include "broker.h"
#include "client.h"
#include "limits.h"
#include "queue.h"

struct llm_limits llm_limits = {
	.max_requests = 4096,
	.max_requests_user = 1024,
	.max_requests_file = 256,
	.max_payload_bytes = 1024 * 1024,
	.max_payload_bytes_user = 64 * 1024 * 1024,
	.max_unread_bytes = 256 * 1024,
	.max_journal_bytes = 1024 * 1024,
	.max_buffer_bytes = 1024 * 1024 * 1024,
	.max_buffers_file = 64,
	.max_sessions = 4096,
	.max_sessions_user = 256,
	.max_session_bytes = 1024 * 1024,
	.recover_timeout_s = 60,
};

#define LLM_LIMIT(name, low, high, text)						\
	static int name##_set(const char *value, const struct kernel_param *param)	\
	{										\
		return param_set_uint_minmax(value, param, low, high);			\
	}										\
	static const struct kernel_param_ops name##_ops = {				\
		.set = name##_set,							\
		.get = param_get_uint,							\
	};										\
	module_param_cb(name, &name##_ops, &llm_limits.name, 0644);			\
	MODULE_PARM_DESC(name, text)

LLM_LIMIT(max_requests, 1, 65536, "requests at once, in all");
LLM_LIMIT(max_requests_user, 1, 65536, "requests at once of one user");
LLM_LIMIT(max_requests_file, 1, 4096, "requests at once of one open file");
LLM_LIMIT(max_payload_bytes, 4096, 64 << 20, "bytes of one payload");
LLM_LIMIT(max_payload_bytes_user, 4096, 1 << 30, "bytes of all prompts of one user");
LLM_LIMIT(max_unread_bytes, 4096, 16 << 20,
	  "unread bytes of an answer past which its request is paused");
LLM_LIMIT(max_journal_bytes, 4096, 64 << 20, "journal bytes of one request");
LLM_LIMIT(max_buffer_bytes, 4096, 2U << 30, "bytes of one registered buffer");
LLM_LIMIT(max_buffers_file, 0, 4096, "registered buffers of one open file");
LLM_LIMIT(max_sessions, 0, 65536, "sessions at once, in all");
LLM_LIMIT(max_sessions_user, 0, 65536, "sessions at once of one user");
LLM_LIMIT(max_session_bytes, 4096, 16 << 20, "bytes of the past of one session");

static int recover_timeout_s_set(const char *value, const struct kernel_param *param)
{
	int err = param_set_uint_minmax(value, param, 0, 86400);

	if (!err)
		llm_queue_timeout_changed();
	return err;
}

static const struct kernel_param_ops recover_timeout_s_ops = {
	.set = recover_timeout_s_set,
	.get = param_get_uint,
};
module_param_cb(recover_timeout_s, &recover_timeout_s_ops, &llm_limits.recover_timeout_s, 0644);
MODULE_PARM_DESC(recover_timeout_s, "seconds that requests wait for a server");

static struct hlist_head *llm_user_bucket(kuid_t uid)
{
	return &llm_broker.users[hash_32(__kuid_val(uid), ilog2(LLM_USER_BUCKETS))];
}

static struct llm_user *llm_user_find(kuid_t uid)
{
	struct llm_user *user;

	hlist_for_each_entry(user, llm_user_bucket(uid), node)
		if (uid_eq(user->uid, uid))
			return user;
	return NULL;
}

/* Takes a reference to the user; where he is not known, @fresh becomes him. Return: or NULL. */
static struct llm_user *llm_user_attach(kuid_t uid, struct llm_user *fresh)
{
	struct llm_user *user;

	spin_lock(&llm_broker.lock);
	user = llm_user_find(uid) ?: fresh;
	if (user) {
		if (user == fresh)
			hlist_add_head(&user->node, llm_user_bucket(uid));
		user->refs++;
	}
	spin_unlock(&llm_broker.lock);
	return user;
}

/**
 * llm_user_get() - finds a user or makes him known
 * @uid: who
 * @ret_user: him, with a reference that llm_user_put() returns
 *
 * Context: sleeps; takes the broker's lock.
 * Return: 0; ENOMEM.
 */
int llm_user_get(kuid_t uid, struct llm_user **ret_user)
{
	struct llm_user *fresh = NULL;

	*ret_user = llm_user_attach(uid, NULL);
	if (*ret_user)
		return 0;
	fresh = kzalloc(sizeof(*fresh), GFP_KERNEL_ACCOUNT);
	if (!fresh)
		return -ENOMEM;
	fresh->uid = uid;
	*ret_user = llm_user_attach(uid, fresh);
	if (*ret_user != fresh)
		kfree(fresh);
	return 0;
}

/** llm_user_put() - returns a reference; the last one frees. NULL is nobody. */
void llm_user_put(struct llm_user *user)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!user || --user->refs)
		return;
	WARN_ON_ONCE(user->requests || user->bytes || user->sessions);
	hlist_del(&user->node);
	kfree(user);
}

/** llm_user_charge_bytes() - Return: 0; EBUSY: the user has too many bytes of prompts */
int llm_user_charge_bytes(struct llm_user *user, u32 bytes)
{
	lockdep_assert_held(&llm_broker.lock);
	if (user->bytes + bytes > llm_limit(max_payload_bytes_user))
		return -EBUSY;
	user->bytes += bytes;
	return 0;
}

void llm_user_uncharge_bytes(struct llm_user *user, u32 bytes)
{
	lockdep_assert_held(&llm_broker.lock);
	user->bytes -= bytes;
}

/**
 * llm_limits_admit() - takes a place for one request
 * @client: whose file it comes from; the place there is given back by llm_request_detach()
 * @user: who asks; the place is given back by llm_limits_dismiss()
 * @bytes: of its payload and stop strings
 *
 * Context: under the broker's lock.
 * Return: 0; EBUSY.
 */
int llm_limits_admit(struct llm_client *client, struct llm_user *user, u32 bytes)
{
	lockdep_assert_held(&llm_broker.lock);
	if (llm_broker.requests >= llm_limit(max_requests) ||
	    user->requests >= llm_limit(max_requests_user) ||
	    client->admitted >= llm_limit(max_requests_file) ||
	    llm_user_charge_bytes(user, bytes))
		return -EBUSY;
	llm_broker.requests++;
	user->requests++;
	client->admitted++;
	return 0;
}

/** llm_limits_dismiss() - gives back what llm_limits_admit() took, but for the place on the file */
void llm_limits_dismiss(struct llm_user *user, u32 bytes)
{
	lockdep_assert_held(&llm_broker.lock);
	llm_broker.requests--;
	user->requests--;
	llm_user_uncharge_bytes(user, bytes);
}
