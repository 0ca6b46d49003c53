# %% [markdown]
# # 10 · Tokens of CLIP: what does a place in a picture know?
#
# **The question of this notebook: a network has learned to match pictures with sentences; what do its tokens know, one by one?**
#
# After this notebook you can
#
# - write the contrastive loss, say how small it can become, and what the temperature is for;
# - ask a CLIP questions without training it for them, and say where the answers fail;
# - look at a single token: what it is near to, what it says about its place, and what about other places;
# - put changed tokens back into CLIP, and subtract what it would have known without any.
#
# *Measured: {{minutes.10_clip_tokens:.1f}} minutes on two CPU cores. Yours: two sittings of 45 minutes, exercises included; pause after section 4. Builds on: notebooks 03 (nats), 07 and 09 (codes, and what they mean).*

# %% [markdown]
# ## 1 · After words, tokens
#
# In Part III a picture became sixteen words. We made the vocabulary ourselves, the words were learned by *rebuilding the picture*, and we knew the world well enough to say what each word was worth. The models that look at pictures today have no such words. They cut a picture into a grid of small squares, **patches**, and turn each patch into a vector, a **token**. The CLIP through which LLaVA looks, a language model that talks about pictures, has 576 tokens of 1024 numbers each.
# Nobody wrote those numbers down as a vocabulary, and no picture was ever rebuilt from them. They were learned from **captions**, sentences that somebody wrote under a picture.
#
# So the questions of notebook 09 come back: what does each of them mean, what is it good for, how much of it is said twice? And then, in notebooks 11 to 13: how few of them will do?
#
# To answer by measuring, we need a CLIP and a world of which everything is known. The **captioned scenes** have two to four objects in front of a plain background. Each object has a kind, a colour, a size and one of nine places, and the caption names them. These four are the **factors** that we shall ask for:

# %%
import torch

from course_lib.core.claims import claim
from course_lib.tokens.captions import HELD_OUT, CaptionedScenes, captions
from course_lib.tokens.figures_contrast import captioned_figure
from course_lib.tokens.recipe_clip import HELD_OUT as UNSEEN  # seed of scenes that no training has

world = CaptionedScenes(96, seed=UNSEEN)
scenes = world.batch(range(200))
print("never together in training:", ", ".join(f"{colour} {kind}" for kind, colour in HELD_OUT))
captioned_figure(scenes["image"][:8], captions(scenes)[:8])

# %% [markdown]
# Captions are as untidy as captions are: the order of the objects, the wording, and what is left unsaid differ. One of five says nothing about sizes, one of five nothing about places, one of five nothing about colours. And four combinations of kind and colour never occur in training, so that we can ask later whether the model knows *kinds* and *colours*, or only things that it has seen.

