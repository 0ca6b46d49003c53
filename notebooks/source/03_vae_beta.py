# %% [markdown]
# # 03 · The β-VAE: what does a nat buy?
#
# **The question of this notebook: if every nat through the bottleneck has a price β, what does the model keep, and when does it keep nothing?**
#
# After this notebook you can
#
# - derive the evidence lower bound (ELBO) line by line and say what β means in it;
# - read a rate–distortion picture and place any β-VAE in it;
# - compute, before training, the β at which the model collapses;
# - recognise posterior collapse, and avoid three classic mistakes around it.
#
# *Measured: {{minutes.03_vae_beta:.1f}} minutes on two CPU cores. Yours: two sittings of 40 minutes, exercises included; pause after section 4. Builds on: notebooks 01 and 02.*

# %% [markdown]
# ## 1 · From a repair to a principle
#
# The autoencoder of notebook 02 put its codes anywhere, and we repaired the prior afterwards. A **variational autoencoder** (VAE) asks for the
# right codes while it trains. Two changes:
#
# - the encoder gives a *distribution* of codes, $q(z \mid x) = \mathcal N(\mu(x), \sigma^2(x))$, and the decoder gets a sample of it;
# - the loss charges the **Kullback–Leibler divergence** $\mathrm{KL}(q \,\|\, p) = \mathbb E_q \log (q/p) \ge 0$, zero only when $q = p$, from $q(z \mid x)$ to the prior $p(z) = \mathcal N(0, 1)$.
#
# This is not an invention but a bound. We want to maximise the likelihood $\log p(x)$ of the model "draw $z$, decode it, add Gaussian noise of variance $s^2$":
#
# $$\begin{aligned}
# \log p(x) &= \log \int p(x \mid z)\, p(z)\, dz && \text{the model} \\
# &= \log\, \mathbb E_{q(z \mid x)}\!\left[ \frac{p(x \mid z)\, p(z)}{q(z \mid x)} \right] && \text{multiply and divide by } q \\
# &\ge \mathbb E_{q(z \mid x)}\bigl[ \log p(x \mid z) \bigr] - \mathbb E_{q(z \mid x)}\!\left[ \log \frac{q(z \mid x)}{p(z)} \right] && \text{Jensen: the log is concave} \\
# &= -\frac{\mathbb E_q (x - \hat x)^2}{2 s^2} - \mathrm{KL}\bigl(q(z \mid x) \,\|\, p(z)\bigr) + \text{const} && p(x \mid z) = \mathcal N(\hat x, s^2)
# \end{aligned}$$
#
# The right-hand side is the **ELBO**. Average it over the data, change its sign, drop the constant ($s$ is held fixed) and multiply by $2 s^2 = \beta$:
#
# $$\boxed{\;\text{loss} = \underbrace{\mathbb E (x - \hat x)^2}_{\text{distortion } D} + \beta \cdot \underbrace{\mathrm{KL}}_{\text{rate } R}\;}$$
#
# So β is a **price**: what one nat through the bottleneck costs, in squared units of $x$. It is also twice the variance of the decoder's noise.
# β = 2 is the plain VAE with $s = 1$; the β = 1 of Gen_Study is a VAE with $s^2 = \tfrac12$.

# %% [markdown]
# ## 2 · The two pieces of the loss
#
# **Reparameterisation.** The decoder gets a random $z$. How does a gradient reach $\mu$ and $\sigma$ through a random number? Write the sample as
# $z = \mu + \sigma \varepsilon$ with $\varepsilon \sim \mathcal N(0, 1)$ drawn outside: now $z$ is an ordinary function of $\mu$ and $\sigma$.
# A test with a known answer: $\mathbb E[(z - 3)^2] = (\mu - 3)^2 + \sigma^2$ has the gradients $2(\mu - 3)$ and $2\sigma$.

# %%
import numpy as np
import torch

from course_lib.core.claims import claim

mu, sigma = torch.tensor(1.0, requires_grad=True), torch.tensor(0.5, requires_grad=True)
noise = torch.randn(100_000, generator=torch.Generator().manual_seed(0))
((mu + sigma * noise - 3) ** 2).mean().backward()
claim("latents.gradient_mu", mu.grad, above=-4.05, below=-3.95)
claim("latents.gradient_sigma", sigma.grad, above=0.95, below=1.05)

