"""Claims: sentences with the cells that test them, written down before the run, and what came of them."""
