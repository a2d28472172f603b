"""From records to tables and plots. Reads a run's folder and nothing else: no model, no store."""
