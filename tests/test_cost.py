import keras

import p5_keras as p5
from p5_keras.cost import flops


def test_dense_by_hand():
    tasks = [p5.tasks.Regression(n, mean=[0.0], std=[1.0]) for n in "ab"]
    model = p5.build_model(p5.trunks.Dense([4]), tasks, (3,))
    # Kernels: 2·3·4 and twice 2·4·1; biases: 4 and twice 1. A ReLU counts for none.
    assert flops(model) == 24 + 16 + 4 + 2


def test_convolution_by_hand():
    inputs = keras.Input((8, 8, 3))
    layer = keras.layers.Conv2D(5, 3, padding="same", use_bias=False)
    assert flops(keras.Model(inputs, layer(inputs))) == 2 * 8 * 8 * 3 * 3 * 3 * 5


def test_columns_cost_more_than_a_trunk():
    tasks = [p5.tasks.Regression(n, mean=[0.0], std=[1.0]) for n in "ab"]
    trunk = p5.trunks.Conv(2, 1, "none", levels=3)
    sharing = p5.sharing.CrossStitch()
    hard = p5.build_model(trunk, tasks, (16, 16, 1))
    columns = p5.build_model(trunk, tasks, (16, 16, 1), sharing=sharing)
    assert 1.9 < flops(columns) / flops(hard) < 2.3
