/* SPDX-License-Identifier: MIT */
/*
 * Servers that lie, die or say nothing, at each command of a connection's life: the call fails
 * with one clear error, every request ends once, and nothing leaks (sanitizers look).
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_llm.h"
#include "llmos.h"

static struct frames frames;

static struct fake *fake_with(unsigned int command, enum fake_evil evil, unsigned int after)
{
	struct fake *fake = fake_new();

	frames.len = 0;
	frames_text(&frames, "an answer of some length");
	fake->answer = frames.bytes;
	fake->answer_len = frames.len;
	fake->chunk = 10;
	fake->evil = evil;
	fake->evil_command = _IOC_NR(command);
	fake->evil_after = after;
	fake_listen(fake);
	return fake;
}

static int died(int r)
{
	return r == -ECONNRESET || r == -EPROTO;
}

/* is this reply bad at this command? */
static bool applies(enum fake_evil evil, unsigned int command)
{
	switch (evil) {
	case FAKE_GOOD:
	case FAKE_MUTATE:	/* may do no harm */
	case FAKE_EVILS:	return false;
	case FAKE_FLOOD:
	case FAKE_STATUS:	return command == LLM_IOC_READ;
	case FAKE_NO_ID:	return command == LLM_IOC_SUBMIT;
	default:		return true;
	}
}

static void test_open(void **state)
{
	unsigned int evil;

	(void)state;
	for (evil = FAKE_CLOSE; evil < FAKE_EVILS; evil++) {
		struct fake *fake;
		struct llmos *llmos = NULL;

		if (!applies(evil, LLM_IOC_GET_FEATURES))
			continue;
		fake = fake_with(LLM_IOC_GET_FEATURES, evil, 0);
		if (!died(llmos_open(&llmos, fake_address(fake))))
			fail_msg("evil %u was believed", evil);
		assert_null(llmos);
		fake_free(fake);
	}
}

static void ask_hostile(unsigned int command, enum fake_evil evil, unsigned int after)
{
	struct fake *fake = fake_with(command, evil, after);
	struct llmos *llmos;
	char *answer = NULL;
	int r;

	assert_int_equal(llmos_open(&llmos, fake_address(fake)), 0);
	r = llmos_ask(llmos, &answer, "x", 1, NULL);
	if (!died(r))
		fail_msg("command %u, evil %u: %d", _IOC_NR(command), evil, r);
	assert_null(answer);
	assert_true(*llmos_error(llmos));
	llmos_free(llmos);
	fake_free(fake);
}

static void test_submit(void **state)
{
	unsigned int evil;

	(void)state;
	for (evil = FAKE_CLOSE; evil < FAKE_EVILS; evil++)
		if (applies(evil, LLM_IOC_SUBMIT))
			ask_hostile(LLM_IOC_SUBMIT, evil, 0);
}

static void test_read(void **state)
{
	unsigned int evil;

	(void)state;
	for (evil = FAKE_CLOSE; evil < FAKE_EVILS; evil++) {
		if (!applies(evil, LLM_IOC_READ))
			continue;
		ask_hostile(LLM_IOC_READ, evil, 0);
		ask_hostile(LLM_IOC_READ, evil, 2);
	}
}

static void on_end(void *userdata, struct llmos_request *request, int status)
{
	unsigned int *ends = userdata;

	(void)request;
	assert_true(died(status));
	(*ends)++;
}

/* every request of a connection that breaks ends, once; the connection stays unusable */
static void break_many(enum fake_evil evil)
{
	struct fake *fake = fake_with(LLM_IOC_READ, evil, 7);
	struct llmos_request *requests[16], *late = NULL;
	struct llmos_generate_opts opts = { .size = sizeof(opts), .on_end = on_end };
	unsigned int ends = 0, i;
	struct llmos *llmos;

	opts.userdata = &ends;
	fake->endless = true;
	assert_int_equal(llmos_open(&llmos, fake_address(fake)), 0);
	for (i = 0; i < 16; i++)
		assert_int_equal(llmos_ask_start(llmos, &requests[i], "x", 1, &opts), 0);
	while (ends < 16)
		assert_true(llmos_dispatch(llmos, 1000) >= 0);
	assert_int_equal(ends, 16);
	for (i = 0; i < 16; i++) {
		assert_true(llmos_request_done(requests[i]));
		assert_true(died(llmos_request_wait(requests[i])));
		llmos_request_free(requests[i]);
	}
	assert_true(died(llmos_dispatch(llmos, 0)));
	assert_true(died(llmos_ask(llmos, NULL, "x", 1, NULL)));
	assert_true(died(llmos_ask_start(llmos, &late, "x", 1, NULL)));
	assert_null(late);
	assert_true(died(llmos_nop(llmos)));
	llmos_free(llmos);
	fake_free(fake);
}

static void test_break_many(void **state)
{
	(void)state;
	break_many(FAKE_CLOSE);
	break_many(FAKE_HALF);
	break_many(FAKE_COOKIE);
}

/*
 * Replies with some bytes changed: whatever that makes of them, the call comes back, and a
 * connection that closed is broken (sanitizers look at the rest).
 */
