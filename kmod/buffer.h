/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A buffer: memory that a client registers once, and that its requests refer to instead of having
 * it copied. The server reads its pages where they are, and writes them where the client said it
 * may, by mapping them. A buffer is alive while its file has it registered or a request that uses
 * it has not ended: who holds a request need not fear that its memory goes away. After that, it is
 * taken out of the server's mapping first, and then the pages are let go of.
 */
#ifndef LLM_BUFFER_H
#define LLM_BUFFER_H

#include <linux/list.h>
#include <linux/mm.h>
#include <linux/rbtree.h>
#include <linux/refcount.h>
#include <linux/types.h>

#include "pin.h"

struct llm_client;
struct llm_trash;

/**
 * struct llm_buffer - the broker's lock protects what is not said to be constant
 * @refs: keep this struct, nothing else; its user's and mappings'
 * @first: constant; the number of its first page on /dev/llmd, by which it is known
 * @by_first: in llm_broker.buffers, while it is alive
 * @node: in llm_client.buffers while it is registered; in a struct llm_trash when nobody uses it
 * @uses: its registration and the requests that have not ended
 * @pin: constant while it is alive; its pages
 * @dead: its pages must not be mapped; protected by llm_map_lock
 */
struct llm_buffer {
	refcount_t refs;
	u64 first;
	struct rb_node by_first;
	struct list_head node;
	u32 uses;
	struct llm_pin pin;
	bool dead;
};

/** llm_buffer_id() - its name for clients and servers: where it can be mapped on /dev/llmd */
static inline u64 llm_buffer_id(const struct llm_buffer *buffer)
{
	return buffer ? buffer->first << PAGE_SHIFT : 0;
}

/** llm_buffer_len() - its bytes */
static inline u64 llm_buffer_len(const struct llm_buffer *buffer)
{
	return buffer ? (u64)buffer->pin.count << PAGE_SHIFT : 0;
}

struct llm_buffer *llm_buffer_use(struct llm_client *client, u64 id);
struct llm_buffer *llm_buffer_at(u64 page);
void llm_buffer_put(struct llm_buffer *buffer, struct llm_trash *trash);
void llm_buffer_put_ref(struct llm_buffer *buffer);
void llm_buffers_free(struct list_head *buffers);
void llm_buffers_close(struct llm_client *client);

#endif /* LLM_BUFFER_H */
