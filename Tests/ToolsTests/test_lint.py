"""Tests of what Tools/lint does in Python: the words and the graph of targets."""

import os
import subprocess
import sys
import tempfile
import unittest

ROOT = os.path.join(os.path.dirname(os.path.abspath(__file__)), "../..")
sys.path.insert(0, os.path.join(ROOT, "Tools/python"))

import lint_layers  # noqa: E402
import lint_words  # noqa: E402


def rules():
    with open(os.path.join(ROOT, "Tools/words.txt"), encoding="utf-8") as file:
        return lint_words.read_rules(file.read())


class Words(unittest.TestCase):
    """What is found, and, as a control, what is not."""

    BAD = [
        "it looks at the catalog", "a look takes 20 µs", "nothing looked", "looking again", "Look at the log.",
        "one glance a second", "the parts of an index", "it is parted among threads", "worth parting", "so that they can part",
        "Part items that collide.", "mend it", "once it is mended", "made anew", "beside the model", "nobody waits",
        "whoever calls it", "what becomes of items", "whatever became of it", "what it was given for",
        "a daemon that did not end in order", "the index was not closed in order", "it ends the run in order",
        "it resumes by itself", "they leave by themselves", "`letter verify` tells where", "the log does not tell it",
        "entries that tell of it", "told in the status", "a daemon that says so", "and says so in the log",
        "What the figures say", "numeric rooms", "every room has one idea", "the house rules", "takes its sums itself",
        "good whatever happens", "whole or not at all, whatever dies", "the same codes in any company",
        "with the widest vectors", "the processor's vectors", "whatever vectors the processor has", "the vectors that a processor has",
        "every commit is answered for", "Go on from the checkpoint", "what becomes\nof items",
    ]

    GOOD = [
        "a look-up of items", "look up the identifiers", "lookups", "partition", "a part of the file", "part by part",
        "besides", "amend", "in order to see it", "in order of time", "items in key order", "rows, in order",
        "The list ends in order of size", "its own", "no tokenizer can tell equal embeddings apart",
        "tells items with equal codes apart", "they can be told apart", "it was told to stop", "tells the kernel what to do",
        "cannot tell what is in the file", "make room for 8 bytes", "household", "a bedroom", "sums of squares",
        "go on", "vectors of 384 numbers", "the answer", "it says 3", "unless the option says otherwise",
    ]

    def found(self, path, text):
        return [(line, word) for line, word, _ in lint_words.find(rules(), path, text)]

    def test_every_bad_phrase_is_found_and_no_good_one(self):
        for phrase in self.BAD:
            self.assertTrue(self.found("a.md", phrase), phrase)
        for phrase in self.GOOD:
            self.assertEqual(self.found("a.md", phrase), [], phrase)

    def test_every_rule_has_an_example(self):
        for rule in rules():
            self.assertTrue(any(rule.expression.search(phrase) for phrase in self.BAD), rule.expression.pattern)

    def test_only_the_prose_of_swift_is_read(self):
        code = (
            "/// Nothing\n/// anew.\nlet anew = beside(parts)  // mend\n"
            'let text = "anew \\(beside(")"))"\nlet raw = #"told "x""#\n'
            'let long = """\n    one\n    whoever \\(nobody)\n    """\n'
            "@Test func `what is told`() {}\nlet `anew` = 1  /* looks */\n"
        )
        self.assertEqual(
            self.found("a.swift", code),
            [(2, "anew"), (3, "mend"), (4, "anew"), (5, "told"), (8, "whoever"), (10, "told"), (11, "looks")])

    def test_a_phrase_is_found_across_lines_of_a_comment(self):
        self.assertEqual(self.found("a.swift", "    /// What becomes\n    /// of items.\n"), [(1, "What becomes of")])
        self.assertEqual(self.found("a.c", "// by\n// itself\n"), [(1, "by itself")])

    def test_code_in_markdown_and_code_spans_is_not_read(self):
        text = "Plain `anew` text.\n```sh\nlook beside\n```\nmend\n"
        self.assertEqual(self.found("a.md", text), [(5, "mend")])
        self.assertEqual(self.found("a.swift", "/// Uses `looks`.\n"), [])

    def test_of_python_only_comments_and_strings_are_read(self):
        text = 'parts = 1  # anew\nprint("told", f"{parts}")\n"""by\nitself"""\n'
        self.assertEqual(self.found("a.py", text), [(1, "anew"), (2, "told"), (3, "by itself")])

    def test_scripts_and_schemas_are_read_whole(self):
        self.assertEqual(self.found("Tools/x", "#!/usr/bin/env bash\n# one\n# anew\n"), [(3, "anew")])
        self.assertEqual(self.found("a.yaml", "summary: Looks at it\n"), [(1, "Looks")])

    def test_the_program_fails_and_says_where(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in [("bad.md", "one\nanew\n"), ("good.md", "again\n")]:
                with open(os.path.join(folder, name), "w") as file:
                    file.write(text)
            command = [sys.executable, "-B", os.path.join(ROOT, "Tools/python/lint_words.py")]
            command.append(os.path.join(ROOT, "Tools/words.txt"))
            bad = subprocess.run([*command, folder + "/bad.md"], capture_output=True, text=True)
            self.assertEqual((bad.returncode, bad.stdout), (1, f"{folder}/bad.md:2: 'anew': again\n"))
            self.assertEqual(subprocess.run([*command, folder + "/good.md"]).returncode, 0)


def target(name, *imports, kind="regular", path=None):
    dependencies = [{"byName": [other, None]} for other in imports]
    return lint_layers.Target({"name": name, "type": kind, "path": path, "dependencies": dependencies})


class Layers(unittest.TestCase):
    LAYERS = lint_layers.read_layers("# comment\n0 Core\n1 Files Numerics  # two\n\n9 letter\n")

    def problems(self, *targets):
        return lint_layers.check(targets, self.LAYERS)

    def test_imports_of_lower_layers_are_right(self):
        graph = [
            target("Core"), target("Files", "Core"), target("letter", "Files", "Core"),
            target("FilesTests", "Files", "letter", kind="test"),
        ]
        self.assertEqual(self.problems(*graph), [])

    def test_an_import_of_the_same_or_a_higher_layer_is_a_problem(self):
        self.assertEqual(len(self.problems(target("Core", "Files"), target("Files"))), 1)
        same = self.problems(target("Files", "Numerics"), target("Numerics"))
        self.assertIn("Files (layer 1) imports Numerics (layer 1)", same[0])

    def test_a_target_without_a_layer_is_a_problem(self):
        self.assertIn("New has no layer", self.problems(target("New"))[0])
        # Also where it is imported before it has one.
        self.assertEqual(len(self.problems(target("Core"), target("Files", "New"), target("New"))), 1)

    def test_sources_do_not_import_what_is_for_tests(self):
        support = target("TestSupport", path="Tests/TestSupport")
        self.assertIn("which is for tests", self.problems(support, target("Files", "TestSupport"))[0])
        self.assertEqual(self.problems(support, target("letter", "TestSupport", path="Tools/Benchmarks/x")), [])

    def test_a_target_in_two_layers_is_refused(self):
        with self.assertRaises(SystemExit):
            lint_layers.read_layers("0 Core\n1 Core\n")

    def test_the_program_fails_on_a_bad_graph(self):
        command = [sys.executable, "-B", os.path.join(ROOT, "Tools/python/lint_layers.py")]
        command.append(os.path.join(ROOT, "Tools/layers.txt"))
        graph = '{"targets": [{"name": "Core", "dependencies": [{"byName": ["Daemon", null]}]}, {"name": "Daemon"}]}'
        bad = subprocess.run(command, input=graph, capture_output=True, text=True, cwd=ROOT)
        self.assertEqual(bad.returncode, 1)
        self.assertIn("Core (layer 0) imports Daemon (layer 8)", bad.stderr)
        good = subprocess.run(
            command, input=graph.replace('["Daemon", null]', '["CLinux", null]'), capture_output=True, text=True, cwd=ROOT)
        self.assertEqual((good.returncode, good.stderr), (0, ""))


if __name__ == "__main__":
    unittest.main()
