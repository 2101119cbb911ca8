/* SPDX-License-Identifier: MIT */
/*
 * What tests of the scheduler begin and end with: an empty folder for models, the small engine with
 * nothing counted yet, a broker that serves nobody so far, and afterwards a look at what was left;
 * beside that what several of them ask, and look for in answers.
 */
#ifndef TESTS_SCHED_FIXTURE_H
#define TESTS_SCHED_FIXTURE_H

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <setjmp.h>
#include <cmocka.h>

#include "sched_broker.h"
#include "sched_engine.h"

extern const char *folder;
extern struct test_broker broker;
extern struct sched_config config;

/** fixture_begin() - @config serves the model @name ("": whichever is there) out of @folder */
void fixture_begin(const char *name);
/** fixture_small() - the same with four slots and 20 tokens a step, as most tests need to see turns */
void fixture_small(const char *name);
/** fixture_guess() - texts repeat themselves from now on, and are guessed ahead */
void fixture_guess(void);
/**
 * fixture_end() - a teardown; everything in sched_engine.h is as at first
 *
 * Return: 0; -1: a promise was broken, or a sequence, a page, an adapter or a charge is left.
 */
int fixture_end(void **state);
/** serve() - with @config, after writing @text to the model a.gguf */
void serve(const char *text);

/** ask_model() - a request for @tokens of a model, which does not end before */
struct test_request *ask_model(const char *model, const char *text, unsigned int tokens);
/** answered() - it ended well, with all of its tokens */
void answered(const struct test_request *request);
/** assert_error() - it ended with that status and one line about it, in which is @part */
void assert_error(const struct test_request *request, int status, const char *part);
/** assert_same_output() - both answered the same, and something */
void assert_same_output(const struct test_request *a, const struct test_request *b);
/** failed() - it ended, with that status */
void failed(const struct test_request *request, int status);
/** fixture_turns() - all that can be done without news from the threads of the scheduler */
void fixture_turns(void);
/** fixture_hear() - wait for news from one of them, and tell the scheduler */
void fixture_hear(void);
/** fixture_loaded() - as the status tells it */
unsigned int fixture_loaded(void);
/** put_option() - behind @at bytes of a payload; Return: its length with that */
size_t put_option(uint8_t *payload, size_t at, enum llm_option_type type, const void *data,
		  size_t len);

/**
 * record_at() - the index'th record of a type
 *
 * Return: its body, and how long that is; NULL: there are not so many.
 */
const uint8_t *record_at(const struct test_request *request, unsigned int type, size_t index,
			 size_t *ret_len);
/** record_count() - records of a type */
size_t record_count(const struct test_request *request, unsigned int type);

#endif /* TESTS_SCHED_FIXTURE_H */
