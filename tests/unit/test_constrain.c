/* SPDX-License-Identifier: MIT */
/*
 * Memory of answers that are held to grammars: who shares a grammar, how much one may have, and who
 * makes way; that no answer depends on it, and that everybody gets on.
 */
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "grammar/matcher.h"
#include "model/gguf.h"
#include "sched/constrain.h"

#define WAIT_MS		60000
#define TOKENS		24
#define CROWD		12

static struct gguf *gguf;
static struct tokenizer *tok;
static struct gram_vocab *vocab;
static struct grammars grammars;
static struct constrainer *constrainer;

static struct llm_event event_of(uint64_t group, uint32_t user)
{
	return (struct llm_event){ .domain_cgroup = group, .domain_uid = user, .uid = user };
}

static void wait_for_news(void)
{
	struct pollfd fd = { constrainer_fd(constrainer), POLLIN, 0 };

	assert_int_equal(poll(&fd, 1, WAIT_MS), 1);
	constrainer_heard(constrainer);
	grammars_heard(&grammars);
}

/* as grammars_check(), once it is compiled; without an error *@ret is to be put */
static int try_get(struct held_grammar **ret, const struct llm_event *event, const char *text,
		   struct error *error)
{
	int r = grammars_get(ret, &grammars, NULL, event, LLM_OPTION_GRAMMAR, text, strlen(text),
			     error);

	if (r < 0)
		return r;
	while ((r = grammars_check(*ret, error)) == -EINPROGRESS)
		wait_for_news();
	if (r < 0)
		grammars_put(&grammars, *ret);
	return r;
}

static struct held_grammar *get(const struct llm_event *event, const char *text)
{
	struct held_grammar *held = NULL;
	struct error error = { "" };

	if (try_get(&held, event, text, &error) < 0)
		fail_msg("%s", error.text);
	return held;
}

/* ---- grammars ---- */

static void test_shared(void **state)
{
	const struct llm_event alice = event_of(7, 1000), bob = event_of(7, 1001);
	const struct llm_event elsewhere = event_of(8, 1000), nowhere = event_of(0, 1000);
	const struct llm_event many = event_of(7, 65534);
	struct held_grammar *held[8];
	size_t bytes;

	(void)state;
	held[0] = get(&alice, "root ::= \"a\"");
	bytes = grammars.bytes;
	assert_true(bytes > sizeof(*held[0]));
	held[1] = get(&alice, "root ::= \"a\"");
	assert_ptr_equal(held[0], held[1]);
	assert_int_equal(grammars.bytes, bytes);
	held[2] = get(&alice, "root ::= \"b\"");
	held[3] = get(&bob, "root ::= \"a\"");
	held[4] = get(&elsewhere, "root ::= \"a\"");
	for (unsigned int i = 2; i < 5; i++)
		assert_ptr_not_equal(held[i], held[0]);
	/* who belongs to no domain shares with nobody, not even with himself */
	held[5] = get(&nowhere, "root ::= \"a\"");
	held[6] = get(&nowhere, "root ::= \"a\"");
	assert_ptr_not_equal(held[5], held[6]);
	held[7] = get(&many, "root ::= \"a\"");
	assert_false(held[7]->is_shared);
	for (unsigned int i = 0; i < ARRAY_SIZE(held); i++)
		grammars_put(&grammars, held[i]);
	assert_int_equal(grammars.bytes, 0);
	assert_true(list_empty(&grammars.tenants));
}

/* about 100 kB, each another one */
static const char *large_text(unsigned int number)
{
	static char text[8192 * 4 + 64];
	size_t len = (size_t)snprintf(text, sizeof(text), "root ::= \"%u\"", number);

	for (unsigned int i = 0; i < 8192; i++)
		len += (size_t)snprintf(text + len, sizeof(text) - len, i % 2 ? " [a]" : " b");
	snprintf(text + len, sizeof(text) - len, "\nb ::= \"b\" | \"c\"");
	return text;
}

