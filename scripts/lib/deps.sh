# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# Debian packages: which ones each task needs and how they get here. A package already installed
# costs one dpkg-query; only missing ones touch the network.

# deps_of TASK: its packages, one a line
deps_of()
{
	case $1 in
	build)
		printf '%s\n' gcc libc6-dev make pkg-config liburing-dev libsystemd-dev libinih-dev \
			libpcre2-dev libutf8proc-dev libjansson-dev libreadline-dev libnl-3-dev \
			libnl-genl-3-dev
		;;
	tests) printf '%s\n' libcmocka-dev perl python3 python3-yaml ;;
	kmod) printf '%s\n' gcc libc6-dev make bc xz-utils kmod pahole perl ;;
	vm) printf '%s\n' qemu-system-x86 busybox-static cpio gzip xz-utils kmod ;;
	model) printf '%s\n' python3 python3-pip ca-certificates ;;
	archive) printf '%s\n' ca-certificates debian-archive-keyring ;;
	sid) printf '%s\n' mmdebstrap ;;
	kbuild) printf '%s\n' gcc libc6-dev make flex bison bc perl xz-utils tar libelf-dev ;;
	check) printf '%s\n' clang sparse shellcheck mandoc ;;
	*) die "no such task '$1'" ;;
	esac
}

# deps_missing PACKAGE...: those that are not installed
deps_missing()
{
	local package
	for package in "$@"; do
		dpkg-query -W -f '${db:Status-Status}\n' "$package" 2>/dev/null |
			grep -qx installed || echo "$package"
	done
}

# deps_apt ARGUMENT...: apt-get, quiet, never asking; the log keeps what it said
deps_apt()
{
	as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
		-o DPkg::Lock::Timeout=300 -o Acquire::Retries=3 "$@"
}

# apt_why LOG: the reason apt gave, the shortest that says something
apt_why()
{
	grep -m 1 -oE "Temporary failure resolving '[^']*'|Could not connect to .*|Unable to locate .*" \
		"$1" || grep -m 1 -E '^(E|Err|W):' "$1" || echo "see $1"
}

# need PACKAGE...: install what is missing, or die with apt's own reason in one line
need()
{
	local -a missing
	mapfile -t missing < <(deps_missing "$@")
	((${#missing[@]} == 0)) && return 0

	note "installing ${missing[*]}"
	if ! deps_apt install --no-install-recommends "${missing[@]}" >"$LLMOS_LOGS/apt.log" 2>&1; then
		# stale or absent lists are the usual reason: refresh them once
		deps_apt update >"$LLMOS_LOGS/apt.log" 2>&1 || true
		deps_apt install --no-install-recommends "${missing[@]}" \
			>>"$LLMOS_LOGS/apt.log" 2>&1 || true
	fi
	mapfile -t missing < <(deps_missing "$@")
	((${#missing[@]} == 0)) && return 0
	die "cannot install '${missing[*]}': $(apt_why "$LLMOS_LOGS/apt.log") (is the network up?)"
}

# need_clang_rt: the sanitizer runtime of the clang that is installed
need_clang_rt()
{
	local major
	major=$(clang -dumpversion | cut -d. -f1)
	need "libclang-rt-$major-dev"
}

# need_for TASK...: the packages of these tasks, in one transaction
need_for()
{
	local task
	local -a packages=()
	for task in "$@"; do
		mapfile -t -O "${#packages[@]}" packages < <(deps_of "$task")
	done
	need "${packages[@]}"
}
