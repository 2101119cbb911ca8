// SPDX-License-Identifier: GPL-2.0-only
/*
 * Registered buffers: see buffer.h. A buffer is pinned before anybody can see it, and unpinned
 * after nobody can; in between it is counted who uses it.
 */
#include <linux/errno.h>
#include <linux/kernel.h>
#include <linux/lockdep.h>
#include <linux/slab.h>
#include <linux/stddef.h>

#include "args.h"
#include "broker.h"
#include "buffer.h"
#include "call.h"
#include "client.h"
#include "commands.h"
#include "limits.h"
#include "map.h"
#include "request.h"

/* ---- who uses it ---- */

static struct llm_buffer *llm_buffer_find(struct llm_client *client, u64 id)
{
	struct llm_buffer *buffer;

	list_for_each_entry(buffer, &client->buffers, node)
		if (llm_buffer_id(buffer) == id)
			return buffer;
	return NULL;
}

/**
 * llm_buffer_use() - a request is going to use a buffer
 * @client: whose both are
 * @id: the buffer's
 *
 * Return: it, for llm_buffer_put(); NULL: no such buffer is registered.
 */
struct llm_buffer *llm_buffer_use(struct llm_client *client, u64 id)
{
	struct llm_buffer *buffer;

	lockdep_assert_held(&llm_broker.lock);
	buffer = llm_buffer_find(client, id);
	if (buffer)
		buffer->uses++;
	return buffer;
}

/** llm_buffer_put() - one who used it does so no more; the last one leaves it to @trash */
void llm_buffer_put(struct llm_buffer *buffer, struct llm_trash *trash)
{
	lockdep_assert_held(&llm_broker.lock);
	if (!buffer || --buffer->uses)
		return;
	rb_erase(&buffer->by_first, &llm_broker.buffers);
	list_move_tail(&buffer->node, &trash->buffers);
}

/** llm_buffer_put_ref() - returns a reference to the struct */
void llm_buffer_put_ref(struct llm_buffer *buffer)
{
	if (refcount_dec_and_test(&buffer->refs))
		kfree(buffer);
}

/** llm_buffers_free() - lets go of buffers that nobody uses; without the lock. Sleeps. */
void llm_buffers_free(struct list_head *buffers)
{
	struct llm_buffer *buffer, *next;

	list_for_each_entry_safe(buffer, next, buffers, node) {
		llm_map_revoke(buffer);
		llm_pin_release(&buffer->pin);
		llm_buffer_put_ref(buffer);
		cond_resched();
	}
	INIT_LIST_HEAD(buffers);
}

/** llm_buffer_at() - Return: the buffer that has this page of /dev/llmd, with a reference; or NULL */
struct llm_buffer *llm_buffer_at(u64 page)
{
	struct rb_node *node = llm_broker.buffers.rb_node;

	lockdep_assert_held(&llm_broker.lock);
	while (node) {
		struct llm_buffer *buffer = rb_entry(node, struct llm_buffer, by_first);

		if (page < buffer->first) {
			node = node->rb_left;
		} else if (page - buffer->first >= buffer->pin.count) {
			node = node->rb_right;
		} else {
			refcount_inc(&buffer->refs);
			return buffer;
		}
	}
	return NULL;
}

/* ---- REGISTER ---- */

static int llm_register_check(const struct llm_register *reg)
{
	const bool memfd = reg->flags & LLM_BUFFER_MEMFD;

	if (reg->flags & ~LLM_BUFFER_FLAGS || reg->pad || (!memfd && reg->fd) ||
	    !llm_args_zero(reg->reserved, sizeof(reg->reserved)) ||
	    !reg->len || (reg->addr | reg->len) & (PAGE_SIZE - 1) ||
	    reg->addr + reg->len < reg->addr || (memfd && reg->addr + reg->len > S64_MAX))
		return -EINVAL;
	return reg->len > llm_limit(max_buffer_bytes) ? -E2BIG : 0;
}

/* A place among the file's buffers, before anything is pinned. Return: 0; EBUSY. */
static int llm_register_admit(struct llm_client *client)
{
	int err = 0;

	spin_lock(&llm_broker.lock);
	if (client->buffer_count >= llm_limit(max_buffers_file))
		err = -EBUSY;
	else
		client->buffer_count++;
	spin_unlock(&llm_broker.lock);
	return err;
}

