// SPDX-License-Identifier: GPL-2.0-only
/*
 * A string of bytes in chunks: see bytes.h. Copies from and to user memory happen on strings that
 * no one else can see; what joins or splits strings that others can see only moves list heads and,
 * to keep single tokens from taking a chunk each, a few hundred bytes.
 */
#include <linux/minmax.h>
#include <linux/mm.h>
#include <linux/slab.h>

#include "bytes.h"

#define LLM_CHUNK_MAX	(PAGE_SIZE - sizeof(struct llm_chunk))
#define LLM_CHUNK_MIN	(512 - sizeof(struct llm_chunk))

/*
 * The memory is charged to whoever asks, and a COMMIT takes it in the server's name: a client's
 * cgroup that is full must fail the client's request, not have the server look for victims in it.
 */
#define LLM_CHUNK_GFP	(GFP_KERNEL_ACCOUNT | __GFP_RETRY_MAYFAIL | __GFP_NOWARN)

/** llm_chunks_free() - frees a list of chunks, whoever they belonged to */
void llm_chunks_free(struct list_head *chunks)
{
	struct llm_chunk *chunk, *next;

	list_for_each_entry_safe(chunk, next, chunks, node)
		kfree(chunk);
	INIT_LIST_HEAD(chunks);
}

/** llm_bytes_trash() - empties a string; its chunks are left to @trash */
void llm_bytes_trash(struct llm_bytes *bytes, struct list_head *trash)
{
	list_splice_tail_init(&bytes->chunks, trash);
	bytes->len = 0;
}

static struct llm_chunk *llm_bytes_grow(struct llm_bytes *bytes, size_t want)
{
	size_t capacity = clamp_t(size_t, want, LLM_CHUNK_MIN, LLM_CHUNK_MAX);
	struct llm_chunk *chunk;

	chunk = kmalloc(struct_size(chunk, data, capacity), LLM_CHUNK_GFP);
	if (!chunk)
		return NULL;
	chunk->start = 0;
	chunk->end = 0;
	chunk->capacity = capacity;
	list_add_tail(&chunk->node, &bytes->chunks);
	return chunk;
}

static struct llm_chunk *llm_bytes_tail(const struct llm_bytes *bytes)
{
	return list_empty(&bytes->chunks) ? NULL :
	       list_last_entry(&bytes->chunks, struct llm_chunk, node);
}

/** llm_bytes_last() - Return: the last byte, or -1 */
int llm_bytes_last(const struct llm_bytes *bytes)
{
	const struct llm_chunk *chunk = llm_bytes_tail(bytes);

	return chunk ? chunk->data[chunk->end - 1] : -1;
}

static void llm_bytes_cut(struct llm_bytes *bytes, size_t len)
{
	while (bytes->len > len) {
		struct llm_chunk *chunk = llm_bytes_tail(bytes);
		size_t n = min_t(size_t, chunk->end - chunk->start, bytes->len - len);

		chunk->end -= n;
		bytes->len -= n;
		if (chunk->start == chunk->end) {
			list_del(&chunk->node);
			kfree(chunk);
		}
	}
}

/**
 * llm_bytes_read_iter() - appends bytes of user memory
 * @bytes: a string that nobody else can see
 * @from: where from
 * @len: bytes
 *
 * Context: sleeps; charges the memory to the active memory cgroup.
 * Return: 0; ENOMEM, EFAULT: the string is as it was.
 */
int llm_bytes_read_iter(struct llm_bytes *bytes, struct iov_iter *from, size_t len)
{
	const size_t before = bytes->len;
	struct llm_chunk *chunk = llm_bytes_tail(bytes);

	while (len) {
		size_t n;

		if (!chunk || chunk->end == chunk->capacity) {
			chunk = llm_bytes_grow(bytes, len);
			if (!chunk) {
				llm_bytes_cut(bytes, before);
				return -ENOMEM;
			}
		}
		n = min_t(size_t, len, chunk->capacity - chunk->end);
		if (copy_from_iter(chunk->data + chunk->end, n, from) != n) {
			if (chunk->start == chunk->end) {
				list_del(&chunk->node);
				kfree(chunk);
			}
			llm_bytes_cut(bytes, before);
			return -EFAULT;
		}
		chunk->end += n;
		bytes->len += n;
		len -= n;
	}
	return 0;
}

