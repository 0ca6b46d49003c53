# %% [markdown]
# # 01 · A decoder without an encoder collapses
#
# **The question of this notebook: what does a decoder learn when nothing tells it which latent belongs to which data?**
#
# After this notebook you can
#
# - say why squared error turns missing information into an average, and prove it in two lines;
# - read a coupling picture: latent on the left, data on the right, lines for who is paired with whom;
# - tell a problem of *information* from a problem of *optimisation*;
# - cure the collapse by changing the pairing and nothing else.
#
# *Measured: {{minutes.01_decoder_collapse:.1f}} minutes on two CPU cores. Yours: one sitting of 45 minutes, exercises included. Builds on: nothing but Python and the idea of a neural network.*

# %% [markdown]
# ## 1 · A world of one number
#
# Our whole world is a number $x$. It comes from a mixture of two Gaussians,
#
# $$p(x) = 0.7\,\mathcal N(x;\,-2,\,0.8^2) + 0.3\,\mathcal N(x;\,2,\,0.6^2).$$
#
# The world is this small on purpose. Every mapping can be drawn as lines between two axes, and every bound can be
# computed exactly. We draw 500 samples once and keep them. **Predict first:** where is the mean, and how many data lie near it?

# %%
import torch

from course_lib.core.claims import claim
from course_lib.latents.figures import data_figure, decoder_figure, generation_figure, loss_figure, outputs_figure
from course_lib.latents.metrics import even_data, even_normal, generation_error, wasserstein1
from course_lib.latents.mixture import Mixture

mixture = Mixture()
x = mixture.sample(500, seed=0)
data_figure(x, mixture)

# %% [markdown]
# Two bumps: a broad one at −2 with 70 % of the data and a narrow one at +2 with 30 %. The dotted line is the mean,
# $0.7\cdot(-2) + 0.3\cdot 2 = -0.8$. It falls between the bumps, where data are rare. The standard deviation of the mixture is
# $\sqrt{3.916} \approx 1.98$.

# %% [markdown]
# ## 2 · The game: noise in, data out
#
# A **decoder** $g$ is a network that turns a **latent** $z$ into an output $\hat x = g(z)$. Ours is a multi-layer perceptron (MLP) with hidden
# layers of 32, 64 and 32 units. A *generative model* would draw $z \sim \mathcal N(0, 1)$ and hope that $g(z)$ looks like data.
#
# The naive way to train it: take a batch of data $x$, draw as many $z$, pair them as they come, and minimise the
# mean squared error $(g(z) - x)^2$. Each step draws new noise, so a $z$ near 0.3 meets a different $x$ every time.
# Gen_Study, the study that this part grew from, calls it a **non-identifiable decoder**: nothing in the training pairs identifies which $z$ belongs to which $x$.
#
# **Predict first.** What will $g(z)$ look like after training: two bumps, one bump, or something else? Write it down.

# %%
from course_lib.latents.recipe import Film, train_decoder

film = Film(even_normal(400), epochs=400)
decoder, history = train_decoder(x, epochs=400, watch=film)

# %%
z = even_normal(800)
x_hat = decoder.decode(z).detach()
decoder_figure(torch.randn(500, 1), x, z, x_hat, mixture)

# %% [markdown]
# Left: the pairs of one pass over the data, blue latents joined to orange data at random. Right: the trained decoder.
# Every line ends at the same point. The red spike is the whole output distribution: its mean is
# **{{latents.decoder_mean:.2f}}** and its standard deviation is **{{latents.decoder_spread:.2f}}**, while the mixture has −0.80 and 1.98 (our 500 samples: {{latents.data_spread:.2f}}).
# The decoder has *collapsed* to the mean.
#
# These sentences are claims. A claim is measured when the cell runs, and the cell fails if it is false:

# %%
claim("latents.decoder_mean", x_hat.mean(), above=-1.0, below=-0.6)
claim("latents.decoder_spread", x_hat.std(), below=0.1)
claim("latents.data_spread", x.std(), above=1.85, below=2.1)

# %% [markdown]
# Gen_Study named this *mode collapse*. The field uses that term for generators that produce some modes and
# drop others. Here the output lies on **no** mode at all. The right name is **regression to the mean**.

