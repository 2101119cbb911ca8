/* SPDX-License-Identifier: MIT */
/* Threads that close descriptors; see closer.h. */
#include "ipc/closer.h"

#include <linux/sockios.h>
#include <pthread.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "base/clock.h"
#include "base/log.h"

#define CLOSERS_RETRY_NS	(100 * NS_PER_MS)

/** struct closer_job - a descriptor; @link: in one of the two lists */
struct closer_job {
	struct list link;
	struct closers *closers;
	uint32_t uid;
	int fd;
};

/**
 * struct closers - all of them
 * @loop: of the server; with @retry only its thread's
 * @retry: no thread could be made
 * @lock: of what follows
 * @running: jobs that have a thread, @running_count of them
 * @waiting: jobs that have none, oldest first; @waiting_count of them
 * @is_closed: the server is gone
 */
struct closers {
	struct loop *loop;
	struct loop_timer retry;
	pthread_mutex_t lock;
	struct list running;
	unsigned int running_count;
	struct list waiting;
	unsigned int waiting_count;
	bool is_closed;
};

/* ---- with the lock held ---- */

static unsigned int closers_of(const struct closers *closers, uint32_t uid)
{
	const struct closer_job *job;
	unsigned int count = 0;

	list_each(job, &closers->running, link)
		count += job->uid == uid;
	return count;
}

/* threads that have to wait for a processor do not look like this: what they close is soon done */
static bool closers_stuck(const struct closers *closers, uint32_t uid)
{
	const struct closer_job *job;
	unsigned int count = 0;

	list_each(job, &closers->waiting, link)
		count += job->uid == uid;
	return count >= CLOSERS_USER_WAITING && closers_of(closers, uid) >= CLOSERS_USER_MAX;
}

/* Return: the oldest job that may have a thread, now among those that have one; NULL: none may */
static struct closer_job *closers_next(struct closers *closers)
{
	const struct closer_job *refused = NULL;
	struct closer_job *job;

	if (closers->running_count >= CLOSERS_MAX)
		return NULL;
	list_each(job, &closers->waiting, link) {
		/* mostly they are all of one user */
		if (refused && refused->uid == job->uid)
			continue;
		if (closers_of(closers, job->uid) < CLOSERS_USER_MAX) {
			list_move(&closers->running, &job->link);
			closers->waiting_count--;
			closers->running_count++;
			return job;
		}
		refused = job;
	}
	return NULL;
}

static void closers_wait(struct closers *closers, struct closer_job *job)
{
	list_append(&closers->waiting, &job->link);
	closers->waiting_count++;
}

static void closers_done(struct closers *closers, struct closer_job *job)
{
	list_remove(&job->link);
	closers->running_count--;
}

/* ---- the threads ---- */

/* what waits at the end of the server is closed with the process */
static void closers_destroy(struct closers *closers)
{
	while (!list_empty(&closers->waiting)) {
		struct closer_job *job = list_first(&closers->waiting, struct closer_job, link);

		list_remove(&job->link);
		free(job);
	}
	pthread_mutex_destroy(&closers->lock);
	free(closers);
}

static void *closer_thread(void *arg)
{
	struct closer_job *job = arg;
	struct closers *closers = job->closers;
	bool is_last = false;

	while (job) {
		struct closer_job *done = job;

		close(done->fd);
		pthread_mutex_lock(&closers->lock);
		closers_done(closers, done);
		job = closers_next(closers);
		is_last = closers->is_closed && !closers->running_count;
		pthread_mutex_unlock(&closers->lock);
		free(done);
	}
	if (is_last)
		closers_destroy(closers);
	return NULL;
}

static int closer_start(struct closer_job *job)
{
	pthread_attr_t attr;
	pthread_t thread;
	int r;

	r = pthread_attr_init(&attr);
	if (r)
		return -r;
	pthread_attr_setdetachstate(&attr, PTHREAD_CREATE_DETACHED);
	r = pthread_create(&thread, &attr, closer_thread, job);
	pthread_attr_destroy(&attr);
	return -r;
}

/* ---- the server's side ---- */

static struct closer_job *closers_pick(struct closers *closers)
{
	struct closer_job *job;

	pthread_mutex_lock(&closers->lock);
	job = closers_next(closers);
	pthread_mutex_unlock(&closers->lock);
	return job;
}

static void closers_run(struct closers *closers)
{
	struct closer_job *job;

	while ((job = closers_pick(closers))) {
		if (!closer_start(job))
			continue;
		pthread_mutex_lock(&closers->lock);
		closers_done(closers, job);
		closers_wait(closers, job);
		pthread_mutex_unlock(&closers->lock);
		loop_timer_set(closers->loop, &closers->retry, clock_ns() + CLOSERS_RETRY_NS);
		return;
	}
}

static void closers_retry(struct loop_timer *timer)
{
	closers_run(container_of(timer, struct closers, retry));
}

int closers_new(struct closers **ret, struct loop *loop)
{
	struct closers *closers = calloc(1, sizeof(*closers));

	if (!closers)
		return -ENOMEM;
	closers->loop = loop;
	list_init(&closers->retry.link);
	closers->retry.fire = closers_retry;
	pthread_mutex_init(&closers->lock, NULL);
	list_init(&closers->running);
	list_init(&closers->waiting);
	*ret = closers;
	return 0;
}

void closers_free(struct closers *closers)
{
	bool is_last;

	loop_timer_stop(&closers->retry);
	pthread_mutex_lock(&closers->lock);
	closers->is_closed = true;
	is_last = !closers->running_count;
	pthread_mutex_unlock(&closers->lock);
	if (is_last)
		closers_destroy(closers);
}

bool closers_close(struct closers *closers, uint32_t uid, int fd)
{
	struct closer_job *job = calloc(1, sizeof(*job));
	bool is_busy;

	if (!job) {
		/* rather one descriptor less than to hang */
		log_error("socket: no memory to close a descriptor of user %u", uid);
		return false;
	}
	*job = (struct closer_job){ .closers = closers, .uid = uid, .fd = fd };
	list_init(&job->link);
	pthread_mutex_lock(&closers->lock);
	is_busy = closers_stuck(closers, uid);
	closers_wait(closers, job);
	pthread_mutex_unlock(&closers->lock);
	closers_run(closers);
	return !is_busy;
}

void closers_close_socket(struct closers *closers, uint32_t uid, int fd)
{
	int queued = 0;

	/* nothing comes any more; and what has come goes with the socket, descriptors too */
	shutdown(fd, SHUT_RDWR);
	if (!ioctl(fd, SIOCINQ, &queued) && !queued)
		close(fd);
	else
		closers_close(closers, uid, fd);
}

bool closers_busy(struct closers *closers, uint32_t uid)
{
	bool is_busy;

	pthread_mutex_lock(&closers->lock);
	is_busy = closers_stuck(closers, uid);
	pthread_mutex_unlock(&closers->lock);
	return is_busy;
}

bool closers_full(struct closers *closers)
{
	bool is_full;

	pthread_mutex_lock(&closers->lock);
	is_full = closers->waiting_count >= CLOSERS_WAITING_MAX;
	pthread_mutex_unlock(&closers->lock);
	return is_full;
}
