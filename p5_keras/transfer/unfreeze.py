"""A trunk that is trained stage by stage, the deepest first."""

from typing import Any

import keras

from p5_keras.transfer.freezing import is_stage, stage_names


class Unfreeze(keras.callbacks.Callback):
    """Trains heads first, then one more stage of the trunk every few epochs.

    The first `every` epochs train what is no stage of the trunk, the next ones the
    deepest stage too, until all are trained. What is frozen depends on the number of
    the epoch alone, so a run that was killed goes on as it was. Layers that wait keep
    their weights; batch normalisation in them uses, and follows, the batches, as it
    does where it is trained (`MultiTaskModel.freeze`).

    Args:
        every: Epochs from one stage to the next.

    Reference:
        Howard and Ruder, Universal Language Model Fine-tuning for Text
        Classification, ACL 2018.
    """

    def __init__(self, every: int) -> None:
        super().__init__()
        if every < 1:
            raise ValueError(f"`every` must be 1 or more. Received: every={every}")
        self.every = every

    def on_epoch_begin(self, epoch: int, logs: Any = None) -> None:
        """Freezes the stages whose time has not come."""
        model, names = self.model, stage_names(self.model)
        waiting = names[: max(len(names) - epoch // self.every, 0)]
        stages = {
            x.name: x.name.rpartition("_")[2] for x in model.layers if is_stage(x)
        }
        for layer, stage in stages.items():
            (model.freeze if stage in waiting else model.unfreeze)(layer)
