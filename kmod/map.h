/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Buffers as the server sees them: pages of /dev/llmd, to be mapped by the process that serves, and
 * by nobody else. A mapping outlives its buffer as a range of addresses where nothing is (SIGBUS);
 * a child does not inherit it, and it can not be made writable if it was not.
 */
#ifndef LLM_MAP_H
#define LLM_MAP_H

struct address_space;
struct llm_buffer;
struct llm_server;
struct vm_area_struct;

int llm_map(struct llm_server *server, struct vm_area_struct *vma);
void llm_map_begin(struct address_space *space);
void llm_map_revoke(struct llm_buffer *buffer);
void llm_map_revoke_all(void);
void llm_map_end(void);

#endif /* LLM_MAP_H */
