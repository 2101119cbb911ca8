#!/bin/bash
# SPDX-License-Identifier: MIT
#
# llmctl quota, top, events, pressure against a fake of the kernel's netlink family, with folders in
# place of cgroups.

# what wait_for and trap call is not seen to be called
# shellcheck disable=SC2317
# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

ROOT=$TMP/cgroup
export FAKE_NETLINK=$TMP/netlink
SHIM=$LLMOS_BUILD/tests/cli/fake_netlink.so
[[ -f $SHIM ]] || skip_all "no '$SHIM'"
# a sanitizer's library wants to be the first
SHIM=$(ldd "$LLMOS_BUILD/llmctl" | sed -nE 's,.*libasan.* => ([^ ]*) .*,\1:,p')$SHIM
mkdir -p "$ROOT/user.slice/user-1000.slice" "$ROOT/system.slice/foo.service" \
	"$ROOT/system.slice/bar.service" "$ROOT/machine.slice/bar.service"
echo "30 1 0:26 / $ROOT rw,nosuid - cgroup2 cgroup2 rw" >"$FAKE_NETLINK.mountinfo"
FAKE=
stop_fake()
{
	[[ -z $FAKE ]] || kill "$FAKE" 2>/dev/null
	[[ -z ${MANAGER:-} ]] || kill "$MANAGER" 2>/dev/null
	[[ -z ${WATCH:-} ]] || kill "$WATCH" 2>/dev/null
	cleanup
}
trap stop_fake EXIT
python3 "$TREE/tests/cli/fake_netlink.py" "$FAKE_NETLINK" "$ROOT" >"$TMP/fake" 2>"$TMP/fake.err" &
FAKE=$!

# asked PATTERN: the fake was asked for that
asked()
{
	grep -qE -- "$1" "$TMP/fake"
}

was_asked()
{
	wait_for asked "$1"
	ok $? "$2"
	grep -qE -- "$1" "$TMP/fake" || tail -n 3 "$TMP/fake" "$TMP/fake.err" | sed 's/^/# fake: /'
}

# asked_times PATTERN COUNT
asked_times()
{
	[[ $(grep -cE -- "$1" "$TMP/fake") == "$2" ]]
}

# asked_often PATTERN COUNT: so many times at least
asked_often()
{
	(($(grep -cE -- "$1" "$TMP/fake") >= $2))
}

fctl()
{
	LD_PRELOAD=$SHIM ctl "$@"
}

# ffails CODE PATTERN TEXT ARGUMENT...
ffails()
{
	LD_PRELOAD=$SHIM fails "$@"
}

started()
{
	[[ -s $TMP/fake ]]
}
wait_for started

# ---- set ----

fctl quota set /user.slice weight=300 tokens-per-second=12.5 burst=1000 in-flight=4 queued=max
is "$? $(cat "$TMP/out")" "0 " "set"
was_asked '^set /user.slice burst=1000000 in_flight=4 queued=4294967295 rate=12500 weight=300$' \
	"what was typed is what is sent"
fctl quota set "$ROOT/system.slice" compute=500ms/1s memory.host=2G memory.cuda0=max share-cache=yes
was_asked '^set /system.slice compute=500000000 cuda0=18446744073709551615 host=2147483648 period=1000000000 share_cache=1$' \
	"times, bytes, a path with the mount"
fctl quota set foo.service compute=50%
was_asked '^set /system.slice/foo.service compute=500000000 period=1000000000$' \
	"a unit's name, a percentage"
is "$(cat "$TMP/out")" /system.slice/foo.service "of a name it tells the path"
fctl quota set / prompt-cost=0.25
was_asked '^set / prompt_cost=250$' "the root"

ffails 64 "bar.service.*Name not unique" "a name that two have" quota set bar.service weight=1
mkdir -p "$ROOT/user.slice/user-1000.slice/batch.service/deep.service"
chmod +t "$ROOT/user.slice/user-1000.slice/batch.service"
ffails 64 "'/user.slice/user-1000.slice/batch.service', which is not root's" \
	"a name that only a user's cgroup has" quota set batch.service weight=7777
