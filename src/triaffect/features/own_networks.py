"""Whether a store holds vectors of a model's own face and voice network."""

from __future__ import annotations

from triaffect.errors import StoreError
from triaffect.features.model_folder import ModelFolder
from triaffect.features.store import FeatureStore


def check_networks(model: ModelFolder, store: FeatureStore) -> None:
    """See that a store was made with those networks that a model has.

    Args:
        model: The model; of a network that it lacks, any vectors will do.
        store: The store.

    Raises:
        StoreError: It was not: what the model says of other vectors means nothing.
    """
    own = {"face": model.manifest.face, "voice": model.manifest.voice}
    made = {"face": store.face_spec, "voice": store.voice_spec}
    for part, network in own.items():
        spec = made[part]
        if network is not None and (spec is None or spec.sha256 != network.sha256):
            wanted = f"{network.extractor} ({network.sha256[:12]})"
            raise StoreError(
                f"a store made with the model's own {part} network {wanted}",
                "none" if spec is None else f"one made with {spec.describe()}",
                f"extract it with --{part} {model.path}",
                where=store.path,
            )
