#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Quotas from an administrator's side: llmctl quota, top, events and pressure against llm.ko, real
# cgroups that come and go, and a user who is nobody special.

# what wait_for calls is not seen to be called
# shellcheck disable=SC2317
# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need_device
need_root
own_cgroup quota

small_model
daemon_start

# ---- set, show, reset ----

ctl quota set "/$here" weight=300 tokens-per-second=1000.5 burst=2000 in-flight=7 queued=9 \
	compute=900ms/1s memory.host=2G memory.cuda0=max share-cache=yes
ok $? "quota set"
ctl quota show --json "/$here" >"$TMP/show"
is "$(json .path <"$TMP/show")" "/$here" "quota show: its path"
is "$(json .id <"$TMP/show")" "$(stat -c %i "$mount/$here")" "its number is the folder's inode"
is "$(json .quota.weight <"$TMP/show")" 300 "weight"
is "$(json .quota.tokens_per_second <"$TMP/show")" 1000.5 "tokens a second"
is "$(json .quota.burst <"$TMP/show")" 2000 "burst"
is "$(json .quota.in_flight <"$TMP/show")" 7 "in flight"
is "$(json .quota.queued <"$TMP/show")" 9 "queued"
is "$(json .quota.compute_ns <"$TMP/show")" 900000000 "compute time"
is "$(json .quota.memory.host <"$TMP/show")" 2147483648 "memory"
is "$(json .quota.share_cache <"$TMP/show")" true "sharing"
mkdir "$mount/$here/below"
ctl quota show "/$here/below" >"$TMP/show"
has "$TMP/show" "^in-flight +max +7 +/$here +0\$" "a cgroup below: the limit in effect, and whose it is"
ctl quota show >"$TMP/show"
has "$TMP/show" "^/$here +300 +1000.5 +2000 +7 +9 +900ms/1s +host=2G\$" "it is listed"
is "$(ctl quota reset "$here")" "/$here" "quota reset by name tells the path"
ctl quota show --json "$mount/$here" >"$TMP/show"
is "$(json .quota.weight <"$TMP/show") $(json .quota.in_flight <"$TMP/show")" "100 null" "quota reset"
ctl quota set / prompt-cost=0.5
ok $? "the root's cost of a prompt"
ctl quota set "/$here" prompt-cost=0.5 2>"$TMP/err"
is $? 64 "which is no other cgroup's"
has "$TMP/err" "the root's alone" "as the kernel says"
ctl quota set "/$here" tokens-per-second=2000000000 2>"$TMP/err"
is $? 64 "a rate that is out of the kernel's bounds"
has "$TMP/err" ': more than any machine can do: ' "which says so in its own words"
ctl quota reset /
rmdir "$mount/$here/below"
ctl quota show "/$here/below" 2>"$TMP/err"
is $? 66 "a cgroup that is gone"

# ---- limits hold, and are seen ----

# asks ARGUMENT...: a question from within the cgroup
asks()
{
	within 60 "$E2E/as" -g "$mount/$here" - "$LLMOS_BUILD/llmctl" ask --raw Once -n 8 "$@" </dev/null
}

# something is told of: then all that follows will be
listens()
{
	ctl quota set / queued=max
	[ -s "$TMP/events" ]
}

# told TYPE: how often of this cgroup
told()
{
	grep -c "\"type\":\"$1\".*\"cgroup\":\"/$here\"" "$TMP/events"
}

told_of()
{
	[ "$(told "$1")" -ge "$2" ]
}

ctl events --json >"$TMP/events" 2>"$TMP/events.err" &
E2E_PIDS=$!
wait_for 10 listens
ok $? "events are followed" || note "$(cat "$TMP/events.err")"
ctl quota set "/$here" in-flight=0 weight=200
asks --no-wait >"$TMP/out" 2>"$TMP/err"
is $? 75 "over quota and in a hurry: $(cat "$TMP/err")"
ctl quota set "/$here" in-flight=max
asks >"$TMP/out" 2>"$TMP/err"
ok $? "without the limit it is answered" || note "$(cat "$TMP/err")"
ctl quota show --json "/$here" >"$TMP/show"
is "$(json .usage.output_tokens <"$TMP/show")" 8 "what it used: tokens"
is "$(json .usage.refused <"$TMP/show")" 1 "and requests that were refused"
is "$(json .usage.in_flight <"$TMP/show")" 0 "and none that is under way"
wait_for 10 told_of refused 1
wait_for 10 told_of quota 2
grep -E '"type":"refused"' "$TMP/events" >"$TMP/refused"
is "$(json .cgroup <"$TMP/refused")" "/$here" "an event tells whose request was refused"
is "$(json .uid <"$TMP/refused")" 0 "and who asked"
is "$(told quota)" 2 "and each quota that was set"

# ---- pressure, top ----

