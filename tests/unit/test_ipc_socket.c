/* SPDX-License-Identifier: MIT */
/* The socket transport as it is meant to be used: the commands of <linux/llm.h> and what they do. */
#include <stdarg.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "base/clock.h"
#include "ipc_client.h"

/* ---- what it is for ---- */

static void test_features(void **state)
{
	struct llm_features features = { .size = sizeof(features) };

	(void)state;
	client = client_connect();
	send_command(client, LLM_IOC_GET_FEATURES, 1, &features, sizeof(features), NULL, 0);
	assert_int_equal(result_of(client, 1, &features, sizeof(features)), 0);
	assert_int_equal(features.abi_version, LLM_ABI_VERSION);
	assert_int_equal(features.server_pid, getpid());
	assert_int_equal(features.commands, 0x27f);
	assert_int_equal(features.size, sizeof(features));
}

static void test_stream(void **state)
{
	uint64_t id;

	(void)state;
	client = client_connect();
	id = submit(client, "Once");
	assert_int_equal(held_count, 0);	/* nobody wants it yet */
	ipc->ops->want(ipc, 1);
	assert_int_equal(held_count, 1);
	assert_int_equal(held[0].event.uid, getuid());
	assert_int_equal(held[0].event.pid, getpid());
	assert_int_equal(held[0].event.attempts, 1);
	assert_memory_equal(held[0].data, "Once", 4);
	send_read(client, id, 7, 0, 100);
	assert_nothing(client);			/* parked */
	assert_int_equal(server_commit(id, "abc", 0, 0), LLM_VERDICT_CONTINUE);
	assert_read(client, 7, "abc", 0, 0);
	server_commit(id, "def", 0, 0);
	server_commit(id, "ghi", LLM_COMMIT_END, 0);
	send_read(client, id, 8, 0, 4);
	assert_read(client, 8, "defg", 0, 0);
	send_read(client, id, 9, 0, 4);
	assert_read(client, 9, "hi", LLM_READ_END, 0);
	send_read(client, id, 10, 0, 4);
	assert_int_equal(result_of(client, 10, NULL, 0), -ENOENT);
}

static void test_read_ways(void **state)
{
	struct llm_read read;
	uint64_t id;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	id = submit(client, "x");
	send_read(client, id, 1, LLM_READ_NONBLOCK, 9);
	assert_int_equal(result_of(client, 1, &read, sizeof(read)), -EAGAIN);
	send_read(client, id, 2, 0, 0);
	assert_int_equal(result_of(client, 2, &read, sizeof(read)), 0);
	assert_int_equal(read.state, LLM_STATE_RUNNING);
	send_read(client, id, 3, LLM_READ_ALL, 5);
	server_commit(id, "abc", 0, 0);
	assert_nothing(client);			/* not full */
	/* one after the other: the second waits for what the first leaves */
	send_read(client, id, 4, 0, 100);
	server_commit(id, "defg", 0, 0);
	assert_read(client, 3, "abcde", 0, 0);
	assert_read(client, 4, "fg", 0, 0);
	send_read(client, id, 5, LLM_READ_ALL, 100);
	server_commit(id, "h", LLM_COMMIT_END, -EILSEQ);
	assert_read(client, 5, "h", LLM_READ_END, -EILSEQ);
}

static void test_submit_and_read(void **state)
{
	struct llm_submit_read both = {
		.submit = { .size = sizeof(both), .payload_len = 1, .op = LLM_OP_NOP },
		.read = { .size = sizeof(both.read), .buf_len = 10 },
	};
	struct llm_msg head;

	(void)state;
	client = client_connect();
	send_command(client, LLM_IOC_SUBMIT_AND_READ, 3, &both, sizeof(both), "x", 1);
	assert_nothing(client);
	/* a control request waits for no slot */
	assert_int_equal(held_count, 1);
	server_commit(held[0].event.id, "", LLM_COMMIT_END, 0);
	client_turn();
	assert_true(receive(client, &head, &both, sizeof(both), NULL, NULL));
	assert_int_equal(head.result, 0);
	assert_int_equal(both.read.id, held[0].event.id);
	assert_int_equal(both.submit.id, held[0].event.id);
	assert_int_equal(both.read.out_flags, LLM_READ_END);
	/* the request lives on if only the read fails */
	both = (struct llm_submit_read){
		.submit = { .size = sizeof(both), .payload_len = 1 },
		.read = { .size = sizeof(both.read), .flags = LLM_READ_NONBLOCK, .buf_len = 1 },
	};
	send_command(client, LLM_IOC_SUBMIT_AND_READ, 4, &both, sizeof(both), "x", 1);
	assert_int_equal(result_of(client, 4, &both, sizeof(both)), -EAGAIN);
	assert_true(both.submit.id);
	send_read(client, both.submit.id, 5, 0, 0);
	assert_int_equal(result_of(client, 5, NULL, 0), 0);
}

