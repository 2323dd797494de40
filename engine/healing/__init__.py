"""Token healing: which tokens to take back, and the distribution of what may stand in their place.

`exact` and `k_step` are the modes, `first_step` runs them on a model, `prefix_index` finds the candidates.
"""
