#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Compares vectors and labels of hubs' folders with the programs that write such folders.

Random models of the shapes of MiniLM, BGE and their like, saved by transformers with the settings that
sentence-transformers puts beside them, are asked by llmctl and compared with transformers in float64.
Needs torch, transformers and tokenizers; run by hand from the root of the sources after make:

    tests/peers/encoders.py [--build build] [--data ../shared/data] [NAME]...
"""
import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import numpy as np

import hub

WIDE = {"hidden_size": 384, "intermediate_size": 1536, "num_hidden_layers": 6, "num_attention_heads": 12,
        "max_position_embeddings": 512}
# windows of 32: its texts are longer
MODERN = {"hidden_size": 384, "intermediate_size": 576, "num_hidden_layers": 5, "num_attention_heads": 6,
          "max_position_embeddings": 1024, "local_attention": 32, "pad_token_id": 0, "bos_token_id": 0, "eos_token_id": 1,
          "cls_token_id": 0, "sep_token_id": 1}
QWEN = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 3, "num_attention_heads": 4,
        "num_key_value_heads": 2, "head_dim": 32, "max_position_embeddings": 1024, "num_labels": 3}
# heads of 5 to 12 elements
NARROW = {"hidden_size": 20, "intermediate_size": 33, "num_hidden_layers": 3, "num_attention_heads": 4,
          "max_position_embeddings": 512}
ODD = {"hidden_size": 36, "intermediate_size": 70, "num_hidden_layers": 3, "num_attention_heads": 4,
       "num_key_value_heads": 1, "max_position_embeddings": 1024}
# name: class of transformers, its configuration, settings, tokenizer, dtype, pooling or command, bound
MODELS = {
    "bert-f32": ("BertModel", "BertConfig", WIDE, "words", "float32", "mean", 1e-5),
    "bert-f16": ("BertModel", "BertConfig", WIDE, "words", "float16", "cls", 9e-4),
    "bert-bf16": ("BertModel", "BertConfig", WIDE, "words", "bfloat16", "cls", 7e-3),
    "roberta": ("RobertaModel", "RobertaConfig", WIDE | {"type_vocab_size": 1, "num_hidden_layers": 3}, "pieces",
                "float32", "mean", 1e-5),
    "mpnet": ("MPNetModel", "MPNetConfig", WIDE | {"num_hidden_layers": 3, "max_position_embeddings": 514,
                                                   "bos_token_id": 0, "pad_token_id": 1, "eos_token_id": 2}, "apart",
              "float32", "mean", 1e-5),
    "bert-rank": ("BertForSequenceClassification", "BertConfig", WIDE | {"num_labels": 1, "num_hidden_layers": 3},
                  "words", "float32", "rank", 1e-5),
    "xlmr": ("XLMRobertaModel", "XLMRobertaConfig", WIDE | {"type_vocab_size": 1, "num_hidden_layers": 3}, "unigram",
             "float32", "mean", 1e-5),
    "xlmr-rank": ("XLMRobertaForSequenceClassification", "XLMRobertaConfig",
                  WIDE | {"type_vocab_size": 1, "num_hidden_layers": 3, "num_labels": 1}, "unigram", "float32", "rank", 1e-5),
    "distilbert": ("DistilBertForSequenceClassification", "DistilBertConfig",
                   {"dim": 384, "hidden_dim": 1536, "n_layers": 3, "n_heads": 12, "num_labels": 2}, "words", "float32",
                   "classify", 1e-5),
    "modernbert": ("ModernBertModel", "ModernBertConfig", MODERN, "plain", "float32", "mean", 1e-5),
    "modernbert-labels": ("ModernBertForSequenceClassification", "ModernBertConfig",
                          MODERN | {"num_labels": 3, "classifier_pooling": "mean"}, "plain", "float32", "classify", 1e-5),
    "bert-narrow": ("BertModel", "BertConfig", NARROW | {"hidden_act": "gelu_new"}, "words", "float32", "mean", 1e-5),
    "mpnet-narrow": ("MPNetModel", "MPNetConfig", NARROW | {"max_position_embeddings": 514, "bos_token_id": 0,
                                                            "pad_token_id": 1, "eos_token_id": 2}, "apart", "float32",
                     "mean", 1e-5),
    "modernbert-narrow": ("ModernBertModel", "ModernBertConfig",
                          MODERN | {"hidden_size": 60, "num_attention_heads": 5, "hidden_activation": "silu"}, "plain",
                          "float32", "mean", 1e-5),
    "qwen2-narrow": ("Qwen2Model", "Qwen2Config", ODD | {"hidden_size": 48}, "plain", "float32", "lasttoken", 1e-5),
    "mistral": ("MistralModel", "MistralConfig", ODD | {"head_dim": 10, "sliding_window": 12}, "plain", "float32", "mean",
                1e-5),
    "gemma2-labels": ("Gemma2ForSequenceClassification", "Gemma2Config",
                      ODD | {"head_dim": 12, "sliding_window": 9, "num_labels": 4}, "plain", "float32", "classify", 1e-5),
    "gpt2-labels": ("GPT2ForSequenceClassification", "GPT2Config",
                    {"n_embd": 36, "n_layer": 2, "n_head": 4, "n_positions": 1024, "num_labels": 2}, "plain", "float32",
                    "classify", 1e-5),
    "qwen3": ("Qwen3Model", "Qwen3Config", QWEN, "plain", "float32", "lasttoken", 1e-5),
    "qwen3-labels": ("Qwen3ForSequenceClassification", "Qwen3Config", QWEN, "plain", "float32", "classify", 1e-5),
}


def make_tokenizer(arguments, which):
    from tokenizers import processors
    if which == "words":
        tok = hub.make_wordpiece(arguments, "uncased")
        tok.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
        return tok
    if which == "unigram":
        return hub.make_unigram(arguments, "xlmr")
    if which == "apart":    # words of BERT, tokens of RoBERTa: number 1 has no position
        import tokenizers
        text = hub.make_wordpiece(arguments, "uncased").to_str()
        for old, new in (("[PAD]", "<s>"), ("[UNK]", "<pad>"), ("[CLS]", "</s>"), ("[SEP]", "[UNK]")):
            text = text.replace(old, new)
        tok = tokenizers.Tokenizer.from_str(text.replace('"unk_token":"<pad>"', '"unk_token":"[UNK]"'))
        tok.post_processor = processors.TemplateProcessing(
            single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)])
        return tok
    tok = hub.make_bytes(arguments, "gpt2")
    if which == "pieces":
        tok.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    return tok


def make_model(name, folder, tok):
    import torch
    import transformers
    class_, config_class, sizes, which, dtype, how, _ = MODELS[name]
    settings = sizes | {"vocab_size": tok.get_vocab_size() + 2}
    if which == "pieces":   # positions begin behind the padding token's number
        pad = tok.get_vocab_size()
        settings |= {"pad_token_id": pad, "max_position_embeddings": 512 + pad + 1, "bos_token_id": 0, "eos_token_id": 1}
    if which == "unigram":
        settings |= {"pad_token_id": 1, "max_position_embeddings": 514, "bos_token_id": 0, "eos_token_id": 2}
    config = getattr(transformers, config_class)(**settings)
    if which == "plain" and "pad_token_id" not in sizes:
        config.pad_token_id = None
    config._attn_implementation = "eager"
    torch.manual_seed(sum(map(ord, name)))
    model = getattr(transformers, class_)(config)
    with torch.no_grad():
        for value in model.parameters():
            value.mul_(2) if value.ndim > 1 else value.add_(torch.randn_like(value) * 0.1)
    model = model.to(getattr(torch, dtype))
    model.save_pretrained(folder)
    tok.save(str(folder / "tokenizer.json"))
    if how not in ("rank", "classify"):
        modules = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
        (folder / "1_Pooling").mkdir()
        (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode": how}))
        (folder / "modules.json").write_text(json.dumps([{"path": p, "type": "models." + t} for p, t in modules]))
    return model.to(torch.float64).eval()


def wanted(model, tok, how, texts):
    import torch
    out = []
    for text in texts:
        encoded = tok.encode(texts[0], text) if how == "rank" else tok.encode(text)
        kinds = getattr(model.config, "type_vocab_size", 0)
        types = {"token_type_ids": torch.tensor([encoded.type_ids])} if how == "rank" and kinds > 1 else {}
        with torch.no_grad():
            answer = model(input_ids=torch.tensor([encoded.ids]), **types)
        if how in ("rank", "classify"):
            out.append(answer.logits[0].numpy())
            continue
        hidden = answer.last_hidden_state[0]
        vector = {"cls": hidden[0], "mean": hidden.mean(0), "lasttoken": hidden[-1]}[how].numpy()
        out.append(vector / np.linalg.norm(vector))
    return np.array(out)


def ctl(arguments, address, how, name, texts):
    command = how if how in ("rank", "classify") else "embed"
    done = subprocess.run([arguments.build + "/llmctl", command, "-a", address, "-m", name, "-j", "-0"] +
                          (["--", texts[0]] if how == "rank" else []), input="\0".join(texts).encode(),
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    if done.returncode:
        raise RuntimeError(done.stderr.decode().strip())
    answer = json.loads(done.stdout)
    if how == "rank":
        return np.array([[x["logit"]] for x in sorted(answer, key=lambda x: x["index"])])
    if how == "classify":
        return np.array([[label["logit"] for label in text] for text in answer])
    return np.array(answer["embeddings"])


def make_texts(arguments):
    path = pathlib.Path(arguments.data) / "corpora" / "wikitext-2.test.txt"
    lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else hub.NASTY
    lines = [line for line in lines if len(line) > 20 and "<" not in line][:24]
    return [line[:40 + 37 * i % 600] for i, line in enumerate(lines)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--build", default="build")
    parser.add_argument("--data", default="../shared/data")
    parser.add_argument("names", nargs="*", metavar="NAME")
    arguments = parser.parse_args()
    texts, want = make_texts(arguments), {}
    with tempfile.TemporaryDirectory() as where:
        address = "unix:" + where + "/socket"
        for name in arguments.names or MODELS:
            folder = pathlib.Path(where, "models", name)
            folder.mkdir(parents=True)
            tok = make_tokenizer(arguments, MODELS[name][3])
            want[name] = wanted(make_model(name, folder, tok), tok, MODELS[name][5], texts)
        daemon = subprocess.Popen([arguments.build + "/llmosd", "--config=/dev/null", "--device=none", "--listen",
                                   address, "--models", where + "/models"], stderr=subprocess.DEVNULL)
        try:
            while not os.path.exists(where + "/socket") and daemon.poll() is None:
                time.sleep(0.05)
            for name in want:
                got = ctl(arguments, address, MODELS[name][5], name, texts)
                error = np.sqrt(((got - want[name]) ** 2).sum() / (want[name] ** 2).sum())
                hub.report(name, error <= MODELS[name][6], "relative rms %.2e of at most %.0e, %d texts" %
                           (error, MODELS[name][6], len(texts)))
        finally:
            daemon.terminate()
            daemon.wait()
    return 1 if hub.FAILED else 0


if __name__ == "__main__":
    sys.exit(main())
