"""What the books are about and what may become of it; no I/O, no clock.

transaction.py has the things themselves: transactions, refunds, saved cards, callbacks. What happened to them is
in events.py. What EPoint says is understood in three steps: what a word proves (words.py), which facts it adds to
what is known of a transaction (evidence.py), which status follows from all facts (transitions.py; holds.py for
pre-authorisations).
schedule.py says when EPoint is asked again. Saved cards, checkouts, invoices and transfers to businesses have their
states and transitions in one file each; ids.py names them all.
"""
