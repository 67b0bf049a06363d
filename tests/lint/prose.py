#!/usr/bin/env python3
"""Measures the English of comments and documentation, and fails when a figure exceeds its limit.

Usage: prose.py [--list] [--summary] [ROOT]

Counts phrases in the comments of Rust and WIT files and in Markdown files that git tracks, per 10,000 words, and checks
the help of the command line. The rules and the figures of six other projects are in CONTRIBUTING.md, "Writing". Each
limit is twice the largest of these figures.

  --list     prints the place of every match, including those below the limit
  --summary  prints the table: figures before the rules, figures now, limits
"""

import argparse
import bisect
import os
import re
import subprocess
import sys

WORD = re.compile(r"[A-Za-z']+")
QUESTION_WORDS = "What|Who|How|Whether|Why|Where|Which"
OPENING = re.compile(rf"(?:{QUESTION_WORDS})\b")
OPENING_LIMIT = 2.0  # percent
OPENING_BEFORE = 26.9

# name, pattern, limit per 10,000 words, figure in comments before the rules
ROWS = [
    ("whoever, whatever, somebody, nobody", r"\b(whoever|whatever|somebody|nobody|everybody)\b", 0.0, 33.8),
    ("where that/there/it/one/nothing", r"\bwhere (that|there|it|one|nothing|none)\b", 2.0, 34.5),
    ("told, tells, says, said", r"\b(told|tells|says|said)\b", 9.6, 56.6),
    ("is/was asked, wanted, taken, kept, given", r"\b(is|was|are|were) (asked|wanted|taken|kept|given)\b", 3.4, 41.7),
    ("is no", r"\b(is|are) no\b", 5.2, 12.2),
    ("is to be", r"\b(is|are) to\b", 3.4, 8.5),
    ("anew", r"\banew\b", 0.0, 4.4),
    ("of before", r"\bof before\b", 0.0, 3.8),
]
ROWS = [(name, re.compile(pattern, re.I), limit, before) for name, pattern, limit, before in ROWS]

RUST_COMMENT = re.compile(r"\s*(?://[/!]?)\s?(.*)")
WIT_COMMENT = re.compile(r"\s*///?\s?(.*)")

# The help of the command line: documentation comments and help attributes of items that derive one of these.
HELP_FILES = "host/src/cli/"
CLAP_DERIVE = re.compile(r"#\[derive\([^)]*\b(Parser|Args|Subcommand|ValueEnum)\b")
HELP_ATTRIBUTE = re.compile(r'\b(?:about|long_about|help|long_help)\s*=\s*"((?:\\.|[^"\\])*)"', re.S)
HELP_QUESTION = re.compile(r"(?:What|Who|How|Whether)\b")
HELP_OPENING = re.compile(r"(?:Whether|What|Who|How|It|This)\b")
SENTENCE_END = re.compile(r"(?<=[.!?])\s+(?=[A-Z`])")


class Text:
    """Lines that belong together, joined by spaces; knows the line of each character."""

    def __init__(self, path):
        self.path, self.parts, self.starts, self.lines, self.length = path, [], [], [], 0

    def add(self, line, text):
        self.starts.append(self.length)
        self.lines.append(line)
        self.parts.append(text)
        self.length += len(text) + 1

    def joined(self):
        return " ".join(self.parts)

    def place(self, offset):
        at = bisect.bisect_right(self.starts, offset) - 1
        return f"{self.path}:{self.lines[at]}: {self.parts[at].strip()[:110]}"


def tracked_files(root):
    output = subprocess.run(["git", "-C", root, "ls-files", "-z"], capture_output=True, text=True, check=True).stdout
    return [path for path in output.split("\0") if path and os.path.isfile(os.path.join(root, path))]


def read(root, path):
    with open(os.path.join(root, path), encoding="utf8", errors="replace") as file:
        return file.read()


def comment_blocks(path, source):
    """Returns each run of consecutive comment lines as one text."""
    pattern = RUST_COMMENT if path.endswith(".rs") else WIT_COMMENT
    blocks, block = [], None
    for number, line in enumerate(source.split("\n"), 1):
        match = pattern.match(line)
        if not match:
            block = None
            continue
        if block is None:
            block = Text(path)
            blocks.append(block)
        block.add(number, match.group(1).strip())
    return [block for block in blocks if block.joined().strip()]


def document(path, source):
    text = Text(path)
    for number, line in enumerate(source.split("\n"), 1):
        text.add(number, line)
    return text


def opens_with_question_word(block):
    return bool(OPENING.match(block.joined().strip()))


def item_end(lines, start):
    """Returns the index after the struct or enum that begins at `start`."""
    depth = 0
    for index in range(start, len(lines)):
        code = re.sub(r"//.*", "", re.sub(r'"(?:\\.|[^"\\])*"', '""', lines[index]))
        depth += code.count("{") - code.count("}")
        if depth <= 0 and (code.rstrip().endswith(("}", ";"))):
            return index + 1
    return len(lines)


