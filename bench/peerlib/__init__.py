"""The parts of bench/peers: other engines run over the same files as ours.

data.py      vectors and truth on disk, recall, memory of this process
rivals.py    what it takes to build, load and ask each engine
worker.py    one engine in a process of its own: build it, or measure it
process.py   programs that print lines of JSON
filters.py   hnswlib under filters
ours.py      our own engine as one of them
sets.py      what engines are compared on
results.py   lines of JSON that runs add to
report.py    tables, ratios, and the section of docs/BENCH.md; needs no package
aims.py      what we want to reach beside the others; needs no package
plot.py      recall against speed as an SVG; needs no package
"""
