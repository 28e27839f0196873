"""Whatever a request holds, an exported model answers it or says what is wrong."""

import io
import json
import os
import pickle
import re
import struct
import subprocess
import sys
import zlib

import keras
import numpy as np
import pytest
from PIL import Image

import p5_keras as p5

SHAPE = (24, 32, 3)

# A server that tells what it makes of each request before it takes the next one.
SERVER = """
import json, pickle, sys
sys.modules["keras"] = sys.modules["p5_keras"] = None
import tensorflow as tf
loaded = {n: tf.saved_model.load(n) for n in ("image", "several", "sound")}
def most():
    lines = open("/proc/self/status").read().splitlines()
    return next(int(x.split()[1]) for x in lines if x.startswith("VmHWM")) // 1024
before = most()
for model, name, inputs in pickle.load(open("requests", "rb")):
    try:
        given = {k: tf.constant(v, *([tf.string] if v.dtype == object else []))
                 for k, v in inputs.items()}
        found = loaded[model].signatures[name](**given)
        out = {k: [v.dtype.name, v.shape.as_list(),
                   bool(v.dtype.is_integer or v.dtype == tf.bool or
                        tf.reduce_all(tf.math.is_finite(v)))]
               for k, v in found.items()}
        if "ok" in found:
            out["ok"] = found["ok"].numpy().tolist()
    except Exception as error:
        out = [type(error).__name__, str(error)]
    print("ANSWER", json.dumps(out), flush=True)
print("GROWN", most() - before, flush=True)
"""


def png(width, height, pixels=b""):
    """A PNG that says to be of a size, and is black where it is."""

    def chunk(kind, data):
        crc = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + crc

    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", pixels) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def gif(screen, frame, end=b";"):
    """A GIF of one picture of two numbers."""
    sizes = struct.pack("<HHBBB", *screen, 0x80, 0, 0) + bytes(6)
    return (
        b"GIF89a"
        + sizes
        + b","
        + struct.pack("<HHHHB", 0, 0, *frame, 0)
        + (b"\x02\x02\x4c\x01\x00" + end)
    )


def wav(rate, samples, channels=1, size=None):
    data = samples.astype("<i2").tobytes()
    size = len(data) if size is None else size
    form = struct.pack("<HHIIHH", 1, channels, rate, 2 * rate * channels, 2, 16)
    return (
        b"RIFF" + struct.pack("<I", 36 + len(data)) + b"WAVEfmt " + b"\x10\0\0\0"
    ) + (form + b"data" + struct.pack("<I", size) + data)


def encoded(kind="PNG"):
    image = np.random.default_rng(0).integers(0, 256, SHAPE).astype("uint8")
    file = io.BytesIO()
    Image.fromarray(image).save(file, kind)
    return file.getvalue()


def zeros(*shape, value=0.0, dtype="float32"):
    return np.full(shape, value, dtype)


def strings(*values):
    return np.array(values, object)


def with_one(value):
    x = zeros(2, *SHAPE)
    x[1, 3, 4, 2] = value
    return {"image": x}


GOOD = {"said": strings("hello you", ""), "age": zeros(2), "work": strings("a", "z")}
BROKEN = [b"", b"no image", encoded()[:60], png(13_000, 13_000), encoded("JPEG")[:99]]
BROKEN += [png(2**32 - 1, 2**32 - 1), gif((65535, 65535), (1, 1))]
BROKEN += [gif((1, 1), (65535, 65535)), gif((1, 1), (1, 1), b"")[:-3], b"GIF89a", b"BM"]
BROKEN += [b"\xff\xd8\xff\xc0\0\x11\x08\xff\xff\xff\xff\3" + bytes(20)]
SOUNDS = [b"", b"RIFF", wav(1000, zeros(9)), wav(8000, zeros(9))]
SOUNDS += [wav(1000, zeros(9), size=2**31), wav(1000, zeros(8), 65535)]

