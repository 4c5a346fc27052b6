"""The model format and how a model of it is made: fitted, trained, written. Torch trains; answering needs none."""
