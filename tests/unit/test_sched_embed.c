// SPDX-License-Identifier: MIT
/*
 * Vectors and labels of texts: which tokens they are made of, however texts come and whatever is
 * beside them; batches that lie about their lengths; a server that dies in the middle of one.
 */
#include <math.h>
#include <unistd.h>

#include "base/util.h"
#include "sched_fixture.h"

#define TEXTS_MAX	64

static int setup(void **state)
{
	(void)state;
	fixture_begin("");
	return 0;
}

/* ---- payloads ---- */

static struct bytes payload;

static void add_option(enum llm_option_type type, const void *data, uint32_t len)
{
	const struct llm_option option = { .type = type, .len = len };

	assert_int_equal(bytes_append(&payload, &option, sizeof(option)), 0);
	assert_int_equal(bytes_append(&payload, data, len), 0);
}

static void add_number(enum llm_option_type type, uint32_t value)
{
	add_option(type, &value, sizeof(value));
}

static void add_text(const char *text)
{
	const uint32_t len = (uint32_t)strlen(text);

	assert_int_equal(bytes_append(&payload, &len, sizeof(len)), 0);
	assert_int_equal(bytes_append(&payload, text, len), 0);
}

static struct test_request *submit(enum llm_op op, enum llm_payload type, bool has_options)
{
	struct test_request *request = test_submit(&broker, op, type, bytes_data(&payload),
						   payload.len);

	request->event.flags = LLM_SUBMIT_RECORDS | (has_options ? LLM_SUBMIT_OPTIONS : 0);
	bytes_free(&payload);
	return request;
}

static struct test_request *submit_text(const char *text)
{
	bytes_append(&payload, text, strlen(text));
	return submit(LLM_OP_EMBED, LLM_PAYLOAD_TEXT, false);
}

/* ---- answers ---- */

/* vectors in the order of the answer; every record must be one */
static unsigned int read_vectors(const struct test_request *request,
				 float vectors[TEXTS_MAX][FAKE_WIDTH],
				 struct llm_embedding *heads)
{
	const uint8_t *data = bytes_data(&request->output);
	unsigned int count = 0;
	size_t at = 0;

	while (at < request->output.len) {
		struct llm_record record;

		memcpy(&record, data + at, sizeof(record));
		at += sizeof(record);
		if (record.type == LLM_RECORD_ERROR)
			return count;
		assert_int_equal(record.type, LLM_RECORD_EMBEDDING);
		assert_true(count < TEXTS_MAX);
		memcpy(&heads[count], data + at, sizeof(*heads));
		assert_int_equal(record.len, sizeof(*heads) + heads[count].dims * sizeof(float));
		assert_int_equal(heads[count].index, count);
		memcpy(vectors[count], data + at + sizeof(*heads),
		       heads[count].dims * sizeof(float));
		at += record.len;
		count++;
	}
	return count;
}

static double length_of(const float *x, uint32_t dims)
{
	double square = 0;

	for (uint32_t i = 0; i < dims; i++)
		square += (double)x[i] * (double)x[i];
	return sqrt(square);
}

static float vectors[TEXTS_MAX][FAKE_WIDTH], others[TEXTS_MAX][FAKE_WIDTH];
static struct llm_embedding heads[TEXTS_MAX];

/* the raw vector of one text */
static void embed_raw(const char *text, uint32_t pooling)
{
	struct test_request *request;

	add_number(LLM_OPTION_NORMALIZE, 0);
	if (pooling)
		add_number(LLM_OPTION_POOLING, pooling);
	add_option(LLM_OPTION_END, NULL, 0);
	bytes_append(&payload, text, strlen(text));
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_TEXT, true);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->finish, LLM_FINISH_STOP);
	assert_int_equal(read_vectors(request, vectors, heads), 1);
}

static void test_pooling(void **state)
{
	(void)state;
	serve("FAKE");
	/* <s> a b c: a decoder's last token by itself, and it sees all four */
	embed_raw("abc", 0);
	assert_int_equal(heads[0].tokens, 4);
	assert_int_equal(heads[0].dims, FAKE_WIDTH);
	assert_float_equal(vectors[0][0], 'c', 0);
	assert_float_equal(vectors[0][1], 3, 0);
	assert_float_equal(vectors[0][2], 4, 0);
	embed_raw("abc", LLM_POOLING_FIRST);
	assert_float_equal(vectors[0][0], FAKE_BOS, 0);
	assert_float_equal(vectors[0][2], 1, 0);
	embed_raw("abc", LLM_POOLING_MEAN);
	assert_float_equal(vectors[0][0], (FAKE_BOS + 'a' + 'b' + 'c') / 4.0f, 1e-4);
	assert_float_equal(vectors[0][1], 1.5f, 1e-6);
}

