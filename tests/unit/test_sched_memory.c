/* SPDX-License-Identifier: MIT */
/*
 * Memory of clients, as the scheduler deals with it: what it takes is charged before and what it has
 * charged is what it holds, whoever pauses, is reclaimed, refused, cancelled or killed meanwhile, and
 * the answers stay the same; payloads are read from buffers, and log-probabilities written there.
 */
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"
#include "sched/guard.h"
#include "sched/job.h"
#include "sched_fixture.h"

#define CROWD	12
#define SEEDS	25

static int setup(void **state)
{
	(void)state;
	fixture_small("");
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=60");
	return 0;
}

/* texts that repeat themselves, and are guessed ahead */
static int setup_guessed(void **state)
{
	const int r = setup(state);

	fixture_guess();
	return r;
}

/* ---- a client who has no memory for his answer ---- */

static void starve(const struct test_request *request, unsigned int tries)
{
	unsigned int turns;

	for (turns = 0; !request->ended && broker.starved < tries; turns++) {
		assert_true(turns < 5000);
		test_turn(&broker);
		test_hurry(&broker);
	}
	assert_int_equal(broker.starved, tries);
}

/* he is waited for, but not for ever, and gets an end without anything */
static void test_no_memory(void **state)
{
	struct test_request *request;

	(void)state;
	test_broker_serve(&broker, &config);
	request = test_ask(&broker, "one");
	broker.full = true;
	starve(request, SCHED_COMMIT_TRIES - 1);
	assert_false(request->ended);
	/* it was there in time: from now on he may be without as long again */
	broker.full = false;
	test_hurry(&broker);
	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	assert_true(request->output.len);
	request = test_ask(&broker, "two");
	broker.full = true;
	broker.starved = 0;
	starve(request, SCHED_COMMIT_TRIES);
	test_hurry(&broker);
	test_turn(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ENOMEM);
	assert_int_equal(request->output.len, 0);
}

/* if he cancels it, also if the server hears of that between two tries, it ends at once */
static void test_no_memory_cancelled(void **state)
{
	struct test_request *request;

	(void)state;
	test_broker_serve(&broker, &config);
	request = test_ask(&broker, "one");
	broker.full = true;
	starve(request, 3);
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 0);
	test_turn(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, -ECANCELED);
	assert_int_equal(broker.starved, 3);
}

/* ---- charges ---- */

static void ask_crowd(void)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		struct test_request *request;
		char prompt[48];

		snprintf(prompt, sizeof(prompt), "prompt number %u%*s", i, (int)(i % 5 * 4), "");
		request = test_ask(&broker, prompt);
		request->event.max_tokens = 20 + i;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	}
}

/* the crowd's answers when nothing is in their way */
static void answer_alone(struct bytes *answers)
{
	unsigned int i;

	ask_crowd();
	test_broker_serve(&broker, &config);
	test_run(&broker);
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(broker.requests[i].status, 0);
		answers[i] = broker.requests[i].output;
		broker.requests[i].output = (struct bytes){ 0 };
	}
	test_broker_free(&broker);
	test_broker_init(&broker);
}

static void assert_answers(const struct bytes *answers, const char *what, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		const struct test_request *request = &broker.requests[i];

		if (!request->ended || request->status || request->held ||
		    request->output.len != answers[i].len ||
		    memcmp(bytes_data(&request->output), bytes_data(&answers[i]), answers[i].len))
			fail_msg("%s, seed %u: request %u ended %d with status %d, %zu of %zu bytes",
				 what, seed, i, request->ended, request->status,
				 request->output.len, answers[i].len);
	}
	assert_int_equal(test_held(&broker), 0);
}

/* one charge for a prompt, then one for each page that the answer grows into */
static void test_page_by_page(void **state)
{
	struct test_request *request;

	(void)state;
	test_broker_serve(&broker, &config);
	request = test_ask(&broker, "0123456789");
	request->event.max_tokens = 30;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	/* 11 tokens and the one that begins take 3 pages, 11 + 29 of them 10 */
	assert_int_equal(broker.charges, 1 + 10 - 3);
	assert_int_equal(broker.uncharges, 0);
	assert_int_equal(request->status, 0);
}

