// SPDX-License-Identifier: MIT
/*
 * The tracepoints: each transition of a request shows up, in order and with its figures; a
 * histogram of queue times for each cgroup, as Documentation/tracing.md has it; and nothing of what
 * was asked or answered.
 */
#include "uapi.h"
#include "uapi_netlink.h"
#include "uapi_step.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define TRACING		"/sys/kernel/tracing"
#define SECRET		"correcthorsebatterystaple"
#define HISTOGRAM	"hist:keys=cgroup,queue_ns.log2"

static int client, server;
static char text[1 << 18];

static int put(const char *file, const char *value)
{
	char path[128];
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), TRACING "/%s", file);
	fd = open(path, O_WRONLY | O_TRUNC);
	if (fd < 0)
		return -1;
	n = write(fd, value, strlen(value));
	close(fd);
	return n < 0 ? -1 : 0;
}

/* Reads a file of tracefs into the buffer above. */
static void get(const char *file)
{
	char path[128];
	size_t len = 0;
	ssize_t n;
	int fd;

	snprintf(path, sizeof(path), TRACING "/%s", file);
	fd = open(path, O_RDONLY);
	must(fd >= 0, file);
	while ((n = read(fd, text + len, sizeof(text) - 1 - len)) > 0)
		len += (size_t)n;
	text[len] = '\0';
	close(fd);
}

/* Where in the text an event of this request is next; NULL: nowhere. Ends its line. */
static char *next_event(char *from, const char *event, uint64_t id)
{
	char want[96], *at, *end;

	snprintf(want, sizeof(want), "%s: id=%llu ", event, (unsigned long long)id);
	at = strstr(from, want);
	if (!at)
		return NULL;
	end = strchr(at, '\n');
	if (end)
		*end = '\0';
	return at;
}

/* The value behind KEY= in a line; -1: it is not there. */
static long long value_of(const char *line, const char *key)
{
	char want[32];
	const char *at;

	snprintf(want, sizeof(want), " %s=", key);
	at = line ? strstr(line, want) : NULL;
	return at ? strtoll(at + strlen(want), NULL, 10) : -1;
}

/* A request that goes through all there is, but for its end. Return: its id. */
static uint64_t paused_and_resumed(void)
{
	const uint64_t id = submit_text(client, SECRET);
	struct llm_commit arg = commit_init(id, SECRET, strlen(SECRET));
	const unsigned long bound = param_get("max_unread_bytes");
	struct llm_read read;
	struct event event;
	static char data[1 << 17];

	must(fetch(server, LLM_FETCH_REQUEST, &event) > 0, "a request to fetch");
	arg.prompt_tokens = 7;
	arg.output_tokens = 3;
	arg.compute_ns = 12345;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_CONTINUE, "commit the secret");
	param_set("max_unread_bytes", 4096);
	must(sizeof(data) > 4096 && bound >= 4096, "room");
	arg = commit_init(id, data, 4096);
	arg.prompt_tokens = 7;
	arg.output_tokens = 4;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_PAUSE, "pause it");
	read = read_init(id, data, sizeof(data));
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read it");
	is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "it is resumed");
	param_set("max_unread_bytes", bound);
	return id;
}

static uint64_t ended(void)
{
	const uint64_t id = paused_and_resumed();
	struct llm_read read;
	char data[64];

	is(commit(server, id, "end", LLM_COMMIT_END), -1, "tokens never become fewer");
	is(commit_status(server, id, -EIO), -1, "also where it failed");
	{
		struct llm_commit arg = commit_init(id, NULL, 0);

		arg.flags = LLM_COMMIT_END;
		arg.prompt_tokens = 7;
		arg.output_tokens = 5;
		arg.finish = LLM_FINISH_STOP;
		is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_CONTINUE, "end it");
	}
	read_all(client, id, data, sizeof(data), &read);
	return id;
}

static uint64_t cancelled(void)
{
	const uint64_t id = submit_text(client, SECRET);
	struct event event;

	fetch(server, LLM_FETCH_REQUEST, &event);
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "cancel one");
	fetch(server, LLM_FETCH_NOTICE, &event);
	commit_status(server, id, 0);
	return id;
}

