// SPDX-License-Identifier: MIT
/*
 * Registered buffers as their client sees them: what can be registered and what cannot, who pays,
 * payloads that lie in one, and that a buffer stays while a request uses it. The server here reads
 * by PULL; how it maps them is another program's matter.
 */
#include "uapi.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int client, server;
static size_t page;

static int reg(int fd, const void *addr, size_t len, uint32_t flags, uint64_t *ret_id)
{
	struct llm_register arg = {
		.size = sizeof(arg), .flags = flags, .addr = (uintptr_t)addr, .len = len,
	};
	const int rc = ioctl(fd, LLM_IOC_REGISTER, &arg);

	if (ret_id)
		*ret_id = arg.buffer;
	return rc;
}

static int reg_memfd(int fd, int memfd, uint64_t offset, size_t len, uint32_t flags,
		     uint64_t *ret_id)
{
	struct llm_register arg = {
		.size = sizeof(arg), .flags = flags | LLM_BUFFER_MEMFD, .addr = offset, .len = len,
		.fd = memfd,
	};
	const int rc = ioctl(fd, LLM_IOC_REGISTER, &arg);

	if (ret_id)
		*ret_id = arg.buffer;
	return rc;
}

static int unreg(int fd, uint64_t id)
{
	struct llm_unregister arg = { .size = sizeof(arg), .buffer = id };

	return ioctl(fd, LLM_IOC_UNREGISTER, &arg);
}

static void *memory(size_t len, int prot, int flags)
{
	void *addr = mmap(NULL, len, prot, flags | MAP_ANONYMOUS, -1, 0);

	must(addr != MAP_FAILED, "mmap");
	return addr;
}

static struct llm_submit in_buffer(uint64_t id, uint64_t offset, uint32_t len)
{
	struct llm_submit submit = submit_init((void *)(uintptr_t)offset, len);

	submit.flags = LLM_SUBMIT_BUFFER;
	submit.buffer = id;
	return submit;
}

static int pull(uint64_t id, uint64_t offset, void *buf, uint32_t len)
{
	struct llm_pull arg = {
		.size = sizeof(arg), .id = id, .buf = (uintptr_t)buf, .buf_len = len,
		.offset = offset,
	};

	return ioctl(server, LLM_IOC_PULL, &arg);
}

