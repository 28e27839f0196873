import base64
import html.parser
import io
import re

import numpy as np
import pytest
from PIL import Image

from p5_keras import report, report_figures, report_page, tasks

VOID = {"meta", "img", "br"}


class Page(html.parser.HTMLParser):
    """Reads a page, and fails where a tag is not closed."""

    def __init__(self, text):
        super().__init__()
        self.open, self.text, self.images, self.outside = [], [], [], []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        values = dict(attrs)
        if tag == "img":
            assert values["alt"]
            self.images.append(values["src"])
        self.outside += [values[k] for k in ("href", "action") if k in values]
        self.outside += [tag] if tag in ("script", "link", "iframe") else []
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.text.append(data)

    @property
    def words(self):
        return " ".join(" ".join(self.text).split())


KINDS = [
    tasks.Classification("breed", class_names=["<cat>", "$dog$"]),
    tasks.Regression("age", unit="years"),
    tasks.Segmentation("mask", num_classes=3),
    tasks.DenseRegression("depth", unit="m"),
    tasks.MultiLabel("traits", class_names=["long", "short"]),
]


def fields(label):
    y, x = np.mgrid[:12, :16]
    return {
        "breed": {"label": np.int32(label), "probabilities": np.array([0.25, 0.75])},
        "age": {"value": np.array([2.5])},
        "mask": {"classes": (x // 6).astype("int32")},
        "depth": {"value": (1.0 + y).astype("float32")},
        "traits": {"label": np.array([1, -1]), "probability": np.array([1, np.nan])},
    }


def metric(test, better, **kwargs):
    return {"test": test, "val": 0.5, "trivial": 0.25, "better": better, **kwargs}


def score(low, high):
    return {
        "name": "accuracy",
        "mean": 0.9,
        "trivial": 0.25,
        "difference": 0.65,
        "interval": [low, high],
        "examples": 1234,
    }


def results():
    return {
        "recipe": "models/pets.py",
        "date": "2026-01-02",
        "seed": 7,
        "command": "python train.py --recipe 'models/pets.py' --set a=<b>",
        "parameters": {
            "trunk": 2000,
            "sharing": 1000,
            "heads": {"breed": 900, "age": 100},
        },
        "flops": {"trunk": 4000, "sharing": 0, "heads": {"breed": 1800, "age": 200}},
        "objective": {
            "loss_weights": {"breed": 1.0, "age": 0.25},
            "trunk_l2": 1e-4,
            "head_l2": 0.0,
        },
        "tasks": {
            "breed": {
                "kind": "classification",
                "primary": "accuracy",
                "metrics": {"accuracy": metric(0.91234, "higher")},
                "score": score(0.6, 0.7),
            },
            "age": {
                "kind": "regression",
                "primary": "mae",
                "metrics": {
                    "mae": metric(None, "lower", reason="no label in test"),
                    "rmse": metric(float("nan"), "lower", reason="no label in test"),
                },
                "score": None,
            },
        },
        "train": {
            "epochs": 3,
            "steps": 1880,
            "examples_per_second": 640.0,
            "wall_seconds": 197.4,
            "best_epoch": 2,
            "val_skill": 0.8,
        },
        "versions": {"keras": "3.15.1"},
    }


def history(epochs=3):
    return [
        {
            "epoch": i + 1,
            "loss": 2.0 / (i + 1),
            "val_loss": 100.0**-i,
            "breed_loss": 1.0 / (i + 1),
            "val_breed_loss": 1.5,
            "val_breed_accuracy": 0.5 + i / 10,
            "val_age_mae": None,
            "val_skill": float("nan") if i else 0.1,
        }
        for i in range(epochs)
    ]


def write(path, **kwargs):
    image = np.random.default_rng(0).uniform(0, 255, (12, 16, 3))
    unknown = fields(0) | {"age": {"value": np.array([np.nan])}}
    given = {
        "config": {
            "epochs": 3,
            "trunk": {"width": 32, "name": "a&b"},
            "data_dir": None,
        },
        "results": results(),
        "history": history(),
        "tasks": KINDS,
        "examples": [{"image": image, "truth": unknown, "prediction": fields(1)}] * 2,
        "confusions": {"breed": np.array([[5, 1], [0, 0]])},
        **kwargs,
    }
    report.write(path, **given)
    return Page(path.read_text("utf-8"))


@pytest.fixture(scope="module")
def page(tmp_path_factory):
    return write(tmp_path_factory.mktemp("report") / "report.html")


def test_the_page_needs_nothing_else(page):
    assert page.outside == []
    # Curves of all and of each task, a confusion matrix, two examples.
    assert len(page.images) == 1 + 5 + 1 + 2
    for source in page.images:
        kind, data = source.split(",", 1)
        assert kind == "data:image/png;base64"
        assert np.asarray(Image.open(io.BytesIO(base64.b64decode(data)))).std() > 0


@pytest.mark.parametrize(
    "said",
    [
        "p5_keras run 2026-01-02 pets 2 tasks on one shared trunk, trained for 3 "
        "epochs in 3 min 17 s. 1 of 2 shown to beat the trivial predictor.",
        "breed 0.912 accuracy ↑ trivial 0.250 beats trivial",
        "age – mae ↓ trivial 0.250 not shown – no label in test",
        "age mae ↓ – no label in test – 0.500 0.250 regression",
        "breed accuracy yes 0.900 0.250 +0.650 +0.600 to +0.700 – 1,234",
        "loss = 1 · L breed + 0.25 · L age + 0.0001 · ‖θ‖²",
        "λ = 0.0001 and γ = 0.",
        "breed <cat> (25%) $dog$ (75%)",
        "age unlabelled 2.5 years",
        "depth 1-12 m 1-12 m",
        "wall time 3 min 17 s epochs 3 best epoch 2 steps 1,880 ms / step "
        "with validation 105.0 examples / s 640.0",
        "part parameters share FLOPs trunk 2,000 50.0% 4,000 sharing 1,000 25.0% 0 "
        "head: breed 900 22.5% 1,800 head: age 100 2.5% 200 all 4,000 100.0% 6,000",
        "python train.py --recipe 'models/pets.py' --set a=<b>",
        "keras 3.15.1",
        "epochs 3 trunk.width 32 trunk.name a&b data_dir null",
    ],
)
def test_the_page_says(page, said):
    assert said in page.words


def test_only_wrong_answers_are_marked(tmp_path):
    write(tmp_path / "a.html")
    text = (tmp_path / "a.html").read_text()
    assert re.findall(r'class="wrong">(.*?)<', text) == ["$dog$ (75%)"] * 2


def test_little_is_known(tmp_path):
    nothing = {"history": [], "examples": [], "confusions": {}, "config": {}}
    page = write(tmp_path / "a.html", results={}, **nothing)
    assert page.words.startswith("run p5_keras run run 0 tasks")
    assert page.images == []
    few = {"tasks": {"breed": {"metrics": {"accuracy": {"test": 0.5}}}}}
    assert "0.500" in write(tmp_path / "a.html", results=few, **nothing).words


def test_one_epoch_is_a_point(tmp_path):
    assert len(write(tmp_path / "a.html", history=history(1)).images) == 9


def test_inputs_that_are_no_pictures(tmp_path):
    some = {"breed": fields(0)["breed"]}
    example = {"image": np.zeros(4), "truth": some, "prediction": some}
    page = write(tmp_path / "a.html", examples=[example])
    assert len(page.images) == 7
    assert "breed <cat> (25%) <cat> (25%)" in page.words


def test_a_picture_has_a_panel_for_each_map(tmp_path):
    image = np.zeros((12, 16, 1))
    report.picture(KINDS[:3], image, fields(0), tmp_path / "a.png")
    report.picture(KINDS, image, fields(0), tmp_path / "b.png")
    one, two = (
        Image.open(io.BytesIO((tmp_path / n).read_bytes())) for n in ("a.png", "b.png")
    )
    assert 480 < one.size[0] < 600
    assert 960 < two.size[0] < 1200
    with pytest.raises(ValueError, match=r"`image` must be.*Received: .*shape \(4,\)"):
        report.picture(KINDS, np.zeros(4), {}, tmp_path / "c.png")


BOARD = """\
task   metric         test    val  trivial  difference [95% interval]  beats trivial
------------------------------------------------------------------------------------
breed  accuracy      0.912  0.500    0.250  +0.650 [-0.600, +0.700]    not shown
age    mae (lower)       -  0.500    0.250  -                          not shown
age    rmse (lower)      -  0.500    0.250
------------------------------------------------------------------------------------
Higher is better but where it says lower. The difference is of scores of the
same test example, model less trivial predictor; above 0 is better.
It matters from the smallest difference in results.json on."""


def test_the_leaderboard():
    given = results()
    given["tasks"]["breed"]["score"] = score(-0.6, 0.7)
    assert report.leaderboard(given) == BOARD
    assert report.leaderboard(given).isascii()
    assert report.leaderboard({}).startswith("task")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0.000"),
        (0.91234, "0.912"),
        (0.00012, "1.2e-04"),
        (-12.5, "-12.500"),
        (1234.56, "1,234.6"),
        (123456.7, "123,457"),
        (None, "–"),
        (float("inf"), "–"),
    ],
)
def test_numbers(value, text):
    assert report_page.number(value) == text


def test_missing_classes_are_never_wrong():
    truth, found = (
        {"a": {"label": np.array([1, -1])}},
        {"a": {"label": np.array([1, 0])}},
    )
    assert not report_figures.differ(truth, found, "a")
    assert report_figures.differ(found, {"a": {"label": np.array([0, 0])}}, "a")
