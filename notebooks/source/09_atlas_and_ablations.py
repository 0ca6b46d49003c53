# %% [markdown]
# # 09 · Atlas and ablations: reading a map, and taking a machine apart
#
# **The question of this notebook: what have the codes learned, as far as one can see it, and which part of the machine is to thank?**
#
# After this notebook you can
#
# - draw a map of vectors by PCA, t-SNE and UMAP, and say what may be read from each of them and what may not;
# - cluster vectors by k-means, DBSCAN and from the bottom up, and judge the clusters against a known truth, and against chance;
# - find what a map hides behind the factor that varies most, and how the words of an object spell its colour;
# - read a table of ablations without believing more than it says.
#
# *Measured: {{minutes.09_atlas_and_ablations:.1f}} minutes on two CPU cores. Yours: two sittings of 45 minutes, exercises included; pause in section 4, after k-means. Builds on: notebooks 05 (slots), 06 and 07 (codes); section 8 also on 08.*

# %% [markdown]
# ## 1 · Everybody who has a slot
#
# Notebook 08 made scenes out of words. What do the words mean, and are there several for the same thing? One object says little about that; hundreds of them, drawn on a map, say more.
#
# The **atlas** is a list of objects. For each object of some held-out scenes it has the slot that holds it (64 numbers), the phrase of four words (codes) that this slot became, and the truth: place, kind, colour, size. The truth is for judging. No map and no clustering ever sees it.

# %%
from course_lib.codes.atlas import collect
from course_lib.codes.loaders import create_datasets
from course_lib.codes.svq import SVQ
from course_lib.core.claims import claim
from course_lib.core.environment import fast
from course_lib.core.weights import load_pretrained

model = load_pretrained("svq_rules", expect=SVQ)
_, world = create_datasets("rules", held_out=300)
atlas = collect(model, world, 220 if fast() else 300)
print(atlas)
for row in range(3):
    print(" ", atlas.words(row))

# %%
from course_lib.codes.reading import what

thing = what(atlas)  # one number for each combination of place, kind, colour and size
claim("codes.atlas_objects", len(atlas), above=600)
claim("codes.atlas_things", len(set(thing.tolist())), above=250, below=433)
claim("codes.atlas_lost", atlas.lost["merged"] + atlas.lost["pieces"], above=-1e-9, below=0.05)

