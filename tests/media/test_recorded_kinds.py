"""Films as phones, cameras, recorders and meetings write them, through the whole prediction.

Every film shows a portrait, but for one white frame, at which its sound clicks: so the table has a
row for each frame at its time, the face where it is, no face in the white frame, and the click is
heard as it is shown.
"""

import warnings
from fractions import Fraction

import av
import cv2
import numpy as np
import pytest

from tests.media.films_made import (
    FRAMES,
    HDR_CURVES,
    QUIET_X265,
    WHITE,
    packet_id,
    read_click_s,
    shown,
    transport_packets,
    write_edited,
    write_film,
    write_high_range,
    write_joined,
    write_programs,
)
from tests.media.made import flash_and_click
from tests.prediction.tiny_model import portrait
from triaffect.media.audio import read_sound
from triaffect.media.frames_at import FramesAt
from triaffect.media.probe import probe, read_image
from triaffect.media.video import VideoFrames
from triaffect.prediction.predictor import DoubtfulMediaWarning, PartialMediaWarning

AAC, PCM = ("aac", 16_000, "mono"), ("pcm_s16le", 16_000, "mono")
PCM_48, AC3 = ("pcm_s16le", 48_000, "mono"), ("ac3", 48_000, "stereo")
PCM_24, PCM_DVD = ("pcm_s24le", 48_000, "mono"), ("pcm_dvd", 48_000, "mono")
REST = "there are rows for what could be decoded"
OPUS = ("libopus", 48_000, "mono")
PAL, DNX = (720, 576), {"profile": "dnxhr_hqx"}


