#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Prefixes that were computed before: who asks the same in the same cache domain begins sooner, the
# answer stays the same, and nobody of another user or cgroup can tell from the time that it takes what
# was asked. Below a cgroup that shares its cache, all can.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

# 2000 probes of each kind of attack, 200 to show that it works
rounds=$(pick 1000 0)
control=$(pick 100 0)
small_model
top=$(awk '$3 == "cgroup2" { print $2; exit }' /proc/mounts)
# over the socket a cgroup is seen where version 2 is mounted; else a connection shares with itself
same_domain=victim
if [ "$LLMOS_TRANSPORT" = device ] || [ "$top" = /sys/fs/cgroup ]; then
	same_domain=here
fi

# ---- the same answers ----

# same_answers TYPE: with a cache of that type, from what was found as without it
same_answers()
{
	DAEMON_ARGS="--batch-tokens=512 --kv-type=$1"
	daemon_start
	ctl ask --raw --ignore-eos -n 40 "$prompt" >"$TMP/first"
	ctl ask --raw --ignore-eos -n 40 "$prompt" >"$TMP/second"
	same "$TMP/second" "$TMP/first" "$1: the same answer again"
	if [ "$same_domain" = here ]; then
		isnt "$(status .reused_tokens)" 0 "$1: from what was found"
	else
		skip "$1: what was found" "each connection has a domain of its own here"
	fi
	ctl ask --raw --ignore-eos -n 40 "$prompt $(head -c 60 "$TMP/first")" >"$TMP/third"
	daemon_end TERM
	DAEMON_ARGS="$DAEMON_ARGS --prefix-cache=no"
	daemon_start
	ctl ask --raw --ignore-eos -n 40 "$prompt $(head -c 60 "$TMP/first")" >"$TMP/alone"
	same "$TMP/alone" "$TMP/third" "$1: and a longer one, as without a store"
	ctl ask --raw --ignore-eos -n 40 "$prompt" >"$TMP/alone"
	same "$TMP/alone" "$TMP/first" "$1: the first, too"
	is "$(status .reused_tokens)" 0 "$1: which finds nothing"
	is "$(status .kv_pages_kept)" 0 "$1: and keeps nothing"
	daemon_end TERM
}

prompt='Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day'
prompt="$prompt, she saw a big, red ball. She wanted to play with it, but it was too high."
for type in auto q8_0 q4_0; do
	same_answers "$type"
done
DAEMON_ARGS=--batch-tokens=512
daemon_start

# ---- the attack ----

run_prog prefix "$control" shared here "$same_domain"

if [ "$(id -u)" = 0 ]; then
	[ "$LLMOS_TRANSPORT" = device ] || chmod 777 "$TMP/s"
	run_prog prefix "$rounds" apart uid=65501 uid=65502
else
	skip "another user" "needs root"
fi

if [ "$same_domain" = here ] && [ -n "$top" ] && mkdir "$top/llmos-prefix.$$" 2>/dev/null; then
	g=$top/llmos-prefix.$$
	E2E_CGROUP="$g/a $g/b $g"
	mkdir "$g/a" "$g/b"
	run_prog prefix "$rounds" apart "$g/a" "$g/b"
	if [ "$LLMOS_TRANSPORT" = device ]; then
		ctl quota set "${g#"$top"}" share-cache=yes
		ok $? "they share their cache"
		run_prog prefix "$control" shared "$g/a" "$g/b"
		ctl quota reset "${g#"$top"}"
	else
		skip "a shared cache" "it is the module's"
	fi
else
	skip "another cgroup" "no writable cgroup v2 here"
fi

# ---- who is told ----

isnt "$(status .reused_tokens)" 0 "the administrator is told how much was found"
if have_user alice; then
	as alice "$LLMOS_BUILD/llmctl" status --json >"$TMP/status"
	is "$(json .reused_tokens <"$TMP/status")" 0 "nobody else is"
	is "$(json .kv_pages_kept <"$TMP/status")" 0 "nor how much is kept"
else
	skip "who is told" "no user alice here"
fi

daemon_stop
done_testing
