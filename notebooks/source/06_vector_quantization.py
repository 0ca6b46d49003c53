# %% [markdown]
# # 06 · Vector quantisation: how does a network learn to choose a word?
#
# **The question of this notebook: if a vector may leave the encoder only as a number from a short list, who writes the list, and how does the encoder learn, when choosing has no gradient?**
#
# After this notebook you can
#
# - draw the cells of a codebook, and move its codes by a loss or by a moving average;
# - derive the straight-through gradient, say where it is wrong and why it works all the same;
# - say what the commitment weight 0.25 does, and tell when it is too weak or too strong;
# - state the rate of a code in bits, nominal and entropy-coded, and choose between one large codebook and a product of small ones;
# - recognise dead codes and a codebook that is drawn anew for ever.
#
# *Measured: {{minutes.06_vector_quantization:.1f}} minutes on two CPU cores. Yours: two sittings of 45 minutes, exercises included; pause after section 4. Builds on: notebook 04 for slots; rate and distortion from notebook 03.*

# %% [markdown]
# ## 1 · From vectors to words
#
# Notebook 05 ended with a question: how many bits is a slot? A computer stores its 64 numbers in 2048 bits, which says little about what it tells. And no two slots are ever equal, so they cannot be counted, looked up in a dictionary or written down as a sentence. Part III puts a bottleneck of another kind behind them: a **choice**. Five terms for the rest of it:
#
# - A **codebook** is a list of $K$ vectors $e_1, \dots, e_K$. Each of them is a **code**.
# - To **quantise** a vector $z$ is to replace it by the nearest code, $q(z) = e_k$ with $k = \arg\min_j \lVert z - e_j \rVert^2$.
# - The **index** $k$ is all that passes the bottleneck. The decoder looks up $e_k$ in its copy of the codebook. We also call a code a **word** when the point is that it is *said*: the codebook is the list of words, and the index says one of them.
# - **Distortion** is what is lost: here the mean of the squared distance $\lVert z - q(z) \rVert^2$.
# - **Rate** is what passes: one index out of $K$ is $\log_2 K$ bits, if nothing is known about which are likely (section 6). A bit is $\ln 2 = 0.69$ of the nats of Part I.
#
# In the β-VAE every nat had a price, and the rate settled by itself. Here the budget is fixed before training: $K$ words, and not one more. An autoencoder with such a bottleneck is a **VQ-VAE** (van den Oord et al. 2017).

# %% [markdown]
# ## 2 · The nearest code
#
# The smallest world again: four points on a line, at −2, −1, 1 and 2, and two codes, at −1 and 0.5. Notebook 04 shared these points out softly. Now it is all or nothing.
#
# One step has two halves, known as **Lloyd's algorithm** or **k-means**. (1) Each point takes its nearest code. (2) Each code moves to the mean of its points. **Predict first**, on paper: the distortion before the step and after it, and where the border between the two codes goes.

# %%
import torch

from course_lib.codes.figures_plane import line_figure
from course_lib.codes.quantizer import ProductQuantizer
from course_lib.core.claims import claim

points = torch.tensor([[-2.0], [-1.0], [1.0], [2.0]])
quantizer = ProductQuantizer(dim=1, codebooks=1, codes=2, decay=0, restart=0)  # section 3 says why decay=0 is Lloyd's step
quantizer.start_from(torch.tensor([[-1.0], [0.5]]))
before, first = quantizer.codebook.flatten().tolist(), quantizer(points)  # in training mode a call also moves the codes
after, second = quantizer.codebook.flatten().tolist(), quantizer(points)
line_figure(points.flatten().tolist(), {"start": before, "after one step": after})

# %%
claim("codes.hand_distortion_start", (first.quantized - points).square().mean(), above=0.8749, below=0.8751)
claim("codes.hand_distortion_after", (second.quantized - points).square().mean(), above=0.2499, below=0.2501)

# %% [markdown]
# The distances are 1, 0, ½ and 1½, so the distortion starts at $(1 + 0 + 0.25 + 2.25)/4 = {{codes.hand_distortion_start:.3f}}$. The means of the two pairs are −1.5 and 1.5, the border moves from −0.25 to 0, and the distortion falls to {{codes.hand_distortion_after:.2f}}. Neither half of a step can raise it: (1) takes the best code for each point, (2) the best
# place for each code, because the mean minimises the sum of squared distances. So it falls until nothing changes any more. That is a *local* minimum: a poor start may end in a poor place.
#
# **In the plane** the points that are nearest to one code form its **Voronoi cell**. The border between two codes is where $\lVert z - e_1 \rVert^2 = \lVert z - e_2 \rVert^2$. The term $\lVert z \rVert^2$ stands on both sides, and what is left, $2 z \cdot (e_2 - e_1) = \lVert e_2 \rVert^2 - \lVert e_1 \rVert^2$, is a straight line. So cells are convex polygons.
#
# Our plane has 320 points in five clusters, which hold 1/2, 1/4, 1/8, 1/16 and 1/16 of them. **Predict first:** with 16 codes, how many will the largest cluster get?

# %%
from course_lib.codes import plane
from course_lib.codes.figures_plane import cells_figure

x = plane.clusters()


def five_runs(codes):
    return [plane.train(plane.codebook(codes, start="kmeans", decay=0, restart=0), x, 20, seed=seed) for seed in range(5)]


tried = {codes: five_runs(codes) for codes in (1, 5, 16)}
found = {codes: min(runs, key=lambda run: run.error[-1]) for codes, runs in tried.items()}
cells_figure({f"{codes} code{'s' * (codes > 1)}": (x, run.codes[-1]) for codes, run in found.items()})

# %%
for codes, run in found.items():
    claim(f"codes.plane_distortion_{codes}", run.error[-1], above=0, below={1: 4, 5: 0.25, 16: 0.09}[codes])
in_largest = len(found[16].indices[-1][plane.cluster_of() == 0].unique())
claim("codes.plane_codes_in_largest", in_largest, above=3.5, below=8.5)

# %% [markdown]
# A diamond is a code, on its cell; squares are the points. One code stands at the mean of everything, and the distortion {{codes.plane_distortion_1:.2f}} is the variance of the data: the collapse of Part I, at zero bits. Five codes find the five clusters ({{codes.plane_distortion_5:.2f}}, close to $2 \cdot 0.3^2 = 0.18$, the variance inside a cluster). With 16 it is
# {{codes.plane_distortion_16:.2f}}, and the largest cluster has {{codes.plane_codes_in_largest:.0f}} of them, in proportion to its points. (Each picture is the best of five starts, because one start may end in a poor place.)
#
# Is that the best division? In the plane, a cluster of $n$ points with $k$ codes adds about $n/k$ to the sum of squared distances: $k$ times as many cells have a $k$-th of the area. The sum of $n_i/k_i$ for 16 codes in all is least when $k_i \propto \sqrt{n_i}$: 5.5, 3.9, 2.7, 1.9 and 1.9 codes. Let us start with 5, 4, 3, 2 and 2:

# %%
def planned(seed):
    order = torch.randperm(320, generator=torch.Generator().manual_seed(seed))
    starts = [order[plane.cluster_of()[order] == k][:count] for k, count in enumerate((5, 4, 3, 2, 2))]
    quantizer = plane.codebook(16, decay=0, restart=0)
    quantizer.start_from(x[torch.cat(starts)])
    return plane.train(quantizer, x, 20)


claim("codes.plane_random", torch.stack([run.error[-1] for run in tried[16]]).mean(), above=0.07, below=0.09)
claim("codes.plane_planned", torch.stack([planned(seed).error[-1] for seed in range(5)]).mean(), above=0.06, below=0.073)

