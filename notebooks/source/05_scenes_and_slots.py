# %% [markdown]
# # 05 · Scenes and slots: does every object get a slot?
#
# **The question of this notebook: if a picture must pass through a few slots, and nothing but the picture teaches them, does each slot keep one object?**
#
# After this notebook you can
#
# - train and read a slot autoencoder, and name the box in which the objects separate;
# - choose between six measures of "found the objects", and say what each of them cannot see;
# - judge a model against a baseline that only counts colours;
# - recognise seven ways to fail, and the number that gives each of them away.
#
# *Measured: {{minutes.05_scenes_and_slots:.1f}} minutes on two CPU cores. Yours: two sittings of 40 minutes, exercises included; pause after section 4. Builds on: notebook 04.*

# %% [markdown]
# ## 1 · Worlds of which we know everything
#
# Notebook 04 gave slots a rule, and the rule mentions no objects. Do its slots end up with objects all the same? Whoever wants to measure that must know the truth.
#
# A **scene** is a picture of a few objects in front of a background. We draw our scenes ourselves, so we know the truth about every pixel: its **label** is 0 where the background shows and $k$ where object number $k$ shows.
# We also know each object's kind, colour, place and size. No model is told any of this. The truth serves to *score* models.
#
# - **Shapes**: circles, squares and triangles in eight colours. They never touch. Two objects may have the same colour.
# - **Multi-dSprites**: squares, ellipses and hearts of any hue, turned, scaled, partly hiding one another, before a grey background or a coloured one. It is made like DeepMind's data set of that name, but the files are not the same, so scores on the two are not the same either.
#
# One function opens all of them: `create_dataloader` returns a loader of training scenes and a loader of **held-out** scenes, which no training sees.
#
# **Predict first:** a scene of Shapes has 2 to 6 objects, each number equally often, and each object has one of 8 colours. In how many scenes do at least two objects share a colour? One in ten, a quarter, a half?

# %%
import torch

from course_lib.core.claims import claim
from course_lib.slots.figures_training import scenes_sheet
from course_lib.slots.loaders import create_dataloader

_, shapes = create_dataloader(dataset_type="shapes", resolution=64, held_out=128, batch_size=128)
_, grey = create_dataloader(dataset_type="multi_dsprites", resolution=64, held_out=64, batch_size=64)
_, coloured = create_dataloader(dataset_type="multi_dsprites", resolution=64, background="coloured", held_out=8)
scenes, sprites = next(iter(shapes)), next(iter(grey))
scenes_sheet({"Shapes": scenes, "sprites, grey": sprites, "coloured": next(iter(coloured))})

# %%
from course_lib.slots.owners import same_colour

twins = same_colour(scenes).flatten(1).any(1)  # which scenes hold two objects of one colour
claim("slots.twin_scenes", twins.float().mean(), above=0.4, below=0.7)

# %% [markdown]
# The white lines are the edges of the true masks. Objects of one colour are common: with $n$ objects, all colours differ with probability $8 \cdot 7 \cdots (9 - n) / 8^n$, which leaves 0.56 for "at least two agree" on average over $n = 2, \dots, 6$.
# In our 128 held-out scenes it is {{slots.twin_scenes:.2f}}. Keep these **twin scenes** in mind: there, colour does not tell the objects apart.
#
# **CLEVR-6** is the third world: rendered scenes with light, shadow and perspective, of which those with at most six objects are used. The files are too large to ship, so the loader reads the real ones from your disk, in either form:
# the [original release](https://cs.stanford.edu/people/jcjohns/clevr/) (pictures and factors, but no masks, so only the reconstruction can be scored) or [DeepMind's files](https://github.com/google-deepmind/multi_object_datasets) (with masks). Both are cropped to the middle as in the paper.
# If the folder is missing, the loader says in one sentence what to get and where to put it:

# %%
from course_lib.core.errors import BadInput

try:
    create_dataloader(dataset_type="clevr6", resolution=128, folder="CLEVR")  # name your folder here
except BadInput as missing:
    print(missing)

# %% [markdown]
# ## 2 · What does "found the objects" mean?
#
# A model divides the picture among its slots: every pixel belongs to one slot, its **owner**. The slots have no names, so we cannot compare their numbers with the objects' numbers. Two families of measures get around this.
#
# **Overlap.** The *intersection over union* of an object and a slot is $\mathrm{IoU} = \dfrac{\text{pixels in both}}{\text{pixels in at least one}}$, between 0 and 1.
#
# - **mBO** (mean best overlap): every object takes the slot with the highest IoU; then the mean over the objects.
# - **mIoU** (mean IoU): the same, but every slot may be taken only once, in the best possible way.
#
# **Pairs.** Draw two pixels. Do truth and model agree on whether they belong together? Count the pairs that are together in the truth ($A$, as a share of all pairs), in the model ($B$) and in both ($J$). By chance $J$ would be $A \cdot B$.
# The **adjusted Rand index** puts chance at 0 and perfect agreement at 1 (with many pixels; the exact formula counts pairs without repetition):
#
# $$\mathrm{ARI} = \frac{J - AB}{\tfrac12 (A + B) - AB}, \qquad A = \sum_i a_i^2, \quad B = \sum_j b_j^2, \quad J = \sum_{ij} n_{ij}^2,$$
#
# where $a_i$ is object $i$'s share of the pixels, $b_j$ slot $j$'s, and $n_{ij}$ the share that both have.
#
# - **Full ARI** uses all pixels; the background counts as one more object.
# - **FG-ARI** (foreground ARI) uses only the pixels of objects.
#
# Most papers report FG-ARI. Is it enough? Here is a scene for pencil and paper: 80% background and four objects of 5% each. Two failures, built exactly:
# on the left the background is *shattered* into four slots while each object has its own; on the right one slot owns all four objects.
#
# **Predict first:** which failure does FG-ARI punish? Which one does full ARI punish?

# %%
from course_lib.slots import failures
from course_lib.slots.figures_scenes import segmentations_figure
from course_lib.slots.metrics import scene_metrics

paper, shown = failures.paper_scene(), {}
for name, labels in {"the truth": paper, "shattered background": failures.background_in_pieces(paper),
                     "objects in one slot": failures.objects_in_one(paper)}.items():
    masks = failures.from_labels(labels)
    shown[name] = masks[0], {key: float(value) for key, value in scene_metrics(paper, masks).items()}
segmentations_figure(shown)