# %% [markdown]
# ## 3 · Watch it happen
#
# Slide through the epochs, or press play. Left: where each $z$ is sent. Right: the spread of the output, on a logarithmic time axis.

# %%
from course_lib.latents.explorer import TrainingExplorer

explorer = TrainingExplorer(film.taken, film.z, film.outputs)
explorer.show()

# %% [markdown]
# The same as a row of stills:
#
# <details><summary>Reading without a kernel? This is the row of stills.</summary>
#
# ![Five coupling pictures of a decoder at epochs 0 to 400: all lines end at one point, which moves from 0 to the mean](../data/pictures/decoder_film.png)
#
# </details>

# %%
explorer.still()

# %% [markdown]
# A fresh network starts nearly flat, slides down to the mean within the first few epochs and then only fidgets around it. The fidgeting is
# the noise of the pairing: with other $z$ in every batch the gradient never quite vanishes. Section 6 shows a more dramatic film.

# %% [markdown]
# ## 4 · Why: the best guess without information is the mean
#
# Fix one $z$. In training it meets data $x$ drawn independently of it, so the network wants the number $c = g(z)$ that minimises
# $\mathbb E[(c - x)^2]$. Add and subtract the mean:
#
# $$\mathbb E[(c-x)^2] = (c - \mathbb E[x])^2 + \operatorname{Var}(x).$$
#
# The first term is zero at $c = \mathbb E[x]$, the second cannot be changed. So
#
# 1. the best output is the mean, **for every** $z$;
# 2. the loss cannot fall below $\operatorname{Var}(x)$.
#
# In general the minimiser of a squared error is the conditional mean $\mathbb E[x \mid z]$. Under random pairing $z$ carries no
# information about $x$, and the conditional mean is the plain mean.
#
# **Predict first.** The 500 samples have a variance of their own. At which value will the loss curve flatten?

# %%
variance = x.var(correction=0).item()
loss_figure({"decoder, random pairing": history["loss"]}, floor=variance)

# %% [markdown]
# The loss falls during the first passes over the data and then lies on the dotted line, with the jitter of small batches: the last 1000 steps average
# **{{latents.decoder_loss_ratio:.3f}}** times the variance of the samples. Theory and measurement agree, so the training has *succeeded*. The
# question was wrong, not the optimiser.

# %%
claim("latents.decoder_loss_ratio", torch.tensor(history["loss"][-1000:]).mean() / variance, above=0.97, below=1.04)

# %% [markdown]
# Is it luck? Two more seeds, with other starts and other noise:

# %%
for seed in (1, 2):
    other, _ = train_decoder(mixture.sample(500, seed), epochs=400, seed=seed, progress=False)
    output = other.decode(z).detach()
    claim(f"latents.decoder_spread_seed_{seed}", output.std(), below=0.1)
    claim(f"latents.decoder_mean_seed_{seed}", output.mean(), above=-1.05, below=-0.55)

# %% [markdown]
# ## 5 · Exercise: pair by rank
#
# **Difficulty: easy. Time: 10 minutes.** The network was fine; the pairs were not. On a line there is a best way to pair two
# sets of equal size: smallest with smallest, second with second, and so on. It is the **optimal transport** plan in one dimension
# (Peyré & Cuturi 2019, remark 2.28): of all pairings it moves the points the least.
#
# Write `my_pairing(z, x)`: both have shape `(n, 1)`; return the values of `z`, reordered so that ranks match. In the target figure no two lines cross:

# %%
from course_lib.latents.exercises import check, pairing_target

pairing_target()


# %%
def my_pairing(z, x):
    ### BEGIN SOLUTION
    # stub: return z  # random pairing, as before
    rank = x.squeeze(1).argsort().argsort()
    return z.sort(dim=0).values[rank]
    ### END SOLUTION


check.rank_pairing(my_pairing)

# %% [markdown]
# ## 6 · The cure: the same network, other pairs
#
# `course_lib` has its own `rank_pairing`. We train the same decoder again and change one argument. All 500 data are ranked at once
# (`batch_size=500`), because the rank within a small batch is only a rough guess of the rank in the world.

# %%
from course_lib.latents.recipe import rank_pairing

