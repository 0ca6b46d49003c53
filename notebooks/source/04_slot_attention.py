# %% [markdown]
# # 04 · Slot attention: who gets which input?
#
# **The question of this notebook: how can a few vectors share out a picture among themselves, when nothing says who should take what?**
#
# After this notebook you can
#
# - compute one iteration of slot attention with pencil and paper;
# - say why the softmax runs over the slots, and show what happens when it does not;
# - prove in two lines that no slot is special, and see what follows for slots that start alike;
# - choose between full, implicit and bi-level gradients, and say who is taught by each.
#
# *Measured: {{minutes.04_slot_attention:.1f}} minutes on two CPU cores. Yours: two sittings of 40 minutes, exercises included; pause after section 6. Builds on: softmax and the mean; notebook 03 for the word nat.*

# %% [markdown]
# ## 1 · From one number to a few slots
#
# In Part I a bottleneck let one number pass. A picture with five objects does not fit into one number. It does not fit well into one vector either: a vector has no place that says "here the second object begins".
# So Part II cuts the bottleneck into pieces of equal form. Four words for the rest of it:
#
# - An **input** is a vector that describes one place of a picture. An encoder makes them: for us a grid of 16 × 16 places, so 256 inputs.
# - A **slot** is a vector that shall describe one *thing*. There are few of them, say 7, and each may look at every input.
# - **Attention** $A$ is a table with a row for each slot and a column for each input. $A_{kn}$ is the share of input $n$ that slot $k$ takes.
# - **Slot attention** (Locatello et al. 2020) is a rule that fills this table, moves the slots, and does so again, for a few **iterations**.
#
# Nobody says which slot takes which object. The rule must settle it on its own, and this notebook is about how.

# %% [markdown]
# ## 2 · One iteration by hand
#
# The smallest world with something to share: four inputs on a line, at −2, −1, 1 and 2, and two slots, at −0.55 and +0.55. Three steps make one iteration.
#
# 1. **Likeness.** The product of slot and input: large if both point the same way.
# 2. **Attention.** A softmax of the likenesses *over the slots*: $A_{kn} = e^{s_k x_n} / \sum_j e^{s_j x_n}$. Every input is shared out, and its shares sum to 1.
# 3. **Weighted mean.** Each slot moves to the mean of the inputs, weighted by what it took: $s_k \leftarrow \sum_n A_{kn} x_n / \sum_n A_{kn}$.
#
# We chose $\pm\tfrac12 \ln 3 = \pm 0.549$ for the slots, because then $e^{s_2 x - s_1 x} = 3^x$: at $x = 1$ the second slot gets three times as much as the first, at $x = 2$ nine times.
#
# **Predict first**, on paper: the table $A$, and where the first slot lands.

# %%
import math

import torch

from course_lib.core.claims import claim
from course_lib.slots import tiny
from course_lib.slots.figures_attention import iteration_figure

points = torch.tensor([[-2.0, 0.0], [-1.0, 0.0], [1.0, 0.0], [2.0, 0.0]])  # tiny lives in the plane; here the second number is 0
slots = torch.tensor([[-math.log(3) / 2, 0.0], [math.log(3) / 2, 0.0]])
new, A = tiny.step(points, slots)
iteration_figure(points[:, 0], slots[:, 0], A, new[:, 0])

# %%
claim("slots.hand_share", A[0, 0], above=0.8999, below=0.9001)
claim("slots.hand_slot", new[0, 0], above=-1.0501, below=-1.0499)
path, _ = tiny.iterate(points, slots, 10)
claim("slots.hand_rest", path[10, 0, 0], above=-1.45, below=-1.43)
claim("slots.hand_last_move", (path[10] - path[9]).abs().max(), below=1e-4)

# %% [markdown]
# The first column reads {{slots.hand_share:.2f}} and 0.10: nine parts and one. The first slot lands at
#
# $$\frac{0.9 \cdot (-2) + 0.75 \cdot (-1) + 0.25 \cdot 1 + 0.1 \cdot 2}{0.9 + 0.75 + 0.25 + 0.1} = \frac{-2.1}{2} = -1.05,$$
#
# and the cell says {{slots.hand_slot:.2f}}. It moved away from its rival, towards the inputs it had more of. After ten iterations it rests at {{slots.hand_rest:.2f}}, near −1.5, the middle of its two inputs. If attention were all or nothing this would be
# **k-means**: give each point to the nearest centre, move each centre to the mean of its points. With shares in place of all or nothing it is a *soft* k-means.
#
# **Why divide by $\sum_n A_{kn}$?** Write every input down twice, as a picture of twice the size does. **Predict first:** what does that do to the mean, and what to the plain sum $\sum_n A_{kn} x_n$?

# %%
twice = torch.cat([points, points])
A_twice = tiny.attention(twice, slots)
claim("slots.mean_when_doubled", tiny.weighted_mean(A_twice, twice)[0, 0] / new[0, 0], above=0.9999, below=1.0001)
claim("slots.sum_when_doubled", (A_twice @ twice)[0, 0] / (A @ points)[0, 0], above=1.9999, below=2.0001)

