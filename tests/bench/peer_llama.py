# SPDX-License-Identifier: MIT
"""llama.cpp behind the same line protocol as `llmos_bench -c`: commands on standard input, seconds
out. Runs in the virtual environment that bench_peer.py makes."""

import sys
import time

import llama_cpp as lc

BATCH = 512
CONTEXT = 8192
SEQS = 16
SEQ_CONTEXT = 512  # of each of many


@lc.llama_log_callback
def be_quiet(level, text, data):
    """Kept for as long as the library may call it."""


def token_at(i, vocab):
    return (i * 2654435761 + 12345) % vocab


class Context:
    """Sequences side by side, and a batch to feed them with."""

    def __init__(self, model, threads, tokens, seqs):
        params = lc.llama_context_default_params()
        params.n_ctx = tokens
        params.n_batch = BATCH
        params.n_ubatch = BATCH
        params.n_seq_max = seqs
        params.n_threads = threads
        params.n_threads_batch = threads
        self.ctx = lc.llama_init_from_model(model, params)
        self.memory = lc.llama_get_memory(self.ctx)
        self.vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(model))
        self.batch = lc.llama_batch_init(BATCH, 0, 1)

    def step(self, tokens):
        """Tokens as (number, position, sequence, are logits wanted)."""
        b = self.batch
        b.n_tokens = len(tokens)
        for i, (number, position, seq, wanted) in enumerate(tokens):
            b.token[i] = token_at(number, self.vocab)
            b.pos[i] = position
            b.n_seq_id[i] = 1
            b.seq_id[i][0] = seq
            b.logits[i] = wanted
        if lc.llama_decode(self.ctx, b):
            sys.exit("peer_llama: llama_decode failed")

    def feed(self, start, count):
        end = start + count
        while start < end:
            n = min(end - start, BATCH)
            self.step([(i, i, 0, i == end - 1) for i in range(start, start + n)])
            start += n
        lc.llama_synchronize(self.ctx)


class Peer:
    def __init__(self, path, threads):
        lc.llama_backend_init()
        lc.llama_log_set(be_quiet, None)
        self.threads = threads
        self.model = lc.llama_model_load_from_file(path.encode(), lc.llama_model_default_params())
        self.one = Context(self.model, threads, min(CONTEXT, lc.llama_model_n_ctx_train(self.model)), 1)
        self.many = None
        self.depth = 0  # tokens there are of the last "tg"

    def prefill(self, count):
        self.depth = 0
        lc.llama_memory_clear(self.one.memory, True)
        start = time.perf_counter()
        self.one.feed(0, count)
        return time.perf_counter() - start

    def decode(self, count, depth):
        if self.depth > depth:
            lc.llama_memory_seq_rm(self.one.memory, 0, depth, -1)
        elif self.depth < depth or not depth:
            lc.llama_memory_clear(self.one.memory, True)
            self.one.feed(0, depth)
        self.depth = depth + count
        start = time.perf_counter()
        for i in range(count):
            self.one.feed(depth + i, 1)
        return time.perf_counter() - start

    def decode_many(self, seqs, count):
        if not self.many:
            self.many = Context(self.model, self.threads, SEQS * SEQ_CONTEXT, SEQS)
        lc.llama_memory_clear(self.many.memory, True)
        start = time.perf_counter()
        for i in range(count):
            self.many.step([(i * seqs + j, i, j, True) for j in range(seqs)])
        lc.llama_synchronize(self.many.ctx)
        return time.perf_counter() - start


def main():
    begin = time.perf_counter()
    peer = Peer(sys.argv[1], int(sys.argv[2]))
    info = lc.llama_print_system_info().decode()
    print("ready", lc.__version__, info.replace("\n", " "), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        numbers = [int(n) for n in numbers]
        if command == "first":  # from the program's beginning, which for this one is behind Python's
            peer.prefill(*numbers)
            seconds = time.perf_counter() - begin
        else:
            seconds = {"pp": peer.prefill, "tg": peer.decode, "batch": peer.decode_many}[command](*numbers)
        print(f"{seconds:.9f}", flush=True)


if __name__ == "__main__":
    main()