# %% [markdown]
# Expected −4 and 1, measured {{latents.gradient_mu:.2f}} and {{latents.gradient_sigma:.2f}}. The gradient passes.
#
# **The KL in closed form.** For two Gaussians no sampling is needed. The KL is the difference of two averages over $q = \mathcal N(\mu, \sigma^2)$, in nats:
#
# $$\mathbb E_q \log q(z) = -\tfrac12 \log (2 \pi \sigma^2) - \tfrac12, \qquad \mathbb E_q \log p(z) = -\tfrac12 \log (2 \pi) - \tfrac12 (\mu^2 + \sigma^2).$$
#
# ### Exercise: the closed form
#
# **Difficulty: easy. Time: 10 minutes.** Subtract the two, and write `my_kl(mu, log_var)`: both are `(batch, latent)`, `log_var` is $\log\sigma^2$; return the KL of each sample,
# summed over the latent, of shape `(batch,)`. The target figure is the bowl below: zero at the prior and nowhere else.

# %%
from course_lib.latents.exercises import check, kl_target

kl_target()


# %%
def my_kl(mu, log_var):
    ### BEGIN SOLUTION
    # stub: return mu.sum(-1)  # not a divergence yet
    return 0.5 * (mu**2 + log_var.exp() - 1 - log_var).sum(-1)
    ### END SOLUTION


check.kl(my_kl)

# %% [markdown]
# The result, $\tfrac12 ( \mu^2 + \sigma^2 - 1 - \log \sigma^2 )$, has a part that keeps the codes near 0, a part that keeps them from growing wide, and a logarithm that keeps them from growing sharp.

# %% [markdown]
# ## 3 · Twenty-four β's at once
#
# To see what β does we need many VAEs: 24 values of β between 0.01 and 20. We need not train them one after another. They have the same shape, so their weight matrices stack into one
# tensor, and all of them train in one batched matrix product. They share batches and noise, and differ by β alone.

# %%
from course_lib.latents.family import BETAS, train_family
from course_lib.latents.mixture import Mixture

mixture = Mixture()
x = mixture.sample(500, seed=0)
family, losses = train_family(x, BETAS)

# %% [markdown]
# The 4000 steps with a falling learning rate are a shortcut. Gen_Study took 16,000 steps (2000 epochs) at a constant rate. Both settings were compared once for three starts and five β's
# ([record](../data/runs/latents_family_settings.json)): their mean KL differs by at most {{runs.latents_family_settings.largest_difference_kl:.2f}} nats and their mean error by at most {{runs.latents_family_settings.largest_difference_mse:.2f}}. From start to start
# Gen_Study's own results move by {{runs.latents_family_settings.spread_over_seeds_kl:.2f}} and {{runs.latents_family_settings.spread_over_seeds_mse:.2f}}, so the shortcut stays within what luck does.
#
# **Predict first**, before you touch the slider: at which β does the model generate best? What will the latent histogram (green) look like at β = 0.01, and at β = 10? Where do the pink
# lines end at β = 10?

# %%
from course_lib.latents.explorer import BetaExplorer
from course_lib.latents.rate_distortion import rate_distortion_curve, rate_at

curve = rate_distortion_curve(mixture, np.array(BETAS))
explorer = BetaExplorer(family, mixture, curve, beta=1.0)
explorer.show()

# %% [markdown]
# The slider stops at trained β's only; nothing is interpolated. The same as a row of stills:
#
# <details><summary>Reading without a kernel? This is the row of stills.</summary>
#
# ![Four coupling pictures of a β-VAE with growing β: lines lead from the data to a latent and back; at β = 10 all lines end at one point](../data/pictures/beta_row.png)
#
# </details>

# %%
explorer.still([0.1, 1, 5, 10])

# %% [markdown]
# From left to right: at β = 0.1 nearly every $x$ comes back. At β = 1 the two groups are kept and the place within a group is blurred. At β = 5
# the outputs draw together. At β = 10 all pink lines end at one point.

