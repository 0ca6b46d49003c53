# %% [markdown]
# # 08 · Codes to scenes: making what nobody drew
#
# **The question of this notebook: can a machine that has never been told the rule of a world make scenes that obey it?**
#
# After this notebook you can
#
# - count the entropy of a world, and read the likelihood of a model against it;
# - explain how a causal transformer writes a scene code after code, and train one;
# - sample with temperature and top-k, and say what each of them does to a scene;
# - judge generated scenes by machine: accuracy with an interval, against chance and baselines, with copies counted.
#
# *Measured: {{minutes.08_codes_to_scenes:.1f}} minutes on two CPU cores. Yours: two sittings of 45 minutes, exercises included; pause after section 5. Builds on: notebooks 06 and 07.*

# %% [markdown]
# ## 1 · A world that can be counted
#
# Notebook 07 turned scenes into words: 4 slots with a phrase of 4 words each, every word one of 512 codes. Now we go the other way. A **prior** is a model of which codes occur together; draw codes from it, let the decoder paint them, and there is a scene that nobody drew.
#
# Is it a good one? For photographs people look at pictures and guess. We need not guess, because we know the **rule world** of notebook 07 completely: three objects on a grid of 3 × 3 places, each a circle, square or triangle, in one of 8 colours, small or large. The rule: **all three colours are different**. A scene that obeys it is **lawful**. No model is told any of this.

# %%
import torch

from course_lib.codes.figures_generation import verdict_sheet
from course_lib.codes.loaders import create_datasets
from course_lib.codes.metrics import judge
from course_lib.core.claims import claim

world, held_out = create_datasets("rules", held_out=2000)
true = held_out.batch(range(200))["image"]
verdict_sheet(true[:12], judge(true[:12], held_out))