static void test_stop_strings_first(void **state)
{
	struct llm_submit args = submit_args(3);

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	args.stop_len = 2;
	/* on the wire the payload comes first, in an event the stop strings */
	send_command(client, LLM_IOC_SUBMIT, 1, &args, sizeof(args), "abcS\0", 5);
	assert_int_equal(result_of(client, 1, NULL, 0), 0);
	assert_memory_equal(held[0].data, "S\0abc", 5);
}

static void test_pause(void **state)
{
	static char text[40001];
	uint64_t id;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	id = submit(client, "x");
	memset(text, 'a', sizeof(text) - 1);
	assert_int_equal(server_commit(id, text, 0, 0), LLM_VERDICT_CONTINUE);
	assert_int_equal(server_commit(id, text, 0, 0), LLM_VERDICT_PAUSE);
	send_read(client, id, 1, 0, 8000);
	send_read(client, id, 2, 0, 8000);
	assert_int_equal(held[0].resumed, 0);
	/* who waits for more than there will be gets what there is */
	send_read(client, id, 3, LLM_READ_ALL, 1U << 31);
	assert_int_equal(held[0].resumed, 1);
	assert_int_equal(server_commit(id, text, 0, 0), LLM_VERDICT_CONTINUE);
}

static void test_wait(void **state)
{
	struct llm_wait wait = { .size = sizeof(wait) };
	uint64_t a, b;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 9);
	send_command(client, LLM_IOC_WAIT, 1, &wait, sizeof(wait), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -ENOENT);
	a = submit(client, "a");
	b = submit(client, "b");
	wait.flags = LLM_WAIT_NONBLOCK;
	send_command(client, LLM_IOC_WAIT, 2, &wait, sizeof(wait), NULL, 0);
	assert_int_equal(result_of(client, 2, NULL, 0), -EAGAIN);
	wait.flags = 0;
	send_command(client, LLM_IOC_WAIT, 3, &wait, sizeof(wait), NULL, 0);
	assert_nothing(client);
	server_commit(b, "x", 0, 0);
	assert_int_equal(result_of(client, 3, &wait, sizeof(wait)), 0);
	assert_int_equal(wait.id, b);
	/* both are ready: in turn */
	server_commit(a, "x", 0, 0);
	wait.id = 0;
	send_command(client, LLM_IOC_WAIT, 4, &wait, sizeof(wait), NULL, 0);
	assert_int_equal(result_of(client, 4, &wait, sizeof(wait)), 0);
	assert_int_equal(wait.id, a);
	wait.id = 0;
	send_command(client, LLM_IOC_WAIT, 5, &wait, sizeof(wait), NULL, 0);
	assert_int_equal(result_of(client, 5, &wait, sizeof(wait)), 0);
	assert_int_equal(wait.id, b);
	/* for the end of one, and that it is forgotten */
	wait = (struct llm_wait){ .size = sizeof(wait), .flags = LLM_WAIT_END, .id = a };
	send_command(client, LLM_IOC_WAIT, 6, &wait, sizeof(wait), NULL, 0);
	assert_nothing(client);
	server_commit(a, "", LLM_COMMIT_END, 0);
	assert_int_equal(result_of(client, 6, &wait, sizeof(wait)), 0);
	assert_int_equal(wait.state, LLM_STATE_ENDED);
}

static void test_wait_deadline(void **state)
{
	struct llm_wait wait = { .size = sizeof(wait), .deadline_ns = 1 };
	struct llm_msg head;

	(void)state;
	client = client_connect();
	wait.id = submit(client, "a");
	send_command(client, LLM_IOC_WAIT, 1, &wait, sizeof(wait), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -ETIME);
	wait.deadline_ns = clock_ns() + 20 * NS_PER_MS;
	send_command(client, LLM_IOC_WAIT, 2, &wait, sizeof(wait), NULL, 0);
	while (!receive(client, &head, &wait, sizeof(wait), NULL, NULL)) {
		assert_true(loop_run(loop, true) >= 0);
		socket_server_flush(server);
	}
	assert_int_equal(head.result, -ETIME);
	assert_true(clock_ns() >= wait.deadline_ns);
}

