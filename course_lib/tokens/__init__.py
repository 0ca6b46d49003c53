"""Part IV: the world of pictures. The 576 tokens in which CLIP sees a picture are compressed to a few, and what is lost is measured."""
