"""Problem sets, and the problems in them."""
