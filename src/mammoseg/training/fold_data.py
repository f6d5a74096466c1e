"""The data of one fold: in which order the images come, which draw each one gets, and how long the network waits.

What is drawn follows from (fold seed, epoch, draw id) and travels with the order to the worker processes. So it depends
neither on their number nor on what was drawn before, and an epoch can be made again without those before it.
"""

import signal
import time
from collections.abc import Iterator, Mapping, Sequence

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, default_collate

from mammoseg.training.augmentation import augment, build_stream, derive_seed
from mammoseg.training.device_augmentation import Plan, Planner
from mammoseg.training.pack import Pack

Draw = tuple[int, int | None]
"""A row of the pack and the seed of its augmentation; None leaves the image as it is."""


Sample = tuple[Tensor, Tensor, Plan | None]
"""Image and mask, (1, side, side) uint8, and what is still to be done to them on the training's device."""

Batch = tuple[Tensor, Tensor, list[Plan] | None]
"""The same for B images: (B, 1, side, side)."""


class FoldImages(Dataset):
    """Images and masks of a pack; keys are `Draw`, items are `Sample`."""

    def __init__(self, pack: Pack, augmentation: Mapping):
        self.pack = pack
        on_device = augmentation["device"] == "gpu"
        self.planner = Planner(augmentation, pack.side) if on_device else None
        self.stream = None if on_device else build_stream(augmentation, pack.side)

    def __getitem__(self, draw: Draw) -> Sample:
        row, seed = draw
        image, mask, plan = self.pack.images[row], self.pack.masks[row], None
        if seed is not None and self.stream:
            image, mask = augment(image, mask, self.stream, seed)
        elif seed is not None:
            plan = self.planner.plan(seed)
        # The pack is read-only, torch wants memory of its own.
        return torch.from_numpy(np.array(image[None])), torch.from_numpy(np.array(mask[None])), plan


class TrainingOrder(Sampler[Draw]):
    """A new order of the training images, and new draws, every epoch.

    Batch norm cannot train on one value, so a last batch of one image is dropped: another one each epoch.

    Parameters
    ----------
    rows, names : sequence
        Rows of the pack and their draw ids.
    batch_size : int
    seed : int
        Of this fold.
    """

    def __init__(self, rows: Sequence[int], names: Sequence[str], batch_size: int, seed: int):
        self.cases = list(zip(rows, names, strict=True))
        self.seed = seed
        self.epoch = 0
        single = len(self.cases) > 1 and batch_size > 1 and len(self.cases) % batch_size == 1
        self.length = len(self.cases) - single

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, counted from 0; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[Draw]:
        order = np.random.default_rng(derive_seed(self.seed, "order", self.epoch)).permutation(len(self.cases))
        for row, name in (self.cases[i] for i in order[: self.length]):
            yield row, derive_seed(self.seed, "sample", self.epoch, name)


class TimedLoader(DataLoader):
    """A data loader that adds up, in `waited`, the seconds in which its user had to wait for a batch."""

    waited = 0.0

    def __iter__(self) -> Iterator[list[Tensor]]:
        batches = super().__iter__()
        while True:
            start = time.perf_counter()
            batch = next(batches, None)
            self.waited += time.perf_counter() - start
            if batch is None:
                return
            yield batch


def training_loader(
    data: FoldImages, order: TrainingOrder, batch_size: int, workers: int, pin_memory: bool
) -> TimedLoader:
    """Batches of augmented images, made by `workers` processes (0: by this one)."""
    return TimedLoader(
        data,
        batch_size=batch_size,
        sampler=order,
        num_workers=workers,
        collate_fn=_collate,
        persistent_workers=workers > 0,
        worker_init_fn=_begin_worker,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader would draw from torch's own, which the dropout draws from
    )


def validation_loader(data: FoldImages, rows: Sequence[int], batch_size: int, pin_memory: bool) -> DataLoader:
    """Batches of images as they are; memory-mapped and not augmented, they need no process of their own."""
    draws = [(row, None) for row in rows]
    return DataLoader(
        data,
        batch_size=batch_size,
        sampler=draws,
        collate_fn=_collate,
        pin_memory=pin_memory,
        generator=torch.Generator(),
    )


def _collate(samples: list[Sample]) -> Batch:
    images, masks, plans = zip(*samples, strict=True)
    return default_collate(images), default_collate(masks), None if plans[0] is None else list(plans)


def _begin_worker(_worker: int) -> None:
    cv2.setNumThreads(0)
    # Whoever ends a job may signal all its processes. The training ends its workers itself; were they gone before, it would
    # fail for want of a batch.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