# %%
view = explorer.view
at = {beta: i for i, beta in enumerate(view.betas)}
claim("latents.kl_at_beta_1", view.rate[at[1.0]], above=0.85, below=1.0, unit="nats")
claim("latents.mse_at_beta_1", view.distortion[at[1.0]], above=0.35, below=0.5)
claim("latents.w1_at_beta_1", view.w1[at[1.0]], below=0.4)
claim("latents.kl_at_beta_10", view.rate[at[10.0]], below=0.01, unit="nats")
claim("latents.mse_at_beta_10", view.distortion[at[10.0]], above=3.8, below=4.0)

# %% [markdown]
# At **β = 1** the model pays {{latents.kl_at_beta_1:.2f}} nats and loses {{latents.mse_at_beta_1:.2f}} in squared error, and decoding $\mathcal N(0, 1)$ gives both modes
# ($W_1$ = {{latents.w1_at_beta_1:.2f}}, against {{latents.ae_generation_w1:.2f}} for the autoencoder).
#
# At **β = 10** it pays {{latents.kl_at_beta_10:.1g}} nats. The encoder answers $\mathcal N(0, 1)$ to every $x$, so the code says nothing, and the decoder does what notebook 01
# taught us: it gives the mean. The squared error is {{latents.mse_at_beta_10:.2f}}, the variance of $x$. This is **posterior collapse**, and it *is* the collapse of notebook 01: $z$ is paired
# at random with $x$ again, this time because the model chose so.

# %% [markdown]
# ## 4 · "Generation improves at β = 10": it does not
#
# Gen_Study, the study that Part I grew from, says that at β = 10 the codes come closer to the prior (true) and that generation therefore improves. We measure it as Gen_Study draws it: $g(z)$ with $z \sim \mathcal N(0, 1)$, without the decoder's noise.

# %%
from course_lib.latents.figures import generation_by_beta_figure

nodes, weights = mixture.quadrature(200)
always_mean = float(weights @ np.abs(nodes - mixture.mean))
generation_by_beta_figure(view.betas, view.w1, always_mean)

# %%
best = int(view.w1.argmin())
claim("latents.w1_best", view.w1[best], below=0.2)
claim("latents.w1_best_beta", view.betas[best], above=0.015, below=0.6)
claim("latents.w1_at_beta_0_01", view.w1[at[0.01]], above=0.15, below=0.4)
claim("latents.w1_at_beta_10", view.w1[at[10.0]], above=1.5)
median = float(mixture.quantile(np.array(0.5)))
claim("latents.w1_of_median", weights @ np.abs(nodes - median), above=1.5, below=1.65)

# %% [markdown]
# Generation is best at β = {{latents.w1_best_beta:g}} ($W_1$ = {{latents.w1_best:.2f}}) and gets worse from there on, up to {{latents.w1_at_beta_10:.2f}} at β = 10.
#
# Why it *cannot* improve: a perfect match of codes and prior is worth something only if the decoder still listens to the code. At β = 10 the match is perfect **because** the encoder
# ignores $x$; the decoder then outputs one number, the mean, and its distance to the data is $\mathbb E|x - \mathbb E[x]|$, the dotted line. Even the best single number, the median, would be {{latents.w1_of_median:.2f}} away.
# Very small β misses too ($W_1$ = {{latents.w1_at_beta_0_01:.2f}} at β = 0.01): there the codes no longer fill the prior, as in notebook 02. Good generation needs both halves: codes that look like the prior *and* codes that mean something.

