# SPDX-License-Identifier: MIT
"""requantize.py SOURCE TARGET: a GGUF file with its Q4_1 matrices as Q8_0, for a benchmark of that
type on a model of honest size. Everything else is copied; the text it makes is the source's."""

import struct
import sys

import numpy as np

F32, Q4_1, Q8_0 = 0, 3, 8
BLOCK_BYTES = {F32: 4 * 32, Q4_1: 20, Q8_0: 34}
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
FILE_TYPE_Q8_0 = 7
ALIGN = 32


class Reader:
    def __init__(self, data):
        self.data = data
        self.at = 0

    def take(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("Q")
        self.at += size
        return bytes(self.data[self.at - size : self.at]).decode()

    def skip_value(self, kind):
        if kind in SCALARS:
            self.take(SCALARS[kind])
        elif kind == STRING:
            self.string()
        elif kind == ARRAY:
            inner, count = self.take("IQ")
            for _ in range(count):
                self.skip_value(inner)
        else:
            sys.exit(f"requantize: value type '{kind}' is not known")


def q4_1_to_floats(raw):
    blocks = np.frombuffer(raw, np.uint8).reshape(-1, 20)
    scale = blocks[:, 0:2].copy().view(np.float16).astype(np.float32)
    least = blocks[:, 2:4].copy().view(np.float16).astype(np.float32)
    nibbles = np.concatenate([blocks[:, 4:] & 15, blocks[:, 4:] >> 4], axis=1)
    return nibbles * scale + least


def floats_to_q8_0(values):
    scale = (np.abs(values).max(axis=1, keepdims=True) / 127).astype(np.float16)
    inverse = np.divide(1, scale.astype(np.float32), where=scale > 0, out=np.zeros(scale.shape, np.float32))
    quants = np.clip(np.rint(values * inverse), -127, 127).astype(np.int8)
    return np.concatenate([scale.view(np.uint8), quants.view(np.uint8)], axis=1).tobytes()


def pad(size):
    return -size % ALIGN


def main():
    source, target = sys.argv[1:]
    r = Reader(np.fromfile(source, np.uint8).data)
    magic, version, tensor_count, key_count = r.take("4sIQQ")
    if magic != b"GGUF" or version < 2:
        sys.exit(f"requantize: '{source}' is no GGUF file")
    file_type_at = None
    for _ in range(key_count):
        name = r.string()
        kind = r.take("I")
        if name == "general.file_type":
            file_type_at = r.at
        r.skip_value(kind)
    head = bytearray(r.data[: r.at])
    if file_type_at:
        struct.pack_into("<I", head, file_type_at, FILE_TYPE_Q8_0)
    tensors = []
    for _ in range(tensor_count):
        name = r.string()
        dims = [r.take("Q") for _ in range(r.take("I"))]
        tensors.append((name, dims, *r.take("IQ")))
    base = r.at + pad(r.at)
    infos, data = b"", []
    offset = 0
    for name, dims, kind, at in tensors:
        if kind not in BLOCK_BYTES:
            sys.exit(f"requantize: '{name}' is of type '{kind}'")
        size = int(np.prod(dims)) // 32 * BLOCK_BYTES[kind]
        raw = r.data[base + at : base + at + size]
        if kind == Q4_1:
            raw, kind = floats_to_q8_0(q4_1_to_floats(raw)), Q8_0
        infos += struct.pack("<Q", len(name.encode())) + name.encode()
        infos += struct.pack(f"<I{len(dims)}QIQ", len(dims), *dims, kind, offset)
        data.append(bytes(raw) + bytes(pad(len(raw))))
        offset += len(data[-1])
    with open(target, "wb") as out:
        out.write(head + infos)
        out.write(bytes(pad(out.tell())))
        out.writelines(data)


if __name__ == "__main__":
    main()
