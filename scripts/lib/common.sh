# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# What every script starts from: where the tree and the cache are, which user builds, and the
# lock that keeps two runs from writing the same cache entry. Sourced after `set -euo pipefail`.

umask 022
LC_ALL=C.UTF-8
export LC_ALL

LLMOS_TREE=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
LLMOS_CACHE=${LLMOS_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/llmos}
mkdir -p "$LLMOS_CACHE" || { echo "llmos: cannot create cache '$LLMOS_CACHE'" >&2; exit 1; }
LLMOS_CACHE=$(cd "$LLMOS_CACHE" && pwd)
LLMOS_LOGS=${LLMOS_LOGS:-$LLMOS_CACHE/logs}
export LLMOS_TREE LLMOS_CACHE LLMOS_LOGS
mkdir -p "$LLMOS_LOGS"

LLMOS_JOBS=${LLMOS_JOBS:-$(nproc)}

# shellcheck source=scripts/lib/log.sh
source "$LLMOS_TREE/scripts/lib/log.sh"

# as_root COMMAND...: directly as root, else by sudo
as_root()
{
	if ((EUID == 0)); then
		"$@"
	elif command -v sudo >/dev/null; then
		sudo -- "$@"
	else
		die "needs root for '$1': run as root, or install sudo"
	fi
}

# on_exit COMMAND...: done when this shell ends, however it does; the last one asked for is first
LLMOS_AT_EXIT=()
on_exit()
{
	LLMOS_AT_EXIT=("$(printf '%q ' "$@")" "${LLMOS_AT_EXIT[@]}")
	trap exit_run EXIT
	trap 'exit 130' INT
	trap 'exit 143' TERM HUP
}

exit_run()
{
	local command
	for command in "${LLMOS_AT_EXIT[@]}"; do
		eval "$command" 2>/dev/null || true
	done
}

# with_lock NAME COMMAND...: one run at a time per cache entry
with_lock()
{
	local lock="$LLMOS_CACHE/.$1.lock"
	shift
	(
		flock 9
		"$@"
	) 9>"$lock"
}

# debian_release: the version number of this Debian, or die
debian_release()
{
	local id version
	# shellcheck disable=SC1091
	id=$(. /etc/os-release && echo "${ID:-}")
	# shellcheck disable=SC1091
	version=$(. /etc/os-release && echo "${VERSION_ID:-}")
	[[ $id == debian && ($version == 12 || $version == 13) ]] ||
		die "runs on Debian 12 or 13, this is '$id $version'"
	echo "$version"
}
