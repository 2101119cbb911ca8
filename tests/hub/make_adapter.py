#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Makes the adapters in tests/hub/adapters, and the logits of tests/hub/llama with each of them.

Made with peft 0.21.2, transformers 5.23.0 and torch 2.13.0. Run from the root of the sources.
"""
import json
import pathlib
import shutil

import numpy as np
import peft
import torch
import transformers

HERE = pathlib.Path("tests/hub")
ADAPTERS = {
    "plain": {"r": 4, "lora_alpha": 6, "target_modules": ["q_proj", "v_proj"]},
    "pattern": {"r": 3, "lora_alpha": 5, "use_rslora": True,
                "target_modules": ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj",
                                   "lm_head"],
                "rank_pattern": {"k_proj": 2, "layers.1.mlp.up_proj": 1},
                "alpha_pattern": {"down_proj": 7, "layers.0.self_attn.q_proj": 2}},
}


def save(name, settings, seed):
    folder = HERE / "adapters" / name
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(seed)
    model = transformers.LlamaForCausalLM.from_pretrained(HERE / "llama", dtype=torch.bfloat16)
    model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **settings))
    with torch.no_grad():
        for key, value in model.named_parameters():
            if "lora_" in key:
                value.copy_(torch.randn_like(value) * 0.3)
    model.save_pretrained(folder)
    (folder / "README.md").unlink(missing_ok=True)
    config = json.loads((folder / "adapter_config.json").read_text())
    config["base_model_name_or_path"] = "llama"
    (folder / "adapter_config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    facts = json.loads((HERE / "llama" / "logits.json").read_text())
    with torch.no_grad():
        logits = model.to(torch.float64).eval()(torch.tensor([facts["ids"]])).logits[0].numpy()
    logits[facts["rows"]].astype(np.float32).tofile(folder / "logits.f32")


def main():
    for seed, (name, settings) in enumerate(ADAPTERS.items(), 23):
        save(name, settings, seed)


if __name__ == "__main__":
    main()