def predict(predictor, path):
    """The table of a file, and what is said: losses, doubts."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table = predictor.predict(path)
    said = {kind: [] for kind in (PartialMediaWarning, DoubtfulMediaWarning)}
    for each in caught:
        if each.category in said:
            said[each.category].append(str(each.message).removeprefix(f"{path}: "))
    return table, *said.values()


@pytest.fixture(scope="module")
def box(predictor, tmp_path_factory):
    """Left, top, width and height of the face in the portrait of 256 pixels."""
    table = predictor.predict(write_film(tmp_path_factory.mktemp("box") / "a.mkv", sound=None))
    return table[["box_x", "box_y", "box_w", "box_h"]].iloc[0].to_numpy(float)


def check(table, path, box, times_s, size=(256, 256), white=WHITE, late_s=0.0):
    """Rows, times, face, white frame and click are as made."""
    assert table["frame"].tolist() == list(range(len(times_s)))
    # what delays the sound of some codecs is left in the times of the picture
    np.testing.assert_allclose(table["time_s"] - table["time_s"][0], times_s, atol=2e-3)
    seen = table["face_seen"].to_numpy()
    assert not seen[white]
    assert seen[:white].all()
    scale = min(size) / 256
    margin = [(size[0] - min(size)) / 2, (size[1] - min(size)) / 2, 0, 0]
    first = table[["box_x", "box_y", "box_w", "box_h"]].iloc[0].to_numpy(float)
    np.testing.assert_allclose(first, box * scale + margin, atol=7 * max(1, scale))
    click_s = read_click_s(read_sound(path, 16_000))
    if click_s is not None:
        assert table["time_s"][white] - click_s == pytest.approx(late_s, abs=0.03)
    return click_s


KINDS = {
    "iPhone: HEVC of 10 bits in MOV": ("a.mov", "libx265", "yuv420p10le", AAC, QUIET_X265),
    "Android: HEVC in MP4": ("a.mp4", "libx265", "yuv420p", AAC, QUIET_X265),
    "AV1 in MP4": ("a.mp4", "libsvtav1", "yuv420p", AAC, {"preset": "12"}),
    "AV1 of 10 bits in WebM": ("a.webm", "libsvtav1", "yuv420p10le", OPUS, {"preset": "12"}),
    "old phone: H.263 and AMR in 3GP": ("a.3gp", "h263", "yuv420p", ("amr", 8000, "mono"), {}),
    "H.264 and AMR in 3GP": ("a.3gp", "libx264", "yuv420p", ("amr", 8000, "mono"), {}),
    "camcorder: AVCHD": ("a.mts", "libx264", "yuv420p", AC3, {}),
    "Blu-ray: LPCM in M2TS": ("a.m2ts", "libx264", "yuv420p", ("pcm_bluray", 48_000, "stereo"), {}),
    "DV, PAL": ("a.dv", "dvvideo", "yuv420p", ("pcm_s16le", 48_000, "stereo"), {}),
    "DV in AVI": ("a.avi", "dvvideo", "yuv420p", ("pcm_s16le", 48_000, "stereo"), {}),
    "XDCAM: MPEG-2 4:2:2 in MXF": ("a.mxf", "mpeg2video", "yuv422p", PCM_48, {}),
    "JPEG 2000 in MXF": ("a.mxf", "jpeg2000", "yuv420p", PCM_48, {}),
    "DNxHR of 10 bits in MOV": ("a.mov", "dnxhd", "yuv422p10le", PCM_24, DNX),
    "ProRes 4444 with alpha": ("a.mov", "prores_ks", "yuva444p10le", PCM_48, {}),
    "GoPro: CineForm": ("a.mov", "cfhd", "yuv422p10le", PCM_48, {}),
    "uncompressed 4:2:2 of 10 bits": ("a.mov", "v210", "yuv422p10le", PCM, {}),
    "frame grabber: UYVY": ("a.mov", "rawvideo", "uyvy422", PCM, {}),
    "frame grabber: YUYV in AVI": ("a.avi", "rawvideo", "yuyv422", PCM, {}),
    "laboratory camera: gray in AVI": ("a.avi", "rawvideo", "gray", None, {}),
    "laboratory camera: gray of 12 bits": ("a.mkv", "ffv1", "gray12le", None, {}),
    "screen recorder: H.264 in RGB": ("a.mkv", "libx264rgb", "rgb24", AAC, {"qp": "0"}),
    "screen recorder: ZMBV": ("a.avi", "zmbv", "bgr0", PCM, {}),
    "screen recorder: Flash Screen": ("a.flv", "flashsv", "bgr24", ("mp3", 44_100, "mono"), {}),
    "Ut Video": ("a.avi", "utvideo", "yuv422p", PCM, {}),
    "PNG with alpha in MOV": ("a.mov", "png", "rgba", PCM, {}),
    "H.264, gray": ("a.mp4", "libx264", "gray", AAC, {}),
    "H.264 with 16 B-frames": ("a.mp4", "libx264", "yuv420p", AAC, {"bf": "16", "g": "999"}),
    "H.264 with a moving refresh": ("a.mp4", "libx264", "yuv420p", AAC, {"intra-refresh": "1"}),
    "H.264, interlaced": ("a.mp4", "libx264", "yuv420p", AAC, {"x264-params": "tff=1"}),
    "DVD: MPEG-2 and LPCM in VOB": ("a.vob", "mpeg2video", "yuv420p", PCM_DVD, {}),
    "television: WTV": ("a.wtv", "mpeg2video", "yuv420p", AC3, {}),
    "RealVideo 2": ("a.rm", "rv20", "yuv420p", AC3, {}),
    "MS MPEG-4 and ADPCM in AVI": ("a.avi", "msmpeg4", "yuv420p", ("adpcm_ms", 22_050, "mono"), {}),
    "Cinepak": ("a.avi", "cinepak", "rgb24", ("pcm_u8", 11_025, "mono"), {}),
    "Sorenson 1": ("a.mov", "svq1", "yuv410p", ("adpcm_ima_qt", 44_100, "mono"), {}),
    "meeting: Opus in MP4": ("a.mp4", "libx264", "yuv420p", ("libopus", 48_000, "stereo"), {}),
    "FLAC in MP4": ("a.mp4", "libx264", "yuv420p", ("flac", 48_000, "stereo"), {}),
    "E-AC-3 in MP4": ("a.mp4", "libx264", "yuv420p", ("eac3", 48_000, "5.1"), {}),
}
"""Name, codec, pixel format, sound, options of the encoder."""


@pytest.mark.parametrize("kind", KINDS)
def test_what_devices_and_programs_record(predictor, box, tmp_path, kind):
    name, codec, pix_fmt, sound, coder = KINDS[kind]
    size, rate = (256, 256), 25
    if codec == "dvvideo":
        size, rate = PAL, 25
    if codec == "h263":
        size = (352, 288)
    if sound and sound[0] in ("amr", "mp3"):
        sound = ({"amr": "libopencore_amrnb", "mp3": "libmp3lame"}[sound[0]], *sound[1:])
    options = {"mpegts_m2ts_mode": "1"} if name.endswith(("mts", "m2ts")) else {}
    form = {"mts": "mpegts", "m2ts": "mpegts", "vob": "vob"}.get(name.partition(".")[2])
    path = write_film(
        tmp_path / name, codec, pix_fmt, sound,
        size=size, rate=rate, form=form, options=options, coder=coder,
    )  # fmt: skip
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    if codec in ("dvvideo", "h263"):  # their pixels are not square
        assert table["frame"].nunique() == FRAMES
        assert table["face_seen"][:WHITE].all()
        assert not table["face_seen"][WHITE]
    else:
        check(table, path, box, np.arange(FRAMES) / rate, size)
    assert probe(path).frame_rate == pytest.approx(rate, rel=0.01)


PACKINGS = {
    "index at the end": ("mp4", {}),
    "index at the front": ("mp4", {"movflags": "faststart"}),
    "fragments": ("mp4", {"movflags": "frag_keyframe+empty_moov"}),
    "DASH with an index of segments": ("mp4", {"movflags": "dash+frag_keyframe+empty_moov"}),
    "OBS: hybrid MP4": ("mp4", {"movflags": "hybrid_fragmented"}),
    "Smooth Streaming": ("ismv", {}),
    "no edit list": ("mp4", {"use_editlist": "0"}),
    "MOV with a time code": ("mov", {"write_tmcd": "1"}),
    "browser: live WebM without a length": ("webm", {"live": "1"}),
    "live Matroska without a length": ("mkv", {"live": "1"}),
    "Matroska with its index in front": ("mkv", {"cues_to_front": "1"}),
}


@pytest.mark.parametrize("packing", PACKINGS)
def test_how_films_are_packed(predictor, box, tmp_path, packing):
    ending, options = PACKINGS[packing]
    codec, sound = ("libvpx", OPUS) if ending == "webm" else ("libx264", AAC)
    path = write_film(tmp_path / f"a.{ending}", codec, sound=sound, options=options)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.arange(FRAMES) / 25)


@pytest.mark.parametrize("coder", [{"bf": "2"}, {"bf": "0"}, {"bf": "4", "b-pyramid": "normal"}])
@pytest.mark.parametrize(
    ("ending", "sound"), [("avi", PCM), ("asf", ("libmp3lame", 44_100, "mono")), ("avi", None)]
)
def test_h264_where_only_the_order_of_storage_is_stamped(
    predictor, box, tmp_path, ending, sound, coder
):
    """Old screen recorders, cameras of shops: with FFmpeg's guess frames came up to 0.12 s late."""
    path = write_film(tmp_path / f"a.{ending}", sound=sound, coder=coder, form=ending)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.arange(FRAMES) / 25)
    white_s = table["time_s"][WHITE]
    (white,) = FramesAt(path, [white_s])
    assert white.rgb.mean() > 240
    later = list(VideoFrames(path).frames_from(white_s - 0.01))
    assert (later[0].index, later[0].rgb.mean() > 240) == (WHITE, True)