# %% [markdown]
# ## 2 · Contrast: who belongs to whom?
#
# **CLIP** (contrastive language–image pre-training; Radford et al. 2021) is two transformers. One reads a picture and returns a vector $v$, one reads a sentence and returns a vector $t$. Both have unit length and are called **embeddings**. Take a batch of $B$ pictures and their captions, and compare every picture with every caption: a matrix of $B \times B$ cosines $\langle v_i, t_j \rangle$. On the diagonal stand the pairs.
#
# Now play a game: given picture $i$, guess which of the $B$ captions is its own. The guess is a softmax over the row, of the cosines times a **scale** $s$ (one over the *temperature*). The loss is the usual one, minus the logarithm of the probability of the right answer. Then the same game the other way round, over the columns:
#
# $$L = \frac12 \left[ \frac1B \sum_i -\ln \frac{e^{s \langle v_i, t_i \rangle}}{\sum_j e^{s \langle v_i, t_j \rangle}} \;+\; \frac1B \sum_j -\ln \frac{e^{s \langle v_j, t_j \rangle}}{\sum_i e^{s \langle v_i, t_j \rangle}} \right].$$
#
# No labels, no classes: the batch is the exam, and the other captions are the wrong answers.
#
# **Predict first:** what is the loss of a model that cannot tell anything apart, with $B = 64$? And what would a batch look like whose wrong answers are too easy?
#
# ### Exercise: the contrastive loss
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_loss(images, texts, scale)`: two tensors (B, embed) of unit vectors, row $i$ of both is a pair; return $L$. The target: the three matrices, with their losses at scale 5.

# %%
from course_lib.tokens.exercises_clip import check, loss_target

loss_target()


# %%
def my_loss(images, texts, scale):
    ### BEGIN SOLUTION
    # stub: return torch.tensor(0.0)  # nothing compared yet
    logits, right = scale * images @ texts.mT, torch.arange(len(images))
    return (torch.nn.functional.cross_entropy(logits, right) + torch.nn.functional.cross_entropy(logits.mT, right)) / 2
    ### END SOLUTION


check.loss(my_loss)

# %% [markdown]
# We have trained a small CLIP and ship it: 4 layers, tokens of 128 numbers, pictures of 96 × 96 pixels; its code is transformers' own `CLIPModel`, only smaller. Here is the matrix of one of its batches. The batch is made of **neighbours**: scene $2i + 1$ is scene $2i$ with one thing changed, the kind, colour, size or place of one object.

# %%
import math

from course_lib.tokens.captions import Captioned
from course_lib.tokens.clip import ClipTokens
from course_lib.tokens.figures_contrast import matrix_figure
from course_lib.tokens.losses_clip import contrastive_loss
from course_lib.tokens.zero_shot import embedded

clip = ClipTokens.load("clip")
pairs = Captioned(CaptionedScenes(96, seed=UNSEEN, neighbours=True), clip.tokenizer).batch(range(32))  # 32 pairs of neighbours
with torch.no_grad():
    v = embedded(clip, pairs["image"])
    t = torch.nn.functional.normalize(clip.clip.get_text_features(pairs["text"]).pooler_output, dim=-1)
    theirs = clip.clip(pairs["text"], clip.normalized(pairs["image"]), return_loss=True)
matrix_figure({"the batch": v @ t.mT, "its upper left corner": (v @ t.mT)[:16, :16]})

# %%
log_scale = clip.clip.logit_scale.detach()
ours = contrastive_loss(v, t, log_scale)
claim("tokens.clip_loss_difference", abs(float(ours) - float(theirs.loss)), below=1e-6)
claim("tokens.clip_batch_loss", ours, above=0, below=1)
claim("tokens.clip_batch_found", ((v @ t.mT).argmax(1) == torch.arange(64)).float().mean(), above=0.7, below=1.001)
claim("tokens.clip_batch_information", math.log(64) - float(ours), above=3, below=math.log(64))
scene = torch.arange(64) // 2  # the number of the pair
claim("tokens.clip_neighbours_cosine", torch.stack([v[::2] * t[1::2], v[1::2] * t[::2]]).sum(-1).mean(), above=0.3, below=0.95)
claim("tokens.clip_others_cosine", (v @ t.mT)[scene[:, None] != scene].mean(), above=-0.2, below=0.3)

# %% [markdown]
# A diagonal, and along it blocks of 2 × 2: those are the neighbours. A picture and its neighbour's caption have a cosine of {{tokens.clip_neighbours_cosine:.2f}}, other captions {{tokens.clip_others_cosine:.2f}}. {{tokens.clip_batch_found:.0%}} of the pictures find their own caption, at a loss of {{tokens.clip_batch_loss:.2f}} nats; our loss and that of transformers differ by {{tokens.clip_loss_difference:.0e}}. A model that tells nothing apart has all logits equal and pays $\ln 64 = 4.16$.
#
# The loss is also a measure of information. For any model, $I(\text{picture}; \text{caption}) \ge \ln B - L$ (van den Oord, Li & Vinyals 2018): here {{tokens.clip_batch_information:.2f}} nats. (The proof asks for wrong answers drawn by lot. Ours come as pairs of neighbours, which are harder, so the loss is larger and this number smaller.) The bound cannot say more than $\ln B$, however much a caption says. To make a contrastive model learn *more*, one needs more wrong answers, or harder ones. CLIP took 32,768 to a batch. We take neighbours.

# %% [markdown]
# ## 3 · Two hundred steps of training
#
# A tiny CLIP: 48 × 48 pixels, 36 tokens of 64 numbers, two layers on either side. It gets 200 steps with 16 pairs of neighbours each. After every 20 steps we ask it the questions of section 5 about 100 scenes that it has never seen, and keep the matrix of one batch.
#
# **Predict first:** kind, colour, size, place. Which of them will it learn first, and which not at all?

# %%
from course_lib.core.environment import fast
from course_lib.core.threads import one_thread
from course_lib.tokens.recipe_clip import train_clip
from course_lib.tokens.small_clip import SmallClip

epochs, film = 2 if fast() else 10, {}
few = CaptionedScenes(48, samples=16 * 20, neighbours=True)
torch.manual_seed(0)
tiny = SmallClip(48, patch=8, dim=64, layers=2, text_dim=64, text_layers=2)
exam = Captioned(CaptionedScenes(48, seed=UNSEEN, neighbours=True), tiny.tokenizer).batch(range(16))


def watch(epoch, model):
    if epoch in (0, 1, 3, epochs):
        images, texts, _ = model(exam["image"], exam["text"])
        film[f"after {20 * epoch} steps"] = images @ texts.mT


with one_thread():
    history = train_clip(tiny, few, epochs=epochs, batch_size=16, lr=5e-3, held_out=CaptionedScenes(48, seed=UNSEEN).batch(range(100)), watch=watch)
matrix_figure(film)

# %%
from course_lib.core.paths import DATA
from course_lib.core.weights import read_card
from course_lib.tokens.figures_contrast import training_figure
from course_lib.tokens.zero_shot import ZeroShot

chance = ZeroShot.about(CaptionedScenes(48, seed=UNSEEN).batch([0]), ClipTokens.of(tiny)).chance
training_figure(history.epochs, 32, chance, steps=20)

# %%
learned = {name: values[-1] for name, values in history.epochs.items()}
claim("tokens.clip_live_loss", learned["loss"], above=0.5, below=3.6 if fast() else 2.2)
claim("tokens.clip_live_scale", learned["scale"], above=10, below=30)
claim("tokens.clip_live_found", learned["found"], above=0.03 if fast() else 0.3)
stages = [read_card(DATA / "weights" / name)["config"] for name in ("clip_48", "clip")]  # the training of the shipped model: 48 pixels, then 96
claim("tokens.clip_more_pictures", sum(2 * stage["epochs"] * stage["dataset"]["samples"] for stage in stages) / (200 * 32), above=10, below=100)
for name, (low, high) in {"kind": (0.2, 0.8), "colour": (0.4, 0.95), "size": (0.6, 1.0), "place": (0.0, 0.4)}.items():
    claim(f"tokens.clip_live_{name}", learned[name], above=-1e-9 if fast() else low, below=1.001 if fast() else high)

# %% [markdown]
# Read the matrices from left to right. At the start the matrix is flat: all pictures look alike to the model, and so do all captions. The loss begins near $\ln 32 = 3.47$ and is {{tokens.clip_live_loss:.2f}} in the last epoch; {{tokens.clip_live_found:.0%}} of the pictures find their caption among 32. But what has been learned? The colour ({{tokens.clip_live_colour:.2f}}, where chance is 0.13) and the size ({{tokens.clip_live_size:.2f}}, 0.50): a colour can be seen in a single patch and a size in a few, and a single word tells either apart.
# The kind has hardly begun ({{tokens.clip_live_kind:.2f}}, 0.33): it needs the *outline*, many patches together. Of the place it knows nothing yet ({{tokens.clip_live_place:.2f}}, 0.17).
#
# **The loss asks for what tells a batch apart, and for the cheapest of it first.** The matrix has its blocks before it has its diagonal: other scenes are easy, neighbours are hard. The shipped model is larger, and was shown {{tokens.clip_more_pictures:.0f}} times as many pictures. Its card keeps the answers after every epoch: colour and size were nearly settled after a third of the training; the rest went into kinds and places.

# %% [markdown]
# ## 4 · What the temperature is for
#
# The scale $s$ is learned with everything else (started at $1/0.07 = 14.3$, kept below 100). Why is it there at all? Because cosines cannot do enough. With $s = 1$ the largest logit is 1 and the smallest −1.
#
# What is the smallest loss that $B$ pairs can have? Each picture should have cosine 1 with its caption. All others should be as far as possible, but $B$ vectors cannot all be opposite to each other: at best they are the corners of a simplex (two points, a triangle, a tetrahedron …), and then every two of them have cosine $-1/(B-1)$.
#
# ### Exercise: how small can the loss be?
#
# **Difficulty: hard. Time: 20 minutes.** Write `my_least(batch, scale)`: the contrastive loss of `batch` pairs whose cosines are 1 on the diagonal and $-1/(B-1)$ elsewhere, at this scale. **Predict first:** with 64 pairs and $s = 1$, is it near 0, near 1, or above 3? The target: the curve below the check starts at $\ln 64$ and ends at 0, and no model lies below it.

# %%
def my_least(batch, scale):
    ### BEGIN SOLUTION
    # stub: return math.log(batch)  # as if nothing could be told apart
    return math.log1p((batch - 1) * math.exp(-scale * batch / (batch - 1)))
    ### END SOLUTION


check.least_loss(my_least)

# %%
from course_lib.tokens.figures_contrast import scale_figure
from course_lib.tokens.losses_clip import least_loss

print(f"yours, 64 pairs at scale 1: {my_least(64, 1.0):.2f}")
scale_figure(64, {"shipped": (float(log_scale.exp()), float(ours))})

# %%
claim("tokens.clip_least_at_1", float(least_loss(64, 1.0)), above=3.1, below=3.2)
claim("tokens.clip_least_at_10", float(least_loss(64, 10.0)), below=0.01)
claim("tokens.clip_scale", log_scale.exp(), above=15, below=100.01)
claim("tokens.clip_above_least", float(ours) - float(least_loss(64, log_scale.exp())), above=0)

# %% [markdown]
# At $s = 1$ *no* embedding has a loss below {{tokens.clip_least_at_1:.2f}}, and ignorance costs 4.16: the loss could hardly say whether anything had been learned. At $s = 10$ it can fall to {{tokens.clip_least_at_10:.3f}}. Our model has learned $s =$ {{tokens.clip_scale:.0f}}. From there on the temperature sets how much a *near miss* hurts: the softmax at a large scale looks at the nearest wrong caption and forgets the rest.

# %% [markdown]
# ## 5 · Asking with captions: zero-shot
#
# The model was trained to match, and matching can be used to *ask*. Take a picture and several captions of which one is true; the answer is the nearest. Nothing is trained for the question, hence **zero-shot**. We ask for each factor by whole captions of the scene that differ in one factor of one object, and for all four together (288 captions a scene; chance 1 in 288). All scenes are new. In half of them one object has a combination of kind and colour that training did not have.
#
# **Predict first:** which factor will suffer on the combinations that were held out?

# %%
from course_lib.tokens.captions import FACTORS
from course_lib.tokens.figures_clip import zero_shot_figure
from course_lib.tokens.probe import behind, behind_layers, thinned
from course_lib.tokens.zero_shot import QUESTIONS

layers = behind_layers(clip, scenes["image"])  # tokens and CLS behind each of the layers 0 to 4, for the sections to come
images = thinned(clip, layers[clip.layer], 1.0)  # the embeddings of the 200 pictures, from where the tokens are cut out
new = CaptionedScenes(96, seed=UNSEEN, combinations="held_out").batch(range(200))
metrics, questions = dict(read_card(DATA / "weights" / "clip")["metrics"]), {}  # from the card we keep only the joint question, of 57,600 captions
for ending, batch, seen in (("", scenes, images), ("_held_out", new, embedded(clip, new["image"]))):
    questions[ending] = ZeroShot.about(batch, clip, FACTORS)
    metrics |= {f"{name}{ending}": value for name, value in questions[ending].accuracy(seen).items()}
chances = {name: metrics[f"{name}_chance"] for name in FACTORS}
zero_shot_figure(metrics, QUESTIONS)

# %%
for name in QUESTIONS:
    claim(f"tokens.clip_{name}", metrics[name], above=0.7, below=1.001)
    claim(f"tokens.clip_{name}_held_out", metrics[f"{name}_held_out"], above=0.3 if name == "joint" else 0.55, below=1.001)

# %% [markdown]
# On the combinations of the training every factor is answered rightly in at least {{tokens.clip_least:.0%}} of the scenes. All four at once are right in {{tokens.clip_joint:.0%}} of the card's 200 scenes, where guessing gets one in 288. Nobody ever trained it to *classify*.
#
# On held-out combinations colour, size and place hardly lose ({{tokens.clip_colour_held_out:.2f}}, {{tokens.clip_size_held_out:.2f}}, {{tokens.clip_place_held_out:.2f}}), but the kind falls from {{tokens.clip_kind:.2f}} to {{tokens.clip_kind_held_out:.2f}}, and with it the joint answer, to {{tokens.clip_joint_held_out:.2f}}. We had hoped for 0.80 on held-out combinations, and 0.95 for each factor on the others. A thing that is red and square was never shown in training, so it is hard to see as a square: the kind was learned *together with the colours it came in*.
#
# **Where does it fail?** Sort the same answers by the size of the object that is asked about, by the number of objects, by kind; and the scenes with a new combination by what is new.

# %%
from course_lib.tokens.captions import COLOUR_NAMES, KINDS, describe, objects
from course_lib.tokens.figures_tokens_clip import breakdown_figure
from course_lib.tokens.metrics import share

kind, size, many = scenes["kind"][:, 0], scenes["size_index"][:, 0], scenes["present"].sum(1)
groups = {"small": size == 0, "large": size == 1} | {f"{n} objects": many == n for n in (2, 3, 4)} | {KINDS[k]: kind == k for k in range(len(KINDS))}
of_new = {f"new: {colour} {KINDS[k]}": (new["kind"][:, 0] == k) & (new["colour_index"][:, 0] == COLOUR_NAMES.index(colour))
          for k, colour in ((KINDS.index(kind), colour) for kind, colour in HELD_OUT)}
right, right_new = questions[""].right(images), questions["_held_out"].right(seen)
breakdown = {group: {name: share(answers[name][rows])[:3] for name in FACTORS}
             for answers, some in ((right, groups), (right_new, of_new)) for group, rows in some.items()}
breakdown_figure(breakdown, chances)

# %%
for group in ("small", "large", "2 objects", "4 objects"):
    claim(f"tokens.clip_kind_{group.replace(' ', '_')}", breakdown[group]["kind"][0], above=0.6, below=1.001)
of_kind = {group: breakdown[group]["kind"][0] for group in of_new}
claim("tokens.clip_kind_new_worst", min(of_kind.values()), above=-1e-9, below=metrics["kind_held_out"])
claim("tokens.clip_kind_new_best", max(of_kind.values()), above=metrics["kind_held_out"], below=1.001)
claim("tokens.clip_least", min(metrics[name] for name in FACTORS), above=0.85, below=1.001)

# %% [markdown]
# It is the kind again: {{tokens.clip_kind_small:.2f}} for small objects and {{tokens.clip_kind_large:.2f}} for large ones, {{tokens.clip_kind_2_objects:.2f}} in scenes of two and {{tokens.clip_kind_4_objects:.2f}} in scenes of four. A small object is 16 pixels across, four tokens; its corners are all that tells a square from a circle. Of the new combinations the worst has {{tokens.clip_kind_new_worst:.2f}} and the best {{tokens.clip_kind_new_best:.2f}} (about fifty scenes each; look at the intervals before you make a theory of it).
#
# **Which word belongs to which object?** A harder question, with nothing but order to go by: the true caption against the same caption with *one word exchanged between two objects*. "A red circle and a blue square" stands against "a blue circle and a red square". Both have the same words, so a model that only knows which words occur is right in half of the cases.

# %%
from course_lib.slots.figures_scenes import table_figure
from course_lib.tokens.probe import exchange

swapped = {name: float(exchange(clip, scenes, name, images).float().mean()) for name in FACTORS}
table_figure(torch.tensor([[swapped[name] for name in FACTORS]]), ["right"], list(FACTORS), "One word exchanged", "right (chance ½)")

# %%
claim("tokens.clip_exchange_kind", swapped["kind"], above=0.55, below=0.9)
claim("tokens.clip_exchange_size", swapped["size"], above=0.7, below=1.001)
for name in ("colour", "place"):
    claim(f"tokens.clip_exchange_{name}", swapped[name], above=0.35, below=0.65)

# %% [markdown]
# Sizes are tied to their objects ({{tokens.clip_exchange_size:.2f}}), kinds partly ({{tokens.clip_exchange_kind:.2f}}). But with two *colours* exchanged {{tokens.clip_exchange_colour:.0%}} of the answers are right, with two *places* {{tokens.clip_exchange_place:.0%}}: chance. The same model that names a colour in {{tokens.clip_colour:.0%}} of the scenes does not know *which object has it*. To this model a caption is, in good part, a **bag of words**.
# The large CLIPs fail in the same way (Yuksekgonul et al. 2023; Thrush et al. 2022). Here there are two suspects. No two scenes of our batches were ever told in the same words, so the loss never *had* to ask who has which. And one caption of five keeps silent about colours, which we did to free the kinds from them. Section 11 tries both.

# %% [markdown]
# ## 6 · 576 tokens
#
# Now open it up. The picture of 96 × 96 pixels is cut into patches of 4 × 4. One matrix turns each patch into a token of 128 numbers, and a learned vector for its place is added. A further token, **CLS** (for "class"), starts the same for every picture. Four layers of attention let all of them look at all others. Only CLS is read at the end: a linear map makes the embedding $v$ of it. So the sentence is matched with *one* token, and everything that CLS has to say it must collect from the 576.
#
# When we say *the tokens* without a layer, we mean those behind the layer before the last, called **layer −2**. Section 8 says why.
#
# The real `openai/clip-vit-large-patch14-336` has the same geometry: 336 pixels, patches of 14, 24 × 24 tokens. We do not need its weights to count: transformers builds it on the *meta device*, where tensors have a shape and no numbers.

# %%
from course_lib.tokens.published import PUBLISHED, count, on_paper

counted = {"ours": count(clip.clip)} | {name: count(on_paper(name)) for name in PUBLISHED}
for name, found in counted.items():
    print(f"{name:40} {found.resolution:3} pixels, {found.grid[0]:2} × {found.grid[1]:2} tokens of {found.dim:4}; "
          f"{found.parameters / 1e6:6.1f} M parameters, {found.gflop:5.1f} GFLOP a picture")

# %%
small, large = counted["ours"], counted["openai/clip-vit-large-patch14-336"]
claim("tokens.clip_grid_height", small.grid[0], above=23.9, below=24.1)
claim("tokens.clip_same_grid", small.grid == large.grid, above=0.5)
claim("tokens.clip_large_parameters", large.parameters / 1e6, above=427, below=428, unit="million")
claim("tokens.clip_large_gflop", large.gflop, above=381, below=383)
claim("tokens.clip_numbers", math.prod(small.grid) * small.dim / (3 * small.resolution**2), above=2.66, below=2.67)
claim("tokens.clip_large_numbers", math.prod(large.grid) * large.dim / (3 * large.resolution**2), above=1.74, below=1.75)

# %% [markdown]
# Tokens are no compression: 576 tokens of 128 numbers are {{tokens.clip_numbers:.2f}} *times as many* numbers as the picture has, and with the large model it is {{tokens.clip_large_numbers:.2f}} times. The large one has {{tokens.clip_large_parameters:.0f}} million parameters and spends {{tokens.clip_large_gflop:.0f}} GFLOP, billions of multiplications and additions, on a picture. The bottleneck of CLIP comes after the tokens: 64 numbers (768 in the large one) that must answer whatever a caption can ask. What the tokens are is up to the model, as long as CLS can collect its answer from them.

# %% [markdown]
# ## 7 · What is a token near to?
#
# The simplest question to a vector: which others are like it? The **similarity map** of a token is its cosine with every token of the picture.
#
# ### Exercise: a similarity map
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_map(tokens, row, column, centred=False)`: `tokens` (height, width, dim); return the cosine (height, width) of the token at (row, column) with all tokens. With `centred`, first subtract the mean token of the picture from all. The target: the maps of this figure, for a token on an object and one on the background.