# %% [markdown]
# The mean stays (× {{slots.mean_when_doubled:.2f}}), the sum doubles (× {{slots.sum_when_doubled:.2f}}). With a sum the length of a slot would tell how many pixels it holds; with the mean it tells what they look like. A large and a small red circle shall get like slots, and
# the same weights shall work for pictures of any size.
#
# ### Exercise: one step
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_step(points, slots)`: points are `(n, 2)`, slots `(k, 2)`; return the new slots `(k, 2)` and the attention `(k, n)`. The target figure: twelve points in three clusters, and three slots that start close together.

# %%
from course_lib.slots.exercises import check, equivariance_target, implicit_target, step_target

step_target()


# %%
def my_step(points, slots):
    ### BEGIN SOLUTION
    # stub: attention = torch.full((len(slots), len(points)), 0.5)  # not shared out yet
    # stub: return slots, attention
    attention = (slots @ points.T).softmax(0)
    return attention @ points / attention.sum(1, keepdim=True), attention
    ### END SOLUTION


check.step(my_step)

# %% [markdown]
# ## 3 · Competition: which way does the softmax run?
#
# Ordinary attention, the one in language models, runs its softmax over the *inputs*: each reader spreads a budget of 1 over what it reads, and does not care what the others read. Slot attention runs it over the *slots*: each input is a cake,
# and what one slot takes no other can have. The whole difference is one axis.
#
# Both slots start on the right, at 0.5 and 1. **Predict first:** where do they end, with either softmax?

# %%
from course_lib.slots.figures_attention import matrices_figure

right = torch.tensor([[0.5, 0.0], [1.0, 0.0]])
ends, tables = {}, {}
for over in ("slots", "inputs"):
    path, history = tiny.iterate(points, right, 10, normalise=over)
    ends[over], tables[f"softmax over {over}"] = path[-1], history[-1]
matrices_figure(tables)

# %%
claim("slots.apart_with_competition", (ends["slots"][0] - ends["slots"][1]).norm(), above=1)
claim("slots.apart_without", (ends["inputs"][0] - ends["inputs"][1]).norm(), below=0.001)
claim("slots.first_input_with_competition", tables["softmax over slots"][:, 0].sum(), above=0.9999, below=1.0001)
claim("slots.first_input_without", tables["softmax over inputs"][:, 0].sum(), below=0.01)

# %% [markdown]
# Left, with competition: the slot that leaned less to the right lost the inputs there, and so it went left. The slots end {{slots.apart_with_competition:.2f}} apart. Right, without: both slots want the same input, the last one, and nobody stops them. They end
# {{slots.apart_without:.0e}} apart, as one slot twice. Read the columns: with competition input 1 is taken in full (sum {{slots.first_input_with_competition:.2f}}); without it, both slots together take {{slots.first_input_without:.3f}} of it, and no slot will ever know that it exists.
#
# **Competition makes the slots explain everything, and each thing once.** Now step through it yourself: twelve points, three slots. *Temperature* divides the likeness before the softmax; a low one makes attention hard. **Predict first:** which slot will take the cluster at the lower left?

# %%
from course_lib.slots.explorer import IterationExplorer

explorer = IterationExplorer()
explorer.show()

# %% [markdown]
# The same as stills, without a kernel or a slider:
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![Three slots and three clusters of points after 0, 1, 3 and 10 iterations: with the softmax over slots each slot ends in a cluster of its own, with the softmax over inputs two slots end in the same one](../data/pictures/iterations_row.png)
#
# </details>

# %%
explorer.still()

# %%
clusters, close = tiny.three_clusters(), tiny.poor_start()
by_slots, by_inputs = (tiny.iterate(clusters, close, 10, 0.5, over)[0][-1] for over in ("slots", "inputs"))
claim("slots.closest_pair_with_competition", torch.pdist(by_slots).min(), above=1)
claim("slots.closest_pair_without", torch.pdist(by_inputs).min(), below=0.5)

# %% [markdown]
# A star is a slot, a disc an input with the number of the slot that takes most of it. Upper row: at the start slots 1 and 2 both lean upwards. Each input is shared out, and a small lead becomes a large one: after one iteration each cluster has its slot, after
# three each slot stands in its cluster. The closest pair ends {{slots.closest_pair_with_competition:.1f}} apart. Lower row: slots 1 and 2 both go to the upper cluster and end {{slots.closest_pair_without:.2f}} apart. The lower left is left to nobody; its thin lines say that even its "owner" hardly looks at it.

# %% [markdown]
# ## 4 · The real thing: what GRU and MLP add
#
# Real inputs are not points in a plane, and "likeness" must be learned. The paper's rule (Algorithm 1) has the same three steps inside a learned frame:
#
# $$\begin{aligned}
# A_{kn} &= \operatorname{softmax}_k\, \tfrac{1}{\sqrt{D}}\, q(\mathrm{LN}(s_k)) \cdot k(\mathrm{LN}(x_n)) && \text{likeness of a \textbf{query} and a \textbf{key}, two learned matrices} \\
# u_k &= \frac{\sum_n (A_{kn} + \epsilon)\, v(\mathrm{LN}(x_n))}{\sum_n (A_{kn} + \epsilon)} && \text{weighted mean of \textbf{values}, a third matrix} \\
# s_k &\leftarrow \mathrm{GRU}(u_k, s_k), \qquad s_k \leftarrow s_k + \mathrm{MLP}(\mathrm{LN}(s_k)) && \text{how a slot takes up the news}
# \end{aligned}$$
#
# LN is **layer normalisation**: it brings the $D$ numbers of a vector to mean 0 and variance 1, then scales them by learned factors. The **GRU** (gated recurrent unit) does not jump to the mean $u_k$. It mixes: $(1 - z) \cdot \text{candidate} + z \cdot s_k$, with a learned **gate** $0 < z < 1$ for every entry. The
# candidate ends in a tanh, so it lies between −1 and 1, and the mixture keeps a slot from running away. The **MLP** is added on top, without such a bound. The small number $\epsilon$ gives every slot a bit of every input, so that none divides by zero
# (section 9 asks how small it must be). Here is the shipped model, trained on pictures of circles, squares and triangles (notebook 05 trains one):

# %%
from course_lib.core.weights import load_pretrained
from course_lib.slots.loaders import create_datasets
from course_lib.slots.scenes import start_chance

torch.set_grad_enabled(False)  # until section 8 we only look
model = load_pretrained("slots_shapes")
_, held_out = create_datasets("shapes", held_out=100)  # scenes that the training never saw
scenes = held_out.batch(range(100))
image, chance = scenes["image"][:1], lambda: start_chance(scenes)[:1]  # the same draw each time that it is called
inputs = model.encoder(image).flatten(1, 2)  # (1, 256, 64)
start = model.start(inputs, model.num_slots, chance())  # (1, 7, 64); section 7 says where it comes from
print(f"inputs {tuple(inputs.shape)}, slots {tuple(start.shape)}, start: {type(model.start).__name__}, gradient: {model.attention.gradient}")

# %% [markdown]
# How far does each of the two move a slot? **Predict first:** will the steps grow or shrink from iteration to iteration?

# %%
from course_lib.slots.figures_attention import bars_figure
from course_lib.slots.probes import moves

moved = moves(model.attention, inputs, start, 5)
bars_figure({name: {f"iteration {t + 1}": moved[name][t] for t in range(5)} for name in ("GRU", "MLP", "both")}, "mean length of the move")

# %%
claim("slots.gate_first", moved["gate"][0], above=0, below=1)
claim("slots.gru_first_move", moved["GRU"][0], above=0)
claim("slots.gru_fifth_move", moved["GRU"][4], above=0)
claim("slots.first_move", moved["both"][0], above=0)
claim("slots.fifth_move", moved["both"][4], above=0, below=moved["both"][0] / 2)
state = 2 * torch.rand(7, start.shape[-1]) - 1
for _ in range(100):
    state = model.attention.gru(100 * torch.randn_like(state), state)
claim("slots.gru_largest_entry", state.abs().max(), below=1.000001)

# %% [markdown]
# The GRU moves a slot by {{slots.gru_first_move:.1f}} in the first iteration and still by {{slots.gru_fifth_move:.1f}} in the fifth, and the MLP's moves are of the same size. Yet the two together move it by {{slots.first_move:.1f}} and then only by {{slots.fifth_move:.1f}}: GRU and MLP learned to pull against each other, and where their pulls cancel, the slot rests. On average the gate keeps {{slots.gate_first:.2f}} of the old slot in the first iteration. To test the bound we fed the GRU a hundred
# updates a hundred times too large: its largest entry is {{slots.gru_largest_entry:.3f}}, and cannot be more than 1. How much each of the two *helps* these bars cannot say, for the weights were trained with both.

# %% [markdown]
# ## 5 · The same numbers from ten lines, and a trick
#
# Do we believe the code? Here is the rule again, written from the three lines above and nothing else. It takes the weights of the shipped model in 64-bit numbers, so that only rounding may differ:

# %%
from copy import deepcopy

from torch.nn.functional import layer_norm


def by_the_formula(p, x, s, iterations, eps):
    norm = lambda v, name: layer_norm(v, v.shape[-1:], p[f"{name}.weight"], p[f"{name}.bias"])
    keys, values = (norm(x, "norm_inputs") @ p[f"to_{name}.weight"].T for name in ("key", "value"))
    for _ in range(iterations):
        A = (norm(s, "norm_slots") @ p["to_query.weight"].T @ keys.mT / s.shape[-1] ** 0.5).softmax(-2) + eps
        u = A @ values / A.sum(-1, keepdim=True)
        (ur, uz, un), (sr, sz, sn) = ((v @ p[f"gru.weight_{w}"].T + p[f"gru.bias_{w}"]).chunk(3, -1) for v, w in ((u, "ih"), (s, "hh")))
        z = (uz + sz).sigmoid()
        s = (1 - z) * (un + (ur + sr).sigmoid() * sn).tanh() + z * s
        s = s + (norm(s, "norm_mlp") @ p["mlp.0.weight"].T + p["mlp.0.bias"]).relu() @ p["mlp.2.weight"].T + p["mlp.2.bias"]
    return s


exact, x64, s64 = deepcopy(model.attention).double(), inputs.double(), start.double()
weights, eps = dict(exact.named_parameters()), exact.eps
difference = by_the_formula(weights, x64, s64, 3, eps) - exact(x64, s64, 3)[0]
claim("slots.formula_difference", difference.abs().max(), below=1e-10)

# %% [markdown]
# They agree to {{slots.formula_difference:.0e}}. (The course's tests also compare `SlotAttention` on shared weights with the package `slot_attention` by Phil Wang, which was written by someone else: slots and gradients agree to $10^{-10}$.)
#
# **The trick.** The formula computes a key and a value for each of the 256 inputs. `SlotAttention.step` computes neither. Write $W_K, W_V$ for the two matrices, $q_k$ for a query, $a_{kn}$ for the weights of the mean:
#
# $$q_k \cdot (W_K x_n) = (W_K^\top q_k) \cdot x_n, \qquad \sum_n a_{kn} W_V x_n = W_V \sum_n a_{kn} x_n.$$
#
# So the matrices may act on 7 slots instead of 256 inputs. It works because keys and values are *linear* in the normalised inputs, with nothing in between. Count the multiplications, and take the time:

# %%
from time import perf_counter

from course_lib.slots.probes import multiplications

many_x, many_s = x64.repeat(50, 1, 1), s64.repeat(50, 1, 1)  # 50 pictures
ours, plain = lambda: exact(many_x, many_s, 3), lambda: by_the_formula(weights, many_x, many_s, 3, eps)
claim("slots.multiplications_ratio", multiplications(ours) / multiplications(plain), below=0.9)
seconds = []
for call in (ours, plain):
    call()  # the first call warms up
    began = perf_counter()
    [call() for _ in range(10)]
    seconds.append(perf_counter() - began)
print(f"multiplications: {multiplications(ours):,} against {multiplications(plain):,}; measured time: {seconds[0] / seconds[1]:.2f} of the plain one")

# %% [markdown]
# {{slots.multiplications_ratio:.2f}} of the multiplications, with the GRU and the MLP counted on both sides. The time is printed, not claimed: it belongs to the machine and to what else it is doing.

# %% [markdown]
# ## 6 · On a real picture
#
# **Predict first:** what will the attention of iteration 1 look like, sharp or blurred? After which iteration will an object have one owner?

# %%
from course_lib.slots.figures import visualize_attention_evolution

out = model(image, iterations=5, chance=chance())
visualize_attention_evolution(out.attention, image=image)

# %%
entropy = -(out.attention[0] * out.attention[0].clamp(min=1e-30).log()).sum(1).mean((1, 2)) / math.log(model.num_slots)
claim("slots.shares_of_a_place", (out.attention.sum(2) - 1).abs().max(), below=1e-5)
claim("slots.entropy_first", entropy[0], above=0, below=1.00001)

# %% [markdown]
# At every place the seven maps sum to 1 (largest error {{slots.shares_of_a_place:.0e}}). Take the entropy of the shares at a place, divided by $\log 7$: 0 means one slot has it all, 1 means all seven have the same. In iteration 1 the mean over places is {{slots.entropy_first:.2f}}: attention is sharp from the start. What changes is *who* owns. First
# the slots hold pieces of several things; then each object falls to one slot, and the background to one or few. Follow one object down its column.
#
# One picture may be luck. So a hundred, with two scores from 0 (chance) to 1 (perfect) that compare the owners of the pixels with the true objects. **FG-ARI**, the adjusted Rand index of the foreground, looks at the objects' pixels only; **full ARI** looks at all pixels, with the background as one more
# object (notebook 05 takes both apart).

# %%
from course_lib.slots.figures_attention import lines_figure
from course_lib.slots.metrics import scene_metrics

history = model(scenes["image"], iterations=7, chance=start_chance(scenes)).attention
by_round = [scene_metrics(scenes["ids"], history[:, t]) for t in range(7)]
fg, full = ([float(scores[name].nanmean()) for scores in by_round] for name in ("fg_ari", "full_ari"))
lines_figure(range(1, 8), {"FG-ARI": fg, "full ARI": full}, "iteration", "score of the attention (1 = perfect)",
             "100 held-out scenes", ylim=(-0.05, 1.05), mark=(model.num_iterations, "trained with"))

# %%
owner = history.argmax(2)  # (100, 7, 16, 16)
claim("slots.trained_iterations", model.num_iterations, above=0)
changed = (owner[:, 1:] != owner[:, :-1]).float().mean((0, 2, 3))
claim("slots.changed_second", changed[0], above=0, below=1)
claim("slots.changed_seventh", changed[5], above=0, below=float(changed[0]))
claim("slots.attention_fg_first", fg[0], above=-0.5, below=1.000001)
claim("slots.attention_fg_third", fg[2], above=-0.5, below=1.000001)
claim("slots.attention_full_first", full[0], above=-0.5, below=1.000001)
claim("slots.attention_full_third", full[2], above=full[0], below=1.000001)

# %% [markdown]
# FG-ARI goes from {{slots.attention_fg_first:.2f}} in iteration 1 to {{slots.attention_fg_third:.2f}} in iteration 3, full ARI from {{slots.attention_full_first:.2f}} to {{slots.attention_full_third:.2f}}. These slots start at inputs of the picture itself, so the first iteration has nearly found what they will own. In iteration 2 {{slots.changed_second:.0%}} of the places change their owner, in
# iteration 7 {{slots.changed_seventh:.0%}}. The owners come to rest soon after the {{slots.trained_iterations:.0f}} iterations that the model was trained with.

# %% [markdown]
# ## 7 · No slot is special
#
# Put the slots in another order before an iteration. **Claim:** they come out the same, in that other order. The proof is two lines. (1) Row $k$ of the likenesses depends on slot $k$ alone, and the softmax divides every row by the *same* sum over all slots, which has no order. (2) Mean,
# GRU and MLP treat each row by itself, with the same weights. So for a permutation $\pi$
#
# $$\mathrm{step}(\pi s) = \pi\, \mathrm{step}(s).$$
#
# This is **permutation equivariance**. For the *inputs* it is even simpler: the mean over $n$ has no order, so their order changes nothing at all (**invariance**); what they know of their place the encoder wrote into them.

# %%
order, shuffled = torch.randperm(model.num_slots), torch.randperm(inputs.shape[1])
slots64, A64 = exact(x64, s64, 3)
permuted, A_permuted = exact(x64, s64[:, order], 3)
claim("slots.equivariance_slots", (permuted - slots64[:, order]).abs().max(), below=1e-12)
claim("slots.equivariance_attention", (A_permuted - A64[:, :, order]).abs().max(), below=1e-12)
claim("slots.invariance_inputs", (exact(x64[:, shuffled], s64, 3)[0] - slots64).abs().max(), below=1e-12)

# %% [markdown]
# All three differences are rounding: {{slots.equivariance_slots:.0e}}, {{slots.equivariance_attention:.0e}} and {{slots.invariance_inputs:.0e}}.
#
# ### Exercise: is this step fair?
#
# **Difficulty: medium. Time: 10 minutes.** Write `my_unfairness(step, points, slots)`. `step(points, slots)` returns new slots and attention, as yours does. Return one number: the largest difference between "permute, then step" and "step, then permute", for a permutation that moves every slot.
# The check hands you fair steps and unfair ones. The target figure: rows change places, and no number changes.

# %%
equivariance_target()


# %%
def my_unfairness(step, points, slots):
    ### BEGIN SOLUTION
    # stub: return 1.0  # every step is accused
    order = [*range(1, len(slots)), 0]
    return (step(points, slots[order])[0] - step(points, slots)[0][order]).abs().max()
    ### END SOLUTION


check.equivariance(my_unfairness)
print(f"my own step: {float(my_unfairness(my_step, tiny.three_clusters(), tiny.poor_start())):.2g}")

# %% [markdown]
# **Slots that start alike stay alike.** That is a corollary. If slots 1 and 2 are equal, exchanging them changes nothing before the step, so it changes nothing after it: they are equal again, for ever. The rule cannot break the tie; **only the start can**.
# **Predict first:** all slots start as the same vector. What will attention be? And if they differ by one part in a million?

# %%
same, rounds = s64[:, :1].expand_as(s64), range(1, 16)
nudge = torch.randn(s64.shape, dtype=s64.dtype, generator=torch.Generator().manual_seed(0))
apart = lambda slots: float(torch.pdist(slots[0]).mean())
lines = {}
for size in (0.0, 1e-6, 1e-3, 1.0):
    begin = same + size * nudge
    lines[f"nudged by {size:g}"] = [apart(begin)] + [apart(exact(x64, begin, t)[0]) for t in rounds]
lines_figure([0, *rounds], lines, "iteration", "mean distance of two slots", "ties", log=True)

# %%
tied, A_tied = exact(x64, same, 3)
claim("slots.tied_distance", (tied - tied[:, :1]).abs().max(), below=1e-8)
claim("slots.tied_attention", (A_tied - 1 / model.num_slots).abs().max(), below=1e-8)
hand = torch.tensor([[0.5, 0.0], [0.5, 0.0]])
claim("slots.tied_by_hand", torch.pdist(tiny.iterate(points, hand, 1000)[0][-1]).max(), below=1e-12)
claim("slots.nudge_growth", (lines["nudged by 1e-06"][3] / lines["nudged by 1e-06"][0]) ** (1 / 3), above=1)

# %% [markdown]
# In the hand-sized world two equal slots are equal after a thousand iterations too: their distance is {{slots.tied_by_hand:.0g}}. In the real model attention is 1/7 everywhere, and after three iterations the slots are equal, both up to rounding: the differences are {{slots.tied_attention:.1g}} and {{slots.tied_distance:.1g}} (exactly zero on some processors, a few last digits on others). On paper they never differ, so the line *nudged by 0* lies below every logarithmic axis.
# On a machine it may appear: sums that are equal on paper can be rounded a little differently for each slot, and the model multiplies the smallest difference, by about {{slots.nudge_growth:.0f}} in an iteration, as the line *nudged by 1e-06* shows. A tie is a pencil on its tip: the *rule* never makes it fall, any push does. A start must push
# harder than rounding, or all iterations go into the fall.
#
# **Three kinds of start.** `course_lib.slots.attention` has three ways to tell the slots apart:
#
# | | `SharedGaussian` (Locatello et al. 2020) | `LearnedQueries` (Jia et al. 2023) | `SeededSlots` |
# | --- | --- | --- | --- |
# | slot $k$ starts at | $\mu + \sigma \varepsilon_k$, with $\mu, \sigma$ learned and $\varepsilon_k$ drawn anew for each picture | a learned vector of its own | $W x_n + b$ of one input of *this* picture, with $W, b$ learned |
# | what tells slots apart | chance | learning | the picture: each next input is drawn far from those chosen so far (k-means++) |
# | number of slots | any | at most the number of queries | any |
# | the risk | two starts close together, near a tie | a slot that always takes the lower left corner, whatever lies there | two starts in one object |
#
# The first two do not look at the picture; the third does, so its first attention can be sharp. Section 4 printed which of them our model uses. Same picture, four draws:

# %%
from course_lib.slots.figures import visualize_slots

four = model(image.expand(4, -1, -1, -1), chance=[torch.Generator().manual_seed(seed) for seed in range(4)])
visualize_slots(image.expand(4, -1, -1, -1), four.reconstruction, four.masks, pictures=four.pictures)

# %%
from course_lib.slots.metrics import adjusted_rand_index, segmentation

few = {name: value[:40] for name, value in scenes.items()}
one, other = (segmentation(model(few["image"], chance=start_chance(few, seed)).masks, 64, 64) for seed in (0, 1000))
claim("slots.agreement_of_draws", adjusted_rand_index(one, other).mean(), above=0, below=1.000001)

# %% [markdown]
# The numbers change from row to row: which slot gets the circle is chance, because no slot is special. The *things* change less. Compare the owners under two draws for 40 scenes, by the full ARI of one against the other: {{slots.agreement_of_draws:.2f}}, where 1 would be the same parts under other numbers. What differs is where two slots
# share one thing, or one slot holds two.

# %% [markdown]
# ## 8 · Who is taught? Full, implicit and bi-level gradients
#
# The slots are the end of a chain of iterations, and a gradient may be sent back through all of it or a part:
#
# - **full**: through every iteration to the start. Exact, and the longest chain.
# - **implicit** (Chang et al. 2022): iterate without a gradient, then do the last step with one. The idea: if the slots have come to rest, $s^* = f(s^*, \theta)$, then
#   $\frac{\mathrm d s^*}{\mathrm d \theta} = (I - J)^{-1} \frac{\partial f}{\partial \theta} = (I + J + J^2 + \dots) \frac{\partial f}{\partial \theta}$ with $J = \frac{\partial f}{\partial s^*}$, whatever the start was. Keep the first term, and the chain is one step long.
# - **bi-level** (Jia et al. 2023): as implicit, but the gradient that reaches the input of the last step is handed on to the start as if nothing had been in between (*straight through*). With learned queries it is needed: an implicit gradient never reaches them.
#
# Forward, all three are the same. (Ours make $T$ steps in all, the last with a gradient. Some authors make $T$ and then one more.) **Predict first:** which bars will be missing?

# %%
from course_lib.slots.attention import GRADIENTS
from course_lib.slots.probes import gradient_norms

torch.set_grad_enabled(True)
parts = {name: getattr(model, name) for name in ("encoder", "start", "attention", "decoder")}
norms, losses = {}, []
for model.attention.gradient in GRADIENTS:
    rebuilt = model(scenes["image"][:16], chance=start_chance(scenes)[:16]).reconstruction
    losses.append((rebuilt - scenes["image"][:16]).square().mean())
    norms[model.attention.gradient] = gradient_norms(losses[-1], parts)
bars_figure(norms, "length of the gradient", "the same loss, three ways back", log=True)

# %%
claim("slots.same_loss", (max(losses) - min(losses)).detach(), above=-1e-9, below=1e-9)
claim("slots.start_gradient_full", norms["full"]["start"], above=0)
claim("slots.start_gradient_implicit", norms["implicit"]["start"], above=-1e-12, below=1e-12)
claim("slots.start_gradient_bilevel", norms["bilevel"]["start"], above=0)
claim("slots.encoder_gradient_full", norms["full"]["encoder"], above=0)
claim("slots.encoder_gradient_bilevel", norms["bilevel"]["encoder"], above=0)
claim("slots.decoder_gradient_ratio", norms["implicit"]["decoder"] / norms["full"]["decoder"], above=0.999, below=1.001)

# %% [markdown]
# The three losses are equal (they differ by {{slots.same_loss:.0g}}), and so are the bars of the decoder, which stands behind the last iteration. Left of it the ways part. The start gets {{slots.start_gradient_full:.2g}} from the full gradient, {{slots.start_gradient_bilevel:.2g}} from bi-level, and exactly {{slots.start_gradient_implicit:.0f}} from implicit: whatever the start has to learn, it
# would never learn it. The encoder gets {{slots.encoder_gradient_full:.2g}} (full) and {{slots.encoder_gradient_bilevel:.2g}} (bi-level): the full gradient also counts what a change of the inputs does by way of the earlier iterations. It is the exact one. It is also a product of many factors, and section 7 showed that a factor may be well above 1.
#
# ### Exercise: an implicit gradient
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_implicit(step, slots, iterations)`. Here `step(slots)` returns the slots after one iteration and nothing else. Do `iterations` of them in all; only the last one may leave a trace for the backward pass. The target figure: what
# autograd must keep in memory, against the number of iterations.

