"""Policy for other resolvers: the engine's verdicts on names, as response policy zones over AXFR and IXFR."""