# %% [markdown]
# On average, five such starts end at {{codes.plane_planned:.3f}}, the five random ones at {{codes.plane_random:.3f}}. A random start puts codes where the *points* are, and Lloyd's steps rarely carry a code from one cluster to another. So small clusters get fewer codes than they deserve.
#
# ### Exercise: the nearest code
#
# **Difficulty: easy. Time: 5 minutes.** Write `my_nearest(vectors, codebook)`: vectors are `(n, d)`, the codebook `(k, d)`; return the index of the nearest code of each vector, `(n,)`. The target figure has six codes, one of which is nobody's nearest.

# %%
from course_lib.codes.exercises import check, ema_target, nearest_target, perplexity_target, straight_through_target

nearest_target()


# %%
def my_nearest(vectors, codebook):
    ### BEGIN SOLUTION
    # stub: return torch.zeros(len(vectors), dtype=torch.long)  # everybody takes code 0
    return torch.cdist(vectors, codebook).argmin(1)
    ### END SOLUTION


check.nearest(my_nearest)

# %% [markdown]
# ## 3 · Who writes the list? Codes learned by the loss, or by a moving average
#
# In a network the points move all the time, because the encoder learns as well. The codes must follow. There are two ways.
#
# **By the loss.** Write $\mathrm{sg}[\cdot]$ (*stop gradient*) for "use the value, pass no gradient". Add $\lVert \mathrm{sg}[z] - e_k \rVert^2$ to the loss, and let the optimiser move the codes. If the share $p_k$ of all points chose code $k$, and $m_k$ is their mean, then a step of plain gradient descent is
#
# $$e_k \leftarrow e_k + \mathrm{lr} \cdot p_k \,(m_k - e_k).$$
#
# (Our loss is a mean over the two numbers, which takes up the factor 2.)
#
# **By a moving average** (*exponential moving average*, EMA). Keep a running count $N_k$ of the points that choose code $k$ and a running sum $S_k$ of them. With $n_k$ such points in this step and $s_k$ their sum,
#
# $$\begin{aligned} N_k &\leftarrow \gamma N_k + (1 - \gamma)\, n_k, \\ S_k &\leftarrow \gamma S_k + (1 - \gamma)\, s_k, \\ e_k &= S_k / N_k. \end{aligned}$$
#
# $\gamma$ is the **decay**. No gradient and no optimiser are needed. With $\gamma = 0$ a code *is* the mean of its points: Lloyd's step, as in section 2. Once $N_k$ has settled at $n_k$, divide: $e_k \leftarrow e_k + (1 - \gamma)(m_k - e_k)$.
#
# **Predict first:** all points jump by 0.8 to the right, as if the encoder had learned something. After 60 steps, which codes have followed: with lr = 0.1, and with decay 0.95?

# %%
from course_lib.codes.figures_plane import follow_figure

tight, owner, move = plane.clusters(spread=0.15), plane.cluster_of(), torch.tensor([0.8, 0.0])
means = torch.stack([tight[owner == k].mean(0) for k in range(5)])
remaining, steps = {}, torch.arange(61)[:, None]
for name, settings in {"by the loss": {"learning": "loss"}, "by a moving average": {"learning": "ema", "decay": 0.95}}.items():
    quantizer = plane.codebook(5, restart=0, **settings)
    plane.train(quantizer, means, 0)  # starts the five codes at the five means ...
    order = quantizer.eval()(means).indices[:, 0]  # ... in an order drawn by chance
    plane.train(quantizer.train(), tight, 100, lr=0.1)  # all settles
    moved = plane.train(quantizer, tight + move, 60, lr=0.1)
    remaining[name] = (means + move - moved.codes[:, order]).norm(dim=2) / move.norm()
theory = {"by the loss": (1 - 0.1 * torch.tensor(plane.SHARES)) ** steps, "by a moving average": (0.95**steps).expand(-1, 5)}
follow_figure(remaining, theory, plane.SHARES)

# %%
off = max((remaining[name] - theory[name]).abs().max() for name in remaining)
claim("codes.follow_theory", off, below=0.03)
for name, key in (("by the loss", "loss"), ("by a moving average", "ema")):
    claim(f"codes.follow_{key}_frequent", remaining[name][-1, 0], above=0.03, below=0.06)
    claim(f"codes.follow_{key}_rare", remaining[name][-1, 4], above={"loss": 0.6, "ema": 0.03}[key], below={"loss": 0.75, "ema": 0.06}[key])

