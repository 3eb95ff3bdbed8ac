"""Imported by the process that commands are forked from: what they load, and what each of them makes as it starts."""

from __future__ import annotations

import encodings.idna  # noqa: F401
import gc

import typer._adapters
import typer.rich_utils  # noqa: F401

import pileus.app.doctor
import pileus.app.joining
import pileus.app.kits
import pileus.app.purge
import pileus.app.throwaway
import pileus.app.up
import pileus.cli.findings
import pileus.cli.tables
import pileus.faces.ec2.face
import pileus.faces.mcc.face
import pileus.faces.rest.face
import pileus.store.migrate  # noqa: F401
from pileus.app.main import commands
from pileus.cli.client import connect  # noqa: F401
from tests.app import forked  # noqa: F401

commands()
# Nobody who is forked looks through it, and so makes copies of it.
gc.collect()
gc.freeze()
