/* SPDX-License-Identifier: MIT */
/* Buffers on their way to a file and back; see swap_io.h. */
#include "engine/swap_io.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define SWAP_BUFFER_BYTES	(UINT64_C(64) << 20)	/* of all buffers together, about */
#define SWAP_BUFFERS_LEAST	4U
#define SWAP_READ_SHARE		4U	/* one buffer in so many is for reads alone */

/**
 * struct swap_io - see swap_io.h
 * @fd: of the thread alone, -1 until it has opened a file in @folder
 * @lock: @reads, @writes, @moves, @busy, @error, @stop, @users, and the state of buffers
 * @work: there is some
 * @error: why there is no file, -errno
 * @users: the owner and the thread; the last one frees it all
 */
struct swap_io {
	int fd;
	char *folder;
	size_t page_bytes;
	void (*ready)(void *arg);
	void *arg;
	pthread_mutex_t lock;
	pthread_cond_t work;
	struct list reads;
	struct list writes;
	uint64_t moves;
	bool busy;
	int error;
	bool stop;
	unsigned int users;
	struct swap_buffer *buffers;
	unsigned int count;
	char *memory;
	size_t memory_bytes;
};

static void io_destroy(struct swap_io *io)
{
	if (io->fd >= 0)
		close(io->fd);
	if (io->memory)
		munmap(io->memory, io->memory_bytes);
	pthread_cond_destroy(&io->work);
	pthread_mutex_destroy(&io->lock);
	free(io->buffers);
	free(io->folder);
	free(io);
}

/* with the lock, which is gone afterwards */
static void io_leave(struct swap_io *io)
{
	const bool is_last = !--io->users;

	pthread_mutex_unlock(&io->lock);
	if (is_last)
		io_destroy(io);
}

/* ---- the thread ---- */

/* its bytes are nobody's; with the lock */
static void io_shrink_one(const struct swap_io *io, const struct swap_buffer *buffer)
{
	const uintptr_t mask = (uintptr_t)sysconf(_SC_PAGESIZE) - 1;
	const uintptr_t from = ((uintptr_t)buffer->data + mask) & ~mask;
	const uintptr_t to = ((uintptr_t)buffer->data + io->page_bytes) & ~mask;

	if (to > from)
		madvise((void *)from, to - from, MADV_DONTNEED);
}

/*
 * Not by the owner: a file system that hangs holds up whoever opens. With the lock, which is not
 * held meanwhile.
 */
static void io_open(struct swap_io *io)
{
	int fd, r;

	io->busy = true;
	pthread_mutex_unlock(&io->lock);
	fd = open(io->folder, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, 0600);
	r = fd < 0 ? -errno : 0;
	pthread_mutex_lock(&io->lock);
	io->fd = fd;
	io->error = r;
	io->busy = false;
	io->moves++;
	for (unsigned int i = 0; r < 0 && i < io->count; i++)
		if (io->buffers[i].state == SWAP_BUFFER_FREE)
			io_shrink_one(io, &io->buffers[i]);
	if (r < 0 && io->ready && !io->stop)
		io->ready(io->arg);
}

/* all of a page, however often a signal or a quota of the disk cuts in */
static int io_move(const struct swap_io *io, const struct swap_buffer *buffer)
{
	const off_t at = (off_t)buffer->place * (off_t)io->page_bytes;
	size_t done = 0;
	ssize_t n;

	if (io->fd < 0)
		return -EBADF;
	while (done < io->page_bytes) {
		char *data = buffer->data + done;
		const size_t left = io->page_bytes - done;

		n = buffer->is_write ? pwrite(io->fd, data, left, at + (off_t)done) :
				       pread(io->fd, data, left, at + (off_t)done);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		done += (size_t)n;
	}
	return 0;
}

/* the next one, or NULL: the owner has gone */
static struct swap_buffer *io_next(struct swap_io *io)
{
	struct swap_buffer *buffer;

