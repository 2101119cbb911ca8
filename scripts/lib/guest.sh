# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# A guest: an initramfs of busybox, our programs and the libraries they need, booted by QEMU or as
# a User-Mode Linux process. The guest sees the tree read-only at /repo and a writable folder of
# this run at /out (9p under QEMU, hostfs under User-Mode Linux); /out/status is the only verdict.
# GUEST_MODELS and GUEST_DATA, folders of the host, appear at /models and /data.

# shellcheck source=scripts/lib/kernels.sh
source "$LLMOS_TREE/scripts/lib/kernels.sh"

GUEST_9P_MODULES="netfs 9pnet 9pnet_virtio 9p"
# what the guest must reach /init in, by kind of acceleration
GUEST_BOOT_S=${GUEST_BOOT_S:-150}

# guest_libraries ROOT PROGRAM...: copy what the dynamic loader will ask for
guest_libraries()
{
	local root=$1 library
	shift
	{ ldd "$@" 2>/dev/null || true; } | grep -oE '/[^ )]+' | grep -vE ':$' | sort -u |
	while read -r library; do
		case $library in
		"$LLMOS_TREE"/*) continue ;;
		esac
		mkdir -p "$root$(dirname "$library")"
		cp -Lf "$library" "$root$library"
	done
}

# guest_skeleton ROOT: folders, users and the busybox that is everything else
guest_skeleton()
{
	local root=$1
	mkdir -p "$root"/{bin,sbin,usr/bin,usr/sbin,usr/lib,etc,proc,sys,dev,tmp,run,repo,out,data,modules} \
		"$root"/{root,models,var/lib,var/log,home/alice,home/bob,home/mallory}
	cp /usr/bin/busybox "$root/bin/busybox" 2>/dev/null || cp /bin/busybox "$root/bin/busybox"
	ln -sf busybox "$root/bin/sh"
	cat >"$root/etc/passwd" <<-'EOF'
		root:x:0:0:root:/root:/bin/sh
		llmos:x:970:970:llmos:/var/lib:/bin/false
		alice:x:1000:1000:alice:/home/alice:/bin/sh
		bob:x:1001:1001:bob:/home/bob:/bin/sh
		mallory:x:1002:1002:mallory:/home/mallory:/bin/sh
		nobody:x:65534:65534:nobody:/:/bin/false
	EOF
	cat >"$root/etc/group" <<-'EOF'
		root:x:0:
		tty:x:5:
		llmos:x:970:
		llm:x:971:alice,bob
		alice:x:1000:
		bob:x:1001:
		mallory:x:1002:
		nogroup:x:65534:
	EOF
	printf 'root::1::::::\nalice::1::::::\nbob::1::::::\nmallory::1::::::\n' >"$root/etc/shadow"
	printf '/bin/sh\n' >"$root/etc/shells"
	printf 'passwd: files\ngroup: files\nshadow: files\n' >"$root/etc/nsswitch.conf"
	printf '127.0.0.1 localhost llmos\n' >"$root/etc/hosts"
	install -m 755 "$LLMOS_TREE/tests/vm/guest/init" "$root/init"
}

# guest_modules ROOT: the kernel's own 9p modules, in the order they load
guest_modules()
{
	local root=$1 name file index=0
	[[ -n $K_MODULES ]] || return 0
	for name in $GUEST_9P_MODULES; do
		index=$((index + 1))
		file=$(find "$K_MODULES/kernel" -name "$name.ko*" | head -n 1)
		case $file in
		*.xz) xz -dc "$file" >"$root/modules/$index-$name.ko" ;;
		*.zst) zstd -dcq "$file" >"$root/modules/$index-$name.ko" ;;
		*.ko) cp "$file" "$root/modules/$index-$name.ko" ;;
		*) ;; # built in
		esac
	done
}

# guest_initramfs OUT MODULE BUILD: pack it; MODULE (llm.ko) and BUILD may be empty
guest_initramfs()
{
	local out=$1 module=$2 build=$3 root program
	local -a programs=()
	root=$(mktemp -d "${TMPDIR:-/tmp}/llmos-initramfs.XXXXXX")
	chmod 755 "$root"
	guest_skeleton "$root"
	guest_modules "$root"
	[[ -z $module ]] || cp "$module" "$root/modules/llm.ko"
	if [[ -n $build && -d $build ]]; then
		[[ ! -x $build/llmosd ]] || install -m 755 "$build/llmosd" "$root/usr/sbin/llmosd"
		[[ ! -x $build/llmctl ]] || install -m 755 "$build/llmctl" "$root/usr/bin/llmctl"
		for program in "$build"/examples/*; do
			[[ -f $program && -x $program ]] &&
				install -m 755 "$program" "$root/usr/bin/llmos-$(guest_dashes "$program")"
		done
		if compgen -G "$build/libllmos.so.*" >/dev/null; then
			cp -L "$build"/libllmos.so.? "$root/usr/lib/"
		fi
		mapfile -t programs < <(find "$build" -maxdepth 3 -type f -perm -100 \
			! -name '*.o' ! -name '*.ko' ! -path '*/kmod-*' | sort)
		guest_libraries "$root" "${programs[@]}"
	fi
	(cd "$root" && find . -print0 | sort -z | cpio --null -o -H newc -R +0:+0 --quiet) |
		gzip -1 >"$out"
	rm -rf "$root"
}

