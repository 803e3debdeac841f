"""Finished runs on a store of crops, and a recipe that learns from them."""

from tests.training.recipes import small
from triaffect.training.run_folder import RunFolder
from triaffect.training.trainer import train

QUICK = (
    "data.held_out=0",
    "data.batch_size=32",
    "data.mix=0",
    "face.average=0",
    "face.precision=float32",
)
STILL = ("data.augment=false",)


def made_teacher(store, path, seed=0, *changes) -> RunFolder:
    """A finished run of a face network."""
    return train(small("light_face", *QUICK, "face.epochs=1", *changes), store, path, seed)


def student(*changes):
    """A face network that listens to given teachers, in labels' place everywhere."""
    told = (
        "name=student",
        "face.teacher=given",
        "face.distillation.on=['ALL']",
        "face.distillation.other_weight=0.7",
        "face.distillation.temperature=2.0",
    )
    return small("light_face", *QUICK, *told, *changes)