# %% [markdown]
# {{codes.atlas_objects:.0f}} objects; {{codes.atlas_lost:.1%}} of all have no slot of their own and are left out. A **thing** is what an object can be: a place with a kind, a colour and a size. Of these $9 \cdot 3 \cdot 8 \cdot 2 = 432$ things {{codes.atlas_things:.0f}} occur here, and two objects that are alike in everything are the same thing.
#
# 64 numbers cannot be looked at. A **map** gives every object two numbers instead. The oldest map is **principal component analysis** (PCA): subtract the mean, find the direction in which the vectors vary most, then the direction at right angles to it that varies most of the rest, and so on. The first two are the map; it is a shadow of the cloud, and nothing is bent.
#
# ### Exercise: principal components
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_components(vectors)`: an array (objects, dim). Return the places (objects, 2) and, for *all* directions, the share of the variance, largest first. One line does the work: with the mean subtracted, `u, s, vt = np.linalg.svd(centred, full_matrices=False)` gives the directions as rows of `vt`, and $s_i^2$ is proportional to the variance along direction $i$.
# The target: the first two directions have {{codes.pca_two:.0%}} of the variance of the slots.

# %%
import numpy as np
import torch

from course_lib.codes.exercises_atlas import check


def my_components(vectors):
    ### BEGIN SOLUTION
    # stub: return vectors[:, :2], np.ones(vectors.shape[1]) / vectors.shape[1]  # two of the numbers; all directions alike
    centred = vectors - vectors.mean(0)
    u, s, vt = np.linalg.svd(centred, full_matrices=False)
    return centred @ vt[:2].T, s**2 / (s**2).sum()
    ### END SOLUTION


check.components(my_components)
slots, codes = atlas.vectors("slots"), atlas.vectors("codes")  # of codes: the vectors that they stand for
print(f"yours: the first two directions have {my_components(slots)[1][:2].sum():.0%} of the variance")

# %% [markdown]
# **Predict first:** of these 64 directions, how many are in use? And which of place, kind, colour and size makes the slots vary most?
#
# For the second question there is a number like the first: the **share of the variance that lies between the values of a factor**, the variance of the means over the variance of everything. It is 1 if objects of one value are all alike, 0 if all values have the same mean.

# %%
from course_lib.codes.figures_reading import variance_figure
from course_lib.codes.reading import components, explained

everything = {**{name: number.numpy() for name, number in atlas.factors.items()}, "all four": thing}
between = {of: {name: explained(atlas.vectors(of), labels) for name, labels in everything.items()} for of in ("slots", "codes")}
variance_figure({of: components(atlas.vectors(of)) for of in between}, between)

# %%
claim("codes.pca_two", components(slots)[:2].sum(), above=0.3, below=0.8)
claim("codes.pca_nine", components(slots)[:9].sum(), above=0.9)
for name in atlas.factors:
    claim(f"codes.between_{name}", between["slots"][name], above=0.01, below=0.9)
claim("codes.between_all", between["slots"]["all four"], above=0.97)
claim("codes.between_gap", max(abs(between["slots"][name] - between["codes"][name]) for name in everything), below=0.03)

# %% [markdown]
# Nine directions have {{codes.pca_nine:.1%}} of the variance; the other 55 are nearly empty. And **place dominates**: {{codes.between_place:.0%}} of the variance lies between places, {{codes.between_colour:.0%}} between colours, {{codes.between_kind:.0%}} between kinds, {{codes.between_size:.0%}} between sizes. All four together settle {{codes.between_all:.1%}}: a slot is what the object is, and hardly anything else. Keep the {{codes.between_place:.0%}} in mind. It explains most of what follows.
#
# The vectors of the codes have the same shares as the slots, to within {{codes.between_gap:.3f}}. The quantiser has moved nobody far.

# %% [markdown]
# ## 2 · Three maps
#
# PCA keeps large distances and lets small ones collide. The other two maps do the opposite. **t-SNE** turns distances into probabilities of being neighbours, and places the points so that the same are neighbours on the map. How many neighbours a point has is set by the *perplexity*, here 30: it is the $2^H$ of notebook 06, of these probabilities. **UMAP** draws a graph of 15 nearest neighbours and pulls it flat. Both start from PCA and then follow a gradient; both bend and tear.
#
# **Predict first:** which factor will be seen as islands? Will it be the same on all three maps?

# %%
from course_lib.codes.atlas import make_maps
from course_lib.codes.figures_atlas import atlas_figure

maps = make_maps(atlas, ("slots", "codes", "factors"))  # UMAP compiles itself first, for some seconds
atlas_figure(atlas, {name: places for name, places in maps.items() if name.endswith("slots")})

# %% [markdown]
# A row is a map, a column colours it by a factor. All three say the same at first sight: **the islands are the places** (on the PCA map the islands of two rows lie on top of each other). Neighbours on an island have all colours, kinds and sizes. One would say: this model has learned where objects are, and little else. We know from notebook 07 that this is false, since its pictures are right in every property. Keep the contradiction; section 5 resolves it.
#
# The codes and, for comparison, the truth itself (place, kind, colour and size as ones and zeros; two objects that differ in $n$ factors are $\sqrt{2n}$ apart):

# %%
from course_lib.codes.figures_reading import Panel, maps_figure

kind_of = {factor: (atlas.factors[factor].numpy(), atlas.values[factor], factor) for factor in atlas.factors}
maps_figure([Panel(f"{name}: {factor}", maps[name], *kind_of[factor]) for factor in ("place", "size")
             for name in ("t-SNE of codes", "UMAP of codes", "t-SNE of factors", "UMAP of factors")])

# %% [markdown]
# The codes draw the same nine places as the slots, in tighter knots: equal phrases lie on one point. The truth draws another map. To the list of ones and zeros all four factors are equal, and a factor with two values splits the cloud more evenly than one with nine. So now it is the *size* (lower row) that parts the islands; the six islands of UMAP are two sizes times three kinds. **A map shows the factors in the units of its vectors.** A different scale is a different map of the same objects.

# %% [markdown]
# ## 3 · What a map shows, and what it cannot
#
# Three tests, each with a number: near, far, and nothing.
#
# **Near.** Of the ten nearest neighbours of an object, how many are still near on the map? **Far.** Take the middles of the nine islands and all 36 distances between them. Are islands that lie far apart on the map far apart in truth? **Predict first:** which map wins which test?

# %%
from course_lib.codes.atlas import MAPS
from course_lib.codes.figures_reading import islands_figure
from course_lib.codes.reading import islands_apart, kept_neighbours

place = atlas.factors["place"].numpy()
apart = {name: islands_apart(slots, maps[f"{name} of slots"], place) for name in MAPS.values()}
near = {name: kept_neighbours(slots, maps[f"{name} of slots"]) for name in MAPS.values()}
print("of ten neighbours the maps keep", ", ".join(f"{name} {10 * share:.1f}" for name, share in near.items()))
islands_figure(apart)

# %%
for key, name in MAPS.items():
    claim(f"codes.near_{key.replace('-', '')}", near[name], above=0.1, below=1)
    claim(f"codes.far_{key.replace('-', '')}", apart[name]["rank"], above=0.2, below=1, spread=0.2 if name == "UMAP" else 0)
claim("codes.near_gain", near["t-SNE"] - near["PCA"], above=0.2)
claim("codes.far_loss", apart["PCA"]["rank"] - apart["t-SNE"]["rank"], above=0.0, spread=0.05)

# %% [markdown]
# Near: PCA keeps {{codes.near_pca:.0%}} of the neighbours, t-SNE {{codes.near_tsne:.0%}}, UMAP {{codes.near_umap:.0%}}. Far: the rank correlation of the distances is {{codes.far_pca:.2f}} for PCA, {{codes.far_tsne:.2f}} for t-SNE, {{codes.far_umap:.2f}} for UMAP. (The last two are not zero, because both maps start from PCA. The *lengths* on them mean nothing: look how a gap of 6 is drawn long or short.) **Read near things from t-SNE and UMAP, far things from PCA**, and measure both in the vectors.
#
# **Nothing.** The third test is the most important. Take a cloud that has *no* structure at all: as many points, with the same mean and the same covariance as the slots, from one normal distribution. Whatever a map shows of it is the map's own doing. **Predict first:** how many islands?

# %%
from course_lib.codes.atlas import cluster, project
from course_lib.codes.reading import cloud, group_means

nothing = cloud(slots)[:500]
of_nothing = {"PCA": project(nothing, "pca"), "t-SNE, perplexity 30": project(nothing, "t-sne"),
              "t-SNE, perplexity 2": project(nothing, "t-sne", neighbours=2), "UMAP, 3 neighbours": project(nothing, "umap", neighbours=3)}
found = {name: cluster(places, "dbscan") for name, places in of_nothing.items()}
many = {name: len(set(labels[labels >= 0].tolist())) for name, labels in found.items()}
maps_figure([Panel(name, places, found[name], words=f"DBSCAN of the map: {many[name]} cluster{'s' * (many[name] != 1)}") for name, places in of_nothing.items()])

# %%
in_vectors = cluster(nothing, "dbscan")
claim("codes.islands_in_vectors", len(set(in_vectors[in_vectors >= 0].tolist())), above=0.5, below=3.5)
claim("codes.islands_tsne_30", many["t-SNE, perplexity 30"], below=12, spread=3)
claim("codes.islands_tsne_2", many["t-SNE, perplexity 2"], above=20)
claim("codes.islands_umap_3", many["UMAP, 3 neighbours"], above=3, spread=8)

# %% [markdown]
# There is nothing there, and in the vectors themselves DBSCAN finds {{codes.islands_in_vectors:.0f}} cluster. With its usual perplexity t-SNE draws a ball, in which DBSCAN sees {{codes.islands_tsne_30:.0f}}. At perplexity 2 it sees {{codes.islands_tsne_2:.0f}} **islands in pure noise**, and on UMAP with 3 neighbours {{codes.islands_umap_3:.0f}}. A map that is asked to keep two neighbours keeps two neighbours, and groups of three are islands. So, whenever islands look interesting: draw the map of a structureless cloud beside it, with the same settings.

# %% [markdown]
# ## 4 · Clusters, and what they are worth
#
# A clustering sorts the vectors themselves, and no map is needed.
#
# - **K-means** is told a number $k$. It repeats the two halves of Lloyd's step (notebook 06): each vector joins the nearest of $k$ centres; each centre moves to the mean of its members.
# - **Hierarchical** (Ward): each vector is a cluster; always join the two whose union raises the squared error least, until $k$ are left.
# - **DBSCAN** is told no number, but a distance $\varepsilon$: a vector with five within $\varepsilon$ (itself included) is a core, cores that see each other are one cluster, and whoever sees no core is *noise*. We take $\varepsilon$ from the data, at the knee of the sorted distances to the fourth neighbour.
#
# ### Exercise: one step of k-means
#
# **Difficulty: easy. Time: 10 minutes.** Write `my_lloyd(points, centres)`: return the label of each point (the nearest *old* centre) and the new centres. A centre without points stays where it is. The target: on all 64 numbers of the slots, twelve steps of yours, with the first nine objects as centres, bring the mean squared distance down to {{codes.lloyd_error:.1f}} or less (it starts at {{codes.lloyd_first:.0f}}).

# %%
def my_lloyd(points, centres):
    ### BEGIN SOLUTION
    # stub: return np.zeros(len(points), int), centres.copy()  # all in one cluster
    labels = ((points[:, None] - centres) ** 2).sum(2).argmin(1)
    new = [points[labels == k].mean(0) if (labels == k).any() else centres[k] for k in range(len(centres))]
    return labels, np.stack(new)
    ### END SOLUTION


check.lloyd(my_lloyd)
centres, errors = slots[:9].astype(float), []
for _ in range(12):
    labels, moved = my_lloyd(slots, centres)
    errors.append(((slots - centres[labels]) ** 2).sum(1).mean())
    centres = moved
print("mean squared distance to the own centre:", " → ".join(f"{error:.1f}" for error in errors))

# %% tags=["solution-only"]
claim("codes.lloyd_first", errors[0], above=5, below=60)
claim("codes.lloyd_error", errors[-1], above=1, below=errors[0])
claim("codes.lloyd_best", ((slots - group_means(slots, cluster(slots, "k-means", 9))) ** 2).sum(1).mean(), above=1, below=errors[-1] + 1e-3)

# %% [markdown]
# It falls at every step, and it stops in a valley that depends on the start. From the best of many starts, as the course takes it (at least ten), it is {{codes.lloyd_best:.1f}}.
#
# How well do clusters agree with a factor? Two answers, both blind to the names of clusters:
#
# - **NMI**, normalised mutual information: $2\,I(C; F) / (H(C) + H(F))$, see notebook 07.
# - **ARI**, the adjusted Rand index of notebook 05, now for pairs of *objects* in place of pixels, and in its exact form. Let $n_{cf}$ be the objects of cluster $c$ with value $f$. The pairs that both put together: $\text{index} = \sum_{cf} \binom{n_{cf}}{2}$. What chance would give: $\text{expected} = \sum_c \binom{n_{c\cdot}}{2} \sum_f \binom{n_{\cdot f}}{2} \big/ \binom{n}{2}$. The most that is possible: the mean of the two sums. And
#
# $$\text{ARI} = \frac{\text{index} - \text{expected}}{\text{most} - \text{expected}}.$$
#
# ### Exercise: the adjusted Rand index
#
# **Difficulty: medium. Time: 15 minutes.** Write `my_ari(table)` for a table (clusters, values) of counts. The target: 1.00 for a partition with other names, and {{codes.ari_checked:.2f}} for the table below the check.

# %%
def my_ari(table):
    ### BEGIN SOLUTION
    # stub: return 0.0  # chance
    def pairs(n):
        return n * (n - 1) / 2

    index, rows, columns = pairs(table).sum(), pairs(table.sum(1)).sum(), pairs(table.sum(0)).sum()
    expected = rows * columns / pairs(table.sum())
    return (index - expected) / ((rows + columns) / 2 - expected)
    ### END SOLUTION


check.ari(my_ari)
table = np.array([[40, 5, 0], [3, 30, 8], [0, 2, 25]])
print(f"yours: {my_ari(table):.2f}")

# %% tags=["solution-only"]
claim("codes.ari_checked", my_ari(table), above=0.5, below=0.8)

# %% [markdown]
# **Predict first:** k-means with nine clusters, against the nine places. And with eight clusters, against the eight colours?

# %%
from course_lib.codes.atlas import score
from course_lib.codes.figures_atlas import scores_figure

scores = score(atlas, ("slots", "codes"))
scores_figure(scores)

# %%
by = {(row["vectors"], row["clustering"], row["factor"]): row for row in scores}
claim("codes.kmeans_place", by["slots", "k-means", "place"]["ari"], above=0.9)
claim("codes.kmeans_place_nmi", by["slots", "k-means", "place"]["nmi"], above=0.9)
claim("codes.ward_place", by["slots", "hierarchical", "place"]["ari"], above=0.6)
claim("codes.others_best", max(row["ari"] for row in scores if row["factor"] != "place"), below=0.1)
claim("codes.dbscan_slots_noise", by["slots", "dbscan", "place"]["noise"], above=0.05)
claim("codes.dbscan_slots_clusters", by["slots", "dbscan", "place"]["clusters"], above=9.5)
claim("codes.dbscan_codes_place", by["codes", "dbscan", "place"]["ari"], above=0.5)
claim("codes.dbscan_codes_clusters", by["codes", "dbscan", "place"]["clusters"], above=8.5)

# %% [markdown]
# K-means of the slots *is* the place: ARI {{codes.kmeans_place:.2f}}, NMI {{codes.kmeans_place_nmi:.2f}}. Of everything else no clustering knows anything: the best ARI of kind, colour or size is {{codes.others_best:.2f}}. Ward's hierarchy reaches {{codes.ward_place:.2f}}: a union once made is never undone, and where its nine clusters are not the nine places, two places have become one and another is still in halves.
#
# DBSCAN is the odd one. On the slots it calls {{codes.dbscan_slots_noise:.0%}} *noise* and finds {{codes.dbscan_slots_clusters:.0f}} crumbs. On the codes, which are nearly the same vectors, it finds {{codes.dbscan_codes_clusters:.0f}} clusters and the places with ARI {{codes.dbscan_codes_place:.2f}}, and nobody told it a number. Why? The distances of slots have two scales: the tiny ones between objects that are alike, and the large ones between different things. The knee lies at the tiny ones. The codes have removed the tiny distances: equal phrases count once, and only the large scale is left. Quantising has done what a clusterer needs. (How many crumbs there are depends on how many objects there are, for the knee moves with them. Try 500 scenes.)
#
# **How many clusters?** K-means must be told. So far the truth told it, and usually nobody knows the truth. Ask for many numbers from 2 to 432, against three truths: the place (9 values), the colour (8) and the thing (all 432).

# %%
from course_lib.codes.figures_reading import by_number_figure
from course_lib.codes.reading import by_number

colour = atlas.factors["colour"].numpy()
numbers = (2, 4, 6, 8, 9, 10, 14, 24, 48, 100, 432)
curves = by_number(slots, {"place": place, "colour": colour, "thing": thing}, numbers)
by_number_figure(numbers, curves, {"place": 9, "colour": 8, "thing": 432})

# %%
for name, curve in curves.items():
    claim(f"codes.at_432_{name}_nmi", curve["nmi"][-1], above=0.05)
    claim(f"codes.at_432_{name}_chance", curve["nmi_by_chance"][-1], above=0.05)
claim("codes.at_432_thing_ari", curves["thing"]["ari"][-1], above=0.5)
claim("codes.at_432_colour_ari", curves["colour"]["ari"][-1], below=0.2)

# %% [markdown]
# Left: the ARI of the place has its peak at 9 and falls on both sides. Right: at 432 clusters k-means has found the *things*, with ARI {{codes.at_432_thing_ari:.2f}}. So kind, colour and size are in the slots after all, and the clusters do show them, if one asks for enough clusters. In the middle stands the warning: with 432 clusters NMI with the colour is {{codes.at_432_colour_nmi:.2f}}, which sounds like something, and clusters of *shuffled* objects reach {{codes.at_432_colour_chance:.2f}} (with things {{codes.at_432_thing_chance:.2f}}). **NMI grows with the number of clusters, whatever they are.** ARI does not, since chance is subtracted. An NMI without its value by chance is not a result.

# %% [markdown]
# ## 5 · Take the place away
#
# Here is the resolution of the contradiction. K-means minimises the squared error, and {{codes.between_place:.0%}} of the squared distance is place. With few clusters there is nothing better to do than to find the places. The other factors are not missing. They are *covered*.
#
# So uncover them: from every slot subtract the mean of its cluster. We know that the clusters are the places, but we need not know it: these are the labels that k-means found, no truth is used. **Predict first:** will the rest show islands? Of what?

# %%
from course_lib.codes.reading import without

found_places = cluster(slots, "k-means", 9)
rest = without(slots, found_places)
rest_maps = {f"{name} of the rest": project(rest, method) for method, name in MAPS.items()}
atlas_figure(atlas, rest_maps, ["kind", "colour", "size"])

# %%
from sklearn.metrics import adjusted_rand_score

looks = what(atlas, ["kind", "colour", "size"])  # 48 of them
rest_codes = without(codes, cluster(codes, "dbscan"))
alone = cluster(rest_codes, "dbscan")
claim("codes.rest_share", np.square(rest).sum() / np.square(slots - slots.mean(0)).sum(), above=0.1, below=0.7)
claim("codes.rest_look", adjusted_rand_score(looks, cluster(rest, "k-means", 48)), above=0.7)
claim("codes.rest_dbscan", adjusted_rand_score(looks, alone), above=0.5)
claim("codes.rest_dbscan_clusters", len(set(alone[alone >= 0].tolist())), above=20)
claim("codes.rest_colour_8", adjusted_rand_score(colour, cluster(rest, "k-means", 8)), below=0.5)
claim("codes.rest_between_colour", explained(rest, colour), above=0.1)
claim("codes.place_plus_look", 1 - np.square(without(rest, looks)).sum() / np.square(slots - slots.mean(0)).sum(), above=0.9)

# %% [markdown]
# The rest is {{codes.rest_share:.0%}} of the variance, and on t-SNE and UMAP it falls into knots of *one kind, one colour and one size each*. Call these three together the **look** of an object: $3 \cdot 8 \cdot 2 = 48$ of them. K-means with 48 clusters agrees with the looks with an ARI of {{codes.rest_look:.2f}}. And DBSCAN of the codes, told nothing at all in either round, finds {{codes.rest_dbscan_clusters:.0f}} clusters of the rest and an ARI of {{codes.rest_dbscan:.2f}}. **Two rounds of clustering without a single label have found the places and everything that can stand on them.**
#
# So the look of an object hardly depends on where it stands. As a formula: slot = vector of the place + vector of the look. This sum settles {{codes.place_plus_look:.1%}} of the variance. Nobody told the network that place and look are independent, and it writes them down as a *sum*. (Cluster, subtract, cluster again: this is a residual quantiser, of two stages.)
#
# And yet: eight clusters of the rest are *not* the eight colours (ARI {{codes.rest_colour_8:.2f}}). Colour is {{codes.rest_between_colour:.0%}} of what is left, and kind and size are in the way. So "the clusters do not show the colour" never meant "the colour is not there". **A clustering answers the question: what varies most, in so many groups? It is silent on everything else.** To ask whether the colour is *there*, ask for the colour: with mutual information (notebook 07), or as in section 6.
#
# ### Walk about
#
# The map for the hand: hover to name an object, click to see it in its scene. Two menus choose the map and what colours it. **Predict first:** on "UMAP of the rest", coloured by place, what will one knot look like? Then click two neighbours in one knot: in what do they differ?

# %%
from course_lib.codes.figures_atlas import atlas_scatter

shown = {"k-means of slots, 9": found_places, "k-means of the rest, 48": cluster(rest, "k-means", 48), "dbscan of slots": cluster(slots, "dbscan")}
atlas_scatter(atlas, rest_maps | maps, colour_by="colour", clusters=shown)

# %% [markdown]
# <details><summary>Reading without a kernel? This is a still of it: four of the maps.</summary>
#
# ![Four t-SNE maps of the same objects. The first, of the slots, has nine islands, one for each place. The other three, of the slots without their place, have many small knots, and each knot has one kind, one colour and one size](../data/pictures/atlas_row.png)
#
# </details>
#
# (The page needs no kernel and no network. The command `python -m course_lib.train experiment=atlas weights=svq_rules` writes it as a file, for your own weights too.)

# %% [markdown]
# ## 6 · How is a colour spelled?
#
# Notebook 07 measured that no codebook knows all of the colour: the best one has {{codes.svq_knows_colour:.0%}} of its entropy. Yet all colours come out right. How? Take two objects that are alike in place, kind and size, one red, one blue. How often do they have the same code? Do this for every pair of colours and every codebook. **Predict first:** will a picture of it be smeared, or black and white?

# %%
from course_lib.codes.figures_reading import alike_figure
from course_lib.codes.reading import called_alike

colours = list(atlas.values["colour"])
alike = called_alike(atlas.codes, atlas.factors["colour"], what(atlas, ["place", "kind", "size"]), len(colours)).nan_to_num()
alike_figure(alike, colours)

# %%
different = ~np.eye(len(colours), dtype=bool)
claim("codes.colour_sharp", ((alike < 0.05) | (alike > 0.95)).float().mean(), above=0.6)
for book, pairs in enumerate(alike[:, different], start=1):
    claim(f"codes.colour_alike_{book}", (pairs > 0.5).float().mean(), above=-0.1, below=1.1)
claim("codes.colour_unresolved", alike.prod(0)[different].max(), below=0.2)

# %% [markdown]
# Black and white: {{codes.colour_sharp:.0%}} of all entries are below 0.05 or above 0.95. Each codebook sorts the colours into two or three **classes** and cannot tell those of one class apart. Codebook 1 does so with {{codes.colour_alike_1:.0%}} of the pairs, codebook 2 with {{codes.colour_alike_2:.0%}}, codebook 3 with {{codes.colour_alike_3:.0%}}; codebook 4 does not care for colours at all ({{codes.colour_alike_4:.0%}}). But the classes are *different* ones, and the last panel shows all codebooks together: only the diagonal is left. The largest entry beside the diagonal is {{codes.colour_unresolved:.2f}}.
#
# **A colour is spelled like a number in several digits.** No digit is the colour, all digits together are. (In this training; another one finds other classes.) Row, column, kind and size have fewer values, and each of them has a codebook that knows nearly all of it (notebook 07, section 6). The colour has eight values and is shared out. That is why one exchanged code seldom changed a colour there: it changed one digit of three.
#
# ### Synonyms
#
# Now the other direction: different phrases for the same thing. On the map they are different points. A **synonym** is a second phrase for a thing that has one already; the worst case would be a phrase for two things. **Predict first**, for {{codes.atlas_things:.0f}} things: how many phrases?
#
# Beside it stand the same slots with codebooks in which *no word costs anything*: 4 × 512 codes, each a part of some slot of the atlas (taken, not trained, so this is an extreme case). The shipped model was trained with a price for rare codes (`rate_weight`, notebooks 06 and 07).

# %%
from course_lib.codes.figures_reading import phrases_figure
from course_lib.codes.quantizer import entropy_bits
from course_lib.codes.reading import spell_anew, spelling

free, quantizer = spell_anew(atlas)
priced, unpriced = spelling(atlas), spelling(free)
phrases_figure({"with a price": atlas, "without": free}, place=4)

# %%
claim("codes.words", priced.phrases, above=priced.things - 1)
claim("codes.words_synonyms", priced.several / priced.often, above=-0.01, below=0.5)
claim("codes.words_shared", priced.shared, below=20)
claim("codes.words_near", priced.within / priced.beyond, below=1.5)
claim("codes.words_free", unpriced.phrases, above=priced.phrases)
claim("codes.words_free_synonyms", unpriced.several / unpriced.often, above=0.5)
claim("codes.words_free_near", unpriced.within / unpriced.beyond, below=0.6)
bits, free_bits = (float(entropy_bits(q.counts(a.codes)).sum()) for q, a in ((model.quantizer, atlas), (quantizer, free)))
claim("codes.words_bits", bits, above=8, below=30)
claim("codes.words_free_bits", free_bits, above=bits + 5)

# %% [markdown]
# The maps show the objects of the middle place (shape: kind; size of the mark: size; lines join the phrases of one thing). In the whole atlas, with a price, there are {{codes.words:.0f}} phrases for {{codes.atlas_things:.0f}} things, {{codes.words_shared:.0f}} phrases stand for two things, and only {{codes.words_synonyms:.1%}} of the things that occur twice have a second phrase. Without a price there are {{codes.words_free:.0f}} phrases, and {{codes.words_free_synonyms:.0%}} have one: nearly every object has a phrase of its own, which says nothing more about it.
#
# The map tells what sort of synonyms these are. Without a price, two phrases of one thing lie {{codes.words_free_near:.2f}} times as far apart as the next *other* thing: small clouds around one point, mere noise. What it costs is real: entropy-coded, {{codes.words_free_bits:.1f}} bits a phrase instead of {{codes.words_bits:.1f}}, and a prior would have to learn all of it.
#
# But do synonyms mean the same to the one who must understand them? Ask the decoder. Take scenes in the free spelling, replace every phrase by a synonym if there is one, paint, and let the parser of notebook 07 read the picture.

# %%
import copy

from course_lib.codes.editing import share_right
from course_lib.codes.generation import paint_codes
from course_lib.codes.reading import retell, whole_scenes

free_model = copy.deepcopy(model)
free_model.quantizer = quantizer  # the same decoder, another dictionary
some = whole_scenes(free, 3)[:60]
told = torch.stack([free.codes[free.scene == scene] for scene in some])  # (scenes, 3 objects, 4 codes), without the spare slot
again, replaced = retell(told, free)
truth = world.states(world.batch(some.tolist()))
as_told, retold = (share_right(paint_codes(free_model, words), truth, world) for words in (told, again))
claim("codes.retold_words", replaced, above=60)
claim("codes.retold_of", told.shape[0] * told.shape[1], above=100)
claim("codes.told_right", as_told, above=0.7)
claim("codes.retold_right", retold, above=0.5)

# %% [markdown]
# {{codes.retold_words:.0f}} of {{codes.retold_of:.0f}} phrases were replaced by others. Before, {{codes.told_right:.0%}} of the 60 scenes were read rightly; after, {{codes.retold_right:.0%}}. To the decoder they are the same. A codebook without a price is a language in which every speaker has a word of their own for bread.

# %% [markdown]
# ## 7 · Another world: slots of Part II
#
# Is it always islands? The slots of notebook 05 come from worlds where objects stand *anywhere*. **Predict first:** what will nine clusters, or DBSCAN, make of a place that is continuous?

# %%
panels, facts, dense = [], {}, {}
for name in ("shapes", "multi_dsprites"):
    other = collect(load_pretrained(f"slots_{name}"), create_datasets(name, held_out=150)[1], 150)
    vectors, where = other.vectors(), other.factors["place"].numpy()
    dense[name] = cluster(vectors, "dbscan")
    facts[name] = {"place": explained(vectors, where), "ari": adjusted_rand_score(where, cluster(vectors, "k-means", 9)),
                   "groups": np.bincount(dense[name][dense[name] >= 0])}
    for method in ("pca", "t-sne") if name == "shapes" else ("pca",):
        panels.append(Panel(f"{name}, {MAPS[method]}", project(vectors, method), where, other.values["place"], "place"))
    if name == "shapes":
        shapes = other
maps_figure(panels)

# %%
for name, fact in facts.items():
    claim(f"codes.{name}_between_place", fact["place"], above=0.4, below=0.95)
    claim(f"codes.{name}_kmeans_place", fact["ari"], above=0.3, below=0.9)
    claim(f"codes.{name}_largest", fact["groups"].max() / len(dense[name]), above=0.8)

# %% [markdown]
# Place dominates here, too: {{codes.shapes_between_place:.0%}} of the variance of the Shapes slots lies between the ninths of the picture, {{codes.multi_dsprites_between_place:.0%}} for Multi-dSprites. But there are no nine islands. PCA has drawn *the picture itself*, as a sheet (turned: a map has no up): follow its rim from corner to corner. K-means with nine clusters cuts the sheet into nine pieces (ARI {{codes.shapes_kmeans_place:.2f}} and {{codes.multi_dsprites_kmeans_place:.2f}}): pieces, not clusters, and the knife decides where. DBSCAN sees one large group, with {{codes.shapes_largest:.0%}} and {{codes.multi_dsprites_largest:.0%}} of all objects, and is right. **Clusters in slots are clusters of the world.** The rule world has them since it stands on a grid.
#
# And something that we had not looked for. On the maps of Shapes there is a small knot that holds objects of *all* places; on t-SNE it lies apart from everything, and DBSCAN made it a group of its own. Who are they? **Predict first:** what do they have in common? Then ask: does the slot of such an object hold the background as well?

# %%
groups = facts["shapes"]["groups"]
odd = dense["shapes"] == groups.argsort()[-2] if len(groups) > 1 else dense["shapes"] < 0  # the second largest group
swallowed = shapes.swallowed.numpy()
crowd = np.bincount(shapes.scene.numpy())[shapes.scene.numpy()]  # objects in the scene of each
print(f"{odd.sum()} objects in the knot; {swallowed[odd].sum()} of them, and {swallowed[~odd].sum()} of the others, share their slot with the background")

# %%
claim("codes.knot", odd.sum(), above=2)
claim("codes.knot_swallowed", swallowed[odd].mean(), above=0.8)
claim("codes.others_swallowed", swallowed[~odd].mean(), below=0.02)
claim("codes.knot_crowd", crowd[odd].mean(), above=4)
claim("codes.others_crowd", crowd[~odd].mean(), above=2, below=6)

# %% [markdown]
# {{codes.knot:.0f}} objects, and {{codes.knot_swallowed:.0%}} of them were *swallowed*: the slot that holds them holds the background as well ({{codes.others_swallowed:.1%}} of the others). They come from crowded scenes, {{codes.knot_crowd:.1f}} objects on average instead of {{codes.others_crowd:.1f}}: with six objects and a background none of seven slots may be idle. FG-ARI does not notice, since it ignores the background (notebook 05). The map did. **That is what a map is for: it raises a question. The answer came from a measurement.**

# %% [markdown]
# ## 8 · What is each part good for?
#
# An **ablation** takes one part away, or changes it, trains everything again, and measures. Ours changes one setting of the small SVQ and its prior:
#
# ```bash
# python -m course_lib.train -m experiment=svq_ablation change=as_it_is,1_iteration,2_iterations,5_iterations,1_codebook,2_codebooks,8_codebooks,inside,blocks,inside_blocks,broadcast_decoder,codebook_loss,no_restart,no_rate,random_order seed=0,1
# python bench/records/codes_ablations.py
# ```
#
# That takes hours, so the notebook reads what was recorded. The scenes are small (32 pixels, and three colours only, of which independent ones would obey the rule in 22% of the scenes), the codebooks have 64 codes, and every row is a training of 3200 steps. **Predict first:** which of these will hurt most? One iteration of slot attention instead of three. One codebook instead of four. Without the prior (each code drawn by itself). A decoder without cross-attention (the broadcast decoder of notebook 05, where each slot paints alone). Quantising inside.

