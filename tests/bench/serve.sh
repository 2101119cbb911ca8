#!/bin/bash
# SPDX-License-Identifier: MIT
#
# serve.sh BUILD [bench_serve.py OPTION...]: llmosd under load beside llama.cpp's server, on SmolLM2-135M.
# LLAMA_SERVER names a server that there is; else it is built, and where that fails, or LLAMA_SERVER is
# "no", llmosd is measured alone.

set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/lib/common.sh
source "$here/../../scripts/lib/common.sh"
# shellcheck source=scripts/lib/deps.sh
source "$LLMOS_TREE/scripts/lib/deps.sh"
# shellcheck source=scripts/lib/model.sh
source "$LLMOS_TREE/scripts/lib/model.sh"
# shellcheck source=tests/bench/peer.sh
source "$here/peer.sh"

(($# > 0)) || die "usage: serve.sh BUILD [OPTION...]"
build=$1
shift

model_get
peer_get
PEER_SERVER=
[[ ${LLAMA_SERVER:-} == no ]] || peer_server_get || PEER_SERVER=
"$PEER_PYTHON" "$here/bench_serve.py" --build "$build" --peer-server "$PEER_SERVER" "$@" \
	"$MODEL_DIR/$MODEL_FILE"
