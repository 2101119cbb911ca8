// SPDX-License-Identifier: MIT
/*
 * Registered buffers as the server maps them: the same pages, not copies of them; only those, only
 * for the process that serves, only as the client allows; and nothing of them once they are given
 * back, however that comes about. LLMOS_BUFFER_MIB says how large the large one is.
 */
#include "uapi.h"

#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/uio.h>
#include <sys/wait.h>

static int client, server;
static size_t page;

static uint64_t reg(int fd, const void *addr, size_t len, uint32_t flags)
{
	struct llm_register arg = {
		.size = sizeof(arg), .flags = flags, .addr = (uintptr_t)addr, .len = len,
	};

	return ioctl(fd, LLM_IOC_REGISTER, &arg) ? 0 : arg.buffer;
}

static int unreg(int fd, uint64_t id)
{
	struct llm_unregister arg = { .size = sizeof(arg), .buffer = id };

	return ioctl(fd, LLM_IOC_UNREGISTER, &arg);
}

static char *memory(size_t len)
{
	char *addr = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	must(addr != MAP_FAILED, "mmap");
	return addr;
}

static char *map(uint64_t id, size_t len, int prot)
{
	return mmap(NULL, len, prot, MAP_SHARED, server, (off_t)id);
}

/* ---- what touching an address does ---- */

static sigjmp_buf touched;

static void on_fault(int signal)
{
	siglongjmp(touched, signal);
}

/* Return: 0, or the signal. */
static int touch(volatile char *at, bool write)
{
	const int got = sigsetjmp(touched, 1);

	if (got)
		return got;
	if (write)
		*at = *at;
	else
		(void)*at;
	return 0;
}

static uint64_t free_kib(void)
{
	FILE *file = fopen("/proc/meminfo", "r");
	uint64_t kib = 0;
	char line[128];

	must(file != NULL, "/proc/meminfo");
	while (fgets(line, sizeof(line), file))
		if (sscanf(line, "MemFree: %" SCNu64, &kib) == 1)
			break;
	fclose(file);
	return kib;
}

/* ---- no copy ---- */

/* Has all of a payload copied. Return: KiB of memory that took. */
static int64_t pull_all(uint64_t id, size_t len)
{
	const uint64_t before = free_kib();
	char *copy = memory(len);
	int64_t took;

	for (size_t done = 0; done < len;) {
		struct llm_pull arg = {
			.size = sizeof(arg), .id = id, .buf = (uintptr_t)(copy + done),
			.buf_len = (uint32_t)(len - done), .offset = done,
		};
		const int n = ioctl(server, LLM_IOC_PULL, &arg);

		must(n > 0, "PULL");
		done += (size_t)n;
	}
	took = (int64_t)(before - free_kib());
	munmap(copy, len);
	return took;
}

static void test_no_copy(void)
{
	const char *given = getenv("LLMOS_BUFFER_MIB");
	const size_t len = (given ? strtoul(given, NULL, 0) : 64) << 20, pages = len / page;
	char *addr = memory(len), *seen;
	struct llm_submit submit = submit_init(NULL, len);
	size_t same = 0, news = 0;
	uint64_t id, before, after;
	int64_t pulled;
	struct event event;

	for (size_t i = 0; i < pages; i++)
		memcpy(addr + i * page, &i, sizeof(i));
	before = free_kib();
	id = reg(client, addr, len, 0);
	ok(id, "%zu MiB", len >> 20);
	submit.flags = LLM_SUBMIT_BUFFER;
	submit.buffer = id;
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "as a prompt");
	is(fetch(server, LLM_FETCH_REQUEST, &event), sizeof(event.head), "fetched");
	seen = map(event.head.buffer, event.head.buffer_len, PROT_READ);
	must(seen != MAP_FAILED, "mmap /dev/llmd");
	for (size_t i = 0; i < pages; i++)
		same += !memcmp(seen + i * page, &i, sizeof(i));
	is(same, pages, "the server sees each page");
	after = free_kib();
	for (size_t i = 0; i < pages; i++)
		memcpy(addr + i * page, &(size_t) { ~i }, sizeof(i));
	for (size_t i = 0; i < pages; i++)
		news += !memcmp(seen + i * page, &(size_t) { ~i }, sizeof(i));
	is(news, pages, "and at once what becomes of each, because it is the same page");
	pulled = pull_all(submit.id, len);
	tap_note("%zu pages of %zu bytes, %zu of them the same on both sides; registered, submitted "
		 "and mapped they take %" PRId64 " KiB more, a copy by PULL takes %" PRId64 " KiB",
		 pages, page, news, (int64_t)(before - after), pulled);
	/* page tables, and eight bytes a page */
	ok((int64_t)(before - after) < (int64_t)(len >> 10) / 8, "no memory was taken for a copy");
	ok(pulled > (int64_t)(len >> 10) * 7 / 8, "one that is made would show");
	fails(unreg(client, id), EBUSY, "in use");
	commit_status(server, submit.id, 0);
	cancel(client, submit.id, LLM_CANCEL_FORGET);
	is(touch(seen, false), 0, "still there");
	is(unreg(client, id), 0, "unregistered");
	is(touch(seen, false), SIGBUS, "gone");
	is(touch(seen + len - 1, false), SIGBUS, "to the end");
	munmap(seen, len);
	munmap(addr, len);
}

