"""Small recipe files to compare."""

from pathlib import Path

PLAIN = """
extends = "supervised.toml"
name = "plain"
[data]
batch_size = 64
[data.window]
span = 20
hop = 5
[net]
lstm = 8
trunk = [16, 8]
head = [8, 8]
discriminator = [8, 4]
[stages.supervised]
epochs = 2
"""
"""Of complete windows, which the first frames of a video have none of."""

TAUGHT = """
extends = "default.toml"
name = "taught"
[data]
batch_size = 64
[net]
width = 16
head = 8
discriminator = [8, 4]
[stages.teacher]
epochs = 2
[stages.student]
epochs = 2
"""

BROKEN = TAUGHT.replace('"taught"', '"broken"').replace("[data]", '[data]\nextra = ["lips"]')
"""Reads features that no store here has."""


def recipe_files(folder: Path) -> dict[str, str]:
    """Path of each recipe's file by name."""
    folder.mkdir(exist_ok=True)
    files = {}
    for name, text in (("plain", PLAIN), ("taught", TAUGHT), ("broken", BROKEN)):
        (folder / f"{name}.toml").write_text(text)
        files[name] = str(folder / f"{name}.toml")
    return files
