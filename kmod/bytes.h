/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * A string of bytes that grows at its end and is read from its front: a prompt, a journal, the
 * unread part of an answer. It is a list of chunks of at most a page, so that none of its
 * operations but the copying ones takes longer for a longer string. Its owner protects it.
 */
#ifndef LLM_BYTES_H
#define LLM_BYTES_H

#include <linux/list.h>
#include <linux/types.h>
#include <linux/uio.h>

/**
 * struct llm_chunk - a piece
 * @node: in its string
 * @start: the first byte that belongs to the string
 * @end: behind the last one
 * @capacity: bytes there is room for
 * @data: the bytes
 */
struct llm_chunk {
	struct list_head node;
	u32 start;
	u32 end;
	u32 capacity;
	u8 data[];
};

/**
 * struct llm_bytes - the string
 * @chunks: its pieces; none is empty
 * @len: bytes
 */
struct llm_bytes {
	struct list_head chunks;
	u32 len;
};

int llm_bytes_read_iter(struct llm_bytes *bytes, struct iov_iter *from, size_t len);
int llm_bytes_copy_user(struct llm_bytes *bytes, const void __user *from, size_t len);
size_t llm_bytes_write_iter(const struct llm_bytes *bytes, size_t offset, size_t len,
			    struct iov_iter *to);
int llm_bytes_last(const struct llm_bytes *bytes);
void llm_bytes_append(struct llm_bytes *bytes, struct llm_bytes *tail);
void llm_bytes_detach(struct llm_bytes *bytes, size_t len, struct llm_bytes *ret_head);
void llm_bytes_skip(struct llm_bytes *bytes, size_t len, struct list_head *trash);
void llm_bytes_attach(struct llm_bytes *bytes, struct llm_bytes *head);
void llm_bytes_trash(struct llm_bytes *bytes, struct list_head *trash);
void llm_chunks_free(struct list_head *chunks);

static inline void llm_bytes_init(struct llm_bytes *bytes)
{
	INIT_LIST_HEAD(&bytes->chunks);
	bytes->len = 0;
}

/** llm_bytes_free() - empties a string */
static inline void llm_bytes_free(struct llm_bytes *bytes)
{
	if (!list_empty(&bytes->chunks))
		llm_chunks_free(&bytes->chunks);
	bytes->len = 0;
}

/** llm_bytes_read_user() - appends bytes of user memory, if any; as llm_bytes_copy_user() */
static inline int llm_bytes_read_user(struct llm_bytes *bytes, const void __user *from,
				      size_t len)
{
	return len ? llm_bytes_copy_user(bytes, from, len) : 0;
}

#endif /* LLM_BYTES_H */
