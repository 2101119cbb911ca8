# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The kernels that llm.ko is built for and booted on, each kept in the cache and never installed on
# the host. kernel_get VEHICLE makes it ready and sets K_IMAGE (what boots), K_MODULES (the
# kernel's own modules), K_TREE (what a module is built against), K_CHROOT (where it must be
# built, or empty), K_ARCH and K_VERSION.
#
#   stock-6.12  Debian's own 6.12, from the release's own, security or backports suite
#   stock-7.2   Debian's newest, from sid, with a small sid chroot for its compiler
#   uml         User-Mode Linux from Debian's linux-source, at the host's speed
#   uml-debug   the same with KASAN, lockdep, kmemleak and fault injection
#   x86-debug   the same for emulation, on two processors: for --long, half an hour to build

# shellcheck source=scripts/lib/apt.sh
source "$LLMOS_TREE/scripts/lib/apt.sh"
# shellcheck source=scripts/lib/deps.sh
source "$LLMOS_TREE/scripts/lib/deps.sh"

KERNEL_VEHICLES="stock-6.12 stock-7.2 uml uml-debug"
KERNEL_VEHICLES_LONG="x86-debug"
SID_CHROOT=$LLMOS_CACHE/sid

# newest NAME...: the highest version among package names on standard input
newest_name()
{
	sort -V | tail -n 1
}

# kernel_unpack VIEW RELEASE DIR PACKAGE...: the packages of one kernel, with the header tree's
# absolute include path turned to where it lies now
kernel_unpack()
{
	local view=$1 release=$2 dir=$3
	shift 3
	rm -rf "$dir" "$dir.new"
	mkdir -p "$dir.new"
	apt_unpack "$view" "$dir.new" "$@"
	if [[ -f $dir.new/usr/src/linux-headers-$release/Makefile ]]; then
		sed -i "s|/usr/src/|$dir/usr/src/|" "$dir.new/usr/src/linux-headers-$release/Makefile"
	fi
	echo "$release" >"$dir.new/release"
	mv "$dir.new" "$dir"
}

# kernel_image_packages VIEW RELEASE: image and modules, one package in older releases
kernel_image_packages()
{
	if apt_names "$1" "linux-binary-$2" | grep -qx "linux-binary-$2"; then
		printf '%s\n' "linux-binary-$2" "linux-modules-$2"
	else
		echo "linux-image-$2"
	fi
}

# get_stock_612: download and unpack once
get_stock_612()
{
	local dir=$LLMOS_CACHE/kernels/stock-6.12 main security name release common codename
	local -a packages
	[[ -f $dir/release ]] && return 0

	need_for archive
	main=$(apt_mirror main)
	security=$(apt_mirror security)
	case $(debian_release) in
	12) codename=bookworm ;;
	13) codename=trixie ;;
	esac
	apt_view "$codename" "$main $codename main" "$security $codename-security main" \
		"$main $codename-updates main" "$main $codename-backports main"
	name=$(apt_names "$codename" linux-image-6.12 |
		grep -E '^linux-image-6\.12\.[0-9]+\+deb[0-9]+-amd64$' | newest_name)
	[[ -n $name ]] || die "no 6.12 kernel in the Debian suites of '$main'"
	release=${name#linux-image-}
	common=${release%-amd64}
	note "Debian kernel $release"
	mapfile -t packages < <(kernel_image_packages "$codename" "$release")
	kernel_unpack "$codename" "$release" "$dir" "${packages[@]}" "linux-headers-$release" \
		"linux-headers-$common-common" "linux-kbuild-$common"
}

# sid_make: the sid chroot: its compiler and the headers of its newest kernel
sid_make()
{
	local main option
	local -a options=()
	[[ -f $SID_CHROOT/release ]] && return 0

	need_for sid archive
	main=$(apt_mirror main)
	while read -r option; do
		options+=(--aptopt="$option")
	done < <(apt-config dump | grep -E '^Acquire::(Check-Valid-Until|Check-Date|http.*::Proxy) ' |
		sed 's/;$//')
	as_root rm -rf "$SID_CHROOT" "$SID_CHROOT.new"
	note "sid chroot (about 500 MB, two minutes)"
	logged sid as_root mmdebstrap --mode=root --variant=apt \
		--aptopt='Acquire::Languages "none"' "${options[@]}" \
		--include=gcc,make,libc6-dev,kmod,sparse,linux-headers-amd64 \
		sid "$SID_CHROOT.new" "deb $main sid main" ||
		die "cannot make the sid chroot from '$main', see $LLMOS_LOGS/sid.log"
	basename "$(find "$SID_CHROOT.new/usr/src" -maxdepth 1 -name 'linux-headers-*-amd64' |
		newest_name)" | sed 's/^linux-headers-//' >"$LLMOS_CACHE/sid.release"
	as_root cp "$LLMOS_CACHE/sid.release" "$SID_CHROOT.new/release"
	as_root mv "$SID_CHROOT.new" "$SID_CHROOT"
}