static uint64_t requeued(void)
{
	const uint64_t id = submit_text(client, SECRET);
	struct event event;

	fetch(server, LLM_FETCH_REQUEST, &event);
	close(server);
	server = server_open();
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + strlen(SECRET),
	   "another server fetches it again");
	is(cancel(client, id, LLM_CANCEL_FORGET), 0, "forget it");
	fetch(server, LLM_FETCH_NOTICE, &event);
	commit_status(server, id, 0);
	return id;
}

/* All events of a request, in this order. */
static void in_order(uint64_t id, const char *const events[], const char *name)
{
	char *at = text;
	int i;

	get("trace");
	for (i = 0; events[i]; i++) {
		char *line = next_event(at, events[i], id);

		if (!line)
			break;
		at = line + strlen(line) + 1;
	}
	ok(!events[i], "%s%s%s", name, events[i] ? ": missing " : "", events[i] ? events[i] : "");
}

static void test_figures(uint64_t id)
{
	char *line;

	get("trace");
	line = next_event(text, "llm_submit", id);
	is(value_of(line, "payload_len"), strlen(SECRET), "submit: bytes of the prompt");
	is(value_of(line, "pid"), getpid(), "submit: the process");
	is(value_of(line, "uid"), getuid(), "submit: the user");
	line = next_event(line + strlen(line) + 1, "llm_commit", id);
	is(value_of(line, "bytes"), strlen(SECRET), "commit: bytes");
	is(value_of(line, "compute_ns"), 12345, "commit: time");
	is(value_of(line, "prompt_tokens"), 7, "commit: tokens of the prompt");
	line = next_event(line + strlen(line) + 1, "llm_end", id);
	is(value_of(line, "output_tokens"), 5, "end: tokens");
	is(value_of(line, "output_bytes"), strlen(SECRET) + 4096, "end: bytes");
	is(value_of(line, "status"), 0, "end: status");
	is(value_of(line, "finish"), LLM_FINISH_STOP, "end: why");
}

static void test_events(void)
{
	static const char *const whole[] = { "llm_submit", "llm_dispatch", "llm_first_byte",
		"llm_commit", "llm_commit", "llm_pause", "llm_resume", "llm_commit", "llm_end", NULL };
	static const char *const dropped[] = { "llm_submit", "llm_dispatch", "llm_cancel",
		"llm_end", NULL };
	static const char *const twice[] = { "llm_submit", "llm_dispatch", "llm_requeue",
		"llm_dispatch", "llm_cancel", "llm_end", NULL };
	const uint64_t first = ended(), second = cancelled(), third = requeued();

	in_order(first, whole, "an answer");
	in_order(second, dropped, "a cancelled request");
	in_order(third, twice, "a request whose server went away");
	test_figures(first);
	get("trace");
	ok(!strstr(text, SECRET), "nothing of a prompt or an answer");
}

/* A cgroup that has used up its rate, and the request that notices. */
static void test_throttle(void)
{
	const uint64_t id = cgroup_make("llmos-trace");
	const int nl = nl_open();
	struct llm_commit arg;
	struct event event;
	uint64_t request;
	char want[64];
	char *line;

	if (!id || nl < 0) {
		tap_skip("a throttled cgroup", strerror(errno));
		return;
	}
	must(!nl_quota_set(nl, id, LLM_NL_A_QUOTA_RATE, 1ULL, LLM_NL_A_QUOTA_BURST, 1000ULL, 0),
	     "a rate");
	request = ask_from(client, "llmos-trace", 0, 0);
	must(request && fetch(server, LLM_FETCH_REQUEST, &event) > 0, "a request to fetch");
	arg = commit_init(request, NULL, 0);
	arg.output_tokens = 1;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), LLM_VERDICT_PAUSE, "it has to rest");
	get("trace");
	snprintf(want, sizeof(want), "llm_throttle: cgroup=%llu wait_ns=", (unsigned long long)id);
	line = strstr(text, want);
	ok(line && strtoull(line + strlen(want), NULL, 10) > 0, "the cgroup is throttled");
	line = next_event(text, "llm_pause", request);
	ok(line && strstr(line, "reason=quota"), "its request paused by a quota");
	cancel(client, request, LLM_CANCEL_FORGET);
	fetch(server, LLM_FETCH_NOTICE, &event);
	commit_status(server, request, 0);
	must(!nl_quota_reset(nl, id) && cgroup_remove("llmos-trace"), "clean up");
	close(nl);
}

