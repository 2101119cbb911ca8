/* SPDX-License-Identifier: MIT */
/*
 * Tables. Cells are kept until all are known, then widths are fitted to the terminal and the rows
 * printed.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "llmctl.h"
#include "table.h"
#include "term.h"

#define TABLE_GAP	2

/**
 * struct table - a table
 * @columns: what they are
 * @column_count: number of them
 * @cells: cleaned text, row by row; owned
 * @cell_count: number of them
 * @failed: no memory was left
 */
struct table {
	const struct table_column *columns;
	size_t column_count;
	char **cells;
	size_t cell_count;
	bool failed;
};

struct table *table_new(const struct table_column *columns, size_t count)
{
	struct table *table = calloc(1, sizeof(*table));

	if (!table)
		return NULL;
	table->columns = columns;
	table->column_count = count;
	return table;
}

void table_free(struct table *table)
{
	size_t i;

	if (!table)
		return;
	for (i = 0; i < table->cell_count; i++)
		free(table->cells[i]);
	free(table->cells);
	free(table);
}

static int table_append(struct table *table, char *cell)
{
	char **grown;

	if (!(table->cell_count & (table->cell_count - 1))) {
		grown = reallocarray(table->cells, table->cell_count ? table->cell_count * 2 : 1,
				     sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		table->cells = grown;
	}
	table->cells[table->cell_count++] = cell;
	return 0;
}

void table_add(struct table *table, const char *format, ...)
{
	char *text = NULL, *cell;
	size_t len;
	va_list ap;
	int n;

	if (!table)
		return;
	va_start(ap, format);
	n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		table->failed = true;
		return;
	}
	len = 4 * (size_t)n + 17;
	cell = malloc(len);
	if (cell)
		term_clean(cell, len, text, n);
	free(text);
	if (!cell || table_append(table, cell) < 0) {
		free(cell);
		table->failed = true;
	}
}

static size_t text_width(const char *text)
{
	return term_width(text, strlen(text));
}

static void table_measure(const struct table *table, size_t widths[TABLE_COLUMNS_MAX])
{
	size_t i, width;

	for (i = 0; i < table->column_count; i++)
		widths[i] = text_width(table->columns[i].title);
	for (i = 0; i < table->cell_count; i++) {
		size_t *column = &widths[i % table->column_count];

		width = text_width(table->cells[i]);
		if (width > *column)
			*column = width;
	}
}

/* take columns from the widest of those that may shrink until the row fits */
static void table_fit(const struct table *table, size_t widths[TABLE_COLUMNS_MAX], size_t columns)
{
	size_t total, widest, i;

	for (;;) {
		widest = table->column_count;
		total = TABLE_GAP * (table->column_count - 1);
		for (i = 0; i < table->column_count; i++) {
			size_t least = table->columns[i].shrink;

			total += widths[i];
			if (least && widths[i] > least &&
			    (widest == table->column_count || widths[i] > widths[widest]))
				widest = i;
		}
		if (total <= columns || widest == table->column_count)
			return;
		widths[widest]--;
	}
}

static void pad(size_t count)
{
	while (count--)
		putchar(' ');
}

/* the first or last characters of a text that fit, with a mark where it was cut */
static void print_cut(const char *text, size_t width, bool keep_end)
{
	size_t len = strlen(text), n, columns = 1;
	int32_t c;

	if (keep_end) {
		while (text_width(text) > width - 1 && (n = utf8_next(text, strlen(text), &c)))
			text += n;
		printf("~%s", text);
		pad(width - 1 - text_width(text));
		return;
	}
	while ((n = utf8_next(text, len, &c)) && columns + term_width(text, n) <= width) {
		columns += term_width(text, n);
		fwrite(text, 1, n, stdout);
		text += n;
		len -= n;
	}
	putchar('~');
	pad(width - columns);
}

static void print_cell(const struct table_column *column, const char *text, size_t width, bool last)
{
	size_t own = text_width(text);

	if (own > width) {
		print_cut(text, width, column->keep_end);
	} else if (column->right) {
		pad(width - own);
		fputs(text, stdout);
	} else {
		fputs(text, stdout);
		if (!last)
			pad(width - own);
	}
	if (last)
		putchar('\n');
	else
		pad(TABLE_GAP);
}

int table_print(struct table *table)
{
	size_t widths[TABLE_COLUMNS_MAX], i, column;

	if (!table || table->failed)
		return -ENOMEM;
	table_measure(table, widths);
	table_fit(table, widths, term_columns());
	for (i = 0; i < table->column_count; i++)
		print_cell(&table->columns[i], table->columns[i].title, widths[i],
			   i + 1 == table->column_count);
	for (i = 0; i < table->cell_count; i++) {
		column = i % table->column_count;
		print_cell(&table->columns[column], table->cells[i], widths[column],
			   column + 1 == table->column_count);
	}
	return term_flush();
}

void format_units(char buf[16], unsigned long long number, unsigned int unit)
{
	static const char units[] = "\0KMGTPE";
	double value = (double)number;
	size_t i = 0;

	while (value >= unit && i < sizeof(units) - 2) {
		value /= unit;
		i++;
	}
	if (!i)
		snprintf(buf, 16, "%llu", number);
	else
		snprintf(buf, 16, value < 99.95 ? "%.1f%c" : "%.0f%c", value, units[i]);
}

void format_age(char buf[16], unsigned long long ns)
{
	unsigned long long s = ns / 1000000000U;

	if (s < 60)
		snprintf(buf, 16, "%llus", s);
	else if (s < 3600)
		snprintf(buf, 16, "%llum%02llus", s / 60, s % 60);
	else if (s < 86400)
		snprintf(buf, 16, "%lluh%02llum", s / 3600, s / 60 % 60);
	else
		snprintf(buf, 16, "%llud%02lluh", s / 86400, s / 3600 % 24);
}
