// SPDX-License-Identifier: MIT
/*
 * Registered buffers from a client's side: a prompt in one is answered as if it had been sent, from
 * any place in it, from memory and from a memfd, also from the middle of one of 64 MiB; a prompt that
 * can not fit into the context is refused without being read; log-probabilities written into a
 * buffer are those of the records; and a buffer can be taken back once its requests have ended.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "lib/e2e.h"
#include "lib/tap.h"

#define LARGE		(64UL << 20)
#define BYTES		(256UL << 10)

static const char prompt[] = "Once upon a time, there was a little girl";
static char plain[4096];

static void *map(size_t len, int fd)
{
	void *p = mmap(NULL, len, PROT_READ | PROT_WRITE,
		       fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_SHARED, fd, 0);

	if (p == MAP_FAILED)
		tap_bail("mmap of %zu bytes: %s", len, strerror(errno));
	return p;
}

static int ask(struct llmos *llmos, const char *text, size_t len, uint64_t buffer, uint64_t offset,
	       char *ret, size_t size)
{
	const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .max_tokens = 40, .ignore_eos = true,
		.buffer = buffer, .buffer_offset = offset,
	};
	char *answer = NULL;
	int r = llmos_ask(llmos, &answer, text, len, &opts);

	snprintf(ret, size, "%s", answer ? answer : "");
	free(answer);
	return r;
}

static void same(struct llmos *llmos, uint64_t buffer, uint64_t offset, const char *what)
{
	char got[sizeof(plain)];
	int r = ask(llmos, NULL, strlen(prompt), buffer, offset, got, sizeof(got));

	tap_ok(r == 0 && !strcmp(got, plain), "a prompt %s is answered as if it was sent (%s)", what,
	       r ? llmos_error(llmos) : "ok");
}

static void unregister(struct llmos *llmos, uint64_t buffer)
{
	int r = llmos_buffer_unregister(llmos, buffer);

	tap_ok(r == 0, "the buffer can be taken back (%s)", r ? llmos_error(llmos) : "ok");
}

static void try_memory(struct llmos *llmos)
{
	char *memory = map(BYTES, -1);
	uint64_t buffer;
	int r;

	memcpy(memory, prompt, strlen(prompt));
	memcpy(memory + 4090, prompt, strlen(prompt));
	memcpy(memory + BYTES - strlen(prompt), prompt, strlen(prompt));
	r = llmos_buffer_register(llmos, &buffer, memory, BYTES, NULL);
	if (r < 0)
		tap_bail("%s", llmos_error(llmos));
	same(llmos, buffer, 0, "at the start of a buffer");
	same(llmos, buffer, 4090, "across two of its pages");
	same(llmos, buffer, BYTES - strlen(prompt), "at its very end");
	unregister(llmos, buffer);
	munmap(memory, BYTES);
}

static void try_memfd(struct llmos *llmos)
{
	int fd = memfd_create("prompt", MFD_CLOEXEC);
	uint64_t buffer;
	char *memory;

	if (fd < 0 || ftruncate(fd, BYTES) < 0)
		tap_bail("memfd: %s", strerror(errno));
	memory = map(BYTES, fd);
	memcpy(memory + 8192 + 77, prompt, strlen(prompt));
	if (llmos_buffer_register(llmos, &buffer, NULL, 8192,
				  LLMOS_OPTS(llmos_buffer_opts, .memfd = true, .fd = fd,
					     .offset = 8192)) < 0)
		tap_bail("%s", llmos_error(llmos));
	/* its pages stay, whatever becomes of the file */
	if (ftruncate(fd, 0) < 0)
		tap_bail("ftruncate: %s", strerror(errno));
	same(llmos, buffer, 77, "in a part of a memfd that was truncated");
	unregister(llmos, buffer);
	munmap(memory, BYTES);
	close(fd);
}

/* pages that the daemon has touched for the first time */
static unsigned long daemon_faults(void)
{
	unsigned long faults = 0;
	char path[64], line[1024];
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%u/stat",
		 (unsigned int)e2e_number("LLMOS_DAEMON_PID", 0));
	file = fopen(path, "re");
	/* its name has no bracket or space */
	if (!file || !fgets(line, sizeof(line), file) ||
	    sscanf(line, "%*s %*s %*s %*s %*s %*s %*s %*s %*s %lu", &faults) != 1)
		tap_bail("page faults of the daemon: %s", path);
	fclose(file);
	return faults;
}

