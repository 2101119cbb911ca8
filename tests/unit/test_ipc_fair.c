/* SPDX-License-Identifier: MIT */
/*
 * The socket's broker in fair order: who is handed out, told to pause and told to go on, when more
 * connections ask than there are slots; cgroups, users and classes as tenants.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <setjmp.h>
#include <cmocka.h>

#include "ipc/tenants.h"
#include "ipc_client.h"

#define SLOTS	2
#define CONNS	8

static int conns[CONNS];

/** struct turn - what the test's scheduler knows of the held request with the same index */
static struct turn {
	unsigned int tokens;
	unsigned int resumes;	/* that were seen */
	bool paused;
	bool ended;
} turns[HELD_MAX];

static int setup(void **state)
{
	int i, r = client_setup(state);

	memset(turns, 0, sizeof(turns));
	if (!r)
		socket_server_set_slots(server, SLOTS, 4 * SLOTS);
	for (i = 0; i < CONNS; i++)
		conns[i] = -1;
	return r;
}

static int teardown(void **state)
{
	int i;

	for (i = 0; i < CONNS; i++)
		if (conns[i] >= 0)
			close(conns[i]);
	return client_teardown(state);
}

static int commit(unsigned int i, const char *text, unsigned int flags)
{
	const struct llm_commit args = {
		.size = sizeof(args),
		.flags = flags,
		.id = held[i].event.id,
		.data = (uintptr_t)text,
		.data_len = strlen(text),
		.finish = flags & LLM_COMMIT_END ? LLM_FINISH_STOP : 0,
		.prompt_tokens = 1,
		.output_tokens = ++turns[i].tokens,
	};
	int verdict = ipc->ops->commit(ipc, &args);

	turns[i].ended = flags & LLM_COMMIT_END;
	turns[i].paused = verdict == LLM_VERDICT_PAUSE;
	return verdict;
}

static void take_resumes(void)
{
	unsigned int i;

	for (i = 0; i < held_count; i++) {
		if (turns[i].resumes == held[i].resumed)
			continue;
		turns[i].resumes = held[i].resumed;
		turns[i].paused = false;
	}
}

static bool runs(unsigned int i)
{
	return i < held_count && !turns[i].paused && !turns[i].ended && !held[i].cancelled;
}

/* a token for each that may run; Return: how many did */
static unsigned int step(void)
{
	bool runs_now[HELD_MAX];
	unsigned int i, count = 0, n = held_count;

	take_resumes();
	for (i = 0; i < n; i++)
		count += runs_now[i] = runs(i);
	assert_true(count <= SLOTS);
	for (i = 0; i < n; i++) {
		/* who goes on because of a commit of this step takes part in the next one */
		if (!runs_now[i])
			continue;
		commit(i, "", 0);
		if (turns[i].resumes != held[i].resumed)
			take_resumes();
	}
	ipc->ops->want(ipc, 0);
	return count;
}

static uint64_t ask(unsigned int conn, enum llm_class class)
{
	struct llm_submit args = submit_args(1), got;

	if (conns[conn] < 0)
		conns[conn] = client_connect();
	args.sched_class = class;
	send_command(conns[conn], LLM_IOC_SUBMIT, 1, &args, sizeof(args), "x", 1);
	client_turn();
	assert_int_equal(result_of(conns[conn], 1, &got, sizeof(got)), 0);
	return got.id;
}

static unsigned int index_of(uint64_t id)
{
	unsigned int i;

	for (i = 0; i < held_count; i++)
		if (held[i].event.id == id)
			return i;
	fail_msg("request %llu was not handed out", (unsigned long long)id);
	return 0;
}

/* connections share alike, however much each asks for */
static void test_connections(void **state)
{
	unsigned int i, by_conn[3] = { 0 };
	uint64_t ids[9];

	(void)state;
	for (i = 0; i < 9; i++)
		ids[i] = ask(i < 7 ? 0 : i - 6, LLM_CLASS_NORMAL);
	assert_int_equal(held_count, SLOTS);
	for (i = 0; i < 3000; i++)
		assert_int_equal(step(), SLOTS);
	for (i = 0; i < held_count; i++)
		by_conn[held[i].event.id < ids[7] ? 0 : held[i].event.id == ids[7] ? 1 : 2] +=
			turns[i].tokens;
	for (i = 0; i < 3; i++)
		assert_in_range(by_conn[i], 1960, 2040);
}

