/* SPDX-License-Identifier: MIT */
/*
 * The scheduler over a small engine and a strict broker: how answers end, what is in them, who
 * takes part in a step, who waits, and what is said when something is wrong.
 */
#include "sched_fixture.h"

static int setup(void **state)
{
	(void)state;
	fixture_begin("");
	return 0;
}

static struct llm_status status_now(void)
{
	struct llm_status status;

	sched_fill_status(broker.sched, &status);
	return status;
}

/* ---- records ---- */

static void text_of(const struct test_request *request, char *text, size_t size)
{
	const uint8_t *body;
	size_t i, len, at = 0;

	for (i = 0; (body = record_at(request, LLM_RECORD_TEXT, i, &len)); i++) {
		assert_true(at + len < size);
		memcpy(text + at, body, len);
		at += len;
	}
	text[at] = '\0';
}

/* ---- how answers end ---- */

static void test_length(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = test_ask(&broker, "Once");
	request->event.max_tokens = 5;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->finish, LLM_FINISH_LENGTH);
	assert_int_equal(request->event.prompt_tokens, 5);	/* with the one that begins */
	assert_int_equal(request->event.output_tokens, 5);
	assert_true(request->output.len >= 5);
}

static void test_context(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE context=20");
	request = test_ask(&broker, "Once");
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	assert_int_equal(request->finish, LLM_FINISH_CONTEXT);
	/* 20 tokens in the cache, and one that follows from them */
	assert_int_equal(request->event.output_tokens, 20 - 5 + 1);
}

static void test_end_token(void **state)
{
	unsigned int i, stopped = 0;

	(void)state;
	serve("FAKE context=4096 pages=4096");
	for (i = 0; i < 20; i++) {
		char prompt[16];

		snprintf(prompt, sizeof(prompt), "p%u", i);
		test_ask(&broker, prompt)->event.max_tokens = 400;
	}
	test_run(&broker);
	for (i = 0; i < 20; i++) {
		const struct bytes *output = &broker.requests[i].output;

		assert_null(memmem(bytes_data(output), output->len, "</s>", 4));
		stopped += broker.requests[i].finish == LLM_FINISH_STOP;
	}
	/* one token in 61 is the end */
	assert_true(stopped >= 15);
}

static void test_cache_is_context(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE context=64 page=4 pages=5");
	request = test_ask(&broker, "Once");
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(request->finish, LLM_FINISH_CONTEXT);
	assert_int_equal(request->event.output_tokens, 20 - 5 + 1);
}

static void test_empty_prompt(void **state)
{
	struct test_request *with, *without;

	(void)state;
	fake_model(folder, "b.gguf", "FAKE bos=0");
	serve("FAKE bos=1");
	with = test_ask(&broker, "");
	with->event.max_tokens = 3;
	without = test_ask(&broker, "");
	strcpy(without->event.model, "b");
	without->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_int_equal(with->status, 0);
	assert_int_equal(with->event.prompt_tokens, 1);
	assert_error(without, -EINVAL, "empty");
}

static void test_file_newline(void **state)
{
	struct test_request *file, *raw;

	(void)state;
	serve("FAKE");
	file = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_TEXT, "Once\n\n", 6);
	file->event.flags = LLM_SUBMIT_FILE;
	file->event.max_tokens = 9;
	raw = test_ask(&broker, "Once\n");
	raw->event.max_tokens = 9;
	test_run(&broker);
	assert_int_equal(file->event.prompt_tokens, 6);
	assert_int_equal(file->output.len, raw->output.len);
	assert_memory_equal(bytes_data(&file->output), bytes_data(&raw->output), raw->output.len);
}

/* ---- stop strings ---- */

/* every place where a stop string could begin: the answer is what comes before it */
static void test_stop_strings(void **state)
{
	char whole[1024], want[1024];
	struct test_request *request;
	size_t len, at, size;
	unsigned int tried = 0;

	(void)state;
	serve("FAKE context=200 pages=200");
	request = test_ask(&broker, "tell");
	request->event.max_tokens = 60;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	len = request->output.len;
	assert_true(len > 60 && len < sizeof(whole));
	memcpy(whole, bytes_data(&request->output), len);
	whole[len] = '\0';
	for (at = 0; at + 6 < len && broker.count < TEST_REQUESTS_MAX - 1; at += 3) {
		char stop[8];

		size = 2 + at % 5;
		snprintf(stop, sizeof(stop), "%.*s", (int)size, whole + at);
		memcpy(want, whole, sizeof(want));
		*strstr(want, stop) = '\0';
		request = test_ask(&broker, "tell");
		request->event.max_tokens = 60;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		/* others that never come must change nothing */
		test_add_stop(request, "zzz");
		test_add_stop(request, stop);
		test_run(&broker);
		assert_int_equal(request->finish, LLM_FINISH_STOP_STRING);
		assert_int_equal(request->output.len, strlen(want));
		assert_memory_equal(bytes_data(&request->output), want, strlen(want));
		tried++;
	}
	assert_true(tried > 20);
}

