"""The checkpoints of a run: saved while it trains, found when it resumes."""

import contextlib
import time
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np
import orbax.checkpoint as ocp
from etils import epath

from babyvlm_jax.data.identity import check_facts
from babyvlm_jax.runtime import processes
from babyvlm_jax.runtime.errors import Preempted, UserError
from babyvlm_jax.training.checkpoint import whole
from babyvlm_jax.training.checkpoint.reading import (
    FOLDER,
    absolute,
    newest_whole,
    read_facts,
    restore_item,
    whole_steps,
)
from babyvlm_jax.training.state import TrainState

TRAIN_FIELDS = ("opt_state", "extra", "step", "skips")

# ours: a busy bucket answers again within a minute or two
BACKOFF_S = (1, 5, 20, 60)
SAVE_TIMEOUT_S = 600
PIECE_BYTES = 2**25  # ours: what `save_params` compresses and writes at once
_FAILURES = (OSError, ValueError, RuntimeError)  # Orbax, TensorStore and JAX raise them
_LASTING = (
    "No space left",
    "RESOURCE_EXHAUSTED",
    "quota",
    "File too large",
    "Permission denied",
    "Read-only file system",
)


class _Manager(ocp.CheckpointManager):
    """Orbax's, without its own questions to the preemption service.

    It asks from a thread and about older steps, and the service would take that for
    the place where the process is.
    """

    def reached_preemption(self, step: int) -> bool:
        del step
        return False


class Checkpoints:
    """The checkpoints of one run. All processes call the same methods in one order.

    Use it as a context, so that what is being written is finished at the end.
    """

    def __init__(
        self, workdir, keep: int = 1, keep_every: int = 0, in_place: bool = False
    ):
        """
        Args:
            workdir: gets `checkpoints/STEP`; what is not whole there is removed.
            keep: how many of the newest stay.
            keep_every: those of multiples of this step stay too; 0 for none.
            in_place: for `save_params`: numpy's arrays are written from where they
                are, and must not change; otherwise from copies.

        Raises:
            UserError: there are checkpoints, and none is whole.
        """
        self._folder = absolute(epath.Path(workdir) / FOLDER)
        policies = ocp.checkpoint_managers.preservation_policy
        kept = [policies.LatestN(keep)]
        if keep_every:
            kept.append(policies.EveryNSteps(keep_every))
        self._kept = policies.AnyPreservationPolicy(kept)
        self._saving = 0
        names = {"item_names": ("params", "train", "data")}
        self._items = {"item_handlers": _without_copies()} if in_place else names
        processes.on_first(lambda: _clear_cut(self._folder))
        self._open()

    def __enter__(self) -> "Checkpoints":
        return self

    def __exit__(self, kind, error, trace) -> None:
        # Whoever raises knows already what could not be written.
        with contextlib.suppress(*_FAILURES) if kind else contextlib.nullcontext():
            self._manager.close()

    def _open(self):
        self._manager = _Manager(
            self._folder,
            options=ocp.CheckpointManagerOptions(
                preservation_policy=self._kept,
                cleanup_tmp_directories=True,
                async_options=ocp.options.AsyncOptions(
                    timeout_secs=SAVE_TIMEOUT_S, post_finalization_callback=self._seal
                ),
            ),
            **self._items,
        )

    def _seal(self):
        """Runs when all files are written, before they get their name."""
        for path in self._folder.iterdir():
            if path.name.partition(".")[0] == str(self._saving):
                whole.seal(path)

    def _start(self, step, items):
        self._saving = step
        self._manager.save(step, args=ocp.args.Composite(**items), force=True)

    def _reopen(self):
        with contextlib.suppress(*_FAILURES):  # they are known by now
            self._manager.close()
        self._open()

    def save(
        self, step: int, state: TrainState, facts: Mapping[str, str], wait: bool = False
    ) -> None:
        """Starts saving; a checkpoint of that step that is there already is left alone.

        If the one before could not be written, this one is tried several times, with
        pauses, before it is given up.

        Args:
            facts: of the data, see `data.identity`.
            wait: return when it is written.

        Raises:
            UserError: it cannot be written, and waiting will not help.
            Preempted: it cannot be written; another start may help.
        """
        train = {field: getattr(state, field) for field in TRAIN_FIELDS}
        self._save(
            step,
            {
                "params": ocp.args.StandardSave(state.params),
                "train": ocp.args.StandardSave(train),
                "data": ocp.args.JsonSave(dict(facts)),
            },
            wait,
        )

    def save_params(
        self, step: int, params: Any, facts: Mapping[str, str] | None = None
    ) -> None:
        """Writes parameters that no training run of ours made, and waits for it.

        Args:
            facts: what is known of what they were trained on.

        Raises:
            UserError, Preempted: as `save`.
        """
        pieces = jax.tree.map(
            lambda _: ocp.SaveArgs(chunk_byte_size=PIECE_BYTES), params
        )
        item = ocp.args.PyTreeSave(
            params, save_args=pieces, ocdbt_target_data_file_size=PIECE_BYTES
        )
        self._save(
            step,
            {"params": item, "data": ocp.args.JsonSave(dict(facts or {}))},
            wait=True,
        )

    def _save(self, step, items, wait):
        def start():
            if step not in self._manager.all_steps():
                self._start(step, items)

        finish = self._manager.wait_until_finished
        why = _told(finish) or _told(start) or (_told(finish) if wait else None)
        for pause in BACKOFF_S:
            if why is None:
                return
            processes.say(
                f"the checkpoint could not be written: {why}; again in {pause} s"
            )
            time.sleep(pause)
            why = _told(self._reopen) or _told(start)
            why = why or _told(self._manager.wait_until_finished)
        if why is not None:
            self._give_up(step, why)

    def _give_up(self, step, why):
        steps = processes.on_first(lambda: whole_steps(self._folder)[0])
        left = f"that of step {max(steps)} is kept" if steps else "there is no other"
        text = f"the checkpoint of step {step} cannot be written to {self._folder}"
        if any(sign in why for sign in _LASTING):
            raise UserError(
                f"{text}: {why}; {left}; make room or give another --workdir, and run "
                "the same command again"
            )
        raise Preempted(f"{text}: {why}; {left}")

    def restore_latest(self, state: TrainState, facts: Mapping[str, str]) -> TrainState:
        """The newest checkpoint laid out like `state`; `state` itself if there is none.

        Args:
            facts: of the data that the run would continue with.

        Raises:
            UserError: the checkpoint was trained on other data, or in another order, or
                has a leaf of another shape.
        """
        step = self.newest()
        return state if step is None else self.restore(step, state, facts)

    def restore(
        self, step: int, state: TrainState, facts: Mapping[str, str]
    ) -> TrainState:
        """The checkpoint of a step that `newest` gave; see `restore_latest`."""
        folder = self._folder / str(step)
        saved = read_facts(self._folder.parent, step)
        check_facts(saved, facts, f"{folder}")
        train = {field: getattr(state, field) for field in TRAIN_FIELDS}
        abstract = jax.tree.map(ocp.utils.to_shape_dtype_struct, (state.params, train))
        params, train = (
            restore_item(folder / item, "", wanted)
            for item, wanted in zip(("params", "train"), abstract, strict=True)
        )
        return TrainState(params=params, **train)

    def newest(self) -> int | None:
        """The newest whole checkpoint's step; damaged ones that are newer are removed.

        Raises:
            UserError: there are checkpoints, and all of them are damaged.
        """
        _told(self._manager.wait_until_finished)  # what fails here is not there
        step, faults = newest_whole(self._folder)
        if faults:
            steps = [] if step is None else [step]
            processes.on_first(lambda: _clear(self._folder, steps, faults))
            self._reopen()  # or a step that was removed would not be saved again
        return step


