# SPDX-License-Identifier: MIT
"""llama.cpp behind the same line protocol as `llmos_bench -c`: commands on standard input, seconds
out. Runs in the virtual environment that bench_peer.py makes."""

import sys
import time

import llama_cpp as lc

BATCH = 512


@lc.llama_log_callback
def be_quiet(level, text, data):
    """Kept for as long as the library may call it."""


def token_at(i, vocab):
    return (i * 2654435761 + 12345) % vocab


class Peer:
    def __init__(self, path, threads):
        lc.llama_backend_init()
        lc.llama_log_set(be_quiet, None)
        mparams = lc.llama_model_default_params()
        self.model = lc.llama_model_load_from_file(path.encode(), mparams)
        self.vocab = lc.llama_vocab_n_tokens(lc.llama_model_get_vocab(self.model))
        cparams = lc.llama_context_default_params()
        cparams.n_ctx = min(8192, lc.llama_model_n_ctx_train(self.model))
        cparams.n_batch = BATCH
        cparams.n_ubatch = BATCH
        cparams.n_threads = threads
        cparams.n_threads_batch = threads
        self.ctx = lc.llama_init_from_model(self.model, cparams)
        self.batch = lc.llama_batch_init(BATCH, 0, 1)

    def clear(self):
        lc.llama_memory_clear(lc.llama_get_memory(self.ctx), True)

    def feed(self, start, count):
        while count:
            n = min(count, BATCH)
            b = self.batch
            b.n_tokens = n
            for i in range(n):
                b.token[i] = token_at(start + i, self.vocab)
                b.pos[i] = start + i
                b.n_seq_id[i] = 1
                b.seq_id[i][0] = 0
                b.logits[i] = 0
            b.logits[n - 1] = n == count
            if lc.llama_decode(self.ctx, b):
                sys.exit("peer_llama: llama_decode failed")
            start += n
            count -= n
        lc.llama_synchronize(self.ctx)

    def prefill(self, count):
        self.clear()
        start = time.perf_counter()
        self.feed(0, count)
        return time.perf_counter() - start

    def decode(self, count, depth):
        self.clear()
        if depth:
            self.feed(0, depth)
        start = time.perf_counter()
        for i in range(count):
            self.feed(depth + i, 1)
        return time.perf_counter() - start


def main():
    peer = Peer(sys.argv[1], int(sys.argv[2]))
    info = lc.llama_print_system_info().decode()
    print("ready", lc.__version__, info.replace("\n", " "), flush=True)
    for line in sys.stdin:
        command, *numbers = line.split()
        numbers = [int(n) for n in numbers]
        seconds = {"pp": peer.prefill, "tg": peer.decode}[command](*numbers)
        print(f"{seconds:.9f}", flush=True)


if __name__ == "__main__":
    main()