/* ---- only what is allowed ---- */

static void test_refused(void)
{
	char *addr = memory(4 * page), *seen;
	const uint64_t id = reg(client, addr, 4 * page, 0);
	pid_t pid;

	ok(id, "a buffer of four pages");
	ok(map(id, 5 * page, PROT_READ) == MAP_FAILED && errno == EINVAL, "five of them");
	ok(map(id + page, 4 * page, PROT_READ) == MAP_FAILED && errno == EINVAL, "over its end");
	ok(map(id + 4 * page, page, PROT_READ) == MAP_FAILED && errno == EINVAL, "behind its end");
	ok(map(id - page, page, PROT_READ) == MAP_FAILED && errno == EINVAL, "before it");
	ok(map(0, page, PROT_READ) == MAP_FAILED && errno == EINVAL, "nothing");
	ok(map(id, page, PROT_READ | PROT_WRITE) == MAP_FAILED && errno == EACCES, "to be written");
	ok(map(id, page, PROT_READ | PROT_EXEC) == MAP_FAILED && errno == EACCES, "to be executed");
	ok(mmap(NULL, page, PROT_READ, MAP_PRIVATE, server, (off_t)id) == MAP_FAILED &&
	   errno == EINVAL, "private");
	ok(mmap(NULL, page, PROT_READ, MAP_SHARED, client, (off_t)id) == MAP_FAILED,
	   "on the other device");
	seen = map(id + page, 2 * page, PROT_READ);
	ok(seen != MAP_FAILED, "two pages of the middle");
	strcpy(addr + page, "middle");
	ok(!strcmp(seen, "middle"), "the right ones");
	fails(mprotect(seen, page, PROT_READ | PROT_WRITE), EACCES, "made writable");
	fails(mprotect(seen, page, PROT_READ | PROT_EXEC), EACCES, "made executable");
	is(touch(seen, true), SIGSEGV, "written");
	ok(mremap(seen, 2 * page, 3 * page, MREMAP_MAYMOVE) == MAP_FAILED, "made longer");
	is(madvise(seen, 2 * page, MADV_DOFORK), -1, "passed on to children");
	/* a mapping is nobody's memory: it cannot be pinned, and so not be kept */
	is(reg(client, seen, page, 0), 0, "registered in turn");
	pid = fork();
	if (!pid) {
		child_must(touch(seen, false) == SIGSEGV);
		_exit(0);
	}
	is(wait_child(pid), 0, "a child has not got it");
	pid = fork();
	if (!pid) {
		child_must(map(id, page, PROT_READ) == MAP_FAILED && errno == EPERM);
		_exit(0);
	}
	is(wait_child(pid), 0, "and cannot get it");
	is(munmap(seen, page), 0, "a part of it is unmapped");
	is(touch(seen + page, false), 0, "the other part is there");
	is(unreg(client, id), 0, "unregistered");
	is(touch(seen + page, false), SIGBUS, "gone");
	ok(map(id, page, PROT_READ) == MAP_FAILED && errno == EINVAL, "and cannot be mapped again");
	munmap(seen + page, page);
	munmap(addr, 4 * page);
}