#: Model, signature, inputs, and what is to come of it: an answer for so many, of whose
#: files so many are read, or what the error says.
REQUESTS = [
    *(
        request
        for name in ("serving_default", "raw")
        for request in [
            ("image", name, {"image": zeros(2, *SHAPE)}, 2),
            ("image", name, {"image": zeros(0, *SHAPE)}, 0),
            ("image", name, {"image": zeros(*SHAPE)}, r"`image` must have the shape"),
            ("image", name, {"image": zeros()}, r"`image` .*\(batch, 24, 32, 3\)"),
            ("image", name, {"image": zeros(3)}, "`image`"),
            ("image", name, {"image": zeros(0)}, "`image`"),
            ("image", name, {"image": zeros(1, 1, *SHAPE)}, r"\[1 1 24 32 3\]"),
            ("image", name, {"image": zeros(1, 48, 64, 3)}, r"\[1 48 64 3\]"),
            ("image", name, {"image": zeros(1, 24, 32, 1)}, r"\[1 24 32 1\]"),
            ("image", name, {"image": zeros(1, 0, 0, 3)}, r"\[1 0 0 3\]"),
            ("image", name, with_one(np.nan), "finite numbers from 0 to 255"),
            ("image", name, with_one(np.inf), "finite numbers from 0 to 255"),
            ("image", name, with_one(-np.inf), "finite numbers from 0 to 255"),
            ("image", name, with_one(255.5), r"\[255.5\]"),
            ("image", name, with_one(-1), "finite numbers from 0 to 255"),
            ("image", name, {"image": zeros(1, *SHAPE, dtype="int32")}, "int32"),
            ("image", name, {"image": zeros(1, *SHAPE, dtype="float64")}, "double"),
            ("image", name, {"image": strings("a")}, "string"),
            ("image", name, {}, "missing a required argument: 'image'"),
            ("image", name, {"picture": zeros(1, *SHAPE)}, "'image'"),
            ("image", name, GOOD | with_one(0), "unexpected"),
        ]
    ),
    ("image", "serve_image_bytes", {"image_bytes": strings(encoded())}, 1, [True]),
    ("image", "serve_image_bytes", {"image_bytes": strings()}, 0, []),
    (
        *("image", "serve_image_bytes"),
        {"image_bytes": strings(*BROKEN, encoded("GIF"), encoded("BMP"))},
        *(len(BROKEN) + 2, [False] * len(BROKEN) + [True] * 2),
    ),
    ("image", "serve_image_bytes", {"image_bytes": np.array(b"a", object)}, r"\(batch"),
    ("image", "serve_image_bytes", {"image_bytes": strings([b"a"])}, r"\[1 1\]"),
    ("image", "serve_image_bytes", {"image_bytes": zeros(1)}, "float"),
    ("several", "serving_default", GOOD, 2),
    ("several", "raw", GOOD | {"age": zeros(2, value=np.nan)}, 2),
    ("several", "raw", {k: v[:0] for k, v in GOOD.items()}, 0),
    ("several", "raw", GOOD | {"said": strings("x" * 10**6, "  " * 10**6)}, 2),
    ("several", "raw", GOOD | {"said": strings("x " * 10**6, b"\xff\0" * 9)}, 2),
    ("several", "raw", GOOD | {"work": strings("never seen" * 10**5, "")}, 2),
    ("several", "raw", GOOD | {"age": zeros(2, value=np.inf)}, "`age` must"),
    ("several", "raw", GOOD | {"age": zeros(2, value=-3e38)}, "`age` must"),
    ("several", "raw", GOOD | {"age": zeros(3)}, r"one number of examples.*\[2 3 2\]"),
    ("several", "raw", GOOD | {"age": zeros(1)}, r"one number of examples.*\[2 1 2\]"),
    ("several", "raw", GOOD | {"age": zeros(2, 1)}, "`age` must have the shape"),
    ("several", "raw", GOOD | {"age": zeros()}, "`age` must have the shape"),
    ("several", "raw", GOOD | {"said": np.array("a", object)}, "`said` must"),
    ("several", "raw", GOOD | {"work": strings(["a"], ["b"])}, "`work` must"),
    ("several", "raw", {k: v for k, v in GOOD.items() if k != "age"}, "'age'"),
    ("several", "raw", GOOD | {"wage": zeros(2)}, "'wage'"),
    ("sound", "raw", {"waveform": zeros(2, 0)}, 2),
    ("sound", "raw", {"waveform": zeros(0, 9)}, 0),
    ("sound", "raw", {"waveform": zeros(1, 10**6, value=0.5)}, 1),
    ("sound", "raw", {"waveform": zeros(9)}, "`waveform` must"),
    ("sound", "raw", {"waveform": zeros(1, 9, 1)}, "`waveform` must"),
    ("sound", "raw", {"waveform": zeros(1, 9, value=np.nan)}, "from -2 to 2"),
    ("sound", "raw", {"waveform": zeros(1, 9, value=32767)}, "from -2 to 2"),
    ("sound", "serve_tensors", {"waveform": zeros(1, 400)}, r"\(batch, 500\)"),
    (
        *("sound", "serve_wav_bytes", {"wav_bytes": strings(*SOUNDS)}, len(SOUNDS)),
        [False, False, True, False, False, None],
    ),
    ("sound", "serve_wav_bytes", {"wav_bytes": strings()}, 0, []),
    ("sound", "serve_wav_bytes", {"wav_bytes": strings(SOUNDS)}, "`wav_bytes` must"),
]


