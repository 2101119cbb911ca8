/* SPDX-License-Identifier: MIT */
/* /dev/llm as a file: write a prompt, read the answer until its end. */
#ifndef LLMOS_TEST_FILE_H
#define LLMOS_TEST_FILE_H

#include "e2e.h"

/* 0; -errno of open, write or read; what was read is in @answer */
int file_ask(struct e2e_answer *answer, const char *prompt);

#endif /* LLMOS_TEST_FILE_H */
