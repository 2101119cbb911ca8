/* SPDX-License-Identifier: MIT */
/*
 * What a client of the socket can ask for: the client commands of <linux/llm.h>, decoded from
 * hostile bytes, answered at once or parked until there is something to answer.
 */
#include <string.h>

#include "base/clock.h"
#include "ipc/conn.h"

#define COMMAND_ENTRY_SIZE_MAX	4096U	/* of a LIST entry, as a client of the future may have it */

/**
 * struct parked - a READ, SUBMIT_AND_READ or WAIT that waits
 * @link: in its request's reads or its connection's waits
 * @conn: whose it is
 * @call: how to reply
 * @submit: as submitted; SUBMIT_AND_READ
 * @read: of READ and SUBMIT_AND_READ
 * @wait: of WAIT
 * @deadline: of WAIT
 */
struct parked {
	struct list link;
	struct conn *conn;
	struct conn_call call;
	struct llm_submit submit;
	struct llm_read read;
	struct llm_wait wait;
	struct loop_timer deadline;
};

/* ---- decoding ---- */

/*
 * The struct at the start of a message: size tells how long it is here; what is missing is zero,
 * what is too much must be. Return: its size; -EINVAL, -E2BIG.
 */
static int command_decode(const struct llm_msg *msg, const uint8_t *body, void *arg,
			  size_t known)
{
	size_t len = msg->len - sizeof(*msg), i;
	uint32_t size;

	if (len < sizeof(size))
		return -EINVAL;
	memcpy(&size, body, sizeof(size));
	if (size < 2 * sizeof(uint32_t) || size > len)
		return -EINVAL;
	if (size > CONN_STRUCT_MAX)
		return -E2BIG;
	for (i = known; i < size; i++)
		if (body[i])
			return -E2BIG;
	memset(arg, 0, known);
	memcpy(arg, body, MIN(known, (size_t)size));
	return size;
}

static bool command_is_zero(const __u64 *words, size_t count)
{
	size_t i;

	for (i = 0; i < count; i++)
		if (words[i])
			return false;
	return true;
}

/* ---- READ ---- */

static struct parked *parked_new(struct conn *conn, const struct conn_call *call,
				 struct list *list)
{
	struct parked *parked = calloc(1, sizeof(*parked));

	if (!parked)
		return NULL;
	parked->conn = conn;
	parked->call = *call;
	list_init(&parked->deadline.link);
	list_append(list, &parked->link);
	conn->parked++;
	return parked;
}

static void parked_free(struct parked *parked)
{
	loop_timer_stop(&parked->deadline);
	list_remove(&parked->link);
	parked->conn->parked--;
	free(parked);
}

static int read_check(const struct llm_read *read)
{
	if (read->flags & ~LLM_READ_FLAGS || read->buf)
		return -EINVAL;
	return command_is_zero(read->reserved, ARRAY_SIZE(read->reserved)) ? 0 : -EINVAL;
}

/* is it time to answer? */
static bool read_due(const struct broker_request *request, const struct llm_read *read)
{
	if (!read->buf_len || request->state == LLM_STATE_ENDED || request->cancelled)
		return true;
	if (!(read->flags & LLM_READ_ALL))
		return request->unread.len;
	/* an answer that waits to be read does not grow: more than that can't be waited for */
	return request->unread.len >= MIN(read->buf_len, CONN_READ_MAX) ||
	       request->waits_for_reader;
}

/* the reply of a READ or SUBMIT_AND_READ */
static uint8_t *read_reply(struct parked *parked, int result, size_t len)
{
	struct llm_submit_read both = { .submit = parked->submit, .read = parked->read };

	if (_IOC_NR(parked->call.msg.cmd) == _IOC_NR(LLM_IOC_READ))
		return conn_reply(parked->conn, &parked->call, result, &parked->read,
				  sizeof(parked->read), len);
	return conn_reply(parked->conn, &parked->call, result, &both, sizeof(both), len);
}

static void read_fail(struct parked *parked, int r)
{
	read_reply(parked, r, 0);
	parked_free(parked);
}

