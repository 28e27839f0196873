"""What the recipes of `models/` make of their data."""

import pathlib

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import p5_keras as p5

XML = (
    "<annotation><size><width>20</width><height>10</height></size><object>"
    "<name>cat</name><bndbox><xmin>3</xmin><ymin>2</ymin><xmax>12</xmax><ymax>6</ymax>"
    "</bndbox></object></annotation>"
)


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """No test sees what another has read."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def configured(name, *settings):
    recipe = p5.recipe.load(name)
    return recipe, p5.recipe.configure(recipe.Config(), settings)


def test_the_answers_to_the_questions_about_a_digit():
    recipe, _ = configured("simple_mlp")
    found = recipe.answer({"label": tf.constant([0, 4, 5, 8, 9], tf.int64)})
    assert found["odd"].numpy().tolist() == [0, 0, 1, 0, 1]
    assert found["large"].numpy().tolist() == [0, 0, 1, 1, 1]
    assert found["loop"].numpy().tolist() == [1, 0, 0, 1, 1]
    assert found["label"].shape == 5


def test_the_first_form_has_one_output():
    recipe, config = configured("simple_mlp", "questions=loop")
    (task,) = recipe.tasks(config)
    assert task.name == "loop"
    _, config = configured("simple_mlp", "questions=odd,even")
    with pytest.raises(ValueError) as error:
        recipe.tasks(config)
    assert str(error.value) == (
        "`questions` must be some of ['odd', 'large', 'loop']. "
        "Received: questions=('odd', 'even')"
    )


def test_the_slant_of_lines():
    recipe, _ = configured("two_head_conv")
    images = np.zeros((3, 28, 28, 1), "uint8")
    for i in range(20):
        images[0, 4 + i, 14] = 200  # upright
        images[1, 4 + i, 23 - i] = 200  # like a slash
        images[2, 4 + i, 4 + i // 2] = 200  # like a backslash, and steeper
    slant = recipe.measure({"image": tf.constant(images)})["slant"].numpy()
    # i has the variance (20² - 1) / 12 = 33.25, and with i // 2 the covariance 16.5.
    steep = np.degrees(np.arctan(16.5 / 33.25))
    np.testing.assert_allclose(slant, [0, 45, -steep], atol=1e-3)


@pytest.mark.parametrize("weights", ["(0.7, 0.4)", "(1.0,)", "(0.5, 0.3, 0.2)"])
def test_the_weights_of_tasks_sum_to_one(weights):
    recipe, config = configured("shared_dense", f"task_weights={weights}")
    with pytest.raises(ValueError, match="`task_weights` must be 2 numbers that sum"):
        recipe.tasks(config)
    recipe, config = configured("shared_dense", "task_weights=(0.4, 0.6)")
    assert [task.loss_weight for task in recipe.tasks(config)] == [0.4, 0.6]


def test_the_days_of_the_temperatures_stay_together(tmp_path):
    head = "station,Date,Present_Tmax,Next_Tmax,Next_Tmin"
    days = [f"2013-07-{day:02}" for day in range(1, 31)]
    rows = [
        f"{station},{day},{d + station},{d + 1.5},{d / 3:.2f}"
        for d, day in enumerate(days)
        for station in (1, 2)
    ]
    rows += [",,20.5,17.4,11.3", ",,37.6,38.9,29.8"]  # as in the file: lowest, highest
    (tmp_path / "table.csv").write_text("\n".join([head, *rows]))
    recipe, config = configured("shared_dense", f"data_dir={tmp_path}")
    tasks = recipe.tasks(config)
    records = recipe.found(str(tmp_path)).records
    assert len(records) == 60
    assert (records.splits[::2] == records.splits[1::2]).all()
    names = ["station=1", "station=2", "Present_Tmax"]
    assert records.encoders["table"].names == names
    assert recipe.about(config, tasks)["dropped"][0][1].startswith("column 'Date'")
    sizes = [recipe.data(config, tasks, s).size for s in ("train", "test")]
    assert sizes == [48, 6]


def write_pets(root, boxed, bare):
    """The official layout: `boxed` and `bare` pictures of each of four breeds."""
    lines = []
    for i, breed in enumerate(["Abyssinian", "Bengal", "Bombay", "american_bulldog"]):
        for number in range(boxed + bare):
            name = f"{breed}_{number}"
            lines.append(f"{name} {2 * i + 1} 1 9")
            xml = root / "annotations" / "xmls" / f"{name}.xml"
            (root / "images").mkdir(parents=True, exist_ok=True)
            xml.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (20, 10), (i, number, 0)).save(
                root / "images" / f"{name}.jpg"
            )
            if number < boxed:
                xml.write_text(XML)
    for name, own in (("trainval", lines), ("list", lines)):
        (root / "annotations" / f"{name}.txt").write_text("\n".join(own) + "\n")


def test_every_split_of_the_pets_has_boxes_of_every_breed(tmp_path, cache):
    write_pets(tmp_path / "pets", boxed=20, bare=4)
    recipe, config = configured("p5_resnet50", f"data_dir={tmp_path / 'pets'}")
    tasks = recipe.tasks(config)
    records = recipe.found(config.data_dir, config.breeds).records
    assert records.fields["breed"].class_names == config.breeds
    boxed = np.array([head is not None for head in records.columns["head"]])
    assert len(records) == 72 and boxed.sum() == 60
    assert set(records.splits[~boxed]) == {"train"}
    names = [pathlib.Path(image).name.rpartition("_")[0] for image in records.images]
    for i, breed in enumerate(config.breeds):
        own = records.columns["breed"] == i
        assert {n for n, o in zip(names, own, strict=True) if o} == {breed}
        parts = records.splits[own & boxed].tolist()
        found = [parts.count(s) for s in ("train", "validation", "test")]
        np.testing.assert_allclose(found, [10, 4, 6], atol=1)
    about = recipe.about(config, tasks)
    assert about["tasks"]["head"]["labelled"]["test"] == 18
    source = recipe.data(config, tasks, "test")
    x, _, weight = next(iter(p5.data.evaluation(source, tasks[:1], 18)))
    assert x.shape == (18, config.image_size, config.image_size, 3)
    assert weight["breed"].numpy().sum() == 18


def test_a_breed_that_is_not_there_is_named(tmp_path, cache):
    write_pets(tmp_path / "pets", boxed=4, bare=0)
    recipe, config = configured(
        "p5_resnet50", f"data_dir={tmp_path / 'pets'}", "breeds=Bengal,pug"
    )
    with pytest.raises(ValueError) as error:
        recipe.data(config, recipe.tasks(config), "train")
    assert str(error.value) == (
        "Unknown class of 'breed'. Received: 'pug'; "
        "['Abyssinian', 'Bengal', 'Bombay', 'american_bulldog']"
    )


def test_the_stated_start_of_the_detector_on_resnet50():
    recipe, config = configured("p5_resnet50", "learning_rate=0.001")
    optimizer = recipe.optimizer(config, 1000)
    assert optimizer.momentum == 0.9
    assert float(optimizer._learning_rate(100)) == pytest.approx(1e-3)
    head = recipe.tasks(config)[1]
    assert len(head.anchor_scales) * len(head.anchor_ratios) == 9