cured, cured_history = train_decoder(x, rank_pairing, epochs=2000, batch_size=500)
x_cured = cured.decode(z).detach()
noise = torch.randn(500, 1)
decoder_figure(rank_pairing(noise, x), x, z, x_cured, mixture, pairing="by rank")

# %% [markdown]
# Now the lines fan out without crossing, and the red histogram has two bumps over the orange ones. To put a number on it we use the
# **Wasserstein distance** $W_1$: sort the outputs, sort the data, and average the distance between values of equal rank. Its unit is
# that of $x$. The collapsed decoder is {{latents.decoder_w1:.2f}} away from the data, the cured one **{{latents.rank_w1:.2f}}**.
# (500 samples are themselves {{latents.sample_w1:.2f}} away from the mixture they came from, so there is hardly anything left to gain.)

# %%
claim("latents.decoder_w1", generation_error(decoder, mixture), above=1.5, below=1.8)
claim("latents.rank_w1", generation_error(cured, mixture), below=0.2)
claim("latents.sample_w1", wasserstein1(x, even_data(mixture, 500)), above=0.03, below=0.12)
claim("latents.rank_spread", x_cured.std(), above=1.7, below=2.2)

# %%
generation_figure({"random pairing": x_hat, "paired by rank": x_cured}, mixture)

# %% [markdown]
# The violet bumps follow the orange area; the red spike of the collapsed decoder leaves the picture at the top. Nothing about the
# network, the loss or the optimiser changed. What changed is the **information** that the pairs carry.
#
# **Now take the cure away.** We go on training the *cured* decoder, with random pairs again. **Predict first:** it already has both modes. Will it keep them?

# %%
relapse = Film(even_normal(400), epochs=400)
train_decoder(x, start=cured, epochs=400, watch=relapse, progress=False)
second = TrainingExplorer(relapse.taken, relapse.z, relapse.outputs)
second.show()

# %%
second.still()

# %%
claim("latents.relapse_start_spread", relapse.outputs[0].std(), above=1.7, below=2.2)
claim("latents.relapse_end_spread", relapse.outputs[-1].std(), below=0.15)

# %% [markdown]
# It forgets everything. The spread falls from {{latents.relapse_start_spread:.2f}} to {{latents.relapse_end_spread:.2f}} as the fan of lines closes to a point. Knowing both modes is no stable
# state of this training: wherever it starts, the pairs pull it to the mean.

# %% [markdown]
# ## 7 · Exercise: another loss, another average
#
# **Difficulty: easy. Time: 5 minutes.** Suppose the decoder of section 2 were trained with the *absolute* error $|g(z) - x|$ instead.
# To which number would it collapse? Give a number for our mixture (a tolerance of 0.1 is fine; `mixture.quantile` may help). The target figure below the check has your number as a dot, at the lowest place of the curve.

# %%
from course_lib.latents.exercises import absolute_target

### BEGIN SOLUTION
# stub: my_constant = None  # a number
import numpy as np

my_constant = float(Mixture().quantile(np.array(0.5)))  # the median
### END SOLUTION
check.absolute_error(my_constant)
absolute_target(my_constant)

# %% [markdown]
# ### Exercise: what is one bit worth?
#
# **Difficulty: medium. Time: 15 minutes.** Between no information (section 2) and all of it (section 6) there is *some*. Tell the decoder a **label** $k$ that goes with $x$ and takes only a few values. By section 4 it will answer with the
# conditional mean $\mathbb E[x \mid k]$. Write `my_best(label, x)`: `label` `(n,)` holds whole numbers from 0 to $K - 1$, `x` is `(n,)`. Return the best output for each label, `(K,)`, and the least mean squared error that a decoder can reach if it sees nothing but the label.
#
# **Predict first:** the label says on which side of 0 the datum lies, one bit. How much of $\operatorname{Var}(x)$ will be left: a half, a quarter, less? The target figure: a decoder is trained with $z$'s whose sign is that of $x$, and its loss falls to your line.

# %%
def my_best(label, x):
    ### BEGIN SOLUTION
    # stub: return x.mean().expand(int(label.max()) + 1), x.var(correction=0)  # as if the label said nothing
    outputs = torch.stack([x[label == k].mean() for k in range(int(label.max()) + 1)])
    return outputs, (x - outputs[label]).square().mean()
    ### END SOLUTION


