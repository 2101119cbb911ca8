/* SPDX-License-Identifier: MIT */
/*
 * Prefixes that outlive their request, as the scheduler deals with them: who shares what with
 * whom, who is charged, that a cgroup which is asked to gives them back even while they are used,
 * and that no answer and no figure that others may read depends on what was found.
 */
#include <unistd.h>

#include "base/util.h"
#include "sched_fixture.h"

#define CROWD	12
#define SEEDS	25
#define PROMPT	"0123456789abcdefghij"	/* and a first token: five pages and one more */

static int setup(void **state)
{
	(void)state;
	fixture_small("");
	config.engine.prefix_percent = 50;
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

/* a request of that user from that cgroup, which is its domain's, too */
static struct test_request *ask_from(uint64_t cgroup, uint32_t uid, const char *prompt)
{
	struct test_request *request = test_ask(&broker, prompt);

	request->event.cgroup_id = cgroup;
	request->event.uid = uid;
	request->event.domain_cgroup = cgroup;
	request->event.domain_uid = uid;
	request->event.max_tokens = 3;
	request->event.flags = LLM_SUBMIT_IGNORE_EOS;
	return request;
}

/* Return: tokens with which it began */
static unsigned int reused_by(struct test_request *request)
{
	unsigned int before = fake_counts.reused;

	test_run(&broker);
	assert_true(request->ended);
	assert_int_equal(request->status, 0);
	return fake_counts.reused - before;
}

/* ---- who shares ---- */

static void test_same_domain(void **state)
{
	struct test_request *first, *second, *longer;
	unsigned int fed;

	(void)state;
	test_broker_serve(&broker, &config);
	first = ask_from(1, 1000, PROMPT);
	assert_int_equal(reused_by(first), 0);
	assert_int_equal(broker.keeps, 1);
	/* 21 tokens and two of the answer were fed: five full pages */
	assert_int_equal(broker.kept[1], 5 * FAKE_PAGE_BYTES);
	fed = fake_counts.tokens;
	second = ask_from(1, 1000, PROMPT);
	assert_int_equal(reused_by(second), 20);
	assert_int_equal(fake_counts.tokens - fed, 1 + 2);
	assert_same_output(first, second);
	assert_int_equal(second->event.prompt_tokens, first->event.prompt_tokens);
	/* its own page was charged, and not a byte more is kept */
	assert_int_equal(broker.kept[1], 5 * FAKE_PAGE_BYTES);
	longer = ask_from(1, 1000, "0123456789abcdefgh, and something else");
	assert_int_equal(reused_by(longer), 16);
	assert_int_equal(longer->event.prompt_tokens, 39);
}

/* the last token of a prompt is computed, though all of its pages are kept */
static void test_whole_pages(void **state)
{
	struct test_request *first, *second;

	(void)state;
	test_broker_serve(&broker, &config);
	first = ask_from(1, 1000, "0123456789abcde");
	assert_int_equal(reused_by(first), 0);
	second = ask_from(1, 1000, "0123456789abcde");
	assert_int_equal(reused_by(second), 12);
	assert_same_output(first, second);
}

static void test_other_domains(void **state)
{
	struct test_request *request;

	(void)state;
	test_broker_serve(&broker, &config);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
	assert_int_equal(reused_by(ask_from(1, 1001, PROMPT)), 0);
	assert_int_equal(reused_by(ask_from(2, 1000, PROMPT)), 0);
	/* who is not known shares with nobody, not even with himself */
	assert_int_equal(reused_by(ask_from(1, 65534, PROMPT)), 0);
	assert_int_equal(reused_by(ask_from(1, 65534, PROMPT)), 0);
	assert_int_equal(broker.keeps, 3);
	request = ask_from(3, 1000, PROMPT);
	request->event.domain_cgroup = 0;
	assert_int_equal(reused_by(request), 0);
	request = ask_from(3, 1000, PROMPT);
	request->event.domain_cgroup = 0;
	assert_int_equal(reused_by(request), 0);
	assert_int_equal(broker.keeps, 3);
	/* each of the others finds his own */
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 20);
	assert_int_equal(reused_by(ask_from(1, 1001, PROMPT)), 20);
	assert_int_equal(reused_by(ask_from(2, 1000, PROMPT)), 20);
	assert_int_equal(broker.kept[1], 10 * FAKE_PAGE_BYTES);
	assert_int_equal(broker.kept[2], 5 * FAKE_PAGE_BYTES);
}