static void test_cancel(void **state)
{
	struct llm_cancel cancel = { .size = sizeof(cancel) };
	uint64_t running, queued;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	running = submit(client, "a");
	queued = submit(client, "b");
	server_commit(running, "abc", 0, 0);
	cancel.id = running;
	send_command(client, LLM_IOC_CANCEL, 1, &cancel, sizeof(cancel), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), 0);
	assert_int_equal(held[0].cancelled, 1);
	assert_int_equal(server_commit(running, "def", 0, 0), LLM_VERDICT_CANCELLED);
	/* what came before can be read; then it ends */
	send_read(client, running, 2, 0, 100);
	assert_read(client, 2, "abc", LLM_READ_END, -ECANCELED);
	assert_int_equal(server_commit(running, "", LLM_COMMIT_END, -ECANCELED), LLM_VERDICT_CANCELLED);
	assert_int_equal(server_commit(running, "", 0, 0), -ENOENT);
	/* one that waits is never handed out */
	cancel.id = queued;
	send_command(client, LLM_IOC_CANCEL, 3, &cancel, sizeof(cancel), NULL, 0);
	assert_int_equal(result_of(client, 3, NULL, 0), 0);
	ipc->ops->want(ipc, 9);
	assert_int_equal(held_count, 1);
	send_read(client, queued, 4, 0, 100);
	assert_read(client, 4, "", LLM_READ_END, -ECANCELED);
	send_command(client, LLM_IOC_CANCEL, 5, &cancel, sizeof(cancel), NULL, 0);
	assert_int_equal(result_of(client, 5, NULL, 0), -ENOENT);
}

static void test_cancel_all(void **state)
{
	struct llm_cancel cancel = { .size = sizeof(cancel) };
	unsigned int i;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 3);
	for (i = 0; i < 6; i++)
		submit(client, "a");
	send_read(client, held[0].event.id, 1, 0, 10);
	send_read(client, held[1].event.id, 2, 0, 10);
	cancel.flags = LLM_CANCEL_ALL;
	cancel.id = 1;
	send_command(client, LLM_IOC_CANCEL, 3, &cancel, sizeof(cancel), NULL, 0);
	assert_int_equal(result_of(client, 3, NULL, 0), -EINVAL);
	cancel.id = 0;
	cancel.flags |= LLM_CANCEL_FORGET;
	send_command(client, LLM_IOC_CANCEL, 4, &cancel, sizeof(cancel), NULL, 0);
	assert_int_equal(result_of(client, 1, NULL, 0), -ENOENT);
	assert_int_equal(result_of(client, 2, NULL, 0), -ENOENT);
	assert_int_equal(result_of(client, 4, NULL, 0), 0);
	for (i = 0; i < 3; i++) {
		assert_int_equal(held[i].cancelled, 1);
		assert_int_equal(server_commit(held[i].event.id, "", LLM_COMMIT_END, -ECANCELED),
				 LLM_VERDICT_CANCELLED);
	}
	ipc->ops->want(ipc, 9);
	assert_int_equal(held_count, 3);
}

static void test_list(void **state)
{
	struct llm_list list = { .size = sizeof(list), .capacity = 2,
				 .entry_size = sizeof(struct llm_request_info) + 8 };
	uint8_t data[4096];
	struct llm_request_info info;
	struct llm_msg head;
	size_t len;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	submit(client, "a");
	submit(client, "b");
	submit(client, "c");
	send_command(client, LLM_IOC_LIST, 1, &list, sizeof(list), NULL, 0);
	assert_true(receive(client, &head, &list, sizeof(list), data, &len));
	assert_int_equal(head.result, 0);
	assert_int_equal(list.count, 2);
	assert_int_equal(list.total, 3);
	assert_int_equal(len, 2 * (sizeof(info) + 8));
	memcpy(&info, data, sizeof(info));
	assert_int_equal(info.state, LLM_STATE_RUNNING);
	assert_int_equal(info.pid, getpid());
	memcpy(&info, data + sizeof(info) + 8, sizeof(info));
	assert_int_equal(info.state, LLM_STATE_QUEUED);
	list.cursor = info.id;
	send_command(client, LLM_IOC_LIST, 2, &list, sizeof(list), NULL, 0);
	assert_int_equal(result_of(client, 2, &list, sizeof(list)), 0);
	assert_int_equal(list.count, 1);
	list.entry_size = 8;
	send_command(client, LLM_IOC_LIST, 3, &list, sizeof(list), NULL, 0);
	assert_int_equal(result_of(client, 3, NULL, 0), -EINVAL);
	/* somebody else's eyes see the same, and may touch none of it */
	close(client);
	client_turn();
}

