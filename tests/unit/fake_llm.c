/* SPDX-License-Identifier: MIT */
/*
 * The server of the tests of libllmos. One thread, one connection after the other; a failed
 * assertion of the harness itself aborts, as there is nobody to tell.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "fake_llm.h"

#define MESSAGE_MAX	(sizeof(struct llm_msg) + 4096 + FAKE_PAYLOAD_MAX + LLM_STOP_BYTES_MAX)
#define READ_MAX	(1U << 20)

/* the harness can not go on */
static void must(int ok, const char *what)
{
	if (ok)
		return;
	fprintf(stderr, "fake server: %s: %m\n", what);
	abort();
}

/* ---- bytes ---- */

static int receive(const struct fake *fake, void *buf, size_t len)
{
	return recv(fake->fd, buf, len, MSG_WAITALL) == (ssize_t)len ? 0 : -ECONNRESET;
}

static int send_all(const struct fake *fake, const void *buf, size_t len)
{
	const uint8_t *at = buf;

	while (len) {
		size_t want = fake->piece && fake->piece < len ? fake->piece : len;
		ssize_t n = send(fake->fd, at, want, MSG_NOSIGNAL);

		if (n < 0)
			return -errno;
		at += n;
		len -= n;
	}
	return 0;
}

/* ---- replies, good and bad ---- */

static size_t arg_size(unsigned int cmd)
{
	return _IOC_SIZE(cmd);
}

static enum fake_evil evil_now(struct fake *fake, unsigned int cmd)
{
	if (!fake->evil || _IOC_NR(cmd) != fake->evil_command)
		return FAKE_GOOD;
	return fake->evil_seen++ < fake->evil_after ? FAKE_GOOD : fake->evil;
}

/* a few bytes become others, mostly in the head and the struct */
static void mutate(struct fake *fake, uint8_t *bytes, size_t len)
{
	unsigned int count = 1 + rand_r(&fake->seed) % 4;

	while (count--) {
		size_t span = rand_r(&fake->seed) % 4 && len > 160 ? 160 : len;
		size_t at = (size_t)rand_r(&fake->seed) % span;

		bytes[at] = rand_r(&fake->seed) % 3 ? (uint8_t)rand_r(&fake->seed) :
						     bytes[at] ^ 1 << rand_r(&fake->seed) % 8;
	}
}

static int reply(struct fake *fake, const struct llm_msg *head, int result, const void *arg,
		 const void *data, size_t len)
{
	size_t size = arg ? arg_size(head->cmd) : 0, total = sizeof(*head) + size + len;
	enum fake_evil evil = evil_now(fake, head->cmd);
	uint8_t *bytes = calloc(1, total + READ_MAX);
	struct llm_msg *out = (struct llm_msg *)bytes;
	int r = 0;

	must(!!bytes, "calloc");
	*out = *head;
	out->result = result;
	if (size)
		memcpy(bytes + sizeof(*out), arg, size);
	if (len)
		memcpy(bytes + sizeof(*out) + size, data, len);
	switch (evil) {
	case FAKE_CLOSE:	total = 0; r = -ECONNRESET; break;
	case FAKE_HALF:		r = -ECONNRESET; break;
	case FAKE_COOKIE:	out->cookie += 1000; break;
	case FAKE_COMMAND:	out->cmd ^= 1; break;
	case FAKE_CUT_STRUCT:	total = sizeof(*out) + size / 2; break;
	case FAKE_SIZE:		bytes[sizeof(*out)] ^= 8; break;
	case FAKE_EXTRA:	total += 3; break;
	case FAKE_FLOOD:
		if (_IOC_NR(head->cmd) == _IOC_NR(LLM_IOC_READ)) {
			((struct llm_read *)(out + 1))->len = READ_MAX;
			total = sizeof(*out) + size + READ_MAX;
		}
		break;
	case FAKE_POSITIVE:	out->result = 1; break;
	case FAKE_NEGATIVE:	out->result = -100000; break;
	case FAKE_PAD:		out->pad = 1; break;
	case FAKE_STATUS:	((struct llm_read *)(out + 1))->status = 5; break;
	case FAKE_NO_ID:	((struct llm_submit *)(out + 1))->id = 0; break;
	case FAKE_GARBAGE:	memset(bytes, 0xa5, total); break;
	default:		break;
	}
	if (evil != FAKE_GARBAGE)
		out->len = evil == FAKE_SHORT ? 23 : evil == FAKE_LONG ? 0xfffffff0U : total;
	if (evil == FAKE_MUTATE) {
		mutate(fake, bytes, total);
		send_all(fake, bytes, total);
		total = 0;
		r = -ECONNRESET;
	}
	if (!r)
		r = send_all(fake, bytes, total);
	else if (total)
		send_all(fake, bytes, total / 2);
	free(bytes);
	return r;
}

