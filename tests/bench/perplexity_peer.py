# SPDX-License-Identifier: MIT
"""perplexity_peer.py [-t THREADS] [-c WINDOW] [-n WINDOWS] PERPLEXITY MODEL TEXT

The perplexity of a text by our engine and by llama.cpp (with float32 and with its usual cache), on the
same windows: the ratio, whether both see the same tokens, and the relative rms of the first window's
logits. Runs in the virtual environment of peer.sh."""

import argparse
import ctypes
import math
import os
import subprocess
import sys
import tempfile

import llama_cpp as lc
import numpy as np


@lc.llama_log_callback
def be_quiet(level, text, data):
    """Kept for as long as the library may call it."""


def tokens_of(vocab, text):
    size = len(text) + 16
    ids = (lc.llama_token * size)()
    count = lc.llama_tokenize(vocab, text, len(text), ids, size, True, False)
    if count < 0:
        sys.exit("perplexity_peer: the peer can not tokenize that")
    return list(ids[:count])


class Peer:
    def __init__(self, path, threads, window, is_f32):
        lc.llama_log_set(be_quiet, None)
        lc.llama_backend_init()
        self.model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
        self.vocab = lc.llama_model_get_vocab(self.model)
        self.words = lc.llama_vocab_n_tokens(self.vocab)
        params = lc.llama_context_default_params()
        params.n_ctx = params.n_batch = params.n_ubatch = window
        params.n_threads = params.n_threads_batch = threads
        if is_f32:
            params.type_k = params.type_v = 0
        self.ctx = lc.llama_init_from_model(self.model, params)
        self.batch = lc.llama_batch_init(window, 0, 1)

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
        rows = [np.ctypeslib.as_array(lc.llama_get_logits_ith(self.ctx, i), (self.words,)).copy()
                for i in range(first, len(window))]
        return np.stack(rows)


def perplexity(peer, tokens, size, windows):
    bos = lc.llama_vocab_bos(peer.vocab)
    adds_bos = lc.llama_vocab_get_add_bos(peer.vocab)
    total, count, kept = 0.0, 0, None
    for n in range(windows):
        window = list(tokens[n * size:(n + 1) * size])
        if adds_bos:
            window[0] = bos
        rows = peer.logits(window)[:-1].astype(np.float64)
        if kept is None:
            kept = rows
        top = rows.max(axis=1, keepdims=True)
        log_sum = top[:, 0] + np.log(np.exp(rows - top).sum(axis=1))
        wanted = rows[np.arange(len(rows)), window[size // 2 + 1:]]
        total += float((log_sum - wanted).sum())
        count += len(rows)
        print(f"\r{n + 1} of {windows}: {math.exp(total / count):.4f} ", end="", file=sys.stderr)
    print("\r", end="", file=sys.stderr)
    return math.exp(total / count), kept


def ours(args, kv, folder):
    path = os.path.join(folder, "logits")
    out = subprocess.run([args.program, "-t", str(args.threads), "-c", str(args.window), "-n",
                          str(args.windows), "-k", kv, "-l", path, args.model, args.text],
                         check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    facts = dict(zip(out[::2], out[1::2]))
    return facts, np.fromfile(path, np.float32).reshape(args.window // 2 - 1, -1)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("-t", dest="threads", type=int, default=2)
    parser.add_argument("-c", dest="window", type=int, default=512)
    parser.add_argument("-n", dest="windows", type=int, default=40)
    parser.add_argument("program")
    parser.add_argument("model")
    parser.add_argument("text")
    args = parser.parse_args()
    with open(args.text, "rb") as file:
        text = file.read()
    for kv, is_f32 in (("f32", True), ("f16", False)):
        peer = Peer(args.model, args.threads, args.window, is_f32)
        tokens = tokens_of(peer.vocab, text)
        args.windows = min(args.windows, len(tokens) // args.window)
        with tempfile.TemporaryDirectory() as folder:
            facts, rows = ours(args, kv, folder)
        theirs, want = perplexity(peer, tokens, args.window, args.windows)
        mine = float(facts["perplexity"])
        rms = math.sqrt(((rows - want) ** 2).mean() / (want ** 2).mean())
        print(f"{os.path.basename(args.model)}, {kv} cache, {args.windows} windows of "
              f"{args.window}: {mine:.4f} (+- {float(facts['error']):.4f}), llama.cpp "
              f"{theirs:.4f}: {100 * (mine / theirs - 1):+.3f} %; logits differ by {rms:.1e}; "
              f"tokens {'are the same' if int(facts['tokens']) == len(tokens) else 'DIFFER'}")


if __name__ == "__main__":
    main()
