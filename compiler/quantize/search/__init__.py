"""The search for a recipe: a declared space, a cost model learned from trials, a study that can be resumed.

    space = Space.of({"clipping": ("max", "kl"), "granularity": ("tensor", "channel"), ...})
    found = search(space, objective, trials=12, study="kws", statistics=graph_statistics(graph))

Source: Lee et al., "Quantune: Post-training Quantization of Convolutional Neural Networks using Extreme Gradient
Boosting for Fast Deployment", arXiv 2202.05048.
"""
