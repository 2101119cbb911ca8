/* SPDX-License-Identifier: MIT */
/*
 * The answer piece by piece, with options: a callback prints each piece as it comes, and ends the
 * answer after three lines by not returning zero.
 */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <llmos.h>

struct printer {
	unsigned int lines;
};

static int on_text(void *userdata, const char *text, size_t len)
{
	struct printer *printer = userdata;
	size_t i;

	for (i = 0; i < len && printer->lines < 3; i++) {
		putchar(text[i]);
		printer->lines += text[i] == '\n';
	}
	fflush(stdout);
	return printer->lines >= 3;
}

int main(int argc, char **argv)
{
	struct printer printer = { 0 };
	struct llmos *llmos;
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
	r = llmos_ask(llmos, NULL, argv[1], strlen(argv[1]),
		      LLMOS_OPTS(llmos_generate_opts, .temperature = 0.7, .top_p = 0.9, .seed = 1,
				 .max_tokens = 200, .on_text = on_text, .userdata = &printer));
	if (r == -ECANCELED)
		r = 0;
	else
		putchar('\n');
	if (r < 0)
		fprintf(stderr, "%s: %s\n", argv[0], llmos_error(llmos));
	llmos_free(llmos);
	return r < 0;
}
