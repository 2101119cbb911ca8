# SPDX-License-Identifier: MIT
"""The perplexity that a Llama's weights have: a forward pass in float64 with numpy over what llama.cpp's
own library says that the file's blocks mean. It shares nothing with either program that is compared."""

import numpy as np

import ggml
import gguf_file


class Truth:
    """The model, with all its matrices in float64 (some gigabytes for small ones)."""

    def __init__(self, path):
        file = gguf_file.File(path, ggml.row_bytes)
        if file.get("general.architecture") != b"llama":
            raise SystemExit(f"perplexity_truth: '{path}' is no Llama")
        self.layers = file.get("llama.block_count")
        self.heads = file.get("llama.attention.head_count")
        self.kv_heads = file.get("llama.attention.head_count_kv", self.heads)
        self.dim = file.get("llama.embedding_length") // self.heads
        self.epsilon = file.get("llama.attention.layer_norm_rms_epsilon")
        self.base = file.get("llama.rope.freq_base", 10000.0)
        self.weights = {
            name: ggml.dequantize(t.kind, t.data, t.rows, t.cols).astype(np.float64)
            for name, t in file.tensors.items()
        }
        if "rope_freqs.weight" in self.weights:
            raise SystemExit("perplexity_truth: frequencies with divisors are not known")

    def weight(self, name, layer=None):
        return self.weights[(f"{name}" if layer is None else f"blk.{layer}.{name}") + ".weight"]

    def norm(self, x, weight):
        return x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + self.epsilon) * weight

    def turn(self, x):
        """Neighbours of each head, (T, H, E), by the position's angle."""
        pairs = np.arange(self.dim // 2)
        angles = np.arange(len(x))[:, None] * self.base ** (-2.0 * pairs / self.dim)
        sin, cos = np.sin(angles)[:, None], np.cos(angles)[:, None]
        a, b = x[..., 0::2], x[..., 1::2]
        return np.stack([a * cos - b * sin, a * sin + b * cos], axis=-1).reshape(x.shape)

    def attention(self, x, layer):
        count, group = len(x), self.heads // self.kv_heads
        q = self.turn((x @ self.weight("attn_q", layer).T).reshape(count, self.heads, self.dim))
        k = self.turn((x @ self.weight("attn_k", layer).T).reshape(count, self.kv_heads, self.dim))
        v = (x @ self.weight("attn_v", layer).T).reshape(count, self.kv_heads, self.dim)
        k, v = (np.repeat(y, group, axis=1) for y in (k, v))
        scores = np.einsum("the,she->hts", q, k, optimize=True) / np.sqrt(self.dim)
        scores[:, np.triu(np.ones((count, count), bool), 1)] = -np.inf
        scores = np.exp(scores - scores.max(axis=-1, keepdims=True))
        scores /= scores.sum(axis=-1, keepdims=True)
        mixed = np.einsum("hts,she->the", scores, v, optimize=True).reshape(count, -1)
        return mixed @ self.weight("attn_output", layer).T

    def feed_forward(self, x, layer):
        gate = x @ self.weight("ffn_gate", layer).T
        gate *= 1 / (1 + np.exp(-gate)) * (x @ self.weight("ffn_up", layer).T)
        return gate @ self.weight("ffn_down", layer).T

    def logits(self, window):
        """(len(window) / 2, words) behind the tokens of the second half"""
        embedding = self.weight("token_embd")
        x = embedding[window]
        for layer in range(self.layers):
            x = x + self.attention(self.norm(x, self.weight("attn_norm", layer)), layer)
            x = x + self.feed_forward(self.norm(x, self.weight("ffn_norm", layer)), layer)
        x = self.norm(x[len(window) // 2 :], self.weight("output_norm"))
        return x @ self.weights.get("output.weight", embedding).T