/* two transports have nothing in common, whatever they call their cgroups and users */
static void test_other_transport(void **state)
{
	static struct test_broker second;

	(void)state;
	test_broker_serve(&broker, &config);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
	second = broker;
	second.ipc.sink = sched_sink(broker.sched);
	assert_int_equal(sched_attach(broker.sched, &second.ipc), 0);
	second.count = 0;
	memset(second.kept, 0, sizeof(second.kept));
	memset(second.requests, 0, sizeof(second.requests));
	{
		struct test_request *request = test_ask(&second, PROMPT);
		unsigned int before = fake_counts.reused, i;
		uint8_t *data = malloc(request->event.payload_len);

		request->event.cgroup_id = request->event.domain_cgroup = 1;
		request->event.domain_uid = 1000;
		request->event.max_tokens = 3;
		request->taken = true;
		memcpy(data, request->data, request->event.payload_len);
		second.ipc.sink->request(second.ipc.sink, &second.ipc, &request->event, data);
		for (i = 0; i < 100 && !request->ended; i++)
			sched_step(broker.sched);
		assert_int_equal(request->status, 0);
		assert_int_equal(fake_counts.reused, before);
		assert_int_equal(second.kept[1], 5 * FAKE_PAGE_BYTES);
		bytes_free(&request->output);
		bytes_free(&request->journal);
	}
}

/* a cgroup that shares what those below it compute: who was first pays */
static void test_shared_domain(void **state)
{
	struct test_request *first, *second;

	(void)state;
	test_broker_serve(&broker, &config);
	first = ask_from(1, 1000, PROMPT);
	first->event.domain_cgroup = 7;
	first->event.domain_uid = UINT32_MAX;
	assert_int_equal(reused_by(first), 0);
	second = ask_from(2, 1001, PROMPT "klmnop");
	second->event.domain_cgroup = 7;
	second->event.domain_uid = UINT32_MAX;
	assert_int_equal(reused_by(second), 20);
	assert_int_equal(broker.kept[1], 5 * FAKE_PAGE_BYTES);
	assert_int_equal(broker.kept[2], 2 * FAKE_PAGE_BYTES);
	/* what is behind a page goes with it, whoever was charged for it */
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, 5 * FAKE_PAGE_BYTES);
	assert_int_equal(test_kept(&broker), 0);
}

/* ---- what is kept, and charged ---- */

/* log-probabilities are wanted behind each token: a score finds nothing, and others find it */
static void test_score(void **state)
{
	struct test_request *scores[2];
	unsigned int i;

	(void)state;
	test_broker_serve(&broker, &config);
	for (i = 0; i < 2; i++) {
		scores[i] = ask_from(1, 1000, PROMPT);
		scores[i]->event.op = LLM_OP_SCORE;
		scores[i]->event.flags = LLM_SUBMIT_RECORDS;
		scores[i]->event.max_tokens = 0;
		assert_int_equal(reused_by(scores[i]), 0);
	}
	assert_same_output(scores[0], scores[1]);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 20);
}

static void test_switched_off(void **state)
{
	(void)state;
	config.engine.prefix_percent = 0;
	test_broker_serve(&broker, &config);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
	assert_int_equal(broker.keeps, 0);
}

