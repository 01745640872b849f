"""How lively scenes are filmed: shots (values) -> canvas, camera, clutter, light, sensor -> film.

Each file is one thing that a camera adds. All of it is arithmetic of whole numbers, or of floats
whose rounding no order of sums can change, so that a scene has the same pixels on every machine.
"""
