// SPDX-License-Identifier: MIT
/*
 * Commands by io_uring that wait: what ends the wait, which is one thing only, and when. A deadline
 * is kept in ticks, which may be behind the clock, and must not end anything early for that.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>

#include <cmocka.h>

#include "kmod/broker.h"
#include "kmod/call.h"
#include "kmod/client.h"
#include "kmod/commands.h"
#include "kmod/request.h"
#include "kmod/uring.h"

#define MS	1000000ULL
#define TICK_NS	(NSEC_PER_SEC / HZ)

static struct llm_client *client;

/* A command, and what io_uring has of it. */
struct command {
	struct io_uring_cmd cmd;
	struct io_uring_sqe sqe;
	struct llm_wait wait;
};

static int issue(struct command *command, unsigned int number, void *arg, u32 arg_len)
{
	const struct llm_command *found =
		llm_command_find(llm_client_commands, LLM_CLIENT_COMMANDS, number);
	const struct llm_uring_cmd asked = { .arg = (uintptr_t)arg, .arg_len = arg_len };

	memset(command->sqe.cmd, 0, sizeof(command->sqe.cmd));
	memcpy(command->sqe.cmd, &asked, sizeof(asked));
	command->cmd = (struct io_uring_cmd) { .sqe = &command->sqe };
	return llm_uring_issue(&command->cmd, 0, found, client, NULL);
}

static u64 submit(void)
{
	struct llm_submit arg = {
		.size = sizeof(arg), .payload = (uintptr_t)"prompt", .payload_len = 6,
	};
	struct command command;

	assert_int_equal(issue(&command, LLM_IOC_SUBMIT, &arg, sizeof(arg)), 0);
	return arg.id;
}

static void cancel(u64 id)
{
	struct llm_cancel arg = { .size = sizeof(arg), .id = id };
	struct command command;

	assert_int_equal(issue(&command, LLM_IOC_CANCEL, &arg, sizeof(arg)), 0);
}

/* A WAIT for a request of which nobody says anything; it parks. */
static void wait_until(struct command *command, u64 id, u64 deadline_ns)
{
	command->wait = (struct llm_wait) {
		.size = sizeof(command->wait), .id = id, .deadline_ns = deadline_ns,
	};
	kshim_scheduled = NULL;
	assert_int_equal(issue(command, LLM_IOC_WAIT, &command->wait, sizeof(command->wait)),
			 -EIOCBQUEUED);
	assert_true(command->cmd.cancelable);
	assert_false(command->cmd.done);
	assert_true(!!kshim_scheduled == !!deadline_ns);
}

/* The clock goes on to where the deadline's work is due. */
static void run_due(void)
{
	assert_true(kshim_scheduled->pending);
	kshim_now_ns = max(kshim_now_ns, kshim_scheduled->due_ns);
	kshim_run_work(kshim_scheduled);
}

static void begin(void)
{
	memset(&llm_broker, 0, sizeof(llm_broker));
	kshim_now_ns = 1000 * MS;
	kshim_schedules = 0;
	assert_int_equal(llm_request_init(), 0);
	assert_int_equal(llm_uring_init(), 0);
	llm_broker_init();
	client = llm_client_create();
	assert_non_null(client);
	llm_uring_pool_init(&client->pool);
}

static void end(void)
{
	llm_uring_pool_empty(&client->pool);
	llm_client_destroy(client);
	assert_int_equal(llm_broker.requests, 0);
	llm_broker_exit();
	llm_uring_exit();
	llm_request_exit();
	assert_int_equal(kshim_allocs, 0);
}

static void test_deadline(void **state)
{
	struct command command;
	u64 id, deadline;

	(void)state;
	begin();
	id = submit();
	/* on a tick, within one, and less than one ahead */
	for (u64 ahead = 3; ahead <= 100 * MS; ahead = ahead * 5 + 1) {
		deadline = kshim_now_ns + ahead;
		wait_until(&command, id, deadline);
		assert_true(kshim_scheduled->due_ns >= deadline);
		assert_true(kshim_scheduled->due_ns <= deadline + TICK_NS);
		run_due();
		assert_false(command.cmd.done);
		assert_true(kshim_run_task_work(&command.cmd));
		assert_true(command.cmd.done);
		assert_int_equal(command.cmd.result, -ETIME);
		assert_false(kshim_scheduled->pending);
	}
	end();
}