within 60 "$LLMOS_BUILD/llmctl" pressure "/$here" --watch 300ms/1s --count 1 --json >"$TMP/pressure" 2>&1 &
watcher=$!
E2E_PIDS="$E2E_PIDS $watcher"
ctl quota set "/$here" tokens-per-second=1 burst=1
"$E2E/as" -g "$mount/$here" - "$LLMOS_BUILD/llmctl" ask --raw Once -n 400 --ignore-eos \
	</dev/null >/dev/null 2>&1 &
asker=$!
E2E_PIDS="$E2E_PIDS $asker"
wait "$watcher"
is "$?" 0 "pressure --watch tells when it is too much"
is "$(json .type <"$TMP/pressure") $(json .cgroup <"$TMP/pressure")" "pressure /$here" "of whom"
ctl top --batch --count 1 --interval 0.5 >"$TMP/top"
has "$TMP/top" "^/$here +1\\+0 " "top shows it"
ctl pressure "/$here" >"$TMP/show"
has "$TMP/show" '^some avg10=[0-9.]+ avg60=[0-9.]+ avg300=[0-9.]+ total=[1-9][0-9]+$' "pressure, as /proc/pressure has it"
wait_for 10 told_of throttled 1
ok $? "an event tells that it is throttled"
kill "$asker"
wait "$asker" 2>/dev/null
ctl quota reset "/$here"

# ---- files, and cgroups that come and go ----

# quota_is PATH WEIGHT
quota_is()
{
	ctl quota show --json "$1" >"$TMP/is" 2>/dev/null && [ "$(json .quota.weight <"$TMP/is")" = "$2" ]
}

# of_b TYPE COUNT: so many events of that type name b.service, also when it is gone
of_b()
{
	[ "$(grep -c "\"type\":\"$1\".*/b.service\"" "$TMP/events")" -ge "$2" ]
}

taken_back()
{
	ctl quota show --json "/$here" >"$TMP/is" && [ "$(json .quota.in_flight <"$TMP/is")" = null ]
}

test_watch()
{
	wait_for 10 quota_is "/$here/a.service" 250
	ok $? "quota watch: what is there gets its quota"
	for i in 1 2 3; do
		mkdir "$mount/$here/b.service"
		wait_for 10 quota_is "/$here/b.service" 250
		ok $? "what appears gets it ($i)"
		wait_for 10 of_b quota "$i"
		rmdir "$mount/$here/b.service"
	done
	wait_for 10 of_b group-gone 3
	ok $? "an event tells of each that is gone, by its name" || note "$(tail -n 4 "$TMP/events")"
	printf '[/%s/*.service]\nweight = 260\n' "$here" >"$TMP/quota.d/a.conf"
	kill -HUP "$watch"
	wait_for 10 quota_is "/$here/a.service" 260
	ok $? "SIGHUP: the files are read again"
	wait_for 10 taken_back
	ok $? "and what they do not say any more is taken back"
	kill "$watch"
	wait "$watch"
	is $? 0 "it ends well"
	is "$(cat "$TMP/watch")" "" "and said nothing"
}

mkdir "$TMP/quota.d"
printf '[/%s/*.service]\nweight = 250\n[/%s]\nin-flight = 5\n' "$here" "$here" >"$TMP/quota.d/a.conf"
mkdir "$mount/$here/a.service"
"$LLMOS_BUILD/llmctl" quota watch --folder "$TMP/quota.d" >"$TMP/watch" 2>&1 </dev/null &
watch=$!
E2E_PIDS="$E2E_PIDS $watch"
# known: it has given what is there its quota, or has ended
known()
{
	quota_is "/$here/a.service" 250 || ended "$watch"
}
wait_for 10 known
if grep -q 'inotify: Function not implemented' "$TMP/watch"; then
	skip "quota watch" "this kernel has no inotify"
else
	test_watch
fi
rmdir "$mount/$here/a.service"

# ---- who may ----

if have_user mallory; then
	as mallory "$LLMOS_BUILD/llmctl" quota set "/$here" weight=1 2>"$TMP/err"
	is $? 77 "a user who is nobody special sets no quota: $(cat "$TMP/err")"
	as mallory "$LLMOS_BUILD/llmctl" quota reset --all 2>"$TMP/err"
	is $? 77 "nor resets any"
	as mallory "$LLMOS_BUILD/llmctl" events 2>"$TMP/err" </dev/null
	is $? 77 "nor follows events: $(cat "$TMP/err")"
	as mallory "$LLMOS_BUILD/llmctl" quota show >"$TMP/show"
	is $? 0 "but sees the quotas"
	as mallory "$LLMOS_BUILD/llmctl" top --count 1 --interval 0.1 >"$TMP/top"
	is $? 0 "and the usage"
	mkdir "$mount/$here/user.service"
	chown mallory "$mount/$here/user.service"
	ctl quota set user.service weight=1 2>"$TMP/err"
	is $? 64 "a name that only a user's cgroup has is no service's"
	has "$TMP/err" "'/$here/user.service', which is not root's" "and the line tells whose it was"
	ctl quota set "/$here/user.service" weight=1
	ok $? "its path is that cgroup"
	rmdir "$mount/$here/user.service"
else
	skip "somebody else" "no user mallory here"
fi

daemon_stop
done_testing