/* nobody can read it any more; who waits for it learns so */
static void request_forget(struct conn *conn, struct broker_request *request, bool cancel)
{
	while (!list_empty(&request->reads))
		read_fail(list_first(&request->reads, struct parked, link), -ENOENT);
	if (cancel)
		broker_cancel(conn->broker, request, true);
	else
		broker_forget(conn->broker, request);
}

/* answer the first READ of a request; true: the request is forgotten */
static bool read_complete(struct parked *parked, struct broker_request *request)
{
	struct conn *conn = parked->conn;
	uint32_t room = MIN(parked->read.buf_len, CONN_READ_MAX);
	struct llm_read *read = &parked->read;
	_cleanup_(bytes_free) struct bytes buf = { 0 };
	uint8_t *data, *out;
	bool end;

	room = MIN((size_t)room, request->unread.len);
	/* an answer may be empty, and no bytes would be no memory */
	data = bytes_room(&buf, MAX(room, 1U));
	if (!data) {
		read_fail(parked, -ENOMEM);
		return false;
	}
	broker_read(conn->broker, request, read, data, room);
	end = read->state == LLM_STATE_ENDED && !request->unread.len && read->buf_len;
	if (end)
		read->out_flags = LLM_READ_END;
	out = read_reply(parked, 0, read->len);
	if (out)
		memcpy(out, data, read->len);
	parked_free(parked);
	if (end)
		request_forget(conn, request, false);
	return end;
}

/* answer what can be answered; true: the request is forgotten */
static bool reads_pump(struct conn *conn, struct broker_request *request)
{
	while (!list_empty(&request->reads) && !conn_full(conn)) {
		struct parked *parked = list_first(&request->reads, struct parked, link);

		if (!read_due(request, &parked->read))
			return false;
		if (read_complete(parked, request))
			return true;
	}
	return false;
}

static void waits_pump(struct conn *conn);

static void read_start(struct conn *conn, const struct conn_call *call,
		       const struct llm_submit *submit, const struct llm_read *read,
		       struct broker_request *request)
{
	bool may_wait = !(read->flags & LLM_READ_NONBLOCK);
	struct parked *parked = parked_new(conn, call, &request->reads);

	if (!parked) {
		conn_reply(conn, call, -ENOMEM, NULL, 0, 0);
		return;
	}
	parked->submit = *submit;
	parked->read = *read;
	/* asking for the state consumes nothing and passes by those who wait */
	if (!read->buf_len) {
		read_complete(parked, request);
		return;
	}
	if (!may_wait && (list_first(&request->reads, struct parked, link) != parked ||
			  !read_due(request, read))) {
		read_fail(parked, -EAGAIN);
		return;
	}
	if (reads_pump(conn, request))
		waits_pump(conn);
}

static void command_read(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	const struct llm_submit none = { .size = 0 };
	struct broker_request *request;
	struct llm_read read;
	int r;

	r = command_decode(&call->msg, body, &read, sizeof(read));
	if (r >= 0) {
		call->arg_size = r;
		r = read_check(&read);
	}
	if (r >= 0 && call->msg.len != sizeof(call->msg) + call->arg_size)
		r = -EINVAL;
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	request = broker_find(conn->broker, &conn->file, read.id);
	if (!request)
		conn_reply(conn, call, -ENOENT, &read, sizeof(read), 0);
	else
		read_start(conn, call, &none, &read, request);
}

/* ---- SUBMIT ---- */

/* the session whose descriptor came with the message; it stays, for whoever sent that has it */
static int command_session_of(struct conn *conn, struct broker_session **ret)
{
	const int fd = conn_take_fd(conn);

	if (fd < 0)
		return -EBADF;
	*ret = handle_find(conn->handles, fd);
	conn_close_fd(conn, fd);
	return *ret ? 0 : -EINVAL;
}

static int submit_start(struct conn *conn, const struct conn_call *call,
			struct llm_submit *submit, const uint8_t *body)
{
	struct broker_session *session = NULL;
	uint64_t len;
	int r;

	r = broker_check_submit(submit);
	if (r < 0)
		return r;
	len = sizeof(call->msg) + (uint64_t)call->arg_size + submit->payload_len +
	      submit->stop_len;
	if (call->msg.len != len)
		return -EINVAL;
	r = submit->flags & LLM_SUBMIT_SESSION ? command_session_of(conn, &session) : 0;
	if (r < 0)
		return r;
	if (submit->op < LLM_OP_CONTROL)
		peer_refresh(&conn->file.peer);
	return broker_submit(conn->broker, &conn->file, submit, body + call->arg_size, session,
			     &submit->id);
}

