#!/bin/sh
# SPDX-License-Identifier: MIT
#
# The file itself: a shell writes a prompt to /dev/llm and reads the answer, as any user of the
# group; who asked is seen while it runs, checked against /proc.

# shellcheck source=tests/e2e/lib.sh
. "$(dirname "$0")/lib.sh"

need_device
need_root
small_model
# a story ends where the context does
[ "$LLMOS_SCALE" -eq 1 ] || DAEMON_ARGS=--context=100
daemon_start
who=root
have_user alice && who=alice
uid=$(id -u $who)
chmod 777 "$TMP"

# the shell's own redirection, nothing else
as $who sh -c "exec 3<>/dev/llm; echo 'Once upon a time' >&3; cat <&3" >"$TMP/story"
is $? 0 "echo to it, cat from it"
has "$TMP/story" '^, there was' "it is a story"
[ "$(wc -c <"$TMP/story")" -gt 200 ]
ok $? "of $(wc -c <"$TMP/story") bytes"
ctl run "$SMALL" 'Once upon a time' >"$TMP/ctl" </dev/null
printf '%s' "$(cat "$TMP/ctl")" >"$TMP/ctl.text"
printf '%s' "$(cat "$TMP/story")" >"$TMP/story.text"
same "$TMP/story.text" "$TMP/ctl.text" "the same one that llmctl gets"

# twice on one open file
as $who sh -c "exec 3<>/dev/llm
	echo 'Once upon a time' >&3; cat <&3 >$TMP/first
	echo 'Once upon a time' >&3; cat <&3 >$TMP/second" 2>"$TMP/err"
is $? 0 "a second prompt on the same file"
same "$TMP/first" "$TMP/story" "the first answer is whole"
same "$TMP/second" "$TMP/story" "and so is the second"

# a prompt in pieces
as $who sh -c "exec 3<>/dev/llm; printf 'Once upon' >&3; printf ' a time' >&3; cat <&3" \
	>"$TMP/pieces"
same "$TMP/pieces" "$TMP/story" "a prompt written in pieces is one prompt"

# while it runs: the daemon is stopped, so that it can not have ended
kill -STOP "$DAEMON_PID"
"$E2E/as" $who sh -c "exec 3<>/dev/llm; echo 'Once upon a time' >&3; exec cat <&3" >"$TMP/seen" &
asker=$!
E2E_PIDS=$asker
# shellcheck disable=SC2317
listed()
{
	ctl ps --json >"$TMP/ps" && json "[pid=$asker].pid" <"$TMP/ps" >/dev/null
}
wait_for 10 listed
ok $? "ps shows its pid" || note "$(cat "$TMP/ps")"
is "$(json "[pid=$asker].uid" <"$TMP/ps")" "$uid" "and its uid"
is "$(json "[pid=$asker].cgroup" <"$TMP/ps")" "$(sed -n 's/^0:://p' "/proc/$asker/cgroup")" \
	"and its cgroup, as /proc has it"
is "$(json '[#]' <"$TMP/ps")" 1 "and nobody else"
grep -q 'Once upon' "$TMP/ps"
is $? 1 "and nothing of what was asked"
kill -CONT "$DAEMON_PID"
wait "$asker"
is $? 0 "it goes on"
same "$TMP/seen" "$TMP/story" "to the same story"

# what goes wrong
as $who sh -c "exec 3<>/dev/llm; cat <&3" >"$TMP/out" 2>"$TMP/err"
[ ! -s "$TMP/out" ]
ok $? "no prompt, no answer"
as $who sh -c "exec 3<>/dev/llm; printf 'a\\377\\376' >&3; cat <&3" >"$TMP/out" 2>"$TMP/err"
isnt $? 0 "not UTF-8: reading fails"
has "$TMP/err" 'nvalid|llegal|multibyte' "with an errno that says so"
as $who sh -c "exec 3<>/dev/llm; echo 'Once upon a time' >&3; head -c 10 <&3 >/dev/null
	echo more >&3" 2>"$TMP/err"
isnt $? 0 "no prompt may be written while an answer is read"
has "$TMP/err" 'busy' "that is EBUSY"

# who may not
if have_user mallory; then
	as mallory sh -c 'exec 3<>/dev/llm' 2>"$TMP/err"
	isnt $? 0 "who is not in the group can't open it"
	has "$TMP/err" 'ermission denied' "with EACCES"
	as mallory "$LLMOS_BUILD/llmctl" ask Once </dev/null >"$TMP/out" 2>"$TMP/err"
	is $? 77 "llmctl says so by its exit code"
	has "$TMP/err" 'group llm' "and names the group"
	as alice sh -c 'exec 3<>/dev/llmd' 2>"$TMP/err"
	isnt $? 0 "/dev/llmd is root's alone"
	has "$TMP/err" 'ermission denied' "with EACCES"
else
	skip "who is not in the group" "no user mallory here"
fi
is "$(stat -c '%a %G' /dev/llm)" "660 llm" "/dev/llm is 0660, group llm"

daemon_stop
done_testing
