"""The sets of vectors that engines are compared on: how each is made, and what it is."""

GENERATED = {
    # name: (rows, dimensions, seed, what gen takes after the labels, queries, what it is)
    "easy200k": (200_000, 512, 42, (), 10_000,
                 "200,000 x 512, made like CLIP's vectors of pictures: 2,000 clusters, intrinsic "
                 "dimension about 19"),
    "easy1m": (1_000_000, 512, 42, (), 10_000,
               "1,000,000 x 512 of the same kind, of which the 200,000 are the first"),
    "hard200k": (200_000, 512, 42, ("1.0", "0.35", "1.2", "0.35"), 10_000,
                 "200,000 x 512, made with wider clusters and more noise: intrinsic dimension "
                 "about 28"),
    "wide100k": (100_000, 2048, 42, (), 2_000,
                 "100,000 x 2,048, the easy kind in the width of ResNet-50's features"),
}

TEXTS = {name: what[-1] for name, what in GENERATED.items()} | {
    "sift": "SIFT descriptors, 128 dimensions, brought to unit length",
    "clip": "1,154 vectors that a MobileCLIP model made of photographs of goods, 512 dimensions; "
            "300 others of them ask",
    "photos": "the photographs at hand as the bundled model sees them; every tenth asks",
}
