"""Which tasks share what, read off the graph of a finished model."""

from dataclasses import dataclass
from typing import Any

import keras

from p5_keras.sharing.stop_gradient import StopGradient
from p5_keras.task import Tensor


@dataclass(frozen=True)
class Node:
    """One use of an operation.

    Attributes:
        operation: A layer or another operation of Keras.
        inputs: The Keras tensors that it takes.
        tasks: Names of the tasks whose losses send gradients through it.
    """

    operation: Any
    inputs: list[Tensor]
    tasks: set[str]


class TaskGraph:
    """Through which layers of a functional model the loss of each task passes.

    A layer that the losses of two tasks pass through is shared; one that only one
    passes through is that task's own, be it in its head or not. Where a gradient is
    stopped the path ends. In a model of one task all but its head counts as shared.

    Args:
        outputs: The model's Keras tensors by task.
    """

    def __init__(self, outputs: dict[str, Tensor]) -> None:
        self.outputs = outputs
        self._nodes: dict[tuple[int, int], Node] = {}
        for task, output in outputs.items():
            self._walk(output, task)
        for node in list(self._nodes.values()):
            if isinstance(node.operation, StopGradient):
                self._walk(node.inputs[0], None)

    def owners(self) -> dict[int, set[str]]:
        """Returns the tasks of each variable, by its `id()`."""
        owners: dict[int, set[str]] = {}
        for node in self._nodes.values():
            for v in node.operation.variables if _has_variables(node) else ():
                owners.setdefault(id(v), set()).update(self._sharers(node))
        return owners

    def layers_of(self, task: str) -> list[Any]:
        """Returns the layers with variables that only this task's loss reaches."""
        reached: dict[int, tuple[Any, set[str]]] = {}
        for node in self._nodes.values():
            if _has_variables(node):
                found = reached.setdefault(id(node.operation), (node.operation, set()))
                found[1].update(node.tasks)
        return [layer for layer, tasks in reached.values() if tasks == {task}]

    def frontier(self) -> dict[int, tuple[Tensor, set[str]]]:
        """Returns the tensors where shared layers end, and who reads each, by `id()`.

        They are what layers of single tasks read of shared ones, and outputs of
        shared layers; those that depend on no variable are left out.
        """
        found: dict[int, tuple[Tensor, set[str]]] = {}

        def add(x: Tensor, readers: set[str]) -> None:
            if self._is_shared(x) and self._depends(x):
                found.setdefault(id(x), (x, set()))[1].update(readers)

        for node in self._nodes.values():
            if not self._shared(node):
                stops = isinstance(node.operation, StopGradient)
                for x in node.inputs:
                    add(x, set() if stops else node.tasks)
        for task, output in self.outputs.items():
            add(output, {task})
        return found

    def bottleneck(self) -> list[Tensor] | None:
        """Returns the frontier, if the gradients there tell the tasks' conflicts.

        Tasks that read a tensor of it in common, or are linked by tasks that do, are a
        group. Between two groups the product of gradients there is 0 by construction,
        whatever that of the variables is; if tasks of two groups share variables,
        there is no bottleneck. Nor is there one where a layer is applied more than once
        and tasks that share it meet in no use of it.
        """
        frontier = list(self.frontier().values())
        groups = [{task} for task in self.outputs]
        for _, readers in frontier:
            linked = [group for group in groups if group & readers]
            groups = [group for group in groups if not group & readers]
            groups += [set().union(*linked)] if linked else []
        uses: dict[int, list[Node]] = {}
        for node in self._nodes.values():
            if _has_variables(node):
                uses.setdefault(id(node.operation), []).append(node)
        shared = []
        for nodes in uses.values():
            tasks = set().union(*(node.tasks for node in nodes))
            meet = [self._shared(node) for node in nodes]
            if len(tasks) > 1 and not all(meet):
                return None
            shared += [tasks] if any(meet) else []
        if any(not any(tasks <= group for group in groups) for tasks in shared):
            return None
        return [x for x, _ in frontier] if shared and frontier else None

    def output_of(self, layer: Any, x: Tensor) -> Tensor:
        """Returns what a layer makes of a tensor, where it has done so already.

        Args:
            layer: A layer of one input and one output.
            x: A Keras tensor, or a dict of them; where the layer has not been called
                on it, it is now.
        """
        wanted = [id(y) for y in keras.tree.flatten(x)]
        for index, node in enumerate(layer._inbound_nodes):
            known = self._nodes.get((id(layer), index))
            if known is not None and [id(y) for y in known.inputs] == wanted:
                return node.outputs[0]
        return layer(x)

    def layer_names(self) -> list[str]:
        """Returns the names of all layers between inputs and heads."""
        heads = {id(x._keras_history.operation) for x in self.outputs.values()}
        used = {id(n.operation): n.operation.name for n in self._nodes.values()}
        return [name for key, name in used.items() if key not in heads]

    def _walk(self, output: Tensor, task: str | None) -> None:
        """Notes a task at all that its loss passes; none at what no loss does."""
        waiting = [output]
        while waiting:
            operation, index, _ = waiting.pop()._keras_history
            key = (id(operation), index)
            known = key in self._nodes
            if not known:
                inputs = operation._inbound_nodes[index].input_tensors
                self._nodes[key] = Node(operation, list(inputs), set())
            node = self._nodes[key]
            if known if task is None else task in node.tasks:
                continue
            if task is not None:
                node.tasks.add(task)
            if task is None or not isinstance(operation, StopGradient):
                waiting.extend(node.inputs)

    def _sharers(self, node: Node) -> set[str]:
        """Returns a node's tasks; "" stands beside an only task outside its head."""
        alone = len(self.outputs) == 1 and node.operation.name not in self.outputs
        return node.tasks | {""} if alone else node.tasks

    def _shared(self, node: Node) -> bool:
        return len(self._sharers(node)) > 1

    def _node(self, x: Tensor) -> Node | None:
        operation, index, _ = x._keras_history
        return self._nodes.get((id(operation), index))

    def _is_shared(self, x: Tensor) -> bool:
        node = self._node(x)
        return node is not None and self._shared(node)

    def _depends(self, x: Tensor) -> bool:
        node = self._node(x)
        return node is not None and (
            _has_variables(node) or any(map(self._depends, node.inputs))
        )


def _has_variables(node: Node) -> bool:
    return bool(getattr(node.operation, "variables", ()))
