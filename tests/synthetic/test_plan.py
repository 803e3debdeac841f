"""Who is in which video."""

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from triaffect.synthetic.emotion import EXPRESSION_SHARES
from triaffect.synthetic.plan import Plan, plan_videos
from triaffect.types import CORPUS_SPLITS

SIZE = (320, 240)


@given(people=st.integers(3, 90), seconds=st.floats(0.1, 20), seed=st.integers(0, 2**31))
def test_everyone_is_in_one_video_and_every_split_has_someone(
    people: int, seconds: float, seed: int
) -> None:
    videos = plan_videos(Plan(people, seconds, seed), SIZE)
    roles = [role for video in videos for role in video.roles]
    assert sorted(role.person for role in roles) == list(range(people))
    assert len({role.name for role in roles}) == people
    assert {video.split for video in videos} == set(CORPUS_SPLITS)
    assert all(role.expressions for role in roles)
    assert all(video.frames >= 2 for video in videos)


def test_splits_show_expressions_in_the_wanted_shares() -> None:
    videos = plan_videos(Plan(), SIZE)
    for split in CORPUS_SPLITS:
        shown = Counter(
            code for video in videos if video.split is split
            for role in video.roles for code in role.expressions
        )  # fmt: skip
        total = sum(shown.values())
        for code, share in enumerate(EXPRESSION_SHARES / EXPRESSION_SHARES.sum()):
            assert abs(shown[code] - share * total) < 1


def test_pairs_sit_side_by_side_under_one_name() -> None:
    pairs = [video for video in plan_videos(Plan(), SIZE) if len(video.roles) > 1]
    assert pairs
    for video in pairs:
        assert [role.name for role in video.roles] == [f"{video.name}_left", f"{video.name}_right"]


def test_every_task_has_a_file_in_every_split_even_of_the_smallest_corpus() -> None:
    for video in plan_videos(Plan(people=3), SIZE):
        assert video.roles[0].tasks == ("VA", "EXPR", "AU")