static int llm_register_pin(const struct llm_register *reg, struct llm_pin *pin)
{
	const bool write = reg->flags & LLM_BUFFER_WRITE;

	if (reg->flags & LLM_BUFFER_MEMFD)
		return llm_pin_memfd(pin, reg->fd, reg->addr, reg->len, write);
	return llm_pin_memory(pin, reg->addr, reg->len, write);
}

/* Pages have numbers of their own, which are never used again; there are more than can be used up. */
static void llm_register_publish(struct llm_client *client, struct llm_buffer *buffer)
{
	struct rb_node **link = &llm_broker.buffers.rb_node, *parent = NULL;

	lockdep_assert_held(&llm_broker.lock);
	buffer->first = llm_broker.last_page + 1;
	/* and one that is nobody's after each */
	llm_broker.last_page = buffer->first + buffer->pin.count;
	buffer->uses = 1;
	while (*link) {
		parent = *link;
		link = &parent->rb_right;
	}
	rb_link_node(&buffer->by_first, parent, link);
	rb_insert_color(&buffer->by_first, &llm_broker.buffers);
	list_add_tail(&buffer->node, &client->buffers);
}

static int llm_register(struct llm_client *client, const struct llm_register *reg, u64 *ret_id)
{
	struct llm_buffer *buffer = kzalloc(sizeof(*buffer), GFP_KERNEL_ACCOUNT);
	int err;

	if (!buffer)
		return -ENOMEM;
	err = llm_register_pin(reg, &buffer->pin);
	if (err) {
		kfree(buffer);
		return err;
	}
	refcount_set(&buffer->refs, 1);
	spin_lock(&llm_broker.lock);
	llm_register_publish(client, buffer);
	*ret_id = llm_buffer_id(buffer);
	spin_unlock(&llm_broker.lock);
	return 0;
}

/* Takes a buffer off its file. Return: 0; ENOENT, EBUSY a request uses it. */
static int llm_unregister(struct llm_client *client, u64 id)
{
	struct llm_buffer *buffer;
	LLM_DEFINE_TRASH(trash);
	int err = 0;

	spin_lock(&llm_broker.lock);
	buffer = llm_buffer_find(client, id);
	if (!buffer) {
		err = -ENOENT;
	} else if (buffer->uses > 1) {
		err = -EBUSY;
	} else {
		client->buffer_count--;
		llm_buffer_put(buffer, &trash);
	}
	spin_unlock(&llm_broker.lock);
	llm_trash_empty(&trash);
	return err;
}

int llm_register_start(struct llm_call *call)
{
	struct llm_register *reg = &call->args.reg;
	struct llm_client *client = call->client;
	int err;

	err = llm_register_check(reg) ?: llm_register_admit(client);
	if (err)
		return err;
	err = llm_register(client, reg, &reg->buffer);
	if (err) {
		spin_lock(&llm_broker.lock);
		client->buffer_count--;
		spin_unlock(&llm_broker.lock);
		return err;
	}
	err = llm_args_write_part(call, offsetof(struct llm_register, buffer),
				  offsetofend(struct llm_register, buffer));
	/* Somebody may have guessed its name and use it by now: then it stays until the file goes. */
	if (err)
		llm_unregister(client, reg->buffer);
	return err;
}

int llm_unregister_start(struct llm_call *call)
{
	const struct llm_unregister *unreg = &call->args.unreg;

	if (unreg->flags || !llm_args_zero(unreg->reserved, sizeof(unreg->reserved)))
		return -EINVAL;
	return llm_unregister(call->client, unreg->buffer);
}

/**
 * llm_buffers_close() - the last close of their file
 * @client: submits nothing any more
 *
 * Context: sleeps. Those that a server still works with stay until it lets go.
 */
void llm_buffers_close(struct llm_client *client)
{
	struct llm_buffer *buffer;
	LLM_DEFINE_TRASH(trash);

	do {
		spin_lock(&llm_broker.lock);
		buffer = list_first_entry_or_null(&client->buffers, struct llm_buffer, node);
		if (buffer) {
			client->buffer_count--;
			list_del_init(&buffer->node);
			llm_buffer_put(buffer, &trash);
		}
		spin_unlock(&llm_broker.lock);
		llm_trash_empty(&trash);
	} while (buffer);
}
