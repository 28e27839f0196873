"""Weights of an earlier model as the start of a new one."""

import os
import pathlib
import warnings
from typing import Any

import keras
import numpy as np

from p5_keras.inputs import Text
from p5_keras.training import keras_file
from p5_keras.transfer.freezing import is_stage, stage_names
from p5_keras.workdir import Workdir


def init_from(model: Any, source: str) -> list[str]:
    """Gives a new model's trunk the weights of an earlier one; heads stay new.

    Layers outside the heads are paired by name, "trunk_P2" with "trunk_P2". Where the
    other model has no such names its weights are taken in their order, which must
    then be, shape by shape, that of the trunk's weights. What one of the two has and
    the other has not, such as a deeper stage, is left as it is. Vectors of tokens are
    paired by token where both read a text: those that the other model did not know
    stay new.

    Args:
        model: A multi-task model.
        source: "run:PATH" for the best model of a workdir, the path of a `.keras` file
            of any model, or of a `.weights.h5` file of a model like this one, with
            its heads or without (`transfer.trunk_of(model).save_weights(path)`).

    Returns:
        Names of the layers whose weights were taken.

    Raises:
        ValueError: There is no such model, or its weights do not fit.
    """
    body = [x for x in model.layers if x.name not in model.task_names and x.variables]
    kind, _, path = source.partition(":")
    if kind == "run" and path:
        other = Workdir(path).best_model()
    elif not os.path.isfile(source):
        raise ValueError(
            "`init_from` must be run:PATH with the workdir of a run, or the path of a "
            f".keras or .weights.h5 file. Received: init_from={source!r}"
        )
    elif source.endswith(".weights.h5"):
        _load_h5(model, source)
        return [layer.name for layer in body]
    elif pathlib.Path(source).suffix == ".keras":
        try:
            other = keras_file.load(source, compile=False)
        except ValueError as error:
            reason = str(error).strip().partition("\n")[0]
            raise ValueError(
                "`init_from` must be a model of Keras, or of classes that are "
                f"registered. Received: init_from={source!r} ({reason[:300]})"
            ) from error
    else:
        raise ValueError(
            "`init_from` must end in .keras or .weights.h5, or be run:PATH. "
            f"Received: init_from={source!r}"
        )
    named = {x.name: x for x in getattr(other, "layers", [])}
    pairs = [(x, named[x.name]) for x in body if x.name in named]
    if not any(is_stage(x) for x, _ in pairs):
        _in_order([x for x in body if is_stage(x)], other, source)
        return [x.name for x in body if is_stage(x)]
    moved, values = _by_token(model, other), []
    for own, theirs in pairs:
        found = theirs.get_weights()
        if len(found) == len(own.weights):
            found = [moved(v, x) for v, x in zip(own.weights, found, strict=True)]
        _check([v.shape for v in own.weights], found, own.name, source)
        values.append(found)
    for (own, _), found in zip(pairs, values, strict=True):
        own.set_weights(found)
    return [own.name for own, _ in pairs]


def trunk_of(model: Any) -> keras.Model:
    """Returns the trunk of a model alone, from the input to all its features by name.

    Its layers are those of the model.

    Raises:
        ValueError: The model has none, or columns of several.
    """
    stages = [x for x in model.layers if is_stage(x)]
    names = stage_names(model)
    if not stages or len(names) < len(stages):
        raise ValueError(
            "The model must have one trunk, whose layers are named trunk_<feature>. "
            f"Received: layers={[layer.name for layer in model.layers]}"
        )
    inputs = x = keras.tree.map_structure(
        lambda x: keras.Input(x.shape[1:], dtype=x.dtype, name=x.name), model.input
    )
    features = {}
    for name, stage in zip(names, stages, strict=True):
        x = features[name] = stage(x)
    return keras.Model(inputs, features)


def _by_token(model: Any, other: Any) -> Any:
    """Returns a function from a variable and its earlier values to its new ones.

    It gives each token's vector the earlier one of the same token, where both models
    read one text and know different words; all else stays as it is.
    """
    texts = []
    for one in (model, other):
        encoders = getattr(one, "encoders", {}).values()
        texts.append([e for e in encoders if isinstance(e, Text)])
    if [len(found) for found in texts] != [1, 1]:
        return lambda variable, values: values
    own, theirs = (found[0] for found in texts)
    # The first two are padding and the unknown.
    place = {token: i for i, token in enumerate(theirs.vocabulary or (), 2)}
    pairs = {i: place.get(token) for i, token in enumerate(own.vocabulary or (), 2)}
    known = np.array([(0, 0), (1, 1), *((a, b) for a, b in pairs.items() if b)]).T

    def moved(variable: Any, values: np.ndarray) -> np.ndarray:
        shapes = ((own.size, *values.shape[1:]), (theirs.size, *variable.shape[1:]))
        if variable.name != "embeddings" or shapes != (variable.shape, values.shape):
            return values
        found = np.array(variable)
        found[known[0]] = values[known[1]]
        return found

    return moved


def _load_h5(model: Any, path: str) -> None:
    for part in (trunk_of(model), model):
        before = part.get_weights()
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")  # Keras warns of layers it leaves out
                part.load_weights(path)
        except (ValueError, KeyError, OSError, UserWarning) as error:
            part.set_weights(before)
            reason = str(error).strip().partition("\n")[0]
        else:
            return
    raise ValueError(
        "`init_from` must hold the weights of this very model or of its trunk alone. "
        f"Received: init_from={path!r} ({reason})"
    )


def _in_order(stages: list[Any], other: Any, source: str) -> None:
    own = [v for stage in stages for v in _weights(stage)]
    theirs = _weights(other)
    _check([v.shape for v in own], theirs[: len(own)], "the trunk", source)
    for mine, value in zip(own, theirs, strict=False):
        mine.assign(value)


def _weights(model: Any) -> list[Any]:
    """Returns a model's weights layer by layer, without the state of its dropout."""
    return [v for v in model.weights if v.name != "seed_generator_state"]


def _check(wanted: list[Any], found: list[Any], name: str, source: str) -> None:
    got = [v.shape for v in found]
    if wanted == got:
        return
    at = next(
        (i for i, (a, b) in enumerate(zip(wanted, got, strict=False)) if a != b),
        min(len(wanted), len(got)),
    )
    pair = [shapes[at] if at < len(shapes) else "none" for shapes in (wanted, got)]
    raise ValueError(
        f"The weights of `init_from` must fit {name}: weight {at} there must have the "
        f"shape {pair[0]}. Received: {pair[1]} in {source!r}"
    )
