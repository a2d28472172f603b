"""A probabilistic grammar of film reviews: its words, its sentences, their probabilities, their sentiment.

    an old italian western : the duel was not very good , but i loved the music . it runs two hours .

A text is a header (``an old italian western :``) and a review of two or three sentences. The first gives an
opinion, the others may be neutral; at most one has two clauses, joined by *and* (the second mostly agrees) or *but*
(it mostly does not). Each opinion clause has the value

    strength of the adjective or verb  ×  1.25 or 0.5 for an intensifier  ×  −1 if negated,

with strengths ±0.5 and ±0.8, so values lie in [−1, 1]; *nobody* as the subject negates, too. Words agree in number
(the songs were …); the header's genre makes some likelier (a western has a duel). Within a class of words the n-th
is 1/n as likely as the first (Zipf's law).

A latent stance, drawn once per text, makes its clauses agree with each other. The words alone tell where in the
grammar one stands (`node`), whatever the stance: hence a word has one probability per stance, one walk tells whether
a text belongs to the language (`opinions`), and the true distribution of the next word follows from Bayes' rule
over three stances (`next_word`).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import accumulate
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

STANCES = ("positive", "negative", "mixed")
PRIOR: Array = np.array([0.42, 0.36, 0.22])
# by stance: the probability that a clause is favourable, that one follows after "and", that one follows after "but"
PRAISE: Array = np.array([0.95, 0.05, 0.5])
AND: Array = np.array([0.2, 0.2, 0.05])
BUT: Array = np.array([0.05, 0.05, 0.4])
# whatever the stance
HEED = 0.95  # a clause after "and" has the sign of the one before, a clause after "but" the other one
NEGATED = 0.1  # a negator stands before an adjective or verb
INTENSIFIED = 0.3  # an intensifier does
NEUTRAL = 0.25  # a sentence after the first is neutral
ENDS = 0.6  # two sentences without "and" or "but" are all

AGES = {"a": ("new", "recent", "silent"), "an": ("old", "early", "odd")}
ORIGINS = ("italian", "french", "japanese", "swedish", "indian", "american")
GENRE_ASPECTS = {  # the aspect that each genre is known for
    "western": "duel",
    "comedy": "jokes",
    "thriller": "chase",
    "drama": "tears",
    "musical": "songs",
    "cartoon": "drawings",
}
ASPECTS = ("plot", "cast", "music", "costumes", *GENRE_ASPECTS.values())
PLURAL = {"costumes", "jokes", "tears", "songs", "drawings"}
PERSONS = ("i", "we", "everyone")
ADJECTIVES = {
    **{"superb": 0.8, "wonderful": 0.8, "good": 0.5, "charming": 0.5},
    **{"dull": -0.5, "weak": -0.5, "awful": -0.8, "terrible": -0.8},
}
VERBS = {"loved": 0.8, "liked": 0.5, "endured": -0.5, "hated": -0.8}
INTENSIFIERS = {"very": 1.25, "really": 1.25, "somewhat": 0.5}
VERB_INTENSIFIERS = {"really": 1.25, "somewhat": 0.5}
NEGATORS = ("not", "never")
VERB_NEGATORS = ("never",)  # "i never liked", but not "i not liked"

# Places where neither the stance nor what came before matters: the words, and where each leads.
FIXED: dict[str, dict[str, str]] = {
    "article": {article: article for article in AGES},
    **{article: dict.fromkeys(ages, "origin") for article, ages in AGES.items()},
    "origin": dict.fromkeys(ORIGINS, "genre"),
    "colon": {":": "sentence"},
    "film": {"film": "was"},
    "was": {"was": "adjective"},
    "were": {"were": "adjective"},
    "object": {"the": "noun", "it": "stop"},
    # neutral sentences: it runs two hours · it opened in spring · my sister saw it twice
    "it": {"runs": "number", "opened": "in"},
    "number": dict.fromkeys(("two", "three"), "hours"),
    "hours": {"hours": "full stop"},
    "in": {"in": "season"},
    "season": dict.fromkeys(("spring", "autumn"), "full stop"),
    "my": dict.fromkeys(("sister", "brother"), "saw"),
    "saw": {"saw": "seen"},
    "seen": {"it": "occasion"},
    "occasion": dict.fromkeys(("twice", "alone"), "full stop"),
}

END = ""  # stands for the end of the text among the possible next words
LONGEST_REVIEW = 22
"""Words of the longest review."""


class State(NamedTuple):
    """A place in the grammar, and what the words so far mean for those to come.

    sentence: which one we are in, from 0. compound: whether the review has had its one sentence of two clauses.
    sign: of the last opinion. expected: the sign that *and* or *but* makes likely (0: left to the stance).
    """

    place: str = "article"
    genre: str = ""
    sentence: int = 0
    compound: bool = False
    sign: int = 0
    expected: int = 0
    negated: bool = False
    intensity: float = 0.0

    def at(self, place: str, **changes: object) -> State:
        """The same state at another place."""
        return self._replace(place=place, **changes)  # type: ignore[arg-type]


class Step(NamedTuple):
    """One possible next word.

    probability: by stance, shape (3,). value: of the opinion clause, if this word decides it.
    """

    word: str
    probability: Array
    state: State
    value: float | None = None


class Node(NamedTuple):
    """All possible next words; for each stance their cumulative probabilities."""

    steps: Mapping[str, Step]
    cumulative: tuple[list[float], ...]


@cache
def node(state: State) -> Node:
    """The possible next words in `state`; their probabilities sum to 1 under each stance."""
    steps = {step.word: step for step in _steps(state)}
    columns = np.array([step.probability for step in steps.values()]).T
    return Node(steps, tuple(list(accumulate(column)) for column in columns.tolist()))


def _steps(s: State) -> Iterator[Step]:
    """The productions."""
    if s.place in FIXED:
        yield from _zipf({word: s.at(place) for word, place in FIXED[s.place].items()})
    match s.place:
        case "genre":
            yield from _zipf({genre: s.at("colon", genre=genre) for genre in GENRE_ASPECTS})
        case "sentence":
            yield from _sentence(s)
        case "clause":
            yield from _clause(s, 1.0)
        case "subject" | "noun":
            for word, probability in _aspects(s.genre).items():
                verb = "were" if word in PLURAL else "was"
                yield Step(word, _flat(probability), s.at("stop" if s.place == "noun" else verb))
        case "adjective":
            yield from _predicate(s, ADJECTIVES, NEGATORS, INTENSIFIERS, s.at("stop"))
        case "verb":
            yield from _predicate(s, VERBS, VERB_NEGATORS, VERB_INTENSIFIERS, s.at("object"))
        case "stop":
            yield from _stop(s)
        case "but":
            yield Step("but", _flat(1.0), s.at("clause", expected=-s.sign, sign=0))
        case "full stop":
            yield Step(".", _flat(1.0), s.at("sentence", sentence=s.sentence + 1))


def _sentence(s: State) -> Iterator[Step]:
    least, most = 2, 2 if s.compound else 3
    ends = 0.0 if s.sentence < least else 1.0 if s.sentence == most else ENDS
    neutral = NEUTRAL * (1 - ends) if s.sentence else 0.0
    if ends:
        yield Step(END, _flat(ends), s.at("end"))
    if neutral:
        yield from _zipf({"it": s.at("it"), "my": s.at("my")}, neutral)
    if ends < 1:
        yield from _clause(s, 1 - ends - neutral)


def _clause(s: State, mass: float) -> Iterator[Step]:
    yield Step("the", _flat(0.45 * mass), s.at("subject"))
    yield Step("this", _flat(0.15 * mass), s.at("film"))
    yield Step("nobody", _flat(0.04 * mass), s.at("verb", negated=True))
    yield from _zipf(dict.fromkeys(PERSONS, s.at("verb")), 0.36 * mass)


def _predicate(
    s: State,
    words: Mapping[str, float],
    negators: Sequence[str],
    intensifiers: Mapping[str, float],
    after: State,
) -> Iterator[Step]:
    """[negator] [intensifier] adjective-or-verb."""
    rest = 1.0
    if not s.negated and not s.intensity:
        yield from _zipf(dict.fromkeys(negators, s.at(s.place, negated=True)), NEGATED)
        rest -= NEGATED
    if not s.intensity:
        yield from _zipf({w: s.at(s.place, intensity=x) for w, x in intensifiers.items()}, INTENSIFIED)
        rest -= INTENSIFIED
    favourable = PRAISE if not s.expected else _flat(HEED if s.expected > 0 else 1 - HEED)
    for polarity in (1, -1):
        alike = [word for word, strength in words.items() if strength * polarity > 0]
        sign = -polarity if s.negated else polarity
        mass = rest * (favourable if sign > 0 else 1 - favourable)
        for word, share in zip(alike, _shares(len(alike)), strict=True):
            value = sign * abs(words[word]) * (s.intensity or 1.0)
            yield Step(word, mass * share, after._replace(sign=sign, negated=False, intensity=0.0), value)


def _stop(s: State) -> Iterator[Step]:
    # three sentences leave no room for a second clause: it would exceed LONGEST_REVIEW
    ends: Array = _flat(1.0)
    if not s.compound and s.sentence < 2:
        yield Step("and", AND, s.at("clause", compound=True, expected=s.sign, sign=0))
        yield Step(",", BUT, s.at("but", compound=True))
        ends = 1 - AND - BUT
    yield Step(".", ends, s.at("sentence", sentence=s.sentence + 1, sign=0, expected=0))


def _flat(probability: float) -> Array:
    """The same probability under every stance."""
    return np.full(len(STANCES), probability)


def _zipf(options: Mapping[str, State], mass: float = 1.0) -> Iterator[Step]:
    """The n-th option is 1/n as likely as the first."""
    for (word, state), share in zip(options.items(), _shares(len(options)), strict=True):
        yield Step(word, _flat(mass * share), state)


def _shares(count: int) -> list[float]:
    total = sum(1 / n for n in range(1, count + 1))
    return [1 / n / total for n in range(1, count + 1)]


def _aspects(genre: str) -> dict[str, float]:
    """Nouns and their probabilities: the genre's own a third of the time."""
    others = [word for word in ASPECTS if word != GENRE_ASPECTS[genre]]
    shares = [share * 2 / 3 for share in _shares(len(others))]
    return {GENRE_ASPECTS[genre]: 1 / 3} | dict(zip(others, shares, strict=True))


