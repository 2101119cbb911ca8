/* SPDX-License-Identifier: MIT */
/*
 * A model as hubs have it: a folder with config.json, weights in model.safetensors (or in several
 * such files that model.safetensors.index.json lists), and a tokenizer in tokenizer.json. It is
 * presented as the GGUF file that the same model would be: the same keys, the same names of tensors,
 * so that everybody who reads a model has one way to do it. Weights stay in the files' mappings
 * wherever the two formats lay them out alike; vectors that differ are copies.
 */
#ifndef LLMOS_MODEL_HUB_H
#define LLMOS_MODEL_HUB_H

#include "model/gguf.h"

#define HUB_CONFIG	"config.json"		/* what makes a folder a model */
#define HUB_WEIGHTS	"model.safetensors"
#define HUB_INDEX	"model.safetensors.index.json"

/**
 * hub_open() - open a folder
 *
 * Return: 0; what open() gives for a file of it, -EBADMSG one is broken (the text says which and
 * where), -EOPNOTSUPP an architecture, variant, weight type or tokenizer that is not supported,
 * -E2BIG a file of settings that no model has, -ENOMEM.
 */
int hub_open(struct gguf **ret, const char *folder, struct error *error);

/** model_file_open() - a folder as hub_open() has it, anything else as gguf_open() */
int model_file_open(struct gguf **ret, const char *path, struct error *error);

#endif /* LLMOS_MODEL_HUB_H */