# %%
implicit_target()


# %%
def my_implicit(step, slots, iterations):
    ### BEGIN SOLUTION
    # stub: return slots  # no step yet
    with torch.no_grad():
        for _ in range(iterations - 1):
            slots = step(slots)
    return step(slots.detach())
    ### END SOLUTION


check.implicit(my_implicit)

# %% [markdown]
# Now the memory of the shipped model on our picture, measured at what autograd keeps:

# %%
from course_lib.slots.probes import saved_bytes

kept = {}
for model.attention.gradient in GRADIENTS:
    begin = start.clone().requires_grad_()
    kept[model.attention.gradient] = [saved_bytes(lambda: model.attention(inputs, begin, t)[0]) for t in range(1, 8)]
claim("slots.memory_full", kept["full"][6] / kept["full"][0], above=1.5)
claim("slots.memory_implicit", kept["implicit"][6] / kept["implicit"][0], above=0.999, below=1.001)
claim("slots.memory_bilevel", kept["bilevel"][6] / kept["bilevel"][0], above=0.999, below=1.001)

# %% [markdown]
# From 1 iteration to 7 the full gradient keeps {{slots.memory_full:.1f}} times as much, the two others {{slots.memory_implicit:.1f}} and {{slots.memory_bilevel:.1f}} times: seven iterations cost the backward pass what one does. (The encoder and the decoder keep more than either; the saving matters with many iterations
# or many inputs.) The backward pass gets shorter in time as well.

