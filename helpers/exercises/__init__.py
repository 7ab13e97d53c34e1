"""The checks of the notebooks' exercises, one module a notebook; helpers.checks loads them by number."""