/* The work comes too early, as often as the ticks were behind: it waits for what is left. */
static void test_ticks_behind(void **state)
{
	struct command command;
	u64 id, deadline;

	(void)state;
	begin();
	id = submit();
	for (unsigned int times = 1; times <= 3; times++) {
		deadline = kshim_now_ns + 100 * MS;
		kshim_schedules = 0;
		kshim_behind_ns = 50 * MS;
		wait_until(&command, id, deadline);
		for (unsigned int early = 1; early <= times; early++) {
			assert_true(kshim_scheduled->due_ns < deadline);
			if (early < times)
				kshim_behind_ns = 10 * MS;
			run_due();
			assert_true(kshim_now_ns < deadline);
			assert_true(kshim_scheduled->pending);
			assert_null(command.cmd.task_work);
			assert_false(command.cmd.done);
			assert_int_equal(kshim_schedules, early + 1);
		}
		assert_true(kshim_scheduled->due_ns >= deadline);
		assert_true(kshim_scheduled->due_ns <= deadline + TICK_NS);
		run_due();
		assert_int_equal(kshim_schedules, times + 1);
		assert_true(kshim_run_task_work(&command.cmd));
		assert_int_equal(command.cmd.result, -ETIME);
	}
	end();
}

/* Nothing waits for the deadline of a command that something else has ended. */
static void test_woken(void **state)
{
	struct command command;
	u64 id;

	(void)state;
	begin();
	/* by what it waited for, also after the work has come too early */
	for (unsigned int early = 0; early < 2; early++) {
		id = submit();
		kshim_behind_ns = early ? 50 * MS : 0;
		wait_until(&command, id, kshim_now_ns + 100 * MS);
		if (early)
			run_due();
		cancel(id);
		assert_true(kshim_run_task_work(&command.cmd));
		assert_int_equal(command.cmd.result, 0);
		assert_int_equal(command.wait.state, LLM_STATE_ENDED);
		assert_false(kshim_scheduled->pending);
	}
	/* by io_uring */
	id = submit();
	wait_until(&command, id, kshim_now_ns + 100 * MS);
	assert_int_equal(llm_uring_cancel(&command.cmd, 0, &client->pool), 0);
	assert_true(command.cmd.done);
	assert_int_equal(command.cmd.result, -ECANCELED);
	assert_false(kshim_scheduled->pending);
	/* which comes once more, late */
	assert_int_equal(llm_uring_cancel(&command.cmd, 0, &client->pool), 0);
	end();
}

/* Deadline, wake-up and cancel come together: the first one decides, and it is finished once. */
static void test_together(void **state)
{
	struct command command;
	u64 id;

	(void)state;
	begin();
	/* the deadline, before the cancel */
	id = submit();
	wait_until(&command, id, kshim_now_ns + 10 * MS);
	run_due();
	assert_int_equal(llm_uring_cancel(&command.cmd, 0, &client->pool), 0);
	assert_false(command.cmd.done);
	assert_true(kshim_run_task_work(&command.cmd));
	assert_true(command.cmd.result == -ETIME || command.cmd.result == -ECANCELED);
	/* what it waited for, before the deadline */
	wait_until(&command, id, kshim_now_ns + 10 * MS);
	cancel(id);
	run_due();
	assert_true(kshim_run_task_work(&command.cmd));
	assert_int_equal(command.cmd.result, 0);
	assert_null(command.cmd.task_work);
	/* the deadline, and nobody is there any more to be told */
	id = submit();
	wait_until(&command, id, kshim_now_ns + 10 * MS);
	run_due();
	command.cmd.dead = true;
	assert_true(kshim_run_task_work(&command.cmd));
	assert_int_equal(command.cmd.result, -ECANCELED);
	end();
}

/* A call is used again: nothing of the command before it is left, with a deadline or without. */
static void test_used_again(void **state)
{
	struct command command;
	const u64 none = 0;
	u64 id;

	(void)state;
	begin();
	id = submit();
	wait_until(&command, id, kshim_now_ns + 10 * MS);
	run_due();
	assert_true(kshim_run_task_work(&command.cmd));
	assert_int_equal(command.cmd.result, -ETIME);
	assert_int_equal(client->pool.count, 1);
	wait_until(&command, id, none);
	assert_int_equal(client->pool.count, 0);
	kshim_now_ns += 1000 * MS;
	assert_null(command.cmd.task_work);
	cancel(id);
	assert_true(kshim_run_task_work(&command.cmd));
	assert_int_equal(command.cmd.result, 0);
	assert_int_equal(client->pool.count, 1);
	end();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_deadline),
		cmocka_unit_test(test_ticks_behind),
		cmocka_unit_test(test_woken),
		cmocka_unit_test(test_together),
		cmocka_unit_test(test_used_again),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("kmod_uring", tests, NULL, NULL);
}
