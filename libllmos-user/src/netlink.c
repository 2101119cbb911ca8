/* SPDX-License-Identifier: MIT */
/*
 * Generic netlink by libnl: it finds the family, makes and sends messages and reads datagrams. The
 * loop over what comes is here, as its errors are the kernel's errno with the kernel's own words.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

#include <linux/genetlink.h>
#include <linux/llm_netlink.h>
#include <netlink/genl/ctrl.h>
#include <netlink/genl/genl.h>
#include <netlink/netlink.h>

#include "internal.h"
#include "netlink.h"

/* of one socket: a burst of events is to fit while a program does something else */
#define RECEIVE_BYTES	(1 << 20)

/* the kernel answers before it returns from taking the message: longer is a bug of somebody's */
#define ANSWER_TIMEOUT_MS	5000

/**
 * struct llmos_netlink - a socket
 * @sock: libnl's
 * @family: number of the family
 * @on_event: gets events
 * @userdata: its first argument
 * @lost: events, during a call
 * @gone: the family is, though one of that name may have come again
 * @why: what the kernel said about the last failure
 */
struct llmos_netlink {
	struct nl_sock *sock;
	int family;
	llmos_netlink_fn on_event;
	void *userdata;
	bool lost;
	bool gone;
	char why[128];
};

/**
 * struct exchange - one call
 * @seq: of its message
 * @fn: gets its answers
 * @userdata: first argument of @fn
 * @changed: a dump was interrupted by a change
 * @done: its end was seen, or there is no call
 * @result: first thing that went wrong with a message
 */
struct exchange {
	uint32_t seq;
	llmos_netlink_fn fn;
	void *userdata;
	bool changed;
	bool done;
	int result;
};

/* libnl's own errors, as far as they say more than "failed" */
static int error_of(int nl_error)
{
	switch (-nl_error) {
	case NLE_SUCCESS:	return 0;
	case NLE_INTR:		return -EINTR;
	case NLE_AGAIN:		return -EAGAIN;
	case NLE_NOMEM:		return -ENOMEM;
	case NLE_OBJ_NOTFOUND:	return -ENOENT;
	case NLE_PERM:
	case NLE_NOACCESS:	return -EPERM;
	case NLE_INVAL:		return -EINVAL;
	case NLE_AF_NOSUPPORT:
	case NLE_PROTO_MISMATCH:
	case NLE_OPNOTSUPP:	return -EOPNOTSUPP;
	case NLE_MSG_TRUNC:
	case NLE_MSG_TOOSHORT:	return -EPROTO;
	default:		return -EIO;
	}
}

/* ---- opening ---- */

static int netlink_connect(struct llmos_netlink *netlink)
{
	int one = 1, r;

	netlink->sock = nl_socket_alloc();
	if (!netlink->sock)
		return -ENOMEM;
	r = genl_connect(netlink->sock);
	if (r < 0)
		return error_of(r);
	nl_socket_disable_auto_ack(netlink->sock);
	/* kernels that can't are silent about the reason, no more */
	(void)setsockopt(nl_socket_get_fd(netlink->sock), SOL_NETLINK, NETLINK_EXT_ACK, &one,
			 sizeof(one));
	(void)nl_socket_set_buffer_size(netlink->sock, RECEIVE_BYTES, 0);
	return 0;
}

int llmos_netlink_open(struct llmos_netlink **ret, llmos_netlink_fn on_event, void *userdata)
{
	struct llmos_netlink *netlink = calloc(1, sizeof(*netlink));
	int r;

	if (!netlink)
		return -ENOMEM;
	netlink->on_event = on_event;
	netlink->userdata = userdata;
	r = netlink_connect(netlink);
	if (!r) {
		netlink->family = genl_ctrl_resolve(netlink->sock, LLM_FAMILY_NAME);
		r = netlink->family < 0 ? error_of(netlink->family) : 0;
	}
	if (r < 0) {
		llmos_netlink_free(netlink);
		return r;
	}
	*ret = netlink;
	return 0;
}

void llmos_netlink_free(struct llmos_netlink *netlink)
{
	if (!netlink)
		return;
	if (netlink->sock)
		nl_socket_free(netlink->sock);
	free(netlink);
}

int llmos_netlink_fd(const struct llmos_netlink *netlink)
{
	return nl_socket_get_fd(netlink->sock);
}

