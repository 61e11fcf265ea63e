"""Domain <-> protobuf, the one place: pairs of `x_to_pb` and `x_from_pb`.

What comes from the wire is checked here: a value that cannot be honoured raises InvalidRequest with
the field's name.
"""
