from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf
import tensorflow_datasets as tfds

ROOT = Path(__file__).parents[2]
with tfds.core.utils.add_sys_path(ROOT / "datasets"):
    module = import_module("digit_scenes.digit_scenes_dataset_builder")
    draw = import_module("digit_scenes.draw")
compose = module.compose

SMALL = {"train": (1, 40, True), "validation": (2, 20, False), "test": (3, 20, False)}


def scenes(indices, seed=0, augment=False, split="train"):
    glyphs, labels = compose.glyph_block(split)
    batch = compose.compose(glyphs, labels, indices, seed, augment)
    return tf.nest.map_structure(lambda t: t.numpy(), batch)


@pytest.fixture(scope="module", params=[False, True], ids=["plain", "augmented"])
def many(request):
    return scenes(np.arange(512), seed=4, augment=request.param)


def pixels(batch):
    """Boxes in whole pixels, `(batch, 4, 4)`."""
    return np.rint(batch["objects"]["bbox"] * compose.CANVAS).astype(int)


class DigitScenesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = module.Builder
    SPLITS = {name: size for name, (_, size, _) in SMALL.items()}

    def setUp(self):
        super().setUp()
        patch = mock.patch.dict(module._SPLITS, SMALL)
        patch.start()
        self.addCleanup(patch.stop)


def test_split_sizes_and_augmentation():
    assert {k: v[1:] for k, v in module._SPLITS.items()} == {
        "train": (4000, True),
        "validation": (1000, False),
        "test": (1000, False),
    }
    assert len({seed for seed, _, _ in module._SPLITS.values()}) == 3


def test_two_preparations_are_equal_and_agree_with_compose(tmp_path):
    def prepare(folder):
        builder = module.Builder(data_dir=tmp_path / folder)
        builder.download_and_prepare()
        return list(tfds.as_numpy(builder.as_dataset(split="test")))

    with mock.patch.dict(module._SPLITS, SMALL):
        first, second = prepare("a"), prepare("b")
    tf.nest.map_structure(np.testing.assert_array_equal, first, second)

    batch = scenes(np.arange(20), seed=3, split="test")
    by_image = {example["image"].tobytes(): example for example in first}
    for k in range(20):
        example = by_image[batch["image"][k].tobytes()]
        n = batch["count"][k] + 1
        assert example["digit"] == batch["digit"][k]
        assert example["count"] == batch["count"][k]
        assert example["ink"] == batch["ink"][k]
        np.testing.assert_array_equal(example["mask"], batch["mask"][k])
        for key in ("bbox", "label"):
            kept = batch["objects"][key][k, :n]
            np.testing.assert_allclose(example["objects"][key], kept, atol=1e-6)


def test_the_scenes_stay_what_they_were():
    batch = scenes(np.arange(256), seed=1, augment=True)
    # Whole numbers come from integer hashing; the rest may move with TensorFlow.
    assert np.bincount(batch["digit"], minlength=10).tolist() == [
        17,
        29,
        26,
        15,
        26,
        29,
        31,
        32,
        27,
        24,
    ]
    assert np.bincount(batch["count"], minlength=4).tolist() == [67, 55, 63, 71]
    assert batch["ink"].mean() == pytest.approx(5.1, rel=1e-3)
    assert batch["image"].mean() == pytest.approx(57.75, rel=1e-3)
    assert batch["mask"].mean() == pytest.approx(0.06561, rel=1e-3)
    assert batch["objects"]["bbox"].mean() == pytest.approx(0.3179, rel=1e-3)


def test_shapes_are_static_in_a_pipeline():
    glyphs, labels = compose.glyph_block("train")
    data = tf.data.Dataset.range(100).batch(5, drop_remainder=True)
    data = data.map(lambda i: compose.compose(glyphs, labels, i, 7, augment=True))
    assert data.element_spec == {
        "image": tf.TensorSpec((5, 48, 48, 1), tf.uint8),
        "digit": tf.TensorSpec((5,), tf.int64),
        "count": tf.TensorSpec((5,), tf.int64),
        "ink": tf.TensorSpec((5,), tf.float32),
        "mask": tf.TensorSpec((5, 48, 48, 1), tf.uint8),
        "objects": {
            "bbox": tf.TensorSpec((5, 4, 4), tf.float32),
            "label": tf.TensorSpec((5, 4), tf.int64),
        },
    }
    assert data.take(1).get_single_element()["image"].shape == (5, 48, 48, 1)


