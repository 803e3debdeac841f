"""Extraction: the same store however it is made, and no source lost for another's sake."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.features.made_corpus import MadeCorpus, write_ferplus, write_pictures, write_sound
from tests.features.networks import face_folder, voice_folder
from tests.media.made import speech
from tests.media.test_audio import write_wav
from tests.prediction.tiny_model import tone
from tests.prediction.tiny_model import write_sound as write_samples
from tests.shared import SHARED, needs_shared
from triaffect.corpora.ferplus import FerPlus
from triaffect.corpora.label_table import LabelTable
from triaffect.errors import ModelError, StoreError, TableError
from triaffect.features.crop_store import extract_from_crops
from triaffect.features.extraction import extract
from triaffect.features.extractors.onnx import gray64
from triaffect.features.model_folder import load_model_folder
from triaffect.features.store import FeatureStore
from triaffect.media.audio import read_sound
from triaffect.types import Window
from triaffect.voice.log_mel import log_mel

DATA = ("face.bin", "face_keys.bin", "voice.bin", "voice_times.bin", "moments.arrows")


@pytest.fixture
def corpus(tmp_path):
    root = write_pictures(tmp_path / "corpus")
    write_sound(root / "a.wav", 1.0)
    write_sound(root / "c.wav", 0.5)
    return MadeCorpus(root)


def run(corpus, path, face="gray64", voice="logmel64", **more):
    report = extract(corpus, path, face, voice, **more)
    return FeatureStore.open(path), report


def same_files(one, other):
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in DATA)


def test_pictures_and_sound_become_rows(corpus, tmp_path):
    store, report = run(corpus, tmp_path / "s")
    assert store.sources == ["made/a", "made/b", "made/c"]
    assert (report.added, report.faces, report.voices, report.moments) == (3, 21, 150, 15)
    first = cv2.imread(str(corpus.root / "b" / "3.png"))[:, :, ::-1]
    row = np.flatnonzero((store.face_source == 1) & (store.face_frame == 3))
    np.testing.assert_array_equal(store.face[row], gray64(first[None]).reshape(1, -1))
    np.testing.assert_allclose(store.face_time_s[row], 3 / 25)
    heard = log_mel(read_sound(corpus.root / "a.wav", 16_000)).astype(np.float16)
    np.testing.assert_array_equal(store.voice[store.voice_source == 0], heard)
    assert not (store.voice_source == 1).any()
    assert not store.entries[0].stills
    assert {file["path"] for file in store.entries[0].files} == {
        str(corpus.root / "a"), str(corpus.root / "a.wav")
    }  # fmt: skip
    assert not (tmp_path / "s" / "pending").exists()


def test_the_number_of_workers_changes_nothing(corpus, tmp_path):
    one, _ = run(corpus, tmp_path / "one")
    two, _ = run(corpus, tmp_path / "two", workers=2)
    assert same_files(one.path, two.path)
    assert one.fingerprint() == two.fingerprint()


def test_going_on_where_an_earlier_run_stopped(corpus, tmp_path):
    _, first = run(corpus, tmp_path / "s", limit=1)
    store, second = run(corpus, tmp_path / "s")
    assert (first.added, second.added, second.there) == (1, 2, 1)
    assert store.fingerprint() == run(corpus, tmp_path / "whole")[0].fingerprint()


def test_another_corpus_is_added_to_a_store(corpus, tmp_path):
    run(corpus, tmp_path / "s")
    other = MadeCorpus(write_pictures(tmp_path / "other", "xy"), name="other", aligned=False)
    store, report = run(other, tmp_path / "s")
    assert store.sources[3:] == ["other/x", "other/y"]
    assert report.there == 0
    assert [store.entries[k].stills for k in range(5)] == [False, False, False, True, True]
    assert [entry.corpus for entry in store.entries] == ["made"] * 3 + ["other"] * 2


def test_a_store_of_other_files_of_the_same_name_is_refused(corpus, tmp_path):
    run(corpus, tmp_path / "s")
    write_sound(corpus.root / "c.wav", 0.7)
    with pytest.raises(StoreError, match="made/c as it was extracted"):
        run(corpus, tmp_path / "s")


def test_labels_changed_since_a_source_was_extracted_are_refused(tmp_path):
    write_sound(tmp_path / "a.wav", 0.5)
    write_sound(tmp_path / "b.wav", 0.5)
    labels = tmp_path / "labels.csv"
    rows = "a.wav,0,0.5,\na.wav,3,0.25,1\n"
    labels.write_text("clip,frame,valence,AU1\n" + rows)

    def again():
        return run(LabelTable(tmp_path), tmp_path / "s", face="none")[1]

    assert again().added == 1
    labels.write_text("clip,frame,valence,AU1,note\na.wav,3,0.250,1,x\na.wav,0,.5,,\n")
    assert again().there == 1  # the same labels, written otherwise
    labels.write_text("clip,frame,valence,AU1\nb.wav,0,1,\n" + rows)
    assert (again().added, again().there) == (1, 2)
    changes = ("0.25,0", "0.25,", "0.3,1", "0.25,1\na.wav,4,0.25,1")
    for changed in changes:
        labels.write_text("clip,frame,valence,AU1\n" + rows.replace("0.25,1", changed))
        with pytest.raises(StoreError, match=r"table/a\.wav as it was extracted, got other labels"):
            again()
    labels.write_text("clip,frame,AU1\na.wav,0,9\na.wav,3,1\n")
    with pytest.raises(TableError, match="AU1"):
        again()


def test_labels_that_can_no_longer_be_read_are_refused(corpus, tmp_path):
    run(corpus, tmp_path / "s")
    corpus.broken["b"] = "labels"
    with pytest.raises(StoreError, match=r"made/b .* cannot be read \(labels\.txt:7") as caught:
        run(corpus, tmp_path / "s")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(
    ("what", "message"),
    [
        ("labels", "labels: labels.txt:7: expected 12 action units, got 13"),
        ("bug", "faces: IndexError: list index out of range"),
    ],
)
def test_a_broken_source_is_told_and_the_others_are_done(corpus, tmp_path, what, message, workers):
    corpus.broken["b"] = what
    store, report = run(corpus, tmp_path / "s", workers=workers)
    assert store.sources == ["made/a", "made/c"]
    assert report.failures == {"made/b": message} == store.failures
    corpus.broken.clear()
    store, report = run(corpus, tmp_path / "s", workers=workers)
    assert (report.added, store.failures) == (1, {})


@pytest.mark.kill
def test_a_source_that_kills_its_process_is_told_and_the_others_are_done(corpus, tmp_path):
    corpus.broken["b"] = "crash"
    store, report = run(corpus, tmp_path / "s", workers=2)
    assert store.sources == ["made/a", "made/c"]
    assert "process died" in report.failures["made/b"]


def test_what_could_be_read_of_a_source_is_kept(corpus, tmp_path):
    corpus.broken["a"] = "images"
    (corpus.root / "c.wav").write_bytes(b"no sound at all")
    store, report = run(corpus, tmp_path / "s")
    assert np.bincount(store.face_source).tolist() == [0, 7, 7]
    assert np.bincount(store.voice_source).tolist() == [100]
    assert set(report.problems) == {"made/a", "made/c"}
    assert "3.png" in store.entries[0].problem
    assert "c.wav" in store.entries[2].problem


def test_what_is_doubtful_in_a_source_is_reported(corpus, tmp_path):
    write_wav(corpus.root / "c.wav", np.outer((1, -1), speech(3)), 16_000, "stereo")
    store, report = run(corpus, tmp_path / "s")
    assert report.problems == {}
    assert report.remarks == {"made/c": store.entries[2].problem}
    assert "opposite sign" in report.remarks["made/c"]


def test_networks_are_copied_into_the_store(corpus, tmp_path):
    face, _ = face_folder(tmp_path / "face")
    voice, _ = voice_folder(tmp_path / "voice", Window(1.0, 0.25, causal=False))
    write_samples(corpus.root / "c.wav", tone(3.0))
    store, _ = run(corpus, tmp_path / "s", str(face.path), str(voice.path), workers=2)
    assert (store.face.shape, store.face.dtype) == ((21, 5), np.float16)
    times_s = store.voice_time_s[store.voice_source == 2]
    np.testing.assert_allclose(times_s, np.arange(times_s[0], times_s[-1] + 0.1, 0.25))
    assert times_s[0] <= 0.5
    assert times_s[-1] >= 2.5
    kept = load_model_folder(tmp_path / "s" / "extractors" / "face")
    assert kept.manifest.face.sha256 == store.face_spec.sha256 == face.manifest.face.sha256
    retrained, _ = face_folder(tmp_path / "again", seed=5)
    with pytest.raises(StoreError, match="face extractor toy_face"):
        run(corpus, tmp_path / "s", str(retrained.path), str(voice.path))
    assert load_model_folder(tmp_path / "s" / "extractors" / "face") == kept


def test_rows_of_a_network_are_kept_where_a_voice_is_heard(corpus, tmp_path):
    """As prediction takes them; a spectrum, which voice networks learn from, is kept whole."""
    noise = np.random.default_rng(0).normal(0, 0.1, 16_000 * 4).astype(np.float32)
    write_samples(corpus.root / "c.wav", np.concatenate([tone(3.0), noise]))
    voice, _ = voice_folder(tmp_path / "voice", Window(1.0, 0.25, causal=False))
    store, _ = run(corpus, tmp_path / "s", "none", str(voice.path))
    times_s = store.voice_time_s[store.voice_source == 2]
    assert ((times_s > 0.5) & (times_s < 2.5)).sum() == 7
    assert times_s.max() < 4
    assert not (store.voice_source == 0).any(), "a second of noise"
    whole, _ = run(corpus, tmp_path / "whole", "none", "logmel64")
    assert (whole.voice_source == 2).sum() == 700


def test_a_store_of_crops_gives_another_networks_rows_without_the_media(corpus, tmp_path):
    for name in ("a.wav", "c.wav"):
        (corpus.root / name).unlink()
    network, _ = face_folder(tmp_path / "face")
    whole, _ = run(corpus, tmp_path / "whole", str(network.path), "none")
    crops, _ = run(corpus, tmp_path / "crops", voice="none")
    shutil.rmtree(corpus.root)
    report = extract_from_crops(crops.path, tmp_path / "s", str(network.path), "none")
    assert (report.added, report.faces, report.moments) == (3, 21, 15)
    assert same_files(tmp_path / "s", whole.path)
    store = FeatureStore.open(tmp_path / "s")
    assert store.entries == whole.entries
    again = extract_from_crops(crops.path, tmp_path / "s", str(network.path), "none")
    assert (again.added, again.there) == (0, 3)
    assert load_model_folder(tmp_path / "s" / "extractors" / "face").manifest.face


def test_crops_of_sources_with_sound_are_refused_beside_a_voice(corpus, tmp_path):
    network, _ = face_folder(tmp_path / "face")
    crops, _ = run(corpus, tmp_path / "crops")
    with pytest.raises(StoreError, match="2 sources that may have sound, such as made/a"):
        extract_from_crops(crops.path, tmp_path / "s", str(network.path), "logmel64")
    with pytest.raises(ModelError, match="a face network of gray64 crops"):
        extract_from_crops(crops.path, tmp_path / "s", "gray64", "none")
    extract_from_crops(crops.path, tmp_path / "s", str(network.path), "none")
    with pytest.raises(StoreError, match="a store of gray64 crops, got toy_face"):
        extract_from_crops(tmp_path / "s", tmp_path / "t", str(network.path), "none")
    close, _ = face_folder(tmp_path / "close", kind="gray64_close")
    with pytest.raises(ModelError, match="a face network of gray64 crops, got --face"):
        extract_from_crops(crops.path, tmp_path / "t", str(close.path), "none")


def test_a_network_that_does_not_work_ends_the_extraction(corpus, tmp_path):
    face, _ = face_folder(tmp_path / "face", dim=5, claimed=6)
    with pytest.raises(ModelError, match="6 features"):
        run(corpus, tmp_path / "s", str(face.path), "none", workers=2)


def test_sound_alone_and_faces_alone(corpus, tmp_path):
    heard, _ = run(corpus, tmp_path / "heard", face="none")
    assert (len(heard.face), len(heard.voice), heard.face_spec) == (0, 150, None)
    seen, _ = run(corpus, tmp_path / "seen", voice="none")
    assert (len(seen.face), len(seen.voice), seen.voice_spec) == (21, 0, None)
    labels, report = run(corpus, tmp_path / "labels", face="none", voice="none")
    assert (len(labels.moments), report.added) == (15, 3)


@pytest.mark.slow
def test_one_large_set_of_images_is_shared_among_workers(tmp_path):
    corpus = FerPlus(write_ferplus(tmp_path / "fer", 70))
    told = []
    store, _ = run(
        corpus, tmp_path / "two", voice="none", workers=2,
        progress=lambda done, total, source: told.append((done, total)),
    )  # fmt: skip
    assert told == [(k, 16) for k in range(1, 17)]
    np.testing.assert_array_equal(store.face_frame, np.arange(70))
    assert store.entries[0].stills
    one, _ = run(corpus, tmp_path / "one", voice="none")
    assert same_files(one.path, store.path)


INTERRUPTED = """
import signal
import sys
from pathlib import Path
from tests.features.made_corpus import MadeCorpus
from triaffect.features.crop_store import extract_from_crops
from triaffect.features.extraction import extract

