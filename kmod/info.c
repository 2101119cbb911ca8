// SPDX-License-Identifier: GPL-2.0-only
/*
 * GET_FEATURES and LIST: what there is, for whoever can open the device. Nothing here can tell a
 * byte of a prompt or an answer.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/string.h>
#include <linux/uaccess.h>

#include "args.h"
#include "call.h"
#include "commands.h"
#include "limits.h"
#include "region.h"
#include "request.h"
#include "server.h"

static u64 llm_command_bits(void)
{
	u64 bits = 0;

	for (int i = 0; i < LLM_CLIENT_COMMANDS; i++)
		bits |= BIT_ULL(_IOC_NR(llm_client_commands[i].cmd));
	for (int i = 0; i < LLM_SERVER_COMMANDS; i++)
		bits |= BIT_ULL(_IOC_NR(llm_server_commands[i].cmd));
	return bits;
}

/* Host memory, and all the rest. */
static void llm_memory_sum(const u64 *regions, u64 *ret_host, u64 *ret_device)
{
	*ret_host = regions[LLM_REGION_HOST];
	*ret_device = 0;
	for (unsigned int region = 0; region < LLM_REGIONS_MAX; region++)
		if (region != LLM_REGION_HOST)
			*ret_device += regions[region];
}

static void llm_features_count(struct llm_features *features)
{
	spin_lock(&llm_broker.lock);
	features->server_pid = llm_broker.server ? llm_pid_for_reader(llm_broker.server->pid) : 0;
	features->requests = llm_broker.requests;
	features->sessions = llm_broker.sessions;
	features->submitted = llm_broker.submitted;
	features->ended = llm_broker.ended;
	features->recovered = llm_broker.recovered;
	features->cancelled = llm_broker.cancelled;
	llm_memory_sum(llm_broker.stage.policy.root.usage.memory, &features->memory_host,
		       &features->memory_device);
	spin_unlock(&llm_broker.lock);
}

int llm_features_start(struct llm_call *call)
{
	struct llm_features *features = &call->args.features;

	if (features->flags || features->pad || features->pad2 ||
	    !llm_args_zero(features->reserved, sizeof(features->reserved)))
		return -EINVAL;
	*features = (struct llm_features) {
		.size = call->size,
		.abi_version = LLM_ABI_VERSION,
		.commands = llm_command_bits(),
		.max_requests = llm_limit(max_requests),
		.max_requests_user = llm_limit(max_requests_user),
		.max_requests_file = llm_limit(max_requests_file),
		.max_payload_bytes = llm_limit(max_payload_bytes),
		.max_unread_bytes = llm_limit(max_unread_bytes),
		.max_commit_bytes = LLM_COMMIT_BYTES_MAX,
		.max_journal_bytes = llm_limit(max_journal_bytes),
		.recover_timeout_s = llm_limit(recover_timeout_s),
		.max_buffer_bytes = llm_limit(max_buffer_bytes),
		.max_buffers_file = llm_limit(max_buffers_file),
		.max_sessions = llm_limit(max_sessions),
		.max_sessions_user = llm_limit(max_sessions_user),
		.max_session_bytes = llm_limit(max_session_bytes),
	};
	llm_features_count(features);
	return llm_args_write(call);
}

/** llm_request_describe() - what anybody may know of a request, for the current task; under the lock */
void llm_request_describe(const struct llm_request *req, struct llm_request_info *ret_info)
{
	*ret_info = (struct llm_request_info) {
		.id = req->id,
		.cgroup_id = req->who.cgroup_id,
		.pid = llm_pid_for_reader(req->who.pid),
		.uid = llm_uid_for_reader(req->who.uid),
		.state = req->state,
		.op = req->spec.op,
		.prompt_tokens = req->prompt_tokens,
		.output_tokens = req->output_tokens,
		.submit_ns = req->submit_ns,
		.dispatch_ns = req->dispatch_ns,
		.first_ns = req->first_ns,
		.output_bytes = req->output_bytes,
		.unread_bytes = req->client ? req->unread : 0,
		.attempts = req->attempts,
		.sched_class = req->spec.sched_class,
	};
	llm_memory_sum(req->ledger.held, &ret_info->memory_host, &ret_info->memory_device);
	memcpy(ret_info->model, req->spec.model, sizeof(ret_info->model));
}

/* Fills up to @room entries with requests of ids above @cursor; looks at LLM_BATCH at most. */
static u32 llm_list_batch(struct llm_request_info *infos, u32 room, u64 *cursor, bool *ret_more)
{
	struct llm_request *req = NULL;
	u32 n = 0;

	spin_lock(&llm_broker.lock);
	for (int i = 0; i < LLM_BATCH && n < room; i++) {
		req = llm_request_after(*cursor);
		if (!req)
			break;
		*cursor = req->id;
		if (req->state != LLM_STATE_ENDED)
			llm_request_describe(req, &infos[n++]);
	}
	spin_unlock(&llm_broker.lock);
	*ret_more = req;
	return n;
}

static int llm_list_copy(const struct llm_list *list, u32 index,
			 const struct llm_request_info *infos, u32 n)
{
	const size_t size = min_t(size_t, list->entry_size, sizeof(*infos));

	for (u32 i = 0; i < n; i++) {
		void __user *entry = u64_to_user_ptr(list->buf) +
				     (u64)(index + i) * list->entry_size;

		if (copy_to_user(entry, &infos[i], size) ||
		    clear_user(entry + size, list->entry_size - size))
			return -EFAULT;
	}
	return 0;
}

static int llm_list_run(struct llm_list *list, struct llm_request_info *infos)
{
	u64 cursor = list->cursor;
	bool more = true;

	list->count = 0;
	while (more && list->count < list->capacity) {
		const u32 room = min_t(u32, list->capacity - list->count, LLM_BATCH);
		const u32 n = llm_list_batch(infos, room, &cursor, &more);

		if (llm_list_copy(list, list->count, infos, n))
			return -EFAULT;
		list->count += n;
		if (fatal_signal_pending(current))
			return -EINTR;
		cond_resched();
	}
	return 0;
}

int llm_list_start(struct llm_call *call)
{
	struct llm_list *list = &call->args.list;
	struct llm_request_info *infos;
	int err;

	if (list->flags || list->entry_size < sizeof(u64) || list->entry_size > PAGE_SIZE ||
	    !llm_args_zero(list->reserved, sizeof(list->reserved)))
		return -EINVAL;
	infos = kmalloc_array(LLM_BATCH, sizeof(*infos), GFP_KERNEL_ACCOUNT);
	if (!infos)
		return -ENOMEM;
	err = llm_list_run(list, infos);
	kfree(infos);
	if (err)
		return err;
	spin_lock(&llm_broker.lock);
	list->total = llm_broker.unended;
	spin_unlock(&llm_broker.lock);
	return llm_args_write(call);
}
