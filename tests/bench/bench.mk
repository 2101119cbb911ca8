# SPDX-License-Identifier: MIT
#
# make bench: the engine beside llama.cpp, then the round trip of a request that costs nothing.
#   BENCH="-r 5 -t 1"  options of bench_peer.py

BENCH		?=

.PHONY: bench-engine bench-latency
bench: bench-engine bench-latency

bench-engine: $(O)/tests/bench/llmos_bench
	$(Q)tests/bench/bench.sh $< $(BENCH)

bench-latency: bench-engine tests-build
	$(Q)tests/bench/latency.sh