static void test_stop_malformed(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = test_ask(&broker, "Once");
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_add_stop(request, "");
	request = test_ask(&broker, "Once");
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_add_stop(request, "x");
	request->data[1] = 'y';		/* no NUL */
	test_run(&broker);
	assert_error(&broker.requests[0], -EINVAL, "stop string");
	assert_error(&broker.requests[1], -EINVAL, "stop string");
}

/* ---- records ---- */

static void test_logprobs(void **state)
{
	struct test_request *plain, *request;
	char text[1024];
	size_t i, len, tokens;

	(void)state;
	serve("FAKE context=200");
	plain = test_ask(&broker, "Once");
	plain->event.max_tokens = 30;
	request = test_ask(&broker, "Once");
	request->event.max_tokens = 30;
	request->event.flags = LLM_SUBMIT_RECORDS;
	request->event.sampling.top_logprobs = 3;
	test_add_stop(request, "no such thing");
	test_run(&broker);
	text_of(request, text, sizeof(text));
	assert_int_equal(strlen(text), plain->output.len);
	assert_memory_equal(text, bytes_data(&plain->output), plain->output.len);
	tokens = record_count(request, LLM_RECORD_TOKEN);
	assert_int_equal(tokens, request->event.output_tokens);
	for (i = 0; i < tokens; i++) {
		struct llm_alternative top[3];
		struct llm_token token;
		const uint8_t *body = record_at(request, LLM_RECORD_TOKEN, i, &len);

		memcpy(&token, body, sizeof(token));
		memcpy(top, body + sizeof(token), sizeof(top));
		assert_int_equal(len, sizeof(token) + sizeof(top) + token.text_len);
		assert_int_equal(token.alternatives, 3);
		/* greedy: the token is the likeliest one */
		assert_int_equal(token.id, top[0].id);
		assert_int_equal(token.logprob, top[0].logprob);
		assert_true(token.logprob <= 0 && top[0].logprob >= top[1].logprob);
	}
}

static void test_score(void **state)
{
	struct test_request *request, *again;
	struct llm_token token;
	size_t i, len;
	char text[150];

	(void)state;
	config.engine.logits_rows = 20;
	serve("FAKE context=512 pages=512");
	memset(text, 'q', sizeof(text));
	request = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, text, sizeof(text));
	request->event.flags = LLM_SUBMIT_RECORDS;
	/* beside others, and in other pieces, the scores are the same */
	test_ask(&broker, "beside")->event.max_tokens = 50;
	test_run(&broker);
	again = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, text, sizeof(text));
	again->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(record_count(request, LLM_RECORD_TOKEN), 151);
	assert_int_equal(request->output.len, again->output.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&again->output),
			    again->output.len);
	for (i = 0; i < 151; i++) {
		memcpy(&token, record_at(request, LLM_RECORD_TOKEN, i, &len), sizeof(token));
		assert_int_equal(token.id, i ? 'q' : FAKE_BOS);
		assert_true(i ? token.logprob < 0 && token.logprob != LLM_LOGPROB_NONE :
				token.logprob == LLM_LOGPROB_NONE);
	}
}

static void test_score_one(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, "", 0);
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_int_equal(request->status, 0);
	assert_int_equal(record_count(request, LLM_RECORD_TOKEN), 1);
}

/* ---- control ---- */

static struct test_request *control(enum llm_op op, enum llm_payload type, const void *payload,
				    size_t len)
{
	struct test_request *request = test_submit(&broker, op, type, payload, len);

	request->event.flags = LLM_SUBMIT_RECORDS;
	return request;
}