ffails 64 "not root's" "nor is that reset" quota reset batch.service
fctl quota set /user.slice/user-1000.slice/batch.service weight=9
is "$? $(cat "$TMP/out")" "0 " "its path says that it is meant"
fctl quota reset deep.service
is "$? $(cat "$TMP/out")" "0 /user.slice/user-1000.slice/batch.service/deep.service" \
	"reset: of a name it tells the path"
asked weight=7777
is $? 1 "nothing was set by the name"
fctl quota reset /user.slice/user-1000.slice/batch.service
rm -r "$ROOT/user.slice/user-1000.slice/batch.service"
deep=$ROOT$(printf '/d%.0s' {1..65})
mkdir -p "$deep"
ffails 64 "foo.service'.*not all cgroups could be searched.*give its path" \
	"a name in a tree that is too deep" quota set foo.service weight=7777
fctl quota set "${deep#"$ROOT"}" weight=9
is $? 0 "where a path is one all the same"
rm -r "$ROOT/d"
ffails 66 "'/nothing'" "no such cgroup" quota set /nothing weight=1
ffails 64 "'/user.slice/../x'" "a path that goes up" quota set /user.slice/../x weight=1
ffails 64 "weight" "no value" quota set / weight
for bad in weight=0 weight=10001 weight=1.5 weight=max weight= weight=-1 weight=1x weight=' 1' \
	tokens-per-second=1.0001 tokens-per-second=1K tokens-per-second=99999999999999999999 \
	tokens-per-second=0x10 tokens-per-second=1e3 tokens-per-second=. tokens-per-second=1. \
	burst=0.5 in-flight=4294967295 in-flight=-1 queued=1M compute=500ms compute=1s/1ms \
	compute=1s/0s compute=1/1 compute=500ms/ compute=/1s compute=101s/2000s memory.host=1.5 \
	memory.host=1KB memory.host=16777216T share-cache=1 share-cache=YES prompt-cost=1001 \
	memory.=1 memory="$(printf 'x%.0s' {1..40})"=1 frobnicate=1 =1 WEIGHT=1; do
	ffails 64 "${bad%%=*}" "quota set / $bad" quota set / "$bad"
done
was_asked '^ready' "(the fake is there)"
is "$(grep -c '^set / ' "$TMP/fake")" 1 "nothing of that was sent"
ffails 64 'rate is out of bounds' "the kernel's own words" quota set / tokens-per-second=2000000000

# ---- show ----

fctl quota show
is $? 0 "show"
is "$(head -n 1 "$TMP/out" | tr -s ' ')" "CGROUP WEIGHT TOKENS/S BURST IN-FLIGHT QUEUED COMPUTE MEMORY" \
	"its head"
has '^/user.slice +300 +12.5 +1000 +4 +max +max +max$' "a row"
has '^/system.slice +100 +max +max +max +max +500ms/1s +host=2G$' "another one"
fctl quota show --json
is_json "show --json is JSON"
is "$(json '[path=/user.slice].quota.tokens_per_second')" 12.5 "with numbers"
is "$(json '[path=/user.slice].quota.queued')" null "and null for no limit"
is "$(json '[path=/system.slice].quota.memory.host')" 2147483648 "and memory"

fctl quota show foo.service
is $? 0 "show of one"
has '^cgroup    /system.slice/foo.service \(number [0-9]+\)$' "its name"
has '^compute +500ms/1s +500ms/1s +/system.slice/foo.service +-$' "its own limit"
has '^memory.host +max +2G +/system.slice +0$' "a limit from above, and whose it is"
has '^share-cache +no +yes +/system.slice +-$' "sharing from above"
has '^in-flight +max +max +- +0$' "what nobody limits"
has '^weight +100 +100 +/system.slice/foo.service +-$' "its weight"
fctl quota show /user.slice/user-1000.slice
has '^tokens-per-second +max +12.5 +/user.slice +-$' "a rate from above"
has '^burst +max +1000 +/user.slice +-$' "with its burst"
fctl quota show --json foo.service
is_json "show --json of one is JSON"
has '"memory.host":\{"value":"2G","id":[0-9]+,"path":"/system.slice"\}' "with what holds and by whom"
ffails 66 "'nowhere'" "show of none" quota show nowhere

