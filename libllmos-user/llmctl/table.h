/* SPDX-License-Identifier: MIT */
/*
 * A table for people: columns as wide as they need, cut to the terminal where they are too wide.
 */
#ifndef LLMCTL_TABLE_H
#define LLMCTL_TABLE_H

#include <stdbool.h>
#include <stddef.h>

#define TABLE_COLUMNS_MAX	12

/**
 * struct table_column - a column
 * @title: its head
 * @right: numbers stand at the right
 * @shrink: may be cut to this many columns, 0: never
 * @keep_end: cut at the front: the end of a path tells more
 */
struct table_column {
	const char *title;
	bool right;
	size_t shrink;
	bool keep_end;
};

struct table;

struct table *table_new(const struct table_column *columns, size_t count);
void table_free(struct table *table);
/* the next cell, row by row; without memory the table is empty and prints an error */
__attribute__((format(printf, 2, 3)))
void table_add(struct table *table, const char *format, ...);
/* 0, -ENOMEM, -errno of the output */
int table_print(struct table *table);

static inline void table_freep(struct table **table)
{
	table_free(*table);
}

/* "1.5G", "134.5M", "2048": a number in units of 1000 or 1024, in five columns */
void format_units(char buf[16], unsigned long long number, unsigned int unit);
/* "3s", "2m07s", "4h12m", "3d04h" */
void format_age(char buf[16], unsigned long long ns);

#endif /* LLMCTL_TABLE_H */
