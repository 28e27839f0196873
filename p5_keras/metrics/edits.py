"""How many symbols of a sequence must change to make another of it."""

import numpy as np


def edit_distance(truth: np.ndarray, guess: np.ndarray) -> np.ndarray:
    """Returns the least number of symbols to insert, delete or replace.

    Args:
        truth: Sequences of ids `(batch, length)`, negative behind the end.
        guess: Other ones `(batch, any)`, likewise.

    Returns:
        `(batch,)` integers.

    Reference:
        Wagner and Fischer, The String-to-String Correction Problem, Journal of the ACM
        1974.
    """
    ends = (truth >= 0).sum(axis=1), (guess >= 0).sum(axis=1)
    places = np.arange(guess.shape[1] + 1)
    # Row i: distances from the first i symbols of `truth` to each start of `guess`.
    row = np.tile(places, (len(truth), 1))
    rows = [row]
    for i in range(truth.shape[1]):
        other = truth[:, i, None] != guess
        new = np.minimum(row[:, 1:] + 1, row[:, :-1] + other)
        new = np.concatenate([row[:, :1] + 1, new], axis=1)
        # An insertion costs 1 a step to the right.
        row = np.minimum.accumulate(new - places, axis=1) + places
        rows.append(row)
    found: np.ndarray = np.stack(rows, axis=1)[np.arange(len(truth)), *ends]
    return found


class Edits:
    """The error rate, and the share of sequences without an error, over a whole set.

    The error rate is the number of edits through the number of true symbols: of
    characters it is the CER, of words the WER. Insertions can bring it above 1.
    """

    def __init__(self) -> None:
        self.edits = self.symbols = self.right = self.sequences = 0

    def update(
        self, label: np.ndarray, weight: np.ndarray, fields: dict[str, np.ndarray]
    ) -> None:
        """Adds the labelled examples of a batch."""
        label, guess = label[weight > 0], fields["label"][weight > 0]
        distance = edit_distance(label, guess)
        self.edits += int(distance.sum())
        self.symbols += int((label >= 0).sum())
        self.right += int((distance == 0).sum())
        self.sequences += len(label)

    def result(self) -> dict[str, float | None]:
        """Returns "error_rate" and "accuracy", `None` where nothing was labelled."""
        return {
            "error_rate": self.edits / self.symbols if self.symbols else None,
            "accuracy": self.right / self.sequences if self.sequences else None,
        }
