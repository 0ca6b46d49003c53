"""Part III: the world of words. Vectors are replaced by the nearest of a few learned codes, so a scene becomes a short sentence."""
