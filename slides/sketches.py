"""Board sketches of TEACHING.md, as chalk on a board: short SVG files in slides/sketches/, written by `kit.py`."""

import math
from collections.abc import Callable, Sequence
from html import escape

WIDE, HIGH = 520, 300
CHALK, YELLOW, BLUE, FAINT = "#f4f1e4", "#ffd866", "#8ecae6", "#9fb0a5"
Point = tuple[float, float]


class Board:
    """A board with coordinates of its own, x from `left` to `right`, y from `low` to `high`, upwards; strokes add up in `text`."""

    def __init__(self, title: str, left: float, right: float, low: float, high: float):
        self.title, self.frame = title, (left, right, low, high)
        self.strokes: list[str] = []

    def at(self, point: Point) -> Point:
        """Where a point of the board lies, in pixels."""
        left, right, low, high = self.frame
        return (round((point[0] - left) / (right - left) * WIDE, 1), round((high - point[1]) / (high - low) * HIGH, 1))

    def line(self, points: Sequence[Point], colour: str = CHALK, dashed: bool = False, arrow: bool = False) -> None:
        """A line through the points; a second way to tell lines apart is the dash, never colour alone."""
        path = " ".join(f"{x:g},{y:g}" for x, y in map(self.at, points))
        more = ' stroke-dasharray="7 6"' * dashed + f' marker-end="url(#{colour[1:]})"' * arrow
        self.strokes.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2.5"{more}/>')

    def dot(self, point: Point, colour: str = YELLOW) -> None:
        """A filled circle."""
        x, y = self.at(point)
        self.strokes.append(f'<circle cx="{x:g}" cy="{y:g}" r="5.5" fill="{colour}"/>')

    def write(self, point: Point, words: str, colour: str = CHALK, anchor: str = "start", size: int = 16) -> None:
        """Words, on their base line from the point on, or as `anchor` says."""
        x, y = self.at(point)
        self.strokes.append(f'<text x="{x:g}" y="{y:g}" fill="{colour}" text-anchor="{anchor}" font-size="{size}">{escape(words)}</text>')

    @property
    def text(self) -> str:
        """The SVG file."""
        heads = "".join(f'<marker id="{colour[1:]}" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="7" markerHeight="7" '
                        f'orient="auto-start-reverse"><path d="M0 0 L10 5 L0 10" fill="none" stroke="{colour}" stroke-width="2"/></marker>'
                        for colour in (CHALK, YELLOW, BLUE, FAINT))
        return "\n".join([
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDE} {HIGH}" width="{WIDE}" height="{HIGH}" role="img" '
            'font-family="Segoe Print, Comic Neue, Noto Sans, DejaVu Sans, sans-serif">',
            f"<title>{escape(self.title)}</title><defs>{heads}</defs>", f'<rect width="{WIDE}" height="{HIGH}" rx="10" fill="#22372b"/>',
            *self.strokes, "</svg>"]) + "\n"


def axes(board: Board, right: float, top: float) -> None:
    """The two axes of the course: distortion to the right, rate upwards."""
    board.line([(0, 0), (right, 0)], arrow=True)
    board.line([(0, 0), (0, top)], arrow=True)
    board.write((right, -0.2 * top), "distortion", anchor="end")
    board.write((0.02 * right, 1.02 * top), "rate")


def ruler(board: Board, beta: float, cost: float) -> None:
    """The line D + β · R = cost, from one axis to the other, its β below its end."""
    board.line([(0, cost / beta), (cost, 0)], BLUE, dashed=True)
    board.write((cost, board.frame[2] * 0.4), f"β = {beta:g}", BLUE, "middle")


def game() -> Board:
    """Three codes for four numbers; the cheapest one is where the ruler touches first."""
    board = Board("Three codes on the axes of distortion and rate; a ruler for a cheap, a middling and a dear bit touches one each",
                  -0.7, 6.4, -0.6, 2.7)
    axes(board, 6, 2.45)
    codes = {(5, 0): "0 bits", (1, 1): "1 bit", (0, 2): "2 bits"}
    for beta in (0.5, 2, 5):
        ruler(board, beta, min(error + beta * rate for error, rate in codes))
    for (error, rate), name in codes.items():
        board.dot((error, rate))
        board.write((error + 0.15, rate + 0.13), name, YELLOW)
    return board