# %%
claim("slots.shattered_fg_ari", shown["shattered background"][1]["fg_ari"], above=0.999, below=1.001)
claim("slots.shattered_full_ari", shown["shattered background"][1]["full_ari"], above=0.19, below=0.21)
claim("slots.one_slot_fg_ari", shown["objects in one slot"][1]["fg_ari"], above=-0.001, below=0.001)
claim("slots.one_slot_full_ari", shown["objects in one slot"][1]["full_ari"], above=0.92, below=0.94)

# %% [markdown]
# Each measure is blind to the other's failure. The shattered background has a perfect FG-ARI of {{slots.shattered_fg_ari:.2f}}; only full ARI, {{slots.shattered_full_ari:.2f}}, sees it. With all objects in one slot full ARI is still {{slots.one_slot_full_ari:.2f}}, because most pairs of pixels lie
# in the background and are right; FG-ARI is {{slots.one_slot_fg_ari:.0f}}. On paper, left: $A = 0.8^2 + 4 \cdot 0.05^2 = 0.65$, $B = 4 \cdot 0.2^2 + 4 \cdot 0.05^2 = 0.17$, $J = B$, so ARI = 0.0595/0.2995 = 0.20. **Always read the two together.**
#
# ### Exercise: predict two scores
#
# **Difficulty: easy. Time: 10 minutes.** Same scene, two other failures, on paper: (1) every object is cut into two equal *halves* with a slot each; (2) the objects come in *pairs*, two objects to a slot. The background has its own slot both times.
# Give FG-ARI and full ARI, each within 0.03. For FG-ARI the shares are shares of the objects' pixels only. The figure below the check shows the target.

# %%
from course_lib.slots.exercises_scenes import check

### BEGIN SOLUTION
# stub: my_prediction = {"objects in halves": (1.0, 1.0), "objects in pairs": (1.0, 1.0)}  # (FG-ARI, full ARI)
my_prediction = {
    "objects in halves": (0.60, 0.99),  # FG: A = 1/4, B = J = 1/8. Full: A = 0.65, B = J = 0.645
    "objects in pairs": (0.50, 0.98),  # FG: A = J = 1/4, B = 1/2. Full: A = J = 0.65, B = 0.66
}
### END SOLUTION
check.prediction(my_prediction)

# %%
for name, labels in {"objects in halves": failures.objects_in_halves(paper), "objects in pairs": failures.objects_in_pairs(paper)}.items():
    masks = failures.from_labels(labels)
    shown[name] = masks[0], {key: float(value) for key, value in scene_metrics(paper, masks).items()}
claim("slots.halves_fg_ari", shown["objects in halves"][1]["fg_ari"], above=0.57, below=0.63)
claim("slots.pairs_fg_ari", shown["objects in pairs"][1]["fg_ari"], above=0.47, below=0.53)
segmentations_figure({name: shown[name] for name in ("objects in halves", "objects in pairs")})

# %% [markdown]
# Full ARI hardly moves, while FG-ARI falls to {{slots.halves_fg_ari:.2f}} and {{slots.pairs_fg_ari:.2f}}. Overlaps tell the two apart: for pairs, mBO lets both objects take the same slot and stays at 0.5, and mIoU, which gives it to only one of them, is half of that.
#
# ### Exercise: IoU and mBO from two label maps
#
# **Difficulty: medium. Time: 15 minutes.** `ids` (height, width) holds the true labels, 0 for the background and 1 … n for the objects; `owner` (height, width) holds the slot of every pixel, 0 … m − 1. Write `my_iou(ids, owner)`, a table (n, m) without a row for the background,
# and `my_mbo(iou)`, one number from this table. The target figure is the table of a scene in which objects 2 and 3 share a slot and object 4 has lost a quarter.

# %%
from course_lib.slots.exercises_scenes import iou_target

iou_target()


# %%
def my_iou(ids, owner):
    ### BEGIN SOLUTION
    # stub: return torch.zeros(int(ids.max()), int(owner.max()) + 1)  # nothing overlaps yet
    objects, slots = range(1, int(ids.max()) + 1), range(int(owner.max()) + 1)
    table = [[((ids == i) & (owner == j)).sum() / ((ids == i) | (owner == j)).sum() for j in slots] for i in objects]
    return torch.tensor(table)
    ### END SOLUTION


def my_mbo(iou):
    ### BEGIN SOLUTION
    # stub: return 0.0  # no overlap yet
    return float(iou.max(dim=1).values.mean())
    ### END SOLUTION


check.iou(my_iou)
check.mbo(my_mbo)

# %% [markdown]
# ## 3 · A baseline that counts colours
#
# Before we ask a network, we ask something simple. **K-means by colour** takes the pixels of one picture as points in the space of red, green and blue, places 7 centres, and gives every pixel to the nearest centre. It learns nothing, and it does not know *where* a pixel is.
#
# **Predict first:** how well does it score on Shapes? On the twin scenes? On Multi-dSprites, where every object has its own hue?

# %%
from course_lib.slots.baselines import colour_clusters, paint
from course_lib.slots.figures import visualize_slots
from course_lib.slots.owners import told_apart

clusters = colour_clusters(scenes["image"], clusters=7)
rows = [int(twins.nonzero()[0]), int((~twins).nonzero()[0])]  # one scene with twins, one without
visualize_slots(scenes["image"][rows], paint(scenes["image"], clusters)[rows], clusters[rows])

# %%
by_colour = scene_metrics(scenes["ids"], clusters)
claim("slots.colour_fg_ari", by_colour["fg_ari"].nanmean(), above=0.7, below=0.9)
claim("slots.colour_fg_ari_twins", by_colour["fg_ari"][twins].nanmean(), above=0.5, below=0.75)
claim("slots.colour_fg_ari_others", by_colour["fg_ari"][~twins].nanmean(), above=0.999, below=1.001)
claim("slots.colour_full_ari", by_colour["full_ari"].mean(), above=0.98, below=1.001)
claim("slots.colour_twins_apart", told_apart(scenes, clusters)[0], above=-0.001, below=0.001)
on_sprites = scene_metrics(sprites["ids"], colour_clusters(sprites["image"]))
claim("slots.colour_fg_ari_sprites", on_sprites["fg_ari"].nanmean(), above=0.99, below=1.001)

