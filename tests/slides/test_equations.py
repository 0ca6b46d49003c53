"""Equation → line of code: the line is found or refused, and every slide of the parts with a displayed equation has one."""

import re
from dataclasses import replace

import pytest
from deck import split
from equations import Equation, equations
from lecture import decks

from course_lib.core.errors import BadInput
from course_lib.core.paths import ROOT

KL = Equation("KL", "", "", "latents.losses.kl_to_prior", "mu.square() + log_var.exp()", "Kingma & Welling 2014, appendix B")
ALL = equations()


def test_the_line_is_the_one_that_computes_it():
    text = (ROOT / "course_lib/latents/losses.py").read_text(encoding="utf-8").splitlines()
    assert text[KL.line - 1] == "    return 0.5 * (mu.square() + log_var.exp() - 1 - log_var).sum(-1)"


def test_methods_are_found_inside_their_class():
    found = replace(KL, function="latents.models.VAE.reparameterize", code="torch.exp(0.5 * log_var) * noise")
    assert found.path.name == "models.py" and found.line > 0


@pytest.mark.parametrize("equation", ALL, ids=lambda equation: equation.name)
def test_every_equation_has_its_line_and_its_source(equation):
    line = equation.path.read_text(encoding="utf-8").splitlines()[equation.line - 1]
    assert equation.code in line and equation.lost_sources == []
    assert "|" not in equation.tex and equation.tex.count("{") == equation.tex.count("}")


@pytest.mark.parametrize(("change", "sentence"), [
    ({"code": "no such code"}, "'no such code' stands 0 times in latents.losses.kl_to_prior"),
    ({"function": "latents.losses.kl"}, "losses.py has no latents.losses.kl"),
    ({"function": "latents.loses.kl"}, "has no file for latents.loses.kl"),
    ({"code": "log_var", "function": "latents.losses.beta_vae_loss"}, "stands 2 times"),
])
def test_a_line_that_is_not_there_or_not_the_only_one_is_refused(change, sentence):
    with pytest.raises(BadInput, match=re.escape(sentence)):
        replace(KL, **change).line  # noqa: B018


def test_a_source_must_stand_beside_the_code():
    assert replace(KL, source="Kingma & Welling 2014, eq. 7").lost_sources == ["eq. 7"]


def test_names_differ():
    assert len({equation.name for equation in ALL}) == len(ALL)


def test_every_slide_with_a_displayed_equation_belongs_to_a_section_with_one(course):
    known = {course.section(equation.section).name for equation in ALL}
    for path in decks()[1:]:
        texts = split(path.read_text(encoding="utf-8"))[1:]
        for slide in (slide for slide in course.slides if slide.deck == path.stem):
            if "$$" in texts[slide.number - 1]:
                assert course.section(slide.place).name in known, slide
