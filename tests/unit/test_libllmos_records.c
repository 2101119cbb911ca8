/* SPDX-License-Identifier: MIT */
/*
 * The reader of framed answers: the same records however they are cut, and nothing from a hostile
 * server but an error.
 */
#include <errno.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#include "libllmos-user/src/records.h"

/** struct log - what came out, types and bodies in a row */
struct log {
	uint8_t bytes[1 << 20];
	size_t len;
	unsigned int count;
	unsigned int stop_at;
};

static int log_record(void *userdata, unsigned int type, const uint8_t *body, size_t len)
{
	struct log *log = userdata;

	assert_true(log->len + 1 + len <= sizeof(log->bytes));
	log->bytes[log->len++] = (uint8_t)type;
	memcpy(log->bytes + log->len, body, len);
	log->len += len;
	return ++log->count == log->stop_at ? 77 : 0;
}

static size_t put(uint8_t *to, unsigned int type, const void *body, size_t len)
{
	struct llm_record record = { .type = type, .len = len };

	memcpy(to, &record, sizeof(record));
	memcpy(to + sizeof(record), body, len);
	return sizeof(record) + len;
}

static void test_any_cut(void **state)
{
	static struct log whole, cut;
	uint8_t bytes[256];
	size_t len = 0, size, at;

	(void)state;
	memset(&whole, 0, sizeof(whole));
	len += put(bytes + len, LLM_RECORD_TEXT, "hello", 5);
	len += put(bytes + len, LLM_RECORD_TEXT, "", 0);
	len += put(bytes + len, 9999, "of the future", 13);
	len += put(bytes + len, LLM_RECORD_ERROR, "what", 4);
	len += put(bytes + len, LLM_RECORD_TEXT, "", 0);
	for (size = len; size; size--) {
		struct llmos_records records = { 0 };

		memset(&cut, 0, sizeof(cut));
		for (at = 0; at < len; at += size) {
			size_t n = len - at < size ? len - at : size;

			assert_int_equal(llmos_records_feed(&records, bytes + at, n, log_record,
							    &cut), 0);
		}
		assert_false(llmos_records_partial(&records));
		llmos_records_done(&records);
		if (size == len)
			whole = cut;
		assert_int_equal(cut.count, 5);
		assert_int_equal(cut.len, whole.len);
		assert_memory_equal(cut.bytes, whole.bytes, whole.len);
	}
	assert_memory_equal(whole.bytes, "\1hello\1", 7);
}

static void test_largest(void **state)
{
	static uint8_t bytes[sizeof(struct llm_record) + LLM_RECORD_BYTES_MAX], body[sizeof(bytes)];
	static struct log log;
	struct llmos_records records = { 0 };
	size_t len;

	(void)state;
	memset(&log, 0, sizeof(log));
	memset(body, 'x', sizeof(body));
	len = put(bytes, LLM_RECORD_TEXT, body, LLM_RECORD_BYTES_MAX);
	assert_int_equal(llmos_records_feed(&records, bytes, 100, log_record, &log), 0);
	assert_true(llmos_records_partial(&records));
	assert_int_equal(llmos_records_feed(&records, bytes + 100, len - 100, log_record, &log), 0);
	assert_int_equal(log.count, 1);
	assert_int_equal(log.len, 1 + LLM_RECORD_BYTES_MAX);
	llmos_records_done(&records);
}

static void test_corrupt_heads(void **state)
{
	struct llm_record heads[] = {
		{ .type = LLM_RECORD_TEXT, .len = LLM_RECORD_BYTES_MAX + 1 },
		{ .type = LLM_RECORD_TEXT, .len = UINT32_MAX },
		{ .type = LLM_RECORD_TEXT, .pad = 1, .len = 1 },
	};
	static struct log log;
	size_t i;

	(void)state;
	memset(&log, 0, sizeof(log));
	for (i = 0; i < 3; i++) {
		struct llmos_records records = { 0 };

		assert_int_equal(llmos_records_feed(&records, (uint8_t *)&heads[i],
						    sizeof(heads[i]), log_record, &log), -EPROTO);
		llmos_records_done(&records);
	}
	assert_int_equal(log.count, 0);
}

static void test_callback_ends(void **state)
{
	static struct log log;
	struct llmos_records records = { 0 };
	uint8_t bytes[64];
	size_t len = 0;

	(void)state;
	memset(&log, 0, sizeof(log));
	log.stop_at = 2;
	len += put(bytes + len, LLM_RECORD_TEXT, "a", 1);
	len += put(bytes + len, LLM_RECORD_TEXT, "b", 1);
	len += put(bytes + len, LLM_RECORD_TEXT, "c", 1);
	assert_int_equal(llmos_records_feed(&records, bytes, len, log_record, &log), 77);
	assert_int_equal(log.count, 2);
	llmos_records_done(&records);
}

static size_t token_body(uint8_t *to, uint32_t text_len, uint32_t alternatives, size_t more)
{
	struct llm_token token = {
		.id = 5,
		.logprob = -1500000,
		.text_len = text_len,
		.alternatives = alternatives,
	};

	memcpy(to, &token, sizeof(token));
	memset(to + sizeof(token), 0x11, more);
	return sizeof(token) + more;
}

