"""SECURITY.md promises nothing that no test holds."""

from __future__ import annotations

import ast
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (?P<promise>[^|]+) \| (?P<tests>`[^|]+`) \|$", re.MULTILINE)
NAMED = re.compile(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?`")


def functions(file: Path) -> set[str]:
    tree = ast.parse(file.read_text(encoding="utf-8"))
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_each_promise_names_tests_that_are_there() -> None:
    rows = list(ROW.finditer((ROOT / "SECURITY.md").read_text(encoding="utf-8")))
    assert len(rows) >= 12
    for row in rows:
        named = NAMED.findall(row["tests"])
        assert named, row["promise"]
        for file, function in named:
            found = functions(ROOT / file)
            assert any(name.startswith("test_") for name in found), file
            assert not function or function in found, f"{file}::{function}"


def test_every_security_test_stands_for_a_promise() -> None:
    text = (ROOT / "SECURITY.md").read_text(encoding="utf-8")
    for file in Path(__file__).parent.glob("test_*.py"):
        if file.name != Path(__file__).name:
            assert f"tests/security/{file.name}" in text