	while (!io->stop && list_empty(&io->reads) && list_empty(&io->writes))
		pthread_cond_wait(&io->work, &io->lock);
	if (io->stop)
		return NULL;
	buffer = list_first(list_empty(&io->reads) ? &io->writes : &io->reads, struct swap_buffer,
			    link);
	list_remove(&buffer->link);
	buffer->state = SWAP_BUFFER_MOVING;
	io->busy = true;
	return buffer;
}

static void *io_run(void *arg)
{
	struct swap_io *io = arg;
	struct swap_buffer *buffer;

	pthread_mutex_lock(&io->lock);
	if (!io->stop)
		io_open(io);
	while ((buffer = io_next(io))) {
		uint64_t start_ns;
		int r;

		pthread_mutex_unlock(&io->lock);
		start_ns = clock_ns();
		r = io_move(io, buffer);
		pthread_mutex_lock(&io->lock);
		buffer->took_ns = MAX(clock_ns() - start_ns, UINT64_C(1));
		buffer->result = r;
		buffer->state = SWAP_BUFFER_DONE;
		io->busy = false;
		io->moves++;
		if (!buffer->is_write && io->ready && !io->stop)
			io->ready(io->arg);
	}
	io_leave(io);
	return NULL;
}

/* no signal of the daemon is the thread's, and nobody joins it */
static int io_start(struct swap_io *io)
{
	sigset_t all, before;
	pthread_t thread;
	int r;

	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	io->users = 2;
	r = pthread_create(&thread, NULL, io_run, io);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (r) {
		io->users = 1;
		return -r;
	}
	pthread_setname_np(thread, "llmos-swap");
	pthread_detach(thread);
	return 0;
}

/* ---- opening and closing ---- */

