"""Looking inside slot attention while it runs: what it computes, what it keeps for the backward pass, who gets a gradient."""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from course_lib.slots.attention import SlotAttention


def multiplications(call: Callable[[], object]) -> int:
    """How many multiplications the matrix products of `call()` take (half of its floating-point operations)."""
    with FlopCounterMode(display=False) as counter:
        call()
    return counter.get_total_flops() // 2


def saved_bytes(call: Callable[[], Tensor]) -> int:
    """Bytes of activations that autograd keeps from `call()` until the backward pass; leaves (weights, inputs) are not counted."""
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        if not tensor.is_leaf:
            storage = tensor.untyped_storage()
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    with saved_tensors_hooks(keep, lambda tensor: tensor):
        result = call()  # keeps the graph, and so every address, alive until all are counted
    total = sum(kept.values())
    del result
    return total


def gradient_norms(loss: Tensor, parts: dict[str, nn.Module]) -> dict[str, float]:
    """The Euclidean norm of the gradient of `loss` with respect to all weights of each part; 0 where none arrives."""
    norms = {}
    for name, part in parts.items():
        found = torch.autograd.grad(loss, list(part.parameters()), retain_graph=True, allow_unused=True)
        norms[name] = sum(float(g.double().square().sum()) for g in found if g is not None) ** 0.5
    return norms


@torch.no_grad()
def moves(attention: SlotAttention, inputs: Float[Tensor, "batch n dim"], slots: Float[Tensor, "batch k dim"],
          iterations: int) -> dict[str, list[float]]:
    """How far the GRU, then the MLP, and the two together move a slot, mean over slots, in each iteration; "gate" is the
    mean share of the old slot that the GRU keeps: z in GRU = (1 − z)·candidate + z·old."""
    found: dict[str, list[float]] = {"GRU": [], "MLP": [], "both": [], "gate": []}
    by_gru: list[Tensor] = []

    def on_gru(module: nn.GRUCell, arguments: tuple[Tensor, Tensor], result: Tensor) -> None:
        update, old = arguments
        _, z, _ = (update @ module.weight_ih.T + module.bias_ih + old @ module.weight_hh.T + module.bias_hh).chunk(3, 1)
        by_gru.append(result - old)
        found["GRU"].append(float(by_gru[-1].norm(dim=-1).mean()))
        found["gate"].append(float(z.sigmoid().mean()))

    def on_mlp(module: nn.Module, arguments: tuple[Tensor], result: Tensor) -> None:
        found["MLP"].append(float(result.norm(dim=-1).mean()))
        found["both"].append(float((by_gru[-1] + result.flatten(0, 1)).norm(dim=-1).mean()))

    hooks = [attention.gru.register_forward_hook(on_gru), attention.mlp.register_forward_hook(on_mlp)]
    try:
        attention(inputs, slots, iterations)
    finally:
        for hook in hooks:
            hook.remove()
    return found
