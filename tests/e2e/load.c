// SPDX-License-Identifier: MIT
/*
 * load [-n REQUESTS] [-c COUNT] [PROMPT]: keeps that many long answers in flight (8), a new one for
 * each that ends, until COUNT have ended or it is killed; says "busy" on standard output once all of
 * them are under way. For suites that need the daemon to have something to do.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "lib/e2e.h"

#define MAX	64

int main(int argc, char **argv)
{
	const struct llmos_generate_opts opts = {
		.size = sizeof(opts), .raw = true, .ignore_eos = true,
		.max_tokens = e2e_tokens(400),
	};
	static struct e2e_answer answers[MAX];
	unsigned long wanted = 8, left = 0;
	struct llmos *llmos = NULL;
	int option, r;

	while ((option = getopt(argc, argv, "n:c:")) != -1) {
		if (option == 'n')
			wanted = strtoul(optarg, NULL, 10);
		else if (option == 'c')
			left = strtoul(optarg, NULL, 10);
		else
			return 64;
	}
	if (wanted < 1 || wanted > MAX || llmos_open(&llmos, NULL) < 0)
		return 1;
	for (bool first = true;; first = false) {
		for (unsigned long i = 0; i < wanted; i++) {
			if (!first && !answers[i].ended)
				continue;
			if (!first && left && --left == 0)
				goto out;
			e2e_answer_clear(&answers[i]);
			r = e2e_answer_start(llmos, &answers[i],
					     optind < argc ? argv[optind] : "Once", &opts);
			if (r < 0) {
				fprintf(stderr, "load: %s\n", llmos_error(llmos));
				return 1;
			}
		}
		if (first) {
			puts("busy");
			fflush(stdout);
		}
		r = llmos_dispatch(llmos, -1);
		if (r < 0) {
			fprintf(stderr, "load: %s\n", llmos_error(llmos));
			return 1;
		}
	}
out:
	for (unsigned long i = 0; i < wanted; i++)
		e2e_answer_clear(&answers[i]);
	llmos_free(llmos);
	return 0;
}