static void test_encoder(void **state)
{
	struct test_request *request;
	struct llm_model_info info;

	(void)state;
	serve("FAKE encoder=1 labels=2 context=256 pages=128");
	request = test_submit(&broker, LLM_OP_MODELS, LLM_PAYLOAD_RAW, "", 0);
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_true(request->output.len >= sizeof(struct llm_record) + sizeof(info));
	memcpy(&info, bytes_data(&request->output) + sizeof(struct llm_record), sizeof(info));
	assert_int_equal(info.flags & (LLM_MODEL_ENCODER | LLM_MODEL_LABELS),
			 LLM_MODEL_ENCODER | LLM_MODEL_LABELS);
	assert_int_equal(info.labels, 2);
	/* all are averaged, and each sees all */
	embed_raw("abc", 0);
	assert_float_equal(vectors[0][2], 4, 0);
	assert_float_equal(vectors[0][0], (FAKE_BOS + 'a' + 'b' + 'c') / 4.0f, 1e-4);
	/* it says nothing */
	request = test_ask(&broker, "abc");
	test_run(&broker);
	assert_int_equal(request->status, -EOPNOTSUPP);
	request = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, "abc", 3);
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_int_equal(request->status, -EOPNOTSUPP);
}

/* texts of all lengths up to more than a step */
static void add_texts(unsigned int count)
{
	char text[256];

	for (unsigned int i = 0; i < count; i++) {
		const unsigned int len = i * i * 7 % 60 + (i == 5 ? 150 : 0);

		for (unsigned int j = 0; j < len; j++)
			text[j] = (char)('a' + (i * 5 + j * 3) % 26);
		text[len] = 0;
		add_text(text);
	}
}

static void check_batch(const char *model)
{
	struct test_request *batch, *again;
	uint32_t tokens = 0;

	serve(model);
	add_texts(40);
	batch = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	assert_int_equal(batch->status, 0);
	assert_int_equal(read_vectors(batch, vectors, heads), 40);
	for (unsigned int i = 0; i < 40; i++) {
		const unsigned int len = i * i * 7 % 60 + (i == 5 ? 150 : 0);

		assert_int_equal(heads[i].tokens, len + 1);
		assert_float_equal(length_of(vectors[i], FAKE_WIDTH), 1, 1e-6);
		tokens += heads[i].tokens;
	}
	assert_int_equal(batch->event.prompt_tokens, tokens);
	assert_int_equal(batch->event.output_tokens, 0);
	/* several of them in a step, each computed once */
	assert_int_equal(fake_counts.tokens, tokens);
	assert_true(fake_counts.steps < 30);
	/* beside others and in smaller steps: the same bits */
	test_broker_kill(&broker);
	config.engine.batch_tokens = 24;
	test_broker_serve(&broker, &config);
	add_texts(40);
	again = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	add_texts(7);
	submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	assert_int_equal(again->status, 0);
	assert_int_equal(again->output.len, batch->output.len);
	assert_memory_equal(bytes_data(&again->output), bytes_data(&batch->output),
			    batch->output.len);
}

static void test_batch(void **state)
{
	(void)state;
	check_batch("FAKE context=256 pages=128");
}

static void test_batch_encoder(void **state)
{
	(void)state;
	check_batch("FAKE context=256 pages=128 encoder=1");
}

/* beside answers, with little memory, and readers and quotas that make it pause */
static void test_crowd(void **state)
{
	struct test_request *request, *alone;

	(void)state;
	serve("FAKE context=256 pages=80");
	add_number(LLM_OPTION_POOLING, LLM_POOLING_MEAN);
	add_option(LLM_OPTION_END, NULL, 0);
	add_texts(30);
	alone = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_int_equal(alone->status, 0);
	broker.pause_in = 3;
	broker.short_in = 4;
	add_number(LLM_OPTION_POOLING, LLM_POOLING_MEAN);
	add_option(LLM_OPTION_END, NULL, 0);
	add_texts(30);
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, true);
	for (unsigned int i = 0; i < 5; i++) {
		struct test_request *other = test_ask(&broker, "somebody else asks");

		other->event.max_tokens = 120;
		other->event.flags = LLM_SUBMIT_IGNORE_EOS;
	}
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->output.len, alone->output.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&alone->output),
			    alone->output.len);
	assert_int_equal(request->event.prompt_tokens, alone->event.prompt_tokens);
}