# %%
import json

from course_lib.codes.figures_ablations import ablation_figure
from course_lib.core.paths import DATA

rows = json.loads((DATA / "runs" / "codes_ablations.json").read_text(encoding="utf-8"))["rows"]
for row in rows:
    print(f"{row['change']:18} seed {row['seed']}:  right {row['right']:4.0%}   without the prior {row['right_independent']:4.0%}   FG-ARI {row['fg_ari']:.2f}   {row['nll']:4.1f} nats")
ablation_figure(rows)

# %% [markdown]
# As it is, {{runs.codes_ablations.right_as_it_is:.0%}} of the generated scenes are right; this small model is far from the shipped one. (Each row of this record is **one** training, of seed 0; the last four changes of the list have not been run.)
#
# - **The prior** is worth everything. Each code drawn by itself, {{runs.codes_ablations.right_independent_as_it_is:.1%}} are right, and in no row as many as the 22% of chance.
# - **Codebooks.** With one of them *nothing* is right, and it could not be otherwise: objects can be $9 \cdot 3 \cdot 3 \cdot 2 = 162$ things here, and 64 words cannot name them. FG-ARI falls to {{runs.codes_ablations.fg_ari_1_codebook:.2f}}, since slots that cannot say what they hold gain nothing by holding one object. Two codebooks could name $64^2 = 4096$ things and reach {{runs.codes_ablations.right_2_codebooks:.0%}}, so it is not a matter of counting alone. Eight reach {{runs.codes_ablations.right_8_codebooks:.0%}}.
# - **Iterations.** One, two, three and five: {{runs.codes_ablations.right_1_iteration:.0%}}, {{runs.codes_ablations.right_2_iterations:.0%}}, {{runs.codes_ablations.right_as_it_is:.0%}}, {{runs.codes_ablations.right_5_iterations:.0%}}. Five stand out. They find the objects as well as three (FG-ARI {{runs.codes_ablations.fg_ari_5_iterations:.2f}} and {{runs.codes_ablations.fg_ari_as_it_is:.2f}}), but with a smaller squared error ({{runs.codes_ablations.mse_5_iterations:.0e}} instead of {{runs.codes_ablations.mse_as_it_is:.0e}}). They spell in fewer words (perplexity {{runs.codes_ablations.perplexity_5_iterations:.0f}} instead of {{runs.codes_ablations.perplexity_as_it_is:.0f}}), and the prior has {{runs.codes_ablations.nll_5_iterations:.1f}} nats to learn instead of {{runs.codes_ablations.nll_as_it_is:.1f}}. That one to three do not stand in order is a warning: one training each.
# - **When and what is quantised.** Inside every iteration {{runs.codes_ablations.right_inside:.0%}}; slots that are updated block by block {{runs.codes_ablations.right_blocks:.0%}}; both, as in the paper, {{runs.codes_ablations.right_inside_blocks:.0%}}. Each alone is above the plain row, and both together are below it: what two changes do cannot be read off the rows of one.
# - **The decoder.** Without cross-attention, each slot painting alone: {{runs.codes_ablations.right_broadcast_decoder:.0%}}. The broadcast decoder has the smallest squared error of all rows ({{runs.codes_ablations.mse_broadcast_decoder:.0e}} against {{runs.codes_ablations.mse_as_it_is:.0e}}): perhaps because who paints alone need not learn to look the right slot up first (we have not tested it). Its masks come with it (notebook 05).
#
# Is there one thing that sorts the rows? Finding the objects is not it, since FG-ARI is high in nearly all of them. **Predict first:** the nats, or the squared error of the reconstruction?

