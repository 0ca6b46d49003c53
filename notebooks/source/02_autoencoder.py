# %% [markdown]
# # 02 · An autoencoder finds the pairing, and loses the prior
#
# **The question of this notebook: if a network may choose which latent belongs to which data, can it also generate?**
#
# After this notebook you can
#
# - explain how an encoder makes the pairing of notebook 01 possible where no ranks exist;
# - show that a perfect reconstruction says nothing about generation;
# - measure how far the codes are from the prior, and repair that after the fact.
#
# *Measured: {{minutes.02_autoencoder:.1f}} minutes on two CPU cores. Yours: one sitting of 45 minutes, exercises included. Builds on: notebook 01.*

# %% [markdown]
# ## 1 · Let the data choose their latent
#
# In notebook 01 we paired $z$ and $x$ by hand, by rank. An **encoder** $f$ does it by itself: it *computes* the latent
# $\hat z = f(x)$ of each $x$. The decoder then gets a $\hat z$ that knows its $x$:
#
# $$x \;\xrightarrow{\;f\;}\; \hat z \;\xrightarrow{\;g\;}\; \hat x, \qquad \text{loss} = (x - \hat x)^2 .$$
#
# Together they are an **autoencoder**. Both are the MLP of notebook 01; the latent is still one number.
#
# **Predict first.** In notebook 01 the loss could not fall below $\operatorname{Var}(x) \approx 3.9$. How low can it fall now?

# %%
import torch

from course_lib.core.claims import claim
from course_lib.latents.figures import autoencoder_figure, generation_figure, loss_figure
from course_lib.latents.losses import squared_error
from course_lib.latents.metrics import even_data, even_normal, generation_error, wasserstein1
from course_lib.latents.mixture import Mixture
from course_lib.latents.recipe import train_autoencoder

mixture = Mixture()
x = mixture.sample(500, seed=0)
autoencoder, history = train_autoencoder(x, epochs=400)
loss_figure({"autoencoder": history["loss"]}, floor=x.var(correction=0).item())

# %% [markdown]
# The loss falls through the floor of notebook 01 within the first hundred steps. We judge it on *fresh* data, evenly spread over the true density:

# %%
fresh = even_data(mixture, 2000)
with torch.no_grad():
    z_hat = autoencoder.encode(fresh)
    x_hat = autoencoder.decode(z_hat)
claim("latents.ae_mse", squared_error(x_hat, fresh), below=0.02)

# %% [markdown]
# A mean squared error of {{latents.ae_mse:.1g}}. One number in, one number in the middle, one number out: this bottleneck
# is wide enough to keep everything.

# %% [markdown]
# ## 2 · Who is mapped to whom
#
# **Predict first:** will the brown lines of the encoder cross? Where will the prior's $\mathcal N(0, 1)$ lie among the codes?
#
# Three coupling pictures of the same model. Left: encode. Middle: decode. Right: what happens when we *generate*, that is, draw
# $z \sim \mathcal N(0, 1)$ and decode it. The blue area is $\mathcal N(0, 1)$, the orange one the true density.

# %%
z = even_normal(2000)
generated = autoencoder.decode(z).detach()
reach = float(z_hat.abs().max()) * 1.1
autoencoder_figure(fresh, z_hat, x_hat, z, generated, mixture, latent=(-reach, reach))

# %% [markdown]
# The brown lines do not cross: the encoder found the *rank pairing* by itself. It had little choice: a continuous map on a line that loses nothing must keep
# the order, as here, or turn it round, so that all lines cross. The red outline in the middle lies on the orange area: the reconstruction is perfect.
#
# Now look right. The prior's blue bump sits where the encoder hardly ever goes, in the gap between the two groups of codes, and the decoder turns it into
# one bump of numbers that are rare in the data.
#
# ### Exercise: measure the order
#
# **Difficulty: easy. Time: 10 minutes.** "It found the rank pairing" should be a number. Two data and their two codes stand in the same order or in the opposite one. Write `my_agreement(z, x)`, both `(n, 1)` and without equal values: the number of pairs in the same order
# minus the number in the opposite order, over the number of all pairs, and without its sign, because a decoder can read an order that is turned round as well. (This is the absolute value of Kendall's τ.)
#
# **Predict first:** what will the random pairs of notebook 01 have? The target: 1.00 for pairs by rank and for the autoencoder, and next to nothing for random pairs.

# %%
from course_lib.latents.exercises import check


def my_agreement(z, x):
    ### BEGIN SOLUTION
    # stub: return 0.0  # no order at all
    same = (z - z.T).sign() * (x - x.T).sign()  # (n, n): 1 same, -1 opposite, 0 for a datum with itself
    return float(same.sum().abs()) / (len(z) * (len(z) - 1))
    ### END SOLUTION


check.agreement(my_agreement)

# %%
from course_lib.latents.recipe import rank_pairing

noise = torch.randn(2000, 1, generator=torch.Generator().manual_seed(0))
agreements = {name: my_agreement(latent, fresh) for name, latent in
              {"random pairs": noise, "pairs by rank": rank_pairing(noise, fresh), "autoencoder": z_hat}.items()}
