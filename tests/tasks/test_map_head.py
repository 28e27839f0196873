import keras
import numpy as np
import pytest

from p5_keras.tasks.map_head import Enlarge


@pytest.mark.parametrize("strides", [(2, 2), (3, 3), (4, 4), (1, 1), (2, 4)])
def test_a_prediction_is_what_training_computes(strides, tmp_path):
    kernel = [2 * stride if stride > 1 else 3 for stride in strides]
    bias = keras.initializers.RandomNormal()
    layer = Enlarge(3, kernel, strides, padding="same", bias_initializer=bias)
    model = keras.Sequential([keras.Input((5, 7, 6)), layer])
    x = np.random.default_rng(0).normal(size=(2, 5, 7, 6)).astype("float32")
    trained = model(x, training=True)
    assert trained.shape == (2, 5 * strides[0], 7 * strides[1], 3)
    np.testing.assert_allclose(model(x), trained, 1e-5, 1e-5)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_allclose(loaded(x), trained, 1e-5, 1e-5)


def test_a_prediction_in_bfloat16(bfloat16):
    layer = Enlarge(2, 8, 4, padding="same")
    x = np.random.default_rng(0).normal(size=(1, 3, 3, 6)).astype("float32")
    trained = keras.ops.cast(layer(x, training=True), "float32")
    assert layer(x).dtype == "bfloat16"
    predicted = keras.ops.cast(layer(x), "float32")
    np.testing.assert_allclose(predicted, trained, 0.05, 0.05)
