"""The checks of notebook 12 accept right answers, reject wrong ones with the law they break, and never raise."""

import pytest
import torch
from einops import rearrange
from torch.nn.functional import normalize

from course_lib.tokens.exercises_fields import check


def indices(grid, output_grid):
    rows, columns = output_grid
    return rearrange(torch.arange(grid[0] * grid[1]), "(r h c w) -> (r c) (h w)", r=rows, h=grid[0] // rows, c=columns)


def by_unfold(grid, output_grid):
    high, wide = grid[0] // output_grid[0], grid[1] // output_grid[1]
    return torch.arange(grid[0] * grid[1]).view(grid).unfold(0, high, high).unfold(1, wide, wide).flatten(2).flatten(0, 1)


def by_columns(grid, output_grid):
    rows, columns = output_grid
    return rearrange(torch.arange(grid[0] * grid[1]), "(r h c w) -> (c r) (h w)", r=rows, h=grid[0] // rows, c=columns)


def every_other(grid, output_grid):
    rows, columns = output_grid
    return rearrange(torch.arange(grid[0] * grid[1]), "(h r w c) -> (r c) (h w)", r=rows, h=grid[0] // rows, c=columns)


def sample(fields, generator):
    batch, n, field, _ = fields.shape
    chosen = torch.randint(field, (batch, n), generator=generator)
    return fields[torch.arange(batch)[:, None], torch.arange(n), chosen]


def gathered(fields, generator):
    chosen = torch.rand(fields.shape[:3], generator=generator).argmax(2)
    return fields.gather(2, chosen[..., None, None].expand(-1, -1, 1, fields.shape[3])).squeeze(2)


def shared_by_pictures(fields, generator):
    chosen = torch.randint(fields.shape[2], (fields.shape[1],), generator=generator)
    return fields[:, torch.arange(fields.shape[1]), chosen]


def shared_by_all(fields, generator):
    return fields[:, :, int(torch.randint(fields.shape[2], (), generator=generator))]


def numbers_apart(fields, generator):
    chosen = torch.randint(fields.shape[2], (*fields.shape[:2], 1, fields.shape[3]), generator=generator)
    return fields.gather(2, chosen).squeeze(2)


def never_the_last(fields, generator):
    return sample(fields[:, :, :-1], generator)


def ceiling(fields):
    mean = normalize(fields, dim=-1).mean(-2)
    return mean.norm(dim=-1), mean


def of_the_mean(fields):
    mean = fields.mean(-2)
    return torch.cosine_similarity(mean[..., None, :], fields, dim=-1).mean(-1), mean


def squared(fields):
    mean = normalize(fields, dim=-1).mean(-2)
    return mean.square().sum(-1), mean


def penalty(critic, real, fake, alpha=lambda x: torch.rand(*x.shape[:2], 1), norm=lambda g: g.norm(dim=-1), graph=True, end=torch.mean):
    a = alpha(real)
    x = (a * real + (1 - a) * fake).requires_grad_()
    (gradient,) = torch.autograd.grad(critic(x).sum(), x, create_graph=graph)
    return end((norm(gradient) - 1).square())


def altered(**change):
    return lambda critic, real, fake: penalty(critic, real, fake, **change)


WRONG = [
    ("indices", lambda grid, output_grid: torch.arange(grid[0] * grid[1]).view(output_grid[0] * output_grid[1], -1), "a field is a rectangle"),  # the stub
    ("indices", by_columns, "row by row"), ("indices", every_other, "a rectangle of"), ("indices", lambda *grids: indices(*grids).float(), "whole numbers"),
    ("indices", lambda *grids: indices(*grids) * 0, "exactly one field"), ("indices", lambda *grids: indices(*grids).T, "a field is a rectangle"),
    ("sample", lambda fields, generator: fields[:, :, 0], "equally likely"),  # the stub
    ("sample", lambda fields, generator: fields.mean(2), "a mean of several is no token"), ("sample", shared_by_all, "draws for itself"),
    ("sample", shared_by_pictures, "pictures draw independently"), ("sample", numbers_apart, "a whole token"), ("sample", never_the_last, "equally likely"),
    ("sample", lambda fields, generator: sample(fields, None), "the one you are given"), ("sample", lambda fields, generator: fields, "one token for each field"),
    ("sample", lambda fields, generator: sample(fields.flip(1), generator), "comes from that field"),
    ("ceiling", lambda fields: (torch.ones(fields.shape[:2]), fields[:, :, 0]), "√½"),  # the stub
    ("ceiling", of_the_mean, "how long"), ("ceiling", squared, "√½"), ("ceiling", lambda fields: ceiling(fields)[0], "two things"),
    ("ceiling", lambda fields: (ceiling(fields)[0], fields.mean(-2)), "reaches the ceiling"),
    ("ceiling", lambda fields: (fields.mean(-2).norm(dim=-1), fields.mean(-2)), "whatever their lengths"),
    ("penalty", lambda critic, real, fake: (critic(real) - critic(fake)).square().mean() * 0, "costs (3 − 1)²"),  # the stub
    ("penalty", altered(norm=lambda g: g.flatten(1).norm(dim=1)), "a sample of its own"), ("penalty", altered(end=torch.sum), "then comes a mean"),
    ("penalty", altered(alpha=lambda x: torch.rand(len(x), 1, 1)), "share one"), ("penalty", altered(alpha=torch.rand_like), "one alpha for each token"),
    ("penalty", altered(alpha=lambda x: torch.ones(*x.shape[:2], 1)), "uniform"), ("penalty", altered(graph=False), "create_graph"),
    ("penalty", altered(end=lambda x: x), "Shape: return one number"),
]


@pytest.mark.parametrize(("name", "answer"), [
    ("indices", indices), ("indices", by_unfold), ("sample", sample), ("sample", gathered), ("ceiling", ceiling),
    ("ceiling", lambda fields: (ceiling(fields)[0], 5 * ceiling(fields)[1])), ("penalty", penalty)])
def test_a_right_answer_passes(said, name, answer):
    assert 'data-check="ok"' in said(name, answer)


@pytest.mark.parametrize(("name", "answer", "law"), WRONG)
def test_a_wrong_answer_hears_its_law(said, name, answer, law):
    words = said(name, answer)
    assert 'data-check="no"' in words and law in words and "Hint" in words


@pytest.mark.parametrize("name", ["indices", "sample", "ceiling", "penalty"])
@pytest.mark.parametrize("answer", [None, 3, "text", lambda *arguments, **more: 1 / 0, lambda: None])
def test_checks_never_raise(said, name, answer):
    assert 'data-check="ok"' not in said(name, answer)