check.best_outputs(my_best)

# %%
def by_sign(z, x):
    """z keeps its size and takes the sign of x."""
    return torch.where(x > 0, z.abs(), -z.abs())


told, told_history = train_decoder(x, by_sign, epochs=400)
outputs, least = my_best((x > 0).squeeze(1).long(), x.squeeze(1))
loss_figure({"decoder, told the sign": told_history["loss"]}, floor=float(least), floor_name="your least error")

# %%
decoder_figure(by_sign(noise, x), x, z, told.decode(z).detach(), mixture, pairing="by sign")

# %%
low, high = told.decode(torch.tensor([[-1.0], [1.0]])).flatten().tolist()
claim("latents.sign_output_low", low, above=-2.1, below=-1.8)
claim("latents.sign_output_high", high, above=1.85, below=2.15)

# %% tags=["solution-only"]
claim("latents.sign_share_left", least / variance, above=0.1, below=0.2)
claim("latents.sign_loss_ratio", torch.tensor(told_history["loss"][-1000:]).mean() / least, above=0.95, below=1.15)

# %% [markdown]
# One bit, two end points: $g(-1)$ = {{latents.sign_output_low:.2f}} and $g(1)$ = {{latents.sign_output_high:.2f}}, the two conditional means. {{latents.sign_share_left:.0%}} of the variance is left. The loss settles at {{latents.sign_loss_ratio:.2f}} times the least error: no
# continuous network can jump at 0, so it gives away a little there. This is a bottleneck of one bit. It keeps the side and loses the place within the side; notebook 03 asks for the best bottleneck of any size, and Part III builds its codes from such labels.

# %% [markdown]
# ## 8 · Failure gallery: three cures that do not cure
#
# When a model fails, the first reflex is to turn the knobs of the optimiser. **Predict first:** which of these will bring the second bump back?
#
# | switch | what is turned |
# | --- | --- |
# | `lr=1e-4` | a ten times smaller learning rate |
# | `hidden=(256, 256, 256)` | a network with about thirty times the weights |
# | `epochs=2000` | five times the training |

# %%
gallery = {"lr=1e-4": {"lr": 1e-4}, "hidden=256": {"hidden": (256, 256, 256)}, "epochs=2000": {"epochs": 2000}}
failures = {name: train_decoder(x, **{"epochs": 400, **switch}) for name, switch in gallery.items()}
outputs = {name: model.decode(z).detach() for name, (model, _) in failures.items()}
outputs_figure(z, {**outputs, "paired by rank": x_cured}, mixture)

# %%
for name, key in zip(gallery, ("small_lr", "wide", "long")):
    claim(f"latents.gallery_{key}_spread", outputs[name].std(), below=0.15)

# %% [markdown]
# None of them. Three flat lines at −0.8: the spreads are {{latents.gallery_small_lr_spread:.3f}}, {{latents.gallery_wide_spread:.3f}} and
# {{latents.gallery_long_spread:.3f}}. The dash-dotted line of the cured decoder climbs from one mode to the other along the thick
# orange rank map. **The diagnostic:** compare the loss with $\operatorname{Var}(x)$. If it sits exactly there, the input says nothing about the output,
# and no optimiser can help.

# %% [markdown]
# ## What you found
#
# - Squared error turns missing information into an average: under random pairing the output has mean {{latents.decoder_mean:.2f}} and
#   spread {{latents.decoder_spread:.2f}}, and the loss stops at {{latents.decoder_loss_ratio:.2f}} × Var(x).
# - The coupling picture shows it at a glance: all lines end at one point.
# - It is a problem of information: smaller steps, more weights and more epochs leave the spread below 0.15.
# - Pairing by rank cures it: $W_1$ to the data falls from {{latents.decoder_w1:.2f}} to {{latents.rank_w1:.2f}} with the same network.
#
# Ranks exist only on a line. For pictures nobody can write the pairing down. The next notebook lets a network find it: an **encoder**.
#
# **References.** G. Peyré & M. Cuturi, *Computational Optimal Transport* (2019), sec. 2.6, remark 2.28: transport in one dimension.
# C. Bishop, *Pattern Recognition and Machine Learning* (2006), sec. 1.5.5: the conditional mean minimises squared error.
