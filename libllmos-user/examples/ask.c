/* SPDX-License-Identifier: MIT */
/*
 * The shortest way: one question, one answer, one call.
 *
 *	cc ask.c $(pkg-config --cflags --libs libllmos) -o ask && ./ask 'Why is the sky blue?'
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <llmos.h>

int main(int argc, char **argv)
{
	struct llmos *llmos;
	char *answer;
	int r;

	if (argc != 2) {
		fprintf(stderr, "usage: %s QUESTION\n", argv[0]);
		return 64;
	}
	r = llmos_open(&llmos, NULL);
	if (r < 0) {
		fprintf(stderr, "%s: connect to '%s': %s\n", argv[0], llmos_default_address(),
			strerror(-r));
		return 69;
	}
	r = llmos_ask(llmos, &answer, argv[1], strlen(argv[1]), NULL);
	if (r < 0) {
		fprintf(stderr, "%s: %s\n", argv[0], llmos_error(llmos));
	} else {
		puts(answer);
		free(answer);
	}
	llmos_free(llmos);
	return r < 0;
}