# names that somebody else chose
mkdir "$ROOT/user.slice/"$'evil\e[31mred\n.slice'
fctl quota set "/user.slice/"$'evil\e[31mred\n.slice' weight=7
is $? 0 "a name with control characters"
fctl quota show
! grep -q $'\e' "$TMP/out"
ok $? "they do not reach the terminal"
has 'evil\\x1b\[31mred\\x0a.slice +7 ' "but are shown"
fctl quota show --json
is_json "nor do they break JSON"
rmdir "$ROOT/user.slice/"$'evil\e[31mred\n.slice'

# ---- top ----

id()
{
	stat -c %i "$ROOT$1"
}
{
	echo "$(id /) units=400000 in_flight=4 queued=2"
	echo "$(id /user.slice) units=300000 in_flight=3 queued=2 dispatched=10 queue_time=2500000000 memory.host=1048576 some_avg10=1234"
	echo "$(id /system.slice) units=100000 in_flight=1"
} >"$FAKE_NETLINK.usage"
fctl top --interval 0.1 --count 2
is $? 0 "top, not on a terminal"
is "$(grep -c '^CGROUP' "$TMP/out")" 2 "two rounds"
has '^/user.slice +3\+2 +[0-9.]+ +75.0% +75.0% +250ms +[1-9][.0-9]*M +12.3%$' "share against weight, queue time, memory"
has '^/system.slice +1\+0 +[0-9.]+ +25.0% +25.0% +- +0 +0.0%$' "and of another"
has '4 in flight, 2 queued' "and of all"
fctl top --interval 0.1 --count 1 --json
is_json "top --json is JSON"
is "$(json '.groups[path=/user.slice].share')" 0.75 "the share"
fctl top --interval 0.1 --count 1 --sort cgroup
is "$(grep -oE '^/[^ ]*' "$TMP/out" | head -n 3 | tr '\n' ' ')" "/ /system.slice /system.slice/foo.service " "top --sort"
ffails 64 "interval" "an interval of nothing" top --interval 0.01
ffails 64 "'colour'" "no such column" top --sort colour
rm "$FAKE_NETLINK.usage"
# shellcheck disable=SC2016
(printf 'nq' | SHIM=$SHIM timeout -s KILL 60 script -qec \
	'stty cols 80 rows 24; LD_PRELOAD=$SHIM exec llmctl top --interval 60' /dev/null) >"$TMP/out" 2>"$TMP/err"
is $? 0 "top on a terminal: q quits"
grep -qF $'\e[?1049h' "$TMP/out" && grep -qF $'\e[?1049l' "$TMP/out" && grep -qF $'\e[?25h' "$TMP/out"
ok $? "the screen is there again"
awk '{ gsub(/\033\[[?0-9]*[A-Za-z]|\r/, ""); if (length > 80) exit 1 }' "$TMP/out"
ok $? "it fits in 80 columns"

# ---- events, pressure ----

LD_PRELOAD=$SHIM timeout -s KILL 60 llmctl events --count 2 >"$TMP/events" 2>&1 </dev/null &
EVENTS=$!
wait_for asked '^joined'
fctl quota set /user.slice weight=200
fctl quota reset /user.slice
wait "$EVENTS"
is $? 0 "events --count"
is "$(wc -l <"$TMP/events")" 2 "one a line"
grep -qE '^[0-9:.]{12} quota +/user.slice pid 4242 uid 0$' "$TMP/events"
ok $? "time, type, cgroup, who"
was_asked '^reset /user.slice$' "reset"
LD_PRELOAD=$SHIM timeout -s KILL 60 llmctl events --json --count 1 >"$TMP/events" 2>&1 </dev/null &
EVENTS=$!
wait_for asked_times '^joined' 2
fctl quota reset --all
was_asked '^reset all$' "reset --all"
fctl quota set /user.slice weight=200
wait "$EVENTS"
cp "$TMP/events" "$TMP/out"
is_json "events --json is JSON"
is "$(json .type)" quota "of that type"
FAKE_NETLINK_USER=1 ffails 77 "events: Operation not permitted" "events for nobody special" events

