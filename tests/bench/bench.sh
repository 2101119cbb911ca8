#!/bin/bash
# SPDX-License-Identifier: MIT
#
# bench.sh LLMOS_BENCH [bench_speed.py OPTION...]: speed beside llama.cpp, on SmolLM2-135M as it is
# published (Q4_1) and with its matrices as Q8_0, and on random weights in the shapes of larger models.

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
# shellcheck source=tests/bench/requantize.sh
source "$here/requantize.sh"

(($# > 0)) || die "usage: bench.sh LLMOS_BENCH [OPTION...]"
llmos_bench=$1
shift

model_get
peer_get
q4_1=$MODEL_DIR/$MODEL_FILE
requantize_get q8_0
q8_0=$REQUANTIZED
"$PEER_PYTHON" "$here/bench_speed.py" --programs "$(dirname "$llmos_bench")" \
	--cache "$LLMOS_CACHE/bench" "$@" "$q4_1" "$q8_0"