static void test_recover(void **state)
{
	struct test_request *whole, *request;
	unsigned int at, max;

	(void)state;
	serve("FAKE context=256 pages=128 encoder=1");
	config.engine.batch_tokens = 64;
	add_texts(30);
	whole = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	max = broker.commits;
	assert_true(max > 5);
	for (at = 1; at < 2 * max; at++) {
		broker.commits = 0;
		broker.die_at = (at + 1) / 2;
		broker.die_before = at % 2;
		add_texts(30);
		request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
		test_run_all(&broker, &config);
		assert_int_equal(request->status, 0);
		assert_int_equal(request->output.len, whole->output.len);
		assert_memory_equal(bytes_data(&request->output), bytes_data(&whole->output),
				    whole->output.len);
		assert_int_equal(request->event.prompt_tokens, whole->event.prompt_tokens);
	}
}

enum { ALIKE_BYTES = 30, ALIKE_COUNT = 60 };

static struct test_request *submit_alike(void)
{
	char text[ALIKE_BYTES + 1] = "";

	memset(text, 'x', ALIKE_BYTES);
	for (unsigned int i = 0; i < ALIKE_COUNT; i++)
		add_text(text);
	return submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
}

/* texts that another server has answered are not read all at once: others would wait for that */
static void test_recover_in_turns(void **state)
{
	enum { BUDGET = 64 };
	struct test_request *whole, *request;
	size_t before, most = 0;
	bool more;

	(void)state;
	config.engine.batch_tokens = BUDGET;
	serve("FAKE context=256 pages=128");
	whole = submit_alike();
	test_run(&broker);
	broker.die_at = broker.commits * 2 - 2;
	request = submit_alike();
	test_run(&broker);
	assert_true(broker.dead);
	assert_true(request->output.len > whole->output.len * 3 / 4);
	test_broker_kill(&broker);
	test_broker_serve(&broker, &config);
	/* somebody else is first: then the model is there, and how fast it reads is known */
	request->ended = true;
	submit_text("abc");
	test_run(&broker);
	request->ended = false;
	do {
		before = fake_counts.encoded_bytes;
		more = test_turn(&broker);
		most = MAX(most, fake_counts.encoded_bytes - before);
	} while (more);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->output.len, whole->output.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&whole->output),
			    whole->output.len);
	assert_int_equal(request->event.prompt_tokens, whole->event.prompt_tokens);
	/* a step's worth, the one that goes beyond it, and one that has no room */
	assert_in_range(most, BUDGET / 2, BUDGET + 2 * ALIKE_BYTES);
}

/* ---- options ---- */

static void test_dims(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	embed_raw("abc", 0);
	memcpy(others, vectors, sizeof(others));
	add_number(LLM_OPTION_DIMS, 3);
	add_option(LLM_OPTION_END, NULL, 0);
	bytes_append(&payload, "abc", 3);
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_TEXT, true);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, vectors, heads), 1);
	assert_int_equal(heads[0].dims, 3);
	for (unsigned int i = 0; i < 3; i++)
		assert_float_equal(vectors[0][i], (double)others[0][i] / length_of(others[0], 3),
				   1e-6);
	add_number(LLM_OPTION_DIMS, FAKE_WIDTH + 1);
	add_option(LLM_OPTION_END, NULL, 0);
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_TEXT, true);
	test_run(&broker);
	assert_int_equal(request->status, -EINVAL);
}

static void refuse_option(enum llm_op op, enum llm_option_type type, const void *data,
			  uint32_t len)
{
	struct test_request *request;

	add_option(type, data, len);
	add_option(LLM_OPTION_END, NULL, 0);
	bytes_append(&payload, "abc", 3);
	request = submit(op, LLM_PAYLOAD_TEXT, true);
	test_run(&broker);
	assert_int_equal(request->status, -EINVAL);
}