fctl pressure /user.slice
is $? 0 "pressure"
has '^some avg10=12.34 avg60=0.00 avg300=0.00 total=0$' "as /proc/pressure has it"
fctl pressure --json
is_json "pressure --json is JSON"
is "$(json .path)" / "of the whole machine"
fctl pressure user.slice --watch 150ms/1s --count 2
is $? 0 "pressure --watch"
is "$(wc -l <"$TMP/out")" 2 "also the event that came before the answer"
has 'pressure +/user.slice stalled 150ms$' "how long"
echo early >"$FAKE_NETLINK.evil"
LD_PRELOAD=$SHIM timeout -s KILL 60 "$LLMOS_BUILD/tests/e2e/polled" /user.slice 2 2>"$TMP/err"
ok $? "an event that came before the answer polls readable" || cat "$TMP/err"
rm "$FAKE_NETLINK.evil"
LD_PRELOAD=$SHIM timeout -s KILL 60 "$LLMOS_BUILD/tests/e2e/polled" /user.slice 2 2>"$TMP/err"
ok $? "also with one that comes after it"
for bad in 1s 1s/100ms 2s/1s 0s/1s x/1s 1s/301s; do
	ffails 64 "'$bad'" "--watch $bad" pressure --watch "$bad"
done
ffails 64 "'--watch'" "--full alone" pressure --full

# ---- a kernel that is not one ----

for evil in short region flood positive cut; do
	echo "$evil" >"$FAKE_NETLINK.evil"
	ffails 76 "Protocol error" "answers that are wrong ($evil)" quota show
done
echo changing >"$FAKE_NETLINK.evil"
ffails 75 "Resource temporarily unavailable" "a list that changes whenever it is read" quota show
echo silent >"$FAKE_NETLINK.evil"
ffails 75 "timed out" "no answer" quota show
rm "$FAKE_NETLINK.evil"
: >"$FAKE_NETLINK.absent"
for command in "quota show" top events pressure; do
	# shellcheck disable=SC2086
	ffails 69 "llm.ko is not loaded: quotas need it" "$command without a module" $command
done
rm "$FAKE_NETLINK.absent"

# follows COMMAND...: it waits; then the module goes, which somebody else's call makes known
follows()
{
	local pid before
	before=$(grep -c ^follows "$TMP/fake")
	LD_PRELOAD=$SHIM timeout -s KILL 60 llmctl "$@" >"$TMP/follow" 2>&1 </dev/null &
	pid=$!
	wait_for asked_times ^follows $((before + 1))
	: >"$FAKE_NETLINK.absent"
	fctl quota show
	wait "$pid"
	is $? 79 "$1: the module goes"
	is "$(tail -n 1 "$TMP/follow")" "llmctl: $1: llm.ko was unloaded" "$1 tells so"
	rm "$FAKE_NETLINK.absent"
}
follows events
follows pressure --watch 1s/2s
follows quota watch --folder "$TMP/nothing"

shown()
{
	[[ -s $TMP/top ]]
}
LD_PRELOAD=$SHIM timeout -s KILL 60 llmctl top --batch --interval 0.1 >"$TMP/top" 2>"$TMP/err" </dev/null &
TOP=$!
wait_for shown
: >"$FAKE_NETLINK.absent"
wait "$TOP"
is "$? $(cat "$TMP/err")" "79 llmctl: top: llm.ko was unloaded" "top: the module goes"
rm "$FAKE_NETLINK.absent"

# ---- files ----

conf=$TMP/quota.d
mkdir "$conf"
cat >"$conf/10-first.conf" <<END
; all users
[/user.slice/user-*.slice]
weight = 50
in-flight=3

[/system.slice/foo.service]
tokens-per-second = 100 ; plenty
END
cat >"$conf/20-second.conf" <<END
[/user.slice/user-1000.slice/]
weight = 60
END
echo 'this is no file of quotas' >"$conf/README"
: >"$TMP/fake"
fctl quota apply --folder "$conf"
is "$? $(cat "$TMP/err")" "0 " "apply"
was_asked '^set /user.slice/user-1000.slice in_flight=3 weight=60$' "a later file over an earlier one"
was_asked '^set /system.slice/foo.service rate=100000$' "a comment behind a value"
is "$(grep -c ^set "$TMP/fake")" 2 "nobody else"
fctl quota apply --folder "$TMP/nothing-here"
is $? 0 "no folder, no rules"

