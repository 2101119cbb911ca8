# SPDX-License-Identifier: MIT
"""Servers under load: llmosd over its socket beside llama.cpp's own server, in turn in each round.

Three loads, the same for both, all greedy and of fixed length: requests of mixed lengths that arrive
over time; a stream that goes on while a long prompt arrives; and requests that begin alike, one
after the other. Without a server of llama.cpp llmosd is measured alone, and the report says so."""

import argparse
import http.client
import json
import math
import os
import random
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from bench_speed import Report
from programs import quartiles, spread

WORDS = (
    " time year people way day man thing woman life child world school state family student group country"
    " problem hand part place case week company system program question work government number night point"
).split()
MIXED, SHORTEST, LONGEST = 64, 16, 2000
MIXED_SECONDS = 20.0
STREAM_TOKENS = 1200
LONG_AT_MS = 1500
SHARED, SHARED_PREFIX, SHARED_REST = 30, 1000, 16
SLOTS = 16
PAUSE_BOUND_MS = 150
SPEED_BOUND = 1.5
PREFIX_BOUND = 0.10  # of the first one's time to the first token


class Ask:
    """A request of a schedule, and what became of it: times in seconds from the start."""

    def __init__(self, at_ms, tokens, prompt):
        self.at_ms, self.tokens, self.prompt = at_ms, tokens, prompt
        self.submitted, self.texts, self.ended = 0.0, [], 0.0
        self.prompt_tokens = self.output_tokens = 0

    def to_first(self):
        return self.texts[0] - self.submitted


def words(chance, count):
    """A text of so many tokens."""
    return "".join(" " + chance.choice(WORDS) for _ in range(count))


# Each round has words of its own: a prompt is new once. Times and lengths are the same in all.


def mixed_load(number):
    chance, text = random.Random(1), random.Random(f"mixed {number}")
    times = sorted(chance.uniform(0, MIXED_SECONDS) for _ in range(MIXED))
    asks = []
    for i, at in enumerate(times):
        length = round(SHORTEST * (LONGEST / SHORTEST) ** (i * 37 % MIXED / (MIXED - 1)))
        asks.append(Ask(round(1000 * at), chance.randint(16, 96), words(text, length)))
    return asks


def stream_load(number):
    text = random.Random(f"stream {number}")
    return [Ask(0, STREAM_TOKENS, words(text, 32)), Ask(LONG_AT_MS, 1, words(text, LONGEST))]


def shared_load(number):
    text = random.Random(f"shared {number}")
    prefix = words(text, SHARED_PREFIX)
    return [Ask(-1, 8, prefix + words(text, SHARED_REST)) for _ in range(SHARED)]


# ---- servers ----


def wait_for(process, is_there, what, seconds=120):
    end = time.monotonic() + seconds
    while not is_there():
        if process.poll() is not None or time.monotonic() > end:
            process.kill()
            sys.exit(f"bench_serve: {what} does not serve")
        time.sleep(0.05)


class Llmosd:
    name = "llmosd"

    def __init__(self, args, folder):
        self.client = os.path.join(args.build, "tests", "bench", "serve_client")
        self.path = os.path.join(folder, "socket")
        self.address = "unix:" + self.path
        models, file = os.path.split(args.model)
        command = [
            os.path.join(args.build, "llmosd"), "--config=/dev/null", "--device=none",
            "--listen=" + self.address, "--models=" + models, "--preload=yes",
            "--default-model=" + file.removesuffix(".gguf"), f"--threads={args.threads}",
            f"--slots={SLOTS}", "--log-level=error",
        ]  # fmt: skip
        self.process = subprocess.Popen(command)
        wait_for(self.process, lambda: os.path.exists(self.path), self.name)
        self.run([Ask(0, 1, " Hello")])

    def run(self, asks):
        text = b""
        for ask in asks:
            prompt = ask.prompt.encode()
            text += f"{ask.at_ms} {ask.tokens} {len(prompt)}\n".encode() + prompt + b"\n"
        done = subprocess.run([self.client, self.address], input=text, stdout=subprocess.PIPE, check=True)
        for line in done.stdout.decode().splitlines():
            what, index, seconds, *rest = line.split()
            ask = asks[int(index)]
            if what == "submit":
                ask.submitted = float(seconds)
            elif what == "text":
                ask.texts.append(float(seconds))
            else:
                ask.ended = float(seconds)
                status, ask.prompt_tokens, ask.output_tokens = (int(r) for r in rest)
                if status:
                    sys.exit(f"bench_serve: request {index} ended with {os.strerror(-status)}")

    def close(self):
        self.process.terminate()
        self.process.wait()


