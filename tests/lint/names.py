#!/usr/bin/env python3
"""Finds words of the first version that the field's terms have replaced.

Usage: names.py [--count] [ROOT]

Reads the rules in old-names.txt beside this script and applies them to the files that git tracks.

  --count  prints the number of matches per rule instead of their places
"""

import argparse
import bisect
import collections
import fnmatch
import os
import re
import subprocess
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
RULES = os.path.join(HERE, "old-names.txt")
KINDS = ("ident", "def", "word", "file")

# Comments, strings and character literals of Rust.
RUST_TEXT = re.compile(
    r"""//[^\n]*|/\*.*?\*/|\bb?r(?P<hashes>#*)".*?"(?P=hashes)|\bb?"(?:\\.|[^"\\])*"|"(?:\\.|[^"\\])*"|b?'(?:\\[^\n]+?|[^'\\\n])'""",
    re.S,
)
IDENTIFIER = re.compile(r"[A-Za-z_]\w*")
DEFINITION = re.compile(r"\b(?:struct|enum|trait|type|fn|const|static|mod|union)\s+([A-Za-z_]\w*)")
CODE_SPAN = re.compile(r"`([^`\n]+)`")
PLAIN = re.compile(r"\w+(\|\w+)*")


def needles(pattern):
    """Returns strings of which one must occur in a text that the pattern matches, or nothing if there are none."""
    found = []
    for alternative in re.sub(r"\((?:[^()\\]|\\.)*\)[?*]?", " ", pattern).split("|"):
        bare = re.sub(r"\[[^]]*\][?*]?|\\.|\(|\)|\w[?*]", " ", alternative)
        longest = max(re.findall(r"[\w-]+", bare) or [""], key=len)
        if not longest:
            return []
        found.append(longest)
    return found


class Rule:
    def __init__(self, line, number, areas):
        columns = [column.strip() for column in re.split(r"\s{2,}|\t", line.strip())]
        if len(columns) not in (3, 4):
            sys.exit(f"{RULES}:{number}: expected: KIND[@AREA,…]  REGEX  NEW  [kept: REASON]")
        scope, self.old, self.new = columns[:3]
        self.kept = len(columns) == 4
        if self.kept and not columns[3].startswith("kept: "):
            sys.exit(f"{RULES}:{number}: the fourth column must be `kept: REASON`")
        self.kind, _, names = scope.partition("@")
        if self.kind not in KINDS:
            sys.exit(f"{RULES}:{number}: unknown kind {self.kind!r}; use one of {', '.join(KINDS)}")
        try:
            self.paths = tuple(path for name in names.split(",") if name for path in areas[name])
        except KeyError as name:
            sys.exit(f"{RULES}:{number}: unknown area {name}; define it with `area NAME PATH …`")
        try:
            self.pattern = re.compile(self.old, re.M)
        except re.error as error:
            sys.exit(f"{RULES}:{number}: {error}")
        self.needles = needles(self.old)

    def applies(self, path):
        return not self.paths or matches_any(path, self.paths)


def matches_any(path, patterns):
    return any(path == p or path.startswith(p + "/") or ("*" in p and fnmatch.fnmatch(path, p)) for p in patterns)


def load_rules():
    areas, rules = {}, []
    with open(RULES, encoding="utf8") as file:
        for number, line in enumerate(file, 1):
            line = line.rstrip("\n")
            if not line.strip() or line.lstrip().startswith("#"):
                continue
            if line.startswith("area "):
                _, name, *paths = line.split()
                areas[name] = paths
            else:
                rules.append(Rule(line, number, areas))
    return areas, rules


def tracked_files(root, skipped):
    output = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    for path in output.split("\0"):
        full = os.path.join(root, path)
        if path and not matches_any(path, skipped) and os.path.isfile(full):
            yield path, full


class Lines:
    """Line numbers of offsets in a text."""

    def __init__(self, text):
        self.text, self.ends = text, None

    def of(self, offset):
        if self.ends is None:
            self.ends = [match.start() for match in re.finditer("\n", self.text)]
        return bisect.bisect_left(self.ends, offset) + 1


