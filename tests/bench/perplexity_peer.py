# SPDX-License-Identifier: MIT
"""perplexity_peer.py [OPTION...] PERPLEXITY TEXT MODEL...

The perplexity of a text by our engine, by llama.cpp and, with --truth, by a forward pass in float64 over
the same weights, all on the same windows. A line tells of each by how much it is off the one to its
right, with the standard error of that difference, which is taken token by token: both see the same
text, so it is far smaller than the perplexity's own. Then the relative rms of the first window's logits.
Runs in the virtual environment of peer.sh."""

import argparse
import ctypes
import math
import os
import subprocess
import sys
import tempfile

import llama_cpp as lc
import numpy as np

import ggml
from perplexity_truth import Truth

BOUND = 0.2  # per cent


@lc.llama_log_callback
def be_quiet(level, text, data):
    """Kept for as long as the library may call it."""


class Peer:
    def __init__(self, path, threads, window, kv):
        lc.llama_log_set(be_quiet, None)
        lc.llama_backend_init()
        self.model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
        self.vocab = lc.llama_model_get_vocab(self.model)
        self.words = lc.llama_vocab_n_tokens(self.vocab)
        params = lc.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.n_threads = params.n_threads_batch = threads
        params.type_k = params.type_v = ggml.NUMBERS[kv]
        if kv == "f32":  # flash attention would round it to float16
            params.flash_attn_type = lc.LLAMA_FLASH_ATTN_TYPE_DISABLED
        self.ctx = lc.llama_init_from_model(self.model, params)
        if not self.ctx:
            sys.exit(f"perplexity_peer: the peer refuses '{path}' with a cache of {kv}")
        self.batch = lc.llama_batch_init(window, 0, 1)

    def close(self):
        lc.llama_batch_free(self.batch)
        lc.llama_free(self.ctx)
        lc.llama_model_free(self.model)

    def tokens_of(self, text):
        size = len(text) + 16
        ids = (lc.llama_token * size)()
        count = lc.llama_tokenize(self.vocab, text, len(text), ids, size, True, False)
        if count < 0:
            sys.exit("perplexity_peer: the peer can not tokenize that")
        return list(ids[:count])

    def windows_of(self, tokens, size, count):
        windows = []
        for n in range(min(count, len(tokens) // size)):
            windows.append(tokens[n * size : (n + 1) * size])
            if lc.llama_vocab_get_add_bos(self.vocab):
                windows[-1][0] = lc.llama_vocab_bos(self.vocab)
        return windows

    def logits(self, window):
        """(len(window) / 2, words) behind the tokens of the second half"""
        first = len(window) // 2
        lc.llama_memory_clear(lc.llama_get_memory(self.ctx), True)
        b = self.batch
        b.n_tokens = len(window)
        for i, token in enumerate(window):
            b.token[i], b.pos[i], b.n_seq_id[i] = token, i, 1
            b.seq_id[i][0] = 0
            b.logits[i] = i >= first
        if lc.llama_decode(self.ctx, b):
            sys.exit("perplexity_peer: llama_decode failed")
        rows = [
            np.ctypeslib.as_array(lc.llama_get_logits_ith(self.ctx, i), (self.words,)).copy()
            for i in range(first, len(window))
        ]
        return np.stack(rows)


class Figure:
    """Of one program: negative log-probabilities (tokens), and the logits of the first window."""

    def __init__(self, nll, logits):
        self.nll, self.logits = np.asarray(nll), logits

    def perplexity(self):
        return math.exp(self.nll.mean())

    def off(self, other):
        """Per cent by which the perplexity is another one's, and the standard error of that."""
        difference = self.nll - other.nll
        error = difference.std(ddof=1) / math.sqrt(len(difference))
        return 100 * math.expm1(difference.mean()), 100 * error

    def rms(self, other):
        gap = self.logits.astype(np.float64) - other.logits
        return math.sqrt((gap**2).mean() / (other.logits.astype(np.float64) ** 2).mean())


def figure_of(model, windows, name):
    nll, kept = [], None
    for n, window in enumerate(windows):
        rows = model.logits(window)[:-1]
        kept = rows if kept is None else kept
        top = rows.max(axis=1, keepdims=True)
        log_sum = top[:, 0].astype(np.float64) + np.log(np.exp(rows - top, dtype=np.float64).sum(axis=1))
        nll += list(log_sum - rows[np.arange(len(rows)), window[len(window) // 2 + 1 :]])
        print(f"\r{name}, {n + 1} of {len(windows)} ", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    return Figure(nll, kept)


def ours(args, path, kv, count):
    """Our figure of so many windows, and the tokens of the text."""
    with tempfile.TemporaryDirectory() as folder:
        logits, nll = os.path.join(folder, "logits"), os.path.join(folder, "nll")
        out = subprocess.run(
            [args.program, "-t", str(args.threads), "-c", str(args.window), "-n", str(count), "-k", kv,
             "-l", logits, "-p", nll, path, args.text],
            check=True, stdout=subprocess.PIPE, text=True,
        ).stdout.split()  # fmt: skip
        facts = dict(zip(out[::2], out[1::2]))
        rows = np.fromfile(logits, np.float32).reshape(args.window // 2 - 1, -1)
        return Figure(np.fromfile(nll, np.float64), rows), int(facts["tokens"])


class Report:
    def __init__(self, has_truth):
        self.has_truth = has_truth
        self.missed = []
        head = f"  {'weights':<8} {'cache':<5} {'llmos':>9} {'llama.cpp':>9}"
        head += f" {'truth':>9}" * has_truth + f"  {'llmos - llama.cpp':>18}"
        head += f" {'llmos - truth':>18} {'llama.cpp - truth':>18}  {'rms of logits':>16}" * has_truth
        print(head, flush=True)

    def line(self, label, kv, mine, theirs, truth):
        text = f"  {label:<8} {kv:<5} {mine.perplexity():9.4f} {theirs.perplexity():9.4f}"
        pairs = [(mine, theirs)]
        if truth:
            text += f" {truth.perplexity():9.4f}"
            pairs += [(mine, truth), (theirs, truth)]
        text += " "
        for a, b in pairs:
            off, error = a.off(b)
            text += f" {f'{off:+.3f} +- {error:.3f} %':>18}"
        if truth:
            text += f"  {mine.rms(truth):.1e} {theirs.rms(truth):.1e}"
        else:
            text += f"  logits differ by {mine.rms(theirs):.1e}"
        off, error = mine.off(theirs)
        if abs(off) > BOUND:
            chance = ", which may be chance: more windows would tell" if abs(off) < BOUND + 2 * error else ""
            self.missed.append(
                f"{label}, {kv} cache: {off:+.3f} % (+- {error:.3f}), {BOUND} % is wanted{chance}"
            )
            text += " MISSED"
        print(text, flush=True)

    def end(self):
        for text in self.missed:
            print(f"missed: {text}")
        if not self.missed:
            print(f"all within {BOUND} % of llama.cpp")


def compare_model(args, report, path, text):
    truth = None
    for kv in args.kv:
        peer = Peer(path, args.threads, args.window, kv)
        tokens = peer.tokens_of(text)
        windows = peer.windows_of(tokens, args.window, args.windows)
        if not windows:
            sys.exit(f"perplexity_peer: '{args.text}' is less than one window")
        mine, count = ours(args, path, kv, len(windows))
        if count != len(tokens):
            sys.exit(f"perplexity_peer: the text has {count} tokens here and {len(tokens)} with llama.cpp")
        theirs = figure_of(peer, windows, "llama.cpp")
        peer.close()
        if args.truth and not truth:
            truth = figure_of(Truth(path), windows, "float64")
        report.line(os.path.basename(path).split(".")[-2], kv, mine, theirs, truth)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", dest="threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("-c", dest="window", type=int, default=512)
    parser.add_argument("-n", dest="windows", type=int, default=16)
    parser.add_argument("--kv", type=lambda text: text.split(","), default=["f16"])
    parser.add_argument("--truth", action="store_true")
    parser.add_argument("program")
    parser.add_argument("text")
    parser.add_argument("models", nargs="+")
    args = parser.parse_args()
    with open(args.text, "rb") as file:
        text = file.read()
    print(f"{args.windows} windows of {args.window} tokens, the second half of each counts")
    report = Report(args.truth)
    for path in args.models:
        compare_model(args, report, path, text)
    report.end()


if __name__ == "__main__":
    main()
