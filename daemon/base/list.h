/* SPDX-License-Identifier: MIT */
/*
 * A doubly linked list whose links lie inside its members, so that joining and leaving allocate
 * nothing and can't fail. A struct list is a head or a link; a link that is in no list points at itself.
 */
#ifndef LLMOS_BASE_LIST_H
#define LLMOS_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
	struct list *next;
	struct list *prev;
};

#define LIST_INIT(list)	{ &(list), &(list) }

static inline void list_init(struct list *list)
{
	list->next = list;
	list->prev = list;
}

static inline bool list_empty(const struct list *list)
{
	return list->next == list;
}

/** list_insert() - put @link right before @at; before a head is at the end of the list */
static inline void list_insert(struct list *at, struct list *link)
{
	link->next = at;
	link->prev = at->prev;
	at->prev->next = link;
	at->prev = link;
}

/** list_append() - @link becomes the last of @head */
static inline void list_append(struct list *head, struct list *link)
{
	list_insert(head, link);
}

/** list_remove() - leave whatever list @link is in; it may be in none */
static inline void list_remove(struct list *link)
{
	link->prev->next = link->next;
	link->next->prev = link->prev;
	list_init(link);
}

/** list_move() - leave one list, become the last of another */
static inline void list_move(struct list *head, struct list *link)
{
	list_remove(link);
	list_append(head, link);
}

#define container_of(ptr, type, member)	((type *)((char *)(ptr) - offsetof(type, member)))

#define list_first(head, type, member)	container_of((head)->next, type, member)
#define list_last(head, type, member)	container_of((head)->prev, type, member)

/** list_each() - for each member; the loop must not remove any */
#define list_each(pos, head, member)						\
	for (pos = list_first(head, __typeof__(*pos), member); &pos->member != (head);	\
	     pos = list_first(&pos->member, __typeof__(*pos), member))

/** list_each_safe() - for each member; the loop may remove @pos, but not @tmp */
#define list_each_safe(pos, tmp, head, member)					\
	for (pos = list_first(head, __typeof__(*pos), member),			\
	     tmp = list_first(&pos->member, __typeof__(*pos), member);		\
	     &pos->member != (head);						\
	     pos = tmp, tmp = list_first(&tmp->member, __typeof__(*tmp), member))

#endif /* LLMOS_BASE_LIST_H */
