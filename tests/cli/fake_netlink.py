#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""The generic netlink family "llm" for tests without a kernel module.

fake_netlink.py SOCKET ROOT: serves one netlink datagram a message on the SEQPACKET socket; ROOT is
the tree of folders that stands for cgroups. What it is asked for is printed, one line each. A file
SOCKET.usage has lines "ID FIELD=NUMBER..." that add to a cgroup's usage with each dump; a file
SOCKET.evil names one way in which the next answers are wrong, or late, or no; where there is a file
SOCKET.absent, there is no such family.
"""
import os
import selectors
import socket
import struct
import sys
import time

ERROR, DONE, JOIN = 2, 3, 0xFFF1
ACK, DUMP, MULTI, DUMP_INTR, ACK_TLVS, CAPPED = 4, 0x300, 2, 0x10, 0x200, 0x100
CTRL, FAMILY = 16, 29
EVENTS = 7
GROUP_GET, QUOTA_SET, QUOTA_RESET, REQUEST_GET, WATCH, EVENT = range(1, 7)
A_CGROUP, A_PARENT, A_QUOTA, A_USAGE, A_PRESSURE, A_REQUEST, A_EVENT, A_WATCH = range(2, 10)
QUOTA = {"weight": (2, "I", 100), "in_flight": (3, "I", 2**32 - 1), "queued": (4, "I", 2**32 - 1),
         "rate": (5, "Q", 2**64 - 1), "burst": (6, "Q", 2**64 - 1), "compute": (7, "Q", 2**64 - 1),
         "period": (8, "Q", 10**9), "share_cache": (10, "B", 0), "prompt_cost": (11, "I", 250)}
USAGE = {"in_flight": (2, "I"), "queued": (3, "I"), "running": (4, "I"), "units": (5, "Q"),
         "prompt_tokens": (6, "Q"), "output_tokens": (7, "Q"), "compute": (8, "Q"),
         "throttled": (9, "Q"), "queue_time": (10, "Q"), "submitted": (11, "Q"),
         "dispatched": (12, "Q"), "ended": (13, "Q"), "refused": (14, "Q")}
MEMORY_QUOTA, MEMORY_USAGE = 9, 15
PRESSURE = {"some_total": (2, "Q"), "some_avg10": (3, "I"), "some_avg60": (4, "I"),
            "some_avg300": (5, "I"), "full_total": (6, "Q"), "full_avg10": (7, "I"),
            "full_avg60": (8, "I"), "full_avg300": (9, "I")}

path, root = sys.argv[1:3]
quotas, usages, memories, used_memory = {}, {}, {}, {}
members, followers = set(), set()


def attr(kind, data):
    return struct.pack("<HH", len(data) + 4, kind) + data + bytes(-len(data) % 4)


def number(kind, code, value):
    return attr(kind, struct.pack("<" + code, value))


def attrs(data):
    while len(data) >= 4:
        size, kind = struct.unpack_from("<HH", data)
        if size < 4 or size > len(data):
            return
        yield kind & 0x3FFF, data[4:size]
        data = data[(size + 3) & ~3:]


def message(kind, flags, seq, body):
    return struct.pack("<IHHII", 16 + len(body), kind, flags, seq, 0) + body


def error(code, seq, header, words=""):
    tlvs = attr(1, words.encode() + b"\0") if words else b""
    flags = CAPPED | (ACK_TLVS if tlvs else 0)
    return message(ERROR, flags, seq, struct.pack("<i", -code) + header + tlvs)


def genl(cmd, body):
    return struct.pack("<BBH", cmd, 1, 0) + body


def cgroups():
    """All folders: number to path and parent's number."""
    found = {os.stat(root).st_ino: ("/", 0)}
    for folder, names, _ in os.walk(root):
        for name in names:
            full = os.path.join(folder, name)
            found[os.stat(full).st_ino] = ("/" + os.path.relpath(full, root),
                                           os.stat(folder).st_ino)
    return found


def memory_attrs(kind, regions):
    return b"".join(attr(kind, attr(2, name.encode() + b"\0") + number(3, "Q", value))
                    for name, value in regions.items())