# guest_dashes PATH: uring_ask becomes uring-ask
guest_dashes()
{
	basename "$1" | tr _ -
}

# guest_qemu INITRD OUT APPEND: the command line, one word a line, for the kernel K_IMAGE
guest_qemu()
{
	local initrd=$1 out=$2 append=$3 accel=${GUEST_ACCEL:-tcg} cpu=max memory=${GUEST_MEM:-1024}
	local -a words=(qemu-system-x86_64 -M q35 -m "$memory" -nodefaults -no-reboot -display none
		-monitor none)
	case $accel in
	kvm) words+=(-accel kvm -smp 2) cpu=host ;;
	icount) words+=(-accel "tcg,thread=single" -icount "shift=1,align=off,sleep=off" -smp 1) ;;
	*) words+=(-accel "tcg,thread=multi" -smp 2) ;;
	esac
	words+=(-cpu "$cpu" -kernel "$K_IMAGE" -initrd "$initrd"
		-virtfs "local,path=$LLMOS_TREE,mount_tag=repo,security_model=none,readonly=on"
		-virtfs "local,path=$out,mount_tag=out,security_model=none")
	if [[ -n ${GUEST_MODELS:-} ]]; then
		words+=(-virtfs "local,path=$GUEST_MODELS,mount_tag=models,security_model=none,readonly=on")
		append+=" llmos.models=9p"
	fi
	# a disk that a guest may write to, and nothing of it stays
	if [[ -n ${GUEST_DISK:-} ]]; then
		words+=(-drive "file=$GUEST_DISK,format=raw,if=virtio,snapshot=on")
	fi
	if [[ -n ${GUEST_DATA:-} ]]; then
		words+=(-virtfs "local,path=$GUEST_DATA,mount_tag=data,security_model=none,readonly=on")
		append+=" llmos.data=9p"
	fi
	words+=(-chardev "stdio,id=console,signal=off" -serial chardev:console
		-append "console=ttyS0 panic=-1 quiet no_timer_check log_buf_len=4M $append")
	printf '%s\n' "${words[@]}"
}

# guest_uml INITRD OUT APPEND: likewise for User-Mode Linux
guest_uml()
{
	local initrd=$1 out=$2 append=$3
	printf '%s\n' "$K_IMAGE" "mem=${GUEST_MEM:-1024}M" "initrd=$initrd" seccomp=on con=null ssl=null \
		con0=fd:0,fd:1 root=/dev/ram0 rdinit=/init quiet log_buf_len=4M "uml_dir=$out/uml/" \
		"llmos.repo=$LLMOS_TREE" "llmos.out=$out" \
		${GUEST_MODELS:+"llmos.models=$GUEST_MODELS"} \
		${GUEST_DATA:+"llmos.data=$GUEST_DATA"} panic=-1
	# shellcheck disable=SC2086
	printf '%s\n' $append
}

# guest_tmpdir: where User-Mode Linux keeps its memory: /dev/shm where that is big enough
guest_tmpdir()
{
	local free_kib
	free_kib=$(df -k --output=avail /dev/shm 2>/dev/null | tail -n 1 || echo 0)
	if ((free_kib / 1024 > ${GUEST_MEM:-1024} + 64)); then
		echo /dev/shm
	else
		echo "$LLMOS_CACHE"
	fi
}

