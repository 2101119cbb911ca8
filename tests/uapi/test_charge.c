// SPDX-License-Identifier: MIT
/*
 * Memory in the name of clients: what a server charges, gives back and keeps, and that nothing of
 * it is left when a request ends or a server goes. What is refused, and that it changes nothing.
 */
#include "uapi.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/wait.h>

static int client, server;

static int charge_at(int fd, unsigned int cmd, uint64_t id, uint64_t cgroup_id, uint32_t region,
		     uint64_t bytes, uint32_t flags)
{
	struct llm_charge arg = {
		.size = sizeof(arg), .flags = flags, .id = id, .cgroup_id = cgroup_id,
		.region = region, .bytes = bytes,
	};

	return ioctl(fd, cmd, &arg);
}

static int charge(uint64_t id, uint32_t region, uint64_t bytes)
{
	return charge_at(server, LLM_IOC_CHARGE, id, 0, region, bytes, 0);
}

static int keep(uint64_t id, uint32_t region, uint64_t bytes)
{
	return charge_at(server, LLM_IOC_CHARGE, id, 0, region, bytes, LLM_CHARGE_KEEP);
}

static int uncharge(uint64_t id, uint32_t region, uint64_t bytes)
{
	return charge_at(server, LLM_IOC_UNCHARGE, id, 0, region, bytes, 0);
}

static int uncharge_kept(uint64_t cgroup_id, uint32_t region, uint64_t bytes)
{
	return charge_at(server, LLM_IOC_UNCHARGE, 0, cgroup_id, region, bytes, 0);
}

static bool total_is(uint64_t host, uint64_t device)
{
	const struct llm_features f = features(client);

	if (f.memory_host == host && f.memory_device == device)
		return true;
	tap_note("charged are %llu and %llu", (unsigned long long)f.memory_host,
		 (unsigned long long)f.memory_device);
	return false;
}

static int setup(const char *const *names, uint32_t count)
{
	struct llm_region regions[LLM_REGIONS_MAX + 1] = { };
	struct llm_setup arg = {
		.size = sizeof(arg), .regions = count ? (uintptr_t)regions : 0,
		.region_count = count,
	};

	for (uint32_t i = 0; i < count && i <= LLM_REGIONS_MAX; i++)
		strncpy(regions[i].name, names[i], sizeof(regions[i].name));
	return ioctl(server, LLM_IOC_SETUP, &arg);
}

static uint64_t begin(struct event *event)
{
	const uint64_t id = submit_text(client, "x");

	must(id && fetch(server, LLM_FETCH_REQUEST, event) > 0 && event->head.id == id, "a request");
	return id;
}

static void forget(uint64_t id)
{
	must(!cancel(client, id, LLM_CANCEL_FORGET), "forget");
}

static void test_regions(void)
{
	static const char *const none[] = { "cuda0" }, *const twice[] = { "host", "cuda0", "cuda0" };
	static const char *const upper[] = { "host", "Cuda" }, *const empty[] = { "host", "" };
	static const char *const longest[] = { "host", "123456789012345" };
	static const char *const slash[] = { "host", "a/b" }, *const good[] = { "host", "cuda0" };
	static const char *const host[] = { "host", "host" };
	static const char *const unended[] = { "host", "1234567890123456" };
	struct event event;
	uint64_t id;

	fails(setup(none, 1), EINVAL, "the first region is the host");
	fails(setup(twice, 3), EINVAL, "the same twice");
	fails(setup(host, 2), EINVAL, "the host twice");
	fails(setup(upper, 2), EINVAL, "upper case");
	fails(setup(empty, 2), EINVAL, "no name");
	fails(setup(slash, 2), EINVAL, "a slash");
	fails(setup(unended, 2), EINVAL, "a name without an end");
	id = begin(&event);
	is(charge(id, 0, 1), 0, "there is host memory without a word");
	fails(charge(id, 1, 1), EINVAL, "and nothing else");
	is(setup(good, 2), 0, "host and a device");
	fails(setup(longest, 2), EBUSY, "once");
	is(setup(NULL, 0), 0, "slots can be set again");
	is(charge(id, 1, 2), 0, "device memory");
	fails(charge(id, 2, 1), EINVAL, "a region too far");
	fails(charge(id, UINT32_MAX, 1), EINVAL, "one very far");
	ok(total_is(1, 2), "as charged");
	is(commit(server, id, "", LLM_COMMIT_END), 0, "the end of it");
	ok(total_is(0, 0), "gives it back");
	forget(id);
}

