# %% [markdown]
# # 00 · Welcome: where the four parts lead
#
# **The question of this course: what does a bottleneck keep, and what does it lose?**
#
# After this notebook you can
#
# - say what the four parts are about and where to start;
# - trust your installation, because it has just been tested;
# - move a slider, read a claim and check an exercise.
#
# *Measured: {{minutes.00_welcome:.1f}} minutes on two CPU cores. Yours: one sitting of 20 minutes, exercises included. Builds on: nothing.*

# %% [markdown]
# If the set-up cell above printed one line of versions, everything works: PyTorch and torchvision fit together, and the course is installed.
#
# ## 1 · The map
#
# Every model in this course squeezes something through something narrow. Four words name what comes out at the narrow place (these and all other terms stand in the [glossary](../GLOSSARY.md), each in the sentence that defines it):

# %%
from course_lib.core.map import course_map

course_map()

# %% [markdown]
# - **latents**: a number is squeezed into a number. Everything can be drawn and computed exactly. (Notebooks 01–03)
# - **slots**: a picture is squeezed into a handful of vectors, one per object, if all goes well. (Notebooks 04–05)
# - **codes**: each slot is squeezed into a few words of a learned vocabulary. (Notebooks 06–09)
# - **tokens**: the 576 vision tokens of CLIP are squeezed into 16 to 144. (Notebooks 10–13)
#
# The two arrows at the bottom are the axes of every part. **Rate** is what passes the bottleneck, in nats or bits. **Distortion** is what gets lost: an error, or something
# that can no longer be done.

# %% [markdown]
# ## 2 · A first slider: Part I
#
# The model below squeezes a number $x$ through a *noisy* number $\hat z$ and rebuilds it as $\hat x$. Every nat that passes costs β. Move β from cheap (left) to expensive (right).
#
# **Predict first:** where do the pink lines end when information gets too expensive?

# %%
from course_lib.core.weights import load_pretrained
from course_lib.latents.explorer import BetaExplorer

explorer = BetaExplorer(load_pretrained("latents_family"), beta=1.0)
explorer.show()

# %% [markdown]
# The picture is drawn from {{welcome.betas:.0f}} trained models, one for each stop of the slider. The line of text under it says the same in words. A row of stills shows four of the stops side by side:
#
# <details><summary>Reading without a kernel? This is the row of stills.</summary>
#
# ![Four coupling pictures of a β-VAE with growing β: lines lead from the data to a latent and back; at β = 10 all lines end at one point](../data/pictures/beta_row.png)
#
# </details>

# %%
explorer.still()

# %% [markdown]
# At β = 0.1 nearly every number comes back (mean squared error {{welcome.mse_at_beta_0_1:.2f}}). At β = 10 all lines end at one point, the mean: the model keeps nothing. Why it must, and at exactly which price, is notebook 03.

