#!/usr/bin/python3
# SPDX-License-Identifier: MIT
"""Compares Documentation/netlink/specs/llm.yaml with <linux/llm_netlink.h> and with the module.

usage: spec.py SPEC HEADERS MODULE

Names and numbers of commands, attributes and enumerators, both ways; types as the header's comments
have them, as the module's policies check them and as it puts them into messages; bounds. TAP; the
numbers come from the compiler.
"""
import pathlib
import re
import subprocess
import sys
import tempfile

import yaml

HEADER = "linux/llm_netlink.h"
# what a type is called by the functions and policies of the kernel
KERNEL_TYPES = {
    "u8": {"U8"}, "u32": {"U32"}, "u64": {"U64"}, "nest": {"NESTED"}, "flag": {"FLAG"},
    "string": {"NUL_STRING", "STRING"},
}


class Report:
    """TAP, one line for each thing that was compared."""

    def __init__(self):
        self.count = 0
        self.failed = 0

    def ok(self, good, name, *notes):
        self.count += 1
        self.failed += not good
        print(f"{'' if good else 'not '}ok {self.count} - {name}")
        for note in notes:
            if not good:
                print(f"#   {note}")

    def same(self, spec, code, name):
        self.ok(spec == code, name,
                *(f"only in the spec: {x}" for x in sorted(set(spec) - set(code))),
                *(f"not in the spec: {x}" for x in sorted(set(code) - set(spec))))


def c_name(prefix, name):
    return (prefix + name).upper().replace("-", "_")


def header_enums(text):
    """Names of each enum's enumerators, without those that only mark its ends."""
    enums = {}
    for name, body in re.findall(r"^enum (\w+) \{(.*?)^\};", text, re.S | re.M):
        body = re.sub(r"/\*.*?\*/", "", body, flags=re.S)
        names = re.findall(r"^\s*(\w+)\b", body, re.M)
        enums[name] = [n for n in names if not n.startswith("__") and
                       not re.search(r"_(UNSPEC|MAX)$", n)]
    return enums


def header_types(text):
    """What the comments say of each attribute: "@NAME: u32, ..." or "NAME, /* u32: ... */"."""
    types = dict(re.findall(r"\* @(LLM_NL_A_\w+): (u8|u32|u64|string|nest|flag)\b", text))
    types.update(re.findall(r"^\t(LLM_NL_A_\w+),\s*/\* (u8|u32|u64|string|nest|flag)\b", text, re.M))
    return types


def numbers(include, names):
    """What the compiler says of each name."""
    with tempfile.TemporaryDirectory() as folder:
        source = pathlib.Path(folder, "numbers.c")
        program = pathlib.Path(folder, "numbers")
        prints = "".join(f'printf("%s %lld\\n", "{n}", (long long)({n}));' for n in names)
        source.write_text(f"#include <linux/llm.h>\n#include <{HEADER}>\n#include <stdio.h>\n"
                          f"int main(void) {{ {prints} return 0; }}\n")
        subprocess.run(["cc", "-I", include, "-o", program, source], check=True)
        output = subprocess.run([program], check=True, capture_output=True, text=True).stdout
    return {name: int(value) for name, value in (line.split() for line in output.splitlines())}


def spec_numbers(entries, start, prefix):
    """Names and values, where those that have none follow the one before."""
    result = {}
    value = start
    for entry in entries:
        entry = entry if isinstance(entry, dict) else {"name": entry}
        value = entry.get("value", value)
        result[c_name(prefix, entry["name"])] = value
        value += 1
    return result


def module_types(folder):
    """Types that each attribute has in policies and in messages that are put together."""
    types = {}
    for path in sorted(pathlib.Path(folder).glob("*.c")):
        text = path.read_text()
        for name, policy in re.findall(r"\[(LLM_NL_A_\w+)\] = (.*?)(?=,\n\t?[\[}])", text, re.S):
            kind = re.search(r"NLA_(?:POLICY_)?(U8|U32|U64|NUL_STRING|FLAG|NESTED)\b", policy)
            types.setdefault(name, set()).add(kind.group(1) if kind else "?")
        for put, name in re.findall(r"\bnla_put_(u8|u32|u64_64bit|string)\(msg,\s*(LLM_NL_A_\w+)",
                                    text):
            types.setdefault(name, set()).add(put.split("_")[0].upper())
        for name in re.findall(r"\bnla_nest_start\(msg,\s*(LLM_NL_A_\w+)", text):
            types.setdefault(name, set()).add("NESTED")
    return types


