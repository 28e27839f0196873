"""Recipes of text, sound and tables: what they read of made-up files, and a step."""

import csv
import gzip
import wave

import numpy as np
import pytest

import p5_keras as p5


def write_snips(root):
    for part, count in (("train", 24), ("valid", 6), ("test", 6)):
        folder = root / "snips" / part
        folder.mkdir(parents=True)
        for name, lines in (
            ("label", ["PlayMusic", "GetWeather"]),
            ("seq.in", ["play some jazz now", "will it rain in rome"]),
            ("seq.out", ["O O B-genre O", "O O O O B-city"]),
        ):
            text = "\n".join(lines[i % 2] for i in range(count)) + "\n"
            (folder / name).write_text(text)


def write_spoken_digits(root):
    (root / "recordings").mkdir()
    rng = np.random.default_rng(0)
    for digit in range(10):
        for speaker in ("ann", "bob"):
            for number in (0, 5, 10):
                path = root / "recordings" / f"{digit}_{speaker}_{number}.wav"
                with wave.open(str(path), "wb") as file:
                    file.setnchannels(1)
                    file.setsampwidth(2)
                    file.setframerate(8000)
                    x = rng.integers(-9000, 9000, 3000 + 9000 * (digit == 1))
                    file.writeframes(x.astype("<i2").tobytes())


def write_census(root):
    row = (
        "{}, {}, 77516, HS-grad, 9, {}, ?, Husband, White, Male, {}, 0, 40, Cuba, {}\n"
    )
    kinds = [("Private", "Divorced", "<=50K"), ("Private", "Never-married", ">50K")]
    for name, count, dot in (("adult.data", 40, ""), ("adult.test", 8, ".")):
        lines = "|1x3 Cross validator\n" if dot else ""
        for i in range(count):
            work, marital, income = kinds[i % 2]
            lines += row.format(20 + i, work, marital, i % 3, income + dot)
        (root / name).write_text(lines + "\n")


def write_restaurants(root):
    def table(name, rows):
        with (root / name).open("w", newline="", encoding="latin-1") as file:
            writer = csv.DictWriter(file, rows[0])
            writer.writeheader()
            writer.writerows(rows)

    ratings = ("rating", "food_rating", "service_rating")
    table(
        "rating_final.csv",
        [
            {"userID": f"U{i % 7}", "placeID": i % 5}
            | {name: (i + k) % 3 for k, name in enumerate(ratings)}
            for i in range(35)
        ],
    )
    table(
        "userprofile.csv",
        [
            {"userID": f"U{i}", "latitude": 20 + i, "smoker": "?" if i else "true"}
            for i in range(7)
        ],
    )
    table(
        "geoplaces2.csv",
        [
            {"placeID": i, "latitude": 30.5 + i, "price": "low", "name": "Café"}
            for i in range(5)
        ],
    )


def write_parkinsons(root):
    lines = ["subject#,age,motor_UPDRS,total_UPDRS,HNR"]
    lines += [
        f"{i % 12},{50 + i % 12},{i / 7:.2f},{i / 5:.2f},{i % 11}" for i in range(96)
    ]
    (root / "parkinsons_updrs.data").write_text("\n".join(lines))


def write_myocardial(root):
    rng = np.random.default_rng(0)
    lines = []
    for i in range(40):
        inputs = [str(v) if v < 5 else "?" for v in rng.integers(0, 6, 111)]
        yes_or_no = [str((i + k) % 2) for k in range(11)]
        lines.append(",".join([str(i + 1), *inputs, *yes_or_no, str(i % 8)]))
    (root / "MI.data").write_text("\n".join(lines))


def write_tox21(root):
    lines = ["NR-AR,SR-p53,mol_id,smiles"]
    for i in range(40):
        lines.append(
            f"{i % 2},{'' if i % 3 else 1 - i % 2},T{i},CC(=O)N{'C' * (i % 9)}"
        )
    with gzip.open(root / "tox21.csv.gz", "wt") as file:
        file.write("\n".join(lines))


