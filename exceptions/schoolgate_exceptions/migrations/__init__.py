"""Numbered changes of the tables, made by Alembic when the portal starts."""
