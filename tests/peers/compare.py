# SPDX-License-Identifier: MIT
"""Compares, for folders of make_hf.py that convert.py has converted: our float64 forward with
transformers' (both in float64, though transformers rounds norms, angles and softmax to float32), and
the engine's logits with ours. With llama-cpp-python: its logits (float32 cache) with ours too; an
error of the engine that is no greater than its passes as well.
compare.py LLMOS_EXACT FOLDER..."""

import pathlib
import subprocess
import sys

import numpy as np

EXACT_TOLERANCE = 3e-6
ENGINE_TOLERANCE = {"f32": 1e-5, "f16": 9e-4, "q8_0": 2.5e-2}


def rms(x, truth):
    return np.sqrt(((x - truth) ** 2).sum() / (truth ** 2).sum())


def peer_logits(path, ids, vocab):
    try:
        import llama_cpp
        llm = llama_cpp.Llama(str(path), n_ctx=64, n_batch=64, logits_all=True, verbose=False,
                              type_k=llama_cpp.GGML_TYPE_F32, type_v=llama_cpp.GGML_TYPE_F32,
                              flash_attn=False, swa_full=True, use_mmap=False)
    except (ImportError, ValueError):
        return None
    llm.eval(ids)
    return np.array(llm.scores[:len(ids), :vocab], dtype=np.float64)


def compare(program, folder, kind):
    ids = [int(i) for i in (folder / "tokens.txt").read_text().split()]
    out = folder / "exact.f64", folder / "engine.f32"
    subprocess.run([program, "-c", "64", "-o", out[0], "-e", out[1], folder / f"{kind}.gguf",
                    *map(str, ids)], check=True, stdout=subprocess.DEVNULL)
    exact = np.fromfile(out[0], "<f8").reshape(len(ids), -1)
    engine = np.fromfile(out[1], "<f4").reshape(len(ids), -1)
    truth = np.fromfile(folder / "transformers.f64", "<f8").reshape(len(ids), -1)
    peer = peer_logits(folder / f"{kind}.gguf", ids, exact.shape[1])
    ok = rms(engine, exact) <= ENGINE_TOLERANCE[kind]
    if not ok and peer is not None:
        ok = rms(engine, exact) <= 1.05 * rms(peer, exact)
    if kind == "f32":
        ok &= rms(exact, truth) <= EXACT_TOLERANCE
    print(f"{'ok' if ok else 'NOT OK':7}{folder.name:15}{kind:6}"
          f"exact-transformers {rms(exact, truth):.1e}  engine-exact {rms(engine, exact):.1e}  "
          f"llama.cpp-exact {'-' if peer is None else format(rms(peer, exact), '.1e')}", flush=True)
    return ok


def main():
    good = [compare(sys.argv[1], pathlib.Path(folder), kind)
            for folder in sys.argv[2:] for kind in ("f32", "f16", "q8_0")]
    sys.exit(not all(good))


if __name__ == "__main__":
    main()