def test_a_scene_does_not_depend_on_its_batch():
    alone = scenes([5], seed=2**40 + 3, augment=True)
    among = scenes(np.array([9, 2**33, 5, 0]), seed=2**40 + 3, augment=True)
    for key in ("digit", "count"):
        assert alone[key][0] == among[key][2]
    assert (alone["objects"]["label"][0] == among["objects"]["label"][2]).all()
    np.testing.assert_allclose(alone["ink"][0], among["ink"][2], rtol=1e-5)
    # Another batch size may sum in another order: one gray level at most.
    np.testing.assert_allclose(
        alone["image"][0].astype(int), among["image"][2].astype(int), atol=1
    )


def test_seed_and_number_change_the_scene():
    a, b = scenes(np.arange(8), seed=1), scenes(np.arange(8), seed=2)
    images = [image.tobytes() for image in [*a["image"], *b["image"]]]
    assert len(set(images)) == 16
    high = scenes(np.arange(8) + 2**32, seed=1)
    assert (high["image"] != a["image"]).any(axis=(1, 2, 3)).all()


def test_compiled_scenes_are_the_same():
    glyphs, labels = compose.glyph_block("train")

    @tf.function(jit_compile=True)
    def compiled(indices):
        return compose.compose(glyphs, labels, indices, 4, augment=True)

    got, want = compiled(tf.range(16)), scenes(np.arange(16), seed=4, augment=True)
    tf.nest.map_structure(
        lambda x, y: np.testing.assert_allclose(x, y.astype(float), atol=1, rtol=1e-5),
        tf.nest.map_structure(lambda t: t.numpy().astype(float), got),
        want,
    )


def test_labels_agree_with_objects(many):
    label, bbox = many["objects"]["label"], many["objects"]["bbox"]
    there = label >= 0
    assert (there.sum(axis=1) == many["count"] + 1).all()
    assert (there == (np.arange(4) <= many["count"][:, None])).all()
    assert (label[:, 0] == many["digit"]).all()
    assert (bbox[~there] == 0).all()
    assert bbox.min() >= 0
    assert bbox.max() <= 1
    assert set(np.unique(many["count"])) == {0, 1, 2, 3}
    assert set(np.unique(many["digit"])) == set(range(10))


def test_the_first_is_clearly_largest(many):
    box = pixels(many)
    size = np.maximum(box[..., 2] - box[..., 0], box[..., 3] - box[..., 1])
    several = many["count"] > 0
    ratio = size[several, 0] / size[several, 1:].max(axis=1)
    assert (ratio >= 1.2).mean() > 0.995
    assert ratio.min() > 1.1
    drawn = size[many["objects"]["label"] >= 0]
    assert drawn.min() >= compose.MIN_SIZE - 2
    assert drawn.max() <= compose.MAX_SIZE + 1


def test_boxes_are_tight_and_hold_all_ink(many):
    mask = many["mask"][..., 0].astype(bool)
    for ink, boxes, n in zip(mask, pixels(many), many["count"] + 1, strict=True):
        covered = np.zeros_like(ink)
        for y0, x0, y1, x1 in boxes[:n]:
            covered[y0:y1, x0:x1] = True
            for edge in (
                ink[y0, x0:x1],
                ink[y1 - 1, x0:x1],
                ink[y0:y1, x0],
                ink[y0:y1, x1 - 1],
            ):
                assert edge.any()
        assert not ink[~covered].any()


def test_digits_keep_clear_of_each_other(many):
    box, there = pixels(many), many["objects"]["label"] >= 0
    low = np.maximum(box[:, :, None, :2], box[:, None, :, :2])
    high = np.minimum(box[:, :, None, 2:], box[:, None, :, 2:])
    meet = (high > low).all(axis=-1) & there[:, :, None] & there[:, None, :]
    pairs = np.triu(np.ones((4, 4), bool), 1)
    assert meet[:, pairs].sum() <= 2


