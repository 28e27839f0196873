"""Several inputs, each with a trunk of its own, and one vector of all."""

import itertools
from collections.abc import Mapping
from typing import Any, Self

import keras
from keras import layers

from p5_keras.inputs import Input
from p5_keras.naming import check_keys
from p5_keras.sharing.base import pooled
from p5_keras.trunk import Trunk, with_arguments


class MultiInput(Trunk):
    """Trunks side by side, whose last features, pooled, are joined.

    Features: "joined", those of all trunks one after the other, and "vector".

    Args:
        trunks: A trunk for each input, by its name.
        units: Units of the dense layers after them.
        dropout: Rate of dropout before each.
        products: Whether the products of each two trunks' features are joined too;
            all must have as many.
    """

    def __init__(
        self,
        trunks: Mapping[str, Trunk],
        units: list[int] | tuple[int, ...] = (128,),
        dropout: float = 0.0,
        products: bool = False,
    ) -> None:
        if not trunks or not units or min(units) < 1:
            raise ValueError(
                "`trunks` must hold one at least and `units` sizes above 0. "
                f"Received: trunks={dict(trunks)}, units={units}"
            )
        self.trunks, self.units = dict(trunks), list(units)
        self.dropout, self.products = dropout, products

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Suits each trunk to its input."""
        check_keys("trunks", self.trunks, inputs)
        own = {n: trunk.suited({n: inputs[n]}) for n, trunk in self.trunks.items()}
        found: Self = with_arguments(self, trunks=own)
        return found

    def copy(self) -> Self:
        """Returns one whose trunks are copies too."""
        own = {name: trunk.copy() for name, trunk in self.trunks.items()}
        found: Self = with_arguments(self, trunks=own)
        return found

    def stages(self, input_shape: Any) -> dict[str, keras.Model]:
        """Builds the stages "joined", from a dict of inputs, and "vector"."""
        inputs, vectors = {}, []
        for name, trunk in self.trunks.items():
            stages = trunk.stages(input_shape[name])
            first = next(iter(stages.values())).input
            inputs[name] = x = keras.Input(
                first.shape[1:], dtype=first.dtype, name=name
            )
            for feature, stage in stages.items():
                stage.name = f"{name}_{feature}"
                x = stage(x)
            vectors.append(pooled(x))
        if self.products:
            pairs = itertools.combinations(list(vectors), 2)
            vectors += [layers.Multiply()(list(pair)) for pair in pairs]
        x = layers.Concatenate()(vectors) if len(vectors) > 1 else vectors[0]
        joined = keras.Model(inputs, x)
        start = x = keras.Input(x.shape[1:])
        for units in self.units:
            if self.dropout:
                x = layers.Dropout(self.dropout)(x)
            x = layers.Dense(units, activation="relu")(x)
        return {"joined": joined, "vector": keras.Model(start, x)}


class TwoTower(MultiInput):
    """A user's and an item's trunk, their vectors, and the product of the two.

    Args:
        user: The trunk of the input "user".
        item: The trunk of the input "item", with as many features.
        units: Units of the dense layers after them.
        dropout: Rate of dropout before each.

    Reference:
        Covington et al., Deep Neural Networks for YouTube Recommendations, RecSys
        2016, for the towers; He et al., Neural Collaborative Filtering, WWW 2017, for
        the product beside the vectors.
    """

    def __init__(
        self,
        user: Trunk,
        item: Trunk,
        units: list[int] | tuple[int, ...] = (64,),
        dropout: float = 0.0,
    ) -> None:
        self.user, self.item = user, item
        super().__init__({"user": user, "item": item}, units, dropout, products=True)

    def suited(self, inputs: Mapping[str, Input]) -> Self:
        """Suits each tower to its input."""
        check_keys("trunks", self.trunks, inputs)
        own = {n: trunk.suited({n: inputs[n]}) for n, trunk in self.trunks.items()}
        found: Self = with_arguments(self, **own)
        return found

    def copy(self) -> Self:
        """Returns one whose towers are copies too."""
        found: Self = with_arguments(self, user=self.user.copy(), item=self.item.copy())
        return found