class Names:
    """The rules for identifiers, in a form that needs one look-up per identifier."""

    def __init__(self, rules):
        self.plain, self.patterns, self.cache = collections.defaultdict(list), [], {}
        for rule in rules:
            if PLAIN.fullmatch(rule.old):
                for word in rule.old.split("|"):
                    self.plain[word].append(rule)
            else:
                self.patterns.append(rule)

    def rules_for(self, name):
        found = self.cache.get(name)
        if found is None:
            found = self.plain.get(name, []) + [rule for rule in self.patterns if rule.pattern.fullmatch(name)]
            self.cache[name] = found
        return found


def check_rust(path, text, lines, idents, defs, report):
    def blank(match):
        found = match.group(0)
        if found.startswith("/"):
            for span in CODE_SPAN.finditer(found):
                for name in IDENTIFIER.finditer(span.group(1)):
                    for rule in idents.rules_for(name.group(0)):
                        if not rule.paths:
                            offset = match.start() + span.start(1) + name.start()
                            report(rule, path, lines.of(offset), name.group(0))
        return re.sub(r"[^\n]", " ", found)

    code = RUST_TEXT.sub(blank, text)
    for names, pattern, group in ((idents, IDENTIFIER, 0), (defs, DEFINITION, 1)):
        for match in pattern.finditer(code):
            for rule in names.rules_for(match.group(group)):
                if rule.applies(path):
                    report(rule, path, lines.of(match.start(group)), match.group(group))


def check_markdown(path, text, lines, idents, report):
    for span in CODE_SPAN.finditer(text):
        for name in IDENTIFIER.finditer(span.group(1)):
            for rule in idents.rules_for(name.group(0)):
                # Lower-case words are ordinary words of commands and keys there.
                if not rule.paths and not name.group(0).islower():
                    report(rule, path, lines.of(span.start()), name.group(0))


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--count", action="store_true")
    arguments.add_argument("root", nargs="?", default=os.path.join(HERE, "..", ".."))
    options = arguments.parse_args()

    areas, rules = load_rules()
    enforced = [rule for rule in rules if not rule.kept]
    idents, defs = (Names([rule for rule in enforced if rule.kind == kind]) for kind in ("ident", "def"))
    words = [rule for rule in enforced if rule.kind == "word"]
    file_rules = [rule for rule in enforced if rule.kind == "file"]

    found, counts = {}, collections.Counter()

    def report(rule, path, line, old):
        if (path, line, old) not in found:
            found[path, line, old] = rule
            counts[rule] += 1

    for path, full in tracked_files(options.root, areas.get("frozen", [])):
        for rule in file_rules:
            if rule.applies(path) and rule.pattern.search(path):
                report(rule, path, 1, path)
        with open(full, "rb") as file:
            raw = file.read()
        if b"\0" in raw:
            continue
        text = raw.decode("utf8", errors="replace")
        lines = Lines(text)
        for rule in words:
            if rule.applies(path) and (not rule.needles or any(needle in text for needle in rule.needles)):
                for match in rule.pattern.finditer(text):
                    start = match.start() + len(match.group(0)) - len(match.group(0).lstrip())
                    report(rule, path, lines.of(start), match.group(0).strip())
        if path.endswith(".rs"):
            check_rust(path, text, lines, idents, defs, report)
        elif path.endswith(".md"):
            check_markdown(path, text, lines, idents, report)

    if options.count:
        for rule, count in counts.most_common():
            print(f"{count:5}  {rule.kind}  {rule.old}  -> {rule.new}")
    else:
        for (path, line, old), rule in sorted(found.items(), key=lambda item: item[0]):
            print(f"{path}:{line}: old word {old}; use {rule.new} (docs/reference/glossary.md)")
    if found:
        print(f"names: {len(found)} old words; the rules are in tests/lint/old-names.txt", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
