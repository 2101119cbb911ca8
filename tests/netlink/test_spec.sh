#!/bin/bash
# SPDX-License-Identifier: MIT
#
# The specification of the netlink family agrees with its header and with the module (TAP); and each
# kind of disagreement would be found.

set -euo pipefail
cd "$(dirname "$0")/../.."
tmp=$(mktemp -d)
trap 'rm -rf "$tmp"' EXIT
number=0

check()
{
	number=$((number + 1))
	if (($2 == 0)); then
		echo "ok $number - $1"
	else
		echo "not ok $number - $1"
	fi
}

compare()
{
	tests/netlink/spec.py "$tmp/llm.yaml" "$tmp/kmod/uapi" "$tmp/kmod" >"$tmp/out" 2>&1
}

restore()
{
	rm -rf "$tmp/kmod"
	cp -r kmod "$tmp/kmod"
	cp Documentation/netlink/specs/llm.yaml "$tmp/llm.yaml"
}

# spoilt NAME FILE EXPRESSION: with the file changed by sed, the comparison fails, and says of what
spoilt()
{
	local status=0
	restore
	sed -i -E "$3" "$tmp/$2"
	compare || status=$?
	grep -q '^not ok' "$tmp/out" || status=2
	check "found: $1" $((status != 1))
	restore
	if sed -E "$3" "$tmp/$2" | cmp -s - "$tmp/$2"; then
		check "$1: something was spoilt" 1
	fi
}

restore
status=0
compare || status=$?
check "the specification agrees" "$status"
grep -A 4 '^not ok' "$tmp/out" | sed 's/^/# /' || true
((status == 0)) || sed -n '/^Traceback/,$s/^/# /p' "$tmp/out"

header=kmod/uapi/linux/llm_netlink.h
spoilt 'an attribute of another name' llm.yaml 's/name: in-flight/name: inflight/'
spoilt 'an attribute that is missing' llm.yaml '/name: share-cache/,/^ +-$/d'
spoilt 'two attributes in another order' llm.yaml \
	's/name: rate$/name: x/;s/name: burst$/name: rate/;s/name: x$/name: burst/'
spoilt 'another type' llm.yaml '/name: weight/,/type:/s/u32/u64/'
spoilt 'a bound' llm.yaml 's/max: 10000$/max: 10007/'
spoilt 'a number' llm.yaml 's/value: 1000$/value: 1001/'
spoilt 'an event that is missing' llm.yaml '/name: refused$/,+1s/name: refused/name: denied/'
spoilt 'an attribute that is new' "$header" 's/^\tLLM_NL_A_WATCH_WINDOW,/&\n\tLLM_NL_A_WATCH_NEW,/'
spoilt 'a command that is new' "$header" 's/^\tLLM_NL_CMD_EVENT,/&\n\tLLM_NL_CMD_NEW,/'
spoilt 'another type in the header' "$header" 's/@LLM_NL_A_QUOTA_RATE: u64/@LLM_NL_A_QUOTA_RATE: u32/'
spoilt 'another type in a policy' kmod/netlink_quota.c \
	's/(\[LLM_NL_A_QUOTA_QUEUED\] = \{ .type = NLA_)U32/\1U64/'
spoilt 'another type in a message' kmod/netlink_group.c \
	's/nla_put_u32\(msg, LLM_NL_A_USAGE_RUNNING/nla_put_u8(msg, LLM_NL_A_USAGE_RUNNING/'
spoilt 'another group' "$header" 's/(LLM_MCGRP_EVENTS\s+)"events"/\1"news"/'
spoilt 'an operation that is missing' kmod/netlink.c 's/\.cmd = LLM_NL_CMD_WATCH,/.cmd = 99,/'
echo "1..$number"