# %% [markdown]
# Lines are measured, marks are the two formulas; they differ by at most {{codes.follow_theory:.3f}}. By the loss the frequent code has {{codes.follow_loss_frequent:.0%}} of its way still to go, a rare one {{codes.follow_loss_rare:.0%}}: its step is smaller in proportion to its share. By a moving average both have {{codes.follow_ema_frequent:.0%}}. **A code that is rarely chosen learns as fast
# as any other**, measured in steps of training. That is why the moving average is the usual choice, and our default, with a decay of 0.99. (An optimiser that scales its steps, such as Adam, should even this out in part; we did not measure it.) The original paper trains its models by the loss and gives the moving average in appendix A.1.
#
# ### Exercise: a step of the moving average
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_ema_step(uses, sums, points, indices, decay)`: $N$ is `(k,)`, $S$ is `(k, 2)`, the points are `(n, 2)` and `indices` `(n,)` says which code each chose. Return the new $N$, the new $S$ and the codes $S/N$. The target figure: how far a code that starts with $N_k = n_k$ still is from the mean of its points.

# %%
ema_target()


# %%
def my_ema_step(uses, sums, points, indices, decay):
    ### BEGIN SOLUTION
    # stub: return uses, sums, sums / uses[:, None]  # nothing is learned
    n = torch.bincount(indices, minlength=len(uses))
    s = torch.zeros_like(sums).index_add_(0, indices, points)
    uses, sums = decay * uses + (1 - decay) * n, decay * sums + (1 - decay) * s
    return uses, sums, sums / uses[:, None]
    ### END SOLUTION


check.ema_step(my_ema_step)

# %% [markdown]
# With `decay = 0` a code that nobody chose becomes 0/0. `ProductQuantizer` therefore replaces $N_k$ by $\frac{N_k + \epsilon}{\sum_j N_j + K \epsilon} \sum_j N_j$ (**Laplace smoothing**, $\epsilon = 10^{-5}$), which changes next to nothing while a code is used.

# %% [markdown]
# ## 4 · Learning through a choice: the straight-through gradient
#
# The codes can learn. Can the encoder? Let the decoder want the output at a target $t$: the task loss is $L(q(z)) = \lVert q(z) - t \rVert^2$. Move $z$ a little: it stays in its cell, $q(z)$ stays the same code, and the loss does not change. **The true gradient is zero** nearly everywhere, and on the borders there is none. Here is a test on all points of our plane:

# %%
from course_lib.codes.quantizer import nearest

codes = found[16].codes[-1]
shift = 1e-5 * torch.randn(x.shape, generator=torch.Generator().manual_seed(0))
changed = nearest(x[None] + shift, codes[None]) != nearest(x[None], codes[None])
claim("codes.true_gradient", changed.sum(), above=-1, below=0.5)

# %% [markdown]
# A small move changed the code of {{codes.true_gradient:.0f}} of 320 points. The **straight-through** estimator (Bengio et al. 2013) answers: backwards, pretend that $q(z)$ were $z$. Whatever gradient arrives at the output is handed to the encoder unchanged:
#
# $$\frac{\partial L}{\partial z} \;:=\; \frac{\partial L}{\partial q(z)} = 2\,(q(z) - t).$$
#
# On a line it can be drawn. Four codes, and a target at 0.8 that none of them hits. **Predict first:** a point $z$ follows this gradient. Where does it come to rest?

# %%
from course_lib.codes.figures_plane import staircase_figure

staircase_figure([-1.5, -0.5, 0.5, 1.5], target=0.8)

# %% [markdown]
# Left, the loss over $z$ is a staircase. Its slope is zero everywhere; the straight-through gradient is the slope of the dotted curve, taken at the *code*, not at $z$.
#
# **Where it is wrong.** Without codes the gradient would be $2(z - t)$. The difference, $2(q(z) - z)$, is as large as the cell is wide. At the code 0.5, the best there is, the gradient is $2(0.5 - 0.8) = -0.6$ and not 0. It pushes $z$ on to the right, over the border at 1, where the code is 1.5 and the gradient $1.4$ pushes it back. So it never rests.
#
# **Why it works**, three reasons.
#
# 1. *From afar the staircase has this slope.* From the step at code $a$ to the step at code $b$ the loss rises by $\frac{(b - t)^2 - (a - t)^2}{b - a} = (a - t) + (b - t)$ per unit: exactly the mean of the two straight-through gradients. What the true gradient cannot see, the jumps, it puts back on average.
# 2. *The error shrinks with the cells.* Its mean square is $4 \cdot \mathbb E \lVert q(z) - z \rVert^2$, four times the distortion of $z$.
# 3. *A point that cannot rest speaks the truth on average.* If $z$ stays within bounds, its moves cancel in the long run, so the mean of $q(z) - t$ is zero. Let us see:

# %%
from course_lib.slots.figures_attention import lines_figure

line = torch.tensor([[-1.5, 0.0], [-0.5, 0.0], [0.5, 0.0], [1.5, 0.0]])  # the plane, with 0 for the second number
quantizer = plane.codebook(4, commitment_weight=0, restart=0)
quantizer.start_from(line)
walk = plane.train(quantizer.eval(), torch.tensor([[0.8, 0.0]]), 500, points=torch.tensor([[-1.2, 0.0]]), rate=0.15)  # eval: the codes stay
z, out = walk.points[:, 0, 0], walk.outputs[:, 0, 0]
lines_figure(range(80), {"point z": z[:80], "its code q(z)": out[:80]}, "step", "place on the line", "straight through, no commitment", ylim=(-2, 2))

# %%
claim("codes.dither_mean", out[100:].mean(), above=0.78, below=0.82)
claim("codes.dither_upper", (out[100:] > 1).float().mean(), above=0.28, below=0.32)

# %% [markdown]
# The point walks over two borders (the steps get shorter near the target, as they should) and then hops between the codes 0.5 and 1.5. It is at 1.5 for {{codes.dither_upper:.0%}} of the time, and the mean of what it says is {{codes.dither_mean:.2f}}: the target. Audio converters use the same trick. For a network it is a mixed blessing: the average is right, and every single word is jittery. You
# will see points gather *on* the borders below.
#
# ### Exercise: straight through
#
# **Difficulty: medium. Time: 10 minutes.** Write `my_straight_through(z, codes)`, where `codes` are the chosen codes, of the same shape as `z`. The result must be the codes; backwards, `z` must get the whole gradient and the codes none. One line is enough. The target figure:

# %%
straight_through_target()


# %%
def my_straight_through(z, codes):
    ### BEGIN SOLUTION
    # stub: return codes  # right forwards, but z learns nothing
    return z + (codes - z).detach()
    ### END SOLUTION


check.straight_through(my_straight_through)

# %% [markdown]
# (`ProductQuantizer` writes `codes.detach() + (z - z.detach())`. The second term is exactly zero, so its output is the code to the last bit.)

# %% [markdown]
# ## 5 · Commitment: why 0.25?
#
# The straight-through gradient knows where the *code* is, not where $z$ is. Take one code that does not move, at 0, and a target at 1. The gradient is $2(0 - 1)$, whatever $z$ does. So $z$ runs to the right for ever: the **encoder runs away**. The cure is a spring between the two, the **commitment** term $c\, \lVert z - \mathrm{sg}[e_k] \rVert^2$. With all terms of the VQ-VAE (van den Oord et al., eq. 3)
#
# $$\text{loss} = \underbrace{L(q(z))}_{\text{task}} + \underbrace{\lVert \mathrm{sg}[z] - e_k \rVert^2}_{\text{moves the code}} + \underbrace{c\, \lVert z - \mathrm{sg}[e_k] \rVert^2}_{\text{commitment}}$$
#
# with $c = 0.25$. The middle term is left out where a moving average moves the codes. Commitment moves the encoder.
#
# The point rests where the two pulls on it cancel: $(e - t) + c\,(z - e) = 0$, so $z - e = (t - e)/c$. **Predict first:** how far from its code will $z$ rest with $c = 0.25$, and with $c = 1$?

# %%
from course_lib.codes.figures_plane import pair_figure

at = lambda place: torch.tensor([[place, 0.0]])


def one_pair(weight, steps, target, start, moves, rate=0.1):
    """One point and one code, both at `start`; the code follows by a moving average (decay 0.95), or stays."""
    quantizer = plane.codebook(1, decay=0.95, commitment_weight=weight, restart=0)
    quantizer.start_from(at(start))
    return plane.train(quantizer.train(moves), at(target), steps, points=at(start), rate=rate)


fixed = {weight: one_pair(weight, 120, 1.0, 0.0, moves=False) for weight in (0.0, 0.25, 1.0)}
pair_figure({f"commitment {weight:g}": (run, None) for weight, run in fixed.items()}, target=1.0)

# %%
for weight, key in ((0.0, "none"), (0.25, "quarter"), (1.0, "one")):
    claim(f"codes.fixed_gap_{key}", fixed[weight].gap[-1].sqrt(), above={0.0: 10, 0.25: 3.7, 1.0: 0.99}[weight], below={0.0: 13, 0.25: 4.01, 1.0: 1.01}[weight])

# %% [markdown]
# Without commitment $z$ is {{codes.fixed_gap_none:.0f}} away after 120 steps and goes on. With 0.25 it nears a distance of 4 ({{codes.fixed_gap_quarter:.2f}} by now), with 1 it rests at {{codes.fixed_gap_one:.2f}}: *on the target*. That is no accident. At $c = 1$ the two pulls add up to
#
# $$(e - t) + 1 \cdot (z - e) = z - t,$$
#
# the gradient without codes. **Commitment repairs the error of the straight-through gradient.** For another task loss take Taylor's first term: $\nabla L(z) \approx \nabla L(e) + H\,(z - e)$, where $H$ is the curvature (second derivative) of $L$. The straight-through gradient is the first term, the commitment gradient the second, with $2c$ as a guess of the curvature. Too small a guess leaves the
# encoder too far out. Too large a guess ties it to its code. So the right $c$ has the *units of the task loss*: van den Oord et al. saw no difference between 0.1 and 2.0, took 0.25, and wrote that it "would depend on the scale of reconstruction loss" (sec. 3.2).
#
# **Now let the code follow**, by a moving average: it goes a share $r = 1 - \gamma$ of the way to $z$ in each step, while $z$ goes a share $\rho$ of the pull. With the target at 0
#
# $$z \leftarrow z - \rho\,[\,e + c\,(z - e)\,], \qquad e \leftarrow e + r\,(z - e).$$
#
# Two linear equations: a mass on a spring, and $c$ is the **friction**. The eigenvalues of the $2 \times 2$ matrix are complex, so the pair swings, exactly if $(r + \rho c)^2 < 4 r \rho$. **Predict first:** with $r = 0.05$ and $\rho = 0.1$, is 0.25 enough to stop it?

# %%
calm = plane.calm_weight(rate=0.1, follow=0.05)
pairs = {weight: (one_pair(weight, 120, 0.0, 2.0, moves=True), plane.pair_theory(120, 2.0, 2.0, weight, 0.1, 0.05)) for weight in (0.0, 0.25, calm, 4.0)}
pair_figure({f"commitment {weight:.2g}": pair for weight, pair in pairs.items()})

# %%
deviation = max((torch.stack([run.points[:, 0, 0], run.codes[:, 0, 0]], 1) - theory).abs().max() for run, theory in pairs.values())
claim("codes.pair_theory", deviation, below=1e-4)
claim("codes.calm_weight", calm, above=0.9, below=0.93)
claim("codes.swing_none", pairs[0.0][0].codes[:, 0, 0].min(), above=-0.8, below=-0.5)
claim("codes.swing_quarter", pairs[0.25][0].codes[:, 0, 0].min(), above=-0.5, below=-0.1)
claim("codes.swing_calm", pairs[calm][0].codes[:, 0, 0].min(), above=0, below=0.1)
claim("codes.slow_strong", pairs[4.0][0].codes[-1, 0, 0], above=0.3, below=1)

# %% [markdown]
# Dots are theory: they agree with the trained pair to {{codes.pair_theory:.0e}}. Without friction the code overshoots the target to {{codes.swing_none:.2f}}, with 0.25 to {{codes.swing_quarter:.2f}}; from $c = (2\sqrt{r\rho} - r)/\rho$ = {{codes.calm_weight:.2f}} on it does not swing. With $c = 4$ neither swings, but nothing gets done: after 120 steps the code is still at {{codes.slow_strong:.2f}}. Point and code
# hold each other back, and the pair crawls by only about $r/c$ of its way in a step.
#
# **Many points and codes.** 320 *free points* start as one small cloud; think of an encoder so flexible that it can put each point anywhere, but has learned nothing yet. Their targets are the five clusters. 8 or 16 codes start at some of the points. Nine commitment weights, three starts each. **Predict first:** where will the smallest task error be?

# %%
from course_lib.codes.figures_plane import sweep_figure

weights = (0.0, 0.05, 0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 16.0)


def free_points(codes, weight, seed, steps=200):
    quantizer = plane.codebook(codes, seed, decay=0.95, commitment_weight=weight)
    return plane.train(quantizer, x, steps, points=plane.untrained(seed=seed), rate=0.1, seed=seed)


ends = {codes: [[free_points(codes, weight, seed) for weight in weights] for seed in range(3)] for codes in (8, 16)}
last = lambda runs, name: torch.tensor([[float(getattr(run, name)[-1]) for run in row] for row in runs])
sweep_figure(weights, {"task error ‖q(z) − target‖²": {f"{codes} codes": last(runs, "error") for codes, runs in ends.items()},
                       "gap ‖z − q(z)‖²": {f"{codes} codes": last(runs, "gap") for codes, runs in ends.items()}})

# %%
errors, gaps = last(ends[8], "error"), last(ends[8], "gap")
best = int(errors.mean(0).argmin())
claim("codes.free_best_weight", weights[best], above=0.4, below=2.1)
for weight, key in ((0.0, "none"), (0.25, "quarter"), (1.0, "one"), (16.0, "strong")):
    claim(f"codes.free_error_{key}", errors[:, weights.index(weight)].mean(), above=0, below=5)
    claim(f"codes.free_gap_{key}", gaps[:, weights.index(weight)].mean(), above=0)
claim("codes.free_none_against_best", (errors[:, 0] / errors[:, best]).min(), above=2)
claim("codes.free_strong_against_best", (errors[:, -1] / errors[:, best]).min(), above=5)

# %% [markdown]
# With 8 codes the error is least at $c$ = {{codes.free_best_weight:g}}, where $2c$ is the curvature of this task: {{codes.free_error_one:.2f}}. Without commitment it is {{codes.free_error_none:.2f}}, and the points stand far outside (gap {{codes.free_gap_none:.1f}}). At 0.25 it is {{codes.free_error_quarter:.2f}}. At 16 it is {{codes.free_error_strong:.2f}} with a gap of {{codes.free_gap_strong:.2f}}: every point sits on its code, and
# both stay near where they began. More codes make smaller cells, so a weak commitment does less harm.
#
# Now move it yourself. **Predict first:** with commitment 0, where will the green points gather? And with 8?

# %%
from course_lib.codes.explorer_plane import VoronoiExplorer

explorer = VoronoiExplorer()
explorer.show()

# %% [markdown]
# The same as stills, without a kernel or a slider:
#
# <details><summary>Reading without a kernel? These are the stills.</summary>
#
# ![The plane with its points, codes and cells, a row for each of the commitment weights 0, 0.25, 1 and 8, a column for each of the steps 0, 12 and 80; all rows begin alike; at step 80 the points of weight 0 gather along the borders of the cells, those of 0.25 lie scattered beyond their codes, those of 1 lie on their targets, and at 8 points and codes still huddle in the middle](../data/pictures/voronoi_grid.png)
#
# </details>

# %%
explorer.still()

# %% [markdown]
# Rows are commitment weights, columns steps. At 0 the points overshoot, then hop to and fro over the borders and gather there. At 0.25 the codes are placed well; the points lie four times as far from their code as their targets do, until they reach a border. At 1 the points lie on their targets. At 8 points and codes are glued together and crawl.
# Set *unused codes* to *left alone*, take 16 codes, and count the grey crosses (section 8).
#
# **And in a network?** Free points have no decoder that learns. Here is a small VQ-VAE on the same data: one layer of 32 in encoder and decoder, 8 codes, Adam, two starts.

# %%
net_weights = (0.1, 0.25, 1.0, 2.0, 16.0)
nets = [[plane.train_network(x, weight, seed) for weight in net_weights] for seed in range(2)]
measured = lambda name: {"VQ-VAE": torch.tensor([[getattr(net, name) for net in row] for row in nets])}
sweep_figure(net_weights, {"error ‖output − target‖²": measured("error"), "size of the picture of z": measured("size")}, log=False)

# %%
net_error, net_size = measured("error")["VQ-VAE"].mean(0), measured("size")["VQ-VAE"].mean(0)
claim("codes.net_error_quarter", net_error[1], above=0.1, below=0.2)
claim("codes.net_error_range", net_error[:4].max() / net_error[:4].min(), above=1, below=1.5)
claim("codes.net_error_strong", net_error[4], above=0.25, below=1)
claim("codes.net_size_tenth", net_size[0], above=3, below=5)
claim("codes.net_size_two", net_size[3], above=0.8, below=1.6)
claim("codes.net_size_ratio", net_size[0] / net_size[3], above=2, below=4.5)

# %% [markdown]
# From 0.1 to 2.0 the error hardly cares, as the paper says: the largest is {{codes.net_error_range:.2f}} times the smallest. What changes is the *size* of the picture that the encoder draws, from {{codes.net_size_tenth:.1f}} to {{codes.net_size_two:.1f}}. A decoder that learns is free to choose units for $z$. If the latent picture is half as large, the task loss is four times as curved in $z$, so **the
# network makes its picture smaller where $c$ is larger, and the curvature grows with it**. (A perfect fit would be a factor of $\sqrt{20} = 4.5$ in size from 0.1 to 2.0; it is {{codes.net_size_ratio:.1f}}.) Only far outside, at 16, does this fail (an error of {{codes.net_error_strong:.2f}}, against {{codes.net_error_quarter:.2f}} at 0.25). That is why one number, 0.25, serves so many models, and why you should still look at it when the loss changes its scale.

# %% [markdown]
# ## 6 · What does an index cost?
#
# **Nominal rate.** $K$ codes can be numbered with $\log_2 K$ bits each, whatever they are used for.
#
# **Entropy-coded rate.** Write each word down as a **name** of zeros and ones, and give the more frequent words the shorter names. If code $k$ is used with share $p_k$, a name of $\log_2 (1/p_k)$ bits is best, and the mean length is the **entropy** $H = \sum_k p_k \log_2 (1/p_k) \le \log_2 K$. No set of names that can be told apart in a row is shorter on average (Cover & Thomas, sec. 5.3).
#
# **Perplexity** is $2^H$: the number of codes that would cost as much if all were used alike. Our clusters were made for pencil and paper. **Predict first:** one code for each, shares 1/2, 1/4, 1/8, 1/16, 1/16. How many bits?

# %%
from heapq import heapify, heappop, heappush

from course_lib.codes.quantizer import entropy_bits


def huffman_bits(counts):
    """Mean length of the best names of whole bits (Huffman 1952): join the two rarest until one is left; each join costs a bit."""
    heap, cost = [int(count) for count in counts if count > 0], 0
    heapify(heap)
    while len(heap) > 1:
        joined = heappop(heap) + heappop(heap)
        cost += joined
        heappush(heap, joined)
    return cost / int(sum(counts))


sizes, sixteen = torch.bincount(owner), found[16].counts[-1]
for name, counts in (("five clusters", sizes), ("sixteen codes", sixteen)):
    H = float(entropy_bits(counts))
    print(f"{name}: nominal {torch.tensor(len(counts)).log2():.3f} bits, entropy {H:.3f}, names of whole bits {huffman_bits(counts):.3f}, perplexity {2**H:.2f}")
claim("codes.entropy_clusters", entropy_bits(sizes), above=1.8749, below=1.8751, unit="bits")
claim("codes.huffman_clusters", huffman_bits(sizes), above=1.8749, below=1.8751, unit="bits")
claim("codes.perplexity_clusters", entropy_bits(sizes).exp2(), above=3.6, below=3.7)
claim("codes.entropy_sixteen", entropy_bits(sixteen), above=3, below=4, unit="bits")
claim("codes.huffman_sixteen", huffman_bits(sixteen) - entropy_bits(sixteen), above=0, below=1, unit="bits")

# %% [markdown]
# $\frac12 \cdot 1 + \frac14 \cdot 2 + \frac18 \cdot 3 + 2 \cdot \frac1{16} \cdot 4 = \frac{15}8$ = {{codes.entropy_clusters:.3f}} bits, where $\log_2 5 = 2.32$ are nominal. The names 0, 10, 110, 1110, 1111 reach it exactly. The perplexity is {{codes.perplexity_clusters:.2f}} "codes". The sixteen codes of section 2 have {{codes.entropy_sixteen:.2f}} bits of their nominal 4; names of whole bits cost {{codes.huffman_sixteen:.2f}} more than the entropy, and can never cost a whole bit
# more. Notebook 08 goes further: who knows the other indices of a picture can guess the next, and pays less than $H$.
#
# **Is a high perplexity good?** It says that the codes are used, not that they are useful. Codes drawn at random from the data have a high one, too (section 8). Always read it beside the distortion.
#
# ### Exercise: perplexity
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_perplexity(indices, codes)`: `indices` is `(n,)`, `codes` the number of codes. Return $2^H$. Mind the codes that do not occur. The target figure: two codes.

