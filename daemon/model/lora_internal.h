/* SPDX-License-Identifier: MIT */
/* What the files of lora share. No one else includes this, but for tests and fuzzing. */
#ifndef LLMOS_MODEL_LORA_INTERNAL_H
#define LLMOS_MODEL_LORA_INTERNAL_H

#include <jansson.h>

#include "model/gguf.h"
#include "model/lora.h"

#define LORA_CONFIG	"adapter_config.json"
#define LORA_WEIGHTS	"adapter_model.safetensors"
#define LORA_SUFFIX_A	".lora_a"
#define LORA_SUFFIX_B	".lora_b"

struct safetensors;

/**
 * struct lora_file - an adapter's tensors by their names in GGUF
 * @gguf: owned
 * @scales: (tensors of @gguf) scale of the pair whose A a tensor is; NULL: the keys of @gguf say it
 * @is_neox: rows of queries and keys are in the order in which the pairs of a head that are turned
 *	together are half a head apart
 */
struct lora_file {
	struct gguf *gguf;
	float *scales;
	bool is_neox;
};

/** lora_file_open() - a GGUF file, or a folder, for models of @arch; NULL: any, for its facts alone */
int lora_file_open(struct lora_file *ret, const char *path, const char *arch, struct error *error);
void lora_file_close(struct lora_file *file);
/** lora_file_check() - is an open GGUF file an adapter, of @arch or any? 0 or -EOPNOTSUPP */
int lora_file_check(struct lora_file *ret, const char *arch, struct error *error);
/** lora_file_info() - as lora_read_info(), of an open file */
void lora_file_info(const struct lora_file *file, struct lora_info *ret);

/** lora_bind() - check an open file against a model, and copy what it holds */
int lora_bind(struct lora **ret, const struct lora_file *file, const struct model *model,
	      struct error *error);

/**
 * lora_peft_open() - read a folder that PEFT wrote
 * @arch: of the model, as GGUF names it; NULL: tensors keep their names, for their facts alone
 */
int lora_peft_open(struct lora_file *ret, const char *folder, const char *arch,
		   struct error *error);

/**
 * struct lora_peft - what adapter_config.json says
 * @json: that it stands in
 * @alpha: what the scale is made of
 * @is_root: the scale is alpha / sqrt(r), else alpha / r
 */
struct lora_peft {
	const json_t *json;
	double alpha;
	bool is_root;
};

/** lora_peft_config() - read settings; 0 or what is not supported, by its key */
int lora_peft_config(struct lora_peft *ret, const json_t *json, struct error *error);
/** lora_peft_alpha() - of a module by its name without prefix and suffix; 0 or -EOPNOTSUPP */
int lora_peft_alpha(const struct lora_peft *peft, const char *module, double *ret,
		    struct error *error);
/** lora_peft_tensors() - the tensors of an open file, for a model of @arch or NULL */
int lora_peft_tensors(struct lora_file *file, const struct lora_peft *peft,
		      const struct safetensors *tensors, const char *arch, struct error *error);

#endif /* LLMOS_MODEL_LORA_INTERNAL_H */
