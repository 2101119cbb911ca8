#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes the seeds of fuzz_messages (tests/fuzz/corpus/messages/seed-*). Run from the root."""
import pathlib
import struct

ROOT = pathlib.Path("tests/fuzz/corpus/messages")
EVENT_SIZE, SUBMIT_SIZE, READ_SIZE = 264, 224, 120


def ioc(number, size):
    return 3 << 30 | size << 16 | 0xC5 << 8 | number


def message(number, arg, data=b"", cookie=1):
    return struct.pack("<IIQiI", 24 + len(arg) + len(data), ioc(number, len(arg)), cookie, 0,
                       0) + arg + data


def sampling(seed=0, temperature=0, top_p=0, min_p=0, top_k=0, penalty=0, last_n=0, logprobs=0):
    return struct.pack("<Q7I5I", seed, temperature, top_p, min_p, top_k, penalty, last_n, logprobs,
                       0, 0, 0, 0, 0)


def submit(payload=b"", stop=b"", flags=0, op=0, kind=0, tokens=0, model=b"", size=SUBMIT_SIZE):
    return (struct.pack("<IIIIQIIQII", size, flags, op, kind, 0, len(payload), tokens, 0,
                        len(stop), 0) + sampling() + model.ljust(64, b"\0") +
            struct.pack("<Q6Q", 0, 0, 0, 0, 0, 0, 0))


def read(request, length, flags=0):
    return struct.pack("<IIQQIIIIiIII4Q4Q", READ_SIZE, flags, request, 0, length, *[0] * 15)


def features():
    return struct.pack("<I", 160) + bytes(156)


def cancel(request, flags=0):
    return struct.pack("<IIQQQ", 32, flags, request, 0, 0)


def wait(request, flags=0, deadline=0):
    return struct.pack("<IIQQIIQQ", 48, flags, request, deadline, 0, 0, 0, 0)


def session(flags=0, fd=-1):
    return struct.pack("<IIiIQQQQ64s4Q", 144, flags, fd, 0, 0, 0, 0, 0, b"", 0, 0, 0, 0)


def listing(capacity, entry=176):
    return struct.pack("<IIQIIIIQQQ", 56, 0, 0, entry, capacity, 0, 0, 0, 0, 0)


def event(payload=b"", stop=b"", journal=b"", flags=0, op=0, kind=1, tokens=5, model=b"",
          output=0, attempts=1, sample=b""):
    data = stop + payload + journal
    head = struct.pack("<IIQQQIIIIII", EVENT_SIZE, 1, 1, 0, 0, 1, 0, op, kind, flags, tokens)
    head += sample or sampling()
    head += model.ljust(64, b"\0")
    head += struct.pack("<IIIIQIIII6Q", len(stop), len(payload), len(journal), len(data), output,
                        0, 0, attempts, 0, 0, 0, 0, 0, 0, 0)
    assert len(head) == EVENT_SIZE
    return head + data


def chat(*turns):
    return b"".join(struct.pack("<II", role, len(text)) + text for role, text in turns)


def journal(*ids, seed=7, model=b"a", size=4):
    return struct.pack("<IIQQ", 0x4A4D4C4C, 1, seed, size) + model.ljust(64, b"\0") + struct.pack(
        "<%dI" % len(ids), *ids)


def main():
    hello = message(0, features())
    ask = message(1, submit(b"Once", b"END\0", tokens=9), b"OnceEND\0", 2)
    both = submit(b"x", size=SUBMIT_SIZE + READ_SIZE) + read(0, 4096)
    seeds = {
        "features": b"\0" + hello,
        "stream": b"\0" + hello + ask + message(2, read(1, 100)) + message(2, read(1, 1 << 20, 2)),
        "both": b"\0" + message(3, both, b"x") + message(2, read(2, 0)),
        "wait": b"\0" + ask + message(5, wait(0)) + message(5, wait(1, 2, 1)) + message(4, cancel(1)),
        "all": b"\0" + ask * 3 + message(4, cancel(0, 3)) + message(6, listing(9)),
        "list": b"\0" + ask * 9 + message(6, listing(3)) + message(6, listing(3, 4096)),
        "session": b"\0" + hello + message(9, session()) + message(9, session(1)) +
        message(9, session(2)) + message(9, session(4, 3)),
        "control": b"\0" + message(1, submit(op=128)) + message(1, submit(op=133, flags=1)),
        "long": b"\0" + struct.pack("<IIQiI", 1 << 24, ioc(1, SUBMIT_SIZE), 3, 0, 0) + hello,
        "event-raw": b"\1" + event(b"Once upon"),
        "event-stop": b"\1" + event(b"Once", b"cat\0op\0", tokens=30),
        "event-records": b"\1" + event(b"Once", b"st\0", flags=1, sample=sampling(logprobs=3)),
        "event-sampled": b"\1" + event(b"x", sample=sampling(9, 10**6, 9 * 10**5, 10**4, 40,
                                                              1100000, 9)),
        "event-chat": b"\1" + event(chat((0, b"be kind"), (1, b"hi")), kind=2, model=b"b"),
        "event-text": b"\1" + event(b"hi\n", kind=0, flags=16, model=b"b"),
        "event-ids": b"\1" + event(struct.pack("<3I", 256, 104, 260), kind=3),
        "event-score": b"\1" + event(b"score me", op=1, flags=1),
        "event-tokenize": b"\1" + event(b"some text", op=129, flags=1),
        "event-detokenize": b"\1" + event(struct.pack("<2I", 104, 259), op=130, kind=3),
        "event-models": b"\1" + event(op=131, flags=1),
        "event-show": b"\1" + event(op=132, flags=1, model=b"b"),
        "event-broken": b"\1" + event(b"x", flags=1, model=b"c"),
        "event-recovered": b"\1" + event(b"Once", journal=journal(259, 260, 261), output=5,
                                          attempts=2, tokens=9),
        "event-recovered-records": b"\1" + event(b"Once", journal=journal(259, 260), output=9,
                                                  attempts=3, flags=1,
                                                  sample=sampling(logprobs=2)),
        "event-wild-journal": b"\1" + event(b"Once", journal=journal(2**32 - 1), attempts=2),
        "event-torn-journal": b"\1" + event(b"Once", journal=journal(259)[:-1], attempts=2),
        "event-greedy-long": b"\1" + event(b"o" * 200, tokens=0),
    }
    ROOT.mkdir(parents=True, exist_ok=True)
    for name, data in seeds.items():
        (ROOT / ("seed-" + name)).write_bytes(data)


main()
