"""What is built once and shared: the stages of a cell, one module each (all in `all_stages`), and `graph`, which
says what depends on what and gives each stage its key. A stage knows neither the matrix, nor records, nor what runs it:
its key rests on all that its module imports."""