static void test_classes(void **state)
{
	unsigned int i, interactive, normal, idle;
	uint64_t of_interactive, of_idle;

	(void)state;
	of_idle = ask(1, LLM_CLASS_IDLE);
	assert_int_equal(step(), 1);
	ask(0, LLM_CLASS_NORMAL);
	ask(0, LLM_CLASS_NORMAL);
	of_interactive = ask(0, LLM_CLASS_INTERACTIVE);
	ask(0, LLM_CLASS_INTERACTIVE);
	step();
	step();
	idle = turns[index_of(of_idle)].tokens;
	for (i = 0; i < 1000; i++)
		assert_int_equal(step(), SLOTS);
	/* nothing while others want all */
	assert_int_equal(turns[index_of(of_idle)].tokens, idle);
	for (i = interactive = normal = 0; i < held_count; i++)
		if (held[i].event.sched_class == LLM_CLASS_INTERACTIVE)
			interactive += turns[i].tokens;
		else if (held[i].event.sched_class == LLM_CLASS_NORMAL)
			normal += turns[i].tokens;
	assert_in_range(interactive * 100 / normal, 380, 420);
	(void)of_interactive;
	for (i = 0; i < held_count; i++)
		if (held[i].event.sched_class != LLM_CLASS_IDLE)
			commit(i, "", LLM_COMMIT_END);
	assert_int_equal(step(), 1);
	assert_int_equal(turns[index_of(of_idle)].tokens, idle + 1);
}

/* somebody new does not wait for the end of anybody */
static void test_newcomer(void **state)
{
	unsigned int i;
	uint64_t id;

	(void)state;
	for (i = 0; i < 12; i++)
		ask(0, LLM_CLASS_NORMAL);
	for (i = 0; i < 50; i++)
		step();
	/* one connection: the oldest of it go on to their end */
	assert_int_equal(held_count, SLOTS);
	id = ask(1, LLM_CLASS_NORMAL);
	step();
	assert_int_equal(held_count, SLOTS + 1);
	assert_true(runs(index_of(id)));
	/* which frees a slot at once */
	close(conns[1]);
	conns[1] = -1;
	client_turn();
	ipc->ops->want(ipc, 0);
	assert_int_equal(held[index_of(id)].cancelled, 1);
	assert_int_equal(step(), SLOTS);
}

/* a pause for others is not one for the reader: who wants all of an answer goes on waiting */
static void test_read_all(void **state)
{
	struct llm_read read;
	unsigned int i;
	uint64_t id;

	(void)state;
	id = ask(0, LLM_CLASS_NORMAL);
	ask(1, LLM_CLASS_NORMAL);
	ask(2, LLM_CLASS_NORMAL);
	send_read(conns[0], id, 7, LLM_READ_ALL, 1000);
	for (i = 0; i < 100 && !turns[index_of(id)].paused; i++) {
		commit(index_of(id), "a", 0);
		step();
	}
	assert_true(turns[index_of(id)].paused);
	assert_nothing(conns[0]);
	while (turns[index_of(id)].paused)
		step();
	commit(index_of(id), "end", LLM_COMMIT_END);
	socket_server_flush(server);
	assert_int_equal(result_of(conns[0], 7, &read, sizeof(read)), 0);
	assert_int_equal(read.out_flags, LLM_READ_END);
}

/* a reader that sleeps costs nobody a slot; when he comes back he competes again */
static void test_reader(void **state)
{
	static char text[65000];
	struct llm_read read;
	unsigned int i, slow;
	uint64_t id;

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	id = ask(0, LLM_CLASS_NORMAL);
	slow = index_of(id);
	commit(slow, text, 0);
	assert_int_equal(commit(slow, text, 0), LLM_VERDICT_PAUSE);
	ask(1, LLM_CLASS_NORMAL);
	ask(2, LLM_CLASS_NORMAL);
	for (i = 0; i < 100; i++)
		assert_int_equal(step(), SLOTS);
	assert_int_equal(held[slow].resumed, 0);
	for (i = 0; i < 130000 / 4000; i++) {
		send_read(conns[0], id, 3, 0, 4000);
		assert_int_equal(result_of(conns[0], 3, &read, sizeof(read)), 0);
	}
	for (i = 0; i < 100 && !held[slow].resumed; i++)
		step();
	assert_int_equal(held[slow].resumed, 1);
	for (i = 0; i < 300; i++)
		assert_int_equal(step(), SLOTS);
	assert_in_range(turns[slow].tokens, 180, 240);
}

