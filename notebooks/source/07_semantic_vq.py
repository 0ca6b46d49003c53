# %% [markdown]
# # 07 · Semantic vector quantisation: words for every object
#
# **The question of this notebook: what do codes of *objects* keep that codes of *patches* lose?**
#
# After this notebook you can
#
# - turn a picture into sixteen numbers, four for each of four slots, and back into a picture;
# - count what these numbers cost, nominal and entropy-coded, beside what the scene truly needs;
# - measure what a codebook *knows* about kind, colour, size and place, and say why knowing is not the same as *saying*;
# - change one property of one object by exchanging codes, and judge such edits without looking at them.
#
# *Measured: {{minutes.07_semantic_vq:.1f}} minutes on two CPU cores. Yours: two sittings of 45 minutes, exercises included; pause after section 5. Builds on: notebooks 05 (slots) and 06 (codes).*

# %% [markdown]
# ## 1 · From slots to words
#
# In notebook 06 a vector became a word from a list: it can be counted, and it has a rate. But the slots there had never been asked to speak, and in words they lost their colours. Now slots and words are trained *together*, and a picture becomes a few words for each object. Two things become possible:
#
# - **Editing.** Notebook 05 exchanged whole objects. Exchange one word, and one property of an object should change. This notebook tries it.
# - **Generating.** Tell a new scene word by word. That is notebook 08.
#
# One word for a whole object would need a long list: in the world below an object can be one of 432 things. A **product code** (notebook 06) cuts the slot into four parts of 16 numbers, each with a codebook of 512 codes of its own. So a slot says four words, and together they are its **phrase**. Four short lists can name $512^4$ things, and may divide the work: one for the colour, one for the place. *May*: nothing in the loss asks for it. We will measure.
#
# **The rule world** is made for Part III. Three objects stand on a grid of 3 × 3 places. Each is a circle, square or triangle, small or large, in one of eight colours, and *all three colours differ*: that is the rule. Nothing hides anything, and everything can be listed, so we know exactly what there is to know.
#
# **Predict first:** how many bits does one such scene need? Count: the places, the colours in order, kind and size of each.

# %%
import math

import torch

from course_lib.codes.loaders import create_datasets
from course_lib.core.claims import claim
from course_lib.slots.figures_training import scenes_sheet

data, world = create_datasets("rules", held_out=7000)
scenes = world.batch(range(100))
scenes_sheet({"rule world": scenes})

# %%
claim("codes.svq_scene_bits", world.entropy / math.log(2), above=22.53, below=22.55)
claim("codes.svq_object_bits", math.log2(world.places * world.values), above=8.74, below=8.76)

# %% [markdown]
# There are $\binom{9}{3}$ choices of places, $8 \cdot 7 \cdot 6$ of colours and $6^3$ of kinds and sizes, all equally likely: {{codes.svq_scene_bits:.2f}} bits a scene. One object by itself has $9 \cdot 8 \cdot 3 \cdot 2 = 432$ possibilities, {{codes.svq_object_bits:.2f}} bits. Keep the two numbers.

# %% [markdown]
# ## 2 · The pipeline
#
# Three boxes, of which you know two:
#
# 1. **Slot encoder** (notebook 05): convolutions, then slot attention. 4 slots of 64 numbers.
# 2. **Quantiser** (notebook 06): each slot is cut into 4 parts; each part becomes the nearest of 512 codes. 16 indices, and nothing else passes.
# 3. **Transformer decoder**, new: each 4 × 4 cell of the picture *asks* the slots, by cross-attention: softmax over slots of query · key, as in slot attention, but now the slots are read and not written. Three such layers, then 16 pixels. The broadcast decoder of notebook 05 lets each slot paint alone; here one place may use *all* slots at once.
#
# The loss is the squared error, divided by the variance of the pixels, plus the loss of the codes. This is **SVQ**, the semantic vector-quantised autoencoder (Wu, Lee & Ahn 2024).
#
# **After or inside?** The simplest way quantises once, *after* the last iteration of slot attention. The paper quantises *inside*, after every iteration, so that the next one asks with what the words say. One switch: `quantise="inside"`. We train a tiny model of either sort: pictures of 32 × 32, two objects, four colours, 3 slots, two codebooks of 32.
#
# **Predict first:** will the words come first, or the objects?

# %%
from course_lib.codes.figures_codes import two_ways_figure
from course_lib.codes.recipe import train_codes
from course_lib.codes.svq import SVQ
from course_lib.core.environment import fast
from course_lib.core.threads import one_thread

small, few = create_datasets("rules", resolution=32, objects=2, colours=4, samples=800, held_out=64)
tiny = dict(num_slots=3, slot_dim=32, codebooks=2, codes=32, num_iterations=2, channels=16, hidden_dim=32, decoder_dim=64, decoder_layers=2,
            restart=0.3, decay=0.95)  # so few steps need faster codes
