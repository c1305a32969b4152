"""What `syncd demo` runs and the tests reuse: strict stand-in stores, a driver, a view.

The daemon never imports this package.
"""
