/* SPDX-License-Identifier: MIT */
/*
 * Phi-3 and Phi-4: a Llama whose matrices are fused, with a sliding window in the small ones, and
 * two sets of divisors for the frequencies (LongRoPE): one up to the original context, one beyond.
 * Source: the Phi-3 technical report (2024).
 */
#include "model/arch.h"

const struct model_arch model_arch_phi[] = {
	{
		.name = "phi3",
		.hparams = { .is_gated = true, .rope = { .is_neox = true } },
		.read = model_read_window,
	},
	{ 0 },
};