# sid_run COMMAND...: in the chroot, with /proc and with the cache's build folder at /build;
# the mounts live in a namespace of their own and go away with it
sid_run()
{
	mkdir -p "$LLMOS_CACHE/sid-build"
	as_root mkdir -p "$SID_CHROOT/build"
	# shellcheck disable=SC2016
	as_root unshare --mount --propagation unchanged sh -euc '
		mount --make-rprivate / 2>/dev/null || : # no mount point where / is a chroot
		root=$1 build=$2
		shift 2
		mount -t proc proc "$root/proc"
		mount --bind "$build" "$root/build"
		exec chroot "$root" /usr/bin/env PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
	' sid "$SID_CHROOT" "$LLMOS_CACHE/sid-build" "$@"
}

# get_stock_72: the chroot, and the image of the same version
get_stock_72()
{
	local dir=$LLMOS_CACHE/kernels/stock-7.2 release
	local -a packages
	[[ -f $dir/release && -f $SID_CHROOT/release ]] && return 0

	need_for archive
	with_lock sid sid_make
	release=$(cat "$SID_CHROOT/release")
	note "Debian kernel $release"
	apt_view sid "$(apt_mirror main) sid main"
	mapfile -t packages < <(kernel_image_packages sid "$release")
	kernel_unpack sid "$release" "$dir" "${packages[@]}"
}

# built_shared VEHICLE: the folder of a kernel built beforehand, where there is one
built_shared()
{
	local dir pattern
	case $1 in
	uml) pattern='uml-*-llmuml' ;;
	uml-debug) pattern='uml-*-llmumldbg' ;;
	x86-debug) pattern='x86-*-llmdbg' ;;
	esac
	for dir in "${LLMOS_SHARED:-$LLMOS_TREE/../shared}"/vm/$pattern; do
		if [[ -f $dir/headers.tar.xz ]]; then
			echo "$dir"
		fi
	done | newest_name
}

# linux_source: Debian's kernel source, unpacked once
linux_source()
{
	local dir=$LLMOS_CACHE/linux-source name tarball
	[[ -f $dir/.complete ]] && return 0

	apt_view sid "$(apt_mirror main) sid main"
	name=$(apt_names sid linux-source- | grep -E '^linux-source-[0-9.]+$' | newest_name)
	[[ -n $name ]] || die "no linux-source package in sid"
	note "$name (150 MB)"
	rm -rf "$dir" "$dir.deb"
	mkdir -p "$dir"
	apt_unpack sid "$dir.deb" "$name"
	tarball=$(find "$dir.deb/usr/src" -name 'linux-source-*.tar.xz')
	tar -xJf "$tarball" --strip-components=1 -C "$dir" ||
		die "cannot unpack '$tarball'"
	rm -rf "$dir.deb"
	touch "$dir/.complete"
}

# built_make VEHICLE DIR: from source, ten minutes of processor time for User-Mode Linux. It is
# built where it stays: the tree names itself in its Makefile; a build that was stopped goes on.
built_make()
{
	local vehicle=$1 dir=$2 source=$LLMOS_CACHE/linux-source
	local -a kbuild=(make -C "$source" O="$dir" ARCH="$K_ARCH" -j"$LLMOS_JOBS")

	need_for kbuild archive
	with_lock linux-source linux_source
	mkdir -p "$dir"
	note "building the $vehicle kernel (many minutes of processor time, kept in the cache)"
	logged "$vehicle-config" "${kbuild[@]}" tinyconfig ||
		die "cannot configure the $vehicle kernel"
	(cd "$source" && logged "$vehicle-merge" env ARCH="$K_ARCH" \
		./scripts/kconfig/merge_config.sh -O "$dir" -m "$dir/.config" \
		"$LLMOS_TREE/tests/vm/configs/$vehicle.config") ||
		die "cannot merge the configuration of the $vehicle kernel"
	logged "$vehicle-olddefconfig" "${kbuild[@]}" olddefconfig ||
		die "cannot configure the $vehicle kernel"
	logged "$vehicle-build" "${kbuild[@]}" "$(basename "$K_IMAGE")" modules ||
		die "cannot build the $vehicle kernel, see $LLMOS_LOGS/$vehicle-build.log"
	"${kbuild[@]}" -s kernelrelease >"$dir/release.new"
	mv "$dir/release.new" "$dir/release"
}