# %%
from course_lib.tokens.figures_clip import similarity_figure
from course_lib.tokens.moving import examples, lies_on

under = lies_on(scenes["ids"], clip.grid)  # 0 where a token lies on the background, k on object k
tokens = layers[clip.layer].tokens
on_object, *_, on_background = examples(under[0])
similarity_figure(scenes["image"][0], {"cosine": tokens[0], "centred cosine": tokens[0] - tokens[0].mean((0, 1))}, [on_object, on_background])


# %%
def my_map(tokens, row, column, centred=False):
    ### BEGIN SOLUTION
    # stub: return torch.zeros(tokens.shape[:2])  # nothing is near to anything yet
    if centred:
        tokens = tokens - tokens.mean((0, 1))
    tokens = tokens / tokens.norm(dim=-1, keepdim=True)
    return (tokens * tokens[row, column]).sum(-1)
    ### END SOLUTION


check.similarity(my_map)
print("yours, from the object to the background:", *(f"{my_map(tokens[0], *on_object, centred)[on_background]:.2f}" for centred in (False, True)))

# %% [markdown]
# The explorer does it for any token, behind any layer. **Predict first:** what will a token in the middle of a small object be near to: its own object, objects of the same colour, objects of the same kind, or the background beside it? Then slide it over an object, over its edge, over the background far away and close by. At last change `layer`: 0 is what enters the first one.
#
# (By hand: `explorer.row.value = 3`.)