static void test_refused(void)
{
	char *two = memory(2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	char *read_only = memory(page, PROT_READ, MAP_PRIVATE);
	const int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
	char *text = mmap(NULL, page, PROT_READ, MAP_PRIVATE, file, 0);
	struct llm_register arg = { .size = sizeof(arg), .addr = (uintptr_t)two, .len = page };
	uint64_t id;

	must(!munmap(two + page, page), "munmap");
	fails(reg(client, two, 0, 0, NULL), EINVAL, "nothing");
	fails(reg(client, two + 1, page, 0, NULL), EINVAL, "not at the start of a page");
	fails(reg(client, two, page - 1, 0, NULL), EINVAL, "not whole pages");
	fails(reg(client, two, page, 1U << 31, NULL), EINVAL, "an unknown flag");
	fails(reg(client, two, 2 * page, 0, NULL), EFAULT, "the second page is not there");
	fails(reg(client, NULL, page, 0, NULL), EFAULT, "nor is the first of all");
	fails(reg(client, (void *)(UINTPTR_MAX - page + 1), page, 0, NULL), EINVAL, "the last one");
	fails(reg(client, (void *)(UINTPTR_MAX - 2 * page + 1), page, 0, NULL), EFAULT,
	      "the kernel's");
	fails(reg(client, (void *)(UINTPTR_MAX - page + 1), 2 * page, 0, NULL), EINVAL,
	      "around the end");
	fails(reg(client, two, (size_t)-page, 0, NULL), EINVAL, "as long as can be");
	fails(reg(client, (void *)page, (size_t)1 << 40, 0, NULL), E2BIG, "too long");
	fails(reg(client, read_only, page, LLM_BUFFER_WRITE, NULL), EFAULT,
	      "read-only memory to be written");
	is(reg(client, read_only, page, 0, &id), 0, "to be read");
	is(unreg(client, id), 0, "and done");
	ok(text != MAP_FAILED && reg(client, text, page, 0, &id) == 0, "a program's own text");
	is(unreg(client, id), 0, "and done");
	fails(reg(client, text, page, LLM_BUFFER_WRITE, NULL), EFAULT, "which is not to be written");
	fails(reg(server, two, page, 0, NULL), ENOTTY, "REGISTER is not for servers");
	fails(reg_memfd(client, -1, 0, page, 0, NULL), EBADF, "no file");
	fails(reg_memfd(client, client, 0, page, 0, NULL), EINVAL, "not a file in memory");
	fails(reg_memfd(client, file, 0, page, 0, NULL), EINVAL, "nor this one");
	arg.fd = 1;
	fails(ioctl(client, LLM_IOC_REGISTER, &arg), EINVAL, "a file that is not asked for");
	fails(unreg(client, 0), ENOENT, "no buffer");
	fails(unreg(client, id), ENOENT, "one that is gone");
	is(reg(client, two, page, 0, &id), 0, "a good one");
	ok(id && id % page == 0, "has a name");
	fails(unreg(client, id + page), ENOENT, "not its neighbour's");
	is(unreg(client, id), 0, "and goes");
	close(file);
	munmap(text, page);
	munmap(read_only, page);
	munmap(two, page);
}

static void test_limits(void)
{
	const uint32_t most = features(client).max_buffers_file;
	char *addr = memory(page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint64_t *ids = calloc(most, sizeof(*ids));
	bool good = true;

	must(ids != NULL, "calloc");
	for (uint32_t i = 0; i < most; i++)
		good &= reg(client, addr, page, 0, &ids[i]) == 0;
	ok(good, "%u buffers, all of the same page", most);
	fails(reg(client, addr, page, 0, NULL), EBUSY, "not one more");
	for (uint32_t i = 0; i < most; i++)
		good &= unreg(client, ids[i]) == 0;
	ok(good, "all of them go");
	is(reg(client, addr, page, 0, &ids[0]), 0, "there is room again");
	is(unreg(client, ids[0]), 0, "done");
	param_set("max_buffer_bytes", 4 * page);
	fails(reg(client, addr, 5 * page, 0, NULL), E2BIG, "longer than the administrator likes");
	param_set("max_buffer_bytes", 1UL << 30);
	free(ids);
	munmap(addr, page);
}

/* What is pinned is billed to the user, together over all his files and processes. */
static void child_memlock(void)
{
	const size_t room = 16 * page;
	const struct rlimit limit = { room, room };
	const int first = client_open(), second = client_open();
	char *addr = memory(room, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	uint64_t id, other;
	pid_t pid;

	child_must(!setrlimit(RLIMIT_MEMLOCK, &limit));
	become_user(4242);
	child_must(reg(first, addr, room, 0, &id) == 0);
	child_must(reg(second, addr, page, 0, &other) == -1 && errno == ENOMEM);
	pid = fork();
	if (!pid) {
		child_must(reg(second, addr, page, 0, &other) == -1 && errno == ENOMEM);
		_exit(0);
	}
	child_must(wait_child(pid) == 0);
	child_must(unreg(first, id) == 0);
	child_must(reg(second, addr, room - page, 0, &other) == 0);
	child_must(reg(first, addr, 2 * page, 0, &id) == -1 && errno == ENOMEM);
	child_must(reg(first, addr, page, 0, &id) == 0);
	/* closing gives back as well */
	close(first);
	close(second);
	child_must(client_open() >= 0);
	_exit(0);
}

static void test_memlock(void)
{
	const struct rlimit none = { 0, 0 };
	char *addr = memory(page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct rlimit before;
	uint64_t id;

	for (int i = 0; i < 2; i++) {
		const pid_t pid = fork();

		if (!pid)
			child_memlock();
		is(wait_child(pid), 0, "RLIMIT_MEMLOCK bounds what a user pins, round %d", i);
	}
	must(!getrlimit(RLIMIT_MEMLOCK, &before) && !setrlimit(RLIMIT_MEMLOCK, &none), "setrlimit");
	is(reg(client, addr, page, 0, &id), 0, "but not who has CAP_IPC_LOCK");
	is(unreg(client, id), 0, "done");
	must(!setrlimit(RLIMIT_MEMLOCK, &before), "setrlimit");
	munmap(addr, page);
}

static void test_submit(void)
{
	const size_t len = 3 * page;
	char *addr = memory(len, PROT_READ | PROT_WRITE, MAP_PRIVATE), got[64];
	struct llm_submit submit;
	struct event event;
	struct llm_read read;
	uint64_t id;

	for (size_t i = 0; i < len; i++)
		addr[i] = (char)gen_byte(7, i);
	is(reg(client, addr, len, 0, &id), 0, "a buffer");
	submit = in_buffer(id, page - 10, 30);
	submit.stop = (uintptr_t)"end";
	submit.stop_len = 4;
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "a payload across a page's end");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 4, "is not copied unasked");
	ok(event.head.data_len == 4 && !memcmp(event.data, "end", 4), "the stop strings are");
	is(event.head.buffer, id, "the server hears of the buffer");
	is(event.head.buffer_len, len, "of its length");
	is(event.head.payload_offset, page - 10, "where the payload is");
	is(event.head.payload_len, 30, "and how long");
	ok(event.head.flags & LLM_SUBMIT_BUFFER, "and that it is there");
	is(event.head.answer_buffer, 0, "no buffer for the answer");
	is(pull(submit.id, 4, got, sizeof(got)), 30, "who asks gets it");
	ok(!memcmp(got, addr + page - 10, 30), "as it is");
	is(pull(submit.id, 2, got, 12), 12, "also from the middle of what is before");
	ok(!memcmp(got, "d", 2) && !memcmp(got + 2, addr + page - 10, 10), "in order");
	addr[page] ^= 1;
	is(pull(submit.id, 4 + 10, got, 1), 1, "when it has changed");
	is(got[0], addr[page], "as it is now");
	is(pull(submit.id, 34, got, 1), 0, "it has an end");
	is(features(client).requests, 1, "one request");
	fails(unreg(client, id), EBUSY, "in use");
	is(cancel(client, submit.id, 0), 0, "cancelled");
	fails(unreg(client, id), EBUSY, "the server has it still");
	is(commit_status(server, submit.id, 0), LLM_VERDICT_CANCELLED, "until it lets go");
	is(unreg(client, id), 0, "then it is nobody's");
	is(read_all(client, submit.id, got, sizeof(got), &read), 0, "the request is there");
	is(read.status, -ECANCELED, "as cancelled");

	is(reg(client, addr, len, 0, &id), 0, "again");
	submit = in_buffer(id, 0, (uint32_t)len);
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "all of it");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "fetched");
	{
		struct llm_commit arg = commit_init(submit.id, NULL, 0);

		arg.journal = (uintptr_t)"journal";
		arg.journal_len = 7;
		is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "with a journal");
	}
	is(pull(submit.id, len - 2, got, sizeof(got)), 2, "which is not told to who wrote it");
	ok(!memcmp(got, addr + len - 2, 2), "but the end of the payload");
	close(server);
	server = server_open();
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "the next server");
	is(event.head.buffer, id, "gets the same");
	is(pull(submit.id, len - 1, got, sizeof(got)), 8, "and the journal");
	is(commit(server, submit.id, "fine", LLM_COMMIT_END), 0, "and answers");
	is(read_all(client, submit.id, got, sizeof(got), &read), 4, "as ever");
	is(unreg(client, id), 0, "done");
	munmap(addr, len);
}

