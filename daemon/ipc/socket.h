/* SPDX-License-Identifier: MIT */
/*
 * The Unix socket that clients use where no kernel module is the broker: listening descriptors,
 * who may connect how often, and the connections. Owned by the daemon's thread.
 */
#ifndef LLMOS_IPC_SOCKET_H
#define LLMOS_IPC_SOCKET_H

#include "ipc/ipc.h"
#include "ipc/loop.h"

#define SOCKET_LISTENERS_MAX	8

struct socket_server;

int socket_server_new(struct socket_server **ret, struct loop *loop, struct ipc_sink *sink);
void socket_server_free(struct socket_server *server);
DEFINE_CLEANUP(struct socket_server *, socket_server_free);
/** socket_server_set_slots() - see broker_set_slots() */
void socket_server_set_slots(struct socket_server *server, unsigned int slots,
			     unsigned int sequences);
/** socket_server_ipc() - its transport; freed with the server */
struct ipc *socket_server_ipc(struct socket_server *server);

/**
 * socket_server_listen() - listen at "unix:PATH"
 *
 * A socket that nobody serves any more is replaced; one that is alive is not touched.
 *
 * Return: 0; -EINVAL not an address, -EADDRINUSE another server is alive there, ...
 */
int socket_server_listen(struct socket_server *server, const char *address, struct error *error);
/** socket_server_adopt() - listen on a descriptor that the service manager has opened */
int socket_server_adopt(struct socket_server *server, int fd, struct error *error);
/** socket_server_connect() - take a connected socket over; for accepting, and for tests */
int socket_server_connect(struct socket_server *server, int fd);
unsigned int socket_server_listeners(const struct socket_server *server);

/** socket_server_flush() - send replies, close what is broken; once in each turn of the loop */
void socket_server_flush(struct socket_server *server);

#endif /* LLMOS_IPC_SOCKET_H */