def curve() -> Board:
    """A hollow curve R(D) = ½ ln(Var / D) and two rulers: one touches it inside, the flatter one only where nothing is sent."""
    var = 4.0
    board = Board("A falling hollow curve with hatching below it; one ruler touches it in the middle, a flatter one at rate zero",
                  -0.5, 5, -0.38, 1.75)
    for k in range(1, 13):
        x = k * var / 13
        board.line([(x, 0), (x, 0.92 * 0.5 * math.log(var / x))], FAINT)
    axes(board, 4.7, 1.55)
    board.line([(d, 0.5 * math.log(var / d)) for d in (var * (k / 60) ** 2 for k in range(14, 61))], YELLOW)
    for beta in (2.0, 2 * var):
        touch = beta / 2
        ruler(board, beta, touch + beta * 0.5 * math.log(var / touch))
        board.dot((touch, 0.5 * math.log(var / touch)))
    board.write((0.75, 1.2), "R(D): nobody gets below", YELLOW)
    board.write((3.1, 0.4), "Var: nothing sent")
    return board


def table() -> Board:
    """The attention table: down a column the slots compete, along a row a mean is taken."""
    board = Board("A table of two slots and four inputs; an arrow down a column says that it sums to 1, one along a row that it is a mean",
                  -1.2, 6.2, -1.3, 2.8)
    for k, x in enumerate(("−2", "−1", "1", "2")):
        board.write((k + 0.5, 2.25), x, anchor="middle")
        for row, share in enumerate((("9/10", "3/4", "1/4", "1/10")[k], ("1/10", "1/4", "3/4", "9/10")[k])):
            board.write((k + 0.5, 1.4 - row), share, YELLOW, "middle")
    for x in range(5):
        board.line([(x, 0), (x, 2)])
    for y in range(3):
        board.line([(0, y), (4, y)])
    board.write((-0.15, 1.4), "slot 1", anchor="end")
    board.write((-0.15, 0.4), "slot 2", anchor="end")
    board.line([(0.86, 1.9), (0.86, 0.1)], BLUE, arrow=True)
    board.write((0.1, -0.45), "down: sums to 1, they compete", BLUE)
    board.line([(0.1, 1.15), (3.9, 1.15)], dashed=True, arrow=True)
    board.write((0.1, -0.95), "along: divide by the sum, a mean")
    board.write((4.15, 1.4), "→ −2.1 / 2")
    return board


def staircase() -> Board:
    """The loss over z with codes: flat steps at the heights of the parabola, and at each code the slope that is handed on."""
    target, codes = 0.8, (-1.5, -0.5, 0.5, 1.5)

    def loss(z: float) -> float:
        return (z - target) ** 2

    board = Board("A dashed parabola over z, flat steps of a staircase through it, and at each code a short line with the slope of the parabola",
                  -2.6, 2.6, -1.3, 6.6)
    board.line([(-2.3, 0), (2.5, 0)], arrow=True)
    board.line([(z / 20, loss(z / 20)) for z in range(-34, 47)], dashed=True)
    for code in codes:
        board.line([(code - 0.5, loss(code)), (code + 0.5, loss(code))], YELLOW)
        slope = 2 * (code - target)
        reach = 0.33 if abs(slope) < 2 else 0.2
        board.line([(code - reach, loss(code) - slope * reach), (code + reach, loss(code) + slope * reach)], BLUE)
        board.dot((code, loss(code)))
        board.write((code, -0.75), f"{code:g}".replace("-", "−"), anchor="middle")
    board.write((0.05, 5.3), "steps: true slope 0", YELLOW)
    board.write((0.05, 4.5), "short lines: straight through", BLUE)
    board.write((0.05, 3.7), "dashed: without codes")
    return board


def ceiling() -> Board:
    """Unit arrows from one point, and the same head to tail: their mean is shorter than 1."""
    angles = [math.radians(degrees) for degrees in (72, 50, 28, 10, -22)]
    board = Board("Left, five unit arrows in a fan; right, the same head to tail, and their sum divided by five, an arrow shorter than 1",
                  -1.5, 5.6, -1.2, 2.9)
    for angle in angles:
        board.line([(-1.1, 0), (-1.1 + math.cos(angle), math.sin(angle))], arrow=True)
    board.write((-1.2, 1.35), "five of length 1")
    at = (0.9, 0.0)
    for angle in angles:
        there = (at[0] + math.cos(angle), at[1] + math.sin(angle))
        board.line([at, there], FAINT, arrow=True)
        at = there
    board.line([(0.9, 0), at], dashed=True)
    board.line([(0.9, 0), (0.9 + (at[0] - 0.9) / 5, at[1] / 5)], YELLOW, arrow=True)
    board.write((1.1, -0.25), "a fifth of the way: its length is R", YELLOW)
    board.write((-1.2, -0.8), "all agree: R = 1; two against two: R = 0")
    return board


SKETCHES: dict[str, Callable[[], Board]] = {"game": game, "curve": curve, "table": table, "staircase": staircase, "ceiling": ceiling}
