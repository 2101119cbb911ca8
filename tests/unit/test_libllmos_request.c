/* SPDX-License-Identifier: MIT */
/*
 * Requests over the socket: blocking, by callback, asynchronous, pulled; their cancel and their
 * end; what callbacks may do.
 */
#include <errno.h>
#include <math.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>
#include <cmocka.h>

#include "fake_llm.h"
#include "llmos.h"

static struct frames frames;

/** struct heard - what callbacks were told */
struct heard {
	char text[64 * 1024];
	size_t len;
	unsigned int texts;
	unsigned int tokens;
	unsigned int ends;
	int status;
	unsigned int cancel_at;		/* on_text refuses this one */
	unsigned int free_at;		/* on_text frees the request at this one */
	bool free_at_end;		/* on_end does */
	bool broken;			/* a piece that was no whole character */
	struct llmos *llmos;
	struct llmos_request *request;
	int nested;			/* what a call that waits said inside a callback */
};

static int on_text(void *userdata, const char *text, size_t len)
{
	struct heard *heard = userdata;

	assert_true(len && heard->len + len < sizeof(heard->text));
	if (((unsigned char)text[0] & 0xc0) == 0x80)
		heard->broken = true;
	memcpy(heard->text + heard->len, text, len);
	heard->len += len;
	heard->texts++;
	if (heard->llmos)
		heard->nested = llmos_dispatch(heard->llmos, 0);
	if (heard->texts == heard->free_at)
		llmos_request_free(heard->request);
	return heard->texts == heard->cancel_at;
}

static int on_token(void *userdata, const struct llmos_token *token)
{
	struct heard *heard = userdata;

	heard->tokens++;
	assert_int_equal(token->id, 40 + heard->tokens);
	assert_int_equal(token->top_count, heard->tokens == 1 ? 2 : 0);
	return 0;
}

static void on_end(void *userdata, struct llmos_request *request, int status)
{
	struct heard *heard = userdata;

	assert_true(llmos_request_done(request));
	heard->ends++;
	heard->status = status;
	if (heard->free_at_end)
		llmos_request_free(request);
}

static struct llmos_generate_opts hearing(struct heard *heard)
{
	return (struct llmos_generate_opts){
		.size = sizeof(struct llmos_generate_opts),
		.on_text = on_text,
		.on_end = on_end,
		.userdata = heard,
	};
}

/** struct fixture - a server that answers with frames, and a connection */
struct fixture {
	struct fake *fake;
	struct llmos *llmos;
	struct heard heard;
};

static int setup(void **state)
{
	struct fixture *fixture = calloc(1, sizeof(*fixture));

	assert_non_null(fixture);
	frames.len = 0;
	fixture->fake = fake_new();
	*state = fixture;
	return 0;
}

static void connect_to(struct fixture *fixture)
{
	fixture->fake->answer = frames.bytes;
	fixture->fake->answer_len = frames.len;
	fake_listen(fixture->fake);
	assert_int_equal(llmos_open(&fixture->llmos, fake_address(fixture->fake)), 0);
}

static int teardown(void **state)
{
	struct fixture *fixture = *state;

	llmos_free(fixture->llmos);
	fake_free(fixture->fake);
	free(fixture);
	return 0;
}

/* ---- blocking ---- */

static void test_ask(void **state)
{
	struct fixture *f = *state;
	char *answer;

	frames_text(&frames, "Hello");
	frames_text(&frames, ", world");
	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, &answer, "hi", 2, NULL), 0);
	assert_string_equal(answer, "Hello, world");
	free(answer);
	assert_int_equal(f->fake->submit.op, LLM_OP_GENERATE);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_TEXT);
	assert_int_equal(f->fake->submit.flags, LLM_SUBMIT_RECORDS);
	assert_memory_equal(f->fake->payload, "hi", 2);
	assert_string_equal(llmos_transport(f->llmos), "socket");
	assert_string_equal(llmos_address(f->llmos), fake_address(f->fake));
}

static void test_ask_empty_answer(void **state)
{
	struct fixture *f = *state;
	char *answer;

	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, &answer, "", 0, NULL), 0);
	assert_string_equal(answer, "");
	free(answer);
}