const char *llmos_netlink_why(const struct llmos_netlink *netlink)
{
	return netlink->why;
}

static int join_group(struct llmos_netlink *netlink, const char *family, const char *group)
{
	int number = genl_ctrl_resolve_grp(netlink->sock, family, group);

	*netlink->why = '\0';
	if (number < 0)
		return error_of(number);
	return error_of(nl_socket_add_membership(netlink->sock, number));
}

int llmos_netlink_join(struct llmos_netlink *netlink, const char *group)
{
	return join_group(netlink, LLM_FAMILY_NAME, group);
}

int llmos_netlink_follow(struct llmos_netlink *netlink)
{
	return join_group(netlink, "nlctrl", "notify");
}

struct nl_msg *llmos_netlink_message(const struct llmos_netlink *netlink, unsigned int cmd,
				     bool dump)
{
	struct nl_msg *message = nlmsg_alloc();

	if (!message)
		return NULL;
	if (!genlmsg_put(message, NL_AUTO_PORT, NL_AUTO_SEQ, netlink->family, 0,
			 NLM_F_REQUEST | (dump ? NLM_F_DUMP : NLM_F_ACK), (uint8_t)cmd,
			 LLM_FAMILY_VERSION)) {
		nlmsg_free(message);
		return NULL;
	}
	return message;
}

/* ---- what comes ---- */

/* the kernel's own words behind an error, where it has any; they follow the header it answers */
static void error_words(struct llmos_netlink *netlink, struct nlmsghdr *header)
{
	const struct nlmsgerr *error = nlmsg_data(header);
	int len = nlmsg_datalen(header), skip = sizeof(*error);
	struct nlattr *attrs[NLMSGERR_ATTR_MAX + 1];
	const char *words;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return;
	if (!(header->nlmsg_flags & NLM_F_CAPPED)) {
		uint32_t echoed = error->msg.nlmsg_len;

		if (echoed < sizeof(error->msg) || echoed > (uint32_t)len)
			return;
		skip += NLMSG_ALIGN(echoed - sizeof(error->msg));
	}
	if (skip >= len ||
	    nla_parse(attrs, NLMSGERR_ATTR_MAX, (void *)((char *)nlmsg_data(header) + skip),
		      len - skip, NULL) < 0 || !attrs[NLMSGERR_ATTR_MSG])
		return;
	words = nla_data(attrs[NLMSGERR_ATTR_MSG]);
	snprintf(netlink->why, sizeof(netlink->why), "%.*s",
		 (int)strnlen(words, nla_len(attrs[NLMSGERR_ATTR_MSG])), words);
}

/* the end of a call: an acknowledgement or an error */
static int take_error(struct llmos_netlink *netlink, struct nlmsghdr *header)
{
	const struct nlmsgerr *error = nlmsg_data(header);

	if (nlmsg_datalen(header) < (int)sizeof(*error))
		return -EPROTO;
	if (error->error > 0 || error->error < -4095)
		return -EPROTO;
	if (error->error)
		error_words(netlink, header);
	return error->error;
}

static int take_done(struct nlmsghdr *header)
{
	int error = 0;

	if (nlmsg_datalen(header) >= (int)sizeof(error))
		memcpy(&error, nlmsg_data(header), sizeof(error));
	return error > 0 || error < -4095 ? -EPROTO : error;
}

/* what generic netlink itself tells: of the end of a family, maybe ours */
static void take_control(struct llmos_netlink *netlink, struct nlmsghdr *header)
{
	struct genlmsghdr *genl = genlmsg_hdr(header);
	struct nlattr *id;

	if (!genlmsg_valid_hdr(header, 0) || genl->cmd != CTRL_CMD_DELFAMILY)
		return;
	id = nla_find(genlmsg_attrdata(genl, 0), genlmsg_attrlen(genl, 0), CTRL_ATTR_FAMILY_ID);
	if (id && nla_len(id) >= (int)sizeof(uint16_t) && nla_get_u16(id) == netlink->family)
		netlink->gone = true;
}

/* a message of the family: an event, or an answer to the call under way */
static int take_message(struct llmos_netlink *netlink, struct nlmsghdr *header,
			struct exchange *exchange)
{
	struct genlmsghdr *genl = genlmsg_hdr(header);

