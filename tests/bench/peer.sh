# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# llama.cpp as a peer, through its Python package, built from source in the cache for the processor
# at hand: a wheel made for any processor would be no match. Sourced behind scripts/lib/common.sh.

PEER_PACKAGE=llama-cpp-python==0.3.36
PEER_NEEDS="gcc g++ cmake ninja-build python3 python3-venv python3-pip ca-certificates"

# AMX comes with -march=native where the processor has it. AVX512-FP16 is left out: with it, the
# compiler's float16 type makes the peer's attention scalar.
PEER_FLAGS=-mno-avx512fp16
PEER_CMAKE_ARGS="-DGGML_NATIVE=ON -DLLAVA_BUILD=OFF -DLLAMA_CURL=OFF
	-DCMAKE_C_FLAGS=$PEER_FLAGS -DCMAKE_CXX_FLAGS=$PEER_FLAGS"

# peer_patch DIR: without the barrier, gcc leaves the tile configuration unwritten and the first
# AMX batch dies
peer_patch()
{
	sed -i 's/^\( *\)_tile_loadconfig(&tc);/\1__asm__ volatile("" : : "r"(\&tc) : "memory");\n&/' \
		"$1"/vendor/llama.cpp/ggml/src/ggml-cpu/amx/mmq.cpp
}

# peer_key: a build fits one package on one kind of processor
peer_key()
{
	{
		echo "$PEER_PACKAGE $PEER_CMAKE_ARGS"
		sed -n '/^flags/{p;q}' /proc/cpuinfo
	} | sha256sum | cut -c1-12
}

# peer_build DIR: a virtual environment with the peer in it; takes some minutes
peer_build()
{
	local dir=$1 tmp
	[[ -f $dir/ready ]] && return 0

	# shellcheck disable=SC2086
	need $PEER_NEEDS
	note "building llama.cpp ($PEER_PACKAGE), which takes some minutes, once"
	rm -rf "$dir"
	mkdir -p "$dir"
	tmp=$(mktemp -d "$LLMOS_CACHE/peer.XXXXXX")
	if ! {
		logged peer python3 -m venv "$dir" &&
			logged peer "$dir/bin/pip" --disable-pip-version-check download --no-deps \
				--no-binary "${PEER_PACKAGE%%=*}" --dest "$tmp" "$PEER_PACKAGE" &&
			mkdir "$tmp/source" &&
			tar xzf "$tmp"/llama_cpp_python-*.tar.gz -C "$tmp/source" \
				--strip-components=1 &&
			peer_patch "$tmp/source" &&
			CMAKE_BUILD_PARALLEL_LEVEL=$LLMOS_JOBS CMAKE_ARGS=$PEER_CMAKE_ARGS TMPDIR=$tmp \
				logged peer nice "$dir/bin/pip" --disable-pip-version-check install \
				"$tmp/source"
	}; then
		rm -rf "$tmp"
		die "cannot build the peer '$PEER_PACKAGE', see $LLMOS_LOGS/peer.log"
	fi
	rm -rf "$tmp"
	touch "$dir/ready"
}

# peer_get: PEER_PYTHON becomes a Python that has the peer
peer_get()
{
	local dir
	dir=$LLMOS_CACHE/peer/$(peer_key)
	with_lock peer peer_build "$dir"
	# shellcheck disable=SC2034
	PEER_PYTHON=$dir/bin/python
}
