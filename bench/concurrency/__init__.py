"""Many clients at once: Tiercel through its services against llama.cpp's server."""