static void test_bad_options(void **state)
{
	const uint32_t zero = 0, one = 1, four = 4;
	const uint64_t wide = 1;
	struct test_request *request;

	(void)state;
	serve("FAKE labels=2");
	refuse_option(LLM_OP_EMBED, LLM_OPTION_POOLING, &zero, 4);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_POOLING, &four, 4);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_POOLING, &wide, 8);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_POOLING, NULL, 0);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_NORMALIZE, &four, 4);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_DIMS, &zero, 4);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_TRUNCATE, &one, 4);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_QUERY, "q", 1);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_JSON, NULL, 0);
	refuse_option(LLM_OP_CLASSIFY, LLM_OPTION_POOLING, &one, 4);
	refuse_option(LLM_OP_GENERATE, LLM_OPTION_POOLING, &one, 4);
	refuse_option(LLM_OP_SCORE, LLM_OPTION_TRUNCATE, NULL, 0);
	add_number(LLM_OPTION_DIMS, 2);
	refuse_option(LLM_OP_EMBED, LLM_OPTION_DIMS, &four, 4);
	/* nowhere to answer */
	request = submit_text("abc");
	request->event.flags = 0;
	test_run(&broker);
	assert_int_equal(request->status, -EINVAL);
}

static void test_truncate(void **state)
{
	struct test_request *request;
	char text[100];

	(void)state;
	serve("FAKE context=64 encoder=1");
	memset(text, 'x', sizeof(text));
	text[63] = 0;
	request = submit_text(text);		/* 64 with the begin of a text: all there is room for */
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, others, heads), 1);
	assert_int_equal(heads[0].tokens, 64);
	assert_int_equal(heads[0].flags, 0);
	text[63] = 'x';
	text[64] = 0;
	request = submit_text(text);
	test_run(&broker);
	assert_int_equal(request->status, -E2BIG);
	add_option(LLM_OPTION_TRUNCATE, NULL, 0);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text(text);
	add_text("short");
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, vectors, heads), 2);
	assert_int_equal(heads[0].flags, LLM_EMBEDDING_TRUNCATED);
	assert_int_equal(heads[0].tokens, 64);
	assert_int_equal(heads[1].flags, 0);
	assert_memory_equal(vectors[0], others[0], sizeof(others[0]));
}

/* what is cut keeps as many tokens as there is room for, however many bytes those take */
static void test_truncate_blanks(void **state)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz";
	static char text[40000], words[256];
	struct test_request *request;
	size_t at = 0, bytes;

	(void)state;
	serve("FAKE context=64 encoder=1 blank=1");
	for (unsigned int i = 0; i < 63; i++)
		words[i] = letters[i % 26];
	request = submit_text(words);		/* all there is room for */
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, others, heads), 1);
	assert_int_equal(heads[0].tokens, 64);
	/* the same letters, most of them after more blanks than all of them are long, and some more */
	memset(text, ' ', sizeof(text) - 1);
	for (unsigned int i = 0; i < 70; i++) {
		at += i % 10 ? i % 4 : 900;
		text[at++] = letters[i % 26];
	}
	add_option(LLM_OPTION_TRUNCATE, NULL, 0);
	add_option(LLM_OPTION_END, NULL, 0);
	bytes_append(&payload, text, strlen(text));
	bytes = fake_counts.encoded_bytes;
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_TEXT, true);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, vectors, heads), 1);
	assert_int_equal(heads[0].tokens, 64);
	assert_int_equal(heads[0].flags, LLM_EMBEDDING_TRUNCATED);
	assert_memory_equal(vectors[0], others[0], sizeof(others[0]));
	/* and is not read to its end for that, but once, to learn that it is too long */
	assert_true(fake_counts.encoded_bytes - bytes < sizeof(text) + 4 * at);
}

/* ---- hostile payloads ---- */

static void refuse_payload(enum llm_payload type, const void *data, size_t len, int status)
{
	struct test_request *request;

	bytes_append(&payload, data, len);
	request = submit(LLM_OP_EMBED, type, false);
	test_run(&broker);
	assert_int_equal(request->status, status);
}

