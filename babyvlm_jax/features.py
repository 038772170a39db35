"""Keeps what a frozen encoder sees in the pictures of a phase, for faster training.

    python -m babyvlm_jax.features --config=configs/v2/connector.py:root=runs/v2 \\
        --config.data.features=runs/v2/features
    python -m babyvlm_jax.train --config=configs/v2/connector.py:root=runs/v2 \\
        --config.data.features=runs/v2/features --workdir=runs/v2/connector

Takes the flags of the training run: its datasets, its encoder (`warm_start.vision`).
Each picture is encoded once, however many records show it; a stopped run goes on, and
a later one adds what is new. Runs on one machine, on all its devices.
"""

import concurrent.futures
import json

import numpy as np
import tqdm
from etils import epy

from babyvlm_jax.data.features import FeatureStore, key_of
from babyvlm_jax.data.rows import decode
from babyvlm_jax.data.schema import RecordSource
from babyvlm_jax.runtime.command import run_config_command
from babyvlm_jax.runtime.errors import UserError
from babyvlm_jax.training import settings

with epy.lazy_imports():  # --help needs none of these, and they take seconds
    import jax

    from babyvlm_jax import sharding
    from babyvlm_jax.models import fingerprint, vision, vlm
    from babyvlm_jax.training import checkpoint

SHARD = 1024  # ours: pictures that a stop may cost
BATCH = 64  # ours: pictures a device encodes at a time


def main(config) -> None:
    run = settings.from_config(json.loads(config.to_json()))
    check_phase(run)
    mesh = sharding.make_mesh({"data": -1, "fsdp": 1, "tensor": 1})
    with jax.set_mesh(mesh):
        abstract = checkpoint.abstract_params(
            vlm.make_model(run.model), mesh, ("vision",)
        )
        source = {"vision": run.warm_start["vision"]}
        params = checkpoint.warm_start(abstract, source)["vision"]
        facts = {**run.feature_facts, "encoder": fingerprint.fingerprint(params)}
        store = FeatureStore.begin(run.data.features, facts)
        added = write_features(run, mesh, params, store)
    print(f"{run.data.features}: {added} pictures added to {len(store)}")


def check_phase(run: settings.TrainSettings) -> None:
    """Raises UserError unless the phase has a frozen encoder and a place for it."""
    if not run.data.features:
        raise UserError("config.data.features is empty; give the folder to write")
    if "vision" not in run.warm_start:
        raise UserError(
            "config.warm_start has no 'vision'; features are made by the encoder of an "
            "earlier phase or an imported one"
        )
    if jax.process_count() > 1:
        raise UserError(
            f"features are made on one machine, but {jax.process_count()} processes "
            "run; start the command on one of them"
        )


def write_features(run, mesh, params, store: FeatureStore) -> int:
    """Encodes every picture that the store lacks; returns how many there were."""
    encode = jax.jit(vision.make_encoder(run.model.vision))
    batch_size = BATCH * mesh.size
    added = 0
    with concurrent.futures.ThreadPoolExecutor() as pool:
        for group in pictures_in_groups(run.data, store):
            found = list(pool.map(lambda one: decoded(run.data, *one), group.values()))
            seen = []
            for start in range(0, len(found), batch_size):
                images = np.stack(found[start : start + batch_size])
                missing = batch_size - len(images)
                padded = np.pad(images, ((0, missing), (0, 0), (0, 0), (0, 0)))
                placed = sharding.put_batch(mesh, {"images": padded})["images"]
                seen.append(np.asarray(encode(params, placed))[: len(images)])
            store.add(group, np.concatenate(seen))
            added += len(group)
    return added


def pictures_in_groups(data, store: FeatureStore):
    """Groups of new pictures: key -> (record id, encoded picture)."""
    group, known = {}, set()
    for name in data.datasets:
        source = RecordSource(data.shards, name, data.split)
        for record in tqdm.tqdm(source, name, leave=False, delay=2):
            for picture in record.images:
                key = key_of(picture)
                if key in known or store.has(key):
                    continue
                known.add(key)
                group[key] = record.id, picture
                if len(group) == SHARD:
                    yield group
                    group = {}
    if group:
        yield group


def decoded(data, record_id: str, picture: bytes) -> np.ndarray:
    """u8[H, W, 3], as training would decode it."""
    return decode(record_id, [picture], data.image_size, data.scaled_decode)[0]


if __name__ == "__main__":
    run_config_command(__doc__, main, settings.TrainSettings, workdir=False)
