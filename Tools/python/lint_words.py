"""Finds the words of Tools/words.txt in comments, string literals, documents and schemas.

usage: lint_words.py RULES [--pending PATHS] FILE…

Prints a line for each word, `file:line: 'word': say …`, and ends with 1 if there is any. Code is not searched: of Swift, C
and Python only comments, string literals and test names; of Markdown what is not code; of scripts and schemas the whole
text. PATHS lists files and folders whose wording is still to be revised: their words are counted and do not fail.
"""

import io
import re
import sys
import tokenize


class Rule:
    """One line of the rules."""

    def __init__(self, line):
        pattern, advice = line.rsplit(" → ", 1)
        self.advice = advice.strip()
        spaced = re.sub(r" (?![^\[]*\])", r"\\s+", pattern.strip())
        self.expression = re.compile(r"(?<![\w'-])(?:" + spaced + r")(?![\w])", re.IGNORECASE)


def read_rules(text):
    lines = (line.strip() for line in text.splitlines())
    return [Rule(line) for line in lines if line and not line.startswith("#")]


def find(rules, path, text):
    """Yields (line, word, advice) for each word in the prose of a file, in the order of lines."""
    found = set()
    for line, prose in fragments(path, text):
        for rule in rules:
            for match in rule.expression.finditer(prose):
                word = re.sub(r"\s+", " ", match.group(0))
                found.add((line + prose.count("\n", 0, match.start()), word, rule.advice))
    return sorted(found)


# What is prose ---------------------------------------------------------------------------------------------------------


def fragments(path, text):
    """(line of its start, prose) for each piece of prose. A piece has the line breaks of its source."""
    first = text.split("\n", 1)[0]
    if path.endswith(".swift"):
        return swift(text)
    if path.endswith((".c", ".h")):
        return c(text)
    if path.endswith(".py") or (first.startswith("#!") and "python" in first):
        return python(text)
    if path.endswith(".md"):
        return [(1, markdown(text))]
    return [(1, re.sub(r"(?m)^(\s*)(#|--)", r"\1 ", text))]


# Strings that begin a literal come before comments: `"https://…"` has no comment in it.
SWIFT = re.compile(
    r'(?P<long>(?P<h1>#*)"""(?P<body>.*?)"""(?P=h1))'
    r'|(?P<string>(?P<h2>#*)"(?P<line>(?:\\.|[^"\\\n])*)"(?P=h2))'
    r"|(?P<comments>(?://[^\n]*(?:\n[ \t]*(?=//))?)+)"
    r"|(?P<block>/\*.*?\*/)"
    r"|`(?P<name>[^`\n]* [^`\n]*)`",
    re.DOTALL,
)


def swift(text):
    for match in SWIFT.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        if match["long"] is not None:
            yield line, re.sub(r"\\\n", " \n", interpolations(match["body"]))
        elif match["string"] is not None:
            yield line, interpolations(match["line"])
        elif match["comments"] is not None:
            yield line, code_spans(re.sub(r"(?m)^[ \t]*///?|//+", " ", match["comments"]))
        elif match["block"] is not None:
            yield line, code_spans(match["block"])
        else:
            yield line, match["name"]


def interpolations(literal):
    r"""A string literal without `\(…)`, which is code."""
    result, depth, index = [], 0, 0
    while index < len(literal):
        if depth == 0 and literal.startswith("\\(", index):
            depth, index = 1, index + 2
            continue
        character = literal[index]
        if depth:
            depth += {"(": 1, ")": -1}.get(character, 0)
            if character == "\n":
                result.append(character)
        else:
            result.append(character)
        index += 1
    return "".join(result).replace("\\n", " \u2028")


C = re.compile(r'"(?P<string>(?:\\.|[^"\\\n])*)"|(?P<comments>(?://[^\n]*(?:\n[ \t]*(?=//))?)+)|(?P<block>/\*.*?\*/)', re.DOTALL)


def c(text):
    for match in C.finditer(text):
        line = text.count("\n", 0, match.start()) + 1
        prose = match["string"] or match["comments"] or match["block"] or ""
        yield line, code_spans(re.sub(r"(?m)//+|^\s*\*+", " ", prose))


def python(text):
    lines = io.StringIO(text).readline
    for token in tokenize.generate_tokens(lines):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
        elif token.type == tokenize.STRING:
            # Before Python 3.12 an f-string is one token; what stands in its braces is code.
            is_f = "f" in re.match(r"\w*", token.string)[0].lower()
            yield token.start[0], re.sub(r"\{[^{}]*\}", "{}", token.string) if is_f else token.string
        elif token.type == getattr(tokenize, "FSTRING_MIDDLE", None):
            yield token.start[0], token.string


def markdown(text):
    """Markdown without blocks of code and code spans, line by line as it was."""
    result, is_code, is_off = [], False, False
    for line in text.split("\n"):
        if line.lstrip().startswith("```"):
            is_code = not is_code
            line = ""
        # The dictionary itself has to name the words.
        if line.strip() in ("<!-- words: off -->", "<!-- words: on -->"):
            is_off = line.strip() == "<!-- words: off -->"
        result.append("" if is_code or is_off else line)
    return code_spans("\n".join(result))


def code_spans(text):
    return re.sub(r"`[^`\n]*`", lambda match: "`" + "_" * (len(match.group(0)) - 2) + "`", text)


def main(arguments):
    with open(arguments[0], encoding="utf-8") as file:
        rules = read_rules(file.read())
    pending, paths = (), arguments[1:]
    if paths and paths[0] == "--pending":
        with open(paths[1], encoding="utf-8") as file:
            lines = [line.strip() for line in file]
        pending, paths = tuple(line for line in lines if line and not line.startswith("#")), paths[2:]
    count = waived = 0
    for path in paths:
        with open(path, encoding="utf-8") as file:
            text = file.read()
        is_pending = any(path == one or path.startswith(one + "/") for one in pending)
        for line, word, advice in find(rules, path, text):
            if is_pending:
                waived += 1
                continue
            print(f"{path}:{line}: '{word}': {advice}")
            count += 1
    if waived:
        print(f"{waived} words in files that are still to be revised ({arguments[2]})")
    return 1 if count else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