def walk(text: str) -> list[Step] | None:
    """The steps that `text` takes, or None where a word is not one that the grammar has next."""
    steps: list[Step] = []
    state = State()
    for word in text.split(" "):
        step = node(state).steps.get(word) if word else None
        if step is None:
            return None
        steps.append(step)
        state = step.state
    return steps


def opinions(text: str) -> list[float] | None:
    """The values of a text's opinion clauses, or None where it is not in the language. Words are single-spaced."""
    steps = walk(text)
    if steps is None or END not in node(steps[-1].state).steps:
        return None
    return [step.value for step in steps if step.value is not None]


def locate(text: str) -> tuple[Array, State]:
    """p(stance | words so far), shape (3,), by Bayes' rule, and the state the words lead to.

    Raises:
        ValueError: `text` begins no text of the language.
    """
    steps = walk(text)
    if steps is None:
        raise ValueError(f"not the beginning of a text of the grammar: {text!r}")
    # the words have one path through the grammar, so nothing but the stance is left to sum over
    joint = PRIOR * np.prod([step.probability for step in steps], axis=0)
    return joint / joint.sum(), steps[-1].state


def next_word(text: str) -> dict[str, float]:
    """p(next word | words so far), exactly: Σ_stance p(stance | words so far) p(word | state, stance).

    The key `END` has the probability that the text ends here. Raises ValueError as `locate` does.
    """
    stances, state = locate(text)
    return {word: float(stances @ step.probability) for word, step in node(state).steps.items()}


def continue_text(text: str, rng: np.random.Generator) -> str:
    """Draw the rest of a text that begins with `text`, with its leading space, from the grammar."""
    stances, state = locate(text)
    stance = int(rng.choice(len(STANCES), p=stances))
    words: list[str] = []
    while True:
        steps, cumulative = node(state)
        column = cumulative[stance]
        chosen = min(bisect_right(column, rng.random() * column[-1]), len(column) - 1)
        step = list(steps.values())[chosen]
        if step.word == END:
            return "".join(f" {word}" for word in words)
        words.append(step.word)
        state = step.state


@cache
def vocabulary() -> tuple[str, ...]:
    """Every word that some text of the language has, sorted."""
    words: set[str] = set()
    visited = {State()}
    frontier = [State()]
    while frontier:
        for step in node(frontier.pop()).steps.values():
            words.add(step.word)
            if step.state not in visited:
                visited.add(step.state)
                frontier.append(step.state)
    return tuple(sorted(words - {END}))
