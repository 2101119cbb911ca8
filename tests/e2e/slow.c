// SPDX-License-Identifier: MIT
/*
 * A client that asks and never reads: its own request is paused once the bound on unread bytes is
 * reached, and nobody else waits for it; when it reads at last, it gets all of its answer. Speaks
 * the messages of <linux/llm.h> itself, because the library would read.
 */
#include <errno.h>
#include <fcntl.h>
#include <linux/llm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "lib/cases.h"
#include "lib/tap.h"

#define SLOW		16	/* clients that do not read, more than there are slots */
#define ROOM		(32 * 1024)

static int raw_open(void)
{
	const char *address = getenv("LLMOS_ADDRESS") ?: "";
	struct sockaddr_un un = { .sun_family = AF_UNIX };
	int fd;

	if (e2e_device())
		return open("/dev/llm", O_RDWR | O_CLOEXEC);
	if (strncmp(address, "unix:", 5) != 0 || strlen(address + 5) >= sizeof(un.sun_path))
		tap_bail("LLMOS_ADDRESS='%s'", address);
	strcpy(un.sun_path, address + 5);
	fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd >= 0 && connect(fd, (struct sockaddr *)&un, sizeof(un)) < 0)
		return -1;
	return fd;
}

static void all(int fd, void *buf, size_t len, bool out)
{
	for (char *p = buf; len;) {
		ssize_t n = out ? write(fd, p, len) : read(fd, p, len);

		if (n <= 0)
			tap_bail("socket: %s", n ? strerror(errno) : "closed");
		p += n;
		len -= n;
	}
}

/* one command over the socket: message, struct, @data; the struct comes back, then @out */
static int message(int fd, unsigned int cmd, void *arg, const void *data, size_t data_len,
		   void *out, size_t *ret_out_len)
{
	size_t arg_len = _IOC_SIZE(cmd);
	struct llm_msg msg = { .len = sizeof(msg) + arg_len + data_len, .cmd = cmd, .cookie = 7 };

	all(fd, &msg, sizeof(msg), true);
	all(fd, arg, arg_len, true);
	all(fd, (void *)data, data_len, true);
	all(fd, &msg, sizeof(msg), false);
	if (msg.cookie != 7 || msg.cmd != cmd || msg.len < sizeof(msg) + arg_len)
		tap_bail("a reply of %u bytes to %#x", msg.len, msg.cmd);
	all(fd, arg, arg_len, false);
	*ret_out_len = msg.len - sizeof(msg) - arg_len;
	if (*ret_out_len > ROOM)
		tap_bail("%zu bytes returned", *ret_out_len);
	all(fd, out, *ret_out_len, false);
	return msg.result;
}

/* every token with its 20 likeliest alternatives: 200 bytes of answer each */
static int raw_submit(int fd, const char *prompt, uint64_t *ret_id)
{
	struct llm_submit submit = {
		.size = sizeof(submit),
		.flags = LLM_SUBMIT_RECORDS | LLM_SUBMIT_IGNORE_EOS,
		.payload_type = LLM_PAYLOAD_RAW,
		.payload_len = strlen(prompt),
		.max_tokens = e2e_tokens(480),
		.sampling.top_logprobs = LLM_LOGPROBS_MAX,
	};
	char none[1];
	size_t len;
	int r;

	if (e2e_device()) {
		submit.payload = (uintptr_t)prompt;
		r = ioctl(fd, LLM_IOC_SUBMIT, &submit) < 0 ? -errno : 0;
	} else {
		r = message(fd, LLM_IOC_SUBMIT, &submit, prompt, submit.payload_len, none, &len);
	}
	*ret_id = submit.id;
	return r;
}

static int raw_read(int fd, uint64_t id, void *buf, struct llm_read *ret_read)
{
	struct llm_read read = { .size = sizeof(read), .id = id, .buf_len = ROOM };
	size_t len;
	int r;

	if (e2e_device()) {
		read.buf = (uintptr_t)buf;
		r = ioctl(fd, LLM_IOC_READ, &read) < 0 ? -errno : 0;
	} else {
		r = message(fd, LLM_IOC_READ, &read, NULL, 0, buf, &len);
		if (r == 0 && len != read.len)
			tap_bail("%zu bytes returned, %u told", len, read.len);
	}
	*ret_read = read;
	return r;
}