static void command_submit(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_submit submit;
	int r;

	r = command_decode(&call->msg, body, &submit, sizeof(submit));
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	call->arg_size = r;
	r = submit_start(conn, call, &submit, body);
	conn_reply(conn, call, r, &submit, sizeof(submit), 0);
}

static void command_submit_read(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_submit_read both;
	int r;

	r = command_decode(&call->msg, body, &both, sizeof(both));
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	call->arg_size = r;
	r = read_check(&both.read);
	if (!r && both.read.id)
		r = -EINVAL;
	if (!r)
		r = submit_start(conn, call, &both.submit, body);
	if (r < 0) {
		conn_reply(conn, call, r, &both, sizeof(both), 0);
		return;
	}
	both.read.id = both.submit.id;
	read_start(conn, call, &both.submit, &both.read,
		   broker_find(conn->broker, &conn->file, both.submit.id));
}

/* ---- CANCEL ---- */

static int cancel_run(struct conn *conn, const struct llm_cancel *cancel)
{
	bool forget = cancel->flags & LLM_CANCEL_FORGET;
	struct broker_request *request, *next;

	if (cancel->flags & ~LLM_CANCEL_FLAGS ||
	    !command_is_zero(cancel->reserved, ARRAY_SIZE(cancel->reserved)))
		return -EINVAL;
	if (cancel->flags & LLM_CANCEL_ALL) {
		if (cancel->id)
			return -EINVAL;
		/* a request that is cancelled may be read to its end and vanish: only that one */
		list_each_safe(request, next, &conn->file.requests, file_link) {
			if (forget)
				request_forget(conn, request, true);
			else
				broker_cancel(conn->broker, request, false);
		}
		return 0;
	}
	request = broker_find(conn->broker, &conn->file, cancel->id);
	if (!request)
		return -ENOENT;
	if (forget)
		request_forget(conn, request, true);
	else
		broker_cancel(conn->broker, request, false);
	return 0;
}

static void command_cancel(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_cancel cancel;
	int r;

	r = command_decode(&call->msg, body, &cancel, sizeof(cancel));
	if (r >= 0 && call->msg.len != sizeof(call->msg) + r)
		r = -EINVAL;
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	call->arg_size = r;
	r = cancel_run(conn, &cancel);
	conn_reply(conn, call, r, &cancel, sizeof(cancel), 0);
	waits_pump(conn);
}

/* ---- WAIT ---- */

static bool wait_matches(const struct llm_wait *wait, const struct broker_request *request)
{
	if (wait->flags & LLM_WAIT_END)
		return request->state == LLM_STATE_ENDED || request->cancelled;
	return broker_ready(request);
}

/* the first that is ready behind the one that was named last, then from the start */
static struct broker_request *wait_find_any(struct conn *conn, const struct llm_wait *wait)
{
	struct broker_request *request, *found = NULL;

	list_each(request, &conn->file.requests, file_link) {
		if (!wait_matches(wait, request))
			continue;
		if (request->event.id > conn->named)
			return request;
		if (!found)
			found = request;
	}
	return found;
}

/* Return: 0 and the request, -EAGAIN, -ENOENT */
static int wait_find(struct conn *conn, const struct llm_wait *wait,
		     struct broker_request **ret)
{
	struct broker_request *request;

	if (!wait->id) {
		if (list_empty(&conn->file.requests))
			return -ENOENT;
		request = wait_find_any(conn, wait);
		if (!request)
			return -EAGAIN;
		conn->named = request->event.id;
	} else {
		request = broker_find(conn->broker, &conn->file, wait->id);
		if (!request)
			return -ENOENT;
		if (!wait_matches(wait, request))
			return -EAGAIN;
	}
	*ret = request;
	return 0;
}

static void wait_reply(struct conn *conn, const struct conn_call *call, struct llm_wait *wait,
		       int r, const struct broker_request *request)
{
	if (!r) {
		wait->id = request->event.id;
		wait->state = request->cancelled ? LLM_STATE_ENDED : request->state;
	}
	conn_reply(conn, call, r, wait, sizeof(*wait), 0);
}

