"""The demo: a model made on the spot is taught countdown, then trained for pass@1 and for pass@8 from there."""