short = dict(epochs=1 if fast() else 5, batch_size=8, lr=1e-3, fewer=0, more=0, progress=False)  # 100 steps an epoch
live = {}
for when in ("after", "inside"):
    torch.manual_seed(0)
    with one_thread():
        live[when] = train_codes(SVQ(quantise=when, **tiny), small, held_out=few, **short).epochs
two_ways_figure(live)

# %%
for when, epochs in live.items():
    claim(f"codes.svq_live_mse_{when}", epochs["mse"][-1], above=0, below=0.04, spread=0.005)
    claim(f"codes.svq_live_perplexity_{when}", epochs["perplexity"][-1], above=0.99 if fast() else 4.0, below=32.1, spread=3)
    claim(f"codes.svq_live_fg_ari_{when}", epochs["fg_ari"][-1], above=-0.3, below=0.8, spread=0.25)

# %% [markdown]
# The words come first. At the start all slots are alike, and a few words are enough. As soon as slots differ, unused codes are started anew from them and the list fills: at the end perplexity is {{codes.svq_live_perplexity_after:.0f}} (after) and {{codes.svq_live_perplexity_inside:.0f}} (inside) of 32, at errors of {{codes.svq_live_mse_after:.4f}} and {{codes.svq_live_mse_inside:.4f}}.
# FG-ARI has only begun to rise, {{codes.svq_live_fg_ari_after:.1f}} and {{codes.svq_live_fg_ari_inside:.1f}}: the words are not yet words for objects. A few seconds are too short to call either way the better one. The shipped model had many times as many steps, and on it we can ask again.

# %% [markdown]
# ## 3 · The trained model
#
# **Predict first:** sixteen indices for 64 × 64 × 3 values. What will be lost: edges, colours, whole objects?

# %%
from course_lib.codes.figures_codes import codes_figure
from course_lib.core.weights import load_pretrained
from course_lib.slots.scenes import start_chance

model = load_pretrained("svq_rules", expect=SVQ)
with torch.no_grad():
    out = model(scenes["image"], chance=start_chance(scenes))
codes_figure(scenes["image"][:3], out.reconstruction[:3], out.masks[:3], out.encoded.codes.indices[:3])

# %%
from course_lib.codes.editing import share_right
from course_lib.slots.metrics import scene_metrics

truth = world.states(scenes)
found = scene_metrics(scenes["ids"], out.masks)
claim("codes.svq_mse", (out.reconstruction - scenes["image"]).square().mean(), above=0, below=1e-3)
claim("codes.svq_read_right", share_right(out.reconstruction, truth, world), above=0.9)
claim("codes.svq_fg_ari", found["fg_ari"].nanmean(), above=0.9)
claim("codes.svq_full_ari", found["full_ari"].mean(), below=0.7)
model.inside = True  # the same weights, quantised inside
with torch.no_grad():
    inside = model(scenes["image"], chance=start_chance(scenes))
model.inside = False
claim("codes.svq_inside_mse", (inside.reconstruction - scenes["image"]).square().mean(), above=0, below=3e-3)
claim("codes.svq_inside_same", (inside.encoded.codes.indices == out.encoded.codes.indices).float().mean(), above=0.3)

# %% [markdown]
# Nothing that one can see is lost: the squared error is {{codes.svq_mse:.1g}}. Better than an error is a reader. The **parser** (`metrics.parse`) compares each place with all the pictures that a place can show, and reads the scene back as a list of objects. It reads {{codes.svq_read_right:.0%}} of 100 rebuilt scenes exactly as they are: every kind, colour, size and place.
#
# **Who owns what?** The third column shows, for each place, the slot that it asks most. On the objects this is right: FG-ARI {{codes.svq_fg_ari:.2f}}. Full ARI is only {{codes.svq_full_ari:.2f}}, because the black background (shown pale) is handed to anybody. Do not call it a failure: *black needs no one*. The decoder paints it whoever is asked. These masks are the attention of the decoder's last block, and not the weights of a mixture as in notebook 05.
#
# **Can such masks be trusted?** Two more trainings, equal but for their seed, paint as well (squared error {{runs.codes_seeds.svq_mse_1:.1g}} and {{runs.codes_seeds.svq_mse_2:.1g}}), and their slots part the objects as well (FG-ARI of slot attention {{runs.codes_seeds.svq_attention_fg_ari_1:.2f}} and {{runs.codes_seeds.svq_attention_fg_ari_2:.2f}}). But the FG-ARI of their masks is {{runs.codes_seeds.svq_fg_ari_1:.2f}} and {{runs.codes_seeds.svq_fg_ari_2:.2f}}: where an object lies, the last block asks mostly the slot *without* one. The blocks before it have asked the right slot ({{runs.codes_seeds.svq_block_1_fg_ari_1:.3f}} in the first, {{runs.codes_seeds.svq_block_2_fg_ari_1:.3f}} in the second). By the last block the object has been read, and no term of the loss says whom to ask when one knows already. So attention tells where a block looked, and not what the picture depends on. For that, exchange something and look (section 7).
#
# **After or inside, again.** This model was trained with `quantise="after"`. Switch it to `"inside"` without any training, and the error is {{codes.svq_inside_mse:.1g}}; {{codes.svq_inside_same:.0%}} of all indices stay the same. A good code is so near its slot that the next iteration hardly notices. To this trained model the switch matters little. Whether it matters in *training* is another question: notebook 09 trains both ways.

