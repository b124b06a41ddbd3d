"""Agent runs to try the memory on: those shipped with the package, or one's own file in the same shape."""

from engramia.demo.runs import DemoQuery, DemoRun, load_queries, load_runs, read_queries, read_runs

__all__ = ["DemoQuery", "DemoRun", "load_queries", "load_runs", "read_queries", "read_runs"]
