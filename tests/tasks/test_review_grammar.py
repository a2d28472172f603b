"""The grammar: which texts it accepts, what they are worth, and that its posterior is the true one."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from tasks import review_grammar as grammar

HEADER = "an old italian western :"


def reachable() -> set[grammar.State]:
    seen, ahead = {grammar.State()}, [grammar.State()]
    while ahead:
        for step in grammar.node(ahead.pop()).steps.values():
            if step.state not in seen:
                seen.add(step.state)
                ahead.append(step.state)
    return seen


@pytest.mark.parametrize(
    ("review", "values"),
    [
        ("the duel was good . i loved it .", [0.5, 0.8]),
        ("the duel was not very good . i loved it .", [-0.625, 0.8]),
        ("this film was really superb . everyone really hated the costumes .", [1.0, -1.0]),
        ("nobody liked it . it runs two hours .", [-0.5]),
        ("the songs were somewhat awful , but i never hated the plot . my sister saw it alone .", [-0.4, 0.8]),
        ("nobody really endured the cast and we loved it . the plot was dull .", [0.625, 0.8, -0.5]),
    ],
)
def test_opinion_values_follow_strength_intensifier_and_negation(review: str, values: list[float]) -> None:
    assert grammar.opinions(f"{HEADER} {review}") == pytest.approx(values)


@pytest.mark.parametrize(
    "review",
    [
        "",
        "the duel was good .",  # one sentence
        "the duel was good . i loved it",  # no full stop
        "the songs was good . i loved it .",  # number
        "it runs two hours . i loved it .",  # a neutral sentence first
        "the duel was not never good . i loved it .",
        "i not loved it . we liked it .",
        "i loved it , but we hated it . the plot was dull . the cast was weak .",  # three sentences, one compound
        "i loved it , but we hated it . the plot was dull and the cast was weak .",  # two compounds
        "i loved it . we liked it . i loved it . we liked it .",
        "superb superb superb superb superb",
        "i loved it . i loved it . superb",
        "i loved it .  we liked it .",  # two spaces
        "i loved it . we liked it . ",
        "i loved it . we liked it .<eos>",
        "i loved it . we liked it . <unk>",
        "I loved it . we liked it .",
    ],
)
def test_what_is_not_in_the_language_is_refused(review: str) -> None:
    assert grammar.opinions(f"{HEADER} {review}") is None


def test_headers_are_parsed_too() -> None:
    assert grammar.opinions("a old italian western : i loved it . we liked it .") is None
    assert grammar.opinions("i loved it . we liked it .") is None


def test_every_text_drawn_is_in_the_language_and_has_an_opinion() -> None:
    rng = np.random.default_rng(0)
    lengths = []
    for _ in range(2000):
        review = grammar.continue_text(HEADER, rng)
        values = grammar.opinions(HEADER + review)
        assert values
        assert all(-1 <= value <= 1 for value in values)
        lengths.append(len(review.split()))
    assert max(lengths) <= grammar.LONGEST_REVIEW
    assert np.mean(lengths) < 16


def test_probabilities_sum_to_one_everywhere_under_every_stance() -> None:
    for state in reachable():
        if state.place == "end":
            continue
        total = np.sum([step.probability for step in grammar.node(state).steps.values()], axis=0)
        assert total == pytest.approx([1, 1, 1])


def test_the_longest_review_is_as_long_as_stated() -> None:
    @cache
    def longest(state: grammar.State) -> int:
        return max((longest(s.state) + (s.word != grammar.END) for s in grammar.node(state).steps.values()), default=0)

    header = len(HEADER.split())
    assert longest(grammar.State()) == header + grammar.LONGEST_REVIEW


def test_vocabulary_is_that_of_the_texts() -> None:
    rng = np.random.default_rng(1)
    words = grammar.vocabulary()
    assert 50 < len(words) < 150
    drawn = {word for _ in range(3000) for word in grammar.continue_text("an", rng).split()}
    assert drawn <= set(words)
    assert len(set(words) - drawn - {"a", "an", "new", "recent", "silent"}) == 0


def test_stance_posterior_by_hand() -> None:
    # "loved": favourable with 0.95, 0.05, 0.5; then "." where "and" and "but" are ruled out
    stances, _ = grammar.locate(f"{HEADER} i loved it .")
    joint = np.array([0.42 * 0.95 * 0.75, 0.36 * 0.05 * 0.75, 0.22 * 0.5 * 0.55])
    assert stances == pytest.approx(joint / joint.sum())
    negated, _ = grammar.locate(f"{HEADER} nobody loved it .")
    joint = np.array([0.42 * 0.05 * 0.75, 0.36 * 0.95 * 0.75, 0.22 * 0.5 * 0.55])
    assert negated == pytest.approx(joint / joint.sum())


def test_next_word_by_hand() -> None:
    # after a clause that tells nothing but its own sign, "but" is as likely as the stances make it
    following = grammar.next_word(f"{HEADER} i hated it")
    weights = np.array([0.42 * 0.05, 0.36 * 0.95, 0.22 * 0.5])
    weights /= weights.sum()
    assert following == pytest.approx(
        {"and": weights @ [0.2, 0.2, 0.05], ",": weights @ [0.05, 0.05, 0.4], ".": weights @ [0.75, 0.75, 0.55]}
    )
    assert sum(following.values()) == pytest.approx(1)


def test_posterior_agrees_with_monte_carlo() -> None:
    # Reviews from the prior; wherever a verb or adjective decides a clause that no "and" or "but" has decided, the
    # posterior's probability of a favourable one must be its frequency, among the sure and the unsure cases alike.
    rng = np.random.default_rng(2)
    predicted, happened = [], []
    for _ in range(4000):
        review = grammar.continue_text(HEADER, rng).split()
        text = HEADER
        for word in review:
            _, state = grammar.locate(text)
            steps = grammar.node(state).steps
            if steps[word].value is not None and state.sentence > 0 and not state.expected:
                following = grammar.next_word(text)
                good = sum(p for w, p in following.items() if (steps[w].value or 0) > 0)
                bad = sum(p for w, p in following.items() if (steps[w].value or 0) < 0)
                predicted.append(good / (good + bad))
                happened.append((steps[word].value or 0) > 0)
            text += f" {word}"
    p, y = np.array(predicted), np.array(happened)
    for low, high in ((0, 0.3), (0.3, 0.7), (0.7, 1)):
        inside = (p >= low) & (p < high)
        assert inside.sum() > 100
        error = np.sqrt((p[inside] * (1 - p[inside])).sum())
        assert abs((y[inside] - p[inside]).sum()) < 3.5 * error
    # the prior alone (0.53) would be far off
    assert np.mean((y - p) ** 2) < 0.8 * np.mean((y - y.mean()) ** 2)


def test_continuations_follow_the_posterior_of_their_beginning() -> None:
    rng = np.random.default_rng(3)
    text = f"{HEADER} i hated it . the cast was awful"
    words = [grammar.continue_text(text, rng).split()[0] for _ in range(4000)]
    for word, p in grammar.next_word(text).items():
        assert abs(words.count(word) / 4000 - p) < 4 * np.sqrt(p * (1 - p) / 4000) + 1e-9


def test_an_impossible_beginning_is_an_error() -> None:
    with pytest.raises(ValueError, match="not the beginning"):
        grammar.next_word("superb superb")
