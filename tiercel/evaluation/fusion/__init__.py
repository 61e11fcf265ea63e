"""Two models answer as one: how good each way of joining them is, item by item."""
