/* SPDX-License-Identifier: MIT */
/*
 * Sessions: a conversation behind a descriptor. The object is the descriptor and nothing else, so
 * it belongs to no connection; each call names the one by which it speaks to the broker.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "opts.h"
#include "request.h"
#include "session.h"

struct llmos_session {
	int fd;
};

int llmos_session_check(struct llmos *llmos)
{
	if (llmos->features.commands & 1ULL << _IOC_NR(LLM_IOC_SESSION))
		return 0;
	return llmos_fail(llmos, -EOPNOTSUPP, "sessions at '%s'", llmos->address);
}

static const char *session_error(int r)
{
	switch (r) {
	case -EBADF:
		return "a descriptor that is not open";
	case -EINVAL:
		return "a descriptor that is none of a session here";
	case -EBUSY:
		return "a session that is being answered in";
	default:
		return "a session";
	}
}

/* @session: NULL: none is meant; @ret: the reply, which holds the descriptor if one came */
static int session_call(struct llmos *llmos, unsigned int flags,
			const struct llmos_session *session, struct llmos_command **ret)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r = llmos_session_check(llmos);

	if (r < 0)
		return r;
	command = llmos_command_new(LLM_IOC_SESSION, 0);
	if (!command)
		return llmos_fail(llmos, -ENOMEM, "session");
	command->arg.session.flags = flags;
	command->arg.session.fd = session ? session->fd : -1;
	r = session ? llmos_command_pass(command, session->fd) : 0;
	if (!r)
		r = llmos_call(llmos, &command);
	if (r < 0)
		return llmos_fail(llmos, r, "%s", session_error(r));
	*ret = command;
	command = NULL;
	return 0;
}

static int session_of(struct llmos *llmos, struct llmos_session **ret, int fd)
{
	struct llmos_session *session = calloc(1, sizeof(*session));

	if (!session) {
		close(fd);
		return llmos ? llmos_fail(llmos, -ENOMEM, "session") : -ENOMEM;
	}
	session->fd = fd;
	*ret = session;
	return 0;
}

static int session_make(struct llmos *llmos, struct llmos_session **ret, unsigned int flags,
			const struct llmos_session *from)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	int r;

	r = session_call(llmos, flags, from, &command);
	if (r < 0)
		return r;
	/* the socket brings it beside the reply, the device in it */
	r = command->got_fd >= 0 ? command->got_fd : command->arg.session.fd;
	command->got_fd = -1;
	if (r < 0)
		return llmos_fail(llmos, -EPROTO, "a session without a descriptor");
	return session_of(llmos, ret, r);
}

int llmos_session_new(struct llmos *llmos, struct llmos_session **ret)
{
	return session_make(llmos, ret, 0, NULL);
}

int llmos_session_fork(struct llmos *llmos, struct llmos_session **ret,
		       const struct llmos_session *session)
{
	return session_make(llmos, ret, LLM_SESSION_FORK, session);
}

int llmos_session_seal(struct llmos *llmos, struct llmos_session *session)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;

	return session_call(llmos, LLM_SESSION_SEAL, session, &command);
}

int llmos_session_get_info(struct llmos *llmos, const struct llmos_session *session,
			   struct llmos_session_info *info)
{
	_cleanup_(llmos_command_freep) struct llmos_command *command = NULL;
	struct llmos_session_info known = { 0 };
	const struct llm_session_cmd *args;
	int r;

	r = session_call(llmos, LLM_SESSION_INFO, session, &command);
	if (r < 0)
		return r;
	args = &command->arg.session;
	known.id = args->id;
	known.bytes = args->bytes;
	known.tokens = args->tokens;
	known.turns = args->turns;
	known.sealed = args->out_flags & LLM_SESSION_SEALED;
	known.busy = args->out_flags & LLM_SESSION_BUSY;
	return llmos_opts_return(llmos, info, &known, sizeof(known));
}

int llmos_session_from_fd(struct llmos_session **ret, int fd)
{
	if (fd < 0)
		return -EBADF;
	return session_of(NULL, ret, fd);
}

int llmos_session_fd(const struct llmos_session *session)
{
	return session->fd;
}

void llmos_session_free(struct llmos_session *session)
{
	if (!session)
		return;
	close(session->fd);
	free(session);
}

static int append_run(struct llmos *llmos, const struct llmos_spec *spec)
{
	_cleanup_(llmos_request_freep) struct llmos_request *request = NULL;
	int r = llmos_request_new(llmos, &request, spec, llmos_request_stream, NULL);

	return r < 0 ? r : llmos_request_run(request);
}

int llmos_session_append(struct llmos *llmos, struct llmos_session *session, const uint32_t *ids,
			 size_t count, const char *model)
{
	const size_t max = llmos->features.max_payload_bytes / sizeof(*ids);
	struct llmos_spec spec = {
		.op = LLM_OP_APPEND,
		.payload_type = LLM_PAYLOAD_TOKENS,
		.payload = ids,
		.payload_len = count * sizeof(*ids),
		.model = model,
		.session = session,
	};
	int r;

	if (count > max)
		return llmos_fail(llmos, -E2BIG, "'%zu' token ids (the limit is %zu)", count, max);
	r = append_run(llmos, &spec);
	if (r != -E2BIG)
		return r;
	/* longer than the context: what was said with shifts may be */
	spec.options[spec.option_count++].type = LLM_OPTION_CONTEXT_SHIFT;
	return append_run(llmos, &spec);
}