# %%
from scipy.stats import spearmanr

ranks = {name: -spearmanr([row[name] for row in rows], [row["right"] for row in rows]).statistic for name in ("mse", "nll", "perplexity")}
print("rank correlation with the share that is right:", ", ".join(f"{name} {-rank:+.2f}" for name, rank in ranks.items()))
claim("codes.ablation_rank_mse", ranks["mse"], above=0.7)
claim("codes.ablation_rank_nll", ranks["nll"], below=ranks["mse"])

# %% [markdown]
# The squared error: its rank correlation with the share that is right is −{{codes.ablation_rank_mse:.2f}}; that of the nats, −{{codes.ablation_rank_nll:.2f}}, is next to none. After so short a training most wrong scenes are wrong because they *cannot be read*: as it is {{runs.codes_ablations.unparsable_as_it_is:.0%}} are unparsable, and {{runs.codes_ablations.same_colour_as_it_is:.0%}} have two objects of one colour. So this table says which change learns to paint *faster*. What each variant can become after long training it cannot say.
#
# How to read such a table:
#
# - **A row changes one thing.** Two changes at once say nothing about either.
# - **Ask for several marks in a row.** Each mark is one training with its own seed. Where two marks of one row lie farther apart than two rows, the rows are not different, as far as the table can tell. Ours has one mark in a row, so only its large differences count.
# - **Mind what was held fixed.** All rows have the same number of steps. A change that only learns *slower* looks as if it were worse.
# - **A measure sees what it sees.** FG-ARI sees who owns which object, and not whether the picture is right; the share of right scenes sees everything at once, and cannot say what was wrong.