/* as many as there is room for; Return: how many */
static unsigned int fill(struct held_grammar **held, unsigned int max,
			 const struct llm_event *event)
{
	for (unsigned int i = 0; i < max; i++) {
		const char *text = large_text(i);
		struct error error = { "" };
		int r = try_get(&held[i], event, text, &error);

		if (!r)
			continue;
		assert_int_equal(r, -EBUSY);
		assert_non_null(strstr(error.text, "the grammars of your other requests take"));
		return i;
	}
	fail_msg("there is no bound");
	return 0;
}

/* whoever has all that he may have leaves as much for the next one as he has, and so on */
static void test_room(void **state)
{
	struct llm_event event = event_of(7, 1), owed;
	struct held_grammar *held[4][128], *extra;
	unsigned int counts[4];
	size_t bytes;

	(void)state;
	grammars.max_bytes = 24 << 20;
	for (unsigned int user = 0; user < 4; user++) {
		event.domain_uid = user;
		counts[user] = fill(held[user], ARRAY_SIZE(held[user]), &event);
		assert_true(grammars.bytes <= grammars.max_bytes / 2);
	}
	bytes = held[0][0]->bytes;
	assert_in_range(counts[0] * bytes, grammars.max_bytes / 4 - bytes, grammars.max_bytes / 4);
	for (unsigned int user = 1; user < 4; user++)
		assert_in_range(counts[user], counts[user - 1] / 2 - 1, counts[user - 1] / 2 + 1);
	/* what is shared takes no room, and an answer that was begun goes on */
	extra = get(&event, large_text(0));
	assert_ptr_equal(extra, held[3][0]);
	grammars_put(&grammars, extra);
	owed = event;
	owed.journal_len = 1;
	extra = get(&owed, large_text(counts[3]));
	grammars_put(&grammars, extra);
	/* what has ended makes room */
	grammars_put(&grammars, held[0][--counts[0]]);
	grammars_put(&grammars, held[0][--counts[0]]);
	extra = get(&event, large_text(counts[3]));
	grammars_put(&grammars, extra);
	for (unsigned int user = 0; user < 4; user++)
		while (counts[user])
			grammars_put(&grammars, held[user][--counts[user]]);
	assert_int_equal(grammars.bytes, 0);
	assert_true(list_empty(&grammars.tenants));
}

/* ---- states ---- */

/* answers that can always go on */
static const char *const hard[] = {
	"root ::= [a-z ]* [aeiou] [a-z ]{12}",
	"root ::= ([a-m ]{0,9} [h-z ]{0,9} | [a-z ]{3,7})*",
	"root ::= word*\nword ::= [a-z]+ \" \" | \"(\" word* \")\" | s word\ns ::= [b-y]{1,3}",
	"root ::= (\"\\\"\" [^\"\\\\]{20,200} \"\\\"\")*",
};

static struct constraint *hold(uint32_t user, const char *text, bool rests)
{
	const struct llm_event event = event_of(7, user);
	struct constraint *c = NULL;

	assert_int_equal(constraint_new(&c, constrainer, get(&event, text), vocab, false), 0);
	constraint_rest(c, rests);
	return c;
}

static void wait_until_ready(const struct constraint *c)
{
	while (!constraint_is_ready(c))
		wait_for_news();
}

/* room for the worst of one answer, and for so many bytes of others */
static void limit(size_t others)
{
	grammars.max_bytes = grammars.bytes + gram_matcher_bytes_max(vocab) + others;
}

/* one of the tokens that may follow, the same each time; Return: it was there */
static bool say(struct constraint *c, unsigned int number, uint32_t *ret)
{
	const uint32_t *mask;
	bool can_end;
	int64_t count = constraint_mask(c, &mask, &can_end);
	int64_t left;

	if (count == -EAGAIN)
		return false;
	assert_true(count > 0);
	left = (int64_t)(number * 2654435761U % (uint64_t)count);
	for (uint32_t id = 0; id < vocab->size; id++) {
		bool is_end = false;

		if (!(mask[id / 32] >> id % 32 & 1))
			continue;
		for (size_t i = 0; i < vocab->end_count; i++)
			is_end |= vocab->ends[i] == id;
		*ret = is_end ? *ret : id;
		if (left-- <= 0 && !is_end)
			break;
	}
	assert_true(*ret != TOK_NONE);
	assert_int_equal(constraint_say(c, *ret), 0);
	return true;
}

