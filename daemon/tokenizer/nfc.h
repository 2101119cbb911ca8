/* SPDX-License-Identifier: MIT */
/* Normalization forms C and KC of Unicode (UAX #15), which some models' texts were brought to. */
#ifndef LLMOS_TOKENIZER_NFC_H
#define LLMOS_TOKENIZER_NFC_H

#include "base/util.h"

/** nfc_is_plain() - is this text surely in form C? Linear; no text in Latin script fails. */
bool nfc_is_plain(const char *text, size_t len);

/**
 * nfc_normalise() - bring a text to form C
 *
 * Time is at most n log n, whatever marks are heaped upon a letter.
 *
 * Return: 0, *ret to be freed; -E2BIG, -ENOMEM.
 */
int nfc_normalise(const char *text, size_t len, char **ret, size_t *ret_len);
/** nfkc_normalise() - the same to form KC, in which a character becomes 18 at most */
int nfkc_normalise(const char *text, size_t len, char **ret, size_t *ret_len);

#endif /* LLMOS_TOKENIZER_NFC_H */