static void test_bad_payloads(void **state)
{
	const uint32_t lie[] = { 5, 0 }, huge[] = { UINT32_MAX, 0 }, ids[] = { 2, 'a', FAKE_VOCAB };
	const uint32_t wraps[] = { 0x40000001, 'a' }, cut[] = { 2, 'a' };
	struct test_request *request;

	(void)state;
	serve("FAKE bos=0");
	refuse_payload(LLM_PAYLOAD_BATCH, NULL, 0, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH, lie, 3, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH, lie, 8, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH, huge, 8, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH_TOKENS, wraps, 8, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH_TOKENS, cut, 8, -EINVAL);
	refuse_payload(LLM_PAYLOAD_BATCH_TOKENS, ids, 12, -EINVAL);
	refuse_payload(LLM_PAYLOAD_TOKENS, ids, 7, -EINVAL);
	refuse_payload(LLM_PAYLOAD_CHAT, "", 0, -EINVAL);
	refuse_payload(LLM_PAYLOAD_TEXT, "", 0, -EINVAL);
	refuse_payload(LLM_PAYLOAD_TEXT, "a\xff", 2, -EILSEQ);
	refuse_payload(6, "abc", 3, -EINVAL);
	/* those before a bad one are answered */
	add_text("good");
	add_text("b\xff" "d");
	add_text("good");
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	assert_int_equal(request->status, -EILSEQ);
	assert_true(read_vectors(request, vectors, heads) <= 1);
	/* others are not disturbed */
	request = submit_text("abc");
	test_run(&broker);
	assert_int_equal(request->status, 0);
}

static void test_tokens(void **state)
{
	const uint32_t ids[] = { 3, 'x', 'y', 'z', 1, 'q' };
	struct test_request *request;

	(void)state;
	serve("FAKE");
	bytes_append(&payload, ids, sizeof(ids));
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH_TOKENS, false);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(read_vectors(request, vectors, heads), 2);
	assert_int_equal(heads[0].tokens, 3);
	assert_int_equal(heads[1].tokens, 1);
	assert_float_equal(vectors[0][0] / vectors[0][1], 'z' / 2.0f, 1e-4);
}

static void test_no_number(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	fake_nan_step = 1;
	request = submit_text("abc");
	test_run(&broker);
	assert_int_equal(request->status, -EIO);
}

/* ---- labels ---- */

static void test_classify(void **state)
{
	struct test_request *request;
	struct llm_record record;
	struct llm_label label;
	const uint8_t *at;

	(void)state;
	serve("FAKE labels=2 encoder=1");
	add_text("abc");
	add_text("de");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	at = bytes_data(&request->output);
	for (unsigned int i = 0; i < 4; i++) {
		memcpy(&record, at, sizeof(record));
		assert_int_equal(record.type, LLM_RECORD_LABEL);
		memcpy(&label, at + sizeof(record), sizeof(label));
		assert_int_equal(label.index, i / 2);
		assert_int_equal(label.label, i % 2);
		/* of the first token, and of its place */
		assert_int_equal(label.logit, (i % 2 ? -100 : FAKE_BOS - 100) * 1000000);
		assert_int_equal(label.probability, i % 2 ? 0 : 1000000);
		assert_int_equal(label.name_len, i % 2 ? 3 : 4);
		assert_memory_equal(at + sizeof(record) + sizeof(label), i % 2 ? "bad" : "good",
				    label.name_len);
		at += sizeof(record) + record.len;
	}
	assert_ptr_equal(at, bytes_data(&request->output) + request->output.len);
}

static void test_classify_pair(void **state)
{
	struct test_request *request;
	struct llm_label label;

	(void)state;
	serve("FAKE labels=1 encoder=1 context=16");
	add_option(LLM_OPTION_QUERY, "what", 4);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text("this");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->event.prompt_tokens, 9);	/* <s> what this */
	memcpy(&label, bytes_data(&request->output) + sizeof(struct llm_record), sizeof(label));
	assert_int_equal(label.probability, 1000000);		/* of a logit of 156 */
	/* both together are too long: no text is cut unasked */
	add_option(LLM_OPTION_QUERY, "what is that?", 13);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text("this");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_error(request, -E2BIG, "text 0 has more than 16 tokens with its query");
	add_option(LLM_OPTION_QUERY, "wh\xff", 3);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text("this");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_error(request, -EILSEQ, "the query is not valid UTF-8");
}