# %% [markdown]
# ## 9 · Failure gallery
#
# **"Softmax over inputs, as in every other attention."** Section 3. **The diagnostic:** sum the attention table over the slots. With competition every input gives 1. If some inputs give nearly 0 ({{slots.first_input_without:.3f}} there), nobody looks at them.
#
# **"The mean is a sum anyway."** Leave the division out, and give the slots more inputs. One switch:

# %%
from course_lib.slots.tiny import attention, poor_start, three_clusters

copies, lengths = (1, 2, 4, 8, 16), {"weighted mean": [], "plain sum": []}
for times in copies:
    crowd = three_clusters().repeat(times, 1)
    A = attention(crowd, poor_start())
    lengths["weighted mean"].append(float((A @ crowd / A.sum(1, keepdim=True)).norm(dim=1).mean()))
    lengths["plain sum"].append(float((A @ crowd).norm(dim=1).mean()))
lines_figure([12 * times for times in copies], lengths, "inputs", "mean length of a slot", "the same points, written down more often", log=True)

# %%
claim("slots.sum_growth", lengths["plain sum"][-1] / lengths["plain sum"][0], above=15.9, below=16.1)
claim("slots.mean_growth", lengths["weighted mean"][-1] / lengths["weighted mean"][0], above=0.999, below=1.001)