# %% [markdown]
# ## 9 · Failure gallery
#
# Six ways to fool oneself, each by one switch.

# %%
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from sklearn.metrics import normalized_mutual_info_score

rng = np.random.default_rng(0)
torn = project(slots[:400], "t-sne", neighbours=2)
on_map = cluster(maps["PCA of slots"], "k-means", 9)
at_random = rng.integers(300, size=len(slots))
loud = slots.copy()
loud[:, 0] *= 100  # one of the 64 numbers in another unit
points, names = rng.normal(size=(200, 64)).astype(np.float32), rng.integers(4, size=200)  # noise, and names drawn by lot
reader = LinearDiscriminantAnalysis(n_components=2).fit(points[:100], names[:100])  # the map that parts the names best
learned, fresh = (reader.score(points[part], names[part]) for part in (slice(100), slice(100, 200)))
truth_noise = (cluster(atlas.vectors("factors"), "dbscan") < 0).mean()
random_nmi = normalized_mutual_info_score(thing, at_random)
ari = {"map": adjusted_rand_score(place, on_map), "loud": adjusted_rand_score(place, cluster(loud, "k-means", 9))}
by_lot = tuple("ABCD")
maps_figure([
    Panel("Perplexity 2", torn, place[:400], kind_of["place"][1], "place", "places torn into crumbs;\ntry a structureless cloud"),
    Panel("Clustering the map", maps["PCA of slots"], on_map, words=f"k-means of the PCA map: ARI {ari['map']:.2f}\nof the vectors: {by['slots', 'k-means', 'place']['ari']:.2f}"),
    Panel("Many clusters", maps["t-SNE of slots"], at_random, words=f"300 clusters by lot: NMI {random_nmi:.2f}\nARI {adjusted_rand_score(thing, at_random):.2f}"),
    Panel("All is noise", maps["UMAP of factors"], np.full(len(slots), -1), words=f"DBSCAN of the truth:\n{truth_noise:.0%} noise"),
    Panel("One loud number", project(loud, "pca"), place, kind_of["place"][1], "place", f"k-means: ARI {ari['loud']:.2f}\nlook at each number's spread"),
    Panel("The map knew the names", reader.transform(points[:100]).astype(np.float32), names[:100], by_lot, "names",
          f"noise: {learned:.0%} right,\nof new points {fresh:.0%}")], columns=3)