# %% [markdown]
# Where all colours differ the baseline is perfect: FG-ARI {{slots.colour_fg_ari_others:.2f}} on Shapes without twins, and {{slots.colour_fg_ari_sprites:.2f}} on Multi-dSprites. **On flat colours a high FG-ARI alone proves nothing about objects.** That holds for our worlds, and it is why CLEVR, with its light and shadow, is the harder test.
# In the twin scenes the baseline falls to {{slots.colour_fg_ari_twins:.2f}}: of all pairs of objects of one colour it tells apart {{slots.colour_twins_apart:.0%}}. In the upper row you see why: both twins lie in one column. Over all of Shapes it scores {{slots.colour_fg_ari:.2f}}.
#
# So this is what slots must add: things that are *alike* and *apart* are two things.

# %% [markdown]
# ## 4 · A picture through seven slots
#
# The **slot autoencoder** is a chain of four boxes:
#
# 1. The **encoder**, a small convolutional network, turns the picture into a grid of inputs, one for each 4 × 4 pixels, and adds to each *where* it is (*soft positions*).
# 2. **Slot attention** of notebook 04: 7 slots compete for the inputs, for 3 iterations (in training for 2 to 5, drawn anew at each step).
# 3. The **spatial-broadcast decoder** takes each slot *alone*, copies it to every place of a grid, and makes a picture and one more number for each pixel.
# 4. The **mixture**: a softmax of these numbers over the slots gives **masks**, which sum to 1 at every pixel. The reconstruction is $\hat x = \sum_k \text{mask}_k \cdot \text{picture}_k$.
#
# The loss is the squared error of the picture, as in Part I; no label appears in it. In the trained models two small costs join it once the slots have found objects: *sharing*, of pixels with more than one owner, and *usage*, of each slot that is used. Sections 7 and 8 show why both exist, and why not earlier.
#
# A real training takes thousands of steps. We start a tiny one: 32 × 32 pixels, at most 3 objects, 4 slots. **Predict first:** what will be learned first, the picture or the objects?

# %%
from course_lib.core.environment import fast
from course_lib.core.threads import one_thread
from course_lib.slots.autoencoder import SlotAutoencoder
from course_lib.slots.figures_training import training_curves
from course_lib.slots.loaders import create_datasets
from course_lib.slots.recipe import train_slots

tiny = dict(num_slots=4, slot_dim=32, hidden_dim=32, channels=16, start="queries", queries=4, eps=1e-8)  # the plain model of notebook 04
easy = dict(resolution=32, max_objects=3, samples=800, held_out=64)
data, held_out = create_datasets("shapes", **easy)
torch.manual_seed(0)
small, epochs = SlotAutoencoder(**tiny), 2 if fast() else 12  # of 50 steps
with one_thread():
    history = train_slots(small, data, held_out=held_out, epochs=epochs, batch_size=16, lr=3e-3, sharing_cost=0, usage_cost=0)
training_curves(history.epochs)

# %%
claim("slots.live_fg_ari", history.epochs["fg_ari"][-1], above=-0.1 if fast() else 0.2, below=0.9, spread=0.3)
claim("slots.live_full_ari", history.epochs["full_ari"][-1], above=-0.1, below=0.6, spread=0.01)
claim("slots.live_mse", history.epochs["mse"][-1], below=0.03)

# %% [markdown]
# The picture comes first, the objects later. The error falls within the first epochs, while the model learns to paint the background, and then stands still for a while: it is during this standstill that the slots begin to part. At the end FG-ARI is {{slots.live_fg_ari:.1f}} and full ARI {{slots.live_full_ari:.2f}}, with an error of {{slots.live_mse:.4f}}:
# objects have begun to separate, and the background still lies in pieces. When they part is luck: another seed, or another processor's rounding, may bring it some epochs earlier or later. The rest takes time: the shipped model had more than fifteen times as many steps. What the figure teaches is the order of things: **a falling error does not say that slots have found objects**.

# %% [markdown]
# ## 5 · The trained model
#
# These weights are shipped with the course. Beside each file of weights lies its **card**, `data/weights/slots_shapes.json`: the settings, the seed, the time that the training took, and how well it went. The scenes are held out: the model has never seen them. A row shows a scene, its reconstruction, the owner of every pixel, and each slot's part on white.

# %%
from course_lib.core.weights import load_pretrained
from course_lib.slots.recipe import measure, measure_consistency
from course_lib.slots.scenes import start_chance

model = load_pretrained("slots_shapes", expect=SlotAutoencoder)
with torch.no_grad():
    out = model(scenes["image"], chance=start_chance(scenes))
some = [*rows, 7, 11]
visualize_slots(scenes["image"][some], out.reconstruction[some], out.masks[some], pictures=out.pictures[some])

# %%
found = {name: value.nanmean() for name, value in scene_metrics(scenes["ids"], out.masks).items()}
claim("slots.shapes_fg_ari", found["fg_ari"], above=0.7)
claim("slots.shapes_full_ari", found["full_ari"], above=0.6)
claim("slots.shapes_miou", found["miou"], above=0.6)
claim("slots.shapes_mbo", found["mbo"], above=0.6)
claim("slots.shapes_attention_fg_ari", scene_metrics(scenes["ids"], out.attention[:, -1])["fg_ari"].nanmean(), above=0.6)
claim("slots.shapes_mse", (out.reconstruction - scenes["image"]).square().mean(), below=0.01)
claim("slots.shapes_consistency", measure_consistency(model, shapes.dataset, scenes=64), above=0.3)

# %% [markdown]
# All six measures beside the pictures: FG-ARI {{slots.shapes_fg_ari:.2f}}, full ARI {{slots.shapes_full_ari:.2f}}, mIoU {{slots.shapes_miou:.2f}}, mBO {{slots.shapes_mbo:.2f}}, and a mean squared error of {{slots.shapes_mse:.4f}}. The sixth is **slot consistency**: move every object by two pixels, start the slots alike, and ask which share of the objects keeps its slot: {{slots.shapes_consistency:.2f}}. Pure chance would give one in seven. It is not 1, because the slots start at inputs of the picture (section 7), and a picture that has moved may choose other inputs.
#
# Is that luck? Three trainings that differ in nothing but their seed ([record](../data/runs/slots_seeds.json)) end on 1000 held-out scenes at an FG-ARI of {{runs.slots_seeds.shapes_fg_ari_min:.3f}} to {{runs.slots_seeds.shapes_fg_ari_max:.3f}} and a full ARI of {{runs.slots_seeds.shapes_full_ari_min:.3f}} to {{runs.slots_seeds.shapes_full_ari_max:.3f}}; shipped is the middle one.
#
# In the first row the yellow triangle is lost: the background's slot has its pixels and paints background there, although slot 1 is empty. Section 6 shows that the two costs do this now and then.
#
# Look at corners and edges, too: a slot that paints a square as a blob loses its corners to the background. mIoU and mBO, which count every pixel, pay more for this than FG-ARI does.
#
# A segmentation can also be read off the last *attention*, which is coarser but says what each slot looked at: FG-ARI {{slots.shapes_attention_fg_ari:.2f}}. Here a slot looks at what it paints: the objects separate in box 2 of section 4, where the slots compete. A slot need not look at what it paints, as the next world shows.
#
# The model was told neither that there are objects nor how many. Against the baseline of section 3:

