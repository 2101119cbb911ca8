#!/bin/bash
# SPDX-License-Identifier: MIT
#
# Tests of the tests (TAP): the gate for the kernel log, the TAP counter, and a whole run of the
# fastest vehicle that must fail because of one line in the kernel log.

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

# gate_on EXPECTED NAME: standard input through the gate
gate_on()
{
	local status=0
	cat >"$tmp/slice"
	tests/vm/gate "$tmp/slice" >"$tmp/out" || status=$?
	check "gate: $2" $((status != $1))
}

gate_on 0 'a clean slice passes' <<'EOF'
[    3.909625] llm: loading out-of-tree module taints kernel.
[    3.909781] llm: module verification failed: signature and/or required key missing
[    4.100000] llm: server 120 attached
EOF
gate_on 0 'an empty slice passes' </dev/null
while IFS='|' read -r name line; do
	gate_on 1 "$name" <<<"[    4.1] $line"
done <<'EOF'
WARNING|WARNING: CPU: 0 PID: 77 at kmod/request.c:41 llm_request_move+0x1/0x2 [llm]
BUG|BUG: unable to handle page fault for address: ffff
BUG on a spinlock|BUG: spinlock bad magic on CPU#0, llmosd/77
Oops|Oops: 0000 [#1] SMP
KASAN|BUG: KASAN: slab-use-after-free in llm_file_release+0x1/0x2 [llm]
lockdep recursion|WARNING: possible recursive locking detected
lockdep circle|possible circular locking dependency detected
lockdep state|inconsistent lock state
RCU stall|rcu: INFO: rcu_preempt self-detected stall on CPU
RCU usage|suspicious RCU usage
hung task|INFO: task llmosd:77 blocked for more than 120 seconds.
sleep in atomic|BUG: sleeping function called from invalid context at mm/slab.h:1
refcount|refcount_t: underflow; use-after-free.
list|list_del corruption. prev->next should be
kmemleak|kmemleak: 3 new suspected memory leaks
slab|BUG llm_request (Tainted: G): Objects remaining in llm_request on __kmem_cache_shutdown()
segfault|llmosd[77]: segfault at 0 ip 0000 sp 0000 error 4 in llmosd
EOF
status=0
tests/vm/gate "$tmp/absent" 2>/dev/null || status=$?
check 'gate: a missing slice is an error' $((status != 2))

# count EXPECTED STATUS NAME: TAP on standard input
count()
{
	local got
	got=$(awk -v rc="$2" -f scripts/lib/tap.awk | head -n 1)
	check "count: $3 (wants '$1', gets '$got')" "$([[ $got == "$1" ]] && echo 0 || echo 1)"
}

count '2 0 0' 0 'two pass' < <(printf '1..2\nok 1 - a\nok 2 - b\n')
count '1 1 0' 1 'one fails' < <(printf '1..2\nok 1 - a\nnot ok 2 - b\n')
count '1 0 1' 0 'one is skipped' < <(printf '1..2\nok 1 - a\nok 2 - b # SKIP no model\n')
count '0 0 1' 0 'all is skipped' < <(printf '1..0 # SKIP no data\n')
count '1 1 0' 0 'fewer than planned' < <(printf '1..2\nok 1 - a\n')
count '1 1 0' 139 'dies after its last test' < <(printf '1..1\nok 1 - a\n')
count '0 1 0' 139 'dies before its plan' < <(printf '')
count '0 1 0' 0 'plans nothing and says no reason' < <(printf '1..0\n')
count '3 0 0' 0 'two groups in one program' < <(printf '1..1\nok 1\n1..2\nok 1\nok 2\n')

status=0
tests/vm/run --vehicle uml --no-module --suite broken >"$tmp/run" 2>&1 || status=$?
check 'run: a WARNING in the kernel log fails a suite whose tests all pass' $((status != 1))
grep -q '1 failed' "$tmp/run"
check 'run: and it is counted once' $?
echo "1..$number"
