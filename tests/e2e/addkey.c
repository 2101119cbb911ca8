// SPDX-License-Identifier: MIT
/*
 * addkey KEY TEXT: copies a GGUF file from standard input to standard output with one more string
 * among its keys. The text is filled up with spaces so that what follows moves by a multiple of the
 * alignment and stays valid.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ALIGNMENT	32
#define TYPE_STRING	8U
#define HEAD_BYTES	24	/* magic, version, counts of tensors and keys */
#define KEYS_AT		16

static int copy(void)
{
	char buf[65536];
	size_t n;

	while ((n = fread(buf, 1, sizeof(buf), stdin)) > 0)
		if (fwrite(buf, 1, n, stdout) != n)
			return -1;
	return ferror(stdin) || fflush(stdout) ? -1 : 0;
}

int main(int argc, char **argv)
{
	uint8_t head[HEAD_BYTES];
	uint64_t keys, key_len, text_len, padded;
	uint32_t type = TYPE_STRING;

	if (argc != 3)
		return 64;
	if (fread(head, 1, sizeof(head), stdin) != sizeof(head) || memcmp(head, "GGUF", 4) != 0) {
		fprintf(stderr, "addkey: not a GGUF file\n");
		return 65;
	}
	memcpy(&keys, head + KEYS_AT, sizeof(keys));
	keys++;
	memcpy(head + KEYS_AT, &keys, sizeof(keys));
	key_len = strlen(argv[1]);
	text_len = strlen(argv[2]);
	padded = text_len;
	while ((2 * sizeof(uint64_t) + sizeof(type) + key_len + padded) % ALIGNMENT)
		padded++;
	fwrite(head, 1, sizeof(head), stdout);
	fwrite(&key_len, sizeof(key_len), 1, stdout);
	fwrite(argv[1], 1, key_len, stdout);
	fwrite(&type, sizeof(type), 1, stdout);
	fwrite(&padded, sizeof(padded), 1, stdout);
	fwrite(argv[2], 1, text_len, stdout);
	for (uint64_t i = text_len; i < padded; i++)
		putchar(' ');
	if (copy() < 0) {
		perror("addkey");
		return 74;
	}
	return 0;
}
