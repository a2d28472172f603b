"""What a language model is here: loading, tokens, sampling, log-probabilities, learned rewards, exact enumeration.

Knows tensors, tokenizers and transformers; neither methods and workbenches nor stages, records and files of a run.
"""
