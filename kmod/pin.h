/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Pages of a process, pinned for as long as a buffer is registered: FOLL_LONGTERM, so they stay
 * what and where they are whatever becomes of the addresses or the file they came from, and a
 * forked child gets copies. They are billed to the user's RLIMIT_MEMLOCK, together with what
 * io_uring has pinned for him.
 */
#ifndef LLM_PIN_H
#define LLM_PIN_H

#include <linux/types.h>
#include <linux/uio.h>

struct file;
struct folio;
struct mm_struct;
struct page;
struct user_struct;

/**
 * struct llm_pin - pinned pages; constant but for llm_pin_release()
 * @pages: in the order of their bytes
 * @count: of them
 * @folios: those they belong to, where they came from a file; each is pinned once
 * @folio_count: of them
 * @billed: pages; more than @count where they are parts of larger folios
 * @write: they may be written
 * @file: was promised that it will be written; NULL: none was
 * @user: who is billed; NULL: he may pin as much as he likes
 * @mm: of the process that has them pinned
 */
struct llm_pin {
	struct page **pages;
	unsigned long count;
	struct folio **folios;
	unsigned long folio_count;
	unsigned long billed;
	bool write;
	struct file *file;
	struct user_struct *user;
	struct mm_struct *mm;
};

int llm_pin_memory(struct llm_pin *pin, u64 addr, u64 len, bool write);
int llm_pin_memfd(struct llm_pin *pin, int fd, u64 offset, u64 len, bool write);
void llm_pin_release(struct llm_pin *pin);
size_t llm_pin_copy(const struct llm_pin *pin, u64 offset, size_t len, struct iov_iter *to);

#endif /* LLM_PIN_H */