# %%
claim("codes.gallery_map_ari", ari["map"], below=0.8)
claim("codes.gallery_random_nmi", random_nmi, above=0.5)
claim("codes.gallery_noise", truth_noise, above=0.8)
claim("codes.gallery_loud_ari", ari["loud"], below=0.5)
claim("codes.gallery_learned", learned, above=0.7)
claim("codes.gallery_fresh", fresh, below=0.5)

# %% [markdown]
# 1. **Perplexity too small.** Two neighbours are too few to hold an island together; the places fall to crumbs. Vary the perplexity, and map a structureless cloud with the same one.
# 2. **Clustering the map.** On two numbers k-means reaches an ARI of {{codes.gallery_map_ari:.2f}}, where all 64 give {{codes.kmeans_place:.2f}}. A map has thrown away most of what there was. And on t-SNE a clusterer may find what is not there, as section 3 showed.
# 3. **Many clusters.** Labels drawn by lot, 300 of them, have an NMI of {{codes.gallery_random_nmi:.2f}} with the things. Subtract chance (ARI), or print it beside.
# 4. **All is noise.** DBSCAN of the true factors calls {{codes.gallery_noise:.0%}} noise: all of them lie at a few fixed distances, so there is no knee to be found. Noise is DBSCAN's word for "not dense enough *for this ε*", and no finding about the world.
# 5. **One loud number.** One of 64 numbers multiplied by 100, and every distance is that number: ARI {{codes.gallery_loud_ari:.2f}}. Look at the spread of each number before you trust a distance.
# 6. **A map that knew the names.** A linear map that parts four names as well as possible makes four groups of pure noise ({{codes.gallery_learned:.0%}} right). The names had been drawn by lot. Of new points it gets {{codes.gallery_fresh:.0%}} right, and chance is 25%. With as many numbers as objects, a map made *with* the labels proves nothing on the objects that it was made with.

