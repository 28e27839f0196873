import keras

import p5_keras as p5
from p5_keras.cost import flops, parts, rows


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


def test_parts_by_hand():
    tasks = [p5.tasks.Regression(n, mean=[0.0], std=[1.0], hidden=2) for n in "ab"]
    sharing = p5.sharing.MMoE(experts=2)
    model = p5.build_model(p5.trunks.Dense([4]), tasks, (3,), sharing=sharing)
    found = parts(model)
    # Two experts 3 to 4, two gates 3 to 2 without bias, two heads 4 to 2 to 1.
    assert found["parameters"] == {
        "trunk": 2 * (3 * 4 + 4),
        "sharing": 2 * 3 * 2,
        "heads": dict.fromkeys("ab", 4 * 2 + 2 + 2 + 1),
    }
    work = found["flops"]
    assert work["trunk"] == 2 * (2 * 3 * 4 + 4)
    assert work["heads"] == dict.fromkeys("ab", 2 * 4 * 2 + 2 + 2 * 2 + 1)
    # Kernels, the softmax, and two products of 4 and their sum for each task.
    assert work["sharing"] >= 2 * (2 * 3 * 2 + 3 * 4)
    *lines, total = rows(found)
    names = ["trunk", "sharing", "head: a", "head: b"]
    assert [line[0] for line in lines] == names
    assert total == ("all", model.count_params(), flops(model))


def test_heads_of_several_maps_are_counted():
    tasks = [p5.tasks.Segmentation("mask", num_classes=2, width=2)]
    model = p5.build_model(p5.trunks.Conv(2, 1, levels=3), tasks, (16, 16, 1))
    found = parts(model)["flops"]
    assert found["sharing"] == 0
    assert found["trunk"] > 0 and found["heads"]["mask"] > 0


def test_stages_of_a_trunk_are_found_whatever_their_names():
    class Own(p5.Trunk):
        def stages(self, input_shape):
            inputs = keras.Input(input_shape)
            stage = keras.Model(inputs, keras.layers.Dense(2)(inputs), name="mine")
            return {"vector": stage}

    tasks = [p5.tasks.Regression("a", mean=[0.0], std=[1.0])]
    model = p5.build_model(Own(), tasks, (3,))
    assert model.get_layer("trunk_vector")
    assert parts(model)["parameters"]["trunk"] == 8