# %%
from course_lib.tokens.explorer import TokenExplorer

explorer = TokenExplorer(clip)
explorer.show()

# %% [markdown]
# The same without a kernel: three objects of one scene and its background, with everything centred.
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![One scene of several objects; for the token in the middle of each object, and for one on the background, its ten nearest tokens and its centred cosine with all tokens, laid over the picture](../data/pictures/tokens_row.png)
#
# </details>

# %%
explorer.measure.value = "centred"
explorer.still()

# %%
from course_lib.tokens.moving import Neighbours

places = [(row, place) for row in range(60) for place in examples(under[row])[:-1]]  # the middle of every object of 60 scenes
found = [Neighbours.of(tokens[row], under[row], place, centred=True) for row, place in places]
plain = [Neighbours.of(tokens[row], under[row], place) for row, place in places]
near = {name: sum(each.counts[name] for each in found) / sum(len(each.nearest) for each in found) for name in found[0].counts}
claim("tokens.clip_nearest_same_object", near["same object"], above=0.5, below=1.001)
claim("tokens.clip_nearest_background", near["background"], above=-1e-9, below=0.2)
for way, each in (("centred", found), ("cosine", plain)):
    mean = {name: [one.means[name] for one in each if name in one.means] for name in near}
    own, other, ground = (sum(values) / len(values) for values in mean.values())
    claim(f"tokens.clip_{way}_same_object", own, above=other, below=1)
    claim(f"tokens.clip_{way}_other_objects", other, above=ground, below=own)
    claim(f"tokens.clip_{way}_background", ground, above=-1, below=0.3)

