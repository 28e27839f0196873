"""How time is divided, with numbers that are easy to check."""

import pytest

from p5_keras.compare import arms, budget

SIDES = arms(["NashMTL"], ["a", "b"])
SPEEDS = {
    ("single", "a"): budget.Speed(fixed=10, validation=1, step=0.1),
    ("single", "b"): budget.Speed(fixed=10, validation=1, step=0.2),
    ("joint", "all"): budget.Speed(fixed=10, validation=2, step=0.4),
    ("NashMTL", "all"): budget.Speed(fixed=12, validation=2, step=0.8),
}


def divide(seconds, most=10_000):
    return budget.divide(SPEEDS, SIDES, seconds, seeds=2, epochs=5, most=most)


def test_arms_have_equal_shares_and_models_equal_parts_of_them():
    # 100 s each arm and seed, 50 s each single-task model.
    steps = divide(600)
    assert steps == {
        ("single", "a"): 70,  # (50 - 10) / 5 - 1 = 7 s an epoch
        ("single", "b"): 35,
        ("joint", "all"): 40,  # (100 - 10) / 5 - 2 = 16 s
        ("NashMTL", "all"): 19,  # (100 - 12) / 5 - 2 = 15.6 s
    }
    for (arm, model), count in steps.items():
        share = 50 if arm == "single" else 100
        seconds = SPEEDS[arm, model].seconds(5, count)
        assert share - 5 * SPEEDS[arm, model].step <= seconds <= share


def test_no_model_gets_more_than_the_recipe_has():
    assert set(divide(6000, most=25).values()) == {25}


def test_too_short_a_time_is_one_line_with_what_would_do():
    with pytest.raises(ValueError, match=r"give about (\d\.\d) times as much") as error:
        divide(100)
    assert str(error.value).count("\n") == 0
    factor = float(str(error.value).partition("about ")[2].split()[0])
    assert min(divide(100 * factor + 5).values()) >= 1