# %% [markdown]
# ## 5 · The best anyone could do: R(D)
#
# A β-VAE is one way to squeeze $x$ through $R$ nats. How good is the *best* way? Information theory has an exact answer. The **rate–distortion function** $R(D)$ is the least mutual
# information between $x$ and $\hat x$ over all random maps with mean squared error at most $D$ (Cover & Thomas, ch. 10). No encoder, network or code can lie below it. And a VAE's KL is
# never less than the information it passes. With the aggregate $q(z) = \mathbb E_x\, q(z \mid x)$ and the mutual information $I(x; z) = \mathbb E \log \frac{q(z \mid x)}{q(z)}$,
#
# $$\mathbb E_x \mathrm{KL}\bigl(q(z \mid x) \,\|\, p(z)\bigr) = I(x; z) + \mathrm{KL}\bigl(q(z) \,\|\, p(z)\bigr) \ge I(x; z) \ge I(x; \hat x).$$
#
# The last step is the data processing inequality: $\hat x$ is made from $z$ alone (Cover & Thomas, sec. 2.8). So every VAE must lie on the curve or above.
#
# The curve is convex, and minimising $D + \beta R$ finds the point where its slope is $-\mathrm dD/\mathrm dR = \beta$: **the β of the VAE is a slope of this curve** (in the picture, with $R$ upward, the slope is $-1/\beta$). The **Blahut–Arimoto** algorithm finds
# that point, and it is three lines long. Put $x$ and $\hat x$ on a grid, start with any distribution $q(\hat x)$ and repeat
#
# $$\begin{aligned} c(\hat x) &= \sum_x p(x)\,\frac{k(x, \hat x)}{\sum_{\hat x'} q(\hat x')\,k(x, \hat x')}, \qquad k(x, \hat x) = e^{-(x - \hat x)^2/\beta}, \\ q(\hat x) &\leftarrow q(\hat x)\,c(\hat x). \end{aligned}$$
#
# So the curve above was found, with leaps between the steps: see `squared_step` in `course_lib/latents/rate_distortion.py`.
#
# ### Exercise: one Blahut–Arimoto step
#
# **Difficulty: medium. Time: 15 minutes.** `q` is `(outputs,)`, `p` is `(inputs,)`, `kernel` is `(inputs, outputs)`, all NumPy. Return the new `q`. The target figure: $q$ after 1, 30 and 1000 steps at β = 2. It breaks
# up into a few spikes: at this price the best code uses only *finitely many* outputs.

# %%
from course_lib.latents.exercises import ba_target

ba_target()


# %%
def my_ba_step(q, p, kernel):
    ### BEGIN SOLUTION
    # stub: return q  # no step yet
    c = (p / (kernel @ q)) @ kernel
    return q * c
    ### END SOLUTION


check.ba_step(my_ba_step)

# %% [markdown]
# Now every β of our family as a point, with $z$ **sampled** and on fresh data, over the exact curve. **Predict first:** will the points lie on the curve?

# %%
from course_lib.latents.figures import rate_distortion_figure
from course_lib.latents.rate_distortion import margin, shannon_lower_bound

shannon = shannon_lower_bound(mixture, np.sort(curve.distortion))
rate_distortion_figure(curve, view.betas, view.rate, view.distortion, mixture, shannon)

# %%
claim("latents.rd_margin", margin(curve, view.rate, view.distortion).min(), above=-0.001)
claim("latents.excess_at_beta_0_01", view.rate[at[0.01]] - rate_at(curve, view.distortion[at[0.01]]), above=0.05, below=0.2, unit="nats")
claim("latents.rd_bound_at_beta_1", rate_at(curve, view.distortion[at[1.0]]), above=0.6, below=0.85, unit="nats")

# %% [markdown]
# No point lies below the curve: the smallest margin over all points and all slopes is {{latents.rd_margin:.0e}}, zero to the accuracy of the grid. At the collapsed end the VAE touches the bound. Everywhere else it pays too much: {{latents.excess_at_beta_0_01:.2f}} nats at β = 0.01, where the codes no longer fill the prior, and most in the middle. At β = 1 it
# reaches its distortion of {{latents.mse_at_beta_1:.2f}} with {{latents.kl_at_beta_1:.2f}} nats, where {{latents.rd_bound_at_beta_1:.2f}} would do. There the excess is mainly the price of a *Gaussian* $q$. The fixed prior alone would cost nothing: an encoder that could cut
# $\mathcal N(0, 1)$ into one interval for each output would reach the curve. For β above $2 \cdot 0.8^2 = 1.28$ the best code even uses a few separate values of $\hat x$ only, as the spikes at β = 2 show. Part III builds bottlenecks out of separate values.
#
# The grey dotted line is Shannon's lower bound $h(x) - \tfrac12 \log(2\pi e D)$, a formula without any algorithm. It is exact as long as the data can be seen as $\hat x$ plus Gaussian noise of variance $D$: up to
# $D = 0.6^2 = 0.36$, the variance of the narrow mode, where the slope is $\beta = 2D = 0.72$. Beyond that it lies below the truth.

