"""Reward over the distance from π0: the paths that cells take, the hypervolume of their frontier, and fitted forms.

Numbers from records alone; nothing here draws or words them.
"""
