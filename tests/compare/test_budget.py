"""How time is divided, with numbers that are easy to check."""

import pytest

from p5_keras.compare import budget

SPEED = budget.Speed(fixed=10, validation=1, step=0.1)


def test_a_run_of_its_steps_takes_its_time():
    assert SPEED.fit(50, epochs=5, steps=10_000) == (5, 70)  # (50 - 10) / 5 - 1 = 7 s
    assert SPEED.seconds(5, 70) == pytest.approx(50)


def test_no_run_is_longer_than_the_recipe_has_it():
    assert SPEED.fit(5000, epochs=5, steps=25) == (5, 25)


def test_a_part_of_a_run_has_fewer_epochs_and_no_more_steps():
    assert budget.part(8, 100, 1 / 8) == (1, 100)
    assert budget.part(3, 100, 1 / 8) == (1, 38)  # 300 steps / 8
    assert budget.part(1, 2, 1 / 8) == (1, 1)
    assert budget.part(20, 9, 1.0) == (20, 9)
    # (30 - 10) / 1 - 1 = 19 s, where 1/8 of the run would be 10 s.
    assert SPEED.fit(30, epochs=8, steps=100, fraction=1 / 8) == (1, 100)
    assert SPEED.fit(16, epochs=8, steps=100, fraction=1 / 8) == (1, 50)


def test_too_short_a_time_is_one_line_with_what_would_do():
    shares = {("single", "a"): (SPEED, 100.0), ("joint", "all"): (SPEED, 5.0)}
    with pytest.raises(ValueError, match=r"give about 3\.1 times as much") as error:
        budget.check(shares, epochs=5, minutes=2.0)  # 10 + 5 * 1.1 s
    assert str(error.value).count("\n") == 0
    budget.check({key: (SPEED, 15.5) for key in shares}, epochs=5, minutes=2.0)