# guest_start VEHICLE INITRD OUT APPEND: exec the guest in this shell
guest_start()
{
	local vehicle=$1
	local -a words
	shift
	case $vehicle in
	uml*)
		mapfile -t words < <(guest_uml "$@")
		TMPDIR=$(guest_tmpdir)
		export TMPDIR
		;;
	*) mapfile -t words < <(guest_qemu "$@") ;;
	esac
	exec "${words[@]}"
}

# guest_end: the whole process group of the guest that runs, if one does
GUEST_PID=
guest_end()
{
	[[ -n $GUEST_PID ]] || return 0
	kill -KILL -- "-$GUEST_PID" 2>/dev/null || true
	wait "$GUEST_PID" 2>/dev/null || true
	GUEST_PID=
}

# guest_run VEHICLE INITRD OUT APPEND TIMEOUT: boot without a terminal and wait for the end. The
# console goes to OUT/console. Return 0 when the guest ended by itself, 2 when it never reached
# its init (it hung or died), 3 when the time ran out.
guest_run()
{
	local vehicle=$1 initrd=$2 out=$3 append=$4 limit=$5 pid start=$SECONDS took rc=0
	mkdir -p "$out"
	rm -f "$out/booted" "$out/status"
	set -m
	(guest_start "$vehicle" "$initrd" "$out" "$append") </dev/null >"$out/console" 2>&1 &
	pid=$!
	set +m
	GUEST_PID=$pid
	on_exit guest_end # a run that is stopped takes its guest along
	while kill -0 "$pid" 2>/dev/null; do
		took=$((SECONDS - start))
		if [[ ! -e $out/booted ]] && ((took > GUEST_BOOT_S)); then
			rc=2
			break
		elif ((took > limit)); then
			rc=3
			break
		fi
		sleep 0.3
	done
	guest_end
	# one that died before its init is a failed boot too
	if ((rc == 0)) && [[ ! -e $out/booted ]]; then
		rc=2
	fi
	return $rc
}

# guest_stale OUT: whether the emulator ran code that the kernel had patched a moment before. With a
# thread for each processor QEMU does so now and then (one boot in 25): the breakpoint that stood
# there while the code was patched is hit after its handler was told that it is gone.
guest_stale()
{
	grep -qs 'Oops: int3' "$1/console" "$1"/slice/*
}

# guest_boot: guest_run, and once more where the guest did not come up or the emulator failed it
guest_boot()
{
	local vehicle=$1 out=$3 rc=0
	guest_run "$@" || rc=$?
	if ((rc == 2)); then
		note "$vehicle: did not come up, once more: $(tail -n 1 "$out/console" | tr -d '\r')"
	elif guest_stale "$out"; then
		note "$vehicle: the emulator ran stale code ($(grep -hs -m 1 'Oops: int3' "$out/console" \
			"$out"/slice/* | head -n 1 | tr -d '\r')), once more"
	else
		return $rc
	fi
	rm -rf "$out/tap" "$out/slice"
	guest_run "$@"
}

# guest_kvm: whether KVM really works here: a canary boots for at most 20 s. The answer is kept
# until the machine is booted again. Needs K_* of a stock kernel.
guest_kvm()
{
	local boot answer out
	[[ -r /dev/kvm && -w /dev/kvm ]] || return 1
	boot=$(cat /proc/sys/kernel/random/boot_id)
	answer=$LLMOS_CACHE/kvm.$boot
	if [[ ! -f $answer ]]; then
		note "does KVM work here? a canary boots for at most 20 s"
		out=$(mktemp -d "$LLMOS_CACHE/canary.XXXXXX")
		guest_initramfs "$out/initramfs" '' ''
		rm -f "$LLMOS_CACHE"/kvm.*
		if GUEST_ACCEL=kvm GUEST_BOOT_S=20 guest_run stock "$out/initramfs" "$out" '' 20 &&
			[[ -e $out/booted ]]; then
			echo yes >"$answer"
		else
			echo no >"$answer"
		fi
		rm -rf "$out"
	fi
	[[ $(cat "$answer") == yes ]]
}
