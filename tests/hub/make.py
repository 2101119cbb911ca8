#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the models and tokenizers in this folder, and what transformers and tokenizers say to them.

Made with transformers 5.23.0, tokenizers 0.23.3 and torch 2.13.0 on their authors' defaults. Run from
the root of the sources; tests/peers/hub.py has what it uses.
"""
import argparse
import json
import pathlib
import sys

import numpy as np

sys.path.insert(0, "tests/peers")
import hub  # noqa: E402

HERE = pathlib.Path("tests/hub")
ARGUMENTS = argparse.Namespace(data="tests/hub/none")   # the strings that go wrong easily, and no corpora
SENTENCES = ["the cat sat on the mat and the dog sat on the log", "it's 12 o'clock, and the rain has stopped",
             "une \u00e9toile, \u65e5\u672c", "what the rain said to the dog"] * 20


def train_small(make, which, vocab, more=()):
    """The same kind of tokenizer with a smaller vocabulary."""
    from tokenizers import trainers
    limits = {"BpeTrainer": vocab, "WordPieceTrainer": vocab}
    kept = {}
    for name, size in limits.items():
        kept[name] = getattr(trainers, name)

        def small(*arguments, name=name, size=size, **settings):
            return kept[name](*arguments, **(settings | {"vocab_size": size}))
        setattr(trainers, name, small)
    hub.corpus = lambda _: SENTENCES + list(more)
    tokenizer = make(ARGUMENTS, which)
    for name, trainer in kept.items():
        setattr(trainers, name, trainer)
    return tokenizer


def write_json(path, value):
    path.write_text(json.dumps(value, ensure_ascii=True, separators=(",", ":")) + "\n")


def save_ids(folder, tokenizer):
    texts = hub.NASTY + SENTENCES[:4] + (hub.MAPPED if folder.name == "unigram" else [])
    encoded = tokenizer.encode_batch(texts)
    write_json(folder / "ids.json", [[t, e.ids] for t, e in zip(texts, encoded)])


def save_tokenizer(name, tokenizer):
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    save_ids(folder, tokenizer)


def save_model():
    import torch
    import transformers
    folder = HERE / "llama"
    folder.mkdir(exist_ok=True)
    tokenizer = train_small(hub.make_bytes, "llama3", 300)
    rope = hub.LLAMA3 | {"original_max_position_embeddings": 32}
    config = transformers.LlamaConfig(vocab_size=310, hidden_size=32, intermediate_size=48, num_hidden_layers=2,
                                      num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=128,
                                      rope_parameters=rope, bos_token_id=0, eos_token_id=[1, 300])
    torch.manual_seed(5)
    model = transformers.LlamaForCausalLM(config)
    with torch.no_grad():
        for _, value in model.named_parameters():
            value.mul_(4) if value.ndim > 1 else value.add_(torch.randn_like(value) * 0.2)
    model = model.to(torch.bfloat16)
    model.save_pretrained(folder, max_shard_size="30KB")
    (folder / "generation_config.json").unlink()
    save_tokenizer("llama", tokenizer)
    write_json(folder / "tokenizer_config.json", {
        "bos_token": "<s>", "eos_token": {"content": "</s>", "special": True},
        "model_max_length": 1000000000000000019884624838656,
        "chat_template": "{% for message in messages %}{{'<|im_start|>' + message['role'] + '\n' + "
                         "message['content'] + '<|im_end|>' + '\n'}}{% endfor %}{{ '<|im_start|>assistant\n' }}"})
    ids = [(7 * i * i + 3 * i) % 310 for i in range(40)]
    with torch.no_grad():
        logits = model.to(torch.float64).eval()(torch.tensor([ids])).logits[0].numpy()
    rows = [0, 1, 17, 39]
    logits[rows].astype(np.float32).tofile(folder / "logits.f32")
    write_json(folder / "logits.json", {"ids": ids, "rows": rows, "rms": float(np.sqrt((logits ** 2).mean()))})


TEXTS = ["the cat sat on the mat", "it's 12 o'clock, and the Rain has stopped", "\u00e9toile", "what", "the dog " * 12]


def randomise(model):
    import torch
    with torch.no_grad():
        for _, value in model.named_parameters():
            value.mul_(6) if value.ndim > 1 else value.add_(torch.randn_like(value) * 0.2)
    return model


def save_facts(folder, model, tokenizer, settings, output, texts=TEXTS):
    """What @output makes of the model's answer, for each text and for each behind a query, in float64."""
    import torch
    model.save_pretrained(folder)
    write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    for name, content in settings.items():
        (folder / name).parent.mkdir(exist_ok=True)
        write_json(folder / name, content)
    model, facts = model.to(torch.float64).eval(), []
    for query in (None, "the dog"):
        for text in texts:
            encoded = tokenizer.encode(*((query, text) if query else (text,)))
            kinds = getattr(model.config, "type_vocab_size", 0)     # some models have none at all
            types = {"token_type_ids": torch.tensor([encoded.type_ids]) * (kinds > 1)} if kinds else {}
            with torch.no_grad():
                answer = model(input_ids=torch.tensor([encoded.ids]), **types)
            facts.append({"query": query, "text": text, "ids": encoded.ids,
                          "values": [round(float(x), 9) for x in output(answer)]})
    write_json(folder / "facts.json", facts)


