"""Spans of tags, and how many of them are found whole."""

from collections import Counter
from collections.abc import Sequence

Span = tuple[str, int, int]


def spans(tags: Sequence[str]) -> list[Span]:
    """Returns the spans of a sequence of IOB tags: type, first place, place after.

    A span begins at "B-x", or at "I-x" where no span of x goes on, and ends before "O",
    another type or another beginning: as in the evaluation of CoNLL-2000 to 2003.

    Args:
        tags: "O", "B-type" and "I-type"; any other tag is a span of one place.
    """
    found: list[Span] = []
    kind, start = "", 0
    for place, tag in enumerate([*tags, "O"]):
        prefix, dash, own = tag.partition("-")
        inside = prefix == "I" and bool(dash)
        if kind and not (inside and own == kind):
            found.append((kind, start, place))
            kind = ""
        if not kind and tag != "O":
            kind = own if dash and prefix in ("B", "I") else tag
            start = place
    return found


class SpanF1:
    """Precision, recall and F1 of spans over a whole set.

    A predicted span counts if type and both ends are right. Of what precision or recall
    cannot be said, for want of spans, they are `None`.

    Args:
        class_names: Tags by number.

    Reference:
        Tjong Kim Sang and De Meulder, Introduction to the CoNLL-2003 Shared Task,
        CoNLL 2003; the same numbers as seqeval in its default mode.
    """

    def __init__(self, class_names: Sequence[str]) -> None:
        self.class_names = list(class_names)
        self.right = self.predicted = self.true = 0

    def update(self, truth: Sequence[int], guess: Sequence[int]) -> None:
        """Adds one sequence.

        Args:
            truth: True tags by number; negative ones are no part of the sequence.
            guess: Predicted tags for the same places.
        """
        kept = [(t, g) for t, g in zip(truth, guess, strict=True) if t >= 0]
        names = self.class_names
        own = Counter(spans([names[t] for t, _ in kept]))
        theirs = Counter(spans([names[g] for _, g in kept]))
        self.right += sum((own & theirs).values())
        self.predicted += sum(theirs.values())
        self.true += sum(own.values())

    def result(self) -> dict[str, float | None]:
        """Returns "precision", "recall" and "f1"."""
        precision = self.right / self.predicted if self.predicted else None
        recall = self.right / self.true if self.true else None
        both = self.predicted + self.true
        f1 = 2 * self.right / both if both else None
        return {"precision": precision, "recall": recall, "f1": f1}
