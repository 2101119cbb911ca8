/* SPDX-License-Identifier: MIT */
/*
 * The connection: where it leads, what was said about it, and the loop that brings results. It is
 * made and used by one thread at a time and owns its transport and its requests.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "request.h"

#define DEVICE_PATH	"/dev/llm"
#define SOCKET_PATH	"/run/llmos/llmos.sock"

const char *llmos_version(void)
{
	return LLMOS_VERSION;
}

/* ---- errors ---- */

const char *llmos_strerror(int error)
{
	const char *text = strerrordesc_np(-error);

	return text ? text : "Unknown error";
}

int llmos_fail_line(char line[LLMOS_ERROR_MAX], int error, const char *what, va_list ap)
{
	char text[LLMOS_ERROR_MAX];

	vsnprintf(text, sizeof(text), what, ap);
	/* a server's line may say it already */
	if (strstr(text, llmos_strerror(error)))
		snprintf(line, LLMOS_ERROR_MAX, "%s", text);
	else
		snprintf(line, LLMOS_ERROR_MAX, "%.440s: %.60s", text, llmos_strerror(error));
	return error;
}

int llmos_fail(struct llmos *llmos, int error, const char *what, ...)
{
	va_list ap;

	va_start(ap, what);
	llmos_fail_line(llmos->error, error, what, ap);
	va_end(ap);
	return error;
}

const char *llmos_error(const struct llmos *llmos)
{
	return llmos ? llmos->error : "";
}

/* ---- waiting ---- */

static int connection_dispatch(struct llmos *llmos, int timeout_ms)
{
	struct llmos_transport *transport = llmos->transport;
	int r;

	if (llmos->dispatching)
		return llmos_fail(llmos, -EDEADLK, "a call that waits, inside a callback");
	llmos->callbacks = 0;
	llmos->dispatching = true;
	r = transport->ops->dispatch(transport, timeout_ms);
	llmos->dispatching = false;
	if (r == -EINTR)
		return llmos_fail(llmos, r, "waiting for '%s'", llmos->address);
	if (r < 0)
		return llmos_fail(llmos, r, "connection to '%s'", llmos->address);
	return 0;
}

int llmos_dispatch(struct llmos *llmos, int timeout_ms)
{
	int r = connection_dispatch(llmos, timeout_ms);

	return r < 0 ? r : llmos->callbacks;
}

int llmos_step(struct llmos *llmos, int timeout_ms)
{
	return connection_dispatch(llmos, timeout_ms);
}

static void call_done(struct llmos_command *command)
{
	/* llmos_call() looks at command->done */
	(void)command;
}

int llmos_call(struct llmos *llmos, struct llmos_command **command)
{
	struct llmos_transport *transport = llmos->transport;
	int r;

	(*command)->on_done = call_done;
	r = transport->ops->start(transport, *command);
	if (r < 0)
		return r;
	while (!(*command)->done) {
		r = llmos_step(llmos, -1);
		if (r < 0 && !(*command)->done) {
			transport->ops->abandon(transport, *command);
			*command = NULL;
			return r;
		}
	}
	return (*command)->result;
}

int llmos_fd(const struct llmos *llmos)
{
	return llmos->transport->ops->fd(llmos->transport);
}

const char *llmos_transport(const struct llmos *llmos)
{
	return llmos->transport->ops->name(llmos->transport);
}

size_t llmos_payload_max(const struct llmos *llmos)
{
	return llmos->features.max_payload_bytes;
}

const char *llmos_address(const struct llmos *llmos)
{
	return llmos->address;
}

/* ---- opening ---- */

const char *llmos_default_address(void)
{
	const char *address = secure_getenv("LLMOS_ADDRESS");

	if (address && *address)
		return address;
	return access(DEVICE_PATH, F_OK) ? "unix:" SOCKET_PATH : "device:" DEVICE_PATH;
}

static int transport_open(struct llmos_transport **ret, const char *address)
{
	if (!strcmp(address, "device"))
		return llmos_device_open(ret, DEVICE_PATH);
	if (!strncmp(address, "device:/", 8))
		return llmos_device_open(ret, address + 7);
	if (!strncmp(address, "unix:", 5) && address[5])
		return llmos_socket_open(ret, address + 5);
	return -EINVAL;
}

static int connection_greet(struct llmos *llmos)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r;

	command = llmos_command_new(LLM_IOC_GET_FEATURES, 0);
	if (!command)
		return -ENOMEM;
	r = llmos_call(llmos, &command);
	if (r < 0)
		return r == -ENOTTY ? -EPROTONOSUPPORT : r;
	llmos->features = command->arg.features;
	return llmos->features.abi_version == LLM_ABI_VERSION ? 0 : -EPROTONOSUPPORT;
}

int llmos_open(struct llmos **ret, const char *address)
{
	struct llmos *llmos;
	int r;

	if (!address)
		address = llmos_default_address();
	llmos = calloc(1, sizeof(*llmos));
	if (!llmos)
		return -ENOMEM;
	llmos_list_init(&llmos->requests);
	llmos->address = strdup(address);
	r = llmos->address ? transport_open(&llmos->transport, address) : -ENOMEM;
	if (!r)
		r = connection_greet(llmos);
	if (r < 0) {
		llmos_free(llmos);
		return r;
	}
	*ret = llmos;
	return 0;
}

void llmos_free(struct llmos *llmos)
{
	if (!llmos || llmos->dispatching)
		return;
	while (!llmos_list_empty(&llmos->requests))
		llmos_request_free(llmos_container(llmos->requests.next, struct llmos_request,
						   link));
	if (llmos->transport)
		llmos->transport->ops->free(llmos->transport);
	free(llmos->address);
	free(llmos);
}
