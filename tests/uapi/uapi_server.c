// SPDX-License-Identifier: MIT
/*
 * A server for the programs in this folder: see server_start() in uapi.h. It steps all the
 * requests it has in turn, one COMMIT each, as a real one does; it knows nothing but what the
 * broker tells it, so it can be killed at any moment.
 */
#include "uapi.h"

#include <inttypes.h>
#include <liburing.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#define JOBS 64
#define CHUNK_MAX 4096

struct job {
	uint64_t id;
	uint64_t seed;
	uint64_t done;
	uint64_t length;
	uint32_t chunk;
	int status;
	bool echo;
	bool paused;
	char text[4096];
};

struct server {
	int fd;
	struct job jobs[JOBS];
	struct io_uring ring;
	bool by_uring;
	struct llm_fetch fetches[2];
	struct event events[2];
};

uint8_t gen_byte(uint64_t seed, uint64_t index)
{
	uint64_t state = seed * 1000003 + index;

	return (uint8_t)('a' + random_next(&state) % 26);
}

bool gen_matches(uint64_t seed, const void *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (((const uint8_t *)bytes)[i] != gen_byte(seed, i))
			return false;
	return true;
}

static struct job *job_find(struct server *server, uint64_t id)
{
	for (int i = 0; i < JOBS; i++)
		if (server->jobs[i].id == id)
			return &server->jobs[i];
	return NULL;
}

static bool server_idle(const struct server *server)
{
	for (int i = 0; i < JOBS; i++)
		if (server->jobs[i].id && !server->jobs[i].paused)
			return false;
	return true;
}

/* The last entry of a request's journal, 0 if it has none; FETCH need not have brought it. */
static uint64_t journal_last(int fd, const struct llm_event *head)
{
	uint64_t last = 0;
	struct llm_pull pull = {
		.size = sizeof(pull),
		.id = head->id,
		.buf = (uintptr_t)&last,
		.buf_len = sizeof(last),
		.offset = (uint64_t)head->stop_len + head->payload_len + head->journal_len -
			  sizeof(last),
	};
	int rc;

	if (!head->journal_len)
		return 0;
	child_must(head->journal_len % sizeof(last) == 0);
	rc = ioctl(fd, LLM_IOC_PULL, &pull);
	/* It may be cancelled by now; the next COMMIT will say so. */
	child_must(rc == sizeof(last) || (rc < 0 && errno == ECANCELED));
	return rc < 0 ? head->output_bytes : last;
}

static void job_begin(int fd, struct job *job, const struct event *event)
{
	const struct llm_event *head = &event->head;
	const char *text = event->data + head->stop_len;
	char prompt[sizeof(job->text)];
	uint64_t journaled;

	child_must(head->payload_len < sizeof(prompt));
	child_must(head->data_len >= head->stop_len + head->payload_len);
	memcpy(prompt, text, head->payload_len);
	prompt[head->payload_len] = '\0';
	*job = (struct job) { .id = head->id };
	if (sscanf(prompt, "gen %" SCNu64 " %" SCNu64 " %" SCNu32, &job->seed, &job->length,
		   &job->chunk) == 3) {
		journaled = journal_last(fd, head);
		/* Data and journal of a COMMIT take effect together. */
		child_must(journaled == head->output_bytes);
		child_must(head->output_tokens == journaled);
		job->done = journaled;
	} else if (sscanf(prompt, "fail %d", &job->status) != 1) {
		job->echo = true;
		memcpy(job->text, prompt, head->payload_len + 1);
	}
}

