"""A folder for `PYTHONPATH`: Python loads its `sitecustomize.py` before a program's own code. Nothing here imports that."""