/** llm_bytes_copy_user() - as llm_bytes_read_iter(), from a plain address */
int llm_bytes_copy_user(struct llm_bytes *bytes, const void __user *from, size_t len)
{
	struct iov_iter iter;
	int err;

	err = import_ubuf(ITER_SOURCE, (void __user *)from, len, &iter);
	if (err)
		return err;
	return llm_bytes_read_iter(bytes, &iter, len);
}

/**
 * llm_bytes_write_iter() - copies a part of a string to user memory
 * @bytes: may grow at its end meanwhile; nothing may be taken from it
 * @offset: of the first byte
 * @len: bytes; the string has them
 * @to: where to
 *
 * Context: sleeps.
 * Return: bytes copied; less than @len if user memory gave out.
 */
size_t llm_bytes_write_iter(const struct llm_bytes *bytes, size_t offset, size_t len,
			    struct iov_iter *to)
{
	const struct llm_chunk *chunk;
	size_t done = 0;

	if (!len)
		return 0;
	list_for_each_entry(chunk, &bytes->chunks, node) {
		size_t have = READ_ONCE(chunk->end) - chunk->start;
		size_t n, copied;

		if (offset >= have) {
			offset -= have;
			continue;
		}
		n = min(have - offset, len - done);
		copied = copy_to_iter(chunk->data + chunk->start + offset, n, to);
		done += copied;
		offset = 0;
		/* Stop before looking at a link that may just be growing. */
		if (copied != n || done == len)
			break;
	}
	return done;
}

/**
 * llm_bytes_append() - moves a string to the end of another one
 * @bytes: it grows
 * @tail: its bytes move; a chunk without bytes may be left in it, to be freed
 *
 * Context: any; copies LLM_CHUNK_MIN bytes at most.
 */
void llm_bytes_append(struct llm_bytes *bytes, struct llm_bytes *tail)
{
	struct llm_chunk *last = llm_bytes_tail(bytes);

	if (last && tail->len && tail->len <= LLM_CHUNK_MIN &&
	    tail->len <= last->capacity - last->end) {
		struct llm_chunk *only = llm_bytes_tail(tail);

		/* A string this short is one chunk. */
		memcpy(last->data + last->end, only->data + only->start, tail->len);
		WRITE_ONCE(last->end, last->end + tail->len);
		only->start = only->end;
	} else {
		list_splice_tail_init(&tail->chunks, &bytes->chunks);
	}
	bytes->len += tail->len;
	tail->len = 0;
}

/**
 * llm_bytes_detach() - takes chunks off the front of a string
 * @bytes: the string
 * @len: bytes to take at least; the string has them
 * @ret_head: they go here, and the rest of the last chunk with them; initialised by the caller
 *
 * Context: any; one step for each chunk taken.
 */
void llm_bytes_detach(struct llm_bytes *bytes, size_t len, struct llm_bytes *ret_head)
{
	while (ret_head->len < len) {
		struct llm_chunk *chunk =
			list_first_entry(&bytes->chunks, struct llm_chunk, node);

		list_move_tail(&chunk->node, &ret_head->chunks);
		ret_head->len += chunk->end - chunk->start;
		bytes->len -= chunk->end - chunk->start;
	}
}

/** llm_bytes_skip() - drops @len bytes from the front; chunks without bytes go to @trash */
void llm_bytes_skip(struct llm_bytes *bytes, size_t len, struct list_head *trash)
{
	while (len) {
		struct llm_chunk *chunk =
			list_first_entry(&bytes->chunks, struct llm_chunk, node);
		size_t n = min_t(size_t, len, chunk->end - chunk->start);

		chunk->start += n;
		bytes->len -= n;
		len -= n;
		if (chunk->start == chunk->end)
			list_move_tail(&chunk->node, trash);
	}
}

/** llm_bytes_attach() - puts @head back in front of the string it was detached from */
void llm_bytes_attach(struct llm_bytes *bytes, struct llm_bytes *head)
{
	list_splice_init(&head->chunks, &bytes->chunks);
	bytes->len += head->len;
	head->len = 0;
}
