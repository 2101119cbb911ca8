#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Memory is charged to whoever asks: what llm.ko counts for a cgroup is what the daemon says that it
# holds, page for page, also while clients and the daemon are killed; a quota of it makes requests
# wait, computes them again, or refuses them, and changes no answer. What is kept for later requests is
# charged, too, and goes when somebody needs the room.
#
# what wait_for calls is not seen to be called
# shellcheck disable=SC2317
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need_device
need_root
own_cgroup memory

small_model
DAEMON_ARGS=--prefix-cache=no
daemon_start

# 32 tokens, keys and values of each layer and head in F32
ctl show --json "$SMALL" >"$TMP/model"
page=$(($(json .layers <"$TMP/model") * $(json .kv_heads <"$TMP/model") * 2 * 32 * 4 * \
	$(json .width <"$TMP/model") / $(json .heads <"$TMP/model")))
note "a page of the cache has $page bytes"

# ask_here ARGUMENT...: in the background, from within the cgroup; $! is the asker itself
ask_here()
{
	exec "$E2E/as" -g "$mount/$here" - "$LLMOS_BUILD/llmctl" ask --raw 'Once upon a time' \
		--ignore-eos "$@" </dev/null
}

# charged PATH: bytes of host memory that are charged to a cgroup
charged()
{
	ctl quota show --json "$1" >"$TMP/charged" 2>/dev/null || return 1
	charged_bytes=$(json .usage.memory.host <"$TMP/charged" 2>/dev/null)
	echo "${charged_bytes:-0}"
}

# pages that are taken: by requests, and to be kept
pages()
{
	ctl status --json >"$TMP/status" 2>/dev/null || return 1
	kept=$(json .kv_pages_kept <"$TMP/status" 2>/dev/null)
	held=$(json .kv_pages_used <"$TMP/status" 2>/dev/null) || return 1
	held=$((held + kept))
}

# agrees LEAST: with at least so many pages taken, what is charged is what is held, and stays so
agrees()
{
	pages && [ "$held" -ge "$1" ] && before=$held &&
		bytes=$(charged "/$here") && [ "$bytes" = $((held * page)) ] &&
		[ "$(charged /)" = "$bytes" ] && pages && [ "$held" = "$before" ]
}

is_empty()
{
	agrees 0 && [ "$bytes" = 0 ]
}

# ledger LEAST TEXT
ledger()
{
	wait_for 20 agrees "$1"
	ok $? "$2: $held pages are held, $bytes bytes charged"
}

# top_is_seen LEAST: what top shows while so many pages are taken, and none comes or goes
top_is_seen()
{
	agrees "$1" && shown=$bytes &&
		ctl top --batch --count 1 --interval 0.2 >"$TMP/top" &&
		agrees "$1" && [ "$bytes" = "$shown" ]
}

# ---- what is charged is what is held ----

(ask_here -n 150 >"$TMP/want")
is $? 0 "an answer of 150 tokens"
ledger 0 "nothing is left of it"
wait_for 20 is_empty
ok $? "not a byte"

# who has had his 60 tokens rests for a minute, with his pages
ctl quota set "/$here" tokens-per-second=1 burst=60
askers=
for i in 1 2 3 4; do
	(ask_here -n 150 >"$TMP/killed$i" 2>&1) &
	askers="$askers $!"
done
E2E_PIDS=$askers
ledger 4 "four that rest"
wait_for 20 top_is_seen 4
ok $? "nothing comes or goes while top looks"
has "$TMP/top" "^/$here .* $((shown / 1024))(\\.[0-9]+)?K " "top shows it"
left=4
for asker in $askers; do
	kill -KILL "$asker"
	wait "$asker" 2>/dev/null
	left=$((left - 1))
	ledger "$left" "one of them is killed"
	[ "$left" = 2 ] || continue
	daemon_end KILL
	ctl quota set "/$here" tokens-per-second=max
	ctl quota set "/$here" tokens-per-second=1 burst=60
	daemon_start
	ledger "$left" "the daemon is killed"
done
wait_for 20 is_empty
ok $? "the last one takes all with it"
ctl quota reset "/$here"

# ---- a quota ----

running()
{
	for asker in $askers; do
		ended "$asker" || return 0
	done
	return 1
}

# have_memory: some of them do
have_memory()
{
	bytes=$(charged "/$here") && [ "$bytes" -ge "$page" ]
}

# watch_askers: until they have ended, what is charged is at most $most
watch_askers()
{
	most=$bytes
	watch_end=$(($(date +%s) + 120 * LLMOS_SCALE))
	while running; do
		bytes=$(charged "/$here") && [ "$bytes" -gt "$most" ] && most=$bytes
		[ "$(date +%s)" -lt "$watch_end" ] || return 1
	done
}

