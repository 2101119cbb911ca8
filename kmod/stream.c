// SPDX-License-Identifier: GPL-2.0-only
/*
 * The file way: see stream.h. Called by the file operations of /dev/llm. The prompt belongs to
 * llm_client.prompt_mutex until it is submitted; from then on the file's stream_id names the
 * request, and no lock is held while a read() waits for it.
 */
#include <linux/errno.h>
#include <linux/minmax.h>
#include <linux/mutex.h>
#include <linux/sched.h>
#include <linux/uio.h>
#include <linux/wait.h>

#include "client.h"
#include "commands.h"
#include "dmem.h"
#include "limits.h"
#include "read.h"
#include "request.h"
#include "stream.h"

static int llm_stream_lock(struct llm_client *client, bool nonblock)
{
	if (nonblock)
		return mutex_trylock(&client->prompt_mutex) ? 0 : -EAGAIN;
	return mutex_lock_interruptible(&client->prompt_mutex) ? -ERESTARTSYS : 0;
}

static u64 llm_stream_id(struct llm_client *client)
{
	u64 id;

	spin_lock(&llm_broker.lock);
	id = client->stream_id;
	spin_unlock(&llm_broker.lock);
	return id;
}

/* Makes @len more bytes of prompt the user's: of who opened the file, as for the request. */
static int llm_prompt_charge(struct llm_client *client, u32 len)
{
	int err;

	if (!client->prompt_user) {
		err = llm_user_get(client->uid, &client->prompt_user);
		if (err)
			return err;
	}
	spin_lock(&llm_broker.lock);
	err = llm_user_charge_bytes(client->prompt_user, len);
	spin_unlock(&llm_broker.lock);
	return err;
}

static void llm_prompt_uncharge(struct llm_client *client, u32 len)
{
	spin_lock(&llm_broker.lock);
	llm_user_uncharge_bytes(client->prompt_user, len);
	spin_unlock(&llm_broker.lock);
}

/* Nobody pays any more: the prompt is submitted or thrown away. */
static void llm_prompt_release(struct llm_client *client, u32 len)
{
	spin_lock(&llm_broker.lock);
	if (client->prompt_user)
		llm_user_uncharge_bytes(client->prompt_user, len);
	llm_user_put(client->prompt_user);
	client->prompt_user = NULL;
	spin_unlock(&llm_broker.lock);
}

/*
 * Appends to the prompt. One that grows too long is thrown away as a whole: half a question would
 * get an answer that nobody asked for.
 */
static ssize_t llm_prompt_write(struct llm_client *client, struct iov_iter *from)
{
	const size_t len = iov_iter_count(from);
	int err;

	if (llm_stream_id(client))
		return -EBUSY;
	if (len > llm_limit(max_payload_bytes) ||
	    client->prompt.len + len > llm_limit(max_payload_bytes)) {
		llm_prompt_release(client, client->prompt.len);
		llm_bytes_free(&client->prompt);
		return -EMSGSIZE;
	}
	err = llm_prompt_charge(client, len);
	if (err)
		return err;
	err = llm_bytes_read_iter(&client->prompt, from, len);
	if (err) {
		llm_prompt_uncharge(client, len);
		return err;
	}
	return len;
}

/** llm_stream_write() - write(): all of it or an error */
ssize_t llm_stream_write(struct llm_client *client, struct iov_iter *from, bool nonblock)
{
	ssize_t rc;

	if (!iov_iter_count(from))
		return 0;
	rc = llm_stream_lock(client, nonblock);
	if (rc)
		return rc;
	rc = llm_prompt_write(client, from);
	mutex_unlock(&client->prompt_mutex);
	/* Who polls for input since before looks again, which submits. */
	if (rc > 0)
		wake_up_interruptible(&client->poll);
	return rc;
}

/* Submits the prompt: a request of the current task, in the name of who opened the file. */
static int llm_prompt_submit(struct llm_client *client)
{
	const u32 len = client->prompt.len;
	u64 id;
	int err;

	/* It is charged again, as the request's. */
	llm_prompt_uncharge(client, len);
	err = llm_submit_prompt(client, &client->prompt, &id);
	spin_lock(&llm_broker.lock);
	if (err)
		client->prompt_user->bytes += len;
	else if (llm_client_find(client, id)) /* else it is forgotten already */
		client->stream_id = id;
	spin_unlock(&llm_broker.lock);
	if (!err)
		llm_prompt_release(client, 0);
	return err;
}

