/* SPDX-License-Identifier: MIT */
/*
 * Buffers through libllmos: what is registered, and what a request that names one submits. ioctl()
 * is this file's, and stands for the broker.
 */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <cmocka.h>
#include <linux/llm.h>

#include "llmos.h"

static struct {
	uint64_t commands;
	struct llm_register reg;
	struct llm_unregister unregister;
	struct llm_submit submit;
	char stop[64];
	unsigned int submits;
	uint64_t answer_bytes;
	int error;
} broker;

static int do_submit(struct llm_submit *submit)
{
	broker.submits++;
	broker.submit = *submit;
	memset(broker.stop, 0, sizeof(broker.stop));
	assert_true(submit->stop_len <= sizeof(broker.stop));
	if (submit->stop_len)
		memcpy(broker.stop, (const void *)(uintptr_t)submit->stop, submit->stop_len);
	submit->id = broker.submits;
	return 0;
}

static int do_command(unsigned long request, void *arg)
{
	switch (request) {
	case LLM_IOC_GET_FEATURES:
		((struct llm_features *)arg)->abi_version = LLM_ABI_VERSION;
		((struct llm_features *)arg)->commands = broker.commands;
		((struct llm_features *)arg)->max_payload_bytes = 64;
		return 0;
	case LLM_IOC_REGISTER:
		broker.reg = *(struct llm_register *)arg;
		((struct llm_register *)arg)->buffer = 0x5000;
		return broker.error;
	case LLM_IOC_UNREGISTER:
		broker.unregister = *(struct llm_unregister *)arg;
		return broker.error;
	case LLM_IOC_SUBMIT:
		return do_submit(arg);
	case LLM_IOC_READ:
		((struct llm_read *)arg)->out_flags = LLM_READ_END;
		((struct llm_read *)arg)->answer_bytes = broker.answer_bytes;
		return 0;
	case LLM_IOC_CANCEL:
		return 0;
	default:
		fail_msg("command %#lx", request);
		return -ENOTTY;
	}
}

int ioctl(int fd, unsigned long request, ...)
{
	va_list ap;
	void *arg;
	int r;

	(void)fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	r = do_command(request, arg);
	errno = r < 0 ? -r : 0;
	return r < 0 ? -1 : 0;
}

static struct llmos *open_device(void)
{
	struct llmos *llmos;

	memset(&broker, 0, sizeof(broker));
	broker.commands = ~0ULL;
	assert_int_equal(llmos_open(&llmos, "device:/dev/null"), 0);
	return llmos;
}

static void test_register(void **state)
{
	struct llmos *llmos = open_device();
	uint64_t buffer = 0;

	(void)state;
	assert_int_equal(llmos_buffer_register(llmos, &buffer, (void *)0x4000, 8192, NULL), 0);
	assert_int_equal(buffer, 0x5000);
	assert_int_equal(broker.reg.size, sizeof(broker.reg));
	assert_int_equal(broker.reg.flags, 0);
	assert_int_equal(broker.reg.addr, 0x4000);
	assert_int_equal(broker.reg.len, 8192);
	assert_int_equal(llmos_buffer_register(llmos, &buffer, NULL, 4096,
					       LLMOS_OPTS(llmos_buffer_opts, .write = true,
							  .memfd = true, .fd = 7,
							  .offset = 12288)), 0);
	assert_int_equal(broker.reg.flags, LLM_BUFFER_WRITE | LLM_BUFFER_MEMFD);
	assert_int_equal(broker.reg.addr, 12288);
	assert_int_equal(broker.reg.fd, 7);
	assert_int_equal(llmos_buffer_register(llmos, &buffer, (void *)0x4000, 4096,
					       LLMOS_OPTS(llmos_buffer_opts,
							  .memfd = true)), -EINVAL);
	assert_int_equal(llmos_buffer_register(llmos, &buffer, (void *)0x4000, 4096,
					       LLMOS_OPTS(llmos_buffer_opts,
							  .fd = 3)), -EINVAL);
	assert_int_equal(llmos_buffer_unregister(llmos, 0x5000), 0);
	assert_int_equal(broker.unregister.buffer, 0x5000);
	broker.error = -EBUSY;
	buffer = 1;
	assert_int_equal(llmos_buffer_unregister(llmos, 0x5000), -EBUSY);
	assert_non_null(strstr(llmos_error(llmos), "buffer '20480'"));
	assert_int_equal(llmos_buffer_register(llmos, &buffer, (void *)0x4000, 4096, NULL), -EBUSY);
	assert_int_equal(buffer, 1);
	llmos_free(llmos);
}

