"""Measure what the service costs, beside what a user would write instead: `make bench` and its kin.

Nothing here is a test and nothing is judged: the figures depend on the machine. What is kept is ratios between
servers that were measured in turns within one run.
"""