/* read to the end; @answer collects the bytes, @delay is called between two reads */
static int raw_read_all(int fd, uint64_t id, struct e2e_answer *answer)
{
	static char buf[ROOM];
	struct llm_read read = { 0 };
	int r;

	while (!(read.out_flags & LLM_READ_END)) {
		r = raw_read(fd, id, buf, &read);
		if (r < 0)
			return r;
		answer->text = realloc(answer->text, answer->len + read.len + 1);
		if (!answer->text)
			return -ENOMEM;
		memcpy(answer->text + answer->len, buf, read.len);
		answer->len += read.len;
	}
	return read.status;
}

struct seen {
	uint64_t ids[SLOW];
	unsigned int paused;
	uint32_t unread_max;
};

/* are all of them paused? they are the only ones listed */
static bool look(void *arg)
{
	struct seen *seen = arg;
	struct llmos_processes *list = NULL;
	struct llmos *llmos = e2e_open();

	seen->paused = 0;
	if (llmos_ps(llmos, &list) < 0)
		tap_bail("ps: %s", llmos_error(llmos));
	for (size_t i = 0; i < list->count; i++) {
		seen->paused += list->processes[i].state == LLMOS_PAUSED;
		if (list->processes[i].unread_bytes > seen->unread_max)
			seen->unread_max = list->processes[i].unread_bytes;
	}
	llmos_processes_free(list);
	llmos_free(llmos);
	return seen->paused == SLOW;
}

int main(int argc, char **argv)
{
	uint32_t bound = argc > 1 ? strtoul(argv[1], NULL, 10) : 64 * 1024;
	struct e2e_answer want = { 0 }, got = { 0 }, other = { 0 }, again = { 0 };
	struct seen seen = { 0 };
	struct llmos *llmos = e2e_open();
	int fds[SLOW], fd, r;
	struct llmos_status status;
	bool all_paused;
	uint64_t id;

	fd = raw_open();
	if (fd < 0)
		tap_bail("open: %s", strerror(errno));
	r = raw_submit(fd, "Once", &id);
	if (r == 0)
		r = raw_read_all(fd, id, &want);
	tap_ok(r == 0 && want.len > bound, "an answer of %zu bytes, more than the bound of %u (%s)",
	       want.len, bound, strerror(-r));
	r = e2e_answer_get(llmos, &other, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0, "another answer, undisturbed");

	for (int i = 0; i < SLOW; i++) {
		fds[i] = raw_open();
		if (fds[i] < 0 || raw_submit(fds[i], "Once", &seen.ids[i]) < 0)
			tap_bail("client %d: %s", i, strerror(errno));
	}
	all_paused = e2e_wait(30, look, &seen);
	tap_ok(all_paused, "%u of %d clients that do not read are paused",
	       seen.paused, SLOW);
	tap_ok(seen.unread_max <= bound + LLM_RECORD_BYTES_MAX, "none has more than %u bytes unread",
	       seen.unread_max);
	r = e2e_answer_get(llmos, &again, e2e_case(0)->prompt, &e2e_case(0)->opts);
	tap_ok(r == 0 && e2e_answer_equal(&again, &other), "somebody else is answered meanwhile (%s)",
	       strerror(-r));

	r = raw_read_all(fds[0], seen.ids[0], &got);
	tap_ok(r == 0 && e2e_answer_equal(&got, &want), "who reads at last gets all: %zu of %zu bytes",
	       got.len, want.len);
	e2e_answer_clear(&got);
	r = raw_read_all(fds[SLOW - 1], seen.ids[SLOW - 1], &got);
	tap_ok(r == 0 && e2e_answer_equal(&got, &want), "so does the last one: %zu of %zu bytes",
	       got.len, want.len);
	for (int i = 0; i < SLOW; i++)
		close(fds[i]);
	close(fd);
	tap_ok(e2e_settled(&status), "the others closed: nothing is left");
	e2e_answer_clear(&got);
	e2e_answer_clear(&want);
	e2e_answer_clear(&other);
	e2e_answer_clear(&again);
	llmos_free(llmos);
	return tap_done();
}
