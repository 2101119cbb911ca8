/* SPDX-License-Identifier: MIT */
/*
 * A handle is how clients of the socket hold a session: the end of a pipe to read from, whose other
 * end is kept here. The last copy of it that is closed, wherever it has been passed to, is told
 * here, and nothing else that its holders can do. Nothing is ever sent through it. What a client
 * hands back is known by the inode of the pipe and by who made it: this process's user, so that
 * nobody else's pipe is taken for one. Owned by the socket server.
 */
#ifndef LLMOS_IPC_HANDLE_H
#define LLMOS_IPC_HANDLE_H

#include "base/list.h"
#include "ipc/broker_session.h"
#include "ipc/loop.h"

/** struct handles - all of them; @sessions: the broker's */
struct handles {
	struct loop *loop;
	struct broker_sessions *sessions;
	struct list all;
};

void handles_init(struct handles *handles, struct loop *loop, struct broker_sessions *sessions);
/** handles_free() - hang up on all who hold one */
void handles_free(struct handles *handles);
/**
 * handle_new() - make one
 * @session: whose reference is taken over, also on failure
 *
 * Return: the client's end; -EMFILE, -ENFILE, -ENOMEM, -EOPNOTSUPP there is no /proc, which tells
 * pipes from other files.
 */
int handle_new(struct handles *handles, struct broker_session *session);
/** handle_find() - the session of a descriptor; NULL: it is one of none */
struct broker_session *handle_find(const struct handles *handles, int fd);

#endif /* LLMOS_IPC_HANDLE_H */