/* a decoder's pair in words of its own: its last token is theirs, also of a text that is cut */
static void test_classify_words(void **state)
{
	struct test_request *request;
	struct llm_label label;

	(void)state;
	serve("FAKE labels=1 context=16");
	add_option(LLM_OPTION_QUERY, "what", 4);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text("this");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_int_equal(request->status, -EOPNOTSUPP);
	serve("FAKE labels=1 context=16 pairs=1");
	for (unsigned int i = 0; i < 4; i++) {
		if (i % 2)
			add_option(LLM_OPTION_TRUNCATE, NULL, 0);
		add_option(LLM_OPTION_QUERY, "what", 4);
		add_option(LLM_OPTION_END, NULL, 0);
		add_text(i < 2 ? "this" : "this is too long");
		request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
		test_run(&broker);
		if (i == 2) {
			assert_int_equal(request->status, -E2BIG);
			continue;
		}
		assert_int_equal(request->status, 0);
		assert_int_equal(request->event.prompt_tokens, i < 2 ? 11 : 16);
		memcpy(&label, bytes_data(&request->output) + sizeof(struct llm_record),
		       sizeof(label));
		assert_int_equal(label.flags, i < 2 ? 0 : LLM_EMBEDDING_TRUNCATED);
		assert_int_equal(label.logit, ('}' - 100) * 1000000);
	}
	/* there is no room for a query that is too long by itself */
	add_option(LLM_OPTION_TRUNCATE, NULL, 0);
	add_option(LLM_OPTION_QUERY, "what would that be?", 19);
	add_option(LLM_OPTION_END, NULL, 0);
	add_text("this");
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_BATCH, true);
	test_run(&broker);
	assert_error(request, -E2BIG, "text 0 has more than 16 tokens with its query");
}

static void test_no_labels(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	bytes_append(&payload, "abc", 3);
	request = submit(LLM_OP_CLASSIFY, LLM_PAYLOAD_TEXT, false);
	test_run(&broker);
	assert_int_equal(request->status, -EOPNOTSUPP);
}

/* ---- buffers ---- */

static struct test_request *submit_buffer(enum llm_op op, size_t len)
{
	struct test_request *request;

	add_text("abc");
	add_text("de");
	request = submit(op, LLM_PAYLOAD_BATCH, false);
	request->event.flags = 0;
	request->event.answer_buffer = 4096;
	request->event.answer_buffer_len = 4096;
	request->event.answer_offset = 30;
	request->event.answer_len = len;
	test_run(&broker);
	return request;
}

static void test_buffer_answer(void **state)
{
	const size_t len = 2 * FAKE_WIDTH * sizeof(float);
	struct test_request *request;
	float logits[4];

	(void)state;
	serve("FAKE labels=2");
	add_text("abc");
	add_text("de");
	request = submit(LLM_OP_EMBED, LLM_PAYLOAD_BATCH, false);
	test_run(&broker);
	assert_int_equal(read_vectors(request, vectors, heads), 2);
	assert_int_equal(ftruncate(broker.memfd, 8192), 0);
	request = submit_buffer(LLM_OP_EMBED, len);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->output.len, 0);
	assert_int_equal(request->event.answer_bytes, len);
	assert_int_equal(pread(broker.memfd, others, len, 4096 + 30), len);
	assert_memory_equal(others, vectors, len);
	/* a float too few */
	assert_int_equal(submit_buffer(LLM_OP_EMBED, len - 4)->status, -E2BIG);
	assert_int_equal(submit_buffer(LLM_OP_CLASSIFY, sizeof(logits))->status, 0);
	assert_int_equal(pread(broker.memfd, logits, sizeof(logits), 4096 + 30), sizeof(logits));
	assert_float_equal(logits[2], 'e' - 100, 0);
	assert_float_equal(logits[3], 2 - 100, 0);
}

int main(void)
{
#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, fixture_end)
	const struct CMUnitTest tests[] = {
		TEST(test_pooling),
		TEST(test_encoder),
		TEST(test_batch),
		TEST(test_batch_encoder),
		TEST(test_crowd),
		TEST(test_recover),
		TEST(test_recover_in_turns),
		TEST(test_dims),
		TEST(test_bad_options),
		TEST(test_truncate),
		TEST(test_truncate_blanks),
		TEST(test_bad_payloads),
		TEST(test_tokens),
		TEST(test_no_number),
		TEST(test_classify),
		TEST(test_classify_pair),
		TEST(test_classify_words),
		TEST(test_no_labels),
		TEST(test_buffer_answer),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
