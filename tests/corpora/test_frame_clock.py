"""Frames and seconds of a corpus's sources, where a video's picture starts after its sound."""

import cv2
import numpy as np
import pytest

from tests.media.made import FLASH_RATE, flash_and_click
from triaffect.corpora.aff_wild2 import AffWild2
from triaffect.corpora.frame_clock import video_clock
from triaffect.faces.stream import FaceStream
from triaffect.features.extraction_worker import Job, SourceCrops


@pytest.mark.parametrize("late_ms", [0, 480])
def test_aligned_crops_follow_the_raw_video_s_clock(tmp_path, late_ms):
    """Labels and crops of the first frame are as late as the frame itself is."""
    codecs = ("libx264", "aac", 16_000)
    flash_and_click(tmp_path / "v.mp4", codecs, picture_ms=late_ms)
    labels = tmp_path / "VA_Estimation_Challenge" / "Train_Set" / "v.txt"
    labels.parent.mkdir(parents=True)
    labels.write_text("valence,arousal\n0.1,0.2\n0.3,0.4\n")
    crops = tmp_path / "cropped_aligned" / "v"
    crops.mkdir(parents=True)
    for number in (1, 2):
        cv2.imwrite(str(crops / f"{number:05d}.jpg"), np.zeros((112, 112, 3), np.uint8))
    corpus = AffWild2(tmp_path)
    (source,) = corpus.sources()
    expected = late_ms / 1000 + np.arange(2) / FLASH_RATE
    np.testing.assert_allclose(corpus.moments(source).column("time_s"), expected)
    (batch,) = SourceCrops(corpus, Job(0, source), FaceStream())
    np.testing.assert_allclose(batch.keys["time_s"], expected)
    np.testing.assert_allclose(video_clock(tmp_path / "v.mp4").times_s[:2], expected)