/* any number of bytes a READ, any number a send */
static void test_ask_in_pieces(void **state)
{
	struct fixture *f = *state;
	static const size_t sizes[] = { 1, 2, 3, 7, 8, 9, 31, 0 };
	size_t i;

	for (i = 0; i < 50; i++)
		frames_text(&frames, "a\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80");
	f->fake->piece = 1;
	connect_to(f);
	for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		struct llmos_generate_opts opts = hearing(&f->heard);
		char *answer;

		memset(&f->heard, 0, sizeof(f->heard));
		f->fake->chunk = sizes[i];
		f->fake->piece = i % 3 ? sizes[i] : 0;
		assert_int_equal(llmos_ask(f->llmos, &answer, "x", 1, &opts), 0);
		assert_int_equal(strlen(answer), 500);
		assert_int_equal(f->heard.len, 500);
		assert_memory_equal(answer, f->heard.text, 500);
		assert_false(f->heard.broken);
		assert_int_equal(f->heard.ends, 1);
		free(answer);
	}
}

/* a tail that never becomes a character is handed out all the same, at the end */
static void test_ask_cut_character(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);

	frames_text(&frames, "a\xf0\x9f");
	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), 0);
	assert_int_equal(f->heard.len, 3);
	assert_memory_equal(f->heard.text, "a\xf0\x9f", 3);
	assert_int_equal(f->heard.texts, 2);
}

static void test_ask_fails(void **state)
{
	struct fixture *f = *state;
	char *answer = (char *)"untouched";

	frames_text(&frames, "so far");
	frames_add(&frames, LLM_RECORD_ERROR, "model\x1b 'x'\nhas no weights", 25);
	f->fake->status = -EIO;
	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, &answer, "x", 1, NULL), -EIO);
	assert_string_equal(answer, "untouched");
	assert_string_equal(llmos_error(f->llmos),
			    "model  'x' has no weights: Input/output error");
}

static void test_ask_refused(void **state)
{
	struct fixture *f = *state;

	f->fake->submit_result = -EBUSY;
	connect_to(f);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, NULL), -EBUSY);
	assert_non_null(strstr(llmos_error(f->llmos), "busy"));
}

/* ---- several answers ---- */

static void test_choices(void **state)
{
	struct llmos_generate_opts opts = {
		.size = sizeof(opts),
		.temperature = 1,
		.seed = UINT64_MAX,
	};
	struct fixture *f = *state;
	struct llmos_choices *choices = NULL;
	size_t i;

	frames_token(&frames, 41, -1500000, "Hel", 3, NULL, 0);
	frames_token(&frames, 42, -500000, "lo", 2, NULL, 0);
	frames_text(&frames, "Hello");
	connect_to(f);
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 40, 0, &opts), 0);
	assert_int_equal(choices->count, 40);
	for (i = 0; i < 40; i++) {
		assert_string_equal(choices->choices[i].text, "Hello");
		assert_int_equal(choices->choices[i].len, 5);
		assert_int_equal(choices->choices[i].tokens, 2);
		assert_true(fabs(choices->choices[i].logprob + 2) < 1e-9);
		assert_int_equal(choices->choices[i].finish, LLMOS_FINISH_STOP);
	}
	/* 0 would be the server's to choose: it is left out */
	assert_int_equal(f->fake->submit.sampling.seed, 39);
	llmos_choices_free(choices);
	llmos_choices_free(NULL);
	/* greedy ones would all be the same, but one is no several */
	opts.temperature = 0;
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 1, 0, &opts), 0);
	assert_int_equal(choices->count, 1);
	llmos_choices_free(choices);
}

