#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares models in hubs' folders with the programs that write such folders.

Logits: tiny random models of each architecture, saved by transformers, against transformers' own in
float64. Ids: tokenizers of each kind, trained here or given, against the library tokenizers, over
texts of tests and strings that go wrong easily. Needs torch, transformers and tokenizers; run by hand
from the root of the sources after make:

    tests/peers/hub.py [--build build] [--data ../shared/data] [--tokenizer FOLDER]... [NAME]...
"""
import argparse
import json
import os
import pathlib
import random
import subprocess
import sys
import tempfile

import numpy as np

FAILED = []


def report(name, ok, text):
    print(("ok   " if ok else "FAIL ") + name + ": " + text, flush=True)
    if not ok:
        FAILED.append(name)


def ours(arguments, what, folder, data, *more):
    done = subprocess.run([arguments.build + "/tests/peers/peer_model", what, str(folder), *more], input=data,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    return done.stdout


# ---- logits ----

SIZES = {"vocab_size": 160, "hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 3,
         "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256}
LLAMA3 = {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
          "original_max_position_embeddings": 64, "rope_theta": 500000.0}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 64, "rope_theta": 1e4}
LONG = {"rope_type": "longrope", "rope_theta": 1e4,
        "original_max_position_embeddings": 64, "long_factor": [1.0 + i for i in range(8)],
        "short_factor": [1.0 + i / 8 for i in range(8)]}

# name: class of transformers, its settings, dtype, bound of the relative error, how it is saved
MODELS = {
    "llama": ("Llama", {}, "float32", 1e-5, {}),
    "llama-tied": ("Llama", {"tie_word_embeddings": True}, "float32", 1e-5, {}),
    "llama-sharded": ("Llama", {"attention_bias": True, "mlp_bias": True}, "float32", 1e-5,
                      {"max_shard_size": "60KB"}),
    "llama-f16": ("Llama", {}, "float16", 9e-4, {}),
    "llama-bf16": ("Llama", {"head_dim": 24}, "bfloat16", 7e-3, {}),
    "llama-llama3": ("Llama", {"rope_parameters": LLAMA3}, "float32", 1e-5, {}),
    "llama-linear": ("Llama", {"rope_parameters": {"rope_type": "linear", "factor": 4.0,
                                                   "rope_theta": 1e4}}, "float32", 1e-5, {}),
    "llama-yarn": ("Llama", {"rope_parameters": YARN}, "float32", 1e-5, {}),
    "llama-yarn-factor": ("Llama", {"rope_parameters": YARN | {"attention_factor": 1.3}}, "float32",
                          1e-5, {}),
    "llama-yarn-scales": ("Llama", {"rope_parameters": YARN | {"mscale": 0.7, "mscale_all_dim": 1.0}}, "float32",
                          1e-5, {}),
    "llama-yarn-real": ("Llama", {"rope_parameters": YARN | {"truncate": False}}, "float32", 1e-5, {}),
    "llama-dynamic": ("Llama", {"rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 1e4}},
                      "float32", 1e-5, {}),
    "llama-longrope": ("Llama", {"rope_parameters": LONG | {"factor": 3.0}}, "float32", 1e-5, {}),
    "llama-narrow": ("Llama", {"head_dim": 2, "attention_bias": True}, "float32", 1e-5, {}),
    "qwen3-narrow": ("Qwen3", {"hidden_size": 16, "head_dim": 4}, "float32", 1e-5, {}),
    "gpt2-narrow": ("GPT2", {"n_embd": 84}, "float32", 1e-5, {}),
    "llama-gelu": ("Llama", {"hidden_act": "gelu"}, "float32", 1e-5, {}),
    "llama-odd": ("Llama", {"hidden_size": 51, "num_attention_heads": 3, "num_key_value_heads": 1, "head_dim": 16,
                            "intermediate_size": 91}, "float32", 1e-5, {}),
    "smollm3": ("SmolLM3", {"num_hidden_layers": 5, "pad_token_id": 0}, "float32", 1e-5, {}),
    "mistral": ("Mistral", {"sliding_window": None}, "float32", 1e-5, {}),
    "mistral-window": ("Mistral", {"sliding_window": 32}, "float32", 1e-5, {}),
    "mixtral": ("Mixtral", {"num_local_experts": 4, "num_experts_per_tok": 2, "sliding_window": None}, "float32", 1e-5,
                {}),
    "qwen2": ("Qwen2", {}, "float32", 1e-5, {}),
    "qwen3": ("Qwen3", {"head_dim": 32}, "float32", 1e-5, {}),
    "qwen3moe": ("Qwen3Moe", {"head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2,
                              "moe_intermediate_size": 32, "norm_topk_prob": True}, "float32", 1e-5, {}),
    "qwen2-window": ("Qwen2", {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1}, "float32",
                     1e-5, {}),
    "qwen3-window": ("Qwen3", {"head_dim": 32, "use_sliding_window": True, "sliding_window": 16, "layer_types":
                               ["sliding_attention", "full_attention", "sliding_attention"]}, "float32", 1e-5, {}),
    "qwen3moe-sparse": ("Qwen3Moe", {"head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2, "norm_topk_prob": True,
                                     "moe_intermediate_size": 30, "decoder_sparse_step": 2}, "float32", 1e-5, {}),
    "qwen3moe-window": ("Qwen3Moe", {"head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2, "mlp_only_layers": [1],
                                     "moe_intermediate_size": 30, "use_sliding_window": True, "sliding_window": 16},
                        "float32", 1e-5, {}),
    "gemma2-types": ("Gemma2", {"head_dim": 32, "sliding_window": 20, "query_pre_attn_scalar": 27, "layer_types":
                                ["full_attention", "sliding_attention", "full_attention"]}, "float32", 1e-5, {}),
    "gemma3-types": ("Gemma3", {"head_dim": 32, "sliding_window": 20, "query_pre_attn_scalar": 27, "layer_types":
                                ["sliding_attention", "full_attention", "full_attention"]}, "float32", 1e-5, {}),
    "gpt2-erf": ("GPT2", {"activation_function": "gelu"}, "float32", 1e-5, {}),
    "gpt2-unscaled": ("GPT2", {"scale_attn_weights": False}, "float32", 1e-5, {}),
    "gemma": ("Gemma", {"head_dim": 32}, "float32", 1e-5, {}),
    "gemma2": ("Gemma2", {"head_dim": 32, "sliding_window": 32, "query_pre_attn_scalar": 32},
               "float32", 1e-5, {}),
    "gemma2-scale": ("Gemma2", {"head_dim": 32, "sliding_window": 32, "query_pre_attn_scalar": 24},
                     "float32", 1e-5, {}),
    "gemma2-uncapped": ("Gemma2", {"head_dim": 32, "sliding_window": 32, "query_pre_attn_scalar": 32,
                                   "attn_logit_softcapping": None, "final_logit_softcapping": None},
                        "float32", 1e-5, {}),
    "gemma3": ("Gemma3", {"head_dim": 32, "sliding_window": 32, "num_hidden_layers": 7,
                          "query_pre_attn_scalar": 32}, "float32", 1e-5, {}),
    "phi3": ("Phi3", {"pad_token_id": 0}, "float32", 1e-5, {}),
    "phi3-longrope": ("Phi3", {"pad_token_id": 0, "original_max_position_embeddings": 64,
                               "rope_parameters": LONG}, "float32", 1e-5, {}),
    # as Phi-4-mini: three quarters of a head are turned
    "phi3-longrope-partial": ("Phi3", {"pad_token_id": 0, "tie_word_embeddings": True, "partial_rotary_factor": 0.75,
                              "original_max_position_embeddings": 64, "rope_parameters": LONG | {
                                  "partial_rotary_factor": 0.75, "long_factor": LONG["long_factor"][:6],
                                  "short_factor": LONG["short_factor"][:6]}}, "float32", 1e-5, {}),
    "qwen3moe-raw": ("Qwen3Moe", {"head_dim": 32, "num_experts": 6, "num_experts_per_tok": 2,
                                  "moe_intermediate_size": 32, "norm_topk_prob": False}, "float32", 1e-5, {}),
    "phi3-longrope-long": ("Phi3", {"pad_token_id": 0, "original_max_position_embeddings": 64,
                                    "rope_parameters": LONG}, "float32", 1e-5, {}),
    "gemma3-scaled": ("Gemma3", {"head_dim": 32, "sliding_window": 32, "num_hidden_layers": 7,
                                 "query_pre_attn_scalar": 32,
                                 "rope_parameters": {"full_attention": {"rope_type": "linear", "factor": 8.0,
                                                                        "rope_theta": 1e6},
                                                     "sliding_attention": {"rope_type": "default",
                                                                           "rope_theta": 1e4}}},
                      "float32", 1e-5, {}),
    "gpt2": ("GPT2", {}, "float32", 1e-5, {}),
    "gemma3-sees": ("Gemma3Sees", {"head_dim": 32, "sliding_window": 32, "num_hidden_layers": 7,
                                   "query_pre_attn_scalar": 32}, "float32", 1e-5, {}),
    "mistral3-sees": ("Mistral3Sees", {"head_dim": 32, "sliding_window": None}, "float32", 1e-5, {}),
}
CONFIGS = {"Gemma3": "Gemma3TextConfig"}
# models that also see, of which the text half is asked: the kind of their texts, and of their pictures
SEES = {"Gemma3Sees": ("Gemma3", "Gemma3TextConfig", "SiglipVisionConfig"),
        "Mistral3Sees": ("Mistral3", "MistralConfig", "PixtralVisionConfig")}
HEADS = {"GPT2": "GPT2LMHeadModel"}


def make_model(name, folder):
    import torch
    import transformers
    family, settings, dtype, _, saving = MODELS[name]
    torch.manual_seed(sum(map(ord, name)))
    if family == "GPT2":
        sizes = {"vocab_size": 160, "n_embd": 64, "n_layer": 3, "n_head": 4, "n_positions": 256}
    else:
        sizes = dict(SIZES)
    if family in SEES:
        kind, text, vision = SEES[family]
        text = getattr(transformers, text)(**(sizes | settings))
        vision = getattr(transformers, vision)(hidden_size=32, intermediate_size=64, num_hidden_layers=1,
                                               num_attention_heads=2, image_size=28, patch_size=14)
        config = getattr(transformers, kind + "Config")(text_config=text, vision_config=vision)
        head = kind + "ForConditionalGeneration"
    else:
        config = getattr(transformers, CONFIGS.get(family, family + "Config"))(**(sizes | settings))
        head = HEADS.get(family, family + "ForCausalLM")
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"    # the others have no float64
    model = getattr(transformers, head)(config)
    with torch.no_grad():
        for key, value in model.named_parameters():
            if value.ndim == 1:     # norms and biases that do something
                value.add_(torch.randn_like(value) * 0.2)
            else:
                value.mul_(4)
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder, **saving)
    return model


def compare_model(arguments, name, where):
    import torch
    import transformers
    folder = where / name
    model = make_model(name, folder).to(torch.float64).eval()
    vocab = model.config.get_text_config().vocab_size
    # of LongRoPE the shorter factors, unless a longer context is asked for
    count, more = (150, ("256",)) if name.endswith("-long") else (60 if "longrope" in name else 150, ())
    ids = [(7 * i * i + 3 * i) % vocab for i in range(count)]
    with torch.no_grad():
        want = model(torch.tensor([ids])).logits[0].numpy()
    got = np.frombuffer(ours(arguments, "logits", folder, " ".join(map(str, ids)).encode(), *more),
                        dtype=np.float32).reshape(want.shape).astype(np.float64)
    error = np.sqrt(((got - want) ** 2).sum() / (want ** 2).sum())
    bound = MODELS[name][3]
    report(name, error <= bound, "relative rms %.2e of at most %.0e (transformers %s)" %
           (error, bound, transformers.__version__))


# ---- ids ----

NASTY = ["", " ", "  ", "a", " a", "a ", "\n", "\n\n a", "\t", "\r\n", "hello world", "Hello,  World!!",
         "caf\u00e9", "cafe\u0301", "e\u0301\u0323\u0301", "\u1e9b\u0323", "\uac01\u1100\u1161\u11a8",
         "\u65e5\u672c\u8a9e", "\U0001f600\U0001f468\u200d\U0001f469", "it's I'LL we'VE 'S 's",
         "1234567890 12 3", "\u0661\u0662\u0663", "x" * 300, " " * 50, "\u2581", "a\u2581b", "\u2581 a",
         "<s>", "a<s>b", "a <s> b", "</s>  x", "<|end|>\n\n  x", "  <|end|>  ", "<0x0A>", "<unk>", "[CLS] a [SEP]",
         "##ing", "unaffable", "\u00a0\u2003x\u3000", "\u200b\ufeff", "\x7f\x01", "a\u0300" * 200,
         "don't\u2019t", "\u0130stanbul \u00df \u01c5", "...!!!???", "foo_bar(baz)[0]->x", "\u4e00a\u4e01",
         "a\n\nb\n \nc", "   a   b   ", "0\u00bd\u00b2\u2167", "\u0915\u094d\u0937\u093f", "\ufdfa", "\u212b\u2126",
         "\uf900\u2f800", "\U0002b81d\U0002b820\U0002ceb0"]


# what maps of characters replace, join or drop
MAPPED = ["\uff28\uff45\uff4c\uff4c\uff4f\u3000\uff37", "\ufb01n \ufb03", "\u2460\u2461 \u3314 \u33a1", "x\u00adx\u200dx", "a\u0085b",
          "e\u0301t\u00e9", "a\u030a\u0301 o\u0328", "\u0e33 \u0e01\u0e33", "\u0958\u0915\u093c", "\u1100\u1161 \u1100\u1161\u11a8x",
          "\uff1cb\uff1e x", "\ufdfa\ufdfb", "\u2026\u2025", "1\u2044\u00bd", "\r\n a \r\n\r\nb", "\t\tx\x0by\x0cz", "\u00a0\u00a0 a",
          "a  b   c    ", "  \u2581  ", "a\u2581\u2581b", " \u2581a", "\u2581", "\u2581 ", "\U0001f3f3\ufe0f\u200d\U0001f308",
          "\U0001f1e9\U0001f1ea\U0001f1eb\U0001f1f7", "\u2122\u2120", "\u01c4\u01c5", "\u3099\u304b\u3099", "\uff76\uff9e\uff8a\uff9f",
          "\ufeffa\ufffd", "\x01\x02a\x1f", "\u200e\u200fa\u2028b\u2029c", "\u0344a\u0344", "\u0f73x", "\u2adc \u0338",
          "\u4e00\u2581\u4e8c", "zzzz\U0001f600\U0001f601zz \U0001f602", "\u0600a", "\u0d4ea\u0301", "\u0915\u094d\u200d\u0937",
          "a\u0301\u0301\u0301", "fi\ufb01\ufb01\u0301", "\u212b\u0301", "\u00e9\u0301", "\u1e9b\u0323\u0323"]


# characters of many kinds, of which texts are made by chance
POOL = ("\u0e20\u0e32\u0e29\u0e32\u0e44\u0e17\u0e22 \u4e2d\u6587\u6ca1\u6709\u3002\uff0c \ud55c\uad6d\uc5b4 \u0939\u093f\u0928\u094d\u0926\u0940 \u0995\u09cd\u09b7 \u10e5\u10d0 \u12a0\u121b "
        "\u05e2\u05d1\u05e8\u05d9\u05ea\u05b8 \u0627\u0644\u0639\u0631\u0628\u064a\u0629 \u0440\u0443\u0441\u0421\u041a \u03b5\u03bb\u039b\u03c2 \u00fc\u0142\u0131\u0130\u01c5\u00df\ufb01\u212b "
        "\u0301\u0300\u0327\u0338\u200b\u200d\ufe0f\ufeff\u202e\u00a0\u2003\u3000\u0085\u2028\u2581 \u0661\u0969\u2167\u00bd\u00b2 \U0001f468\U0001f3fd\U0001f3f3\U0001d7ce\U00010348 "
        "\u2019\u201c\u2014\u20ac\u2026 \uff21\uff11\uff1c \t\n\r\x01\x7f") + "abcXYZ0123456789'.,!?-_()<>[]{}|/\\#$%&*+=:;\"@~`^" * 2
POOL += " " * 40 + "\n" * 20


def random_texts(count=3000):
    chance = random.Random(5)
    return ["".join(chance.choices(POOL, k=chance.randint(1, 60))) for _ in range(count)]


def texts(arguments):
    corpora = pathlib.Path(arguments.data) / "corpora"
    out = NASTY + random_texts()
    for name, step in (("wikitext-2.test.txt", 9000), ("tldr-pages.en.md", 7000), ("banking77.test.csv", 60)):
        path = corpora / name
        if path.exists():
            text = path.read_text(encoding="utf-8")
            size = min(len(text), 600000)
            out += [text[i:i + step] for i in range(0, size, step)]
    return [t.replace("\0", "") for t in out]


def compare_ids(arguments, name, folder, tokenizer):
    from tokenizers import __version__
    given = texts(arguments) + (MAPPED if name.startswith("unigram") else [])
    tokenizer.no_truncation()
    tokenizer.no_padding()
    want = [e.ids for e in tokenizer.encode_batch(given)]
    lines = ours(arguments, "ids", folder, "".join(t + "\0" for t in given).encode()).decode()
    got = [[int(i) for i in line.split()] for line in lines.split("\n")[:-1]]
    wrong = [i for i in range(len(given)) if i >= len(got) or got[i] != want[i]]
    for i in wrong[:4]:
        at = next((j for j, (a, b) in enumerate(zip(got[i], want[i])) if a != b), -1)
        print("# %s: %r\n#   want %s\n#   have %s" % (name, given[i][:60], want[i][max(0, at - 2):at + 12],
                                                  got[i][max(0, at - 2):at + 12]))
    report(name, not wrong, "%d of %d texts as tokenizers %s, %d tokens" %
           (len(given) - len(wrong), len(given), __version__, sum(map(len, want))))


def save_tokenizer(arguments, folder, tokenizer, settings=None):
    """A folder with a model to go with it, which nobody computes with."""
    import torch
    import transformers
    config = transformers.LlamaConfig(**(SIZES | {"vocab_size": tokenizer.get_vocab_size() + 5}))
    torch.manual_seed(1)
    transformers.LlamaForCausalLM(config).save_pretrained(folder)
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(settings or {}))


def corpus(arguments):
    path = pathlib.Path(arguments.data) / "corpora" / "sherlock-holmes.txt"
    text = path.read_text(encoding="utf-8") if path.exists() else " ".join(NASTY) * 10
    return text.split("\n") + [t for t in NASTY if "<" not in t]


LLAMA3_PATTERN = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
                  r"|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN2_PATTERN = LLAMA3_PATTERN.replace("{1,3}", "")
TEKKEN_PATTERN = (r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+|"
                  r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|"
                  r"\p{N}| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+")


GPT4O_PATTERN = (TEKKEN_PATTERN.replace("+|[", "+(?i:'s|'t|'re|'ve|'m|'ll|'d)?|[", 1)
                 .replace("*|\\p{N}|", "*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\\p{N}{1,3}|"))
SPLITS = {
    "llama3": [LLAMA3_PATTERN], "qwen2": [QWEN2_PATTERN], "tekken": [TEKKEN_PATTERN], "gpt4o": [GPT4O_PATTERN],
    "deepseek3": [r"\p{N}{1,3}", "[一-龥぀-ゟ゠-ヿ]+",
                  "[!\"#$%&'()*+,\\-./:;<=>?@\\[\\\\\\]^_`{|}~][A-Za-z]+|[^\r\n\\p{L}\\p{P}\\p{S}]?[\\p{L}\\p{M}]+"
                  "| ?[\\p{P}\\p{S}]+[\r\n]*|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
    "deepseek-coder": ["[\r\n]", r"\s?\p{L}+", r"\s?\p{P}+", "[一-龥ࠀ-一가-퟿]+"],
    "seed-coder": ["(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1}| ?[^\\s\\p{L}\\p{N}\r\n]+"
                   "|\\s*[\r\n]+|\\s+(?!\\S)|\\s+"],
}


def make_bytes(arguments, which):
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers import processors, trainers
    tok = Tokenizer(models.BPE(ignore_merges=which in ("llama3", "tekken")))
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    if which == "gpt2":
        tok.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    elif which == "smollm":
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Digits(individual_digits=True), pre_tokenizers.ByteLevel(add_prefix_space=False)])
    else:
        digits = [pre_tokenizers.Digits(individual_digits=True)] if which == "deepseek-coder" else []
        # two ways to write the same that files have
        way = ("removed", True) if which == "gpt4o" else ("isolated", False)
        tok.pre_tokenizer = pre_tokenizers.Sequence(
            [pre_tokenizers.Split(Regex(r), *way) for r in SPLITS[which]] + digits + [plain])
    if which == "qwen2":
        tok.normalizer = normalizers.NFC()
    tok.decoder = decoders.ByteLevel()
    tok.train_from_iterator(corpus(arguments), trainers.BpeTrainer(
        vocab_size=1200, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<s>", "</s>"],
        show_progress=False))
    tok.add_tokens([AddedToken("<|end|>", special=True, normalized=False, rstrip=which == "gpt2",
                               lstrip=which == "smollm")])
    if which == "llama3":
        tok.post_processor = processors.Sequence(
            [processors.ByteLevel(trim_offsets=False),
             processors.TemplateProcessing(single="<s> $A", pair="<s> $A <s> $B",
                                           special_tokens=[("<s>", tok.token_to_id("<s>"))])])
    return tok


def make_spm(arguments, which):
    from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from tokenizers import trainers
    tok = Tokenizer(models.BPE(unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    space = "\u2581"
    if which == "llama2":
        tok.normalizer = normalizers.Sequence([normalizers.Prepend(space), normalizers.Replace(" ", space)])
        tok.post_processor = processors.TemplateProcessing(single="<s> $A </s>", special_tokens=[("<s>", 1), ("</s>", 2)])
    elif which == "gemma":
        tok.normalizer = normalizers.Replace(" ", space)
        tok.pre_tokenizer = pre_tokenizers.Split(" ", "merged_with_previous")
    else:
        scheme, split = which.split("-")
        tok.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme=scheme, split=split == "split")
    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.Metaspace(replacement=space, prepend_scheme="always")
    bytes_ = ["<0x%02X>" % b for b in range(256)]
    trained.train_from_iterator(corpus(arguments), trainers.BpeTrainer(
        vocab_size=1500, special_tokens=["<unk>", "<s>", "</s>"] + bytes_, limit_alphabet=90, show_progress=False))
    state = json.loads(trained.to_str())["model"]
    target = json.loads(tok.to_str())
    target["model"]["vocab"] = state["vocab"]
    target["model"]["merges"] = state["merges"] if which == "llama2" else [" ".join(m) for m in state["merges"]]
    tok = Tokenizer.from_str(json.dumps(target))
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in ("<unk>", "<s>", "</s>")])
    tok.add_tokens([AddedToken("<|end|>", special=False, normalized=False, rstrip=True)])
    return tok


def make_wordpiece(arguments, which):
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers
    tok = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    tok.normalizer = normalizers.BertNormalizer(lowercase=which == "uncased")
    tok.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    # a continuation that begins with GGUF's own mark can't be told from a beginning
    tok.train_from_iterator((t for t in corpus(arguments) if "\u2581" not in t), trainers.WordPieceTrainer(
        vocab_size=1200, special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"], show_progress=False))
    if which == "uncased":
        tok.post_processor = processors.TemplateProcessing(single="[CLS] $A [SEP]",
                                                           special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    else:
        tok.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return tok


# a map of our own that is small, but has what real ones have: strings of several characters, empty ones
RULES = [("fi", "\ufb01"), (" ", "\t"), (" ", "\n"), (" ", "\r"), (" ", "\u00a0"), (" ", "\u3000"), ("", "\u00ad"),
         ("", "\u200b"), ("\u00e9", "e\u0301"), ("\u00c5", "\u212b"), ("\u00c5", "A\u030a"), ("1", "\u2460"), ("A", "\uff21"),
         ("<", "\uff1c"), ("\u304c", "\u304b\u3099"), ("\u30ac", "\uff76\uff9e"), ("\u30ab", "\uff76"), ("...", "\u2026"),
         ("\u0635\u0644\u0649 \u0627\u0644\u0644\u0647", "\ufdfa"), ("e", "\u0117"), ("x", "e\u0301\u0323")]


def train_unigram(arguments, vocab_size, rules):
    """The pieces, their scores and the map of characters of a model that sentencepiece trained."""
    import io
    import sentencepiece
    from sentencepiece import sentencepiece_model_pb2
    model, settings = io.BytesIO(), {"normalization_rule_name": "nmt_nfkc"}
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as tsv:
        if rules:
            for to, source in rules:
                print(*(" ".join("%X" % ord(c) for c in text) for text in (source, to)), sep="\t", file=tsv)
            tsv.flush()
            settings = {"normalization_rule_tsv": tsv.name}
        sentencepiece.SentencePieceTrainer.train(
            sentence_iterator=iter(t for t in corpus(arguments) if t.strip()), model_writer=model,
            model_type="unigram", vocab_size=vocab_size, minloglevel=2, hard_vocab_limit=False, **settings)
    proto = sentencepiece_model_pb2.ModelProto()
    proto.ParseFromString(model.getvalue())
    return [(p.piece, p.score) for p in proto.pieces], proto.normalizer_spec.precompiled_charsmap


def make_unigram(arguments, which, vocab_size=3000, rules=None):
    import base64
    from tokenizers import AddedToken, Tokenizer, models, normalizers, pre_tokenizers, processors
    pieces, charsmap = train_unigram(arguments, vocab_size, rules)
    space = "\u2581"
    # as converters of XLM-RoBERTa put them: what was <unk> <s> </s>, and a token of its own at the end, or only added
    vocab = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)] + pieces[3:]
    if which != "added":
        vocab.append(("<mask>", 0.0))
    tok = Tokenizer(models.Unigram(vocab, unk_id=3, byte_fallback=False))
    state = json.loads(tok.to_str())
    mapped = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap).decode()}
    squeeze = {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": space if which == "later" else " "}
    strip = {"type": "Strip", "strip_left": which == "strip", "strip_right": True}
    metaspace = json.loads(Tokenizer.from_str(json.dumps(state | {"pre_tokenizer": {
        "type": "Metaspace", "replacement": space, "prepend_scheme": which.split("-")[0] if which in ("never", "first", "first-whole") else "always",
        "split": "whole" not in which}})).to_str())["pre_tokenizer"]
    if which in ("later", "strip"):
        state["normalizer"] = {"type": "Sequence", "normalizers": [mapped, strip, squeeze]}
        state["pre_tokenizer"] = metaspace
    elif which in ("whole", "never", "first", "first-whole"):
        state["normalizer"] = {"type": "Sequence", "normalizers": [mapped, squeeze]}
        state["pre_tokenizer"] = metaspace
    else:
        state["normalizer"] = None if which == "plain" else mapped
        state["pre_tokenizer"] = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}, metaspace]}
    tok = Tokenizer.from_str(json.dumps(state))
    tok.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 2)])
    tok.add_special_tokens([AddedToken(t, special=True, normalized=False, lstrip=t == "<mask>")
                            for t in ("<s>", "<pad>", "</s>", "<unk>", "<mask>")])
    return tok


TOKENIZERS = {"bytes-" + w: (make_bytes, w) for w in ("gpt2", "smollm", *SPLITS)}
TOKENIZERS |= {"spm-" + w: (make_spm, w) for w in ("llama2", "gemma", "first-nosplit", "first-split",
                                                  "always-nosplit", "always-split", "never-nosplit", "never-split")}
TOKENIZERS |= {"wordpiece-" + w: (make_wordpiece, w) for w in ("uncased", "cased")}
TOKENIZERS |= {"unigram-" + w: (make_unigram, w) for w in ("xlmr", "later", "strip", "whole", "never", "plain", "first", "first-whole",
                                                          "added")}


def compare_given(arguments, folder, where):
    """A real tokenizer.json; its own weights are not looked at."""
    from tokenizers import Tokenizer
    tokenizer = Tokenizer.from_file(folder + "/tokenizer.json")
    copy = where / "given"
    save_tokenizer(arguments, copy, tokenizer)
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
        if os.path.exists(folder + "/" + name):
            (copy / name).write_bytes(pathlib.Path(folder, name).read_bytes())
    compare_ids(arguments, os.path.basename(os.path.abspath(folder)), copy, tokenizer)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("--tokenizer", action="append", default=[])
    parser.add_argument("--keep", help="where the folders are made, and stay")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as temporary:
        where = pathlib.Path(arguments.keep or temporary)
        for name in arguments.names or list(MODELS) + list(TOKENIZERS):
            (where / name).mkdir(parents=True, exist_ok=True)
            try:
                if name in MODELS:
                    compare_model(arguments, name, where)
                    continue
                make, which = TOKENIZERS[name]
                tokenizer = make(arguments, which)
                save_tokenizer(arguments, where / name, tokenizer)
                compare_ids(arguments, name, where / name, tokenizer)
            except RuntimeError as error:
                report(name, False, str(error))
        for folder in arguments.tokenizer:
            compare_given(arguments, folder, where)
    return 1 if FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
