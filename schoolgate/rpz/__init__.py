"""Response policy zones as a part of the box: settings, keys, what other resolvers need in their configuration."""