# %%
perplexity_target()


# %%
def my_perplexity(indices, codes):
    ### BEGIN SOLUTION
    # stub: return float(codes)  # as if all were used alike
    p = torch.bincount(indices, minlength=codes) / len(indices)
    p = p[p > 0]
    return 2 ** float(-(p * p.log2()).sum())
    ### END SOLUTION


check.perplexity(my_perplexity)

# %% [markdown]
# ### A price for every word
#
# A codebook is a *budget*: sixteen words, and not one more. Part I had another idea: let every nat cost something, and see what is bought. Words can have a price as well. Choose a code by its distance plus the price of its name, $w$ for each nat:
#
# $$k = \arg\min_j \; \lVert z - e_j \rVert^2 + w \ln \frac{1}{p_j},$$
#
# where $p_j$ says how often code $j$ is used (**entropy-constrained** vector quantisation, Chou et al. 1989). Of two codes that would do, the more frequent one is chosen, becomes more frequent still, and the other dies out. **Predict first:** 16 codes on our five clusters, five starts. How many words are left at $w = 1$? And at $w = 8$?

# %%
prices = (0.0, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 4.0, 8.0)


def priced(weight, seed):
    """Rate in bits, distortion and number of words after 300 steps."""
    quantizer = plane.codebook(16, seed, decay=0.9, restart=0, rate_weight=weight)
    plane.train(quantizer, x, 300, seed=seed)
    chosen = quantizer.eval()(x)
    return float(entropy_bits(quantizer.counts(chosen.indices)[0])), float((chosen.quantized - x).square().sum(1).mean()), len(chosen.indices.unique())


