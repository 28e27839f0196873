import dataclasses
import inspect
from pathlib import Path

import keras
import pytest

import p5_keras as p5

ROOT = Path(__file__).parents[1]
RECIPES = sorted(path.stem for path in (ROOT / "models").glob("*.py"))


class Box(p5.Trunk):
    """A trunk with an argument of every type."""

    def __init__(
        self,
        width: int = 4,
        rate: float = 0.5,
        wide: bool = False,
        name: str | None = None,
        size: tuple[int, int] = (1, 2),
        units: list[int] | tuple[int, ...] = (3,),
        anything=None,
    ) -> None:
        if width < 1:
            raise ValueError(f"`width` must be positive. Received: width={width}")
        self.width, self.rate, self.wide, self.name = width, rate, wide, name
        self.size, self.units, self.anything = size, units, anything


@dataclasses.dataclass(frozen=True)
class Config(p5.recipe.Config):
    """A configuration with a field of every type."""

    trunk: p5.Trunk = Box()  # noqa: RUF009
    wide: bool = False
    size: tuple[int, int] = (1, 2)
    units: tuple[int, ...] = (3,)
    rates: dict[str, float] | None = None
    parts: list | None = None
    note: str = ""


def configured(*settings):
    return p5.recipe.configure(Config(), list(settings))


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("epochs=3", 3),
        ("steps_per_epoch=none", None),
        ("steps_per_epoch=None", None),
        ("steps_per_epoch=7", 7),
        ("learning_rate=1e-4", 1e-4),
        ("learning_rate=2", 2.0),
        ("clip_norm=None", None),
        ("clip_norm=1", 1.0),
        ("wide=true", True),
        ("wide=True", True),
        ("wide=False", False),
        ("note=a=b", "a=b"),
        ("note=12", "12"),
        ("note=None", "None"),
        ("note='quoted'", "quoted"),
        ("note=", ""),
        ("data_dir=none", None),
        ("data_dir=/some/where", "/some/where"),
        ("size=3,4", (3, 4)),
        ("size=[3, 4]", (3, 4)),
        ("size=(3, 4)", (3, 4)),
        ("units=1,2,3", (1, 2, 3)),
        ("rates={'a': 0.5}", {"a": 0.5}),
        ("parts=1,'b'", [1, "b"]),
    ],
)
def test_a_field_is_read_by_its_type(setting, value):
    found = getattr(configured(setting), setting.partition("=")[0])
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("trunk.width=8", 8),
        ("trunk.rate=1", 1.0),
        ("trunk.wide=true", True),
        ("trunk.name=None", None),
        ("trunk.name=a b", "a b"),
        ("trunk.size=3,4", (3, 4)),
        ("trunk.units=[5, 6]", [5, 6]),
        ("trunk.units=(5, 6)", [5, 6]),
        ("trunk.anything={'a': 1}", {"a": 1}),
    ],
)
def test_an_argument_of_an_object_is_read_by_the_signature(setting, value):
    before = Config()
    after = p5.recipe.configure(before, [setting])
    name = setting.partition("=")[0].removeprefix("trunk.")
    assert getattr(after.trunk, name) == value
    assert type(getattr(after.trunk, name)) is type(value)
    assert before.trunk.width == 4 and before.trunk.name is None
    others = {k: v for k, v in Box().get_config().items() if k != name}
    assert {k: after.trunk.get_config()[k] for k in others} == others


@pytest.mark.parametrize(
    ("setting", "wanted"),
    [
        ("epochs=three", "`epochs` must be of type int. Received: epochs=three"),
        ("epochs=1.5", "`epochs` must be of type int"),
        ("epochs=True", "`epochs` must be of type int"),
        ("epochs=None", "`epochs` must be of type int"),
        ("learning_rate=fast", "`learning_rate` must be of type float"),
        ("steps_per_epoch=1.5", "`steps_per_epoch` must be of type int or None"),
        ("wide=1", "`wide` must be of type bool"),
        ("size=3", r"`size` must be of type tuple\[int, int\]"),
        ("size=3,4,5", r"`size` must be of type tuple\[int, int\]"),
        ("size=3,x", r"`size` must be of type tuple\[int, int\]"),
        ("size=3,4.5", r"`size` must be of type tuple\[int, int\]"),
        ("units=1,2.5", r"`units` must be of type tuple\[int, ...\]"),
        ("trunk=Conv", "`trunk` must be of type Trunk"),
        ("trunk.width=1.5", "`trunk.width` must be of type int"),
        ("trunk.rate=high", "`trunk.rate` must be of type float"),
        ("trunk.width=0", "`width` must be positive"),
    ],
)
def test_a_value_of_the_wrong_type_is_named(setting, wanted):
    with pytest.raises(ValueError, match=wanted):
        configured(setting)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("epoch=3", r"Unknown setting\. Did you mean 'epochs'\? Received: 'epoch'"),
        ("trunk.widht=3", r"Unknown argument of Box.*Did you mean 'width'\?"),
        ("trnk.width=3", r"Unknown setting\. Did you mean 'trunk'\?"),
        ("zzzzzz=3", r"Unknown setting\. Received: 'zzzzzz'"),
        ("epochs", "must be name=value. Received: 'epochs'"),
        ("epochs.real=3", "`epochs` has no arguments. Received: 'epochs.real=3'"),
        ("note.args=3", "`note` has no arguments"),
    ],
)
def test_an_unknown_name_names_the_nearest(setting, message):
    with pytest.raises(ValueError, match=message):
        configured(setting)


