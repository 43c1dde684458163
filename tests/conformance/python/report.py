"""One line for each check, and what the program ends with."""

import asyncio
import sys
import traceback

# No check waits for anything longer than a few seconds.
CHECK_S = 40


class Report:
    """Runs checks of one client, and says how each went."""

    def __init__(self, client):
        self.client = client
        self.failed = 0

    async def run(self, binding, checks, *given):
        """Runs them in order. What one does must not matter for the next."""
        for check in checks:
            name = check.__name__.replace("_", " ")
            try:
                await asyncio.wait_for(check(*given), CHECK_S)
            except Exception as error:  # A check may break in any way; the others still run.
                self.failed += 1
                text = " ".join(f"{type(error).__name__}: {error}".split())
                print(f"FAIL  {self.client} {binding}: {name}: {text[:600]}", flush=True)
                traceback.print_exc(limit=-2, file=sys.stderr)
            else:
                print(f"ok    {self.client} {binding}: {name}", flush=True)

    def end(self):
        """Leaves the program."""
        sys.exit(1 if self.failed else 0)


def equal(actual, expected):
    assert actual == expected, f"{actual!r} instead of {expected!r}"


async def until(what, is_so):
    """Waits for something that takes a moment."""
    for _ in range(400):
        if is_so():
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"waited in vain for {what}")