static void test_submit_refused(void)
{
	const int other = client_open();
	char *addr = memory(2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct llm_submit submit;
	uint64_t id;

	is(reg(client, addr, 2 * page, 0, &id), 0, "a buffer");
	submit = in_buffer(id, 1, (uint32_t)(2 * page));
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "over its end");
	submit = in_buffer(id, 2 * page + 1, 0);
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "behind its end");
	submit = in_buffer(id, UINT64_MAX, 2);
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "around all ends");
	submit = in_buffer(id, 0, LLM_BUFFER_PAYLOAD_MAX + 1);
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), E2BIG, "too long for anyone");
	submit = in_buffer(id, 0, 1);
	fails(ioctl(other, LLM_IOC_SUBMIT, &submit), ENOENT, "another file's");
	submit = in_buffer(id + page, 0, 1);
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), ENOENT, "another page's");
	submit = in_buffer(0, 0, 1);
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "no buffer");
	submit = submit_init("x", 1);
	submit.buffer = id;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "a buffer without the flag");
	submit = submit_init("x", 1);
	submit.answer_buffer = id;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EACCES, "an answer where nothing may be written");
	submit.answer_buffer = 0;
	submit.answer_len = 1;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "an answer nowhere");
	is(features(client).requests, 0, "none of them has left anything");
	is(unreg(client, id), 0, "and nobody uses the buffer");
	is(reg(client, addr, 2 * page, LLM_BUFFER_WRITE, &id), 0, "one that may be written");
	submit = submit_init("x", 1);
	submit.answer_buffer = id;
	submit.answer_offset = page;
	submit.answer_len = page + 1;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "an answer over its end");
	submit.answer_len = UINT64_MAX - page + 1;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EINVAL, "or around it");
	submit.stop = (uintptr_t)nowhere();
	submit.stop_len = 4;
	submit.answer_len = page;
	fails(ioctl(client, LLM_IOC_SUBMIT, &submit), EFAULT, "stop strings that are not there");
	is(unreg(client, id), 0, "leave the buffer alone");
	close(other);
	munmap(addr, 2 * page);
}

