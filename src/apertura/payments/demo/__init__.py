"""A processor of play money: Stripe's interface, with its states, on this machine.

`--dev` pays with it, and tests drive the gateway's payments by it: the official library speaks to
it as it does to Stripe. It keeps everything in memory and moves no money.
"""
