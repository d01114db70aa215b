"""One trial: `recipe` is its course, each phase has a module, and `record` tells what was seen."""
