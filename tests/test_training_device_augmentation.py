"""The augmentation by torch against the reference, SOLT: the same draws, the same geometry, the same grey values, the same noise."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from scipy.stats import ks_2samp
from sklearn.metrics import f1_score
from test_training_augmentation import GEOMETRY, SETTINGS, SIDE, STEPS, centre, disc, only

from mammoseg.training.augmentation import augment, build_stream
from mammoseg.training.device_augmentation import Planner, augment_batch
from mammoseg.training.fold_data import FoldImages, TrainingOrder, training_loader

DRAWS = 200


def smooth(seed=0, side=SIDE):
    """A picture without noise, so that one interpolation and three give nearly the same."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:side, :side] / side
    waves = sum(np.sin(2 * np.pi * (a * x + b * y) + c) for a, b, c in rng.uniform(-2, 2, (6, 3)))
    return (110 + 15 * waves).clip(0, 255).astype(np.uint8)


def both(settings, image, mask=None, seeds=range(DRAWS)):
    """What SOLT and torch make of the same image from the same seeds."""
    mask = np.zeros_like(image) if mask is None else mask
    stream, planner = build_stream(settings, len(image)), Planner(settings, len(image))
    reference = [augment(image, mask, stream, seed) for seed in seeds]
    plans = [planner.plan(seed) for seed in seeds]
    images, masks = (torch.from_numpy(a)[None, None].repeat(len(plans), 1, 1, 1) for a in (image, mask))
    images, masks = augment_batch(images, masks, plans)
    assert images.dtype == masks.dtype == torch.uint8
    assert images.shape == masks.shape == (len(plans), 1, *image.shape)
    made = list(zip(images[:, 0].numpy(), masks[:, 0].numpy(), strict=True))
    return reference, made, plans


def difference(a, b):
    return np.abs(a.astype(int) - b.astype(int))


@pytest.mark.parametrize("step", ["gamma", "brightness", "contrast", "flip", "crop", "cutout", "median_blur"])
def test_the_same_pixels(step):
    image, mask = smooth(), disc()[1]
    reference, made, _ = both(only(step), image, mask, range(30))
    for (a, a_mask), (b, b_mask) in zip(reference, made, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a_mask, b_mask)


def test_the_same_pixels_of_all_steps_on_grey_values_in_a_row():
    names = ("gamma", "brightness", "contrast", "median_blur", "cutout", "flip")
    reference, made, _ = both(only(*names, probability=0.5), smooth())
    assert all(np.array_equal(a, b) for (a, _), (b, _) in zip(reference, made, strict=True))


def test_the_gaussian_blur_is_opencvs_to_one_grey_level():
    """OpenCV's weights have 8 bits, so that in noise a pixel in ten thousand differs by two."""
    image = np.random.default_rng(1).integers(0, 256, (SIDE, SIDE), np.uint8)
    reference, made, _ = both(only("gaussian_blur"), image, seeds=range(60))
    differences = np.stack([difference(a, b) for (a, _), (b, _) in zip(reference, made, strict=True)])
    assert differences.max() <= 2
    assert (differences == 2).mean() < 1e-4
    assert differences.mean() < 0.1


@pytest.mark.parametrize("step", [*GEOMETRY, "all"])
def test_the_same_geometry_of_image_and_mask(step):
    """A drawn landmark stands where SOLT puts it, in the image and in the mask, and the mask stays binary."""
    image, mask = disc()
    settings = only(*GEOMETRY, probability=0.5) if step == "all" else only(step)
    reference, made, _ = both(settings, image, mask)
    overlaps, seen = [], 0
    for (_, a_mask), (b, b_mask) in zip(reference, made, strict=True):
        assert set(np.unique(b_mask)) <= {0, 1}
        if a_mask.sum() < 80:  # moved out of the picture
            continue
        seen += 1
        assert np.abs(centre(a_mask) - centre(b_mask)).max() < 1.3  # SOLT rounds after every step
        assert f1_score((b > 100).ravel(), b_mask.ravel()) > 0.93, "image and mask went different ways"
        overlaps.append(f1_score(a_mask.ravel(), b_mask.ravel()))
    assert seen > DRAWS / 2
    assert min(overlaps) > 0.88
    assert np.mean(overlaps) > 0.97


def test_what_leaves_the_picture_in_one_step_does_not_come_back_in_the_next():
    """Enlarged, then moved back: SOLT has cut the border off before, and black comes in."""
    image = np.full((SIDE, SIDE), 200, np.uint8)
    settings = only("scale", "translation", scale=[1.3, 1.3], translation=[150, 150])
    reference, made, _ = both(settings, image, seeds=range(20))
    for (a, _), (b, _) in zip(reference, made, strict=True):
        assert 0.05 < (a == 0).mean() < 0.6
        assert difference(a == 0, b == 0).mean() < 0.01


