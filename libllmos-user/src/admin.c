/* SPDX-License-Identifier: MIT */
/*
 * The administrator's connection: opening it, naming cgroups, setting quotas.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include <linux/llm_netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include "admin.h"
#include "cgroup.h"
#include "decode.h"
#include "opts.h"

/* ---- errors ---- */

const char *llmos_admin_error(const struct llmos_admin *admin)
{
	return admin ? admin->error : "";
}

int llmos_admin_fail(struct llmos_admin *admin, const struct llmos_netlink *netlink, int error,
		     const char *what, ...)
{
	const char *why = netlink ? llmos_netlink_why(netlink) : "";
	char text[LLMOS_ERROR_MAX];
	va_list ap;

	va_start(ap, what);
	if (*why) {
		vsnprintf(text, sizeof(text), what, ap);
		snprintf(admin->error, sizeof(admin->error), "%.300s: %.128s: %.60s", text, why,
			 llmos_strerror(error));
	} else {
		llmos_fail_line(admin->error, error, what, ap);
	}
	va_end(ap);
	return error;
}

void llmos_nl_freep(struct nl_msg **message)
{
	nlmsg_free(*message);
}

/* ---- opening ---- */

/* nothing is told on the socket of the questions */
static int no_event(void *userdata, unsigned int cmd, struct nlattr *attrs, int len)
{
	(void)userdata;
	(void)cmd;
	(void)attrs;
	(void)len;
	return 0;
}

int llmos_admin_open(struct llmos_admin **ret)
{
	struct llmos_admin *admin = calloc(1, sizeof(*admin));
	int r;

	if (!admin)
		return -ENOMEM;
	llmos_list_init(&admin->waiting);
	admin->poll_fd = -1;
	admin->ready_fd = -1;
	r = llmos_netlink_open(&admin->calls, no_event, admin);
	if (r < 0) {
		llmos_admin_free(admin);
		return r;
	}
	admin->mount = llmos_cgroup_mount("/proc/self/mountinfo");
	*ret = admin;
	return 0;
}

void llmos_admin_free(struct llmos_admin *admin)
{
	if (!admin)
		return;
	llmos_events_drop(admin);
	llmos_netlink_free(admin->events);
	llmos_netlink_free(admin->calls);
	free(admin->mount);
	free(admin);
}

int llmos_admin_call(struct llmos_admin *admin, struct llmos_netlink *netlink,
		     struct nl_msg *message, llmos_netlink_fn fn, void *userdata, uint64_t id)
{
	int r = llmos_netlink_call(netlink, message, fn, userdata);

	if (r < 0 && id)
		return llmos_admin_fail(admin, netlink, r, "cgroup '%" PRIu64 "'", id);
	return r < 0 ? llmos_admin_fail(admin, netlink, r, "cgroups") : 0;
}

/* ---- names of cgroups ---- */

const char *llmos_cgroup_root(const struct llmos_admin *admin)
{
	return admin->mount;
}

int llmos_cgroup_id(struct llmos_admin *admin, uint64_t *ret_id, const char *name)
{
	int r;

	if (!admin->mount)
		return llmos_admin_fail(admin, NULL, -EOPNOTSUPP, "cgroup '%.200s': no cgroup2 mount",
					name);
	r = llmos_cgroup_find(admin->mount, name, ret_id);
	return r < 0 ? llmos_admin_fail(admin, NULL, r, "cgroup '%.300s'", name) : 0;
}

int llmos_cgroup_path(struct llmos_admin *admin, char **ret_path, uint64_t id)
{
	struct llmos_cgroup cgroup = { .id = id };

	if (admin->mount)
		llmos_cgroup_resolve(&cgroup, 1, admin->mount);
	if (!cgroup.path)
		return llmos_admin_fail(admin, NULL, -ENOENT, "path of cgroup '%" PRIu64 "'", id);
	*ret_path = cgroup.path;
	return 0;
}

/* ---- quotas ---- */

static int quota_take(struct llmos_admin *admin, struct llmos_quota *ret,
		      const struct llmos_quota *quota)
{
	size_t bad = 0;
	int r = llmos_opts_take(ret, sizeof(*ret), quota, &bad);

	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "quota at byte '%zu'", bad);
	if (ret->memory_count > LLMOS_REGIONS_MAX)
		return llmos_admin_fail(admin, NULL, -EINVAL, "quota of '%zu' regions",
					ret->memory_count);
	if (!ret->fields && !ret->memory_count)
		return llmos_admin_fail(admin, NULL, -EINVAL, "quota without a field");
	return 0;
}

int llmos_quota_set(struct llmos_admin *admin, uint64_t id, const struct llmos_quota *quota)
{
	_cleanup_(llmos_nl_freep) struct nl_msg *message = NULL;
	struct llmos_quota own;
	int r;

	r = quota_take(admin, &own, quota);
	if (r < 0)
		return r;
	message = llmos_netlink_message(admin->calls, LLM_NL_CMD_QUOTA_SET, false);
	if (!message || nla_put_u64(message, LLM_NL_A_CGROUP, id) < 0)
		return llmos_admin_fail(admin, NULL, -ENOMEM, "quota");
	r = llmos_encode_quota(message, &own);
	if (r < 0)
		return llmos_admin_fail(admin, NULL, r, "quota");
	return llmos_admin_call(admin, admin->calls, message, NULL, NULL, id);
}

int llmos_quota_reset(struct llmos_admin *admin, uint64_t id)
{
	_cleanup_(llmos_nl_freep) struct nl_msg *message = NULL;

	message = llmos_netlink_message(admin->calls, LLM_NL_CMD_QUOTA_RESET, false);
	if (!message || (id && nla_put_u64(message, LLM_NL_A_CGROUP, id) < 0))
		return llmos_admin_fail(admin, NULL, -ENOMEM, "quota");
	return llmos_admin_call(admin, admin->calls, message, NULL, NULL, id);
}
