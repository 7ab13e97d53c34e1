"""Every touch on moto's insides, a module a service and nothing else, each with its contract in tests/test_moto_seams.py.

moto is pinned in pyproject.toml: when it is raised, these tests say what moved.
All of this runs on the moto thread, except where a docstring says otherwise.
"""