static void test_control(void **state)
{
	const uint32_t ids[] = { 'h', FAKE_WORDS + 1, FAKE_EOS, '!' };
	struct test_request *nop, *models, *status, *tokenize, *detokenize, *show;
	struct llm_model_info info;
	struct llm_status facts;
	size_t len;

	(void)state;
	fake_model(folder, "broken.gguf", "nonsense");
	serve("FAKE context=77");
	nop = test_submit(&broker, LLM_OP_NOP, LLM_PAYLOAD_TEXT, NULL, 0);
	models = control(LLM_OP_MODELS, LLM_PAYLOAD_TEXT, NULL, 0);
	status = control(LLM_OP_STATUS, LLM_PAYLOAD_TEXT, NULL, 0);
	tokenize = control(LLM_OP_TOKENIZE, LLM_PAYLOAD_TEXT, "hi", 2);
	detokenize = test_submit(&broker, LLM_OP_DETOKENIZE, LLM_PAYLOAD_TOKENS, ids, sizeof(ids));
	show = control(LLM_OP_SHOW, LLM_PAYLOAD_TEXT, NULL, 0);
	test_run(&broker);
	assert_true(nop->ended && !nop->status && !nop->output.len);
	assert_int_equal(record_count(models, LLM_RECORD_MODEL), 2);
	memcpy(&info, record_at(models, LLM_RECORD_MODEL, 0, &len), sizeof(info));
	assert_int_equal(len, sizeof(info));
	assert_string_equal(info.name, "a");
	assert_int_equal(info.context, 77);
	assert_int_equal(info.flags, LLM_MODEL_DEFAULT);
	memcpy(&info, record_at(models, LLM_RECORD_MODEL, 1, &len), sizeof(info));
	assert_string_equal(info.name, "broken");
	assert_int_equal(info.flags, LLM_MODEL_BROKEN);
	assert_non_null(strstr(info.error, "not a model"));
	memcpy(&facts, record_at(status, LLM_RECORD_STATUS, 0, &len), sizeof(facts));
	assert_int_equal(facts.slots, 16);
	assert_string_equal(facts.isa, "fake");
	assert_int_equal(record_count(tokenize, LLM_RECORD_TOKEN), 3);
	assert_int_equal(detokenize->output.len, 5);
	assert_memory_equal(bytes_data(&detokenize->output), "hcat!", 5);
	assert_int_equal(record_count(show, LLM_RECORD_MODEL), 1);
	assert_int_equal(record_count(show, LLM_RECORD_META), 5);
	/* nothing of this took a step, or loaded anything */
	assert_int_equal(fake_counts.loads, 0);
}

static struct test_request *ask_named(const char *name)
{
	struct test_request *request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);

	strcpy(request->event.model, name);
	request->event.max_tokens = 1;
	test_run(&broker);
	return request;
}

/* a broken file is read once, until it is another one: mended, then gone */
static void test_broken_file(void **state)
{
	struct test_request *request;
	char path[256];
	unsigned int i;

	(void)state;
	fake_model(folder, "broken.gguf", "nonsense");
	serve("FAKE");
	for (i = 0; i < 3; i++) {
		control(LLM_OP_MODELS, LLM_PAYLOAD_TEXT, NULL, 0);
		test_run(&broker);
		request = ask_named("broken");
		assert_int_equal(request->status, -EBADMSG);
		assert_int_equal(fake_counts.opens, 2);
	}
	fake_model(folder, "broken.gguf", "FAKE context=33");
	request = ask_named("broken");
	assert_int_equal(request->status, 0);
	assert_int_equal(request->event.output_tokens, 1);
	fake_model(folder, "late.gguf", "nonsense");
	request = ask_named("late");
	assert_int_equal(request->status, -EBADMSG);
	snprintf(path, sizeof(path), "%s/late.gguf", folder);
	unlink(path);
	request = ask_named("late");
	assert_error(request, -ENOENT, "no model 'late'");
}

/* a long answer comes in pieces, each only when the one before has been read */
static void test_control_paused(void **state)
{
	static uint8_t text[60000];
	struct test_request *request;
	unsigned int i;

	(void)state;
	serve("FAKE");
	memset(text, 'x', sizeof(text));
	broker.unread_max = 1;
	request = control(LLM_OP_TOKENIZE, LLM_PAYLOAD_TEXT, text, sizeof(text));
	for (i = 0; i < 1000 && !request->ended; i++) {
		size_t before = request->output.len;

		test_run(&broker);
		assert_true(request->ended || request->output.len > before);
		assert_true(request->output.len - before <= 65536);
		broker.ipc.sink->resume(broker.ipc.sink, &broker.ipc, request->event.id);
	}
	assert_true(i > 10);
	assert_int_equal(record_count(request, LLM_RECORD_TOKEN), sizeof(text) + 1);
}

/* ---- who takes part in a step ---- */