/* answers of three users, which rest now and then */
static void run_crowd(uint32_t ids[CROWD][TOKENS], bool is_bounded)
{
	struct constraint *crowd[CROWD];
	unsigned int counts[CROWD] = { 0 }, left = CROWD;

	for (unsigned int i = 0; i < CROWD; i++)
		crowd[i] = hold(i % 3, hard[i % ARRAY_SIZE(hard)], false);
	if (is_bounded)
		limit(4 << 20);
	while (left) {
		bool any = false;

		for (unsigned int i = 0; i < CROWD; i++) {
			uint32_t *id = &ids[i][counts[i]];

			if (counts[i] == TOKENS)
				continue;
			*id = TOK_NONE;
			if (!say(crowd[i], 31 * i + counts[i], id))
				continue;
			any = true;
			if (++counts[i] % 5 == 4) {
				constraint_rest(crowd[i], true);
				constraint_rest(crowd[i], false);
			}
			left -= counts[i] == TOKENS;
			if (counts[i] == TOKENS)
				constraint_rest(crowd[i], true);
		}
		assert_true(constrainer_bytes(constrainer) <= grammars.max_bytes);
		if (!any)
			wait_for_news();
	}
	for (unsigned int i = 0; i < CROWD; i++)
		constraint_free(crowd[i]);
	assert_int_equal(constrainer_bytes(constrainer), 0);
}

/* with room for three of twelve all get on, and say what they say with room for all */
static void test_crowd(void **state)
{
	static uint32_t free_ids[CROWD][TOKENS], ids[CROWD][TOKENS];

	(void)state;
	grammars.max_bytes = 1U << 30;
	run_crowd(free_ids, false);
	run_crowd(ids, true);
	assert_memory_equal(free_ids, ids, sizeof(ids));
}

/* whoever has least gets room from whoever has most, and the youngest of his goes */
static void test_newcomer(void **state)
{
	struct constraint *crowd[6], *newcomer;
	unsigned int ready = 0;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(crowd); i++) {
		crowd[i] = hold(1, hard[0], false);
		wait_until_ready(crowd[i]);
	}
	limit(constrainer_bytes(constrainer) - grammars.bytes - 1);
	newcomer = hold(2, hard[0], false);
	wait_until_ready(newcomer);
	for (unsigned int i = 0; i < ARRAY_SIZE(crowd); i++)
		ready += constraint_is_ready(crowd[i]);
	assert_int_equal(ready, ARRAY_SIZE(crowd) - 1);
	assert_false(constraint_is_ready(crowd[5]));
	/* there is room again */
	constraint_free(crowd[0]);
	wait_until_ready(crowd[5]);
	constraint_free(newcomer);
	for (unsigned int i = 1; i < ARRAY_SIZE(crowd); i++)
		constraint_free(crowd[i]);
}

/* what rests makes way for whoever it is; what is being read does not */
static void test_rest(void **state)
{
	struct constraint *old[2], *young;
	const uint32_t *mask;
	bool can_end;

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(old); i++) {
		old[i] = hold(1, hard[0], false);
		wait_until_ready(old[i]);
	}
	assert_true(constraint_mask(old[1], &mask, &can_end) > 0);
	limit(constrainer_bytes(constrainer) - grammars.bytes - 1);
	young = hold(1, hard[1], false);
	constraint_rest(old[0], true);
	wait_until_ready(young);
	assert_false(constraint_is_ready(old[0]));
	assert_true(constraint_is_ready(old[1]));
	constraint_free(old[1]);
	constraint_rest(old[0], false);
	wait_until_ready(old[0]);
	constraint_free(young);
	constraint_free(old[0]);
}

/* who waited because somebody was just being read does not go on waiting */
static void test_read(void **state)
{
	struct constraint *oldest, *waits, *read;
	const uint32_t *mask;
	uint32_t id = TOK_NONE;
	bool can_end;

	(void)state;
	oldest = hold(1, hard[0], false);
	wait_until_ready(oldest);
	waits = hold(1, hard[0], true);
	read = hold(1, hard[0], false);
	wait_until_ready(read);
	assert_true(constraint_mask(read, &mask, &can_end) > 0);
	limit(constrainer_bytes(constrainer) - grammars.bytes - 1);
	/* it had its turn once the oldest, who comes after it, has had his */
	constraint_rest(waits, false);
	assert_true(say(oldest, 0, &id));
	wait_until_ready(oldest);
	assert_false(constraint_is_ready(waits));
	assert_true(say(read, 0, &id));
	wait_until_ready(waits);
	assert_true(constraint_is_ready(oldest));
	constraint_free(read);
	constraint_free(waits);
	constraint_free(oldest);
}

