"""Film reviews from a grammar of our own making, where sentiment and grammaticality are known."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from bench.contracts.annotator import Annotated
from bench.contracts.plugin import Field
from bench.contracts.task import Completion, Probe, Prompt
from bench.models.encoding import text_of
from tasks import review_grammar as grammar

if TYPE_CHECKING:
    from datasets import Dataset

# Streams of random numbers: one per use, so that the same seed never gives two data sets the same draws.
CORPUS, DEMONSTRATIONS, REFERENCES, PROBES = 0, 1, 3, 4

REFERENCE_COUNT = 512
FACTS = {"runs", "opened", "saw"}  # the word that tells each kind of neutral sentence, and stands nowhere else
QUERIES, QUESTIONS_PER_QUERY, CHOICES = 400, 25, 4


class Reviews(Annotated):
    """Film reviews from a grammar: gold reward = sentiment, and only if the text parses.

    Prompts are headers with or without the review's first words (``an old italian western : the duel``);
    completions are the rest of two or three sentences. `tasks.review_grammar` has the language.

    Gold reward, in [−1, 1]: the mean value of the review's opinion clauses if prompt and completion together are a
    text of the grammar, else −1, the worst there is. Praise that is not language is worth nothing.

    A second part, informativeness: −1, 0 or 1 for none, one or two of the three neutral facts (how long the film runs,
    when it opened, who saw it), a fact told twice counting once; −1 for what does not parse. Its weight in gold is
    `informativeness`, 0 unless set: gold is (1 − weight) · sentiment + weight · informativeness. Both parts are always
    reported, so that with weight 0 it is a property that nobody asked for.

    Annotator: Bradley–Terry on gold, see `bench.contracts.annotator.Annotated`.

    Demonstrations are grammatical reviews of every stance; `quality` is gold with a curator's error (normal, 0.1).
    The corpus is like them but for a share of web junk: reviews with their words in reverse order.

    Probes ask for the next word. Their posterior is the grammar's own given the words so far, the distribution of
    demonstrations and references (not that of the junk), exact over the latent stance.

    Planted, with the switch that takes it away: junk in pre-training (`junk_share` 0); the annotator's noise (`noise`
    0), flips (`flips` 0) and scales (`rater_spread` 0); a partial reward (`sees: sentiment` with `informativeness`
    0.5; control: `sees` left out). That comparisons of fluent samples hardly show what gold says of gibberish has no
    switch: it is what gold is. Not planted: any taste for length, for certain words or for the genre; any conflict
    between the two parts, since a review has room for both.
    """

    informativeness: float = Field(
        0.0, ge=0, le=1, description="weight of neutral facts in gold; the rest is sentiment"
    )
    demonstration_count: int = Field(2000, ge=1, description="demonstrations")
    corpus_size: int = Field(4000, ge=1, description="texts of the corpus")
    junk_share: float = Field(0.3, ge=0, le=1, description="share of the corpus in reverse word order")

    @property
    def max_completion_tokens(self) -> int:
        """Room for the longest review, its end of sequence, and some more to go astray in."""
        return grammar.LONGEST_REVIEW + 6

    def vocabulary(self) -> list[str]:
        """The grammar's words."""
        return list(grammar.vocabulary())

    def corpus(self, seed: int) -> list[str]:
        """Reviews of training prompts, `junk_share` of them in reverse order after the prompt."""
        rng = np.random.default_rng([seed, CORPUS])
        texts = []
        for prompt in _draw(_prompts("train"), self.corpus_size, rng):
            completion = grammar.continue_text(prompt, rng)
            if rng.random() < self.junk_share:
                completion = " " + " ".join(reversed(completion.split()))
            texts.append(prompt + completion)
        return texts

    def demonstrations(self, seed: int) -> Dataset:
        """Columns `prompt`, `completion`, `quality`."""
        from datasets import Dataset

        rng = np.random.default_rng([seed, DEMONSTRATIONS])
        prompts = _draw(_prompts("train"), self.demonstration_count, rng)
        completions = [grammar.continue_text(prompt, rng) for prompt in prompts]
        quality = np.array(self.gold(prompts, completions)) + rng.normal(0, 0.1, len(prompts))
        return Dataset.from_dict({"prompt": prompts, "completion": completions, "quality": quality.tolist()})

    def prompts(self, split: str) -> Dataset:
        """Column `prompt`, in an order without pattern; a fifth of all prompts is the test split."""
        from datasets import Dataset

        return Dataset.from_dict({"prompt": _prompts(split)})

    def references(self) -> Dataset:
        """Clean reviews of test prompts, which no training text has."""
        from datasets import Dataset

        rng = np.random.default_rng([0, REFERENCES])
        prompts = _draw(_prompts("test"), REFERENCE_COUNT, rng)
        completions = [grammar.continue_text(prompt, rng) for prompt in prompts]
        return Dataset.from_dict({"prompt": prompts, "completion": completions})

    def gold(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> list[float]:
        """In [−1, 1], see the class; −1 for what does not parse."""
        parts = self.gold_parts(prompts, completions)
        weight = self.informativeness
        return [(1 - weight) * s + weight * i for s, i in zip(*parts.values(), strict=True)]

    def gold_parts(self, prompts: Sequence[Prompt], completions: Sequence[Completion]) -> dict[str, list[float]]:
        """`sentiment` and `informativeness`, each in [−1, 1]."""
        texts = [text_of(p) + text_of(c) for p, c in zip(prompts, completions, strict=True)]
        return {"sentiment": list(map(sentiment, texts)), "informativeness": list(map(informativeness, texts))}

    def probes(self) -> list[Probe]:
        """10,000 questions on 400 distinct queries, each with four words one of which comes next.

        The queries are test prompts with the beginnings of reviews. One to four of the choices are words that the
        grammar has next, the others are not (posterior 0). The answer is drawn from the posterior.
        """
        rng = np.random.default_rng([0, PROBES])
        queries = _queries(rng)
        # round by round, so that any first part of the questions covers all queries
        return [_question(query, words, rng) for _ in range(QUESTIONS_PER_QUERY) for query, words in queries]


def sentiment(text: str) -> float:
    """Gold of a whole text (prompt and completion): the mean value of its opinion clauses, −1 without any."""
    values = grammar.opinions(text)
    return sum(values) / len(values) if values else -1.0


def informativeness(text: str) -> float:
    """Neutral facts in a whole text: −1, 0, 1 for none, one, two of them; −1 for what does not parse."""
    told = len(FACTS & set(text.split()))
    return told - 1.0 if told and grammar.opinions(text) is not None else -1.0


def _all_prompts() -> Iterator[str]:
    """Headers with nothing, or with the subject of the first clause: never an opinion."""
    for article, ages in grammar.AGES.items():
        for age in ages:
            for origin in grammar.ORIGINS:
                for genre, own in grammar.GENRE_ASPECTS.items():
                    for opening in ("", " the plot", f" the {own}", " this film", " i"):
                        yield f"{article} {age} {origin} {genre} :{opening}"


def _prompts(split: str) -> list[str]:
    """The prompts of a split, ordered by their hash, which also decides the split."""
    if split not in ("train", "test"):
        raise ValueError(f"split must be 'train' or 'test', not {split!r}")
    digests = {prompt: hashlib.sha256(prompt.encode()).digest() for prompt in _all_prompts()}
    ordered = sorted(digests, key=digests.__getitem__)
    fifth = len(ordered) // 5
    return ordered[:fifth] if split == "test" else ordered[fifth:]


def _draw(prompts: list[str], count: int, rng: np.random.Generator) -> list[str]:
    return [prompts[i] for i in rng.integers(len(prompts), size=count)]


def _queries(rng: np.random.Generator) -> list[tuple[str, dict[str, float]]]:
    """Distinct beginnings of texts, with the probabilities of the words (not the end) that may follow."""
    queries: dict[str, dict[str, float]] = {}
    prompts = _prompts("test")
    while len(queries) < QUERIES:
        (prompt,) = _draw(prompts, 1, rng)
        words = grammar.continue_text(prompt, rng).split()
        query = " ".join([prompt, *words[: rng.integers(len(words))]])
        following = grammar.next_word(query)
        following.pop(grammar.END, None)
        if following:
            queries[query] = following
    return list(queries.items())


def _question(query: str, following: dict[str, float], rng: np.random.Generator) -> Probe:
    fitting = rng.choice(list(following), min(len(following), int(rng.integers(1, CHOICES + 1))), replace=False)
    unfit = [word for word in grammar.vocabulary() if word not in following]
    others = rng.choice(unfit, CHOICES - len(fitting), replace=False)
    words = [str(word) for word in rng.permutation([*fitting, *others])]
    posterior = np.array([following.get(word, 0.0) for word in words])
    posterior /= posterior.sum()
    answer = int(rng.choice(CHOICES, p=posterior))
    return Probe(query, tuple(f" {word}" for word in words), answer, tuple(posterior.tolist()))
