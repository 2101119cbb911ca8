# SPDX-License-Identifier: MIT
# shellcheck shell=bash
#
# SmolLM2 with its matrices as another type, kept in the cache. Sourced behind scripts/lib/model.sh and
# peer.sh; after model_get and peer_get.

# the types that requantize.py makes
# shellcheck disable=SC2034
REQUANTIZE_TYPES="f32 f16 bf16 q8_0 q4_0 q4_1 q5_0 q5_1 q2_k q3_k q4_k q5_k q6_k iq4_nl iq4_xs mxfp4"

# requantize_make SOURCE TARGET TYPE
requantize_make()
{
	[[ -f $2 ]] && return 0
	mkdir -p "$(dirname "$2")"
	"$PEER_PYTHON" "${BASH_SOURCE[0]%.sh}.py" "$1" "$2.part" "$3" && mv "$2.part" "$2"
}

# requantize_get TYPE: REQUANTIZED becomes SmolLM2 with weights of that type
requantize_get()
{
	local type=${1^^}
	# shellcheck disable=SC2034
	REQUANTIZED=$LLMOS_CACHE/bench/${MODEL_FILE/Q4_1/$type}
	if [[ $type == Q4_1 ]]; then
		REQUANTIZED=$MODEL_DIR/$MODEL_FILE	# as it is published
	else
		with_lock bench requantize_make "$MODEL_DIR/$MODEL_FILE" "$REQUANTIZED" "$1"
	fi
}