WRITE = {
    "snips": write_snips,
    "spoken_digits": write_spoken_digits,
    "digit_strings": write_spoken_digits,
    "census": write_census,
    "restaurants": write_restaurants,
    "parkinsons": write_parkinsons,
    "myocardial": write_myocardial,
    "tox21": write_tox21,
}
#: Tasks, and sizes of the training and the test split.
WANTED = {
    "snips": (["intent", "slots"], 24, 6),
    "spoken_digits": (["digit", "speaker"], 20, 20),
    "digit_strings": (["transcript", "speaker"], 4000, 600),
    "census": (["income", "marital"], 36, 8),
    "restaurants": (["overall", "food", "service"], 27, 4),
    "parkinsons": (["motor_UPDRS", "total_UPDRS"], 80, 8),
    "myocardial": (["FIBR_PREDS", "LET_IS"], 32, 4),
    "tox21": (["NR_AR", "SR_p53"], None, None),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", WRITE)
def test_a_recipe_reads_its_files_and_takes_a_step(name, tmp_path):
    WRITE[name](tmp_path)
    recipe = p5.recipe.load(name)
    config = p5.recipe.configure(recipe.Config(), [f"data_dir={tmp_path}"])
    tasks = recipe.tasks(config)
    names, training, test = WANTED[name]
    assert set(names) <= {task.name for task in tasks}
    sources = [recipe.data(config, tasks, split) for split in p5.data.SPLITS]
    if training:
        assert (sources[0].size, sources[2].size) == (training, test)
    p5.data.prepare(sources, tasks, 8)
    model = recipe.model(config, tasks)
    model.compile(recipe.optimizer(config, 10), weighting=config.weighting)
    batches = p5.data.training(sources[0], tasks, 8)
    logs = model.fit(batches, steps_per_epoch=1, verbose=0).history
    assert np.isfinite(logs["loss"]).all()
    if hasattr(recipe, "about"):
        found = recipe.about(config, tasks)
        assert p5.data.summary.text(found)


def test_strings_are_of_one_speaker_and_one_split(tmp_path):
    write_spoken_digits(tmp_path)
    alone = p5.recipe.load("spoken_digits").found(str(tmp_path)).records
    recipe = p5.recipe.load("digit_strings")
    records = recipe.found(str(tmp_path)).records
    counts = (records.columns["transcript"] >= 0).sum(axis=1)
    assert set(counts) == {2, 3, 4}
    first = alone.inputs["waveform"][:, :400]
    for row in (0, 1, 4000, 4999):
        digit = records.columns["transcript"][row, 0]
        same = alone.columns["digit"] == digit
        same &= alone.columns["speaker"] == records.columns["speaker"][row]
        same &= alone.splits == records.splits[row]
        sound = records.inputs["waveform"][row]
        start = np.flatnonzero(sound)[0]
        assert start < 800  # 0.1 s
        (own,) = first[same]
        own = own[np.flatnonzero(own)[0] :]
        np.testing.assert_array_equal(sound[start : start + 390], own[:390])


def test_what_leaks_is_no_input_of_the_heart_attacks(tmp_path):
    write_myocardial(tmp_path)
    recipe = p5.recipe.load("myocardial")
    read = recipe.found(str(tmp_path)).records.encoders["table"].columns
    later = {f"column_{i}" for i in (0, 92, 93, 94, *range(99, 105), *range(112, 124))}
    assert not later & set(read) and len(read) == 124 - len(later)


def test_a_person_is_in_one_split(tmp_path):
    write_parkinsons(tmp_path)
    records = p5.recipe.load("parkinsons").found(str(tmp_path)).records
    for person in range(12):
        assert len(set(records.splits[person::12])) == 1
    assert "subject#" not in records.encoders["table"].columns


def test_a_marital_status_that_is_not_there(tmp_path):
    write_census(tmp_path)
    recipe = p5.recipe.load("census")
    with pytest.raises(ValueError, match="Did you mean 'Never-married'"):
        recipe.found(str(tmp_path), "never-maried")


FOLDERS = ["census", "digit_strings", "restaurants", "snips", "spoken_digits", "tox21"]


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_without_the_files(name, tmp_path):
    recipe = p5.recipe.load(name)
    config = p5.recipe.configure(recipe.Config(), [f"data_dir={tmp_path}"])
    with pytest.raises(ValueError, match="`data_dir` must hold") as error:
        recipe.data(config, [], "train")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("rating_final.csv", "userID,rating\nU1,2\n", r"without \['food_rating', 'pl"),
        ("rating_final.csv", "", "with 0 rows"),
        ("userprofile.csv", "userID,smoker\nU9,true\n", "a rating of userID='U0'"),
        ("geoplaces2.csv", "place,price\n1,low\n", r"without \['placeID'\]"),
    ],
)
def test_tables_of_restaurants_that_do_not_fit(file, text, message, tmp_path):
    write_restaurants(tmp_path)
    (tmp_path / file).write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        p5.recipe.load("restaurants").found(str(tmp_path))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("text", ["", "smiles\n", "formula,SR-p53\nCC,1\n"])
def test_a_table_without_molecules(text, tmp_path):
    with gzip.open(tmp_path / "tox21.csv.gz", "wt") as file:
        file.write(text)
    with pytest.raises(ValueError, match="must have rows, with a column smiles"):
        p5.recipe.load("tox21").found(str(tmp_path))
