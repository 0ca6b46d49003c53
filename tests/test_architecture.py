"""The arrows of the house: who may import whom, read from the files themselves; parts that come later are covered too."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
LIBRARY = ROOT / "course_lib"
PARTS = ("latents", "slots", "codes", "tokens")
MAY = {"codes": ("slots",), "tokens": ("slots.scenes", "latents.mixture")}  # what a part may use of another
MODELS = {"models", "attention", "autoencoder", "quantizer", "svq", "decoder", "prior", "clip", "compressor", "critic", "baselines"}
SHOW = ("figures", "moving", "explorer")  # they get what they show
FILES = sorted(LIBRARY.rglob("*.py"))


def name_of(path: Path) -> str:
    """The dotted name of a module inside course_lib: "latents.figures", "train", "" for course_lib itself."""
    return ".".join(path.relative_to(LIBRARY).with_suffix("").parts).removesuffix("__init__").rstrip(".")


def imports(source: str, module: str = "") -> Iterator[str]:
    """Every module that `source` imports, anywhere in it; of `from a import b` both a and a.b; relative ones resolved."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = f"course_lib.{module}".split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def ours(path: Path) -> set[str]:
    """The modules of course_lib that a file imports, without "course_lib."."""
    found = imports(path.read_text(encoding="utf-8"), name_of(path))
    return {name.removeprefix("course_lib.") for name in found if name.startswith("course_lib.")}


def part_of(module: str) -> str:
    return module.split(".")[0]


def kind_of(module: str) -> str:
    """What a file is by its name: tokens.figures_rf is one of the figures; so is what stands in it, slots.figures.bare."""
    return f"{module}.".split(".")[1].split("_")[0]


def under(module: str, allowed: tuple[str, ...]) -> bool:
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def forbidden(module: str, imported: set[str]) -> set[str]:
    """Which of the imported modules of course_lib the module must not use."""
    part, room = part_of(module), module.split(".")[-1]
    wrong = {name for name in imported if part_of(name) in ("train", "infer")}  # doors: they import, nothing imports them
    wrong |= {name for name in imported if part_of(name) == "curve" and part in ("core", *PARTS)}
    if part == "core":
        wrong |= {name for name in imported if part_of(name) in PARTS}
    if part in PARTS:
        others = {name for name in imported if part_of(name) in PARTS and part_of(name) != part}
        wrong |= {name for name in others if not under(name, MAY.get(part, ()))}
        # `from course_lib.slots import scenes` names slots and slots.scenes: what it brings in is the latter
        wrong -= {name for name in others if any(more.startswith(f"{name}.") for more in others - wrong)}
    shows, models = kind_of(module) in SHOW, room in MODELS or kind_of(module) in MODELS
    never = {*SHOW, "recipe", "exercises"} if models else {"recipe", "family"} if shows else set()
    if part in PARTS:
        wrong |= {name for name in imported if part_of(name) in PARTS and "." in name and kind_of(name) in never}
    if shows:
        wrong |= {name for name in imported if under(name, ("core.training",))}
    return wrong


def test_there_is_something_to_check():
    assert len(FILES) > 20 and {"core", "latents"} <= {part_of(name_of(path)) for path in FILES}
    assert "latents.mixture" in ours(LIBRARY / "latents/figures.py")


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_the_arrows_point_one_way(path):
    assert forbidden(name_of(path), ours(path)) == set()


@pytest.mark.parametrize(("module", "imported", "wrong"), [
    ("core.style", {"latents.mixture"}, True), ("core.style", {"core.paths"}, False),
    ("latents.models", {"slots.scenes"}, True), ("latents.models", {"core.weights"}, False),
    ("slots.scenes", {"codes.svq"}, True), ("codes.svq", {"slots", "slots.attention"}, False),
    ("codes.svq", {"latents.mixture"}, True),
    ("tokens.critic", {"slots.scenes"}, False), ("tokens.critic", {"slots.attention"}, True),
    ("tokens.critic", {"slots", "slots.scenes", "slots.scenes.Shapes"}, False), ("tokens.critic", {"slots", "slots.attention"}, True),
    ("tokens.critic", {"latents.mixture", "latents.mixture.Mixture"}, False), ("tokens.critic", {"codes.svq"}, True),
    ("slots.figures", {"slots.recipe"}, True), ("slots.figures", {"slots.attention"}, False),
    ("slots.figures", {"core.training"}, True), ("tokens.figures_rf", {"tokens.recipe_rf"}, True), ("codes.explorer", {"slots.recipe"}, True),
    ("codes.explorer_plane", {"core.training"}, True), ("tokens.critic_rf", {"tokens.figures_rf"}, True), ("tokens.slides", {"tokens.recipe"}, False),
    ("slots.attention", {"slots.figures"}, True), ("latents.explorer", {"latents.family"}, True),
    ("latents.explorer", {"latents.moving"}, False),
    ("curve", {"latents.mixture", "tokens.clip"}, False), ("latents.recipe", {"train"}, True), ("latents.recipe", {"curve"}, True),
    ("train", {"latents.recipe"}, False), ("infer", {"curve"}, False), ("infer", {"train"}, True), ("core.map", {"infer"}, True)])
def test_the_judge_itself(module, imported, wrong):
    assert bool(forbidden(module, imported)) == wrong


def test_imports_are_found_wherever_they_stand():
    source = "def f():\n    import a.b as c\n    from d import e\nfrom . import g\nfrom ..core import h\nfrom .i import j"
    assert set(imports(source, "latents.x")) == {
        "a.b", "d", "d.e", "course_lib.latents", "course_lib.latents.g", "course_lib.core", "course_lib.core.h",
        "course_lib.latents.i", "course_lib.latents.i.j"}


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_no_pyplot_no_pickle_no_unsafe_load_and_no_long_file(path):
    source = path.read_text(encoding="utf-8")
    found = set(imports(source))
    banned = {"matplotlib.pyplot", "pylab", "matplotlib.pylab", "cPickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
    assert not found & banned and not any(name.startswith("pickle.") for name in found)
    attributes = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if ast.unparse(node.value) == "pickle"}
    assert used <= {"UnpicklingError"}  # the name of an error may be said; nothing is read or written
    assert len(source.splitlines()) <= 300
    for call in (node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)):
        if ast.unparse(call.func) == "torch.load":
            (safe,) = [word.value for word in call.keywords if word.arg == "weights_only"]
            assert isinstance(safe, ast.Constant) and safe.value is True
        assert ast.unparse(call.func) not in ("eval", "exec", "os.system", "torch.save", "np.load"), f"line {call.lineno}"
        assert not any(word.arg in ("shell", "allow_pickle") for word in call.keywords), f"line {call.lineno}"