def _without_copies() -> dict[str, ocp.CheckpointHandler]:
    """What writes parameters that may be larger than the memory."""
    handlers = ocp.type_handlers
    registry = handlers.create_type_handler_registry(
        (np.ndarray, handlers.NumpyHandler(deepcopy_host_arrays=False)),
        (jax.Array, handlers.ArrayHandler()),
    )
    return {
        "params": ocp.PyTreeCheckpointHandler(type_handler_registry=registry),
        "data": ocp.JsonCheckpointHandler(),
    }


def _told(action: Callable[[], Any]) -> str | None:
    """Why `action` failed, on whichever process; None if it did nowhere."""

    def attempt():
        try:
            action()
        except _FAILURES as error:
            return f"{type(error).__name__}: {' '.join(str(error).split())[:400]}"

    return next(filter(None, processes.on_all(attempt)), None)


def _clear_cut(folder) -> None:
    """Removes what is cut short, unless nothing else is left."""
    _clear(folder, *whole_steps(folder))


def _clear(folder, steps, faults) -> None:
    for step, why in sorted(faults.items(), reverse=True):
        # A bucket has no rename: a save that was cut short already has its name.
        cut = "://" in str(folder) and not (folder / str(step) / whole.LIST).exists()
        if not steps and not cut:
            raise UserError(
                f"{folder}/{step} is not whole ({why}), and there is no other; bring "
                f"it back from a copy, or remove {folder} to begin anew"
            )
        processes.say(f"{folder}/{step} is not whole ({why}); removed")
        (folder / str(step)).rmtree()


def save_params(
    workdir, step: int, params: Any, facts: Mapping[str, str] | None = None
) -> None:
    """Writes parameters that no training run of ours made, and waits for it.

    Args:
        workdir: gets `checkpoints/STEP/params`.
        params: tree of arrays; numpy's, such as files mapped into memory, are read as
            they are written, a piece at a time.
        facts: what is known of what they were trained on, as {"tokenizer": hash}.
    """
    with Checkpoints(workdir, in_place=True) as checkpoints:
        checkpoints.save_params(step, params, facts)
