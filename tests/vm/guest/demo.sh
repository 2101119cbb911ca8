#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Runs in the guest for scripts/demo: the module, the daemon under a cgroup of its own, then alice,
# an unprivileged member of group llm, asks; and a shell for her where one is wanted. /out/status
# says how it went.

# shellcheck disable=SC1091
. /out/environment # QUESTION, DAEMON_ARGS, SHELL_WANTED, COLUMNS, LINES

fail()
{
	echo "demo: $*" | tee /out/status
	exit 1
}

say()
{
	printf '\033[2m%s\033[0m\n' "$*"
}

# in_cgroup NAME COMMAND...: becomes the command under a cgroup of its own; for a subshell
in_cgroup()
{
	mkdir -p "/sys/fs/cgroup/$1"
	group=/sys/fs/cgroup/$1/cgroup.procs
	shift
	# shellcheck disable=SC2016
	exec sh -c 'echo $$ >"$1" && shift && exec "$@"' sh "$group" "$@"
}

stty cols "$COLUMNS" rows "$LINES" 2>/dev/null
say "guest: Linux $(uname -r)"
insmod /modules/llm.ko || fail "insmod llm.ko failed: $(dmesg | tail -n 1)"
if ! chgrp llm /dev/llm || ! chmod 0660 /dev/llm || ! chmod 0600 /dev/llmd; then
	fail "llm.ko made no device: $(dmesg | tail -n 1)"
fi
say "guest: llm.ko is loaded: $(stat -c '%n %A %U:%G' /dev/llm)"

# shellcheck disable=SC2086
in_cgroup llmos llmosd --models /models $DAEMON_ARGS >/out/llmosd.log 2>&1 &
daemon=$!
# seconds: since the machine began
seconds()
{
	cut -d. -f1 /proc/uptime
}

deadline=$(($(seconds) + 90))
until timeout 10 llmctl status >/dev/null 2>&1; do
	[ -d "/proc/$daemon" ] || fail "llmosd ended: $(tail -n 1 /out/llmosd.log)"
	[ "$(seconds)" -lt $deadline ] || fail "llmosd was not ready: $(tail -n 1 /out/llmosd.log)"
	usleep 200000
done
say "guest: llmosd serves as pid $daemon in cgroup $(cut -d: -f3 "/proc/$daemon/cgroup")"

cat >/tmp/ask <<EOF
export PATH=/usr/bin:/bin LD_LIBRARY_PATH=/usr/lib TERM=linux
sh /repo/scripts/lib/ask-three.sh '$(echo "$QUESTION" | sed "s/'/'\\\\''/g")'
EOF
if (in_cgroup alice su -s /bin/sh alice -c 'sh /tmp/ask'); then
	echo answered >/out/status
else
	fail "not all three questions were answered"
fi

if [ "$SHELL_WANTED" = yes ]; then
	cat >/home/alice/.profile <<-'EOF'
		export PATH=/usr/bin:/bin LD_LIBRARY_PATH=/usr/lib TERM=linux
		PS1='alice@llmos:\w\$ '
	EOF
	cat >/tmp/motd <<-EOF

		A shell in the machine, as alice. Try:
		  llmctl ask '$QUESTION'        llmctl chat        llmctl ls        llmctl ps
		  exec 3<>/dev/llm; echo 'Once upon a time' >&3; cat <&3
		exit powers the machine off.

	EOF
	cat /tmp/motd
	(in_cgroup alice setsid cttyhack su -l alice)
fi
