// SPDX-License-Identifier: MIT
/*
 * GET_FEATURES, on both devices.
 */
#include "uapi.h"

#include <sys/ioctl.h>

int main(void)
{
	const int client = client_open();
	struct llm_features f = features(client), g;
	int server;

	is(f.size, sizeof(f), "the size is the caller's");
	is(f.abi_version, LLM_ABI_VERSION, "the version is the header's");
	is(f.server_pid, 0, "no server, no pid");
	is(f.commands, 0x3ff | 0x7fULL << 0x20, "all commands exist");
	ok(f.max_requests >= f.max_requests_user && f.max_requests_user >= f.max_requests_file &&
	   f.max_requests_file > 0, "the limits on requests make sense");
	is(f.max_payload_bytes, param_get("max_payload_bytes"), "max_payload_bytes");
	is(f.max_session_bytes, param_get("max_session_bytes"), "max_session_bytes");
	is(f.max_sessions, param_get("max_sessions"), "max_sessions");
	is(f.max_sessions_user, param_get("max_sessions_user"), "max_sessions_user");
	is(f.sessions, 0, "no sessions");
	is(f.max_unread_bytes, param_get("max_unread_bytes"), "max_unread_bytes");
	is(f.max_journal_bytes, param_get("max_journal_bytes"), "max_journal_bytes");
	ok(f.max_commit_bytes >= LLM_RECORD_BYTES_MAX + sizeof(struct llm_record),
	   "the longest record fits into a COMMIT");
	is(f.recover_timeout_s, param_get("recover_timeout_s"), "recover_timeout_s");
	is(f.submitted - f.ended, f.requests, "what was submitted and has not ended exists");

	server = server_open();
	g = features(server);
	is(g.server_pid, getpid(), "the server's pid, on /dev/llmd");
	g = features(client);
	is(g.server_pid, getpid(), "the server's pid, on /dev/llm");

	ok(submit_text(client, "hello") != 0, "submit");
	g = features(client);
	is(g.submitted, f.submitted + 1, "it is counted");
	is(g.requests, f.requests + 1, "and exists");
	close(client);
	g = features(server);
	is(g.cancelled, f.cancelled + 1, "closing the file cancels it");
	is(g.ended, f.ended + 1, "and ends it");
	is(g.requests, f.requests, "and it exists no more");
	close(server);
	return tap_done();
}
