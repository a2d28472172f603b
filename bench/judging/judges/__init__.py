"""The judges of the bench, one file each, found by name. How one is asked, and what is kept, is in the room above."""
