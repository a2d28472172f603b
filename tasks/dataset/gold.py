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
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from bench.contracts.errors import BenchError
from tasks.dataset.reading import BadRow, is_utf8, read
from tasks.dataset.rows import plain

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix

LABELS = {"positive": 1, "pos": 1, "1": 1, "true": 1, "negative": 0, "neg": 0, "0": 0, "false": 0}
TEXTS, SENTIMENTS = ("text", "review", "sentence"), ("sentiment", "label")

HELD_OUT = 0.2  # share of the labelled texts that tests the classifier
RARE = 2  # a feature counts from so many training texts on
RIDGE = 1e-4  # weight of the squared norm beside the mean loss


@dataclass(frozen=True)
class Classifier:
    """Logistic regression on the words and word pairs of a text.

    weights, idf: by feature, (features). accuracy: on `heldout` labelled texts that it was not trained on.
    """

    vocabulary: Mapping[str, int]
    idf: NDArray[np.float64]
    weights: NDArray[np.float64]
    bias: float
    accuracy: float
    trained: int
    heldout: int

    def __call__(self, texts: Sequence[str]) -> list[float]:
        """The probability that each text is positive; that of a text without any known word is the bias's."""
        logits = design(texts, self.vocabulary, self.idf) @ self.weights + self.bias
        return [float(p) for p in np.exp(-np.logaddexp(0.0, -logits))]


@cache
def classifier(path: Path, digest: str) -> tuple[Classifier, dict[str, list[int]]]:
    """The classifier of a file of labelled texts, and the numbers of its bad rows by reason; once per process.

    digest: of the file's content, so that another content is another classifier.

    Raises:
        BenchError: no column of texts or labels, or not both labels among the texts to train on.
    """
    texts, labels, bad = read_labelled(path)
    # by hash, so that the same texts are held out whatever their order
    place = [hashlib.sha256(text.encode()).digest() for text in texts]
    order = sorted(range(len(texts)), key=place.__getitem__)
    held = order[: round(HELD_OUT * len(order))]
    train = order[len(held) :]
    if len({labels[i] for i in train}) < 2 or not held:
        raise BenchError(f"{path}: a gold classifier needs texts of both labels, and some to test it on")
    return fit(
        [texts[i] for i in train], [labels[i] for i in train], [texts[i] for i in held], [labels[i] for i in held]
    ), bad


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


def features(text: str) -> set[str]:
    """Its words in lower case, and pairs of neighbours."""
    words = re.findall(r"[\w']+|[!?]", text.lower())
    return {*words, *(f"{a} {b}" for a, b in pairwise(words))}


def design(texts: Sequence[str], vocabulary: Mapping[str, int], idf: NDArray[np.float64]) -> csr_matrix:
    """(texts, features): inverse document frequencies of the features present, each row of length 1."""
    from scipy.sparse import csr_matrix

    columns = [sorted(vocabulary[f] for f in features(text) if f in vocabulary) for text in texts]
    ends = np.cumsum([0, *map(len, columns)])
    indices = np.array([c for row in columns for c in row], dtype=np.int64)
    values = [idf[row] / np.linalg.norm(idf[row]) for row in columns if row]
    data = np.concatenate(values) if values else np.zeros(0)
    return csr_matrix((data, indices, ends), shape=(len(texts), len(idf)))


def fit(texts: Sequence[str], labels: Sequence[int], heldout: Sequence[str], truth: Sequence[int]) -> Classifier:
    """Minimise the mean logistic loss + RIDGE · ‖weights‖² by L-BFGS: convex, so that there is one answer."""
    from scipy.optimize import minimize

    counts = Counter(feature for text in texts for feature in features(text))
    vocabulary = {f: i for i, f in enumerate(sorted(f for f, count in counts.items() if count >= RARE))}
    idf = np.log(len(texts) / np.array([counts[f] for f in vocabulary], dtype=float)) + 1.0
    x, sign = design(texts, vocabulary, idf), 2.0 * np.asarray(labels) - 1.0
    transposed = x.T.tocsr()

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        weights, margin = parameters[:-1], sign * (x @ parameters[:-1] + parameters[-1])
        pull = -sign * np.exp(-np.logaddexp(0.0, margin)) / len(sign)  # of the loss on each text's logit
        gradient = np.append(transposed @ pull + 2 * RIDGE * weights, pull.sum())
        return float(np.logaddexp(0.0, -margin).mean() + RIDGE * weights @ weights), gradient

    best = minimize(loss, np.zeros(len(vocabulary) + 1), jac=True, method="L-BFGS-B", options={"maxiter": 500}).x
    right = (design(heldout, vocabulary, idf) @ best[:-1] + best[-1] > 0) == np.asarray(truth, dtype=bool)
    return Classifier(
        vocabulary, idf, best[:-1], float(best[-1]), float(right.mean()), trained=len(texts), heldout=len(heldout)
    )