def test_frames_that_are_left_out_for_their_times_are_told(predictor, tmp_path):
    """FFmpeg makes a fragment of every frame so that their times overlap, and then skips some."""
    options = {"movflags": "frag_every_frame+empty_moov"}
    path = write_film(tmp_path / "a.mp4", sound=AAC, options=options, coder={"bf": "0"})
    table, lost, _ = predict(predictor, path)
    missing = FRAMES - len(table)
    assert missing
    assert lost == [f"{missing} frames are left out: their times overlap; {REST}"]


@pytest.mark.parametrize("trouble", ["no index", "nothing behind the index", "junk", "zeros"])
def test_films_that_lack_an_index_or_have_something_behind(predictor, box, tmp_path, trouble):
    path = write_film(tmp_path / "a.avi", "mpeg4", sound=PCM)
    content = path.read_bytes()
    at = content.rfind(b"idx1")
    if trouble == "no index":
        content = content[:at]
    elif trouble != "nothing behind the index":
        path = write_film(tmp_path / "a.mp4", sound=AAC)
        more = bytes(70_000) if trouble == "zeros" else np.random.default_rng(0).bytes(3000)
        content = path.read_bytes() + more
    path.write_bytes(content)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.arange(FRAMES) / 25)


@pytest.mark.parametrize(
    ("rate", "ending"),
    [(Fraction(24_000, 1001), "mp4"), (Fraction(30_000, 1001), "mov"), (50, "mts"), (240, "mp4"),
     (1000, "mkv"), (2400, "mkv"), (5, "mp4"), (Fraction(1, 10), "mp4")],
)  # fmt: skip
def test_slow_and_fast_frame_rates(predictor, box, tmp_path, rate, ending):
    path = write_film(tmp_path / f"a.{ending}", sound=None, rate=rate,
                      form="mpegts" if ending == "mts" else None)  # fmt: skip
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.arange(FRAMES) / float(rate))
    assert probe(path).frame_rate == pytest.approx(float(rate), rel=0.01)