	if (header->nlmsg_type != netlink->family || !genlmsg_valid_hdr(header, 0))
		return 0;
	if (genl->cmd == LLM_NL_CMD_EVENT)
		return netlink->on_event(netlink->userdata, genl->cmd, genlmsg_attrdata(genl, 0),
					 genlmsg_attrlen(genl, 0));
	if (exchange->done || header->nlmsg_seq != exchange->seq)
		return 0;
	if (header->nlmsg_flags & NLM_F_DUMP_INTR)
		exchange->changed = true;
	return exchange->fn ? exchange->fn(exchange->userdata, genl->cmd,
					   genlmsg_attrdata(genl, 0), genlmsg_attrlen(genl, 0)) : 0;
}

static int take_header(struct llmos_netlink *netlink, struct nlmsghdr *header,
		       struct exchange *exchange)
{
	bool ours = !exchange->done && header->nlmsg_seq == exchange->seq;

	switch (header->nlmsg_type) {
	case NLMSG_NOOP:
		return 0;
	case NLMSG_OVERRUN:
		return -ENOBUFS;
	case NLMSG_ERROR:
		if (!ours)
			return 0;
		exchange->done = true;
		return take_error(netlink, header);
	case NLMSG_DONE:
		if (!ours)
			return 0;
		exchange->done = true;
		if (header->nlmsg_flags & NLM_F_DUMP_INTR)
			exchange->changed = true;
		return take_done(header);
	case GENL_ID_CTRL:
		take_control(netlink, header);
		return 0;
	default:
		return take_message(netlink, header, exchange);
	}
}

/* one datagram, all of it. Return: 0, what went wrong with receiving it */
static int take_datagram(struct llmos_netlink *netlink, struct exchange *exchange)
{
	_cleanup_free_ unsigned char *data = NULL;
	struct sockaddr_nl from = { 0 };
	struct nlmsghdr *header;
	int len, r;

	errno = 0;
	len = nl_recv(netlink->sock, &from, &data, NULL);
	if (len < 0)
		return errno == ENOBUFS ? -ENOBUFS : error_of(len);
	/* another process has nothing to tell */
	if (!len || from.nl_pid)
		return 0;
	for (header = (struct nlmsghdr *)data; nlmsg_ok(header, len);
	     header = nlmsg_next(header, &len)) {
		r = take_header(netlink, header, exchange);
		if (r && !exchange->result)
			exchange->result = r;
	}
	return 0;
}

/* wait for and take one datagram. Return: 0; -ETIMEDOUT none came; -errno */
static int wait_datagram(struct llmos_netlink *netlink, struct exchange *exchange, int timeout_ms)
{
	struct pollfd poll_fd = { .fd = nl_socket_get_fd(netlink->sock), .events = POLLIN };
	int r;

	r = poll(&poll_fd, 1, timeout_ms);
	if (r < 0)
		return -errno;
	return r ? take_datagram(netlink, exchange) : -ETIMEDOUT;
}

int llmos_netlink_call(struct llmos_netlink *netlink, struct nl_msg *message, llmos_netlink_fn fn,
		       void *userdata)
{
	struct exchange exchange = { .fn = fn, .userdata = userdata };
	int r;

	*netlink->why = '\0';
	r = nl_send_auto(netlink->sock, message);
	if (r < 0)
		return error_of(r);
	exchange.seq = nlmsg_hdr(message)->nlmsg_seq;
	while (!exchange.done) {
		r = wait_datagram(netlink, &exchange, ANSWER_TIMEOUT_MS);
		/* a lost event is told of by the next look for events */
		if (r == -ENOBUFS)
			netlink->lost = true;
		else if (r < 0 && r != -EINTR && r != -EAGAIN)
			return r;
	}
	return !exchange.result && exchange.changed ? -EAGAIN : exchange.result;
}

int llmos_netlink_events(struct llmos_netlink *netlink, int timeout_ms)
{
	struct exchange none = { .done = true };
	int r;

	*netlink->why = '\0';
	if (netlink->lost) {
		netlink->lost = false;
		return -ENOBUFS;
	}
	r = netlink->gone ? 0 : wait_datagram(netlink, &none, timeout_ms);
	if (netlink->gone)
		return -ENODEV;
	if (r == -ETIMEDOUT || r == -EAGAIN)
		return 0;
	return r ? r : none.result;
}

bool llmos_netlink_pending(const struct llmos_netlink *netlink)
{
	return netlink->lost || netlink->gone;
}