def test_each_step_in_the_same_draws_as_solts():
    """Of 2,000 plans each step is in half, 0.5 ± 4 standard deviations of a fair coin."""
    planner = Planner(SETTINGS, 64)
    plans = [planner.plan(seed) for seed in range(2000)]
    shares = {
        "salt_and_pepper": np.mean([p.salt_and_pepper is not None for p in plans]),
        "gaussian_noise": np.mean([p.noise is not None for p in plans]),
        "gaussian_blur": np.mean([p.gaussian is not None for p in plans]),
        "cutout": np.mean([p.cutout is not None for p in plans]),
        "each of the five moves": np.mean([len(p.moves) for p in plans]) / 5,
    }
    assert all(abs(share - 0.5) < 4 * 0.5 / 2000**0.5 for share in shares.values()), shares
    unchanged = np.mean([np.array_equal(p.table, np.arange(256)) for p in plans])
    assert abs(unchanged - 1 / 8) < 0.03, "gamma, brightness and contrast"
    assert max(p.salt_and_pepper[0] for p in plans if p.salt_and_pepper) <= 0.1
    assert max(p.noise[0] for p in plans if p.noise) <= 0.5


def test_salt_and_pepper_are_the_same_draws_in_share_and_values():
    reference, made, plans = both(only("salt_and_pepper"), np.full((SIDE, SIDE), 100, np.uint8))
    for (a, _), (b, _), plan in zip(reference, made, plans, strict=True):
        assert set(np.unique(b)) <= {0, 100, 255}
        share, deviation = plan.salt_and_pepper[0], (0.1 * 0.9) ** 0.5 / SIDE
        assert abs((b != 100).mean() - share) < 5 * deviation
        assert abs((b == 255).mean() - share / 2) < 5 * deviation
        assert abs((a != 100).mean() - share) < 5 * deviation, "SOLT drew another share"


def test_noise_has_the_distribution_of_solts():
    reference, made, _ = both(only("gaussian_noise"), np.full((SIDE, SIDE), 60, np.uint8), seeds=range(40))
    for (a, _), (b, _) in zip(reference, made, strict=True):
        # The noise is stretched by its extremes, which are themselves drawn.
        assert abs(a.mean() - b.mean()) < 8
        assert abs(a.std() - b.std()) < 4
    values = [np.concatenate([x.ravel()[::37] for x, _ in side]) for side in (reference, made)]
    assert ks_2samp(*values).statistic < 0.05


def test_the_whole_table_has_the_same_mean_effect():
    image, mask = disc(radius=30)
    image = np.maximum(image, smooth())
    reference, made, _ = both(SETTINGS, image, mask, range(400))
    means = np.array([[a.mean(), b.mean()] for (a, _), (b, _) in zip(reference, made, strict=True)])
    spreads = np.array([[a.std(), b.std()] for (a, _), (b, _) in zip(reference, made, strict=True)])
    areas = np.array([[a.sum(), b.sum()] for (_, a), (_, b) in zip(reference, made, strict=True)])
    for both_ways, close in ((means, 0.01), (spreads, 0.02), (areas, 0.01)):
        one, two = both_ways.mean(axis=0)
        assert one == pytest.approx(two, rel=close)
        assert np.corrcoef(both_ways.T)[0, 1] > 0.97, "draw by draw"


def test_a_sample_depends_on_its_plan_alone():
    image = torch.from_numpy(np.stack([smooth(k) for k in range(4)])[:, None])
    mask = (image > 120).to(torch.uint8)
    planner = Planner(SETTINGS, SIDE)
    plans = [planner.plan(seed) for seed in (5, 3, 8, 1)]
    kept = image.clone(), mask.clone()
    together = augment_batch(image, mask, plans)
    for k in range(4):
        alone = augment_batch(image[k : k + 1], mask[k : k + 1], [planner.plan((5, 3, 8, 1)[k])])
        assert torch.equal(alone[0][0], together[0][k])
        assert torch.equal(alone[1][0], together[1][k])
    assert torch.equal(image, kept[0])
    assert torch.equal(mask, kept[1])


def test_with_all_steps_off_the_sample_is_the_image():
    reference, made, _ = both({"probability": 1.0, **dict.fromkeys(STEPS)}, smooth(), disc()[1], [1])
    assert all(np.array_equal(a, b) for a, b in zip(reference[0], made[0], strict=True))


def test_the_loader_gives_plans_that_do_not_depend_on_the_workers():
    from tiny_training import PACK

    settings = SETTINGS | {"device": "gpu"}
    epochs = []
    for workers in (0, 2):
        order = TrainingOrder(range(8), [f"i{k}" for k in range(8)], 4, 1)
        loader = training_loader(FoldImages(PACK, settings), order, 4, workers, False)
        epochs.append([augment_batch(*batch) for batch in loader])
    for (a, a_mask), (b, b_mask) in zip(*epochs, strict=True):
        assert torch.equal(a, b)
        assert torch.equal(a_mask, b_mask)


def test_a_training_with_it_learns_and_repeats(monkeypatch):
    from tiny_training import Tiny, recipe, run

    from mammoseg.training import fit

    monkeypatch.setattr(fit, "build_model", lambda *_, **__: Tiny())
    monkeypatch.setattr(fit, "_seconds_per_image", lambda *_: 0.01)
    config = yaml.safe_load((Path(__file__).parents[1] / "config/config.yaml").read_text())["augmentation"]
    results = [run(training=recipe(2, 2), augmentation=config | {"device": device}) for device in ("gpu", "gpu", "cpu")]
    states = [torch.cat([t.flatten().float() for t in r.state.values()]) for r in results]
    assert torch.equal(states[0], states[1])
    assert not torch.equal(states[0], states[2]), "the noise is another"
    assert results[0].normalisation == results[2].normalisation