# %% [markdown]
# ## 6 · When does it collapse? Two thresholds
#
# **The local threshold.** Put $u = x - \mathbb E[x]$. Near collapse the best encoder mean is linear in $u$: for a given rate $\tfrac12 \mathbb E \mu^2$ the gain $\mathbb E[u \mu]$ is largest when $\mu \propto u$ (Cauchy–Schwarz). So let $\mu = a u$, $\sigma \approx 1$, and $\hat x = \mathbb E[x] + b z$. (A $\sigma$ that varies
# with $x$, and a bent decoder, lead to the same threshold: try $\sigma^2 = 1 + \alpha u$ with $\hat x = \mathbb E[x] + b (z^2 - 1)$.) To second order
#
# $$D \approx \operatorname{Var}(x)\,(1 - 2ab) + b^2, \qquad R \approx \tfrac12 a^2 \operatorname{Var}(x),$$
#
# so $D + \beta R$ is a constant plus $\tfrac{\beta}{2}\operatorname{Var}(x)\, a^2 - 2 \operatorname{Var}(x)\, ab + b^2$. This form is positive, and $a = b = 0$ a minimum, exactly when $\tfrac{\beta}{2}\operatorname{Var}(x) > \operatorname{Var}(x)^2$:
#
# $$\beta > 2 \operatorname{Var}(x).$$
#
# **The exact threshold of the source.** Collapse is the *global* minimum of $D + \beta R$ when no other output $\hat x = \mathbb E[x] + \delta$ is worth using. In the language of section 5: $c(\hat x) \le 1$ everywhere when $q$ is a single spike at the mean, that is
# $\mathbb E\, e^{(2u\delta - \delta^2)/\beta} \le 1$. Put $t = 2\delta/\beta$ and take the logarithm. With the cumulant generating function $K(t) = \log \mathbb E\, e^{tu}$ this reads $K(t) \le \beta t^2/4$ for all $t$, so
#
# $$\beta^* = \sup_t \frac{4 K(t)}{t^2} \;\ge\; \lim_{t \to 0} \frac{4 K(t)}{t^2} = 2 \operatorname{Var}(x).$$

# %%
from course_lib.latents.figures import threshold_figure
from course_lib.latents.rate_distortion import exact_threshold, local_threshold

local, exact = local_threshold(mixture), exact_threshold(mixture)
claim("latents.local_threshold", local, above=7.83, below=7.84)
claim("latents.exact_threshold", exact, above=8.4, below=8.5)
threshold_figure(mixture, exact, local)

# %% [markdown]
# The curve passes $t = 0$ at the local threshold {{latents.local_threshold:.2f}} and rises to {{latents.exact_threshold:.2f}} further right, because the mixture is *skewed*: its rare mode lies far to the right. Between the two values the collapsed solution is stable although a
# better *code* exists (whether a Gaussian encoder can be that code is not said), and a network that starts near collapse can stay there. Above the larger value collapse is best for every VAE too, since none lies below $R(D)$.
#
# **And the trained nets?** They never saw the mixture. They saw 500 samples, and the threshold that acts on them is $2\operatorname{Var}$ *of the samples*. **Predict first:** twice the variance of the 500 samples is {{latents.sample_0_threshold:.2f}}. Between which stops of the slider does the rate reach zero?

# %%
claim("latents.sample_0_threshold", 2 * x.var(correction=0), above=7.4, below=7.5)
for beta in (6.0, 6.5, 7.0, 7.5, 8.0, 8.5):
    print(f"β = {beta:<4g} KL = {view.rate[at[beta]]:.4f} nats")
claim("latents.kl_at_beta_6_5", view.rate[at[6.5]], above=0.05, unit="nats")
claim("latents.kl_at_beta_8", view.rate[at[8.0]], below=0.01, unit="nats")

# %% [markdown]
# From {{latents.kl_at_beta_6_5:.2f}} nats at β = 6.5 the rate falls to {{latents.kl_at_beta_8:.3f}} at β = 8. The nets turn in between, where theory puts it for these samples ({{latents.sample_0_threshold:.2f}}). Is it luck? One family of three starts on the same data, and two other samples of the mixture:

# %%
few = (1.0, 6.5, 7.0, 7.5, 8.0, 10.0)
three, _ = train_family(x, few, seeds=(0, 1, 2))
from course_lib.latents.metrics import rate_and_distortion

rates, distortions = (v.reshape(3, len(few)).numpy() for v in rate_and_distortion(three, mixture))
for seed in (0, 1, 2):
    print(f"start {seed}:", "  ".join(f"β = {b:g}: {r:.4f}" for b, r in zip(few, rates[seed])))