class LlamaServer:
    name = "llama.cpp's server"

    def __init__(self, args, folder):
        with socket.socket() as s:
            s.bind(("127.0.0.1", 0))
            self.port = s.getsockname()[1]
        with open(os.path.join(folder, "llama-server.log"), "wb") as log:
            self.process = subprocess.Popen(
                [args.peer_server, "-m", args.model, "--host", "127.0.0.1", "--port", str(self.port),
                 "-t", str(args.threads), "-tb", str(args.threads), "-np", str(SLOTS),
                 "-c", str(SLOTS * 2304)],
                stdout=log, stderr=subprocess.STDOUT,
            )  # fmt: skip
        wait_for(self.process, self.is_healthy, self.name)
        self.run([Ask(0, 1, " Hello")])

    def is_healthy(self):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
            connection.request("GET", "/health")
            return connection.getresponse().status == 200
        except OSError:
            return False

    def put(self, ask, start):
        body = {
            "prompt": ask.prompt, "n_predict": ask.tokens, "stream": True, "temperature": 0,
            "ignore_eos": True, "cache_prompt": True,
        }  # fmt: skip
        connection = http.client.HTTPConnection("127.0.0.1", self.port)
        ask.submitted = time.monotonic() - start
        connection.request("POST", "/completion", json.dumps(body), {"Content-Type": "application/json"})
        response = connection.getresponse()
        if response.status != 200:
            sys.exit(f"bench_serve: {self.name}: {response.read().decode()}")
        for line in response:
            if not line.startswith(b"data: {"):
                continue
            now = time.monotonic() - start
            event = json.loads(line[6:])
            if event.get("content"):
                ask.texts.append(now)
            if event.get("stop"):
                ask.output_tokens = event["tokens_predicted"]
                ask.prompt_tokens = event["tokens_evaluated"]
        ask.ended = time.monotonic() - start

    def run(self, asks):
        start = time.monotonic()
        threads = []
        for ask in asks:
            if ask.at_ms < 0:
                for thread in threads:
                    thread.join()
            else:
                time.sleep(max(0, start + ask.at_ms / 1000 - time.monotonic()))
            threads.append(threading.Thread(target=self.put, args=(ask, start)))
            threads[-1].start()
        for thread in threads:
            thread.join()

    def close(self):
        self.process.terminate()
        self.process.wait()


# ---- figures ----


def speed(asks):
    """Tokens a second, those of prompts and answers, from the first request to the last answer."""
    tokens = sum(a.prompt_tokens + a.output_tokens for a in asks)
    return tokens / (max(a.ended for a in asks) - min(a.submitted for a in asks))


def pause_ms(asks):
    """The 99th percentile of the pauses of the stream while the long prompt is taken in."""
    stream, long = asks
    gaps = [
        1000 * (b - a)
        for a, b in zip(stream.texts, stream.texts[1:])
        if b > long.submitted and a < long.texts[0]
    ]
    if not gaps:
        return math.inf  # it said nothing all the while
    return sorted(gaps)[math.ceil(0.99 * len(gaps)) - 1]


def shares(asks):
    """Times to the first token of all but the first request, as shares of its own."""
    return [a.to_first() / asks[0].to_first() for a in asks[1:]]