def test_a_meeting_whose_frames_come_as_they_please(predictor, box, tmp_path):
    """Five a second, then thirty, then none for two seconds; the white one at 0.533 s."""
    times = [0, 200, 400, 433, 467, 500, 533, 567, 2600, 2633]
    path = write_film(tmp_path / "a.mp4", sound=AAC, times=times, click_s=0.333)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.array(times) / 1000, late_s=0.2)


@pytest.mark.parametrize("curve", HDR_CURVES)
def test_high_dynamic_range_looks_as_on_a_usual_screen(predictor, box, tmp_path, curve):
    """Without its curve, a face is gray and flat: on average 17 and 37 levels off."""
    path = write_high_range(tmp_path / "a.mov", curve, portrait())
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    assert table["face_seen"].all()
    first = next(iter(VideoFrames(path))).rgb
    assert np.abs(first.astype(int) - portrait()).mean() < 9
    (still,) = FramesAt(path, [0.12])
    assert np.abs(still.rgb.astype(int) - first).mean() < 3
    np.testing.assert_allclose(table[["box_x", "box_y", "box_w", "box_h"]].iloc[0], box, atol=6)


COLORS = np.array([[220, 30, 30], [30, 200, 30], [30, 30, 220], [128, 128, 128]]) / 255


def write_colors(path, coefficients, matrix=2, is_full=False, size=(64, 64)):
    """Write four bars of `COLORS`, coded by coefficients of red and blue, a matrix declared."""
    (kr, kb), (width, height) = coefficients, size
    y = COLORS @ [kr, 1 - kr - kb, kb]
    parts = [y, (COLORS[:, 2] - y) / 2 / (1 - kb), (COLORS[:, 0] - y) / 2 / (1 - kr)]
    spans = [(0, 255), (128, 255), (128, 255)] if is_full else [(16, 219), (128, 224), (128, 224)]
    frame = av.VideoFrame(width, height, "yuv444p")
    for plane, part, (low, span) in zip(frame.planes, parts, spans, strict=True):
        levels = np.zeros((height, plane.line_size), np.uint8)
        levels[:, :width] = np.round(low + span * part).repeat(width // 4)[None]
        plane.update(levels.tobytes())
    with av.open(str(path), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv444p"
        for each in (stream.codec_context, frame):
            each.colorspace, each.color_range = matrix, 2 if is_full else 1
        for k in range(3):
            frame.pts, frame.time_base = k, Fraction(1, 25)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


BT709, BT601 = (0.2126, 0.0722), (0.299, 0.114)


@pytest.mark.parametrize("matrix", [1, 5, 6])
@pytest.mark.parametrize("is_full", [False, True])
def test_matrix_and_range_of_colors_are_those_declared(tmp_path, matrix, is_full):
    """BT.709, BT.601 of 625 and 525 lines; levels from 16 or from 0 on; also of high definition."""
    for size in ((64, 64), (1280, 64)):
        write_colors(tmp_path / "a.mkv", BT709 if matrix == 1 else BT601, matrix, is_full, size)
        first = next(iter(VideoFrames(tmp_path / "a.mkv"))).rgb
        assert np.abs(first[32, 8 :: size[0] // 4].astype(int) - COLORS * 255).max() <= 3


@pytest.mark.parametrize(
    ("size", "assumed"),
    [((1276, 32), BT601), ((64, 576), BT601), ((1280, 32), BT709), ((64, 578), BT709)],
)
def test_undeclared_colors_are_those_that_players_assume(tmp_path, size, assumed):
    write_colors(tmp_path / "a.mkv", assumed, size=size)
    for max_size in (None, 256):
        first = next(iter(VideoFrames(tmp_path / "a.mkv", max_size=max_size))).rgb
        bars = first[first.shape[0] // 2, first.shape[1] // 8 :: first.shape[1] // 4][:4]
        assert np.abs(bars.astype(int) - COLORS * 255).max() <= 3


RAW = {
    "h264": ("libx264", {}, "taken, as it says"),
    "hevc": ("libx265", QUIET_X265, "taken, as it says"),
    "m1v": ("mpeg1video", {}, "taken, as it says"),
    "m2v": ("mpeg2video", {}, "taken, as it says"),
    "obu": ("libsvtav1", {"preset": "12"}, "assumed"),
    "m4v": ("mpeg4", {}, None),
    "ivf": ("libvpx-vp9", {}, None),
    "y4m": ("wrapped_avframe", {}, None),
}


@pytest.mark.parametrize("ending", RAW)
def test_pictures_without_a_container(predictor, box, tmp_path, ending):
    """Their rate is what they say; FFmpeg alone would take 25 a second, and shift some."""
    codec, coder, words = RAW[ending]
    forms = {"m1v": "mpeg1video", "m2v": "mpeg2video", "y4m": "yuv4mpegpipe"}
    form = forms.get(ending, ending)
    path = write_film(tmp_path / f"a.{ending}", codec, sound=None, rate=30, form=form, coder=coder)
    table, lost, doubts = predict(predictor, path)
    rate = 25 if words == "assumed" else 30
    assert lost == []
    assert doubts == ([f"its frames have no times: {rate} a second are {words}"] if words else [])
    check(table, path, box, np.arange(FRAMES) / rate)
    (white,) = FramesAt(path, [WHITE / rate])
    assert white.rgb.mean() > 240


@pytest.mark.parametrize(
    ("ending", "codec", "sound"),
    [("flv", "libx264", ("aac", 44_100, "mono")), ("wmv", "wmv2", ("libmp3lame", 44_100, "mono")),
     ("mp4", "libx264", AAC)],
)  # fmt: skip
def test_joined_films_of_which_the_first_is_read(predictor, box, tmp_path, ending, codec, sound):
    one = write_film(tmp_path / f"one.{ending}", codec, sound=sound)
    path = write_joined(tmp_path / f"a.{ending}", one, one)
    table, lost, doubts = predict(predictor, path)
    assert lost == []
    assert doubts == ["films were joined in one file; only the first of them is read"]
    check(table, path, box, np.arange(FRAMES) / 25)
    assert predict(predictor, one)[1:] == ([], [])


@pytest.mark.parametrize(
    ("ending", "codec", "sound"),
    [("mkv", "libx264", AAC), ("webm", "libvpx", OPUS), ("mxf", "mpeg2video", PCM_48),
     ("dv", "dvvideo", ("pcm_s16le", 48_000, "stereo"))],
)  # fmt: skip
def test_joined_films_that_are_read_whole(predictor, tmp_path, ending, codec, sound):
    """The stamps of the second sound of an MXF stand still: it goes on all the same."""
    size = PAL if ending == "dv" else (256, 256)
    pix_fmt = "yuv422p" if ending == "mxf" else "yuv420p"
    one = write_film(tmp_path / f"one.{ending}", codec, pix_fmt, sound, size=size)
    path = write_joined(tmp_path / f"a.{ending}", one, one)
    table, lost, _ = predict(predictor, path)
    assert lost == []
    white = table["frame"][~table["face_seen"]].tolist()
    assert table["frame"].nunique() == 2 * FRAMES
    assert {WHITE, FRAMES + WHITE} <= set(white)
    assert table["time_s"].iloc[-1] == pytest.approx(2 * FRAMES / 25 - 0.04, abs=0.1)
    loud = np.flatnonzero(np.abs(read_sound(path, 16_000)) > 0.3) / 16_000
    for frame in (WHITE, FRAMES + WHITE):
        shown_s = table["time_s"][table["frame"] == frame].iloc[0]
        assert np.abs(loud - shown_s).min() < 0.06


def test_a_part_cut_out_of_a_film_takes_its_sound_along(tmp_path):
    """As QuickTime cuts: what an edit list leaves out is decoded by nobody, and moves nothing."""
    whole = write_film(tmp_path / "whole.mov", "mjpeg", "yuvj420p", PCM, frames=50, click_s=1.6)
    path = write_edited(tmp_path / "cut.mov", whole, [(0.6, 0.0), (0.8, 1.2)])
    media = probe(path)
    frames = list(media.frames())
    assert [frame.time_s for frame in frames] == pytest.approx(np.arange(35) / 25)
    assert [frame.index for frame in frames if frame.rgb.mean() > 240] == [WHITE]
    sound = np.concatenate(list(media.sound(16_000)))
    assert len(sound) / 16_000 == pytest.approx(1.4, abs=0.05)
    assert read_click_s(sound) == pytest.approx(1.0, abs=0.03)
    assert (media.problem, media.remark) == (None, None)
    turned = write_edited(tmp_path / "turned.mov", whole, [(1.0, 1.0), (1.0, 0.0)])
    shown_s = [frame.time_s for frame in probe(turned).frames() if frame.rgb.mean() > 240]
    assert shown_s == pytest.approx([1 + WHITE / 25])
    assert read_click_s(read_sound(turned, 16_000)) == pytest.approx(0.6, abs=0.03)


@pytest.mark.parametrize("late_ms", [0, 50_000_000])
def test_of_several_programs_the_sound_is_that_of_the_film(predictor, tmp_path, late_ms):
    """Each has a clock of its own; the larger picture is the second, which clicks at 0.16 s."""
    path = write_programs(tmp_path / "a.ts", tmp_path, [(128, 128), (256, 256)], late_ms)
    table, lost, doubts = predict(predictor, path)
    assert lost == []
    assert doubts == ["of its 2 moving pictures, number 2, 256x256, is read"]
    assert table["frame"].tolist() == list(range(FRAMES))
    assert table["time_s"].iloc[0] == pytest.approx(0, abs=0.1)
    click_s = read_click_s(read_sound(path, 16_000))
    assert table["time_s"][4] - click_s == pytest.approx(0, abs=0.03)


@pytest.mark.parametrize("trouble", ["204 bytes a packet", "junk in front", "begins in the middle"])
def test_recordings_of_broadcasts(predictor, tmp_path, trouble):
    coder = {"x264-params": "open-gop=1:keyint=6:bframes=2"}
    path = write_film(tmp_path / "a.ts", sound=None, frames=30, coder=coder)
    packets = transport_packets(path)
    frames = 30
    if trouble == "204 bytes a packet":
        content = b"".join(each + bytes(16) for each in packets)
    elif trouble == "junk in front":
        content = np.random.default_rng(0).bytes(500) + b"".join(packets)
    else:
        content, frames = b"".join(packets[len(packets) // 2 :]), None
    path.write_bytes(content)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    assert np.diff(table["time_s"]) == pytest.approx(0.04)
    assert table["face_seen"].iloc[-1]
    assert len(table) == frames if frames else 5 < len(table) < 20


def test_lost_packets_of_a_broadcast_are_told(predictor, tmp_path):
    path = write_film(tmp_path / "a.ts", sound=("mp2", 32_000, "mono"), frames=30)
    packets = transport_packets(path)
    pictures = [k for k, each in enumerate(packets) if packet_id(each) == 0x100]
    packets.pop(pictures[len(pictures) // 2])
    path.write_bytes(b"".join(packets))
    table, lost, doubts = predict(predictor, path)
    assert lost == [f"some frames are damaged; {REST}"]
    assert doubts == []
    assert 20 < len(table) <= 30


@pytest.mark.parametrize("ending", ["ts", "h264"])
def test_a_film_whose_size_changes(predictor, box, tmp_path, ending):
    """A meeting in which somebody begins to share: boxes are of each frame's own pixels."""
    form = {"ts": "mpegts"}.get(ending, ending)
    small, large = (
        write_film(tmp_path / f"{side}.{ending}", sound=None, size=(side, side), form=form)
        for side in (256, 384)
    )
    table, lost, _ = predict(predictor, write_joined(tmp_path / f"a.{ending}", small, large))
    assert lost == []
    assert len(table) == 2 * FRAMES
    boxes = table[["box_x", "box_y", "box_w", "box_h"]].to_numpy(float)
    np.testing.assert_allclose(boxes[0], box, atol=6)
    np.testing.assert_allclose(boxes[FRAMES + 1], box * 1.5, atol=10)


@pytest.mark.parametrize("how", ["in the picture", "in the container"])
def test_the_views_of_both_eyes_are_told(predictor, tmp_path, how):
    """Each face is there twice, which nobody should take for two people."""
    half = cv2.resize(shown(), (128, 256))
    both = np.concatenate([half, half], axis=1)
    told = how == "in the picture"
    coder = {"x264-params": "frame-packing=3"} if told else {}
    metadata = {} if told else {"stereo_mode": "left_right"}
    path = write_film(tmp_path / "a.mkv", sound=None, picture=both, coder=coder, metadata=metadata)
    _, lost, doubts = predict(predictor, path)
    assert lost == []
    words = "it shows what both eyes see, side by side: every face is there twice"
    assert doubts == [words]


@pytest.mark.parametrize("more", ["subtitles.mkv", "subtitles.mp4", "attachment.mkv", "data.ts"])
def test_what_is_beside_picture_and_sound_changes_nothing(predictor, box, tmp_path, more):
    """Subtitles, fonts, telemetry; and chapters."""
    kind, ending = more.split(".")
    plain = write_film(tmp_path / f"plain.{ending}", sound=AAC)
    path = tmp_path / f"a.{ending}"
    with av.open(str(plain)) as source, av.open(str(path), "w") as container:
        streams = [container.add_stream_from_template(each) for each in source.streams]
        if kind == "attachment":
            container.add_attachment("font.ttf", "application/x-truetype-font", bytes(5000))
        elif kind == "data":
            container.add_data_stream("bin_data")
        else:
            text = container.add_mux_stream("mov_text" if ending == "mp4" else "subrip")
            text.time_base = Fraction(1, 1000)
        if ending != "ts":
            chapter = {"start": 0, "end": 200, "time_base": Fraction(1, 1000), "metadata": {}}
            container.set_chapters([chapter | {"id": 1}])
        for packet in source.demux():
            if packet.size:
                packet.stream = streams[packet.stream.index]
                container.mux(packet)
        if kind == "subtitles":
            words = av.Packet(b"\0\2hi" if ending == "mp4" else b"hi")
            words.stream, words.pts, words.dts, words.duration = text, 0, 0, 300
            words.time_base = Fraction(1, 1000)
            container.mux(words)
    table, lost, doubts = predict(predictor, path)
    assert (lost, doubts) == ([], [])
    check(table, path, box, np.arange(FRAMES) / 25)


@pytest.mark.parametrize(
    ("ending", "picture_ms", "sound_ms"),
    [("mkv", 10_000, 0), ("mkv", 0, 10_000), ("mp4", 10_000, 0), ("mp4", 0, 10_000),
     ("ts", 0, 9000), ("mkv", -1000, -1000)],
)  # fmt: skip
def test_sound_and_picture_that_begin_far_apart(tmp_path, ending, picture_ms, sound_ms):
    codecs = ("libx264", "aac", 16_000)
    path = flash_and_click(tmp_path / f"a.{ending}", codecs, picture_ms, sound_ms)
    media = probe(path)
    white = [frame.time_s for frame in media.frames() if frame.rgb.mean() > 200]
    click_s = read_click_s(np.concatenate(list(media.sound(16_000))))
    assert white[0] - click_s == pytest.approx((picture_ms - sound_ms) / 1000, abs=0.01)
    assert (media.problem, media.remark) == (None, None)


def test_sound_that_is_much_longer_than_the_picture(predictor, box, tmp_path):
    """Rows end with the frames; what is heard after them counts for none."""
    path = write_film(tmp_path / "a.mkv", sound=None)
    with_sound = tmp_path / "b.mkv"
    with av.open(str(path)) as source, av.open(str(with_sound), "w") as container:
        video = container.add_stream_from_template(source.streams.video[0])
        audio = container.add_stream("pcm_s16le", rate=16_000, layout="mono")
        for packet in source.demux():
            if packet.size:
                packet.stream = video
                container.mux(packet)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 320_000), np.int16), "s16", "mono")
        frame.sample_rate = 16_000
        container.mux(audio.encode(frame))
    table, lost, doubts = predict(predictor, with_sound)
    assert (lost, doubts) == ([], [])
    check(table, with_sound, box, np.arange(FRAMES) / 25)
    assert len(read_sound(with_sound, 16_000)) == 320_000


def test_8k(predictor, tmp_path):
    """A frame of 7680x4320 has 100 MB."""
    picture = np.full((4320, 7680, 3), 90, np.uint8)
    picture[1000:2024, 3000:4024] = cv2.resize(portrait(), (1024, 1024))
    path = write_film(tmp_path / "a.mov", "mjpeg", "yuvj420p", None, size=(7680, 4320),
                      frames=1, picture=picture)  # fmt: skip
    path = write_joined(tmp_path / "a.mjpg", path)
    table, _, _ = predict(predictor, path)
    (face,) = table[table["face_seen"]].to_dict("records")
    assert abs(face["box_x"] + face["box_w"] / 2 - 3450) < 150
    assert read_image(path).shape == (4320, 7680, 3)
