"""When a cascade of stages stops: programmes, a fitted policy with its evidence, baselines, replay.

Pure functions of arrays, numpy only; knows no service and reads no clock.
"""