market = torch.tensor([[priced(weight, seed) for weight in prices] for seed in range(5)])  # (seeds, prices, 3)
sweep_figure(prices, {"entropy-coded rate, bits": {"16 codes": market[..., 0]}, "distortion": {"16 codes": market[..., 1]}}, "price of a word, w", log=False)

# %%
none, one, eight = (market[:, prices.index(price)] for price in (0.0, 1.0, 8.0))
claim("codes.priced_bits_none", none[:, 0].mean(), above=3.5, below=4, unit="bits")
claim("codes.priced_distortion_none", none[:, 1].mean(), above=0.06, below=0.1)
claim("codes.priced_words_one", one[:, 2].mean(), above=4.9, below=5.1)
claim("codes.priced_bits_one", one[:, 0].mean(), above=1.8, below=1.9, unit="bits")
claim("codes.priced_distortion_one", one[:, 1].mean(), above=0.17, below=0.21)
claim("codes.priced_bits_eight", eight[:, 0].max(), above=-0.001, below=0.001, unit="bits")
claim("codes.priced_distortion_eight", eight[:, 1].mean(), above=3, below=3.3)
claim("codes.told_five", sum(bool(run.error[-1] < 0.25) for run in tried[5]) / 5, above=0.1, below=0.9)

# %% [markdown]
# Without a price all sixteen stay: {{codes.priced_bits_none:.2f}} bits at a distortion of {{codes.priced_distortion_none:.3f}}. At $w = 1$ there are {{codes.priced_words_one:.0f}} words left, one for each cluster, from *every* start: {{codes.priced_bits_one:.2f}} bits, distortion {{codes.priced_distortion_one:.3f}}. Nobody said five. (Section 2 did say five to k-means, and {{codes.told_five:.0%}} of its starts found them.)
# At $w = 8$ one word is left for everything: {{codes.priced_bits_eight:.0f}} bits, and the distortion {{codes.priced_distortion_eight:.2f}} is the variance of the data. That is the collapse of notebook 03, and for the same reason: a price on the rate is a β.
#
# In this course: `ProductQuantizer(rate_weight=w)`. The price is 0 unless you set it. Notebook 07 sets it, so that its codebooks do not fill with words that mean the same.