def tokens(value):
    return {"text": zeros(1, 5, value=value, dtype="int32"), "table": zeros(1, 4)}


REQUESTS += [
    ("several", "serve_tensors", tokens(1), 1),
    ("several", "serve_tensors", tokens(99), "`text` must have .* from 0 to 4"),
    ("several", "serve_tensors", tokens(-1), "`text` must have .* from 0 to 4"),
    ("several", "serve_tensors", tokens(1) | {"table": zeros(1, 3)}, "`table`"),
    (
        *("several", "serve_tensors"),
        *(tokens(1) | {"table": zeros(1, 4, value=np.nan)}, "`table`"),
    ),
    ("several", "serve_tensors", tokens(1) | {"table": zeros(3, 4)}, "one number of"),
]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three exports."""
    keras.utils.set_random_seed(3)
    path = tmp_path_factory.mktemp("served")
    kind = p5.tasks.Classification("kind", num_classes=3)
    size = p5.tasks.Regression("size", mean=[10.0], std=[2.0])
    cells = p5.tasks.Detection("cells", num_classes=1, max_boxes=4, width=8)
    conv = p5.trunks.Conv(width=4, depth=1, levels=3)
    text = p5.inputs.Text("said", length=5)
    text.adapt({"said": np.array(["hello you", "hello me"])})
    table = p5.inputs.Table({"age": "number", "work": "category"})
    table.adapt({"age": np.array([1.0, 2, np.nan]), "work": np.array(list("aba"))})
    both = {"text": text, "table": table}
    trunks = {"text": p5.trunks.TextConv(4), "table": p5.trunks.TabularDense([4])}
    sound = {"waveform": p5.inputs.Waveform(rate=1000, seconds=0.5)}
    models = {
        "image": p5.build_model(conv, [kind, size, cells], SHAPE),
        "several": p5.build_model(p5.trunks.MultiInput(trunks), [kind, size], both),
        "sound": p5.build_model(
            p5.trunks.AudioConv(4, depth=1, bands=8), [kind, size], sound
        ),
    }
    for name, model in models.items():
        p5.export.saved_model(model, path / name)
    return path


@pytest.mark.parametrize(
    "xla", ["", pytest.param("--tf_xla_auto_jit=2", marks=pytest.mark.slow)]
)
def test_every_request_is_answered_or_refused(xla, folder):
    # Strings are turned into tokens by operations that XLA may fail to compile.
    chosen = [r for r in REQUESTS if not xla or r[0] == "image"]
    requests = [request[:3] for request in chosen]
    assert len(requests) >= 40
    (folder / "requests").write_bytes(pickle.dumps(requests))
    done = subprocess.run(
        [sys.executable, "-c", SERVER],
        cwd=folder,
        env={**os.environ, "TF_XLA_FLAGS": f"{xla} --tf_xla_cpu_global_jit"},
        capture_output=True,
        text=True,
        check=False,
    )
    lines = done.stdout.splitlines()
    found = [json.loads(x.removeprefix("ANSWER ")) for x in lines if x[0] == "A"]
    assert len(found) == len(chosen), (chosen[len(found)], done.stderr[-3000:])
    assert done.returncode == 0, done.stderr
    for (model, name, inputs, expected, *ok), answer in zip(chosen, found, strict=True):
        told = (model, name, {k: v.shape for k, v in inputs.items()}, answer)
        if isinstance(expected, str):
            assert isinstance(answer, list), told
            assert answer[0] in ("InvalidArgumentError", "TypeError"), told
            told_lines = answer[1].splitlines()
            assert any(re.search(expected, line) for line in told_lines), told
        else:
            assert isinstance(answer, dict), told
            if "ok" in answer:
                read = answer.pop("ok")
                assert len(read) == len(ok[0]), told
                pairs = zip(read, ok[0], strict=True)
                assert all(b is None or a == b for a, b in pairs), told
            assert all(v[1][0] == expected and v[2] for v in answer.values()), told
    assert int(lines[-1].split()[1]) < 1024, "MB that the requests took"