static void test_continuous(void **state)
{
	struct test_request *first, *second;

	(void)state;
	serve("FAKE context=400 pages=400");
	first = test_ask(&broker, "first");
	first->event.max_tokens = 100;
	first->event.flags = LLM_SUBMIT_IGNORE_EOS;
	while (first->event.output_tokens < 20)
		assert_true(test_turn(&broker));
	second = test_ask(&broker, "second");
	second->event.max_tokens = 10;
	second->event.flags = LLM_SUBMIT_IGNORE_EOS;
	while (!second->ended)
		assert_true(test_turn(&broker));
	/* it joined at the next step, and left before the first one was done */
	assert_false(first->ended);
	assert_in_range(first->event.output_tokens, 30, 34);
	test_run(&broker);
	assert_int_equal(fake_counts.step_items_max, 2);
}

static void test_prompt_beside_decode(void **state)
{
	static uint8_t text[1000];
	struct test_request *stream, *prompt;
	unsigned int before;

	(void)state;
	config.engine.batch_tokens = 64;
	serve("FAKE context=4000 pages=4000");
	stream = test_ask(&broker, "stream");
	stream->event.max_tokens = 200;
	stream->event.flags = LLM_SUBMIT_IGNORE_EOS;
	while (stream->event.output_tokens < 5)
		assert_true(test_turn(&broker));
	memset(text, 'x', sizeof(text));
	prompt = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	prompt->event.max_tokens = 1;
	before = stream->event.output_tokens;
	while (!prompt->ended)
		assert_true(test_turn(&broker));
	/* 1001 tokens in pieces of 63, each beside a token of the stream */
	assert_in_range(stream->event.output_tokens - before, 15, 18);
	assert_int_equal(fake_counts.step_tokens_max, 64);
	assert_int_equal(prompt->commits, 16);
	test_run(&broker);
	answered(stream);
}

static void test_slots(void **state)
{
	unsigned int i;

	(void)state;
	config.slots = 3;
	serve("FAKE context=400 pages=400");
	for (i = 0; i < 20; i++) {
		struct test_request *request = test_ask(&broker, "x");

		request->event.max_tokens = 3 + i % 5;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	}
	while (test_turn(&broker))
		assert_true(status_now().slots_busy <= 3);
	for (i = 0; i < 20; i++)
		assert_int_equal(broker.requests[i].event.output_tokens, 3 + i % 5);
	assert_int_equal(fake_counts.step_items_max, 3);
}

static void test_models_take_turns(void **state)
{
	unsigned int i;

	(void)state;
	fake_model(folder, "b.gguf", "FAKE");
	fake_model(folder, "c.gguf", "FAKE");
	serve("FAKE");
	for (i = 0; i < 3; i++) {
		struct test_request *request = test_ask(&broker, "x");

		request->event.max_tokens = 10;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		request->event.model[0] = "abc"[i];
	}
	test_run(&broker);
	assert_int_equal(fake_counts.loads, 3);
	assert_memory_equal(fake_counts.models, "abcabcabcabcabc", 15);
}

/* ---- pages ---- */

/* many streams in a cache for few: each is what it is alone */
static void test_page_pressure(void **state)
{
	struct bytes alone[12] = { 0 };
	unsigned int i, round;

	(void)state;
	serve("FAKE context=80 page=4 pages=40");
	for (round = 0; round < 2; round++) {
		for (i = 0; i < ARRAY_SIZE(alone); i++) {
			struct test_request *request;
			char prompt[32];

			snprintf(prompt, sizeof(prompt), "prompt number %u", i);
			request = test_ask(&broker, prompt);
			request->event.max_tokens = 50;
			request->event.flags = LLM_SUBMIT_IGNORE_EOS;
			if (round)
				continue;
			test_run(&broker);
			bytes_swap(&alone[i], &request->output);
		}
		test_run(&broker);
	}
	for (i = 0; i < ARRAY_SIZE(alone); i++) {
		struct test_request *request = &broker.requests[ARRAY_SIZE(alone) + i];

		assert_int_equal(request->status, 0);
		assert_int_equal(request->event.output_tokens, 50);
		assert_int_equal(request->output.len, alone[i].len);
		assert_memory_equal(bytes_data(&request->output), bytes_data(&alone[i]),
				    alone[i].len);
		bytes_free(&alone[i]);
	}
}

