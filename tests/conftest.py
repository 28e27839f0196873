"""Two logical CPUs for the whole suite, quiet logs, and the folder of real data."""

import os
import pathlib

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("MPLBACKEND", "agg")
if worker := os.environ.get("PYTEST_XDIST_WORKER"):
    # Two processes that prepare one data set at once would get in each other's way.
    home = os.environ.get("TFDS_DATA_DIR", os.path.expanduser("~/tensorflow_datasets"))
    os.environ["TFDS_DATA_DIR"] = os.path.join(home, worker)

import keras
import pytest
import tensorflow as tf

# Before anything makes TensorFlow start its devices.
tf.config.set_logical_device_configuration(
    tf.config.list_physical_devices("CPU")[0],
    [tf.config.LogicalDeviceConfiguration()] * 2,
)
tf.get_logger().setLevel("ERROR")


@pytest.fixture(autouse=True)
def seed():
    """Every test draws the same random numbers, alone or in company."""
    keras.utils.set_random_seed(0)


@pytest.fixture
def real_data():
    """Folder with real data sets; tests that need one are skipped without it."""
    root = pathlib.Path(__file__).parents[1]
    folder = pathlib.Path(
        os.environ.get("P5_TEST_DATA", root.parent / "shared" / "data")
    )
    if not folder.is_dir():
        pytest.skip(f"no real data at {folder}; set P5_TEST_DATA")
    return folder


@pytest.fixture
def bfloat16():
    """Layers compute in bfloat16 and keep their weights in float32."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.fixture(scope="session")
def two_replicas():
    """A strategy over the two logical CPUs."""
    return tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
