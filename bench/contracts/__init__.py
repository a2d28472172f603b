"""What plug-ins build on: methods aside, what a task, a judge, a measure and an annotator are, typed settings, errors.

Also how what a person wrote (YAML, settings) is read and refused, and how texts of others are shown. Knows no model, no
stage and no file of a run.
"""