# %% [markdown]
# Every point is written down 16 times. The sum is {{slots.sum_growth:.0f}} times as long, the mean {{slots.mean_growth:.2f}} times. Long slots make a hard softmax, so the first winner takes all. In a network the GRU's tanh hides it: the slots just saturate. **The diagnostic:** feed the picture at two resolutions and compare the length of $u_k$.
#
# **"A larger eps is safer."** The small number in the weighted mean keeps a slot that took nothing from dividing by zero. It also gives every slot a bit of every input. One switch, on the shipped model:

# %%
from course_lib.slots.recipe import measure

own, powers, by_eps = model.attention.eps, (-8, -4, -3, -2, -1, 0), []
for power in powers:
    model.attention.eps = 10.0**power
    by_eps.append(measure(model, few))
model.attention.eps = own
lines_figure(powers, {"FG-ARI": [m["fg_ari"] for m in by_eps], "full ARI": [m["full_ari"] for m in by_eps]}, "log₁₀ eps",
             "score of the masks", "40 held-out scenes", ylim=(-0.05, 1.05))

# %%
claim("slots.eps_of_the_model", own, above=0, below=0.1)
claim("slots.eps_small", by_eps[0]["fg_ari"], above=0, below=1.000001)
claim("slots.eps_hundredth", by_eps[3]["fg_ari"], above=0, below=1.000001)
claim("slots.eps_large", by_eps[-1]["fg_ari"], above=-0.5, below=0.5)

