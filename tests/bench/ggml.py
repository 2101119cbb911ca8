# SPDX-License-Identifier: MIT
"""llama.cpp's own types of weights, by its library: what rounds and what a rounded block means.
Runs in the virtual environment of peer.sh."""

import concurrent.futures
import ctypes
import os

import llama_cpp
import numpy as np

NUMBERS = {
    "f32": 0, "f16": 1, "q4_0": 2, "q4_1": 3, "q5_0": 6, "q5_1": 7, "q8_0": 8, "q2_k": 10, "q3_k": 11,
    "q4_k": 12, "q5_k": 13, "q6_k": 14, "iq4_nl": 20, "iq4_xs": 23, "bf16": 30, "mxfp4": 39,
}  # fmt: skip
NAMES = {number: name for name, number in NUMBERS.items()}
PIECE_ROWS = 2048


class Traits(ctypes.Structure):
    """The beginning of ggml's description of a type."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("block", ctypes.c_int64),
        ("interleaved", ctypes.c_int64),
        ("block_bytes", ctypes.c_size_t),
        ("is_quantized", ctypes.c_bool),
        ("to_float", ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)),
    ]


def open_library():
    folder = os.path.join(os.path.dirname(llama_cpp.__file__), "lib")
    library = ctypes.CDLL(os.path.join(folder, "libggml-base.so"))
    library.ggml_get_type_traits.restype = ctypes.POINTER(Traits)
    library.ggml_quantize_chunk.restype = ctypes.c_size_t
    library.ggml_quantize_chunk.argtypes = [
        ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64, ctypes.c_int64,
        ctypes.c_void_p,
    ]  # fmt: skip
    return library


LIBRARY = open_library()


def traits(number):
    if number not in NAMES:
        raise SystemExit(f"ggml: weights of type {number} are not known")
    t = LIBRARY.ggml_get_type_traits(number).contents
    if t.name.decode().lower() != NAMES[number]:
        raise SystemExit(f"ggml: type {number} is called '{t.name.decode()}', not '{NAMES[number]}'")
    return t


def row_bytes(number, cols):
    t = traits(number)
    if cols % t.block:
        raise SystemExit(f"ggml: rows of {cols} are no whole blocks of '{NAMES[number]}'")
    return cols // t.block * t.block_bytes


def in_pieces(work, rows):
    """@work is done on ranges of rows, by all processors: the library lets Python go on meanwhile."""
    with concurrent.futures.ThreadPoolExecutor(len(os.sched_getaffinity(0))) as pool:
        list(pool.map(lambda at: work(at, min(PIECE_ROWS, rows - at)), range(0, rows, PIECE_ROWS)))


def dequantize(number, raw, rows, cols):
    """(rows, cols) float32 of the bytes of a matrix."""
    raw = np.ascontiguousarray(raw, np.uint8)
    out = np.empty((rows, cols), np.float32)
    size = row_bytes(number, cols)
    if raw.size != rows * size:
        raise SystemExit(f"ggml: a matrix of {rows} x {cols} has {raw.size} bytes")
    if number == NUMBERS["f32"]:
        return raw.view(np.float32).reshape(rows, cols)
    to_float = traits(number).to_float
    in_pieces(
        lambda at, count: to_float(raw.ctypes.data + at * size, out.ctypes.data + at * cols * 4, count * cols),
        rows,
    )
    return out


def quantize(number, values):
    """The bytes of a matrix (rows, cols)."""
    values = np.ascontiguousarray(values, np.float32)
    rows, cols = values.shape
    size = row_bytes(number, cols)
    out = np.zeros(rows * size, np.uint8)
    LIBRARY.ggml_quantize_init(number)

    def work(at, count):
        LIBRARY.ggml_quantize_chunk(
            number, values.ctypes.data, out.ctypes.data, at * cols, count, cols, None
        )

    in_pieces(work, rows)
    return out