if __name__ == "__main__":
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored in background jobs
    corpus = MadeCorpus(Path(sys.argv[1]), pause_s=0.1)
    workers = int(sys.argv[3])
    extract(corpus, Path(sys.argv[2]), "gray64", "none", workers,
            progress=lambda done, total, source: print(done, flush=True))
"""


@pytest.mark.kill
@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupt_keeps_what_was_finished(tmp_path, workers):
    root = write_pictures(tmp_path / "corpus", [f"v{k:02d}" for k in range(12)])
    script = tmp_path / "script.py"
    script.write_text(INTERRUPTED)
    repository = Path(__file__).resolve().parents[2]
    command = [sys.executable, str(script), str(root), str(tmp_path / "s"), str(workers)]
    process = subprocess.Popen(
        command, cwd=repository, env={**os.environ, "PYTHONPATH": str(repository)},
        stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, start_new_session=True,
    )  # fmt: skip
    with process:
        for expected in (b"1\n", b"2\n"):
            assert process.stdout.readline() == expected
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does: to parent and workers
        assert process.wait(20) != 0
    done = FeatureStore.open(tmp_path / "s").sources
    assert 2 <= len(done) < 12
    assert not (tmp_path / "s" / "pending").exists()
    corpus = MadeCorpus(root)
    store, report = run(corpus, tmp_path / "s", voice="none")
    assert report.there == len(done)
    assert same_files(store.path, run(corpus, tmp_path / "whole", voice="none")[0].path)


@needs_shared
def test_faces_of_a_video_are_found_and_followed(tmp_path):
    shutil.copy(SHARED / "data" / "clips" / "grid_bbaf2n.mpg", tmp_path / "clip.mpg")
    (tmp_path / "labels.csv").write_text("clip,frame,valence,arousal\nclip.mpg,10,0.5,0.1\n")
    store, report = run(LabelTable(tmp_path), tmp_path / "s")
    assert (report.added, report.problems) == (1, {})
    assert len(store.face) >= 73
    assert set(store.face_track) == {0}
    np.testing.assert_allclose(np.diff(store.face_time_s), np.diff(store.face_frame) / 25)
    assert 295 <= len(store.voice) <= 305
    assert not store.entries[0].stills
    middle = np.asarray(store.face[40]).reshape(64, 64)
    assert middle[22:34, 12:52].std() > 10  # eyes, not a flat patch


@needs_shared
def test_a_photograph_is_looked_at_as_prediction_does(tmp_path):
    shutil.copy(SHARED / "data" / "london" / "001_smiling.jpg", tmp_path / "photo.jpg")
    (tmp_path / "labels.csv").write_text("clip,frame,expression\nphoto.jpg,0,happiness\n")
    store, _ = run(LabelTable(tmp_path), tmp_path / "s", voice="none", workers=2)
    assert store.face_track.tolist() == [0]
    assert store.entries[0].stills
