"""Rules: what verbs and loops decide by, within a transaction; no caller's rights are asked here."""
