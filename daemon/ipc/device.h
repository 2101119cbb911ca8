/* SPDX-License-Identifier: MIT */
/*
 * The transport to the kernel's broker: /dev/llmd, spoken through the loop's io_uring. FETCHes are
 * parked for each kind of event, as many for requests as the scheduler wants; the last COMMIT of a
 * request fetches again in the same command. Owned by the daemon's thread.
 */
#ifndef LLMOS_IPC_DEVICE_H
#define LLMOS_IPC_DEVICE_H

#include "ipc/ipc.h"
#include "ipc/loop.h"

struct device;

/**
 * struct device_config - what for
 * @path: "/dev/llmd"
 * @slots: requests stepped at once
 * @sequences: requests that keep their state while they are paused
 * @by_arrival: who has begun goes on to the end; else the broker chooses who is stepped
 * @patience_ns: how long to wait for an earlier server to leave altogether
 */
struct device_config {
	const char *path;
	unsigned int slots;
	unsigned int sequences;
	bool by_arrival;
	uint64_t patience_ns;
};

/**
 * device_open() - become the server
 * @config: used only during the call
 *
 * Return: 0; -ENOENT no such device, -EBUSY there is a server, -EACCES, -EOPNOTSUPP no io_uring, or
 * a contract that this program does not know.
 */
int device_open(struct device **ret, struct loop *loop, struct ipc_sink *sink,
		const struct device_config *config, struct error *error);
/** device_free() - leave: the broker keeps the requests for the next server; before loop_free() */
void device_free(struct device *device);
DEFINE_CLEANUP(struct device *, device_free);
struct ipc *device_ipc(struct device *device);

/** device_park() - keep as many FETCHes parked as are wanted; once in each turn of the loop */
void device_park(struct device *device);
/** device_settle() - take all news of requests that are due now: call before each step */
void device_settle(struct device *device);

/**
 * device_check_event() - is what a FETCH brought an event?
 * @buf: @len bytes
 * @ret: the event, as far as this program knows it
 *
 * Return: where its data begins in @buf, -EPROTO.
 */
int device_check_event(const uint8_t *buf, size_t len, struct llm_event *ret);

#endif /* LLMOS_IPC_DEVICE_H */
