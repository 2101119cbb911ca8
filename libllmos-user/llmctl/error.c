/* SPDX-License-Identifier: MIT */
/*
 * What went wrong: one line on standard error, one exit code of sysexits.h.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "llmctl.h"
#include "term.h"

static const char *command_name;

void error_set_command(const char *name)
{
	command_name = name;
}

int fail(int code, const char *what, ...)
{
	char line[1024], shown[2 * sizeof(line)];
	va_list ap;

	va_start(ap, what);
	vsnprintf(line, sizeof(line), what, ap);
	va_end(ap);
	/* names and answers of others may be in it */
	term_clean(shown, sizeof(shown), line, strlen(line));
	fprintf(stderr, "llmctl: %s%s%s\n", command_name ? command_name : "",
		command_name ? ": " : "", shown);
	return code;
}

int exit_code(int error)
{
	switch (-error) {
	case 0:			return EX_OK;
	case EINVAL:
	case ENAMETOOLONG:
	case ERANGE:
	case ENOTUNIQ:		return EX_USAGE;
	case E2BIG:
	case EILSEQ:
	case EMSGSIZE:		return EX_DATAERR;
	case ENOENT:		return EX_NOINPUT;
	case ECONNREFUSED:
	case ENODEV:
	case EBADMSG:
	case EOPNOTSUPP:	return EX_UNAVAILABLE;
	case ENOMEM:
	case EMFILE:
	case ENFILE:		return EX_OSERR;
	case EIO:
	case EPIPE:
	case ENOSPC:		return EX_IOERR;
	case EBUSY:
	case EAGAIN:
	case ETIMEDOUT:
	case ETIME:
	case EDQUOT:
	case ESTALE:
	case ECONNRESET:	return EX_TEMPFAIL;
	case EPROTO:
	case EPROTONOSUPPORT:	return EX_PROTOCOL;
	case EACCES:
	case EPERM:		return EX_NOPERM;
	case EINTR:
	case ECANCELED:		return EX_INTERRUPTED;
	default:		return EX_SOFTWARE;
	}
}

int fail_llmos(const struct llmos *llmos, int error)
{
	const char *hint = "";

	if (error == -EOPNOTSUPP && strstr(llmos_error(llmos), "chat template") &&
	    !strstr(llmos_error(llmos), "--raw"))
		hint = " (--raw continues the text without a chat template)";
	return fail(exit_code(error), "%s%s", llmos_error(llmos), hint);
}

static const char *connect_hint(const char *address, int error)
{
	bool device = !strncmp(address, "device", 6);

	switch (-error) {
	case ENOENT:
		return device ? " (is llm.ko loaded?)" : " (is llmosd running?)";
	case ECONNREFUSED:
		return " (is llmosd running?)";
	case EACCES:
		return device ? " (is this user in the group llm?)" : "";
	case EINVAL:
		return " (device, device:/dev/llm or unix:PATH)";
	default:
		return "";
	}
}

struct llmos *connect_llmos(const struct options *options, int *ret_code)
{
	const char *address = options->address ? options->address : llmos_default_address();
	struct llmos *llmos = NULL;
	int r;

	r = llmos_open(&llmos, address);
	if (!r)
		return llmos;
	*ret_code = r == -ENOENT ? EX_UNAVAILABLE : exit_code(r);
	fail(*ret_code, "connect to '%s': %s%s", address, strerror(-r),
	     connect_hint(address, r));
	return NULL;
}

int fail_operands(const char *wanted)
{
	return fail(EX_USAGE, "%s (see llmctl %s --help)", wanted,
		    command_name ? command_name : "");
}

struct llmos_admin *connect_admin(int *ret_code)
{
	struct llmos_admin *admin = NULL;
	int r = llmos_admin_open(&admin);

	if (!r)
		return admin;
	*ret_code = r == -ENOENT ? EX_UNAVAILABLE : exit_code(r);
	if (r == -ENOENT && !access("/sys/module/llm", F_OK))
		fail(*ret_code, "quotas are in the network namespace of the machine, not in this one");
	else if (r == -ENOENT)
		fail(*ret_code, "llm.ko is not loaded: quotas need it");
	else
		fail(*ret_code, "netlink family 'llm': %s", strerror(-r));
	return NULL;
}

int fail_unloaded(void)
{
	return fail(EX_UNLOADED, "llm.ko was unloaded");
}

int fail_admin(const struct llmos_admin *admin, const char *cgroup, int error)
{
	/* about no cgroup, what is not there is the family */
	if (error == -ENODEV || (error == -ENOENT && !cgroup))
		return fail_unloaded();
	if (error == -ENOENT)
		return fail(EX_NOINPUT, "cgroup '%.300s': there is none", cgroup);
	if (cgroup)
		return fail(exit_code(error), "%.300s: %s", cgroup, llmos_admin_error(admin));
	return fail(exit_code(error), "%s", llmos_admin_error(admin));
}
