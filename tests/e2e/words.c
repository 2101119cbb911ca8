// SPDX-License-Identifier: MIT
/*
 * words N: a text of about N tokens of the small model, for prompts of a known length.
 */
#include <stdio.h>
#include <stdlib.h>

#include "lib/e2e.h"

int main(int argc, char **argv)
{
	char *text = e2e_long_prompt(argc > 1 ? strtoul(argv[1], NULL, 10) : 100);

	fputs(text, stdout);
	free(text);
	return 0;
}