claim("latents.three_seeds_kl_at_beta_1_low", rates[:, 0].min(), above=0.85, unit="nats")
claim("latents.three_seeds_kl_at_beta_1_high", rates[:, 0].max(), below=1.0, unit="nats")
claim("latents.three_seeds_kl_at_beta_10_high", rates[:, 5].max(), below=0.01, unit="nats")
claim("latents.three_seeds_margin", margin(curve, rates, distortions).min(), above=-0.001)

# %%
# β = 7.5 lies below the threshold of sample 1 and above that of sample 2
for seed, low, high in ((1, 0.02, 0.15), (2, -1e-6, 0.01)):
    other = mixture.sample(500, seed)
    nets, _ = train_family(other, few, progress=False)
    others = rate_and_distortion(nets, mixture)[0].numpy()
    print(f"sample {seed}:", "  ".join(f"β = {b:g}: {r:.4f}" for b, r in zip(few, others)))
    claim(f"latents.sample_{seed}_threshold", 2 * other.var(correction=0), above=6.8, below=8.5)
    claim(f"latents.sample_{seed}_kl_at_beta_7_5", others[3], above=low, below=high, unit="nats")

# %% [markdown]
# The start matters little: at β = 1 the three rates lie between {{latents.three_seeds_kl_at_beta_1_low:.2f}} and {{latents.three_seeds_kl_at_beta_1_high:.2f}} nats (at β = 7, close to the threshold, the print-out shows more luck). The *sample* matters: sample 1 has a local threshold of {{latents.sample_1_threshold:.2f}} and still pays
# {{latents.sample_1_kl_at_beta_7_5:.3f}} nats at β = 7.5; sample 2 has {{latents.sample_2_threshold:.2f}} and has collapsed there ({{latents.sample_2_kl_at_beta_7_5:.4f}} nats). Theory predicted the order before any training.

# %% [markdown]
# ### Exercise: bracket a threshold before you train
#
# **Difficulty: medium. Time: 15 minutes.** Another world: $0.5\,\mathcal N(-1, 0.4^2) + 0.5\,\mathcal N(1, 0.4^2)$. Between which two values, at most 1 apart, does its collapse lie? Work it out on paper, then run the check and the training below it. The target figure is the rate that falls to zero inside your bracket.

# %%
### BEGIN SOLUTION
# stub: my_bracket = (0.0, 1.0)  # (low, high)
my_bracket = (2.0, 2.6)  # symmetric, so the largest 4K(t)/t² is at t = 0: 2·Var = 2·(0.16 + 1) = 2.32
### END SOLUTION
check.threshold(my_bracket)

# %%
from course_lib.latents.exercises import OTHER
from course_lib.latents.figures import bracket_figure

scan = (1.0, 1.4, 1.8, 2.0, 2.2, 2.4, 2.6, 3.0)
other_family, _ = train_family(OTHER.sample(500), scan, seeds=(0, 1, 2), steps=3000)
other_rates = rate_and_distortion(other_family, OTHER)[0].reshape(3, len(scan)).numpy()
bracket_figure(scan, other_rates, my_bracket)

# %%
claim("latents.other_local_threshold", local_threshold(OTHER), above=2.31, below=2.33)
claim("latents.other_exact_threshold", exact_threshold(OTHER), above=2.31, below=2.33)
claim("latents.other_kl_at_beta_1_8", other_rates[:, 2].min(), above=0.1, unit="nats")
claim("latents.other_kl_at_beta_2_6", other_rates[:, 6].max(), below=0.01, unit="nats")

# %% [markdown]
# For this symmetric pair both thresholds are {{latents.other_exact_threshold:.2f}}: nothing is skewed. At β = 1.8 every start still pays at least {{latents.other_kl_at_beta_1_8:.2f}} nats; from 2.6 on none pays anything. Close to the threshold it is
# luck: the force that pulls a net out of collapse goes to zero there, and a start that once falls in may stay.

# %% [markdown]
# ## 7 · Failure gallery
#
# **"Our VAE beats the bound."** Measure the error with $z$ at its posterior *mean* instead of a sample. One switch:

