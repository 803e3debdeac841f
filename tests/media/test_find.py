"""What inputs name: folders, links, patterns, folders of pictures, cameras."""

from pathlib import Path

import pytest

from triaffect.errors import MediaError
from triaffect.media.find import find_media, natural, pictures_in, webcam_number


@pytest.fixture
def here(tmp_path, monkeypatch):
    """Work in an empty folder, with names relative to it."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def touch(*names):
    for name in names:
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).touch()


def found(*inputs, **options):
    return [path.as_posix() for path in find_media([Path(name) for name in inputs], **options)]


def test_folders_give_their_media_sorted_and_each_file_once(here):
    touch("b/2.MP4", "b/10.mp4", "b/1.wav", "a.jpg", "notes.txt", "b/.hidden.mp4", ".old/x.mp4")
    assert found("b/2.MP4", ".", "notes.txt") == [
        *("b/2.MP4", "a.jpg", "b/1.wav", "b/10.mp4", "notes.txt")
    ]
    (here / "empty").mkdir()
    with pytest.raises(MediaError, match="none in it"):
        find_media([Path("empty")])


def test_names_are_sorted_as_people_do():
    names = ["img10.png", "img2.png", "Img1.png", "img02.png", "a/9.png", "img.png", "1x.png"]
    assert [p.as_posix() for p in sorted(map(Path, names), key=natural)] == [
        *("1x.png", "a/9.png", "Img1.png", "img02.png", "img2.png", "img10.png", "img.png")
    ]


def test_a_link_that_leads_back_ends_nothing_and_nothing_comes_twice(here):
    touch("a/1.mp4", "a/deep/2.mp4", "elsewhere/3.mp4")
    Path("a/deep/loop").symlink_to("../..")
    Path("a/self").symlink_to("self")
    Path("a/more").symlink_to("../elsewhere")
    assert found("a") == ["a/1.mp4", "a/deep/2.mp4", "a/deep/loop/elsewhere/3.mp4"]
    Path("a/deep/loop").unlink()
    Path("a/again").symlink_to("deep")
    Path("a/z.mp4").symlink_to("1.mp4")
    assert found("a", "a/again") == ["a/1.mp4", "a/deep/2.mp4", "a/more/3.mp4", "a/z.mp4"]


def test_a_link_to_nothing_is_a_file_that_will_be_told(here):
    touch("a/1.mp4")
    Path("a/2.mp4").symlink_to("nowhere")
    Path("a/3.mp4").symlink_to("3.mp4")
    assert found("a") == ["a/1.mp4", "a/2.mp4", "a/3.mp4"]


def test_patterns_that_the_shell_left_alone(here):
    touch("c/1.mp4", "c/2.mp4", "c/d/3.mp4", "c/d/3.wav", "c/notes.txt", "c/.h/4.mp4", "[x].mp4")
    Path("c/d/loop").symlink_to("..")
    assert found("c/*.mp4") == ["c/1.mp4", "c/2.mp4"]
    assert found("c/**/*.mp4") == ["c/1.mp4", "c/2.mp4", "c/d/3.mp4"]
    assert found("c/[12].mp4", "c/?.mp4") == ["c/1.mp4", "c/2.mp4"]
    assert found("c/*") == ["c/1.mp4", "c/2.mp4", "c/d/3.mp4", "c/d/3.wav"]
    assert found(str(here / "c/d/*.wav")) == [(here / "c/d/3.wav").as_posix()]
    assert found("c/.h/*.mp4") == ["c/.h/4.mp4"]
    assert found("[x].mp4") == ["[x].mp4"]
    for pattern, words in (("c/*.txt", "none"), ("c/x**y/*", "Invalid pattern")):
        with pytest.raises(MediaError, match=words):
            found(pattern)


def test_a_folder_of_pictures_can_be_one_video(here):
    touch("s/10.png", "s/9.png", "s/talk.wav", "s/t/1.jpg", "s/u/clip.mp4", "one.png")
    assert found("s", "one.png", "s/*.png", images_as_video=True) == [
        *("s", "s/t", "s/talk.wav", "s/u/clip.mp4", "one.png", "s/9.png", "s/10.png")
    ]
    assert [path.name for path in pictures_in(Path("s"))] == ["9.png", "10.png"]


def test_a_camera_is_named_by_its_number(here):
    assert webcam_number(Path("webcam:12")) == 12
    assert webcam_number(Path("webcam")) == 0
    assert webcam_number(Path("webcam:")) is None
    assert webcam_number(Path("a/webcam:0")) is None
    assert found("webcam:0") == ["webcam:0"]
    touch("webcam:0")
    assert webcam_number(Path("webcam:0")) is None
    touch("webcam")
    assert webcam_number(Path("webcam")) is None
