/* SPDX-License-Identifier: MIT */
/*
 * Memory that a caller shares with the server: registered and unregistered here, named by requests.
 * The memory stays the caller's; the broker pins it and knows it by a number of the connection.
 */
#include <errno.h>
#include <string.h>

#include "internal.h"
#include "opts.h"
#include "transport.h"

int llmos_buffer_check(struct llmos *llmos)
{
	if (llmos->features.commands & 1ULL << _IOC_NR(LLM_IOC_REGISTER))
		return 0;
	return llmos_fail(llmos, -EOPNOTSUPP, "buffers at '%s'", llmos->address);
}

int llmos_buffer_register(struct llmos *llmos, uint64_t *ret, void *addr, size_t len,
			  const struct llmos_buffer_opts *caller)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	struct llmos_buffer_opts opts;
	int r;

	r = llmos_opts_copy(llmos, &opts, sizeof(opts), caller);
	if (!r)
		r = llmos_buffer_check(llmos);
	if (r < 0)
		return r;
	if (opts.memfd ? addr != NULL : opts.fd || opts.offset)
		return llmos_fail(llmos, -EINVAL, "buffer of both an address and a file");
	command = llmos_command_new(LLM_IOC_REGISTER, 0);
	if (!command)
		return llmos_fail(llmos, -ENOMEM, "buffer");
	command->arg.reg.flags = (opts.write ? LLM_BUFFER_WRITE : 0) |
				 (opts.memfd ? LLM_BUFFER_MEMFD : 0);
	command->arg.reg.addr = opts.memfd ? opts.offset : (uintptr_t)addr;
	command->arg.reg.len = len;
	command->arg.reg.fd = opts.fd;
	r = llmos_call(llmos, &command);
	if (r < 0)
		return llmos_fail(llmos, r, "buffer of %zu bytes", len);
	*ret = command->arg.reg.buffer;
	return 0;
}

int llmos_buffer_unregister(struct llmos *llmos, uint64_t buffer)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r = llmos_buffer_check(llmos);

	if (r < 0)
		return r;
	command = llmos_command_new(LLM_IOC_UNREGISTER, 0);
	if (!command)
		return llmos_fail(llmos, -ENOMEM, "buffer '%llu'", (unsigned long long)buffer);
	command->arg.unregister.buffer = buffer;
	r = llmos_call(llmos, &command);
	return r < 0 ? llmos_fail(llmos, r, "buffer '%llu'", (unsigned long long)buffer) : 0;
}
