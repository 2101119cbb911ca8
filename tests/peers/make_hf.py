# SPDX-License-Identifier: MIT
"""Tiny random models of every architecture, as their hubs ship them (a folder of config.json and
safetensors with a tokenizer of a few hundred tokens), each with transformers' own logits in float64
for one text. Sizes are odd on purpose: windows shorter than the text, heads wider than the width
divided by them, layers of every kind."""

import json
import pathlib
import sys

import numpy as np
import torch
import transformers as tf
from tokenizers import Tokenizer, decoders, models, pre_tokenizers

VOCAB = 320
TOKENS = 44
BASE = {
    "vocab_size": VOCAB, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
    "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 128,
    "bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 0, "tie_word_embeddings": False,
}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32,
        "rope_theta": 10000.0}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 32, "rope_theta": 500000.0}
LONG = {"rope_type": "longrope", "rope_theta": 10000.0, "original_max_position_embeddings": 64,
        "short_factor": [1 + 0.05 * i for i in range(8)],
        "long_factor": [2 + 0.7 * i for i in range(8)]}
SIX = {"num_hidden_layers": 7}

MODELS = {
    "llama": (tf.LlamaConfig, {}),
    "llama3": (tf.LlamaConfig, {"rope_parameters": LLAMA3, "tie_word_embeddings": True}),
    "smollm3": (tf.SmolLM3Config, {"num_hidden_layers": 5, "tie_word_embeddings": True}),
    "mistral": (tf.MistralConfig, {"head_dim": 32, "sliding_window": None}),
    "mixtral": (tf.MixtralConfig, {"num_local_experts": 4, "num_experts_per_tok": 2,
                                   "sliding_window": None}),
    "qwen2": (tf.Qwen2Config, {"rope_parameters": {"rope_type": "default", "rope_theta": 1e6}}),
    "qwen2-yarn": (tf.Qwen2Config, {"rope_parameters": YARN}),
    "qwen3": (tf.Qwen3Config, {"head_dim": 32}),
    "qwen3moe": (tf.Qwen3MoeConfig, {"head_dim": 32, "num_experts": 8, "num_experts_per_tok": 3,
                                     "moe_intermediate_size": 32, "norm_topk_prob": True}),
    "gemma": (tf.GemmaConfig, {"head_dim": 32, "tie_word_embeddings": True}),
    "gemma2": (tf.Gemma2Config, {"head_dim": 32, "sliding_window": 16, "query_pre_attn_scalar": 32,
                                 "attn_logit_softcapping": 2.0, "final_logit_softcapping": 3.0,
                                 "tie_word_embeddings": True, "num_hidden_layers": 4}),
    "gemma3": (tf.Gemma3TextConfig, {"head_dim": 32, "sliding_window": 16, **SIX,
                                     "query_pre_attn_scalar": 32, "tie_word_embeddings": True}),
    "gemma3-linear": (tf.Gemma3TextConfig, {
        "head_dim": 32, "sliding_window": 16, **SIX, "query_pre_attn_scalar": 32,
        "tie_word_embeddings": True,
        "rope_parameters": {
            "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
            "sliding_attention": {"rope_type": "default", "rope_theta": 10000.0}}}),
    "phi3": (tf.Phi3Config, {"sliding_window": 16, "original_max_position_embeddings": 128}),
    "phi3-long": (tf.Phi3Config, {"sliding_window": None, "rope_parameters": LONG,
                                  "original_max_position_embeddings": 64}),
    "gpt2": (tf.GPT2Config, {"n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 128, "n_ctx": 128,
                             "tie_word_embeddings": True}),
}


def tokenizer(folder):
    """Byte-level BPE with hardly a merge, so that converters have something to carry over."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    words = ["<unk>", "<s>", "</s>"] + alphabet + ["th", "the"]
    words += [f"<extra_{i}>" for i in range(VOCAB - 20 - len(words))]
    tok = Tokenizer(models.BPE(vocab={w: i for i, w in enumerate(words)}, merges=[("t", "h"), ("th", "e")],
                               unk_token="<unk>"))
    tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tok.decoder = decoders.ByteLevel()
    tf.PreTrainedTokenizerFast(tokenizer_object=tok, bos_token="<s>", eos_token="</s>",
                               unk_token="<unk>").save_pretrained(folder)


def randomise(model):
    """Weights far from their initial values, so that no term is near zero; all exact in float32."""
    generator = torch.Generator().manual_seed(7)
    with torch.no_grad():
        for name, p in model.named_parameters():
            scale = 0.3 if "norm" in name or "ln_" in name or name.endswith("bias") else 0.12
            noise = torch.randn(p.shape, generator=generator) * scale
            if p.dim() == 1 and ("norm" in name or "ln_" in name) and name.endswith("weight"):
                noise += 0.0 if type(model).__name__.startswith("Gemma") else 1.0
            p.copy_(noise)


def make(name, folder):
    kind, extra = MODELS[name]
    base = {} if name == "gpt2" else dict(BASE)
    if name == "gpt2":
        extra = {"vocab_size": VOCAB, "bos_token_id": 1, "eos_token_id": 2, **extra}
    config = kind(**{**base, **extra})
    model = tf.AutoModelForCausalLM.from_config(config, attn_implementation="eager",
                                                experts_implementation="eager")
    randomise(model)
    folder.mkdir(parents=True, exist_ok=True)
    model.float().save_pretrained(folder)
    tokenizer(folder)
    ids = np.random.default_rng(3).integers(3, 259, TOKENS)
    model = model.double().eval()
    with torch.no_grad():
        logits = model(torch.tensor(ids[None]), use_cache=False).logits[0].numpy()
    logits.astype("<f8").tofile(folder / "transformers.f64")
    (folder / "tokens.txt").write_text(" ".join(map(str, ids)) + "\n")
    (folder / "versions.json").write_text(json.dumps(
        {"transformers": tf.__version__, "torch": torch.__version__}) + "\n")


def main():
    out = pathlib.Path(sys.argv[1])
    for name in sys.argv[2:] or MODELS:
        make(name, out / name)
        print(name, flush=True)


if __name__ == "__main__":
    main()
