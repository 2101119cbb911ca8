# SPDX-License-Identifier: MIT
#
# make bench: the engine beside llama.cpp, then the round trip of a request that costs nothing.
#   BENCH="--only decode --shapes 1b --types q8_0 -r 3"  options of bench_speed.py; "-h" tells them
#   BENCH=--quick                                        all rows, two rounds of each
#
# The whole takes an hour at most, --quick a quarter of that; and 14 GB of the cache, once.

BENCH		?=

.PHONY: bench-engine bench-latency
bench: bench-engine bench-latency

bench-engine: $(O)/tests/bench/llmos_bench $(O)/tests/bench/limits
	$(Q)tests/bench/bench.sh $< $(BENCH)

bench-latency: bench-engine tests-build
	$(Q)tests/bench/latency.sh

# make bench-serve: the daemon under load, beside llama.cpp's server; some ten minutes
.PHONY: bench-serve
bench-serve: $(O)/llmosd $(O)/tests/bench/serve_client
	$(Q)tests/bench/serve.sh $(O) $(BENCH)

# make bench-perplexity: of a text, beside llama.cpp, for SmolLM2 with each type of weights; ten minutes
#   PERPLEXITY="--types q8_0,q4_k -n 600 --kv f16,q8_0 --truth"  -n: windows at most; --truth: beside a
#                                   forward pass in float64, too, which takes three times as long
#   PERPLEXITY="MODEL TEXT -n 100"  of another model and text
PERPLEXITY	?=
.PHONY: bench-perplexity
bench-perplexity: $(O)/tests/bench/perplexity
	$(Q)tests/bench/perplexity.sh $< $(PERPLEXITY)