static void test_too_long(void **state)
{
	struct test_request *context, *cache;
	char text[100];

	(void)state;
	fake_model(folder, "b.gguf", "FAKE context=512 page=4 pages=10");
	serve("FAKE context=50");
	memset(text, 'x', sizeof(text));
	context = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	cache = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	cache->event.model[0] = 'b';
	test_run(&broker);
	assert_error(context, -E2BIG, "101 tokens, model 'a' takes 50");
	assert_error(cache, -E2BIG, "room for 40");
}

/* ---- what goes wrong ---- */

static void test_errors(void **state)
{
	struct test_request *request;
	const uint32_t ids[] = { 'a', FAKE_VOCAB };
	const struct llm_message torn = { .role = LLM_ROLE_USER, .len = 100 };

	(void)state;
	fake_model(folder, "broken.gguf", "nonsense");
	fake_model(folder, "odd.gguf", "FAKE unloadable");
	fake_model(folder, "strange.gguf", "FAKE chat=strange");
	serve("FAKE");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "none");
	test_run(&broker);
	assert_error(request, -ENOENT, "no model 'none'; there is a, broken, odd, strange");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "../a");
	test_run(&broker);
	assert_error(request, -EINVAL, "'../a' is not the name of a model");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "broken");
	test_run(&broker);
	assert_error(request, -EBADMSG, "model 'broken' can not be used: not a model file");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "odd");
	test_run(&broker);
	assert_error(request, -EOPNOTSUPP, "architecture 'odd'");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_TEXT, "x", 1);
	strcpy(request->event.model, "strange");
	test_run(&broker);
	assert_error(request, -EOPNOTSUPP, "model 'strange' has a chat template that llmos does "
		     "not know; use --raw");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "\xff", 1);
	test_run(&broker);
	assert_error(request, -EILSEQ, "UTF-8");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_TOKENS, ids, sizeof(ids));
	test_run(&broker);
	assert_error(request, -EINVAL, "token 272 at index 1");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_TOKENS, ids, 7);
	test_run(&broker);
	assert_error(request, -EINVAL, "7 bytes");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_CHAT, &torn, sizeof(torn));
	test_run(&broker);
	assert_error(request, -EINVAL, "says 100 bytes, there are 0");
	request = control(LLM_OP_GENERATE, 9, "x", 1);
	test_run(&broker);
	assert_error(request, -EINVAL, "payload type 9");
	request = control(77, LLM_PAYLOAD_RAW, "x", 1);
	test_run(&broker);
	assert_error(request, -EOPNOTSUPP, "operation 77");
	request = control(200, LLM_PAYLOAD_RAW, "x", 1);
	test_run(&broker);
	assert_error(request, -EOPNOTSUPP, "operation 200");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	request->event.sampling.top_p = 1000001;
	test_run(&broker);
	assert_error(request, -EINVAL, "top_p");
	/* and nothing of that was in the way of this */
	request = test_ask(&broker, "good");
	request->event.max_tokens = 3;
	test_run(&broker);
	assert_int_equal(request->status, 0);
}

static void test_folder_changes(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	fake_model(folder, "late.gguf", "nonsense");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "late");
	test_run(&broker);
	assert_int_equal(request->status, -EBADMSG);
	/* mended: found by the next look into the folder */
	fake_model(folder, "late.gguf", "FAKE, and now it is one");
	test_run(&broker);
	request = control(LLM_OP_MODELS, LLM_PAYLOAD_TEXT, NULL, 0);
	test_run(&broker);
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	request->event.max_tokens = 2;
	strcpy(request->event.model, "late");
	test_run(&broker);
	assert_int_equal(request->status, 0);
}

static void test_links(void **state)
{
	struct test_request *request;
	char path[256];

	(void)state;
	fake_model("/tmp", "llmos-sched-outside.gguf", "FAKE");
	snprintf(path, sizeof(path), "%s/out.gguf", folder);
	assert_int_equal(symlink("/tmp/llmos-sched-outside.gguf", path), 0);
	snprintf(path, sizeof(path), "%s/in.gguf", folder);
	assert_int_equal(symlink("a.gguf", path), 0);
	serve("FAKE");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "out");
	test_run(&broker);
	unlink("/tmp/llmos-sched-outside.gguf");
	assert_error(request, -EPERM, "out of the models folder");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	strcpy(request->event.model, "in");
	request->event.max_tokens = 2;
	test_run(&broker);
	assert_int_equal(request->status, 0);
}

static void test_step_fails(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	fake_step_error = -EINVAL;
	test_run(&broker);
	assert_error(request, -EIO, "step");
	request = test_ask(&broker, "x");
	request->event.max_tokens = 2;
	test_run(&broker);
	assert_int_equal(request->status, 0);
}

