"""Transactions, refunds, saved cards and their events; no I/O."""