static int io_allocate(struct swap_io *io)
{
	io->count = (unsigned int)MIN(SWAP_BUFFER_BYTES / io->page_bytes,
				      (uint64_t)SWAP_BUFFERS_MAX);
	io->count = MAX(io->count, SWAP_BUFFERS_LEAST);
	io->buffers = calloc(io->count, sizeof(*io->buffers));
	if (!io->buffers || !size_mul(&io->memory_bytes, io->page_bytes, io->count))
		return -ENOMEM;
	io->memory = mmap(NULL, io->memory_bytes, PROT_READ | PROT_WRITE,
			  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (io->memory == MAP_FAILED) {
		io->memory = NULL;
		return -ENOMEM;
	}
	for (unsigned int i = 0; i < io->count; i++) {
		list_init(&io->buffers[i].link);
		io->buffers[i].data = io->memory + (size_t)i * io->page_bytes;
	}
	return 0;
}

int swap_io_open(struct swap_io **ret, const char *folder, size_t page_bytes,
		 void (*ready)(void *arg), void *arg)
{
	struct swap_io *io = calloc(1, sizeof(*io));
	int r;

	if (!io)
		return -ENOMEM;
	io->page_bytes = page_bytes;
	io->ready = ready;
	io->arg = arg;
	io->users = 1;
	pthread_mutex_init(&io->lock, NULL);
	pthread_cond_init(&io->work, NULL);
	list_init(&io->reads);
	list_init(&io->writes);
	io->fd = -1;
	io->folder = strdup(folder);
	r = io->folder ? io_allocate(io) : -ENOMEM;
	if (!r)
		r = io_start(io);
	if (r < 0) {
		io_destroy(io);
		return r;
	}
	*ret = io;
	return 0;
}

/* a thread that hangs keeps the one page that it is moving, not all of them */
static void io_shrink(struct swap_io *io)
{
	for (unsigned int i = 0; i < io->count; i++)
		if (io->buffers[i].state != SWAP_BUFFER_MOVING)
			io_shrink_one(io, &io->buffers[i]);
}

void swap_io_close(struct swap_io *io)
{
	if (!io)
		return;
	pthread_mutex_lock(&io->lock);
	io->stop = true;
	if (io->busy)
		io_shrink(io);
	pthread_cond_signal(&io->work);
	io_leave(io);
}

int swap_io_error(struct swap_io *io)
{
	int error;

	pthread_mutex_lock(&io->lock);
	error = io->error;
	pthread_mutex_unlock(&io->lock);
	return error;
}

size_t swap_io_bytes(struct swap_io *io)
{
	return swap_io_error(io) ? 0 : io->memory_bytes;
}

/* ---- buffers ---- */

unsigned int swap_io_count(const struct swap_io *io)
{
	return io->count;
}

struct swap_buffer *swap_io_at(struct swap_io *io, unsigned int index)
{
	return &io->buffers[index];
}

unsigned int swap_io_index(const struct swap_io *io, const struct swap_buffer *buffer)
{
	return (unsigned int)(buffer - io->buffers);
}

struct swap_buffer *swap_io_take(struct swap_io *io, bool is_write)
{
	const unsigned int count = io->count - (is_write ? io->count / SWAP_READ_SHARE : 0);
	struct swap_buffer *found = NULL;

	pthread_mutex_lock(&io->lock);
	for (unsigned int i = 0; i < count && !found; i++) {
		/* those for reads alone are the last ones: reads leave writes the others */
		struct swap_buffer *buffer = &io->buffers[is_write ? i : count - 1 - i];

		if (buffer->state == SWAP_BUFFER_FREE)
			found = buffer;
	}
	if (found) {
		found->state = SWAP_BUFFER_TAKEN;
		found->is_write = is_write;
	}
	pthread_mutex_unlock(&io->lock);
	return found;
}

void swap_io_ask(struct swap_io *io, struct swap_buffer *buffer)
{
	pthread_mutex_lock(&io->lock);
	buffer->state = SWAP_BUFFER_QUEUED;
	list_append(buffer->is_write ? &io->writes : &io->reads, &buffer->link);
	pthread_cond_signal(&io->work);
	pthread_mutex_unlock(&io->lock);
}

static void io_set(struct swap_io *io, struct swap_buffer *buffer, enum swap_buffer_state state)
{
	pthread_mutex_lock(&io->lock);
	buffer->state = state;
	pthread_mutex_unlock(&io->lock);
}

void swap_io_fill(struct swap_io *io, struct swap_buffer *buffer)
{
	buffer->result = 0;
	buffer->took_ns = 0;
	io_set(io, buffer, SWAP_BUFFER_DONE);
}

bool swap_io_drop(struct swap_io *io, struct swap_buffer *buffer)
{
	bool is_dropped;

	pthread_mutex_lock(&io->lock);
	is_dropped = buffer->state == SWAP_BUFFER_QUEUED;
	if (is_dropped) {
		list_remove(&buffer->link);
		buffer->state = SWAP_BUFFER_FREE;
		if (io->error)
			io_shrink_one(io, buffer);
	}
	pthread_mutex_unlock(&io->lock);
	return is_dropped;
}

void swap_io_free(struct swap_io *io, struct swap_buffer *buffer)
{
	pthread_mutex_lock(&io->lock);
	buffer->state = SWAP_BUFFER_FREE;
	if (io->error)
		io_shrink_one(io, buffer);
	pthread_mutex_unlock(&io->lock);
}

unsigned int swap_io_done(struct swap_io *io, struct swap_buffer **ret)
{
	unsigned int count = 0;

	pthread_mutex_lock(&io->lock);
	for (unsigned int i = 0; i < io->count; i++)
		if (io->buffers[i].state == SWAP_BUFFER_DONE)
			ret[count++] = &io->buffers[i];
	pthread_mutex_unlock(&io->lock);
	return count;
}

enum swap_buffer_state swap_io_state(struct swap_io *io, const struct swap_buffer *buffer)
{
	enum swap_buffer_state state;

	pthread_mutex_lock(&io->lock);
	state = buffer->state;
	pthread_mutex_unlock(&io->lock);
	return state;
}

bool swap_io_is_busy(struct swap_io *io)
{
	bool busy;

	pthread_mutex_lock(&io->lock);
	busy = io->busy || !list_empty(&io->reads) || !list_empty(&io->writes);
	pthread_mutex_unlock(&io->lock);
	return busy;
}

uint64_t swap_io_moves(struct swap_io *io, bool *ret_busy)
{
	uint64_t moves;

	pthread_mutex_lock(&io->lock);
	moves = io->moves;
	*ret_busy = io->busy;
	pthread_mutex_unlock(&io->lock);
	return moves;
}
