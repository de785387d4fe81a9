"""Launch files, parameters, and the demo of the whole loop."""