static void try_large(struct llmos *llmos)
{
	const unsigned long pages = LARGE / (unsigned long)sysconf(_SC_PAGESIZE);
	char *memory = map(LARGE, -1), got[64];
	unsigned long faults;
	uint64_t buffer;
	int r;

	memset(memory, 'a', LARGE);
	memcpy(memory + LARGE / 2 + 13, prompt, strlen(prompt));
	if (llmos_buffer_register(llmos, &buffer, memory, LARGE, NULL) < 0)
		tap_bail("64 MiB: %s", llmos_error(llmos));
	same(llmos, buffer, LARGE / 2 + 13, "in the middle of 64 MiB");
	faults = daemon_faults();
	r = ask(llmos, NULL, LARGE, buffer, 0, got, sizeof(got));
	tap_ok(r == -E2BIG, "a prompt of 64 MiB is too long: %s", llmos_error(llmos));
	faults = daemon_faults() - faults;
	tap_ok(faults < pages / 16, "the daemon touched %lu pages to say so, of %lu", faults, pages);
	r = ask(llmos, NULL, 4000, buffer, 0, got, sizeof(got));
	tap_ok(r == -E2BIG, "one of 4000 bytes as well: %s", llmos_error(llmos));
	unregister(llmos, buffer);
	munmap(memory, LARGE);
}

/* records and buffer of the same text */
static void try_scores(struct llmos *llmos)
{
	struct llmos_tokens *records = NULL, *both = NULL, *none = NULL;
	char *memory = map(BYTES, -1);
	const int32_t *scores = (const int32_t *)(memory + 12);
	size_t count = 0, i, wrong = 0;
	uint64_t buffer;
	int r;

	memset(memory, 0xee, BYTES);
	if (llmos_buffer_register(llmos, &buffer, memory, BYTES,
				  LLMOS_OPTS(llmos_buffer_opts, .write = true)) < 0 ||
	    llmos_score(llmos, &records, prompt, strlen(prompt), NULL) < 0)
		tap_bail("%s", llmos_error(llmos));
	r = llmos_score(llmos, &none, prompt, strlen(prompt),
			LLMOS_OPTS(llmos_score_opts, .scores = buffer, .scores_offset = 12,
				   .scores_len = BYTES - 12, .ret_scores = &count));
	tap_ok(r == 0 && count == records->count && none->count == 0,
	       "%zu log-probabilities in a buffer, and no records (%s)", count,
	       r ? llmos_error(llmos) : "ok");
	for (i = 0; i < count && i < records->count; i++)
		wrong += i ? fabs(records->tokens[i].logprob - scores[i] / 1e6) > 1e-9 :
			     scores[i] != INT32_MIN;
	tap_ok(!wrong && count, "they are those of the records (%zu are not)", wrong);
	tap_ok((uint32_t)scores[count] == 0xeeeeeeee, "nothing is written behind them");
	r = llmos_score(llmos, &both, prompt, strlen(prompt),
			LLMOS_OPTS(llmos_score_opts, .scores = buffer, .scores_len = BYTES,
				   .top_logprobs = 2));
	tap_ok(r == 0 && both->count == count, "with alternatives there are records beside");
	llmos_tokens_free(none);
	none = NULL;
	r = llmos_score(llmos, &none, prompt, strlen(prompt),
			LLMOS_OPTS(llmos_score_opts, .scores = buffer, .scores_len = count * 4 - 1));
	tap_ok(r == -E2BIG, "a buffer that is too small: %s", llmos_error(llmos));
	unregister(llmos, buffer);
	llmos_tokens_free(records);
	llmos_tokens_free(both);
	munmap(memory, BYTES);
}

/*
 * As long as a request uses it, a buffer stays. The daemon stands still until that was looked at,
 * so that the request has not ended before.
 */
static void try_busy(struct llmos *llmos)
{
	const pid_t pid = e2e_number("LLMOS_DAEMON_PID", 0);
	char *memory = map(BYTES, -1);
	struct llmos_request *request;
	uint64_t buffer;
	int r;

	memcpy(memory, prompt, strlen(prompt));
	if (pid <= 0 || kill(pid, SIGSTOP) < 0)
		tap_bail("the daemon is %d", (int)pid);
	if (llmos_buffer_register(llmos, &buffer, memory, BYTES, NULL) < 0 ||
	    llmos_ask_start(llmos, &request, NULL, strlen(prompt),
			    LLMOS_OPTS(llmos_generate_opts, .raw = true, .buffer = buffer,
				       .max_tokens = 400, .ignore_eos = true)) < 0)
		tap_bail("%s", llmos_error(llmos));
	r = llmos_buffer_unregister(llmos, buffer);
	tap_ok(r == -EBUSY, "a buffer in use can not be taken back (%d)", r);
	kill(pid, SIGCONT);
	r = llmos_request_wait(request);
	tap_ok(r == 0, "its request ends well (%s)", r ? llmos_error(llmos) : "ok");
	llmos_request_free(request);
	unregister(llmos, buffer);
	munmap(memory, BYTES);
}

int main(void)
{
	struct llmos *llmos = e2e_open();
	int r = ask(llmos, prompt, strlen(prompt), 0, 0, plain, sizeof(plain));

	if (r < 0)
		tap_bail("%s", llmos_error(llmos));
	try_memory(llmos);
	try_memfd(llmos);
	try_large(llmos);
	try_scores(llmos);
	try_busy(llmos);
	llmos_free(llmos);
	return tap_done();
}