static void test_answer(void)
{
	char *addr = memory(page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct llm_submit submit = submit_init("x", 1);
	struct llm_commit arg;
	struct llm_read read;
	struct event event;
	uint64_t id;

	is(reg(client, addr, page, LLM_BUFFER_WRITE, &id), 0, "a buffer to be written");
	submit.answer_buffer = id;
	submit.answer_offset = 64;
	submit.answer_len = 100;
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "a request with room for more than an answer");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head) + 1, "the server hears");
	ok(event.head.answer_buffer == id && event.head.answer_buffer_len == page &&
	   event.head.answer_offset == 64 && event.head.answer_len == 100 &&
	   !event.head.answer_bytes && !event.head.buffer, "where and how much");
	arg = commit_init(submit.id, "a", 1);
	arg.answer_bytes = 101;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "more than there is room for");
	arg.answer_bytes = 60;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "some of it");
	arg.answer_bytes = 59;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "less than before");
	arg.answer_bytes = 0;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "as before");
	read = read_init(submit.id, NULL, 0);
	is(ioctl(client, LLM_IOC_READ, &read), 0, "READ");
	is(read.answer_bytes, 60, "tells");
	close(server);
	server = server_open();
	fetch(server, LLM_FETCH_REQUEST, &event);
	is(event.head.answer_bytes, 60, "the next server hears of it");
	arg = commit_init(submit.id, NULL, 0);
	arg.answer_bytes = 100;
	arg.flags = LLM_COMMIT_END;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "the end");
	is(unreg(client, id), 0, "the buffer is free, before the answer is read");
	read = read_init(submit.id, addr, 8);
	is(ioctl(client, LLM_IOC_READ, &read), 0, "READ");
	ok(read.answer_bytes == 100 && read.out_flags == LLM_READ_END, "tells at the end");
	id = submit_text(client, "x");
	fetch(server, LLM_FETCH_REQUEST, &event);
	arg = commit_init(id, NULL, 0);
	arg.answer_bytes = 1;
	fails(ioctl(server, LLM_IOC_COMMIT, &arg), EINVAL, "where there is no room at all");
	commit_status(server, id, 0);
	cancel(client, id, LLM_CANCEL_FORGET);
	munmap(addr, page);
}

static void test_memfd(void)
{
	const int memfd = memfd_create("buffer", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	int read_only;
	char path[64], got[8];
	struct llm_submit submit;
	struct event event;
	uint64_t id;

	must(memfd >= 0 && !ftruncate(memfd, (off_t)(4 * page)), "memfd");
	must(pwrite(memfd, "abcdefgh", 8, (off_t)page) == 8, "pwrite");
	fails(reg_memfd(client, memfd, 1, page, 0, NULL), EINVAL, "not at the start of a page");
	fails(reg_memfd(client, memfd, 4 * page, page, 0, NULL), EINVAL, "behind its end");
	fails(reg_memfd(client, memfd, 3 * page, 2 * page, 0, NULL), EINVAL, "over its end");
	fails(reg_memfd(client, memfd, (uint64_t)INT64_MAX - page + 1, page, 0, NULL), EINVAL,
	      "as far as can be");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", memfd);
	read_only = open(path, O_RDONLY | O_CLOEXEC);
	must(read_only >= 0, path);
	fails(reg_memfd(client, read_only, 0, page, LLM_BUFFER_WRITE, NULL), EACCES,
	      "a file not open for writing");
	is(reg_memfd(client, read_only, page, 2 * page, 0, &id), 0, "to be read");
	submit = in_buffer(id, 2, 4);
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "a payload in it");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "fetched");
	is(pull(submit.id, 0, got, 8), 4, "read");
	ok(!memcmp(got, "cdef", 4), "as written");
	must(!ftruncate(memfd, 0), "ftruncate");
	is(pull(submit.id, 0, got, 8), 4, "after the file was truncated");
	close(read_only);
	is(pull(submit.id, 3, got, 8), 1, "and closed");
	commit_status(server, submit.id, 0);
	cancel(client, submit.id, LLM_CANCEL_FORGET);
	is(unreg(client, id), 0, "done");

	must(!ftruncate(memfd, (off_t)page), "ftruncate");
	is(reg_memfd(client, memfd, 0, page, LLM_BUFFER_WRITE, &id), 0, "to be written");
	fails(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), EBUSY, "it cannot be sealed meanwhile");
	is(unreg(client, id), 0, "done");
	is(fcntl(memfd, F_ADD_SEALS, F_SEAL_FUTURE_WRITE), 0, "sealed against new writers");
	fails(reg_memfd(client, memfd, 0, page, LLM_BUFFER_WRITE, NULL), EPERM, "that holds");
	is(fcntl(memfd, F_ADD_SEALS, F_SEAL_WRITE), 0, "sealed altogether");
	fails(reg_memfd(client, memfd, 0, page, LLM_BUFFER_WRITE, NULL), EPERM, "that holds, too");
	is(reg_memfd(client, memfd, 0, page, 0, &id), 0, "reading is another matter");
	is(unreg(client, id), 0, "done");
	close(memfd);
}

