/* SPDX-License-Identifier: MIT */
/*
 * A circular doubly linked list, embedded in what it links. An element may be removed without
 * knowing which list it is in; an unlinked one points at itself.
 */
#ifndef LLMOS_LIST_H
#define LLMOS_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct llmos_list {
	struct llmos_list *next;
	struct llmos_list *prev;
};

static inline void llmos_list_init(struct llmos_list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool llmos_list_empty(const struct llmos_list *list)
{
	return list->next == list;
}

static inline void llmos_list_remove(struct llmos_list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	llmos_list_init(link);
}

static inline void llmos_list_append(struct llmos_list *list, struct llmos_list *link)
{
	link->prev = list->prev;
	link->next = list;
	list->prev->next = link;
	list->prev = link;
}

/* move all of @from to the end of @to */
static inline void llmos_list_splice(struct llmos_list *to, struct llmos_list *from)
{
	if (llmos_list_empty(from))
		return;
	from->next->prev = to->prev;
	to->prev->next = from->next;
	from->prev->next = to;
	to->prev = from->prev;
	llmos_list_init(from);
}

#define llmos_container(ptr, type, member) ((type *)((char *)(ptr) - offsetof(type, member)))

#endif /* LLMOS_LIST_H */