/* a prompt far over what goes with a command, and its stop strings all the same */
static void test_prompt(void **state)
{
	static const char *const stop[] = { "end", NULL };
	struct llmos *llmos = open_device();

	(void)state;
	assert_int_equal(llmos_ask(llmos, NULL, NULL, 1000000,
				   LLMOS_OPTS(llmos_generate_opts, .buffer = 0x5000,
					      .buffer_offset = 77, .stop = stop)), 0);
	assert_true(broker.submit.flags & LLM_SUBMIT_BUFFER);
	assert_int_equal(broker.submit.buffer, 0x5000);
	assert_int_equal(broker.submit.payload, 77);
	assert_int_equal(broker.submit.payload_len, 1000000);
	assert_int_equal(broker.submit.stop_len, 4);
	assert_string_equal(broker.stop, "end");
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1,
				   LLMOS_OPTS(llmos_generate_opts, .buffer = 0x5000)),
			 -EINVAL);
	assert_int_equal(llmos_ask(llmos, NULL, NULL, LLM_BUFFER_PAYLOAD_MAX + 1UL,
				   LLMOS_OPTS(llmos_generate_opts, .buffer = 0x5000)),
			 -E2BIG);
	assert_int_equal(broker.submits, 1);
	/* and without one all is as it was */
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1,
				   LLMOS_OPTS(llmos_generate_opts, .stop = stop)), 0);
	assert_false(broker.submit.flags & LLM_SUBMIT_BUFFER);
	assert_string_equal(broker.stop, "end");
	llmos_free(llmos);
}

static void test_scores(void **state)
{
	struct llmos *llmos = open_device();
	struct llmos_tokens *tokens = NULL;
	size_t count = 0;

	(void)state;
	broker.answer_bytes = 48;
	assert_int_equal(llmos_score_ids(llmos, &tokens, NULL, 1000,
					 LLMOS_OPTS(llmos_score_opts, .buffer = 0x5000,
						    .buffer_offset = 4, .scores = 0x9000,
						    .scores_offset = 8, .scores_len = 4000,
						    .ret_scores = &count)), 0);
	assert_int_equal(count, 12);
	assert_int_equal(tokens->count, 0);
	llmos_tokens_free(tokens);
	assert_int_equal(broker.submit.payload_len, 4000);
	assert_int_equal(broker.submit.payload, 4);
	assert_int_equal(broker.submit.answer_buffer, 0x9000);
	assert_int_equal(broker.submit.answer_offset, 8);
	assert_int_equal(broker.submit.answer_len, 4000);
	/* ids that go with the command are few */
	assert_int_equal(llmos_score_ids(llmos, &tokens, (const uint32_t *)broker.stop, 17, NULL),
			 -E2BIG);
	assert_int_equal(llmos_score_ids(llmos, &tokens, NULL, SIZE_MAX / 2,
					 LLMOS_OPTS(llmos_score_opts, .buffer = 1)), -E2BIG);
	llmos_free(llmos);
}

/* a broker that knows nothing of buffers is never sent one */
static void test_none(void **state)
{
	struct llmos *llmos;
	uint64_t buffer = 3;

	(void)state;
	memset(&broker, 0, sizeof(broker));
	broker.commands = 0x7f;
	assert_int_equal(llmos_open(&llmos, "device:/dev/null"), 0);
	assert_int_equal(llmos_buffer_register(llmos, &buffer, (void *)0x4000, 4096, NULL),
			 -EOPNOTSUPP);
	assert_int_equal(llmos_buffer_unregister(llmos, 1), -EOPNOTSUPP);
	assert_int_equal(llmos_ask(llmos, NULL, NULL, 10,
				   LLMOS_OPTS(llmos_generate_opts, .buffer = 1)),
			 -EOPNOTSUPP);
	assert_int_equal(buffer, 3);
	assert_int_equal(broker.submits, 0);
	llmos_free(llmos);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register), cmocka_unit_test(test_prompt),
		cmocka_unit_test(test_scores), cmocka_unit_test(test_none),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("libllmos_buffers", tests, NULL, NULL);
}
