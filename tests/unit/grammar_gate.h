/* SPDX-License-Identifier: MIT */
/*
 * A compiler that waits for the test: gram_new_gbnf() of the program it is linked to stands before
 * a gate, and remembers in which order texts came there. Each is known by its first letter: of a
 * capital one nothing comes but an error, of all others any JSON, whatever the text says.
 */
#ifndef TESTS_GRAMMAR_GATE_H
#define TESTS_GRAMMAR_GATE_H

#define GRAMMAR_GATE_WHY	"grammar: it begins with a capital letter"

/** grammar_gate_close() - from now on nobody passes; who comes there is remembered anew */
void grammar_gate_close(void);
/** grammar_gate_pass() - texts with that first letter do */
void grammar_gate_pass(char letter);
/** grammar_gate_open() - everybody does, as at first */
void grammar_gate_open(void);
/** grammar_gate_wait() - until so many have come; Return: the letters of all */
const char *grammar_gate_wait(unsigned int count);
/** grammar_gate_begun() - the letters of all who have come so far */
const char *grammar_gate_begun(void);

#endif /* TESTS_GRAMMAR_GATE_H */