def help_texts(path, source):
    """Yields (line, text) for each paragraph block of help in a file of the command line."""
    lines = source.split("\n")
    for index, line in enumerate(lines):
        if not CLAP_DERIVE.search(line):
            continue
        first = index
        while first and re.match(r"\s*(///|#\[)", lines[first - 1]):
            first -= 1
        item = next((i for i in range(index, len(lines)) if re.match(r"\s*(pub(\([^)]*\))?\s+)?(struct|enum)\b", lines[i])), None)
        if item is None:
            continue
        last = item_end(lines, item)
        block, begin = [], None
        for number in range(first, last):
            doc = re.match(r"\s*///\s?(.*)", lines[number])
            if doc:
                begin = number + 1 if begin is None else begin
                block.append(doc.group(1).strip())
            elif block:
                yield begin, "\n".join(block)
                block, begin = [], None
        body = "\n".join(lines[first:last])
        for attribute in HELP_ATTRIBUTE.finditer(body):
            yield first + 1 + body.count("\n", 0, attribute.start()), re.sub(r"\\\s*\n\s*", "", attribute.group(1))


def check_help(path, source):
    """Returns the places of help sentences that are questions or do not open with a verb or a noun."""
    problems = []
    for line, text in help_texts(path, source):
        if HELP_OPENING.match(text):
            problems.append(f"{path}:{line}: help must open with an imperative verb or a noun: {text.splitlines()[0][:90]}")
            continue
        for paragraph in re.split(r"\n\s*\n", text):
            for sentence in SENTENCE_END.split(paragraph.replace("\n", " ").strip()):
                if HELP_QUESTION.match(sentence) or sentence.endswith("?"):
                    problems.append(f"{path}:{line}: help sentence is a question: {sentence[:100]}")
    return problems


def measure(texts):
    """Returns the number of words and, for each row, the places of its matches."""
    words, places = 0, [[] for _ in ROWS]
    for text in texts:
        joined = text.joined()
        words += len(WORD.findall(joined))
        for index, (_, pattern, _, _) in enumerate(ROWS):
            places[index] += [text.place(match.start()) for match in pattern.finditer(joined)]
    return max(words, 1), places


def main():
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--list", action="store_true")
    arguments.add_argument("--summary", action="store_true")
    arguments.add_argument("root", nargs="?", default=os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    options = arguments.parse_args()

    comments, documents, help_problems = [], [], []
    for path in tracked_files(options.root):
        if path.endswith((".rs", ".wit")):
            source = read(options.root, path)
            comments += comment_blocks(path, source)
            if path.startswith(HELP_FILES) and path.endswith(".rs"):
                help_problems += check_help(path, source)
        elif path.endswith(".md") and not path.startswith("CHANGELOG"):
            documents.append(document(path, read(options.root, path)))

    opening = [block.place(0) for block in comments if opens_with_question_word(block)]
    opening_share = 100 * len(opening) / max(len(comments), 1)
    words, in_comments = measure(comments)
    document_words, in_documents = measure(documents)

    # (name, figure, limit, places)
    rows = [("comments that open with " + QUESTION_WORDS.replace("|", "/") + " (%)", opening_share, OPENING_LIMIT, opening)]
    table = [(rows[0][0], OPENING_BEFORE, opening_share, None, OPENING_LIMIT)]
    for (name, _, limit, before), places, document_places in zip(ROWS, in_comments, in_documents):
        figure, document_figure = 1e4 * len(places) / words, 1e4 * len(document_places) / document_words
        rows += [(f"comments: {name}", figure, limit, places), (f"docs: {name}", document_figure, limit, document_places)]
        table.append((name, before, figure, document_figure, limit))
    rows.append(("help of the command line", float(len(help_problems)), 0.0, help_problems))

    failed = [row for row in rows if row[1] > row[2]]
    for name, figure, limit, places in rows if options.list else failed:
        print(f"{name}: {figure:.1f}, limit {limit:.1f}")
        for place in places:
            print(f"  {place}")
    if options.summary:
        print(f"{len(comments)} comments with {words} words; {len(documents)} documents with {document_words} words\n")
        print("| per 10,000 words | comments before | comments now | docs now | limit |\n| --- | --- | --- | --- | --- |")
        for name, before, figure, document_figure, limit in table:
            docs = "" if document_figure is None else f"{document_figure:.1f}"
            print(f"| {name} | {before:.1f} | {figure:.1f} | {docs} | {limit:.1f} |")
        print(f"\n{len(help_problems)} help texts to reword")
    if failed:
        print(f"prose: {len(failed)} of {len(rows)} figures exceed their limit; see CONTRIBUTING.md, \"Writing\"", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
