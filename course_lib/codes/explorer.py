"""The sliders of Part III."""

import textwrap

import ipywidgets as widgets
import torch
from jaxtyping import Float, Int
from matplotlib.figure import Figure
from torch import Tensor

from course_lib.codes.editing import leave_out, spare_slots
from course_lib.codes.figures_codes import edits_figure
from course_lib.codes.generation import paint_codes
from course_lib.codes.meaning import Dictionary, Meaning, collect_objects, in_words, look_up, scene_words
from course_lib.codes.metrics import parse
from course_lib.codes.moving import CodePicture, words_of_change
from course_lib.codes.svq import SVQ
from course_lib.codes.world import RuleWorld
from course_lib.core.errors import BadInput
from course_lib.core.explorer import Explorer, choice, stops
from course_lib.core.threads import one_thread
from course_lib.core.weights import load_pretrained
from course_lib.slots.loaders import HELD_OUT
from course_lib.slots.scenes import start_chance

SCENES, COUNTED = 12, 2000  # held-out scenes on the slider; and those in which the codes' meanings are counted
MEANINGS, SYNONYMS = 48, 6  # at most so many meanings on the slider, and codes with the same meaning
LEAST = 5  # objects that a code must have before its meaning counts


class CodeExplorer(Explorer):
    """Change one code of one slot of a scene that the model has never seen, and see what becomes of the object.

    Controls: `scene`, `slot` and `codebook` (from 1), `code`, `synonym` and `spare`. The stops of `code` are what the codes of this
    codebook say, in order; its first stop leaves the scene as it is. `synonym` chooses among the codes that say the same, the most used
    first, and starts again after the last; it is not shown if no two codes say the same. `spare` is "keep", or "leave out": without the
    slot that changes the picture least.
    model: by default the shipped `svq_rules`. dictionary: what its codes mean, by default counted on 2000 held-out scenes.
    scene, slot, codebook: chosen at first, the slot by default the first that is not spare.
    Raises `BadInput` if the dictionary is of other codebooks, if a codebook has no code with at least 5 objects, and for a single slot.
    """

    def __init__(self, model: SVQ | None = None, dictionary: Dictionary | None = None, world: RuleWorld | None = None, scene: int = 1,
                 slot: int | None = None, codebook: int = 1):
        self.model = load_pretrained("svq_rules", expect=SVQ) if model is None else model
        self.world = RuleWorld(samples=COUNTED, seed=HELD_OUT) if world is None else world
        quantizer = self.model.quantizer
        self.dictionary = look_up(collect_objects(self.model, self.world, COUNTED), quantizer.codes) if dictionary is None else dictionary
        if self.dictionary.uses.shape != (quantizer.codebooks, quantizer.codes):
            raise BadInput(f"this dictionary has {' × '.join(map(str, self.dictionary.uses.shape))} codes, the model "
                           f"{quantizer.codebooks} × {quantizer.codes}; look the model's own codes up.")
        self.scenes = self.world.batch(range(min(SCENES, len(self.world))))
        self._encode()
        self._entries = [self._stops(book) for book in range(quantizer.codebooks)]
        self._picture = CodePicture(quantizer.codebooks, self.model.num_slots, self.world.resolution)
        self._listed = codebook
        counted = [list(range(1, many + 1)) for many in (len(self.codes), self.model.num_slots, quantizer.codebooks, SYNONYMS)]
        slot = 1 + (int(self.spare_slot[scene - 1]) == 0) if slot is None else slot  # the first that is not the spare one
        choose = stops([0], "code", width="28em")
        choose.options, choose.readout = self._options(codebook), False  # what a code says is too long for it, and stands below the picture
        # a list and no slider: where a code has no synonym there is nothing to slide
        which = widgets.Dropdown(options=counted[3], description="synonym", layout={"width": "10em"}, style={"description_width": "initial"})
        if all(len(codes) == 1 for entries in self._entries for _, codes in entries):
            which.layout.display = "none"  # as with the shipped weights, where rare codes had a price
        super().__init__(
            self._picture.figure, self._picture.moving, scene=stops(counted[0], "scene", scene, width="14em"),
            slot=stops(counted[1], "slot", slot, width="13em"), codebook=stops(counted[2], "codebook", codebook, width="15em"),
            code=choose, synonym=which, spare=choice(["keep", "leave out"], "spare slot"))

    def update(self) -> str:
        if self.codebook.value != self._listed:  # another codebook has other codes: its slider starts anew, with nothing changed
            self._listed = self.codebook.value
            self.code.options = self._options(self._listed)
        scene, slot, book, fewer = self.scene.index, self.slot.index, self.codebook.index, self.spare.index
        codes = self.codes[scene].clone()
        codes[slot, book] = new = self._chosen()
        edited = self._paint(codes)
        read = parse(edited[None], self.world)
        before, after = ([(str(code), self._says(number, code)) for number, code in enumerate(line.tolist())]
                         for line in (self.codes[scene, slot], codes[slot]))
        self._picture.set(self.scenes["image"][scene], self.rebuilt[fewer, scene], edited, self.masks[scene], slot, book, before, after)
        states = self.states[fewer, scene]
        said = scene_words(states, self.world), scene_words(read["states"][0], self.world)
        spare = slot == int(self.spare_slot[scene])
        start = f"<b>Slot {slot + 1}, codebook {book + 1}</b>: code {before[book][0]}, {before[book][1]}"
        start += " (this is the spare slot: without it the picture hardly changes)" * spare
        if spare and fewer:
            return f"{start}. It is left out, so its codes change nothing: choose another slot, or keep it."
        left = f" Slot {int(self.spare_slot[scene]) + 1}, the spare one, is left out." if fewer else ""
        if new == self.codes[scene, slot, book]:
            return f"{start}. Nothing is changed. The scene: {'; '.join(said[0])}.{left}"
        change = words_of_change(states, read["states"][0], said, bool(read["parsable"][0]))
        return f"{start}, is replaced by code {new}, {after[book][1]}{self._alike()}. Result: {change}.{left}"

    def still(self, columns: int = 7) -> Figure:
        """The slot that is chosen now: a row for each codebook, at most `columns` of its codes in the order of the slider."""
        rows, scene, slot = {}, self.scene.index, self.slot.index
        for book, entries in enumerate(self._entries):
            some = [entries[round(n)] for n in torch.linspace(0, len(entries) - 1, min(columns, len(entries))).tolist()]
            codes = self.codes[scene].repeat(len(some), 1, 1)
            codes[:, slot, book] = torch.tensor([synonyms[0] for _, synonyms in some])
            titles = [f"{synonyms[0]}\n{_narrow(in_words(meaning))}" for meaning, synonyms in some]
            rows[f"codebook {book + 1}"] = self._paint(codes), titles
        return edits_figure(self.rebuilt[self.spare.index, scene], rows)

    @torch.no_grad()
    def _encode(self) -> None:
        """All scenes of the slider: codes and masks, and with all slots and without the spare one reconstructions and states."""
        out = self.model(self.scenes["image"], chance=start_chance(self.scenes))
        self.codes, self.masks = out.encoded.codes.indices, out.masks
        self.spare_slot = spare_slots(self.model, self.codes)
        size = self.world.resolution
        self.rebuilt = torch.stack([paint_codes(self.model, codes, size) for codes in (self.codes, leave_out(self.codes, self.spare_slot))])
        self.states = torch.stack([parse(images, self.world)["states"] for images in self.rebuilt])

    def _stops(self, book: int) -> list[tuple[Meaning, list[int]]]:
        """The meanings of a codebook whose codes are used most, in the order of the meanings."""
        entries = self.dictionary.entries(book, least=LEAST)
        common = sorted(entries, key=lambda meaning: -sum(int(self.dictionary.uses[book, code]) for code in entries[meaning]))[:MEANINGS]
        return [(meaning, codes) for meaning, codes in entries.items() if meaning in set(common)]

    def _options(self, codebook: int) -> list[tuple[str, int]]:
        entries = enumerate(self._entries[codebook - 1], start=1)
        return [("as it is", 0), *((f"{codes[0]} · {in_words(meaning)}", stop) for stop, (meaning, codes) in entries)]

    def _synonyms(self) -> list[int]:
        return self._entries[self.codebook.index][self.code.value - 1][1]

    def _chosen(self) -> int:
        """The code that the controls stand for."""
        if self.code.value == 0:
            return int(self.codes[self.scene.index, self.slot.index, self.codebook.index])
        synonyms = self._synonyms()
        return synonyms[self.synonym.index % len(synonyms)]

    def _alike(self) -> str:
        many = len(self._synonyms())
        return f" (synonym {self.synonym.index % many + 1} of {many})" if many > 1 else ""

    def _says(self, book: int, code: int) -> str:
        if not self.dictionary.uses[book, code]:
            return "a code that no object has"
        return self.dictionary.says(book, code)

    def _paint(self, codes: Int[Tensor, "*edits slots codebooks"]) -> Float[Tensor, "*edits 3 height width"]:
        """The pictures of codes of the scene of the slider, with its spare slot or without."""
        many, size = codes.reshape(-1, *codes.shape[-2:]), self.world.resolution
        if self.spare.index:
            many = leave_out(many, self.spare_slot[self.scene.index].expand(len(many)))
        with one_thread():
            return paint_codes(self.model, many, size).view(*codes.shape[:-2], 3, size, size)


def _narrow(words: str, width: int = 22) -> str:
    """Words on lines as narrow as a small picture; what stands between commas starts a line, lists break after a stroke, and no word is cut."""
    lines = [textwrap.fill(part.replace("/", "/ "), width, break_long_words=False) for part in words.split(", ")]
    return "\n".join(lines).replace("/ ", "/")