# crowd TEXT: six at once, of whom each takes 5 pages in the end; there are 8. When they have had 60
# tokens they rest, so that they are not through before they were looked at
crowd()
{
	ctl quota set "/$here" memory.host=$((8 * page)) tokens-per-second=1 burst=60
	askers=
	for i in 1 2 3 4 5 6; do
		(ask_here -n 150 >"$TMP/got$i" 2>"$TMP/err$i") &
		askers="$askers $!"
	done
	E2E_PIDS=$askers
	wait_for 20 have_memory
	ok $? "$1: they were seen to have memory"
	ctl quota set "/$here" tokens-per-second=max
	# shellcheck disable=SC2086
	watch_askers || kill -KILL $askers
	at_most "$most" $((8 * page)) "$1: never is more charged than the quota"
	i=0
	for asker in $askers; do
		i=$((i + 1))
		wait "$asker"
		is $? 0 "$1: answer $i" || note "$(cat "$TMP/err$i")"
		same "$TMP/got$i" "$TMP/want" "is the undisturbed one"
	done
}

crowd "below a quota"
ledger 0 "nothing is left of them"
wait_for 20 is_empty
ok $? "not a byte"

# ---- what can never fit ----

ctl quota set "/$here" memory.host=$((2 * page))
(ask_here -n 150 >"$TMP/out" 2>"$TMP/err")
is $? 75 "an answer that grows beyond the quota: $(cat "$TMP/err")"
has "$TMP/err" "$((3 * page)) bytes for 65 tokens are more than a quota of memory allows" "it says why"
begin=$(head -c 80 "$TMP/want")
is "$(head -c 80 "$TMP/out")" "$begin" "and what came before is right"
ctl quota set "/$here" memory.host=$((page - 1))
(ask_here -n 5 >"$TMP/out" 2>"$TMP/err")
is $? 75 "a prompt beyond it"
ctl quota reset "/$here"
(ask_here -n 150 >"$TMP/got")
same "$TMP/got" "$TMP/want" "without a quota all is as before"
ledger 0 "in the end nothing is held"
wait_for 20 is_empty
ok $? "and nothing charged"
daemon_stop

# ---- what is kept ----

DAEMON_ARGS=
daemon_start
# the prompt and 149 tokens fed: four pages are full
(ask_here -n 150 >"$TMP/got")
same "$TMP/got" "$TMP/want" "an answer that is kept"
ledger 4 "it stays charged"
is "$held $kept" "4 4" "four pages of it"
(ask_here -n 150 >"$TMP/got")
same "$TMP/got" "$TMP/want" "again, from what is kept"
ledger 4 "what is kept twice is charged once"
is "$held" 4 "still four"

# there is no room for six: what is kept goes first, also while it is used
crowd "beside what is kept"
ledger 1 "afterwards something is kept"
# five pages to use, and some are kept: whoever does not want to wait for a quota does not have to
ctl quota set "/$here" memory.host=$((5 * page))
(ask_here -n 150 --no-wait >"$TMP/got")
is $? 0 "an answer that needs all there is"
same "$TMP/got" "$TMP/want" "is the undisturbed one"
ctl quota set "/$here" memory.host=$((3 * page))
(ask_here -n 60 >"$TMP/got")
is $? 0 "less room than is kept"
begin=$(head -c 80 "$TMP/want")
is "$(head -c 80 "$TMP/got")" "$begin" "its answer is right"
at_most "$(charged "/$here")" $((3 * page)) "and there is no more than that"
ctl quota reset "/$here"
ledger 1 "without a quota"

# what was kept for a cgroup goes with it
mkdir "$mount/$here/gone"
("$E2E/as" -g "$mount/$here/gone" - "$LLMOS_BUILD/llmctl" ask --raw 'A cat' --ignore-eos -n 150 \
	</dev/null >"$TMP/got")
is $? 0 "an answer for a cgroup below"
pages
more=$kept
wait_for 10 rmdir "$mount/$here/gone"
fewer()
{
	pages && [ "$kept" -le $((more - 4)) ]
}
wait_for 20 fewer
ok $? "it is removed, and what was kept for it: $more pages, then $kept"
ledger 1 "the others are still kept"

# a daemon that is killed keeps nothing
daemon_end KILL
daemon_start
ledger 0 "the daemon is killed"
wait_for 20 is_empty
ok $? "what it kept is gone"
daemon_stop
done_testing