/* what the broker does not take is not kept */
static void test_not_kept(void **state)
{
	static const int errors[] = { -EINVAL, -ENOENT, LLM_VERDICT_CANCELLED };
	size_t i;

	(void)state;
	test_broker_serve(&broker, &config);
	for (i = 0; i < ARRAY_SIZE(errors); i++) {
		broker.keep_error = errors[i];
		assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
		assert_int_equal(fake_counts.kept, 0);
	}
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 0);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 20);
}

/* cancelled: what was computed until then is kept; failed: nobody knows what is in there */
static void test_ends(void **state)
{
	struct test_request *request;
	unsigned int i;

	(void)state;
	test_broker_serve(&broker, &config);
	request = ask_from(1, 1000, PROMPT);
	request->event.max_tokens = 60;
	for (i = 0; i < 5; i++)
		test_turn(&broker);
	request->cancelled = true;
	broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, request->event.id, 1);
	test_run(&broker);
	assert_int_equal(request->status, -ECANCELED);
	assert_int_equal(reused_by(ask_from(1, 1000, PROMPT)), 20);
	request = ask_from(2, 1000, PROMPT);
	fake_nan_step = fake_counts.steps + 2;
	test_run(&broker);
	fake_nan_step = 0;
	assert_int_equal(request->status, -EIO);
	assert_int_equal(broker.kept[2], 0);
}

/* @ret_user is on its way with what @ret_alone left behind */
static void use_kept(struct test_request **ret_alone, struct test_request **ret_user)
{
	unsigned int i;

	test_broker_serve(&broker, &config);
	*ret_alone = ask_from(1, 1000, PROMPT);
	(*ret_alone)->event.max_tokens = 40;
	test_run(&broker);
	*ret_user = ask_from(1, 1000, PROMPT);
	(*ret_user)->event.max_tokens = 40;
	for (i = 0; i < 8; i++)
		test_turn(&broker);
	assert_false((*ret_user)->ended);
}

/* the cgroup's pages are wanted back while a request uses them: it is computed again */
static void test_reclaim_used(void **state)
{
	struct test_request *alone, *user;

	(void)state;
	use_kept(&alone, &user);
	assert_int_equal(user->held, 2 * FAKE_PAGE_BYTES);
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, FAKE_PAGE_BYTES);
	/* there were idle ones behind those it uses */
	assert_int_equal(user->held, 2 * FAKE_PAGE_BYTES);
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 1, test_kept(&broker));
	assert_true(test_kept(&broker) > 0);
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 2, 0, test_kept(&broker));
	assert_int_equal(user->held, 2 * FAKE_PAGE_BYTES);
	broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, test_kept(&broker));
	assert_int_equal(test_kept(&broker), 0);
	assert_int_equal(user->held, 0);
	test_run(&broker);
	assert_int_equal(user->status, 0);
	assert_same_output(alone, user);
}

/* page by page: who uses them begins anew once, and not for each */
static void test_reclaim_page_by_page(void **state)
{
	struct test_request *alone, *user;

	(void)state;
	use_kept(&alone, &user);
	/* the idle ones, and one that is used */
	while (user->held)
		broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, FAKE_PAGE_BYTES);
	assert_true(test_kept(&broker) > 0);
	while (!user->held)
		assert_true(test_turn(&broker));
	while (!user->ended && test_kept(&broker)) {
		broker.ipc.sink->reclaim_kept(broker.ipc.sink, &broker.ipc, 1, 0, FAKE_PAGE_BYTES);
		assert_true(user->held > 0);
		test_turn(&broker);
	}
	test_run(&broker);
	assert_int_equal(user->status, 0);
	assert_same_output(alone, user);
}

/* figures that anybody may read say nothing of what was found */
static struct llm_status status_of(uint32_t uid)
{
	struct test_request *request = test_submit(&broker, LLM_OP_STATUS, LLM_PAYLOAD_RAW, "", 0);
	struct llm_status status;

	request->event.uid = uid;
	request->event.flags = LLM_SUBMIT_RECORDS;
	test_run(&broker);
	assert_int_equal(request->output.len, sizeof(struct llm_record) + sizeof(status));
	memcpy(&status, (const char *)bytes_data(&request->output) + sizeof(struct llm_record),
	       sizeof(status));
	return status;
}

