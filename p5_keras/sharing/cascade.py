"""Serial tasks: what one task found is read by the next."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from keras import layers

from p5_keras.naming import did_you_mean
from p5_keras.sharing.base import Sharing, attach, ordered
from p5_keras.sharing.decoded import Decoded
from p5_keras.sharing.maps import fit
from p5_keras.sharing.stop_gradient import StopGradient
from p5_keras.task import Features, Task, Tensor
from p5_keras.trunk import Trunk

PASSES = ("output", "decoded", "features")


@dataclass(frozen=True, kw_only=True)
class Cascade(Sharing):
    """Each task reads the trunk, and what tasks before it found.

    What is passed on is pooled or repeated to the positions of each feature and
    joined to its channels; a list, such as a detector's output, by its maximum.

    Attributes:
        reads: Names of the tasks that a task reads: `{"digit": ("mask",)}`. Left out,
            each task reads the one before it.
        passes: "output" passes the raw output on; "decoded" what `Task.decode` makes
            of it: probabilities, values, one-hot classes; "features" those of a layer
            that each task has of its own between the trunk and its head.
        stop: Whether no gradient goes back to the task that was read.
        width: Channels of the task's own layer, with `passes="features"`.

    Reference:
        Dai et al., Instance-aware Semantic Segmentation via Multi-task Network
        Cascades, CVPR 2016.
    """

    reads: Mapping[str, tuple[str, ...]] | None = None
    passes: str = "output"
    stop: bool = False
    width: int = 32

    def outputs(
        self, trunk: Trunk, tasks: Sequence[Task], inputs: Tensor
    ) -> dict[str, Tensor]:
        """Builds the heads in an order in which each can read those before it."""
        if self.passes not in PASSES:
            raise ValueError(
                f"`passes` must be one of {PASSES}. Received: passes={self.passes!r}"
            )
        named = {task.name: task for task in tasks}
        reads = self._reads(list(named))
        features = trunk(inputs)
        passed: dict[str, Features] = {}
        outputs: dict[str, Tensor] = {}
        for task in ordered(tasks, reads):
            name, own = task.name, features
            sources = [passed[source] for source in reads[name]]
            if sources or self.passes == "features":
                own = {f: self._join(f, x, sources) for f, x in features.items()}
            outputs[name] = attach(task, own, inputs, outputs)
            if self.passes != "features":
                own = dict.fromkeys(features, self._found(task, outputs[name], reads))
            if self.stop:
                own = {f: StopGradient()(x) for f, x in own.items() if x is not None}
            passed[name] = own
        return {name: outputs[name] for name in named}

    def _reads(self, names: list[str]) -> dict[str, tuple[str, ...]]:
        if self.reads is None:
            pairs = zip(names, [(), *[(name,) for name in names]], strict=False)
            return dict(pairs)
        for name in {*self.reads, *[n for r in self.reads.values() for n in r]}:
            if name not in names:
                raise ValueError(
                    f"`reads` must name tasks.{did_you_mean(name, names)} "
                    f"Received: {name!r}; tasks: {names}"
                )
        return {name: tuple(self.reads.get(name, ())) for name in names}

    def _join(self, name: str, x: Tensor, sources: list[Features]) -> Tensor:
        if sources:
            x = layers.Concatenate()([x, *[fit(s[name], x) for s in sources]])
        if self.passes == "features":
            if len(x.shape) == 4:
                x = layers.Conv2D(self.width, 3, padding="same", use_bias=False)(x)
                x = layers.BatchNormalization(momentum=0.9, synchronized=True)(x)
                return layers.ReLU()(x)
            x = layers.Dense(self.width, activation="relu")(x)
        return x

    def _found(self, task: Task, output: Tensor, reads: Any) -> Tensor | None:
        if not any(task.name in sources for sources in reads.values()):
            return None
        if self.passes == "output":
            return output
        if len(output.shape) == 3:
            raise ValueError(
                "`passes='decoded'` needs a task that decodes to a vector or a map, "
                "and a list of boxes is neither; 'output' and 'features' do. "
                f"Received: {task!r}"
            )
        decoded = Decoded(task, name=f"decoded_{task.name}")
        if decoded.is_discrete(output):
            output = StopGradient()(output)
        return decoded(output)