# %% [markdown]
# ## 7 · Product codes: four small codebooks or one large one?
#
# For 36 bits one codebook would need $2^{36}$ codes of 64 numbers: 18 terabytes, most of them never seen in training. A **product code** (Jégou et al. 2011) cuts the vector into $M$ parts and gives each its own small codebook: 4 parts of 16 numbers with 512 codes each say one of $512^4 = 2^{36}$ things, and the table has 32,768 numbers. That is the course's default, $4 \times 512 \times 16$.
#
# First, do we believe `ProductQuantizer`? Ten lines of formula against it, in 64-bit numbers: indices, output, loss, gradient and one step of the moving average.

# %%
torch.manual_seed(0)
module = ProductQuantizer(start="normal", restart=0).double()
vectors, upstream = torch.randn(2, 300, 64, dtype=torch.double)
vectors.requires_grad_()
e, N, S = module.codebook.clone(), module.uses.clone(), module.sums.clone()
parts = vectors.detach().view(300, 4, 16).transpose(0, 1)  # (4, 300, 16)
k = torch.cdist(parts, e).argmin(-1)  # (4, 300)
chosen = torch.stack([e[m][k[m]] for m in range(4)])
commitment = (parts - chosen).square().mean()
gradient = upstream + 0.25 * 2 * (parts - chosen).transpose(0, 1).flatten(1) / vectors.numel()
one_hot = torch.nn.functional.one_hot(k, 512).double()
N, S = 0.99 * N + 0.01 * one_hot.sum(1), 0.99 * S + 0.01 * one_hot.mT @ parts
e = S / ((N + 1e-5) / (N.sum(1, keepdim=True) + 512e-5) * N.sum(1, keepdim=True))[..., None]

result = module(vectors)
((result.quantized * upstream).sum() + result.loss).backward()
differences = [result.indices.T - k, result.quantized - chosen.transpose(0, 1).flatten(1), result.loss - 0.25 * commitment, vectors.grad - gradient, module.codebook - e]
claim("codes.formula_difference", max(float(d.detach().abs().max()) for d in differences), below=1e-10)

# %% [markdown]
# They agree to {{codes.formula_difference:.0e}}. (The course's tests also compare it on shared weights with the package `vector-quantize-pytorch`, which was written by someone else: indices, gradients, commitment and moving average.)
#
# **Real vectors.** The shipped model of Part II turns pictures into slots. It was trained without any codes; we quantise its slots afterwards. 600 training scenes give 4200 slots to learn codebooks from by k-means, 100 held-out scenes give 700 to measure on. Distortion is stated as a share of the slots' variance: 1 means that nothing is kept.
#
# Beside it a control: the same slots with their **parts exchanged**. Part 1 of one slot, part 2 of another, and so on. Each part by itself is as before, but what the parts say about *each other* is gone. **Predict first:** at the same number of bits, which is better on the real slots, one codebook or four? Which line changes when the parts are exchanged?

# %%
from course_lib.codes.figures_plane import bits_figure
from course_lib.core.weights import load_pretrained
from course_lib.slots.loaders import create_datasets
from course_lib.slots.scenes import start_chance

torch.set_grad_enabled(False)  # from here on we only look
model = load_pretrained("slots_shapes")
training, held_out = create_datasets("shapes", held_out=100)


def slots_of(scenes):
    inputs = model.encoder(scenes["image"]).flatten(1, 2)
    return model.attention(inputs, model.start(inputs, model.num_slots, start_chance(scenes)), model.num_iterations)[0]


def exchanged(slots, seed):
    chance = torch.Generator().manual_seed(seed)
    return torch.cat([part[torch.randperm(len(part), generator=chance)] for part in slots.split(16, 1)], 1)


scenes = held_out.batch(range(100))
seen = torch.cat([slots_of(training.batch(range(first, first + 100))) for first in range(0, 600, 100)]).flatten(0, 1)
new = slots_of(scenes).flatten(0, 1)
variance = (new - seen.mean(0)).square().mean()


# %%
def learned(codebooks, codes, vectors, seed=0):
    quantizer = ProductQuantizer(64, codebooks, codes, start="kmeans")
    quantizer.start_from(vectors, torch.Generator().manual_seed(seed))
    return quantizer.eval()


def lost(quantizer, vectors):
    return float((quantizer(vectors).quantized - vectors).square().mean() / variance)


data = {"slots": (seen, new), "parts exchanged": (exchanged(seen, 0), exchanged(new, 1))}
table, kept = {}, {}
for name, (learn, test) in data.items():
    for label, codebooks, sizes in (("one codebook", 1, (4, 16, 64, 256, 1024)), ("four codebooks", 4, (2, 4, 16, 64, 256, 512))):
        made = [learned(codebooks, codes, learn) for codes in sizes]
        table[f"{label}, {name}"] = {quantizer.bits: lost(quantizer, test) for quantizer in made}
        kept |= {(label, name, quantizer.codes): quantizer for quantizer in made}
bits_figure(table, {"one codebook, slots": (4, 16, 64, 256, 1024), "four codebooks, slots": ("4 × 2", "4 × 4", "4 × 16", "4 × 64", "4 × 256", "4 × 512")})

# %%
one, four, one_mixed, four_mixed = table.values()
claim("codes.slots_one_8", one[8], above=0.03, below=0.07)
claim("codes.slots_four_8", four[8], above=0.3, below=0.5)
claim("codes.slots_one_10", one[10], above=0.015, below=0.05)
claim("codes.slots_four_36", four[36], above=0.015, below=0.05)
claim("codes.mixed_one_8", one_mixed[8], above=0.3, below=0.5)
claim("codes.mixed_one_10", one_mixed[10], above=0.25, below=0.45)
claim("codes.mixed_four_36", four_mixed[36], above=0.015, below=0.05)
ratios = [lost(learned(4, 4, seen, seed), new) / lost(learned(1, 256, seen, seed), new) for seed in (1, 2, 3)]
claim("codes.slots_four_against_one_8", min(ratios), above=5)

# %%
i = learned(4, 8, seen)(seen).indices
joint = entropy_bits(torch.bincount(8 * i[:, 0] + i[:, 1], minlength=64))
alone = entropy_bits(torch.bincount(i[:, 1], minlength=8))
claim("codes.parts_alone", alone, above=2, below=3, unit="bits")
claim("codes.parts_shared", entropy_bits(torch.bincount(i[:, 0], minlength=8)) + alone - joint, above=1, below=3, unit="bits")

# %% [markdown]
# On the real slots **one codebook wins by far at equal bits**: at 8 bits it loses {{codes.slots_one_8:.1%}} of the variance, four codebooks lose {{codes.slots_four_8:.0%}} (with three other starts at least {{codes.slots_four_against_one_8:.0f}} times as much as one codebook). The four need 36 bits to reach {{codes.slots_four_36:.1%}}; one codebook is there with 10 ({{codes.slots_one_10:.1%}}).
#
# The control says why. When the parts are exchanged the product code notices nothing ({{codes.mixed_four_36:.1%}} at 36 bits): it looks at each part alone. One codebook falls from {{codes.slots_one_8:.1%}} to {{codes.mixed_one_8:.0%}} at 8 bits, and to {{codes.mixed_one_10:.0%}} at 10 bits, where only four vectors are left to learn each code from. So the large codebook lives on what the parts *share*. How much is that? With 8 codes for each part the
# second index carries {{codes.parts_alone:.2f}} bits, and {{codes.parts_shared:.2f}} of them the first index has said already. Four parts of these slots are four witnesses who tell the same story.
#
# (A product code *is* one large codebook, whose codes lie on a grid. So at equal bits the best large codebook is never worse. The question is whether it can be stored, searched and learned.)
#
# **So when does a product code pay?** When its parts are independent. Then nothing is said twice, and only the product can reach high rates: four codebooks go on to 36 bits where one ends near 10. A slot *has* independent facts to tell: colour, kind, place. Nobody asked this model to put them into separate parts. Notebook 07 trains slots and codebooks together.
#
# What does a picture look like that has passed through these indices? We decode the quantised slots with the decoder of Part II, which has never seen a code. **Predict first:** what will suffer most: the places, the kinds or the colours?

