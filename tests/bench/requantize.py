# SPDX-License-Identifier: MIT
"""requantize.py SOURCE TARGET TYPE: a Llama's GGUF file with all its matrices as TYPE, rounded by llama.cpp's
own functions; norms and tokens are copied. Where TYPE has two or three bits, the embedding has six, as
llama.cpp's quantiser has it; two bits for the rest still leave little of a small model, and of such a row
only the rms of the logits means something. The rounding of the source stays in it: what is compared
on such files is how two programs compute, and not what a type loses.

Types with blocks of 256 do not divide the rows of small models. For these the model is widened to the
next multiple of 256 with zeros: more columns of the embedding, more heads that see nothing and say
nothing. The norms divide by the larger width, which their weights and their epsilon make up for: it is
the same function. Runs in the virtual environment of peer.sh."""

import math
import sys

import numpy as np

import ggml
import gguf_file

WIDE_BLOCK = 256
FILE_TYPES = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q8_0": 7, "q5_0": 8, "q5_1": 9, "q2_k": 10, "q3_k": 12,
    "q4_k": 15, "q5_k": 17, "q6_k": 18, "iq4_nl": 25, "iq4_xs": 30, "bf16": 32, "mxfp4": 38,
}  # fmt: skip
EMBEDDINGS = {"q2_k": "q6_k", "q3_k": "q6_k"}


class Wider:
    """What becomes of each tensor's rows and columns; nothing, where the width divides already."""

    def __init__(self, file, block):
        self.width = file.get("llama.embedding_length")
        heads = file.get("llama.attention.head_count")
        kv_heads = file.get("llama.attention.head_count_kv", heads)
        dim, group = self.width // heads, heads // kv_heads
        self.to = (self.width + block - 1) // block * block
        self.by = 1.0
        if self.to == self.width:
            return
        if self.to % (dim * group):
            sys.exit(f"requantize: no whole heads make a width of {self.to}")
        self.by = math.sqrt(self.width / self.to)
        self.kv = kv_heads * dim
        self.kv_to = self.to // group
        file.set("llama.embedding_length", self.to)
        file.set("llama.attention.head_count", self.to // dim)
        file.set("llama.attention.head_count_kv", self.to // dim // group)
        epsilon = "llama.attention.layer_norm_rms_epsilon"
        file.set(epsilon, file.get(epsilon) * self.by**2)

    def shape(self, name, rows, cols):
        if self.to == self.width:
            return rows, cols
        if rows == self.kv and (".attn_k." in name or ".attn_v." in name):
            rows = self.kv_to
        elif rows == self.width and not name.startswith(("token_embd", "output.")):
            rows = self.to
        return rows, self.to if cols == self.width else cols

    def widen(self, values, shape):
        out = np.zeros(shape, np.float32)
        out[: values.shape[0], : values.shape[1]] = values
        return out


def make(source, target, type_name):
    number = ggml.NUMBERS[type_name]
    file = gguf_file.File(source, ggml.row_bytes)
    if file.get("general.architecture") != b"llama":
        sys.exit(f"requantize: '{source}' is no Llama")
    wider = Wider(file, WIDE_BLOCK if ggml.traits(number).block == WIDE_BLOCK else 1)
    if "general.file_type" in file.keys:
        file.set("general.file_type", FILE_TYPES[type_name])

    def values_of(tensor):
        return ggml.dequantize(tensor.kind, tensor.data, tensor.rows, tensor.cols)

    tensors = []
    for name, tensor in file.tensors.items():
        rows, cols = wider.shape(name, tensor.rows, tensor.cols)
        if len(tensor.dims) == 1:

            def norm(tensor=tensor, cols=cols):
                return wider.widen(values_of(tensor) * np.float32(wider.by), (1, cols)).view(np.uint8).ravel()

            entry = gguf_file.Tensor([cols], ggml.NUMBERS["f32"], norm)
        else:

            is_embedding = name in ("token_embd.weight", "output.weight")
            kind = ggml.NUMBERS[EMBEDDINGS.get(type_name, type_name) if is_embedding else type_name]

            def matrix(tensor=tensor, shape=(rows, cols), kind=kind):
                return ggml.quantize(kind, wider.widen(values_of(tensor), shape))

            entry = gguf_file.Tensor([cols, rows], kind, matrix)
        tensors.append((name, entry, entry.rows * ggml.row_bytes(entry.kind, cols)))
    gguf_file.write(target, file.keys, tensors)


def main():
    if len(sys.argv) != 4 or sys.argv[3] not in ggml.NUMBERS:
        sys.exit(f"usage: requantize.py SOURCE TARGET {'|'.join(ggml.NUMBERS)}")
    make(*sys.argv[1:])


if __name__ == "__main__":
    main()
