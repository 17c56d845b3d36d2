"""The promises as checks, shared by everything that puts them to the test: properties of the core, the
simulation, and chaos. `log` reads what a saga's log says, `effects` what its participants did."""
