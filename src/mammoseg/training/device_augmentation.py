"""The same augmentation on a whole batch, by torch, on the device of the training: for a GPU that SOLT cannot feed.

What is drawn is drawn by SOLT's own objects from the same seed, so that a sample is turned, moved, cut and darkened as
`augmentation.augment` would; only the two kinds of noise are other draws of the same distribution. Positions are
followed through all steps and looked up once, where SOLT rounds and interpolates after every step.
"""

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import cv2
import numpy as np
import solt
import solt.core
import solt.transforms as slt
import torch
import torch.nn.functional as F
from torch import Tensor

from mammoseg.training.augmentation import build_stream, fixed_seed


@dataclass
class Plan:
    """What one sample undergoes, in the order of its fields. Positions are (x, y), pixel centres are whole numbers.

    Attributes
    ----------
    moves : list of (matrix, frame)
        Geometric steps, first to last: a 2 × 3 matrix that gives the position before the step of one after it, and the
        (x0, y0, x1, y1) in which a position before the step must lie: outside the picture is black.
    table : numpy.ndarray
        (256,) uint8: the new value of each grey level; gamma, brightness and contrast as one.
    salt_and_pepper, noise : (float, int) or None
        Share of the pixels, or gain, and the seed of the noise.
    gaussian : numpy.ndarray or None
        Weights of the blur in one direction, an odd number of them.
    median : int
        Side of the median's window; 1 is none.
    cutout : (int, int, int, int) or None
        x, y, width and height of the square.
    """

    moves: list[tuple[np.ndarray, tuple[float, float, float, float]]] = field(default_factory=list)
    table: np.ndarray = field(default_factory=lambda: np.arange(256, dtype=np.uint8))
    salt_and_pepper: tuple[float, int] | None = None
    noise: tuple[float, int] | None = None
    gaussian: np.ndarray | None = None
    median: int = 1
    cutout: tuple[int, int, int, int] | None = None


class Planner:
    """Draws plans.

    Parameters
    ----------
    settings : mapping
        The config's section `augmentation`.
    side : int
        Side of the square images, in pixels.
    """

    def __init__(self, settings: Mapping, side: int):
        self.side = side
        self.stream = build_stream(settings, side)
        self.frame = solt.core.DataContainer((np.zeros((side, side, 1), np.uint8),), "I")

    def plan(self, seed: int) -> Plan:
        """The draw that `augmentation.augment` makes of this seed."""
        plan = Plan()
        with fixed_seed(seed):
            for step in self.stream.transforms:
                if isinstance(step, solt.Stream):  # the crop and its padding, together or not at all
                    if random.random() <= step.p:
                        self._crop(plan, *step.transforms)
                elif step.use_transform():
                    self._take(plan, step)
        return plan

    def _take(self, plan: Plan, step) -> None:
        """One step that was drawn. `sample_transform` is SOLT's: it draws and keeps, and touches no pixel."""
        whole = (-0.5, -0.5, self.side - 0.5, self.side - 0.5)
        match step:
            case slt.SaltAndPepper():  # SOLT draws the noise itself at once, which is what is saved here
                gain, _ = random.uniform(*step.gain_range), random.uniform(*step.salt_p)
                plan.salt_and_pepper = gain, random.randint(0, 2**32 - 1)
                return
            case slt.Noise():
                gain = random.uniform(*step.gain_range)
                plan.noise = gain, random.randint(0, 2**32 - 1)
                return
            case slt.Flip():
                last = self.side - 1
                across = (
                    np.array([[-1, 0, last], [0, 1, 0]]) if step.axis == 1 else np.array([[1, 0, 0], [0, -1, last]])
                )
                plan.moves.append((across.astype(float), whole))
                return
        if isinstance(step, solt.core.MatrixTransform):
            step.reset_state()
            step.sample_transform(self.frame)
            back = np.linalg.inv(step.state_dict["transform_matrix_corrected"])
            plan.moves.append((back[:2], whole))
            return
        step.sample_transform(self.frame)
        drawn = step.state_dict
        match step:
            case slt.GammaCorrection() | slt.Brightness() | slt.Contrast():
                plan.table = drawn["LUT"][plan.table]
            case slt.Blur(blur="g"):
                plan.gaussian = cv2.getGaussianKernel(drawn["k_size"], drawn["sigma"])[:, 0]
            case slt.Blur(blur="m"):
                plan.median = drawn["k_size"]
            case slt.CutOut():
                plan.cutout = drawn["x"][0], drawn["y"][0], drawn["cut_size_x"], drawn["cut_size_y"]
            case _:
                raise NotImplementedError(type(step).__name__)

    def _crop(self, plan: Plan, crop: slt.Crop, pad: slt.Pad) -> None:
        for step in (crop, pad):
            step.use_transform()  # both draw a chance of 1, as when they are called
            if step is crop:
                step.sample_transform(self.frame)
        (width, height), x, y = crop.crop_to, crop.state_dict["x"], crop.state_dict["y"]
        left, top = (self.side - width) // 2, (self.side - height) // 2
        back = np.array([[1, 0, x - left], [0, 1, y - top]], float)
        plan.moves.append((back, (x - 0.5, y - 0.5, x + width - 0.5, y + height - 0.5)))


