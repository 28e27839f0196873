import keras
import numpy as np
import pytest

import p5_keras as p5


def model(**kwargs):
    task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
    made = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    made.compile(keras.optimizers.SGD(0.1, **kwargs))
    return made


def values(made):
    return [v.numpy() for v in made.trainable_variables]


def test_averages_stand_in_for_a_while():
    made = model(use_ema=True, ema_momentum=0.5)
    x, y = np.ones((4, 3), "float32"), {"size": np.ones((4, 1), "float32")}
    made.train_on_batch(x, y)
    first = values(made)
    made.train_on_batch(x, y)
    second = values(made)
    with p5.averaged_weights(made):
        inside = values(made)
    # Keras starts from the weights after the first step.
    for a, b, average in zip(first, second, inside, strict=True):
        np.testing.assert_allclose(average, 0.5 * a + 0.5 * b, atol=1e-6)
    tuple(map(np.testing.assert_array_equal, values(made), second))
    with pytest.raises(KeyError), p5.averaged_weights(made):
        raise KeyError
    tuple(map(np.testing.assert_array_equal, values(made), second))


@pytest.mark.parametrize("kwargs", [{}, {"use_ema": True}], ids=["no", "not yet"])
def test_without_averages_nothing_happens(kwargs):
    made = model(**kwargs)
    made.optimizer.build(made.trainable_variables)
    before = values(made)
    with p5.averaged_weights(made):
        tuple(map(np.testing.assert_array_equal, values(made), before))


def test_a_model_that_is_not_compiled_has_none():
    task = p5.tasks.Regression("size", mean=[0.0], std=[1.0])
    made = p5.build_model(p5.trunks.Dense([2]), [task], (3,))
    with p5.averaged_weights(made):
        pass