mkdir "$TMP/bad.d"
wrong()
{
	printf '%b' "$2" >"$TMP/bad.d/x.conf"
	ffails 78 "x.conf:$1" "$4" quota apply --folder "$TMP/bad.d"
	grep -qE -- "$3" "$TMP/err"
	ok $? "$4: what"
}
wrong "2: weight: 'x'" '[/a]\nweight = x\n' 'from 1 to 10000' "a wrong value"
wrong "1: 'weight' stands before" 'weight = 1\n' section "a key without a section"
wrong "2: unknown key 'colour'" '[/a]\ncolour = red\n' colour "an unknown key"
wrong "1: 'a' is no path" '[a]\n' 'no path' "a relative path"
wrong "1: '/a/../b' is no path" '[/a/../b]\n' 'no path' "a path that goes up"
wrong "1: '\[/a' does not end" '[/a\nweight=1\n' ']' "a section without an end"
wrong "2: not a 'key = value'" '[/a]\nweight\n' key "a line that is nothing"
wrong "2: line is too long" "[/a]\nweight = $(printf '1%.0s' {1..300})\n" long "a long line"
wrong "2: a NUL byte" '[/a]\nwei\0ght = 1\n' NUL "a NUL byte"
long=/$(printf 'x%.0s' {1..150})
mkdir "$ROOT$long"
printf '[%s]\nweight = 9\n' "$long" >"$TMP/bad.d/x.conf"
fctl quota apply --folder "$TMP/bad.d"
was_asked "^set $long weight=9\$" "a long name is not cut"

# what can not be given is told of, and is the exit code
echo full >"$FAKE_NETLINK.evil"
fctl quota apply --folder "$conf"
is "$? $(grep -c 'No space left on device' "$TMP/err")" "74 2" "apply: the kernel has no room"
rm "$FAKE_NETLINK.evil"
# closed FOLDER COMMAND...: it may be listed, but what is in it not be looked at, as for who has not
# CAP_DAC_READ_SEARCH
closed()
{
	local folder=$1 none='-dac_override,-dac_read_search'
	local -a as=()
	shift
	((EUID)) ||
		as=(setpriv "--bounding-set=$none" "--inh-caps=$none")
	chmod 444 "$folder"
	LD_PRELOAD=$SHIM timeout -s KILL 60 "${as[@]}" llmctl "$@" >"$TMP/out" 2>"$TMP/err" </dev/null
	set -- $?
	chmod 755 "$folder"
	return "$1"
}
closed "$ROOT/user.slice" quota apply --folder "$conf"
is "$?" 77 "apply: a folder that is closed"
is "$(grep -c '/user.slice/user-1000.slice.*Permission denied' "$TMP/err")" 1 "what can not be given is told of"

# watch: what appears gets its quota, also a second time
: >"$TMP/fake"
: >"$TMP/manager"
# what the service manager is told, a line each
python3 -c 'import socket, sys
manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
manager.bind(sys.argv[1])
print("ready", flush=True)
while True:
    print(manager.recv(4096).decode().replace("\n", " "), flush=True)' "$TMP/manager.socket" >"$TMP/manager" &
MANAGER=$!
managed()
{
	tail -n 1 "$TMP/manager" | grep -qE -- "$1"
}
wait_for managed ready
NOTIFY_SOCKET=$TMP/manager.socket LD_PRELOAD=$SHIM timeout -s KILL 240 llmctl quota watch --folder "$conf" \
	>"$TMP/watch" 2>&1 </dev/null &
WATCH=$!
was_asked '^set /user.slice/user-1000.slice in_flight=3 weight=60$' "watch gives what is there its quota"
mkdir "$ROOT/user.slice/user-1001.slice"
was_asked '^set /user.slice/user-1001.slice in_flight=3 weight=50$' "what appears too"
rmdir "$ROOT/user.slice/user-1001.slice"
mkdir "$ROOT/user.slice/user-1001.slice"
wait_for asked_times '^set /user.slice/user-1001.slice in_flight=3 weight=50$' 2
ok $? "and again when it comes back"
rm -r "$ROOT/system.slice"
mkdir -p "$ROOT/system.slice/foo.service"
wait_for asked_times '^set /system.slice/foo.service rate=100000$' 2
ok $? "also where the folder above it is new"
printf '[/user.slice/user-1000.slice]\nweight = 70\n' >"$conf/20-second.conf"
sed -i '/in-flight/d; /foo.service/,$d' "$conf/10-first.conf"
pkill -HUP -P "$WATCH" -x llmctl
was_asked '^set /user.slice/user-1000.slice in_flight=4294967295 weight=70$' \
	"SIGHUP: a changed value, and the default for what is not said any more"
