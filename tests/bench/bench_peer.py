# SPDX-License-Identifier: MIT
"""llmos and llama.cpp side by side on a published model, a part of bench_speed.py.

Both run as programs that measure on command (see llmos_bench.c), with the same file and the same
number of threads. They take turns within each round, so that whatever else the machine does
falls on both alike; what counts is the ratio within a round: its median, and its quartiles as the
spread. Prefill is tokens a second into an empty sequence, decode is one token at a time (at a
depth: behind so many tokens). Neither samples."""

import os
import statistics
import sys

from programs import Program, quartiles

TESTS = [
    # name, command, tokens
    ("prefill 512", "pp 512", 512),
    ("decode 64", "tg 64 0", 64),
    ("decode 32 at 1024", "tg 32 1024", 32),
]


def compare(ours, peer, name, command, tokens, rounds):
    """Medians of both, in tokens a second, and the quartiles of their ratio."""
    speeds = [], []
    for i in range(rounds + 1):
        order = [(ours, 0), (peer, 1)]
        for program, which in order if i % 2 else order[::-1]:
            seconds = program.measure(command)
            if i:  # the first round warms caches up
                speeds[which].append(tokens / seconds)
    ratios = [a / b for a, b in zip(*speeds)]
    low, middle, high = quartiles(ratios)
    a, b = (statistics.median(s) for s in speeds)
    print(f"  {name:<18} {a:9.1f} {b:9.1f} tok/s   ratio {middle:5.2f} ({low:.2f} .. {high:.2f})", flush=True)


def compare_model(llmos_bench, path, threads, rounds):
    here = os.path.dirname(os.path.abspath(__file__))
    ours = Program(llmos_bench, "-m", path, "-t", str(threads), "-c")
    peer = Program(sys.executable, os.path.join(here, "peer_llama.py"), path, str(threads))
    print(f"{os.path.basename(path)}, {threads} thread{'s' * (threads > 1)}, median of {rounds} rounds")
    print(f"  {'':<18} {'llmos':>9} {'llama.cpp':>9}   llmos {ours.version.split()[0]}, "
          f"llama-cpp-python {peer.version.split()[0]}")
    for test in TESTS:
        compare(ours, peer, *test, rounds)
    ours.close()
    peer.close()
