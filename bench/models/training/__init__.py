"""Training, with transformers and TRL: on completions, on pairs and ratings, on a loss of one's own; and its guards.

What is trained and why is the caller's affair: no stage and no method is named here.
"""