def group(number_of, parent, wrong):
    quota, usage = quotas.get(number_of, {}), usages.get(number_of, {})
    body = number(A_CGROUP, "Q", number_of) + number(A_PARENT, "Q", parent)
    if wrong == "short":
        return number(A_CGROUP, "I", 1)
    if wrong == "region":
        return body + attr(A_QUOTA, attr(MEMORY_QUOTA, attr(2, b"ho\0st\0") + number(3, "Q", 1)))
    body += attr(A_QUOTA, b"".join(number(kind, code, quota.get(name, default))
                                   for name, (kind, code, default) in QUOTA.items()) +
                 memory_attrs(MEMORY_QUOTA, memories.get(number_of, {})))
    body += attr(A_USAGE, b"".join(number(kind, code, usage.get(name, 0))
                                   for name, (kind, code) in USAGE.items()) +
                 memory_attrs(MEMORY_USAGE, used_memory.get(number_of, {})))
    return body + attr(A_PRESSURE, b"".join(number(kind, code, usage.get(name, 0))
                                            for name, (kind, code) in PRESSURE.items()))


def grow():
    """Usage grows by what the file says."""
    try:
        lines = open(path + ".usage").read().splitlines()
    except FileNotFoundError:
        return
    for line in lines:
        words = line.split()
        usage = usages.setdefault(int(words[0]), {})
        for word in words[1:]:
            name, value = word.split("=")
            if name.startswith("memory."):
                used_memory.setdefault(int(words[0]), {})[name[7:]] = int(value)
            elif name in ("in_flight", "queued", "running") or "avg" in name:
                usage[name] = int(value)
            else:
                usage[name] = usage.get(name, 0) + int(value)


def tell(kind, number_of, more=b""):
    body = number(2, "I", kind) + number(3, "Q", time.monotonic_ns()) + number(4, "Q", number_of)
    return message(FAMILY, 0, 0, genl(EVENT, attr(A_EVENT, body + more)))


def set_quota(number_of, data):
    new, regions = {}, {}
    for kind, value in attrs(data):
        for name, (wanted, code, _) in QUOTA.items():
            if kind == wanted:
                new[name] = struct.unpack("<" + code, value)[0]
        if kind == MEMORY_QUOTA:
            region = dict(attrs(value))
            regions[region[2].rstrip(b"\0").decode()] = struct.unpack("<Q", region[3])[0]
    if new.get("rate", 0) > 2**40 and new["rate"] != 2**64 - 1:
        return 34, "rate is out of bounds"
    quotas.setdefault(number_of, {}).update(new)
    memories.setdefault(number_of, {}).update(regions)
    text = " ".join("%s=%d" % item for item in sorted({**new, **regions}.items()))
    print("set", cgroups()[number_of][0], text, flush=True)
    return 0, ""


def family(seq, data):
    name = dict(attrs(data)).get(2, b"")
    if name == b"nlctrl\0":
        groups = attr(1, attr(1, b"notify\0") + number(2, "I", CTRL))
        return message(CTRL, 0, seq, struct.pack("<BBH", 1, 2, 0) + number(1, "H", CTRL) +
                       attr(2, name) + attr(7, groups))
    if name != b"llm\0" or os.path.exists(path + ".absent"):
        return None
    groups = attr(1, attr(1, b"events\0") + number(2, "I", EVENTS))
    return message(CTRL, 0, seq, struct.pack("<BBH", 1, 2, 0) + number(1, "H", FAMILY) +
                   attr(2, b"llm\0") + number(3, "I", 1) + number(4, "I", 0) +
                   number(5, "I", 9) + attr(7, groups))


