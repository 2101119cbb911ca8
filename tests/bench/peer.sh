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

# peer_source PYTHON DIR: the package's source, patched, in DIR
peer_source()
{
	local python=$1 dir=$2
	logged peer "$python" -m pip --disable-pip-version-check download --no-deps \
		--no-binary "${PEER_PACKAGE%%=*}" --dest "$dir.sdist" "$PEER_PACKAGE" &&
		mkdir "$dir" &&
		tar xzf "$dir.sdist"/llama_cpp_python-*.tar.gz -C "$dir" --strip-components=1 &&
		peer_patch "$dir"
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
			peer_source "$dir/bin/python" "$tmp/source" &&
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
	[[ -f $dir/ready ]] || with_lock peer peer_build "$dir"
	# shellcheck disable=SC2034
	PEER_PYTHON=$dir/bin/python
}

# peer_server_build PYTHON TARGET: llama.cpp's own server, from the same source with the same flags
peer_server_build()
{
	local python=$1 target=$2 tmp
	[[ -x $target ]] && return 0

	note "building llama.cpp's server, which takes some minutes, once"
	tmp=$(mktemp -d "$LLMOS_CACHE/peer.XXXXXX")
	# shellcheck disable=SC2086
	if ! {
		peer_source "$python" "$tmp/source" &&
			logged peer nice cmake -G Ninja -S "$tmp/source/vendor/llama.cpp" -B "$tmp/build" \
				-DCMAKE_BUILD_TYPE=Release -DGGML_NATIVE=ON -DBUILD_SHARED_LIBS=OFF \
				-DCMAKE_C_FLAGS=$PEER_FLAGS -DCMAKE_CXX_FLAGS=$PEER_FLAGS \
				-DLLAMA_BUILD_TOOLS=ON -DLLAMA_BUILD_SERVER=ON -DLLAMA_BUILD_TESTS=OFF \
				-DLLAMA_BUILD_EXAMPLES=OFF -DLLAMA_BUILD_UI=OFF \
				-DLLAMA_USE_PREBUILT_UI=OFF -DLLAMA_OPENSSL=OFF &&
			logged peer nice cmake --build "$tmp/build" --target llama-server \
				--parallel "$LLMOS_JOBS" &&
			cp "$tmp/build/bin/llama-server" "$target"
	}; then
		rm -rf "$tmp"
		die "cannot build the server of '$PEER_PACKAGE', see $LLMOS_LOGS/peer.log"
	fi
	rm -rf "$tmp"
}

# peer_server_get: PEER_SERVER becomes llama.cpp's server, LLAMA_SERVER where that names one; after peer_get
peer_server_get()
{
	if [[ -n ${LLAMA_SERVER:-} ]]; then
		[[ -x $LLAMA_SERVER ]] || die "LLAMA_SERVER: '$LLAMA_SERVER' is no program"
		PEER_SERVER=$LLAMA_SERVER
		return 0
	fi
	PEER_SERVER=${PEER_PYTHON%/bin/python}/bin/llama-server
	[[ -x $PEER_SERVER ]] || with_lock peer peer_server_build "$PEER_PYTHON" "$PEER_SERVER"
}
