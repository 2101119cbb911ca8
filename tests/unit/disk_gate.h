/* SPDX-License-Identifier: MIT */
/*
 * A disk that waits for the test: pread(2), pwrite(2) and open(2) with O_TMPFILE of the program it
 * is linked to stand before a gate, and it remembers in which order the former two came through.
 */
#ifndef TESTS_DISK_GATE_H
#define TESTS_DISK_GATE_H

#include <stddef.h>

/** disk_gate_close() - from now on nobody passes; what passes later is counted in pages */
void disk_gate_close(size_t page_bytes);
/** disk_gate_open() - everybody does, as at first, and who stood before it has passed it */
void disk_gate_open(void);
/** disk_gate_wait() - until a thread stands before it */
void disk_gate_wait(void);
/** disk_gate_moves() - since it was closed: "w1 r0 ": page 1 was written, page 0 read */
const char *disk_gate_moves(void);
/** disk_gate_file() - a descriptor of the file without a name in @folder, or -1 */
int disk_gate_file(const char *folder);

#endif /* TESTS_DISK_GATE_H */
