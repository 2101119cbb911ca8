/* SPDX-License-Identifier: MIT */
/* What the truth is about: a text that is scored, and a prompt that is written to the file. */
#ifndef LLMOS_TEST_TRUTH_H
#define LLMOS_TEST_TRUTH_H

extern const char truth_text[];
extern const char truth_file_prompt[];

#endif /* LLMOS_TEST_TRUTH_H */