# %% [markdown]
# Over the objects of 60 scenes, {{tokens.clip_nearest_same_object:.0%}} of the ten nearest tokens lie on the same object and {{tokens.clip_nearest_background:.0%}} on the background. The rest lie on other objects, of the same colour if there are any (look at the maps). The mean cosine is {{tokens.clip_cosine_same_object:.2f}} with the same object, {{tokens.clip_cosine_other_objects:.2f}} with other objects, {{tokens.clip_cosine_background:.2f}} with the background. No label ever said what an object is. Captions speak of objects, and that was enough.
# Look at the *empty* background as well: nine islands, at the nine places, whether anything is there or not. Captions speak of nine places, and the tokens have learned which of them they belong to.
#
# **What is a cosine worth?** Draw two tokens at random, of different places in different pictures. They have nothing in common. **Predict first** their cosine. Before you measure it, a theorem: for two independent draws of a unit vector $u$,
#
# $$\mathbb E \langle u, u' \rangle = \langle \mathbb E u, \mathbb E u' \rangle = \lVert \mathbb E u \rVert^2 .$$
#
# Whatever all tokens share, a mean direction, every two tokens have in common.
#
# ### Exercise: all pairs without a pair
#
# **Difficulty: medium. Time: 15 minutes.** 100 pictures have 57,600 tokens, and these have 1.7 billion pairs. Write `my_mean_cosine(tokens)`: for `tokens` (n, dim), the mean cosine of all pairs of two *different* tokens, without comparing any pair. The target: the number that 57,600 random pairs give below, to two digits.

# %%
def my_mean_cosine(tokens):
    ### BEGIN SOLUTION
    # stub: return 0.0  # as if tokens had nothing in common
    unit, n = tokens / tokens.norm(dim=-1, keepdim=True), len(tokens)
    return float((unit.sum(0).square().sum() - n) / (n * (n - 1)))
    ### END SOLUTION


check.mean_cosine(my_mean_cosine)

# %%
from course_lib.tokens.probe import cosine_floor

floors = [cosine_floor(layer.tokens[:100]) for layer in layers]
print(f"yours, behind layer {clip.layer}: {my_mean_cosine(tokens[:100].flatten(0, 2)):.3f}")
for number, floor in enumerate(floors):
    print(f"layer {number}: random pairs {floor.cosine:.3f}, squared length of the mean direction {floor.length:.3f}; random pairs, centred {floor.centred:.3f}")

# %%
floor = floors[clip.layer]
claim("tokens.clip_floor", floor.cosine, above=0.2, below=0.95)
claim("tokens.clip_floor_theorem", max(abs(each.cosine - each.length) for each in floors), below=0.01)
claim("tokens.clip_floor_centred", floor.centred, above=-0.05, below=0.2)
claim("tokens.clip_constant", floor.length**0.5, above=0.45, below=0.98)

# %% [markdown]
# Two tokens that have nothing to do with each other have a cosine of {{tokens.clip_floor:.2f}}. The theorem holds to {{tokens.clip_floor_theorem:.3f}} in every layer. And here is what follows for a **compressor**, something that passes fewer tokens on: one that learns nothing, and always writes the *mean direction*, reaches a mean cosine of $\lVert \mathbb E u \rVert =$ {{tokens.clip_constant:.2f}} with the true tokens. A cosine of 0.8 may be little. So from here on the **centred cosine** stands beside the cosine: subtract the mean token of all pictures first, and random pairs have {{tokens.clip_floor_centred:.2f}}.
#
# **Norms.** In large vision transformers a few tokens in dull places of the picture have norms many times the usual, and hold things about the *whole* picture rather than about their place (Darcet et al. 2024). The model uses them as scratch paper. Given spare tokens ("registers") for that, its maps get cleaner. **Predict first:** does our small CLIP do it, too?

# %%
from course_lib.tokens.figures_clip import norm_figure

norm_figure(scenes["image"][3], {f"layer {number}": layers[number].tokens[3] for number in (1, clip.layer, len(layers) - 1)})

# %%
norms = [layer.tokens.norm(dim=-1) for layer in layers]
longest = [float(norm.max() / norm.median()) for norm in norms]
away = [(norm[under > 0].mean() / norm[under == 0].mean()).item() for norm in norms]
claim("tokens.clip_longest", max(longest), above=1, below=3)
claim("tokens.clip_longest_cut", longest[clip.layer], above=1, below=3)
claim("tokens.clip_object_norm", away[clip.layer], above=0.5, below=3)

# %% [markdown]
# It does not. The longest of 115,200 tokens is {{tokens.clip_longest_cut:.2f}} times the median behind layer −2, and {{tokens.clip_longest:.2f}} times in the worst layer. Tokens of objects are on average {{tokens.clip_object_norm:.2f}} times as long as those of the background: length tells little here. Darcet et al. find outliers in large models that were trained for long, and ours is neither. With the real ViT-L/14 look again before you average tokens: one outlier in a field would drown the others.

# %% [markdown]
# ## 8 · Layer by layer: why −2?
#
# Which layer should one take? A **linear probe** asks what can be read off a token: a logistic regression, taught on the tokens of 130 scenes and tested on 70 others. We ask for the kind, colour, size and place of the object that the token lies on. To see how far tokens talk to each other, we also ask for kind and colour of *another* object of the scene. On the left the probe reads the token in the very middle of each object, on the right the mean of all tokens of the object.
#
# **Predict first:** what does a token in the middle of an object know about its kind?

# %%
from course_lib.tokens.figures_tokens_clip import probe_figure
from course_lib.tokens.probe import answers, linear_probe, most_frequent, of_objects, on_objects

truth = answers(scenes)
learn = (torch.arange(200) < 130)[:, None].expand(scenes["present"].shape)[scenes["present"]]  # the objects of the first 130 scenes
known = {"the token in the middle": {}, "the mean of the object's tokens": {}}
for name, answer in truth.items():
    for way, read in zip(known, (lambda layer: on_objects(layer.tokens, scenes), lambda layer: of_objects(layer.tokens, under, scenes))):
        known[way][name] = [linear_probe((x[learn], answer[learn]), (x[~learn], answer[~learn])) for x in map(read, layers)]