was_asked '^set /system.slice/foo.service rate=18446744073709551615$' "and for a section that is gone"
echo '[/a' >"$conf/30-wrong.conf"
pkill -HUP -P "$WATCH" -x llmctl
told()
{
	grep -q '30-wrong.conf:1' "$TMP/watch"
}
wait_for told
ok $? "a wrong file is told of"
mkdir "$ROOT/user.slice/user-1002.slice"
was_asked '^set /user.slice/user-1002.slice weight=50$' "and the rules stay as they were"

# what was not given is given later, and told of once
rm "$conf/30-wrong.conf"
echo full >"$FAKE_NETLINK.evil"
mkdir "$ROOT/user.slice/user-1003.slice"
wait_for asked_often '^full /user.slice/user-1003.slice$' 2
ok $? "what the kernel has no room for is tried again"
wait_for managed 'STATUS=3 cgroups have a quota by files, 1 could not be given theirs$'
ok $? "the manager is told how many have none"
rm "$FAKE_NETLINK.evil"
was_asked '^set /user.slice/user-1003.slice weight=50$' "and is given when there is"
is "$(grep -c 'user-1003.slice: .*No space left on device' "$TMP/watch")" 1 "it was told of once"
wait_for managed 'STATUS=4 cgroups have a quota by files$'
ok $? "the manager is told that they have"
echo full >"$FAKE_NETLINK.evil"
printf '[/user.slice/user-1000.slice]\nweight = 70\n' >"$conf/10-first.conf"
pkill -HUP -P "$WATCH" -x llmctl
wait_for asked_often '^full /user.slice/user-1003.slice$' 3
rm "$FAKE_NETLINK.evil"
was_asked '^set /user.slice/user-1003.slice weight=100$' "what could not be taken back is taken back later"
wait_for managed 'STATUS=1 cgroups have a quota by files$'
ok $? "and forgotten"

# more comes and goes than inotify keeps
lose_events()
{
	local kept
	kept=$(</proc/sys/fs/inotify/max_queued_events)
	if ((kept > 100000)); then
		TAP_COUNT=$((TAP_COUNT + 1))
		echo "ok $TAP_COUNT - events are lost # SKIP $kept of them are kept"
		return
	fi
	pkill -STOP -P "$WATCH" -x llmctl
	python3 -c 'import os, sys
for i in range(int(sys.argv[2]) // 2 + 100):
    os.symlink("x", sys.argv[1])
    os.unlink(sys.argv[1])' "$ROOT/user.slice/link" "$kept"
	rmdir "$ROOT/user.slice/user-1001.slice"
	mkdir "$ROOT/user.slice/user-1004.slice"
	pkill -CONT -P "$WATCH" -x llmctl
	was_asked '^set /user.slice/user-1004.slice weight=51$' "events are lost: what appeared is found"
	wait_for managed 'STATUS=4 cgroups have a quota by files$'
	ok $? "and what is gone is forgotten" || tail -n 1 "$TMP/manager"
	mkdir "$ROOT/user.slice/user-1005.slice"
	was_asked '^set /user.slice/user-1005.slice weight=51$' "and what appears later is seen"
}
printf '[/user.slice/user-*.slice]\nweight = 51\n' >"$conf/10-first.conf"
rm "$conf/20-second.conf"
pkill -HUP -P "$WATCH" -x llmctl
was_asked '^set /user.slice/user-1003.slice weight=51$' "(there are rules again)"
lose_events
pkill -TERM -P "$WATCH" -x llmctl
wait "$WATCH"
is $? 0 "SIGTERM ends it well"
WATCH=
is "$(grep -vcE '30-wrong.conf:1|No space left' "$TMP/watch")" 0 "it said nothing else"

done_testing
