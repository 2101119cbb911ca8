/* SPDX-License-Identifier: MIT */
/*
 * The device transport where there is no device: ioctl() is this file's, and stands for a broker
 * that has the answers already; so is the ring, which can be refused. The same questions are put
 * by blocking ioctl, by WAIT and non-blocking READs, and by the ring.
 */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <cmocka.h>
#include <linux/llm.h>

#include "libllmos-user/src/ring.h"
#include "llmos.h"

#define REQUESTS_MAX	16

/** struct broker - what stands behind ioctl() */
static struct {
	struct {
		uint64_t id;
		size_t at;
		bool cancelled;
		unsigned int slow;	/* READs that find nothing yet */
		unsigned int repeats;	/* times that the answer begins again */
	} requests[REQUESTS_MAX];
	uint64_t next_id;
	uint64_t named;			/* WAIT named this one last */
	char answer[4096];		/* framed, of every request */
	size_t answer_len;
	size_t chunk;
	unsigned int slow;		/* for new requests */
	unsigned int repeats;
	int submit_error;
	int interrupt;			/* so many waiting calls end with EINTR */
	unsigned int submits, reads, waits, cancels, forgets, cancel_alls;
	bool ring_refused;
	bool ring_broken;		/* a ring, but the module does not take commands from it */
	bool features_fail;
} broker;

static void broker_reset(const char *text)
{
	struct llm_record record = { .type = LLM_RECORD_TEXT, .len = strlen(text) };

	memset(&broker, 0, sizeof(broker));
	memcpy(broker.answer, &record, sizeof(record));
	memcpy(broker.answer + sizeof(record), text, record.len);
	broker.answer_len = sizeof(record) + record.len;
	broker.chunk = 5;
}

static int find(uint64_t id)
{
	int i;

	for (i = 0; i < REQUESTS_MAX; i++)
		if (broker.requests[i].id == id)
			return i;
	return -1;
}

static int do_submit(struct llm_submit *submit)
{
	int i = find(0);

	broker.submits++;
	assert_int_equal(submit->size, sizeof(*submit));
	assert_true(!submit->payload_len == !submit->payload);
	assert_true(!submit->stop_len == !submit->stop);
	if (submit->stop)
		assert_ptr_equal((char *)(uintptr_t)submit->stop,
				 (char *)(uintptr_t)submit->payload + submit->payload_len);
	if (broker.submit_error || i < 0)
		return broker.submit_error ? broker.submit_error : -EBUSY;
	memset(&broker.requests[i], 0, sizeof(broker.requests[i]));
	broker.requests[i].id = submit->id = ++broker.next_id;
	broker.requests[i].slow = broker.slow;
	broker.requests[i].repeats = broker.repeats;
	return 0;
}

/* with nothing to read: EAGAIN; a caller that may wait gets time to pass instead */
static int do_read(struct llm_read *read, bool may_wait)
{
	int i = find(read->id);
	size_t len;

	broker.reads++;
	assert_int_equal(read->size, sizeof(*read));
	if (i < 0)
		return -ENOENT;
	if (broker.requests[i].slow && !broker.requests[i].cancelled) {
		if (!may_wait)
			return -EAGAIN;
		if (broker.interrupt) {
			broker.interrupt--;
			return -EINTR;
		}
		broker.requests[i].slow = 0;
	}
	broker.requests[i].slow = broker.slow;
	len = broker.answer_len - broker.requests[i].at;
	len = broker.requests[i].cancelled ? 0 : len > broker.chunk ? broker.chunk : len;
	assert_true(len <= read->buf_len);
	memcpy((void *)(uintptr_t)read->buf, broker.answer + broker.requests[i].at, len);
	broker.requests[i].at += len;
	read->len = len;
	if (broker.requests[i].at == broker.answer_len && broker.requests[i].repeats) {
		broker.requests[i].repeats--;
		broker.requests[i].at = 0;
	}
	if (broker.requests[i].at == broker.answer_len || broker.requests[i].cancelled) {
		read->out_flags = LLM_READ_END;
		read->status = broker.requests[i].cancelled ? -ECANCELED : 0;
		read->finish = read->status ? 0 : LLM_FINISH_STOP;
		broker.requests[i].id = 0;
	}
	return 0;
}

static int do_wait(struct llm_wait *wait)
{
	bool any = false;
	int i, turn;

	broker.waits++;
	if (broker.interrupt) {
		broker.interrupt--;
		return -EINTR;
	}
	for (turn = 0; turn < REQUESTS_MAX; turn++) {
		i = (int)((broker.named + turn) % REQUESTS_MAX);
		if (!broker.requests[i].id || (wait->id && broker.requests[i].id != wait->id))
			continue;
		any = true;
		if (broker.requests[i].slow) {
			/* the next look finds it ready */
			broker.requests[i].slow--;
			if (!wait->deadline_ns && !broker.requests[i].slow)
				turn--;
			continue;
		}
		wait->id = broker.requests[i].id;
		broker.named = i + 1;
		return 0;
	}
	return any ? -ETIME : -ENOENT;
}