# %% [markdown]
# ## 4 · What do sixteen words cost?
#
# **Nominal rate:** 4 slots × 4 codebooks × $\log_2 512$ = 144 bits. That is the cost if all codes are equally likely. **Entropy-coded:** a code that is used often gets a short name, and costs $\log_2 1/p$ bits. Its mean is the entropy $H$ (notebook 06).
#
# **Predict first:** will the entropy-coded rate come near the {{codes.svq_scene_bits:.2f}} bits of a scene?
#
# We need a table: 7000 held-out scenes, and for each object its slot and the codes of that slot. An object's slot is the one that took most of it in the last attention.

# %%
from course_lib.codes.meaning import agreement, collect_objects
from course_lib.codes.quantizer import entropy_bits

objects = collect_objects(model, world, 7000)
per_book = entropy_bits(model.quantizer.counts(objects.scenes))  # of all slots of all scenes
alike = agreement(objects)  # how often two objects that are alike in everything have the same code
for book, (bits, same) in enumerate(zip(per_book, alike), start=1):
    print(f"codebook {book}: entropy {bits:.1f} bits, perplexity {bits.exp2():.0f} of 512; two like objects share a code in {same:.0%}")

# %%
claim("codes.svq_objects", len(objects), above=20_000)
claim("codes.svq_lost", objects.lost, above=-1e-9, below=0.05)
claim("codes.svq_nominal_bits", model.num_slots * model.quantizer.bits, above=143.9, below=144.1)
claim("codes.svq_entropy_bits", model.num_slots * per_book.sum(), above=22.55, below=143.9)
claim("codes.svq_slot_bits", per_book.sum(), above=8, below=36)
claim("codes.svq_perplexity_min", per_book.min().exp2(), above=2, below=512)
claim("codes.svq_perplexity_max", per_book.max().exp2(), above=4, below=512)
claim("codes.svq_alike_min", alike.min(), above=0.01, below=1.001)
claim("codes.svq_alike_max", alike.max(), above=0.05, below=1.001)