def test_the_later_setting_wins_and_settings_add_up():
    found = configured("epochs=3", "trunk.width=5", "epochs=4", "trunk.rate=0.1")
    assert found.epochs == 4
    assert (found.trunk.width, found.trunk.rate) == (5, 0.1)


def test_flags_win_over_settings_and_settings_over_the_recipe():
    given = {"epochs": 5, "batch_size": None, "workdir": "no field", "seed": 3}
    settings = ["epochs=3", "batch_size=9", "learning_rate=0.5"]
    found = p5.recipe.configure(Config(patience=2), settings, given)
    assert (found.epochs, found.batch_size) == (5, 9)
    assert (found.learning_rate, found.patience) == (0.5, 2)


def test_describe_is_what_json_can_hold():
    described = p5.recipe.describe(configured("trunk.width=7", "clip_norm=1"))
    assert described["trunk"].startswith("Box(width=7, ")
    assert described["clip_norm"] == 1.0
    assert described["steps_per_epoch"] is None
    fields = {field.name for field in dataclasses.fields(Config)}
    assert set(described) == fields - {"reading"}


def test_an_unknown_recipe_names_the_nearest():
    with pytest.raises(ValueError, match=r"Did you mean 'quickstart'\?.*'quikstart'"):
        p5.recipe.load("quikstart")
    with pytest.raises(ValueError, match=r"path of a \.py file.*'no/where.py'"):
        p5.recipe.load("no/where.py")