/* ---- races ---- */

struct racer {
	uint64_t id;
	int won;
	int wrong;
};

static void *race_unregister(void *arg)
{
	struct racer *racer = arg;

	if (unreg(client, racer->id) == 0)
		__atomic_fetch_add(&racer->won, 1, __ATOMIC_RELAXED);
	else if (errno != ENOENT && errno != EBUSY)
		__atomic_fetch_add(&racer->wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void *race_submit(void *arg)
{
	struct racer *racer = arg;
	struct llm_submit submit = in_buffer(racer->id, 0, 16);

	if (ioctl(client, LLM_IOC_SUBMIT, &submit) == 0)
		cancel(client, submit.id, LLM_CANCEL_FORGET);
	else if (errno != ENOENT)
		__atomic_fetch_add(&racer->wrong, 1, __ATOMIC_RELAXED);
	return NULL;
}

static void test_races(void)
{
	char *addr = memory(page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	bool good = true;

	for (int i = 0; i < 100; i++) {
		struct racer racer = { .won = 0 };
		pthread_t threads[4];
		must(reg(client, addr, page, 0, &racer.id) == 0, "register");
		for (int j = 0; j < 4; j++)
			must(!pthread_create(&threads[j], NULL,
					     j % 2 && i % 2 ? race_submit : race_unregister,
					     &racer), "pthread_create");
		for (int j = 0; j < 4; j++)
			pthread_join(threads[j], NULL);
		/* all of them may have found it in use */
		racer.won += unreg(client, racer.id) == 0;
		good &= racer.won == 1 && !racer.wrong;
	}
	ok(good, "of those who unregister a buffer at once, one does");
	munmap(addr, page);
}

/* A file goes with all it has, whoever uses it; and so does a process. */
static void child_leaves(int how)
{
	const int fd = client_open();
	char *addr = memory(64 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE);
	struct llm_request_info info;
	struct llm_submit submit;
	uint64_t id;

	child_must(reg(fd, addr, 64 * page, LLM_BUFFER_WRITE, &id) == 0);
	submit = in_buffer(id, 0, (uint32_t)(64 * page));
	submit.answer_buffer = id;
	submit.answer_len = page;
	child_must(ioctl(fd, LLM_IOC_SUBMIT, &submit) == 0);
	/* until the server knows of it */
	child_must(eventually(state_of(fd, submit.id, &info) >= 0 && info.dispatch_ns));
	if (how == 0)
		raise(SIGKILL);
	if (how == 1)
		execl("/bin/true", "true", NULL);
	if (how == 2)
		munmap(addr, 64 * page);
	_exit(0);
}

static void test_leaving(void)
{
	static const char *const hows[] = { "killed", "exec", "munmap and exit" };
	struct event event;
	char got[8];

	for (int how = 0; how < 3; how++) {
		const pid_t pid = fork();

		must(pid >= 0, "fork");
		if (!pid)
			child_leaves(how);
		is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "%s: fetched",
		   hows[how]);
		wait_child(pid);
		is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head),
		   "%s: cancelled", hows[how]);
		is(event.head.type, LLM_EVENT_CANCEL, "%s: as it should", hows[how]);
		fails(pull(event.head.id, 0, got, 8), ECANCELED, "%s: not read any more", hows[how]);
		is(commit_status(server, event.head.id, 0), LLM_VERDICT_CANCELLED, "%s: let go",
		   hows[how]);
	}
}

int main(void)
{
	page = (size_t)sysconf(_SC_PAGESIZE);
	client = client_open();
	server = server_open();
	test_refused();
	test_limits();
	test_memlock();
	test_submit();
	test_submit_refused();
	test_answer();
	test_memfd();
	test_races();
	test_leaving();
	is(features(client).requests, 0, "nothing is left");
	close(server);
	close(client);
	return tap_done();
}
