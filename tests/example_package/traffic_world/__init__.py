"""A world of traffic lights for the alignment bench, with a method, a measure and a judge."""