static int do_cancel(const struct llm_cancel *cancel)
{
	int i;

	broker.cancels++;
	broker.forgets += !!(cancel->flags & LLM_CANCEL_FORGET);
	if (cancel->flags & LLM_CANCEL_ALL) {
		assert_int_equal(cancel->id, 0);
		broker.cancel_alls++;
		for (i = 0; i < REQUESTS_MAX; i++)
			broker.requests[i].id = 0;
		return 0;
	}
	i = find(cancel->id);
	if (i < 0 || !cancel->id)
		return -ENOENT;
	broker.requests[i].cancelled = true;
	if (cancel->flags & LLM_CANCEL_FORGET)
		broker.requests[i].id = 0;
	return 0;
}

static int do_command(unsigned int cmd, void *arg, bool may_wait)
{
	struct llm_features *features = arg;

	switch (cmd) {
	case LLM_IOC_GET_FEATURES:
		if (broker.features_fail)
			return -EOPNOTSUPP;
		features->abi_version = LLM_ABI_VERSION;
		features->server_pid = 1;
		features->max_payload_bytes = 65536;
		return 0;
	case LLM_IOC_SUBMIT:	return do_submit(arg);
	case LLM_IOC_READ:	return do_read(arg, may_wait);
	case LLM_IOC_WAIT:	return do_wait(arg);
	case LLM_IOC_CANCEL:	return do_cancel(arg);
	default:		return -ENOTTY;
	}
}

/* in place of libc's: the library under test is linked into this program */
int ioctl(int fd, unsigned long request, ...)
{
	struct llm_read *read;
	va_list ap;
	void *arg;
	int r;

	(void)fd;
	va_start(ap, request);
	arg = va_arg(ap, void *);
	va_end(ap);
	read = arg;
	r = do_command((unsigned int)request, arg,
		       request != LLM_IOC_READ || !(read->flags & LLM_READ_NONBLOCK));
	if (r < 0) {
		errno = -r;
		return -1;
	}
	return 0;
}

/* ---- the ring ---- */

#define RING_MAX	64

struct llmos_ring {
	int event_fd;
	struct {
		unsigned int cmd;
		void *arg;
		void *token;
	} queue[RING_MAX];
	unsigned int count;
	unsigned int flushed;
	bool cancelling;
};

static unsigned int rings;

int llmos_ring_new(struct llmos_ring **ret)
{
	if (broker.ring_refused)
		return -EPERM;
	*ret = calloc(1, sizeof(**ret));
	assert_non_null(*ret);
	(*ret)->event_fd = -1;
	rings++;
	return 0;
}

void llmos_ring_free(struct llmos_ring *ring)
{
	if (!ring)
		return;
	assert_int_equal(ring->count, 0);
	if (ring->event_fd >= 0)
		close(ring->event_fd);
	free(ring);
	rings--;
}

int llmos_ring_event_fd(struct llmos_ring *ring)
{
	if (ring->event_fd < 0)
		ring->event_fd = eventfd(1, EFD_NONBLOCK);
	return ring->event_fd;
}

int llmos_ring_queue(struct llmos_ring *ring, int fd, unsigned int cmd, const void *arg,
		     void *token)
{
	(void)fd;
	assert_true(cmd == LLM_IOC_READ || cmd == LLM_IOC_SUBMIT || cmd == LLM_IOC_GET_FEATURES);
	if (ring->count == RING_MAX)
		return -EBUSY;
	ring->queue[ring->count].cmd = cmd;
	ring->queue[ring->count].arg = (void *)arg;
	ring->queue[ring->count++].token = token;
	return 0;
}

int llmos_ring_flush(struct llmos_ring *ring)
{
	ring->flushed = ring->count;
	if (ring->event_fd >= 0 && ring->count)
		assert_int_equal(eventfd_write(ring->event_fd, 1), 0);
	return 0;
}

int llmos_ring_cancel_all(struct llmos_ring *ring)
{
	ring->cancelling = true;
	return llmos_ring_flush(ring);
}

