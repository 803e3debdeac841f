from pathlib import Path

import pytest

from triaffect.synthetic.generate import generate
from triaffect.synthetic.plan import Plan

PLAN = Plan(people=12, seconds=0.7, seed=5)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made") / "corpus"
    generate(folder, PLAN, jobs=1)
    return folder
