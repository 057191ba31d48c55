"""What is handed to governors, inspectors and the data protection officer: report, evidence, limitations, annex."""
