#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of the fuzzers' corpora (tests/fuzz/corpus/NAME/seed-*).

What a fuzzer finds is kept beside them under another name. Run from the root of the sources.
"""
import base64
import json
import pathlib
import random
import struct

ROOT = pathlib.Path("tests/fuzz/corpus")
U8, I8, U16, I16, U32, I32, F32, BOOL, STRING, ARRAY, U64, I64, F64 = range(13)
SCALARS = {U8: "B", I8: "b", U16: "H", I16: "h", U32: "I", I32: "i", F32: "f", BOOL: "?", U64: "Q",
           I64: "q", F64: "d"}


def string(text):
    data = text if isinstance(text, bytes) else text.encode()
    return struct.pack("<Q", len(data)) + data


def value(kind, v):
    return string(v) if kind == STRING else struct.pack("<" + SCALARS[kind], v)


def key(name, kind, v):
    return string(name) + struct.pack("<I", kind) + value(kind, v)


def array(name, kind, values):
    return (string(name) + struct.pack("<IIQ", ARRAY, kind, len(values)) +
            b"".join(value(kind, v) for v in values))


def tensor(name, dims, kind, offset):
    return (string(name) + struct.pack("<I", len(dims)) + struct.pack("<%dQ" % len(dims), *dims) +
            struct.pack("<IQ", kind, offset))


def gguf(keys, tensors=(), data=b"", version=3, alignment=32):
    out = b"GGUF" + struct.pack("<IQQ", version, len(tensors), len(keys))
    out += b"".join(keys) + b"".join(tensors)
    if tensors:
        out += bytes(-len(out) % alignment) + data
    return out


def vocab(model, tokens, types, *more):
    return [key("tokenizer.ggml.model", STRING, model),
            array("tokenizer.ggml.tokens", STRING, tokens),
            array("tokenizer.ggml.scores", F32, [-float(i) for i in range(len(tokens))]),
            array("tokenizer.ggml.token_type", I32, types), *more]


def seeds_gguf():
    every = [key("k%d" % k, k, 1) for k in SCALARS]
    every += [key("s", STRING, "text"), array("a", U16, [1, 2, 3]), array("w", STRING, ["x", ""])]
    yield "keys", gguf(every)
    yield "keys-v2", gguf(every, version=2)
    shape = [key("general.architecture", STRING, "llama"), key("llama.block_count", U32, 1),
             key("general.alignment", U32, 16)]
    tensors = [tensor("a", [4, 2], 0, 0), tensor("b", [32], 8, 32), tensor("c", [1], 999, 80)]
    yield "tensors", gguf(shape, tensors, bytes(96), alignment=16)
    yield "overlap", gguf([], [tensor("a", [16], 0, 0), tensor("b", [1], 0, 32)], bytes(64))
    yield "nested", gguf([string("n") + struct.pack("<IIQ", ARRAY, ARRAY, 1) * 3])
    yield "split", gguf([key("split.count", U16, 2)])
    yield "big-endian", b"GGUF" + struct.pack(">IQQ", 3, 0, 0)
    spm = ["<unk>", "<s>", "</s>"] + ["<0x%02X>" % b for b in range(0, 256, 5)] + \
          ["a", "b", "ab", "\u2581", "\u2581a", "<ud>"]
    types = [2, 3, 3] + [6] * 52 + [1] * 5 + [4]
    yield "spm", gguf(vocab("llama", spm, types, key("tokenizer.ggml.add_bos_token", BOOL, True)))
    bpe = ["a", "b", "ab", "\u0120", "\u0120a", "<|im_start|>", "<|im_end|>", "\u010a"]
    chat = "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\\n' + " \
           "message['content'] + '<|im_end|>'}}{% endfor %}{{'<|im_start|>assistant\\n'}}"
    for pre in ("gpt-2", "llama-bpe", "qwen2", "smollm", "tekken", "default"):
        yield "bpe-" + pre, gguf(vocab(
            "gpt2", bpe, [1] * 5 + [3, 3, 1], key("tokenizer.ggml.pre", STRING, pre),
            array("tokenizer.ggml.merges", STRING, ["a b", "\u0120 a", "ab a"]),
            key("tokenizer.ggml.eos_token_id", U32, 6), key("tokenizer.chat_template", STRING, chat)))
    bert = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "\u2581the", "\u2581a", "a", "\u2581!"]
    yield "bert", gguf(vocab("bert", bert, [3] * 4 + [1] * 4))


TEXTS = ["", "the thing", "  spaces   and\ttabs\n\n x", "caf\u00e9 \u65e5\u672c \U0001f600", "1234567 12",
         "it's I'LL 'S", "<s></s><ud><|im_start|>user", "aaaaaaaaaaaaaaaa", "xyzw xyz", "\u2581the\u2581",
         "a\0b", "e\u0301\u0327", "\u4f60\u597d, the cats!", "\u0130\u00df\u017f", "[CLS]the[SEP]",
         "\u1100\u1161\uac00", "Un\u00e2ffable!?", "\u200b\ufeff\u0085\u2028", "<|im_end|>\n<|im_"]


def seeds_texts(first_bytes):
    for i, text in enumerate(TEXTS):
        yield "text-%02d" % i, bytes([first_bytes[i % len(first_bytes)]]) + text.encode()
    yield "invalid", bytes([first_bytes[0]]) + b"a\xc3\xe2\x82\xff"


PROGRAMS = {
    "chatml": "{{'<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>'}}"
              "{{'<|im_start|>system\\nDo<|im_end|>'}}{{ '<|im_start|>assistant\\n' }}",
    "llama2": "<<SYS>>{{ bos_token + '[INST] ' + content.strip() + ' [/INST]' }}",
    "llama3": "{{ bos_token + '<|start_header_id|>' + message['role'] + '<|end_header_id|>\\n\\n'+ "
              "message['content'] | trim + '<|eot_id|>' }}Cutting Knowledge Date: December 2023",
    "mistral": "{{ bos_token }}{{ ' [INST] ' + system_message + message['content'] + ' [/INST]' }}"
               "{{ ' ' + message['content'] + eos_token }}",
    "mistral-7": "{% set default_system_message = 'Be' %}{{ '[SYSTEM_PROMPT]' }}{{ '[INST]' }}[/INST]",
    "gemma": "{{ bos_token }}{{ '<start_of_turn>' + role + '\\n' + first_user_prefix }}",
    "phi3": "{{'<|user|>\\n' + message['content'] + '<|end|>\\n'}}{{ '<|assistant|>\\n' }}'system'",
    "zephyr": "{{ \"<|user|>\n\" + message[\"content\"] + eos_token }}{# comment #}",
    "phi4": "{{'<|im_start|>' + message['role'] + '<|im_sep|>' + message['content'] + '<|im_end|>'}}",
    "phi4-mini": "{{ '<|' + message['role'] + '|>' + message['content'] + '<|end|>' }}{{ '<|assistant|>' }}",
    "deepseek": "{{bos_token}}{{ns.system_prompt}}{{'<｜User｜>' + message['content']}}"
                "{{'<｜Assistant｜>' + content + '<｜end▁of▁sentence｜>'}}{{'<｜Assistant｜><think>\\n'}}",
    "thinking": "{{'<|im_start|>' + message['role'] + '\\n' + message['content'].split('</think>')[-1].lstrip('\\n') "
                "+ '<|im_end|>'}}{{ '<|im_start|>assistant\\n<think>\\n' }}",
    "other": "{% for x in y %}{{ x['a'] ~ \"b\" }}{% endfor %}",
}


def seeds_chat():
    talk = b"\x00Be brief\0\x01 Hi <|im_end|>\0\x02 Yo \0\x01caf\xc3\xa9 "
    for name, program in PROGRAMS.items():
        yield name, program.encode() + b"\0" + talk
    yield "pair", (b"<|im_start|>judge\n{query}<ud>{document}<|im_end|>\n\0\1the dog<|im_end|>\0"
                   b"\1 a <ud> cat\0")
    yield "roles", PROGRAMS["chatml"].encode() + b"\0\x02a\0\x00b\0\0\x01\xff"


def safetensors(header, data=b""):
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text)) + text + data


def seeds_safetensors():
    def entry(dtype, shape, begin, end):
        return {"dtype": dtype, "shape": shape, "data_offsets": [begin, end]}

    yield "good", safetensors({"__metadata__": {"format": "pt"}, "a": entry("F32", [2, 3], 0, 24),
                               "b": entry("BF16", [3], 24, 30), "c": entry("I64", [], 30, 38),
                               "d": entry("F16", [0, 7], 38, 38)}, bytes(38))
    yield "overlap", safetensors({"a": entry("U8", [4], 0, 4), "b": entry("U8", [4], 2, 6)}, bytes(6))
    yield "overflow", safetensors({"a": entry("F32", [2**53, 2**53], 0, 0)})
    yield "long", safetensors({"a": entry("F4", [4], 0, 2)}, bytes(2))
    yield "twice", safetensors(b'{"a":1,"a":2}')
    yield "deep", safetensors(b"[" * 3000)
    yield "size", struct.pack("<Q", 2**63) + b"{}"


def seeds_hub_config():
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
             "num_key_value_heads": 2, "max_position_embeddings": 64, "vocab_size": 100, "hidden_act": "silu",
             "rms_norm_eps": 1e-6, "head_dim": 8, "torch_dtype": "bfloat16"}
    ropes = {"llama3": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                        "original_max_position_embeddings": 32},
             "linear": {"type": "linear", "factor": 2}, "dynamic": {"type": "dynamic", "factor": 2.0},
             "yarn": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 16, "beta_fast": 32},
             "long": {"type": "longrope", "long_factor": [1.0, 2.0, 3.0, 4.0], "short_factor": [1, 1, 1, 1],
                      "original_max_position_embeddings": 16}}
    for name, rope in ropes.items():
        config = sizes | {"model_type": "llama", "rope_scaling": rope, "rope_theta": 1e4}
        yield "llama-" + name, json.dumps(config).encode() + b"\0model.layers.1.self_attn.q_proj.weight"
    more = {"mistral": {"sliding_window": 16}, "qwen2": {"use_sliding_window": False},
            "qwen3": {"use_sliding_window": True, "sliding_window": 16, "max_window_layers": 1, "rope_scaling":
                      ropes["yarn"] | {"truncate": False, "mscale": 0.7, "mscale_all_dim": 1.0}},
            "qwen3_moe": {"num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16,
                          "norm_topk_prob": True, "mlp_only_layers": []},
            "gemma2": {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 8, "sliding_window": 16,
                       "attn_logit_softcapping": 50.0, "final_logit_softcapping": 30.0},
            "gemma3_text": {"hidden_activation": "gelu_pytorch_tanh", "query_pre_attn_scalar": 8,
                            "sliding_window": 16, "rope_local_base_freq": 1e4,
                            "layer_types": ["sliding_attention", "full_attention"]},
            "phi3": {"original_max_position_embeddings": 16, "partial_rotary_factor": 1.0, "rope_scaling": ropes["long"]}}
    for name, settings in more.items():
        yield name, json.dumps(sizes | settings | {"model_type": name}).encode() + b"\0layers.0.mlp.experts.3.up_proj.weight"
    yield "gpt2", json.dumps({"model_type": "gpt2", "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64,
                              "vocab_size": 100, "activation_function": "gelu_new"}).encode() + b"\0h.1.attn.bias"
    encoder = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2, "num_attention_heads": 4,
               "max_position_embeddings": 64, "vocab_size": 100, "hidden_act": "gelu", "pad_token_id": 1,
               "layer_norm_eps": 1e-12, "id2label": {"0": "a", "1": "b"}, "problem_type": "regression"}
    for name, head in (("bert", "classifier.weight"), ("roberta", "classifier.out_proj.bias")):
        config = encoder | {"model_type": name, "architectures": ["XForSequenceClassification"]}
        yield name, json.dumps(config).encode() + b"\0" + name.encode() + b".encoder.layer.1.output.LayerNorm.gamma"
        yield name + "-head", json.dumps(config).encode() + b"\0" + head.encode()
    modern = sizes | {"model_type": "modernbert", "hidden_activation": "gelu", "classifier_pooling": "mean",
                      "layer_types": ["full_attention", "sliding_attention"], "architectures": ["XForSequenceClassification"],
                      "rope_parameters": {"sliding_attention": {"rope_theta": 1e4, "rope_type": "default"}}}
    yield "modernbert", json.dumps(modern).encode() + b"\0layers.1.mlp.Wi.weight"
    yield "modernbert-head", json.dumps(modern | {"layer_types": None}).encode() + b"\0head.norm.weight"
    distilled = {"model_type": "distilbert", "dim": 32, "hidden_dim": 48, "n_layers": 2, "n_heads": 4, "vocab_size": 100,
                 "max_position_embeddings": 64, "activation": "gelu"}
    nomic = {"model_type": "nomic_bert", "n_embd": 32, "n_head": 4, "n_layer": 2, "n_inner": 48, "n_positions": 64,
             "vocab_size": 100, "activation_function": "swiglu", "rotary_emb_base": 1000, "rotary_emb_fraction": 1.0}
    yield "nomic", json.dumps(nomic).encode() + b"\0encoder.layers.1.mlp.fc12.weight"
    yield "distilbert", json.dumps(distilled).encode() + b"\0distilbert.transformer.layer.1.ffn.lin1.bias"
    yield "awq", json.dumps(sizes | {"model_type": "llama", "quantization_config": {"quant_method": "awq"}}).encode()


def seeds_hub_modules():
    def module(path, name):
        return {"idx": 0, "name": "0", "path": path, "type": "sentence_transformers.models." + name}

    lists = {"all": [module("", "Transformer"), module("1_Pooling", "Pooling"), module("2_Normalize", "Normalize")],
             "out": [module("", "Transformer"), module("../1", "Pooling")], "dense": [module("", "Dense")], "none": []}
    pooling = {"all": {"word_embedding_dimension": 32, "pooling_mode_cls_token": True, "pooling_mode_max_tokens": False},
               "out": {"pooling_mode": ["lasttoken"]}, "dense": {"pooling_mode": "max"}, "none": {}}
    for name, modules in lists.items():
        parts = [modules, pooling[name], {"max_seq_length": 256 if name == "all" else None, "do_lower_case": True},
                 {"model_max_length": 10**30 if name == "dense" else 512}]
        yield name, b"\0".join(json.dumps(part).encode() for part in parts)
    parts = [[module("", "Transformer"), module("1_LogitScore", "LogitScore")],
             {"true_token_id": 9693, "false_token_id": None}, {}, {},
             {"model_type": "CrossEncoder", "activation_fn": "torch.nn.modules.linear.Identity"}]
    yield "cross", b"\0".join(json.dumps(part).encode() for part in parts)


def charsmap():
    """Two strings, one of which begins with the other: a double array as SentencePiece has it, and texts."""
    units = [0] * 16
    units[0] = 1 << 10                      # children of the root are units 1 ^ byte
    units[1 ^ 0x0c] = 0x0c | 1 << 8 | (13 ^ 4) << 10    # a leaf in unit 4, children in units 4 ^ byte
    units[4] = 1 << 31                      # the first text
    units[4 ^ 0x0a] = 0x0a | 1 << 8 | (14 ^ 2) << 10
    units[2] = 1 << 31 | 3                  # the second
    return struct.pack("<I16I", 64, *units) + "\u00e9\0x\0".encode()


def seeds_charsmap():
    for text in (b"\x0c", b"\x0c\x0aa", b"a\x0c\x0c\x0a"):
        yield "text-%d" % len(text), bytes([len(text)]) + charsmap() + text
    yield "cut", b"\x02" + charsmap()[:40] + b"\x0c\x0a"
    yield "long", b"\x01" + charsmap() + b"x" * 100 + b"\x0c"


def seeds_tokenizer_json():
    settings = {"bos_token": "<s>", "eos_token": {"content": "</s>"}, "add_bos_token": True,
                "model_max_length": 10**30, "chat_template": PROGRAMS["chatml"]}
    added = [{"id": 0, "content": "<s>", "special": True}, {"id": 1, "content": "</s>", "special": True, "rstrip": True}]
    template = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "<s>"}}, {"Sequence": {"id": "A"}}],
                "special_tokens": {"<s>": {"ids": [0]}}}
    level = {"type": "ByteLevel", "add_prefix_space": False}

    def tokenizer(model, pre=None, normalizer=None, post=template):
        return json.dumps({"added_tokens": added, "normalizer": normalizer, "pre_tokenizer": pre, "model": model,
                           "post_processor": post}).encode() + b"\0" + json.dumps(settings).encode()

    words = ["<s>", "</s>", "a", "b", "ab", "\u0120", "\u0120a", "t", "h", "e", "th", "the"]
    bpe = {"type": "BPE", "vocab": {w: i for i, w in enumerate(words)}, "merges": ["a b", "\u0120 a", "t h", "th e"]}
    yield "bytes", tokenizer(bpe, level, {"type": "NFC"})
    yield "digits", tokenizer(bpe | {"merges": [["a", "b"]]}, {"type": "Sequence", "pretokenizers": [
        {"type": "Digits", "individual_digits": True}, level]})
    spm = {w: i for i, w in enumerate(["<s>", "</s>", "<unk>"] + ["<0x%02X>" % b for b in range(256)] +
                                      ["a", "\u2581", "\u2581a", "aa"])}
    model = {"type": "BPE", "byte_fallback": True, "unk_token": "<unk>", "vocab": spm, "merges": ["\u2581 a", "a a"]}
    replace = {"type": "Replace", "pattern": {"String": " "}, "content": "\u2581"}
    yield "spm", tokenizer(model, None, {"type": "Sequence", "normalizers": [
        {"type": "Prepend", "prepend": "\u2581"}, replace]})
    yield "gemma", tokenizer(model, {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithPrevious",
                                     "invert": False}, replace)
    yield "metaspace", tokenizer(model, {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "first"})
    bert = {"type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##",
            "vocab": {w: i for i, w in enumerate(["<s>", "</s>", "[UNK]", "the", "##s", "##\u2581", "a"])}}
    yield "bert", tokenizer(bert, {"type": "BertPreTokenizer"}, {"type": "BertNormalizer", "lowercase": True},
                            {"type": "BertProcessing", "sep": ["</s>", 1], "cls": ["<s>", 0]})
    yield "ids", tokenizer(bpe | {"vocab": {"a": 4000000000, "b": -1}}, level)
    yield "unigram", tokenizer({"type": "Unigram", "vocab": [["a", -1.5]]})
    pieces = ["<s>", "</s>", "<unk>", "\u2581", "\u2581the", "a", "aa", "th", "e", "1", "\u00e9"]
    unigram = {"type": "Unigram", "unk_id": 2, "vocab": [[p, -1.5 * i] for i, p in enumerate(pieces)]}
    metaspace = {"type": "Metaspace", "replacement": "\u2581", "prepend_scheme": "always"}
    mapped = {"type": "Precompiled", "precompiled_charsmap": base64.b64encode(charsmap()).decode()}
    yield "unigram-map", tokenizer(unigram, metaspace, {"type": "Sequence", "normalizers": [
        mapped, {"type": "Strip", "strip_left": True, "strip_right": True},
        {"type": "Replace", "pattern": {"Regex": " {2,}"}, "content": "\u2581"}]})
    yield "unigram-words", tokenizer(unigram, {"type": "Sequence", "pretokenizers": [
        {"type": "WhitespaceSplit"}, metaspace | {"prepend_scheme": "never", "split": False}]})


def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


LLAMA, MIXTRAL, QWEN, PHI, GPT = range(5)  # models of lora_fuzz.h


def seeds_lora():
    def adapter(arch, pairs, more=(), kind=F32, type_id=0):
        keys = [key("general.type", STRING, "adapter"), key("general.architecture", STRING, arch),
                key("adapter.type", STRING, "lora"), key("adapter.lora.alpha", kind, 8), *more]
        infos, data = [], b""
        for name, rows, cols, rank in pairs:
            for half, dims in (("a", [cols, rank]), ("b", [rank, rows])):
                infos.append(tensor("%s.weight.lora_%s" % (name, half), dims, type_id, len(data)))
                size = dims[0] * dims[1] * 4 if type_id == 0 else dims[0] * dims[1] // 32 * 34
                data += bytes((7 * i) % 61 for i in range(size)) + bytes(-size % 32)
        return gguf(keys, infos, data)

    layer = [("blk.0.attn_q", 128, 64, 2), ("blk.0.attn_k", 64, 64, 2), ("blk.0.attn_v", 64, 64, 1),
             ("blk.1.attn_output", 64, 128, 3), ("blk.1.ffn_gate", 96, 64, 2), ("blk.1.ffn_up", 96, 64, 2),
             ("blk.1.ffn_down", 64, 96, 2), ("output", 48, 64, 2)]
    yield "llama", bytes([LLAMA]) + adapter("llama", layer)
    yield "qwen2", bytes([QWEN]) + adapter("qwen2", layer[:3])
    yield "phi3", bytes([PHI]) + adapter("phi3", [("blk.0.attn_qkv", 128, 64, 2), ("blk.0.ffn_up", 192, 64, 2)])
    yield "gpt2", bytes([GPT]) + adapter("gpt2", [("blk.0.attn_qkv", 192, 64, 1), ("blk.0.ffn_up", 96, 64, 1)])
    yield "q8_0", bytes([LLAMA]) + adapter("llama", [("blk.0.attn_q", 128, 64, 32)], type_id=8)
    yield "experts", bytes([MIXTRAL]) + adapter("llama", [("blk.0.ffn_up", 96, 64, 2)])
    yield "experts-attention", bytes([MIXTRAL]) + adapter("llama", layer[:3])
    yield "twice", bytes([PHI]) + adapter("phi3", [("blk.0.attn_qkv", 128, 64, 2), ("blk.0.attn_q", 64, 64, 2)])
    yield "embedding", bytes([LLAMA]) + adapter("llama", [("token_embd", 48, 64, 2)])
    yield "no-layer", bytes([LLAMA]) + adapter("llama", [("blk.2.attn_q", 128, 64, 2)])
    yield "huge-rank", bytes([LLAMA]) + adapter("llama", [("blk.0.attn_q", 1, 1, 4097)])
    yield "alpha", bytes([LLAMA]) + adapter("llama", layer[:1], kind=U32)
    yield "alora", bytes([LLAMA]) + adapter("llama", layer[:1], [array("adapter.alora.invocation_tokens", U32, [1])])
    yield "other-arch", bytes([QWEN]) + adapter("llama", layer[:1])
    yield "empty", bytes([LLAMA]) + adapter("llama", [])


def seeds_lora_peft():
    def adapter(model, config, pairs, dtype="F32", size=4, prefix="base_model.model.model."):
        header, at = {}, 0
        for name, rows, cols, rank in pairs:
            for half, shape in (("A", [rank, cols]), ("B", [rows, rank])):
                end = at + shape[0] * shape[1] * size
                header["%s%s.lora_%s.weight" % (prefix, name, half)] = {
                    "dtype": dtype, "shape": shape, "data_offsets": [at, end]}
                at = end
        data = bytes((7 * i) % 61 for i in range(at))
        return bytes([model]) + json.dumps({"peft_type": "LORA"} | config).encode() + b"\0" + safetensors(header, data)

    layer = [("layers.0.self_attn.q_proj", 128, 64, 2), ("layers.0.self_attn.k_proj", 64, 64, 2),
             ("layers.0.self_attn.v_proj", 64, 64, 1), ("layers.1.self_attn.o_proj", 64, 128, 3),
             ("layers.1.mlp.gate_proj", 96, 64, 2), ("layers.1.mlp.up_proj", 96, 64, 2),
             ("layers.1.mlp.down_proj", 64, 96, 2)]
    yield "llama", adapter(LLAMA, {"r": 2, "lora_alpha": 16}, layer)
    yield "bf16", adapter(QWEN, {"lora_alpha": 16, "use_rslora": True}, layer[:3], "BF16", 2)
    yield "patterns", adapter(LLAMA, {"alpha_pattern": {"q_proj": 4, "layers.1.mlp.gate_proj": 2}}, layer)
    yield "pattern-regex", adapter(LLAMA, {"alpha_pattern": {"^.*q_proj": 4}}, layer[:1])
    yield "phi3", adapter(PHI, {}, [("layers.0.self_attn.qkv_proj", 128, 64, 2), ("layers.0.mlp.gate_up_proj", 192, 64, 2)])
    yield "any-arch", adapter(0x80, {}, layer[:1])
    yield "dora", adapter(LLAMA, {"use_dora": True}, layer[:1])
    yield "bias", adapter(LLAMA, {"bias": "lora_only"}, layer[:1])
    yield "pissa", adapter(LLAMA, {"init_lora_weights": "pissa_niter_4"}, layer[:1])
    yield "f64", adapter(LLAMA, {}, layer[:1], "F64", 8)
    yield "embedding", adapter(LLAMA, {}, [("embed_tokens", 48, 64, 2)])
    yield "head", adapter(LLAMA, {}, [("lm_head", 48, 64, 2)], prefix="base_model.model.")
    yield "no-prefix", adapter(LLAMA, {}, layer[:1], prefix="")
    yield "wrong-shape", adapter(LLAMA, {}, [("layers.0.self_attn.q_proj", 127, 64, 2)])
    yield "alpha-text", adapter(LLAMA, {"lora_alpha": "16"}, layer[:1])
    yield "no-tensors", adapter(LLAMA, {}, [])


def seeds_netlink():
    def region(kind, name, size):
        return attr(kind, attr(2, name + b"\0") + attr(3, struct.pack("<Q", size)))

    quota = b"".join(attr(kind, struct.pack("<I", 7)) for kind in (2, 3, 4, 11)) + \
        b"".join(attr(kind, struct.pack("<Q", 1 << 40)) for kind in (5, 6, 7, 8)) + attr(10, b"\1") + \
        region(9, b"host", 1 << 31) + region(9, b"cuda0", 2**64 - 1)
    usage = b"".join(attr(kind, struct.pack("<I", 3)) for kind in (2, 3, 4)) + \
        b"".join(attr(kind, struct.pack("<Q", 12345)) for kind in range(5, 15)) + region(15, b"host", 9)
    pressure = b"".join(attr(kind, struct.pack("<Q", 1) if kind in (2, 6) else struct.pack("<I", 99))
                        for kind in range(2, 10))
    ids = attr(2, struct.pack("<Q", 77)) + attr(3, struct.pack("<Q", 1))
    yield "group", b"\0" + ids + attr(4, quota) + attr(5, usage) + attr(6, pressure)
    yield "regions", b"\0" + ids + attr(4, region(9, b"r", 1) * 17)
    yield "nested", b"\0" + ids + attr(4 | 0x8000, quota) + attr(40, b"later")
    event = attr(2, struct.pack("<I", 5)) + attr(3, struct.pack("<Q", 1)) + \
        attr(4, struct.pack("<Q", 77)) + attr(6, struct.pack("<I", 1000)) + attr(8, struct.pack("<Q", 3))
    yield "event", b"\1" + attr(8, event)
    yield "short", b"\1" + attr(8, attr(2, b"\1\0"))


def seeds_quota_file():
    yield "all", (b"; users\n[/user.slice/user-*.slice]\nweight = 300\ntokens-per-second=12.5\n"
                  b"burst = 1000 ; plenty\nin-flight=4\nqueued=max\ncompute=500ms/1s\n"
                  b"memory.host=2G\nmemory.cuda0 = max\nshare-cache=yes\n[/]\nprompt-cost=0.25\n")
    yield "share", b"[/a/[bx]*/system-x\\x2dy.slice/]\n  compute = 12.5%\n[/b]\n"
    yield "wrong", b"[/a]\nweight = x\n"
    yield "no-section", b"weight = 1\n"
    yield "up", b"[/a/../b]\n"
    yield "nul", b"[/a]\nwei\0ght = 1\n"
    yield "long", b"[/" + b"x" * 300 + b"]\nweight = " + b"1" * 300 + b"\n"


def seeds_policy():
    # any bytes are a run; these are long enough to get everywhere
    for number in range(12):
        yield str(number), random.Random(number).randbytes(1500 + 500 * number)


def seeds_gbnf():
    yield "choice", b'root ::= "yes" | "no" # or\n  | other\nother ::= [^a-z\\n\\x41\\u00e9-\\u00ff]{2,5} .?'
    yield "expression", (b'root ::= e ("=" e)* "\\n"\ne ::= t ([-+*/] t)*\n'
                         b't ::= [0-9]+ | "(" e ")" | [a-z] [a-z0-9_]*\n')
    yield "ambiguous", b'root ::= "a" root "x" | "a" root "y" | "a" root | ""'
    yield "nested", b'root ::= ((((("a"?)*)+){1,3})?){0} | ("b"{2} "c"{,3}){1,}'
    yield "left", b'root ::= x\nx ::= y "a"\ny ::= ""? x'
    yield "endless", b'root ::= "a" root'
    yield "wrong", b'root ::= ("a" | [b'


def option(kind, data=b""):
    return struct.pack("<II", kind, len(data)) + data


def seeds_options():
    # the first byte is the operation: generate, score, embed, classify; 128: and goes on past an end
    end, one = option(0), struct.pack("<I", 1)
    adapter = struct.pack("<i", 1000000)
    yield "none", b"\0" + end + b"the text"
    yield "json", b"\0" + option(1) + end + b"the text"
    yield "schema", b"\0" + option(2, b'{"type":"integer","minimum":3}') + end
    yield "grammar", b"\0" + option(3, b'root ::= "a" | [b-z]+') + end + b"the text"
    yield "grammar-endless", b"\x80" + option(1) + end
    yield "two-grammars", b"\0" + option(1) + option(3, b'root ::= "a"') + end
    yield "adapters", b"\1" + b"".join(option(4, adapter + b"a%d" % i) for i in range(4)) + end
    yield "adapters-5", b"\0" + b"".join(option(4, adapter + b"a%d" % i) for i in range(5)) + end
    yield "adapter-twice", b"\0" + option(4, adapter + b"a") * 2 + end
    yield "adapter-name", b"\0" + option(4, adapter + b"x" * 80) + end
    yield "vectors", b"\2" + option(16, one) + option(17, one) + option(18, one) + option(19) + end
    yield "labels", b"\3" + option(20, b"what is it?") + option(19) + end + b"\1\0\0\0x"
    yield "labels-pooling", b"\3" + option(16, one) + end
    yield "cut", b"\2" + struct.pack("<II", 16, 4) + b"\1"
    yield "long", b"\0" + struct.pack("<II", 3, 2**32 - 1) + b"root"
    yield "no-end", b"\0" + option(4, adapter + b"a")
    yield "end-with-data", b"\0" + option(0, b"x")
    yield "shift", b"\0" + option(5, struct.pack("<I", 100)) + end
    yield "shift-twice", b"\0" + option(5) * 2 + end
    yield "unknown", b"\0" + option(6) + end


def seeds_schema():
    yield "object", (b'{"type":"object","properties":{"a":{"type":"integer","minimum":-3,"maximum":1234},'
                     b'"b":{"type":"string","minLength":1,"maxLength":9},"c":{"$ref":"#/$defs/c"}},'
                     b'"required":["b"],"additionalProperties":{"type":"null"},'
                     b'"$defs":{"c":{"type":"array","items":{"$ref":"#"},"maxItems":3}}}')
    yield "values", b'{"enum":[1,-2.5,"a\\u00e9\\n",null,{"k":[true]}],"type":["integer","string"]}'
    yield "any", b'{"anyOf":[{"const":1},{"type":"string","format":"date-time"}],"title":"t"}'
    yield "one", (b'{"oneOf":[{"type":"object","properties":{"t":{"const":1}},"required":["t"]},'
                  b'{"type":"object","properties":{"t":{"const":2}},"required":["t"]}]}')
    yield "all", (b'{"allOf":[{"properties":{"a":{"type":"number"}},"required":["a"]},'
                  b'{"properties":{"a":{"type":"integer","exclusiveMinimum":0.5}}}]}')
    yield "tuple", b'{"type":"array","prefixItems":[true,{}],"items":false,"minItems":1}'
    yield "pattern", b'{"pattern":"^(?:[a-z\\\\d]+?|x{2,3})*\\\\.\\\\u0041$|b"}'
    yield "regex", b"^(a|[^b-d\\w\\]])+\\x41\\S{1,3}.*?$|\\u{1f600}"
    yield "circle", b'{"$ref":"#/$defs/a","$defs":{"a":{"$ref":"#/$defs/a"}}}'
    yield "wrong", b'{"type":'


def main():
    corpora = {"gbnf": seeds_gbnf(), "schema": seeds_schema(), "options": seeds_options(), "gguf": seeds_gguf(), "tok_spm": seeds_texts([0, 2, 1]), "chat": seeds_chat(),
               "tok_bpe": seeds_texts([0, 4, 10, 12, 16, 22]), "tok_wordpiece": seeds_texts([0, 3]),
               "tok_unigram": seeds_texts([0, 3]), "charsmap": seeds_charsmap(),
               "safetensors": seeds_safetensors(), "hub_config": seeds_hub_config(),
               "hub_modules": seeds_hub_modules(),
               "tokenizer_json": seeds_tokenizer_json(),
               "lora": seeds_lora(), "lora_peft": seeds_lora_peft(), "netlink": seeds_netlink(), "quota_file": seeds_quota_file(),
               "policy": seeds_policy()}
    for name, seeds in corpora.items():
        folder = ROOT / name
        folder.mkdir(parents=True, exist_ok=True)
        for seed, data in seeds:
            (folder / ("seed-" + seed)).write_bytes(data)


if __name__ == "__main__":
    main()