# %%
own = scene_metrics(scenes["ids"], out.masks)["fg_ari"]
apart_alike, apart_other = told_apart(scenes, out.masks)
claim("slots.shapes_fg_ari_twins", own[twins].nanmean(), above=0.65)
claim("slots.gain_on_twins", own[twins].nanmean() - by_colour["fg_ari"][twins].nanmean(), above=0.0)
claim("slots.shapes_twins_apart", apart_alike, above=0.5)
claim("slots.shapes_others_apart", apart_other, above=0.5)

# %% [markdown]
# In the twin scenes the slots reach {{slots.shapes_fg_ari_twins:.2f}} where colours reach {{slots.colour_fg_ari_twins:.2f}}. Of the pairs of one colour they tell {{slots.shapes_twins_apart:.0%}} apart, and of the other pairs {{slots.shapes_others_apart:.0%}}; for the baseline it was none and all. The slots know *where* as well as *what*. Over all of Shapes the score is
# {{slots.shapes_fg_ari:.2f}} against {{slots.colour_fg_ari:.2f}}.
#
# One scene, taken apart, with the squared error of every pixel; and how its attention came about, over five iterations:

# %%
from course_lib.slots.figures import visualize_attention_evolution, visualize_slot_decomposition

one = rows[0]
visualize_slot_decomposition(scenes["image"][one], out.reconstruction[one], out.masks[one], pictures=out.pictures[one])

# %%
with torch.no_grad():
    longer = model(scenes["image"][[one]], iterations=5, chance=[start_chance(scenes)[one]])
visualize_attention_evolution(longer.attention, image=scenes["image"][one])

# %% [markdown]
# Read the rows from top to bottom. After the first iteration most objects have their slot, because the slots start at inputs of the picture. What is still shared is settled in the second and third; afterwards only edges move. The attention lives on the coarse grid of 16 × 16 inputs, the masks on the 64 × 64 pixels: the decoder sharpens the edges.
#
# **Multi-dSprites** is harder, since objects hide one another: a slot must keep a whole thing of which only a part can be seen.

# %%
second = load_pretrained("slots_multi_dsprites", expect=SlotAutoencoder)
with torch.no_grad():
    over = second(sprites["image"], chance=start_chance(sprites))
claim("slots.sprites_fg_ari", scene_metrics(sprites["ids"], over.masks)["fg_ari"].nanmean(), above=0.4)
claim("slots.sprites_full_ari", scene_metrics(sprites["ids"], over.masks)["full_ari"].mean(), above=0.4)
claim("slots.sprites_attention_fg_ari", scene_metrics(sprites["ids"], over.attention[:, -1])["fg_ari"].nanmean(), above=0.4)
visualize_slots(sprites["image"], over.reconstruction, over.masks, pictures=over.pictures, rows=3)

# %% [markdown]
# FG-ARI {{slots.sprites_fg_ari:.2f}}, full ARI {{slots.sprites_full_ari:.2f}} on 64 held-out scenes. Again three trainings that differ in their seed: on 1000 held-out scenes they end at an FG-ARI of {{runs.slots_seeds.multi_dsprites_fg_ari_min:.3f}} to {{runs.slots_seeds.multi_dsprites_fg_ari_max:.3f}} and a full ARI of {{runs.slots_seeds.multi_dsprites_full_ari_min:.3f}} to {{runs.slots_seeds.multi_dsprites_full_ari_max:.3f}}; shipped is the middle one. The paper reports 0.913 for FG-ARI (its table 1), on DeepMind's files and after 500,000 steps: other scenes and another budget, so the two figures cannot be ranked.
#
# The last attention scores {{slots.sprites_attention_fg_ari:.2f}}, less than the masks. An input of the grid has seen the 23 × 23 pixels around it, so a few of an object's inputs are enough to know the whole object; a slot may read those and leave the rest to others. What a slot paints need not be what it looks at.

# %% [markdown]
# ## 6 · How many slots, how many iterations?
#
# The model was trained with 7 slots and 2 to 5 iterations, but both may change when it is used. **Predict first**, before you touch the sliders: a scene of five objects, and 2 slots. Who shares? And with 10 slots: will the extra ones stay empty?
#
# (`SlotExplorer(data="multi_dsprites").show()` opens the other world.)

# %%
from course_lib.slots.explorer import SlotExplorer

explorer = SlotExplorer(model)
explorer.show()