# %% [markdown]
# FG-ARI is {{slots.eps_small:.2f}} at $10^{-8}$, {{slots.eps_hundredth:.2f}} at $10^{-2}$ and {{slots.eps_large:.2f}} at 1. Count the shares: of 256 inputs a slot wins 256/7 ≈ 37 on average, and gets 256 · eps unasked. At eps = 0.01 that is 2.6, at eps = 1 it is 256: then every slot is a mean of the whole picture, and all of them are
# alike. The paper has $10^{-8}$. Our model was trained with {{slots.eps_of_the_model:.0e}} on purpose: a slot that wins next to nothing is pulled to the mean of the picture instead of clinging to its scrap of an object (notebook 05). **The diagnostic:** eps times the number of inputs must be small against inputs per slot.
#
# **"Start all slots alike, it is neutral."** Section 7 in a picture: the same model, above with its own start, below with its first slot seven times:

# %%
with torch.no_grad():
    tied_slots, _ = model.attention(inputs, start[:, :1].expand_as(start), 3)
    pictures, masks, rebuilt = model.decode(tied_slots, *image.shape[-2:])
visualize_slots(image.expand(2, -1, -1, -1), torch.cat([out.reconstruction, rebuilt]), torch.cat([out.masks, masks]), pictures=torch.cat([out.pictures, pictures]))

