"""The one table from the core's errors to this face's statuses, and how an error looks."""

from __future__ import annotations

from pileus.faces.wire import refusals

TABLE = refusals.PLAIN
STATUS, OWN = refusals.STATUS, refusals.OWN
of, own = TABLE.of, TABLE.own