def test_a_recipe_is_loaded_by_path(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text(
        "import p5_keras as p5\nConfig = p5.recipe.Config\n"
        "def tasks(config): return 'mine'\ndata = model = tasks\n"
    )
    assert p5.recipe.load(str(path)).tasks(None) == "mine"


def test_a_recipe_without_a_function_says_which(tmp_path):
    path = tmp_path / "mine.py"
    path.write_text("def tasks(config): return []\ndef data(*arguments): return None\n")
    with pytest.raises(ValueError, match=r"must define .*\['Config', 'model'\]"):
        p5.recipe.load(str(path))


#: Recipes that know their tasks from their data.
TOLD = {
    "digit_strings": "fsdd",
    "snips": "snips",
    "spoken_digits": "fsdd",
    "tox21": "tox21",
}


@pytest.mark.parametrize("name", RECIPES)
def test_every_recipe_is_complete(name, request):
    recipe = p5.recipe.load(name)
    assert recipe.__doc__.splitlines()[0].endswith(".")
    config = recipe.Config()
    assert isinstance(config, p5.recipe.Config)
    assert isinstance(config.trunk, p5.Trunk)
    p5.recipe.describe(config)
    arguments = {
        "tasks": ["config"],
        "data": ["config", "tasks", "split"],
        "model": ["config", "tasks"],
    }
    for function, names in arguments.items():
        found = list(inspect.signature(getattr(recipe, function)).parameters)
        assert found == names
        assert getattr(recipe, function).__doc__
    # They have no data of their own.
    if name in ("your_data", "pretrain", "pretrain_text"):
        return
    if name in TOLD:
        folder = request.getfixturevalue("real_data") / TOLD[name]
        config = dataclasses.replace(config, data_dir=str(folder))
    tasks = recipe.tasks(config)
    assert all(isinstance(task, p5.Task) for task in tasks)
    assert len({task.name for task in tasks}) == len(tasks) > 1


def test_every_setting_of_every_recipe_can_be_changed():
    for name in RECIPES:
        config = p5.recipe.load(name).Config()
        settings = [
            f"{field.name}={getattr(config, field.name)}"
            for field in dataclasses.fields(config)
            if not hasattr(getattr(config, field.name), "get_config")
        ]
        assert p5.recipe.configure(config, settings) == config


@pytest.mark.parametrize(
    ("steps", "at"), [(1000, {0: 0.0, 100: 1e-3, 550: 5e-4, 1000: 0.0}), (2, {0: 1e-3})]
)
def test_the_default_schedule_warms_up_and_decays_to_0(steps, at):
    config = Config(learning_rate=1e-3)
    rate = p5.recipe.default_optimizer(config, steps)._learning_rate
    for step, value in at.items():
        assert float(rate(step)) == pytest.approx(value, abs=2e-7)


def test_the_default_optimizer_follows_the_configuration():
    config = Config(weight_decay=0.01, clip_norm=2.0, ema=0.9)
    optimizer = p5.recipe.default_optimizer(config, 10)
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert optimizer.weight_decay == 0.01
    assert optimizer.global_clipnorm == 2.0
    assert optimizer.use_ema and optimizer.ema_momentum == 0.9
    assert not p5.recipe.default_optimizer(Config(), 10).use_ema
    layer = keras.layers.Dense(2)
    layer.build((None, 2))
    norm = keras.layers.BatchNormalization()
    norm.build((None, 2))
    decayed = [layer.kernel]
    for variable in [*layer.trainable_variables, *norm.trainable_variables]:
        used = optimizer._use_weight_decay(variable)
        assert used == any(variable is d for d in decayed), variable.path


def test_another_optimizer_follows_the_configuration_too():
    config = Config(learning_rate=0.1, clip_norm=2.0)
    optimizer = p5.recipe.default_optimizer(
        config, 100, keras.optimizers.SGD, momentum=0.9
    )
    assert isinstance(optimizer, keras.optimizers.SGD)
    assert (optimizer.momentum, optimizer.global_clipnorm) == (0.9, 2.0)
    assert float(optimizer._learning_rate(10)) == pytest.approx(0.1)


def test_a_sharing_by_name_and_its_arguments():
    settings = ["sharing.experts=3", "sharing.units=(8,)"]
    found = p5.recipe.configure(Config(), settings, {"sharing": "MMoE"})
    assert found.sharing == p5.sharing.MMoE(experts=3, units=(8,))
    settings = ["sharing.depths={'a': 'P2'}"]
    found = p5.recipe.configure(Config(), settings, {"sharing": "Hierarchical"})
    assert found.sharing.depths == {"a": "P2"}
    settings = ["sharing.groups=(('a', 'b'), ('c',))"]
    found = p5.recipe.configure(Config(), settings, {"sharing": "Branching"})
    assert found.sharing.groups == (("a", "b"), ("c",))
    changed = dataclasses.replace(Config(), sharing=found.sharing)
    assert p5.recipe.configure(changed, [], {"sharing": "none"}).sharing is None
    assert p5.recipe.configure(changed, [], {}).sharing == found.sharing


def test_wrong_sharings():
    with pytest.raises(ValueError, match=r"`sharing` must be .* Did you mean 'MMoE'"):
        p5.recipe.configure(Config(), [], {"sharing": "MMOE"})
    with pytest.raises(ValueError, match="Give --sharing first"):
        configured("sharing.experts=3")
    with pytest.raises(ValueError, match=r"Unknown argument .* Did you mean 'experts'"):
        p5.recipe.configure(Config(), ["sharing.expert=3"], {"sharing": "MMoE"})


def test_settings_of_a_described_run_leave_objects_out():
    given = {"sharing": "MMoE", "weighting": "MGDA"}
    described = p5.recipe.describe(p5.recipe.configure(Config(), ["epochs=3"], given))
    assert described["sharing"] == "MMoE(experts=4, units=())"
    again = p5.recipe.configure(Config(), p5.recipe.settings(Config(), described))
    assert (again.epochs, again.sharing, again.weighting) == (3, None, None)


def test_a_weighting_that_needs_to_be_told_something_is_told_by_a_setting():
    config = p5.recipe.Config(p5.trunks.Dense())
    given = {"weighting": "CosineGate"}
    found = p5.recipe.configure(config, ["weighting.primary=a"], given)
    assert found.weighting == p5.weighting.CosineGate(primary=("a",))
    with pytest.raises(ValueError, match=r"needs --set weighting\.primary=VALUE"):
        p5.recipe.configure(config, [], given)


@pytest.mark.parametrize("name", ["Cut", "MultiInput", "TwoTower"])
def test_a_trunk_that_is_made_of_others_is_no_flag(name):
    config = p5.recipe.Config(p5.trunks.Dense())
    with pytest.raises(ValueError, match=r"`trunk` must be one of AudioConv, Conv,"):
        p5.recipe.configure(config, [], {"trunk": name})