print(*(f"{name}: {value:.2f}" for name, value in agreements.items()), sep="\n")

# %% tags=["solution-only"]
claim("latents.random_agreement", agreements["random pairs"], above=-1e-9, below=0.05)
claim("latents.ae_agreement", agreements["autoencoder"], above=0.999)

# %% [markdown]
# Random pairs have {{latents.random_agreement:.2f}}, the autoencoder {{latents.ae_agreement:.2f}}: it did by itself what we had to do by hand.

# %% [markdown]
# ## 3 · The codes are not the prior
#
# Nothing in the loss mentions $\mathcal N(0, 1)$. The **aggregate** of the codes, that is the distribution of $f(x)$ over all data, can
# lie anywhere and have any scale. We measure with $W_1$ (notebook 01) how far it is from the prior, and how far the generated numbers are from the data.

# %%
claim("latents.ae_latent_w1", wasserstein1(z_hat, even_normal(2000)), above=0.5)
claim("latents.ae_code_std", z_hat.std(), above=1.5)
claim("latents.ae_generation_w1", generation_error(autoencoder, mixture), above=0.7)

# %% [markdown]
# The codes have standard deviation {{latents.ae_code_std:.1f}} instead of 1 and are {{latents.ae_latent_w1:.1f}} away from the prior. The generated
# numbers are **{{latents.ae_generation_w1:.2f}}** away from the data, about as bad as the collapsed decoder of notebook 01 ({{latents.decoder_w1:.2f}}),
# although the reconstruction is perfect.
#
# Is it luck? Two more seeds:

# %%
for seed in (1, 2):
    other, _ = train_autoencoder(mixture.sample(500, seed), epochs=400, seed=seed, progress=False)
    with torch.no_grad():
        codes = other.encode(fresh)
        claim(f"latents.ae_mse_seed_{seed}", squared_error(other.decode(codes), fresh), below=0.02)
    claim(f"latents.ae_latent_w1_seed_{seed}", wasserstein1(codes, even_normal(2000)), above=0.5)
    claim(f"latents.ae_generation_w1_seed_{seed}", generation_error(other, mixture), above=0.7)

# %% [markdown]
# The place and the scale of the codes change from seed to seed, and the miss stays.
#
# ### Exercise: move the codes
#
# **Difficulty: medium. Time: 10 minutes.** The codes may lie anywhere. Prove it without any training: write `my_moved(encode, decode, scale, shift)`, which takes two functions and returns two. The new encoder's codes are $\text{scale} \cdot \hat z + \text{shift}$, and with the new decoder every
# reconstruction stays as it was.
#
# **Predict first:** we move the left group of codes to 0, then the right one. What will the prior generate? The target: the same error three times, and three histograms at three places.

# %%
def my_moved(encode, decode, scale, shift):
    ### BEGIN SOLUTION
    # stub: return encode, decode  # not moved yet
    return lambda x: scale * encode(x) + shift, lambda z: decode((z - shift) / scale)
    ### END SOLUTION


check.moved(my_moved)

# %%
made, errors = {"as trained": generated}, {"as trained": squared_error(x_hat, fresh)}
with torch.no_grad():
    for side, group in {"left": fresh < 0, "right": fresh > 0}.items():
        encode, decode = my_moved(autoencoder.encode, autoencoder.decode, 1.0, -z_hat[group].mean().item())
        made[f"{side} group at 0"], errors[f"{side} group at 0"] = decode(z), squared_error(decode(encode(fresh)), fresh)
print(*(f"{name}: error {error:.2e}" for name, error in errors.items()), sep="\n")
generation_figure(made, mixture)

# %% tags=["solution-only"]
claim("latents.ae_moved_mse", max(errors.values()), below=0.02)
claim("latents.ae_moved_left", made["left group at 0"].mean(), above=-2.5, below=-1.5)
claim("latents.ae_moved_right", made["right group at 0"].mean(), above=1.5, below=2.5)

# %% [markdown]
# Three autoencoders with the same error of {{latents.ae_moved_mse:.1g}}, which the loss cannot tell apart. One generates around {{latents.ae_moved_left:.2f}}, one around {{latents.ae_moved_right:.2f}}, and the one that was trained in between. Where its codes lie is an accident of its start.

# %% [markdown]
# ## 4 · Slide through the training
#
# **Predict first.** When the autoencoder starts, what does $g(z)$, $z \sim \mathcal N(0, 1)$, look like? Does generation get better while the reconstruction does?

# %%
from course_lib.latents.explorer import TrainingExplorer
from course_lib.latents.recipe import Film

film = Film(even_normal(400), epochs=400)
train_autoencoder(x, epochs=400, watch=film, progress=False)
explorer = TrainingExplorer(film.taken, film.z, film.outputs)
explorer.show()

# %% [markdown]
# The same as a row of stills:
#
# <details><summary>Reading without a kernel? This is the row of stills.</summary>
#
# ![Five coupling pictures of an autoencoder at epochs 0 to 400: what the prior generates spreads at first and then stays at a third of the data's spread](../data/pictures/autoencoder_film.png)
#
# </details>

