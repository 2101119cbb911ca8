# SPDX-License-Identifier: MIT
"""golden_blocks.py: prints golden_blocks.h, two random blocks of each weight type and the values that
the gguf package, which llama.cpp's authors keep, gives for them. Needs gguf and numpy (pip install
gguf); run it again only when there is a new type. The bytes come from a fixed seed; only scales are
set to sane values, since random bits of an F16 may be a NaN, which has more than one encoding."""

import gguf
import numpy as np

BLOCKS = 2
# name: where in a block its F16 are
SCALES = {
    "F32": [], "F16": [0], "BF16": [], "Q8_0": [0], "Q4_0": [0], "Q4_1": [0, 2], "Q5_0": [0], "Q5_1": [0, 2],
    "Q2_K": [80, 82], "Q3_K": [108], "Q4_K": [0, 2], "Q5_K": [0, 2], "Q6_K": [208],
    "IQ4_NL": [0], "IQ4_XS": [0], "MXFP4": [],
}


def random_blocks(rng, name, size):
    blocks = rng.integers(0, 256, (BLOCKS, size), np.uint8)
    for at in SCALES[name]:
        blocks[:, at : at + 2] = (rng.standard_normal((BLOCKS, 1)) * 0.01).astype(np.float16).view(np.uint8)
    if name == "F32":
        blocks = rng.standard_normal((BLOCKS, 1)).astype(np.float32).view(np.uint8)
    if name == "BF16":
        blocks = rng.standard_normal((BLOCKS, 1)).astype(np.float32).view(np.uint8)[:, 2:]
    if name == "MXFP4":
        blocks[:, 0] = [121, 0]
    return np.ascontiguousarray(blocks)


def print_array(kind, name, items, per_line):
    print(f"static const {kind} {name}[] = {{")
    for i in range(0, len(items), per_line):
        print("\t" + ", ".join(items[i : i + per_line]) + ",")
    print("};\n")


def main():
    rng = np.random.default_rng(20)
    print("/* SPDX-License-Identifier: MIT */")
    print("/*\n * Blocks of every weight type and what their bytes mean, as bits of float32, by the gguf package:")
    print(" * made by golden_blocks.py, not by hand.\n */\n")
    print("#ifndef LLMOS_TESTS_GOLDEN_BLOCKS_H\n#define LLMOS_TESTS_GOLDEN_BLOCKS_H\n\n#include <stdint.h>\n")
    for name in SCALES:
        kind = gguf.GGMLQuantizationType[name]
        blocks = random_blocks(rng, name, gguf.GGML_QUANT_SIZES[kind][1])
        values = gguf.quants.dequantize(blocks, kind).astype(np.float32).reshape(-1)
        print_array("uint8_t", f"golden_{name.lower()}_bytes", [f"0x{b:02x}" for b in blocks.reshape(-1)], 16)
        print_array("uint32_t", f"golden_{name.lower()}_values", [f"0x{v:08x}" for v in values.view(np.uint32)], 8)
    print("#endif /* LLMOS_TESTS_GOLDEN_BLOCKS_H */")


if __name__ == "__main__":
    main()