/* of states: their bytes, when they are new */
static size_t bytes_of(const char *text)
{
	struct constraint *c = hold(1, text, false);
	size_t bytes;

	wait_until_ready(c);
	bytes = constrainer_bytes(constrainer) - grammars.bytes;
	constraint_free(c);
	return bytes;
}

static const char small[] = "root ::= [a-z ]*";
static const char middle[] = "root ::= .{0,1000} \"x\" .{0,1000}";
static const char large[] = "root ::= .{0,5000} \"x\" .{0,5000}";

/* nobody makes way for those who come after him, whoever has how much: they would do so in turn */
static void test_order(void **state)
{
	struct constraint *first, *first_large, *second, *second_large;
	const size_t sizes[] = { bytes_of(small), bytes_of(middle), bytes_of(large) };
	uint32_t id = TOK_NONE;

	(void)state;
	assert_true(sizes[0] < sizes[1] && sizes[1] < sizes[2]);
	first = hold(1, middle, false);
	wait_until_ready(first);
	first_large = hold(1, large, false);
	wait_until_ready(first_large);
	second = hold(2, small, false);
	wait_until_ready(second);
	second_large = hold(2, large, true);
	limit(constrainer_bytes(constrainer) - grammars.bytes - 1);
	constraint_rest(second_large, false);
	for (unsigned int i = 0; i < 20; i++) {
		assert_true(say(second, i, &id));
		wait_until_ready(second);
		assert_true(constraint_is_ready(first));
		assert_true(constraint_is_ready(first_large));
		assert_false(constraint_is_ready(second_large));
	}
	constraint_free(first_large);
	wait_until_ready(second_large);
	assert_true(constraint_is_ready(first));
	assert_true(constraint_is_ready(second));
	constraint_free(second_large);
	constraint_free(second);
	constraint_free(first);
}

/* whoever was forgotten comes back where he can stay, and not for each token of another */
static void test_come_back(void **state)
{
	const size_t bytes = bytes_of(large);
	struct constraint *old, *young;
	uint32_t id = TOK_NONE;

	(void)state;
	old = hold(1, small, false);
	wait_until_ready(old);
	young = hold(2, large, false);
	wait_until_ready(young);
	limit(bytes - 1);
	for (unsigned int i = 0; i < 200; i++) {
		assert_true(say(old, i, &id));
		wait_until_ready(old);
		assert_false(constraint_is_ready(young));
	}
	constraint_free(old);
	wait_until_ready(young);
	constraint_free(young);
}

/* ---- all ---- */

static int setup(void **state)
{
	struct error error = { "" };

	(void)state;
	if (gguf_open(&gguf, "models/stories260K-f32.gguf", &error) < 0)
		fail_msg("%s (this runs in the repository)", error.text);
	assert_int_equal(tok_new(&tok, gguf, &error), 0);
	assert_int_equal(gram_vocab_new(&vocab, tok, tok_vocab(tok)), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	gram_vocab_unref(vocab);
	tok_free(tok);
	gguf_free(gguf);
	return 0;
}

static int begin(void **state)
{
	(void)state;
	grammars_init(&grammars, 0);
	if (constrainer_new(&constrainer, &grammars) < 0)
		return -1;
	return grammars_start(&grammars, constrainer_fd(constrainer));
}

static int end(void **state)
{
	(void)state;
	grammars_done(&grammars);
	constrainer_free(constrainer);
	return list_empty(&grammars.tenants) ? 0 : -1;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, begin, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_shared), TEST(test_room), TEST(test_crowd), TEST(test_newcomer),
		TEST(test_rest), TEST(test_read), TEST(test_order),
		TEST(test_come_back),
	};

	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests_name("constrain", tests, setup, teardown);
}