static void test_histogram(void)
{
	char want[64];
	struct stat folder;

	if (put("events/llm/llm_dispatch/trigger", HISTOGRAM)) {
		tap_skip("a histogram of queue times", "this kernel has no hist triggers");
		return;
	}
	cancelled();
	get("events/llm/llm_dispatch/hist");
	put("events/llm/llm_dispatch/trigger", "!" HISTOGRAM);
	must(stat("/sys/fs/cgroup", &folder) == 0, "the root cgroup");
	snprintf(want, sizeof(want), "cgroup: %10llu", (unsigned long long)folder.st_ino);
	ok(strstr(text, want), "a histogram of queue times, for this cgroup");
}

/* Sessions have names of their own, and what is said in them is nobody's business. */
static void test_session(void)
{
	struct llm_session_cmd first = { .size = sizeof(first), .fd = -1 };
	struct llm_session_cmd second = { .size = sizeof(second), .flags = LLM_SESSION_FORK };
	struct llm_session_cmd seal = { .size = sizeof(seal), .flags = LLM_SESSION_SEAL };
	struct llm_submit submit = submit_init(SECRET, strlen(SECRET));
	struct llm_commit end;
	struct event event;
	char *line;

	put("trace", "");
	must(!ioctl(client, LLM_IOC_SESSION, &first), "SESSION");
	submit.flags = LLM_SUBMIT_SESSION;
	submit.session = first.fd;
	must(!ioctl(client, LLM_IOC_SUBMIT, &submit) &&
	     fetch(server, LLM_FETCH_REQUEST, &event) > 0, "a turn");
	end = commit_init(submit.id, SECRET, strlen(SECRET));
	end.flags = LLM_COMMIT_END;
	end.session = (uintptr_t)SECRET;
	end.session_len = strlen(SECRET);
	end.session_tokens = 6;
	must(!ioctl(server, LLM_IOC_COMMIT, &end), "its end");
	cancel(client, submit.id, LLM_CANCEL_FORGET);
	second.fd = seal.fd = first.fd;
	must(!ioctl(client, LLM_IOC_SESSION, &second) && !ioctl(client, LLM_IOC_SESSION, &seal),
	     "a fork and a seal");
	close(first.fd);
	close(second.fd);
	must(fetch(server, LLM_FETCH_NOTICE, &event) > 0, "the end of it");
	get("trace");
	ok(!strstr(text, SECRET), "nothing of what was said");
	line = next_event(text, "llm_session_make", first.id);
	ok(line && !value_of(line, "from") && value_of(line, "pid") == getpid() &&
	   !value_of(line, "bytes"), "a session is made");
	line = line ? next_event(line + strlen(line) + 1, "llm_session_grow", first.id) : NULL;
	ok(line && value_of(line, "turns") == 1 && value_of(line, "tokens") == 6 &&
	   value_of(line, "bytes") == (long long)strlen(SECRET), "it grows");
	line = line ? next_event(line + strlen(line) + 1, "llm_session_make", second.id) : NULL;
	ok(line && value_of(line, "from") == (long long)first.id &&
	   value_of(line, "bytes") == (long long)strlen(SECRET), "it is forked");
	line = line ? next_event(line + strlen(line) + 1, "llm_session_seal", first.id) : NULL;
	ok(line, "it is sealed");
	line = line ? next_event(line + strlen(line) + 1, "llm_session_end", first.id) : NULL;
	ok(line, "it ends");
}

int main(void)
{
	if (access(TRACING "/events", F_OK)) {
		/* what can be looked at is compiled in by the configuration, not by the module */
		tap_skip("tracepoints", "this kernel has none");
		return tap_done();
	}
	client = client_open();
	server = server_open();
	must(put("trace", "") == 0 && put("events/llm/enable", "1") == 0 &&
	     put("tracing_on", "1") == 0, "tracefs");
	test_events();
	test_throttle();
	test_histogram();
	test_session();
	put("events/llm/enable", "0");
	put("trace", "");
	return tap_done();
}