static void test_write(void)
{
	char *addr = memory(2 * page), *seen;
	const uint64_t id = reg(client, addr, 2 * page, LLM_BUFFER_WRITE);
	struct llm_submit submit = submit_init("x", 1);
	struct llm_commit arg;
	struct llm_read read;
	struct event event;

	ok(id, "a buffer to be written");
	submit.answer_buffer = id;
	submit.answer_offset = 100;
	submit.answer_len = page;
	is(ioctl(client, LLM_IOC_SUBMIT, &submit), 0, "for an answer");
	fetch(server, LLM_FETCH_REQUEST, &event);
	seen = map(event.head.answer_buffer, event.head.answer_buffer_len, PROT_READ | PROT_WRITE);
	ok(seen != MAP_FAILED, "mapped to be written");
	memset(seen + event.head.answer_offset, 'a', page);
	arg = commit_init(submit.id, NULL, 0);
	arg.answer_bytes = page;
	arg.flags = LLM_COMMIT_END;
	is(ioctl(server, LLM_IOC_COMMIT, &arg), 0, "filled");
	read = read_init(submit.id, &event, sizeof(event));
	is(ioctl(client, LLM_IOC_READ, &read), 0, "read");
	is(read.answer_bytes, page, "as much");
	ok(addr[99] == 0 && addr[100] == 'a' && addr[99 + page] == 'a' && addr[100 + page] == 0,
	   "there it is");
	is(unreg(client, id), 0, "unregistered");
	is(touch(seen, true), SIGBUS, "nobody writes it any more");
	ok(addr[100] == 'a', "it stays");
	munmap(seen, 2 * page);
	munmap(addr, 2 * page);
}

/* ---- ends ---- */

/* A client forks: whoever writes gets pages of his own, but not the one who registered them. */
static void test_fork(void)
{
	char *addr = memory(page), *seen;
	uint64_t id;
	int pipes[2];
	pid_t pid;
	char byte;

	strcpy(addr, "before");
	id = reg(client, addr, page, 0);
	seen = map(id, page, PROT_READ);
	must(id && seen != MAP_FAILED && !pipe(pipes), "map");
	pid = fork();
	if (!pid) {
		child_must(!strcmp(addr, "before"));
		strcpy(addr, "the child's");
		child_must(write(pipes[1], "x", 1) == 1);
		_exit(0);
	}
	must(read(pipes[0], &byte, 1) == 1, "read");
	ok(!strcmp(seen, "before"), "a child writes to its own");
	strcpy(addr, "the parent's");
	ok(!strcmp(seen, "the parent's"), "the parent to the one that is registered");
	is(wait_child(pid), 0, "the child is well");
	is(unreg(client, id), 0, "unregistered");
	close(pipes[0]);
	close(pipes[1]);
	munmap(seen, page);
	munmap(addr, page);
}

/* What is unmapped and mapped anew by the client is not what he registered. */
static void test_remapped(void)
{
	char *addr = memory(page), *seen;
	uint64_t id;

	strcpy(addr, "registered");
	id = reg(client, addr, page, 0);
	seen = map(id, page, PROT_READ);
	must(id && seen != MAP_FAILED, "map");
	must(mmap(addr, page, PROT_READ | PROT_WRITE, MAP_FIXED | MAP_PRIVATE | MAP_ANONYMOUS, -1,
		  0) == addr, "mmap");
	strcpy(addr, "secret");
	ok(!strcmp(seen, "registered"), "the server sees what was registered");
	is(touch(seen, false), 0, "which is still there");
	is(unreg(client, id), 0, "until it is unregistered");
	is(touch(seen, false), SIGBUS, "then it is gone");
	munmap(seen, page);
	munmap(addr, page);
}

/* A client in another process: the server holds its request and has its memory mapped. */
static void child_client(int how, int ready, int go)
{
	const int fd = client_open();
	char *addr = memory(page), byte;
	struct llm_submit submit = submit_init(NULL, 16);

	strcpy(addr, "of the client");
	submit.flags = LLM_SUBMIT_BUFFER;
	submit.buffer = reg(fd, addr, page, 0);
	child_must(submit.buffer && ioctl(fd, LLM_IOC_SUBMIT, &submit) == 0);
	child_must(write(ready, "x", 1) == 1 && read(go, &byte, 1) == 1);
	if (how == 0)
		raise(SIGKILL);
	if (how == 1)
		close(fd);
	if (how == 2)
		execl("/bin/sleep", "sleep", "1000", NULL);
	pause();
	_exit(0);
}

static void test_client_ends(void)
{
	static const char *const hows[] = { "killed", "closed", "exec" };

	for (int how = 0; how < 3; how++) {
		int ready[2], go[2];
		struct event event;
		char *seen, byte;
		pid_t pid;

		must(!pipe2(ready, O_CLOEXEC) && !pipe2(go, O_CLOEXEC), "pipe");
		pid = fork();
		if (!pid)
			child_client(how, ready[1], go[0]);
		must(read(ready[0], &byte, 1) == 1, "a client");
		fetch(server, LLM_FETCH_REQUEST, &event);
		seen = map(event.head.buffer, page, PROT_READ);
		ok(seen != MAP_FAILED && !strcmp(seen, "of the client"), "%s: mapped", hows[how]);
		must(write(go[1], "x", 1) == 1, "write");
		is(fetch(server, LLM_FETCH_NOTICE, &event), sizeof(event.head), "%s: cancelled",
		   hows[how]);
		ok(!touch(seen, false) && !strcmp(seen, "of the client"),
		   "%s: the server is not pulled the rug from under it", hows[how]);
		commit_status(server, event.head.id, 0);
		/* the file's last reference goes a little later, where an exec closes it */
		ok(eventually(touch(seen, false) == SIGBUS), "%s: gone with the end", hows[how]);
		kill(pid, SIGKILL);
		waitpid(pid, NULL, 0);
		munmap(seen, page);
		for (int i = 0; i < 2; i++) {
			close(ready[i]);
			close(go[i]);
		}
	}
}

