"""Every touch on moto's insides, a module a service; tests/test_moto_seams.py holds the contract of each.

moto is pinned in pyproject.toml: when it is raised, these tests say what moved.
All of this runs on the moto thread, except where a docstring says otherwise.
"""