# %%
claim("latents.ae_film_spread", film.outputs[-1].std(), above=0.3, below=1.0)
explorer.still()

# %% [markdown]
# The spread of what the prior generates grows from nearly 0 to {{latents.ae_film_spread:.2f}}, a third of the mixture's 1.98, within about thirty epochs, and stays there: the prior reaches only the part of
# the latent axis around 0. Generation stops improving while the reconstruction goes on. The loss never asks for more.

# %% [markdown]
# ## 5 · Exercise: repair the prior after the fact
#
# **Difficulty: medium. Time: 15 minutes.** The decoder is fine wherever codes lie. So do not feed it $\mathcal N(0, 1)$: feed it numbers distributed like the
# *codes*. In one dimension ranks do it again. Send each noise value to the code of the same rank:
#
# $$z \;\mapsto\; F_{\hat z}^{-1}\bigl(\Phi(z)\bigr),$$
#
# with $\Phi$ the distribution function of $\mathcal N(0, 1)$ and $F_{\hat z}^{-1}$ the quantile function of the codes.
#
# Write `normal_to_latent(noise, z_hat)`: `noise` is `(m, 1)`, `z_hat` is `(n, 1)`; return `(m, 1)`. In the target figure, below the check, the red outline (your mapped noise) lies on the orange area, and the violet one is the unmapped noise of section 2.

# %%
def normal_to_latent(noise, z_hat):
    ### BEGIN SOLUTION
    # stub: return noise  # unchanged: decodes the prior as it is
    return torch.quantile(z_hat, torch.special.ndtr(noise).squeeze(1)).unsqueeze(1)
    ### END SOLUTION


check.normal_to_latent(normal_to_latent)

# %%
with torch.no_grad():
    codes = autoencoder.encode(x)  # the 500 training samples only
    mapped = autoencoder.decode(normal_to_latent(z, codes))
generation_figure({"decode(mapped noise)": mapped, "decode(noise)": generated}, mixture)

# %% tags=["solution-only"]
claim("latents.ae_repaired_w1", wasserstein1(mapped, fresh), below=0.15)

# %% [markdown]
# With the mapping, $W_1$ to the data falls from {{latents.ae_generation_w1:.2f}} to **{{latents.ae_repaired_w1:.2f}}**: generation recovers, and no weight was touched.
# Fitting a distribution to codes *after* the autoencoder is trained is a serious method. In Part III a transformer will learn the prior of codes that way, and
# image generators on learned codes do the same (van den Oord et al. 2017, sec. 3.3).

# %% [markdown]
# ## 6 · Failure gallery
#
# **"Standardise the codes."** Scale $\mathcal N(0,1)$ to the mean and standard deviation of the codes and decode. **Predict first:** is that enough?

# %%
with torch.no_grad():
    scaled = autoencoder.decode(z_hat.mean() + z_hat.std() * z)
generation_figure({"decode(scaled noise)": scaled, "decode(noise)": generated}, mixture)

# %%
claim("latents.ae_scaled_w1", wasserstein1(scaled, fresh), above=0.3, below=1.2)

# %% [markdown]
# Better and still wrong: $W_1$ = {{latents.ae_scaled_w1:.2f}}. Two numbers cannot describe codes with two bumps; the scaled normal fills the gap between them.
#
# **"Train longer."** **Predict first:** will generation follow?

# %%
longer, _ = train_autoencoder(x, epochs=1500)
with torch.no_grad():
    claim("latents.ae_long_mse", squared_error(longer(fresh), fresh), below=0.001)
claim("latents.ae_long_generation_w1", generation_error(longer, mixture), above=0.7)

# %% [markdown]
# After 1500 epochs the reconstruction error is {{latents.ae_long_mse:.1g}}, as good as zero before and after, and the generated numbers are still {{latents.ae_long_generation_w1:.2f}} away. **The diagnostic:** plot the
# aggregate of the codes against the prior *before* you look at any sample.

# %% [markdown]
# ## What you found
#
# - An encoder makes the pairing: the reconstruction error on fresh data is {{latents.ae_mse:.1g}}, far below the 3.9 of notebook 01.
# - Reconstruction says nothing about generation: the codes are {{latents.ae_latent_w1:.1f}} away from $\mathcal N(0, 1)$, and what the prior generates is
#   {{latents.ae_generation_w1:.2f}} away from the data.
# - Repairing the prior after the fact, by rank, brings it to {{latents.ae_repaired_w1:.2f}}; matching only mean and spread leaves {{latents.ae_scaled_w1:.2f}}.
#
# The autoencoder uses its bottleneck without paying for it. The next notebook puts a **price** on every nat that passes, and asks what is bought for it.
#
# **References.** G. Hinton & R. Salakhutdinov, *Reducing the dimensionality of data with neural networks* (Science 2006). A. van den Oord et al., *Neural Discrete
# Representation Learning* (2017), sec. 3.3: a prior fitted to the codes after training.