# %%
from course_lib.codes.figures_plane import rebuilt_figure
from course_lib.slots.metrics import scene_metrics
from course_lib.slots.scenes import COLOURS

few = {name: value[:40] for name, value in scenes.items()}
rows, quality = {"picture": few["image"][:8]}, {}
palette = torch.tensor(list(COLOURS.values()))  # the eight colours of the objects


def colours_right(rebuilt):
    """The share of objects whose mean colour in the rebuilt picture is nearest to their true colour, out of eight."""
    inside = torch.nn.functional.one_hot(few["ids"].long(), few["colour"].shape[1] + 1)[..., 1:].float()  # (scenes, height, width, objects)
    mean = torch.einsum("bchw, bhwo -> boc", rebuilt, inside) / inside.sum((1, 2)).clamp(min=1)[..., None]
    named = lambda colour: torch.cdist(colour, palette.expand(len(colour), -1, -1)).argmin(-1)
    return float((named(mean) == named(few["colour"]))[few["visible"] > 0].float().mean())


for name, key in {"slots as they are": None, "1 × 1024\n10 bits a slot": ("one codebook", "slots", 1024),
                  "4 × 512\n36 bits a slot": ("four codebooks", "slots", 512), "4 × 16\n16 bits a slot": ("four codebooks", "slots", 16)}.items():
    vectors = kept[key](new).quantized if key else new
    _, masks, rebuilt = model.decode(vectors.view(100, -1, 64)[:40], 64, 64)
    quality[name] = float(scene_metrics(few["ids"], masks)["mbo"].nanmean()), colours_right(rebuilt)
    rows[name] = rebuilt[:8]
rebuilt_figure(rows)

# %%
for (overlap, right), key in zip(quality.values(), ("plain", "one_1024", "four_512", "four_16")):
    claim(f"codes.rebuilt_overlap_{key}", overlap, above=0, below=1)
    claim(f"codes.rebuilt_colours_{key}", right, above={"plain": 0.8}.get(key, 0), below={"plain": 1.001}.get(key, 0.6))

# %% [markdown]
# The **places** come through best: the mean best overlap of a slot with each object (mBO, notebook 05) is {{codes.rebuilt_overlap_plain:.2f}} for the slots as they are, {{codes.rebuilt_overlap_four_512:.2f}} with 4 × 512 codes, {{codes.rebuilt_overlap_one_1024:.2f}} with 1 × 1024 and {{codes.rebuilt_overlap_four_16:.2f}} with 4 × 16. The **colours** are lost: {{codes.rebuilt_colours_plain:.0%}} of the objects have their own
# colour before, {{codes.rebuilt_colours_four_512:.0%}} with 36 bits, {{codes.rebuilt_colours_one_1024:.0%}} with 10, where chance is 1 in 8. Why the colours? Ask what makes the slots differ: for the objects that one slot holds, the share of the slots' variance that lies between groups of equal place (4 × 4 squares), of equal kind and of equal colour.

# %%
from course_lib.slots.readout import linear_readout, owned

_, masks, _ = model.decode(new.view(100, -1, 64), 64, 64)
object_slots, truth = owned(scenes, new.view(100, -1, 64), masks, kinds=3)
square = ((truth["position"] + 1) * 2).long().clamp(0, 3)  # positions are from −1 to 1
groups = {"place": 4 * square[:, 0] + square[:, 1], "kind": truth["kind"].argmax(1), "colour": torch.cdist(truth["colour"], palette).argmin(1)}


def explained(vectors, group):
    """1 − variance within groups / variance, both unbiased: 0 on average for groups that mean nothing."""
    member = torch.nn.functional.one_hot(group).float()
    member = member[:, member.any(0)]
    rest = vectors - member @ (member.T @ vectors / member.sum(0)[:, None])
    return float(1 - rest.square().sum() / (len(vectors) - member.shape[1]) / vectors.var(0).sum())


for name, group in groups.items():
    claim(f"codes.explained_by_{name}", explained(object_slots, group), above={"place": 0.5}.get(name, -0.05), below={"place": 1}.get(name, 0.2))
claim("codes.colour_readout", linear_readout(object_slots, truth["colour"]), above=0.7, below=1)

# %% [markdown]
# Place explains {{codes.explained_by_place:.0%}}, kind {{codes.explained_by_kind:.0%}}, colour {{codes.explained_by_colour:.1%}}. And yet the colour is there: a linear map reads it from the slots with $R^2$ = {{codes.colour_readout:.2f}}. These slots write the place in large numbers and the colour in small ones, and the decoder reads both. A codebook that is learned from slots alone spends its bits where the *numbers* vary.
# So a loss of {{codes.slots_four_36:.1%}} of the variance sounds small, and takes nearly all of the colour with it. **What a bottleneck keeps depends on who measures the loss.** Here it was the distance of slots. It should be the picture: a codebook must be trained *with* its decoder.

# %% [markdown]
# ## 8 · Failure gallery
#
# **"The codes will find the data."** Codes start as $\mathcal N(0, 1)$, and the data lie elsewhere: here 2.5 to the right. One switch, the start; and one more, the restart of dead codes. 16 codes, five seeds.

# %%
aside = x + torch.tensor([2.5, 0.0])
ways = {"normal start": {"start": "normal", "restart": 0}, "data start": {"start": "data", "restart": 0}, "normal start, restart": {"start": "normal", "restart": 0.1}}
runs = {name: [plane.train(plane.codebook(16, seed, decay=0.95, **way), aside, 150, seed=seed) for seed in range(5)] for name, way in ways.items()}
cells_figure({name: (aside, made[0].codes[-1]) for name, made in runs.items()}, limit=5.2)

# %%
for name, key in zip(runs, ("normal", "data", "restart")):
    claim(f"codes.dead_used_{key}", torch.tensor([int((run.counts[-1] > 0).sum()) for run in runs[name]]).float().mean(), above=0, below=16.001)
    claim(f"codes.dead_perplexity_{key}", torch.stack([run.perplexity[-1] for run in runs[name]]).mean(), above=1, below=16)
    claim(f"codes.dead_distortion_{key}", torch.stack([run.error[-1] for run in runs[name]]).mean(), above=0, below=1)
most, least = (pick([int((run.counts[-1] > 0).sum()) for run in runs[name]]) for pick, name in ((max, "normal start"), (min, "normal start, restart")))
claim("codes.dead_worst_restart_against_best_normal", least - most, above=0)

# %% [markdown]
# Grey crosses are **dead codes**: no point chooses them, so nothing moves them. From a normal start {{codes.dead_used_normal:.1f}} of 16 codes are used on average, and the distortion is {{codes.dead_distortion_normal:.2f}}. If the codes start at data points all are used ({{codes.dead_used_data:.1f}}; distortion {{codes.dead_distortion_data:.2f}}). If a code with fewer than a tenth of the mean uses is drawn anew from the batch, {{codes.dead_used_restart:.1f}} are used
# ({{codes.dead_distortion_restart:.2f}}). In training the data start alone is not enough, because the encoder moves on and leaves codes behind: have both. **The diagnostic:** usage (the share of codes that occur) and perplexity, *for each codebook*, beside $K$: {{codes.dead_perplexity_normal:.1f}} of 16 here. The loss curve does not show it.
#
# **"A code that is used less than once a step is dead."** Many programs say so: they redraw every code with $N_k < 1$. Now take 32 codes and batches of 8. On average a code is used 0.25 times a step, so *every* code stays below 1, and the whole codebook is drawn anew at each step, for ever. `ProductQuantizer` states the threshold as a share of the mean use; 1.0 absolute is a share of $1/0.25 = 4$.
# One switch:

