# SPDX-License-Identifier: MIT
"""The engine beside llama.cpp, by shape of the model and type of its weights.

Both programs have the same file and the same number of threads and take turns within each round,
with a third one that asks the machine itself (limits.c): whatever else the machine does falls on
all alike. A ratio is the median of the ratios of the rounds, with its quartiles; above 1, llmos is
the faster one. Next to it stands how much of the machine's own limit llmos uses: of the bandwidth
for reading, when it decodes, and of the arithmetic, when it takes in a prompt.

Packed weights are kept in a folder and mapped from there, as the daemon does it.

A bound that is missed is said so, in its row and once more at the end; the exit status stays 0. It
ends by itself: what --minutes leave no time for is named at the end.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

import bench_peer
import random_model
from programs import Program, quartiles, spread

HERE = os.path.dirname(os.path.abspath(__file__))
PARTS = ["smollm2", "decode", "prefill", "depth", "streams", "memory", "start"]
TYPES = ["f16", "bf16", "q8_0", "q4_0", "q4_k_m"]
FEW_TYPES = ["q8_0", "q4_k_m"]  # where each round takes long
LEAST_ROUNDS = 3
MINUTES, QUICK_MINUTES = 60, 15
STREAMS = 16
DEPTH = 2048
MEMORY_BOUND = 1.05  # of the file
START_BOUND = 2.0  # times as fast
READ_BOUND = 0.75  # of what memory gives, for READ_BOUND_MODEL
READ_BOUND_MODEL = ("1b", "q8_0")


class Row:
    """One figure of a model: what is asked, in how many tokens, and by what it is bounded."""

    def __init__(self, part, name, command, tokens, bound, limit=None):
        self.part, self.name, self.command = part, name, command
        self.tokens, self.bound, self.limit = tokens, bound, limit


def rows_of(file_type):
    floats = file_type in ("f16", "bf16")
    rows = [Row("prefill", "prefill 512", "pp 512", 512, 4.0 if floats else 2.0, "arithmetic")]
    if file_type != "bf16":
        rows.append(Row("decode", "decode 32", "tg 32 0", 32, 1.1 if file_type == "f16" else 1.3, "read"))
    if file_type in FEW_TYPES:
        rows += [
            Row("depth", f"decode 16 at {DEPTH}", f"tg 16 {DEPTH}", 16, 1.5, "read deep"),
            Row("streams", f"decode 8 x {STREAMS}", f"batch {STREAMS} 8", 8 * STREAMS, 1.5, "arithmetic, all rows"),
        ]
    return rows


class Model:
    """A file, its bytes, and the multiplications of one token of a prompt."""

    def __init__(self, cache, shape, file_type):
        self.shape, self.file_type = shape, file_type
        self.path = os.path.join(cache, f"random-1-{shape}-{file_type}.gguf")
        if not os.path.exists(self.path):
            part = f"{self.path}.{os.getpid()}.part"
            subprocess.run(
                [sys.executable, os.path.join(HERE, "random_model.py"), shape, file_type, part], check=True
            )
            os.rename(part, self.path)
        self.bytes = os.path.getsize(self.path)
        self.work = sum(
            cols * rows
            for name, cols, rows, _ in random_model.tensors(shape, file_type)
            if not name.startswith("token_embd")
        )
        layers, width, heads, kv_heads, _, vocab = random_model.SHAPES[shape]
        self.head = width * vocab  # for a row of logits
        self.kv_bytes = DEPTH * layers * 2 * kv_heads * (width // heads) * 2  # float16, keys and values


class Report:
    def __init__(self):
        self.missed, self.left_out = [], []

    def leaves_out(self, args, what):
        """Whether there is no time for a row any more."""
        if time.monotonic() < args.until:
            return False
        self.left_out.append(what + ", for which there was no time")
        return True

    def line(self, text):
        print(text, flush=True)

    def judge(self, what, value, bound, at_most=False):
        """A few words on a bound."""
        kept = value <= bound if at_most else value >= bound
        words = f"{'at most' if at_most else 'at least'} {bound:g}"
        if not kept:
            self.missed.append(f"{what}: {value:.2f}, {words} is wanted")
        return f"{words}: {'kept' if kept else 'MISSED'}"

    def end(self):
        for text in self.missed:
            self.line(f"missed: {text}")
        for text in self.left_out:
            self.line(f"not measured: {text}")
        if not self.missed:
            self.line("no bound is missed")


def arithmetic_kind(file_type, kinds):
    """What the fastest instructions for a type are here."""
    wanted = {"f16": ["fma"], "bf16": ["amx-bf16", "bf16", "fma"]}.get(file_type, ["amx-int8", "int8", "fma"])
    return next((k for k in wanted if k in kinds), None)


class Trio:
    """llmos, llama.cpp and the machine, with one model and so many threads."""

    def __init__(self, args, model, threads, packs):
        self.args, self.model = args, model
        self.ours = ours(args, model.path, threads, packs)
        self.peer = peer(model.path, threads)
        self.machine = Program(os.path.join(args.programs, "limits"), "-t", str(threads))
        self.label = f"{model.shape} {model.file_type}, {threads} thread{'s' * (threads > 1)}"

    def close(self):
        for program in (self.ours, self.peer, self.machine):
            program.close()

    def limit_of(self, row):
        """What the machine is asked, and the work of a token in its unit."""
        if row.limit == "read":
            return "read", self.model.bytes
        if row.limit == "read deep":
            return "read", self.model.bytes + self.model.kv_bytes
        if row.limit:
            kind = arithmetic_kind(self.model.file_type, self.machine.version.split())
            return kind, 2 * (self.model.work + (self.model.head if "all rows" in row.limit else 0))
        return None, 0

    def measure(self, row):
        """Rounds of (ours, theirs, limit or 0), in tokens a second; the first one warms caches up."""
        kind, work = self.limit_of(row)
        rounds, end = [], None
        while len(rounds) <= self.args.rounds:
            if end and time.monotonic() > end and len(rounds) > LEAST_ROUNDS:
                break
            limit = self.machine.measure(kind) / work if kind else 0
            order = [self.ours, self.peer] if len(rounds) % 2 else [self.peer, self.ours]
            speed = {program: row.tokens / program.measure(row.command) for program in order}
            rounds.append((speed[self.ours], speed[self.peer], limit))
            end = end or time.monotonic() + self.args.seconds
        return rounds[1:]

    def compare(self, row, report):
        rounds = self.measure(row)
        a, b = (statistics.median(r[i] for r in rounds) for i in (0, 1))
        ratios = [r[0] / r[1] for r in rounds]
        what = f"{self.label}, {row.name}"
        text = f"  {row.name:<17} {a:9.2f} {b:9.2f} tok/s   ratio {spread(ratios)}, "
        text += report.judge(what, quartiles(ratios)[1], row.bound)
        kind, _ = self.limit_of(row)
        if kind:
            share = statistics.median(r[0] / r[2] for r in rounds)
            text += f"; {100 * share:.0f} % of {kind}"
            if row.limit == "read" and (self.model.shape, self.model.file_type) == READ_BOUND_MODEL:
                text += ", " + report.judge(what + ", share of the bandwidth", share, READ_BOUND)
        report.line(text)


def ours(args, path, threads, packs=None):
    """With @packs, a folder for packed weights: as the daemon has one; without, they are in memory."""
    options = ["-C", packs] if packs else []
    return Program(os.path.join(args.programs, "llmos_bench"), "-m", path, "-t", str(threads), "-c", *options)


def peer(path, threads):
    return Program(sys.executable, os.path.join(HERE, "peer_llama.py"), path, str(threads))


def compare_speed(args, report, model, packs):
    rows = [row for row in rows_of(model.file_type) if row.part in args.only]
    if not rows:
        return
    trio = Trio(args, model, args.threads, packs)
    report.line(f"{trio.label}, {model.bytes / 1e9:.2f} GB, up to {args.rounds} rounds")
    report.line(f"  {'':<17} {'llmos':>9} {'llama.cpp':>9}")
    for row in rows:
        if not report.leaves_out(args, f"{trio.label}, {row.name}"):
            trio.compare(row, report)
    trio.close()


def compare_memory(args, report, model, packs):
    """The most memory that is in use once a token was computed, from the start on."""
    peaks = []
    ours(args, model.path, args.threads, packs).close()  # from here on they are packed
    for program in (
        ours(args, model.path, args.threads), ours(args, model.path, args.threads, packs),
        peer(model.path, args.threads),
    ):  # fmt: skip
        program.measure("tg 1 0")
        peaks.append(program.peak_bytes() / model.bytes)
        program.close()
    what = f"{model.shape} {model.file_type}, peak memory"
    report.line(
        f"{what}: llmos {peaks[0]:.3f} of the file's bytes where it packs, {peaks[1]:.3f} where it maps what "
        f"is packed, llama.cpp {peaks[2]:.3f}, "
        + report.judge(what + " as a share of the file", max(peaks[:2]), MEMORY_BOUND, at_most=True)
    )


def compare_start(args, report, model, packs):
    """From the start of the program (llama.cpp: from where Python has loaded it) to the first
    token behind a prompt of 16, with the file in memory. The first start packs the weights, those
    that count find them packed."""
    times = [], []
    with tempfile.TemporaryDirectory(dir=packs) as empty:
        program = ours(args, model.path, args.threads, empty)
        program.measure("pp 16")
        first = program.age()
        program.close()
    for i in range(args.rounds + 1):
        program = ours(args, model.path, args.threads, packs)
        program.measure("pp 16")
        mine, packed = program.age(), program.version.split()[-1]
        program.close()
        program = peer(model.path, args.threads)
        theirs = program.measure("first 16")
        program.close()
        if i:
            times[0].append(mine)
            times[1].append(theirs)
    ratios = [b / a for a, b in zip(*times)]
    what = f"{model.shape} {model.file_type}, second start to first token"
    a, b = (1e3 * statistics.median(t) for t in times)
    if packed not in ("found", "none"):
        report.missed.append(f"{what}: packed weights were not found")
    report.line(
        f"{what}: {a:.0f} ms (the first one {1e3 * first:.0f} ms), llama.cpp {b:.0f} ms, "
        f"ratio {spread(ratios)}, " + report.judge(what, quartiles(ratios)[1], START_BOUND)
    )


def compare_model(args, report, model):
    """All parts of one model, with a folder of its own for packed weights."""
    with tempfile.TemporaryDirectory(prefix="packs.", dir=args.cache) as packs:
        compare_speed(args, report, model, packs)
        if model.file_type not in FEW_TYPES:
            return
        for part, compare in (("memory", compare_memory), ("start", compare_start)):
            what = f"{model.shape} {model.file_type}, {part}"
            if part in args.only and not report.leaves_out(args, what):
                compare(args, report, model, packs)


def listed(allowed):
    def parse(text):
        values = text.split(",")
        for value in values:
            if value not in allowed:
                raise argparse.ArgumentTypeError(f"'{value}' is none of {', '.join(allowed)}")
        return values

    return parse


def parse_args():
    processors = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(prog="make bench BENCH=...", description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=listed(PARTS), default=PARTS, help=",".join(PARTS))
    parser.add_argument(
        "--shapes", type=listed(random_model.SHAPES), default=list(random_model.SHAPES),
        help=",".join(random_model.SHAPES),
    )  # fmt: skip
    parser.add_argument("--types", type=listed(TYPES), default=TYPES, help=",".join(TYPES))
    parser.add_argument("-r", "--rounds", type=int, help="of each row, at most (5; 2 with --quick)")
    parser.add_argument("--quick", action="store_true", help=f"few rounds, {QUICK_MINUTES} minutes at most")
    parser.add_argument("--minutes", type=float, help=f"after which no row is begun ({MINUTES})")
    parser.add_argument("-t", "--threads", type=int, default=processors, help=f"({processors})")
    parser.add_argument(
        "-s", "--seconds", type=float, default=20,
        help=f"after which a row begins no other round, if it has {LEAST_ROUNDS} (20)",
    )  # fmt: skip
    parser.add_argument("--programs", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--cache", required=True, help=argparse.SUPPRESS)
    parser.add_argument("smollm2", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    args.rounds = args.rounds or (2 if args.quick else 5)
    args.until = time.monotonic() + 60 * (args.minutes or (QUICK_MINUTES if args.quick else MINUTES))
    return args


def main():
    args = parse_args()
    report = Report()
    if "smollm2" in args.only:
        for path in args.smollm2:
            for threads in sorted({1, args.threads}):
                bench_peer.compare_model(os.path.join(args.programs, "llmos_bench"), path, threads, args.rounds)
    for shape in args.shapes:
        for file_type in args.types:
            if not report.leaves_out(args, f"{shape} {file_type}"):
                compare_model(args, report, Model(args.cache, shape, file_type))
    report.end()


if __name__ == "__main__":
    main()
