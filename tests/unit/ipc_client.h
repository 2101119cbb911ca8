/* SPDX-License-Identifier: MIT */
/*
 * For tests of the socket transport: a client that says what it is told to over a real socket, and
 * the scheduler's side of the struct ipc, played by the test.
 */
#ifndef TESTS_IPC_CLIENT_H
#define TESTS_IPC_CLIENT_H

#include "ipc/ipc.h"
#include "ipc/loop.h"
#include "ipc/socket.h"

#define HELD_MAX	512

/** struct held - a request that was handed to the scheduler */
struct held {
	struct llm_event event;
	uint8_t *data;
	unsigned int cancelled;
	unsigned int resumed;
};

extern struct held held[HELD_MAX];
extern unsigned int held_count;
/* sessions whose end the scheduler was told of */
extern uint64_t ended[HELD_MAX];
extern unsigned int ended_count;
extern struct ipc_sink sink;
extern struct loop *loop;
extern struct socket_server *server;
extern struct ipc *ipc;
extern int client;		/* closed after each test; -1: none */

int client_setup(void **state);
int client_teardown(void **state);
/* all that is on its way is taken and answered */
void client_turn(void);
int client_connect(void);
/* what the scheduler has made; flags LLM_COMMIT_* */
int server_commit(uint64_t id, const char *text, unsigned int flags, int status);
void send_bytes(int fd, const void *data, size_t len);
void send_command(int fd, uint32_t cmd, uint64_t cookie, const void *arg, size_t arg_len,
		  const void *data, size_t len);
/* the same, with descriptors (fd_count) */
void send_command_fds(int fd, uint32_t cmd, uint64_t cookie, const void *arg, size_t arg_len,
		      const void *data, size_t len, const int *fds, unsigned int fd_count);
/* the next reply, which must be that to @cookie: its result, and a descriptor, -1 if none came */
int result_fd_of(int fd, uint64_t cookie, void *arg, size_t arg_len, int *ret_fd);
/* the next reply: its struct and what follows; false: there is none now */
bool receive(int fd, struct llm_msg *head, void *arg, size_t arg_len, void *data,
	     size_t *ret_len);
/* the next reply, which must be that to @cookie: its result */
int result_of(int fd, uint64_t cookie, void *arg, size_t arg_len);
struct llm_submit submit_args(size_t len);
/* a prompt that is taken; Return: its id */
uint64_t submit(int fd, const char *text);
void send_read(int fd, uint64_t id, uint64_t cookie, unsigned int flags, uint32_t buf_len);
void assert_read(int fd, uint64_t cookie, const char *text, unsigned int out_flags, int status);
/* no reply is due */
void assert_nothing(int fd);
/* the server hangs up */
void assert_closed(int fd);

#endif /* TESTS_IPC_CLIENT_H */
