"""The peer's side: batches in the original's order, padded to the longest."""

import pathlib

import numpy as np
import torch

from babyvlm_jax.training import optim
from tests.benchmarks import peer_orders, torch_llava, torch_loader
from tests.benchmarks.sides import (
    RANKS,
    Pass,
    Task,
    clock,
    peak_of_process,
    run_settings,
    same_pass,
    same_rows,
    weights_file,
)


class Peer:
    """The PyTorch step, asked for passes and losses."""

    def __init__(self, task: Task):
        self._task = task
        self._run = run_settings(task)
        self._device = torch.device("cuda" if task.device == "gpu" else "cpu")
        module = torch_llava.Llava(self._run.model, task.remat != "none")
        with np.load(weights_file(task)) as weights:
            torch_llava.load_weights(module, self._run.model, weights)
        bfloat16 = task.dtype == "bfloat16"
        self._trainer = torch_llava.Trainer(
            module.to(self._device), self._run.optim, bfloat16
        )
        self._data = torch_loader.Conversations(
            pathlib.Path(task.folder), task.image_size
        )
        self._tokens_per_image = self._run.data.tokens_per_image
        words, tokens = self._data.lengths(self._tokens_per_image)
        order = (task.batch, RANKS, task.seed)
        self._orders = {
            "as original": peer_orders.as_original(words, *order),
            "sorted": peer_orders.by_tokens(tokens, *order),
        }
        self._loaders, self._held, self._warm = {}, {}, False

    def _batches(self, order: str):
        """An endless loader in this order."""
        if order not in self._loaders:
            workers = self._task.threads
            self._loaders[order] = iter(
                torch.utils.data.DataLoader(
                    self._data,
                    batch_sampler=self._orders[order],
                    collate_fn=torch_loader.collate,
                    num_workers=workers,
                    pin_memory=self._task.device == "gpu",
                )
            )
        return self._loaders[order]

    def _rate(self, step: int) -> float:
        return optim.learning_rate(self._run.optim, self._run.num_steps, step)

    def _wait(self) -> None:
        if self._device.type == "cuda":
            torch.cuda.synchronize()

    def time(self, input_: str, order: str) -> Pass:
        """Some steps; `held` batches lie ready, those of the `loader` are made."""
        loader = self._batches(order)
        steps = -(-self._task.examples // self._task.batch)
        if order not in self._held:
            self._held[order] = [next(loader) for _ in range(steps)]
            self._trainer.step(self._held[order][0], 0.0)
        sums = np.zeros(4, np.int64)
        self._wait()
        begin = clock(self._task)
        for number in range(steps):
            batch = self._held[order][number] if input_ == "held" else next(loader)
            self._trainer.step(batch, 1e-5)
            supervised, _, tokens, filled = torch_loader.content(
                batch, self._tokens_per_image
            )
            sums += (len(batch["ids"]), supervised, tokens, filled)
        self._wait()
        seconds = clock(self._task) - begin
        return Pass(seconds, *sums.tolist(), self._peak())

    def time_same(self, steps: int) -> Pass:
        """Steps on `sides.same_rows`."""
        rows = same_rows(self._run)
        batch = torch_loader.from_rows(rows)
        if not self._warm:
            self._warm = bool(self._trainer.step(batch, 0.0) > 0)
        self._wait()
        begin = clock(self._task)
        for _ in range(steps):
            self._trainer.step(batch, 1e-5)
        self._wait()
        return same_pass(clock(self._task) - begin, rows, steps, self._peak())

    def _peak(self) -> int:
        if self._device.type == "cuda":
            return torch.cuda.max_memory_allocated()
        return peak_of_process()

    def losses(self, records: list[list[str]]) -> list[float]:
        """Losses of steps on batches of these records; ask before anything is timed."""
        places = {name: i for i, name in enumerate(self._data.ids)}
        batches = ([self._data[places[name]] for name in names] for names in records)
        return [
            float(self._trainer.step(torch_loader.collate(batch), self._rate(step)))
            for step, batch in enumerate(batches)
        ]