static void waits_pump(struct conn *conn)
{
	struct parked *parked, *next;

	list_each_safe(parked, next, &conn->waits, link) {
		struct broker_request *request = NULL;
		int r;

		if (conn_full(conn))
			return;
		r = wait_find(conn, &parked->wait, &request);
		if (r == -EAGAIN)
			continue;
		wait_reply(conn, &parked->call, &parked->wait, r, request);
		parked_free(parked);
	}
}

static void wait_expired(struct loop_timer *timer)
{
	struct parked *parked = container_of(timer, struct parked, deadline);

	wait_reply(parked->conn, &parked->call, &parked->wait, -ETIME, NULL);
	parked_free(parked);
}

static void wait_park(struct conn *conn, const struct conn_call *call,
		      const struct llm_wait *wait)
{
	struct parked *parked = parked_new(conn, call, &conn->waits);

	if (!parked) {
		conn_reply(conn, call, -ENOMEM, NULL, 0, 0);
		return;
	}
	parked->wait = *wait;
	parked->deadline.fire = wait_expired;
	if (wait->deadline_ns)
		loop_timer_set(conn->loop, &parked->deadline, wait->deadline_ns);
}

static void command_wait(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct broker_request *request = NULL;
	struct llm_wait wait;
	int r;

	r = command_decode(&call->msg, body, &wait, sizeof(wait));
	if (r >= 0 && (wait.flags & ~LLM_WAIT_FLAGS || wait.pad ||
		       !command_is_zero(wait.reserved, ARRAY_SIZE(wait.reserved)) ||
		       call->msg.len != sizeof(call->msg) + r))
		r = -EINVAL;
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	call->arg_size = r;
	r = wait_find(conn, &wait, &request);
	if (r == -EAGAIN && !(wait.flags & LLM_WAIT_NONBLOCK)) {
		if (!wait.deadline_ns || wait.deadline_ns > clock_ns()) {
			wait_park(conn, call, &wait);
			return;
		}
		r = -ETIME;
	}
	wait_reply(conn, call, &wait, r, request);
}

/* ---- SESSION ---- */

static int session_check(const struct conn_call *call, const struct llm_session_cmd *args)
{
	if (args->flags & ~LLM_SESSION_FLAGS || args->flags & (args->flags - 1) || args->fd != -1 ||
	    call->msg.len != sizeof(call->msg) + call->arg_size ||
	    !command_is_zero(args->reserved, ARRAY_SIZE(args->reserved)))
		return -EINVAL;
	return 0;
}

/* an empty one, or a fork; its descriptor goes with the reply */
static int session_make(struct conn *conn, struct llm_session_cmd *args,
			const struct broker_session *from)
{
	struct broker_session *session;
	int r;

	r = broker_session_new(broker_sessions(conn->broker), conn->file.peer.uid, from,
			       &session);
	if (r < 0)
		return r;
	broker_session_fill_info(session, args);
	r = handle_new(conn->handles, session);
	return r < 0 ? r : conn_send_fd(conn, r);
}

static int session_run(struct conn *conn, struct llm_session_cmd *args)
{
	struct broker_session *session = NULL;
	int r = args->flags ? command_session_of(conn, &session) : 0;

	if (r < 0)
		return r;
	switch (args->flags) {
	case LLM_SESSION_SEAL:
		r = broker_session_seal(session);
		break;
	case LLM_SESSION_INFO:
		break;
	default:
		return session_make(conn, args, session);
	}
	if (!r)
		broker_session_fill_info(session, args);
	return r;
}

static void command_session(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_session_cmd args;
	int r;

	r = command_decode(&call->msg, body, &args, sizeof(args));
	if (r >= 0) {
		call->arg_size = r;
		r = session_check(call, &args);
	}
	if (r >= 0)
		r = session_run(conn, &args);
	if (r < 0)
		conn_reply(conn, call, r, NULL, 0, 0);
	else
		conn_reply(conn, call, 0, &args, sizeof(args), 0);
}

/* ---- LIST, GET_FEATURES ---- */

