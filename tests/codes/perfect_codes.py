"""An SVQ that is right by construction: codebook 1 is the place, 2 the kind, 3 the colour, 4 the size. So every answer is known."""

import torch

from course_lib.codes.svq import SVQ, Encoded
from course_lib.codes.world import RuleWorld

PLACE, KIND, COLOUR, SIZE = range(4)
SPARE = 3  # the slot that repeats the first object


class Perfect(SVQ):
    """Slots 1 to 3 are the objects in order, slot 4 is the first one's twin. Codes are looked up in the world, not seen."""

    def __init__(self, world: RuleWorld):
        super().__init__(slot_dim=8, codes=16, channels=4, hidden_dim=8, decoder_dim=8, decoder_layers=1)
        self.world, self.known = world, {}
        self.eval()

    def encode(self, image, num_slots=None, iterations=None, chance=None) -> Encoded:
        rows = []
        for picture in image:
            key = picture.numpy().tobytes()
            if key not in self.known:
                self._learn()
            rows.append(self.known[key])
        codes, attention = (torch.stack(each) for each in zip(*rows))
        slots = self.quantizer.lookup(codes)
        return Encoded(self.quantizer(slots)._replace(indices=codes, quantized=slots), slots, attention[:, None])

    def _learn(self) -> None:
        scenes = self.world.batch(range(len(self.world)))
        codes = torch.stack([scenes["place"], scenes["kind"], scenes["colour_index"], scenes["size_index"]], 2)
        codes = torch.cat([codes, codes[:, :1]], 1)
        for n, picture in enumerate(scenes["image"]):
            masks = torch.stack([scenes["ids"][n] == slot + 1 for slot in range(3)] + [scenes["ids"][n] == 0]).float()
            self.known[picture.numpy().tobytes()] = codes[n], masks[:, 2::4, 2::4]

    def decode(self, indices, height=64, width=64):
        """Slots are written one after the other: where two claim a place, the earlier one has it."""
        state = 1 + (indices[..., KIND] % 3 * 8 + indices[..., COLOUR] % 8) * 2 + indices[..., SIZE] % 2
        states = torch.zeros(len(indices), 9, dtype=torch.int64)
        for slot in reversed(range(indices.shape[1])):
            states[torch.arange(len(indices)), indices[:, slot, PLACE] % 9] = state[:, slot]
        return self.world.compose(states)["image"]

    def paint(self, slots, height=64, width=64, cells=None):
        """Reconstruction and masks of the slots' own codes; every place is asked of the slot that stands on it, else of the last."""
        codes = self.quantizer(slots).indices
        masks = torch.zeros(len(slots), slots.shape[1], height, width)
        masks[:, -1] = 1
        side = round(0.3125 * height)
        rim = (height - 3 * side) // 2
        for n, scene in enumerate(codes.tolist()):
            for slot in range(min(3, len(scene))):
                row, column = divmod(scene[slot][PLACE] % 9, 3)
                box = (n, slice(None), slice(rim + row * side, rim + (row + 1) * side), slice(rim + column * side, rim + (column + 1) * side))
                masks[box] = 0
                masks[n, slot, box[2], box[3]] = 1
        return self.decode(codes, height, width), masks
