#!/bin/bash
# SPDX-License-Identifier: MIT
#
# perplexity.sh PROGRAM [--types TYPE,...] [OPTION...]: perplexity beside llama.cpp of SmolLM2-135M, for
# each type of weights, on the test text of WikiText-2, where that is at hand.
# perplexity.sh PROGRAM MODEL TEXT [OPTION...]: of a model and a text.
# The options are those of perplexity_peer.py.

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

usage="usage: perplexity.sh PROGRAM [--types TYPE,...] [OPTION...] | PROGRAM MODEL TEXT [OPTION...]"
(($# > 0)) || die "$usage"
program=$1
shift

# types_get TYPE...: MODELS become files of SmolLM2 with weights of those types
types_get()
{
	local type
	MODELS=()
	for type; do
		[[ " $REQUANTIZE_TYPES " == *" $type "* ]] || die "'$type' is none of $REQUANTIZE_TYPES"
		requantize_get "$type"
		MODELS+=("$REQUANTIZED")
	done
}

peer_get
if (($# > 1)) && [[ $1 != -* ]]; then
	MODELS=("$1") text=$2
	shift 2
else
	text=${LLMOS_TEST_DATA:-$LLMOS_TREE/../shared/data}/corpora/wikitext-2.test.txt
	[[ -f $text ]] || die "no text '$text': name a model and a text"
	types=$REQUANTIZE_TYPES
	if [[ ${1:-} == --types ]]; then
		types=${2:?$usage}
		shift 2
	fi
	model_get
	# shellcheck disable=SC2086
	types_get ${types//,/ }
fi
"$PEER_PYTHON" "$here/perplexity_peer.py" "$@" "$program" "$text" "${MODELS[@]}"