@torch.no_grad()
def augment_batch(images: Tensor, masks: Tensor, plans: Sequence[Plan]) -> tuple[Tensor, Tensor]:
    """Carry out one plan per image.

    Parameters
    ----------
    images : Tensor
        (B, 1, side, side) uint8, on any device; never written to.
    masks : Tensor
        The same, of 0 and 1.
    plans : sequence of Plan
        B of them.

    Returns
    -------
    images, masks : Tensor
        New tensors of the same shape, dtype and device. A sample depends on its own plan alone.
    """
    images, masks = _move(images, masks, plans)
    images = _look_up(images, plans)
    for index, plan in enumerate(plans):  # few of them have each step, and each with numbers of its own
        image = images[index, 0]
        if plan.salt_and_pepper:
            image = _salt_and_pepper(image, *plan.salt_and_pepper)
        if plan.noise:
            image = _noise(image, *plan.noise)
        if plan.gaussian is not None:
            image = _gaussian_blur(image, plan.gaussian)
        if plan.median > 1:
            image = _median_blur(image, plan.median)
        images[index, 0] = image
        if plan.cutout:
            x, y, width, height = plan.cutout
            images[index, 0, y : y + height, x : x + width] = 0
    return images, masks


def _move(images: Tensor, masks: Tensor, plans: Sequence[Plan]) -> tuple[Tensor, Tensor]:
    """All geometric steps at once: where each new pixel comes from, and whether it was in the picture all the way."""
    side, device = images.shape[-1], images.device
    steps = max(len(p.moves) for p in plans)
    matrices = np.tile(np.eye(2, 3, dtype=np.float32), (len(plans), steps, 1, 1))
    frames = np.tile(np.float32([-np.inf, -np.inf, np.inf, np.inf]), (len(plans), steps, 1))
    for i, plan in enumerate(plans):
        for k, (matrix, frame) in enumerate(plan.moves):
            matrices[i, k], frames[i, k] = matrix, frame
    matrix = torch.from_numpy(matrices).to(device, non_blocking=True)[..., None, None]
    frame = torch.from_numpy(frames).to(device, non_blocking=True)[..., None, None]

    axis = torch.arange(side, device=device, dtype=torch.float32)
    x, y = axis.expand(len(plans), side, side), axis[:, None].expand(len(plans), side, side)
    inside = torch.ones_like(x, dtype=torch.bool)
    for k in reversed(range(steps)):
        m, f = matrix[:, k], frame[:, k]
        x, y = m[:, 0, 0] * x + m[:, 0, 1] * y + m[:, 0, 2], m[:, 1, 0] * x + m[:, 1, 1] * y + m[:, 1, 2]
        inside &= (x >= f[:, 0]) & (y >= f[:, 1]) & (x <= f[:, 2]) & (y <= f[:, 3])
    grid = torch.stack([x, y], dim=-1) * (2 / (side - 1)) - 1
    inside = inside[:, None]
    moved = F.grid_sample(images.float(), grid, "bilinear", "zeros", align_corners=True)
    mask = F.grid_sample(masks.float(), grid, "nearest", "zeros", align_corners=True)
    return (moved * inside).round().to(torch.uint8), (mask * inside).to(torch.uint8)


def _look_up(images: Tensor, plans: Sequence[Plan]) -> Tensor:
    tables = torch.from_numpy(np.stack([p.table for p in plans])).to(images.device, non_blocking=True)
    return tables.gather(1, images.flatten(1).long()).reshape(images.shape)


def _random(image: Tensor, seed: int, kind: str) -> Tensor:
    generator = torch.Generator(image.device).manual_seed(seed)
    return getattr(torch, kind)(image.shape, generator=generator, device=image.device)


def _salt_and_pepper(image: Tensor, share: float, seed: int) -> Tensor:
    """White and black pixels, half each, together `share` of the picture."""
    chance = _random(image, seed, "rand")
    return torch.where(chance <= share, torch.where(chance <= share / 2, 255, 0).to(torch.uint8), image)


def _noise(image: Tensor, gain: float, seed: int) -> Tensor:
    """(1 − gain)·image + gain·noise; the noise is normal, stretched to 0..255."""
    noise = _random(image, seed, "randn")
    low, high = noise.aminmax()
    noise = ((noise - low) / (high - low) * 255).floor()
    return ((1 - gain) * image + gain * noise).round().to(torch.uint8)


def _gaussian_blur(image: Tensor, weights: np.ndarray) -> Tensor:
    reach = len(weights) // 2
    row = torch.from_numpy(weights.astype(np.float32)).to(image.device, non_blocking=True)[None, None, None]
    padded = F.pad(image.float()[None, None], [reach] * 4, mode="reflect")
    blurred = F.conv2d(F.conv2d(padded, row), row.mT)
    return blurred[0, 0].round().to(torch.uint8)


def _median_blur(image: Tensor, size: int) -> Tensor:
    """Bit by bit, from the highest: the median is the largest value that at most half of the window lies below."""
    reach = size // 2
    padded = F.pad(image.float()[None, None], [reach] * 4, mode="replicate")[0, 0].to(torch.uint8)
    windows = padded.unfold(0, size, 1).unfold(1, size, 1)
    median = torch.zeros_like(image)
    for bit in (128, 64, 32, 16, 8, 4, 2, 1):
        higher = median + bit
        below = (windows < higher[..., None, None]).sum((-1, -2))
        median = torch.where(below <= size * size // 2, higher, median)
    return median
