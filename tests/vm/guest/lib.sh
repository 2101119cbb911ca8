# SPDX-License-Identifier: MIT
# shellcheck shell=sh
#
# For the suites: runs one TAP program at a time and leaves its output, errors and exit status
# under /out/tap, where the runner on the host counts them. SUITE is set by suites.sh.

export LLMOS_TREE=/repo LLMOS_BUILD="${LLMOS_BUILD:-/repo/build}" LLMOS_TRANSPORT=device
export PATH="/repo/build:$PATH" LD_LIBRARY_PATH="/repo/build:/usr/lib"

# factor N: seconds as this vehicle needs them: emulation and the debug kernel take longer
factor()
{
	echo $(($1 * ${LLMOS_SLOW:-1}))
}

# tap_run NAME SECONDS COMMAND...: one program, killed past its time
tap_run()
{
	name=$1
	limit=$(factor "$2")
	shift 2
	echo "llmos-test: $SUITE $name" >/dev/kmsg
	echo "# $SUITE: $name"
	rc=0
	start=$(date +%s)
	timeout -s KILL "$limit" "$@" >"/out/tap/$SUITE.$name.tap" 2>"/out/tap/$SUITE.$name.err" \
		</dev/null || rc=$?
	echo $rc >"/out/tap/$SUITE.$name.rc"
	echo $(($(date +%s) - start)) >"/out/tap/$SUITE.$name.seconds"
}

# tap_all FOLDER SECONDS [BUT...]: every test_* program and test_*.sh script of the folder, without
# the scripts test_BUT; none is a failure
tap_all()
{
	folder=$1
	seconds=$2
	shift 2
	but=" $* "
	found=0
	for program in "$folder"/test_*; do
		name=$(basename "$program" .sh)
		case $program in
		*.o | *.d | *.c | *.deps) continue ;;
		*.sh)
			case $but in
			*" ${name#test_} "*) continue ;;
			esac
			tap_run "$name" "$seconds" sh "$program"
			;;
		*) [ -x "$program" ] || continue; tap_run "$name" "$seconds" "$program" ;;
		esac
		found=$((found + 1))
	done
	return $((found == 0))
}
