// SPDX-License-Identifier: MIT
/*
 * Who may open what; and everything a client does works without root.
 */
#include "uapi.h"

#include <fcntl.h>
#include <grp.h>
#include <liburing.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void test_nodes(void)
{
	struct stat status;

	must(!stat("/dev/llm", &status), "stat /dev/llm");
	ok(S_ISCHR(status.st_mode), "/dev/llm is a device");
	is(status.st_mode & 07777, 0660, "for its group");
	is(status.st_uid, 0, "and root");
	ok(status.st_gid != 0, "the group is not root's");
	must(!stat("/dev/llmd", &status), "stat /dev/llmd");
	is(status.st_mode & 07777, 0600, "/dev/llmd is root's alone");
	is(status.st_uid, 0, "root");
}

static void test_stranger(void)
{
	const pid_t pid = fork();

	if (!pid) {
		child_must(!setgroups(0, NULL));
		child_must(!setresgid(4321, 4321, 4321) && !setresuid(4321, 4321, 4321));
		child_must(is_open_refused("/dev/llm", O_RDWR, EACCES));
		child_must(is_open_refused("/dev/llm", O_RDONLY, EACCES));
		child_must(is_open_refused("/dev/llmd", O_RDWR, EACCES));
		_exit(0);
	}
	is(wait_child(pid), 0, "a stranger opens neither");
}

static void member(void)
{
	char prompt[64] = "gen 8 5000 100", answer[8192];
	struct llm_submit_read both = {
		.submit = submit_init(prompt, strlen(prompt)),
		.read = read_init(0, answer, sizeof(answer)),
	};
	struct io_uring ring;
	struct llm_read last;
	uint64_t id;
	int fd;

	become_user(4321);
	child_must(is_open_refused("/dev/llmd", O_RDWR, EACCES));
	child_must(is_open_refused("/sys/module/llm/parameters/max_requests", O_WRONLY, EACCES));
	fd = client_open();
	child_must(features(fd).abi_version == LLM_ABI_VERSION);
	id = submit_text(fd, prompt);
	child_must(id);
	child_must(read_all(fd, id, answer, sizeof(answer), &last) == 5000);
	child_must(gen_matches(8, answer, 5000));

	both.submit.size = sizeof(both);
	both.read.flags = LLM_READ_ALL;
	child_must(!io_uring_queue_init(8, &ring, 0));
	child_must(!uring_call(&ring, fd, LLM_IOC_SUBMIT_AND_READ, &both));
	child_must(both.read.len == 5000 && gen_matches(8, answer, 5000));
	io_uring_queue_exit(&ring);

	child_must(write(fd, prompt, strlen(prompt)) == (ssize_t)strlen(prompt));
	for (size_t done = 0; done < 5000;) {
		const ssize_t n = read(fd, answer + done, sizeof(answer) - done);

		child_must(n > 0);
		done += (size_t)n;
	}
	child_must(gen_matches(8, answer, 5000));
	child_must(system("exec 3<>/dev/llm; echo hello >&3; [ \"$(cat <&3)\" = hello ]") == 0);
	_exit(0);
}

int main(void)
{
	const int client = client_open();
	pid_t server, pid;

	test_nodes();
	test_stranger();
	server = server_start(true);
	pid = fork();
	if (!pid)
		member();
	is(wait_child(pid), 0, "a member of the group has all three ways");
	ok(eventually(features(client).requests == 0), "nothing is left");
	server_stop(server);
	close(client);
	return tap_done();
}
