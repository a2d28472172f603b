"""A gold reward for real text: a sentiment classifier trained on labelled texts.

As in the DPO paper's controlled experiment (Rafailov et al. 2023, section 6), where a classifier's sentiment of IMDb
reviews is the reward that is known. Here it is logistic regression on words and pairs of words, small enough to be
trained in seconds and exactly reproducible. It is what the world wants by definition; how far it agrees with people is
its accuracy on labelled texts kept from it.

Trap: it weighs words and knows no grammar, so that a heap of praise is worth more than a review. What a policy gains by
that is over-optimisation of the labels' meaning, though not of this gold.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.contracts.errors import BenchError
from tasks.dataset.reading import BadRow, is_utf8, read
from tasks.dataset.rows import plain

if TYPE_CHECKING:
    from sklearn.pipeline import Pipeline

LABELS = {"positive": 1, "pos": 1, "1": 1, "true": 1, "negative": 0, "neg": 0, "0": 0, "false": 0}
TEXTS, SENTIMENTS = ("text", "review", "sentence"), ("sentiment", "label")

HELD_OUT = 0.2  # share of the labelled texts that tests the classifier
RARE = 2  # a feature counts from so many training texts on
RIDGE = 1e-4  # weight of the squared norm beside the mean loss


@dataclass(frozen=True)
class Classifier:
    """Logistic regression on the words and word pairs of a text, trained on `trained` labelled texts.

    accuracy: on `heldout` labelled texts that it was not trained on.
    """

    pipeline: Pipeline
    accuracy: float
    trained: int
    heldout: int

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The probability that each text is positive; that of a text without any known word is the intercept's."""
        probabilities: list[float] = self.pipeline.predict_proba(texts)[:, 1].tolist() if texts else []
        return probabilities


@cache
def classifier(path: Path, digest: str) -> tuple[Classifier, dict[str, list[int]]]:
    """The classifier of a file of labelled texts, and the numbers of its bad rows by reason; once per process.

    digest: of the file's content, so that another content is another classifier.

    Raises:
        BenchError: no column of texts or labels, not both labels to train on, or no word in two texts.
    """
    texts, labels, bad = read_labelled(path)
    # by hash, so that the same texts are held out whatever their order
    digests = [hashlib.sha256(text.encode()).digest() for text in texts]
    order = sorted(range(len(texts)), key=digests.__getitem__)
    heldout = order[: round(HELD_OUT * len(order))]
    train = order[len(heldout) :]
    if len({labels[i] for i in train}) < 2 or not heldout:
        raise BenchError(f"{path}: a gold classifier needs texts of both labels, and some to test it on")
    try:
        pipeline = fit([texts[i] for i in train], [labels[i] for i in train])
    except ValueError as error:  # no word is in two texts
        raise BenchError(f"{path}: no gold classifier can be learned from it: {error}") from error
    accuracy = pipeline.score([texts[i] for i in heldout], [labels[i] for i in heldout])
    return Classifier(pipeline, float(accuracy), trained=len(train), heldout=len(heldout)), bad


def read_labelled(path: Path) -> tuple[list[str], list[int], dict[str, list[int]]]:
    """Texts, labels (1 positive, 0 negative), and the numbers of bad rows by reason. A text counts once."""
    rows = read(path, None)
    found = list(dict.fromkeys(column for _, row in rows if isinstance(row, dict) for column in row))
    text_column, label_column = _column(path, found, TEXTS), _column(path, found, SENTIMENTS)
    labelled: dict[str, int] = {}
    bad: dict[str, list[int]] = {}
    for number, row in rows:
        reason, text = _bad(row, text_column, label_column), ""
        if reason is None and isinstance(row, dict):
            text = plain(row[text_column])
            reason = "twice" if text in labelled else None
        if reason is not None or not isinstance(row, dict):
            bad.setdefault(f"gold texts: {reason}", []).append(number)
        else:
            labelled[text] = LABELS[str(row[label_column]).strip().lower()]
    return list(labelled), list(labelled.values()), bad


def _column(path: Path, found: Sequence[str], known: Sequence[str]) -> str:
    for column in found:
        if column.lower() in known:
            return column
    raise BenchError(f"{path}: found the columns {', '.join(found)} — expected one called {' or '.join(known)}")


def _bad(row: dict[str, Any] | BadRow, text: str, label: str) -> str | None:
    if isinstance(row, BadRow):
        return str(row)
    if not isinstance(row.get(text), str) or not row[text].strip():
        return "one is missing or empty"
    if not is_utf8(row[text]):
        return "not UTF-8"
    if str(row.get(label)).strip().lower() not in LABELS:
        return "label is neither positive nor negative"
    return None


def fit(texts: Sequence[str], labels: Sequence[int]) -> Pipeline:
    """Minimise the mean logistic loss + RIDGE · ‖weights‖² by L-BFGS: convex, so that there is one answer.

    The features are words in lower case and pairs of neighbours: the inverse document frequencies log(texts / those
    with it) + 1 of the features present, each text's of length 1.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline

    features = TfidfVectorizer(
        token_pattern=r"[\w']+|[!?]", ngram_range=(1, 2), min_df=RARE, binary=True, smooth_idf=False
    )
    # scikit-learn minimises C · Σ loss + ½ ‖weights‖²
    regression = LogisticRegression(C=1 / (2 * RIDGE * len(texts)), tol=1e-6, max_iter=500)
    return make_pipeline(features, regression).fit(texts, labels)
