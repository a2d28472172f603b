"""Templates and tokenizers × all that read their ids: whether prompts, completions and their ends are the same to all.

``python -m tests.encoding_table`` prints the table as Markdown.
"""
