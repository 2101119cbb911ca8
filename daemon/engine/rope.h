/* SPDX-License-Identifier: MIT */
/*
 * Rotary position embedding: by which angle each pair of a head's elements turns at a position. The
 * frequencies are worked out at load, in double; immutable afterwards.
 */
#ifndef LLMOS_ENGINE_ROPE_H
#define LLMOS_ENGINE_ROPE_H

#include "base/util.h"
#include "model/model.h"

/**
 * struct rope - angles of @pairs pairs
 * @freq: (pairs) radians per position
 * @magnitude: that cosines and sines are multiplied by
 */
struct rope {
	uint32_t pairs;
	double magnitude;
	double *freq;
};

int rope_open(struct rope *rope, const struct model_rope *config);
void rope_close(struct rope *rope);

/** rope_angles() - cos, sin (pairs each) at one position */
void rope_angles(const struct rope *rope, uint32_t position, float *cos, float *sin);

#endif /* LLMOS_ENGINE_ROPE_H */
