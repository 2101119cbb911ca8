# SPDX-License-Identifier: MIT
"""GGUF files that benchmarks read and write: keys with their values, tensors as bytes."""

import struct
import sys

import numpy as np

SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9
ALIGN = 32


class Tensor:
    """Dimensions as the file has them, the shortest stride first; the type's number; bytes."""

    def __init__(self, dims, kind, data=None):
        self.dims, self.kind, self.data = dims, kind, data

    @property
    def cols(self):
        return self.dims[0]

    @property
    def rows(self):
        return int(np.prod(self.dims[1:], dtype=np.int64))


class File:
    """@keys: name to (type, value), a list as (type of its elements, bytes); @tensors: by name."""

    def __init__(self, path, row_bytes):
        self.data = np.memmap(path, np.uint8, "r")
        self.at = 0
        magic, version, tensor_count, key_count = self.take("4sIQQ")
        if magic != b"GGUF" or version < 2:
            sys.exit(f"gguf_file: '{path}' is no GGUF file")
        self.keys = {}
        for _ in range(key_count):
            name = self.string().decode()
            kind = self.take("I")
            self.keys[name] = kind, self.value(kind)
        self.tensors, offsets = {}, []
        for _ in range(tensor_count):
            name = self.string().decode()
            dims = [self.take("Q") for _ in range(self.take("I"))]
            kind, offset = self.take("IQ")
            self.tensors[name] = Tensor(dims, kind)
            offsets.append(offset)
        align = self.get("general.alignment", ALIGN)
        base = self.at + -self.at % align
        for tensor, offset in zip(self.tensors.values(), offsets):
            size = tensor.rows * row_bytes(tensor.kind, tensor.cols)
            tensor.data = self.data[base + offset : base + offset + size]
            if len(tensor.data) != size:
                sys.exit(f"gguf_file: '{path}' ends early")

    def take(self, form):
        size = struct.calcsize("<" + form)
        values = struct.unpack("<" + form, self.data[self.at : self.at + size].tobytes())
        self.at += size
        return values[0] if len(values) == 1 else values

    def string(self):
        size = self.take("Q")
        self.at += size
        return self.data[self.at - size : self.at].tobytes()

    def value(self, kind):
        if kind in SCALARS:
            return self.take(SCALARS[kind])
        if kind == STRING:
            return self.string()
        if kind != ARRAY:
            sys.exit(f"gguf_file: value type '{kind}' is not known")
        inner, count = self.take("IQ")
        start = self.at
        for _ in range(count):
            self.value(inner)
        return inner, count, self.data[start : self.at].tobytes()

    def get(self, name, fallback=None):
        return self.keys[name][1] if name in self.keys else fallback

    def set(self, name, value):
        """Of a key that is there, with the type that it has."""
        self.keys[name] = self.keys[name][0], value


def packed_string(text):
    return struct.pack("<Q", len(text)) + text


def packed_value(kind, value):
    if kind == STRING:
        return packed_string(value)
    if kind == ARRAY:
        inner, count, data = value
        return struct.pack("<IQ", inner, count) + data
    return struct.pack("<" + SCALARS[kind], value)


def write(path, keys, tensors):
    """@tensors: (name, Tensor), each asked for its bytes when it is its turn."""
    infos, offset = b"", 0
    keys = {**keys, "general.alignment": (4, ALIGN)}
    for name, tensor, size in tensors:
        infos += packed_string(name.encode())
        infos += struct.pack(f"<I{len(tensor.dims)}QIQ", len(tensor.dims), *tensor.dims, tensor.kind, offset)
        offset += size + -size % ALIGN
    with open(path, "wb") as out:
        out.write(struct.pack("<4sIQQ", b"GGUF", 3, len(tensors), len(keys)))
        for name, (kind, value) in keys.items():
            out.write(packed_string(name.encode()) + struct.pack("<I", kind) + packed_value(kind, value))
        out.write(infos)
        out.write(bytes(-out.tell() % ALIGN))
        for name, tensor, size in tensors:
            data = tensor.data() if callable(tensor.data) else tensor.data
            if len(data) != size:
                sys.exit(f"gguf_file: '{name}' has {len(data)} bytes, not {size}")
            out.write(data.tobytes())
            out.write(bytes(-size % ALIGN))
