/* SPDX-License-Identifier: MIT */
/*
 * A handle is how clients of the socket hold a session: one end of a pair of sockets, whose other
 * end is kept here. The last copy of it that is closed, wherever it has been passed to, hangs up
 * here. Nothing is ever sent through it. What a client hands back is known by the kernel's own
 * numbers for that end, one of which is never used again. Owned by the socket server.
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
 * Return: the client's end; -EMFILE, -ENFILE, -ENOMEM, -EOPNOTSUPP the kernel does not tell sockets
 * apart.
 */
int handle_new(struct handles *handles, struct broker_session *session);
/** handle_find() - the session of a descriptor; NULL: it is one of none */
struct broker_session *handle_find(const struct handles *handles, int fd);

#endif /* LLMOS_IPC_HANDLE_H */