/* ---- tenants ---- */

static struct peer peer_at(uint32_t uid, unsigned int depth, const uint64_t *ids)
{
	struct peer peer = { .uid = uid, .lineage.depth = depth };

	if (depth)
		memcpy(peer.lineage.ids, ids, depth * sizeof(*ids));
	return peer;
}

/* the same place is the same leaf; all that is made goes away again */
static void test_tenants(void **state)
{
	static const uint64_t deep[] = { 1, 20, 300 }, shallow[] = { 1, 20 };
	struct tenant_leaf *a, *b, *c, *d, *e, *again;
	struct tenants tenants;
	struct list one, two;
	struct peer peer;

	(void)state;
	tenants_init(&tenants);
	list_init(&one);
	list_init(&two);
	peer = peer_at(7, 3, deep);
	assert_int_equal(tenants_get(&tenants, &one, &peer, false, &a), 0);
	assert_int_equal(tenants_get(&tenants, &one, &peer, false, &again), 0);
	assert_ptr_equal(a, again);
	assert_int_equal(tenants_get(&tenants, &one, &peer, true, &b), 0);
	assert_int_equal(tenants_get(&tenants, &two, &peer, false, &c), 0);
	assert_true(a != b && a != c && a->member == b->member && a->member == c->member);
	assert_int_equal(b->share.tenant.quota.weight, 4 * a->share.tenant.quota.weight);
	peer = peer_at(7, 2, shallow);
	assert_int_equal(tenants_get(&tenants, &two, &peer, false, &d), 0);
	assert_true(d->member != a->member);
	/* a user's place is below the cgroup's own processes, beside its child cgroups */
	assert_ptr_equal(d->share.tenant.parent->parent->parent,
			 a->share.tenant.parent->parent->parent->parent);
	peer = peer_at(8, 0, NULL);
	assert_int_equal(tenants_get(&tenants, &two, &peer, false, &e), 0);
	/* a connection that closes leaves its leaves to the requests */
	list_remove(&a->link);
	list_remove(&b->link);
	tenants_put(a);
	tenants_put(a);
	tenants_put(b);
	tenants_put(d);
	tenants_put(c);
	tenants_put(e);
	assert_true(list_empty(&tenants.groups) && list_empty(&tenants.members) &&
		    list_empty(&one) && list_empty(&two));
}

static uint64_t inode(const char *path)
{
	struct stat st;

	assert_int_equal(stat(path, &st), 0);
	return st.st_ino;
}

static void test_lineage(void **state)
{
	char top[] = "/tmp/llmos-lineage.XXXXXX", path[4][64];
	struct peer_lineage lineage;
	unsigned int i;

	(void)state;
	assert_non_null(mkdtemp(top));
	snprintf(path[0], sizeof(path[0]), "%s", top);
	for (i = 1; i < 4; i++) {
		snprintf(path[i], sizeof(path[i]), "%s%.*s", top, 2 * (int)i, "/a/b/c");
		assert_int_equal(mkdir(path[i], 0700), 0);
	}
	peer_lineage_of(&lineage, top, "/a/b/c");
	assert_int_equal(lineage.depth, 4);
	for (i = 0; i < 4; i++)
		assert_int_equal(lineage.ids[i], inode(path[i]));
	peer_lineage_of(&lineage, top, "/");
	assert_int_equal(lineage.depth, 1);
	assert_int_equal(lineage.ids[0], inode(top));
	peer_lineage_of(&lineage, top, "/a/gone/c");
	assert_int_equal(lineage.depth, 0);
	for (i = 4; i--;)
		rmdir(path[i]);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_connections), TEST(test_classes), TEST(test_newcomer),
		TEST(test_read_all), TEST(test_reader), TEST(test_tenants), TEST(test_lineage),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("ipc_fair", tests, NULL, NULL);
}