# %% [markdown]
# ## What you found
#
# - The maps of slots show the nine places and nothing else, and so do few clusters: k-means against place has ARI {{codes.kmeans_place:.2f}}, against everything else at most {{codes.others_best:.2f}}. The reason is variance: {{codes.between_place:.0%}} of it is place.
# - What varies less is covered, not absent. Subtract the place and cluster again: {{codes.rest_look:.2f}} for the 48 looks, without a label. Place and look are added up, to {{codes.place_plus_look:.1%}}.
# - t-SNE and UMAP keep near neighbours ({{codes.near_tsne:.0%}} and {{codes.near_umap:.0%}}; PCA {{codes.near_pca:.0%}}), PCA keeps large distances. t-SNE at perplexity 2 finds {{codes.islands_tsne_2:.0f}} islands in a cloud that has none.
# - An NMI of {{codes.at_432_colour_nmi:.2f}} can be {{codes.at_432_colour_chance:.2f}} chance. DBSCAN needs a gap between two scales, and quantising makes one.
# - A colour is spelled in classes that several codebooks share out, and no codebook has it alone. With a price for rare words {{codes.words_synonyms:.1%}} of the things have a synonym; without, {{codes.words_free_synonyms:.0%}}, and the decoder hardly hears the difference.
# - Where the world is continuous, the slots are, and clusters cut where there is no seam. A knot on the map led to the objects that the background had swallowed.
# - An ablation is one change and the same number of steps, and it wants several seeds. In ours nothing is worth as much as the prior ({{runs.codes_ablations.right_independent_as_it_is:.1%}} right without it, {{runs.codes_ablations.right_as_it_is:.0%}} with it) and enough codebooks ({{runs.codes_ablations.right_1_codebook:.0%}} with one, {{runs.codes_ablations.right_2_codebooks:.0%}} with two); the rest is mostly a matter of who learns to paint first.
#
# Part III ends here: from slots to words, from words to scenes, and what the words mean. All its worlds were drawn by us. Part IV asks what a bottleneck keeps of a picture that a large model has turned into 576 **tokens**.
#
# **References.** K. Pearson, *On Lines and Planes of Closest Fit to Systems of Points in Space* (1901): PCA. L. van der Maaten & G. Hinton, *Visualizing Data using t-SNE* (2008), sec. 2 and 3. L. McInnes, J. Healy & J. Melville, *UMAP: Uniform Manifold Approximation and Projection for Dimension Reduction* (2018).
# M. Wattenberg, F. Viégas & I. Johnson, *How to Use t-SNE Effectively* (2016): perplexity, distances, islands in noise. S. Lloyd, *Least Squares Quantization in PCM* (1982). J. Ward, *Hierarchical Grouping to Optimize an Objective Function* (1963). M. Ester, H.-P. Kriegel, J. Sander & X. Xu, *A Density-Based Algorithm for Discovering Clusters* (1996), sec. 4.2 (how to find ε).
# L. Hubert & P. Arabie, *Comparing Partitions* (1985): ARI. N. X. Vinh, J. Epps & J. Bailey, *Information Theoretic Measures for Clusterings Comparison* (2010): NMI and chance. P. Chou, T. Lookabaugh & R. Gray, *Entropy-Constrained Vector Quantization* (1989). Y.-F. Wu, M. Lee & S. Ahn, *Neural Language of Thought Models* (2024).