# %% [markdown]
# The table has {{codes.svq_objects:.0f}} objects; only {{codes.svq_lost:.1%}} have no slot of their own. Entropy-coded, a scene costs {{codes.svq_entropy_bits:.0f}} bits instead of {{codes.svq_nominal_bits:.0f}}, but not {{codes.svq_scene_bits:.1f}}. One slot costs {{codes.svq_slot_bits:.1f}} bits, where an object has {{codes.svq_object_bits:.2f}}. Where does the rest go? Four ways to say too much:
#
# - **Synonyms.** Take two objects that are alike in everything. They have the same code in {{codes.svq_alike_min:.1%}} to {{codes.svq_alike_max:.1%}} of the cases, depending on the codebook. What is missing to 100% is a choice between codes that mean the same: noise, and noise costs bits.
# - **Repetition.** Two codebooks that both know the size both pay for it. Here each code is counted by itself; a prior that knows the other codes would pay less.
# - **Order.** Slots are a set, but they are written as a list. The order of four slots costs up to $\log_2 4! = 4.6$ bits, and says nothing.
# - **One slot too many.** Three objects, four slots. Section 5.
#
# A codebook uses {{codes.svq_perplexity_min:.0f}} to {{codes.svq_perplexity_max:.0f}} of its 512 codes (perplexity). That is no accident, and no disease. With 512 codes and nothing that charges for them, a codebook fills up with synonyms. Our training charges the price of notebook 06 (`rate_weight`): of two codes that would do, the more frequent one wins, and the other dies out. Train with `model.rate_weight=0` to see the codebooks fill.
#
# ### Exercise: a word has its price
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_choice(distances, shares, weight)`: `distances` (n, codes) are squared distances of n vectors to all codes of a codebook, `shares` (codes,) say how often each code is used, 0 to 1. Return for each vector the code with the least *distance − weight · ln share*, (n,). A code that was never used must not give
# NaN: count its share as $10^{-6}$.
#
# **Predict first:** take the slots of 50 scenes and raise the weight from 0. What falls first, the bits or the picture? The target: at weight {{codes.svq_price_trained:.1f}}, that of the training, your choices are the model's own, all of them; and the line in the figure below falls like a cliff before it turns into a slope.

# %%
from course_lib.codes.exercises_svq import check


def my_choice(distances, shares, weight):
    ### BEGIN SOLUTION
    # stub: return distances.argmin(1)  # every word is free
    return (distances - weight * shares.clamp(min=1e-6).log()).argmin(1)
    ### END SOLUTION


check.priced(my_choice)

# %%
from course_lib.codes.generation import paint_codes
from course_lib.slots.figures_attention import lines_figure

quantizer, few = model.quantizer, scenes["image"][:50]
shares = quantizer.uses / quantizer.uses.sum(1, keepdim=True)
parts = out.encoded.slots[:50].detach().reshape(200, 4, 16)  # (slots, codebooks, numbers of a code)
weights, bits, errors, same = (0.0, 0.02, 0.2, 0.5, 1.0, 2.0, 5.0), [], [], []
for weight in weights:
    chosen = [my_choice(torch.cdist(parts[:, book], quantizer.codebook[book]).square(), shares[book], weight) for book in range(4)]
    chosen = torch.stack(chosen, 1).view(50, 4, 4)  # (scenes, slots, codebooks)
    bits.append(float(entropy_bits(quantizer.counts(chosen)).sum()))
    errors.append(float((paint_codes(model, chosen) - few).square().mean()))
    same.append(float((chosen == out.encoded.codes.indices[:50]).float().mean()))
    print(f"weight {weight:<4g} {bits[-1]:4.1f} bits a slot, error {errors[-1]:.1e}, {same[-1]:.0%} as the model chose")
lines_figure(errors, {"weights 0 (top) to 5 (right)": bits}, "distortion: squared error", "rate: entropy of a slot's codes, bits", "Words with a price")

# %%
claim("codes.svq_price_trained", quantizer.rate_weight, above=0.19, below=0.21)

# %% tags=["solution-only"]
claim("codes.svq_price_same", same[2], above=0.99)
claim("codes.svq_price_free_bits", bits[0], above=20)
claim("codes.svq_price_bits", bits[2], above=8, below=20)
claim("codes.svq_price_free_mse", errors[0], above=0, below=1e-3)
claim("codes.svq_price_mse", errors[2], above=0, below=1e-3)
claim("codes.svq_price_dear_bits", bits[-1], above=0, below=10)
claim("codes.svq_price_dear_mse", errors[-1], above=5e-3, below=0.1)

# %% [markdown]
# From top to bottom. Free words cost {{codes.svq_price_free_bits:.0f}} bits a slot; at the price of the training {{codes.svq_price_bits:.0f}} are enough, and the error stays as small as it was ({{codes.svq_price_free_mse:.0e}} and {{codes.svq_price_mse:.0e}}): what went were synonyms. Only when the price goes on rising do words fall away that mean something: at weight 5 there are {{codes.svq_price_dear_bits:.0f}} bits left, and the error is
# {{codes.svq_price_dear_mse:.2f}}. It is the curve of notebook 03 again, with rate and distortion, on words.

# %% [markdown]
# ## 5 · What does each slot say alone?
#
# Give the decoder one slot at a time. **Predict first:** what will the fourth slot paint?

# %%
from course_lib.codes.editing import leave_out, spare_slots
from course_lib.codes.figures_codes import versus_figure
from course_lib.codes.metrics import parse

codes = objects.scenes[:100]  # (scenes, slots, codebooks)
rows = {"all four slots": paint_codes(model, codes[:8])}
for slot in range(4):
    rows[f"slot {slot + 1} alone"] = paint_codes(model, codes[:8, [slot]])
versus_figure(rows)

# %%
spare = spare_slots(model, codes)  # in each scene the slot without which the picture changes least
without = parse(paint_codes(model, leave_out(codes, spare)), world)
claim("codes.svq_spare", (without["parsable"] & (without["states"] == truth).all(1)).float().mean(), above=0.8)
alone = parse(paint_codes(model, codes[torch.arange(100), spare][:, None]), world)
claim("codes.svq_spare_twin", (alone["present"] & (alone["states"] == truth)).any(1).float().mean(), above=-1e-9, below=0.95)

# %% [markdown]
# In each column the slots show one object each, and one slot is left over. There is nothing for it to say, but it must take four codes from its lists like the others. In {{codes.svq_spare:.0%}} of the scenes there is such a **spare slot**: leave it out, and the parser reads the same scene.
# Two things can become of it. It may *repeat* an object that another slot has: the ties of notebook 05, with nothing in the loss that objects. Or it finds words for *silence*: the same phrase in scene after scene, to which the decoder does not listen (look for them in the figure of section 3). In this model a spare slot that is alone paints an object of its scene in {{codes.svq_spare_twin:.0%}} of the cases; in the others it paints nothing, or a shadow.
#
# A slot alone may also paint a pale ghost beside its object. In training the decoder never met a slot alone: it has learned who paints which place by weighing slots *against each other*.

# %% [markdown]
# ## 6 · What does a codebook know?
#
# Draw an object at random. Somebody tells you its code $C$ in one codebook. How much do you now know about its colour $F$? The answer in bits is the **mutual information**
#
# $$I(C; F) = H(C) + H(F) - H(C, F),$$
#
# with the entropies taken from counts. It is 0 if code and colour have nothing to do with each other, and $H(F)$ if the code settles the colour. It does not matter which code stands for which colour, and synonyms do no harm.
#
# ### Exercise: mutual information
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_information(codes, values)`: two tensors (objects,) of whole numbers from 0 on; return $I$ in bits, from counts. The target figure shows four invented codebooks.

