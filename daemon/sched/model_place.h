/* SPDX-License-Identifier: MIT */
/*
 * Where a model lies: a file NAME.gguf in the models folder, or else a folder NAME with what a hub
 * has about it, or else files NAME-00001-of-00003.gguf and so on. Each must lie inside the models
 * folder after all links, and so must each file of a folder. Adapters lie in a folder of their own
 * in the same way. Used by the scheduler's models and adapters alone.
 */
#ifndef LLMOS_SCHED_MODEL_PLACE_H
#define LLMOS_SCHED_MODEL_PLACE_H

#include "base/util.h"

/**
 * struct model_place - what was found
 * @path: of the file, the first of the files, or the folder, resolved; owned. NULL: it can't be used
 * @size_bytes: of the weights' files
 * @device: the disk that they are on, or the first of them, as st_dev; 0: none was found
 * @changed_ns: when the last of its files changed, also by a change of its rights
 */
struct model_place {
	char *path;
	uint64_t size_bytes;
	uint64_t device;
	uint64_t changed_ns;
};

/**
 * model_place_name() - the model that an entry of the models folder is, or is a part of
 * @marker: the file that makes a folder a model, or an adapter
 *
 * Return: 0; -ENOENT it is none, -ENAMETOOLONG its name does not fit.
 */
int model_place_name(const char *directory, const char *marker, const char *entry, char *name,
		     size_t size);

/**
 * model_place_find() - look for a model
 * @directory: the models folder, resolved
 * @marker: as in model_place_name()
 *
 * Return: 0; -ENOENT nothing of this name, -EPERM it points out of the folder, -EBADMSG not a file,
 * or one of several is missing, -ENOMEM. What is known of it is in *ret all the same.
 */
int model_place_find(const char *directory, const char *marker, const char *name,
		     struct model_place *ret, struct error *error);

#endif /* LLMOS_SCHED_MODEL_PLACE_H */
