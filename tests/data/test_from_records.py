import importlib
import re

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import p5_keras as p5
from p5_keras.data.image_file import read_image
from p5_keras.data.records import Field, Records

# The package has a function of that name.
from_records_module = importlib.import_module("p5_keras.data.from_records")

SPLITS = np.array(["train"] * 4 + ["validation", "test"])
PLACES = ["none", "memory", "disk"]


def picture(seed=0, height=40, width=60):
    """Smooth colours, which JPEG keeps."""
    y, x = np.mgrid[:height, :width]
    waves = [np.sin((x + seed * 7) / 9), np.cos(y / 8), np.sin((x + y) / (7 + seed))]
    return (127.5 + 100 * np.stack(waves, -1)).astype("uint8")


@pytest.fixture
def records(tmp_path):
    """Six pictures with names that are not ASCII, with labels of every kind."""
    images, masks = [], []
    for i in range(6):
        images.append(str(tmp_path / f"größe {i} 犬.png"))
        Image.fromarray(picture(i)).save(images[-1])
        masks.append(str(tmp_path / f"maske {i}.png"))
        mask = np.full((40, 60), 7 * i, "uint8")
        mask[:20] = 3
        Image.fromarray(mask).save(masks[-1])
    masks[1] = ""
    box = np.array([[0.1, 0.2, 0.5, 0.6]], "float32")
    boxes = [(box, np.array([1])), None, (box[:0], np.array([], int))]
    boxes += [(box, np.array([0])), (box, np.array([0]))]
    boxes += [(np.repeat(box, 3, 0), np.array([0, 1, 1]))]
    return Records(
        "set",
        SPLITS,
        {
            "kind": Field("class", ("a", "b")),
            "tags": Field("labels", ("x", "y", "z")),
            "weight": Field("number"),
            "place": Field("number"),
            "objects": Field("boxes", ("a", "b")),
            "area": Field("mask", ("low", "high"), (3, 14)),
        },
        {
            "kind": np.array([0, 1, -1, 0, 1, 0]),
            "tags": np.eye(6, 3),
            "weight": np.array([1, np.nan, 3, 4, 5, 6]),
            "place": np.arange(12.0).reshape(6, 2),
            "objects": boxes,
            "area": masks,
        },
        images=np.array(images),
    )


@pytest.fixture
def inspected(records, tmp_path):
    return p5.data.inspect(records, tmp_path / "cache")[0]


def read_all(source):
    indices = tf.range(source.size, dtype=tf.int64)
    dataset = tf.data.Dataset.from_tensors(
        source.read(indices, tf.zeros_like(indices))
    ).unbatch()
    if source.load is not None:
        dataset = dataset.map(source.load)
    return next(iter(dataset.batch(source.size).as_numpy_iterator()))


@pytest.mark.parametrize("cache", PLACES)
def test_labels_of_every_kind(inspected, tmp_path, cache):
    source = p5.data.from_records(
        inspected, "train", (20, 30), cache, cache_dir=tmp_path / "cache"
    )
    assert (source.load is None) == (cache != "none")
    found = read_all(source)
    assert found["image"].shape == (4, 20, 30, 3) and found["image"].dtype == np.uint8
    np.testing.assert_array_equal(found["kind"], [0, 1, -1, 0])
    assert found["kind"].dtype == np.int64
    np.testing.assert_array_equal(found["tags"], np.eye(6, 3, dtype="float32")[:4])
    np.testing.assert_array_equal(found["weight"], [[1], [np.nan], [3], [4]])
    assert found["weight"].dtype == found["tags"].dtype == np.float32
    np.testing.assert_array_equal(found["place"], [[0, 1], [2, 3], [4, 5], [6, 7]])
    bbox, label = found["objects"]["bbox"], found["objects"]["label"]
    # Three rows, as the test split needs them.
    np.testing.assert_array_equal(
        label, [[1, -1, -1], [0, -1, -1], [-1, -1, -1], [0, -1, -1]]
    )
    np.testing.assert_allclose(bbox[0], [[0.1, 0.2, 0.5, 0.6], [0] * 4, [0] * 4])
    assert np.isnan(bbox[1, 0]).all() and not bbox[2].any()
    area = found["area"]
    assert area.shape == (4, 20, 30, 1) and area.dtype == np.uint8
    assert (area[0, :10] == 0).all() and (area[0, 10:] == 255).all()
    assert (area[1] == 255).all()
    assert (area[2, :10] == 0).all() and (area[2, 10:] == 1).all()


@pytest.mark.parametrize("cache", PLACES)
def test_tasks_read_what_is_labelled(inspected, tmp_path, cache):
    tasks = [
        p5.tasks.Classification("kind", class_names=["a", "b"]),
        p5.tasks.Regression("weight"),
        p5.tasks.Detection("objects", class_names=["a", "b"], max_boxes=4),
        p5.tasks.Segmentation("area", class_names=["low", "high"]),
    ]
    source = p5.data.from_records(
        inspected, "train", 32, cache, cache_dir=tmp_path / "cache"
    )
    for make in (p5.data.evaluation, p5.data.training):
        spec = make(source, tasks, 4).element_spec
        assert all(s.shape.is_fully_defined() for s in tf.nest.flatten(spec))
    p5.data.check(tasks, p5.data.evaluation(source, tasks, 4))
    ((_, _, weight),) = p5.data.evaluation(source, tasks, 4)
    weight = {name: w.numpy().tolist() for name, w in weight.items()}
    assert weight["kind"] == [1, 1, 0, 1]
    assert weight["weight"] == [1, 0, 1, 1]
    assert weight["objects"] == [1, 0, 1, 1]