/* ---- commands ---- */

static int do_features(struct fake *fake, const struct llm_msg *head)
{
	struct llm_features features = {
		.size = sizeof(features),
		.abi_version = fake->abi_version,
		.server_pid = fake->server_pid,
		.max_requests = 1024,
		.max_requests_user = 256,
		.max_requests_file = FAKE_REQUESTS_MAX,
		.max_payload_bytes = fake->max_payload,
		.commands = (uint64_t)fake->has_sessions << _IOC_NR(LLM_IOC_SESSION),
		.requests = 3,
		.submitted = fake->next_id,
		.cancelled = fake->cancels,
	};

	return reply(fake, head, 0, &features, NULL, 0);
}

static struct fake_request *find(struct fake *fake, uint64_t id)
{
	size_t i;

	for (i = 0; i < FAKE_REQUESTS_MAX; i++)
		if (fake->requests[i].id == id)
			return &fake->requests[i];
	return NULL;
}

static int do_submit(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	struct llm_submit *submit = &fake->submit;
	struct fake_request *request = find(fake, 0);
	int r = fake->submit_result;

	memcpy(submit, body, sizeof(*submit));
	fake->submits++;
	if (!r && submit->flags & LLM_SUBMIT_SESSION)
		r = fake->session_result;
	must(head->len == sizeof(*head) + sizeof(*submit) + submit->payload_len +
	     submit->stop_len, "SUBMIT of the right length");
	must(!submit->payload && !submit->stop, "SUBMIT without pointers");
	memcpy(fake->payload, body + sizeof(*submit), submit->payload_len + submit->stop_len);
	if (r || !request)
		return reply(fake, head, r ? r : -EBUSY, NULL, NULL, 0);
	*request = (struct fake_request){ .id = ++fake->next_id };
	submit->id = request->id;
	return reply(fake, head, 0, submit, NULL, 0);
}

