"""Fakes, a manual clock, contract suites and known-truth servers, shipped for people who write a backend."""