/* charged now in all, and to a request as LIST tells it */
static void assert_charged(uint64_t id, uint64_t all, uint64_t own)
{
	struct llm_list list = { .size = sizeof(list), .capacity = 1, .cursor = id - 1,
				 .entry_size = sizeof(struct llm_request_info) };
	struct llm_features features = { .size = sizeof(features) };
	struct llm_request_info info = { 0 };
	struct llm_msg head;
	uint8_t data[4096];
	size_t len = 0;

	send_command(client, LLM_IOC_GET_FEATURES, 1, &features, sizeof(features), NULL, 0);
	assert_int_equal(result_of(client, 1, &features, sizeof(features)), 0);
	assert_int_equal(features.memory_host, all);
	send_command(client, LLM_IOC_LIST, 2, &list, sizeof(list), NULL, 0);
	assert_true(receive(client, &head, &list, sizeof(list), data, &len));
	if (len)
		memcpy(&info, data, sizeof(info));
	assert_int_equal(info.id == id ? info.memory_host : 0, own);
}

static int charge(uint64_t id, uint64_t bytes)
{
	return ipc->ops->charge(ipc, &(struct llm_charge){ .size = sizeof(struct llm_charge),
							   .id = id, .bytes = bytes });
}

static int uncharge(uint64_t id, uint64_t bytes)
{
	return ipc->ops->uncharge(ipc, &(struct llm_charge){ .size = sizeof(struct llm_charge),
							     .id = id, .bytes = bytes });
}

/* the books of memory; the end of a request gives back the rest */
static void test_memory(void **state)
{
	struct llm_submit nop = submit_args(0);
	uint64_t a, b;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 2);
	a = submit(client, "a");
	b = submit(client, "b");
	assert_int_equal(charge(a, 1000), LLM_VERDICT_CONTINUE);
	assert_int_equal(charge(b, 1ULL << 40), LLM_VERDICT_CONTINUE);
	assert_int_equal(charge(a, 24), LLM_VERDICT_CONTINUE);
	assert_charged(a, (1ULL << 40) + 1024, 1024);
	assert_int_equal(uncharge(a, 1025), -EINVAL);
	assert_int_equal(uncharge(a, 1000), 0);
	assert_charged(a, (1ULL << 40) + 24, 24);
	assert_int_equal(charge(a, 0), -EINVAL);
	assert_int_equal(charge(b + 1, 1), -ENOENT);
	assert_int_equal(uncharge(b + 1, 1), -ENOENT);
	nop.op = LLM_OP_NOP;
	send_command(client, LLM_IOC_SUBMIT, 3, &nop, sizeof(nop), NULL, 0);
	assert_int_equal(result_of(client, 3, NULL, 0), 0);
	assert_int_equal(charge(b + 1, 1), -EINVAL);
	assert_int_equal(uncharge(b + 1, 1), -EINVAL);
	assert_int_equal(server_commit(b, "b", LLM_COMMIT_END, 0), LLM_VERDICT_CONTINUE);
	assert_charged(a, 24, 24);
	assert_int_equal(charge(b, 1), -ENOENT);
	/* a connection that closes: its request is the scheduler's until its end */
	close(client);
	client_turn();
	client = client_connect();
	assert_int_equal(charge(a, 1), LLM_VERDICT_CANCELLED);
	assert_charged(a, 24, 24);
	assert_int_equal(uncharge(a, 4), 0);
	assert_int_equal(server_commit(a, "", LLM_COMMIT_END, -ECANCELED),
			 LLM_VERDICT_CANCELLED);
	assert_charged(a, 0, 0);
}

