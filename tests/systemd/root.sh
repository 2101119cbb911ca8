# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The disk that the machine boots from: Debian's essential packages, its systemd, udev and D-Bus, and
# the libraries that our programs were linked with on this host, of the host's own release. Made once
# and kept in the cache; each run boots a throw-away copy of it with our files laid over.

# shellcheck source=scripts/lib/apt.sh
source "$LLMOS_TREE/scripts/lib/apt.sh"

ROOT_DIR=$LLMOS_CACHE/systemd
ROOT_DISK=$ROOT_DIR/disk
ROOT_SIZE=500M

# root_libraries PROGRAM...: the packages of the libraries that they load, one a line
root_libraries()
{
	local library
	ldd "$@" | sed -nE 's,.* => (/usr)?(/[^ ]*) .*,\2,p' | sort -u |
	while read -r library; do
		{ dpkg-query -S "*$library" 2>/dev/null || true; } | head -n 1 | sed "s/:.*//"
	done | sort -u
}

# root_wanted BUILD: what makes one disk differ from another: the release and its packages
root_wanted()
{
	case $(debian_release) in
	12) echo bookworm ;;
	13) echo trixie ;;
	esac
	printf '%s\n' systemd systemd-sysv udev dbus kmod passwd util-linux
	root_libraries "$1"/{llmosd,llmctl,libllmos.so.0}
}

# root_make CODENAME PACKAGE...: a few minutes, most of them for the download
root_make()
{
	local codename=$1 main security packages path
	local -a options=()
	shift
	packages=$(IFS=,; echo "$*")
	main=$(apt_mirror main)
	security=$(apt_mirror security)
	while read -r path; do
		options+=(--aptopt="$path")
	done < <(apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|http.*::Proxy) ' |
		sed 's/;$//')
	for path in doc man locale i18n info; do
		options+=(--dpkgopt="path-exclude=/usr/share/$path/*")
	done
	note "a disk with Debian $codename and its systemd (about 60 MB to download)"
	as_root rm -rf "$ROOT_DIR/root"
	logged systemd-root as_root mmdebstrap --mode=root --variant=essential \
		--aptopt='Acquire::Languages "none"' "${options[@]}" --include="$packages" \
		"$codename" "$ROOT_DIR/root" "deb $main $codename main" \
		"deb $security $codename-security main" "deb $main $codename-updates main" ||
		die "cannot make the root from '$main', see $LLMOS_LOGS/systemd-root.log"
	rm -f "$ROOT_DISK.new"
	truncate -s "$ROOT_SIZE" "$ROOT_DISK.new"
	# ext2: it is written to by one machine at a time and thrown away
	logged systemd-disk as_root /sbin/mke2fs -q -F -t ext2 -b 4096 -d "$ROOT_DIR/root" \
		"$ROOT_DISK.new" ||
		die "cannot make the disk, see $LLMOS_LOGS/systemd-disk.log"
	as_root rm -rf "$ROOT_DIR/root"
}

# root_get BUILD: makes ROOT_DISK ready; call it under a lock
root_get()
{
	local wanted
	local -a words
	wanted=$(root_wanted "$1")
	mkdir -p "$ROOT_DIR"
	if [[ -f $ROOT_DISK && $(cat "$ROOT_DIR/packages" 2>/dev/null) == "$wanted" ]]; then
		return 0
	fi
	need_for sid archive
	need e2fsprogs
	mapfile -t words <<<"$wanted"
	rm -f "$ROOT_DIR/packages"
	root_make "${words[@]}"
	mv -f "$ROOT_DISK.new" "$ROOT_DISK"
	echo "$wanted" >"$ROOT_DIR/packages"
}
