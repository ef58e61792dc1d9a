"""The trackers that the benchmarks compare, each in a process of its own."""