# %% [markdown]
# Twelve true scenes. The words above them come from a judge that reads pictures; we meet it in section 5.
#
# How many such scenes are there? Notebook 07 stated their bits; now count them, for any world of this sort. A scene is a *set* of objects: no object is the first one. If all scenes are equally likely, as here, the **entropy** of the world is the logarithm of their number: what one scene is worth, in nats ($\ln$) or bits ($\log_2$).
#
# ### Exercise: count the scenes
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_count(places, objects, colours, looks)`: the number of scenes with `objects` objects on different places, in different colours, each with one of `looks` looks (kind and size together). `math.comb(n, k)` counts choices of $k$ out of $n$, `math.perm(n, k)` counts choices with an order.
# **Predict first:** thousands, millions, or billions? The target: the number of the rule world, with 9 places, 3 objects, 8 colours and 3 · 2 looks, is a little above $6 \cdot 10^6$.

# %%
import math

from course_lib.codes.exercises_prior import check


def my_count(places, objects, colours, looks):
    ### BEGIN SOLUTION
    # stub: return 1  # nothing counted yet
    return math.comb(places, objects) * math.perm(colours, objects) * looks**objects
    ### END SOLUTION


check.count(my_count)
print(f"yours: {my_count(9, 3, 8, 6):,} scenes; the world says {world.scenes:,}")

# %%
claim("codes.world_scenes", world.scenes, above=6_096_383, below=6_096_385)
claim("codes.world_nats", world.entropy, above=15.62, below=15.63)
claim("codes.world_bits", world.entropy / math.log(2), above=22.53, below=22.55)
claim("codes.lawful_by_chance", world.lawful_by_chance, above=0.656, below=0.657)

# %% [markdown]
# $\binom{9}{3} \cdot (8 \cdot 7 \cdot 6) \cdot 6^3 =$ 6,096,384 scenes, so one of them is worth {{codes.world_nats:.2f}} nats, or {{codes.world_bits:.2f}} bits. **No code can tell the scenes of this world in fewer bits on average.**
#
# Two more numbers to keep. If somebody makes perfect objects but picks the three colours independently, the rule holds by luck in $8 \cdot 7 \cdot 6 / 8^3 =$ {{codes.lawful_by_chance:.0%}} of the scenes: the **chance line** of this notebook. And the codes of notebook 07 have room for $16 \cdot \log_2 512 = 144$ bits: more than six times what is needed.

# %% [markdown]
# ## 2 · One code after another
#
# A scene is now a sequence of 16 codes $c_1, \dots, c_{16}$: all codes of the first slot, then of the second, and so on. Any distribution over sequences can be written as a product,
#
# $$p(c_1, \dots, c_{16}) = \prod_{i=1}^{16} p(c_i \mid c_1, \dots, c_{i-1}), \qquad \text{NLL} = -\ln p = -\sum_i \ln p(c_i \mid c_1, \dots, c_{i-1}).$$
#
# So one network is enough that reads a beginning and gives a probability to every possible next code. It is trained by the mean **NLL** (negative log-likelihood) of true scenes, and it generates by drawing $c_1$, then $c_2$ given $c_1$, and so on: it is **autoregressive**.
#
# Our network is a small **causal transformer**: 6 blocks of attention, in which position $i$ looks at positions up to $i$ and never ahead, so all 16 predictions can be trained at once. An input says which code came last, and which position (slot, codebook) is to be told next.
#
# **The position decides the codebook.** Code 7 of codebook 1 and code 7 of codebook 2 have nothing in common. With one list of all 2048 codes, the logits of the 1536 foreign ones would have to be masked with $-\infty$. Ours has a table and an output head *for each codebook*: at a position there are 512 logits and nothing to mask.

# %%
from course_lib.codes.prior import Prior

torch.manual_seed(0)
blank = Prior(slots=4, codebooks=4, codes=512)
codes = torch.randint(512, (8, 4, 4))
print("logits:", tuple(blank(codes).shape), "= scenes, slots, codebooks, codes")
torch.nn.init.normal_(blank.head, std=0.1)  # a new prior holds all codes equally likely; give it opinions
later = codes.clone()
later[:, 2:] = torch.randint(512, (8, 2, 4))  # other codes from the third slot on
ahead = (blank(codes) - blank(later)).abs()
claim("codes.seen_ahead", ahead[:, :2].max().detach(), below=1e-4)
claim("codes.seen_before", ahead[:, 2:, 1:].max().detach(), above=0.01)
claim("codes.nominal_nats", Prior().nll(codes).mean().detach(), above=99.8, below=99.83)

# %% [markdown]
# Changing the third slot changes nothing before it (largest difference {{codes.seen_ahead:.1g}}) and something after it. A new prior holds all codes equally likely and spends $16 \ln 512 =$ {{codes.nominal_nats:.1f}} nats (144 bits) on every scene. Training can only help.
#
# ### The exact case: no pictures
#
# Before codes of pictures we take codes that are *perfect*: every object is told by four numbers, its **place, kind, colour and size**, objects in reading order. Two scenes have the same numbers only if they are the same scene, and no scene has two spellings.
#
# That makes theory exact. For *any* prior $q$ the mean NLL on true scenes is
#
# $$\text{NLL} = H + \mathrm{KL}(p \,\|\, q) \;\ge\; H = 15.62 \text{ nats}.$$
#
# **Predict first:** 8000 scenes are learned, about an eighth of a percent of all scenes. Does a small transformer find out in four epochs that colours never repeat? And at which of the 12 positions will it spend most?

# %%
from course_lib.codes.factor_codes import FACTORS, factor_codes, factor_lawful, position_entropies
from course_lib.codes.figures_generation import learning_figure
from course_lib.codes.recipe_prior import measure_nll, train_prior
from course_lib.core.environment import fast
from course_lib.core.threads import one_thread

told = factor_codes(world.first(8000), world)  # (scenes, 3 objects, 4 numbers)
fresh = factor_codes(held_out.first(2000), world)
torch.manual_seed(0)
exact = Prior(slots=3, codebooks=4, codes=9, dim=64, layers=2)
live = dict(epochs=1 if fast() else 4, lr=8e-3, batch_size=128, held_out=fresh)
with one_thread():
    history = train_prior(exact, told, **live)
learning_figure(history.epochs, {"entropy of the world": world.entropy})

# %%
from course_lib.codes.figures_generation import positions_figure

with torch.no_grad():
    spent = -exact(fresh).log_softmax(-1).gather(-1, fresh[..., None]).squeeze(-1).mean(0)  # (objects, factors)
made = exact.generate(2000, generator=torch.Generator().manual_seed(0))
surplus = measure_nll(exact, fresh)["nll"] - world.entropy
claim("codes.factor_surplus", surplus, above=-0.02, below=1.0 if fast() else 0.15)
claim("codes.factor_bound", math.exp(-surplus), above=0.3 if fast() else 0.86)
claim("codes.factor_right", factor_lawful(made, world).float().mean(), above=math.exp(-surplus) - 0.03)
positions_figure(spent, FACTORS, position_entropies(world).float(), math.log(9), slot="object")

# %% [markdown]
# The prior ends {{codes.factor_surplus:.3f}} nats above the entropy: there is nearly nothing left to learn. The bars (measured) and the diamonds (counted) agree at every position. Read the colours from left to right: $\ln 8 = 2.08$, $\ln 7 = 1.95$, $\ln 6 = 1.79$. **That is the rule, in nats**: after two colours only six are left. Kind and size cost $\ln 3$ and $\ln 2$ wherever they stand,
# and places get cheaper because the list is in reading order.
#
# What the surplus means for generation: all true scenes are lawful, so $\mathrm{KL}(p \,\|\, q) \ge -\ln q(\text{lawful})$ (a coarser view never has a larger KL), and
#
# $$\boxed{\;\text{share of lawful scenes} \;\ge\; e^{-(\text{NLL} - H)}\;}$$
#
# Here that guarantees {{codes.factor_bound:.1%}}; of 2000 generated scenes {{codes.factor_right:.1%}} are lawful. A likelihood close enough to the entropy *is* a promise about what is generated. We can also look the rule up in the network. Here is what it expects of the third object's colour after two others (× is a colour that is taken):

# %%
from course_lib.codes.figures_generation import choices_figure
from course_lib.slots.scenes import COLOURS

names, few = list(COLOURS), fresh[:5]
with torch.no_grad():
    next_colour = exact(fresh)[:, 2, 2].softmax(-1)[:, : world.colours]
taken = fresh[:, :2, 2]  # (scenes, 2)
claim("codes.factor_taken", next_colour.gather(1, taken).sum(1).mean(), below=0.5 if fast() else 0.08)
choices_figure(next_colour[:5], names, taken[:5].tolist(), [f"after {names[a]}, {names[b]}" for a, b in taken[:5].tolist()])

# %% [markdown]
# Both taken colours together get {{codes.factor_taken:.3f}} on average; a network without the rule would give them 0.25. Nobody told it that colours differ. It saw 8000 lists of numbers in which they do.

# %% [markdown]
# ## 3 · Who comes first? The price of an order
#
# Slots are a set, a sequence has an order, so somebody must choose. **Canonical**: the objects as a page is read, and before them the slot that has none, if there is one. **Random**: shuffled anew for every scene. **Predict first:** the same world, the same network, but objects in random order. What does the NLL rise to?

# %%
from course_lib.codes.figures_generation import nll_figure
from course_lib.codes.order import random_order

torch.manual_seed(0)
mixed = Prior(slots=3, codebooks=4, codes=9, dim=64, layers=2)
shuffled = random_order(fresh, torch.Generator().manual_seed(0))
with one_thread():
    train_prior(mixed, told, **live | {"held_out": shuffled}, shuffle=True)
in_order, in_disorder = measure_nll(exact, fresh)["nll"], measure_nll(mixed, shuffled)["nll"]
claim("codes.price_of_order", in_disorder - in_order, above=1.0 if fast() else 1.6, below=2.5 if fast() else 2.0)
nll_figure({"reading order": in_order, "random order": in_disorder}, world.entropy, {"with ln 3! for the order": world.entropy + math.log(6)})

# %% [markdown]
# {{codes.price_of_order:.2f}} nats more, and we can say exactly what they buy: nothing. There are $3! = 6$ orders of three objects, all equally likely, and a sequence must say which one it is: $\ln 3! = 1.79$ nats. With the four slots of our codes it is up to $\ln 4! = 3.18$ nats. A canonical order saves them, if it can be read off the slots reliably.

# %% [markdown]
# ## 4 · The codes of pictures
#
# Now the real thing: codes that a model invented. We take the SVQ of notebook 07, encode scenes, sort the slots by the place of their attention, and load the shipped prior over these codes. Beside it stands a baseline that only *counts*: how often each code occurs at each position, all codes **independent** of one another.

# %%
from course_lib.codes.generation import encode_scenes, paint_codes
from course_lib.codes.prior import Independent
from course_lib.codes.recipe_prior import counted
from course_lib.codes.svq import SVQ
from course_lib.core.weights import load_pretrained

svq, prior = load_pretrained("svq_rules", expect=SVQ), load_pretrained("svq_prior_rules", expect=Prior)
with one_thread():
    unseen = encode_scenes(svq, held_out, 500)
    independent = counted(encode_scenes(svq, world, 2000), prior)
    rates = {"transformer": measure_nll(prior, unseen)["nll"], "independent codes": measure_nll(independent, unseen)["nll"]}
nll_figure(rates, world.entropy, {"nominal rate": prior.positions * math.log(prior.codes)})

# %%
claim("codes.prior_nats", rates["transformer"], above=10, below=45)
claim("codes.prior_bits", rates["transformer"] / math.log(2), above=14, below=65)
claim("codes.independent_nats", rates["independent codes"], above=rates["transformer"] + 10)
with torch.no_grad():
    spent = -prior(unseen).log_softmax(-1).gather(-1, unseen[..., None]).squeeze(-1).mean(0)
claim("codes.spare_nats", spent[0].sum(), below=3)
claim("codes.object_nats", spent[1:].sum(1).mean(), above=3, below=10)
claim("codes.first_book_nats", spent[1:, 0].mean(), below=math.log(prior.codes))
claim("codes.last_book_nats", spent[1:, -1].mean(), below=float(spent[1:, 0].mean()))
positions_figure(spent, [str(m + 1) for m in range(prior.codebooks)], ceiling=math.log(prior.codes))

# %% [markdown]
# Of {{codes.nominal_nats:.0f}} nats the transformer needs {{codes.prior_nats:.1f}} ({{codes.prior_bits:.0f}} bits): most of the room in 16 codes is never used, since codes know of each other. Counting alone needs {{codes.independent_nats:.1f}}.
# The bars (four codebooks in each slot) say where the nats go. Three objects need three slots; the fourth is the spare slot of notebook 07, and the canonical order puts it first. It has nearly always the same phrase, and costs {{codes.spare_nats:.1f}} nats. An object costs {{codes.object_nats:.1f}}: its first codebook {{codes.first_book_nats:.1f}} of $\ln 512 = 6.2$, its last {{codes.last_book_nats:.2f}}, since after three words the fourth is mostly settled.
#
# But the entropy of the world is {{codes.world_nats:.2f}}. What are the other nats for? Let $S$ be the scene and $C$ its codes. Both sides of the following are the entropy of the pair $(S, C)$, minus $H(S \mid C)$:
#
# $$H(C) = \underbrace{H(S)}_{\text{the scene}} + \underbrace{H(C \mid S)}_{\text{synonyms, order}} - \underbrace{H(S \mid C)}_{\text{what codes lose}}, \qquad \text{NLL} = H(C) + \mathrm{KL}.$$
#
# - **Synonyms push it up.** One scene can be spelled in many ways: 512 codes for a handful of properties leave many codes for the same thing, and slots start at random. (There would be far more if training had not put a price on rare codes, see section 4 of notebook 07.) Whatever order the slots are told in must be told, too.
# - **Loss pulls it down.** Codes that forget the sizes, say, would save $3 \ln 2 = 2.08$ nats, and could end *below* 15.62.
# - **What is not learned** (KL) pushes it up.
#
# So for codes of pictures NLL against entropy is a **comparison, not a bound**; only for the perfect codes of section 2 it was one. We can look at the pieces. **Predict first:** encode the same picture twice, with other random starts of the slots. In how many scenes do all 16 codes come out the same?

# %%
from course_lib.codes.metrics import parse

with one_thread():
    again = encode_scenes(svq, held_out, 500, seed=1)
    raw = [encode_scenes(svq, held_out, 200, "none", seed=seed) for seed in (0, 1)]  # slots as the model gives them
    rebuilt = parse(paint_codes(svq, unseen[:200]), held_out)["states"]
    disorder = random_order(unseen[:200], torch.Generator().manual_seed(0))
    moved = (paint_codes(svq, disorder[:50]) - paint_codes(svq, unseen[:50])).abs().max()
claim("codes.same_scene_again", (unseen == again).flatten(1).all(1).float().mean(), below=0.95)
claim("codes.same_code_again", (unseen == again).float().mean(), above=0.1, below=0.999)
claim("codes.same_scene_unsorted", (raw[0] == raw[1]).flatten(1).all(1).float().mean(), below=0.5)
words, words_again = ((codes * prior.codes ** torch.arange(prior.codebooks)).sum(2) for codes in (unseen, again))  # four codes as one number
common = (words[:, :, None] == words_again[:, None]).any(2).sum(1)  # words of a scene that the other spelling has, too
claim("codes.same_three_again", (common >= 3).float().mean(), above=0.9)
claim("codes.spare_word", (words[:, 0] == words[:, 0].mode().values).float().mean(), above=0.6, below=0.99)
claim("codes.read_back", (rebuilt == held_out.first(200)).all(1).float().mean(), above=0.95)
claim("codes.shuffled_picture", moved, below=1e-3)
claim("codes.shuffled_surplus", measure_nll(prior, disorder)["nll"] - measure_nll(prior, unseen[:200])["nll"], above=3)

# %% [markdown]
# In {{codes.same_scene_again:.0%}} of the scenes; of single codes {{codes.same_code_again:.0%}} agree. Without sorting it would be {{codes.same_scene_unsorted:.0%}} of the scenes: most of the disagreement between two spellings is order, and a canonical order takes it away.
# What remains is mostly the spare slot. Look at the phrases of a scene as a set: in {{codes.same_three_again:.0%}} of the scenes at least three of the four come again. In {{codes.spare_word:.0%}} the spare slot has one and the same phrase; in the others it took a share of some object, and phrase and order may change with the share. So of true synonyms, two phrases for one object, few are left.
#
# And next to nothing is lost: painted from its codes and read back, {{codes.read_back:.1%}} of 200 scenes are exactly the scene that went in.
#
# The order is a matter of the prior alone: shuffle the slots of a scene, and the decoder, which sees a set, paints the same picture (largest difference {{codes.shuffled_picture:.1g}}). The prior, which reads a sequence, is surprised by {{codes.shuffled_surplus:.0f}} nats: it has learned to expect reading order.

# %% [markdown]
# ## 5 · A judge that reads pictures
#
# To judge thousands of scenes we need a machine, and we must know when to believe it. Our **judge** is the parser of notebook 07 with a verdict. It compares each of the nine places with all 49 pictures that a place can show (empty, or 3 kinds × 8 colours × 2 sizes), also a pixel off and a little blurred. It demands two things of every place: a small **error**, and a **margin**: the best reading must be clearly better than any other. Otherwise the picture is **unparsable**, and counts as wrong. Right is what can be read and is lawful.
#
# **Predict first:** which of these will it refuse: a scene moved by one pixel, blurred, with colours half way between two, with an object missing?

# %%
from torch.nn.functional import avg_pool2d

states = held_out.first(200)
first = (states > 0).int().argmax(1, keepdim=True)  # the first object's place
missing = held_out.compose(states.scatter(1, first, 0))["image"]
value = states - 1  # kind · 16 + colour · 2 + size
recoloured = held_out.compose(torch.where(states > 0, 1 + value // 16 * 16 + (value + 6) % 16, 0))["image"]  # every colour three further
cases = {"as it is": true, "moved by a pixel": true.roll(1, 3), "blurred": avg_pool2d(true, 3, 1, 1), "half way between": (true + recoloured) / 2,
         "one is missing": missing, "without the rule": type(held_out)(seed=held_out.seed, rule=False).batch(range(200))["image"]}
two = torch.stack([images[[0, 3]] for images in cases.values()], 1).flatten(0, 1)  # two scenes of each
verdict_sheet(two, judge(two, held_out), notes=list(cases))

# %%
verdicts = {name: {key: float(value.float().mean()) for key, value in judge(images, held_out).items()} for name, images in cases.items()}
claim("codes.judge_true", verdicts["as it is"]["right"], above=0.99)
claim("codes.judge_states", (parse(true, held_out)["states"] == states).all(1).float().mean(), above=0.99)
claim("codes.judge_moved", verdicts["moved by a pixel"]["right"], above=0.95)
claim("codes.judge_blurred", verdicts["blurred"]["right"], above=0.95)
claim("codes.judge_half_way", verdicts["half way between"]["right"], below=0.05)
claim("codes.judge_missing", verdicts["one is missing"]["wrong_number"], above=0.95)
claim("codes.judge_no_rule", verdicts["without the rule"]["right"], above=0.5, below=0.8)

# %% [markdown]
# Of 200 true scenes the judge accepts {{codes.judge_true:.1%}} and reads {{codes.judge_states:.1%}} without a single mistake. It forgives a pixel ({{codes.judge_moved:.0%}}) and a blur ({{codes.judge_blurred:.0%}}), since a decoder is never perfect. It does not forgive doubt: of the mixed colours it accepts {{codes.judge_half_way:.0%}}.
# A missing object is a wrong number ({{codes.judge_missing:.0%}}), and in a world without the rule {{codes.judge_no_rule:.0%}} of 200 scenes are right by luck, where the chance line says {{codes.lawful_by_chance:.0%}}.
#
# Check your instrument before you measure. A judge that has never refused anything has judged nothing.

# %% [markdown]
# ## 6 · Generating
#
# At each position the prior gives logits $\ell_k$ of the 512 codes. Two knobs turn them into probabilities:
#
# $$p_k \propto e^{\ell_k / T} \quad \text{(temperature } T), \qquad \text{only for the } k \text{ likeliest codes (top-}k).$$
#
# $T = 1$ is what was learned. $T \to 0$ takes the likeliest code always; $T \to \infty$ holds all codes equally likely. Top-$k$ cuts off the tail of unlikely codes, of which there are many: each has little probability, all together may have a lot.
#
# ### Exercise: temperature and top-k
#
# **Difficulty: medium. Time: 20 minutes.** Write `my_probabilities(logits, temperature, top_k)` for logits (scenes, codes). `top_k=None` means all codes; temperature 0 means that the likeliest code has probability 1. The target: the four lines printed below the check, for logits 2, 1, 0, −1.

# %%
def my_probabilities(logits, temperature, top_k=None):
    ### BEGIN SOLUTION
    # stub: return logits.softmax(-1)  # neither temperature nor top-k yet
    if temperature == 0:
        return torch.nn.functional.one_hot(logits.argmax(-1), logits.shape[-1]).float()
    logits = logits / temperature
    if top_k is not None:
        least = logits.topk(top_k).values[:, -1:]  # the k-th largest of each row
        logits = logits.masked_fill(logits < least, -math.inf)
    return logits.softmax(-1)
    ### END SOLUTION


check.probabilities(my_probabilities)
for knobs, target in {(1.0, None): "0.64 0.24 0.09 0.03", (0.5, None): "0.86 0.12 0.02 0.00", (1.0, 2): "0.73 0.27 0.00 0.00", (0.0, None): "1.00 0.00 0.00 0.00"}.items():
    found = my_probabilities(torch.tensor([[2.0, 1.0, 0.0, -1.0]]), *knobs)[0]
    print(f"T = {knobs[0]}, top-k = {knobs[1]}:", *(f"{p:.2f}" for p in found.tolist()), " target:", target)

# %% [markdown]
# Scenes are drawn code after code; all of them at once as a batch. One trick saves most of the work: the keys and values of earlier positions never change, because nothing looks ahead. A **KV cache** keeps them, and each step computes one position instead of all positions so far: 16 instead of $1 + 2 + \dots + 16 = 136$ for a scene.

# %%
import time

drawn, seconds = {}, {}
with one_thread():
    for cache in (True, False):
        started = time.process_time()
        drawn[cache] = prior.generate(128, generator=torch.Generator().manual_seed(0), cache=cache)
        seconds[cache] = time.process_time() - started
print(f"with the cache {1000 * seconds[True]:.0f} ms, without {1000 * seconds[False]:.0f} ms: {seconds[False] / seconds[True]:.1f} times as long")
claim("codes.same_with_cache", (drawn[True] == drawn[False]).flatten(1).all(1).float().mean(), above=0.97)

# %%
with one_thread():
    twelve = paint_codes(svq, drawn[True][:12])
verdict_sheet(twelve, judge(twelve, world))

# %% [markdown]
# The same random numbers give the same codes ({{codes.same_with_cache:.0%}} of the scenes), sooner. And there they are: scenes that nobody drew.
#
# Now the answer to our question, with a baseline for each part of the machine:
#
# - **SVQ, transformer**: what we built.
# - **SVQ, independent codes**: the same codes without a prior that knows what goes with what.
# - **Patches, transformer**: the patch VQ-VAE of notebook 07, 16 codes of 512 as well, but a code belongs to a *place* of the picture and not to an object; over its codes the same transformer, with the same training.
# - **Patches, independent codes.**
#
# **Generation accuracy** is the share of pictures that are right. **Predict first** the four numbers, beside the chance line of {{codes.lawful_by_chance:.0%}}.

# %%
from course_lib.codes.figures_generation import accuracy_figure
from course_lib.codes.generation import generated, judged
from course_lib.codes.vqvae import PatchVQ
from course_lib.core.paths import DATA
from course_lib.core.weights import read_card

patches, patch_prior = load_pretrained("vqvae_rules", expect=PatchVQ), load_pretrained("vqvae_prior_rules", expect=Prior)
card = read_card(DATA / "weights" / "svq_prior_rules")
learned = card["config"]["dataset"]["samples"]
training = create_datasets("rules", seed=card["seed"])[0].first(learned)  # the scenes whose codes the prior has learned
with one_thread():
    patch_independent = counted(encode_scenes(patches, world, 2000), patch_prior)
    pairs = {"SVQ, transformer": (svq, prior), "SVQ, independent": (svq, independent),
             "patches, transformer": (patches, patch_prior), "patches, independent": (patches, patch_independent)}
    results = {name: judged(generated(*pair, 500), world, training) for name, pair in pairs.items()}
accuracy_figure(results, world.lawful_by_chance)

# %%
best, alone, other, nothing = results.values()
claim("codes.svq_right", best["right"], above=0.45)
claim("codes.svq_right_low", best["low"], above=0.4)
claim("codes.svq_right_high", best["high"], above=world.lawful_by_chance)
claim("codes.svq_independent_right", alone["right"], below=0.3)
claim("codes.vqvae_right", other["right"], above=world.lawful_by_chance)
claim("codes.vqvae_independent_right", nothing["right"], below=0.3)
claim("codes.svq_unparsable", best["unparsable"], below=0.3)
claim("codes.svq_same_colour", best["same_colour"], below=world.lawful_by_chance)
claim("codes.vqvae_unparsable", other["unparsable"], below=0.2)
claim("codes.vqvae_same_colour", other["same_colour"], below=world.lawful_by_chance)
with one_thread():
    patch_nats = measure_nll(patch_prior, encode_scenes(patches, held_out, 500))["nll"]
claim("codes.patch_nats", patch_nats, above=15, below=20)
claim("codes.patch_surplus", patch_nats - world.entropy, above=-0.1, below=2)
claim("codes.svq_promise", math.exp(world.entropy - rates["transformer"]), above=0.2, below=0.99)
claim("codes.patch_promise", math.exp(world.entropy - patch_nats), above=0.2)
claim("codes.rule_kept", best["right"] / (best["right"] + best["same_colour"]), above=world.lawful_by_chance)

# %% [markdown]
# {{codes.svq_right:.0%}} of 500 scenes are right (95% interval {{codes.svq_right_low:.0%}} to {{codes.svq_right_high:.0%}}). With independent codes it is {{codes.svq_independent_right:.0%}}: mostly not even objects come out, since the codes of *one* slot must fit together before anything can be painted. The patch model with the same prior reaches {{codes.vqvae_right:.0%}}, and {{codes.vqvae_independent_right:.0%}} without it.
#
# The right half of the figure says *what* goes wrong. With SVQ {{codes.svq_unparsable:.0%}} of the pictures cannot be read and {{codes.svq_same_colour:.0%}} have two objects of one colour; with patches it is {{codes.vqvae_unparsable:.0%}} and {{codes.vqvae_same_colour:.0%}}. But mind the chance line: a machine that makes perfect objects and ignores the rule
# stands at {{codes.lawful_by_chance:.0%}}. The fair question is: of the scenes with three readable objects, how many keep the rule? With SVQ {{codes.rule_kept:.0%}}. Only what lies above the line has been learned.
#
# **Of this shipped pair, objects and patches tell scenes equally well**: over 500 scenes their intervals overlap. We had hoped for a lead of the objects, which Wu, Lee & Ahn report for their scenes. The likelihood says what each of them pays for. On patches the prior spends {{codes.patch_nats:.2f}} nats a scene, {{codes.patch_surplus:.2f}} above the entropy; a picture has one spelling and loses nothing, so the bound of section 2 promises {{codes.patch_promise:.0%}}. On slots it spends {{codes.prior_nats:.1f}}; the surplus is less than the {{codes.spare_nats:.1f}} nats of the
# spare slot, and to spell an idle slot in another way harms no picture. That is why {{codes.svq_right:.0%}} can be right where the bound promises only {{codes.svq_promise:.0%}}. And this world flatters patches: it stands on a grid, as they do, and nothing hides anything. What codes of objects kept was the *object*, to be exchanged as one thing (notebook 07, section 8).
#
# **And other seeds?** Both models and their priors were trained twice more, with another start, other scenes and other random numbers (`python bench/records/codes_seeds.py`). With SVQ, of 1000 generated scenes each, {{runs.codes_seeds.svq_right_0:.1%}} (the shipped one), {{runs.codes_seeds.svq_right_1:.1%}} and {{runs.codes_seeds.svq_right_2:.1%}} are right: {{runs.codes_seeds.svq_right_mean:.0%}} on average, and for the mean over all seeds three allow {{runs.codes_seeds.svq_right_low:.0%}} to {{runs.codes_seeds.svq_right_high:.0%}}; with independent codes {{runs.codes_seeds.svq_independent_right_mean:.0%}}. With patches it is {{runs.codes_seeds.vqvae_right_0:.1%}}, {{runs.codes_seeds.vqvae_right_1:.1%}} and {{runs.codes_seeds.vqvae_right_2:.1%}}, on average {{runs.codes_seeds.vqvae_right_mean:.0%}} ({{runs.codes_seeds.vqvae_right_low:.0%}} to {{runs.codes_seeds.vqvae_right_high:.0%}}), and {{runs.codes_seeds.vqvae_independent_right_mean:.0%}} with independent codes. So the shipped pair flatters patches: in both other pairs slots are clearly ahead, and what patches miss there is the *rule*. {{runs.codes_seeds.vqvae_same_colour_1:.0%}} and {{runs.codes_seeds.vqvae_same_colour_2:.0%}} of their pictures have two objects of one colour, hardly any cannot be read. **One training of each would have been a verdict by luck**; three are too few to part the two means for good, since their intervals overlap.
#
# Likelihood does not show who errs. The two other seeds of SVQ spend fewer nats ({{runs.codes_seeds.svq_nll_1:.2f}} and {{runs.codes_seeds.svq_nll_2:.2f}} instead of {{runs.codes_seeds.svq_nll_0:.2f}}) and err more often. The likelihood counts every spelling; the judge sees only what is painted.

# %% [markdown]
# ## 7 · Temperature, variety and copies
#
# A generator can be right for a bad reason: it may repeat one scene, or recite scenes of its training. So two more numbers stand beside the accuracy: the share of **different** scenes among the generated ones, and the share of **copies**, scenes that are right and occur in the training. Copies need a comparison as well: a *perfect* generator copies now and then by luck.
#
# ### Exercise: count copies
#
# **Difficulty: easy. Time: 10 minutes.** `states` (n, 9) and `training` (m, 9) hold a scene in each row: for each place 0, or the number of the object that stands there. Write `my_copies(states, training)`, the share of the n scenes that occur in the training. (`m` is large: do not compare every pair.) The target: {{codes.copies_checked:.2f}} for the mixture below the check, in which one scene of four is a copy.

# %%
def my_copies(states, training):
    ### BEGIN SOLUTION
    # stub: return 0.0  # no copy found yet
    known = {tuple(row) for row in training.tolist()}
    return sum(tuple(row) in known for row in states.tolist()) / len(states)
    ### END SOLUTION


check.copies(my_copies)
mixture = torch.cat([held_out.first(150), training[:50]])
print(f"yours: {my_copies(mixture, training[:1000]):.2f}")

# %% tags=["solution-only"]
claim("codes.copies_checked", my_copies(mixture, training[:1000]), above=0.2, below=0.3)

# %% [markdown]
# **Predict first:** what happens to each line of the next figure as the temperature goes to 0? And to 2?

# %%
from course_lib.codes.figures_generation import temperature_figure

sweep = {}
with one_thread():
    for temperature in (0.0, 0.5, 0.8, 1.0, 1.5, 2.0):
        pictures = generated(svq, prior, 150, temperature, seed=1)
        different = len(world.key(parse(pictures, world)["states"]).unique()) / len(pictures)
        sweep[temperature] = judged(pictures, world, training) | {"different": different}
temperature_figure(sweep, world.lawful_by_chance)

# %%
claim("codes.different_at_0", sweep[0.0]["different"], below=0.02)
claim("codes.right_at_08", sweep[0.8]["right"], above=0.45)
claim("codes.different_at_08", sweep[0.8]["different"], above=0.9)
claim("codes.right_at_2", sweep[2.0]["right"], below=0.4)
claim("codes.unparsable_at_2", sweep[2.0]["unparsable"], above=0.4)
claim("codes.copied", best["copied"], below=0.2)
claim("codes.copied_by_chance", world.seen_by_chance(learned), below=0.1)

# %% [markdown]
# At temperature 0 all scenes are one and the same: the accuracy is then that of a single scene, 0 or 1, and means nothing. At 0.8 the share that is right is {{codes.right_at_08:.0%}}, and {{codes.different_at_08:.0%}} of the scenes differ. At 2 the tail takes over: {{codes.unparsable_at_2:.0%}} are unparsable, {{codes.right_at_2:.0%}} right. One strange code in sixteen is enough to spoil a scene.
#
# Copies: {{codes.copied:.1%}} of the generated scenes occur among the {{codes.learned_scenes:,.0f}} of the training. A perfect generator of this world would hit one of them with probability {{codes.copied_by_chance:.1%}}: **it does not recite**.

# %% tags=["solution-only"]
claim("codes.learned_scenes", learned, above=10_000)

# %% [markdown]
# ### Slide it yourself
#
# Twelve scenes at a time. **Predict first:** which temperature gives the most right scenes of *different* kinds? What does top-k do at temperature 2? What do independent codes look like at temperature 0: right, or a mixture of everything?

# %%
from course_lib.codes.explorer_generation import GenerationExplorer

explorer = GenerationExplorer(svq, prior, independent)
explorer.show()

# %% [markdown]
# The same without a kernel, at four temperatures:
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![Six generated scenes at each of the temperatures 0, 0.6, 1 and 2, a row each, with a verdict above every scene: at 0 all six are the same, in between they differ and most are right, at 2 many cannot be read](../data/pictures/generation_row.png)
#
# </details>

# %%
explorer.still()

# %% [markdown]
# At temperature 0 all scenes are one and the same. At 0.6 they differ, and all are right; at 2 several cannot be read.
#
# With twelve scenes the interval is wide: 8 of 12 right says "somewhere between 39% and 86%". That is why section 6 took 500.

# %% [markdown]
# ## 8 · A freer world: Shapes
#
# Nine places and two sizes are kind to a codebook. The Shapes of Part II are freer: two to six objects of any size between two bounds, *anywhere*, as long as they stay apart. A code must now round: 512 words are a small number of places, and a picture that comes back is a little off.
#
# This SVQ has seven slots. It did not have to find the objects itself: encoder, slot attention and decoder began with the weights of notebook 05 (`experiment=svq dataset.name=shapes slots_of=slots_shapes`), so that only the words were new. Its decoder, too, is that of Part II: every slot paints alone.
# There is no rule of colours to obey. The question is weaker: **can a picture be read at all?** Every spot must be a circle, a square or a triangle, in one of the eight colours, and there must be two to six of them.
# **Predict first:** all true pictures can be read. How many of those that went through the codes, and how many generated ones?

# %%
from course_lib.codes.figures_generation import gallery_figure
from course_lib.codes.metrics import share
from course_lib.codes.metrics_shapes import FIT, HUE, read_shapes, readable, touching

free_svq, free_prior = load_pretrained("svq_shapes", expect=SVQ), load_pretrained("svq_prior_shapes", expect=Prior)
free_world, free_held_out = create_datasets("shapes", samples=1000, held_out=200)
with one_thread():
    free_codes = encode_scenes(free_svq, free_held_out, 200, "codes")  # no places to sort by, so slots stand in the order of their words
    free_alone = counted(encode_scenes(free_svq, free_world, 1000, "codes"), free_prior)
    made = {"drawn": free_held_out.batch(range(200))["image"], "coded": paint_codes(free_svq, free_codes), "prior": generated(free_svq, free_prior, 200),
            "cooler": generated(free_svq, free_prior, 200, 0.5), "alone": generated(free_svq, free_alone, 200)}
read = {name: readable(images, free_world) for name, images in made.items()}
words = {"drawn": ("Drawn", "True scenes, as the world draws them."), "coded": ("Through the codes", "The same scenes, painted from 28 words each."),
         "prior": ("Generated", "From the prior, temperature 1."), "cooler": ("Generated, cooler", "Temperature 0.5."),
         "alone": ("Independent codes", "Common words, drawn one by one.")}
none = torch.zeros(6, dtype=torch.bool)
gallery_figure([(*words[name], made[name][:6], {"right": read[name][:6], "unparsable": ~read[name][:6], "wrong_number": none, "same_colour": none})
                for name in words])

# %%
claim("codes.shapes_true", share(read["drawn"]).value, above=0.97)
claim("codes.shapes_coded", share(read["coded"]).value, above=0.7, below=0.97)
claim("codes.shapes_right", share(read["prior"]).value, above=0.2, below=0.6)
claim("codes.shapes_right_low", share(read["prior"]).low, above=0.15)
claim("codes.shapes_cooler", share(read["cooler"]).value, above=0.3)
claim("codes.shapes_alone", share(read["alone"]).value, below=0.05, spread=0.01)
unread = [read_shapes(image, free_world) for image, fine in zip(made["prior"], read["prior"]) if not fine]
with one_thread(), torch.no_grad():
    words_made = free_prior.generate(200, generator=torch.Generator().manual_seed(0))  # those of the third row
    crowded = touching(free_svq.paint(free_svq.quantizer.lookup(words_made))[1])
claim("codes.shapes_no_outline", sum(any(spot["fit"] < FIT for spot in spots) for spots in unread) / len(unread), above=0.5)
claim("codes.shapes_no_colour", sum(any(spot["hue"] > HUE for spot in spots) for spots in unread) / len(unread), above=0.2)
claim("codes.shapes_crowded", crowded.float().mean(), above=0.3, below=0.95)
claim("codes.shapes_right_apart", read["prior"][~crowded].float().mean(), above=share(read["prior"]).value + 0.1)
claim("codes.shapes_nats", measure_nll(free_prior, free_codes)["nll"], above=30, below=100)
claim("codes.shapes_alone_nats", measure_nll(free_alone, free_codes)["nll"], above=110)
claim("codes.shapes_error", (made["coded"] - made["drawn"]).square().mean() / made["drawn"].var(), above=0.02, below=0.4)

# %% [markdown]
# In this figure "right" means "can be read". From top to bottom: {{codes.shapes_true:.0%}} of the true pictures, {{codes.shapes_coded:.0%}} of those that went through the codes, {{codes.shapes_right:.0%}} of the generated ones (at least {{codes.shapes_right_low:.0%}} by the interval), {{codes.shapes_cooler:.0%}} if they are drawn cooler, and {{codes.shapes_alone:.0%}} with independent codes.
#
# So the codes themselves lose something now: {{codes.shapes_error:.0%}} of the variance, mostly at rims, in the sizes, and in a yellow that becomes orange.
#
# What is wrong with the generated ones? {{codes.shapes_no_outline:.0%}} of those that cannot be read have a spot without a clear outline, {{codes.shapes_no_colour:.0%}} one without a clear colour. Much of it comes from touching: in {{codes.shapes_crowded:.0%}} of the generated pictures two objects touch, which in true ones they never do, and two spots become one. Of the pictures where nothing touches, {{codes.shapes_right_apart:.0%}} can be read. "Apart from one another" is a rule after all, and a hard one for codes: a place is spread over four words, and whether two places collide must be learned for every pair of them.
#
# The prior needs {{codes.shapes_nats:.0f}} nats for a scene, independent codes {{codes.shapes_alone_nats:.0f}}.
#
# It is also a small training, 20,000 scenes and three layers. More of both is the first thing to try: `experiment=svq_prior dataset.name=shapes order=codes weights=svq_shapes`.
#
# ### Freer still: Multi-dSprites
#
# Squares, ellipses and hearts of *any* colour, turned by any angle, and one in front of another. This SVQ has six slots, so 24 words tell a scene; slots and decoder are again those of Part II (`slots_of=slots_multi_dsprites`). **Predict first:** words can say place, colour, size, shape and angle. Which of them will the codes give up?

# %%
from course_lib.codes.figures_codes import versus_figure

sprites_svq, sprites_prior = load_pretrained("svq_multi_dsprites", expect=SVQ), load_pretrained("svq_prior_multi_dsprites", expect=Prior)
sprites_world, sprites_held_out = create_datasets("multi_dsprites", samples=500, held_out=100, max_objects=5)
with one_thread():
    sprites_codes = encode_scenes(sprites_svq, sprites_held_out, 100, "codes")
    sprites_alone = counted(encode_scenes(sprites_svq, sprites_world, 500, "codes"), sprites_prior)
    coded = paint_codes(sprites_svq, sprites_codes)
    new, mixture = (generated(sprites_svq, each, 8) for each in (sprites_prior, sprites_alone))
scenes = sprites_held_out.batch(range(100))
drawn = scenes["image"]
versus_figure({"drawn": drawn[:8], "through the codes": coded[:8], "generated": new, "independent codes": mixture})

# %%
from course_lib.codes.metrics_shapes import colour_kept, rims

rim = rims(scenes["ids"])
error = (coded - drawn).square().sum(1)
claim("codes.sprites_error", error.sum() / (drawn.numel() * drawn.var()), above=0.05, below=0.5)
claim("codes.sprites_rim_error", error[rim].sum() / error.sum(), above=0.6, below=0.95)
claim("codes.sprites_rim", rim.float().mean(), above=0.05, below=0.3)
claim("codes.sprites_colour", colour_kept(drawn, coded, scenes["ids"]), above=0.5, below=0.95)
claim("codes.sprites_nats", measure_nll(sprites_prior, sprites_codes)["nll"], above=30, below=150)
claim("codes.sprites_alone_nats", measure_nll(sprites_alone, sprites_codes)["nll"], above=100)

# %% [markdown]
# They give up the shape. Squares and hearts come back as round spots: {{codes.sprites_error:.0%}} of the variance is lost, and {{codes.sprites_rim_error:.0%}} of that error lies within two pixels of a rim, on {{codes.sprites_rim:.0%}} of the picture. Places and number of the objects stay, and most of the colour: {{codes.sprites_colour:.0%}} of what differs in colour from object to object is kept. That is what the squared error asks for: a colour fills a whole object, a corner is a few pixels.
#
# A scene costs {{codes.sprites_nats:.0f}} nats, {{codes.sprites_alone_nats:.0f}} with independent codes. We cannot say how many of the generated scenes are right, since this world has no rule and its shapes hide one another; look at the third row and say where you would draw the line. A world that cannot be counted gives no verdict. That is why this part has one that can.

# %% [markdown]
# ## 9 · Failure gallery
#
# Four ways to fail, each by one switch. The last one is the most instructive, and it takes a few seconds to make: a prior that learns only **256 scenes**, for 72 epochs. We take the exact case of section 2, so its scenes can be drawn without a decoder.

# %%
from course_lib.codes.factor_codes import factor_states, known
from course_lib.codes.metrics import copies

some = 256
torch.manual_seed(0)
parrot = Prior(slots=3, codebooks=4, codes=9, dim=64, layers=2)
with one_thread():
    recited = train_prior(parrot, told[:some], epochs=8 if fast() else 72, lr=5e-3, batch_size=64, held_out=fresh[:300], progress=False)
learning_figure(recited.epochs, {"entropy of the world": world.entropy, "ln 256": math.log(some)})

# %%
echoes = parrot.generate(1000, generator=torch.Generator().manual_seed(0))
echoes = factor_states(echoes[known(echoes, world)], world)
by_heart = world.first(some)
claim("codes.parrot_training_nats", recited.epochs["loss"][-1], below=20 if fast() else 7)
claim("codes.parrot_held_out_nats", recited.epochs["nll"][-1], above=world.entropy + (0 if fast() else 5))
claim("codes.parrot_best_nats", min(recited.epochs["nll"]), above=world.entropy)
claim("codes.parrot_right", world.obeys(echoes).float().mean(), above=0.0 if fast() else 0.9)
claim("codes.parrot_copies", copies(echoes, by_heart, world).float().mean(), above=-0.1 if fast() else 0.6)

# %%
with one_thread():
    shown = {"hot": generated(svq, prior, 6, 2.0, seed=2), "cold": generated(svq, prior, 6, 0.0), "alone": generated(svq, independent, 6, seed=2),
             "by heart": world.compose(echoes[world.obeys(echoes)][:6])["image"]}
words = {"hot": ("Too hot", "Temperature 2: codes from the tail. The NLL of what is generated is far above that of true scenes."),
         "cold": ("Too cold", "Temperature 0: the likeliest code at each step gives one scene for ever. Only the share of different scenes tells."),
         "alone": ("Independent codes", "Each code is common at its place, but nothing fits together. Only a prior over all codes helps."),
         "by heart": ("Learned by heart", "Every scene is right, and nearly every one is a copy. Accuracy is blind to it: count copies, look at held-out NLL.")}
gallery_figure([(*words[name], images, judge(images, world)) for name, images in shown.items()])

# %% [markdown]
# Read the parrot's curves. Its training NLL falls to {{codes.parrot_training_nats:.1f}} nats, towards $\ln 256 = 5.55$: what it takes to name one of 256 scenes, and far *below* the entropy of the world. On held-out scenes it is best early, at {{codes.parrot_best_nats:.1f}} nats, and then rises to {{codes.parrot_held_out_nats:.1f}}. {{codes.parrot_right:.0%}} of its scenes are lawful, and {{codes.parrot_copies:.0%}} are copies.
# **The diagnostic:** a training NLL below the entropy. A machine that knows more about its scenes than there is to know about the world knows the scenes. Where the entropy is unknown, watch the held-out NLL: it rises while that of the training falls.
#
# And a mistake that makes no strange pictures because it is refused. A prior speaks the codes of *one* model; for another, the numbers mean something else:

# %%
from course_lib.codes.generation import check_pair
from course_lib.core.errors import BadInput

try:
    check_pair(svq, patch_prior)
except BadInput as refused:
    print(refused)

# %% [markdown]
# That the shapes agree is checked; that the *weights* belong together cannot be seen from shapes. Two SVQs that differ in their seed have codebooks of the same size in which nothing means the same. The card of a prior names the model whose codes it learned.

# %% [markdown]
# ## What you found
#
# - The rule world has 6,096,384 scenes: {{codes.world_nats:.2f}} nats, {{codes.world_bits:.2f}} bits. With perfect codes a small transformer comes within {{codes.factor_surplus:.3f}} nats of it, and spends ln 8, ln 7, ln 6 on the three colours: it has found the rule.
# - NLL close to the entropy is a promise: at least $e^{-(\text{NLL} - H)}$ of the generated scenes are lawful; {{codes.factor_bound:.1%}} promised, {{codes.factor_right:.1%}} found.
# - A random order costs exactly the logarithm of the number of orders: {{codes.price_of_order:.2f}} nats measured, 1.79 predicted.
# - Codes of pictures cost {{codes.prior_nats:.1f}} nats: hardly anything is lost ({{codes.read_back:.1%}} read back), so the surplus is spelling and what was not learned; all of it is less than the {{codes.spare_nats:.1f}} nats of the slot without an object. Against the entropy that is a comparison, not a bound.
# - So, can it? {{codes.svq_right:.0%}} of the generated scenes obey the rule, {{codes.svq_independent_right:.0%}} with independent codes, {{codes.vqvae_right:.0%}} with codes of patches; the chance line is at {{codes.lawful_by_chance:.0%}}. {{codes.copied:.1%}} are copies, where chance gives {{codes.copied_by_chance:.1%}}.
# - Accuracy alone can be fooled, by one scene for ever and by scenes learned by heart. Variety and copies belong beside it.
# - Without a grid it is harder: on Shapes {{codes.shapes_coded:.0%}} of the pictures can be read after the codes, and {{codes.shapes_right:.0%}} of the generated ones.
#
# What do the words mean, which phrases are synonyms, and what does each part of the model contribute? Notebook 09 draws a map of them, and takes the model apart.
#
# **References.** Y.-F. Wu, M. Lee & S. Ahn, *Neural Language of Thought Models* (2024; first as *Structured World Modeling via Semantic Vector Quantization*), sec. 3.2 (prior over the codes of slots), and its experiments on 2D Sprites (generation accuracy, there judged by hand). A. van den Oord, O. Vinyals & K. Kavukcuoglu, *Neural Discrete Representation Learning* (2017), sec. 3.3 (prior over codes).
# G. Singh, F. Deng & S. Ahn, *Illiterate DALL-E Learns to Compose* (2022), sec. 3 (slots and a transformer that paints). A. Vaswani et al., *Attention Is All You Need* (2017), sec. 3.2.3 (causal masking). A. Fan, M. Lewis & Y. Dauphin, *Hierarchical Neural Story Generation* (2018), sec. 5.4 (top-k sampling). A. Holtzman et al., *The Curious Case of Neural Text Degeneration* (2020), sec. 3 (temperature, top-k, the tail).
# T. Cover & J. Thomas, *Elements of Information Theory* (2006), sec. 2.5 and 2.8 (chain rules, data processing). E. B. Wilson, *Probable Inference, the Law of Succession, and Statistical Inference* (1927): the interval.
