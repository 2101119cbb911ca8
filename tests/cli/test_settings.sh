#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Every key of the configuration is an option, and told of by --help, by both manual pages and by the
# sample file; and none of them tells of another one.

# shellcheck source=tests/cli/lib.sh
. "$(dirname "$0")/lib.sh"

MAN=$TREE/Documentation/man
SAMPLE=$TREE/daemon/systemd/llmosd.conf
keys=$(sed -nE 's/^.*\{ \.name = "([a-z_]+)".*$/\1/p' "$TREE/daemon/base/config.c" | sort)

# same TOLD TEXT: these keys, in any order
same()
{
	is "$(sort -u <<<"$1" | tr '\n' ' ')" "$(tr '\n' ' ' <<<"$keys")" "$2"
}

# options_of: keys of what looks like an option, less those that are none of the configuration's
options_of()
{
	grep -vxE 'config|help|version' | tr - _
}

[[ $(wc -l <<<"$keys") -gt 20 ]]
ok $? "there are keys"
same "$(llmosd --help | grep -oE '^  --[a-z-]+' | cut -c 5- | options_of)" "llmosd --help"
same "$(sed -nE 's/^\.It Fl -([a-z-]+).*$/\1/p' "$MAN/llmosd.8" | options_of)" "llmosd(8)"
same "$(sed -nE 's/^\.It ([a-z_]+) Ta .*$/\1/p' "$MAN/llmosd.conf.5")" "llmosd.conf(5)"
same "$(sed -nE 's/^(# )?([a-z_]+) =.*$/\2/p' "$SAMPLE")" "the sample file"
for key in $keys; do
	# what is no value for any of them
	timeout 60 llmosd "--${key//_/-}=$(printf 'x%.0s' {1..300})" >"$TMP/out" 2>"$TMP/err"
	status=$?
	grep -q -- "--${key//_/-}: $key: 'x" "$TMP/err"
	is "$? $status" "0 64" "--${key//_/-} is the key"
done

# what is commented out is the default
sed 's/^# \([a-z_]* =\)/\1/' "$SAMPLE" | grep -vE '^(listen|models|user|adapters) =' >"$TMP/all.conf"
grep -q '^step_ms = 100' "$TMP/all.conf"
ok $? "the sample file has values"
mkdir "$TMP/models"
timeout 60 llmosd --config="$TMP/all.conf" --models="$TMP/models" --listen="unix:$TMP/none/sock" \
	>"$TMP/out" 2>"$TMP/err"
is $? 1 "the sample's values are taken: what fails is the socket"
grep -q "$TMP/none/sock" "$TMP/err"
ok $? "and it is named"

done_testing