/* Makes sure that there is an answer to read. Return: 0 and its id, which is 0 if there is none. */
static int llm_stream_begin(struct llm_client *client, bool nonblock, u64 *ret_id)
{
	int err;

	*ret_id = llm_stream_id(client);
	if (*ret_id)
		return 0;
	err = llm_stream_lock(client, nonblock);
	if (err)
		return err;
	if (!llm_stream_id(client) && client->prompt.len)
		err = llm_prompt_submit(client);
	*ret_id = llm_stream_id(client);
	mutex_unlock(&client->prompt_mutex);
	return err;
}

/*
 * Finds out what a read() gets now; under the lock.
 * Return: 0 and an answer with bytes, or its end if there are none; EAGAIN, or the request's
 * status, once; as EBUSY if that is EAGAIN, because nothing more will come.
 */
static int llm_stream_look(struct llm_client *client, u64 id, size_t room,
			   struct llm_answer *ret_answer, struct llm_trash *trash)
{
	struct llm_request *req = llm_client_find(client, id);
	int status;

	ret_answer->len = 0;
	if (!req) {
		if (client->stream_id == id)
			client->stream_id = 0;
		return 0;
	}
	if (req->reading || !llm_request_ready(req, 1, false))
		return -EAGAIN;
	if (req->unread) {
		llm_answer_detach(req, min_t(size_t, room, U32_MAX), ret_answer);
		return 0;
	}
	status = req->status;
	llm_request_detach(req, trash);
	return status == -EAGAIN ? -EBUSY : status;
}

/* Return: bytes copied; EFAULT: none were, and none are lost. */
static ssize_t llm_stream_deliver(struct llm_answer *answer, struct iov_iter *to)
{
	const size_t n = llm_bytes_write_iter(&answer->bytes, 0, answer->len, to);
	LLM_DEFINE_TRASH(trash);

	answer->len = n;
	spin_lock(&llm_broker.lock);
	llm_answer_finish(answer, true, false, &trash);
	spin_unlock(&llm_broker.lock);
	llm_request_put(answer->req);
	llm_trash_empty(&trash);
	return n ?: -EFAULT;
}

static ssize_t llm_stream_try(struct llm_client *client, u64 id, struct iov_iter *to)
{
	struct llm_answer answer;
	LLM_DEFINE_TRASH(trash);
	int err;

	spin_lock(&llm_broker.lock);
	err = llm_stream_look(client, id, iov_iter_count(to), &answer, &trash);
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	if (err || !answer.len)
		return err;
	return llm_stream_deliver(&answer, to);
}

/* Would llm_stream_try() find something, or has the caller to pay before he waits? */
static bool llm_stream_ready(struct llm_client *client, u64 id)
{
	struct llm_request *req;
	bool ready;

	spin_lock(&llm_broker.lock);
	req = llm_client_find(client, id);
	ready = !req || (!req->reading && llm_request_ready(req, 1, false)) ||
		llm_dmem_owes(client);
	spin_unlock(&llm_broker.lock);
	return ready;
}

/** llm_stream_read() - read(): what there is of the answer; 0 at its end */
ssize_t llm_stream_read(struct llm_client *client, struct iov_iter *to, bool nonblock)
{
	ssize_t rc;
	u64 id;

	if (!iov_iter_count(to))
		return 0;
	rc = llm_stream_begin(client, nonblock, &id);
	if (rc || !id)
		return rc;
	for (;;) {
		llm_dmem_pay_dues(client);
		rc = llm_stream_try(client, id, to);
		if (rc != -EAGAIN || nonblock)
			return rc;
		rc = wait_event_interruptible(client->poll, llm_stream_ready(client, id));
		if (rc)
			return rc;
	}
}

/**
 * llm_stream_poll() - poll(), once its caller is on the list of those who wait
 * @client: whose
 * @for_input: it asks for input, so a gathered prompt is submitted
 *
 * Return: the events. Input is there if read() or READ would find something: without a request
 * there is never any.
 */
__poll_t llm_stream_poll(struct llm_client *client, bool for_input)
{
	__poll_t events = 0;
	u64 id;

	/* A kernel thread polls for somebody (Linux AIO) and must not ask in its own name. */
	if (for_input && !(current->flags & PF_KTHREAD)) {
		const int err = llm_stream_begin(client, false, &id);

		/* read() will say what is wrong; a signal is not. */
		if (err && err != -ERESTARTSYS)
			events |= EPOLLERR | EPOLLIN | EPOLLRDNORM;
	}
	llm_dmem_pay_dues(client);
	spin_lock(&llm_broker.lock);
	if (llm_client_next_ready(client, false))
		events |= EPOLLIN | EPOLLRDNORM;
	if (!client->stream_id)
		events |= EPOLLOUT | EPOLLWRNORM;
	spin_unlock(&llm_broker.lock);
	return events;
}
