"""The transformer decoder: attention like torch's own, and every place on its own."""

import pytest
import torch
from torch import nn

from course_lib.codes.decoder import CrossAttention, TransformerDecoder
from course_lib.core.errors import BadInput
from course_lib.slots.autoencoder import cell_centres


def test_cross_attention_is_that_of_torch_on_shared_weights():
    ours, theirs = CrossAttention(12, 3).double(), nn.MultiheadAttention(12, 3, batch_first=True).double()
    with torch.no_grad():
        theirs.in_proj_weight.copy_(torch.cat([ours.to_query.weight, ours.to_keys_values.weight]))
        theirs.in_proj_bias.copy_(torch.cat([ours.to_query.bias, ours.to_keys_values.bias]))
        theirs.out_proj.load_state_dict(ours.out.state_dict())
    places, codes = torch.randn(2, 7, 12).double(), torch.randn(2, 5, 12).double()
    found, weights = ours(places, codes)
    asked, shares = theirs(ours.norm_places(places), codes, codes, average_attn_weights=False)
    middle = places + asked
    torch.testing.assert_close(found, middle + ours.mlp(ours.norm_mlp(middle)))
    torch.testing.assert_close(weights, shares)


def test_a_place_is_painted_alone():
    """Whichever other places are asked."""
    decoder, slots, places = TransformerDecoder(8, 16, layers=2, heads=2).double(), torch.randn(2, 3, 8).double(), cell_centres(16, 24, 4).double()
    whole = decoder(slots, places, 6)
    assert whole.reconstruction.shape == (2, 3, 16, 24) and whole.masks.shape == (2, 3, 16, 24)
    one = decoder(slots, places[7:8], 1)
    torch.testing.assert_close(one.reconstruction, whole.reconstruction[..., 4:8, 4:8])
    torch.testing.assert_close(one.masks, whole.masks[..., 4:8, 4:8])


def test_masks_are_shares_and_the_order_of_codes_means_nothing():
    decoder, slots, places = TransformerDecoder(8, 16).double(), torch.randn(2, 4, 8).double(), cell_centres(8, 8, 4).double()
    painted, order = decoder(slots, places, 2), torch.tensor([2, 0, 3, 1])
    torch.testing.assert_close(painted.masks.sum(1), torch.ones(2, 8, 8).double())
    again = decoder(slots[:, order], places, 2)
    torch.testing.assert_close(again.reconstruction, painted.reconstruction)
    torch.testing.assert_close(again.masks, painted.masks[:, order])


def test_heads_must_share_evenly():
    with pytest.raises(BadInput, match="^10 numbers cannot be shared out evenly among 4 heads.$"):
        TransformerDecoder(8, 10)
