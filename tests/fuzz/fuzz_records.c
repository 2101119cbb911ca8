// SPDX-License-Identifier: MIT
/*
 * Framed answers as libllmos reads them: the first byte says into which pieces the rest is cut. All
 * that the reader hands out must lie in what it was fed, and the same bytes must give the same
 * records however they are cut.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "libllmos-user/src/records.h"
#include "libllmos-user/src/text.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/** struct seen - a sum over what was handed out */
struct seen {
	uint64_t sum;
	size_t count;
};

static void see(struct seen *seen, const void *bytes, size_t len)
{
	const uint8_t *at = bytes;
	size_t i;

	for (i = 0; i < len; i++)
		seen->sum = (seen->sum ^ at[i]) * 0x100000001b3U;
	seen->sum += len;
}

static void check(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fuzz_records: %s\n", what);
	abort();
}

static void see_token(struct seen *seen, const uint8_t *body, size_t len)
{
	struct llmos_alternative top[LLM_LOGPROBS_MAX];
	struct llmos_token token;
	size_t i;

	if (llmos_record_token(body, len, &token, top) < 0)
		return;
	check((const uint8_t *)token.text + token.text_len == body + len, "text out of the body");
	check(token.top_count <= LLM_LOGPROBS_MAX, "too many alternatives");
	see(seen, token.text, token.text_len);
	for (i = 0; i < token.top_count; i++)
		seen->sum += token.top[i].id;
}

static void see_structs(struct seen *seen, unsigned int type, const uint8_t *body, size_t len)
{
	struct llm_model_info info;
	struct llm_status status;
	const char *key, *value;
	size_t key_len, value_len;

	if (type == LLM_RECORD_MODEL && !llmos_record_model(body, len, &info)) {
		see(seen, info.name, strlen(info.name));
		see(seen, info.error, strlen(info.error));
	}
	if (type == LLM_RECORD_STATUS && !llmos_record_status(body, len, &status)) {
		see(seen, status.version, strlen(status.version));
		see(seen, status.reading, strlen(status.reading));
	}
	if (type == LLM_RECORD_META &&
	    !llmos_record_meta(body, len, &key, &key_len, &value, &value_len)) {
		check((const uint8_t *)value + value_len == body + len, "value out of the body");
		see(seen, key, key_len);
		see(seen, value, value_len);
	}
}

static int on_record(void *userdata, unsigned int type, const uint8_t *body, size_t len)
{
	struct seen *seen = userdata;

	check(len <= LLM_RECORD_BYTES_MAX, "record over its limit");
	seen->count++;
	see(seen, &type, sizeof(type));
	see(seen, body, len);
	if (type == LLM_RECORD_TOKEN)
		see_token(seen, body, len);
	else if (type == LLM_RECORD_TEXT)
		check(llmos_utf8_whole((const char *)body, len) <= len, "more than there is");
	else
		see_structs(seen, type, body, len);
	return 0;
}

static int feed(const uint8_t *data, size_t size, size_t piece, struct seen *seen)
{
	struct llmos_records records = { 0 };
	int r = 0;

	while (size && !r) {
		size_t n = piece < size ? piece : size;

		r = llmos_records_feed(&records, data, n, on_record, seen);
		data += n;
		size -= n;
	}
	if (!r)
		r = llmos_records_partial(&records);
	llmos_records_done(&records);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct seen whole = { 0 }, cut = { 0 };
	size_t piece;
	int r;

	if (!size)
		return 0;
	piece = 1 + data[0];
	r = feed(data + 1, size - 1, size, &whole);
	check(feed(data + 1, size - 1, piece, &cut) == r, "another result in pieces");
	check(cut.count == whole.count && cut.sum == whole.sum, "other records in pieces");
	return 0;
}
