"""Claims hold, fail or are refused; prose quotes measured numbers and nothing else."""

import json
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from course_lib.core import claims
from course_lib.core.claims import claim, fill, quotable
from course_lib.core.errors import BadInput

numbers = st.floats(allow_nan=False, allow_infinity=False, width=32)


@pytest.fixture(autouse=True)
def no_record(monkeypatch):
    monkeypatch.delenv(claims.RECORD, raising=False)


@given(value=numbers, low=numbers, high=numbers)
def test_a_claim_holds_exactly_when_it_is_true(value, low, high):
    if low < value < high:
        claim("a.b", value, above=low, below=high)
    else:
        with pytest.raises(AssertionError, match="does not hold"):
            claim("a.b", value, above=low, below=high)


def test_a_true_claim_is_printed(capsys):
    claim("latents.kl", 0.25, above=0.2, below=0.5, unit="nats")
    assert capsys.readouterr().out == "✓ latents.kl: 0.2 < 0.25 < 0.5 nats\n"
    claim("latents.kl", 0.25, below=0.5, spread=0.1)
    assert capsys.readouterr().out == "✓ latents.kl: 0.25 < 0.5, ±0.1 by rounding\n"


@pytest.mark.parametrize("bounds", [{"above": 0.0}, {"below": 0.0}, {"above": -1.0, "below": 1.0}])
def test_nan_never_holds(bounds):
    with pytest.raises(AssertionError):
        claim("a.b", math.nan, **bounds)


def test_a_claim_without_bounds_is_refused():
    with pytest.raises(BadInput, match=r"^claim 'a.b' has no bound; give above=, below= or both\.$"):
        claim("a.b", 1.0)


@pytest.mark.parametrize("spread", [-0.1, math.inf, math.nan])
def test_a_spread_that_allows_everything_or_nothing_is_refused(spread):
    with pytest.raises(BadInput, match="the spread of claim 'a.b' must be a number from 0 on"):
        claim("a.b", 1.0, below=2.0, spread=spread)


def test_only_true_claims_are_recorded(tmp_path, monkeypatch):
    record = tmp_path / "claims.jsonl"
    monkeypatch.setenv(claims.RECORD, str(record))
    claim("a.b", 1.0, above=0.0)
    with pytest.raises(AssertionError):
        claim("a.false", 1.0, below=0.0)
    claim("a.c", 2.5, above=0.0, below=3.0, unit="nats")
    rows = [json.loads(line) for line in record.read_text().splitlines()]
    assert rows == [{"key": "a.b", "value": 1.0, "unit": "", "above": 0},
                    {"key": "a.c", "value": 2.5, "unit": "nats", "above": 0, "below": 3}]


@pytest.mark.parametrize(("quote", "text"), [
    ("{{a.b}}", "1.23"), ("{{ a.b }}", "1.23"), ("{{a.b:.1f}}", "1.2"), ("{{ a.b : .0f }}", "1"),
    ("{{a.minus:.2f}}", "−0.50"), ("{{a.small}}", "1.2·10⁻⁵"), ("{{a.large:.0e}}", "3·10¹²"), ("{{a.small:.1%}}", "0.0%"),
    ("{{a.minus_small:.2f}}", "0.00"), ("{{a.minus_small:+.0%}}", "0%"),
    ("{{a.minus_small:.1e}}", "−4.0·10⁻¹⁰"), ("{{a.word}}", "2.9.0"), ("{{a.b}} and {{a.b:.2f}}", "1.23 and 1.23"),
    ("no quote, {a.b} and {{ }}", "no quote, {a.b} and {{ }}")])
def test_fill(quote, text):
    known = {"a.b": 1.2345, "a.minus": -0.5, "a.small": 1.2e-5, "a.large": 3e12, "a.minus_small": -4e-10, "a.word": "2.9.0"}
    assert fill(quote, known) == text


@given(numbers)
def test_a_typeset_number_reads_back(value):
    text = fill("{{a:.6e}}", {"a": value})
    digits, power = text.split("·10")
    power = power.translate(str.maketrans("⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "-0123456789"))
    assert "-" not in text
    assert float(f"{digits.replace('−', '-')}e{power}") == pytest.approx(value, rel=1e-5)


def test_an_unknown_key_is_one_sentence():
    with pytest.raises(BadInput, match=r"^no measured number is called 'a.c'; run `make claims`, or correct the key\.$"):
        fill("{{a.c:.2f}}", {"a.b": 1.0})


def test_quotable_reads_claims_minutes_memory_run_records_and_cards(tmp_path):
    assert quotable(tmp_path) == {}
    (tmp_path / "runs").mkdir()
    (tmp_path / "weights").mkdir()
    (tmp_path / "claims.json").write_text('{"latents.kl": {"value": 0.5, "below": 1}}')
    (tmp_path / "timings.json").write_text('{"seconds": {"01_x": 90}, "peak_mb": {"01_x": 1536}}')
    (tmp_path / "runs/sweep.json").write_text('{"command": "x", "measured": {"best": 3, "verdict": "holds"}}')
    (tmp_path / "weights/small.json").write_text('{"seed": 0, "metrics": {"mse": 0.25, "by_beta": [1, 2]}}')
    assert quotable(tmp_path) == {"latents.kl": 0.5, "minutes.01_x": 1.5, "memory.01_x": 1.5, "runs.sweep.best": 3, "runs.sweep.verdict": "holds",
                                  "cards.small.mse": 0.25}