int llmos_ring_reap(struct llmos_ring *ring, int timeout_ms, void **ret_token, int *ret_result)
{
	unsigned int i;

	for (i = 0; i < ring->flushed; i++) {
		int r = broker.ring_broken ? -EOPNOTSUPP :
			do_command(ring->queue[i].cmd, ring->queue[i].arg, false);

		if (r == -EAGAIN && ring->cancelling)
			r = -ECANCELED;
		if (r == -EAGAIN && timeout_ms) {
			if (broker.interrupt) {
				broker.interrupt--;
				return -EINTR;
			}
			/* time passes */
			broker.requests[find(((struct llm_read *)ring->queue[i].arg)->id)].slow--;
		}
		if (r == -EAGAIN)
			continue;
		*ret_token = ring->queue[i].token;
		*ret_result = r;
		ring->count--;
		ring->flushed--;
		memmove(&ring->queue[i], &ring->queue[i + 1],
			(ring->count - i) * sizeof(ring->queue[0]));
		return 1;
	}
	return 0;
}

/* ---- tests ---- */

static struct llmos *connect_device(void)
{
	struct llmos *llmos;

	assert_int_equal(llmos_open(&llmos, "device:/dev/null"), 0);
	return llmos;
}

static void test_blocking(void **state)
{
	struct llmos *llmos;
	char *answer;

	(void)state;
	broker_reset("Hello, device");
	llmos = connect_device();
	assert_int_equal(llmos_ask(llmos, &answer, "x", 1, NULL), 0);
	assert_string_equal(answer, "Hello, device");
	free(answer);
	/* a single question needs neither WAIT nor ring */
	assert_string_equal(llmos_transport(llmos), "ioctl");
	assert_int_equal(broker.waits, 0);
	assert_int_equal(rings, 0);
	assert_int_equal(llmos_nop(llmos), 0);
	llmos_free(llmos);
}

static void test_blocking_slow(void **state)
{
	struct llmos *llmos;
	char *answer;

	(void)state;
	broker_reset("Hello, slow device");
	broker.slow = 3;
	llmos = connect_device();
	assert_int_equal(llmos_ask(llmos, &answer, "x", 1, NULL), 0);
	assert_string_equal(answer, "Hello, slow device");
	free(answer);
	broker.interrupt = 1;
	assert_int_equal(llmos_ask(llmos, &answer, "x", 1, NULL), -EINTR);
	assert_int_equal(broker.forgets, 1);
	llmos_free(llmos);
}

static void test_submit_fails(void **state)
{
	struct llmos_request *request = NULL;
	struct llmos *llmos;

	(void)state;
	broker_reset("x");
	llmos = connect_device();
	broker.submit_error = -EBUSY;
	assert_int_equal(llmos_ask(llmos, NULL, "x", 1, NULL), -EBUSY);
	assert_non_null(strstr(llmos_error(llmos), "too many requests"));
	/* by ioctl it is known at once, by the ring it comes with the end */
	broker.ring_refused = true;
	assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), -EBUSY);
	assert_null(request);
	llmos_free(llmos);
	broker.ring_refused = false;
	llmos = connect_device();
	assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
	assert_int_equal(llmos_request_wait(request), -EBUSY);
	llmos_request_free(request);
	llmos_free(llmos);
}

static void count_end(void *userdata, struct llmos_request *request, int status)
{
	unsigned int *ends = userdata;

	(void)request;
	assert_int_equal(status, 0);
	(*ends)++;
}

/* ten at once, in whichever way the connection goes about it */
static void ask_many(const char *transport, bool by_poll)
{
	struct llmos_request *requests[10];
	unsigned int ends = 0, i;
	struct llmos_generate_opts opts = {
		.size = sizeof(opts),
		.on_end = count_end,
		.userdata = &ends,
	};
	struct llmos *llmos = connect_device();
	struct pollfd fd = { .events = POLLIN };
	char buf[64];

	if (by_poll)
		fd.fd = llmos_fd(llmos);
	for (i = 0; i < 10; i++)
		assert_int_equal(llmos_ask_start(llmos, &requests[i], "x", 1, &opts), 0);
	assert_string_equal(llmos_transport(llmos), transport);
	while (ends < 10) {
		if (by_poll)
			assert_int_equal(poll(&fd, 1, 60000), 1);
		assert_true(llmos_dispatch(llmos, by_poll ? 0 : 1000) >= 0);
	}
	for (i = 0; i < 10; i++) {
		assert_int_equal(llmos_request_read(requests[i], buf, sizeof(buf)), 14);
		assert_memory_equal(buf, "one of several", 14);
		llmos_request_free(requests[i]);
	}
	llmos_free(llmos);
	assert_int_equal(rings, 0);
}

static void test_many(void **state)
{
	unsigned int slow;

	(void)state;
	for (slow = 0; slow < 4; slow++) {
		broker_reset("one of several");
		broker.slow = slow;
		ask_many("io_uring", false);
		broker_reset("one of several");
		broker.slow = slow;
		broker.ring_refused = true;
		ask_many("ioctl", false);
	}
}

static void test_many_by_poll(void **state)
{
	(void)state;
	broker_reset("one of several");
	ask_many("io_uring", true);
}