guess = {name: most_frequent(answer[learn], answer[~learn]) for name, answer in truth.items()}
probe_figure(known, guess, clip.layer)

# %%
middle, mean = known.values()
claim("tokens.clip_probe_colour", min(middle["colour"]), above=0.95, below=1.001)
claim("tokens.clip_probe_place", min(middle["place"]), above=0.95, below=1.001)
claim("tokens.clip_probe_kind_input", middle["kind"][0], above=0.2, below=0.5)
claim("tokens.clip_probe_kind", middle["kind"][clip.layer], above=middle["kind"][0], below=0.85)
claim("tokens.clip_probe_mean_kind_input", mean["kind"][0], above=0.6, below=0.95)
claim("tokens.clip_probe_mean_kind", mean["kind"][clip.layer], above=middle["kind"][clip.layer], below=1.001)
claim("tokens.clip_probe_guess_kind", guess["kind"], above=0.2, below=0.5)
claim("tokens.clip_probe_other_input", middle["other colour"][0], above=0.02, below=0.3)
claim("tokens.clip_probe_other_cut", middle["other colour"][clip.layer], above=middle["other colour"][0], below=1.001)
claim("tokens.clip_probe_other_last", middle["other colour"][-1], above=middle["other colour"][clip.layer], below=1.001)

# %% [markdown]
# - **Colour and place** can be read off at once, in all layers: {{tokens.clip_probe_colour:.2f}} and {{tokens.clip_probe_place:.2f}}. The colour is in the patch, the place was added to it.
# - **The kind** is not in the middle of an object. The patch there is flat ({{tokens.clip_probe_kind_input:.2f}} at the input; the most frequent answer has {{tokens.clip_probe_guess_kind:.2f}}), and even behind layer −2 its token has only been told half of it: {{tokens.clip_probe_kind:.2f}}. *All tokens of the object together* know it: {{tokens.clip_probe_mean_kind:.2f}}, where the patches alone give {{tokens.clip_probe_mean_kind_input:.2f}}. The kind is said by a crowd. A compressor that keeps one token of an object and throws away its neighbours will lose kinds first.
# - **Others** are heard of more and more: the colour of another object can be read in {{tokens.clip_probe_other_input:.2f}} of the cases at the input (chance), {{tokens.clip_probe_other_cut:.2f}} behind layer −2, {{tokens.clip_probe_other_last:.2f}} behind the last.
#
# **What moves a token?** The neighbours of section 2 are an experiment: two pictures that differ in one thing, at one place. How far does each token move? Squared distances, on a logarithmic scale; the patches that changed are framed.

# %%
from course_lib.tokens.figures_tokens_clip import movement_figure
from course_lib.tokens.probe import changed_patches, elsewhere, movement

twins = CaptionedScenes(96, seed=UNSEEN, neighbours=True).batch(range(80))
twin_layers = behind_layers(clip, twins["image"])
changed = changed_patches(twins["image"], clip.grid)
one = int((twins["changed"][::2] == 1).nonzero()[0])  # a pair that differs in a colour
moved = {f"layer {number}": movement(layer.tokens)[one] for number, layer in enumerate(twin_layers)}
movement_figure(twins["image"][2 * one : 2 * one + 2], moved, changed[one])

# %%
outside = [elsewhere(layer.tokens, changed) for layer in twin_layers]
claim("tokens.clip_elsewhere_input", outside[0], above=-1e-9, below=1e-9)
claim("tokens.clip_elsewhere_first", outside[1], above=0, below=0.5)
claim("tokens.clip_elsewhere_cut", outside[clip.layer], above=outside[1], below=0.7)
claim("tokens.clip_elsewhere_last", outside[-1], above=outside[clip.layer], below=0.9)

# %% [markdown]
# Before the first layer a token knows its patch and nothing else. Behind the first layer {{tokens.clip_elsewhere_first:.0%}} of all movement is in places where *nothing changed*, behind layer −2 {{tokens.clip_elsewhere_cut:.0%}}, behind the last {{tokens.clip_elsewhere_last:.0%}}. "The token of a patch" is a way of speaking: every token has heard of every object. Remember it in notebook 12, where each compressed token is given a field of its own.
#
# **And −1?** The embedding is made of CLS. So behind the last layer nobody reads the other 576 tokens any more, and no training ever told them what to be. Exactly: the gradient of the embedding with respect to them is zero.

# %%
def reached(layer):
    """How strongly the embedding of a picture depends on its tokens behind a layer."""
    cut = behind(clip, layer)
    tokens = layers[layer].tokens[:1].flatten(1, 2).clone().requires_grad_()
    cut.replay(tokens, layers[layer].cls[:1])[0, 0].backward()
    return float(tokens.grad.norm())


print({layer: round(reached(layer), 6) for layer in range(len(layers))})
claim("tokens.clip_gradient_last", reached(len(layers) - 1), above=-1e-9, below=1e-9)
claim("tokens.clip_gradient_cut", reached(clip.layer), above=1e-6)

# %% [markdown]
# That is the reason for the custom of LLaVA (Liu et al. 2023), which we follow: tokens behind the layer *before the last*, −2, without CLS. These are the last ones that somebody reads.
#
# One would now expect the tokens behind the last layer to be worse. In our measurements they are not *worse*, they are *different*: they know more of other objects (the probe), and more of their movement comes from elsewhere. The last layer gathers for CLS, and it does to all tokens what it does to CLS, for its weights are the same. Liu et al. suspect just that: global and abstract behind the last layer, more of the place before it. For tokens that are to stand for their places, −2 is the better choice, by a margin that you have seen.

# %% [markdown]
# ## 9 · Put back, and taken away
#
# What is a token *good for*? Put it back and see. The remaining layers are run on whatever tokens we like, with CLS as it was: `clip.replay(tokens, cls)`. Positions were added before the first layer and are in the tokens by now, so any number of tokens will do, in any order. With all tokens unchanged this is the model itself, to better than $10^{-5}$.
#
# Then take tokens away, at random, and ask the questions of section 5 again. **Predict first:** what is left of the answers with half of the 576? With a twentieth? With *none*?

# %%
from course_lib.tokens.clip import Encoded
from course_lib.tokens.figures_tokens_clip import thinning_figure

part = {number: Encoded(*(each[:20] for each in layers[number])) for number in range(len(layers))}
with torch.no_grad():
    whole = clip.clip.get_image_features(clip.normalized(scenes["image"][:20])).pooler_output  # transformers' own
