# SPDX-License-Identifier: MIT
"""Programs that measure on command (see llmos_bench.c), and what benchmarks say about figures."""

import statistics
import subprocess
import sys
import time


class Program:
    """One program, waiting for commands; `version` is what it said of itself when it was ready."""

    def __init__(self, *command):
        self.started = time.perf_counter()
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.version = self.answer().removeprefix("ready ").strip()

    def answer(self):
        line = self.process.stdout.readline()
        if not line:
            sys.exit(f"bench: '{self.process.args[0]}' ended with {self.process.wait()}")
        return line

    def measure(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return float(self.answer())

    def age(self):
        """Seconds since it was started."""
        return time.perf_counter() - self.started

    def peak_bytes(self):
        """The most memory it has used, the pages of a mapped file included."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmHWM:"):
                    return int(line.split()[1]) * 1024
        sys.exit("bench: the system does not say how much memory a process uses")

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def quartiles(values):
    if len(values) < 2:
        return values[0], values[0], values[0]
    return statistics.quantiles(values, n=4, method="inclusive")


def spread(values):
    """Median and quartiles, as text."""
    low, middle, high = quartiles(values)
    return f"{middle:.2f} ({low:.2f} .. {high:.2f})"
