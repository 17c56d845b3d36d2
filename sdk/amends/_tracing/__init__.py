"""Traces: the standard variables, the traceparent, and spans that cost microseconds, for both sides."""