# %%
from course_lib.codes.exercises_svq import information_target

information_target()


# %%
def my_information(codes, values):
    ### BEGIN SOLUTION
    # stub: return 0.0  # nothing is known
    def entropy(numbers):
        p = torch.bincount(numbers) / len(numbers)
        return -(p[p > 0] * p[p > 0].log2()).sum()

    return entropy(codes) + entropy(values) - entropy(codes * (values.max() + 1) + values)
    ### END SOLUTION


check.information(my_information)

# %% [markdown]
# **A trap.** With few objects, each code has been seen with few colours only, and seems to know them: counts make the information too large. So three precautions: more than 20,000 objects, a correction of the entropies for the number of filled bins (Miller & Madow 1955), and beside the result the same with the *codes shuffled* among the objects, where the truth is 0.
#
# **Predict first:** will each factor have a codebook of its own?

# %%
from course_lib.codes.figures_codes import information_figure
from course_lib.codes.meaning import FACTORS, information

names = (*FACTORS, "place")  # size, colour, kind, row, column; and row and column together
knows = information(objects, names)
information_figure(knows["share"], knows["shuffled"], names)

# %%
best = dict(zip(names, knows["share"].max(0).values))
second = dict(zip(names, knows["share"].sort(0).values[-2]))
for name in FACTORS:
    claim(f"codes.svq_knows_{name}", best[name], above=0.25, below=1.01)
claim("codes.svq_knows_best", max(best[name] for name in FACTORS), above=0.6, below=1.01)
claim("codes.svq_knows_twice", min(second[name] for name in ("size", "colour", "kind")), above=0.05, below=1.01)
claim("codes.svq_shuffled", knows["shuffled"].abs().max(), below=0.05)

# %% [markdown]
# A number is the share of the factor's entropy. Read the columns. The codebook that knows most about the size has {{codes.svq_knows_size:.0%}} of its entropy; for the kind it is {{codes.svq_knows_kind:.0%}}, for the row {{codes.svq_knows_row:.0%}}, for the column {{codes.svq_knows_column:.0%}}, for the colour {{codes.svq_knows_colour:.0%}}. Shuffled codes know at most {{codes.svq_shuffled:.1%}}. Nobody told the model that there are such things as a size or a row.
#
# But it is not one factor, one codebook. Of size, colour and kind the *second-best* codebook still has at least {{codes.svq_knows_twice:.0%}}: knowledge is written down more than once. And where no codebook has all of it, it is shared out: one code leaves a few colours open, and another settles which. Which codebook knows what changes from training to training. (The paper calls the parts of a slot *blocks*. It has more and smaller ones and updates each on its own, `update="blocks"`, to part the factors better.)

# %% [markdown]
# ## 7 · Change a code, change the object
#
# Now the explorer. For each code it knows the fewest values that 80% of its objects have: a code may say "red, upper row", or "red/pink circle" if it leaves two colours open. The `code` slider stops at what the codes of this codebook say, in order; where two codes say the same, `synonym` chooses between them, and with this model it does not even appear. **Predict first:** put a code that says another colour into the codebook that knows the colour best. Will the object take the new colour?
#
# Then try the other codebooks, and leave out the spare slot. (By hand: `explorer.codebook.value = 2`.)

# %%
from course_lib.codes.explorer import CodeExplorer
from course_lib.codes.meaning import look_up

dictionary = look_up(objects, model.quantizer.codes)
explorer = CodeExplorer(model, dictionary, world, scene=2, codebook=1 + int(knows["share"][:, names.index("colour")].argmax()))
explorer.show()

# %% [markdown]
# The same without a kernel: one object, a row for each codebook, some of its codes. A white line runs around what changed; below each number stands what the code says.
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![One scene with one code of its orange circle replaced, a row for each of four codebooks and a column for each code: some codes give it another colour or another place, some paint it as another shape or a second time, and some change nothing](../data/pictures/codes_grid.png)
#
# </details>

# %%
explorer.spare.value = "leave out"
explorer.still()