whole = whole / whole.norm(dim=-1, keepdim=True)
claim("tokens.clip_replay_difference", max((thinned(behind(clip, number), part[number], 1.0) - whole).abs().max() for number in part), below=1e-5)

# %%
shares = (0.0, 0.05, 0.25, 0.5, 1.0)
left = {number: [questions[""].accuracy(thinned(behind(clip, number), layers[number], kept) if kept < 1 else images) for kept in shares]
        for number in range(1, clip.layer + 1)}
thinning_figure(shares, {f"behind layer {number}": {name: [row[name] for row in rows] for name in FACTORS} for number, rows in left.items()}, chances)

# %%
for name in FACTORS:
    alone, half, full = (left[clip.layer][k][name] for k in (0, 3, 4))
    claim(f"tokens.clip_cls_{name}", alone, above=chances[name] + 0.05, below=full)
    claim(f"tokens.clip_half_{name}", half, above=alone, below=1.001)
    claim(f"tokens.clip_gain_{name}", full - alone, above=0.05, below=0.7)
for kept, word in enumerate(("none", "twentieth", "quarter", "half", "all")):
    claim(f"tokens.clip_mean_{word}", sum(left[clip.layer][kept].values()) / 4, above=sum(chances.values()) / 4, below=1.001)
claim("tokens.clip_mean_none_early", sum(left[1][0].values()) / 4, above=0.2, below=sum(left[clip.layer][0].values()) / 4)

# %% [markdown]
# Behind layer −2, over all four questions: {{tokens.clip_mean_all:.2f}} with all tokens, {{tokens.clip_mean_half:.2f}} with half of them, {{tokens.clip_mean_quarter:.2f}} with a quarter, {{tokens.clip_mean_twentieth:.2f}} with 29 of 576, {{tokens.clip_mean_none:.2f}} with *none*. Half of the tokens, thrown away by lot, are hardly missed: that is the redundancy that compression lives on, and any compressor will look good by it. Only the kind pays at once ({{tokens.clip_half_kind:.2f}} with half), since it needs the crowd.
#
# **CLS only.** Without any token the colour is still right in {{tokens.clip_cls_colour:.0%}} of the cases, the kind in {{tokens.clip_cls_kind:.0%}}, the size in {{tokens.clip_cls_size:.0%}}, the place in {{tokens.clip_cls_place:.0%}}: all far from chance, because CLS has been collecting for three layers before we cut. (Cut behind the first layer, and CLS only is at {{tokens.clip_mean_none_early:.2f}}.) A compressor that passes *nothing at all* has these scores, and whoever reports "{{tokens.clip_cls_colour:.0%}} of the colours after compression" has reported CLS.
# So what tokens are good for is a **difference**: full minus CLS only, {{tokens.clip_gain_kind:.2f}} for the kind, {{tokens.clip_gain_place:.2f}} for the place, {{tokens.clip_gain_size:.2f}} for the size, {{tokens.clip_gain_colour:.2f}} for the colour. That is what a compressor can win or lose, and notebooks 11 to 13 subtract CLS only everywhere.

# %% [markdown]
# ## 10 · Another CLIP by its name
#
# Everything above was done with one object, `clip`, and that was loaded by its name. Shipped weights, a folder that transformers' `save_pretrained` wrote, or a name of the hub: one door for all of them. Here is the smaller CLIP that ours was grown from, and then the real one. Its 1.7 GB are not shipped with the course; as long as the first line stands, the hub is not asked, and only what is on this machine already is used.

# %%
import huggingface_hub

from course_lib.core.errors import BadInput

huggingface_hub.constants.HF_HUB_OFFLINE = True  # leave this line out, and the model is fetched and kept
for name in ("clip_48", "openai/clip-vit-large-patch14-336"):  # or the path of a folder
    try:
        other = ClipTokens.load(name)
        depth = len(other.clip.vision_model.encoder.layers)
        print(f"{name}: {other.resolution} pixels, {other.grid[0]} × {other.grid[1]} tokens of {other.dim} numbers, cut behind layer {other.layer} of {depth}")
    except BadInput as missing:
        print(missing)

# %% [markdown]
# Change `ClipTokens.load("clip")` in section 2 into another name, and sections 5 to 9 run on that model. (Scenes must have its resolution; a real CLIP has never seen such drawings, but it knows the words. Its tokenizer and its preprocessing come with it: `clip.preprocess(picture)` takes any PIL picture.) ViT-B/16, ViT-B/32 and ViT-H/14 go through the same door, with the grids printed in section 6. In the course's tests a ViT-L/14-336 of true size, built on the spot, is saved, loaded by `ClipTokens.load` and cut open: 24 × 24 tokens of 1024.

# %% [markdown]
# ## 11 · Failure gallery
#
# **Contrast with one thing changed.** Here the tiny CLIP of section 3 is trained again and again, for 800 steps, each time with one thing changed. There is *one* training of every kind, so small differences mean nothing (a [run record](../data/runs/clip_contrast.json); `python bench/records/clip_contrast.py --seeds 0` makes it again):
#
# - *no temperature*: the scale is 1 and stays 1;
# - *one sided*: pictures look for their captions, captions for nothing;
# - *no contrast*: pull the pairs together, $1 - \langle v_i, t_i \rangle$, and push nothing away;
# - *no neighbours*: 32 scenes at random instead of 16 pairs of neighbours;
# - *exchanges*: in half of the neighbours two objects exchange one word, as in the questions of section 5;
# - *full captions*: nothing is left unsaid.
#
# **Predict first** which of them ruins everything, and which does no harm.

# %%
import json

from course_lib.tokens.figures_contrast import changes_figure

rows = json.loads((DATA / "runs" / "clip_contrast.json").read_text(encoding="utf-8"))["rows"]
changes_figure(rows, chances)

