"""What was learned once, used for other tasks."""

from p5_keras.transfer.cached import cached
from p5_keras.transfer.freezing import freeze
from p5_keras.transfer.init_from import init_from, trunk_of
from p5_keras.transfer.unfreeze import Unfreeze

__all__ = ["Unfreeze", "cached", "freeze", "init_from", "trunk_of"]