# %%
claim("slots.tied_masks", (masks - 1 / model.num_slots).abs().max(), below=1e-3)

# %% [markdown]
# Lower row: every mask is 1/7 everywhere (the largest deviation is {{slots.tied_masks:.1g}}), all seven slots paint the same blurred mean of everything, and *who owns* says slot 1 only because the first of equals is taken. Part I would call it a collapse: seven slots that carry what one does. **The diagnostic:** the largest difference of attention between slots. No
# training helps: equal slots get equal gradients.
#
# **"More iterations, better slots."** The shipped model was trained with 2 to 5 iterations, drawn anew for every step. Now run it with up to 30:

# %%
many = (1, 2, 3, 5, 8, 12, 20, 30)
by_many = [measure(model, few, iterations=t) for t in many]
lines_figure(many, {"FG-ARI": [m["fg_ari"] for m in by_many], "full ARI": [m["full_ari"] for m in by_many]}, "iterations at test time",
             "score of the masks", "40 held-out scenes", ylim=(-0.05, 1.05), mark=(model.num_iterations, "trained with"))

# %%
trained, last = by_many[many.index(3)], by_many[-1]
claim("slots.many_fg_trained", trained["fg_ari"], above=0, below=1.000001)
claim("slots.many_fg_30", last["fg_ari"], above=-0.5, below=1.000001)
claim("slots.many_mse_trained", trained["mse"], above=0)
claim("slots.many_mse_30", last["mse"], above=0)
claim("slots.many_gain", last["fg_ari"] - trained["fg_ari"], above=-1, below=0.05)