/* A server that is gone sees nothing more, also if its process and its mapping are still there. */
static void test_server_ends(void)
{
	char *addr = memory(page), *seen;
	const uint64_t id = reg(client, addr, page, 0);
	pid_t pid;

	must(id, "register");
	seen = map(id, page, PROT_READ);
	is(touch(seen, false), 0, "mapped");
	pid = fork();
	if (!pid) {
		struct event event;

		/* who fetched last serves */
		child_must(fetch(server, LLM_FETCH_NOTICE | LLM_FETCH_NONBLOCK, &event) == -1);
		child_must(map(id, page, PROT_READ) != MAP_FAILED);
		_exit(0);
	}
	is(wait_child(pid), 0, "a child takes over, maps it and is gone");
	is(touch(seen, false), SIGBUS, "so is what was mapped before");
	ok(map(id, page, PROT_READ) == MAP_FAILED && errno == EPERM, "and nothing can be mapped");
	munmap(seen, page);
	close(server);
	server = server_open();
	seen = map(id, page, PROT_READ);
	is(touch(seen, false), 0, "the next server maps it");
	close(server);
	is(touch(seen, false), 0, "a mapping holds the file");
	must(!munmap(seen, page), "munmap");
	server = server_open();
	is(unreg(client, id), 0, "unregistered");
	munmap(addr, page);
}

/* ---- races ---- */

static char *race_seen;
static volatile bool race_over;

static void *race_reader(void *arg)
{
	unsigned long faults = 0;

	(void)arg;
	while (!race_over) {
		char copy[64];
		struct iovec to = { copy, sizeof(copy) }, from = { race_seen, sizeof(copy) };

		/* the kernel's way to touch it does not raise a signal */
		if (write(-1, race_seen, 1) == -1 && errno == EFAULT)
			faults++;
		process_vm_readv(getpid(), &to, 1, &from, 1, 0);
		mincore(race_seen, page, (unsigned char *)copy);
	}
	return (void *)faults;
}

/* Buffers come and go under mappings that are touched all the time. */
static void test_race(void)
{
	const int memfd = memfd_create("sink", MFD_CLOEXEC);
	char *addr = memory(16 * page);
	bool good = true;
	pthread_t thread;

	must(memfd >= 0, "memfd");
	race_seen = memory(16 * page);
	must(!pthread_create(&thread, NULL, race_reader, NULL), "pthread_create");
	for (int i = 0; i < 200; i++) {
		const uint64_t id = reg(client, addr, 16 * page, i % 2 ? LLM_BUFFER_WRITE : 0);
		char *seen = mmap(race_seen, 16 * page, PROT_READ, MAP_SHARED | MAP_FIXED, server,
				  (off_t)id);

		good &= id && seen == race_seen;
		/* as far as it is there, it is copied; else EFAULT */
		for (int j = 0; j < 16; j++)
			good &= pwrite(memfd, race_seen + (size_t)j * page, 8, 0) == 8;
		good &= unreg(client, id) == 0;
		good &= pwrite(memfd, race_seen, 8, 0) == -1 && errno == EFAULT;
	}
	race_over = true;
	pthread_join(thread, NULL);
	ok(good, "200 buffers come and go while they are touched");
	munmap(race_seen, 16 * page);
	munmap(addr, 16 * page);
	close(memfd);
}

int main(void)
{
	const struct sigaction action = { .sa_handler = on_fault };

	page = (size_t)sysconf(_SC_PAGESIZE);
	sigaction(SIGBUS, &action, NULL);
	sigaction(SIGSEGV, &action, NULL);
	client = client_open();
	server = server_open();
	test_no_copy();
	test_refused();
	test_write();
	test_fork();
	test_remapped();
	test_client_ends();
	test_server_ends();
	test_race();
	is(features(client).requests, 0, "nothing is left");
	close(server);
	close(client);
	return tap_done();
}