def write(path, pixels, kind, mode="RGB", turn=1):
    image = Image.fromarray(pixels).convert(mode)
    exif = Image.Exif()
    exif[0x0112] = turn
    image.save(path, kind, exif=exif, **({"quality": 95} if kind == "JPEG" else {}))


CASES = [
    *(("JPEG", "RGB", turn) for turn in range(1, 9)),
    ("JPEG", "CMYK", 1),
    ("JPEG", "L", 1),
    ("PNG", "RGBA", 1),
    ("PNG", "P", 6),
    ("PNG", "L", 1),
    ("PNG", "1", 1),
    ("GIF", "P", 1),
    ("BMP", "P", 1),
    ("BMP", "RGB", 1),
    ("WEBP", "RGB", 6),
    ("WEBP", "RGBA", 1),
    ("TIFF", "RGB", 8),
    ("TIFF", "CMYK", 1),
    ("TIFF", "L", 1),
]


@pytest.mark.parametrize("cache", PLACES)
@pytest.mark.parametrize("size", [None, (16, 24)])
def test_pixels_are_those_of_read_image(tmp_path, cache, size):
    paths = []
    for i, (kind, mode, turn) in enumerate(CASES):
        # All have one size once they are upright.
        pixels = picture(i, *((24, 36)[:: -1 if turn >= 5 else 1]))
        paths.append(str(tmp_path / f"{i}.{kind.lower()}"))
        write(paths[-1], pixels, kind, mode, turn)
    deep = picture()[:24, :36, 0].astype("uint16") * 257
    paths.append(str(tmp_path / "deep.png"))
    Image.fromarray(deep).save(paths[-1])
    frames = [Image.fromarray(picture(i, 24, 36)) for i in range(3)]
    paths.append(str(tmp_path / "moving.gif"))
    frames[0].save(paths[-1], save_all=True, append_images=frames[1:])
    splits = np.array(["train"] * len(paths))
    records = Records("set", splits, {}, {}, images=np.array(paths))
    records, summary = p5.data.inspect(records, tmp_path / "cache")
    assert summary.heights == (24, 24, 24) and summary.widths == (36, 36, 36)
    # Pillow turns a TIFF by itself.
    assert summary.turned == 9
    source = p5.data.from_records(
        records, "train", size, cache, cache_dir=tmp_path / "cache"
    )
    found = read_all(source)["image"]
    for path, pixels in zip(paths, found, strict=True):
        wanted = read_image(path)[0]
        if size is not None:
            wanted = np.round(tf.image.resize(wanted, size, antialias=True))
        # Resizing after turning is the same but for the rounding.
        off = np.abs(pixels.astype(int) - wanted)
        assert off.max() <= (0 if size is None else 1), path


def test_a_grey_set_has_one_channel(tmp_path):
    paths = [str(tmp_path / f"{i}.png") for i in range(2)]
    levels = np.arange(256, dtype="uint8").reshape(16, 16)
    for path in paths:
        Image.fromarray(levels).save(path)
    records = Records("set", np.array(["train"] * 2), {}, {}, images=np.array(paths))
    records, summary = p5.data.inspect(records, tmp_path / "cache")
    assert summary.channels == 1
    for channels in (None, 1, 3):
        source = p5.data.from_records(records, "train", channels=channels)
        image = read_all(source)["image"]
        assert image.shape == (2, 16, 16, channels or 1)
        assert (image == levels[..., None]).all()


def test_tables_have_an_input(tmp_path):
    records = Records(
        "table",
        np.array(["train", "test"]),
        {"kind": Field("class", ("a", "b"))},
        {"kind": np.array([1, 0])},
        inputs={"size": np.array([1.0, 4.0])},
    )
    records, summary = p5.data.inspect(records, tmp_path / "cache")
    assert str(summary) == "no pictures"
    found = read_all(p5.data.from_records(records, "test"))
    assert found["input"]["size"].tolist() == [4] and found["kind"].tolist() == [0]


def numbered(tmp_path, count=12):
    """Grey pictures in training, each of its own level, and the level as a label."""
    paths = [str(tmp_path / f"{i}.png") for i in range(count)]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((10, 10), 5 * i, "uint8")).save(path)
    fields = {"level": Field("class", tuple(map(str, range(5 * count))))}
    levels = {"level": 5 * np.arange(count)}
    records = Records(
        "levels", np.array(["train"] * count), fields, levels, images=np.array(paths)
    )
    return p5.data.inspect(records, tmp_path / "cache")[0], paths


LEVELS = [p5.tasks.Classification("level", num_classes=60)]