/* whatever descriptor comes along: it is the client's to hold */
static int do_session(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	struct llm_msg out = *head;
	struct llm_session_cmd args;
	struct iovec iov[] = { { &out, sizeof(out) }, { &args, sizeof(args) } };
	union {
		struct cmsghdr head;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { .bytes = { 0 } };
	const struct msghdr msg = {
		.msg_iov = iov, .msg_iovlen = 2,
		.msg_control = &control, .msg_controllen = sizeof(control.bytes),
	};

	memcpy(&args, body, sizeof(args));
	args.id = ++fake->sessions;
	out.len = sizeof(out) + sizeof(args);
	control.head.cmsg_len = CMSG_LEN(sizeof(int));
	control.head.cmsg_level = SOL_SOCKET;
	control.head.cmsg_type = SCM_RIGHTS;
	memcpy(CMSG_DATA(&control.head), &fake->parked_fd, sizeof(int));
	return sendmsg(fake->fd, &msg, MSG_NOSIGNAL) == (ssize_t)out.len ? 0 : -ECONNRESET;
}

static int read_reply(struct fake *fake, const struct llm_msg *head, struct llm_read *read,
		      struct fake_request *request)
{
	size_t left = fake->answer_len - request->at, len = read->buf_len;
	const uint8_t *data = fake->answer + request->at;

	if (fake->chunk && len > fake->chunk)
		len = fake->chunk;
	if (len > left)
		len = left;
	if (request->cancelled)
		len = 0;
	request->at += len;
	read->len = len;
	read->state = LLM_STATE_RUNNING;
	read->prompt_tokens = 7;
	read->output_tokens = request->at;
	read->submit_ns = 1000;
	read->dispatch_ns = 2000;
	if (fake->endless && request->at == fake->answer_len)
		request->at = 0;
	if (request->cancelled || (!fake->endless && request->at == fake->answer_len)) {
		read->state = LLM_STATE_ENDED;
		read->out_flags = LLM_READ_END;
		read->status = request->cancelled ? -ECANCELED : fake->status;
		read->finish = read->status ? 0 : fake->finish;
		read->end_ns = 3000;
		request->id = 0;
	}
	return reply(fake, head, 0, read, data, len);
}

static int do_read(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	struct fake_request *request;
	struct llm_read read;

	memcpy(&read, body, sizeof(read));
	must(!read.buf && read.buf_len, "READ without a pointer");
	request = find(fake, read.id);
	if (!request || !read.id)
		return reply(fake, head, -ENOENT, &read, NULL, 0);
	if ((fake->hold || (fake->silent && fake->submit.op == LLM_OP_STATUS)) &&
	    !request->cancelled) {
		request->parked = true;
		request->parked_head = *head;
		request->parked_read = read;
		must(!eventfd_write(fake->parked_fd, 1), "eventfd");
		return 0;
	}
	return read_reply(fake, head, &read, request);
}

static int do_cancel(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	struct fake_request *request;
	struct llm_cancel cancel;
	int r;

	memcpy(&cancel, body, sizeof(cancel));
	fake->cancels++;
	fake->forgets += !!(cancel.flags & LLM_CANCEL_FORGET);
	request = cancel.id ? find(fake, cancel.id) : NULL;
	r = reply(fake, head, request ? 0 : -ENOENT, &cancel, NULL, 0);
	if (r < 0 || !request)
		return r;
	request->cancelled = true;
	if (request->parked) {
		request->parked = false;
		if (cancel.flags & LLM_CANCEL_FORGET)
			r = reply(fake, &request->parked_head, -ENOENT, &request->parked_read,
				  NULL, 0);
		else
			r = read_reply(fake, &request->parked_head, &request->parked_read,
				       request);
	}
	if (cancel.flags & LLM_CANCEL_FORGET)
		request->id = 0;
	return r;
}

static int do_list(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	struct llm_list list;
	size_t first = 0;

	memcpy(&list, body, sizeof(list));
	must(list.entry_size == sizeof(*fake->list), "LIST of known entries");
	while (!fake->list_same && first < fake->list_count &&
	       fake->list[first].id <= list.cursor)
		first++;
	list.count = fake->list_count - first;
	if (list.count > list.capacity)
		list.count = list.capacity;
	list.total = fake->list_count;
	return reply(fake, head, 0, &list, fake->list + first,
		     list.count * sizeof(*fake->list));
}

static int handle(struct fake *fake, const struct llm_msg *head, const uint8_t *body)
{
	uint32_t size = 0;

	must(head->len >= sizeof(*head) + arg_size(head->cmd), "message with its struct");
	must(!head->pad && !head->result, "message without a result");
	memcpy(&size, body, sizeof(size));
	must(size == arg_size(head->cmd), "struct with its size");
	switch (head->cmd) {
	case LLM_IOC_GET_FEATURES:	return do_features(fake, head);
	case LLM_IOC_SUBMIT:		return do_submit(fake, head, body);
	case LLM_IOC_READ:		return do_read(fake, head, body);
	case LLM_IOC_CANCEL:		return do_cancel(fake, head, body);
	case LLM_IOC_LIST:		return do_list(fake, head, body);
	case LLM_IOC_SESSION:
		return fake->has_sessions ? do_session(fake, head, body) :
					    reply(fake, head, -ENOTTY, NULL, NULL, 0);
	default:			return reply(fake, head, -ENOTTY, NULL, NULL, 0);
	}
}

static void serve_one(struct fake *fake, uint8_t *buf)
{
	struct llm_msg *head = (struct llm_msg *)buf;

	memset(fake->requests, 0, sizeof(fake->requests));
	while (!receive(fake, head, sizeof(*head))) {
		must(head->len >= sizeof(*head) && head->len <= MESSAGE_MAX, "message length");
		if (receive(fake, head + 1, head->len - sizeof(*head)) < 0)
			break;
		if (handle(fake, head, buf + sizeof(*head)) < 0)
			break;
	}
	close(fake->fd);
}

static void *serve(void *arg)
{
	struct fake *fake = arg;
	uint8_t *buf = malloc(MESSAGE_MAX);

	must(!!buf, "malloc");
	while ((fake->fd = accept(fake->listen_fd, NULL, NULL)) >= 0)
		serve_one(fake, buf);
	free(buf);
	return NULL;
}

/* ---- the server ---- */

struct fake *fake_new(void)
{
	struct fake *fake = calloc(1, sizeof(*fake));

	must(!!fake, "calloc");
	fake->listen_fd = -1;
	fake->parked_fd = eventfd(0, EFD_CLOEXEC);
	must(fake->parked_fd >= 0, "eventfd");
	fake->server_pid = 4242;
	fake->abi_version = LLM_ABI_VERSION;
	fake->max_payload = FAKE_PAYLOAD_MAX;
	fake->finish = LLM_FINISH_STOP;
	return fake;
}

void fake_listen(struct fake *fake)
{
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	static int count;

	snprintf(fake->path, sizeof(fake->path), "/tmp/llmos-fake.%d.%d", getpid(), ++count);
	unlink(fake->path);
	memcpy(address.sun_path, fake->path, sizeof(address.sun_path));
	fake->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	must(fake->listen_fd >= 0, "socket");
	must(!bind(fake->listen_fd, (struct sockaddr *)&address, sizeof(address)), "bind");
	must(!listen(fake->listen_fd, 16), "listen");
	must(!pthread_create(&fake->thread, NULL, serve, fake), "pthread_create");
}

void fake_free(struct fake *fake)
{
	if (fake->listen_fd >= 0) {
		shutdown(fake->listen_fd, SHUT_RDWR);
		pthread_join(fake->thread, NULL);
		close(fake->listen_fd);
		unlink(fake->path);
	}
	close(fake->parked_fd);
	free(fake);
}

const char *fake_address(const struct fake *fake)
{
	static char address[128];

	snprintf(address, sizeof(address), "unix:%s", fake->path);
	return address;
}

/* ---- answers ---- */

void frames_add(struct frames *frames, unsigned int type, const void *body, size_t len)
{
	struct llm_record record = { .type = type, .len = len };

	must(sizeof(record) + len <= sizeof(frames->bytes) - frames->len, "room for records");
	memcpy(frames->bytes + frames->len, &record, sizeof(record));
	memcpy(frames->bytes + frames->len + sizeof(record), body, len);
	frames->len += sizeof(record) + len;
}

void frames_text(struct frames *frames, const char *text)
{
	frames_add(frames, LLM_RECORD_TEXT, text, strlen(text));
}

void frames_token(struct frames *frames, uint32_t id, int32_t logprob, const char *text,
		  size_t text_len, const struct llm_alternative *top, uint32_t count)
{
	struct llm_token token = {
		.id = id,
		.logprob = logprob,
		.text_len = text_len,
		.alternatives = count,
	};
	uint8_t body[4096];

	must(sizeof(token) + count * sizeof(*top) + text_len <= sizeof(body), "token");
	memcpy(body, &token, sizeof(token));
	if (count)
		memcpy(body + sizeof(token), top, count * sizeof(*top));
	memcpy(body + sizeof(token) + count * sizeof(*top), text, text_len);
	frames_add(frames, LLM_RECORD_TOKEN, body, sizeof(token) + count * sizeof(*top) + text_len);
}