def check_bounds(report, spec, text):
    """Bounds of the spec are in the header's words, in the module's policies or in its limits."""
    for space in spec["attribute-sets"]:
        for attr in space["attributes"]:
            for what, bound in attr.get("checks", {}).items():
                # a length in bytes goes without the end of its string
                bound += what == "max-len"
                report.ok(re.search(rf"\b{bound}(U|ULL)?\b", text),
                          f"{space['name']} {attr['name']}: {what} {bound} is in the code")


def main():
    spec_path, include, module = sys.argv[1:4]
    spec = yaml.safe_load(pathlib.Path(spec_path).read_text())
    header = pathlib.Path(include, HEADER).read_text()
    other = pathlib.Path(include, "linux/llm.h").read_text()
    enums = header_enums(header)
    all_enums = {**header_enums(other), **enums}
    report = Report()

    expected = {}
    used = set()
    spaces = {space["name"]: space for space in spec["attribute-sets"]}
    for space in spaces.values():
        used.add(space["enum-name"].replace("-", "_"))
        mine = spec_numbers(space["attributes"], 1, space["name-prefix"])
        expected.update(mine)
        report.same(list(mine), enums[space["enum-name"].replace("-", "_")],
                    f"attributes of {space['name']}")
    operations = spec["operations"]
    used.add(operations["enum-name"].replace("-", "_"))
    mine = spec_numbers(operations["list"], 1, operations["name-prefix"])
    expected.update(mine)
    report.same(list(mine), enums[operations["enum-name"].replace("-", "_")], "commands")
    for define in spec["definitions"]:
        if define["type"] == "const":
            expected[c_name("llm-nl-", define["name"])] = define["value"]
            continue
        ours = define.get("header", HEADER) == HEADER
        enum = ("llm_nl_" if ours else "llm_") + define["name"].replace("-", "_")
        prefix = "llm-nl-event-" if enum == "llm_nl_event_type" else f"llm-{define['name']}-"
        if ours:
            used.add(enum)
        mine = spec_numbers(define["entries"], define.get("value-start", 0), prefix)
        expected.update(mine)
        report.same(list(mine), all_enums[enum], f"enumerators of {define['name']}")
    report.same(sorted(used), sorted(enums), "enums of the header")

    for name, value in numbers(include, expected).items():
        report.ok(value == expected[name], f"{name} is {value}", f"{expected[name]} in the spec")

    said = header_types(header)
    in_module = module_types(module)
    code = header + "".join(p.read_text() for p in sorted(pathlib.Path(module).rglob("*.[ch]")))
    for space in spaces.values():
        for attr in space["attributes"]:
            name = c_name(space["name-prefix"], attr["name"])
            if attr["type"] == "pad":
                continue
            report.ok(said.get(name) == attr["type"], f"{name}: {attr['type']}",
                      f"the header says {said.get(name)}")
            seen = in_module.get(name)
            if seen is None:
                # averages and regions are put by variables that begin at these
                report.ok(re.search(rf"\b{name}\b", code) or re.search(r"AVG(60|300)$", name),
                          f"{name} is known to the module")
            else:
                report.ok(seen <= KERNEL_TYPES[attr["type"]], f"{name} is that in the module",
                          f"it is {', '.join(sorted(seen))}")
    check_bounds(report, spec, code)

    for operation in spec["operations"]["list"]:
        for part in ("do", "dump", "event"):
            for side in ("request", "reply", None):
                body = operation.get(part, {})
                body = body.get(side, {}) if side else body
                for attr in body.get("attributes", []):
                    report.ok(any(a["name"] == attr for a in spaces["llm"]["attributes"]),
                              f"{operation['name']} {part}: {attr} exists")
        report.ok(re.search(rf"\.cmd = {c_name(operations['name-prefix'], operation['name'])},",
                            code) or "event" in operation, f"{operation['name']} is an operation")
    groups = [group["name"] for group in spec["mcast-groups"]["list"]]
    report.same(groups, re.findall(r'LLM_MCGRP_\w+\s+"(\w+)"', header), "groups")
    report.same([spec["name"]], re.findall(r'LLM_FAMILY_NAME\s+"(\w+)"', header), "the family")
    print(f"1..{report.count}")
    return report.failed > 0


if __name__ == "__main__":
    sys.exit(main())