static int keep(uint64_t id, uint64_t bytes)
{
	return ipc->ops->charge(ipc, &(struct llm_charge){ .size = sizeof(struct llm_charge),
							   .flags = LLM_CHARGE_KEEP, .id = id,
							   .bytes = bytes });
}

static int uncharge_kept(uint64_t bytes)
{
	return ipc->ops->uncharge(ipc, &(struct llm_charge){ .size = sizeof(struct llm_charge),
							     .cgroup_id = 1, .bytes = bytes });
}

/* what is kept outlives its request, in the books as well */
static void test_kept(void **state)
{
	uint64_t a;

	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	a = submit(client, "a");
	assert_int_equal(charge(a, 1000), LLM_VERDICT_CONTINUE);
	assert_int_equal(keep(a, 1001), -EINVAL);
	assert_int_equal(keep(a, 600), LLM_VERDICT_CONTINUE);
	assert_charged(a, 1000, 400);
	assert_int_equal(uncharge(a, 401), -EINVAL);
	assert_int_equal(uncharge_kept(601), -EINVAL);
	assert_int_equal(uncharge_kept(50), 0);
	assert_charged(a, 950, 400);
	assert_int_equal(server_commit(a, "a", LLM_COMMIT_END, 0), LLM_VERDICT_CONTINUE);
	assert_charged(a, 550, 0);
	assert_int_equal(keep(a, 1), -ENOENT);
	assert_int_equal(uncharge_kept(550), 0);
	assert_charged(a, 0, 0);
	assert_int_equal(uncharge_kept(1), -EINVAL);
}

/* a cache domain is a user of a cgroup; where no cgroup is known, a connection */
static void test_domains(void **state)
{
	const struct llm_event *a, *b, *c;
	int other;

	(void)state;
	client = client_connect();
	other = client_connect();
	ipc->ops->want(ipc, 3);
	submit(client, "a");
	a = &held[0].event;
	submit(client, "b");
	b = &held[1].event;
	submit(other, "c");
	c = &held[2].event;
	assert_int_equal(held_count, 3);
	assert_true(a->domain_cgroup > 0);
	assert_int_equal(a->domain_cgroup, b->domain_cgroup);
	assert_int_equal(a->domain_uid, b->domain_uid);
	if (a->cgroup_id) {
		assert_int_equal(a->domain_cgroup, a->cgroup_id);
		assert_int_equal(a->domain_uid, getuid());
		assert_int_equal(c->domain_cgroup, a->domain_cgroup);
		assert_int_equal(c->domain_uid, a->domain_uid);
	} else {
		assert_int_equal(a->domain_uid, UINT32_MAX);
		assert_int_not_equal(a->domain_cgroup, c->domain_cgroup);
	}
	close(other);
	client_turn();
}

static void test_strangers(void **state)
{
	uint64_t id;
	int other;

	(void)state;
	client = client_connect();
	other = client_connect();
	ipc->ops->want(ipc, 1);
	id = submit(client, "a");
	send_read(other, id, 1, 0, 10);
	assert_int_equal(result_of(other, 1, NULL, 0), -ENOENT);
	close(other);
	client_turn();
	assert_int_equal(held[0].cancelled, 0);
}

static void test_hang_up(void **state)
{
	(void)state;
	client = client_connect();
	ipc->ops->want(ipc, 1);
	submit(client, "a");
	submit(client, "b");
	send_read(client, held[0].event.id, 1, 0, 10);
	close(client);
	client = -1;
	client_turn();
	assert_int_equal(held[0].cancelled, 1);
	assert_int_equal(server_commit(held[0].event.id, "x", 0, 0), LLM_VERDICT_CANCELLED);
	server_commit(held[0].event.id, "", LLM_COMMIT_END, -ECANCELED);
	ipc->ops->want(ipc, 9);
	assert_int_equal(held_count, 1);
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, client_setup, client_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_features), TEST(test_stream), TEST(test_read_ways),
		TEST(test_submit_and_read), TEST(test_stop_strings_first), TEST(test_pause),
		TEST(test_wait), TEST(test_wait_deadline), TEST(test_cancel),
		TEST(test_cancel_all), TEST(test_list), TEST(test_memory),
		TEST(test_kept), TEST(test_domains),
		TEST(test_strangers), TEST(test_hang_up),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ipc_socket", tests, NULL, NULL);
}