static void server_commit(struct server *server, struct job *job)
{
	char data[CHUNK_MAX] = "";
	uint64_t journal;
	struct llm_commit arg = commit_init(job->id, data, 0);
	int verdict;

	if (job->echo) {
		arg.data = (uintptr_t)job->text;
		arg.data_len = (uint32_t)strlen(job->text);
	} else {
		while (arg.data_len < job->chunk && arg.data_len < sizeof(data) &&
		       job->done < job->length)
			data[arg.data_len++] = (char)gen_byte(job->seed, job->done++);
	}
	journal = job->done;
	arg.journal = (uintptr_t)&journal;
	arg.journal_len = sizeof(journal);
	arg.output_tokens = (uint32_t)job->done;
	if (job->echo || job->done == job->length) {
		arg.flags = LLM_COMMIT_END;
		arg.status = -job->status;
		arg.finish = job->status ? LLM_FINISH_NONE : LLM_FINISH_STOP;
	}
	verdict = ioctl(server->fd, LLM_IOC_COMMIT, &arg);
	child_must(verdict >= 0);
	if (verdict == LLM_VERDICT_CANCELLED && !(arg.flags & LLM_COMMIT_END))
		child_must(commit_status(server->fd, job->id, -ECANCELED) ==
			   LLM_VERDICT_CANCELLED);
	job->paused = verdict == LLM_VERDICT_PAUSE;
	if (arg.flags & LLM_COMMIT_END || verdict == LLM_VERDICT_CANCELLED)
		job->id = 0;
}

static void server_event(struct server *server, const struct event *event)
{
	struct job *job = job_find(server, event->head.id);

	switch (event->head.type) {
	case LLM_EVENT_REQUEST:
		child_must(!job);
		job = job_find(server, 0);
		child_must(job);
		job_begin(server->fd, job, event);
		break;
	case LLM_EVENT_CANCEL:
		/* It may have ended in the COMMIT before. */
		if (job) {
			commit_status(server->fd, job->id, -ECANCELED);
			job->id = 0;
		}
		break;
	case LLM_EVENT_RESUME:
		if (job)
			job->paused = false;
		break;
	default:
		child_must(!"a known event");
	}
}

/* Takes all that is due; waits if there is nothing else to do. */
static void server_poll_ioctl(struct server *server)
{
	struct event event;

	for (;;) {
		const uint32_t room = job_find(server, 0) ?
				      LLM_FETCH_REQUEST | LLM_FETCH_CONTROL : 0;
		const uint32_t wait = server_idle(server) ? 0 : LLM_FETCH_NONBLOCK;

		if (fetch(server->fd, LLM_FETCH_NOTICE | room | wait, &event) < 0) {
			child_must(errno == EAGAIN || errno == EINTR);
			return;
		}
		server_event(server, &event);
	}
}

static void server_park(struct server *server, int which)
{
	server->fetches[which] = fetch_init(which ? LLM_FETCH_NOTICE :
					    LLM_FETCH_REQUEST | LLM_FETCH_CONTROL,
					    &server->events[which], sizeof(server->events[which]));
	uring_queue(&server->ring, server->fd, LLM_IOC_FETCH, &server->fetches[which],
		    (uint64_t)which);
}

static void server_poll_uring(struct server *server)
{
	struct io_uring_cqe *cqe;

	io_uring_submit_and_wait(&server->ring, server_idle(server));
	while (io_uring_peek_cqe(&server->ring, &cqe) == 0) {
		const int which = (int)cqe->user_data;

		errno = -cqe->res;
		child_must(cqe->res > 0);
		io_uring_cqe_seen(&server->ring, cqe);
		server_event(server, &server->events[which]);
		server_park(server, which);
		io_uring_submit(&server->ring);
	}
}

static void serve(struct server *server)
{
	server->fd = server_open();
	if (server->by_uring) {
		child_must(io_uring_queue_init(16, &server->ring, 0) == 0);
		server_park(server, 0);
		server_park(server, 1);
	}
	for (;;) {
		if (server->by_uring)
			server_poll_uring(server);
		else
			server_poll_ioctl(server);
		for (int i = 0; i < JOBS; i++)
			if (server->jobs[i].id && !server->jobs[i].paused)
				server_commit(server, &server->jobs[i]);
	}
}

pid_t server_start(bool by_uring)
{
	const pid_t parent = getpid();
	const pid_t pid = fork();

	must(pid >= 0, "fork");
	if (!pid) {
		struct server *server = calloc(1, sizeof(*server));

		child_must(server);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		if (getppid() != parent)
			_exit(0);
		server->by_uring = by_uring;
		serve(server);
	}
	return pid;
}

void server_stop(pid_t pid)
{
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}