def answer(client, data):
    """One datagram of a client."""
    size, kind, flags, seq, _ = struct.unpack_from("<IHHII", data)
    header, body = data[:16], data[20:size]
    wrong = open(path + ".evil").read().strip() if os.path.exists(path + ".evil") else ""
    if kind == JOIN:
        joined = struct.unpack_from("<I", data, 16)[0]
        (followers if joined == CTRL else members).add(client)
        print("joined" if joined == EVENTS else "follows", flush=True)
        return []
    if os.path.exists(path + ".absent"):
        for follower in followers:
            follower.send(message(CTRL, 0, 0, struct.pack("<BBH", 2, 2, 0) +
                                  number(1, "H", FAMILY + 1)))
            follower.send(message(CTRL, 0, 0, struct.pack("<BBH", 2, 2, 0) + number(1, "H", FAMILY)))
        followers.clear()
    if kind == CTRL:
        found = family(seq, body)
        return ([found] if found else []) + \
            ([error(0 if found else 2, seq, header)] if not found or flags & ACK else [])
    if kind != FAMILY:
        return [error(2, seq, header)]
    cmd, own = data[16], dict(attrs(body))
    known = cgroups()
    number_of = struct.unpack("<Q", own[A_CGROUP])[0] if A_CGROUP in own else 0
    if os.path.exists(path + ".absent"):
        return [error(2, seq, header)]
    if wrong == "silent":
        return []
    if wrong == "full" and cmd == QUOTA_SET:
        print("full", known[number_of][0], flush=True)
        return [error(28, seq, header)]
    if wrong == "positive":
        return [error(-5, seq, header)]
    if wrong == "cut":
        return [message(FAMILY, 0, seq, genl(GROUP_GET, b"1234"))[:18], message(ERROR, 0, seq, b"\0")]
    if wrong == "changing":
        return [message(FAMILY, MULTI | DUMP_INTR, seq, genl(GROUP_GET, group(1, 0, ""))),
                message(DONE, MULTI, seq, struct.pack("<i", 0))]
    if wrong == "flood":
        return [message(FAMILY, 0, seq ^ 1, genl(GROUP_GET, b"\xff" * 40))] * 3 + \
            [message(0x777, 0, seq, b""), error(5, seq ^ 1, header), error(71, seq, header)]
    if cmd == GROUP_GET and (flags & DUMP) == DUMP:
        grow()
        shown = {n for n in known if n in quotas or n in usages or known[n][0] == "/"}
        shown |= {known[n][1] for n in shown if known[n][1]}
        out = [message(FAMILY, MULTI, seq, genl(GROUP_GET, group(n, known[n][1], wrong)))
               for n in sorted(shown)]
        return out + [message(DONE, MULTI, seq, struct.pack("<i", 0))]
    if number_of not in known and not (cmd == QUOTA_RESET and not number_of):
        return [error(2, seq, header)]
    out = []
    if cmd == GROUP_GET:
        out = [message(FAMILY, 0, seq, genl(GROUP_GET, group(number_of, known[number_of][1],
                                                             wrong)))]
    elif cmd == QUOTA_SET:
        code, words = set_quota(number_of, own.get(A_QUOTA, b""))
        if code:
            return [error(code, seq, header, words)]
    elif cmd == QUOTA_RESET:
        print("reset", known[number_of][0] if number_of else "all", flush=True)
        for state in (quotas, memories):
            state.pop(number_of, None) if number_of else state.clear()
    elif cmd == WATCH:
        print("watch", known[number_of][0], flush=True)
        watch = {kind: value for kind, value in attrs(own[A_WATCH])}
        stall = struct.unpack("<Q", watch[3])[0]
        if wrong == "early":
            return [tell(6, number_of, number(10, "Q", stall + 1))] * 2 + [error(0, seq, header)]
        return [tell(6, number_of, number(10, "Q", stall + 1)), error(0, seq, header),
                tell(6, number_of, number(10, "Q", stall + 2))]
    if cmd in (QUOTA_SET, QUOTA_RESET):
        event = tell(3, number_of, number(5, "I", 4242) + number(6, "I", 0) + number(8, "Q", 1))
        for member in members:
            member.send(event)
    return out + [error(0, seq, header)]


def main():
    selector = selectors.DefaultSelector()
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    listener.bind(path)
    listener.listen()
    selector.register(listener, selectors.EVENT_READ)
    print("ready", flush=True)
    while True:
        for key, _ in selector.select():
            if key.fileobj is listener:
                client, _ = listener.accept()
                selector.register(client, selectors.EVENT_READ)
                continue
            client = key.fileobj
            try:
                data = client.recv(65536)
                for reply in answer(client, data) if data else []:
                    client.send(reply)
            except OSError:
                data = b""
            if not data:
                members.discard(client)
                followers.discard(client)
                selector.unregister(client)
                client.close()


main()