def save_encoders():
    import torch
    import transformers
    from tokenizers import processors
    words = make_words()
    pieces = train_small(hub.make_bytes, "gpt2", 300)
    pieces.post_processor = processors.RobertaProcessing(("</s>", 1), ("<s>", 0), add_prefix_space=False)
    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_attention_heads": 2}
    torch.manual_seed(11)
    bert = sizes | {"vocab_size": words.get_vocab_size(), "max_position_embeddings": 64, "num_hidden_layers": 2}
    transformer = "sentence_transformers.models."
    save_facts(HERE / "encoder", randomise(transformers.BertModel(transformers.BertConfig(**bert))), words, {
        "modules.json": [{"idx": 0, "name": "0", "path": "", "type": transformer + "Transformer"},
                         {"idx": 1, "name": "1", "path": "1_Pooling", "type": transformer + "Pooling"},
                         {"idx": 2, "name": "2", "path": "2_Normalize", "type": transformer + "Normalize"}],
        "sentence_bert_config.json": {"max_seq_length": 48, "do_lower_case": True},
        "tokenizer_config.json": {"do_lower_case": True, "cls_token": "[CLS]", "sep_token": "[SEP]"},
        "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_cls_token": True,
                                  "pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": False},
    }, lambda answer: answer.last_hidden_state[0, 0])
    config = transformers.BertConfig(**(bert | {"num_hidden_layers": 1, "problem_type": "multi_label_classification"}),
                                     id2label={0: "calm", 1: "angry", 2: "\u00e9mu"})
    save_facts(HERE / "labels", randomise(transformers.BertForSequenceClassification(config)), words, {},
               lambda answer: answer.logits[0])
    config = transformers.RobertaConfig(**(sizes | {"vocab_size": 310, "max_position_embeddings": 66,
                                                    "num_hidden_layers": 1, "type_vocab_size": 1,
                                                    "layer_norm_eps": 1e-5, "bos_token_id": 0,
                                                    "eos_token_id": 1, "pad_token_id": 2}), num_labels=1)
    save_facts(HERE / "reranker", randomise(transformers.RobertaForSequenceClassification(config)), pieces,
               {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"}}, lambda answer: answer.logits[0])


def make_unigram(which):
    hub.corpus = lambda _: SENTENCES
    return hub.make_unigram(ARGUMENTS, which, 120, hub.RULES)


def save_multilingual():
    """XLM-RoBERTa: the architecture of RoBERTa, another tokenizer, and type ids that are all the same."""
    import torch
    import transformers
    torch.manual_seed(12)
    pieces = make_unigram("xlmr")
    config = transformers.XLMRobertaConfig(
        vocab_size=pieces.get_vocab_size(), hidden_size=32, intermediate_size=48, num_attention_heads=2,
        num_hidden_layers=1, max_position_embeddings=66, type_vocab_size=1, layer_norm_eps=1e-5, bos_token_id=0,
        pad_token_id=1, eos_token_id=2, num_labels=1)
    save_facts(HERE / "multilingual", randomise(transformers.XLMRobertaForSequenceClassification(config)), pieces,
               {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>"}}, lambda answer: answer.logits[0])


def make_words():
    from tokenizers import processors
    words = train_small(hub.make_wordpiece, "uncased", 120)
    words.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)])
    return words


def save_distilled():
    """DistilBERT: names of its own, no types of tokens, and no tanh before its labels."""
    import torch
    import transformers
    torch.manual_seed(13)
    words = make_words()
    config = transformers.DistilBertConfig(vocab_size=words.get_vocab_size(), max_position_embeddings=64, dim=32,
                                           hidden_dim=48, n_heads=2, n_layers=1, num_labels=2)
    save_facts(HERE / "distilled", randomise(transformers.DistilBertForSequenceClassification(config)), words, {},
               lambda answer: answer.logits[0])


def save_modern():
    """ModernBERT with windows that are shorter than its texts, and labels of the mean of all tokens."""
    import torch
    import transformers
    from tokenizers import processors
    torch.manual_seed(14)
    pieces = train_small(hub.make_bytes, "gpt2", 300)
    pieces.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> $B </s>", special_tokens=[("<s>", 0), ("</s>", 1)])
    config = transformers.ModernBertConfig(
        vocab_size=pieces.get_vocab_size() + 2, hidden_size=32, intermediate_size=48, num_attention_heads=2,
        num_hidden_layers=4, max_position_embeddings=128, local_attention=8, num_labels=2, classifier_pooling="mean",
        pad_token_id=0, bos_token_id=0, cls_token_id=0, eos_token_id=1, sep_token_id=1)
    config._attn_implementation = "eager"
    save_facts(HERE / "modern", randomise(transformers.ModernBertForSequenceClassification(config)), pieces,
               {"tokenizer_config.json": {"cls_token": "<s>", "sep_token": "</s>"}}, lambda answer: answer.logits[0])


def save_nomic():
    """nomic-bert, whose tensors transformers saves by the names that its authors gave."""
    import torch
    import transformers
    torch.manual_seed(15)
    words = make_words()
    config = transformers.NomicBertConfig(vocab_size=words.get_vocab_size(), hidden_size=32, intermediate_size=48,
                                          num_attention_heads=2, num_hidden_layers=2, max_position_embeddings=64)
    config._attn_implementation = "eager"
    save_facts(HERE / "nomic", randomise(transformers.NomicBertModel(config)), words, {},
               lambda answer: answer.last_hidden_state[0, 0])


def save_mpnet():
    """MPNet: what is added to scores goes by distances, which its long text has all of; no types of tokens."""
    import tokenizers
    import torch
    import transformers
    from tokenizers import processors
    torch.manual_seed(17)
    text = make_words().to_str()
    for old, new in (("[PAD]", "<s>"), ("[UNK]", "<pad>"), ("[CLS]", "</s>"), ("[SEP]", "[UNK]")):
        text = text.replace(old, new)
    words = tokenizers.Tokenizer.from_str(text.replace('"unk_token":"<pad>"', '"unk_token":"[UNK]"'))
    words.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", pair="<s> $A </s> </s> $B:1 </s>:1", special_tokens=[("<s>", 0), ("</s>", 2)])
    config = transformers.MPNetConfig(vocab_size=words.get_vocab_size(), hidden_size=32, intermediate_size=48,
                                      num_attention_heads=2, num_hidden_layers=2, max_position_embeddings=322,
                                      bos_token_id=0, pad_token_id=1, eos_token_id=2, layer_norm_eps=1e-5)
    config._attn_implementation = "eager"
    settings = {"tokenizer_config.json": {"bos_token": "<s>", "eos_token": "</s>", "cls_token": "<s>",
                                          "sep_token": "</s>", "unk_token": "[UNK]", "do_lower_case": True}}
    save_facts(HERE / "mpnet", randomise(transformers.MPNetModel(config)), words, settings,
               lambda answer: answer.last_hidden_state[0, 0], TEXTS + ["the cat said it " * 70])


def save_qwen():
    """Qwen 3 as its embedding models are, and as its rerankers: a decoder that answers with yes or no."""
    import torch
    import transformers
    from tokenizers import AddedToken, processors
    torch.manual_seed(16)
    pieces = train_small(hub.make_bytes, "qwen2", 290, ["yes", "no"] * 2000)
    ends = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
    pieces.add_special_tokens([AddedToken(t, normalized=False) for t in ends])
    pieces.add_tokens([AddedToken(t, normalized=False) for t in ("<think>", "</think>")])
    end, _, turn = (pieces.token_to_id(t) for t in ends)
    sizes = {"vocab_size": 304, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 1,
             "num_attention_heads": 2, "num_key_value_heads": 1, "head_dim": 16, "max_position_embeddings": 512,
             "bos_token_id": end, "eos_token_id": turn, "pad_token_id": None}
    settings = {"tokenizer_config.json": {"eos_token": "<|im_end|>", "pad_token": "<|endoftext|>",
                                          "add_bos_token": False}}
    for tied, name in ((True, "qwen3-reranker"), (False, "qwen3-reranker-untied")):
        model = randomise(transformers.Qwen3ForCausalLM(transformers.Qwen3Config(**sizes, tie_word_embeddings=tied)))
        with torch.no_grad():
            model.model.norm.weight.mul_(0.25)      # logits as large as those of real models
        save_ranker(HERE / name, model, pieces, settings)
    # what is behind a text is not what ends an answer
    single = "$A " + ends[0]
    template = processors.TemplateProcessing(single=single, pair=single + " $B " + ends[0],
                                             special_tokens=[(ends[0], end)])
    pieces.post_processor = processors.Sequence([processors.ByteLevel(trim_offsets=False), template])
    settings |= {"modules.json": [{"idx": 0, "path": "", "type": "sentence_transformers.models.Transformer"},
                                  {"idx": 1, "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
                                  {"idx": 2, "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"}],
                 "1_Pooling/config.json": {"word_embedding_dimension": 32, "pooling_mode_lasttoken": True,
                                           "pooling_mode_mean_tokens": False},
                 "config_sentence_transformers.json": {"prompts": {"query": "Query: "}, "default_prompt_name": None}}
    save_facts(HERE / "qwen3-embedding", randomise(transformers.Qwen3Model(transformers.Qwen3Config(**sizes))), pieces,
               settings, lambda answer: answer.last_hidden_state[0, -1])


# the words of Qwen3-Reranker's card
RANK = ("<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the Instruct "
        "provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n<Instruct>: Given "
        "a web search query, retrieve relevant passages that answer the query\n<Query>: {query}\n<Document>: {document}"
        "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n")


def save_ranker(folder, model, tokenizer, settings):
    """How much more a model would say yes than no, in float64."""
    import torch
    model.save_pretrained(folder)
    (folder / "generation_config.json").unlink()
    write_json(folder / "tokenizer.json", json.loads(tokenizer.to_str()))
    for name, content in settings.items():
        write_json(folder / name, content)
    model, facts = model.to(torch.float64).eval(), []
    yes, no = tokenizer.token_to_id("yes"), tokenizer.token_to_id("no")
    for query in ("the dog", "  what?\n"):
        for text in TEXTS + ["\n the log"]:
            ids = tokenizer.encode(RANK.format(query=query, document=text)).ids
            with torch.no_grad():
                logits = model(input_ids=torch.tensor([ids])).logits[0, -1]
            facts.append({"query": query, "text": text, "ids": ids, "values": [round(float(logits[yes] - logits[no]), 9)]})
    write_json(folder / "facts.json", facts)


# what llama.cpp's converter calls things; "#" is the number of a layer
GGUF_NAMES = {
    "embeddings.word_embeddings": "token_embd", "embeddings.position_embeddings": "position_embd",
    "embeddings.token_type_embeddings": "token_types", "embeddings.LayerNorm": "token_embd_norm",
    "encoder.layer.#.attention.self.query": "blk.#.attn_q", "encoder.layer.#.attention.self.key": "blk.#.attn_k",
    "encoder.layer.#.attention.self.value": "blk.#.attn_v", "encoder.layer.#.attention.output.dense": "blk.#.attn_output",
    "encoder.layer.#.attention.output.LayerNorm": "blk.#.attn_output_norm",
    "encoder.layer.#.intermediate.dense": "blk.#.ffn_up", "encoder.layer.#.output.dense": "blk.#.ffn_down",
    "encoder.layer.#.output.LayerNorm": "blk.#.layer_output_norm", "classifier.dense": "cls",
    "classifier.out_proj": "cls.output", "embed_tokens": "token_embd", "norm": "output_norm",
    "layers.#.self_attn.q_proj": "blk.#.attn_q", "layers.#.self_attn.k_proj": "blk.#.attn_k",
    "layers.#.self_attn.v_proj": "blk.#.attn_v", "layers.#.self_attn.o_proj": "blk.#.attn_output",
    "layers.#.self_attn.q_norm": "blk.#.attn_q_norm", "layers.#.self_attn.k_norm": "blk.#.attn_k_norm",
    "layers.#.mlp.gate_proj": "blk.#.ffn_gate", "layers.#.mlp.up_proj": "blk.#.ffn_up",
    "layers.#.mlp.down_proj": "blk.#.ffn_down", "layers.#.input_layernorm": "blk.#.attn_norm",
    "layers.#.post_attention_layernorm": "blk.#.ffn_norm"}


def gguf_name(name):
    import re
    name, kind = re.sub(r"^(roberta|model)\.", "", name).rsplit(".", 1)
    number = "".join(re.findall(r"\.(\d+)\.", name)[:1])
    return GGUF_NAMES[re.sub(r"\.\d+\.", ".#.", name)].replace("#", number) + "." + kind


def gguf_begin(folder, arch, positions):
    """A file with the sizes of a folder's model, and what of it has been read."""
    import gguf
    from safetensors.numpy import load_file
    config, tokenizer = (json.loads((folder / name).read_text()) for name in ("config.json", "tokenizer.json"))
    file = gguf.GGUFWriter(folder.with_suffix(".gguf"), arch)
    file.add_context_length(positions)
    file.add_block_count(config["num_hidden_layers"])
    file.add_embedding_length(config["hidden_size"])
    file.add_feed_forward_length(config["intermediate_size"])
    file.add_head_count(config["num_attention_heads"])
    file.add_pooling_type(gguf.PoolingType.RANK)
    return file, config, tokenizer, load_file(folder / "model.safetensors")


def gguf_end(file):
    file.write_header_to_file()
    file.write_kv_data_to_file()
    file.write_tensors_to_file()
    file.close()


def save_gguf_multilingual():
    """XLM-RoBERTa: a unigram vocabulary with its map, and no rows of positions that no token has."""
    import base64
    file, config, tokenizer, tensors = gguf_begin(HERE / "multilingual", "bert", 64)
    file.add_layer_norm_eps(config["layer_norm_eps"])
    file.add_causal_attention(False)
    file.add_token_type_count(1)
    vocab, special = tokenizer["model"]["vocab"], {a["id"] for a in tokenizer["added_tokens"]}
    file.add_tokenizer_model("t5")
    file.add_token_list([piece.encode() for piece, _ in vocab])
    file.add_token_scores([score for _, score in vocab])
    unknown = tokenizer["model"]["unk_id"]
    file.add_token_types([2 if i == unknown else 3 if i in special else 1 for i in range(len(vocab))])
    file.add_add_space_prefix(True)
    file.add_remove_extra_whitespaces(True)
    file.add_precompiled_charsmap(base64.b64decode(tokenizer["normalizer"]["precompiled_charsmap"]))
    file.add_bos_token_id(0)
    file.add_eos_token_id(2)
    file.add_unk_token_id(unknown)
    file.add_add_bos_token(True)
    file.add_add_eos_token(True)
    for name, value in tensors.items():
        value = value[config["pad_token_id"] + 1:] if "position" in name else value
        file.add_tensor(gguf_name(name), np.ascontiguousarray(value))
    gguf_end(file)


def save_gguf_qwen():
    """Qwen3-Reranker: two rows of its output, and the words in which it is asked."""
    file, config, tokenizer, tensors = gguf_begin(HERE / "qwen3-reranker", "qwen3", 512)
    file.add_head_count_kv(config["num_key_value_heads"])
    file.add_layer_norm_rms_eps(config["rms_norm_eps"])
    file.add_rope_freq_base(config["rope_parameters"]["rope_theta"])
    file.add_key_length(config["head_dim"])
    file.add_value_length(config["head_dim"])
    file.add_classifier_output_labels(["yes", "no"])
    file.add_chat_template([{"name": "rerank", "template": RANK}])
    vocab, added = tokenizer["model"]["vocab"], {a["id"]: a for a in tokenizer["added_tokens"]}
    texts = {i: text for text, i in vocab.items()} | {i: a["content"] for i, a in added.items()}
    ids = range(config["vocab_size"])
    file.add_tokenizer_model("gpt2")
    file.add_tokenizer_pre("qwen2")
    file.add_token_list([texts.get(i, f"[PAD{i}]").encode() for i in ids])
    file.add_token_types([(3 if added[i]["special"] else 4) if i in added else 1 if i in texts else 5 for i in ids])
    file.add_token_merges([" ".join(pair) for pair in tokenizer["model"]["merges"]])
    file.add_eos_token_id(config["eos_token_id"])
    file.add_add_bos_token(False)
    for name, value in tensors.items():
        file.add_tensor(gguf_name(name), value)
        if name == "model.embed_tokens.weight":
            file.add_tensor("cls.output.weight", value[[vocab["yes"], vocab["no"]]])
    gguf_end(file)


def main():
    save_model()
    save_encoders()
    save_multilingual()
    save_distilled()
    save_modern()
    save_nomic()
    save_mpnet()
    save_qwen()
    save_gguf_multilingual()
    save_gguf_qwen()
    save_tokenizer("unigram", make_unigram("later"))
    save_tokenizer("unigram-first", make_unigram("first"))
    save_tokenizer("bytes", train_small(hub.make_bytes, "qwen2", 300))
    save_tokenizer("spm", train_small(hub.make_spm, "llama2", 340))
    save_tokenizer("spm-first", train_small(hub.make_spm, "first-split", 340))
    save_tokenizer("wordpiece", train_small(hub.make_wordpiece, "uncased", 120))


if __name__ == "__main__":
    main()