static void test_status(void **state)
{
	struct llm_status before, after;

	(void)state;
	test_broker_serve(&broker, &config);
	before = status_of(12345);
	reused_by(ask_from(1, 1000, PROMPT));
	after = status_of(12345);
	assert_int_equal(after.prompt_tokens - before.prompt_tokens, 21);
	before = after;
	reused_by(ask_from(1, 1000, PROMPT));
	after = status_of(12345);
	assert_int_equal(after.prompt_tokens - before.prompt_tokens, 21);
	assert_int_equal(after.kv_pages_used, 0);
	assert_int_equal(after.kv_pages_kept, 0);
	assert_int_equal(after.reused_tokens, 0);
	after = status_of(0);
	assert_int_equal(after.kv_pages_kept, 5);
	assert_int_equal(after.reused_tokens, 20);
	after = status_of(geteuid());
	assert_int_equal(after.reused_tokens, 20);
}

/* ---- all at once ---- */

/* beginnings that some have in common, in three domains of two cgroups */
static void ask_crowd(void)
{
	unsigned int i;

	for (i = 0; i < CROWD; i++) {
		struct test_request *request;
		char prompt[64];

		snprintf(prompt, sizeof(prompt), "the same beginning %.*snumber %u",
			 (int)(i % 4 * 3), "for a few of us ", i % 5);
		request = ask_from(1 + i % 2, 1000 + i % 3 / 2, prompt);
		request->event.max_tokens = 10 + i;
	}
}

static void answer_without(struct bytes *answers)
{
	const unsigned int percent = config.engine.prefix_percent;
	unsigned int i;

	fake_counts.reused = 0;
	config.engine.prefix_percent = 0;
	ask_crowd();
	test_broker_serve(&broker, &config);
	test_run(&broker);
	for (i = 0; i < CROWD; i++) {
		assert_int_equal(broker.requests[i].status, 0);
		answers[i] = broker.requests[i].output;
		broker.requests[i].output = (struct bytes){ 0 };
	}
	assert_int_equal(fake_counts.reused, 0);
	config.engine.prefix_percent = percent;
	test_broker_free(&broker);
	test_broker_init(&broker);
}

static void assert_answers(const struct bytes *answers, const char *what, unsigned int seed)
{
	unsigned int i;

	for (i = 0; i < broker.count; i++) {
		const struct test_request *request = &broker.requests[i];
		const struct bytes *answer = &answers[i % CROWD];

		if (!request->ended || request->status || request->held ||
		    request->output.len != answer->len ||
		    memcmp(bytes_data(&request->output), bytes_data(answer), answer->len))
			fail_msg("%s, seed %u: request %u ended %d with status %d, %zu of %zu bytes",
				 what, seed, i, request->ended, request->status,
				 request->output.len, answer->len);
	}
	assert_int_equal(test_held(&broker), 0);
}

struct disturbance {
	const char *what;
	bool is_async;
	unsigned int pause_in;
	unsigned int short_in;
	unsigned int quota_pages;
	unsigned int die_after;
};

static void serve_to_the_end(const struct disturbance *d, unsigned int seed)
{
	do {
		test_broker_serve(&broker, &config);
		broker.die_at = d->die_after ? broker.commits + d->die_after + seed : 0;
		test_run(&broker);
		if (broker.dead)
			test_broker_kill(&broker);
	} while (!broker.sched);
}