static void test_choices_bad(void **state)
{
	struct llmos_generate_opts opts = { .size = sizeof(opts), .temperature = 1 };
	const struct llmos_message message = { LLMOS_USER, "hi" };
	struct fixture *f = *state;
	struct llmos_choices *choices = NULL;

	f->fake->status = -EIO;
	connect_to(f);
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 0, 0, &opts), -EINVAL);
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 3, 2, &opts), -EINVAL);
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 1, 129, &opts), -EINVAL);
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 2, 0, NULL), -EINVAL);
	assert_non_null(strstr(llmos_error(f->llmos), "temperature"));
	assert_int_equal(llmos_chat_choices(f->llmos, &choices, NULL, 0, 2, 0, &opts), -EINVAL);
	opts.on_text = on_text;
	opts.userdata = &f->heard;
	assert_int_equal(llmos_ask_choices(f->llmos, &choices, "hi", 2, 2, 0, &opts), -EINVAL);
	opts.on_text = NULL;
	assert_int_equal(llmos_chat_choices(f->llmos, &choices, &message, 1, 2, 3, &opts), -EIO);
	assert_null(choices);
}

static void test_tokens(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	const struct llm_alternative top[] = { { 1, -5 }, { 2, -6 }, { 3, -7 } };

	frames_token(&frames, 41, -100, "a", 1, top, 3);
	frames_text(&frames, "a");
	frames_token(&frames, 42, -100, "b", 1, NULL, 0);
	frames_text(&frames, "b");
	connect_to(f);
	opts.on_token = on_token;
	opts.top_logprobs = 2;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), 0);
	assert_int_equal(f->heard.tokens, 2);
	assert_int_equal(f->fake->submit.sampling.top_logprobs, 2);
}

static void test_ask_interrupted(void **state);

/* ---- callbacks ---- */

static void test_callback_cancels(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	unsigned int i;

	for (i = 0; i < 20; i++)
		frames_text(&frames, "again and ");
	f->fake->endless = true;
	f->fake->chunk = 18;
	connect_to(f);
	f->heard.cancel_at = 3;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -ECANCELED);
	assert_int_equal(f->heard.texts, 3);
	assert_int_equal(f->heard.ends, 1);
	assert_int_equal(f->heard.status, -ECANCELED);
	assert_int_equal(f->fake->cancels, 1);
}

/* refusing the last piece of an answer that is complete is a cancel too */
static void test_callback_cancels_last(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);

	frames_text(&frames, "one");
	frames_text(&frames, "two");
	connect_to(f);
	f->heard.cancel_at = 1;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), -ECANCELED);
	assert_int_equal(f->heard.texts, 1);
}

static void test_callback_must_not_wait(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);

	frames_text(&frames, "x");
	connect_to(f);
	f->heard.llmos = f->llmos;
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, &opts), 0);
	assert_int_equal(f->heard.nested, -EDEADLK);
}

static void drive(struct llmos *llmos, const bool *until)
{
	while (!*until)
		assert_true(llmos_dispatch(llmos, 1000) >= 0);
}

static void test_callback_frees(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	char *answer;

	frames_text(&frames, "piece ");
	f->fake->endless = true;
	connect_to(f);
	f->heard.free_at = 2;
	assert_int_equal(llmos_ask_start(f->llmos, &f->heard.request, "x", 1, &opts), 0);
	while (f->heard.texts < 2)
		assert_true(llmos_dispatch(f->llmos, 1000) >= 0);
	/* nothing is under way any more */
	while (llmos_dispatch(f->llmos, 100) > 0)
		;
	assert_int_equal(f->heard.texts, 2);
	assert_int_equal(f->heard.ends, 0);
	/* and the connection is as good as before */
	f->fake->endless = false;
	assert_int_equal(llmos_ask(f->llmos, &answer, "x", 1, NULL), 0);
	assert_string_equal(answer, "piece ");
	assert_int_equal(f->fake->forgets, 1);
	free(answer);
}

static void test_end_frees(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	bool ended = false;

	frames_text(&frames, "piece");
	connect_to(f);
	f->heard.free_at_end = true;
	assert_int_equal(llmos_ask_start(f->llmos, &f->heard.request, "x", 1, &opts), 0);
	while (!ended) {
		assert_true(llmos_dispatch(f->llmos, 1000) >= 0);
		ended = f->heard.ends;
	}
	drive(f->llmos, &ended);
	assert_int_equal(f->heard.texts, 1);
}

/* ---- asynchronous ---- */

