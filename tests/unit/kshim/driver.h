/* SPDX-License-Identifier: MIT */
/*
 * Drives the module's request logic from a string of bytes, random ones or a fuzzer's: clients and
 * servers come and go, commands of every kind are made, some well-formed and some as the
 * bytes have it, calls park and are woken, cancelled or abandoned, allocations and copies fail,
 * limits and times change. After each step the whole of the broker is checked, and each byte that a
 * reader gets is compared with the one that was committed for it.
 */
#ifndef DRIVER_H
#define DRIVER_H

#include <stddef.h>
#include <stdint.h>

/* What happened, so that a test can see that it happened at all. */
struct driver_stats {
	unsigned long steps;
	unsigned long submitted;
	unsigned long delivered;
	unsigned long committed;
	unsigned long bytes_read;
	unsigned long ends_read;
	unsigned long parked;
	unsigned long paused;
	unsigned long cancelled;
	unsigned long recovered;
	unsigned long refused;
	unsigned long short_of_memory;
	unsigned long reclaimed;
	unsigned long quotas;
	unsigned long told;
	unsigned long buffer_uses;
	unsigned long session_turns;
	unsigned long session_ends;
	unsigned long session_bytes;
};

/* Runs to the end of the bytes, takes everything down again, and ends the program if anything was
 * wrong or is left.
 */
void driver_run(const uint8_t *data, size_t len, struct driver_stats *ret_stats);

#endif /* DRIVER_H */