# %% [markdown]
# ## 3 · A second slider: Part II
#
# The next model squeezes a picture through a few vectors, called *slots*. Nobody told it what an object is. Each slot paints its own picture and claims its own pixels, and the sum must look like the original. Move the number of slots.
#
# **Predict first:** the scene has {{welcome.objects:.0f}} objects. What happens with two slots only?
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![One scene taken apart by 2, 4, 7 and 10 slots, a row each: the picture, its reconstruction, who owns which pixel, and each slot's part; with two slots most objects are lost, with seven all but the yellow triangle have a slot, with ten it has one too and two slots stay empty](../data/pictures/slots_row.png)
#
# </details>

# %%
from course_lib.slots.explorer import SlotExplorer

slots = SlotExplorer(load_pretrained("slots_shapes"))
slots.show()

# %%
slots.still()

# %% [markdown]
# With two slots, one takes the background, and the other makes one green shape of two triangles; the rest is lost. With {{welcome.slots:.0f}}, every object but the yellow triangle has a slot of its own, and that one is lost although a slot is empty. With ten it has one, too. How slots find objects, and which they miss, is Part II.

# %% [markdown]
# ## 4 · Claims: sentences that are measured
#
# Each result in this course is measured, and each statement that matters is a **claim**: a line of code that compares a measured value with a bound when the cell runs. It prints ✓ with the value, and it stops the notebook if the statement is false. Where it ends with "±0.3 by rounding", another processor may find a value that is different by so much: each adds up in an order of its own, and in a training of some seconds such small differences decide who wins.

# %%
from course_lib.core.claims import claim

view = explorer.view
claim("welcome.betas", len(view.betas), above=20, below=100)
claim("welcome.kl_at_beta_1", view.rate[view.betas.index(1.0)], above=0.85, below=1.0, unit="nats")
claim("welcome.mse_at_beta_0_1", view.distortion[view.betas.index(0.1)], below=0.1)
claim("welcome.kl_at_beta_10", view.rate[view.betas.index(10.0)], below=0.01, unit="nats")
claim("welcome.objects", int(slots.scenes["present"][0].sum()), above=1.5, below=6.5)
claim("welcome.slots", slots.slots.value, above=6.5, below=7.5)

# %% [markdown]
# Read the line about β = 1 as: at β = 1, {{welcome.kl_at_beta_1:.2f}} nats pass, and the course promises a value between 0.85 and 1. The text around a figure quotes the same measurements, so the text cannot drift away from the models.

# %% [markdown]
# ## 5 · Exercises: write, check, go on
#
# An exercise is a cell with a placeholder. **Run All never stops at it**: the placeholder does something harmless. The check tells you first whether the *shape* is right, then whether the *law* holds, and then that you are done. Below a "not yet" lies a hint, folded: open it when you want it.
#
# ### Exercise: nats and bits
#
# **Difficulty: trivial. Time: 1 minute.** How many bits is one nat? Replace the placeholder by a number. The target figure is a green bar of length 1: your answer divided by the truth.

# %%
from course_lib.latents.exercises_welcome import bits_target, bounds_target, check, plane_target

### BEGIN SOLUTION
# stub: bits_per_nat = 1.0
import math

bits_per_nat = 1 / math.log(2)
### END SOLUTION
check.bits_per_nat(bits_per_nat)
bits_target(bits_per_nat)

# %% [markdown]
# ### Exercise: read the plane
#
# **Difficulty: easy. Time: 3 minutes.** The plane of rate and distortion comes back in every part. In Part I **distortion** goes to the right and **rate** upward; each model is one point. A model is *beaten* if another one is at least as good on both axes and better on one: nobody would take it. Which of the six
# in the figure below are beaten? Give their letters, like `"AB"`. The target: they are crossed out, and from A on each step along the others goes to the left and up. Who wants to lose less must pay more.

# %%
### BEGIN SOLUTION
# stub: my_beaten = ""  # letters
my_beaten = "CE"  # B pays less than C and loses less; D loses as much as E and pays less
### END SOLUTION
check.beaten(my_beaten)
plane_target(my_beaten)

# %% [markdown]
# ### Exercise: a claim that can fail
#
# **Difficulty: easy. Time: 3 minutes.** Make a claim of your own: between which two numbers, at most 0.2 apart, lies the rate at β = 1 in *bits*? Section 4 has it in nats. A claim between 0 and 100 would be true, and would say nothing. The target: the green mark, which is measured, lies on your bar.

# %%
### BEGIN SOLUTION
# stub: my_bounds = (0.0, 2.0)  # (low, high)
my_bounds = (0.85 / math.log(2), 0.98 / math.log(2))  # nats over the nats of a bit
### END SOLUTION
check.bounds(my_bounds)
bounds_target(my_bounds)

# %% [markdown]
# ## 6 · Which way to go
#
# | you have | take | and leave |
# | --- | --- | --- |
# | 45 minutes | notebook 00, then sections 3, 4 and 5 of 03 with the slider | derivations and exercises |
# | 90 minutes | 01 and 03, with "pair by rank" and "bracket a threshold"; the sliders of 04 and 05 | 02, for after class |
# | a day | the overview, then of each part its lecture, a slider and two exercises | 02 and 09, and most exercises |
# | a term | one notebook a week with all exercises; the lecture of each part before its first notebook | nothing |
#
# The timetable of each route, minute by minute, is in [the teaching kit](../slides/TEACHING.md).
#
# How long the notebooks run, from top to bottom on two CPU cores. The work in between is yours: each notebook says in its first lines how many sittings it takes.
#
# | notebook | minutes | what you will see |
# | --- | --- | --- |
# | 00 welcome | {{minutes.00_welcome:.1f}} | the map, a first slider |
# | 01 decoder collapse | {{minutes.01_decoder_collapse:.1f}} | a network that learns the mean and nothing else, and its cure |
# | 02 autoencoder | {{minutes.02_autoencoder:.1f}} | perfect reconstruction, hopeless generation |
# | 03 β-VAE | {{minutes.03_vae_beta:.1f}} | the price of a nat, and the price at which nothing is bought |
# | 04 slot attention | {{minutes.04_slot_attention:.1f}} | slots that compete for what they see, one step by hand |
# | 05 scenes and slots | {{minutes.05_scenes_and_slots:.1f}} | objects found without a label, and seven ways in which that fails |
# | 06 vector quantization | {{minutes.06_vector_quantization:.1f}} | a list of words, and a network that learns to choose one |
# | 07 semantic VQ | {{minutes.07_semantic_vq:.1f}} | objects as words, and an editor for them |
# | 08 codes to scenes | {{minutes.08_codes_to_scenes:.1f}} | scenes that nobody drew, judged by a rule that nobody told |
# | 09 atlas and ablations | {{minutes.09_atlas_and_ablations:.1f}} | maps of words, what they hide, and what each part of the machine is for |
# | 10 CLIP tokens | {{minutes.10_clip_tokens:.1f}} | a network that learns from captions, and what each of its 576 tokens knows |
# | 11 global compression | {{minutes.11_global_compression:.1f}} | 36 tokens for 576, beside everything that is simpler, and what a critic buys |
# | 12 receptive fields | {{minutes.12_receptive_fields:.1f}} | each token answers for its own field, a theorem about it, and who fools a critic |
# | 13 what survives | {{minutes.13_what_survives:.1f}} | the bill: what can still be done, minus what was never lost, and the course's one curve |
#
# Each notebook has a copy with solutions in the folder `notebooks/solutions`. The lecture slides are built by `make slides` and open without a network.

# %% [markdown]
# ## What you found
#
# - The course has one question, two axes (rate and distortion) and four words: latents → slots → codes → tokens.
# - Your installation works: it loaded {{welcome.betas:.0f}} trained models and drew them.
# - At β = 1, {{welcome.kl_at_beta_1:.2f}} nats pass; at β = 10, {{welcome.kl_at_beta_10:.1g}} do. What happens in between is Part I.
#
# Go on with [01 · A decoder without an encoder collapses](01_decoder_collapse.ipynb).