# %% [markdown]
# FG-ARI is {{slots.many_fg_trained:.2f}} with three iterations and {{slots.many_fg_30:.2f}} with thirty; the squared error is {{slots.many_mse_trained:.4f}} and {{slots.many_mse_30:.4f}}. Nothing breaks at once: from 2 to 5 iterations, which it has practised, the model does nearly equally well. Beyond that the slots creep on, and the decoder gets slots such as it never saw. Ten times the work makes things worse. **The diagnostic:** this very curve, before you raise the
# number. Too *few* iterations are worse: look at 1.

# %% [markdown]
# ## What you found
#
# - One iteration is likeness, softmax over slots, weighted mean: by hand the first slot went from −0.55 to {{slots.hand_slot:.2f}}. With GRU, MLP and learned matrices ten lines of formula give the shipped module's numbers to {{slots.formula_difference:.0e}}.
# - The axis of the softmax decides. Over slots every input is taken once (sum {{slots.first_input_with_competition:.2f}}) and the slots part; over inputs both slots took the same and left {{slots.first_input_without:.3f}} to the first input.
# - No slot is special: permuted slots come out permuted, to {{slots.equivariance_slots:.0e}}. So equal slots stay equal, and the start must tell them apart.
# - Forward, the three gradients are the same. Backward, the implicit one teaches the start nothing ({{slots.start_gradient_implicit:.0f}}), and it needs for seven iterations the memory of one (× {{slots.memory_implicit:.1f}}; full: × {{slots.memory_full:.1f}}).
# - On a hundred unseen pictures the owners settle within a few iterations: {{slots.changed_second:.0%}} change in the second, {{slots.changed_seventh:.0%}} in the seventh.
#
# You know the rule. Whether a slot ends up with an *object* is another question: nothing here mentioned objects. Notebook 05 trains the whole model, measures what its slots hold, and shows how it goes wrong.
#
# **References.** F. Locatello et al., *Object-Centric Learning with Slot Attention* (2020), sec. 2.1 and Algorithm 1; proposition 1 for the permutations. M. Chang et al., *Object Representations as Fixed Points* (2022): implicit differentiation, in one more line of code (abstract). B. Jia et al., *Improving
# Object-centric Learning with Query Optimization* (2023), sec. 3: learned queries, bi-level. D. Arthur & S. Vassilvitskii, *k-means++* (2007), sec. 2.2. K. Cho et al., *Learning Phrase Representations using RNN Encoder–Decoder* (2014), sec. 2.3: the gated unit.
