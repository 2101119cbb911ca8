# SPDX-License-Identifier: MIT
"""random_model.py SHAPE TYPE TARGET: a GGUF file as large as a published model, with random weights.

How long a step takes depends on shapes and types, not on what the weights are; so a benchmark needs
no download. The same arguments make the same bytes. Types are mixed as llama.cpp's quantiser mixes
them: Q4_K_M has Q6_K where more bits help most, rows that no superblock divides fall back to
blocks of 32, and a tied embedding has at least 6 bits. There is no vocabulary, only ids."""

import struct
import sys
import zlib

import numpy as np

ALIGN = 32
PIECE = 1 << 25
CONTEXT = 8192

# layers, width, heads, key-value heads, width of the feed-forward network, vocabulary
SHAPES = {
    "135m": (30, 576, 9, 3, 1536, 49152),  # SmolLM-135M
    "0.5b": (24, 896, 14, 2, 4864, 151936),  # Qwen2-0.5B, without its biases
    "1b": (16, 2048, 32, 8, 8192, 128256),  # Llama-3.2-1B
}

# number in the format, elements and bytes of a block
KINDS = {
    "F32": (0, 1, 4),
    "F16": (1, 1, 2),
    "Q4_0": (2, 32, 18),
    "Q5_0": (6, 32, 22),
    "Q8_0": (8, 32, 34),
    "Q4_K": (12, 256, 144),
    "Q6_K": (14, 256, 210),
    "BF16": (30, 1, 2),
}
FILE_TYPES = {"f16": 1, "q4_0": 2, "q8_0": 7, "q4_k_m": 15, "bf16": 32}
FALL_BACK = {"Q4_K": "Q5_0", "Q6_K": "Q8_0"}

# where a block has an F16 scale, and one that makes weights of about 0.02
SCALES = {
    "Q4_0": {0: 4.3e-3},
    "Q5_0": {0: 2.2e-3},
    "Q8_0": {0: 2.7e-4},
    "Q4_K": {0: 1.3e-4, 2: 1.0e-3},
    "Q6_K": {208: 1.5e-5},
}


def kind_for(file_type, name, layer, layers, cols):
    """The type of one matrix."""
    plain = {"f16": "F16", "bf16": "BF16", "q8_0": "Q8_0", "q4_0": "Q4_0", "q4_k_m": "Q4_K"}[file_type]
    if name == "token_embd" and file_type in ("q4_0", "q4_k_m"):
        plain = "Q6_K"
    elif file_type == "q4_k_m" and name in ("attn_v", "ffn_down"):
        eighth = layers // 8
        if layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2:
            plain = "Q6_K"
    return FALL_BACK[plain] if plain in FALL_BACK and cols % 256 else plain


def tensors(shape, file_type):
    """Name, columns, rows and type of each; norms have no rows."""
    layers, width, heads, kv_heads, ff, vocab = SHAPES[shape]
    kv = width // heads * kv_heads
    matrices = {
        "attn_q": (width, width), "attn_k": (width, kv), "attn_v": (width, kv),
        "attn_output": (width, width), "ffn_gate": (width, ff), "ffn_up": (width, ff),
        "ffn_down": (ff, width),
    }  # fmt: skip
    yield "token_embd.weight", width, vocab, kind_for(file_type, "token_embd", 0, layers, width)
    for i in range(layers):
        yield f"blk.{i}.attn_norm.weight", width, 0, "F32"
        yield f"blk.{i}.ffn_norm.weight", width, 0, "F32"
        for name, (cols, rows) in matrices.items():
            yield f"blk.{i}.{name}.weight", cols, rows, kind_for(file_type, name, i, layers, cols)
    yield "output_norm.weight", width, 0, "F32"


def string(text):
    return struct.pack("<Q", len(text)) + text.encode()


def header(shape, file_type):
    layers, width, heads, kv_heads, ff, vocab = SHAPES[shape]
    u32, f32 = 4, 6
    numbers = [
        ("general.file_type", u32, FILE_TYPES[file_type]),
        ("general.alignment", u32, ALIGN),
        ("llama.block_count", u32, layers),
        ("llama.context_length", u32, CONTEXT),
        ("llama.embedding_length", u32, width),
        ("llama.feed_forward_length", u32, ff),
        ("llama.attention.head_count", u32, heads),
        ("llama.attention.head_count_kv", u32, kv_heads),
        ("llama.attention.layer_norm_rms_epsilon", f32, 1e-5),
        ("llama.rope.dimension_count", u32, width // heads),
        ("llama.rope.freq_base", f32, 10000.0),
        ("llama.vocab_size", u32, vocab),
    ]
    texts = [
        ("general.architecture", "llama"),
        ("general.name", f"{shape} {file_type}, random"),
        ("tokenizer.ggml.model", "no_vocab"),
    ]
    infos, offset = b"", 0
    count = 0
    for name, cols, rows, kind in tensors(shape, file_type):
        dims = (cols, rows) if rows else (cols,)
        infos += string(name) + struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, KINDS[kind][0], offset)
        offset += (size_of(cols, rows, kind) + ALIGN - 1) // ALIGN * ALIGN
        count += 1
    keys = b"".join(string(k) + struct.pack("<I", 8) + string(v) for k, v in texts)
    for name, form, value in numbers:
        keys += string(name) + struct.pack("<II" if form == u32 else "<If", form, value)
    return struct.pack("<4sIQQ", b"GGUF", 3, count, len(texts) + len(numbers)) + keys + infos


def size_of(cols, rows, kind):
    _, elems, size = KINDS[kind]
    return cols // elems * max(rows, 1) * size


def piece(rng, kind, size):
    """@size bytes of whole blocks."""
    if kind == "F32":
        return np.ones(size // 4, np.float32)
    data = np.frombuffer(bytearray(rng.bytes(size)), np.uint8)
    if kind in ("F16", "BF16"):
        # a random sign and mantissa, one exponent: from 1/64 to 1/32
        keep, exponent = (0x83FF, 9 << 10) if kind == "F16" else (0x807F, 121 << 7)
        words = data.view(np.uint16)
        words &= keep
        words |= exponent
        return words
    blocks = data.reshape(-1, KINDS[kind][2])
    for at, scale in SCALES[kind].items():
        blocks[:, at : at + 2] = np.frombuffer(np.float16(scale).tobytes(), np.uint8)
    return blocks


def write_tensor(out, name, kind, size):
    rng = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode())))
    block = KINDS[kind][2]
    most = PIECE // block * block
    for at in range(0, size, most):
        out.write(piece(rng, kind, min(most, size - at)).tobytes())
    out.write(bytes(-out.tell() % ALIGN))


def main():
    if len(sys.argv) != 4 or sys.argv[1] not in SHAPES or sys.argv[2] not in FILE_TYPES:
        sys.exit(f"usage: random_model.py {'|'.join(SHAPES)} {'|'.join(FILE_TYPES)} TARGET")
    shape, file_type, target = sys.argv[1:]
    with open(target, "wb") as out:
        out.write(header(shape, file_type))
        out.write(bytes(-out.tell() % ALIGN))
        for name, cols, rows, kind in tensors(shape, file_type):
            write_tensor(out, name, kind, size_of(cols, rows, kind))


if __name__ == "__main__":
    main()
