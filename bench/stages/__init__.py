"""The stages of a cell, one module each: base → sft → preferences → reward_model → reference → policy → evaluation."""