/* many at once, driven by poll() on the descriptor alone */
static void test_poll(void **state)
{
	struct fixture *f = *state;
	static struct heard heard[FAKE_REQUESTS_MAX];
	struct llmos_request *requests[FAKE_REQUESTS_MAX];
	struct pollfd fd = { .events = POLLIN };
	unsigned int i, ended = 0;

	for (i = 0; i < 30; i++)
		frames_text(&frames, "some text of the answer ");
	f->fake->chunk = 100;
	connect_to(f);
	memset(heard, 0, sizeof(heard));
	fd.fd = llmos_fd(f->llmos);
	assert_true(fd.fd >= 0);
	for (i = 0; i < FAKE_REQUESTS_MAX; i++) {
		struct llmos_generate_opts opts = hearing(&heard[i]);

		assert_int_equal(llmos_ask_start(f->llmos, &requests[i], "question", 8, &opts), 0);
	}
	while (ended < FAKE_REQUESTS_MAX) {
		assert_int_equal(poll(&fd, 1, 60000), 1);
		assert_true(llmos_dispatch(f->llmos, 0) >= 0);
		for (ended = i = 0; i < FAKE_REQUESTS_MAX; i++)
			ended += heard[i].ends;
	}
	for (i = 0; i < FAKE_REQUESTS_MAX; i++) {
		struct llmos_usage usage = { .size = sizeof(usage) };

		assert_int_equal(heard[i].status, 0);
		assert_int_equal(heard[i].len, 30 * 24);
		assert_int_equal(llmos_request_finish(requests[i]), LLMOS_FINISH_STOP);
		assert_int_equal(llmos_request_usage(requests[i], &usage), 0);
		assert_int_equal(usage.prompt_tokens, 7);
		assert_int_equal(usage.submit_ns, 1000);
		assert_int_equal(usage.end_ns, 3000);
		assert_true(llmos_request_id(requests[i]) > 0);
		llmos_request_free(requests[i]);
	}
}

/* prompts larger than what the socket takes at once: room to send is work too */
static void test_poll_large_prompts(void **state)
{
	struct fixture *f = *state;
	static char prompt[FAKE_PAYLOAD_MAX];
	static struct heard heard[4];
	struct llmos_request *requests[4];
	struct pollfd fd = { .events = POLLIN };
	unsigned int i, ended = 0;

	frames_text(&frames, "ok");
	connect_to(f);
	memset(prompt, 'p', sizeof(prompt));
	memset(heard, 0, sizeof(heard));
	fd.fd = llmos_fd(f->llmos);
	for (i = 0; i < 4; i++) {
		struct llmos_generate_opts opts = hearing(&heard[i]);

		assert_int_equal(llmos_ask_start(f->llmos, &requests[i], prompt, sizeof(prompt),
						 &opts), 0);
	}
	while (ended < 4) {
		assert_int_equal(poll(&fd, 1, 60000), 1);
		assert_true(llmos_dispatch(f->llmos, 0) >= 0);
		for (ended = i = 0; i < 4; i++)
			ended += heard[i].ends;
	}
	for (i = 0; i < 4; i++) {
		assert_int_equal(heard[i].status, 0);
		llmos_request_free(requests[i]);
	}
}

static void test_dispatch_times_out(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	struct llmos_request *request;
	int i;

	f->fake->hold = true;
	connect_to(f);
	/* nothing under way: nothing to wait for */
	assert_int_equal(llmos_dispatch(f->llmos, -1), 0);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, &opts), 0);
	/* the answer to SUBMIT comes, that to READ does not */
	for (i = 0; i < 3; i++)
		assert_int_equal(llmos_dispatch(f->llmos, 50), 0);
	assert_false(llmos_request_done(request));
	assert_int_equal(llmos_request_cancel(request), 0);
	assert_int_equal(llmos_request_wait(request), -ECANCELED);
	assert_int_equal(f->heard.ends, 1);
	assert_int_equal(f->heard.status, -ECANCELED);
	llmos_request_free(request);
}