# %%
trap = {restart: [plane.train(plane.codebook(32, seed, restart=restart), x, 400, batch=8, seed=seed) for seed in range(3)] for restart in (0.1, 4.0)}
shown = list(range(0, 401, 20))
at_all = lambda restart, name: torch.stack([getattr(run, name)[shown] for run in trap[restart]]).mean(0)
lines_figure(shown, {"healthy: distortion": at_all(0.1, "error"), "trapped: distortion": at_all(4.0, "error")}, "step", "distortion on all points", "mean of three seeds", log=True)

# %%
for restart, key in ((0.1, "healthy"), (4.0, "trapped")):
    claim(f"codes.trap_redrawn_{key}", torch.stack([run.redrawn[200:] for run in trap[restart]]).mean(), above=-0.001, below=1.001)
    claim(f"codes.trap_distortion_{key}", torch.stack([run.error[200:] for run in trap[restart]]).mean(), above=0)
    claim(f"codes.trap_usage_{key}", torch.stack([(run.counts[200:] > 0).float().mean() for run in trap[restart]]).mean(), above=0.5, below=1.001)
    claim(f"codes.trap_perplexity_{key}", torch.stack([run.perplexity[200:] for run in trap[restart]]).mean(), above=5, below=32)
claim("codes.trap_ratio", min(bad.error[200:].mean() / good.error[200:].mean() for bad, good in zip(trap[4.0], trap[0.1])), above=3)

# %% [markdown]
# The healthy codebook ends at {{codes.trap_distortion_healthy:.2f}}. The trapped one stays at {{codes.trap_distortion_trapped:.2f}}, as poor as eight random points with some noise, and does not learn. And the usual dials look fine: {{codes.trap_usage_trapped:.0%}} of its codes are used, and the perplexity is {{codes.trap_perplexity_trapped:.0f}} (healthy: {{codes.trap_usage_healthy:.0%}} and {{codes.trap_perplexity_healthy:.0f}}). **The diagnostic:** the share of codes
# that are drawn anew at each step: {{codes.trap_redrawn_trapped:.0%}} here, {{codes.trap_redrawn_healthy:.2%}} in the healthy run. It must go to zero. With 512 codes and 64 scenes of 5 slots a step there are 0.6 uses for each code: the trap is not exotic.
#
# **"Commitment 0.25, as in the paper."** ... and a task loss that someone has averaged over 64 times as many numbers. The gradient of the task is 64 times smaller, so 0.25 now acts as 16. One switch, the weight; the speeds are scaled so that the task pulls as before:

# %%
good, strong = ([run for row in ends[8] for run in row[weights.index(weight) :: len(weights)]] for weight in (1.0, 16.0))
mean_of = lambda runs, name: torch.stack([getattr(run, name) for run in runs]).mean(0)[::10]
lines_figure(range(0, 201, 10), {"commitment 1: task error": mean_of(good, "error"), "commitment 1: gap": mean_of(good, "gap"),
             "commitment 16: task error": mean_of(strong, "error"), "commitment 16: gap": mean_of(strong, "gap")}, "step", "squared distance", "8 codes, mean of three starts", log=True)

# %%
for name, chosen_runs in (("good", good), ("strong", strong)):
    claim(f"codes.strong_ratio_{name}", mean_of(chosen_runs, "gap")[-1] / mean_of(chosen_runs, "error")[-1], above={"good": 0.95, "strong": 0.003}[name], below={"good": 1.05, "strong": 0.005}[name])
claim("codes.strong_used", mean_of(strong, "perplexity")[-1], above=4, below=8)

# %% [markdown]
# The gap is tiny from the first steps on, and the commitment loss looks wonderful. The task error creeps. All codes are in use (perplexity {{codes.strong_used:.1f}} of 8), so usage does not show it either. **The diagnostic:** gap over task error. Where the two pulls cancel $\lVert z - e \rVert = \lVert e - t \rVert / c$, so this ratio is $1/c^2$: {{codes.strong_ratio_good:.2f}} for $c = 1$, and {{codes.strong_ratio_strong:.4f}} here, which is 1/256. It reads off the weight that *acts*, whatever
# the configuration says. (With a weak weight points reach a border first, and the ratio is smaller than $1/c^2$.) In a network compare the two gradients that arrive at $z$, not the two losses.

# %% [markdown]
# ## What you found
#
# - Quantising cuts space into Voronoi cells. With 1, 5 and 16 codes the distortion was {{codes.plane_distortion_1:.2f}}, {{codes.plane_distortion_5:.2f}} and {{codes.plane_distortion_16:.2f}}.
# - Codes learned by the loss follow in proportion to their use ({{codes.follow_loss_rare:.0%}} of the way left for a rare one, {{codes.follow_loss_frequent:.0%}} for the most frequent); by a moving average all follow alike ({{codes.follow_ema_rare:.0%}}).
# - The true gradient of a choice is zero. Straight through is the slope of the staircase seen from afar: a point that no code fits hops, and says {{codes.dither_mean:.2f}} on average where 0.8 is wanted.
# - Commitment is the missing curvature of the task loss, and the friction between point and code: no swing from {{codes.calm_weight:.2f}} on in our pair, as computed beforehand. Networks choose the size of $z$ to fit it.
# - An index costs $\log_2 K$ bits nominally and $H$ when entropy-coded ({{codes.entropy_clusters:.3f}} against 2.32 for the clusters).
# - A price for every word ($w = 1$) leaves {{codes.priced_words_one:.0f}} of 16 codes, one for each cluster; too high a price leaves one: a price on the rate is a β.
# - On slots that were not trained for it, 36 bits of a product code lose as much as 10 bits of one codebook, because the parts share {{codes.parts_shared:.1f}} bits of {{codes.parts_alone:.1f}}. Both keep the places of the objects and lose their colours.
# - Dead codes show in the usage, a codebook that is drawn anew for ever only in the share that is redrawn ({{codes.trap_redrawn_trapped:.0%}}), and too strong a commitment only in the ratio of gap and error.
#
# You have a list of words. Notebook 07 teaches slots to speak in them: encoder, product codes and decoder trained together, so that a word may come to mean *red* or *upper left*.
#
# **References.** A. van den Oord et al., *Neural Discrete Representation Learning* (2017), sec. 3.1–3.2, eq. 1–3, appendix A.1: VQ-VAE. Y. Bengio et al., *Estimating or Propagating Gradients Through Stochastic Neurons* (2013): straight through. S. Lloyd, *Least Squares Quantization in PCM* (1982). H. Jégou et al., *Product Quantization for Nearest Neighbor Search*
# (2011), sec. II. P. Dhariwal et al., *Jukebox* (2020): restart of dead codes. P. Chou, T. Lookabaugh & R. Gray, *Entropy-Constrained Vector Quantization* (1989). D. Huffman, *A Method for the Construction of Minimum-Redundancy Codes* (1952). T. Cover & J. Thomas, *Elements of Information Theory* (2006), sec. 5.3–5.6, 10.1.