# %% [markdown]
# **No contrast** ruins everything, and has the best loss of all ({{runs.clip_contrast.loss_no_contrast:.2f}}): all pictures and all captions end at one vector (two pictures at random have a cosine of {{runs.clip_contrast.alike_no_contrast:.2f}}), so the answers are guesses, or worse, since a tie counts as wrong (the kind is right in {{runs.clip_contrast.kind_no_contrast:.2f}}). It is the collapse of notebook 01 in another dress: with nothing to push, the mean of everything fits everything. **The diagnostic:** the cosine of two pictures at random, beside the loss.
#
# **No temperature** is the next worst: kinds {{runs.clip_contrast.kind_no_temperature:.2f}} instead of {{runs.clip_contrast.kind_as_it_is:.2f}}, colours {{runs.clip_contrast.colour_no_temperature:.2f}} instead of {{runs.clip_contrast.colour_as_it_is:.2f}}. Its loss of {{runs.clip_contrast.loss_no_temperature:.2f}} says little by itself. **The diagnostic:** the least loss at this scale, from section 4.
#
# **One side** of the loss does no harm that one training could show. Nor do **neighbours** show a gain in 800 steps. Without them the model finds {{runs.clip_contrast.found_no_neighbours:.0%}} of its captions instead of {{runs.clip_contrast.found_as_it_is:.0%}}, but its exam is easier, and the answers to our questions are about the same.
#
# What shows is what captions *say*. Where nothing is left out, kinds are right in {{runs.clip_contrast.kind_full_captions:.0%}}, and the exchanged colours of section 5 in {{runs.clip_contrast.exchange_colour_full_captions:.0%}} instead of {{runs.clip_contrast.exchange_colour_as_it_is:.0%}}. Neighbours told by exchanged words bring {{runs.clip_contrast.exchange_colour_exchanges:.0%}}. So both suspects of section 5 stay suspects, and the silence the more so: a caption that says less asks for less. One training each is no proof. Kinds in new colours do not gain from full captions: {{runs.clip_contrast.kind_held_out_full_captions:.0%}}, and {{runs.clip_contrast.kind_held_out_as_it_is:.0%}} as it is. None of these models learns the place in so few steps.
#
# **False negatives.** A batch from the web holds the same caption twice, or one that is true of another picture as well. Suppose every pair is in the batch twice. Then all denominators of the softmax double, and the loss grows by exactly $\ln 2$ for *any* model, a perfect one too: it pays for not telling apart what is the same, and its gradient pushes a picture away from a caption that is true. **The diagnostic:** count the equal captions of a batch before you train.
#
# **None of these.** The answer is the nearest caption, and there always is one. Leave the true colour out of the eight: the model should now say "none of these", and cannot.
#
# **Flipped pictures.** Mirror the pictures, as one does to get more training data, and the captions that say left and right become lies. Both in one cell:

# %%
about_colour = log_scale.exp() * torch.einsum("bke,be->bk", questions[""].candidates["colour"], images)  # the true caption first
sure = {"with the true one": about_colour.softmax(1).amax(1), "without it": about_colour[:, 1:].softmax(1).amax(1)}
mirrored = embedded(clip, scenes["image"][:60].flip(3))
sides = [row for row, scene in enumerate(objects(scenes)[:60]) if scene[0].place % 3 != 1]  # the first object stands left or right
said = [describe(objects(scenes)[row]) for row in sides]
told = [describe([each._replace(place=each.place - each.place % 3 + 2 - each.place % 3) for each in objects(scenes)[row]]) for row in sides]
with torch.no_grad():
    as_told, as_said = ((clip.text_embedding(texts) * mirrored[sides]).sum(1) for texts in (told, said))
claim("tokens.clip_sure", sure["with the true one"].mean(), above=0.6, below=1.001)
claim("tokens.clip_sure_without", sure["without it"].mean(), above=0.3, below=1.0)
claim("tokens.clip_mirror", (as_told > as_said).float().mean(), above=0.6, below=1.001)

# %% [markdown]
# With the true caption among the eight the softmax gives {{tokens.clip_sure:.2f}} to its answer on average. With the true one left out, it still gives {{tokens.clip_sure_without:.2f}} to one that is *false*: less, but nothing that one would call doubt. A softmax over captions says which is the nearest of these, never whether one of them is near.
# And of the mirrored pictures {{tokens.clip_mirror:.0%}} are nearer to the caption with left and right exchanged than to their own. The model knows left from right; a training with flips would teach it not to. **The diagnostic** of both is the cell itself: ask where you know that no answer is true, or that the other one is.

# %% [markdown]
# ## What you found
#
# - Contrast needs no labels: the batch is the exam. Its loss is at most about $\ln B$, at least $\ln(1 + (B-1)e^{-sB/(B-1)})$, and without a temperature that is {{tokens.clip_least_at_1:.2f}} of 4.16 nats.
# - What tells the batch apart is learned, the cheapest first: in 200 steps colours ({{tokens.clip_live_colour:.2f}}) and sizes, and of kinds and places next to nothing. What it seldom asks may not be learned at all: which object has which colour ({{tokens.clip_exchange_colour:.2f}}, chance ½).
# - The shipped model answers each factor in at least {{tokens.clip_least:.0%}} of new scenes; kinds in new colours only in {{tokens.clip_kind_held_out:.0%}}.
# - Its 24 × 24 tokens have the geometry of ViT-L/14-336 and more numbers than the picture. A token is near to the tokens of its object ({{tokens.clip_centred_same_object:.2f}}, centred) and far from the background. It says colour and place alone; the kind is said by all tokens of the object together ({{tokens.clip_probe_mean_kind:.2f}} against {{tokens.clip_probe_kind:.2f}}).
# - Two tokens with nothing in common have a cosine of {{tokens.clip_floor:.2f}}, the squared length of the mean direction; the constant mean token has {{tokens.clip_constant:.2f}} with all. Centre before you compare.
# - Nobody reads the tokens behind the last layer, so take −2. And no token is only about its place: {{tokens.clip_elsewhere_cut:.0%}} of what moves it there happens elsewhere.
# - Take away half of the tokens and little is missed; take away all, and CLS alone still has {{tokens.clip_cls_colour:.0%}} of the colours. What tokens are worth is the difference.
#
# Half of the tokens are thrown away by lot and hardly missed. How many does one need, and which? That is notebook 11.
#
# **References.** A. Radford et al., *Learning Transferable Visual Models From Natural Language Supervision* (2021), sec. 2.3 and figure 3 (the loss), 2.5 (the scale, at most 100), 3.1 (zero-shot), 3.2 (linear probes). A. van den Oord, Y. Li & O. Vinyals, *Representation Learning with Contrastive Predictive Coding* (2018), sec. 2.3 (InfoNCE and the bound on mutual information). T. Wang & P. Isola, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere* (2020).
# F. Graf, C. Hofer, M. Niethammer & R. Kwitt, *Dissecting Supervised Contrastive Learning* (2021): the simplex and the least loss. H. Liu, C. Li, Q. Wu & Y. J. Lee, *Visual Instruction Tuning* (LLaVA, 2023), sec. 4.1 (the grid features before and after the last layer) and the ablation of the layer. T. Darcet, M. Oquab, J. Mairal & P. Bojanowski, *Vision Transformers Need Registers* (ICLR 2024), sec. 2 (outliers of the norm).
# M. Yuksekgonul et al., *When and Why Vision-Language Models Behave like Bags-of-Words, and What to Do about It?* (ICLR 2023): words exchanged, and hard negatives. T. Thrush et al., *Winoground* (2022). A. Dosovitskiy et al., *An Image is Worth 16x16 Words* (2021): patches as tokens. K. Jordan et al., *Muon* (2024): how the matrices were trained.