/* cancelled before its number is known */
static void test_cancel_at_once(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	struct llmos_request *request;

	f->fake->hold = true;
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, &opts), 0);
	assert_int_equal(llmos_request_id(request), 0);
	assert_int_equal(llmos_request_cancel(request), 0);
	assert_int_equal(llmos_request_wait(request), -ECANCELED);
	assert_int_equal(llmos_request_cancel(request), 0);
	llmos_request_free(request);
	assert_int_equal(f->fake->cancels, 1);
}

/* freed before its number is known: the server must hear of it all the same */
static void test_free_at_once(void **state)
{
	struct fixture *f = *state;
	struct llmos_request *request;

	frames_text(&frames, "x");
	f->fake->hold = true;
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, NULL), 0);
	llmos_request_free(request);
	while (!f->fake->forgets)
		assert_true(llmos_dispatch(f->llmos, 100) >= 0);
	assert_int_equal(llmos_dispatch(f->llmos, 50), 0);
}

static void test_free_while_reading(void **state)
{
	struct fixture *f = *state;
	struct llmos_request *request;
	char *answer;

	frames_text(&frames, "x");
	f->fake->hold = true;
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, NULL), 0);
	while (!llmos_request_id(request))
		assert_true(llmos_dispatch(f->llmos, 100) >= 0);
	llmos_request_free(request);
	/* what the server still says about it must find nobody, and hurt nobody */
	while (llmos_dispatch(f->llmos, 100) > 0)
		;
	f->fake->hold = false;
	assert_int_equal(llmos_ask(f->llmos, &answer, "x", 1, NULL), 0);
	free(answer);
	assert_int_equal(f->fake->forgets, 1);
}

/* ---- pulled ---- */

static void test_pull(void **state)
{
	struct fixture *f = *state;
	struct llmos_request *request;
	char buf[7], all[4096];
	size_t len = 0;
	ssize_t n;
	int i;

	for (i = 0; i < 100; i++)
		frames_text(&frames, "0123456789");
	f->fake->chunk = 50;
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, NULL), 0);
	while ((n = llmos_request_read(request, buf, sizeof(buf))) > 0) {
		memcpy(all + len, buf, n);
		len += n;
	}
	assert_int_equal(n, 0);
	assert_int_equal(len, 1000);
	assert_memory_equal(all + 990, "0123456789", 10);
	assert_int_equal(llmos_request_read(request, buf, sizeof(buf)), 0);
	llmos_request_free(request);
}

/* an answer that nobody reads is not asked on for; who waits for its end gets all of it */
static void test_pull_bounded(void **state)
{
	struct fixture *f = *state;
	struct llmos_request *request;
	static char text[60 * 1024];
	int i;

	memset(text, 'x', sizeof(text) - 1);
	for (i = 0; i < 4; i++)
		frames_text(&frames, text);
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, NULL), 0);
	for (i = 0; i < 200; i++)
		assert_int_equal(llmos_dispatch(f->llmos, 20), 0);
	assert_false(llmos_request_done(request));
	assert_int_equal(llmos_request_wait(request), 0);
	for (i = 0; i < 4; i++)
		assert_int_equal(llmos_request_read(request, text, sizeof(text) - 1),
				 sizeof(text) - 1);
	assert_int_equal(llmos_request_read(request, text, sizeof(text)), 0);
	llmos_request_free(request);
}

static void test_pull_fails(void **state)
{
	struct fixture *f = *state;
	struct llmos_request *request;
	char buf[64];

	frames_text(&frames, "half");
	f->fake->status = -ECONNRESET;
	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, NULL), 0);
	assert_int_equal(llmos_request_read(request, buf, sizeof(buf)), 4);
	assert_int_equal(llmos_request_read(request, buf, sizeof(buf)), -ECONNRESET);
	llmos_request_free(request);
}

static void test_pull_with_callback(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = hearing(&f->heard);
	struct llmos_request *request;
	char buf[64];

	connect_to(f);
	assert_int_equal(llmos_ask_start(f->llmos, &request, "x", 1, &opts), 0);
	assert_int_equal(llmos_request_read(request, buf, sizeof(buf)), -EINVAL);
	llmos_request_free(request);
}

