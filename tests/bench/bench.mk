# SPDX-License-Identifier: MIT
#
# make bench: the engine beside llama.cpp, then the round trip of a request that costs nothing.
#   BENCH="--only decode --shapes 1b --types q8_0 -r 3"  options of bench_speed.py; "-h" tells them
#
# All of it takes about half an hour and 14 GB of the cache, once.

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

# make bench-perplexity: of a text, beside llama.cpp; a minute for each ten windows of 512 tokens
#   PERPLEXITY="MODEL TEXT -n 100"  what it is measured on; "-n" windows at most
PERPLEXITY	?=
.PHONY: bench-perplexity
bench-perplexity: $(O)/tests/bench/perplexity
	$(Q)tests/bench/perplexity.sh $< $(PERPLEXITY)
