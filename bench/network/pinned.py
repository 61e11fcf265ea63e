"""Runs a module on one core: `python -m bench.network.pinned CORE MODULE`."""

import os
import runpy
import sys


def main() -> None:
    """Pin this process and run the module as a program."""
    core, module = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    sys.argv = [module]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main()
