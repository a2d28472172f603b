"""The words of this world."""

VEHICLES = ("car", "bus", "van", "tram")
WAIT, GO = "wait", "go"


def share(word: str, text: str) -> float:
    """How many of the text's words are `word`; 0 for no words."""
    words = text.split()
    return words.count(word) / len(words) if words else 0.0
