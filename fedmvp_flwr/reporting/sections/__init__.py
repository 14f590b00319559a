"""One module per section of the report: from a run's record to tables, drawings and sentences."""