/* a model gone wrong, in the middle of an answer: its text so far, and an error */
static void test_no_numbers(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = control(LLM_OP_GENERATE, LLM_PAYLOAD_RAW, "x", 1);
	request->event.flags |= LLM_SUBMIT_IGNORE_EOS;
	request->event.max_tokens = 10;
	fake_nan_step = fake_counts.steps + 5;
	test_run(&broker);
	fake_nan_step = 0;
	assert_error(request, -EIO, "logits");
	assert_int_equal(request->event.output_tokens, 4);
}

/* a commit that finds no memory is made again, with the same bytes */
static void test_commit_again(void **state)
{
	struct test_request *request, *want;
	unsigned int i;

	(void)state;
	serve("FAKE");
	want = test_ask(&broker, "x");
	want->event.max_tokens = 10;
	test_run(&broker);
	request = test_ask(&broker, "x");
	request->event.max_tokens = 10;
	for (i = 0; !request->ended; i++) {
		assert_true(i < 100000000);
		if (i == 3 || i == 5)
			broker.refuse = -ENOMEM;
		if (!test_turn(&broker) && !request->ended)
			assert_true(sched_retry_ns(broker.sched));
	}
	assert_int_equal(request->output.len, want->output.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&want->output),
			    want->output.len);
}

static void test_commit_refused(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = test_ask(&broker, "x");
	request->event.max_tokens = 10;
	test_turn(&broker);
	broker.refuse = -EINVAL;
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -EPROTO);
}

/* the broker forgot it: so does the server */
static void test_commit_unknown(void **state)
{
	struct test_request *request;

	(void)state;
	serve("FAKE");
	request = test_ask(&broker, "x");
	request->event.max_tokens = 10;
	test_turn(&broker);
	request->taken = false;
	request->ended = true;
	request->held = 0;
	broker.retried = true;
	test_run(&broker);
	assert_int_equal(status_now().slots_busy, 0);
}

/* small commits: every record stays whole */
static void test_small_commits(void **state)
{
	struct test_request *request;

	(void)state;
	broker.ipc.max_commit_bytes = 4096;
	serve("FAKE");
	request = control(LLM_OP_SHOW, LLM_PAYLOAD_TEXT, NULL, 0);
	test_run(&broker);
	assert_int_equal(record_count(request, LLM_RECORD_META), 5);
	assert_true(request->commits > 4);
}

static void test_seed(void **state)
{
	struct test_request *same[2], *other;
	unsigned int i;

	(void)state;
	serve("FAKE context=100");
	for (i = 0; i < 2; i++) {
		same[i] = test_ask(&broker, "x");
		same[i]->event.sampling = (struct llm_sampling){ .seed = 7, .temperature = 900000 };
		same[i]->event.max_tokens = 40;
		if (!i)
			test_run(&broker);
		else
			test_ask(&broker, "company")->event.max_tokens = 30;
	}
	other = test_ask(&broker, "x");
	other->event.sampling = (struct llm_sampling){ .seed = 8, .temperature = 900000 };
	other->event.max_tokens = 40;
	test_run(&broker);
	assert_int_equal(same[0]->output.len, same[1]->output.len);
	assert_memory_equal(bytes_data(&same[0]->output), bytes_data(&same[1]->output),
			    same[0]->output.len);
	assert_true(other->output.len != same[0]->output.len ||
		    memcmp(bytes_data(&other->output), bytes_data(&same[0]->output),
			   other->output.len));
}

#define TEST(f)	cmocka_unit_test_setup_teardown(f, setup, fixture_end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_length), TEST(test_context), TEST(test_end_token),
		TEST(test_cache_is_context), TEST(test_empty_prompt), TEST(test_file_newline),
		TEST(test_stop_strings), TEST(test_stop_malformed), TEST(test_logprobs),
		TEST(test_score), TEST(test_score_one), TEST(test_control),
		TEST(test_broken_file), TEST(test_control_paused), TEST(test_continuous),
		TEST(test_prompt_beside_decode), TEST(test_slots), TEST(test_models_take_turns),
		TEST(test_page_pressure), TEST(test_too_long), TEST(test_errors),
		TEST(test_folder_changes), TEST(test_links), TEST(test_step_fails),
		TEST(test_no_numbers), TEST(test_commit_again), TEST(test_commit_refused),
		TEST(test_commit_unknown), TEST(test_small_commits), TEST(test_seed),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched", tests, NULL, NULL);
}
