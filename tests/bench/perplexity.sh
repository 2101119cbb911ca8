#!/bin/bash
# SPDX-License-Identifier: MIT
#
# perplexity.sh PROGRAM [MODEL TEXT [OPTION...]]: perplexity of a text beside llama.cpp; without a model
# SmolLM2-135M as it is published, on the test text of WikiText-2 where that is at hand.

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

(($# > 0)) || die "usage: perplexity.sh PROGRAM [MODEL TEXT [OPTION...]]"
program=$1
shift
if (($# < 2)); then
	text=${LLMOS_TEST_DATA:-$LLMOS_TREE/../shared/data}/corpora/wikitext-2.test.txt
	[[ -f $text ]] || die "no text '$text': name a model and a text"
	model_get
	set -- "$MODEL_DIR/$MODEL_FILE" "$text" "$@"
fi
model=$1 text=$2
shift 2
peer_get
"$PEER_PYTHON" "$here/perplexity_peer.py" "$@" "$program" "$model" "$text"