/*
 * 12 requests of up to 13 pages each below a quota of 15 pages: they wait, some are asked to give
 * back what they have, and each answers as if it was alone.
 */
static void crowd_below_quota(const char *what, bool async, unsigned int pause_in,
			      unsigned int short_in, unsigned int quota_pages)
{
	struct bytes answers[CROWD] = { 0 };
	unsigned int i, seed, reclaims = 0, uncharges = 0;

	answer_alone(answers);
	for (seed = 1; seed <= SEEDS; seed++) {
		ask_crowd();
		broker.is_async = async;
		broker.late_in = async && seed % 2 ? 3 : 0;
		broker.pause_in = pause_in;
		broker.short_in = short_in;
		broker.memory_max = quota_pages * FAKE_PAGE_BYTES;
		broker.dice = seed;
		test_broker_serve(&broker, &config);
		test_run(&broker);
		assert_answers(answers, what, seed);
		reclaims += broker.reclaims;
		uncharges += broker.uncharges;
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
	if (quota_pages) {
		assert_true(reclaims > 0);
		assert_true(uncharges > 0);
	}
	for (i = 0; i < CROWD; i++)
		bytes_free(&answers[i]);
}

static void test_quota(void **state)
{
	(void)state;
	crowd_below_quota("verdicts at once", false, 0, 0, 15);
	crowd_below_quota("verdicts later", true, 0, 0, 15);
}

static void test_quota_and_turns(void **state)
{
	(void)state;
	crowd_below_quota("turns, verdicts at once", false, 4, 0, 18);
	crowd_below_quota("turns, verdicts later", true, 4, 0, 18);
}

static void test_short_now_and_then(void **state)
{
	(void)state;
	crowd_below_quota("one in three", false, 0, 3, 0);
	crowd_below_quota("one in three, verdicts later", true, 5, 3, 0);
}

/* the engine itself has less than everybody wants: what is put back is uncharged */
static void test_small_cache(void **state)
{
	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=17");
	crowd_below_quota("a small cache", false, 4, 5, 0);
	crowd_below_quota("a small cache, and a quota", true, 4, 0, 16);
}

/* servers that die at any moment: what they had charged is forgotten with them */
static void test_deaths(void **state)
{
	struct bytes answers[CROWD] = { 0 };
	unsigned int i, seed;

	(void)state;
	answer_alone(answers);
	for (seed = 1; seed <= SEEDS; seed++) {
		unsigned int deaths = 0;

		ask_crowd();
		broker.memory_max = 16 * FAKE_PAGE_BYTES;
		broker.dice = seed;
		broker.is_async = seed % 2;
		do {
			test_broker_serve(&broker, &config);
			broker.die_at = broker.commits + 20 + seed;
			broker.die_before = deaths++ % 2;
			test_run(&broker);
			if (broker.dead)
				test_broker_kill(&broker);
		} while (!broker.sched);
		assert_true(deaths > 2);
		assert_answers(answers, "deaths", seed);
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
	for (i = 0; i < CROWD; i++)
		bytes_free(&answers[i]);
}

/* who would not wait ends when there is no room, and gives back what he has */
static void test_no_wait(void **state)
{
	struct test_request *first, *second;

	(void)state;
	broker.memory_max = 10 * FAKE_PAGE_BYTES;
	test_broker_serve(&broker, &config);
	first = test_ask(&broker, "0123456789");
	first->event.max_tokens = 25;
	/* 5 pages beside the first one's 3 */
	second = test_ask(&broker, "9876543210987654321");
	second->event.max_tokens = 25;
	first->event.flags = LLM_SUBMIT_IGNORE_EOS;
	second->event.flags = LLM_SUBMIT_IGNORE_EOS | LLM_SUBMIT_EDQUOT;
	test_run(&broker);
	assert_true(first->ended && second->ended);
	assert_int_equal(first->status, 0);
	assert_int_equal(second->status, -EDQUOT);
	assert_true(second->event.output_tokens > 0 && second->event.output_tokens < 25);
}

/* more than a quota ever allows: a prompt at once, an answer in the middle */
static void test_never(void **state)
{
	struct test_request *prompt, *answer;
	static const char text[60];

	(void)state;
	broker.memory_max_each = 8 * FAKE_PAGE_BYTES;
	test_broker_serve(&broker, &config);
	prompt = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
	answer = test_ask(&broker, "0123456789");
	answer->event.max_tokens = 90;
	prompt->event.flags = LLM_SUBMIT_RECORDS;
	answer->event.flags = LLM_SUBMIT_RECORDS | LLM_SUBMIT_IGNORE_EOS;
	test_run(&broker);
	assert_error(prompt, -EDQUOT, "1600 bytes for 61 tokens are more than a quota");
	assert_int_equal(prompt->event.prompt_tokens, 0);
	assert_error(answer, -EDQUOT, "900 bytes for 33 tokens are more than a quota");
	assert_int_equal(answer->event.output_tokens, 32 - 11 + 1);
}

/* who is refused what he asks for takes nothing from those who are paused */
static void test_refused_harms_nobody(void **state)
{
	static const char text[60];
	unsigned int seed, i, paused = 0;

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=17");
	broker.pause_in = 2;
	broker.memory_max_each = 15 * FAKE_PAGE_BYTES;
	test_broker_serve(&broker, &config);
	for (seed = 1; seed <= TEST_REQUESTS_MAX / 3; seed++) {
		struct test_request *asks[2], *greedy;
		uint64_t held;

		broker.dice = seed;
		for (i = 0; i < 2; i++) {
			asks[i] = test_ask(&broker, "0123456789");
			asks[i]->event.max_tokens = 12;
			asks[i]->event.flags = LLM_SUBMIT_IGNORE_EOS;
		}
		for (i = 0; i < 100 && asks[0]->paused == asks[1]->paused; i++)
			test_turn(&broker);
		held = asks[0]->held + asks[1]->held;
		greedy = test_submit(&broker, LLM_OP_GENERATE, LLM_PAYLOAD_RAW, text, sizeof(text));
		for (i = 0; i < 100 && !greedy->ended && !asks[0]->ended && !asks[1]->ended; i++)
			test_turn(&broker);
		if (greedy->ended && !asks[0]->ended && !asks[1]->ended) {
			assert_int_equal(greedy->status, -EDQUOT);
			assert_true(asks[0]->held + asks[1]->held >= held);
			paused++;
		}
		test_run(&broker);
	}
	assert_true(paused > 0);
}

/* cancelled while it waits for memory */
static void test_cancel_short(void **state)
{
	struct test_request *first, *second;
	unsigned int i;

	(void)state;
	broker.memory_max = 8 * FAKE_PAGE_BYTES;
	test_broker_serve(&broker, &config);
	first = test_ask(&broker, "012345678901234567890");
	first->event.max_tokens = 8;
	second = test_ask(&broker, "01234567890");
	first->event.flags = second->event.flags = LLM_SUBMIT_IGNORE_EOS;
	for (i = 0; i < 100 && !second->wants; i++)
		test_turn(&broker);
	assert_true(second->wants);
	second->cancelled = true;
	second->wants = 0;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, second->event.id, 1);
	test_run(&broker);
	assert_int_equal(second->status, -ECANCELED);
	assert_int_equal(first->status, 0);
}

/* a pause holds up the end: what is not held any more is not charged meanwhile */
static void test_paused_end(void **state)
{
	unsigned int seed, i, settled = 0;

	(void)state;
	broker.is_async = true;
	broker.late_in = 2;
	broker.pause_in = 2;
	test_broker_serve(&broker, &config);
	for (seed = 1; seed <= 2 * SEEDS; seed++) {
		struct test_request *request = test_ask(&broker, "0123456789");

		request->event.max_tokens = 4;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		broker.dice = seed;
		for (i = 0; i < 1000 && !request->ended; i++) {
			test_turn(&broker);
			settled += !request->ended && request->event.output_tokens &&
				   !request->held;
		}
		if (!request->ended || request->status)
			fail_msg("seed %u: status %d", seed, request->status);
	}
	assert_true(settled > 0);
	assert_true(broker.uncharges > 0);
}

/* ---- buffers ---- */

static void same_by_buffer(enum llm_payload type, const void *payload, size_t len, uint64_t offset)
{
	struct test_request *plain, *buffered;

	plain = test_submit(&broker, LLM_OP_GENERATE, type, payload, len);
	buffered = test_submit(&broker, LLM_OP_GENERATE, type, payload, len);
	test_add_stop(plain, "stop");
	test_add_stop(buffered, "stop");
	plain->event.max_tokens = buffered->event.max_tokens = 20;
	test_buffer(&broker, buffered, offset);
	test_run(&broker);
	assert_int_equal(buffered->status, 0);
	assert_int_equal(plain->status, 0);
	assert_int_equal(buffered->event.prompt_tokens, plain->event.prompt_tokens);
	assert_true(plain->output.len > 0);
	assert_int_equal(buffered->output.len, plain->output.len);
	assert_memory_equal(bytes_data(&buffered->output), bytes_data(&plain->output),
			    plain->output.len);
}

static void test_payloads(void **state)
{
	static const struct {
		struct llm_message head;
		char text[8];
	} __attribute__((packed)) chat = { { LLM_ROLE_USER, 8 }, "how much" };
	static const uint32_t ids[] = { 'o', 'n', 'c', 'e', FAKE_WORDS, FAKE_BOS };

	(void)state;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=60 chat=chatml");
	test_broker_serve(&broker, &config);
	same_by_buffer(LLM_PAYLOAD_RAW, "once upon a time", 16, 0);
	same_by_buffer(LLM_PAYLOAD_RAW, "once upon a time", 16, 4090);
	same_by_buffer(LLM_PAYLOAD_TEXT, "once upon", 9, 12345);
	same_by_buffer(LLM_PAYLOAD_CHAT, &chat, sizeof(chat), 1);
	same_by_buffer(LLM_PAYLOAD_TOKENS, ids, sizeof(ids), 8192);
	same_by_buffer(LLM_PAYLOAD_RAW, "", 0, 0);
}

/* a server that goes on with it finds the journal behind the stop strings */
static void test_payload_again(void **state)
{
	struct test_request *request;
	struct bytes want = { 0 };
	unsigned int round;

	(void)state;
	for (round = 0; round < 2; round++) {
		request = test_ask(&broker, "once upon a time");
		request->event.max_tokens = 30;
		request->event.flags = LLM_SUBMIT_IGNORE_EOS;
		test_add_stop(request, "never");
		test_buffer(&broker, request, 100);
		broker.die_at = round ? broker.commits + 11 : 0;
		test_run_all(&broker, &config);
		assert_int_equal(request->status, 0);
		if (!round)
			bytes_swap(&want, &request->output);
	}
	assert_int_equal(request->event.attempts, 2);
	assert_int_equal(request->output.len, want.len);
	assert_memory_equal(bytes_data(&request->output), bytes_data(&want), want.len);
	bytes_free(&want);
}

/* what could never fit is not read at all: there is nothing behind its first page */
static void long_payload(enum llm_payload type, uint32_t len, const char *part)
{
	struct test_request *request = test_submit(&broker, LLM_OP_GENERATE, type, "x", 1);

	request->event.flags = LLM_SUBMIT_RECORDS;
	test_buffer(&broker, request, 0);
	request->event.payload_len = len;
	request->event.buffer_len = len;
	test_run(&broker);
	assert_error(request, -E2BIG, part);
}

static void test_long_payloads(void **state)
{
	(void)state;
	test_broker_serve(&broker, &config);
	long_payload(LLM_PAYLOAD_RAW, LLM_BUFFER_PAYLOAD_MAX, "134217728 bytes, 120 tokens");
	long_payload(LLM_PAYLOAD_TOKENS, 121 * 4, "484 bytes, 120 tokens");
	long_payload(LLM_PAYLOAD_CHAT, LLM_BUFFER_PAYLOAD_MAX, "134217728 bytes");
	/* short enough to be read, and too long by its tokens: no further than those */
	assert_int_equal(ftruncate(broker.memfd, 4096), 0);
	long_payload(LLM_PAYLOAD_RAW, 130, "more than 120 tokens");
}

/* its owner has truncated it, or never told the truth about it: a request fails, not the server */
static void test_lost_payload(void **state)
{
	struct test_request *lost, *outside, *good;

	(void)state;
	assert_int_equal(guard_install(), 0);
	test_broker_serve(&broker, &config);
	lost = test_ask(&broker, "once upon a time");
	outside = test_ask(&broker, "once upon a time");
	lost->event.flags = outside->event.flags = LLM_SUBMIT_RECORDS;
	test_buffer(&broker, lost, 8192);
	test_buffer(&broker, outside, 8192);
	outside->event.payload_offset = UINT64_MAX;
	assert_int_equal(ftruncate(broker.memfd, 4096), 0);
	good = test_ask(&broker, "x");
	good->event.max_tokens = 3;
	test_run(&broker);
	assert_error(lost, -EFAULT, "can not be read");
	assert_error(outside, -EPROTO, "can not be read");
	assert_int_equal(good->status, 0);
}

/* ---- log-probabilities ---- */

static struct test_request *score(const char *text, uint64_t offset, uint64_t len, bool framed)
{
	struct test_request *request = test_submit(&broker, LLM_OP_SCORE, LLM_PAYLOAD_RAW, text,
						   strlen(text));

	request->event.flags = framed ? LLM_SUBMIT_RECORDS : 0;
	/* a buffer's offset is not 0 with a real one */
	request->event.answer_buffer = 4096;
	request->event.answer_buffer_len = 65536;
	request->event.answer_offset = offset;
	request->event.answer_len = len;
	return request;
}

/* those of the records, in the order of the tokens */
static unsigned int record_scores(const struct test_request *request, int32_t *scores)
{
	const struct bytes *output = &request->output;
	struct llm_record head;
	unsigned int count = 0;
	struct llm_token token;
	size_t at;

	for (at = 0; at < output->len; at += sizeof(head) + head.len) {
		memcpy(&head, bytes_data(output) + at, sizeof(head));
		if (head.type != LLM_RECORD_TOKEN)
			continue;
		memcpy(&token, bytes_data(output) + at + sizeof(head), sizeof(token));
		scores[count++] = token.logprob;
	}
	return count;
}

static void test_scores(void **state)
{
	const char *text = "a text whose tokens are scored, more than one step takes";
	int32_t want[128], got[128] = { 0 };
	struct test_request *both, *alone, *quiet;
	unsigned int count;

	(void)state;
	assert_int_equal(ftruncate(broker.memfd, 4096 + 65536), 0);
	test_broker_serve(&broker, &config);
	both = score(text, 4094, 1024, true);
	both->event.sampling.top_logprobs = 1;
	alone = score(text, 10000, strlen(text) * 4 + 4, false);
	quiet = score(text, 20000, 1024, true);
	test_run(&broker);
	assert_int_equal(both->status, 0);
	assert_int_equal(alone->status, 0);
	assert_int_equal(alone->output.len, 0);
	assert_int_equal(quiet->output.len, 0);
	assert_int_equal(quiet->event.answer_bytes, alone->event.answer_bytes);
	count = record_scores(both, want);
	assert_int_equal(count, strlen(text) + 1);
	assert_int_equal(want[0], LLM_LOGPROB_NONE);
	assert_int_equal(both->event.answer_bytes, count * 4);
	assert_int_equal(alone->event.answer_bytes, count * 4);
	assert_int_equal(pread(broker.memfd, got, count * 4 + 4, 4096 + 4094), count * 4 + 4);
	assert_memory_equal(got, want, count * 4);
	assert_int_equal(got[count], 0);
	assert_int_equal(pread(broker.memfd, got, count * 4, 4096 + 10000), count * 4);
	assert_memory_equal(got, want, count * 4);
}

/* servers that die on the way write the same again */
static void test_scores_again(void **state)
{
	const char *text = "a text whose tokens are scored, more than one step takes, by far";
	int32_t want[128], got[128];
	struct test_request *plain, *again;
	unsigned int count, deaths = 0;

	(void)state;
	config.engine.logits_rows = 5;
	config.slots = 1;
	assert_int_equal(ftruncate(broker.memfd, 4096 + 65536), 0);
	test_broker_serve(&broker, &config);
	plain = score(text, 0, 1024, true);
	plain->event.sampling.top_logprobs = 1;
	test_run(&broker);
	count = record_scores(plain, want);
	assert_int_equal(ftruncate(broker.memfd, 0), 0);
	assert_int_equal(ftruncate(broker.memfd, 4096 + 65536), 0);
	again = score(text, 77, 1024, false);
	while (!again->ended) {
		test_broker_kill(&broker);
		test_broker_serve(&broker, &config);
		broker.die_at = broker.commits + 2 + deaths;
		broker.die_before = deaths++ % 2;
		test_run(&broker);
		assert_true(deaths < 100);
	}
	assert_true(deaths > 2);
	assert_int_equal(again->status, 0);
	assert_int_equal(again->event.answer_bytes, count * 4);
	assert_int_equal(pread(broker.memfd, got, count * 4, 4096 + 77), count * 4);
	assert_memory_equal(got, want, count * 4);
}

static void test_bad_score_buffers(void **state)
{
	struct test_request *small, *none, *lost, *outside;

	(void)state;
	assert_int_equal(guard_install(), 0);
	test_broker_serve(&broker, &config);
	small = score("four", 0, 19, true);
	none = score("four", 0, 0, false);
	none->event.answer_buffer = 0;
	lost = score("four", 0, 20, true);
	outside = score("four", UINT64_MAX - 8, 20, true);
	test_run(&broker);
	assert_error(small, -E2BIG, "has 19 bytes for log-probabilities, 5 tokens need 20");
	assert_int_equal(none->status, -EINVAL);
	assert_error(lost, -EFAULT, "can not be written");
	assert_error(outside, -EPROTO, "malformed");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, fixture_end)
#define GUESSED(f)	{ #f "_guessed", f, setup_guessed, fixture_end, NULL }

/* ---- pages that are written ahead ---- */

/* a few at a time, also while nobody asks for anything, and not all the time */
static void test_written_ahead(void **state)
{
	struct test_request *request;
	uint64_t at;

	(void)state;
	fake_clock_ns = NS_PER_S;
	fake_ahead = 3;
	serve("FAKE");
	request = ask_model("a", "x", 3);
	test_run(&broker);
	answered(request);
	for (unsigned int left = 2; left; left--) {
		assert_int_equal(fake_ahead, left);
		at = sched_retry_ns(broker.sched);
		assert_true(at > fake_clock_ns);
		assert_false(sched_step(broker.sched));
		assert_int_equal(fake_ahead, left);
		fake_clock_ns = at;
		assert_false(sched_step(broker.sched));
	}
	assert_int_equal(fake_ahead, 0);
	assert_int_equal(sched_retry_ns(broker.sched), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_no_memory), TEST(test_no_memory_cancelled),
		TEST(test_page_by_page), TEST(test_quota), TEST(test_quota_and_turns),
		TEST(test_short_now_and_then), TEST(test_small_cache), TEST(test_deaths),
		TEST(test_no_wait), TEST(test_never), TEST(test_refused_harms_nobody),
		TEST(test_cancel_short),
		TEST(test_paused_end), TEST(test_payloads), TEST(test_payload_again),
		TEST(test_long_payloads), TEST(test_lost_payload), TEST(test_scores),
		TEST(test_scores_again), TEST(test_bad_score_buffers),
		GUESSED(test_page_by_page), GUESSED(test_quota), GUESSED(test_quota_and_turns),
		GUESSED(test_short_now_and_then), GUESSED(test_small_cache), GUESSED(test_deaths),
		GUESSED(test_no_wait), GUESSED(test_never), GUESSED(test_cancel_short),
		GUESSED(test_paused_end),
		TEST(test_written_ahead),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("sched_memory", tests, NULL, NULL);
}