def check(asks, loads):
    for ask in asks:
        if ask.output_tokens != ask.tokens or not ask.texts:
            sys.exit(f"bench_serve: {loads}: an answer has {ask.output_tokens} tokens, not {ask.tokens}")


def measure(server, number):
    """The figures of one server in one round."""
    loads = mixed_load(number), stream_load(number), shared_load(number)
    for name, load in zip(("mixed", "stream", "shared"), loads):
        server.run(load)
        check(load, name)
    mixed, stream, shared = loads
    first = sorted(1000 * ask.to_first() for ask in mixed)
    return {
        "speed": speed(mixed),
        "first": statistics.median(first),
        "late": first[math.ceil(0.9 * len(first)) - 1],
        "pause": pause_ms(stream),
        "share": statistics.median(shares(shared)),
        "worst": max(shares(shared)),
    }


ROWS = (
    ("speed", f"{MIXED} requests of {SHORTEST} to {LONGEST} tokens, tokens/s"),
    ("first", "their time to the first token, ms"),
    ("late", "the same, 90 % of them at most"),
    ("pause", f"pause of a stream beside {LONGEST} tokens, 99 %, ms"),
    ("share", f"first token behind {SHARED_PREFIX} shared, of the first's"),
    ("worst", "the slowest of them"),
)


def run_rounds(args, kinds):
    """A list of figures for each server, round by round."""
    figures = [[] for _ in kinds]
    with tempfile.TemporaryDirectory(prefix="llmos-bench.") as folder:
        servers = []
        try:
            for kind in kinds:
                servers.append(kind(args, folder))
            for number in range(args.rounds):
                order = list(zip(servers, figures))
                for server, own in order if number % 2 == 0 else order[::-1]:
                    own.append(measure(server, number))
        finally:
            for server in servers:
                server.close()
    return figures


def tell(report, figures):
    """Medians of the rounds side by side, then the bounds."""
    middle = [{name: statistics.median(r[name] for r in own) for name, _ in ROWS} for own in figures]
    for name, what in ROWS:
        report.line(f"  {what:<56}" + "".join(f" {m[name]:10.3f}" for m in middle))
    if len(figures) > 1:
        ratios = [a["speed"] / b["speed"] for a, b in zip(*figures)]
        verdict = report.judge("speed of mixed requests", quartiles(ratios)[1], SPEED_BOUND)
        report.line(f"speed: ratio {spread(ratios)}, {verdict}")
    else:
        report.left_out.append("llama.cpp's server, which is not there: LLAMA_SERVER=PATH names one")
    pause, share = middle[0]["pause"], middle[0]["share"]
    report.line("pause: " + report.judge("pause of a stream, ms", pause, PAUSE_BOUND_MS, at_most=True))
    report.line(
        "prefix: " + report.judge("first token behind a shared prefix", share, PREFIX_BOUND, at_most=True)
    )


def main():
    processors = len(os.sched_getaffinity(0))
    parser = argparse.ArgumentParser(
        prog="make bench-serve BENCH=...", description=__doc__.splitlines()[0]
    )  # fmt: skip
    parser.add_argument("-r", "--rounds", type=int, default=3, help="(3)")
    parser.add_argument("-t", "--threads", type=int, default=processors, help=f"({processors})")
    parser.add_argument("--build", required=True, help=argparse.SUPPRESS)
    parser.add_argument("--peer-server", default="", help=argparse.SUPPRESS)
    parser.add_argument("model", help=argparse.SUPPRESS)
    args = parser.parse_args()
    report = Report()
    kinds = [Llmosd] + [LlamaServer] * bool(args.peer_server)
    figures = run_rounds(args, kinds)
    report.line(f"{os.path.basename(args.model)}, {args.threads} threads, medians of {args.rounds} rounds")
    report.line(f"  {'':<56}" + "".join(f" {name:>10}" for name in ("llmosd", "llama.cpp")[: len(kinds)]))
    tell(report, figures)
    report.end()


if __name__ == "__main__":
    main()