/* a ring, but a module that does not know commands from it */
static void test_ring_broken(void **state)
{
	struct llmos *llmos;
	char *answer;

	(void)state;
	broker_reset("x");
	broker.ring_broken = true;
	llmos = connect_device();
	assert_true(llmos_fd(llmos) >= 0);
	assert_string_equal(llmos_transport(llmos), "ioctl");
	assert_int_equal(llmos_ask(llmos, &answer, "x", 1, NULL), 0);
	free(answer);
	assert_int_equal(rings, 0);
	llmos_free(llmos);
}

static int drop_text(void *userdata, const char *text, size_t len)
{
	size_t *total = userdata;

	(void)text;
	*total += len;
	return 0;
}

/* one that nobody reads keeps being named by WAIT: the other one goes on */
static void test_unread_beside(void **state)
{
	struct llmos_request *stalled, *other;
	static char large[3001], buf[3000];
	size_t total = 0, got = 0;
	struct llmos *llmos;
	ssize_t n;

	(void)state;
	memset(large, 'x', sizeof(large) - 1);
	broker_reset(large);
	broker.chunk = sizeof(large);
	broker.repeats = 49;
	broker.slow = 1;
	broker.ring_refused = true;
	llmos = connect_device();
	assert_int_equal(llmos_ask_start(llmos, &stalled, "x", 1, NULL), 0);
	assert_int_equal(llmos_ask_start(llmos, &other, "x", 1,
					 LLMOS_OPTS(llmos_generate_opts, .on_text = drop_text,
						    .userdata = &total)), 0);
	while (!llmos_request_done(other))
		assert_true(llmos_dispatch(llmos, 1000) >= 0);
	assert_int_equal(total, 50 * 3000);
	assert_false(llmos_request_done(stalled));
	while ((n = llmos_request_read(stalled, buf, sizeof(buf))) > 0)
		got += n;
	assert_int_equal(n, 0);
	assert_int_equal(got, 50 * 3000);
	llmos_request_free(stalled);
	llmos_request_free(other);
	llmos_free(llmos);
}

static void test_cancel(void **state)
{
	struct llmos_request *request;
	struct llmos *llmos;
	int refused;

	(void)state;
	for (refused = 0; refused < 2; refused++) {
		broker_reset("never read");
		broker.slow = 1000000;
		broker.ring_refused = refused;
		llmos = connect_device();
		assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
		assert_true(llmos_dispatch(llmos, 0) >= 0);
		assert_false(llmos_request_done(request));
		assert_int_equal(llmos_request_cancel(request), 0);
		assert_int_equal(llmos_request_wait(request), -ECANCELED);
		llmos_request_free(request);
		llmos_free(llmos);
		assert_int_equal(rings, 0);
	}
}

/* freed, or left behind, while the kernel still holds its memory */
static void test_free_in_flight(void **state)
{
	struct llmos_request *request;
	struct llmos *llmos;

	(void)state;
	broker_reset("never read");
	broker.slow = 1000000;
	llmos = connect_device();
	assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
	assert_true(llmos_dispatch(llmos, 0) >= 0);
	llmos_request_free(request);
	assert_int_equal(broker.forgets, 1);
	assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
	assert_true(llmos_dispatch(llmos, 0) >= 0);
	assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
	llmos_free(llmos);
	assert_int_equal(broker.cancel_alls, 1);
	assert_int_equal(rings, 0);
}

static void test_interrupted(void **state)
{
	struct llmos_request *request;
	struct llmos *llmos;
	int refused;

	(void)state;
	for (refused = 0; refused < 2; refused++) {
		broker_reset("after all");
		broker.slow = 2;
		broker.ring_refused = refused;
		llmos = connect_device();
		assert_int_equal(llmos_ask_start(llmos, &request, "x", 1, NULL), 0);
		assert_true(llmos_dispatch(llmos, 0) >= 0);
		broker.interrupt = 1;
		assert_int_equal(llmos_request_wait(request), -EINTR);
		assert_false(llmos_request_done(request));
		assert_int_equal(llmos_request_wait(request), 0);
		llmos_request_free(request);
		llmos_free(llmos);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_blocking),
		cmocka_unit_test(test_blocking_slow),
		cmocka_unit_test(test_submit_fails),
		cmocka_unit_test(test_many),
		cmocka_unit_test(test_many_by_poll),
		cmocka_unit_test(test_ring_broken),
		cmocka_unit_test(test_unread_beside),
		cmocka_unit_test(test_cancel),
		cmocka_unit_test(test_free_in_flight),
		cmocka_unit_test(test_interrupted),
	};

	alarm(120);
	cmocka_set_message_output(CM_OUTPUT_TAP);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
