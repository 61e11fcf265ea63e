"""How lenient a lossy rule may be: bounds of harm, certification, following; no store, no clock."""