# %% [markdown]
# The same without a kernel, for four numbers of slots:
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![One scene taken apart by 2, 4, 7 and 10 slots, a row each: the picture, its reconstruction, who owns which pixel, and each slot's part; with two slots most objects are lost, with seven all but the yellow triangle have a slot, with ten it has one too and two slots stay empty](../data/pictures/slots_row.png)
#
# </details>

# %%
explorer.still([2, 4, 7, 10])

# %% [markdown]
# With 2 slots the second one takes two triangles at once and paints them in a mixed colour; the other objects are lost. With 4 two objects have a slot of their own, with 7 all but the yellow triangle, and with 10 the triangle too, while slots 1 and 9 stay empty.
#
# Now all numbers of slots on 64 scenes. Beside the scores we count what happens to single objects. The owner of an object is the slot with most of its pixels. An object is **merged** if another object has the same owner, **split** if a second slot holds at least 10% of it (the background's slot does not count: blurred corners are not a split), **swallowed** if its owner
# is also the background's.

# %%
from course_lib.slots.figures_scenes import errors_figure
from course_lib.slots.figures_training import slots_against_scores
from course_lib.slots.owners import object_errors

few, ks, by_slots, wrong = {name: value[:64] for name, value in scenes.items()}, list(range(2, 11)), {}, {}
for k in ks:
    with torch.no_grad():
        masks = model(few["image"], num_slots=k, chance=start_chance(few)).masks
    by_slots[k] = {name: float(value.nanmean()) for name, value in scene_metrics(few["ids"], masks).items()}
    wrong[k] = object_errors(few["ids"], masks)
slots_against_scores(ks, {name: [by_slots[k][name] for k in ks] for name in ("fg_ari", "full_ari", "miou")}, trained=(7, 7), objects=(2, 6))

# %%
errors_figure(ks, {name: [wrong[k][name] for k in ks] for name in ("merged", "split", "swallowed")})

# %%
claim("slots.fg_ari_2_slots", by_slots[2]["fg_ari"], below=0.6)
claim("slots.fg_ari_7_slots", by_slots[7]["fg_ari"], above=0.6)
claim("slots.fg_ari_10_slots", by_slots[10]["fg_ari"], above=0.4)
claim("slots.merged_2_slots", wrong[2]["merged"], above=0.5)
claim("slots.merged_7_slots", wrong[7]["merged"], below=0.4)
claim("slots.swallowed_7_slots", wrong[7]["swallowed"], below=0.4)
claim("slots.split_7_slots", wrong[7]["split"], below=0.3)
claim("slots.split_10_slots", wrong[10]["split"], below=0.3)

# %% [markdown]
# With 2 slots FG-ARI is {{slots.fg_ari_2_slots:.2f}} and {{slots.merged_2_slots:.0%}} of the objects are merged: there is no way around it, several things must share two slots. With 7 slots, FG-ARI is {{slots.fg_ari_7_slots:.2f}}, {{slots.merged_7_slots:.0%}} of the objects are merged, {{slots.swallowed_7_slots:.0%}} swallowed and {{slots.split_7_slots:.0%}} split. With 10 slots, FG-ARI is
# {{slots.fg_ari_10_slots:.2f}} and {{slots.split_10_slots:.0%}} are split. Too few slots merge objects and lose them to the background. Too many do little harm here: most of the extra slots stay empty. The rule of thumb "a few more slots than objects" reads off the grey band: objects plus one for the background.
#
# And the iterations, at 7 slots:

# %%
by_rounds = {t: measure(model, few, iterations=t) for t in (1, 2, 3, 5, 7)}
for t, scores in by_rounds.items():
    print(f"{t} iterations: FG-ARI {scores['fg_ari']:.2f}, full ARI {scores['full_ari']:.2f}, MSE {scores['mse']:.4f}")
claim("slots.fg_ari_1_iteration", by_rounds[1]["fg_ari"], above=0.5, below=by_rounds[3]["fg_ari"])
claim("slots.gain_3_iterations", by_rounds[3]["fg_ari"] - by_rounds[1]["fg_ari"], above=0.0)
claim("slots.fg_ari_7_iterations", by_rounds[7]["fg_ari"], above=0.4)

# %% [markdown]
# One iteration gives {{slots.fg_ari_1_iteration:.2f}}; the next two add {{slots.gain_3_iterations:.2f}}. After that little changes: 7 iterations give {{slots.fg_ari_7_iterations:.2f}}. Each step of the training drew its own number of iterations, from 2 to 5: a model that only ever practises three may fall apart after the fourth.
#
# ### What do the other knobs do?
#
# The study that Part II grew from gives advice: a few more slots than objects, batches of 16 to 64, 100 to 300 epochs, more iterations where slots do not separate, a lower learning rate and clipping where the training is unstable. We tried all of it, and our own choices, **one change at a time**. The scenes are small (32 pixels, two to four objects, 5 slots) and the trainings short: 3200 steps of 8 scenes at a learning rate (lr) of 1e-3, about two minutes on one core. So you can repeat any row ([record](../data/runs/slots_settings.json)).
#
# Two terms of the table in advance. Slots **bind** when they begin to take whole objects. **Muon** (Jordan et al. 2024) is the optimiser of our weight matrices: its step moves all directions of a matrix equally far, however small the gradient is in some of them. All other weights learn by Adam.
#
# **Predict first:** four of the changes leave the slots with nothing at all in this time. Which?

# %%
import json

from course_lib.core.paths import DATA
from course_lib.slots.figures_scenes import settings_figure

knobs = json.loads((DATA / "runs" / "slots_settings.json").read_text(encoding="utf-8"))["runs"]
settings_figure(knobs)

# %% [markdown]
# A row is a change, a mark is one training on 1000 held-out scenes; where a row has two pairs of marks, they differ in the seed alone and say how much is luck. The lines are the means of the first row: FG-ARI {{runs.slots_settings.fg_ari_as_it_is:.2f}}, full ARI {{runs.slots_settings.full_ari_as_it_is:.2f}}.
#
# | the advice | FG-ARI, full ARI | verdict |
# | --- | --- | --- |
# | a few more slots than objects | 3 slots: {{runs.slots_settings.fg_ari_3_slots:.2f}}, {{runs.slots_settings.full_ari_3_slots:.2f}}; 7: {{runs.slots_settings.fg_ari_7_slots:.2f}}, {{runs.slots_settings.full_ari_7_slots:.2f}}; 10: {{runs.slots_settings.fg_ari_10_slots:.2f}}, {{runs.slots_settings.full_ari_10_slots:.2f}} | yes, and many more do no harm: the seeds leave the spare ones idle |
# | lr 1e-4 or 1e-3 | 1e-4: {{runs.slots_settings.fg_ari_lr_1e_4:.2f}}, {{runs.slots_settings.full_ari_lr_1e_4:.2f}}; 4e-4: {{runs.slots_settings.fg_ari_lr_4e_4:.2f}}, {{runs.slots_settings.full_ari_lr_4e_4:.2f}}; 4e-3: {{runs.slots_settings.fg_ari_lr_4e_3:.2f}}, {{runs.slots_settings.full_ari_lr_4e_3:.2f}} | the most sensitive knob: too small is too slow for a short training, too large never binds |
# | clipping where it is unstable | without: {{runs.slots_settings.fg_ari_no_clipping:.2f}}, {{runs.slots_settings.full_ari_no_clipping:.2f}}; at 4e-3 without: {{runs.slots_settings.fg_ari_lr_4e_3_no_clipping:.2f}}, {{runs.slots_settings.full_ari_lr_4e_3_no_clipping:.2f}} | not here: Muon's and Adam's steps have a fixed length, whatever the gradient's; a lower rate is what helps |
# | batches of 16 to 64 | 16: {{runs.slots_settings.fg_ari_batch_16:.2f}}, {{runs.slots_settings.full_ari_batch_16:.2f}}; 64: {{runs.slots_settings.fg_ari_batch_64:.2f}}, {{runs.slots_settings.full_ari_batch_64:.2f}} | with a fixed number of *scenes* small batches win, since they make more steps |
# | many epochs | half: {{runs.slots_settings.fg_ari_half_as_many_scenes:.2f}}, {{runs.slots_settings.full_ari_half_as_many_scenes:.2f}}; twice: {{runs.slots_settings.fg_ari_twice_as_many_scenes:.2f}}, {{runs.slots_settings.full_ari_twice_as_many_scenes:.2f}} | yes: first the objects bind, then the background, and that takes the longer part |
# | more iterations | always 5: {{runs.slots_settings.fg_ari_always_5_iterations:.2f}}, {{runs.slots_settings.full_ari_always_5_iterations:.2f}}; always 3: {{runs.slots_settings.fg_ari_always_3_iterations:.2f}}, {{runs.slots_settings.full_ari_always_3_iterations:.2f}} | no gain; drawing the number anew prepares for other numbers, and does not raise the score at 3 |
# | smaller resolution | 64 pixels: {{runs.slots_settings.fg_ari_64_pixels:.2f}}, {{runs.slots_settings.full_ari_64_pixels:.2f}} | the same scores at four times the pixels: 32 are enough for *these* objects |
#
# And our own choices:
#
# - **Muon.** With Adam alone hardly anything binds in this time: {{runs.slots_settings.fg_ari_Adam_alone:.2f}} is the mean of two trainings, and the figure shows how far apart they are. The moment at which binding begins is luck; with Muon it comes early enough not to matter.
# - **The costs** buy full ARI with FG-ARI: without them {{runs.slots_settings.fg_ari_no_costs:.2f}} and {{runs.slots_settings.full_ari_no_costs:.2f}}. The background becomes one piece, and swallows some objects on the way. In the long training of section 5 both scores end high.
# - **The start.** Learned queries reach {{runs.slots_settings.fg_ari_learned_queries:.2f}} and {{runs.slots_settings.full_ari_learned_queries:.2f}}, the shared Gaussian {{runs.slots_settings.fg_ari_Gaussian_start:.2f}} and {{runs.slots_settings.full_ari_Gaussian_start:.2f}}: objects bind with any start, the background is last.
# - **The gradient.** Full {{runs.slots_settings.fg_ari_full_gradient:.2f}} and {{runs.slots_settings.full_ari_full_gradient:.2f}}, implicit {{runs.slots_settings.fg_ari_implicit_gradient:.2f}} and {{runs.slots_settings.full_ari_implicit_gradient:.2f}}. The bi-level one is no better than the full one here; it needs the memory of one iteration instead of three.
#
# *Small* experiments show directions, not final scores. The two scores pull against each other everywhere in this figure: whoever reports one of them can choose the winner.

# %% [markdown]
# ## 7 · Which errors remain, and why: ties
#
# Why would two slots share one object, when one would do and the other is needed elsewhere? Because nothing in the rule objects. Take a slot and put an exact copy of it beside it. **Predict first:** what happens to the two in further iterations? What happens to the reconstruction?

# %%
with torch.no_grad():
    image = scenes["image"][[one]]
    inputs = model.attention.norm_inputs(model.encoder(image).flatten(1, 2))
    k = int(out.masks[one].mean((1, 2)).argsort()[-2])  # the largest slot after the background's
    doubled = torch.cat([out.slots[[one]], out.slots[[one], k, None]], 1)
    rebuilt = model.decode(doubled, 64, 64)
    moving = doubled
    for _ in range(7):
        moving, attention = model.attention.step(inputs, moving)
visualize_slots(image, rebuilt[2], rebuilt[1], pictures=rebuilt[0])

# %%
claim("slots.tie_distance", (moving[0, k] - moving[0, -1]).abs().max(), below=1e-3)
claim("slots.tie_attention", (attention[0, k] - attention[0, -1]).abs().max(), below=1e-3)
claim("slots.tie_mse_change", (rebuilt[2] - image).square().mean() - (out.reconstruction[[one]] - image).square().mean(), below=0.005)
weights = attention[0, k] / 2  # half of what the slot took
claim("slots.tie_mean_change", ((weights @ inputs[0]) / weights.sum() - (attention[0, k] @ inputs[0]) / attention[0, k].sum()).abs().max(), below=1e-5)

# %% [markdown]
# The copies stay together: after seven iterations the largest difference between them is {{slots.tie_distance:.1g}}. At every place each takes half. And half is as good as all: a slot moves to a weighted **mean** (step 3 of notebook 04), and a mean forgets how *much* it is a mean of. Halve all its weights, and it changes by {{slots.tie_mean_change:.1g}}.
# The loss hardly objects either: with the doubled slot the squared error changes by {{slots.tie_mse_change:.1g}}. k-means has the same disease: two centres that start in one cluster of points share it, and another cluster goes without.
#
# Our training fights ties in three ways. The slots *start apart*, at inputs of the picture chosen by k-means++, as the centres of section 3. Every slot gets half a percent of every input *unasked* (`eps=0.005`; on Multi-dSprites 0.02): a slot that owns little is pulled towards the mean of the picture and loses the rest, so a tie that is not exact tips over. And the two small *costs*:
# sharing is $1 - \sum_k \text{mask}_k^2$, which is ½ where two slots have half each and 0 where one has all; usage is a sum of square roots of the slots' sizes, so that one slot costs less than two halves. None of the three is perfect: in the figure of section 6, {{slots.split_7_slots:.0%}} of the objects are still split at 7 slots.

# %% [markdown]
# ### Exercise: edit a scene
#
# **Difficulty: medium. Time: 15 minutes.** If a slot is an object, then leaving out a slot should remove an object, and exchanging slots between two pictures should exchange objects.
#
# - `my_removal(model, slots, k)`: the reconstruction without slot `k`. `model.decode(slots, 64, 64)` returns pictures, masks and reconstruction, for any number of slots.
# - `my_exchange(first, second, i, j)`: two tensors of slots; slot `i` of the first and slot `j` of the second have changed places. Do not change the tensors you are given.
#
# The target figure is the row below: its third picture is your edit, and the fourth is the *truth*, since our scenes can be drawn again without an object. The square must go. (The yellow triangle was lost before, in the reconstruction.)

# %%
def my_removal(model, slots, k):
    ### BEGIN SOLUTION
    # stub: return model.decode(slots, 64, 64)[2]  # nothing removed yet
    return model.decode(slots[:, [j for j in range(slots.shape[1]) if j != k]], 64, 64)[2]
    ### END SOLUTION


def my_exchange(first, second, i, j):
    ### BEGIN SOLUTION
    # stub: return first, second  # nothing exchanged yet
    first, second, kept = first.clone(), second.clone(), first[:, i].clone()
    first[:, i], second[:, j] = second[:, j], kept
    return first, second
    ### END SOLUTION


check.removal(my_removal)
check.exchange(my_exchange)

# %% [markdown]
# Now on the trained model: remove the owner of object 1 from 32 scenes in which that owner is not the background's too, and compare with the scene drawn again without object 1.

# %%
from course_lib.slots.figures_scenes import pictures_figure
from course_lib.slots.owners import owners

owner, _, seen = owners(scenes["ids"], out.masks)  # (scenes, background and objects)
alone = (seen[:, 1] & (owner[:, 1] != owner[:, 0])).nonzero()[:32, 0]
without = shapes.dataset.draw(scenes | {"present": scenes["present"].clone().index_fill_(1, torch.tensor([0]), False)})["image"][alone]
with torch.no_grad():
    edited = torch.cat([my_removal(model, out.slots[[n]], int(owner[n, 1])) for n in alone.tolist()])
pictures_figure({"picture": scenes["image"][alone[0]], "rebuilt": out.reconstruction[alone[0]], "object 1 removed": edited[0], "truth": without[0]})

# %% tags=["solution-only"]
hole = (scenes["ids"][alone] == 1)[:, None].expand(-1, 3, -1, -1)  # where object 1 was
before = (out.reconstruction[alone] - without)[hole].square().mean()
after = (edited - without)[hole].square().mean()
claim("slots.edit_mse_before", before, above=0.0)
claim("slots.edit_mse_after", after, below=0.05)
claim("slots.edit_gain", before / after, above=3.0)

# %% [markdown]
# Where object 1 was, the reconstruction differs from the true edit by {{slots.edit_mse_before:.3f}} before the removal and by {{slots.edit_mse_after:.3f}} after it: {{slots.edit_gain:.0f}} times less. And the hole is filled with background, though no one painted what lies behind the object: the background's slot makes a picture of *every* place, and the softmax lets it through where the object's mask is gone.
#
# And an exchange between two scenes:

# %%
a, b = rows
with torch.no_grad():
    mixed = my_exchange(out.slots[[a]], out.slots[[b]], int(owner[a, 1]), int(owner[b, 1]))
    pair = [model.decode(slots, 64, 64)[2][0] for slots in mixed]
pictures_figure({"first": scenes["image"][a], "second": scenes["image"][b], "first, changed": pair[0], "second, changed": pair[1]})

# %% [markdown]
# Each object arrives with its kind, its colour *and its place*: a slot holds where as well as what. Nobody asks whether the place is free, so two objects may now overlap. In Part III slots become words, and such edits become edits of a code.

# %% [markdown]
# ## 8 · Failure gallery
#
# Six classic failures on the twin scene of section 3, and the numbers that give them away. "Largest mask" is the mean over pixels of the largest mask there: 1 if every pixel has one owner, $1/K$ if all $K$ slots share everything.
# The first and the last two come from models, each by one switch: *no training*, *shared Gaussian start with the full gradient*, *2 slots*. The other three are masks built exactly, in which every slot paints the mean colour of what it owns.

# %%
with torch.no_grad():
    torch.manual_seed(0)
    untrained = SlotAutoencoder()(scenes["image"][rows])
    failing = load_pretrained("slots_failing", expect=SlotAutoencoder)
    failed = failing(scenes["image"], chance=start_chance(scenes))
    two = model(scenes["image"][rows], num_slots=2, chance=[start_chance(scenes)[row] for row in rows])
built = {name: failures.from_labels(labels(scenes["ids"][rows])) for name, labels in
         (("stripes", failures.stripes), ("halves", failures.halves), ("pieces", failures.background_in_pieces))}
first = {name: value[rows] for name, value in scenes.items()}

# %%
from course_lib.slots.failures import failure
from course_lib.slots.figures_training import failure_gallery

gallery = [
    failure("Every slot sees everything", "Before training all masks are alike. The largest mask is near 1/K: nobody owns anything.", first, untrained.masks, untrained.reconstruction),
    failure("Stripes", "Slots divide the picture by place and look at nothing. FG-ARI is fooled: pixels of one object lie close together. Full ARI is not.", first, built["stripes"]),
    failure("Top and bottom", "Two slots, two halves: place again, and not content. FG-ARI is fooled, full ARI is 0.", first, built["halves"]),
    failure("Background in pieces", "Every object is right, and so is FG-ARI. Only full ARI tells.", first, built["pieces"]),
    failure("Shared Gaussian, full gradient", "A real run: FG-ARI fell while the error went on falling. One scene may look well: read the mean below.", first, failed.masks[rows], failed.reconstruction[rows]),
    failure("Too few slots", "The trained model with K = 2: it must merge. FG-ARI tells.", first, two.masks, two.reconstruction),
]
failure_gallery(gallery)

# %%
claim("slots.untrained_largest_mask", untrained.masks.amax(1).mean(), above=1 / 7, below=0.3)
claim("slots.trained_largest_mask", out.masks.amax(1).mean(), above=0.6)
claim("slots.pieces_fg_ari", gallery[3].metrics["fg_ari"], above=0.999, below=1.001)
claim("slots.pieces_full_ari", gallery[3].metrics["full_ari"], below=0.6)
in_stripes = scene_metrics(scenes["ids"], failures.from_labels(failures.stripes(scenes["ids"])))  # all 128 scenes
claim("slots.stripes_fg_ari", in_stripes["fg_ari"].nanmean(), above=0.2, below=0.6)
claim("slots.stripes_full_ari", in_stripes["full_ari"].mean(), below=0.05)
failing_fg = scene_metrics(scenes["ids"], failed.masks)["fg_ari"].nanmean()
claim("slots.failing_fg_ari", failing_fg, below=0.8)
claim("slots.failing_gap", found["fg_ari"] - failing_fg, above=0.05)

# %% [markdown]
# Read the gallery by its numbers. Largest mask {{slots.untrained_largest_mask:.2f}}, near 1/7, says "not trained"; the trained model has {{slots.trained_largest_mask:.2f}}. The background in pieces has FG-ARI {{slots.pieces_fg_ari:.2f}} and full ARI {{slots.pieces_full_ari:.2f}}. Seven stripes,
# which never look at the picture, reach an FG-ARI of {{slots.stripes_fg_ari:.2f}} on our 128 scenes, and a full ARI of {{slots.stripes_full_ari:.2f}}: an FG-ARI of 0.4 early in a training may be nothing but place. The failing run has a mean FG-ARI of {{slots.failing_fg_ari:.2f}} on our 128 scenes, {{slots.failing_gap:.2f}}
# below the shipped model, and nothing in its loss says so. **The diagnostic** is never the loss: it is FG-ARI *and* full ARI, on held-out scenes, during training.
#
# The card of that run keeps what was measured after each of its epochs:

# %%
from course_lib.core.weights import read_card

curve = read_card(DATA / "weights" / "slots_failing")["epochs"]
peak = curve["fg_ari"].index(max(curve["fg_ari"]))
claim("slots.failing_peak", max(curve["fg_ari"]), above=0.5)
claim("slots.failing_peak_epoch", peak + 1, above=0)
claim("slots.failing_peak_mse", curve["mse"][peak], above=curve["mse"][-1])
claim("slots.failing_end", curve["fg_ari"][-1], below=max(curve["fg_ari"]))
claim("slots.failing_end_mse", curve["mse"][-1], below=0.03)
training_curves(curve)

# %% [markdown]
# FG-ARI is best after epoch {{slots.failing_peak_epoch:.0f}}, with {{slots.failing_peak:.2f}} at an error of {{slots.failing_peak_mse:.4f}}. At the end the error is {{slots.failing_end_mse:.4f}}, and FG-ARI is {{slots.failing_end:.2f}}. The picture got better while objects were lost: as soon as one slot has the background, the others begin to share what is left.
#
# **"The masks are soft, so charge for softness."** The two costs of section 4 work against ties, once slots have found objects. Charge them from the first step on (`settle_from=0`), and strongly, on the tiny model:

# %%
torch.manual_seed(0)
greedy, probe = SlotAutoencoder(**tiny), held_out.batch(range(64))
with one_thread():
    train_slots(greedy, data, epochs=6, batch_size=16, lr=3e-3, sharing_cost=0.3, usage_cost=0.03, settle_from=0.0, progress=False)
    collapsed = greedy(probe["image"])
words = "Every pixel has exactly one owner, and it is the same one in every picture. Both ARIs are 0."
failure_gallery([failure("Charged too early", words, probe, collapsed.masks.detach(), collapsed.reconstruction.detach(), which=3)])

# %%
claim("slots.collapse_largest_mask", collapsed.masks.detach().amax(1).mean(), above=0.95)
claim("slots.collapse_full_ari", scene_metrics(probe["ids"], collapsed.masks)["full_ari"].mean(), above=-0.1, below=0.1)
taken = collapsed.masks.argmax(1)  # (scenes, height, width)
claim("slots.collapse_same_owner", (taken == taken.mode(0).values).float().mean(), above=0.95)

# %% [markdown]
# The largest mask is {{slots.collapse_largest_mask:.2f}}: decided, everywhere. But {{slots.collapse_same_owner:.0%}} of the pixels have the owner that the same place has in the other pictures, and the full ARI is {{slots.collapse_full_ari:.2f}}. As long as slots know nothing about objects, a fixed division is the cheapest way to be decided, and no gradient leads back: where a mask is 0 its slot is not heard.
# Who owns what no longer depends on the picture. It is the collapse of Part I again: a price that is charged before the bottleneck carries anything teaches it to carry nothing.

# %% [markdown]
# ## What you found
#
# - A slot autoencoder that sees nothing but pictures gives most objects a slot of their own: FG-ARI {{slots.shapes_fg_ari:.2f}}, full ARI {{slots.shapes_full_ari:.2f}}, mIoU {{slots.shapes_miou:.2f}}, mBO {{slots.shapes_mbo:.2f}} on Shapes; FG-ARI {{slots.sprites_fg_ari:.2f}} on Multi-dSprites.
# - FG-ARI is {{slots.shattered_fg_ari:.2f}} for a shattered background, full ARI is {{slots.one_slot_full_ari:.2f}} with all objects in one slot: read both.
# - Counting colours scores {{slots.colour_fg_ari_sprites:.2f}} where all colours differ, and tells apart {{slots.colour_twins_apart:.0%}} of the pairs of one colour; slots tell apart {{slots.shapes_twins_apart:.0%}}.
# - Too few slots merge objects ({{slots.merged_2_slots:.0%}} of them at K = 2), extra ones mostly stay empty ({{slots.split_10_slots:.0%}} of the objects are split at K = 10). Two slots on one object are a tie that a weighted mean cannot break.
# - Leaving out a slot removes an object: where it was, the error against the true edit falls by a factor of {{slots.edit_gain:.0f}}.
# - The loss gives no failure away: in one run FG-ARI fell from {{slots.failing_peak:.2f}} to {{slots.failing_end:.2f}} while the error went on falling.
#
# A slot is still a vector of real numbers: how many bits is it? In Part III slots must speak in **words** from a list, and the rate becomes a number again.
#
# **References.** F. Locatello et al., *Object-Centric Learning with Slot Attention* (2020), sec. 2.2 (autoencoder), sec. 4.1 and table 1 (object discovery). N. Watters et al., *Spatial Broadcast Decoder* (2019), sec. 2. K. Jordan et al., *Muon: An Optimizer for Hidden Layers in Neural Networks* (2024). B. Jia et al., *Improving Object-centric Learning with Query Optimization* (2023), sec. 3: learned queries, bi-level gradient.
# L. Hubert & P. Arabie, *Comparing Partitions* (1985), eq. 5. J. Pont-Tuset et al., *Multiscale Combinatorial Grouping* (2017): best overlap. D. Arthur & S. Vassilvitskii, *k-means++* (2007), sec. 2. J. Johnson et al., *CLEVR* (2017), sec. 3. R. Kabra et al., *Multi-Object Datasets* (2019).