# %% [markdown]
# One word is often not enough. One codebook now says something new, and another still says the old: the words *contradict* each other, and the object stays as it is, or becomes something that no scene of this world ever showed. A code for another place may even paint a second object, half of it.
#
# So take words from somebody who uses them rightly: a **donor**, an object elsewhere that differs from ours in *one* factor and in nothing else. Take over the donor's codes, from the best informed codebook first, then from the second-best too, and so on. The edit is right if the parser reads exactly the scene that we want: the new object, the two others as they were, and nothing else.
#
# ### Exercise: exchange the best informed codes
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_exchange(codes, slot, donor, share, many)`: `codes` (slots, codebooks) of one scene, the `slot` to be changed, `donor` (codebooks,) the codes of the donor, `share` (codebooks,) what each codebook knows about the factor. Return new codes (slots, codebooks) in which the slot has the donor's codes in the `many` best informed codebooks.
# Do not change the tensors you are given. The target is the figure below the check, one scene with 0 to 4 codes of a donor: the object has the new colour in the end, and nothing else is new.

# %%
def my_exchange(codes, slot, donor, share, many):
    ### BEGIN SOLUTION
    # stub: return codes.clone()  # nothing exchanged yet
    new, books = codes.clone(), share.argsort(descending=True)[:many]
    new[slot, books] = donor[books]
    return new
    ### END SOLUTION


check.exchange(my_exchange)

# %% [markdown]
# Your function on one scene: change the colour with 0 to 4 codes of a donor.

# %%
from course_lib.codes.editing import plan
from course_lib.codes.figures_codes import edits_figure

edits = plan(objects, world, "colour", edits=8).without_spare(model)
share = knows["share"][:, names.index("colour")]
new = torch.stack([my_exchange(edits.scenes[0], int(edits.slot[0]), edits.donor[0], share, many) for many in range(5)])
edits_figure(paint_codes(model, edits.scenes[:1])[0], {"new colour": (paint_codes(model, new), [f"{many} code{'s' * (many != 1)}" for many in range(5)])})

# %% [markdown]
# Now all four factors, 60 scenes each, judged by the parser. **Predict first:** a codebook that knows nearly all about a factor: will its code be enough to change it?

# %%
from course_lib.codes.editing import CHANGES, by_number
from course_lib.codes.figures_codes import edit_success_figure

right, kept = {}, {}
for change in CHANGES:
    order = knows["share"][:, names.index(change)].argsort(descending=True).tolist()
    edits = plan(objects, world, change, edits=60)
    kept[change] = by_number(model, world, edits, order)
    right[change] = by_number(model, world, edits.without_spare(model), order)
edit_success_figure(right)

# %%
claim("codes.svq_edit_one", max(shares[1] for shares in right.values()), below=0.8)
claim("codes.svq_edit_colour_one", right["colour"][1], above=-1e-9, below=0.8)
claim("codes.svq_edit_colour_two", right["colour"][2], above=right["colour"][1])
claim("codes.svq_edit_all", min(shares[4] for shares in right.values()), above=0.7)
claim("codes.svq_edit_place", right["place"][4], above=0.7)
claim("codes.svq_edit_place_kept", kept["place"][4], above=0.3)

# %% [markdown]
# With the one best informed code {{codes.svq_edit_colour_one:.0%}} of the colour edits come out right, and no factor does better than {{codes.svq_edit_one:.0%}}, although there are codebooks that *know* {{codes.svq_knows_best:.0%}} of a factor. With two it is {{codes.svq_edit_colour_two:.0%}} for the colour. With all four codes the object *is* the donor, and at least {{codes.svq_edit_all:.0%}} of the edits are right for every factor.
# So the heat map has a limit. **Mutual information says what a listener can learn from a code. It does not say what the decoder listens to**: the decoder hears all four codes and believes them together.
#
# The figure is made without the spare slot. Without it, {{codes.svq_edit_place:.0%}} of the moves to another place are right with all four codes; if it is kept, {{codes.svq_edit_place_kept:.0%}}. A spare slot that repeats the object leaves a double behind.

# %% [markdown]
# ## 8 · Patches at the same bits
#
# The **patch VQ-VAE** (van den Oord et al. 2017) is the same model without objects: convolutions down to 4 × 4 patches of 16 × 16 pixels, one of 512 codes for each, the same decoder. 16 × 9 = 144 bits: the same nominal rate, and the same training. **Predict first:** which of the two rebuilds better?
#
# And what happens when *one* code is replaced by another? To be fair, we change only codes that say something: in SVQ those of the three slots that are needed, and in the patch model those of patches on which an object lies. The new code is one that occurs there in another scene.

# %%
from course_lib.codes.editing import one_code_changed, outcomes, patches_of
from course_lib.codes.figures_codes import outcomes_figure
from course_lib.codes.vqvae import PatchVQ

patch = load_pretrained("vqvae_rules", expect=PatchVQ)
with torch.no_grad():
    patched = patch(scenes["image"])
patch_codes = patched.encoded.codes.indices  # (scenes, 16 patches, 1 codebook)
changed = {"SVQ": paint_codes(model, one_code_changed(leave_out(codes, spare))),
           "patches": paint_codes(patch, one_code_changed(patch_codes, patches_of(truth, world)))}
rows = {"picture": scenes["image"][:8], "SVQ": out.reconstruction[:8], "SVQ, one\ncode changed": changed["SVQ"][:8],
        "patches": patched.reconstruction[:8], "patches, one\ncode changed": changed["patches"][:8]}
versus_figure(rows, {"SVQ, one\ncode changed": "SVQ", "patches, one\ncode changed": "patches"})

# %%
patch_read = parse(patched.reconstruction.clamp(0, 1), world)
both = patch_read["parsable"] & (patch_read["states"] == truth).all(1) & without["parsable"] & (without["states"] == truth).all(1)
after = {name: outcomes(images[both], truth[both], world) for name, images in changed.items()}
outcomes_figure(after)

# %%
claim("codes.patch_mse", (patched.reconstruction - scenes["image"]).square().mean(), above=0, below=0.02)
claim("codes.patch_read_right", share_right(patched.reconstruction, truth, world), above=0.2)
claim("codes.patch_entropy_bits", 16 * entropy_bits(patch.quantizer.counts(patch_codes)).sum(), above=22.55, below=144)
claim("codes.svq_one_code_object", after["SVQ"]["one object"], above=0.15)
claim("codes.svq_one_code_nothing", after["SVQ"]["nothing"], above=0.0, below=0.8)
claim("codes.svq_one_code_lost", after["SVQ"]["not readable"], below=0.6)
claim("codes.patch_one_code_object", after["patches"]["one object"], above=0.1)
claim("codes.patch_one_code_nothing", after["patches"]["nothing"], above=0.0, below=0.8)
claim("codes.patch_one_code_lost", after["patches"]["not readable"], above=-1e-9, below=0.6)

# %% [markdown]
# **Rebuilding.** The patches have a squared error of {{codes.patch_mse:.1g}} against {{codes.svq_mse:.1g}}, and {{codes.patch_read_right:.0%}} of their pictures are read rightly, against {{codes.svq_read_right:.0%}}. Entropy-coded they cost {{codes.patch_entropy_bits:.0f}} bits, SVQ {{codes.svq_entropy_bits:.0f}}: most patches are black, and what is frequent is cheap. **For rebuilding nobody needs objects.** A patch always knows its place, no slot must first be found for it, and none is left over.
#
# **One code changed** (in scenes that both models rebuild rightly). With SVQ nothing changes in {{codes.svq_one_code_nothing:.0%}} of the scenes, one object becomes another, comes, goes or moves in {{codes.svq_one_code_object:.0%}}, and {{codes.svq_one_code_lost:.0%}} can no longer be read; in the rest several objects change. With patches the three are {{codes.patch_one_code_nothing:.0%}}, {{codes.patch_one_code_object:.0%}} and {{codes.patch_one_code_lost:.0%}}. Not even here are objects ahead: the words of a slot contradict one another as soon as one of them changes. And look at the last row: one patch code can put in a whole object. The convolutions before a code see 91 × 91 pixels, more than the picture, and the decoder asks all patches at once. "Patch" says where a code sits, not what it may say.
#
# So what *do* codes of objects keep? An object is made of several codes in either model. Exchange **all** codes of an object. In SVQ these are the four of its slot. With patches they are the codes of all patches on which the object lies, taken from a scene in which the donor stands at the same place. Again 60 edits of each sort, again judged by the parser. **Predict first:** which share is right with slots, and which with patches?

# %%
from course_lib.codes.editing import edited_right, exchange_patches
from course_lib.slots.figures_scenes import table_figure

whole, touched = {"SVQ": [], "patches": []}, []
for change in ("kind", "size", "colour"):
    edits = plan(objects, world, change, edits=60)
    new, where = exchange_patches(patch, world, edits)
    touched.append(where.sum(1).float().mean())
    whole["SVQ"].append(edited_right(model, world, edits.without_spare(model), range(4)))
    whole["patches"].append(share_right(paint_codes(patch, new), edits.target, world))
table_figure(torch.tensor(list(whole.values())), list(whole), ["kind", "size", "colour"], "All codes of an object exchanged", "share that is right")

# %%
claim("codes.patch_per_object", sum(touched) / 3, above=1.5, below=5)
claim("codes.patch_exchange", max(whole["patches"]), above=-1e-9, below=min(whole["SVQ"]))

# %% [markdown]
# With slots at least {{codes.svq_edit_all:.0%}} of the edits are right, with patches at most {{codes.patch_exchange:.0%}}. An object lies on {{codes.patch_per_object:.1f}} patches on average and shares them with its neighbours: take its patches from another scene, and what they say about *that* scene's objects comes along. A move to another place is no exchange at all for patches, since the grid cuts the object differently there.
#
# A patch's codes speak of a *region* and of whatever is in it. A slot's codes speak of one *thing*, wherever it is. This is what codes of patches lose: not the pixels, but which codes belong to one thing, and where the next begins. Whether it also helps to *tell* new scenes is the question of notebook 08.

# %% [markdown]
# ## 9 · Failure gallery
#
# Four failures of the trained model, each by one switch.

# %%
import copy

from course_lib.slots.failures import failure
from course_lib.slots.figures_training import failure_gallery

with torch.no_grad():
    two = model(scenes["image"], num_slots=2, chance=start_chance(scenes))
    once = model(scenes["image"], iterations=1, chance=start_chance(scenes))
    poor, many = copy.deepcopy(model), model.quantizer.counts(objects.scenes)
    poor.quantizer.codebook[many < many.topk(6).values[:, -1:]] = 1e3  # all but the six most used codes are out of reach
    poor = poor(scenes["image"], chance=start_chance(scenes))
    column = [codes[:, :, book].flatten()[torch.randperm(400, generator=torch.Generator().manual_seed(book))].view(100, 4) for book in range(4)]
    drawn = model.paint(model.quantizer.lookup(torch.stack(column, 2)))
gallery = [
    failure("Two slots for three objects", "Two objects share a slot, and four words cannot name two things.", scenes, two.masks, two.reconstruction, which=1),
    failure("One iteration", "The worst of 100 scenes. Each object has an owner, so FG-ARI sees no fault. But no slot has settled yet, and the words name a wrong colour.",
            scenes, once.masks, once.reconstruction, which=int((once.reconstruction - scenes["image"]).square().mean((1, 2, 3)).argmax())),
    failure("Six codes in each codebook", "The objects are found, but there is no word for what they are: the nearest one is said.", scenes, poor.masks, poor.reconstruction, which=1),
    failure("Words by chance", "Each code is drawn from its own codebook, as often as it is used, without regard to the others. The words do not agree.",
            scenes, drawn[1], drawn[0], which=1),
]
failure_gallery(gallery)

# %%
from course_lib.codes.metrics import judge

claim("codes.svq_two_slots_right", share_right(two.reconstruction, truth, world), above=-1e-9, below=0.3)
claim("codes.svq_once_right", share_right(once.reconstruction, truth, world), above=-1e-9, below=share_right(out.reconstruction, truth, world))
claim("codes.svq_six_codes_right", share_right(poor.reconstruction, truth, world), above=-1e-9, below=0.5)
claim("codes.svq_six_codes_fg_ari", scene_metrics(scenes["ids"], poor.masks)["fg_ari"].nanmean(), above=0.2)
claim("codes.svq_chance_right", judge(drawn[0].clamp(0, 1), world)["right"].float().mean(), above=-1e-9, below=0.5)

# %% [markdown]
# With two slots {{codes.svq_two_slots_right:.0%}} of the scenes are read rightly; after one iteration {{codes.svq_once_right:.0%}}; with six codes in each codebook {{codes.svq_six_codes_right:.0%}}, although FG-ARI is still {{codes.svq_six_codes_fg_ari:.2f}}: FG-ARI asks *who*, not *what*. **The diagnostic:** the share of scenes that are read rightly, beside FG-ARI.
#
# In the last row nobody asked for a certain scene, so we ask only whether the picture is a scene of this world at all, three whole objects of three colours:
# {{codes.svq_chance_right:.0%}} are. Each word by itself is a good one. What is missing is the grammar: which words go together, within a slot and between slots. Learning it is the subject of notebook 08.

# %% [markdown]
# ## What you found
#
# - Four codes for each of four slots rebuild a scene of the rule world almost without loss: MSE {{codes.svq_mse:.1g}}, and {{codes.svq_read_right:.0%}} of the scenes are read back exactly.
# - They cost {{codes.svq_nominal_bits:.0f}} bits nominal and {{codes.svq_entropy_bits:.0f}} entropy-coded; the scene needs {{codes.svq_scene_bits:.2f}}. The rest is synonyms, repetition, order, and a fourth slot with nothing to say.
# - Codebooks come to know factors that nobody named: {{codes.svq_knows_size:.0%}} of the size's entropy, {{codes.svq_knows_colour:.0%}} of the colour's. But factors are known more than once, and mixed.
# - Knowing is not saying: one exchanged code gives the right colour in {{codes.svq_edit_colour_one:.0%}} of the cases, two in {{codes.svq_edit_colour_two:.0%}}, all four codes the right object in at least {{codes.svq_edit_all:.0%}}.
# - For rebuilding, patches at the same nominal bits do as well: MSE {{codes.patch_mse:.1g}} against {{codes.svq_mse:.1g}}. But exchange all codes of an object, and at most {{codes.patch_exchange:.0%}} of such edits are right with patches, at least {{codes.svq_edit_all:.0%}} with slots. **What codes of objects keep is the object**: one thing that can be changed without the others.
#
# You can change a scene word by word. Notebook 08 leaves the choice of the words to a machine: does it find out which words go together?
#
# **References.** Y.-F. Wu, M. Lee & S. Ahn, *Neural Language of Thought Models* (ICLR 2024, arXiv 2402.01203), sec. 3.1 (semantic vector quantisation, inside the iterations, block by block); its earlier title was *Structured World Modeling via Semantic Vector Quantization*. A. van den Oord et al., *Neural Discrete Representation Learning* (2017), sec. 3 and appendix A.1.
# F. Locatello et al., *Object-Centric Learning with Slot Attention* (2020), sec. 2.1. G. Singh, F. Deng & S. Ahn, *Illiterate DALL-E Learns to Compose* (SLATE, ICLR 2022), sec. 3: a transformer that decodes slots. G. Singh, Y. Kim & S. Ahn, *Neural Systematic Binder* (ICLR 2023): blocks of a slot. H. Jégou et al., *Product Quantization* (2011), sec. II. P. Chou, T. Lookabaugh & R. Gray, *Entropy-Constrained Vector Quantization* (1989). G. Miller, *Note on the Bias of Information Estimates* (1955).
