/* SPDX-License-Identifier: MIT */
/*
 * One client on the Unix socket: its bytes in and out, and the commands that wait for something.
 * conn.c moves bytes, command.c knows what they mean. A connection's memory is bounded: one
 * message in, CONN_OUT_MAX and one reply out, CONN_PARKED_MAX commands; a client that does not
 * take its replies is not listened to until it does. Owned by the socket server.
 */
#ifndef LLMOS_IPC_CONN_H
#define LLMOS_IPC_CONN_H

#include "base/bytes.h"
#include "base/list.h"
#include "ipc/broker.h"
#include "ipc/closer.h"
#include "ipc/handle.h"
#include "ipc/loop.h"

#define CONN_STRUCT_MAX		4096U	/* of a command, as a client of the future may have it */
#define CONN_MESSAGE_MAX	((uint32_t)sizeof(struct llm_msg) + CONN_STRUCT_MAX + \
				 BROKER_PAYLOAD_MAX + LLM_STOP_BYTES_MAX)
#define CONN_OUT_MAX		(256U << 10)
#define CONN_PARKED_MAX		256U
#define CONN_FDS_MAX		2U	/* that came: of a message in parts, and of the next one */
#define CONN_READ_MAX		(256U << 10)	/* bytes of one READ's reply at most */

/**
 * struct conn_fd - a descriptor that was received
 * @fd: it
 * @until: the byte of the stream by which its message has begun
 */
struct conn_fd {
	int fd;
	uint64_t until;
};

/**
 * struct conn - a client's connection
 * @link: in the server's list
 * @dirty_link: in the server's list of those with replies to send
 * @source: its socket
 * @dead: for its burial
 * @file: its requests, and who it is
 * @loop: of the server
 * @broker: of the server
 * @dirty: the server's list
 * @in: received and not yet handled
 * @out: replies to send
 * @fds: (fd_count) descriptors received, of messages that are not handled yet
 * @out_fds: descriptors to send, each with a reply
 * @handles: of the server
 * @closers: of the server
 * @received: bytes ever
 * @sent: bytes ever
 * @discard_bytes: of an oversized message, still to be thrown away
 * @stalled: it was full, and commands may wait for room
 * @broken: protocol error or hang-up: to be closed
 * @waits: WAITs that are parked
 * @parked: number of commands parked
 * @named: the id that the last WAIT for any request named
 */
struct conn {
	struct list link;
	struct list dirty_link;
	struct loop_source source;
	struct loop_dead dead;
	struct broker_file file;
	struct loop *loop;
	struct broker *broker;
	struct list *dirty;
	struct bytes in;
	struct bytes out;
	struct conn_fd fds[CONN_FDS_MAX];
	unsigned int fd_count;
	struct list out_fds;
	struct handles *handles;
	struct closers *closers;
	uint64_t received;
	uint64_t sent;
	uint32_t discard_bytes;
	bool stalled;
	bool broken;
	struct list waits;
	unsigned int parked;
	uint64_t named;
};

/** conn_new() - takes @fd over, also on failure */
int conn_new(struct conn **ret, int fd, const struct peer *peer, struct loop *loop,
	     struct broker *broker, struct handles *handles, struct closers *closers,
	     struct list *dirty);
/** conn_close() - cancel its requests and bury it; it leaves all lists */
void conn_close(struct conn *conn);
/** conn_flush() - send what can be sent; sets broken when the peer is gone */
void conn_flush(struct conn *conn);
/** conn_input() - handle bytes as if they had been received; for conn.c and the fuzzer */
void conn_input(struct conn *conn);

/**
 * struct conn_call - a command that is being handled, or waits
 * @msg: its head
 * @arg_size: bytes of its struct as the client knows it
 */
struct conn_call {
	struct llm_msg msg;
	uint32_t arg_size;
};

/** conn_full() - it must take replies before it gets more */
bool conn_full(const struct conn *conn);
/**
 * conn_reply() - queue a reply
 * @arg: the command's struct, NULL: there is none to return
 * @arg_known: its size here
 * @len: bytes that follow it
 *
 * Return: where those bytes go, NULL if there are none or no memory was left (then it is broken).
 */
uint8_t *conn_reply(struct conn *conn, const struct conn_call *call, int result, const void *arg,
		    size_t arg_known, size_t len);

/** conn_take_fd() - the descriptor that came with the message, for conn_close_fd(); -1: none did */
int conn_take_fd(struct conn *conn);
/**
 * conn_close_fd() - close what came from a client, who can not make that wait; -1 is fine
 *
 * A client who tries breaks the connection.
 */
void conn_close_fd(struct conn *conn, int fd);
/** conn_send_fd() - the next reply carries @fd, which is taken over in any case; 0, -ENOMEM */
int conn_send_fd(struct conn *conn, int fd);

/* command.c */

/** command_handle() - one whole message; its length has been checked */
void command_handle(struct conn *conn, const struct llm_msg *msg, const uint8_t *body);
/** command_pump() - complete what waits and can be completed, for one request or (NULL) all */
void command_pump(struct conn *conn, struct broker_request *request);
/** command_drop() - forget everything that waits, without a reply */
void command_drop(struct conn *conn);

#endif /* LLMOS_IPC_CONN_H */
