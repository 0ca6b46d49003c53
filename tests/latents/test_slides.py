"""The lecture on Part I: the picture of the impossible shows it."""

import numpy as np
import torch

from course_lib.core.weights import load_pretrained
from course_lib.latents import slides
from course_lib.latents.metrics import rate_and_distortion
from course_lib.latents.rate_distortion import margin


def test_at_its_mean_a_vae_seems_to_beat_the_bound_and_with_noise_it_does_not():
    with torch.no_grad():
        found = {sampled: rate_and_distortion(load_pretrained("latents_family"), slides.MIXTURE, sampled=sampled) for sampled in (True, False)}
    margins = {sampled: margin(slides.curve(), rate.numpy(), lost.numpy()) for sampled, (rate, lost) in found.items()}
    assert margins[True].min() > -0.01 and margins[False].min() < -0.05
    drawn = [np.stack(line.get_data(), 1) for axes in slides.mean_beats_bound().axes for line in axes.lines]
    wanted = np.stack([found[False][1].numpy(), found[False][0].numpy()], 1)
    assert all(any(np.isclose(points, place, atol=1e-5).all(1).any() for points in drawn if len(points)) for place in wanted)