# %%
rate_mean, distortion_mean = (v.numpy() for v in rate_and_distortion(family, mixture, sampled=False))
claim("latents.mean_margin", margin(curve, rate_mean, distortion_mean).min(), below=-0.5)
rate_distortion_figure(curve, view.betas, rate_mean, distortion_mean, mixture, name="β-VAE, z at its mean")

# %% [markdown]
# The points dive below $R(D)$: the margin of section 5, which must not be negative, falls to {{latents.mean_margin:.2f}}. That is impossible for a code, so it is not one: the KL pays for a *noisy* $z$, and a mean that carries more information was never paid for. **The diagnostic:** plot the
# true curve. A table that prints the reconstruction at the mean beside the KL makes this mistake.
#
# **"β = 1 is a safe default."** Divide the data by four, say because someone chose other units, and train at the same β = 1. **Predict first:** what happens?

# %%
scaled = Mixture(mixture.weights, tuple(m / 4 for m in mixture.means), tuple(s / 4 for s in mixture.stds))
small, _ = train_family(x / 4, (1 / 16, 1.0))
rate_small, _ = rate_and_distortion(small, scaled)
claim("latents.scaled_kl_at_beta_1", rate_small[1], below=0.01, unit="nats")
claim("latents.scaled_kl_at_beta_1_16", rate_small[0], above=0.8, unit="nats")

# %% [markdown]
# Collapsed: {{latents.scaled_kl_at_beta_1:.1g}} nats. β has the unit of the *variance* of the data, and the threshold fell to a sixteenth of {{latents.local_threshold:.2f}}, below 1. With β divided by 16 the rate is back at {{latents.scaled_kl_at_beta_1_16:.2f}} nats. **The diagnostic:** compare β with 2·Var(x) before anything else.
#
# **"The loss has settled, so it has learned."** The total loss of four β's:

# %%
from course_lib.latents.figures import loss_figure

loss_figure({f"β = {b:g}": losses[:, at[b]].numpy() for b in (0.1, 1.0, 5.0, 10.0)}, floor=x.var(correction=0).item(), ylabel="loss: D + β·R")

# %%
claim("latents.kl_at_beta_5", view.rate[at[5.0]], above=0.2, below=0.4, unit="nats")

# %% [markdown]
# The β = 10 curve lies on the dotted line, jitter included. The β = 5 curve lies only about a tenth lower, inside the jitter of the batches, and yet that model is alive: it pays {{latents.kl_at_beta_5:.2f}} nats. A loss curve alone does not show whether the latent is used. **The diagnostic** is the rate: a
# latent whose KL is below 0.01 nats is *dead*. Look at the KL of every latent dimension, not at the sum of the loss.

# %% [markdown]
# ## What you found
#
# - The ELBO is distortion plus β times rate; β is a price in squared units of $x$, and twice the decoder's variance.
# - At β = 1 the model pays {{latents.kl_at_beta_1:.2f}} nats for an error of {{latents.mse_at_beta_1:.2f}} and generates both modes. At β = 10 it pays {{latents.kl_at_beta_10:.1g}} nats, the error is {{latents.mse_at_beta_10:.2f}}, and generation is {{latents.w1_at_beta_10:.2f}} away: the collapse of notebook 01.
# - No β-VAE lies below $R(D)$ (smallest margin {{latents.rd_margin:.0e}}). In the middle a Gaussian code pays {{latents.kl_at_beta_1:.2f}} nats where {{latents.rd_bound_at_beta_1:.2f}} would do.
# - Collapse is stable from 2·Var(x) = {{latents.local_threshold:.2f}} and optimal from {{latents.exact_threshold:.2f}}; trained nets follow the variance of the samples they saw.
#
# One number can pass one thing. In Part II a picture passes through several **slots**, and the question becomes *which* thing each of them keeps.
#
# **References.** D. Kingma & M. Welling, *Auto-Encoding Variational Bayes* (2014), sec. 2.2–2.4 and appendix B. I. Higgins et al., *β-VAE* (2017), eq. 4. A. Alemi et al., *Fixing a Broken ELBO* (2018), sec. 2: the rate–distortion view. T. Cover & J. Thomas,
# *Elements of Information Theory* (2006), ch. 10, sec. 10.8 for Blahut–Arimoto. J. Lucas et al., *Don't Blame the ELBO!* (2019): collapse in linear VAEs. K. Rose, *A mapping approach to rate-distortion computation and analysis* (1994): finitely many outputs.