# built_unpack SHARED DIR: a kernel built beforehand
built_unpack()
{
	local shared=$1 dir=$2
	need xz-utils tar
	rm -rf "$dir" "$dir.new"
	mkdir -p "$dir.new"
	tar -xJf "$shared/headers.tar.xz" -C "$dir.new" || die "cannot unpack '$shared'"
	if [[ -f $shared/linux.xz ]]; then
		xz -dc "$shared/linux.xz" >"$dir.new/linux" || die "cannot unpack '$shared'"
		chmod +x "$dir.new/linux"
	else
		mkdir -p "$dir.new/arch/x86/boot"
		cp "$shared/bzImage" "$dir.new/arch/x86/boot/bzImage" || die "cannot copy '$shared'"
	fi
	basename "$shared" | sed 's/^[^-]*-//' >"$dir.new/release"
	mv "$dir.new" "$dir"
}

# get_built VEHICLE
get_built()
{
	local dir=$LLMOS_CACHE/kernels/$1 shared
	[[ -f $dir/release ]] && return 0

	shared=$(built_shared "$1")
	if [[ -n $shared ]]; then
		built_unpack "$shared" "$dir"
	else
		built_make "$1" "$dir"
	fi
}

# kernel_get VEHICLE: make it ready and set K_*
kernel_get()
{
	local dir=$LLMOS_CACHE/kernels/$1
	mkdir -p "$LLMOS_CACHE/kernels"
	K_ARCH=x86
	K_CHROOT=
	K_MODULES=
	K_TREE=$dir
	case $1 in
	stock-6.12) with_lock "$1" get_stock_612 ;;
	stock-7.2) with_lock "$1" get_stock_72 ;;
	uml | uml-debug)
		K_ARCH=um
		K_IMAGE=$dir/linux
		with_lock "$1" get_built "$1"
		;;
	x86-debug)
		K_IMAGE=$dir/arch/x86/boot/bzImage
		with_lock "$1" get_built "$1"
		;;
	*) die "no such vehicle '$1' (one of: $KERNEL_VEHICLES $KERNEL_VEHICLES_LONG)" ;;
	esac
	K_VERSION=$(cat "$dir/release")
	if [[ $1 == stock-* ]]; then
		K_MODULES=$dir/lib/modules/$K_VERSION
		[[ -d $K_MODULES ]] || K_MODULES=$dir/usr/lib/modules/$K_VERSION
		K_IMAGE=$dir/boot/vmlinuz-$K_VERSION
		[[ -f $K_IMAGE ]] || K_IMAGE=$K_MODULES/vmlinuz
		K_TREE=$dir/usr/src/linux-headers-$K_VERSION
	fi
	if [[ $1 == stock-7.2 ]]; then
		K_CHROOT=$SID_CHROOT
		K_TREE=/usr/src/linux-headers-$K_VERSION
	fi
	[[ -f $K_IMAGE ]] || die "no kernel image '$K_IMAGE': remove $dir and try again"
}

# module_tree_need: the compiler that the header tree K_TREE asks for, and what kbuild runs
module_tree_need()
{
	local compiler
	need_for kmod
	[[ -f $K_TREE/.kernelvariables ]] || return 0
	compiler=$(grep -oE 'gcc-[0-9]+' "$K_TREE/.kernelvariables" | head -n 1)
	[[ -z $compiler ]] || need "$compiler"
}

# module_make VEHICLE SOURCE OUT [MAKE-ARGUMENT...]: build the external module in folder SOURCE
# for the vehicle; OUT gets a copy of the sources and the .ko files
module_make()
{
	local vehicle=$1 source=$2 out=$3 work
	shift 3
	kernel_get "$vehicle"
	mkdir -p "$out"
	if [[ -n $K_CHROOT ]]; then
		work=$LLMOS_CACHE/sid-build/$(basename "$out")
		as_root rm -rf "$work"
		mkdir -p "$work"
		cp -a "$source/." "$work/"
		sid_run make -C "$K_TREE" M="/build/$(basename "$out")" -j"$LLMOS_JOBS" W=1 "$@" modules
		cp "$work"/*.ko "$out/"
		return
	fi
	module_tree_need
	cp -a "$source/." "$out/"
	make -C "$K_TREE" M="$(realpath "$out")" ARCH="$K_ARCH" -j"$LLMOS_JOBS" W=1 "$@" modules
}