def noise(example, seed):
    draw = tf.random.stateless_uniform([], seed)
    return {**example, "image": tf.cast(example["image"], tf.float32) + draw}


def levels(dataset, count=-1):
    """What batches hold, as `(x, level)` of each example."""
    found = []
    for x, y, weights in dataset.take(count):
        x, level, weight = x.numpy(), y["level"].numpy(), weights["level"].numpy()
        # A picture stays with its label on every way.
        assert ((x[:, 0, 0, 0] // 1) == level).all()
        assert (x == x[:, :1, :1]).all()
        found += [(float(p[0, 0, 0]), int(k)) for p, k in zip(x, level, strict=True)]
        found = found[: len(found) - int((weight == 0).sum())]
    return found


@pytest.mark.parametrize("augment", [None, noise])
@pytest.mark.parametrize("cache", PLACES)
def test_order_resume_and_shares_hold_with_files_and_caches(tmp_path, cache, augment):
    records, _ = numbered(tmp_path)
    source = p5.data.from_records(
        records, "train", cache=cache, augment=augment, cache_dir=tmp_path / "cache"
    )

    def training(count, **kwargs):
        return levels(p5.data.training(source, LEVELS, 4, 3, **kwargs), count)

    whole = training(6)
    assert training(6) == whole
    assert training(4, start=2) == whole[8:]
    for epoch in (whole[:12], whole[12:]):
        assert sorted(level for _, level in epoch) == list(range(0, 60, 5))
    assert whole[:12] != whole[12:]
    first, second = (training(3, shard=(worker, 2)) for worker in range(2))
    assert not {level for _, level in first} & {level for _, level in second}
    assert sorted(first + second) == sorted(whole[:12])
    parts = [
        levels(p5.data.evaluation(source, LEVELS, 8, (worker, 2)))
        for worker in range(2)
    ]
    assert sorted(parts[0] + parts[1]) == [(5.0 * i, 5 * i) for i in range(12)]


def test_pictures_are_decoded_once(tmp_path):
    records, paths = numbered(tmp_path)
    sources = [
        p5.data.from_records(records, "train", cache=c, cache_dir=tmp_path / "cache")
        for c in ("memory", "disk", "auto")
    ]
    for path in paths:
        open(path, "wb").close()
    for source in sources:
        dataset = p5.data.training(source, LEVELS, 4)
        assert len(levels(dataset, 9)) == 36
        assert len(levels(p5.data.evaluation(source, LEVELS, 5))) == 12


def test_decoded_files_serve_later_runs_until_something_changes(tmp_path, monkeypatch):
    records, paths = numbered(tmp_path)
    decodings = []
    decode = from_records_module._decoded

    def counted(*args):
        decodings.append(1)
        yield from decode(*args)

    monkeypatch.setattr(from_records_module, "_decoded", counted)

    def first(size=None):
        source = p5.data.from_records(
            records, "train", size, "disk", cache_dir=tmp_path / "cache"
        )
        return float(source.read([1], [0])["image"][0, 0, 0, 0])

    assert (first(), first(), len(decodings)) == (5.0, 5.0, 1)
    assert (first(12), first(12), len(decodings)) == (5.0, 5.0, 2)
    Image.fromarray(np.full((10, 10), 77, "uint8")).save(paths[1])
    assert (first(), first(), len(decodings)) == (77.0, 77.0, 3)
    folder = tmp_path / "cache" / "decoded"
    assert len(list(folder.iterdir())) == 3  # and nothing unfinished


def test_a_mixture_of_pictures_in_files_and_in_memory(tmp_path):
    records, _ = numbered(tmp_path)
    sources = {
        name: p5.data.from_records(records, "train", cache=name)
        for name in ("none", "memory")
    }
    mixed = p5.data.mix(sources, LEVELS)
    found = levels(p5.data.training(mixed, LEVELS, 4), 6)
    assert sorted(level for _, level in found) == sorted([*range(0, 60, 5)] * 2)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (
            {"split": "dev"},
            "`split` must have an example. Received: split='dev', "
            "splits=['test', 'train', 'validation']",
        ),
        (
            {"image_size": (3, 0)},
            "`image_size` must be a number of pixels, or two, above 0. "
            "Received: image_size=(3, 0)",
        ),
        ({"channels": 4}, "`channels` must be 1 or 3. Received: channels=4"),
        (
            {"cache": "ram"},
            "`cache` must be one of 'auto', 'memory', 'disk', 'none'. "
            "Received: cache='ram'",
        ),
    ],
)
def test_wrong_arguments(inspected, arguments, message):
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        p5.data.from_records(inspected, **{"split": "train", **arguments})


def test_records_must_be_inspected(records):
    message = (
        "`records` must come from `inspect`, which checks their pictures. "
        "Received: 'set' with shapes=None"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        p5.data.from_records(records, "train", 32)


def test_pictures_of_several_sizes_need_a_size(inspected):
    inspected.shapes[0, :2] = 30, 50
    message = (
        "`image_size` must be given, since the pictures differ in size. Received: "
        "image_size=None for 'set', heights 30 to 40, widths 50 to 60"
    )
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        p5.data.from_records(inspected, "train")
