/* SPDX-License-Identifier: MIT */
/*
 * How commands reach the broker. A struct llmos_command is one command of <linux/llm.h> on its
 * way; a transport carries it and calls on_done when its result is there. Requests and listings
 * are written against this table alone; device.c and socket.c fill it in. All of it belongs to
 * the thread that owns the connection.
 */
#ifndef LLMOS_TRANSPORT_H
#define LLMOS_TRANSPORT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <linux/llm.h>

#include "list.h"

struct llmos_command;
typedef void (*llmos_command_fn)(struct llmos_command *command);

/** union llmos_arg - the struct of any client command; each starts with size and flags */
union llmos_arg {
	struct llm_features features;
	struct llm_submit submit;
	struct llm_read read;
	struct llm_cancel cancel;
	struct llm_wait wait;
	struct llm_list list;
	struct llm_register reg;
	struct llm_unregister unregister;
	struct llm_session_cmd session;
};

/**
 * struct llmos_command - one command
 * @link: in the transport's list while it is on its way
 * @cmd: LLM_IOC_*
 * @cookie: the socket's name for it
 * @result: 0 or -errno, once it is done
 * @done: it has a result
 * @on_done: called inside dispatch when it is done; NULL: abandoned, the transport frees it
 * @userdata: for @on_done
 * @in: payload unless it is in a buffer, then stop strings; owned
 * @in_len: bytes of both
 * @out: where returned bytes go; owned
 * @out_size: room there
 * @pass_fd: the session that it names, a descriptor of its own; -1: none
 * @got_fd: a descriptor that came with the result, owned; -1: none
 * @sent: bytes of it that the socket has taken
 * @arg: the command's struct; its pointers are the transport's to set
 *
 * From start to on_done everything here belongs to the transport: a kernel may write to it.
 */
struct llmos_command {
	struct llmos_list link;
	unsigned int cmd;
	uint64_t cookie;
	int result;
	bool done;
	llmos_command_fn on_done;
	void *userdata;
	uint8_t *in;
	size_t in_len;
	uint8_t *out;
	size_t out_size;
	int pass_fd;
	int got_fd;
	size_t sent;
	union llmos_arg arg;
};

/* bytes of one READ; bounds what a message on the socket can bring */
#define LLMOS_READ_BYTES	(32U * 1024)

struct llmos_command *llmos_command_new(unsigned int cmd, size_t out_size);
/* NULL is fine; must not be on its way */
void llmos_command_free(struct llmos_command *command);
/* for transports: hand the result over, or free it if it was abandoned */
void llmos_command_complete(struct llmos_command *command, int result);
/* zero @arg and set its size; @out_size does not change */
void llmos_command_reset(struct llmos_command *command, unsigned int cmd);
/* it names that session, whatever the caller does with @fd meanwhile; 0 or -errno */
int llmos_command_pass(struct llmos_command *command, int fd);
/* bytes of the command's struct */
size_t llmos_command_arg_size(const struct llmos_command *command);

struct llmos_transport {
	const struct llmos_transport_ops *ops;
};

/**
 * struct llmos_transport_ops - what a transport can do
 * @free: disconnect; every command on its way is freed, without its on_done
 * @name: "io_uring", "ioctl" or "socket"
 * @fd: a descriptor that polls readable when dispatch has work, or -errno
 * @prepare_async: several requests may soon be on their way at once
 * @start: 0: on_done will run in a later dispatch; 1: done already, on_done will not run;
 *	-errno: not started
 * @abandon: let go of a started command; it is freed once nothing can write into it
 * @dispatch: wait up to timeout_ms (-1: forever) for results and complete their commands; 0, or
 *	-errno of the connection, or -EINTR
 */
struct llmos_transport_ops {
	void (*free)(struct llmos_transport *transport);
	const char *(*name)(const struct llmos_transport *transport);
	int (*fd)(struct llmos_transport *transport);
	void (*prepare_async)(struct llmos_transport *transport);
	int (*start)(struct llmos_transport *transport, struct llmos_command *command);
	void (*abandon)(struct llmos_transport *transport, struct llmos_command *command);
	int (*dispatch)(struct llmos_transport *transport, int timeout_ms);
};

int llmos_device_open(struct llmos_transport **ret, const char *path);
int llmos_socket_open(struct llmos_transport **ret, const char *path);

#endif /* LLMOS_TRANSPORT_H */