def test_ink_is_percent_of_full_ink(many):
    share = 100 * many["mask"].mean(axis=(1, 2, 3))
    assert (many["ink"] > compose.INK_THRESHOLD * share).all()
    assert (many["ink"] < 1.3 * share).all()
    assert np.corrcoef(share, many["ink"])[0, 1] > 0.97


def test_images_are_noisy_and_not_saturated(many):
    image = many["image"]
    assert (image == 0).mean() < 0.02
    assert (image == 255).mean() < 0.001
    ground = np.where(many["mask"] == 0, image, np.nan)
    level = np.nanmean(ground, axis=(1, 2, 3))
    assert level.std() > 10
    ink = np.where(many["mask"] == 1, image, np.nan)
    assert (np.nanmean(ink, axis=(1, 2, 3)) - level).min() > 30


def test_augmentation_changes_the_digits_alone():
    plain, warped = scenes(np.arange(64)), scenes(np.arange(64), augment=True)
    assert (plain["digit"] == warped["digit"]).all()
    assert (plain["objects"]["label"] == warped["objects"]["label"]).all()
    assert (plain["mask"] != warped["mask"]).any(axis=(1, 2, 3)).all()


def test_without_augmentation_a_glyph_keeps_its_shape():
    glyphs, _ = compose.glyph_block("test")
    four = np.repeat(glyphs[:30, None], 4, axis=1)
    numbers = draw.Uniforms(np.arange(30), 0)
    fine = compose._warp(tf.constant(four), numbers, 0.0)[:, 0].numpy()
    # Each sample of the finer grid, interpolated by hand.
    at = 3.5 + np.linspace(-5.25, 5.25, 16)
    hat = np.maximum(0, 1 - np.abs(at[:, None] - np.arange(8)))
    np.testing.assert_allclose(fine, hat @ glyphs[:30] @ hat.T, atol=1e-5)


def test_another_canvas(monkeypatch):
    monkeypatch.setattr(compose, "CANVAS", 80)
    monkeypatch.setattr(compose, "MIN_SIZE", 16.0)
    monkeypatch.setattr(compose, "MAX_SIZE", 32.0)
    batch = scenes(np.arange(64))
    assert batch["image"].shape == (64, 80, 80, 1)
    box = pixels(batch)[:, 0]
    assert (box[:, 2:] - box[:, :2]).max(axis=1).min() >= 22
    test_boxes_are_tight_and_hold_all_ink(batch)


def test_blocks_are_disjoint_and_start_with_a_form():
    edges = sorted(compose.BLOCKS.values())
    assert [edge for block in edges for edge in block] == [
        0,
        1157,
        1157,
        1415,
        1415,
        1797,
    ]
    for split, (start, stop) in compose.BLOCKS.items():
        glyphs, labels = compose.glyph_block(split)
        assert glyphs.shape == (stop - start, 8, 8)
        assert (glyphs.min(), glyphs.max()) == (0.0, 1.0)
        assert labels[:30].tolist() == list(range(10)) * 3
        assert np.bincount(labels).min() >= 25


def test_an_unknown_split_is_named():
    with pytest.raises(ValueError, match=r"`split` must be one of.*split='val'"):
        compose.glyph_block("val")


def test_random_numbers_are_spread_and_independent():
    numbers = draw.Uniforms(np.arange(2000), 11)
    u = numbers(50).numpy()
    assert u.min() >= 0
    assert u.max() < 1
    assert u.mean() == pytest.approx(0.5, abs=0.005)
    assert u.var() == pytest.approx(1 / 12, abs=0.002)
    across = np.corrcoef(u.T) - np.eye(50)
    assert np.abs(across).max() < 0.12
    assert np.abs(np.corrcoef(u[:-1].ravel(), u[1:].ravel())[0, 1]) < 0.02
    z = numbers.normal(50).numpy()
    assert z.mean() == pytest.approx(0, abs=0.02)
    assert z.std() == pytest.approx(1, abs=0.02)
