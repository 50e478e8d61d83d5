"""The Canvas QA automation application: what the Go tool beside it watches."""

__version__ = "2.4.0"
