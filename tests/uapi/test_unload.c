// SPDX-License-Identifier: MIT
/*
 * The module goes only when nobody needs it, and then altogether; and can come back.
 */
#include "uapi.h"
#include "uapi_netlink.h"

#include <fcntl.h>
#include <liburing.h>
#include <stdio.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define MODULE "/modules/llm.ko"

static int unload(void)
{
	return (int)syscall(SYS_delete_module, "llm", O_NONBLOCK);
}

static bool load(const char *params)
{
	const int fd = open(MODULE, O_RDONLY | O_CLOEXEC);
	const bool good = fd >= 0 && !syscall(SYS_finit_module, fd, params, 0);

	if (fd >= 0)
		close(fd);
	return good;
}

static void test_refused(void)
{
	struct llm_session_cmd session = { .size = sizeof(session), .fd = -1 };
	int client = client_open(), server;

	fails(unload(), EWOULDBLOCK, "not while a client is there");
	submit_text(client, "x");
	must(!ioctl(client, LLM_IOC_SESSION, &session), "SESSION");
	close(client);
	fails(unload(), EWOULDBLOCK, "not while a session is there");
	close(session.fd);
	server = server_open();
	fails(unload(), EWOULDBLOCK, "not while a server is there");
	close(server);
}

static void test_parked(void)
{
	const int server = server_open();
	struct io_uring ring;
	struct event event;
	struct llm_fetch arg = fetch_init(LLM_FETCH_REQUEST, &event, sizeof(event));

	must(!io_uring_queue_init(4, &ring, 0), "io_uring_queue_init");
	uring_queue(&ring, server, LLM_IOC_FETCH, &arg, 0);
	io_uring_submit(&ring);
	close(server);
	fails(unload(), EWOULDBLOCK, "not while a command is parked");
	io_uring_queue_exit(&ring);
}

/* Quotas are the module's: neither they, nor a timer, nor a socket that watches keeps it. */
static int test_quotas(void)
{
	const int nl = nl_open();
	const uint64_t id = cgroup_make("llmos-unload");

	must(nl >= 0, "the family");
	if (!id) {
		tap_skip("quotas", strerror(errno));
		return nl;
	}
	is(nl_quota_set(nl, id, LLM_NL_A_QUOTA_RATE, 0ULL, LLM_NL_A_QUOTA_WEIGHT, 5ULL, 0), 0,
	   "a cgroup that has to rest for ever");
	is(nl_watch(nl, id, false, 1, 500000000), 0, "which is watched");
	return nl;
}

static void test_quotas_gone(int old_nl)
{
	const int nl = nl_open();
	struct nl_group group;

	must(nl >= 0, "the family is back");
	if (cgroup_id_of("llmos-unload")) {
		is(nl_group_get(nl, cgroup_id_of("llmos-unload"), &group), 0, "the cgroup");
		ok(group.quota.rate == UINT64_MAX && group.quota.weight == 100, "has no quota");
		cgroup_remove("llmos-unload");
	}
	close(nl);
	close(old_nl);
}

static void test_cycle(gid_t gid)
{
	int client;

	ok(eventually(!unload()), "but then");
	ok(access("/dev/llm", F_OK) && access("/dev/llmd", F_OK), "the devices are gone");
	ok(access("/sys/module/llm", F_OK), "and all of it");
	ok(!load("recover_timeout_s=99999"), "it does not come with a parameter out of range");
	ok(access("/sys/module/llm", F_OK), "nor leaves anything");
	ok(load("max_requests_file=7 recover_timeout_s=5"), "it comes back");
	ok(!chown("/dev/llm", 0, gid) && !chmod("/dev/llm", 0660), "as the udev rule has it");
	client = client_open();
	ok(features(client).max_requests_file == 7 && features(client).recover_timeout_s == 5,
	   "with its parameters");
	/* One that waits for a server must not keep it. */
	submit_text(client, "x");
	close(client);
}

int main(void)
{
	struct stat status;

	must(!stat("/dev/llm", &status), "stat");
	test_refused();
	test_parked();
	if (access(MODULE, R_OK)) {
		tap_skip("unload", "no " MODULE " here");
		return tap_done();
	}
	for (int i = 0; i < 3; i++) {
		const int nl = test_quotas();

		test_cycle(status.st_gid);
		test_quotas_gone(nl);
	}
	ok(eventually(!unload()) && load(""), "load it as it was");
	ok(!chown("/dev/llm", 0, status.st_gid) && !chmod("/dev/llm", 0660), "with its group");
	return tap_done();
}