static void disturb(const struct disturbance *d, unsigned int least_reclaims)
{
	struct bytes answers[CROWD] = { 0 };
	unsigned int i, seed, kept_reclaims = 0;

	answer_without(answers);
	for (seed = 1; seed <= SEEDS; seed++) {
		/* the second time all beginnings are there, as far as there is room */
		ask_crowd();
		ask_crowd();
		broker.is_async = d->is_async;
		broker.late_in = d->is_async && seed % 2 ? 3 : 0;
		broker.pause_in = d->pause_in;
		broker.short_in = d->short_in;
		broker.memory_max = d->quota_pages * FAKE_PAGE_BYTES;
		broker.dice = seed;
		serve_to_the_end(d, seed);
		assert_answers(answers, d->what, seed);
		kept_reclaims += broker.kept_reclaims;
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
	print_message("# %s: %u tokens found, %u times asked back\n", d->what, fake_counts.reused,
		      kept_reclaims);
	assert_true(fake_counts.reused > SEEDS);
	assert_true(kept_reclaims >= least_reclaims);
	for (i = 0; i < CROWD; i++)
		bytes_free(&answers[i]);
}

static void test_crowd(void **state)
{
	(void)state;
	disturb(&(struct disturbance){ .what = "at once" }, 0);
	disturb(&(struct disturbance){ .what = "later", .is_async = true }, 0);
	disturb(&(struct disturbance){ .what = "pauses", .is_async = true, .pause_in = 3 }, 0);
}

static void test_crowd_quota(void **state)
{
	(void)state;
	disturb(&(struct disturbance){ .what = "quota", .quota_pages = 36 }, SEEDS);
	disturb(&(struct disturbance){ .what = "quota, later", .is_async = true, .pause_in = 4,
				       .quota_pages = 32 }, SEEDS);
	disturb(&(struct disturbance){ .what = "one in three", .short_in = 3 }, 0);
}

static void test_crowd_small_cache(void **state)
{
	(void)state;
	config.engine.prefix_percent = 100;
	config.engine.max_seqs = 5;
	fake_model(folder, "a.gguf", "FAKE context=120 page=4 pages=24");
	disturb(&(struct disturbance){ .what = "small", .pause_in = 4 }, 0);
	disturb(&(struct disturbance){ .what = "small, quota", .is_async = true, .pause_in = 4,
				       .quota_pages = 20 }, SEEDS);
}

static void test_crowd_deaths(void **state)
{
	(void)state;
	disturb(&(struct disturbance){ .what = "deaths", .quota_pages = 24, .die_after = 20 }, 1);
	disturb(&(struct disturbance){ .what = "deaths, later", .is_async = true, .pause_in = 5,
				       .die_after = 30 }, 0);
}

/* ---- at the same time ---- */

#define SHARED	"what all of them begin with, and that is long enough for it: "

/* who comes while it is being computed waits for it, and each of them computes the rest alone */
static void test_at_once(void **state)
{
	static const char *const ends[] = { "one", "two", "three", "four" };
	struct test_request *requests[ARRAY_SIZE(ends)], *other, *stranger;
	char text[100];

	(void)state;
	test_broker_serve(&broker, &config);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		snprintf(text, sizeof(text), SHARED "%s", ends[i]);
		requests[i] = ask_from(1, 1000, text);
	}
	test_run(&broker);
	/* 61 of it and one before that: 15 full pages, computed once */
	assert_int_equal(fake_counts.reused, 3 * 60);
	for (size_t i = 0; i < ARRAY_SIZE(ends); i++) {
		assert_true(requests[i]->ended);
		assert_int_equal(requests[i]->status, 0);
	}
	/* the same from another cgroup, and of another user: in the same words, computed anew */
	other = ask_from(2, 1000, SHARED "one");
	stranger = ask_from(1, 1001, SHARED "two");
	test_run(&broker);
	assert_int_equal(fake_counts.reused, 3 * 60);
	assert_same_output(requests[0], other);
	assert_same_output(requests[1], stranger);
}