static void test_ledger(void)
{
	struct llm_request_info info;
	struct event event;
	const uint64_t id = begin(&event), other = begin(&event);

	is(charge(id, 0, 1000), 0, "charge");
	is(charge(id, 0, 24), 0, "more");
	is(charge(other, 1, 5000), 0, "another");
	ok(total_is(1024, 5000), "in all");
	is(state_of(client, id, &info), LLM_STATE_RUNNING, "it goes on");
	is(info.memory_host, 1024, "its host memory");
	is(info.memory_device, 0, "no device memory");
	state_of(client, other, &info);
	is(info.memory_device, 5000, "the other's");
	is(uncharge(id, 0, 1000), 0, "give back");
	fails(uncharge(id, 0, 25), EINVAL, "more than there is");
	fails(uncharge(id, 1, 1), EINVAL, "what is another's");
	fails(uncharge(id, 0, UINT64_MAX), EINVAL, "everything there could be");
	ok(total_is(24, 5000), "nothing changed by that");
	is(uncharge(id, 0, 24), 0, "the rest");
	fails(uncharge(id, 0, 1), EINVAL, "and no more");

	is(charge(id, 0, 7), 0, "hold some");
	is(cancel(client, id, 0), 0, "while it is cancelled");
	is(charge(id, 0, 1), LLM_VERDICT_CANCELLED, "no more for a cancelled one");
	ok(total_is(7, 5000), "what it has is still held");
	is(uncharge(id, 0, 3), 0, "and can be given back");
	is(commit_status(server, id, 0), LLM_VERDICT_CANCELLED, "until its end");
	ok(total_is(0, 5000), "which gives back the rest");
	fails(uncharge(id, 0, 1), ENOENT, "it is no more");
	fails(charge(id, 0, 1), ENOENT, "for either");
	forget(id);
	is(commit(server, other, "", LLM_COMMIT_END), 0, "the other ends");
	ok(total_is(0, 0), "nothing is charged");
	forget(other);
}

static void test_keep(void)
{
	struct event event;
	const uint64_t id = begin(&event), cgroup_id = event.head.cgroup_id;
	uint64_t again;

	is(charge(id, 0, 100), 0, "charge");
	fails(keep(id, 0, 101), EINVAL, "keep more than there is");
	fails(keep(id, 1, 1), EINVAL, "keep what is not there");
	fails(uncharge_kept(cgroup_id, 0, 1), ENOENT, "nothing is kept");
	is(keep(id, 0, 60), 0, "keep some");
	ok(total_is(100, 0), "it is still charged");
	fails(uncharge(id, 0, 41), EINVAL, "but not to the request");
	is(commit(server, id, "", LLM_COMMIT_END), 0, "which ends");
	forget(id);
	ok(total_is(60, 0), "what was kept stays");
	fails(uncharge_kept(cgroup_id, 0, 61), EINVAL, "give back more");
	fails(uncharge_kept(cgroup_id, 1, 1), EINVAL, "of another region");
	fails(uncharge_kept(cgroup_id + 12345, 0, 1), ENOENT, "of another cgroup");
	is(uncharge_kept(cgroup_id, 0, 20), 0, "give back some");
	ok(total_is(40, 0), "of it");
	again = begin(&event);
	is(charge(again, 1, 30), 0, "another request");
	is(keep(again, 1, 30), 0, "keeps all of another region");
	ok(total_is(40, 30), "both");
	is(commit(server, again, "", LLM_COMMIT_END), 0, "and ends");
	forget(again);
	is(uncharge_kept(cgroup_id, 0, 40), 0, "give back all of the one");
	is(uncharge_kept(cgroup_id, 1, 30), 0, "and of the other");
	fails(uncharge_kept(cgroup_id, 1, 1), ENOENT, "then there is nothing");
	ok(total_is(0, 0), "at all");
}

