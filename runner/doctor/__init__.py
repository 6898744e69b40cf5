"""What `recipe doctor` says: the machine, what is installed, the store, the terminal, tokens and settings; of a recipe,
what it needs and whether that is here.

    visit      all of it, as facts
    words      the same for people
    findings   one line of it: ok, warn or missing, with what to do
    devices    cores, memory, disk, GPUs
    installed  mirepoix, Python, and what there is of the extras
    around     store, tokens, terminal
    needs      what a recipe needs to be installed, and the one line that installs it
    hosts      whether those answer that a recipe asks
    recipe     all that of a recipe
"""

from __future__ import annotations

from runner.doctor.findings import Finding
from runner.doctor.visit import doctor
from runner.doctor.words import text

__all__ = ["Finding", "doctor", "text"]