/* ---- conversations ---- */

static void test_chat(void **state)
{
	struct fixture *f = *state;
	const struct llmos_message messages[] = {
		{ LLMOS_SYSTEM, "Be brief." },
		{ LLMOS_USER, "" },
		{ LLMOS_ASSISTANT, "ok" },
	};
	const uint32_t want[] = { LLM_ROLE_SYSTEM, 9 };
	char *answer;

	frames_text(&frames, "yes");
	connect_to(f);
	assert_int_equal(llmos_chat(f->llmos, &answer, messages, 3, NULL), 0);
	assert_string_equal(answer, "yes");
	free(answer);
	assert_int_equal(f->fake->submit.payload_type, LLM_PAYLOAD_CHAT);
	assert_int_equal(f->fake->submit.payload_len, 3 * sizeof(struct llm_message) + 11);
	assert_memory_equal(f->fake->payload, want, sizeof(want));
	assert_memory_equal(f->fake->payload + 8, "Be brief.", 9);
	assert_memory_equal(f->fake->payload + 8 + 9 + 8 + 8, "ok", 2);
}

static void test_chat_bad(void **state)
{
	struct fixture *f = *state;
	struct llmos_generate_opts opts = { .size = sizeof(opts), .raw = true };
	struct llmos_message message = { LLMOS_USER, "x" };
	struct llmos_request *request;

	connect_to(f);
	assert_int_equal(llmos_chat(f->llmos, NULL, &message, 0, NULL), -EINVAL);
	assert_int_equal(llmos_chat(f->llmos, NULL, &message, 1, &opts), -EINVAL);
	assert_int_equal(llmos_chat_start(f->llmos, &request, &message, 1, &opts), -EINVAL);
	message.role = (enum llmos_role)3;
	assert_int_equal(llmos_chat(f->llmos, NULL, &message, 1, NULL), -EINVAL);
	message.role = LLMOS_USER;
	message.text = NULL;
	assert_int_equal(llmos_chat(f->llmos, NULL, &message, 1, NULL), -EINVAL);
}

/* ---- signals ---- */

static void on_alarm(int signal)
{
	(void)signal;
}

static void test_ask_interrupted(void **state)
{
	struct fixture *f = *state;
	struct sigaction action = { .sa_handler = on_alarm }, before;
	struct itimerval every = { { 0, 20000 }, { 0, 20000 } }, never = { { 0, 0 }, { 0, 0 } };

	f->fake->hold = true;
	connect_to(f);
	sigaction(SIGALRM, &action, &before);
	setitimer(ITIMER_REAL, &every, NULL);
	assert_int_equal(llmos_ask(f->llmos, NULL, "x", 1, NULL), -EINTR);
	setitimer(ITIMER_REAL, &never, NULL);
	sigaction(SIGALRM, &before, NULL);
	/* the server was told, and the connection goes on */
	while (llmos_dispatch(f->llmos, 200) > 0)
		;
	f->fake->hold = false;
	assert_int_equal(llmos_nop(f->llmos), 0);
	assert_int_equal(f->fake->forgets, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_ask),
		TEST(test_ask_empty_answer),
		TEST(test_ask_in_pieces),
		TEST(test_ask_cut_character),
		TEST(test_ask_fails),
		TEST(test_ask_refused),
		TEST(test_choices), TEST(test_choices_bad), TEST(test_tokens),
		TEST(test_callback_cancels),
		TEST(test_callback_cancels_last),
		TEST(test_callback_must_not_wait),
		TEST(test_callback_frees),
		TEST(test_end_frees),
		TEST(test_poll),
		TEST(test_poll_large_prompts),
		TEST(test_dispatch_times_out),
		TEST(test_cancel_at_once),
		TEST(test_free_at_once),
		TEST(test_free_while_reading),
		TEST(test_pull),
		TEST(test_pull_bounded),
		TEST(test_pull_fails),
		TEST(test_pull_with_callback),
		TEST(test_chat),
		TEST(test_chat_bad),
		TEST(test_ask_interrupted),
	};

	/* a hang is a failure */
	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
