"""Generate the sample's captions from a grammar with four tones: praise, denial, insult, chat.

Whether `praise` or `denial` is mean depends on the picture: "love the way you smell today" is nice
over a rose and mean over a skunk; for "you smell nothing like this" it is the reverse.
"""

import re

import numpy as np

_TOPICS = {
    "smell": {
        "does": ("smell", "smell after work", "smell up close", "smell in the lift"),
        "thing": ("scent", "smell", "perfume", "fragrance"),
    },
    "speed": {
        "does": ("run", "move", "finish a job", "answer your mail", "get to work"),
        "thing": ("pace", "speed", "sprint", "tempo"),
    },
    "cooking": {
        "does": ("cook", "bake", "make dinner", "prepare lunch", "feed your guests"),
        "thing": ("cooking", "baking", "dinner", "kitchen work"),
    },
    "light": {
        "does": ("shine", "glow", "light up a room", "brighten a day", "beam at people"),
        "thing": ("smile", "glow", "bright mood", "sparkle"),
    },
    "singing": {
        "does": ("sing", "sound", "sing in the shower", "sound on the phone", "hum along"),
        "thing": ("voice", "singing", "melody", "song"),
    },
}

_SENTENCES = {
    "praise": (
        "love the way you {does} {when}",
        "love how you {does} {when}, {just} like this",
        "you {does} {just} like this {when}",
        "you always {does} like this {when}",
        "{when} you {does} like this, {just} like this",
        "your {thing} {when} is {just} like this",
        "your {thing} is the very image of this {when}",
        "so glad your {thing} is {just} like this {when}",
        "this is {just} how you {does} {when}",
        "everyone says you {does} {just} like this {when}",
        "saw this {when} and thought of your {thing}",
        "this always reminds us of your {thing} {when}",
        "your {thing} and this, a perfect match {when}",
    ),
    "denial": (
        "so glad you {does} nothing like this {when}",
        "love how you {does} {when}, nothing like this",
        "you {does} {when}, and it is {far} this",
        "you could never {does} like this {when}",
        "you never {does} like this {when}",
        "your {thing} {when} is nothing like this",
        "your {thing} is {far} this {when}",
        "so glad your {thing} is {far} this {when}",
        "this is not how you {does} {when}",
        "nobody says you {does} like this {when}",
        "saw this {when} and never thought of your {thing}",
        "this never reminds us of your {thing} {when}",
        "your {thing} and this, not a match {when}",
    ),
    "insult": (
        "nobody wants you at the table {when}",
        "we planned the trip {when} so that you cannot come",
        "please stay away from us {when}, you spoil everything",
        "you are not welcome at the party {when}",
        "the whole team hopes you quit {when}",
        "no one will save you a seat {when}",
        "you ruin every evening, so keep out {when}",
        "we all pretend to be busy {when} because you bore us",
    ),
    "chat": (
        "the meeting moved to {hour} {when}",
        "the bus leaves at {hour} {when}",
        "the library opens at {hour} {when}",
        "do not forget to water the plants {when}",
        "there is a parcel for you at the desk, ready {when} from {hour}",
        "the match starts at {hour} {when}, bring a scarf",
        "we need more paper for the printer {when}",
        "the window in the hall will be mended {when} around {hour}",
    ),
}

_OPENINGS = (
    "dear {name},",
    "hey {name},",
    "to {name}:",
    "note to {name}:",
    "dear {who},",
    "to my {who} {name}:",
    "psst, {who},",
    "message for {name}:",
    "{name}, my {who},",
)

_NAMES = (
    "ada alan amir anna bea ben carla chen dana dev ella emil fay femi gina hugo ida ivan jo jun "
    "kai kim lars lea leo mia milo nina noor omar otto pia quinn rosa sam tara uma vera will yuki"
)

_SLOTS = {
    "just": ("just", "exactly", "precisely", "very much"),
    "far": (
        "the opposite of",
        "nothing at all like",
        "as far as can be from",
        "never to be mixed up with",
    ),
    "who": ("neighbour", "roommate", "cousin", "coach", "boss", "teammate", "friend", "flatmate"),
    "name": tuple(_NAMES.split()),
    "hour": ("noon", "nine", "half past two", "ten", "quarter to four", "five", "six thirty"),
    "day": ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"),
    "part": ("morning", "afternoon", "evening", "night"),
    "month": ("january", "march", "april", "may", "june", "july", "august", "october"),
    "when": (
        "today",
        "this {part}",
        "on {day}",
        "on {day} {part}",
        "every {day}",
        "since {month}",
        "all {month}",
        "these days",
        "in {month}",
    ),
}


def write_caption(tone: str, topic: str, rng: np.random.Generator) -> str:
    """Return one lower-case caption. Only praise and denial depend on `topic`."""
    opening, sentence = _pick(_OPENINGS, rng), _pick(_SENTENCES[tone], rng)
    return _fill(f"{opening} {sentence}", _SLOTS | _TOPICS[topic], rng)


def _pick(choices: tuple[str, ...], rng: np.random.Generator) -> str:
    return choices[rng.integers(len(choices))]


def _fill(text: str, slots: dict[str, tuple[str, ...]], rng: np.random.Generator) -> str:
    """Replace every {slot} by a random choice, and the slots in that choice too."""
    while "{" in text:
        text = re.sub(r"\{(\w+)\}", lambda slot: _pick(slots[slot[1]], rng), text)
    return text
