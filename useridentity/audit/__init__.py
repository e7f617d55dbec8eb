"""The audit trail: what is recorded, the journal that keeps it, the messages and sinks that carry it away."""
