"""What is wrong with one example, and where."""


class Fault(ValueError):
    """What is wrong with one example.

    Args:
        where: The file, with a line or an id.
        reason: What is wrong there.
    """

    def __init__(self, where: str, reason: str) -> None:
        super().__init__(f"{where}: {reason}")
        self.where = where
        self.reason = reason