static void test_mutations(void **state)
{
	static const unsigned int commands[] = {
		LLM_IOC_GET_FEATURES, LLM_IOC_SUBMIT, LLM_IOC_READ, LLM_IOC_LIST,
	};
	struct llm_request_info infos[3] = { { .id = 1 }, { .id = 2 }, { .id = 3 } };
	unsigned int round, seed = (unsigned int)getpid();

	(void)state;
	print_message("# seed %u\n", seed);
	for (round = 0; round < 400; round++) {
		struct fake *fake = fake_with(commands[round % 4], FAKE_MUTATE, round / 4 % 3);
		struct llmos_processes *processes = NULL;
		struct llmos *llmos = NULL;
		char *answer = NULL;

		fake->list = infos;
		fake->list_count = 3;
		fake->seed = seed + round;
		if (!llmos_open(&llmos, fake_address(fake))) {
			llmos_ask(llmos, &answer, "x", 1, NULL);
			free(answer);
			llmos_ps(llmos, &processes);
			llmos_processes_free(processes);
		}
		llmos_free(llmos);
		fake_free(fake);
	}
}

/* records that are nonsense inside messages that are not: this request ends, the others do not */
static void test_bad_records(void **state)
{
	static const uint8_t bad[] = { 1, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 'x' };
	static const uint8_t cut[] = { 1, 0, 0, 0, 9, 0, 0, 0, 'x' };
	struct fake *fake = fake_new();
	struct llmos *llmos;
	char *answer;

	(void)state;
	fake->answer = bad;
	fake->answer_len = sizeof(bad);
	fake_listen(fake);
	assert_int_equal(llmos_open(&llmos, fake_address(fake)), 0);
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1, NULL), -EPROTO);
	fake->answer = cut;
	fake->answer_len = sizeof(cut);
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1, NULL), -EPROTO);
	frames.len = 0;
	frames_text(&frames, "good");
	fake->answer = frames.bytes;
	fake->answer_len = frames.len;
	assert_int_equal(llmos_ask(llmos, &answer, "x", 1, NULL), 0);
	assert_string_equal(answer, "good");
	free(answer);
	llmos_free(llmos);
	fake_free(fake);
}

/* text without end: the answer is bounded */
static void test_endless_answer(void **state)
{
	struct fake *fake = fake_new();
	struct llmos *llmos;
	static char text[60 * 1024];

	(void)state;
	memset(text, 'x', sizeof(text) - 1);
	frames.len = 0;
	frames_text(&frames, text);
	frames_text(&frames, text);
	frames_text(&frames, text);
	fake->answer = frames.bytes;
	fake->answer_len = frames.len;
	fake->endless = true;
	fake_listen(fake);
	assert_int_equal(llmos_open(&llmos, fake_address(fake)), 0);
	assert_int_equal(llmos_ask(llmos, &(char *){ NULL }, "x", 1, NULL), -EMSGSIZE);
	/* the server was told, and the connection is as good as before */
	fake->endless = false;
	assert_int_equal(llmos_nop(llmos), 0);
	assert_int_equal(fake->forgets, 1);
	llmos_free(llmos);
	fake_free(fake);
}

static void test_version(void **state)
{
	struct fake *fake = fake_new();
	struct llmos *llmos = NULL;

	(void)state;
	fake->abi_version = 2;
	fake_listen(fake);
	assert_int_equal(llmos_open(&llmos, fake_address(fake)), -EPROTONOSUPPORT);
	assert_null(llmos);
	fake_free(fake);
}

static void test_addresses(void **state)
{
	static const struct { const char *address; int error; } bad[] = {
		{ "", -EINVAL },
		{ "unix:", -EINVAL },
		{ "device:", -EINVAL },
		{ "device:relative", -EINVAL },
		{ "devicex", -EINVAL },
		{ "/run/llmos/llmos.sock", -EINVAL },
		{ "http://localhost", -EINVAL },
		{ "unix:/nonexistent/socket", -ENOENT },
		{ "device:/nonexistent", -ENOENT },
		{ "device:/dev/null", -EPROTONOSUPPORT },
		{ "device:/etc", -EISDIR },
		{ "unix:/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
		  "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", -ENAMETOOLONG },
	};
	struct llmos *llmos = NULL;
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(llmos_open(&llmos, bad[i].address), bad[i].error);
	assert_null(llmos);
	llmos_free(NULL);
	llmos_request_free(NULL);
	llmos_tokens_free(NULL);
	llmos_models_free(NULL);
	llmos_processes_free(NULL);
}

/* a socket file that nobody listens on any more */
static void test_nobody_listens(void **state)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	char text[128];
	struct llmos *llmos;
	int fd;

	(void)state;
	snprintf(address.sun_path, sizeof(address.sun_path), "/tmp/llmos-dead.%d", getpid());
	snprintf(text, sizeof(text), "unix:%s", address.sun_path);
	fd = socket(AF_UNIX, SOCK_STREAM, 0);
	assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
	assert_int_equal(llmos_open(&llmos, text), -ECONNREFUSED);
	close(fd);
	unlink(address.sun_path);
}

static void test_default_address(void **state)
{
	(void)state;
	setenv("LLMOS_ADDRESS", "unix:/there", 1);
	assert_string_equal(llmos_default_address(), "unix:/there");
	setenv("LLMOS_ADDRESS", "", 1);
	assert_string_not_equal(llmos_default_address(), "");
	unsetenv("LLMOS_ADDRESS");
	assert_true(!strcmp(llmos_default_address(), "device:/dev/llm") ||
		    !strcmp(llmos_default_address(), "unix:/run/llmos/llmos.sock"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_submit),
		cmocka_unit_test(test_read),
		cmocka_unit_test(test_break_many),
		cmocka_unit_test(test_mutations),
		cmocka_unit_test(test_bad_records),
		cmocka_unit_test(test_endless_answer),
		cmocka_unit_test(test_version),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_nobody_listens),
		cmocka_unit_test(test_default_address),
	};

	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
