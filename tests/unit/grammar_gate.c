/* SPDX-License-Identifier: MIT */
/* A compiler that waits for the test; see grammar_gate.h. */
#include "grammar_gate.h"

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

#include "grammar/grammar.h"

#define TEXTS_MAX	256

/* the lock protects all of it */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static bool is_closed;
static char begun[TEXTS_MAX + 1];
static size_t begun_count;
static bool passes[128];

static void stand_before(char letter)
{
	pthread_mutex_lock(&lock);
	if (begun_count < TEXTS_MAX)
		begun[begun_count++] = letter;
	pthread_cond_broadcast(&changed);
	while (is_closed && !passes[letter & 127])
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
}

int gram_new_gbnf(struct grammar **ret, const char *text, size_t len, struct error *error)
{
	const char letter = len ? *text : '\0';

	stand_before(letter);
	if (letter >= 'A' && letter <= 'Z')
		return error_set(error, -EINVAL, GRAMMAR_GATE_WHY);
	return gram_new_json(ret, error);
}

void grammar_gate_close(void)
{
	pthread_mutex_lock(&lock);
	is_closed = true;
	memset(begun, 0, sizeof(begun));
	memset(passes, 0, sizeof(passes));
	begun_count = 0;
	pthread_mutex_unlock(&lock);
}

void grammar_gate_pass(char letter)
{
	pthread_mutex_lock(&lock);
	passes[letter & 127] = true;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

void grammar_gate_open(void)
{
	pthread_mutex_lock(&lock);
	is_closed = false;
	pthread_cond_broadcast(&changed);
	pthread_mutex_unlock(&lock);
}

const char *grammar_gate_wait(unsigned int count)
{
	pthread_mutex_lock(&lock);
	while (begun_count < count)
		pthread_cond_wait(&changed, &lock);
	pthread_mutex_unlock(&lock);
	return grammar_gate_begun();
}

const char *grammar_gate_begun(void)
{
	static char copy[TEXTS_MAX + 1];

	pthread_mutex_lock(&lock);
	memcpy(copy, begun, sizeof(copy));
	pthread_mutex_unlock(&lock);
	return copy;
}