static int list_check(const struct conn_call *call, const struct llm_list *list)
{
	if (list->flags || list->buf || call->msg.len != sizeof(call->msg) + call->arg_size ||
	    list->entry_size < sizeof(struct llm_request_info) ||
	    list->entry_size > COMMAND_ENTRY_SIZE_MAX ||
	    !command_is_zero(list->reserved, ARRAY_SIZE(list->reserved)))
		return -EINVAL;
	return 0;
}

static void list_run(struct conn *conn, const struct conn_call *call, struct llm_list *list)
{
	unsigned int capacity = MIN(list->capacity, BROKER_REQUESTS_MAX), i;
	_cleanup_free_ struct llm_request_info *infos = calloc(MAX(capacity, 1U), sizeof(*infos));
	uint8_t *out;

	if (!infos) {
		conn_reply(conn, call, -ENOMEM, NULL, 0, 0);
		return;
	}
	list->count = broker_list(conn->broker, list->cursor, infos, capacity, &list->total);
	out = conn_reply(conn, call, 0, list, sizeof(*list),
			 (size_t)list->count * list->entry_size);
	for (i = 0; out && i < list->count; i++, out += list->entry_size) {
		memset(out, 0, list->entry_size);
		memcpy(out, &infos[i], sizeof(infos[i]));
	}
}

static void command_list(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_list list;
	int r;

	r = command_decode(&call->msg, body, &list, sizeof(list));
	if (r >= 0) {
		call->arg_size = r;
		r = list_check(call, &list);
	}
	if (r < 0)
		conn_reply(conn, call, r, NULL, 0, 0);
	else
		list_run(conn, call, &list);
}

static void command_features(struct conn *conn, struct conn_call *call, const uint8_t *body)
{
	struct llm_features features;
	int r;

	r = command_decode(&call->msg, body, &features, sizeof(features));
	if (r >= 0 && (features.flags || features.pad ||
		       !command_is_zero(features.reserved, ARRAY_SIZE(features.reserved)) ||
		       call->msg.len != sizeof(call->msg) + r))
		r = -EINVAL;
	if (r < 0) {
		conn_reply(conn, call, r, NULL, 0, 0);
		return;
	}
	call->arg_size = r;
	broker_features(conn->broker, &features);
	conn_reply(conn, call, 0, &features, sizeof(features), 0);
}

/* ---- all of them ---- */

void command_handle(struct conn *conn, const struct llm_msg *msg, const uint8_t *body)
{
	static void (*const commands[])(struct conn *conn, struct conn_call *call,
					const uint8_t *body) = {
		[_IOC_NR(LLM_IOC_GET_FEATURES)]		= command_features,
		[_IOC_NR(LLM_IOC_SUBMIT)]		= command_submit,
		[_IOC_NR(LLM_IOC_READ)]			= command_read,
		[_IOC_NR(LLM_IOC_SUBMIT_AND_READ)]	= command_submit_read,
		[_IOC_NR(LLM_IOC_CANCEL)]		= command_cancel,
		[_IOC_NR(LLM_IOC_WAIT)]			= command_wait,
		[_IOC_NR(LLM_IOC_LIST)]			= command_list,
		[_IOC_NR(LLM_IOC_SESSION)]		= command_session,
	};
	struct conn_call call = { .msg = *msg };

	/* the size in the number grows with the struct; size itself tells */
	if (_IOC_TYPE(msg->cmd) != LLM_IOC_MAGIC || _IOC_NR(msg->cmd) >= ARRAY_SIZE(commands) ||
	    !commands[_IOC_NR(msg->cmd)]) {
		conn_reply(conn, &call, -ENOTTY, NULL, 0, 0);
		return;
	}
	commands[_IOC_NR(msg->cmd)](conn, &call, body);
}

void command_pump(struct conn *conn, struct broker_request *request)
{
	struct broker_request *next;

	if (request) {
		reads_pump(conn, request);
	} else {
		list_each_safe(request, next, &conn->file.requests, file_link)
			reads_pump(conn, request);
	}
	waits_pump(conn);
}

void command_drop(struct conn *conn)
{
	struct broker_request *request;

	list_each(request, &conn->file.requests, file_link)
		while (!list_empty(&request->reads))
			parked_free(list_first(&request->reads, struct parked, link));
	while (!list_empty(&conn->waits))
		parked_free(list_first(&conn->waits, struct parked, link));
}