static void test_token(void **state)
{
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct llmos_token token;
	uint8_t body[1024];
	size_t len;

	(void)state;
	len = token_body(body, 3, 2, 2 * sizeof(struct llm_alternative) + 3);
	assert_int_equal(llmos_record_token(body, len, &token, top), 0);
	assert_int_equal(token.id, 5);
	assert_true(fabs(token.logprob + 1.5) < 1e-12);
	assert_int_equal(token.text_len, 3);
	assert_int_equal(token.top_count, 2);
	assert_int_equal(token.top[1].id, 0x11111111);
	assert_ptr_equal(token.text, body + len - 3);
}

static void test_token_corrupt(void **state)
{
	static const struct { uint32_t text_len, alternatives; size_t more; } bad[] = {
		{ 4, 0, 3 }, { 2, 0, 3 }, { 0, 1, 7 }, { 0, 1, 9 }, { 1, 21, 21 * 8 + 1 },
		{ UINT32_MAX, 0, 3 }, { 3, UINT32_MAX, 3 }, { UINT32_MAX - 7, 1, 0 },
	};
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct llmos_token token;
	uint8_t body[1024];
	size_t i, len;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		len = token_body(body, bad[i].text_len, bad[i].alternatives, bad[i].more);
		assert_int_equal(llmos_record_token(body, len, &token, top), -EPROTO);
	}
	for (len = 0; len < sizeof(struct llm_token); len++)
		assert_int_equal(llmos_record_token(body, len, &token, top), -EPROTO);
}

static void test_token_without_logprob(void **state)
{
	struct llm_token wire = { .id = 1, .logprob = LLM_LOGPROB_NONE };
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct llmos_token token;

	(void)state;
	assert_int_equal(llmos_record_token((uint8_t *)&wire, sizeof(wire), &token, top), 0);
	assert_true(isnan(token.logprob));
}

static void test_model(void **state)
{
	uint8_t body[sizeof(struct llm_model_info) + 16] = { 0 };
	struct llm_model_info wire = { .size = sizeof(wire), .vocab = 7 }, info;

	(void)state;
	/* names without an end */
	memset(wire.name, 'n', sizeof(wire.name));
	memset(wire.error, 'e', sizeof(wire.error));
	memcpy(body, &wire, sizeof(wire));
	assert_int_equal(llmos_record_model(body, sizeof(wire), &info), 0);
	assert_int_equal(strlen(info.name), sizeof(info.name) - 1);
	assert_int_equal(strlen(info.error), sizeof(info.error) - 1);
	assert_int_equal(info.vocab, 7);
	/* of a newer server, of an older one */
	wire.size = sizeof(body);
	memcpy(body, &wire, sizeof(wire.size));
	assert_int_equal(llmos_record_model(body, sizeof(body), &info), 0);
	wire.size = 16;
	memcpy(body, &wire, sizeof(wire.size));
	assert_int_equal(llmos_record_model(body, 16, &info), 0);
	assert_int_equal(info.vocab, 0);
	/* that lie */
	assert_int_equal(llmos_record_model(body, 17, &info), -EPROTO);
	assert_int_equal(llmos_record_model(body, 3, &info), -EPROTO);
	wire.size = 4;
	memcpy(body, &wire, sizeof(wire.size));
	assert_int_equal(llmos_record_model(body, 4, &info), -EPROTO);
}

static void test_meta(void **state)
{
	struct llm_meta meta = { .key_len = 3, .value_len = 2 };
	const char *key, *value;
	size_t key_len, value_len;
	uint8_t body[64] = { 0 };
	uint32_t i;

	(void)state;
	memcpy(body, &meta, sizeof(meta));
	memcpy(body + sizeof(meta), "keyva", 5);
	assert_int_equal(llmos_record_meta(body, sizeof(meta) + 5, &key, &key_len, &value,
					   &value_len), 0);
	assert_memory_equal(key, "key", key_len);
	assert_memory_equal(value, "va", value_len);
	for (i = 0; i < sizeof(meta) + 5; i++)
		assert_int_equal(llmos_record_meta(body, i, &key, &key_len, &value, &value_len),
				 -EPROTO);
	meta.key_len = UINT32_MAX;
	meta.value_len = 6;
	memcpy(body, &meta, sizeof(meta));
	assert_int_equal(llmos_record_meta(body, sizeof(meta) + 5, &key, &key_len, &value,
					   &value_len), -EPROTO);
}

/* whatever is fed, in whatever pieces: an error or records, within bounds (sanitizers look) */
static void test_random(void **state)
{
	unsigned int seed = 1, round, i;
	static struct log log;

	(void)state;
	for (round = 0; round < 2000; round++) {
		struct llmos_records records = { 0 };
		uint8_t bytes[200];
		size_t at = 0, n;

		log.len = 0;
		log.count = 0;
		for (i = 0; i < sizeof(bytes); i++)
			bytes[i] = rand_r(&seed) % 4 ? 0 : (uint8_t)rand_r(&seed);
		while (at < sizeof(bytes)) {
			n = 1 + (size_t)rand_r(&seed) % 40;
			if (n > sizeof(bytes) - at)
				n = sizeof(bytes) - at;
			if (llmos_records_feed(&records, bytes + at, n, log_record, &log) < 0)
				break;
			at += n;
		}
		llmos_records_done(&records);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_any_cut),
		cmocka_unit_test(test_largest),
		cmocka_unit_test(test_corrupt_heads),
		cmocka_unit_test(test_callback_ends),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_token_corrupt),
		cmocka_unit_test(test_token_without_logprob),
		cmocka_unit_test(test_model),
		cmocka_unit_test(test_meta),
		cmocka_unit_test(test_random),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
