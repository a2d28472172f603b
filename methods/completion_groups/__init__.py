"""Training on several weighed or rated completions per prompt: what `unlikelihood` and `rank` share."""