/* more of them than slots: those who wait take no place of those who compute */
static void test_more_than_slots(void **state)
{
	struct test_request *requests[16];
	char text[120];

	(void)state;
	config.engine.max_seqs = 32;
	config.engine.batch_tokens = 8;
	config.slots = 2;
	test_broker_serve(&broker, &config);
	broker.pause_in = 3;
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++) {
		snprintf(text, sizeof(text), "%zu " SHARED "%zu", i % 4, i);
		requests[i] = ask_from(1, 1000, text);
	}
	for (int turn = 0; turn < 20000 && !requests[0]->ended; turn++)
		test_turn(&broker);
	broker.pause_in = 0;
	test_run(&broker);
	for (size_t i = 0; i < ARRAY_SIZE(requests); i++)
		assert_true(requests[i]->ended);
}

/* one that is long into its answer gives up its prompt, and goes on */
static void test_during_answer(void **state)
{
	struct test_request *first, *second;

	(void)state;
	test_broker_serve(&broker, &config);
	first = ask_from(1, 1000, SHARED);
	first->event.max_tokens = 30;
	while (first->event.output_tokens < 5)
		assert_true(test_turn(&broker));
	assert_int_equal(test_kept(&broker), 0);
	second = ask_from(1, 1000, SHARED);
	second->event.max_tokens = 30;
	test_run(&broker);
	assert_int_equal(fake_counts.reused, 60);
	assert_same_output(first, second);
}

/* a little in common is no reason to wait, nor to give anything up */
static void test_little_in_common(void **state)
{
	struct test_request *first, *second;

	(void)state;
	test_broker_serve(&broker, &config);
	first = ask_from(1, 1000, "12345678, and then something that is all its own");
	first->event.max_tokens = 30;
	second = ask_from(1, 1000, "12345678, but then it goes on in another way");
	while (!second->ended)
		assert_true(test_turn(&broker));
	assert_int_equal(fake_counts.reused, 0);
	assert_false(first->ended);
	test_run(&broker);
}

/* the one they wait for is cancelled, or told to pause: they go on without */
static void test_first_goes(void **state)
{
	struct test_request *first, *second;

	(void)state;
	for (int pauses = 0; pauses < 2; pauses++) {
		test_broker_serve(&broker, &config);
		first = ask_from(1, 1000, SHARED "first");
		second = ask_from(1, 1000, SHARED "second");
		while (!first->event.prompt_tokens)
			assert_true(test_turn(&broker));
		assert_int_equal(second->event.prompt_tokens, 0);
		if (pauses) {
			broker.pause_in = 1;
			assert_true(test_turn(&broker));
			broker.pause_in = 0;
			assert_true(first->paused);
		} else {
			first->cancelled = true;
			broker.ipc.sink->cancelled(broker.ipc.sink, &broker.ipc, first->event.id, 1);
		}
		while (!second->ended)
			assert_true(test_turn(&broker) || second->ended);
		assert_int_equal(second->status, 0);
		test_run(&broker);
		assert_true(first->ended);
		test_broker_free(&broker);
		test_broker_init(&broker);
	}
}

#define TEST(name)	cmocka_unit_test_setup_teardown(name, setup, fixture_end)
#define GUESSED(name)	{ #name "_guessed", name, setup_guessed, fixture_end, NULL }

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_same_domain),
		TEST(test_whole_pages),
		TEST(test_other_domains),
		TEST(test_other_transport),
		TEST(test_shared_domain),
		TEST(test_score),
		TEST(test_switched_off),
		TEST(test_not_kept),
		TEST(test_ends),
		TEST(test_reclaim_used),
		TEST(test_reclaim_page_by_page),
		TEST(test_status),
		TEST(test_at_once),
		TEST(test_more_than_slots),
		TEST(test_during_answer),
		TEST(test_little_in_common),
		TEST(test_first_goes),
		TEST(test_crowd),
		TEST(test_crowd_quota),
		TEST(test_crowd_small_cache),
		TEST(test_crowd_deaths),
		GUESSED(test_same_domain),
		GUESSED(test_ends),
		GUESSED(test_reclaim_used),
		GUESSED(test_crowd),
		GUESSED(test_crowd_quota),
		GUESSED(test_crowd_small_cache),
		GUESSED(test_crowd_deaths),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
