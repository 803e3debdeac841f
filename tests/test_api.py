"""The Python API: every kind of input, errors, attributes of tables, old names."""

import io
import subprocess
import sys

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import triaffect
from tests.prediction.tiny_model import portrait, write_clip, write_tiny_model
from triaffect.media.video import VideoFrames
from triaffect.prediction.options import DETECTION_INTERVAL_S
from triaffect.prediction.predictor import load_cached

NUMBERS = ["valence", "arousal", "AU1", "p_happiness"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Two short videos and, below, a picture."""
    folder = tmp_path_factory.mktemp("media")
    write_clip(folder / "a.mp4", 4)
    write_clip(folder / "b.mp4", 3, sound=False)
    (folder / "inner").mkdir()
    cv2.imwrite(str(folder / "inner" / "c.png"), portrait()[..., ::-1])
    return folder


def rows_per_clip(table):
    return {str(clip).rpartition("/")[2]: n for clip, n in table["clip"].value_counts().items()}


def test_paths_lists_folders_and_patterns(predictor, folder):
    a, b = folder / "a.mp4", str(folder / "b.mp4")
    assert rows_per_clip(predictor(a)) == {"a.mp4": 4}
    both = predictor.predict([a, b])
    assert rows_per_clip(both) == {"a.mp4": 4, "b.mp4": 3}
    assert both["clip"].tolist() == [str(a)] * 4 + [b] * 3
    assert rows_per_clip(predictor.predict(folder)) == {"a.mp4": 4, "b.mp4": 3, "c.png": 1}
    assert rows_per_clip(predictor.predict(f"{folder}/*.mp4")) == {"a.mp4": 4, "b.mp4": 3}
    assert rows_per_clip(predictor.predict(folder.glob("b*"))) == {"b.mp4": 3}
    assert rows_per_clip(predictor.predict(np.array([b]))) == {"b.mp4": 3}
    pd.testing.assert_frame_equal(both[4:].reset_index(drop=True), predictor.predict(b))


def test_several_processes_give_the_same_table(predictor, folder):
    paths, told = [folder / "a.mp4", folder / "b.mp4"], []
    table = predictor.predict(paths, jobs=2, progress=lambda *event: told.append(event))
    pd.testing.assert_frame_equal(table, predictor.predict(paths))
    assert table.attrs == predictor.metadata
    assert told[-1][:2] == (2, 2)
    with pytest.raises(triaffect.MediaError, match="jobs: expected files, for other processes"):
        predictor.predict([portrait(), portrait()], jobs=2)


def test_bytes_and_file_objects_are_as_their_file(predictor, folder):
    path = folder / "a.mp4"
    expected = predictor.predict(path).drop(columns="clip")
    content = path.read_bytes()
    with path.open("rb") as file:
        inputs = {"bytes": content, "file": io.BytesIO(content), str(path): file}
        for name, media in inputs.items():
            table = predictor.predict(media)
            assert set(table["clip"]) == {name}
            pd.testing.assert_frame_equal(table.drop(columns="clip"), expected)


def test_pictures_from_arrays_are_as_their_file(predictor, folder):
    path = folder / "inner" / "c.png"
    expected = predictor.predict(path).drop(columns="clip")
    pictures = [portrait(), Image.fromarray(portrait()), Image.open(path)]
    for media in pictures:
        pd.testing.assert_frame_equal(predictor.predict(media).drop(columns="clip"), expected)
    table = predictor.predict([*pictures, cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)])
    assert table["clip"].tolist() == ["array[0]", "image[1]", str(path), "array[3]"]
    assert table["face_seen"].all()
    assert table["valence"][3] != table["valence"][0], "a gray picture is another one"


def test_a_turned_photo_is_turned_upright(predictor):
    exif = Image.Exif()
    exif[0x0112] = 6
    lying, file = Image.fromarray(np.ascontiguousarray(np.rot90(portrait()))), io.BytesIO()
    lying.save(file, "png", exif=exif)
    table = predictor.predict(Image.open(io.BytesIO(file.getvalue())))
    assert table[NUMBERS].equals(predictor.predict(portrait())[NUMBERS])


def test_frames_are_one_video(predictor, folder):
    path = folder / "b.mp4"
    expected = predictor.predict(path).drop(columns="clip")
    frames = [(frame.time_s, frame.rgb) for frame in VideoFrames(path)]
    for media in (frames, tuple(frames), iter(frames)):
        table = predictor.predict(media)
        assert set(table["clip"]) == {"frames"}
        pd.testing.assert_frame_equal(table.drop(columns="clip"), expected)
    parts = list(predictor.stream(iter(frames)))
    pd.testing.assert_frame_equal(pd.concat(parts).drop(columns="clip"), expected)


def test_options_by_keyword_reload_nothing(predictor, folder):
    path = folder / "a.mp4"
    few = predictor.predict(path, stride_s=0.08, sound=False)
    assert few["frame"].tolist() == [0, 2]
    assert not few["voice_heard"].any()
    assert len(predictor.predict(path)) == 4, "they hold for one call"
    assert predictor.with_options(triaffect.Options(max_faces=1))._fusion is predictor._fusion
    (part,) = predictor.stream(path, stride_s=0.08)
    assert len(part) == 2
    with pytest.raises(triaffect.TriaffectError, match=r"^stride_s: expected a number above 0"):
        predictor.predict(path, stride_s=0)
    with pytest.raises(TypeError, match="strid"):
        predictor.predict(path, strid=1)


@pytest.mark.parametrize(
    ("media", "message"),
    [
        (np.zeros((4, 4, 3), np.float32), r"array: .*float32 of shape .*astype\(numpy.uint8\)"),
        (np.zeros((4, 4, 4), np.uint8), r"transparency out: picture\[\.\.\., :3\]"),
        (np.zeros((3, 4, 5), np.uint8), r"picture\.transpose\(1, 2, 0\)"),
        (np.zeros((9, 4, 4, 3), np.uint8), "pairs of time and picture"),
        (np.zeros(9, np.uint8), r"expected a picture, uint8 .* got uint8 of shape \(9,\)"),
        (np.zeros((0, 4, 3), np.uint8), "expected a picture"),
        (7, "expected a path, a picture .* got int"),
        ({"a.mp4": 1}, "got dict"),
        ([], "got an empty list"),
        (b"", "bytes: .*zero bytes"),
        (b"not media at all", "bytes: expected a media file"),
        (io.StringIO("text"), 'file: .*opened in binary mode.*open it with mode "rb"'),
        (
            io.TextIOWrapper(io.BytesIO(b"\xff\xd8")),
            'opened in binary mode.*open it with mode "rb"',
        ),
        ("nowhere.mp4", "nowhere.mp4: .*no such file"),
        ("https://example.org/a.mp4", "an address of the network; download it"),
        (iter([]), "at least one frame"),
    ],
)
def test_what_is_no_input_is_one_line(predictor, media, message):
    with pytest.raises(triaffect.MediaError, match=message) as caught:
        predictor.predict(media)
    assert "\n" not in str(caught.value)


def test_one_bad_path_does_not_stop_the_others(predictor, folder, tmp_path):
    (tmp_path / "empty.mp4").touch()
    inputs = [tmp_path / "empty.mp4", folder / "b.mp4", np.zeros(3)]
    with pytest.warns(triaffect.PartialMediaWarning) as caught:
        table = predictor.predict(inputs)
    assert rows_per_clip(table) == {"b.mp4": 3}
    messages = [str(warning.message) for warning in caught]
    assert len(messages) == 2
    assert "empty.mp4" in messages[1] or "empty.mp4" in messages[0]
    with pytest.warns(triaffect.PartialMediaWarning, match="empty.mp4"):
        again = predictor.predict([*inputs[:2], folder / "a.mp4"], jobs=2)
    assert rows_per_clip(again) == {"b.mp4": 3, "a.mp4": 4}
    with pytest.raises(triaffect.MediaError, match=r"none among 2; the first: .*empty"):
        predictor.predict([inputs[0], inputs[2]])


def test_attributes_of_a_table_serve_what_follows(model, folder, tmp_path):
    path = folder / "a.mp4"
    table = triaffect.predict(path, model=model, smooth="causal", baseline=0.1)
    assert table.attrs["thresholds"] == {"AU1": 0.4}
    assert table.attrs["model"]["name"] == "tiny"
    of_model = {"name", "version", "sha256", "licence", "label_origins", "outputs"}
    assert set(table.attrs["model"]) == of_model
    assert table.attrs["triaffect"] == triaffect.__version__
    assert {"valence_smooth", "valence_above_own"} <= set(table.columns)
    table["AU1"] = 0.45
    for frame in (table, triaffect.smooth(table), triaffect.subtract_baseline(table, 0.1)):
        assert triaffect.summarize(frame)["AU1_share"].tolist() == [1.0]
    assert triaffect.summarize(table, {"AU1": 0.5})["AU1_share"].tolist() == [0.0]
    assert triaffect.to_openface(table)["AU01_c"].tolist() == [1] * 4
    assert triaffect.to_pyfeat(table)["AU01"].tolist() == [0.45] * 4
    truth = table[["clip", "frame", "face_id"]].assign(AU1=1)
    assert triaffect.score(truth, table)["AU1_f1"] == 1.0
    assert triaffect.score(truth, table, {"AU1": 0.5})["AU1_f1"] == 0.0


def test_a_model_is_loaded_once_until_it_changes(tmp_path):
    path = write_tiny_model(tmp_path / "model")
    first = load_cached(path)
    assert load_cached(path) is first
    write_tiny_model(path, seed=1, version="2")
    assert load_cached(path).metadata["model"]["version"] == "2"


def test_drawings_from_python(predictor, folder, tmp_path):
    table = predictor.predict(folder)
    triaffect.annotate(table, folder / "a.mp4", tmp_path / "drawn.mp4")
    assert len(list(VideoFrames(tmp_path / "drawn.mp4"))) == 4
    with pytest.raises(triaffect.TableError, match=r"expected rows whose clip is .*z\.mp4"):
        triaffect.annotate(table, tmp_path / "z.mp4", tmp_path / "z.annotated.mp4")
    triaffect.write_report(table, tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text("utf-8")
    assert "a.mp4" in page
    assert "Model tiny, version 1" in page
    with pytest.raises(triaffect.TableError, match="a prediction table"):
        triaffect.write_report(table[["clip"]], tmp_path / "page.html")


def test_names_of_the_version_before_still_work(monkeypatch, model, predictor, folder):
    monkeypatch.setattr("triaffect.prediction.predictor.SHIPPED", model)
    path = folder / "a.mp4"
    table = triaffect.predict(path)
    with pytest.warns(DeprecationWarning, match="triaffect.summarise is now triaffect.summarize"):
        assert triaffect.summarise(table).equals(triaffect.summarize(table))
    with pytest.warns(DeprecationWarning, match="subtract_baseline"):
        old = triaffect.compare_with_own(table, 0.1)
    assert old.equals(triaffect.subtract_baseline(table, 0.1))
    with pytest.warns(DeprecationWarning, match="to_openface"):
        assert triaffect.rename(table, "openface").equals(triaffect.to_openface(table))
    with pytest.warns(DeprecationWarning, match="triaffect.predict$"):
        frames = triaffect.predict_frames([(0.0, portrait())])
    assert frames["clip"].tolist() == ["frames"]
    with pytest.warns(DeprecationWarning, match="options are given by keyword now"):
        assert len(triaffect.predict(path, triaffect.Options(stride_s=0.08))) == 2
    with pytest.warns(DeprecationWarning, match="options are given by keyword now"):
        loaded = triaffect.load(model, options=triaffect.Options(sound=False))
    assert not loaded.predict(path)["voice_heard"].any()
    with pytest.warns(DeprecationWarning, match=r"Predictor\.stream"):
        (part,) = predictor.frames([(0.0, portrait())], "camera")
    assert part["clip"].tolist() == ["camera"]


def test_public_names_are_listed_and_exported():
    assert dir(triaffect) == sorted(triaffect.__all__)
    for name in triaffect.__all__:
        assert getattr(triaffect, name) is not None, name
    assert issubclass(triaffect.MediaError, triaffect.TriaffectError)
    with pytest.raises(AttributeError, match="no attribute 'Opt'"):
        triaffect.Opt  # noqa: B018
    default = triaffect.predict.__kwdefaults__["detection_interval_s"]
    assert default == DETECTION_INTERVAL_S


@pytest.mark.parametrize(
    ("package", "error", "expected"),
    [
        ("cv2", "ImportError('libGL.so.1: cannot open')", "libGL and glib for opencv"),
        ("numpy", "RuntimeError('baseline optimizations: X86_V2')", "a processor with SSE4.2"),
        ("onnxruntime", "ImportError('numpy failed to import')", "onnxruntime 1.20 or newer"),
    ],
)
def test_what_the_system_lacks_is_one_line(package, error, expected):
    code = (
        "import sys, importlib.abc, triaffect\n"
        "class Finder(importlib.abc.MetaPathFinder):\n"
        "    def find_spec(self, name, path, target=None):\n"
        f"        if name == {package!r}: raise {error}\n"
        "sys.meta_path.insert(0, Finder())\n"
        "for use in (triaffect.load, lambda: triaffect.Predictor):\n"
        "    try: use()\n"
        "    except triaffect.TriaffectError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert all(f"expected {expected}" in line for line in lines)


def test_no_global_setting_of_opencv_is_touched(model):
    before = cv2.getNumThreads()
    cv2.setNumThreads(2)
    try:
        triaffect.load(model).predict(portrait())
        assert cv2.getNumThreads() == 2
    finally:
        cv2.setNumThreads(before)