static void test_refused(void)
{
	struct llm_charge arg = { .size = sizeof(arg), .bytes = 1 };
	struct event event;
	uint64_t id;

	id = begin(&event);
	fails(charge_at(client, LLM_IOC_CHARGE, id, 0, 0, 1, 0), ENOTTY, "CHARGE is not for clients");
	fails(charge_at(client, LLM_IOC_UNCHARGE, id, 0, 0, 1, 0), ENOTTY, "nor is UNCHARGE");
	fails(charge(id, 0, 0), EINVAL, "no bytes");
	fails(charge(0, 0, 1), EINVAL, "nobody");
	fails(charge_at(server, LLM_IOC_CHARGE, id, 5, 0, 1, 0), EINVAL, "both");
	fails(charge_at(server, LLM_IOC_CHARGE, 0, event.head.cgroup_id, 0, 1, 0), EINVAL,
	      "a cgroup is not charged");
	fails(charge_at(server, LLM_IOC_CHARGE, id, 0, 0, 1, 4), EINVAL, "an unknown flag");
	fails(charge_at(server, LLM_IOC_UNCHARGE, id, 0, 0, 1, LLM_CHARGE_KEEP), EINVAL,
	      "UNCHARGE has none");
	fails(charge(id + 1, 0, 1), ENOENT, "no such request");
	fails(charge(UINT64_MAX, 0, 1), ENOENT, "nor this one");
	arg.id = id;
	arg.pad = 1;
	fails(ioctl(server, LLM_IOC_CHARGE, &arg), EINVAL, "padding");
	/* of a device whose size nobody knows, so that the kernel does not count it as well */
	is(charge(id, 1, UINT64_MAX), 0, "as much as can be said, where nothing limits it");
	is(charge(id, 0, 1), 0, "other memory is another matter");
	fails(charge(id, 1, 1), EDQUOT, "more than can be counted");
	is(commit(server, id, "", LLM_COMMIT_END), 0, "the end");
	forget(id);
	ok(total_is(0, 0), "nothing is charged");

	id = submit_text(client, "x");
	fails(charge(id, 0, 1), ENOENT, "one that waits in the queue");
	forget(id);
	id = submit_op(client, LLM_OP_NOP, "");
	is(fetch(server, LLM_FETCH_CONTROL, &event), sizeof(event.head), "a control request");
	fails(charge(id, 0, 1), EINVAL, "holds no memory");
	is(commit(server, id, "", LLM_COMMIT_END), 0, "and ends");
	forget(id);
}

/* A server takes as much as it likes and dies. */
static void child_takes(uint64_t id)
{
	struct event event;

	server = server_open();
	child_must(fetch(server, LLM_FETCH_REQUEST, &event) > 0 && event.head.id == id);
	child_must(charge(id, 0, 12345) == 0);
	child_must(keep(id, 0, 345) == 0);
	raise(SIGKILL);
}

static void test_death(void)
{
	const uint64_t id = submit_text(client, "x");
	struct event event;
	pid_t pid;

	close(server);
	pid = fork();
	if (!pid)
		child_takes(id);
	is(wait_child(pid), 128 + SIGKILL, "a server charges, keeps and dies");
	server = server_open();
	ok(total_is(0, 0), "nothing is charged");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "the next one");
	is(event.head.attempts, 2, "gets its request");
	fails(uncharge(id, 0, 1), EINVAL, "but not what it held");
	fails(uncharge_kept(event.head.cgroup_id, 0, 1), ENOENT, "or kept");
	is(charge(id, 0, 10), 0, "and charges anew");
	is(keep(id, 0, 4), 0, "and keeps");
	close(server);
	ok(eventually(total_is(0, 0)), "a closed file gives back as well");
	server = server_open();
	forget(id);
}

int main(void)
{
	client = client_open();
	server = server_open();
	test_regions();
	test_ledger();
	test_keep();
	test_refused();
	test_death();
	is(features(client).requests, 0, "nothing is left");
	close(server);
	close(client);
	return tap_done();
}
